"""What nets share between tasks: each measure against constructions whose answer is known; and the table."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import alrnn
from alrnn import datasets, regions
from alrnn.tasks import Suite
from alrnn.tasks.suite import NAMES

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import sharing as experiment

RNG = np.random.default_rng


def columns() -> set[str]:
    """The columns that the tool's own text names."""
    names = re.findall(r"\b(?:[a-z]+_(?:[a-z]+|\*)|right|held|version|P|seed|steps)", experiment.__doc__)
    starred = {name[:-1] + period for name in names if name.endswith("*") for period in experiment.PERIODS}
    return {name for name in names if not name.endswith("*")} | starred


def test_overlap_is_1_of_equal_and_0_of_disjoint_regions():
    counts = RNG(0).integers(1, 9, (7, 1))
    assert experiment.overlap(counts * [[1, 2, 5]]) == pytest.approx(1)
    assert experiment.overlap(np.eye(4) * [3, 1, 4, 1]) == pytest.approx(0)
    half = np.array([[1, 0], [1, 1], [0, 1]])  # one of two regions is common: each bit halves what tells them apart
    assert experiment.overlap(half) == pytest.approx(0.5)


@pytest.mark.parametrize("n", [2, 11])
def test_participation_of_one_some_and_all(n):
    shares = experiment.participation(np.stack([np.eye(n)[0], np.ones(n), 7 * np.ones(n)], axis=1))
    assert shares == pytest.approx([1 / n, 1, 1])


def test_four_units_that_name_the_task_and_that_do_not():
    label = np.arange(4000)[:, None] % 4
    z = np.where(label[..., None] // [1, 2] % 2, 1.0, -1.0)
    m = regions.Map(np.zeros(2), np.zeros((2, 2)), np.zeros(2), nonlinear_size=2)
    assert experiment.four_units(regions.visits(m, z), label, RNG(0)) == pytest.approx(2, abs=0.01)
    noise = regions.visits(m, RNG(1).normal(size=z.shape))
    assert experiment.four_units(noise, label, RNG(0)) == pytest.approx(0, abs=0.01)


def test_task_variance_is_taken_across_trials_of_a_task():
    """Unit 0 varies in task 0 alone, unit 1 four times as much there as in task 1, unit 2 over time, but not trials."""
    task, inside = np.repeat([0, 1], 400), np.ones((800, 3), bool)
    x = RNG(0).normal(size=(800, 1))
    x = (x - x.reshape(2, 400).mean(1).repeat(400)[:, None]) / x.reshape(2, 400).std(1).repeat(400)[:, None]
    output = np.zeros((800, 3, 3))
    output[..., 0], output[..., 1] = x * (task == 0)[:, None], x * np.where(task == 0, 2, 1)[:, None]
    output[..., 2] = np.arange(3)
    assert experiment.task_variance(output, task, inside) == pytest.approx(np.array([[1, 1], [0, 0.25]]))
    output[:200, 0], inside[:200, 0] = 1e6, False  # steps before a trial has begun do not count
    found = experiment.task_variance(output, task, inside)
    assert found.shape == (2, 2) and found[:, 1] == pytest.approx([1, 0.25], abs=0.02)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_clusters_that_are_apart(k):
    x = np.repeat(10 * np.eye(11)[:k], 6, axis=0) + 0.1 * RNG(0).normal(size=(6 * k, 11))
    count, quality = experiment.clusters(x)
    assert count == k and 0.95 < quality < 1
    one = experiment.clusters(RNG(1).normal(size=(60, 11)))[1]
    assert one < 0.4 and np.isnan(experiment.clusters(x[:4])).all()


def test_the_silhouette_of_points_on_a_line():
    """0, 1 | 4 | 9, by hand: (3.5 - 1) / ..., a lone point counts 0."""
    x = np.array([0.0, 1.0, 4.0, 6.0])
    apart = np.abs(x[:, None] - x)
    assert experiment.silhouette(apart, [1, 1, 2, 2]) == pytest.approx(np.mean([4 / 5, 3 / 4, 1.5 / 3.5, 3.5 / 5.5]))
    assert experiment.silhouette(apart, [1, 1, 1, 2]) == pytest.approx(np.mean([3.5 / 6, 3 / 5, -1.5 / 3.5, 0]))


def test_planes():
    basis = np.linalg.qr(RNG(0).normal(size=(9, 9)))[0]
    a, b, c = basis[:2], basis[2:4], basis[1:3]
    assert experiment.plane_overlap(a, a[::-1] * [[1], [-1]]) == pytest.approx(1)
    assert experiment.plane_overlap(a, b) == pytest.approx(0)
    assert experiment.plane_overlap(a, c) == pytest.approx(0.5)
    states = RNG(1).normal(size=(300, 2)) * [3, 2] @ a + 0.01 * RNG(2).normal(size=(300, 9)) + 5
    assert experiment.plane_overlap(experiment.plane(states), a) == pytest.approx(1, abs=1e-3)


def test_where_states_end():
    """A decay has one end, growth none, a line as many as there are starts, and a switch two."""
    starts = np.linspace(-3, 3, 20)[:, None]
    decay = regions.Map([0.5], [[0.0]], [1.0], nonlinear_size=1)
    assert experiment.ends(decay, starts[None], np.zeros((1, 0))) == [(1, 1, 0)]
    growth = regions.Map([1.1], [[0.0]], [0.0], nonlinear_size=0)
    count, fixed, away = experiment.ends(growth, starts[None], np.zeros((1, 0)))[0]
    assert np.isnan(count) and fixed == 0 and away == 1
    still = regions.Map([1.0], [[0.0]], [0.0], nonlinear_size=0)  # each start is its own end; none attracts
    count, fixed, away = experiment.ends(still, np.array([[[-1.0], [0.5], [1.0]]]), np.zeros((1, 0)))[0]
    assert (count, fixed, away) == (3, 0, 0)
    # f' = 2 phi(f - 1/2) - 2 phi(f - 3/2): from below 1 it goes to 0, from above to 2; a third unit only listens
    steep = np.tile([0.0, 2, -2], (3, 1))
    two = regions.Map(np.zeros(3), steep, [0, -0.5, -1.5], np.array([[1.0], [0], [0]]), nonlinear_size=2)
    z = np.concatenate([starts, starts - 0.5, starts - 1.5], axis=1)
    assert experiment.ends(two, np.stack([z, z]), np.array([[0.0], [5.0]])) == [(2, 1, 0)] * 2


def test_frozen_units():
    """As `regions.freeze` of PWL units; and of a linear one, as if it always were at its level for the others."""
    net = alrnn.ALRNN(3, 6, 2, 2, seed=0, init=alrnn.Init("spread"))
    ours = experiment.freeze(net, np.array([4, 5]), np.arange(6.0))
    theirs = regions.freeze(regions.freeze(net, 0, 4.0), 1, 5.0)
    s = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ours(s)[0], theirs(s)[0], atol=1e-6) and not torch.allclose(ours(s)[0], net(s)[0])
    linear = experiment.freeze(net, np.array([0]), np.full(6, 2.0))
    W, z = net.W.detach().clone(), torch.randn(1, 6, generator=torch.Generator().manual_seed(1))
    read = torch.cat([torch.tensor([[2.0]]), z[:, 1:4], z[:, 4:].relu()], 1)
    after = net.A * z + read @ W.T + s[:1, 0] @ net.C.T + net.h
    assert torch.allclose(linear(s[:1, :1], z)[1][:, 0], after, atol=1e-6)


