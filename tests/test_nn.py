"""The layer and the cell: against loops written apart, against torch's own RNN, and wherever that one could stand."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from alrnn import ALRNN, Init
from alrnn.nn import ALRNNCell, ALRNNLayer

LENGTHS = (4, 7, 1, 7, 5)


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(N=3, M=5, P=2, seed=0, **settings):
    """A layer in float64 with dense random weights of a useful size in every part, A on linear units, too."""
    net = ALRNNLayer(N, M, P, dtype=torch.float64, **settings)
    for i, p in enumerate(net.parameters()):
        p.data = 0.4 * normal(*p.shape, seed=1000 * seed + i)
    return net


def by_hand(cell, x, z):
    """The equation for one cell, x (T, B, N), z (B, M) -> states (T, B, M)."""
    states, P = [], cell.nonlinear_size
    for x_t in x:
        f = torch.cat([z[:, : z.shape[1] - P], z[:, z.shape[1] - P :].relu()], 1)
        z = cell.A * z + f @ cell.W.T + x_t @ cell.C.T + cell.h
        states.append(z)
    return torch.stack(states)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


# What it computes


@pytest.mark.parametrize("P", [0, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_is_the_equation(P, bias):
    net, x, h = layer(P=P, bias=bias), normal(9, 4, 3), normal(1, 4, 5, seed=2)
    out, h_n = net(x, h)
    close(out, by_hand(net.cells[0], x, h[0]))
    assert torch.equal(h_n[0], out[-1]) and out.is_contiguous()
    close(net(x)[0], by_hand(net.cells[0], x, torch.zeros(4, 5).double()))
    assert len(list(net.parameters())) == 3 + bias


@pytest.mark.parametrize("P", [0, 2, 5])
def test_layer_and_net_have_the_same_states(P):
    """With one another's weights, which have one another's names."""
    net, one = ALRNN(3, 5, P, 2, seed=3, init="slow").double(), layer(P=P, batch_first=True)
    one.cells[0].load_state_dict({n: x for n, x in net.state_dict().items() if n not in ("D", "b")})
    x, z0 = normal(4, 9, 3), normal(4, 5, seed=2)
    assert torch.equal(one(x, z0[None])[0], net(x, z0)[1])


def test_layers_run_on_each_others_states():
    net, x, h = layer(num_layers=3), normal(9, 4, 3), normal(3, 4, 5, seed=2)
    out, h_n = net(x, h)
    for i, cell in enumerate(net.cells):
        x = by_hand(cell, x, h[i])
        close(h_n[i], x[-1])
    close(out, x)


def test_two_directions():
    net, x, h = layer(num_layers=2, bidirectional=True), normal(9, 4, 3), normal(4, 4, 5, seed=2)
    out, h_n = net(x, h)
    for i in (0, 2):
        forwards, backwards = by_hand(net.cells[i], x, h[i]), by_hand(net.cells[i + 1], x.flip(0), h[i + 1])
        close(h_n[i : i + 2], torch.stack([forwards[-1], backwards[-1]]))
        x = torch.cat([forwards, backwards.flip(0)], 2)
    close(out, x)


@pytest.mark.parametrize("P", [0, 2, 5])
def test_cell_is_one_step_of_the_layer(P):
    net, x, h = layer(P=P), normal(4, 3), normal(4, 5, seed=2)
    cell = net.cells[0]
    close(cell(x, h), net(x[None], h[None])[0][0])
    close(cell(x[0], h[0]), cell(x, h)[0])
    close(cell(x), cell(x, torch.zeros(4, 5).double()))
    close(cell(x[1]), cell(x)[1])


def test_running_on_from_a_state_equals_running_through():
    net, x = layer(num_layers=2), normal(9, 4, 3)
    out, h_n = net(x)
    first, h = net(x[:5])
    second, h = net(x[5:], h)
    close(torch.cat([first, second]), out)
    close(h, h_n)


def test_dropout_is_between_layers_and_in_training_alone():
    net, x = layer(num_layers=2, dropout=1.0), normal(9, 4, 3)
    close(net(x)[0], by_hand(net.cells[1], torch.zeros(9, 4, 5).double(), torch.zeros(4, 5).double()))
    close(net.eval()(x)[0], layer(num_layers=2)(x)[0])
    with pytest.warns(UserWarning, match="dropout is between layers"):
        ALRNNLayer(3, 5, 2, dropout=0.5)


# In the place of torch's


def twins(**settings):
    """torch's ReLU RNN and the layer that holds its states before ReLU: P = M, A = 0."""
    theirs = nn.RNN(3, 5, nonlinearity="relu", dtype=torch.float64, **settings)
    ours = ALRNNLayer(3, 5, 5, dtype=torch.float64, **settings)
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(0.4 * normal(*p.shape, seed=i))
        for cell, end in zip(ours.cells, ("", "_reverse"), strict=False):
            cell.A.zero_()
            cell.W.copy_(getattr(theirs, f"weight_hh_l0{end}"))
            cell.C.copy_(getattr(theirs, f"weight_ih_l0{end}"))
            if ours.bias:
                cell.h.copy_(getattr(theirs, f"bias_ih_l0{end}") + getattr(theirs, f"bias_hh_l0{end}"))
    return ours, theirs


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6, 4, 3), (1, 1, 3), (6, 3)])
def test_states_are_those_of_torchs_relu_rnn(bidirectional, batch_first, bias, shape):
    ours, theirs = twins(bidirectional=bidirectional, batch_first=batch_first, bias=bias)
    x = normal(*shape)
    for h in (None, torch.ones_like(theirs(x)[1])):
        out, h_n = ours(x, h)
        close(out.relu(), theirs(x, h)[0])
        close(h_n.relu(), theirs(x, h)[1])
    assert (out < 0).any()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed_sequences_as_torchs(bidirectional, enforce_sorted):
    ours, theirs = twins(bidirectional=bidirectional)
    lengths = sorted(LENGTHS, reverse=True) if enforce_sorted else LENGTHS
    x = pack_sequence([normal(n, 3, seed=i) for i, n in enumerate(lengths)], enforce_sorted=enforce_sorted)
    h = torch.stack([i + torch.zeros(5, 5) for i in range(1 + bidirectional)]).double() + torch.arange(5)[:, None]
    for start in (None, h):
        (out, h_n), (u, u_n) = ours(x, start), theirs(x, start)
        assert isinstance(out, PackedSequence)
        close(out.data.relu(), u.data)
        close(h_n.relu(), u_n)
        for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            mine, other = getattr(out, name), getattr(u, name)
            assert mine is other is None or torch.equal(mine, other)


