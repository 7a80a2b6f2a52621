"""The grid of tau, start, M and rate: what its tool measures, against matrices written down here; and its table."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import alrnn
from alrnn import datasets, tasks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import sensitivity as experiment


@pytest.mark.parametrize(("slow", "share"), [(0, 0.0), (1, 0.25), (3, 0.75)])
def test_the_share_of_slow_modes(slow, share):
    """Three linear units and a PWL unit that stays on; W is triangular, so its eigenvalues are its diagonal."""
    net = alrnn.ALRNN(4, 4, 1, 2, seed=0)
    with torch.no_grad():
        net.A.zero_()
        net.C.zero_()
        net.W.copy_(torch.triu(torch.full((4, 4), 0.3), 1))
        net.W.diagonal().copy_(torch.tensor([1.02] * slow + [0.5] * (3 - slow) + [0.8]))
        net.h.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    assert experiment.slow_modes(net, tasks.RuleInversion(11)) == share


def test_a_row_says_what_was_trained(monkeypatch):
    monkeypatch.setattr(experiment, "TASKS", {"adding": (tasks.Adding(8), 20)})
    monkeypatch.setattr(experiment, "RATES", (2e-3, 5e-3))
    monkeypatch.setattr(experiment, "SEEDS", range(2))
    table = experiment.nets("adding", 6, 0.1)
    assert len(table) == len(table[["P", "start", "lr", "seed"]].drop_duplicates()) == (5 + 2) * 2 * 2
    assert set(table.start) == set(experiment.STARTS) and (table.steps == 20).all()
    assert (table[table.P == 6].start.isin(experiment.FULL)).all() and set(table.P) == {2, 6}
    assert (table.slow_before[table.start == "identity"] >= 0.5).all()
    row = table[(table.P == 2) & (table.start == "slow") & (table.lr == 5e-3) & (table.seed == 1)].squeeze()
    net = alrnn.ALRNN(2, 6, 2, 1, 1, experiment.STARTS["slow"])
    history = alrnn.fit(net, tasks.Adding(8), steps=20, lr=5e-3, tau=0.1, progress=False)
    test = alrnn.evaluate(net, tasks.Adding(8), tasks.Adding(8).held_out("test")).item()
    assert row.test == pytest.approx(test, rel=1e-3)
    norms, loss = history.grad_norm[10:, 0].astype(float), np.log(history.loss[10:, 0].astype(float))
    assert row.gradient == pytest.approx(np.median(norms), rel=1e-2)
    assert row.steepest == pytest.approx(norms.max(), rel=1e-2)
    assert row.rough == pytest.approx(np.median(np.abs(np.diff(loss))), rel=1e-2)


def test_the_table_is_of_this_grid():
    """Whole pieces, each with all starts, rates and seeds, as the tool would make them now."""
    table = datasets.results("sensitivity")
    known = pd.DataFrame([about for about, _ in experiment.pieces()])
    assert not table.duplicated(["task", "M", "tau", "P", "start", "lr", "seed"]).any()
    for (task, M, tau), rows in table.groupby(["task", "M", "tau"]):
        assert ((known.task == task) & (known.M == M) & (known.tau == tau)).any()
        assert len(rows) == 7 * len(experiment.RATES) * len(experiment.SEEDS)
        assert (rows.steps == experiment.TASKS[task][1]).all() and set(rows.lr) == set(experiment.RATES)
        assert rows.test[rows.diverged.isna()].notna().all()
