"""How much nets of different P share between the eleven tasks of the suite: `python tools/sharing.py FILE`.

One row a net: P, seed, steps of training (0: untrained), and these columns. Where a * stands, there is one for each of
`PERIODS`. All but the first line are measured on validation trials. A table goes on where it stopped.

Scores: right, held: shares of test trials, 0 to 1; version: of alrnn.

Words and bits, at one random step of the period in each trial that has it:

    overlap_*       1 - Jensen-Shannon divergence of two tasks' regions, mean over pairs of tasks: 0 if no region is
                    common to both, 1 if all are visited alike
    four_*          bits that four random PWL units tell about the task, less what they tell about shuffled labels:
                    from 0 (or just below) to log2 of the number of tasks, 3.46 at most; the lower, the more is shared
    bits_*          entropy of one PWL unit's bit, mean over units: 0 if all are always on or always off, at most 1

Task variance (after Yang et al. 2019), of a unit over the trials of a task, as a share of its largest:

    tasks_pwl       participation of the eleven tasks in a PWL unit's variance, mean over units: 1/11 if a unit varies
    tasks_linear    in one task only, 1 if alike in all; and the same of the linear units (none if P = M)
    used_pwl        share of the PWL units that vary at all, 0 to 1; the others are left out
    clusters_pwl    number of clusters of PWL units, 2 to 15, that has the best mean silhouette
    silhouette_pwl  that silhouette, -1 to 1: near 1 if units fall into groups of like task variance (P >= 8)
    silhouette_null the same if each unit's task variances change places, mean over shuffles

Where states go from the end of delay, or of all that comes before go, if the inputs of delay, or of response, stay on
for 1,000 steps, without noise (after Driscoll et al. 2024), see `ends`:

    points_delay, points_response    number of places where 20 trials of a task end, mean over tasks: 1 to 20
    fixed_delay, fixed_response      share of trials that end at a fixed point, solved exactly, that attracts: 0 to 1
    away_delay, away_response        share of trials that run away, 0 to 1; points are counted without them

The planes (two first principal components) of the states at the end of the delay, mean squared cosine between those of
two tasks: 1 for the same plane, 0 for orthogonal ones, 2/M for random ones:

    memory_pairs    mean over the pairs Pro/Anti of Delay and Cat, Match/NonMatch and CtxInt1/2
    memory_others   mean over all other pairs

Lesions, which freeze the output of random units at its mean, mean over four draws:

    drop_one, drop_quarter, drop_linear         loss of right trials (0 to 1), mean over tasks, of one PWL unit, a
                                                quarter of the PWL units, and as many linear ones (if there are)
    spread_one, spread_quarter, spread_linear   participation of the tasks in that loss, 1/11 to 1; none if it is small
"""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from numpy.random import Generator
from pieces import Pieces, command

import alrnn
from alrnn import ALRNN, Ensemble, Init, regions
from alrnn.tasks import Batch, Suite
from alrnn.tasks.suite import EPOCHS, NAMES, RULES

M, SIZES, SEEDS, STEPS = 64, (4, 8, 16, 32, 64), range(10), (0, 200, 400, 800, 2000)
START = Init("slow", W=0.0125, C=0.3, pwl=1.0)
PERIODS = ("stimulus", "delay", "response")
PAIRS = (("DelayPro", "DelayAnti"), ("CatPro", "CatAnti"), ("Match", "NonMatch"), ("CtxInt1", "CtxInt2"))
WAITING = tuple(name for name in NAMES if "delay" in RULES[name].periods)
FEW = 1100  # trials that score lesioned nets; twice as many for the rest
HURT = 0.1  # the sum of the losses over tasks above which it is asked how they spread


def pieces(task: Suite) -> Pieces:
    """Each number of steps."""
    for steps in STEPS:
        yield {"steps": steps}, partial(nets, task, steps)


def nets(task: Suite, steps: int) -> pd.DataFrame:
    """All P and seeds, trained together for so many steps; nets of one seed see the same trials."""
    made = [ALRNN(task.input_size, M, P, task.output_size, seed, START) for P in SIZES for seed in SEEDS]
    if steps:
        alrnn.fit(made, task, steps=steps, lr=5e-3, clip=1.0, batch_size=64, progress=False)
    found = alrnn.train.scores(made, task, task.held_out("test", 2 * FEW))
    table = pd.DataFrame({"P": [net.nonlinear_size for net in made], "seed": [net.seed for net in made]})
    table = table.assign(**{name: found[name].value.numpy() for name in ("right", "held")}, version=alrnn.__version__)
    trials = task.held_out("validation", 2 * FEW)
    return pd.concat([table, pd.DataFrame([measures(net, task, trials) for net in made])], axis=1)


