"""Operations with a routine of their own that fit no other family: Python of the user's."""

from __future__ import annotations

from typing import Any

from ....runtime.errors import InternalError
from ..node import bound_length, define
from ..types import TensorType, TupleType


class HostFunction:
    """A Python function of the user's as an attribute: compared by identity, printed by name.

    `definition` says which function it is in every process: where it is defined and what its code does.
    """

    __slots__ = ("definition", "function", "name")

    def __init__(self, name: str, function: Any, definition: str = ""):
        self.name, self.function, self.definition = name, function, definition

    def __repr__(self) -> str:
        return f"host:{self.name}"


@define("host_call", "procedural", binds=True, may_fail=True)
def host_call(inputs, attrs):
    """host_call(x, ...; callee, dtypes, ndims, like): the only operation that enters Python.

    The callee takes and returns NumPy arrays; its outputs have the dtypes and ranks listed. `like[k]` is the number of
    the input whose shape output k has, or None for lengths known only at run time.
    """
    outs = []
    for k, (dtype, ndim, like) in enumerate(zip(attrs["dtypes"], attrs["ndims"], attrs["like"], strict=True)):
        if like is not None:
            if inputs[like].type.ndim != ndim:
                raise InternalError(f"output {k} of host_call has {ndim} dimensions and the shape of {inputs[like]!r}")
            axes = inputs[like].type.axes
        else:
            axes = tuple(bound_length("host_call", inputs, attrs, k, a) for a in range(ndim))
        outs.append(TensorType(dtype, axes))
    return TupleType(tuple(outs))
