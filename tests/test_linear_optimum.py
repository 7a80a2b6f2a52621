"""The best linear map against closed forms, linear nets, least squares by another route, and scipy's minimiser."""

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from alrnn import ALRNN, tasks, theory
from alrnn.tasks import Batch, Head, Task
from alrnn.tasks.base import TRAINING
from alrnn.tasks.sentiment import VALENCE


def training(task, n):
    """The sequences that `linear_optimum` says it uses: those of a net of seed 0."""
    return task.sample(n, torch.Generator().manual_seed(TRAINING))


def squared(found, task, split="test"):
    """Squared error of each held-out trial of a task with one answer."""
    batch = task.held_out(split)
    return (found(batch) - batch.target).square().flatten()


# Closed forms


@pytest.mark.parametrize("marks", ["first_half", "halves"])
@pytest.mark.parametrize("length", [10, 20])
def test_adding_lands_on_the_floor(marks, length):
    task, floor = tasks.Adding(length, marks), theory.adding_floor(length, marks)
    found = theory.linear_optimum(task)
    error = squared(found, task)
    noise = 4 * float(error.std()) / 100
    assert floor - noise < found.test["mse"] < floor * (1 + 2 * (2 * length + 1) / 20_000) + noise
    assert found.test["mse"] == pytest.approx(float(error.mean())) and found.validation != found.test
    predictor = theory.adding_predictor(length, marks)
    torch.testing.assert_close(found.map.weights[:, 0, 0], predictor.weights[:, 0], atol=0.04, rtol=0)
    s = task.held_out("test").s
    torch.testing.assert_close(found.map(s)[:, 0], predictor(s), atol=0.1, rtol=0)  # of the same form


def test_rule_inversion_stays_at_log_2():
    task, limits = tasks.RuleInversion(11), theory.inversion_limits()
    batch = task.held_out("test")
    found = theory.linear_optimum(task)
    assert float(task.loss(found(batch), batch)) == pytest.approx(limits.cross_entropy, abs=1e-3)
    assert abs(found.test["accuracy"] - limits.convex_accuracy) < 0.03
    votes = theory.linear_optimum(task, loss="least_squares")(batch)
    torch.testing.assert_close(votes, torch.full_like(votes, 1 / 2), atol=0.05, rtol=0)


@pytest.mark.parametrize("loss", ["task", "least_squares"])
def test_two_modalities(loss):
    """With noise, which decides the ties |x_1| = |x_2|."""
    task = tasks.TwoModality(25, 0.5)
    limit = theory.two_modality_limits(task.coherences, 0.5 / 5, 4).convex
    found = theory.linear_optimum(task, 40_000, loss=loss)
    assert abs(found.test["accuracy"] - limit) < 4 * 0.5 / 100
    W = found.map.weights[..., 0, 1] - found.map.weights[..., 0, 0]  # (T, N) of the margin
    assert W[:, 0].sum() == pytest.approx(W[:, 1].sum().item(), rel=0.1)  # f = x_1 + x_2, and no context


@pytest.mark.parametrize("loss", ["task", "least_squares"])
def test_variable_copy_votes(loss):
    task = tasks.VariableCopy(3, 2, 4, 2)
    limits, decoder = theory.variable_copy_limits(3, 4, 2), theory.variable_copy_decoder(3, 2, 4, 2)
    found, batch = theory.linear_optimum(task, loss=loss), task.held_out("test")
    assert abs(found.test["accuracy"] - limits.symbol) < 0.03  # steps at which symbols tie are a coin's
    if loss == "least_squares":
        asked = batch.weight > 0
        torch.testing.assert_close(found(batch)[asked], decoder(batch.s)[asked], atol=0.1, rtol=0)
        wanted = torch.eye(2)[batch.target][asked]
        mine, best = (float((y[asked] - wanted).square().mean()) for y in (found(batch), decoder(batch.s)))
        assert best < mine < 1.01 * best


