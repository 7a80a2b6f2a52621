"""Finite machines: nets that hold a state which each input changes, followed exactly over any number of steps.

Suppose that a net follows a group, one input for each generator and an empty step for none, with one state x_g for each
element g. Let L be what a step does to inputs linearly, W_P the columns of the P PWL units and p_g their values in x_g.
Then x_gs - x_g = L c_s + W_P (max(p_g + c_s, 0) - max(p_g, 0)). The element s has some order m, so the sum over g, gs,
gss, ..., m terms, is 0, and L c_s lies in the span of the columns of W_P. So all states lie in a plane of P dimensions;
with P = 0 nothing is followed at all.

With P = 1 they lie on a line, and three things cannot be followed through swaps of neighbours, s = t and u. On it, in
the coordinate of the PWL unit, f_s(p) = p + k_s + w (max(p + c_s, 0) - max(p, 0)) permutes the set X of six points,
f_s f_s = 1, nothing stays, and f_t(p), f_u(p) differ for each p. A continuous map that increases keeps the order of X,
so it moves nothing. So f_s has a middle piece M of slope a = 1 + w < 0, from -c_s to 0 (up to a reflection of the
line); on L, below, it adds k_s, on R, above 0, r_s < k_s. R is the same for t and u. In a pair {p, f_s(p)} both
cannot be in L or both in R. Pairs LR ask for r_s = -k_s; of pairs LM and MR there is at most one each; pairs MM ask
for a = -1. If a = -1, M with its ends holds no point of a pair LM or MR. Then L, M and R are the same for t and u,
and R = L + k_s, or, if R is empty, X = r_s - X, gives the same k_s, or r_s, for both: but then f_t = f_u there. Else
at least one of the three pairs is LR, all of R goes to R - k_s, and R has two or three points. Three: X without R is
R - k_s, so k_t = k_u. Two, at a distance d: of the four points below R two are R - k_s, and the others are k_s apart.
If R - k_t and R - k_u have no point in common, d = k_t = k_u. If they have one, let k_u = k_t + d; the fourth point v
is k_t from one end of the other three and k_u from the other end, so k_t = d / 2, and R - k_t has a point above the
lower one of R.
"""

from __future__ import annotations

import torch

from ..checks import integer
from ..nets import ALRNN
from .affine import _net, _units

__all__ = ["exact_counter", "exact_parity", "exact_swaps"]


def exact_parity() -> ALRNN:
    """P = 1, M = 2: of inputs -1 and 1, the product of all before this one, at every step; of none it is 1.

    The PWL unit becomes v = |v| - 1 + s, by A = -1 and W = 2 on itself: one kink is one exclusive or a step. y = s - v.
    """
    return _net(P=1, A=[0.0, -1.0], W=[[0.0, 0.0], [0.0, 2.0]], C=[[1.0], [1.0]], h=[0.0, -1.0], D=[[1.0, -1.0]])


def exact_counter(k: int) -> ALRNN:
    """P = 1, M = 2: how many of the inputs before this one, each 0 or 1, were 1, modulo k; a full round is k, not 0.

    The PWL unit becomes v = v - k max(v, 0) + s: it counts from 1 - k up to 0, and one more throws it back.

    Raises:
        ValueError: k below 1.
    """
    k = integer("k", k, 1)
    return _net(P=1, A=[0.0, 1.0], W=[[0, 0], [0, -k]], C=[[1.0], [1.0]], D=[[-1.0, 1.0]], b=[float(k)])


def exact_swaps(n: int) -> ALRNN:
    """P = n - 1, M = 2 n - 1: what lies in each of n places, after all swaps of neighbours before this step.

    Input i is 1 at a step that swaps places i and i + 1, and at most one input is not 0. Output j is the number, 1 to
    n, of what lies in place j; they start in order.

    With x_j in place j, the differences a_i = x_i - x_{i+1} say all. A swap turns a_i round and adds it to its
    neighbours a_{i-1} and a_{i+1}: W is minus the Cartan matrix of the root system A_{n-1}. The input lifts unit i
    above zero whatever lies where, the others rest below. So each unit is a gate for one reflection.

    Raises:
        ValueError: n below 2.
    """
    n = integer("n", n, 2)
    P, top = n - 1, float(n)  # more than any difference
    M, u = _units(said=P, begun=1, unit=P)
    said, begun, unit = u["said"], u["begun"], u["unit"]
    eye = torch.eye(P, dtype=torch.float64)
    beside = torch.ones(P - 1, dtype=torch.float64)
    reflect = beside.diag(1) + beside.diag(-1) - 2 * eye
    W, C = torch.zeros(M, M, dtype=torch.float64), torch.zeros(M, P, dtype=torch.float64)
    h, A = torch.zeros(M, dtype=torch.float64), torch.zeros(M, dtype=torch.float64)
    C[said], C[unit] = eye, 2 * top * eye
    A[unit], h[unit], h[begun] = 1, -1 - top, 1
    W[unit, begun] = 1 + top
    W[unit[:, None], unit], W[unit[:, None], said] = reflect, -top * (reflect + 2 * eye)
    place = torch.arange(1, n + 1, dtype=torch.float64)
    D = torch.zeros(n, M, dtype=torch.float64)
    D[:, unit] = (place[:-1] >= place[:, None]).double() - place[:-1] / n
    D[:, said] = -2 * top * D[:, unit]
    return _net(P=P, A=A, W=W, C=C, h=h, D=D, b=top * D[:, unit].sum(1) + (n + 1) / 2)
