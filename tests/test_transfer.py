"""A task more, after ten: which weights learn in which way, by the Jacobians that move; and the table."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import alrnn
from alrnn import datasets
from alrnn.tasks import Suite

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import transfer as experiment

M, P = 8, 3


def trained(way: str) -> tuple[alrnn.ALRNN, alrnn.ALRNN]:
    """A net that knows ten tasks a little, and what has become of it after some steps on the eleventh."""
    ten = Suite("DelayPro")
    net = alrnn.ALRNN(ten.input_size, M, P, ten.output_size, 0, experiment.START)
    alrnn.fit(net, ten, steps=20, lr=1e-2, progress=False)
    moved = experiment.part(net, way)
    alrnn.fit(moved, Suite("NonMatch"), steps=20, lr=1e-2, **experiment.GENTLY)
    return net, moved


@pytest.mark.parametrize("way", experiment.WAYS)
def test_what_stays_and_what_learns(way):
    net, moved = trained(way)
    old, new = (n.jacobian([1] * P).detach() for n in (net, moved))
    linear, same = slice(M - P), torch.equal
    stays = {
        "all": (False, False, False, False),
        "scratch": (False, False, False, False),
        "inputs": (True, True, False, True),
        "around PWL": (True, False, True, True),
        "between linear": (False, True, False, False),
    }[way]
    found = (
        same(old[linear, linear], new[linear, linear]),
        same(old[M - P :], new[M - P :]) and same(old[:, M - P :], new[:, M - P :]),
        same(net.C[linear], moved.C[linear]),
        same(net.D[:, linear], moved.D[:, linear]),
    )
    assert found == stays
    assert moved.size() == sum(int(free.sum()) for free in experiment.learning(moved).values()) - (M - P) * (
        way not in ("inputs", "around PWL")  # the linear units' self-weights stand in W alone
    )


def test_the_two_parts_of_a_net_are_all_of_it():
    net = alrnn.ALRNN(4, M, P, 3)
    parts = [experiment.learning(experiment.part(net, way)) for way in ("around PWL", "between linear")]
    assert all((parts[0][name] ^ parts[1][name]).all() for name in parts[0])


def test_a_copy_answers_as_the_net_does():
    net, s = alrnn.ALRNN(4, M, P, 3, seed=5), torch.randn(2, 6, 4)
    assert torch.equal(experiment.part(net, "inputs")(s)[0], net(s)[0])


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"M": M, "SIZES": (P, M), "STEPS": (3, 5), "RATES": (1e-3, 1e-2), "TRIALS": 110}.items():
            patch.setattr(experiment, name, value)
        return experiment.learned("CtxInt2", range(2), before=10)


def test_rows_of_each_way_rate_and_budget(small):
    ways = {"all": 2, "inputs": 2, "around PWL": 2, "between linear": 1, "scratch": 2}  # of which P
    assert len(small) == 4 + 2 * 2 * 2 * sum(ways.values())
    assert not small.duplicated(["P", "seed", "way", "lr", "steps"]).any()
    assert set(small[small.way == "between linear"].P) == {P} and (small.version == alrnn.__version__).all()
    assert small[["validation", "test", "old"]].stack().between(0, 1).all()


def test_training_goes_on_from_one_budget_to_the_next(small):
    """A row by other means: the net of the first budget is the one that the second begins with."""
    task, ten = Suite("CtxInt2"), Suite([name for name in experiment.NAMES if name != "CtxInt2"])
    net = alrnn.ALRNN(ten.input_size, M, P, ten.output_size, 1, experiment.START)
    alrnn.fit(net, ten, steps=10, lr=5e-3, clip=1.0, batch_size=64, progress=False)
    alrnn.fit(net, task, steps=3, lr=1e-2, **experiment.GENTLY)
    alrnn.fit(net, task, steps=2, lr=1e-2, **experiment.GENTLY)
    (row,) = small.query("P == @P and seed == 1 and way == 'all' and lr == 1e-2 and steps == 5").itertuples()
    assert row.test == pytest.approx(alrnn.evaluate(net, task, task.held_out("test", 110)).item(), abs=0.02)
    assert row.old == pytest.approx(alrnn.evaluate(net, ten, ten.held_out("test", 110)).item(), abs=0.02)


def test_the_table_is_whole():
    table = datasets.results("transfer")
    assert not table.duplicated(["new", "P", "seed", "way", "lr", "steps"]).any()
    assert set(table.new) == set(experiment.NEW) and set(table.way) == set(experiment.WAYS)
    after = table[table.steps > 0]
    seeds = after.groupby(["new", "way", "P", "lr", "steps"]).seed.apply(set)
    assert (seeds == set(experiment.SEEDS)).all()
    assert len(seeds) == len(experiment.NEW) * 2 * 3 * (5 * len(experiment.SIZES) - 1)
    assert np.isfinite(table[["validation", "test", "old"]].to_numpy()).all()
