"""The choices of two macaques in a two-step task, trial by trial."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from .fetch import DataError, obtain
from .registry import REGISTRY

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("TrialType", "PicChosen1", "Transition", "PicChosen2", "LevelRew2")


def two_step() -> pd.DataFrame:
    """One row a trial that was completed, in order (Miranda et al. 2025).

    animal: 0 or 1. session: a number, no two sessions share one. trial: from 0 in each session. choice: which picture
    was chosen first, -1 or 1. transition: 1 common, -1 rare. state: the second stage, choice times transition.
    picture: which of the state's two pictures was chosen, -1 or 1. reward: 1, 0 or -1, high, middle or low. free:
    whether there were two pictures to choose from at the first stage.

    Raises:
        DataError: the file cannot be had, is not the registered one, or cannot be read.
    """
    import pandas as pd
    from scipy.io import loadmat

    path, content = obtain("two-step", REGISTRY["two-step"].files[0])
    try:
        animals = loadmat(io.BytesIO(content))["PreparedData"]
        sessions = [(a, np.squeeze(one)[()]) for a, animal in enumerate(animals) for one in np.ravel(animal[0])]
        tables = [_session(a, number, fields) for number, (a, fields) in enumerate(sessions)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"two-step: {path} cannot be read as sessions of choices: {error}") from error
    return pd.concat(tables, ignore_index=True)


def _session(animal: int, number: int, fields: Any) -> pd.DataFrame:
    import pandas as pd

    raw = {name: np.ravel(fields[name]).astype(float) for name in FIELDS}
    choice = np.where(raw["PicChosen1"] == 1, 1, -1)
    transition = np.where(raw["Transition"] == 1, 1, -1)
    return pd.DataFrame(
        {
            "animal": animal,
            "session": number,
            "trial": np.arange(len(choice)),
            "choice": choice,
            "transition": transition,
            "state": choice * transition,
            "picture": np.where(np.isin(raw["PicChosen2"], (3, 5)), 1, -1),
            "reward": (2 - raw["LevelRew2"]).astype(int),
            "free": raw["TrialType"] != 2,
        }
    )
