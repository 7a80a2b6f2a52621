"""The tasks, one file each: what is sampled, the target, the loss, the score, the chance level."""

from .adding import Adding
from .base import Batch, Task
from .smnist import SequentialMNIST

__all__ = ["Adding", "Batch", "SequentialMNIST", "Task"]
