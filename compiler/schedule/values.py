"""What fusion asks of values: what they cost, what they share, whether they lie in memory, which lengths are equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Check, Node, is_early, topological
from ..ir.types import TensorType, TupleType
from .uses import ONE, OPAQUE, Labels, is_one

CHEAP_COST, FOLD_COST = 0.2, 2.0
NOMINAL = 1000  # a length that is not known, where fusions are compared
NEARBY = 64  # nodes within which values that two kernels compute are looked for


def equal_lengths(checks: Iterable[Check]) -> dict[Node, Node]:
    """Lengths that obligations make equal before anything runs, and one that stands for all, a number if there is
    one."""
    found: dict[Node, Node] = {}

    def find(n: Node) -> Node:
        while n in found:
            n = found[n]
        return n

    for c in checks:
        if c.kind != "eq" or not all(map(is_early, c.operands)):
            continue
        a, b = map(find, c.operands)
        if a is not b:
            a, b = (b, a) if b.op == "const" else (a, b)
            found[b] = a
    return {n: find(n) for n in found}


def host_leaves(n: Node, known: dict[Node, tuple[Node, ...]]) -> tuple[Node, ...]:
    """What the host has to have to compute a scalar: lengths that operations give, and values in memory. `known`
    remembers that of every scalar on the way."""

    def is_computed(m: Node) -> bool:
        return m.family == "elementwise" and not is_early(m)

    for m in topological([n], lambda m: m.inputs if m not in known and is_computed(m) else ()):
        if m not in known and is_computed(m):
            known[m] = tuple(dict.fromkeys(x for i in m.inputs for x in known[i]))
        elif m not in known:
            known[m] = () if is_early(m) else (m,)
    return known[n]


def nearby(
    roots: Iterable[Node], limit: int, met: Callable[[Node], bool], through: Callable[[Node], bool]
) -> set[Node]:
    """The nodes from the roots on, at most `limit`: those that `met` accepts, behind those that `through` lets pass."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack and len(seen) < limit:
        n = stack.pop()
        if n not in seen and met(n):
            seen.add(n)
            if through(n):
                stack.extend(n.inputs)
    return seen


def costly_sources(roots: Iterable[Node]) -> set[Node]:
    """Reductions and costly operations that values are computed from nearby, not looking behind steps."""

    def fused(n: Node) -> bool:
        return n.family in ("elementwise", "view", "reduce") and (isinstance(n.type, TupleType) or n.ndim != 0)

    found = nearby(roots, NEARBY, fused, lambda n: True)
    return {n for n in found if n.family == "reduce" or (n.family == "elementwise" and not is_cheap(n))}


def steps_of(root: Node, most: int) -> int:
    """How many elementwise operations a value takes from what is in memory, counted as far as tells `most` of them."""
    found = nearby(
        [root], 2 * most, lambda n: n.family in ("elementwise", "view") and not in_memory(n), lambda n: True
    )
    return sum(n.family == "elementwise" for n in found)


def folds(roots: Iterable[Node]) -> set[tuple]:
    """What is folded, and how, by reductions and those that pointwise values are computed from."""
    found = nearby(roots, 16, lambda n: True, lambda n: n.family == "elementwise" or n.op == "dimshuffle")
    return {(n.attr("axes"), n.inputs[0].type.axes) for n in found if n.family == "reduce"}


def is_stored(x: Node) -> bool:
    """Whether a node is itself a tensor in memory whatever fusion does."""
    return not x.definition.virtual and in_memory(x)


def in_memory(x: Node) -> bool:
    """Whether a node is, seen through views, a tensor that lies in memory whatever fusion does."""
    while x.definition.virtual and x.inputs:
        x = x.inputs[0]
    return x.op in ("param", "const") or (x.op == "item" and x.inputs[0].family != "reduce") or x.family == "procedural"


def is_aligned(labels: Labels, n: Node) -> bool:
    """Whether every axis is read at a loop variable, each axis at another."""
    if ONE not in labels:
        return OPAQUE not in labels and len(set(labels)) == len(labels)
    loops = [lab for lab in labels if lab != ONE]
    axes = n.type.items[0].axes if isinstance(n.type, TupleType) else n.type.axes
    if any(lab == ONE and not is_one(a) for lab, a in zip(labels, axes, strict=True)):
        return False
    return OPAQUE not in loops and len(set(loops)) == len(loops)


def cost_of(n: Node) -> float:
    """What a value adds to the C of a kernel, in functions: a fold is loops over lanes, in two forms perhaps."""
    if n.family == "reduce":
        return FOLD_COST
    return 1.0 if n.definition.costly else CHEAP_COST


def is_cheap(n: Node) -> bool:
    """Whether a pointwise value may be computed again rather than stored."""
    return n.family == "elementwise" and not n.definition.costly


def may_inline(n: Node) -> bool:
    """Whether a value may be computed at the one computed place where it is read."""
    return n.family == "elementwise" or (n.family == "view" and not n.definition.virtual)


def nominal_bytes(t: TensorType) -> int:
    known = [lengths.static(a) for a in t.axes]
    return DTYPES[t.dtype].itemsize * math.prod(NOMINAL if k is None else k for k in known) if t.axes else 0
