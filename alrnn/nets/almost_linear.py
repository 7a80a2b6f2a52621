r"""The Almost-Linear RNN.

    z_t = A z_{t-1} + W phi(z_{t-1}) + C s_t + h,      y_t = D z_t + b

phi is the identity on the first M - P units (linear units) and ReLU on the last P (PWL units).
Source: Brenner & Koppe, TMLR 2026.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce, wraps
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..checks import check_input, check_words, codes, integer, transformed, watched
from ..recurrence import full_precision, step
from ..recurrence.leap import leap
from .init import Init
from .net import Inputs, Net, Output, Seen, Weights, read, zeros

PARTS = ("A", "W", "C", "h", "D", "b")
SEEDS = 1_000_000_000  # a net's seed is below, those of data lie above (`alrnn.tasks.base`): no two streams coincide
F = TypeVar("F", bound=Callable)


def in_own_dtype(forward: F) -> F:
    """Run in the weights' dtype under autocast, too: a state is a sum over many steps."""

    @wraps(forward)
    def run(self, *args, **kwargs):
        if not torch._C._is_any_autocast_enabled():
            return forward(self, *args, **kwargs)
        like = next(self.parameters())
        low = torch.get_autocast_dtype(like.device.type)

        def cast(x):
            numbers = x.data if isinstance(x, PackedSequence) else x
            return x.to(like.dtype) if isinstance(numbers, Tensor) and numbers.dtype == low else x

        with full_precision(like):
            return forward(self, *map(cast, args), **{name: cast(x) for name, x in kwargs.items()})

    return run  # type: ignore[return-value]


class AlmostLinear(nn.Module):
    """A, W, C, h of one almost-linear recurrence, and its P: what a net, a cell and a layer share."""

    input_size: int
    hidden_size: int
    A: Tensor
    W: Tensor
    C: Tensor
    h: Tensor
    bends: Tensor  # (M,), 1 on PWL units and 0 on linear ones; follows from P, so it is no part of a state dict

    def _of_size(self, input_size: int, hidden_size: int, nonlinear_size: int) -> tuple[int, int, int]:
        """N, M and P."""
        self.input_size = integer("input_size", input_size, 0)
        self.hidden_size = integer("hidden_size", hidden_size, 1)
        self._P = integer("nonlinear_size", nonlinear_size, 0, self.hidden_size, "hidden_size")
        self.register_buffer("bends", None, persistent=False)
        return self.input_size, self.hidden_size, self._P

    def _derive(self) -> None:
        """Set what follows from P, with dtype and device of the weights."""
        A = self.A
        self.bends = (torch.arange(len(A), device=A.device) >= len(A) - self._P).to(A.dtype)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self._derive()  # to_empty leaves buffers as they come
        return self

    @property
    def nonlinear_size(self) -> int:
        """P. It cannot be changed: make another net."""
        return self._P

    @property
    def pwl(self) -> Tensor:
        """(M,) bool, which units are PWL units: the last P."""
        return self.bends > 0

    @property
    def lower(self) -> Tensor:
        """(M,), the lower bound of phi: -inf on linear units, 0 on PWL units."""
        return self.bends.log()

    def next_state(self, s_t: Tensor, z: Tensor) -> Tensor:
        """One step: input s_t (B, N) or (N,), or words (B,), and state z (B, M) or (M,) -> the next state.

        What is given is not looked at.
        """
        bends, C, h, words = self.bends, self.C, self.h, not s_t.is_floating_point()
        drive = look_up(s_t[:, None], C[None], h[None])[0, :, 0] if words else s_t
        return step(drive, z, _self_weights(self.A, bends), self.W, None if words else C, h, bends.log())

    def get_extra_state(self) -> Tensor:
        """P, so that weights cannot be loaded into a net that would read them otherwise."""
        return torch.tensor(self._P, device="cpu")

    def set_extra_state(self, state: Any) -> None:
        """Refuse the weights of a net with another P."""
        if int(state) != self._P:
            raise ValueError(f"these weights are of a net with P = {int(state)}, this one has P = {self._P}")

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        pwl = state_dict.pop(f"{prefix}pwl", None)  # as files of version 0.1.0 have it
        state_dict.pop(f"{prefix}lower", None)
        if pwl is not None:
            state_dict.setdefault(f"{prefix}_extra_state", pwl.sum())
        if f"{prefix}_extra_state" in state_dict:  # before a weight is copied
            self.set_extra_state(state_dict[f"{prefix}_extra_state"])
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._derive()  # with assign=True, weights of another dtype or device have come


