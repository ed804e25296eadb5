"""Which kernels run inside the product before them, rectangle by rectangle, while its elements are in the cache.

A matrix product is put off until the first step that reads it. Where that is a kernel of plain loops over just the
product's rows and columns, reading the product only at its own place, the two become one step: the product hands each
finished rectangle to the kernel (kernels/weft_library.h, `weft_epilogue`). Where nothing else reads the product, it is
computed into the memory of the kernel's result, so it has none of its own.

The rows of a batch of products are numbered through, and so are the rounds of a kernel's loops but the innermost: those
are columns.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from ..ir import lengths
from ..ir.node import Node, build, substitute, topological
from .affine import contiguous_strides

PRODUCTS = {"dot": 2, "batched_dot": 3}  # the axes of a product that is made of rectangles
STEPS = ("kernel", "procedural", "control")


def pair(order: Sequence[Node], kernels, own: Container[Node]) -> dict[Node, Node]:
    """Product -> the kernel that runs on its rectangles, among the nodes of a block in the order they run in.

    Only `own` products are made of rectangles, not those of a library.
    """
    first: dict[Node, Node] = {}
    found: dict[Node, Node] = {}
    for n in order:
        if n.family not in STEPS:
            continue
        products = [x for x in dict.fromkeys(n.inputs) if x.ndim == PRODUCTS.get(x.op) and x in own]
        mine = [x for x in products if first.setdefault(x, n) is n]
        if n.family == "kernel" and mine:
            nest = kernels.tile(n)
            for x in reversed(mine):  # of several products the last is followed: the others are there by then
                if nest is not None and fits(nest, n, x):
                    found[x] = n
                    break
    return found


def fits(nest, kernel: Node, product: Node) -> bool:
    """Whether the nest runs over the product's rows and columns and reads each element only at its own place."""
    if nest.checks or nest.scratch:
        return False
    rows, columns = loops_of(nest)
    mapping = dict(zip(kernel.attr("body").params, kernel.inputs, strict=True))
    size = [lengths.product(extents(rows)), columns.inputs[0]]
    *lead, last = product.type.axes
    if [lengths.normal(e) for e in substitute(size, mapping)] != [lengths.product(lead), lengths.normal(last)]:
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


def by_rows(nest) -> bool:
    """Whether a nest is loops over rows around one over columns."""
    if nest.mode != "map" or len(nest.block.inputs) != 1 or nest.block.inputs[0].op != "loop":
        return False
    rows = nest.block.inputs[0]
    return [s.op for s in rows.inputs[len(rows.attr("index")) :]] == ["loop"]


def loops_of(nest) -> tuple[Node, Node]:
    """The loops over rows, as one node, and the loop over columns in them."""
    rows = nest.block.inputs[0]
    return rows, rows.inputs[-1]


def extents(loop: Node) -> tuple[Node, ...]:
    return loop.inputs[: len(loop.attr("index"))]


def place(rows: Node, columns: Node) -> Node:
    """Where a row-major tensor of these loops has the element of a round."""
    names = (*rows.attr("index"), *columns.attr("index"))
    strides = contiguous_strides((*extents(rows), *extents(columns)))
    return lengths.add(*(lengths.mul(build("index", index=k), st) for k, st in zip(names, strides, strict=True)))


def buffer_of(kernel: Node, x: Node) -> int | None:
    """The number of a tensor argument in the nest of a kernel; None where x is passed twice or not at all."""
    tensors = [y for y in kernel.inputs if not (y.ndim == 0 and y.type.dtype == "int64")]
    places = [k for k, y in enumerate(tensors) if y is x]
    return places[0] if len(places) == 1 else None


def readers(x: Node, order: Iterable[Node], outputs: Iterable[Node]) -> int:
    """How many nodes and results read a value."""
    return sum(x in n.inputs for n in order) + sum(x is o for o in outputs)
