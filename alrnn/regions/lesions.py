"""What a unit is for: nets in which a PWL unit is made linear, silenced, frozen or straightened, or any is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..checks import Numbers, integer
from ..nets.almost_linear import ALRNN
from .modes import states_of


def linearise(net: ALRNN, unit: int) -> ALRNN:
    """A copy in which PWL unit number `unit` is linear: max(z, 0) becomes z, its bit is 1 for good.

    The copy has P - 1. The unit becomes the last linear one (position M - P, self-weight A_ii + W_ii); all other
    units keep their order, so its states are those of the net with the units reordered.

    Raises:
        ValueError: no such unit. TypeError: no ALRNN.
    """
    i, M, P = _state_index(net, unit), net.hidden_size, net.nonlinear_size
    order = [*range(M - P), i, *(j for j in range(M - P, M) if j != i)]
    lesioned = type(net)(**net.settings() | {"nonlinear_size": P - 1}).to(net.W).train(net.training)
    with torch.no_grad():
        for name, weights in net.named_parameters():
            lesioned.get_parameter(name).copy_(weights).requires_grad_(weights.requires_grad)
        lesioned.W[i, i], lesioned.A[i] = lesioned.W[i, i] + lesioned.A[i], 0
        lesioned.W.copy_(lesioned.W[order][:, order])
        for rows in (lesioned.A, lesioned.C, lesioned.h, lesioned.D.T):
            rows.copy_(rows[order])
    lesioned.order = None if net.order is None else [net.order[j] for j in order]
    return lesioned


def silence(net: ALRNN, unit: int) -> ALRNN:
    """A copy in which PWL unit number `unit` gives no output: max(z, 0) becomes 0, its bit is 0 for good.

    Only column W[:, i] is cleared. The unit still receives, keeps its own A_ii z, and D still reads its raw z.

    Raises:
        ValueError: no such unit. TypeError: no ALRNN.
    """
    return freeze(net, unit, 0.0)


def freeze(net: ALRNN, unit: int, value: float) -> ALRNN:
    """A copy in which the output of PWL unit number `unit` is fixed: max(z, 0) becomes `value` at every step.

    A natural value is the mean of max(z, 0) over states of the intact net. Column W[:, i] is cleared and W[:, i] value
    is added to h. Freezing the bit instead of the output is `silence` (bit 0) or `linearise` (bit 1).

    Raises:
        ValueError: no such unit, or a value that is not finite. TypeError: no ALRNN.
    """
    if not np.isfinite(value):
        raise ValueError(f"value must be a finite number, got {value}")
    i, lesioned = _state_index(net, unit), net.copy()
    lesioned.h.data += value * lesioned.W.data[:, i]
    lesioned.W.data[:, i] = 0
    return lesioned


def straighten(net: ALRNN, unit: int, z: Numbers) -> ALRNN:
    """A copy in which max(z, 0) of PWL unit number `unit` is the straight line that fits it best over z.

    Best in least squares: it asks what the kink is worth, apart from the unit's slope and mean. The copy has P - 1, as
    that of `linearise`.

    Args:
        z: states of the intact net, (..., M): those of a data set, without padding.

    Raises:
        ValueError: no such unit, or z has not M columns or is not finite. TypeError: no ALRNN, or z is no array.
    """
    i, states = _state_index(net, unit), states_of(z)
    if states.shape[-1:] != (net.hidden_size,) or states.size == 0 or not np.isfinite(states).all():
        raise ValueError(f"z must be finite states (..., {net.hidden_size}), one at least, got {states.shape}")
    v = states[..., i].ravel()
    slope = np.cov(v, np.maximum(v, 0), ddof=0)[0, 1] / max(v.var(), np.finfo(float).tiny)
    straight = freeze(net, unit, np.maximum(v, 0).mean() - slope * v.mean())
    straight.W.data[:, i] = slope * net.W.data[:, i]
    return linearise(straight, unit)


def lose(net: ALRNN, unit: int) -> ALRNN:
    """A copy in which nothing reads unit number `unit` of the state, 0..M-1: the control for lesions of PWL units.

    Its self-weight, its column of W and its column of D are 0. The first M - P units are linear.

    Raises:
        ValueError: no such unit. TypeError: no ALRNN.
    """
    i, lesioned = integer("unit", unit, 0, _plain(net).hidden_size - 1), net.copy()
    lesioned.A.data[i], lesioned.W.data[:, i], lesioned.D.data[:, i] = 0, 0, 0
    return lesioned


def _plain(net: ALRNN) -> ALRNN:
    plain = isinstance(net, ALRNN) and type(net).run.__func__ is ALRNN.run.__func__  # type: ignore[attr-defined]
    if not plain or {"A", "W", "C", "h", "D"} - dict(net.named_parameters()).keys():
        raise TypeError(f"only a plain ALRNN can be lesioned: no run of its own, no parametrised weights, got {net!r}")
    return net


def _state_index(net: ALRNN, unit: int) -> int:
    if unit not in range(P := _plain(net).nonlinear_size):
        raise ValueError(f"unit must be one of the P = {P} PWL units, 0..P-1, got {unit!r}")
    return net.hidden_size - P + int(unit)


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
        lesioned = np.array([float(score(lesion(net, unit))) for unit in range(net.nonlinear_size)])
        return LesionScores(intact := float(score(net)), lesioned, intact - lesioned)
