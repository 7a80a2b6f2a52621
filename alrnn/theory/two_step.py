"""Two-step task: state times reward as one kink, animals of known P, and models of choice to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..nets import ALRNN, Net
from ..tasks.two_step import TwoStep
from .affine import _net

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TERMS",
    "choice_animal",
    "fit_choices",
    "fit_reinforcement",
    "lagged_trials",
    "read_unit",
    "simulate_choices",
]

# What a logistic regression sees of each of the last trials: of choice c, state s, picture p and reward r.
TERMS: dict[str, str] = {
    "main effects": "c s p r",
    "+ choice x reward": "c s p r cr",
    "+ state x reward": "c s p r sr",
    "+ both": "c s p r cr sr",
    "full": "c s p r cs cp cr sp sr pr csp csr cpr spr cspr rr srr crr prr",
}
COMMON = 0.7  # how often a first choice leads to its common state


def choice_animal(
    product: float = 1.0,
    main: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    decay: float = 0.5,
    bound: float = 1.0,
    blank: int = 2,
) -> ALRNN:
    r"""Chooses in `tasks.TwoStep` with log-odds sum_k decay^k (product s r + main . (c, s, p, r)), k = 0 for the last.

    For s = +-1 and |r| <= K, s r = |r + K s| - K: if s = 1 both sides are r, if s = -1 both are -r. And |u| is
    2 relu(u) - u. So one PWL unit, u = r + K s, makes the product: P = 1, M = 2. Without the product P = 0, M = 1.
    The linear unit takes all that is linear at the step at which a trial is shown and 2 relu(u) one step later; K is
    taken off by the input that says that a trial is shown. bound: K. float64.
    """
    if len(main) != 4 or not 0 < decay < 1 or not 1 <= bound < math.inf or blank < 1:
        raise ValueError(
            f"wanted 4 main effects, 0 < decay < 1, bound >= 1, blank >= 1; got {main}, {decay}, {bound}, {blank}"
        )
    step = decay ** (1 / (blank + 1))
    c, s, p, r = main
    linear = torch.tensor([c, s - product * bound, p, r - product, -product * bound], dtype=torch.float64) / step
    scale = step ** (1 - blank) / 2  # read blank steps after the trial was shown, of which one is for the gate
    if not product:
        return _net(P=0, W=[[step]], C=linear[None], D=[[-scale], [scale]])
    u = torch.tensor([0, bound, 0, 1, 0], dtype=torch.float64)
    W = [[step, 2 * product], [0, 0]]
    return _net(P=1, W=W, C=torch.stack([linear, u]), D=[[-scale, 0], [scale, 0]])


def simulate_choices(net: Net, sessions: int, trials: int = 400, seed: int = 0, blank: int = 2) -> pd.DataFrame:
    """An animal whose first choices are drawn from what the net says; trials as `datasets.two_step` has them.

    The transition is common with probability .7, the second picture drawn evenly; rewards of the four pictures change
    at random, each with probability .1 a trial.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    every, dtype = np.arange(sessions), next(net.parameters()).dtype
    level = rng.integers(-1, 2, (sessions, 4))
    shown, state, rows = torch.zeros(sessions, blank + 1, 5, dtype=dtype), None, []
    for t in range(trials):
        with torch.no_grad():
            y, z = net(shown, state)
        state = z[:, -1]
        up = torch.sigmoid(y[:, -1, 1] - y[:, -1, 0]).double().numpy()
        choice = np.where(rng.random(sessions) < up, 1, -1)
        transition = np.where(rng.random(sessions) < COMMON, 1, -1)
        picture = rng.choice([-1, 1], sessions)
        second = choice * transition
        reward = level[every, second + 1 + (picture > 0)]
        rows.append(np.stack([every, np.full(sessions, t), choice, transition, second, picture, reward], 1))
        shown = torch.zeros_like(shown)
        seen = np.stack([choice, second, picture, reward, np.ones(sessions)], 1)
        shown[:, 0] = torch.from_numpy(seen).to(dtype)
        level = np.where(rng.random((sessions, 4)) < 0.1, rng.integers(-1, 2, (sessions, 4)), level)
    names = ["session", "trial", "choice", "transition", "state", "picture", "reward"]
    table = pd.DataFrame(np.concatenate(rows), columns=names).sort_values(["session", "trial"], ignore_index=True)
    return table.assign(animal=-1, free=True)


