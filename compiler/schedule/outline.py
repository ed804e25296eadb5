"""Cuts the operations of one kernel out of the region: a closed body, and the `kernel` node that calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import lengths
from ..ir.node import Node, build, make, rebuild, region, topological
from ..ir.types import TupleType

if TYPE_CHECKING:
    from .clusters import Cluster


BOUNDS = ("maximum", "minimum", "floordiv", "mod", "switch")  # what a sum of products of lengths may be made of besides
LONG = 24  # terms of one of them from which on the host computes it: a chain of slices would double them with each


def outline(
    cluster: Cluster,
    stored: list[Node],
    home: dict[Node, Cluster],
    by_value: set[Node],
    new: dict[Node, Node],
    parts: dict[Node, Node],
    equal: dict[Node, Node],
    terms: dict[Node, int],
) -> Node:
    """The `kernel` node computing `stored`. `new` maps what earlier steps made; inputs are resolved through it. `parts`
    are the values that are written where a concatenation lies. Of lengths that are `equal` the kernel
    takes one; long ones the host computes for it. `terms` remembers how long they are.
    """
    wanted = stored + [
        a for s in stored for a in (s.type.items[0].axes if isinstance(s.type, TupleType) else s.type.axes)
    ]
    inside, cuts = _collect(wanted, cluster, home, by_value, new, set(parts.values()), terms)
    scalars = [c for c in cuts if c.ndim == 0 and c.type.dtype == "int64"]
    tensors = [c for c in cuts if not (c.ndim == 0 and c.type.dtype == "int64")]
    inside_of = [_extent(parts[s]) if s in parts else None for s in stored]
    scalars += dict.fromkeys(e[1] for e in inside_of if e is not None and e[1].op != "const" and e[1] not in scalars)
    stands = _stand_ins([*scalars, *inside], stored, equal)
    scalars = list(dict.fromkeys(r for r in (stands.get(c, c) for c in scalars) if r.op != "const"))
    scalars += [r for r in dict.fromkeys(stands.values()) if r.op == "dim" and r not in scalars]
    inner: dict[Node, Node] = {r: r for r in stands.values() if r.op == "const"}
    whole = {e[1] for e in inside_of if e is not None}
    least = [0 if c in whole else _least(c) for c in scalars]
    params = [
        build("param", token=k, dtype="int64", kind="length" if lengths.nonneg(c) else "dense")
        for k, c in enumerate(scalars)
    ]
    for c, p, low in zip(scalars, params, least, strict=True):
        inner[c] = lengths.add(p, lengths.const(low)) if low else p
    inner |= {c: inner[r] for c, r in stands.items()}
    for k, c in enumerate(tensors, len(scalars)):
        axes = [rebuild(a, inner) for a in c.type.axes]
        inner[c] = build("param", *axes, token=k, dtype=c.type.dtype, kind=c.type.kind)
        params.append(inner[c])
    for n in inside:
        if n not in inner:
            inner[n] = make(n.op, [inner[i] for i in n.inputs], n.attrs)
    outputs: list[Node] = []
    layout: list[tuple[int, ...]] = []
    outer = sorted(cluster.outer) if cluster.outer is not None else list(range(len(cluster.lengths)))
    number = {lab: k for k, lab in enumerate(outer + [k for k in range(len(cluster.lengths)) if k not in outer])}
    for s in stored:
        labels = tuple(-1 if lab is None or lab < 0 else number[lab] for lab in cluster.labels[s])
        values = (
            [build("item", inner[s], index=p) for p in range(len(s.type.items))]
            if isinstance(s.type, TupleType)
            else [inner[s]]
        )
        for p in values:
            outputs.append(p)
            layout.append(labels)
    body = region(params, outputs)
    given = [lengths.sub(c, lengths.const(low)) if low else c for c, low in zip(scalars, least, strict=True)]
    inputs = [rebuild(c, new) for c in (*given, *tensors)]
    attrs = {"body": body, "layout": tuple(layout), "outer": len(outer)}
    if any(e is not None for e in inside_of):  # such values are no tuples: one output each
        extents = [None if e is None else (e[0], stands.get(e[1], e[1])) for e in inside_of]
        attrs["within"] = tuple(
            None if e is None
            else (e[0], "const", lengths.static(e[1])) if e[1].op == "const"
            else (e[0], "param", scalars.index(e[1]))
            for s, e in zip(stored, extents, strict=True)
            for _ in (s.type.items if isinstance(s.type, TupleType) else (s,))
        )  # fmt: skip
    return build("kernel", *inputs, **attrs)


def _stand_ins(nodes: list[Node], stored: list[Node], equal: dict[Node, Node]) -> dict[Node, Node]:
    """Lengths of a kernel, and what it takes in place of them. Those of its outputs stay: they are in the types of what
    reads them."""
    if not equal:
        return {}
    axes = [a for s in stored for t in (s.type.items if isinstance(s.type, TupleType) else (s.type,)) for a in t.axes]
    kept = {n: None for n in topological(axes) if n.op == "dim"}
    own = {equal.get(n, n): n for n in reversed(kept)}
    out: dict[Node, Node] = {}
    for n in nodes:
        r = equal.get(n, n)
        r = r if r.op == "const" else own.get(r, r)
        if r is not n and r.op in ("const", "dim") and n not in kept and n not in axes:
            out[n] = r
    return out


def _least(length: Node) -> int:
    """What a length that the host computes is at least: a slice of its first element has length 1 if it is 1."""
    found = lengths.interval(length) if length.family == "elementwise" and lengths.nonneg(length) else None
    return 0 if found is None else max(found[0], 0)


def _terms(length: Node, known: dict[Node, int]) -> int:
    """How many terms a length has that is written out, what it repeats counted again; 0 for what is not made of
    lengths, integer arguments and numbers alone."""

    def is_made(n: Node) -> bool:
        return n.family == "elementwise" and is_whole(n)

    def is_whole(n: Node) -> bool:
        return not n.ndim and n.type.dtype in ("int64", "bool")

    for n in topological([length], lambda n: n.inputs if n not in known and is_made(n) else ()):
        if n not in known:
            leaf = n.op in ("dim", "length", "const", "param") and is_whole(n)
            parts = [known[i] for i in n.inputs] if is_made(n) else [int(leaf)]
            known[n] = sum(parts) if all(parts) else 0
    return known[length]


def _extent(whole: Node) -> tuple[int, Node] | None:
    """The axis of a concatenation and its length; None where parts are contiguous in it."""
    axis = whole.attr("axis")
    if all(lengths.static(a) == 1 for a in whole.type.axes[:axis]):
        return None
    return axis, whole.type.axes[axis]


def uniform(n: Node) -> object | None:
    """The one value of a constant whose elements are all equal; None for others."""
    array = n.attr("value").array
    if array.ndim == 0:
        return array[()]
    if array.size == 0:
        return None
    first = array.reshape(-1)[0]
    return first if array.tobytes() == first.tobytes() * array.size else None


def _collect(
    roots: list[Node],
    cluster: Cluster,
    home: dict[Node, Cluster],
    by_value: set[Node],
    new: dict[Node, Node],
    assembled: set[Node],
    terms: dict[Node, int],
) -> tuple[list[Node], list[Node]]:
    """Nodes of the body in order, and the nodes it is cut at: values in memory and host scalars."""
    cuts: dict[Node, None] = {}

    def is_cut(n: Node) -> bool:
        if n.op == "const":
            return uniform(n) is None
        if n in assembled:
            return True
        if n.op in ("add", *BOUNDS) and _terms(n, terms) > LONG:
            return True
        family = n.family
        if n.op in ("param", "dim", "length") or family in ("procedural", "control", "kernel"):
            return True
        if n.op == "item":
            return n.inputs[0].family != "reduce" or home.get(n.inputs[0]) is not cluster
        if 0 < _terms(n, terms) <= LONG and lengths.nonneg(n):
            return False  # a length: of an argument one would not know what follows from what it is made of
        place = home.get(n)
        if n in by_value and place is not cluster:
            return True
        if place is not None and place is not cluster and n in place.stores:
            return True
        return n in new and family not in ("elementwise", "view", "reduce", "leaf")

    def before(n: Node) -> tuple[Node, ...]:
        if not is_cut(n):
            return n.inputs
        cuts[n] = None
        return n.type.axes

    order = topological(roots, before)
    return [n for n in order if n not in cuts], list(cuts)
