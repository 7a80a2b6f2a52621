"""Machines of finite memory, against plain counting and swapping of lists."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alrnn import regions, theory


def outputs(net, s):
    """(T, O) of one sequence (T, N)."""
    return net(torch.as_tensor(np.asarray(s, float))[None])[0][0].detach().numpy()


def test_parity_with_one_unit():
    s = 2.0 * torch.randint(0, 2, (50, 1000, 1), generator=torch.Generator().manual_seed(1)).double() - 1
    product = torch.cat([torch.ones(50, 1), s[..., 0].cumprod(1)[:, :-1]], 1)
    net = theory.exact_parity()
    assert (net.hidden_size, net.nonlinear_size) == (2, 1)
    assert torch.equal(net(s)[0][..., 0], product)
    assert not torch.equal(regions.linearise(net, 0)(s[:, :5])[0][..., 0], product[:, :5])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 1), min_size=1, max_size=300))
def test_one_unit_counts_modulo_any_number(k, steps):
    net = theory.exact_counter(k)
    assert (net.hidden_size, net.nonlinear_size) == (2, 1)
    before = [sum(steps[:t]) for t in range(len(steps))]
    assert outputs(net, np.array(steps)[:, None])[:, 0].tolist() == [(c - 1) % k + 1 for c in before]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.data())
def test_swaps_are_followed(n, data):
    """-1 is an empty step."""
    swaps = data.draw(st.lists(st.integers(-1, n - 2), min_size=1, max_size=200))
    net = theory.exact_swaps(n)
    assert (net.hidden_size, net.nonlinear_size) == (2 * n - 1, n - 1)
    places, seen = list(range(1, n + 1)), []
    for i in swaps:
        seen.append(places.copy())
        if i >= 0:
            places[i], places[i + 1] = places[i + 1], places[i]
    said = np.array([np.arange(n - 1) == i for i in swaps])
    assert outputs(net, said) == pytest.approx(np.array(seen), abs=1e-9)


def test_long_sequences_and_that_each_kink_counts():
    g = np.random.default_rng(0)
    said = np.eye(4)[g.integers(0, 4, 20_000)]
    net, places = theory.exact_swaps(5), list(range(1, 6))
    for i in said.argmax(1)[:-1]:
        places[i], places[i + 1] = places[i + 1], places[i]
    assert outputs(net, said)[-1] == pytest.approx(places, abs=1e-6)
    for unit in range(4):
        assert abs(outputs(regions.linearise(net, unit), said[:50])[-1] - outputs(net, said[:50])[-1]).max() > 0.5


@pytest.mark.parametrize("n", [2, 3, 4])
def test_states_lie_in_a_plane_of_as_many_dimensions_as_there_are_kinks(n):
    """One state for each arrangement, kept by an empty step; all n! of them are visited."""
    g = np.random.default_rng(n)
    s = np.zeros((2 * 400, n - 1))
    s[np.arange(0, 800, 2), g.integers(0, n - 1, 400)] = 1  # a swap, then an empty step
    net = theory.exact_swaps(n)
    y, z = net(torch.tensor(s)[None])
    z, y = z[0, 1::2].detach().numpy(), y[0, 1::2].detach().numpy().round(6)
    assert {tuple(row) for row in y} == set(itertools.permutations(np.arange(1.0, n + 1)))
    states = np.unique(z.round(9), axis=0)
    assert len(states) == len({tuple(row) for row in y})
    assert np.linalg.matrix_rank(states - states[0], tol=1e-6) == net.nonlinear_size


@pytest.mark.parametrize(("make", "least"), [(theory.exact_counter, 1), (theory.exact_swaps, 2)])
def test_bad_sizes(make, least):
    for bad in (least - 1, 2.5):
        with pytest.raises(ValueError, match=f"at least {least}"):
            make(bad)


def places_of_the_ball(swaps, place):
    """Its place before each swap of i and i + 1, counted from 1; -1 is an empty step."""
    seen = []
    for i in map(int, swaps):
        seen.append(place)
        place += (place == i + 1) - (place == i + 2) if i >= 0 else 0
    return seen


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.data())
def test_four_units_follow_the_ball_among_any_number_of_cups(n, data):
    first = data.draw(st.integers(1, n))
    swaps = data.draw(st.lists(st.integers(-1, n - 2), min_size=1, max_size=200))
    net = theory.exact_ball(n, first)
    assert (net.hidden_size, net.nonlinear_size) == (6, 4)
    said = np.array([np.arange(n - 1) == i for i in swaps])
    assert outputs(net, said)[:, 0] == pytest.approx(places_of_the_ball(swaps, first), abs=1e-9)


def test_the_ball_is_followed_for_long_and_each_of_the_four_kinks_counts():
    g = np.random.default_rng(2)
    swaps = g.integers(0, 5, 20_000)
    net, said = theory.exact_ball(6, 3), np.eye(5)[swaps]
    truth = places_of_the_ball(swaps, 3)
    assert outputs(net, said)[:, 0] == pytest.approx(truth, abs=1e-6)
    for unit in range(4):
        assert abs(outputs(regions.linearise(net, unit), said[:200])[:, 0] - truth[:200]).max() > 0.5


@pytest.mark.parametrize("first", [0, 4, 1.5])
def test_the_ball_is_under_one_of_the_cups(first):
    with pytest.raises(ValueError, match="first must be"):
        theory.exact_ball(3, first)


def exchanges(f, inputs, n):
    """Which places of 0 to n - 1 each input's map exchanges; it must leave all others."""
    found = []
    for shifts in inputs:
        image = [f(x, *shifts) for x in range(n)]
        moved = [x for x in range(n) if image[x] != x]
        assert len(moved) == 2 and [image[x] for x in moved] == moved[::-1], image
        found.append(tuple(moved))
    return found


def test_one_kink_for_the_ball_among_three_cups_and_two_among_four():
    """As automata says: enough if a swap comes at each step. The exchanges join all places in a row."""

    def one(x, shift):
        return 1 - (x - shift) + 3 * max(x - shift - 1, 0)

    def two(x, add, low, high):
        return add - x + 4 * max(x - high, 0) - 4 * max(low - x, 0)

    assert exchanges(one, [(0,), (1,)], 3) == [(0, 1), (0, 2)]
    assert exchanges(two, [(2, -9, 2), (3, 0.75, 2.25), (4, 1, 12)], 4) == [(0, 2), (1, 2), (1, 3)]


def test_one_kink_exchanges_only_the_first_and_third_of_four_places():
    """What the bound for four cups turns on: by brute force over slopes, kinks and places."""
    found = set()
    slopes = np.arange(-4, 4.1, 0.5)
    for x in map(np.array, itertools.combinations(range(7), 4)):
        for left, right, kink in itertools.product(slopes, slopes, np.arange(0, 6.1, 0.5)):
            shape = left * np.minimum(x - kink, 0) + right * np.maximum(x - kink, 0)
            for image in shape - shape[0] + x[:, None]:
                moved = np.flatnonzero(abs(image - x) > 1e-9)
                if len(moved) == 2 and np.allclose(image[moved], x[moved[::-1]]):
                    found.add((left < 0 < right, *moved.tolist()))
    assert found == {(True, 0, 2), (False, 1, 3)}
