"""The Almost-Linear RNN with a choice of what its answer is read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..checks import integer
from .almost_linear import ALRNN, readout, states
from .init import Init
from .net import Output, Seen, Weights, read

READOUTS = ("linear", "phi", "mlp")


class ReadoutALRNN(ALRNN):
    r"""The recurrence of `ALRNN`, read in one of three ways.

    linear: y_t = D z_t + b, as in `ALRNN`; what came in last is still ahead of every ReLU, so it enters additively.
    phi: y_t = D phi(z_t) + b, as a plain ReLU RNN is read.
    mlp: y_t = E max(D z_t + b, 0) + e, two layers with H ReLUs of their own between them.

    Args:
        input_size, hidden_size, nonlinear_size, output_size, seed, init: as for `ALRNN`.
        readout: which of the three. readout_size: H of "mlp", by default M; None for the others.

    Parameters: those of `ALRNN`, D (O, M) and b (O,); with "mlp" D (H, M), b (H,), E (O, H), e (O,). There D and E
    start with standard deviations 1 / sqrt(M) and 1 / sqrt(4 H).

    Raises:
        ValueError: as `ALRNN`; no such readout, or a readout_size where there are no two layers.
    """

    kind = "alrnn_readout"
    floor: Tensor  # (M,), what the readout sees of a unit is at least this; follows from readout and P

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinear_size: int,
        output_size: int,
        readout: Literal["linear", "phi", "mlp"] = "linear",
        readout_size: int | None = None,
        seed: int = 0,
        init: str | Init | Mapping[str, Any] = "paper",
    ):
        if readout not in READOUTS:
            raise ValueError(f"readout must be one of {', '.join(READOUTS)}, got {readout!r}")
        if readout != "mlp" and readout_size is not None:
            raise ValueError(f"readout {readout!r} has one layer: leave readout_size out")
        O = integer("output_size", output_size, 1)  # noqa: E741
        H = integer("readout_size", hidden_size if readout_size is None else readout_size, 1)
        super().__init__(input_size, hidden_size, nonlinear_size, H if readout == "mlp" else O, seed, init)
        self.output_size, self.readout, self.readout_size = O, readout, H if readout == "mlp" else None
        self._derive()
        if readout == "mlp":
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                self.D.copy_(torch.randn(self.D.shape, generator=generator) / self.hidden_size**0.5)
            self.E = nn.Parameter(torch.randn(O, H, generator=generator).to(self.D) / (4 * H) ** 0.5)
            self.e = nn.Parameter(torch.zeros_like(self.E[:, 0]))

    def _derive(self) -> None:
        super()._derive()
        seen = self.bends if vars(self).get("readout") == "phi" else torch.zeros_like(self.bends)
        self.register_buffer("floor", seen.log(), persistent=False)

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state: Any = None) -> Output:
        z = states(w, batch.s, state, last or (batch.last if batch.at is None else None))
        here = z if batch.at is None or last else read(z, batch)
        y = readout(w, torch.maximum(here, w["floor"][:, None, None]))
        if "E" in w:
            y = (y.relu().flatten(1, 2) @ w["E"].mT + w["e"][:, None]).unflatten(1, y.shape[1:3])
        return Output(y, here, z[:, :, -1])

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"readout": self.readout, "readout_size": self.readout_size}
