"""A2: reading a net region by region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import regions
from ..nets import ALRNN
from . import core
from .core import Answers, Question, Wrong

STEPS = 12
CODES = ("00", "01", "10", "11")


@dataclass(frozen=True)
class A2(core.Variant):
    """A (2,), W (2, 2), h (2,): a net of two PWL units without input. start (2,): where its run begins."""

    A: np.ndarray
    W: np.ndarray
    h: np.ndarray
    start: np.ndarray

    @property
    def net(self) -> ALRNN:
        """The net, float64."""
        return ALRNN.from_weights(self.W, self.h, self.A, nonlinear=2)

    def run(self, steps: int, start: np.ndarray | None = None) -> np.ndarray:
        """States (steps + 1, 2) from the start on, the start included."""
        states = [self.start if start is None else start]
        for _ in range(steps):
            states.append(self.A * states[-1] + self.W @ np.maximum(states[-1], 0) + self.h)
        return np.array(states)


def draw(id: str, rng: np.random.Generator) -> A2:
    """A net with one stable cycle of 3 to 6 steps on its run, and real and virtual fixed points, all well apart."""
    while True:
        g = rng.uniform(0.8, 1.4, 2) * np.array([-1, 1]) * rng.choice([-1, 1])
        W = np.array([[0, g[0]], [g[1], 0]]) + np.diag(rng.uniform(-0.2, 0.2, 2))
        A, h, start = rng.uniform(0.1, 0.5, 2), rng.uniform(-0.5, 1.2, 2), rng.uniform(-1, 1, 2)
        v = A2("A2", id, A.round(2), W.round(2), h.round(2), start.round(2))
        tail = v.run(400)[-13:]
        k = next((k for k in range(1, 7) if np.abs(tail[-1] - tail[-1 - k]).max() < 1e-9), 0)
        if k < 3 or np.abs(tail).min() < 0.03 or np.abs(v.run(STEPS)).min() < 0.02:
            continue
        z = _points(v)
        real = [code for code in CODES if _code(z[code]) == code]
        if 0 < len(real) < 4 and all(0.03 < np.abs(x).min() and np.abs(x).max() < 20 for x in z.values()):
            return v


def _code(z: np.ndarray) -> str:
    return "".join("1" if unit > 0 else "0" for unit in z)


def _jacobian(v: A2, code: str) -> np.ndarray:
    return np.diag(v.A) + v.W * np.array([int(bit) for bit in code])


def _points(v: A2) -> dict[str, np.ndarray]:
    return {code: np.linalg.solve(np.eye(2) - _jacobian(v, code), v.h) for code in CODES}


def _codes(a: Answers, v: A2) -> None:
    given, right = a["codes"], [_code(z) for z in v.run(STEPS)]
    if not isinstance(given, list) or not all(isinstance(code, str) for code in given):
        raise Wrong("`codes` should be a list of texts such as '01'.")
    if given == right[1:] or given == right[:-1]:
        raise Wrong(f"One state is missing: the start and the {STEPS} states after it make {STEPS + 1}.")
    if given == [code[::-1] for code in right]:
        raise Wrong("The bits are in reverse: unit 0 comes first.")
    if len(given) != len(right):
        raise Wrong(f"There should be {len(right)} codes, the start's first; there are {len(given)}.")
    wrong = [i for i, (x, y) in enumerate(zip(given, right, strict=True)) if x != y]
    if wrong:
        raise Wrong(
            f"The code of state {wrong[0]} is not right (state 0 is the start), and {len(wrong)} are not in all."
        )


def _jacobians(a: Answers, v: A2) -> None:
    given = core.mapping(a, "jacobians", CODES)
    for code in CODES:
        J, right = core.array(given, code, (2, 2)), _jacobian(v, code)
        if np.allclose(J, right, atol=1e-6):
            continue
        if np.allclose(J, np.diag(v.A) + np.array([[int(bit)] for bit in code]) * v.W, atol=1e-6):
            raise Wrong(
                f"In region {code} the bits switch rows of W; a unit that is off sends nothing: its column is 0."
            )
        if np.allclose(J, right - np.diag(v.A), atol=1e-6):
            raise Wrong(f"In region {code} A is missing: it acts whether a unit is on or off.")
        raise Wrong(f"The Jacobian of region {code} is not right.")


def _fixed(a: Answers, v: A2) -> None:
    given = core.mapping(a, "points", CODES)
    for code, right in _points(v).items():
        z = core.array(given, code, (2,))
        if not np.allclose(z, right, rtol=1e-3, atol=1e-4):
            off = np.abs(_jacobian(v, code) @ z + v.h - z).max()
            raise Wrong(
                f"The map of region {code} moves its point by {off:.3g}: solve (I - J) z = h with that region's J."
            )


def _real(a: Answers, v: A2) -> None:
    right = {code for code, z in _points(v).items() if _code(z) == code}
    given = a["real"]
    if not isinstance(given, list) or not set(map(str, given)) <= set(CODES):
        raise Wrong("`real` should be a list of regions such as ['01'].")
    if set(given) == set(CODES) - right:
        raise Wrong("Those are the virtual ones.")
    if set(given) != right:
        raise Wrong(f"{len(set(given) & right)} of yours are real and {len(set(given) - right)} not; compare each "
                    "point's own code with the region whose map made it.")  # fmt: skip


def _stable(a: Answers, v: A2) -> None:
    radius = {code: np.abs(np.linalg.eigvals(_jacobian(v, code))).max() for code in CODES}
    given = core.mapping(a, "radius", CODES)
    for code in CODES:
        if not core.near(core.number(given, code), radius[code]):
            told = " For complex eigenvalues take the modulus, not the real part." if radius[code] else ""
            raise Wrong(f"The largest modulus of an eigenvalue in region {code} is not right.{told}")


def _cycle(a: Answers, v: A2) -> None:
    z = core.array(a, "cycle")
    if z.ndim != 2 or z.shape[1] != 2 or not 1 <= len(z) <= 50:
        raise Wrong(f"`cycle` should have shape (k, 2), one state a row; it has {z.shape}.")
    on = v.run(400)
    if np.abs(on - z[0]).sum(1).min() > 1e-3:
        raise Wrong("Its first state is none that the run from the start comes by in the end.")
    off = np.abs(v.run(len(z), z[0])[1:] - np.roll(z, -1, axis=0)).max()
    if off > 1e-3:
        raise Wrong(f"The net goes elsewhere from one of the states, by {off:.3g}: in order, and each once?")
    k = next(k for k in range(1, 7) if np.abs(on[-1] - on[-1 - k]).max() < 1e-9)
    if len(z) != k:
        raise Wrong(f"It goes round {len(z) / k:g} times: a cycle's states are counted once.")


def _growth(a: Answers, v: A2) -> None:
    on = v.run(400)
    k = next(k for k in range(1, 7) if np.abs(on[-1] - on[-1 - k]).max() < 1e-9)
    J = np.eye(2)
    for z in on[-k:]:
        J = _jacobian(v, _code(z)) @ J
    right, x = float(np.abs(np.linalg.eigvals(J)).max()), core.number(a, "growth")
    if core.near(x, right, 1e-2, 1e-5):
        return
    if core.near(x, right ** (1 / k)):
        raise Wrong(f"That is the growth in one step, on average; asked for is that of all {k} steps.")
    raise Wrong("Not right: multiply the Jacobians in the order in which the run meets the regions, then eigenvalues.")


def attractors(v: A2) -> int:
    """How many stable cycles of up to six steps there are, by search; for the teacher."""
    return sum(c.real and c.stable for k in range(1, 7) for c in regions.cycles(v.net, k))


QUESTIONS = (
    Question("codes", 2, ("codes",), _codes),
    Question("jacobians", 2, ("jacobians",), _jacobians),
    Question("points", 3, ("points",), _fixed),
    Question("real", 2, ("real",), _real),
    Question("radius", 2, ("radius",), _stable),
    Question("cycle", 3, ("cycle",), _cycle),
    Question("growth", 2, ("growth",), _growth),
    core.words("explanation", 60, 4),
)
