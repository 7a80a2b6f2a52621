"""Language models: which character, or word, comes next (tiny Shakespeare; WikiText-2)."""

from __future__ import annotations

import string
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import datasets
from ..checks import integer
from .base import Batch, Recorded

ALPHABET = sorted("\n !$&',-.3:;?" + string.ascii_letters)  # the 65 characters of tiny Shakespeare
BLOCK, TURN = 5_000, 20  # characters in a block; of each TURN blocks one validates, one tests
PLACES = tuple(f"letter {i}" for i in ("1", "2", "3", "4", "5", "6+"))
PLACES += ("space", "newline", "punctuation", "name")  # name: of a speaker


class NextSymbol(Recorded):
    """Windows of a text, `length` symbols each; after each symbol the next one is asked for.

    The first `warmup` of a window are read but not scored, so that what is scored has that much before it. blank: a
    blank symbol follows each symbol, and the answer is read there, a step later.
    """

    tags = ("real data", "language")
    inputs = "words"
    metric = "bits"

    def __init__(self, length: int, warmup: int, blank: bool):
        self.length = integer("length", length, 1)
        self.warmup = integer("warmup", warmup, 0, length - 1)
        self.blank = _flag("blank", blank)

    @cached_property
    def text(self) -> Tensor:
        """All symbols, by number, (n,)."""
        raise NotImplementedError

    @cached_property
    def stretches(self) -> dict[str, list[tuple[int, int]]]:
        """Split -> pieces of the text, (start, stop), none of which overlap."""
        raise NotImplementedError

    @cached_property
    def parts(self) -> dict[str, tuple[Tensor, ...]]:
        """Split -> where its windows start, (n,): every place to train from; held out, so that each symbol but the
        first `warmup` of a piece (and the last few) is asked for once."""
        found: dict[str, tuple[Tensor, ...]] = {}
        for split, pieces in self.stretches.items():
            stride = 1 if split == "train" else self.length - self.warmup
            starts = torch.cat([torch.arange(a, max(a, b - self.length), stride) for a, b in pieces])
            mixed = torch.randperm(len(starts), generator=torch.Generator().manual_seed(0))
            found[split] = (starts if split == "train" else starts[mixed],)
        return found

    def _batch(self, split: str, index: Tensor) -> Batch:
        # s (n, T); target (n, length - warmup), what comes next; info: where (n, length - warmup), its place in `text`
        at = self.parts[split][0][index][:, None] + torch.arange(self.length)
        s, where = self.text[at], at[:, self.warmup :] + 1
        target, weight = self.text[where], torch.ones(where.shape)
        if not self.blank:
            return Batch(s, target, weight, {"where": where})
        s = torch.stack([s, torch.full_like(s, self.input_size - 1)], -1).flatten(1)
        read = (2 * torch.arange(self.warmup, self.length) + 1).expand_as(where)
        return Batch(s, target, weight, {"where": where}, at=read)


