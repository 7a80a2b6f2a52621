"""Leaps against the plain loop in float64: the formula, the matrices, the kernel, and when they are taken."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_recurrence import INF, NAMES, NAN, agree, arguments, in_c, restride, run, same

import alrnn
from alrnn.recurrence import backend, kernel, leap, recurrence, reference


def some_pwl(args, sizes):
    """The arguments with P PWL units, the last ones, for each P in `sizes`, bounds other than 0 among them."""
    M = args[6].shape[1]
    bounds = args[6].clamp(min=-1)
    args[6] = torch.stack([torch.where(torch.arange(M) < M - P, -INF, b) for P, b in zip(sizes, bounds, strict=True)])
    return args


def leaping(lengths, largest=INF):
    """`leap`, forced to leap L steps with nets of P PWL units, for (P, L) in `lengths`."""

    def function(*args):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(leap, "LARGEST", largest)
            patch.setattr(leap, "longest", lambda K, B, T, M, P, N: lengths.get(P, 1) if lengths.get(P, 1) <= T else 1)
            return leap.leap(*args)

    return function


@pytest.fixture
def leaps(monkeypatch):
    """The lengths of the leaps that the kernel has taken."""
    taken, forward = [], kernel.leap_forward
    monkeypatch.setattr(kernel, "leap_forward", lambda *xs: taken.append(xs[1]) or forward(*xs))
    return taken


def far_from_kinks(args):
    """Closer than that to a kink, rounding decides on which side of it one is."""
    before = torch.cat([args[1].unsqueeze(2), reference(*args)[:, :, :-1]], dim=2)
    return (before - args[6][:, None, None]).abs().min() > 1e-5


@settings(max_examples=100, deadline=None)
@given(
    K=st.integers(1, 4), B=st.integers(1, 40), T=st.integers(1, 40), M=st.integers(1, 23), N=st.integers(1, 5),
    shared=st.booleans(), seed=st.integers(0, 10**6), data=st.data(),
)  # fmt: skip
def test_equals_the_loop(K, B, T, M, N, shared, seed, data):
    sizes = data.draw(st.lists(st.integers(0, M), min_size=K, max_size=K))
    lengths = {P: data.draw(st.sampled_from([1, 2, 4, 8, 16])) for P in sizes}
    args = [x.float().double() for x in some_pwl(arguments(K, B, T, M, N, shared, seed=seed), sizes)]
    assume(far_from_kinks(args))
    need = [data.draw(st.booleans()) for _ in NAMES[:-1]] + [False]
    last = data.draw(st.integers(1, T))
    weight = torch.randn(K, B, last, M, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = run(reference, args, need, last, weight)
    hows = [data.draw(st.integers(0, 3)) for _ in NAMES]
    strided = [restride(x, how) for x, how in zip(args, hows, strict=True)]
    got = run(leaping(lengths), strided, need, last, restride(weight, data.draw(st.integers(0, 3))))
    agree(got, expected, 1e-9)
    agree(run(leaping(lengths), args, need, last, weight, torch.float32), expected, 1e-3)


@pytest.mark.parametrize("K, B, T, M, N, P, L", [
    (1, 37, 600, 50, 1, 0, 64), (1, 37, 600, 50, 1, 5, 8), (2, 70, 300, 41, 3, 1, 32), (1, 16, 200, 64, 2, 20, 4),
    (1, 3, 90, 9, 1, 9, 8), (1, 33, 40, 130, 28, 11, 4),
])  # fmt: skip
def test_long_sequences(K, B, T, M, N, P, L, leaps):
    """Longer than the blocks of the backward pass, wider than a tile."""
    args = some_pwl(arguments(K, B, T, M, N, seed=3), [P] * K)
    args[6] = torch.where(args[6] > -INF, -5.0, args[6])  # rarely met, so that float32 takes the same side
    args = [x.float().double() for x in args]
    need = [True] * 6 + [False]
    expected = run(reference, args, need, 1)
    agree(run(leaping({P: L}), args, need, 1), expected, 1e-9)
    agree(run(leaping({P: L}), args, need, 1, dtype=torch.float32), expected, 2e-3)
    assert leaps == ([L, L] if backend().name == "c" else [])


@pytest.mark.parametrize("P, L", [(0, 8), (1, 1), (2, 4), (6, 2)])
def test_the_matrix_of_a_leap_is_the_formula(P, L):
    """Sums over powers, written out entry by entry, and leaps as one reads them."""
    args = s, z0, A, W, C, h, lower = some_pwl(arguments(K=2, B=3, T=2 * L, M=6, N=2), [P, P])
    U, u = leap.matrices(A, W, C, h, P, L)
    for k in range(2):
        F, G = torch.diag(A[k]) + W[k] * (torch.arange(6) < 6 - P), W[k][:, 6 - P :]
        power = [torch.linalg.matrix_power(F, n) for n in range(L + 1)]
        for n in range(L + 1):  # steps taken: rows of v_n, or of z_L
            rows, take = (slice(n * P, (n + 1) * P), slice(6 - P, 6)) if n < L else (slice(L * P, None), slice(None))
            enter = [power[n - 1 - j] if j < n else 0 * F for j in range(L)]
            expected = [power[n], *(x @ C[k] for x in enter), *(x @ G for x in enter)]
            torch.testing.assert_close(U[k, rows], torch.cat(expected, 1)[take])
            torch.testing.assert_close(u[k, rows], (sum(enter) @ h[k])[take])
    torch.testing.assert_close(leap.by_steps(s, z0, U, u, lower[:, 6 - P :], L), reference(*args)[:, :, -1])


def test_first_and_second_derivatives():
    args = [x.requires_grad_() for x in some_pwl(arguments(K=3, B=2, T=7, M=4, N=2, seed=5), [2, 0, 2])]
    bounds = args.pop().detach()
    for last in (1, 3):

        def call(*xs, last=last):
            return leaping({2: 4, 0: 2})(*xs, bounds, last)

        assert torch.autograd.gradcheck(call, args)
        assert torch.autograd.gradgradcheck(call, args)


def test_derivatives_of_derivatives_where_one_input_makes_another():
    """As in a closed loop: the state and the input of a leap both come from one tensor."""
    args = some_pwl(arguments(K=2, B=3, T=8, M=4, N=4), [1, 1])
    found = []
    for function in (reference, leaping({1: 4})):
        base = args[1].clone().requires_grad_()
        z0 = base.sin()
        s = z0[0][:, None] * torch.arange(8.0, dtype=torch.float64)[:, None]
        (first,) = torch.autograd.grad(function(s, z0, *args[2:], 1).pow(2).sum(), base, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), base)
        found.append((first.detach(), second))
    torch.testing.assert_close(*found)


@in_c
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_from_run_to_run_and_for_any_number_of_threads(dtype):
    """As in `fit`, where torch's own operations, which prepare a leap, have one thread."""
    args = some_pwl(arguments(K=3, B=70, T=200, M=30, dtype=dtype), [2, 0, 2])
    threads, runs = torch.get_num_threads(), []
    try:
        for n in (4, 4, 1, 3):
            torch.set_num_threads(n)
            with kernel.owning_the_threads():
                runs.append(run(leaping({2: 8, 0: 16}), args, [True] * 6 + [False], 1))
    finally:
        torch.set_num_threads(threads)
    assert all(same(r, runs[0]) for r in runs[1:])


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("name", NAMES[:-1])
def test_nan_and_infinity_travel_as_in_the_loop(name, bad):
    args = some_pwl(arguments(K=2, B=3, T=11, M=5, shared=False), [2, 2])
    args[NAMES.index(name)].view(-1)[1] = bad
    need = [True] * 6 + [False]
    expected, got = run(reference, args, need, 1), run(leaping({2: 4}), args, need, 1)
    torch.testing.assert_close(got[0], expected[0], equal_nan=True)
    for part, x, y in zip(NAMES, got[1:], expected[1:], strict=True):
        assert y is None or torch.equal(x.isfinite(), y.isfinite()), part


