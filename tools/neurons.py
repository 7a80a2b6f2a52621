"""Do 39 recorded neurons need a kink, and would one have been seen? `python tools/neurons.py FILE` makes the table.

Spike counts in bins of 50 ms are predicted from the events of each trial, over each neuron's drift through the session.
The events are pulses, or choice, transition, state and reward stay on (`inputs`). What is predicted are the recorded
spikes, or spikes drawn anew from a linear net with a gate put in: choice times reward, from the feedback on, without
what is linear in either; `strength` is the standard deviation, over neurons, of its weight in the log-rate.

For each of these and each model one row for all folds (`fold` is empty) and one for each: bits a spike over the drift
alone, gain over the `reference`, 95% intervals over blocks of trials, and what was chosen, rate or penalty (`lr`) on
validation and start (`seed`) by training loss. "grown" nets are trained P = 0 with one more unit that nothing reads at
first, linear or PWL, trained on; the "oracle" knows the truth, gate included. A table goes on where it stopped.
"""

from __future__ import annotations

import argparse
import math
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pieces import Pieces, make

import alrnn
from alrnn import ALRNN, Init, cross_validate, datasets, fit, statistics
from alrnn.nets import GRU
from alrnn.tasks import Arrays

BIN, BEFORE, BINS = 0.05, 0.5, 100  # seconds, seconds before the first pictures, bins
BLOCK, FOLDS, DRIFT = 9, 5, 15.0  # trials held out together; folds; width of the drift, trials
M, STARTS, STEPS, RATES = 12, 2, 300, (1e-2, 2e-2)
START = Init("spread", time_constants=(2.0, 40.0), W=0.02, C=0.2, D=0.02, pwl=0.5)
FIT: dict[str, Any] = {"steps": STEPS, "batch_size": 64, "clip": 0.3, "diverged": "drop", "progress": False}
EDGES = (0, 1, 2, 3, 4, 6, 8, 11, 14, 18, 23, 30)  # bins between which the regression sums its inputs
PENALTIES = (1e5, 1e4, 1e3)
STRENGTHS = (0.25, 0.5, 0.12)
FADES = 0.95  # of the gate, each bin
KEPT = ("choice", "transition", "state", "reward")  # what stays on where inputs are sustained


@cache
def recording() -> tuple[pd.DataFrame, np.ndarray]:
    """The trials, and counts (trials, bins, neurons)."""
    trials, spikes = datasets.two_step_spikes()
    edges = trials["first"].to_numpy()[:, None] - BEFORE + BIN * np.arange(BINS + 1)
    counts = [np.diff(np.searchsorted(times, edges - 1e-6), axis=1) for times in spikes.values()]
    return trials, np.stack(counts, -1).astype(np.float32)


def events(trials: pd.DataFrame, inputs: str, products: bool = False) -> np.ndarray:
    """What the models are shown, (trials, bins, 22); or 24, if they are handed two products at the feedback."""
    one = pd.Series(1.0, trials.index)
    shown = [("begin", one), ("first", one), ("chosen", one), ("chosen", trials.choice)]
    shown += [("chosen", trials.place == k) for k in (1, 2, 3)]
    shown += [("transition_on", x) for x in (one, trials.transition, trials.state)]
    shown += [("second", one), ("second", trials.state), ("chosen_2", one)]
    shown += [("chosen_2", (trials.state == s) & (trials.picture == p)) for s in (-1, 1) for p in (-1, 1)]
    shown += [("chosen_2", trials.place_2 == k) for k in (1, 2, 3)]
    shown += [("feedback", one), ("feedback", trials.reward)]
    shown += [("feedback", x * trials.reward) for x in (trials.choice, trials.state)] if products else []
    s, first = np.zeros((len(trials), BINS, len(shown)), np.float32), trials["first"] - BEFORE
    for k, (event, value) in enumerate(shown):
        at = np.floor((trials.get(event, first) - first) / BIN).astype(
            int
        )  # the window begins half a second after fixation
        seen = at < BINS
        s[trials.index[seen], at[seen], k] = value[seen]
        if inputs == "sustained" and (value.name in KEPT and event != "second" or k >= 22):
            s[..., k] = s[..., k].cumsum(1)
    return s


class Spikes(Arrays):
    """Counts at every step, with each neuron's drift as a known log-rate, estimated from training trials alone.

    Groups are blocks of consecutive trials.
    """

    def __init__(self, s: np.ndarray, counts: np.ndarray):
        groups = np.arange(len(s)) // BLOCK
        super().__init__(s, counts, "every", groups, (0.1, 0.2), metric="deviance", name="neurons")

    def _use(self, part: np.ndarray) -> None:
        super()._use(part)
        log_rate = drift(self.target.double().mean(1).numpy(), part == 0)
        self.offset = torch.from_numpy(log_rate).to(self.target)[:, None].expand_as(self.target)


