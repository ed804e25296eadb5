"""Folds of a few elements of known number are written out: the bits of the loops, and vectors around them."""

import re

import numpy as np
import pytest
from fuzz_criterion import plain

import weft
import weft.tensor as T
from weft.compiler.ir.dtypes import numpy_dtype
from weft.compiler.ir.node import topological
from weft.compiler.lower import kernel as lower
from weft.tensor.signal.pool import pool_2d

FLOATS = ("float16", "bfloat16", "float32", "float64")


def nests(f):
    return list(f.stages.generated.kernels.values())


def loops_inside(f):
    """The loops of each kernel, inside those over its results."""
    return [sum(n.op == "loop" for n in topological([nest.block])) - 1 for nest in nests(f)]


def both(monkeypatch, inputs, outputs, *args):
    """The results with folds written out, and as loops; both programs."""
    monkeypatch.setattr(weft.config, "reuse", False)
    few = weft.function(inputs, outputs)
    results = few(*args)
    with monkeypatch.context() as m:
        m.setattr(lower, "may_be_written_out", lambda *facts: False)
        loops = weft.function(inputs, outputs)
        return results, loops(*args), few, loops


def same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    bits = a.view(np.uint8).reshape(a.size, -1) == b.view(np.uint8).reshape(b.size, -1)
    nan = np.isnan(plain(a)).ravel() & np.isnan(plain(b)).ravel()
    return a.shape == b.shape and a.dtype == b.dtype and bool((bits.all(1) | nan).all())


def numbers(rng, dtype, shape):
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype[0] in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    a = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0, -0.0):
        a[rng.random(shape) < 0.05] = value
    a[..., 0], a[:2] = -0.0, -0.0
    return a.astype(numpy_dtype(dtype))


@pytest.mark.parametrize("dtype", [*FLOATS, "complex64", "complex128", "int8", "uint64", "bool"])
def test_bits_are_those_of_loops(dtype, monkeypatch):
    """Of lanes in order, of two elements a lane, of the tree; infinities, NaN and zeros of both signs among them."""
    rng = np.random.default_rng(0)
    folds = [T.any, T.all] if dtype == "bool" else [T.sum, T.prod] if dtype[0] == "c" else [T.sum, T.prod, T.max, T.min]
    for n in (2, 3, 7, 8, 9, 15, 16):
        for axis in (0, 1):
            a = numbers(rng, dtype, (n, 21) if axis == 0 else (21, n))
            x = T.TensorType(dtype, shape=(n, None) if axis == 0 else (None, n))("x")
            got, want, _, _ = both(monkeypatch, [x], [f(x, axis=axis) for f in folds], a)
            assert all(map(same, got, want)), (n, axis)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_folds_inside_folds_and_what_is_stored_beside_them(dtype, monkeypatch):
    rng = np.random.default_rng(1)
    x = T.TensorType(dtype, shape=(None, 4))("x")
    y = T.TensorType(dtype, shape=(None, 6, None))("y")
    windows = y.reshape((y.shape[0], 2, 3, y.shape[2]))
    shifted = T.exp(x - T.max(x, axis=1, keepdims=True))
    outputs = [
        shifted / T.sum(shifted, axis=1, keepdims=True),
        T.max(T.sum(windows * windows, axis=2), axis=1),
        windows - T.max(windows, axis=2, keepdims=True),
        weft.grad(T.sum(T.sqr(T.max(windows, axis=2))), y),
    ]
    args = rng.standard_normal((13, 4)).astype(dtype), rng.standard_normal((5, 6, 9)).astype(dtype)
    got, want, few, loops = both(monkeypatch, [x, y], outputs, *args)
    assert all(map(same, got, want))
    assert max(loops_inside(few)) <= 1 < max(loops_inside(loops))  # one: that over the last axis


def test_windows_side_by_side_become_vectors():
    """Pooling, its gradient, distances of points, a mean over colours: no lanes, no loop inside that over results."""
    x = T.TensorType("float32", shape=(None, 8, 12, 12))("x")
    windows = x.reshape((x.shape[0], 8, 6, 2, 6, 2))
    p, q = (T.TensorType("float32", shape=(None, 3))(n) for n in "pq")
    pooled = T.max(windows, axis=(3, 5))
    for inputs, output in [
        ([x], pooled),
        ([x], weft.grad(T.sum(pooled), x)),
        ([p, q], T.sqrt(T.sum(T.sqr(p[:, None] - q), axis=2))),
        ([p], T.mean(p, axis=1)),
        ([x], T.sum(T.window(x, 3, 1, axis=3), axis=-1)),
    ]:
        f = weft.function(inputs, output)
        assert all(nest.mode == "map" for nest in nests(f)) and "lane" not in f.source, f.source


@pytest.mark.parametrize("lengths", [(None, 2, 11, 13), (None, None, None, None)])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 3), (3, 2), (3, 1)])
@pytest.mark.parametrize("mode", ["max", "average_inc_pad"])
def test_pooling_and_its_gradient(lengths, size, stride, mode, monkeypatch):
    """Windows apart and overlapping: as with loops, as interpreted."""
    x = T.TensorType("float32", shape=lengths)("x")
    pooled = pool_2d(x, (size, size), stride=(stride, stride), mode=mode)
    outputs = [pooled, weft.grad(T.sum(T.sqr(pooled)), x)]
    a = np.random.default_rng(0).integers(-4, 5, (3, 2, 11, 13)).astype("float32")
    got, want, few, _ = both(monkeypatch, [x], outputs, a)
    assert all(map(same, got, want)) and "lane" not in few.source
    interpreted = weft.function([x], outputs, mode="interpret")(a)
    for g, w in zip(got, interpreted, strict=True):
        np.testing.assert_allclose(g, w, 1e-6, 1e-6)


def test_a_short_last_loop_is_written_out_too():
    """Two sums for each row: the vector goes over rows."""
    x = T.TensorType("float32", shape=(None, 2, 2))("x")
    f = weft.function([x], T.sum(x, axis=1))
    assert loops_inside(f) == [0] and len(re.findall(r"p1\[.*\] = ", f.source)) == 2, f.source


def test_what_is_not_written_out():
    """Run-time lengths, many elements, functions of many, neighbours too far apart, products of complex numbers."""
    shapes = (None, None), (None, 17), (None, 7), (16, None)
    x, long, far, wide = (T.TensorType("float32", shape=s)("x") for s in shapes)
    z = T.TensorType("complex64", shape=(None, 3))("z")
    for v, output in [
        (x, T.sum(x, axis=1)),
        (long, T.sum(long, axis=1)),
        (far, T.max(far, axis=1)),
        (wide, T.sum(T.exp(wide), axis=0)),
        (z, T.prod(z, axis=1)),
        (far, T.argmax(far, axis=1)),
    ]:
        assert [nest.mode for nest in nests(weft.function([v], output))] != ["map"]


def test_a_few_scalars():
    """A fold that ends in one number, without loops around it; nothing to fold."""
    x = T.TensorType("float32", shape=(3,))("x")
    f = weft.function([x], [T.sum(x), T.max(x * 2)])
    assert [nest.mode for nest in nests(f)] == ["map"] and "for (" not in f.source.split("run(")[0]
    total, largest = f(np.array([1, 2, 4], "float32"))
    assert total == 7 and largest == 8
    nothing = T.TensorType("float32", shape=(None, 0))("nothing")
    assert (weft.function([nothing], T.sum(nothing, axis=1))(np.zeros((4, 0), "float32")) == 0).all()
