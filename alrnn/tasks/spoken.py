"""Spoken digits: which of ten words is said, from its MFCCs frame by frame (Free Spoken Digit Dataset)."""

from __future__ import annotations

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
        mfccs, lengths, labels = datasets.spoken_digits()
        index = _splits(labels, self.clips)
        frames_of = [mfccs[i, : lengths[i]][-frames:] for i in range(len(labels))]
        seen = np.concatenate([frames_of[i] for i in index["train"]])
        self.mean, self.scale = seen.mean(0), seen.std(0)
        s = np.zeros((len(labels), frames + blank, self.input_size), np.float32)
        length = np.minimum(lengths, frames)
        s[np.arange(frames + blank) < length[:, None]] = (np.concatenate(frames_of) - self.mean) / self.scale
        self.parts = {split: tuple(torch.from_numpy(x[i]) for x in (s, length, labels)) for split, i in index.items()}

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
