"""Algebra: identities of arithmetic, logic, conversions and choices, each at one place."""

from __future__ import annotations

import math

from ..ir.dtypes import DTYPES, INTEGER, promote
from ..ir.node import Node, build
from ..ir.pattern import Bindings, number, uniform
from ..ir.rewrite import Pass, weigh
from .common import (
    DIFFERENCE,
    INTEGERS,
    INVERSE,
    QUOTIENT,
    ROUNDING,
    SELF,
    SIGN,
    VIEWS,
    ZERO,
    anchored,
    computed,
    is_const,
    is_extreme,
    is_float,
    is_integer,
    real_rule,
    rule,
    same_extent,
    sound,
    uncovered,
    weight,
)

R = real_rule


def _number(value):
    def replacement(b: Bindings, node: Node) -> Node:
        return number(value, node.dtype, node.ndim)

    return replacement


# ---- sums and products ----------------------------------------------------------------------------------------------


def _floats(b: Bindings, node: Node) -> bool:
    return is_float(node)


def _not_bool(b: Bindings, node: Node) -> bool:
    return node.inputs[0].dtype != "bool"


def _signed(b: Bindings, node: Node) -> bool:
    return DTYPES[node.inputs[0].dtype].kind != "u"  # there -x is 2^n - x


def _varies(b: Bindings, node: Node) -> bool:
    return not (is_const(b["y"]) and is_const(b["z"]))  # `collect` looks whether their sum is a number


SUMS = [
    R("add-zero", "add(x, 0)", "x", licence=SIGN),
    R("sub-zero", "sub(x, 0)", "x", licence=SIGN),
    R("zero-sub", "sub(0, x)", "neg(x)", licence=SIGN),
    R("sub-self", "sub(x, x)", "0", licence=DIFFERENCE),
    rule("neg-neg", "neg(neg(x))", "x"),
    rule("add-neg", "add(x, neg(y))", "sub(x, y)"),
    rule("sub-neg", "sub(x, neg(y))", "add(x, y)"),
    rule("neg-sub", "neg(sub(x, y))", "sub(y, x)", licence=SIGN),
    # Signs go outwards, past products too, so that rules which cancel need not know them.
    R("sub-of-neg", "sub(neg(x), y)", "neg(add(x, y))", licence=SIGN),
    rule("add-neg-mul", "add(x, mul(neg(y), z))", "sub(x, mul(y, z))"),
    rule("sub-neg-mul", "sub(x, mul(neg(y), z))", "add(x, mul(y, z))"),
    rule("neg-mul-neg", "neg(mul(neg(x), y))", "mul(x, y)"),
    R("factor-add", "add(mul(x, y), mul(x, z))", "mul(x, add(y, z))", _varies, ROUNDING),
    R("factor-sub", "sub(mul(x, y), mul(x, z))", "mul(x, sub(y, z))", _varies, ROUNDING),
    R("add-self", "add(x, x)", "mul(x, 2)", _not_bool),
]

