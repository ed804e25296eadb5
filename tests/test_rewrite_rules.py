"""One line a rule: what it makes of what, by structure and by value; its measure; and that the pass is done at once."""

# ruff: noqa: E501  (a rule is a line)
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rewrite_samples import LENGTHS, M_, N_, PARAMS, alone, arguments, closed, node, retyped, rewritten, values

from weft.compiler.ir import lengths
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import build, constant, region
from weft.compiler.ir.rewrite import apply, fitted
from weft.compiler.simplify import PASSES

RULES = {r.name: (r, p) for p in PASSES for r in p.rules}
P = PARAMS
X, Y, V, AT = P["x"], P["y"], P["v"], P["at"]


def spec(*entries):
    return tuple((e,) if isinstance(e, str) else e for e in entries)


def alloc(x, *axes):
    return build("alloc", x, *axes)


def zeros(*axes):
    return alloc(constant(0, "float64"), *axes)


def iota(n):
    return build("iota", n, dtype="int64")


def scattered(v, *index, mode="inc"):
    return build("scatter", zeros(N_, M_), v, *index, mode=mode)


ROWS = iota(N_)


def picked(x=X):
    return build("gather", x, ROWS, AT)


def shuffle(x, *order):
    return build("dimshuffle", x, order=order)


def beside(*numbers):
    """A vector of numbers, and of arrays of them."""
    parts = [shuffle(n, "x") if not isinstance(n, list) else constant(np.array(n), "int64") for n in numbers]
    return build("concatenate", *parts, axis=0)


def sliced(x, *bounds, spec):
    return build("slice", x, *[lengths.const(b) if isinstance(b, int) else b for b in bounds], spec=spec)


START, CELL = ("range", True, False, 1), shuffle(P["s"], "x", "x")


def set_sliced(x, y, *bounds, spec):
    bounds = [lengths.const(b) for b in bounds]
    return build("set_slice", x, y, *bounds, spec=spec, mode="set")


NORM = build("sqrt", build("sum", build("sqr", X), axes=(1,)))


def softmax(x=X):
    shifted = build("sub", x, shuffle(build("max", x, axes=(1,)), 0, "x"))
    e = build("exp", shifted)
    return shifted, e, shuffle(build("sum", e, axes=(1,)), 0, "x")


SHIFTED, EXPS, TOTAL = softmax()
SOFTMAX = build("truediv", EXPS, TOTAL)
TOP = build("max", X, axes=(1,))
TOP = build("switch", build("isinf", TOP), constant([0.0], "float64"), TOP)
FROM_TOP = build("exp", build("sub", X, shuffle(TOP, 0, "x")))
BELOW = build("sum", FROM_TOP, axes=(1,))
SIG, GIS = node("sigmoid(x)"), node("sigmoid(neg(x))")


COUNT = shuffle(build("cast", M_, dtype="float64"), "x")


def branch(out):
    a = build("param", build("dim", token=0, axis=0), build("dim", token=0, axis=1), token=0, dtype="float64", kind="dense")
    return region([a], [build(out, a)])


def choice(value):
    both = build("ifelse", constant(value, "bool"), X, then=branch("neg"), orelse=branch("exp"))
    return build("item", both, index=0)


def number(v):
    return constant([[float(v)]], "float64")


def columns_of(x, first, last):
    return sliced(x, first, last, spec=spec("all", ("range", True, True, 1)))


def piece(first, last, x=X):
    """Some columns of x among zeros."""
    at = [lengths.const(first), lengths.const(last)]
    return build("set_slice", zeros(N_, M_), columns_of(x, first, last), *at, mode="set",
                 spec=spec("all", ("range", True, True, 1)))  # fmt: skip


def pieces():
    parts = [columns_of(X, 0, 2), columns_of(X, 2, 3)]
    rest = lengths.sub(M_, lengths.add(*(p.type.axes[1] for p in parts)))
    return build("concatenate", *parts, zeros(N_, rest), axis=1)


def again(done=False):
    half = lengths.floordiv(lengths.mul(N_, M_), lengths.const(2))
    return build("reshape", X if done else build("reshape", X, M_, N_), lengths.const(2), half)


def compared():
    columns = iota(M_)
    there = build("eq", shuffle(columns, "x", 0), shuffle(build("gather", columns, AT), 0, "x"))
    return build("switch", there, shuffle(V, 0, "x"), number(0))


