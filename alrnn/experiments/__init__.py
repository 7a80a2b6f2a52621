"""The full-size experiments behind `data/results/`, one row a net, stopped and resumed at will."""

from . import statistics
from .answers import answers
from .catalogue import EXPERIMENTS, SEEDS, Experiment, image_angles, variants
from .run import IncompleteError, run
from .study import STARTS, Study, study
from .table import merge, read

__all__ = ["EXPERIMENTS", "SEEDS", "Experiment", "IncompleteError", "answers", "image_angles", "merge"]
__all__ += ["STARTS", "Study", "read", "run", "statistics", "study", "variants"]
__dir__ = __all__.copy  # dir() shows what is public