PRODUCTS = [
    R("mul-one", "mul(x, 1)", "x"),
    R("mul-zero", "mul(x, 0)", "0", licence=ZERO),
    R("mul-minus-one", "mul(x, -1)", "neg(x)", _not_bool),
    R("mul-neg", "mul(neg(x), y)", "neg(mul(x, y))"),
    R("div-neg", "truediv(neg(x), y)", "neg(truediv(x, y))"),
    rule("mul-neg-neg", "mul(neg(x), neg(y))", "mul(x, y)"),
    R("mul-self", "mul(x, x)", "sqr(x)", _not_bool),
    rule("sqr-neg", "sqr(neg(x))", "sqr(x)"),
    R("sqr-abs", "sqr(abs(x))", "sqr(x)"),
    R("sqr-sqrt", "sqr(sqrt(x))", "x", licence=INVERSE),
    R("abs-neg", "abs(neg(x))", "abs(x)", _signed),
    R("abs-abs", "abs(abs(x))", "abs(x)"),
    R("abs-sqr", "abs(sqr(x))", "sqr(x)", _floats),
    R("abs-exp", "abs(exp(x))", "exp(x)"),
    R("div-one", "truediv(x, 1)", "x"),
    R("div-minus-one", "truediv(x, -1)", "neg(x)"),
    R("div-self", "truediv(x, x)", "1", licence=QUOTIENT),
    R("zero-div", "truediv(0, x)", "0", licence=ZERO),
    R("one-div", "truediv(1, x)", "reciprocal(x)"),
    rule("div-neg-neg", "truediv(neg(x), neg(y))", "truediv(x, y)"),
    rule("neg-div-neg", "neg(truediv(neg(x), y))", "truediv(x, y)"),
    R("div-times", "mul(truediv(x, y), y)", "x", licence=QUOTIENT),
    R("div-times-later", "mul(mul(truediv(x, y), z), y)", "mul(x, z)", licence=(QUOTIENT, ROUNDING)),
    R("times-div", "truediv(mul(x, y), y)", "x", licence=QUOTIENT),
    R("div-by-product", "truediv(x, mul(x, y))", "reciprocal(y)", licence=QUOTIENT),
    R("mul-reciprocal", "mul(x, reciprocal(y))", "truediv(x, y)", lambda b, node: same_extent(b["y"], node), ROUNDING),
    R("div-reciprocal", "truediv(x, reciprocal(y))", "mul(x, y)", licence=ROUNDING),
    R("neg-reciprocal", "neg(reciprocal(x))", "truediv(-1, x)"),
    R("reciprocal-self", "mul(x, reciprocal(x))", "1", licence=QUOTIENT),
    R("reciprocal-reciprocal", "reciprocal(reciprocal(x))", "x", licence=ROUNDING),
    R("reciprocal-div", "reciprocal(truediv(x, y))", "truediv(y, x)", licence=ROUNDING),
]  # fmt: skip


def _div_by_power(b: Bindings, node: Node) -> Node | None:
    """A division by a power of two is a multiplication, exactly."""
    c = uniform(b["c"])
    if not isinstance(c, float) or not c or not math.isfinite(c) or abs(math.frexp(c)[0]) != 0.5:
        return None
    # Where the inverse is not a normal number, it or the product is rounded; float16 has the narrowest range.
    if node.dtype not in ("float32", "float64") or not 2.0**-120 < abs(c) < 2.0**120:
        return None
    return build("mul", b["x"], number(1 / c, node.dtype, b["c"].ndim))


PRODUCTS.append(R("div-power-of-two", "truediv(x, #c)", _div_by_power))


# ---- constants that meet --------------------------------------------------------------------------------------------


def _merge(outer: str, combine: str, first: str, second: str, constant_first: bool = False):
    """outer(x, combine(first, second)), or outer(combine(first, second), x)."""

    def replacement(b: Bindings, node: Node) -> Node | None:
        if is_const(b["x"]):
            return None
        c = sound(combine, b[first], b[second])
        if c is None:
            return None
        return build(outer, c, b["x"]) if constant_first else build(outer, b["x"], c)

    return replacement


