"""Which kernels run inside the product before them, rectangle by rectangle, while its elements are in the cache.

A matrix product is put off until the first step that reads it. Where that is a kernel of two plain loops over just the
product's rows and columns, reading the product only at its own place, the two become one step: the product hands each
finished rectangle to the kernel (kernels/weft_library.h, `weft_epilogue`). Where nothing else reads the product, it is
computed into the memory of the kernel's result, so it has none of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..ir import lengths
from ..ir.node import Node, build, substitute, topological

PRODUCTS = ("dot",)
STEPS = ("kernel", "procedural", "control")


def pair(order: Sequence[Node], kernels) -> dict[Node, Node]:
    """Product -> the kernel that runs on its rectangles, among the nodes of a block in the order they run in."""
    first: dict[Node, Node] = {}
    found: dict[Node, Node] = {}
    for n in order:
        if n.family not in STEPS:
            continue
        mine = [x for x in dict.fromkeys(n.inputs) if x.op in PRODUCTS and x.ndim == 2 and first.setdefault(x, n) is n]
        if n.family == "kernel" and mine:
            nest = kernels.tile(n)
            for x in reversed(mine):  # of several products the last is followed: the others are there by then
                if nest is not None and fits(nest, n, x):
                    found[x] = n
                    break
    return found


def fits(nest, kernel: Node, product: Node) -> bool:
    """Whether the nest, of two loops, runs over the product's elements and reads each only at its own place."""
    rows, columns = loops = loops_of(nest)
    if nest.checks or nest.scratch:
        return False
    mapping = dict(zip(kernel.attr("body").params, kernel.inputs, strict=True))
    extents = [lengths.normal(e) for e in substitute([loop.inputs[0] for loop in loops], mapping)]
    if extents != [lengths.normal(a) for a in product.type.axes]:
        return False
    number = buffer_of(kernel, product)
    if number is None:
        return False
    here = place(rows, columns)
    loads = [n for n in topological([nest.block]) if n.op == "load" and n.attr("buffer") == number]
    return bool(loads) and all(n.inputs[0] is here for n in loads)


def stored_in(nest, kernel: Node, product: Node) -> int | None:
    """The kernel's output, by number, in whose memory the product may be computed: of its dtype, written where read."""
    here = place(*loops_of(nest))
    for n in topological([nest.block]):
        if n.op == "store" and n.inputs[0] is here:
            k = n.attr("buffer") - len(nest.tensors)
            if nest.outputs[k] == product.type.dtype:
                return k
    return None


def two_loops(nest) -> bool:
    if nest.mode != "map" or len(nest.block.inputs) != 1 or nest.block.inputs[0].op != "loop":
        return False
    rows = nest.block.inputs[0]
    return len(rows.attr("index")) == 1 and [s.op for s in rows.inputs[1:]] == ["loop"]


def loops_of(nest) -> tuple[Node, Node]:
    rows = nest.block.inputs[0]
    return rows, rows.inputs[1]


def place(rows: Node, columns: Node) -> Node:
    """Where a row-major matrix of these loops has the element of a round."""
    i, j = (build("index", index=loop.attr("index")[0]) for loop in (rows, columns))
    return lengths.add(lengths.mul(i, columns.inputs[0]), j)


def buffer_of(kernel: Node, x: Node) -> int | None:
    """The number of a tensor argument in the nest of a kernel; None where x is passed twice or not at all."""
    tensors = [y for y in kernel.inputs if not (y.ndim == 0 and y.type.dtype == "int64")]
    places = [k for k, y in enumerate(tensors) if y is x]
    return places[0] if len(places) == 1 else None


def readers(x: Node, order: Iterable[Node], outputs: Iterable[Node]) -> int:
    """How many nodes and results read a value."""
    return sum(x in n.inputs for n in order) + sum(x is o for o in outputs)
