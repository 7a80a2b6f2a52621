"""Training: against a plain torch loop, together against alone, regularisation, schedules, failures, sweeps, files."""

import json
import math
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import alrnn
from alrnn import ALRNN, DivergedError, History, Init, Stack, Sweep, evaluate, fit, sweep
from alrnn.nets.almost_linear import PARTS
from alrnn.recurrence import kernel
from alrnn.tasks import Adding, Batch, SequentialMNIST, Task, TwoModality, VariableCopy
from alrnn.tasks.base import TRAINING
from alrnn.train.objective import manifold_attractor

TASK = Adding(10)
QUICK = {"steps": 12, "batch_size": 8, "lr": 0.02, "clip": 0.05, "progress": False}


def net(P=2, seed=0, task=TASK, M=6, init="slow"):
    return ALRNN(task.input_size, M, P, task.output_size, seed, init).double()


def mixed(task=TASK):
    """P from 0 to M and two seeds, in no order."""
    return [net(P, seed, task) for P, seed in [(2, 7), (0, 0), (6, 7), (1, 0), (2, 0)]]


def theta(*nets):
    return Stack(nets).theta.detach()


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def penalty(net, units):
    """Manifold-attractor regularisation as the paper writes it, one number at a time."""
    total = 0.0
    for i in range(units):
        a = net.W[i, i] + (net.A[i] if net.pwl[i] else net.A[i].detach())
        total = total + (a - 1) ** 2 + net.h[i] ** 2
        for j in range(net.hidden_size):
            if j != i:
                total = total + net.W[i, j] ** 2
    return total


def plain_loop(net, task, steps, batch_size, lr, clip, warmup=0.05, schedule="cosine", tau=0.0, units=3):
    """What `fit` does, for one net, with torch's own optimiser and no ensemble."""
    generator = torch.Generator().manual_seed(TRAINING + net.seed)
    adam = torch.optim.Adam(net.parameters(), lr=lr)
    losses, norms, rates = [], [], []
    rise = max(1, round(warmup * steps))
    for step in range(steps):
        batch = task.sample(batch_size, generator).to(torch.float64)
        y = net(batch.s)[0][:, -1]
        if task.metric == "mse":
            loss = torch.nn.functional.mse_loss(y, batch.target[:, -1])
        else:
            loss = torch.nn.functional.cross_entropy(y, batch.target[:, -1])
        adam.zero_grad()
        (loss + tau * penalty(net, units)).backward()
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in net.parameters()))
        for p in net.parameters():
            p.grad *= min(1.0, clip / norm)
        if step < rise:
            rate = lr * (step + 1) / rise
        else:
            rate = lr if schedule == "constant" else lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
        adam.param_groups[0]["lr"] = rate
        adam.step()
        losses.append(loss.item())
        norms.append(norm)
        rates.append(rate)
    return losses, norms, rates


# fit is a plain loop, for any number of nets


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tau": 0.1},
        {"clip": 1e-3},
        {"clip": math.inf},
        {"schedule": "constant", "warmup": 0.5},
        {"warmup": 0.0, "tau": 0.01, "clip": 0.2},
    ],
    ids=str,
)
@pytest.mark.parametrize("P", [0, 2, 6])
def test_fit_is_a_plain_loop(P, settings):
    settings = QUICK | settings
    one, other = net(P, seed=3), net(P, seed=3)
    history = fit(one, TASK, **settings)
    settings.pop("progress")
    losses, norms, rates = plain_loop(other, TASK, **settings)
    close(theta(one), theta(other))
    assert np.allclose(history.loss[:, 0], losses, rtol=1e-9, atol=0)
    assert np.allclose(history.grad_norm[:, 0], norms, rtol=1e-9, atol=0)
    assert np.allclose(history.lr, rates, rtol=1e-12, atol=0)
    if settings["clip"] < 0.1:
        assert max(norms) > settings["clip"]  # clipping was at work


def test_fit_on_digits_is_a_plain_loop():
    task = SequentialMNIST(size=14)
    one, other = net(2, 1, task), net(2, 1, task)
    history = fit(one, task, steps=3, batch_size=8, lr=0.02, clip=1.0, progress=False)
    losses, _, _ = plain_loop(other, task, steps=3, batch_size=8, lr=0.02, clip=1.0)
    close(theta(one), theta(other))
    assert np.allclose(history.loss[:, 0], losses, rtol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"tau": 0.1}, {"clip": 1e-3, "tau": 0.1}, {"clip": math.inf}], ids=str)
