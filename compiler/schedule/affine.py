"""Tensors read in place through strides: base, offset and strides (in elements) of a chain of views."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.node import Node, make, rebuild
from ..ir.ops.view import walk_spec
from .uses import groups
from .values import in_memory

FEW = 8  # rows that a value may be computed in vain for


class Strided(NamedTuple):
    base: Node
    offset: Node
    strides: tuple[Node, ...]


def operand(n: Node, k: int) -> Strided | None:
    """How a step reads operand k, where it reads it through strides: no view is copied for it."""
    if k in n.definition.strided_inputs:
        return strided(n.inputs[k])
    sequences = n.attr("sequences") if n.op == "scan" else 0
    if n.op == "scan" and 1 <= k <= sequences + len(n.attr("taps")):
        view = strided(n.inputs[k])
        rows = int(k <= sequences)  # a loop takes rows where they are, and copies initial values into a history anyway
        axes = n.inputs[k].type.axes[rows:]
        return view if view is not None and _are_contiguous(axes, view.strides[rows:]) else None
    return None


def _parted(n: Node, strides: tuple[Node, ...]) -> tuple[Node, ...] | None:
    """The strides of a reshape by those of its operand, where axes that it joins lie as those of a tensor do."""
    have, axes = n.inputs[0].type.axes, n.type.axes
    out: list[Node] = []
    for inputs, outputs in groups(n):
        long = [a for a in inputs if not lengths.is_one(have[a])]
        if not all(strides[a] is lengths.mul(strides[b], have[b]) for a, b in pairwise(long)):
            return None
        step = strides[long[-1]] if long else lengths.const(0)
        out += [lengths.mul(step, s) for s in contiguous_strides(tuple(axes[a] for a in outputs))]
    return tuple(out)


def _are_contiguous(axes: tuple[Node, ...], strides: tuple[Node, ...]) -> bool:
    """Whether axes lie in memory as those of a tensor of its own do."""
    return all(
        a is b or lengths.static(n) == 1 for a, b, n in zip(strides, contiguous_strides(axes), axes, strict=True)
    )


def view_of(x: Node, base: Node, new: dict[Node, Node]) -> Node:
    """A chain of views of what a base has become."""
    chain: list[Node] = []
    while x is not base:
        chain.append(x)
        x = x.inputs[0]
    made = rebuild(base, new)
    for v in reversed(chain):
        made = make(v.op, (made, *(rebuild(i, new) for i in v.inputs[1:])), v.attrs)
    return made


def takes_most(x: Node, base: Node) -> bool:
    """Whether a chain of views takes all of its base but little, so that a base that is nowhere in memory may as well
    be computed whole, in its own order."""
    while x is not base:
        if x.op == "slice":
            walked = walk_spec(x.inputs[0], x.inputs[1:], x.attr("spec"))
            for n, (_, taken, step, _checks) in zip(x.inputs[0].type.axes, walked, strict=True):
                if taken is not n and (abs(step) != 1 or not _most(taken, n)):
                    return False
        x = x.inputs[0]
    return True


def _most(taken: Node, n: Node) -> bool:
    """Whether a part of n elements is at least a half, or max(n - few, 0) where n is not known."""
    a, b = lengths.static(taken), lengths.static(n)
    if a is not None and b is not None:
        return 2 * a >= b
    parts = taken.inputs if taken.op == "maximum" else (taken,)
    rest = [lengths.static(lengths.sub(n, p)) for p in parts]
    return any(k is not None and 0 <= k <= FEW for k in rest)


def takes_quotients(n: Node) -> bool:
    """Whether an element of a reshape lies at quotients and remainders of its indices: it joins axes of a tensor that
    is not contiguous in memory."""
    x = n.inputs[0]
    if all(sum(not lengths.is_one(x.type.axes[a]) for a in g.inputs) < 2 for g in groups(n)):
        return False
    view = strided(n)
    base = x if view is None else view.base
    if view is not None and in_memory(base):
        return False
    while base.definition.virtual and base.inputs:
        base = base.inputs[0]
    return any(not lengths.is_one(a) for a in base.type.axes)


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
    zero = lengths.const(0)
    for v in reversed(chain):
        if v.op == "reshape":
            have, axes = v.inputs[0].type.axes, v.type.axes
            if _are_contiguous(have, strides):
                strides = contiguous_strides(axes)
            elif len(axes) != len(have) or axes[1:] != have[1:]:  # else it says what is known of the leading length
                parts = _parted(v, strides)
                if parts is None:
                    return None
                strides = parts
        elif v.op == "dimshuffle":
            strides = tuple(zero if o == "x" else strides[o] for o in v.attr("order"))
        elif v.op == "alloc":
            inner = v.inputs[0].type.axes
            own = [zero if lengths.static(a) == 1 else s for a, s in zip(inner, strides, strict=True)]
            strides = tuple([zero] * (v.ndim - len(own)) + own)
        elif v.op == "slice":
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
