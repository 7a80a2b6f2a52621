"""Every path of the recurrence against the plain loop in float64. Run also with ALRNN_KERNEL=0: the torch path."""

import inspect
import math
import multiprocessing
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alrnn.recurrence import backend, kernel, recurrence, reference

NAMES = ["s", "z0", "A", "W", "C", "h", "lower"]
INF, NAN = math.inf, math.nan
in_c = pytest.mark.skipif(backend().name != "c", reason="the kernel is switched off or cannot be built")


def arguments(K=2, B=3, T=4, M=5, N=2, shared=True, drive=True, seed=0, dtype=torch.float64):
    """Random arguments whose PWL units, bounds and inputs differ from net to net. No C if not `drive`."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    N = N if drive else M
    s = normal(B, T, N) if shared else normal(K, B, T, N)
    lower = torch.where(torch.rand(K, M, generator=g) < 0.5, normal(K, M) / 2, -INF)
    lower = torch.where(torch.rand(K, M, generator=g) < 0.5, lower.clamp(max=0), lower)
    W = normal(K, M, M) * 0.6 / M**0.5
    return [s, normal(K, B, M), normal(K, M) * 0.4, W, normal(K, M, N) if drive else None, normal(K, M) / 2, lower]


def run(function, args, need, last=None, weight=None, dtype=None):
    """States, and the gradients of sum(weight * states) for the arguments that `need` one."""
    leaves = [None if x is None else x.detach().to(dtype or x.dtype) for x in args]
    if dtype is None:  # keep the strides
        leaves = [None if x is None else x.detach() for x in args]
    leaves = [x if x is None else x.requires_grad_(n) for x, n in zip(leaves, need, strict=True)]
    z = function(*leaves, last)
    if any(x is not None and x.requires_grad for x in leaves):
        z.backward(torch.ones_like(z) if weight is None else weight.to(z.dtype))
    return [z.detach()] + [None if x is None else x.grad for x in leaves]


def agree(got, expected, tolerance):
    for name, x, y in zip(["z", *NAMES], got, expected, strict=True):
        assert (x is None) == (y is None), f"gradient of {name}"
        if x is not None:
            assert x.shape == y.shape, name
            scale = y.abs().max().item() + 1e-12
            error = (x.double() - y).abs().max().item()
            assert error <= tolerance * scale, f"{name}: error {error} at scale {scale}"


def same(got, expected):
    return all(
        (x is None) == (y is None) and (x is None or torch.equal(x, y)) for x, y in zip(got, expected, strict=True)
    )


def restride(x, how):
    """The same numbers, laid out in memory in another way."""
    if x is None or how == 0:
        return x
    if how == 1:
        return x.mT.contiguous().mT
    if how == 2:
        return torch.stack([x, x + 1], dim=-1)[..., 0]
    return x.movedim(0, -1).contiguous().movedim(-1, 0)


@settings(max_examples=80, deadline=None)
@given(
    K=st.integers(1, 3), B=st.integers(1, 40), T=st.integers(1, 9), M=st.integers(1, 23), N=st.integers(1, 7),
    shared=st.booleans(), drive=st.booleans(), seed=st.integers(0, 10**6), data=st.data(),
)  # fmt: skip
def test_equals_the_loop(K, B, T, M, N, shared, drive, seed, data):
    args = arguments(K, B, T, M, N, shared, drive, seed)
    need = [data.draw(st.booleans()) for _ in NAMES]
    last = data.draw(st.none() | st.integers(1, T))
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(K, B, last or T, M, generator=g, dtype=torch.float64)
    single = [None if x is None else x.float() for x in args]  # round first, so that both dtypes compute the same thing
    args = [None if x is None else x.double() for x in single]
    expected = run(reference, args, need, last, weight)
    states = reference(*args)
    before = torch.cat([args[1].unsqueeze(2), states[:, :, :-1]], dim=2)
    # closer than that to a kink, rounding decides on which side of it one is
    assume((before - args[6][:, None, None]).abs().min() > 1e-5)
    hows = [data.draw(st.integers(0, 3)) for _ in NAMES]
    strided = [restride(x, how) for x, how in zip(args, hows, strict=True)]
    got = run(recurrence, strided, need, last, restride(weight, data.draw(st.integers(0, 3))))
    agree(got, expected, 1e-10)
    agree(run(recurrence, single, need, last, weight), expected, 1e-3)


@pytest.mark.parametrize("last", [None, 1, 23])
@pytest.mark.parametrize("K, B, T, M, N, shared, drive", [
    (1, 1, 140, 33, 1, True, True), (3, 33, 90, 41, 5, False, True), (2, 16, 40, 64, 64, True, False),
    (1, 37, 30, 130, 2, True, True),
])  # fmt: skip
def test_long_sequences(K, B, T, M, N, shared, drive, last):
    """Longer than the blocks of the backward pass, whose states are then computed anew."""
    args = arguments(K, B, T, M, N, shared, drive, seed=3)
    args[6] = torch.where(args[6] > -INF, -5.0, args[6])  # rarely met, so that float32 takes the same side
    args = [None if x is None else x.float().double() for x in args]
    weight = torch.randn(K, B, last or T, M, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = run(reference, args, [True] * 7, last, weight)
    agree(run(recurrence, args, [True] * 7, last, weight), expected, 1e-10)
    agree(run(recurrence, args, [True] * 7, last, weight, torch.float32), expected, 2e-3)


def test_so_many_units_that_a_block_is_one_step():
    args = arguments(K=2, B=40, T=4, M=800, N=1)
    need = [name == "W" for name in NAMES]
    agree(run(recurrence, args, need, last=1), run(reference, args, need, last=1), 1e-10)


def test_one_net_by_hand():
    """z' = a z + w max(z, 0) + c s + h with numbers that are exact: states, and gradients at and beside the kink."""
    s = torch.tensor([[[1.0], [-4.0], [2.0]]])
    args = [s, torch.zeros(1, 1, 1), torch.tensor([[0.5]]), torch.tensor([[[-0.5]]]), torch.tensor([[[2.0]]])]
    args += [torch.tensor([[1.0]]), torch.zeros(1, 1)]
    z, ds, dz0, dA, dW, dC, dh, dlower = run(recurrence, args, [True] * 7, last=1)
    # z1 = 2 + 1 = 3; z2 = 1.5 - 1.5 - 8 + 1 = -7; z3 = -3.5 + 0 + 4 + 1 = 1.5
    assert z.item() == 1.5
    G3, G2 = 1.0, 0.5  # slope at z2 = -7 is a
    G1 = (0.5 - 0.5) * G2  # slope at z1 = 3 is a + w
    assert ds.flatten().tolist() == [2 * G1, 2 * G2, 2 * G3]
    assert dz0.item() == 0.5 * G1
    assert (dA.item(), dW.item()) == (G3 * -7 + G2 * 3, G3 * 0 + G2 * 3)
    assert (dC.item(), dh.item()) == (G3 * 2 + G2 * -4 + G1, G3 + G2 + G1)
    assert dlower.item() == -0.5 * G3 - 0.5 * G1  # z2 and z0 = 0 lie at or below the bound


