"""Sentiment: the generated language, its linear limit and exact net; film reviews, how they are read and split."""

import functools
import os
import re
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import alrnn
from alrnn import ALRNN, datasets, theory
from alrnn.nets import GRU, LSTM, RNN
from alrnn.sweep import describe
from alrnn.tasks import GeneratedSentiment, Sentiment
from alrnn.tasks.sentiment import NEUTRAL, UNKNOWN, VALENCE, tokens

TASKS = [GeneratedSentiment(), GeneratedSentiment(1, (0, 0), 0.5), GeneratedSentiment(5, (3, 3), 0.0)]
ids = ["default", "one word", "no not"]
needs_reviews = pytest.mark.skipif(
    not os.environ.get("ALRNN_DATA"), reason="ALRNN_DATA is not set: the film reviews are not at hand"
)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


# The generated language


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_texts_read_word_by_word(task):
    """Each text as a reader would take it: "not" turns the next word over, the sum decides, no sum is 0."""
    known = {word: v for v, group in VALENCE.items() for word in group}
    batch = task.sample(300, gen())
    assert batch.s.shape == (300, 2 * task.valenced + task.neutral[1] + 1) and batch.s.dtype == torch.int64
    for s, target, valence, total in zip(
        batch.s, batch.target, batch.info["valence"], batch.info["total"], strict=True
    ):
        words = task.text(s)
        assert (s[: -len(words)] == -1).all() and (s[-len(words) :] >= 0).all()  # padding in front and nowhere else
        meant = [(-1 if before == "not" else 1) * known.get(word, 0) for before, word in pairwise(["", *words])]
        assert valence.tolist() == [0] * (len(s) - len(words)) + meant
        assert sum(meant) == total != 0 and target.item() == (sum(meant) > 0)
        assert words[-1] == "." and words.count(".") == 1
        assert sum(word in known for word in words) == task.valenced
        assert task.neutral[0] <= sum(word in NEUTRAL for word in words) <= task.neutral[1]
        assert all(after in known for word, after in pairwise(words) if word == "not")