class ALRNN(AlmostLinear, Net):
    """An Almost-Linear RNN with M units, of which the last P are ReLU (PWL) units.

    Args:
        input_size: N. hidden_size: M. nonlinear_size: P, 0 <= P <= M. output_size: O.
        seed: of the initial weights and, in `alrnn.fit`, of the training data; below a thousand million.
        init: a kind by name or an `Init`.

    N = 0 is a net without inputs, s (B, T, 0); O = 0 one without a readout.

    Parameters (attributes): A (M,); W (M, M); C (M, N); h (M,); D (O, M); b (O,). A starts at zero on the linear units,
    whose self-weight is W_ii, and training leaves it there; numbers put there count as what they are, and stay.
    order: of a net made by `from_weights`, where its units come from, M numbers; else None.

    Raises:
        ValueError: sizes or seed out of range, or no such init.
    """

    kind = "alrnn"
    maps = ("",)
    D: Tensor
    b: Tensor
    order: list[int] | None = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinear_size: int,
        output_size: int,
        seed: int = 0,
        init: str | Init | Mapping[str, Any] = "paper",
    ):
        super().__init__()
        N, M, P = self._of_size(input_size, hidden_size, nonlinear_size)
        self.output_size = integer("output_size", output_size, 0)
        self.seed = integer("seed", seed, 0, SEEDS - 1)
        self.init = Init.of(init)
        for name, value in self.init.draw(M, P, N, self.output_size, self.seed).items():
            self.register_parameter(name, nn.Parameter(value.to(torch.get_default_dtype())))
        self._derive()

    @classmethod
    def from_weights(
        cls, W: Any, h: Any, A: Any = None, C: Any = None, D: Any = None, b: Any = None, *, nonlinear, seed: int = 0
    ) -> ALRNN:
        """A net with these weights, copies of arrays or tensors, in their dtype and on W's device.

        PWL units come last here: unit i of the net is unit net.order[i] of the weights given, and the net's state for
        a state z of theirs is z[..., net.order]. A on linear units is added to W's diagonal.

        Args:
            W: (M, M). h: (M,). A: (M,), zero by default. C: (M, N), by default N = 0. D: (O, M), by default O = 0.
            b: (O,), zero by default. nonlinear: P, if the PWL units are the last P, or a mask of them, (M,) bool.

        Raises:
            ValueError: wrong shapes, NaN or infinite numbers, or no such P or mask.
        """
        given = {n: _tensor(x) for n, x in zip(PARTS, (A, W, C, h, D, b), strict=True) if x is not None}
        W, dtype = given["W"], reduce(torch.promote_types, [x.dtype for x in given.values()])
        if W.dim() != 2 or len(W) != W.shape[1]:
            raise ValueError(f"W must have shape (M, M), got {tuple(W.shape)}")
        pwl = _mask(nonlinear, len(W)).to(W.device)
        N, O = 0 if C is None else (1, *given["C"].shape)[-1], 0 if D is None else (*given["D"].shape, 1)[0]  # noqa: E741
        net = cls(N, len(W), int(pwl.sum()), O, seed)
        net = net.to(W.device, dtype if dtype.is_floating_point else None)
        net.order = order = pwl.int().argsort(stable=True).tolist()
        with torch.no_grad():
            for name in PARTS:
                own, x = getattr(net, name), given.get(name, torch.zeros_like(getattr(net, name)))
                if x.shape != own.shape:
                    raise ValueError(f"{name} must have shape {tuple(own.shape)}, got {tuple(x.shape)}")
                if not torch.isfinite(own.copy_(x)).all():
                    raise ValueError(f"{name} contains NaN or infinite values")
            net.W += torch.diag(net.A * ~pwl)
            net.A *= pwl
            for x in (net.A, net.W, net.C, net.h, net.W.T, net.D.T):
                x.copy_(x[order])
        return net

    @classmethod
    def from_rnn(cls, rnn: nn.RNN, linear: nn.Linear | None = None) -> ALRNN:
        r"""A ReLU RNN of torch, u_t = relu(W u_{t-1} + C s_t + h), as a net with P = M and A = 0: relu(z_t) = u_t.

        z_t is what torch applies ReLU to; both start from the same state, if it is not negative. Without `linear` the
        net has no readout. With it, the net gives torch's answer one step later, y_t = L u_{t-1} + c, from O linear
        units in front, which hold L u_{t-1}: start them at 0, and read the last answer at a step more, with any input.

        At the same step no net can, of any size: y_t is affine in s_t, and L relu(W u_{t-1} + C s_t + h) + c is not.

        Raises:
            ValueError: anything but one layer of torch.nn.RNN with ReLU in one direction, or a readout of another size.
        """
        one = isinstance(rnn, nn.RNN) and rnn.num_layers == 1 and not rnn.bidirectional
        if not one or rnn.nonlinearity != "relu":
            raise ValueError(f"rnn must be a torch.nn.RNN(nonlinearity='relu') of one layer and direction, got {rnn!r}")
        W, C = (getattr(rnn, f"weight_{name}_l0") for name in ("hh", "ih"))
        M, h = len(W), sum((getattr(rnn, f"bias_{name}_l0") for name in ("ih", "hh") if rnn.bias), W.new_zeros(len(W)))
        if linear is None:
            return cls.from_weights(W, h, C=C, nonlinear=M)
        if not isinstance(linear, nn.Linear) or linear.in_features != M:
            raise ValueError(f"linear must be a torch.nn.Linear that reads {M} units, got {linear!r}")
        O = linear.out_features  # noqa: E741
        W, C, h = torch.cat([linear.weight, W]), nn.functional.pad(C, (0, 0, O, 0)), nn.functional.pad(h, (O, 0))
        D = torch.eye(O, O + M, dtype=W.dtype, device=W.device)
        return cls.from_weights(nn.functional.pad(W, (O, 0)), h, C=C, D=D, b=linear.bias, nonlinear=M)

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state: Any = None) -> Output:
        z = states(w, batch.s, state, last or (batch.last if batch.at is None else None))
        here = z if batch.at is None or last else read(z, batch)
        return Output(readout(w, here), here, z[:, :, -1])

    def forward(self, s: Tensor, z0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run on input s (B, T, N), or on words (B, T) as in `look_up`, from state z0 (B, M), zero by default.

        Returns:
            y (B, T, O) and z (B, T, M); z[:, t] is the state after s[:, t].

        Raises:
            ValueError: wrong shape, B = 0 or T = 0, another device, or NaN or infinite values in s or z0; words out of
                range, or words that start late from a state z0.
            TypeError: a dtype other than the weights'.
        """
        quick = self._one_step(s, z0)
        return self._steps(s, z0) if quick is None else quick

    @in_own_dtype
    def _steps(self, s: Tensor, z0: Tensor | None) -> tuple[Tensor, Tensor]:
        words = check_words(s, self.W, ("B", "T"), self.input_size)
        if not words:
            check_input("s", s, self.W, ("B", "T", self.input_size))
        if z0 is not None:
            if words and (s < 0).any():
                raise ValueError("texts that start late (-1) start from state zero: leave z0 out")
            check_input("z0", z0, self.W, (s.shape[0], self.hidden_size))
        named = self.weights() | {name: getattr(self, name) for name in PARTS}  # where parametrised or pruned, too
        w = {name: x.unsqueeze(0) for name, x in named.items()}
        y, z, _ = self.run(w, Inputs(s, s.shape[1]), state=None if z0 is None else z0.unsqueeze(0))
        return y[0], z[0]  # type: ignore[index]

    def _one_step(self, s: Any, z0: Any) -> tuple[Tensor, Tensor] | None:
        """`forward` for a single step from a state, with nothing set up first; None wherever something is unusual."""
        own: dict[str, Any] = self._parameters  # attributes of a module would take half as long as the step
        if not (type(s) is Tensor and type(z0) is Tensor and own.keys() == set(PARTS)):
            return None
        A, W, C, h, D, b = [own[name] for name in PARTS]
        fits = s.shape == (*z0.shape[:1], 1, self.input_size) and z0.shape == (len(s) or -1, self.hidden_size)
        fits = fits and s.dtype == z0.dtype == W.dtype and s.device == z0.device == W.device
        if not fits or type(self).run.__func__ is not ALRNN.run.__func__:  # type: ignore[attr-defined]
            return None
        if torch._C._is_any_autocast_enabled() or watched() or transformed():
            return None
        bends: Any = self._buffers["bends"]
        A = _self_weights(A, bends) if torch.is_grad_enabled() else A
        z = step(s.squeeze(1), z0, A, W, C, h, bends.log())
        if z.is_cpu and not math.isfinite(z.sum().item()):  # as it is not if anything in s or z0 is not
            return None
        return nn.functional.linear(z, D, b).unsqueeze(1), z.unsqueeze(1)

    def fixed(self) -> dict[str, Tensor]:
        return {"A": ~self.pwl}

    def describe(self) -> dict[str, Any]:
        row = {"M": self.hidden_size, "P": self.nonlinear_size, "parameters": self.size(), "seed": self.seed}
        start = vars(self.init) | {"units": self.hidden_size if self.init.units is None else self.init.units}
        return row | {"init" if name == "kind" else f"init_{name}": value for name, value in start.items()}

    def jacobian(self, bits: Tensor | Sequence[int] | str) -> Tensor:
        """The map's Jacobian in the region with these bits (..., P), or bitcodes: (..., M, M); gradients flow.

        A + W diag(1, ..., 1, bits).

        Raises:
            ValueError: bits of another shape, or other than 0 and 1.
        """
        on = torch.from_numpy(codes(bits, self.nonlinear_size)).to(self.W.device)
        return jacobian(_self_weights(self.A, self.bends), self.W, on)

    def extra_repr(self) -> str:
        """Sizes, seed and start."""
        sizes = f"N={self.input_size}, M={self.hidden_size}, P={self.nonlinear_size}, O={self.output_size}"
        return f"{sizes}, seed={self.seed}, init={self.init.kind}"


def states(w: Weights, s: Tensor, z0: Tensor | None = None, last: int | None = None, at: str = "") -> Tensor:
    """States of K almost-linear recurrences, whose weights' names begin with `at`: (K, B, L, M), L = last or T."""
    A, W, C, h, bends = (w[at + name] for name in ("A", "W", "C", "h", "bends"))
    A, (K, M) = _self_weights(A, bends), h.shape
    words = not s.is_floating_point()
    drive = look_up(s, C, h) if words else s
    weights = None if words else C
    if C.shape[2] == 0:  # no inputs: nothing to add to the state
        drive, weights = zeros(W, s.shape[-3], s.shape[-2], M), None
    start = zeros(W, K, drive.shape[-3], M) if z0 is None else z0
    return leap(drive, start, A, W, weights, h, bends.log(), None if last == drive.shape[-2] else last)


def readout(w: Weights, z: Tensor, at: str = "") -> Tensor:
    """y = D z + b for K nets: z (K, B, L, M) -> (K, B, L, O)."""
    D, b = w[at + "D"], w[at + "b"]
    if D.shape[1] > D.shape[2]:  # many classes: laid out so that a softmax over them need not copy
        flat = nn.functional.pad(z, (0, 1), value=1.0).flatten(1, 2)  # b as a column of D: adding it would copy, too
        return (flat @ torch.cat([D, b[..., None]], -1).mT).unflatten(1, z.shape[1:3])
    y = D.unsqueeze(1) @ z.permute(0, 2, 3, 1) + b[:, None, :, None]  # (K, L, O, B), as z lies in memory
    return y.permute(0, 3, 1, 2)


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
    index = words.long() % (N + 1) + (N + 1) * torch.arange(K, device=words.device)[:, None, None]
    return table.index_select(0, index.flatten()).view(*index.shape, M)


def jacobian(A: Tensor, W: Tensor, bits: Tensor) -> Tensor:
    """Jacobians A + W diag(1, ..., 1, bits) of regions with bits (..., P): (..., M, M)."""
    gate = nn.functional.pad(bits.to(W.dtype), (len(A) - bits.shape[-1], 0), value=1.0)
    return torch.diag(A) + W * gate[..., None, :]


def _self_weights(A: Tensor, bends: Tensor) -> Tensor:
    """A as it is, from which no gradient reaches the linear units."""
    return torch.where(bends > 0, A, A.detach())


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))


def _mask(nonlinear: Any, M: int) -> Tensor:
    """Which units are PWL units, (M,) bool, given P or such a mask."""
    if np.ndim(nonlinear) == 0:
        return torch.arange(M) >= M - integer("nonlinear", nonlinear, 0, M, "M")
    mask = _tensor(nonlinear)
    if mask.dtype != torch.bool or mask.shape != (M,):
        raise ValueError(f"nonlinear must be P or a mask, True or False for each of {M} units, got {nonlinear!r}")
    return mask
