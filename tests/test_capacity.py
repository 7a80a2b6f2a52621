"""Few PWL units suffice: nets built by hand, exact on the library's own tasks, and what no linear net exceeds."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from alrnn import regions, tasks, theory

GATES, NUMBERS, BITS = theory.copy_by_gates, theory.copy_by_numbers, theory.copy_by_bits


def gen(seed):
    return torch.Generator().manual_seed(seed)


def right(net, task, n=300, seed=0):
    """Share of whole sequences recalled without an error."""
    batch = task.sample(n, gen(seed))
    return float(task.score_sequence(net(batch.s.to(net.W.dtype))[0][:, -batch.last :], batch))


@pytest.mark.parametrize(
    ("make", "symbols", "delay", "window", "alphabet", "P"),
    [
        (GATES, 1, 0, 10, 4, 0),
        (GATES, 2, 3, 10, 4, 1),
        (GATES, 3, 4, 1, 2, 2),
        (GATES, 5, 50, 50, 4, 4),
        (GATES, 12, 13, 20, 9, 11),
        (NUMBERS, 1, 2, 5, 4, 7),
        (NUMBERS, 5, 50, 50, 4, 7),
        (NUMBERS, 16, 18, 30, 4, 7),
        (NUMBERS, 24, 26, 9, 2, 3),
        (BITS, 1, 3, 5, 2, 3),
        (BITS, 5, 50, 50, 4, 6),
        (BITS, 24, 26, 30, 4, 6),
        (BITS, 12, 14, 30, 8, 9),
        (BITS, 12, 14, 30, 6, 9),
    ],
)
def test_few_units_solve_variable_copy(make, symbols, delay, window, alphabet, P):
    net = make(symbols, alphabet)
    assert net.nonlinear_size == P and net.W.dtype == torch.float64
    assert right(net, tasks.VariableCopy(symbols, delay, window, alphabet)) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 7), st.integers(0, 60), st.integers(1, 30), st.integers(2, 9), st.integers(0, 10**6))
def test_any_size(symbols, more, window, alphabet, seed):
    task = tasks.VariableCopy(symbols, symbols + 2 + more, window, alphabet)
    for make in (GATES, NUMBERS, BITS):
        assert right(make(symbols, alphabet), task, 10, seed) == 1


@pytest.mark.parametrize("make", [GATES, NUMBERS, BITS])
def test_each_kink_counts(make):
    task = tasks.VariableCopy(3, 6, 5)
    for unit in range(make(3).nonlinear_size):
        assert right(regions.linearise(make(3), unit), task) < 0.6


def test_a_delay_too_short_is_one_too_short():
    """Gates hold from symbols + 1 on, numbers from symbols + 2."""
    for S in (2, 3, 5):
        assert right(GATES(S), tasks.VariableCopy(S, S + 1, 5)) == 1 > right(GATES(S), tasks.VariableCopy(S, S - 1, 1))
        assert (
            right(NUMBERS(S), tasks.VariableCopy(S, S + 2, 5)) == right(BITS(S), tasks.VariableCopy(S, S + 2, 5)) == 1
        )


def words(net, task, cue):
    """How many sequences of regions there are over all sequences of symbols, with the cue at one time."""
    S, K, T = task.symbols, task.alphabet, 2 * task.symbols + task.delay + task.window
    every = torch.tensor([*itertools.product(range(K), repeat=S)])
    s = torch.zeros(len(every), T, K + 1, dtype=torch.float64)
    s[:, :S] = torch.nn.functional.one_hot(every, K + 1)
    s[:, cue, K] = 1
    index = regions.visits(net, net(s)[1]).index
    return len(np.unique(index, axis=0))


@pytest.mark.parametrize(("S", "K"), [(2, 4), (3, 4), (5, 2)])
def test_gates_do_not_depend_on_the_symbols_and_numbers_do(S, K):
    task = tasks.VariableCopy(S, S + 3, 5, K)
    assert words(GATES(S, K), task, 2 * S + 4) == 1
    assert words(NUMBERS(S, K), task, 2 * S + 4) > 1 and words(BITS(S, K), task, 2 * S + 4) > 1


def test_numbers_need_precision():
    with pytest.raises(ValueError, match="25 digits to the base 4 do not fit"):
        BITS(25)
    with pytest.raises(ValueError, match="17 digits to the base 8 do not fit"):
        NUMBERS(17)
    for make, least in ((GATES, 1), (NUMBERS, 1), (BITS, 1)):
        with pytest.raises(ValueError, match="symbols"):
            make(least - 1)
        with pytest.raises(ValueError, match="alphabet"):
            make(3, 1)
    single = tasks.VariableCopy(16, 18, 5)  # 32 binary digits are more than float32 has
    assert right(BITS(16).float(), single) < 0.9 and right(GATES(16).float(), single) == 1


def test_parity_with_one_unit():
    s = 2.0 * torch.randint(0, 2, (50, 1000, 1), generator=gen(1)).double() - 1
    product = torch.cat([torch.ones(50, 1), s[..., 0].cumprod(1)[:, :-1]], 1)
    net = theory.exact_parity()
    assert (net.hidden_size, net.nonlinear_size) == (2, 1)
    assert torch.equal(net(s)[0][..., 0], product)
    assert not torch.equal(regions.linearise(net, 0)(s[:, :5])[0][..., 0], product[:, :5])


# Linear nets


@pytest.mark.parametrize(("delay", "window", "alphabet"), [(0, 2, 2), (5, 10, 4), (10, 10, 2), (3, 4, 3)])
def test_a_linear_net_reaches_the_bound_exactly(delay, window, alphabet):
    """Over all sequences and all cue times, counted."""
    task, net = tasks.VariableCopy(2, delay, window, alphabet), theory.linear_copy(delay, window, alphabet)
    assert net.nonlinear_size == 0
    every = torch.tensor([*itertools.product(range(alphabet), repeat=2)])
    hits = []
    for cue in range(window):
        s = torch.zeros(len(every), task.held_out("test", 1).s.shape[1], alphabet + 1, dtype=torch.float64)
        s[:, :2] = torch.nn.functional.one_hot(every, alphabet + 1)
        at = 2 + delay + cue
        s[:, at, alphabet] = 1
        hits.append((net(s)[0][:, at + 1 : at + 3].argmax(-1) == every).double().mean())
    assert float(torch.stack(hits).mean()) == pytest.approx(theory.linear_copy_accuracy(2, window, alphabet), abs=1e-12)


def test_no_affine_map_does_better_on_four_trials():
    """One step, two positions, two symbols: of all 2^8 answers to the 8 trials, those that a linear programme allows.

    The difference of the two logits is a w_1 + b w_2 + c r + d, for symbols a, b and cue c, each -1 or 1.
    """
    trials = np.array([*itertools.product((-1, 1), repeat=3)])
    truth = np.where(trials[:, 2] < 0, trials[:, 0], trials[:, 1])
    best = 0.0
    for answer in itertools.product((-1, 1), repeat=8):
        rows = -np.array(answer)[:, None] * np.hstack([trials, np.ones((8, 1))])
        if linprog(np.zeros(4), A_ub=rows, b_ub=-np.ones(8), bounds=[(None, None)] * 4).success:
            best = max(best, float((answer == truth).mean()))
    assert best == 1 - (1 - 1 / 2) / 4 == 0.875
    assert theory.linear_copy_accuracy(2, 2, 2) == (1 + 0.875) / 2


def test_the_bound_is_above_the_vote_and_below_one():
    for S, window, K in itertools.product((1, 2, 3), (1, 2, 9), (2, 4)):
        bound, vote = theory.linear_copy_accuracy(S, window, K), theory.variable_copy_limits(S, window, K).symbol
        assert vote <= bound + 1e-12 and (bound == 1) == (S == 1 or window == 1)
    assert theory.linear_copy_accuracy(2, 10, 4) == pytest.approx((2 + 18 * 0.8125) / 20)
