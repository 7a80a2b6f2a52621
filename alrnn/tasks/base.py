"""What a task is: what is sampled, the target, the loss window, the score."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..checks import integer

# Generator seeds of data. Those of weights are below 1e9, and torch looks at 32 bits only: no two streams coincide.
HELD_OUT: dict[Literal["validation", "test"], int] = {"validation": 1_000_000_007, "test": 1_000_000_009}
TRAINING = 2_000_000_000  # plus the net's seed


@dataclass
class Batch:
    """Sequences with what is asked of the last L of their T steps. Leading dimension K optional, one entry per net.

    s: input (B, T, N), or words (B, T): one-hot inputs by number, -1 before a text begins.
    target: (B, L, O) for squared error, class numbers (B, L) for cross-entropy.
    weight: (B, L), how much each step counts. info: named facts per trial, (B, ...), for slicing and plots.
    """

    s: Tensor
    target: Tensor
    weight: Tensor
    info: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.weight.shape[-2]

    @property
    def last(self) -> int:
        """L, the number of steps at the end that carry a target."""
        return self.weight.shape[-1]

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> Batch:
        """The trials with these indices, one or many, as a batch; of a batch without a net dimension."""
        index = index if isinstance(index, slice) else torch.atleast_1d(torch.as_tensor(index))
        info = {name: value[index] for name, value in self.info.items()}
        return Batch(self.s[index], self.target[index], self.weight[index], info)

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """As Tensor.to; words and class numbers keep their dtype, info stays where it is."""
        weight = self.weight.to(*args, **kwargs)
        s, target = (
            x.to(*args, **kwargs) if x.is_floating_point() else x.to(weight.device) for x in (self.s, self.target)
        )
        return Batch(s, target, weight, self.info)

    @staticmethod
    def per_net(batches: Sequence[Batch], index: Tensor) -> Batch:
        """One batch per net, s (K, B, T, N) and so on: net k gets batches[index[k]]. Without info."""
        fields = (torch.stack([getattr(b, x) for b in batches]) for x in ("s", "target", "weight"))
        s, target, weight = (x.index_select(0, index) for x in fields)
        return Batch(s, target, weight)


class Task:
    """A task. Subclasses set the attributes, keep the arguments they are made with by name, and implement `sample`.

    inputs: "words" where s holds words. chance: the score of the best constant answer.
    metric: "mse" (lower is better) or "accuracy" (higher is better).
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    tags: ClassVar[tuple[str, ...]] = ()
    inputs: ClassVar[Literal["numbers", "words"]] = "numbers"
    input_size: int
    output_size: int
    chance: float
    metric: Literal["mse", "accuracy"]

    def settings(self) -> dict[str, Any]:
        """The arguments this task was made with, by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n training sequences, drawn with this (CPU) generator."""
        raise NotImplementedError

    def held_out(self, split: Literal["validation", "test"], n: int = 10_000) -> Batch:
        """n sequences for choosing ("validation") or reporting ("test"): always the same, never trained on."""
        if split not in HELD_OUT:
            raise ValueError(f"split must be validation or test, got {split!r}")
        return self.sample(n, torch.Generator().manual_seed(HELD_OUT[split]))

    def loss(self, y: Tensor, batch: Batch) -> Tensor:
        """Mean over the weighted steps of the squared error or the cross-entropy (nats).

        y: outputs of all steps, or of the last L at least, (B, T, O) -> (), or (K, B, T, O) -> (K,).
        """
        y = y[..., -batch.last :, :]
        if self.metric == "mse":
            if batch.target.shape[-3:] != y.shape[-3:]:
                raise ValueError(
                    f"target must end in (B, L, O) = {tuple(y.shape[-3:])}, got {tuple(batch.target.shape)}"
                )
            error = (y - batch.target).square().mean(-1)
        else:
            target = batch.target.expand(y.shape[:-1])
            error = F.cross_entropy(y.flatten(0, -2), target.flatten(), reduction="none").view(target.shape)
        return _weighted(error, batch.weight)

    def score(self, y: Tensor, batch: Batch) -> Tensor:
        """The metric over the weighted steps; y as for `loss`."""
        if self.metric == "mse":
            return self.loss(y, batch)
        return _weighted((y[..., -batch.last :, :].argmax(-1) == batch.target).to(y.dtype), batch.weight)


def _weighted(x: Tensor, weight: Tensor) -> Tensor:
    if x.shape[-2:] != weight.shape[-2:]:
        raise ValueError(f"weight must end in (B, L) = {tuple(x.shape[-2:])}, got {tuple(weight.shape)}")
    return (x * weight).sum((-2, -1)) / weight.sum((-2, -1))


class Recorded(Task):
    """A task on examples that there are, not drawn from a rule. Subclasses give `parts` and make a `_batch` of them."""

    @cached_property
    def parts(self) -> Mapping[str, tuple[Tensor, ...]]:
        """Split -> tensors with one entry per example, the labels last; held-out examples in mixed order."""
        raise NotImplementedError

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n training examples drawn with replacement."""
        return self._batch("train", torch.randint(len(self.parts["train"][-1]), (n,), generator=generator))

    def held_out(self, split: Literal["validation", "test"], n: int | None = None) -> Batch:
        """The first n held-out examples, all of them by default."""
        if split not in HELD_OUT:
            raise ValueError(f"split must be validation or test, got {split!r}")
        here = len(self.parts[split][-1])
        return self._batch(split, torch.arange(here if n is None else integer("n", n, 1, here)))

    def _batch(self, split: str, index: Tensor) -> Batch:
        raise NotImplementedError