# rule, before, after (a number alone has the dtype of what it replaces)
CASES = [
    # algebra
    ("add-zero", "add(0, x)", "x"),
    ("sub-zero", "sub(x, 0)", "x"),
    ("zero-sub", "sub(0, x)", "neg(x)"),
    ("sub-self", "sub(x, x)", "0"),
    ("neg-neg", "neg(neg(k))", "k"),
    ("add-neg", "add(neg(y), x)", "sub(x, y)"),
    ("sub-neg", "sub(x, neg(y))", "add(x, y)"),
    ("neg-sub", "neg(sub(x, y))", "sub(y, x)"),
    ("sub-of-neg", "sub(neg(x), y)", "neg(add(x, y))"),
    ("mul-neg", "mul(neg(x), y)", "neg(mul(x, y))"),
    ("div-neg", "truediv(neg(x), y)", "neg(truediv(x, y))"),
    ("add-neg-mul", "add(mul(y, neg(z)), x)", "sub(x, mul(z, y))"),
    ("sub-neg-mul", "sub(x, mul(neg(y), z))", "add(x, mul(y, z))"),
    ("neg-mul-neg", "neg(mul(y, neg(x)))", "mul(x, y)"),
    ("factor-add", "add(mul(x, y), mul(z, x))", "mul(x, add(y, z))"),
    ("factor-sub", "sub(mul(y, x), mul(z, x))", "mul(x, sub(y, z))"),
    ("add-self", "add(x, x)", "mul(x, 2)"),
    ("mul-one", "mul(1, x)", "x"),
    ("mul-zero", "mul(x, 0)", "0"),
    ("mul-minus-one", "mul(x, -1)", "neg(x)"),
    ("mul-neg-neg", "mul(neg(x), neg(y))", "mul(x, y)"),
    ("mul-self", "mul(x, x)", "sqr(x)"),
    ("sqr-neg", "sqr(neg(x))", "sqr(x)"),
    ("sqr-abs", "sqr(abs(x))", "sqr(x)"),
    ("sqr-sqrt", "sqr(sqrt(x))", "x"),
    ("abs-neg", "abs(neg(x))", "abs(x)"),
    ("abs-abs", "abs(abs(x))", "abs(x)"),
    ("abs-sqr", "abs(sqr(x))", "sqr(x)"),
    ("abs-exp", "abs(exp(x))", "exp(x)"),
    ("div-one", "truediv(x, 1)", "x"),
    ("div-minus-one", "truediv(x, -1)", "neg(x)"),
    ("div-self", "truediv(x, x)", "1"),
    ("zero-div", "truediv(0, x)", "0"),
    ("one-div", "truediv(1, x)", "reciprocal(x)"),
    ("div-neg-neg", "truediv(neg(x), neg(y))", "truediv(x, y)"),
    ("neg-div-neg", "neg(truediv(neg(x), y))", "truediv(x, y)"),
    ("div-times", "mul(y, truediv(x, y))", "x"),
    ("div-times-later", "mul(mul(truediv(x, y), z), y)", "mul(x, z)"),
    ("times-div", "truediv(mul(y, x), y)", "x"),
    ("div-by-product", "truediv(x, mul(x, y))", "reciprocal(y)"),
    ("mul-reciprocal", "mul(reciprocal(y), x)", "truediv(x, y)"),
    ("div-reciprocal", "truediv(x, reciprocal(y))", "mul(x, y)"),
    ("neg-reciprocal", "neg(reciprocal(x))", "truediv(-1, x)"),
    ("reciprocal-self", "mul(x, reciprocal(x))", "1"),
    ("reciprocal-reciprocal", "reciprocal(reciprocal(x))", "x"),
    ("reciprocal-div", "reciprocal(truediv(x, y))", "truediv(y, x)"),
    ("div-power-of-two", "truediv(x, 8)", "mul(x, 0.125)"),
    ("merge add(add(x, a), b)", "add(add(x, 2), 3)", "add(x, 5)"),
    ("merge add(sub(x, a), b)", "add(sub(x, 2), 3)", "add(x, 1)"),
    ("merge add(sub(a, x), b)", "add(3, sub(2, x))", "sub(5, x)"),
    ("merge sub(add(x, a), b)", "sub(add(x, 5), 3)", "add(x, 2)"),
    ("merge sub(sub(x, a), b)", "sub(sub(x, 2), 3)", "sub(x, 5)"),
    ("merge sub(sub(a, x), b)", "sub(sub(5, x), 3)", "sub(2, x)"),
    ("merge sub(a, add(x, b))", "sub(5, add(x, 3))", "sub(2, x)"),
    ("merge sub(a, sub(x, b))", "sub(5, sub(x, 3))", "sub(8, x)"),
    ("merge sub(a, sub(b, x))", "sub(5, sub(3, x))", "add(x, 2)"),
    ("merge mul(mul(x, a), b)", "mul(mul(x, 2), 3)", "mul(x, 6)"),
    ("merge mul(div(x, a), b)", "mul(truediv(x, 5), 10)", "mul(x, 2)"),
    ("merge mul(div(a, x), b)", "mul(truediv(2, x), 3)", "truediv(6, x)"),
    ("merge div(mul(x, a), b)", "truediv(mul(x, 6), 3)", "mul(x, 2)"),
    ("merge div(div(x, a), b)", "truediv(truediv(x, 5), 3)", "truediv(x, 15)"),
    ("merge div(div(a, x), b)", "truediv(truediv(6, x), 3)", "truediv(2, x)"),
    ("merge div(a, mul(x, b))", "truediv(6, mul(x, 3))", "truediv(2, x)"),
    ("merge div(a, div(x, b))", "truediv(2, truediv(x, 3))", "truediv(6, x)"),
    ("merge div(a, div(b, x))", "truediv(6, truediv(3, x))", "mul(x, 2)"),
    ("merge maximum(maximum(x, a), b)", "maximum(maximum(x, 2), 3)", "maximum(x, 3)"),
    ("merge minimum(minimum(x, a), b)", "minimum(minimum(x, 2), 3)", "minimum(x, 2)"),
    ("mul-constants-cancel", "mul(mul(x, 0.5), mul(y, 2))", "mul(x, y)"),
    ("neg-mul-constant", "neg(mul(x, 3))", "mul(x, -3)"),
    ("mul-neg-constant", "mul(neg(x), 3)", "mul(x, -3)"),
    ("neg-div-constant", "neg(truediv(x, 3))", "truediv(x, -3)"),
    ("neg-constant-div", "neg(truediv(3, x))", "truediv(-3, x)"),
    ("div-neg-constant", "truediv(neg(x), 3)", "truediv(x, -3)"),
    ("constant-div-neg", "truediv(3, neg(x))", "truediv(-3, x)"),
    ("collect", "add(mul(x, 2), mul(x, 3))", "mul(x, 5)"),
    ("collect-one", "add(x, mul(x, 3))", "mul(x, 4)"),
    ("pow-zero", "pow(x, 0)", "1"),
    ("pow-one", "pow(x, 1)", "x"),
    ("one-pow", "pow(1, x)", "1"),
    ("pow-two", "pow(x, 2)", "sqr(x)"),
    ("pow-three", "pow(x, 3)", "mul(x, sqr(x))"),
    ("pow-four", "pow(x, 4)", "sqr(sqr(x))"),
    ("pow-five", "pow(x, 5)", "mul(x, sqr(sqr(x)))"),
    ("pow-six", "pow(x, 6)", "sqr(mul(x, sqr(x)))"),
    ("pow-seven", "pow(x, 7)", "mul(x, sqr(mul(x, sqr(x))))"),
    ("pow-eight", "pow(x, 8)", "sqr(sqr(sqr(x)))"),
    ("pow-half", "pow(x, 0.5)", "sqrt(x)"),
    ("pow-three-halves", "pow(x, 1.5)", "mul(x, sqrt(x))"),
    ("pow-five-halves", "pow(x, 2.5)", "mul(sqr(x), sqrt(x))"),
    ("pow-minus-three-halves", "pow(x, -1.5)", "mul(reciprocal(sqrt(x)), sqr(reciprocal(sqrt(x))))"),
    ("pow-minus-three", "pow(x, -3)", "mul(reciprocal(x), sqr(reciprocal(x)))"),
    ("pow-minus-four", "pow(x, -4)", "sqr(sqr(reciprocal(x)))"),
    ("pow-minus-half", "pow(x, -0.5)", "reciprocal(sqrt(x))"),
    ("pow-minus-one", "pow(x, -1)", "reciprocal(x)"),
    ("pow-minus-two", "pow(x, -2)", "sqr(reciprocal(x))"),
    ("exp-log", "exp(log(x))", "x"),
    ("log-exp", "log(exp(x))", "x"),
    ("expm1-log1p", "expm1(log1p(x))", "x"),
    ("log1p-expm1", "log1p(expm1(x))", "x"),
    ("exp-sub-log", lambda: build("exp", build("sub", SHIFTED, build("log", TOTAL))), lambda: SOFTMAX),
    ("cast-same", 'cast(x; dtype="float64")', "x"),
    ("cast-cast", 'cast(cast(b; dtype="int32"); dtype="float64")', 'cast(b; dtype="float64")'),
    ("bool-as-number", 'ne(cast(p; dtype="int8"), 0)', "p"),
    ("not-bool-as-number", 'eq(0, cast(p; dtype="float64"))', "invert(p)"),
    ("real-complex", "real(complex(x, y))", "x"),
    ("imag-complex", "imag(complex(x, y))", "y"),
    ("conj-conj", "conj(conj(k))", "k"),
    ("conj-complex", "conj(complex(x, y))", "complex(x, neg(y))"),
    ("switch-true", "switch(1, x, y)", "x"),
    ("switch-false", "switch(0, x, y)", "y"),
    ("switch-same", "switch(p, x, x)", "x"),
    ("switch-not", "switch(invert(p), x, y)", "switch(p, y, x)"),
    ("switch-then-again", "switch(p, switch(p, x, y), z)", "switch(p, x, z)"),
    ("switch-else-again", "switch(p, x, switch(p, y, z))", "switch(p, x, z)"),
    ("switch-bool", lambda: build("switch", P["p"], number(1), number(0)), 'cast(p; dtype="float64")'),
    ("maximum-self", "maximum(x, x)", "x"),
    ("minimum-self", "minimum(x, x)", "x"),
    ("maximum-again", "maximum(y, maximum(x, y))", "maximum(x, y)"),
    ("minimum-again", "minimum(minimum(x, y), x)", "minimum(y, x)"),
    ("and-self", "and(i, i)", "i"),
    ("or-self", "or(i, i)", "i"),
    ("xor-self", "xor(i, i)", "0"),
    ("and-zero", "and(i, 0)", "0"),
    ("or-zero", "or(i, 0)", "i"),
    ("xor-zero", "xor(p, 0)", "p"),
    ("and-true", "and(p, 1)", "p"),
    ("or-true", "or(p, 1)", "1"),
    ("xor-true", "xor(p, 1)", "invert(p)"),
    ("and-ones", "and(i, -1)", "i"),
    ("or-ones", "or(i, -1)", "-1"),
    ("and-not", "and(invert(i), i)", "0"),
    ("or-not", "or(p, invert(p))", "1"),
    ("invert-invert", "invert(invert(i))", "i"),
    ("not-eq", "invert(eq(x, y))", "ne(x, y)"),
    ("not-ne", "invert(ne(x, y))", "eq(x, y)"),
    ("not-lt", "invert(lt(i, j))", "ge(i, j)"),
    ("not-le", "invert(le(i, j))", "gt(i, j)"),
    ("not-gt", "invert(gt(i, j))", "le(i, j)"),
    ("not-ge", "invert(ge(i, j))", "lt(i, j)"),
    *((f"{op}-self", f"{op}(i, i)", str(v)) for op, v in zip(["eq", "le", "ge", "ne", "lt", "gt"], (1, 1, 1, 0, 0, 0), strict=True)),
    ("floordiv-one", "floordiv(i, 1)", "i"),
    ("mod-one", "mod(i, 1)", "0"),
    # fold
    ("fold-elementwise", lambda: build("add", constant([1.0, 2.0], "float64"), constant([3.0, 0.5], "float64")),
     lambda: constant([4.0, 2.5], "float64")),
    ("fold-view", lambda: shuffle(constant([1.0, 2.0], "float64"), "x", 0), lambda: constant([[1.0, 2.0]], "float64")),
    ("fold-reduction", lambda: build("sum", constant([1, 2], "int8"), axes=(0,)), lambda: constant(3, "int8")),
    # shapes
    ("csr-part", lambda: build("csr_part", build("csr", V, AT, AT, M_), part=1), "at"),
    ("item-of-ifelse", lambda: choice(False), "exp(x)"),
    ("length-below-zero", "lt(n, 0)", lambda: constant(False, "bool")),
    ("length-from-zero", "ge(n, 0)", lambda: constant(True, "bool")),
    ("dimshuffle-identity", lambda: shuffle(X, 0, 1), "x"),
    ("dimshuffle-dimshuffle", lambda: shuffle(shuffle(X, 1, "x", 0), 2, 0), "x"),
    ("dimshuffle-alloc", lambda: shuffle(alloc(V, M_, N_), 1, 0, "x"), lambda: alloc(shuffle(V, 0, "x", "x"), N_, M_, LENGTHS["l1"])),
    ("reshape-as-dimshuffle", "reshape(x, n, l1, m)", lambda: shuffle(X, 0, "x", 1)),
    ("reshape-reshape", again, lambda: again(True)),
    ("reshape-dimshuffle", lambda: build("reshape", shuffle(X, 0, "x", 1), lengths.mul(N_, M_)),
     lambda: build("reshape", X, lengths.mul(N_, M_))),
    ("rebroadcast-known", "rebroadcast(row; axes=(0,))", "row"),
    ("concatenate-one", "concatenate(x; axis=1)", "x"),
    ("concatenate-nothing",
     lambda: build("concatenate", sliced(X, 0, spec=spec(("range", False, True, 1), "all")), X, Y, axis=0),
     "concatenate(x, y; axis=0)"),
    ("alloc-nothing", "alloc(x, l1, n, m)", lambda: shuffle(X, "x", 0, 1)),
    ("alloc-alloc", lambda: alloc(alloc(P["s"], M_), N_, M_), "alloc(s, n, m)"),
    ("alloc-leading-ones", lambda: alloc(shuffle(V, "x", 0), M_, N_), "alloc(v, m, n)"),
    ("elementwise-of-alloc", "add(x, alloc(s, n, m))", lambda: build("add", X, shuffle(P["s"], "x", "x"))),
    ("slice-everything", lambda: sliced(X, 0, N_, spec=spec(("range", True, True, 1), "all")), "x"),
    ("slice-slice", lambda: sliced(sliced(X, 1, spec=spec(("range", True, False, 1), "all")), 2, spec=spec("all", "point")),
     lambda: sliced(X, 1, 2, spec=spec(("range", True, False, 1), "point"))),
    ("slice-alloc", lambda: sliced(alloc(V, M_, N_), 2, spec=spec(("range", False, True, 1), "all")),
     lambda: alloc(V, lengths.minimum(lengths.const(2), M_), N_)),
    ("slice-iota", lambda: sliced(iota(N_), 2, spec=spec(("range", False, True, 1))),
     lambda: iota(lengths.minimum(lengths.const(2), N_))),
    ("set-slice-everything", lambda: set_sliced(X, CELL, 0, 1, spec=spec(START, START)),
     lambda: set_sliced(X, CELL, 1, spec=spec("all", START))),
    ("set-slice-nothing", lambda: set_sliced(X, CELL, 0, spec=spec(("range", False, True, 1), "all")), "x"),
    ("set-slice-whole", 'set_slice(x, row; mode="set", spec=(("all",), ("all",)))', "alloc(row, n, m)"),
    ("inc-slice-whole", 'set_slice(x, row; mode="inc", spec=(("all",), ("all",)))', "add(x, row)"),
    ("slice-of-set-slice", 'slice(set_slice(x, y, l0; mode="set", spec=(("all",), ("range", True, False, 1))), l0; '
     'spec=(("all",), ("range", True, False, 1)))', "y"),
    ("add-pieces", lambda: build("add", piece(2, 3), piece(0, 2)), pieces),
    ("cast-iota", 'cast(iota(n; dtype="int64"); dtype="float32")', 'iota(n; dtype="float32")'),
    ("gather-everything", 'gather(x, iota(n; dtype="int64"))', "x"),
    ("reduce-ones", "max(row; axes=(0, 1))", lambda: build("max", shuffle(P["row"], 1), axes=(0,))),
    ("reduce-reduce", "sum(sum(x; axes=(0,)); axes=(0,))", "sum(x; axes=(0, 1))"),
    ("reduce-dimshuffle", lambda: build("sum", shuffle(X, 1, 0), axes=(0,)), "sum(x; axes=(1,))"),
    ("reduce-alloc", "sum(alloc(v, m, n); axes=(0,))",
     lambda: build("switch", build("eq", COUNT, constant([0.0], "float64")), constant([0.0], "float64"),
                   build("mul", V, COUNT))),
    ("sum-scaled", "sum(mul(x, 3); axes=(1,))",
     lambda: build("mul", build("sum", X, axes=(1,)), shuffle(constant([[3.0]], "float64"), 0))),
    ("sum-divided", "sum(truediv(x, 0.5); axes=(1,))",
     lambda: build("truediv", build("sum", X, axes=(1,)), shuffle(constant([[0.5]], "float64"), 0))),
    ("fold-of-numbers", lambda: build("prod", beside(N_, M_, [3]), axes=(0,)),
     lambda: build("mul", build("mul", N_, M_), lengths.const(3))),
    ("fold-of-numbers", lambda: build("max", beside(N_, M_), axes=(0,)), lambda: build("maximum", N_, M_)),
    ("sum-neg", "sum(neg(x); axes=(0,))", "neg(sum(x; axes=(0,)))"),
    ("max-neg", "max(neg(x); axes=(0,))", "neg(min(x; axes=(0,)))"),
    # quotients
    ("div-by-few", lambda: build("truediv", X, shuffle(NORM, 0, "x")),
     lambda: build("mul", X, shuffle(build("reciprocal", NORM), 0, "x"))),
    # read once
    ("one-plus-tanh", "add(1, tanh(x))", "mul(2, sigmoid(mul(2, x)))"),
    ("one-minus-tanh", "sub(1, tanh(x))", "mul(2, sigmoid(mul(-2, x)))"),
    # signs
    ("exp-nonpositive", "exp(neg(sqr(x)))", lambda: build("exp", node("neg(sqr(x))"), nonpositive=True)),
    # stability
    ("log-sum-exp", "log(sum(exp(x); axes=(1,)))", lambda: build("add", TOP, build("log", BELOW))),
    ("exp-over-sum", lambda: build("truediv", build("exp", X), shuffle(build("sum", build("exp", X), axes=(1,)), 0, "x")),
     lambda: build("truediv", FROM_TOP, shuffle(BELOW, 0, "x"))),
    ("exp-times-over-sum",
     lambda: build("mul", build("exp", X), shuffle(build("reciprocal", build("sum", build("exp", X), axes=(1,))), 0, "x")),
     lambda: build("mul", FROM_TOP, shuffle(build("reciprocal", BELOW), 0, "x"))),
    ("log-exp-div", "log(truediv(exp(x), y))", "sub(x, log(y))"),
    ("log-div-exp", "log(truediv(y, exp(x)))", "sub(log(y), x)"),
    ("log-exp-mul", "log(mul(y, exp(x)))", "add(x, log(y))"),
    ("log-gather-softmax", lambda: build("log", picked(SOFTMAX)), lambda: picked(build("sub", SHIFTED, build("log", TOTAL)))),
    ("log-reciprocal", "log(reciprocal(x))", "neg(log(x))"),
    ("log-one-div", "log(truediv(1, x))", "neg(log(x))"),
    ("log-sigmoid", "log(sigmoid(x))", "neg(softplus(neg(x)))"),
    ("log1p-minus-sigmoid", "log1p(neg(sigmoid(x)))", "neg(softplus(x))"),
    ("log-one-plus-exp", "log(add(exp(x), 1))", "softplus(x)"),
    ("log1p-exp", "log1p(exp(x))", "softplus(x)"),
    ("log-one-plus", "log(add(1, x))", "log1p(x)"),
    ("log-one-minus", "log(sub(1, x))", "log1p(neg(x))"),
    ("sigmoid", "reciprocal(add(1, exp(neg(x))))", "sigmoid(x)"),
    ("sigmoid-negative", "reciprocal(add(1, exp(x)))", "sigmoid(neg(x))"),
    ("sigmoid-div", "truediv(1, add(1, exp(x)))", "sigmoid(neg(x))"),
    ("sigmoid-exp", "truediv(exp(x), add(1, exp(x)))", "sigmoid(x)"),
    ("times-sigmoid", "truediv(y, add(1, exp(x)))", "mul(y, sigmoid(neg(x)))"),
    ("one-minus-sigmoid", "sub(1, sigmoid(x))", "sigmoid(neg(x))"),
    ("sigmoid-times-exp", "mul(exp(neg(x)), sigmoid(x))", "sigmoid(neg(x))"),
    ("times-sigmoid-times-exp", "mul(mul(sigmoid(x), y), exp(neg(x)))", "mul(y, sigmoid(neg(x)))"),
    ("times-exp-times-sigmoid", "mul(mul(z, exp(sub(x, y))), sigmoid(sub(y, x)))", "mul(z, sigmoid(sub(x, y)))"),
    ("squared-sigmoid-times-exp", "mul(sqr(sigmoid(neg(x))), exp(x))", "mul(sigmoid(neg(x)), sigmoid(x))"),
    ("sigmoid-times-exp", "mul(sigmoid(neg(x)), exp(x))", "sigmoid(x)"),
    ("sigmoid-times-exp", "mul(sigmoid(mul(x, -2)), exp(mul(x, 2)))", "sigmoid(mul(x, 2))"),
    ("sigmoid-neg-neg", "sigmoid(neg(neg(x)))", "sigmoid(x)"),
    ("softplus-neg-neg", "softplus(neg(neg(x)))", "softplus(x)"),
    ("tanh-exps", "truediv(sub(exp(x), exp(neg(x))), add(exp(x), exp(neg(x))))", "tanh(x)"),
    ("tanh-expm1", "truediv(expm1(mul(x, 2)), add(1, exp(mul(x, 2))))", "tanh(x)"),
    ("tanh-sigmoid", "sub(mul(sigmoid(mul(x, 2)), 2), 1)", "tanh(x)"),
    ("expm1", "sub(exp(x), 1)", "expm1(x)"),
    ("expm1-add", "add(-1, exp(x))", "expm1(x)"),
    ("minus-expm1", "sub(1, exp(x))", "neg(expm1(x))"),
    ("exp-minus-softplus", "exp(neg(softplus(x)))", "sigmoid(neg(x))"),
    ("sqrt-sqr", "sqrt(sqr(x))", "abs(x)"),
    # onehot
    ("mul-scatter", lambda: build("mul", X, scattered(V, ROWS, AT)), lambda: scattered(build("mul", V, picked()), ROWS, AT)),
    ("div-scatter", lambda: build("truediv", scattered(V, ROWS, AT), X),
     lambda: scattered(build("truediv", V, picked()), ROWS, AT)),
    ("neg-scatter", lambda: build("neg", scattered(V, ROWS, AT)), lambda: scattered(build("neg", V), ROWS, AT)),
    ("softmax-index-loss", lambda: build("mul", X, build("sub", scattered(build("truediv", V, picked()), ROWS, AT), P["col"])),
     lambda: build("sub", scattered(V, ROWS, AT), build("mul", X, P["col"]))),
    ("quotient-loss-add", "mul(x, add(truediv(y, x), z))", "add(y, mul(x, z))"),
    ("quotient-loss-sub", "mul(x, sub(truediv(y, x), z))", "sub(y, mul(x, z))"),
    ("quotient-loss-right", "mul(x, sub(z, truediv(y, x)))", "sub(mul(x, z), y)"),
    ("crossed-loss-add", "mul(y, add(z, mul(x, truediv(w, y))))", "add(mul(z, y), mul(w, x))"),
    ("crossed-loss-sub", "mul(y, sub(z, mul(x, truediv(w, y))))", "sub(mul(z, y), mul(w, x))"),
    ("crossed-loss-right", "mul(x, sub(mul(y, truediv(w, x)), z))", "sub(mul(w, y), mul(z, x))"),
    # something else checks the range of the index
    ("sum-scatter", lambda: build("add", build("sum", scattered(V, ROWS, AT), axes=(1,)), picked()),
     lambda: build("add", V, picked())),
    ("gather-scatter", lambda: build("add", picked(scattered(V, ROWS, AT)), picked()), lambda: build("add", V, picked())),
    ("scatter-as-comparison", lambda: scattered(V, ROWS, AT), lambda: compared()),
]  # fmt: skip