@torch.no_grad()
def measures(net: ALRNN, task: Suite, trials: Batch) -> dict[str, float]:
    """All of one net; see the top of this file. Nets of one seed are measured at the same steps of the same trials."""
    z = net(trials.s)[1]
    assert z is not None
    draw = [np.random.default_rng((net.seed, part)) for part in range(4)]
    return {
        **words(net, z, trials, draw[0]),
        **units(net, z, trials, draw[1]),
        **rest(net, z, trials, draw[2]),
        **memory(z, trials),
        **lesions(net, z, task, trials, draw[3]),
    }


def words(net: ALRNN, z: torch.Tensor, trials: Batch, rng: Generator) -> dict[str, float]:
    """Of the regions of one random step of each period."""
    epoch, found = trials.info["epoch"].numpy(), {}
    for period, chance in zip(PERIODS, rng.random((len(PERIODS), *epoch.shape)), strict=True):
        inside = epoch == EPOCHS.index(period)
        step, there = (chance * inside).argmax(1), inside.any(1)
        seen = regions.visits(net, z[there, step[there]][:, None])
        label = trials.info["task"].numpy()[there, None]
        on = np.average(seen.bits, 0, seen.counts)
        found[f"overlap_{period}"] = overlap(regions.contingency(seen, label).to_numpy())
        found[f"four_{period}"] = four_units(seen, label, rng)
        found[f"bits_{period}"] = float((_bits(on) + _bits(1 - on)).mean())
    return found


def overlap(table: np.ndarray) -> float:
    """1 - Jensen-Shannon divergence of two columns (counts of visits by region), mean over pairs of columns."""
    p = table / table.sum(0)
    i, j = np.triu_indices(p.shape[1], 1)
    apart = _bits((p[:, i] + p[:, j]) / 2).sum(0) - (_bits(p[:, i]) + _bits(p[:, j])).sum(0) / 2
    return max(0.0, float(1 - apart.mean()))  # not a rounding below


def _bits(p: np.ndarray) -> np.ndarray:
    """-p log2 p, the terms of an entropy."""
    return -p * np.log2(np.where(p > 0, p, 1))


def four_units(seen: regions.Visits, label: np.ndarray, rng: Generator, draws: int = 10) -> float:
    """Shuffle-corrected information of four random PWL units on the label, mean over draws."""
    P = seen.bits.shape[1]
    chosen = [rng.permutation(P)[:4] for _ in range(draws if P > 4 else 1)]
    return float(np.mean([regions.information(seen, label, u.tolist(), shuffles=2).corrected for u in chosen]))


def units(net: ALRNN, z: torch.Tensor, trials: Batch, rng: Generator) -> dict[str, float]:
    """Of the task variances of PWL and linear units."""
    linear, inside = net.hidden_size - net.nonlinear_size, trials.info["epoch"].numpy() > 0
    task, output = trials.info["task"].numpy(), outputs(net, z)
    pwl = task_variance(output[..., linear:], task, inside)
    best, null = clusters(pwl.T), [clusters(rng.permuted(pwl.T, axis=1))[1] for _ in range(5)]
    plain = task_variance(output[..., :linear], task, inside) if linear else np.zeros((len(NAMES), 0))
    return {
        "tasks_pwl": _mean(participation(pwl)),
        "tasks_linear": _mean(participation(plain)),
        "used_pwl": pwl.shape[1] / net.nonlinear_size,
        "clusters_pwl": best[0],
        "silhouette_pwl": best[1],
        "silhouette_null": float(np.mean(null)),
    }


def outputs(net: ALRNN, z: torch.Tensor) -> np.ndarray:
    """What units hand on: max(z, 0) of PWL units, the last, and z of the others."""
    output = z.double().numpy().copy()
    np.maximum(pwl := output[..., net.hidden_size - net.nonlinear_size :], 0, out=pwl)
    return output


