"""What simplify/signs.py knows of signs: that it holds, for all arguments, and what exponentials make of it."""

from __future__ import annotations

import numpy as np
import pytest
from rewrite_samples import PARAMS, closed, node

import weft
import weft.tensor as T
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import Node, build
from weft.compiler.simplify.signs import signs

X = PARAMS["x"]
EDGES = np.array([0.0, -0.0, 1.0, -1.0, 1e-40, -1e-40, 1e30, -1e30, np.inf, -np.inf, np.nan, 3.5, -87.5, -103.9, 88.5])

KNOWN = {
    "sqr(x)": 1, "abs(x)": 1, "neg(sqr(x))": -1, "mul(x, x)": 1, "mul(x, y)": 0, "exp(x)": 1, "neg(exp(x))": -1,
    "add(abs(x), sqr(y))": 1, "add(abs(x), y)": 0, "sub(abs(x), sqr(y))": 0, "sub(neg(abs(x)), sqr(y))": -1,
    "mul(neg(abs(x)), sqr(y))": -1, "mul(sqr(x), -2)": -1, "truediv(sqr(x), -2)": -1, "truediv(2, sqr(x))": 0,
    "truediv(sqr(x), abs(y))": 0, "reciprocal(sqr(x))": 0, "maximum(x, 0)": 1, "maximum(x, -1)": 0, "minimum(x, 0)": -1,
    "minimum(sqr(x), 3)": 1, "tanh(neg(abs(x)))": -1, "log(x)": 0, "sqrt(x)": 1, "sum(sqr(x); axes=(0,))": 1,
    "prod(sqr(x); axes=(0,))": 0, "max(neg(abs(x)); axes=(1,))": -1, "switch(lt(x, y), sqr(x), abs(y))": 1,
    "switch(lt(x, y), sqr(x), y)": 0, "x": 0, "sgn(neg(abs(x)))": -1, "erfc(x)": 1, "sub(x, y)": 0,
}  # fmt: skip


def shifted(axis: int, order: tuple, fold: str = "max") -> Node:
    """x less its maximum over an axis, shown along axes as `order` says."""
    return build("sub", X, build("dimshuffle", build(fold, X, axes=(axis,)), order=order))


STRUCTURES = {
    "rows": (lambda: shifted(1, (0, "x")), -1),
    "columns": (lambda: shifted(0, ("x", 0)), -1),
    "least": (lambda: shifted(1, (0, "x"), "min"), 1),
    "turned": (lambda: build("neg", shifted(1, (0, "x"))), 1),
    "mean": (lambda: shifted(1, (0, "x"), "sum"), 0),
    "maxima of rows beside columns": (lambda: shifted(1, ("x", 0)), 0),
    "another's maximum": (
        lambda: build("sub", PARAMS["y"], build("dimshuffle", build("max", X, axes=(1,)), order=(0, "x"))), 0,
    ),
}  # fmt: skip


def sign_of(n: Node) -> int:
    r = closed(n)
    return signs(r).get(r.outputs[0], 0)


@pytest.mark.parametrize("text", KNOWN)
def test_known(text):
    assert sign_of(node(text)) == KNOWN[text]


@pytest.mark.parametrize("name", STRUCTURES)
def test_extremes(name):
    make, want = STRUCTURES[name]
    assert sign_of(make()) == want


@pytest.mark.parametrize("name", [*KNOWN, *STRUCTURES])
def test_holds_of_all_values(name):
    """Of infinities, zeros of both signs and NaN, in every combination of two."""
    n = node(name) if name in KNOWN else STRUCTURES[name][0]()
    x, y = np.meshgrid(EDGES, EDGES, indexing="ij")
    given = [{"x": x, "y": y}.get(k, np.ones((len(EDGES),) * p.ndim, p.dtype)) for k, p in PARAMS.items()]
    given = [a[:1] if k == "row" else a[:, :1] if k == "col" else a for k, a in zip(PARAMS, given, strict=True)]
    with np.errstate(all="ignore"):
        (value,) = evaluate(closed(n), given)
        assert not (sign_of(n) * value < 0).any()


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_same_bits(dtype):
    """As the exponential of values of which nothing is known."""
    x = T.vector("x", dtype=dtype)
    small, plain = weft.function([x], T.exp(-abs(x))), weft.function([x], T.exp(x))
    rng = np.random.default_rng(0)
    values = np.concatenate([EDGES, rng.uniform(0, 110, 20000), rng.uniform(0, 1e-3, 100)])
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    a, b = small(values), plain(-abs(values))
    np.testing.assert_array_equal(a, b)
    assert np.isnan(a[np.isnan(values)]).all() and (a[np.isinf(values)] == 0).all()


def test_softmax_knows():
    x = T.fmatrix("x")
    f = weft.function([x], T.nnet.softmax(x))
    assert "weft_exp_nonpositive_f32" in f.source
    rows = np.array([[1, 2, 3], [-np.inf, 0, 1], [np.nan, 1, 2], [1e30, -1e30, 0]], np.float32)
    with np.errstate(all="ignore"):
        want = np.exp(rows - rows.max(1, keepdims=True))
        want /= want.sum(1, keepdims=True)
    np.testing.assert_allclose(f(rows), want, rtol=1e-6)


def test_an_infinite_maximum_shown_as_zero_is_none():
    """log(sum(exp(x))) in its stable form subtracts 0 there, and x may be positive."""
    x = T.fmatrix("x")
    f = weft.function([x], T.log(T.sum(T.exp(x), axis=1)))
    assert "nonpositive" not in f.source
    rows = np.array([[np.inf, 200], [100, 200], [-np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(f(rows), np.array([np.inf, 200, -np.inf], np.float32))


def test_the_wrong_maximum():
    """Of a square matrix, that of each row taken from the columns."""
    x = T.fmatrix("x")
    f = weft.function([x], T.exp(x - T.max(x, axis=1).dimshuffle("x", 0)))
    assert "nonpositive" not in f.source
    a = np.array([[1, 60], [2, 3]], np.float32)
    np.testing.assert_allclose(f(a), np.exp(a - a.max(1)), rtol=1e-5)