class Characters(NextSymbol):
    """The next character of tiny Shakespeare, 65 kinds; scored in bits a character.

    Args:
        length: characters in a window. warmup: how many at its start are not scored.
        blank: a blank step after each character, at which the answer is read.

    The text is cut into blocks of 5,000 characters; of each twenty in a row one validates and one tests, so that all
    splits have all plays in them. No window crosses from one split into another.
    chance: bits of the best constant answer, the entropy of single characters in the whole text.
    """

    name = "characters"
    output_size = len(ALPHABET)
    chance = 4.78

    def __init__(self, length: int = 80, warmup: int = 16, blank: bool = False):
        super().__init__(length, warmup, blank)
        self.input_size = len(ALPHABET) + blank

    @cached_property
    def text(self) -> Tensor:
        return self.encode(datasets.shakespeare())

    @cached_property
    def stretches(self) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {"train": [], "validation": [], "test": []}
        for block, start in enumerate(range(0, len(self.text), BLOCK)):
            split = {TURN // 2 - 1: "validation", TURN - 1: "test"}.get(block % TURN, "train")
            piece, pieces = (start, min(start + BLOCK, len(self.text))), found[split]
            if pieces and pieces[-1][1] == start:
                piece = (pieces.pop()[0], piece[1])
            pieces.append(piece)
        return found

    @staticmethod
    def encode(text: str) -> Tensor:
        """Characters as numbers, (n,); ValueError for one that the text does not have."""
        number = {c: i for i, c in enumerate(ALPHABET)}
        if unknown := sorted(set(text) - number.keys()):
            raise ValueError(f"tiny Shakespeare has no {', '.join(map(repr, unknown))}")
        return torch.tensor([number[c] for c in text], dtype=torch.long)

    @staticmethod
    def decode(numbers: Any) -> str:
        """Numbers as characters."""
        return "".join(ALPHABET[i] for i in np.asarray(numbers).ravel().tolist())


class Words(NextSymbol):
    """The next word of WikiText-2, of its `vocabulary` most frequent ones or <unk>; scored in bits a word.

    By default this trains on the published *test* part and holds out the two halves of the *validation* part. They are
    small and soon downloaded, but no score compares with published ones.

    Args:
        vocabulary: number of words, <unk> among them. length, warmup: words in a window, and how many are not scored.
        blank: as for `Characters`. published: train on the published training part (11 MB), hold out the other two.
    """

    name = "words"
    paper = "Merity et al. 2016"

    def __init__(
        self,
        vocabulary: int = 2_000,
        length: int = 40,
        warmup: int = 8,
        blank: bool = False,
        published: bool = False,
    ):
        super().__init__(length, warmup, blank)
        self.vocabulary, self.published = integer("vocabulary", vocabulary, 2), _flag("published", published)
        self.output_size = self.vocabulary
        self.input_size = self.vocabulary + blank

    @cached_property
    def _words(self) -> tuple[list[str], ...]:
        parts = ("train", "valid", "test") if self.published else ("test", "valid")
        return tuple(datasets.wikitext2(part) for part in parts)

    @cached_property
    def known(self) -> list[str]:
        """The words, <unk> first, then the most frequent ones of the training text."""
        count = Counter(word for word in self._words[0] if word != "<unk>")
        return ["<unk>", *sorted(count, key=lambda word: (-count[word], word))[: self.vocabulary - 1]]

    @cached_property
    def text(self) -> Tensor:
        number = {word: i for i, word in enumerate(self.known)}
        return torch.tensor([number.get(word, 0) for part in self._words for word in part])

    @cached_property
    def stretches(self) -> dict[str, list[tuple[int, int]]]:
        first, end = len(self._words[0]), len(self.text)
        middle = first + len(self._words[1]) if self.published else (first + end) // 2
        return {"train": [(0, first)], "validation": [(first, middle)], "test": [(middle, end)]}


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


def places(text: str) -> np.ndarray:
    """For each character which of `PLACES` it has, by number, (n,): in a word, or what else it is.

    A name is what stands before the colon of a line that follows an empty one.
    """
    found, letter, name = np.zeros(len(text), np.int64), 0, False
    for i, c in enumerate(text):
        if i == 0 or text[i - 2 : i] == "\n\n":
            line = text[i : i + 40].split("\n")[0]
            name = ":" in line
        word = c.isalpha() or c == "'"
        if name and c != ":" and c != "\n":
            found[i] = PLACES.index("name")
        elif word:
            found[i] = min(letter, 5)
        else:
            found[i] = PLACES.index({" ": "space", "\n": "newline"}.get(c, "punctuation"))
        letter, name = letter + 1 if word else 0, name and c not in ":\n"
    return found


@torch.no_grad()
def generate(net: Any, task: NextSymbol, start: Tensor, n: int, seed: int = 0, temperature: float = 1.0) -> Tensor:
    """n symbols drawn one after another from what the net expects next, after `start`, (t,) numbers; (n,).

    temperature: logits are divided by it; below 1 what is likely gets likelier. Same seed, same text.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature!r}")
    generator, blank = torch.Generator().manual_seed(seed), torch.full((1,), task.input_size - 1)
    fed, state, said = torch.as_tensor(start).long(), None, []
    for _ in range(integer("n", n, 1)):
        s = torch.stack([fed, blank.expand_as(fed)], -1).flatten() if task.blank else fed
        y, z = net(s[None], state)
        state = z[:, -1]
        odds = (y[0, -1].double() / temperature).softmax(-1)
        fed = torch.multinomial(odds, 1, generator=generator)
        said.append(fed)
    return torch.cat(said)
