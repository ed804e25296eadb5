"""What routines need beside their operands and results."""

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
