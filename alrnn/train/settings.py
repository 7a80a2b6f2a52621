"""The settings of training: their defaults, what is refused, and what follows from them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal, TypedDict

import numpy as np
from torch import Tensor

from ..checks import fingerprint, integer
from ..nets import Net


class Settings(TypedDict, total=False):
    """The settings of `fit` that decide how a net comes out."""

    steps: int
    batch_size: int
    lr: float | Sequence[float]
    warmup: float
    schedule: Literal["cosine", "constant"]
    clip: float
    tau: float
    regularised: int | None
    window: int | None
    start_noise: float


DEFAULTS: Settings = {
    "steps": 1000,
    "batch_size": 64,
    "lr": 5e-3,
    "warmup": 0.05,
    "schedule": "cosine",
    "clip": 0.1,
    "tau": 0.0,
    "regularised": None,
    "window": None,
    "start_noise": 0.0,
}


def text(value: Any) -> Any:
    """A setting as a table has it: numbers and text as they are, lists as text, arrays by shape and hash."""
    if isinstance(value, (Tensor, np.ndarray)):
        return fingerprint(value)
    if isinstance(value, (tuple, list)):
        return str(tuple(text(v) for v in value))
    if isinstance(value, Mapping):
        return str({name: text(v) for name, v in value.items()})
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return value
    return re.sub(" at 0x[0-9a-f]+", "", str(value))  # where something lies in memory is not what it is


def share(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Share of the peak learning rate at this step: a linear rise, then constant or a half cosine to 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 1.0 if schedule == "constant" else (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def regularised_units(units: int | None, M: int) -> int:
    """On how many of M units the penalty is."""
    return M // 2 if units is None else integer("regularised", units, 0, M, "hidden_size")


def check_settings(nets: Sequence[Net], given: Settings) -> dict[str, Any]:
    """All settings of `fit` that decide how nets come out, those not given by default; refused if out of range."""
    if unknown := given.keys() - DEFAULTS.keys():
        raise TypeError(f"fit has no settings {', '.join(sorted(unknown))}")
    used: dict[str, Any] = {**DEFAULTS, **given}
    for name in ("steps", "batch_size"):
        used[name] = integer(name, used[name], 1)
    rates: Any = [used["lr"]] if isinstance(used["lr"], Real) else used["lr"]
    if isinstance(rates, str) or not isinstance(rates, Sequence | np.ndarray) or len(rates) not in (1, len(nets)):
        raise ValueError(f"lr must be a number, or one for each of the {len(nets)} nets, got {used['lr']!r}")
    numbers = [("lr", rate) for rate in rates] + [
        (name, used[name]) for name in ("clip", "tau", "warmup", "start_noise")
    ]
    for name, value in numbers:
        if not isinstance(value, Real):
            raise ValueError(f"{name} must be a number, got {value!r}")
    used["lr"] = float(rates[0]) if len(rates) == 1 else [float(rate) for rate in rates]
    if not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"lr must be above 0 and finite, got {used['lr']!r}")
    if not used["clip"] > 0:
        raise ValueError(f"clip must be above 0, got {used['clip']!r}")
    if not 0 <= used["tau"] < math.inf:
        raise ValueError(f"tau must be at least 0 and finite, got {used['tau']!r}")
    if not 0 <= used["start_noise"] < math.inf:
        raise ValueError(f"start_noise must be at least 0 and finite, got {used['start_noise']!r}")
    if used["tau"] > 0 and not nets[0].maps:
        raise ValueError(f"tau is for nets with an almost-linear recurrence, {type(nets[0]).__name__} has none")
    if used["start_noise"] > 0 and nets[0].maps != ("",):
        raise ValueError(f"start_noise is for nets with one almost-linear recurrence, not {type(nets[0]).__name__}")
    if not 0 <= used["warmup"] <= 1:
        raise ValueError(f"warmup must be between 0 and 1, got {used['warmup']!r}")
    if used["schedule"] not in ("cosine", "constant"):
        raise ValueError(f"schedule must be one of ('cosine', 'constant'), got {used['schedule']!r}")
    if used["window"] is not None:
        used["window"] = integer("window", used["window"], 1)
    regularised_units(used["regularised"], nets[0].hidden_size)
    return used