def test_negation_is_passed_over():
    task = tasks.GeneratedSentiment(3, (0, 2))
    limit = theory.negation_limits(list(VALENCE), 3, 0.25).accuracy
    found = theory.linear_optimum(task, 60_000, loss="least_squares")
    assert abs(found.test["accuracy"] - limit) < 0.02
    margin = (found.map.weights[..., 0, 1] - found.map.weights[..., 0, 0])[-3]
    assert torch.corrcoef(torch.stack([margin, task.valence.double()]))[0, 1] > 0.95
    assert abs(margin[task.negator]) < 0.2 * margin.abs().max()


# Linear nets are among the maps


class Teacher(Task):
    """What a random linear net answers, at the last steps, at every step or at steps of each trial's own."""

    name, metric, output_size = "teacher", "mse", 2

    def __init__(self, reads="last", words=False, seed=0, T=6):
        self.reads, self.words, self.seed, self.T = reads, words, seed, T
        self.input_size, self.inputs = 3 if words else 2, "words" if words else "numbers"
        self.net = ALRNN(self.input_size, 5, 0, 2, seed, "spread").double().requires_grad_(False)
        for x in (self.net.C, self.net.h, self.net.D, self.net.b):
            torch.nn.init.normal_(x, generator=torch.Generator().manual_seed(seed))

    def settings(self):
        return {"reads": self.reads}

    def sample(self, n, generator):
        s = torch.randn(n, self.T, 2, generator=generator, dtype=torch.float64)
        if self.words:
            s = torch.randint(3, (n, self.T), generator=generator)
            s[torch.arange(self.T) < torch.randint(self.T, (n, 1), generator=generator)] = -1
        at = None
        if self.reads == "own":
            at = torch.randint(self.T, (n, 2), generator=generator)
        L = {"last": 2, "every": self.T, "own": 2, "end": 1}[self.reads]
        y = self.net(s)[0]
        y = y[:, -L:] if at is None else y.gather(1, at[..., None].expand(-1, -1, 2))
        return Batch(s, y, torch.ones(n, L, dtype=torch.float64), at=at)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["last", "every", "own", "end"]), st.booleans(), st.integers(0, 10**6))
def test_every_linear_net_is_among_them(reads, words, seed):
    if words and reads == "own":
        words = False  # a text is read at its end
    task = Teacher(reads, words, seed)
    found = theory.linear_optimum(task, 600, ridge=1e-9)
    assert found.test["mse"] < 1e-8 * float(task.held_out("test").target.var())
    W = found.map.weights  # (T, N, L, O): nothing of what comes after the step that is read
    if reads != "own":
        assert all(not W[task.T - W.shape[2] + step + 1 :, :, step].any() for step in range(W.shape[2]))


def test_sequences_that_end_sooner():
    """A target at every step: a shorter batch is answered step by step as a longer one."""
    task = Teacher("every")
    found, batch = theory.linear_optimum(task, 200), task.held_out("test", 10)
    short = Batch(batch.s[:, :4], batch.target[:, :4], batch.weight[:, :4])
    torch.testing.assert_close(found(short), found(batch)[:, :4])
    own = Teacher("own")
    found, batch = theory.linear_optimum(own, 200), own.held_out("test", 10)
    batch.at.clamp_(max=3)
    short = Batch(batch.s[:, :4], batch.target, batch.weight, at=batch.at)
    torch.testing.assert_close(found(short), found(batch))


def test_a_net_with_one_kink_is_not_among_them():
    task = tasks.Adding(10)
    assert theory.linear_optimum(task, 2000).test["mse"] > 0.09


# Other losses, weights and answers


