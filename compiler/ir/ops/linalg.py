"""Products, sparse products, and library operations of linear algebra."""

from __future__ import annotations

from ....runtime.errors import DTypeError, ShapeError
from .. import lengths
from ..dtypes import DTYPES
from ..node import Check, Typed, bound_length, define
from ..types import TensorType
from .common import dense, equal, one_of, rank, same_dtype, scalars, sizes


@define("dot", "procedural", strided_inputs=(0, 1), by_types=True)
def dot(inputs, attrs):
    """Matrix and vector products: both arguments have 1 or 2 dimensions."""
    a, b = inputs
    dense("dot", a, b)
    dtype = same_dtype("dot", inputs)
    if dtype == "bool":
        raise DTypeError("dot is not defined for bool")
    if not (1 <= a.type.ndim <= 2 and 1 <= b.type.ndim <= 2):
        raise ShapeError(f"dot of {a.type.ndim} and {b.type.ndim} dimensions")
    checks = equal(a.type.axes[-1], b.type.axes[0], "inner lengths of dot")
    return Typed(TensorType(dtype, a.type.axes[:-1] + b.type.axes[1:]), checks)


@define("batched_dot", "procedural", strided_inputs=(0, 1))
def batched_dot(inputs, attrs):
    """The products of the matrices a[i] and b[i]; an axis of length 1 does not stretch."""
    a, b = inputs
    dense("batched_dot", a, b)
    dtype = same_dtype("batched_dot", inputs)
    if dtype == "bool":
        raise DTypeError("batched_dot is not defined for bool")
    rank("batched_dot", a, 3)
    rank("batched_dot", b, 3)
    checks = equal(a.type.axes[0], b.type.axes[0], "batch lengths of batched_dot")
    checks += equal(a.type.axes[2], b.type.axes[1], "inner lengths of batched_dot")
    return Typed(TensorType(dtype, (*a.type.axes[:2], b.type.axes[2])), checks)


def _square(op: str, a) -> tuple[Check, ...]:
    rank(op, a, 2)
    if a.type.dtype not in ("float32", "float64"):
        raise DTypeError(f"{op} is defined for float32 and float64, not {a.type.dtype}")
    return equal(a.type.axes[0], a.type.axes[1], f"rows and columns of the argument of {op}")


@define("cholesky", "procedural", library="LAPACK", may_fail=True)
def cholesky(inputs, attrs):
    """The lower L with L L' = a; reads the lower triangle; an error of the call if a is not positive definite."""
    (a,) = inputs
    dense("cholesky", a)
    return Typed(a.type, _square("cholesky", a))


@define("solve_triangular", "procedural", library="LAPACK")
def solve_triangular(inputs, attrs):
    """x with op(a) x = b for a triangular a (`lower`) and op the transposition if `trans`; b is a matrix."""
    a, b = inputs
    dense("solve_triangular", a, b)
    same_dtype("solve_triangular", inputs)
    rank("solve_triangular", b, 2)
    checks = _square("solve_triangular", a) + equal(a.type.axes[1], b.type.axes[0], "inner lengths of solve_triangular")
    return Typed(b.type, checks)


@define("csr", "structure")
def csr(inputs, attrs):
    """csr(data, indices, indptr, columns): a sparse matrix in compressed rows; indptr has an element more than rows."""
    data, indices, indptr, columns = inputs
    checks = _csr_operands("csr", data, indices, indptr)
    scalars("csr", columns)
    rows = lengths.sub(indptr.type.axes[0], lengths.const(1))
    n = lengths.normal(columns)
    return Typed(TensorType(data.type.dtype, (rows, n), "csr"), checks + sizes((n,), "columns of a sparse matrix"))


@define("csr_part", "structure")
def csr_part(inputs, attrs):
    """data (part 0), indices (1) or indptr (2) of a csr matrix."""
    (x,) = inputs
    part = attrs["part"]
    one_of("csr_part", "part", part, (0, 1, 2))
    if x.type.kind != "csr":
        raise DTypeError(f"csr_part of {x.type}")
    if x.op == "csr":
        return x.inputs[part].type
    if part == 2:
        return TensorType("int32", (lengths.add(x.type.axes[0], lengths.const(1)),))
    nnz = bound_length("csr_part", inputs, (), 0)  # no attributes: data and indices have one length
    return TensorType(x.type.dtype if part == 0 else "int32", (nnz,))


def _csr_operands(op: str, data, indices, indptr) -> tuple[Check, ...]:
    dense(op, data, indices, indptr)
    rank(op, data, 1)
    _csr_places(op, indices, indptr)
    if data.type.dtype not in DTYPES or data.type.dtype == "bool":
        raise DTypeError(f"{op} is not defined for {data.type.dtype}")
    return equal(data.type.axes[0], indices.type.axes[0], "lengths of data and indices")


def _csr_places(op: str, indices, indptr) -> None:
    for n in (indices, indptr):
        rank(op, n, 1)
    if same_dtype(op, (indices, indptr)) not in ("int32", "int64"):
        raise DTypeError(f"{op} takes int32 or int64 indices, not {indices.type.dtype}")


@define("csr_dot", "procedural", host_inputs=(4,), may_fail=True)
def csr_dot(inputs, attrs):
    """csr_dot(data, indices, indptr, b, columns): the sparse matrix times the dense b, each row's terms in stored
    order."""
    data, indices, indptr, b, columns = inputs
    checks = _csr_operands("csr_dot", data, indices, indptr)
    same_dtype("csr_dot", (data, b))
    rank("csr_dot", b, 2)
    scalars("csr_dot", columns)
    checks += equal(lengths.normal(columns), b.type.axes[0], "inner lengths of a sparse product")
    rows = lengths.sub(indptr.type.axes[0], lengths.const(1))
    return Typed(TensorType(b.type.dtype, (rows, b.type.axes[1])), checks)


@define("csr_dot_t", "procedural", host_inputs=(4,), may_fail=True)
def csr_dot_t(inputs, attrs):
    """csr_dot_t(data, indices, indptr, g, columns): the transpose of the sparse matrix times the dense g."""
    data, indices, indptr, g, columns = inputs
    checks = _csr_operands("csr_dot_t", data, indices, indptr)
    same_dtype("csr_dot_t", (data, g))
    rank("csr_dot_t", g, 2)
    scalars("csr_dot_t", columns)
    rows = lengths.sub(indptr.type.axes[0], lengths.const(1))
    checks += equal(rows, g.type.axes[0], "inner lengths of a sparse product")
    n = lengths.normal(columns)
    checks += sizes((n,), "columns of a sparse matrix")
    return Typed(TensorType(g.type.dtype, (n, g.type.axes[1])), checks)


@define("csr_sample", "procedural", may_fail=True)
def csr_sample(inputs, attrs):
    """csr_sample(indices, indptr, g, b): for each stored place (r, c), the dot product of g[r] and b[c]."""
    indices, indptr, g, b = inputs
    dense("csr_sample", indices, indptr, g, b)
    dtype = same_dtype("csr_sample", (g, b))
    _csr_places("csr_sample", indices, indptr)
    rank("csr_sample", g, 2)
    rank("csr_sample", b, 2)
    checks = equal(g.type.axes[1], b.type.axes[1], "columns of the dense arguments of csr_sample")
    return Typed(TensorType(dtype, indices.type.axes), checks)
