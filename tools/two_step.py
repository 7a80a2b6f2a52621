"""Two-step task: what the next choice is predicted from, and whether a gate would be found, in tables.

`python tools/two_step.py choices FILE` makes the table of choices; `power`, `recovery` and `units` make those of
simulated spikes, of spikes and choices together, and of what the one unit does. A table goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from pieces import Pieces, command

from alrnn import ALRNN, Init, cross_validate, datasets, fit, theory
from alrnn.nets import GRU
from alrnn.tasks import Arrays, Head, TwoStep

M, SIZES, STARTS = 8, (0, 1, 2, 3, 4, 8), 2
START = Init("spread", time_constants=(3.0, 60.0), W=0.05, C=0.3, D=0.1)
FIT: dict[str, Any] = {"steps": 500, "lr": (5e-3, 1e-2), "batch_size": 64, "clip": 0.3}
SPIKES = Init("spread", time_constants=(2.0, 40.0), W=0.02, C=0.2, D=0.02, pwl=0.5)
SPIKES_FIT: dict[str, Any] = {"steps": 300, "lr": (5e-3, 1e-2), "batch_size": 64, "clip": 0.3}
SIMULATED = {  # animals whose P is known
    "linear": {"product": 0.0, "main": (0.6, 0.4, 0.0, 0.3), "decay": 0.5},
    "one kink": {"product": 1.0, "main": (0.3, 0.0, 0.0, 0.0), "decay": 0.5},
}
POWER = [  # (trials, units, strength of the gate): the paper's size first
    *((480, 29, strength) for strength in (0.0, 0.5, 0.25, 0.12)),
    *((trials, units, 0.25) for trials, units in ((120, 29), (60, 29), (120, 10), (60, 10))),
]


def animal(name: str) -> pd.DataFrame:
    """The trials of "animal 0" or "animal 1", or of one in `SIMULATED`: 28 sessions of 500 trials."""
    if name in SIMULATED:
        return theory.simulate_choices(theory.choice_animal(**SIMULATED[name]), 28, 500, seed=1)  # type: ignore[arg-type]
    table = datasets.two_step()
    return table[table.animal == int(name.split()[1])]


def choices(task: TwoStep, P: int) -> pd.DataFrame:
    """Nets of one P, each fold at its own best rate."""
    return cross_validate(task, M, [P], STARTS, init=START, diverged="drop", progress=False, **FIT)


def gru(table: pd.DataFrame, shown: Any) -> pd.DataFrame:
    """The same for a GRU with as many units, which needs no blank steps."""
    task = TwoStep(table, shown=shown, blank=0)
    rates = {"steps": 300, "lr": (5e-3, 1e-2, 2e-2)}
    return cross_validate(
        task,
        lambda P, seed: GRU(task.input_size, M, task.output_size, seed),
        [0],
        2,
        diverged="drop",
        progress=False,
        **FIT | rates,
    ).assign(P=np.nan)


def choice_pieces() -> Iterator[tuple[dict[str, Any], Callable[[], pd.DataFrame]]]:
    """What makes each part of the table of choices, and the columns that name it; the most telling ones first."""
    named = [("animal 0", "state"), ("animal 1", "state"), *((name, "state") for name in SIMULATED)]
    named.append(("animal 0", "transition"))
    sessions = [animal(name) for name, _ in named]
    made = [TwoStep(table, shown=shown) for table, (_, shown) in zip(sessions, named, strict=True)]  # type: ignore[arg-type]
    abouts = [{"animal": name, "shown": shown} for name, shown in named]
    recorded = list(zip(abouts[:2], made[:2], strict=True))
    for P in (0, 1, 2, 3):
        for about, task in zip(abouts[: 2 if P == 3 else 4], made, strict=False):
            yield about | {"model": f"P = {P}"}, partial(choices, task, P)
    for about, task in recorded:
        for terms in theory.TERMS:
            yield about | {"model": f"logistic, {terms}"}, partial(theory.fit_choices, task, terms)
        for kind in ("model-free", "model-based", "both"):
            yield about | {"model": f"learner, {kind}"}, partial(theory.fit_reinforcement, task, kind)
        yield about | {"model": "P = 8"}, partial(choices, task, 8)
    for about, table in zip(abouts[:2], sessions, strict=False):
        yield about | {"model": "GRU"}, partial(gru, table, "state")
    for about, task in recorded:
        yield about | {"model": "P = 4"}, partial(choices, task, 4)
    for P in SIZES:
        yield abouts[4] | {"model": f"P = {P}"}, partial(choices, made[4], P)


def power_pieces(sets: int = 3) -> Iterator[tuple[dict[str, Any], Callable[[], pd.DataFrame]]]:
    """For each size of a recording and strength of the gate, some simulated ones."""
    for trials, units, strength in POWER:
        for seed in range(sets):
            about = {"trials": trials, "units": units, "strength": strength, "set": seed}
            yield about, partial(power, trials, units, strength, seed)


def power(trials: int, units: int, strength: float, seed: int) -> pd.DataFrame:
    """Nets with P = 0, 1, 2 and M = 6 on one simulated recording: bits a spike of each block of trials held out."""
    net = theory.selecting_net(units, strength or 0.5, gated=strength > 0, seed=seed)
    task = theory.simulate_spikes(net, trials, seed=seed, block=max(4, trials // 30))  # enough blocks for folds
    found = cross_validate(task, 6, [0, 1, 2], 2, init=SPIKES, diverged="drop", progress=False, **SPIKES_FIT)
    rate = float(task.target.mean())  # deviance is twice the nats a bin
    return found.assign(bits=found.deviance / (2 * np.log(2) * rate)).drop(columns="deviance")


def recovery_pieces(sets: int = 3) -> Iterator[tuple[dict[str, Any], Callable[[], pd.DataFrame]]]:
    """The paper's own setting, simulated at its size, with a gate and without."""
    for strength in (0.5, 0.0):
        for seed in range(sets):
            yield {"strength": strength, "set": seed}, partial(recovery, strength, seed)


