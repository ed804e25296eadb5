"""Products of batches of matrices: values in both modes, dtypes, layouts, lengths, derivatives, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from grad_check import check

import weft
import weft.tensor as T
from weft.runtime import pool

rng = np.random.default_rng(7)
each_mode = pytest.mark.parametrize("mode", ["interpret", "compile"])


def leaf(a: np.ndarray, name: str = "") -> Any:
    return T.TensorType(a.dtype.name, (False,) * a.ndim)(name or None)


def numbers(*shape: int, dtype: str = "float64") -> np.ndarray:
    if np.dtype(dtype).kind in "iub":
        return rng.integers(0, 100, shape).astype(dtype)
    value = rng.normal(size=shape)
    return (value + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else value).astype(dtype)


def run(build: Callable, args: list[np.ndarray], mode: str) -> np.ndarray:
    leaves = [leaf(a) for a in args]
    return weft.function(leaves, build(*leaves), mode=mode)(*args)


SHAPES = [(1, 1, 1, 1), (3, 4, 5, 2), (17, 2, 3, 19), (2, 70, 600, 45), (0, 2, 3, 4), (3, 0, 2, 4), (3, 2, 4, 0)]


@each_mode
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64", "complex128", "int8", "uint16", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape: tuple[int, ...], dtype: str, mode: str) -> None:
    b, m, k, n = shape
    x, y = numbers(b, m, k, dtype=dtype), numbers(b, k, n, dtype=dtype)
    got = run(T.batched_dot, [x, y], mode)
    want = np.matmul(x, y)  # integers wrap
    assert got.dtype == want.dtype and got.shape == want.shape
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        np.testing.assert_array_equal(got, want)
    else:
        tight = 1e-12 if kind.itemsize == 8 * (1 + (kind.kind == "c")) else 2e-5
        np.testing.assert_allclose(got, want, rtol=tight, atol=tight * k**0.5)


@each_mode
@pytest.mark.parametrize("dims", [(3, 3), (3, 2), (2, 3), (2, 2)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_rounded_once(dtype: str, dims: tuple[int, int], mode: str) -> None:
    """Every product of these is cut by nearly half a unit where it is rounded by itself."""
    held = np.dtype(dtype) if dtype == "float16" else np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    number, k = (1 + 22 * 2.0**-10, 700) if dtype == "float16" else (1 + 7 * 2.0**-7, 300)
    shapes = {3: ((4, 5, k), (4, k, 6)), 2: ((4, k), (4, k))}
    x, y = (np.full(shapes[d][at], number, held) for at, d in enumerate(dims))
    leaves = [T.TensorType(dtype, (False,) * d)() for d in dims]
    got = weft.function(leaves, T.batched_dot(*leaves), mode=mode)(x, y)
    assert got.dtype == held and got.shape == (4, *(5,) * (dims[0] - 2), *(6,) * (dims[1] - 2))
    assert (got.astype("float64") == float(held.type(k * number**2))).all()
    assert held.type(k * number**2) != held.type(k * float(held.type(number**2)))


@each_mode
@pytest.mark.parametrize("k", [0, 1, 1500])
def test_no_terms_and_many(k: int, mode: str) -> None:
    x, y = numbers(3, 2, k), numbers(3, k, 4)
    got = run(T.batched_dot, [x, y], mode)
    np.testing.assert_allclose(got, np.matmul(x, y), atol=1e-12)
    assert k or not np.signbit(got).any()


@each_mode
@pytest.mark.parametrize("build, numpy", [
    (lambda x, y: T.batched_dot(x.dimshuffle(0, 2, 1), y), lambda x, y: np.matmul(x.transpose(0, 2, 1), y)),
    (lambda x, y: T.batched_dot(x.dimshuffle(1, 2, 0), y.dimshuffle(1, 0, 2)),
     lambda x, y: np.matmul(x.transpose(1, 2, 0), y.transpose(1, 0, 2))),
    (lambda x, y: T.batched_dot(x[:, ::-1, 1:], y[:, 1:, ::2]), lambda x, y: np.matmul(x[:, ::-1, 1:], y[:, 1:, ::2])),
    (lambda x, y: T.batched_dot(x[::-2], y[::2]), lambda x, y: np.matmul(x[::-2], y[::2])),
    (lambda x, y: T.batched_dot(x, T.alloc(y[0], 4, 4, 4)), lambda x, y: np.matmul(x, y[0])),
    (lambda x, y: T.batched_dot(x, T.batched_dot(y, x)), lambda x, y: x @ (y @ x)),
    (lambda x, y: T.batched_dot(x, x.dimshuffle(0, 2, 1)), lambda x, y: x @ x.transpose(0, 2, 1)),
    (lambda x, y: T.batched_dot(T.exp(x), y + 1), lambda x, y: np.exp(x) @ (y + 1)),
    (lambda x, y: (x @ y)[1], lambda x, y: (x @ y)[1]),
])  # fmt: skip
def test_layouts(build: Callable, numpy: Callable, mode: str) -> None:
    x, y = numbers(4, 4, 4), numbers(4, 4, 4)
    got = run(lambda x, y: build(x, y) + 0 * T.sum(x) * T.sum(y), [x, y], mode)
    np.testing.assert_allclose(got, numpy(x, y), rtol=1e-12, atol=1e-12)


def test_views_are_read_in_place() -> None:
    x, y = T.tensor3("x"), T.tensor3("y")
    f = weft.function([x, y], T.batched_dot(x.dimshuffle(0, 2, 1)[:, ::2], y[::-1]))
    assert f.source.count("static void k") == 0
    a, b = numbers(3, 4, 5), numbers(3, 4, 2)
    np.testing.assert_allclose(f(a, b), a.transpose(0, 2, 1)[:, ::2] @ b[::-1])


@each_mode
def test_theanos_ranks(mode: str) -> None:
    """A batch of scalars multiplies; more axes are a tensordot of each."""
    v, mat, cube, four = numbers(3), numbers(3, 4), numbers(3, 2, 4), numbers(3, 5, 4, 2)
    for args, want in [
        ([v, cube], v[:, None, None] * cube),
        ([mat, v], mat * v[:, None]),
        ([v, v], v * v),
        ([mat, mat], np.einsum("bj,bj->b", mat, mat)),
        ([cube, mat], np.einsum("bij,bj->bi", cube, mat)),
        ([mat, numbers(3, 4, 6)], None),
        ([cube, four], np.einsum("bij,bkjl->bikl", cube, four)),
        ([four, mat[:, :2]], np.einsum("bijk,bk->bij", four, mat[:, :2])),
    ]:
        if want is None:
            want = np.einsum("bj,bjk->bk", *args)
        np.testing.assert_allclose(run(T.batched_dot, args, mode), want, rtol=1e-12, atol=1e-12)


@each_mode
@pytest.mark.parametrize("axes, rule, a, b", [
    (1, "bij,bjk->bik", (3, 2, 4), (3, 4, 5)),
    (2, "bijk,bjkl->bil", (3, 2, 4, 5), (3, 4, 5, 6)),
    (0, "bi,bj->bij", (3, 2), (3, 4)),
    ([[1, 2], [3, 1]], "bijk,bjli->bkl", (3, 2, 4, 5), (3, 4, 6, 2)),
    ([[-1], [1]], "bij,bjk->bik", (3, 2, 4), (3, 4, 5)),
    ((2, 2), "bij,bkj->bik", (3, 2, 4), (3, 5, 4)),
    (1, "bij,bjk->bik", (3, 2, 0), (3, 0, 5)),
    (2, "bijk,bjkl->bil", (0, 2, 4, 5), (0, 4, 5, 6)),
])  # fmt: skip
def test_batched_tensordot(axes: Any, rule: str, a: tuple, b: tuple, mode: str) -> None:
    x, y = numbers(*a), numbers(*b)
    got = run(lambda x, y: T.batched_tensordot(x, y, axes), [x, y], mode)
    np.testing.assert_allclose(got, np.einsum(rule, x, y), rtol=1e-12, atol=1e-12)


@each_mode
def test_dtypes_are_promoted(mode: str) -> None:
    x, y = numbers(2, 3, 4, dtype="int8"), numbers(2, 4, 3, dtype="float32")
    got = run(T.batched_dot, [x, y], mode)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, x @ y, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("a, b", [
    ((3, 2, 4), (3, 4, 2)), ((1, 2, 3), (1, 3, 1)), ((2, 3, 0), (2, 0, 2)), ((0, 2, 3), (0, 3, 2)),
    ((3, 2, 4), (3, 4)), ((3, 4), (3, 4, 2)), ((3, 4), (3, 4)), ((3,), (3, 2, 2)), ((2, 3, 2, 4), (2, 4, 3)),
])  # fmt: skip
def test_derivatives(a: tuple, b: tuple, dtype: str) -> None:
    check(T.batched_dot, numbers(*a, dtype=dtype), numbers(*b, dtype=dtype), order=2)
    check(T.batched_dot, numbers(*a), numbers(*b, dtype=dtype))


def test_derivatives_through_views_and_tensordot() -> None:
    x, y = numbers(3, 2, 4), numbers(3, 4, 2)
    check(lambda x, y: T.tanh(T.batched_dot(x[::-1], y[:, :, ::-1]) + x[:, :, :2]), x, y, order=2)
    check(lambda x: T.batched_dot(x, x.dimshuffle(0, 2, 1)), x, order=2)
    check(lambda x, y: T.batched_tensordot(x, y, [[1, 2], [2, 1]]), x, y, order=2)


def test_bits_of_one_product_and_of_its_batch() -> None:
    """A product has the bits that it has alone, whatever the threads."""
    for dtype, (b, m, k, n) in [
        ("float32", (7, 40, 1100, 30)),
        ("float64", (2, 130, 70, 90)),
        ("float32", (40, 9, 9, 9)),
    ]:
        x, y = numbers(b, m, k, dtype=dtype), numbers(b, k, n, dtype=dtype)
        u, v, s, t = (leaf(a) for a in (x, y, x[0], y[0]))
        f, one = weft.function([u, v], T.batched_dot(u, v)), weft.function([s, t], T.dot(s, t))
        want = np.stack([one(p, q) for p, q in zip(x, y, strict=True)])
        try:
            for threads in (1, 2, 3):
                pool.set_threads(threads)
                np.testing.assert_array_equal(f(x, y), want)
        finally:
            pool.set_threads(0)


def fixed(*shape: int | None) -> Any:
    return T.TensorType("float64", shape=shape)("x")


@pytest.mark.parametrize("build, error, match", [
    (lambda: T.batched_dot(fixed(2, 3, 4), fixed(3, 4, 5)), weft.ShapeError, "has length 2, axis 0 of .* 3"),
    (lambda: T.batched_dot(fixed(2, 3, 4), fixed(2, 3, 5)), weft.ShapeError, "axis 2 .* has length 4, axis 1 of .* 3"),
    (lambda: T.batched_dot(fixed(2, 3, 4), fixed(2, 3)), weft.ShapeError, "axis 2 .* has length 4, axis 1 of .* 3"),
    (lambda: T.batched_dot(fixed(1, 3, 4), fixed(2, 4, 5)), weft.ShapeError, "axis 0 .* has length 1, axis 0 of .* 2"),
    (lambda: T.batched_dot(fixed(2, 4), fixed(1, 4)), weft.ShapeError, "axis 0 .* has length 2, axis 0 of .* 1"),
    (lambda: T.batched_dot(T.scalar(), fixed(2, 4)), weft.ShapeError, "0 and 2 dimensions"),
    (lambda: T.batched_dot(T.btensor3() > 0, T.btensor3() > 0), weft.DTypeError, "bool"),
    (lambda: T.batched_tensordot(fixed(2, 3), fixed(2, 3), 2), weft.ShapeError, "over 2 axes"),
    (lambda: T.batched_tensordot(fixed(2, 3), fixed(2, 3), [[0], [1]]), weft.ArgumentError, "axis 0 is the batch's"),
    (lambda: T.batched_tensordot(fixed(2, 3), fixed(2, 3), [[1, 1], [1, 1]]), weft.ArgumentError, "twice"),
    (lambda: T.batched_tensordot(fixed(2, 3), fixed(4, 3), 1), weft.ShapeError, "axis 0 of .* has length 2"),
])  # fmt: skip
def test_refused_where_declared(build: Callable, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        build()


@each_mode
@pytest.mark.parametrize("a, b", [
    ((2, 3, 4), (3, 4, 5)), ((2, 3, 4), (2, 5, 5)), ((1, 3, 4), (2, 4, 5)), ((2, 4), (1, 4)), ((2, 4), (2, 1)),
    ((2, 3, 1), (2, 4, 5)), ((2, 3, 4), (2, 1)), ((2, 1), (2, 4)), ((1, 4), (2, 4)), ((1, 4), (2, 4, 3)),
])  # fmt: skip
def test_lengths_that_do_not_fit_at_the_call(a: tuple, b: tuple, mode: str) -> None:
    x, y = numbers(*a), numbers(*b)
    with pytest.raises(weft.ShapeError):
        run(T.batched_dot, [x, y], mode)
    # an axis known to have length 1 does not stretch either
    leaves = [T.TensorType("float64", [n == 1 for n in p.shape])() for p in (x, y)]
    with pytest.raises(weft.ShapeError):
        weft.function(leaves, T.batched_dot(*leaves), mode=mode)(x, y)