class Made(Task):
    """Random inputs and answers: any head, weights of steps or of steps and outputs, an offset."""

    name, input_size = "made", 2
    table: ClassVar = {
        "mse": (Head("x", 2, "mse"),),
        "cross_entropy": (Head("x", 3, "cross_entropy"),),
        "poisson": (Head("x", 2, "poisson"),),
        "mixed": (Head("a", 2, "mse"), Head("b", 3, "cross_entropy", 2.0), Head("c", 1, "poisson", 0.5)),
    }

    def __init__(self, kind="mse", per_output=False, offset=False):
        self.kind, self.per_output, self.offset = kind, per_output, offset
        self.heads = self.table[kind]
        self.output_size = sum(head.outputs for head in self.heads)

    def sample(self, n, generator):
        s = torch.randn(n, 4, 2, generator=generator, dtype=torch.float64)
        drive = s.cumsum(1)[:, -3:, 0]  # (n, L)
        columns = []
        for head in self.heads:
            noise = torch.rand(n, 3, head.columns, generator=generator, dtype=torch.float64)
            x = drive[..., None] + 3 * noise
            by = {"mse": x, "cross_entropy": x.clamp(0, 2.9).floor(), "poisson": x.exp().clamp(max=9).floor()}
            columns.append(by[head.objective])
        shape = (n, 3, self.output_size) if self.per_output else (n, 3)
        weight = torch.rand(shape, generator=generator, dtype=torch.float64).sub(0.3).clamp(min=0)
        offset = torch.randn(n, 3, self.output_size, generator=generator, dtype=torch.float64) if self.offset else None
        return Batch(s, torch.cat(columns, -1), weight, offset=offset)


@pytest.mark.parametrize("per_output", [False, True])
@pytest.mark.parametrize("offset", [False, True])
def test_least_squares_by_another_route(per_output, offset):
    """numpy, one answer after another, rows times the root of their weights, inputs up to the step."""
    task = Made("mse", per_output, offset)
    batch, found = training(task, 300), theory.linear_optimum(task, 300, ridge=1e-10)
    y = found(batch)
    for step in range(3):
        F = np.column_stack([np.ones(300), batch.s[:, : 2 + step].flatten(1).numpy()])
        for o in range(2):
            root = (batch.weight[:, step, o] if per_output else batch.weight[:, step]).sqrt().numpy()
            wanted = batch.target[:, step, o] - (batch.offset[:, step, o] if offset else 0)
            w = np.linalg.lstsq(root[:, None] * F, root * wanted.numpy(), rcond=None)[0]
            np.testing.assert_allclose(y[:, step, o], F @ w, atol=1e-3)
    held = task.held_out("test")
    assert found.test["x"] == pytest.approx(float(task.score(found(held), held)))


@pytest.mark.parametrize("kind", ["cross_entropy", "poisson", "mixed"])
def test_convex_optimum_by_another_minimiser(kind):
    """scipy on the loss and penalty as documented, in raw coordinates."""
    task, n, ridge = Made(kind, offset=True), 300, 1e-2
    batch, O = training(task, n), task.output_size  # noqa: E741
    shape, scale = (9, 3, O), float(batch.s.square().mean())
    seen = torch.arange(9)[:, None, None] < 1 + 2 * torch.arange(2, 5)[:, None]
    F = torch.cat([torch.ones(n, 1), batch.s.flatten(1)], 1)

    def loss(w):
        W = torch.tensor(w, requires_grad=True)
        masked = W.view(shape) * seen
        y = torch.einsum("bf,flo->blo", F, masked)
        total = task.loss(y, batch) + ridge * scale * masked[1:].square().sum() / (3 * O)
        total.backward()
        return total.item(), W.grad.numpy()

    best = minimize(loss, np.zeros(math.prod(shape)), jac=True, tol=1e-12, options={"maxiter": 10_000})
    found = theory.linear_optimum(task, n, ridge=ridge)
    W = torch.cat([found.map.bias[None], found.map.weights.flatten(0, 1)])
    assert loss(W.flatten().numpy())[0] == pytest.approx(best.fun, abs=1e-7)
    np.testing.assert_allclose(W, best.x.reshape(shape) * seen.numpy(), atol=3e-3)
    assert list(found.test) == [head.name for head in task.heads]


def test_heads_do_not_disturb_each_other():
    """Whatever the heads' weights, each has the optimum that it has alone."""

    class Two(Made):
        table: ClassVar = {"two": (Head("a", 1, "mse", 5.0), Head("b", 1, "mse", 0.1))}

    class Alone(Task):
        name, input_size, output_size = "alone", 2, 1

        def sample(self, n, generator):
            batch = Two("two").sample(n, generator)
            return Batch(batch.s, batch.target[..., 1:], batch.weight)

    both, one = (theory.linear_optimum(task, 200, ridge=1e-10) for task in (Two("two"), Alone()))
    torch.testing.assert_close(both.map.weights[..., 1:], one.map.weights, atol=5e-3, rtol=0)


