"""Context and copy tasks: targets recomputed in plain Python, randomness, held-out sets, scores, loss windows."""

import math

import numpy as np
import pytest
import torch

from alrnn import tasks

TASKS = [
    tasks.RuleInversion(9),
    tasks.RuleInversion(8, noise=0.5, blank=2),
    tasks.TwoModality(6),
    tasks.TwoModality(6, noise=0.1, coherences=0.4, blank=0),
    tasks.FixedCopy(3, 5),
    tasks.FixedCopy(1, 0, 2),
    tasks.VariableCopy(3, 4, 6),
    tasks.VariableCopy(1, 0, 1, 3),
]
ids = [f"{t.name}{i}" for i, t in enumerate(TASKS)]


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_same_seed_same_batch_and_no_global_state(task):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = task.sample(50, gen(1)), task.sample(50, gen(1)), task.sample(50, gen(2))
    assert torch.equal(before, torch.get_rng_state())
    for name in ("s", "target", "weight"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert all(torch.equal(one.info[name], two.info[name]) for name in one.info)
    assert not torch.equal(one.s, other.s)


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_settings_make_the_task_again(task):
    again = type(task)(**task.settings())
    assert again.settings() == task.settings() and vars(again) == vars(task)
    assert torch.equal(again.held_out("test", 50).s, task.held_out("test", 50).s)


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_held_out_sets_are_fixed_and_independent(task):
    validation, test = task.held_out("validation", 200), task.held_out("test", 200)
    assert torch.equal(test.s, task.held_out("test", 200).s)
    assert not torch.equal(validation.s, test.s)
    assert len(task.held_out("test")) == 10_000
    with pytest.raises(ValueError, match="validation or test"):
        task.held_out("train")


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_shapes_and_classes(task):
    batch = task.sample(40, gen(3))
    assert batch.s.shape[::2] == (40, task.input_size)
    assert batch.s.dtype == torch.float32 and batch.target.dtype == torch.int64
    assert batch.target.shape == batch.weight.shape == (40, batch.last)
    assert 0 <= batch.target.min() and batch.target.max() < task.output_size
    assert all(len(value) == 40 for value in batch.info.values())
    y = torch.randn(3, 40, batch.last, task.output_size, generator=gen(4))
    assert task.loss(y, batch).shape == task.score(y, batch).shape == (3,)
    torch.testing.assert_close(task.score(y, batch)[1], task.score(y[1], batch))


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_chance_is_the_score_of_any_constant_answer(task):
    batch = task.held_out("test")
    for k in range(task.output_size):
        y = torch.zeros(len(batch), batch.last, task.output_size)
        y[..., k] = 1
        error = 5 * (task.chance * (1 - task.chance) / len(batch)) ** 0.5  # symbols of one trial only narrow it
        assert abs(float(task.score(y, batch)) - task.chance) < error


@pytest.mark.parametrize("task", TASKS[:2], ids=ids[:2])
def test_rule_inversion_in_plain_python(task):
    batch = task.sample(100, gen(6))
    T = task.length
    for trial, target, rule, total in zip(
        batch.s.tolist(), batch.target.tolist(), batch.info["rule"].tolist(), batch.info["total"].tolist(), strict=True
    ):
        assert len(trial) == T + task.blank
        for t, step in enumerate(trial):
            ends = t in (0, T - 1)
            assert step[:2] == ([float(rule == 0), float(rule == 1)] if ends else [0, 0])
            assert step[3] == float(t == T - 1)
            assert (step[2] != 0) == (0 < t < T - 1)
        shown = sum(step[2] for step in trial)
        assert shown == pytest.approx(total, abs=1e-9)
        assert target == [int(shown > 0) if rule == 0 else int(shown < 0)]


def test_rule_inversion_has_no_ties_by_default_and_many_when_even():
    odd = tasks.RuleInversion().sample(2000, gen(7)).info["total"]
    even = tasks.RuleInversion(100).sample(2000, gen(7)).info["total"]
    assert float(odd.abs().min()) > 0.5
    assert 0.06 < float((even.abs() < 0.5).float().mean()) < 0.10


@pytest.mark.parametrize("task", TASKS[2:4], ids=ids[2:4])
def test_two_modality_in_plain_python(task):
    batch = task.sample(100, gen(8))
    for trial, target, context, coherence in zip(
        batch.s.tolist(),
        batch.target.tolist(),
        *(batch.info[k].tolist() for k in ("context", "coherence")),
        strict=True,
    ):
        assert len(trial) == task.length + task.blank
        assert all(step[2:] == [float(context == 0), float(context == 1)] for step in trial[: task.length])
        assert all(step == [0, 0, 0, 0] for step in trial[task.length :])
        assert target == [int(coherence[context] > 0)]
        assert trial[0][0] != trial[0][1]  # two streams, not one shown twice


def test_two_modality_streams():
    batch = tasks.TwoModality(40, noise=0.5, coherences=(0.1, 0.3)).sample(20_000, gen(9))
    coherence, rest = batch.info["coherence"], batch.s[:, :40, :2] - batch.info["coherence"][:, None]
    assert sorted(coherence.unique().tolist()) == pytest.approx([-0.3, -0.1, 0.1, 0.3])
    assert float(rest.std()) == pytest.approx(0.5, rel=0.01)
    assert abs(float(torch.corrcoef(coherence.T)[0, 1])) < 0.03
    assert abs(float(torch.corrcoef(rest[:, 0].T)[0, 1])) < 0.03
    uniform = tasks.TwoModality(2, noise=0, coherences=0.4).sample(20_000, gen(9)).info["coherence"]
    assert float(uniform.abs().max()) <= 0.4 and float(uniform.std()) == pytest.approx(0.4 / 3**0.5, rel=0.02)
    assert float(uniform.abs().min()) > 0


@pytest.mark.parametrize("task", TASKS[4:6], ids=ids[4:6])
def test_fixed_copy_in_plain_python(task):
    batch = task.sample(60, gen(10))
    S, K = task.symbols, task.alphabet
    assert torch.equal(batch.weight, torch.ones(60, S))
    for trial, target in zip(batch.s.tolist(), batch.target.tolist(), strict=True):
        assert len(trial) == S + 1 + task.delay + S
        assert [step.index(1) for step in trial[:S]] == target
        for t, step in enumerate(trial):
            assert sum(step[:K]) == float(t < S)
            assert step[K] == float(t == S or t >= S + 1 + task.delay)


@pytest.mark.parametrize("task", TASKS[6:], ids=ids[6:])
def test_variable_copy_in_plain_python(task):
    batch = task.sample(200, gen(11))
    S, K = task.symbols, task.alphabet
    cues = set()
    for trial, target, weight, cue in zip(
        batch.s.tolist(), batch.target.tolist(), batch.weight.tolist(), batch.info["cue"].tolist(), strict=True
    ):
        T = len(trial)
        assert [t for t, step in enumerate(trial) if step[K]] == [cue]
        assert S + task.delay <= cue < S + task.delay + task.window
        assert all(sum(step[:K]) == float(t < S) for t, step in enumerate(trial))
        symbols = [step.index(1) for step in trial[:S]]
        for step, (k, w) in enumerate(zip(target, weight, strict=True), start=T - len(target)):
            recalled = step - cue - 1
            assert (k, w) == ((symbols[recalled], 1) if 0 <= recalled < S else (0, 0))
        assert sum(weight) == S
        cues.add(cue)
    assert len(cues) == task.window


def test_only_the_recall_counts():
    """Whatever the answer outside the recall, loss and scores stay; one wrong symbol inside spoils its sequence."""
    task = tasks.VariableCopy(3, 4, 6)
    batch = task.sample(100, gen(12))
    y = 20 * torch.nn.functional.one_hot(batch.target, 4).double()
    wild = torch.where(batch.weight[..., None] > 0, y, torch.randn(y.shape, generator=gen(13), dtype=y.dtype))
    for answer in (y, wild):
        assert float(task.score(answer, batch)) == float(task.score_sequence(answer, batch)) == 1
        assert float(task.loss(answer, batch)) < 1e-7
    wrong = y.clone()
    last = batch.weight[0].nonzero().max()
    wrong[0, last] = wrong[0, last].roll(1)
    assert float(task.score(wrong, batch)) == pytest.approx(1 - 1 / 300)
    assert float(task.score_sequence(wrong, batch)) == pytest.approx(0.99)
    assert task.score_sequence(torch.stack([y, wrong]), batch).tolist() == pytest.approx([1, 0.99])
    longer = torch.cat([torch.randn(100, 5, 4, generator=gen(14), dtype=y.dtype), wrong], 1)  # answers at all steps
    assert torch.equal(task.score_sequence(longer, batch), task.score_sequence(wrong, batch))


@pytest.mark.parametrize("task", TASKS[4:], ids=ids[4:])
def test_scores_of_copying_are_shares_of_symbols_and_of_sequences(task):
    """Sums and counts: of symbols that count, and of trials; the main score first."""
    batch, K = task.sample(50, gen(15)), 3
    y = torch.randn(K, 50, batch.last, task.alphabet, generator=gen(16))
    found = task.scores(y, batch)
    assert list(found) == ["accuracy", "sequence"] and all(one.better == "higher" for one in found.values())
    for k in range(K):
        symbols = sequences = 0
        for answers, target, weight in zip(y[k].tolist(), batch.target.tolist(), batch.weight.tolist(), strict=True):
            right = [a.index(max(a)) == b for a, b, w in zip(answers, target, weight, strict=True) if w]
            symbols, sequences = symbols + sum(right), sequences + all(right)
        assert (found["accuracy"].sum[k], found["accuracy"].count[k]) == (symbols, 50 * task.symbols)
        assert (found["sequence"].sum[k], found["sequence"].count[k]) == (sequences, 50)
    parts = [task.scores(y[:, i : i + 20], batch[i : i + 20]) for i in (0, 20, 40)]
    for name, whole in found.items():
        added = parts[0][name] + parts[1][name] + parts[2][name]
        assert torch.equal(added.sum, whole.sum) and torch.equal(added.count, whole.count)
        assert torch.equal(added.value, whole.value)


def test_sequence_chance():
    task = tasks.FixedCopy(2, 3, 3)
    batch = task.held_out("test")
    assert task.sequence_chance == pytest.approx(1 / 9)
    y = torch.randn(len(batch), 2, 3, generator=gen(14))
    assert float(task.score_sequence(y, batch)) == pytest.approx(1 / 9, abs=0.016)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.RuleInversion(2), "length must be an integer of at least 3, got 2"),
        (lambda: tasks.RuleInversion(31.0), "length must be an integer of at least 3, got 31.0"),
        (lambda: tasks.RuleInversion(noise=-1), "noise must be at least 0 and finite, got -1"),
        (lambda: tasks.RuleInversion(blank=0.5), "blank must be an integer of at least 0, got 0.5"),
        (lambda: tasks.TwoModality(0), "length must be an integer of at least 1, got 0"),
        (lambda: tasks.TwoModality(noise=float("nan")), "noise must be at least 0 and finite, got nan"),
        (lambda: tasks.TwoModality(blank=-1), "blank must be an integer of at least 0, got -1"),
        (lambda: tasks.TwoModality(coherences=()), "coherences"),
        (lambda: tasks.TwoModality(coherences=(0.1, 0.0)), "coherences"),
        (lambda: tasks.TwoModality(coherences=[math.inf]), "coherences"),
        (lambda: tasks.TwoModality(coherences=[[0.1]]), "coherences"),
        (lambda: tasks.FixedCopy(0), "symbols must be an integer of at least 1, got 0"),
        (lambda: tasks.FixedCopy(2.5), "symbols must be an integer of at least 1, got 2.5"),
        (lambda: tasks.FixedCopy(delay=-1), "delay must be an integer of at least 0, got -1"),
        (lambda: tasks.VariableCopy(alphabet=1), "alphabet must be an integer of at least 2, got 1"),
        (lambda: tasks.VariableCopy(window=0), "window must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("given", [[0.1, 0.2], np.array([0.1, 0.2]), torch.tensor([0.1, 0.2], dtype=torch.float64)])
def test_coherences_are_settings_whatever_they_come_in(given):
    assert tasks.TwoModality(coherences=given).settings()["coherences"] == (0.1, 0.2)
    assert tasks.TwoModality(coherences=given[0]).settings()["coherences"] == 0.1


def test_sizes_may_be_numbers_of_numpy():
    task = tasks.FixedCopy(np.int64(3), np.int64(2), np.int64(4))
    assert task.sequence_chance == 4**-3 and task.sample(2, torch.Generator()).s.shape[-1] == 5