def recovery(strength: float, seed: int) -> pd.DataFrame:
    """Nets with M = 6 on both: deviance a bin of a unit, and how often the choice is right."""
    longer = SPIKES_FIT | {"steps": 600}
    task = spikes_and_choices(strength, seed)
    return cross_validate(task, 6, [0, 1, 2], 2, init=SPIKES, diverged="drop", progress=False, **longer)


def spikes_and_choices(strength: float, seed: int, trials: int = 479) -> Arrays:
    """Spike counts of 29 units and, by a linear readout, the choice, once the stimuli have come.

    The choice is the sign of the stimulus that the rule selects, whether the rates hold it (`strength`) or not.
    """
    net = theory.selecting_net(29, strength or 0.5, gated=strength > 0, seed=seed)
    spikes = theory.simulate_spikes(net, trials, seed)
    came = [int(spikes.s[0, :, i].abs().argmax()) for i in (0, 2)]  # steps of the rule and of the stimuli
    rule, one, other = spikes.s[:, came[0], 0], spikes.s[:, came[1], 2], spikes.s[:, came[1], 3]
    choice = (torch.where(rule > 0, one, other) > 0).to(spikes.target.dtype)
    both = torch.cat([spikes.target, choice[:, None, None].expand(-1, spikes.target.shape[1], 1)], 2)
    read = (torch.arange(both.shape[1]) > came[1]).expand(len(both), -1).float()
    heads = (Head("deviance", 29, "poisson"), Head("choice", 2, "cross_entropy"))
    offset = torch.nn.functional.pad(spikes.offset, (0, 2))  # type: ignore[arg-type]
    return Arrays(spikes.s, both, "every", spikes.group, (0.1, 0.2), heads=heads, offset=offset, weight=read)


def unit_pieces(starts: int = 6) -> Iterator[tuple[dict[str, Any], Callable[[], pd.DataFrame]]]:
    """P = 1 on all training sessions of each animal: what the one unit does."""
    for name in ("animal 0", "animal 1", "one kink"):
        yield {"animal": name}, partial(units, name, starts)


def units(name: str, starts: int) -> pd.DataFrame:
    """Of each start: what `theory.read_unit` finds."""
    task = TwoStep(animal(name))
    nets = [ALRNN(task.input_size, M, 1, task.output_size, seed, START) for seed in range(starts)]
    history = fit(nets, task, progress=False, **FIT | {"lr": 5e-3})
    rows = [theory.read_unit(net, task).assign(seed=net.seed) for net in nets]
    loss = history.loss[-25:].mean(0, dtype=float)
    return pd.concat(rows).assign(train_loss=lambda table: loss[table.seed])


PIECES: dict[str, Callable[[], Pieces]] = {
    "choices": choice_pieces,
    "power": power_pieces,
    "recovery": recovery_pieces,
    "units": unit_pieces,
}

if __name__ == "__main__":
    command(__doc__, PIECES)
