"""Spoken digits: an honest split, normalisation from training data alone, and the readout at the true end."""

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

import alrnn
from alrnn import datasets
from alrnn.nets import GRU, LSTM, RNN
from alrnn.tasks import Batch, SpokenDigits


@pytest.fixture(scope="module")
def task():
    return SpokenDigits()


@pytest.fixture(scope="module")
def raw():
    mfccs, lengths, labels = datasets.spoken_digits()
    return [mfcc[:length].astype(float) for mfcc, length in zip(mfccs, lengths, strict=True)], labels


def sources(task, split, recordings):
    """Which of these recordings those of a split are, found by length and content in the file's own units."""
    s, length, _ = task.parts[split]
    mine = [x[:n].double().numpy() * task.scale + task.mean for x, n in zip(s, length, strict=True)]
    have, want = (
        np.array([[1e3 * len(x), *x.mean(0), *x[0], *x[-1]] for x in xs])
        for xs in ([r[-task.frames :] for r in recordings], mine)
    )
    apart, index = KDTree(have).query(want, k=2)
    assert (apart[:, 0] < 1e-2).all() and (apart[:, 1] > 1).all()  # found, and no other is like it
    return index[:, 0]


def spoken(batch):
    """Which steps of a batch hold frames, by a loop."""
    T = batch.s.shape[1]
    return torch.tensor([[t < n for t in range(T)] for n in batch.info["length"].tolist()])


def test_the_split_is_disjoint_complete_and_balanced(task, raw):
    found = {split: sources(task, split, raw[0]) for split in task.parts}
    assert sorted(np.concatenate(list(found.values()))) == list(range(3000))
    for split, count in {"train": 180, "validation": 40, "test": 80}.items():
        label = task.parts[split][2].numpy()
        assert np.array_equal(raw[1][found[split]], label)
        assert np.array_equal(np.bincount(label), [count] * 10)
        assert len(set(label[:30])) > 5  # in mixed order: the first n are a fair sample


def test_the_split_is_the_same_whatever_the_settings(task, raw):
    other, few = SpokenDigits(frames=92, noise=0.0, blank=0), SpokenDigits(clips=10)
    for split in ("validation", "test"):
        mine = sources(task, split, raw[0])
        assert np.array_equal(sources(other, split, raw[0]), mine)
        assert np.array_equal(sources(few, split, raw[0]), mine)
    assert np.array_equal(sources(other, "train", raw[0]), sources(task, "train", raw[0]))
    assert set(sources(few, "train", raw[0])) <= set(sources(task, "train", raw[0]))


@pytest.mark.parametrize("clips", [None, 10])
def test_normalisation_is_that_of_the_training_recordings_in_use(clips):
    task = SpokenDigits(clips=clips)
    s, length, label = task.parts["train"]
    assert np.array_equal(np.bincount(label), [clips or 180] * 10)
    frames = torch.cat([x[:n] for x, n in zip(s, length, strict=True)]).double()
    assert torch.allclose(frames.mean(0), torch.zeros(13, dtype=torch.double), atol=1e-4)
    assert torch.allclose(frames.std(0, correction=0), torch.ones(13, dtype=torch.double), atol=1e-4)
    others = torch.cat([x[:n] for x, n in zip(*task.parts["test"][:2], strict=True)])
    assert 0.001 < others.mean(0).abs().max() < 1  # scaled alike, not each for itself


@pytest.mark.parametrize(("frames", "blank"), [(40, 1), (92, 0), (10, 3)])
def test_recordings_start_at_step_0_and_are_read_out_at_their_true_end(frames, blank, raw):
    task = SpokenDigits(frames=frames, blank=blank)
    batch = task.held_out("test")
    length = batch.info["length"]
    assert batch.s.shape == (800, frames + blank, 13) and batch.last == 1
    assert torch.equal((batch.s != 0).any(-1), spoken(batch))
    assert torch.equal(batch.weight, torch.ones(800, 1))
    assert torch.equal(batch.at, length[:, None] - 1 + blank)
    assert torch.equal(batch.target, batch.info["label"][:, None])
    kept = sources(task, "test", raw[0])  # the last frames, where there are more
    assert [len(raw[0][i][-frames:]) for i in kept] == length.tolist()


def one_alone(task, batch, i):
    """Trial i cut to its own frames and blank steps, read out at its last step."""
    end = int(batch.info["length"][i]) + task.blank
    return batch.s[i : i + 1, :end]


