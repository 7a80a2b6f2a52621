"""Two-step task and selection: nothing leaks, likelihoods are SciPy's, animals of known P come out as such."""

import importlib
import io
import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_datasets import local

import alrnn
from alrnn import datasets, regions, statistics, tasks, theory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import pieces
import two_step as experiment

MAIN = (0.3, -0.2, 0.1, 0.4)


@pytest.fixture(scope="module")
def trials():
    return theory.simulate_choices(theory.choice_animal(1.0, MAIN, 0.6), 10, 60, seed=0)


def log_odds(net, task):
    y = net(task.s.to(net.W.dtype))[0].detach()
    return (y[..., 1] - y[..., 0])[:, task.idle :: task.idle + 1].numpy()


@settings(max_examples=20, deadline=None)
@given(
    product=st.floats(-2, 2).filter(lambda x: x == 0 or abs(x) > 1e-3),
    main=st.tuples(*[st.floats(-1, 1)] * 4),
    decay=st.floats(0.1, 0.9),
    bound=st.floats(1, 4),
    blank=st.integers(1, 4),
)
def test_one_unit_makes_the_product(trials, product, main, decay, bound, blank):
    """Against the sum over lags as it is defined, written down anew."""
    task = tasks.TwoStep(trials, 60, blank=blank, split=(0.2, 0.2))
    net = theory.choice_animal(product, main, decay, bound, blank)
    assert net.nonlinear_size == (product != 0)
    found, wanted = log_odds(net, task), np.zeros((len(task.s), 60))
    for n, session in enumerate(task.group_names):
        rows = trials[trials.session == session].reset_index(drop=True)
        evidence = product * rows.state * rows.reward + rows[["choice", "state", "picture", "reward"]] @ np.array(main)
        for t in range(60):
            wanted[n, t] = sum(decay ** (t - 1 - j) * evidence[j] for j in range(t))
    assert np.allclose(found, wanted, atol=1e-9)


def test_no_linear_map_sees_the_product():
    """Over all states and rewards, evenly, the product has no linear part: brute force."""
    s, r = np.array(list(itertools.product((-1, 1), (-1, 0, 1)))).T
    A = np.c_[s, r, np.ones(6)]
    assert np.allclose(np.linalg.lstsq(A, s * r, rcond=None)[0], 0)
    assert np.allclose(np.abs(r + s) - 1, s * r)


def test_trials_become_inputs(trials):
    task = tasks.TwoStep(trials, trials=60, split=(0.2, 0.2))
    seen, target, weight = task.by_trial()
    one = trials[trials.session == 3].reset_index(drop=True)
    n = int(np.flatnonzero((task.group == list(task.group_names).index(3)).numpy())[0])
    assert (seen[n, 0] == 0).all() and weight[n, 0] == 0
    columns = one[["choice", "state", "picture", "reward"]].to_numpy()
    assert (seen[n, 1:, :4].numpy() == columns[:-1]).all() and (seen[n, 1:, 4] == 1).all()
    assert (target[n].numpy() == (one.choice > 0)).all() and (weight[n, 1:] == 1).all()
    assert task.s[:, 1::3].abs().sum() == task.s[:, 2::3].abs().sum() == 0 and task.weight.sum() == 10 * 59
    other = tasks.TwoStep(trials, 60, "transition", split=(0.2, 0.2)).by_trial()[0]
    assert (other[n, 1:, 1].numpy() == one.transition[:-1]).all()


def test_forced_choices_and_rests_are_left_out(trials):
    forced = trials.assign(free=trials.trial % 5 != 0)
    task = tasks.TwoStep(forced, trials=25, split=(0.2, 0.2))  # of 60: two runs, and a rest of 10 that is left out
    _, _, weight = task.by_trial()
    assert len(task.s) == 20 and weight.shape == (20, 25)
    assert (weight[:, ::5] == 0).all() and weight.sum() == 20 * 20


def test_the_future_is_not_seen(trials):
    """What is said of a trial does not change with that trial's choice, or later ones."""
    changed = trials.copy()
    late = changed.trial >= 30
    changed.loc[late, ["choice", "state", "picture"]] *= -1
    net = alrnn.ALRNN(5, 8, 4, 2, seed=0, init=experiment.START)
    before, after = (log_odds(net, tasks.TwoStep(t, 60, split=(0.2, 0.2))) for t in (trials, changed))
    assert (before[:, :31] == after[:, :31]).all() and (before[:, 31:] != after[:, 31:]).any()