class Tagger(nn.Module):
    """A module as people write them round torch's RNN."""

    def __init__(self, recurrent, make):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(11, 3), recurrent(3, 5, *make, num_layers=2, batch_first=True)
        self.out = nn.Linear(5, 4)

    def forward(self, words, lengths):
        self.rnn.flatten_parameters()
        packed = pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        states, h_n = self.rnn(packed)
        return self.out(pad_packed_sequence(states, batch_first=True)[0]), self.out(h_n[-1])


def test_drop_in():
    """The same module with either: the same shapes; ours trains, and what stands in the padding has no effect."""
    torch.manual_seed(0)
    ours, theirs = Tagger(ALRNNLayer, [2]), Tagger(nn.RNN, [])
    words, lengths = torch.arange(35).view(5, 7) % 11, torch.tensor(LENGTHS)
    assert [y.shape for y in ours(words, lengths)] == [y.shape for y in theirs(words, lengths)]
    optimizer, losses = torch.optim.Adam(ours.parameters(), lr=0.03), []
    mask = torch.arange(7) < lengths[:, None]
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(ours(words, lengths)[0][mask], words[mask] % 4)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    other = words.masked_fill(~mask, 10)
    assert all(torch.equal(y, z) for y, z in zip(ours(words, lengths), ours(other, lengths), strict=True))


