"""How a consumer reads its operands: the loop of each operand axis, or None where the index is not a loop variable.

A label is the number of a loop of the consumer's kernel; ONE marks an axis of length 1, OPAQUE an axis read at a
computed place. Knowing only labels, the scheduler decides fusion; `lower` computes the exact index maps.
"""

from __future__ import annotations

from typing import NamedTuple

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.node import Node

ONE = -1
OPAQUE = None
Labels = tuple[int | None, ...]

is_one = lengths.is_one


def operand_labels(n: Node, labels: Labels, fresh: Labels) -> list[tuple[Node, Labels | str]]:
    """For each input of n: the labels it is read with when n is read with `labels`, or "scalar" for the lengths and
    bounds among the inputs. `fresh` holds the labels of the axes that a reduction folds."""
    op = n.op
    if n.family == "elementwise":
        return [(x, _stretched(x, labels)) for x in n.inputs]
    x = n.inputs[0]
    if op == "dimshuffle":
        place = {o: labels[k] for k, o in enumerate(n.attr("order")) if o != "x"}
        return [(x, tuple(place.get(a, ONE) for a in range(x.ndim)))]
    if op == "alloc":
        return [(x, _stretched(x, labels[len(labels) - x.ndim :])), *_scalars(n, 1)]
    if op == "state_words":
        return [(x, labels)]
    if op == "rebroadcast":
        return [(x, tuple(OPAQUE if a in n.attr("axes") else lab for a, lab in enumerate(labels)))]
    if n.family == "reduce":
        kept, folded = iter(labels), iter(fresh)
        return [(x, tuple(next(folded) if a in n.attr("axes") else next(kept) for a in range(x.ndim)))]
    if op == "slice":
        spec = n.attr("spec")
        return [
            (x, tuple(lab if s[0] == "all" else OPAQUE for s, lab in zip(spec, labels, strict=True))),
            *_scalars(n, 1),
        ]
    if op == "set_slice":
        spec, y = n.attr("spec"), n.inputs[1]
        inner = tuple(
            ONE if is_one(a) else lab if s[0] == "all" else OPAQUE
            for s, lab, a in zip(spec, labels, y.type.axes, strict=True)
        )
        return [(x, labels), (y, inner), *_scalars(n, 2)]
    if op == "concatenate":
        axis = n.attr("axis")
        return [
            (y, tuple(OPAQUE if a == axis else ONE if is_one(y.type.axes[a]) else lab for a, lab in enumerate(labels)))
            for y in n.inputs
        ]
    if op == "gather":
        indices = n.inputs[1:]
        width = indices[0].ndim
        found: list[tuple[Node, Labels | str]] = []
        front: list[int | None] = []
        for i in indices:
            own = tuple(ONE if is_one(a) else lab for a, lab in zip(i.type.axes, labels[:width], strict=True))
            found.append((i, own))
            front.append(_iota_label(i, own))
        return [(x, (*front, *labels[width:])), *found]
    if op == "window":
        axis = n.attr("axis")
        return [(x, tuple(OPAQUE if a == axis else lab for a, lab in enumerate(labels[:-1])))]
    if op == "spread":
        axis = n.attr("axis")
        return [(x, tuple(OPAQUE if a == axis else lab for a, lab in enumerate(labels))), *_scalars(n, 1)]
    if op == "reshape":
        own = tuple(labels[g.outputs[0]] if is_kept(n, g) else OPAQUE for g in groups(n) for _ in g.inputs)
        return [(x, own), *_scalars(n, 1)]
    if op in ("draw", "advance"):
        return [(x, (OPAQUE,)), *_scalars(n, 1)]
    if op == "iota":
        return list(_scalars(n, 0))
    raise InternalError(f"{op} says nothing of how it reads its operands")


class Group(NamedTuple):
    """Axes `inputs` of a reshaped tensor that become axes `outputs`, both as many elements; first and last one each."""

    inputs: range
    outputs: range


def groups(n: Node) -> list[Group]:
    """The axes of a reshape that stay within one another: the fewest at a time, where lengths are known to multiply
    alike; at the end all that is left."""
    have, axes = n.inputs[0].type.axes, n.type.axes
    found: list[Group] = []
    i = p = 0
    while i < len(have) or p < len(axes):
        ends = [(j, q) for j in range(i, len(have) + 1) for q in range(p, len(axes) + 1) if j + q > i + p]
        same = ((j, q) for j, q in ends if lengths.product(have[i:j]) is lengths.product(axes[p:q]))
        j, q = next(same, (len(have), len(axes)))
        found.append(Group(range(i, j), range(p, q)))
        i, p = j, q
    return found


def is_kept(n: Node, g: Group) -> bool:
    """Whether a reshape leaves an axis as it is."""
    if len(g.inputs) != 1 or len(g.outputs) != 1:
        return False
    return n.inputs[0].type.axes[g.inputs[0]] is n.type.axes[g.outputs[0]]


def _stretched(x: Node, labels: Labels) -> Labels:
    """The labels of x where axes of length 1 are stretched along loops."""
    axes = x.type.axes
    if lengths.const(1) not in axes:
        return labels
    return tuple(ONE if is_one(a) else lab for a, lab in zip(axes, labels, strict=True))


def _scalars(n: Node, first: int) -> list[tuple[Node, str]]:
    return [(i, "scalar") for i in n.inputs[first:]]


def _iota_label(i: Node, labels: Labels) -> int | None:
    """The loop whose variable an index array simply is (arange over a loop's axis), else OPAQUE."""
    while i.op in ("dimshuffle", "cast"):
        if i.op == "dimshuffle":
            place = {o: labels[k] for k, o in enumerate(i.attr("order")) if o != "x"}
            labels = tuple(place.get(a, ONE) for a in range(i.inputs[0].ndim))
        i = i.inputs[0]
    return labels[0] if i.op == "iota" else OPAQUE