def test_no_session_is_in_two_parts(trials):
    task = tasks.TwoStep(trials, trials=20, split=(0.1, 0.2))
    tested = []
    for k in range(5):
        one = task.fold(k, 5)
        parts = {name: set(one.group[index].tolist()) for name, (index,) in one.parts.items()}
        assert not set.intersection(*parts.values())
        assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 10
        tested += sorted(parts["test"])
    assert sorted(tested) == list(range(10))


@pytest.mark.parametrize("fit", [lambda t: theory.fit_choices(t, "full"), lambda t: theory.fit_reinforcement(t)])
def test_baselines_do_not_see_the_sessions_they_are_tested_on(trials, fit):
    """Turning all choices of the tested sessions over leaves the fit as it was: its log-odds are those of before."""
    task = tasks.TwoStep(trials, trials=60, split=(0.1, 0.2))
    before = fit(task)
    index = task.fold(2, 5).parts["test"][0]
    groups = set(task.group_names[task.group[index].unique().numpy()])
    task.target[index] = 1 - task.target[index]  # what is asked, not what is shown
    after = fit(task)
    mine = before.group.isin(groups) & (before.fold == 2)
    assert mine.sum() == 2
    assert np.allclose(before[mine].accuracy + after[mine].accuracy, 1)  # the same log-odds, all answers turned over


