"""Numerical stability: forms that overflow, or lose digits where terms nearly cancel, become ones that do not."""

from __future__ import annotations

from ..ir.node import Node, build
from ..ir.pattern import Bindings, uniform
from ..ir.rewrite import Pass, Rule, weigh
from .common import INVERSE, STABLE, is_float, real_rule, rule, weight


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

stability = Pass("stability", [*LOGARITHMS, *SIGMOIDS, *EXPONENTIALS, *ROOTS], weigh(weight))
