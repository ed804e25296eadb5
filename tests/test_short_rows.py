"""Rows of few elements are worked on side by side: the bits of the form for rows of any length, and of a row alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.codegen.c_kernel import KernelPrinter
from weft.runtime import pool

LENGTHS = [*range(0, 19), 23, 24, 25, 47, 48, 49, 70]
ROWS = [1, 3, 127, 128, 300]

FOLDS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(1),
    "product": lambda x: x.prod(1),
    "maximum and its place": lambda x: [x.max(1), T.argmax(x, 1), x.min(1)],
    "variance": lambda x: [x.mean(1), T.var(x, 1)],
    "variance of exponentials": lambda x: T.var(T.exp(x), 1),
    "normed": lambda x: x / T.sqrt(T.sqr(x).sum(1, keepdims=True)),
    "softmax": T.nnet.softmax,
    "log of a sum": lambda x: T.log(T.sum(T.exp(x), 1)),
    "standard": lambda x: (x - x.mean(1, keepdims=True)) / (T.std(x, 1, keepdims=True) + 1),
    "sums of two dtypes": lambda x: [T.sum(x, 1), T.sum(T.cast(x, "float64") * 3, 1)],
}
NEEDS_ONE = ("maximum and its place", "softmax")


def forms(monkeypatch: pytest.MonkeyPatch, inputs: list, outputs: Any) -> tuple[Any, Any]:
    """A function, and the same without the form for short rows."""
    f = weft.function(inputs, outputs)
    assert "_short_body(void" in f.source
    with monkeypatch.context() as m:
        m.setattr(weft.config, "reuse", False)
        m.setattr(KernelPrinter, "short", lambda self: None)
        g = weft.function(inputs, outputs)
    assert "_short_body(void" not in g.source
    return f, g


def same(f: Any, g: Any, *args: Any) -> None:
    for got, want in zip(*([r] if isinstance(r, np.ndarray) else r for r in (f(*args), g(*args))), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        assert np.nan_to_num(got).tobytes() == np.nan_to_num(want).tobytes(), [a.shape for a in args]


def draw(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    if dtype == "int32":
        return rng.integers(-9, 9, shape).astype(dtype)
    a = rng.normal(size=shape) * 10.0 ** rng.integers(-1, 2, shape)
    if dtype == "complex64":
        a = a + 1j * rng.normal(size=shape)
    return a.astype(dtype)


@pytest.mark.parametrize("fold", FOLDS)
def test_the_bits_of_the_other_form(fold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in ("float32", "float64", "float16"):
        x = T.TensorType(dtype, (False, False))("x")
        f, g = forms(monkeypatch, [x], FOLDS[fold](x))
        for n in LENGTHS[1:] if fold in NEEDS_ONE else LENGTHS:
            for rows in ROWS if n in (1, 8, 16) else (130,):
                same(f, g, draw((rows, n), dtype))


def test_other_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    x, z, b = T.imatrix("x"), T.TensorType("complex64", (False, False))("z"), T.TensorType("bool", (False, False))("b")
    f, g = forms(monkeypatch, [x, b], [x.sum(1), x.prod(1), T.argmax(x, 1), T.any(b, 1), T.all(b, 1)])
    p, q = forms(monkeypatch, [z], [z.sum(1), T.var(z, 1)])
    for n in LENGTHS[1:]:
        same(f, g, draw((140, n), "int32"), draw((140, n), "int32") > -8)
        same(p, q, draw((140, n), "complex64"))


def test_threads_and_a_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    x = T.fmatrix("x")
    f, g = forms(monkeypatch, [x], [T.var(x, 1), x.sum(1), T.argmax(x, 1)])
    try:
        for threads in (1, 2, 3):
            pool.set_threads(threads)
            for n in (1, 5, 8, 16):
                a = draw((5000, n), "float32")
                same(f, g, a)
                whole = f(a)
                for k in (0, 17, 4999):
                    assert all(one[0] == v[k] for one, v in zip(f(a[k : k + 1]), whole, strict=True))
    finally:
        pool.set_threads(0)


def test_several_outer_loops_and_two_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    x, s = T.ftensor3("x"), T.fmatrix("s")
    f, g = forms(monkeypatch, [x, s], (x * s.dimshuffle("x", 0, 1)).sum(2))
    for shape in ((7, 40, 5), (40, 3, 8), (3, 129, 9), (2, 5, 0)):
        same(f, g, draw(shape, "float32"), draw(shape[1:], "float32"))
    f, g = forms(monkeypatch, [x], T.sum(x, (1, 2)))
    for shape in ((70, 2, 3), (70, 4, 5), (300, 1, 1)):
        same(f, g, draw(shape, "float32"))


def test_a_length_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    x = T.TensorType("float32", shape=(None, 6))("x")
    f, g = forms(monkeypatch, [x], [x.sum(1), T.nnet.softmax(x)])
    same(f, g, draw((200, 6), "float32"))
    x = T.TensorType("float32", shape=(None, 60))("x")
    assert "_short_body" not in weft.function([x], x.sum(1)).source


def test_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that is written over the old value."""
    a = draw((200, 7), "float32")
    x = T.fmatrix("x")
    want = weft.function([x], x - x.mean(1, keepdims=True) * T.exp(x))(a)
    s = weft.shared(a.copy(), "s")
    f = weft.function([], [], updates=[(s, s - s.mean(1, keepdims=True) * T.exp(s))])
    assert "_short_body(void" in f.source
    f()
    assert s.get_value().tobytes() == want.tobytes()
    np.testing.assert_allclose(want, a - a.mean(1, keepdims=True) * np.exp(a), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_an_operand_is_turned_over_once_for_many_rows(dtype: str) -> None:
    """All pairs of two sets of short rows: a pair has the bits of the form that takes one pair at a time."""
    x, y = T.matrix(dtype=dtype), T.matrix(dtype=dtype)
    apart = x[:, None, :] - y[None, :, :]
    f = weft.function([x, y], [T.sqrt(T.sqr(apart).sum(-1)), abs(apart).max(-1) + y[:, 0], (apart * y).prod(-1)])
    assert "turned" in f.source
    rng = np.random.default_rng(0)
    for columns in (1, 8, 9, 16, 31, 32, 33, 47, 48, 49, 64, 79, 95, 96, 127, 128, 129, 200, 256, 257):
        for rows, others in ((16, 32), (17, 300), (40, 129)):
            a, b = rng.normal(size=(rows, columns)).astype(dtype), rng.normal(size=(others, columns)).astype(dtype)
            together = f(a, b)
            for k in (0, rows - 1):
                for got, alone in zip(together, f(a[k : k + 1], b), strict=True):
                    assert got[k].tobytes() == alone[0].tobytes(), (columns, rows, others)
            if dtype != "float16":
                want = np.sqrt(((a[:, None] - b[None]).astype("float64") ** 2).sum(-1))
                np.testing.assert_allclose(together[0], want, rtol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_zeros_of_either_sign_in_pairs(dtype: str) -> None:
    """Lanes that begin with their first value end as those that add it to zero."""
    x, y = T.matrix(dtype=dtype), T.matrix(dtype=dtype)
    pair = x[:, None, :] * y[None, :, :]
    outputs = [pair.sum(-1)]
    if dtype != "complex64":
        outputs += [pair.prod(-1), pair.max(-1), pair.min(-1), T.var(pair, -1), (pair > 0).any(-1), (pair > 0).all(-1)]
    f = weft.function([x, y], outputs)
    assert "turned" in f.source
    special = np.array([0.0, -0.0, 1.0, -2.0, np.nan, np.inf, -np.inf], dtype)
    rng = np.random.default_rng(1)
    for columns in (1, 2, 5, 16, 17, 32, 33, 40, 63, 64, 96, 130):
        for rows, others in ((16, 33), (20, 129)):
            a, b = (rng.choice(special[: rng.integers(2, 8)], (n, columns)) for n in (rows, others))
            a[: rows // 2], b[: others // 2] = -0.0, abs(b[: others // 2])  # sums of -0 alone
            together = f(a, b)
            for k in range(rows):
                for got, alone in zip(together, f(a[k : k + 1], b), strict=True):
                    np.testing.assert_array_equal(np.isnan(got[k]), np.isnan(alone[0]))
                    assert np.nan_to_num(got[k]).tobytes() == np.nan_to_num(alone[0]).tobytes(), (columns, rows, others)


def test_products_of_complex_rows_have_one_form() -> None:
    """(a + b i)(1 + 0 i) may have zeros of other signs, or NaN for infinity: lanes without elements have an effect."""
    x, y = T.matrix(dtype="complex64"), T.matrix(dtype="complex64")
    f = weft.function([x, y], (x[:, None, :] * y[None, :, :]).prod(-1))
    assert "_short_body(void" not in f.source
    a, b = np.full((16, 3), -0.0, "complex64"), np.full((33, 3), 2, "complex64")
    assert f(a, b)[4].tobytes() == f(a[4:5], b)[0].tobytes()
    g = weft.function([x], T.prod(T.exp(x), 1))
    assert "_short_body(void" not in g.source
    c = np.full((3, 9), 0.1 + 1j, np.complex64)
    c[:, ::8] = 46  # the product of these two is inf + 0i, and that times 1 + 0i is inf + nan i
    assert np.isnan(g(c)).all()
