"""Almost-Linear RNNs: how much nonlinearity does a sequence model need, and what for?"""

__version__ = "0.1.0"  # here alone: packaging reads it, and it also holds in a bare source tree

from . import datasets, recurrence, regions, tasks, theory
from .experiments import statistics
from .nets.almost_linear import ALRNN, Ensemble, Init
from .train import DivergedError, History, Sweep, evaluate, fit, sweep

__all__ = [
    "ALRNN",
    "DivergedError",
    "Ensemble",
    "History",
    "Init",
    "Sweep",
    "datasets",
    "evaluate",
    "fit",
    "recurrence",
    "regions",
    "statistics",
    "sweep",
    "tasks",
    "theory",
]
