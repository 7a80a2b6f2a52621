r"""What a linear recurrence can say about the next symbol, what one ReLU cannot yet see, and counting instead.

With P = 0 and a linear readout, logits are sums of one term for each symbol of the past: log p(y | past) is
sum_k e_k(x_{t-k}, y) + b_y less a normaliser, a log-bilinear model, whatever M is. Its best fit on a text is a convex
problem, solved here with all e_k free, as no net of finite M has them. For every P the *last* symbol's term stands
alone: z_t = F(z_{t-1}) + C x_t, and the readout is linear.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..checks import integer

__all__ = ["KneserNey", "LogBilinear", "last_input_interaction", "log_bilinear"]


@dataclass(frozen=True)
class LogBilinear:
    """A log-bilinear model: e (lags * V, V), a term for each lag and symbol there, and b (V,)."""

    e: Tensor
    b: Tensor

    @property
    def lags(self) -> int:
        """How many symbols back it sees."""
        return len(self.e) // len(self.b)

    def logits(self, text: Tensor, where: Tensor) -> Tensor:
        """Of the symbols at these places, (n,) -> (n, V); the first lag is the symbol just before."""
        back = torch.arange(self.lags)
        return F.embedding_bag(text[where[:, None] - 1 - back] + len(self.b) * back, self.e, mode="sum") + self.b

    @torch.no_grad()
    def bits(self, text: Tensor, where: Tensor) -> float:
        """Mean bits of the symbols at these places."""
        parts = [F.cross_entropy(self.logits(text, i), text[i], reduction="sum") for i in where.split(8192)]
        return float(sum(parts)) / len(where) / math.log(2)


def log_bilinear(
    text: Tensor, where: Tensor, lags: int, size: int, steps: int = 600, batch: int = 4096, lr: float = 0.03
) -> LogBilinear:
    """The log-bilinear model of `lags` lags trained on the symbols at these places, by Adam on a convex loss.

    Args:
        text: (n,) numbers below `size`, V. where: places, each at least `lags`. steps, batch, lr: of Adam, cosine.

    It starts at zero and draws always the same: no seed matters. What it reaches is above the floor by what training
    leaves undone; that shrinks with `steps`.
    """
    integer("lags", lags, 1)
    if len(where) == 0 or int(where.min()) < lags or int(where.max()) >= len(text):
        raise ValueError(f"where must be places in the text from {lags} on, one or more")
    e = torch.zeros(lags * size, size, requires_grad=True)
    b = torch.zeros(size, requires_grad=True)
    model, adam = LogBilinear(e, b), torch.optim.Adam([e, b], lr=lr)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        i = where[torch.randint(len(where), (batch,), generator=generator)]
        adam.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        adam.zero_grad()
        F.cross_entropy(model.logits(text, i), text[i]).backward()
        adam.step()
    return LogBilinear(e.detach(), b.detach())


@torch.no_grad()
def last_input_interaction(net: Any, pasts: Tensor, words: Tensor) -> Tensor:
    """How far logits are from (a term of the past) + (a term of the last symbol): 0 where the two never interact.

    Args:
        net: as called, net(s) -> y, z. pasts: (B, t) symbols. words: (n,), what may come last.

    Returns:
        (B, n, O): logits y[past, last] - mean over pasts - mean over last symbols + mean over both.
    """
    s = torch.cat([pasts.repeat_interleave(len(words), 0), words.repeat(len(pasts))[:, None]], 1)
    y = net(s)[0][:, -1].unflatten(0, (len(pasts), len(words)))
    return y - y.mean(0, keepdim=True) - y.mean(1, keepdim=True) + y.mean((0, 1), keepdim=True)


class KneserNey:
    """Interpolated Kneser-Ney n-grams with one discount an order, n1 / (n1 + 2 n2) (Ney, Essen & Kneser 1994).

    Args:
        pieces: pieces of text, numbers below `size`; no n-gram crosses from one to the next.
        order: n. size: V.
    """

    def __init__(self, pieces: list[Any], order: int, size: int):
        self.order, self.size = integer("order", order, 1), integer("size", size, 1)
        texts = [np.asarray(piece).tolist() for piece in pieces]
        self._levels: list[Any] = []
        counts: Counter = Counter()
        for n in range(order, 0, -1):
            if n == order:
                for text in texts:
                    counts.update(zip(*(text[i:] for i in range(n)), strict=False))
            else:  # how many different symbols stand before
                counts = _continuations(texts, n)
            self._levels.insert(0, _level(counts))

    def probability(self, past: tuple[int, ...], symbol: int) -> float:
        """Of a symbol after the symbols of `past`, of which the last n - 1 count."""
        p = 1 / self.size
        for n, (counts, discount, total, kinds) in enumerate(self._levels, 1):
            h = tuple(past[len(past) - n + 1 :]) if n > 1 else ()
            if len(h) < n - 1 or not total.get(h):
                break
            p = (max(counts.get((*h, symbol), 0) - discount, 0) + discount * kinds[h] * p) / total[h]
        return p

    def bits(self, text: Any, where: Any) -> float:
        """Mean bits of the symbols at these places of a text."""
        text, n = np.asarray(text).tolist(), self.order - 1
        return -sum(
            math.log2(self.probability(tuple(text[max(0, i - n) : i]), text[i])) for i in np.asarray(where).tolist()
        ) / len(where)


def _continuations(texts: list[list[int]], n: int) -> Counter:
    longer = {gram for text in texts for gram in zip(*(text[i:] for i in range(n + 1)), strict=False)}
    return Counter(gram[1:] for gram in longer)


def _level(counts: Counter) -> tuple[Counter, float, dict, dict]:
    once, twice = (sum(c == k for c in counts.values()) for k in (1, 2))
    total: dict[tuple, int] = defaultdict(int)
    kinds: dict[tuple, int] = defaultdict(int)
    for gram, c in counts.items():
        total[gram[:-1]] += c
        kinds[gram[:-1]] += 1
    return counts, once / (once + 2 * twice) if once else 0.5, total, kinds
