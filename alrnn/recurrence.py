r"""The recurrence of the Almost-Linear RNN over time, for K nets at once, and nothing else.

    z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h,      phi(z) = max(z, lower)

`lower` is -inf on linear units and 0 on PWL units: one formula for every P, so nets with different P run in one batch.
`reference` is the equation as a plain loop; `recurrence` is the same function, fast, with its own backward pass.

Shapes: K nets, B sequences, T steps, M units, N inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import kernel


def phi(z: Tensor, lower: Tensor) -> Tensor:
    """max(z, lower); NaN stays NaN, and at z = lower the slope is 0, as for ReLU."""
    return torch.where(z <= lower, lower, z)


def reference(
    s: Tensor, z0: Tensor, A: Tensor, W: Tensor, C: Tensor | None, h: Tensor, lower: Tensor, last: int | None = None
) -> Tensor:
    """The recurrence as one reads it: the definition that every faster path is tested against. As `recurrence`."""
    shared = s.dim() == 3
    z, states = z0, []
    for t in range(s.shape[-2]):
        s_t = (s[:, t].expand(W.shape[0], -1, -1) if shared else s[:, :, t]).to(z.dtype)
        drive = s_t if C is None else s_t @ C.mT
        z = A[:, None] * z + phi(z, lower[:, None]) @ W.mT + drive + h[:, None]
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
    _check(s, z0, A, W, C, h, lower, last)
    inputs, last = (s, z0, A, W, C, h, lower), None if last == s.shape[-2] else last
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        return _Recurrence.apply(*inputs, last)
    return _forward(*inputs, last, keep=False)[0]


def backend() -> kernel.Backend:
    """Which code runs `recurrence` on the CPU in float32 and float64, "c" or "torch", and why. Builds the kernel if need be.

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
        library, need = _library(grad), ctx.needs_input_grad[:-1]
        if torch.is_grad_enabled():  # this backward will be differentiated itself: the states must know how they arose
            return *_torch_backward(need, grad, _Recurrence.apply(*inputs, None), *inputs), None
        if library is not None:
            return *kernel.backward(library, need, grad, kept, *inputs), None
        return *_torch_backward(need, grad, kept, *inputs), None


def _library(x):
    """The C kernel if it can serve tensors like this one."""
    served = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return kernel.load()[0] if served else None


def _forward(s, z0, A, W, C, h, lower, last, keep):
    """The last states, and, if `keep`, what the backward pass needs of them."""
    library = _library(z0)
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
    g, G = torch.zeros_like(z0), []
    T, last = z.shape[2], grad.shape[2]
    for t in reversed(range(T)):
        if t >= T - last:
            g = g + grad[:, :, t - T + last]
        G.append(g)
        g = A[:, None] * g + (g @ W).masked_fill(dead[:, :, t], 0)
    dz0 = g
    G = torch.stack(G[::-1], dim=2)  # (K, B, T, M)
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


def _check(s, z0, A, W, C, h, lower, last):
    named = {"s": s, "z0": z0, "A": A, "W": W, "C": C, "h": h, "lower": lower}
    named = {name: x for name, x in named.items() if x is not None}
    for name, x in named.items():
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{name} must be a floating point tensor, got {kind}")
    if len({x.dtype for x in named.values()}) > 1:
        raise TypeError(
            "all arguments must have one dtype, got " + ", ".join(f"{n} {x.dtype}" for n, x in named.items())
        )
    if len({x.device for x in named.values()}) > 1:
        raise ValueError(
            "all arguments must be on one device, got " + ", ".join(f"{n} {x.device}" for n, x in named.items())
        )
    if s.dim() not in (3, 4):
        raise ValueError(f"s must have shape (B, T, N) or (K, B, T, N), got {tuple(s.shape)}")
    if z0.dim() != 3:
        raise ValueError(f"z0 must have shape (K, B, M), got {tuple(z0.shape)}")
    (K, B, M), (T, N) = z0.shape, s.shape[-2:]
    expected = {"A": (K, M), "W": (K, M, M), "C": (K, M, N), "h": (K, M), "lower": (K, M)}
    expected["s"] = (B, T, N if C is not None else M) if s.dim() == 3 else (K, B, T, N if C is not None else M)
    for name, shape in expected.items():
        if name in named and tuple(named[name].shape) != shape:
            raise ValueError(
                f"{name} must have shape {shape} (z0 is {tuple(z0.shape)}), got {tuple(named[name].shape)}"
            )
    if min(K, B, M, T) == 0:
        raise ValueError(f"need at least one net, sequence, unit and step, got K={K}, B={B}, M={M}, T={T}")
    if last is not None and not (isinstance(last, int) and 1 <= last <= T):
        raise ValueError(f"last must be between 1 and T = {T}, got {last}")
