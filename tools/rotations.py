"""A GRU that reads 784 pixels through rotations, as the AL-RNNs do: `python tools/rotations.py FILE`.

At 784 pixels the AL-RNNs start with linear pairs that turn with the slowest waves of an image
(`alrnn.experiments.image_angles`), and so hold its Fourier coefficients. Here 25 such pairs are fixed, and a GRU with
as many parameters as an AL-RNN of M = 50 reads their states after each row of pixels. One row a net: lr, seed, scores.
Needs MNIST (alrnn.datasets.mnist).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from pieces import Pieces, command

from alrnn import ALRNN
from alrnn.experiments import image_angles
from alrnn.nets import GRU
from alrnn.nets.torch_nets import equal_size
from alrnn.sweep import run
from alrnn.tasks import SequentialMNIST

PAIRS, SEEDS, RATES = 25, range(3), (1.5e-3, 6e-3, 2.4e-2)
FIT: dict[str, Any] = {"steps": 3000, "batch_size": 128, "clip": 1.0}


class Turned(SequentialMNIST):
    """Digits by pixel behind fixed rotations: T = 28 states of 25 pairs, one after each row of pixels."""

    def __init__(self):
        super().__init__("row", data="mnist")
        self.input_size = 2 * PAIRS

    def _sequences(self, images: np.ndarray) -> torch.Tensor:
        rows = torch.from_numpy(images).flatten(1).unflatten(1, (28, 28)) / 255
        w = torch.tensor(image_angles(28, PAIRS))
        along = torch.exp(1j * w * torch.arange(27, -1, -1)[:, None]).to(torch.complex64)  # (28 pixels, pairs)
        z, states = torch.zeros(len(rows), PAIRS, dtype=torch.complex64), []
        for row in rows.unbind(1):
            z = torch.exp(28j * w).to(z.dtype) * z + row.to(z.dtype) @ along
            states.append(torch.view_as_real(z).flatten(1))
        return torch.stack(states, 1) / 10  # most within a few units


def pieces(task: Turned) -> Pieces:
    for lr in RATES:
        for seed in SEEDS:
            yield {"lr": lr, "seed": seed}, partial(net, task, lr, seed)


def net(task: Turned, lr: float, seed: int) -> pd.DataFrame:
    count = ALRNN(1, 2 * PAIRS, 2 * PAIRS, 10).size()
    made = GRU(task.input_size, equal_size(GRU, task.input_size, 10, count), 10, seed)
    found = run([made], task, "drop", False, lr=lr, **FIT).table
    return found[["model", "M", "parameters", "steps", "batch_size", "clip", "validation", "test", "version"]]


if __name__ == "__main__":
    command(__doc__, {"all": lambda: pieces(Turned())})