_MERGES = (
    ("add(add(x, #a), #b)", _merge("add", "add", "a", "b")),
    ("add(sub(x, #a), #b)", _merge("add", "sub", "b", "a")),
    ("add(sub(#a, x), #b)", _merge("sub", "add", "a", "b", True)),
    ("sub(add(x, #a), #b)", _merge("add", "sub", "a", "b")),
    ("sub(sub(x, #a), #b)", _merge("sub", "add", "a", "b")),
    ("sub(sub(#a, x), #b)", _merge("sub", "sub", "a", "b", True)),
    ("sub(#a, add(x, #b))", _merge("sub", "sub", "a", "b", True)),
    ("sub(#a, sub(x, #b))", _merge("sub", "add", "a", "b", True)),
    ("sub(#a, sub(#b, x))", _merge("add", "sub", "a", "b")),
    ("mul(mul(x, #a), #b)", _merge("mul", "mul", "a", "b")),
    ("mul(truediv(x, #a), #b)", _merge("mul", "truediv", "b", "a")),
    ("mul(truediv(#a, x), #b)", _merge("truediv", "mul", "a", "b", True)),
    ("truediv(mul(x, #a), #b)", _merge("mul", "truediv", "a", "b")),
    ("truediv(truediv(x, #a), #b)", _merge("truediv", "mul", "a", "b")),
    ("truediv(truediv(#a, x), #b)", _merge("truediv", "truediv", "a", "b", True)),
    ("truediv(#a, mul(x, #b))", _merge("truediv", "truediv", "a", "b", True)),
    ("truediv(#a, truediv(x, #b))", _merge("truediv", "mul", "a", "b", True)),
    ("truediv(#a, truediv(#b, x))", _merge("mul", "truediv", "a", "b")),
)
_EXACT_MERGES = (
    ("maximum(maximum(x, #a), #b)", _merge("maximum", "maximum", "a", "b")),
    ("minimum(minimum(x, #a), #b)", _merge("minimum", "minimum", "a", "b")),
)


def _merge_name(pattern: str) -> str:
    return "merge " + pattern.replace("truediv", "div").replace("#", "")


def _negated(outer: str, constant_first: bool = False):
    def replacement(b: Bindings, node: Node) -> Node:
        c = computed("neg", b["c"])
        return build(outer, c, b["x"]) if constant_first else build(outer, b["x"], c)

    return replacement


def _collect(first: str | None):
    """x*a + x*b, or x + x*b."""

    def replacement(b: Bindings, node: Node) -> Node | None:
        if is_const(b["x"]):
            return None
        a = b[first] if first is not None else number(1, node.dtype, node.ndim)
        c = sound("add", a, b["b"])
        return None if c is None else build("mul", b["x"], c)

    return replacement


def _cancel(b: Bindings, node: Node) -> Node | None:
    """x * a * (y * b) where a * b is 1."""
    c = sound("mul", b["a"], b["b"])
    return build("mul", b["x"], b["y"]) if c is not None and uniform(c) == 1 else None


CONSTANTS = [
    *(R(_merge_name(p), p, r, licence=ROUNDING) for p, r in _MERGES),
    *(R(_merge_name(p), p, r) for p, r in _EXACT_MERGES),
    R("mul-constants-cancel", "mul(mul(x, #a), mul(y, #b))", _cancel, licence=ROUNDING),
    R("neg-mul-constant", "neg(mul(x, #c))", _negated("mul")),
    R("mul-neg-constant", "mul(neg(x), #c)", _negated("mul")),
    R("neg-div-constant", "neg(truediv(x, #c))", _negated("truediv")),
    R("neg-constant-div", "neg(truediv(#c, x))", _negated("truediv", True)),
    R("div-neg-constant", "truediv(neg(x), #c)", _negated("truediv")),
    R("constant-div-neg", "truediv(#c, neg(x))", _negated("truediv", True)),
    R("collect", "add(mul(x, #a), mul(x, #b))", _collect("a"), licence=ROUNDING),
    R("collect-one", "add(x, mul(x, #b))", _collect(None), licence=ROUNDING),
]


# ---- powers, exponentials and logarithms ----------------------------------------------------------------------------

def _of_softmax(b: Bindings, node: Node) -> bool:
    """Whether x is shifted by its maximum and y the sum of what that makes: exp(x) cannot overflow, y is at least 1."""
    y = uncovered(b["y"], VIEWS)[-1]
    if b["x"].op != "sub" or y.op != "sum" or not anchored(y.inputs[0], y.attr("axes")):
        return False
    v, shift = b["x"].inputs
    return is_extreme(shift, "max", v)


def _cube_of_root(b: Bindings, node: Node) -> Node:
    """By one division, and where x * sqrt(x) would overflow its reciprocal may still be there."""
    root = build("reciprocal", build("sqrt", b["x"]))
    return build("mul", root, build("sqr", root))


