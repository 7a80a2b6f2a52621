"""Training and scoring, K nets of a kind in one pass: `fit`, and `Trainer`, which can stop, save and go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm  # plain text: a notebook widget would stay behind in the page

from .checks import integer
from .history import DivergedError, History
from .nets import Net, Stack, plain, rebuilt, told
from .recurrence import kernel
from .replay import Replay
from .scoring import as_list, check_tasks, evaluate, scores
from .settings import DEFAULTS, Settings, check_settings, regularised_units, share
from .tasks import Batch, Task
from .tasks.base import TRAINING
from .tasks.check import check_batch

__all__ = ["DivergedError", "EarlyStopping", "History", "Trainer", "evaluate", "fit", "manifold_attractor", "scores"]

LOOK = 50  # steps between two looks at what a device holds: each makes the device and Python wait for each other


def manifold_attractor(A: Tensor, W: Tensor, h: Tensor, units: int) -> Tensor:
    """MAR penalty of K nets: A (K, M), W (K, M, M), h (K, M) -> (K,), over the first `units` units.

    sum_i (a_i - 1)^2 + sum_{j != i} W_ij^2 + h_i^2 with a_i = A_ii + W_ii; it is 0 exactly if each of these units, left
    without input, holds its value (a PWL unit: one above 0) for ever. Source: Schmidt et al. 2021; a sum since Brenner
    & Koppe 2026.
    """
    change = W + torch.diag_embed(A - 1)  # z_t - z_{t-1} = change z_{t-1} + h
    return change[:, :units].square().sum((1, 2)) + h[:, :units].square().sum(1)


class Trainer:
    """Trains nets by Adam, all in one pass; `fit` in parts: it can stop, look, be saved, be loaded and go on.

    Args:
        nets, task, device, diverged, settings: as for `fit`.

    stack: the nets as they are by now; `write` copies their weights into `nets`. step: how many steps are done.
    history: of these steps.
    """

    def __init__(
        self,
        nets: Net | Sequence[Net],
        task: Task | Sequence[Task],
        diverged: Literal["raise", "drop"] = "raise",
        device: str | torch.device | None = None,
        **settings: Unpack[Settings],
    ):
        self.nets = as_list(nets)
        self.stack = Stack(self.nets).to(device)
        self.tasks = check_tasks(self.nets, task)
        self.task = self.tasks[0]
        self.settings = check_settings(self.nets, settings)
        if diverged not in ("raise", "drop"):
            raise ValueError(f"diverged must be one of ('raise', 'drop'), got {diverged!r}")
        self.diverged = diverged
        self.step, self.seconds = 0, 0.0
        rate = self.settings["lr"]
        self.rates = [float(r) for r in rate] if isinstance(rate, Sequence) else [float(rate)] * len(self.nets)
        sources = [(id(t), net.seed) for t, net in zip(self.tasks, self.nets, strict=True)]
        streams = sorted(set(sources), key=sources.index)
        self._streams = [self.tasks[sources.index(stream)] for stream in streams]
        self._generators = [torch.Generator().manual_seed(TRAINING + seed) for _, seed in streams]
        theta = self.stack.theta
        self._index = torch.tensor([streams.index(source) for source in sources], device=theta.device)
        self._lost_at = torch.full((len(self.nets),), -1, device=theta.device)  # step at which a net diverged
        self._losses: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._shares: list[float] = []
        self._replay = Replay(lambda batch: self._compute(batch)[:3])
        self._rest: tuple[Batch, int, Any] | None = None  # windows: the sequences at hand, where they go on, the state
        self._rows = [theta] if len(set(self.rates)) == 1 else [nn.Parameter(row) for row in theta.data]
        groups: dict[float, list[Tensor]] = {}  # by rate
        for row, r in zip(self._rows, self.rates, strict=False):
            groups.setdefault(r, []).append(row)
        self._adam = torch.optim.Adam([{"params": rows, "rate": r} for r, rows in groups.items()], fused=True)

    @property
    def history(self) -> History:
        """What happened so far."""
        K, lost = len(self.nets), self._lost_at.tolist()
        loss, norm = (torch.stack(x).cpu().numpy() if x else np.zeros((0, K)) for x in (self._losses, self._norms))
        return History(
            loss,
            norm,
            np.array(self._shares) * max(self.rates),
            [getattr(net, "nonlinear_size", None) for net in self.nets],  # type: ignore[misc]
            [net.seed for net in self.nets],
            {k: step for k, step in enumerate(lost) if step >= 0},
            self.seconds,
        )

    def run(
        self,
        steps: int | None = None,
        every: int = 0,
        on_step: Callable[[Trainer], object] | None = None,
        progress: bool = True,
    ) -> History:
        """Go on until `steps` are done in all, by default those of the settings.

        on_step(trainer) is called after every `every` steps and after the last one; if it returns True, training stops.
        An error that ends the run, an interrupt, too, carries this trainer, as error.trainer.
        """
        steps = self.settings["steps"] if steps is None else integer("steps", steps, 0, self.settings["steps"], "steps")
        if on_step is not None:
            integer("every, with on_step,", every, 1)
        start = time.perf_counter() - self.seconds
        off = {} if progress else {"disable": True}
        bar = tqdm(initial=self.step, total=steps, desc=f"{len(self.nets)} nets", leave=False, **off)
        try:
            with bar, kernel.owning_the_threads():
                while self.step < steps:
                    self._advance()
                    self.seconds = time.perf_counter() - start
                    bar.update()
                    if self.step % LOOK == 0 or self.step == steps:
                        self._look()
                        bar.set_postfix_str(f"loss {self._losses[-1].median().item():.3g}", refresh=False)
                    if on_step is not None and (self.step % every == 0 or self.step == steps) and on_step(self) is True:
                        break
        except BaseException as error:
            error.trainer = self  # type: ignore[attr-defined]
            raise
        return self.history

    def write(self) -> None:
        """Copy the weights, as they are by now, into the nets."""
        self.stack.write_to(self.nets)

    def scores(
        self, split: Literal["validation", "test"] = "validation", n: int | None = None
    ) -> dict[str, np.ndarray]:
        """The scores of each net by name, (K,), on the first n held-out sequences of the first task."""
        batch = self.task.held_out(split) if n is None else self.task.held_out(split, n)
        found = scores(self.stack, self.task, batch, window=self.settings["window"])
        return {name: score.value.cpu().numpy() for name, score in found.items()}

    def _next(self) -> tuple[Batch, Any]:
        """The next batch, each net's own if there are several streams, and the state that it goes on from."""
        window = self.settings["window"]
        if self._rest is None:
            n, sources = self.settings["batch_size"], zip(self._streams, self._generators, strict=True)
            batches = [task.sample(n, generator) for task, generator in sources]
            if not self._losses:
                for task, batch in zip(self._streams, batches, strict=True):
                    check_batch(batch, task, n)
            batches = [batch.to(self.stack.theta) for batch in batches]
            batch = batches[0] if len(batches) == 1 else Batch.per_net(batches, self._index)
            if window is None:
                return batch, None
            self._rest = batch, 0, None
        batch, start, state = self._rest
        return batch.window(start, min(start + window, batch.steps)), state  # type: ignore[operator]

    def _advance(self) -> None:
        """One step."""
        batch, state = self._next()
        theta = self.stack.theta
        if self._losses and theta.is_cuda and self._rest is None:
            loss, norm, grad = self._replay(batch)
        else:
            loss, norm, grad, state = self._compute(batch, state)
        self._lost_at = torch.where(self._lost_at < 0, torch.where(_finite(loss, norm), -1, self.step), self._lost_at)
        if theta.is_cuda or bool((self._lost_at >= 0).any()):  # on a device always, rather than wait to know
            if not theta.is_cuda:
                self._look()
            self._hold(grad)
        self._shares.append(share(self.step, *(self.settings[x] for x in ("steps", "warmup", "schedule"))))
        for group in self._adam.param_groups:
            group["lr"] = group["rate"] * self._shares[-1]
        for k, row in enumerate(self._rows):
            row.grad = grad if row is theta else grad[k]
        self._adam.step()
        self._losses.append(loss)
        self._norms.append(norm)
        self.step += 1
        if self._rest is not None:
            whole, start = self._rest[0], self._rest[1] + batch.steps
            self._rest = (whole, start, detached(state)) if start < whole.steps else None

    def _compute(self, batch: Batch, state: Any = None) -> tuple[Tensor, Tensor, Tensor, Any]:
        """Loss and norm of the gradient (K,), the clipped gradient (K, n), and the state after the last step."""
        w, theta = self.stack.weights(), self.stack.theta
        output = self.stack.kind.run(w, batch, state=state)
        objective = loss = self.task.loss(output, batch)
        if not self._losses:
            self._check_loss(loss, w)
        if self.settings["tau"] > 0:
            for at in self.stack.kind.maps:
                p = {name: w[f"{at}{name}"] for name in ("A", "W", "h")}
                units = regularised_units(self.settings["regularised"], p["h"].shape[1])
                objective = objective + self.settings["tau"] * manifold_attractor(**p, units=units)
        theta.grad = None
        objective.sum().backward()
        grad = theta.grad
        assert grad is not None
        grad.mul_(self.stack.trainable)
        norm = grad.norm(dim=1)
        grad.mul_((self.settings["clip"] / norm).clamp(max=1)[:, None])
        return loss.detach(), norm, grad, output.state

    def _hold(self, grad: Tensor) -> None:
        """Nets that diverged get no gradient and no momentum: they stay where they are."""
        lost = self._lost_at >= 0
        grad.masked_fill_(lost[:, None], 0.0)
        for k, row in enumerate(self._rows):
            for name in ("exp_avg", "exp_avg_sq"):
                if (moment := self._adam.state[row].get(name)) is not None:
                    moment.masked_fill_(lost[:, None] if row is self.stack.theta else lost[k], 0.0)

    def _look(self) -> None:
        """Raise what has gone wrong, if it is to be raised."""
        lost = [(step, k) for k, step in enumerate(self._lost_at.tolist()) if step >= 0]
        if lost and self.diverged == "raise":
            step, k = min(lost)
            raise DivergedError(step, k, self.nets[k].seed, getattr(self.nets[k], "nonlinear_size", None))

    def _check_loss(self, loss: Any, w: dict[str, Tensor]) -> None:
        """The first loss: one number a net, in which every parameter that is to be trained has a part."""
        K, kind = len(self.nets), self.stack.kind.__name__
        if not isinstance(loss, Tensor) or loss.shape != (K,):
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"the loss of {self.task.name} must be one number for each net, shape ({K},), got {got}")
        trained = self.stack.weights(self.stack.trainable)
        names = [name for name in self.stack.shapes if trained[name].any()]
        if names and not loss.requires_grad:
            raise ValueError(f"the loss of {self.task.name} does not depend on the weights of the nets")
        parts = torch.autograd.grad(loss.sum(), [w[n] for n in names], retain_graph=True, allow_unused=True)
        if idle := [name for name, part in zip(names, parts, strict=True) if part is None]:
            raise ValueError(
                f"{', '.join(idle)} of {kind} would not be trained: {kind}.run, or the loss of {self.task.name}, makes "
                "no use of it. Set requires_grad=False for what is to stay as it is"
            )

    def save(self, path: str | os.PathLike) -> None:
        """Write all that is needed to go on exactly as without a stop; the file appears whole or not at all."""
        kept = {
            "nets": [told(net) for net in self.nets],
            "frozen": [[n for n, p in net.named_parameters() if not p.requires_grad] for net in self.nets],
            "tasks": self._told(),
            "settings": plain(self.settings) | {"diverged": self.diverged},
            "theta": self.stack.theta.detach(),
            "adam": self._adam.state_dict(),
            "generators": [generator.get_state() for generator in self._generators],
            "done": [self.step, self.seconds, self._losses, self._norms, self._shares, self._lost_at],
            "rest": None if self._rest is None else [vars(self._rest[0]), *self._rest[1:]],
        }
        part = Path(f"{os.fspath(path)}.part")
        torch.save(kept, part)
        os.replace(part, path)

    @classmethod
    def load(cls, path: str | os.PathLike, task: Task | Sequence[Task], kinds: Sequence[type[Net]] = ()) -> Trainer:
        """What `save` wrote, with nets of its own (`nets`), to go on by `run`. Nothing but numbers and text is read.

        task: the same as before, which the file does not hold. kinds: of nets, if they are not among the library's.
        """
        kept = torch.load(path, weights_only=True)
        theta = kept["theta"]
        nets = [rebuilt(*net, kinds=kinds).to(theta) for net in kept["nets"]]
        for net, frozen in zip(nets, kept["frozen"], strict=True):
            for name in frozen:
                net.get_parameter(name).requires_grad_(False)
        trainer = cls(nets, task, **kept["settings"])
        if (told := trainer._told()) != kept["tasks"]:
            raise ValueError(f"{path} was trained on {kept['tasks'][0]}, not on {told[0]}")
        with torch.no_grad():
            trainer.stack.theta.copy_(theta)
        trainer._adam.load_state_dict(kept["adam"])
        for generator, state in zip(trainer._generators, kept["generators"], strict=True):
            generator.set_state(state)
        trainer.step, trainer.seconds, trainer._losses, trainer._norms, trainer._shares, trainer._lost_at = kept["done"]
        trainer._rest = kept["rest"] and (Batch(**kept["rest"][0]), *kept["rest"][1:])
        return trainer

    def _told(self) -> list[str]:
        return [f"{task.name} {plain(task.settings())}" for task in self.tasks]


