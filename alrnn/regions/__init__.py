r"""Reading a net region by region: where its states go, what the map is there, and what each PWL unit does.

The region of a state z is its bitcode: which of the P PWL units (the last P) are above 0. Inside a region the map is
affine,

    z_{t+1} = J_d z_t + C s_{t+1} + h,      J_d = A + W diag(1, ..., 1, d),      d = bits of z_t.

So the bits of z_t choose the map that is applied NEXT, from z_t to z_{t+1}; the map that led to z_t belongs to z_{t-1}.
Everything here is NumPy in float64 and leaves the net as it was. PWL units are numbered 0..P-1, as the columns of bits:
number p is unit M - P + p of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..nets.almost_linear import ALRNN
from .fixed_points import Cycle, FixedPoint, cycles, fixed_points
from .modes import (
    Alignment,
    Components,
    Spectrum,
    alignment,
    array,
    jacobians,
    principal_components,
    spectrum,
    time_constants,
)


@dataclass(frozen=True)
class Visits:
    """The R regions that states visit, most visited first (ties: by bitcode).

    bits (R, P), 0 or 1. index (B, T): the region of z[b, t], whose map is applied next, from z[b, t] to z[b, t + 1].
    counts (R,): how many of the B T states lie in each region.
    """

    bits: np.ndarray
    index: np.ndarray
    counts: np.ndarray

    @property
    def codes(self) -> list[str]:
        """The bitcodes as R strings, unit 0 first; the empty string if P = 0."""
        return ["".join(map(str, row)) for row in self.bits.tolist()]


def visits(net: ALRNN, z: Tensor | np.ndarray) -> Visits:
    """The regions of states z (B, T, M), for any P; B or T may be 0.

    z is that of `y, z = net(s)`. The state before the first input is not in it: to count the map that leads to z[:, 0],
    put that state in front of z. A unit at exactly 0 counts as off, as in the recurrence.

    Raises:
        ValueError: wrong shape, or NaN.
    """
    states = array(z)
    if states.ndim != 3 or states.shape[2] != net.hidden_size:
        raise ValueError(f"z must have shape (B, T, {net.hidden_size}), got {states.shape}")
    if np.isnan(states).any():
        raise ValueError("z contains NaN")
    on = states.reshape(-1, net.hidden_size)[:, net.hidden_size - net.nonlinear_size :] > 0
    packed = np.packbits(np.pad(on, ((0, 0), (0, 1))), axis=1)  # one column more, so that P = 0 is no special case
    _, first, index, counts = np.unique(packed, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.argsort(order)
    return Visits(on[first[order]].astype(np.int8), rank[index.reshape(states.shape[:2])], counts[order])


@dataclass(frozen=True)
class Occupancy:
    """How states spread over regions. share (R,) sums to 1. entropy in nats; effective = exp(entropy), in regions.

    gini is 0 for equal shares and near 1 for a single favourite, over the regions named by support: the R visited ones,
    or all 2^P, where it tends to 1 as P grows whatever the net does. All but share are NaN if nothing was visited.
    """

    share: np.ndarray
    entropy: float
    effective: float
    gini: float
    support: str


def occupancy(visits: Visits, support: Literal["visited", "all"] = "visited") -> Occupancy:
    """Shares, entropy, effective number and Gini coefficient of visits; the latter over "visited" or "all" regions.

    Raises:
        ValueError: another support.
    """
    if support not in ("visited", "all"):
        raise ValueError(f"support must be 'visited' or 'all', got {support!r}")
    R, P = visits.bits.shape
    if R == 0:
        return Occupancy(np.zeros(0), np.nan, np.nan, np.nan, support)
    share = visits.counts / visits.counts.sum()
    entropy = float(-(share * np.log(share)).sum())
    n_inverse = 2.0**-P if support == "all" else 1 / R
    # With n - R zeros in front of the ascending shares p_1..p_R, Gini's formula is 1 - (1 + 2 sum p_i (R - i)) / n.
    above = (np.sort(share) * np.arange(R - 1, -1, -1)).sum()
    return Occupancy(share, entropy, float(np.exp(entropy)), float(1 - (1 + 2 * above) * n_inverse), support)


def transition_counts(visits: Visits) -> np.ndarray:
    """How often a step led from region i to region j, (R, R), over all B (T - 1) steps, the last one too."""
    R = len(visits.counts)
    steps = visits.index[:, :-1] * R + visits.index[:, 1:]
    return np.bincount(steps.ravel(), minlength=R * R).reshape(R, R)


def transition_matrix(visits: Visits) -> np.ndarray:
    """Estimated probabilities of the next region given this one, (R, R); every row sums to 1.

    All steps count, also the one into the last state. A region seen only at the end of sequences was never left: its
    row says that it stays (1 on the diagonal), a convention and no measurement; `transition_counts` is 0 there.
    """
    counts = transition_counts(visits).astype(np.float64)
    counts[np.diag_indices(len(counts))] += counts.sum(1) == 0
    return counts / counts.sum(1, keepdims=True)


@dataclass(frozen=True)
class DwellTimes:
    """The n stays of states in one region, in the order of sequences and time.

    region (n,). steps (n,): length in steps. cut (n,): the stay touches the first or last state of its sequence, so
    the true one may be longer. mean (R,): mean steps per region over all its stays, cut ones included.
    """

    region: np.ndarray
    steps: np.ndarray
    cut: np.ndarray
    mean: np.ndarray


def dwell_times(visits: Visits) -> DwellTimes:
    """How long states stay in a region before they move on."""
    (B, T), R = visits.index.shape, len(visits.counts)
    enters = np.ones((B, T), dtype=bool)
    enters[:, 1:] = visits.index[:, 1:] != visits.index[:, :-1]
    start = np.flatnonzero(enters)
    steps = np.diff(start, append=B * T)
    region, first = visits.index.ravel()[start], start % max(T, 1)
    mean = np.bincount(region, steps, minlength=R) / np.bincount(region, minlength=R)
    return DwellTimes(region, steps, (first == 0) | (first + steps == T), mean)


@dataclass(frozen=True)
class Switches:
    """How often each PWL unit crosses 0: count (P,), and rate (P,) per step, NaN if there are no steps."""

    count: np.ndarray
    rate: np.ndarray


def switches(visits: Visits) -> Switches:
    """Switches of each unit's bit over the B (T - 1) steps between two states."""
    on = visits.bits[visits.index]
    changed = on[:, 1:] != on[:, :-1]
    count = changed.sum((0, 1))
    return Switches(count, count / (changed.shape[0] * changed.shape[1] or np.nan))


