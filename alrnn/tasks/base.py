"""What a task is: what is sampled, the target, the steps that count, what is minimised and what is reported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from ..checks import integer, kept
from .losses import METRIC, OBJECTIVE, Head, Metric, Objective, Score, error, measure, weighted

# Generator seeds of data. Those of weights are below 1e9, and torch looks at 32 bits only: no two streams coincide.
HELD_OUT: dict[Literal["validation", "test"], int] = {"validation": 1_000_000_007, "test": 1_000_000_009}
TRAINING = 2_000_000_000  # plus the net's seed


class Answer(Protocol):
    """Outputs of K nets and, where the kind has them, their states: `alrnn.nets.Output`."""

    @property
    def y(self) -> Tensor: ...
    @property
    def z(self) -> Tensor | None: ...


@dataclass
class Batch:
    """Sequences with what is asked of L of their T steps. Leading dimension K optional, one entry per net.

    s: input (B, T, N), or words (B, T): one-hot inputs by number, -1 before a text begins.
    target: (B, L, O) for squared error and counts, class numbers (B, L) for cross-entropy, (B, L, columns) for heads.
    weight: (B, L), how much each step counts, or (B, L, O), each step and output.
    info: named facts per trial, (B, ...), for slicing, plots and losses that want them.
    at: (B, L), the steps that are read; the last L by default.
    given: a decoder's input, symbols (B, L) or numbers (B, L, given_size).
    offset: (B, L, O), added to y before anything is made of it.
    """

    s: Tensor
    target: Tensor
    weight: Tensor
    info: dict[str, Tensor] = field(default_factory=dict)
    at: Tensor | None = None
    given: Tensor | None = None
    offset: Tensor | None = None

    def __len__(self) -> int:
        return self.s.shape[self.stacked]

    @property
    def stacked(self) -> bool:
        """Whether each net has sequences of its own: K is in front."""
        return self.s.dim() == (4 if self.s.is_floating_point() else 3)

    @property
    def steps(self) -> int:
        """T."""
        return self.s.shape[-2 if self.s.is_floating_point() else -1]

    @property
    def per_output(self) -> bool:
        """Whether `weight` is (B, L, O)."""
        return self.weight.dim() - self.stacked == 3

    @property
    def last(self) -> int:
        """L, the number of steps that are read."""
        return self.weight.shape[-2 if self.per_output else -1]

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A batch of function(x) for each of its tensors."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "info"}
        made: dict[str, Any] = {name: None if x is None else function(x) for name, x in given.items()}
        return Batch(**made, info={name: function(x) for name, x in self.info.items()})

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> Batch:
        """The trials with these indices, one or many, as a batch; of a batch without a net dimension."""
        if self.stacked:
            raise ValueError("trials are picked from a batch that all nets share, not from one with a net dimension")
        which = index if isinstance(index, slice) else torch.atleast_1d(torch.as_tensor(index))
        return self.map(lambda x: x[which])

    def split(self, size: int) -> Iterator[Batch]:
        """`size` trials at a time."""
        for start in range(0, len(self), size):
            many = min(size, len(self) - start)
            yield self.map(lambda x: x.narrow(int(self.stacked), start, many))  # noqa: B023, used at once

    def window(self, start: int, stop: int) -> Batch:
        """Steps start to stop - 1 of sequences that have a target at every step."""
        if self.at is not None or self.given is not None or self.last != self.steps:
            raise ValueError(f"only sequences with a target at each of their T = {self.steps} steps can be windowed")
        step, many = 1 + self.stacked, stop - start
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("info", "at", "given")}
        cut: dict[str, Any] = {n: None if x is None else x.narrow(step, start, many) for n, x in parts.items()}
        return replace(self, **cut)

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """As Tensor.to; words and class numbers keep their dtype, facts in info, too."""
        weight = self.weight.to(*args, **kwargs)
        there = weight.device
        moved = self.map(lambda x: x.to(*args, **kwargs) if x.is_floating_point() else x.to(there))
        return replace(moved, info={name: x.to(there) for name, x in self.info.items()})

    @staticmethod
    def per_net(batches: Sequence[Batch], index: Tensor) -> Batch:
        """One batch per net, s (K, B, T, N) and so on: net k gets batches[index[k]].

        Raises:
            ValueError: batches that differ in shape or in what they hold.
        """
        first = batches[0]

        def joined(name: str, parts: Sequence[Tensor | None]) -> Tensor | None:
            shapes = [None if x is None else tuple(x.shape) for x in parts]
            if len(set(shapes)) > 1:
                raise ValueError(f"batches of nets trained together must have equal shapes, {name} has {shapes}")
            return None if parts[0] is None else torch.stack(parts).index_select(0, index)  # type: ignore[arg-type]

        if any(b.info.keys() != first.info.keys() for b in batches):
            raise ValueError(f"info must name the same facts in every batch, got {[list(b.info) for b in batches]}")
        names = [f.name for f in fields(first) if f.name != "info"]
        parts: dict[str, Any] = {name: joined(name, [getattr(b, name) for b in batches]) for name in names}
        return Batch(**parts, info={n: joined(n, [b.info[n] for b in batches]) for n in first.info})  # type: ignore

    def read(self, y: Tensor) -> Tensor:
        """Of y (..., T, O), or of the last L steps or more, what is read, (..., L, O), with the offset added."""
        if self.at is not None and y.shape[-2] != self.last:
            at = self.at[..., None].expand(*y.shape[:-2], self.last, y.shape[-1])
            y = y.gather(-2, at)
        if y.shape[-2] > self.last:  # else no copy and, on the way back, no zeros
            y = y[..., -self.last :, :]
        return y if self.offset is None else y + self.offset


class Task:
    """A task. Subclasses set the attributes, keep the arguments they are made with by name, and implement `sample`.

    name: by default that of the class. inputs: "words" where s holds words. chance: the score of the best constant.
    given_size: how many symbols, or columns, `Batch.given` has for a decoder, whose setting is the same; 0: none.
    metric: what is reported: "mse", "accuracy", "cross_entropy", "bits" or "deviance" (`alrnn.tasks.losses`).
    objective: what is minimised; by default what goes with the metric.
    heads: instead of both, several groups of outputs with an objective and a metric of their own; the first is the
        main one. What is minimised is the sum of theirs, weighted.
    """

    name: str = "task"
    paper: ClassVar[str] = ""
    tags: ClassVar[tuple[str, ...]] = ()
    inputs: Literal["numbers", "words"] = "numbers"
    input_size: int
    output_size: int
    given_size: int = 0
    chance: float = float("nan")
    metric: Metric = "mse"
    objective: Objective | None = None
    heads: tuple[Head, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):  # one that asks otherwise is not the task it is made of
            cls.name = cls.__name__

    def settings(self) -> dict[str, Any]:
        """The arguments this task was made with, by name."""
        return kept(self)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n training sequences, drawn with this (CPU) generator."""
        raise NotImplementedError

    def held_out(self, split: Literal["validation", "test"], n: int = 10_000) -> Batch:
        """n sequences for choosing ("validation") or reporting ("test"): always the same, never trained on."""
        return self.sample(n, torch.Generator().manual_seed(HELD_OUT[known(split)]))

    def loss(self, output: Answer | Tensor, batch: Batch) -> Tensor:
        """What is minimised, for each net: the objective, averaged over the weighted steps (and outputs).

        Args:
            output: of K nets, y (K, B, L, O) and so on, or y alone, at all T steps or at the L that are read; without
                a net dimension, too, (B, T, O) -> (). What a task wants of the states it finds in output.z.

        Returns:
            (K,).
        """
        total: Tensor | float = 0.0
        for head, y, target, weight in self._parts(output, batch):
            x, per_output = self._steps(error(head.objective, y, target), head, batch)
            top, count = weighted(x, weight, per_output)
            count = count.where(count > 0, 1)  # where nothing is asked, as in some windows, nothing is lost
            total = total + top / count if head.weight == 1 else total + head.weight * top / count
        return total  # type: ignore[return-value]

    def scores(self, output: Answer | Tensor, batch: Batch) -> dict[str, Score]:
        """What is reported, for each net, by name, the main one first: sums and counts, so that parts can be added up.

        Arguments as for `loss`. A penalty added in `loss` is not in it.
        """
        found = {}
        for head, y, target, weight in self._parts(output, batch):
            metric = head.metric or METRIC[head.objective]
            x, per_output = self._steps(measure(metric, y, target), head, batch)
            top, count = weighted(x, weight, per_output, torch.float64)
            better: Literal["higher", "lower"] = "higher" if metric == "accuracy" else "lower"
            found[head.name] = Score(top, count.expand(top.shape), better)
        return found

    def score(self, output: Answer | Tensor, batch: Batch) -> Tensor:
        """The main score of each net, (K,), or () without a net dimension."""
        return next(iter(self.scores(output, batch).values())).value

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Whether a higher or a lower main score is better."""
        metric = (self.heads[0].metric or METRIC[self.heads[0].objective]) if self.heads else self.metric
        return "higher" if metric == "accuracy" else "lower"

    def _parts(self, output: Answer | Tensor, batch: Batch) -> Iterator[tuple[Head, Tensor, Tensor, Tensor]]:
        """Each head with its outputs, target and weight."""
        y = batch.read(output if isinstance(output, Tensor) else output.y)
        if not self.heads:
            metric = self.metric
            if metric not in OBJECTIVE:
                raise ValueError(f"metric of {self.name} must be one of {', '.join(OBJECTIVE)}, got {metric!r}")
            whole = Head(metric, y.shape[-1], self.objective or OBJECTIVE[metric], 1.0, metric)
            yield whole, y, batch.target, batch.weight
            return
        out = column = 0
        for head in self.heads:
            target = batch.target[..., column : column + head.columns]
            classes = head.objective == "cross_entropy"
            weight = batch.weight[..., out : out + head.outputs] if batch.per_output else batch.weight
            yield (
                head,
                y[..., out : out + head.outputs],
                target[..., 0].long() if classes else target,
                weight.mean(-1) if classes and batch.per_output else weight,
            )
            out, column = out + head.outputs, column + head.columns

    def _steps(self, x: Tensor, head: Head, batch: Batch) -> tuple[Tensor, bool]:
        """Errors as `weighted` wants them, and whether its weights are for each output."""
        if head.objective == "cross_entropy":
            if batch.per_output and not self.heads:
                raise ValueError("weights of classes must be (B, L): a class is one answer, not one for each output")
            return x, False
        return (x, True) if batch.per_output else (x.mean(-1), False)


def known(split: str) -> Literal["validation", "test"]:
    """The split, if there is such a held-out one; else one clear error."""
    if split not in HELD_OUT:
        raise ValueError(f"split must be validation or test, got {split!r}")
    return split  # type: ignore[return-value]


class Recorded(Task):
    """A task on examples that there are, not drawn from a rule; for own arrays there is `Arrays`.

    Subclasses give `parts`, the examples of each split, and make a `_batch` of some of them: _batch(split, index) with
    index (n,), places in that split. Training draws with replacement; held-out examples come in the order of `parts`.
    """

    _given: frozenset[str] = frozenset()  # cached properties that somebody has set

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if self._cached(name):  # not by reading: cached_property writes past this
            super().__setattr__("_given", self._given | {name})

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read: it is read again where it is needed, so that what travels carries no data."""
        return {name: x for name, x in vars(self).items() if name in self._given or not self._cached(name)}

    def _cached(self, name: str) -> bool:
        return isinstance(inspect.getattr_static(type(self), name, None), cached_property)

    @cached_property
    def parts(self) -> Mapping[str, tuple[Tensor, ...]]:
        """Split -> tensors with one entry per example, the labels last; held-out examples in mixed order."""
        raise NotImplementedError

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n training examples drawn with replacement."""
        return self._batch("train", torch.randint(len(self.parts["train"][-1]), (n,), generator=generator))

    def held_out(self, split: Literal["validation", "test"], n: int | None = None) -> Batch:
        """The first n held-out examples, all of them by default."""
        here = len(self.parts[known(split)][-1])
        return self._batch(split, torch.arange(here if n is None else integer("n", n, 1, here)))

    def _batch(self, split: str, index: Tensor) -> Batch:
        raise NotImplementedError
