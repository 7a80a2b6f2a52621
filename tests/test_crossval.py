"""Cross-validation against loops over folds and groups, and the paired bootstrap against formulas and simulations."""

import numpy as np
import pandas as pd
import pytest
import torch

import alrnn
from alrnn import ALRNN, cross_validate, evaluate, fit
from alrnn.crossval import _best
from alrnn.experiments.statistics import paired_bootstrap
from alrnn.tasks import Adding, Arrays, Head

B, GROUPS = 48, np.array([f"day {i % 12}" for i in range(48)])
QUICK = {"steps": 15, "batch_size": 6, "progress": False}
RNG = np.random.default_rng(0)
S = [RNG.normal(size=(n, 2)) for n in RNG.integers(2, 9, B)]
LABELS = np.array([int(np.abs(x[:, 0]).sum() > 0.8 * len(x)) for x in S])
VALUES = [np.abs(x) for x in S]


@pytest.fixture(scope="module")
def task():
    return Arrays(S, LABELS, groups=GROUPS, standardize=True, blank=1)


def net4(P, seed, outputs=2):  # in float64, so that no score hangs on the last bit
    return ALRNN(2, 4, P, outputs, seed, "slow").double()


def alone(task, P, seed, lr, **given):
    net = net4(P, seed, task.output_size)
    fit(net, task, lr=lr, **QUICK | given)
    return net


def by_group(net, task):
    """Score of each test group, each sequence run alone."""
    batch, found = task.held_out("test").to(torch.float64), {}
    for s, i, n in zip(batch.s, batch.info["index"].tolist(), batch.info["length"].tolist(), strict=True):
        right = net(s[None, : n + 1])[0][0, -1].argmax().item() == LABELS[i]
        found.setdefault(GROUPS[i], []).append(right)
    return {name: np.mean(right) for name, right in found.items()}


def test_it_is_a_loop_over_folds_sizes_and_seeds(task):
    table = cross_validate(task, net4, [0, 2], seeds=[3, 5], folds=4, lr=0.01, **QUICK)
    names = ["P", "seed", "lr", "fold", "train_loss", "diverged", "validation", "group", "accuracy", "count"]
    assert table.columns.tolist() == names and len(table) == 2 * 2 * 12 and (table["count"] == 4).all()
    assert not table.duplicated(["P", "seed", "group"]).any()
    for (k, P, seed), rows in table.groupby(["fold", "P", "seed"]):
        net = alone(task.fold(k, 4), P, seed, 0.01)
        assert dict(zip(rows.group, rows.accuracy, strict=True)) == by_group(net, task.fold(k, 4))
        validation = evaluate(net, task.fold(k, 4), task.fold(k, 4).held_out("validation")).item()
        assert rows.validation.tolist() == pytest.approx([validation] * len(rows))


def test_each_group_is_scored_once_by_nets_that_were_not_trained_on_it(task):
    table = cross_validate(task, 3, 1, seeds=1, folds=5, **QUICK)
    assert sorted(table.group) == sorted(set(GROUPS))
    for k, rows in table.groupby("fold"):
        one = task.fold(k, 5)
        seen = {GROUPS[i] for split in ("train", "validation") for i in one.parts[split][0].tolist()}
        assert not seen & set(rows.group)


def test_the_rate_is_chosen_by_fold_and_P_on_validation(task):
    rates = [1e-4, 0.02, 0.1]
    table = cross_validate(task, net4, [0, 2], seeds=2, folds=3, lr=rates, **QUICK)
    assert len(table) == 2 * 2 * 12
    for (k, P), rows in table.groupby(["fold", "P"]):
        one = task.fold(k, 3)
        mean = {}
        for lr in rates:
            nets = [alone(one, P, seed, lr) for seed in range(2)]
            mean[lr] = evaluate(nets, one, one.held_out("validation")).mean().item()
        assert set(rows.lr) == {max(mean, key=mean.get)}
    assert table.lr.nunique() > 1


def test_test_data_do_not_choose(task):
    """Other test labels, other scores: but the same rates, nets and validation scores."""
    rates, one = [1e-4, 0.05], cross_validate(task, net4, [0, 2], seeds=2, folds=2, lr=[1e-4, 0.05], **QUICK)
    for k in range(2):
        labels = LABELS.copy()
        tested = task.fold(k, 2).parts["test"][0].numpy()
        labels[tested] = 1 - labels[tested]
        other = Arrays(S, labels, groups=GROUPS, standardize=True, blank=1)
        other.order = task.order  # the same folds, though classes are others
        table = cross_validate(other, net4, [0, 2], seeds=2, folds=2, lr=rates, **QUICK)
        mine, theirs = (x[x.fold == k].reset_index(drop=True) for x in (one, table))
        same = ["P", "seed", "lr", "fold", "validation", "group"]
        pd.testing.assert_frame_equal(mine[same], theirs[same])
        np.testing.assert_allclose(mine.accuracy, 1 - theirs.accuracy)


