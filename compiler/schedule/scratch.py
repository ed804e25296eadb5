"""What routines need beside their operands and results, and how a scatter reads its values."""

from __future__ import annotations

from ..ir import lengths
from ..ir.node import Node
from ..ir.ops.common import joined


def routine_scratch(n: Node) -> list[tuple[str, Node]]:
    """Scratch arrays of routines, per dtype and size in elements."""
    x = n.inputs[0].type
    if n.op == "sort":
        return [(x.dtype, x.axes[-1])]
    if n.op == "argsort":
        return [("int64", x.axes[-1])]
    if n.op == "scatter":
        axes = index_axes(n)
        return [("int64", lengths.product(axes)) for i in n.inputs[2:] if not is_place_array(i, axes)]
    return []


def index_axes(n: Node) -> tuple[Node, ...]:
    """The axes that the indices of a scatter have together."""
    return joined("scatter", n.inputs[2:])[0]


def is_place_array(index: Node, axes: tuple[Node, ...]) -> bool:
    """Whether an index lies in memory as the routine takes it: int64, with all axes."""
    return index.type.dtype == "int64" and index.type.axes == axes


def value_strides(n: Node) -> tuple[Node, Node] | None:
    """How far apart a scatter finds the values of two index tuples, and those of two elements that it writes for one;
    None where they first have to be stretched to both."""
    x, y, *indices = n.inputs
    axes = index_axes(n)
    lead, rest, inner = y.type.axes[: len(axes)], y.type.axes[len(axes) :], x.type.axes[len(indices) :]
    one, none = lengths.const(1), lengths.const(0)
    if lead == axes and rest == inner:
        return lengths.product(inner), one
    if all(map(lengths.is_one, y.type.axes)):
        return none, none
    if lead == axes and rest and all(map(lengths.is_one, rest)):
        return one, none
    if rest == inner and all(map(lengths.is_one, lead)):
        return none, one
    return None
