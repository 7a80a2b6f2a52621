"""The tasks: targets recomputed in plain Python, distributions, splits, losses and scores."""

import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from alrnn import ALRNN, datasets
from alrnn.nets.almost_linear import SEEDS
from alrnn.tasks import Adding, Batch, SequentialMNIST, Task
from alrnn.tasks.base import HELD_OUT, TRAINING


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("s", "target", "weight"))


@pytest.fixture(scope="module")
def rows():
    return SequentialMNIST()


ADDING = [Adding(10), Adding(4), Adding(10, "halves"), Adding(4, "halves", blank=1), Adding(100, blank=3)]


# Adding


@pytest.mark.parametrize("task", ADDING, ids=lambda t: f"{t.length}-{t.marks}-{t.blank}")
def test_adding_targets_in_plain_python(task):
    T, batch = task.length, task.sample(300, generator())
    assert batch.s.shape == (300, T + task.blank, task.input_size) and batch.target.shape == (300, 1, task.output_size)
    assert len(batch) == 300 and batch.last == 1 and (batch.weight == 1).all()
    for s, target, marked in zip(batch.s.tolist(), batch.target.tolist(), batch.info["marked"].tolist(), strict=True):
        at = [t for t, (_, m) in enumerate(s) if m == 1.0]
        assert at == marked and len(at) == 2
        assert sum(m for _, m in s) == 2  # all other marks are 0
        assert target[0][0] == pytest.approx(s[at[0]][0] + s[at[1]][0], abs=1e-6)
        assert all(0 <= x < 1 for x, _ in s) and all(step == [0, 0] for step in s[T:])
        assert at[0] < T // 2 and (at[1] >= T // 2) == (task.marks == "halves") and at[1] < T


