"""What a table of nets says about all seeds, or groups: the smallest sufficient P, the share that solves a task, and
whether one P beats another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

__all__ = ["Difference", "MinimalP", "at_best", "minimal_P", "names", "paired_bootstrap", "solved"]

Better = Literal["higher", "lower"]  # which of two scores is the better one


@dataclass(frozen=True)
class MinimalP:
    """The smallest sufficient P of a grid, with its bootstrap interval; None for none of the grid.

    What is printed says what the grid leaves open: "(16, 32]" where 32 is sufficient, 16 is not, and none between them
    was tried; and that intervals from fewer than five seeds are too narrow.
    shares: how often each P came out in the bootstrap; they sum to less than 1 if none did at times. medians: of the
    score by P, in the score's own units. seeds: how many.
    """

    P: int | None
    low: int | None
    high: int | None
    shares: pd.Series
    medians: pd.Series
    seeds: int

    @property
    def found(self) -> str:
        """The smallest sufficient P in words: "16", "(16, 32]", or "none up to 64"."""
        return self._span(self.P, self.P, "none up to {}")

    @property
    def interval(self) -> str:
        """The 95% interval in words: "16", "8 to 16", "(8, 32]", or "above 64"."""
        return self._span(self.low, self.high, "above {}")

    def _span(self, low: int | None, high: int | None, words: str) -> str:
        grid = self.medians.index.tolist()
        before = grid[-1] if low is None else max((P for P in grid if P < low), default=low - 1)
        if low is None or high is None:
            return words.format(before)
        exact = before == low - 1
        return str(low) if exact and low == high else f"{low} to {high}" if exact else f"({before}, {high}]"

    def __str__(self) -> str:
        few = "; fewer than 5 seeds: too narrow" * (self.seeds < 5)
        return f"{self.found} (95% interval {self.interval}{few})"


def minimal_P(
    table: pd.DataFrame,
    tolerance: float,
    better: Better,
    score: str = "validation",
    target: float | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> MinimalP:
    """The smallest P whose median score over seeds is within `tolerance` of the best P's, and reaches the target.

    Without a target some P always comes out, even where no net solves the task.

    The rule is run again on `draws` resamples of the seeds, with replacement, each seed with all its P (nets of one
    seed share their data); low and high are the 2.5% and 97.5% points. Only P in the table can come out, so the
    interval is on that grid. It is about the seeds; the error of a finite test set is not in it. It speaks of the
    table's budget and recipe: with more steps or another rate (`at_best`) fewer units may do.

    Args:
        table: one row for each P and seed, of one task and recipe (`Sweep.table`, or a part of a table of results).
        tolerance: in the units of the score, at least 0. better: whether a higher or a lower score is better.
        score: the column. On validation data by default, so that test data report and do not choose.
        target: the score that counts as solved, in the score's units; none by default.

    Raises:
        ValueError: a P and seed twice, missing, or without a score; rows without P; or settings out of range.
    """
    sign = _sign(better)
    if not tolerance >= 0 or target is not None and not np.isfinite(target):
        raise ValueError(f"tolerance must be at least 0 and target finite, got {tolerance!r}, {target!r}")
    if "P" not in table or table.P.isna().any():
        raise ValueError("the table has rows without P: leave out the baselines")
    if table.empty or table.duplicated(["P", "seed"]).any():
        raise ValueError("the table must have one row for each P and seed: choose one task and one recipe")
    grid = table.pivot(index="seed", columns="P", values=score).sort_index(axis=1)
    if grid.isna().any(axis=None):
        missing = [f"P={grid.columns[j]}, seed={grid.index[i]}" for i, j in np.argwhere(grid.isna().to_numpy())]
        raise ValueError(f"no {score} score for {'; '.join(missing[:5])}")
    sizes, loss = grid.columns.to_numpy(int), sign * grid.to_numpy(float)
    worst = np.inf if target is None else sign * target

    def smallest(medians: np.ndarray) -> np.ndarray:
        """Positions in sizes; their number where none is sufficient."""
        enough = (medians <= medians.min(-1, keepdims=True) + tolerance) & (medians <= worst)
        return np.where(enough.any(-1), enough.argmax(-1), len(sizes))

    index = np.random.default_rng(seed).integers(len(loss), size=(draws, len(loss)))
    found = smallest(np.median(loss[index], axis=1))
    ends = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    P, low, high = (
        int(sizes[at]) if at < len(sizes) else None
        for at in (int(smallest(np.median(loss, axis=0))), *ends.astype(int))
    )
    shares = pd.Series(np.bincount(found, minlength=len(sizes) + 1)[:-1] / draws, sizes).rename_axis("P")
    return MinimalP(P, low, high, shares, grid.median(), len(loss))


def at_best(
    table: pd.DataFrame,
    better: Better,
    by: str | Sequence[str] = "P",
    setting: str | Sequence[str] = "lr",
    score: str = "validation",
) -> pd.DataFrame:
    """The rows of each P, or other group, at the setting that is best for it, such as its own learning rate.

    The best has the best median over seeds, on validation data by default; a net without a score, as one that diverged,
    counts as the worst. A tie goes to the setting that sorts first.

    Args:
        by: the column, or columns, of what is to be compared, each at its own best. setting: what may differ.

    Raises:
        ValueError: an empty table, another word for better, or settings with different numbers of nets, which would
            give the one that has more of them a better chance.
    """
    sign = _sign(better)
    groups, settings = [by] if isinstance(by, str) else [*by], [setting] if isinstance(setting, str) else [*setting]
    loss = (sign * table[score]).fillna(np.inf)
    cells = loss.groupby([table[c] for c in groups + settings], dropna=False).agg(["median", "size"])
    sizes = cells["size"].groupby(groups, dropna=False).nunique()
    if table.empty or (sizes > 1).any():
        odd = sizes.index[sizes > 1].tolist()
        raise ValueError(f"each {', '.join(settings)} must have as many nets; not so for {', '.join(groups)} {odd}")
    first = cells["median"].reset_index().sort_values([*groups, "median", *settings]).drop_duplicates(groups)
    return table.merge(first[groups + settings], how="inner", on=groups + settings)


def _sign(better: Better) -> int:
    """What makes a loss of a score."""
    if better not in ("higher", "lower"):
        raise ValueError(f"better must be higher or lower, got {better!r}")
    return 1 if better == "lower" else -1


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
        return f"{self.mean:.3g} (95% interval {self.low:.3g} to {self.high:.3g})"


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

    sign = _sign(better)
    good = sign * table[score] < sign * threshold
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
