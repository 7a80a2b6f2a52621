"""Long sequences read in windows: the state is carried from one to the next, the gradient is not; a language model."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import almost_linear, close, leaves, linear, lstm, same_weights, stream, train
from torch.nn import functional as F

from alrnn import ALRNN, Init, Stack, fit
from alrnn.nets import GRU, LSTM, RNN, Inputs, Net, Output
from alrnn.sweep import run as run_sweep
from alrnn.tasks import Batch, FixedCopy, Task
from alrnn.train import scores

V = 50


class Leak(Task):
    """At every step, two leaky sums of two inputs."""

    input_size, output_size = 2, 2

    def __init__(self, length=10):
        self.length = length

    def sample(self, n, generator):
        s, z, target = torch.randn(n, self.length, 2, generator=generator), torch.zeros(n, 2), []
        for t in range(self.length):
            z = torch.tensor([0.9, 0.5]) * z + s[:, t]
            target.append(z)
        return Batch(s, torch.stack(target, 1), torch.rand(n, self.length, generator=generator))


class Seldom(Leak):
    """The same, but asked in the last four of ten steps alone, and of every second sequence."""

    def sample(self, n, generator):
        batch = super().sample(n, generator)
        batch.weight[:, :6] = 0
        batch.weight[::2] = 0
        return batch


class Words(Task):
    """A language of 50 words: each is followed by one of its own with probability 0.8, else by any. What comes next?"""

    inputs, metric, input_size, output_size = "words", "cross_entropy", V, V

    def __init__(self, length=12, late=False):
        self.length, self.late = length, late

    def sample(self, n, generator):
        text = torch.randint(V, (n, 1), generator=generator)
        for _ in range(self.length):
            chance = torch.rand(n, 1, generator=generator) < 0.8
            follows = torch.where(chance, (text[:, -1:] + 1) % V, torch.randint(V, (n, 1), generator=generator))
            text = torch.cat([text, follows], 1)
        s, weight = text[:, :-1].clone(), torch.ones(n, self.length)
        if self.late:
            begin = torch.randint(self.length, (n, 1), generator=generator)
            before = torch.arange(self.length) < begin
            s[before], weight[before] = -1, 0
            weight[:, -1] = 1
        return Batch(s, text[:, 1:], weight)

    @property
    def floor(self):
        """Entropy of the next word, nats."""
        p = np.full(V, 0.2 / V)
        p[0] += 0.8
        return -(p * np.log(p)).sum()


def make(kind, task, seed=0, M=4, P=2):
    """A float64 net with all its weights at work."""
    if kind is ALRNN:
        net = ALRNN(task.input_size, M, P, task.output_size, seed)
    else:
        net = kind(task.input_size, M, task.output_size, seed, task.inputs)
    net, generator = net.double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.4 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
        if kind is ALRNN:
            net.A *= net.pwl
    return net


def plain_step(net, p, s, state):
    """Outputs of some steps and the state after them."""
    if isinstance(net, ALRNN):
        z = almost_linear(p, net.nonlinear_size, s, state)
        return linear(p, z), z[:, -1]
    h, state = lstm(p, s, state)
    return h @ p["readout.weight"].T + p["readout.bias"], state


def truncated(net, p, task, n, window, steps, lr, clip):
    """Truncated backpropagation by hand: one step of Adam a window, new sequences when the old ones are read."""
    place, generator = {"t": 0, "state": None, "batch": None}, stream(net.seed)

    def loss(_):
        if place["batch"] is None:
            place.update(t=0, state=None, batch=task.sample(n, generator).to(torch.float64))
        batch, t = place["batch"], place["t"]
        stop = min(t + window, batch.s.shape[1])
        y, state = plain_step(net, p, batch.s[:, t:stop], place["state"])
        kept = tuple(x.detach() for x in state) if isinstance(state, tuple) else state.detach()
        place.update(t=stop, state=kept, batch=batch if stop < batch.s.shape[1] else None)
        target, weight = batch.target[:, t:stop], batch.weight[:, t:stop]
        if task.metric == "mse":
            error = (y - target).square().mean(2)
        else:
            error = F.cross_entropy(y.permute(0, 2, 1), target, reduction="none")
        return (error * weight).sum() / (weight.sum() if weight.any() else 1)

    return train(p, loss, steps, lr, clip)


CASES = [
    (ALRNN, Leak(), 4),
    (ALRNN, Leak(), 3),
    (ALRNN, Leak(), 10),
    (ALRNN, Leak(), 99),
    (ALRNN, Words(), 5),
    (LSTM, Leak(), 4),
    (LSTM, Leak(), 1),
    (ALRNN, Seldom(), 3),
    (LSTM, Seldom(), 3),
]


@pytest.mark.parametrize(("kind", "task", "window"), CASES)
def test_windows_are_truncated_backpropagation_by_hand(kind, task, window):
    """K nets, two of one seed, each with the numbers that it would have alone."""
    choices = [(0, 0), (2, 5), (4, 0)] if kind is ALRNN else [(None, 0), (None, 5)]
    nets = [make(kind, task, seed, P=P) for P, seed in choices]
    plain = [leaves(net) for net in nets]
    history = fit(nets, task, steps=9, batch_size=3, lr=0.02, clip=0.3, window=window, progress=False)
    for k, (net, p) in enumerate(zip(nets, plain, strict=True)):
        losses, norms = truncated(net, p, task, 3, window, 9, 0.02, 0.3)
        same_weights(net, p)
        close(history.loss[:, k], losses)
        close(history.grad_norm[:, k], norms)


def test_a_window_as_long_as_the_sequences_is_no_window():
    first, second = make(ALRNN, Leak()), make(ALRNN, Leak())
    for net, window in ((first, None), (second, 10)):
        fit(net, Leak(), steps=5, batch_size=3, window=window, progress=False)
    same_weights(first, dict(second.named_parameters()), 1e-12)


KINDS = [ALRNN, RNN, GRU, LSTM]


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    task=st.sampled_from([Leak(), Words(), Words(late=True)]),
    window=st.integers(1, 14),
    chunk=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_scores_by_windows_are_scores_in_one_piece(kind, task, window, chunk, seed):
    """Also of texts that begin late, even after the first window, and of the state that is left."""
    nets = [make(kind, task, seed + k) for k in range(2)]
    batch = task.sample(6, torch.Generator().manual_seed(seed)).to(torch.float64)
    whole, parts = scores(nets, task, batch), scores(nets, task, batch, chunk, window)
    assert whole.keys() == parts.keys()
    for name in whole:
        close(parts[name].value, whole[name].value)
    stack, state = Stack(nets), None
    for start in range(0, batch.steps, window):
        state = stack.run(batch.window(start, min(start + window, batch.steps)), state=state).state
    last = stack.run(batch).state
    for a, b in zip(*(x if isinstance(x, tuple) else (x,) for x in (state, last)), strict=True):
        close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_language_model_is_trained_by_windows(kind):
    """Texts of 60 words in windows of 12; the chance of each next word comes near the language's own."""
    task = Words(60)
    if kind is ALRNN:
        nets = [ALRNN(V, 24, P, V, seed, Init("slow", value=0.3, C=1.0)) for P in (0, 6) for seed in range(2)]
    else:
        nets = [kind(V, 24, V, seed, "words") for seed in range(2)]
    start = scores(nets, task, task.held_out("test", 30), window=12)["cross_entropy"].value
    fit(nets, task, steps=300, batch_size=16, lr=0.03, clip=1.0, window=12, progress=False)
    test = task.held_out("test", 100)
    found = scores(nets, task, test, window=12)["cross_entropy"].value
    close(found, scores(nets, task, test)["cross_entropy"].value, 1e-4)
    assert (
        (abs(start - math.log(V)) < 0.6).all()
        and (found < task.floor + 0.25).all()
        and (found > task.floor - 0.1).all()
    )