def test_together_equals_alone(settings):
    settings = QUICK | settings
    together, alone = mixed(), mixed()
    history = fit(together, TASK, **settings)
    histories = [fit(one, TASK, **settings) for one in alone]
    close(theta(*together), theta(*alone))
    for k, single in enumerate(histories):
        assert np.allclose(history.loss[:, k], single.loss[:, 0], rtol=1e-9, atol=1e-12)
        assert np.allclose(history.grad_norm[:, k], single.grad_norm[:, 0], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(theta(*together), theta(*mixed()))  # they did learn
    assert (history.P, history.seed) == ([2, 0, 6, 1, 2], [7, 0, 7, 0, 0])


def test_same_seed_same_weights_to_the_last_bit():
    first, second, random = mixed(), mixed(), torch.get_rng_state()
    a, b = fit(first, TASK, **QUICK), fit(second, TASK, **QUICK)
    assert torch.equal(theta(*first), theta(*second)) and (a.loss == b.loss).all()
    assert torch.equal(random, torch.get_rng_state())


def test_training_lowers_the_loss():
    history = fit(net(2), TASK, steps=150, batch_size=32, lr=0.02, progress=False)
    assert history.loss[-10:].mean() < 0.6 * history.loss[0].mean()
    assert history.seconds > 0 and history.diverged == {}


def test_nets_of_one_seed_see_the_same_data_others_do_not():
    class Spy(Adding):
        def sample(self, n, generator):
            seen.append((generator.initial_seed(), generator.device.type))
            return super().sample(n, generator)

    seen = []
    fit(mixed(), Spy(10), **QUICK | {"steps": 2})
    assert sorted(seen[:2]) == [(TRAINING, "cpu"), (TRAINING + 7, "cpu")]  # one draw a seed and step, not one a net
    assert seen[2:] == seen[:2]


def test_linear_units_keep_no_self_weight_and_all_else_learns():
    nets = mixed()
    fit(nets, TASK, **QUICK)
    for one, start in zip(nets, mixed(), strict=True):
        assert (one.A[~one.pwl] == 0).all() and (one.A[one.pwl] != start.A[one.pwl]).all()
        for name in ("W", "C", "h", "D", "b"):
            assert not torch.equal(getattr(one, name), getattr(start, name)), name


def test_fit_leaves_flags_and_mode_alone_and_frozen_weights_as_they_are():
    one, task = net(2).eval(), Adding(10)
    one.W.requires_grad_(False)
    one.b.requires_grad_(False)
    W, settings = one.W.clone(), vars(task).copy()
    free, frozen = net(2), one
    fit([free, frozen], task, **QUICK)
    assert torch.equal(frozen.W, W) and not frozen.b.any() and free.b.all() and not torch.equal(frozen.C, free.C)
    assert not frozen.training and free.training and vars(task) == settings
    assert {name for name, p in frozen.named_parameters() if not p.requires_grad} == {"W", "b"}
    assert all(p.requires_grad and p.grad is None for p in free.parameters())
    alone = net(2)
    alone.W.requires_grad_(False)
    alone.b.requires_grad_(False)
    fit(alone, task, **QUICK)
    close(theta(alone), theta(frozen))


# Clipping and the schedule


def test_clipping_is_per_net():
    """One net with gradients a thousand times as large takes nothing from the other's step."""
    steep, flat, alone = net(2, seed=0), net(2, seed=1), net(2, seed=1)
    with torch.no_grad():
        steep.D.mul_(1e3)
    history = fit([steep, flat], TASK, **QUICK)
    fit(alone, TASK, **QUICK)
    assert (history.grad_norm[:, 0] > 100 * history.grad_norm[:, 1]).all()
    close(theta(flat), theta(alone))


def test_no_clipping_is_a_very_high_limit():
    nets = [net(2), net(2)]
    fit(nets[0], TASK, **QUICK | {"clip": math.inf})
    fit(nets[1], TASK, **QUICK | {"clip": 1e12})
    assert torch.equal(theta(nets[0]), theta(nets[1]))


def test_learning_rate_rises_then_falls_to_zero():
    lr = fit(net(), TASK, **QUICK | {"steps": 100, "lr": 0.01, "warmup": 0.1}).lr
    assert lr.shape == (100,) and lr.argmax() in (9, 10)
    assert np.allclose(lr[:10], 0.01 * np.arange(1, 11) / 10)
    assert (np.diff(lr[10:]) < 0).all() and lr[10] == pytest.approx(0.01) and 0 < lr[-1] < 1e-5
    assert lr[55] == pytest.approx(0.005)  # halfway down
    for warmup, steps in [(0.0, 3), (1.0, 3), (0.05, 1)]:
        lr = fit(net(), TASK, **QUICK | {"steps": steps, "warmup": warmup, "lr": 0.01}).lr
        assert (lr > 0).all() and lr.max() == pytest.approx(0.01)
    lr = fit(net(), TASK, **QUICK | {"steps": 10, "warmup": 0.2, "lr": 0.01, "schedule": "constant"}).lr
    assert np.allclose(lr, [0.005] + [0.01] * 9)


# Manifold-attractor regularisation


@pytest.mark.parametrize("units", [0, 1, 3, 4, 6])
def test_penalty_equals_a_double_loop(units):
    nets = mixed()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for one in nets:
            for name in PARTS:
                w = getattr(one, name)
                w.copy_(torch.randn(w.shape, generator=generator, dtype=torch.float64))
    p = Stack(nets).parts()
    found = manifold_attractor(p["A"], p["W"], p["h"], units)
    assert found.shape == (len(nets),)
    for k, one in enumerate(nets):
        assert found[k].item() == pytest.approx(float(torch.as_tensor(penalty(one, units)).detach()), rel=1e-12)


def hold(P, A=0.0):
    """A net whose first three of six units hold their value: a = 1, nothing comes in."""
    one = net(P)
    with torch.no_grad():
        one.A[:] = A * one.pwl
        one.W[:3] = 0.0
        one.W[range(3), range(3)] = 1.0 - one.A[:3]
        one.h[:3] = 0.0
    return one


@pytest.mark.parametrize(("P", "A"), [(0, 0.0), (2, 0.3), (4, 0.0), (4, 0.25), (6, 1.0), (6, 0.5)])
def test_penalty_is_zero_exactly_at_perfect_holders(P, A):
    one = hold(P, A)
    p = Stack([one]).parts()
    assert manifold_attractor(p["A"], p["W"], p["h"], 3).item() == 0.0
    z0 = torch.tensor([[0.5, 1.0, 2.0, -1.0, 0.0, 1.0]], dtype=torch.float64)
    z = one(torch.zeros(1, 30, 2, dtype=torch.float64), z0)[1]
    assert torch.equal(z[0, :, :3], z0[:, :3].expand(30, 3))  # they do hold
    for name, index in [("W", (0, 0)), ("W", (2, 5)), ("W", (1, 0)), ("h", (1,))]:  # and nothing else is free
        other = hold(P, A)
        with torch.no_grad():
            getattr(other, name)[index] += 0.1
        p = Stack([other]).parts()
        assert manifold_attractor(p["A"], p["W"], p["h"], 3).item() == pytest.approx(0.01)
    p = Stack([one]).parts()
    assert manifold_attractor(p["A"], p["W"], p["h"], 4).item() > 0  # the fourth unit does not hold


def test_strong_regularisation_makes_holders_of_half_the_units():
    def distance(one):
        change = (torch.diag(one.A) + one.W - torch.eye(6))[:3]
        return torch.cat([change.flatten(), one.h[:3]]).norm().item()

    start, half, given = (net(2, init="paper") for _ in range(3))
    settings = QUICK | {"steps": 120, "lr": 0.05, "tau": 10.0, "clip": math.inf}
    fit(half, TASK, **settings)
    fit(given, TASK, **settings, regularised=3)
    assert distance(half) < 0.1 * distance(start) and torch.equal(theta(half), theta(given))
    none = net(2, init="paper")
    fit(none, TASK, **QUICK | {"tau": 10.0, "regularised": 0})
    without = net(2, init="paper")
    fit(without, TASK, **QUICK)
    assert torch.equal(theta(none), theta(without))


def test_the_loss_in_the_history_is_that_of_the_task_alone():
    first = [fit(net(2), TASK, **QUICK | {"tau": tau}).loss[0, 0] for tau in (0.0, 10.0)]
    assert first[0] == first[1]


# Divergence


class Breaks(Adding):
    """From the fourth step on, seed 7 gets numbers so large that their squared error overflows."""

    def __init__(self, size=1e200):
        super().__init__(10)
        self.size, self.draws = size, {}

    def sample(self, n, generator):
        batch, seed = super().sample(n, generator), generator.initial_seed() - TRAINING
        self.draws[seed] = self.draws.get(seed, 0) + 1
        if seed == 7 and self.draws[seed] > 3:
            batch.s = batch.s.double() * self.size
        return batch


def test_divergence_stops_with_step_net_and_seed():
    nets = [net(2, 0), net(1, 7), net(2, 1)]
    with pytest.raises(DivergedError, match=r"at step 3 in net 1 \(P=1, seed=7\).*diverged='drop'") as caught:
        fit(nets, Breaks(), **QUICK)
    error = caught.value
    assert (error.step, error.net, error.seed, error.P) == (3, 1, 7, 1) and isinstance(error, RuntimeError)
    assert torch.equal(theta(*nets), theta(net(2, 0), net(1, 7), net(2, 1)))  # as before the call


def test_a_dropped_net_stays_where_it_was_and_leaves_the_others_alone():
    nets, settings = mixed(), QUICK | {"schedule": "constant", "warmup": 0.0}
    history = fit(nets, Breaks(), **settings, diverged="drop")
    assert history.diverged == {0: 3, 2: 3}  # the nets of seed 7
    assert np.isfinite(history.loss[:3]).all() and np.isfinite(history.loss[:, [1, 3, 4]]).all()
    assert not np.isfinite(history.loss[3:, [0, 2]]).any()
    for one, start in zip(nets, mixed(), strict=True):
        fit(start, TASK, **settings | {"steps": 3 if one.seed == 7 else 12})
        close(theta(one), theta(start))


def test_divergence_at_once_and_by_loss_or_gradient_alone():
    wild, other, alone = net(0, 1), net(0, 1), net(0, 1)
    with torch.no_grad():
        wild.W[:] = 1e200
    history = fit([wild, other], TASK, **QUICK, diverged="drop")
    fit(alone, TASK, **QUICK)
    assert history.diverged == {0: 0}
    close(theta(other), theta(alone))
    assert (wild.W == 1e200).all()

    class Steep(Adding):  # a finite loss with an infinite slope at 0
        def loss(self, output, batch):
            return output.y.abs().sum((-3, -2, -1)).sqrt()

    class Endless(Adding):  # an infinite loss with a finite slope
        def loss(self, output, batch):
            return super().loss(output, batch) + math.inf

    flat = net(0)
    with torch.no_grad():
        flat.D.zero_()
    for task in (Steep(10), Endless(10)):
        with pytest.raises(DivergedError) as caught:
            fit(flat, task, **QUICK)
        assert caught.value.step == 0


# Bad settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"steps": 2.5}, "steps must be an integer of at least 1, got 2.5"),
        ({"batch_size": -1}, "batch_size must be an integer of at least 1, got -1"),
        ({"lr": 0.0}, "lr must be above 0 and finite, got 0.0"),
        ({"lr": math.inf}, "lr must be above 0 and finite, got inf"),
        ({"lr": math.nan}, "lr must be above 0 and finite, got nan"),
        ({"clip": 0.0}, "clip must be above 0, got 0.0"),
        ({"clip": math.nan}, "clip must be above 0, got nan"),
        ({"tau": -0.1}, "tau must be at least 0 and finite, got -0.1"),
        ({"tau": math.nan}, "tau must be at least 0 and finite, got nan"),
        ({"warmup": 1.5}, "warmup must be between 0 and 1, got 1.5"),
        ({"schedule": "linear"}, r"schedule must be one of \('cosine', 'constant'\), got 'linear'"),
        ({"diverged": "ignore"}, r"diverged must be one of \('raise', 'drop'\), got 'ignore'"),
        ({"regularised": 7}, "regularised must be an integer from 0 to hidden_size = 6, got 7"),
        ({"regularised": -1}, "regularised must be an integer from 0 to hidden_size = 6, got -1"),
    ],
    ids=str,
)
def test_bad_settings(settings, words):
    one = net()
    with pytest.raises(ValueError, match=words):
        fit(one, TASK, **QUICK | settings)
    assert torch.equal(theta(one), theta(net()))


