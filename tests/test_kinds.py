"""Kinds of nets: what a stack holds, together against alone, stopped and resumed, and torch's own layers."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import close, leaves
from torch import nn

from alrnn import ALRNN, Init, Stack, fit
from alrnn.nets import GRU, KINDS, LSTM, RNN, EncoderDecoder, Inputs, ReadoutALRNN, rebuilt, told
from alrnn.nets.torch_nets import equal_size, parameters
from alrnn.sweep import Sweep
from alrnn.sweep import run as run_sweep
from alrnn.tasks import Batch, Task
from alrnn.train import Trainer, evaluate, scores

TORCH = [RNN, GRU, LSTM]


class Moving(Task):
    """Numbers or words in, at each step something of the last two out: for nets of any sizes."""

    def __init__(self, N=2, O=2, words=False, given_size=0, steps=5):  # noqa: E741
        self.N, self.O, self.words, self.steps = N, O, words, steps
        self.input_size, self.output_size, self.given_size = N, O, given_size
        self.inputs = "words" if words else "numbers"

    def sample(self, n, generator):
        numbers = torch.randn(n, self.steps, max(self.N, self.O), generator=generator)
        s = numbers[..., : self.N]
        if self.words:
            s = torch.randint(self.N, (n, self.steps), generator=generator)
        target = numbers.cumsum(1)[..., : self.O] + numbers.mean(2, keepdim=True)
        fed = None
        if self.given_size:
            fed = torch.randint(self.given_size, (n, self.steps), generator=generator)
        return Batch(s, target, torch.ones(n, self.steps), given=fed)


@dataclass
class Some:
    """Nets of one kind and equal sizes, and a task for them."""

    nets: list
    task: Task


@st.composite
def some_nets(draw, most=4, dtypes=(torch.float32, torch.float64), empty=True, frozen=True):
    """K nets of any kind, sizes, P and seeds, in one dtype, some of their parameters held fixed."""
    kind, K = draw(st.sampled_from(KINDS)), draw(st.integers(1, most))
    least, words = int(kind in TORCH or not empty), draw(st.booleans())
    N, M, O = draw(st.integers(max(least, words), 3)), draw(st.integers(1, 5)), draw(st.integers(least, 3))  # noqa: E741
    dtype, nets = draw(st.sampled_from(dtypes)), []
    O = max(O, 1) if kind in (EncoderDecoder, ReadoutALRNN) else O  # noqa: E741
    readouts = draw(st.sampled_from([("mlp",), ("linear", "phi")]))  # those with as many weights go together
    for _ in range(K):
        seed, P = draw(st.integers(0, 4)), draw(st.integers(0, M))
        if kind is ALRNN:
            net = ALRNN(N, M, P, O, seed, draw(st.sampled_from(["paper", "slow", "rotation"])))
        elif kind is EncoderDecoder:
            net = EncoderDecoder(N, M, P, O, draw(st.integers(0, M)), seed=seed)
        elif kind is ReadoutALRNN:
            net = ReadoutALRNN(N, M, P, O, draw(st.sampled_from(readouts)), seed=seed)
        else:
            net = kind(N, M, O, seed, "words" if words else "numbers")
        net = net.to(dtype)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in net.parameters():
                p += 0.2 * torch.randn(p.shape, generator=generator, dtype=dtype)
        nets.append(net)
        for name, p in net.named_parameters():
            if frozen and draw(st.integers(0, 4)) == 0:
                p.requires_grad_(False)
            if name.endswith("A"):  # numbers there count as what they are, and stay
                p.data *= 0.5
    given_size = O + 1 if kind is EncoderDecoder else 0
    return Some(nets, Moving(N, O, words, given_size))


def bits(net):
    return {name: x.detach().clone() for name, x in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(x, b[name]) and x.dtype == b[name].dtype for name, x in a.items())


@settings(max_examples=80, deadline=None)
@given(some=some_nets())
def test_what_goes_into_a_stack_comes_out_unchanged(some):
    nets, before = some.nets, [bits(net) for net in some.nets]
    flags = [[p.requires_grad for p in net.parameters()] for net in nets]
    stack = Stack(nets)
    assert all(same(bits(net), x) for net, x in zip(nets, before, strict=True))
    assert flags == [[p.requires_grad for p in net.parameters()] for net in nets]
    assert stack.theta.shape == (len(nets), sum(p.numel() for p in nets[0].parameters()))
    assert stack.theta.dtype == next(nets[0].parameters()).dtype
    weights, parts, free = stack.weights(), stack.parts(), stack.weights(stack.trainable)
    assert list(parts) == [name for name, _ in nets[0].named_parameters()]
    assert weights.keys() == nets[0].weights().keys()
    for k, net in enumerate(nets):
        for name, x in net.weights().items():
            assert torch.equal(weights[name][k], x) and weights[name][k].dtype == x.dtype, name
        for name, p in net.named_parameters():
            fixed = net.fixed().get(name, torch.zeros(p.shape, dtype=torch.bool))
            assert torch.equal(free[name][k] == 1, ~fixed & p.requires_grad), name
            assert torch.equal(parts[name][k], p)
        assert net.size() == sum(
            (~net.fixed().get(n, torch.tensor(False)).expand(p.shape)).sum() for n, p in net.named_parameters()
        )
    blank = [rebuilt(*told(net)).to(stack.theta.dtype) for net in nets]
    stack.write_to(blank)
    assert all(same(bits(net), x) for net, x in zip(blank, before, strict=True))
    stack.write_to(nets)
    assert all(same(bits(net), x) for net, x in zip(nets, before, strict=True))
    # each number has a place of its own
    with torch.no_grad():
        stack.theta.copy_(torch.arange(stack.theta.numel()).view_as(stack.theta))
    stack.write_to(blank)
    found = torch.cat([p.detach().flatten() for net in blank for p in net.parameters()])
    assert torch.equal(found, torch.arange(len(found)).to(found))


@settings(max_examples=40, deadline=None)
@given(some=some_nets(dtypes=(torch.float64,)), own=st.booleans(), last=st.integers(1, 5))
def test_a_stack_runs_each_net_as_it_runs_alone(some, own, last):
    """On sequences that are shared or not, read at their last steps or elsewhere, and from the state that is left."""
    nets, stack = some.nets, Stack(some.nets)
    batches = [some.task.sample(3, torch.Generator().manual_seed(k)).to(torch.float64) for k in range(len(nets))]
    batch = Batch.per_net(batches, torch.arange(len(nets))) if own else batches[0]
    output = stack.run(batch)
    again, short, free = stack.run(batch, state=output.state), stack.run(batch, last), stack.predict(batch)
    for k, net in enumerate(nets):
        w = {name: x[None] for name, x in net.weights().items()}
        one = batches[k] if own else batch
        alone = net.run(w, one)
        close(output.y[k], alone.y[0])
        close(output.z[k], alone.z[0])
        close(short.y[k], alone.y[0, :, -last:])
        close(again.y[k], net.run(w, one, state=alone.state).y[0])
        close(free.y[k], net.predict(w, one).y[0])
        if one.given is None:
            at = torch.tensor([[0, 2], [4, 1], [3, 3]])
            picked = Inputs(batch.s, 2, at.expand(len(nets), 3, 2) if own else at)
            close(stack.run(picked).y[k], torch.stack([alone.y[0, i, at[i]] for i in range(3)]))
            close(net(one.s)[0], alone.y[0])


@settings(max_examples=25, deadline=None)
@given(
    some=some_nets(most=3, dtypes=(torch.float64,), empty=False),
    tau=st.sampled_from([0.0, 0.1]),
    window=st.sampled_from([None, 2, 3]),
    rates=st.booleans(),
)
def test_training_together_is_training_alone_and_what_is_frozen_stays(some, tau, window, rates):
    nets, task, before = some.nets, some.task, [bits(net) for net in some.nets]
    alone = [net.copy() for net in nets]
    how = {"steps": 6, "batch_size": 3, "clip": 0.3, "progress": False}
    how["tau"] = tau if nets[0].maps else 0.0
    how["window"] = None if task.given_size else window
    lr = [0.01 * (k + 1) for k in range(len(nets))] if rates else [0.02] * len(nets)
    free = [bool(Stack([net]).trainable.any()) for net in nets]
    if not any(free):
        with pytest.raises(ValueError, match="there is nothing to train: all weights of the nets are held fixed"):
            fit(nets, task, lr=lr if rates else lr[0], **how)
        return
    history = fit(nets, task, lr=lr if rates else lr[0], **how)
    for k, net in enumerate(alone):
        if not free[k]:
            assert same(bits(nets[k]), before[k])
            continue
        single = fit(net, task, lr=lr[k], **how)
        close(history.loss[:, k], single.loss[:, 0])
        close(history.grad_norm[:, k], single.grad_norm[:, 0])
        for (name, p), q in zip(net.named_parameters(), nets[k].parameters(), strict=True):
            close(q.detach(), p.detach())
            assert p.requires_grad == q.requires_grad and q.grad is None
            if not q.requires_grad:
                assert torch.equal(q, before[k][name])
            fixed = net.fixed().get(name)
            if fixed is not None:
                assert torch.equal(q[fixed], before[k][name][fixed])
        moved = any(not torch.equal(p, before[k][name]) for name, p in nets[k].named_parameters())
        assert moved == history.grad_norm[:, k].any()


def of(kind, P=2, seed=0, words=False):
    if kind is ALRNN:
        return ALRNN(3, 5, P, 2, seed, "slow")
    if kind is EncoderDecoder:
        return EncoderDecoder(3, 5, P, 2, (P + 1) % 5, seed=seed, init="slow")
    if kind is ReadoutALRNN:
        return ReadoutALRNN(3, 5, P, 2, "mlp", seed=seed, init="slow")
    return kind(3, 5, 2, seed, "words" if words else "numbers")


def task_of(kind, words=False):
    return Moving(3, 2, words, 3 if kind is EncoderDecoder else 0, steps=7)


SETTINGS = [
    {},
    {"lr": [0.01, 0.02, 0.01]},
    {"window": 3},
    {"window": 3, "lr": [0.01, 0.02, 0.03], "wild": True},
    {"wild": True, "schedule": "constant", "warmup": 0.5},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", SETTINGS, ids=str)
@pytest.mark.parametrize("words", [False, True])
def test_training_resumes_bit_for_bit(tmp_path, kind, how, words):
    """Stopped at any step, in mid-sequence, after a net was lost; once or twice; in float32 and with frozen weights."""
    how, wild, path = dict(how), how.get("wild", False), tmp_path / "trainer.pt"
    how.pop("wild", None)
    if kind is EncoderDecoder and how.pop("window", None):
        return  # which reads no windows
    task = task_of(kind, words)

    def made():
        nets = [of(kind, P, seed, words) for P, seed in ((0, 0), (2, 7), (5, 7))]
        for p in list(nets[1].parameters())[:2]:
            p.requires_grad_(False)
        if wild:
            with torch.no_grad():
                for p in nets[2].parameters():
                    p.mul_(1e25)
        return Trainer(nets, task, diverged="drop", steps=11, batch_size=4, clip=0.3, **how)

    whole = made()
    history = whole.run(progress=False)
    assert (len(history.diverged) > 0) == wild
    for stops in ((4,), (1, 9), (0, 11)):
        part = made()
        for stop in stops:
            part.run(stop, progress=False)
            part.save(path)
            part = Trainer.load(path, task)
            assert [type(net) for net in part.nets] == [kind] * 3 and part.step == stop
        found = part.run(progress=False)
        assert torch.equal(part.stack.theta, whole.stack.theta) or wild
        assert torch.equal(part.stack.theta.nan_to_num(), whole.stack.theta.nan_to_num())
        np.testing.assert_array_equal(found.loss, history.loss)
        np.testing.assert_array_equal(found.grad_norm, history.grad_norm)
        np.testing.assert_array_equal(found.lr, history.lr)
        assert (found.diverged, found.P, found.seed) == (history.diverged, history.P, history.seed)
        part.write()
        whole.write()
        assert all(same(bits(a), bits(b)) for a, b in zip(part.nets, whole.nets, strict=True))
        assert [[p.requires_grad for p in net.parameters()] for net in part.nets] == [
            [p.requires_grad for p in net.parameters()] for net in whole.nets
        ]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sweeps_are_saved_and_loaded(tmp_path, kind, dtype):
    task, path = task_of(kind), tmp_path / "sweep.npz"
    nets = [of(kind, P, seed).to(dtype) for P in (1, 4) for seed in (0, 3)]
    made = run_sweep(nets, task, progress=False, steps=4, batch_size=3, lr=[0.01, 0.02, 0.01, 0.02])
    made.save(path)
    loaded = Sweep.load(path)
    assert [type(net) for net in loaded.nets] == [kind] * 4
    assert all(same(bits(a), bits(b)) for a, b in zip(made.nets, loaded.nets, strict=True))
    assert [a.settings() for a in made.nets] == [b.settings() for b in loaded.nets]
    np.testing.assert_array_equal(made.history.loss, loaded.history.loss)
    assert made.table.columns.tolist() == loaded.table.columns.tolist()
    assert made.table.astype(str).equals(loaded.table.astype(str))
    batch = task.held_out("test", 20).to(dtype)
    assert torch.equal(evaluate(made.nets, task, batch), evaluate(loaded.nets, task, batch))
    assert (loaded.table.model == kind.kind).all() and (loaded.table.M == 5).all()
    assert loaded.table.parameters.tolist() == [net.size() for net in nets]


# torch's own layers


def module(kind, net):
    """The same net of torch's modules, with weights of its own."""
    N, M = net.cells.weight_ih_l0.shape[1], net.hidden_size
    how = {"nonlinearity": "relu"} if kind is RNN else {}
    layer = {RNN: nn.RNN, GRU: nn.GRU, LSTM: nn.LSTM}[kind](N, M, batch_first=True, **how).double()
    readout = nn.Linear(M, net.output_size).double()
    layer.load_state_dict(net.cells.state_dict())
    readout.load_state_dict(net.readout.state_dict())
    vectors = None
    if net.vectors is not None:
        vectors = nn.Embedding(*net.vectors.weight.shape).double()
        vectors.load_state_dict(net.vectors.state_dict())
    return layer, readout, vectors


