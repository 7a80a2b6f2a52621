"""Sweeps: nets of each P and seed (and learning rate) in one pass, their scores in a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import torch

from . import __version__
from .checks import integer
from .files import read_whole, written_whole
from .nets import ALRNN, Init, Net, Stack, plain, rebuilt, told
from .tasks import Task
from .tasks.base import HELD_OUT
from .tasks.check import check_batch, check_task
from .train import History, Settings, Trainer, scores
from .train.settings import check_settings, regularised_units, text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sweep", "describe", "sweep"]
_HISTORY = ("loss", "grad_norm", "lr")
OUTCOMES = ("train_loss", "validation", "test", "diverged", "seconds", "version")  # columns


@dataclass
class Sweep:
    """A trained P x seed sweep.

    table: one row per net: all settings (see `describe`), train_loss (mean of the last 5% of steps), validation and
        test score, and *_NAME for each other score of the task, diverged (step or missing), seconds (of the whole sweep
        / number of nets), version.
    nets: in the order of the rows. history: of all nets; None if it was loaded from a file of version 0.1.0.
    """

    table: pd.DataFrame
    nets: list[Net]
    history: History | None = None

    def net(self, P: int | None, seed: int, lr: float | None = None) -> Any:
        """The net with this P (None for kinds without) and seed, and rate, where there are several.

        Raises:
            KeyError: there is none, or more than one.
        """
        rows = (self.table["seed"] == seed) & (self.table["P"] == P if "P" in self.table else P is None)
        rows &= True if lr is None else self.table["lr"] == lr
        found = np.flatnonzero(rows)
        if len(found) != 1:
            which = f"P={P} and seed={seed}" + (f" and lr={lr}" if lr is not None else "")
            raise KeyError(f"{'no net' if not len(found) else 'more than one net'} with {which} in this sweep")
        return self.nets[found[0]]

    def save(self, path: str | os.PathLike) -> None:
        """Write table, weights and history to one .npz file."""
        theta = Stack(self.nets).theta.detach().cpu().numpy()
        nets = [told(net) for net in self.nets]
        table = self.table.astype(object).where(self.table.notna(), None).to_dict("list")  # None: missing
        past = self.history
        facts = None if past is None else [past.P, past.seed, list(past.diverged.items()), past.seconds]
        parts = nets, table, self.table.dtypes.astype(str).to_dict(), facts
        if len(self.table) != len(self.nets):
            raise ValueError(f"a sweep has one row for each net, this one {len(self.table)} for {len(self.nets)} nets")
        lines = np.array([json.dumps(x, default=plain) for x in parts])
        arrays = {} if past is None else {name: getattr(past, name) for name in _HISTORY}
        with written_whole(path) as file:
            np.savez(file, text=lines, theta=theta, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike, kinds: Sequence[type[Net]] = ()) -> Sweep:
        """Read what `save` wrote. Nothing is unpickled. kinds: of nets, if they are not among the library's.

        Raises:
            ValueError: the file is no saved sweep.
        """
        import pandas as pd

        with read_whole(path, "sweep") as file, np.load(file, allow_pickle=False) as found:
            theta = torch.from_numpy(found["theta"])
            given, table, types, *facts = [json.loads(x) for x in found["text"].tolist()]
            arrays = {name: found[name] for name in _HISTORY if name in found}
        made = [net if isinstance(net, list) else ["ALRNN", net] for net in given]  # 0.1.0 knew one kind only
        nets = [rebuilt(*net, kinds=kinds).to(theta.dtype) for net in made]
        stack, history = Stack(nets), None
        if theta.shape != stack.theta.shape:
            raise ValueError(f"{os.fspath(path)} is no saved sweep: its weights are not those of its nets")
        stack.theta.data.copy_(theta)
        stack.write_to(nets)
        if arrays:
            P, seed, diverged, seconds = facts[0]
            history = History(**arrays, P=P, seed=seed, diverged=dict(diverged), seconds=seconds)
        return cls(pd.DataFrame(table).astype(types), nets, history)

    def __repr__(self) -> str:
        return f"Sweep({len(self.nets)} nets on {self.table['task'].iloc[0]}: see its table, nets and history)"


def sweep(
    task: Task,
    hidden_size: int,
    nonlinear_sizes: Iterable[int],
    seeds: int | Iterable[int] = 10,
    init: str | Init = "slow",
    diverged: Literal["raise", "drop"] = "raise",
    progress: bool = True,
    device: str | torch.device | None = None,
    **settings: Unpack[Settings],
) -> Sweep:
    """Train one net for each P and seed, all in one pass, and score them on the held-out sets.

    Args:
        hidden_size: M. nonlinear_sizes: the values of P. init: of every net, as for `ALRNN`.
        seeds: a number of seeds, 0, 1, ..., or the seeds themselves.
        diverged, progress, device: as for `fit`. settings: of `fit`; with several rates in `lr` there is one net for
            each P, seed and rate.

    Raises:
        ValueError: no P or no seeds, or one twice; else as `fit` and `ALRNN`. What can be known before training is
            refused before training.
        DivergedError: as `fit`; with diverged="drop" such nets stay in the table and say so there.
    """
    check_task(task)
    wanted = grid(nonlinear_sizes, seeds, settings.get("lr", 5e-3))
    nets: list[Net] = [ALRNN(task.input_size, hidden_size, P, task.output_size, seed, init) for P, seed, _ in wanted]
    rates = [rate for *_, rate in wanted]
    settings["lr"] = rates if len(set(rates)) > 1 else rates[0]
    return run(nets, task, diverged, progress, device, **settings)


def grid(
    nonlinear_sizes: int | Iterable[int], seeds: int | Iterable[int], lr: float | Iterable[float]
) -> list[tuple[int, int, float]]:
    """Each P with each seed (so many, or these) and rate.

    Raises:
        ValueError: there are none, or one is there twice.
    """
    sizes = list(nonlinear_sizes) if isinstance(nonlinear_sizes, Iterable) else [nonlinear_sizes]
    seeds = list(seeds) if isinstance(seeds, Iterable) else list(range(integer("seeds", seeds, 0)))
    rates = list(lr) if isinstance(lr, Iterable) and not isinstance(lr, str) else [lr]
    for name, values in (("P", sizes), ("seed", seeds), ("lr", rates)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"a sweep needs at least one {name} and each only once, got {values}")
    return [(P, seed, rate) for P in sizes for seed in seeds for rate in rates]


def run(
    nets: Sequence[Net],
    task: Task,
    diverged: Literal["raise", "drop"] = "raise",
    progress: bool = True,
    device: str | torch.device | None = None,
    **settings: Unpack[Settings],
) -> Sweep:
    """Describe, train and score nets of any one kind; arguments as for `sweep`, lr as for `fit`."""
    import pandas as pd

    trainer = Trainer(nets, task, diverged, device, **settings)  # what can fail fails before training
    nets, window = trainer.nets, trainer.settings["window"]
    rates: Any = trainer.rates
    rows = [describe(net, task, **{**settings, "lr": rate}) for net, rate in zip(nets, rates, strict=True)]
    held_out = {split: task.held_out(split) for split in HELD_OUT}
    for batch in held_out.values():
        check_batch(batch, task)
        scores(trainer.stack, task, batch[:2], window=window)
    history = trainer.run(progress=progress)
    trainer.write()
    tail = max(1, len(history.loss) // 20)
    table = pd.DataFrame(rows)
    table["train_loss"] = history.loss[-tail:].mean(0, dtype=float)
    for split, batch in held_out.items():
        for i, (name, score) in enumerate(scores(trainer.stack, task, batch, window=window).items()):
            table[f"{split}_{name}" if i else split] = score.value.cpu().numpy()
    table["diverged"] = pd.array([history.diverged.get(k) for k in range(len(nets))], dtype="Int64")
    table["seconds"] = history.seconds / len(nets)
    table["version"] = __version__
    return Sweep(table, nets, history)


def describe(net: Net, task: Task, **settings: Unpack[Settings]) -> dict[str, Any]:
    """All that decides how a net of a sweep comes out, by column: model, task and task_*, M, P, parameters (their
    number), seed, init and init_* and so on, as its kind has them, and the settings of `fit`. Missing ones are filled
    in, lists are given as text, arrays by shape and hash.
    """
    used = check_settings([net], settings)
    used["regularised"] = regularised_units(used["regularised"], net.hidden_size)
    absent = set() if net.maps else {"tau", "regularised"}
    absent |= {name for name in ("window", "start_noise") if not used[name]}  # rows without are what they were before
    parts = [
        {"model": net.kind, "task": task.name},
        {f"task_{name}": value for name, value in task.settings().items()},
        net.describe(),
        {name: value for name, value in used.items() if name not in absent},
        dict.fromkeys(OUTCOMES),
    ]
    names = [name for part in parts for name in part]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{type(net).__name__} describes itself by {', '.join(twice)}, which tables use otherwise")
    return {name: text(value) for part in parts[:-1] for name, value in part.items()}
