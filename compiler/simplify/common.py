"""What rules of several subjects ask of nodes, and the weights that measures are made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from ..ir import lengths
from ..ir.dtypes import COMPLEX, HALF, INTEGER, REAL_FLOAT
from ..ir.interp.values import MEANING
from ..ir.node import Node, build, constant, topological
from ..ir.pattern import Bindings, number, uniform
from ..ir.rewrite import Condition, Licence, Operands, Rule

# The rows of the table in docs/semantics.md that rules rest on.
ROUNDING = "L1 rounding"
STABLE = "L2 made finite"
ZERO = "L3 zero"
DIFFERENCE = "L4 difference"
QUOTIENT = "L5 quotient"
INVERSE = "L6 inverse pairs"
SIGN = "L7 sign of zero"
FOLDING = "L8 constant folding"
SUMS = "L9 sums of broadcasts"
SELF = "L13 comparison to itself"
INTEGERS = "L14 integers"
BRANCHES = "L16 branches"

VIEWS = ("dimshuffle", "alloc")  # that show all elements, along more axes


def is_const(n: Node) -> bool:
    return uniform(n) is not None


def is_real(n: Node) -> bool:
    return n.dtype not in COMPLEX


def is_float(n: Node) -> bool:
    return n.dtype in REAL_FLOAT


def is_integer(n: Node) -> bool:
    return n.dtype in INTEGER


def same_extent(a: Node, b: Node) -> bool:
    """Whether two tensors of one rank are stretched along the same axes, so that work on one is work on the other."""
    return a.type.broadcastable == b.type.broadcastable


def computed(op: str, *args: Node) -> Node:
    """The constant that an elementwise operation makes of uniform constants."""
    return _value(build(op, *[number(uniform(a), a.dtype, a.ndim) for a in args]))


@lru_cache(256)
def _value(node: Node) -> Node:
    with np.errstate(all="ignore"):
        return constant(MEANING[node.op](node, [i.attr("value").array for i in node.inputs], None), node.dtype)


def sound(op: str, *args: Node) -> Node | None:
    """`computed`, unless a finite result is out of reach or a factor would vanish, or lose digits below the smallest
    normal number."""
    out = computed(op, *args)
    value = uniform(out)
    if isinstance(value, float):
        tiny = op in ("mul", "truediv") and abs(value) < np.finfo(out.dtype).smallest_normal
        if tiny or not math.isfinite(value):
            return None
    return out


def rule(
    name: str,
    pattern: str,
    replacement: Any,
    where: Condition | None = None,
    licence: Licence = None,
    operands: Operands | None = None,
) -> Rule:
    """A rule; one that changes roundings leaves float16 and bfloat16 alone, whose values are rounded at each node."""
    names = (licence,) if isinstance(licence, str) else licence or ()
    if ROUNDING not in names and SUMS not in names:
        return Rule(name, pattern, replacement, where, licence, operands)

    def condition(found: Bindings, node: Node) -> bool:
        if where is not None and not where(found, node):  # first: it knows what has no dtype, a tuple
            return False
        return node.dtype not in HALF or node.op in _EXACT_FOLDS

    return Rule(name, pattern, replacement, condition, licence, operands)


_EXACT_FOLDS = frozenset({"max", "min"})


def real_rule(
    name: str, pattern: str, replacement: Any, where: Condition | None = None, licence: Licence = None
) -> Rule:
    """A rule for real dtypes; complex arithmetic has other rounding, infinities and branch cuts."""

    def condition(found: Bindings, node: Node) -> bool:
        if node.type.dtype in COMPLEX:
            return False
        for i in node.inputs:
            if i.type.dtype in COMPLEX:
                return False
        for v in found.values():  # what the pattern found, too: in sqr(abs(x)) only x is complex
            if isinstance(v, Node) and getattr(v.type, "dtype", "") in COMPLEX:
                return False
        return where is None or where(found, node)

    return rule(name, pattern, replacement, condition, licence)


def pad(x: Node, ndim: int) -> Node:
    """x with axes of length 1 in front."""
    missing = ndim - x.ndim
    return build("dimshuffle", x, order=("x",) * missing + tuple(range(x.ndim))) if missing else x


def uncovered(y: Node, views: Collection[str]) -> list[Node]:
    """From y through views to what it shows, all of them."""
    path = [y]
    while path[-1].op in views:
        path.append(path[-1].inputs[0])
    return path


def extreme_of(shift: Node, fold: str) -> tuple[Node, tuple[int, ...]] | None:
    """x and axes where `shift` is max(x) or min(x) over those axes, each at the elements that it was taken from.
    One that is infinite may be shown as 0 (the stable form of a sum of exponentials has it so)."""
    view = uncovered(shift, ("alloc",))[-1]
    if view.op != "dimshuffle":
        return None
    (top,) = view.inputs
    if top.op == "switch" and top.inputs[0].op == "isinf" and top.inputs[0].inputs[0] is top.inputs[2]:
        top = top.inputs[2]
    if top.op != fold:
        return None
    (x,), axes = top.inputs, top.attr("axes")
    kept = iter(range(top.ndim))
    return (x, axes) if view.attr("order") == tuple("x" if a in axes else next(kept) for a in range(x.ndim)) else None


def anchored(e: Node, axes: tuple[int, ...]) -> bool:
    """Whether e is exp(x - max(x)), the maximum over these axes: the largest is 1, or all are 0 or NaN."""
    if e.op != "exp" or e.inputs[0].op != "sub":
        return False
    x, shift = e.inputs[0].inputs
    return extreme_of(shift, "max") == (x, axes)


def is_extreme(shift: Node, fold: str, x: Node) -> bool:
    """Whether `shift` is the maximum (minimum) of x at the elements that it was taken from, and no 0 in place of an
    infinite one: x - 0 may have any sign there."""
    found = extreme_of(shift, fold)
    return found is not None and found[0] is x and uncovered(shift, VIEWS)[-1].op == fold


def readers(roots: Sequence[Node]) -> Counter[Node]:
    """How often each node is read: by others that the roots are made of, or as a root."""
    return Counter(chain(roots, (i for n in topological(roots) for i in n.inputs)))


def ones(x: Node) -> tuple[int, ...]:
    """The axes whose length is known to be 1."""
    return tuple(a for a, one in enumerate(x.type.broadcastable) if one)


def extent(node: Node) -> int:
    """1 and the number of axes along which there is something to do."""
    return 1 + sum(not one for one in node.type.broadcastable)


_WEIGHTS = {
    "const": 0, "dim": 0, "param": 0, "length": 0, "dimshuffle": 1, "alloc": 2, "scatter": 30, "sigmoid": 12,
    "softplus": 12,
}  # fmt: skip


def weight(node: Node) -> int:
    """A number that grows with the cost of a node: its kind, times the extent of what it works on.

    int64 scalars are free: they are lengths.
    """
    t: Any = node.type
    if not hasattr(t, "axes") or (t.dtype == "int64" and not t.axes):
        return 0
    if node.op == "gather":  # an index map: what it reads from does not matter
        return 2 * extent(node)
    base = 10 + 2 * len(node.attr("axes")) if node.family == "reduce" else _WEIGHTS.get(node.op)
    if base is None:
        cheap = node.family == "elementwise" and not node.definition.costly
        base = {"pow": 30, "neg": 3}.get(node.op) or (4 if cheap or node.family == "view" else 10)
    return base * max([extent(node), *(extent(i) for i in node.inputs if hasattr(i.type, "axes"))])


def length_number(n: Node, dtype: str, ndim: int) -> Node:
    """A length as a tensor of one element."""
    return pad(build("cast", n, dtype=dtype), ndim)


def static_size(node: Node) -> int | None:
    sizes = [lengths.static(a) for a in node.axes]
    return math.prod(sizes) if None not in sizes else None  # type: ignore[arg-type]


__all__ = [
    "anchored", "computed", "extent", "extreme_of", "is_const", "is_extreme", "is_float", "is_integer", "is_real",
    "length_number", "ones", "pad", "readers", "real_rule", "rule", "same_extent", "sound", "static_size", "uncovered",
    "weight",
]  # fmt: skip
