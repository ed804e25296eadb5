"""What is known of the signs of values, and operations that take less where it is.

    exp(x)   ->   exp(x; nonpositive=True)      x <= 0 or NaN wherever it is a number

as in softmax(x) = exp(x - max(x)) / ..., exp(-x * x), exp(-abs(x)): nothing overflows, one power of two scales. A fact
holds of every element, NaN apart, whatever the arguments are: what is squared, roots, exponentials, what a maximum is
taken from, and what follows from those.
"""

from __future__ import annotations

from ..ir.dtypes import REAL_FLOAT
from ..ir.node import Node, Region, make
from ..ir.pattern import Bindings, uniform
from ..ir.regions import nested_nodes
from ..ir.rewrite import Pass, weigh
from .common import is_extreme, rule, weight

Sign = int  # 1: nowhere negative, -1: nowhere positive, 0: not known
Signs = dict[Node, Sign]

_NONNEGATIVE = frozenset({"sqr", "abs", "exp", "exp2", "sqrt", "sigmoid", "softplus", "erfc", "cosh", "acos", "acosh"})
# Whose results have the sign of the argument, or are elements of it.
_ODD = frozenset({
    "sgn", "floor", "ceil", "trunc", "round", "expm1", "log1p", "tanh", "sinh", "asin", "atan", "asinh", "atanh",
    "cbrt", "erf", "erfinv", "cast", "sum", "max", "min", "dimshuffle", "reshape", "slice", "alloc", "gather",
    "rebroadcast",
})  # fmt: skip


def _sign(n: Node, known: Signs) -> Sign:
    """Of a node, from those of its inputs."""
    op = n.op
    if op == "const":
        value = uniform(n)
        return 0 if not isinstance(value, float) else 1 if value >= 0 else -1 if value <= 0 else 0
    if op in _NONNEGATIVE:
        return 1
    of = [known.get(i, 0) for i in n.inputs]
    if op in _ODD:
        return of[0]
    if op == "neg":
        return -of[0]
    if op == "mul":
        return 1 if n.inputs[0] is n.inputs[1] else of[0] * of[1]
    if op == "truediv":  # zeros have signs: 1 / -0.0 is negative, though -0.0 is not
        divisor = uniform(n.inputs[1])
        return of[0] * of[1] if isinstance(divisor, float) and divisor else 0
    if op == "sub":
        a, b = n.inputs
        if is_extreme(b, "max", a) or is_extreme(a, "min", b):
            return -1
        if is_extreme(b, "min", a) or is_extreme(a, "max", b):
            return 1
        return of[0] if of[0] == -of[1] else 0
    if op == "add":
        return of[0] if of[0] == of[1] else 0
    if op in ("maximum", "minimum"):
        best = 1 if op == "maximum" else -1
        either = best in of or any(uniform(i) == 0 for i in n.inputs)
        return best if either else of[0] if of[0] == of[1] else 0
    if op == "switch":
        return of[1] if of[1] == of[2] else 0
    return 0


def signs(r: Region) -> Signs:
    """Of all nodes of a region of which one is known."""
    known: Signs = {}
    for n in r.nodes():
        if getattr(n.type, "dtype", "") in REAL_FLOAT and (sign := _sign(n, known)):
            known[n] = sign
    return known


def _nonpositive(b: Bindings, node: Node, known: Signs) -> Node | None:
    if node.attrs or node.dtype not in REAL_FLOAT or known.get(node.inputs[0]) != -1:
        return None
    return make("exp", node.inputs, (("nonpositive", True),))


def measure(r: Region) -> tuple[int, int]:
    """How many exponentials nothing is known of, then the weight."""
    return sum(n.op == "exp" and not n.attrs for _, nodes in nested_nodes(r) for n in nodes), _heavy(r)


_heavy = weigh(weight)

nonpositive = Pass("signs", [rule("exp-nonpositive", "exp(x)", _nonpositive)], measure, signs)

__all__ = ["nonpositive", "signs"]
