"""Recorded neurons: nothing held out gets into a fold, scores are SciPy's, gates are what they say; and the table."""

import importlib
import io
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.stats
import torch
from test_datasets import local

import alrnn
from alrnn import datasets, theory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import neurons as experiment

reader = importlib.import_module("alrnn.datasets.two_step")
EVENTS = {"first": 0, "chosen": 0.42, "transition_on": 0.44, "second": 1.7, "chosen_2": 2.13, "feedback": 2.9}


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """Ninety trials of a simulated animal, eight seconds apart, with events a little early or late."""
    table = theory.simulate_choices(theory.choice_animal(1.0), 1, 90, seed=0)
    rng = np.random.default_rng(0)
    table["place"], table["place_2"] = rng.integers(1, 4, (2, 90))
    for event, time in EVENTS.items():
        table[event] = 30 + 8 * table.trial + time + (0.3 * rng.random(90) if time else 0)
    return table


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Four neurons that drift."""
    rates = np.exp(np.sin(np.arange(90) / 20)[:, None] * [0.5, -0.5, 1, 0] - 1)
    return np.random.default_rng(1).poisson(rates[:, None], (90, experiment.BINS, 4)).astype(np.float32)


@pytest.fixture
def recorded(trials, counts, monkeypatch):
    monkeypatch.setattr(experiment, "recording", lambda: (trials, counts))


@pytest.fixture(scope="module")
def task(trials, counts) -> experiment.Spikes:
    return experiment.Spikes(experiment.events(trials, "pulses"), counts)


def changed(task, index) -> experiment.Spikes:
    """The same task, but for other counts in these trials."""
    target = task.target.clone()
    target[index] = target[index].flip(1) + 3
    return experiment.Spikes(task.s.numpy(), target.numpy())


@local("two-step-spikes")
@local("two-step")
def test_the_recorded_session():
    pytest.importorskip("pyarrow")
    trials, spikes = datasets.two_step_spikes()
    assert len(trials) == 558 and len(spikes) == 39 and set(trials.session) == {6} and set(trials.animal) == {0}
    assert [sum(name.startswith(area) for name in spikes) for area in ("ACC", "DLPFC")] == [21, 18]
    assert all((np.diff(times) >= 0).all() and len(times) > 1000 for times in spikes.values())
    order = trials[["start", "fixation", "first", "chosen", "second", "chosen_2", "feedback", "end"]]
    assert (order.diff(axis=1).iloc[:, 1:] > 0).all(axis=None) and (trials.start[1:].to_numpy() > trials.end[:-1]).all()
    assert (trials["first"] - trials.fixation > experiment.BEFORE).all() and trials.pump_on.notna().sum() == 399
    assert (trials.reward[trials.pump_on.isna()] == -1).mean() > 0.9
    _, content = reader.obtain("two-step", datasets.REGISTRY["two-step"].files[0])
    behaviour = np.squeeze(np.ravel(scipy.io.loadmat(io.BytesIO(content))["PreparedData"][0][0])[6])[()]
    for name, event, before in (("RT1", "chosen", "first"), ("RT2", "chosen_2", "second")):
        reaction = np.ravel(behaviour[name]).astype(float)  # of the file of choices, in ms
        assert np.corrcoef(reaction, trials[event] - trials[before])[0, 1] > 0.999
    _, counts = experiment.recording()
    assert counts.shape == (558, 100, 39) and counts.sum() == 1_080_143
    times, start = spikes["ACC 87"], trials["first"][200] - 0.5 + 0.05 * 37
    assert counts[200, 37, [*spikes].index("ACC 87")] == ((times >= start - 1e-6) & (times < start + 0.05 - 1e-6)).sum()


@pytest.mark.parametrize(
    ("strobes", "cell", "reason"),
    [
        (b"PAR1 and no more", b"", "two-step-spikes: cannot be read"),
        ({"codes": [9]}, b"", "trial_number"),
        ({"trial_number": [0, 0], "codes": [9, 9], "times": [1, 2]}, b"", "duplicate"),
        ({"trial_number": [0], "codes": [9], "times": [1]}, b"", "not in index"),
        (dict.fromkeys(("trial_number", "times"), range(11)) | {"codes": [*reader.EVENTS]}, b"", "No data left"),
        (dict.fromkeys(("trial_number", "times"), range(11)) | {"codes": [*reader.EVENTS]}, b"no array", "pickle"),
    ],
)
def test_files_that_are_no_recording_are_refused(strobes, cell, reason, monkeypatch):
    pytest.importorskip("pyarrow")
    if isinstance(strobes, dict):
        strobes = pd.DataFrame({name: [*x] for name, x in strobes.items()}).to_parquet()
    content = {".parquet": strobes, ".npy": cell}
    monkeypatch.setattr(reader, "obtain", lambda _, file: (file.path, content[Path(file.path).suffix]))
    with pytest.raises(datasets.DataError, match=reason):
        datasets.two_step_spikes()


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(reader, "obtain", lambda _, file: (file.path, b""))
    with pytest.raises(datasets.DataError, match=r"two-step-spikes: .*alrnn\[spikes\]"):
        datasets.two_step_spikes()


def test_the_files_of_the_registry():
    files = datasets.REGISTRY["two-step-spikes"].files
    assert len(files) == 40 and files[0].path.endswith(".parquet") and len({file.sha256 for file in files}) == 40
    for file in files:
        assert (
            file.url.endswith(file.path.removeprefix("two_step/"))
            and "e1a50e7bfd8739aafbd34cdcccac32b8fc2fd723" in file.url
        )


def test_events_become_inputs(trials):
    pulses, kept = (experiment.events(trials, inputs, products=True) for inputs in ("pulses", "sustained"))
    assert pulses.shape == kept.shape == (90, experiment.BINS, 24)
    for i in (0, 41):
        one, wanted = trials.iloc[i], np.zeros((experiment.BINS, 24))
        at = {event: math.floor((one[event] - one["first"] + 0.5) / 0.05) for event in EVENTS}
        wanted[0, 0] = wanted[10, 1] = wanted[at["feedback"], 20] = 1
        wanted[at["chosen"], [2, 3]], wanted[at["chosen"], 3 + int(one.place)] = (1, one.choice), 1
        wanted[at["transition_on"], [7, 8, 9]] = 1, one.transition, one.state
        wanted[at["second"], [10, 11]] = 1, one.state
        wanted[at["chosen_2"], 12], wanted[at["chosen_2"], 16 + int(one.place_2)] = 1, 1
        wanted[at["chosen_2"], 13 + int(one.state + 1 + (one.picture + 1) / 2)] = 1
        wanted[at["feedback"], 21:] = one.reward * np.array([1, one.choice, one.state])
        assert np.array_equal(pulses[i], wanted)
    on = [3, 8, 9, 21, 22, 23]
    assert np.array_equal(kept[..., on], pulses[..., on].cumsum(1))
    assert np.array_equal(np.delete(kept, on, 2), np.delete(pulses, on, 2))
    assert np.array_equal(experiment.events(trials, "pulses"), pulses[..., :22])


def test_the_drift_by_hand(counts):
    train = np.random.default_rng(2).random(90) < 0.7
    found = experiment.drift(counts.mean(1), train)
    for i in (0, 50, 89):
        others = [j for j in range(90) if train[j] and j != i]
        w = np.exp([-((i - j) ** 2) / (2 * experiment.DRIFT**2) for j in others])
        rate = (w @ counts[others].mean(1) + 0.02 * counts[train].mean((0, 1))) / (w.sum() + 0.02)
        assert np.allclose(found[i], np.log(rate))
    assert np.isfinite(experiment.drift(0 * counts.mean(1), train)).all()


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("k", range(experiment.FOLDS))
def test_nothing_held_out_gets_into_an_offset(task, part, k):
    one = task.fold(k, experiment.FOLDS)
    other = changed(task, one.parts[part][0]).fold(k, experiment.FOLDS)
    assert torch.equal(other.offset, one.offset) and not torch.equal(other.target, one.target)
    rest = changed(task, one.parts["train"][0][:1]).fold(k, experiment.FOLDS)
    assert not torch.equal(rest.offset, one.offset)
    own = one.parts["train"][0][0]  # into its own as a part of the mean alone, which counts as a fiftieth of a trial
    assert torch.allclose(rest.offset[own], one.offset[own], atol=1e-3)


def test_nothing_held_out_gets_into_a_fit(task, monkeypatch):
    """A fold's nets and regressions with other counts in its test part: they train and are chosen as before."""
    monkeypatch.setattr(experiment, "FIT", experiment.FIT | {"steps": 4})
    other = changed(task, task.fold(0, experiment.FOLDS).parts["test"][0])
    fits = [experiment.cross_validate(x, 3, [0, 1], 1, 5, lr=(1e-3, 1e-2), **experiment.FIT) for x in (task, other)]
    mine = [x[x.fold == 0].reset_index(drop=True) for x in fits]
    columns = ["P", "lr", "train_loss", "validation", "group"]
    assert mine[0][columns].equals(mine[1][columns]) and (mine[0].deviance != mine[1].deviance).all()
    assert (fits[0].train_loss != fits[1].train_loss)[fits[0].fold > 0].all()  # there they are for training
    kept = []
    monkeypatch.setattr(
        experiment, "held_out", lambda one, predict: kept.append(predict(one.fold(0, 5))) or pd.DataFrame()
    )
    for x in (task, other):
        with pytest.raises(AttributeError):  # there is no table
            experiment.regression(x, x.s.numpy(), "", "")
    assert torch.equal(*kept)


