"""Fixed points and cycles, exactly, region by region. Public names are re-exported by `alrnn.regions`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch

from ..checks import Numbers, codes, integer
from ..nets.almost_linear import AlmostLinear
from .modes import Map, jacobians
from .points import Cycle, FixedPoint, Points

ENUMERABLE = 20  # bits: at most 2^20 regions, or sequences of regions, are searched without being named
BORDER = 10  # units: where more of them are at 0, the maps on all sides are too many to look at


def fixed_points(
    net: AlmostLinear | Map, s: Numbers | None = None, bits: Numbers | None = None,
    virtual: bool = True, tolerance: float = 1e-9, slow: float = 0.0,
) -> Points[FixedPoint]:  # fmt: skip
    """All fixed points, real and virtual: one per region, unless I - J_d is singular (a line or plane, or none at all).

    A real point lies in its region to the last bit: `visits` finds its bits. Units within tolerance of 0 count as off
    and are given as exactly 0.

    Args:
        s: constant input (N,); zero by default.
        bits: regions (R, P) to search, e.g. `visits(net, z).bits`, or their bitcodes; all 2^P by default.
        virtual: False leaves the virtual ones out, which is faster when P is large.
        tolerance: singular values of I - J below it count as 0, and so do units within it of 0 (hence as off); both
            relative to the largest one where that is above 1.
        slow: eigenvalues with |1 - eigenvalue| < slow count as 1, as no trained integrator is within 1e-9 of it. Their
            directions are marginal and span a line or plane, where all else is at rest, but states creep. z is chosen
            there as on one of fixed points, and its drift is how it creeps; the point that rests comes without slow.

    Raises:
        ValueError: wrong shapes, bits other than 0 and 1, or P > 20 without bits.
    """
    m = Map.of(net)
    found = _orbits(m, _sequences(m.nonlinear_size, bits), m.drive(s), virtual, tolerance, slow)
    return Points((FixedPoint(z[0], d[0], *rest) for z, d, *rest in found), complete=bits is None)


def cycles(
    net: AlmostLinear | Map, k: int, s: Numbers | None = None, sequences: Numbers | None = None,
    virtual: bool = True, tolerance: float = 1e-9, slow: float = 0.0,
) -> Points[Cycle]:  # fmt: skip
    """All cycles of k steps, real and virtual, each once; solutions that return sooner are left out.

    Args:
        k: length, at least 1.
        sequences: regions in order, (S, k, P), or bitcodes; by default all, one per cyclic order.
        s, virtual, tolerance, slow: as for `fixed_points`, the eigenvalues being those of all k steps together.

    Raises:
        ValueError: wrong shapes, bits other than 0 and 1, or P k > 20 without sequences.
    """
    m, k = Map.of(net), integer("k", k, 1)
    found = _orbits(m, _sequences(m.nonlinear_size, sequences, k), m.drive(s), virtual, tolerance, slow)
    return Points((Cycle(*fields) for fields in found), complete=sequences is None)


def search(
    net: AlmostLinear | Map, s: Numbers | None = None, bits: Numbers | None = None, starts: int = 100,
    most: int = 10_000, seed: int = 0, tolerance: float = 1e-9, slow: float = 0.0,
) -> Points[FixedPoint]:  # fmt: skip
    """Real fixed points where there are too many regions to try them all: some may be missed.

    Solves in one region, goes on in the region where that solution lies and in the one where the net goes from there,
    and so on until it is real or all is known. The result is `complete` only if all regions were met on the way.

    Args:
        bits: regions (R, P) to start from, the visited ones, say, besides `starts` random ones from `seed`.
        most: how many regions to try before the search ends.
        s, tolerance, slow: as for `fixed_points`.

    Raises:
        ValueError: wrong shapes, or bits other than 0 and 1.
    """
    m, known = Map.of(net), set[bytes]()
    P, drive = m.nonlinear_size, m.drive(s)
    todo = np.random.default_rng(seed).integers(0, 2, (integer("starts", starts, 0), 1, P), dtype=np.int8)
    todo = todo if bits is None else np.concatenate([_sequences(P, bits), todo])
    promising = [todo[:0]]
    while len(todo) and len(known) < most:
        new = [i for word, i in {word.tobytes(): i for i, word in enumerate(todo)}.items() if word not in known]
        todo = todo[new[: most - len(known)]]
        known |= {word.tobytes() for word in todo}
        jumps = [todo[:0]]
        for words in _batches(m, todo):
            z, real, regular, *_ = _solve(m, words, drive, tolerance)
            promising.append(words[real | ~regular | bool(slow)])
            virtual = z[regular & ~real, 0]
            jumps += [m.bits(x)[:, None] for x in (virtual, m.step(virtual, drive))]
        todo = np.concatenate(jumps)
    found = fixed_points(m, s, np.concatenate(promising)[:, 0], False, tolerance, slow)
    found.complete = len(known) == 2**P
    return found


def _sequences(P: int, bits: Numbers | None, *k: int) -> np.ndarray:
    """These regions (R, P), or, given k, sequences of them (S, k, P), as (S, k, P); by default all there are."""
    what, way = "regions", "jump from one to another, search(net), or pass the visited ones, bits=visits(net, z).bits"
    if k:
        what, way = (
            "sequences of regions",
            "pass the sequences of regions to search, or run into cycles by `attractors`",
        )
    if bits is None:
        n = P * (k or (1,))[0]
        if n > ENUMERABLE:
            raise ValueError(f"2^{n} are too many {what} to search them all (at most 2^{ENUMERABLE}): {way}")
        return _every_sequence(P, *(k or (1,)))
    given = codes(bits, P)
    if given.ndim != 2 + len(k) or given.shape[1:] != (*k, P):
        raise ValueError(f"bits of {what} must have shape ({', '.join(map(str, ('n', *k, P)))}), got {given.shape}")
    return given.reshape(len(given), *(k or (1,)), P)


def _every_sequence(P: int, k: int) -> np.ndarray:
    """All sequences of k bitcodes, one per cyclic order (the smallest as a binary number), (S, k, P)."""
    number = np.arange(2 ** (P * k), dtype=np.int32)
    rotated, smallest = number, number
    for _ in range(k - 1):
        rotated = ((rotated << P) | (rotated >> (P * (k - 1)))) & (2 ** (P * k) - 1)
        smallest = np.minimum(smallest, rotated)
    number = number[number == smallest]
    bits = (number[:, None] >> np.arange(P * k, dtype=np.int32)[::-1]) & 1
    return bits.astype(np.int8).reshape(len(number), k, P)


def _batches(m: Map, sequences: np.ndarray) -> Iterator[np.ndarray]:
    size = max(1, 2**21 // (sequences.shape[1] * m.hidden_size**2))
    return (sequences[start : start + size] for start in range(0, len(sequences), size))


def _solve(m: Map, bits: np.ndarray, drive: np.ndarray, tolerance: float) -> tuple[np.ndarray, ...]:
    """Orbits with these bits (n, k, P): z (n, k, M); real (n,); regular (n,); linear (n, k + 1, M, M), offset.

    z_j = linear_j z_0 + offset_j, j = 0..k. They close if z_k = z_0: (I - linear_k) z_0 = offset_k, if that is regular.
    """
    (n, k, P), M = bits.shape, m.hidden_size
    J = jacobians(m, bits)
    linear, offset = [np.broadcast_to(np.eye(M), (n, M, M))], [np.zeros((n, M))]
    for j in range(k):
        linear.append(J[:, j] @ linear[-1])
        offset.append((J[:, j] @ offset[-1][..., None])[..., 0] + drive)
    E, e = np.eye(M) - linear[-1], offset[-1][..., None]
    inverse, info = (x.numpy() for x in torch.linalg.inv_ex(torch.from_numpy(E)))
    with np.errstate(all="ignore"):
        start = inverse @ e
        regular = (info == 0) & (np.linalg.norm(inverse, axis=(1, 2)) * tolerance * M * _scale(E, (1, 2)) < 1)
    start = np.where(regular[:, None, None], start, 0.0)
    z = np.stack([(Phi @ start)[..., 0] + phi for Phi, phi in zip(linear[:-1], offset[:-1], strict=True)], axis=1)
    margin = tolerance * _scale(z, (1, 2))[:, None, None]
    real = ((z[..., M - P :] > margin) == bits).all((1, 2))
    return z, real, regular, np.stack(linear, 1), np.stack(offset, 1)


def _orbits(
    m: Map, sequences: np.ndarray, drive: np.ndarray, virtual: bool, tolerance: float, slow: float
) -> Iterator[tuple]:
    """Fields of every `Cycle` in these sequences of regions (S, k, P)."""
    if not 0 <= slow < 1:
        raise ValueError(f"slow must be from 0 to below 1, got {slow}")
    pwl = np.arange(m.hidden_size) >= m.hidden_size - m.nonlinear_size
    free = np.zeros((m.hidden_size, 0)), np.zeros(m.hidden_size)
    for words in _batches(m, sequences):
        z, real, regular, linear, offset = _solve(m, words, drive, tolerance)
        keep = np.flatnonzero(~regular | virtual | real | bool(slow))
        values = np.linalg.eigvals(linear[keep, -1]).astype(np.complex128)
        values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), axis=1)
        touches = np.abs(z[..., pwl]).min((1, 2), initial=np.inf) <= tolerance * _scale(z, (1, 2))
        for i, eigenvalues in zip(keep, values, strict=True):
            orbit, lies_in, marginal, drift, border, sides = z[i], bool(real[i]), *free, False, True
            creeps = slow and (np.abs(1 - eigenvalues) < slow).any()
            if family := creeps or not regular[i]:
                found = _family(linear[i], offset[i], words[i], tolerance, slow if creeps else 0.0)
                orbit, lies_in, marginal, drift = found or (z[i, :0], False, *free)
            if not len(orbit) or not (virtual or lies_in) or _returns_early(orbit, tolerance):
                continue
            if family or touches[i]:
                units, on = orbit[:, pwl], words[i] == 1
                zero = np.abs(units) <= tolerance * _scale(orbit)
                zero = ~on & (zero | (units > 0)) if lies_in else zero  # then z lies there to the last bit
                orbit, border = np.hstack([orbit[:, ~pwl], np.where(zero, 0.0, units)]), bool(zero.any())
                sides = not border or _shrink_on_all_sides(m, words[i], zero, marginal)
            yield orbit, words[i], lies_in, eigenvalues, marginal, border, sides, drift


def _family(linear: np.ndarray, offset: np.ndarray, bits: np.ndarray, tolerance: float, slow: float) -> tuple | None:
    """Orbits where I - J is singular, or, given slow, nearly so: (z (k, M), real, marginal (M, m), drift (M,)) or None.

    linear (k + 1, M, M) and offset (k + 1, M) as from `_solve`.
    """
    M, P = len(linear[0]), bits.shape[1]
    E, e = np.eye(M) - linear[-1], offset[-1]
    basis, dual = _slow_part(E, slow) if slow else (np.eye(M), np.eye(M))
    U, size, Vt = np.linalg.svd(dual @ E @ basis)
    goal, null = U.T @ (dual @ e), size <= (slow or tolerance * max(1.0, size[0]))
    if not slow and (np.abs(goal[null]) > tolerance * max(1.0, np.abs(e).max())).any():
        return None
    nearest = np.linalg.solve(E + basis @ dual, e - basis @ (dual @ e)) if slow else np.zeros(M)
    nearest = nearest + basis @ (Vt[~null].T @ (goal[~null] / size[~null]))
    marginal = basis @ Vt[null].T
    nearest = nearest - marginal @ (marginal.T @ nearest)  # to the origin, of all nearest + marginal a
    slope = (linear[:-1, M - P :] @ marginal).reshape(bits.size, marginal.shape[1])  # (k P, m), and m may be 0
    level = (linear[:-1, M - P :] @ nearest + offset[:-1, M - P :]).ravel()
    on, margin = bits.ravel() == 1, tolerance * _scale(linear[:-1] @ nearest + offset[:-1])
    inside = _inside(slope, level, on, margin)
    a = np.zeros(marginal.shape[1]) if inside is None else inside
    generic = np.random.default_rng(0).normal(size=len(a))
    for step in (0.0, *10.0 ** -np.arange(7)):  # a chosen point of shorter period may have neighbours of period k
        b = a + step * generic
        z = linear[:-1] @ (nearest + marginal @ b) + offset[:-1]
        stays = inside is None or ((slope @ b + level > margin) == on).all()
        if not _returns_early(z, tolerance) and (stays or not step):
            drift = e - E @ z[0]
            return z, inside is not None, marginal, drift * (np.abs(drift).max() > tolerance * _scale(z))
    return None


def _slow_part(E: np.ndarray, slow: float) -> tuple[np.ndarray, np.ndarray]:
    """The invariant subspace of the eigenvalues of E (M, M) below `slow`, as an orthonormal basis (M, m), and its dual.

    The dual (m, M) gives a vector's coordinates on the basis, and none of any other eigenvector.
    """
    from scipy.linalg import schur

    distance = np.append(np.sort(np.abs(np.linalg.eigvals(E))), np.inf)
    m = int((distance < slow).sum())
    cut = min(2.0, distance[m - 1] + distance[m]) / 2  # amid a gap, out of reach of rounding
    right, left = (schur(x, sort=lambda re, im: np.hypot(re, im) < cut)[1][:, :m] for x in (E, E.T))
    return right, np.linalg.solve(left.T @ right, left.T)


def _inside(slope: np.ndarray, level: np.ndarray, on: np.ndarray, margin: np.ndarray) -> np.ndarray | None:
    """Some a with slope a + level > 0 exactly where `on`: 0 if well inside, else from a linear programme, or None.

    First a point well inside is sought; then, as off includes 0, one that may touch 0 where off.
    """
    from scipy.optimize import linprog

    nearest = np.zeros(slope.shape[1])
    fixed = np.abs(slope).max(axis=1, initial=0.0) <= margin
    if ((level[fixed] > margin) != on[fixed]).any():
        return None
    slope, level, on = slope[~fixed], level[~fixed], on[~fixed]
    if ((level > margin) == on).all() and (np.abs(level) > margin).all():
        return nearest
    sign = np.where(on, 1.0, -1.0)[:, None]
    for touch in (1.0, 0.0):
        left = np.hstack([-sign * slope, np.where(on, 1.0, touch)[:, None]])
        goal = np.append(nearest, -1.0)
        bounds = [(None, None)] * slope.shape[1] + [(None, 1.0)]
        answer = linprog(goal, A_ub=left, b_ub=sign[:, 0] * level, bounds=bounds)
        if answer.success and answer.x[-1] > 1e-7:
            return answer.x[:-1]
    return None


def _shrink_on_all_sides(m: Map, bits: np.ndarray, near: np.ndarray, marginal: np.ndarray) -> bool:
    """`FixedPoint.all_sides` of an orbit with these bits (k, P) and units at 0, `near` (k, P)."""
    if near.sum() > BORDER:
        return False
    M = m.hidden_size
    maps = np.eye(M)[None]
    for word, units in zip(bits, near, strict=True):
        sides = np.repeat(word[None], 2 ** units.sum(), axis=0)
        sides[:, units] = [*itertools.product((0, 1), repeat=units.sum())]
        maps = (jacobians(m, sides)[:, None] @ maps).reshape(-1, M, M)
    if np.ptp(maps @ marginal, axis=0).max(initial=0.0) > 1e-6:
        return False  # the line ends at this border
    across = np.linalg.svd(marginal)[0][:, marginal.shape[1] :]
    return not across.size or _shrink(across.T @ maps @ across)


def _shrink(maps: np.ndarray) -> bool:
    """Whether products of these maps (n, M, M), in any order, die out: True is proven, False may be not proven.

    They do if every sequence of maps has a beginning whose product is a contraction, after which it starts anew. So
    products are made longer until none is left that does not contract.
    """
    n, M, _ = maps.shape
    if np.abs(np.linalg.eigvals(maps)).max() >= 1 - 1e-9:
        return False
    growing = maps
    for _ in range(1000):
        size = np.linalg.norm(growing, 2, axis=(1, 2))
        growing = growing[size >= 1 - 1e-9]
        if not len(growing):
            return True
        if size.max() > 1e6 or len(growing) * n > min(4096, 2**22 // M**2):
            return False
        growing = (maps[:, None] @ growing).reshape(-1, M, M)
    return False


def _returns_early(z: np.ndarray, tolerance: float) -> bool:
    """Whether the orbit z (k, M) has a period shorter than k."""
    k = len(z)
    gaps = (np.abs(z[d] - z[0]).max() for d in range(1, k) if k % d == 0)
    return any(gap <= 1e3 * tolerance * _scale(z) for gap in gaps)


def _scale(x: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    return np.maximum(1.0, np.abs(x).max(axis=axis))