def contingency(visits: Visits, label: Tensor | ArrayLike) -> pd.DataFrame:
    """How many states with each label (a column) lie in each region (a row, named by its bitcode, most visited first).

    Args:
        label: of every state (B, T), of every sequence (B, 1), or of every step, such as a task's phase (1, T).

    Raises:
        ValueError: another shape.
    """
    given = array(label)
    if given.ndim != 2 or any(n not in (1, full) for n, full in zip(given.shape, visits.index.shape, strict=True)):
        raise ValueError(f"label must have shape (B, T) = {visits.index.shape}, (B, 1) or (1, T), got {given.shape}")
    flat = np.broadcast_to(given, visits.index.shape).ravel()
    values, column = np.unique(flat, return_inverse=True)
    table = np.zeros((len(visits.counts), len(values)), dtype=np.int64)
    np.add.at(table, (visits.index.ravel(), column), 1)
    return pd.DataFrame(table, pd.Index(visits.codes, name="region"), pd.Index(values, name="label"))


def linearise(net: ALRNN, unit: int) -> ALRNN:
    """A copy in which PWL unit number `unit` is linear: max(z, 0) becomes z, its bit is 1 for good.

    The copy has P - 1. The unit becomes the last linear one (position M - P, self-weight A_ii + W_ii); all other
    units keep their order, so its states are those of the net with the units reordered.

    Raises:
        ValueError: no such unit.
    """
    M, P = net.hidden_size, net.nonlinear_size
    i = _state_index(net, unit)
    order = [*range(M - P), i, *(j for j in range(M - P, M) if j != i)]
    lesioned = net.copy()
    with torch.no_grad():
        lesioned.W[i, i] += lesioned.A[i]
        lesioned.A[i] = 0
        lesioned.W.copy_(lesioned.W[order][:, order])
        for vector_or_rows in (lesioned.A, lesioned.C, lesioned.h):
            vector_or_rows.copy_(vector_or_rows[order])
        lesioned.D.copy_(lesioned.D[:, order])
        lesioned.pwl[M - P] = False
        lesioned.lower[M - P] = -torch.inf
    lesioned.nonlinear_size = P - 1
    return lesioned


