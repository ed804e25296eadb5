"""Graphs as text, and an operation that prints, under Theano's names."""

from .compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from .compiler.graph.printing import Print, debugprint, min_informative_str, pp, pprint

__all__ = ["Print", "debugprint", "min_informative_str", "pp", "pprint"]
