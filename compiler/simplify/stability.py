"""Numerical stability: forms that overflow, or lose digits where terms nearly cancel, become ones that do not."""

from __future__ import annotations

from ..ir.node import Node, Region, build, make
from ..ir.pattern import Bindings, number, uniform
from ..ir.regions import nested_nodes
from ..ir.rewrite import Pass, Rule, weigh
from .common import INVERSE, STABLE, is_float, real_rule, rule, uncovered, weight


def stable(name: str, pattern: str, replacement, where=None) -> Rule:
    """A rule whose result is the mathematical value to more digits, or over a wider range."""
    return real_rule(name, pattern, replacement, where, STABLE)


def _log_of_gathered(b: Bindings, node: Node) -> Node:
    """The logarithm of some elements of a softmax, which may have vanished: those elements of its logarithm."""
    return build("gather", build("sub", b["x"], build("log", b["s"])), *b["i"])


def _opposite(b: Bindings, node: Node) -> bool:
    """Whether n is -x, in any of the forms that the rules of algebra give a negation."""
    n, x = b["n"], b["x"]
    for p, q in ((n, x), (x, n)):
        if p.op == "neg" and p.inputs[0] is q:
            return True
    if n.op != x.op or n.op not in ("sub", "mul", "truediv"):
        return False
    pairs = list(zip(n.inputs, x.inputs, strict=True))
    if n.op == "sub":
        return pairs[0][0] is pairs[1][1] and pairs[1][0] is pairs[0][1]
    unlike = [(uniform(p), uniform(q)) for p, q in pairs if p is not q]
    return len(unlike) == 1 and None not in unlike[0] and unlike[0][0] == -unlike[0][1]


def _real(b: Bindings, node: Node) -> bool:
    return is_float(node)


# ---- sums of exponentials -------------------------------------------------------------------------------------------

_VIEWS = ("dimshuffle", "alloc", "neg")


def _overflow(node: Node) -> list[Node] | None:
    """Where the node needs sum(exp(x)) but not its size: log of it, or exp(x) divided by it. The way there, from an
    argument of the node to the sum; None for any other node, and where x was made small by an extreme of it already."""
    e: Node | None = None
    if node.op == "log":
        path = uncovered(node.inputs[0], _VIEWS)
    elif node.op == "truediv" and node.inputs[0].op == "exp":
        e, path = node.inputs[0], uncovered(node.inputs[1], _VIEWS)
    elif node.op == "mul":
        for e, y in (node.inputs, node.inputs[::-1]):
            path = uncovered(y, _VIEWS)
            if e.op == "exp" and path[-1].op in ("truediv", "reciprocal"):
                path += uncovered(path[-1].inputs[-1], _VIEWS)
                break
    else:
        return None
    total = path[-1]
    if total.op != "sum" or total.inputs[0].op != "exp" or (e is not None and e is not total.inputs[0]):
        return None
    x = total.inputs[0].inputs[0]
    return path if is_float(x) and not _anchored(x) else None


def _anchored(x: Node) -> bool:
    """Whether a maximum or minimum is subtracted near the surface of x."""
    level = [x]
    for _ in range(5):
        if any(n.op in ("max", "min") for n in level):
            return True
        level = [i for n in level if n.family in ("elementwise", "view") for i in n.inputs]
    return False


def _shifted(b: Bindings, node: Node) -> Node | None:
    """The same with x shifted by its maximum (not where that is infinite, which would make NaNs)."""
    path = _overflow(node)
    if path is None:
        return None
    total = path[-1]
    x, axes = total.inputs[0].inputs[0], total.attr("axes")
    top = build("max", x, axes=axes)
    top = build("switch", build("isinf", top), number(0, x.dtype, top.ndim), top)
    kept = iter(range(top.ndim))
    order = tuple("x" if a in axes else next(kept) for a in range(x.ndim))
    e = build("exp", build("sub", x, build("dimshuffle", top, order=order)))
    new = build("sum", e, axes=axes)
    if node.op == "log":
        new = build("add", top, build("log", new))
    for n in reversed(path[:-1]):
        inputs = (*n.inputs[:-1], new) if n.op in ("truediv", "reciprocal") else (new, *n.inputs[1:])
        new = make(n.op, inputs, n.attrs)
    return new if node.op == "log" else build(node.op, e, new)


