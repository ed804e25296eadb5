"""Compiled functions under Theano's names."""

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.function import In, Out, function
from ..compiler.graph.shared import SharedVariable, shared
from ..runtime.callable import CompiledFunction
from . import nanguardmode, ops
from .ops import as_op

__all__ = [
    "CompiledFunction", "In", "Out", "SharedVariable", "as_op", "function", "nanguardmode", "ops", "shared",
]  # fmt: skip
