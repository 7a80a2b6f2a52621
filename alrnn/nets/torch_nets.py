"""The usual recurrent networks of torch with as many parameters as an AL-RNN, trained on the same data."""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .. import __version__
from ..tasks import Batch, Task
from ..tasks.base import HELD_OUT, TRAINING
from ..train import _rate, describe

START = threading.Lock()  # torch's own start draws from the one global generator, which threads would share
MODELS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Baseline(nn.Module):
    """nn.RNN with ReLU, nn.GRU or nn.LSTM, one layer, with a linear readout of its state h_t.

    The start is torch's own but for what each is known to need: the ReLU RNN starts at the identity with small input
    weights (Le, Jaitly & Hinton 2015), the LSTM with a forget bias of 1 (Jozefowicz, Zaremba & Sutskever 2015).
    With words as inputs, each has a vector of hidden_size numbers, which is trained, too, and starts at .1 N as C does
    in the AL-RNN; texts are run from their first word on.
    """

    def __init__(
        self,
        model: Literal["rnn", "gru", "lstm"],
        input_size: int,
        hidden_size: int,
        output_size: int,
        seed: int = 0,
        inputs: Literal["numbers", "words"] = "numbers",
    ):
        super().__init__()
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
        with START, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            kind = {"nonlinearity": "relu"} if model == "rnn" else {}
            words = inputs == "words"
            self.cells = MODELS[model](hidden_size if words else input_size, hidden_size, batch_first=True, **kind)
            self.readout = nn.Linear(hidden_size, output_size)
            self.vectors = nn.Embedding(input_size, hidden_size) if words else None
            if self.vectors is not None:
                nn.init.normal_(self.vectors.weight, std=0.1)
            if model == "rnn":
                nn.init.eye_(self.cells.weight_hh_l0)
                nn.init.normal_(self.cells.weight_ih_l0, std=0.1)
        with torch.no_grad():
            if model != "gru":
                self.cells.bias_ih_l0.zero_()
                self.cells.bias_hh_l0.zero_()
            if model == "lstm":
                self.cells.bias_hh_l0[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, s: Tensor, last: int | None = None) -> Tensor:
        """s (B, T, N), or words (B, T), -> y (B, L, O) at the last L = last steps, or all T (before a text: any)."""
        if self.vectors is None:
            h = self.cells(s)[0]
        else:  # the cells begin at once, so texts go to the front, and their states back to where the words were
            step, start = torch.arange(s.shape[1]), (s < 0).sum(1, keepdim=True)
            h = self.cells(self.vectors(s.gather(1, (step + start) % len(step)).clamp(min=0)))[0]
            h = h.gather(1, ((step - start) % len(step))[..., None].expand_as(h))
        return self.readout(h if last is None else h[:, -last:])


def parameters(model: str, input_size: int, hidden_size: int, output_size: int, inputs: str = "numbers") -> int:
    """How many parameters a baseline of this size has (torch counts two biases to each unit)."""
    gates, vectors = {"rnn": 1, "gru": 3, "lstm": 4}[model], 0
    if inputs == "words":
        vectors, input_size = input_size * hidden_size, hidden_size
    return vectors + gates * hidden_size * (hidden_size + input_size + 2) + output_size * (hidden_size + 1)


def equal_size(model: str, input_size: int, output_size: int, count: int, inputs: str = "numbers") -> int:
    """The hidden size whose number of parameters is nearest to `count`."""
    sizes = range(1, math.isqrt(count) + 2)
    return min(sizes, key=lambda size: abs(parameters(model, input_size, size, output_size, inputs) - count))


def settings(model: str, task: Task, hidden_size: int, seed: int, **fit: Any) -> dict[str, Any]:
    """All settings of one baseline, in the columns of a sweep; M is its own hidden size, chosen to have as many
    parameters as the AL-RNN with this hidden_size and P = M, the largest. What only AL-RNNs have is left out.
    """
    row = describe(task, hidden_size, hidden_size, seed, **fit)
    sizes = (task.input_size, task.output_size)
    M = equal_size(model, *sizes, row["parameters"], task.inputs)
    row |= {"model": model, "M": M, "parameters": parameters(model, sizes[0], M, sizes[1], task.inputs)}
    return {k: v for k, v in row.items() if k not in ("P", "init", "tau", "regularised") and k[:5] != "init_"}


def train(model: str, task: Task, hidden_size: int, seed: int, progress: bool = True, **fit: Any) -> pd.DataFrame:
    """Train one baseline as `alrnn.fit` trains a net of this seed (same batches, Adam, clipping and schedule).

    Arguments as for `settings`; those of `fit` that make up the AL-RNN are passed over.

    Returns:
        its row in the columns of a sweep's table. A net that leaves the finite numbers stays as it was and says so
        under diverged.
    """
    row = settings(model, task, hidden_size, seed, **fit)
    net = Baseline(model, task.input_size, row["M"], task.output_size, seed, task.inputs)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(TRAINING + seed)
    adam = torch.optim.Adam(net.parameters(), lr=row["lr"])
    shape = (row["steps"], row["warmup"], row["schedule"])
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: _rate(step, *shape))
    losses, lost = [], None
    start = time.perf_counter()
    for step in tqdm(range(row["steps"]), disable=not progress, desc=model, leave=False):
        batch = task.sample(row["batch_size"], generator)
        loss = task.loss(net(batch.s, batch.last), batch)
        adam.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norm = nn.utils.clip_grad_norm_(net.parameters(), row["clip"])
        if not (math.isfinite(losses[-1]) and norm.isfinite()):
            lost = step
            break
        adam.step()
        rate.step()
    seconds = time.perf_counter() - start
    tail = losses[-max(1, row["steps"] // 20) :]
    row["train_loss"] = sum(tail) / len(tail)
    scores = {"": task.score} | ({"_sequence": s} if (s := getattr(task, "score_sequence", None)) else {})
    for split in HELD_OUT:
        batch = task.held_out(split)
        y = predict(net, batch)
        row |= {f"{split}{name}": score(y, batch).item() for name, score in scores.items()}
    row |= {"diverged": lost, "seconds": seconds, "version": __version__}
    return pd.DataFrame([row]).astype({"diverged": "Int64"})


@torch.no_grad()
def predict(net: Baseline, batch: Batch, chunk: int = 500) -> Tensor:
    """Outputs (B, L, O) on a batch, `chunk` sequences at a time."""
    return torch.cat([net(s, batch.last) for s in batch.s.split(chunk)])
