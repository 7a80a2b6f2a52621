"""Fixed points and cycles against closed forms, the net's own forward pass, and searches without the library."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from small_nets import build, random_net, run, step

from alrnn import regions as rg


def test_fixed_points_of_one_unit_by_hand():
    on, off = sorted(rg.fixed_points(build([[2.0]], 1, [-1.0])), key=lambda p: -p.bits[0])
    assert on.real and on.z == pytest.approx([1]) and on.eigenvalues == pytest.approx([2]) and not on.stable
    assert off.real and off.z == pytest.approx([-1]) and off.eigenvalues == pytest.approx([0]) and off.stable
    assert off.attracting and not on.attracting and on.marginal.shape == (1, 0)
    both = rg.fixed_points(build([[2.0]], 1, [1.0]))
    assert len(both) == 2 and not any(p.real for p in both)
    assert rg.fixed_points(build([[2.0]], 1, [1.0]), virtual=False) == []


@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_fixed_points_against_exhaustive_search(M, P, seed, driven):
    P = min(P, M)
    net = random_net(M, P, seed, scale=1.5)
    s = np.random.default_rng(seed).normal(size=2) if driven else None
    A, W, C, h = (x.detach().numpy() for x in (net.A, net.W, net.C, net.h))
    found = {tuple(p.bits): p for p in rg.fixed_points(net, s)}
    assert len(found) == 2**P
    for bits in itertools.product((0, 1), repeat=P):
        J = np.diag(A) + W @ np.diag([1] * (M - P) + list(bits))
        z = np.linalg.solve(np.eye(M) - J, h + (C @ s if driven else 0))
        point = found[bits]
        assert point.z == pytest.approx(z, rel=1e-6, abs=1e-8)
        assert point.real == (tuple(z[M - P :] > 0) == bits)
        assert point.real == np.allclose(step(net, z, s)[0], z, rtol=1e-6, atol=1e-8)
        assert np.sort_complex(point.eigenvalues) == pytest.approx(np.sort_complex(np.linalg.eigvals(J)), abs=1e-8)
        assert point.stable == (np.abs(np.linalg.eigvals(J)).max() < 1)
    assert {tuple(p.bits) for p in rg.fixed_points(net, s, virtual=False)} == {b for b, p in found.items() if p.real}


def test_fixed_points_against_iteration():
    arrived = 0
    for seed in range(25):
        net = random_net(4, 3, seed, scale=1.3)
        s = np.random.default_rng(seed).normal(size=2)
        points = [p for p in rg.fixed_points(net, s) if p.real]
        ends = step(net, np.random.default_rng(seed).normal(size=(50, 4)) * 3, s, times=1500)
        ends = ends[np.isfinite(ends).all(1)]
        resting = ends[np.abs(step(net, ends, s) - ends).max(1) < 1e-10] if len(ends) else ends
        for z in resting:
            assert min(np.abs(p.z - z).max() for p in points if p.stable) < 1e-7
        arrived += len(resting)
        for p in points:
            there = step(net, p.z + 1e-6, s, times=1500 if p.stable else 1)[0]
            assert np.abs(there - p.z).max() < (1e-8 if p.stable else 1e-4)
    assert arrived > 300


def test_visited_regions_and_large_p():
    net = random_net(40, 30, 0)
    with pytest.raises(ValueError, match="pass the visited ones"):
        rg.fixed_points(net)
    seen = rg.visits(net, run(net)[1])
    points = rg.fixed_points(net, bits=seen.bits)
    assert len(points) == len(seen.bits)
    for p, bits in zip(points, seen.bits, strict=True):
        assert (p.bits == bits).all() and rg.jacobians(net, bits) @ p.z + net.h.detach().numpy() == pytest.approx(p.z)
    batched = random_net(24, 12, 0)  # more regions than one batch holds
    assert len(rg.fixed_points(batched)) == 2**12
    for wrong, name in (
        (dict(bits=np.zeros(30)), r"regions must have shape \(n, 30\)"),
        (dict(bits=np.zeros((2, 29))), r"shape \(\.\.\., 30\)"),
        (dict(s=[1.0]), "s must"),
    ):
        with pytest.raises(ValueError, match=name):
            rg.fixed_points(net, **{"bits": seen.bits, **wrong})
    with pytest.raises(ValueError, match="0 or 1"):
        rg.fixed_points(net, bits=seen.bits * 2)
    with pytest.raises(ValueError, match="0 or 1"):
        rg.fixed_points(net, bits=seen.bits * 0.5)
    with pytest.raises(ValueError, match="s must be a finite"):
        rg.fixed_points(net, s=[0.0, np.nan], bits=seen.bits)


def test_fixed_point_on_a_boundary_is_real_once():
    points = rg.fixed_points(build(0.5 * np.eye(3), 3))
    assert len(points) == 8 and all(p.boundary for p in points)
    assert [tuple(p.bits) for p in points if p.real] == [(0, 0, 0)]


@pytest.mark.parametrize("seed", range(20))
def test_boundary_to_rounding(seed):
    net = random_net(5, 2, seed)
    z = np.array([0.3, -1.0, 2.0, 1.0, 0.0])
    with torch.no_grad():
        net.h.copy_(torch.as_tensor((np.eye(5) - rg.jacobians(net, [1, 1])) @ z))
    both = rg.fixed_points(net, bits=[[1, 0], [1, 1]])
    assert [p.real for p in both] == [True, False] and all(p.boundary and p.z == pytest.approx(z) for p in both)


@pytest.mark.parametrize("seed", range(20))
def test_lines_in_general_position(seed):
    """As integrators, but in random coordinates, where I - J is singular to rounding only."""
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(4, 4))

    def points(block, h):
        return rg.fixed_points(build(S @ block @ np.linalg.inv(S), 0, S @ h))

    (line,) = points(np.diag([1, 0.5, 0.2, 0.1]), [0, 1, 1, 1])
    assert np.abs(line.marginal[:, 0] @ S[:, 0]) == pytest.approx(np.linalg.norm(S[:, 0])) and line.attracting
    assert (np.linalg.inv(S) @ line.z)[1:] == pytest.approx([2, 1 / 0.8, 1 / 0.9])
    assert points(np.diag([1, 0.5, 0.2, 0.1]), [0.1, 1, 1, 1]) == []
    jordan = np.diag([1, 1, 0.5, 0.2])
    jordan[0, 1] = 1
    (line,) = points(jordan, [1, 0, 1, 1])
    assert line.marginal.shape == (4, 1) and not line.attracting and not line.stable


def test_line_of_fixed_points_of_an_integrator():
    (line,) = rg.fixed_points(build([[1.0, 0], [0, 0.5]], 0, [0, 1.0]))
    assert line.real and line.marginal.shape == (2, 1) and np.abs(line.marginal[:, 0]) == pytest.approx([1, 0])
    assert line.z == pytest.approx([0, 2]) and line.attracting and not line.stable
    (repelling,) = rg.fixed_points(build([[1.0, 0], [0, 1.5]], 0))
    assert not repelling.attracting
    assert rg.fixed_points(build([[1.0, 0], [0, 0.5]], 0, [1.0, 0])) == []
    (plane,) = rg.fixed_points(build(np.diag([1, 0.5, 1.0]), 0))
    assert plane.marginal.shape == (3, 2) and plane.marginal.T @ plane.marginal == pytest.approx(np.eye(2))
    (all_of_it,) = rg.fixed_points(build(np.eye(3), 0))
    assert all_of_it.marginal.shape == (3, 3) and all_of_it.real
    (defective,) = rg.fixed_points(build([[1.0, 1], [0, 1.0]], 0))
    assert defective.marginal.shape == (2, 1) and not defective.attracting


def test_lines_of_the_net_that_adds():
    net = build([[1.0, 1], [0, 0]], 1, [0, -1.0], C=[[0.0, 0], [1, 1]])  # u += relu(v), v = x + m - 1
    (held,) = rg.fixed_points(net)  # the other region has I - J singular and no solution
    assert held.real and tuple(held.bits) == (0,) and held.z == pytest.approx([0, -1]) and held.attracting
    for u in (-3.0, 5.0):
        moved = held.z + u * held.marginal[:, 0]
        assert step(net, moved, times=50)[0] == pytest.approx(moved)
    touching = rg.fixed_points(net, s=[0.25, 0.75])
    assert [(tuple(p.bits), p.real, p.boundary) for p in touching] == [((0,), True, True), ((1,), False, True)]
    assert [(tuple(p.bits), p.real) for p in rg.fixed_points(net, s=[0.5, 1.0])] == [((0,), False)]  # u moves


def on_a_line(*units):
    """An integrator u and one PWL unit v_i = slope u + level for each pair: every u is a fixed point."""
    W = np.zeros((1 + len(units), 1 + len(units)))
    W[0, 0], W[1:, 0] = 1, [slope for slope, _ in units]
    return build(W, len(units), [0.0] + [float(level) for _, level in units])


def test_whether_a_line_crosses_its_region():
    def real(*units):
        points = rg.fixed_points(on_a_line(*units))
        assert len(points) == 2 ** len(units) and all(p.marginal.shape[1] == 1 for p in points)
        for p in points:
            on = tuple(p.z[1:] > 0) == tuple(p.bits)
            touches = units == ((1, -1), (-1, 1)) and tuple(p.bits) == (0, 0)
            assert not p.real or p.boundary == touches  # elsewhere the point given is well inside
            assert on == p.real and (not p.real or np.allclose(step(on_a_line(*units), p.z)[0], p.z))
        return {"".join(map(str, p.bits)) for p in points if p.real}

    assert real((1, -5)) == {"0", "1"}  # the point nearest to the origin lies in region 0
    assert real((1, -5), (-1, -5)) == {"00", "10", "01"}
    assert real((1, 5), (-1, 5)) == {"11", "10", "01"}
    assert real((1, -1), (-1, 1)) == {"00", "10", "01"}  # 00 holds at u = 1 alone
    assert real((1, -3), (0, 2)) == {"01", "11"}
    assert real((0, -2), (1, 0)) == {"00", "01"}


def test_whether_a_plane_crosses_its_region():
    W = np.zeros((5, 5))
    W[0, 0] = W[1, 1] = 1
    W[2:, :2] = [[1, 1], [-1, 0], [0, -1]]
    net = build(W, 3, [0, 0, 1.0, -1, -1])  # on: u1 + u2 > -1, u1 < -1, u2 < -1
    points = rg.fixed_points(net)
    assert all(p.marginal.shape == (5, 2) for p in points) and len(points) == 8
    truth = set()
    for u in itertools.product(np.linspace(-6, 6, 49), repeat=2):
        truth.add((int(u[0] + u[1] > -1), int(u[0] < -1), int(u[1] < -1)))
    assert {tuple(p.bits) for p in points if p.real} == truth and (1, 1, 1) not in truth
    assert all(np.allclose(step(net, p.z)[0], p.z) for p in points if p.real)


# cycles


def necklaces(k):
    """How many cycles of length k the full tent map has, by Moebius inversion."""
    divisors = [d for d in range(1, k) if k % d == 0]
    return (2**k - sum(d * necklaces(d) for d in divisors)) // k


@pytest.mark.parametrize("k", range(1, 9))
def test_all_cycles_of_the_tent_map(k):
    tent = build([[-4.0]], 1, [1.0], A=[2.0])  # z -> 1 - 2 |z|
    orbits = rg.cycles(tent, k)
    assert len(orbits) == necklaces(k) and all(c.real and not c.stable for c in orbits)
    assert len({frozenset(np.round(c.z[:, 0], 9)) for c in orbits}) == len(orbits)
    for c in orbits:
        assert c.z.shape == (k, 1) and c.bits.shape == (k, 1) and abs(c.eigenvalues[0]) == pytest.approx(2**k)
        assert step(tent, c.z) == pytest.approx(np.roll(c.z, -1, axis=0), abs=1e-12)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 10_000), st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None)
def test_cycles_against_one_linear_system_per_sequence(M, P, seed, k):
    P = min(P, M)
    net = random_net(M, P, seed, scale=2.0)
    A, W, h = (x.detach().numpy() for x in (net.A, net.W, net.h))
    expected = set()
    for sequence in itertools.product(itertools.product((0, 1), repeat=P), repeat=k):
        system = np.eye(k * M)  # z_{j+1} - J_j z_j = h, all steps at once
        for j, bits in enumerate(sequence):
            i = (j + 1) % k
            system[i * M : (i + 1) * M, j * M : (j + 1) * M] -= np.diag(A) + W @ np.diag([1] * (M - P) + list(bits))
        z = np.linalg.solve(system, np.tile(h, k)).reshape(k, M)
        if np.abs(z - z[0]).max() > 1e-5 * max(1, np.abs(z).max()):
            real = (z[:, M - P :] > 0).astype(int).tolist() == [list(bits) for bits in sequence]
            expected.add((min(sequence[i:] + sequence[:i] for i in range(k)), real))
    found = rg.cycles(net, k)
    as_keys = [(tuple(tuple(row) for row in c.bits.tolist()), c.real) for c in found]
    assert set(as_keys) == expected and len(set(as_keys)) == len(as_keys)
    for c in found:
        assert c.real == np.allclose(step(net, c.z), np.roll(c.z, -1, axis=0), rtol=1e-6, atol=1e-8)


def test_cycles_against_iteration():
    met = set()
    for seed in range(60):
        net = random_net(3, 2, seed, scale=2.5)
        ends = step(net, np.random.default_rng(seed).normal(size=(20, 3)), times=1000)
        ends = ends[np.isfinite(ends).all(1) & (np.abs(ends).max(1) < 1e6)]
        for z in ends:
            path = [z]
            while len(path) <= 4 and (len(path) == 1 or np.abs(path[-1] - z).max() > 1e-9):
                path.append(step(net, path[-1])[0])
            k = len(path) - 1
            if np.abs(path[-1] - z).max() > 1e-9:
                continue
            candidates = [c for c in rg.cycles(net, k, virtual=False) if c.stable]
            assert min(np.abs(c.z - z).max(1).min() for c in candidates) < 1e-6
            met.add((k, seed))
    assert {k for k, _ in met} >= {1, 2, 3} and len(met) > 10


def test_families_of_cycles():
    (flip,) = rg.cycles(build([[-1.0]], 0), 2)
    assert flip.marginal.shape == (1, 1) and flip.z[0] == -flip.z[1] and abs(flip.z[0, 0]) > 1e-3
    assert rg.cycles(build([[1.0]], 0), 2) == []
    turn = [[0, -1.0], [1, 0]]
    (round_,) = rg.cycles(build(turn, 0), 4)
    assert round_.marginal.shape == (2, 2) and step(build(turn, 0), round_.z) == pytest.approx(np.roll(round_.z, -1, 0))
    assert (
        rg.cycles(build(turn, 0), 2) == [] and rg.cycles(build(turn, 0), 3) == [] and rg.cycles(build(turn, 0), 8) == []
    )


@pytest.mark.parametrize("h", [1.0, 0.01])
def test_a_family_of_cycles_that_ends_at_a_boundary(h):
    """z -> h - max(z, 0): every z in (0, h) but h/2 has period 2 in one region, and 0 -> h -> 0 uses both."""
    net = build([[-1.0]], 1, [h])
    border, family = [c for c in rg.cycles(net, 2) if c.real]
    assert border.bits.tolist() == [[0], [1]] and border.boundary and border.marginal.shape == (1, 0)
    assert border.z == pytest.approx(np.array([[0], [h]]))
    assert family.bits.tolist() == [[1], [1]] and family.marginal.shape == (1, 1) and not family.boundary
    assert (family.z > 0).all() and abs(family.z[0, 0] - h / 2) > 1e-5
    assert step(net, family.z) == pytest.approx(family.z[::-1])


def test_cycles_arguments():
    net = random_net(4, 3, 1, scale=2.0)
    for one, point in zip(rg.cycles(net, 1), rg.fixed_points(net), strict=True):
        assert (one.z[0] == point.z).all() and (one.bits[0] == point.bits).all() and one.real == point.real
    some = rg.cycles(net, 2)
    again = rg.cycles(net, 2, sequences=np.stack([c.bits for c in some]))
    assert all((a.z == b.z).all() for a, b in zip(some, again, strict=True))
    assert rg.cycles(random_net(3, 0, 0), 30) == []
    with pytest.raises(ValueError, match="pass the sequences"):
        rg.cycles(net, 7)
    with pytest.raises(ValueError, match="k must be"):
        rg.cycles(net, 0)
    with pytest.raises(ValueError, match="shape"):
        rg.cycles(net, 2, sequences=np.zeros((5, 3, 3)))


# slow directions


def integrator(value, drive, rest=0.5, S=None):
    """u' = value u + drive beside v' = rest v + 1, in the coordinates S."""
    S = np.eye(2) if S is None else S
    return build(S @ np.diag([value, rest]) @ np.linalg.inv(S), 0, S @ np.array([drive, 1.0]))


@pytest.mark.parametrize("leak", [1.2e-9, 1.5e-9, 3e-9])
def test_a_leak_near_the_tolerance_is_a_point(leak):
    """Too ill-conditioned to be trusted at once, yet with no direction along which it is a line."""
    net = build([[1 - leak, 0.0], [0.0, 0.5]], P=1, h=[0.0, 1.0])
    virtual, real = sorted(rg.fixed_points(net), key=lambda p: p.real)
    assert (virtual.real, real.real, real.stable) == (False, True, True)
    np.testing.assert_allclose([virtual.z, real.z], [[0, 1], [0, 2]], atol=1e-6)
    assert real.marginal.shape[1] == 0 and not any(c.real for c in rg.cycles(net, 2))


def test_an_integrator_that_leaks_is_a_point_and_slow_makes_it_a_line():
    S = np.array([[1.0, 0.4], [-0.3, 1.0]])
    net = integrator(0.999, 0.002, S=S)
    (point,) = rg.fixed_points(net)
    (line,) = rg.fixed_points(net, slow=0.01)
    assert point.marginal.shape == (2, 0) and point.stable and not point.drift.any()
    assert line.marginal.shape == (2, 1) and line.attracting and not line.stable
    direction = line.marginal[:, 0]
    assert np.abs(direction @ S[:, 0]) == pytest.approx(np.linalg.norm(S[:, 0]))
    assert abs(line.z @ direction) < 1e-12  # z is the place nearest to the origin, as on a line of fixed points
    for a in (0.0, -3.0, 8.0):  # states creep along the line: by the drift at z, by (value - 1) a more further on
        z = line.z + a * direction
        assert step(net, z)[0] - z == pytest.approx(line.drift - 0.001 * a * direction, abs=1e-12)
    assert line.z + direction * (direction @ line.drift) / 0.001 == pytest.approx(point.z)
    assert rg.fixed_points(net, slow=0.0005)[0].marginal.shape == (2, 0)


@pytest.mark.parametrize("value", [1.0, 1 - 1e-6, 1.004])
def test_a_line_without_a_fixed_point_near_has_its_drift(value):
    """A gate that is held open: u creeps by 0.3 a step, and rests nowhere, or far away."""
    net = build([[value, 0.0], [1.0, 0.0]], 1, [0.3, 1.0])  # v = u + 1
    points = rg.fixed_points(net, slow=0.01)
    assert len(points) == 2
    for p in points:
        bit = int(p.bits[0])
        assert p.real and p.marginal.shape == (2, 1) and (p.z[1] > 0) == bit and not p.stable and p.attracting
        assert step(net, p.z)[0] - p.z == pytest.approx(p.drift, abs=1e-9) and p.drift[0] == pytest.approx(
            0.3, abs=0.02
        )
    if value == 1.0:
        assert rg.fixed_points(net) == []


@given(st.integers(0, 10_000), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_slow_planes_in_general_position(seed, m):
    """On the plane of the m slow eigenvectors through the fixed point a step moves by the drift, inside the plane."""
    rng = np.random.default_rng(seed)
    S = np.linalg.qr(rng.normal(size=(5, 5)))[0] + 0.3 * rng.normal(size=(5, 5))
    values = np.r_[1 + 0.01 * rng.uniform(0.1, 0.3, m) * rng.choice([-1, 1], m), rng.uniform(-0.8, 0.8, 5 - m)]
    J, h = S @ np.diag(values) @ np.linalg.inv(S), rng.normal(size=5)
    net, slow = rg.Map(np.zeros(5), J, h, nonlinear_size=0), np.linalg.qr(S[:, :m])[0]
    (exact,), (plane,) = rg.fixed_points(net), rg.fixed_points(net, slow=0.01)
    if np.linalg.norm(slow.T @ (J - np.eye(5)) @ slow, 2) > 0.009:
        return  # skewed within the slow part, where a step may be longer than its eigenvalues say
    V = plane.marginal
    assert V.shape == (5, m) and V.T @ V == pytest.approx(np.eye(m), abs=1e-12)
    assert np.abs(slow - V @ (V.T @ slow)).max() < 1e-8 and np.abs(V.T @ plane.z).max() < 1e-8 * np.abs(exact.z).max()
    off = exact.z - plane.z
    assert np.abs(off - V @ (V.T @ off)).max() < 1e-8 * np.abs(exact.z).max()  # the point that rests lies on the plane
    assert J @ plane.z + h - plane.z == pytest.approx(plane.drift, abs=1e-9) and plane.drift.any()
    assert np.abs(plane.drift - V @ (V.T @ plane.drift)).max() < 1e-9
    assert plane.attracting and not plane.stable


def test_a_shear_is_no_line():
    """Both eigenvalues are 0.999, but v pushes u: only along u do states stay."""
    net = build([[0.999, 1.0], [0.0, 0.999]], 0, [0.0, 0.001])
    (line,) = rg.fixed_points(net, slow=0.01)
    assert line.marginal.shape == (2, 1) and np.abs(line.marginal[:, 0]) == pytest.approx([1, 0], abs=2e-3)
    assert rg.jacobians(net, []) @ line.z + [0.0, 0.001] == pytest.approx(line.z + line.drift)
    pair = build(0.9999 * np.array([[np.cos(0.001), -np.sin(0.001)], [np.sin(0.001), np.cos(0.001)]]), 0, [0.1, 0])
    (plane,) = rg.fixed_points(pair, slow=0.01)
    assert plane.marginal.shape == (2, 2) and plane.attracting and plane.drift == pytest.approx([0.1, 0])


def test_slow_cycles():
    """z -> h - 0.9999 max(z, 0): nearly every z comes back after two steps."""
    net = build([[-0.9999]], 1, [1.0])
    assert rg.cycles(net, 2, virtual=False) == []
    (family,) = rg.cycles(net, 2, virtual=False, slow=0.01)
    assert family.marginal.shape == (1, 1) and family.real and not family.stable
    twice = step(net, family.z[0], times=2)[0]
    assert twice - family.z[0] == pytest.approx(family.drift, abs=1e-12) and 0 < abs(family.drift[0]) < 1e-3


def test_slow_must_be_a_distance():
    for slow in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="slow"):
            rg.fixed_points(build([[0.5]], 0), slow=slow)


# borders


def at_the_border(J_off, J_on, z=(0.7, 0.0)):
    """A net whose PWL unit 2 is at 0 in the fixed point z; its maps on the two sides differ in their last column."""
    J_off, J_on = np.array(J_off), np.array(J_on)
    assert (J_off[:, 0] == J_on[:, 0]).all() and J_off[0, 1] == 0
    W = np.column_stack([J_on[:, 0], J_on[:, 1] - J_off[:, 1]])
    return build(W, 1, (np.eye(2) - J_on) @ z, A=[0.0, J_off[1, 1]])


def test_stable_on_both_sides_of_a_border():
    both = rg.fixed_points(at_the_border([[0.5, 0.0], [0.2, 0.3]], [[0.5, 0.4], [0.2, 0.1]]))
    assert [p.real for p in both] == [True, False] and all(p.boundary and p.all_sides and p.stable for p in both)
    (off, _) = rg.fixed_points(at_the_border([[0.5, 0.0], [0.2, 0.3]], [[0.5, 0.4], [0.2, 1.6]]))
    assert off.real and np.abs(off.eigenvalues).max() < 1 and off.boundary  # the map of its own side shrinks
    assert not off.stable and not off.attracting and not off.all_sides
    free = rg.fixed_points(build([[0.5, 0.4], [0.2, 1.6]], 1, [1.0, -9.0]))
    assert all(p.all_sides for p in free if not p.boundary)


def test_stable_on_each_side_and_yet_not_at_the_border():
    """Both maps shrink every deviation in the end, but a path that goes from side to side grows."""
    J_off, J_on = np.array([[-0.9, 0.0], [1.3, -0.9]]), np.array([[-0.9, -1.1], [1.3, 0.7]])
    assert all(np.abs(np.linalg.eigvals(J)).max() < 0.91 for J in (J_off, J_on))
    net = at_the_border(J_off, J_on)
    for point in rg.fixed_points(net):
        assert point.boundary and np.abs(point.eigenvalues).max() < 0.91 and not point.stable and not point.attracting
    near = point.z + 1e-6 * np.random.default_rng(0).normal(size=(50, 2))
    assert (np.abs(step(net, near, times=300) - point.z).max(1) > 1).all()


@example(1, 1.078125, 1)  # its slowest mode keeps .9987 a step
@given(st.integers(0, 10_000), st.floats(0.2, 1.1), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_stable_at_a_border_is_true_in_the_run(seed, scale, P):
    rng = np.random.default_rng(seed)
    net = random_net(4, P, seed, scale=scale)
    z = np.r_[rng.normal(size=4 - P), np.zeros(P)]
    with torch.no_grad():
        net.h.copy_(torch.as_tensor((np.eye(4) - rg.jacobians(net, [0] * P)) @ z))
    (point,) = [p for p in rg.fixed_points(net) if p.real]
    assert point.boundary and point.z == pytest.approx(z, abs=1e-12) and (point.z[4 - P :] == 0).all()
    radii = [np.abs(np.linalg.eigvals(rg.jacobians(net, bits))).max() for bits in itertools.product((0, 1), repeat=P)]
    assert not point.stable or max(radii) < 1
    if point.stable:
        near = point.z + rng.normal(size=(40, 4)) * 1e-3
        slowest = max(radii)
        assume(slowest < 1 - 1e-4)  # else the run takes too long to tell
        assert np.abs(step(net, near, times=int(20 / (1 - slowest))) - point.z).max() < 1e-6
    if max(np.linalg.norm(rg.jacobians(net, bits), 2) for bits in itertools.product((0, 1), repeat=P)) < 1:
        assert point.stable


def test_too_many_units_at_a_border_leave_it_unsaid():
    (few,) = rg.fixed_points(build(0.5 * np.eye(10), 10), bits=[[0] * 10])
    (many,) = rg.fixed_points(build(0.5 * np.eye(11), 11), bits=["0" * 11])
    assert few.stable and few.boundary and many.boundary and not many.all_sides and not many.stable


def test_a_line_along_a_border_attracts_if_both_sides_do():
    """u is held; v, at 0, decays on both sides, or only on one."""
    for gain, attracts in ((0.5, True), (1.5, False)):
        net = build([[1.0, 0.3], [0.0, gain]], 1)
        off = next(p for p in rg.fixed_points(net) if p.real)
        assert off.boundary and off.marginal.shape == (2, 1) and off.attracting == attracts and not off.stable


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.0, 0.05]))
@settings(max_examples=60, deadline=None)
def test_real_points_lie_in_their_region_to_the_last_bit(seed, P, slow):
    """On grids, where units are at 0 but for rounding, and where not."""
    rng = np.random.default_rng(seed)
    T = np.linalg.qr(rng.normal(size=(4, 4)))[0][:, :4]
    W, z = rng.integers(-4, 5, (4, 4)) / 4, rng.integers(-1, 2, 4) / 2
    m = rg.Map(rng.integers(-2, 3, 4) / 4, W @ (T @ T.T), z, nonlinear_size=P)
    with torch.no_grad():
        bits = (z[4 - P :] > 0).astype(int)
        m = rg.Map(m.A, m.W, (np.eye(4) - rg.jacobians(m, bits)) @ z, nonlinear_size=P)
    points = rg.fixed_points(m, slow=slow)
    assert any(p.real and np.abs(p.z - z).max() < 1e-6 for p in points) or any(p.marginal.size for p in points)
    for p in [*points, *rg.cycles(m, 2, slow=slow)]:
        orbit = np.atleast_2d(p.z)
        seen = rg.visits(m, orbit[None])
        assert not p.real or (seen.bits[seen.index[0]] == np.atleast_2d(p.bits)).all()


# search


def enumerable(seed, P=8):
    rng = np.random.default_rng(seed)
    W = 1.6 / np.sqrt(P + 2) * rng.normal(size=(P + 2, P + 2)) + 0.4 * np.eye(P + 2)
    return rg.Map(0.3 * rng.uniform(size=P + 2), W, 0.5 * rng.normal(size=P + 2), nonlinear_size=P)


@given(st.integers(0, 10_000), st.integers(0, 6), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_searching_against_all_regions(seed, P, starts):
    m = enumerable(seed, P)
    s = None
    exhaustive = {p.code: p.z for p in rg.fixed_points(m, s, virtual=False)}
    found = rg.search(m, starts=starts, seed=seed)
    assert {p.code for p in found} <= exhaustive.keys() and len({p.code for p in found}) == len(found)
    assert all(p.real and np.allclose(p.z, exhaustive[p.code]) for p in found)
    if found.complete:
        assert {p.code for p in found} == exhaustive.keys()
    everything = rg.search(m, bits=all_codes(P), starts=0)
    assert everything.complete and {p.code for p in everything} == exhaustive.keys()


def all_codes(P):
    return ["".join(bits) for bits in itertools.product("01", repeat=P)]


def test_jumping_finds_what_few_regions_hold():
    hits = total = 0
    for seed in range(12):
        m = enumerable(seed, 10)
        exhaustive = {p.code for p in rg.fixed_points(m, virtual=False)}
        found = rg.search(m)
        assert not found.complete and {p.code for p in found} <= exhaustive
        hits, total = hits + len(found), total + len(exhaustive)
    assert hits >= 0.8 * total > 0  # from 100 of 1,024 regions


def test_searching_beyond_enumeration():
    """Twelve switches of two PWL units, weakly coupled: up to 3^12 fixed points in 2^24 regions."""
    W = np.kron(np.eye(12), [[0.5, -1.0], [-1.0, 0.5]]) + 0.002 * np.random.default_rng(0).normal(size=(24, 24))
    m = rg.Map(np.zeros(24), W, np.ones(24), nonlinear_size=24)
    with pytest.raises(ValueError, match=r"search\(net\)"):
        rg.fixed_points(m)
    found = rg.search(m)
    assert len(found) > 10 and not found.complete and len({p.code for p in found}) == len(found)
    for p in found:
        assert p.real and m.step(p.z[None], m.drive())[0] == pytest.approx(p.z)
    again = rg.search(m, bits=[p.bits for p in found], starts=0)
    assert [p.code for p in again] == [p.code for p in found]
    assert len(rg.search(m, starts=50, most=10)) <= 10 and rg.search(m, starts=0) == []
    with pytest.raises(ValueError, match="regions must have shape"):
        rg.search(m, bits=np.zeros((2, 3, 24)))


def test_searching_meets_lines():
    net = build([[1.0, 1], [0, 0]], 1, [0, -1.0])
    (line,) = rg.search(net)
    assert line.real and line.marginal.shape == (2, 1)
    leaking = build([[0.9999, 1], [0, 0]], 1, [0.01, -1.0])
    (line,) = rg.search(leaking, slow=0.01)
    assert line.marginal.shape == (2, 1)


# lists of points


def test_bits_as_bitcodes():
    net = random_net(5, 3, 1)
    seen = rg.visits(net, run(net)[1])
    for by_code, by_bits in zip(
        rg.fixed_points(net, bits=seen.codes), rg.fixed_points(net, bits=seen.bits), strict=True
    ):
        assert (by_code.z == by_bits.z).all() and by_code.code in seen.codes
    pair = [[seen.codes[0], seen.codes[1]]]
    assert rg.cycles(net, 2, sequences=pair)[0].code == " ".join(pair[0])
    assert (rg.jacobians(net, "010") == rg.jacobians(net, [0, 1, 0])).all()
    assert (rg.spectrum(net, "010").eigenvalues == rg.spectrum(net, [0, 1, 0]).eigenvalues).all()
    assert rg.jacobians(random_net(4, 0, 0), "").shape == (4, 4)
    for bad in ("01", "012", ["010", "0100"]):
        with pytest.raises(ValueError, match="bitcodes must have 3 digits"):
            rg.jacobians(net, bad)


def test_a_list_of_points_as_a_table():
    net = build([[2.0]], 1, [-1.0])
    points = rg.fixed_points(net)
    table = points.table()
    assert list(table["region"]) == ["0", "1"] and list(table["real"]) == [True, True]
    assert list(table["stable"]) == [True, False] and list(table["radius"]) == [0, 2] and (table["drift"] == 0).all()
    assert points.complete and not rg.fixed_points(net, bits=["0"]).complete and len(points[:1]) == 1
    assert rg.fixed_points(net, bits=np.zeros((0, 1))).table().empty
    assert list(rg.cycles(build([[-4.0]], 1, [1.0], A=[2.0]), 2).table()["region"]) == ["0 1"]


def test_unique_places():
    points = rg.fixed_points(build(0.5 * np.eye(3), 3))
    (one,) = points.unique()
    assert len(points) == 8 and one.real
    tent = build([[-4.0]], 1, [1.0], A=[2.0])
    orbits = rg.cycles(tent, 4)
    turned = [rg.Cycle(np.roll(c.z, 1, 0), c.bits, c.real, c.eigenvalues, c.marginal, c.boundary) for c in orbits]
    both = rg.Points([*orbits, *turned, *rg.fixed_points(tent)])
    assert [c.z.shape for c in both.unique()] == [c.z.shape for c in [*orbits, *rg.fixed_points(tent)]]


@pytest.mark.parametrize("P", [0, 2])
def test_points_are_saved_and_loaded(P, tmp_path):
    net = random_net(4, P, 2, scale=1.5)
    lists = [
        rg.fixed_points(net, slow=0.2),
        rg.cycles(net, 2),
        rg.fixed_points(build([[1.0, 0], [0, 0.5]], 0, [0, 1.0])),
    ]
    for points in [*lists, rg.Points([*lists[0], *lists[1]]), rg.fixed_points(net, bits=np.zeros((0, P)))]:
        points.save(tmp_path / "points.json")
        again = rg.Points.load(tmp_path / "points.json")
        assert again.complete == points.complete and len(again) == len(points)
        for p, q in zip(points, again, strict=True):
            assert type(p) is type(q)
            for name in ("z", "bits", "eigenvalues", "marginal", "drift"):
                one, other = getattr(p, name), getattr(q, name)
                assert one.dtype == other.dtype and one.shape == other.shape and (one == other).all()
            assert (p.real, p.boundary, p.all_sides) == (q.real, q.boundary, q.all_sides)
            assert (p.stable, p.attracting) == (q.stable, q.attracting)
    for text in ("{}", "no json", '{"complete": true, "points": [{"z": 1}]}'):
        (tmp_path / "other").write_text(text)
        with pytest.raises(ValueError, match="does not hold fixed points"):
            rg.Points.load(tmp_path / "other")
