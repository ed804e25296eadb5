"""Optimizers, as functions that return the updates of a training step, and what goes with them."""

from .compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from .compiler.graph.gradient_transforms import (
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    global_norm,
    l1,
    l2,
    polyak,
    weight_decay,
)
from .compiler.graph.optimizers import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    lion,
    momentum,
    nadam,
    nesterov,
    rmsprop,
    sgd,
)
from .compiler.graph.parameters import state

__all__ = [
    "adadelta", "adagrad", "adam", "adamax", "adamw", "clip_by_global_norm", "clip_by_norm", "clip_by_value",
    "global_norm", "l1", "l2", "lion", "momentum", "nadam", "nesterov", "polyak", "rmsprop", "sgd", "state",
    "weight_decay",
]  # fmt: skip
