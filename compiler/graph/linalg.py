"""Library operations of linear algebra on Variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...runtime.errors import ArgumentError, ShapeError
from ..ir.dtypes import DTYPES, promote
from .tensor import as_tensor_variable, cast
from .variable import op1

if TYPE_CHECKING:
    from .operators import TensorVariable


def _real(x: Any) -> TensorVariable:
    """float32 or float64, which is what the routines work in."""
    if x.dtype in ("float32", "float64"):
        return x
    return cast(x, "float32" if DTYPES[x.dtype].kind == "f" else "float64")


def cholesky(a: Any, lower: bool = True) -> TensorVariable:
    """The lower L with L L' = a, or (lower=False) the upper U with U' U = a. Of the symmetric a that triangle is read.

    A matrix that is not positive definite is an error of the call, NumericalError.
    """
    a = _real(as_tensor_variable(a))
    if a.ndim != 2:
        raise ShapeError(f"cholesky takes a matrix; {a.describe()} has {a.ndim} dimensions")
    if lower:
        return op1("cholesky", a)
    return op1("dimshuffle", op1("cholesky", op1("dimshuffle", a, order=(1, 0))), order=(1, 0))


def solve_triangular(a: Any, b: Any, lower: bool = False, trans: Any = 0) -> TensorVariable:
    """x with a x = b (trans: a' x = b) for a triangular a, whose other triangle is not read. b: vector or matrix."""
    a, b = _real(as_tensor_variable(a)), _real(as_tensor_variable(b))
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise ShapeError(f"solve_triangular takes a matrix and a vector or matrix, not {a.ndim} and {b.ndim} axes")
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ArgumentError(f"solve_triangular: trans is 0 or 'N', 1 or 'T', or 2 or 'C', not {trans!r}")
    dtype = promote(a.dtype, b.dtype)
    a, b = cast(a, dtype), cast(b, dtype)
    columns = op1("dimshuffle", b, order=(0, "x")) if b.ndim == 1 else b
    turned = trans in (1, 2, "T", "C")  # "C" conjugates as well, which changes no real number
    x = op1("solve_triangular", a, columns, lower=bool(lower), trans=turned)
    return op1("dimshuffle", x, order=(0,)) if b.ndim == 1 else x


def solve_lower_triangular(a: Any, b: Any) -> TensorVariable:
    """x with a x = b for a lower triangular a."""
    return solve_triangular(a, b, lower=True)


def solve_upper_triangular(a: Any, b: Any) -> TensorVariable:
    """x with a x = b for an upper triangular a."""
    return solve_triangular(a, b, lower=False)


__all__ = ["cholesky", "solve_lower_triangular", "solve_triangular", "solve_upper_triangular"]
