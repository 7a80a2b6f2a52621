"""The net: against independent constructions, its initialisations, its ensembles, and what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alrnn import ALRNN, Init, Stack
from alrnn.nets.almost_linear import PARTS

KINDS = ("paper", "slow", "rotation", "spread")
sizes = st.integers(1, 7)


def make(N=3, M=5, P=2, O=2, seed=0, init="paper"):  # noqa: E741
    """A float64 net with dense random weights of a useful size in every part."""
    net = ALRNN(N, M, P, O, seed, init).double()
    generator = torch.Generator().manual_seed(1000 + seed)
    with torch.no_grad():
        for name in PARTS:
            w = getattr(net, name)
            w.copy_(0.4 * torch.randn(w.shape, generator=generator, dtype=torch.float64))
        net.A *= net.pwl
    return net


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(net, s, z0=None):
    """The equation in plain Python floats, one number at a time."""
    M, P = net.hidden_size, net.nonlinear_size
    A, W, C, h, D, b = (getattr(net, name).tolist() for name in PARTS)
    ys, zs = [], []
    for i, sequence in enumerate(s.tolist()):
        z = [0.0] * M if z0 is None else z0[i].tolist()
        ys.append([])
        zs.append([])
        for x in sequence:
            f = [max(0.0, v) if j >= M - P else v for j, v in enumerate(z)]
            z = [
                A[j] * z[j]
                + sum(w * v for w, v in zip(W[j], f, strict=True))
                + sum(c * v for c, v in zip(C[j], x, strict=True))
                + h[j]
                for j in range(M)
            ]
            zs[-1].append(z)
            ys[-1].append([sum(d * v for d, v in zip(row, z, strict=True)) + o for row, o in zip(D, b, strict=True)])
    return torch.tensor(ys, dtype=torch.float64), torch.tensor(zs, dtype=torch.float64)


# What the net computes


@settings(max_examples=40, deadline=None)
@given(N=sizes, M=sizes, share=st.floats(0, 1), O=sizes, B=sizes, T=sizes, seed=st.integers(0, 99), start=st.booleans())
def test_equals_the_equation_by_hand(N, M, share, O, B, T, seed, start):  # noqa: E741
    net, s = make(N, M, round(share * M), O, seed), normal(B, T, N, seed=seed)
    with torch.no_grad():
        net.A += 0.3 * normal(M, seed=seed + 2)  # on linear units, too
    z0 = normal(B, M, seed=seed + 1) if start else None
    y, z = net(s, z0)
    y_hand, z_hand = by_hand(net, s, z0)
    assert y.shape == (B, T, O) and z.shape == (B, T, M)
    torch.testing.assert_close(z, z_hand, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(y, y_hand, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("M", [1, 2, 7])
def test_p0_is_exactly_affine(M):
    """Superposition, outputs and states, from any state: f(a s + (1 - a) r) = a f(s) + (1 - a) f(r)."""
    net, s, r, z0 = make(M=M, P=0), normal(4, 9, 3, seed=1), 5 * normal(4, 9, 3, seed=2), normal(4, M, seed=3)
    for a in (-1.5, 0.25, 3.0):
        for mixed, one, other in zip(net(a * s + (1 - a) * r, z0), net(s, z0), net(r, z0), strict=True):
            torch.testing.assert_close(mixed, a * one + (1 - a) * other, rtol=1e-12, atol=1e-12)


def test_p1_is_not_affine():
    """The test above can fail: one PWL unit breaks superposition."""
    net, s = make(P=1), normal(4, 9, 3)
    assert (net(-s)[0] + net(s)[0] - 2 * net(0 * s)[0]).abs().max() > 1e-3


def test_p0_is_a_sum_over_the_past():
    """P = 0 without a loop: z_T = sum_k W^k (C s_{T-k} + h). Negative states pass: [-P:] would cut all units."""
    net, s = make(P=0), normal(4, 9, 3)
    drive = s @ net.C.T + net.h
    expected = sum(drive[:, 8 - k] @ torch.linalg.matrix_power(net.W, k).T for k in range(9))
    z = net(s)[1]
    torch.testing.assert_close(z[:, -1], expected, rtol=1e-12, atol=1e-12)
    assert (z < 0).any() and not net.pwl.any() and (net.lower == -torch.inf).all()


def relu_rnn(W, C, h):
    """torch's own ReLU RNN: u_t = relu(W u_{t-1} + C s_t + h)."""
    rnn = torch.nn.RNN(C.shape[1], len(W), nonlinearity="relu", batch_first=True).double()
    rnn.load_state_dict({"weight_hh_l0": W, "weight_ih_l0": C, "bias_hh_l0": h, "bias_ih_l0": 0 * h})
    return rnn


