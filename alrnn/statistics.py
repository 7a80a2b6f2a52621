"""Statistics over seeds, under a short name; they stand in `alrnn.experiments.statistics`."""

from .experiments.statistics import *  # noqa: F403
