"""Training: many nets in one pass (`fit`), and P x seed sweeps (`sweep`)."""

from __future__ import annotations

import inspect
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm  # plain text: a notebook widget would stay behind in the page

from . import __version__
from .checks import integer
from .nets.almost_linear import ALRNN, Ensemble, Init
from .tasks import Batch, Task
from .tasks.base import HELD_OUT, TRAINING
from .recurrence import kernel


class DivergedError(RuntimeError):
    """Training left the finite numbers. Attributes: step, net (index in the list), seed, P."""

    def __init__(self, step: int, net: int, seed: int, P: int):
        super().__init__(
            f"loss or gradient not finite at step {step} in net {net} (P={P}, seed={seed}); "
            "try a smaller learning rate, stronger clipping, or diverged='drop' to go on without it"
        )
        self.step, self.net, self.seed, self.P = step, net, seed, P

    def __reduce__(self):  # the default one keeps the message alone, and workers send errors back pickled
        return type(self), (self.step, self.net, self.seed, self.P)


@dataclass
class History:
    """What happened in training, S steps of K nets.

    loss, grad_norm: (S, K), task loss and norm of the gradient before clipping. lr: (S,). P, seed: per net.
    diverged: net index -> step at which it left the finite numbers. seconds: wall time, all nets together.
    """

    loss: np.ndarray
    grad_norm: np.ndarray
    lr: np.ndarray
    P: list[int]
    seed: list[int]
    diverged: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def table(self, every: int = 1) -> pd.DataFrame:
        """Tidy: one row per net and step (every `every`-th), columns net, P, seed, step, loss, grad_norm."""
        S, K = self.loss.shape
        steps = np.arange(0, S, every)
        return pd.DataFrame(
            {
                "net": np.tile(np.arange(K), len(steps)),
                "P": np.tile(self.P, len(steps)),
                "seed": np.tile(self.seed, len(steps)),
                "step": np.repeat(steps, K),
                "loss": self.loss[steps].ravel(),
                "grad_norm": self.grad_norm[steps].ravel(),
            }
        )


def manifold_attractor(A: Tensor, W: Tensor, h: Tensor, units: int) -> Tensor:
    """MAR penalty of K nets: A (K, M), W (K, M, M), h (K, M) -> (K,), over the first `units` units.

    sum_i (a_i - 1)^2 + sum_{j != i} W_ij^2 + h_i^2 with a_i = A_ii + W_ii; it is 0 exactly if each of these units, left
    without input, holds its value (a PWL unit: one above 0) for ever. Source: Schmidt et al. 2021; a sum since Brenner
    & Koppe 2026.
    """
    change = W + torch.diag_embed(A - 1)  # z_t - z_{t-1} = change z_{t-1} + h
    return change[:, :units].square().sum((1, 2)) + h[:, :units].square().sum(1)


@kernel.owning_the_threads()
def fit(
    nets: ALRNN | Sequence[ALRNN],
    task: Task,
    steps: int = 1000,
    batch_size: int = 64,
    lr: float = 5e-3,
    warmup: float = 0.05,
    schedule: Literal["cosine", "constant"] = "cosine",
    clip: float = 0.1,
    tau: float = 0.0,
    regularised: int | None = None,
    diverged: Literal["raise", "drop"] = "raise",
    progress: bool = True,
) -> History:
    """Train nets in place by Adam, all in one pass; each sees the data stream of its own seed.

    Training nets together equals training each alone: losses, clipping and Adam's moments are per net, and nets of one
    seed see the same data whatever their P. Weights with requires_grad = False stay as they are.

    Args:
        nets: one net or a list with equal sizes, dtype and device, any P.
        steps: of Adam. batch_size: sequences a step, for each net.
        lr: peak learning rate. warmup: share of the steps with rising rate. schedule: what follows.
        clip: largest gradient norm per net; infinity for no clipping.
        tau: strength of manifold-attractor regularisation. regularised: on how many units, M // 2 by default.
        diverged: what to do when a net's loss or gradient is not finite: stop, or go on and leave it as it is.
        progress: show a progress bar.

    Weights are written back at the end: a call that fails or is interrupted leaves all nets as they were.

    Raises:
        DivergedError: with step, net and seed; all nets are then as before the call.
        ValueError: nets that do not fit the task or each other, or settings out of range.
    """
    settings = locals()
    nets = [nets] if isinstance(nets, ALRNN) else list(nets)
    ensemble = Ensemble(nets)
    _check_sizes(nets, task)
    _check_settings(settings)
    units = _regularised(regularised, nets[0].hidden_size)
    seeds = sorted({net.seed for net in nets})
    generators = [torch.Generator().manual_seed(TRAINING + seed) for seed in seeds]
    stream = torch.tensor([seeds.index(net.seed) for net in nets])
    adam = torch.optim.Adam([ensemble.theta], lr=lr, fused=True)
    losses: list[Tensor] = []
    norms: list[Tensor] = []
    rates: list[float] = []
    lost: dict[int, int] = {}
    start = time.perf_counter()
    for step in tqdm(range(steps), desc=f"{len(nets)} nets", leave=False, **({} if progress else {"disable": True})):
        batches = [task.sample(batch_size, generator) for generator in generators]
        batch = (batches[0] if len(seeds) == 1 else Batch.per_net(batches, stream)).to(ensemble.lower)
        y, _ = ensemble(batch.s, last=batch.last)
        objective = loss = task.loss(y, batch)
        if tau > 0:
            p = ensemble.parts()
            objective = loss + tau * manifold_attractor(p["A"], p["W"], p["h"], units)
        ensemble.theta.grad = None
        objective.sum().backward()
        grad = ensemble.theta.grad
        assert grad is not None
        grad.mul_(ensemble.trainable)
        norm = grad.norm(dim=1)
        finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
        if not finite.all():
            for k in (~finite).nonzero().ravel().tolist():
                if diverged == "raise":
                    raise DivergedError(step, k, nets[k].seed, nets[k].nonlinear_size)
                lost.setdefault(k, step)
        grad.mul_((clip / norm).clamp(max=1)[:, None])
        if lost:  # no gradient, no momentum: the net stays where it was
            for tensor in (grad, *(adam.state[ensemble.theta].get(m) for m in ("exp_avg", "exp_avg_sq"))):
                if tensor is not None:
                    tensor[list(lost)] = 0.0
        rates.append(lr * _rate(step, steps, warmup, schedule))
        adam.param_groups[0]["lr"] = rates[-1]
        adam.step()
        losses.append(loss.detach())
        norms.append(norm)
    ensemble.write_to(nets)
    return History(
        torch.stack(losses).cpu().numpy(),
        torch.stack(norms).cpu().numpy(),
        np.array(rates),
        [net.nonlinear_size for net in nets],
        [net.seed for net in nets],
        lost,
        time.perf_counter() - start,
    )