def test_scores_are_bits_and_shares(trials):
    task = tasks.TwoStep(trials, trials=60, split=(0.2, 0.2))
    batch = task.held_out("test")
    y = torch.randn(len(batch), batch.steps, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = task.scores(y, batch)
    w = batch.weight > 0
    p = scipy.special.softmax(y[w].numpy(), axis=1)[np.arange(int(w.sum())), batch.target[w].numpy()]
    assert math.isclose(found["bits"].value.item(), -np.log2(p).mean(), rel_tol=1e-9)
    assert math.isclose(found["accuracy"].value.item(), (p > 0.5).mean(), rel_tol=1e-9)
    assert next(iter(found)) == "bits" and task.better == "lower"
    constant = task.scores(torch.zeros_like(y), batch)["bits"].value.item()
    assert math.isclose(constant, 1, rel_tol=1e-9)


def test_a_logistic_regression_is_at_its_optimum(trials):
    """The gradient vanishes there, computed by autograd in float64."""
    task = tasks.TwoStep(trials, trials=60, split=(0.2, 0.2))
    X = theory.lagged_trials(task, "c sr", 3)
    assert X.shape == (10, 60, 6)
    _, y, w = (x.numpy() for x in task.by_trial())
    b = torch.tensor(theory.two_step._logistic(X, y, w.astype(float), 2.0), requires_grad=True)
    A, Y = torch.tensor(np.c_[X[w > 0], np.ones(int(w.sum()))]), torch.tensor(y[w > 0]).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(A @ b, Y, reduction="sum") + (b[:-1] ** 2).sum()
    loss.backward()
    assert b.grad.abs().max() < 0.05


def test_a_learner_by_hand():
    """Two trials worked out on paper."""
    seen = np.zeros((1, 3, 5))
    seen[0, 1:] = [[1, -1, 1, 1, 1], [-1, -1, 1, -1, 1]]
    rate, second, share, forget, based, free, stay, bias = theta = np.array([0.5, 0.4, 0.3, 0.1, 2.0, 3.0, 0.7, 0.05])
    found = theory.two_step._learner(theta[None], seen)[0, 0]
    q1, v = rate * share * 1, second * 1
    assert np.isclose(found[0], bias)
    assert np.isclose(found[1], based * 0.4 * (0 - v) + free * q1 + stay + bias)
    q0, w = rate * (v - 0 + share * (-1 - v)), v + second * (-1 - v)
    assert np.isclose(found[2], based * 0.4 * (0 - max(w, 0)) + free * (q1 - q0) - stay + bias)


def quick(animal, sizes=(0, 1, 2), lr=1e-2):
    table = theory.simulate_choices(theory.choice_animal(**animal), 40, 100, seed=3)
    task = tasks.TwoStep(table, trials=50, split=(0.1, 0.2))
    how = {"init": experiment.START, "steps": 150, "batch_size": 32, "lr": lr, "clip": 0.3, "progress": False}
    found = alrnn.cross_validate(task, 8, sizes, 2, folds=2, **how)
    return found.loc[found.groupby(["P", "group"]).train_loss.idxmin()]


def test_a_gated_animal_comes_out_as_one_kink():
    """The second unit adds nothing that matters, the first a lot."""
    found = quick({"product": 1.5, "main": (0.3, 0, 0, 0)})
    first, second = (statistics.paired_bootstrap(found, P, P + 1, "bits", weight="count") for P in (0, 1))
    assert first.low > 0.08
    assert second.mean < 0.1 * first.mean


def test_a_linear_animal_comes_out_as_none():
    found = quick({"product": 0.0, "main": (0.8, 0.5, 0, 0.4)})
    gain = statistics.paired_bootstrap(found, 0, 1, "bits", weight="count")
    assert found[found.P == 0].bits.mean() < 0.9 and gain.mean < 0.01


def test_shuffled_choices_cannot_be_predicted():
    """Permutation control: a kink finds nothing where what was seen says nothing of what was chosen."""
    table = theory.simulate_choices(theory.choice_animal(1.5), 40, 100, seed=3)
    shuffled = table.assign(choice=np.random.default_rng(0).permutation(table.choice))
    task = tasks.TwoStep(shuffled, trials=50, split=(0.1, 0.2))
    terms = theory.fit_choices(task, "full", folds=2)
    learner = theory.fit_reinforcement(task, "model-based", folds=2)
    assert terms.bits.mean() > 0.99 and learner.bits.mean() > 0.99


def test_the_models_find_what_is_there():
    """On a gated animal: main effects near nothing, the product as good as the truth."""
    truth = theory.choice_animal(1.5)
    task = tasks.TwoStep(theory.simulate_choices(truth, 40, 100, seed=3), trials=50, split=(0.1, 0.2))
    mean = {n: theory.fit_choices(task, n, folds=2).bits.mean() for n in ("main effects", "+ state x reward")}
    mean |= {k: theory.fit_reinforcement(task, k, folds=2).bits.mean() for k in ("model-free", "model-based")}
    own = task.scores(truth(task.s.double())[0], tasks.Batch(task.s, task.target, task.weight))["bits"].value.item()
    assert mean["main effects"] > own + 0.1 and abs(mean["+ state x reward"] - own) < 0.02
    assert mean["model-based"] < mean["model-free"] - 0.02


def test_the_unit_is_read(trials):
    net = theory.choice_animal(1.0, decay=0.6)
    table = theory.read_unit(net, tasks.TwoStep(trials, trials=60, split=(0.2, 0.2)))
    assert table.trials.sum() == 10 * 58 + 10 and len(table) == 6
    up = table.set_index(["state", "reward"]).bit_0
    assert (up[1].loc[[0, 1]] == 1).all() and (up[-1].loc[[-1, 0]] == 0).all()  # u = r + s
    assert np.allclose(table.on, -1 / math.log(0.6)) and np.allclose(table.off, -1 / math.log(0.6))


@pytest.mark.parametrize("gated", [True, False])
def test_the_circuit_selects(gated):
    """Its third unit holds the stimulus that the rule names, exactly; without its kink only the mean of both."""
    net = theory.selecting_net(5, gated=gated)
    task = theory.simulate_spikes(net, 64, block=8)
    s = task.s.double()
    z = net(s)[1].detach()
    rule, stimuli = s[:, 4, 0], s[:, 14, 2:]
    wanted = torch.where(rule > 0, stimuli[:, 0], stimuli[:, 1]) if gated else stimuli.mean(1)
    for lag in (1, 2, 20):
        assert torch.allclose(z[:, 14 + lag, 2], wanted * math.exp(-(lag - 1) / 20), atol=1e-12)
    assert (z[:, :14, 2].abs() < 1e-12).all() and net.nonlinear_size == gated and net.hidden_size == 6
    assert (regions.silence(net, 0)(s)[1][:, 16, 2] - z[:, 16, 2]).abs().max() > 0.5 if gated else True


def test_counts_are_scored_as_scipy_does():
    """The difference of deviances of two predictions is twice that of SciPy's Poisson log-likelihoods."""
    net = theory.selecting_net(4)
    task = theory.simulate_spikes(net, 64, block=8)
    batch = task.held_out("test")
    y = net(batch.s.double())[0].detach() - math.log(0.25)
    k, flat = batch.target.double(), torch.zeros_like(y)
    found = task.score(flat, batch) - task.score(y, batch)
    p = [scipy.stats.poisson.logpmf(k, np.exp(x + math.log(0.25))).mean() for x in (y, flat)]
    assert math.isclose(found.item(), 2 * (p[0] - p[1]), rel_tol=1e-5)
    assert found > 0
    loss = task.loss(flat, batch) - task.loss(y, batch)
    assert math.isclose(loss.item(), p[0] - p[1], rel_tol=1e-5)


def test_blocks_of_trials_stay_together():
    task = theory.simulate_spikes(theory.selecting_net(4), 64, block=8)
    for k in range(4):
        parts = [set(task.fold(k, 4).group[i].tolist()) for (i,) in task.fold(k, 4).parts.values()]
        assert sum(map(len, parts)) == 8 == len(set.union(*parts))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: tasks.TwoStep(t.drop(columns="reward")), "lacks reward"),
        (lambda t: tasks.TwoStep(t.assign(choice=0)), "choice must be"),
        (lambda t: tasks.TwoStep(t, trials=400), "half a run"),
        (lambda t: tasks.TwoStep(t, shown="all"), "shown must be"),
        (lambda t: theory.choice_animal(decay=1.0), "decay"),
        (lambda t: theory.choice_animal(bound=0.5), "bound"),
        (lambda t: theory.selecting_net(0), "units"),
        (lambda t: theory.fit_reinforcement(tasks.TwoStep(t, 60, "transition", split=(0.2, 0.2))), "shows the state"),
        (lambda t: theory.fit_reinforcement(tasks.TwoStep(t, 60, split=(0.2, 0.2)), "none"), "kind must be"),
    ],
)
def test_bad_input_gets_one_clear_error(trials, call, message):
    with pytest.raises(ValueError, match=message):
        call(trials)


