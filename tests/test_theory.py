"""Floors against least squares and Monte Carlo; exact nets on their tasks' own samples and beyond."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alrnn import ALRNN, tasks, theory


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
    net = theory._net(P=0, W=[[1]], C=[[0.1, 0]], h=[0], D=[[1]])
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


@pytest.mark.parametrize(
    "task", [tasks.Adding(100), tasks.Adding(4), tasks.Adding(50, "halves", blank=1), tasks.Adding(1000)]
)
def test_exact_adding(task):
    net = theory.exact_adding()
    assert (net.hidden_size, net.nonlinear_size, net.W.dtype) == (2, 1, torch.float64)
    batch = task.sample(500, gen(4))
    assert float(task.score(net(batch.s.double())[0][:, -1:], batch)) < 1e-14  # the target is a float32 sum
    marked = batch.s[..., 0].double().gather(1, batch.info["marked"]).sum(1)
    assert float((net(batch.s.double())[0][:, -1, 0] - marked).square().mean()) < 1e-28


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_exact_adding_any_number_of_marks(steps):
    s = torch.tensor([[*steps, (0.0, 0.0)]], dtype=torch.float64)
    y = theory.exact_adding()(s)[0][0, -1, 0]
    assert float(y.detach()) == pytest.approx(sum(x for x, m in steps if m), abs=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match="even"):
        theory.adding_floor(5)
    with pytest.raises(ValueError, match="first_half or halves"):
        theory.adding_floor(10, "first")
    with pytest.raises(ValueError, match="probabilities"):
        theory.marked_sum_floor([0.5, 1.5])
    with pytest.raises(ValueError, match="variance"):
        theory.marked_sum_floor([0.5], -1)
