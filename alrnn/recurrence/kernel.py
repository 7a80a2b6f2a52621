"""Calls kernel.c, the recurrence in C, which `build` makes and loads: what it takes and gives as tensors.

It runs on torch.get_num_threads() threads; set them with torch.set_num_threads or OMP_NUM_THREADS. Its results do not
depend on their number.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .build import Backend as Backend
from .build import Job, load

PER_THREAD = 2_000_000  # multiply-adds that are worth a thread of their own


class Inputs(NamedTuple):
    """Arguments of `recurrence`. Of a leap: its matrix U as W, u as h, and bounds of PWL units alone, (K, P)."""

    s: Tensor
    z0: Tensor
    A: Tensor | None
    W: Tensor
    C: Tensor | None
    h: Tensor
    lower: Tensor


_threads: contextvars.ContextVar[int | None] = contextvars.ContextVar("threads", default=None)


@contextlib.contextmanager
def owning_the_threads() -> Iterator[None]:
    """Meanwhile torch's own operations take one thread and the kernel all that torch had; no effect without a kernel.

    After an operation torch's idle threads spin for a while, on the cores that the kernel needs next.
    """
    threads = torch.get_num_threads()
    if load()[0] is None or threads == 1:
        yield
        return
    token = _threads.set(threads)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        _threads.reset(token)


def library_for(x: Tensor) -> ctypes.CDLL | None:
    """The kernel if it can serve tensors like this one, else None."""
    served = x.is_cpu and x.dtype in (torch.float32, torch.float64)
    return load()[0] if served else None


def forward(library: ctypes.CDLL, inputs: Inputs, last: int | None, marks: bool) -> tuple[Tensor, Tensor | None]:
    """The last `last` states, (K, B, last, M), stored as (K, last, M, B); if wanted, the states `backward` starts from.

    These are the result itself if it holds all states, else every `block`-th one: the others are computed anew.
    """
    job, _alive = _job(library, inputs)
    K, B, T, M, z0 = job.K, job.B, job.T, job.M, inputs.z0
    z = z0.new_empty(K, last or T, M, B)
    kept = z if last is None else z0.new_empty(K, (T - 1) // job.block, M, B)
    job.z, job.last, job.every, job.marked = z.data_ptr(), z.shape[1], job.block, kept.shape[1]
    job.marks = kept.data_ptr() if marks and last else None
    library.alrnn_forward(job, z.element_size())
    z = z.permute(0, 3, 1, 2)
    return z, (z if last is None else kept) if marks else None


def backward(
    library: ctypes.CDLL, need: Sequence[bool], grad: Tensor, marks: Tensor, inputs: Inputs
) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs, None where `need` is False.

    Args:
        need: which of the seven. grad: of the last states, (K, B, last, M), any strides. marks: as `forward` gave them.
    """
    job, alive = _job(library, inputs)
    s, z0, C = inputs.s, inputs.z0, inputs.C
    K, B, T, M, N, last = job.K, job.B, job.T, job.M, job.N, grad.shape[2]
    job.last, job.every, job.marked = last, job.block, (T - 1) // job.block
    if last == T:  # the states themselves, however they come back: the kernel reads (K, T, M, B)
        job.every, job.marked, marks = 1, T, marks.permute(0, 2, 3, 1)
    alive += _hand(job, z0, [("marks", marks, (K, job.marked, M, B)), ("grad", grad, (K, B, last, M))])
    job.grad_stride[:] = alive[-1].stride()
    chunks, J = -(-B // job.lanes), M if C is None else M + N
    parts = (K, chunks) if chunks > 1 else (K,)
    names = ("ds", "dz0", "dA", "dWC", "dh", "dlower")  # C's columns stand beside W's
    wanted = (*need[:3], need[3] or need[4], *need[5:])
    shapes = ((K, T, N, B), (K, M, B), (*parts, M), (*parts, M, J), (*parts, M), (*parts, M))
    found = [z0.new_empty(shape) if n else None for n, shape in zip(wanted, shapes, strict=True)]
    for name, x in zip(names, found, strict=True):
        setattr(job, name, None if x is None else x.data_ptr())
    library.alrnn_backward(job, z0.element_size())
    if chunks > 1:  # the parts of one net are always summed in the same order
        found[2:] = [None if x is None else x.sum(1) for x in found[2:]]
    ds, dz0, dA, dWC, dh, dlower = found
    if ds is not None:
        ds = (ds.sum(0) if s.dim() == 3 else ds).movedim(-1, -3)
    dW, dC = (None, None) if dWC is None else dWC.split_with_sizes([M, J - M], -1)
    return ds, None if dz0 is None else dz0.mT, dA, dW if need[3] else None, dC if need[4] else None, dh, dlower


def leap_forward(library: ctypes.CDLL, L: int, inputs: Inputs, marks: bool) -> tuple[Tensor, Tensor | None]:
    """The last state of T / L leaps, (K, B, M), and, if wanted, what `leap_backward` starts from."""
    job, _alive = _job(library, inputs, L)
    z0, U = inputs.z0, inputs.W
    kept = z0.new_empty(job.K, job.T // L, U.shape[1], job.B) if marks else None
    z = z0.new_empty(job.K, job.M, job.B)
    job.z, job.marks = z.data_ptr(), None if kept is None else kept.data_ptr()
    library.alrnn_leap_forward(job, z.element_size())
    return z.mT, kept


def leap_backward(
    library: ctypes.CDLL, L: int, need: Sequence[bool], grad: Tensor, marks: Tensor, inputs: Inputs
) -> tuple[Tensor | None, ...]:
    """Gradients of s, z0, U and u, None where `need` is False, from that of the last state, (K, B, M), any strides."""
    s, z0, _, U, _, u, lower = inputs
    job, alive = _job(library, inputs, L)
    K, B, T, M, N = job.K, job.B, job.T, job.M, job.N
    alive += _hand(job, z0, [("marks", marks, (K, T // L, U.shape[1], B)), ("grad", grad, (K, B, M))])
    job.grad_stride[:] = *alive[-1].stride()[:2], 0, alive[-1].stride(2)
    parts = -(-B // job.lanes)
    ds = z0.new_empty(K, T, N, B) if need[0] else None
    dz0 = z0.new_empty(K, M, B) if need[1] else None
    dU, du = (z0.new_empty(K, parts, *x.shape[1:]) for x in (U, u))
    job.ds, job.dz0 = (None if x is None else x.data_ptr() for x in (ds, dz0))
    job.dWC, job.dh = dU.data_ptr(), du.data_ptr()
    library.alrnn_leap_backward(job, z0.element_size())
    if ds is not None:
        ds = (ds.sum(0) if s.dim() == 3 else ds).movedim(-1, -3)
    return ds, None if dz0 is None else dz0.mT, dU.sum(1), du.sum(1)


def _job(library: ctypes.CDLL, inputs: Inputs, L: int = 0) -> tuple[Job, list[Tensor]]:
    """The job, but for its results, and the tensors whose addresses it holds: keep them until the call is over."""
    s, z0, W, P = inputs.s, inputs.z0, inputs.W, inputs.lower.shape[1]
    (K, B, M), (T, N) = z0.shape, s.shape[-2:]
    rows, cols = (L * P + M, M + L * N + L * P) if L else (M, M)
    shapes = (K, B, T, N)[4 - s.dim() :], (K, B, M), (K, M), (K, rows, cols), (K, M, N), (K, rows), (K, P if L else M)
    job = Job(K=K, B=B, T=T, M=M, N=N, L=L, P=P)
    alive = _hand(job, z0, zip(Inputs._fields, inputs, shapes, strict=True))
    job.s_stride[:] = alive[0].stride() if s.dim() == 4 else (0, *alive[0].stride())
    (library.alrnn_leap_plan if L else library.alrnn_plan)(job, z0.element_size())
    work = B * (T // L) * W.numel() if L else K * B * T * M * (M + N)
    job.threads = max(1, min(_threads.get() or torch.get_num_threads(), K * -(-B // job.lanes), work // PER_THREAD))
    alive.append(z0.new_empty(job.threads * job.room, dtype=torch.uint8))
    job.memory = alive[-1].data_ptr()
    return job, alive


def _hand(job: Job, like: Tensor, given: Iterable[tuple[str, Tensor | None, tuple[int, ...]]]) -> list[Tensor]:
    """Give the job the addresses of tensors; all but s and grad are contiguous there. Returns what lies at them.

    Raises:
        RuntimeError: another shape or dtype than expected: what was saved for the backward pass came back changed.
    """
    alive, dtype, size = [], like.dtype, like.element_size()
    for name, x, shape in given:
        if x is not None:
            if x.shape != shape or x.dtype != dtype:
                got = f"{x.dtype} of shape {tuple(x.shape)}"
                raise RuntimeError(f"hooks must give back saved tensors as {dtype} of shape {shape}, got {got}")
            x = x if name in ("s", "grad") else x.contiguous()
            x = x.clone() if x.data_ptr() % size else x  # in borrowed memory numbers may lie across words
            setattr(job, name, x.data_ptr())
            alive.append(x)
    return alive
