"""Context-dependent integration: what a linear net can reach, and nets with P = 1 that reach more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..nets import ALRNN
from .affine import _net

__all__ = ["InversionLimits", "inversion_limits", "exact_inversion"]
__all__ += ["ModalityLimits", "two_modality_limits", "exact_two_modality"]


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

    Assumes coherences X_1, X_2 independent and of one law, each one of K equally likely magnitudes with a fair sign, a
    fair context c, the class sign(X_c), and streams seen as x_i = X_i + noise * N(0, 1): the mean over a trial, whose
    noise is the task's divided by sqrt(length). For uniform coherences pass a fine grid (`affine` belongs to the grid).

    Convex losses: exchanging the streams together with the contexts, or flipping both streams, maps the task onto
    itself, so by convexity an optimal affine score has equal weights on x_1 and x_2 and no bias in either context:
    f = x_1 + x_2, up to a factor; if the loss is strictly convex, no other is optimal. Right where the stream that
    counts is the larger, a coin flip where it is the smaller: 3/4.

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
