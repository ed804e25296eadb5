"""Quotients by what has fewer elements: one division for each of those, and a multiplication for each element.

    x / sqrt(s)   ->   x * (1 / sqrt(s))        s of each row, x of each element

Only where the reciprocal is a normal number, or as infinite, zero or NaN as the quotient would be: of square roots,
which lie between 2^-75 and 2^64 (float64: 2^-537 and 2^512), and of sums of exponentials, the largest of them 1.
A vector division takes as long as ten multiplications.
"""

from __future__ import annotations

from ..ir.dtypes import promote
from ..ir.node import Node, Region, build, make
from ..ir.pattern import Bindings, uniform
from ..ir.regions import nested_nodes
from ..ir.rewrite import Pass, weigh
from .common import ROUNDING, VIEWS, anchored, extent, is_float, real_rule, uncovered, weight

_LARGEST = 2.0**60  # of a constant that is added to a root, or bounds it
_DEPTH = 4  # operations between a divisor and the root or sum in it


def _tame(s: Node, depth: int = _DEPTH) -> bool:
    """Whether 1 / s is a normal number for every s that is neither zero, infinite nor NaN."""
    if s.op == "sqrt":
        return True
    if s.op == "sum":
        return anchored(s.inputs[0], s.attr("axes"))
    if s.op == "cast" and depth:  # to more digits: numbers that are normal stay it
        x = s.inputs[0]
        return is_float(x) and promote(x.dtype, s.dtype) == s.dtype and _tame(uncovered(x, VIEWS)[-1], depth - 1)
    if s.op in ("add", "maximum") and depth:
        for r, c in (s.inputs, s.inputs[::-1]):
            value = uniform(c)
            if isinstance(value, float) and (not value or _smallest(s) <= value <= _LARGEST):
                return _tame(uncovered(r, VIEWS)[-1], depth - 1)
    return False


def _smallest(s: Node) -> float:
    """The least normal number: what is below, as a constant may be, has an infinite reciprocal."""
    return 2.0**-1022 if s.dtype == "float64" else 2.0**-126


def _by_reciprocal(b: Bindings, node: Node) -> Node | None:
    path = uncovered(b["y"], VIEWS)
    root = path[-1]
    if not is_float(node) or extent(root) >= extent(node) or not _tame(root):
        return None
    y = build("reciprocal", root)
    for view in reversed(path[:-1]):
        y = make(view.op, (y, *view.inputs[1:]), view.attrs)
    return build("mul", b["x"], y)


QUOTIENTS = [real_rule("div-by-few", "truediv(x, y)", _by_reciprocal, licence=ROUNDING)]

_heavy = weigh(weight)


def measure(r: Region) -> tuple[int, int]:
    """How many divisions there are, then the weight."""
    return sum(n.op == "truediv" for _, nodes in nested_nodes(r) for n in nodes), _heavy(r)


quotients = Pass("quotients", QUOTIENTS, measure)

__all__ = ["quotients"]