def test_the_ridge_is_chosen_on_validation():
    """Fewer sequences than weights: without a strong ridge the noise is learned."""
    task = tasks.Adding(20)
    chosen = theory.linear_optimum(task, 30)
    weak = theory.linear_optimum(task, 30, ridge=1e-6)
    assert chosen.ridge > 1e-6 and weak.ridge == 1e-6
    assert chosen.validation["mse"] < weak.validation["mse"] and chosen.test["mse"] < 0.5 * weak.test["mse"]


@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_units_do_not_matter(scale):
    class Scaled(tasks.Adding):
        def sample(self, n, generator):
            batch = super().sample(n, generator)
            batch.target = batch.target.double() * scale
            return batch

    ours, plain = theory.linear_optimum(Scaled(10), 2000), theory.linear_optimum(tasks.Adding(10), 2000)
    assert ours.ridge == plain.ridge
    assert ours.test["mse"] == pytest.approx(scale**2 * plain.test["mse"], rel=1e-6)


def test_a_loss_of_its_own_is_what_is_minimised():
    class Tilted(tasks.Adding):
        """Twice the squared error above the target: still convex."""

        def loss(self, output, batch):
            error = batch.read(output) - batch.target
            return (error.square() * (1 + (error > 0))).mean()

    task = Tilted(10)
    batch = task.held_out("test")
    mine, plain = theory.linear_optimum(task, 5000), theory.linear_optimum(task, 5000, loss="least_squares")
    assert float(task.loss(mine(batch), batch)) < 0.99 * float(task.loss(plain(batch), batch))
    assert mine.test["mse"] > plain.test["mse"]


def test_recorded_tasks_and_steps_of_their_own():
    """Spoken digits end where they end: read at the padded end, the best map would know less."""
    task = tasks.SpokenDigits(frames=20, noise=0)
    found = theory.linear_optimum(task, 2000, ridge=1.0, loss="least_squares")
    assert 0.8 < found.test["accuracy"] < 1
    batch = task.held_out("test", 50)
    for i in (0, 7, 20):  # padding has no say
        end = int(batch.at[i]) + 1
        one = Batch(batch.s[i : i + 1, :end], batch.target[i : i + 1], batch.weight[i : i + 1], at=batch.at[i : i + 1])
        torch.testing.assert_close(found(one)[0], found(batch)[i])


def test_nothing_is_changed():
    before = torch.get_rng_state()
    with torch.no_grad():
        first = theory.linear_optimum(tasks.RuleInversion(5), 100)
    again = theory.linear_optimum(tasks.RuleInversion(5), 100)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.map.weights, again.map.weights) and first.test == again.test


class Fed(Made):
    given_size = 2

    def sample(self, n, generator):
        batch = super().sample(n, generator)
        batch.given = torch.zeros(n, 3, 2)
        return batch


def answered(length):
    """A map for T = 10, asked about other trials."""
    return theory.linear_optimum(tasks.Adding(10), 50)(tasks.Adding(length).sample(2, torch.Generator()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: theory.linear_optimum(tasks.Adding(10), loss="mse"), "loss must be task or least_squares"),
        (lambda: theory.linear_optimum(tasks.Adding(10), ridge=0.0), "ridge finite and above 0"),
        (lambda: theory.linear_optimum(tasks.Adding(10), 0), "n must be an integer of at least 1, got 0"),
        (lambda: theory.linear_optimum(tasks.Adding(6000), 10), "adding is too large: T = 6000 steps, N = 2"),
        (lambda: theory.linear_optimum(Fed("poisson"), 10), "feeds a decoder"),
        (lambda: theory.linear_optimum(tasks.Adding), "task must be made first"),
        (lambda: answered(8), "reads L = 1 of T = 10 steps, the batch 1 of 8"),
        (lambda: answered(12), "reads L = 1 of T = 10 steps, the batch 1 of 12"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()
