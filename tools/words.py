"""The next word of WikiText-2: `python tools/words.py small FILE`.

"small" trains on the published test part and is scored on the two halves of the validation part. "published" is the
same on the published parts, with ten times as many steps, where the training part is at hand. AL-RNNs of M = 64 units;
tied ones, which answer with the word vectors that they read with; a GRU and an LSTM as large as the untied ones with
P = M; counts of up to three words. Each net at several rates. One row a net: bits a word.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from pieces import Pieces, command

from alrnn.nets import GRU, LSTM, Init, Net, ReadoutALRNN
from alrnn.nets.net import Output, Seen, Weights
from alrnn.nets.torch_nets import equal_size
from alrnn.sweep import run
from alrnn.tasks import Words
from alrnn.theory import KneserNey

M, SIZES, SEEDS, RATES = 64, (0, 5, 10, 20, 64), 5, (5e-3, 1e-2, 2e-2)
LARGE = (0, 64)  # P where the vocabulary is five times as large
START = Init("rotation", value=0.9, pwl=0.9, C=0.3)
PEERS = {"gru": GRU, "lstm": LSTM}


class Tied(ReadoutALRNN):
    """Answers with the word vectors it reads with: y_t = C^T z_t + b, or C^T phi(z_t) + b."""

    kind = "alrnn_tied"

    def __init__(self, input_size: int, hidden_size: int, nonlinear_size: int, readout="linear", seed=0, init=START):
        super().__init__(input_size, hidden_size, nonlinear_size, input_size, readout, seed=seed, init=init)
        del self.D

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state=None) -> Output:
        return super().run({**w, "D": w["C"].mT}, batch, last, state)


def net(model: str, readout: str, task: Words, P: int, seed: int) -> Net:
    N = task.input_size
    if model == "alrnn":
        return ReadoutALRNN(N, M, P, N, readout, seed=seed, init=START)
    if model == "alrnn_tied":
        return Tied(N, M, P, readout, seed)
    kind, count = PEERS[model], ReadoutALRNN(N, M, M, N).size()
    return kind(N, equal_size(kind, N, N, count, "words"), N, seed, "words")


def pieces(published: bool, vocabularies: tuple[int, ...] = (2_000, 10_000)) -> Pieces:
    for vocabulary in vocabularies:
        task = Words(vocabulary, published=published)
        few, steps = vocabulary > 2_000, 10_000 if published else 1_000

        def about(model: str, readout: str, lr: float = 0.0, seed: int = 0, V: int = vocabulary) -> dict:
            return {"model": model, "readout": readout, "vocabulary": V, "lr": lr, "seed": seed}

        for n in (1, 2, 3):
            yield about(f"{n}-gram", "counts"), partial(counted, task, n)
        kinds = [("alrnn", "linear"), ("alrnn_tied", "linear")]
        if not few:
            kinds += [("alrnn", "phi"), ("gru", "linear"), ("lstm", "linear")]
        for seed in range(3 if few else SEEDS):
            for lr in RATES[1:2] if few else RATES:
                for model, readout in kinds:
                    sizes = [P for P in (LARGE if few else SIZES) if P or readout != "phi"]
                    how = partial(trained, model, readout, task, [M] if model in PEERS else sizes, steps, lr, seed)
                    yield about(model, readout, lr, seed), how


def counted(task: Words, n: int) -> pd.DataFrame:
    """Bits of Kneser-Ney's counts of n words."""
    counts = KneserNey([task.text[a:b] for a, b in task.stretches["train"]], n, task.vocabulary)
    asked = {split: task.held_out(split).info["where"].flatten() for split in ("validation", "test")}
    return pd.DataFrame([{split: counts.bits(task.text, where) for split, where in asked.items()}])


def trained(model: str, readout: str, task: Words, sizes: list[int], steps: int, lr: float, seed: int) -> pd.DataFrame:
    nets = [net(model, readout, task, P, seed) for P in sizes]
    found = run(nets, task, "drop", False, steps=steps, batch_size=32, lr=lr, clip=1.0).table
    keep = ["M", "parameters", "steps", "batch_size", "clip", "validation", "test", "seconds", "version"]
    return found[keep].assign(P=sizes if model not in PEERS else float("nan"))


if __name__ == "__main__":
    command(__doc__, {"small": lambda: pieces(False), "published": lambda: pieces(True)})
