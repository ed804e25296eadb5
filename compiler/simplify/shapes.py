"""Shapes: rearrangements that meet, do nothing, or stretch what stretches by itself; reductions moved to where there is
less to reduce."""

from __future__ import annotations

import cmath
from typing import Any

from ..ir import lengths
from ..ir.dtypes import COMPLEX, DISCRETE, INTEGER
from ..ir.node import Node, build, constant, make, renumber
from ..ir.ops.view import walk_spec
from ..ir.pattern import Bindings, number, uniform
from ..ir.rewrite import Pass, weigh
from .common import BRANCHES, ROUNDING, SIGN, SUMS, is_const, length_number, ones, pad, rule, weight
from .patchwork import PATCHWORK

# ---- dimshuffle, reshape --------------------------------------------------------------------------------------------


def _shuffled(x: Node, order: tuple[Any, ...]) -> Node:
    if x.op == "dimshuffle":
        order = tuple(o if o == "x" else x.attr("order")[o] for o in order)
        x = x.inputs[0]
    return x if order == tuple(range(x.ndim)) else build("dimshuffle", x, order=order)


def _dimshuffle_twice(b: Bindings, node: Node) -> Node:
    return _shuffled(node.inputs[0], b["o"])


def _dimshuffle_alloc(b: Bindings, node: Node) -> Node | None:
    """dimshuffle(alloc(x)) -> alloc(dimshuffle(x)): the stretching goes outwards, where it meets its like."""
    x, order = b["x"], b["o"]
    ahead = len(b["n"]) - x.ndim
    new = tuple("x" if o == "x" or o < ahead else o - ahead for o in order)
    if any(a not in new and a not in ones(x) for a in range(x.ndim)):
        return None
    while new and new[0] == "x":  # alloc aligns at the last axis
        new = new[1:]
    return build("alloc", _shuffled(x, new), *node.axes)


def _reshape_as_dimshuffle(b: Bindings, node: Node) -> Node | None:
    """A reshape that only adds and drops axes of length 1."""
    x = b["x"]
    have = [a for a in range(x.ndim) if a not in ones(x)]
    want = [a for a in range(node.ndim) if a not in ones(node)]
    if [x.axes[a] for a in have] != [node.axes[a] for a in want]:
        return None
    place = dict(zip(want, have, strict=True))
    return _shuffled(x, tuple(place.get(a, "x") for a in range(node.ndim)))


def _in_order(b: Bindings, node: Node) -> bool:
    """Whether a dimshuffle only adds and drops axes."""
    kept = [o for o in b["o"] if o != "x"]
    return kept == sorted(kept)


def _concatenate_fewer(b: Bindings, node: Node) -> Node | None:
    """Parts without elements go; one stays where there is no other."""
    parts = [x for x in node.inputs if lengths.static(x.axes[b["k"]]) != 0] or list(node.inputs[:1])
    return None if len(parts) == len(node.inputs) else build("concatenate", *parts, axis=b["k"])


ORDER = [
    rule("dimshuffle-identity", "dimshuffle(x; order=o)", "x", lambda b, node: b["o"] == tuple(range(b["x"].ndim))),
    rule("dimshuffle-dimshuffle", "dimshuffle(dimshuffle(x); order=o)", _dimshuffle_twice),
    rule("dimshuffle-alloc", "dimshuffle(alloc(x, *n); order=o)", _dimshuffle_alloc),
    rule("reshape-as-dimshuffle", "reshape(x, *n)", _reshape_as_dimshuffle),
    rule("reshape-reshape", "reshape(reshape(x, *m), *n)", "reshape(x, *n)"),
    rule("reshape-dimshuffle", "reshape(dimshuffle(x; order=o), *n)", "reshape(x, *n)", _in_order),
    rule("rebroadcast-known", "rebroadcast(x; axes=a)", "x", lambda b, node: set(b["a"]) <= set(ones(b["x"]))),
    rule("concatenate-one", "concatenate(x)", "x"),
    rule("concatenate-nothing", "concatenate(*xs; axis=k)", _concatenate_fewer),
]


