"""The sum of squared deviations (docs/numerics.md, "Variances"): its order bit by bit, its accuracy, its gradient."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.gradient import Rop
from weft.runtime import pool

BLOCK, PART, SHIFT = 1024, 256, 16
SHAPES = [(0, 3), (1, 1), (5, 7), (3, 15), (17, 16), (3, 255), (256, 3), (3, 1023), (1025, 2), (17, 2600), (2600, 70)]
LENGTHS = [1, 2, 9, 15, 16, 17, 100, 255, 256, 257, 1000, 1024, 1030, 5000]


def tree(t: np.ndarray) -> np.ndarray:
    """Columns joined: each with the one half the width further."""
    h = t.shape[1] // 2
    while h:
        t = t[:, :h] + t[:, h : 2 * h]
        h //= 2
    return t[:, 0]


def laned(x: np.ndarray) -> np.ndarray:
    """The sum of each row of at most BLOCK elements: parts, lanes, a tree; of lanes of one or two, a chain."""
    lanes = 16 if x.dtype == np.float32 else 8
    total = np.zeros((len(x), lanes), x.dtype)
    for p in range(0, x.shape[1], PART):
        part = np.zeros_like(total)
        for e in range(p, min(p + PART, x.shape[1])):
            part[:, e % lanes] += x[:, e]
        total += part
    if x.shape[1] > 2 * lanes:
        return tree(total)
    for e in range(1, lanes):
        total[:, 0] += total[:, e]
    return total[:, 0]


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def shift_of(block: np.ndarray) -> np.ndarray:
    n, t = block.shape[1], block.dtype.type
    if n < SHIFT:
        return tree(np.pad(block * (t(1) / t(n)), ((0, 0), (0, SHIFT - n))))
    if n < PART:
        at = n // 2 - SHIFT // 2
        return tree(block[:, at : at + SHIFT] * t(1 / 16))
    at = [q * (n // 4) + n // 8 - SHIFT // 2 for q in range(4)]
    quarters = [block[:, a : a + SHIFT] * t(1 / 64) for a in at]
    return tree(np.concatenate([quarters[0] + quarters[1], quarters[2] + quarters[3]], axis=1))


def ordered(x: np.ndarray) -> np.ndarray:
    """The rows' sums of squared deviations as the contract says."""
    t = x.dtype.type
    total = np.zeros(len(x), x.dtype)
    low, mean, rest = (np.zeros_like(total) for _ in range(3))
    for b in range(0, x.shape[1], BLOCK):
        block = x[:, b : b + BLOCK]
        n = t(block.shape[1])
        shift = shift_of(block)
        d = block - shift[:, None]
        s, q = laned(d), laned(d * d)
        c = s * (s / n)
        m = np.maximum(q - np.minimum(c, np.finfo(t).max), 0)
        step = s / n
        if b == 0:
            total, mean, rest = m, shift.copy(), step
            continue
        w = n / (t(b) + n)
        gap = (shift - mean) + (step - rest)
        mean, e = two_sum(mean, gap * w)
        rest = rest + e
        total, e = two_sum(total, m + gap * (gap * (t(b) * w)))
        low = low + e
    return total + low


def rows(a: np.ndarray, axis: int | None) -> np.ndarray:
    return a.reshape(1, -1) if axis is None else a.T if axis == 0 else a


def sample(shape: tuple[int, int], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(shape[0] * 10 + shape[1])
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-2, 3, shape) + 30).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_the_order(dtype: str, axis: int | None) -> None:
    x = T.TensorType(dtype, (False, False))("x")
    alone = weft.function([x], T.var(x, axis))
    beside = weft.function([x], [T.mean(x, axis), T.var(x, axis), x - T.std(x, axis, keepdims=True)])
    for shape in SHAPES:
        a = sample(shape, dtype)
        flat = rows(a, axis)
        with np.errstate(all="ignore"):
            want = ordered(flat) / flat.dtype.type(flat.shape[1])
        try:
            for threads in (1, 2, 3):
                pool.set_threads(threads)
                assert np.ravel(alone(a)).tobytes() == want.tobytes(), (shape, threads)
                assert np.ravel(beside(a)[1]).tobytes() == want.tobytes(), (shape, threads)
        finally:
            pool.set_threads(0)


def test_middle_axis_two_axes_and_what_is_computed() -> None:
    x = T.ftensor3("x")
    f = weft.function([x], [T.var(x, 1), T.var(x, (0, 2)), T.var(T.exp(x), (1, 2))])
    a = (sample((6, 5 * 300), "float32") / 300).reshape(6, 300, 5)
    middle, outer, inner = f(a)
    assert middle.tobytes() == (ordered(a.transpose(0, 2, 1).reshape(30, 300)) / np.float32(300)).tobytes()
    assert outer.tobytes() == (ordered(a.transpose(1, 0, 2).reshape(300, 30)) / np.float32(30)).tobytes()
    e = weft.function([x], T.exp(x))(a).reshape(6, 1500)
    assert inner.tobytes() == (ordered(e) / np.float32(1500)).tobytes()


def exact(x: np.ndarray) -> float:
    values = [Fraction(float(v)) for v in x]
    mean = sum(values) / len(values)
    return float(sum((v - mean) ** 2 for v in values) / len(values))


def two_passes(x: np.ndarray) -> np.ndarray:
    c = x - x.mean(1, keepdims=True)
    return (c * c).mean(1)