def lagged_trials(task: TwoStep, terms: str, lags: int = 8) -> np.ndarray:
    """Products such as "sr" of what was seen 1 to `lags` trials ago, 0 before a run: (n, trials, terms * lags)."""
    seen = dict(zip("cspr", task.by_trial()[0].double().numpy().transpose(2, 0, 1), strict=False))
    columns = []
    for term in terms.split():
        x = math.prod(seen[letter] for letter in term)
        columns += [np.pad(x, ((0, 0), (k, 0)))[:, : x.shape[1]] for k in range(lags)]  # type: ignore[arg-type]
    return np.stack(columns, -1)


def fit_choices(
    task: TwoStep, terms: str = "main effects", lags: int = 8, folds: int = 5, penalties: Sequence[float] = (1, 10, 100)
) -> pd.DataFrame:
    """Logistic regressions on the last trials, in the folds of `alrnn.cross_validate`: bits of each session held out.

    terms: a name in `TERMS`, or terms. The ridge penalty is the best one on each fold's validation part.
    """
    X = lagged_trials(task, TERMS.get(terms, terms), lags)

    def fit(train: np.ndarray, validation: np.ndarray, value: Callable) -> np.ndarray:
        y, w = value(train)
        made = [X @ b[:-1] + b[-1] for b in (_logistic(X[train], y, w, p) for p in penalties)]
        return min(made, key=lambda logit: _bits(logit[validation], *value(validation))[0])

    return _held_out(task, folds, fit)


def fit_reinforcement(task: TwoStep, kind: str = "both", folds: int = 5) -> pd.DataFrame:
    """Reinforcement learners with "model-free" values of the first choice, "model-based" ones, or "both".

    The usual hybrid (Daw et al. 2011): second-stage values of four pictures by the rule of Rescorla and Wagner,
    first-stage values from these at once and, by a share, from the reward; model-based values weigh the better picture
    of each state by how often a choice leads there; all four fade; the last choice is repeated. Eight numbers, by
    maximum likelihood over a fold's training sessions.
    """
    from scipy.optimize import minimize

    on = {"model-free": (0.0, 1.0), "model-based": (1.0, 0.0), "both": (1.0, 1.0)}
    if task.shown != "state" or kind not in on:
        raise ValueError(f"kind must be one of {', '.join(on)}, of a task that shows the state, got {kind!r}")
    seen = task.by_trial()[0].double().numpy()

    used = np.r_[np.ones(4), on[kind], np.ones(2)]
    nudges = 1e-5 * np.r_[np.zeros((1, 8)), np.eye(8)]

    def fit(train: np.ndarray, validation: np.ndarray, value: Callable) -> np.ndarray:
        y, w = value(train)

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            at, *near = (_bits(x, y, w)[0] for x in _learner((theta + nudges) * used, seen[train]))
            return at, (np.array(near) - at) / 1e-5

        start = np.r_[0.5, 0.5, 0.5, 0.2, 1.0, 1.0, 0.1, 0.0]
        limits = [(0.0, 0.99999)] * 4 + [(-20.0, 20.0)] * 4
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 60})
        return _learner((found.x * used)[None], seen)[0]

    return _held_out(task, folds, fit)


