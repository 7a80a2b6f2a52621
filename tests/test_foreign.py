"""Nets from weights made elsewhere: each against a loop written apart, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alrnn import ALRNN, regions
from alrnn.nets.almost_linear import PARTS

sizes = st.integers(1, 6)


def draw(M, N, O, seed, scale=0.5):  # noqa: E741
    """Weights of a net of any kind, float64, A on all units."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (M, M), "h": (M,), "A": (M,), "C": (M, N), "D": (O, M), "b": (O,)}
    return {name: scale * rng.standard_normal(shape) for name, shape in shapes.items()}


def loop(w, pwl, s, z):
    """One sequence s (T, N) in plain numpy, ReLU where pwl says so, in the order of the weights given."""
    ys, zs = [], []
    for x in s:
        f = np.array([max(v, 0.0) if bent else v for v, bent in zip(z, pwl, strict=True)])
        z = w["A"] * z + w["W"] @ f + w["C"] @ x + w["h"]
        zs.append(z)
        ys.append(w["D"] @ z + w["b"])
    return np.array(ys), np.array(zs)


@settings(max_examples=60, deadline=None)
@given(M=sizes, N=st.integers(0, 3), O=st.integers(0, 3), T=sizes, seed=st.integers(0, 99), data=st.data())
def test_runs_as_the_foreign_loop_does(M, N, O, T, seed, data):  # noqa: E741
    """Any mask, A on all units, from any state, without inputs or readout, too."""
    w, rng = draw(M, N, O, seed), np.random.default_rng(seed + 1)
    pwl = np.array(data.draw(st.lists(st.booleans(), min_size=M, max_size=M)))
    s, z0 = rng.standard_normal((T, N)), rng.standard_normal(M)
    y_loop, z_loop = loop(w, pwl, s, z0)
    net = ALRNN.from_weights(**w, nonlinear=pwl)
    assert (net.input_size, net.hidden_size, net.nonlinear_size, net.output_size) == (N, M, pwl.sum(), O)
    y, z = net(torch.tensor(s)[None], torch.tensor(z0)[None, net.order])
    np.testing.assert_allclose(z[0].detach(), z_loop[:, net.order], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(y[0].detach(), y_loop, rtol=1e-11, atol=1e-11)


def test_weights_of_the_usual_form():
    """A on all units, the last P of which are PWL, as trained for dynamical systems: folded, nothing is moved."""
    M, P, w = 7, 3, draw(7, 2, 3, seed=3)
    net = ALRNN.from_weights(**w, nonlinear=P)
    pwl = np.arange(M) >= M - P
    assert net.order == list(range(M))
    np.testing.assert_array_equal(net.A.detach(), w["A"] * pwl)
    np.testing.assert_array_equal(net.W.detach(), w["W"] + np.diag(w["A"] * ~pwl))
    np.testing.assert_array_equal(net.jacobian([1, 0, 1]).detach(), J(w, pwl, [1, 0, 1]))


def J(w, pwl, bits):
    """The Jacobian of the foreign map, PWL units at `bits`, by its definition."""
    slope = np.ones(len(pwl))
    slope[pwl] = bits
    return np.diag(w["A"]) + w["W"] * slope


def test_units_keep_their_order_within_each_kind():
    pwl = np.array([True, False, False, True, False])
    net = ALRNN.from_weights(**draw(5, 1, 1, seed=0), nonlinear=pwl)
    assert net.order == [1, 2, 4, 0, 3] and net.pwl.tolist() == pwl[net.order].tolist()
    assert ALRNN(1, 2, 1, 1).order is None


def test_what_is_read_off_the_net_is_the_foreign_nets():
    """Its fixed points solve the foreign equation, state by state."""
    w, pwl = draw(4, 1, 1, seed=5), np.array([False, True, True, False])
    net = ALRNN.from_weights(**w, nonlinear=pwl)
    found = [p for p in regions.fixed_points(net) if p.real]
    assert found
    for point in found:
        z = np.empty(4)
        z[net.order] = point.z
        np.testing.assert_allclose(loop(w, pwl, np.zeros((1, 1)), z)[1][0], z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_dtype_is_kept(dtype):
    w = {name: torch.tensor(x).to(dtype) for name, x in draw(4, 2, 1, seed=1).items()}
    net = ALRNN.from_weights(**w, nonlinear=2)
    assert {p.dtype for p in net.parameters()} == {dtype} and net.bends.dtype == dtype
    assert torch.equal(net.C, w["C"]) and net.C.data_ptr() != w["C"].data_ptr()
    assert all(p.requires_grad for p in net.parameters())


def test_mixed_and_whole_numbers():
    """The finest of the dtypes given; lists as numpy reads them; whole numbers as torch's default."""
    assert ALRNN.from_weights(torch.eye(2), [0.1, 0.2], nonlinear=1).h.tolist() == [0.1, 0.2]
    assert ALRNN.from_weights(torch.eye(2), torch.zeros(2).half(), nonlinear=1).W.dtype == torch.float32
    net = ALRNN.from_weights([[0, 1], [1, 0]], [1, 2], nonlinear=1)
    assert net.W.dtype == torch.get_default_dtype() and net.h.tolist() == [1, 2]
    assert (net.A == 0).all() and net.C.shape == (2, 0) and net.D.shape == (0, 2) and net.b.shape == (0,)


def test_parameters_of_another_module_are_copied():
    w = {name: torch.nn.Parameter(torch.tensor(x)) for name, x in draw(4, 2, 1, seed=1).items()}
    before = {name: x.clone() for name, x in w.items()}
    net = ALRNN.from_weights(**w, nonlinear=[True, False, True, False], seed=7)
    with torch.no_grad():
        net.W.zero_()
    assert all(torch.equal(w[name], before[name]) for name in w) and net.seed == 7
    assert all(x.grad is None for x in w.values())


def test_it_can_be_copied_trained_and_saved():
    w, s = draw(4, 2, 1, seed=1), torch.ones(2, 3, 2).double()
    net = ALRNN.from_weights(**w, nonlinear=[True, False, True, False])
    other = ALRNN(**net.settings()).double()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(s)[0], net(s)[0]) and net.copy().order == net.order
    net(s)[0].sum().backward()
    assert (net.A.grad[~net.pwl] == 0).all() and (net.A.grad[net.pwl] != 0).all()


BAD = [
    (dict(W=np.zeros((2, 3))), r"W must have shape \(M, M\), got \(2, 3\)"),
    (dict(W=1.0), r"W must have shape \(M, M\), got \(\)"),
    (dict(h=np.zeros(3)), r"h must have shape \(4,\), got \(3,\)"),
    (dict(A=np.eye(4)), r"A must have shape \(4,\), got \(4, 4\)"),
    (dict(C=np.zeros((3, 2))), r"C must have shape \(4, 2\), got \(3, 2\)"),
    (dict(C=np.zeros(4)), r"C must have shape \(4, 4\), got \(4,\)"),
    (dict(D=np.zeros((1, 3))), r"D must have shape \(1, 4\), got \(1, 3\)"),
    (dict(D=0.0), r"D must have shape \(1, 4\), got \(\)"),
    (dict(b=np.zeros(2)), r"b must have shape \(1,\), got \(2,\)"),
    (dict(D=None), r"b must have shape \(0,\), got \(1,\)"),
    (dict(h=np.array([0, np.nan, 0, 0])), "h contains NaN or infinite values"),
    (dict(W=np.full((4, 4), np.inf)), "W contains NaN or infinite values"),
    (dict(W=torch.zeros(4, 4).half(), h=torch.tensor([0, np.inf, 0, 0]).half()), "h contains NaN or infinite"),
    (dict(nonlinear=5), "nonlinear must be an integer from 0 to M = 4, got 5"),
    (dict(nonlinear=None), "nonlinear must be an integer from 0 to M = 4, got None"),
    (dict(nonlinear=1.5), "nonlinear must be an integer from 0 to M = 4, got 1.5"),
    (dict(nonlinear=[True, False]), r"nonlinear must be P or a mask, True or False for each of 4 units, got \[True, "),
    (dict(nonlinear=[0, 1, 1, 0]), "nonlinear must be P or a mask"),
    (dict(nonlinear=torch.ones(1, 4).bool()), "nonlinear must be P or a mask"),
    (dict(seed=-1), "seed must be an integer"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_weights(change, message):
    with pytest.raises(ValueError, match=message):
        ALRNN.from_weights(**draw(4, 2, 1, seed=0) | {"nonlinear": 2} | change)


def test_no_units_is_an_error():
    with pytest.raises(ValueError, match="hidden_size must be an integer of at least 1, got 0"):
        ALRNN.from_weights(np.zeros((0, 0)), np.zeros(0), nonlinear=0)


# torch's ReLU RNN


def relu_rnn(N=3, M=5, seed=0, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rnn = torch.nn.RNN(N, M, nonlinearity="relu", dtype=torch.float64, **settings)
        return rnn, torch.nn.Linear(M, 2, dtype=torch.float64)


def inputs(B=4, T=9, N=3, seed=1):
    return torch.randn(B, T, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_states_of_a_relu_rnn(bias, batch_first):
    """relu(z_t) is torch's state; z_t is negative here and there, so it is not z_t itself."""
    rnn, _ = relu_rnn(bias=bias, batch_first=batch_first)
    net, s, u0 = ALRNN.from_rnn(rnn), inputs(), inputs(4, 1, 5)[:, 0].abs()
    u = rnn(s if batch_first else s.mT.permute(2, 0, 1), u0[None])[0]
    y, z = net(s, u0)
    torch.testing.assert_close(z.relu(), u if batch_first else u.transpose(0, 1), rtol=1e-12, atol=1e-12)
    assert (z < 0).any() and y.shape == (4, 9, 0) and net.nonlinear_size == net.hidden_size == 5
    assert (net.A == 0).all() and net.W.dtype == torch.float64


@pytest.mark.parametrize("bias", [True, False])
def test_readout_of_a_relu_rnn_comes_one_step_later(bias):
    """After one step more, whatever stands in it, the net has given all of torch's answers."""
    rnn, linear = relu_rnn(batch_first=True)
    linear.bias = linear.bias if bias else None
    net, s, u0 = ALRNN.from_rnn(rnn, linear), inputs(), inputs(4, 1, 5)[:, 0].abs()
    answers = linear(rnn(s, u0[None])[0])
    z0 = torch.cat([torch.zeros(4, 2).double(), u0], 1)
    for last in (torch.zeros(4, 1, 3), 100 * torch.ones(4, 1, 3)):
        y, z = net(torch.cat([s, last.double()], 1), z0)
        torch.testing.assert_close(y[:, 1:], answers, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(y[:, 0], linear(u0), rtol=1e-12, atol=1e-12)
    assert (net.hidden_size, net.nonlinear_size, net.output_size) == (7, 5, 2)
    assert net.pwl.tolist() == [False] * 2 + [True] * 5


def test_at_the_same_step_no_net_can():
    """The reason: in s_t a net's answer y_t is affine, at any past; torch's is not."""
    rnn, linear = relu_rnn(batch_first=True)
    net, past = ALRNN.from_weights(**draw(6, 3, 2, seed=2), nonlinear=4), inputs(1, 5)
    a, b = inputs(1, 1, seed=8), inputs(1, 1, seed=9)

    def bend(answer):
        one, other, middle = (answer(torch.cat([past, x], 1))[0, -1] for x in (a, b, (a + b) / 2))
        return (one + other - 2 * middle).abs().max()

    assert bend(lambda s: net(s)[0]) < 1e-12 and bend(lambda s: linear(rnn(s)[0])) > 1e-3


def test_torch_keeps_its_weights():
    rnn, linear = relu_rnn()
    before = {name: p.clone() for name, p in rnn.named_parameters()}
    net = ALRNN.from_rnn(rnn, linear)
    with torch.no_grad():
        for name in PARTS:
            getattr(net, name).zero_()
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in rnn.named_parameters())


@pytest.mark.parametrize(
    "rnn",
    [
        torch.nn.RNN(3, 5),
        torch.nn.RNN(3, 5, 2, nonlinearity="relu"),
        torch.nn.RNN(3, 5, nonlinearity="relu", bidirectional=True),
        torch.nn.LSTM(3, 5),
        torch.nn.GRU(3, 5),
        torch.nn.Linear(3, 5),
        None,
    ],
    ids=repr,
)
def test_other_layers_are_refused(rnn):
    with pytest.raises(
        ValueError, match=r"rnn must be a torch.nn.RNN\(nonlinearity='relu'\) of one layer and direction"
    ):
        ALRNN.from_rnn(rnn)


@pytest.mark.parametrize("linear", [torch.nn.Linear(4, 2), torch.nn.ReLU(), 3], ids=repr)
def test_other_readouts_are_refused(linear):
    with pytest.raises(ValueError, match="linear must be a torch.nn.Linear that reads 5 units, got"):
        ALRNN.from_rnn(relu_rnn()[0], linear)
