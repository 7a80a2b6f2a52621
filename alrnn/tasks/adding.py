"""The adding problem: sum the two marked numbers of a stream (Hochreiter & Schmidhuber 1997)."""

from __future__ import annotations

from typing import Literal

import torch

from ..checks import integer
from .base import Batch, Task


class Adding(Task):
    """Inputs (x_t, m_t): x_t uniform on [0, 1], two marks m_t = 1. Target: the sum of the two marked x, at the end.

    Args:
        length: T, steps that carry numbers.
        marks: "first_half", both marks in the first T // 2 steps (Brenner & Koppe), or "halves", one mark in each half.
        blank: empty steps after the numbers. The readout sees the raw last state, so what enters at the last step
            cannot be gated; with "halves" the last number may be marked, and one blank step is what makes it solvable.

    chance: the variance of the target, 1/6.
    """

    name = "adding"
    paper = "Hochreiter & Schmidhuber 1997"
    tags = ("synthetic", "memory", "gating")
    input_size, output_size = 2, 1
    metric = "mse"
    chance = 1 / 6

    def __init__(self, length: int = 100, marks: Literal["first_half", "halves"] = "first_half", blank: int = 0):
        if marks not in ("first_half", "halves"):
            raise ValueError(f"marks must be first_half or halves, got {marks!r}")
        self.length, self.marks, self.blank = integer("length", length, 4), marks, integer("blank", blank, 0)
        if self.length % 2:
            raise ValueError(f"length must be even, got {length}")

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences, s (n, length + blank, 2); info: marked (n, 2), the marked steps in order."""
        T, half = self.length, self.length // 2
        x = torch.rand(n, T, generator=generator)
        first = torch.randint(half, (n,), generator=generator)
        if self.marks == "halves":
            second = half + torch.randint(half, (n,), generator=generator)
        else:
            second = (first + 1 + torch.randint(half - 1, (n,), generator=generator)) % half
        marked = torch.stack([first, second], 1).sort(1).values
        s = x.new_zeros(n, T + self.blank, 2)
        s[:, :T, 0] = x
        s[:, :, 1].scatter_(1, marked, 1.0)
        target = x.gather(1, marked).sum(1)[:, None, None]
        return Batch(s, target, torch.ones(n, 1), {"marked": marked})
