"""Which kernels run inside a matrix product, piece by piece, while their elements are in a cache.

    makers   compute an operand where the product would read it: rectangles of it are made as often as they are needed,
             so they are cheap, and every reader of the operand is such a product
    then     runs on each finished rectangle: plain loops over the product's rows and columns, which read it only at
             their own place
    whole    runs on whole rows or columns: a kernel whose rounds they are (a softmax; sums over columns), which reads
             the product, or what `then` stores, only in its own row or column

A product is put off until the first step that reads it, and runs in its place. kernels/weft_fused.h is the other side.
Where nothing else reads a product, it is computed into the memory of what follows, or has none at all.

The rows of a batch of products are numbered through, and so are the rounds of a kernel's loops but the innermost: those
are columns.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir import lengths
from ..ir.node import Node, build, substitute, topological
from ..ir.ops.elementwise import is_function
from ..ir.ops.kernel import within
from .affine import contiguous_strides, strided

PRODUCTS = {"dot": 2, "batched_dot": 3}  # the axes of a product that is made of rectangles
Equal = Mapping[Node, Node]
STEPS = ("kernel", "procedural", "control")
NOT_MADE = ("float16", "bfloat16", "complex64", "complex128")


class Maker(NamedTuple):
    kernel: Node
    turned: bool  # the operand is the transpose of what the kernel computes


@dataclass(eq=False)
class Around:
    """A product and the kernels that it runs."""

    product: Node
    then: Node | None = None
    whole: Node | None = None
    rows: bool = False  # the rounds of `whole` are rows; else they are columns
    makers: dict[int, Maker] = field(default_factory=dict)  # by operand

    @property
    def place(self) -> Node:
        """The node in whose place in the order they run."""
        return self.then or self.whole or self.product

    def kernels(self) -> Iterator[Node]:
        yield from (k for k in (self.then, self.whole, *(m.kernel for m in self.makers.values())) if k is not None)


def plan(
    order: Sequence[Node],
    kernels,
    own: Container[Node],
    results: Iterable[Node],
    checked: Callable[[Node, Node], bool],
    equal: Equal,
) -> list[Around]:
    """The products of a block that run kernels. Only `own` products are made of rectangles, not those of a library.

    `order` is that in which its nodes run, `results` are what is read at its end, `checked(a, b)` whether obligations
    stand behind a and in front of b, `equal` are lengths that obligations at the start make equal (fuse.py).
    """
    steps = [n for n in order if n.family in STEPS]
    found = _followed(steps, kernels, own, equal)
    _whole(order, steps, kernels, found, checked, equal)
    taken = {k for g in found.values() for k in g.kernels()}
    products = [n for n in steps if n.op in PRODUCTS and n in own and n.ndim == PRODUCTS[n.op]]
    for p, operand, maker in _made(order, products, kernels, taken, results, equal):
        found.setdefault(p, Around(p)).makers[operand] = maker
    return list(found.values())


# After a product


def _followed(steps: list[Node], kernels, own: Container[Node], equal: Equal) -> dict[Node, Around]:
    """The kernel that reads a product first, where it can run on rectangles or on whole rows or columns."""
    first: dict[Node, Node] = {}
    found: dict[Node, Around] = {}
    for n in steps:
        products = [x for x in dict.fromkeys(map(_behind, n.inputs)) if x.ndim == PRODUCTS.get(x.op) and x in own]
        mine = [x for x in products if first.setdefault(x, n) is n]
        if n.family != "kernel" or any(within(n)):
            continue
        for x in reversed(mine):  # of several products the last is followed: the others are there by then
            nest = kernels.tile(n)
            if nest is not None and fits(nest, n, x, equal):
                found[x] = Around(x, then=n)
                break
            rows = by_rows_or_columns(kernels.nest(n), n, x, [x], equal)
            if rows is not None:
                found[x] = Around(x, whole=n, rows=rows)
                break
    return found


def _behind(x: Node) -> Node:
    """What an operand that is read through strides is a view of."""
    while x.family == "view":
        x = x.inputs[0]
    return x


def _whole(
    order: Sequence[Node],
    steps: list[Node],
    kernels,
    found: dict[Node, Around],
    checked: Callable[[Node, Node], bool],
    equal: Equal,
) -> None:
    """Kernels of whole rows or columns of what a `then` stores, that can run at its time."""
    after = {g.then: g for g in found.values() if g.then is not None}
    if not after:
        return
    position = {n: k for k, n in enumerate(order)}
    ready = _ready(order, position, found)
    taken = {k for g in found.values() for k in g.kernels()}
    for n in steps:
        if n.family != "kernel" or n in taken or any(within(n)):
            continue
        for t in dict.fromkeys(x.inputs[0] if x.op == "item" else x for x in n.inputs):
            g = after.get(t)
            if g is None or g.whole is not None or checked(t, n):
                continue
            stored = [x for x in n.inputs if x is t or (x.op == "item" and x.inputs[0] is t)]
            if any(ready.get(x, -1) >= position[t] for x in n.inputs if x not in stored):
                continue
            full = [x for x in stored if _elements(x, equal) is _elements(g.product, equal)]
            fit = len(full) == len(stored)
            rows = by_rows_or_columns(kernels.nest(n), n, g.product, full, equal) if fit else None
            if rows is not None:
                g.whole, g.rows = n, rows
                taken.add(n)
                break


def _ready(order: Sequence[Node], position: Mapping[Node, int], found: Mapping[Node, Around]) -> dict[Node, int]:
    """The place in the order from which on a value is there: that of the last step that it needs."""
    ready: dict[Node, int] = {}
    for n in order:
        at = max((ready.get(x, -1) for x in n.inputs), default=-1)
        if n.family in STEPS:
            at = position[found[n].place] if n in found else position[n]
        ready[n] = at
    return ready


def fits(nest, kernel: Node, product: Node, equal: Equal) -> bool:
    """Whether the nest runs over the product's rows and columns and reads each element only at its own place."""
    if nest.checks or nest.scratch or not _same_size(nest, kernel, product, equal):
        return False
    number = buffer_of(kernel, product)
    if number is None:
        return False
    here = place(*loops_of(nest))
    loads = [n for n in topological([nest.block]) if n.op == "load" and n.attr("buffer") == number]
    return bool(loads) and all(n.inputs[0] is here for n in loads)


