"""Tasks that the library has not: counts, a suite with a score each, a loss of the states; against plain loops."""

import math

import numpy as np
import pytest
import torch
from plain import almost_linear, close, leaves, linear, same_weights, stream, train
from scipy.stats import poisson

import alrnn
from alrnn import ALRNN, Stack, evaluate, fit
from alrnn.nets import GRU, EncoderDecoder, Output
from alrnn.tasks import Batch, Head, Score, Task
from alrnn.train import Trainer, scores

SMALL = {"batch_size": 5, "lr": 0.02, "clip": 0.3, "progress": False}


def net(task, P=2, seed=0, M=5):
    """In float64, with all weights at work."""
    one, generator = ALRNN(task.input_size, M, P, task.output_size, seed).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in one.parameters():
            p.copy_(0.4 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
        one.A *= one.pwl
    return one


def batch_of(task, n=6, seed=0):
    return task.sample(n, torch.Generator().manual_seed(seed)).to(torch.float64)


def answers(p, one, batch):
    """Outputs and states of one net at all steps, by a plain loop."""
    z = almost_linear(p, one.nonlinear_size, batch.s)
    return linear(p, z), z


def check_loss(task, plain_loss, nets, batches):
    """Loss and gradient of nets that have a batch each, against plain ones."""
    stack = Stack(nets)
    both = Batch.per_net(batches, torch.arange(len(nets)))
    loss = task.loss(stack.run(both), both)
    loss.sum().backward()
    grads = stack.parts(stack.theta.grad)
    for k, (one, batch) in enumerate(zip(nets, batches, strict=True)):
        p = leaves(one)
        value = plain_loss(*answers(p, one, batch), batch)
        value.backward()
        close(loss[k], value)
        for name, x in p.items():
            close(grads[name][k], torch.zeros_like(x) if x.grad is None else x.grad)


def check_training(task, plain_loss, choices, steps=5):
    """Nets of these P and seeds, trained in one pass, are those that plain loops train."""
    nets = [net(task, P, seed) for P, seed in choices]
    plain = [leaves(one) for one in nets]
    history = fit(nets, task, steps=steps, **SMALL)
    for k, (one, p) in enumerate(zip(nets, plain, strict=True)):
        generator = stream(one.seed)

        def loss(_, p=p, one=one, generator=generator):
            batch = task.sample(5, generator).to(torch.float64)
            return plain_loss(*answers(p, one, batch), batch)

        losses, norms = train(p, loss, steps, 0.02, 0.3)
        same_weights(one, p)
        close(history.loss[:, k], losses)
        close(history.grad_norm[:, k], norms)


CHOICES = [(0, 0), (2, 0), (5, 1), (2, 3)]


# Counts of three neurons, of which some are not seen in a trial


class Counts(Task):
    """Poisson counts whose log-rate is affine in two inputs, in bins of other lengths; neurons drop out for a trial."""

    metric, input_size, output_size = "deviance", 2, 3
    slopes = torch.tensor([[0.8, 0.0], [-0.5, 0.6], [0.0, 0.3]])
    base = torch.tensor([0.5, -0.3, 1.0])

    def sample(self, n, generator):
        s = torch.randn(n, 6, 2, generator=generator)
        exposure = 0.2 + torch.rand(n, 6, 1, generator=generator).expand(n, 6, 3)
        rate = torch.exp(s @ self.slopes.T + self.base)
        counts = torch.poisson(rate * exposure, generator=generator)
        weight = (torch.rand(n, 1, 3, generator=generator) < 0.7) * torch.rand(n, 6, 3, generator=generator)
        weight[0] = 1.0
        return Batch(s, counts, weight, offset=exposure.log())


def plain_counts(y, z, batch):
    """What is left of the negative log-likelihood without the term that knows no rate, one count at a time."""
    total = weight = 0.0
    for i in range(y.shape[0]):
        for t in range(y.shape[1]):
            for o in range(y.shape[2]):
                w, log_rate = batch.weight[i, t, o], y[i, t, o] + batch.offset[i, t, o]
                total = total + w * (log_rate.exp() - batch.target[i, t, o] * log_rate)
                weight = weight + w
    return total / weight


def test_counts_are_a_plain_loop():
    task = Counts()
    check_loss(task, plain_counts, [net(task, P, s) for P, s in CHOICES], [batch_of(task, 6, i) for i in range(4)])
    check_training(task, plain_counts, CHOICES)


def test_counts_against_scipy():
    """Loss and deviance from the log-likelihood of scipy; its gradient in y is weight times (rate - count)."""
    task, batch = Counts(), batch_of(Counts())
    y = torch.randn(3, 6, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    output = Output(y)
    mean = torch.exp(y + batch.offset).detach().numpy()
    k, w = batch.target.numpy(), batch.weight.numpy()
    own = np.log(np.array([math.factorial(int(x)) for x in k.flat])).reshape(k.shape)
    close(task.loss(output, batch).detach(), (w * (-poisson.logpmf(k, mean) - own)).sum((1, 2, 3)) / w.sum())
    best = np.where(k > 0, poisson.logpmf(k, np.maximum(k, 1e-300)), 0.0)
    deviance = 2 * (w * (best - poisson.logpmf(k, mean))).sum((1, 2, 3))
    found = task.scores(output, batch)
    assert list(found) == ["deviance"] and found["deviance"].better == "lower"
    close(found["deviance"].sum.detach(), deviance)
    close(found["deviance"].count, np.full(3, w.sum()))
    assert (deviance > 0).all()
    exact = Output(torch.where(batch.target > 0, batch.target, 1e-12).log()[None] - batch.offset)
    assert task.score(exact, batch).item() == pytest.approx(0, abs=1e-9)  # a net that knows each count
    (grad,) = torch.autograd.grad(task.loss(output, batch).sum(), y)
    close(grad, w * (mean - k) / w.sum())
    hidden = torch.where(batch.weight > 0, batch.target, batch.target + 7)  # what is not seen does not count
    other = Batch(batch.s, hidden, batch.weight, offset=batch.offset)
    close(task.loss(output, other).detach(), task.loss(output, batch).detach())


def test_known_rates_are_recovered():
    task = Counts()
    nets = [ALRNN(2, 4, P, 3, seed, "slow") for P in (0, 2) for seed in range(2)]
    test = task.held_out("test", 500)
    true = test.s @ task.slopes.T + task.base
    before = evaluate(nets, task, test)
    fit(nets, task, steps=500, batch_size=64, lr=0.02, clip=1.0, progress=False)
    with torch.no_grad():
        found = torch.stack([one(test.s)[0] for one in nets])
    assert ((found - true)[:2].abs().mean((1, 2, 3)) < 0.08).all() and (
        (found - true).square().mean((1, 2, 3)) < 0.1
    ).all()
    floor = task.score(Output(true[None]), test)
    after = evaluate(nets, task, test)
    assert (after < 1.02 * floor).all() and (before > 1.3 * floor).all()


# A suite: one net, several tasks that info names, an angle to say and a class


class Suite(Task):
    """Three tasks in one. Heads: two numbers and a class of three; the second task counts twice in training."""

    input_size, output_size, names = 5, 5, ("hold", "sum", "last")
    heads = (Head("number", 2, "mse"), Head("kind", 3, "cross_entropy", weight=0.5))

    def sample(self, n, generator):
        which = torch.randint(3, (n,), generator=generator)
        s = torch.randn(n, 7, 5, generator=generator)
        s[:, :, 2:] = torch.nn.functional.one_hot(which, 3)[:, None]
        number = torch.stack([s[:, 0, :2], s[:, :, :2].mean(1), s[:, -1, :2]], 1)[torch.arange(n), which]
        kind = torch.randint(3, (n, 4), generator=generator)
        target = torch.cat([number[:, None].expand(n, 4, 2), kind[..., None]], 2)
        weight = torch.rand(n, 4, generator=generator)
        weight[weight < 0.2] = 0
        weight[0] = 1
        return Batch(s, target, weight, {"task": which})

    def loss(self, output, batch):
        twice = Batch(batch.s, batch.target, batch.weight * (1 + (batch.info["task"] == 1))[..., None])
        return super().loss(output, twice)

    def scores(self, output, batch):
        found = super().scores(output, batch)
        for i, name in enumerate(self.names):
            some = (batch.info["task"] == i)[..., None]
            part = Batch(batch.s, batch.target, batch.weight * some)
            found |= {f"{name}_{head}": score for head, score in super().scores(output, part).items()}
        return found


def plain_suite(y, z, batch):
    total = number = kind = 0.0
    y = y[:, -4:]
    for i in range(len(y)):
        for t in range(4):
            w = batch.weight[i, t] * (2 if batch.info["task"][i] == 1 else 1)
            total = total + w
            number = (
                number + w * ((y[i, t, 0] - batch.target[i, t, 0]) ** 2 + (y[i, t, 1] - batch.target[i, t, 1]) ** 2) / 2
            )
            kind = kind - w * torch.log_softmax(y[i, t, 2:], 0)[int(batch.target[i, t, 2])]
    return (number + 0.5 * kind) / total


def plain_suite_scores(task, y, batch):
    """Sum and count by name, one trial at a time."""
    found = {}
    for which in (None, 0, 1, 2):
        prefix = "" if which is None else f"{task.names[which]}_"
        sums = {"number": 0.0, "kind": 0.0}
        count = 0.0
        for i in range(len(y)):
            if which is None or batch.info["task"][i] == which:
                for t in range(4):
                    w = batch.weight[i, t].item()
                    sums["number"] += w * (y[i, t, :2] - batch.target[i, t, :2]).square().mean().item()
                    sums["kind"] += w * (y[i, t, 2:].argmax().item() == batch.target[i, t, 2].item())
                    count += w
        found |= {prefix + name: (total, count) for name, total in sums.items()}
    return found


def test_a_suite_is_a_plain_loop():
    task = Suite()
    check_loss(task, plain_suite, [net(task, P, s) for P, s in CHOICES], [batch_of(task, 6, i) for i in range(4)])
    check_training(task, plain_suite, CHOICES)


@pytest.mark.parametrize("K", [1, 2, 4])
def test_scores_of_a_suite_add_up_over_any_chunks_for_any_number_of_nets(K):
    task, batch = Suite(), batch_of(Suite(), 23)
    nets = [net(task, P, seed) for P, seed in CHOICES[:K]]
    whole = scores(nets, task, batch)
    assert list(whole) == ["number", "kind", *(f"{n}_{h}" for n in task.names for h in ("number", "kind"))]
    assert {name: score.better for name, score in whole.items() if "hold" not in name} == {
        "number": "lower", "kind": "higher", "sum_number": "lower", "sum_kind": "higher", "last_number": "lower",
        "last_kind": "higher",
    }  # fmt: skip
    for k, one in enumerate(nets):
        expected = plain_suite_scores(task, answers(leaves(one), one, batch)[0][:, -4:].detach(), batch)
        for name, (total, count) in expected.items():
            close(whole[name].sum[k], total)
            close(whole[name].count[k], count)
            close(whole[name].value[k], total / count)
    for chunk in (1, 2, 5, 22, 23, 500):
        for name, score in scores(nets, task, batch, chunk).items():
            close(score.value, whole[name].value)
    close(evaluate(nets, task, batch), whole["number"].value)
    for name, score in whole.items():  # alone, or each on a batch of its own that is the same
        close(torch.cat([scores(one, task, batch)[name].value for one in nets]), score.value)
        stacked = Batch.per_net([batch], torch.zeros(K, dtype=torch.long))
        close(scores(Stack(nets), task, stacked, 7)[name].value, score.value)


def test_a_sweep_has_a_column_for_each_score():
    task = Suite()
    table = alrnn.sweep(
        task, 5, [0, 2], 3, progress=False, **{k: v for k, v in SMALL.items() if k != "progress"}, steps=2
    ).table
    names = [f"{n}_{h}" for n in task.names for h in ("number", "kind")]
    assert {*(f"validation_{n}" for n in ["kind", *names]), *(f"test_{n}" for n in ["kind", *names])} <= {*table}
    assert (table.validation < 10).all() and table.test_kind.between(0, 1).all()
    # info is there for any number of seeds, in training, too: the loss needs it
    alone = alrnn.sweep(task, 5, [2], [1], progress=False, batch_size=5, lr=0.02, clip=0.3, steps=2).table
    assert alone.test[0] == pytest.approx(table[(table.P == 2) & (table.seed == 1)].test.item(), rel=1e-4)


def test_a_part_without_trials_has_no_score_there_and_counts_nothing():
    task = Suite()
    batch = batch_of(task, 30)
    some = batch[(batch.info["task"] != 1).nonzero()[:, 0]]
    found = scores([net(task), net(task, 5)], task, some, 1)
    assert (found["sum_kind"].count == 0).all() and found["sum_kind"].value.isnan().all()
    assert found["hold_kind"].value.isfinite().all()


def test_weights_by_output_in_mixed_heads():
    """Of numbers each weight counts for its output; a class, one answer, has the mean weight of its outputs."""
    task = Task()
    task.name, task.input_size, task.output_size, task.heads = "mixed", 5, 5, Suite.heads
    batch = batch_of(Suite())
    weight = torch.rand(6, 4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    batch = Batch(batch.s, batch.target, weight)
    y = torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    loss, found = task.loss(y, batch), task.scores(y, batch)
    for k in range(2):
        number = (weight[..., :2] * (y[k, ..., :2] - batch.target[..., :2]) ** 2).sum() / weight[..., :2].sum()
        w = weight[..., 2:].mean(-1)
        chosen = torch.log_softmax(y[k, ..., 2:], -1).gather(-1, batch.target[..., 2:].long())[..., 0]
        close(loss[k], number - 0.5 * (w * chosen).sum() / w.sum())
        right = (y[k, ..., 2:].argmax(-1) == batch.target[..., 2]).double()
        close(found["kind"].value[k], (w * right).sum() / w.sum())
        close(found["number"].value[k], number)


# A loss that sees the states


class Calm(Suite):
    """As the suite, with a price on the states' size, read at the last four steps."""

    def loss(self, output, batch):
        return super().loss(output, batch) + 0.3 * output.z.square().mean((-1, -2, -3))


class Early(Calm):
    """The same, asked at steps of each trial's own."""

    def sample(self, n, generator):
        batch = super().sample(n, generator)
        batch.at = torch.stack([torch.randperm(7, generator=generator)[:4].sort().values for _ in range(n)])
        return batch


def plain_calm(y, z, batch):
    return plain_suite(y, z, batch) + 0.3 * z[:, -4:].square().mean()


def plain_early(y, z, batch):
    y, z = (torch.stack([x[i, batch.at[i]] for i in range(len(x))]) for x in (y, z))
    return plain_calm(y, z, batch)


@pytest.mark.parametrize(("task", "plain_loss"), [(Calm(), plain_calm), (Early(), plain_early)])
def test_a_penalty_on_states_is_a_plain_loop_and_no_part_of_the_scores(task, plain_loss):
    nets, batches = [net(task, P, s) for P, s in CHOICES], [batch_of(task, 6, i) for i in range(4)]
    check_loss(task, plain_loss, nets, batches)
    check_training(task, plain_loss, CHOICES)
    free, batch = Suite(), batch_of(task, 20)
    for name, score in scores(nets, task, batch, 6).items():
        close(score.value, scores(nets, free, batch)[name].value)
    assert (
        Trainer(nets, task, **{k: v for k, v in SMALL.items() if k != "progress"}).scores("test", 9)["kind"].count > 0
    ).all()


def test_a_penalty_on_states_makes_them_smaller():
    sizes = []
    for task in (Suite(), Calm()):
        nets = [net(task, 2, seed) for seed in range(3)]
        fit(nets, task, steps=60, batch_size=16, lr=0.02, progress=False)
        batch = batch_of(task, 50)
        sizes.append(torch.stack([one(batch.s)[1].square().mean() for one in nets]))
    assert (sizes[1] < 0.8 * sizes[0]).all()


def test_other_kinds_have_states_to_be_seen_too():
    class Quiet(Task):
        input_size, output_size, given_size, metric = 2, 2, 2, "mse"

        def sample(self, n, generator):
            s = torch.randn(n, 4, 2, generator=generator)
            return Batch(s, s, torch.ones(n, 4), given=torch.zeros_like(s) if self.given_size else None)

        def loss(self, output, batch):
            return super().loss(output, batch) + output.z.square().mean((1, 2, 3))

    task = Quiet()
    history = fit([EncoderDecoder(2, 5, 2, 2, given_size=2, seed=s) for s in range(2)], task, steps=3, progress=False)
    assert np.isfinite(history.loss).all()
    task.given_size = 0
    history = fit([GRU(2, 5, 2, s) for s in range(2)], task, steps=3, progress=False)
    assert np.isfinite(history.loss).all()


def test_scores_are_sums_and_counts():
    a = Score(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.0]), "lower")
    b = Score(torch.tensor([3.0, 0.0]), torch.tensor([2.0, 6.0]), "lower")
    assert (a + b).value.tolist() == [1.0, 0.25] and (a + b).better == "lower"
