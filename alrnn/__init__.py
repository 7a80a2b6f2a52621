"""Almost-Linear RNNs: how much nonlinearity does a sequence model need, and what for?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"  # here alone: packaging reads it, and it also holds in a bare source tree

from . import datasets, nets, recurrence, regions, tasks, theory
from .crossval import cross_validate
from .nets import ALRNN, Ensemble, Init, Net, Output, Stack
from .sweep import Sweep, sweep
from .train import DivergedError, EarlyStopping, History, Trainer, evaluate, fit

if TYPE_CHECKING:
    from . import course as course
    from . import experiments, nn, statistics
    from . import explore as explore
    from . import plots as plots

__all__ = ["ALRNN", "DivergedError", "EarlyStopping", "Ensemble", "History", "Init", "Net", "Output", "Stack", "Sweep"]
__all__ += ["Trainer", "cross_validate", "datasets", "evaluate", "experiments", "fit", "nets", "nn", "recurrence"]
__all__ += ["regions", "statistics", "sweep", "tasks", "theory"]

# Imported when first asked for, as they need what would double the time of `import alrnn`. `import *` leaves out those
# that need [plots].
LATER = {"course", "experiments", "explore", "nn", "plots", "statistics"}


def __dir__() -> list[str]:
    return sorted({*__all__, *LATER})  # what is public


if not TYPE_CHECKING:  # else a checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name in LATER:
            return import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
