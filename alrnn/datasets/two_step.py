"""The choices of two macaques in a two-step task, trial by trial; and what 39 neurons of one did meanwhile."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from .fetch import DataError, obtain
from .registry import REGISTRY

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("TrialType", "PicChosen1", "Transition", "PicChosen2", "LevelRew2", "SideResp1", "SideResp2")
NAMES = "start fixation first chosen transition_on second chosen_2 feedback pump_on pump_off end".split()
EVENTS = dict(zip((9, 22, 23, 24, 25, 33, 34, 37, 39, 40, 18), NAMES, strict=True))  # by their codes


def two_step() -> pd.DataFrame:
    """One row a trial that was completed, in order (Miranda et al. 2025).

    animal: 0 or 1. session: a number, no two sessions share one. trial: from 0 in each session. choice: which picture
    was chosen first, -1 or 1. transition: 1 common, -1 rare. state: the second stage, choice times transition.
    picture: which of the state's two pictures was chosen, -1 or 1. reward: 1, 0 or -1, high, middle or low. free:
    whether there were two pictures to choose from at the first stage. place, place_2: where on the screen the first
    and the second picture that was chosen had been, from 1.

    Raises:
        DataError: the file cannot be had, is not the registered one, or cannot be read.
    """
    import pandas as pd
    from scipy.io import loadmat

    path, content = obtain("two-step", REGISTRY["two-step"].files[0])
    try:
        animals = loadmat(io.BytesIO(content))["PreparedData"]
        sessions = [(a, np.squeeze(one)[()]) for a, animal in enumerate(animals) for one in np.ravel(animal[0])]
        found = [{name: np.ravel(fields[name]).astype(float) for name in FIELDS} for _, fields in sessions]
        raw = pd.concat([pd.DataFrame(x).assign(animal=sessions[i][0], session=i) for i, x in enumerate(found)])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"two-step: {path} cannot be read as sessions of choices: {error}") from error
    table = raw.reset_index(names="trial")[["animal", "session", "trial"]]
    table["choice"], table["transition"] = (np.where(raw[name] == 1, 1, -1) for name in FIELDS[1:3])
    table["state"], table["picture"] = table.choice * table.transition, np.where(raw.PicChosen2.isin((3, 5)), 1, -1)
    table["reward"], table["free"] = 2 - raw.LevelRew2.to_numpy(int), raw.TrialType.to_numpy() != 2
    return table.assign(place=raw.SideResp1.to_numpy(int), place_2=raw.SideResp2.to_numpy(int))


def two_step_spikes() -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """One session of `two_step`, 558 trials, and the spikes of 39 neurons recorded in it (Miranda et al. 2025).

    Returns:
        trials, as in `two_step`, with the seconds of its events: start, fixation, first (the pictures are shown),
        chosen, transition_on, second, chosen_2, feedback (how high the reward is), pump_on and pump_off (juice; missing
        where there was none), end. And spikes, the seconds of each neuron's, by its name, such as "ACC 77"; one clock.

    Raises:
        DataError: as for `two_step`; or there is no pyarrow, which reads the events.
    """
    import pandas as pd

    try:
        files = REGISTRY["two-step-spikes"].files
        table, *cells = [(file.path, io.BytesIO(obtain("two-step-spikes", file)[1])) for file in files]
        codes = pd.read_parquet(table[1], engine="pyarrow").pivot(index="trial_number", columns="codes", values="times")
        events = codes[[*EVENTS]].rename(columns=EVENTS) / 1000
        spikes = {path.split("/")[2] + " " + path[-6:-4]: np.load(x, allow_pickle=False) / 1000 for path, x in cells}
    except (ImportError, EOFError, KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"two-step-spikes: cannot be read (with pip install 'alrnn[spikes]'?): {error}") from error
    return two_step().query("session == 6").reset_index(drop=True).join(events), spikes
