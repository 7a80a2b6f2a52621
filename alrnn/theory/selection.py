"""Selection of a stimulus by a rule, and a circuit whose neurons' spikes are simulated: P known, at any size."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..nets import ALRNN
from ..tasks import Arrays
from .affine import _net

__all__ = ["selecting_net", "simulate_spikes"]

BIN, RULE, STIMULI, BINS = 0.05, 4, 14, 40  # seconds; when the rule and the stimuli come; bins a trial


def selecting_net(
    units: int = 29, strength: float = 0.5, gated: bool = True, rate: float = 5.0, seed: int = 0
) -> ALRNN:
    r"""M = 6, P = 1: a rule selects one of two stimuli; the log-rates of `units` neurons follow the states.

    Inputs: rule c = +-1, a 1 with it, stimuli s_1, s_2 = +-1; each for one bin. The stimulus that counts is
    (s_1 + s_2) / 2 + c x with x = (s_1 - s_2) / 2, and c x = |x + c| - 1: one kink. Units: the rule held, the 1 held,
    the stimulus selected (a time constant of 20 bins), both stimuli's sum (10 bins), their difference (5 bins), and
    the PWL unit x + c. Not gated, P = 0: the selected stimulus lacks c x.

    Args:
        strength: standard deviation, over neurons, of the weight of the selected stimulus in a log-rate; the others
            have .25. rate: spikes a second at rest.
    """
    if units < 1 or not 0 <= strength < math.inf or not 0 < rate < math.inf:
        raise ValueError(f"wanted units >= 1, strength >= 0, rate > 0, got {units}, {strength}, {rate}")
    slow, middle, fast = (math.exp(-1 / tau) for tau in (20, 10, 5))
    kink = 1.0 if gated else 0.0
    #       rule  one  selected  sum  difference  kink
    W = [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [-kink, -kink, slow, 0, 0, 2 * kink]]
    W += [[0, 0, 0, middle, 0, 0], [0, 0, 0, 0, fast, 0], [1, 0, 0, 0, 0, 0]]
    now = 0.5 / slow  # enters one bin before the kink does
    C = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, now, now], [0, 0, 0.5, 0.5], [0, 0, 0.5, -0.5], [1, 0, 0.5, -0.5]]
    # |u| - 1 = 2 relu(u) - u - 1 with u = c + x, of which c and 1 are held, and x goes in as it comes
    C[2] = [0, 0, now - kink * 0.5 / slow, now + kink * 0.5 / slow]
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(units, 5)) * np.array([0.25, 0.0, strength, 0.25, 0.25])
    D = np.c_[weights, np.zeros(units)]
    b = math.log(rate * BIN) + 0.3 * rng.normal(size=units)
    return _net(P=1 if gated else 0, W=W, C=C, D=torch.from_numpy(D), b=torch.from_numpy(b))


def simulate_spikes(net: ALRNN, trials: int = 480, seed: int = 0, block: int = 16) -> Arrays:
    """Trials with a random rule and stimuli, and spike counts drawn from the net's log-rates, as a task.

    Its groups are blocks of consecutive trials. Deviance is its score; the log-rates have a known offset, log(.25).
    """
    rng = np.random.default_rng([seed, 1])
    s = np.zeros((trials, BINS, 4))
    s[:, RULE, 0], s[:, RULE, 1] = rng.choice([-1, 1], trials), 1
    s[:, STIMULI, 2:] = rng.choice([-1, 1], (trials, 2))
    with torch.no_grad():
        log_rate = net.double()(torch.from_numpy(s))[0].numpy()
    counts = rng.poisson(np.exp(log_rate)).astype(np.float32)
    return Arrays(
        list(s.astype(np.float32)),
        list(counts),
        "every",
        groups=np.arange(trials) // block,
        split=(0.1, 0.2),
        metric="deviance",
        offset=list(np.full_like(counts, math.log(0.25))),
        name="spikes",
    )
