"""Tensors put together of pieces along one axis: sums of slices set into zeros become concatenations.

    set_slice(0, u, [0:n]) + set_slice(0, v, [n:2n])   ->   concatenate(u, v, zeros of the rest)

The gradient of a tensor that is used slice by slice (the gates of one product, say) is such a sum. As a concatenation
each piece is computed once, at its own place, and nothing is added.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir import lengths
from ..ir.node import Node, build
from ..ir.pattern import Bindings, number, uniform
from .common import SIGN, is_const, rule

END = 1 << 62  # the end of an axis, wherever it is
MAX_PIECES = 64


class Patchwork(NamedTuple):
    """The values that lie in [start, stop) of an axis, as far as the axis reaches; the rest is zeros."""

    axis: int
    pieces: dict[tuple[int, int], Node]


def _join(b: Bindings, node: Node) -> Node | None:
    one, two = _patchwork(b["x"]), _patchwork(b["y"])
    if one is None or two is None or one.axis != two.axis or b["x"].type.broadcastable != b["y"].type.broadcastable:
        return None
    if b["x"].axes[one.axis] is not b["y"].axes[one.axis]:
        return None
    pieces = dict(one.pieces)
    for span, v in two.pieces.items():
        have = pieces.get(span)
        if have is None and any(span[0] < stop and start < span[1] for start, stop in pieces):
            return None
        pieces[span] = v if have is None else build("add", have, v)
    return _concatenation(node, one.axis, pieces) if len(pieces) <= MAX_PIECES else None


def _patchwork(x: Node) -> Patchwork | None:
    if x.op == "set_slice":
        base, y = x.inputs[:2]
        axes = [a for a, e in enumerate(x.attr("spec")) if e[0] != "all"]
        if x.attr("mode") == "set" and _is_zero(base) and len(axes) == 1 and y.type.ndim == x.ndim:
            entry, bounds = x.attr("spec")[axes[0]], [lengths.static(i) for i in x.inputs[2:]]
            if entry[0] == "range" and entry[3] == 1 and all(i is not None and i >= 0 for i in bounds):
                start = bounds[0] if entry[1] else 0
                stop = bounds[-1] if entry[2] else END
                known = stop == END or _width(y.type.axes[axes[0]]) is not None
                if start < stop and known and _fills(x, y, axes[0]):  # type: ignore[operator]
                    return Patchwork(axes[0], {(start, stop): y})  # type: ignore[dict-item]
    elif x.op == "concatenate" and any(map(_is_zero, x.inputs)):
        return _of_concatenation(x)
    return None


def _fills(x: Node, y: Node, axis: int) -> bool:
    """Whether a value is not stretched to its place."""
    stretched = (lengths.static(have) == 1 and have is not n for have, n in zip(y.type.axes, x.type.axes, strict=True))
    return not any(s for a, s in enumerate(stretched) if a != axis) and lengths.static(y.type.axes[axis]) != 1


def _is_zero(x: Node) -> bool:
    value = x.inputs[0] if x.op == "alloc" else x
    return is_const(value) and uniform(value) == 0


def _of_concatenation(x: Node) -> Patchwork | None:
    """The pieces of a concatenation whose places are numbers."""
    axis, pieces, at = x.attr("axis"), {}, 0
    for k, part in enumerate(x.inputs):
        width = END if k == len(x.inputs) - 1 else _width(part.type.axes[axis])
        if width is None:
            return None
        stop = END if width == END else at + width
        if not _is_zero(part):
            pieces[at, stop] = part
        at = stop
    return Patchwork(axis, pieces)


def _width(length: Node) -> int | None:
    """How long a part is where the axis reaches beyond it: a number, or the length of some [start, stop).

    Obligations make that length the one of the part's own place. So it is as wide, or both places end with the axis,
    and what lies behind them has no elements."""
    known = lengths.static(length)
    if known is not None:
        return known
    sums = length.inputs if length.op == "maximum" else (length,)
    factors = dict.fromkeys(f for x in sums for product in lengths.products(x) for f in product)
    starts = (0, *(-c for f in factors if (c := lengths.static(f)) is not None and c < 0))
    for m in factors:
        for i in m.inputs if m.op == "minimum" else ():
            stop = lengths.static(i)
            for start in starts if stop is not None else ():
                assert stop is not None
                if start < stop and any(_span(w, start, stop) is length for w in m.inputs if w is not i):
                    return stop - start
    return None


def _span(whole: Node, start: int, stop: int) -> Node:
    """The length of [start, stop) of an axis of this length."""
    end = whole if stop == END else lengths.minimum(whole, lengths.const(stop))
    return lengths.maximum(lengths.sub(end, lengths.const(start)), lengths.const(0))


def _concatenation(like: Node, axis: int, pieces: dict[tuple[int, int], Node]) -> Node | None:
    whole = like.type.axes[axis]
    parts: list[Node] = []
    at, total = 0, lengths.const(0)
    spans = sorted(pieces)
    if spans[-1][1] != END:
        spans.append((END, END))
    for start, stop in spans:
        if start > at:
            length = lengths.sub(whole, total) if start == END else _span(whole, at, start)
            if lengths.static(length) != 0:
                axes = [length if a == axis else n for a, n in enumerate(like.type.axes)]
                parts.append(build("alloc", number(0, like.type.dtype, 0), *axes))
                total = lengths.add(total, length)
        if start < stop:
            v = pieces[start, stop]
            parts.append(v)
            total = lengths.add(total, v.type.axes[axis])
        at = stop
    return build("concatenate", *parts, axis=axis) if len(parts) > 1 else parts[0]


PATCHWORK = [rule("add-pieces", "add(x, y)", _join, licence=SIGN)]

__all__ = ["PATCHWORK"]