@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "bidirectional": True}, {"bidirectional": True}])
def test_packed_is_each_sequence_alone(settings):
    net, seqs = layer(**settings), [normal(n, 3, seed=i) for i, n in enumerate(LENGTHS)]
    h = normal(len(net.cells), 5, 5, seed=9)
    out, h_n = net(pack_sequence(seqs, enforce_sorted=False), h)
    padded, lengths = pad_packed_sequence(out)
    assert lengths.tolist() == list(LENGTHS)
    for i, x in enumerate(seqs):
        alone, end = net(x, h[:, i])
        close(padded[: len(x), i], alone)
        close(h_n[:, i], end)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_no_state_runs_on_into_padding(bidirectional):
    """z_t = 4 relu(z_{t-1}) + s_t leaves float32 after 60 steps, if it is above 0; two steps do not get there."""
    net = ALRNNLayer(1, 1, 1, bidirectional=bidirectional, bias=False)
    for cell in net.cells:
        weights = {"A": torch.zeros(1), "W": torch.tensor([[4.0]]), "C": torch.ones(1, 1)}
        cell.load_state_dict(cell.state_dict() | weights)
    out, h_n = net(pack_sequence([-torch.ones(100, 1), torch.ones(2, 1)]))
    h_n.sum().backward()
    assert h_n[:, 1].tolist() == [[5.0]] * len(net.cells) and (h_n[:, 0] == -1).all()
    assert all(cell.W.grad.tolist() == [[1.0]] for cell in net.cells)


# Gradients


@pytest.mark.parametrize("settings", [{"num_layers": 2}, {"bidirectional": True}])
def test_gradients(settings):
    """Of packed sequences, which run the same code as others, in all weights, inputs and starts."""
    net = layer(M=3, P=1, **settings)
    x = pack_sequence([normal(n, 3, seed=i) for i, n in enumerate((2, 4, 1))], enforce_sorted=False)
    h, names = normal(2, 3, 3, seed=5).requires_grad_(), [n for n, p in net.named_parameters() if not n.endswith(".A")]

    def states(data, h, *weights):
        out, h_n = torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (x._replace(data=data), h))
        return out.data, h_n

    weights = [net.get_parameter(name) for name in names]
    assert torch.autograd.gradcheck(states, (x.data.requires_grad_(), h, *weights))


def test_A_of_linear_units_counts_and_stays():
    """In the layer and in the cell, as in the net."""
    net, x, h = layer(), normal(4, 3), normal(4, 5, seed=2)
    cell = net.cells[0]
    for states in (lambda: net(x[None], h[None])[0], lambda: cell(x, h)):
        cell.zero_grad()
        before = states()
        before.sum().backward()
        expected = (h.sum(0) * (torch.arange(5) >= 3)).double()
        close(cell.A.grad, expected)
        cell.A.data[0] += 1
        close(states() - before, torch.nn.functional.pad(h[:, :1], (0, 4)).expand_as(before))


# Weights: start, places, files


def test_start():
    """From torch's global generator: a seed repeats it, two layers differ, and so do cells."""
    torch.manual_seed(3)
    one, other = ALRNNLayer(3, 5, 2, num_layers=2), ALRNNLayer(3, 5, 2, num_layers=2)
    torch.manual_seed(3)
    again = ALRNNLayer(3, 5, 2, num_layers=2)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.cells[0].W, other.cells[0].W) and not torch.equal(one.cells[0].W, one.cells[1].W)
    assert all((cell.A[:3] == 0).all() and (cell.A[3:] != 0).all() for cell in one.cells)
    before = one.cells[1].W.clone()
    one.reset_parameters()
    assert not torch.equal(one.cells[1].W, before)


def test_init():
    cell = ALRNNCell(3, 5, 2, init=Init("slow", value=0.5, W=0.0))
    assert torch.equal(cell.W, torch.diag(torch.tensor([0.5, 0.5, 0.5, 0.0, 0.0])))
    assert torch.equal(ALRNNLayer(3, 5, 2, init={"kind": "slow", "value": 0.5, "W": 0.0}).cells[0].W, cell.W)
    with pytest.raises(ValueError, match="init must be one of"):
        ALRNNLayer(3, 5, 2, init="no")