def test_nets_that_do_not_fit():
    wrong = ALRNN(3, 6, 2, 1)
    words = r"adding has input and output size \(2, 1\), the nets \(3, 1\)"
    with pytest.raises(ValueError, match=words):
        fit(wrong, TASK, **QUICK)
    with pytest.raises(ValueError, match=words):
        evaluate([wrong], TASK, TASK.held_out("test", 5))
    with pytest.raises(ValueError, match="must share"):
        fit([net(), net(M=5)], TASK, **QUICK)
    with pytest.raises(ValueError, match="at least one net"):
        fit([], TASK, **QUICK)


def test_a_task_that_samples_nan_is_named():
    class Broken(Adding):
        def sample(self, n, generator):
            batch = super().sample(n, generator)
            batch.s[0, 0, 0] = math.nan
            return batch

    with pytest.raises(ValueError, match="s of a batch of Broken contains NaN or infinite values"):
        fit(net(), Broken(10), **QUICK)


# Scores


@pytest.mark.parametrize("task", [TASK, Adding(10, "halves", blank=2)], ids=["plain", "blank"])
def test_evaluate_scores_each_net_whatever_the_chunk(task):
    nets, batch = mixed(task), task.held_out("test", 41)
    before, random = theta(*nets).clone(), torch.get_rng_state()
    found = evaluate(nets, task, batch)
    assert found.shape == (5,) and not found.requires_grad
    for k, one in enumerate(nets):
        y = one(batch.s.double())[0]
        expected = ((y[:, -1] - batch.target[:, 0]) ** 2).mean().item()
        assert found[k].item() == pytest.approx(expected, rel=1e-12)
        assert evaluate(one, task, batch).tolist() == pytest.approx([expected], rel=1e-12)
    for chunk in (1, 7, 41, 1000):
        close(evaluate(nets, task, batch, chunk=chunk), found)
    assert torch.equal(theta(*nets), before) and torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None and p.requires_grad for one in nets for p in one.parameters())


