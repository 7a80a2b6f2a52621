"""A1: linear memory, and the floor of adding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..nets import ALRNN
from ..tasks import Adding
from ..tasks.base import Batch
from ..theory import mark_probabilities, marked_sum_floor
from . import core
from .core import Answers, Question, Wrong, near


class MarkedSum(Adding):
    """`tasks.Adding` with numbers uniform on [low, high] and one blank step; target: the sum of the two marked."""

    name = "marked_sum"

    def __init__(self, length: int, marks: Literal["first_half", "halves"], low: float, high: float):
        super().__init__(length, marks, blank=1)
        self.low, self.high = low, high
        self.chance = (high - low) ** 2 / 6

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences, as of Adding, on the other interval."""
        batch = super().sample(n, generator)
        s = batch.s.clone()
        s[:, : self.length, 0] = self.low + (self.high - self.low) * s[:, : self.length, 0]
        return Batch(s, (s[..., 0] * s[..., 1]).sum(1)[:, None, None], batch.weight, batch.info)


@dataclass(frozen=True)
class A1(core.Variant):
    """steps, share: a memory must keep this share for so many steps. T, marks, low, high: the numbers of `task`."""

    steps: int
    share: float
    T: int
    marks: Literal["first_half", "halves"]
    low: int
    high: int

    @property
    def task(self) -> MarkedSum:
        """The task, with numbers uniform on [low, high]."""
        return MarkedSum(self.T, self.marks, self.low, self.high)


def draw(id: str, rng: np.random.Generator) -> A1:
    """The numbers of one student."""
    low = int(rng.integers(-3, 4))
    marks: Literal["first_half", "halves"] = "first_half" if rng.integers(2) else "halves"
    return A1(
        "A1", id, int(rng.integers(20, 400)), float(rng.integers(2, 19)) / 20, 2 * int(rng.integers(6, 21)), marks,
        low, low + int(rng.integers(2, 6)),
    )  # fmt: skip


def _floor(v: A1) -> float:
    return marked_sum_floor(mark_probabilities(v.T, v.marks), (v.high - v.low) ** 2 / 12)


def _memory(a: Answers, v: A1) -> None:
    value, tau = core.number(a, "eigenvalue"), core.number(a, "time_constant")
    right = v.share ** (1 / v.steps)
    if near(value, v.share, 1e-6):
        raise Wrong("That is the share after all the steps. What factor, multiplied so many times, gives it?")
    if abs(value) >= 1:
        raise Wrong("With an eigenvalue of 1 or more nothing is forgotten.")
    if not near(1 - value, 1 - right, 1e-3):
        raise Wrong(f"With this eigenvalue {value**v.steps:.6g} is left after {v.steps} steps (give eight decimals).")
    if near(-tau, -1 / math.log(right)):
        raise Wrong("A time constant is above 0: the logarithm of a number below 1 is below 0.")
    if not near(tau, -1 / math.log(right)):
        raise Wrong("The eigenvalue is right, the time constant not: after it 1/e is left.")


def _probabilities(a: Answers, v: A1) -> None:
    p, right = core.array(a, "p", (v.T,)), mark_probabilities(v.T, v.marks).numpy()
    if not near(p.sum(), 2, 1e-6):
        raise Wrong(f"There are always two marks, so the probabilities add up to 2; yours to {p.sum():.4g}.")
    if not np.allclose(p, right, atol=1e-6):
        raise Wrong(f"They add up to 2, but not each is right: marks are {v.marks!r} here. Draw some and count.")


def _constant(a: Answers, v: A1) -> None:
    x, right = core.number(a, "constant_error"), (v.high - v.low) ** 2 / 6
    if near(x, 1 / 6):
        raise Wrong("1/6 belongs to numbers on [0, 1]; yours lie elsewhere.")
    if near(x, right / 2):
        raise Wrong("That is the variance of one number. How many are added?")
    if near(x, math.sqrt(right)):
        raise Wrong("That is the root of the mean squared error.")
    if not near(x, right):
        raise Wrong("Not the variance of the target, which is what is left when its mean is the answer.")


