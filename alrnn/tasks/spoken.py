"""Spoken digits: which of ten words is said, from its MFCCs frame by frame (Free Spoken Digit Dataset)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .. import datasets
from ..checks import integer
from .base import Batch, Recorded

SPLITS = {"train": 180, "validation": 40, "test": 80}  # recordings of each digit


class SpokenDigits(Recorded):
    """A recording as a sequence of 13 MFCCs a frame, the digit (0-9) asked for after its own last frame.

    Recordings start at step 0 and have different lengths. Each is read out `blank` steps after its true end (`at`);
    what follows, up to T = frames + blank, is zeros that cannot reach back to that step. So no score depends on the
    padding or on the other recordings in the batch.

    Args:
        frames: of a longer recording only the last `frames` are kept, at most 92; 40 cuts one in 150.
        noise: standard deviation of normal noise on the training inputs, drawn anew each time.
        clips: how many training recordings of each digit there are, 1 to 180; all by default.
        blank: empty steps between the last frame and the readout, so that the last frame, too, can be gated.

    The split (of each digit 180 training, 40 validation, 80 test) never changes. It mixes speakers: the file does not
    name them. Each MFCC is scaled to mean 0 and standard deviation 1 over the frames of the training recordings in use.
    chance: 0.1.
    """

    name = "spoken_digits"
    paper = "Jackson et al. 2018"
    tags = ("real data", "audio", "variable length")
    input_size = 13
    output_size = 10
    metric = "accuracy"
    chance = 0.1

    def __init__(self, frames: int = 40, noise: float = 0.6, clips: int | None = None, blank: int = 1):
        self.frames = integer("frames", frames, 1, 92)
        self.clips = None if clips is None else integer("clips", clips, 1, SPLITS["train"])
        self.blank = integer("blank", blank, 0, 100)
        if not 0 <= noise < np.inf:
            raise ValueError(f"noise must be at least 0 and finite, got {noise!r}")
        self.noise = noise

    @cached_property
    def frames_of(self) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
        """Split -> the MFCCs of each recording, (length, 13), as they were recorded, and the digits (n,)."""
        mfccs, lengths, labels = datasets.spoken_digits()
        index = _splits(labels, self.clips)
        kept = [mfccs[i, : lengths[i]][-self.frames :] for i in range(len(labels))]
        return {split: ([kept[i] for i in places], labels[places]) for split, places in index.items()}

    @cached_property
    def mean(self) -> np.ndarray:
        """Of each MFCC over the training recordings in use, (13,)."""
        return np.concatenate(self.frames_of["train"][0]).mean(0)

    @cached_property
    def scale(self) -> np.ndarray:
        """Standard deviation of each MFCC over the training recordings in use, (13,)."""
        return np.concatenate(self.frames_of["train"][0]).std(0)

    @cached_property
    def parts(self) -> dict[str, tuple[Tensor, ...]]:
        """Split -> s (n, frames + blank, 13), length (n,), digit (n,)."""
        found = {}
        for split, (frames, labels) in self.frames_of.items():
            length = np.array([len(x) for x in frames])
            s = np.zeros((len(frames), self.frames + self.blank, self.input_size), np.float32)
            s[np.arange(s.shape[1]) < length[:, None]] = (np.concatenate(frames) - self.mean) / self.scale
            found[split] = tuple(map(torch.from_numpy, (s, length, labels)))
        return found

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n training recordings drawn with replacement, with noise; held-out ones have none."""
        batch = super().sample(n, generator)
        spoken = torch.arange(batch.s.shape[1]) < batch.info["length"][:, None]  # the padding stays silent
        batch.s += self.noise * torch.randn(batch.s.shape, generator=generator) * spoken[..., None]
        return batch

    def _batch(self, split: str, index: Tensor) -> Batch:
        # s (n, T, 13); target (n, 1), the digit; at (n, 1), the readout; info: label (n,), length (n,)
        s, length, label = (x[index] for x in self.parts[split])
        end = length[:, None] - 1 + self.blank
        return Batch(s, label[:, None], torch.ones(len(s), 1), {"label": label, "length": length}, at=end)


def _splits(labels: np.ndarray, clips: int | None) -> dict[str, np.ndarray]:
    """Indices of the recordings of each split, every digit equally often, in mixed order; always the same."""
    rng = np.random.default_rng(0)
    by_digit = np.stack([rng.permutation(np.flatnonzero(labels == c)) for c in range(10)])
    parts = dict(zip(SPLITS, np.split(by_digit, np.cumsum(list(SPLITS.values()))[:-1], axis=1), strict=True))
    mixed = {split: rng.permutation(part.ravel()) for split, part in parts.items()}
    return mixed | ({} if clips is None else {"train": parts["train"][:, :clips].ravel()})