@pytest.mark.parametrize("M", [1, 2, 6])
def test_all_pwl_without_A_is_a_relu_rnn(M):
    """P = M, A = 0: torch applies ReLU to the new state, we to the old one, so its state is relu of ours."""
    net, s, z0 = make(M=M, P=M), normal(4, 9, 3), normal(4, M, seed=2)
    with torch.no_grad():
        net.A.zero_()
    u = relu_rnn(net.W, net.C, net.h)(s, z0.relu()[None])[0]
    torch.testing.assert_close(net(s, z0)[1].relu(), u, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("P", [0, 1, 3, 6])
def test_any_net_is_a_relu_rnn_of_twice_the_size(P):
    """z = relu(z) - relu(-z), so a ReLU RNN with state (relu(z), relu(-z)) computes any AL-RNN, A included."""
    M = 6
    net, s, z0 = make(M=M, P=P), normal(4, 9, 3), normal(4, M, seed=2)
    linear = torch.arange(M) < M - P
    W = torch.cat([torch.diag(net.A) + net.W, -torch.diag(net.A) - net.W * linear], 1)  # below 0, W passes linear units
    rnn = relu_rnn(torch.cat([W, -W]), torch.cat([net.C, -net.C]), torch.cat([net.h, -net.h]))
    u = rnn(s, torch.cat([z0, -z0], 1).relu()[None])[0]
    torch.testing.assert_close(net(s, z0)[1], u[..., :M] - u[..., M:], rtol=1e-12, atol=1e-12)


def test_running_on_from_a_state_equals_running_through():
    net, s = make(), normal(4, 9, 3)
    z = net(s)[1]
    torch.testing.assert_close(net(s[:, 5:], z[:, 4])[1], z[:, 5:], rtol=1e-12, atol=1e-12)


def test_A_on_linear_units_counts_and_stays():
    """Numbers written there are part of the equation, as if they stood on W's diagonal; training leaves them alone."""
    net, folded, s = make(P=2), make(P=2), normal(4, 9, 3)
    extra = torch.tensor([0.3, -0.5, 0.2, 0, 0], dtype=torch.float64)
    with torch.no_grad():
        net.A += extra
        folded.W += torch.diag(extra)
    torch.testing.assert_close(net(s), folded(s), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net.jacobian([0, 1]), folded.jacobian([0, 1]))
    torch.testing.assert_close(Stack([net])(s), Stack([folded])(s), rtol=1e-12, atol=1e-12)
    for words in (s, torch.tensor([[-1, 2, 0], [1, 1, 2]])):
        net.zero_grad()
        net(words)[0].square().sum().backward()
        assert (net.A.grad[:3] == 0).all() and (net.A.grad[3:] != 0).all()


# The Jacobian


@pytest.mark.parametrize("P", [0, 1, 3, 5])
def test_jacobian_is_the_derivative_of_the_map(P):
    net, s = make(P=P), normal(1, 1, 3)

    def step(z):
        return net(s, z)[1][0, 0]

    for seed in range(5):
        z = normal(1, 5, seed=10 + seed)
        bits = z[0, 5 - P :] > 0
        expected = torch.autograd.functional.jacobian(step, z)[:, 0]
        torch.testing.assert_close(net.jacobian(bits), expected, rtol=1e-12, atol=1e-12)
        assert torch.equal(net.jacobian(bits.long().tolist()), net.jacobian(bits))
        assert torch.equal(
            net.jacobian("".join(map(str, bits.long().tolist()))) if P else net.jacobian([]), net.jacobian(bits)
        )
        assert torch.equal(net.jacobian(torch.stack([bits, ~bits]))[0], net.jacobian(bits))
    at_border = torch.autograd.functional.jacobian(step, 0 * z)[:, 0]  # at z = 0 the slope is 0, as torch's ReLU has it
    torch.testing.assert_close(net.jacobian([0] * P), at_border, rtol=1e-12, atol=1e-12)


def test_gradient_of_the_jacobian():
    """L = sum_ij J_ij^2 with J = A + W G gives dL/dW = 2 J G and dL/dA = 2 diag(J), on PWL units only."""
    net, bits, gate = make(P=2), [1, 0], torch.tensor([1.0, 1, 1, 1, 0], dtype=torch.float64)
    J = net.jacobian(bits)
    J.square().sum().backward()
    torch.testing.assert_close(net.W.grad, 2 * J * gate)
    torch.testing.assert_close(net.A.grad, 2 * torch.diag(J) * net.pwl)


# Nothing changes but the result


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def equal(net, before):
    return all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("P", [0, 2, 5])
@pytest.mark.parametrize("training", [True, False])
def test_calls_leave_everything_as_it_was(P, training):
    """Arguments (a ReLU in place would overwrite z0), weights, random state, requires_grad, train mode."""
    net, s, z0, bits = make(P=P).train(training), normal(4, 9, 3), normal(4, 5, seed=2), torch.ones(P)
    net.h.requires_grad_(False)
    flags = {name: p.requires_grad for name, p in net.named_parameters()}
    before, arguments, random = weights(net), [x.clone() for x in (s, z0, bits)], torch.get_rng_state()
    numpy_random = np.random.get_state()[1].copy()
    y, z = net(s, z0)
    y.sum().backward()
    net.jacobian(bits)
    ensemble = Stack([net, net.copy()])
    ensemble(s)[0].sum().backward()
    ensemble.write_to([net.copy(), net.copy()])
    ALRNN(3, 5, P, 2, seed=5)
    assert (z0 < 0).any() and (z < 0).any()
    assert all(torch.equal(x, old) for x, old in zip((s, z0, bits), arguments, strict=True))
    assert equal(net, before) and net.training is training and net.h.grad is None
    assert flags == {name: p.requires_grad for name, p in net.named_parameters()}
    assert not s.requires_grad and not z0.requires_grad
    assert torch.equal(random, torch.get_rng_state()) and (numpy_random == np.random.get_state()[1]).all()


def test_copies_are_independent():
    net = make()
    before, other = weights(net), net.copy()
    with torch.no_grad():
        other.W.zero_()
    assert equal(net, before) and (other.seed, other.init) == (net.seed, net.init)


def test_state_dict_and_dtype():
    net, other, s = make(seed=1), ALRNN(3, 5, 2, 2, seed=9).double(), normal(2, 3, 3)
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(s)[0], other(s)[0])
    assert net.float()(s.float())[0].dtype == torch.float32
    assert "N=3, M=5, P=2, O=2, seed=1" in repr(net)