# ---- alloc ----------------------------------------------------------------------------------------------------------


def _alloc_nothing(b: Bindings, node: Node) -> Node | None:
    """An alloc that stretches nothing and adds at most axes of length 1."""
    x = b["x"]
    ahead = node.ndim - x.ndim
    if any(k not in ones(node) for k in range(ahead)) or any(
        one and k + ahead not in ones(node) for k, one in enumerate(x.type.broadcastable)
    ):
        return None
    out = pad(x, node.ndim)
    # A length that is 1 here and not known to be 1 there stays declared.
    return None if out.type.broadcastable != node.type.broadcastable else out


def _alloc_fewer(b: Bindings, node: Node) -> Node | None:
    """alloc aligns at the last axis, so leading axes of length 1 of its value say nothing."""
    order = list(b["o"])
    while order and order[0] == "x":
        order.pop(0)
    if len(order) == len(b["o"]):
        return None
    return build("alloc", _shuffled(b["x"], tuple(order)), *b["n"])


def unstretched(x: Node) -> Node:
    """What an alloc stretches; x itself where it is none."""
    return x.inputs[0] if x.op == "alloc" else x


def _elementwise_unstretched(b: Bindings, node: Node) -> Node | None:
    """Elementwise operations stretch by themselves: allocs among the arguments go, one around the result may stay."""
    plain = [unstretched(x) for x in node.inputs]
    ndim = max(p.ndim for p in plain)
    out = make(node.op, [pad(p, ndim) for p in plain], node.attrs)
    if ndim == node.ndim and out.type.broadcastable == node.type.broadcastable:
        return out
    ones = zip(node.type.broadcastable[node.ndim - ndim :], out.type.broadcastable, strict=True)
    if any(wanted and not own for wanted, own in ones):
        return None  # an alloc says that a length is 1
    return build("alloc", out, *(n if k < node.ndim - ndim or out.type.broadcastable[k - node.ndim + ndim]
                                 else out.axes[k - node.ndim + ndim] for k, n in enumerate(node.axes)))  # fmt: skip


ALLOC = [
    rule("alloc-nothing", "alloc(x, *n)", _alloc_nothing),
    rule("alloc-alloc", "alloc(alloc(x, *m), *n)", "alloc(x, *n)"),
    rule("alloc-leading-ones", "alloc(dimshuffle(x; order=o), *n)", _alloc_fewer),
    rule("elementwise-of-alloc", "elementwise(*xs)", _elementwise_unstretched, operands=lambda ops: "alloc" in ops),
]


# ---- slices ---------------------------------------------------------------------------------------------------------


def _entries(x: Node, indices: tuple[Node, ...], spec: tuple) -> tuple[tuple, list[Node]]:
    """A slice's entries and their bounds, where "all" stands for those that take a whole axis."""
    walked = walk_spec(x, indices, spec)
    rest, bounds, new = list(indices), [], []
    for n, entry, (first, span, step, checks) in zip(x.axes, spec, walked, strict=True):
        count = 1 if entry[0] == "point" else sum(entry[1:3]) if entry[0] == "range" else 0
        mine, rest = rest[:count], rest[count:]
        if entry[0] != "all" and step == 1 and span is n and lengths.static(first) == 0 and not checks:
            new.append(("all",))
        else:
            new.append(entry)
            bounds += mine
    return tuple(new), bounds


def _slice_everything(b: Bindings, node: Node) -> Node | None:
    """Entries that take a whole axis become "all"; a slice of such entries is its argument."""
    spec, bounds = _entries(b["x"], b["i"], b["s"])
    if spec == b["s"]:
        return b["x"] if all(e[0] == "all" for e in spec) else None
    return build("slice", b["x"], *bounds, spec=spec)


