"""Specimens at their edges: nothing, one element, ties, NaN, overflow, layouts; compiled against interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from grad_check import check
from specimen_check import agree, both, gradient, wide

import weft
import weft.tensor as T
from weft import scan
from weft.runtime import pool
from weft.runtime.program import element_type
from weft.tensor import nnet
from weft.tensor.signal.pool import pool_2d

rng = np.random.default_rng(0)
NARROW = ["float16", "bfloat16"]


def equal(inputs: Sequence[Any], outputs: Sequence[Any], *calls: Sequence[Any]) -> None:
    """Both modes give the same elements for each call, NaN where NaN is."""
    f, g = both(inputs, list(outputs), on_unused_input="ignore")
    for values in calls:
        for k, (a, b) in enumerate(zip(f(*values), g(*values), strict=True)):
            assert a.dtype == b.dtype and a.shape == b.shape, k
            np.testing.assert_array_equal(wide(a), wide(b), err_msg=f"output {k}")


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Few different ones, so that many are equal; NaN and infinities among floats."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    value = rng.integers(0, 4, size=shape).astype(element_type(dtype))
    if dtype.endswith(("16", "32", "64")) and "float" in dtype:
        flat = value.reshape(-1)
        flat[3], flat[7], flat[11], flat[12], flat[20:25] = np.nan, np.inf, -np.inf, -0.0, np.nan
    return value


@pytest.mark.parametrize("dtype", ["float64", "float32", *NARROW, "int8", "uint64", "bool"])
def test_ties_and_nan(dtype: str) -> None:
    """sort, argsort, argmax, max over each axis."""
    x = T.TensorType(dtype, (False, False))("x")
    value = numbers(dtype, (6, 9))
    outs = [T.argsort(x, 1), T.argsort(x, 0), *(T.argmax(x, a) for a in (None, 0, 1)), T.max(x, 0), T.min(x, 1)]
    if dtype != "bool":
        outs += [T.sort(x, 1), T.sort(x, 0), T.sort(x, None), *T.max_and_argmax(x, 1), T.argmin(x, 0)]
    equal([x], outs, [value], [value[:1, :1]], [value.T[::-1]], [value[::-2, 1::3]])
    equal([x], [o for o in outs if o.owner.op.name in ("argsort", "sort")], [value[:0]], [value[:, :0]])


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_floats_overflow_to_infinity(dtype: str) -> None:
    """Each node is rounded, a reduction once: 60000 + 60000 is infinite in float16, a sum of 5000 ones is not 2048."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    kind = element_type(dtype)
    x, y = (T.TensorType(dtype, (False,))(n) for n in "xy")
    value = np.array([60000, -60000, 1e-7, np.inf, np.nan, 1, 0, -0.0, 65504, 2049], "f4").astype(kind)
    outs = [
        x * y, x + y, x - y, x / y, x * x * x, T.sqr(x), x // y, x % y, T.maximum(x, y), T.switch(x > y, x, y),
        x.sum(), x.prod(), x.mean(), T.cumsum(x), T.max(x), T.dot(x, y), T.cast(x, "int8"), T.cast(x, "int64"),
    ]  # fmt: skip
    equal([x, y], outs, [value, value[::-1].copy()], [value[5:6], value[5:6]])
    assert dtype == "bfloat16" or np.isinf(weft.function([x], x + x)(value)[0])
    many = np.ones(5000, kind)
    equal([x], [x.sum(), x.mean(), T.cumsum(x), T.dot(x, x)], [many])
    assert float(weft.function([x], x.sum())(many)) == float(kind.type(5000))


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_gradients_through_products_and_loops(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    kind, near = element_type(dtype), 0.05 if dtype == "float16" else 0.3
    x, w = (T.TensorType(dtype, (False, False))(n) for n in "xw")
    cost = T.sum(T.sqr(nnet.softmax(T.tanh(T.dot(x, w)))))
    loop, _ = scan(lambda v, h: T.tanh(T.dot(h, w) + v), x, T.zeros((3,), dtype))
    values = [rng.normal(size=(4, 3)).astype(kind), rng.normal(size=(3, 3)).astype(kind)]
    agree([x, w], [cost, *weft.grad(cost, [x, w]), *weft.grad(loop.sum(), [x, w])], values, tolerance=near)


def test_complex_gradients_against_differences_of_both_parts() -> None:
    z, w = T.zvector("z"), T.zvector("w")
    values = [rng.normal(size=3) + 1j * rng.normal(size=3) for _ in range(2)]
    loop, _ = scan(lambda v, h: h * v + T.conj(h) * 0.3, z, w)
    parts = [
        T.sum(T.abs_(z * w)), T.sum(T.real(T.exp(z) / w)), T.sum(T.imag(z**2 * T.conj(w))), T.real(T.dot(z, w)),
        T.sum(T.abs_(T.cumsum(z) * w[::-1])), T.real(T.prod(z * w)), T.sum(T.abs_(T.sqrt(z) + T.log(w))),
        T.sum(T.abs_(loop)),
    ]  # fmt: skip
    gradient(T.add(*[p * (k + 1) for k, p in enumerate(parts)]), [z, w], values, tolerance=1e-5)
    mixed = np.array([1 + 2j, 1 + 1j, np.nan + 0j, 5j, 1 + 1j, complex(0, np.nan)])
    equal([z], [T.sort(z), T.argsort(z)], [mixed])


def test_sparse_rows_that_are_empty() -> None:
    sp = pytest.importorskip("scipy.sparse")
    m, d = weft.sparse.csr_matrix("m", dtype="float32"), T.fmatrix("d")
    out = weft.sparse.structured_dot(m, d)
    f, g = both([m, d], [out, *weft.grad(T.sum(T.sin(out)), [m, d])])
    for shape, density in (((6, 5), 0.1), ((6, 5), 0), ((0, 5), 0), ((6, 0), 0), ((1, 1), 1)):
        a = sp.random(*shape, density, "csr", np.float32, random_state=1)
        b = rng.normal(size=(shape[1], 3)).astype("f")
        for dense in (b, b[:, :0], np.asfortranarray(b)):
            found, meant = f(a, dense), g(a, dense)
            np.testing.assert_allclose(found[0], a @ dense, 1e-5, 1e-6)
            np.testing.assert_allclose(found[2], a.T @ np.cos(a @ dense), 1e-5, 1e-6)
            np.testing.assert_allclose(found[1].data, meant[1].data, 1e-5, 1e-6)
            assert found[1].shape == a.shape


def test_cholesky_of_any_size_and_in_a_loop() -> None:
    a, X = T.dmatrix("a"), T.dtensor3("X")
    low = T.slinalg.cholesky(a)
    f, g = both([a], [low, weft.grad(T.sum(low * T.arange(a.shape[0])), a)])
    for n in (0, 1, 2, 9, 70):
        m = rng.normal(size=(n, n))
        value = m @ m.T + (n + 1) * np.eye(n)
        for given in (value, np.asfortranarray(value)):
            for p, q in zip(f(given), g(given), strict=True):
                np.testing.assert_allclose(p, q, 1e-9, 1e-12)
        above = value.copy()
        above[np.triu_indices(n, 1)] = np.nan  # is not read
        np.testing.assert_allclose(f(above)[0], np.linalg.cholesky(value), 1e-9, 1e-12)
    loop, _ = scan(lambda s, h: T.slinalg.cholesky(s) + h * 0.1, X, T.zeros((3, 3)))
    several = np.stack([value[:3, :3] * k for k in (1, 2, 0.5)])
    agree([X], [loop, weft.grad(loop.sum(), X)], [several])
    several[1] = -np.eye(3)
    for h in both([X], loop):
        with pytest.raises(weft.NumericalError):
            h(several)


def test_pools_that_do_not_divide() -> None:
    x = T.dtensor4("x")
    ways = [(b, s, m) for b in (True, False) for s in (None, (1, 2), (3, 3)) for m in ("max", "average_exc_pad")]
    outs = [pool_2d(x, (2, 3), border, stride, mode=mode) for border, stride, mode in ways]
    f, g = both([x], [*outs, *(weft.grad(T.sqr(o).sum(), x) for o in outs)])
    ties = np.round(rng.normal(size=(1, 1, 5, 5)))
    ties[0, 0, 2, 2] = np.nan
    shapes = ((2, 1, 7, 5), (1, 1, 2, 3), (1, 1, 1, 1), (0, 1, 4, 4), (1, 2, 3, 2))
    for value in (ties, *(rng.normal(size=s) for s in shapes)):
        for a, b in zip(f(value), g(value), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, 1e-10, 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("border", ["valid", "full", "half", 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_gradients_of_convolutions(border: Any, stride: int) -> None:
    check(
        lambda x, w: nnet.conv1d(x, w, border, stride, filter_shape=(2, 2, 3)),
        rng.normal(size=(2, 2, 7)),
        rng.normal(size=(2, 2, 3)),
    )


def test_repeated_rows_have_the_same_bits_for_any_number_of_threads() -> None:
    t, r, y = T.fmatrix("t"), T.lvector("r"), T.fmatrix("y")
    outs = [T.inc_subtensor(t[r], y), T.set_subtensor(t[r], y), weft.grad(T.sum(T.tanh(t[r]) * y), t)]
    rows, lines = rng.integers(-7, 7, 2000), rng.normal(size=(2000, 300)).astype("f")
    values = [rng.normal(size=(7, 300)).astype("f"), rows, lines]
    f, g = both([t, r, y], outs)
    try:
        seen = []
        for threads in (1, 2, 3):
            pool.set_threads(threads)
            seen.append([a.tobytes() for a in f(*values)])
    finally:
        pool.set_threads(0)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:2] == [a.tobytes() for a in g(*values)[:2]]


@pytest.mark.parametrize("dtype", ["int8", "float16", "bool", "complex64"])
def test_nonzero_of_nothing_and_of_views(dtype: str) -> None:
    x = T.TensorType(dtype, (False, False))("x")
    i, j = x.nonzero()
    value = rng.integers(0, 2, size=(4, 5)).astype(dtype)
    calls = [[v] for v in (value, value[:0], value[:, :0], np.zeros_like(value), value.T[::-1])]
    equal([x], [i, j, i.shape[0] * 2, i[j > 1]], *calls)


def test_lengths_of_lengths() -> None:
    x = T.dvector("x")
    some = x[x > 0]
    fewer = some[some > 1]
    grad = weft.grad(T.sum(fewer**2) + T.sum(some[:2]), x)
    outs = [fewer.sum(), fewer.shape[0] + some.shape[0], T.concatenate([some, fewer, some]), T.outer(some, fewer), grad]
    f, g = both([x], outs)
    for value in (rng.normal(size=20) * 2, np.zeros(0), -np.ones(3)):
        for a, b in zip(f(value), g(value), strict=True):
            np.testing.assert_allclose(a, b, 1e-10)
