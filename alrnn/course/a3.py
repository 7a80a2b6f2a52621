"""A3: a sweep over P done properly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from ..experiments.statistics import at_best, solved
from ..nets import Init
from ..tasks import Adding
from ..tasks.base import HELD_OUT
from ..theory import adding_error, adding_floor
from ..train import evaluate
from . import core
from .core import Answers, Question, Wrong

SIZES, RATES, STEPS, M = [0, 1, 2, 4], [4e-3, 1.5e-2], 500, 6
THRESHOLD = 2e-3
INIT = Init("slow", units=3, pwl=1.0, C=0.5, threshold=-0.3)


@dataclass(frozen=True)
class A3(core.Variant):
    """T: length of `task`. M, sizes, rates, steps, seeds, init: what to train. threshold: solved below."""

    T: int
    seeds: list[int]
    M: int = M
    steps: int = STEPS
    threshold: float = THRESHOLD

    @property
    def task(self) -> Adding:
        """Adding, both marks in the first half."""
        return Adding(self.T)

    @property
    def init(self) -> Init:
        """The start of every net."""
        return INIT

    @property
    def sizes(self) -> list[int]:
        """The values of P."""
        return [*SIZES]

    @property
    def rates(self) -> list[float]:
        """The learning rates to choose from."""
        return [*RATES]


def draw(id: str, rng: np.random.Generator) -> A3:
    """The numbers of one student."""
    first = int(rng.integers(1, 10_000))
    return A3("A3", id, 2 * int(rng.integers(4, 7)), [*range(first, first + 5)])


@lru_cache(maxsize=4)  # five questions ask for the same
def _scores(nets: str, T: int) -> dict[str, np.ndarray]:
    """The nets' own scores, measured anew."""
    made, task = [core.built(x, "A net", 2, M, exact=False) for x in json.loads(nets)], Adding(T)
    return {split: evaluate(made, task, task.held_out(split)).numpy() for split in HELD_OUT}


def _table(a: Answers, v: A3) -> tuple[pd.DataFrame, list]:
    """The rows and nets handed in: all that were asked for, with the scores that these weights have."""
    given = a["sweep"]
    if (
        not isinstance(given, dict)
        or not isinstance(given.get("rows"), list)
        or not isinstance(given.get("nets"), list)
    ):
        raise Wrong("`sweep` should be what alrnn.sweep returns.")
    rows, wanted = given["rows"], {(P, seed, rate) for P in SIZES for seed in v.seeds for rate in RATES}
    found = [(row.get("P"), row.get("seed"), row.get("lr")) for row in rows]
    if len(found) != len(set(found)) or set(found) != wanted or len(given["nets"]) != len(rows):
        missing = len(wanted - set(found))
        raise Wrong(f"`sweep` should hold one net for each P, seed and rate, {len(wanted)}; {missing} are missing "
                    f"and {len(set(found) - wanted)} were not asked for.")  # fmt: skip
    table = pd.DataFrame(rows)
    nets = [core.built(x, "A net of `sweep`", 2, int(P)) for P, x in zip(table.P, given["nets"], strict=True)]
    if any(net.hidden_size != M for net in nets):
        raise Wrong(f"The nets of `sweep` should have M = {M} units; not all have.")
    for split, own in _scores(json.dumps(given["nets"]), v.T).items():
        told = pd.to_numeric(table[split], errors="coerce").to_numpy(float)
        if not np.allclose(own, told, rtol=0.02, atol=1e-6):
            raise Wrong(f"The {split} scores in the table are not those of the nets beside it.")
    return table, nets


def _sweep(a: Answers, v: A3) -> None:
    table, _ = _table(a, v)
    if table.test.min() > THRESHOLD or (table.steps < STEPS).any():
        raise Wrong(f"No net is below {THRESHOLD}: was it trained for {STEPS} steps from v.init?")


def _best(a: Answers, v: A3) -> pd.DataFrame:
    return at_best(_table(a, v)[0], "lower")


def _rates(a: Answers, v: A3) -> None:
    given, best = core.mapping(a, "chosen", SIZES), _best(a, v).groupby("P").lr.first()
    table = _table(a, v)[0]
    on_test = at_best(table, "lower", score="test").groupby("P").lr.first()
    for P in SIZES:
        if not core.near(core.number(given, str(P)), best[P]):
            if all(core.near(core.number(given, str(p)), on_test[p]) for p in SIZES):
                raise Wrong(f"For P = {P} that rate is best on test data, which must not choose anything.")
            raise Wrong(f"For P = {P} another rate has the lower median validation error over the seeds.")


def _intervals(a: Answers, v: A3) -> None:
    given, right = core.mapping(a, "intervals", SIZES), solved(_best(a, v), THRESHOLD, "lower")
    for P in SIZES:
        low, high = core.array(given, str(P), (2,))
        n, k = right.nets[P], right.solved[P]
        if abs(low - right.low[P]) > 2e-3 or abs(high - right.high[P]) > 2e-3:
            q = k / n
            half = 1.96 * (q * (1 - q) / n) ** 0.5
            if abs(low - (q - half)) < 2e-3 and abs(high - (q + half)) < 2e-3:
                raise Wrong("That is share +- 1.96 standard errors, which is empty at 0 of 5: use Wilson's interval.")
            raise Wrong(f"For P = {P}, {k} of {n} nets at the chosen rate solve it on test; that has another interval.")


def _excess(a: Answers, v: A3) -> None:
    table, nets = _table(a, v)
    rows = _best(a, v).query("P == 0")
    at = [int(np.flatnonzero((table.P == 0) & (table.seed == s) & (table.lr == r))[0])
          for s, r in zip(rows.seed, rows.lr, strict=True)]  # fmt: skip
    right = sorted(adding_error(nets[i], v.task) - adding_floor(v.T) for i in at)
    x = sorted(core.array(a, "excess").ravel().tolist())
    if len(x) != len(right):
        raise Wrong(f"There should be one number a seed, {len(right)}; there are {len(x)}.")
    if np.allclose(x, np.array(right) + adding_floor(v.T), rtol=0.01, atol=1e-6):
        raise Wrong("Those are the errors; take the floor from them.")
    if min(x) < 0:
        raise Wrong("One is below 0. On a finite test set a net may be lucky; theory.adding_error has no luck in it.")
    if not np.allclose(x, right, rtol=0.02, atol=1e-6):
        raise Wrong("Not the expected errors above the floor of the five nets with P = 0 at their chosen rate.")


def _smallest(a: Answers, v: A3) -> None:
    right = solved(_best(a, v), THRESHOLD, "lower")
    sure = [P for P in SIZES if right.low[P] > 0.5]
    answer, given = str(sure[0]) if sure else "none", str(a["smallest"]).removesuffix(".0").lower()
    if given != answer:
        some = [P for P in SIZES if right.solved[P] > 0]
        hint = (
            " One net that solves it shows that it can be done, not that it usually is."
            if given in map(str, some)
            else ""
        )
        raise Wrong(f"Not the smallest P whose interval lies above one half ('none' where there is no such P).{hint}")


QUESTIONS: tuple[Question, ...] = (
    Question("sweep", 4, ("sweep",), _sweep),
    Question("chosen", 3, ("sweep", "chosen"), _rates),
    Question("intervals", 3, ("sweep", "intervals"), _intervals),
    Question("excess", 3, ("sweep", "excess"), _excess),
    Question("smallest", 3, ("sweep", "smallest"), _smallest),
    core.words("explanation", 60, 4),
)
