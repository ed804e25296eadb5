"""Optimizers, as functions that return the updates of a training step, and what goes with them.

    updates = weft.optimizers.adam(cost, params, learning_rate=1e-3)
    step = weft.function(inputs, cost, updates=updates)

All take a scalar cost or a list of gradients; shared variables as parameters; and a learning rate: a number, a scalar
variable (a shared one is set between calls), a list of one for each parameter, or a mapping {parameter: rate} with
"default" for the others. They return {shared variable: new value}: the parameters, and the state, which `state` lists
by name.
"""

from .compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from .compiler.graph.gradient_transforms import (
    accumulate,
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
from .compiler.graph.told import tell_names as _tell_names

_tell_names(globals(), __name__, line_only=True)

__all__ = [
    "accumulate", "adadelta", "adagrad", "adam", "adamax", "adamw", "clip_by_global_norm", "clip_by_norm",
    "clip_by_value", "global_norm", "l1", "l2", "lion", "momentum", "nadam", "nesterov", "polyak", "rmsprop", "sgd",
    "state", "weight_decay",
]  # fmt: skip