NOT_EVALUATED = {"csr-part"}  # its operands are no matrix


@pytest.mark.parametrize("name, before, after", CASES, ids=[c[0] for c in CASES])
def test_rule(name, before, after):
    rule, of = RULES[name]
    single = alone(rule, of)
    old, new = rewritten(single, before)
    was = old.outputs[0]
    wanted = after() if callable(after) else node(after, was)
    assert new.outputs[0] is fitted(wanted, was), new
    assert single.measure(new) <= single.measure(old)
    assert apply(single, new) is new
    assert apply(of, apply(of, old)) is apply(of, old)
    if name not in NOT_EVALUATED:
        np.testing.assert_allclose(values(new)[0], values(old)[0], rtol=1e-12, atol=1e-12)


def test_every_rule_has_a_line():
    assert {c[0] for c in CASES} == set(RULES)
    assert sum(len(p.rules) for p in PASSES) == len(RULES)


BY_DTYPE = Path(__file__).parent / "golden" / "rules_by_dtype.txt"


def test_which_rules_leave_which_dtypes_alone(request):
    """The expression of each rule's line in other dtypes: those that its condition keeps it from, in a file to read."""
    lines = []
    for dtype in ("complex128", "float16", "int32", "bool"):
        given = [(RULES[name][0], retyped(node(before), dtype)) for name, before, _ in CASES]
        left = {r.name for r, n in given if n is not None and not r.contextual and r.fire(n) is None}
        lines += [f"{dtype}:", *(f"    {name}" for name in sorted(left))]
    text = "\n".join(lines) + "\n"
    if request.config.getoption("--update-golden"):
        BY_DTYPE.write_text(text)
    assert text == BY_DTYPE.read_text(), "if it is meant to: pytest test_rewrite_rules.py --update-golden"


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_rules_keep_the_values_of_integers(dtype):
    """Exactly: they wrap around, and an unsigned one has no sign."""
    rng = np.random.default_rng(1)
    params, given = [], []
    for p, a in zip(PARAMS.values(), arguments(), strict=True):
        params.append(retyped(p, dtype))
        limits = (0, 2) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        given.append(rng.integers(*limits, a.shape).astype(dtype) if p.dtype == "float64" else a)
    fired = 0
    for name, before, _ in CASES:
        old, rule = retyped(node(before), dtype), RULES[name][0]
        if name in NOT_EVALUATED or old is None or rule.contextual or (new := rule.fire(old)) is None:
            continue
        fired += 1
        with np.errstate(all="ignore"):
            have, want = (evaluate(region(params, [n], []), given)[0] for n in (fitted(new, old), old))
        if want.dtype.kind in "iub":
            np.testing.assert_array_equal(have, want, err_msg=name)
    assert fired > 15


