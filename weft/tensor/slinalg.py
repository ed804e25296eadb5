"""Linear algebra under Theano's names."""

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.linalg import cholesky, solve_lower_triangular, solve_triangular, solve_upper_triangular
from ..compiler.graph.told import tell_names as _tell_names

_tell_names(globals(), __name__)

__all__ = ["cholesky", "solve_lower_triangular", "solve_triangular", "solve_upper_triangular"]
