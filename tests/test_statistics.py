"""The rule for the smallest sufficient P and shares of solved nets, against tables made by hand."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import alrnn
from alrnn.experiments import statistics
from alrnn.experiments.statistics import at_best, minimal_P, names, solved


def table(scores, column="validation"):
    """scores: P -> the scores of seeds 0, 1, ..."""
    rows = [{"P": P, "seed": seed, column: x} for P, xs in scores.items() for seed, x in enumerate(xs)]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # in no order


CLEAR = {0: [0.5, 0.52, 0.51], 1: [0.9, 0.93, 0.91], 4: [0.99, 0.98, 1.0], 20: [0.995, 0.99, 0.98]}


def test_the_short_name_is_a_module_and_an_attribute():
    """As `alrnn.experiments` has the names, whichever comes first."""
    for first in (
        "import alrnn; m = alrnn.statistics",
        "import alrnn.statistics as m",
        "from alrnn import statistics as m",
    ):
        code = f"{first}; from alrnn.statistics import minimal_P; assert m.minimal_P is minimal_P"
        subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(alrnn.statistics, name) is getattr(statistics, name) for name in statistics.__all__)


@pytest.mark.parametrize(("tolerance", "expected"), [(0, 4), (0.05, 4), (0.07, 4), (0.085, 1), (0.47, 1), (0.485, 0)])
def test_the_smallest_P_within_the_tolerance_of_the_best(tolerance, expected):
    assert minimal_P(table(CLEAR), tolerance, "higher").P == expected
    lower = {P: [1 - x for x in xs] for P, xs in CLEAR.items()}
    assert minimal_P(table(lower), tolerance, "lower").P == expected


def test_the_medians_decide_not_the_means_and_the_column_is_the_one_named():
    scores = {0: [0.0, 0.0, 0.0], 2: [1.0, 1.0, -100.0], 5: [1.0, 1.0, 1.0]}
    found = minimal_P(table(scores, "test"), 0.0, "higher", score="test")
    assert found.P == 2 and found.medians.to_dict() == {0: 0, 2: 1, 5: 1}
    with pytest.raises(KeyError):
        minimal_P(table(scores, "test"), 0.0, "higher")


def test_a_plain_answer_has_an_interval_of_one_point():
    found = minimal_P(table(CLEAR), 0.05, "higher")
    assert (found.low, found.P, found.high) == (4, 4, 4) and found.shares.to_dict() == {0: 0, 1: 0, 4: 1, 20: 0}
    assert found.seeds == 3 and str(found) == "(1, 4] (95% interval (1, 4]; fewer than 5 seeds: too narrow)"


@pytest.mark.parametrize(
    ("scores", "target", "answer"),
    [
        ({0: [0.4] * 5, 8: [0.6] * 5, 16: [0.61] * 5}, 0.9, (None, None, None, "none up to 16", "above 16")),
        ({0: [0.4] * 5, 8: [0.6] * 5, 16: [0.95] * 5}, 0.9, (16, 16, 16, "(8, 16]", "(8, 16]")),
        ({0: [0.4] * 5, 1: [0.95] * 5, 16: [0.95] * 5}, 0.9, (1, 1, 1, "1", "1")),
        ({0: [0.4] * 5, 1: [0.8] * 5, 16: [0.85] * 5}, None, (16, 16, 16, "(1, 16]", "(1, 16]")),
        ({0: [1, 1, 1, 0, 0], 1: [1, 1, 1, 0, 1], 4: [1] * 5}, 0.9, (0, 0, 4, "0", "0 to 4")),
        ({0: [0] * 5, 1: [1, 1, 1, 0, 0], 4: [1, 1, 1, 0, 0]}, 0.9, (1, 1, None, "1", "above 0")),
        ({4: [1.0] * 5}, 0.9, (4, 4, 4, "4", "4")),
    ],
)
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_target_can_be_missed_by_all_and_the_grid_leaves_a_bracket(scores, target, answer, better):
    sign = 1 if better == "higher" else -1
    data = table({P: [sign * x for x in xs] for P, xs in scores.items()})
    found = minimal_P(data, 0.01, better, target=target if target is None else sign * target)
    *numbers, text, interval = answer
    assert [found.P, found.low, found.high] == numbers
    assert str(found) == f"{text} (95% interval {interval})"
    assert found.shares.sum() == (
        0 if found.low is None else pytest.approx(1) if found.high is not None else found.shares[1]
    )


def rates(scores):
    rows = [
        {"P": P, "lr": lr, "seed": seed, "validation": x, "test": -x}
        for (P, lr), xs in scores.items()
        for seed, x in enumerate(xs)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def test_each_P_at_the_rate_that_is_best_for_it_on_validation_data():
    data = rates({(0, 1e-3): [1, 2, 9], (0, 1e-2): [3, 3, 3], (4, 1e-3): [5, 5, 5], (4, 1e-2): [0, np.nan, 1]})
    for better, best in (("lower", {0: 1e-3, 4: 1e-2}), ("higher", {0: 1e-2, 4: 1e-3})):
        found = at_best(data, better)
        assert len(found) == 6 and found.groupby("P").lr.unique().map(list).to_dict() == {
            P: [lr] for P, lr in best.items()
        }
    missing = data.assign(validation=data.validation.where(data.lr < 5e-3))
    assert set(at_best(missing, "lower").lr) == set(at_best(missing, "higher").lr) == {1e-3}
    assert (
        set(at_best(data, "lower", score="test").lr) == {1e-2, 1e-3}
        and at_best(data, "lower", by=["P", "seed"]).shape[0] == 6
    )
    mixed = data.assign(steps=100).pipe(lambda t: pd.concat([t, t.assign(steps=200, validation=-9.0)]))
    assert set(at_best(mixed, "lower", setting=["lr", "steps"]).steps) == {200}
    tied = rates({(0, 1e-2): [1, 1], (0, 1e-3): [1, 1]})
    assert set(at_best(tied, "lower").lr) == {1e-3}


def test_rates_with_unequal_numbers_of_nets_are_no_fair_choice():
    data = rates({(0, 1e-3): [1, 2, 9], (0, 1e-2): [3, 3]})
    with pytest.raises(ValueError, match=r"each lr must have as many nets; not so for P \[0\]"):
        at_best(data, "lower")
    with pytest.raises(ValueError, match="as many nets"):
        at_best(data.head(0), "lower")
    with pytest.raises(ValueError, match="better must be"):
        at_best(data, "less")


def test_the_bootstrap_has_the_chances_of_drawing_seeds():
    """P = 1 works for two of three seeds. It is enough where at most one of three draws is the third seed: 20/27."""
    scores = {0: [0, 0, 0], 1: [1, 1, 0], 3: [1, 1, 1]}
    found = minimal_P(table(scores), 0.5, "higher", draws=20_000)
    assert found.shares[1] == pytest.approx(20 / 27, abs=0.015) and found.shares[3] == pytest.approx(7 / 27, abs=0.015)
    assert (found.P, found.low, found.high) == (1, 1, 3)


def test_seeds_are_drawn_with_all_their_P():
    """Both sizes share the bad seed, so in every draw they are as good as each other."""
    shared = {1: [1, 0.9, 0.1, 0.3], 2: [1, 0.9, 0.1, 0.3]}
    found = minimal_P(table(shared), 0.0, "higher")
    assert found.shares.to_dict() == {1: 1, 2: 0} and found.high == 1


def test_same_seed_same_interval_and_the_table_stays():
    noisy = {P: np.random.default_rng(P).normal(P / 10, 0.2, 10) for P in (0, 1, 2, 4)}
    data = table(noisy)
    before = data.copy()
    first, again = (minimal_P(data, 0.1, "higher") for _ in range(2))
    pd.testing.assert_series_equal(first.shares, again.shares)
    pd.testing.assert_frame_equal(data, before)
    assert first.low <= first.P <= first.high and first.low < first.high


scores = st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(deadline=None)
@given(scores, st.floats(0, 3), st.floats(0, 3))
def test_more_tolerance_needs_no_more_units(values, tolerance, more):
    data = table({2 * i: xs for i, xs in enumerate(values)})
    small, large = (minimal_P(data, t, "higher", draws=50) for t in (tolerance, tolerance + more))
    assert large.P <= small.P and large.high <= small.high and large.low <= small.low
    assert small.P in data.P.to_numpy() and small.shares.sum() == pytest.approx(1)
    best = small.medians.max()
    assert (
        small.medians[small.P] >= best - tolerance
        and (small.medians[small.medians.index < small.P] < best - tolerance).all()
    )


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (lambda t: pd.concat([t, t.head(1)]), {}, "one row for each P and seed"),
        (lambda t: pd.concat([t, t.head(1).assign(P=np.nan)]), {}, "rows without P: leave out the baselines"),
        (lambda t: t.head(1).drop(columns="P"), {}, "rows without P"),
        (lambda t: t.head(0), {}, "one row for each P and seed"),
        (lambda t: t[(t.P != 4) | (t.seed != 1)], {}, "no validation score for P=4, seed=1"),
        (lambda t: t.assign(validation=t.validation.where(t.P != 1)), {}, "no validation score for P=1, seed=0; P=1"),
        (lambda t: t, {"tolerance": -0.1}, "tolerance must be at least 0"),
        (lambda t: t, {"tolerance": np.nan}, "tolerance must be at least 0"),
        (lambda t: t, {"target": np.nan}, "target finite"),
        (lambda t: t, {"better": "bigger"}, "better must be higher or lower, got 'bigger'"),
    ],
)
def test_tables_that_do_not_fit(change, arguments, words):
    with pytest.raises(ValueError, match=words):
        minimal_P(change(table(CLEAR)), **{"tolerance": 0.1, "better": "higher"} | arguments)


def test_solved_shares_with_wilsons_interval():
    data = table({0: [0.5] * 10, 1: [1e-4] * 8 + [0.1, np.nan], 2: [1e-4] * 10}, "test")
    found = solved(data, 1e-3, "lower")
    assert found.index.tolist() == [0, 1, 2] and found.nets.tolist() == [10] * 3
    assert found.solved.tolist() == [0, 8, 10] and found.share.tolist() == [0, 0.8, 1]
    z, n = 1.959963984540054, 10  # Wilson (1927), equation solved by hand
    for k, row in zip((0, 8, 10), found.itertuples(), strict=True):
        middle = (k / n + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(k / n * (1 - k / n) / n + z**2 / (4 * n**2))
        assert (row.low, row.high) == pytest.approx((middle - half, middle + half), abs=1e-12)
    assert solved(data, 1e-3, "higher").solved.tolist() == [10, 1, 0]
    named = solved(data.assign(model="gru"), 1e-3, "lower", by="model")
    assert named.index.tolist() == ["gru"] and named.solved.tolist() == [18]
    with pytest.raises(ValueError, match="better must be"):
        solved(data, 1, "more")


def test_names_of_nets_in_order():
    rows = [("lstm", 24, None, None), ("alrnn", 50, 50, 0.0), ("alrnn", 50, 5, 0.0), ("alrnn", 50, 50, 1.0)]
    rows += [("gru", 28, None, None), ("alrnn", 50, 0, 1.0), ("alrnn", 50, 10, 1.0), ("lstm", 24, None, None)]
    data = pd.DataFrame(rows, columns=["model", "M", "P", "init_pwl"], index=range(9, 1, -1))
    found = names(data)
    text = ["LSTM", "P = 50, plain start", "P = 5", "P = 50", "GRU", "P = 0", "P = 10", "LSTM"]
    assert found.tolist() == text and found.index.equals(data.index)
    order = ["P = 0", "P = 5", "P = 10", "P = 50", "P = 50, plain start", "GRU", "LSTM"]
    assert found.cat.ordered and found.cat.categories.tolist() == order
    again = names(data.assign(init_opposite=[None, 50.0, 3.0, None, None, None, None, None]))
    assert again.tolist() == ["LSTM", "P = 50, opposite pairs", *text[2:]]
