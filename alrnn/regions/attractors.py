"""Where states end up, and how fast neighbours part on the way: attractors and Lyapunov exponents."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ..checks import Numbers, integer
from ..nets.almost_linear import AlmostLinear
from .fixed_points import cycles, fixed_points
from .modes import Map, jacobians, states_of
from .points import FixedPoint
from .visits import visits

FAR = 1e9  # states so many times larger than start and drive diverge


@dataclass(frozen=True, eq=False)
class Attractor:
    """Where some of the starts end up.

    kind: "fixed point" (or a line of them: point.marginal) or "cycle" of k steps: the exact solution, `point`, in the
    regions that states visit at the end. Otherwise point is None, k is 0, and kind is what it looks like, no more:
    "diverging"; "chaos", neighbours part; "circle", an invariant circle or torus: neighbours neither part nor meet, and
    states return near but not exactly; "not settled": still on the way, or on a cycle that is too long.
    starts (n,): which starts end here. share: how many, of all. Starts of one kind without a point are held together,
    as nothing tells them apart.
    exponents (M,): Lyapunov exponents per step, largest first: of a point by its eigenvalues (as `lyapunov` where they
    are too small to be told from rounding); NaN if diverging; else those of a run on from the first of the starts.
    """

    kind: str
    k: int
    point: FixedPoint | None
    starts: np.ndarray
    share: float
    exponents: np.ndarray

    @property
    def proven(self) -> bool:
        """States near `point` are drawn to it, and these starts are.

        If not, they rest there as far as rounding shows: on a saddle, say, or on a border whose sides do not agree. On
        a border whose sides do agree, these starts are within 1e-6.
        """
        return self.point is not None and self.point.attracting


def attractors(
    net: AlmostLinear | Map,
    z0: Numbers,
    steps: int,
    s: Numbers | None = None,
    longest: int = 500,
    tolerance: float = 1e-9,
) -> list[Attractor]:
    """Where states z0 (B, M) end up under constant input s (N,), zero by default; the largest share first.

    Runs the net in float64, reads the word of regions at the end, solves for the fixed point or cycle with this word,
    and checks that it is real, attracts, and draws the last states in before they could leave its regions.

    Args:
        steps: how long to run, at least 2, and once more for the exponents of what is neither.
        longest: cycles of up to so many steps are recognised, and of up to steps / 2.
        tolerance: as for `fixed_points`.

    Raises:
        ValueError: wrong shapes, or z0 not finite. TypeError: z0 is not one array.
    """
    m, z = Map.of(net), states_of(z0).astype(np.float64)
    if z.ndim != 2 or z.shape[1] != m.hidden_size or not len(z) or not np.isfinite(z).all():
        raise ValueError(f"z0 must be finite states of shape (B, {m.hidden_size}), B > 0, got shape {z.shape}")
    drive, steps, longest = m.drive(s), integer("steps", steps, 2), integer("longest", longest, 1)
    far = FAR * max(1.0, np.abs(z).max(), np.abs(drive).max())
    tail = deque([z], maxlen=2 * min(longest, steps // 2) + 1)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            tail.append(m.step(tail[-1], drive))
        path = np.stack(tail, axis=1)
        near = np.abs(path).max((1, 2)) < far
    solved: dict[tuple[int, bytes], FixedPoint | None] = {}
    ends = [_end(m, x, s, tolerance, solved) if here else "diverging" for x, here in zip(path, near, strict=True)]
    lost = [b for b, end in enumerate(ends) if end is None]
    rates = lyapunov(m, path[lost, -1], steps, s, 1)[:, 0] if lost else np.zeros(0)
    for b, rate in zip(lost, rates, strict=True):
        ends[b] = _resembles(path[b], rate, 10 / steps)
    found = []
    for end in dict.fromkeys(ends):
        starts = np.array([b for b, x in enumerate(ends) if x is end])
        kind, k, exponents = end, 0, np.full(m.hidden_size, np.nan)
        if isinstance(end, FixedPoint):
            orbit, moduli = np.atleast_2d(end.z), np.abs(end.eigenvalues)
            k = len(orbit)
            with np.errstate(divide="ignore"):
                kind, exponents = "fixed point" if k == 1 else "cycle", np.log(moduli) / k
            if k > 1:  # a product of many Jacobians has lost its small eigenvalues to rounding
                along = lyapunov(m, np.tile(orbit, (1 + 1000 // k, 1))[None])[0]
                exponents = np.where(moduli > 1e-6 * moduli.max(), exponents, np.minimum(exponents, along))
        elif end != "diverging":
            exponents = lyapunov(m, path[starts[:1], -1], steps, s)[0]
        found.append(Attractor(str(kind), k, end if k else None, starts, len(starts) / len(z), exponents))  # type: ignore
    return sorted(found, key=lambda x: -x.share)


def _end(m: Map, path: np.ndarray, s: Numbers | None, tolerance: float, solved: dict) -> FixedPoint | str | None:
    """The fixed point or cycle at which this path (n, M) ends; None if nothing fits. solved: the words known so far."""
    longest, scale = len(path) // 2, max(1.0, np.abs(path).max())
    seen = visits(m, np.where(np.abs(path) <= tolerance * scale, 0.0, path)[None])
    index = seen.index[0]
    periods = [k for k in range(1, longest + 1) if (index[k:] == index[:-k]).all()][:1]  # the states may still settle
    gaps = np.abs(path[-2 : -longest - 2 : -1] - path[-1]).max(1)
    periods += (np.flatnonzero(gaps <= 1e-9 * scale)[:1] + 1).tolist()  # should rounding blur the regions
    for k in dict.fromkeys(periods):
        word = seen.bits[index[-k - 1 : -1]]
        turn = min(range(k), key=[np.roll(word, -r, axis=0).tobytes() for r in range(k)].__getitem__)
        word = np.roll(word, -turn, axis=0)
        if (name := (k, word.tobytes())) not in solved:
            points = (
                cycles(m, k, s, word[None], False, tolerance) if k > 1 else fixed_points(m, s, word, False, tolerance)
            )
            solved[name] = points[0] if points else None
        if solved[name] is not None and _draws(m, solved[name], path[turn - k - 1]):
            return solved[name]
    return None


def _draws(m: Map, point: FixedPoint, z: np.ndarray) -> bool:
    """Whether z (M,), in the first of its regions, is at the point (or on its line), or is drawn there.

    In the modes of the linear map of k steps, deviations shrink. As long as the sum of their lengths is smaller than
    the distance to each border, they never leave the regions where this map holds.
    """
    orbit, word, linear = np.atleast_2d(point.z), np.atleast_2d(point.bits), [np.eye(m.hidden_size)]
    for J in jacobians(m, word):
        linear.append(J @ linear[-1])
    along = point.marginal @ (point.marginal.T @ (z - orbit[0]))
    away, passed = z - orbit[0] - along, np.stack(linear[:-1])
    modes, pwl = np.linalg.eig(linear[-1])[1], slice(m.hidden_size - m.nonlinear_size, None)
    amounts = np.linalg.lstsq(modes, away, rcond=None)[0]
    reach, room = (np.abs(passed @ modes) @ np.abs(amounts))[:, pwl], (orbit + passed @ along)[:, pwl]
    stays = (((room > 0) == word) & (reach < np.abs(room))).all()
    exact = np.abs(modes @ amounts - away).max() <= 1e-9 * max(1.0, np.abs(away).max())
    close = np.abs(away).max() <= 1e-6 * max(1.0, np.abs(orbit).max())
    certain = point.attracting and not point.boundary  # then close is not enough
    return bool((stays and exact and certain) or (close and not certain))


def _resembles(path: np.ndarray, rate: float, zero: float) -> str:
    """The kind of a path (n, M) by its largest Lyapunov exponent, which is 0 to within `zero` on a circle."""
    gaps = np.abs(path[-2::-1] - path[-1]).max(1)
    returns = gaps[gaps.argmax() :].min() < gaps.max() / 2
    return "chaos" if rate > zero else "circle" if abs(rate) <= zero and returns else "not settled"


def lyapunov(
    net: AlmostLinear | Map, z: Numbers, steps: int | None = None, s: Numbers | None = None, k: int | None = None
) -> np.ndarray:
    """Lyapunov exponents per step, largest first: the mean growth, as a logarithm, of small deviations, (B, k).

    By QR decompositions of the Jacobians along the way, of which the first tenth only turns the directions. Far below
    0, or -inf, where a step wipes a direction out; NaN where the run leaves the finite numbers.

    Args:
        z: where to start, (B, M), given steps; or the states of runs under any input, (B, T, M), of `y, z = net(s)`.
        steps: how many to run, under constant input s (N,), zero by default.
        k: how many exponents; all M by default.

    Raises:
        ValueError: wrong shapes, states that are not finite, k outside 1..M, or no steps.
    """
    m, x = Map.of(net), states_of(z).astype(np.float64)
    M, k = m.hidden_size, integer("k", m.hidden_size if k is None else k, 1, m.hidden_size, "M")
    if x.ndim != (3 if steps is None else 2) or x.shape[-1] != M or not (x.size and np.isfinite(x).all()):
        raise ValueError(f"z must be finite states (B, T, {M}), or (B, {M}) with steps, got shape {x.shape}")
    drive, count, total = m.drive(s), x.shape[1] if steps is None else integer("steps", steps, 1), np.zeros((len(x), k))
    now, Q = x, np.linalg.qr(np.random.default_rng(0).normal(size=(k, M)).T)[0][None]
    with np.errstate(all="ignore"):
        for t in range(count):
            now = x[:, t] if steps is None else m.step(now, drive) if t else x
            Q, R = np.linalg.qr(jacobians(m, m.bits(now)) @ Q)
            if t >= count // 10:
                total += np.log(np.abs(np.diagonal(R, axis1=1, axis2=2)))
    return np.where(np.isfinite(now).all(1, keepdims=True), np.sort(total / (count - count // 10))[:, ::-1], np.nan)
