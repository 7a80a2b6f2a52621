"""A4: design. A net built by hand for a task of one's own, beside one that is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from .. import regions
from ..nets import ALRNN
from ..tasks import Task
from ..tasks.base import Batch
from . import core
from .core import Answers, Question, Wrong


class BentSum(Task):
    """A forgetting sum of a bent input: y = sum_t forget^(T - t) scale f(x_t - bend), x_t uniform on [-1, 1].

    f is max(0, .) ("hinge") or the modulus ("corner"). s (B, T + 1, 1): the last step is blank. Read at the end.
    """

    name = "bent_sum"
    input_size, output_size = 1, 1
    metric = "mse"

    def __init__(self, length: int, kind: Literal["hinge", "corner"], bend: float, forget: float, scale: float):
        self.length, self.kind, self.bend, self.forget, self.scale = length, kind, bend, forget, scale

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences."""
        x = 2 * torch.rand(n, self.length, generator=generator, dtype=torch.float64) - 1
        bent = (x - self.bend).clamp(min=0) if self.kind == "hinge" else (x - self.bend).abs()
        weight = self.scale * self.forget ** torch.arange(self.length - 1, -1, -1, dtype=torch.float64)
        s = torch.cat([x, x.new_zeros(n, 1)], 1)[..., None]
        target = (bent * weight).sum(1)[:, None, None]
        dtype = torch.get_default_dtype()
        return Batch(s.to(dtype), target.to(dtype), torch.ones(n, 1))


@dataclass(frozen=True)
class A4(core.Variant):
    """T, kind, bend, forget, scale: the numbers of `task`, see `BentSum`."""

    T: int
    kind: Literal["hinge", "corner"]
    bend: float
    forget: float
    scale: float

    @property
    def task(self) -> BentSum:
        """The task."""
        return BentSum(self.T, self.kind, self.bend, self.forget, self.scale)


def draw(id: str, rng: np.random.Generator) -> A4:
    """The numbers of one student."""
    kind: Literal["hinge", "corner"] = "hinge" if rng.integers(2) else "corner"
    bend, forget, scale = int(rng.integers(-4, 5)) / 10, (0.7, 0.8, 0.9)[rng.integers(3)], int(rng.integers(2, 9)) / 4
    return A4("A4", id, int(rng.integers(8, 13)), kind, bend, forget, scale)


def _floor(v: A4) -> float:
    """Least squares at every step alone: steps are independent, so their errors add up."""
    x, w = np.polynomial.legendre.leggauss(4)  # exact for what is cubic at most, on either side of the bend
    parts = [(low, high) for low, high in ((-1.0, v.bend), (v.bend, 1.0))]
    nodes = np.concatenate([(low + high) / 2 + (high - low) / 2 * x for low, high in parts])
    weights = np.concatenate([(high - low) / 4 * w for low, high in parts])  # they add up to 1
    f = np.maximum(nodes - v.bend, 0) if v.kind == "hinge" else np.abs(nodes - v.bend)
    mean, slope = weights @ f, weights @ (f * nodes) / (weights @ nodes**2)
    left = weights @ (f - mean - slope * nodes) ** 2
    return float(v.scale**2 * left * (v.forget ** (2 * np.arange(v.T))).sum())


def _linear_floor(a: Answers, v: A4) -> None:
    x, right = core.number(a, "floor"), _floor(v)
    powers = (v.forget ** (2 * np.arange(v.T))).sum()
    if core.near(x, right, 5e-3):
        return
    if core.near(x, right / powers):
        raise Wrong("That is what one step leaves; the steps' errors add up, each with its weight squared.")
    if core.near(x, right / powers * v.T) or core.near(x, right / powers * (v.forget ** np.arange(v.T)).sum()):
        raise Wrong("An error of step t counts with the square of that step's weight.")
    if core.near(x, right / v.scale**2) or core.near(x, right / v.scale):
        raise Wrong("Mind the scale: errors grow with its square.")
    raise Wrong("Not the least error of an affine map (three digits will do). Fit f by a line at one step first.")


def _run(net: ALRNN, v: A4) -> tuple[torch.Tensor, torch.Tensor, Batch]:
    test = v.task.held_out("test")[:4000].to(torch.float64)
    with torch.no_grad():
        y, z = net(test.s)
    return y[:, -1:], z, test


def _error(net: ALRNN, v: A4) -> float:
    y, _, test = _run(net, v)
    return float((y - test.target).square().mean())


def _by_hand(a: Answers, v: A4) -> None:
    net = core.net(a, "by_hand", 1, 1, exact=False)
    y, _, test = _run(net, v)
    off = (y - test.target).ravel()
    error = float(off.square().mean())
    if not error < 1e-8:
        hint = "Where must it bend, and what is the weight of the last number?"
        if float(off.var()) < 1e-8:
            hint = f"It is off by {float(off.mean()):.4g} always: the bias."
        elif abs(float(np.corrcoef(y.ravel(), test.target.ravel())[0, 1])) > 1 - 1e-8:
            hint = "It is off by a factor: at which step does a number reach the sum?"
        raise Wrong(f"Its error on the test sequences is {error:.3g}. {hint}")


def _trained(a: Answers, v: A4) -> None:
    net = core.net(a, "trained", 1, 8, exact=False)
    error, floor = _error(net, v), _floor(v)
    if net.nonlinear_size == 0:
        raise Wrong("It has P = 0, and no linear net gets below the floor.")
    if not error < floor / 4:
        raise Wrong(f"Its test error is {error:.3g}; asked for is a quarter of the linear floor, {floor / 4:.3g}. "
                    "Another start or rate, more PWL units or more steps?")  # fmt: skip
    if error < 1e-12:
        raise Wrong("That is no trained net: its error is 0 to rounding.")


def _compare(a: Answers, v: A4) -> None:
    given = core.mapping(a, "errors", ("by_hand", "trained"))
    for name, P in (("by_hand", 1), ("trained", 8)):
        right, x = _error(core.net(a, name, 1, P, exact=False), v), core.number(given, name)
        if not core.near(x, right, 0.15, 1e-6):
            raise Wrong(f"The test error of `{name}` is about {right:.2g}, not {x:.2g}: is it of held-out data?")


def _reading(a: Answers, v: A4) -> None:
    given = core.mapping(a, "on", ("by_hand", "trained"))
    for name, P in (("by_hand", 1), ("trained", 8)):
        net = core.net(a, name, 1, P, exact=False)
        if net.nonlinear_size == 0:
            raise Wrong(f"`{name}` has no PWL unit to read.")
        seen = regions.visits(net, _run(net, v)[1][:, : v.T])
        right = (seen.bits * (seen.counts / seen.counts.sum())[:, None]).sum(0)
        x = np.atleast_1d(core.array(given, name))
        if x.shape != right.shape:
            raise Wrong(f"`on[{name!r}]` should have one number for each of the {len(right)} PWL units.")
        if np.allclose(x, 1 - right, atol=0.01) and not np.allclose(x, right, atol=0.01):
            raise Wrong(f"`on[{name!r}]` is how often units are off.")
        if not np.allclose(x, right, atol=0.01):
            raise Wrong(
                f"`on[{name!r}]`: how often is each unit above 0, over the first {v.T} states of test sequences?"
            )


QUESTIONS = (
    Question("floor", 3, ("floor",), _linear_floor),
    Question("by_hand", 5, ("by_hand",), _by_hand),
    Question("trained", 3, ("trained",), _trained),
    Question("errors", 2, ("by_hand", "trained", "errors"), _compare),
    Question("on", 3, ("by_hand", "trained", "on"), _reading),
    core.words("explanation", 60, 4),
)
