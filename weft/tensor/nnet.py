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

ultra_fast_sigmoid = sigmoid  # Theano approximates it; here it is the sigmoid

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "conv1d", "conv2d", "elu", "hard_sigmoid", "logsoftmax",
    "relu", "sigmoid", "softmax", "softplus", "softsign", "ultra_fast_sigmoid",
]  # fmt: skip