@pytest.mark.parametrize("kind", TORCH)
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_they_are_torchs_modules_in_values_and_gradients(kind, words, own):
    """Sequences shared or not, read at the end, at all steps or at given ones, from zero or from a state."""
    nets, generator = [kind(4, 6, 3, seed, "words" if words else "numbers").double() for seed in range(3)], gen(0)
    for net in nets:
        for p in net.parameters():
            p.data += 0.3 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    shape = (3, 5, 8) if own else (5, 8)
    s = torch.randint(4, shape, generator=generator) if words else random(generator, *shape, 4)
    at = torch.randint(8, (3, 5, 2) if own else (5, 2), generator=generator)
    many = 2 if kind is LSTM else 1
    before = tuple(random(generator, 3, 5, 6) for _ in range(many))
    for state in (None, before if many == 2 else before[0]):
        for batch, last in ((Inputs(s, 8), None), (Inputs(s, 3), None), (Inputs(s, 3), 2), (Inputs(s, 2, at), None)):
            stack, pull = Stack(nets), random(generator, 3, 5, 8, 3)
            output = stack.run(batch, last, state)
            L = output.y.shape[2]
            (output.y * pull[:, :, :L]).sum().backward()
            grads = stack.parts(stack.theta.grad)
            for k, net in enumerate(nets):
                layer, readout, vectors = module(kind, net)
                x = s[k] if own else s
                x = vectors(x) if words else x
                start = None if state is None else tuple(b[k][None] for b in before)
                h, after = layer(x, start if many == 2 or start is None else start[0])
                if batch.at is not None:
                    h = torch.stack([h[i, (at[k] if own else at)[i]] for i in range(5)])
                h = h[:, -L:]
                y = readout(h)
                (y * pull[k, :, :L]).sum().backward()
                close(output.y[k], y)
                close(output.z[k], h)
                left = output.state if many == 2 else (output.state,)
                for a, b in zip(left, after if many == 2 else (after,), strict=True):
                    close(a[k], b[0])
                for prefix, part in (("cells", layer), ("readout", readout), ("vectors", vectors)):
                    for name, p in [] if part is None else part.named_parameters():
                        close(grads[f"{prefix}.{name}"][k], p.grad)


