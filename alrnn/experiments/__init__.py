"""The full-size experiments behind `data/results/`, one row a net, stopped and resumed at will."""

from . import statistics
from .catalogue import EXPERIMENTS, SEEDS, Experiment, image_angles
from .run import read, run

__all__ = ["EXPERIMENTS", "SEEDS", "Experiment", "image_angles", "read", "run", "statistics"]
__dir__ = __all__.copy  # dir() shows what is public
