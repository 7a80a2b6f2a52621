"""The full-size experiments behind `data/results/`, one row a net, stopped and resumed at will."""

from . import statistics
from .catalogue import EXPERIMENTS, SEEDS, Experiment, image_angles, variants
from .run import IncompleteError, run
from .study import STARTS, Study, study
from .table import merge, read

__all__ = ["EXPERIMENTS", "SEEDS", "Experiment", "IncompleteError", "image_angles", "merge", "read", "run"]
__all__ += ["STARTS", "Study", "statistics", "study", "variants"]
__dir__ = __all__.copy  # dir() shows what is public
