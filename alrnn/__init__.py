"""Almost-Linear RNNs: how much nonlinearity does a sequence model need, and what for?"""

from . import datasets, recurrence, tasks
from .model import ALRNN, Ensemble, Init
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
    "sweep",
    "tasks",
]
