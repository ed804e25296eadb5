"""Sparse matrices on Variables, in compressed sparse rows.

A sparse Variable is always made of four dense ones: data, indices, indptr and the number of columns. One declared as an
input is made of four dense leaves, and a shared one of four shared variables; `function` takes and returns these parts,
so that a region holds nothing sparse but `csr` nodes whose parts are projected at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ...runtime.locks import join
from ...runtime.sparse import assemble, convert
from ...runtime.state import all_or_none
from ..ir import lengths
from ..ir.dtypes import INTEGER, check_dtype, numpy_dtype, promote, promote_all
from . import math, shaping
from .config import config
from .shared import TensorSharedVariable
from .tensor import as_tensor_variable, cast, constant
from .types import SparseType, TensorType
from .variable import Constant, Variable, op1, register_class

DATA, INDICES, INDPTR, COLUMNS = range(4)


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse Variable."""
    return isinstance(x, Variable) and x.ir_type.kind == "csr"


def csm_data(x: Any) -> Variable:
    """The stored elements."""
    return op1("csr_part", as_sparse_variable(x), part=DATA)


def csm_indices(x: Any) -> Variable:
    """The column of each stored element."""
    return op1("csr_part", as_sparse_variable(x), part=INDICES)


def csm_indptr(x: Any) -> Variable:
    """Where each row starts among the stored elements, and their number last."""
    return op1("csr_part", as_sparse_variable(x), part=INDPTR)


def csm_shape(x: Any) -> Variable:
    """The number of rows and of columns, as an int64 vector."""
    return shaping.shape(as_sparse_variable(x))


def csm_properties(x: Any) -> tuple[Variable, Variable, Variable, Variable]:
    """(data, indices, indptr, shape)."""
    return csm_data(x), csm_indices(x), csm_indptr(x), csm_shape(x)


