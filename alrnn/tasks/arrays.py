"""A task on one's own arrays: sequences of any length, and what is asked at the end, or at every step, of each."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ..checks import fingerprint, integer
from .base import Batch, Recorded
from .check import check_batch, check_task
from .losses import METRIC, OBJECTIVE, Head, Metric, Objective

SPLITS = ("train", "validation", "test")
PerSequence = Sequence[ArrayLike | Tensor] | ArrayLike | Tensor


class Arrays(Recorded):
    """Own recordings of any lengths, each with a class or with targets; NumPy or torch, copied.

    Sequences begin at step 0, and zeros (of words: word 0) follow up to the longest one. These do not count: what is
    asked of a sequence is asked at its own last step, or at its own steps, so it has the score that it has alone.

    Args:
        s: a list of arrays (T_i, N), or one array (B, T, N); or words, whole numbers from 0, (T_i,) each.
        target: of each sequence a class, a whole number, or targets (O,), floats. With readout="every", of each step:
            classes (T_i,) or targets (T_i, O).
        readout: what is asked, something at the "end" of a sequence or something at "every" step.
        groups: the session, trial or subject of each sequence, (B,). All of a group are in one split, and scores can be
            had by group. By default each sequence is a group.
        split: of which split each sequence is, B names "train", "validation" or "test"; or a dict with these names and
            the numbers of the sequences (those that it does not name are left out). Or it is drawn: two shares of the
            groups, for validation and for testing, classes in proportion (of a group counts the first sequence's).
        seed: of the draw, and of folds.
        metric, objective, heads: as for `Task`; by default accuracy for classes and squared error for floats.
        output_size: how many classes; by default up to the highest there is.
        blank: empty steps between the end of a sequence and the readout, so that the last input, too, can be gated.
        standardize: give each input mean 0 and standard deviation 1 over all steps of the training sequences.
        noise: standard deviation of normal noise on the training inputs, drawn anew each time.
        offset: added to the outputs before the loss, such as a known log-rate; shaped as targets.
        weight: how much each counts; shaped as classes, or as targets for a weight of each output.
        name: of the task, in tables.

    A batch's info: length (n,), blank steps left out, as `alrnn.regions.visits` takes it; index (n,), which sequences;
    group (n,), as numbers in `group_names`. chance, of accuracy alone: the share of the commonest training class.

    Raises:
        ValueError, TypeError: arrays that do not fit each other, no sequences or no steps, NaN, classes out of range,
            splits that are empty, overlap or share a group, or settings out of range.
    """

    name = "arrays"
    fold_of: tuple[int, int] | None = None

    def __init__(
        self,
        s: PerSequence,
        target: PerSequence,
        readout: Literal["end", "every"] = "end",
        groups: ArrayLike | None = None,
        split: Sequence[str] | Mapping[str, ArrayLike] | tuple[float, float] = (0.15, 0.15),
        seed: int = 0,
        metric: Metric | None = None,
        objective: Objective | None = None,
        heads: Sequence[Head] = (),
        output_size: int | None = None,
        blank: int = 0,
        standardize: bool = False,
        noise: float = 0.0,
        offset: PerSequence | None = None,
        weight: PerSequence | None = None,
        name: str = "arrays",
    ):
        if readout not in ("end", "every") or not 0 <= noise < np.inf:
            raise ValueError(f"readout must be end or every, noise at least 0 and finite, got {readout!r}, {noise!r}")
        self.name, self.readout, self.standardize, self.noise = name, readout, standardize, noise
        self.seed, self.blank = integer("seed", seed, 0), integer("blank", blank, 0)
        self._take(*_stacked("s", s))
        n, end = len(self.length), readout == "end"
        steps = [1] * n if end else self.length.tolist()
        self._ask(_stacked("target", target, steps, end)[0], metric, objective, tuple(heads), output_size)
        asked = self.there[:, : max(steps)] if weight is None else _stacked("weight", weight, steps, end)[0]
        self.weight = asked.to(torch.get_default_dtype())
        self.offset = None if offset is None else _floats(_stacked("offset", offset, steps, end)[0])
        if idle := (self.weight.flatten(1) <= 0).all(1).nonzero().flatten().tolist():
            raise ValueError(f"all weights of sequence {idle[0]} are 0: leave it out")
        self._group(np.arange(n) if groups is None else np.asarray(groups))
        arrays = {x: getattr(self, x) for x in ("s", "length", "target", "weight", "offset", "group")}
        self.arrays = {x: None if array is None else fingerprint(array) for x, array in arrays.items()}
        self._use(self._split(split))
        check_task(self)
        for one, (index,) in self.parts.items():
            check_batch(self._batch(one, torch.arange(len(index))), self)

    def _take(self, s: Tensor, length: list[int]) -> None:
        """Inputs s (n, T, N) or words (n, T), length (n,), and there (n, T), which steps are no padding."""
        words = s.dim() == 2 and not s.is_floating_point()
        if s.dim() != 3 and not words:
            raise ValueError(f"s must be (T_i, N) each, or words, whole numbers (T_i,), got {s.dim() - 1} dimensions")
        if self.blank and self.readout == "every" or words and (self.blank or self.standardize or self.noise):
            raise ValueError("blank steps are for numbers that are read at the end, standardize and noise for numbers")
        self.inputs, self.input_size = ("words", int(s.max()) + 1) if words else ("numbers", s.shape[2])
        self.s = s if words else F.pad(_floats(s), (0, 0, 0, self.blank))
        self.length = torch.tensor(length)
        self.there = torch.arange(self.s.shape[1]) < self.length[:, None]

    def _ask(self, target: Tensor, metric: Any, objective: Any, heads: tuple[Head, ...], classes: int | None) -> None:
        """Target (n, L) or (n, L, O), and what is made of it."""
        whole, self.heads, self.objective = not target.is_floating_point(), heads, objective
        if whole and target.dim() == 3 and not (metric or objective or heads):
            raise ValueError("whole numbers as target must be one class each: give floats, or say which objective")
        self.metric = metric or METRIC.get(objective or ("cross_entropy" if whole else "mse"), "mse")
        asks = not heads and (objective or OBJECTIVE.get(self.metric)) == "cross_entropy"
        self.target = target if asks else _floats(target)
        found = int(target.max()) + 1 if asks else sum(head.outputs for head in heads) or self.target.shape[2]
        self.output_size = found if classes is None else integer("output_size", classes, 1)

    def _group(self, labels: np.ndarray) -> None:
        """Group of each sequence, as a number; order: of the groups, mixed, class by class."""
        if labels.shape != self.length.shape:
            raise ValueError(f"groups must be one label for each of {len(self.length)} sequences, got {labels.shape}")
        self.group_names, first, group = np.unique(labels, return_index=True, return_inverse=True)
        by_class = self.readout == "end" and not self.target.is_floating_point()
        kind = np.unique(self.target[first, 0] if by_class else 0 * first, return_inverse=True)[1]
        rng = np.random.default_rng(self.seed)
        self.order = np.lexsort((rng.random(len(first)), rng.random(len(first))[kind]))
        self.group = torch.from_numpy(group)

    def _split(self, split: Any) -> np.ndarray:
        """For each sequence its split's place in SPLITS, or -1, from one that is given or from shares."""
        n, part = len(self.length), np.full(len(self.length), -1)
        if isinstance(split, tuple) and len(split) == 2 and not isinstance(split[0], str):
            if not 0 < min(split) <= sum(split) < 1:
                raise ValueError(f"shares for validation and testing must be above 0, together below 1, got {split}")
            validation, test = (max(1, round(share * len(self.order))) for share in split)
            return self._deal(_evenly(self.order, test), validation)
        names, index = np.asarray(split), np.arange(n)
        if isinstance(split, Mapping):
            names = np.repeat([*split], [len(x) for x in split.values()])
            index = np.concatenate([np.asarray(x) for x in split.values() if len(x)] or [np.zeros(0, int)])
        if names.shape != index.shape or not {*names.tolist()} <= {*SPLITS}:
            got = f"{len(names)} names, {', '.join(map(str, {*names.ravel().tolist()}))}"
            raise ValueError(f"split must name train, validation or test for each of {n} sequences, got {got}")
        if index.dtype.kind not in "iu" or ((index < 0) | (index >= n)).any():
            raise ValueError(f"split must hold numbers of sequences, from 0 to {n - 1}, got {index}")
        if len(twice := np.flatnonzero(np.bincount(index) > 1)):
            raise ValueError(f"sequence {twice[0]} is in the split twice")
        part[index] = [SPLITS.index(name) for name in names]
        return part

    def _deal(self, test: np.ndarray, validation: int) -> np.ndarray:
        """As `_split`: these groups are for testing, so many of the others for validation."""
        rest, of_group = self.order[~np.isin(self.order, test)], np.zeros(len(self.order), int)
        of_group[test] = 2
        of_group[_evenly(rest, min(len(rest), validation))] = 1
        return of_group[self.group.numpy()]

    def _use(self, part: np.ndarray) -> None:
        """Take each sequence for what its part says, a place in SPLITS or -1 for nothing."""
        if missing := [split for k, split in enumerate(SPLITS) if k not in part]:
            raise ValueError(f"of {len(self.order)} groups there are none for {' and '.join(missing)}")
        pairs = np.unique(np.stack([self.group.numpy(), part])[:, part >= 0], axis=1)[0]
        if len(twice := pairs[1:][pairs[1:] == pairs[:-1]]):
            raise ValueError(f"group {self.group_names[twice[0]]} is in more than one split")
        self.part, mixed = part, np.random.default_rng(self.seed).permutation(len(part))
        self.parts = {split: (torch.from_numpy(mixed[part[mixed] == k]),) for k, split in enumerate(SPLITS)}
        train = self.parts["train"][0]
        if self.standardize:
            x = self.s[train][self.there[train]].double()
            mean, scale = x.mean(0), x.std(0, correction=0)
            scale[scale <= 1e-6 * mean.abs()] = 1  # a constant input becomes 0
            self.mean, self.scale = mean.to(self.s), scale.to(self.s)
        if self.metric == "accuracy" and self.weight.shape == self.target.shape:
            counts = self.target[train].unique(return_inverse=True)[1].flatten().bincount(self.weight[train].flatten())
            self.chance = float(counts.max() / counts.sum())

    def fold(self, k: int, folds: int) -> Arrays:
        """The same task on fold k, from 0, of so many: a fold of the groups for testing, the others for training.

        Each group is tested in one fold. Of the others as many are for validation as now, again classes in proportion;
        what a given split left out stays out. Batches of all folds have equal shapes: their nets train in one pass.
        """
        folds = integer("folds", folds, 2, len(self.order), "groups")
        other = copy.copy(self)
        other.fold_of = integer("k", k, 0, folds - 1, "folds - 1"), folds
        validation = len(np.unique(self.group[self.part == 1]))
        other._use(np.where(self.part < 0, -1, self._deal(self.order[k::folds], validation)))
        return other

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n training sequences drawn with replacement, with noise; held-out ones have none."""
        batch = super().sample(n, generator)
        if self.noise:
            there = self.there[batch.info["index"], :, None]
            batch.s += self.noise * torch.randn(batch.s.shape, generator=generator) * there
        return batch

    def settings(self) -> dict[str, Any]:
        """What the task was made with, arrays by shape and hash, and which fold it is."""
        names = ("readout", "metric", "objective", "heads", "output_size", "blank", "standardize", "noise", "fold_of")
        return self.arrays | {"split": fingerprint(self.part)} | {name: getattr(self, name) for name in names}

    def _batch(self, split: str, index: Tensor) -> Batch:
        # s (n, T, N) or words (n, T); L = 1 or T, which in training is that of the longest sequence of all
        i = self.parts[split][0][index]
        length = self.length[i]
        T = self.s.shape[1] if split == "train" else int(length.max()) + self.blank
        s, target, weight = (x[i, :T] for x in (self.s, self.target, self.weight))
        if self.standardize:
            s = (s - self.mean) / self.scale * self.there[i, :T, None]
        at = (length - 1 + self.blank)[:, None] if self.readout == "end" and T > 1 else None
        info = {"length": length, "index": i, "group": self.group[i]}
        return Batch(s, target, weight, info, at, offset=None if self.offset is None else self.offset[i, :T])


def _stacked(name: str, given: Any, steps: list[int] | None = None, one: bool = False) -> tuple[Tensor, list[int]]:
    """What is given for each sequence, whole numbers or floats, (n, L, ...) with zeros at the end, and the lengths.

    steps: how many each must have. one: there is one only, and its dimension is left out.
    """
    try:
        found = [x.detach().cpu() if isinstance(x, Tensor) else torch.tensor(np.asarray(x)) for x in given]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a list with an array of numbers for each sequence: {error}") from None
    shapes = sorted({tuple(x.shape) for x in found})
    found = [x[None] for x in found] if one else found
    if len({(x.dim(), x.shape[1:]) for x in found}) != 1 or not found[0].dim():
        shape = "one shape, at its end" if one else "its steps, each of one shape"
        raise ValueError(f"{name} must have for each sequence {shape}, got shapes {shapes}")
    length = [len(x) for x in found]
    if len(length) != len(steps or length):
        raise ValueError(f"{name} must have an entry for each of {len(steps or ())} sequences, got {len(length)}")
    for i, (x, many) in enumerate(zip(found, steps or length, strict=True)):
        if len(x) != many or not many:
            raise ValueError(f"{name} of sequence {i} must have {many or 'some'} steps, got {len(x)}")
        if x.is_complex() or not x.isfinite().all():
            raise ValueError(f"{name} of sequence {i} contains NaN, infinite or complex values")
    dtype = torch.get_default_dtype() if any(x.is_floating_point() for x in found) else torch.int64
    return pad_sequence([x.to(dtype) for x in found], batch_first=True), length


def _floats(x: Tensor) -> Tensor:
    """(n, L) or (n, L, O) as floats (n, L, O)."""
    return x.reshape(*x.shape[:2], -1).to(torch.get_default_dtype())


def _evenly(x: np.ndarray, many: int) -> np.ndarray:
    """So many of x, evenly spaced."""
    return x[((np.arange(many) + 0.5) * len(x) / max(many, 1)).astype(int)]