def test_slope_at_the_bound_is_zero():
    one = torch.ones(1, 1, dtype=torch.float64)
    args = [
        torch.zeros(1, 1, 1).double(),
        one[None] * 0.25,
        0 * one,
        one[None] * 3,
        one[None],
        0 * one,
        one * 0.25,
    ]  # z0 = lower
    _, _, dz0, _, _, _, _, dlower = run(recurrence, args, [True] * 7)
    assert dz0.item() == 0 and dlower.item() == 3


def test_lower_at_minus_infinity_is_a_linear_net():
    args = arguments(K=1, B=2, T=6, M=4)
    args[6] = torch.full_like(args[6], -INF)
    step = torch.diag(args[2][0]) + args[3][0]
    z = args[1][0]
    for t in range(6):
        z = z @ step.T + args[0][:, t] @ args[4][0].T + args[5][0]
    torch.testing.assert_close(recurrence(*args, last=1)[0, :, 0], z)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("drive", [True, False])
@pytest.mark.parametrize("last", [None, 2])
def test_first_and_second_derivatives(shared, drive, last):
    args = arguments(K=2, B=2, T=3, M=3, N=2, shared=shared, drive=drive, seed=5)
    args[6] = args[6].clamp(min=-9)  # finite differences of an infinite bound have no meaning
    leaves = [x.requires_grad_() for x in args if x is not None]

    def call(*xs):
        xs = list(xs)
        return recurrence(*(xs if drive else [*xs[:4], None, *xs[4:]]), last)

    assert torch.autograd.gradcheck(call, leaves)
    assert torch.autograd.gradgradcheck(call, leaves)


