"""The line along which nets add up film reviews: `python tools/line_attractor.py FILE`.

One row a net: P, seed, start, rate, scores (also with the words of each review shuffled), and what `line` says of the
trained net and, in the columns `*_before`, of the same net untrained. Needs the reviews (alrnn.datasets.imdb).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from make_reviews import shuffled
from pieces import Pieces, command

from alrnn import ALRNN, Init, evaluate, regions
from alrnn.sweep import run
from alrnn.tasks import Batch, Sentiment

M, SIZES, SEEDS, RATES = 16, (0, 1, 5, 16), range(3), (5e-3, 1e-2)
STARTS = {value: Init("slow", value=value, pwl=value) for value in (0.5, 0.98)}  # all self-weights
FIT: dict[str, Any] = {"steps": 700, "clip": 1.0}


def pieces(task: Sentiment) -> Pieces:
    for start in STARTS:
        for lr in RATES:
            yield {"start": start, "lr": lr}, partial(nets, task, start, lr)


def nets(task: Sentiment, start: float, lr: float) -> pd.DataFrame:
    """All P and seeds from one start at one rate."""
    made = [ALRNN(task.input_size, M, P, 2, seed, STARTS[start]) for P in SIZES for seed in SEEDS]
    few = task.held_out("test", 300)
    before = [line(net, few) for net in made]
    found = run(made, task, "raise", False, lr=lr, **FIT)
    table = found.table[["P", "seed", "steps", "clip", "validation", "test", "version"]]
    table = table.assign(test_shuffled=evaluate(found.nets, task, shuffled(task.held_out("test"))).numpy())
    after = pd.DataFrame([line(net, few) for net in found.nets])
    return pd.concat([table, after, pd.DataFrame(before).add_suffix("_before")], axis=1)


def line(net: ALRNN, batch: Batch) -> dict[str, float]:
    """How far states and answer of a net lie on one line.

    slowest, next: the two largest moduli of eigenvalues in the region most visited. variance: its share on the first
    principal component (PC1) of all states. alignment: |cosine| of the slowest mode's direction and PC1.
    answer: |correlation| of the place along PC1 with the answer, over all words.
    """
    with torch.no_grad():
        y, z = net(batch.s)
    inside = batch.s >= 0
    z, answer = z[inside], (y[..., 1] - y[..., 0])[inside]
    modes = regions.spectrum(net, regions.visits(net, z[None]).bits[0])
    first = regions.principal_components(z, 1)
    along = (z.double().numpy() - first.mean) @ first.axes[0]
    size = np.abs(modes.eigenvalues)
    return {
        "slowest": size[0],
        "next": size[1],
        "variance": float(first.explained[0]),
        "alignment": float(regions.alignment(modes, 0, z, components=1).right[0]),
        "answer": float(abs(np.corrcoef(along, answer)[0, 1])),
    }


if __name__ == "__main__":
    command(__doc__, {"all": lambda: pieces(Sentiment())})