def _set_slice_everything(b: Bindings, node: Node) -> Node | None:
    spec, bounds = _entries(b["x"], b["i"], b["s"])
    return None if spec == b["s"] else build("set_slice", b["x"], b["y"], *bounds, spec=spec, mode=b["m"])


def _takes_nothing(b: Bindings, node: Node) -> bool:
    return any(lengths.static(span) == 0 for _, span, _, _ in walk_spec(b["x"], b["i"], b["s"]))


BACKWARDS = ("range", False, False, -1)  # the whole axis from its end


def _slice_twice(b: Bindings, node: Node) -> Node | None:
    """x[i][j] where no axis is cut twice, or reversed twice."""
    inner, outer, i, j = b["s"], b["t"], list(b["i"]), list(b["j"])
    spec, bounds = [], []
    for p, q in zip(inner, outer, strict=True):
        if p == q == BACKWARDS:
            p = q = ("all",)
        elif p[0] != "all" and q[0] != "all":
            return None
        for entry, source in ((p, i), (q, j)):
            count = 1 if entry[0] == "point" else sum(entry[1:3]) if entry[0] == "range" else 0
            bounds += [source.pop(0) for _ in range(count)]
        spec.append(p if q[0] == "all" else q)
    return build("slice", b["x"], *bounds, spec=tuple(spec))


def _slice_alloc(b: Bindings, node: Node) -> Node | None:
    """A slice along axes that were stretched only is a shorter stretch."""
    x, spec = b["x"], b["s"]
    ahead = len(spec) - x.ndim
    if any(e[0] != "all" and k >= ahead and k - ahead not in ones(x) for k, e in enumerate(spec)):
        return None
    return build("alloc", x, *node.axes)


def _slice_iota(b: Bindings, node: Node) -> Node | None:
    """The beginning of a range is a range; one number of it is that number."""
    ((first, span, step, _),) = walk_spec(node.inputs[0], b["i"], b["s"])
    if step == 1 and lengths.static(first) == 0:
        return build("iota", span, dtype=node.dtype)
    if b["s"][0][0] == "point":
        return pad(build("cast", first, dtype=node.dtype), 1)
    return None


def _whole(b: Bindings, node: Node) -> bool:
    """Whether all is set, by a value that is known to be of length 1 where the target is."""
    y = b["y"]
    known = {k + node.ndim - y.ndim for k in ones(y)} | set(range(node.ndim - y.ndim))
    return all(e[0] == "all" for e in b["s"]) and set(ones(node)) <= known


SLICES = [
    rule("slice-everything", "slice(x, *i; spec=s)", _slice_everything),
    rule("slice-slice", "slice(slice(x, *i; spec=s), *j; spec=t)", _slice_twice),
    rule("slice-alloc", "slice(alloc(x, *n), *i; spec=s)", _slice_alloc),
    rule("slice-iota", "slice(iota(n), *i; spec=s)", _slice_iota),
    rule("set-slice-everything", "set_slice(x, y, *i; spec=s, mode=m)", _set_slice_everything),
    rule("set-slice-nothing", "set_slice(x, y, *i; spec=s, mode=m)", "x", _takes_nothing),
    rule("set-slice-whole", "set_slice(x, y; spec=s, mode=\"set\")", "y", _whole),
    rule("inc-slice-whole", "set_slice(x, y; spec=s, mode=\"inc\")", "add(x, y)", _whole),
    rule("slice-of-set-slice", "slice(set_slice(x, y, *i; spec=s, mode=\"set\"), *i; spec=s)", "y"),
    rule("cast-iota", "cast(iota(n; dtype=m); dtype=d)", "iota(n; dtype=d)", lambda b, node: b["m"] == "int64"),
    rule("gather-everything", "gather(x, iota(n; dtype=\"int64\"))", "x", lambda b, node: b["n"] is b["x"].axes[0]),
]


# ---- reductions -----------------------------------------------------------------------------------------------------