def test_words_negations_and_classes_are_as_frequent_as_stated():
    task = GeneratedSentiment()
    batch = task.held_out("test")
    share = (batch.s == task.negator).sum().item() / (len(batch) * task.valenced)
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / (len(batch) * task.valenced)) ** 0.5
    counts = torch.bincount(batch.s[batch.s >= 0], minlength=task.input_size)
    for group in (task.valence != 0, torch.tensor([word in NEUTRAL for word in task.words])):
        expected = counts[group].sum() / group.sum()
        assert ((counts[group] - expected).abs() < 5 * expected**0.5).all()
    assert abs(batch.target.double().mean() - task.chance) < 4 * 0.5 / len(batch) ** 0.5
    lengths = (batch.s >= 0).sum(1)
    assert lengths.min() < 18 and lengths.max() > 25  # variable


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_same_seed_same_texts(task):
    random = torch.get_rng_state()
    first, again, other = task.sample(50, gen(1)), task.sample(50, gen(1)), task.sample(50, gen(2))
    assert torch.equal(first.s, again.s) and torch.equal(first.target, again.target)
    assert not torch.equal(first.s, other.s)
    assert torch.equal(task.held_out("test", 50).s, task.held_out("test", 50).s)
    assert not torch.equal(task.held_out("test", 50).s, task.held_out("validation", 50).s)
    assert torch.equal(random, torch.get_rng_state())
    assert type(task)(**task.settings()).settings() == task.settings()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GeneratedSentiment(4), "valenced must be odd, got 4"),
        (lambda: GeneratedSentiment(-1), "valenced must be an integer of at least 1, got -1"),
        (lambda: GeneratedSentiment(neutral=(3, 2)), r"neutral\[1\] must be an integer of at least 3, got 2"),
        (lambda: GeneratedSentiment(negated=1.5), "negated must be between 0 and 1, got 1.5"),
        (lambda: Sentiment(1), "vocabulary must be an integer of at least 2, got 1"),
        (lambda: Sentiment(length=0), "length must be an integer of at least 1, got 0"),
        (lambda: GeneratedSentiment().held_out("train"), "split must be validation or test, got 'train'"),
        (lambda: theory.negation_limits([1, 2], 3, 0.1), "each with its opposite"),
        (lambda: theory.negation_limits([-0.5, 0.5], 3, 0.1), "must be whole numbers"),
        (lambda: theory.negation_limits([-1, 1], 3, 1.1), "negated between 0 and 1, got 3 and 1.1"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# What a linear net can reach, and the exact net


@pytest.mark.parametrize(("valences", "words"), [([-1, 1], 3), ([-3, -1, 1, 3], 3), ([-2, -1, 1, 2], 2)])
@pytest.mark.parametrize("negated", [0.0, 0.2, 0.5, 0.9])
def test_limits_by_enumeration(valences, words, negated):
    """All texts, one by one: how the sums as written and as meant correlate, how often their signs agree."""
    agree = sx = sy = xy = 0.0
    for v in product(valences, repeat=words):
        for n in product((1, -1), repeat=words):
            p = np.prod([(negated if k < 0 else 1 - negated) / len(valences) for k in n])
            x, y = sum(v), int(np.dot(v, n))
            agree += p * (1 + np.sign(x * (1 - 2 * negated)) * np.sign(y)) / 2
            sx, sy, xy = sx + p * x * x, sy + p * y * y, xy + p * x * y
    found = theory.negation_limits(valences, words, negated)
    assert found.accuracy == pytest.approx(agree) and found.explained == pytest.approx(xy**2 / (sx * sy))


def test_accuracy_tends_to_the_arcsine_law():
    for negated in (0.1, 0.25, 0.5, 0.8):
        near, far = (theory.negation_limits([-3, -1, 1, 3], words, negated) for words in (11, 101))
        assert far.accuracy == pytest.approx(far.long, abs=2e-3)
        assert abs(far.accuracy - far.long) <= abs(near.accuracy - near.long) + 1e-12


def test_the_best_affine_prediction_passes_over_not():
    """Least squares on all words at all steps, fitted on one sample and tried on another."""
    task = GeneratedSentiment(3, (0, 2), 0.25)
    fitted, tried = task.sample(60_000, gen(1)), task.sample(60_000, gen(2))

    def inputs(batch):
        one_hot = torch.nn.functional.one_hot(batch.s + 1, task.input_size + 1)[..., 1:].flatten(1).double()
        return torch.cat([one_hot, torch.ones(len(batch), 1)], 1)

    total = fitted.info["total"].double()
    weights = torch.linalg.lstsq(inputs(fitted), total[:, None], driver="gelsd").solution[:, 0]
    error = (inputs(tried) @ weights - tried.info["total"]).var()
    limit = 1 - theory.negation_limits(list(VALENCE), 3, 0.25).explained
    assert limit == 0.75 and error / tried.info["total"].var() == pytest.approx(limit, abs=0.02)
    written = 0.5 * torch.where(tried.s >= 0, task.valence[tried.s], 0).sum(1)
    assert (written - tried.info["total"]).var() / tried.info["total"].var() == pytest.approx(limit, abs=0.02)


def test_fitted_cross_entropy_comes_to_the_limit():
    """A bag of words, which is a net with M = 1, P = 0 and self-weight 1: weights in order of valence, 0 on "not"."""
    task = GeneratedSentiment()
    bag = ALRNN(task.input_size, 1, 0, 2, init=alrnn.Init("slow", W=0.0, C=0.3))
    bag.W.requires_grad_(False)
    alrnn.fit(bag, task, steps=300, batch_size=128, lr=2e-2, progress=False)
    test = task.sample(40_000, gen(9))
    limit = theory.negation_limits(list(VALENCE), task.valenced, task.negated).accuracy
    assert alrnn.evaluate(bag, task, test).item() == pytest.approx(limit, abs=0.012)
    weights = (bag.D[1] - bag.D[0]).detach() * bag.C[0].detach()
    assert torch.corrcoef(torch.stack([weights, task.valence]))[0, 1] > 0.98
    assert weights[task.negator].abs() < 0.3 * weights.abs().max()


@pytest.mark.parametrize("task", [*TASKS, GeneratedSentiment(31, (0, 40), 0.5)])
def test_exact_net(task):
    net, test = theory.exact_negation(task.valence, task.negator), task.held_out("test", 2000)
    assert net.nonlinear_size == 1 and net.hidden_size == 3
    assert alrnn.evaluate(net, task, test) == 1
    z = net(test.s)[1]
    torch.testing.assert_close(z[:, -1, 1], test.info["total"].double(), rtol=0, atol=1e-9)
    assert (z[test.s < 0] == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, GeneratedSentiment.input_size - 2), min_size=1, max_size=30))