def _floor_is(a: Answers, v: A1) -> None:
    x, right, width = core.number(a, "floor"), _floor(v), v.high - v.low
    other = marked_sum_floor(mark_probabilities(v.T, "halves" if v.marks == "first_half" else "first_half"))
    if near(x, right / width**2):
        raise Wrong("That is the floor for numbers on [0, 1]; the variance of yours is larger.")
    if near(x, other) or near(x, other * width**2):
        raise Wrong("That is the floor for the other way of marking.")
    if near(x, width**2 / 6):
        raise Wrong("That is the error of a constant. Knowing where marks may be helps a little more.")
    if not near(x, right):
        raise Wrong(f"Not the floor: no linear net gets below {'less' if x > right else 'more'} than {x:.5g}.")


def expected_error(v: A1, x_weights: np.ndarray, m_weights: np.ndarray, bias: float) -> float:
    """The exact mean squared error of an affine map of numbers and marks, each (T,)."""
    p, mean, n = mark_probabilities(v.T, v.marks).numpy(), (v.low + v.high) / 2, v.T // 2
    squares = (v.high - v.low) ** 2 / 12 * ((x_weights - p) ** 2).sum()
    first, second = m_weights[:n], m_weights[n:]
    varied = first.var() + second.var() if v.marks == "halves" else 2 * first.var() * (n - 2) / (n - 1)
    return float(_floor(v) + squares + varied + (mean * (x_weights.sum() - 2) + m_weights @ p + bias) ** 2)


def _map(a: Answers, v: A1) -> None:
    x, m = (core.array(a, name, (v.T,)) for name in ("x_weights", "m_weights"))
    error = expected_error(v, x, m, core.number(a, "bias"))
    if error > _floor(v) * (1 + 1e-6):
        without = min(expected_error(v, x, m, b) for b in _best_bias(v, x, m))
        hint = "Only the bias is off." if without < _floor(v) * (1 + 1e-6) else "Write down E[y | numbers]."
        raise Wrong(f"Its expected error is {error:.5g}, the floor is lower. {hint}")


def _best_bias(v: A1, x: np.ndarray, m: np.ndarray) -> list[float]:
    p = mark_probabilities(v.T, v.marks).numpy()
    return [-float((v.low + v.high) / 2 * (x.sum() - 2) + m @ p)]


def unrolled(net: ALRNN, T: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The affine map that a net with P = 0 is, one blank step after T: weights of x (T,) and of m (T,), bias."""
    W, C, h, D, b = (p.detach().double().numpy() for p in (net.W, net.C, net.h, net.D, net.b))
    row, found, bias = D[0], [], float(b[0])
    for _ in range(T + 1):
        found.append(row @ C)
        bias, row = bias + float(row @ h), row @ W
    weights = np.stack(found[:0:-1])  # what enters in the blank step is 0
    return weights[:, 0], weights[:, 1], bias


def _linear(a: Answers, v: A1) -> None:
    error = expected_error(v, *unrolled(core.net(a, "linear", 2, 0), v.T))
    if not error <= _floor(v) * (1 + 1e-4):
        raise Wrong(
            f"Its expected error is {error:.5g}, above the floor. Unroll it: what does step t count at the end?"
        )


def _gated(a: Answers, v: A1) -> None:
    net, test = core.net(a, "gated", 2, 1, exact=False), v.task.held_out("test")[:2000].to(torch.float64)
    with torch.no_grad():
        y = net(test.s)[0][:, -1:]
    error = float((y - test.target).square().mean())
    if not error < 1e-8:
        off = float((y - test.target).mean())
        left = float((y - test.target).var())
        hint = f"It is off by {off:.4g} always: mind what the gate adds." if left < 1e-8 else "Where is the gate open?"
        raise Wrong(f"Its error on the test sequences is {error:.3g}. {hint}")


QUESTIONS = (
    Question("memory", 2, ("eigenvalue", "time_constant"), _memory),
    Question("probabilities", 1, ("p",), _probabilities),
    Question("constant", 1, ("constant_error",), _constant),
    Question("floor", 3, ("floor",), _floor_is),
    Question("map", 3, ("x_weights", "m_weights", "bias"), _map),
    Question("linear", 3, ("linear",), _linear),
    Question("gated", 3, ("gated",), _gated),
    core.words("explanation", 60, 4),
)
