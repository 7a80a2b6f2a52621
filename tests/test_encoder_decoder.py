"""Two recurrences, one that reads and one that answers: against plain loops, K at once, and on their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import almost_linear, close, leaves, linear, same_weights, stream, train
from torch.nn import functional as F

import alrnn
from alrnn import Init, Stack, evaluate, fit
from alrnn.nets import ALRNN, EncoderDecoder, Inputs
from alrnn.regions import lesion_scores, silence, visits
from alrnn.sweep import Sweep
from alrnn.sweep import run as run_sweep
from alrnn.tasks import Batch, Score, Task
from alrnn.train import Trainer, scores

V = 6
STOP, START = V, V + 1


class Say(Task):
    """Of five or more words, say the first, the last and the third, and stop. What is held out is never trained on."""

    inputs, metric = "words", "accuracy"
    input_size, output_size, given_size = V, V + 1, V + 2

    def __init__(self, most=5, late=False):
        self.most, self.late = most, late  # late: some texts begin one step late

    def sample(self, n, generator):
        return self._of(n, generator, lambda total: total % 5 != 0)

    def held_out(self, split, n=400):
        return self._of(n, torch.Generator().manual_seed(len(split)), lambda total: total % 5 == 0)

    def _of(self, n, generator, wanted):
        s = torch.randint(V, (20 * n, self.most), generator=generator)
        s = s[wanted(s.sum(1))][:n]
        begin = torch.zeros(n, dtype=torch.long)
        if self.late:
            begin = torch.randint(2, (n,), generator=generator)
            s[begin == 1, 0] = -1
        rows = torch.arange(n)
        answer = torch.stack([s[rows, begin], s[:, -1], s[rows, begin + 2], *torch.full((2, n), STOP)], 1)
        fed = torch.cat([torch.full((n, 1), START), answer[:, :-1]], 1)
        weight = torch.ones(n, 5)
        weight[:, 4] = 0  # one step to stop; later ones are there to show extra output
        return Batch(s, answer, weight, {"begin": begin}, given=fed)

    def scores(self, output, batch):
        y = output if isinstance(output, torch.Tensor) else output.y
        right = (y.argmax(-1) == batch.target).all(-1)
        count = torch.full(right.shape[:-1], right.shape[-1], dtype=torch.float64)
        return super().scores(output, batch) | {"exact": Score(right.sum(-1, dtype=torch.float64), count, "higher")}


class Echo(Task):
    """Numbers: after three steps of two numbers, their running sums again, last first."""

    input_size, output_size, given_size = 2, 2, 2

    def sample(self, n, generator):
        s = torch.randn(n, 3, 2, generator=generator)
        answer = s.cumsum(1).flip(1)
        return Batch(s, answer, torch.ones(n, 3), given=torch.cat([torch.zeros(n, 1, 2), answer[:, :-1]], 1))


TASKS = [Say(), Say(6, late=True), Echo()]


def pair(task, P=2, E=None, seed=0, M=6, wild=True):
    """An encoder-decoder for a task, in float64; its weights everywhere, so that every term of the equation counts."""
    stop = STOP if task.given_size > 2 else None
    net = EncoderDecoder(task.input_size, M, P, task.output_size, E, task.given_size, stop, seed, "slow").double()
    if wild:
        generator = torch.Generator().manual_seed(100 + seed)
        with torch.no_grad():
            for name, p in net.named_parameters():
                scale = 0.4 if name.endswith(("A", "W")) else 0.5
                p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=torch.float64))
            for part in (net.encoder, net.decoder):
                part.A *= part.pwl
    return net


def batch_for(task, n=7, seed=1):
    return task.sample(n, torch.Generator().manual_seed(seed)).to(torch.float64)


def plain_run(p, net, s, fed):
    """Outputs and states of one net by a plain loop, fed what is given."""
    z = almost_linear(p, net.encoder.nonlinear_size, s, at="encoder.")[:, -1]
    z = almost_linear(p, net.decoder.nonlinear_size, fed, z, at="decoder.")
    return linear(p, z, "decoder."), z


def plain_loss(task, y, batch):
    if task.metric == "mse":
        return F.mse_loss(y, batch.target)
    total = sum(
        batch.weight[i, t] * F.cross_entropy(y[i, t], batch.target[i, t])
        for i in range(len(y))
        for t in range(y.shape[1])
    )
    return total / batch.weight.sum()


def plain_answer(p, net, s, steps):
    """One sequence at a time, symbol by symbol, as one would write it: the answer up to and with its stop."""
    answers = []
    for one in s:
        z, said = almost_linear(p, net.encoder.nonlinear_size, one[None], at="encoder.")[:, -1], [START]
        while len(said) <= steps and said[-1] != STOP:
            z = almost_linear(p, net.decoder.nonlinear_size, torch.tensor([[said[-1]]]), z, at="decoder.")[:, 0]
            said.append(linear(p, z, "decoder.").argmax().item())
        answers.append(said[1:])
    return answers


KINDS = [(P, E) for P in (0, 2, 6) for E in (None, 0, 3)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_values_and_gradients_are_those_of_a_plain_loop(task):
    nets = [pair(task, P, E, seed) for seed, (P, E) in enumerate(KINDS)]
    batch = batch_for(task)
    stack = Stack(nets)
    output = stack.run(batch)
    loss = task.loss(output, batch)
    loss.sum().backward()
    grads = stack.parts(stack.theta.grad)
    for k, net in enumerate(nets):
        p = leaves(net)
        y, z = plain_run(p, net, batch.s, batch.given)
        close(output.y[k], y)
        close(output.z[k], z)
        close(output.state[k], z[:, -1])
        expected = plain_loss(task, y, batch)
        close(loss[k], expected)
        expected.backward()
        for name, x in p.items():
            if x.numel():
                close(grads[name][k], x.grad)
        alone = net(batch.s, batch.given)
        close(alone[0], y)
        close(alone[1], z)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_each_net_with_a_batch_of_its_own(task):
    nets = [pair(task, P, E, seed) for seed, (P, E) in enumerate(KINDS)]
    batches = [batch_for(task, seed=seed) for seed in range(3)]
    index = torch.arange(len(nets)) % 3
    both, stack = Batch.per_net(batches, index), Stack(nets)
    run, free = stack.run(both), stack.predict(both)
    for k, net in enumerate(nets):
        one = batches[index[k]]
        close(run.y[k], net(one.s, one.given)[0])
        close(free.y[k], net(one.s, one.given, free=True)[0])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_training_is_a_plain_loop_for_all_nets_at_once(task):
    choices = [(0, None), (4, 0), (6, 6), (1, 3)]
    nets = [pair(task, P, E, seed=k % 2, wild=False) for k, (P, E) in enumerate(choices)]
    plain = [leaves(net) for net in nets]
    history = fit(nets, task, steps=6, batch_size=5, lr=0.02, clip=0.3, progress=False)
    for k, (net, p) in enumerate(zip(nets, plain, strict=True)):
        generator = stream(k % 2)

        def loss(_, p=p, net=net, generator=generator):
            batch = task.sample(5, generator).to(torch.float64)
            return plain_loss(task, plain_run(p, net, batch.s, batch.given)[0], batch)

        losses, norms = train(p, loss, 6, 0.02, 0.3)
        same_weights(net, p)
        close(history.loss[:, k], losses)
        close(history.grad_norm[:, k], norms)


def test_holding_is_rewarded_in_both_recurrences():
    """Manifold-attractor regularisation, one net, one step: the gradient of both penalties is added."""
    task, net = Say(), pair(Say(), 2, 3, wild=False)
    p, batch = leaves(net), Say().sample(5, stream(0)).to(torch.float64)
    total = plain_loss(task, plain_run(p, net, batch.s, batch.given)[0], batch)
    for at, part in (("encoder.", net.encoder), ("decoder.", net.decoder)):
        self_weight = p[at + "W"].diagonal() + p[at + "A"] * part.pwl
        off = p[at + "W"] - torch.diag(p[at + "W"].diagonal())
        total = total + 0.1 * ((self_weight[:3] - 1) ** 2 + off[:3].square().sum(1) + p[at + "h"][:3] ** 2).sum()
    total.backward()
    norm = sum(x.grad.square().sum() for x in p.values() if x.numel()).sqrt()
    history = fit(net, task, steps=1, batch_size=5, tau=0.1, progress=False)
    assert history.grad_norm[0, 0] == pytest.approx(norm.item(), rel=1e-9)


def test_nine_nets_learn_to_answer_in_one_pass():
    """P = 0, 4, 24 and three seeds, on texts that were never trained on, each answer whole, with nothing after it."""
    task, start = Say(), Init("rotation", pwl=1.0, C=0.3)
    nets = [EncoderDecoder(V, 24, P, V + 1, stop=STOP, seed=seed, init=start) for P in (0, 4, 24) for seed in range(3)]
    test = task.held_out("test")
    before = scores(nets, task, test)["exact"].value
    fit(nets, task, steps=450, batch_size=64, lr=2e-2, clip=1.0, progress=False)
    found = scores(nets, task, test)
    assert (before < 0.05).all() and (found["exact"].value > 0.95).all() and (found["accuracy"].value > 0.95).all()
    assert list(found) == ["accuracy", "exact"]
    said = [plain_answer(leaves(net.double()), net, test.s[:30], 5) for net in nets]
    right = np.mean(
        [[answer == target[:4].tolist() for answer, target in zip(a, test.target[:30], strict=True)] for a in said]
    )
    assert right > 0.95


@pytest.mark.parametrize("task", TASKS[:2], ids=lambda task: task.name)
def test_answers_are_those_of_a_plain_loop_and_stop(task):
    """Untrained nets say anything; some stop early. What is given beyond the start is not seen."""
    nets = [pair(task, P, E, seed) for seed, (P, E) in enumerate(KINDS)]
    batch = batch_for(task, 20)
    blind = replace(batch, given=batch.given.clone())
    blind.given[:, 1:] = torch.randint(V, (20, 4), generator=torch.Generator().manual_seed(5))
    output, again = Stack(nets).predict(batch), Stack(nets).predict(blind)
    assert torch.equal(output.y, again.y) and torch.equal(output.z, again.z)
    lengths = []
    for k, net in enumerate(nets):
        answers = plain_answer(leaves(net), net, batch.s, 5)
        for answer, said in zip(answers, output.y[k].argmax(-1).tolist(), strict=True):
            lengths.append(len(answer))
            assert said == answer + [STOP] * (5 - len(answer))
        fed = torch.cat([batch.given[:, :1], output.y[k].argmax(-1)[:, :-1]], 1)  # fed its own answers, it gives them
        y, z = net(batch.s, fed)
        going = torch.tensor([[t < len(answer) for t in range(5)] for answer in answers])
        close(output.y[k][going], y[going])
        close(output.z[k][going], z[going])
        for i, answer in enumerate(answers):  # at and after its stop the outputs stay as they are
            for t in range(len(answer), 5):
                assert torch.equal(output.y[k, i, t], output.y[k, i, len(answer) - 1])
    assert min(lengths) < 3 and max(lengths) == 5


def test_without_a_stop_symbol_answers_go_on():
    task = Say()
    net = EncoderDecoder(V, 6, 2, V + 1, seed=3).double()
    with torch.no_grad():
        net.decoder.b[STOP] = 5.0
    batch = batch_for(task)
    y = net(batch.s, batch.given, free=True)[0]
    fed = torch.cat([batch.given[:, :1], torch.full((7, 4), STOP)], 1)
    assert (y.argmax(-1) == STOP).all() and not torch.equal(y[:, 1], y[:, 2])
    close(y, net(batch.s, fed)[0])


def test_numbers_are_fed_back_as_they_are():
    task = Echo()
    nets, batch = [pair(task, P, E, seed) for seed, (P, E) in enumerate(KINDS)], batch_for(task)
    output = Stack(nets).predict(batch)
    for k, net in enumerate(nets):
        p = leaves(net)
        z = almost_linear(p, net.encoder.nonlinear_size, batch.s, at="encoder.")[:, -1]
        fed = batch.given[:, 0]
        for t in range(3):
            z = almost_linear(p, net.decoder.nonlinear_size, fed[:, None], z, at="decoder.")[:, 0]
            fed = linear(p, z, "decoder.")
            close(output.y[k, :, t], fed)
    more = EncoderDecoder(2, 4, 1, 2, given_size=3).double()
    wide = replace(batch, given=torch.zeros(7, 3, 3, dtype=torch.float64))
    assert more(wide.s, wide.given)[0].shape == (7, 3, 2)
    with pytest.raises(ValueError, match="outputs can be fed back only where given_size = 3 is the output size"):
        more(wide.s, wide.given, free=True)


def test_extra_output_is_wrong():
    """A net that says the right symbols and goes on has no whole answer right, though every step that counts is."""
    task = Say()
    batch = task.held_out("test", 50)
    right = F.one_hot(batch.target, V + 1).double()[None]
    goes_on = right.clone()
    goes_on[:, :, 4] = F.one_hot(torch.tensor(0), V + 1).double()
    for y, exact in ((right, 1), (goes_on, 0)):
        found = task.scores(y, batch)
        assert found["accuracy"].value == 1 and found["exact"].value == exact


@settings(max_examples=15, deadline=None)
@given(
    P=st.integers(0, 5),
    E=st.integers(0, 5),
    steps=st.integers(1, 6),
    more=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_texts_that_begin_late_and_answers_cut_short_change_nothing(P, E, steps, more, seed):
    net, generator = pair(Say(), P, E, seed, M=5), torch.Generator().manual_seed(seed)
    s = torch.randint(V, (4, 5), generator=generator)
    fed = torch.cat([torch.full((4, 1), START), torch.randint(V, (4, 5), generator=generator)], 1)
    late = torch.cat([torch.full((4, more), -1), s], 1)
    for free in (False, True):
        whole = net(s, fed, free)
        for other in (net(late, fed, free), net(s, fed[:, :steps], free)):
            close(other[0], whole[0][:, : other[0].shape[1]])
            close(other[1], whole[1][:, : other[1].shape[1]])


# The pieces


def test_both_recurrences_can_be_read_as_almost_linear_nets():
    net, batch = pair(Say(), 3, 2), batch_for(Say(), 20)
    assert (net.nonlinear_size, net.nonlinear_encoder, net.hidden_size) == (3, 2, 6)
    assert isinstance(net.encoder, ALRNN) and isinstance(net.decoder, ALRNN)
    assert (net.encoder.nonlinear_size, net.encoder.output_size, net.encoder.input_size) == (2, 0, V)
    assert (net.decoder.nonlinear_size, net.decoder.output_size, net.decoder.input_size) == (3, V + 1, V + 2)
    y, z = net(batch.s, batch.given)
    first = net.encoder(batch.s)[1][:, -1]
    same = net.decoder(batch.given, first)
    close(same[0], y)
    close(same[1], z)
    seen = visits(net.decoder, z)
    assert seen.counts.sum() == 20 * 5 and {len(code) for code in seen.codes} == {3}
    assert torch.linalg.eigvals(net.encoder.jacobian([1, 0])).shape == (6,)


def test_a_unit_of_the_decoder_can_be_lesioned():
    task, net = Say(), pair(Say(), 3, 2)
    test = task.held_out("test", 60)

    def scored(decoder):
        other = net.copy()
        other.decoder = decoder
        return evaluate(other, task, test.to(torch.float64)).item()

    found = lesion_scores(net.decoder, scored)
    assert found.intact == evaluate(net, task, test.to(torch.float64)).item() and len(found.lesioned) == 3
    p = leaves(net)
    with torch.no_grad():
        p["decoder.W"][:, 4] = 0
    other = net.copy()
    other.decoder = silence(net.decoder, 1)
    close(other(test.s, test.given)[0], plain_run(p, net, test.s, test.given)[0])


def test_sizes_counts_and_settings():
    net = EncoderDecoder(4, 6, 2, 3, nonlinear_encoder=1, stop=2, seed=5, init=Init("slow", pwl=1.0))
    recurrent = 6 * 6 + 6
    assert net.size() == (recurrent + 1 + 6 * 4) + (recurrent + 2 + 6 * 4 + 3 * 6 + 3)
    assert net.settings() == {
        "input_size": 4,
        "hidden_size": 6,
        "nonlinear_size": 2,
        "output_size": 3,
        "nonlinear_encoder": 1,
        "given_size": 4,
        "stop": 2,
        "seed": 5,
        "init": Init("slow", pwl=1.0),
    }
    again = EncoderDecoder(**net.settings())
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))
    row = net.describe()
    assert (row["M"], row["P"], row["P_encoder"], row["seed"]) == (6, 2, 1, 5)
    assert (row["parameters"], row["init"], row["init_pwl"], row["stop"]) == (net.size(), "slow", 1.0, 2)
    assert not torch.equal(net.encoder.W, net.decoder.W)  # draws of their own
    other = EncoderDecoder(4, 6, 0, 3, seed=5, init=Init("slow", pwl=1.0))
    assert torch.equal(other.encoder.C, net.encoder.C) and torch.equal(other.decoder.C, net.decoder.C)


def test_weights_of_another_P_are_refused():
    net, other = pair(Say(), 3, 2), pair(Say(), 3, 1)
    with pytest.raises(ValueError, match="these weights are of a net with P = 2, this one has P = 1"):
        other.load_state_dict(net.state_dict())
    with pytest.raises(ValueError, match="another P"):
        Stack([net]).write_to([other])
    same = pair(Say(), 3, 2, seed=9)
    same.load_state_dict(net.state_dict())
    assert torch.equal(same.decoder.W, net.decoder.W)


def test_a_state_goes_from_one_text_to_the_next():
    task, net = Say(), pair(Say())
    batch, w = batch_for(task), {name: x[None] for name, x in net.weights().items()}
    first = net.run(w, batch)
    second = net.run(w, batch, state=first.state)
    z = almost_linear(leaves(net), 2, batch.s, first.state[0], at="encoder.")[:, -1]
    close(second.z[0], almost_linear(leaves(net), 2, batch.given, z, at="decoder."))
    assert net.run(w, batch, last=2).y.shape == (1, 7, 2, V + 1)
    close(net.run(w, batch, last=2).y, first.y[:, :, -2:])


def test_sweeps_and_files_take_them(tmp_path):
    task = Say()
    nets = [EncoderDecoder(V, 6, P, V + 1, E, stop=STOP, seed=s) for P, E in ((0, 0), (2, 6)) for s in range(2)]
    found = run_sweep(nets, task, progress=False, steps=4, batch_size=8)
    assert found.table[["P", "P_encoder"]].values.tolist() == [[0, 0], [0, 0], [2, 6], [2, 6]]
    assert {"validation", "test", "test_exact"} <= {*found.table} and (found.table.model == "encoder_decoder").all()
    found.save(tmp_path / "sweep.npz")
    loaded = Sweep.load(tmp_path / "sweep.npz")
    assert torch.equal(Stack(loaded.nets).theta, Stack(nets).theta)
    assert loaded.net(2, 1).settings() == nets[3].settings()
    test = task.held_out("test", 50)
    assert torch.equal(evaluate(loaded.nets, task, test), evaluate(nets, task, test))
    trainer = Trainer(nets, task, steps=9, batch_size=4)
    trainer.run(3, progress=False)
    trainer.save(tmp_path / "trainer.pt")
    other = Trainer.load(tmp_path / "trainer.pt", task)
    for one in (trainer, other):
        one.run(progress=False)
    assert torch.equal(trainer.stack.theta, other.stack.theta)


# What is refused


TEXTS = torch.zeros(2, 3, dtype=torch.long)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EncoderDecoder(4, 6, 7, 3), "nonlinear_size must be an integer from 0 to hidden_size = 6, got 7"),
        (lambda: EncoderDecoder(4, 6, 2, 3, 7), "nonlinear_encoder must be an integer from 0 to hidden_size = 6"),
        (lambda: EncoderDecoder(4, 6, 2, 0), "output_size must be an integer of at least 1, got 0"),
        (lambda: EncoderDecoder(-1, 6, 2, 3), "input_size must be an integer of at least 0, got -1"),
        (lambda: EncoderDecoder(4, 0, 0, 3), "hidden_size must be an integer of at least 1, got 0"),
        (lambda: EncoderDecoder(4, 6, 2, 3, given_size=2), "given_size must be an integer of at least 3, got 2"),
        (lambda: EncoderDecoder(4, 6, 2, 3, stop=3), "stop must be an integer from 0 to 2, got 3"),
        (lambda: EncoderDecoder(4, 6, 2, 3, seed=-1), "seed must be an integer from 0 to 999999999, got -1"),
        (lambda: EncoderDecoder(4, 6, 2, 3, init="fast"), "init must be one of"),
        (lambda: pair(Say())(TEXTS, torch.full((2, 3), -1)), "given must be symbols from 0 to 7, got -1"),
        (lambda: pair(Say())(TEXTS, torch.full((2, 3), 8)), "words must be from 0 to 7"),
        (lambda: pair(Say())(TEXTS, torch.full((3, 3), 1)), r"must have shape \(2, L\)"),
        (lambda: Stack([pair(Say())]).run(Inputs(TEXTS, 3)), "a decoder needs what it is fed"),
    ],
)
def test_what_does_not_fit(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def changed(**how):
    class Odd(Say):
        name = "odd"

        def sample(self, n, generator):
            batch = super().sample(n, generator)
            return replace(batch, **{name: make(batch) for name, make in how.items()})

    return Odd()


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (changed(given=lambda b: None), "given of a batch of odd must be what its given_size = 8 says"),
        (changed(given=lambda b: b.given[:, :4]), r"integers \(B, L\) = \(4, 5\).*got .*\(4, 4\)"),
        (changed(given=lambda b: b.given + 1), r"symbols given in a batch of odd must be from 0 to 7, got \d to 8"),
        (changed(given=lambda b: b.given - 7), r"symbols given in a batch of odd must be from 0 to 7, got -\d to 0"),
        (changed(given=lambda b: b.given.double()), "given of a batch of odd must be what"),
        (changed(given=lambda b: b.given.bool()), "given of a batch of odd must be what"),
        (changed(given=lambda b: torch.full((4, 5, 8), float("nan"))), "contains NaN or infinite"),
        (changed(at=lambda b: torch.zeros(4, 5, dtype=torch.long)), "a batch of odd has given, so it can have no at"),
        (changed(offset=lambda b: torch.zeros(4, 5, 7)), "has given, so it can have no at and no offset"),
    ],
)
def test_a_batch_whose_given_does_not_fit(task, words):
    with pytest.raises((ValueError, TypeError), match=words):
        fit(pair(Say()), task, steps=1, batch_size=4, progress=False)


def test_only_decoders_are_given_something():
    with pytest.raises(ValueError, match=r"Say has given_size 8 \(a decoder's\), the nets 0"):
        fit(ALRNN(V, 6, 2, V + 1), Say(), steps=1, progress=False)
    with pytest.raises(ValueError, match=r"TwoModality has given_size 0|given_size 0 \(a decoder's\), the nets 3"):
        task = alrnn.tasks.TwoModality(5)
        fit(EncoderDecoder(task.input_size, 6, 2, 2), task, steps=1, progress=False)

    class Silent(Say):
        given_size = 0

    with pytest.raises(ValueError, match="given_size = 0 says"):
        fit(ALRNN(V, 6, 2, V + 1), Silent(), steps=1, progress=False)
    with pytest.raises(ValueError, match="only sequences with a target at each"):
        fit(pair(Say()), Say(), steps=2, window=2, progress=False)
