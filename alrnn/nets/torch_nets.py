"""The usual recurrent networks of torch as kinds of `Net`, to compare with."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..checks import integer
from .almost_linear import SEEDS
from .net import Net, Output, Seen, Weights, read

SHUT = 1e4  # so far out a gate is exactly 0 or 1
START = threading.Lock()  # torch's own start draws from the one global generator, which threads would share


class TorchNet(Net):
    """A recurrent layer of torch, with a linear readout of its state h_t: `RNN`, `GRU` or `LSTM`.

    The start is torch's own but for what each is known to need: the ReLU RNN starts at the identity with small input
    weights (Le, Jaitly & Hinton 2015), the LSTM with a forget bias of 1 (Jozefowicz, Zaremba & Sutskever 2015).
    With words as inputs, each has a vector of hidden_size numbers, which is trained, too, and starts at .1 N as C does
    in the AL-RNN; texts are run from their first word on. O = 0 is a net without a readout.

    Args:
        input_size: N. hidden_size: M. output_size: O. seed: as for `ALRNN`. inputs: "words" where s holds words.
    """

    layer: ClassVar[Callable[..., nn.RNNBase]]
    over_time: ClassVar[Callable[..., tuple[Tensor, ...]]]
    cells: Any
    gates: ClassVar[int]  # blocks of weights
    held: ClassVar[tuple[int, float]] = (0, -SHUT)  # which of them, at this number, keeps a state of zero

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        seed: int = 0,
        inputs: Literal["numbers", "words"] = "numbers",
    ):
        super().__init__()
        self.input_size = N = integer("input_size", input_size, 1)
        self.hidden_size = integer("hidden_size", hidden_size, 1)
        self.output_size = integer("output_size", output_size, 0)
        if inputs not in ("numbers", "words"):
            raise ValueError(f"inputs must be numbers or words, got {inputs!r}")
        self.seed, self.inputs = integer("seed", seed, 0, SEEDS - 1), inputs
        words = inputs == "words"
        with START, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.cells = self.layer(hidden_size if words else N, hidden_size, batch_first=True)
            self.readout = nn.Linear(hidden_size, output_size) if output_size else None
            self.vectors = nn.Embedding(N, hidden_size) if words else None
            if self.vectors is not None:
                nn.init.normal_(self.vectors.weight, std=0.1)
            self._start()

    def _start(self) -> None:
        """What this kind is known to need."""

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state: Any = None) -> Output:
        runs, K = [], len(w["cells.weight_hh_l0"])
        if batch.s.is_floating_point() == ("vectors.weight" in w):
            raise ValueError(f"{cls.__name__} was made for other inputs ('words' or 'numbers') than {batch.s.dtype}")
        own = batch.s.dim() == (4 if batch.s.is_floating_point() else 3)
        for k in range(K):
            before = None if state is None else tuple(x[k] for x in (state if isinstance(state, tuple) else (state,)))
            runs.append(cls._one({name: x[k] for name, x in w.items()}, batch.s[k] if own else batch.s, before))
        z, *after = (torch.stack(x) for x in zip(*runs, strict=True))
        z = read(z, batch, last)
        y = z.flatten(1, 2)
        y = torch.baddbmm(w["readout.bias"][:, None], y, w["readout.weight"].mT) if "readout.bias" in w else y[..., :0]
        return Output(y.unflatten(1, z.shape[1:3]), z, tuple(after) if len(after) > 1 else after[0])

    @classmethod
    def _one(cls, w: Weights, s: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """One net: states of all steps (B, T, M), and what the layer goes on from, (B, M) each."""
        weights = [w[f"cells.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        if not s.is_floating_point():  # a further input, 1 before a text begins, keeps the state at zero
            s = torch.cat([w["vectors.weight"][s.clamp(min=0).long()], (s < 0)[..., None]], 2)
            block, number = cls.held
            hold = torch.zeros_like(weights[2]).unflatten(0, (cls.gates, -1))
            hold[block] = number
            weights[0] = torch.cat([weights[0], hold.flatten()[:, None]], 1)
        many = 2 if cls.layer is nn.LSTM else 1
        state = state or (s.new_zeros(s.shape[0], weights[1].shape[1]),) * many
        given = tuple(x[None] for x in state)
        h, *after = cls.over_time(s, given if many > 1 else given[0], weights, True, 1, 0.0, False, False, True)
        return h, *(x[0] for x in after)

    def describe(self) -> dict[str, Any]:
        return {"M": self.hidden_size, "parameters": self.size(), "seed": self.seed}


class RNN(TorchNet):
    """torch's RNN with ReLU."""

    layer = staticmethod(partial(nn.RNN, nonlinearity="relu"))
    kind, over_time, gates = "rnn", staticmethod(torch.rnn_relu), 1  # type: ignore[misc]

    def _start(self) -> None:
        nn.init.eye_(self.cells.weight_hh_l0)
        nn.init.normal_(self.cells.weight_ih_l0, std=0.1)
        nn.init.zeros_(self.cells.bias_ih_l0)
        nn.init.zeros_(self.cells.bias_hh_l0)


class GRU(TorchNet):
    """torch's GRU."""

    kind, layer, over_time, gates = "gru", nn.GRU, staticmethod(torch.gru), 3  # type: ignore[misc]
    held = (1, SHUT)


class LSTM(TorchNet):
    """torch's LSTM."""

    kind, layer, over_time, gates = "lstm", nn.LSTM, staticmethod(torch.lstm), 4  # type: ignore[misc]

    def _start(self) -> None:
        nn.init.zeros_(self.cells.bias_ih_l0)
        nn.init.zeros_(self.cells.bias_hh_l0)
        with torch.no_grad():
            self.cells.bias_hh_l0[self.hidden_size : 2 * self.hidden_size] = 1.0


def parameters(
    kind: type[TorchNet], input_size: int, hidden_size: int, output_size: int, inputs: str = "numbers"
) -> int:
    """How many parameters a net of this kind and size has (torch counts two biases to each unit)."""
    vectors = 0
    if inputs == "words":
        vectors, input_size = input_size * hidden_size, hidden_size
    return vectors + kind.gates * hidden_size * (hidden_size + input_size + 2) + output_size * (hidden_size + 1)


def equal_size(kind: type[TorchNet], input_size: int, output_size: int, count: int, inputs: str = "numbers") -> int:
    """The hidden size whose number of parameters is nearest to `count`."""
    sizes = range(1, math.isqrt(count) + 2)
    return min(sizes, key=lambda size: abs(parameters(kind, input_size, size, output_size, inputs) - count))
