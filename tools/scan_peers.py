"""GRU and LSTM pairs on SCAN, as large as the AL-RNN pair of M = 64: `python tools/scan_peers.py FILE`.

Ten seeds at four rates with the 2,500 steps of `python -m alrnn sweep scan`, three seeds at two rates with 16,000. One
row a net: model, steps, lr, seed, scores on validation and test commands of the simple split.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from pieces import Pieces, command

from alrnn.checks import integer
from alrnn.nets import GRU, LSTM, EncoderDecoder, Net
from alrnn.nets.almost_linear import SEEDS
from alrnn.nets.torch_nets import TorchNet, parameters
from alrnn.sweep import run
from alrnn.tasks import SCAN

BUDGETS = {2500: (10, (5e-3, 1e-2, 2e-2, 4e-2)), 16_000: (3, (5e-3, 1e-2))}  # steps -> seeds, rates


class TorchPair(EncoderDecoder):
    """Two of torch's recurrent layers, with word vectors of their own; the decoder starts from the encoder's state."""

    maps = ()
    part: type[TorchNet]

    def __init__(self, input_size: int, hidden_size: int, output_size: int, stop: int | None = None, seed: int = 0):
        Net.__init__(self)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.given_size, self.stop = output_size + 1, stop
        self.seed = integer("seed", seed, 0, SEEDS - 1)
        self.encoder = self.part(input_size, hidden_size, 0, seed, "words")
        self.decoder = self.part(self.given_size, hidden_size, output_size, SEEDS - 1 - seed, "words")
        self.register_buffer("stops", None, persistent=False)
        self._apply(lambda x: x)

    fixed, describe = Net.fixed, Net.describe


class GRUPair(TorchPair):
    """Two GRUs."""

    kind, part = "gru", GRU


class LSTMPair(TorchPair):
    """Two LSTMs."""

    kind, part = "lstm", LSTM


def pair(kind: type[TorchPair], task: SCAN, seed: int) -> TorchPair:
    """With as many parameters, nearly, as the AL-RNN pair with M = P = 64 behind a linear encoder."""
    N, O = task.input_size, task.output_size  # noqa: E741
    count = EncoderDecoder(N, 64, 64, O, 0, task.given_size).size()

    def off(M: int) -> int:
        return abs(parameters(kind.part, N, M, 0, "words") + parameters(kind.part, O + 1, M, O, "words") - count)

    return kind(N, min(range(1, 100), key=off), O, task.stop, seed)


def pieces(task: SCAN) -> Pieces:
    for steps, (seeds, rates) in BUDGETS.items():
        for kind in (GRUPair, LSTMPair):
            for lr in rates:
                for seed in range(seeds):
                    about = {"model": kind.kind, "steps": steps, "lr": lr, "seed": seed}
                    yield about, partial(trained, pair(kind, task, seed), task, steps, lr)


def trained(net: TorchPair, task: SCAN, steps: int, lr: float) -> pd.DataFrame:
    found = run([net], task, "drop", False, steps=steps, lr=lr, clip=1.0).table
    return found[["M", "parameters", "batch_size", "clip", "validation", "test", "test_token", "seconds", "version"]]


if __name__ == "__main__":
    command(__doc__, {"all": lambda: pieces(SCAN("simple"))})