# Initialisations


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("M", [1, 2, 5, 8])
def test_nets_of_one_seed_share_their_draws(kind, M):
    """Whatever P is: the noise is W less its structure, A and h are the same where a unit is PWL in both."""
    noise = Init(kind, W=0.3)
    drawn = [noise.draw(M, P, 3, 2, seed=4) for P in range(M + 1)]
    for P, parts in enumerate(drawn):
        bare = parts["W"] - Init(kind, W=0.0).draw(M, P, 3, 2, seed=4)["W"]
        torch.testing.assert_close(bare, drawn[M]["W"], rtol=0, atol=1e-15)  # P = M has no structure
        assert all(torch.equal(parts[name], drawn[0][name]) for name in ("C", "h", "D", "b"))
        assert torch.equal(parts["A"][M - P :], drawn[M]["A"][M - P :]) and (parts["A"][: M - P] == 0).all()
        net = ALRNN(3, M, P, 2, seed=4, init=noise)
        assert all(torch.equal(getattr(net, name), parts[name].float()) for name in PARTS)
    other = noise.draw(M, M, 3, 2, seed=5)
    assert not any(torch.equal(other[name], drawn[M][name]) for name in ("W", "C", "D"))


def structure(kind, M=9, P=3, **settings):
    """W without noise."""
    return Init(kind, W=0.0, **settings).draw(M, P, 2, 1, seed=0)["W"]


