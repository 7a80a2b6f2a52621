"""Fixed points and cycles, exactly, region by region. Public names are re-exported by `alrnn.regions`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from torch import Tensor

from ..checks import integer
from ..nets.almost_linear import ALRNN
from .modes import array, jacobians

ENUMERABLE = 20  # bits: at most 2^20 regions, or sequences of regions, are searched without being named


@dataclass(frozen=True)
class FixedPoint:
    """A solution of z = J_d z + C s + h for one bitcode d.

    z (M,). bits (P,): d. real: z lies in the region of d; otherwise it is virtual, and no state of the net rests there.
    eigenvalues (M,) complex, of J_d, largest modulus first.
    marginal (M, m): orthonormal directions along which z may move and still be a solution (I - J_d is singular); m is 0
    for a point, 1 for a line, 2 for a plane. On a line or plane, real says whether it crosses the region of d at all;
    z is then one solution in that region, otherwise the one nearest to the origin.
    boundary: a PWL unit is at 0, so the map differs on the other side and the eigenvalues tell half of the story.
    """

    z: np.ndarray
    bits: np.ndarray
    real: bool
    eigenvalues: np.ndarray
    marginal: np.ndarray
    boundary: bool

    @property
    def stable(self) -> bool:
        """All eigenvalues lie inside the unit circle (by 1e-9): small deviations die out. Never true on a line."""
        return bool(np.abs(self.eigenvalues).max() < 1 - 1e-9)

    @property
    def attracting(self) -> bool:
        """Stable, not counting the m eigenvalues 1 of the marginal directions: true of a line attractor."""
        m = self.marginal.shape[1]
        across = self.eigenvalues[np.argsort(np.abs(self.eigenvalues - 1))[m:]]
        return bool((np.abs(across) < 1 - (1e-6 if m else 1e-9)).all())  # 1e-6: a defective 1 splits in rounding


@dataclass(frozen=True)
class Cycle(FixedPoint):
    """A solution that returns after k steps and not before: z (k, M) in order, bits (k, P).

    Eigenvalues (M,) are those of J_k ... J_1, marginal (M, m) the free directions of z[0]. Otherwise as `FixedPoint`.
    """


def fixed_points(
    net: ALRNN,
    s: Tensor | ArrayLike | None = None,
    bits: Tensor | ArrayLike | None = None,
    virtual: bool = True,
    tolerance: float = 1e-9,
) -> list[FixedPoint]:
    """All fixed points, real and virtual: one per region, unless I - J_d is singular (a line or plane, or none at all).

    Args:
        s: constant input (N,); zero by default.
        bits: regions (R, P) to search, e.g. `visits(net, z).bits`; all 2^P by default.
        virtual: False leaves the virtual ones out, which is faster when P is large.
        tolerance: singular values of I - J below it count as 0, and so do units within it of 0 (hence as off); both
            relative to the largest one where that is above 1.

    Raises:
        ValueError: wrong shapes, bits other than 0 and 1, or P > 20 without bits.
    """
    regions = None if bits is None else array(bits)
    if regions is not None and (regions.ndim != 2 or regions.shape[1] != net.nonlinear_size):
        raise ValueError(f"bits of regions must have shape (R, {net.nonlinear_size}), got {regions.shape}")
    sequences = None if regions is None else regions[:, None]
    if sequences is None and net.nonlinear_size > ENUMERABLE:
        raise ValueError(
            f"P = {net.nonlinear_size} has too many regions to search all of them (P <= {ENUMERABLE}): "
            "pass the visited ones, bits=visits(net, z).bits"
        )
    found = _orbits(net, 1, s, sequences, virtual, tolerance)
    return [FixedPoint(z[0], d[0], *rest) for z, d, *rest in found]


def cycles(
    net: ALRNN,
    k: int,
    s: Tensor | ArrayLike | None = None,
    sequences: Tensor | ArrayLike | None = None,
    virtual: bool = True,
    tolerance: float = 1e-9,
) -> list[Cycle]:
    """All cycles of k steps, real and virtual, each once; solutions that return sooner are left out.

    Args:
        k: length, at least 1. sequences: regions in order, (S, k, P); by default all, one per cyclic order.
        s, virtual, tolerance: as for `fixed_points`.

    Raises:
        ValueError: wrong shapes, bits other than 0 and 1, or P k > 20 without sequences.
    """
    k = integer("k", k, 1)
    if sequences is None and net.nonlinear_size * k > ENUMERABLE:
        raise ValueError(
            f"P k = {net.nonlinear_size * k} bits make too many sequences to search all of them (P k <= {ENUMERABLE}): "
            "pass the sequences of regions to search"
        )
    found = _orbits(net, k, s, None if sequences is None else array(sequences), virtual, tolerance)
    return [Cycle(*fields) for fields in found]


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


def _orbits(
    net: ALRNN, k: int, s: Tensor | ArrayLike | None, sequences: np.ndarray | None, virtual: bool, tolerance: float
) -> Iterator[tuple]:
    """Fields of every `Cycle` of length k, in batches of sequences."""
    M, P = net.hidden_size, net.nonlinear_size
    if sequences is None:
        sequences = _every_sequence(P, k)
    elif sequences.ndim != 3 or sequences.shape[1:] != (k, P):
        raise ValueError(f"sequences of regions must have shape (S, {k}, {P}), got {sequences.shape}")
    elif not np.isin(sequences, (0, 1)).all():  # before they become integers
        raise ValueError("bits must be 0 or 1")
    drive = array(net.h)
    if s is not None:
        constant = array(s)
        if constant.shape != (net.input_size,) or not np.isfinite(constant).all():
            raise ValueError(f"s must be a finite constant input of shape ({net.input_size},), got {constant}")
        drive = drive + array(net.C) @ constant
    if not np.isfinite(drive).all():
        raise ValueError("the net's weights are not finite")
    size = max(1, 2**21 // (k * M * M))
    for start in range(0, len(sequences), size):
        yield from _solve(net, sequences[start : start + size].astype(np.int8), drive, virtual, tolerance)


def _solve(net: ALRNN, bits: np.ndarray, drive: np.ndarray, virtual: bool, tolerance: float) -> Iterator[tuple]:
    n, k, P = bits.shape
    M = net.hidden_size
    J = jacobians(net, bits)
    # z_j = linear_j z_0 + offset_j along the sequence; it closes if z_k = z_0, that is (I - linear_k) z_0 = offset_k.
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
    free = np.zeros((M, 0))
    keep = np.flatnonzero(~regular | virtual | real)
    values = np.linalg.eigvals(linear[-1][keep]).astype(np.complex128)
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), axis=1)
    for i, eigenvalues in zip(keep, values, strict=True):
        orbit, lies_in, marginal = z[i], bool(real[i]), free
        if not regular[i]:
            path = np.stack([x[i] for x in linear[:-1]]), np.stack([x[i] for x in offset[:-1]])
            family = _family(E[i], offset[-1][i], *path, bits[i], tolerance)
            if family is None or not (virtual or family[1]):
                continue
            orbit, lies_in, marginal = family
        if _returns_early(orbit, tolerance):
            continue
        near = np.abs(orbit[:, M - P :]) <= tolerance * _scale(orbit)
        yield orbit, bits[i], lies_in, eigenvalues, marginal, bool(near.any())


def _family(
    E: np.ndarray, e: np.ndarray, linear: np.ndarray, offset: np.ndarray, bits: np.ndarray, tolerance: float
) -> tuple[np.ndarray, bool, np.ndarray] | None:
    """Orbits with E z_0 = e, E singular or nearly so: (z (k, M), real, marginal (M, m)), or None if there is none."""
    U, size, Vt = np.linalg.svd(E)
    null = size <= tolerance * max(1.0, size[0])
    if (np.abs(U[:, null].T @ e) > tolerance * max(1.0, np.abs(e).max())).any():
        return None
    nearest = Vt[~null].T @ ((U[:, ~null].T @ e) / size[~null])
    marginal = Vt[null].T
    M, P = len(E), bits.shape[1]
    slope = (linear[:, M - P :] @ marginal).reshape(-1, marginal.shape[1])
    level = (linear[:, M - P :] @ nearest + offset[:, M - P :]).ravel()
    on, margin = bits.ravel() == 1, tolerance * _scale(linear @ nearest + offset)
    inside = _inside(slope, level, on, margin)
    a = np.zeros(marginal.shape[1]) if inside is None else inside
    generic = np.random.default_rng(0).normal(size=len(a))
    for step in (0.0, *10.0 ** -np.arange(7)):  # a chosen point of shorter period may have neighbours of period k
        z = linear @ (nearest + marginal @ (a + step * generic)) + offset
        stays = inside is None or ((slope @ (a + step * generic) + level > margin) == on).all()
        if not _returns_early(z, tolerance) and (stays or not step):
            break
    else:
        return None
    return z, inside is not None, marginal


def _inside(slope: np.ndarray, level: np.ndarray, on: np.ndarray, margin: np.ndarray) -> np.ndarray | None:
    """Some a with slope a + level > 0 exactly where `on`: 0 if well inside, else from a linear programme, or None.

    First a point well inside is sought; then, as off includes 0, one that may touch 0 where off.
    """
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


def _returns_early(z: np.ndarray, tolerance: float) -> bool:
    """Whether the orbit z (k, M) has a period shorter than k."""
    k = len(z)
    gaps = (np.abs(z[d] - z[0]).max() for d in range(1, k) if k % d == 0)
    return any(gap <= 1e3 * tolerance * _scale(z) for gap in gaps)


def _scale(x: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    return np.maximum(1.0, np.abs(x).max(axis=axis))