def test_evaluate_takes_a_batch_with_one_entry_a_net():
    nets = mixed()[:2]
    batches = [TASK.sample(9, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    found = evaluate(nets, TASK, Batch.per_net(batches, torch.tensor([0, 1])), chunk=1)
    close(found, torch.cat([evaluate(one, TASK, b) for one, b in zip(nets, batches, strict=True)]))


# Sweeps


@pytest.fixture(scope="module")
def swept():
    return sweep(TASK, 5, [0, 1, 5], seeds=(3, 1), init=Init("rotation", pwl=1.0), **QUICK)


def test_sweep_table_is_tidy_one_row_a_net(swept):
    table = swept.table
    assert list(zip(table.P, table.seed, strict=True)) == [(P, seed) for P in (0, 1, 5) for seed in (3, 1)]
    for one, row in zip(swept.nets, table.itertuples(), strict=True):
        assert (one.nonlinear_size, one.seed, one.hidden_size) == (row.P, row.seed, row.M)
        assert (one.input_size, one.output_size, one.init) == (2, 1, Init("rotation", pwl=1.0))
        assert row.test == pytest.approx(evaluate(one, TASK, TASK.held_out("test")).item(), rel=1e-5)
        assert row.validation == pytest.approx(evaluate(one, TASK, TASK.held_out("validation")).item(), rel=1e-5)
        assert swept.net(row.P, row.seed) is one
    for name, value in {"task": "adding", "M": 5, "init": "rotation", "version": alrnn.__version__}.items():
        assert (table[name] == value).all()
    for name in ("steps", "batch_size", "lr", "clip"):
        assert (table[name] == QUICK[name]).all()
    assert (table.warmup == 0.05).all() and (table.schedule == "cosine").all()  # what was not asked for is told, too
    assert (table.tau == 0).all() and (table.regularised == 2).all()
    assert np.allclose(table.train_loss, swept.history.loss[-1]) and (table.seconds > 0).all()
    assert table.diverged.isna().all()
    told = {"model": "alrnn", "task_length": 10, "task_marks": "first_half", "init_pwl": 1, "init_units": 5}
    assert all((table[name] == value).all() for name, value in told.items()) and "test_sequence" not in table
    unset = ["diverged", "init_angles", "init_opposite"]
    assert table.columns.is_unique and table.drop(columns=unset).notna().all(axis=None)
    assert (table.nunique() <= 6).all() and all(np.isscalar(x) for x in table.drop(columns=unset).to_numpy().ravel())


def test_sequence_scores_where_the_task_has_them_and_lists_as_text(tmp_path):
    task = VariableCopy(2, 1, 3)
    result = sweep(task, 5, [1, 3], seeds=2, **QUICK)
    for split in ("validation", "test"):
        batch = task.held_out(split)
        found = [task.score_sequence(one(batch.s)[0], batch).item() for one in result.nets]
        assert result.table[f"{split}_sequence"].tolist() == pytest.approx(found, abs=5e-4)
        assert (result.table[f"{split}_sequence"] <= result.table[split]).all()
    settings = {"init": Init("spread", units=3), **QUICK}
    table = sweep(TwoModality(4, coherences=[0.1, 0.2]), 4, [1], 1, **settings).table
    assert table.task_coherences[0] == "(0.1, 0.2)" and table.init_time_constants[0] == "(2.0, 60.0)"
    assert table.init_units[0] == 3 and table.init[0] == "spread"


def test_train_loss_is_the_mean_of_the_last_steps():
    result = sweep(TASK, 4, [1], seeds=1, **QUICK | {"steps": 60})
    assert result.table.train_loss[0] == pytest.approx(result.history.loss[-3:].mean(), rel=1e-6)


def test_same_seed_same_table(swept):
    again = sweep(TASK, 5, np.array([0, 1, 5]), seeds=np.array([3, 1]), init=Init("rotation", pwl=1.0), **QUICK)
    pd.testing.assert_frame_equal(
        again.table.drop(columns="seconds"), swept.table.drop(columns="seconds"), check_exact=True
    )
    assert torch.equal(theta(*again.nets), theta(*swept.nets))


def test_a_net_of_a_sweep_does_not_depend_on_the_others(swept):
    """To rounding in float32, in which sweeps run."""
    alone = sweep(TASK, 5, [1], seeds=[3], init=Init("rotation", pwl=1.0), **QUICK)
    torch.testing.assert_close(theta(*alone.nets), theta(swept.net(1, 3)), rtol=1e-3, atol=1e-4)


def test_seeds_by_number():
    assert sweep(TASK, 3, [0], seeds=3, **QUICK | {"steps": 1}).table.seed.tolist() == [0, 1, 2]
    assert sweep(TASK, 3, range(2), seeds=np.int64(1), **QUICK | {"steps": 1}).table.P.tolist() == [0, 1]


def test_a_diverged_net_of_a_sweep_is_told():
    result = sweep(Breaks(1e30), 4, [0, 1], seeds=[0, 7], **QUICK, diverged="drop")
    assert result.table.diverged.tolist() == [pd.NA, 3, pd.NA, 3]
    lost = result.table.diverged.notna()
    assert np.isfinite(result.table.train_loss[~lost]).all() and not np.isfinite(result.table.train_loss[lost]).any()
    assert np.isfinite(result.table.test).all()  # scored as they were left


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"nonlinear_sizes": []}, "at least one P and each only once"),
        ({"nonlinear_sizes": [1, 1]}, r"at least one P and each only once, got \[1, 1\]"),
        ({"nonlinear_sizes": [6]}, "nonlinear_size must be an integer from 0 to hidden_size = 5, got 6"),
        ({"seeds": 0}, "at least one seed and each only once"),
        ({"seeds": [2, 2]}, "at least one seed and each only once"),
        ({"seeds": [-1]}, "seed must be an integer"),
        ({"hidden_size": 0}, "hidden_size must be"),
        ({"init": "fast"}, "init must be one of"),
        ({"steps": 0}, "steps must be"),
    ],
    ids=str,
)
def test_bad_sweeps(arguments, words):
    with pytest.raises(ValueError, match=words):
        sweep(**{"task": TASK, "hidden_size": 5, "nonlinear_sizes": [0], "seeds": 1} | QUICK | arguments)


