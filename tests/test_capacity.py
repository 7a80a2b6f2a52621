"""Few PWL units suffice: nets built by hand, exact on the library's own tasks, and what no linear net exceeds."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import norm

from alrnn import ALRNN, regions, tasks, theory

GATES, NUMBERS, BITS = theory.copy_by_gates, theory.copy_by_numbers, theory.copy_by_bits
TENTS = theory.copy_by_tents


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
        (TENTS, 2, 3, 9, 4, 2),
        (TENTS, 5, 50, 50, 4, 2),
        (TENTS, 7, 43, 5, 6, 3),
        (TENTS, 14, 14 * 13 + 1, 3, 2, 1),
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


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(1, 40), st.integers(1, 20), st.integers(2, 9), st.integers(0, 10**6))
def test_tents_of_any_size(symbols, more, window, alphabet, seed):
    net = TENTS(symbols, alphabet)
    assert net.nonlinear_size == int(alphabet - 1).bit_length()
    assert right(net, tasks.VariableCopy(symbols, symbols * (symbols - 1) + more, window, alphabet), 10, seed) == 1


@pytest.mark.parametrize("S", [3, 4, 6, 9])
def test_one_unit_recalls_every_sequence_of_two_letters(S):
    """All 2^S of them; each has its own word of regions. One step of delay less, and some are lost."""
    task, net = tasks.VariableCopy(S, S * (S - 1) + 1, 3, 2), TENTS(S, 2)
    assert net.nonlinear_size == 1
    for cue in range(S * S + 1, S * S + 4):
        symbols, s = theory.copy_trials(task, cue)
        assert torch.equal(net(s)[0][:, cue + 1 : cue + 1 + S].argmax(-1), symbols)
        assert theory.region_words(net, task, cue) == 2**S
    assert right(net, tasks.VariableCopy(S, S * (S - 1), 1, 2)) < 1
    assert right(regions.linearise(net, 0), task) < 0.6


def test_numbers_need_precision():
    with pytest.raises(ValueError, match="25 digits to the base 4 do not fit"):
        BITS(25)
    with pytest.raises(ValueError, match="17 digits to the base 8 do not fit"):
        NUMBERS(17)
    for make in (TENTS, lambda S: TENTS(S, 2)):
        with pytest.raises(ValueError, match="symbols must be an integer from 2 to 48, got 49"):
            make(49)
    for make, least in ((GATES, 1), (NUMBERS, 1), (BITS, 1), (TENTS, 2)):
        with pytest.raises(ValueError, match="symbols"):
            make(least - 1)
        with pytest.raises(ValueError, match="alphabet"):
            make(3, 1)
    single = tasks.VariableCopy(16, 18, 5)  # 32 binary digits are more than float32 has
    assert right(BITS(16).float(), single) < 0.9 and right(GATES(16).float(), single) == 1


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


# Lower bounds


def rank(H):
    return int(torch.linalg.matrix_rank(H))


@pytest.mark.parametrize(("S", "K", "delay"), [(2, 4, 3), (3, 2, 4), (5, 3, 20), (10, 2, 12), (16, 4, 17)])
def test_recall_directions_of_gates_have_full_rank(S, K, delay):
    """Rank S, which is P + 1; the fixed copy has rank S, which is M."""
    net = GATES(S, K)
    H = theory.recall_directions(net, tasks.VariableCopy(S, delay, 7, K), cue=S + delay + 5)
    assert rank(H) == S == net.nonlinear_size + 1
    assert torch.equal(H, torch.eye(S, dtype=torch.float64) / 2)
    ring = theory.exact_fixed_copy(S, delay, K)
    assert rank(theory.recall_directions(ring, tasks.FixedCopy(S, delay, K))) == S == ring.hidden_size


def test_recall_directions_say_what_the_margins_are():
    """H sigma + c over all 2^S sequences, of a net whose gates leak."""
    task, net = tasks.VariableCopy(4, 6, 3, 2), GATES(4, 2)
    with torch.no_grad():
        net.D += 0.1 * torch.randn(net.D.shape, generator=gen(0), dtype=torch.float64)
    symbols, s = theory.copy_trials(task)
    H, sigma = theory.recall_directions(net, task), 2.0 * symbols.double() - 1
    y = net(s)[0][:, 4 + 6 + 1 :][:, :4].detach()
    margin = y[..., 1] - y[..., 0]
    assert torch.allclose(margin - margin.mean(0), sigma @ H.T)


@pytest.mark.parametrize("seed", range(6))
def test_each_gate_adds_one_direction_at_most(seed):
    """Some gates shut for good, any readout, any late echoes of what the gates let out: rank H is at most P + 1."""
    rng, S = np.random.default_rng(seed), 8
    task, net = tasks.VariableCopy(S, S + 4, 3, 2), GATES(S, 2)
    shut = rng.permutation(S - 1)[: rng.integers(1, S)]
    with torch.no_grad():
        net.D += torch.from_numpy(rng.normal(size=net.D.shape))
        rest = net.hidden_size - net.nonlinear_size
        net.h[rest + torch.from_numpy(shut)] -= 1e6
    H = theory.recall_directions(net, task)
    assert rank(H) <= (S - 1 - len(shut)) + 1 < S
    assert not (H.diag() > H.abs().sum(1) - H.diag().abs()).all(), "not dominant, so some sequence comes out wrong"
    assert right(net, task) < 1


@pytest.mark.parametrize("M", [1, 3, 6])
def test_a_linear_net_recalls_in_no_more_directions_than_it_has_units(M):
    rng, S = np.random.default_rng(M), 8
    W = np.linalg.qr(rng.normal(size=(M, M)))[0]
    net = ALRNN.from_weights(W, np.zeros(M), C=rng.normal(size=(M, 3)), D=rng.normal(size=(2, M)), nonlinear=0)
    assert rank(theory.recall_directions(net, tasks.FixedCopy(S, 3, 2))) == M < S


@pytest.mark.parametrize(("S", "K"), [(2, 5), (4, 3), (6, 3), (9, 2)])
def test_region_words(S, K):
    """Against visits; all words of numbers differ, so they can hold what was said."""
    task = tasks.VariableCopy(S, S + 3, 5, K)
    assert theory.region_words(GATES(S, K), task) == 1
    for make in (NUMBERS, BITS):
        assert theory.region_words(make(S, K), task, 2 * S + 4) == words(make(S, K), task, 2 * S + 4) == K**S
    assert theory.region_words(theory.exact_fixed_copy(S, 3, K), tasks.FixedCopy(S, 3, K)) == 1


@pytest.mark.parametrize(("delay", "noise"), [(0, 0.2), (7, 0.1), (30, 0.3)])
def test_noise_adds_up_as_it_should(delay, noise):
    """One symbol in one integrator: a random walk of delay + 3 steps, wrong where it passes 1/2."""
    expected = norm.cdf(0.5 / (noise * (delay + 3) ** 0.5))
    task = tasks.FixedCopy(1, delay, 2)
    found = theory.noisy_accuracy(theory.exact_fixed_copy(1, delay, 2), task, noise, 4000)
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)


@pytest.mark.parametrize("S", [2, 4, 7])
def test_noise_ends_numbers_long_before_gates(S):
    """A number that rests multiplies its error by the base at every step; a gate adds it up."""
    task = tasks.VariableCopy(S, S + 8, 1)
    steps = 3 * S + 8
    for make, base in ((NUMBERS, 8.0), (BITS, 4.0)):
        assert theory.noisy_accuracy(make(S), task, base ** -(steps + 3), 100) == 1
        assert theory.noisy_accuracy(make(S), task, base ** -(steps - 4), 100) < 0.9
    assert theory.noisy_accuracy(GATES(S), task, 1e-4, 100) == 1
    assert theory.noisy_accuracy(GATES(S), task, 0.1, 100) < 0.6
    assert theory.noisy_accuracy(GATES(S).float(), task, 0.0, 100) == 1


def test_tents_lose_with_each_symbol_but_not_with_each_step():
    for delay in (7, 40):
        task = tasks.VariableCopy(3, delay, 1, 2)
        assert theory.noisy_accuracy(TENTS(3, 2), task, 1e-4, 100) == 1
        assert theory.noisy_accuracy(TENTS(3, 2), task, 0.1, 100) < 0.7
    task = tasks.VariableCopy(10, 91, 1, 2)
    assert theory.noisy_accuracy(TENTS(10, 2), task, 1e-8, 100) == 1
    assert theory.noisy_accuracy(TENTS(10, 2), task, 1e-3, 100) < 0.7


# Sums over steps: the score of a trial, or its class as -1 or 1, from its inputs alone.


def marked_sum(s):
    return (s[..., 0] * s[..., 1]).sum(1)


def named_stream(s):
    return (s[..., :2] * s[..., 2:]).sum((1, 2))


def inverted(s):
    return (s[:, 0, 0] - s[:, 0, 1]) * s[..., 2].sum(1).sign()


def parity(s):
    return s[:, :-1, 0].prod(1)


def due(s, at=6):
    """Two symbols and letters: which letter is due at one step of the recall."""
    position = at - 1 - s[:, :, 2].argmax(1)
    return (2.0 * s[:, :2, 1] - 1).gather(1, position[:, None])[:, 0]


def exchanges(task, f, steps=None, n=300, seed=0):
    """The largest difference over pairs of trials that exchange these steps, or any of 40 random groups of steps."""
    s = task.sample(2 * n, gen(seed)).s.double()
    groups = [steps] if steps else torch.rand(40, s.shape[1], generator=gen(seed + 1)) < 0.5
    return max(float(theory.swap_difference(f, s[:n], s[n:], group).abs().max()) for group in groups)


def test_which_targets_are_sums_over_steps():
    """What is no sum is shown by exchanges after which trials are trials of the task."""
    adding, modality = tasks.Adding(10), tasks.TwoModality(9, 0.0)
    inversion, copy = tasks.RuleInversion(9), tasks.VariableCopy(2, 2, 2, 2)  # at step 6 some symbol is due
    batch = {task: task.sample(200, gen(4)) for task in (adding, modality, inversion, copy)}
    assert torch.allclose(marked_sum(batch[adding].s), batch[adding].target[:, 0, 0])
    assert torch.equal(named_stream(batch[modality].s) > 0, batch[modality].target[:, 0] > 0)
    assert torch.equal(inverted(batch[inversion].s) > 0, batch[inversion].target[:, 0] > 0)
    assert torch.equal(due(batch[copy].s) > 0, batch[copy].target[:, 1] > 0) and batch[copy].weight[:, 1].all()
    assert exchanges(adding, marked_sum) < 1e-12 and exchanges(modality, named_stream) < 1e-12
    assert exchanges(inversion, inverted, [*range(1, 8)]) == 4
    assert exchanges(copy, due, [0, 1]) == 4
    s = 2.0 * torch.randint(0, 2, (400, 12, 1), generator=gen(2)) - 1
    assert theory.swap_difference(parity, s[:200], s[200:], torch.arange(5)).abs().max() == 4


def test_no_encoder_of_steps_makes_a_linear_net_more_than_a_sum():
    encoder = torch.nn.Sequential(torch.nn.Linear(3, 30), torch.nn.Tanh(), torch.nn.Linear(30, 5)).double()
    s, other = torch.randn(2, 200, 11, 3, generator=gen(3), dtype=torch.float64)
    for P, sums in ((0, True), (2, False)):
        net = ALRNN(5, 8, P, 2, seed=1, init="rotation").double()
        found = theory.swap_difference(lambda x, net=net: net(encoder(x))[0][:, -1], s, other, torch.arange(4, 9))
        assert found.shape == (200, 2) and (float(found.detach().abs().max()) < 1e-12) == sums


# Stable fixed points


def rivals(P):
    """Each unit holds itself up and the others down: z_i = 1 - 2 (the others): one stable point for each unit."""
    return regions.Map(np.zeros(P), -2.0 * (1 - np.eye(P)), np.ones(P), nonlinear_size=P)


def stable(net):
    points = regions.fixed_points(net, virtual=False)
    return np.array([p.bits for p in points if p.stable], dtype=int).reshape(-1, net.nonlinear_size)


def test_stable_points_differ_in_two_bits():
    """Random nets, most of rivals, with and without linear units: hundreds of pairs of stable points."""
    rng, pairs = np.random.default_rng(0), 0
    for _ in range(800):
        P = int(rng.integers(2, 6))
        M = P + int(rng.integers(0, 3))
        A, W = np.r_[np.zeros(M - P), rng.uniform(-0.9, 0.9, P)], rng.normal(size=(M, M)) * 0.3
        W[M - P :, M - P :] -= rng.uniform(0.5, 3, (P, P)) * (1 - np.eye(P))
        codes = stable(regions.Map(A, W, rng.normal(size=M) + 1, nonlinear_size=P))
        distance = (codes[:, None] != codes[None]).sum(2)[np.triu_indices(len(codes), 1)]
        assert len(codes) <= theory.most_stable_points(P) and (distance >= 2).all()
        pairs += len(distance)
    assert pairs > 400


def test_how_many_stable_points_are_reached():
    assert [theory.most_stable_points(P) for P in range(5)] == [1, 1, 2, 4, 8]
    for P in (1, 2, 3, 6):
        assert len(stable(rivals(P))) == P
    assert [len(stable(rivals(P))) for P in (1, 2)] == [theory.most_stable_points(P) for P in (1, 2)]
    two = np.kron(np.eye(3), rivals(2).W)  # three pairs side by side
    assert len(stable(regions.Map(np.zeros(6), two, np.ones(6), nonlinear_size=6))) == 8
    with pytest.raises(ValueError, match="P must be"):
        theory.most_stable_points(-1)


@pytest.mark.parametrize("P", [3, 4])
def test_twisted_rivals_reach_the_bound(P):
    """Every word with an odd number of units on: states near its point, found here by linear algebra, return to it."""
    net = theory.twisted_rivals(P)
    words = {word for word in itertools.product((0, 1), repeat=P) if sum(word) % 2}
    assert {tuple(word) for word in stable(net)} == words and len(words) == theory.most_stable_points(P)
    W, h, rng = net.W.detach().numpy(), net.h.detach().numpy(), np.random.default_rng(0)
    on = np.array([[1] * P + list(word) for word in words])
    points = np.linalg.solve(np.eye(2 * P) - W * on[:, None], h[:, None])[..., 0]
    assert np.array_equal(points[:, P:] > 0, on[:, P:] > 0) and abs(points[:, P:]).min() > 0.01
    z = points + rng.normal(size=points.shape) * 1e-3
    for _ in range(12_000):
        z = np.c_[z[:, :P], z[:, P:].clip(0)] @ W.T + h
    assert abs(z - points).max() < 1e-6
    with pytest.raises(ValueError, match="3 or 4"):
        theory.twisted_rivals(5)


def test_rivals_without_a_twist_hold_single_units_alone():
    """The control: the same fixed points, with traces apart, of which only those of one unit are stable."""
    net = theory.twisted_rivals(3)
    W = net.W.detach().numpy().copy()
    gain = W[3:, :3] @ np.linalg.inv((np.eye(3) - W[:3, :3]) * 64)
    W[:3, :3], W[3:, :3] = np.eye(3) * 63 / 64, gain
    assert sorted(map(tuple, stable(regions.Map(np.zeros(6), W, net.h.detach().numpy(), nonlinear_size=3)))) == [
        (0, 0, 1), (0, 1, 0), (1, 0, 0),
    ]  # fmt: skip


def test_bounds_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="cue must be an integer from 7 to 9, got 6"):
        theory.recall_directions(GATES(3), tasks.VariableCopy(3, 4, 3), 6)
    with pytest.raises(ValueError, match="million"):
        theory.copy_trials(tasks.VariableCopy(12))
    with pytest.raises(TypeError, match="FixedCopy or VariableCopy, got Adding"):
        theory.recall_directions(GATES(3), tasks.Adding())
    for noise in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="noise"):
            theory.noisy_accuracy(GATES(3), tasks.VariableCopy(3), noise)
