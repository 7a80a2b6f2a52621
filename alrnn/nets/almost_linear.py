r"""The Almost-Linear RNN, its initialisations, and ensembles of many nets trained in one pass.

    z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h,      y_t = D z_t + b

phi is the identity on the first M - P units (linear units) and ReLU on the last P (PWL units).
Source: Brenner & Koppe, TMLR 2026.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..checks import check_input, check_words, integer
from ..recurrence.leap import leap
from ..recurrence import recurrence

PARTS = ("A", "W", "C", "h", "D", "b")
SEEDS = 1_000_000_000  # a net's seed is below, those of data lie above (`alrnn.tasks.base`): no two streams coincide


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
        return self.value * torch.block_diag(*blocks, *rest)


class ALRNN(nn.Module):
    """An Almost-Linear RNN with M units, of which the last P are ReLU (PWL) units.

    Args:
        input_size: N. hidden_size: M. nonlinear_size: P, 0 <= P <= M. output_size: O.
        seed: of the initial weights and, in `alrnn.fit`, of the training data; below a thousand million.
        init: a kind by name or an `Init`.

    Parameters (attributes): A (M,), zero on linear units; W (M, M); C (M, N); h (M,); D (O, M); b (O,).
    Buffers: pwl (M,) bool; lower (M,), -inf on linear units and 0 on PWL units.

    Raises:
        ValueError: sizes or seed out of range, or no such init.
    """

    A: Tensor
    W: Tensor
    C: Tensor
    h: Tensor
    D: Tensor
    b: Tensor
    pwl: Tensor
    lower: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinear_size: int,
        output_size: int,
        seed: int = 0,
        init: str | Init = "paper",
    ):
        super().__init__()
        self.input_size = N = integer("input_size", input_size, 1)
        self.hidden_size = M = integer("hidden_size", hidden_size, 1)
        self.nonlinear_size = P = integer("nonlinear_size", nonlinear_size, 0, M, "hidden_size")
        self.output_size = integer("output_size", output_size, 1)
        self.seed = integer("seed", seed, 0, SEEDS - 1)
        self.init = Init(init) if isinstance(init, str) else init  # type: ignore[arg-type]
        if not isinstance(self.init, Init):
            raise ValueError(f"init must be a kind by name or an Init, got {init!r}")
        for name, value in self.init.draw(M, P, N, self.output_size, self.seed).items():
            self.register_parameter(name, nn.Parameter(value.to(torch.get_default_dtype())))
        pwl = torch.arange(M) >= M - P
        self.register_buffer("pwl", pwl)
        self.register_buffer("lower", torch.zeros(M, dtype=self.W.dtype).masked_fill(~pwl, -torch.inf))

    def forward(self, s: Tensor, z0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run on input s (B, T, N), or on words (B, T) as in `look_up`, from state z0 (B, M), zero by default.

        Returns:
            y (B, T, O) and z (B, T, M); z[:, t] is the state after s[:, t].

        Raises:
            ValueError: wrong shape, B = 0 or T = 0, another device, or NaN or infinite values in s or z0; words out of
                range, or words that start late from a state z0.
            TypeError: a dtype other than the weights'.
        """
        words = check_words(s, self.W, ("B", "T"), self.input_size)
        if not words:
            check_input("s", s, self.W, ("B", "T", self.input_size))
        if z0 is None:
            z0 = self.W.new_zeros(s.shape[0], self.hidden_size)
        elif words and (s < 0).any():
            raise ValueError("texts that start late (-1) start from state zero: leave z0 out")
        check_input("z0", z0, self.W, (s.shape[0], self.hidden_size))
        A, W, C, h, lower = (x.unsqueeze(0) for x in (self.A * self.pwl, self.W, self.C, self.h, self.lower))
        drive = look_up(s.unsqueeze(0), C, h) if words else s
        z = recurrence(drive, z0.unsqueeze(0), A, W, None if words else C, h, lower)[0]
        return z @ self.D.mT + self.b, z

    def jacobian(self, bits: Tensor | Sequence[int]) -> Tensor:
        """The map's Jacobian in the region with these bits (P,): A + W diag(1, ..., 1, bits), (M, M)."""
        on = torch.as_tensor(bits, device=self.W.device)
        if on.shape != (self.nonlinear_size,):
            raise ValueError(f"bits must be {self.nonlinear_size}, one for each PWL unit, got shape {tuple(on.shape)}")
        if not ((on == 0) | (on == 1)).all():
            raise ValueError("bits must be 0 or 1")
        gate = torch.ones_like(self.h)
        gate[self.hidden_size - self.nonlinear_size :] = on.to(gate.dtype)
        return torch.diag(self.A * self.pwl) + self.W * gate

    def copy(self) -> ALRNN:
        """An independent copy."""
        return copy.deepcopy(self)

    def extra_repr(self) -> str:
        sizes = f"N={self.input_size}, M={self.hidden_size}, P={self.nonlinear_size}, O={self.output_size}"
        return f"{sizes}, seed={self.seed}, init={self.init.kind}"