def data(kind: str, samples: int, n: int, rng: np.random.Generator) -> np.ndarray:
    a = rng.normal(size=(samples, n))
    if kind == "far from 0":
        a += 1e5
    elif kind == "growing":
        a += np.arange(n) * 3.0
    elif kind == "a step":
        a[:, : n // 3] += 1e4
    elif kind == "starts with zeros":
        a += 1e3
        a[:, : n // 8] = 0
    elif kind == "one large":
        a[:, 0] = 1e6
    elif kind == "alternating":
        a = a * 1e-3 + 10.0 * (-1.0) ** np.arange(n)
    elif kind == "a period of blocks":  # those elements of a block that its shift is made of lie apart
        a[:, np.arange(n) % 1024 % 256 // 16 == 7] += 1e3
    return a


KINDS = ["normal", "far from 0", "growing", "a step", "starts with zeros", "one large", "alternating"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*KINDS, "a period of blocks"])
def test_as_accurate_as_two_passes(kind: str, dtype: str) -> None:
    """Root mean square errors over samples, against NumPy's pairwise sums of two passes."""
    rng = np.random.default_rng(3)
    x = T.TensorType(dtype, (False, False))("x")
    f = weft.function([x], [T.var(x, 1), T.var(x.T, 0)])
    eps = float(np.finfo(dtype).eps)
    for n, samples in ((9, 40), (100, 20), (1024, 12), (20_000, 4)):
        a = data(kind, samples, n, rng).astype(dtype)
        want = np.array([exact(row) for row in a])
        got, columns = f(a)
        assert got.tobytes() == columns.tobytes()

        def error(v: np.ndarray, want: np.ndarray = want) -> float:
            return float(np.sqrt(np.mean(((v.astype(np.float64) - want) / want) ** 2)))

        # The distance of a shift from the mean costs digits: at most what 16 times the variance does.
        slack = 4.0 if kind == "a period of blocks" else 1.0
        assert error(got) <= 1.5 * error(two_passes(a)) + slack * eps, (kind, n, error(got), error(two_passes(a)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_equal_elements_it_is_0(dtype: str) -> None:
    x = T.TensorType(dtype, (False, False))("x")
    f = weft.function([x], [T.var(x, 1), T.var(x.T, 0), T.var(x)])
    rng = np.random.default_rng(5)
    for n in LENGTHS:
        for scale in (1.0, 1e15, 1e-42):
            a = np.repeat((rng.normal(size=(1, 1)) * scale).astype(dtype), n, axis=1)
            assert all((np.asarray(v) == 0).all() for v in f(a)), (n, scale)


def test_what_is_not_finite() -> None:
    x = T.fmatrix("x")
    f = weft.function([x], [T.var(x, 1), T.var(x.T, 0)])
    for n in LENGTHS:
        for at in {0, n // 2, n - 1}:
            for value in (np.nan, np.inf, -np.inf):
                a = np.ones((2, n), np.float32)
                a[0, at] = value
                for got in f(a):
                    assert np.isnan(got[0]) and got[1] == 0, (n, at, value)
        a = np.linspace(-1, 1, n, dtype=np.float32)[None] * np.float32(1e25)
        for got in f(a):  # squares overflow
            assert np.isposinf(got[0]) if n > 1 else np.isfinite(got[0]), n
    for got in f(np.full((2, 3000), 3e38, np.float32)):  # only their sum would
        assert (got == 0).all()
    assert np.isnan(f(np.ones((2, 0), np.float32))[0]).all()


def test_it_is_never_below_0() -> None:
    """Squares of the distances from the shift underflow where the square of their sum does not."""
    x = T.fmatrix("x")
    a = np.full((2, 1024), 2e-23, np.float32)
    a[:, np.arange(1024) % 256 // 16 >= 7] = 0  # among them all that the shift is made of
    for got in weft.function([x], [T.var(x, 1), T.var(x.T, 0), T.var(x)])(a):
        assert (np.asarray(got) == 0).all() and not np.signbit(got).any()


def test_half_and_complex() -> None:
    rng = np.random.default_rng(1)
    h = T.matrix("h", dtype="float16")
    a = (rng.normal(size=(9, 3000)) * 20).astype(np.float16)  # the squares add up to more than a float16 holds
    want = ordered(a.astype(np.float32)) / np.float32(3000)
    got = weft.function([h], T.var(h, 1))(a)
    assert got.dtype == np.float16 and got.tobytes() == want.astype(np.float16).tobytes()
    z = T.zmatrix("z")
    b = rng.normal(size=(4, 70)) + 1j * rng.normal(size=(4, 70))
    got = weft.function([z], T.var(z, 1))(b)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, b.var(1), rtol=1e-12)


def test_it_reads_its_argument_once() -> None:
    """One loop over the rows with both folds in it: mean and variance."""
    x = T.fmatrix("x")
    f = weft.function([x], [T.mean(x, 1), T.var(x, 1)])
    assert len(f.kernels) == 1
    assert str(f.loops).count("reduce") == 1


@pytest.mark.parametrize("axis", [0, 1, None, (0, 1)])
def test_gradients(axis: object) -> None:
    x, v = T.dmatrix("x"), T.dmatrix("v")
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))

    def cost(x: T.TensorVariable) -> T.TensorVariable:
        return T.sum(T.sqr(T.std(x, axis, ddof=1)) * T.exp(T.mean(x, axis)))

    written = T.sum(
        T.sum(T.sqr(x - T.mean(x, axis, keepdims=True)), axis)
        / ((20 if axis is None or axis == (0, 1) else (5, 4)[axis]) - 1)  # type: ignore[index, call-overload]
        * T.exp(T.mean(x, axis))
    )
    got, want = (weft.function([x], weft.grad(c, x))(a) for c in (cost(x), written))
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)
    got, want = (weft.function([x, v], Rop(c, x, v))(a, b) for c in (cost(x), written))
    np.testing.assert_allclose(got, want, rtol=1e-11)
    got, want = (weft.function([x], weft.grad(T.sum(T.sqr(weft.grad(c, x))), x))(a) for c in (cost(x), written))
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
