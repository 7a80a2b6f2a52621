"""Copying: say a short sequence of symbols again, after a fixed delay or when a cue comes (Arjovsky et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..checks import integer
from .base import Batch, Task
from .losses import Score, measure


class _Copy(Task):
    """What both copy tasks share. Inputs: one-hot symbol (alphabet), cue. Classes: the symbols."""

    paper = "Arjovsky, Shah & Bengio 2016"
    tags = ("synthetic", "memory")
    metric = "accuracy"

    def __init__(self, symbols: int, delay: int, alphabet: int):
        self.symbols, self.delay = integer("symbols", symbols, 1), integer("delay", delay, 0)
        self.alphabet = self.output_size = integer("alphabet", alphabet, 2)
        self.input_size = self.alphabet + 1
        self.chance = 1 / self.alphabet
        self.sequence_chance = self.alphabet**-self.symbols

    def scores(self, output, batch: Batch) -> dict[str, Score]:
        """Of symbols, "accuracy", and of whole sequences recalled without one error, "sequence"."""
        y = batch.read(output if isinstance(output, Tensor) else output.y)
        right = ((measure("accuracy", y, batch.target) > 0) | (batch.weight == 0)).all(-1)
        count = torch.full(right.shape[:-1], right.shape[-1], dtype=torch.float64, device=right.device)
        return super().scores(output, batch) | {"sequence": Score(right.sum(-1, dtype=torch.float64), count, "higher")}

    def score_sequence(self, y: Tensor, batch: Batch) -> Tensor:
        """The share of sequences recalled without one error; y as for `loss`, (B, T, O) -> (), (K, B, T, O) -> (K,)."""
        return self.scores(y, batch)["sequence"].value


class FixedCopy(_Copy):
    """`symbols` random symbols, one cue step, `delay` empty steps, then the symbols again, one a step under the cue.

    The delay is the same in every trial, so a linear net can solve it: `theory.exact_fixed_copy`.

    chance: 1/alphabet per symbol (`score`); sequence_chance: alphabet^-symbols for whole sequences (`score_sequence`).
    """

    name = "fixed_copy"

    def __init__(self, symbols: int = 8, delay: int = 100, alphabet: int = 4):
        super().__init__(symbols, delay, alphabet)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences, s (n, 2 * symbols + 1 + delay, alphabet + 1), target (n, symbols); info: symbols, as target."""
        S = self.symbols
        symbols = torch.randint(self.alphabet, (n, S), generator=generator)
        s = torch.zeros(n, 2 * S + 1 + self.delay, self.input_size)
        s[:, :S] = F.one_hot(symbols, self.input_size)
        s[:, S, -1] = 1
        s[:, -S:, -1] = 1
        return Batch(s, symbols, torch.ones(n, S), {"symbols": symbols})


class VariableCopy(_Copy):
    """`symbols` random symbols, at least `delay` empty steps, one cue step, then the symbols again, one a step.

    The cue comes at any of `window` steps with equal probability; all else is empty. Sequences have one length; the
    steps that count are those of the recall, wherever it falls, and no others (weight 0, target 0).

    chance: 1/alphabet per symbol (`score`); sequence_chance: alphabet^-symbols for whole sequences (`score_sequence`).
    """

    name = "variable_copy"

    def __init__(self, symbols: int = 5, delay: int = 50, window: int = 50, alphabet: int = 4):
        super().__init__(symbols, delay, alphabet)
        self.window = integer("window", window, 1)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences, s (n, 2 * symbols + delay + window, alphabet + 1), target and weight (n, window + symbols - 1).

        info: symbols (n, symbols); cue (n,), its step.
        """
        S, L = self.symbols, self.window + self.symbols - 1
        symbols = torch.randint(self.alphabet, (n, S), generator=generator)
        shift = torch.randint(self.window, (n,), generator=generator)
        cue = S + self.delay + shift
        s = torch.zeros(n, 2 * S + self.delay + self.window, self.input_size)
        s[:, :S] = F.one_hot(symbols, self.input_size)
        s[torch.arange(n), cue, -1] = 1
        recall = shift[:, None] + torch.arange(S)
        target = torch.zeros(n, L, dtype=torch.long).scatter_(1, recall, symbols)
        weight = torch.zeros(n, L).scatter_(1, recall, 1.0)
        return Batch(s, target, weight, {"symbols": symbols, "cue": cue})
