"""Sentiment: is a text favourable? A generated language whose truth is known, and film reviews (Maas et al. 2011)."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .. import datasets
from ..checks import integer
from .base import Batch, Recorded, Task

VALENCE = {
    -5: ("dreadful", "unbearable"),
    -3: ("bad", "boring"),
    -1: ("dull", "uneven"),
    1: ("decent", "fair"),
    3: ("good", "moving"),
    5: ("superb", "brilliant"),
}
NEUTRAL = ("film", "plot", "scene", "actor", "camera", "music", "story", "and", "the", "in")
UNKNOWN = "<unknown>"


class Texts(Task):
    """Words in, class 1 (favourable) or 0 out, asked for at the last word. One input a word: `words` names them.

    Texts are right-aligned; before those that are shorter than T stands -1, which leaves a net's state at zero.
    """

    inputs = "words"
    output_size = 2
    metric = "accuracy"
    chance = 1 / 2

    @property
    def words(self) -> Sequence[str]:
        """The name of each input."""
        raise NotImplementedError

    def text(self, s: Tensor) -> list[str]:
        """The words of one text s (T,), padding left out."""
        return [self.words[i] for i in s.tolist() if i >= 0]


class GeneratedSentiment(Texts):
    """A generated language: words of known valence, neutral words, and "not", which turns the next word's valence over.

    A text has a fixed odd number of valenced words (-5, -3, -1, 1, 3 or 5, equally likely), each directly behind a
    "not" with probability `negated`, in random order among some neutral words, and a full stop, which gives the last
    word time to pass a PWL unit. The class is 1 if the sum S of the valences as meant is above 0; it is never 0.

    Args:
        valenced: words that count in each text, an odd number. neutral: the fewest and the most others.
        negated: probability that a valenced word is negated.

    chance: 1/2. What a linear net can reach: `theory.negation_limits`.
    """

    name = "generated_sentiment"
    paper = "Maheswaranathan, Williams, Golub, Ganguli & Sussillo 2019"
    tags = ("synthetic", "language", "integration", "gating", "variable length")
    words = (*(word for group in VALENCE.values() for word in group), *NEUTRAL, "not", ".")
    input_size = len(words)
    valence = torch.tensor([v for v, group in VALENCE.items() for _ in group] + [0] * (len(NEUTRAL) + 2)).float()
    negator = words.index("not")

    def __init__(self, valenced: int = 9, neutral: tuple[int, int] = (4, 10), negated: float = 0.25):
        if integer("valenced", valenced, 1) % 2 == 0:
            raise ValueError(f"valenced must be odd, got {valenced}")
        low, high = neutral
        if not 0 <= negated <= 1:
            raise ValueError(f"negated must be between 0 and 1, got {negated!r}")
        self.valenced, self.negated = int(valenced), negated
        self.neutral = (low := integer("neutral[0]", low, 0)), integer("neutral[1]", high, low)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n texts, s (n, T) with T = 2 valenced + the most neutral words + 1.

        info: valence (n, T), what each word adds to S (0 for "not" and before the text), and total (n,), S.
        """
        (low, high), V, kinds = self.neutral, self.valenced, int((self.valence != 0).sum())
        word = torch.randint(kinds, (n, V), generator=generator)
        other = torch.randint(kinds, kinds + len(NEUTRAL), (n, high), generator=generator)
        many = torch.randint(low, high + 1, (n, 1), generator=generator)
        word = torch.cat([word, torch.where(torch.arange(high) < many, other, -1)], 1)
        negated = torch.rand(n, V + high, generator=generator) < self.negated
        negated[:, V:] = False
        order = torch.rand(n, V + high, generator=generator).argsort(1)
        word, negated = word.gather(1, order), negated.gather(1, order)
        before = torch.where(negated, self.negator, -1)
        valence = self.valence[word] * (1 - 2.0 * negated)  # word -1, none, is the full stop's: 0
        s = torch.stack([before, word], 2).flatten(1)
        valence = torch.stack([torch.zeros_like(valence), valence], 2).flatten(1)
        order = (s >= 0).long().argsort(dim=1, stable=True)[:, high:]  # what is not there comes first
        stop = torch.full((n, 1), self.input_size - 1)
        s = torch.cat([s.gather(1, order), stop], 1)
        valence = torch.cat([valence.gather(1, order), torch.zeros(n, 1)], 1)
        total = valence.sum(1)
        return Batch(s, (total > 0).long()[:, None], torch.ones(n, 1), {"valence": valence, "total": total})


