"""Cross-validation: nets of each fold, P and seed in one pass, and what each group scored when it was held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
import torch

from .checks import integer
from .nets import ALRNN, Init, Net, Stack
from .sweep import grid
from .tasks import Arrays
from .train import Settings, fit, scores

if TYPE_CHECKING:
    import pandas as pd


def cross_validate(
    task: Arrays,
    hidden_size: int | Callable[[int, int], Net],
    nonlinear_sizes: Iterable[int],
    seeds: int | Iterable[int] = 3,
    folds: int = 5,
    init: str | Init = "slow",
    diverged: Literal["raise", "drop"] = "raise",
    progress: bool = True,
    device: str | torch.device | None = None,
    **settings: Unpack[Settings],
) -> pd.DataFrame:
    """Train nets for each fold of the groups, P and seed, in one pass; each group is scored by those that never saw it.

    With several rates in `lr`, each fold and P has the one whose nets are best, on average over the seeds, on the
    fold's validation part. Its test part is scored afterwards, by these nets alone.

    Args:
        task: `Arrays`; `Arrays.fold` says what folds are.
        hidden_size: M; or, for another kind of net or start, a function of P and seed that makes one.
        nonlinear_sizes, seeds, init, diverged, progress, device, settings: as for `sweep`; init is for `ALRNN` alone.

    Returns:
        one row for each net and group it is tested on: P, seed, lr, fold, train_loss (mean of the last 5% of steps),
        diverged (step or missing), validation (the net's main score there), group, the task's scores by name, main one
        first, and count, the weight behind them: the mean of a score over groups weighted by count is that over all
        steps. `alrnn.statistics.paired_bootstrap` compares two P.

    Raises:
        TypeError: another task.
        ValueError: more folds than groups; else as `sweep`.
        DivergedError: as `sweep`.
    """
    import pandas as pd

    if not isinstance(task, Arrays):
        raise TypeError(f"cross-validation needs a task that can be cut into folds, tasks.Arrays, got {task!r}")
    tasks = [task.fold(k, folds) for k in range(integer("folds", folds, 2))]
    wanted = [(*one, k) for k in range(folds) for one in grid(nonlinear_sizes, seeds, settings.get("lr", 5e-3))]
    N, O = task.input_size, task.output_size  # noqa: E741
    make = hidden_size if callable(hidden_size) else lambda P, seed: ALRNN(N, hidden_size, P, O, seed, init)
    made = [make(P, seed) for P, seed, *_ in wanted]
    settings["lr"], window = [rate for *_, rate, _ in wanted], settings.get("window")
    scores(made[:1], tasks[0], tasks[0].held_out("validation", 1), window=window)  # what can fail fails before training
    history = fit(made, [tasks[k] for *_, k in wanted], diverged=diverged, progress=progress, device=device, **settings)
    nets = pd.DataFrame(wanted, columns=["P", "seed", "lr", "fold"])
    tail = max(1, len(history.loss) // 20)
    nets["train_loss"] = history.loss[-tail:].mean(0, dtype=float)
    nets["diverged"] = pd.array([history.diverged.get(i) for i in range(len(made))], dtype="Int64")

    def stack(part: pd.DataFrame) -> Stack:
        return Stack([made[i] for i in part.index]).to(device)

    rows = []
    for k, one in enumerate(tasks):
        part = nets[nets.fold == k]
        found = scores(stack(part), one, one.held_out("validation"), window=window)
        part = _best(part.assign(validation=next(iter(found.values())).value.cpu().numpy()), task.better)
        chosen, group = stack(part), one.group[one.parts["test"][0]]
        for g in group.unique().tolist():
            found = scores(chosen, one, one._batch("test", (group == g).nonzero()[:, 0]), window=window)
            columns = {name: score.value.cpu().numpy() for name, score in found.items()}
            columns["count"] = next(iter(found.values())).count.cpu().numpy()
            rows.append(part.assign(group=task.group_names[g], **columns))
    return pd.concat(rows, ignore_index=True)


def _best(nets: pd.DataFrame, better: str) -> pd.DataFrame:
    """Of each P the nets with the rate that is best on validation; one at which a net diverged comes last."""
    worth = nets.validation.where(nets.diverged.isna()) * (1 if better == "higher" else -1)
    best = worth.fillna(-np.inf).groupby([nets.P, nets.lr], sort=False).mean().groupby("P").idxmax()
    return nets[nets.set_index(["P", "lr"]).index.isin(best)]