def _learner(theta: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Log-odds of choice 1 before each trial, (G, n, trials), of G learners with numbers theta (G, 8).

    seen: what was shown before each trial, (n, trials, 5).
    """
    n = len(seen)
    rate, second, share, forget, based, free, stay, bias = np.repeat(theta, n, axis=0).T
    every, Q, V = np.arange(len(rate)), np.zeros((len(rate), 2)), np.zeros((len(rate), 2, 2))
    logits = np.zeros((len(rate), seen.shape[1]))
    for t in range(seen.shape[1]):
        c, s, p, r, there = np.tile(seen[:, t], (len(theta), 1)).T
        at, here, which = (c > 0).astype(int), (s > 0).astype(int), (p > 0).astype(int)
        value, old = V[every, here, which], Q[every, at]
        V = V * (1 - forget * there)[:, None, None]
        Q[every, at] += there * rate * (value - old + share * (r - value))
        V[every, here, which] = np.where(there > 0, value + second * (r - value), value)
        best = V.max(2)
        logits[:, t] = (
            based * (2 * COMMON - 1) * (best[:, 1] - best[:, 0]) + free * (Q[:, 1] - Q[:, 0]) + stay * c + bias
        )
    return logits.reshape(len(theta), n, -1)


def _logistic(X: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float) -> np.ndarray:
    """Weights and, last, the bias that minimise the weighted nats plus half the penalty times the squared weights."""
    from scipy.optimize import minimize

    used = w > 0
    A, sign, weight = np.c_[X[used], np.ones(used.sum())], 2 * y[used] - 1, w[used]
    ridge = penalty * np.r_[np.ones(A.shape[1] - 1), 0]

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        m = sign * (A @ b)
        slope = -A.T @ (weight * sign / (1 + np.exp(np.clip(m, -500, 500))))
        return float(weight @ np.logaddexp(0, -m) + ridge @ b**2 / 2), slope + ridge * b

    return minimize(loss, np.zeros(A.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x


def _bits(logit: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Bits a choice and accuracy."""
    bits = np.logaddexp(0, -(2 * y - 1) * logit) / math.log(2)
    return float((w * bits).sum() / w.sum()), float((w * ((logit > 0) == y)).sum() / w.sum())


def _held_out(task: TwoStep, folds: int, fit: Callable[..., np.ndarray]) -> pd.DataFrame:
    """For each fold and session tested in it: bits, accuracy, and count, the choices asked for."""
    import pandas as pd

    _, target, weight = (x.numpy() for x in task.by_trial())

    def value(index: Any) -> tuple[np.ndarray, np.ndarray]:
        return target[index], weight[index].astype(float)

    rows = []
    for k in range(folds):
        one = task.fold(k, folds)
        train, validation, test = (one.parts[name][0].numpy() for name in ("train", "validation", "test"))
        logit = fit(train, validation, value)
        group = one.group.numpy()
        for g in np.unique(group[test]):
            of = test[group[test] == g]
            bits, accuracy = _bits(logit[of], *value(of))
            name = one.group_names[g]
            rows.append({"fold": k, "group": name, "bits": bits, "accuracy": accuracy, "count": weight[of].sum()})
    return pd.DataFrame(rows)


def read_unit(net: ALRNN, task: TwoStep) -> pd.DataFrame:
    """What the last PWL unit of a net does, over the choices that count.

    Returns:
        one row for each state and reward of the last trial: state, reward, trials; bit_0, ... how often the unit is
        above 0 at the step at which the trial is shown and at the blank ones; odds, mean log-odds of choosing, next,
        the picture that led there commonly (1 after state 1, -1 after -1); up, mean log-odds of choice 1. And, the same
        in each row, on and off, the time constant in trials of the slowest mode of the map with the unit on, or off.
    """
    import pandas as pd

    every = task.idle + 1
    seen, _, weight = task.by_trial()
    with torch.no_grad():
        y, z = net(task.s.to(net.W.dtype))
    up = (y[..., 1] - y[..., 0])[:, task.idle :: every]
    bits = (z[..., -1] > 0).unflatten(1, (-1, every))
    used = (weight > 0) & (seen[..., 4] > 0)
    table = pd.DataFrame({"state": seen[used][:, 1].int(), "reward": seen[used][:, 3].int(), "up": up[used].double()})
    table["odds"] = table.up * table.state
    for k in range(every):
        table[f"bit_{k}"] = bits[used][:, k].double()
    groups = table.groupby(["state", "reward"])
    slow = {name: _slowest(net, bit) / every for name, bit in (("on", 1), ("off", 0))}
    return groups.mean().assign(trials=groups.size(), **slow).reset_index()


def _slowest(net: ALRNN, bit: int) -> float:
    """Steps in which the slowest mode of a region falls to 1/e, infinite if it does not fall."""
    bits = [bit] * net.nonlinear_size
    size = float(torch.linalg.eigvals(net.jacobian(bits).detach()).abs().max())
    return -1 / math.log(size) if size < 1 else math.inf
