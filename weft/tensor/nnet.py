"""Functions of neural networks, under Theano's names."""

from ..compiler.graph.math import relu, sigmoid, softplus
from ..compiler.graph.nnet import (
    binary_crossentropy,
    categorical_crossentropy,
    conv1d,
    conv2d,
    elu,
    hard_sigmoid,
    logsoftmax,
    softmax,
    softsign,
)
from ..compiler.graph.told import tell_names as _tell_names

ultra_fast_sigmoid = sigmoid  # Theano approximates it; here it is the sigmoid

_tell_names(globals(), __name__)

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "conv1d", "conv2d", "elu", "hard_sigmoid", "logsoftmax",
    "relu", "sigmoid", "softmax", "softplus", "softsign", "ultra_fast_sigmoid",
]  # fmt: skip
