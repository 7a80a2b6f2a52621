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

A ball among n cups in a row asks for less than all n things. If a swap comes at each step, one state u_p for each
place p will do: u_sp = J u_p + k_s + sum_j w_j max(l_j u_p + c_sj, 0). With P = 1, u_sp - u_tp is a constant along w,
as the sum over p of u_sp does not depend on s. For each two neighbours there is a swap s of both and, from n = 3 on, a
swap t that leaves the first, so all u_p lie on a line, where each swap is a function of the same two slopes. For n = 3
these can be -1 and 2: 1 - x + 3 max(x - 1, 0) swaps the places 0 and 1 and leaves 2, and 2 - x swaps 0 and 2 and
leaves 1; so one kink is enough, with cup 0 in the middle of the row. For n > 3 it is not. If two places that a swap
leaves lie in one piece, its slope is 1, the piece stays, and the other piece is its own reflection at the kink, which
leads out of it. So n = 4, with one such place in each piece, p and q. To change an order one slope, say the left one,
is below 0, and as q stays, the right one is above 1. A swapped pair r < s has r in the left piece, or its order would
stay. If s is there, too, the slope is -1 and p their middle; if not, f(s) = r < s puts s below q, and f(r) = s > r
puts r below p. So in either case the first and the third place of the line are swapped, which holds for one swap
alone. Two kinks that follow the ball among four cups are in tests/test_automata.py.
"""

from __future__ import annotations

import torch

from ..checks import integer
from ..nets import ALRNN
from .affine import _net, _units

__all__ = ["exact_ball", "exact_counter", "exact_parity", "exact_swaps"]


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


def exact_ball(n: int, first: int = 1) -> ALRNN:
    """P = 4, M = 6, for any n: in which of n places a ball lies, after all swaps of neighbours before this step.

    Input i is 1 at a step that swaps places i and i + 1, and at most one input is not 0. The output is the place, 1 to
    n; at first it is `first`.

    A number x holds the place. A swap of i and i + 1 makes it x + g(x - i), where g rises from 0 at -1 to 1 at 0, falls
    to -1 at 1, and is 0 again from 2 on: four kinks, which change its slope by 1, -3, 3, -1. The input shifts them to
    where the swap is.

    Raises:
        ValueError: n below 2, or a first place that is none of the n.
    """
    n, first = integer("n", n, 2), integer("first", first, 1)
    if first > n:
        raise ValueError(f"first must be one of the {n} places, got {first}")
    far = n + 1.0  # without a swap all kinks lie above every place
    kinks = torch.tensor([-1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    slopes = torch.tensor([1.0, -3.0, 3.0, -1.0], dtype=torch.float64)
    M, u = _units(shift=1, begun=1, unit=4)
    shift, begun, unit = u["shift"], u["begun"], u["unit"]
    W, C = torch.zeros(M, M, dtype=torch.float64), torch.zeros(M, n - 1, dtype=torch.float64)
    h, A = torch.zeros(M, dtype=torch.float64), torch.zeros(M, dtype=torch.float64)
    C[shift] = C[unit] = far - torch.arange(1, n, dtype=torch.float64)
    A[unit], h[begun] = 1, 1
    h[unit] = first - kinks - far
    W[unit, begun] = -h[unit]
    W[unit, shift] = -1
    W[unit[:, None], unit] = slopes.expand(4, 4)
    D = torch.zeros(1, M, dtype=torch.float64)
    D[0, unit[0]], D[0, shift] = 1, -1
    return _net(P=4, A=A, W=W, C=C, h=h, D=D, b=[far - 1])
