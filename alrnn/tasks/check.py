"""One clear error for a task or a batch that does not fit, before anything is trained on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..checks import depth, integer, is_words
from .base import Batch, Task
from .losses import METRIC, OBJECTIVE, Head


def check_task(task: Any) -> None:
    """Refuse what is no task, metrics and objectives that do not exist or fit, and what scoring would never call."""
    if isinstance(task, type) and issubclass(task, Task):
        raise TypeError(f"task must be made first: {task.__name__}(...), not the class {task.__name__}")
    if not isinstance(task, Task):
        raise TypeError(f"task must be an alrnn.tasks.Task (Arrays, for own arrays), got {type(task).__name__}")
    if not all(isinstance(head, Head) for head in task.heads):
        raise TypeError(f"heads of {task.name} must be alrnn.tasks.Head(name, outputs, ...), got {task.heads}")
    metrics: list[Any] = [head.metric or METRIC.get(head.objective) for head in task.heads] or [task.metric]
    objectives: list[Any] = [head.objective for head in task.heads] or [task.objective or OBJECTIVE.get(task.metric)]
    for name, given, allowed in (("metric", metrics, OBJECTIVE), ("objective", objectives, METRIC)):
        for one in given:
            if one not in allowed:
                raise ValueError(f"{name} of {task.name} must be one of {', '.join(allowed)}, got {one!r}")
    for size in ("input_size", "output_size"):
        integer(f"{size} of {task.name}", getattr(task, size, None), 0)
    if depth(type(task), "scores") > min(depth(type(task), name) for name in ("score", "score_sequence")):
        raise TypeError(f"{task.name} has a score of its own, which is never called: write scores(output, batch)")
    pairs = list(zip(metrics, objectives, strict=True))
    if type(task).scores is Task.scores and any(OBJECTIVE[metric] != objective for metric, objective in pairs):
        raise ValueError(f"metric and objective of {task.name} do not go together: {pairs}")
    if len({head.name for head in task.heads}) < len(task.heads):
        raise ValueError(f"heads of {task.name} must have names that differ, got {task.heads}")
    if task.heads and sum(head.outputs for head in task.heads) != task.output_size:
        raise ValueError(f"heads of {task.name} must share its {task.output_size} outputs, got {task.heads}")


def check_batch(batch: Any, task: Task, n: int | None = None, K: int | None = None) -> None:
    """Refuse a batch that is not what the task says: types, shapes, values. K: nets that may have their own each.

    Raises:
        TypeError, ValueError: what is wrong, in which task, and what was expected.
    """
    where = f"a batch of {task.name}"
    if not isinstance(batch, Batch):
        raise TypeError(f"{where} must be a Batch(s, target, weight), got {type(batch).__name__}")
    tensors = {name: getattr(batch, name) for name in ("s", "target", "weight", "at", "given", "offset")} | batch.info
    for name, x in tensors.items():
        if not isinstance(x, Tensor) and not (x is None and name in ("at", "given", "offset")):
            raise TypeError(f"{name} of {where} must be a tensor (torch.as_tensor makes one), got {type(x).__name__}")
    if K is not None and batch.stacked and all(x is None or x.shape[:1] == (K,) for x in tensors.values()):
        for k in range(K):
            check_batch(batch.map(lambda x: x[k]), task, n)  # noqa: B023, used at once
        return
    words, numbers = is_words(batch.s), batch.s.is_floating_point() and batch.s.shape[2:] == (task.input_size,)
    fits = words and batch.s.dim() == 2 or numbers
    if not fits:
        raise ValueError(
            f"s of {where} must be numbers, float (B, T, {task.input_size}), or words, integers (B, T), "
            f"got {batch.s.dtype} {tuple(batch.s.shape)}"
        )
    B, T, L = len(batch), batch.steps, batch.last if batch.weight.dim() else 0
    if n is not None and B != n or not B or not T:
        raise ValueError(f"{where} must hold {n or 'some'} sequences with steps, got s {tuple(batch.s.shape)}")
    O = task.output_size  # noqa: E741
    weights = [(B, L), (B, L, O)]
    if tuple(batch.weight.shape) not in weights or not 1 <= L:
        raise ValueError(f"weight of {where} must be (B, L) or (B, L, O), got {tuple(batch.weight.shape)}")
    if not batch.weight.is_floating_point() or not batch.weight.isfinite().all() or (batch.weight < 0).any():
        raise ValueError(f"weight of {where} must be finite floats of at least 0")
    if not (batch.weight > 0).any():
        raise ValueError(f"all weights of {where} are 0: nothing is asked")
    _check_given(batch, where, L, task.given_size)
    if L > T and batch.given is None:
        raise ValueError(f"{where} asks for L = {L} steps of T = {T}")
    for name, x in {k: v for k, v in tensors.items() if k not in ("s", "target", "weight") and v is not None}.items():
        if not x.shape or x.shape[0] != B:
            raise ValueError(f"{name} of {where} must have an entry for each of {B} sequences, got {tuple(x.shape)}")
    _check_values(batch, where, T, L, words, task)
    _check_target(batch, where, task)


def _check_given(batch: Batch, where: str, L: int, N: int) -> None:
    """A decoder's input, which a task that says so gives, and no other."""
    given = batch.given
    if given is None and not N:
        return
    symbols = is_words(given)
    shape = (len(batch), L) if symbols else (len(batch), L, N)
    if given is None or not N or not (symbols or given.is_floating_point()) or tuple(given.shape) != shape:
        raise ValueError(
            f"given of {where} must be what its given_size = {N} says, for a decoder symbols, integers (B, L) = "
            f"({len(batch)}, {L}), or numbers, float (B, L, given_size), for other nets nothing, got "
            f"{None if given is None else (given.dtype, tuple(given.shape))}"
        )
    if symbols and (given.min() < 0 or given.max() >= N):
        raise ValueError(f"symbols given in {where} must be from 0 to {N - 1}, got {given.min()} to {given.max()}")
    if not symbols and not given.isfinite().all():
        raise ValueError(f"given of {where} contains NaN or infinite values")
    if batch.at is not None or batch.offset is not None:
        raise ValueError(f"{where} has given, so it can have no at and no offset: a decoder has steps of its own")


