"""What is minimised, and what is reported: errors step by step, and scores that add up over chunks of a data set.

Objectives: "mse", squared error; "cross_entropy" of classes, nats; "poisson", negative log-likelihood of counts whose
log-rate is y, nats, without the term that does not depend on y.
Metrics: "mse" and "cross_entropy" as above; "bits", cross-entropy to base 2; "accuracy", share of right classes;
"deviance", of counts, twice the nats by which the log-likelihood falls short of that of a model that knows each count.
Higher is better for accuracy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..checks import integer

Objective = Literal["mse", "cross_entropy", "poisson"]
Metric = Literal["mse", "accuracy", "cross_entropy", "bits", "deviance"]
OBJECTIVE: dict[str, Objective] = {  # of a metric, where a task names none
    "mse": "mse",
    "accuracy": "cross_entropy",
    "cross_entropy": "cross_entropy",
    "bits": "cross_entropy",
    "deviance": "poisson",
}
METRIC: dict[str, Metric] = {"mse": "mse", "cross_entropy": "accuracy", "poisson": "deviance"}  # of a head's objective


@dataclass(frozen=True)
class Score:
    """A mean over a data set, or over a part of it: sum and count (K,), float64; scores of parts are added with +."""

    sum: Tensor
    count: Tensor
    better: Literal["higher", "lower"]

    @property
    def value(self) -> Tensor:
        """sum / count, (K,)."""
        return self.sum / self.count

    def __add__(self, other: Score) -> Score:
        return Score(self.sum + other.sum, self.count + other.count, self.better)


@dataclass(frozen=True)
class Head:
    """Some of a task's outputs with an objective of their own, weighed against the others.

    outputs: how many; heads take the outputs in order. Their columns of the target, in the same order: as many for
    "mse" and "poisson", one, the class number, for "cross_entropy". metric: by default the one that goes with it.
    """

    name: str
    outputs: int
    objective: Objective = "mse"
    weight: float = 1.0
    metric: Metric | None = None

    def __post_init__(self) -> None:
        integer(f"outputs of head {self.name}", self.outputs, 1)
        if not isinstance(self.weight, Real) or not 0 < self.weight < float("inf"):
            raise ValueError(f"weight of head {self.name} must be a number above 0 and finite, got {self.weight!r}")

    @property
    def columns(self) -> int:
        """How many columns of the target are its own."""
        return 1 if self.objective == "cross_entropy" else self.outputs


def error(objective: str, y: Tensor, target: Tensor) -> Tensor:
    """y (..., B, L, O) against the target: (..., B, L, O), or (..., B, L) for "cross_entropy"."""
    _check_target(y, target, objective == "cross_entropy")
    if objective == "cross_entropy":
        target = target.expand(y.shape[:-1])
        return F.cross_entropy(y.flatten(0, -2), target.flatten(), reduction="none").view(target.shape)
    if objective == "mse":
        return (y - target).square()
    return y.exp() - target * y


def measure(metric: str, y: Tensor, target: Tensor) -> Tensor:
    """The metric step by step, shapes as `error`."""
    if metric == "accuracy":
        _check_target(y, target, True)
        highest, answer = y.max(-1)
        return ((answer == target) & ~highest.isnan()).to(y.dtype)  # no number is no answer
    if metric == "bits":
        return error("cross_entropy", y, target) / math.log(2)
    if metric == "deviance":
        return 2 * (error("poisson", y, target) + torch.xlogy(target, target) - target)
    return error(metric, y, target)


def _check_target(y: Tensor, target: Tensor, classes: bool) -> None:
    wanted = y.shape[-3:-1] if classes else y.shape[-3:]
    if target.shape[-len(wanted) :] != wanted:
        sizes = "(B, L)" if classes else "(B, L, O)"
        raise ValueError(f"target must end in {sizes} = {tuple(wanted)}, got {tuple(target.shape)}")


def weighted(x: Tensor, weight: Tensor, per_output: bool, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Sum of x times weight over trials, steps and outputs, and the sum of the weights: (...) each.

    x: (..., B, L) or (..., B, L, O). weight: the same if `per_output`; else (..., B, L), and outputs count alike.
    """
    wanted = x.shape[-3:] if per_output else x.shape[-2:]
    dims = tuple(range(-len(wanted), 0))
    if weight.shape[-len(wanted) :] != wanted:
        raise ValueError(f"weight must end in (B, L{', O' * per_output}) = {tuple(wanted)}, got {tuple(weight.shape)}")
    return (x * weight).sum(dims, dtype=dtype), weight.sum(dims, dtype=dtype)
