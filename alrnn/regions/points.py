"""What a search for fixed points and cycles finds: the records, and lists of them as tables and files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A solution of z = J_d z + C s + h for one bitcode d.

    z (M,). bits (P,): d. real: z lies in the region of d; otherwise it is virtual, and no state of the net rests there.
    eigenvalues (M,) complex, of J_d, largest modulus first.
    marginal (M, m): orthonormal directions along which z may move and still be a solution (I - J_d is singular); m is 0
    for a point, 1 for a line, 2 for a plane. On a line or plane, real says whether it crosses the region of d at all;
    z is then one solution in that region, otherwise the one nearest to the origin.
    boundary: a PWL unit is at 0, so the map differs on the other side and the eigenvalues tell half of the story.
    all_sides: False at a boundary, unless it is proven that the maps of all regions that meet there, applied in any
    order, shrink deviations (across the marginal directions). Where more than 10 units are at 0, none is tried.
    drift (M,): after z comes z + drift; 0 except on lines and planes, found by `slow`, that are nearly of fixed points.
    """

    z: np.ndarray
    bits: np.ndarray
    real: bool
    eigenvalues: np.ndarray
    marginal: np.ndarray
    boundary: bool
    all_sides: bool = True
    drift: np.ndarray = field(default_factory=lambda: np.zeros(1))

    @property
    def stable(self) -> bool:
        """Small deviations die out: all eigenvalues lie inside the unit circle (by 1e-9), on all sides of a boundary.

        Never true on a line, nor where states creep.
        """
        return bool(self.all_sides and not self.drift.any() and np.abs(self.eigenvalues).max() < 1 - 1e-9)

    @property
    def attracting(self) -> bool:
        """Stable, not counting the m eigenvalues 1 of the marginal directions: true of a line attractor."""
        m = self.marginal.shape[1]
        across = self.eigenvalues[np.argsort(np.abs(self.eigenvalues - 1))[m:]]
        inside = np.abs(across) < 1 - (1e-6 if m else 1e-9)  # 1e-6: a defective 1 splits in rounding
        return bool(self.all_sides and inside.all())

    @property
    def code(self) -> str:
        """Its bitcode, or those of a cycle, set apart by blanks."""
        return " ".join("".join(map(str, word)) for word in np.atleast_2d(self.bits).tolist())


@dataclass(frozen=True, eq=False)
class Cycle(FixedPoint):
    """A solution that returns after k steps and not before: z (k, M) in order, bits (k, P).

    Eigenvalues (M,) are those of J_k ... J_1, marginal (M, m) the free directions of z[0], and drift is that of z[0] in
    k steps. Otherwise as `FixedPoint`.
    """


Point = TypeVar("Point", bound=FixedPoint)


class Points(list[Point]):
    """A list of fixed points or cycles. complete: all regions, or sequences of regions, were searched for them."""

    def __init__(self, points: Iterable[Point] = (), complete: bool = False):
        super().__init__(points)
        self.complete = complete

    def unique(self, tolerance: float = 1e-6) -> Points[Point]:
        """Of solutions at one place, to tolerance times its size, the first real one, or else the first, in order.

        A place on a border solves the equation with the maps of all sides, but is real in one region alone.
        """
        kept: dict[int, Point] = {}
        for i, p in sorted(enumerate(self), key=lambda pair: not pair[1].real):
            z = np.atleast_2d(p.z)
            turns, near = [np.roll(z, -r, axis=0) for r in range(len(z))], tolerance * max(1.0, np.abs(z).max())
            others = (q.z for q in kept.values() if q.z.shape == p.z.shape)
            if not any((np.abs(turns - other).max((1, 2)) <= near).any() for other in others):
                kept[i] = p
        return Points((kept[i] for i in sorted(kept)), self.complete)

    def table(self) -> pd.DataFrame:
        """One row each, in order: region or regions, what is said of it, largest modulus of an eigenvalue, drift."""
        import pandas as pd

        said = ("real", "stable", "attracting", "boundary")
        columns = {"region": [p.code for p in self]} | {name: [getattr(p, name) for p in self] for name in said}
        columns |= {"marginal": [p.marginal.shape[1] for p in self]}
        columns |= {"radius": [float(np.abs(p.eigenvalues).max()) for p in self]}
        return pd.DataFrame(columns | {"drift": [float(np.linalg.norm(p.drift)) for p in self]})

    def save(self, path: str | os.PathLike) -> None:
        """Write a JSON file that `load` reads, every number exactly."""
        rows = [{f.name: np.asarray(getattr(p, f.name)).tolist() for f in fields(p) if f.name != "eigenvalues"}
                | {"eigenvalues": np.ascontiguousarray(p.eigenvalues).view(float).tolist()} for p in self]  # fmt: skip
        Path(path).write_text(json.dumps({"complete": self.complete, "points": rows}), "utf-8")

    @staticmethod
    def load(path: str | os.PathLike) -> Points[FixedPoint]:
        """What `save` wrote; ValueError for another file."""
        try:
            held = json.loads(Path(path).read_text("utf-8"))
            points: Points[FixedPoint] = Points(complete=held["complete"])
            for row in held["points"]:
                row = {name: x if isinstance(x, bool) else np.array(x, dtype=float) for name, x in row.items()}
                row |= {"bits": row["bits"].astype(np.int8), "eigenvalues": row["eigenvalues"].view(complex)}
                points.append((Cycle if row["z"].ndim == 2 else FixedPoint)(**row))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{os.fspath(path)} does not hold fixed points or cycles") from None
        return points
