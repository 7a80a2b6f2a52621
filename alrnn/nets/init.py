"""How the weights of an Almost-Linear RNN start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..checks import integer


@dataclass(frozen=True)
class Init:
    """How the weights start. Standard deviations of normal draws, plus a structure on the first `units` units.

    Kinds (what the linear units among the first `units` get on top of the noise in W):
        paper: nothing; A and h are drawn like W, all near zero (the authors' start).
        slow: W_ii = value, one slow mode each.
        rotation: 2x2 rotations of radius `value` by the first of `angles`, by default spread evenly over 0..pi; an odd
            unit left over gets `value`.
        spread: W_ii = exp(-1/time constant), time constants log-spaced over `time_constants` steps.
    PWL units among the first `units` get W_ii = pwl. With pwl = 1 that is the identity of Le, Jaitly & Hinton (2015),
    without which P = M starts with no memory at all and is no fair baseline. `opposite` gives P = M what linear units
    have: PWL units in pairs z, -z, each of which acts as one linear unit, as max(z, 0) - max(-z, 0) = z.
    """

    kind: Literal["paper", "slow", "rotation", "spread"] = "paper"
    units: int | None = None  # how many units carry the structure, from the first; None: all
    value: float = 1.0  # self-weight or radius
    pwl: float = 0.0  # self-weight of the PWL units among them
    opposite: int | None = None  # how many PWL units, from the first, start in opposite pairs with the kind's structure
    time_constants: tuple[float, float] = (2.0, 60.0)  # steps
    angles: tuple[float, ...] | None = None  # radians a step, one for each pair of linear units or more
    W: float = 0.01
    C: float = 0.1
    D: float = 0.1
    threshold: float = 0.0  # h on PWL units

    def __post_init__(self) -> None:
        for name in ("time_constants", "angles"):  # lists, as files have them
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        if self.kind not in ("paper", "slow", "rotation", "spread"):
            raise ValueError(f"init must be one of paper, slow, rotation, spread, got {self.kind!r}")
        for name in ("units", "opposite"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 0)
        low, high = self.time_constants
        if not 0 < low <= high < math.inf:
            raise ValueError(f"time_constants must be two rising numbers of steps above 0, got {self.time_constants}")
        if self.angles is not None and not all(math.isfinite(angle) for angle in self.angles):
            raise ValueError(f"angles must be finite, got {self.angles}")
        if (self.opposite and self.kind == "paper") or (self.angles is not None and self.kind != "rotation"):
            raise ValueError(f"init {self.kind!r} has no use for opposite or angles")
        for name in ("value", "pwl", "W", "C", "D", "threshold"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")

    @classmethod
    def of(cls, given: str | Init | Mapping[str, Any]) -> Init:
        """An Init as it is, a kind by name, or the fields of one.

        Raises:
            ValueError: anything else, or no such kind.
        """
        if isinstance(given, Init):
            return given
        if isinstance(given, str):
            return cls(given)  # type: ignore[arg-type]
        if isinstance(given, Mapping):
            return cls(**given)
        raise ValueError(f"init must be a kind by name or an Init, got {given!r}")

    def draw(self, M: int, P: int, N: int, O: int, seed: int) -> dict[str, Tensor]:  # noqa: E741
        """Weights by name, shapes as in `ALRNN`, in float64. Nets of one seed share their draws whatever P is."""
        generator = torch.Generator().manual_seed(seed)
        normal = {
            name: torch.randn(*shape, generator=generator, dtype=torch.float64)
            for name, shape in {"A": (M,), "W": (M, M), "C": (M, N), "h": (M,), "D": (O, M)}.items()
        }
        near_zero = self.W if self.kind == "paper" else 0.0
        pwl = torch.arange(M) >= M - P
        W = self.W * normal["W"]
        units = M if self.units is None else min(self.units, M)
        linear = min(units, M - P)
        if self.kind != "paper":
            W[:linear, :linear] += self._structure(linear)
        W.diagonal()[M - P : units] += self.pwl
        if self.kind != "paper" and self.opposite:
            pairs = min(self.opposite, P) // 2
            first, second, both = (slice(M - P + i * pairs, M - P + j * pairs) for i, j in ((0, 1), (1, 2), (0, 2)))
            W[both, both] += torch.kron(torch.tensor([[1, -1], [-1, 1]]), self._structure(pairs))
            normal["C"][second] = -normal["C"][first]
        return {
            "A": near_zero * normal["A"] * pwl,
            "W": W,
            "C": self.C * normal["C"],
            "h": near_zero * normal["h"] + self.threshold * pwl,
            "D": self.D * normal["D"],
            "b": torch.zeros(O, dtype=torch.float64),
        }

    def _structure(self, n: int) -> Tensor:
        if self.kind == "slow":
            return self.value * torch.eye(n, dtype=torch.float64)
        if self.kind == "spread":
            low, high = self.time_constants
            tau = torch.logspace(math.log10(low), math.log10(high), n, dtype=torch.float64)
            return torch.diag(torch.exp(-1 / tau))
        if self.angles is not None and len(self.angles) < n // 2:
            raise ValueError(f"{n} linear units turn in {n // 2} pairs, got {len(self.angles)} angles")
        evenly = torch.linspace(0, math.pi, n // 2, dtype=torch.float64)
        angles = evenly if self.angles is None else torch.tensor(self.angles[: n // 2], dtype=torch.float64)
        cos, sin = angles.cos(), angles.sin()
        blocks = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        rest = [torch.ones(1, 1, dtype=torch.float64)] if n % 2 else []
        parts = [*blocks, *rest] or [torch.zeros(0, 0, dtype=torch.float64)]  # block_diag() of nothing is (1, 0)
        return self.value * torch.block_diag(*parts)
