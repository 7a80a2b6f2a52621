"""The full-size experiments: which task, sizes, starts and settings; catalogue.toml lists them."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from .. import tasks
from ..nets import ALRNN, GRU, LSTM, RNN, EncoderDecoder, Init, Net, ReadoutALRNN
from ..nets.torch_nets import TorchNet, equal_size
from ..sweep import describe, run
from ..train.settings import DEFAULTS

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
    encoder: int | None = None  # P of the encoder, where the task feeds a decoder; by default that of the decoder
    readout: str | None = None  # of a `ReadoutALRNN`; None: `ALRNN`

    def net(self, kind: int | str, seed: int) -> Net:
        """An AL-RNN if `kind` is P, or the baseline of that name with as many parameters as the AL-RNN with P = M."""
        if not isinstance(kind, str):
            return self._own(kind, seed)
        if kind not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {kind!r}")
        model, count = MODELS[kind], self._own(self.M, 0).size()
        N, O = self.task.input_size, self.task.output_size  # noqa: E741
        return model(N, equal_size(model, N, O, count, self.task.inputs), O, seed, self.task.inputs)

    def _own(self, P: int, seed: int) -> Net:
        N, O, given = self.task.input_size, self.task.output_size, self.task.given_size  # noqa: E741
        if given:
            stop = getattr(self.task, "stop", None)
            return EncoderDecoder(N, self.M, P, O, self.encoder, given, stop, seed, self.init)
        if self.readout is None:
            return ALRNN(N, self.M, P, O, seed, self.init)
        return ReadoutALRNN(N, self.M, P, O, self.readout, seed=seed, init=self.init)  # type: ignore[arg-type]

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

    def with_M(self, M: int) -> Experiment:
        """The same with M units and the P that fit; one that is about P = M alone stays so."""
        alone = list(self.sizes) == [self.M]
        return replace(self, M=M, sizes=[M] if alone else [P for P in self.sizes if P <= M])

    def train(self, kinds: Sequence[int | str], seeds: Sequence[int]) -> pd.DataFrame:
        """Train nets of these kinds, Ps or one baseline, and seeds in one pass; their rows."""
        nets = [self.net(kind, seed) for kind in kinds for seed in seeds]
        return run(nets, self.task, diverged="drop", progress=False, **self._fit(nets[0])).table


def variants(
    experiments: Iterable[Experiment],
    M: Sequence[int] = (),
    init: Sequence[str] = (),
    rates: Sequence[float] = (1.0,),
    **fit: Sequence[Any],
) -> Iterator[Experiment]:
    """Each experiment with each of these M, kinds of start and settings of `alrnn.fit`; by default with its own.

    The learning rate, its own or a given one, is taken these `rates` times.
    """
    for e in experiments:
        own = vars(e.init) | {"angles": None, "opposite": None}
        starts = [Init(**own | {"kind": kind}) for kind in init] or [e.init]
        for m, start, rate, *values in itertools.product(M or [e.M], starts, rates, *fit.values()):
            settings = e.fit | dict(zip(fit, values, strict=True))
            if rate != 1:
                settings["lr"] = rate * settings.get("lr", DEFAULTS["lr"])
            yield replace(e.with_M(m), init=start, fit=settings)


def image_angles(size: int, count: int) -> tuple[float, ...]:
    """Radians a step, for rotations that see the `count` slowest waves of an image of size x size, read by pixel.

    A wave of j cycles along each row and k down the rows turns by 2 pi (j + k / size) / size from one pixel to the
    next. A linear pair that turns so holds at the end, nearly, the image's Fourier coefficient (j, k).
    """
    half = size // 2
    waves = [(j, k) for j in range(half) for k in range(-half, half) if j or k >= 0]  # (-j, -k) is the same wave
    slowest = sorted(waves, key=lambda wave: math.hypot(*wave))[:count]
    return tuple(2 * math.pi * (j / size + k / size**2) for j, k in slowest)


def _experiments(name: str) -> Iterator[Experiment]:
    """What catalogue.toml says of one experiment: each of its runs with each of the settings of its grid."""
    yield from variants(_runs(_CATALOGUE[name]), **_CATALOGUE[name].get("grid", {}))


def _runs(shared: dict[str, Any]) -> Iterator[Experiment]:
    """For each run the sweep over P, other starts of P = M, and baselines."""
    made: dict[str, tasks.Task] = {}  # runs on the same task share it, and its data
    every = ((x, n, draw) for x in shared["runs"] for n in x.get("few", [0]) for draw in range(shared.get("draws", 1)))
    for entry, n, draw in every:
        task, start, fit = (shared.get(part, {}) | entry.get(part, {}) for part in ("task", "start", "fit"))
        task |= {"trials": n - n // 5, "validation": n // 5, "seed": draw} if n else {}
        key, M = str(task), entry.get("M") or entry["sizes"][-1]
        if key not in made:
            few = {x: task.pop(x) for x in ("trials", "seed", "validation") if x in task}
            made[key] = getattr(tasks, task.pop("name"))(**task)
            made[key] = tasks.Fixed(made[key], **few) if few else made[key]
        if waves := start.pop("waves", None):
            start["angles"] = image_angles(waves, M // 2)
        init, kind = Init(**start), {"encoder": entry.get("encoder"), "readout": (shared | entry).get("readout")}
        yield Experiment(made[key], M, entry["sizes"], init, fit=fit, **kind)
        for other in (shared | entry).get("full", [{"pwl": 0.0}]):
            yield Experiment(made[key], M, [M], replace(init, **other), fit=fit, **kind)
        yield Experiment(made[key], M, models=(shared | entry).get("models", tuple(MODELS)), fit=fit, **kind)


_CATALOGUE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
EXPERIMENTS = {name: partial(_experiments, name) for name in _CATALOGUE}
SEEDS = {name: entry["seeds"] for name, entry in _CATALOGUE.items() if "seeds" in entry}
