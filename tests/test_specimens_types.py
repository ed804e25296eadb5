"""Specimens of narrow floats, complex numbers, and loop nests beyond elementwise and reduction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from specimen_check import agree, both, gradient, wide

import weft
import weft.tensor as T
from weft.runtime.program import element_type
from weft.tensor import nnet

rng = np.random.default_rng(0)


@pytest.mark.parametrize(("dtype", "eps"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_narrow_floats(dtype: str, eps: float) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x, y = (T.TensorType(dtype, (False, False))(n) for n in "xy")
    a, b = (rng.normal(size=(6, 9)).astype(element_type(dtype)) for _ in range(2))
    outs = [
        x * y + x,
        T.tanh(x) / (T.abs_(y) + 1),
        T.maximum(x, y) - x,
        x.sum(1),
        T.exp(x).mean(),
        x.max(0),
        T.dot(x, y.T),
    ]
    p, q = wide(a), wide(b)
    want = [p * q + p, np.tanh(p) / (abs(q) + 1), np.maximum(p, q) - p, p.sum(1), np.exp(p).mean(), p.max(0), p @ q.T]
    found = agree([x, y], outs, [a, b], want, tolerance=12 * eps)
    assert all(r.dtype == element_type(dtype) for r in found)
    # each operation is rounded, fused or not: elementwise results are the interpreter's to the bit
    f, g = both([x, y], x * y + x - y * y)
    assert f(a, b).tobytes() == g(a, b).tobytes()
    cost = T.sum(T.sqr(T.sin(x)) * y)
    for k, found in enumerate(agree([x, y], weft.grad(cost, [x, y]), [a, b], tolerance=4 * eps)):
        want = np.sin(2 * p) * q if k == 0 else np.sin(p) ** 2
        assert found.dtype == element_type(dtype)
        np.testing.assert_allclose(wide(found), want, 8 * eps, 8 * eps)


def test_complex64() -> None:
    z = T.TensorType("complex64", (False, False))("z")
    value = (rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))).astype(np.complex64)
    outs = [z * T.conj(z) + z, T.exp(z) / (z + 3), T.abs_(z), z.sum(0), T.real(z) * T.imag(z), T.dot(z, z.T), z.prod()]
    want = [value * value.conj() + value, np.exp(value) / (value + 3), abs(value), value.sum(0),
            value.real * value.imag, value @ value.T, value.prod()]  # fmt: skip
    agree([z], outs, [value], want, tolerance=2e-5)
    # the gradient of a real cost: dC/dRe z + i dC/dIm z
    (found,) = agree([z], [weft.grad(T.sqr(T.abs_(z)).sum(), z)], [value], [2 * value], tolerance=2e-5)
    assert found.dtype == np.complex64


def test_complex128_gradient_against_differences() -> None:
    z = T.zvector("z")
    value = rng.normal(size=5) + 1j * rng.normal(size=5)
    gradient(T.sum(T.real(T.exp(z) * T.conj(z)) + T.sqr(T.imag(z * z))), [z], [value])


def test_max_pooling() -> None:
    x = T.dtensor4("x")
    value = rng.normal(size=(2, 3, 6, 8))
    out = T.signal.pool.pool_2d(x, (2, 2), ignore_border=True)
    want = value.reshape(2, 3, 3, 2, 4, 2).max((3, 5))
    agree([x], T.tanh(out) * 2, [value], np.tanh(want) * 2)
    gradient(T.sum(T.sqr(out)), [x], [value])


def test_padded_convolution() -> None:
    x, w = T.dtensor3("x"), T.dtensor3("w")
    value, taps = rng.normal(size=(2, 3, 10)), rng.normal(size=(4, 3, 3))
    padded = np.pad(value, [(0, 0), (0, 0), (1, 1)])
    for flip in (True, False):
        used = taps[:, :, ::-1] if flip else taps
        want = np.stack([np.tensordot(padded[:, :, t : t + 3], used, ((1, 2), (1, 2))) for t in range(10)], -1)
        out = nnet.conv1d(x, w, border_mode=1, filter_flip=flip)
        agree([x, w], T.maximum(out, 0), [value, taps], np.maximum(want, 0))
    gradient(T.sum(T.tanh(nnet.conv1d(x, w, border_mode=1))), [x, w], [value, taps])


def test_cumsum_and_sort() -> None:
    x = T.dmatrix("x")
    value = rng.normal(size=(5, 7))
    outs: Any = [T.cumsum(T.exp(x), 1), T.cumsum(x, 0) * 2, T.sort(x, 1) - 1, T.argsort(x, 1), T.sort(x.T, 0)]
    agree(
        [x],
        outs,
        [value],
        [
            np.exp(value).cumsum(1),
            value.cumsum(0) * 2,
            np.sort(value, 1) - 1,
            np.argsort(value, 1),
            np.sort(value.T, 0),
        ],
    )
    gradient(T.sum(T.sin(T.cumsum(x, 1))) + T.sum(T.sort(x, 1)[:, ::2] ** 2), [x], [value])


def test_sparse_times_dense() -> None:
    sp = pytest.importorskip("scipy.sparse")
    m, d = weft.sparse.csr_matrix("m", dtype="float64"), T.dmatrix("d")
    a, b = sp.random(6, 5, 0.4, "csr", np.float64, np.random.RandomState(0)), rng.normal(size=(5, 3))
    a.sort_indices()
    cost = T.sum(T.sin(weft.sparse.structured_dot(m, d)))
    by_values, by_dense = weft.grad(cost, [m, d])
    for mode in ("compile", "interpret"):
        f = weft.function([m, d], [weft.sparse.structured_dot(m, d), by_values, by_dense], mode=mode)
        out, values, dense = f(a, b)
        slope = np.cos(a @ b)
        np.testing.assert_allclose(out, a @ b, 1e-12)
        np.testing.assert_allclose(dense, a.T @ slope, 1e-12)
        rows = np.repeat(np.arange(6), np.diff(a.indptr))
        np.testing.assert_allclose(values.data, (slope @ b.T)[rows, a.indices], 1e-12)