def _check_values(batch: Batch, where: str, T: int, L: int, words: bool, task: Task) -> None:
    s = batch.s
    if words and (s.min() < -1 or s.max() >= task.input_size):
        raise ValueError(
            f"words of {where} must be from 0 to {task.input_size - 1}, or -1 before the first one, "
            f"got {s.min()} to {s.max()}"
        )
    if words and ((s[:, 1:] < 0) & (s[:, :-1] >= 0)).any():
        raise ValueError(f"no word (-1) may stand only before the first word of a text, in {where}")
    for name in ("s", "offset"):
        x = getattr(batch, name)
        if x is not None and not torch.isfinite(x).all():
            raise ValueError(f"{name} of {where} contains NaN or infinite values")
    if batch.offset is not None and tuple(batch.offset.shape) != (len(batch), L, task.output_size):
        raise ValueError(
            f"offset of {where} must be (B, L, O) = ({len(batch)}, {L}, {task.output_size}), "
            f"got {tuple(batch.offset.shape)}"
        )
    at = batch.at
    if at is not None:
        if at.dtype != torch.int64 or tuple(at.shape) != (len(batch), L) or at.min() < 0 or at.max() >= T:
            raise ValueError(
                f"at of {where} must be int64 steps (B, L) = ({len(batch)}, {L}) from 0 to {T - 1}, "
                f"got {at.dtype} {tuple(at.shape)}"
            )
        if L == T and not (at == torch.arange(T)).all():
            raise ValueError(f"at of {where} reads all T = {T} steps: leave it out, and let weight say which count")


def _check_target(batch: Batch, where: str, task: Task) -> None:
    target, B, L, O = batch.target, len(batch), batch.last, task.output_size  # noqa: E741
    objective = task.objective or OBJECTIVE[task.metric]
    columns = sum(head.columns for head in task.heads) or O
    if not task.heads and objective == "cross_entropy":
        if target.dtype != torch.int64 or tuple(target.shape) != (B, L):
            raise ValueError(
                f"target of {where} must be class numbers, int64 (B, L) = ({B}, {L}), "
                f"got {target.dtype} {tuple(target.shape)}"
            )
        if target.min() < 0 or target.max() >= O:
            raise ValueError(f"classes of {where} must be from 0 to {O - 1}, got {target.min()} to {target.max()}")
        return
    if not target.is_floating_point() or tuple(target.shape) != (B, L, columns):
        raise ValueError(
            f"target of {where} must be floats (B, L, {'columns' if task.heads else 'O'}) = "
            f"({B}, {L}, {columns}), got {target.dtype} {tuple(target.shape)}"
        )
    if not target.isfinite().all():
        raise ValueError(f"target of {where} contains NaN or infinite values")
    for head, _, part, _ in task._parts(target.new_zeros(B, L, O), batch):
        if head.objective == "poisson" and (part < 0).any():
            raise ValueError(f"counts of {where} must be at least 0, got {part.min()}")
        if head.objective == "cross_entropy" and not ((part >= 0) & (part < head.outputs) & (part % 1 == 0)).all():
            raise ValueError(
                f"classes of {head.name} in {where} must be whole, from 0 to {head.outputs - 1}, "
                f"got {part.min()} to {part.max()}"
            )
