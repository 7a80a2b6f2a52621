"""How much hangs on the penalty tau, the start, M and the rate: `python tools/sensitivity.py FILE`.

One row a net: settings, seeds, scores, and what `measured` says. A table goes on where it stopped.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from pieces import Pieces, command

from alrnn import ALRNN, Init, regions
from alrnn.sweep import run
from alrnn.tasks import Adding, FixedCopy, RuleInversion, SequentialMNIST, Task

SMALL = {"W": 0.01, "C": 0.2, "D": 0.1}
STARTS = {  # the structure is on linear units alone, but for the identity
    "near zero": Init("paper", **SMALL),
    "slow": Init("slow", value=0.95, **SMALL),
    "rotation": Init("rotation", **SMALL),
    "spread": Init("spread", **SMALL),
    "identity": Init("slow", pwl=1.0, **SMALL),
}
FULL = ("near zero", "identity")  # what differs where no unit is linear
TASKS: dict[str, tuple[Task, int]] = {  # and steps of training
    "inversion": (RuleInversion(31), 1000),
    "adding": (Adding(30), 1000),
    "copy": (FixedCopy(symbols=4, delay=20), 600),
    "digits": (SequentialMNIST("row"), 600),
}
TAUS, RATES, SEEDS = (0.0, 0.01, 0.1, 1.0, 10.0), (2e-3, 5e-3, 2e-2), range(3)
FEW = 2  # PWL units
SIZES = {20: TAUS, 10: TAUS, 50: TAUS, 100: TAUS, 4: (0.0, 0.1)}  # M -> tau


def pieces() -> Pieces:
    """Each task with each M and tau."""
    for M, taus in SIZES.items():
        for task in TASKS:
            for tau in taus:
                yield {"task": task, "M": M, "tau": tau}, partial(nets, task, M, tau)


def nets(name: str, M: int, tau: float) -> pd.DataFrame:
    """All starts, rates and seeds with few PWL units, and P = M from the two starts that it can have."""
    task, steps = TASKS[name]
    sizes = [(FEW, start) for start in STARTS] + [(M, start) for start in FULL]
    chosen = [(P, start, lr, seed) for P, start in sizes for lr in RATES for seed in SEEDS]
    made = [ALRNN(task.input_size, M, P, task.output_size, seed, STARTS[start]) for P, start, _, seed in chosen]
    before = [slow_modes(net, task) for net in made]
    found = run(made, task, "drop", False, steps=steps, lr=[lr for _, _, lr, _ in chosen], tau=tau)
    table = found.table[["P", "seed", "steps", "validation", "test", "train_loss", "diverged", "parameters", "version"]]
    table = table.assign(start=[c[1] for c in chosen], lr=[c[2] for c in chosen], clip=0.1, slow_before=before)
    return pd.concat([table, pd.DataFrame([measured(found, k, task) for k in range(len(made))])], axis=1)


def measured(found: Any, k: int, task: Task) -> dict[str, float]:
    """Of one trained net, k-th of the sweep `found`.

    slow: share of eigenvalues within .05 of the unit circle, in the region most visited. regions: how many are used
    (effective). gradient, steepest: median and highest norm of the gradient over the second half of training.
    rough: median absolute change of log loss from a step to the next, there.
    """
    net, history = found.nets[k], found.history
    if k in history.diverged:
        return {}
    half = len(history.loss) // 2
    norm, loss = history.grad_norm[half:, k].astype(float), np.log(history.loss[half:, k].astype(float))
    return {
        "slow": slow_modes(net, task),
        "regions": regions.occupancy(seen(net, task)).effective,
        "gradient": float(np.median(norm)),
        "steepest": float(norm.max()),
        "rough": float(np.median(np.abs(np.diff(loss)))),
    }


def seen(net: ALRNN, task: Task) -> regions.Visits:
    """The regions of 200 validation sequences."""
    with torch.no_grad():
        return regions.visits(net, net(task.held_out("validation", 200).s)[1])


def slow_modes(net: ALRNN, task: Task) -> float:
    """Share of eigenvalues within .05 of the unit circle, in the region most visited."""
    eigenvalues = np.linalg.eigvals(regions.jacobians(net, seen(net, task).bits[0]))
    return float((np.abs(np.abs(eigenvalues) - 1) < 0.05).mean())


if __name__ == "__main__":
    command(__doc__, {"all": pieces})
