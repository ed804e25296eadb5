"""Leaves: parameters, constants, lengths; and the projection of tuples."""

from __future__ import annotations

from ....runtime.errors import InternalError, ShapeError
from .. import lengths
from ..dtypes import DTYPES
from ..node import OPS, define
from ..types import TensorType, TupleType
from .common import one_of, scalars

INT = TensorType("int64")


@define("param", "leaf")
def param(inputs, attrs):
    """A region's parameter. `token` is its position (or, before a function exists, a unique name of a user's leaf);
    its lengths are its inputs: `dim` nodes, constants, or lengths that other params give."""
    scalars("param", *inputs)
    one_of("param", "dtype", attrs["dtype"], tuple(DTYPES))
    one_of("param", "kind", attrs["kind"], ("dense", "csr", "random", "length"))
    if attrs["kind"] == "random" and (attrs["dtype"] != "uint64" or [lengths.static(i) for i in inputs] != [2]):
        raise InternalError("a random state is uint64[2]")
    if attrs["kind"] == "csr" and len(inputs) != 2:
        raise ShapeError(f"a sparse matrix with {len(inputs)} dimensions")
    if attrs["kind"] == "length":  # a scalar known to be nonnegative: a kernel's argument by value
        return INT
    return TensorType(attrs["dtype"], tuple(map(lengths.normal, inputs)), attrs["kind"])


@define("dim", "leaf")
def dim(inputs, attrs):
    """The length of one axis of the param with this token."""
    return INT


@define("const", "leaf")
def const(inputs, attrs):
    value = attrs["value"]
    # A 0-d constant is what lengths are made of, so it must not build any.
    return TensorType(value.dtype, tuple(lengths.const(n) for n in value.array.shape))


@define("length", "leaf")
def length(inputs, attrs):
    """A length known only once an operation has run, named by the operation (`of`, `of_attrs`), its inputs,
    its output and the axis. The operation binds it; it is never computed otherwise."""
    of = OPS.get(attrs["of"])
    if of is None or not (of.binds or of.family == "structure"):
        raise InternalError(f"length of {attrs['of']}, which is no operation that gives lengths")
    return INT


@define("item", "structure")
def item(inputs, attrs):
    (t,) = inputs
    if not isinstance(t.type, TupleType):
        raise InternalError(f"item of {t.type}")
    if not 0 <= attrs["index"] < len(t.type.items):
        raise InternalError(f"item {attrs['index']} of {t.type}")
    return t.type.items[attrs["index"]]