def CSR(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """The sparse matrix with these parts. shape: rows and columns, numbers or symbolic."""
    data, indices, indptr = (as_tensor_variable(v) for v in (data, indices, indptr))
    for v, what in ((data, "data"), (indices, "indices"), (indptr, "indptr")):
        if v.ndim != 1:
            raise ShapeError(f"{what} of a sparse matrix is a vector; {v.describe()} has {v.ndim} dimensions")
        if what != "data" and v.dtype not in INTEGER:
            raise DTypeError(f"{what} of a sparse matrix holds integers; {v.describe()} is {v.dtype}")
    if indices.dtype != indptr.dtype or indices.dtype not in ("int32", "int64"):  # the two that there are routines for
        indices, indptr = cast(indices, "int64"), cast(indptr, "int64")
    both = shaping.length_arguments(shape, "the shape of a sparse matrix")
    if len(both) != 2:
        raise ShapeError(f"a sparse matrix has 2 dimensions, not {len(both)}")
    rows, columns = both
    want = lengths.add(lengths.normal(rows.node), lengths.const(1))
    if want is not indptr.ir_type.axes[0]:
        a, b = lengths.static(want), lengths.static(indptr.ir_type.axes[0])
        if a is not None and b is not None:
            raise ShapeError(f"indptr of a sparse matrix with {a - 1} rows has {a} elements, not {b}")
        indptr = op1("reshape", indptr, math.add(rows, constant(1, dtype="int64")))  # the call checks the length
    return op1("csr", data, indices, indptr, columns)


def with_data(x: Variable, data: Variable) -> SparseVariable:
    """Other stored elements in the places of x."""
    return op1("csr", data, csm_indices(x), csm_indptr(x), shaping.shape_i(x, 1))


def declared(t: SparseType, name: str | None) -> SparseVariable:
    """A sparse input: a matrix over four fresh dense leaves."""
    rows, columns = t.shape
    label = name or "sparse"
    out = CSR(
        TensorType(t.dtype, shape=(None,))(f"{label}.data"),
        TensorType("int32", shape=(None,))(f"{label}.indices"),
        indptr := TensorType("int32", shape=(None if rows is None else rows + 1,))(f"{label}.indptr"),
        (math.sub(shaping.shape_i(indptr, 0), constant(1, dtype="int64")),
         TensorType("int64", shape=())(f"{label}.columns") if columns is None else constant(columns, dtype="int64")),
    )  # fmt: skip
    out.name, out.tag.well_formed = name, True
    return out


def parts(x: Variable) -> list[Variable]:
    """The dense Variables that stand for x as an argument of a function: x itself, or the parts of a sparse matrix."""
    if not is_sparse(x):
        return [x]
    if x.owner is None or getattr(x.owner.op, "name", "") != "csr":
        raise ArgumentError(f"{x.describe()} is computed; sparse inputs are declared with weft.sparse.csr_matrix")
    for p in x.owner.inputs[:COLUMNS]:
        if isinstance(p, (Constant, TensorSharedVariable)):
            raise ArgumentError(
                f"{x.describe()} has a value already; sparse inputs are declared with weft.sparse.csr_matrix"
            )
    return [p for p in x.owner.inputs if not isinstance(p, Constant)]


def exploded(x: Variable) -> list[Variable]:
    """The parts of any sparse matrix as they leave a function: data, indices, indptr (int32), columns.

    No bad index leaves one: it is an error of the call, before anything is committed."""
    indptr = csm_indptr(x)
    if not _well_formed(x):
        indptr = shaping.concatenate([constant(np.zeros(1, np.int64)), _row_ends(x)])
    return [csm_data(x), cast(csm_indices(x), "int32"), cast(indptr, "int32"), shaping.shape_i(x, 1)]


def _well_formed(x: Variable) -> bool:
    """Whether its places are those of an argument, a constant or a shared variable, at which `convert` has looked, or
    what a dense matrix gave."""
    while x.owner is not None and not getattr(x.tag, "well_formed", False):
        makers = [p.owner for p in x.owner.inputs[INDICES:COLUMNS]]
        if any(m is None or getattr(m.op, "name", "") != "csr_part" for m in makers):
            return False
        first, second = (m.inputs[0] for m in makers)  # type: ignore[union-attr]
        if first is not second:
            return False
        x = first
    return getattr(x.tag, "well_formed", False)


def structured_dot(x: Any, y: Any) -> Any:
    """The product of a sparse matrix and a dense matrix or vector, in either order; dense."""
    if not is_sparse(x) and not is_scipy(x):
        return _dense_times_sparse(as_tensor_variable(x), as_sparse_variable(y))
    if is_sparse(y) or is_scipy(y):
        raise ArgumentError(
            "the product of two sparse matrices is not supported; make one of them dense with dense_from_sparse"
        )
    x, y = as_sparse_variable(x), as_tensor_variable(y)
    if y.ndim not in (1, 2):
        raise ShapeError(f"structured_dot of a sparse matrix and {y.describe()} with {y.ndim} dimensions")
    dtype = promote(x.dtype, y.dtype)
    y = cast(y, dtype)
    b = y if y.ndim == 2 else op1("dimshuffle", y, order=(0, "x"))
    out = op1("csr_dot", cast(csm_data(x), dtype), csm_indices(x), csm_indptr(x), b, shaping.shape_i(x, 1))
    return out if y.ndim == 2 else op1("dimshuffle", out, order=(0,))


def _dense_times_sparse(a: Variable, x: Variable) -> Variable:
    if a.ndim not in (1, 2):
        raise ShapeError(f"structured_dot of {a.describe()} with {a.ndim} dimensions and a sparse matrix")
    dtype = promote(a.dtype, x.dtype)
    a = cast(a, dtype)
    g = op1("dimshuffle", a, order=(1, 0) if a.ndim == 2 else (0, "x"))
    out = op1("csr_dot_t", cast(csm_data(x), dtype), csm_indices(x), csm_indptr(x), g, shaping.shape_i(x, 1))
    return op1("dimshuffle", out, order=(1, 0) if a.ndim == 2 else (0,))


def dot(x: Any, y: Any) -> Variable:
    """The product; at least one of the two is sparse."""
    return structured_dot(x, y)


def _row_ends(x: Variable) -> Variable:
    """Where each row ends among the stored elements: counted, not read, by a product, which looks at indices and indptr
    before it reads by them."""
    ones = shaping.ones((shaping.shape_i(csm_data(x), 0),), dtype="int64")
    columns = shaping.shape_i(x, 1)
    column = shaping.ones((columns, 1), dtype="int64")
    return math.cumsum(op1("csr_dot", ones, csm_indices(x), csm_indptr(x), column, columns)[:, 0])  # type: ignore[index]


def _row_numbers(x: Variable) -> Variable:
    """The row of each stored element: how many rows end at or before it."""
    nnz = shaping.shape_i(csm_data(x), 0)
    one = constant(1, dtype="int64")
    ends = _row_ends(x)
    marks = shaping.zeros(math.add(nnz, one), dtype="int64")
    from .indexing import inc_subtensor

    return math.cumsum(inc_subtensor(marks[ends], one))[:-1]  # type: ignore[index]


def dense_from_sparse(x: Any) -> Variable:
    """The dense matrix; places stored twice add up."""
    from .indexing import inc_subtensor

    x = as_sparse_variable(x)
    empty = shaping.zeros((shaping.shape_i(x, 0), shaping.shape_i(x, 1)), dtype=x.dtype)
    return inc_subtensor(empty[_row_numbers(x), csm_indices(x)], csm_data(x))  # type: ignore[index]


def csr_from_dense(x: Any) -> SparseVariable:
    """The nonzero elements of a dense matrix."""
    x = as_tensor_variable(x)
    if x.ndim != 2:
        raise ShapeError(f"csr_from_dense takes a matrix; {x.describe()} has {x.ndim} dimensions")
    places = x.nonzero()  # type: ignore[attr-defined]
    counts = math.cumsum(math.sum(math.neq(x, constant(0, dtype=x.dtype)), axis=1))
    indptr = shaping.concatenate([shaping.zeros((1,), dtype="int64"), counts])
    out = CSR(x[places], places[1], indptr, (shaping.shape_i(x, 0), shaping.shape_i(x, 1)))  # type: ignore[index]
    out.tag.well_formed = True
    return out


def sp_sum(x: Any, axis: int | None = None, sparse_grad: bool = False) -> Variable:
    """The sum of all elements, or along one axis."""
    x = as_sparse_variable(x)
    if axis is None:
        return math.sum(csm_data(x), dtype=x.dtype)
    if axis not in (-2, -1, 0, 1):
        raise ShapeError(f"axis {axis} of a sparse matrix, which has 2")
    one = shaping.ones((shaping.shape_i(x, 0 if axis % 2 == 0 else 1),), dtype=x.dtype)
    return structured_dot(one, x) if axis % 2 == 0 else structured_dot(x, one)


def structured(f: Callable) -> Callable:
    """A function of the stored elements only; the others stay 0."""

    def g(x: Any) -> SparseVariable:
        x = as_sparse_variable(x)
        return with_data(x, f(csm_data(x)))

    g.__doc__ = f"{getattr(f, '__name__', 'A function')} of the stored elements; the others stay 0."
    return g


structured_sigmoid, structured_exp, structured_log = (
    structured(math.sigmoid),
    structured(math.exp),
    structured(math.log),
)
structured_abs, structured_sqr, sqrt = structured(math.abs_), structured(math.sqr), structured(math.sqrt)
sp_ones_like, sp_zeros_like = structured(shaping.ones_like), structured(shaping.zeros_like)


class SparseVariable(Variable):
    """A symbolic sparse matrix."""

    __slots__ = ()
    __array_priority__ = 1000
    __array_ufunc__ = None
    format = "csr"

    @property
    def shape(self):
        return csm_shape(self)

    @property
    def data(self):
        return csm_data(self)

    indices = property(csm_indices)
    indptr = property(csm_indptr)

    def toarray(self):
        return dense_from_sparse(self)

    todense = toarray

    def dot(self, other):
        return structured_dot(self, other)

    def sum(self, axis=None, sparse_grad=False):
        return sp_sum(self, axis)

    def astype(self, dtype):
        return with_data(self, cast(csm_data(self), dtype))

    __matmul__ = dot

    def __rmatmul__(self, other):
        return structured_dot(other, self)

    def __neg__(self):
        return with_data(self, math.neg(csm_data(self)))

    def __add__(self, other):
        return self._same_places(other, math.add, "+")

    def __sub__(self, other):
        return self._same_places(other, math.sub, "-")

    def __mul__(self, other):
        """Each element times a scalar."""
        if is_sparse(other):
            return self._same_places(other, math.mul, "*")
        factor = as_tensor_variable(other)
        if factor.ndim:
            raise ArgumentError(
                "a sparse matrix times a dense tensor is not supported elementwise; dot is the matrix product"
            )
        return with_data(self, math.mul(csm_data(self), factor))

    __rmul__ = __mul__

    def __truediv__(self, other):
        divisor = as_tensor_variable(other)
        if divisor.ndim:
            raise ArgumentError("a sparse matrix divided by a dense tensor is not supported")
        return with_data(self, math.true_div(csm_data(self), divisor))

    def _same_places(self, other: Any, f: Callable, sign: str) -> SparseVariable:
        if not is_sparse(other):
            return NotImplemented
        if any(part(self).node is not part(other).node for part in (csm_indices, csm_indptr)):
            raise ArgumentError(
                f"{self.describe()} {sign} {other.describe()}: they have to store the same places"
            )
        return with_data(self, f(csm_data(self), csm_data(other)))


register_class("csr", SparseVariable)


def is_scipy(x: Any) -> bool:
    return type(x).__module__.split(".")[0] == "scipy" and hasattr(x, "tocsr")


def as_sparse_variable(x: Any, name: str | None = None) -> SparseVariable:
    """x itself, or the constant sparse matrix of a SciPy one."""
    if is_sparse(x):
        return x
    if isinstance(x, Variable):
        raise DTypeError(f"{x.describe()} is {x.type}, not a sparse matrix; csr_from_dense makes one")
    if not is_scipy(x):
        raise DTypeError(f"{x!r} is not a sparse matrix")
    data, indices, indptr, columns = convert(x, "the constant", numpy_dtype(check_dtype(x.dtype)), (None, None))
    out = CSR(constant(data), constant(indices), constant(indptr), (len(indptr) - 1, int(columns)))
    out.name, out.tag.well_formed = name, True
    return out


class SparseSharedVariable(SparseVariable):
    """A sparse matrix over four shared variables."""

    __slots__ = ()

    @property
    def shared_parts(self) -> Sequence[TensorSharedVariable]:
        assert self.owner is not None
        return self.owner.inputs  # type: ignore[return-value]

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The current value, a SciPy matrix."""
        group = join(p.container.group for p in self.shared_parts).hold()
        try:
            return assemble([p.get_value() for p in self.shared_parts])
        finally:
            group.lock.release()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replaces the value by a SciPy matrix; places and shape may change, the dtype may not."""
        new = convert(new_value, self.describe(), numpy_dtype(self.dtype), (None, None))
        group = join(p.container.group for p in self.shared_parts).hold()
        try:
            with all_or_none(p.container for p in self.shared_parts):
                for p, v in zip(self.shared_parts, new, strict=True):
                    p.set_value(v)
        finally:
            group.lock.release()


def shared_sparse(value: Any, name: str | None = None) -> SparseSharedVariable:
    """A shared variable holding a SciPy matrix."""
    label = name or "shared sparse"
    arrays = convert(value, label, numpy_dtype(check_dtype(value.dtype)), (None, None))
    made = [
        TensorSharedVariable(TensorType(check_dtype(a.dtype), shape=(None,) * a.ndim), np.array(a), f"{label}.{what}")
        for a, what in zip(arrays, ("data", "indices", "indptr", "columns"), strict=True)
    ]
    out = op1("csr", *made)
    return as_shared(out, name)


def as_shared(x: Variable, name: str | None) -> SparseSharedVariable:
    """The shared sparse variable in place of the matrix just made of its parts."""
    out = SparseSharedVariable(x.node, x.owner, 0, name)
    assert x.owner is not None
    x.owner.outputs[0] = out
    out.tag.well_formed = True
    return out


def csr_matrix(name: str | None = None, dtype: Any = None) -> SparseVariable:
    """A symbolic sparse matrix."""
    return SparseType(config.floatX if dtype is None else check_dtype(dtype), shape=(None, None))(name)


def fit(new: Any, like: Variable, what: str) -> Variable:
    """A sparse matrix in the dtype of another."""
    v = as_sparse_variable(new)
    if v.dtype != like.dtype:
        if promote_all([v.dtype, like.dtype]) != like.dtype:
            raise DTypeError(
                f"{what}: {v.describe()} has dtype {v.dtype}, which does not fit {like.dtype} without loss"
            )
        v = v.astype(like.dtype)
    for a, (have, want) in enumerate(zip(v.type.shape, like.type.shape, strict=True)):
        if want is not None and have is not None and have != want:
            raise ShapeError(f"{what}: axis {a} has length {have}, but {like.describe()} has {want} there")
    return v
