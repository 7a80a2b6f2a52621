"""The tasks, one file each: what is sampled, the target, the loss, the score, the chance level."""

from .adding import Adding
from .arrays import Arrays
from .base import Batch, Recorded, Task
from .context import RuleInversion, TwoModality
from .copy import FixedCopy, VariableCopy
from .fixed import Fixed
from .language import Characters, Words, generate, places
from .losses import Head, Score
from .scan import SCAN
from .sentiment import GeneratedSentiment, Sentiment
from .smnist import SequentialMNIST
from .spoken import SpokenDigits
from .suite import Suite
from .two_step import TwoStep

__all__ = [
    "Adding",
    "Arrays",
    "Batch",
    "Characters",
    "Fixed",
    "FixedCopy",
    "GeneratedSentiment",
    "Head",
    "Recorded",
    "RuleInversion",
    "SCAN",
    "Score",
    "Sentiment",
    "SequentialMNIST",
    "SpokenDigits",
    "Suite",
    "Task",
    "TwoModality",
    "TwoStep",
    "VariableCopy",
    "Words",
    "generate",
    "places",
]
__dir__ = __all__.copy  # dir() shows what is public