def gen(seed):
    return torch.Generator().manual_seed(seed)


def random(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", TORCH)
def test_texts_that_begin_late_are_torchs_packed_sequences(kind):
    net = kind(9, 6, 2, 1, "words").double()
    layer, readout, vectors = module(kind, net)
    texts = [torch.randint(9, (n,), generator=gen(n)) for n in (7, 4, 1, 6)]
    s = torch.stack([torch.cat([torch.full((7 - len(text),), -1), text]) for text in texts])
    packed = nn.utils.rnn.pack_sequence([vectors(text) for text in texts], enforce_sorted=False)
    h, after = layer(packed)
    h, length = nn.utils.rnn.pad_packed_sequence(h, batch_first=True)
    output = Stack([net]).run(Inputs(s, 7))
    for i, n in enumerate(length):
        close(output.y[0, i, 7 - n :], readout(h[i, :n]))
        assert not output.z[0, i, : 7 - n].any()
    for a, b in zip(
        output.state if kind is LSTM else (output.state,), after if kind is LSTM else (after,), strict=True
    ):
        close(a[0], b[0])
    output.y[..., -1, :].sum().backward()
    readout(torch.stack([h[i, n - 1] for i, n in enumerate(length)])).sum().backward()
    p = dict(Stack([net]).parts())
    assert all(torch.isfinite(x).all() for x in p.values())


@pytest.mark.parametrize("kind", TORCH)
@pytest.mark.parametrize("inputs", ["numbers", "words"])
def test_parameters_are_counted_and_sizes_matched(kind, inputs):
    for N, M, O in [(1, 1, 1), (5, 7, 3), (40, 3, 2), (4, 3, 0)]:  # noqa: E741
        built = kind(N, M, O, inputs=inputs)
        count = sum(p.numel() for p in built.parameters())
        assert parameters(kind, N, M, O, inputs) == count == built.size() == built.describe()["parameters"]
        assert equal_size(kind, N, O, count, inputs) == M
        for more in (count - 1, count + 1, 3 * count):
            size = equal_size(kind, N, O, more, inputs)
            off = [abs(parameters(kind, N, x, O, inputs) - more) for x in range(1, size + 30)]
            assert size >= 1 and off[size - 1] == min(off)


@pytest.mark.parametrize("kind", TORCH)
def test_they_take_the_inputs_that_they_were_made_for(kind):
    words, numbers = kind(4, 3, 2, inputs="words"), kind(4, 3, 2)
    assert numbers.settings() == {"input_size": 4, "hidden_size": 3, "output_size": 2, "seed": 0, "inputs": "numbers"}
    assert kind(**words.settings()).vectors.weight.equal(words.vectors.weight)
    with pytest.raises(ValueError, match="was made for other inputs"):
        words(torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="was made for other inputs"):
        numbers(torch.zeros(2, 5, dtype=torch.long))
    with pytest.raises(ValueError, match="words must be from 0 to 3"):
        words(torch.full((2, 5), 4))
    for wrong in ({"input_size": 0}, {"hidden_size": 0}, {"output_size": -1}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            kind(**({"input_size": 4, "hidden_size": 3, "output_size": 2} | wrong))


# What does not go together


@pytest.mark.parametrize("kinds", [(ALRNN, EncoderDecoder), (RNN, GRU), (GRU, LSTM), (ALRNN, LSTM)])
def test_kinds_are_not_mixed_in_a_stack(kinds):
    with pytest.raises(ValueError, match=f"must be of one kind, got {kinds[0].__name__}, {kinds[1].__name__}"):
        Stack([of(kind) for kind in kinds])


@pytest.mark.parametrize("kind", TORCH)
def test_only_almost_linear_recurrences_are_regularised(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} has none"):
        fit(of(kind), task_of(kind), steps=1, tau=0.1, progress=False)


def test_every_kind_has_a_name_of_its_own_and_tells_it():
    assert len({kind.kind for kind in KINDS}) == len(KINDS)
    assert [kind.kind for kind in KINDS] == ["alrnn", "encoder_decoder", "alrnn_readout", "rnn", "gru", "lstm"]
    for kind in KINDS:
        found = scores(of(kind), task_of(kind), task_of(kind).held_out("test", 10))
        assert math.isfinite(found["mse"].value.item()) and of(kind).describe()["M"] == 5
        assert {"encoder.", "decoder."} == {*kind.maps} or kind is not EncoderDecoder
    assert leaves(of(ALRNN)).keys() == {"A", "W", "C", "h", "D", "b"}
    assert Init.of("slow") == Init("slow")
