"""Sequential MNIST: a handwritten digit read row by row or pixel by pixel (Le, Jaitly & Hinton 2015)."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import datasets
from ..checks import integer
from .base import Batch, Recorded


class SequentialMNIST(Recorded):
    """A digit as a sequence, its class (0-9) at the end. No encoder in front: with P = 0 all is linear in the pixels.

    Args:
        by: "row", T = size steps of `size` inputs, or "pixel", T = size * size steps of one input.
        size: 28, or 14 by averaging 2x2 pixels.
        data: "digits", the bundled 5,000 (3,600 training, 400 validation, 1,000 test, classes balanced), or "mnist",
            all 70,000 (55,000 training, 5,000 validation, the official 10,000 test).
        permuted: read the steps in a fixed random order.
        blank: empty steps after the image, so that the last input, too, can be gated.

    Pixels are in [0, 1]. chance: 0.1.
    """

    name = "smnist"
    paper = "Le, Jaitly & Hinton 2015"
    tags = ("real data", "vision", "memory")
    output_size = 10
    metric = "accuracy"
    chance = 0.1

    def __init__(
        self,
        by: Literal["row", "pixel"] = "row",
        size: Literal[14, 28] = 28,
        data: Literal["digits", "mnist"] = "digits",
        permuted: bool = False,
        blank: int = 1,
    ):
        for name, value, allowed in [
            ("by", by, ("row", "pixel")),
            ("size", size, (14, 28)),
            ("data", data, ("digits", "mnist")),
        ]:
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
        self.by, self.size, self.data, self.permuted = by, size, data, permuted
        self.blank = integer("blank", blank, 0)
        self.input_size = size if by == "row" else 1

    @cached_property
    def parts(self) -> dict[str, tuple[Tensor, Tensor]]:
        """All sequences (n, T, N), without the blank steps, and labels (n,), by split; read when first asked for."""
        return {split: (self._sequences(x), torch.from_numpy(y)) for split, (x, y) in _splits(self.data).items()}

    def _batch(self, split: str, index: Tensor) -> Batch:
        # s (n, T, N), target (n, 1); info: label (n,)
        x, label = self.parts[split][0][index], self.parts[split][1][index]
        s = F.pad(x, (0, 0, 0, self.blank))
        return Batch(s, label[:, None], torch.ones(len(label), 1), {"label": label})

    def _sequences(self, images: np.ndarray) -> Tensor:
        x = torch.from_numpy(images).float() / 255
        if self.size == 14:
            x = F.avg_pool2d(x[:, None], 2)[:, 0]
        x = x.reshape(len(x), -1, self.input_size)
        if self.permuted:
            x = x[:, torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))]
        return x.contiguous()


def _splits(data: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    if data == "mnist":
        images, labels = datasets.mnist("train")
        order = rng.permutation(len(labels))
        index = {"train": order[:55_000], "validation": order[55_000:]}
        return {split: (images[i], labels[i]) for split, i in index.items()} | {"test": datasets.mnist("test")}
    images, labels = datasets.digits()
    by_class = np.stack([rng.permutation(np.flatnonzero(labels == c)) for c in range(10)])  # (10, 500)
    index = {"train": by_class[:, :360], "validation": by_class[:, 360:400], "test": by_class[:, 400:]}
    index = {split: rng.permutation(i.ravel()) for split, i in index.items()}
    return {split: (images[i], labels[i]) for split, i in index.items()}
