"""Where states go: regions visited, transitions, stays, and what regions have to do with labels.

Padding is no state: `visits` is told which steps of a batch are real, and what follows knows it from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..checks import Numbers, array, integer
from ..nets.almost_linear import AlmostLinear
from .modes import Map, states_of

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

DENSE = 4096  # regions: above, a matrix of all pairs takes more than 128 MiB


@dataclass(frozen=True)
class Visits:
    """The R regions that states visit, most visited first (ties: by bitcode).

    bits (R, P), 0 or 1. index (B, T): the region of z[b, t], whose map is applied next, from z[b, t] to z[b, t + 1];
    -1 where there is no state but padding. counts (R,): how many of the states lie in each region.
    """

    bits: np.ndarray
    index: np.ndarray
    counts: np.ndarray

    @property
    def codes(self) -> list[str]:
        """The bitcodes as R strings, unit 0 first; the empty string if P = 0."""
        return ["".join(map(str, row)) for row in self.bits.tolist()]


def visits(net: AlmostLinear | Map, z: Numbers, length: Numbers | None = None) -> Visits:
    """The regions of states z (B, T, M), for any P; B or T may be 0.

    z is that of `y, z = net(s)`. The state before the first input is not in it: to count the map that leads to z[:, 0],
    put that state in front of z. A unit at exactly 0 counts as off, as in the recurrence.

    Args:
        length: how many steps of each sequence, from its first, are states and no padding, integers (B,); or which
            are, bool (B, T). All by default.

    Raises:
        ValueError: wrong shape, lengths outside 0..T, or NaN in a state. TypeError: z is not one array.
    """
    m, states = Map.of(net), states_of(z)
    if states.ndim != 3 or states.shape[2] != m.hidden_size:
        raise ValueError(f"z must have shape (B, T, {m.hidden_size}), got {states.shape}")
    there = _there(length, *states.shape[:2])
    if (np.isnan(states.min(2)) & there).any():
        raise ValueError("z contains NaN")
    on = m.bits(states)[there]
    packed = np.packbits(np.pad(on, ((0, 0), (0, 1))), axis=1)  # one column more, so that P = 0 is no special case
    _, first, inverse, counts = np.unique(packed, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    index = np.full(there.shape, -1)
    index[there] = np.argsort(order)[inverse.ravel()]
    return Visits(on[first[order]], index, counts[order])


def _there(length: Numbers | None, B: int, T: int) -> np.ndarray:
    """(B, T) bool: which steps are no padding."""
    if length is None:
        return np.ones((B, T), dtype=bool)
    given = array(length)
    if given.dtype == bool and given.shape == (B, T):
        return given
    if given.dtype.kind not in "iu" or given.shape != (B,) or (given < 0).any() or (given > T).any():
        expected = f"{B} integers from 0 to T = {T}, or bool of shape {(B, T)}"
        raise ValueError(f"length must be {expected}, got {given.dtype} of shape {given.shape}")
    return np.arange(T) < given[:, None]


def _steps(visits: Visits) -> tuple[np.ndarray, np.ndarray]:
    """The regions before and after each step between two states."""
    pairs = np.stack([visits.index[:, :-1].ravel(), visits.index[:, 1:].ravel()])
    i, j = pairs[:, (pairs >= 0).all(0)]
    return i, j


@dataclass(frozen=True)
class Occupancy:
    """How states spread over regions. share (R,) sums to 1. entropy in nats; effective = exp(entropy), in regions.

    The entropy of n visits is too low on average where n is not far above R. corrected is the effective number with
    Miller and Madow's correction, entropy + (R - 1) / 2n, for independent visits; those of a trajectory are not, so it
    is still too low. Where the two differ much, neither is to be trusted: take more states.

    gini is 0 for equal shares and near 1 for a single favourite, over the regions named by support: the R visited ones,
    or all 2^P, where it tends to 1 as P grows whatever the net does. All but share are NaN if nothing was visited.
    """

    share: np.ndarray
    entropy: float
    effective: float
    corrected: float
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
        return Occupancy(np.zeros(0), np.nan, np.nan, np.nan, np.nan, support)
    share = visits.counts / visits.counts.sum()
    entropy = float(-(share * np.log(share)).sum())
    n_inverse = 2.0**-P if support == "all" else 1 / R
    # With n - R zeros in front of the ascending shares p_1..p_R, Gini's formula is 1 - (1 + 2 sum p_i (R - i)) / n.
    above = (np.sort(share) * np.arange(R - 1, -1, -1)).sum()
    corrected = float(np.exp(entropy + (R - 1) / (2 * visits.counts.sum())))
    return Occupancy(share, entropy, float(np.exp(entropy)), corrected, float(1 - (1 + 2 * above) * n_inverse), support)


def transition_counts(visits: Visits, sparse: bool = False) -> np.ndarray | csr_array:
    """How often a step led from region i to region j, (R, R), over all steps between two states, the last one too.

    sparse: as a scipy.sparse.csr_array, which holds only the pairs that occur.

    Raises:
        ValueError: more than 4096 regions, and not sparse.
    """
    R, (i, j) = len(visits.counts), _steps(visits)
    if sparse:
        from scipy.sparse import csr_array

        return csr_array((np.ones(len(i), dtype=np.int64), (i, j)), shape=(R, R))
    if R > DENSE:
        raise ValueError(f"{R} regions, more than {DENSE}, make a large matrix: use transition_counts(.., sparse=True)")
    return np.bincount(i * R + j, minlength=R * R).reshape(R, R)


def transition_matrix(visits: Visits) -> np.ndarray:
    """Estimated probabilities of the next region given this one, (R, R); every row sums to 1.

    All steps count, also the one into the last state. A region seen only at the end of sequences was never left: its
    row says that it stays (1 on the diagonal), a convention and no measurement; `transition_counts` is 0 there.

    Raises:
        ValueError: more than 4096 regions.
    """
    counts = np.asarray(transition_counts(visits), dtype=np.float64)
    counts[np.diag_indices(len(counts))] += counts.sum(1) == 0
    return counts / counts.sum(1, keepdims=True)


@dataclass(frozen=True)
class DwellTimes:
    """The n stays of states in one region, in the order of sequences and time.

    region (n,). steps (n,): length in steps. cut (n,): the stay touches the first or last state of its sequence, or
    padding, so the true one may be longer. mean (R,): mean steps per region over all its stays, cut ones included.
    """

    region: np.ndarray
    steps: np.ndarray
    cut: np.ndarray
    mean: np.ndarray


def dwell_times(visits: Visits) -> DwellTimes:
    """How long states stay in a region before they move on."""
    R = len(visits.counts)
    row = np.pad(visits.index, ((0, 0), (1, 1)), constant_values=-1).ravel()  # padding also between sequences
    start = np.flatnonzero(np.diff(row, prepend=-1))
    steps = np.diff(start, append=len(row))
    stay = row[start] >= 0
    start, steps = start[stay], steps[stay]
    region, cut = row[start], (row[start - 1] < 0) | (row[start + steps] < 0)
    mean = np.bincount(region, steps, minlength=R) / np.bincount(region, minlength=R)
    return DwellTimes(region, steps, cut, mean)


@dataclass(frozen=True)
class Switches:
    """How often each PWL unit crosses 0: count (P,), and rate (P,) per step, NaN if there are no steps."""

    count: np.ndarray
    rate: np.ndarray


def switches(visits: Visits) -> Switches:
    """Switches of each unit's bit over the steps between two states."""
    i, j = _steps(visits)
    count = (visits.bits[i] != visits.bits[j]).sum(0)
    return Switches(count, count / (len(i) or np.nan))


