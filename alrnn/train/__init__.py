"""One loop: how nets are trained and scored, what is minimised, and when training stops."""

from .history import DivergedError, History
from .objective import manifold_attractor
from .scoring import evaluate, scores
from .settings import Settings
from .stopping import EarlyStopping
from .trainer import Trainer, fit

__all__ = ["DivergedError", "EarlyStopping", "History", "Settings", "Trainer", "evaluate", "fit", "manifold_attractor"]
__all__ += ["scores"]
__dir__ = __all__.copy  # dir() shows what is public