@pytest.mark.parametrize("P", [0, 3, 8])
def test_a_score_does_not_depend_on_padding_or_company(task, P):
    """Each recording alone, without any padding, gives the same output; whatever stands in the padding."""
    net = alrnn.ALRNN(13, 8, P, 10, seed=1, init=alrnn.Init("spread", W=0.2, pwl=0.5)).double()
    with torch.no_grad():
        net.h.normal_(generator=torch.Generator().manual_seed(0))  # the state moves in silence, too
    batch = task.held_out("test", 50).to(torch.float64)
    alone = torch.cat([net(one_alone(task, batch, i))[0][:, -1] for i in range(50)])
    loss = torch.nn.functional.cross_entropy(alone, batch.info["label"])
    right = (alone.argmax(1) == batch.info["label"]).double().mean()
    noise = torch.randn(batch.s.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    after = torch.arange(task.frames + 1) > batch.at
    for s in (batch.s, batch.s + 100 * noise * after[..., None]):
        y = net(s)[0]
        assert torch.allclose(task.loss(y, batch), loss, atol=1e-12)
        assert task.score(y, batch) == right
    assert torch.allclose(alrnn.evaluate(net, task, batch, chunk=7), right[None])
    y = net(batch.s + noise)[0]  # while a changed recording does change the outcome
    assert not torch.allclose(task.loss(y, batch), loss, atol=1e-3)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_other_kinds_too_are_read_out_at_the_true_end(task, kind):
    net = kind(13, 6, 10).double()
    batch = task.held_out("validation", 20).to(torch.float64)
    with torch.no_grad():
        alone = torch.cat([net(one_alone(task, batch, i))[0][:, -1] for i in range(20)])
        loss = task.loss(alrnn.Stack([net]).run(batch), batch)
    expected = torch.nn.functional.cross_entropy(alone, batch.info["label"])
    assert torch.allclose(loss, expected, atol=1e-12) and torch.allclose(task.loss(net(batch.s)[0], batch), expected)
    right = (alone.argmax(1) == batch.info["label"]).double().mean()
    assert alrnn.evaluate(net, task, batch, chunk=7) == right


def test_loss_and_score_read_each_recording_at_its_own_step(task):
    """Of outputs at all steps, of one net or three, which share the recordings or not; no other step matters."""
    generator = torch.Generator().manual_seed(0)
    batches = [task.sample(4, generator) for _ in range(2)]
    both = Batch.per_net(batches, torch.tensor([0, 1, 0]))
    for batch, shape in ((batches[0], (4,)), (batches[0], (3, 4)), (both, (3, 4))):
        y = torch.randn(*shape, 41, 10, generator=generator, requires_grad=True)
        at, digit = (x.expand(*shape, 1)[..., 0] for x in (batch.at, batch.target))
        read = y.gather(-2, at[..., None, None].expand(*shape, 1, 10))[..., 0, :]
        chosen = torch.log_softmax(read, -1).gather(-1, digit[..., None])[..., 0]
        loss = task.loss(y, batch)
        torch.testing.assert_close(loss, -chosen.mean(-1))
        torch.testing.assert_close(task.score(y, batch).float(), (read.argmax(-1) == digit).float().mean(-1))
        loss.sum().backward()
        assert torch.equal((y.grad != 0).any(-1), torch.arange(41) == at[..., None])


def test_samples_are_training_recordings_with_noise_on_their_frames_alone(task):
    still, noisy = (SpokenDigits(noise=noise).sample(500, torch.Generator().manual_seed(0)) for noise in (0.0, 0.3))
    assert torch.equal(still.target, noisy.target)
    known = {s.numpy().tobytes() for s in task.parts["train"][0]}
    assert {s.numpy().tobytes() for s in still.s} <= known
    change, on = noisy.s - still.s, spoken(still)
    assert not change[~on].any() and abs(change[on].std() - 0.3) < 0.01 and abs(change[on].mean()) < 0.01


def test_sampling_does_not_touch_the_recordings():
    task = SpokenDigits(noise=5.0)
    before = task.parts["train"][0].clone()
    task.sample(10, torch.Generator().manual_seed(0)).s.zero_()
    assert torch.equal(task.parts["train"][0], before)


def test_chance_is_the_score_of_a_constant_answer(task):
    batch = task.held_out("test")
    for digit in range(10):
        y = torch.zeros(800, 41, 10)
        y[..., digit] = 1
        assert task.score(y, batch) == pytest.approx(task.chance)


def test_held_out_takes_the_first(task):
    few, all_of_them = task.held_out("validation", 7), task.held_out("validation")
    assert len(all_of_them) == 400 and torch.equal(few.s, all_of_them[:7].s)
    assert torch.equal(few.info["length"], all_of_them.info["length"][:7])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SpokenDigits(frames=0), "frames must be an integer from 1 to 92, got 0"),
        (lambda: SpokenDigits(frames=93), "frames must be"),
        (lambda: SpokenDigits(noise=-1), "noise must be at least 0 and finite, got -1"),
        (lambda: SpokenDigits(noise=float("nan")), "noise must be"),
        (lambda: SpokenDigits(clips=181), "clips must be an integer from 1 to 180, got 181"),
        (lambda: SpokenDigits(clips=0), "clips must be"),
        (lambda: SpokenDigits(blank=-1), "blank must be an integer from 0 to 100, got -1"),
        (lambda: SpokenDigits().held_out("train"), "split must be validation or test, got 'train'"),
        (lambda: SpokenDigits().held_out("test", 801), "n must be an integer from 1 to 800, got 801"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()