MAKE = {
    "net": lambda P=2: ALRNN(3, 5, P, 2),
    "cell": lambda P=2: ALRNNCell(3, 5, P),
    "cell without bias": lambda P=2: ALRNNCell(3, 5, P, bias=False),
    "layer": lambda P=2: ALRNNLayer(3, 5, P, num_layers=2, bidirectional=True, batch_first=True),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def answer(net, dtype=torch.float32):
    """What it says to something; no gradient."""
    x = normal(2, 3).to(dtype) if isinstance(net, ALRNNCell) else normal(2, 4, 3).to(dtype)
    with torch.no_grad():
        out = net(x, torch.ones(2, 5, dtype=dtype)) if isinstance(net, ALRNNCell) else net(x)
    return torch.cat([y.flatten() for y in out]) if isinstance(out, tuple) else out.flatten()


def saved(net):
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every
def test_copies(make):
    net = make()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(answer(other), answer(net))
        next(other.parameters()).data.add_(1)
        assert not torch.equal(answer(other), answer(net))


@every
def test_dtypes(make):
    net = make()
    expected = answer(net)
    torch.testing.assert_close(answer(net.double(), torch.float64), expected.double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answer(net.half(), torch.float16), expected.half(), rtol=2e-2, atol=1e-2)
    assert {x.dtype for x in (*net.parameters(), *net.buffers())} == {torch.float16}


@every
def test_to_meta_and_back(make):
    """`to_empty` leaves memory as it comes; what follows from P is not left to that."""
    net, weights = make(), saved(make())
    net.to("meta").to_empty(device="cpu")
    for x in net.buffers():
        assert x.tolist() in ([0, 0, 0, 1, 1], [0, 0, 0, 0, 0])
    net.load_state_dict(weights)
    other = make()
    other.load_state_dict(weights)
    assert torch.equal(answer(net), answer(other))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_assigned_to_a_net_without_memory(make, dtype):
    source = make().to(dtype)
    with torch.device("meta"):
        net = make()
    assert all(x.is_meta for x in (*net.parameters(), *net.buffers()))
    net.load_state_dict(saved(source), assign=True)
    assert torch.equal(answer(net, dtype), answer(source, dtype))


def test_layers_are_made_anywhere():
    with torch.random.fork_rng():
        net = ALRNNLayer(3, 5, 2, device="meta", dtype=torch.float64)
        out, h_n = net(torch.empty(4, 2, 3, device="meta", dtype=torch.float64))
        assert out.shape == (4, 2, 5) and h_n.is_meta and out.dtype == torch.float64
        state = torch.get_rng_state()
        for kind in (ALRNNLayer, ALRNNCell):
            net = torch.nn.utils.skip_init(kind, 3, 5, 2, device="cpu", dtype=torch.float64)
            assert {x.dtype for x in net.parameters()} == {torch.float64}
        assert torch.equal(state, torch.get_rng_state())  # nothing is drawn for what has no memory


@every
def test_shared_and_averaged(make):
    net = make().share_memory()
    assert all(p.is_shared() for p in net.parameters())
    other = make()
    average = torch.optim.swa_utils.AveragedModel(net, use_buffers=True)
    for model in (net, other):
        average.update_parameters(model)
    mean = make()
    with torch.no_grad():
        for p, q, r in zip(mean.parameters(), net.parameters(), other.parameters(), strict=True):
            p.copy_((q + r) / 2)
    torch.testing.assert_close(answer(average.module), answer(mean), rtol=1e-5, atol=1e-6)
    assert all(torch.equal(x, y) for x, y in zip(average.module.buffers(), mean.buffers(), strict=True))


@every
@pytest.mark.parametrize("assign", [True, False])
def test_weights_of_another_P_are_refused(make, assign):
    """Before one of them is copied; with strict=False, too."""
    net, source = make(), make(3)
    before = answer(net)
    for strict in (True, False):
        with pytest.raises(ValueError, match="these weights are of a net with P = 3, this one has P = 2"):
            net.load_state_dict(saved(source), strict=strict, assign=assign)
    assert torch.equal(answer(net), before)


@every
def test_files_of_version_0_1_0(make):
    """They hold pwl and lower, and no P; what they hold is not changed."""
    net, source = make(), make()
    if isinstance(net, ALRNNLayer):
        net, source = nn.ModuleList([net]), nn.ModuleList([source])
    old = {}
    for name, x in saved(source).items():
        if name.endswith("_extra_state"):
            place = name.removesuffix("_extra_state")
            old |= {f"{place}pwl": torch.arange(5) >= 3, f"{place}lower": (torch.arange(5) >= 3).float().log()}
        else:
            old[name] = x
    names = list(old)
    assert net.load_state_dict(old).missing_keys == [] and list(old) == names
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), source.parameters(), strict=True))
    wrong = {name: torch.arange(5) >= 1 if name.endswith("pwl") else x for name, x in old.items()}
    with pytest.raises(ValueError, match="these weights are of a net with P = 4"):
        net.load_state_dict(wrong)


