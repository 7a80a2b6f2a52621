"""Training and scoring, K nets of a kind in one pass: `fit`, and `Trainer`, which can stop, save and go on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm  # plain text: a notebook widget would stay behind in the page

from ..checks import integer
from ..files import read_whole, uninterrupted, written_whole
from ..nets import Net, Stack, plain, rebuilt, told
from ..recurrence import kernel
from ..tasks import Batch, Score, Task
from .history import DivergedError, History
from .objective import Objective, check_parts, penalty
from .replay import Replay
from .scoring import as_list, check_output, check_tasks, scores
from .settings import DEFAULTS, Settings, check_settings, share, text
from .streams import Place, Streams, each

LOOK = 50  # steps between two looks at what a device holds: each makes the device and Python wait for each other


class Trainer:
    """Trains nets by Adam, all in one pass; `fit` in parts: it can stop, look, be saved, be loaded and go on.

    Args:
        nets, task, device, diverged, settings: as for `fit`.

    stack: the nets as they are by now; `write` copies their weights into `nets`. step: how many steps are done.
    history: of these steps.
    """

    @torch.inference_mode(False)
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
        theta = self.stack.theta
        n, window, noise = (self.settings[name] for name in ("batch_size", "window", "start_noise"))
        self._streams = Streams(self.tasks, self.nets, n, window, noise, theta)
        self._loss = Objective(self.tasks, theta.device)
        self._held = self.stack.trainable == 0
        if wrong := (~theta.isfinite()).any(1).nonzero().flatten().tolist():
            raise ValueError(f"weights of net {wrong[0]} contain NaN or infinite values")
        self._lost_at = torch.full((len(self.nets),), -1, device=theta.device)  # step at which a net diverged
        # losses and norms, (2, steps, K), in one place: tensors kept one by one would break up the memory between them
        self._past = theta.detach().new_zeros(2, self.settings["steps"], len(self.nets))
        self._shares: list[float] = []
        self._replay = Replay(lambda batch: self._compute(batch)[:3])
        self._rows = [theta] if len(set(self.rates)) == 1 else [nn.Parameter(row) for row in theta.data]
        groups: dict[float, list[Tensor]] = {}  # by rate
        for row, r in zip(self._rows, self.rates, strict=False):
            groups.setdefault(r, []).append(row)
        self._adam = torch.optim.Adam([{"params": rows, "rate": r} for r, rows in groups.items()], fused=True)

    @property
    def history(self) -> History:
        """What happened so far."""
        past, lost = self._past[:, : self.step].cpu(), self._lost_at.tolist()
        loss, norm = (past.float() if past.dtype == torch.bfloat16 else past.clone()).numpy()  # which numpy has not
        return History(
            loss,
            norm,
            np.array(self._shares) * max(self.rates),
            [getattr(net, "nonlinear_size", None) for net in self.nets],  # type: ignore[misc]
            [net.seed for net in self.nets],
            {k: step for k, step in enumerate(lost) if step >= 0},
            self.seconds,
        )

    @torch.inference_mode(False)
    @torch.enable_grad()
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
        with bar, kernel.owning_the_threads(), self._on_errors():
            while self.step < steps:
                self._advance()
                self.seconds = time.perf_counter() - start
                bar.update()
                if self.step % LOOK == 0 or self.step == steps:
                    self._look()
                    bar.set_postfix_str(f"loss {self._past[0, self.step - 1].median().item():.3g}", refresh=False)
                if on_step is not None and (self.step % every == 0 or self.step == steps):
                    stop = on_step(self)
                    if isinstance(stop, bool | np.bool_ | Tensor) and stop:
                        break
        return self.history

    def write(self) -> None:
        """Copy the weights, as they are by now, into the nets."""
        with self._on_errors(), uninterrupted():
            self.stack.write_to(self.nets)

    def scores(self, split: Literal["validation", "test"] = "validation", n: int | None = None) -> dict[str, Score]:
        """The scores of each net by name, (K,), on the first n held-out sequences of its own task."""
        tasks, parts = list({id(t): t for t in self.tasks}.values()), []
        for task in tasks:
            batch = task.held_out(split) if n is None else task.held_out(split, n)
            parts.append(scores(self.stack, task, batch, window=self.settings["window"]))
        own = [([id(t) for t in tasks].index(id(task)), k) for k, task in enumerate(self.tasks)]

        def of_own(name: str, what: str) -> Tensor:
            return torch.stack([getattr(parts[i][name], what)[k] for i, k in own])

        return {name: Score(of_own(name, "sum"), of_own(name, "count"), one.better) for name, one in parts[0].items()}

    @contextlib.contextmanager
    def _on_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            error.trainer = self  # type: ignore[attr-defined]
            raise

    def _advance(self) -> None:
        """One step. What it changes it changes at the end, all at once: one that is interrupted has not begun."""
        batch, here = self._streams.next(check=self.step == 0)
        theta, state = self.stack.theta, here.state
        if self.step and theta.is_cuda and state is None and self._streams.window is None:
            loss, norm, grad = self._replay(batch)
        else:
            loss, norm, grad, state = self._compute(batch, state)
        self._lost_at = torch.where(self._lost_at < 0, torch.where(_finite(loss, norm), -1, self.step), self._lost_at)
        if theta.is_cuda or bool((self._lost_at >= 0).any()):  # on a device always, rather than wait to know
            if not theta.is_cuda:
                self._look()
            self._hold(grad)
        rate = share(self.step, *(self.settings[x] for x in ("steps", "warmup", "schedule")))
        for group in self._adam.param_groups:
            group["lr"] = group["rate"] * rate
        for k, row in enumerate(self._rows):
            row.grad = grad if row is theta else grad[k]
        with uninterrupted():
            self._adam.step()
            self._past[:, self.step] = torch.stack([loss, norm])
            self._shares.append(rate)
            self._streams.go_on(here, batch, state)
            self.step += 1

    def _compute(self, batch: Batch, state: Any = None) -> tuple[Tensor, Tensor, Tensor, Any]:
        """Loss and norm of the gradient (K,), the clipped gradient (K, n), and the state after the last step."""
        w, theta = self.stack.weights(), self.stack.theta
        output = self.stack.kind.run(w, batch, state=state)
        if self.step == 0:
            check_output(output, self.stack, batch, self.task, self.settings["window"] is not None)
        objective = loss = self._loss(output, batch)
        if self.step == 0:
            check_parts(loss, w, self.stack, self.task)
        if self.settings["tau"] > 0:
            objective = loss + self.settings["tau"] * penalty(w, self.stack, self.settings["regularised"])
        theta.grad = None
        objective.sum().backward()
        grad = theta.grad
        assert grad is not None
        grad.masked_fill_(self._held, 0.0)
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

    def save(self, path: str | os.PathLike) -> None:
        """Write all that is needed to go on exactly as without a stop; the file appears whole or not at all."""
        kept = {
            "nets": [told(net) for net in self.nets],
            "frozen": [[n for n, p in net.named_parameters() if not p.requires_grad] for net in self.nets],
            "tasks": self._told(),
            "settings": plain(self.settings) | {"diverged": self.diverged},
            "theta": self.stack.theta.detach(),
            "adam": self._adam.state_dict(),
            "place": [x if not isinstance(x, Batch) else vars(x) for x in self._streams.place],
            "done": [self.step, self.seconds, *self._past[:, : self.step].clone(), self._shares, self._lost_at],
        }
        with written_whole(path) as file:
            torch.save(kept, file)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        task: Task | Sequence[Task],
        kinds: Sequence[type[Net]] = (),
        device: str | torch.device | None = None,
    ) -> Trainer:
        """What `save` wrote, with nets of its own (`nets`, on the CPU), to go on by `run`. Nothing is unpickled.

        task: the same as before, which the file does not hold. kinds: of nets, if they are not among the library's.
        device: as for `fit`.

        Raises:
            ValueError: the file is no saved training, or of another task.
        """
        with read_whole(path, "training") as file:
            kept = torch.load(file, map_location="cpu", weights_only=True)
            theta = kept["theta"]
        nets = [rebuilt(*net, kinds=kinds).to(theta) for net in kept["nets"]]
        for net, frozen in zip(nets, kept["frozen"], strict=True):
            for name in frozen:
                net.get_parameter(name).requires_grad_(False)
        trainer = cls(nets, task, device=device, **kept["settings"])
        if (told := trainer._told()) != kept["tasks"]:
            raise ValueError(f"{path} was trained on {kept['tasks'][0]}, not on {told[0]}")
        with torch.no_grad():
            trainer.stack.theta.copy_(theta)
        trainer._adam.load_state_dict(kept["adam"])
        drawn, whole, *rest = kept["place"]
        there = trainer.stack.theta
        place = Place(drawn, whole and Batch(**whole).to(there), rest[0], each(rest[1], lambda x: x.to(there)))
        trainer._streams.place = place
        trainer.step, trainer.seconds, losses, norms, trainer._shares, lost_at = kept["done"]
        trainer._past[:, : trainer.step] = torch.stack([losses, norms])
        trainer._lost_at = lost_at.to(there.device)
        return trainer

    def _told(self) -> list[str]:
        return [f"{task.name} {text(task.settings())}" for task in self.tasks]


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
    start_noise: float = 0.0,
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
        start_noise: each sequence starts in a state drawn evenly from -start_noise to start_noise, unit by unit.
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


def _finite(loss: Tensor, norm: Tensor) -> Tensor:
    return torch.isfinite(loss) & torch.isfinite(norm)