def test_third_derivative():
    args = [x.requires_grad_() for x in arguments(K=1, B=1, T=4, M=2, N=1)]
    got, expected = ([], [])
    for function, out in ((recurrence, got), (reference, expected)):
        x = function(*args).pow(3).sum()
        for _ in range(3):
            (x,) = torch.autograd.grad(x, args[3], create_graph=True)
            out.append(x.detach())
            x = x.pow(2).sum()
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("last", [None, 3])
def test_identical_from_run_to_run_and_for_any_number_of_threads(dtype, last):
    args = arguments(K=3, B=70, T=40, M=30, N=2, dtype=dtype)
    threads = torch.get_num_threads()
    runs = []
    try:
        for n in [4, 4, 4, 1, 3] if backend().name == "c" else [1, 1, 1]:
            torch.set_num_threads(n)
            runs.append(run(recurrence, args, [True] * 7, last))
    finally:
        torch.set_num_threads(threads)
    assert all(same(r, runs[0]) for r in runs[1:])


def test_nets_of_an_ensemble_do_not_know_of_each_other():
    args = arguments(K=3, B=9, T=11, M=6, shared=False)
    together = run(recurrence, args, [True] * 7)
    for k in range(3):
        alone = run(recurrence, [x[k : k + 1] for x in args], [True] * 7)
        agree(alone, [x[k : k + 1] for x in together], 1e-12)


@pytest.mark.parametrize("B", [3, 40])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["s", "z0", "A", "W", "C", "h", "lower"])
def test_nan_and_infinity_travel_as_in_the_loop(name, bad, B):
    """One bad number in the first net: the same entries of states and gradients go NaN or infinite, and no others."""
    args = arguments(K=2, B=B, T=5, M=12, shared=False)
    args[NAMES.index(name)].view(-1)[1] = bad
    expected, got = run(reference, args, [True] * 7), run(recurrence, args, [True] * 7)
    for part, x, y in zip(["z", *NAMES], got, expected, strict=True):
        assert torch.equal(x.isfinite(), y.isfinite()), part
        torch.testing.assert_close(x[y.isfinite()], y[y.isfinite()], msg=part)
    torch.testing.assert_close(got[0], expected[0], equal_nan=True)


def test_empty_lanes_do_not_overflow():
    """Lanes without a sequence would run away here from z = 0, while the sequences stay put: no inf must be seen."""
    full = {"dtype": torch.float64}
    args = [torch.full((3, 400, 2), -1.0, **full), torch.zeros(1, 3, 2, **full), torch.full((1, 2), 9.0, **full)]
    args += [
        torch.zeros(1, 2, 2, **full),
        torch.eye(2, **full)[None],
        torch.ones(1, 2, **full),
        torch.zeros(1, 2, **full),
    ]
    for last in (400, 399):
        weight = torch.zeros(1, 3, last, 2, **full)
        weight[:, :, 0] = 1
        z, *grads = run(recurrence, args, [False] * 3 + [True] + [False] * 3, last, weight)
        assert z.abs().max() == 0 and grads[3].abs().max() == 0


