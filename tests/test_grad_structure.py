"""Derivatives of views, reductions and indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from grad_check import check, function

import weft
import weft.tensor as T
from weft.compiler.graph.variable import op1

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4))
CUBE = rng.normal(size=(2, 3, 4))
ROW = rng.normal(size=(1, 4))
V = rng.normal(size=5)
Z = X + 1j * rng.normal(size=(3, 4))

VIEWS = {
    "transpose": lambda x: x.T,
    "insert": lambda x: x.dimshuffle(1, "x", 0),
    "reshape": lambda x: x.reshape((2, 6)),
    "reshape_hole": lambda x: x.reshape((-1, 2)),
    "flatten": lambda x: x.flatten(),
    "alloc": lambda x: T.alloc(x, 2, 3, 4),
    "slice": lambda x: x[1:, ::2],
    "slice_back": lambda x: x[::-1, 3:0:-2],
    "slice_empty": lambda x: x[3:, :2],
    "point": lambda x: x[-1],
    "points": lambda x: x[1, 2],
    "new_axis": lambda x: x[:, None, 1],
    "window": lambda x: op1("window", x, axis=1, size=2, stride=1),
    "window_stride": lambda x: op1("window", x, axis=1, size=2, stride=2),
    "window_gaps": lambda x: op1("window", x, axis=0, size=1, stride=2),
    "cumsum": lambda x: T.cumsum(x, 0),
    "cumsum_back": lambda x: op1("cumsum", x, axis=1, reverse=True),
    "sum": T.sum,
    "sum_axis": lambda x: T.sum(x, 1),
    "sum_keep": lambda x: T.sum(x, (0, 1), keepdims=True),
    "mean": lambda x: T.mean(x, 0),
    "gather": lambda x: x[T.constant([0, 2, 2, -1])],
    "gather_columns": lambda x: x[:, T.constant([1, 1])],
    "gather_pairs": lambda x: x[T.constant([0, 2]), T.constant([3, -1])],
    "gather_matrix": lambda x: x[T.constant([[0, 1], [1, 1]])],
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("x", [X, Z], ids=["real", "complex"])
def test_view(name: str, x: np.ndarray) -> None:
    check(VIEWS[name], x)
    check(lambda v: VIEWS[name](v) ** 2, x, order=2, forward=name != "window")


def test_dimshuffle_drops() -> None:
    check(lambda x: x.dimshuffle(1), ROW)
    check(lambda x: x.dimshuffle("x", 1, "x"), ROW, order=2)


def test_alloc_stretches() -> None:
    check(lambda x: T.alloc(x, 2, 3, 4), ROW)
    check(lambda x, y: T.fill(x, T.sum(y)), X, V)


def test_rebroadcast() -> None:
    x, y = T.dmatrices("x", "y")
    g = weft.grad(T.sum((T.addbroadcast(x, 0) * y) ** 2), x)
    assert g.broadcastable == (False, False)
    value = function([x, y], g)(ROW, X)
    np.testing.assert_allclose(value, 2 * ROW * (X**2).sum(0, keepdims=True))
    t = weft.gradient.Rop(T.addbroadcast(x, 0) * y, x, x)
    np.testing.assert_allclose(function([x, y], t)(ROW, X), ROW * X)


def test_slices_with_symbolic_bounds() -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    g = function([x, i], weft.grad(T.sum(x[i : i + 2] ** 2), x))
    np.testing.assert_allclose(g(V, 1), [0, 2 * V[1], 2 * V[2], 0, 0])
    np.testing.assert_allclose(g(V, 4), [0, 0, 0, 0, 2 * V[4]])
    np.testing.assert_allclose(function([x, i], weft.grad(x[i] ** 2, x))(V, -1), [0, 0, 0, 0, 2 * V[4]])


@pytest.mark.parametrize("write", [T.set_subtensor, T.inc_subtensor])
def test_write_to_a_slice(write) -> None:
    check(lambda x, y: write(x[1:, ::2], y), X, rng.normal(size=(2, 2)))
    check(lambda x, y: write(x[1:, ::2], y) ** 2, X, rng.normal(size=(2,)), order=2)
    check(lambda x, y: write(x[0], y), X, 2.0)
    check(lambda x: write(x[0], 1.0), X)
    check(lambda y: write(T.zeros((3, 4))[0], y), V[:4])


INDICES = {"distinct": [2, 0], "repeated": [1, 2, 1], "negative": [2, -1]}


@pytest.mark.parametrize("write", [T.set_subtensor, T.inc_subtensor])
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_write_to_an_index(write, index: list[int]) -> None:
    check(lambda x, y: write(x[T.constant(index)], y), X, rng.normal(size=(len(index), 4)))
    check(lambda x, y: write(x[T.constant(index)], y) ** 2, X, rng.normal(size=4), order=2)
    check(lambda x, y: write(x[:, T.constant(index)], y), X, rng.normal(size=(3, len(index))))
    check(lambda x, y: write(x[T.constant(index), T.constant(index)], y), X, rng.normal(size=len(index)))
    check(lambda x, y: write(x[T.constant(index) * 1], y), X, rng.normal(size=4))  # an index that is computed
    check(lambda x, y: write(x[T.constant([index, index])], y), X, rng.normal(size=(2, len(index), 4)))


def test_mask() -> None:
    check(lambda x: x[x > 0], X)
    check(lambda x, y: T.set_subtensor(x[x > 0], y), X, 2.0)
    check(lambda x, y: T.inc_subtensor(x[x > 0], y) * x, X, 2.0, order=2)


def test_a_mask_is_written_without_a_search_for_repeats() -> None:
    from weft.compiler.graph.variable import ancestors

    x, y = T.dvector("x"), T.dscalar("y")
    g = weft.grad(T.sum(T.set_subtensor(x[x > 0], y) ** 2), y)
    assert "iota" not in {getattr(v.owner.op, "name", "") for v in ancestors([g]) if v.owner}


def test_concatenate() -> None:
    check(lambda a, b, c: T.concatenate([a, b * b, c, a], axis=0), X, ROW, rng.normal(size=(0, 4)), order=2)
    check(lambda a, b: T.concatenate([a, b], axis=1), X, X[:, :1])
    check(lambda a, b: T.stack([a, b, a]), V, V * 2)
    check(lambda a: T.join(0, a, T.constant(V)), V)


@pytest.mark.parametrize(("axis", "size", "stride"), [(0, 2, 1), (1, 2, 1), (1, 2, 2), (1, 3, 1), (1, 1, 3)])
def test_spread(axis: int, size: int, stride: int) -> None:
    count = (X.shape[axis] - size) // stride + 1
    shape = [*X.shape, size]
    shape[axis] = count
    g = rng.normal(size=shape)
    n = T.constant(X.shape[axis], dtype="int64")

    def spread(v):
        return op1("spread", v.reshape(shape), n, axis=axis, stride=stride)

    check(spread, g)
    check(lambda v: spread(v) ** 2, g, order=2)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("length", [0, 1, 3, 6, 8, 9, 20])
def test_spread_to_other_lengths(length: int, stride: int) -> None:
    """What lies beyond the length is dropped, and has no gradient."""
    places, n = T.constant(np.arange(float(length)))[:, None], T.constant(length, dtype="int64")
    check(lambda v: op1("spread", v.reshape((3, 3)), n, axis=0, stride=stride) * places, rng.normal(size=(3, 3)))


def test_spread_of_unknown_size() -> None:
    g = T.dtensor3("g")
    with pytest.raises(weft.ShapeError, match="last axis"):
        weft.grad(T.sum(op1("spread", g, T.constant(4, dtype="int64"), axis=0, stride=1)), g)


@pytest.mark.parametrize("f", [T.max, T.min, lambda x, axis: T.max_and_argmax(x, axis)[0]])
@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
def test_extreme(f, axis) -> None:
    check(lambda x: f(x, axis), CUBE)
    check(lambda x: f(x * x, axis) ** 2, CUBE, order=2)


def test_ties_have_the_whole_gradient() -> None:
    x = T.dvector("x")
    for f in (T.max, lambda v: T.max_and_argmax(v)[0]):
        np.testing.assert_array_equal(function([x], weft.grad(f(x), x))([1.0, 3, 3]), [0, 1, 1])
    np.testing.assert_array_equal(function([x], weft.grad(T.min(x), x))([1.0, 1, 3]), [1, 1, 0])


def test_variance() -> None:
    check(lambda x: T.var(x, 0, ddof=1), X, order=2)
    check(lambda x: T.std(x), X)


FACTORS = {
    "no zero": [[2.0, 3, -1], [1, 0.5, 2]],
    "one zero": [[2.0, 0, -1], [1, 0.5, 2]],
    "two zeros": [[0.0, 3, 0], [0, 0.5, 2]],
    "three zeros": [[0.0, 0, 0], [1, 0, 0]],
}


@pytest.mark.parametrize("x", FACTORS.values(), ids=FACTORS)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_product(x: list, axis) -> None:
    check(lambda v: T.prod(v, axis), np.array(x), order=3)
    check(lambda v: T.prod(v, axis), np.array(x) * (1 + 0.5j), order=2)


def test_product_to_the_fourth_derivative() -> None:
    """The gradient of the weighed sum of the gradient, three times, where every factor is 0 and elsewhere."""
    x, w = T.dvector("x"), np.array([1.0, 2, 3, 4])
    g: Any = weft.grad(T.prod(x), x)
    for _ in range(3):
        g = weft.grad(T.sum(g * w), x)
    for at in (np.zeros(4), np.array([1.0, 2, 0, 3])):
        np.testing.assert_allclose(function([x], g)(at), 6 * w.prod() / w)


def test_sort() -> None:
    check(lambda x: T.sort(x) ** 2, X, order=2)
    check(lambda x: T.sort(x, axis=0), X)
    check(lambda x: T.sort(x, axis=None), X)
    check(lambda x: x[T.argsort(x)], V)


def test_lengths_in_values() -> None:
    check(lambda x: x * x.shape[0], X)
    check(lambda x: T.arange(x.shape[0]) * x, V)


def test_none_at_all() -> None:
    """A length of 0 gives a gradient of length 0."""
    x = T.dmatrix("x")
    for cost in (T.sum(x**2), T.sum(T.cumsum(x, 0)), T.sum(T.prod(x, 0)), T.sum(T.sort(x))):
        assert function([x], weft.grad(cost, x))(np.zeros((0, 3))).shape == (0, 3)


def test_one_index_twice_writes_one_place_more_than_once() -> None:
    m, k, v = T.dmatrix("m"), T.TensorType("bool", shape=(None, None))("k"), T.dvector("v")
    rows = k.nonzero()[0]
    g = weft.grad(T.sqr(T.set_subtensor(m[rows, rows], v)).sum(), v)
    mask = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    np.testing.assert_array_equal(function([m, k, v], g)(np.zeros((3, 3)), mask, np.array([1.0, 2, 3])), [0, 4, 6])
