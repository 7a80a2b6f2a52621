"""What the tables, theorems and constructions say of each task, put together: against the tables themselves."""

import numpy as np
import pandas as pd
import pytest

from alrnn import datasets, experiments, theory
from alrnn.tasks import TwoModality

FOUND = experiments.answers()


@pytest.mark.parametrize("task", FOUND.index)
def test_no_mark_contradicts_another(task: str) -> None:
    """A net by hand needs at least what is proven, and so does one that solves the task after training."""
    one = FOUND.loc[task]
    least = 0 if pd.isna(one.proven) else one.proven
    assert pd.isna(one.by_hand) or one.by_hand >= least
    assert one.trained.P is not None and least <= one.trained.P <= one.M
    worse = np.greater_equal if one.better == "lower" else np.less_equal
    assert worse(one.linear, one.best) and one.seeds == one.trained.seeds


def test_they_stand_in_order_each_once() -> None:
    assert FOUND.index.is_unique and len(FOUND) > 9
    known = FOUND.by_hand.dropna()
    assert known.is_monotonic_increasing and FOUND.by_hand.notna().tolist()[: len(known)] == [True] * len(known)


def test_adding_from_its_table() -> None:
    one = FOUND.loc["Adding"]
    table = datasets.results("adding").query("model == 'alrnn' and task_length == 100 and init_pwl == 1")
    medians = table[table.task_marks == "first_half"].groupby("P")[["validation", "test"]].median()
    assert one.trained.P == medians.index[(medians.validation < 1e-3)].min()
    assert (one.linear, one.best) == (medians.test[0], medians.test.min())
    assert one.seeds == table.seed.nunique() and one.steps == 2500


def test_each_P_is_shown_at_its_own_rate() -> None:
    one = FOUND.loc["Rule inversion"]
    table = datasets.results("budget").query("task == 'rule_inversion' and steps == 10000 and model == 'alrnn'")
    medians = table.groupby(["P", "lr"]).validation.median().unstack().max(axis=1)
    assert one.rates == 3 and np.allclose(one.trained.medians, medians)


def test_what_is_called_proven_is() -> None:
    """That P = 0 cannot do it, from the bound on all linear nets."""
    pairs = theory.two_modality_limits(TwoModality().coherences, 0)
    impossible = {
        "Adding": theory.adding_floor(100) > 1e-3,
        "Rule inversion": theory.inversion_limits().accuracy < 0.98,
        "Two modalities": pairs.affine < pairs.gated,
        "Copy, known delay": False,
        "Copy, unknown delay": theory.linear_copy_accuracy(3, 10) < 0.98,
        "Eleven tasks": True,  # tests/test_suite.py
        "SCAN": theory.scan_limits().exact < 0.9 < FOUND.best["SCAN"],
    }
    assert FOUND.proven.dropna().to_dict() == impossible
