"""A task on a limited number of trials, drawn once, as if that were all there is to learn from."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import Any

import torch

from ..checks import integer
from .base import Batch, Recorded, Task

DRAWN = 3_500_000_000  # plus `seed`: above all other streams, and below 2^32


class Fixed(Task):
    """Another task, of whose training trials there are only so many, the same for all nets; held out as ever.

    Batches are drawn from them with replacement. Loss, scores and names are the other task's. Of recordings, `trials`
    different ones are drawn, and given as they are: without the noise that their task may add in training.

    Args:
        task: which. trials: how many. seed: of their draw.
        validation: so many more, never trained on, are all there is to choose by; by default the task has its own.
    """

    def __init__(self, task: Task, trials: int = 1000, seed: int = 0, validation: int | None = None):
        if not isinstance(task, Task) or isinstance(task, Fixed):
            raise TypeError(f"task must be a task with all its trials, got {type(task).__name__}")
        self.task, self.trials, self.seed = task, integer("trials", trials, 1), integer("seed", seed, 0, 500_000_000)
        self.validation = None if validation is None else integer("validation", validation, 1)
        for name in inspect.get_annotations(Task):
            if name not in ("paper", "tags"):
                setattr(self, name, getattr(task, name))
        self.loss, self.scores = task.loss, task.scores  # type: ignore[method-assign]

    def settings(self) -> dict[str, Any]:
        """Those of the task, and how many trials there are."""
        few = {} if self.validation is None else {"validation": self.validation}
        return {**self.task.settings(), "trials": self.trials, "seed": self.seed, **few}

    def __getstate__(self) -> dict[str, Any]:
        """Without the trials: they are drawn again where they are needed."""
        return {name: x for name, x in vars(self).items() if name != "drawn"}

    @cached_property
    def drawn(self) -> Batch:
        """All training trials, and then those for validation."""
        n, generator = self.trials + (self.validation or 0), torch.Generator().manual_seed(DRAWN + self.seed)
        if not isinstance(self.task, Recorded):
            return self.task.sample(n, generator)
        there = len(self.task.parts["train"][-1])
        integer("trials and validation together", n, 1, there)
        return self.task._batch("train", torch.randperm(there, generator=generator)[:n])

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n of the training trials, with replacement."""
        return self.drawn[torch.randint(self.trials, (n,), generator=generator)]

    def held_out(self, split: Any, n: int | None = None) -> Batch:
        """n new sequences, as the task itself holds out; for validation those there are, if they are so many."""
        if split == "validation" and self.validation is not None:
            return self.drawn[self.trials :][:n]
        return self.task.held_out(split) if n is None else self.task.held_out(split, n)
