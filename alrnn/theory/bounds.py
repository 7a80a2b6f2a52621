"""Lower bounds, measured: what few PWL units cannot do, and by which of two ways a net recalls.

Gates: no region depends on what was said. Data: regions do. Of nets that gate, `recall_directions` tells why S symbols
need S units, and S - 1 kinks if the memory is static; `region_words` tells the two ways apart, `noisy_accuracy` what
they cost. `swap_difference` finds the targets that are no sum over steps, and so out of reach of P = 0 behind any
encoder of single steps. `most_stable_points` bounds what a net can hold as fixed points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..checks import integer
from ..nets import ALRNN
from ..tasks import FixedCopy, Task, VariableCopy

__all__ = ["copy_trials", "most_stable_points", "noisy_accuracy", "recall_directions", "region_words"]
__all__ += ["swap_difference"]

TRIALS = 1_000_000  # sequences that are tried one by one, at most


def copy_trials(task: FixedCopy | VariableCopy, cue: int | None = None) -> tuple[Tensor, Tensor]:
    """Every sequence of symbols once: symbols (alphabet^S, S), and inputs s (alphabet^S, T, alphabet + 1), float64.

    cue: the step of it in variable copy; by default the first that is possible.

    Raises:
        ValueError: more than a million sequences, or no such cue. TypeError: another task.
    """
    S, K = _sizes(task)
    if K**S > TRIALS:
        raise ValueError(f"alphabet^symbols must be at most a million, got {K**S}")
    symbols = torch.tensor([*itertools.product(range(K), repeat=S)])
    return symbols, _trials(task, symbols, cue)[0]


def recall_directions(net: ALRNN, task: FixedCopy | VariableCopy, cue: int | None = None) -> Tensor:
    r"""H (S, S): by how much symbol j moves the margin of class 1 over class 0 at the recall of symbol i, halved.

    Symbols are 0 or 1, coded -1 or 1 as sigma; H is measured around the sequence of all 0. If regions do not depend on
    the symbols, the state is affine in sigma, z_t = X_t sigma + const, and so is the margin, H_i sigma + c_i. Without
    error it has the sign of sigma_i for every sigma, hence H_ii > sum_{j != i} |H_ij| + |c_i|: H is strictly diagonally
    dominant, so rank H = S. From this, two bounds.

    M >= S. All rows pass through the state after the last symbol: H_i = u_i X with X (M, S), so rank H <= M.

    P >= S - 1 if, besides, the memory is static: X_t = X until the cue. Let E be what the cue changes of it so far, and
    d, d' the bits without and with the cue: E' = J_d' (X + E) - J_d X = J_d' E + sum_p (d'_p - d_p) w_p (X_p), with w_p
    the column of W and X_p the row of X of PWL unit p. So rows of E lie in the span of the P rows X_p, and rows of H in
    that of these and of (D_1 - D_0) X: S = rank H <= P + 1. `exact_variable_copy` has P = S - 1, `exact_fixed_copy` M =
    S: neither can be bettered.
    """
    S, _ = _sizes(task)
    s, recall = _trials(task, torch.cat([torch.zeros(1, S), torch.eye(S)]).long(), cue)
    y = _run(net, s)[0][:, recall]
    margin = y[..., 1] - y[..., 0]
    return ((margin[1:] - margin[0]) / 2).T


def region_words(net: ALRNN, task: FixedCopy | VariableCopy, cue: int | None = None) -> int:
    """How many sequences of regions occur over all sequences of symbols, from the last symbol to the end of recall.

    1: regions are gates, moved by time and cue alone. Many: they carry data.
    """
    symbols, s = copy_trials(task, cue)
    last = int(_trials(task, symbols[:1], cue)[1][-1])
    words = set()
    for part in s.split(1000):
        on = _run(net, part)[1][:, task.symbols - 1 : last + 1, net.hidden_size - net.nonlinear_size :] > 0
        words |= {word.tobytes() for word in on.numpy()}
    return len(words)


def noisy_accuracy(net: ALRNN, task: Task, noise: float, n: int = 500, seed: int = 0) -> float:
    """The task's main score on n trials, with normal noise of this standard deviation on every unit at every step.

    In float64; the trials and, up to its size, the noise are the same for the same seed.
    """
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    generator = torch.Generator().manual_seed(seed)
    batch, total, count = task.sample(integer("n", n, 1), generator), 0.0, 0.0
    for part in batch.split(250):
        shape = *part.s.shape[:2], net.hidden_size
        y = _run(net, part.s.double(), noise * torch.randn(shape, dtype=torch.float64, generator=generator))[0]
        score = next(iter(task.scores(y, part).values()))
        total, count = total + float(score.sum), count + float(score.count)
    return total / count


def swap_difference(f: Callable[[Tensor], Tensor], s: Tensor, other: Tensor, steps: Any) -> Tensor:
    """f(s) - f(s') - f(other') + f(other), where s' and other' have exchanged these steps. s, other: (B, T, N).

    It is 0 for every f that is a sum over steps, f(s) = g_1(s_1) + ... + g_T(s_T), and 0 for all trials and steps only
    for these. P = 0 computes no others, even behind an encoder: it adds up D W^(T - t) C g(s_t). So where a target has
    difference d, the four squared errors are d^2 / 16 on average at least. And where the signs of the four are +, -,
    -, +, so that for classes of -1 and 1 it is 4 or -4, at most three of them are right.

    Args:
        f: of trials (B, T, N) to numbers (B, ...).
        steps: their numbers, a mask (T,), or a slice.
    """
    a, b = s.clone(), other.clone()
    a[:, steps], b[:, steps] = other[:, steps], s[:, steps]
    return f(s) - f(a) - f(b) + f(other)


def most_stable_points(P: int) -> int:
    """2^(P - 1): no almost-linear net of P >= 1 PWL units has more stable fixed points, whatever M is; 1 for P = 0.

    Two stable points differ in two bits at least. For suppose that d and d' differ in bit p alone. Then I - J_d and
    I - J_d' differ in column p alone, and have positive determinants, as all eigenvalues lie inside the unit circle. By
    Cramer's rule z_p is a determinant without this column, hence the same for both, divided by these: it has one sign,
    but its bits are different. So of each two bitcodes that differ in the first bit alone, one at most is taken.
    Reached for P up to 4, by rivals and `twisted_rivals`; for more it is an upper bound.

    With P = 3 and no linear unit four are impossible. Let a_i = W_ii. Four bitcodes that differ in two bits at least
    have, all of them, an odd or all an even number of bits on. 100, 010, 001, 111: the first three need |a_i| < 1 and
    h_i > 0. As unit j is off at the point of unit i, -W_ji h_i >= (1 - a_i) h_j. Times the same with i and j exchanged:
    W_ij W_ji >= (1 - a_i) (1 - a_j). So no principal minor of size two of I - J_111 is positive. But their sum is the
    second symmetric function of its eigenvalues, positive if 111 is stable. 000, 110, 101, 011: the first needs h < 0.
    If a_1, a_2 < 1, then z_1, z_2 > 0 at 110 asks for W_12 W_21 > (1 - a_1) (1 - a_2), so det(I - J_110) < 0. If both
    are at least 1, the trace of J_110 is too large. So of each two units one has a < 1 and the other has not, which
    three units cannot do.
    """
    return 2 ** max(0, integer("P", P, 0) - 1)


def _sizes(task: FixedCopy | VariableCopy) -> tuple[int, int]:
    if not isinstance(task, (FixedCopy, VariableCopy)):
        raise TypeError(f"task must be FixedCopy or VariableCopy, got {type(task).__name__}")
    return task.symbols, task.alphabet


def _trials(task: FixedCopy | VariableCopy, symbols: Tensor, cue: int | None) -> tuple[Tensor, Tensor]:
    """Inputs (B, T, N) of trials with these symbols (B, S), and the steps (S,) at which they are due."""
    S, K = _sizes(task)
    blank = task.sample(1, torch.Generator().manual_seed(0)).s[0].double()
    blank[:, :K] = 0
    recall = len(blank) - S + torch.arange(S)
    if isinstance(task, VariableCopy):
        first = S + task.delay
        cue = integer("cue", first if cue is None else cue, first, first + task.window - 1)
        blank[:, K] = 0
        blank[cue, K] = 1
        recall = cue + 1 + torch.arange(S)
    s = blank.repeat(len(symbols), 1, 1)
    s[:, :S, :K] = torch.nn.functional.one_hot(symbols, K).double()
    return s, recall


def _run(net: ALRNN, s: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """y and z in float64, of any net; noise (B, T, M) is added to the states, as inputs of its own."""
    C = net.C if noise is None else torch.cat([net.C, torch.eye(net.hidden_size).to(net.C)], 1)
    A, W, C, h, D, b = (x.detach().double() for x in (net.A, net.W, C, net.h, net.D, net.b))
    double = ALRNN.from_weights(W, h, A, C, D, b, nonlinear=net.nonlinear_size)
    with torch.no_grad():
        return double(s if noise is None else torch.cat([s, noise], 2))
