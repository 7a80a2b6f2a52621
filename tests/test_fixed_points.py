"""Fixed points and cycles against closed forms, the net's own forward pass, and searches without the library."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
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
