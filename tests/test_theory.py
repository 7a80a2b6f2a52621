"""Floors against least squares and Monte Carlo; exact nets on their tasks' own samples and beyond."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp, minimize

from alrnn import ALRNN, Init, regions, tasks, theory
from alrnn.theory.affine import _net


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def least_squares(features, y):
    """Coefficients of the best affine map on these samples, by an independent route (numpy)."""
    X = np.column_stack([features, np.ones(len(features))])
    return np.linalg.lstsq(X, y, rcond=None)[0]


# Adding


@pytest.mark.parametrize(
    ("length", "halves", "first_half"), [(10, 2 / 15, 0.1), (20, 0.15, 2 / 15), (100, 0.98 / 6, 0.16)]
)
def test_adding_floor_closed_forms(length, halves, first_half):
    assert theory.adding_floor(length, "halves") == pytest.approx(halves, rel=1e-12)
    assert theory.adding_floor(length, "first_half") == pytest.approx(first_half, rel=1e-12)


@pytest.mark.parametrize("marks", ["first_half", "halves"])
def test_adding_floor_is_the_least_squares_error(marks):
    """Fitted on one sample and measured on another, least squares lands on the floor and nothing lands below."""
    task, n = tasks.Adding(12, marks), 200_000
    fit, held = task.sample(n, gen(1)), task.sample(n, gen(2))
    w = least_squares(fit.s.flatten(1).double().numpy(), fit.target.flatten().double().numpy())
    predictor = theory.adding_predictor(12, marks)
    np.testing.assert_allclose(w[:-1].reshape(12, 2)[:, 0], predictor.weights[:, 0, 0], atol=0.02)
    y = held.target.flatten().double()
    fitted = (held.s.flatten(1).double() @ torch.from_numpy(w[:-1]) + w[-1] - y).square()
    ours = (predictor(held.s).flatten() - y).square()
    error = 4 * float(ours.std()) / math.sqrt(n)
    assert abs(float(ours.mean()) - theory.adding_floor(12, marks)) < error
    assert theory.adding_floor(12, marks) - error < float(fitted.mean()) < theory.adding_floor(12, marks) + 2 * error


def test_marked_sum_floor_by_enumeration():
    """Marks of a random joint law, with a varying number of them: exact second moments, no sampling."""
    T, mu, v = 4, 0.3, 0.7
    rng = np.random.default_rng(0)
    masks = np.array(list(np.ndindex(*[2] * T)), float)
    law = rng.dirichlet(np.ones(len(masks)))
    p = law @ masks
    # Moments of the features f = (x, m) and of y = m . x with x independent of m, from their definitions.
    E_mm = masks.T @ (law[:, None] * masks)
    E_xx = mu**2 + v * np.eye(T)
    cov_f = np.block([[v * np.eye(T), np.zeros((T, T))], [np.zeros((T, T)), E_mm - np.outer(p, p)]])
    count = masks.sum(1)
    E_y = mu * p.sum()
    cov_fy = np.concatenate([E_xx @ p - mu * E_y, mu * (masks.T @ (law * count)) - p * E_y])
    var_y = sum(q * (m @ E_xx @ m) for q, m in zip(law, masks, strict=True)) - E_y**2
    coefficients = np.linalg.lstsq(cov_f, cov_fy, rcond=None)[0]
    assert theory.marked_sum_floor(p, v) == pytest.approx(var_y - cov_fy @ coefficients, rel=1e-10)
    ours = theory.marked_sum_predictor(p, mu)
    w = ours.weights[..., 0].T.flatten().numpy()
    assert var_y - 2 * w @ cov_fy + w @ cov_f @ w == pytest.approx(theory.marked_sum_floor(p, v), rel=1e-10)
    assert pytest.approx(w @ np.r_[np.full(T, mu), p] + float(ours.bias), rel=1e-10) == E_y


def test_one_linear_unit_reaches_the_floor_of_halves():
    net = _net(P=0, W=[[1]], C=[[0.1, 0]], h=[0], D=[[1]])
    batch = tasks.Adding(20, "halves").sample(50_000, gen(3))
    error = (net(batch.s.double())[0][:, -1:].detach() - batch.target).square().flatten()
    assert abs(float(error.mean()) - theory.adding_floor(20, "halves")) < 4 * float(error.std()) / math.sqrt(50_000)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    M=st.integers(1, 8),
    scale=st.floats(0.01, 1),
    marks=st.sampled_from(["first_half", "halves"]),
)
def test_no_linear_net_is_below_the_floor(seed, M, scale, marks):
    """A random linear recurrence with the best readout for its own states on a large sample."""
    task = tasks.Adding(10, marks)
    net = ALRNN(2, M, 0, 1, seed=seed).double()
    with torch.no_grad():
        net.W.mul_(100 * scale / math.sqrt(M))
    batch = task.sample(20_000, gen(seed))
    z = net(batch.s.double())[1][:, -1].detach().numpy()
    y = batch.target.flatten().double().numpy()
    residual = y - np.column_stack([z, np.ones(len(z))]) @ least_squares(z, y)
    error = np.std(residual**2) / math.sqrt(len(y))
    assert np.mean(residual**2) > theory.adding_floor(10, marks) - 5 * error - 20 * y.var() / len(y)


@pytest.mark.parametrize("marks", ["first_half", "halves"])
@pytest.mark.parametrize(("length", "blank"), [(4, 0), (6, 1), (12, 3)])
def test_adding_error_by_monte_carlo(length, blank, marks):
    """Any linear net, biased and with weights on the marks: the closed form is the mean over many sequences."""
    task, n = tasks.Adding(length, marks, blank), 100_000
    net = ALRNN(2, 5, 0, 1, seed=length, init=Init("rotation", C=0.5, D=0.3, W=0.05)).double().requires_grad_(False)
    net.h.normal_(0, 0.1, generator=gen(1)), net.b.fill_(0.3)
    net.A.fill_(-0.1)  # the self-weights of linear units count as well
    batch = task.sample(n, gen(2))
    squared = (net(batch.s.double())[0][:, -1:] - batch.target).square()
    error = theory.adding_error(net, task)
    assert abs(float(squared.mean()) - error) < 4 * float(squared.std()) / math.sqrt(n)
    assert error > theory.adding_floor(length, marks)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), marks=st.sampled_from(["first_half", "halves"]), blank=st.integers(0, 2))
def test_adding_error_is_the_floor_on_the_best_map_and_above_it_elsewhere(seed, marks, blank):
    """A delay line that holds the best map, with weights as `adding_predictor` has them, and then shifted a little."""
    task, floor = tasks.Adding(10, marks, blank), theory.adding_floor(10, marks)
    best, T = theory.adding_predictor(10, marks), 10 + blank
    C = torch.zeros(T, 2, dtype=torch.float64)
    C[:10] = best.weights[..., 0]
    net = _net(P=0, W=torch.eye(T).roll(1, 0).tril(), C=C, D=torch.eye(T)[-1:], b=best.bias)
    torch.testing.assert_close(theory.adding_error(net, task), floor, rtol=1e-12, atol=0)
    with torch.no_grad():
        net.C += 0.1 * torch.randn(C.shape, generator=gen(seed))
    assert theory.adding_error(net, task) > floor
    assert theory.adding_error(net.float(), task) == pytest.approx(theory.adding_error(net.double(), task), rel=1e-6)


@pytest.mark.parametrize("size", [(2, 3, 1, 1), (3, 3, 0, 1), (2, 3, 0, 2)])
def test_adding_error_is_of_linear_nets_of_the_task(size):
    with pytest.raises(ValueError, match="P = 0, two inputs and one output"):
        theory.adding_error(ALRNN(*size), tasks.Adding(10))


@pytest.mark.parametrize(
    "task", [tasks.Adding(100), tasks.Adding(4), tasks.Adding(50, "halves", blank=1), tasks.Adding(1000)]
)
def test_exact_adding(task):
    net = theory.exact_adding()
    assert (net.hidden_size, net.nonlinear_size, net.W.dtype) == (2, 1, torch.float64)
    batch = task.sample(500, gen(4))
    assert float(task.score(net(batch.s.double())[0][:, -1:].detach(), batch)) < 1e-14  # the target is a float32 sum
    marked = batch.s[..., 0].double().gather(1, batch.info["marked"]).sum(1)
    assert float((net(batch.s.double())[0][:, -1, 0].detach() - marked).square().mean()) < 1e-28


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_exact_adding_any_number_of_marks(steps):
    s = torch.tensor([[*steps, (0.0, 0.0)]], dtype=torch.float64)
    y = theory.exact_adding()(s)[0][0, -1, 0]
    assert float(y.detach()) == pytest.approx(sum(x for x, m in steps if m), abs=1e-12)


# Context


def best_affine_accuracy(X, y):
    """The largest share of points on the right side of a plane, by mixed-integer programming; y = +-1."""
    n, d = len(X), X.shape[1] + 1
    F = y[:, None] * np.column_stack([X, np.ones(n)])
    rows = LinearConstraint(np.hstack([F, -1000 * np.eye(n)]), 1 - 1000, np.inf)  # right, or not counted
    found = milp(
        np.r_[np.zeros(d), -np.ones(n)],
        constraints=rows,
        integrality=np.r_[np.zeros(d), np.ones(n)],
        bounds=Bounds(np.r_[np.full(d, -100), np.zeros(n)], np.r_[np.full(d, 100), np.ones(n)]),
    )
    assert found.success
    return -found.fun / n


def inversion_points(pieces):
    """All equally likely trials: evidence (pieces), rule; class."""
    X = np.array([[2 * b - 1 for b in bits] for bits in np.ndindex(*[2] * (pieces + 1))], float)
    return X, np.sign(X[:, :pieces].sum(1)) * X[:, -1]


def test_inversion_limits_on_all_trials():
    limits = theory.inversion_limits()
    X, y = inversion_points(3)
    assert best_affine_accuracy(X, y) == pytest.approx(limits.accuracy)
    F = np.column_stack([X, np.ones(len(X))])
    start = np.random.default_rng(0).normal(size=F.shape[1])
    found = minimize(lambda w: np.logaddexp(0, -y * (F @ w)).mean(), start, tol=1e-12)
    assert found.fun == pytest.approx(limits.cross_entropy, abs=1e-9)
    assert np.abs(found.x).max() < 1e-4  # the optimum is the constant answer
    assert limits.convex_accuracy == tasks.RuleInversion.chance
    # 3/4 is reached as the docstring says
    f = X[:, :3].sum(1) + 10 * (X[:, -1] - 1)
    assert (np.sign(f) == y).mean() == limits.accuracy


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=7, max_size=7))
def test_no_affine_score_beats_the_inversion_limit(w):
    X, y = inversion_points(5)
    assert (np.sign(X @ w[:6] + w[6] + 1e-7) == y).mean() <= theory.inversion_limits().accuracy


def test_linear_nets_stay_within_the_inversion_limits():
    """Random linear recurrences, the best least-squares readout of each on its own sample, judged on another."""
    task, n = tasks.RuleInversion(9), 20_000
    for seed in range(10):
        net = ALRNN(4, 6, 0, 2, seed=seed, init="rotation").double()
        z, y = [], []
        for part in (1, 2):
            batch = task.sample(n, gen(100 * seed + part))
            z.append(net(batch.s.double())[1][:, -1].detach().numpy())
            y.append(2 * batch.target.flatten().numpy() - 1)
        w = least_squares(z[0], y[0])
        f = z[1] @ w[:-1] + w[-1]
        assert (np.sign(f) == y[1]).mean() < 3 / 4
        assert ((f - y[1]) ** 2).mean() > 0.999  # no better than 0, the constant answer


INVERSION = [
    tasks.RuleInversion(),
    tasks.RuleInversion(3),
    tasks.RuleInversion(31, noise=0),
    tasks.RuleInversion(51, noise=0.5, blank=1),
    tasks.RuleInversion(1001, blank=3),
]


@pytest.mark.parametrize("task", INVERSION, ids=lambda t: f"{t.length}-{t.blank}")
def test_exact_inversion(task):
    net = theory.exact_inversion()
    assert (net.hidden_size, net.nonlinear_size, net.W.dtype) == (3, 1, torch.float64)
    batch = task.sample(1000, gen(5))
    y = net(batch.s.double())[0][:, -1:].detach()
    assert float(task.score(y, batch)) == 1
    answer = (1 - 2 * batch.info["rule"]) * batch.info["total"]
    assert float((y[:, 0, 1] - answer).square().mean()) < 1e-20


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-10, 10), max_size=80), st.booleans(), st.integers(0, 2))
def test_exact_inversion_any_evidence(evidence, invert, blank):
    rule = [0.0, 1.0] if invert else [1.0, 0.0]
    steps = [[*rule, 0, 0], *([0, 0, e, 0] for e in evidence), [*rule, 0, 1], *[[0.0] * 4] * blank]
    y = theory.exact_inversion()(torch.tensor([steps], dtype=torch.float64))[0][0, -1].tolist()
    assert y == pytest.approx([sum(evidence) * (1 if invert else -1), sum(evidence) * (-1 if invert else 1)], abs=1e-9)


def test_two_units_are_enough_for_inversion():
    K, task = 1024, tasks.RuleInversion(101)
    net = _net(
        P=1,
        A=[0, 1],
        W=[[0, 2], [0, 0]],
        C=[[K, -K, 1, 0], [K, -K, 1, 0]],
        D=[[-1, 1], [1, -1]],
        b=[K, -K],  # the rule has been shown once when |v| is taken
    )
    batch = task.sample(1000, gen(6))
    assert float(task.score(net(batch.s.double())[0][:, -1:], batch)) == 1


@pytest.mark.parametrize("magnitudes", [[1], [1, 2], [1, 2, 3], [0.05, 0.15, 0.5]])
def test_two_modality_limits_without_noise(magnitudes):
    limits, K = theory.two_modality_limits(magnitudes), len(magnitudes)
    assert limits.convex == pytest.approx(3 / 4, abs=1e-12) and limits.gated == 1
    assert 3 / 4 + 1 / (8 * K) - 1e-12 <= limits.affine <= 7 / 8
    values = np.concatenate([magnitudes, np.negative(magnitudes)]) / max(magnitudes) * 3
    X = np.array([(a, b, c) for a in values for b in values for c in (-1, 1)])
    y = np.sign(np.where(X[:, 2] > 0, X[:, 0], X[:, 1]))
    if K < 3:
        assert limits.affine == pytest.approx(best_affine_accuracy(X, y))
    # the least-squares optimum over all trials is x_1 + x_2
    w = least_squares(X, y)
    assert w[0] == pytest.approx(w[1]) and w[2:] == pytest.approx([0, 0], abs=1e-12)
    # 3/4 + 1/(8K) as the docstring says
    e = 1e-3
    f = (1 + e) * X[:, 0] + X[:, 1] + np.where(X[:, 2] > 0, 0, 10 * e)
    assert (np.sign(f) == y).mean() == pytest.approx(3 / 4 + 1 / (8 * K))


def test_two_modality_limits_against_other_evidence():
    # a distribution nearly of one magnitude can be had as well as one magnitude, well above 3/4 + 1/(8K)
    assert theory.two_modality_limits([1, 1.01]).affine == 7 / 8
    # uniform coherences on [-1, 1]: closed form of the gated limit, E Phi(|X| / noise), tails at 1 left out
    fine = (np.arange(40) + 0.5) / 40
    limits = theory.two_modality_limits(fine, 0.1, angles=4)
    assert limits.gated == pytest.approx(1 - 0.1 / math.sqrt(2 * math.pi), abs=2e-4)
    # much noise: nothing is left
    assert theory.two_modality_limits([1], 1e4, angles=4).gated == pytest.approx(1 / 2, abs=1e-4)
    # little noise: as without
    little, none = theory.two_modality_limits([1, 2], 0.01), theory.two_modality_limits([1, 2])
    assert (little.convex, little.affine, little.gated) == pytest.approx(
        (none.convex, none.affine, none.gated), abs=1e-3
    )
    # scale does not matter
    a, b = theory.two_modality_limits([1, 2], 0.5, 90), theory.two_modality_limits([100, 200], 50, 90)
    assert (a.convex, a.affine, a.gated) == pytest.approx((b.convex, b.affine, b.gated))


@pytest.mark.parametrize(("noise", "coherences"), [(0.5, (0.05, 0.1, 0.2)), (1.0, (0.1, 0.5))])
def test_two_modality_limits_by_sampling(noise, coherences):
    task, n = tasks.TwoModality(25, noise, coherences), 40_000
    limits = theory.two_modality_limits(coherences, noise / 5, angles=90)
    batch = task.sample(n, gen(7))
    mean, context = batch.s[:, :25, :2].double().mean(1), batch.info["context"]
    y = batch.target.flatten()
    error = 4 * 0.5 / math.sqrt(n)
    assert abs(float(((mean.sum(1) > 0) == y).double().mean()) - limits.convex) < error
    assert abs(float(((mean[torch.arange(n), context] > 0) == y).double().mean()) - limits.gated) < error
    # least squares on everything shown: on a fresh sample it lands on the convex limit
    held = task.sample(n, gen(8))
    w = least_squares(batch.s.flatten(1).double().numpy(), 2.0 * y.numpy() - 1)
    fitted = np.sign(held.s.flatten(1).double().numpy() @ w[:-1] + w[-1]) == 2 * held.target.flatten().numpy() - 1
    assert limits.convex - 0.02 < fitted.mean() < limits.convex + error
    assert limits.convex <= limits.affine <= 7 / 8 and limits.affine < limits.gated


MODALITY = [
    tasks.TwoModality(50, noise=0),
    tasks.TwoModality(1, noise=0, coherences=2.0),
    tasks.TwoModality(400, noise=0, blank=4),
    tasks.TwoModality(5, noise=0, blank=0),
    tasks.TwoModality(50),
    tasks.TwoModality(1000, noise=1.0),
]


@pytest.mark.parametrize("task", MODALITY, ids=lambda t: f"{t.length}-{t.noise}-{t.blank}")
def test_exact_two_modality(task):
    net = theory.exact_two_modality()
    assert (net.hidden_size, net.nonlinear_size, net.W.dtype) == (4, 1, torch.float64)
    batch = task.sample(1000, gen(9))
    y = net(batch.s.double())[0][:, -1:].detach()
    used = task.length if task.blank else task.length - 1
    evidence = batch.s[:, :used, :2].double().sum(1)[torch.arange(1000), batch.info["context"]]
    assert float((y[:, 0, 1] - evidence).square().mean()) < 1e-18
    assert float(task.score(y, batch)) == float(((evidence > 0) == batch.target[:, 0]).double().mean())
    if task.noise == 0:
        assert float(task.score(y, batch)) == 1


def test_two_units_are_enough_for_two_modalities():
    K, task = 16, tasks.TwoModality(60, noise=0.5)
    net = _net(P=1, W=[[1, 1], [0, 0]], C=[[0, 1, -K, 0], [1, -1, K, -K]], D=[[-1, 0], [1, 0]])
    batch = task.sample(1000, gen(10))
    s = batch.s.double()
    torch.testing.assert_close(net(s)[0][:, -1].detach(), theory.exact_two_modality()(s)[0][:, -1].detach())


# Copy


@pytest.mark.parametrize(
    ("symbols", "delay", "alphabet"), [(8, 100, 4), (1, 0, 2), (3, 7, 9), (5, 1000, 4), (8, 15, 4)]
)
def test_exact_fixed_copy(symbols, delay, alphabet):
    task, net = tasks.FixedCopy(symbols, delay, alphabet), theory.exact_fixed_copy(symbols, delay, alphabet)
    assert (net.hidden_size, net.nonlinear_size, net.W.dtype) == (symbols, 0, torch.float64)
    batch = task.sample(500, gen(11))
    y = net(batch.s.double())[0][:, -batch.last :]
    assert float(task.score(y, batch)) == float(task.score_sequence(y, batch)) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 60), st.integers(2, 8), st.integers(0, 10**6))
def test_exact_fixed_copy_any_size(symbols, delay, alphabet, seed):
    batch = tasks.FixedCopy(symbols, delay, alphabet).sample(20, gen(seed))
    y = theory.exact_fixed_copy(symbols, delay, alphabet)(batch.s.double())[0][:, -symbols:]
    assert torch.equal(y.argmax(-1), batch.target)


@pytest.mark.parametrize(
    ("symbols", "delay", "window", "alphabet"), [(5, 50, 50, 4), (1, 0, 3, 2), (2, 3, 1, 4), (3, 400, 2, 7)]
)
def test_exact_variable_copy(symbols, delay, window, alphabet):
    task, net = tasks.VariableCopy(symbols, delay, window, alphabet), theory.exact_variable_copy(symbols, alphabet)
    assert (net.hidden_size, net.nonlinear_size) == (symbols**2 + 5 * symbols + 1, symbols - 1)
    assert net.W.dtype == torch.float64
    batch = task.sample(500, gen(12))
    y = net(batch.s.double())[0][:, -batch.last :]
    assert float(task.score(y, batch)) == float(task.score_sequence(y, batch)) == 1
    k = batch.info["symbols"].double()[..., None]  # the logits, not only the largest of them, are those said
    due = torch.arange(1 + symbols)[1:] + batch.info["cue"][:, None]
    said = net(batch.s.double())[0].detach()[torch.arange(500)[:, None], due]
    every = torch.arange(alphabet).double()
    assert torch.equal(said, k * every - every.square() / 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(1, 60), st.integers(1, 30), st.integers(2, 8), st.integers(0, 10**6))
def test_exact_variable_copy_any_size(symbols, more, window, alphabet, seed):
    task = tasks.VariableCopy(symbols, symbols + more, window, alphabet)
    batch = task.sample(20, gen(seed))
    y = theory.exact_variable_copy(symbols, alphabet)(batch.s.double())[0][:, -batch.last :]
    assert float(task.score_sequence(y, batch)) == 1


def test_each_gate_of_exact_variable_copy_counts():
    """Without one of its S - 1 kinks, a symbol is lost: kept for good (or never) by its gate."""
    task = tasks.VariableCopy(3, 4, 5)
    batch = task.sample(500, gen(13))
    for unit in range(2):
        net = regions.linearise(theory.exact_variable_copy(3), unit)
        assert float(task.score_sequence(net(batch.s.double())[0][:, -batch.last :], batch)) < 0.5


@pytest.mark.parametrize(("symbols", "window", "alphabet"), [(3, 4, 2), (2, 5, 3), (3, 1, 3), (1, 3, 2), (3, 2, 3)])
def test_variable_copy_decoder_is_the_least_squares_solution(symbols, window, alphabet):
    """All sequences and cue times, least squares step by step on symbols and cues; no formula of ours."""
    trials = [(seq, cue) for seq in np.ndindex(*[alphabet] * symbols) for cue in range(window)]
    decoder = theory.variable_copy_decoder(symbols, 2, window, alphabet)
    T, L = 2 * symbols + 2 + window, window + symbols - 1
    s, due = np.zeros((len(trials), T, alphabet + 1)), np.full((len(trials), L), -1)
    for row, (seq, cue) in enumerate(trials):
        s[row, range(symbols), seq] = 1
        s[row, symbols + 2 + cue, alphabet] = 1
        due[row, cue : cue + symbols] = seq
    ours = decoder(torch.from_numpy(s)).numpy()
    said = np.empty_like(due)
    for step in range(L):
        on = due[:, step] >= 0
        F = np.column_stack([s.reshape(len(s), -1), np.ones(len(s))])
        y = np.eye(alphabet)[due[on, step]]
        fitted = F[on] @ np.linalg.lstsq(F[on], y, rcond=None)[0]
        np.testing.assert_allclose(ours[on, step], fitted, atol=1e-9)
        said[on, step] = fitted.round(9).argmax(1)
    right = np.where(due >= 0, said == due, True)
    limits = theory.variable_copy_limits(symbols, window, alphabet)
    assert limits.symbol == pytest.approx(right[due >= 0].mean())
    assert limits.sequence == pytest.approx(right.all(1).mean())


def test_cross_entropy_holds_the_same_vote():
    """Middle of the window, three positions may be due: logits fitted on all symbols and cues."""
    trials = [(seq, cue) for seq in np.ndindex(2, 2, 2) for cue in range(3)]
    F = np.array([[*np.eye(2)[list(seq)].ravel(), *np.eye(3)[cue]] for seq, cue in trials])
    due = np.array([seq[cue] for seq, cue in trials])

    def loss(w):
        logits = F @ w.reshape(9, 2)
        return (np.logaddexp(*logits.T) - logits[range(24), due]).mean()

    w = minimize(loss, np.random.default_rng(0).normal(size=18), tol=1e-12).x.reshape(9, 2)
    votes = np.array([np.bincount(seq, minlength=2) for seq, _ in trials])
    logits = F @ w
    gap = (logits[:, 1] - logits[:, 0]) / (votes[:, 1] - votes[:, 0])  # an odd number of votes: no ties
    np.testing.assert_allclose(gap, gap[0], rtol=1e-3)
    assert gap[0] > 0


def test_variable_copy_limits_at_the_authors_sizes():
    task, n = tasks.VariableCopy(), 10_000
    limits, batch = theory.variable_copy_limits(), task.held_out("test")
    y = theory.variable_copy_decoder()(batch.s)
    # five positions vote in the middle of the window: E[largest count] / 5 = 2540 / 5120; more is known at its ends
    assert 2540 / 5120 < limits.symbol < 0.51
    assert abs(float(task.score(y, batch)) - limits.symbol) < 4 * 0.5 / math.sqrt(n)
    assert abs(float(task.score_sequence(y, batch)) - limits.sequence) < 4 * math.sqrt(limits.sequence / n)
    assert task.chance < limits.symbol < 1 and task.sequence_chance < limits.sequence


@pytest.mark.parametrize(("cues", "possible"), [(1, True), (2, False)])
def test_two_possible_cues_are_one_too_many(cues, possible):
    """Linear programme: affine margins of at least 1 everywhere, over all pairs of symbols of an alphabet of three."""
    rows = []
    for cue in range(cues):
        for symbols in np.ndindex(3, 3):
            x = np.r_[np.eye(3)[symbols[0]], np.eye(3)[symbols[1]], np.eye(2)[cue]]
            for other in set(range(3)) - {symbols[cue]}:
                margin = np.eye(3)[symbols[cue]] - np.eye(3)[other]
                rows.append(-np.outer(margin, x).ravel())
    found = linprog(np.zeros(24), A_ub=np.array(rows), b_ub=-np.ones(len(rows)), bounds=(None, None))
    assert found.status == (0 if possible else 2)


def test_no_state_is_shared_or_changed():
    before = torch.get_rng_state()
    one, two = theory.exact_adding(), theory.exact_adding()
    with torch.no_grad():
        one.W.zero_()
    assert float(two.W.detach().abs().sum()) == 2
    assert torch.equal(before, torch.get_rng_state())


def test_bad_input():
    with pytest.raises(ValueError, match="even"):
        theory.adding_floor(5)
    with pytest.raises(ValueError, match="first_half or halves"):
        theory.adding_floor(10, "first")
    with pytest.raises(ValueError, match="probabilities"):
        theory.marked_sum_floor([0.5, 1.5])
    with pytest.raises(ValueError, match="variance"):
        theory.marked_sum_floor([0.5], -1)
    with pytest.raises(ValueError, match="bound"):
        theory.exact_inversion(0)
    with pytest.raises(ValueError, match="bound"):
        theory.exact_two_modality(-1)
    with pytest.raises(ValueError, match="magnitudes"):
        theory.two_modality_limits([])
    with pytest.raises(ValueError, match="noise"):
        theory.two_modality_limits([1], -0.1)
    with pytest.raises(ValueError, match="alphabet"):
        theory.exact_fixed_copy(8, 100, 1)
    with pytest.raises(ValueError, match="symbols must be an integer of at least 1, got 0"):
        theory.exact_variable_copy(0)
    with pytest.raises(ValueError, match="million"):
        theory.variable_copy_limits(20, 5, 4)