@every
def test_some_weights_alone(make):
    net, source = make(), make()
    some = {name: x for name, x in saved(source).items() if name.endswith("W")}
    missing = net.load_state_dict(some, strict=False).missing_keys
    assert missing and not any(name.endswith("W") for name in missing)
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(some)


@every
def test_functional_call(make):
    net, source = make(), make()
    x = normal(2, 3).float() if isinstance(net, ALRNNCell) else normal(2, 4, 3).float()
    given = (x, torch.ones(2, 5)) if isinstance(net, ALRNNCell) else (x,)
    out = torch.func.functional_call(net, dict(source.named_parameters()), given)
    out = torch.cat([y.flatten() for y in out]) if isinstance(out, tuple) else out.flatten()
    assert torch.equal(out.detach(), answer(source))


def test_parametrised_and_pruned_weights():
    """In a loop of one's own: the net, the cell and the layer see the weights that are meant."""
    for make in MAKE.values():
        net = make()
        where = net.cells[0] if isinstance(net, ALRNNLayer) else net
        nn.utils.parametrizations.orthogonal(where, "W")
        plain = make()
        with torch.no_grad():
            place = plain.cells[0] if isinstance(net, ALRNNLayer) else plain
            names = dict(place.named_parameters())
            for name in names:
                names[name].copy_(getattr(where, name))
        if isinstance(net, ALRNNLayer):
            for mine, other in zip(plain.cells[1:], net.cells[1:], strict=True):
                mine.load_state_dict(other.state_dict())
        torch.testing.assert_close(answer(net), answer(plain))


@every
def test_under_autocast(make):
    """What comes in another dtype, from a layer in front, is run in the weights': no state is rounded to 8 bits."""
    net, front = make(), nn.Linear(3, 3)
    cell = isinstance(net, ALRNNCell)
    x, state = normal(2, 3).float() if cell else normal(2, 4, 3).float(), {"h": torch.ones(2, 5)} if cell else {}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = front(x)
        found = (*net(x, **state), *net(low, **state))
    assert low.dtype == torch.bfloat16
    expected = (*net(x, **state), *net(low.float(), **state))
    assert all(torch.equal(y, z) for y, z in zip(found, expected, strict=True))


def test_one_step_and_packed_sequences_under_autocast():
    net, x = ALRNN(3, 5, 2, 2), normal(2, 1, 3).float()
    packed, one = pack_sequence([x[0], x[1]]), ALRNNLayer(3, 5, 2)
    expected = net(x, torch.ones(2, 5))[1], one(packed)[0].data
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net(x, torch.ones(2, 5))[1], one(packed)[0].data, one(packed.to(torch.bfloat16))[0].data
    assert torch.equal(found[1], expected[1]) and found[2].dtype == torch.float32
    torch.testing.assert_close(found[0], expected[0])


# What torch does to modules


def small(make):
    """A module in float64, and arguments for it."""
    net = make().double()
    return net, (normal(2, 3), normal(2, 5, seed=2)) if isinstance(net, ALRNNCell) else (normal(2, 4, 3),)


def first(out):
    return out[0] if isinstance(out, tuple) else out


@every
def test_compiled_as_one_graph(make):
    """Answers and gradients."""
    net, given = small(make)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    grads = [
        torch.autograd.grad(first(run(*given)).square().sum(), net.W if hasattr(net, "W") else net.cells[0].W)[0]
        for run in (net, compiled)
    ]
    close(first(compiled(*given)), first(net(*given)))
    close(grads[1], grads[0])


