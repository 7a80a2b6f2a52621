"""A task more, after ten: `python tools/transfer.py FILE`.

Networks learn ten tasks of the suite, then the one left out alone, and are compared with nets from scratch. One row a
net: the new task, P, seed, and

    way           what may learn: "all" weights; "inputs", C alone; "around PWL", the weights into and out of PWL
                  units, while those between linear units, their inputs, biases and readouts stay; "between linear", the
                  rest; or "scratch", all weights of a net that has learned nothing
    lr, steps     learning rate (constant) and steps of training on the new task; 0 steps: before it. The larger budget
                  goes on from the smaller one by a second call of `fit`, which begins the stream of trials, and
                  Adam, anew: so the first trials are seen twice
    validation,   share of right trials of the new task, 0 to 1
    test
    old           the same of the ten old tasks, on test trials, mean over tasks
    version       of alrnn

Each way and P has three rates, of which validation may choose. A table goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from pieces import Pieces, command
from sharing import SEEDS, SIZES, START, M

import alrnn
from alrnn import ALRNN
from alrnn.nets import Net
from alrnn.tasks import Suite
from alrnn.tasks.suite import NAMES

NEW = ("DelayAnti", "NonMatch", "CtxInt2")
WAYS = ("all", "inputs", "around PWL", "between linear", "scratch")
RATES, STEPS, BEFORE = (5e-4, 2e-3, 8e-3), (50, 200), 1000
GENTLY: dict[str, Any] = {"schedule": "constant", "warmup": 0.0, "clip": 1.0, "batch_size": 64, "progress": False}
TRIALS = 1000


class Part(ALRNN):
    """An AL-RNN of which only some weights learn, those that `way` names."""

    way = "all"

    def fixed(self) -> dict[str, torch.Tensor]:
        """The weights that stay: what the way leaves out, and what always stays."""
        return {name: ~free | super(Part, self).fixed().get(name, False) for name, free in learning(self).items()}


def learning(net: Part) -> dict[str, torch.Tensor]:
    """Parameter name -> bool of its shape, true where it learns."""
    pwl = torch.arange(net.hidden_size) >= net.hidden_size - net.nonlinear_size
    around = {"A": pwl, "W": pwl[:, None] | pwl, "C": pwl[:, None], "h": pwl, "D": pwl, "b": torch.tensor(False)}
    free = {}
    for name, p in net.named_parameters():
        if net.way == "inputs":
            free[name] = torch.full_like(p, name == "C", dtype=torch.bool)
        elif net.way in ("around PWL", "between linear"):
            touched = around[name].expand(p.shape)
            free[name] = touched if net.way == "around PWL" else ~touched
        else:
            free[name] = torch.ones_like(p, dtype=torch.bool)
    return free


def part(net: ALRNN, way: str) -> Part:
    """A copy of the net that learns so."""
    made = Part(**net.settings())
    made.load_state_dict(net.state_dict())
    made.way = way
    return made


def pieces(seeds: range = SEEDS) -> Pieces:
    """Each new task."""
    for new in NEW:
        yield {"new": new}, partial(learned, new, seeds)


def learned(new: str, seeds: range, before: int = BEFORE) -> pd.DataFrame:
    """All P, seeds, ways and rates; nets of one seed see the same trials."""
    task, ten = Suite(new), Suite([name for name in NAMES if name != new])
    empty = [ALRNN(ten.input_size, M, P, ten.output_size, seed, START) for P in SIZES for seed in seeds]
    old = [net.copy() for net in empty]
    alrnn.fit(old, ten, steps=before, lr=5e-3, clip=1.0, batch_size=64, progress=False)
    found = [scored(old, task, ten).assign(way="all", lr=0.0, steps=0)]
    for way in WAYS:
        for lr in RATES:
            nets = [part(net, way) for net in (empty if way == "scratch" else old)]
            if way == "between linear":  # with P = M there is nothing between linear units
                nets = [net for net in nets if net.nonlinear_size < M]
            done = 0
            for steps in STEPS:
                alrnn.fit(nets, task, steps=steps - done, lr=lr, **GENTLY)
                found.append(scored(nets, task, ten).assign(way=way, lr=lr, steps=steps))
                done = steps
    return pd.concat(found, ignore_index=True).assign(version=alrnn.__version__)


def scored(nets: Sequence[Net], task: Suite, ten: Suite) -> pd.DataFrame:
    """What the nets do on the new task and on the ten old ones."""
    trials = {
        "validation": (task, task.held_out("validation", TRIALS)),
        "test": (task, task.held_out("test", TRIALS)),
        "old": (ten, ten.held_out("test", TRIALS)),
    }
    scores = {name: alrnn.evaluate(nets, *on).numpy() for name, on in trials.items()}
    return pd.DataFrame({"P": [net.nonlinear_size for net in nets], "seed": [net.seed for net in nets], **scores})


if __name__ == "__main__":
    command(__doc__, {"transfer": pieces})