def test_folds_are_blocks_of_trials(task):
    blocks = []
    for k in range(experiment.FOLDS):
        parts = {
            name: index.numpy() // experiment.BLOCK for name, (index,) in task.fold(k, experiment.FOLDS).parts.items()
        }
        assert not set.intersection(*map(set, parts.values())) and sum(map(len, parts.values())) == 90
        blocks += sorted(set(parts["test"]))
    assert sorted(blocks) == list(range(10))


def test_bits_are_those_of_scipy(task):
    """Of any prediction, over the drift: log-likelihoods to base 2, summed over a block, by its spikes."""
    y = 0.3 * torch.randn(task.target.shape, generator=torch.Generator().manual_seed(0))
    found = experiment.held_out(task, lambda one: y).drop(columns="fired")
    found = found.assign(seed=0, train_loss=0.0, lr=0.1, count=float(experiment.BLOCK * experiment.BINS))
    table = experiment.by_block(task, found, "any")
    assert len(table) == 10
    for fold, group, bits, fired in table[["fold", "group", "bits", "fired"]].itertuples(index=False):
        one, here = task.fold(fold, experiment.FOLDS), task.group == group
        k, offset = one.target[here].double().numpy(), one.offset[here].double().numpy()
        p, q = (scipy.stats.poisson.logpmf(k, np.exp(x)).sum() for x in (offset + y[here].double().numpy(), offset))
        assert bits == pytest.approx((p - q) / math.log(2) / k.sum(), rel=1e-4) and fired == k.sum()


