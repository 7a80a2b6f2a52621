r"""The recurrence of the Almost-Linear RNN over time, for K nets at once, and nothing else.

    z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h,      phi(z) = max(z, lower)

`lower` is -inf on linear units and 0 on PWL units: one formula for every P, so nets with different P run in one batch.
`reference` is the equation as a plain loop; `recurrence` is the same function, fast, with its own backward pass.

Shapes: K nets, B sequences, T steps, M units, N inputs.
"""

from __future__ import annotations

import contextlib
import functools

import torch
from torch import Tensor

from ..checks import check_recurrence, ordinary, transformed, watched
from . import kernel

BLOCKS = 6  # of steps, in which the torch path walks back: that much less memory, that many more operations

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
    here = check_recurrence(s, z0, A, W, C, h, lower, last)
    return walk(here, kernel.Inputs(s, z0, A, W, C, h, lower), last)


def walk(here: bool, inputs: kernel.Inputs, last: int | None = None) -> Tensor:
    """`recurrence` of arguments that fit, and that are ordinary, or not: so it is decided who serves.

    Ordinary tensors get the C kernel or, in place, torch. What compiles, traces or watches sees one operator, which it
    need not understand. Transforms of torch.func, forward mode and tensors of other kinds get the loop.
    """
    last = None if last == inputs.s.shape[-2] else last
    if here:
        if torch.is_grad_enabled() and any([x is not None and x.requires_grad for x in inputs]):
            return _Recurrence.apply(*inputs, last)
        return _forward(inputs, last, False)[0]
    with full_precision(inputs.z0):
        if transformed() or not watched():
            return reference(*inputs, last)  # type: ignore[arg-type]
        z = _states(*inputs)
        return z if last is None else z[:, :, -last:]


def full_precision(x: Tensor) -> contextlib.AbstractContextManager:
    """Meanwhile no autocast where x is: a state is a sum over many steps."""
    if torch._C._is_any_autocast_enabled() and torch.amp.is_autocast_available(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()


def backend() -> kernel.Backend:
    """Which code runs `recurrence` on the CPU in float32 and float64, "c" or "torch", and why. Builds the kernel.

    Elsewhere, on other devices and in other dtypes, and for derivatives of derivatives, it is always torch.
    """
    return kernel.load()[1]


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs_last):
        inputs, last = kernel.Inputs(*inputs_last[:-1]), inputs_last[-1]
        z, kept = _forward(inputs, last, True)
        ctx.save_for_backward(*inputs, z if last is None else kept)
        return z

    @staticmethod
    def backward(ctx, grad):
        return *_backward(ctx, grad), None


def _backward(ctx, grad):
    *saved, kept = ctx.saved_tensors
    need, inputs = tuple(ctx.needs_input_grad[:7]), kernel.Inputs(*saved)
    again = torch.is_grad_enabled()  # this backward will be differentiated itself
    if ordinary(grad, kept, *inputs) and not again:
        return _gradients_from(need, grad, kept, inputs)
    if transformed() or not watched() or again:
        return _torch_backward(need, grad, walk(ordinary(*inputs), inputs), *inputs)  # states that know how they arose
    found = iter(_gradients(grad, kept, *inputs, need))
    return tuple(next(found) if n else None for n in need)


def _forward(inputs, last, keep):
    """The last states, and, if `keep`, what the backward pass needs of them."""
    library = kernel.library_for(inputs.z0)
    if library is not None:
        return kernel.forward(library, inputs, last, keep)
    with full_precision(inputs.z0):
        z = _torch_forward(*inputs)
    return (z if last is None else z[:, :, -last:].clone()), z


def _gradients_from(need, grad, kept, inputs):
    library = kernel.library_for(grad)
    if library is not None:
        return kernel.backward(library, need, grad, kept, inputs)
    return _torch_backward(need, grad, kept, *inputs)


# ---- one operator for all that compiles or traces: all states, and the gradients that are needed

_INPUTS = "Tensor s, Tensor z0, Tensor A, Tensor W, Tensor? C, Tensor h, Tensor lower"
_BACK = f"(Tensor grad, Tensor z, {_INPUTS}, bool[] need) -> Tensor[]"


@torch.library.custom_op("alrnn::states", mutates_args=(), schema=f"({_INPUTS}) -> Tensor")
def _states(*inputs):
    z, _ = _forward(kernel.Inputs(*inputs), None, False)
    return z.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # laid out in memory as the kernel does it