def test_unknown_settings_and_nets(swept):
    with pytest.raises(TypeError, match="learning_rate"):
        sweep(TASK, 5, [0], 1, learning_rate=0.1)
    with pytest.raises(KeyError, match="no net with P=2 and seed=3"):
        swept.net(2, 3)


# Files


def test_sweeps_come_back_from_a_file_without_pickle(tmp_path, swept):
    path = tmp_path / "sweep.any"
    diverged = pd.array([3] + [pd.NA] * 5, "Int64")
    table = swept.table.assign(tiny=np.pi * 1e-15, note="1.0", clip=math.inf, test=math.nan, diverged=diverged)
    Sweep(table, swept.nets).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["sweep.any"]  # the name as given
    again = Sweep.load(str(path))
    pd.testing.assert_frame_equal(again.table, table, check_exact=True)
    assert again.history is None
    for a, b in zip(again.nets, swept.nets, strict=True):
        assert (a.seed, a.init, a.nonlinear_size, a.W.dtype) == (b.seed, b.init, b.nonlinear_size, b.W.dtype)
        assert all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())
        assert all(p.requires_grad for p in a.parameters())
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            head = file.read(name)[:128]
            assert head.startswith(b"\x93NUMPY") and b"|O" not in head  # no object arrays, hence nothing pickled


