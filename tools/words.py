"""The next word of WikiText-2: `python tools/words.py small FILE`.

"small" trains on the published test part and is scored on the two halves of the validation part. "published" is the
same on the published parts, with ten times as many steps, where the training part is at hand. AL-RNNs of M = 64 units;
tied ones, which answer with the word vectors that they read with, also with a blank step before each answer; a GRU and
an LSTM as large as the untied ones with P = M; counts of up to three words. Each net at three rates. One row a
net: bits a word.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from pieces import Pieces, command

from alrnn.experiments.catalogue import MODELS
from alrnn.nets import Init, Net, ReadoutALRNN
from alrnn.nets.net import Output, Seen, Weights
from alrnn.nets.torch_nets import equal_size
from alrnn.sweep import run
from alrnn.tasks import Words
from alrnn.theory import KneserNey

M, SIZES, SEEDS, STEPS = 64, (0, 5, 10, 20, 64), 5, 1_000
RATES = ((5e-3, 1e-2, 2e-2), (2.5e-3, 5e-3, 1e-2))  # with two and with ten thousand words
PEERS = (1e-2, 2e-2, 4e-2)  # rates of GRU and LSTM
KINDS = {  # model, what is read, blank step -> P, with two and with ten thousand words
    ("alrnn", "linear", False): (SIZES, (0, M)),
    ("alrnn", "phi", False): (SIZES[1:], ()),
    ("alrnn_tied", "linear", True): (SIZES, ()),
    ("alrnn_tied", "linear", False): ((0, M), ()),
    ("gru", "linear", False): ((M,), ()),
    ("lstm", "linear", False): ((M,), ()),
}
START = Init("rotation", value=0.9, pwl=0.9, C=0.3)


class Tied(ReadoutALRNN):
    """Answers with the word vectors it reads with: y_t = C^T z_t + b; a blank symbol, the last one, is no answer."""

    kind = "alrnn_tied"
    forward = Net.forward

    def __init__(self, input_size: int, hidden_size: int, nonlinear_size: int, output_size: int, seed=0, init=START):
        super().__init__(input_size, hidden_size, nonlinear_size, output_size, seed=seed, init=init)
        del self.D

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state=None) -> Output:
        return super().run({**w, "D": w["C"][..., : w["b"].shape[-1]].mT}, batch, last, state)


def net(model: str, readout: str, task: Words, P: int, seed: int) -> Net:
    N, O = task.input_size, task.output_size  # noqa: E741
    if model == "alrnn":
        return ReadoutALRNN(N, M, P, O, readout, seed=seed, init=START)
    if model == "alrnn_tied":
        return Tied(N, M, P, O, seed)
    kind, count = MODELS[model], ReadoutALRNN(N, M, M, O).size()
    return kind(N, equal_size(kind, N, O, count, "words"), O, seed, "words")


def pieces(published: bool) -> Pieces:
    def about(V: int, model: str, readout: str, blank: bool = False, lr: float = 0.0, seed: int = 0) -> dict:
        return dict(model=model, readout=readout, blank=blank, vocabulary=V, lr=lr, seed=seed)

    for many, V in enumerate((2_000, 10_000)):
        task = {blank: Words(V, blank=blank, published=published) for blank in (False, True)}
        for n in (1, 2, 3):
            yield about(V, f"{n}-gram", "counts"), partial(counted, task[False], n)
        for seed in range(SEEDS):
            for (model, readout, blank), sizes in KINDS.items():
                for lr in (PEERS if model in MODELS else RATES[many]) if sizes[many] else ():
                    nets = [net(model, readout, task[blank], P, seed) for P in sizes[many]]
                    how = partial(trained, nets, task[blank], STEPS * (10 if published else 1), lr)
                    yield about(V, model, readout, blank, lr, seed), how


def counted(task: Words, n: int) -> pd.DataFrame:
    """Bits of Kneser-Ney's counts of n words."""
    counts = KneserNey([task.text[a:b] for a, b in task.stretches["train"]], n, task.vocabulary)
    asked = {split: task.held_out(split).info["where"].flatten() for split in ("validation", "test")}
    return pd.DataFrame([{split: counts.bits(task.text, where) for split, where in asked.items()}])


def trained(nets: list[Net], task: Words, steps: int, lr: float) -> pd.DataFrame:
    found = run(nets, task, "drop", False, steps=steps, batch_size=32, lr=lr, clip=1.0).table
    keep = ["M", "parameters", "steps", "batch_size", "clip", "validation", "test", "seconds", "version"]
    return found[[*(c for c in found if c == "P"), *keep]]


if __name__ == "__main__":
    command(__doc__, {"small": lambda: pieces(False), "published": lambda: pieces(True)})