def test_lower_is_better_for_errors():
    task = Arrays(S, VALUES, "every", groups=GROUPS)
    table = cross_validate(task, net4, [3], seeds=1, folds=2, lr=[1e-6, 0.03], **QUICK | {"steps": 60})
    assert (table.lr == 0.03).all() and set(table) >= {"mse", "count"}
    steps = pd.Series([len(x) for x in S]).groupby(GROUPS).sum()
    assert table.set_index("group")["count"].to_dict() == steps.to_dict()
    nets = {k: alone(task.fold(k, 2), 3, 0, 0.03, steps=60) for k in range(2)}
    pooled = [evaluate(net, task.fold(k, 2), task.fold(k, 2).held_out("test")).item() for k, net in nets.items()]
    for k, rows in table.groupby("fold"):
        assert np.average(rows.mse, weights=rows["count"]) == pytest.approx(pooled[k], rel=1e-9)


def test_a_rate_at_which_nets_diverge_is_not_chosen(task):
    wild = {"clip": float("inf"), "diverged": "drop", "schedule": "constant", "warmup": 0.0}
    table = cross_validate(task, 4, [0, 1], seeds=2, folds=2, lr=[1e9, 0.01], **QUICK | wild)
    assert (table.lr == 0.01).all() and table.diverged.isna().all()
    rows = pd.DataFrame({"P": 0, "lr": [1.0, 1.0, 2.0, 2.0], "validation": [0.2, 0.2, 0.9, 0.1], "diverged": pd.NA})
    assert _best(rows, "higher").lr.tolist() == [2.0, 2.0] and _best(rows, "lower").lr.tolist() == [1.0, 1.0]
    rows.loc[2, "diverged"] = 7
    assert _best(rows, "higher").lr.tolist() == [1.0, 1.0]
    lost = cross_validate(task, 4, [0], seeds=1, folds=2, lr=1e9, **QUICK | wild)
    assert len(lost) == 12 and lost.diverged.notna().all()


def test_other_kinds_of_nets_and_several_scores():
    heads = (Head("value", 1), Head("class", 2, "cross_entropy"))
    task = Arrays(S, np.c_[[x[0, 0] for x in S], LABELS], groups=GROUPS, heads=heads)
    made = []

    def gru(P, seed):
        made.append((P, seed))
        return alrnn.nets.GRU(2, 3, task.output_size, seed)

    table = cross_validate(task, gru, [0], seeds=2, folds=3, **QUICK)
    assert made == [(0, 0), (0, 1)] * 3 and {"value", "class"} <= set(table) and len(table) == 24


def test_without_groups_each_sequence_is_one():
    task = Arrays(S, LABELS)
    table = cross_validate(task, net4, [1], seeds=1, folds=3, **QUICK)
    assert sorted(table.group) == list(range(B)) and set(table.accuracy) <= {0.0, 1.0}
    sums = table.groupby("fold").accuracy.mean()
    for k in range(3):
        one = task.fold(k, 3)
        assert sums[k] == pytest.approx(evaluate(alone(one, 1, 0, 5e-3), one, one.held_out("test")).item())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"task": Adding(10)}, TypeError, "needs a task that can be cut into folds"),
        ({"folds": 1}, ValueError, "folds must be an integer of at least 2"),
        ({"folds": 13}, ValueError, "folds must be an integer from 2 to groups = 12"),
        ({"nonlinear_sizes": [0, 0]}, ValueError, "at least one P and each only once"),
        ({"seeds": []}, ValueError, "at least one seed"),
        ({"lr": []}, ValueError, "at least one lr"),
        ({"stepz": 3}, TypeError, "stepz"),
        ({"hidden_size": lambda P, seed: ALRNN(3, 4, P, 2)}, ValueError, "input and output size"),
    ],
)
def test_bad_cross_validation(task, change, error, words):
    with pytest.raises(error, match=words):
        cross_validate(**{"task": task, "hidden_size": 4, "nonlinear_sizes": [1], "seeds": 1} | QUICK | change)


# ------------------------------------------------------------------------------------------------ the paired bootstrap


