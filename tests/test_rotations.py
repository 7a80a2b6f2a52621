"""What the GRU behind fixed rotations reads: the states of an AL-RNN that only turns."""

import sys
from pathlib import Path

import numpy as np
import torch

from alrnn import ALRNN, Init
from alrnn.experiments import image_angles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import rotations


def test_what_is_read_are_the_states_of_a_net_that_only_turns() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    found = rotations.Turned()._sequences(images)
    pairs = rotations.PAIRS
    net = ALRNN(1, 2 * pairs, 0, 10, init=Init("rotation", angles=image_angles(28, pairs), W=0.0)).double()
    with torch.no_grad():
        net.C.copy_(torch.tensor([[1.0], [0.0]]).repeat(pairs, 1))
        z = net(torch.from_numpy(images).double().reshape(3, 784, 1) / 255)[1][:, 27::28]
    assert found.shape == (3, 28, 2 * pairs)
    assert (10 * found.double() - z).abs().max() < 2e-3 * z.abs().max()
