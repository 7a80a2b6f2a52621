"""The almost-linear recurrence as a layer and a cell, to stand where `torch.nn.RNN` and `torch.nn.RNNCell` stand."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .checks import check_input, integer
from .nets import Init
from .nets.almost_linear import AlmostLinear, in_own_dtype, states
from .nets.net import zeros

__all__ = ["ALRNNCell", "ALRNNLayer"]
__dir__ = __all__.copy  # dir() shows what is public


class ALRNNCell(AlmostLinear):
    """One step of the recurrence, called as `torch.nn.RNNCell`: h = cell(x, h).

    Args:
        input_size: N. hidden_size: M. nonlinear_size: P, 0 <= P <= M; the last P units are PWL units.
        bias: with h or without. device, dtype: as for any layer of torch. init: a kind by name or an `alrnn.Init`.

    Parameters: A (M,), W (M, M), C (M, N) and h (M,), as in `alrnn.ALRNN`.

    Raises:
        ValueError: sizes out of range, or no such init.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinear_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        init: str | Init | Mapping[str, Any] = "paper",
    ):
        super().__init__()
        N, M, _ = self._of_size(input_size, hidden_size, nonlinear_size)
        self.bias, self.init = bias, Init.of(init)
        shapes: dict[str, tuple[int, ...]] = {"A": (M,), "W": (M, M), "C": (M, N)} | ({"h": (M,)} if bias else {})
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self._derive()
        self.reset_parameters()

    def _derive(self) -> None:
        super()._derive()
        if not self.bias:
            self.register_buffer("h", torch.zeros_like(self.A), persistent=False)

    def reset_parameters(self) -> None:
        """Start anew as `init` says, with a seed from torch's global generator, as torch's own layers do."""
        if self.W.is_meta:
            return
        seed = int(torch.randint(2**31, (), device="cpu"))
        drawn = self.init.draw(self.hidden_size, self.nonlinear_size, self.input_size, 0, seed)
        with torch.no_grad():
            for name, own in self.named_parameters():
                own.copy_(drawn[name])

    @in_own_dtype
    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The state after x, (B, N) or (N,), from the state h before, (B, M) or (M,), zero by default.

        Raises:
            ValueError, TypeError: another shape, dtype or device. NaN passes.
        """
        batch = () if isinstance(x, Tensor) and x.dim() == 1 else ("B",)
        check_input("x", x, self.W, (*batch, self.input_size), finite=False)
        if h is None:
            return self.next_state(x, zeros(x, *x.shape[:-1], self.hidden_size))
        check_input("h", h, self.W, (*x.shape[:-1], self.hidden_size), finite=False)
        return self.next_state(x, h)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"N={self.input_size}, M={self.hidden_size}, P={self.nonlinear_size}, bias={self.bias}"


class ALRNNLayer(nn.Module):
    """The recurrence over time, called as `torch.nn.RNN`: out, h_n = layer(x, h_0).

    out holds the states z_t themselves, not phi(z_t). The next layer reads them as they are, too.

    Args:
        input_size: N. hidden_size: M. nonlinear_size: P of each layer and direction.
        num_layers: layers on top of each other. bidirectional: beside each cell another that runs from the end.
        batch_first: x is (B, T, N). dropout: between layers, in training.
        bias, device, dtype, init: as for `ALRNNCell`.

    cells: an `ALRNNCell` for each layer and direction, in the order of h_0 and h_n.

    Raises:
        ValueError: sizes or dropout out of range, or no such init.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinear_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        init: str | Init | Mapping[str, Any] = "paper",
    ):
        super().__init__()
        self.input_size, self.hidden_size, self.nonlinear_size = input_size, hidden_size, nonlinear_size
        self.num_layers, self.bias = integer("num_layers", num_layers, 1), bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be between 0 and 1, got {dropout!r}")
        if dropout and num_layers == 1:
            warnings.warn("dropout is between layers, and there is one alone", stacklevel=2)
        ways = 1 + bool(bidirectional)
        sizes = [input_size] * ways + [ways * hidden_size] * ways * (num_layers - 1)
        self.cells = nn.ModuleList(ALRNNCell(N, hidden_size, nonlinear_size, bias, device, dtype, init) for N in sizes)

    def reset_parameters(self) -> None:
        """Start anew, as `ALRNNCell.reset_parameters`."""
        for cell in self.cells:
            cell.reset_parameters()  # type: ignore[operator]

    def flatten_parameters(self) -> None:
        """Nothing to do: here for code that calls it on `torch.nn.RNN`."""

    @in_own_dtype
    def forward(self, x: Tensor | PackedSequence, h_0: Tensor | None = None) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run on x, (T, B, N), or (B, T, N) if batch_first, or (T, N), or packed, from states h_0, zero by default.

        Returns:
            out, the states of the last layer, (T, B, M), in the form of x; with two directions, 2 M, forwards first.
            h_n, as h_0: the state of each cell after its last step, (num_layers, B, M), or twice as many, or (..., M).
            Packed sequences end each at its own last step: nothing is padded.

        Raises:
            ValueError, TypeError: another shape, dtype or device. NaN passes.
        """
        W = next(self.parameters())
        packed, alone = isinstance(x, PackedSequence), isinstance(x, Tensor) and x.dim() == 2
        lead = ("all steps",) if packed else ("T",) if alone else ("B", "T") if self.batch_first else ("T", "B")
        check_input("x", x.data if packed else x, W, (*lead, self.input_size), finite=False)
        if isinstance(x, PackedSequence):
            sizes, steps = (n.tolist() for n in x.batch_sizes.unique_consecutive(return_counts=True))
            parts = x.data.split([B * T for B, T in zip(sizes, steps, strict=True)])
            blocks = [part.unflatten(0, (T, B)) for part, T, B in zip(parts, steps, sizes, strict=True)]
        else:
            blocks = [x.unsqueeze(1) if alone else x.transpose(0, 1) if self.batch_first else x]
        shape = (len(self.cells), blocks[0].shape[1], self.hidden_size)
        if h_0 is None:
            h_0 = zeros(W, *shape)
        else:
            check_input("h_0", h_0, W, shape[::2] if alone else shape, finite=False)
            h_0 = h_0.unsqueeze(1) if alone else h_0
            if isinstance(x, PackedSequence) and x.sorted_indices is not None:
                h_0 = h_0[:, x.sorted_indices]
        blocks, h_n = self._run(blocks, h_0)
        if isinstance(x, PackedSequence):
            data = torch.cat([block.flatten(0, 1) for block in blocks])
            h_n = h_n if x.unsorted_indices is None else h_n[:, x.unsorted_indices]
            return PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices), h_n
        if alone:
            return blocks[0].squeeze(1), h_n.squeeze(1)
        return blocks[0].transpose(0, 1) if self.batch_first else blocks[0], h_n

    def _run(self, blocks: list[Tensor], h_0: Tensor) -> tuple[list[Tensor], Tensor]:
        """Steps in blocks (T_i, B_i, N), within which no sequence ends -> the last layer's states, and h_n."""
        ends: list[Tensor] = []
        for layer in range(self.num_layers):
            if layer:
                blocks = [nn.functional.dropout(block, self.dropout, self.training) for block in blocks]
            ways = []
            for backwards in (False, True)[: 1 + self.bidirectional]:
                out, end = through(self.cells[len(ends)], blocks, h_0[len(ends)], backwards)
                ways.append(out)
                ends.append(end)
            blocks = [torch.cat(both, 2) for both in zip(*ways, strict=True)]
        return blocks, torch.stack(ends)

    def extra_repr(self) -> str:
        """What the cells do not say."""
        return f"batch_first={self.batch_first}, dropout={self.dropout}, bidirectional={self.bidirectional}"


def through(cell: Any, blocks: list[Tensor], z: Tensor, backwards: bool) -> tuple[list[Tensor], Tensor]:
    """A cell over blocks (T_i, B_i, N) of the first B_i sequences, z (B, M) -> the states, and the last of each."""
    w, order = {name: getattr(cell, name)[None] for name in ("A", "W", "C", "h", "bends")}, -1 if backwards else 1
    outs = []
    for block in blocks[::order]:
        s, B = (block.flip(0) if backwards else block).transpose(0, 1), block.shape[1]
        out = states(w, s, z[None, :B])[0].transpose(0, 1)
        z = torch.cat([out[-1], z[B:]])  # of the sequences that have ended, or, backwards, not begun
        outs.append(out.flip(0) if backwards else out)
    return outs[::order], z