@in_c
def test_denormals_count_as_zero_inside_and_the_mode_is_restored():
    args = [x.float() for x in arguments(K=1, B=1, T=200, M=1, N=1)]
    args = [x * 0 for x in args[:5]] + [args[5] * 0, torch.full((1, 1), -INF)]
    args[1], args[2] = torch.ones(1, 1, 1), torch.full((1, 1), 0.5)
    z = recurrence(*args).flatten()
    assert z[125] > 0 and z[126:].abs().max() == 0
    assert torch.tensor(1e-30) * torch.tensor(1e-10) > 0, "denormals must still work outside the kernel"


def test_without_gradients():
    args = arguments()
    expected = reference(*args)
    leaves = [x.clone().requires_grad_() for x in args]
    with torch.no_grad():
        z = recurrence(*leaves)
    assert not z.requires_grad
    torch.testing.assert_close(z, expected)
    with torch.inference_mode():
        torch.testing.assert_close(recurrence(*leaves, last=2), expected[:, :, -2:])
    assert recurrence(*leaves).requires_grad


def test_arguments_are_left_as_they_are():
    args = arguments(K=2, B=5, T=6, M=4, shared=False)
    copies = [x.clone() for x in args]
    run(recurrence, args, [True] * 7)
    assert same([x.detach() for x in args], copies)


def test_changing_an_argument_before_backward_is_an_error():
    args = arguments()
    args[3].requires_grad_()
    z = recurrence(*args, last=1)
    args[0].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_expanded_arguments():
    """Strides of zero, as from expand, in the input and in the gradient (of a sum)."""
    args = arguments(K=2, B=4, T=5, M=3, N=2)
    wide = [args[0][:1].expand(4, 5, 2), *args[1:]]
    plain = [wide[0].contiguous(), *args[1:]]
    gradients = []
    for function, xs in ((recurrence, wide), (reference, plain)):
        W = xs[3].clone().requires_grad_()
        function(*xs[:3], W, *xs[4:]).sum().backward()
        gradients.append(W.grad)
    torch.testing.assert_close(*gradients)


# ---- workers