@pytest.mark.parametrize("name", ["net", "layer"])
def test_exported_for_any_number_of_sequences_and_steps(name):
    net, (x,) = small(MAKE[name])
    shapes = ({0: torch.export.Dim("B", min=2), 1: torch.export.Dim("T", min=2)},)
    exported = torch.export.export(net, (x,), dynamic_shapes=shapes).module()
    for given in (x, normal(5, 9, 3)):
        close(exported(given)[0], net(given)[0])


@every
def test_gradients_of_each_sample(make):
    net, given = small(make)
    weights = dict(net.named_parameters())

    def loss(weights, *given):
        return first(torch.func.functional_call(net, weights, tuple(x[None] for x in given))).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, *[0] * len(given)))(weights, *given)
    for i in range(2):
        expected = torch.autograd.grad(loss(weights, *(x[i] for x in given)), list(weights.values()))
        for grads, one in zip(found.values(), expected, strict=True):
            close(grads[i], one)


@every
def test_jacobians_forwards_and_backwards(make):
    net, given = small(make)
    expected = torch.autograd.functional.jacobian(lambda *given: first(net(*given)), given)[0]
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        close(jacobian(lambda *given: first(net(*given)))(*given), expected)


@every
def test_models_side_by_side(make):
    """As torch stacks them."""
    nets = [make().double() for _ in range(3)]
    given, bare = small(make)[1], copy.deepcopy(nets[0]).to("meta")
    weights, buffers = torch.func.stack_module_state(nets)

    def run(weights, buffers):
        return first(torch.func.functional_call(bare, (weights, buffers), given))

    for out, net in zip(torch.func.vmap(run)(weights, buffers), nets, strict=True):
        close(out, first(net(*given)))


# One step of a net


def test_one_step_equals_the_first_of_many():
    """The short way for a single step and the long one: the same answer, gradients, and errors."""
    for N, M, P, O in [(3, 5, 2, 2), (0, 4, 4, 1), (2, 6, 0, 0)]:  # noqa: E741
        net = ALRNN(N, M, P, O, init="slow").double()
        net.A.data[:] = normal(M, seed=3)
        s, z0 = normal(4, 2, N), normal(4, M, seed=2)
        for given in (z0, None):
            many, one = net(s, given), net(s[:, :1], given)
            grads = [torch.autograd.grad((z[:, 0] ** 3).sum(), [net.W, net.A, net.h]) for z in (many[1], one[1])]
            for a, b in zip((*many, *grads[0]), (*one, *grads[1]), strict=True):
                close(a[:, :1] if a.dim() == 3 else a, b)
    words, net = torch.tensor([[0], [2], [-1]]), ALRNN(3, 5, 2, 2).double()
    close(net(words)[1][:, 0], net.next_state(words[:, 0], torch.zeros(3, 5).double()))
    assert (net(words)[1][2] == 0).all()


S, Z = torch.zeros(4, 1, 3), torch.zeros(4, 5)


@pytest.mark.parametrize(
    ("s", "z0", "error", "message"),
    [
        (S[..., :2], Z, ValueError, r"s must have shape \(B, T, 3\), got \(4, 1, 2\)"),
        (S[:, 0], Z, ValueError, r"s must have shape \(B, T, 3\), got \(4, 3\)"),
        (S, Z[:2], ValueError, r"z0 must have shape \(4, 5\), got \(2, 5\)"),
        (S, Z[0], ValueError, r"z0 must have shape \(4, 5\), got \(5,\)"),
        (S, Z[0, 0], ValueError, r"z0 must have shape \(4, 5\), got \(\)"),
        (S[:0], Z[:0], ValueError, "s must hold at least one sequence and one step"),
        (S.double(), Z, TypeError, "s must be a torch.float32 tensor"),
        (S, Z.double(), TypeError, "z0 must be a torch.float32 tensor"),
        (S, Z.tolist(), TypeError, "z0 must be a torch.float32 tensor, as the net's weights, got list"),
        (S.to("meta"), Z, ValueError, "s is on meta, the net on cpu"),
        (S * torch.nan, Z, ValueError, "s contains NaN or infinite values"),
        (S, Z - torch.inf, ValueError, "z0 contains NaN or infinite values"),
        (S, torch.nn.functional.pad(Z[:, 1:], (0, 1), value=-torch.inf), ValueError, "z0 contains NaN or inf"),
    ],
)
def test_one_step_refuses_what_many_do(s, z0, error, message):
    for P in (0, 2, 5):
        with pytest.raises(error, match=message):
            ALRNN(3, 5, P, 2)(s, z0)


