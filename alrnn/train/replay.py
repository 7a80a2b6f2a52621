"""A training step on a CUDA device as one graph: all its operations, those of each time step, too, launched at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..tasks import Batch

WARM_UP = 3  # runs before a graph is recorded, in which libraries set up what they need


class Replay:
    """compute(batch), recorded at the first call and replayed at later ones with batches of the same shapes.

    compute: returns tensors, made of the batch and of tensors that stay where they are. One that has to wait for the
    device, to decide what to do, cannot be recorded; then, saying so once, each call runs it as it is.
    graph: makes a recorder, with `record(function)` and `replay()`; for tests without a device.
    """

    def __init__(self, compute: Callable[[Batch], tuple[Tensor, ...]], graph: Callable[[], Any] | None = None):
        self.compute, self.graph = compute, graph or _CudaGraph
        self.recorded: Any = None
        self.failed = False

    def __call__(self, batch: Batch) -> tuple[Tensor, ...]:
        if self.recorded is None and not self.failed:
            try:
                self.batch, recorder = batch.map(torch.clone), self.graph()
                self.result = recorder.record(lambda: self.compute(self.batch))
                self.recorded = recorder
            except RuntimeError as error:
                self.failed = True
                warnings.warn(f"this training step cannot be a CUDA graph and runs step by step: {error}", stacklevel=2)
        if self.recorded is None or self._shapes(batch) != self._shapes(self.batch):
            return self.compute(batch)
        new = iter(self._tensors(batch))
        for own in self._tensors(self.batch):
            own.copy_(next(new), non_blocking=True)
        self.recorded.replay()
        return tuple(x.clone() for x in self.result)  # the next replay writes over them

    @staticmethod
    def _tensors(batch: Batch) -> list[Tensor]:
        found: list[Tensor] = []

        def keep(x: Tensor) -> Tensor:
            found.append(x)
            return x

        batch.map(keep)
        return found

    def _shapes(self, batch: Batch) -> list[tuple]:
        return [(x.shape, x.dtype) for x in self._tensors(batch)]


class _CudaGraph:
    def record(self, function: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            return function()

    def replay(self) -> None:
        self.graph.replay()