def test_a_table_goes_on_where_it_stopped(tmp_path):
    made = []

    def piece(x):
        made.append(x)
        return pd.DataFrame({"bits": [x, x + 0.5]})

    path = tmp_path / "table.csv"
    for last in (1, 3):
        pieces.make((({"model": f"P = {x}"}, lambda x=x: piece(x)) for x in range(last)), path)
    assert made == [0, 1, 2] and pd.read_csv(path).bits.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]


@local("two-step")
def test_the_recorded_choices():
    """Two animals, 57 sessions; what was chosen after high rewards is chosen again, if it led there commonly."""
    table = datasets.two_step()
    assert len(table) == 30_249 and table.groupby("animal").session.nunique().tolist() == [30, 27]
    assert not table.isna().any(axis=None) and (table.state == table.choice * table.transition).all()
    assert 0.65 < (table.transition == 1).mean() < 0.75
    after = table.assign(next=table.groupby("session").choice.shift(-1)).query("reward == 1 and free").dropna()
    stay = (after.next == after.choice).groupby([after.animal, after.transition]).mean().unstack()
    assert (stay[1] - stay[-1] > 0.4).all()


def test_a_file_that_is_no_recording_is_refused(monkeypatch):
    reader = importlib.import_module("alrnn.datasets.two_step")
    file = io.BytesIO()
    scipy.io.savemat(file, {"other": np.zeros(3)})
    monkeypatch.setattr(reader, "obtain", lambda *_: ("file.mat", file.getvalue()))
    with pytest.raises(datasets.DataError, match=r"file\.mat cannot be read as sessions"):
        datasets.two_step()


@pytest.mark.parametrize("strength", [0.5, 0.0])
def test_the_choice_is_that_of_the_circuit_with_a_gate(strength):
    """Of the gated circuit's state, whether or not the simulated neurons see it; linear maps get three quarters."""
    task = experiment.spikes_and_choices(strength, seed=1, trials=200)
    selected = theory.selecting_net(29, 0.5, seed=1)(task.s.double())[1][:, -1, 2].detach()
    choice = task.target[:, -1, 29]
    assert torch.equal(selected > 0, choice > 0) and 0.3 < choice.mean() < 0.7
    assert (task.weight[:, 15:] == 1).all() and (task.weight[:, :15] == 0).all()
    seen = torch.cat([task.s[:, 4, :1], task.s[:, 14, 2:], torch.ones(200, 1)], 1).double().numpy()
    fit = seen @ np.linalg.lstsq(seen, 2 * choice.double().numpy() - 1, rcond=None)[0]
    assert 0.65 < np.mean((fit > 0) == (choice.numpy() > 0)) < 0.85