def scores(a, b, weight=1.0):
    """A table with one row for each group and P, in no order."""
    rows = [{"P": P, "group": g, "x": x, "w": weight} for P, xs in ((1, a), (0, b)) for g, x in enumerate(xs)]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_the_interval_is_the_formulas():
    """For many groups: mean -+ 1.96 s / sqrt(n), with s as the bootstrap has it, divided by n."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.3, 1, 400), rng.normal(0, 1, 400)
    found = paired_bootstrap(scores(a, b), 1, 0, "x", draws=20_000)
    half = 1.959964 * (a - b).std() / 20
    assert found.mean == pytest.approx((a - b).mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.04 * half)
    assert found.groups.to_numpy() == pytest.approx(a - b)
    turned = paired_bootstrap(scores(a, b), 0, 1, "x", draws=20_000)
    assert (turned.mean, turned.low, turned.high) == pytest.approx((-found.mean, -found.high, -found.low))
    assert turned.share == found.share


def test_all_draws_of_three_groups():
    """Differences 3, 0 and -1: all 27 draws of three of them are equally likely."""
    sums = [x + y + z for x in (3, 0, -1) for y in (3, 0, -1) for z in (3, 0, -1)]
    found = paired_bootstrap(scores([3, 0, -1], [0, 0, 0]), 1, 0, "x", draws=50_000)
    assert found.mean == pytest.approx(2 / 3)
    assert found.share == pytest.approx(np.mean([x <= 0 for x in sums]), abs=0.01)
    low, high = np.quantile(sums, [0.025, 0.975], method="inverted_cdf") / 3
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.34)


def test_what_makes_a_group_hard_for_both_does_not_count():
    rng = np.random.default_rng(2)
    a, b, hard = rng.normal(0.2, 0.1, 30), rng.normal(0, 0.1, 30), rng.normal(0, 100, 30)
    plain, harder = (paired_bootstrap(scores(a + x, b + x), 1, 0, "x") for x in (0, hard))
    assert (plain.low, plain.high, plain.share) == pytest.approx((harder.low, harder.high, harder.share))
    assert plain.low > 0 and plain.share == 0


def test_seeds_are_averaged_and_weights_pool():
    rng = np.random.default_rng(3)
    table = pd.concat([scores(rng.normal(1, 1, 8), rng.normal(0, 1, 8)).assign(seed=seed) for seed in range(4)])
    mean = table.groupby(["group", "P"]).x.mean().unstack()
    one, two = paired_bootstrap(table, 1, 0, "x"), paired_bootstrap(scores(mean[1], mean[0]), 1, 0, "x")
    assert (one.mean, one.low, one.high) == pytest.approx((two.mean, two.low, two.high))
    seeds = paired_bootstrap(table, 1, 0, "x", over="seed")
    assert seeds.mean == pytest.approx(one.mean) and len(seeds.groups) == 4
    many = table.assign(w=table.group + 1.0)
    pooled = [np.average(many[many.P == P].x, weights=many[many.P == P].w) for P in (1, 0)]
    assert paired_bootstrap(many, 1, 0, "x", weight="w").mean == pytest.approx(pooled[0] - pooled[1])
    two = scores([1, -1], [0, 0])  # drawn are both, twice the first, or twice the second; with both the first wins
    found = paired_bootstrap(two.assign(w=np.where(two.group == 0, 3.0, 1.0)), 1, 0, "x", weight="w")
    assert found.mean == 0.5 and found.share == pytest.approx(1 / 4, abs=0.05)
    alike = paired_bootstrap(table.assign(w=7.0), 1, 0, "x", weight="w")
    assert (alike.mean, alike.low, alike.high) == pytest.approx((one.mean, one.low, one.high))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """400 experiments of 40 groups with skewed differences of mean 0: some 95% hold it, and 5% are false alarms."""
    rng = np.random.default_rng(4)
    inside, alarms = [], []
    for _ in range(400):
        d, base = rng.exponential(1.0, 40) - 1, rng.normal(0, 10, 40)
        found = paired_bootstrap(scores(base + d, base), 1, 0, "x", draws=500)
        inside.append(found.low <= 0 <= found.high)
        alarms.append(2 * found.share < 0.05)
    assert 0.89 < np.mean(inside) < 0.98 and 0.02 < np.mean(alarms) < 0.11


def test_same_seed_same_interval_and_the_table_stays():
    table = scores(np.arange(6.0), np.ones(6))
    before = table.copy()
    one, two, other = (paired_bootstrap(table, 1, 0, "x", seed=seed, draws=101) for seed in (0, 0, 1))
    assert (one.low, one.high, one.share) == (two.low, two.high, two.share) and one.low != other.low
    pd.testing.assert_frame_equal(table, before)
    assert str(one) == f"1.5 (95% interval {one.low:.3g} to {one.high:.3g})"
    names = table.assign(net=table.P.map({0: "linear", 1: "one unit"}))
    assert paired_bootstrap(names, "one unit", "linear", "x", by="net", draws=101).low == one.low


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[t.P == 1], "group 0 has not"),
        (lambda t: t[(t.P == 1) | (t.group != 3)], "group 3 has not"),
        (lambda t: pd.concat([t, t[(t.P == 1) & (t.group == 2)]]), "group 2 has not"),
        (lambda t: t.assign(x=t.x.where(t.group != 1)), "2 missing scores"),
        (lambda t: t[t.group == 0], "1 groups, 0 missing scores"),
        (lambda t: t[t.P > 5], "0 groups"),
    ],
)
def test_tables_that_are_not_paired(change, words):
    with pytest.raises(ValueError, match=words):
        paired_bootstrap(change(scores(np.arange(5.0), np.ones(5))), 1, 0, "x")


def test_from_a_cross_validation(task):
    table = cross_validate(task, net4, [0, 2], seeds=2, folds=3, **QUICK)
    found = paired_bootstrap(table, 2, 0, "accuracy", weight="count")
    assert sorted(found.groups.index) == sorted(set(GROUPS)) and found.low <= found.mean <= found.high
    assert isinstance(alrnn.statistics.paired_bootstrap(table, 2, 0, "accuracy").mean, float)
    assert torch.get_default_dtype() == torch.float32