def test_saved_float64_nets_come_back_to_the_last_bit(tmp_path):
    nets = mixed()
    Sweep(pd.DataFrame({"P": [one.nonlinear_size for one in nets]}), nets).save(tmp_path / "s.npz")
    again = Sweep.load(tmp_path / "s.npz").nets
    assert torch.equal(theta(*again), theta(*nets)) and again[0].lower.dtype == torch.float64


def test_settings_of_numpys_kinds_are_saved_as_their_values(tmp_path):
    init = Init("spread", units=np.int64(3), C=np.float32(0.5), time_constants=(np.float32(2), np.int64(9)))
    swept = sweep(TASK, np.int64(5), np.arange(2), np.arange(1), init, progress=False, steps=np.int64(2))
    swept.save(tmp_path / "s.npz")
    again = Sweep.load(tmp_path / "s.npz")
    assert [net.init for net in again.nets] == [init] * 2
    assert again.table.steps.tolist() == [2, 2] and again.table.P.tolist() == [0, 1]


def test_the_start_comes_back_from_a_file(tmp_path):
    init = Init("rotation", angles=(0.3, 0.1), time_constants=(3.0, 4.0))
    nets = [ALRNN(1, 5, 1, 1, init=start) for start in (init, Init("rotation"))]
    Sweep(pd.DataFrame({"P": [1, 1]}), nets).save(tmp_path / "s.npz")
    assert [net.init for net in Sweep.load(tmp_path / "s.npz").nets] == [init, Init("rotation")]


