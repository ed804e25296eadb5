"""Operations under Theano's names: `as_op` makes one of a Python function."""

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.host import FromFunctionOp, as_op
from ..compiler.graph.shaping import shape, shape_i

__all__ = ["FromFunctionOp", "as_op", "shape", "shape_i"]