def test_slow_has_its_value_as_eigenvalue():
    W = structure("slow", units=4, value=0.95)
    assert torch.equal(W, torch.diag(torch.tensor([0.95] * 4 + [0.0] * 5, dtype=torch.float64)))
    eigenvalues = torch.linalg.eigvals(structure("slow", value=0.95)).abs().sort().values
    torch.testing.assert_close(eigenvalues, torch.tensor([0.0] * 3 + [0.95] * 6, dtype=torch.float64))


@pytest.mark.parametrize(("M", "P"), [(9, 3), (9, 2), (8, 0), (2, 0), (3, 0), (1, 0), (4, 4)])
def test_rotation_has_radius_and_angles(M, P):
    W, n = structure("rotation", M, P, value=0.9), M - P
    assert (W[n:] == 0).all() and (W[:, n:] == 0).all()
    torch.testing.assert_close(W[:n, :n] @ W[:n, :n].T, 0.81 * torch.eye(n, dtype=torch.float64))
    eigenvalues = torch.linalg.eigvals(W[:n, :n])
    pairs = n // 2  # one angle each, evenly from 0 to pi; an odd unit stands still
    angles = [math.pi * k / max(1, pairs - 1) for k in range(pairs) for _ in "ab"] + [0.0] * (n % 2)
    assert np.allclose(eigenvalues.abs(), 0.9) and np.allclose(eigenvalues.angle().abs().sort().values, sorted(angles))


