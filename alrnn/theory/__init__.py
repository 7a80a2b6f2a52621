r"""What a linear network (P = 0) can reach at best, and networks built by hand that solve a task exactly.

Unrolled from z_0 = 0, a net with P = 0 is an affine map of its inputs, y_T = const + sum_t D W^{T-t} C s_t, whatever M
is. So each floor below is a statement about affine maps; with M >= T every affine map is also some linear net.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..checks import integer
from ..nets.almost_linear import ALRNN, PARTS


@dataclass(frozen=True)
class Affine:
    """y = weights . s + bias, the form of every linear net. weights: (T, N, ...). bias: (...), the shape of y."""

    weights: Tensor
    bias: Tensor

    def __call__(self, s: Tensor) -> Tensor:
        """s (B, T, N) -> y (B, ...)."""
        return torch.tensordot(s.to(self.weights.dtype), self.weights, 2) + self.bias


# Adding


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


def _net(P: int, **weights: Tensor | list) -> ALRNN:
    """A net with these weights, in float64; those not named are 0."""
    values = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in weights.items()}
    (M, N), O = values["C"].shape, len(values["D"])  # noqa: E741
    net = ALRNN(N, M, P, O).double()
    with torch.no_grad():
        for name in PARTS:
            getattr(net, name).copy_(values.get(name, torch.zeros(())))
    return net


# Context


@dataclass(frozen=True)
class InversionLimits:
    """Limits of linear nets on `tasks.RuleInversion`. cross_entropy: nats. accuracy: shares of trials."""

    cross_entropy: float  # the least a linear net can reach; a constant answer reaches it
    convex_accuracy: float  # of the cross-entropy optimum, which is constant
    accuracy: float  # the most that any affine score can reach


def inversion_limits() -> InversionLimits:
    r"""Rule inversion: cross-entropy log 2, accuracy 1/2 at that optimum, at most 3/4 for any affine score.

    Class c sign(S), S the sum of T' pieces of evidence e. Assumes c = +-1 fair, (c, e) and (c, -e) equally likely, S
    never 0. A linear net scores f(e, c) = a . e + d c + k, whatever its size and length.

    Cross-entropy (or any convex loss of the margin): flipping e, or c, turns every class over and keeps the law of the
    inputs. So f(e, c), -f(-e, c) and -f(e, -c) all have one loss, and by convexity their averages do no worse:
    averaging the first two leaves a . e, which the third rule turns into -a . e: f = 0 is optimal, with loss log 2.

    Accuracy: with g and h the signs of f under c = +1 and -1, sigma the sign of S, the accuracy is
    1/2 + E[(g - h) sigma] / 4. f at c = +1 and -1 differs by a constant, so g - h has one sign and (g - h) sigma is at
    most 2 where sigma agrees with it, that is half of the time, and at most 0 elsewhere. Hence 3/4 at most, reached by
    f = S + K (c - 1) with K large: always right under one rule, constant under the other.
    """
    return InversionLimits(math.log(2), 1 / 2, 3 / 4)


def exact_inversion(bound: float = 1024.0) -> ALRNN:
    """P = 1, M = 3: solves `tasks.RuleInversion` of any length, with and without blank steps, while |S| < bound = K.

    The PWL unit's own weight A = 1 makes it an integrator that others see rectified: v = S + n K c, where n is how
    often the rule has been shown. The linear unit w = v + n K adds up e_t + 2 K [c = 1]. The linear unit
    o_t = 2 relu(v_{t-1}) - w_{t-1} = |v| - n K = c S is the answer; the logits are -o and o. float64.

    Where n is known beforehand two units do: v and o_t = 2 relu(v_{t-1}) + C_v s_t; then o_t - v_t = |v_{t-1}|.
    """
    if not 0 < bound < math.inf:
        raise ValueError(f"bound must be above 0 and finite, got {bound}")
    K = bound
    return _net(
        P=1,
        A=[0, 0, 1],
        W=[[1, 0, 0], [-1, 0, 2], [0, 0, 0]],
        C=[[2 * K, 0, 1, 0], [0, 0, 0, 0], [K, -K, 1, 0]],
        D=[[0, -1, 0], [0, 1, 0]],
    )


@dataclass(frozen=True)
class ModalityLimits:
    """Accuracy on `tasks.TwoModality`: shares of trials, ties counted half."""

    convex: float  # the least-squares and cross-entropy optimum of a linear net, f = x_1 + x_2
    affine: float  # the most that an affine score can reach, found by search
    gated: float  # a net that takes only the stream that counts, f = x_c; no net is better


def two_modality_limits(magnitudes: Sequence[float], noise: float = 0.0, angles: int = 720) -> ModalityLimits:
    r"""Two modalities: 3/4 for the linear optimum without noise, whatever the coherences; less with noise.

    Assumes coherences X_1, X_2 independent, each one of K equally likely magnitudes with a fair sign, a fair context c,
    the class sign(X_c), and streams seen as x_i = X_i + noise * N(0, 1): the mean over a trial, whose noise is the
    task's divided by sqrt(length). For uniform coherences pass a fine grid (`affine` then belongs to the grid).

    Convex losses: exchanging the streams together with the contexts, or flipping both streams, maps the task onto
    itself, so by convexity an optimal affine score has equal weights on x_1 and x_2 and no bias in either context:
    f = x_1 + x_2. Right where the stream that counts is the larger, a coin flip where it is the smaller: 3/4.

    Any affine score: a x_1 + b x_2 + t_c. At most 7/8: with g >= h its signs in the two contexts the accuracy is
    1/2 + E[g sign X_1 + h sign X_2] / 4, where the expectation is at most 2 if the signs of X agree and on average at
    most 1 if not. With K magnitudes at least 3/4 + 1/(8K): take a slightly above b and t_2 slightly above t_1 = 0, so
    that ties |X_1| = |X_2| of opposite sign fall right in context 1 and still half right in context 2. K = 1 gives
    7/8. For K > 1 unequal weights and a finite t_2 can do better; `affine` searches `angles` directions (a, b) and
    every threshold (up to a grid of 400 if there is noise), so it is a lower bound and close to the true supremum.
    """
    m = torch.as_tensor(magnitudes, dtype=torch.float64)
    if m.dim() != 1 or len(m) == 0 or not ((m > 0) & m.isfinite()).all():
        raise ValueError(f"magnitudes must be a list of finite numbers above 0, got {magnitudes!r}")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    m, noise = m / m.max(), noise / float(m.max())
    X = torch.cartesian_prod(torch.cat([-m, m]), torch.cat([-m, m]))
    up = X > 0
    convex, gated = _positive(X.sum(1), noise * math.sqrt(2)), _positive(X[:, 0], noise)
    right = [float(torch.where(up[:, 0], p, 1 - p).mean()) for p in (convex, gated)]
    theta = torch.linspace(0, 2 * math.pi, angles + 1, dtype=torch.float64)[:-1]
    theta = torch.cat([theta, math.pi / 4 + torch.tensor([-1e-4, 1e-4], dtype=torch.float64)])  # ties, nearly
    scores = torch.stack([theta.cos(), theta.sin()], 1) @ X.T
    best = max(sum(_best_threshold(f, up[:, c], noise) for c in (0, 1)) / 2 for f in scores)
    return ModalityLimits(right[0], max(best, right[0]), right[1])


def _positive(f: Tensor, noise: float) -> Tensor:
    """P(f + noise * N(0, 1) > 0), a tie counted half."""
    return torch.special.ndtr(f / noise) if noise else torch.heaviside(f, f.new_tensor(0.5))


def _best_threshold(f: Tensor, up: Tensor, noise: float) -> float:
    """The largest accuracy of sign(f + noise + t) for the classes `up`, over t."""
    f, order = f.sort()
    up = up[order]
    if noise:
        t = torch.linspace(float(-f[-1]) - 4 * noise, float(-f[0]) + 4 * noise, 400, dtype=f.dtype)
        p = torch.special.ndtr((f + t[:, None]) / noise)
        return float(torch.where(up, p, 1 - p).mean(1).max())
    # Cut between neighbours that differ: those below count as class 0.
    below = torch.cat([torch.zeros(1), (~up).cumsum(0)])
    above = torch.cat([up.flip(0).cumsum(0).flip(0), torch.zeros(1)])
    apart = torch.cat([torch.tensor([True]), f.diff() > 1e-9, torch.tensor([True])])
    return float((below + above)[apart].max()) / len(f)


def exact_two_modality(bound: float = 16.0) -> ALRNN:
    """P = 1, M = 4: reaches the `gated` limit of `tasks.TwoModality` while |mean of (x_1 - x_2) / 2| < bound = K.

    With all sums over the steps so far, n of them, and c = +-1 for the context: the linear units
    a = sum (x_1 + x_2) / 2 - n K and w = sum (x_1 - x_2) / 2 + n K c; the PWL unit v = w, a copy; and the linear unit
    o_t = a_{t-1} + 2 relu(v_{t-1}) - w_{t-1} = sum (x_1 + x_2) / 2 + c sum (x_1 - x_2) / 2 = sum x_c, the answer.
    The logits are -o and o. o is one step behind, so one blank step lets it see all the evidence. float64.

    This net takes one decision a trial. A net that gates every step, as `exact_adding` does, has two units:
    v_t = x_1 - x_2 + K c and u_t = u_{t-1} + relu(v_{t-1}) + x_2 - K [c = 1], with K > |x_1 - x_2| at every step.
    """
    if not 0 < bound < math.inf:
        raise ValueError(f"bound must be above 0 and finite, got {bound}")
    K = bound
    return _net(
        P=1,
        W=[[1, 0, 0, 0], [0, 1, 0, 0], [1, -1, 0, 2], [0, 1, 0, 0]],
        C=[[0.5, 0.5, -K, -K], [0.5, -0.5, K, -K], [0, 0, 0, 0], [0.5, -0.5, K, -K]],
        D=[[0, 0, -1, 0], [0, 0, 1, 0]],
    )


# Copy


def exact_fixed_copy(symbols: int = 8, delay: int = 100, alphabet: int = 4) -> ALRNN:
    """P = 0, M = symbols: solves `tasks.FixedCopy` of these sizes without error, at any delay.

    A ring of linear units, z_t[i] = z_{t-1}[i - 1]: symbol number k enters at unit 0 as the value k and goes round. All
    symbols pass the unit `lag % symbols` at their recall, lag = symbols + 1 + delay steps after they came. Its value x
    is read by the logits k x - k^2 / 2, of which the largest is that of the k nearest to x. float64.
    """
    S, K, delay = integer("symbols", symbols, 1), integer("alphabet", alphabet, 2), integer("delay", delay, 0)
    k, C, D = torch.arange(K, dtype=torch.float64), torch.zeros(S, K + 1), torch.zeros(K, S)
    C[0, :K] = D[:, (S + 1 + delay) % S] = k
    return _net(P=0, W=torch.eye(S).roll(1, 0), C=C, D=D, b=-k.square() / 2)


def exact_variable_copy(symbols: int = 5, alphabet: int = 4) -> ALRNN:
    """P = 2 symbols, M = 5 symbols + 2: solves `tasks.VariableCopy` without error, at any delay and with any window.

    A symbol is a number k < K = alphabet; relu(k + K g - K) is k for g = 1, 0 for g <= 0: the gate of `exact_adding`.
    A pulse runs along linear units from the first symbol on (one now, none a step ago), another from the cue on. As the
    first passes, PWL unit v_i lets symbol i in, and an integrator m_i keeps it; as the second does, PWL unit g_i lets
    m_i out. Logits as in `exact_fixed_copy`. A lone symbol needs a delay of at least 1. No least P is claimed. float64.
    """
    S, K = integer("symbols", symbols, 1), integer("alphabet", alphabet, 2)
    M, k, n, o = 5 * S + 2, torch.arange(K, dtype=torch.float64), 0, 1  # n: was there a symbol? o: the symbol said
    first, cue, m, v, g = (2 + S * row + torch.arange(S) for row in range(5))
    W, C, h, D = torch.zeros(M, M), torch.zeros(M, K + 1), torch.zeros(M), torch.zeros(K, M)
    C[n, :-1] = C[first[0], :-1] = C[cue[0], -1] = 1
    W[first[0], n], W[v[0], n] = -1, -K
    W[first[1:], first[:-1]] = W[cue[1:], cue[:-1]] = 1
    C[v, :-1] = D[:, o] = k.float()
    C[v[0], :-1] += K  # the first gate opens with the symbol itself, unless another came before
    C[g[0], -1] = W[v[1:], first[:-1]] = W[g[1:], cue[:-1]] = K
    h[v] = h[g] = -K
    W[m, m] = W[m, v] = W[g, m] = W[o, g] = 1
    return _net(P=2 * S, W=W, C=C, h=h, D=D, b=-k.square() / 2)


@dataclass(frozen=True)
class CopyLimits:
    """Accuracy of the best least-squares decoder on `tasks.VariableCopy`: per symbol, and of whole sequences."""

    symbol: float
    sequence: float


def recall_probabilities(symbols: int, window: int) -> Tensor:
    """p (window + symbols - 1, symbols): after the earliest cue, P(symbol i is due | a recall is on), step by step."""
    symbols, window = integer("symbols", symbols, 1), integer("window", window, 1)
    step, i = torch.arange(window + symbols - 1)[:, None], torch.arange(symbols)
    possible = (0 <= step - i) & (step - i < window)
    return possible.double() / possible.sum(1, keepdim=True)


def variable_copy_decoder(symbols: int = 5, delay: int = 50, window: int = 50, alphabet: int = 4) -> Affine:
    r"""The best affine map, in least squares, from inputs s (B, T, N) to the one-hot symbol due, (B, L, alphabet).

    Each of the L steps has its own weights, so no linear net of any size is better in this sense. Assumes symbols
    uniform and independent, the cue uniform over the window and independent of them, and error counted during recall.

    Given that a recall is on, the position i due has probabilities p_i, whatever the symbols are; the cue says more
    about i, but as it says nothing of the symbols it can only shift all logits alike. What is left is p_i on symbol i:
    a vote of the symbols that may be due. The cross-entropy optimum holds the same vote: by convexity it may be taken
    unchanged by every renaming of the classes and every exchange of positions equally likely to be due.

    Impossible without error, by any affine logits, even ones that differ from step to step, if two cue times are
    possible at some step of recall: take the positions i != j that they make due, and classes a != b. The margin of a
    over b is alpha(s_i) + beta(s_j) + rho(cue), other symbols fixed. The first cue asks for a margin > 0 at (a, b) and
    < 0 at (b, a), so alpha(a) + beta(b) > alpha(b) + beta(a); the second asks for the opposite.
    """
    p = recall_probabilities(symbols, window)
    L, T = len(p), 2 * symbols + delay + window
    weights = torch.zeros(T, alphabet + 1, L, alphabet, dtype=torch.float64)
    for k in range(alphabet):
        weights[:symbols, k, :, k] = p.T
    return Affine(weights, torch.zeros(L, alphabet, dtype=torch.float64))


def variable_copy_limits(symbols: int = 5, window: int = 50, alphabet: int = 4) -> CopyLimits:
    """Accuracy of `variable_copy_decoder`, over all alphabet^symbols sequences and all cue times; no sampling.

    Among tied symbols the first of the alphabet is said, as argmax does. The accuracy per symbol does not depend on
    it, that of whole sequences does.

    Raises:
        ValueError: more than a million sequences.
    """
    if alphabet**symbols > 1_000_000:
        raise ValueError(f"alphabet^symbols must be at most a million, got {alphabet**symbols}")
    p = recall_probabilities(symbols, window)
    sequences = torch.cartesian_prod(*[torch.arange(alphabet)] * symbols).view(-1, symbols)
    votes = (p > 0).double() @ torch.nn.functional.one_hot(sequences, alphabet).double()  # (R, L, alphabet), whole
    said = votes.argmax(-1)
    right = torch.stack([said[:, cue : cue + symbols] == sequences for cue in range(window)])
    return CopyLimits(float(right.double().mean()), float(right.all(-1).double().mean()))