def _spread(label: Numbers, shape: tuple[int, ...], name: str = "label") -> np.ndarray:
    """A label of states, sequences or steps, as one of each state, (B, T)."""
    given = array(label)
    if given.ndim != 2 or any(n not in (1, full) for n, full in zip(given.shape, shape, strict=True)):
        raise ValueError(f"{name} must have shape (B, T) = {shape}, (B, 1) or (1, T), got {given.shape}")
    return np.broadcast_to(given, shape)


def _used(index: np.ndarray, where: Numbers | None) -> np.ndarray:
    return (index >= 0) & (True if where is None else _spread(where, index.shape, "where").astype(bool))


def contingency(visits: Visits, label: Numbers, where: Numbers | None = None) -> pd.DataFrame:
    """How many states with each label (a column) lie in each region (a row, named by its bitcode, most visited first).

    Args:
        label: of every state (B, T), of every sequence (B, 1), or of every step, such as a task's phase (1, T).
        where: which states count, bool of one of these shapes; all by default. Padding never counts.

    Raises:
        ValueError: another shape.
    """
    import pandas as pd

    used = _used(visits.index, where)
    values, column = np.unique(_spread(label, visits.index.shape)[used], return_inverse=True)
    table = np.zeros((len(visits.counts), len(values)), dtype=np.int64)
    np.add.at(table, (visits.index[used], column.ravel()), 1)
    return pd.DataFrame(table, pd.Index(visits.codes, name="region"), pd.Index(values, name="label"))