class Sentiment(Recorded, Texts):
    """The film reviews: whether a review is favourable (7 stars or more) or not (4 or fewer).

    Words are runs of letters and digits in lower case, and . ! ? on their own. Of a review the last `length` are read.
    The vocabulary are the most frequent words of the training texts; all others are one word, `<unknown>`.

    The published test set is kept whole (25,000). Of the published training set, texts that are also in the test set
    are left out, as are repeated ones; of the rest 2,500 are for validation and all others for training. Loaded when
    first needed: see `alrnn.datasets.imdb`.

    Args:
        vocabulary: N, how many words there are, `<unknown>` included. length: T.

    chance: 1/2; the classes are equally frequent.
    """

    name = "sentiment"
    paper = "Maas, Daly, Pham, Huang, Ng & Potts 2011"
    tags = ("real data", "language", "integration", "variable length")

    def __init__(self, vocabulary: int = 8000, length: int = 200):
        self.vocabulary = self.input_size = integer("vocabulary", vocabulary, 2)
        self.length = integer("length", length, 1)

    @cached_property
    def texts(self) -> dict[str, tuple[list[list[str]], np.ndarray]]:
        """Split -> the reviews in mixed order, as words, and their labels."""
        (train, train_labels), (test, test_labels) = (_mixed(*datasets.imdb(split)) for split in ("train", "test"))
        seen, fresh = {tuple(text) for text in test}, []
        for i, text in enumerate(map(tuple, train)):
            if text not in seen:
                seen.add(text)
                fresh.append(i)
        parts = {"validation": fresh[:2500], "train": fresh[2500:]}
        own = {split: ([train[i] for i in index], train_labels[index]) for split, index in parts.items()}
        return own | {"test": (test, test_labels)}

    @cached_property
    def words(self) -> Sequence[str]:
        """The vocabulary, `<unknown>` first, then by frequency in the training texts."""
        counts = Counter(word for text in self.texts["train"][0] for word in text)
        found = [UNKNOWN, *sorted(counts, key=lambda word: (-counts[word], word))[: self.vocabulary - 1]]
        if len(found) < self.vocabulary:
            raise ValueError(f"the training texts have {len(found)} words, fewer than {self.vocabulary}")
        return found

    @cached_property
    def parts(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Split -> s (n, T) and labels (n,)."""
        return {split: (self.read(texts), torch.from_numpy(y)) for split, (texts, y) in self.texts.items()}

    def read(self, texts: Sequence[str | list[str]]) -> Tensor:
        """Texts, as written or already as words, as input s (n, T)."""
        number = {word: i for i, word in enumerate(self.words)}
        s = np.full((len(texts), self.length), -1)
        for row, text in zip(s, texts, strict=True):
            found = [number.get(word, 0) for word in (tokens(text) if isinstance(text, str) else text)[-self.length :]]
            row[self.length - len(found) :] = found
        return torch.from_numpy(s)

    def _batch(self, split: str, index: Tensor) -> Batch:
        s, label = (x[index] for x in self.parts[split])
        return Batch(s, label[:, None], torch.ones(len(label), 1))


def tokens(text: str) -> list[str]:
    """The words of a text as written; its HTML line breaks are blanks."""
    found = re.findall(r"[^\W_]+(?:'[^\W_]+)*|[.!?]", text.lower().replace("<br />", " "))
    return list(map(sys.intern, found))  # millions of words, of which few differ: each is kept once


def _mixed(texts: list[str], labels: np.ndarray) -> tuple[list[list[str]], np.ndarray]:
    order = np.random.default_rng(0).permutation(len(texts))
    return [tokens(texts[i]) for i in order], labels[order]