# What looks like a rule and is none.
KEPT = [
    "add(x, 1)", "mul(x, 2)", "sub(x, y)", "log(exp(k))", "mul(k, 1)", "truediv(x, 3)", "pow(x, 9)", "pow(x, -5)",
    "eq(x, x)", "le(x, x)", "ne(x, x)", "invert(lt(x, y))",  # NaN
    "mul(mul(x, 1e200), 1e200)", "mul(mul(x, 1e-200), 1e-200)",  # no finite constant
    'cast(cast(f; dtype="int32"); dtype="float32")', 'cast(cast(x; dtype="float32"); dtype="float64")',
    'cast(cast(i; dtype="float64"); dtype="int8")',  # wraps directly, saturates on the way
    "add(add(h, 2), 3)", "mul(mul(h, 2), 3)",  # float16: rounded at each node
    "exp(sub(x, log(y)))",  # exp(x) may overflow
    "floordiv(i, i)", "floordiv(mul(i, j), j)", "floordiv(x, 1)", "xor(i, 1)", "and(i, 1)", "or(i, 1)",
    "sum(mul(x, y); axes=(0,))", "sum(mul(x, row); axes=(1,))", "sum(exp(x); axes=(0,))", "max(mul(x, 2); axes=(0,))",
    'gather(x, iota(m; dtype="int64"))', 'gather(x, iota(n; dtype="int8"))', "rebroadcast(x; axes=(0,))",
    "mul(x, sub(truediv(y, w), z))", "exp(x)", "log(x)", "sub(2, sigmoid(x))", "add(2, exp(x))",
    "mul(add(1, tanh(x)), tanh(x))",  # read by others: both would be computed
    "mul(mul(x, 3), mul(y, 2))",
]  # fmt: skip