def task_variance(output: np.ndarray, task: np.ndarray, inside: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """How much each unit varies in each task, as a share of its largest variance, (tasks, units that vary).

    It is the variance over trials at each step, counted from go, mean over the steps at which half of a task's trials,
    or more, have begun. Units whose largest variance is below `least` of the most variable unit's are left out.

    Args:
        output: (n, T, units), go being at the same step in all. task (n,): its number. inside (n, T): the trial is on.
    """
    rows = []
    for k in np.unique(task):
        there = inside[task == k]
        steps = there.mean(0) >= 0.5
        x, w = output[task == k][:, steps], there[:, steps, None]
        w = w / w.sum(0)
        rows.append(((x - (x * w).sum(0)) ** 2 * w).sum(0).mean(0))
    variance = np.array(rows)
    top = variance.max(0)
    used = (top > 0) & (top >= least * top.max())
    return variance[:, used] / top[used]


def participation(x: np.ndarray) -> np.ndarray:
    """Of the first axis (n) in each column: sum^2 / (n sum of squares), 1 if all take part alike, 1/n if one does."""
    with np.errstate(invalid="ignore"):
        return x.sum(0) ** 2 / (len(x) * (x**2).sum(0))


def clusters(x: np.ndarray, most: int = 15, least: int = 5) -> tuple[float, float]:
    """The number of clusters of points x (n, dims) with the best mean silhouette, and this; NaN of too few points.

    The clusters are Ward's, cut at 2, 3, ... `most` clusters, and below n.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(x) < least:
        return np.nan, np.nan
    tree, apart = linkage(x, "ward"), np.linalg.norm(x[:, None] - x, axis=2)
    found = [(silhouette(apart, fcluster(tree, k, "maxclust")), k) for k in range(2, min(most, len(x) - 1) + 1)]
    best = max(found, key=lambda pair: pair[0])
    return float(best[1]), best[0]


def silhouette(apart: np.ndarray, label: np.ndarray) -> float:
    """Mean of (b - a) / max(a, b): a, b are a point's mean distances to its own and to the next cluster; 0 if alone."""
    names, which = np.unique(label, return_inverse=True)
    if len(names) < 2:
        return 0.0
    member = np.eye(len(names))[which]
    total, many, row = apart @ member, member.sum(0), np.arange(len(label))
    own = total[row, which] / np.maximum(many[which] - 1, 1)
    other = np.where(member > 0, np.inf, total / many).min(1)
    size = np.maximum(own, other)
    return float(np.where((many[which] > 1) & (size > 0), (other - own) / np.where(size > 0, size, 1), 0.0).mean())


def rest(net: ALRNN, z: torch.Tensor, trials: Batch, rng: Generator, many: int = 20) -> dict[str, float]:
    """Where `many` trials of each task with a delay end, if the inputs of delay or response stay."""
    epoch, task = trials.info["epoch"].numpy(), trials.info["task"].numpy()
    found: dict[str, float] = {}
    for period, before in (("delay", "delay"), ("response", None)):
        starts, s = [], np.zeros((len(WAITING), net.input_size))
        for row, name in zip(s, WAITING, strict=True):
            mine = rng.permutation(np.flatnonzero(task == NAMES.index(name)))[:many]
            starts.append(z[mine, last_step(epoch[mine], before)].double().numpy())
            row[0], row[5 + NAMES.index(name)] = period == "delay", 1
        said = np.array(ends(regions.Map.of(net), np.stack(starts), s))
        found |= {f"{what}_{period}": _mean(x) for what, x in zip(("points", "fixed", "away"), said.T, strict=True)}
    return found


def last_step(epoch: np.ndarray, period: str | None) -> np.ndarray:
    """The last step of a period in each trial; None: the last before go."""
    inside = epoch == EPOCHS.index(period) if period else epoch < EPOCHS.index("response")
    return epoch.shape[1] - 1 - inside[:, ::-1].argmax(1)


def ends(m: regions.Map, z: np.ndarray, s: np.ndarray, steps: int = 1000) -> list[tuple[float, float, float]]:
    """Where starts z (groups, n, M) end under constant inputs s (groups, N).

    For each group: in how many places (NaN if all run away), the share that ends at a fixed point, the share that runs
    away. A place is the mean of the last tenth of the steps; places nearer than a tenth of the starts' spread (root
    mean square) are one. A start ends at a fixed point if the region where it is last holds one that attracts, to the
    last bit, nearer than that. It runs away if it gets 1,000 times further out than the farthest start.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    drive, here = np.stack([m.drive(row) for row in s])[:, None], z
    far, places, away, found = 1e3 * max(1.0, np.abs(z).max()), np.zeros_like(z), np.zeros(z.shape[:2], bool), []
    for t in range(steps):
        here = m.step(here, drive)
        away |= np.abs(here).max(2) > far
        here = np.where(away[..., None], 0.0, here)
        places += here * (t >= steps - steps // 10) / (steps // 10)
    for k, stays in enumerate(~away):
        gap = 0.1 * max(float(np.linalg.norm(z[k].std(0))), 1e-6)
        end, place, at = here[k, stays], places[k, stays], np.zeros(stays.sum(), bool)
        tree = linkage(place, "complete") if len(place) > 1 else None
        count = len(place) if tree is None else fcluster(tree, gap, "distance").max()
        bits = m.bits(end)
        for point in regions.fixed_points(m, s[k], np.unique(bits, axis=0), virtual=False) if len(end) else ():
            at |= point.attracting & (bits == point.bits).all(1) & (np.linalg.norm(end - point.z, axis=1) < gap)
        found.append((float(count) or np.nan, at.sum() / len(stays), 1 - float(stays.mean())))
    return found


def memory(z: torch.Tensor, trials: Batch) -> dict[str, float]:
    """Of the planes of the states at the end of the delay."""
    epoch, task, planes = trials.info["epoch"].numpy(), trials.info["task"].numpy(), {}
    for name in WAITING:
        mine = np.flatnonzero(task == NAMES.index(name))
        planes[name] = plane(z[mine, last_step(epoch[mine], "delay")].double().numpy())
    same = {pair: plane_overlap(planes[pair[0]], planes[pair[1]]) for pair in combinations(WAITING, 2)}
    return {
        "memory_pairs": float(np.mean([same[pair] for pair in PAIRS])),
        "memory_others": float(np.mean([x for pair, x in same.items() if pair not in PAIRS])),
    }


def plane(z: np.ndarray) -> np.ndarray:
    """The two first principal axes of states z (n, M), (2, M)."""
    return regions.principal_components(z, 2).axes


def plane_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared cosine between two planes, each of two orthonormal rows: 1 for one plane, 0 for orthogonal ones."""
    return float(((a @ b.T) ** 2).sum() / 2)


def lesions(
    net: ALRNN, z: torch.Tensor, task: Suite, trials: Batch, rng: Generator, draws: int = 4
) -> dict[str, float]:
    """What freezing one PWL unit, a quarter of them, or as many linear units costs, and how that spreads over tasks."""
    P, few = net.nonlinear_size, trials[:FEW]
    linear, quarter = net.hidden_size - P, max(1, P // 4)
    level = outputs(net, z)[trials.info["epoch"].numpy() > 0].mean(0)
    sets = {
        "one": [linear + rng.permutation(P)[:1] for _ in range(draws)],
        "quarter": [linear + rng.permutation(P)[:quarter] for _ in range(draws)],
        "linear": [rng.permutation(linear)[:quarter] for _ in range(draws if linear >= quarter else 0)],
    }
    cut = [freeze(net, which, level) for several in sets.values() for which in several]
    right = task.right(Ensemble([net, *cut])(few.s)[0], few).double().numpy()
    label = few.info["task"].numpy()
    score = np.stack([right[:, label == k].mean(1) for k in range(len(NAMES))])  # (11, 1 + nets)
    loss, found = np.clip(score[:, :1] - score[:, 1:], 0, None), {}
    for what, several in sets.items():
        mine, loss = loss[:, : len(several)], loss[:, len(several) :]
        found[f"drop_{what}"] = _mean(mine)
        found[f"spread_{what}"] = _mean(participation(mine[:, mine.sum(0) > HURT]))
    return found


def freeze(net: ALRNN, which: np.ndarray, level: np.ndarray) -> ALRNN:
    """As `regions.freeze`, of several units of the state, 0..M-1, linear ones, too: W reads their `level` instead."""
    frozen, some = net.copy(), torch.as_tensor(which)
    frozen.h.data += frozen.W.data[:, some] @ torch.as_tensor(level[which]).to(net.W)
    frozen.W.data[:, some] = 0
    return frozen


def _mean(x: np.ndarray) -> float:
    """Of the numbers that are there; NaN of none."""
    there = x[~np.isnan(x)]
    return float(there.mean()) if there.size else np.nan


if __name__ == "__main__":
    command(__doc__, {"all": lambda: pieces(Suite())})
