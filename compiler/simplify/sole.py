"""Forms that pay where an operand has no other reader: else that is computed as well, and twice the work is done."""

from __future__ import annotations

from collections import Counter

from ..ir.node import Node, Region, build
from ..ir.pattern import Bindings, number
from ..ir.regions import nested_nodes
from ..ir.rewrite import Pass, weigh
from .common import STABLE, readers, real_rule, weight


def _sigmoid(b: Bindings, node: Node, count: Counter[Node]) -> Node | None:
    """1 + tanh(x) = 2 sigmoid(2 x), 1 - tanh(x) = 2 sigmoid(-2 x), where they are small to full precision."""
    x = b["x"]
    if any(count[i] != 1 for i in node.inputs if i.op == "tanh"):
        return None
    scale = number(2 if node.op == "add" else -2, x.dtype, x.ndim)
    return build("mul", number(2, x.dtype, x.ndim), build("sigmoid", build("mul", scale, x)))


def measure(r: Region) -> tuple[int, int]:
    """How many hyperbolic tangents there are, then the weight."""
    return sum(n.op == "tanh" for _, nodes in nested_nodes(r) for n in nodes), _heavy(r)


_heavy = weigh(weight)

sole = Pass("sole", [
    real_rule("one-plus-tanh", "add(1, tanh(x))", _sigmoid, licence=STABLE),
    real_rule("one-minus-tanh", "sub(1, tanh(x))", _sigmoid, licence=STABLE),
], measure, lambda r: readers(r.roots()))  # fmt: skip

__all__ = ["sole"]