def fit(
    nets: Net | Sequence[Net],
    task: Task | Sequence[Task],
    steps: int = 1000,
    batch_size: int = 64,
    lr: float | Sequence[float] = 5e-3,
    warmup: float = 0.05,
    schedule: Literal["cosine", "constant"] = "cosine",
    clip: float = 0.1,
    tau: float = 0.0,
    regularised: int | None = None,
    diverged: Literal["raise", "drop"] = "raise",
    progress: bool = True,
    window: int | None = None,
    device: str | torch.device | None = None,
    every: int = 0,
    on_step: Callable[[Trainer], object] | None = None,
) -> History:
    """Train nets in place by Adam, all in one pass; each sees the data stream of its own seed.

    Training nets together equals training each alone: losses, clipping and Adam's moments are per net, and nets of one
    seed see the same data whatever their P. Weights with requires_grad = False stay as they are. Each call begins the
    streams anew: for training in parts take a `Trainer`.

    Args:
        nets: one net, or a list of one kind with equal sizes, dtype and device, any P.
        task: one for all, or one for each net, of one class (folds of one data set, say).
        steps: of Adam. batch_size: sequences a step, for each net.
        lr: peak learning rate, of all nets or one for each. warmup: share of the steps with rising rate.
        schedule: what follows. clip: largest gradient norm per net; infinity for no clipping.
        tau: strength of manifold-attractor regularisation. regularised: on how many units, M // 2 by default.
        diverged: what to do when a net's loss or gradient is not finite: stop, or go on and leave it as it is.
        progress: show a progress bar with the median loss.
        window: truncated backpropagation for tasks with a target at every step: sequences are read in windows of so
            many steps, one step of Adam each, and the state, but no gradient, is carried from one to the next.
        device: where to train; by default where the nets are. They stay there.
        every: steps between two calls of on_step.
        on_step: on_step(trainer) is called after every `every` steps and after the last one, to look, save or validate
            (`EarlyStopping`); if it returns True, training stops, and the nets get what is trained by then.

    Weights are written back at the end: a call that fails or is interrupted leaves all nets as they were. What was
    trained up to there is on the error: error.trainer has the history, and error.trainer.write() puts it in the nets.

    Raises:
        DivergedError: with step, net, seed and trainer.
        ValueError, TypeError: nets or tasks that do not fit each other, a batch or loss that is not what the task says,
            nets that cannot be trained in one pass (`alrnn.nets.Stack`), or settings out of range.
    """
    given = locals()
    trainer = Trainer(nets, task, diverged, device, **{name: given[name] for name in DEFAULTS})  # type: ignore[misc]
    trainer.run(every=every, on_step=on_step, progress=progress)
    trainer.write()
    return trainer.history


