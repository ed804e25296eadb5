"""Indexing by integer arrays, and what is known only by looking at values."""

from __future__ import annotations

from ....runtime.errors import DTypeError, ShapeError
from .. import lengths
from ..node import Check, Node, Typed, bound_length, define
from ..types import TensorType, TupleType
from .common import axis_of, dense, equal, integers, joined, one_of


def index_axes(op: str, indices: tuple[Node, ...]) -> tuple[tuple[Node, ...], tuple[Check, ...]]:
    integers(op, *indices)
    return joined(op, indices)


@define("gather", "view", virtual=False, indices_from=1, may_fail=True, said="subscript")
def gather(inputs, attrs):
    """gather(x, index, ...): x[index, ...] with integer arrays of one rank for the leading axes; the rest stay.

    Negative indices count from the end; one out of range is an error of the call.
    """
    x, *indices = inputs
    dense("gather", x, *indices)
    if not indices or len(indices) > x.type.ndim:
        raise ShapeError(f"{len(indices)} indices for a tensor with {x.type.ndim} dimensions")
    axes, checks = index_axes("gather", tuple(indices))
    return Typed(TensorType(x.type.dtype, axes + x.type.axes[len(indices) :]), checks)


@define("scatter", "procedural", indices_from=2, writes_over=True, may_fail=True, said="set_subtensor")
def scatter(inputs, attrs):
    """scatter(x, y, index, ...; mode): x with x[index, ...] set to y ("set": the last of equal indices wins) or
    increased by y ("inc": repeated indices add up, in ascending order)."""
    x, y, *indices = inputs
    dense("scatter", x, y, *indices)
    one_of("scatter", "mode", attrs["mode"], ("set", "inc"))
    if not indices or len(indices) > x.type.ndim:
        raise ShapeError(f"{len(indices)} indices for a tensor with {x.type.ndim} dimensions")
    if x.type.dtype != y.type.dtype:
        raise DTypeError(f"scatter of {y.type.dtype} into {x.type.dtype}")
    axes, checks = index_axes("scatter", tuple(indices))
    target = axes + x.type.axes[len(indices) :]
    if y.type.ndim != len(target):
        raise ShapeError(f"scatter of {y.type.ndim} dimensions where the index selects {len(target)}")
    for k, (a, b) in enumerate(zip(y.type.axes, target, strict=True)):
        if not lengths.is_one(a):
            checks += equal(a, b, f"axis {k} of the value and of the place it is scattered to")
    return Typed(TensorType(x.type.dtype, x.type.axes), checks)


@define("nonzero", "procedural", binds=True)
def nonzero(inputs, attrs):
    """The indices of the nonzero elements, one int64 vector an axis, in row-major order; their length is run-time."""
    (x,) = inputs
    dense("nonzero", x)
    if not x.type.ndim:
        raise ShapeError("nonzero of a scalar")
    n = bound_length("nonzero", inputs, attrs, 0)
    return TupleType((TensorType("int64", (n,)),) * x.type.ndim)


@define("cumsum", "procedural")
def cumsum(inputs, attrs):
    """Running sums along `axis`, in ascending order; `reverse` runs from the end."""
    (x,) = inputs
    dense("cumsum", x)
    axis_of("cumsum", x, attrs["axis"])
    if x.type.dtype == "bool":
        raise DTypeError("cumsum is not defined for bool")
    return x.type


@define("sort", "procedural")
def sort(inputs, attrs):
    """Values in ascending order along the last axis, NaN last."""
    (x,) = inputs
    dense("sort", x)
    axis_of("sort", x, x.type.ndim - 1)
    return x.type


@define("argsort", "procedural")
def argsort(inputs, attrs):
    """The stable permutation that sorts along the last axis."""
    (x,) = inputs
    dense("argsort", x)
    axis_of("argsort", x, x.type.ndim - 1)
    return TensorType("int64", x.type.axes)
