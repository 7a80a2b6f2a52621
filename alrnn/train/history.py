"""What is known of training afterwards: its history, and what an error that ended it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class DivergedError(RuntimeError):
    """Training left the finite numbers. Attributes: step, net (index in the list), seed, P.

    trainer: holds all that was trained up to there: its `history`, and `write()` puts the weights into the nets.
    """

    def __init__(self, step: int, net: int, seed: int, P: int | None):
        super().__init__(
            f"loss or gradient not finite at step {step} in net {net} (P={P}, seed={seed}); "
            "try a smaller learning rate, or diverged='drop' to go on without it"
        )
        self.step, self.net, self.seed, self.P = step, net, seed, P
        self.trainer: Any = None

    def __reduce__(self):  # the default one keeps the message alone, and workers send errors back pickled
        return type(self), (self.step, self.net, self.seed, self.P)


@dataclass
class History:
    """What happened in training, S steps of K nets.

    loss, grad_norm: (S, K), task loss and norm of the gradient before clipping. lr: (S,), the highest of the rates.
    P (None where a kind has none), seed: per net. diverged: net index -> step at which it left the finite numbers.
    seconds: wall time, all nets together.
    """

    loss: np.ndarray
    grad_norm: np.ndarray
    lr: np.ndarray
    P: list[int]
    seed: list[int]
    diverged: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def table(self, every: int = 1) -> pd.DataFrame:
        """Tidy: one row per net and step (every `every`-th), columns net, P, seed, step, loss, grad_norm."""
        import pandas as pd

        S, K = self.loss.shape
        steps = np.arange(0, S, every)
        return pd.DataFrame(
            {
                "net": np.tile(np.arange(K), len(steps)),
                "P": np.tile(self.P, len(steps)),
                "seed": np.tile(self.seed, len(steps)),
                "step": np.repeat(steps, K),
                "loss": self.loss[steps].ravel(),
                "grad_norm": self.grad_norm[steps].ravel(),
            }
        )

    def __repr__(self) -> str:
        lost = f", {len(self.diverged)} diverged" if self.diverged else ""
        return f"History({len(self.loss)} steps of {len(self.P)} nets in {self.seconds:.1f} s{lost})"