@dataclass
class EarlyStopping:
    """For `on_step`: stop when no net's main validation score has become better in `patience` looks.

    Each net ends with the weights of its best look. n: how many held-out sequences are looked at; all by default.
    best: (K,), the score of that look. step: (K,), when it was.
    """

    patience: int = 10
    n: int | None = None
    best: np.ndarray = field(default_factory=lambda: np.zeros(0), init=False)
    step: np.ndarray = field(default_factory=lambda: np.zeros(0, int), init=False)
    idle: int = field(default=0, init=False, repr=False)  # looks since a net became better
    kept: Tensor = field(default_factory=lambda: torch.zeros(0), init=False, repr=False)

    def __call__(self, trainer: Trainer) -> bool:
        score, theta = next(iter(trainer.scores("validation", self.n).values())), trainer.stack.theta.data
        if not len(self.best):
            self.best, self.step, self.kept = np.full(len(score), np.nan), np.zeros(len(score), int), theta.clone()
        better = score > self.best if trainer.task.better == "higher" else score < self.best
        better |= np.isnan(self.best) & ~np.isnan(score)
        self.best, self.step = np.where(better, score, self.best), np.where(better, trainer.step, self.step)
        self.kept[better] = theta[better]
        self.idle = 0 if better.any() else self.idle + 1
        stop = self.idle >= self.patience
        if stop or trainer.step == trainer.settings["steps"]:
            theta.copy_(self.kept)
        return stop


def _finite(loss: Tensor, norm: Tensor) -> Tensor:
    return torch.isfinite(loss) & torch.isfinite(norm)


def detached(state: Any) -> Any:
    """A state to carry on from, without its past."""
    return state.detach() if isinstance(state, Tensor) else None if state is None else tuple(map(detached, state))
