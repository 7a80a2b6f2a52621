"""Scores of K nets of a kind in one pass; nothing holds all outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import integer
from ..nets import Net, Output, Stack
from ..tasks import Batch, Score, Task
from ..tasks.check import check_batch, check_task

CHUNK = 1 << 26  # bytes of outputs and states held at once


def as_list(nets: Net | Sequence[Net]) -> list[Net]:
    """One net or several as a list."""
    if not isinstance(nets, Iterable | nn.Module):
        raise TypeError(f"expected a net or a list of nets, got {type(nets).__name__}")
    return list(nets) if isinstance(nets, Iterable) else [nets]


def check_tasks(nets: Sequence[Net | Stack], task: Task | Sequence[Task]) -> list[Task]:
    """The task of each net, one for all or one for each; refused where they do not fit the nets or each other."""
    tasks = list(task) if isinstance(task, Sequence) else [task] * len(nets)
    for one in tasks:
        check_task(one)
    if len(tasks) != len(nets) or len({type(one) for one in tasks}) > 1:
        raise ValueError(f"there must be one task, or one of the same class for each of {len(nets)} nets, got {tasks}")
    for one, net in zip(tasks, nets, strict=True):
        expected, sizes = (one.input_size, one.output_size), (net.input_size, net.output_size)
        if sizes != expected:
            raise ValueError(f"{one.name} has input and output size {expected}, the nets {sizes}")
        if net.given_size != one.given_size:
            raise ValueError(f"{one.name} has given_size {one.given_size} (a decoder's), the nets {net.given_size}")
    return tasks


@torch.no_grad()
def scores(
    nets: Net | Sequence[Net] | Stack, task: Task, batch: Batch, chunk: int | None = None, window: int | None = None
) -> dict[str, Score]:
    """The scores of each net on one batch, by name, the task's main one first; each is a sum and a count, (K,).

    It runs `chunk` sequences at a time, by default as many as take some 64 MB (500 at most), and with `window` so many
    steps at a time, the state carried on.

    Raises:
        ValueError, TypeError: nets that do not fit the task or each other, or a batch that does not fit them.
    """
    stack, window = _stack(nets, task, batch), None if window is None else integer("window", window, 1)
    size = _chunk(stack, task, batch, window) if chunk is None else integer("chunk", chunk, 1)
    total: dict[str, Score] = {}
    for part in batch.split(size):
        part, state = part.to(stack.theta), None
        for start in range(0, part.steps, window or part.steps):
            piece = part if window is None else part.window(start, min(start + window, part.steps))
            output = stack.predict(piece, state)
            check_output(output, stack, piece, task, piece.steps < part.steps)
            found = _checked(task.scores(output, piece), task, output)
            state, total = output.state, {n: total[n] + score for n, score in found.items()} if total else found
    return total


@torch.no_grad()
def evaluate(
    nets: Net | Sequence[Net] | Stack,
    task: Task,
    batch: Batch,
    chunk: int | None = None,
    score: Callable[[Tensor, Batch], Tensor] | None = None,
) -> Tensor:
    """The main score of each net on one batch, (K,), float64; `scores` gives all of them, and says what is refused.

    score: another one, a function of all outputs (K, B, L, O) and the batch, all of which are then held at once.
    """
    if score is None:
        return next(iter(scores(nets, task, batch, chunk).values())).value
    stack = _stack(nets, task, batch)
    batch, size = batch.to(stack.theta), 500 if chunk is None else integer("chunk", chunk, 1)
    return score(torch.cat([stack.predict(part).y for part in batch.split(size)], dim=1), batch)


def check_output(output: Any, stack: Stack, batch: Batch, task: Task, go_on: bool = False) -> None:
    """Refuse what a kind of net answers unless it is an `Output` with y (K, B, L, O) or (K, B, T, O), and a state."""
    K, name = len(stack.theta), stack.kind.__name__
    shapes = [(K, len(batch), steps, task.output_size) for steps in (batch.last, batch.steps)]
    if not isinstance(output, Output) or output.y.shape not in shapes:
        found = tuple(output.y.shape) if isinstance(output, Output) else type(output).__name__
        raise ValueError(f"{name} must answer an Output with y (K, B, L, O) = {shapes[0]}, got {found}")
    if go_on and output.state is None:
        raise ValueError(f"{name} answers no state to carry on from: its sequences cannot be read in windows")


def _checked(found: Any, task: Task, output: Output) -> dict[str, Score]:
    """Scores by a task, refused unless they are sums and counts for each net."""
    shape, scores = output.y.shape[:1], list(found.values()) if isinstance(found, dict) else [None]
    if not scores or not all(isinstance(one, Score) and one.sum.shape == one.count.shape == shape for one in scores):
        raise TypeError(f"scores of {task.name} must be name: Score(sum (K,), count (K,), better), a dict, got {found}")
    return found


def _stack(nets: Net | Sequence[Net] | Stack, task: Task, batch: Batch) -> Stack:
    stack = nets if isinstance(nets, Stack) else Stack(as_list(nets))
    check_tasks([stack], task)
    check_batch(batch, task, K=len(stack.theta))
    return stack


def _chunk(stack: Stack, task: Task, batch: Batch, window: int | None = None) -> int:
    """How many sequences to run at a time."""
    all_steps = batch.at is not None or not batch.s.is_floating_point()
    steps = min(batch.steps if all_steps else batch.last, window or batch.steps)
    read = min(batch.last, steps) if batch.given is None else batch.last
    each = len(stack.theta) * (max(steps, read) * stack.hidden_size + read * task.output_size)
    return max(1, min(500, CHUNK // (4 * each * stack.theta.element_size())))
