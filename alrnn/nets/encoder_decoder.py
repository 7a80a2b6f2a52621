"""Two almost-linear recurrences: one reads a sequence, the other answers it with another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..checks import check_input, check_words, integer
from .almost_linear import ALRNN, SEEDS
from .init import Init
from .net import Inputs, Net, Output, Seen, Weights


class EncoderDecoder(Net):
    """An AL-RNN that reads s, the encoder, and one that starts from its last state and answers in L steps, the decoder.

    The decoder reads `Batch.given`: in training the right answer, one step late, behind something to start from. That
    is symbols (B, L), whole numbers below given_size, where those of the answers are 0 to O - 1 and the start is one
    more; or numbers (B, L, given_size). When it is scored (`predict`) the decoder sees the start alone, the first step
    of given, and then reads its own answer: the likeliest symbol of the step before, or the outputs themselves.

    So the task says how answers start and how long they may get, L. A text that is shorter than others has -1 before it
    begins; the encoder is always read at the last step of s, and a batch has no `at`.

    Args:
        input_size: N. hidden_size: M of both. nonlinear_size: P of the decoder. output_size: O.
        nonlinear_encoder: P of the encoder; by default that of the decoder.
        given_size: number of symbols, or columns, that the decoder reads, at least O; the task has the same. By default
            O + 1: what it can say, and a start. O for numbers.
        stop: the symbol, if any, that ends an answer. When the net is scored, outputs stay as they are from there on,
            so that the symbol is repeated up to step L: answers that go on are wrong where the target repeats it, too.
        seed, init: as for `ALRNN`, of both; each has its own draws.

    encoder, decoder: `ALRNN`s, to be read like any other (the encoder without a readout). An `Output` holds the
    decoder's states; its last one is what an encoder can go on from. part: their kind; a subclass that makes both of
    another kind of net says so here.

    Raises:
        ValueError: sizes, stop or seed out of range, or no such init.
    """

    kind = "encoder_decoder"
    maps = ("encoder.", "decoder.")
    part: ClassVar[type[Net]] = ALRNN
    stops: Tensor  # (), the stop symbol, or -1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinear_size: int,
        output_size: int,
        nonlinear_encoder: int | None = None,
        given_size: int | None = None,
        stop: int | None = None,
        seed: int = 0,
        init: str | Init | Mapping[str, Any] = "paper",
    ):
        super().__init__()
        self.seed, O = integer("seed", seed, 0, SEEDS - 1), integer("output_size", output_size, 1)  # noqa: E741
        self.given_size = O + 1 if given_size is None else integer("given_size", given_size, O)
        self.decoder = ALRNN(self.given_size, hidden_size, nonlinear_size, O, SEEDS - 1 - seed, init)
        M, P = self.decoder.hidden_size, self.decoder.nonlinear_size
        reads = P if nonlinear_encoder is None else integer("nonlinear_encoder", nonlinear_encoder, 0, M, "hidden_size")
        self.encoder = ALRNN(input_size, M, reads, 0, seed, init)
        self.input_size, self.hidden_size, self.output_size = self.encoder.input_size, M, O
        self.init = self.decoder.init
        self.stop = None if stop is None else integer("stop", stop, 0, O - 1)
        self.register_buffer("stops", None, persistent=False)
        self._apply(lambda x: x)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.stops = torch.tensor(-1 if self.stop is None else self.stop, device=next(self.parameters()).device)
        return self  # made anew, as to_empty leaves buffers as they come

    @property
    def nonlinear_size(self) -> int:
        """P of the decoder."""
        return self.decoder.nonlinear_size

    @property
    def nonlinear_encoder(self) -> int:
        """P of the encoder."""
        return self.encoder.nonlinear_size

    @classmethod
    def run(cls, w: Weights, batch: Seen, last: int | None = None, state: Any = None) -> Output:
        given, before = Inputs(_given(batch), last or batch.last), cls._encoded(w, batch, state)
        return cls.part.run(_part(w, "decoder."), given, state=before)

    @classmethod
    def predict(cls, w: Weights, batch: Seen, state: Any = None) -> Output:
        given, stop, decoder = _given(batch), w["stops"][:, None, None], _part(w, "decoder.")
        words, state = not given.is_floating_point(), cls._encoded(w, batch, state)
        steps: list[tuple[Any, ...]] = []  # y (K, B, 1, O) and z
        fed, ended = given[..., :1] if words else given[..., :1, :], torch.zeros_like(stop, dtype=torch.bool)
        for _ in range(batch.last):
            y, z, state = cls.part.run(decoder, Inputs(fed, 1), state=state)
            if not words and (N := given.shape[-1]) != y.shape[-1]:
                raise ValueError(f"outputs can be fed back only where given_size = {N} is the output size")
            if words and steps:
                y = torch.where(ended[..., None], steps[-1][0], y)
            steps.append((y, z))
            fed = y.argmax(-1) if words else y
            ended = fed == stop if words else ended
        y, z = (torch.cat(x, 2) for x in zip(*steps, strict=True))
        return Output(y, z, state)

    @classmethod
    def _encoded(cls, w: Weights, batch: Seen, state: Any) -> Any:
        """What the decoder goes on from: the encoder's last state."""
        return cls.part.run(_part(w, "encoder."), Inputs(batch.s, 1), state=state).state

    def forward(self, s: Tensor, given: Tensor, free: bool = False) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """This net alone on s (B, T, N), or words (B, T), fed what is given, (B, L) or (B, L, given_size).

        free: be fed its own answers, and see of what is given only the first step.

        Returns:
            y (B, L, O) and the decoder's z (B, L, M).

        Raises:
            ValueError, TypeError: as `ALRNN`, for s and for given.
        """
        like, sizes = next(self.parameters()), {"s": self.input_size, "given": self.given_size}
        for name, x, shape in (("s", s, ("B", "T")), ("given", given, (len(s), "L"))):
            if not check_words(x, like, shape, N := sizes[name]):
                check_input(name, x, like, (*shape, N))
            elif name == "given" and x.min() < 0:
                raise ValueError(f"given must be symbols from 0 to {N - 1}, got {x.min()}")
        batch, w = Inputs(s, given.shape[1], given=given), {name: x[None] for name, x in self.weights().items()}
        y, z, _ = self.predict(w, batch) if free else self.run(w, batch)
        return y[0], z[0]  # type: ignore[index]

    def fixed(self) -> dict[str, Tensor]:
        return {"encoder.A": ~self.encoder.pwl, "decoder.A": ~self.decoder.pwl}

    def describe(self) -> dict[str, Any]:
        own = {"parameters": self.size(), "seed": self.seed, "P_encoder": self.nonlinear_encoder}
        return self.decoder.describe() | own | {"given_size": self.given_size, "stop": self.stop}


def _part(w: Weights, at: str) -> dict[str, Tensor]:
    """The weights of the encoder or the decoder, under the names that they have alone."""
    return {name.removeprefix(at): x for name, x in w.items() if name.startswith(at)}


def _given(batch: Seen) -> Tensor:
    if batch.given is None:
        raise ValueError("a decoder needs what it is fed: a batch with given, (B, L) or (B, L, given_size)")
    return batch.given
