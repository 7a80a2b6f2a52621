"""Context-dependent integration: a rule says what to do with the evidence, or which stream of it counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..checks import integer
from .base import Batch, Task


class RuleInversion(Task):
    """Decide the sign of the summed evidence, or its opposite, as a rule shown at both ends says (Brenner & Koppe).

    Inputs: rule one-hot (2), at the first and the last step only; evidence, +-1 fair plus noise, at the steps between;
    recall flag, at the last step. Class 1 if c * sum of the evidence > 0, c = +1 for the first rule (keep), -1 for the
    second (invert); else class 0.

    Args:
        length: T, from rule to rule. Odd, so that the number of evidence steps is odd, too: with an even one the +-1
            often cancel and only the noise decides (8% of trials at the authors' T = 100).
        noise: standard deviation added to each piece of evidence. The class follows the evidence as shown.
        blank: empty steps after the recall flag. Not needed: the last step carries no evidence, so all of it can pass
            a PWL unit in time.

    chance: 1/2.
    """

    name = "rule_inversion"
    paper = "Brenner & Koppe 2026"
    tags = ("synthetic", "integration", "context")
    input_size, output_size = 4, 2
    metric = "accuracy"
    chance = 1 / 2

    def __init__(self, length: int = 101, noise: float = 0.01, blank: int = 0):
        self.length, self.noise, self.blank = integer("length", length, 3), _noise(noise), integer("blank", blank, 0)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences, s (n, length + blank, 4); info: rule (n,), 0 keep or 1 invert, and total (n,), the sum."""
        T = self.length
        rule = torch.randint(2, (n,), generator=generator)
        evidence = 2.0 * torch.randint(2, (n, T - 2), generator=generator) - 1
        evidence += self.noise * torch.randn(n, T - 2, generator=generator)
        total = evidence.double().sum(1)
        s = torch.zeros(n, T + self.blank, self.input_size)
        for t in (0, T - 1):
            s[torch.arange(n), t, rule] = 1
        s[:, 1 : T - 1, 2] = evidence
        s[:, T - 1, 3] = 1
        target = ((1 - 2 * rule) * total > 0).long()[:, None]
        return Batch(s, target, torch.ones(n, 1), {"rule": rule, "total": total})


class TwoModality(Task):
    """Decide the sign of one of two noisy streams, the one a static context names (after Mante et al. 2013).

    Inputs: two streams, each its trial's coherence plus fresh noise at every step; context one-hot (2), on as long as
    the streams are. Class 1 if the coherence of the named stream is above 0, else class 0. The two coherences are drawn
    independently, so the other stream says nothing.

    Args:
        length: steps of evidence.
        noise: standard deviation at each step. The class follows the coherence, so noise caps the accuracy.
        coherences: magnitudes, equally likely, with a fair sign; or one number c, for uniform on [-c, c].
        blank: empty steps after the evidence, so that what enters at the last step of evidence can be gated, too.

    chance: 1/2. A linear net gets about 3/4: `theory.two_modality_limits`.
    """

    name = "two_modality"
    paper = "Mante, Sussillo, Shenoy & Newsome 2013"
    tags = ("synthetic", "integration", "context", "gating")
    input_size, output_size = 4, 2
    metric = "accuracy"
    chance = 1 / 2

    def __init__(
        self,
        length: int = 50,
        noise: float = 0.5,
        coherences: Sequence[float] | float = (0.05, 0.1, 0.2),
        blank: int = 1,
    ):
        given = np.asarray(coherences, dtype=float)
        if given.ndim > 1 or not given.size or not (np.isfinite(given) & (given > 0)).all():
            raise ValueError(f"coherences must be above 0 and finite, got {coherences!r}")
        self.length, self.noise, self.blank = integer("length", length, 1), _noise(noise), integer("blank", blank, 0)
        self.coherences = given.item() if given.ndim == 0 else tuple(given.tolist())

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n sequences, s (n, length + blank, 4); info: context (n,), the stream that counts, and coherence (n, 2)."""
        T = self.length
        context = torch.randint(2, (n,), generator=generator)
        if isinstance(self.coherences, float):
            magnitude = self.coherences * (1 - torch.rand(n, 2, generator=generator))  # in (0, c]: never 0
        else:
            index = torch.randint(len(self.coherences), (n, 2), generator=generator)
            magnitude = torch.tensor(self.coherences, dtype=torch.float32)[index]
        coherence = magnitude * (2 * torch.randint(2, (n, 2), generator=generator) - 1)
        s = torch.zeros(n, T + self.blank, self.input_size)
        s[:, :T, :2] = coherence[:, None] + self.noise * torch.randn(n, T, 2, generator=generator)
        s[torch.arange(n), :T, 2 + context] = 1
        target = (coherence.gather(1, context[:, None]) > 0).long()
        return Batch(s, target, torch.ones(n, 1), {"context": context, "coherence": coherence})


def _noise(noise: float) -> float:
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    return noise
