"""The lazy conditional under Theano's names."""

from .compiler.graph.ifelse import IfElse, ifelse

__all__ = ["IfElse", "ifelse"]
