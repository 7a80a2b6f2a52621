"""The linear map inside one region: Jacobian, eigenvalues, slow modes. `alrnn.regions` re-exports the public names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eig
from torch import Tensor

from ..nets.almost_linear import ALRNN


def array(x: Tensor | ArrayLike) -> np.ndarray:
    """A tensor or array-like as a NumPy array, detached; floats as float64."""
    x = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x


def jacobians(net: ALRNN, bits: Tensor | ArrayLike) -> np.ndarray:
    """Jacobians A + W diag(1, ..., 1, bits) of the regions with bits (..., P): (..., M, M), float64.

    Raises:
        ValueError: bits of another shape or other than 0 and 1, or weights that are not finite.
    """
    M, P = net.hidden_size, net.nonlinear_size
    codes = array(bits)
    if codes.ndim < 1 or codes.shape[-1] != P:
        raise ValueError(f"bits must have shape (..., {P}), one per PWL unit, got {codes.shape}")
    if not np.isin(codes, (0, 1)).all():
        raise ValueError("bits must be 0 or 1")
    A, W = array(net.A * net.pwl), array(net.W)
    if not (np.isfinite(A).all() and np.isfinite(W).all()):
        raise ValueError("the net's weights are not finite")
    gate = np.ones((*codes.shape[:-1], 1, M))
    gate[..., 0, M - P :] = codes
    return np.diag(A) + W * gate


def time_constants(eigenvalues: ArrayLike) -> np.ndarray:
    """-1 / log|eigenvalue|: steps in which a mode decays by e.

    0 for eigenvalue 0, inf on the unit circle (to 1e-12), negative where the mode grows by e in that many steps.
    """
    with np.errstate(divide="ignore"):
        rate = -np.log(np.abs(eigenvalues))
        return 1 / np.where(np.abs(rate) < 1e-12, 0.0, rate)


@dataclass(frozen=True)
class Spectrum:
    """Modes of the Jacobian in one region, slowest decay (largest modulus) first, complex pairs side by side.

    bits (P,). eigenvalues (M,) complex. time_constants (M,) in steps. periods (M,) of rotation in steps, else inf.
    right (M, M): column i, of length 1, is the direction in which mode i STORES. left (M, M): row i is what it SELECTS
    from the input; left @ J = diag(eigenvalues) @ left and left @ right = 1 (Maheswaranathan et al., 2019). Both are
    real if all eigenvalues are. Where an eigenvalue is defective, to rounding, no such row exists and it is NaN.
    condition (M,): length of the left rows, 1 for a normal mode, inf for a defective one.
    """

    bits: np.ndarray
    eigenvalues: np.ndarray
    time_constants: np.ndarray
    periods: np.ndarray
    right: np.ndarray
    left: np.ndarray
    condition: np.ndarray

    def slow(self, steps: float) -> np.ndarray:
        """Indices of the modes that need at least `steps` steps to decay, or grow, by e."""
        return np.flatnonzero(np.abs(self.time_constants) >= steps)


def spectrum(net: ALRNN, bits: Tensor | ArrayLike) -> Spectrum:
    """Eigenvalues, time constants and biorthonormal eigenvectors in the region with these bits (P,).

    Raises:
        ValueError: as `jacobians`, or bits of more than one region.
    """
    J = jacobians(net, bits)
    if J.ndim != 2:
        raise ValueError(f"bits must be those of one region, shape ({net.nonlinear_size},), got {array(bits).shape}")
    values, left, right = eig(J, left=True, right=True)
    order = np.lexsort((-values.imag, -values.real, -np.abs(values)))
    values, left, right = values[order], left[:, order].conj().T, right[:, order]
    rows = np.full_like(left, np.nan)
    for i, value in enumerate(values):  # LAPACK's pairs need not match where eigenvalues repeat: match them in groups
        near = np.flatnonzero(np.abs(values - value) <= 1e-6 * max(1.0, np.abs(values[0])))
        gram = left[near] @ right[:, near]
        if np.linalg.svd(gram, compute_uv=False)[-1] > 1e-6:  # 0 in theory if the eigenvalue is defective
            rows[i] = np.linalg.solve(gram, left[near])[near == i][0]
    condition = np.nan_to_num(np.linalg.norm(rows, axis=1), nan=np.inf)
    with np.errstate(divide="ignore"):
        periods = 2 * np.pi / np.abs(np.angle(values))
    return Spectrum(array(bits).astype(np.int8), values, time_constants(values), periods, right, rows, condition)


@dataclass(frozen=True)
class Components:
    """Principal components of states: mean (M,), axes (k, M) in rows of length 1, explained (k,) shares of variance."""

    mean: np.ndarray
    axes: np.ndarray
    explained: np.ndarray


def principal_components(z: Tensor | np.ndarray, k: int | None = None) -> Components:
    """The k leading principal components (all by default) of states z (..., M).

    Raises:
        ValueError: no states, NaN, no variance, or k outside 1..M.
    """
    states = array(z)
    M = states.shape[-1]
    k = M if k is None else k
    if not 1 <= k <= M:
        raise ValueError(f"k must be between 1 and M = {M}, got {k}")
    if states.size == 0 or not np.isfinite(states).all():
        raise ValueError(
            f"z must hold states, all finite, got shape {states.shape}" + " with NaN or inf" * (states.size > 0)
        )
    states = states.reshape(-1, M)
    mean = states.mean(0)
    _, size, axes = np.linalg.svd(np.linalg.qr(states - mean, mode="r"))
    if size[0] <= 1e-12 * np.abs(states).max():
        raise ValueError("states z have no variance")
    variance = np.zeros(M)
    variance[: len(size)] = size**2
    return Components(mean, axes[:k], variance[:k] / variance.sum())


@dataclass(frozen=True)
class Alignment:
    """How a mode lies to the c leading principal components of states; a mode is a line, a complex pair a plane.

    right, left: cosines of the principal angles, largest first, between the components and the span of the right
    (left) eigenvectors, min(dimension, c) of them: 1 is parallel, 0 orthogonal; left is NaN for a defective mode.
    explained: share of the states' variance inside the right span. components (c,): share of each component.
    """

    right: np.ndarray
    left: np.ndarray
    explained: float
    components: np.ndarray


def alignment(modes: Spectrum, mode: int, z: Tensor | np.ndarray, components: int | None = None) -> Alignment:
    """Mode number `mode` of a spectrum against the leading components of states z (..., M): one, or two for a pair.

    Raises:
        ValueError: as `principal_components`, for the number of components, too. IndexError: no such mode.
    """
    vectors = [modes.right[:, mode], modes.left[mode]]
    paired = modes.eigenvalues[mode].imag != 0
    spans = [np.stack([v.real, v.imag] if paired else [v.real], axis=1) for v in vectors]
    everything = principal_components(z)
    c = spans[0].shape[1] if components is None else components
    if not 1 <= c <= len(everything.axes):
        raise ValueError(f"components must be between 1 and M = {len(everything.axes)}, got {c}")
    right, left = (_cosines(everything.axes[:c], span) for span in spans)
    inside = ((everything.axes @ np.linalg.qr(spans[0])[0]) ** 2).sum(1)
    return Alignment(right, left, float(inside @ everything.explained), everything.explained[:c])


def _cosines(axes: np.ndarray, span: np.ndarray) -> np.ndarray:
    if np.isnan(span).any():
        return np.full(min(span.shape[1], len(axes)), np.nan)
    return np.linalg.svd(axes @ np.linalg.qr(span)[0], compute_uv=False).clip(0, 1)
