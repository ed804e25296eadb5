"""Index errors stay errors: an array index out of range is found also where nothing reads the element it is for.

    before   y = gather(x, i); sum(y * 0)           the index is checked where the element is read
    after    0, and a check that i lies in range    for the product is gone, or only some elements of y are computed

`mark` writes down, as obligations, which arrays index which axes; rewriting carries them along as it does every
obligation. `settle_marks` drops those that a gather or a scatter of which every element is computed checks anyway, and
makes the others a computation of its own. A tensor without elements reads no index.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ..ir import lengths
from ..ir.node import Check, Node, Region, build, constant
from ..ir.origins import Lines, Origins
from ..ir.pattern import uniform
from ..ir.regions import nested_nodes
from ..ir.rewrite import with_checks

MARK = "indices"
From = tuple[Hashable, ...]  # lines of the user's program


def mark(r: Region, origins: Origins | None = None) -> tuple[Region, dict[str, From]]:
    """The region with a mark for each index of its gathers and scatters, and by a mark's text the lines it is from."""
    if not any(n.definition.indices_from for _, nodes in nested_nodes(r) for n in nodes):
        return r, {}
    table = origins or Origins()
    marked: dict[str, From] = {}

    def marks(inner: Region) -> list[Check]:
        out = list(inner.checks)
        for n in inner.nodes():
            for i, length in _places(n):
                what = f"index {len(marked)}"
                marked[what] = table.of(inner)[n]
                out.append(Check(MARK, (i, length), what))
        return out

    return with_checks(r, marks, table), marked


def settle_marks(r: Region, marked: dict[str, From], origins: Origins | None = None) -> Region:
    """The region without marks, and with the computations that stand for those which nothing else checks."""
    if not marked:
        return r
    table = origins or Origins()

    def checks(inner: Region) -> list[Check]:
        sure = _checked(inner)
        out = []
        for c in inner.checks:
            if c.kind != MARK:
                out.append(c)
            elif c.operands not in sure:
                out.append(_computed(c, marked[c.what], table.of(inner)))
        return out

    return with_checks(r, checks, table)


def _places(n: Node) -> list[tuple[Node, Node]]:
    """(index, length of the axis it indexes) of a gather or scatter, without those that cannot be out of range."""
    return [p for _, p in _numbered(n)]


def _numbered(n: Node) -> list[tuple[int, tuple[Node, Node]]]:
    """The same with the axis of each."""
    first = n.definition.indices_from
    index = n.inputs[first:] if first else ()
    pairs = ((a, (i, n.inputs[0].axes[a])) for a, i in enumerate(index))
    return [(a, (i, length)) for a, (i, length) in pairs if not (i.op == "iota" and i.axes[0] is length)]


NEARBY = 200


def _depends(x: Node, axis: int, through: bool = True) -> bool:
    """Whether an element of x is read by its place along the axis: not where all that x is made of is stretched there.
    False also where that is not found out nearby. `through`: what takes several axes of its operand may be looked
    through."""
    stack = [(x, axis)]
    seen: set[tuple[Node, int]] = set()
    while stack and len(seen) < NEARBY:
        x, a = stack.pop()
        if (x, a) in seen or lengths.is_one(x.axes[a]):
            continue
        seen.add((x, a))
        op, base = x.op, x.inputs[0] if x.inputs else x
        if x.family == "elementwise":
            stack += [(y, a) for y in x.inputs]
        elif x.family == "reduce":
            stack.append((base, [k for k in range(base.ndim) if k not in x.attr("axes")][a]))
        elif op == "dimshuffle":
            stack += [(base, x.attr("order")[a])] * (x.attr("order")[a] != "x")
        elif op == "alloc":
            inner = a - (x.ndim - base.ndim)
            stack += [(base, inner)] * (inner >= 0)
        elif op in ("slice", "rebroadcast"):
            stack.append((base, a))
        elif op == "reshape":  # its element may be that of any place
            if through and _read_along(base, range(base.ndim)):
                return True
        elif op == "gather":
            width, indices = x.inputs[1].ndim, x.inputs[1:]
            if a >= width:
                stack.append((base, len(indices) + a - width))
            elif through and all(_depends(i, a, False) for i in indices) and _read_along(base, range(len(indices))):
                return True
        elif op == "concatenate" and a != x.attr("axis"):
            stack += [(y, a) for y in x.inputs]
        elif op == "set_slice" and x.attr("spec")[a] == ("all",):
            stack += [(y, a) for y in x.inputs[:2]]
        elif op not in ("window", "spread") and (op != "const" or uniform(x) is None):
            return True
    return False


def _read_along(x: Node, axes: Sequence[int]) -> bool:
    """Whether an element of x is read by its places along all of the axes, those of length 1 aside."""
    found = [a for a in axes if not lengths.is_one(x.axes[a])]
    return bool(found) and all(_depends(x, a, False) for a in found)


def _computed(c: Check, of: From, lines: Lines) -> Check:
    """A range of the axis' length, read at the index: reading checks, and what it reads is never negative."""
    index, length = c.operands
    read = build("gather", build("iota", length, dtype="int64"), index)
    zero = build("dimshuffle", constant(0, "int64"), order=("x",) * read.ndim)
    fine = build("ge", read, zero)
    if read.ndim:
        fine = build("all", fine, axes=tuple(range(read.ndim)))
    for n in (read, fine):
        lines.add(n, of)
    return Check("true", (fine,), "an index")


def _checked(r: Region) -> set[tuple[Node, Node]]:
    """(index, length) of the gathers of which every element is computed, and of the scatters."""
    roots = [*r.outputs, *(o for c in r.checks if c.kind != MARK for o in c.operands)]
    whole, live = set(roots), {*roots, *(a for o in r.outputs for a in o.type.axes)}
    out: set[tuple[Node, Node]] = set()
    for n in reversed(r.nodes()):
        if n not in live:
            continue
        if n.op == "scatter":
            out.update(_places(n))
        elif n in whole:
            out.update(p for a, p in _numbered(n) if _depends(n.inputs[0], a))
        for k, x in enumerate(n.inputs):
            live.add(x)
            if _reads_all(n, k, n in whole):
                whole.add(x)
    return out


def _reads_all(n: Node, k: int, whole: bool) -> bool:
    """Whether every element of input k is computed; `whole`: every element of n is."""
    if n.family not in ("elementwise", "view", "reduce"):
        return True
    if n.family == "view" and not n.definition.covers and k == 0:
        return False
    return whole or n.op in ("slice", "spread")  # their bounds are computed whatever is read


__all__ = ["mark", "settle_marks"]
