"""Functions of neural networks, under Theano's names."""

from ..compiler.graph.math import relu, sigmoid, softplus
from ..compiler.graph.nnet import binary_crossentropy, categorical_crossentropy, logsoftmax, softmax

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "logsoftmax", "relu", "sigmoid", "softmax", "softplus",
]  # fmt: skip