def test_exact_net_on_any_words(words):
    """Also where "not" stands before a neutral word or another "not", which the language does not do.

    Not directly before the full stop: what "not" adds there would be taken back one step too late.
    """
    task = GeneratedSentiment()
    v = task.valence[words].tolist()
    expected = sum(x * (-1 if i and words[i - 1] == task.negator else 1) for i, x in enumerate(v))
    ending = [task.words.index(word) for word in ("film", ".")]
    z = theory.exact_negation(task.valence, task.negator)(torch.tensor([[*words, *ending]]))[1]
    assert z[0, -1, 1].item() == pytest.approx(expected, abs=1e-9)


# Padding, and baselines that read words


@settings(max_examples=15, deadline=None)
@given(P=st.integers(0, 6), more=st.integers(1, 9), seed=st.integers(0, 99))
def test_padding_changes_no_score(P, more, seed):
    task = GeneratedSentiment(3, (0, 4))
    batch = task.sample(40, gen(seed))
    net = ALRNN(task.input_size, 6, P, 2, seed, alrnn.Init(W=0.3, C=0.5, D=1.0)).double()
    torch.nn.init.normal_(net.h, generator=gen(seed))
    padded = torch.cat([torch.full((40, more), -1), batch.s], 1)
    torch.testing.assert_close(net(padded)[0][:, more:], net(batch.s)[0], rtol=0, atol=1e-12)
    for i in range(40):
        alone = net(batch.s[i][batch.s[i] >= 0][None])[0][0, -1]
        torch.testing.assert_close(net(padded)[0][i, -1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_nets_of_torch_begin_with_the_text(kind):
    net = kind(20, 6, 2, 0, "words").double()
    s = torch.randint(20, (4, 9), generator=gen())
    starts = (0, 4, 8, 2)
    for text, start in zip(s, starts, strict=True):
        text[:start] = -1
    y = net(s)[0]
    for i, start in enumerate(starts):
        torch.testing.assert_close(y[i, start:], net(s[i : i + 1, start:])[0][0])
        assert not torch.allclose(y[i, -1], net(s[i : i + 1].clamp(min=0))[0][0, -1]) or start == 0


# Film reviews


def test_tokens():
    text = "Don't!<br /><br />It's a 10/10 film... isn't it? \"Très bien\", l'été_x"
    words = ["don't", "!", "it's", "a", "10", "10", "film", ".", ".", ".", "isn't", "it", "?"]
    assert tokens(text) == [*words, "très", "bien", "l'été", "x"]
    assert tokens("") == []


def made_up(split):
    """Reviews of 0 to 5 words; some repeated, some in both splits, some words only in the test set."""
    shared = ["A shared text.", "another SHARED text!"]
    if split == "test":
        return [*shared, "only tested words", "good film", "good film", "bad film"], np.array([0, 1, 0, 1, 1, 0])
    texts = [f"film number{i % 7} text {'good' if i % 2 else 'bad'} {i}" for i in range(3000)]
    labels = np.arange(3000) % 2
    return ["a shared <br />text .", "ANOTHER shared text!", *texts, texts[5], ""], np.array([0, 1, *labels, 1, 0])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(datasets, "imdb", made_up)
    return Sentiment(12, 4)


def test_reviews_are_split_without_overlap(small):
    as_text = {split: [" ".join(text) for text in texts] for split, (texts, _) in small.texts.items()}
    assert {split: len(texts) for split, texts in as_text.items()} == {"validation": 2500, "train": 501, "test": 6}
    training = as_text["train"] + as_text["validation"]
    assert len(set(training)) == len(training) and not set(training) & set(as_text["test"])
    truth = {" ".join(tokens(text)): label for text, label in zip(*made_up("train"), strict=True)}
    for split in ("train", "validation"):
        assert [truth[text] for text in as_text[split]] == small.texts[split][1].tolist()
    assert 0.4 < small.texts["validation"][1][:200].mean() < 0.6  # in mixed order


def test_vocabulary_is_that_of_the_training_texts(small):
    counts = Counter(word for text in small.texts["train"][0] for word in text)
    assert small.words[0] == UNKNOWN and len(small.words) == small.input_size == 12
    listed = [counts[word] for word in small.words[1:]]
    assert listed == sorted(counts.values(), reverse=True)[:11]
    assert not {"only", "tested", "words", "shared"} & set(small.words)
    only_held_out = {w for text in small.texts["validation"][0] for w in text} - set(counts)
    assert only_held_out and not only_held_out & set(small.words)


def test_reviews_as_numbers(small):
    s = small.read(["film", "good bad film text good", "", ["bad", "nowhere"]])
    assert s[0].tolist() == [-1, -1, -1, small.words.index("film")]
    assert small.text(s[1]) == ["bad", "film", "text", "good"]  # the last four
    assert (s[2] == -1).all() and small.text(s[3]) == ["bad", UNKNOWN]
    batch = small.sample(400, gen())
    assert batch.s.shape == (400, 4) and batch.s.dtype == torch.int64
    training = {tuple(row) for row in small.parts["train"][0].tolist()}
    assert {tuple(row) for row in batch.s.tolist()} <= training
    good, bad = (small.words.index(word) for word in ("good", "bad"))
    assert all((good in s) == (label == 1) or bad not in s for s, label in zip(batch.s, batch.target, strict=True))
    batch.s.fill_(0)
    assert (small.held_out("test").s >= 0).any() and len(small.held_out("test", 3)) == 3
    with pytest.raises(ValueError, match="n must be an integer from 1 to 6, got 7"):
        small.held_out("test", 7)
    with pytest.raises(ValueError, match="split must be validation or test, got 'train'"):
        small.held_out("train")


def test_settings_need_no_reviews(monkeypatch):
    monkeypatch.setattr(datasets, "imdb", lambda split: pytest.fail("reviews were read"))
    task = Sentiment()
    assert task.settings() == {"vocabulary": 8000, "length": 200} and task.input_size == 8000
    assert describe(ALRNN(8000, 16, 2, 2), task)["task_vocabulary"] == 8000


def test_too_many_words_asked_for(monkeypatch):
    monkeypatch.setattr(datasets, "imdb", made_up)
    with pytest.raises(ValueError, match="the training texts have .* words, fewer than 100000"):
        _ = Sentiment(100_000).words


@needs_reviews
def test_the_film_reviews(monkeypatch):
    monkeypatch.setattr(datasets, "imdb", functools.cache(datasets.imdb))
    task = Sentiment(2000, 50)
    sizes = {split: len(texts) for split, (texts, _) in task.texts.items()}
    assert sizes["test"] == 25_000 and sizes["validation"] == 2500
    held_out = {" ".join(text) for split in ("validation", "test") for text in task.texts[split][0]}
    training = [" ".join(text) for text in task.texts["train"][0]]
    assert not held_out & set(training) and len(set(training)) == len(training)
    raw = [datasets.imdb(split)[0] for split in ("train", "test")]
    assert len(set(raw[0]) & set(raw[1])) == 123
    assert sizes["train"] + sizes["validation"] == 25_000 - 123 - 99  # and 99 repeated ones
    for split in ("train", "validation", "test"):
        s, labels = task.parts[split]
        assert s.shape == (sizes[split], 50) and 0.48 < labels.double().mean() < 0.52
        for i in (0, 17):
            text = task.texts[split][0][i][-50:]
            assert [word if word in task.words else UNKNOWN for word in text] == task.text(s[i])
    assert {"the", "not", ".", "film"} <= set(task.words[:60])
    assert all(re.fullmatch(r"[^\W_]+(?:'[^\W_]+)*|[.!?]", word) for word in task.words[1:])