def silence(net: ALRNN, unit: int) -> ALRNN:
    """A copy in which PWL unit number `unit` gives no output: max(z, 0) becomes 0, its bit is 0 for good.

    Only column W[:, i] is cleared. The unit still receives, keeps its own A_ii z, and D still reads its raw z.

    Raises:
        ValueError: no such unit.
    """
    return freeze(net, unit, 0.0)


def freeze(net: ALRNN, unit: int, value: float) -> ALRNN:
    """A copy in which the output of PWL unit number `unit` is fixed: max(z, 0) becomes `value` at every step.

    A natural value is the mean of max(z, 0) over states of the intact net. Column W[:, i] is cleared and W[:, i] value
    is added to h. Freezing the bit instead of the output is `silence` (bit 0) or `linearise` (bit 1).

    Raises:
        ValueError: no such unit, or a value that is not finite.
    """
    if not np.isfinite(value):
        raise ValueError(f"value must be a finite number, got {value}")
    i = _state_index(net, unit)
    lesioned = net.copy()
    with torch.no_grad():
        lesioned.h += value * lesioned.W[:, i]
        lesioned.W[:, i] = 0
    return lesioned


def _state_index(net: ALRNN, unit: int) -> int:
    if not 0 <= unit < net.nonlinear_size or int(unit) != unit:
        raise ValueError(f"unit must be one of the P = {net.nonlinear_size} PWL units, 0..P-1, got {unit!r}")
    return net.hidden_size - net.nonlinear_size + int(unit)


@dataclass(frozen=True)
class LesionScores:
    """Score of the intact net, of the net without each PWL unit (P,), and the drop between them (P,)."""

    intact: float
    lesioned: np.ndarray
    drop: np.ndarray


def lesion_scores(
    net: ALRNN, score: Callable[[ALRNN], float], lesion: Callable[[ALRNN, int], ALRNN] = silence
) -> LesionScores:
    """What each PWL unit is worth: score(net), then score(lesion(net, unit)) for every unit; drop = intact - lesioned.

    score: a net to a number, more being better. lesion: `linearise`, `silence`, or lambda net, p: freeze(net, p, v[p]).
    """
    with torch.no_grad():
        intact = float(score(net))
        lesioned = np.array([float(score(lesion(net, unit))) for unit in range(net.nonlinear_size)])
    return LesionScores(intact, lesioned, intact - lesioned)


__all__ = [
    "Alignment",
    "Components",
    "Cycle",
    "DwellTimes",
    "FixedPoint",
    "LesionScores",
    "Occupancy",
    "Spectrum",
    "Switches",
    "Visits",
    "alignment",
    "contingency",
    "cycles",
    "dwell_times",
    "fixed_points",
    "freeze",
    "jacobians",
    "lesion_scores",
    "linearise",
    "occupancy",
    "principal_components",
    "silence",
    "spectrum",
    "switches",
    "time_constants",
    "transition_counts",
    "transition_matrix",
    "visits",
]