# By products as long as their roundings (half a unit each, times the factors they are multiplied by) stay below 3.5
# units in the last place; what is divided comes first, so that nothing overflows whose reciprocal is there.
POWERS = [
    R("pow-zero", "pow(x, 0)", "1"),
    R("pow-one", "pow(x, 1)", "x"),
    R("one-pow", "pow(1, x)", "1"),
    R("pow-two", "pow(x, 2)", "sqr(x)", licence=ROUNDING),
    R("pow-three", "pow(x, 3)", "mul(x, sqr(x))", licence=ROUNDING),
    R("pow-four", "pow(x, 4)", "sqr(sqr(x))", licence=ROUNDING),
    R("pow-five", "pow(x, 5)", "mul(x, sqr(sqr(x)))", licence=ROUNDING),
    R("pow-six", "pow(x, 6)", "sqr(mul(x, sqr(x)))", licence=ROUNDING),
    R("pow-seven", "pow(x, 7)", "mul(x, sqr(mul(x, sqr(x))))", licence=ROUNDING),
    R("pow-eight", "pow(x, 8)", "sqr(sqr(sqr(x)))", licence=ROUNDING),
    R("pow-half", "pow(x, 0.5)", "sqrt(x)", licence=INVERSE),
    R("pow-three-halves", "pow(x, 1.5)", "mul(x, sqrt(x))", licence=(INVERSE, ROUNDING)),
    R("pow-five-halves", "pow(x, 2.5)", "mul(sqr(x), sqrt(x))", licence=(INVERSE, ROUNDING)),
    R("pow-minus-half", "pow(x, -0.5)", "reciprocal(sqrt(x))", licence=INVERSE),
    R("pow-minus-three-halves", "pow(x, -1.5)", _cube_of_root, licence=(INVERSE, ROUNDING)),
    R("pow-minus-one", "pow(x, -1)", "reciprocal(x)", _floats, ROUNDING),
    R("pow-minus-two", "pow(x, -2)", "sqr(reciprocal(x))", _floats, ROUNDING),
    R("pow-minus-three", "pow(x, -3)", "mul(reciprocal(x), sqr(reciprocal(x)))", _floats, ROUNDING),
    R("pow-minus-four", "pow(x, -4)", "sqr(sqr(reciprocal(x)))", _floats, ROUNDING),
    R("exp-log", "exp(log(x))", "x", licence=INVERSE),
    R("log-exp", "log(exp(x))", "x", licence=INVERSE),
    R("expm1-log1p", "expm1(log1p(x))", "x", licence=INVERSE),
    R("log1p-expm1", "log1p(expm1(x))", "x", licence=INVERSE),
    R("exp-sub-log", "exp(sub(x, log(y)))", "truediv(exp(x), y)", _of_softmax, (INVERSE, ROUNDING)),
]


# ---- conversions ----------------------------------------------------------------------------------------------------


def _cast_cast(b: Bindings, node: Node) -> Node | None:
    """A conversion by way of a dtype that holds every value of the first."""
    x, mid, out = b["x"], b["m"], b["d"]
    if promote(x.dtype, mid) != mid or (x.dtype in ("int64", "uint64") and mid in ("float64", "complex128")):
        return None
    # Floats saturate on the way to integers, integers wrap.
    if x.dtype in INTEGER and DTYPES[mid].kind in "fc" and out in INTEGER and promote(x.dtype, out) != out:
        return None
    return build("cast", x, dtype=out)


