"""What nets are trained on: batches, each net's from the stream of its own task and seed, whole or in windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..checks import integer, is_words
from ..nets import Net
from ..nets.almost_linear import SEEDS
from ..tasks import Batch, Task
from ..tasks.base import TRAINING
from ..tasks.check import check_batch


class Place(NamedTuple):
    """How far streams were read. drawn: the states of their generators. whole: sequences that are read in windows, of
    which the next begins at step `start`, from `state`."""

    drawn: list[Tensor]
    whole: Batch | None = None
    start: int = 0
    state: Any = None


class Streams:
    """Batches of n sequences for each net; nets of one task and one seed see the same.

    place: how far they were read. It changes when a step is done, not when its batch is made: a step that was
    interrupted gets the same batch again.
    """

    def __init__(
        self, tasks: Sequence[Task], nets: Sequence[Net], n: int, window: int | None, noise: float, like: Tensor
    ):
        self.n, self.window, self.noise, self.like = n, window, noise, like
        self.M = nets[0].hidden_size
        seeds = [integer("the seed of a net", net.seed, 0, SEEDS - 1) for net in nets]
        sources = [(id(task), seed) for task, seed in zip(tasks, seeds, strict=True)]
        streams = list(dict.fromkeys(sources))
        self.tasks = [tasks[sources.index(stream)] for stream in streams]
        self.index = torch.tensor([streams.index(source) for source in sources], device=like.device)
        self.place = Place([torch.Generator().manual_seed(TRAINING + seed).get_state() for _, seed in streams])

    def next(self, check: bool) -> tuple[Batch, Place]:
        """The next batch, and the place at which it begins."""
        here = self.place if self.place.whole is not None else self._drawn(check)
        assert here.whole is not None
        if self.window is None:
            return here.whole, here
        return here.whole.window(here.start, min(here.start + self.window, here.whole.steps)), here

    def go_on(self, here: Place, batch: Batch, state: Any) -> None:
        """A step with this batch from this place is done and has come to this state."""
        stop, steps = here.start + batch.steps, here.whole.steps if here.whole else 0
        self.place = here._replace(start=stop, state=each(state, Tensor.detach)) if stop < steps else Place(here.drawn)

    def _drawn(self, check: bool) -> Place:
        batches, after, starts = [], [], []
        for task, drawn in zip(self.tasks, self.place.drawn, strict=True):
            generator = torch.Generator()
            batch = task.sample(self.n, generator.set_state(drawn))
            words = [is_words(getattr(batch, name, None)) for name in ("s", "given")]
            if check or any(words):  # a wrong word would be taken for another
                check_batch(batch, task, self.n)
            batches.append(batch.to(self.like))
            if self.noise:
                starts.append(self.noise * (2 * torch.rand(self.n, self.M, generator=generator) - 1).to(self.like))
            after.append(generator.get_state())
        whole = batches[0] if len(batches) == 1 else Batch.per_net(batches, self.index)
        return Place(after, whole, state=torch.stack(starts).index_select(0, self.index) if starts else None)


def each(state: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """function(x) of each tensor x of a state, as it is built: a tensor, None, or tuples of those."""
    if isinstance(state, Tensor):
        return function(state)
    return None if state is None else tuple(each(part, function) for part in state)