def drift(rates: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Log of each neuron's rate in each trial, smoothed over the *other* trials that are for training: (trials, U)."""
    i = np.arange(len(rates))
    weight = np.exp(-0.5 * ((i[:, None] - i) / DRIFT) ** 2) * train
    np.fill_diagonal(weight, 0)
    smooth = weight @ rates + 0.02 * rates[train].mean(0)
    return np.log(np.maximum(smooth / (weight.sum(1, keepdims=True) + 0.02), 1e-4))


def gate() -> np.ndarray:
    """Choice times reward without what is linear in what was shown, held from the feedback on: (trials, bins), sd 1."""
    trials, _ = recording()
    pulse = events(trials, "pulses", products=True)
    fed, main = pulse[..., 20], pulse[..., :22].sum(1)
    product = (trials.choice * trials.reward).to_numpy()
    product = product - main @ np.linalg.lstsq(main, product, rcond=None)[0]
    held = np.zeros_like(fed)
    for t in range(1, BINS):
        held[:, t] = FADES * held[:, t - 1] + fed[:, t] * product
    return held / held[:, 68:].std()


@cache
def linear_truth(inputs: str) -> np.ndarray:
    """Log-rates of the recorded trials as a net with P = 0 has them: (trials, bins, neurons)."""
    trials, counts = recording()
    task = Spikes(events(trials, inputs), counts).fold(0, FOLDS)
    net = ALRNN(task.input_size, M, 0, task.output_size, seed=10, init=START)
    fit([net], task, lr=1e-2, **FIT)
    with torch.no_grad():
        return (net(task.s)[0] + task.offset).clamp(max=3).numpy()


def drawn(inputs: str, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts with a gate, and the log-rates that they are drawn from, with it and without."""
    rng = np.random.default_rng([seed, round(1000 * strength)])
    plain = linear_truth(inputs)
    gated = plain + strength * gate()[..., None] * rng.normal(size=plain.shape[2])
    return rng.poisson(np.exp(np.minimum(gated, 4))).astype(np.float32), gated, plain


def grown(net: ALRNN, s: torch.Tensor, P: int, seed: int) -> ALRNN:
    """The same function with one more unit, linear or PWL: a random mixture of states and inputs s, not read yet."""
    m, generator = net.hidden_size, torch.Generator().manual_seed(seed)
    new = ALRNN(net.input_size, m + 1, P, net.output_size, net.seed, START)
    with torch.no_grad():
        z = net(s)[1][:, :-1]  # type: ignore[index]
        w = torch.randn(m, generator=generator) / z.flatten(0, 1).std(0) / math.sqrt(m)
        c = 0.3 * torch.randn(net.input_size, generator=generator)
        u = z @ w + s[:, 1:] @ c
        for name in ("A", "W", "C", "h", "D", "b"):
            mine, old = getattr(new, name).zero_(), getattr(net, name)
            mine[tuple(slice(n) for n in old.shape)] = old
        new.W[m, :m], new.C[m], new.h[m] = w / u.std(), c / u.std(), -u.median() / u.std()
    return new


def by_block(task: Spikes, found: pd.DataFrame, model: str, reference: str = "") -> pd.DataFrame:
    """Of what `cross_validate` gives for one model, the better start's bits a spike over the drift, block by block."""
    found = found.reset_index(drop=True)
    best = found.loc[found.groupby(["fold", "group"]).train_loss.idxmin()]
    table = best.merge(alone(task), on=["fold", "group"])
    bins = table["count"] * task.output_size
    table["bits"] = (table.drift - table.deviance) * bins / (2 * math.log(2) * table.fired)
    columns = ["fold", "group", "bits", "fired", "lr", "seed", "train_loss"]
    return table[columns].assign(model=model, reference=reference)


def alone(task: Spikes) -> pd.DataFrame:
    """Each block's deviance with nothing but the drift, and its spikes."""
    return held_out(task, lambda one: torch.zeros_like(one.target)).rename(columns={"deviance": "drift"})


def held_out(task: Spikes, predict: Any) -> pd.DataFrame:
    """Each block's deviance, mean over bins and neurons, with what is predicted, over the drift, in its fold."""
    rows = []
    for k in range(FOLDS):
        one = task.fold(k, FOLDS)
        y, index = predict(one), one.parts["test"][0]
        for g in one.group[index].unique().tolist():
            batch = one._batch("test", (one.group[index] == g).nonzero()[:, 0])
            score = one.score(y[batch.info["index"]], batch).item()
            rows.append({"fold": k, "group": g, "deviance": score, "fired": float(batch.target.sum())})
    return pd.DataFrame(rows)


def scratch(task: Spikes, P: int) -> pd.DataFrame:
    """One P, trained from scratch."""
    found = cross_validate(task, M, [P], STARTS, FOLDS, init=START, lr=RATES, **FIT)
    return by_block(task, found, f"P = {P}", "P = 0" if P else "")


def growing(task: Spikes) -> pd.DataFrame:
    """P = 0 from scratch; and with one more unit, linear or PWL, trained on as long at half the lower rate."""
    made: list[ALRNN] = []

    def first(P: int, seed: int) -> ALRNN:
        made.append(ALRNN(task.input_size, M, P, task.output_size, seed, START))
        return made[-1]

    found = cross_validate(task, first, [0], STARTS, FOLDS, lr=RATES, **FIT)
    nets = {}
    for i, net in enumerate(made):  # for each fold each start, for each start each rate
        fold, start, rate = i // (STARTS * len(RATES)), i // len(RATES) % STARTS, RATES[i % len(RATES)]
        if rate == found.lr[(found.fold == fold) & (found.seed == start)].iloc[0]:
            nets[fold, start] = net
    inputs = [one.s[one.parts["train"][0]] for one in (task.fold(k, FOLDS) for k in range(FOLDS))]
    more = (grown(nets[k, seed], inputs[k], P, seed) for k in range(FOLDS) for P in (0, 1) for seed in range(STARTS))
    on = cross_validate(task, lambda P, seed: next(more), [0, 1], STARTS, FOLDS, lr=min(RATES) / 2, **FIT)
    tables = [by_block(task, found, "P = 0")]
    tables += [by_block(task, on[on.P == P], f"grown, P = {P}", ("P = 0", "grown, P = 0")[P]) for P in (0, 1)]
    return pd.concat(tables)


def gru(task: Spikes) -> pd.DataFrame:
    """A GRU with as many units."""
    found = cross_validate(
        task, lambda P, seed: GRU(task.input_size, M, task.output_size, seed), [0], STARTS, FOLDS, lr=RATES, **FIT
    )
    return by_block(task, found, "GRU", "P = 0")


def lagged(s: torch.Tensor) -> torch.Tensor:
    """Sums of each input over bins at these lags: (n, T, inputs times boxes)."""
    total = torch.cat([torch.zeros_like(s[:, :1]), s.cumsum(1)], 1)
    t = torch.arange(s.shape[1])
    return torch.cat(
        [
            total[:, (t - a + 1).clamp(0)] - total[:, (t - b + 1).clamp(0)]
            for a, b in zip(EDGES[:-1], EDGES[1:], strict=True)
        ],
        2,
    )


def regression(task: Spikes, s: np.ndarray, model: str, reference: str) -> pd.DataFrame:
    """Poisson regression on lagged inputs; the ridge penalty is the best of some on each fold's validation part."""
    X, chosen = lagged(torch.from_numpy(s)), []

    def predict(one: Spikes) -> torch.Tensor:
        train = one.parts["train"][0]
        scale = X[train].flatten(0, 1).std(0).clamp(min=1e-3)
        Z = torch.cat([X / scale, torch.ones_like(X[..., :1])], 2)
        b, fits = torch.zeros(Z.shape[2], task.output_size), []
        for penalty in PENALTIES:
            b = ridge(
                Z[train].flatten(0, 1), one.target[train].flatten(0, 1), one.offset[train].flatten(0, 1), b, penalty
            )
            batch, y = one.held_out("validation"), Z @ b
            fits.append((one.score(y[batch.info["index"]], batch).item(), penalty, y))
        chosen.append(min(fits, key=lambda f: f[0]))
        return chosen[-1][2]

    found = held_out(task, predict).assign(seed=0, train_loss=0.0, count=float(BLOCK * BINS))
    found["lr"] = found.fold.map(lambda k: chosen[k][1])
    return by_block(task, found.drop(columns="fired"), model, reference)


def ridge(X: torch.Tensor, k: torch.Tensor, offset: torch.Tensor, b: torch.Tensor, penalty: float) -> torch.Tensor:
    """Weights (features, neurons) of the greatest Poisson likelihood less penalty / 2 times their squares."""
    b = b.clone().requires_grad_()
    descent = torch.optim.LBFGS([b], max_iter=30, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        descent.zero_grad()
        y = X @ b + offset
        value = ((y.exp() - k * y).sum() + penalty / 2 * (b[:-1] ** 2).sum()) / len(X)
        value.backward()
        return value

    descent.step(loss)
    return b.detach()


def oracle(task: Spikes, gated: np.ndarray, plain: np.ndarray) -> pd.DataFrame:
    """What the truth would score, with its gate and without."""
    tables = []
    for model, log_rate, reference in (("truth, no gate", plain, ""), ("oracle", gated, "truth, no gate")):
        truth = torch.from_numpy(log_rate).float()
        found = held_out(task, lambda one, truth=truth: truth - one.offset).drop(columns="fired")
        found = found.assign(seed=0, train_loss=0.0, lr=np.nan, count=float(BLOCK * BINS))
        tables.append(by_block(task, found, model, reference))
    return pd.concat(tables)


def pieces() -> Pieces:
    """Blocks of trials for each kind of spikes, inputs and models; the most telling ones first."""
    trials, counts = recording()
    shown = {inputs: events(trials, inputs) for inputs in ("pulses", "sustained")}
    recorded = {inputs: Spikes(s, counts) for inputs, s in shown.items()}
    about = {"spikes": "recorded", "strength": 0.0}
    for inputs, task in recorded.items():
        yield about | {"inputs": inputs, "piece": "growing"}, partial(growing, task)
        for P in (1, 2, 4):
            yield about | {"inputs": inputs, "piece": f"P = {P}"}, partial(scratch, task, P)
    for strength in STRENGTHS:
        yield from drawn_pieces(shown, strength)
    for inputs, task in recorded.items():
        yield from regression_pieces(task, about | {"inputs": inputs})
        yield about | {"inputs": inputs, "piece": "GRU"}, partial(gru, task)
    least = min(STRENGTHS)
    task = simulated(shown["pulses"], "pulses", least)[0]
    yield from regression_pieces(task, {"spikes": "drawn", "strength": least, "inputs": "pulses"})


def regression_pieces(task: Spikes, about: dict[str, Any]) -> Pieces:
    """Regressions; one is handed two products, choice and state times reward."""
    for name, reference in (("regression", "P = 0"), ("regression, products", "regression")):
        s = events(recording()[0], about["inputs"], products=name.endswith("products"))
        yield about | {"piece": name}, partial(regression, task, s, name, reference)


def drawn_pieces(shown: dict[str, np.ndarray], strength: float) -> Pieces:
    """Spikes with a gate of one strength."""
    for inputs, s in shown.items():
        about = {"spikes": "drawn", "strength": strength, "inputs": inputs}
        task = cache(partial(simulated, s, inputs, strength))
        yield about | {"piece": "oracle"}, lambda task=task: oracle(*task())
        yield about | {"piece": "growing"}, lambda task=task: growing(task()[0])
        yield about | {"piece": "P = 1"}, lambda task=task: scratch(task()[0], 1)


def simulated(s: np.ndarray, inputs: str, strength: float) -> tuple[Spikes, np.ndarray, np.ndarray]:
    """The task of spikes drawn anew; and the truth, with the gate and without."""
    counts, gated, plain = drawn(inputs, strength, 0)
    return Spikes(s, counts), gated, plain


def summary(every: pd.DataFrame) -> pd.DataFrame:
    """One row a model for all folds, with intervals, and one for each fold."""
    rows, every = [], every.fillna({"reference": ""})
    nothing = every[every.model == every.model.iloc[0]].assign(model="", bits=0.0)
    for model, table in every.groupby("model", sort=False):
        reference = table.reference.iloc[0]
        both = pd.concat([nothing, every[every.model.isin([model, reference])]])
        row: dict[str, Any] = {"model": model, "reference": reference, "spikes_held_out": table.fired.sum()}
        for name, other in (("bits", ""), ("gain", reference)):
            if other or name == "bits":
                d = statistics.paired_bootstrap(both, model, other, "bits", "model", weight="fired")
                row |= {name: d.mean, f"{name}_low": d.low, f"{name}_high": d.high}
        rows.append(row)
        other = every[every.model == reference].set_index("group").bits
        for k, part in table.groupby("fold"):
            bits, fired = part.bits.to_numpy(), part.fired.to_numpy()
            one = {"model": model, "reference": reference, "fold": k, "spikes_held_out": fired.sum()}
            one["bits"] = bits @ fired / fired.sum()
            if reference:
                one["gain"] = one["bits"] - other.loc[part.group].to_numpy() @ fired / fired.sum()
            rows.append(one | part.iloc[0][["lr", "seed", "train_loss"]].to_dict())
    return pd.DataFrame(rows).assign(folds=FOLDS, starts=STARTS, steps=STEPS, M=M, version=alrnn.__version__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="FILE", help="the table (CSV); its blocks are kept beside it")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    blocks = make(pieces(), out.with_suffix(".blocks.csv"))
    about = ["spikes", "strength", "inputs"]
    tables = [
        summary(part).assign(**dict(zip(about, key, strict=True))) for key, part in blocks.groupby(about, sort=False)
    ]
    table = pd.concat(tables, ignore_index=True)
    table[[*about, *(c for c in table if c not in about)]].to_csv(out, index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