CASTS = [
    rule("cast-same", "cast(x; dtype=d)", "x", lambda b, node: b["x"].dtype == b["d"]),
    rule("cast-cast", "cast(cast(x; dtype=m); dtype=d)", _cast_cast),
    rule("bool-as-number", "ne(cast(x; dtype=d), 0)", "x", lambda b, node: b["x"].dtype == "bool"),
    rule("not-bool-as-number", "eq(cast(x; dtype=d), 0)", "invert(x)", lambda b, node: b["x"].dtype == "bool"),
    rule("real-complex", "real(complex(x, y))", "x"),
    rule("imag-complex", "imag(complex(x, y))", "y"),
    rule("conj-conj", "conj(conj(x))", "x"),
    rule("conj-complex", "conj(complex(x, y))", "complex(x, neg(y))"),
]


# ---- choices, comparisons, logic ------------------------------------------------------------------------------------


def _integers(b: Bindings, node: Node) -> bool:
    return is_integer(node.inputs[0]) or node.inputs[0].dtype == "bool"


def _bools(b: Bindings, node: Node) -> bool:
    return node.dtype == "bool"


def _of_integers(b: Bindings, node: Node) -> bool:
    return b["x"].dtype in INTEGER


def _zero_as_cast(b: Bindings, node: Node) -> bool:
    zero = complex(uniform(node.inputs[2]))  # type: ignore[arg-type]
    return math.copysign(1, zero.real) == math.copysign(1, zero.imag) == 1


LOGIC = [
    rule("switch-true", "switch(1, x, y)", "x"),
    rule("switch-false", "switch(0, x, y)", "y"),
    rule("switch-same", "switch(c, x, x)", "x"),
    rule("switch-not", "switch(invert(c), x, y)", "switch(c, y, x)"),
    rule("switch-then-again", "switch(c, switch(c, x, y), z)", "switch(c, x, z)"),
    rule("switch-else-again", "switch(c, x, switch(c, y, z))", "switch(c, x, z)"),
    rule("switch-bool", "switch(c, 1, 0)", lambda b, node: build("cast", b["c"], dtype=node.dtype), _zero_as_cast),
    rule("maximum-self", "maximum(x, x)", "x", licence=SELF),
    rule("minimum-self", "minimum(x, x)", "x", licence=SELF),
    rule("maximum-again", "maximum(maximum(x, y), y)", "maximum(x, y)"),
    rule("minimum-again", "minimum(minimum(x, y), y)", "minimum(x, y)"),
    rule("and-self", "and(x, x)", "x"),
    rule("or-self", "or(x, x)", "x"),
    rule("xor-self", "xor(x, x)", "0"),
    rule("and-zero", "and(x, 0)", "0"),
    rule("or-zero", "or(x, 0)", "x"),
    rule("xor-zero", "xor(x, 0)", "x"),
    rule("and-true", "and(x, 1)", "x", _bools),
    rule("or-true", "or(x, 1)", "1", _bools),
    rule("xor-true", "xor(x, 1)", "invert(x)", _bools),
    rule("and-ones", "and(x, -1)", "x"),
    rule("or-ones", "or(x, -1)", "-1"),
    rule("and-not", "and(x, invert(x))", "0"),
    rule("or-not", "or(x, invert(x))", "1", _bools),
    rule("invert-invert", "invert(invert(x))", "x"),
    rule("not-eq", "invert(eq(x, y))", "ne(x, y)"),
    rule("not-ne", "invert(ne(x, y))", "eq(x, y)"),
    *(rule(f"not-{op}", f"invert({op}(x, y))", f"{other}(x, y)", _of_integers)
      for op, other in (("lt", "ge"), ("le", "gt"), ("gt", "le"), ("ge", "lt"))),
    *(rule(f"{op}-self", f"{op}(x, x)", str(value), _integers, SELF)
      for op, value in (("eq", 1), ("le", 1), ("ge", 1), ("ne", 0), ("lt", 0), ("gt", 0))),
    rule("floordiv-one", "floordiv(x, 1)", "x", _integers, INTEGERS),
    rule("mod-one", "mod(x, 1)", "0", _integers, INTEGERS),
]  # fmt: skip

algebra = Pass("algebra", [*SUMS, *PRODUCTS, *CONSTANTS, *POWERS, *CASTS, *LOGIC], weigh(weight))
