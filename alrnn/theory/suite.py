"""The suite of eleven tasks: what a linear net can reach on pairs of tasks, and a net built by hand for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..nets import ALRNN
from ..tasks import Batch
from ..tasks.suite import NAMES, RULES
from .affine import _net, _units

__all__ = ["SuiteLimits", "suite_limits", "suite_by_hand", "suite_units"]


@dataclass(frozen=True)
class SuiteLimits:
    """Limits of linear nets, noise or not. error: mean squared distance of the direction from its target, at any step
    after go. right: the share of right trials that no linear net exceeds. silent: the error of the best constant.
    """

    error: float
    right: float
    silent: float


def suite_limits() -> dict[str, SuiteLimits]:
    r"""For two tasks that share their inputs and differ by rule, the mean over both; and for GoNoGo; and for the suite.

    Take a linear net, of any size, at some step after go. It is affine in all inputs; the rule, constant over a trial,
    adds a constant. So under the two rules of a pair it says m(x) + d and m(x) - d, x being all inputs but the rule,
    whose law is the same under both, with the same m and a constant vector d. With targets u and v, functions of the
    stimuli, and for any m whatever:

        |m + d - u|^2 + |m - d - v|^2 = 2 |m - (u + v)/2|^2 + 2 |d - (u - v)/2|^2 >= 2 |d - w|^2,   w = (u - v)/2.

    The mean over both tasks is at least Var(w) = E|w|^2, as E w = 0 in all pairs. Pro and Anti: w = u, hence 1, and the
    same for Cat and for Match: no linear net does better on a pair than one that says nothing. CtxInt: w is half the
    difference of two independent unit vectors, hence 1/2, reached by their mean.
    To be right in both tasks on the same inputs the two outputs must lie within 0.5 of u and v, so |d - w| < 0.5. Call
    the largest probability of that, over d, q; then the shares of right trials add up to at most 1 + q. Directions:
    q = 1/6. Cat and Match: w = +-1, q = 1/2. CtxInt: |w| = sin(a/2) for an angle a between the two, uniform; at d = 0
    that is below 0.5 for a < 60 degrees, q = 1/3; that no other d does better is found by search, not proved. (The
    score is of a mean over two steps, which is affine, too.)

    GoNoGo: of u [sin > 0] the best affine map of u is u/2 + (0, 1/pi), which leaves 1/4 - 1/pi^2; how often an affine
    map can be right is not bounded here, so 1.
    """
    direction, axis = (1 + 1 / 6) / 2, (1 + 1 / 2) / 2
    pairs = {
        "Delay": SuiteLimits(1.0, direction, 1.0),
        "React": SuiteLimits(1.0, direction, 1.0),
        "Cat": SuiteLimits(1.0, axis, 1.0),
        "Match": SuiteLimits(1.0, axis, 1.0),
        "CtxInt": SuiteLimits(0.5, (1 + 1 / 3) / 2, 1.0),
        "GoNoGo": SuiteLimits(1 / 4 - 1 / math.pi**2, 1.0, 1 / 2 - 1 / math.pi**2),
    }
    weight = {name: 1 if name == "GoNoGo" else 2 for name in pairs}

    def mean(field: str) -> float:
        return sum(weight[name] * getattr(limit, field) for name, limit in pairs.items()) / len(NAMES)

    return pairs | {"suite": SuiteLimits(mean("error"), mean("right"), mean("silent"))}


SCALE = 6.0  # stimuli last 4 to 8 steps: their sum over this is 2/3 to 4/3 of a unit vector
B = 16.0  # more than all that passes a gate
STEEP = 500.0  # slope of a decision
NEAR = 0.63  # match: the two stimuli, as held, are nearer than this
OFF = 1e5  # keeps a decision's units off


def suite_by_hand() -> ALRNN:
    r"""P = 10, M = 38: does the whole of `tasks.Suite`, in its default periods, in some 98% of the trials. float64.

    Four ideas, each with an offset that the rule or the fixation input adds to a PWL unit:

    (1) A gate, one unit a channel: relu(x + B - L f) - B (1 - f) is x once fixation f is 0, and 0 before, if x is
    between -B and B.

    (2) Two gates a channel, on x1 and on x2 - x1. Pro and CtxInt1 open the first, Anti the second, which says -x1, as
    it hears nothing on x2; CtxInt2 opens both: x2. The rule's offsets share out B between those that are open.

    (3) A decision, two units: relu(G v + p) - relu(G v + q) is a steep step from 0 to p - q or, where p < q, one down
    from 0; so the rule, by its offsets p and q, says for or against, how much, or (both far below 0) nothing. Cat and
    Match open both gates of x, where hardly anything is heard, and the step is what remains. In GoNoGo it shuts both
    channels and keeps the fixation output on.

    (4) What is decided: minus the stimulus's second coordinate (one unit, open in Cat and GoNoGo); or the length of the
    difference between the first stimulus and the second, as the sum of three rectified projections in directions
    120 degrees apart, which is between 0.87 and 1 times the length. The linear units tell the two stimuli apart by when
    they came: the second is the mean over three steps shortly before go, the first a sum over all that is 8 steps old.

    A stimulus is held as its sum over `SCALE` = 6, between 4/6 and 8/6 of it: within 0.5, if noise allows.
    """
    M, at = _units(
        line_x=9, line_y=9, held=4, old=2, out=3, lag=1, cat=1, norm=3, step=2, gate=4
    )  # ten PWL units, last
    W, C, h, D = (torch.zeros(M, n, dtype=torch.float64) for n in (M, 5 + len(NAMES), 1, 3))
    rule = {name: 5 + place for place, name in enumerate(NAMES)}
    _memory(W, C, at)
    _evidence(W, C, at, rule)
    _decision(W, C, at, rule)
    _gates(W, C, at, rule)
    out, lag, step = at["out"], at["lag"][0], at["step"]
    C[lag, 5:], C[lag, 0] = 1, -1  # 1 - f in the trial, a step late, as what comes through the gates
    C[out[0], 0] = 1
    W[out[0], step] = torch.tensor([1 / B, -1 / B], dtype=W.dtype)
    D[out, range(3)] = 1
    return _net(P=10, W=W, C=C, h=h[:, 0], D=D.T)


def _memory(W: torch.Tensor, C: torch.Tensor, at: dict[str, torch.Tensor]) -> None:
    """Sums of what came in on each channel; the last nine inputs on the first, and the sum of those before them."""
    W[at["held"], at["held"]] = W[at["old"], at["old"]] = 1
    C[at["held"], range(1, 5)] = 1 / SCALE
    for j, line in enumerate((at["line_x"], at["line_y"])):
        C[line[0], 1 + j] = 1
        W[line[1:], line[:-1]] = 1
        W[at["old"][j], line[-1]] = 1


def _evidence(W: torch.Tensor, C: torch.Tensor, at: dict[str, torch.Tensor], rule: dict[str, int]) -> None:
    """For Cat and GoNoGo minus y plus B, else 0; for Match the three rectified projections, else 0."""
    cat = at["cat"]
    W[cat, at["held"][1]] = -1
    C[cat, 5:] = -4 * B
    C[cat, [rule[name] for name in ("CatPro", "CatAnti", "GoNoGo")]] = B
    for k, unit in enumerate(at["norm"]):
        for line, old, part in zip((at["line_x"], at["line_y"]), at["old"], (math.cos, math.sin), strict=True):
            along = part(math.pi / 2 + 2 * math.pi * k / 3)
            W[unit, old], W[unit, line[2:5]] = along / SCALE, -along / 3
        C[unit, 5:] = -4 * B
        C[unit, [rule["Match"], rule["NonMatch"]]] = 0


def _decision(W: torch.Tensor, C: torch.Tensor, at: dict[str, torch.Tensor], rule: dict[str, int]) -> None:
    """Steps of height 2, or of B for GoNoGo: down from 0 for CatPro and Match, up for the others; after go only."""
    step = at["step"]
    W[step[:, None], torch.cat([at["cat"], at["norm"]])] = STEEP
    C[step, 0] = -OFF
    C[step, 5:] = -OFF
    for name, height in {"CatPro": -2.0, "CatAnti": 2.0, "Match": -2.0, "NonMatch": 2.0, "GoNoGo": B}.items():
        middle = NEAR if RULES[name].answer == "match" else B
        C[step, rule[name]] = torch.tensor([height / 2, -height / 2], dtype=C.dtype) - STEEP * middle


def _gates(W: torch.Tensor, C: torch.Tensor, at: dict[str, torch.Tensor], rule: dict[str, int]) -> None:
    """For each channel x_1 and x_2 - x_1, open after go as the rule says, and what goes out."""
    step, held, lag = at["step"], at["held"], at["lag"][0]
    sign = torch.tensor([1.0, -1.0], dtype=W.dtype)
    for j in range(2):
        first, second, out = *at["gate"][2 * j : 2 * j + 2], at["out"][1 + j]
        for gate, weights in ((first, (1.0, 0.0)), (second, (-1.0, 1.0))):
            for memory, channel, weight in zip((held[j], held[2 + j]), (1 + j, 3 + j), weights, strict=True):
                W[gate, memory] = weight
                C[gate, channel] = weight * 3 / SCALE  # what comes in now counts more: React has few steps
            C[gate, 0] = -4 * B
            W[out, gate] = 1
        W[first, step] = -1.5 * sign  # shuts it where the step is B; x hears of a step of 2, y does not
        W[second, step] = (1.5 - j) * sign
        W[out, step], W[out, lag] = sign, -B
        C[[first, second], 5:] = -4 * B
        for name, task in RULES.items():
            opened = {"direction": (1, 0), "go": (1, 0)}.get(task.answer, (1, 1))
            opened = (0, 1) if task.answer == "direction" and task.sign < 0 else opened
            middle = {"CatPro": 1, "Match": 1, "CatAnti": -1, "NonMatch": -1}.get(name, 0) * (1 - j)
            for gate, is_open in zip((first, second), opened, strict=True):
                C[gate, rule[name]] = (B + middle) / sum(opened) if is_open else -4 * B


def suite_units(net: ALRNN, batch: Batch) -> dict[str, list[int]]:
    """By task, the PWL units, 0..P-1, that bend there: those on at some and off at other steps of its trials.

    batch: of `tasks.Suite`. All other units are linear or silent throughout these trials, so they could be so for good.
    """
    with torch.no_grad():
        _, z = net(batch.s.to(net.W))
    on, trial, task = z[..., net.pwl] > 0, batch.info["epoch"] > 0, batch.info["task"]
    by_task = {NAMES[k]: on[task == k][trial[task == k]] for k in task.unique().tolist()}
    return {name: torch.nonzero(here.any(0) & ~here.all(0))[:, 0].tolist() for name, here in by_task.items()}
