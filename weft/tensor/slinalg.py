"""Linear algebra under Theano's names."""

from ..compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ..compiler.graph.linalg import cholesky, solve_lower_triangular, solve_triangular, solve_upper_triangular

__all__ = ["cholesky", "solve_lower_triangular", "solve_triangular", "solve_upper_triangular"]