@pytest.mark.parametrize("marks", ["first_half", "halves"])
def test_adding_marks_are_uniform_over_pairs(marks):
    """Chi-square over all pairs of steps that the convention allows."""
    marked = Adding(12, marks).sample(30_000, generator(3)).info["marked"].tolist()
    if marks == "halves":
        pairs = [(i, j) for i in range(6) for j in range(6, 12)]
    else:
        pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    counts = {pair: 0 for pair in pairs}
    for i, j in marked:
        counts[i, j] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_adding_numbers_are_uniform_and_independent_of_the_marks():
    batch = Adding(20).sample(5_000, generator(4))
    x = batch.s[..., 0].double()
    assert stats.kstest(x.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(x.gather(1, batch.info["marked"]).flatten().numpy(), "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(x.T.numpy()) - np.eye(20)).max() < 5 / math.sqrt(5_000)


@pytest.mark.parametrize("task", ADDING[:3])
def test_adding_chance_is_the_score_of_the_best_constant(task):
    batch = task.held_out("test", 50_000)
    score = task.score(torch.ones(50_000, 1, 1), batch).item()  # the target's mean is 1
    assert score == pytest.approx(task.chance, rel=0.02)
    assert task.chance == 1 / 6  # two variances of 1/12
    for constant in (0.95, 1.05):
        assert task.score(torch.full((50_000, 1, 1), constant), batch) > score


@pytest.mark.parametrize(("marks", "floor"), [("first_half", (1 - 4 / 10) / 6), ("halves", (1 - 2 / 10) / 6)])
def test_adding_best_affine_answer_is_on_its_floor(marks, floor):
    """Least squares on all inputs, the best that P = 0 can do: v (2 - sum_t p_t^2)."""
    task = Adding(10, marks)
    batch = task.sample(60_000, generator(5))
    X = torch.cat([batch.s.flatten(1), torch.ones(60_000, 1)], 1).double()
    X = torch.cat([X[:, :1], X[:, 2:]], 1)  # the marks sum to 2: one column is redundant
    used = X[:, X.std(0) + (X == 1).all(0) > 0]
    fitted = used @ torch.linalg.lstsq(used, batch.target[:, 0].double(), driver="gelsd").solution
    assert task.score(fitted[:, None], batch).item() == pytest.approx(floor, rel=0.02)


def test_adding_is_solved_by_one_pwl_unit():
    """relu(x + m - 1) = x m for x in [0, 1], summed by a linear unit; the blank step lets the last number through."""
    net = ALRNN(2, 2, 1, 1).double()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.W[0] = 1.0
        net.C[1] = 1.0
        net.h[1] = -1.0
        net.D[0, 0] = 1.0
    for task in (Adding(20), Adding(20, "halves", blank=1)):
        batch = task.held_out("validation", 200).to(torch.float64)
        assert task.score(net(batch.s)[0], batch) < 1e-12
    batch = Adding(20, "halves").held_out("validation", 200).to(torch.float64)
    assert Adding(20, "halves").score(net(batch.s)[0], batch) > 1e-3  # a mark at the last step is missed


# Sampling


@pytest.mark.parametrize("make", [lambda rows: Adding(10), lambda rows: rows], ids=["adding", "smnist"])
def test_same_generator_same_batch(make, rows):
    task, random = make(rows), torch.get_rng_state()
    g, h = generator(1), generator(1)
    first, second = task.sample(20, g), task.sample(20, g)
    assert same(first, task.sample(20, h)) and same(second, task.sample(20, h))
    assert not same(first, second) and not same(first, task.sample(20, generator(2)))
    assert same(task.held_out("test", 50), task.held_out("test", 50))
    assert not same(task.held_out("test", 50), task.held_out("validation", 50))
    assert torch.equal(random, torch.get_rng_state())
    with pytest.raises(ValueError, match="split must be validation or test, got 'train'"):
        task.held_out("train")


def test_held_out_batches_are_what_the_caller_makes_of_them(rows):
    """Writing into a batch leaves the task's own data alone."""
    for task in (rows, SequentialMNIST(blank=0)):
        before = task.held_out("test", 5), task.sample(5, generator())
        for batch in (task.held_out("test", 5), task.sample(5, generator())):
            batch.s.fill_(9.0)
            batch.target.fill_(9)
            batch.info["label"].fill_(9)
            assert same(before[0], task.held_out("test", 5)) and same(before[1], task.sample(5, generator()))


def test_streams_of_random_numbers_are_apart():
    """torch's generator looks at the lowest 32 bits of a seed; weights, training and held-out data never share one."""
    assert torch.equal(torch.rand(3, generator=generator(5)), torch.rand(3, generator=generator(5 + 2**32)))
    training = range(TRAINING, TRAINING + SEEDS)
    assert training.stop <= 2**32 and training.start >= SEEDS
    assert all(seed >= SEEDS and seed not in training for seed in HELD_OUT.values())
    assert len(set(HELD_OUT.values())) == 2


# Sequential MNIST


def splits(task):
    return {split: x for split, (x, _) in task.parts.items()}


def test_digits_are_split_by_class_without_overlap(rows):
    """Each of the 5,000 stands in one split, with its own label; no two are alike, so none is known from training."""
    parts = rows.parts
    assert {split: len(y) for split, (_, y) in parts.items()} == {"train": 3600, "validation": 400, "test": 1000}
    for _, label in parts.values():
        assert (torch.bincount(label, minlength=10) == len(label) // 10).all()
    images, labels = datasets.digits()
    expected = sorted((image.tobytes(), label) for image, label in zip(images, labels.tolist(), strict=True))
    found = []
    for x, label in parts.values():
        pixels = (x * 255).round().to(torch.uint8).numpy()
        found += [(image.tobytes(), k) for image, k in zip(pixels, label.tolist(), strict=True)]
    assert sorted(found) == expected and len({image for image, _ in found}) == 5000


def test_digits_come_in_mixed_order(rows):
    """The first n of a split are a fair sample, not all of one class."""
    for split in ("validation", "test"):
        assert len(rows.held_out(split, 100).info["label"].unique()) == 10
    assert len(rows.held_out("test")) == 1000


def test_training_samples_are_training_digits(rows):
    x, labels = rows.parts["train"]
    batch = rows.sample(5_000, generator())
    row = {image.numpy().tobytes(): label for image, label in zip(x, labels.tolist(), strict=True)}
    assert all(
        row[image.numpy().tobytes()] == label
        for image, label in zip(batch.s[:, :-1].contiguous(), batch.target[:, 0].tolist(), strict=True)
    )
    counts = torch.bincount(batch.info["label"], minlength=10)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    assert torch.equal(batch.info["label"], batch.target[:, 0]) and (batch.weight == 1).all()


def as_images(task, s):
    """(B, T, N) back to (B, size, size), the blank steps cut off."""
    return s[:, : s.shape[1] - task.blank].reshape(len(s), task.size, task.size)


@pytest.mark.parametrize("by", ["row", "pixel"])
@pytest.mark.parametrize("size", [14, 28])
@pytest.mark.parametrize("blank", [0, 1, 3])
def test_pixels_order_scale_and_averages(by, size, blank, rows):
    task = SequentialMNIST(by, size, blank=blank)
    batch, reference = task.held_out("test", 20), rows.held_out("test", 20)
    T, N = (size, size) if by == "row" else (size * size, 1)
    assert batch.s.shape == (20, T + blank, N) and task.input_size == N and task.output_size == 10
    assert (batch.s[:, T:] == 0).all() and batch.last == 1
    assert torch.equal(batch.target, reference.target)
    full = as_images(rows, reference.s).double().numpy()  # pinned to the bytes of the file above
    expected = full if size == 28 else full.reshape(20, 14, 2, 14, 2).mean((2, 4))
    assert np.allclose(as_images(task, batch.s).numpy(), expected, atol=1e-6)
    s = batch.s.numpy()
    for r, c in [(0, 0), (3, 9), (size // 2, size // 2), (9, 3), (size - 1, size - 1)]:
        seen = s[:, r, c] if by == "row" else s[:, r * size + c, 0]
        assert np.allclose(seen, expected[:, r, c], atol=1e-6)


def test_pixels_are_between_0_and_1(rows):
    x = splits(rows)["train"]
    assert x.min() == 0 and x.max() == 1 and x.dtype == torch.float32
    assert 0.1 < x.mean() < 0.16  # ink on MNIST covers an eighth


def test_rows_run_from_top_to_bottom(rows):
    """A seven has its bar in the upper half, so more ink there: the images stand upright."""
    batch = rows.held_out("test")
    sevens = as_images(rows, batch.s)[batch.info["label"] == 7]
    bar, foot = sevens[:, 7:11].mean((0, 1)), sevens[:, 18:24].mean((0, 1))
    assert (bar > 0.2).sum() > (foot > 0.2).sum()


@pytest.mark.parametrize(("by", "T"), [("row", 28), ("pixel", 784)])
def test_permutation_is_one_for_all_and_fixed(by, T):
    plain, task, again = SequentialMNIST(by), SequentialMNIST(by, permuted=True), SequentialMNIST(by, permuted=True)
    a, b = plain.held_out("test").s[:, :T], task.held_out("test").s
    assert torch.equal(b, again.held_out("test").s) and (b[:, T:] == 0).all()
    columns = {}
    for t in range(T):
        columns.setdefault(a[:, t].numpy().tobytes(), []).append(t)
    order = [columns[b[:, t].contiguous().numpy().tobytes()].pop() for t in range(T)]
    assert sorted(order) == list(range(T)) and order != list(range(T))  # the same steps, each once, in another order
    train = splits(plain)["train"][:50], splits(task)["train"][:50]
    assert torch.equal(train[0][:, order], train[1])  # black border pixels are alike in all digits


@pytest.mark.skipif("ALRNN_DATA" not in os.environ, reason="full MNIST: set ALRNN_DATA to the folder that holds it")
def test_full_mnist_splits():
    task = SequentialMNIST(size=14, data="mnist")
    parts, (_, official) = task.parts, datasets.mnist("test")
    assert {split: len(y) for split, (_, y) in parts.items()} == {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert (parts["test"][1].numpy() == official).all()  # the official test set in its own order
    images, labels = datasets.mnist("train")
    mean = images.reshape(-1, 14, 2, 14, 2).mean((2, 4)) / 255
    expected = np.sort(mean.mean((1, 2)))
    found = torch.cat([parts["train"][0], parts["validation"][0]]).double().mean((1, 2)).sort().values
    assert np.allclose(found.numpy(), expected, atol=1e-6)
    seen = {split: {image.numpy().tobytes() for image in x} for split, (x, _) in parts.items()}
    assert not seen["train"] & seen["validation"] and not seen["train"] & seen["test"]
    both = torch.bincount(parts["train"][1], minlength=10) + torch.bincount(parts["validation"][1], minlength=10)
    assert both.tolist() == np.bincount(labels).tolist()


# Loss and score against loops


def random_batch(metric, B=5, T=6, L=3, O=4, K=None):  # noqa: E741
    g, lead = generator(7), () if K is None else (K,)
    s = torch.randn(*lead, B, T, 2, generator=g, dtype=torch.float64)
    if metric in ("mse", "deviance"):
        target = torch.randn(*lead, B, L, O, generator=g, dtype=torch.float64)
        target = target if metric == "mse" else (3 * target).abs().round()  # counts, 0 among them
    else:
        target = torch.randint(O, (*lead, B, L), generator=g)
    weight = torch.rand(*lead, B, L, generator=g, dtype=torch.float64)
    weight[..., 0, :] = 0.0  # a trial that does not count
    return Batch(s, target, weight)


def task_with(metric):
    task = Task()
    task.metric = metric
    return task


def of_output(metric, what, o, v):
    """Error of one output."""
    if metric == "mse":
        return (o - v) ** 2
    if what == "loss":
        return math.exp(o) - v * o
    return 2 * (math.exp(o) - v - (v * (o - math.log(v)) if v else 0.0))


def naive(metric, y, batch, what):
    """Loss or score of one net, in plain Python."""
    y, target, weight = (x.tolist() for x in (y, batch.target, batch.weight))
    total = mass = 0.0
    for b in range(len(y)):
        for t, w in enumerate(weight[b]):
            out, want = y[b][t], target[b][t]
            if metric in ("mse", "deviance"):
                for o, v, each in zip(out, want, w if isinstance(w, list) else [w] * len(out), strict=True):
                    total, mass = total + each * of_output(metric, what, o, v), mass + each
                continue
            if what == "loss" or metric == "cross_entropy":
                value = math.log(sum(math.exp(o) for o in out)) - out[want]
            else:
                value = float(max(range(len(out)), key=out.__getitem__) == want)
            total, mass = total + w * value, mass + w
    return total / mass


@pytest.mark.parametrize("metric", ["mse", "accuracy", "cross_entropy", "deviance"])
@pytest.mark.parametrize("what", ["loss", "score"])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_loss_and_score_equal_a_loop(metric, what, own):
    """For one net, and for K nets on one batch or on one each."""
    K, task = 3, task_with(metric)
    batch = random_batch(metric, K=K if own else None)
    y = torch.randn(K, 5, 3, 4, generator=generator(8), dtype=torch.float64)
    found = getattr(task, what)(y, batch)
    assert found.shape == (K,)
    for k in range(K):
        one = Batch(batch.s[k], batch.target[k], batch.weight[k]) if own else batch
        expected = naive(metric, y[k], one, what)
        assert found[k].item() == pytest.approx(expected, abs=1e-12)
        assert getattr(task, what)(y[k], one).item() == pytest.approx(expected, abs=1e-12)
        assert getattr(task, what)(y[k], one).shape == ()


@pytest.mark.parametrize("metric", ["mse", "deviance"])
@pytest.mark.parametrize("what", ["loss", "score"])
def test_weights_of_outputs_equal_a_loop(metric, what):
    task, batch = task_with(metric), random_batch(metric)
    batch = replace(batch, weight=torch.rand(5, 3, 4, generator=generator(9), dtype=torch.float64).round(decimals=1))
    y = torch.randn(2, 5, 3, 4, generator=generator(8), dtype=torch.float64)
    found = getattr(task, what)(y, batch)
    assert found.tolist() == pytest.approx([naive(metric, x, batch, what) for x in y], abs=1e-12)


@pytest.mark.parametrize("metric", ["mse", "accuracy", "cross_entropy", "deviance"])
def test_steps_read_anywhere_and_an_offset_equal_a_loop(metric):
    """`at` picks the steps trial by trial; y may be given at all steps or at those that are read."""
    task, plain, at = task_with(metric), random_batch(metric), torch.tensor([[0, 3, 3], [5, 4, 0], [1, 2, 3]])
    at = at[[0, 1, 2, 1, 0]]
    offset = torch.randn(5, 3, 4, generator=generator(9), dtype=torch.float64)
    batch = replace(plain, at=at, offset=offset)
    y = torch.randn(2, 5, 6, 4, generator=generator(8), dtype=torch.float64)
    read = torch.stack([torch.stack([y[k, b, at[b]] for b in range(5)]) for k in range(2)])
    for what in ("loss", "score"):
        for given in (y, read):
            found = getattr(task, what)(given, batch)
            expected = [naive(metric, x + offset, plain, what) for x in read]
            assert found.tolist() == pytest.approx(expected, abs=1e-12)
    assert task.score(y, batch).dtype == torch.float64 and task.score(y[0].float(), batch.to(torch.float32)).dim() == 0


@pytest.mark.parametrize("metric", ["mse", "accuracy"])
def test_outputs_of_all_steps_are_cut_to_the_last(metric):
    task, batch = task_with(metric), random_batch(metric)
    y = torch.randn(5, 6, 4, generator=generator(8), dtype=torch.float64)
    for what in (task.loss, task.score):
        assert torch.equal(what(y, batch), what(y[:, 3:], batch))


def test_cross_entropy_and_accuracy_of_known_answers(rows):
    batch = rows.held_out("test")
    right = 50.0 * torch.nn.functional.one_hot(batch.target, 10)
    assert rows.score(right, batch) == 1 and rows.loss(right, batch) < 1e-6
    assert rows.score(-right, batch) == 0
    constant = torch.zeros(1000, 1, 10)
    assert rows.loss(constant, batch).item() == pytest.approx(math.log(10), abs=1e-6)
    constant[..., 3] = 1.0
    assert rows.score(constant, batch).item() == pytest.approx(rows.chance, abs=1e-6)


# Batch


def test_batch_indexing(rows):
    batch = Adding(10).sample(6, generator())
    for index in (slice(1, 4), [4, 0], torch.tensor([2, 2]), torch.arange(6) > 3):
        part = batch[index]
        assert torch.equal(part.s, batch.s[index]) and torch.equal(part.target, batch.target[index])
        assert torch.equal(part.weight, batch.weight[index])
        assert torch.equal(part.info["marked"], batch.info["marked"][index])
        assert len(part) == len(batch.s[index])
    for i in (2, -1, np.int64(3), torch.tensor(4)):
        assert len(batch[i]) == 1 and torch.equal(batch[i].s[0], batch.s[i])
    assert len(list(batch)) == 6
    with pytest.raises(IndexError):
        batch[6]


def test_batch_to(rows):
    for batch in (Adding(10).sample(4, generator()), rows.sample(4, generator())):
        double, classes = batch.to(torch.float64), not batch.target.is_floating_point()
        assert double.s.dtype == double.weight.dtype == torch.float64
        assert double.target.dtype == (torch.int64 if classes else torch.float64)
        assert batch.s.dtype == torch.float32 and torch.equal(double.s.float(), batch.s)
        meta = batch.to("meta")
        for other in (meta, meta.to(torch.float64), batch.to(torch.zeros(1, device="meta"))):  # a dtype moves nothing
            assert {x.device.type for x in (other.s, other.target, other.weight)} == {"meta"}
            assert other.target.is_floating_point() != classes


def test_batch_per_net():
    batches = [Adding(10).sample(4, generator(seed)) for seed in (0, 1)]
    joined = Batch.per_net(batches, torch.tensor([1, 0, 1]))
    assert joined.s.shape == (3, 4, 10, 2) and len(joined) == 4 and joined.last == 1
    for k, source in enumerate((1, 0, 1)):
        assert same(Batch(joined.s[k], joined.target[k], joined.weight[k]), batches[source])
    assert torch.equal(joined.info["marked"][2], batches[1].info["marked"])
    with pytest.raises(ValueError, match="not from one with a net dimension"):
        joined[0]


def full_batch(K=None, words=False):
    """With a target at each of 6 steps, and all else that such a batch may hold."""
    g, lead = generator(3), () if K is None else (K,)
    s = torch.randint(4, (*lead, 5, 6), generator=g) if words else torch.randn(*lead, 5, 6, 2, generator=g)
    target, weight = torch.randn(*lead, 5, 6, 3, generator=g), torch.rand(*lead, 5, 6, generator=g)
    return Batch(s, target, weight, {"trial": torch.arange(5).expand(*lead, 5)}, offset=0.1 * target)


@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize("words", [False, True])
def test_batches_in_parts(K, words):
    """Trials by number and windows of steps put together again are the whole."""
    batch, dim = full_batch(K, words), 0 if K is None else 1
    for parts, along in (
        (list(batch.split(2)), dim),
        ([batch.window(0, 1), batch.window(1, 5), batch.window(5, 6)], dim + 1),
    ):
        assert [len(p) if along == dim else p.steps for p in parts] == ([2, 2, 1] if along == dim else [1, 4, 1])
        for name in ("s", "target", "weight", "offset"):
            assert torch.equal(torch.cat([getattr(p, name) for p in parts], along), getattr(batch, name))
        assert all(p.at is None and p.given is None and p.stacked == batch.stacked for p in parts)
    assert torch.equal(torch.cat([p.info["trial"] for p in batch.split(2)], dim), batch.info["trial"])
    with pytest.raises(ValueError, match="only sequences with a target at each of their T = 6 steps can be windowed"):
        replace(batch, weight=batch.weight[..., 1:]).window(0, 2)


# Bad arguments


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Adding(marks="both"), "marks must be first_half or halves, got 'both'"),
        (lambda: Adding(2), "length must be an integer of at least 4, got 2"),
        (lambda: Adding(11), "length must be even, got 11"),
        (lambda: Adding(10.0), "length must be an integer of at least 4, got 10.0"),
        (lambda: Adding(blank=-1), "blank must be an integer of at least 0, got -1"),
        (lambda: SequentialMNIST("column"), r"by must be one of \('row', 'pixel'\), got 'column'"),
        (lambda: SequentialMNIST(size=7), r"size must be one of \(14, 28\), got 7"),
        (lambda: SequentialMNIST(data="fashion"), r"data must be one of \('digits', 'mnist'\), got 'fashion'"),
        (lambda: SequentialMNIST(blank=-1), "blank must be an integer of at least 0, got -1"),
        (lambda: SequentialMNIST(blank=0.5), "blank must be an integer of at least 0, got 0.5"),
        (lambda: SequentialMNIST().held_out("test", 1001), "n must be an integer from 1 to 1000, got 1001"),
        (lambda: SequentialMNIST().held_out("validation", -1), "n must be an integer from 1 to 400, got -1"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("task", [Adding, SequentialMNIST])
def test_tasks_say_what_they_are(task):
    assert task.name and task.paper and task.tags and task.metric in ("mse", "accuracy")
