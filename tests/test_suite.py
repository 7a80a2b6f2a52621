"""The suite of eleven tasks: trials decoded from what a net sees, no shortcuts, linear limits, a net built by hand."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import alrnn
from alrnn import ALRNN, regions, theory
from alrnn.experiments import EXPERIMENTS
from alrnn.experiments.table import keys, read, texts
from alrnn.tasks import Suite
from alrnn.tasks.base import TRAINING
from alrnn.tasks.check import check_batch, check_task
from alrnn.tasks.suite import EPOCHS, NAMES
from alrnn.train import scores

SHORT = {"context": 1, "stimulus": 2, "delay": [0, 1], "test": 2, "response": 4}


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def trials(n=1100, seed=0, **settings):
    task = Suite(**settings)
    return task, task.sample(n, gen(seed))


def decoded(s):
    """What is asked in a trial, from its inputs without noise alone: periods, and the target at each step."""
    s = np.asarray(s)
    (k,) = np.flatnonzero(s[-1, 5:])
    name, start, go = NAMES[k], int(np.argmax(s[:, 5 + k])), len(s) - 5
    assert (s[start:, 5:].sum(1) == 1).all() and (s[:start] == 0).all()
    assert (s[start:go, 0] == 1).all() and (s[go:, 0] == 0).all()
    shown = np.flatnonzero(np.abs(s[:, 1:3]).sum(1))
    first, last = (math.atan2(s[t, 2], s[t, 1]) for t in (shown[0], shown[-1]))
    unit = lambda a: np.array([math.cos(a), math.sin(a)])  # noqa: E731
    off = abs((last - first + math.pi) % (2 * math.pi) - math.pi)
    up, match, fixation = math.sin(first) > 0, off < math.pi / 6, 0
    if name in ("Match", "NonMatch"):
        assert off <= math.pi / 8 + 1e-5 or off >= math.pi / 4 - 1e-5
    if name.startswith("Ctx"):
        other = math.atan2(s[shown[0], 4], s[shown[0], 3])
        assert np.allclose(np.hypot(s[shown, 3], s[shown, 4]), 1, atol=1e-5)
        answer = unit(first if name == "CtxInt1" else other)
    elif name.startswith(("Delay", "React")):
        answer = unit(first + (math.pi if "Anti" in name else 0))
    elif name == "GoNoGo":
        answer, fixation = unit(first) * up, int(not up)
    else:
        yes = (up if "Cat" in name else match) ^ (name in ("CatAnti", "NonMatch"))
        answer = np.array([1.0 if yes else -1.0, 0.0])
    target = np.zeros((len(s), 3))
    target[start:go, 0], target[go:, 0], target[go:, 1:] = 1, fixation, answer
    return name, start, shown, target


def test_targets_follow_from_what_a_net_sees():
    task, batch = trials(noise=0)
    check_task(task), check_batch(batch, task)
    lengths = {"stimulus": set(), "delay": set(), "test": set(), "context": set()}
    for i in range(len(batch)):
        name, start, shown, target = decoded(batch.s[i])
        assert NAMES[batch.info["task"][i]] == name
        torch.testing.assert_close(batch.target[i].double(), torch.from_numpy(target), atol=1e-5, rtol=0)
        go = task.length - task.response
        assert batch.info["go"][i] == go
        weight = np.where(np.arange(task.length) < start, 0, 1.0)
        weight[go : go + 2], weight[go + 2 :] = 0, 5
        assert batch.weight[i].tolist() == weight.tolist()
        assert (name.startswith("React")) == (shown[0] == go)
        epoch = batch.info["epoch"][i]
        for period in lengths:
            lengths[period].add(int((epoch == EPOCHS.index(period)).sum()))
    some = {0, *range(4, 9)}
    assert lengths == {"context": {3, 4, 5, 6}, "stimulus": some, "delay": {0, *range(3, 9)}, "test": some}


def test_noise_is_on_both_channels_in_the_trial_and_nowhere_else():
    quiet, loud = (trials(seed=3, noise=x)[1] for x in (0, 0.1))
    noise = loud.s - quiet.s
    trial = loud.info["epoch"] > 0
    assert (noise[~trial] == 0).all() and (noise[..., [0, *range(5, 16)]] == 0).all()
    assert noise[trial][:, 1:5].std().item() == pytest.approx(0.1, rel=0.02)
    correlation = np.corrcoef(noise[trial][:, 1:5].T)
    assert np.abs(correlation - np.eye(4)).max() < 0.03


def test_no_shortcuts():
    """Angles are uniform and independent, yes and no even, and lengths say nothing of the answer."""
    task, batch = trials(22_000)
    first, second, later = torch.exp(1j * batch.info["angle"]).T
    near = 4 / math.sqrt(2000)
    for k in range(len(NAMES)):
        mine = batch.info["task"] == k
        assert mine.sum() == 2000
        for x in (first, second, later, first * second.conj(), later * second.conj()):
            assert abs(x[mine].mean()) < near and abs((x[mine] ** 2).mean()) < near
        if NAMES[k] in ("CatPro", "CatAnti", "Match", "NonMatch", "GoNoGo"):
            yes = batch.info["yes"][mine].double()
            assert abs(yes.mean() - 1 / 2) < near
            steps = (batch.info["epoch"][mine][..., None] == torch.arange(6)).sum(1).double()
            for column in steps.T[steps.std(0) > 0]:
                assert abs(np.corrcoef(yes, column)[0, 1]) < 1.25 * near
        else:
            assert batch.info["yes"][mine].all()


def test_random_numbers_are_the_generators_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    task = Suite()
    one, two, other = (task.sample(50, gen(seed)) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in ("s", "target", "weight"))
    assert all(torch.equal(one.info[name], two.info[name]) for name in one.info)
    assert not torch.equal(one.s, other.s)
    assert not torch.equal(task.held_out("test", 50).s, task.held_out("validation", 50).s)
    again = Suite(**task.settings())
    assert vars(again) == vars(task) and torch.equal(again.held_out("test", 50).s, task.held_out("test", 50).s)


def constants():
    """Constant outputs (K, 3): fixation off and on, directions on a fine grid."""
    radius = torch.tensor([0.0, 0.6, 0.8, math.cos(math.pi / 6) - 1e-4, 0.95])
    angle = torch.arange(0, 2 * math.pi, math.pi / 45)
    vector = torch.stack([radius[:, None] * angle.cos(), radius[:, None] * angle.sin()], -1).reshape(-1, 2)
    return torch.cat([torch.cat([torch.full((len(vector), 1), x), vector], 1) for x in (0.0, 1.0)])


@pytest.mark.parametrize("names", [NAMES, *((name,) for name in NAMES), ("GoNoGo", "DelayPro"), ("Match", "GoNoGo")])
def test_chance_is_the_score_of_the_best_constant(names):
    task = Suite(names)
    batch = task.sample(11 * 400, gen(4))
    y = constants()[:, None, None].expand(-1, len(batch), 2, 3)
    best = float(task.right(y, batch).double().mean(-1).max())
    assert abs(best - task.chance) < 5 * math.sqrt(task.chance * (1 - task.chance) / len(batch)) + 0.005
    if len(names) == 1:
        assert task.chance == task.chances[names[0]]


def test_withholding_has_to_be_earned():
    """Silence with fixation off is never right; with fixation on it is in half of the GoNoGo trials, nowhere else."""
    task, batch = trials()
    y = torch.zeros(2, len(batch), task.length, 3)
    y[1, ..., 0] = 1
    found = task.scores(y, batch)
    assert found["right"].value.tolist() == [
        0,
        float((~batch.info["yes"] & (batch.info["task"] == 10)).double().mean()),
    ]
    assert 0.3 < found["GoNoGo"].value[1] < 0.7


def test_scores_of_right_early_and_missing_answers():
    task, batch = trials(220)
    early = batch.target.clone()
    early[..., 1:] = batch.target[:, -1:, 1:]
    late, none = batch.target.clone(), torch.full_like(batch.target, float("nan"))
    late[:, -5:-2, 1:] = 0
    found = task.scores(torch.stack([batch.target, early, late, none]), batch)
    withheld = float((~batch.info["yes"] & (batch.info["task"] == 10)).double().mean())
    assert found["right"].value.tolist() == [1, 1, 1, 0]
    assert found["held"].value.tolist() == [1, pytest.approx(withheld), 1, 0]
    assert found["Match"].value.tolist() == [1, 1, 1, 0] and found["Match_held"].value.tolist() == [1, 0, 1, 0]
    assert all(score.better == "higher" for score in found.values()) and task.better == "higher"
    assert float(found["right"].sum[0]) == 220 and float(found["Match"].count[0]) == 20
    assert torch.equal(task.loss(batch.target, batch), torch.tensor(0.0))


def test_the_parts_of_a_score_add_up():
    task, net = Suite(), ALRNN(16, 8, 3, 3, seed=1, init="slow")
    batch = task.sample(230, gen(6))
    whole = scores([net], task, batch, chunk=500)
    parts = scores([net], task, batch, chunk=7)
    assert whole.keys() == parts.keys() == {*task.scores(net(batch.s)[0].detach(), batch)}
    assert all(whole[n].count.equal(parts[n].count) and (whole[n].sum - parts[n].sum).abs() <= 1 for n in whole)
    assert sum(float(whole[n].count) for n in NAMES) == 230


def test_a_subset_is_asked_alone_and_the_rule_keeps_its_place():
    task, batch = trials(30, tasks=("ReactAnti", "Match"))
    assert batch.info["task"].tolist() == [3, 6] * 15 and list(task.scores(batch.target, batch)) == [
        "right", "held", "ReactAnti", "ReactAnti_held", "Match", "Match_held",
    ]  # fmt: skip
    assert task.input_size == 16 and (batch.s[:, -1, 5:].argmax(1) == batch.info["task"]).all()
    assert Suite("ReactPro").length == 6 + 5 < Suite("DelayPro").length < task.length == Suite().length == 35


def test_periods_are_data():
    task, batch = trials(400, context=2, stimulus=[1, 1, 7], delay=0, test=range(2, 4))
    assert (task.context, task.stimulus, task.delay, task.test) == ((2,), (1, 1, 7), (0,), (2, 3))
    delayed = ~torch.isin(batch.info["task"], torch.tensor([2, 3]))
    steps = (batch.info["epoch"] == EPOCHS.index("stimulus")).sum(1)[delayed]
    assert set(steps.tolist()) == {1, 7} and 0.55 < (steps == 1).double().mean() < 0.78
    unheld = trials(22, hold=False)[1]
    assert (unheld.weight[:, :30] == 0).all() and (unheld.weight[:, -3:] == 5).all()


@pytest.mark.parametrize(
    "given",
    [{"tasks": ()}, {"tasks": ("Nothing",)}, {"tasks": ("Match", "Match")}, {"context": []}, {"stimulus": 0},
     {"delay": [3, -1]}, {"test": 2.5}, {"response": 3}, {"noise": -1}, {"noise": math.nan}, {"emphasis": 0}],
)  # fmt: skip
def test_bad_settings_are_one_error(given):
    (name,) = given
    with pytest.raises((ValueError, TypeError), match=name):
        Suite(**given)


# Linear limits


def answers(n=4400, **settings):
    """Inputs of the whole trial with a 1, (n, F), and the batch, in float64."""
    task, batch = trials(n, **settings)
    X = torch.cat([batch.s.flatten(1), torch.ones(n, 1)], 1).double().numpy()
    return task, batch, X


def test_linear_optimum_of_a_small_suite_is_that_of_brute_force():
    """At each step least squares of its own, with what has come in, by numpy."""
    task = Suite(**SHORT)
    found = theory.linear_optimum(task, 3000, ridge=1e-6)
    batch = task.sample(3000, gen(TRAINING))
    y = found(batch).numpy()
    s, target, weight = (x.double().numpy() for x in (batch.s, batch.target, batch.weight))
    for t in range(task.length):
        X = np.concatenate([s[:, : t + 1].reshape(3000, -1), np.ones((3000, 1))], 1)
        counts = weight[:, t] > 0
        if not counts.any():
            continue
        root = np.sqrt(weight[counts, t])[:, None]
        best = X @ np.linalg.lstsq(root * X[counts], root * target[counts, t], rcond=1e-9)[0]
        least = (weight[:, t, None] * (best - target[:, t]) ** 2).sum()
        reached = (weight[:, t, None] * (y[:, t] - target[:, t]) ** 2).sum()
        assert reached == pytest.approx(least, rel=2e-3, abs=0.5)


def test_no_affine_map_gets_below_the_pair_limits():
    """Least squares from the whole trial, on as many trials as it can hardly overfit, and scored on others."""
    limits = theory.suite_limits()
    task, batch, X = answers(11 * 1000, **SHORT)
    w = np.linalg.lstsq(X, batch.target[:, -1].double().numpy(), rcond=1e-9)[0]
    _, new, X = answers(11 * 1000, seed=9, **SHORT)
    y = X @ w
    off = ((y - new.target[:, -1].numpy())[:, 1:] ** 2).sum(1)
    mean = [off[new.info["task"].numpy() == k].mean() for k in range(11)]
    for name in ("Delay", "React", "Cat", "Match", "CtxInt"):
        pair = np.mean([m for m, one in zip(mean, NAMES, strict=True) if name in one])
        assert limits[name].error - 0.06 < pair, name
        assert pair < limits[name].error + 0.25, "and it is nearly reached"
    assert mean[10] > limits["GoNoGo"].error - 0.05
    assert limits["suite"].error - 0.03 < np.mean(mean)
    assert limits["suite"].error == pytest.approx((8 + 1 + 1 / 4 - 1 / math.pi**2) / 11)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 3))
def test_what_any_affine_map_can_be_right_on(seed, size):
    """Affine maps drawn at random, or fitted to one task of each pair: both tasks together stay below the bound."""
    task, batch, X = answers(1100, seed=seed % 7, noise=0, **SHORT)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, 2, 5)
    pairs = zip(("DelayPro", "ReactPro", "CatPro", "Match", "CtxInt1"),
                ("DelayAnti", "ReactAnti", "CatAnti", "NonMatch", "CtxInt2"), strict=True)  # fmt: skip
    served = [pair[i] for pair, i in zip(pairs, chosen, strict=True)]
    mine = np.isin(batch.info["task"].numpy(), [NAMES.index(name) for name in served])
    w = np.linalg.lstsq(X[mine], batch.target[:, -1].double().numpy()[mine], rcond=1e-9)[0]
    y = torch.from_numpy(X @ (w + size * (seed % 2) * 0.1 * rng.standard_normal(w.shape)))
    right = task.scores(y[:, None].expand(-1, task.length, -1), batch)
    limits = theory.suite_limits()
    for name in ("Delay", "React", "Cat", "Match", "CtxInt"):
        pair = np.mean([float(right[one].value) for one in NAMES if name in one])
        assert pair < limits[name].right + 0.06, name
    assert float(right["right"].value) < limits["suite"].right + 0.03


def test_the_largest_overlap_of_context_targets_is_a_third():
    a, b = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 40_000))
    w = (np.exp(1j * a) - np.exp(1j * b)) / 2
    share = [np.mean(np.abs(w - d) < 0.5) for d in np.linspace(0, 1.2, 49)]  # its law is the same in all directions
    assert np.argmax(share) == 0 and share[0] == pytest.approx(1 / 3, abs=0.01)
    assert np.mean(np.abs(w) ** 2) == pytest.approx(1 / 2, abs=0.01)


# The net built by hand


@pytest.fixture(scope="module")
def hand():
    net, task = theory.suite_by_hand(), Suite()
    batch = task.sample(3300, gen(8)).to(torch.float64)
    return net, task, batch, net(batch.s)[0].detach()


def test_the_hand_built_net_does_all_eleven(hand):
    net, task, batch, y = hand
    assert (net.hidden_size, net.nonlinear_size, net.W.dtype) == (38, 10, torch.float64)
    found = {name: float(score.value) for name, score in task.scores(y, batch).items()}
    assert found["right"] > 0.96 and found["held"] == pytest.approx(found["right"], abs=2e-3)
    assert min(found[name] for name in NAMES) > 0.9


def test_it_is_silent_before_go(hand):
    _, _, batch, y = hand
    before = (batch.info["epoch"] > 0) & (batch.info["epoch"] < 5)
    assert y[..., 1:][before].abs().max() < 1e-6
    torch.testing.assert_close(y[..., 0][before], torch.ones_like(y[..., 0][before]), atol=1e-6, rtol=0)


def test_without_noise_directions_are_off_by_a_third_at_most(hand):
    net, *_ = hand
    batch = Suite(("DelayPro", "DelayAnti", "CtxInt1", "CtxInt2"), noise=0).sample(400, gen(1)).to(torch.float64)
    off = (net(batch.s)[0][:, -1] - batch.target[:, -1]).detach()
    assert off[:, 1:].norm(dim=1).max() < 1 / 3 + 1e-6 and off[:, 0].abs().max() < 1e-6


def test_every_kink_of_it_is_needed_and_most_are_shared(hand):
    net, task, batch, _ = hand
    part = batch[:440]
    used = theory.suite_units(net, part)
    assert {len(used[name]) for name in ("DelayPro", "DelayAnti", "ReactPro", "ReactAnti", "CtxInt1")} == {2}
    count = np.bincount([unit for units in used.values() for unit in units], minlength=10)
    assert count[0] == 0, "linear in some tasks, silent in the others: it bends between tasks"
    assert count[1:].min() >= 2 and count.sum() > 4 * net.nonlinear_size
    intact = float(task.score(net(part.s)[0].detach(), part))
    for unit in range(10):
        for lesion in (regions.linearise, regions.silence):
            assert float(task.score(lesion(net, unit)(part.s)[0].detach(), part)) < intact - 0.02, (unit, lesion)


@pytest.mark.parametrize("name", ["CtxInt1", "CatPro", "Match"])
def test_a_unit_that_does_not_bend_in_a_task_could_be_linear_or_silent_in_it(hand, name):
    net, _, batch, _ = hand
    part = batch[torch.nonzero(batch.info["task"] == NAMES.index(name))[:30, 0]]
    used, reads = theory.suite_units(net, part)[name], slice(-2, None)
    for unit in {*range(10)} - {*used}:
        y = net(part.s)[0][:, reads]
        lesioned = (lesion(net, unit)(part.s)[0][:, reads] for lesion in (regions.linearise, regions.silence))
        assert any(torch.allclose(y, other, atol=1e-6) for other in lesioned), unit


def test_a_small_net_learns_a_task_and_its_rule_input_is_enough():
    fitted = alrnn.sweep(Suite(("ReactPro", "ReactAnti")), 16, [0, 4], seeds=1, init=alrnn.Init("slow", C=0.3, W=0.02),
                         steps=250, lr=1e-2, clip=1.0, progress=False)  # fmt: skip
    table = fitted.table.set_index("P")
    assert table.test[0] < 0.35 < 0.6 < table.test[4]
    assert {"validation_held", "test_ReactPro", "test_ReactAnti_held"} <= set(table)


def test_the_stored_table_holds_nets_of_the_catalogue_and_what_the_chapter_reads_is_complete():
    """It grows in parts; each P with five seeds at two rates is there."""
    table = read(Path(__file__).parent.parent / "data" / "results" / "multitask.csv")
    chosen = [e for name in EXPERIMENTS if name.startswith("multitask") for e in EXPERIMENTS[name]()]
    rows = [e.settings(P, seed) for e in chosen for P in e.sizes for seed in range(10)]
    found = list(keys(table))
    assert len(set(found)) == len(found) and set(found) <= set(keys(texts(pd.DataFrame(rows, dtype=object))))
    slow = [e for e in EXPERIMENTS["multitask"]() if e.fit["lr"] < 1e-2]
    wanted = [e.settings(P, seed) for e in slow for P in e.sizes for seed in range(5)]
    assert len(wanted) == 80 and set(keys(texts(pd.DataFrame(wanted, dtype=object)))) <= set(found)
