"""Leaves: parameters, constants, lengths; and the projection of tuples."""

from __future__ import annotations

from ....runtime.errors import InternalError
from .. import lengths
from ..node import OPS, define
from ..types import TensorType, TupleType

INT = TensorType("int64")


@define("param", "leaf")
def param(inputs, attrs):
    """A region's parameter. `token` is its position (or, before a function exists, a unique name of a user's leaf);
    its lengths are its inputs: `dim` nodes, constants, or lengths that other params give."""
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
    if attrs["of"] not in OPS:
        raise InternalError(f"length of unknown operation {attrs['of']}")
    return INT


@define("item", "structure")
def item(inputs, attrs):
    (t,) = inputs
    if not isinstance(t.type, TupleType):
        raise InternalError(f"item of {t.type}")
    return t.type.items[attrs["index"]]