def test_powers_that_overflow_where_states_do_not():
    """F^64 is infinite in float32, the states are zero: walking knows better."""
    args = [x.float() for x in arguments(K=1, B=2, T=64, M=3, N=1)]
    args = [0 * args[0], 0 * args[1], 0 * args[2], 1e3 * torch.eye(3)[None], *args[4:]]
    args[5], args[6] = 0 * args[5], torch.full((1, 3), -INF)
    for largest in (INF, 100):
        assert run(leaping({0: 64}, largest), args, [False] * 7, 1)[0].abs().max() == 0


def test_a_growing_linear_part_held_by_a_pwl_unit():
    """States stay below 10, but a leap would take them as differences of numbers as large as 1.5^32."""
    K, B, T, M = 1, 64, 1000, 100
    A, W, C, h = torch.zeros(K, M), torch.zeros(K, M, M), torch.zeros(K, M, 1), torch.zeros(K, M)
    W[0, 0, 0], W[0, 0, M - 1], W[0, M - 1, 0] = 1.5, -0.7, 1
    C[0, 0], h[0, 0], h[0, M - 1] = 0.3, 3.5, 5
    lower = torch.full((K, M), -INF)
    lower[0, M - 1] = 0
    s = torch.randn(B, T, 1, generator=torch.Generator().manual_seed(0))
    args = [s, torch.zeros(K, B, M), A, W, C, h, lower]
    assert leap.longest(K, B, T, M, 1, 1) > 8
    expected = run(reference, [x.double() for x in args], [True] * 6 + [False], 1)
    assert expected[0].abs().max() < 10
    agree(run(leap.leap, args, [True] * 6 + [False], 1), expected, 1e-5)


