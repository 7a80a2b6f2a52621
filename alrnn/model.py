r"""The Almost-Linear RNN, its initialisations, and ensembles of many nets trained in one pass.

    z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h,      y_t = D z_t + b

phi is the identity on the first M - P units (linear units) and ReLU on the last P (PWL units). Brenner & Koppe, TMLR 2026.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .recurrence import recurrence

PARTS = ("A", "W", "C", "h", "D", "b")


@dataclass(frozen=True)
class Init:
    """How the weights start. Standard deviations of normal draws, plus a structure on the first `units` units.

    Kinds (what the linear units among the first `units` get on top of the noise in W):
        paper: nothing; A and h are drawn like W, all near zero (the authors' start).
        slow: W_ii = value, one slow mode each.
        rotation: 2x2 rotations of radius `value`, angles spread evenly over 0..pi.
        spread: W_ii = exp(-1/time constant), time constants log-spaced over `time_constants` steps.
    PWL units among the first `units` get W_ii = pwl. With pwl = 1 that is the identity of Le, Jaitly & Hinton (2015),
    without which P = M starts with no memory at all and is no fair baseline.
    """

    kind: Literal["paper", "slow", "rotation", "spread"] = "paper"
    units: int | None = None  # how many units carry the structure, from the first; None: all
    value: float = 1.0  # self-weight or radius
    pwl: float = 0.0  # self-weight of the PWL units among them
    time_constants: tuple[float, float] = (2.0, 60.0)  # steps
    W: float = 0.01
    C: float = 0.1
    D: float = 0.1
    threshold: float = 0.0  # h on PWL units

    def __post_init__(self):
        if self.kind not in ("paper", "slow", "rotation", "spread"):
            raise ValueError(f"init must be one of paper, slow, rotation, spread, got {self.kind!r}")
        if self.units is not None and self.units < 0:
            raise ValueError(f"units must be at least 0, got {self.units}")

    def draw(self, M: int, P: int, N: int, O: int, seed: int) -> dict[str, Tensor]:  # noqa: E741
        """Weights in float64. Nets of one seed share their draws whatever P is."""
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
        angles = torch.linspace(0, math.pi, n // 2, dtype=torch.float64)
        cos, sin = angles.cos(), angles.sin()
        blocks = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        rest = [torch.ones(1, 1, dtype=torch.float64)] if n % 2 else []
        return self.value * torch.block_diag(*blocks, *rest)


class ALRNN(nn.Module):
    """An Almost-Linear RNN with M units, of which the last P are ReLU (PWL) units.

    Args:
        input_size: N. hidden_size: M. nonlinear_size: P, 0 <= P <= M. output_size: O.
        seed: of the initial weights and, in `alrnn.fit`, of the training data.
        init: a kind by name or an `Init`.

    Parameters (attributes): A (M,), zero on linear units; W (M, M); C (M, N); h (M,); D (O, M); b (O,).
    Buffers: pwl (M,) bool; lower (M,), -inf on linear units and 0 on PWL units.

    Raises:
        ValueError: sizes out of range.
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
        for name, size in {"input_size": input_size, "hidden_size": hidden_size, "output_size": output_size}.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {size!r}")
        if not isinstance(nonlinear_size, int) or not 0 <= nonlinear_size <= hidden_size:
            raise ValueError(f"nonlinear_size must be between 0 and hidden_size = {hidden_size}, got {nonlinear_size!r}")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.nonlinear_size, self.output_size = nonlinear_size, output_size
        self.seed = seed
        self.init = Init(init) if isinstance(init, str) else init  # type: ignore[arg-type]
        weights = self.init.draw(hidden_size, nonlinear_size, input_size, output_size, seed)
        for name in PARTS:
            self.register_parameter(name, nn.Parameter(weights[name].to(torch.get_default_dtype())))
        pwl = torch.arange(hidden_size) >= hidden_size - nonlinear_size
        self.register_buffer("pwl", pwl)
        lower = torch.zeros(hidden_size, dtype=self.W.dtype).masked_fill(~pwl, -torch.inf)
        self.register_buffer("lower", lower)

    def forward(self, s: Tensor, z0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run on input s (B, T, N) from state z0 (B, M), zero by default.

        Returns:
            y (B, T, O) and z (B, T, M); z[:, t] is the state after s[:, t].

        Raises:
            ValueError: wrong shape, T = 0, another device, or NaN in s or z0.
            TypeError: a dtype other than the weights'.
        """
        s = check_input(s, self)
        if z0 is None:
            z0 = s.new_zeros(s.shape[0], self.hidden_size)
        elif z0.shape != (s.shape[0], self.hidden_size):
            raise ValueError(f"z0 must have shape {(s.shape[0], self.hidden_size)}, got {tuple(z0.shape)}")
        elif torch.isnan(z0).any():
            raise ValueError("z0 contains NaN")
        weights = [x.unsqueeze(0) for x in (self.A * self.pwl, self.W, self.C, self.h, self.lower)]
        z = recurrence(s, z0.unsqueeze(0), *weights)[0]
        return z @ self.D.mT + self.b, z

    def jacobian(self, bits: Tensor | Sequence[int]) -> Tensor:
        """The map's Jacobian in the region with these bits (P,): A + W diag(1, ..., 1, bits), (M, M)."""
        on = torch.as_tensor(bits, device=self.W.device)
        if on.shape != (self.nonlinear_size,):
            raise ValueError(f"bits must have shape ({self.nonlinear_size},), one per PWL unit, got {tuple(on.shape)}")
        if not ((on == 0) | (on == 1)).all():
            raise ValueError("bits must be 0 or 1")
        gate = torch.ones_like(self.h)
        gate[self.hidden_size - self.nonlinear_size :] = on.to(gate.dtype)
        return torch.diag(self.A * self.pwl) + self.W * gate

    def copy(self) -> ALRNN:
        """An independent copy."""
        return copy.deepcopy(self)

    def extra_repr(self) -> str:
        M, P, N, O = self.hidden_size, self.nonlinear_size, self.input_size, self.output_size  # noqa: E741
        return f"N={N}, M={M}, P={P}, O={O}, seed={self.seed}, init={self.init.kind}"


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
        self.shapes = {name: getattr(nets[0], name).shape for name in PARTS}
        flat = [torch.cat([getattr(net, name).detach().flatten() for name in PARTS]) for net in nets]
        self.theta = nn.Parameter(torch.stack(flat))
        self.pwl: Tensor
        self.lower: Tensor
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
        """Run from state zero on s (B, T, N) or (K, B, T, N); `last` keeps only the last steps, L = last or T.

        Returns:
            y (K, B, L, O) and z (K, B, L, M).
        """
        p = self.parts()
        z0 = s.new_zeros(len(self.theta), s.shape[-3], p["W"].shape[-1])
        z = recurrence(s, z0, p["A"], p["W"], p["C"], p["h"], self.lower, last)
        return z @ p["D"].mT.unsqueeze(1) + p["b"][:, None, None], z

    def write_to(self, nets: Sequence[ALRNN]) -> None:
        """Copy the weights into nets of the same sizes, in order."""
        with torch.no_grad():
            for k, net in enumerate(nets):
                for name, value in self.parts().items():
                    getattr(net, name).copy_(value[k])


def check_input(s: Tensor, net: ALRNN) -> Tensor:
    """s itself, if it is a (B, T, N) float tensor without NaN that fits the net; else one clear error."""
    if not isinstance(s, Tensor) or s.dtype != net.W.dtype:
        kind = s.dtype if isinstance(s, Tensor) else type(s).__name__
        raise TypeError(f"s must be a {net.W.dtype} tensor, as the net's weights, got {kind}")
    if s.dim() != 3 or s.shape[2] != net.input_size:
        raise ValueError(f"s must have shape (B, T, {net.input_size}), got {tuple(s.shape)}")
    if s.shape[0] == 0 or s.shape[1] == 0:
        raise ValueError(f"s must hold at least one sequence and one step, got {tuple(s.shape)}")
    if s.device != net.W.device:
        raise ValueError(f"s is on {s.device}, the net on {net.W.device}")
    if torch.isnan(s).any():
        raise ValueError("s contains NaN")
    return s
