"""Windows, padding, pooling and convolution, against NumPy and SciPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.graph.windows import POOL_MODES
from weft.gradient import verify_grad
from weft.tensor import nnet
from weft.tensor.signal.downsample import max_pool_2d
from weft.tensor.signal.pool import max_pool, pool_1d, pool_2d

MODES = ["interpret", "compile"]
pytestmark = pytest.mark.parametrize("mode", MODES)
rng = np.random.default_rng(0)


def test_window_and_spread(mode: str) -> None:
    x = T.matrix("x")
    value = rng.normal(size=(3, 9))
    f = weft.function([x], [T.window(x, 4, 2), T.window(x, 2, axis=0)], mode=mode)
    view = np.lib.stride_tricks.sliding_window_view
    np.testing.assert_array_equal(f(value)[0], view(value, 4, axis=1)[:, ::2])
    np.testing.assert_array_equal(f(value)[1], view(value, 2, axis=0))
    assert f(value[:1, :3])[0].shape == (1, 0, 4)
    back = weft.function([x], T.spread(T.window(x, 4, 2), x.shape[1], 2), mode=mode)(value)
    np.testing.assert_allclose(back, value * [1, 1, 2, 2, 2, 2, 1, 1, 0])
    for bad in (0, -1, 1.5, T.lscalar()):
        with pytest.raises(weft.ArgumentError, match="at least 1"):
            T.window(x, bad)


def test_pad(mode: str) -> None:
    x, n = T.matrix("x"), T.lscalar("n")
    value = rng.normal(size=(2, 3))
    f = weft.function(
        [x, n], [T.pad(x, [(1, 0), (2, 3)], 7), T.pad(x, [(n, n), (0, n)]), T.pad(x, [(0, 0)] * 2)], mode=mode
    )
    a, b, c = f(value, 2)
    np.testing.assert_array_equal(a, np.pad(value, [(1, 0), (2, 3)], constant_values=7))
    np.testing.assert_array_equal(b, np.pad(value, [(2, 2), (0, 2)]))
    np.testing.assert_array_equal(c, value)
    assert f(value[:0], 0)[1].shape == (0, 3)
    for widths in ((-1, 2), (-1, n), (n, -1)):
        with pytest.raises(weft.ShapeError, match="widths are at least 0"):
            T.pad(x, [widths, (0, 0)])
    alike = weft.function([x, n], [T.pad(x, 2), T.pad(x, n), T.pad(x, (1, n)), T.pad(x, np.array([[1, 2], [0, 1]]))])
    for got, widths in zip(alike(value, 3), (2, 3, (1, 3), [(1, 2), (0, 1)]), strict=True):
        np.testing.assert_array_equal(got, np.pad(value, widths))
    for bad in ([(1, 2)], [(1, 2)] * 3, [1, (2, 3)], [1, 2, 3], [(1, 2, 3)] * 2, []):
        with pytest.raises(weft.ShapeError, match="a pair of widths for each of the 2 axes"):
            T.pad(x, bad)


def pooled(x: np.ndarray, size: tuple, stride: tuple, pad: tuple, ignore_border: bool, mode: str) -> np.ndarray:
    """Theano's definition, window by window."""
    counts = []
    for n, s, t, p in zip(x.shape[-2:], size, stride, pad, strict=True):
        n += 2 * p
        if ignore_border:
            counts.append(max((n - s) // t + 1, 0))
        else:
            counts.append((n - 1) // t + 1 if t >= s else max(0, (n - 1 - s + t) // t) + 1)
    out = np.zeros((*x.shape[:-2], *counts))
    for i, j in itertools.product(*map(range, counts)):
        r, c = ((k * t - p, k * t - p + s) for k, s, t, p in zip((i, j), size, stride, pad, strict=True))
        w = x[..., max(r[0], 0) : max(r[1], 0), max(c[0], 0) : max(c[1], 0)]
        if mode == "max":
            out[..., i, j] = w.max(axis=(-2, -1))
        else:
            total = w.sum(axis=(-2, -1))
            count = size[0] * size[1] if mode == "average_inc_pad" and ignore_border else w.shape[-1] * w.shape[-2]
            out[..., i, j] = total if mode == "sum" else total / count
    return out


@pytest.mark.parametrize("how", POOL_MODES)
@pytest.mark.parametrize(
    ("size", "stride", "pad"),
    [((2, 2), None, (0, 0)), ((3, 2), (2, 2), (1, 0)), ((2, 3), (1, 4), (0, 2)), ((3, 3), (2, 1), (0, 0))],
)
def test_pool_2d(mode: str, how: str, size: tuple, stride: Any, pad: tuple) -> None:
    x = T.tensor4("x")
    borders = (True, False) if pad == (0, 0) else (True,)
    f = weft.function([x], [pool_2d(x, size, b, stride, pad, how) for b in borders], mode=mode)
    for shape in ((2, 1, 6, 7), (1, 2, 5, 8), (1, 1, 3, 4)):
        value = rng.normal(size=shape)
        for got, border in zip(f(value), borders, strict=True):
            np.testing.assert_allclose(
                got, pooled(value, size, stride or size, pad, border, how), rtol=1e-12, atol=1e-14
            )


def test_other_pools(mode: str) -> None:
    x, i = T.matrix("x"), T.imatrix("i")
    value = np.arange(-6.0, 8.0).reshape(2, 7)
    f = weft.function(
        [x], [max_pool(x, 3), pool_1d(x, 2, stride=1, mode="sum"), max_pool_2d(x, (2, 3)), pool_2d(x, 2)], mode=mode
    )
    a, b, c, d = f(value)
    np.testing.assert_array_equal(a, [[-4, -1], [3, 6]])
    np.testing.assert_array_equal(b, value[:, 1:] + value[:, :-1])
    np.testing.assert_array_equal(c, [[3, 6, 7]])
    np.testing.assert_array_equal(d, [[2, 4, 6]])
    got = weft.function([i], [max_pool(i, 3, pad=2), pool_1d(i, 3, mode="average_inc_pad")], mode=mode)(
        value.astype("int32")
    )
    assert got[0].dtype == "int32" and got[0][0, 0] == -6 and got[1].dtype == "float64"
    for options in ({"mode": "median"}, {"pad": 3}, {"pad": 1, "ignore_border": False}):
        with pytest.raises(weft.ArgumentError):
            pool_1d(x, 2, **options)


def test_pool_gradient(mode: str) -> None:
    value = rng.permutation(24).reshape(4, 6) / 7.0
    for how in POOL_MODES:
        verify_grad(lambda v, how=how: pool_2d(v, (2, 3), stride=(1, 2), pad=(1, 1), mode=how), [value], rng=rng)


def convolved(x: np.ndarray, w: np.ndarray, pad: int, stride: int, flip: bool) -> np.ndarray:
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad)])
    w = w[:, :, ::-1] if flip else w
    count = max((x.shape[2] - w.shape[2]) // stride + 1, 0)
    out = np.zeros((x.shape[0], w.shape[0], count))
    for t in range(count):
        out[:, :, t] = np.einsum("bck,ock->bo", x[:, :, t * stride : t * stride + w.shape[2]], w)
    return out


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("border", ["valid", "full", "half", 2])
def test_conv1d(mode: str, known: bool, border: Any) -> None:
    x, w = T.tensor3("x"), T.tensor3("w")
    shape = (None, None, 3) if known else None
    cases = [(1, True), (2, True), (1, False), (3, False)]
    f = weft.function([x, w], [nnet.conv1d(x, w, border, s, flip, filter_shape=shape) for s, flip in cases], mode=mode)
    a, b = rng.normal(size=(2, 4, 9)), rng.normal(size=(5, 4, 3))
    pad = {"valid": 0, "full": 2, "half": 1}.get(border, border)
    for got, (s, flip) in zip(f(a, b), cases, strict=True):
        np.testing.assert_allclose(got, convolved(a, b, pad, s, flip), rtol=1e-9, atol=1e-12)
    assert f(a[:0], b)[0].shape[:2] == (0, 5)
    if known:
        with pytest.raises(weft.ShapeError):
            f(a, b[:, :, :2])
    with pytest.raises(weft.ShapeError):
        f(a[:, :3], b)


def test_conv2d(mode: str) -> None:
    signal = pytest.importorskip("scipy.signal")
    x, w = T.tensor4("x"), T.tensor4("w")
    a, b = rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(4, 3, 3, 2))
    f = weft.function(
        [x, w], [nnet.conv2d(x, w, border_mode=m, filter_shape=b.shape) for m in ("valid", "full")], mode=mode
    )
    for got, how in zip(f(a, b), ("valid", "full"), strict=True):
        want = [
            [sum(signal.convolve2d(a[i, c], b[o, c], mode=how) for c in range(3)) for o in range(4)] for i in range(2)
        ]
        np.testing.assert_allclose(got, np.array(want), rtol=1e-9, atol=1e-12)


def test_conv_gradient(mode: str) -> None:
    a, b = rng.normal(size=(2, 2, 6)), rng.normal(size=(3, 2, 3))
    verify_grad(lambda x, w: nnet.conv1d(x, w, "half", 2, filter_shape=(3, 2, 3)), [a, b], rng=rng)
    verify_grad(lambda x, w: nnet.conv1d(x, w, "full"), [a, b], rng=rng)


def test_conv_refused(mode: str) -> None:
    x = T.tensor3("x")
    with pytest.raises(weft.ArgumentError, match="border_mode"):
        nnet.conv1d(x, x, "same")
    with pytest.raises(weft.ShapeError, match="3 dimensions"):
        nnet.conv1d(T.matrix(), x)
