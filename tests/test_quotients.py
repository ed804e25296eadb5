"""Quotients by what has fewer elements: multiplications by a reciprocal where that is as good, divisions elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.ir.regions import nested_nodes

RNG = np.random.default_rng(0)
BY_RECIPROCAL = {
    "a root": lambda x: x / T.sqrt(x.var(axis=1, keepdims=True)),
    "a root of a sum": lambda x: x / T.sqrt(T.sum(T.sqr(x), axis=1, keepdims=True) + 1e-5),
    "a root and a constant": lambda x: x / (T.sqrt(T.sum(T.sqr(x), axis=1, keepdims=True)) + 1e-5),
    "a bounded root": lambda x: x / T.maximum(T.sqrt(T.sum(T.sqr(x), axis=1, keepdims=True)), 1e-12),
    "columns": lambda x: x / T.sqrt(T.sum(T.sqr(x), axis=0)),
    "softmax": lambda x: T.nnet.softmax(x),
    "softmax written out": lambda x: T.exp(x) / T.sum(T.exp(x), axis=1, keepdims=True),
    "softmax with its maximum": lambda x: shifted(x) / T.sum(shifted(x), axis=1, keepdims=True),
}
BY_DIVISION = {
    "a sum": lambda x: x / T.sum(x, axis=1, keepdims=True),
    "a sum of others' exponentials": lambda x: x / T.sum(T.exp(x), axis=1, keepdims=True),
    "as many": lambda x: x / T.sqrt(T.sqr(x) + 1),
    "a root and a variable": lambda x: x / (T.sqrt(x[:, :1]) + x[:, 1:2]),
    "a root and less": lambda x: x / (T.sqrt(T.sum(T.sqr(x), axis=1, keepdims=True)) - 1e-5),
    "an input": lambda x: x / x[:1],
}


def shifted(x):
    return T.exp(x - T.max(x, axis=1, keepdims=True))


def operations(f):
    return [n.op for _, nodes in nested_nodes(f.stages.simplified) for n in nodes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BY_RECIPROCAL)
def test_by_reciprocal(name, dtype):
    x = T.matrix("x", dtype=dtype)
    y = BY_RECIPROCAL[name](x)
    f = weft.function([x], y)
    assert "reciprocal" in operations(f)
    value = RNG.standard_normal((7, 40)).astype(dtype)
    want = weft.function([x], y, mode="interpret")(value)
    np.testing.assert_allclose(f(value), want, rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", BY_DIVISION)
def test_by_division(name):
    x = T.fmatrix("x")
    f = weft.function([x], BY_DIVISION[name](x))
    assert "reciprocal" not in operations(f) and "truediv" in operations(f)


def test_narrow_floats_are_divided():
    """Their values are rounded at each node."""
    x = T.matrix("x", dtype="float16")
    assert "truediv" in operations(weft.function([x], x / T.sqrt(T.sum(T.sqr(x), axis=1, keepdims=True))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_root(dtype):
    """The quotient and the product are infinite, zero or NaN for the same values, and else two roundings apart."""
    info = np.finfo(dtype)
    squares = [0, -0.0, info.smallest_subnormal, info.tiny, 1e-20, 1, 3, 1e30, info.max, np.inf, np.nan, -1]
    values = [0, -0.0, info.smallest_subnormal, 1e-30, 0.3, 1, 49, 1e30, info.max, np.inf, np.nan]
    values += [-v for v in values]
    s, x = T.vector("s", dtype=dtype), T.vector("x", dtype=dtype)
    f = weft.function([x, s], x[None, :] / T.sqrt(s)[:, None])
    assert "reciprocal" in operations(f)
    squares, values = np.array(squares, dtype), np.array(values, dtype)
    with np.errstate(all="ignore"):
        want = values[None, :] / np.sqrt(squares)[:, None]
    got = f(values, squares)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))
    np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
    np.testing.assert_allclose(got, want, rtol=2 * info.eps, atol=2 * info.smallest_subnormal)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_that_are_no_normal_numbers(dtype):
    """The reciprocal of what keeps a row of zeros from being divided by zero is finite, or there is none."""
    info = np.finfo(dtype)
    x = T.matrix("x", dtype=dtype)
    root = T.sqrt(T.sum(T.sqr(x), axis=1, keepdims=True))
    rows = np.outer([0, 1, 1e-15], np.arange(5)).astype(dtype)
    for least, by in ((info.tiny, "reciprocal"), (info.tiny / 16, "truediv"), (info.smallest_subnormal, "truediv")):
        for divisor in (T.maximum(root, least), root + least):
            f = weft.function([x], x / divisor)
            assert by in operations(f)
            want = weft.function([x], x / divisor, mode="interpret")(rows)
            np.testing.assert_allclose(f(rows), want, rtol=4 * info.eps)