def _child(args, expected, connection):
    kernel.PER_THREAD = 1  # use threads even for little work. Torch's own do not survive a fork; here it needs none
    torch.set_num_threads(2 if backend().name == "c" else 1)
    connection.send((backend().name, same(run(recurrence, args, [True] * 7), expected)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(method, monkeypatch):
    monkeypatch.setattr(kernel, "PER_THREAD", 1)
    args = arguments(K=3, B=40, T=20, M=10)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if backend().name == "c" else 1)
        expected = run(recurrence, args, [True] * 7)
        context = multiprocessing.get_context(method)
        here, there = context.Pipe()
        plain = [x.detach() for x in args]
        workers = [context.Process(target=_child, args=(plain, expected, there), daemon=True) for _ in range(2)]
        for worker in workers:
            worker.start()
        for _ in workers:
            assert here.poll(120), "the worker hangs"
            assert here.recv() == (backend().name, True)
        for worker in workers:
            worker.join(30)
            assert worker.exitcode == 0
    finally:
        torch.set_num_threads(threads)


# ---- other devices and dtypes


@pytest.mark.parametrize("drive", [True, False])
def test_torch_path_never_looks_at_numbers(drive):
    """The meta device has shapes but no numbers: a copy to the host or `.item()` fails there; it would stall a GPU."""
    args = [None if x is None else x.to("meta").requires_grad_() for x in arguments(drive=drive)]
    z = recurrence(*args, last=2)
    assert z.shape == (2, 3, 2, 5) and z.device.type == "meta"
    z.sum().backward()
    assert all(x is None or x.grad.shape == x.shape for x in args)


def test_other_dtypes_run_on_torch():
    args = arguments()
    z = recurrence(*[x.bfloat16() for x in args])
    assert z.dtype == torch.bfloat16
    torch.testing.assert_close(z.double(), reference(*args), atol=0.2, rtol=0.1)


@in_c
def test_both_paths_are_used(monkeypatch):
    """The kernel serves backward; a backward that is to be differentiated again runs on torch."""
    calls = []
    real = kernel.backward
    monkeypatch.setattr(kernel, "backward", lambda *xs: calls.append(1) or real(*xs))
    args = [x.requires_grad_() for x in arguments()]
    torch.autograd.grad(recurrence(*args).sum(), args[3])
    assert len(calls) == 1
    torch.autograd.grad(recurrence(*args).sum(), args[3], create_graph=True)
    assert len(calls) == 1


# ---- memory

MEMORY = """
import resource, sys, torch
from alrnn.recurrence import recurrence
last = eval(sys.argv[1])
def step(T):
    K, B, M = 4, 64, 32
    leaves = [torch.zeros(K, M, requires_grad=True), torch.zeros(K, M, M, requires_grad=True)]
    z = recurrence(torch.zeros(B, T, 1), torch.zeros(K, B, M), *leaves, torch.zeros(K, M, 1), torch.zeros(K, M),
                   torch.zeros(K, M), last)
    z.pow(2).sum().backward()
    return K * B * T * M * 4
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
step(10)
before = peak()
states = step(3000)
print((peak() - before) / states)
"""


@in_c
@pytest.mark.parametrize("last, most", [(None, 4), (1, 0.5)])
def test_peak_memory(last, most):
    """In units of the states. The loss z^2 holds one copy, its gradients two; ours are z and nothing as large."""
    done = subprocess.run([sys.executable, "-c", MEMORY, repr(last)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < most


# ---- bad arguments


@pytest.mark.parametrize("change, error, message", [
    ({"s": torch.zeros(3, 4)}, ValueError, r"s must have shape \(B, T, N\) or \(K, B, T, N\), got \(3, 4\)"),
    ({"s": torch.zeros(3, 4, 9)}, ValueError, r"s must have shape|C must have shape"),
    ({"s": torch.zeros(3, 0, 2)}, ValueError, "T=0"),
    ({"s": torch.zeros(3, 4, 0), "C": torch.zeros(2, 5, 0)}, ValueError, "N=0"),
    ({"s": torch.zeros(7, 4, 2)}, ValueError, r"s must have shape \(3, 4, 2\)"),
    ({"s": torch.zeros(3, 4, 2, dtype=torch.long)}, TypeError, "s must be a floating point tensor, got torch.int64"),
    ({"s": [[1.0]]}, TypeError, "s must be a floating point tensor, got list"),
    ({"z0": torch.zeros(2, 5)}, ValueError, r"z0 must have shape \(K, B, M\), got \(2, 5\)"),
    ({"A": torch.zeros(2, 4)}, ValueError, r"A must have shape \(2, 5\)"),
    ({"W": torch.zeros(5, 5)}, ValueError, r"W must have shape \(2, 5, 5\)"),
    ({"C": torch.zeros(2, 5, 3)}, ValueError, r"C must have shape \(2, 5, 2\)"),
    ({"C": None}, ValueError, r"s must have shape \(3, 4, 5\)"),
    ({"h": torch.zeros(5)}, ValueError, r"h must have shape \(2, 5\)"),
    ({"lower": torch.zeros(2, 6)}, ValueError, r"lower must have shape \(2, 5\)"),
    ({"W": torch.zeros(2, 5, 5, dtype=torch.float64)}, TypeError, "one dtype.*W torch.float64"),
    ({"W": torch.zeros(2, 5, 5, device="meta")}, ValueError, "one device.*W meta"),
    ({"last": 0}, ValueError, "last must be between 1 and T = 4, got 0"),
    ({"last": 5}, ValueError, "last must be between 1 and T = 4, got 5"),
    ({"last": 1.0}, ValueError, "last must be between 1 and T = 4, got 1.0"),
])  # fmt: skip
def test_bad_arguments_get_one_clear_error(change, error, message):
    args = dict(zip(NAMES, arguments(dtype=torch.float32), strict=True))
    with pytest.raises(error, match=message):
        recurrence(**(args | change))


def test_reference_and_recurrence_have_one_signature():
    assert inspect.signature(reference) == inspect.signature(recurrence)


def test_the_switch_is_obeyed():
    if os.environ.get("ALRNN_KERNEL") == "0":
        assert backend() == ("torch", "switched off by ALRNN_KERNEL=0")
