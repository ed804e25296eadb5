"""Random streams under Theano's name."""

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.random import RandomStreams

__all__ = ["RandomStreams"]