def test_a_sweep_by_windows_scores_by_windows():
    task = Leak(9)
    nets = [make(ALRNN, task, seed) for seed in range(2)]
    table = run_sweep(nets, task, progress=False, steps=4, batch_size=3, window=4).table
    assert table.window.tolist() == [4, 4]
    close(table.test.to_numpy(), scores(nets, task, task.held_out("test"))["mse"].value)


@pytest.mark.parametrize(
    ("net", "task", "how", "words"),
    [
        (
            ALRNN(5, 4, 1, 4),
            FixedCopy(2, 3),
            {"window": 3},
            "only sequences with a target at each of their T = 8 steps",
        ),
        (ALRNN(2, 4, 1, 2), Leak(), {"window": 0}, "window must be an integer of at least 1, got 0"),
        (ALRNN(2, 4, 1, 2), Leak(), {"window": 2.5}, "window must be an integer of at least 1, got 2.5"),
    ],
)
def test_what_cannot_be_windowed(net, task, how, words):
    with pytest.raises(ValueError, match=words):
        fit(net, task, steps=2, progress=False, **how)


def test_a_kind_without_a_state_cannot_be_windowed():
    class Forgets(Net):
        def __init__(self, seed=0):
            super().__init__()
            self.seed, self.input_size, self.hidden_size, self.output_size = seed, 2, 2, 2
            self.D = torch.nn.Parameter(torch.zeros(2, 2))

        @classmethod
        def run(cls, w, batch, last=None, state=None):
            return Output(batch.s @ w["D"].mT[:, None])

    with pytest.raises(ValueError, match="Forgets answers no state to carry on from"):
        fit(Forgets(), Leak(), steps=2, window=3, progress=False)
    fit(Forgets(), Leak(), steps=2, progress=False)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_before_a_text_begins_the_state_is_zero(kind):
    net = make(kind, Words())
    s = torch.tensor([[-1, -1, 3, 4], [-1, -1, -1, -1], [5, 6, 7, 8]])
    stack = Stack([net])
    output = stack.run(Inputs(s, 4))
    assert not output.z[0, 0, :2].any() and not output.z[0, 1].any() and output.z[0, 2].any()
    alone = stack.run(Inputs(s[:1, 2:], 2))
    close(output.z[0, 0, 2:], alone.z[0, 0])
    states = output.state if isinstance(output.state, tuple) else (output.state,)
    for x, y in zip(states, alone.state if isinstance(alone.state, tuple) else (alone.state,), strict=True):
        close(x[0, 0], y[0, 0])
        assert not x[0, 1].any()