def by_rows_or_columns(
    nest, kernel: Node, product: Node, values: Sequence[Node], equal: Equal
) -> bool | None:
    """Whether a kernel's rounds are rows (True) or columns (False) of the product, and it reads each of `values`, which
    lie as the product does, only there. None: neither."""
    if nest.mode not in ("row", "column") or nest.checks or nest.finals or len(nest.block.inputs) != 1:
        return None
    numbers = [buffer_of(kernel, x) for x in values]
    loop = nest.block.inputs[0]
    names, extents = loop.attr("index"), _extents(loop)
    lead, last = _same([lengths.product(product.type.axes[:-1]), product.type.axes[-1]], equal)
    by_rows = nest.mode == "row"
    outer = _in_program(kernel, [lengths.product(extents)], equal)[0]
    if outer is not (lead if by_rows else last) or None in numbers or (not by_rows and len(names) > 1):
        return None
    inner = [s for s in loop.inputs[len(names) :] if s.op == "loop"]
    variables = [build("index", index=k) for k in names]
    counter = lengths.add(
        *(lengths.mul(v, s) for v, s in zip(variables, contiguous_strides(tuple(extents)), strict=True))
    )
    places: set[Node] = set()
    for s in inner:
        (k,), extent = s.attr("index"), s.inputs[0]
        if _in_program(kernel, [extent], equal)[0] is not (last if by_rows else lead):
            continue
        i = build("index", index=k)
        row, column, width = (counter, i, extent) if by_rows else (i, counter, extents[0])
        places.add(lengths.add(lengths.mul(row, width), column))
    loads = [n for n in topological([nest.block]) if n.op == "load" and n.attr("buffer") in numbers]
    return by_rows if loads and all(n.inputs[0] in places for n in loads) else None


def stored_in(nest, kernel: Node, product: Node) -> int | None:
    """The output of a `then`, by number, in whose memory the product may be computed: of its dtype, written where it
    is read."""
    here = place(*loops_of(nest))
    for n in topological([nest.block]):
        if n.op == "store" and n.inputs[0] is here:
            k = n.attr("buffer") - len(nest.tensors)
            if nest.outputs[k] == product.type.dtype:
                return k
    return None


# Before a product