def test_files_of_version_0_1_0_are_read(tmp_path):
    """One kind of net, described by its settings alone; weights net after net, A, W, C, h, D, b; no history."""
    init, nets = Init("rotation", angles=(0.3, 0.1, 2.0)), mixed()
    nets = [ALRNN(2, 6, one.nonlinear_size, 1, one.seed, init) for one in nets]
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(sum(p.numel() for p in one.parameters()), generator=generator) for one in nets]
    names = ("input_size", "hidden_size", "nonlinear_size", "output_size", "seed")
    told = [{name: getattr(one, name) for name in names} | {"init": vars(init)} for one in nets]
    table = {"P": [one.nonlinear_size for one in nets], "test": [0.5] * 4 + [None]}
    text = [json.dumps(x) for x in (told, table, {"P": "int64", "test": "float64"})]
    np.savez(tmp_path / "old.npz", text=np.array(text), theta=torch.stack(rows).numpy())
    again = Sweep.load(tmp_path / "old.npz")
    for one, row, like in zip(again.nets, rows, nets, strict=True):
        parts = [getattr(one, name).detach().flatten() for name in ("A", "W", "C", "h", "D", "b")]
        assert torch.equal(torch.cat(parts), row) and one.init == init and one.settings() == like.settings()
    assert again.history is None and again.table.test.isna().tolist() == [False] * 4 + [True]
    again.save(tmp_path / "new.npz")
    assert torch.equal(theta(*Sweep.load(tmp_path / "new.npz").nets), torch.stack(rows))


