"""Exact Jacobians by region. Public names are re-exported by `alrnn.regions`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .model import ALRNN


def array(x) -> np.ndarray:
    """A tensor or array-like as a NumPy array on the CPU, detached; floats as float64."""
    x = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
    return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x


def check_bits(net: ALRNN, bits: ArrayLike) -> np.ndarray:
    """bits as an integer array (..., P) of 0 and 1, or one clear error."""
    codes = array(bits)
    if codes.ndim < 1 or codes.shape[-1] != net.nonlinear_size:
        raise ValueError(f"bits must have shape (..., {net.nonlinear_size}), one per PWL unit, got {codes.shape}")
    if not np.isin(codes, (0, 1)).all():
        raise ValueError("bits must be 0 or 1")
    return codes.astype(np.int8)


def jacobians(net: ALRNN, bits: ArrayLike) -> np.ndarray:
    """Jacobians A + W diag(1, ..., 1, bits) of the regions with bits (..., P): (..., M, M), float64."""
    codes = check_bits(net, bits)
    linear = np.ones((*codes.shape[:-1], net.hidden_size - net.nonlinear_size))
    gate = np.concatenate([linear, codes], axis=-1)[..., None, :]
    return np.diag(array(net.A * net.pwl)) + array(net.W) * gate