@torch.no_grad()
def evaluate(
    nets: ALRNN | Sequence[ALRNN],
    task: Task,
    batch: Batch,
    chunk: int = 500,
    score: Callable[[Tensor, Batch], Tensor] | None = None,
) -> Tensor:
    """The score of each net on one batch, (K,): `task.score` or another one; run `chunk` sequences at a time.

    Raises:
        ValueError: nets that do not fit the task or each other, or a batch that does not fit the nets.
    """
    nets = [nets] if isinstance(nets, ALRNN) else list(nets)
    ensemble, chunk = Ensemble(nets), integer("chunk", chunk, 1)
    _check_sizes(nets, task)
    batch = batch.to(ensemble.lower)
    trials = batch.weight.dim() - 2  # the dimension that counts them
    y = [ensemble(s, last=batch.last)[0] for s in batch.s.split(chunk, dim=trials)]
    return (score or task.score)(torch.cat(y, dim=1), batch)


@dataclass
class Sweep:
    """A trained P x seed sweep.

    table: one row per net: all settings (see `describe`), train_loss (mean of the last 5% of steps), validation and
        test score, also *_sequence where the task scores whole sequences, diverged (step or missing), seconds (of the
        whole sweep / number of nets), version.
    nets: in the order of the rows. history: of all nets; None where loaded from a file.
    """

    table: pd.DataFrame
    nets: list[ALRNN]
    history: History | None = None

    def net(self, P: int, seed: int) -> ALRNN:
        """The net with this P and seed; KeyError if there is none."""
        found = [n for n in self.nets if n.nonlinear_size == P and n.seed == seed]
        if not found:
            raise KeyError(f"no net with P={P} and seed={seed} in this sweep")
        return found[0]

    def save(self, path: str | os.PathLike) -> None:
        """Write table and weights to one .npz file."""
        net = ("input_size", "hidden_size", "nonlinear_size", "output_size", "seed")
        nets = [{name: getattr(n, name) for name in net} | {"init": asdict(n.init)} for n in self.nets]
        table = self.table.astype(object).where(self.table.notna(), None).to_dict("list")  # None: missing
        parts = nets, table, self.table.dtypes.astype(str).to_dict()
        text = np.array([json.dumps(x, default=np.generic.item) for x in parts])
        with open(path, "wb") as file:
            np.savez(file, text=text, theta=Ensemble(self.nets).theta.detach().cpu().numpy())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Sweep:
        """Read what `save` wrote. Nothing is unpickled."""
        with np.load(path, allow_pickle=False) as file:
            theta, text = torch.from_numpy(file["theta"]), [json.loads(x) for x in file["text"].tolist()]
        nets = []
        for net in text[0]:
            start: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in net["init"].items()}
            nets.append(ALRNN(**net | {"init": Init(**start)}).to(theta.dtype))
        ensemble = Ensemble(nets)
        with torch.no_grad():
            ensemble.theta.copy_(theta)
        ensemble.write_to(nets)
        return cls(pd.DataFrame(text[1]).astype(text[2]), nets)


