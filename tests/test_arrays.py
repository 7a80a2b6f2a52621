"""Own arrays: padding never counts, splits and folds do not leak, and each kind of bad input has one clear error.

What a sequence scores is checked against a loop in NumPy that runs each sequence alone, at its true length.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import alrnn
from alrnn import ALRNN, Init, Trainer, evaluate, fit, regions
from alrnn.sweep import describe
from alrnn.tasks import Arrays, Batch, Head
from alrnn.train import scores

B, N = 30, 3
SPLIT = {"train": range(0, 16), "validation": range(16, 22), "test": range(22, 30)}
QUICK = {"steps": 6, "batch_size": 5, "progress": False}


def draw(seed=0, longest=14):
    """Sequences of 1 to 14 steps, and for each step a class and two numbers."""
    rng = np.random.default_rng(seed)
    lengths = rng.permutation(np.r_[1, longest, rng.integers(1, longest + 1, B - 2)])
    s = [rng.normal(1.0, 2.0, (n, N)) for n in lengths]
    return s, [rng.integers(0, 3, n) for n in lengths], [rng.normal(size=(n, 2)) for n in lengths]


S, CLASSES, VALUES = draw()
LABELS, LAST = np.array([c[-1] for c in CLASSES]), np.array([v[-1] for v in VALUES])
WORDS = [np.abs(x[:, 0].round()).astype(int) for x in S]


def a_net(task, P, M=5, seed=1):
    net = ALRNN(task.input_size, M, P, task.output_size, seed, Init("spread", W=0.2, D=1.0, pwl=0.5)).double()
    with torch.no_grad():
        net.h.normal_(generator=torch.Generator().manual_seed(0))  # the state moves in silence, too
    return net


def alone(net, s, blank=0):
    """Outputs (T + blank, O) of one sequence by a loop, (T, N) or words (T,)."""
    A, W, C, h, D, b = (getattr(net, name).detach().numpy() for name in "A W C h D b".split())
    if s.ndim == 1:
        s = np.eye(net.input_size)[s]
    z, y, P = np.zeros(len(h)), [], net.nonlinear_size
    for x in np.concatenate([s, np.zeros((blank, s.shape[1]))]):
        phi = np.r_[z[: len(z) - P], np.maximum(z[len(z) - P :], 0)]
        z = np.where(np.arange(len(z)) < len(z) - P, 0, A) * z + W @ phi + C @ x + h
        y.append(D @ z + b)
    return np.array(y)


def held(task, split):
    """A held-out batch in float64, from inputs that were float32."""
    return task.held_out(split).to(torch.float64)


def as_stored(x):
    return x.astype(np.float32).astype(float) if x.dtype.kind == "f" else x


def log_softmax(y):
    return y - np.log(np.exp(y - y.max(-1, keepdims=True)).sum(-1, keepdims=True)) - y.max(-1, keepdims=True)


@pytest.mark.parametrize("P", [0, 2, 5])
@pytest.mark.parametrize("blank", [0, 1, 4])
def test_at_the_end_each_sequence_scores_what_it_scores_alone(P, blank):
    task = Arrays(S, LABELS, split=SPLIT, blank=blank)
    net = a_net(task, P)
    for split, index in list(SPLIT.items())[1:]:
        y = np.array([alone(net, as_stored(S[i]), blank)[-1] for i in index])
        label = LABELS[list(index)]
        batch = held(task, split)
        assert evaluate(net, task, batch).item() == pytest.approx((y.argmax(1) == label).mean(), abs=1e-12)
        loss = -log_softmax(y)[np.arange(len(y)), label].mean()
        assert task.loss(net(batch.s)[0], batch).item() == pytest.approx(loss, abs=1e-10)


@pytest.mark.parametrize("P", [0, 2, 5])
def test_at_every_step_true_steps_count_alike_and_padding_not_at_all(P):
    index = list(SPLIT["test"])
    values, classes = Arrays(S, VALUES, "every", split=SPLIT), Arrays(S, CLASSES, "every", split=SPLIT)
    net, other = a_net(values, P), a_net(classes, P)
    wrong = np.concatenate([(alone(net, as_stored(S[i])) - as_stored(VALUES[i])) ** 2 for i in index])
    right = np.concatenate([alone(other, as_stored(S[i])).argmax(1) == CLASSES[i] for i in index])
    assert evaluate(net, values, held(values, "test")).item() == pytest.approx(wrong.mean(), rel=1e-10)
    assert evaluate(other, classes, held(classes, "test")).item() == pytest.approx(right.mean(), abs=1e-12)


@pytest.mark.parametrize("readout", ["end", "every"])
def test_words_of_any_lengths(readout):
    task = Arrays(WORDS, LABELS if readout == "end" else CLASSES, readout, split=SPLIT)
    assert task.inputs == "words" and task.input_size == max(map(max, WORDS)) + 1
    net, index = a_net(task, 3), list(SPLIT["test"])
    named = [alone(net, WORDS[i]).argmax(1) == CLASSES[i] for i in index]
    right = np.concatenate([x[-1:] if readout == "end" else x for x in named]).mean()
    assert evaluate(net, task, held(task, "test"), chunk=3).item() == pytest.approx(right, abs=1e-12)


def test_other_kinds_of_nets_too_are_read_at_the_true_end():
    task = Arrays(S, LABELS, split=SPLIT, blank=1)
    for kind in (alrnn.nets.GRU, alrnn.nets.LSTM, alrnn.nets.RNN):
        net, batch = kind(N, 4, 3), task.held_out("test")
        right = []
        for s, n, target in zip(batch.s, batch.info["length"].tolist(), batch.target[:, 0], strict=True):
            right.append(net(s[None, : n + 1])[0][0, -1].argmax() == target)
        assert evaluate(net, task, batch).item() == pytest.approx(np.mean(right))


@pytest.mark.parametrize("readout", ["end", "every"])
def test_the_gradient_is_that_of_sequences_alone(readout):
    """Of a training batch, padded to the longest of all, against the mean of losses of sequences cut to their steps."""
    task = Arrays(S, LAST if readout == "end" else VALUES, readout, split=SPLIT)
    batch = task.sample(6, torch.Generator().manual_seed(3)).to(torch.float64)
    assert batch.steps == 14
    net = a_net(task, 3)
    task.loss(net(batch.s)[0], batch).backward()
    padded = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    errors = []
    for s, n, i in zip(batch.s, batch.info["length"].tolist(), batch.info["index"].tolist(), strict=True):
        wrong = (net(s[None, :n])[0][0] - torch.from_numpy(as_stored(VALUES[i]))).square()
        errors.append(wrong[-1:] if readout == "end" else wrong)
    torch.cat(errors).mean().backward()
    for p, grad in zip(net.parameters(), padded, strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("readout", ["end", "every"])
def test_a_much_longer_training_sequence_changes_no_score_even_of_a_net_that_explodes(readout):
    longer = [*S, np.ones((2000, N))]
    asked = np.r_[LABELS, 0] if readout == "end" else [*VALUES, np.ones((2000, 2))]
    short, padded = (
        Arrays(longer[:n], asked[:n], readout, split=SPLIT | {"train": [*SPLIT["train"], *range(30, n)]})
        for n in (30, 31)
    )
    assert padded.sample(2, torch.Generator()).steps == 2000
    net = a_net(short, 2).float()
    with torch.no_grad():
        net.W.diagonal()[:3] = 1.3  # its states are beyond all floats long before step 2000
    one, two = (evaluate(net, task, task.held_out("test")) for task in (short, padded))
    assert torch.equal(one, two) and one.isfinite().all()


def test_a_recording_of_whole_numbers_among_others():
    s = [x.round().astype(int) if i == 0 else x for i, x in enumerate(S)]
    v = [x.round().astype(int) if i == 0 else x for i, x in enumerate(VALUES)]
    task, plain = Arrays(s, v, "every", split=SPLIT), Arrays(S, VALUES, "every", split=SPLIT)
    for name in ("s", "target"):
        assert torch.equal(getattr(task, name)[1:], getattr(plain, name)[1:])


def test_the_order_of_sequences_changes_nothing():
    order = np.random.default_rng(1).permutation(B)
    moved = {split: [int(np.flatnonzero(order == i)[0]) for i in index] for split, index in SPLIT.items()}
    one = Arrays(S, LABELS, split=SPLIT, standardize=True)
    two = Arrays([S[i] for i in order], LABELS[order], split=moved, standardize=True)
    net = a_net(one, 2)
    for split in ("validation", "test"):
        assert evaluate(net, one, held(one, split)) == evaluate(net, two, held(two, split))
        assert sorted(order[two.held_out(split).info["index"]]) == list(SPLIT[split])


def test_lists_arrays_and_tensors_are_one_and_nothing_given_is_changed():
    s, y = np.stack([x[:1].repeat(4, 0) for x in S]), VALUES
    before = copy.deepcopy((S, VALUES, s))
    forms = [s, list(s), torch.from_numpy(s), [torch.tensor(x, requires_grad=True) for x in s], s.tolist()]
    same = [Arrays(x, LAST, split=SPLIT, standardize=True, noise=1.0).settings() for x in forms]
    assert all(one == same[0] for one in same)
    task = Arrays(S, [torch.from_numpy(v) for v in y], "every", noise=0.5, standardize=True)
    fit(a_net(task, 1).float(), task, **QUICK)
    for x, kept in zip((S, VALUES, s), before, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(x, kept, strict=True))


def test_what_is_asked_follows_from_the_target():
    one = Arrays(S, LABELS)
    assert (one.metric, one.better, one.output_size, one.input_size) == ("accuracy", "higher", 3, N)
    assert Arrays(S, LABELS, output_size=7).output_size == 7 and Arrays(S, LABELS > 0).output_size == 2
    assert (Arrays(S, LAST).metric, Arrays(S, LAST).output_size, Arrays(S, LAST[:, 0]).output_size) == ("mse", 2, 1)
    assert Arrays(S, [v[:, 0] for v in VALUES], "every").held_out("test").target.shape[2] == 1
    counts = Arrays(S, CLASSES, "every", objective="poisson")
    assert (counts.metric, counts.output_size) == ("deviance", 1) and counts.held_out("test").target.is_floating_point()
    assert Arrays(S, LABELS, metric="mse").held_out("test").target.shape == (4, 1, 1)
    assert Arrays(S, LABELS, metric="cross_entropy").better == "lower"
    assert Arrays(S, LABELS, name="mine").name == "mine" and Arrays.name == "arrays"
    heads = (Head("where", 2), Head("what", 3, "cross_entropy"))
    two = Arrays(S, np.c_[LAST, LABELS], heads=heads, split=SPLIT)
    net, batch = a_net(two, 2), held(two, "test")
    found = scores(net, two, batch)
    y = np.array([alone(net, as_stored(S[i]))[-1] for i in batch.info["index"]])
    index = batch.info["index"].numpy()
    assert found["where"].value.item() == pytest.approx(((y[:, :2] - as_stored(LAST)[index]) ** 2).mean(), rel=1e-10)
    assert found["what"].value.item() == pytest.approx((y[:, 2:].argmax(1) == LABELS[index]).mean())


@pytest.mark.parametrize("readout", ["end", "every"])
def test_weights_and_offsets(readout):
    rng = np.random.default_rng(5)
    if readout == "end":
        target, weight, offset = LAST, rng.random((B, 2)), rng.normal(size=(B, 2))
    else:
        target = VALUES
        weight, offset = [rng.random(v.shape) for v in VALUES], [rng.normal(size=v.shape) for v in VALUES]
    task = Arrays(S, target, readout, split=SPLIT, weight=weight, offset=offset)
    net, top, count = a_net(task, 2), 0.0, 0.0
    for i in SPLIT["test"]:
        y = alone(net, as_stored(S[i]))
        y = (y[-1] if readout == "end" else y) + as_stored(offset[i])
        top += (as_stored(weight[i]) * (y - as_stored(target[i])) ** 2).sum()
        count += as_stored(weight[i]).sum()
    assert evaluate(net, task, held(task, "test"), chunk=3).item() == pytest.approx(top / count, rel=1e-6)
    by_step = [np.full(len(x), 0.5) for x in S] if readout == "every" else np.full(B, 0.5)
    half, plain = (Arrays(S, target, readout, split=SPLIT, weight=w) for w in (by_step, None))
    assert evaluate(net, half, held(half, "test")) == evaluate(net, plain, held(plain, "test"))


def test_inputs_are_scaled_by_the_training_sequences_alone():
    def wild(i):
        return S[i] if i in SPLIT["train"] else 1000 * S[i] + 50

    task = Arrays(
        [np.c_[S[i], np.full(len(S[i]), 7.0)] for i in range(B)], LABELS, split=SPLIT, standardize=True, blank=2
    )
    other = Arrays([np.c_[wild(i), np.full(len(S[i]), 7.0)] for i in range(B)], LABELS, split=SPLIT, standardize=True)
    assert torch.equal(task.mean, other.mean) and torch.equal(task.scale, other.scale)
    x = np.concatenate([S[i] for i in SPLIT["train"]])
    batch = task.held_out("test")
    for s, i, n in zip(batch.s, batch.info["index"].tolist(), batch.info["length"].tolist(), strict=True):
        assert (
            np.allclose(s[:n, :N], (S[i] - x.mean(0)) / x.std(0), atol=1e-5) and not s[n:].any() and not s[:, N].any()
        )
    assert n == len(S[i])


def test_noise_is_on_the_true_steps_of_training_sequences_alone():
    task, plain = (Arrays(S, LABELS, split=SPLIT, blank=1, noise=noise) for noise in (0.7, 0.0))
    noisy, clean = (t.sample(400, torch.Generator().manual_seed(0)) for t in (task, plain))
    assert torch.equal(noisy.info["index"], clean.info["index"])
    there = torch.arange(15) < clean.info["length"][:, None]
    change = noisy.s - clean.s
    assert not change[~there].any() and abs(change[there].std() - 0.7) < 0.02 and abs(change[there].mean()) < 0.02
    assert torch.equal(task.held_out("test").s, plain.held_out("test").s)
    assert not torch.equal(noisy.s, task.sample(400, torch.Generator().manual_seed(1)).s)


def test_training_draws_from_training_sequences_and_info_says_which():
    task = Arrays(S, LABELS, split=SPLIT)
    batch = task.sample(500, torch.Generator().manual_seed(0))
    assert set(batch.info["index"].tolist()) == set(SPLIT["train"])
    assert batch.info["length"].tolist() == [len(S[i]) for i in batch.info["index"]]
    assert batch.target[:, 0].tolist() == LABELS[batch.info["index"]].tolist()
    assert torch.equal(batch.at[:, 0], batch.info["length"] - 1)
    assert task.held_out("test", 3).info["index"].tolist() == task.held_out("test").info["index"][:3].tolist()
    for readout, target in (("end", LABELS), ("every", CLASSES)):
        one = Arrays(S, target, readout, split=SPLIT, blank=int(readout == "end")).held_out("validation")
        for i, n in zip(one.info["index"], one.info["length"], strict=True):
            assert n == len(S[i])


def test_the_length_in_info_keeps_padding_out_of_regions():
    task = Arrays(S, LABELS, split=SPLIT, blank=1)
    net, batch = a_net(task, 2), held(task, "test")
    _, z = net(batch.s)
    seen = regions.visits(net, z.detach(), length=batch.info["length"])
    assert seen.counts.sum() == sum(len(S[i]) for i in SPLIT["test"])


def test_chance_is_the_share_of_the_commonest_training_class():
    labels = np.array([1] * 9 + [0] * 7 + [2] * 14)
    assert Arrays(S, labels, split=SPLIT).chance == pytest.approx(9 / 16)
    weight = np.r_[np.full(9, 0.1), np.ones(21)]
    assert Arrays(S, labels, split=SPLIT, weight=weight).chance == pytest.approx(7 / 7.9)
    assert np.isnan(Arrays(S, LAST).chance)


def parts(task):
    return {split: set(index.tolist()) for split, (index,) in task.parts.items()}


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 25), st.integers(0, 5), st.data())
def test_no_split_and_no_fold_shares_a_sequence_or_a_group(many, seed, data):
    folds = data.draw(st.integers(2, many))
    assume(-(-many // folds) + max(1, round(0.2 * many)) < many)  # else there is nothing left to train on
    n = data.draw(st.integers(many, 40))
    groups = np.r_[np.arange(many), np.random.default_rng(seed).integers(0, many, n - many)]
    s = np.arange(n, dtype=float)[:, None, None]
    label = np.random.default_rng(seed + 1).integers(0, 3, n)
    task = Arrays(s, label, groups=np.array([f"g{g}" for g in groups]), seed=seed, split=(0.2, 0.3), output_size=3)
    tests = []
    for one in (task, *(task.fold(k, folds) for k in range(folds))):
        found = parts(one)
        assert set().union(*found.values()) == set(range(n)) and sum(map(len, found.values())) == n
        of = [{int(groups[i]) for i in index} for index in found.values()]
        assert sum(map(len, of)) == many and all(of)
        for split in ("validation", "test"):
            batch = one.held_out(split)
            assert set(batch.s.flatten().long().tolist()) == found[split]
            assert [one.group_names[g] for g in batch.info["group"]] == [f"g{groups[i]}" for i in batch.info["index"]]
        tests.append(found["test"])
    assert set().union(*tests[1:]) == set(range(n)) and sum(map(len, tests[1:])) == n
    assert {len({int(groups[i]) for i in index}) for index in tests[1:]} <= {many // folds, many // folds + 1}


def test_classes_are_in_proportion_in_every_split_and_fold():
    label = np.repeat([0, 1, 2], [60, 30, 10])
    task = Arrays(np.zeros((100, 1, 1)), label, split=(0.2, 0.1))
    for one in (task, *(task.fold(k, 5) for k in range(5))):
        test, validation = (np.bincount(label[list(parts(one)[x])], minlength=3) for x in ("test", "validation"))
        share = 0.1 if one is task else 0.2
        assert np.abs(test - share * np.array([60, 30, 10])).max() <= 1
        assert np.abs(validation - 0.2 * np.array([60, 30, 10])).max() <= 1.5 and validation.sum() == 20
    seeds = [parts(Arrays(np.zeros((100, 1, 1)), label, seed=seed))["test"] for seed in range(3)]
    assert len(set(map(frozenset, seeds))) == 3
    whole = np.repeat(np.arange(20), 5)  # groups, each of one class
    task = Arrays(np.zeros((100, 1, 1)), np.repeat([0, 1], 50), groups=whole, split=(0.2, 0.2))
    for k in range(5):
        assert np.bincount(np.repeat([0, 1], 50)[list(parts(task.fold(k, 5))["test"])]).tolist() == [10, 10]


def test_splits_by_name_and_by_number_and_what_is_left_out_stays_out():
    names = np.array(["train"] * 16 + ["validation"] * 6 + ["test"] * 8)
    assert parts(Arrays(S, LABELS, split=names)) == parts(Arrays(S, LABELS, split=SPLIT))
    assert parts(Arrays(S, LABELS, split=names.tolist())) == {k: set(v) for k, v in SPLIT.items()}
    task = Arrays(S, LABELS, split=SPLIT | {"train": [3, 0]})
    assert parts(task)["train"] == {0, 3}
    used = {0, 3, *range(16, 30)}
    for k in range(3):
        assert set().union(*parts(task.fold(k, 3)).values()) == used
    assert (
        task.fold(1, 3).held_out("test").info["index"].tolist()
        == task.fold(0, 3).fold(1, 3).held_out("test").info["index"].tolist()
    )


def test_a_fold_is_scaled_by_its_own_training_part_and_leaves_the_task_as_it_was():
    task = Arrays(S, LABELS, split=SPLIT, standardize=True)
    before = task.held_out("test").s
    for k in range(4):
        one = task.fold(k, 4)
        x = np.concatenate([S[i] for i in parts(one)["train"]])
        assert np.allclose(one.mean, x.mean(0), atol=1e-5) and np.allclose(one.scale, x.std(0), atol=1e-5)
    assert torch.equal(task.held_out("test").s, before) and task.fold_of is None


@pytest.mark.parametrize("readout", ["end", "every"])
def test_nets_on_folds_of_their_own_in_one_pass_are_nets_trained_alone(readout):
    task = Arrays(S, LABELS if readout == "end" else VALUES, readout, standardize=True, noise=0.1)
    tasks = [task.fold(k, 3) for k in range(3) for _ in range(2)]
    together = [a_net(task, P, seed=seed) for seed in range(3) for P in (0, 2)]
    separate = [net.copy() for net in together]
    history = fit(together, tasks, **QUICK)
    for k, (net, one) in enumerate(zip(separate, tasks, strict=True)):
        mine = fit(net, one, **QUICK)
        np.testing.assert_allclose(mine.loss[:, 0], history.loss[:, k], rtol=1e-9)
        for p, q in zip(net.parameters(), together[k].parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-8, atol=1e-9)


def test_sweeps_and_trainers_know_the_arrays_by_shape_and_hash(tmp_path):
    task = Arrays(S, LABELS, split=SPLIT)
    swept = alrnn.sweep(task, 4, [0, 1], seeds=2, **QUICK)
    assert swept.table.task_s.str.match(r"array \(30, 14, 3\) float32 [0-9a-f]{12}$").all()
    assert swept.table.test.tolist() == pytest.approx(evaluate(swept.nets, task, task.held_out("test")).tolist())
    swept.save(tmp_path / "sweep.npz")
    pd.testing.assert_frame_equal(alrnn.Sweep.load(tmp_path / "sweep.npz").table, swept.table)
    rows = [
        describe(swept.nets[0], one)
        for one in (
            task,
            Arrays([2 * x for x in S], LABELS, split=SPLIT),
            Arrays(S, LABELS[::-1], split=SPLIT),
            Arrays(S, LABELS, split=SPLIT | {"train": [0]}),
            Arrays(S, LABELS, split=SPLIT, groups=np.arange(B) // 2),
            Arrays(S, LABELS, split=SPLIT, weight=np.arange(B) + 1),
            task.fold(0, 2),
            task.fold(1, 2),
        )
    ]
    assert len({str(row) for row in rows}) == len(rows)
    folds = [task.fold(k, 2) for k in range(2)]
    trainer = Trainer([a_net(task, 0).float(), a_net(task, 1).float()], folds, steps=6, batch_size=5)
    trainer.run(3, progress=False)
    trainer.save(tmp_path / "state")
    trainer.run(progress=False)
    again = Trainer.load(tmp_path / "state", [task.fold(k, 2) for k in range(2)])
    again.run(progress=False)
    assert torch.equal(again.stack.theta, trainer.stack.theta)
    with pytest.raises(ValueError, match="was trained on"):
        Trainer.load(tmp_path / "state", folds[::-1])


def test_sequences_of_one_step():
    task = Arrays(np.random.default_rng(0).normal(size=(B, 1, N)), LABELS, split=SPLIT)
    batch = task.held_out("test")
    assert batch.at is None and batch.steps == batch.last == 1
    assert fit(a_net(task, 1).float(), task, **QUICK).loss.shape == (6, 1)


def change(i, value, of=S):
    return [np.full_like(x, value) if k == i else x for k, x in enumerate(of)]


GROUPS = np.repeat(np.arange(15), 2)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([], []), ValueError, r"s must have for each sequence its steps, each of one shape, got shapes \[\]"),
        (
            (S[:-1] + [np.zeros((3, 2))], LABELS),
            ValueError,
            "s must have for each sequence its steps, each of one shape",
        ),
        ((change(4, np.nan), LABELS), ValueError, "s of sequence 4 contains NaN"),
        ((change(4, np.inf), LABELS), ValueError, "s of sequence 4 contains NaN, infinite"),
        ((S[:-1] + [np.zeros((0, N))], LABELS), ValueError, "s of sequence 29 must have some steps, got 0"),
        (([x[:, 0] for x in S], LABELS), ValueError, r"s must be \(T_i, N\) each, or words"),
        (([["a", "b"]] * B, LABELS), TypeError, "s must be a list with an array of numbers"),
        (([[[1, 2], [3]]] * B, LABELS), TypeError, "s must be a list with an array of numbers"),
        ((7, LABELS), TypeError, "s must be a list with an array of numbers"),
        (([x + 1j for x in S], LABELS), ValueError, "complex"),
        ((S, LABELS[:-1]), ValueError, "target must have an entry for each of 30 sequences, got 29"),
        ((S, CLASSES), ValueError, "target must have for each sequence one shape, at its end"),
        ((S, VALUES, "every", None, SPLIT, 0, None, "cross_entropy"), ValueError, "must be class numbers"),
        ((S, VALUES[1:] + VALUES[:1], "every"), ValueError, "target of sequence 0 must have"),
        ((S, LABELS, "every"), ValueError, r"target must have for each sequence its steps.*\(\)"),
        ((S, LABELS - 1), ValueError, "classes of a batch of arrays must be from 0 to 1, got -1"),
        ((S, np.where(LAST > 1, np.nan, LAST)), ValueError, "target of sequence [0-9]+ contains NaN"),
        ((S, np.ones((B, 2), int)), ValueError, "whole numbers as target must be one class each"),
        ((S, LABELS, "middle"), ValueError, "readout must be end or every"),
        ((S, LABELS, "end", GROUPS[:-1]), ValueError, "groups must be one label for each of 30 sequences"),
        ((S, LABELS, "end", GROUPS, ["train", "test", "validation"] * 10), ValueError, "group 0 is in more than one"),
        ((S, LABELS, "end", np.zeros(B)), ValueError, "of 1 groups there are none for train and validation"),
        ((S, LABELS, "end", GROUPS // 8), ValueError, "of 2 groups there are none for train"),
    ],
)
def test_bad_arrays(arguments, error, words):
    with pytest.raises(error, match=words):
        Arrays(*arguments)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"split": ["train"] * B}, "none for validation and test"),
        ({"split": {"train": [0, 1], "test": [2]}}, "none for validation"),
        ({"split": {}}, "of 30 groups there are none for train and validation and test"),
        ({"split": ["train"] * 5}, "train, validation or test for each of 30 sequences, got 5 names, train"),
        ({"split": ["trian"] + ["test"] * 29}, "split must name train, validation or test"),
        ({"split": SPLIT | {"dev": [1]}}, "split must name train, validation or test"),
        ({"split": SPLIT | {"test": [22, 30]}}, "numbers of sequences, from 0 to 29"),
        ({"split": SPLIT | {"test": [-1]}}, "numbers of sequences, from 0 to 29"),
        ({"split": SPLIT | {"test": [22.0]}}, "numbers of sequences, from 0 to 29"),
        ({"split": SPLIT | {"test": [20, 23]}}, "sequence 20 is in the split twice"),
        ({"split": SPLIT | {"test": [23, 23]}}, "sequence 23 is in the split twice"),
        ({"split": (0.5, 0.6)}, "shares for validation and testing must be above 0"),
        ({"split": (0, 0.2)}, "shares for validation and testing must be above 0"),
        ({"output_size": 2}, "classes of a batch of arrays must be from 0 to 1"),
        ({"output_size": 0}, "output_size must be an integer of at least 1"),
        ({"metric": "f1"}, "metric of arrays must be one of"),
        ({"objective": "hinge"}, "objective of arrays must be one of"),
        ({"heads": [Head("a", 2)]}, r"must be floats \(B, L, columns\)"),
        ({"noise": -1}, "noise at least 0"),
        ({"blank": 0.5}, "blank must be an integer of at least 0"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"weight": np.r_[0.0, np.ones(B - 1)]}, "all weights of sequence 0 are 0: leave it out"),
        ({"weight": np.r_[-np.ones((1, 3)), np.ones((B - 1, 3))] + [0, 0, 2]}, "finite floats of at least 0"),
        ({"weight": -np.ones(B)}, "all weights of sequence 0 are 0"),
        ({"weight": np.where(np.arange(B) == 3, np.nan, 1)}, "weight of sequence 3 contains NaN"),
        ({"weight": np.ones(B - 1)}, "weight must have an entry for each of 30"),
        ({"offset": np.ones((B, 2))}, "offset of a batch of arrays must be"),
    ],
)
def test_bad_settings(given, words):
    with pytest.raises(ValueError, match=words):
        Arrays(S, LABELS, **given)


@pytest.mark.parametrize("given", [{"blank": 1}, {"standardize": True}, {"noise": 0.1}])
def test_words_have_no_scale_and_no_blank_steps(given):
    with pytest.raises(ValueError, match="standardize and noise for numbers"):
        Arrays(WORDS, LABELS, **given)


def test_bad_folds():
    task = Arrays(S, LABELS, groups=GROUPS)
    with pytest.raises(ValueError, match="blank steps are for numbers that are read at the end"):
        Arrays(S, CLASSES, "every", blank=1)
    for k, folds, words in ((0, 1, "folds must be"), (0, 16, "folds must be .* groups = 15"), (3, 3, "k must be .* 2")):
        with pytest.raises(ValueError, match=words):
            task.fold(k, folds)
    with pytest.raises(ValueError, match="none for train"):
        Arrays(S, LABELS, groups=np.arange(B) % 3).fold(0, 2)
    with pytest.raises(ValueError, match="weights of classes must be"):
        one = Arrays(S, LABELS, weight=np.ones((B, 3)))
        fit(a_net(one, 1).float(), one, **QUICK)
    assert isinstance(task.held_out("test"), Batch)
