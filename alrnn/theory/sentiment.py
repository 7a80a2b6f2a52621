"""Sentiment with negation: what a linear net can reach, and a net with P = 1 that makes no error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..nets import ALRNN
from .affine import _net

__all__ = ["NegationLimits", "exact_negation", "negation_limits"]


@dataclass(frozen=True)
class NegationLimits:
    """Of a linear net that reads texts with negation. explained: share of the variance of S. accuracy: of the class."""

    explained: float  # by the best affine prediction of S; no linear net explains more
    accuracy: float  # of the sign of that prediction
    long: float  # what it tends to as texts grow: 1/2 + arcsin|1 - 2 negated| / pi


def negation_limits(valences: Sequence[float], words: int, negated: float) -> NegationLimits:
    r"""The best affine prediction of S = sum_i n_i v_i is (1 - 2 negated) sum_i v_i: it passes over every "not".

    Assumes `words` valences v_i drawn independently from the list `valences`, each as likely as its opposite, none 0;
    n_i = -1 with probability `negated`, where a "not" stands before the word, else +1; and right-aligned texts.

    Proof, for any weights on any word at any step. S - (1 - 2 negated) sum v = sum_i v_i (n_i - E n_i) has to be
    uncorrelated with each input, "word w stands at step t". If that is not word i, the sign of v_i is free of it, and
    fair. If it is word i, its place, counted from the end, and its valence say nothing about the "not" before it. So
    1 - (1 - 2 negated)^2 = 4 negated (1 - negated) of the variance of S is out of reach, and the rest is reached.

    Cross-entropy: turning all valences over turns the class over, so by convexity the weights of its optimum, too, are
    odd in the valence and 0 on "not" and on neutral words. They need not be in proportion to the valences, as they are
    in least squares, to which `accuracy` belongs, by the joint law of both sums, a tie counted half; fitted weights
    come out close to it.
    """
    v = torch.as_tensor(valences, dtype=torch.float64)
    if v.dim() != 1 or not len(v) or not (v != 0).all() or not torch.equal(v.sort()[0], (-v).sort()[0]):
        raise ValueError(f"valences must be numbers other than 0, each with its opposite, got {valences!r}")
    if not (v == v.round()).all():
        raise ValueError(f"valences must be whole numbers, got {valences!r}")
    if words < 1 or not 0 <= negated <= 1:
        raise ValueError(f"words must be at least 1 and negated between 0 and 1, got {words} and {negated}")
    r, top = 1 - 2 * negated, int(v.abs().max()) * words
    law = torch.zeros(2 * top + 1, 2 * top + 1, dtype=torch.float64)  # of one word: sum v along, S across, from 0 up
    for x in v.long().tolist():
        law[x, x] += (1 - negated) / len(v)
        law[x, -x] += negated / len(v)
    law = torch.fft.ifft2(torch.fft.fft2(law) ** words).real.roll((top, top), (0, 1))  # of the sums over all words
    sign = torch.arange(-top, top + 1).sign().double()
    right = (1 + math.copysign(1, r) * sign[:, None] * sign) / 2
    return NegationLimits(r**2, float((law * right).sum()), 1 / 2 + math.asin(abs(r)) / math.pi)


def exact_negation(valence: Tensor, negator: int) -> ALRNN:
    """P = 1, M = 3: the class of every text of `tasks.GeneratedSentiment`, from its `valence` (N,) and `negator`.

    With V = max |v|: the linear unit g_t = [word t is "not"]; the PWL unit u_t = v_t + 2 V g_{t-1} - V, so that
    relu(u) = g_{t-1} (v_t + V), as in `theory.exact_adding`; and the linear unit
    S_t = S_{t-1} + v_t + 2 V g_{t-1} - 2 relu(u_{t-1}), where a negated word first adds v + 2 V and, one step later,
    takes away 2 (v + V): together -v. The full stop at the end gives the last word this step. The logits are -S and S.
    """
    v = torch.as_tensor(valence, dtype=torch.float64)
    V = float(v.abs().max())
    g = torch.nn.functional.one_hot(torch.tensor(negator), len(v))
    return _net(
        P=1,
        W=[[0, 0, 0], [2 * V, 1, -2], [2 * V, 0, 0]],
        C=torch.stack([g, v, v]),
        h=[0, 0, -V],
        D=[[0, -1, 0], [0, 1, 0]],
    )