@pytest.fixture(scope="module")
def small() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"M": 16, "SIZES": (8, 16), "SEEDS": range(2), "FEW": 440}.items():
            patch.setattr(experiment, name, value)
        table = experiment.nets(Suite(), 30)
        return {P: rows.reset_index(drop=True) for P, rows in table.groupby("P")}


def test_a_row_has_what_the_text_says(small):
    table = small[8]
    assert set(table.columns) | {"steps"} == columns()
    assert list(table.seed) == [0, 1] and (table.version == alrnn.__version__).all()
    some = table.drop(columns=["version", *table.filter(like="spread")])
    assert np.isfinite(some.to_numpy(float)).all()
    shares = [c for c in table if c.startswith(("right", "held", "bits", "tasks", "used", "fixed", "away", "memory"))]
    assert table[shares].min().min() >= -1e-6 and table[shares].max().max() <= 1 + 1e-6
    assert (table.held <= table.right).all() and table.clusters_pwl.between(2, 15).all()
    spread = table.filter(like="spread").stack().dropna()
    assert spread.between(1 / 11 - 1e-9, 1 + 1e-9).all()


def test_where_there_is_no_linear_unit(small):
    assert small[16][["tasks_linear", "drop_linear", "spread_linear"]].isna().to_numpy().all()
    assert small[16].tasks_pwl.notna().all()


def test_one_net_by_other_means(small):
    """A row again: the score, and the overlap in the regions' own words at steps that are drawn anew."""
    net = alrnn.ALRNN(16, 16, 8, 3, 1, experiment.START)
    pair = [alrnn.ALRNN(16, 16, 8, 3, 0, experiment.START), net]
    alrnn.fit(pair, Suite(), steps=30, lr=5e-3, clip=1.0, progress=False)
    row = small[8].iloc[1]
    assert row.right == pytest.approx(alrnn.evaluate(net, Suite(), Suite().held_out("test", 880)).item())
    trials = Suite().held_out("validation", 880)
    z = net(trials.s)[1][:, -3:].detach()  # the middle of the response
    codes = ["".join(map(str, x)) for x in (z[:, 0, 8:] > 0).int().tolist()]
    task, found = trials.info["task"].numpy(), []
    p = {k: {c: np.mean([codes[i] == c for i in np.flatnonzero(task == k)]) for c in set(codes)} for k in range(11)}
    for i in range(11):
        for j in range(i):
            m = {c: (p[i][c] + p[j][c]) / 2 for c in p[i]}
            found.append(1 - sum(q[c] / 2 * np.log2(q[c] / m[c]) for q in (p[i], p[j]) for c in q if q[c]))
    assert row.overlap_response == pytest.approx(np.mean(found), abs=0.1)


def test_the_table_is_whole():
    table = datasets.results("sharing")
    assert set(table.columns) == columns() and not table.duplicated(["P", "seed", "steps"]).any()
    assert set(zip(table.P, table.steps, strict=True)) == {(P, n) for P in experiment.SIZES for n in experiment.STEPS}
    assert (table.groupby(["P", "steps"]).seed.apply(list).map(lambda x: x == [*experiment.SEEDS])).all()
    finite = ["right", "held", "tasks_pwl", "memory_pairs", "drop_quarter", *table.filter(regex="^(overlap|four|bits)")]
    assert table[finite].notna().to_numpy().all() and len(NAMES) == 11