def _made(
    order: Sequence[Node], products: list[Node], kernels, taken: set[Node], results: Iterable[Node], equal: Equal
) -> Iterator[tuple[Node, int, Maker]]:
    """The operands that products may have made: (product, number of the operand, maker)."""
    users: dict[Node, list[Node | None]] = {}
    for n in order:
        for x in n.inputs:
            users.setdefault(x, []).append(n)
    for x in results:
        users.setdefault(x, []).append(None)
    wanted: dict[Node, list[tuple[Node, int, bool]]] = {}  # value -> product, operand, turned
    for p in products:
        for k, operand in enumerate(p.inputs):
            view = strided(operand)
            if view is None or operand.ndim != p.ndim or p.type.dtype in NOT_MADE:
                continue
            turned = _turned(view.base, view.strides) if lengths.static(view.offset) == 0 else None
            if turned is not None:
                wanted.setdefault(view.base, []).append((p, k, turned))
    for x, places in wanted.items():
        q = x.inputs[0] if x.op == "item" else x
        if q.family != "kernel" or q in taken or len(q.attr("body").outputs) != 1 or any(within(q)):
            continue
        if _uses(x, users, {p for p, _, _ in places}) == len(places) and makes(kernels.tile(q), q, x, equal):
            for p, k, turned in places:
                yield p, k, Maker(q, turned)


def _uses(x: Node, users: Mapping[Node, list[Node | None]], products: set[Node]) -> int | None:
    """How often the products read x, itself or through views; None where something else does too."""
    count = 0
    todo = [x]
    while todo:
        for n in users.get(todo.pop(), ()):
            if n in products:
                count += 1
            elif n is not None and n.family == "view":
                todo.append(n)
            else:
                return None
    return count


def _turned(base: Node, strides: tuple[Node, ...]) -> bool | None:
    """Whether strides are those of base with the last two axes exchanged; None where they are not its own either."""
    if len(strides) != base.ndim:
        return None
    own = contiguous_strides(base.type.axes)
    if all(a is b for a, b in zip(strides, own, strict=True)):
        return False
    exchanged = (*own[:-2], own[-1], own[-2])
    return True if all(a is b for a, b in zip(strides, exchanged, strict=True)) else None


def makes(nest, kernel: Node, x: Node, equal: Equal) -> bool:
    """Whether a nest computes x by rectangles, cheaply enough to be done again rather than stored."""
    if nest is None or nest.checks or nest.scratch or not _same_size(nest, kernel, x, equal):
        return False
    here = place(*loops_of(nest))
    for n in topological([nest.block]):
        if n.op == "store" and n.inputs[0] is not here:
            return False
        if n.family == "elementwise" and is_function(n):
            return False
        if n.op == "draw_at":
            return False
    return True


# Nests


def _same_size(nest, kernel: Node, x: Node, equal: Equal) -> bool:
    """Whether a nest of rows and columns runs over those of x."""
    rows, columns = loops_of(nest)
    size = _in_program(kernel, [lengths.product(_extents(rows)), columns.inputs[0]], equal)
    return size == _same([lengths.product(x.type.axes[:-1]), x.type.axes[-1]], equal)


def _in_program(kernel: Node, values: list[Node], equal: Equal) -> list[Node]:
    """Lengths of a kernel's body in terms of the program."""
    mapping = dict(zip(kernel.attr("body").params, kernel.inputs, strict=True))
    return _same(substitute(values, mapping), equal)


def _same(values: list[Node], equal: Equal) -> list[Node]:
    """Lengths in terms of those that stand for equal ones."""
    return [lengths.normal(e) for e in substitute(values, dict(equal))]


def _elements(x: Node, equal: Equal) -> Node:
    return _same([lengths.product(x.type.axes)], equal)[0]


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


def _extents(loop: Node) -> tuple[Node, ...]:
    return loop.inputs[: len(loop.attr("index"))]


def place(rows: Node, columns: Node) -> Node:
    """Where a row-major tensor of these loops has the element of a round."""
    names = (*rows.attr("index"), *columns.attr("index"))
    strides = contiguous_strides((*_extents(rows), *_extents(columns)))
    return lengths.add(*(lengths.mul(build("index", index=k), st) for k, st in zip(names, strides, strict=True)))


def buffer_of(kernel: Node, x: Node) -> int | None:
    """The number of a tensor argument in the nest of a kernel; None where x is passed twice or not at all."""
    tensors = [y for y in kernel.inputs if not (y.ndim == 0 and y.type.dtype == "int64")]
    places = [k for k, y in enumerate(tensors) if y is x]
    return places[0] if len(places) == 1 else None


__all__ = ["Around", "Maker", "buffer_of", "by_rows", "loops_of", "place", "plan", "stored_in"]
