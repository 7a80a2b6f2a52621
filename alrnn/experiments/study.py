"""The small search behind a statement on P: each P at its own best rate and start, and what more steps would change."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..checks import integer
from ..nets import ALRNN, Init
from ..sweep import run
from ..tasks import Task
from ..tasks.check import check_task
from .statistics import MinimalP, at_best, minimal_P

__all__ = ["STARTS", "Study", "study"]

STARTS: dict[str, Init] = {"slow": Init("slow", pwl=1.0), "opposite": Init("slow", opposite=10_000)}  # all in pairs
CHOICE = ["lr", "start"]  # what is chosen for each P, on validation data


@dataclass(frozen=True)
class Study:
    """What `study` found. Print it for a recommendation in words.

    table: every net that was trained, as in `Sweep.table`, and its start. best: those at the best rate and start of
    their P and steps. smallest: steps -> the smallest sufficient P. rates: that were tried.
    """

    table: pd.DataFrame
    best: pd.DataFrame
    smallest: dict[int, MinimalP]
    rates: tuple[float, ...]
    better: str

    @property
    def curve(self) -> pd.DataFrame:
        """The dose-response curve of the longest training: for each P its rate and start, how many seeds, and the
        median test score with its 95% bootstrap interval over seeds."""
        rows, steps = {}, max(self.smallest)
        for P, part in self.best[self.best.steps == steps].groupby("P"):
            test = part.test.to_numpy(float)
            drawn = np.median(test[np.random.default_rng(0).integers(len(test), size=(2000, len(test)))], axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            rows[P] = [part.lr.iloc[0], part.start.iloc[0], len(part), np.median(test), low, high]
        columns = ["lr", "start", "seeds", "median", "low", "high"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("P")

    def __str__(self) -> str:
        short, long, curve = min(self.smallest), max(self.smallest), self.curve
        found, before = self.smallest[long], self.smallest[short]
        scores: dict[int, float] = dict(zip(curve.index.tolist(), curve["median"].tolist(), strict=True))
        best = (max if self.better == "higher" else min)(scores, key=scores.__getitem__)
        first = min(scores)
        lines = [
            f"Smallest sufficient P after {long:,} steps: {found}.",
            f"Test score, median: {scores[first]:.3g} at P = {first}, {scores[best]:.3g} at P = {best}, the best.",
        ]
        if found.P is None:
            lines.append("None reaches the target: train longer, or with other starts, rates, or more units.")
        elif short < long and found.P != before.P:
            lines.append(f"After {short:,} steps it was {before}: it still moves with the budget, so train longer.")
        elif short < long:
            lines.append(f"After {short:,} steps it was the same: more steps will hardly change it.")
        edge = [f"{P}" for P, lr in curve.lr.items() if len(self.rates) > 1 and lr in (self.rates[0], self.rates[-1])]
        if edge:
            lines.append(f"Best at an edge of the rates: P = {', '.join(edge)}. Try rates beyond.")
        if lost := int(self.table.diverged.notna().sum()):
            lines.append(f"{lost} of {len(self.table)} nets diverged and count as the worst.")
        return "\n".join(lines)


def study(
    task: Task,
    hidden_size: int,
    nonlinear_sizes: Iterable[int] | None = None,
    seeds: int = 5,
    rates: Sequence[float] = (1.25e-3, 5e-3, 2e-2),
    starts: Mapping[str, Init] | None = None,
    steps: Sequence[int] = (500, 2000),
    tolerance: float = 0.01,
    target: float | None = None,
    progress: bool = False,
    **settings: Any,
) -> Study:
    """Train nets of each P, rate, start and seed for each of these numbers of steps, and say which P is enough.

    Each P is judged at the rate and start that are best for it on validation data; test data only report.

    Args:
        hidden_size: M. nonlinear_sizes: by default 0, 1, 2, 5, M / 4, M / 2 and M.
        starts: name -> `Init`; by default slow modes, with the identity on PWL units, or with these in opposite pairs,
            by which P = M can be a linear net of half the size.
        steps: budgets, each with a schedule of its own; the longest decides, the others say what it still changes.
        tolerance, target: of `statistics.minimal_P`, in units of the task's main score.
        settings: of `alrnn.fit`.

    Raises:
        ValueError: nothing to train, one budget twice, or as `alrnn.sweep`.
    """
    check_task(task)
    M = integer("hidden_size", hidden_size, 1)
    usual = {P for P in (0, 1, 2, 5, M // 4, M // 2, M) if P <= M}
    sizes = sorted(usual if nonlinear_sizes is None else nonlinear_sizes)
    budgets = sorted(integer("steps", n, 1) for n in steps)
    if not sizes or not budgets or not rates or len(set(budgets)) < len(budgets):
        raise ValueError("a study needs at least one P, one rate, and budgets that differ")
    grid = [(P, seed, lr) for P in sizes for seed in range(integer("seeds", seeds, 1)) for lr in rates]
    lr, tables = [rate for *_, rate in grid], []
    for n, (name, init) in itertools.product(budgets, (starts or STARTS).items()):
        nets = [ALRNN(task.input_size, M, P, task.output_size, seed, init) for P, seed, _ in grid]
        part = run(nets, task, diverged="drop", progress=progress, steps=n, lr=lr, **settings).table
        tables.append(part.assign(start=name))
    table = pd.concat(tables, ignore_index=True)
    if table.validation.isna().all():
        raise ValueError(f"all {len(table)} nets diverged: try lower rates, or a smaller clip")
    best = at_best(table, task.better, by=["P", "steps"], setting=CHOICE)
    smallest = {}
    for n in budgets:
        part = best[best.steps == n].fillna({"validation": -np.inf if task.better == "higher" else np.inf})
        smallest[n] = minimal_P(part, tolerance, task.better, target=target)
    return Study(table, best, smallest, tuple(sorted(rates)), task.better)