@_states.register_fake
def _(s, z0, *_):
    K, B, M = z0.shape
    return z0.new_empty(K, s.shape[-2], M, B).permute(0, 3, 1, 2)


@torch.library.custom_op("alrnn::gradients", mutates_args=(), schema=_BACK)
def _gradients(grad, z, *rest):
    found = _gradients_from(rest[-1], grad, z, kernel.Inputs(*rest[:-1]))
    return [x.clone(memory_format=torch.contiguous_format) for x in found if x is not None]


@_gradients.register_fake
def _(grad, z, *rest):
    return [x.new_empty(x.shape) for x, n in zip(rest[:-1], rest[-1], strict=True) if n]


_states.register_autograd(_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs, output))


# ---- torch's own operations


def _torch_forward(s, z0, A, W, C, h, lower):
    """All states. In memory each net's time comes first, so that a step is one block of every net."""
    (K, B, M), (T, N) = z0.shape, s.shape[-2:]
    x = s.transpose(-3, -2).reshape(*s.shape[:-3], T * B, N).expand(K, T * B, N)
    z = (x + h[:, None] if C is None else torch.bmm(x, C.mT).add_(h[:, None])).view(K, T, B, M)  # drive of every step
    low = lower[:, None].nan_to_num(-torch.inf, torch.inf, -torch.inf)  # as in `phi`, where nothing lies below NaN
    WT, a, previous = W.mT, A[:, None], z0
    for t in range(T):
        previous = z[:, t].baddbmm_(torch.maximum(previous, low), WT).addcmul_(a, previous)
    return z.transpose(1, 2)


def _torch_backward(need, grad, z, s, z0, A, W, C, h, lower):
    """Gradients of the inputs that need one. With G_t = dL/dz_t, direct and through later steps,

        G_{t-1} = direct + A G_t + phi'(z_{t-1}) W^T G_t.

    It is made of differentiable operations, hence it can be differentiated again. Block by block of steps, what
    follows from the G_t is summed up, so that nothing as large as the states is held beside them and `grad`.
    """
    with full_precision(z0):
        T, missing = z.shape[2], z.shape[2] - grad.shape[2]
        grad = grad if grad.layout == torch.strided else grad.to_dense()
        direct = [torch.zeros_like(z0)] * (missing + 1) + list(grad.unbind(2))  # to z_{-1}, z_0, ..., z_{T-1}
        size, g, parts = max(8, -(-T // BLOCKS)), direct.pop(), []
        ds = grad.new_empty(s.shape) if need[0] else None
        for end in range(T, 0, -size):
            begin = max(0, end - size)
            before = z[:, :, begin - 1 : end - 1] if begin else torch.cat([z0.unsqueeze(2), z[:, :, : end - 1]], 2)
            g, flat, part = _torch_block(need, g, direct[begin:end], before, s[..., begin:end, :], A, W, C, lower)
            parts.append(part)
            if ds is not None:
                d = (flat if C is None else flat @ C).reshape(len(z0), end - begin, z0.shape[1], -1).transpose(1, 2)
                ds[..., begin:end, :] = d.sum(0) if s.dim() == 3 else d
            del flat
        sums = (functools.reduce(torch.add, xs) if xs[0] is not None else None for xs in zip(*parts, strict=True))
        return ds, g if need[1] else None, *sums


def _torch_block(need, g, direct, before, s, A, W, C, lower):
    """From G after a block of n steps: G before it, all G, and what they add to dA, dW, dC, dh, dlower if needed."""
    a, low, before = A[:, None], lower[:, None], before.transpose(1, 2)  # z_{t-1}, (K, n, B, M)
    dead, steps = before <= low[:, None], []
    for t in reversed(range(len(direct))):
        steps.append(g)
        g = torch.where(dead[:, t], direct[t], torch.baddbmm(direct[t], g, W)).addcmul(a, g)
    G = torch.stack(steps[::-1], 1)  # (K, n, B, M)
    del steps
    K, n, B, M = G.shape
    flat = G.reshape(K, n * B, M)
    dA = (G * before).sum((1, 2)) if need[2] else None
    dW = flat.mT @ phi(before, low[:, None]).reshape(K, n * B, M) if need[3] else None
    dC = flat.mT @ s.transpose(-3, -2).reshape(*s.shape[:-3], n * B, -1) if need[4] else None
    dh = flat.sum(1) if need[5] else None
    dlower = (flat @ W).masked_fill(~dead.reshape(K, n * B, M), 0).sum(1) if need[6] else None
    return g, flat, (dA, dW, dC, dh, dlower)
