"""Copy: nets that make no error, a linear one for a fixed delay, and the limits of linear ones for a variable delay."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import integer
from ..nets import ALRNN
from .affine import Affine, _clock, _net, _units

__all__ = ["CopyLimits", "exact_fixed_copy", "exact_variable_copy"]
__all__ += ["recall_probabilities", "variable_copy_decoder", "variable_copy_limits"]


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
    """P = S - 1, M = S^2 + 5 S + 1 for S symbols: solves `tasks.VariableCopy` without error at any delay above S.

    For any window, and for a lone symbol at any delay; known as `copy_by_gates`, too. A symbol is a number k < K =
    alphabet, and logits are those of `exact_fixed_copy`. Each PWL unit is a gate used twice. At the step of the last
    symbol it takes its symbol from a delay line, all at once; at the cue or so many steps later it lets out what its
    integrator holds. What it lets through reaches the integrator only S steps later: after reading, that is when the
    recall is over. The last symbol needs no gate: it is Q minus the integrators, with Q the sum of all symbols. Each
    gate lets out how its symbol differs from the last one, on an output that shows that one. With regions that depend
    on time and cue alone, fewer units do not do: `recall_directions`. float64.
    """
    S, K = integer("symbols", symbols, 1), integer("alphabet", alphabet, 2)
    G, big, k = S - 1, (2.0 * S + 6) * K, torch.arange(K, dtype=torch.float64)
    M, u = _units(one=1, pulse=2 * S, x=S + 1, q=G, Q=1, o=1, m=G, late=S * G, v=G)
    W, C, h, D = torch.zeros(M, M), torch.zeros(M, K + 1), torch.zeros(M), torch.zeros(K, M)
    x, q, Q, o, m, v, pulse, late = (u[name] for name in ("x", "q", "Q", "o", "m", "v", "pulse", "late"))
    late = late.view(S, G)
    _clock(W, h, u["one"], pulse)
    C[x[0], :-1] = k.float()
    C[q[:1], -1] = 1
    C[v[:1], -1] = big
    W[x[1:], x[:-1]] = W[q[1:], q[:-1]] = 1
    W[Q, Q] = W[Q, x[S]] = 1
    h[v], W[v, pulse[S - 2]] = K - big, big  # open as all symbols have come,
    W[v[1:], q[:-1]] = big  # and one after the other from the cue on
    W[v, x[:G].flip(0)] = 1
    W[v, Q] = -1
    W[v[:, None], m] = 1 + torch.eye(G)
    W[late[0], v] = W[late[1:], late[:-1]] = W[m, m] = W[m, late[-1]] = 1
    W[m, pulse[2 * S - 1]] = -K  # an open gate adds K
    W[o, v], W[o, q] = 1, -K
    D[:, [int(o), int(Q)]] = k.float()[:, None]
    D[:, m] = -k.float()[:, None]
    return _net(P=G, W=W, C=C, h=h, D=D, b=-k.square() / 2)


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
    it, that of whole sequences does. No limit on accuracy: that is `linear_copy_accuracy`.

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
