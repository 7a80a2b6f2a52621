"""Attractors and Lyapunov exponents against closed forms, and against runs and searches without the library."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import build, random_net, run, step

from alrnn import regions as rg

LONG = rg.Map([0, 0.2, 0.2], [[0.99, -0.25, 0.04], [0.25, 0.99, -0.62], [-0.08, 0.17, -0.05]], [0.24, 0.19, -0.06],
              nonlinear_size=2)  # an unstable rotation of two units, which two PWL units hold in bounds  # fmt: skip


def tent(slope):
    """z -> 1 - slope |z|."""
    return rg.Map([slope], [[-2 * slope]], [1.0], nonlinear_size=1)


def turn(angle, radius):
    return radius * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def starts(B, M, seed=0):
    return np.random.default_rng(seed).normal(size=(B, M))


def follow(m, z, steps):
    """States from z (B, M) on, (B, steps + 1, M), by the equation."""
    P, path = m.nonlinear_size, [z]
    for _ in range(steps):
        z = path[-1]
        output = np.concatenate([z[:, : len(m.h) - P], np.maximum(z[:, len(m.h) - P :], 0)], 1)
        path.append(m.A * z + output @ m.W.T + m.h)
    return np.stack(path, 1)


# attractors


def test_a_cycle_of_95_steps_is_found_and_proven():
    path = follow(LONG, starts(8, 3), 4000)[:, -400:]
    gaps = np.abs(path[:, :-1] - path[:, -1:]).max(2)[:, ::-1]  # [:, j]: to the state j + 1 steps before
    assert (gaps[:, 94] < 1e-7).all() and (gaps[:, :94] > 1e-3).all()  # the truth, from a run
    with pytest.raises(ValueError, match="too many sequences"):
        rg.cycles(LONG, 95)
    (found,) = rg.attractors(LONG, starts(8, 3), 3000)
    assert (found.kind, found.k, found.proven, found.share) == ("cycle", 95, True, 1.0)
    assert found.point.real and found.point.stable and list(found.starts) == list(range(8))
    assert follow(LONG, found.point.z, 1)[:, 1] == pytest.approx(np.roll(found.point.z, -1, axis=0), abs=1e-10)
    assert np.abs(found.point.z[:, None] - path[0, -95:]).max(2).min(0) == pytest.approx(np.zeros(95), abs=1e-8)
    estimated = rg.lyapunov(LONG, found.point.z[:1], 9500)[0]
    assert found.exponents == pytest.approx(estimated, abs=2e-2) and found.exponents[0] < 0
    assert found.exponents[0] == pytest.approx(estimated[0], abs=1e-3)
    volume = np.linalg.slogdet(rg.jacobians(LONG, found.point.bits))[1].mean()  # below what a product keeps: e^-262
    assert found.exponents.sum() == pytest.approx(volume, abs=2e-2)
    (unknown,) = rg.attractors(LONG, starts(8, 3), 3000, longest=90)
    assert (unknown.proven, unknown.point, unknown.k) == (False, None, 0)


def test_the_tent_map():
    (chaos,) = rg.attractors(tent(1.9), np.linspace(-0.9, 0.9, 20)[:, None], 500)
    assert (chaos.kind, chaos.point, chaos.proven) == ("chaos", None, False)
    assert chaos.exponents == pytest.approx([np.log(1.9)])
    (rest,) = rg.attractors(tent(2.0), np.linspace(-0.9, 0.9, 20)[:, None], 500)  # binary numbers run out of digits
    assert rest.kind == "fixed point" and rest.point.z == pytest.approx([-1]) and not rest.proven
    assert rest.exponents == pytest.approx([np.log(2)])
    away, kept = rg.attractors(tent(1.9), np.linspace(-2, 1, 30)[:, None] * 1.1, 500)
    assert {away.kind, kept.kind} == {"diverging", "chaos"} and away.share + kept.share == pytest.approx(1)
    gone = away if away.kind == "diverging" else kept
    assert np.isnan(gone.exponents).all()
    assert list(gone.starts) == np.flatnonzero(np.abs(follow(tent(1.9), np.linspace(-2, 1, 30)[:, None] * 1.1, 500)
                                                      [:, -1, 0]) > 10).tolist()  # fmt: skip


@pytest.mark.parametrize("radius, kind", [(0.9999, "fixed point"), (1.0, "circle"), (1.1, "diverging")])
def test_a_rotation_without_pwl_units(radius, kind):
    (end,) = rg.attractors(rg.Map([0, 0], turn(1.0, radius), [0.3, 0.1], nonlinear_size=0), starts(5, 2), 300)
    assert end.kind == kind and end.proven == (kind == "fixed point")
    if kind != "diverging":
        assert end.exponents == pytest.approx([np.log(radius)] * 2, abs=1e-6)
    if kind == "fixed point":  # long before the state is there
        assert end.point.z == pytest.approx(np.linalg.solve(np.eye(2) - turn(1.0, radius), [0.3, 0.1]))
    (quarter,) = rg.attractors(rg.Map([0, 0], turn(np.pi / 2, 1.0), [0.3, 0.1], nonlinear_size=0), starts(5, 2), 300)
    assert (quarter.kind, quarter.k, quarter.point.marginal.shape) == ("cycle", 4, (2, 2))


def test_basins_of_a_switch():
    """Two units that inhibit each other: who starts ahead wins."""
    net = build([[0.5, -1.0], [-1.0, 0.5]], 2, [1.0, 1.0])
    z0 = np.abs(starts(40, 2))
    first, second = rg.attractors(net, torch.as_tensor(z0), 400)
    for end in (first, second):
        winner = int(end.point.z[1] > 0)
        assert end.proven and sorted(end.point.z) == pytest.approx([-1, 2])
        assert (z0[end.starts, winner] > z0[end.starts, 1 - winner]).all()
    assert first.share >= second.share and first.share + second.share == 1
    assert sorted([*first.starts, *second.starts]) == list(range(40))
    (saddle,) = rg.attractors(net, [[0.3, 0.3], [-1.0, -2.0]], 400)  # on the line between the basins, or put there
    assert saddle.kind == "fixed point" and saddle.point.real and not saddle.proven


def test_a_line_attractor_is_one():
    adder = build([[1.0, 1], [0, 0]], 1, [0, -1.0])
    (line,) = rg.attractors(adder, starts(20, 2) * 3, 50)
    assert line.kind == "fixed point" and line.proven and line.share == 1 and line.point.marginal.shape == (2, 1)
    assert line.exponents[0] == 0 and line.exponents[1] == -np.inf


def test_slow_decay_that_would_cross_a_border_is_not_proven():
    """z1 shrinks by 1e-4 a step; z2 = z1 - 1 changes side on the way only if z1 starts above 1."""
    net = build([[0.9999, 0.0], [1.0, 0.0]], 1, [0.0, -1.0])
    below, above = sorted(rg.attractors(net, [[0.9, 0.0], [1.9, 0.0]], 100), key=lambda end: int(end.starts[0]))
    assert below.kind == "fixed point" and below.proven and below.point.z == pytest.approx([0, -1])
    assert above.kind == "not settled" and above.point is None
    assert rg.attractors(net, [[1.9, 0.0]], 10_000)[0].proven


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_what_is_proven_holds_in_the_run(seed, P):
    net = random_net(4, P, seed, scale=2.0)
    s, z0 = np.random.default_rng(seed).normal(size=2), starts(6, 4, seed)
    ends = rg.attractors(net, z0, 500, s)
    assert sorted(b for end in ends for b in end.starts) == list(range(6))
    assert sum(end.share for end in ends) == pytest.approx(1) and (np.diff([end.share for end in ends]) <= 0).all()
    for end in ends:
        assert (end.point is None) == (end.k == 0) == (end.kind not in ("fixed point", "cycle"))
        if end.kind == "diverging":
            assert not (np.abs(step(net, z0[end.starts], s, 500)).max(1) < 1e6).any()
        if not end.proven:
            continue
        assert end.point.real and end.exponents.max() < 0
        slowest = end.exponents.max()
        later = step(net, z0[end.starts], s, 500 + int(min(20_000, 25 / -slowest)))
        orbit = np.atleast_2d(end.point.z)
        if 25 / -slowest < 20_000:
            assert np.abs(later[:, None] - orbit).max(2).min(1).max() < 1e-6 * max(1, np.abs(orbit).max())


def test_attractors_errors():
    net = random_net(4, 2, 0)
    for bad in (np.zeros(4), np.zeros((2, 5)), np.zeros((0, 4)), np.full((1, 4), np.nan)):
        with pytest.raises(ValueError, match=r"z0 must be finite states of shape \(B, 4\)"):
            rg.attractors(net, bad, 10)
    with pytest.raises(ValueError, match="steps"):
        rg.attractors(net, np.zeros((1, 4)), 1)
    with pytest.raises(ValueError, match="longest"):
        rg.attractors(net, np.zeros((1, 4)), 10, longest=0)
    with pytest.raises(ValueError, match="s must"):
        rg.attractors(net, np.zeros((1, 4)), 10, s=[0.0])
    with pytest.raises(TypeError, match="y, z = net"):
        rg.attractors(net, net(torch.zeros(1, 3, 2, dtype=torch.float64)), 10)
    with pytest.raises(TypeError, match="expected an ALRNN"):
        rg.attractors(torch.nn.RNN(2, 4), np.zeros((1, 4)), 10)


# Lyapunov exponents


@given(st.integers(1, 5), st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_exponents_of_a_linear_net_are_logs_of_its_eigenvalues(M, seed):
    rng = np.random.default_rng(seed)
    S = np.linalg.qr(rng.normal(size=(M, M)))[0] + 0.2 * rng.normal(size=(M, M))
    values = np.sort(rng.uniform(0.2, 1.2, M))[::-1]
    m = rg.Map(np.zeros(M), S @ np.diag(values) @ np.linalg.inv(S), rng.normal(size=M), nonlinear_size=0)
    allowed = 2 * np.log(np.linalg.cond(S)) / 450 + 1e-2  # of 500 steps 450 count
    found = rg.lyapunov(m, rng.normal(size=(2, M)), 500)
    assert found == pytest.approx(np.tile(np.log(values), (2, 1)), abs=allowed)
    assert rg.lyapunov(m, rng.normal(size=(2, M)), 500, k=1) == pytest.approx(found[:, :1], abs=allowed)


def test_exponents_of_a_stable_cycle_are_those_of_its_product():
    met = set()
    for seed in range(40):
        net = random_net(3, 2, seed, scale=2.5)
        for cycle in (c for k in (1, 2, 3) for c in rg.cycles(net, k, virtual=False) if c.stable):
            product = np.linalg.multi_dot([np.eye(3), *rg.jacobians(net, cycle.bits)[::-1], np.eye(3)])
            moduli = np.sort(np.abs(np.linalg.eigvals(product)))[::-1]
            if moduli[-1] < 1e-6 or np.linalg.cond(np.linalg.eig(product)[1]) > 100:
                continue
            expected = np.log(moduli) / len(cycle.z)
            assert rg.lyapunov(net, cycle.z[:1], 3000)[0] == pytest.approx(expected, abs=1e-2)
            met.add(len(cycle.z))
    assert met == {1, 2, 3}


@pytest.mark.parametrize("slope", [2.0, 1.7])
def test_the_exponent_of_the_tent_map(slope):
    assert rg.lyapunov(tent(slope), [[0.3], [0.1234]], 100) == pytest.approx(np.full((2, 1), np.log(slope)), abs=1e-12)


def test_the_exponents_of_a_bakers_map():
    """x -> 2x mod 1 on the side of y < 1/2 or not needs a step; its continuous kin: a tent map beside a contraction."""
    W = np.array([[0.3, 0.0, 0.5], [0.0, 0.6, 0.0], [0.0, 0.0, -3.8]])
    m = rg.Map([0, 0, 1.9], W, [0.1, 0.2, 1.0], nonlinear_size=1)
    expected = np.log([1.9, 0.6, 0.3])
    assert rg.lyapunov(m, [[0.0, 0.0, 0.3]], 2000)[0] == pytest.approx(expected, abs=5e-3)
    states = follow(m, np.array([[0.0, 0.0, 0.3]]), 1999)
    assert rg.lyapunov(m, states)[0] == pytest.approx(rg.lyapunov(m, [[0.0, 0.0, 0.3]], 2000)[0], abs=1e-12)


def test_exponents_along_driven_states_against_a_finite_deviation():
    net = random_net(6, 4, 3, scale=0.5)
    s, z = run(net, B=2, T=400)
    small = torch.randn(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1e-7
    with torch.no_grad():
        start = net(s[:, :40])[1][:, -1]
        parted = net(s[:, 40:60], start + small)[1][:, -1] - z[:, 59]
    growth = torch.log(parted.norm(dim=1) / small.norm(dim=1)) / 20
    found = rg.lyapunov(net, z[:, 39:59], k=1)[:, 0]
    assert found == pytest.approx(growth.numpy(), abs=0.15)
    assert rg.lyapunov(net, z).shape == (2, 6) and (np.diff(rg.lyapunov(net, z)) <= 0).all()
    total = np.linalg.slogdet(rg.jacobians(net, (z[:, :, 2:] > 0).long()))[1][:, 40:].mean(1)
    assert rg.lyapunov(net, z).sum(1) == pytest.approx(total)  # the mean log|det J| of the steps that count


def test_a_direction_that_is_wiped_out_and_a_run_that_leaves():
    m = rg.Map([0, 0], [[0.5, 0], [0, 1.0]], [0, -1.0], nonlinear_size=1)
    assert rg.lyapunov(m, [[0.0, 0.0]], 50)[0, 0] == pytest.approx(np.log(0.5))
    assert rg.lyapunov(m, [[0.0, 0.0]], 50)[0, 1] < -5
    assert np.isnan(rg.lyapunov(rg.Map([0.0], [[3.0]], [1.0], nonlinear_size=0), [[1.0]], 2000)).all()


def test_lyapunov_errors():
    m = rg.Map.of(random_net(3, 1, 0))
    for z, steps in ((np.zeros(3), 5), (np.zeros((2, 4)), 5), (np.zeros((2, 5, 3)), 5), (np.zeros((2, 3)), None)):
        with pytest.raises(ValueError, match="finite states"):
            rg.lyapunov(m, z, steps)
    with pytest.raises(ValueError, match="finite states"):
        rg.lyapunov(m, np.full((1, 3), np.inf), 5)
    with pytest.raises(ValueError, match="steps"):
        rg.lyapunov(m, np.zeros((1, 3)), 0)
    with pytest.raises(ValueError, match="k must"):
        rg.lyapunov(m, np.zeros((1, 3)), 5, k=4)