SUMS = [
    stable("log-sum-exp", "log(x)", _shifted),
    stable("exp-over-sum", "truediv(exp(x), y)", _shifted),
    stable("exp-times-over-sum", "mul(exp(x), y)", _shifted),
]

# ---- one exponential ------------------------------------------------------------------------------------------------

LOGARITHMS = [
    stable("log-exp-div", "log(truediv(exp(x), y))", "sub(x, log(y))"),
    stable("log-div-exp", "log(truediv(y, exp(x)))", "sub(log(y), x)"),
    stable("log-exp-mul", "log(mul(exp(x), y))", "add(x, log(y))"),
    stable("log-gather-softmax", "log(gather(truediv(exp(x), s), *i))", _log_of_gathered),
    stable("log-reciprocal", "log(reciprocal(x))", "neg(log(x))"),
    stable("log-one-div", "log(truediv(1, x))", "neg(log(x))"),
    stable("log-sigmoid", "log(sigmoid(x))", "neg(softplus(neg(x)))"),
    stable("log1p-minus-sigmoid", "log1p(neg(sigmoid(x)))", "neg(softplus(x))"),
    stable("log-one-plus-exp", "log(add(1, exp(x)))", "softplus(x)"),
    stable("log1p-exp", "log1p(exp(x))", "softplus(x)"),
    stable("log-one-plus", "log(add(1, x))", "log1p(x)"),
    stable("log-one-minus", "log(sub(1, x))", "log1p(neg(x))"),
]

EXPONENTIALS = [
    stable("expm1", "sub(exp(x), 1)", "expm1(x)"),
    stable("expm1-add", "add(exp(x), -1)", "expm1(x)"),
    stable("minus-expm1", "sub(1, exp(x))", "neg(expm1(x))"),
    stable("exp-minus-softplus", "exp(neg(softplus(x)))", "sigmoid(neg(x))"),
]

SIGMOIDS = [
    stable("sigmoid", "reciprocal(add(1, exp(neg(x))))", "sigmoid(x)"),
    stable("sigmoid-negative", "reciprocal(add(1, exp(x)))", "sigmoid(neg(x))"),
    stable("sigmoid-div", "truediv(1, add(1, exp(x)))", "sigmoid(neg(x))"),
    stable("sigmoid-exp", "truediv(exp(x), add(1, exp(x)))", "sigmoid(x)"),
    stable("times-sigmoid", "truediv(y, add(1, exp(x)))", "mul(y, sigmoid(neg(x)))"),
    stable("one-minus-sigmoid", "sub(1, sigmoid(x))", "sigmoid(neg(x))"),
    stable("sigmoid-times-exp", "mul(sigmoid(n), exp(x))", "sigmoid(x)", _opposite),
    stable("times-sigmoid-times-exp", "mul(mul(y, sigmoid(n)), exp(x))", "mul(y, sigmoid(x))", _opposite),
    stable("times-exp-times-sigmoid", "mul(mul(y, exp(x)), sigmoid(n))", "mul(y, sigmoid(x))", _opposite),
    stable("squared-sigmoid-times-exp", "mul(sqr(sigmoid(n)), exp(x))", "mul(sigmoid(n), sigmoid(x))", _opposite),
    stable("sigmoid-neg-neg", "sigmoid(neg(neg(x)))", "sigmoid(x)"),
    stable("softplus-neg-neg", "softplus(neg(neg(x)))", "softplus(x)"),
    stable("tanh-exps", "truediv(sub(exp(x), exp(neg(x))), add(exp(x), exp(neg(x))))", "tanh(x)"),
    stable("tanh-expm1", "truediv(expm1(mul(x, 2)), add(1, exp(mul(x, 2))))", "tanh(x)"),
    stable("tanh-sigmoid", "sub(mul(sigmoid(mul(x, 2)), 2), 1)", "tanh(x)"),
]

ROOTS = [
    rule("sqrt-sqr", "sqrt(sqr(x))", "abs(x)", _real, INVERSE),
]

_heavy = weigh(weight)


def measure(r: Region) -> tuple[int, int]:
    """How many nodes overflow where they need not, then the weight."""
    return sum(_overflow(n) is not None for _, nodes in nested_nodes(r) for n in nodes), _heavy(r)


stability = Pass("stability", [*SUMS, *LOGARITHMS, *SIGMOIDS, *EXPONENTIALS, *ROOTS], measure)
