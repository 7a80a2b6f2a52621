"""What a table of nets says about all seeds, or groups: the smallest sufficient P, the share that solves a task, and
whether one P beats another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

__all__ = ["Difference", "MinimalP", "minimal_P", "names", "paired_bootstrap", "solved"]

Better = Literal["higher", "lower"]  # which of two scores is the better one


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
    table: pd.DataFrame, tolerance: float, better: Better, score: str = "validation", draws: int = 2000, seed: int = 0
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


@dataclass(frozen=True)
class Difference:
    """A mean difference, with its 95% bootstrap interval.

    share: of draws in which the difference is 0 or has the other sign; twice that is, roughly, a two-sided p-value.
    groups: the difference in each group.
    """

    mean: float
    low: float
    high: float
    share: float
    groups: pd.Series

    def __str__(self) -> str:
        return f"{self.mean:.3g} (95% bootstrap interval {self.low:.3g} to {self.high:.3g})"


def paired_bootstrap(
    table: pd.DataFrame,
    a: Any,
    b: Any,
    score: str,
    by: str = "P",
    over: str = "group",
    weight: str | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Difference:
    """How much higher a score is for a than for b, values of the column `by`: the mean over groups of a - b.

    In each group, the mean over all its rows (seeds, say). Groups are drawn with replacement, each with its a and its
    b, so what makes a group hard for both does not count. The interval is about other groups, not other nets: the luck
    of training is in it as far as several seeds average it out. With few groups, ten or less, it is too narrow.

    Args:
        table: rows with these columns, such as that of `alrnn.cross_validate`.
        over: the column of what is drawn, groups or seeds. weight: that of how much each counts; alike by default.

    Raises:
        ValueError: less than two groups, scores that are missing, or a group that has not as many of a as of b.
    """
    both = table[table[by].isin([a, b])]
    counts = pd.crosstab(both[over], both[by]).reindex(columns=[a, b], fill_value=0)
    odd = counts.index[counts[a] != counts[b]].tolist()
    if len(counts) < 2 or odd or both[score].isna().any():
        wanted = f"two or more of {over} must have as many rows with {by}={a} as with {by}={b}, and scores"
        found = f"{len(counts)} groups, {both[score].isna().sum()} missing scores"
        raise ValueError(f"{wanted}: {f'{over} {odd[0]!r} has not' if odd else found}")
    means = both.groupby([over, by])[score].mean().unstack()
    difference = means[a] - means[b]
    w = np.ones(len(means)) if weight is None else both.groupby(over)[weight].mean().to_numpy(float)
    d, n = difference.to_numpy(float), len(means)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws)  # (draws, n), how often each
    drawn_means = drawn @ (w * d) / (drawn @ w)
    low, high = np.quantile(drawn_means, [0.025, 0.975])
    share = min(np.mean(drawn_means <= 0), np.mean(drawn_means >= 0))
    return Difference(float(w @ d / w.sum()), float(low), float(high), float(share), difference)


def solved(table: pd.DataFrame, threshold: float, better: Better, score: str = "test", by: str = "P") -> pd.DataFrame:
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
