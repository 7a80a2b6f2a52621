"""What every kind of net is: `Net`, K of which run in one pass."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..checks import check_input, check_words, kept

Weights = Mapping[str, Tensor]  # name, as in `named_parameters`, -> (K, *shape): the weights of K nets
Self = TypeVar("Self", bound="Net")


class Output(NamedTuple):
    """What K nets answer. y: (K, B, L, O), at the steps that are read.

    z: states at these steps, (K, B, L, M), or None. state: after the last step, to carry on from; (K, B, M) or a tuple.
    """

    y: Tensor
    z: Tensor | None = None
    state: Any = None


class Inputs(NamedTuple):
    """What a net sees of a batch, `alrnn.tasks.Batch`, which has these attributes, too.

    s: input (B, T, N), or words (B, T); with K in front where each net has its own. last: how many steps at the end
    are read. at: (B, L) or (K, B, L), the steps that are read, instead of the last. given: a decoder's input.
    """

    s: Tensor
    last: int
    at: Tensor | None = None
    given: Tensor | None = None


class Seen(Protocol):
    """Anything with the attributes of `Inputs`."""

    @property
    def s(self) -> Tensor: ...
    @property
    def last(self) -> int: ...
    @property
    def at(self) -> Tensor | None: ...
    @property
    def given(self) -> Tensor | None: ...


class Net(nn.Module):
    """A kind of net: its parameters, and how K nets of the kind run in one pass.

    A subclass keeps the arguments of its constructor as attributes by name, among them `seed`, and implements `run`,
    which alone is what `alrnn.fit` trains and `alrnn.evaluate` scores. What it needs to know beside its parameters it
    keeps in buffers, or it follows from shapes: `run` is a class method and sees no single net.

    kind: its name in tables, by default that of the class. maps: prefixes of the almost-linear recurrences among its
    weights, e.g. "encoder.".
    given_size: of a decoder's input, `Batch.given`, as the task has it; 0 where a kind has none.
    """

    kind: ClassVar[str] = "net"
    maps: ClassVar[tuple[str, ...]] = ()
    input_size: int
    hidden_size: int
    output_size: int
    given_size: int = 0
    seed: int = 0

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state: Any = None) -> Output:
        """K nets on a batch, from `state` (zero by default).

        Args:
            w: parameters and buffers by name, (K, ...) each.
            batch: a `Batch` or `Inputs`; s (B, T, N) is shared by the nets, (K, B, T, N) is not.
            last: read the last steps, so many, instead of those that the batch reads.
            state: as in `Output`.
        """
        raise NotImplementedError

    @classmethod
    def predict(cls, w: Weights, batch: Seen, state: Any = None) -> Output:
        """As `run`, but without what only training may see: a decoder is fed its own answers."""
        return cls.run(w, batch, state=state)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" not in vars(cls):  # one that runs otherwise is not what it is made of
            cls.kind = cls.__name__

    def forward(self, s: Tensor, state: Any = None) -> tuple[Tensor, Tensor | None]:
        """This net alone on s (B, T, N), or words (B, T), every step: y (B, T, O) and z (B, T, M) or None."""
        like = next(self.parameters())
        if not check_words(s, like, ("B", "T"), self.input_size):
            check_input("s", s, like, ("B", "T", self.input_size))
        output = self.run({name: x[None] for name, x in self.weights().items()}, Inputs(s, s.shape[1]), state=state)
        return output.y[0], None if output.z is None else output.z[0]

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, as `run` wants them, less the leading K."""
        return dict(self.named_parameters()) | dict(self.named_buffers())

    def fixed(self) -> dict[str, Tensor]:
        """Parameter name -> bool of its shape: numbers that training leaves as they are; most nets have none."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The arguments it was made with: `type(net)(**net.settings())` is the same net, untrained."""
        return kept(self)

    def describe(self) -> dict[str, Any]:
        """What a table says of it, by column: M, parameters (their number), seed, and what else its kind has."""
        rest = {k: v for k, v in self.settings().items() if k not in ("input_size", "output_size", "hidden_size")}
        return {"M": self.hidden_size, "parameters": self.size(), **rest}

    def size(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters()) - sum(int(x.sum()) for x in self.fixed().values())

    def copy(self: Self) -> Self:
        """An independent copy."""
        return copy.deepcopy(self)


def read(z: Tensor, batch: Seen, last: int | None = None) -> Tensor:
    """Of all steps, (K, B, T, ...), those that are read, (K, B, L, ...)."""
    if last is None and batch.at is not None:
        at = batch.at.expand(z.shape[0], *batch.at.shape[-2:])[..., None]
        return z.gather(2, at.expand(*at.shape[:3], z.shape[-1]))
    many = last or batch.last
    return z if z.shape[2] == many else z[:, :, -many:]


def zeros(like: Tensor, *shape: int) -> Tensor:
    """A state of zeros, with dtype and device of a weight."""
    return torch.zeros(shape, dtype=like.dtype, device=like.device)