def test_without_gradients():
    args = some_pwl(arguments(T=20), [1, 1])
    leaves = [x.clone().requires_grad_(i < 6) for i, x in enumerate(args)]
    for quiet in (torch.no_grad, torch.inference_mode):
        with quiet():
            z = leaping({1: 4})(*leaves, 2)
        assert not z.requires_grad
        torch.testing.assert_close(z, reference(*args, 2))


def test_what_cannot_leap_walks():
    """All states, no input weights, bounds that are learnt, PWL units in the middle."""
    forced = leaping(dict.fromkeys(range(5), 2))
    scattered = some_pwl(arguments(T=9), [2, 2])
    scattered[6] = scattered[6].flip(1)
    learnt = some_pwl(arguments(T=9), [2, 2])
    for args, need, last in [
        (some_pwl(arguments(T=9), [2, 2]), [True] * 6 + [False], None),
        (some_pwl(arguments(T=9, drive=False), [2, 2]), [True] * 6 + [False], 1),
        (learnt, [True] * 7, 1),
        (scattered, [True] * 6 + [False], 1),
    ]:
        assert same(run(forced, args, need, last), run(recurrence, args, need, last))


def test_bad_arguments_get_one_clear_error():
    args = arguments()
    with pytest.raises(ValueError, match="last must be between 1 and T = 4, got 5"):
        leap.leap(*args, last=5)
    with pytest.raises(ValueError, match=r"h must have shape \(2, 5\)"):
        leap.leap(*args[:5], args[5][0], args[6], last=1)


def test_when_to_leap():
    lengths = [leap.longest(1, 128, 784, 50, P, 1) for P in (0, 1, 2, 5, 25, 50)]
    assert lengths == sorted(lengths, reverse=True), "the fewer PWL units, the longer the leap"
    assert lengths[0] >= 16 and lengths[3] > 4 and lengths[4:] == [1, 1]
    short, narrow, few = (1, 64, 1, 50), (1, 128, 784, 3), (1, 1, 20, 20)
    assert all(leap.longest(*sizes, 0, 1) == 1 for sizes in (short, narrow, few))
    assert all(leap.longest(1, 4096, T, 50, 0, 1) <= T for T in range(1, 70))


@in_c
def test_an_ensemble_leaps_and_learns_the_same(monkeypatch):
    """Nets of several P in one ensemble: the loss and its gradient, with leaps and without; leaps went both ways."""
    nets = [alrnn.ALRNN(1, 40, P, 2, seed=seed) for seed in (0, 1) for P in (0, 40, 3)]
    ensemble, s = alrnn.Ensemble(nets), torch.rand(64, 300, 1)
    calls = []
    real = kernel.leap_backward
    monkeypatch.setattr(kernel, "leap_backward", lambda *xs: calls.append(xs[1]) or real(*xs))

    def gradient():
        ensemble.theta.grad = None
        loss = ensemble(s, last=1)[0].pow(2).sum()
        loss.backward()
        return loss.detach(), ensemble.theta.grad

    got = gradient()
    assert len(calls) == 2 and all(L > 1 for L in calls)
    monkeypatch.setattr(leap, "longest", lambda *sizes: 1)
    expected = gradient()
    assert len(calls) == 2
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * expected[1].abs().max().item())


@in_c
def test_changing_an_argument_before_backward_is_an_error():
    args = some_pwl(arguments(T=8), [1, 1])
    args[3].requires_grad_()
    z = leaping({1: 4})(*args, 1)
    args[0].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