_PLAIN = ("sum", "prod", "max", "min", "any", "all")


def _plain(b: Bindings, node: Node) -> bool:
    return node.op in _PLAIN


def _drop(x: Node, axes: tuple[int, ...]) -> Node:
    """x without axes of length 1."""
    return _shuffled(x, tuple(a for a in range(x.ndim) if a not in axes))


def _reduce_ones(b: Bindings, node: Node) -> Node | None:
    """Nothing is folded along an axis of length 1."""
    x, axes = b["x"], b["a"]
    single = tuple(a for a in axes if a in ones(x))
    if axes and not single:
        return None
    left = tuple(a - sum(s < a for s in single) for a in axes if a not in single)
    out = _drop(x, single)
    return build(node.op, out, axes=left) if left else out


def _reduce_twice(b: Bindings, node: Node) -> Node | None:
    if node.inputs[0].op != node.op:
        return None
    x, inner = b["x"], b["p"]
    kept = [a for a in range(x.ndim) if a not in inner]
    return build(node.op, x, axes=tuple(sorted((*inner, *(kept[a] for a in b["a"])))))


def _reduce_dimshuffle(b: Bindings, node: Node) -> Node | None:
    """A reduction of permuted axes is one of the axes themselves; what is left is permuted."""
    x, order = b["x"], b["o"]
    reduced = tuple(sorted(order[a] for a in b["a"]))
    if "x" in [order[a] for a in b["a"]]:
        return None
    left = [a for a in range(x.ndim) if a not in reduced]
    out = tuple(o if o == "x" else left.index(o) for k, o in enumerate(order) if k not in b["a"])
    return _shuffled(build(node.op, x, axes=reduced), out)


def _reduce_alloc(b: Bindings, node: Node) -> Node | None:
    """Equal elements: their sum is one of them times their number, their maximum one of them."""
    alloc, axes = node.inputs[0], b["a"]
    x = pad(b["x"], alloc.ndim)
    same = tuple(a for a in axes if a in ones(x) and a not in ones(alloc))
    if not same or (node.op == "sum" and node.dtype not in DISCRETE and node.dtype not in _WIDE):
        return None
    rest = tuple(a for a in axes if a not in same)
    left = [a for a in range(alloc.ndim) if a not in same]
    out = _drop(x, same)
    if rest:
        out = build(node.op, out, axes=tuple(left.index(a) for a in rest))
    if node.op == "sum":
        count = lengths.product(alloc.axes[a] for a in same)
        of = length_number(count, node.dtype, out.ndim)
        value = uniform(b["x"])
        finite = node.dtype in DISCRETE or (value is not None and cmath.isfinite(value))
        empty = not finite and not lengths.static(count)  # of none the sum is 0, whatever they are
        out = build("mul", out, of)
        if empty:
            out = build("switch", build("eq", of, number(0, of.dtype, of.ndim)), number(0, out.dtype, out.ndim), out)
    return out


_WIDE = frozenset({"float32", "float64"}) | COMPLEX  # the others hold few lengths exactly, or none above 65504


def _is_harmless(c: Node, op: str) -> bool:
    """Whether a sum of floats scaled afterwards is the sum of what is scaled: of none it is 0 whatever the factor, and
    what is made smaller first may not overflow."""
    value = uniform(c)
    if not isinstance(value, float) or c.dtype in COMPLEX:
        return False
    return 1 <= abs(value) < cmath.inf if op == "mul" else 0 < abs(value) <= 1


def _sum_scaled(op: str):
    def replacement(b: Bindings, node: Node) -> Node | None:
        """A factor that is the same along the reduced axes comes out of the sum."""
        x, c, axes = b["x"], b["c"], b["a"]
        if any(a not in ones(c) for a in axes) or any(a in ones(x) for a in axes) or node.dtype == "bool":
            return None
        if node.dtype not in DISCRETE and not _is_harmless(c, op):
            return None
        return build(op, build("sum", x, axes=axes), _drop(c, axes))

    return replacement


