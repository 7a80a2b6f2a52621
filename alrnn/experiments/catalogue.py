"""The full-size experiments: which task, sizes, starts and settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from .. import tasks
from ..nets import ALRNN, GRU, LSTM, RNN, Init, Net
from ..nets.torch_nets import TorchNet, equal_size
from ..sweep import describe, run

MODELS: dict[str, type[TorchNet]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


@dataclass(frozen=True, eq=False)  # each is itself alone, so that nets can be grouped by it
class Experiment:
    """Nets of one size on one task, for each P and seed from one start; or, with `models`, baselines of equal size."""

    task: tasks.Task
    M: int
    sizes: Sequence[int] = ()
    init: Init = field(default_factory=Init)
    models: Sequence[str] = ()
    fit: dict[str, Any] = field(default_factory=dict)  # settings of `alrnn.fit`

    def net(self, kind: int | str, seed: int) -> Net:
        """An AL-RNN if `kind` is P; or a baseline by name, with as many parameters as the AL-RNN with P = M."""
        N, O = self.task.input_size, self.task.output_size  # noqa: E741
        if not isinstance(kind, str):
            return ALRNN(N, self.M, kind, O, seed, self.init)
        if kind not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {kind!r}")
        model, count = MODELS[kind], ALRNN(N, self.M, self.M, O).size()
        return model(N, equal_size(model, N, O, count, self.task.inputs), O, seed, self.task.inputs)

    def settings(self, kind: int | str, seed: int) -> dict[str, Any]:
        """The settings of one net, as they stand in its row; kind is P or the name of a baseline."""
        net = self.net(kind, seed)
        return describe(net, self.task, **self._fit(net))

    def _fit(self, net: Net) -> dict[str, Any]:
        """What only AL-RNNs have is passed over for baselines."""
        return {name: value for name, value in self.fit.items() if net.maps or name not in ("tau", "regularised")}

    def with_sizes(self, sizes: Sequence[int]) -> Experiment:
        """The same for other P, as far as they fit; one that is about P = M alone stays so."""
        alone = list(self.sizes) == [self.M]
        return replace(self, sizes=[P for P in sizes if (P == self.M if alone else P <= self.M) and self.sizes])

    def train(self, kinds: Sequence[int | str], seeds: Sequence[int]) -> pd.DataFrame:
        """Train nets of these kinds, Ps or one baseline, and seeds in one pass; their rows."""
        nets = [self.net(kind, seed) for kind in kinds for seed in seeds]
        return run(nets, self.task, diverged="drop", progress=False, **self._fit(nets[0])).table


def _fair(
    task: tasks.Task, sizes: Sequence[int], init: Init, models: Sequence[str] = tuple(MODELS), turn: bool = False, **fit
) -> Iterator[Experiment]:
    """A sweep over P, up to M, the last of `sizes`, and baselines.

    P = M also starts without the identity on its ReLUs, or with it where `init` has none; and, if it is to `turn`, from
    opposite pairs, which can rotate.
    """
    M = sizes[-1]
    yield Experiment(task, M, sizes, init, fit=fit)
    yield Experiment(task, M, [M], replace(init, pwl=0.0 if init.pwl else 1.0), fit=fit)
    if turn:
        yield Experiment(task, M, [M], replace(init, pwl=0.0, opposite=M), fit=fit)
    yield Experiment(task, M, models=models, fit=fit)


def adding() -> Iterator[Experiment]:
    """T = 100 at M = 50, T = 200 at M = 20; both conventions for the marks. Five units start as integrators."""
    start = Init("slow", units=5, pwl=1.0, C=0.5, threshold=-0.3)
    for T, M, steps in ((100, 50, 2500), (200, 20, 3000)):
        for task in (tasks.Adding(T), tasks.Adding(T, "halves", blank=1)):
            yield from _fair(task, [0, 1, 2, 5, 10, M], start, steps=steps, lr=5e-3)


def context() -> Iterator[Experiment]:
    """Rule inversion, T = 101, at M = 10 and 20 (baselines: 10); two modalities, T = 50, at M = 20."""
    inversion, start = tasks.RuleInversion(101), Init("slow", pwl=1.0, C=0.2)
    yield from _fair(inversion, [0, 1, 2, 3, 5, 10], start, steps=2500, lr=5e-3)
    yield from _fair(inversion, [0, 1, 2, 5, 10, 20], start, models=(), steps=2500, lr=5e-3)
    yield from _fair(tasks.TwoModality(50), [0, 1, 2, 5, 10, 20], replace(start, C=0.3), steps=1000, lr=5e-3)


def copy() -> Iterator[Experiment]:
    """Fixed delay of 100 from rotations; variable delay with a growing number of symbols, and then the authors' delay
    of 50 and window of 50, from holding units. M = 50.

    Rotations are for linear units, so with the fixed delay the identity is on the ReLUs at P = M alone, and there P = M
    also starts from opposite pairs.
    """
    turning = Init("rotation", C=0.1, W=0.0)
    yield from _fair(tasks.FixedCopy(8, 100), [0, 1, 3, 5, 10, 20, 50], turning, turn=True, steps=400, lr=3e-3)
    holding = Init("slow", pwl=1.0, W=0.05, C=0.3)
    for symbols in (2, 3, 4, 5):
        task = tasks.VariableCopy(symbols, 10, 10)
        yield from _fair(task, [0, 1, 2, 4, 8, 16, 32, 50], holding, steps=1200, lr=2e-2)
    # Over so many steps noise in W grows beyond bounds, and small inputs take long to be learned.
    holding = Init("slow", pwl=1.0, C=2.0)
    yield from _fair(tasks.VariableCopy(5, 50, 50), [0, 1, 3, 5, 10, 25, 50], holding, steps=1500, lr=5e-3)


def smnist() -> Iterator[Experiment]:
    """All of MNIST by rows (28 steps), by pixels at 14 x 14 (196) and by the 784 raw pixels; M = 50.

    By rows from slow units; by pixels from rotations that see the image's slowest waves. P = M also starts from
    opposite pairs, which can do both.
    """
    waves = {size: Init("rotation", angles=image_angles(size, 25), W=1e-3, pwl=1.0) for size in (14, 28)}
    for task, start, lr in (
        (tasks.SequentialMNIST("row", data="mnist"), Init("slow", value=0.95), 1e-2),
        (tasks.SequentialMNIST("pixel", 14, "mnist"), waves[14], 3e-3),
        (tasks.SequentialMNIST("pixel", 28, "mnist"), waves[28], 1.5e-3),
    ):
        fit: dict[str, Any] = {"steps": 3000, "batch_size": 128, "clip": 1.0, "lr": lr}
        yield from _fair(task, [0, 1, 5, 10, 25, 50], start, turn=True, **fit)


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
    for clips in (None, 10):
        task, start = tasks.SpokenDigits(clips=clips), Init("spread", pwl=0.9)
        yield from _fair(task, [0, 1, 2, 5, 10, 20, 40], start, steps=1000, lr=1e-2, clip=1.0)


def sentiment() -> Iterator[Experiment]:
    """Film reviews, 8,000 words, the last 200 of each; two passes over them. M = 16, from leaky units.

    With M = 1 it is one sum of word weights, a bag of words, that may also learn to forget.
    """
    task, start = tasks.Sentiment(), Init("slow", value=0.98, pwl=0.98)
    fit: dict[str, Any] = {"steps": 700, "lr": 5e-3, "clip": 1.0}
    yield from _fair(task, [0, 1, 2, 5, 8, 16], start, **fit)
    yield Experiment(task, 1, [0], start, fit=fit)


_ALL = (adding, context, copy, smnist, spoken_digits, sentiment)
EXPERIMENTS = {make.__name__.replace("_", "-"): make for make in _ALL}
SEEDS = {"smnist": 3, "sentiment": 3}  # of AL-RNNs, where the usual 10 cost too much