def sweep(
    task: Task,
    hidden_size: int,
    nonlinear_sizes: Iterable[int],
    seeds: int | Iterable[int] = 10,
    init: str | Init = "slow",
    **settings: Any,
) -> Sweep:
    """Train one net for each P and seed, all in one pass, and score them on the held-out sets.

    Args:
        hidden_size: M. nonlinear_sizes: the values of P. init: of every net, as for `ALRNN`.
        seeds: a number of seeds, 0, 1, ..., or the seeds themselves.
        settings: of `fit`.

    Raises:
        ValueError: no P or no seeds, or one twice; else as `fit` and `ALRNN`.
        DivergedError: as `fit`; with diverged="drop" such nets stay in the table and say so there.
    """
    sizes = list(nonlinear_sizes)
    seeds = list(seeds) if isinstance(seeds, Iterable) else list(range(seeds))
    for name, values in (("P", sizes), ("seed", seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"a sweep needs at least one {name} and each only once, got {values}")
    nets = [
        ALRNN(task.input_size, hidden_size, P, task.output_size, seed=seed, init=init) for P in sizes for seed in seeds
    ]
    history = fit(nets, task, **settings)
    tail = max(1, len(history.loss) // 20)
    table = pd.DataFrame([describe(task, hidden_size, n.nonlinear_size, n.seed, n.init, **settings) for n in nets])
    table["train_loss"] = history.loss[-tail:].mean(0, dtype=float)
    for split in HELD_OUT:
        batch = task.held_out(split)
        table[split] = evaluate(nets, task, batch).double().cpu().numpy()
        if sequence := getattr(task, "score_sequence", None):
            table[f"{split}_sequence"] = evaluate(nets, task, batch, score=sequence).double().cpu().numpy()
    table["diverged"] = pd.array([history.diverged.get(k) for k in range(len(nets))], dtype="Int64")
    table["seconds"] = history.seconds / len(nets)
    table["version"] = __version__
    return Sweep(table, nets, history)


def describe(
    task: Task, hidden_size: int, nonlinear_size: int, seed: int, init: str | Init = "slow", **settings: Any
) -> dict[str, Any]:
    """All that decides how a net of a sweep comes out, by column: model, task and task_*, M, P, parameters (their
    number), seed, init and init_*, the settings of `fit`. Missing ones are filled in, lists are given as text.
    """
    M, P, N, O = hidden_size, nonlinear_size, task.input_size, task.output_size  # noqa: E741
    start = asdict(Init(init) if isinstance(init, str) else init)  # type: ignore[arg-type]
    start["units"] = M if start["units"] is None else start["units"]
    used = {k: v.default for k, v in inspect.signature(fit).parameters.items() if v.default is not v.empty}
    if unknown := settings.keys() - used:
        raise TypeError(f"fit has no settings {', '.join(sorted(unknown))}")
    used |= settings
    _check_settings(used)
    used["regularised"] = _regularised(used["regularised"], M)
    row = {
        "model": "alrnn",
        "task": task.name,
        **{f"task_{name}": value for name, value in task.settings().items()},
        "M": M,
        "P": P,
        "parameters": M * (M + N + 1) + P + O * (M + 1),
        "seed": seed,
        "init": start.pop("kind"),
        **{f"init_{name}": value for name, value in start.items()},
        **{name: value for name, value in used.items() if name not in ("progress", "diverged")},
    }
    return {name: str(tuple(v)) if isinstance(v, (tuple, list)) else v for name, v in row.items()}


def _rate(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Share of the peak learning rate at this step: a linear rise, then constant or a half cosine to 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 1.0 if schedule == "constant" else (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def _regularised(units: int | None, M: int) -> int:
    return M // 2 if units is None else integer("regularised", units, 0, M, "hidden_size")


def _check_sizes(nets: Sequence[ALRNN], task: Task) -> None:
    expected, sizes = (task.input_size, task.output_size), (nets[0].input_size, nets[0].output_size)
    if sizes != expected:
        raise ValueError(f"{task.name} has input and output size {expected}, the nets {sizes}")


def _check_settings(settings: dict[str, Any]) -> None:
    for name in ("steps", "batch_size"):
        integer(name, settings[name], 1)
    if not 0 < settings["lr"] < math.inf:
        raise ValueError(f"lr must be above 0 and finite, got {settings['lr']!r}")
    if not settings["clip"] > 0:
        raise ValueError(f"clip must be above 0, got {settings['clip']!r}")
    if not 0 <= settings["tau"] < math.inf:
        raise ValueError(f"tau must be at least 0 and finite, got {settings['tau']!r}")
    if not 0 <= settings["warmup"] <= 1:
        raise ValueError(f"warmup must be between 0 and 1, got {settings['warmup']!r}")
    for name, allowed in {"schedule": ("cosine", "constant"), "diverged": ("raise", "drop")}.items():
        if settings[name] not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {settings[name]!r}")
