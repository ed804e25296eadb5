"""Training: minibatches, schedules, the loop, callbacks, checkpoints (docs/training.md)."""

from .runtime.training import schedules
from .runtime.training.callbacks import Callback, Checkpoints, EarlyStopping, JsonLines, Log
from .runtime.training.data import Batches, Iterated, Numbers, Prefetched
from .runtime.training.loop import Evaluation, Trainer
from .runtime.training.progress import Progress

__all__ = [
    "Batches", "Callback", "Checkpoints", "EarlyStopping", "Evaluation", "Iterated", "JsonLines", "Log", "Numbers",
    "Prefetched", "Progress", "Trainer", "schedules",
]  # fmt: skip
