"""The order of reductions (docs/numerics.md), bit by bit: whatever the shape, axis, threads and neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime import pool

BLOCK, PART = 1024, 256
SHAPES = [
    (0, 3), (1, 1), (5, 7), (8, 8), (60, 9), (40, 12), (70, 16), (33, 17), (16, 33), (40, 32), (90, 29), (15, 50),
    (3, 1023), (1025, 2), (17, 2600), (2600, 70),
]  # fmt: skip
AXES = [0, 1, None]


def ordered(x: np.ndarray, fold: np.ufunc, start: float) -> np.ndarray:
    """The rows of x folded as the contract says: blocks, parts of them, virtual lanes, a fixed tree, blocks joined."""
    lanes = 16 if x.dtype == np.float32 else 8
    total, low = np.full(len(x), start, x.dtype), np.zeros(len(x), x.dtype)
    for b in range(0, x.shape[1], BLOCK):
        block = x[:, b : b + BLOCK]
        lane = np.full((len(x), lanes), start, x.dtype)
        for p in range(0, block.shape[1], PART):
            part = np.full((len(x), lanes), start, x.dtype)
            for e in range(p, min(p + PART, block.shape[1])):
                part[:, e % lanes] = fold(part[:, e % lanes], block[:, e])
            lane = fold(lane, part)
        h = lanes // 2
        if block.shape[1] <= 2 * lanes:  # lanes of one or two are a chain
            for e in range(1, min(block.shape[1], lanes)):
                lane[:, 0] = fold(lane[:, 0], lane[:, e])
            h = 0
        while h:
            lane[:, :h] = fold(lane[:, :h], lane[:, h : 2 * h])
            h //= 2
        one = lane[:, 0].copy()
        if b == 0:
            total = one
        elif fold is np.add:  # by TwoSum, what rounding took kept apart
            s = total + one
            t = s - total
            low += (total - (s - t)) + (one - t)
            total = s
        else:
            total = fold(total, one)
    return np.where(np.isnan(low), total, total + low) if fold is np.add else total


def rows(a: np.ndarray, axis: int | None) -> np.ndarray:
    return a.reshape(1, -1) if axis is None else a.T if axis == 0 else a


def sample(shape: tuple[int, int], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(shape[0] * 10 + shape[1])
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", AXES)
def test_sum_and_product(dtype: str, axis: int | None) -> None:
    x = T.TensorType(dtype, (False, False))("x")
    f = weft.function([x], [T.sum(x, axis), T.prod(x, axis)])
    for shape in SHAPES:
        a = sample(shape, dtype)
        with np.errstate(all="ignore"):
            total, product = ordered(rows(a, axis), np.add, 0), ordered(rows(a, axis), np.multiply, 1)
        try:
            for threads in (1, 2, 3):
                pool.set_threads(threads)
                found = f(a)
                assert np.ravel(found[0]).tobytes() == total.tobytes(), (shape, threads)
                np.testing.assert_array_equal(np.ravel(found[1]), product)
        finally:
            pool.set_threads(0)


def test_middle_axis_and_two_axes() -> None:
    x = T.ftensor3("x")
    f = weft.function([x], [T.sum(x, 1), T.sum(x, (0, 2)), T.sum(x, (1, 2))])
    a = sample((6, 5 * 300), "float32").reshape(6, 300, 5)
    middle, outer, inner = f(a)
    assert middle.tobytes() == ordered(a.transpose(0, 2, 1).reshape(30, 300), np.add, 0).tobytes()
    assert outer.tobytes() == ordered(a.transpose(1, 0, 2).reshape(300, 30), np.add, 0).tobytes()
    assert inner.tobytes() == ordered(a.reshape(6, 1500), np.add, 0).tobytes()


def test_half_is_summed_in_float32() -> None:
    x = T.matrix("x", dtype="float16")
    a = sample((9, 2100), "float16")
    want = ordered(a.astype(np.float32), np.add, 0).astype(np.float16)
    assert weft.function([x], T.sum(x, 1))(a).tobytes() == want.tobytes()


@pytest.mark.parametrize("axis", AXES)
def test_folds_of_two_dtypes_in_one_loop(axis: int | None) -> None:
    """Lanes follow a fold's own dtype, not that of a neighbour in the same loop."""
    x = T.fmatrix("x")
    wide = T.sqrt(abs(T.cast(x, "float64")))
    s, t = T.sum(wide, axis, keepdims=True), T.sum(x * x, axis, keepdims=True)
    fused = weft.function([x], wide * s + x * t)
    assert len(fused.kernels) == 1
    a = sample((37, 1100), "float32")
    w = np.sqrt(np.abs(a.astype(np.float64)))
    keep = {None: (1, 1), 0: (1, -1), 1: (-1, 1)}[axis]
    s64 = ordered(rows(w, axis), np.add, 0).reshape(keep)
    t32 = ordered(rows(a * a, axis), np.add, 0).reshape(keep)
    assert fused(a).tobytes() == (w * s64 + a * t32).tobytes()


