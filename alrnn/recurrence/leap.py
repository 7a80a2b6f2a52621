r"""The recurrence again, for few PWL units: they are walked step by step, the linear rest leaps L steps at a time.

With F = diag(A) + the linear columns of W, G the PWL columns of W, and v_t the PWL units of z_t,

    z_t = F z_{t-1} + G phi(v_{t-1}) + C s_t + h,

so L steps after z_0 the state is one weighted sum,

    z_L = F^L z_0 + sum_{j=0}^{L-1} F^{L-1-j} (G phi(v_j) + C s_{j+1} + h),

and v_0, ..., v_{L-1} are rows of the same formula with fewer terms. They alone must be known one after another. For one
sequence that takes some M^2 / L + 2 M P + P^2 L / 2 multiplications a step, not M^2, inputs and the powers of F, which
serve all sequences, aside. With P = 0 this is the parallel linear recurrence of Martin & Cundy (2018,
arXiv:1709.04057).
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ..checks import check_recurrence, ordinary
from . import full_precision, kernel, phi, walk

LENGTHS = (2, 4, 8, 16, 32, 64)  # of leaps
WORTH = 0.7  # leap where it is expected to take less than this share of the time
LARGEST = 100.0  # entry of a leap's matrix: so much it may magnify rounding


def leap(
    s: Tensor, z0: Tensor, A: Tensor, W: Tensor, C: Tensor | None, h: Tensor, lower: Tensor, last: int | None = None
) -> Tensor:
    """`recurrence`, the same up to rounding, in less time where P is small and only the `last` states are wanted.

    It leaps only in the C kernel, with input weights C, for nets whose PWL units come last and have fixed bounds, and
    if it saves time. The powers that a leap takes are torch's: results are the same bits for any number of threads only
    where torch's own operations have one, as in `fit`.

    Arguments, result and errors are those of `recurrence`.
    """
    here = check_recurrence(s, z0, A, W, C, h, lower, last)
    (K, B, M), T = z0.shape, s.shape[-2]
    if C is None or last is None or lower.requires_grad or not here or kernel.library_for(z0) is None:
        return walk(here, kernel.Inputs(s, z0, A, W, C, h, lower), last)
    sizes = [_pwl_units(bounds) for bounds in (lower != -torch.inf).tolist()]
    plans = [(P, longest(sizes.count(P), B, _leapt(T, last), M, P, C.shape[-1])) for P in sizes]
    plans = [plan if plan[1] > 1 else (M, 1) for plan in plans]  # those that walk walk together
    groups = {plan: [k for k in range(K) if plans[k] == plan] for plan in dict.fromkeys(plans)}
    parts = []
    for (P, L), nets in groups.items():
        x = s if s.dim() == 3 else _some(s, nets)
        z, a, w, c, b, low = (_some(x, nets) for x in (z0, A, W, C, h, lower))
        parts.append(_leap_then_walk(x, z, a, w, c, b, low, last, P, L))
    together = sum(groups.values(), [])
    return _some(torch.cat(parts) if len(parts) > 1 else parts[0], sorted(range(K), key=together.__getitem__))


@functools.lru_cache
def longest(K: int, B: int, T: int, M: int, P: int, N: int) -> int:
    """How many steps to leap at a time, one of `LENGTHS`, with K nets of equal sizes; 1: walk.

    Counts multiplications for a sequence and a step, forward and backward. The weights were fitted to measurements:
    products with the few columns of PWL units keep a processor less busy than large ones; so do small powers, setting
    up, and a rest that is walked.
    """

    def cost(L):
        rows, rest = L * P + M, T % L / T
        powers = M**3 * math.log2(L) + L * M * M * (2 * P + N + 1)
        set_up = 24 * powers + (6.4e7 if rest else 4e7) / K
        leaping = rows * (4.1 * (M + L * N) / L + 1.6 * P) + 17 * L * P + set_up / (B * T)
        return leaping * (1 - rest) + walking * rest

    walking = 4 * M * (M + N)  # states, the same anew for the way back, their gradients, those of the weights
    best = min((L for L in LENGTHS if L <= T), key=cost, default=1)
    return best if best > 1 and cost(best) < WORTH * walking else 1


def _some(x: Tensor, nets: list[int]) -> Tensor:
    """The entries of these nets, without a copy if they lie side by side."""
    if nets == list(range(len(x))):
        return x
    if nets == list(range(nets[0], nets[0] + len(nets))):
        return x.narrow(0, nets[0], len(nets))
    return x.index_select(0, torch.tensor(nets))


def _pwl_units(bounded: list[bool]) -> int:
    """P, if the PWL units are the last P; if they are elsewhere, all count as such."""
    M, P = len(bounded), sum(bounded)
    return P if all(bounded[M - P :]) else M


def _leap_then_walk(s, z0, A, W, C, h, lower, last, P, L):
    inputs = kernel.Inputs(s, z0, A, W, C, h, lower)
    if L == 1:
        return walk(True, inputs, last)
    steps = _leapt(s.shape[-2], last) // L * L
    with full_precision(z0):
        U, u = matrices(A, W, C, h, P, L)
    if not U.detach().abs().max() <= LARGEST:  # F grows and only the PWL units hold it: differences of large numbers
        return walk(True, inputs, last)
    z = _Leap.apply(s[..., :steps, :], z0, U, u, lower[:, lower.shape[1] - P :], L)
    if not z.detach().sum().isfinite():  # bad numbers travel step by step; then all nets of the group walk
        return walk(True, inputs, last)
    if steps == s.shape[-2]:
        return z.unsqueeze(2)
    return walk(True, inputs._replace(s=s[..., steps:, :], z0=z), last)


def _leapt(T, last):
    """The steps that may be leapt over: all but the last ones, or all if only the very last is wanted."""
    return T if last == 1 else T - last


def matrices(A: Tensor, W: Tensor, C: Tensor, h: Tensor, P: int, L: int) -> tuple[Tensor, Tensor]:
    """A leap of L = 1, 2, 4, 8, ... steps as one matrix, (K, L P + M, M + L N + L P), and a constant, (K, L P + M).

    Rows: v_0, ..., v_{L-1}, z_L. Columns: z_0; s_1, ..., s_L; phi(v_0), ..., phi(v_{L-1}). Rows are zero in the columns
    of what comes later.
    """
    K, M, N = C.shape
    linear = torch.arange(M, device=W.device) < M - P
    power = torch.diag_embed(A) + W * linear  # F
    seen = torch.eye(M, dtype=W.dtype, device=W.device)[M - P :].expand(K, P, M)  # v_k from z_0: PWL rows of F^k
    enter = torch.cat([W[:, :, M - P :], C, h.unsqueeze(2)], 2)  # [G C h] after k steps: F^k [G C h], side by side
    for _ in range(L.bit_length() - 1):  # by doubling: power = F, F^2, F^4, ..., F^L
        seen = torch.cat([seen, seen @ power], 1) if P else seen
        enter = torch.cat([enter, power @ enter], 2)
        power = power @ power
    enter = enter.unflatten(2, (L, P + N + 1)).flip(2)  # what enters in step j has L - 1 - j steps to go
    # v_k sees what enters in step j after k - 1 - j steps: the row of z_L, moved to the left, and zeros from the right
    padded = torch.cat([enter[:, M - P :], enter.new_zeros(K, P, L, P + N + 1)], 2)
    early = padded.unfold(2, L, 1)[:, :, 1:].flip(2).permute(0, 2, 1, 4, 3).flatten(1, 2)  # (K, L P, L, P + N + 1)
    every = torch.cat([early, enter], 1)  # (K, L P + M, L, P + N + 1)
    G, inputs, constant = every.split([P, N, 1], 3)
    return torch.cat([torch.cat([seen, power], 1), inputs.flatten(2), G.flatten(2)], 2), constant.flatten(2).sum(2)


def by_steps(s: Tensor, z0: Tensor, U: Tensor, u: Tensor, lower: Tensor, L: int) -> Tensor:
    """The last state, (K, B, M), of T / L leaps, as one reads them: what the kernel is tested against."""
    P = lower.shape[1]
    v, known = L * P, U.shape[2] - L * P
    z = z0
    for inputs in s.expand(z0.shape[0], *s.shape[-3:]).split(L, 2):
        z = torch.cat([z, inputs.flatten(2)], 2) @ U[:, :, :known].mT + u[:, None]
        for j in range(0, v, P or 1):
            later = phi(z[:, :, j : j + P], lower[:, None]) @ U[:, :, known + j : known + j + P].mT
            z = z + later
        z = z[:, :, v:]
    return z


class _Leap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s, z0, U, u, lower, L):
        inputs, keep = kernel.Inputs(s, z0, None, U, None, u, lower), any(ctx.needs_input_grad)
        z, kept = kernel.leap_forward(kernel.library_for(z0), L, inputs, keep)  # type: ignore[arg-type]
        ctx.save_for_backward(*inputs, kept)
        ctx.L = L
        return z

    @staticmethod
    def backward(ctx, grad):
        *inputs, kept = ctx.saved_tensors
        s, z0, _, U, _, u, lower = inputs = kernel.Inputs(*inputs)
        need = ctx.needs_input_grad[:4]
        if ordinary(grad, kept, *inputs) and not torch.is_grad_enabled():
            library = kernel.library_for(grad)
            return *kernel.leap_backward(library, ctx.L, need, grad, kept, inputs), None, None  # type: ignore[arg-type]
        with torch.enable_grad(), full_precision(grad):
            s, z0, U, u = (x.view_as(x) for x in (s, z0, U, u))  # lest paths from one to another be followed here, too
            z = by_steps(s, z0, U, u, lower, ctx.L)
            wanted = [x for x, n in zip((s, z0, U, u), need, strict=True) if n]
            found = iter(torch.autograd.grad(z, wanted, grad, create_graph=True))
        return *(next(found) if n else None for n in need), None, None
