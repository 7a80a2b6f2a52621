"""The best linear map from all inputs so far to what a task asks, found on samples of the task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ..checks import integer
from ..tasks import Batch, Task
from ..tasks.base import TRAINING
from ..tasks.check import check_batch, check_task
from .affine import Affine

__all__ = ["LinearOptimum", "linear_optimum"]

CHUNK = 500  # sequences whose inputs are held in float64 at once
LIMIT = 1 << 27  # numbers in one matrix, 1 GB
RIDGES = (100.0, 1.0, 1e-2, 1e-4, 1e-6)


@dataclass(frozen=True)
class LinearOptimum:
    """An affine map for each of the L steps that a task reads; called with a batch, it answers y (B, L, O), float64.

    map: weights (T, N, L, O), 0 on inputs after the step that is read, and bias (L, O). Where the steps read differ
    between trials (`Batch.at`), inputs are placed so that the step read is the last of the T, and one more input is 1
    from the trial's first step on: what a net's h adds up to depends on how many steps there were.
    ridge: as used. validation, test: the task's scores by name on these held-out sequences.
    """

    map: Affine
    ridge: float
    validation: dict[str, float]
    test: dict[str, float]

    def __call__(self, batch: Batch) -> Tensor:
        T, N, L, _ = self.map.weights.shape
        W = torch.cat([self.map.bias[None], self.map.weights.flatten(0, 1)])[:, : batch.last]
        every = batch.at is None and L == T and batch.last == batch.steps  # such sequences may end sooner
        if batch.steps > T or not (every or (batch.last == L and (batch.steps == T or batch.at is not None))):
            raise ValueError(f"this map reads L = {L} of T = {T} steps, the batch {batch.last} of {batch.steps}")
        return torch.cat([_apply(W, _inputs(part, T, N)) for part in batch.split(CHUNK)])


def linear_optimum(
    task: Task, n: int = 20_000, ridge: float | None = None, loss: Literal["task", "least_squares"] = "task"
) -> LinearOptimum:
    """The best affine map of all inputs up to the step that is read, one for each such step, for any task.

    Every linear net, of any size, is one of these maps, so its expected loss is not below that of the best of them.
    That one is unknown; what is found is the best on n training sequences. Its expected loss is above the optimum, in
    least squares by a share of about F / n for F = T N weights.

    Args:
        n: training sequences, drawn as for a net of seed 0.
        ridge: of a penalty, ridge * (mean square of an input) * (sum of squared weights, in the mean over the L O
            answers); by default 100, 1, 1e-2, 1e-4 or 1e-6, as long as the loss on the validation sequences falls.
        loss: "task", what the task minimises, or "least_squares", with classes as one-hot targets. Both are convex,
            unless the task has a loss of its own that is not. For classes neither is a limit on accuracy: an affine map
            with a larger loss may be right more often, as for `inversion_limits`.

    Raises:
        ValueError: a task that feeds a decoder, more than a GB of inputs (F n, or F^2), settings out of range.
    """
    check_task(task)
    ridges = RIDGES if ridge is None else (ridge,)
    if loss not in ("task", "least_squares") or not all(0 < r < float("inf") for r in ridges):
        raise ValueError(f"loss must be task or least_squares, ridge finite and above 0, got {loss!r} and {ridge!r}")
    batch = task.sample(integer("n", n, 1), torch.Generator().manual_seed(TRAINING))
    check_batch(batch, task, n)
    if batch.given is not None:
        raise ValueError(f"{task.name} feeds a decoder: its answers are no map of its inputs alone")
    T, N, L, O = batch.steps, task.input_size + (batch.at is not None), batch.last, task.output_size  # noqa: E741
    if (1 + T * N) * max(1 + T * N, n * (1 if batch.at is None else L), L * O) > LIMIT:
        raise ValueError(f"{task.name} is too large: T = {T} steps, N = {N} inputs, L O = {L * O} answers, n = {n}")

    def value(y: Tensor, of: Batch) -> Tensor:
        return task.loss(y, of) if loss == "task" else _squared_error(task, y, of)

    solve, W = _descent(value, batch, T, N, O), torch.zeros(1 + T * N, L, O, dtype=torch.float64)
    best, least, validation, test = None, float("inf"), task.held_out("validation"), task.held_out("test")
    for ridge in ridges:
        W = solve(W, ridge)
        one = LinearOptimum(Affine(W[1:].unflatten(0, (T, N)), W[0]), ridge, {}, {})
        now = float(value(one(validation), validation))
        if best is not None and not now < least:
            break
        best, least = one, now
    assert best is not None
    scores = [{name: float(x.value) for name, x in task.scores(best(b), b).items()} for b in (validation, test)]
    return replace(best, validation=scores[0], test=scores[1])


def _descent(
    value: Callable[[Tensor, Batch], Tensor], batch: Batch, T: int, N: int, outputs: int
) -> Callable[[Tensor, float], Tensor]:
    """A function of weights W (1 + T N, L, O) to start from and a ridge, that gives those with the least loss.

    By at most 200 steps of L-BFGS on v = R W, where R^T R is, up to scale, the matrix of the normal equations: there
    squared error is isotropic, and two steps solve it. R is triangular, so W is 0 on what is not seen yet, as it must
    be, where v is.
    """
    X = torch.cat([_inputs(part, T, N) for part in batch.split(CHUNK)])
    gram = X.flatten(0, 1).T @ X.flatten(0, 1) / (len(X) * X.shape[1])
    penalty = pad(gram.diagonal()[1:].mean().clamp(min=1e-12).expand(len(gram) - 1), (1, 0))  # none on the bias
    unseen = torch.arange(batch.last).flip(0) * N * (batch.at is None)
    unit = value(X.new_zeros(len(X), batch.last, outputs), batch).abs().clamp(min=1e-30)
    there = torch.arange(len(gram))[:, None, None] < len(gram) - unseen[:, None]

    def best(start: Tensor, ridge: float) -> Tensor:
        R = torch.linalg.cholesky(gram + torch.diag(ridge * penalty)).mT / unit.sqrt()
        v = (R @ start.flatten(1)).view_as(start).requires_grad_()

        def weights() -> Tensor:
            return torch.linalg.solve_triangular(R, (v * there).flatten(1), upper=True).view_as(v)

        def loss() -> float:
            W = weights()
            total = value(_apply(W, X), batch) + ridge * (penalty @ W.flatten(1).square()).mean()
            v.grad = None
            (total / unit).backward()
            return (total / unit).item()

        torch.optim.LBFGS([v], max_iter=200, tolerance_change=1e-10, line_search_fn="strong_wolfe").step(loss)
        return weights().detach()

    return best


def _squared_error(task: Task, y: Tensor, batch: Batch) -> Tensor:
    """The mean squared error, with classes as one-hot targets."""
    total = count = y.new_zeros(())
    for head, answer, target, weight in task._parts(y, batch):
        wanted = one_hot(target, head.outputs) if head.objective == "cross_entropy" else target
        weight = (weight if weight.dim() == 3 else weight[..., None]).expand_as(answer)
        total, count = total + ((answer - wanted).square() * weight).sum(), count + weight.sum()
    return total / count


def _inputs(batch: Batch, T: int, N: int) -> Tensor:
    """What is known at the steps read: 1, and the inputs of T steps; (B, 1, 1 + T N), with `at` (B, L, 1 + T N)."""
    n = N - (batch.at is not None)
    s = (batch.s if batch.s.is_floating_point() else one_hot(batch.s + 1, n + 1)[..., 1:]).double()
    if batch.at is None:
        s = pad(s, (0, 0, 0, T - batch.steps))[:, None]
    else:
        step = batch.at[..., None] - torch.arange(T).flip(0)
        s = pad(s, (0, 1), value=1.0)[torch.arange(len(s))[:, None, None], step.clamp(min=0)] * (step >= 0)[..., None]
    return pad(s.flatten(2), (1, 0), value=1.0)


def _apply(W: Tensor, X: Tensor) -> Tensor:
    return torch.einsum("bf,flo->blo", X[:, 0], W) if X.shape[1] == 1 else torch.einsum("blf,flo->blo", X, W)