def test_one_step_of_a_kind_that_runs_otherwise():
    class Doubled(ALRNN):
        @classmethod
        def run(cls, w, batch, last=None, state=None):
            output = super().run(w, batch, last, state)
            return output._replace(y=2 * output.y)

    doubled, plain = (kind(3, 5, 2, 2, seed=1).double() for kind in (Doubled, ALRNN))
    close(doubled(S.double() + 1, Z.double() + 1)[0], 2 * plain(S.double() + 1, Z.double() + 1)[0])


# What is refused


X = torch.zeros(6, 4, 3)


@pytest.mark.parametrize(
    ("x", "h", "error", "message"),
    [
        (X[..., :2], None, ValueError, r"x must have shape \(T, B, 3\), got \(6, 4, 2\)"),
        (X[0, 0], None, ValueError, r"x must have shape \(T, B, 3\), got \(3,\)"),
        (X[:0], None, ValueError, "x must hold at least one sequence and one step"),
        (X[0, :, :2], None, ValueError, r"x must have shape \(T, 3\), got \(4, 2\)"),
        (X.double(), None, TypeError, "x must be a torch.float32 tensor, as the net's weights, got torch.float64"),
        (X.long(), None, TypeError, "x must be a torch.float32 tensor"),
        (X.tolist(), None, TypeError, "x must be a torch.float32 tensor, as the net's weights, got list"),
        (X.to("meta"), None, ValueError, "x is on meta, the net on cpu"),
        (X, torch.zeros(4, 5), ValueError, r"h_0 must have shape \(2, 4, 5\), got \(4, 5\)"),
        (X, torch.zeros(2, 3, 5), ValueError, r"h_0 must have shape \(2, 4, 5\), got \(2, 3, 5\)"),
        (X[:, 0], torch.zeros(2, 1, 5), ValueError, r"h_0 must have shape \(2, 5\), got \(2, 1, 5\)"),
        (X, torch.zeros(2, 4, 5).double(), TypeError, "h_0 must be a torch.float32 tensor"),
        (pack_sequence([X[:, 0, :2]]), None, ValueError, r"x must have shape \(all steps, 3\), got \(6, 2\)"),
        (pack_sequence([X[:, 0]]), torch.zeros(2, 2, 5), ValueError, r"h_0 must have shape \(2, 1, 5\)"),
    ],
)
def test_bad_input(x, h, error, message):
    with pytest.raises(error, match=message):
        ALRNNLayer(3, 5, 2, num_layers=2)(x, h)


@pytest.mark.parametrize(
    ("x", "h", "error", "message"),
    [
        (X[0, :, :2], None, ValueError, r"x must have shape \(B, 3\), got \(4, 2\)"),
        (X[0, 0, :2], None, ValueError, r"x must have shape \(3\), got \(2,\)"),
        (X, None, ValueError, r"x must have shape \(B, 3\), got \(6, 4, 3\)"),
        (X[0].double(), None, TypeError, "x must be a torch.float32 tensor"),
        (X[0], torch.zeros(3, 5), ValueError, r"h must have shape \(4, 5\), got \(3, 5\)"),
        (X[0, 0], torch.zeros(1, 5), ValueError, r"h must have shape \(5\), got \(1, 5\)"),
    ],
)
def test_bad_input_of_a_cell(x, h, error, message):
    with pytest.raises(error, match=message):
        ALRNNCell(3, 5, 2)(x, h)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 5, 2), "input_size must be an integer of at least 0, got -1"),
        ((3, 0, 0), "hidden_size must be an integer of at least 1, got 0"),
        ((3, 5, 6), "nonlinear_size must be an integer from 0 to hidden_size = 5, got 6"),
        ((3, 5, 2, 0), "num_layers must be an integer of at least 1, got 0"),
        ((3, 5, 2, 2, True, False, 1.5), "dropout must be between 0 and 1, got 1.5"),
    ],
)
def test_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        ALRNNLayer(*arguments)