def test_the_better_start_is_the_one_with_the_lower_training_loss(task):
    found = experiment.alone(task).rename(columns={"drift": "deviance"}).drop(columns="fired").assign(count=900.0)
    two = pd.concat(
        [found.assign(seed=s, lr=0.1, train_loss=loss, deviance=d) for s, loss, d in ((0, 2, 0.1), (1, 1, 0.9))]
    )
    assert set(experiment.by_block(task, two, "any").seed) == {1}


def test_a_gate_is_no_main_effect(trials, recorded):
    """No weighted sum of what was shown holds any of it; it begins at the feedback and fades."""
    held = experiment.gate()
    fed = experiment.events(trials, "pulses")[..., 20]
    seen = experiment.events(trials, "pulses").sum(1)
    last = held[:, -1] / experiment.FADES ** (experiment.BINS - 1 - fed.argmax(1))
    assert np.abs(seen.T @ last).max() < 1e-3 * np.abs(seen).sum(0).max() and held[:, 68:].std() == pytest.approx(1)
    product = trials.choice * trials.reward
    assert np.corrcoef(last, product)[0, 1] > 0.7
    for i in (3, 60):
        at = fed[i].argmax()
        assert (held[i, :at] == 0).all() and np.allclose(
            held[i, at:], last[i] * experiment.FADES ** np.arange(experiment.BINS - at)
        )


def test_spikes_are_drawn_from_what_is_said(recorded, monkeypatch):
    plain = np.full((90, experiment.BINS, 4), -1.0)
    monkeypatch.setattr(experiment, "linear_truth", lambda inputs: plain)
    counts, gated, same = experiment.drawn("pulses", 0.5, 0)
    assert same is plain and counts.mean() == pytest.approx(np.exp(gated).mean(), rel=0.02)
    weight = ((gated - plain) / np.where(experiment.gate() == 0, 1, experiment.gate())[..., None])[:, -1]
    assert np.allclose(weight, weight[0]) and 0.1 < weight[0].std() < 1.5
    assert np.array_equal(counts, experiment.drawn("pulses", 0.5, 0)[0])
    task = experiment.Spikes(np.zeros((90, experiment.BINS, 1), np.float32), counts)
    table = experiment.oracle(task, gated, plain)
    bits = {name: np.average(x.bits, weights=x.fired) for name, x in table.groupby("model")}
    p, q = (scipy.stats.poisson.logpmf(counts, np.exp(x)).sum() for x in (gated, plain))
    assert bits["oracle"] - bits["truth, no gate"] == pytest.approx((p - q) / math.log(2) / counts.sum(), rel=1e-3)
    assert p > q