@pytest.mark.parametrize("text", KEPT)
def test_kept(text):
    before = closed(node(text))
    for p in PASSES:
        assert apply(p, before) is before


@pytest.mark.parametrize("before", [
    lambda: picked(build("log", X)),  # the gather comes last: only where it stabilises anything
    lambda: build("sum", scattered(V, ROWS, AT), axes=(1,)),  # nothing else checks the index
    lambda: build("mul", X, build("scatter", X, V, ROWS, AT, mode="inc")),  # not zeros
    lambda: build("slice", X, lengths.const(1), spec=spec(("range", True, False, 1), "all")),
    lambda: build("reshape", X, M_, N_),
    lambda: build("neg", build("alloc", X, lengths.const(1), lengths.const(1))),  # it says that the lengths are 1
    lambda: shuffle(X, 1, 0),
    lambda: alloc(P["s"], N_),
])  # fmt: skip
def test_kept_structure(before):
    r = closed(before())
    for p in PASSES:
        assert p.name == "dense onehot" or apply(p, r) is r


def test_scatter_with_repeats_stays():
    r = closed(build("scatter", zeros(N_, M_), V, build("gather", ROWS, ROWS), AT, mode="inc"))
    assert apply(RULES["scatter-as-comparison"][1], r) is r


def test_int64_scalars_have_one_form():
    t = P["t"]
    (plain,) = apply(RULES["mul-one"][1], closed(node("add(mul(t, 1), sub(t, t))"))).outputs
    assert plain is t
    (product,) = apply(RULES["mul-one"][1], closed(node("mul(t, t)"))).outputs
    assert product is lengths.mul(t, t) and product.op == "mul"


def test_licences_are_rows_of_the_contract():
    text = (Path(__file__).parents[1] / "docs" / "semantics.md").read_text()
    table = text[text.index("## Licences of rewriting") :]
    rows = set(re.findall(r"^\| (L\d+ [^|]*?) \|", table, re.M))
    used = {name for rule, _ in RULES.values() for name in rule.licences}
    # These are not licences of single rules: what nodes, the engine, the scheduler and the passes on loops rest on.
    elsewhere = {"L10 what is not used", "L11 sharing", "L12 obligations", "L15 loops", "L17 layout"}
    assert used == rows - elsewhere