class Ensemble(nn.Module):
    """K nets of equal sizes, any P each, that run in one pass. All weights live in one tensor, theta (K, n).

    Args:
        nets: the nets; their weights are copied, `write_to` copies them back.

    Raises:
        ValueError: no nets, or sizes, dtypes or devices that differ.
    """

    def __init__(self, nets: Sequence[ALRNN]):
        super().__init__()
        if not nets:
            raise ValueError("an ensemble needs at least one net")
        if len({(n.input_size, n.hidden_size, n.output_size, n.W.dtype, n.W.device) for n in nets}) > 1:
            raise ValueError("nets of one ensemble must share input, hidden and output size, dtype and device")
        weights = [[getattr(net, name) for name in PARTS] for net in nets]
        self.shapes = {name: w.shape for name, w in zip(PARTS, weights[0], strict=True)}
        self.theta = nn.Parameter(torch.stack([torch.cat([w.detach().flatten() for w in ws]) for ws in weights]))
        free = [torch.cat([torch.full_like(w, w.requires_grad).flatten() for w in ws]) for ws in weights]
        self.trainable: Tensor  # (K, n), 1 where a net's weight requires a gradient, else 0
        self.pwl: Tensor
        self.lower: Tensor
        self.register_buffer("trainable", torch.stack(free))
        self.register_buffer("pwl", torch.stack([net.pwl for net in nets]))
        self.register_buffer("lower", torch.stack([net.lower for net in nets]))

    def parts(self, theta: Tensor | None = None) -> dict[str, Tensor]:
        """A (K, M), W (K, M, M), C (K, M, N), h (K, M), D (K, O, M), b (K, O), as views of theta; A masked."""
        theta = self.theta if theta is None else theta
        pieces = theta.split([shape.numel() for shape in self.shapes.values()], dim=1)
        parts = {name: p.unflatten(1, shape) for p, (name, shape) in zip(pieces, self.shapes.items(), strict=True)}
        parts["A"] = parts["A"] * self.pwl
        return parts

    def forward(self, s: Tensor, last: int | None = None) -> tuple[Tensor, Tensor]:
        """Run from state zero on s (B, T, N) or (K, B, T, N), or on words, (B, T) or (K, B, T), as in `look_up`.

        `last` keeps only the last steps, L = last or T.

        Returns:
            y (K, B, L, O) and z (K, B, L, M).

        Raises:
            ValueError, TypeError: as ALRNN.
        """
        p = self.parts()
        K, M, N = p["C"].shape
        shape: tuple[int | str, ...] = (K, "B", "T") if isinstance(s, Tensor) and s.dim() == 3 else ("B", "T")
        words = check_words(s, self.theta, shape, N)
        if not words:
            each = isinstance(s, Tensor) and s.dim() == 4
            check_input("s", s, self.theta, (K, "B", "T", N) if each else ("B", "T", N))
        drive = look_up(s, p["C"], p["h"]) if words else s
        z0 = drive.new_zeros(K, drive.shape[-3], M)
        z = leap(drive, z0, p["A"], p["W"], None if words else p["C"], p["h"], self.lower, last)
        y = p["D"].unsqueeze(1) @ z.permute(0, 2, 3, 1) + p["b"][:, None, :, None]  # (K, L, O, B), as z lies in memory
        return y.permute(0, 3, 1, 2), z

    def write_to(self, nets: Sequence[ALRNN]) -> None:
        """Copy the weights into K nets of the same sizes, in order; ValueError for another number of nets."""
        if len(nets) != len(self.theta):
            raise ValueError(f"the ensemble holds {len(self.theta)} nets, got {len(nets)} to write to")
        with torch.no_grad():
            for name, values in self.parts().items():
                for net, value in zip(nets, values, strict=True):
                    getattr(net, name).copy_(value)


def look_up(words: Tensor, C: Tensor, h: Tensor) -> Tensor:
    """The drive C s_t of one-hot inputs s_t given in short, as column numbers of C: a word's vector is its column.

    Where a text has not begun yet, -1, the drive is -h: it takes back h, so that a state of zero stays exactly zero.

    Args:
        words: (B, T) or (K, B, T). C: (K, M, N). h: (K, M).

    Returns:
        (K, B, T, M), an input for `recurrence` that is added to the state as it is (C = None).
    """
    K, M, N = C.shape
    table = torch.cat([C.mT, -h[:, None]], 1).flatten(0, 1)  # net after net, the words and then -h
    index = words % (N + 1) + (N + 1) * torch.arange(K, device=words.device)[:, None, None]
    return table.index_select(0, index.flatten()).view(*index.shape, M)
