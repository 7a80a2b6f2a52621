r"""The recurrence of the Almost-Linear RNN over time, for K nets at once, and nothing else.

    z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h,      phi(z) = max(z, lower)

`lower` is -inf on linear units and 0 on PWL units: one formula for every P, so nets with different P run in one batch.
`reference` is the equation as a plain loop; `recurrence` is the same function, fast, with its own backward pass.

Shapes: K nets, B sequences, T steps, M units, N inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_recurrence
from . import kernel

__all__ = ["backend", "phi", "recurrence", "reference", "step"]
__dir__ = __all__.copy  # dir() shows what is public


def phi(z: Tensor, lower: Tensor) -> Tensor:
    """max(z, lower); NaN stays NaN, and at z = lower the slope is 0, as for ReLU."""
    return torch.where(z <= lower, lower, z)


def step(s_t: Tensor, z: Tensor, A: Tensor, W: Tensor, C: Tensor | None, h: Tensor, lower: Tensor) -> Tensor:
    """The equation: the state after input s_t, (..., M), from the one before. Looks at nothing that it is given.

    s_t (..., N), z (..., M); A, h, lower (M,), W (M, M), C (M, N) or None; for K nets A, h, lower (K, 1, M), the rest
    with K in front.
    """
    drive = s_t if C is None else s_t @ C.mT
    return A * z + phi(z, lower) @ W.mT + drive + h


def reference(
    s: Tensor, z0: Tensor, A: Tensor, W: Tensor, C: Tensor | None, h: Tensor, lower: Tensor, last: int | None = None
) -> Tensor:
    """The recurrence as one reads it: the definition that every faster path is tested against. As `recurrence`."""
    shared = s.dim() == 3
    z, states = z0, []
    for t in range(s.shape[-2]):
        s_t = (s[:, t].expand(W.shape[0], -1, -1) if shared else s[:, :, t]).to(z.dtype)
        z = step(s_t, z, A[:, None], W, C, h[:, None], lower[:, None])
        states.append(z)
    return torch.stack(states[-last if last else 0 :], dim=2)


def recurrence(
    s: Tensor, z0: Tensor, A: Tensor, W: Tensor, C: Tensor | None, h: Tensor, lower: Tensor, last: int | None = None
) -> Tensor:
    """States of K nets over T steps, differentiable (twice) in all float arguments.

    Args:
        s: input, (B, T, N) shared by the nets or (K, B, T, N).
        z0: state before the first input, (K, B, M).
        A: diagonal, (K, M). W: (K, M, M). h: (K, M).
        C: input weights, (K, M, N), or None: then N = M and s is added to the state as it is.
        lower: lower bound of phi, (K, M): -inf on linear units, 0 on PWL units.
        last: keep only the last `last` steps of the result; all of them by default.

    Returns:
        z, (K, B, T, M), or (K, B, last, M). z[:, :, t] is the state after s[..., t, :]. Memory layout is free.

    Raises:
        ValueError: wrong shape, T = 0, mixed devices, or `last` outside 1..T.
        TypeError: not floating point, or dtypes that differ.
    """
    check_recurrence(s, z0, A, W, C, h, lower, last)
    inputs, last = (s, z0, A, W, C, h, lower), None if last == s.shape[-2] else last
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        return _Recurrence.apply(*inputs, last)
    return _forward(*inputs, last, keep=False)[0]


def backend() -> kernel.Backend:
    """Which code runs `recurrence` on the CPU in float32 and float64, "c" or "torch", and why. Builds the kernel.

    Elsewhere, on other devices and in other dtypes, and for derivatives of derivatives, it is always torch.
    """
    return kernel.load()[1]


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s, z0, A, W, C, h, lower, last):
        z, kept = _forward(s, z0, A, W, C, h, lower, last, keep=True)
        ctx.save_for_backward(s, z0, A, W, C, h, lower, z if last is None else kept)
        return z

    @staticmethod
    def backward(ctx, grad):
        *inputs, kept = ctx.saved_tensors
        library, need = kernel.library_for(grad), ctx.needs_input_grad[:-1]
        if torch.is_grad_enabled():  # this backward will be differentiated itself: the states must know how they arose
            return *_torch_backward(need, grad, _Recurrence.apply(*inputs, None), *inputs), None
        if library is not None:
            return *kernel.backward(library, need, grad, kept, *inputs), None
        return *_torch_backward(need, grad, kept, *inputs), None


def _forward(s, z0, A, W, C, h, lower, last, keep):
    """The last states, and, if `keep`, what the backward pass needs of them."""
    library = kernel.library_for(z0)
    if library is not None:
        return kernel.forward(library, s, z0, A, W, C, h, lower, last, keep)
    z = _torch_forward(s, z0, A, W, C, h, lower)
    return (z if last is None else z[:, :, -last:].clone()), z


def _torch_forward(s, z0, A, W, C, h, lower):
    """All states. Time comes first in memory, so that every step is one contiguous block."""
    x = s.movedim(-2, 0)  # (T, B, N) or (T, K, B, N)
    x = x.unsqueeze(1) if s.dim() == 3 else x
    z = (x if C is None else x @ C.mT) + h[:, None]  # (T, K, B, M), the drive of every step
    WT, a, low, previous = W.mT, A[:, None], lower[:, None], z0
    for t in range(z.shape[0]):
        z[t].baddbmm_(phi(previous, low), WT).addcmul_(a, previous)
        previous = z[t]
    return z.movedim(0, 2)


def _torch_backward(need, grad, z, s, z0, A, W, C, h, lower):
    """Gradients of the inputs that need one. With G_t = dL/dz_t, direct and through later steps,

        G_{t-1} = direct + A G_t + phi'(z_{t-1}) W^T G_t.

    It is made of differentiable operations, hence it can be differentiated again.
    """
    before = torch.cat([z0.unsqueeze(2), z[:, :, :-1]], dim=2)  # z_{t-1}
    dead = before <= lower[:, None, None]
    g, steps = torch.zeros_like(z0), []
    T, last = z.shape[2], grad.shape[2]
    for t in reversed(range(T)):
        if t >= T - last:
            g = g + grad[:, :, t - T + last]
        steps.append(g)
        g = A[:, None] * g + (g @ W).masked_fill(dead[:, :, t], 0)
    dz0 = g
    G = torch.stack(steps[::-1], dim=2)  # (K, B, T, M)
    flat = G.flatten(1, 2)  # (K, BT, M)
    ds = dA = dW = dC = dh = dlower = None
    if need[0]:
        ds = G if C is None else G @ C.unsqueeze(1)
        ds = ds.sum(0) if s.dim() == 3 else ds
    if need[2]:
        dA = (G * before).sum((1, 2))
    if need[3]:
        dW = flat.mT @ phi(before, lower[:, None, None]).flatten(1, 2)
    if need[4]:
        dC = flat.mT @ s.flatten(-3, -2)
    if need[5]:
        dh = flat.sum(1)
    if need[6]:
        dlower = (G @ W.unsqueeze(1)).masked_fill(~dead, 0).sum((1, 2))
    return ds, dz0 if need[1] else None, dA, dW, dC, dh, dlower
