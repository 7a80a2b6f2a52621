"""The full-size experiments behind `data/results/`, one row a net, stopped and resumed at will."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from ..nets import torch_nets as baselines
from ..nets.torch_nets import MODELS
from ..checks import integer
from ..nets.almost_linear import Init
from ..tasks import (
    Adding,
    FixedCopy,
    RuleInversion,
    Sentiment,
    SequentialMNIST,
    SpokenDigits,
    Task,
    TwoModality,
    VariableCopy,
)
from ..train import describe, sweep


@dataclass(frozen=True)
class Experiment:
    """Nets of one size on one task, for each P and seed from one start; or, with `models`, baselines of equal size."""

    task: Task
    M: int
    sizes: Sequence[int] = ()
    init: Init = field(default_factory=Init)
    models: Sequence[str] = ()
    fit: dict[str, Any] = field(default_factory=dict)  # settings of `alrnn.fit`

    def settings(self, kind: int | str, seed: int) -> dict[str, Any]:
        """The settings of one net, as they stand in its row; kind is P or the name of a baseline."""
        if isinstance(kind, str):
            return baselines.settings(kind, self.task, self.M, seed, **self.fit)
        return describe(self.task, self.M, kind, seed, self.init, **self.fit)

    def with_sizes(self, sizes: Sequence[int]) -> Experiment:
        """The same for other P, as far as they fit; one that is about P = M alone stays so."""
        alone = list(self.sizes) == [self.M]
        return replace(self, sizes=[P for P in sizes if (P == self.M if alone else P <= self.M) and self.sizes])

    def train(self, kinds: Sequence[int | str], seeds: Sequence[int]) -> pd.DataFrame:
        """Train nets of each kind and seed, AL-RNNs in one pass; their rows."""
        if isinstance(kinds[0], str):
            rows = [baselines.train(k, self.task, self.M, s, False, **self.fit) for s in seeds for k in map(str, kinds)]
            return pd.concat(rows)
        sizes = [int(kind) for kind in kinds]
        return sweep(self.task, self.M, sizes, seeds, self.init, diverged="drop", progress=False, **self.fit).table


Net = tuple[Experiment, int | str, int]  # with its kind and seed


def _fair(
    task: Task, M: int, sizes: Sequence[int], init: Init, fit: dict[str, Any], models: Sequence[str] = tuple(MODELS)
) -> Iterator[Experiment]:
    """A sweep over P from this start, P = M also without the identity on its ReLUs, and baselines."""
    yield Experiment(task, M, sizes, init, fit=fit)
    yield Experiment(task, M, [M], replace(init, pwl=0.0), fit=fit)
    yield Experiment(task, M, models=models, fit=fit)


def adding() -> Iterator[Experiment]:
    """T = 100 at M = 50, T = 200 at M = 20; both conventions for the marks. Five units start as integrators."""
    start = Init("slow", units=5, pwl=1.0, C=0.5, threshold=-0.3)
    for T, M, steps in ((100, 50, 2500), (200, 20, 3000)):
        for task in (Adding(T), Adding(T, "halves", blank=1)):
            yield from _fair(task, M, [0, 1, 2, 5, 10, M], start, {"steps": steps, "lr": 5e-3})


def context() -> Iterator[Experiment]:
    """Rule inversion, T = 101, at M = 10 and 20 (baselines: 10); two modalities, T = 50, at M = 20."""
    inversion, start, fit = RuleInversion(101), Init("slow", pwl=1.0, C=0.2), {"steps": 2500, "lr": 5e-3}
    yield from _fair(inversion, 10, [0, 1, 2, 3, 5, 10], start, fit)
    yield from _fair(inversion, 20, [0, 1, 2, 5, 10, 20], start, fit, models=())
    start, fit = Init("slow", pwl=1.0, C=0.3), {"steps": 1000, "lr": 5e-3}
    yield from _fair(TwoModality(50), 20, [0, 1, 2, 5, 10, 20], start, fit)


def copy() -> Iterator[Experiment]:
    """Fixed delay of 100 from rotations; variable delay with a growing number of symbols, and then the authors' delay
    of 50 and window of 50, from holding units. M = 50.

    Rotations are for linear units, so with the fixed delay the identity is on the ReLUs at P = M alone, and there P = M
    also starts from opposite pairs, which can rotate.
    """
    turning, fit = Init("rotation", C=0.1, W=0.0), {"steps": 400, "lr": 3e-3}
    yield Experiment(FixedCopy(8, 100), 50, [0, 1, 3, 5, 10, 20, 50], turning, fit=fit)
    yield Experiment(FixedCopy(8, 100), 50, [50], replace(turning, pwl=1.0), fit=fit)
    yield Experiment(FixedCopy(8, 100), 50, [50], replace(turning, opposite=50), fit=fit)
    yield Experiment(FixedCopy(8, 100), 50, models=tuple(MODELS), fit=fit)
    holding, fit = Init("slow", pwl=1.0, W=0.05, C=0.3), {"steps": 1200, "lr": 2e-2}
    for symbols in (2, 3, 4, 5):
        yield from _fair(VariableCopy(symbols, 10, 10), 50, [0, 1, 2, 4, 8, 16, 32, 50], holding, fit)
    # Over so many steps noise in W grows beyond bounds, and small inputs take long to be learned.
    holding, fit = Init("slow", pwl=1.0, C=2.0), {"steps": 1500, "lr": 5e-3}
    yield from _fair(VariableCopy(5, 50, 50), 50, [0, 1, 3, 5, 10, 25, 50], holding, fit)


def smnist() -> Iterator[Experiment]:
    """All of MNIST by rows (28 steps), by pixels at 14 x 14 (196) and by the 784 raw pixels; M = 50.

    By rows from slow units; by pixels from rotations that see the image's slowest waves. P = M also starts from
    opposite pairs, which can do both.
    """
    slow = Init("slow", value=0.95)
    waves = {size: Init("rotation", angles=image_angles(size, 25), W=1e-3) for size in (14, 28)}
    for task, start, pwl, lr in (
        (SequentialMNIST("row", data="mnist"), slow, 0.0, 1e-2),
        (SequentialMNIST("pixel", 14, "mnist"), waves[14], 1.0, 3e-3),
        (SequentialMNIST("pixel", 28, "mnist"), waves[28], 1.0, 1.5e-3),
    ):
        fit = {"steps": 3000, "batch_size": 128, "clip": 1.0, "lr": lr}
        yield Experiment(task, 50, [0, 1, 5, 10, 25, 50], replace(start, pwl=pwl), fit=fit)
        yield Experiment(task, 50, [50], replace(start, pwl=1.0 - pwl), fit=fit)
        yield Experiment(task, 50, [50], replace(start, opposite=50), fit=fit)
        yield Experiment(task, 50, models=tuple(MODELS), fit=fit)


def image_angles(size: int, count: int) -> tuple[float, ...]:
    """Radians a step, for rotations that see the `count` slowest waves of an image of size x size, read by pixel.

    A wave of j cycles along each row and k down the rows turns by 2 pi (j + k / size) / size from one pixel to the
    next. A linear pair that turns so holds at the end, nearly, the image's Fourier coefficient (j, k).
    """
    half = size // 2
    waves = [(j, k) for j in range(half) for k in range(-half, half) if j or k >= 0]  # (-j, -k) is the same wave
    slowest = sorted(waves, key=lambda wave: math.hypot(*wave))[:count]
    return tuple(2 * math.pi * (j / size + k / size**2) for j, k in slowest)


def spoken_digits() -> Iterator[Experiment]:
    """All 180 training recordings of each digit, and 10 of each. Time constants of 2 to 60 steps, PWL units leaky."""
    start, fit = Init("spread", pwl=0.9), {"steps": 1000, "lr": 1e-2, "clip": 1.0}
    for clips in (None, 10):
        yield from _fair(SpokenDigits(clips=clips), 40, [0, 1, 2, 5, 10, 20, 40], start, fit)


def sentiment() -> Iterator[Experiment]:
    """Film reviews, 8,000 words, the last 200 of each; two passes over them. M = 16, from leaky units.

    With M = 1 it is one sum of word weights, a bag of words, that may also learn to forget.
    """
    task, start = Sentiment(), Init("slow", value=0.98, pwl=0.98)
    fit = {"steps": 700, "lr": 5e-3, "clip": 1.0}
    yield from _fair(task, 16, [0, 1, 2, 5, 8, 16], start, fit)
    yield Experiment(task, 1, [0], start, fit=fit)


EXPERIMENTS = {
    "adding": adding,
    "context": context,
    "copy": copy,
    "smnist": smnist,
    "spoken-digits": spoken_digits,
    "sentiment": sentiment,
}
SEEDS = {"smnist": 3, "sentiment": 3}  # of AL-RNNs, where the usual 10 cost too much


def run(
    experiments: Iterable[Experiment],
    path: str | os.PathLike,
    seeds: int = 10,
    baseline_seeds: int = 3,
    jobs: int = 1,
    backend: str = "loky",
    batch: int = 40,
) -> pd.DataFrame:
    """Train what the table at `path` does not hold yet and add it there, one row a net.

    A net is known by all its settings, so nets with others live in the same table side by side. Killed at any point,
    the table is whole: each job's rows replace the file in one step. One process a table; `jobs` are for more cores.

    Args:
        seeds, baseline_seeds: how many seeds, 0, 1, ..., of AL-RNNs and of baselines.
        jobs: how many jobs run at once; what a kill can cost. backend: any of joblib's.
        batch: how many nets a job holds at most (but at least one seed with every P).

    Returns:
        the table, every entry as the text it is.

    Raises:
        ValueError: jobs below 1, nothing to train, or the file is there and is no such table.
        OSError: it cannot be written there; before any net is trained.
    """
    jobs, batch = integer("jobs", jobs, 1), integer("batch", batch, 1)
    seeds, baseline_seeds = integer("seeds", seeds, 0), integer("baseline_seeds", baseline_seeds, 0)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent} cannot be written to")
    experiments = list(experiments)
    nets: list[Net] = [(e, P, seed) for e in experiments for seed in range(seeds) for P in e.sizes]
    nets += [(e, model, seed) for e in experiments for seed in range(baseline_seeds) for model in e.models]
    if not nets:
        raise ValueError("there is nothing to train: no seeds, or no P up to M")
    rows = _text(pd.DataFrame([e.settings(kind, seed) for e, kind, seed in nets], dtype=object))  # integers stay so
    table = read(path)
    if len(table.columns) and (missing := {"model", "task", "seed", "test"} - set(table)):
        raise ValueError(f"{path} is no table of sweeps: it has no column {', '.join(sorted(missing))}")
    done = set(_keys(table.reindex(columns=rows.columns, fill_value="")))
    todo = [net for net, key in zip(nets, _keys(rows), strict=True) if key not in done]
    work = [delayed(experiment.train)(kinds, seeds) for experiment, kinds, seeds in _jobs(todo, batch)]
    bar = tqdm(total=len(nets), initial=len(nets) - len(todo), unit="net")
    with bar, Parallel(n_jobs=jobs, backend=backend) as parallel:
        for i in range(0, len(work), jobs):  # not as a generator of results, which some backends do not know
            new = []
            for result in parallel(work[i : i + jobs]):
                new.append(_text(result))
                bar.update(len(result))
            table = pd.concat([read(path), *new])  # rows that another process added stay; but see above
            columns = dict.fromkeys([*rows.columns, *table.columns])  # settings first, then results
            table = table.reindex(columns=list(columns), fill_value="").fillna("")
            _write(table[~table.duplicated(list(rows.columns))], path)
    return read(path)


def read(path: str | os.PathLike) -> pd.DataFrame:
    """The table at `path` with every entry as the text it is; empty if there is none."""
    there = os.path.exists(path) and os.path.getsize(path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("") if there else pd.DataFrame()
    return table[table["version"] != ""] if "version" in table else table  # the last column: rows without were cut off


def _text(table: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)


def _keys(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(table.itertuples(index=False, name=None))


def _write(table: pd.DataFrame, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(table.to_csv(index=False, lineterminator="\n").encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _jobs(nets: list[Net], batch: int) -> Iterator[tuple[Experiment, tuple[int | str, ...], list[int]]]:
    """Group nets into jobs: whole seeds, as many as fit `batch`, that lack the same kinds. Baselines go alone."""
    lacking: dict[tuple[int, int], list[Net]] = {}
    for net in nets:
        lacking.setdefault((id(net[0]), net[2]), []).append(net)
    groups: dict[tuple[int, tuple[int | str, ...]], tuple[Experiment, list[int]]] = {}
    for found in lacking.values():
        experiment, _, seed = found[0]
        kinds = tuple(kind for _, kind, _ in found)
        for group in [(kind,) for kind in kinds] if isinstance(kinds[0], str) else [kinds]:
            groups.setdefault((id(experiment), group), (experiment, []))[1].append(seed)
    for (_, group), (experiment, seeds) in groups.items():
        size = 1 if isinstance(group[0], str) else max(1, batch // len(group))
        yield from ((experiment, group, seeds[i : i + size]) for i in range(0, len(seeds), size))