def test_a_row_alone_and_in_its_batch() -> None:
    x = T.fmatrix("x")
    f = weft.function([x], T.nnet.softmax(x))
    a = sample((50, 1500), "float32")
    whole = f(a)
    for k in (0, 17, 49):
        assert f(a[k : k + 1]).tobytes() == whole[k : k + 1].tobytes()


def exact(x: np.ndarray) -> float:
    return math.fsum(x.astype(np.float64).ravel())


@pytest.mark.parametrize("kind", ["uniform", "normal", "cancelling", "wide", "one large", "equal"])
def test_sums_are_as_accurate_as_pairwise_ones(kind: str) -> None:
    """float32, against NumPy's pairwise summation: root mean square errors over samples, along rows and columns."""
    rng = np.random.default_rng(7)
    x = T.fmatrix("x")
    f = weft.function([x], [x.sum(1), x.T.sum(0), x.sum()])
    for n, samples in ((1000, 60), (30_000, 30), (1_000_000, 6)):
        if kind == "uniform":
            a = rng.random((samples, n))
        elif kind == "normal":
            a = rng.normal(size=(samples, n))
        elif kind == "cancelling":  # of a condition number of about 10^6
            half = rng.normal(size=(samples, n // 2)) * 10.0 ** rng.integers(-3, 4, (samples, n // 2))
            a = rng.permuted(np.concatenate([half, -half + rng.normal(size=half.shape) * 1e-4], axis=1), axis=1)
        elif kind == "wide":
            a = rng.normal(size=(samples, n)) * 10.0 ** rng.integers(-6, 7, (samples, n))
        elif kind == "one large":
            a = rng.random((samples, n))
            a[:, 0] = 1e6
        else:
            a = np.repeat(rng.random((samples, 1)) + 0.5, n, axis=1)
        a = a.astype(np.float32)
        want = np.array([exact(row) for row in a])
        size = np.abs(a).astype(np.float64).sum(axis=1)

        def error(got: np.ndarray, want: np.ndarray = want, size: np.ndarray = size) -> float:
            return float(np.sqrt(np.mean(((got - want) / size) ** 2)))

        pairwise = error(np.array([row.sum() for row in a]))
        rows_, columns, whole = f(a)
        np.testing.assert_array_equal(rows_, columns)
        assert error(rows_) <= 1.5 * pairwise + 1e-9, (kind, n)  # of samples: a factor of 1 would toss a coin
        assert abs(float(whole) - exact(a)) <= 2e-7 * np.abs(a).astype(np.float64).sum()


def test_a_sum_that_overflows_is_infinite() -> None:
    x = T.fmatrix("x")
    f = weft.function([x], [x.sum(1), x.sum(0), x.sum()])
    a = np.full((3000, 3000), 3e38, np.float32)
    for got in f(a):
        assert np.isposinf(got).all()
    a[5, 7] = np.nan
    rows_, columns, whole = f(a)
    assert np.isnan(rows_[5]) and np.isnan(columns[7]) and np.isnan(whole) and np.isposinf(rows_[6])
