"""How much nonlinearity each task of the book needs: what is proven, built by hand, and found by training."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from .. import datasets, theory
from .statistics import at_best, minimal_P

__all__ = ["answers"]

START = ["lr", "init_pwl", "init_opposite"]  # what is chosen for each P, on validation data, where there is a choice


def answers() -> pd.DataFrame:
    """What is known of each task of answers.toml, easy ones first.

    Returns:
        for each task: hard, what a network must choose; chapter, as in the site's addresses; proven, no net with fewer
        PWL units can do it; by_hand, those of the smallest net of `alrnn.theory` that makes no error (both may be
        missing); trained, a `statistics.MinimalP`: the smallest P that is as good as the best P and, where that has a
        meaning, solves the task; better, "higher" or "lower"; linear and best, the median test scores at P = 0 and at
        the best P; and what they are from: M, steps, seeds, rates, the number of learning rates.
    """
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["tasks"]
    rows = sorted(map(_answer, listed), key=lambda row: (row["by_hand"] is None, row["by_hand"] or 0, row["trained"].P))
    return pd.DataFrame(rows).astype({"proven": "Int64", "by_hand": "Int64"}).set_index("task")


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    table = datasets.results(asked["table"]).query(f"P == P and {asked['nets']}").astype({"P": int})
    table = table.reindex(columns=table.columns.union(START))
    seeds = table.groupby("seed").size()  # those that have all P and rates
    table = table[table.seed.isin(seeds.index[seeds == seeds.max()])]
    better = asked.get("better", "higher")
    own = at_best(table, better, setting=START)
    trained = minimal_P(own, asked.get("tolerance", 0.01), better, target=asked.get("target"))
    scores = own.groupby("P").test.median()
    best = scores.max() if better == "higher" else scores.min()
    name, *sizes = asked.get("by_hand", [None])
    by_hand = getattr(theory, name)(*sizes).nonlinear_size if name else None
    known = {key: asked.get(key) for key in ("task", "hard", "chapter", "proven")}
    found = {"by_hand": by_hand, "trained": trained, "better": better, "linear": scores[0], "best": best}
    budget = {"M": table.M.max(), "steps": table.steps.max(), "seeds": trained.seeds, "rates": table.lr.nunique()}
    return known | found | budget
