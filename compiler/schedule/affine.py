"""Tensors read in place through strides: base, offset and strides (in elements) of a chain of views."""

from __future__ import annotations

from typing import NamedTuple

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.node import Node
from ..ir.ops.view import walk_spec


class Strided(NamedTuple):
    base: Node
    offset: Node
    strides: tuple[Node, ...]


def contiguous_strides(axes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Row-major strides of a C-contiguous tensor."""
    out: list[Node] = []
    step = lengths.const(1)
    for a in reversed(axes):
        out.append(step)
        step = lengths.mul(step, a)
    return tuple(reversed(out))


def strided(n: Node) -> Strided | None:
    """How n lies in the memory of its base, or None when it is not a strided view of one (or is not a view)."""
    chain: list[Node] = []
    x = n
    while x.op in ("dimshuffle", "slice", "rebroadcast", "alloc", "reshape"):
        chain.append(x)
        x = x.inputs[0]
    offset, strides = lengths.const(0), contiguous_strides(x.type.axes)
    whole = True
    zero = lengths.const(0)
    for v in reversed(chain):
        if v.op == "reshape":
            if not whole:
                return None
            strides = contiguous_strides(v.type.axes)
        elif v.op == "dimshuffle":
            order = v.attr("order")
            if [o for o in order if o != "x"] != sorted(o for o in order if o != "x"):
                whole = False
            strides = tuple(zero if o == "x" else strides[o] for o in order)
        elif v.op == "alloc":
            whole = False
            inner = v.inputs[0].type.axes
            own = [zero if lengths.static(a) == 1 else s for a, s in zip(inner, strides, strict=True)]
            strides = tuple([zero] * (v.ndim - len(own)) + own)
        elif v.op == "slice":
            whole = False
            new = []
            for s, (first, _, step, _checks) in zip(
                strides, walk_spec(v.inputs[0], v.inputs[1:], v.attr("spec")), strict=True
            ):
                offset = lengths.add(offset, lengths.mul(s, first))
                new.append(lengths.scale(s, step))
            strides = tuple(new)
        elif v.op != "rebroadcast":  # which says what is known of a length and moves nothing
            raise InternalError(f"{v.op} says nothing of strides")
    return Strided(x, offset, strides)