@pytest.mark.parametrize(("M", "P"), [(6, 0), (7, 2), (7, 5), (7, 7)])
def test_rotation_takes_the_first_of_the_angles_given(M, P):
    """Each pair turns its state by its own angle a step: the state after k steps is exp(i k angle) times the first."""
    angles, n = (0.3, 0.05, 2.0), M - P
    W = structure("rotation", M, P, value=0.9, angles=angles)
    turned = torch.linalg.matrix_power(W, 4)[:n, :n].numpy()
    for k in range(n // 2):
        assert np.isclose(complex(*turned[2 * k : 2 * k + 2, 2 * k]), 0.9**4 * np.exp(4j * angles[k]))
    assert n % 2 == 0 or np.isclose(turned[-1, -1], 0.9**4)
    assert np.count_nonzero(turned) == 4 * (n // 2) + n % 2
    with pytest.raises(ValueError, match="8 linear units turn in 4 pairs, got 3 angles"):
        structure("rotation", 8, 0, angles=angles)


def test_spread_has_log_spaced_time_constants():
    W = structure("spread", units=5, time_constants=(2.0, 32.0))
    tau = -1 / W.diagonal()[:5].log()
    torch.testing.assert_close(tau, torch.tensor([2.0, 4, 8, 16, 32], dtype=torch.float64))
    assert torch.equal(W, torch.diag(W.diagonal())) and (W.diagonal()[5:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("units", [0, 2, 7, 8, 99, None])
def test_pwl_units_among_the_first_get_their_self_weight(kind, units):
    n = 8 if units is None else min(units, 8)
    W = structure(kind, 8, 3, units=units, pwl=0.7)
    expected = torch.diag(torch.tensor([0.7 if i < n else 0.0 for i in (5, 6, 7)], dtype=torch.float64))
    assert torch.equal(W[5:, 5:], expected)
    assert (W[5:, :5] == 0).all() and (W[:5, 5:] == 0).all() and (W[n:] == 0).all() and (W[:, n:] == 0).all()
    assert (W[:5, :5] == 0).all() == (kind == "paper" or n == 0)


def test_all_pwl_with_identity_holds_positive_states():
    """The fair start for P = M: with W = I a positive state stays for ever; without, it is gone after one step."""
    z0, s = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(1, 50, 1)
    for pwl in (0.0, 1.0):
        net = ALRNN(1, 4, 4, 1, init=Init("slow", pwl=pwl, W=0.0, C=0.0))
        assert torch.equal(net(s, z0)[1][:, -1], pwl * z0)


@pytest.mark.parametrize("kind", ["slow", "rotation", "spread"])
@pytest.mark.parametrize(("M", "P", "opposite"), [(10, 10, 10), (11, 11, 99), (9, 6, 5)])
def test_opposite_pairs_of_relus_are_a_linear_net(kind, M, P, opposite):
    """While nothing breaks the pairs, they do what a net of linear units does, one for each pair."""
    init = Init(kind, value=0.9, W=0.0, C=1.0, opposite=opposite)
    net, pairs, s = ALRNN(2, M, P, 1, seed=3, init=init).double(), min(opposite, P) // 2, torch.randn(4, 30, 2).double()
    linear = ALRNN(2, pairs, 0, 1, init=replace(init, opposite=None)).double()
    linear.C.data[:] = net.C[M - P : M - P + pairs]
    z, expected = net(s)[1][..., M - P :], linear(s)[1]
    assert (z[..., :pairs] < 0).any() and (z[..., :pairs] > 0).any()
    torch.testing.assert_close(z[..., :pairs], expected)
    torch.testing.assert_close(z[..., pairs : 2 * pairs], -expected)
    others = Init(kind, value=0.9, W=0.0, C=1.0).draw(M, P, 2, 1, seed=3)
    rest = [i for i in range(M) if not M - P <= i < M - P + 2 * pairs]
    assert torch.equal(others["W"][rest].float(), net.W[rest].float()) and torch.equal(
        net.D.float(), others["D"].float()
    )


def test_standard_deviations_and_thresholds():
    parts = Init("paper", W=0.01, C=0.2, D=0.3, threshold=-0.5).draw(200, 100, 50, 40, seed=0)
    for x, expected in [
        (parts["W"], 0.01),
        (parts["C"], 0.2),
        (parts["D"], 0.3),
        (parts["A"][100:], 0.01),
        (parts["h"][:100], 0.01),
        (parts["h"][100:] + 0.5, 0.01),
    ]:
        assert abs(x.std().item() / expected - 1) < 4 / math.sqrt(2 * x.numel())  # four standard errors
        assert abs(x.mean().item()) < 4 * expected / math.sqrt(x.numel())
    assert (parts["A"][:100] == 0).all() and (parts["b"] == 0).all()
    slow = Init("slow", threshold=-0.5).draw(6, 2, 1, 1, seed=0)
    assert slow["h"].tolist() == [0, 0, 0, 0, -0.5, -0.5] and (slow["A"] == 0).all()


# Ensembles


@settings(max_examples=25, deadline=None)
@given(K=sizes, N=sizes, M=sizes, O=sizes, B=sizes, T=sizes, seed=st.integers(0, 99), own=st.booleans(), data=st.data())
def test_ensemble_equals_its_nets(K, N, M, O, B, T, seed, own, data):  # noqa: E741
    """Mixed P, shared or own input, all steps or the last ones."""
    nets = [make(N, M, data.draw(st.integers(0, M)), O, seed + k) for k in range(K)]
    last = data.draw(st.none() | st.integers(1, T))
    s = normal(K, B, T, N, seed=seed) if own else normal(B, T, N, seed=seed)
    y, z = Stack(nets)(s, last)
    L = last or T
    assert y.shape == (K, B, L, O) and z.shape == (K, B, L, M)
    for k, net in enumerate(nets):
        y_k, z_k = net(s[k] if own else s)
        torch.testing.assert_close(y[k], y_k[:, -L:], rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(z[k], z_k[:, -L:], rtol=1e-11, atol=1e-11)


def test_ensemble_gradient_equals_that_of_its_nets():
    nets, s = [make(P=P, seed=P) for P in (0, 2, 5)], normal(4, 9, 3)
    ensemble = Stack(nets)
    ensemble(s)[0].square().sum().backward()
    for k, net in enumerate(nets):
        net(s)[0].square().sum().backward()
        expected = torch.cat([getattr(net, name).grad.flatten() for name in PARTS])
        torch.testing.assert_close(ensemble.theta.grad[k], expected, rtol=1e-11, atol=1e-11)


def words_and_one_hot(B, T, N, seed, *K):
    """Texts of any length from 1 to T, right-aligned, and the same as one-hot inputs with zeros before the text."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(N, (*K, B, T), generator=generator)
    words[torch.arange(T) < torch.randint(T, (*K, B, 1), generator=generator)] = -1
    return words, torch.nn.functional.one_hot(words + 1, N + 1)[..., 1:].double()


@settings(max_examples=25, deadline=None)
@given(N=sizes, M=sizes, B=sizes, T=sizes, seed=st.integers(0, 99), own=st.booleans(), data=st.data())
def test_words_are_one_hot_inputs_that_begin_with_the_text(N, M, B, T, seed, own, data):
    """Each text alone as one-hot inputs, from its first word on, gives the same states; before it, exactly 0."""
    nets = [make(N, M, data.draw(st.integers(0, M)), 2, seed + k) for k in range(3)]
    words, one_hot = words_and_one_hot(B, T, N, seed, *([3] if own else []))
    y, z = Stack(nets)(words)
    for k, net in enumerate(nets):
        here, inputs = (words[k], one_hot[k]) if own else (words, one_hot)
        y_k, z_k = net(here)
        torch.testing.assert_close(z[k], z_k, rtol=1e-11, atol=1e-11)
        assert (z_k[here < 0] == 0).all() and torch.equal(y_k[here < 0], net.b.expand((here < 0).sum(), -1))
        for i in range(B):
            start = int((here[i] < 0).sum())
            y_alone, z_alone = net(inputs[i : i + 1, start:])
            torch.testing.assert_close(y_k[i, start:], y_alone[0], rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(z_k[i, start:], z_alone[0], rtol=1e-11, atol=1e-11)


def test_gradients_of_words_are_those_of_one_hot_inputs():
    """All weights, h included, which must not learn from the steps before a text."""
    nets = [make(4, 5, P, seed=P) for P in (0, 2, 5)]
    words, one_hot = words_and_one_hot(6, 7, 4, 3)
    ensemble = Stack(nets)
    ensemble(words, last=1)[0].square().sum().backward()
    for k, net in enumerate(nets):
        for text, inputs in zip(words, one_hot, strict=True):
            net(inputs[text >= 0][None])[0][:, -1].square().sum().backward()
        expected = torch.cat([getattr(net, name).grad.flatten() for name in PARTS])
        torch.testing.assert_close(ensemble.theta.grad[k], expected, rtol=1e-11, atol=1e-11)


def test_words_from_a_state():
    net, z0 = make(4, 5), normal(2, 5)
    words, one_hot = torch.tensor([[0, 3, 1], [2, 2, 0]]), torch.eye(4).double()[torch.tensor([[0, 3, 1], [2, 2, 0]])]
    torch.testing.assert_close(net(words, z0), net(one_hot, z0))
    words[0, 0] = -1
    with pytest.raises(ValueError, match="start from state zero: leave z0 out"):
        net(words, z0)


def test_ensemble_writes_back():
    nets = [make(P=P, seed=P) for P in (0, 2, 5)]
    others = [ALRNN(3, 5, P, 2, seed=9).double() for P in (0, 2, 5)]
    ensemble = Stack(nets)
    ensemble.write_to(others)
    assert all(equal(other, weights(net)) for net, other in zip(nets, others, strict=True))
    with pytest.raises(ValueError, match="holds 3 nets, got 2"):
        ensemble.write_to(others[:2])


# Bad arguments: one clear error each


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((-1, 5, 2, 2), "input_size must be an integer of at least 0, got -1"),
        ((3, -5, 0, 2), "hidden_size must be an integer of at least 1, got -5"),
        ((3, 5, 2, -1), "output_size must be an integer of at least 0, got -1"),
        ((3, 5, 6, 2), "nonlinear_size must be an integer from 0 to hidden_size = 5, got 6"),
        ((3, 5, -1, 2), "nonlinear_size must be an integer from 0 to hidden_size = 5, got -1"),
        ((3, 5, 2.0, 2), "nonlinear_size must be an integer .* got 2.0"),
        ((3, 5.5, 2, 2), "hidden_size must be an integer .* got 5.5"),
        ((3, "5", 2, 2), "hidden_size must be an integer .* got '5'"),
        ((3, 5, 2, 2, -1), "seed must be an integer from 0 to 999999999, got -1"),
        ((3, 5, 2, 2, 2**32), "seed must be an integer"),
        ((3, 5, 2, 2, None), "seed must be an integer"),
        ((3, 5, 2, 2, 0, "fast"), "init must be one of paper, slow, rotation, spread, got 'fast'"),
        ((3, 5, 2, 2, 0, None), "init must be a kind by name or an Init, got None"),
    ],
)
def test_bad_sizes(sizes, words):
    with pytest.raises(ValueError, match=words):
        ALRNN(*sizes)


def test_numpy_integers_are_sizes():
    net = ALRNN(np.int64(3), np.int32(5), np.uint8(2), np.int64(1), seed=np.int64(7))
    assert [type(x) for x in (net.hidden_size, net.nonlinear_size, net.seed)] == [int, int, int]
    assert torch.equal(net.W, ALRNN(3, 5, 2, 1, seed=7).W)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"units": -1}, "units must be"),
        ({"units": 1.5}, "units must be"),
        ({"value": math.nan}, "value must be finite"),
        ({"W": math.inf}, "W must be finite"),
        ({"opposite": 2.5}, "opposite must be an integer of at least 0, got 2.5"),
        ({"angles": (0.0, math.nan)}, "angles must be finite"),
        ({"time_constants": (0.0, 5.0)}, "time_constants must be"),
        ({"time_constants": (9.0, 5.0)}, "time_constants must be"),
        ({"time_constants": (2.0, math.nan)}, "time_constants must be"),
    ],
)
def test_bad_init(settings, words):
    with pytest.raises(ValueError, match=words):
        Init("spread", **settings)


S = torch.zeros(4, 9, 3)


@pytest.mark.parametrize(
    ("s", "error", "words"),
    [
        (S[0], ValueError, r"s must have shape \(B, T, 3\), got \(9, 3\)"),
        (S[..., :2], ValueError, r"s must have shape \(B, T, 3\), got \(4, 9, 2\)"),
        (S[:, :0], ValueError, r"s must hold at least one sequence and one step, got \(4, 0, 3\)"),
        (S[:0], ValueError, r"s must hold at least one sequence and one step, got \(0, 9, 3\)"),
        (S.double(), TypeError, "s must be a torch.float32 tensor, as the net's weights, got torch.float64"),
        (S.int(), ValueError, r"words s \(numbers would be torch.float32\) must have shape .*B, T.*, got \(4, 9, 3\)"),
        (S.long(), ValueError, r"words s \(numbers would be torch.float32\) must have shape .*B, T.*, got"),
        (S.byte(), TypeError, "got torch.uint8"),
        (S > 0, TypeError, "s must be a torch.float32 tensor, as the net's weights, got torch.bool"),
        (S.cfloat(), TypeError, "got torch.complex64"),
        (torch.tensor([[0, 3]]), ValueError, "words must be from 0 to 2, .* got 0 to 3"),
        (torch.tensor([[-2, 0]]), ValueError, "words must be from 0 to 2, or -1 .* got -2 to 0"),
        (torch.tensor([[0, -1, 0]]), ValueError, "may stand only before the first word"),
        (torch.zeros(4, 0, dtype=torch.int64), ValueError, r"hold at least one sequence and one step, got \(4, 0\)"),
        (S.numpy(), TypeError, "got ndarray"),
        (None, TypeError, "got NoneType"),
        (torch.where(torch.arange(9)[:, None] == 5, math.nan, S), ValueError, "s contains NaN"),
        (S - math.inf, ValueError, "s contains NaN or infinite"),
        (S.to("meta"), ValueError, "s is on meta, the net on cpu"),
    ],
)
def test_bad_input(s, error, words):
    net = ALRNN(3, 5, 2, 2)
    for call in (net, Stack([net, net.copy()])):
        with pytest.raises(error, match=words):
            call(s)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8])
def test_words_are_whole_numbers_of_any_kind(dtype):
    net, words = ALRNN(3, 5, 2, 2), torch.tensor([[0, 2, 1], [1, 1, 0]])
    for call in (net, Stack([net, net.copy()])):
        assert torch.equal(call(words.to(dtype))[0], call(words)[0])


def test_input_of_the_wrong_number_of_nets():
    net = ALRNN(3, 5, 2, 2)
    with pytest.raises(ValueError, match=r"s must have shape \(2, B, T, 3\), got \(3, 4, 9, 3\)"):
        Stack([net, net.copy()])(S.expand(3, -1, -1, -1))
    with pytest.raises(ValueError, match=r"s must have shape \(B, T, 3\), got \(1, 4, 9, 3\)"):
        net(S[None])


@pytest.mark.parametrize(
    ("z0", "error", "words"),
    [
        (torch.zeros(4, 4), ValueError, r"z0 must have shape \(4, 5\), got \(4, 4\)"),
        (torch.zeros(5), ValueError, r"z0 must have shape \(4, 5\)"),
        (torch.zeros(1, 5), ValueError, r"z0 must have shape \(4, 5\), got \(1, 5\)"),
        (torch.zeros(4, 5).double(), TypeError, "z0 must be a torch.float32 tensor"),
        (np.zeros((4, 5)), TypeError, "z0 must be .* got ndarray"),
        (torch.full((4, 5), math.nan), ValueError, "z0 contains NaN"),
        (torch.zeros(4, 5, device="meta"), ValueError, "z0 is on meta, the net on cpu"),
    ],
)
def test_bad_state(z0, error, words):
    with pytest.raises(error, match=words):
        ALRNN(3, 5, 2, 2)(S, z0)


@pytest.mark.parametrize(
    ("bits", "words"),
    [([1], "2.* one per PWL unit"), ([1, 0, 1], "one per PWL unit"), (["1"], "2 digits"), ([2, 0], "must be 0 or 1")],
)
def test_bad_bits(bits, words):
    with pytest.raises(ValueError, match=words):
        ALRNN(3, 5, 2, 2).jacobian(bits)


@pytest.mark.parametrize(
    "other", [ALRNN(2, 5, 2, 2), ALRNN(3, 4, 2, 2), ALRNN(3, 5, 2, 1), make(), ALRNN(3, 5, 2, 2).to("meta")]
)
def test_ensembles_need_equal_nets(other):
    with pytest.raises(ValueError, match="must share input, hidden and output size, dtype and device"):
        Stack([ALRNN(3, 5, 2, 2), other])


def test_ensembles_need_nets_and_a_window_within_the_steps():
    with pytest.raises(ValueError, match="at least one net"):
        Stack([])
    for last in (0, -1, 10, 1.5):
        with pytest.raises(ValueError, match="last must be"):
            Stack([ALRNN(3, 5, 2, 2)])(S, last)


@pytest.mark.parametrize("unused", [{"kind": "paper", "opposite": 4}, {"kind": "slow", "angles": (1.0,)}])
def test_a_start_without_use_for_a_setting_refuses_it(unused):
    with pytest.raises(ValueError, match="no use for"):
        Init(**unused)
