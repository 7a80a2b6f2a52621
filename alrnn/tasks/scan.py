"""SCAN: commands such as "jump left twice and walk", answered by the actions they ask for (Lake & Baroni 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from ..checks import integer
from .base import Answer, Batch, Recorded, known
from .losses import Score

VERBS = ("walk", "look", "run", "jump")
WORDS = (*VERBS, "turn", "left", "right", "opposite", "around", "twice", "thrice", "and", "after")
ACTIONS = ("WALK", "LOOK", "RUN", "JUMP", "LEFT", "RIGHT")
TIMES = {"": 1, "twice": 2, "thrice": 3}
SPLITS = ("all", "simple", "length", "add-jump", "turn-left")
LONGEST, PRIMITIVE_ROWS, ORDER = 22, 1467, 7  # of the length split; rows of "jump" in add-jump; seed of random parts

Command: TypeAlias = tuple[str, ...]
Actions: TypeAlias = tuple[str, ...]


def scan_phrases(mini: bool = False) -> dict[Command, Actions]:
    """What stands on either side of "and" or "after", 102 phrases (mini: 12), and its actions."""
    phrases: dict[Command, Actions] = {(verb,): (verb.upper(),) for verb in VERBS}
    for side in () if mini else ("left", "right"):
        for verb in (*VERBS, "turn"):
            does = () if verb == "turn" else (verb.upper(),)
            turned = side.upper()
            phrases[verb, side] = (turned, *does)
            phrases[verb, "opposite", side] = (turned, turned, *does)
            phrases[verb, "around", side] = (turned, *does) * 4
    return {
        (*words, *([often] if often else [])): actions * times
        for words, actions in phrases.items()
        for often, times in TIMES.items()
    }


def scan_commands(mini: bool = False) -> dict[Command, Actions]:
    """Every command and its actions: 20,910, or 300 of the small grammar, which has neither turns nor directions.

    "S1 and S2" asks for S1, then S2; "S1 after S2" for S2, then S1.
    """
    phrases = scan_phrases(mini)
    both = {
        (*a, joined, *b): x + y if joined == "and" else y + x
        for a, x in phrases.items()
        for b, y in phrases.items()
        for joined in ("and", "after")
    }
    return phrases | both


class SCAN(Recorded):
    """Read a command, word by word, and say its actions, one a step, and STOP: for an `EncoderDecoder`.

    A net reads 13 words (mini: 8; `words` names them), right-aligned, -1 before a command begins. It answers with 6
    actions (mini: 4) or `stop`, which ends the answer (`symbols`), and is fed what it said last, or `start`.

    Args:
        split: which commands are for testing. "simple": a random fifth. "length": those of more than 22 actions.
            "add-jump": those with "jump", but for "jump" itself, which is repeated 1,467 times in training, as
            published. "turn-left": those with "turn left", but for that itself. "all": none; all commands are for
            training, and the same for validation and test, which asks what a net can express.
        mini: the 300 commands without turns, "all" or "simple" only.

    A random tenth of the other commands is for validation: it looks like what is trained on, whatever the test asks.

    Scores: exact, the share of answers that are right from the first action to STOP (more output is wrong), the main
    one; and token, the share of actions and STOPs that are right at their place.
    """

    name = "scan"
    paper = "Brenner & Koppe 2026"
    tags = ("language", "composition", "sequence to sequence")
    inputs = "words"
    metric = "accuracy"
    chance = 0.0

    def __init__(
        self,
        split: Literal["all", "simple", "length", "add-jump", "turn-left"] = "simple",
        mini: bool = False,
    ):
        splits = SPLITS[:2] if mini else SPLITS
        if split not in splits:
            raise ValueError(f"split of {'mini-' * bool(mini)}SCAN must be one of {', '.join(splits)}, got {split!r}")
        self.split, self.mini = split, bool(mini)
        self.words: tuple[str, ...] = (*VERBS, *WORDS[-4:]) if mini else WORDS
        self.symbols: tuple[str, ...] = (*(ACTIONS[:4] if mini else ACTIONS), "STOP")
        self.input_size, self.output_size = len(self.words), len(self.symbols)
        self.stop, self.start = self.output_size - 1, self.output_size
        self.given_size = self.output_size + 1

    def settings(self) -> dict[str, Any]:
        return {"split": self.split, "mini": self.mini}

    @cached_property
    def commands(self) -> Mapping[str, Sequence[tuple[Command, Actions]]]:
        """Split -> commands and their actions: train, validation, test."""
        every = list(scan_commands(self.mini).items())
        if self.split == "all":
            return dict.fromkeys(("train", "validation", "test"), every)
        order = [every[i] for i in torch.randperm(len(every), generator=_stream()).tolist()]
        alone = {"add-jump": ("jump",), "turn-left": ("turn", "left")}.get(self.split, ())
        tested = {
            "simple": set(list(zip(*order, strict=True))[0][: len(every) // 5]),
            "length": {c for c, actions in every if len(actions) > LONGEST},
        }.get(self.split) or {c for c, _ in every if _has(c, alone) and c != alone}
        test = [one for one in order if one[0] in tested]
        rest = [one for one in order if one[0] not in tested and one[0] != alone]
        held = len(rest) // 10
        again = PRIMITIVE_ROWS if self.split == "add-jump" else 1
        primitive = [(c, actions) for c, actions in every if c == alone] * again
        return {"train": rest[held:] + primitive, "validation": rest[:held], "test": test}

    @cached_property
    def parts(self) -> Mapping[str, tuple[Tensor, ...]]:
        """Split -> words (n, longest), target (n, L): actions, then STOP up to the end, and their number (n,)."""
        return {split: self._encoded(pairs) for split, pairs in self.commands.items()}

    def _encoded(self, pairs: Sequence[tuple[Command, Actions]]) -> tuple[Tensor, Tensor, Tensor]:
        word, symbol = ({name: i for i, name in enumerate(names)} for names in (self.words, self.symbols))
        most, steps = (5, 7) if self.mini else (9, 49)
        s = [[-1] * (most - len(c)) + [word[w] for w in c] for c, _ in pairs]
        said = [[symbol[a] for a in actions] + [self.stop] * (steps - len(actions)) for _, actions in pairs]
        return torch.tensor(s), torch.tensor(said), torch.tensor([len(actions) for _, actions in pairs])

    def _batch(self, split: str, index: Tensor) -> Batch:
        s, target, many = (x[index] for x in self.parts[split])
        if split == "train":  # no longer than the longest answer that is trained on
            target = target[:, : int(self.parts["train"][2].max()) + 1]
        fed = torch.cat([torch.full_like(target[:, :1], self.start), target[:, :-1]], 1)
        weight = (torch.arange(target.shape[1]) <= many[:, None]).to(torch.get_default_dtype())
        return Batch(s, target, weight, {"actions": many}, given=fed)

    def held_out(self, split: Literal["validation", "test"], n: int | None = None) -> Batch:
        """The first n held-out commands, in mixed order, all of them by default."""
        here = len(self.commands[known(split)])
        return self._batch(split, torch.arange(here if n is None else integer("n", n, 1, here)))

    def scores(self, output: Answer | Tensor, batch: Batch) -> dict[str, Score]:
        """exact, and token."""
        y = batch.read(output if isinstance(output, Tensor) else output.y)
        highest, said = y.max(-1)
        right = ((said == batch.target) & ~highest.isnan()).all(-1)  # no number is no answer
        total = right.sum(-1, dtype=torch.float64)
        token = next(iter(super().scores(output, batch).values()))
        return {"exact": Score(total, torch.full_like(total, right.shape[-1]), "higher"), "token": token}

    def batch(self, commands: Iterable[str]) -> Batch:
        """Commands as they are written, "jump twice and walk": what a net reads and should say.

        Raises:
            ValueError: one that the grammar has not.
        """
        every, given = scan_commands(self.mini), [tuple(command.split()) for command in commands]
        if unknown := [" ".join(c) for c in given if c not in every]:
            raise ValueError(f"{self.name} has no command {unknown[0]!r}")
        s, target, many = self._encoded([(c, every[c]) for c in given])
        fed = torch.cat([torch.full_like(target[:, :1], self.start), target[:, :-1]], 1)
        weight = (torch.arange(target.shape[1]) <= many[:, None]).to(torch.get_default_dtype())
        return Batch(s, target, weight, {"actions": many}, given=fed)

    def command(self, s: Tensor) -> str:
        """The words of one command s (T,)."""
        return " ".join(self.words[i] for i in s.tolist() if i >= 0)

    def said(self, y: Tensor) -> list[str]:
        """The actions of one answer, outputs (L, O) or symbols (L,), up to its first STOP."""
        symbols = (y.argmax(-1) if y.is_floating_point() else y).tolist()
        return [self.symbols[i] for i in symbols[: (symbols + [self.stop]).index(self.stop)]]


def _has(command: Command, words: Command) -> bool:
    return any(command[i : i + len(words)] == words for i in range(len(command)))


def _stream() -> torch.Generator:
    return torch.Generator().manual_seed(ORDER)