@dataclass(frozen=True)
class Information:
    """Mutual information between labels and bits, all in bits (log to base 2).

    raw: of the counts as they are, which is too high where few sequences fall on many patterns of bits. mean, spread
    (standard deviation): of the same after each of n shuffles of the labels, under which that bias is all there is.
    """

    raw: float
    mean: float
    spread: float

    @property
    def corrected(self) -> float:
        """raw - mean: 0 on average if bits and labels are independent, and a little too low if they are not."""
        return self.raw - self.mean


def information(
    visits: Visits, label: Numbers, units: Sequence[int] | None = None,
    where: Numbers | None = None, shuffles: int = 100, seed: int = 0,
) -> Information:  # fmt: skip
    """What the bits of some PWL units say about a label, shuffle-corrected. Every state counts once.

    For one bitcode a trial, pass the visits of one step, visits(net, z[:, t : t + 1]), or their mask under `where`.

    Args:
        label, where: as for `contingency`.
        units: whose bits, numbers 0..P-1, taken together; all by default. The fewer, the smaller the bias.
        shuffles: how many, at least 2. Whole sequences change labels, as states of one sequence are no independent
            draws. seed: of the shuffles.

    Raises:
        ValueError: another shape, no such unit, no state that counts, or the same labels in all sequences, for which no
            shuffle is possible.
    """
    index, given, P = visits.index, array(label), visits.bits.shape[1]
    chosen = [integer("unit", unit, 0, P - 1, "P - 1") for unit in (range(P) if units is None else units)]
    pattern = np.unique(np.pad(visits.bits[:, chosen], ((0, 0), (0, 1))), axis=0, return_inverse=True)[1].ravel()
    used, labels = _used(index, where), _spread(given, index.shape)
    if not used.any() or (labels == labels[:1]).all():
        raise ValueError("information needs states that count, and labels that differ between sequences")
    known = (index >= 0) | (given.shape[1] == 1)  # a label of the whole sequence is known at padding, too
    values, column = np.unique(labels, return_inverse=True)
    column, rng, found = column.reshape(labels.shape), np.random.default_rng(seed), []
    for shuffle in range(1 + integer("shuffles", shuffles, 2)):
        order = rng.permutation(len(index)) if shuffle else np.arange(len(index))
        both = used & known[order]
        pair = pattern[index[both]] * len(values) + column[order][both]
        p = np.bincount(pair, minlength=(pattern.max() + 1) * len(values)).reshape(-1, len(values)) / len(pair)
        apart = p.sum(1, keepdims=True) * p.sum(0)
        found.append(float((p[p > 0] * np.log2(p[p > 0] / apart[p > 0])).sum()))
    return Information(found[0], float(np.mean(found[1:])), float(np.std(found[1:], ddof=1)))
