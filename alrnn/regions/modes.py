"""The linear map inside one region: Jacobian, eigenvalues, slow modes. `alrnn.regions` re-exports the public names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..checks import Numbers, array, codes, integer
from ..nets.almost_linear import AlmostLinear, jacobian


@dataclass(frozen=True, eq=False, init=False)
class Map:
    """One almost-linear recurrence z' = A z + W phi(z) + C s + h: all that is read here of a net, whoever made it.

    A (M,), W (M, M), h (M,), C (M, N) or None for N = 0: tensors or arrays, kept as float64. phi is ReLU on the last
    P = nonlinear_size units. Whatever takes a net here takes a map, too.

    Raises:
        ValueError: shapes that do not fit, P outside 0..M, or weights that are not finite.
    """

    A: np.ndarray
    W: np.ndarray
    h: np.ndarray
    C: np.ndarray
    nonlinear_size: int

    def __init__(self, A: Numbers, W: Numbers, h: Numbers, C: Numbers | None = None, *, nonlinear_size: int):
        M = array(h).size
        C = np.zeros((M, 0)) if C is None else array(C)
        shapes = {"A": (M,), "W": (M, M), "h": (M,), "C": (M, C.shape[-1] if C.ndim else 0)}
        for (name, shape), given in zip(shapes.items(), (A, W, h, C), strict=True):
            x = array(given).astype(np.float64)
            if x.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, as h has {M} numbers, got {x.shape}")
            if not np.isfinite(x).all():
                raise ValueError(f"the net's weights are not finite: {name}")
            object.__setattr__(self, name, x)
        object.__setattr__(self, "nonlinear_size", integer("nonlinear_size", nonlinear_size, 0, M, "M"))

    @classmethod
    def of(cls, net: AlmostLinear | Map) -> Map:
        """The map of an ALRNN, of a cell or layer, or itself; TypeError for anything else."""
        if isinstance(net, AlmostLinear):
            return cls(net.A, net.W, net.h, net.C, nonlinear_size=net.nonlinear_size)
        if not isinstance(net, cls):
            raise TypeError(
                f"expected an ALRNN, or part of a net that is one, or a regions.Map, got {type(net).__name__}"
            )
        return net

    @property
    def hidden_size(self) -> int:
        """M."""
        return len(self.h)

    def drive(self, s: Numbers | None = None) -> np.ndarray:
        """C s + h (M,) under constant input s (N,), zero by default."""
        N = self.C.shape[1]
        constant = np.zeros(N) if s is None else array(s)
        if constant.shape != (N,) or not np.isfinite(constant).all():
            raise ValueError(f"s must be a finite constant input of shape ({N},), got {constant}")
        return self.h + self.C @ constant

    def bits(self, z: np.ndarray) -> np.ndarray:
        """The bits (..., P), int8, of states z (..., M); a unit at exactly 0 is off."""
        return (z[..., self.hidden_size - self.nonlinear_size :] > 0).astype(np.int8)

    def step(self, z: np.ndarray, drive: np.ndarray) -> np.ndarray:
        """The states after z (B, M)."""
        pwl = np.arange(self.hidden_size) >= self.hidden_size - self.nonlinear_size
        return self.A * z + np.where(pwl & (z <= 0), 0.0, z) @ self.W.T + drive


def states_of(z: Numbers) -> np.ndarray:
    """States as an array; one clear error for all that a net returns."""
    if isinstance(z, (tuple, list)) and any(isinstance(x, Tensor) and x.ndim for x in z):
        raise TypeError(f"states z must be one array, got a {type(z).__name__}: pass z of `y, z = net(s)`")
    return array(z)


def jacobians(net: AlmostLinear | Map, bits: Numbers) -> np.ndarray:
    """Jacobians A + W diag(1, ..., 1, bits) of the regions with bits (..., P), or bitcodes: (..., M, M), float64.

    Raises:
        ValueError: bits of another shape or other than 0 and 1, or weights that are not finite.
    """
    m = Map.of(net)
    on = codes(bits, m.nonlinear_size)
    return jacobian(torch.from_numpy(m.A), torch.from_numpy(m.W), torch.from_numpy(on)).numpy()


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
    real if all eigenvalues are.
    condition (M,): length of the left row, 1 for a normal mode: a change of J by x moves the eigenvalue by up to
    condition x. It is inf, for more than 1e6, where the eigenvalue is defective to rounding. There the left eigenvector
    stands at a right angle to the right one, so no length gives left @ right = 1: the row has length 1 instead.
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


def spectrum(net: AlmostLinear | Map, bits: Numbers) -> Spectrum:
    """Eigenvalues, time constants and biorthonormal eigenvectors in the region with these bits (P,), or bitcode.

    Raises:
        ValueError: as `jacobians`, or bits of more than one region.
    """
    from scipy.linalg import eig

    m = Map.of(net)
    on = codes(bits, m.nonlinear_size)
    if on.ndim != 1:
        raise ValueError(f"bits must be those of one region, shape ({m.nonlinear_size},), got {on.shape}")
    values, left, right = eig(jacobians(m, on), left=True, right=True)
    order = np.lexsort((-values.imag, -values.real, -np.abs(values)))
    values, left, right = values[order], left[:, order].conj().T, right[:, order]
    rows, condition = left.copy(), np.full(len(values), np.inf)
    for i, value in enumerate(values):  # LAPACK's pairs need not match where eigenvalues repeat: match them in groups
        near = np.flatnonzero(np.abs(values - value) <= 1e-6 * max(1.0, np.abs(values[0])))
        gram = left[near] @ right[:, near]
        if np.linalg.svd(gram, compute_uv=False)[-1] > 1e-6:  # 0 in theory if the eigenvalue is defective
            rows[i] = np.linalg.solve(gram, left[near])[near == i][0]
            condition[i] = np.linalg.norm(rows[i])
    with np.errstate(divide="ignore"):
        periods = 2 * np.pi / np.abs(np.angle(values))
    return Spectrum(on, values, time_constants(values), periods, right, rows, condition)


@dataclass(frozen=True)
class Components:
    """Principal components of states: mean (M,), axes (k, M) in rows of length 1, explained (k,) shares of variance."""

    mean: np.ndarray
    axes: np.ndarray
    explained: np.ndarray


def principal_components(z: Tensor | np.ndarray, k: int | None = None) -> Components:
    """The k leading principal components (all by default) of states z (..., M).

    Raises:
        ValueError: no states, NaN, no variance, or k outside 1..M. TypeError: not one array.
    """
    states = states_of(z)
    M = states.shape[-1]
    k = M if k is None else k
    if not 1 <= k <= M:
        raise ValueError(f"k must be between 1 and M = {M}, got {k}")
    if states.size == 0 or not np.isfinite(states).all():
        raise ValueError(f"z must hold states, and no NaN or inf, got shape {states.shape}")
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
    (left) eigenvectors, min(dimension, c) of them: 1 is parallel, 0 orthogonal.
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
    spans = [np.linalg.qr(np.stack([v.real, v.imag] if paired else [v.real], axis=1))[0] for v in vectors]
    everything = principal_components(z)
    c = spans[0].shape[1] if components is None else components
    if not 1 <= c <= len(everything.axes):
        raise ValueError(f"components must be between 1 and M = {len(everything.axes)}, got {c}")
    right, left = (np.linalg.svd(everything.axes[:c] @ x, compute_uv=False).clip(0, 1) for x in spans)
    inside = ((everything.axes @ spans[0]) ** 2).sum(1)
    return Alignment(right, left, float(inside @ everything.explained), everything.explained[:c])
