"""What is minimised: each net's loss, by its own task, and a penalty; and the first time, whether it can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..nets import Output, Stack
from ..tasks import Batch, Task
from .settings import regularised_units
from .streams import each


def manifold_attractor(A: Tensor, W: Tensor, h: Tensor, units: int) -> Tensor:
    """MAR penalty of K nets: A (K, M), W (K, M, M), h (K, M) -> (K,), over the first `units` units.

    sum_i (a_i - 1)^2 + sum_{j != i} W_ij^2 + h_i^2 with a_i = A_ii + W_ii; it is 0 exactly if each of these units, left
    without input, holds its value (a PWL unit: one above 0) for ever. Source: Schmidt et al. 2021; a sum since Brenner
    & Koppe 2026.
    """
    change = W + torch.diag_embed(A - 1)  # z_t - z_{t-1} = change z_{t-1} + h
    return change[:, :units].square().sum((1, 2)) + h[:, :units].square().sum(1)


class Objective:
    """Losses of K nets. asked: (task, which nets), for each loss that there is."""

    def __init__(self, tasks: Sequence[Task], device: torch.device):
        self.asked: list[tuple[Task, Tensor]] = []
        usual = [type(t).loss is Task.loss and "loss" not in vars(t) for t in tasks]  # then these alone decide
        asks = [(t.metric, t.objective, *t.heads) if u else id(t) for t, u in zip(tasks, usual, strict=True)]
        for one in dict.fromkeys(asks):
            nets = [k for k, asked in enumerate(asks) if asked == one]
            self.asked.append((tasks[nets[0]], torch.tensor(nets, device=device)))
        self.back = torch.cat([nets for _, nets in self.asked]).argsort()

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        """The loss of each net, (K,).

        Raises:
            ValueError: the loss of a task is not one number for each net.
        """
        parts: list[Tensor] = []
        for task, nets in self.asked:
            some = partial(torch.index_select, dim=0, index=nets)
            own = (output, batch) if len(self.asked) == 1 else (Output(*each(output, some)), batch.map(some))
            loss: Any = task.loss(*own)
            if not isinstance(loss, Tensor) or loss.shape != nets.shape:
                got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise ValueError(f"the loss of {task.name} must be one number a net, shape ({len(nets)},), got {got}")
            parts.append(loss)
        return parts[0] if len(parts) == 1 else torch.cat(parts)[self.back]


def check_parts(loss: Tensor, w: Mapping[str, Tensor], stack: Stack, task: Task) -> None:
    """Refuse a loss, (K,), of weights w in which one that is to be trained has no part."""
    kind, trained = stack.kind.__name__, stack.weights(stack.trainable)
    names = [name for name in stack.shapes if trained[name].any()]
    if not names:
        raise ValueError("there is nothing to train: all weights of the nets are held fixed (requires_grad=False)")
    if changed := [name for name, own in stack.buffer_names.items() if getattr(stack, own)._version]:
        raise ValueError(f"{kind}.run changes {', '.join(changed)}: what a net knows in buffers must stay as it is")
    if not loss.requires_grad:
        raise ValueError(f"the loss of {task.name} does not depend on the weights of the nets")
    parts = torch.autograd.grad(loss.sum(), [w[n] for n in names], retain_graph=True, allow_unused=True)
    if idle := [name for name, part in zip(names, parts, strict=True) if part is None]:
        raise ValueError(
            f"{', '.join(idle)} of {kind} would not be trained: {kind}.run, or the loss of {task.name}, makes "
            "no use of it. Set requires_grad=False for what is to stay as it is"
        )


def penalty(w: Mapping[str, Tensor], stack: Stack, regularised: int | None) -> Tensor:
    """Manifold-attractor penalty of K nets, (K,), summed over the almost-linear recurrences that each has."""
    found = []
    for at in stack.kind.maps:
        A, W, h = (w[f"{at}{name}"] for name in ("A", "W", "h"))
        found.append(manifold_attractor(A, W, h, regularised_units(regularised, h.shape[1])))
    return torch.stack(found).sum(0)
