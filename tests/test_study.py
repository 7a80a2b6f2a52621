"""The small search: what it trains, what it chooses on, what it says."""

import numpy as np
import pandas as pd
import pytest

from alrnn import Init
from alrnn.experiments import Study, statistics, study
from alrnn.tasks import Adding

SMALL = {"seeds": 2, "rates": (1e-3, 1e-2), "steps": (2, 4), "batch_size": 8}


def test_every_P_rate_start_seed_and_budget_is_trained_once() -> None:
    found = study(Adding(6), 4, [0, 1, 4], **SMALL)
    keys = found.table[["P", "seed", "lr", "start", "steps"]]
    assert len(keys) == len(keys.drop_duplicates()) == 3 * 2 * 2 * 2 * 2
    assert set(found.table.start) == {"slow", "opposite"} and set(found.smallest) == {2, 4}
    assert found.table.groupby("steps").steps.nunique().eq(1).all()


def test_choices_rest_on_validation_alone() -> None:
    found = study(Adding(6), 4, [0, 2], starts={"a": Init("slow"), "b": Init("paper")}, **SMALL)
    for (P, steps), part in found.table.groupby(["P", "steps"]):
        medians = part.groupby(["lr", "start"]).validation.median()
        lr, start = medians.idxmin()
        chosen = found.best[(found.best.P == P) & (found.best.steps == steps)]
        assert set(chosen.lr) == {lr} and set(chosen.start) == {start} and len(chosen) == 2
    again = statistics.minimal_P(found.best[found.best.steps == 4], 0.01, "lower")
    assert again.P == found.smallest[4].P
    curve = found.curve
    assert (curve.low <= curve["median"]).all() and (curve["median"] <= curve.high).all()
    assert curve.loc[2, "median"] == np.median(found.best.query("P == 2 and steps == 4").test)


def told(scores: dict[int, dict[int, float]], target: float, better: str = "higher", diverged: int = 0) -> str:
    """What a study says whose nets have these scores, by steps and P, of five seeds each, at one of three rates."""
    rows = [
        {"P": P, "seed": seed, "lr": 0.01, "start": "slow", "steps": n, "validation": x, "test": x, "diverged": None}
        for n, found in scores.items()
        for P, x in found.items()
        for seed in range(5)
    ]
    table = pd.DataFrame(rows).astype({"diverged": "Int64"})
    table.loc[: diverged - 1, "diverged"] = 3
    smallest = {n: statistics.minimal_P(table[table.steps == n], 0.01, better, target=target) for n in scores}
    return str(Study(table, table, smallest, (0.001, 0.01, 0.1), better))


def test_the_recommendation_follows_the_scores() -> None:
    moved = told({100: {0: 0.5, 1: 0.7, 2: 1.0}, 400: {0: 0.5, 1: 1.0, 2: 1.0}}, 0.9)
    assert "after 400 steps: 1 (" in moved and "After 100 steps it was 2 (" in moved and "train longer" in moved
    assert "0.5 at P = 0, 1 at P = 1" in moved and "edge" not in moved and "diverged" not in moved
    same = told({100: {0: 0.5, 1: 1.0}, 400: {0: 0.5, 1: 1.0}}, 0.9, diverged=2)
    assert "it was the same" in same and "2 of 20 nets diverged" in same
    none = told({100: {0: 0.5, 1: 0.6}}, 0.9)
    assert "None reaches the target" in none
    error = told({100: {0: 0.5, 1: 0.01}}, 0.1, "lower")
    assert "0.01 at P = 1, the best" in error


def test_a_rate_at_the_edge_is_told() -> None:
    assert "edge of the rates" in str(study(Adding(6), 4, [0, 4], **SMALL))  # of two rates each is an edge


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nonlinear_sizes": []}, "at least one P"),
        ({"rates": ()}, "one rate"),
        ({"steps": (5, 5)}, "budgets that differ"),
        ({"steps": (0,)}, "steps must"),
        ({"seeds": 0}, "seeds must"),
        ({"hidden_size": 0}, "hidden_size must"),
        ({"lrr": 1}, "lrr"),
    ],
)
def test_what_cannot_be_studied_is_refused_before_training(wrong: dict, message: str) -> None:
    given = {"hidden_size": 4, "nonlinear_sizes": [0, 1]} | SMALL | wrong
    with pytest.raises((ValueError, TypeError), match=message):
        study(Adding(6), **given)


def test_nets_that_all_diverge_are_no_result() -> None:
    with pytest.raises(ValueError, match="all .* nets diverged"):
        study(Adding(6), 4, [1], **SMALL | {"rates": (1e30,), "clip": float("inf")})
