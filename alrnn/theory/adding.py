"""Adding: the least error of a linear net, and a net with P = 1 that makes none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..checks import integer
from ..nets import ALRNN
from ..tasks import Adding
from .affine import Affine, _net

__all__ = ["adding_error", "adding_floor", "adding_predictor", "exact_adding"]
__all__ += ["mark_probabilities", "marked_sum_floor", "marked_sum_predictor"]


def mark_probabilities(length: int, marks: Literal["first_half", "halves"] = "first_half") -> Tensor:
    """p (length,), the probability of a mark at each step of `tasks.Adding`."""
    if marks not in ("first_half", "halves"):
        raise ValueError(f"marks must be first_half or halves, got {marks!r}")
    if integer("length", length, 4) % 2:
        raise ValueError(f"length must be even, got {length}")
    p = torch.full((length,), 2 / length, dtype=torch.float64)
    if marks == "first_half":
        p[: length // 2] *= 2
        p[length // 2 :] = 0
    return p


def marked_sum_floor(p: Tensor | Sequence[float], variance: float = 1 / 12) -> float:
    r"""The least mean squared error of an affine map for y = sum_t m_t x_t: variance * sum_t p_t (1 - p_t).

    Assumes x_t uncorrelated over t, of one mean and variance, and marks m_t in {0, 1} of any joint law, independent of
    x, with P(m_t = 1) = p_t, p (T,). Any M, all parameters. With two marks it reads variance * (2 - sum_t p_t^2).

    Proof. With mu = E x_t, y = [mu sum_t m_t + sum_t p_t (x_t - mu)] + sum_t (m_t - p_t)(x_t - mu). The bracket is
    affine in the inputs; the rest has mean 0, is uncorrelated with every x_s and m_s, and has the variance stated.
    """
    p = _probabilities(p)
    if not variance >= 0:
        raise ValueError(f"variance must be at least 0, got {variance}")
    return float(variance * (p * (1 - p)).sum())


def marked_sum_predictor(p: Tensor | Sequence[float], mean: float = 0.5) -> Affine:
    """The affine map on the floor: p_t on x_t, mean on m_t, bias -mean * sum_t p_t. Channels as in `tasks.Adding`.

    Where the number of marks is fixed, sum_t m_t = sum_t p_t, the marks and the bias cancel: they carry nothing.
    """
    p = _probabilities(p)
    return Affine(torch.stack([p, torch.full_like(p, mean)], 1)[..., None], -mean * p.sum()[None])


def adding_floor(length: int, marks: Literal["first_half", "halves"] = "first_half") -> float:
    """The least mean squared error of a linear net on `tasks.Adding`, of any size and with any number of blank steps.

    "halves": (1/6)(1 - 2/length); "first_half": (1/6)(1 - 4/length). A constant gets 1/6. With "halves" one unit is
    enough to get there (weights 2/length everywhere); with "first_half" the weights are 4/length and then 0, which a
    small net can only approach.

    Raises:
        ValueError: an odd or too small length, unknown marks.
    """
    return marked_sum_floor(mark_probabilities(length, marks))


def adding_predictor(length: int, marks: Literal["first_half", "halves"] = "first_half") -> Affine:
    """The affine map s (B, length, 2) -> (B, 1) whose error on `tasks.Adding` (no blank steps) is `adding_floor`."""
    return marked_sum_predictor(mark_probabilities(length, marks))


def adding_error(net: ALRNN, task: Adding) -> float:
    r"""The expected squared error of a linear net (P = 0) on this task: over all its sequences, with no sampling.

    Such a net is y = sum_t (a_t x_t + c_t m_t) + k. With v = Var x_t = 1/12 and p_t the probability of a mark its error
    is `adding_floor` plus three squares: v sum_t (a_t - p_t)^2, Var(sum_t c_t m_t) and the square of the mean error.
    So no rounding takes it below the floor, while on a finite test set a net may be above or below.

    Proof. Let x_t = 1/2 + xi_t. The error is sum_t (a_t - m_t) xi_t, of variance v sum_t (a_t^2 - 2 a_t p_t + p_t) =
    v sum_t [(a_t - p_t)^2 + p_t (1 - p_t)], plus what only the marks decide, with which it is uncorrelated: there
    are always two marks, so that is a constant plus sum_t c_t m_t.

    Raises:
        ValueError: P > 0, or not two inputs and one output.
    """
    if (net.nonlinear_size, net.input_size, net.output_size) != (0, 2, 1):
        raise ValueError("a net with P = 0, two inputs and one output is needed")
    J, C, h, D, b = (x.detach().double().cpu() for x in (net.jacobian([]), net.C, net.h, net.D, net.b))
    T, row, weights, mean = task.length, D[0], [], b[0]
    for _ in range(T + task.blank):  # row = D J^k, for the input k steps before the end
        weights.append(row @ C)
        mean, row = mean + row @ h, row @ J
    a, c = torch.stack(weights).flip(0)[:T].T
    p = mark_probabilities(T, task.marks)
    mean = mean + (a.sum() - 2) / 2 + p @ c
    half, second = c[: T // 2], c[T // 2 :]
    if task.marks == "halves":
        varied = half.var(unbiased=False) + second.var(unbiased=False)
    else:  # two of n numbers, drawn without replacement
        varied = 2 * half.var(unbiased=False) * (len(half) - 2) / (len(half) - 1)
    squares = ((a - p).square().sum() / 12, varied, mean.square())
    return adding_floor(T, task.marks) + float(sum(squares))


def exact_adding() -> ALRNN:
    """P = 1, M = 2: adds up the marked numbers, at any length and with any number of marks.

    PWL unit v_t = x_t + m_t - 1, linear unit u_t = u_{t-1} + relu(v_{t-1}), output u. For x in [0, 1],
    relu(x + m - 1) = m x. Exact to rounding as long as the last mark comes before the last step. float64.
    """
    return _net(P=1, W=[[1, 1], [0, 0]], C=[[0, 0], [1, 1]], h=[0, -1], D=[[1, 0]])


def _probabilities(p: Tensor | Sequence[float]) -> Tensor:
    p = torch.as_tensor(p, dtype=torch.float64)
    if p.dim() != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p must be a vector of probabilities, one per step")
    return p