_EXTREME = {"max": "min", "min": "max"}

REDUCTIONS = [
    rule("reduce-ones", "reduce(x; axes=a)", _reduce_ones, _plain),
    rule("reduce-reduce", "reduce(reduce(x; axes=p); axes=a)", _reduce_twice, _plain, ROUNDING),
    rule("reduce-dimshuffle", "reduce(dimshuffle(x; order=o); axes=a)", _reduce_dimshuffle, _plain, ROUNDING),
    rule("reduce-alloc", "reduce(alloc(x, *n); axes=a)", _reduce_alloc,
         lambda b, node: node.op in ("sum", "max", "min"), SUMS),
    rule("sum-scaled", "sum(mul(x, c); axes=a)", _sum_scaled("mul"), licence=SUMS),
    rule("sum-divided", "sum(truediv(x, c); axes=a)", _sum_scaled("truediv"), licence=SUMS),
    rule("sum-neg", "sum(neg(x); axes=a)", "neg(sum(x; axes=a))", licence=SIGN),
    rule("max-neg", "reduce(neg(x); axes=a)",
         lambda b, node: build("neg", build(_EXTREME[node.op], b["x"], axes=b["a"])),
         lambda b, node: node.op in _EXTREME and b["x"].dtype not in DISCRETE, SIGN),
]  # fmt: skip


# ---- tuples and lengths ---------------------------------------------------------------------------------------------


def _branch(b: Bindings, node: Node) -> Node | None:
    """The branch of an ifelse that is taken for sure. Its obligations have to be none: they would be lost."""
    choice = node.inputs[0]
    condition, *args = choice.inputs
    if choice.op != "ifelse" or not is_const(condition):
        return None
    inner = choice.attr("then" if uniform(condition) else "orelse")
    if inner.checks or any(n.op == "length" for n in inner.nodes()):
        return None
    out = renumber(inner, dict(zip(inner.params, args, strict=True))).outputs[node.attr("index")]
    return out if out.type == node.type else None


def _at_least_zero(b: Bindings, node: Node) -> bool:
    return b["n"].ndim == 0 and b["n"].dtype == "int64" and lengths.nonneg(b["n"])


_FOLDED = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}
FEW = 16  # numbers that are folded one by one


def _of_numbers(b: Bindings, node: Node) -> Node | None:
    """A fold of a few integers that stand side by side, as in `prod(x.shape)`: a number that the host knows early."""
    found: list[Node] = []
    for x in b["xs"]:
        if x.op == "dimshuffle" and x.attr("order") == ("x",):
            found.append(x.inputs[0])
        elif x.op == "const" and x.attr("value").array.size <= FEW:
            found += [constant(v, x.dtype) for v in x.attr("value").array]
        else:
            return None
    if not 0 < len(found) <= FEW:
        return None
    out = found[0]
    for n in found[1:]:
        out = build(_FOLDED[node.op], out, n)
    return out


KNOWN = [
    rule("fold-of-numbers", "reduce(concatenate(*xs; axis=k); axes=a)", _of_numbers,
         lambda b, node: node.op in _FOLDED and node.ndim == 0 and node.inputs[0].ndim == 1 and node.dtype in INTEGER),
    rule("csr-part", "csr_part(csr(d, i, p, n); part=k)", lambda b, node: (b["d"], b["i"], b["p"])[b["k"]]),
    rule("item-of-ifelse", "item(t)", _branch, licence=BRANCHES),
    rule("length-below-zero", "lt(n, 0)", lambda b, node: number(0, "bool", 0), _at_least_zero),
    rule("length-from-zero", "ge(n, 0)", lambda b, node: number(1, "bool", 0), _at_least_zero),
]

shapes = Pass("shapes", [*KNOWN, *ORDER, *ALLOC, *SLICES, *PATCHWORK, *REDUCTIONS], weigh(weight))
