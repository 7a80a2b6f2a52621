"""What a table of nets says about all seeds: the smallest sufficient P, and the share that solves a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class MinimalP:
    """The smallest sufficient P with its bootstrap interval.

    shares: how often each P came out in the bootstrap. medians: of the score by P, in the score's own units.
    """

    P: int
    low: int
    high: int
    shares: pd.Series
    medians: pd.Series

    def __str__(self) -> str:
        return f"{self.P} (95% bootstrap interval {self.low} to {self.high})"


def minimal_P(
    table: pd.DataFrame,
    tolerance: float,
    better: Literal["higher", "lower"],
    score: str = "validation",
    draws: int = 2000,
    seed: int = 0,
) -> MinimalP:
    """The smallest P whose median score over seeds is within `tolerance` of the best P's.

    The rule is run again on `draws` resamples of the seeds, with replacement, each seed with all its P (nets of one
    seed share their data); low and high are the 2.5% and 97.5% points. Only P in the table can come out, so the
    interval is on that grid. It is about the seeds; the error of a finite test set is not in it.

    Args:
        table: one row for each P and seed, of one task and recipe (`Sweep.table`, or a part of a table of results).
        tolerance: in the units of the score, at least 0. better: whether a higher or a lower score is better.
        score: the column. On validation data by default, so that test data report and do not choose.

    Raises:
        ValueError: a P and seed twice, missing, or without a score; rows without P; or settings out of range.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better must be higher or lower, got {better!r}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance!r}")
    if "P" not in table or table.P.isna().any():
        raise ValueError("the table has rows without P: leave out the baselines")
    if table.empty or table.duplicated(["P", "seed"]).any():
        raise ValueError("the table must have one row for each P and seed: choose one task and one recipe")
    grid = table.pivot(index="seed", columns="P", values=score).sort_index(axis=1)
    if grid.isna().any(axis=None):
        missing = [f"P={grid.columns[j]}, seed={grid.index[i]}" for i, j in np.argwhere(grid.isna().to_numpy())]
        raise ValueError(f"no {score} score for {'; '.join(missing[:5])}")
    sizes, scores = grid.columns.to_numpy(int), grid.to_numpy(float)
    loss = scores if better == "lower" else -scores

    def smallest(medians: np.ndarray) -> np.ndarray:
        return sizes[np.argmax(medians <= medians.min(-1, keepdims=True) + tolerance, axis=-1)]

    index = np.random.default_rng(seed).integers(len(loss), size=(draws, len(loss)))
    found = smallest(np.median(loss[index], axis=1))
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    shares = pd.Series(found).value_counts(normalize=True).reindex(sizes, fill_value=0.0).rename_axis("P")
    return MinimalP(int(smallest(np.median(loss, axis=0))), int(low), int(high), shares, grid.median())


def solved(
    table: pd.DataFrame, threshold: float, better: Literal["higher", "lower"], score: str = "test", by: str = "P"
) -> pd.DataFrame:
    """How many nets solve the task: score beyond `threshold`, in the sense of `better`.

    Returns:
        one row for each value of the column `by`: nets, solved, share, and low and high, Wilson's 95% interval for the
        share of all seeds that would. A missing score counts as not solved.

    Raises:
        ValueError: another word for better.
    """
    from scipy.stats import binomtest

    if better not in ("higher", "lower"):
        raise ValueError(f"better must be higher or lower, got {better!r}")
    good = table[score] > threshold if better == "higher" else table[score] < threshold
    counts = good.groupby(table[by]).agg(["size", "sum"]).astype(int).set_axis(["nets", "solved"], axis=1)
    counts["share"] = counts.solved / counts.nets
    spans = [binomtest(k, n).proportion_ci(method="wilson") for n, k in zip(counts.nets, counts.solved, strict=True)]
    return counts.assign(low=[span.low for span in spans], high=[span.high for span in spans])


def names(table: pd.DataFrame) -> pd.Series:
    """What to call each net of a table of results, as ordered categories: "P = 0", "P = 5", ..., then "GRU" etc.

    P = M from a start without memory on its PWL units (init_pwl = 0) is "P = 50, plain start", from opposite pairs
    (init_opposite) "P = 50, opposite pairs"; both beside a fair "P = 50".
    """
    alrnn, full = table.model == "alrnn", table.P == table.M
    opposite = table.get("init_opposite", pd.Series(0, table.index)) > 0
    start = np.select([full & opposite, full & (table.init_pwl == 0)], [", opposite pairs", ", plain start"], "")
    text = ("P = " + table.P.map("{:.0f}".format) + start).where(alrnn, table.model.str.upper())
    order = text.iloc[np.lexsort((table.model, start == ", opposite pairs", start != "", table.P, ~alrnn))].unique()
    return pd.Series(pd.Categorical(text, order, ordered=True), table.index, name="net")
