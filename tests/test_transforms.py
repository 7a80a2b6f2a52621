"""What PyTorch makes of a net: compiled, exported, traced, differentiated and mapped by torch.func, under autocast."""

import pytest
import torch
import torch.autograd.forward_ad as fa
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap

from alrnn import ALRNN
from alrnn.recurrence import recurrence, reference

B, T, N, M, P, O = 6, 7, 3, 5, 2, 4  # noqa: E741


def same(x, y, tolerance=1e-10):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


@pytest.fixture
def net():
    made = ALRNN(N, M, P, O, init="slow").double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for w in made.parameters():
            w.copy_(0.4 * torch.randn(w.shape, generator=generator, dtype=torch.float64))
        made.A.mul_(made.pwl)
    return made


@pytest.fixture
def s():
    return torch.randn(B, T, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def weights(net):
    return {name: w.detach() for name, w in net.named_parameters()}


def f(net, w, s):
    return functional_call(net, w, (s,))[0]


def by_loop(net, s):
    """Outputs from the equation as one reads it, differentiable by torch alone."""
    w = {name: x[None] for name, x in net.weights().items()}
    z0 = torch.zeros(1, len(s), M, dtype=s.dtype)
    z = reference(s, z0, torch.where(net.pwl, w["A"], w["A"].detach()), w["W"], w["C"], w["h"], net.lower[None])[0]
    return z @ net.D.mT + net.b


def test_gradients_of_functions_are_those_of_tensors(net, s):
    found = grad(lambda w: f(net, w, s).square().sum())(weights(net))
    by_loop(net, s).square().sum().backward()
    for name, w in net.named_parameters():
        same(found[name], w.grad)


def test_each_sequence_its_own_gradient(net, s):
    found = vmap(grad(lambda w, x: f(net, w, x[None]).square().sum()), (None, 0))(weights(net), s)
    for i in range(B):
        net.zero_grad()
        by_loop(net, s[i : i + 1]).square().sum().backward()
        for name, w in net.named_parameters():
            same(found[name][i], w.grad)


def test_mapped_over_sequences_and_over_stacked_weights(net, s):
    w = weights(net)
    same(vmap(lambda x: f(net, w, x[None])[0])(s), net(s)[0])
    other = {name: 0.5 * x for name, x in w.items()}
    both = vmap(lambda one: f(net, one, s))({name: torch.stack([w[name], other[name]]) for name in w})
    for found, one in zip(both, (w, other), strict=True):
        same(found, f(net, one, s))


def test_jacobians_backwards_forwards_and_mapped(net, s):
    w, expected = weights(net), torch.autograd.functional.jacobian(lambda x: by_loop(net, x), s)
    same(jacrev(lambda x: f(net, w, x))(s), expected)
    same(jacfwd(lambda x: f(net, w, x))(s), expected)
    same(torch.autograd.functional.jacobian(lambda x: net(x)[0], s, vectorize=True), expected)
    each = vmap(jacrev(lambda x: f(net, w, x[None])[0]))(s)
    for i in range(B):
        same(each[i], expected[i, :, :, i])


def test_directional_derivatives(net, s):
    w, direction = weights(net), torch.randn(s.shape, dtype=s.dtype, generator=torch.Generator().manual_seed(2))
    found = jvp(lambda x: f(net, w, x), (s,), (direction,))[1]
    h = 1e-6
    same(found, (f(net, w, s + h * direction) - f(net, w, s - h * direction)) / (2 * h), 1e-7)


@pytest.mark.parametrize("trained", [True, False])
def test_dual_numbers_are_never_silently_zero(net, s, trained):
    net.requires_grad_(trained)
    z0, direction = s[:, :2, :].flatten(1)[:, :M].clone(), torch.ones(B, M, dtype=s.dtype)  # z0 on no border
    with fa.dual_level():
        tangent = fa.unpack_dual(net(s, fa.make_dual(z0, direction))[0]).tangent
    h = 1e-6
    same(tangent, (net(s, z0 + h * direction)[0] - net(s, z0 - h * direction)[0]) / (2 * h), 1e-7)


def test_several_gradients_at_once(net, s):
    y = net(s)[0]
    directions = torch.randn(3, *y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(3))
    found = torch.autograd.grad(y, net.W, directions, is_grads_batched=True, retain_graph=True)[0]
    for one, direction in zip(found, directions, strict=True):
        same(one, torch.autograd.grad(y, net.W, direction, retain_graph=True)[0])


def test_compiled_whole(net, s):
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    y, z = compiled(s)
    y.square().sum().backward()
    found = {name: w.grad.clone() for name, w in net.named_parameters()}
    net.zero_grad()
    expected = by_loop(net, s)
    expected.square().sum().backward()
    same(y, expected)
    for name, w in net.named_parameters():
        same(found[name], w.grad)


def test_exported(net, s):
    same(torch.export.export(net, (s,)).module()(s)[0], net(s)[0])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traced_nets_compute(net, s):
    """A tracer sees no memory that is written behind its back: on another input, too, it gives what the net gives."""
    with torch.no_grad():
        traced = torch.jit.trace(net, s, check_trace=False)
        for x in (s, 2 * s.flip(0)):
            same(traced(x)[0], net(x)[0])


def test_autocast_takes_what_a_layer_in_front_gives():
    net, layer, s = ALRNN(N, M, P, O, init="slow"), nn.Linear(N, N), torch.randn(B, T, N)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(layer(s))[0]
    y.float().square().sum().backward()
    assert net.W.grad.isfinite().all() and layer.weight.grad.abs().max() > 0
    torch.testing.assert_close(y.float(), net(layer(s))[0], rtol=0.05, atol=0.05)


def test_tensors_without_plain_memory(net, s):
    """Zeros without storage, negative, expanded, strided and offset views: as dense copies of them."""
    zeros = torch._efficientzerotensor((B, T, N), dtype=torch.float64)
    same(net(zeros)[0], net(torch.zeros(B, T, N, dtype=torch.float64))[0])
    negative = torch.view_as_complex(torch.randn(B, T, N, 2, dtype=torch.float64)).conj().imag
    assert negative.is_neg()
    expanded = s[:1].expand(B, -1, -1)
    strided, offset = torch.randn(B, T, 2 * N, dtype=torch.float64)[..., ::2], torch.randn(B + 1, T, N).double()[1:]
    for x in (negative, expanded, strided, offset, s.transpose(0, 1).contiguous().transpose(0, 1)):
        same(net(x)[0], net(x.clone().contiguous().resolve_neg())[0])


def test_gradients_without_plain_memory(net, s):
    """What comes back along the graph need not be dense either: a sum's gradient is one number, expanded."""
    net.zero_grad()
    net(s)[0].sum().backward()
    found = net.W.grad.clone()
    net.zero_grad()
    net(s)[0].backward(torch.ones(B, T, O, dtype=torch.float64))
    same(found, net.W.grad)
    args = [x[None].detach().requires_grad_() for x in (net.A, net.W, net.C, net.h)]
    z = recurrence(s, torch.zeros(1, B, M, dtype=s.dtype), *args, net.lower[None])
    zero = torch._efficientzerotensor(z.shape, dtype=z.dtype)
    for g in torch.autograd.grad(z, args, zero):
        assert (g == 0).all()


def test_shapes_alone(net):
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert net(torch.empty(B, T, N, dtype=torch.float64))[0].shape == (B, T, O)
    assert ALRNN(N, M, P, O).to("meta")(torch.empty(B, T, N, device="meta"))[0].shape == (B, T, O)
