"""Constant folding: what NumPy computes now has the same bits as what C would compute later, so only exactly rounded
operations are folded; exp and its like are computed by the kernels' own functions, at run time."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.errors import WeftError
from ..ir.dtypes import COMPLEX, DISCRETE, REAL_FLOAT
from ..ir.interp import evaluate
from ..ir.node import Node, constant, region
from ..ir.pattern import Bindings
from ..ir.rewrite import Pass, weigh
from .common import FOLDING, rule, static_size, weight

SIZE = 64  # elements: larger results are cheaper to compute than to store

# Which operations are exact on which dtypes. Floored division and mod of floats take several roundings.
_ANY = frozenset({
    "neg", "abs", "sgn", "floor", "ceil", "trunc", "round", "isnan", "isinf", "add", "sub", "maximum", "minimum",
    "eq", "ne", "lt", "le", "gt", "ge", "cast", "switch", "complex", "real", "imag", "conj",
})  # fmt: skip
_REAL = frozenset({"mul", "sqr", "truediv", "reciprocal", "sqrt"})
_DISCRETE = frozenset({"invert", "floordiv", "mod", "pow", "and", "or", "xor", "mul", "sqr"})
_VIEWS = frozenset({"dimshuffle", "reshape", "slice", "concatenate", "set_slice", "iota", "rebroadcast"})
_FOLDS = frozenset({"max", "min", "any", "all", "argmax"})


def exact(op: str, dtype: str) -> bool:
    """Whether the elementwise operation on this dtype rounds once at most."""
    if dtype in COMPLEX:
        return op in _ANY and op != "abs"
    return op in _ANY or (op in _REAL and dtype in REAL_FLOAT) or (op in _DISCRETE and dtype in DISCRETE)


def _constants(ops: Sequence[str]) -> bool:
    return all(op == "const" for op in ops)


def _fold(b: Bindings, node: Node) -> Node | None:
    size = static_size(node)
    if size is None or size > SIZE or any((static_size(i) or 0) > 16 * SIZE for i in node.inputs):
        return None
    try:
        (value,) = evaluate(region((), (node,)), [])
    except WeftError:  # an obligation that does not hold: the call is to fail, not the compilation
        return None
    return constant(value, node.dtype)


def _elementwise(b: Bindings, node: Node) -> bool:
    return exact(node.op, node.inputs[-1].dtype)


def _view(b: Bindings, node: Node) -> bool:
    return node.op in _VIEWS


def _reduction(b: Bindings, node: Node) -> bool:
    return node.op in _FOLDS or (node.op in ("sum", "prod") and node.dtype in DISCRETE)


fold = Pass("fold", [
    rule("fold-elementwise", "elementwise(*xs)", _fold, _elementwise, FOLDING, _constants),
    rule("fold-view", "view(*xs)", _fold, _view, FOLDING, _constants),
    rule("fold-reduction", "reduce(x)", _fold, _reduction, FOLDING, _constants),
], weigh(weight))  # fmt: skip
