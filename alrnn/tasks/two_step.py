"""Two-step task: what an animal chooses next, from what it has seen, trial by trial."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from ..checks import integer
from .arrays import Arrays
from .base import Answer, Batch
from .losses import Score, measure, weighted

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("session", "choice", "transition", "state", "picture", "reward", "free")


class TwoStep(Arrays):
    """Before each trial a net is shown the last one and says how likely either first choice is.

    Inputs: the last trial's choice, state (or transition), picture, each -1 or 1, reward, 1, 0 or -1, and a 1 that
    says that a trial is shown. It is shown at one step; `blank` empty ones follow, and at the last of these the choice,
    class 0 or 1 for -1 or 1, is asked for. Sessions are cut into runs of `trials` trials, each of which starts anew,
    its first choice not asked for; nor are those that were not free. A rest shorter than half a run is left out.

    Args:
        table: one row a trial, as `datasets.two_step` or `theory.simulate_choices` has it; of one animal, say.
        trials: of a run. shown: "state", the second stage that was reached; or "transition", 1 common, -1 rare, with
            which a net has to work out the state.
        blank: empty steps in each trial, so that what is shown can be gated.
        split, seed: as for `Arrays`. Its groups are the sessions: all of one are in one split, and in one fold.

    Scores: bits a choice, the main one, and accuracy.

    Raises:
        ValueError: columns that are missing, values other than those above, no session as long as half a run.
    """

    name = "two_step"
    paper = "Miranda et al. 2025"
    tags = ("real data", "behaviour")

    def __init__(
        self,
        table: pd.DataFrame,
        trials: int = 100,
        shown: Literal["state", "transition"] = "state",
        blank: int = 2,
        split: Any = (0.1, 0.2),
        seed: int = 0,
    ):
        self.trials, self.idle, self.shown = integer("trials", trials, 2), integer("blank", blank, 0), shown
        if shown not in ("state", "transition"):
            raise ValueError(f"shown must be state or transition, got {shown!r}")
        _check(table)
        s, target, weight = [], [], []
        groups: list[Any] = []
        for session, rows in table.groupby("session"):
            for start in range(0, len(rows) - (trials + 1) // 2 + 1, trials):
                run = rows.iloc[start : start + trials]
                if len(run) < 2 or not run.free.to_numpy()[1:].any():
                    continue
                x, y, w = self._run(run)
                s.append(x)
                target.append(y)
                weight.append(w)
                groups.append(session)
        if not s:
            raise ValueError(f"no session has {(trials + 1) // 2} trials, half a run, with a free choice")
        super().__init__(
            s, target, "every", groups, split, seed, "cross_entropy", output_size=2, weight=weight, name=self.name
        )

    def _run(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs (T, 5), targets (T,) and weights (T,) of a run of T / (blank + 1) trials."""
        n, every = len(rows), self.idle + 1
        x, y, w = np.zeros((n, every, 5), np.float32), np.zeros((n, every), np.int64), np.zeros((n, every), np.float32)
        before = rows[["choice", self.shown, "picture", "reward"]].to_numpy(np.float32)[:-1]
        x[1:, 0] = np.concatenate([before, np.ones((n - 1, 1), np.float32)], 1)
        y[:, -1] = (rows.choice > 0).to_numpy()
        w[1:, -1] = rows.free.to_numpy()[1:]
        return x.reshape(-1, 5), y.ravel(), w.ravel()

    def by_trial(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of all runs: what is shown (n, trials, 5), the choice made (n, trials), and whether it counts (n, trials)."""
        every = self.idle + 1
        return self.s[:, ::every], self.target[:, self.idle :: every], self.weight[:, self.idle :: every]

    def scores(self, output: Answer | Tensor, batch: Batch) -> dict[str, Score]:
        """Bits a choice and accuracy, for each net."""
        y = batch.read(output if isinstance(output, Tensor) else output.y)
        bits, count = weighted(
            measure("cross_entropy", y, batch.target) / math.log(2), batch.weight, False, y.double().dtype
        )
        right, _ = weighted(measure("accuracy", y, batch.target), batch.weight, False, y.double().dtype)
        count = count.expand(bits.shape)
        return {"bits": Score(bits, count, "lower"), "accuracy": Score(right, count, "higher")}

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"trials": self.trials, "shown": self.shown, "blank": self.idle}


def _check(table: pd.DataFrame) -> None:
    """One clear error for a table that is no table of trials."""
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"the table of trials lacks {', '.join(missing)}")
    for name, known in {**dict.fromkeys(COLUMNS[1:5], (-1, 1)), "reward": (-1, 0, 1), "free": (0, 1)}.items():
        if not table[name].isin(known).all():
            raise ValueError(f"{name} must be one of {known} in each trial, got {table[name].unique()[:5].tolist()}")