@pytest.mark.parametrize("P", [0, 1])
def test_one_more_unit_changes_nothing_at_first(task, P):
    net = alrnn.ALRNN(22, 5, 0, 4, 0, experiment.START)
    new = experiment.grown(net, task.s, P, 3)
    assert (new.hidden_size, new.nonlinear_size) == (6, P)
    (before, z, *_), (after, more, *_) = net(task.s), new(task.s)
    assert torch.allclose(before, after, atol=1e-6) and torch.allclose(z, more[..., :5], atol=1e-6)
    u = more[:, 1:, 5].detach()
    assert float(u.std()) == pytest.approx(1, abs=0.01) and float((u > 0).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_boxes_of_lags(task):
    X, n = experiment.lagged(task.s), task.input_size
    for box, (a, b) in enumerate(zip(experiment.EDGES[:-1], experiment.EDGES[1:], strict=True)):
        for t in (0, 13, 99):
            wanted = task.s[:, max(0, t - b + 1) : max(0, t - a + 1)].sum(1)
            assert torch.allclose(X[:, t, box * n : (box + 1) * n], wanted)


def test_a_regression_is_at_its_optimum():
    rng = np.random.default_rng(0)
    X = torch.tensor(np.c_[rng.normal(size=(3000, 5)), np.ones(3000)], dtype=torch.float32)
    truth = torch.tensor(rng.normal(size=(6, 2)) / 3, dtype=torch.float32)
    k = torch.tensor(rng.poisson((X @ truth).exp()), dtype=torch.float32)
    b = experiment.ridge(X, k, torch.zeros(3000, 2), torch.zeros(6, 2), 50.0)
    slope = X.T @ ((X @ b).exp() - k)
    slope[:-1] += 50 * b[:-1]
    assert slope.abs().max() < 1 and (b - truth).abs().max() < 0.15


def test_a_summary_by_hand():
    """Two blocks with 1 and 3 spikes: bits are weighed by spikes."""
    base = pd.DataFrame({"fold": [0, 1], "group": [0, 1], "fired": [1.0, 3.0], "lr": 0.1, "seed": 0, "train_loss": 1.0})
    every = pd.concat([
        base.assign(bits=[0.1, 0.2], model="P = 0", reference=""),
        base.assign(bits=[0.2, 0.4], model="P = 1", reference="P = 0"),
    ])  # fmt: skip
    table = experiment.summary(every)
    whole = table[table.fold.isna()].set_index("model")
    assert whole.bits.to_list() == pytest.approx([0.175, 0.35]) and whole.gain["P = 1"] == pytest.approx(0.175)
    assert whole.gain_low["P = 1"] == pytest.approx(0.1) and whole.gain_high["P = 1"] == pytest.approx(0.2)
    assert table[(table.model == "P = 1") & table.fold.notna()].gain.to_list() == pytest.approx([0.1, 0.2])


def test_the_table_is_whole(recorded, monkeypatch):
    """All that the tool makes is in it; folds add up to the whole, and gains are differences."""
    monkeypatch.setattr(experiment, "linear_truth", lambda inputs: np.full((90, experiment.BINS, 4), -1.0))
    table, about = datasets.results("two-step-neurons").fillna({"reference": ""}), ["spikes", "strength", "inputs"]
    models = {"growing": ("P = 0", "grown, P = 0", "grown, P = 1"), "oracle": ("truth, no gate", "oracle")}
    made = {
        (*(piece[name] for name in about), model)
        for piece, _ in experiment.pieces()
        for model in models.get(piece["piece"], (piece["piece"],))
    }
    assert set(table[[*about, "model"]].itertuples(index=False, name=None)) == made
    assert len(table) == len(made) * (experiment.FOLDS + 1) and not table.duplicated([*about, "model", "fold"]).any()
    for key, rows in table.groupby(about):
        whole, folds = rows[rows.fold.isna()].set_index("model"), rows[rows.fold.notna()]
        assert whole.spikes_held_out.nunique() == 1
        assert key[0] == "drawn" or set(whole.spikes_held_out) == {1_080_143}
        for model, parts in folds.groupby("model"):
            one = whole.loc[model]
            assert (
                parts.fold.to_list() == [*range(experiment.FOLDS)]
                and parts.spikes_held_out.sum() == one.spikes_held_out
            )
            assert np.average(parts.bits, weights=parts.spikes_held_out) == pytest.approx(one.bits, abs=2e-6)
            assert one.bits_low < one.bits < one.bits_high
            if one.reference:
                assert one.gain == pytest.approx(one.bits - whole.bits[one.reference], abs=4e-6)
                assert one.gain_low <= one.gain <= one.gain_high
