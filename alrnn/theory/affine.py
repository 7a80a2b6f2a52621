"""What linear nets and nets built by hand share: affine maps, and nets with given weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..nets import ALRNN

__all__ = ["Affine"]


@dataclass(frozen=True)
class Affine:
    """y = weights . s + bias, the form of every linear net. weights: (T, N, ...). bias: (...), the shape of y."""

    weights: Tensor
    bias: Tensor

    def __call__(self, s: Tensor) -> Tensor:
        """s (B, T, N) -> y (B, ...)."""
        return torch.tensordot(s.to(self.weights.dtype), self.weights, 2) + self.bias


def _net(P: int, **weights: Tensor | list) -> ALRNN:
    """A net with these weights, in float64; those not named are 0."""
    given: dict[str, Any] = {name: torch.as_tensor(x, dtype=torch.float64) for name, x in weights.items()}
    M = len(given["C"])
    return ALRNN.from_weights(**{"W": torch.zeros(M, M), "h": torch.zeros(M)} | given, nonlinear=P)


def _units(**sizes: int) -> tuple[int, dict[str, Tensor]]:
    """M, and the numbers of the units in each named row, in order."""
    ends = [0]
    for size in sizes.values():
        ends.append(ends[-1] + size)
    return ends[-1], {name: torch.arange(*span) for name, span in zip(sizes, pairwise(ends), strict=True)}


def _clock(W: Tensor, h: Tensor, one: Tensor, pulse: Tensor) -> None:
    """A pulse that starts with the trial and goes down a row, one unit a step; `one` is 1 from the first step on."""
    h[one] = h[pulse[0]] = 1
    W[pulse[0], one] = -1
    W[pulse[1:], pulse[:-1]] = 1