def test_a_history_is_saved_with_its_sweep(tmp_path):
    swept = sweep(Breaks(1e30), 4, [0, 1], seeds=[0, 7], **QUICK, diverged="drop")
    swept.save(tmp_path / "s")
    past, again = swept.history, Sweep.load(tmp_path / "s").history
    assert (past.P, past.seed, past.diverged, past.seconds) == (again.P, again.seed, again.diverged, again.seconds)
    for name in ("loss", "grad_norm", "lr"):
        np.testing.assert_array_equal(getattr(past, name), getattr(again, name))
    pd.testing.assert_frame_equal(past.table(), again.table())


def test_a_pickle_is_not_opened(tmp_path):
    np.save(tmp_path / "bad.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="[Pp]ickle"):
        Sweep.load(tmp_path / "bad.npy")


# Histories and the version


def test_history_table_is_tidy():
    history = History(np.arange(10.0).reshape(5, 2), -np.arange(10.0).reshape(5, 2), np.ones(5), [1, 3], [0, 4])
    table = history.table(every=2)
    assert list(table) == ["net", "P", "seed", "step", "loss", "grad_norm"]
    assert table.step.tolist() == [0, 0, 2, 2, 4, 4] and table.net.tolist() == [0, 1] * 3
    assert table.P.tolist() == [1, 3] * 3 and table.seed.tolist() == [0, 4] * 3
    assert table.loss.tolist() == [0, 1, 4, 5, 8, 9] and (table.grad_norm == -table.loss).all()
    assert len(history.table()) == 10


def test_tasks_are_tasks():
    assert issubclass(Adding, Task) and isinstance(SequentialMNIST(), Task)


def test_torch_gets_its_threads_back(monkeypatch):
    """While nets train they are the kernel's: torch has one, the kernel all; the result does not depend on it."""
    seen, threads, net = [], torch.get_num_threads(), ALRNN(2, 5, 2, 1)

    def sample(*args):
        seen.append((torch.get_num_threads(), kernel._threads.get()))
        return Adding.sample(TASK, *args)

    monkeypatch.setattr(TASK, "sample", sample)
    try:
        torch.set_num_threads(2)
        fit(net, TASK, steps=1, progress=False)
        with pytest.raises(DivergedError):
            fit(ALRNN(2, 5, 2, 1), TASK, steps=50, lr=1e30, clip=math.inf, progress=False)
        assert torch.get_num_threads() == 2 and kernel._threads.get() is None
        assert set(seen) == ({(1, 2)} if kernel.load()[1].name == "c" else {(2, None)})
    finally:
        torch.set_num_threads(threads)


def test_what_diverged_survives_pickling():
    """As workers of joblib send it back."""
    error = pickle.loads(pickle.dumps(DivergedError(1, 2, 3, 4)))
    assert (error.step, error.net, error.seed, error.P) == (1, 2, 3, 4) and "step 1 in net 2" in str(error)


class Flat(Adding):
    """A target or weight with a dimension too few or too many, which would broadcast."""

    def __init__(self, wrong):
        super().__init__(10)
        self.wrong = wrong

    def sample(self, n, generator):
        batch = super().sample(n, generator)
        shapes = {"target": {"target": batch.target[:, 0]}, "weight": {"weight": batch.weight[:, 0]}}
        return replace(batch, **shapes[self.wrong])


@pytest.mark.parametrize("wrong", ["target", "weight"])
def test_a_target_that_would_broadcast_is_refused(wrong):
    net, task = ALRNN(2, 4, 1, 1), Flat(wrong)
    with pytest.raises(ValueError, match=rf"{wrong} of a batch of Flat must be .*\(B, L"):
        fit(net, task, steps=1, batch_size=8, progress=False)
    with pytest.raises(ValueError, match=rf"{wrong} of a batch of Flat must be .*\(B, L"):
        evaluate(net, task, task.held_out("test", 8))
    good = Adding(10).held_out("test", 8)
    batch = replace(good, **{wrong: getattr(good, wrong)[:, 0]})
    with pytest.raises(ValueError, match="must end in"):
        task.loss(net(batch.s)[0], batch)


def test_a_chunk_is_a_number_of_sequences():
    with pytest.raises(ValueError, match="chunk must be an integer of at least 1"):
        evaluate(ALRNN(2, 4, 1, 1), Adding(10), Adding(10).held_out("test", 8), chunk=0)
