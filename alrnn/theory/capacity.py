"""How few PWL units suffice, whatever training finds: nets for variable copy, and what no linear net can do.

Two ways to compute with regions. As gates, regions depend on time and cue and not on what is said: S - 1 units hold and
release S symbols. As data, regions depend on the symbols: then the number of units need not grow with S at all (one for
two letters is enough, `copy_by_tents`), at the price of precision. A symbol is a number k < K = alphabet, and logits
are those of `exact_fixed_copy`, or sums over bits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..checks import integer
from ..nets import ALRNN
from .affine import _clock, _net, _units
from .copy import exact_variable_copy, recall_probabilities

__all__ = ["copy_by_bits", "copy_by_gates", "copy_by_numbers", "copy_by_tents", "linear_copy"]
__all__ += ["linear_copy_accuracy", "twisted_rivals"]


copy_by_gates = exact_variable_copy  # the name of that net among those below


def copy_by_numbers(symbols: int = 5, alphabet: int = 4) -> ALRNN:
    """P = 2 alphabet - 1, for any number of symbols and any delay above symbols + 1: all symbols in one number.

    All symbols are digits of one number, which a single gate lets in, and at the cue out; then each step takes off the
    leading digit, made of 2 (K - 1) kinks, and moves the others up. The base is a power of two, at least 2 K, so that
    sums are exact in float64 as long as the digits fit it: any rounding error grows by the base with every step.

    Raises:
        ValueError: it does not fit, or sizes below 1 symbol or 2 letters.
    """
    S, K = integer("symbols", symbols, 1), integer("alphabet", alphabet, 2)
    said = torch.arange(K, dtype=torch.float64)
    return _by_digits(
        S, said[None], base=2 ** math.ceil(math.log2(2 * K)), readout=said[:, None], bias=-said.square() / 2 - said / 4
    )


def copy_by_bits(symbols: int = 5, alphabet: int = 4) -> ALRNN:
    """P = 3 ceil(log2 alphabet), for any number of symbols and any delay above symbols + 1: one number for each bit.

    As `copy_by_numbers`, to the base 4 and with a digit made of two kinks, for each binary digit of the symbols.

    Raises:
        ValueError: it does not fit, or sizes below 1 symbol or 2 letters.
    """
    S, K = integer("symbols", symbols, 1), integer("alphabet", alphabet, 2)
    bit = (torch.arange(K) >> torch.arange(math.ceil(math.log2(K)))[:, None] & 1).double()  # (n, K)
    sign = 2 * bit.T - 1
    return _by_digits(S, bit, base=4, readout=sign, bias=-0.67 * sign.sum(1))


def copy_by_tents(symbols: int = 5, alphabet: int = 4) -> ALRNN:
    """P = ceil(log2 alphabet), for any number S of symbols, at any delay above S (S - 1): one tent map for each bit.

    Of two letters it is P = 1, the least there is. Let x' = 1 - 2 |x|: the signs of x, x', x'', ... can be any sequence
    of signs whatever, and one x in (-1, 1) stands for all that are to come. As |x| = (1 - x') / 2, it is found from the
    last to the first: x = s (1 - x') / 2 with its sign s. For both ways one kink a step is enough, and the same one.
    Scaled by a power of two that changes with each step, memory is one integrator Y, from which twice the gate's output
    is taken:

        writing  Y' = Y - 2 r + 2^n, r = max(Y - 2^n (1 - bit), 0), for the symbol that is the n-th from behind;
        reading  Z' = Z - 2 q + 2^(S - 2 - i), q = max(Z, 0), and the sign of Z is the i-th bit.

    Symbols come from delay lines, with a tap for each; between two of them S - 1 steps pass, so that no other symbol is
    at a tap. All sums are exact in float64.

    Raises:
        ValueError: more than 48 symbols, which do not fit, fewer than two, or fewer than two letters.
    """
    S, K = integer("symbols", symbols, 2, 48), integer("alphabet", alphabet, 2)
    n = math.ceil(math.log2(K))
    bit = (torch.arange(K) >> torch.arange(n)[:, None] & 1).double()  # (n, K)
    power, big, L = 2.0 ** torch.arange(S, dtype=torch.float64), 2.0 ** (S + 2), S - 1
    write = S + L * torch.arange(S)  # steps at which the gates open
    M, u = _units(one=1, pulse=int(write[-1]), q=S + 1, x=n * (L * S + 1), m=n, late=n * S, v=n)
    W, C = torch.zeros(M, M, dtype=torch.float64), torch.zeros(M, K + 1, dtype=torch.float64)
    h, D = torch.zeros(M, dtype=torch.float64), torch.zeros(K, M, dtype=torch.float64)
    _clock(W, h, u["one"], u["pulse"])
    q, C[u["q"][0], -1] = u["q"], 1
    W[q[1:], q[:-1]] = 1
    sign = 2 * bit.T - 1  # of each letter, for each number
    for a, (x, late) in enumerate(zip(u["x"].view(n, -1), u["late"].view(n, S), strict=True)):
        m, v = u["m"][a], u["v"][a]
        C[x[0], :-1] = bit[a]
        W[x[1:], x[:-1]] = W[late[1:], late[:-1]] = W[m, m] = W[late[0], v] = W[v, m] = 1
        W[m, u["pulse"][0]] = 0.5
        W[m, u["pulse"][write - 1]] += power
        W[m, late[-1]] = W[v, v] = -2
        W[v, late] = -2
        tap = power.clone()
        tap[-1] *= -1  # the first symbol is written upside down: then m - 2^(S - 1) has its sign
        W[v, x[:: L + 1][:S]] = tap
        h[v], W[v, u["pulse"][write - 1]] = -big, big - tap.clamp(min=0)
        C[v, -1], W[v, q[: S - 1]] = big - power[-1], big - power[: S - 1].flip(0)
        D += sign[:, a : a + 1] * torch.zeros(M, dtype=torch.float64).index_fill(0, m, 1.0)
        D[:, late[1:]] = -2 * sign[:, a : a + 1]
    D[:, q[1:]] = -sign.sum(1, keepdim=True) * power.flip(0)
    return _net(P=n, W=W, C=C, h=h, D=D)


def _by_digits(S: int, digits: Tensor, base: int, readout: Tensor, bias: Tensor) -> ALRNN:
    """n numbers, each of S digits to the base; digits (n, K): those of the letters. readout (K, n), of what is left.

    A number r = d + f with digit d and a rest f below 1/2 becomes base f: the digit is a staircase of ramps, from
    j - 1/2 to j for each j = 1, 2, ... up to the largest digit.
    """
    (n, K), top = digits.shape, int(digits.max())
    big = 2.0 ** math.ceil(math.log2(4 * top + 4))  # more than a closed gate ever sees
    if (S - 1) * math.log2(base) + math.log2(8 * big) > 53:
        raise ValueError(f"{S} digits to the base {base} do not fit the 53 binary digits of float64")
    M, u = _units(one=1, pulse=S, x=S * n, N=n, r=n, v=n, ramp=n * top * 2)
    W, C = torch.zeros(M, M, dtype=torch.float64), torch.zeros(M, K + 1, dtype=torch.float64)
    h, D = torch.zeros(M, dtype=torch.float64), torch.zeros(K, M, dtype=torch.float64)
    x, ramp, N, r, v = u["x"].view(S, n), u["ramp"].view(n, 2 * top), u["N"], u["r"], u["v"]
    _clock(W, h, u["one"], u["pulse"])
    C[x[0], :-1] = digits
    W[x[1:], x[:-1]] = 1
    for i in range(S):
        W[v, x[S - 1 - i]] = float(base) ** -i
    h[v], W[v[:, None], u["pulse"][S - 1]], C[v, -1] = -big, big, big
    W[v, N] = W[N, N] = W[N, v] = 1
    steps = torch.arange(1, top + 1, dtype=torch.float64)
    kinks = torch.cat([steps - 0.5, steps])  # where ramps begin, and where they end
    slope = torch.cat([torch.ones(top), -torch.ones(top)]).double() * 2 * base
    for a in range(n):
        for to, kink in [(r[a], 0.0), *zip(ramp[a], kinks, strict=True)]:
            W[to, r[a]], W[to, v[a]], h[to] = base, 1, -kink
            W[to, ramp[a]] = -slope
    D[:, r] = readout
    return _net(P=n * (1 + 2 * top), W=W, C=C, h=h, D=D, b=bias)


def twisted_rivals(P: int) -> ALRNN:
    """P = 3 or 4 PWL units, and P linear ones, with all 2^(P - 1) stable points that `most_stable_points` allows.

    Three PWL units hold each other down as rock, paper and scissors do: by 8 the one that a unit beats, by 2 the one
    that beats it; a fourth is beaten by all three, but by 4. What holds down is not max(z, 0) itself but l, a slow
    linear trace of it. Any odd number of units is on at a stable point. With traces apart, only those of single units
    would be stable; but traces turn into one another, l' = l - (l + T l - max(z, 0)) / 64, T = -1 from a unit to one
    that it beats and 1 back, and this holds three units up together. No inputs or outputs; float64, weights are exact.

    Raises:
        ValueError: P is neither 3 nor 4.
    """
    if integer("P", P, 0) not in (3, 4):
        raise ValueError(f"P must be 3 or 4, got {P}")
    beats = torch.zeros(P, P, dtype=torch.float64)  # [j, i]: unit i beats unit j
    beats[[1, 2, 0], [0, 1, 2]] = 1
    beats[3:, :3] = 1
    strength = 8 * beats
    strength[3:] = 4 * beats[3:]
    turn = torch.eye(P, dtype=torch.float64) - beats + beats.T
    W = torch.zeros(2 * P, 2 * P, dtype=torch.float64)
    W[:P, :P], W[:P, P:] = torch.eye(P) - turn / 64, torch.eye(P) / 64
    W[P:, :P] = -(strength + 2 * beats.T) @ turn
    return ALRNN.from_weights(W, torch.cat([torch.zeros(P), torch.ones(P)]), nonlinear=P)


def linear_copy_accuracy(symbols: int = 2, window: int = 50, alphabet: int = 4) -> float:
    """What no affine map, of any size, exceeds in accuracy on `tasks.VariableCopy`; for two symbols it is reached.

    It holds for any encoder of single steps in front, too: all that is used is that the outputs are sums over steps.

    Where n >= 2 positions may be due, take two of them, i and j, with different symbols, all other symbols fixed. Under
    the two cues and with the two symbols exchanged these are four trials, which the proof at `variable_copy_decoder`
    does not allow to be right all at once: three at most. So at most 1 - (1 - 1/K)/4 of such trials are right.
    For two symbols: weights slightly larger for one position, and under the other's cue biases that fall from class to
    class. Then the one is always right, and the other if both symbols agree or its own comes first: as many.
    """
    K = integer("alphabet", alphabet, 2)
    possible = (recall_probabilities(symbols, window) > 0).sum(1)
    most = 1 - (possible > 1).double() * (1 - 1 / K) / 4
    return float(torch.stack([most[cue : cue + symbols].mean() for cue in range(window)]).mean())


def linear_copy(delay: int = 50, window: int = 50, alphabet: int = 4) -> ALRNN:
    """P = 0: as accurate on two symbols as any linear net can be (`linear_copy_accuracy`). Delay lines of 4 + delay +
    window steps for each input, hence large. float64.
    """
    K, low = integer("alphabet", alphabet, 2), integer("delay", delay, 0) + 3  # the least lag of a symbol that is due
    w = integer("window", window, 1)
    T, k = 4 + delay + w, torch.arange(K, dtype=torch.float64)
    M, u = _units(**{f"x{channel}": T for channel in range(K + 1)})
    W, C, D = torch.zeros(M, M), torch.zeros(M, K + 1), torch.zeros(K, M, dtype=torch.float64)
    for channel, line in enumerate(u.values()):
        C[line[0], channel] = W[line[1:], line[:-1]] = 1
        if channel < K:
            D[channel, line[low : low + w]] = 1 + 0.01 * torch.arange(w).double() / w  # the older one counts more
    D[:, u[f"x{K}"][2]] = 0.02 * (K - 1 - k)  # at this lag of the cue, the second symbol is due: the younger one
    return _net(P=0, W=W, C=C, D=D)
