"""When to stop training: for `on_step` of `fit`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..checks import integer
from .trainer import Trainer


@dataclass
class EarlyStopping:
    """For `on_step`: stop when no net's main validation score has become better in `patience` looks.

    Each net ends with the weights of its best look. n: how many held-out sequences are looked at; all by default.
    best: (K,), the score of that look. step: (K,), when it was. A training that is saved and loaded begins anew here.
    """

    patience: int = 10
    n: int | None = None
    best: np.ndarray = field(default_factory=lambda: np.zeros(0), init=False)
    step: np.ndarray = field(default_factory=lambda: np.zeros(0, int), init=False)
    idle: int = field(default=0, init=False, repr=False)  # looks since a net became better
    kept: Tensor = field(default_factory=lambda: torch.zeros(0), init=False, repr=False)
    trainer: Trainer | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        integer("patience", self.patience, 1)

    def __call__(self, trainer: Trainer) -> bool:
        main, theta = next(iter(trainer.scores("validation", self.n).values())), trainer.stack.theta.data
        score = main.value.cpu().numpy()
        if trainer is not self.trainer:  # nothing is kept from one run to another
            self.trainer, self.idle, self.kept = trainer, 0, theta.clone()
            self.best, self.step = np.full(len(score), np.nan), np.zeros(len(score), int)
        better = score > self.best if main.better == "higher" else score < self.best
        better |= np.isnan(self.best) & ~np.isnan(score)
        self.best, self.step = np.where(better, score, self.best), np.where(better, trainer.step, self.step)
        self.kept[better] = theta[better]
        self.idle = 0 if better.any() else self.idle + 1
        stop = self.idle >= self.patience
        if stop or trainer.step == trainer.settings["steps"]:
            theta.copy_(self.kept)
        return stop
