"""Initialisers: their moments and limits against the formulas, their structure, seeds, dtypes, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft import init

DENSE, CONVOLUTION = (300, 200), (40, 30, 3, 5)

# name -> the variance of an element, from fan_in and fan_out
VARIANCES: dict[str, Any] = {
    "glorot": lambda i, o: 2 / (i + o),
    "he": lambda i, o: 2 / i,
    "lecun": lambda i, o: 1 / i,
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def check_moments(w: np.ndarray, variance: float, uniform: bool) -> None:
    """Mean, variance and fourth moment, within five standard deviations of their estimates; limits of a uniform."""
    n, std = w.size, variance**0.5
    fourth, eighth = (9 / 5, 9) if uniform else (3, 105)  # in units of powers of the variance
    assert abs(w.mean()) < 5 * std / n**0.5
    assert abs((w**2).mean() / variance - 1) < 5 * ((fourth - 1) / n) ** 0.5
    assert abs((w**4).mean() / variance**2 - fourth) < 5 * ((eighth - fourth**2) / n) ** 0.5
    if uniform:
        limit = (3 * variance) ** 0.5
        assert np.abs(w).max() <= limit
        assert np.abs(w).max() > limit * (1 - 20 / n)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize(("shape", "fans"), [(DENSE, DENSE), (CONVOLUTION, (450, 600))])
def test_scaled_by_fans(name: str, kind: str, shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert init.fans(shape) == fans
    make = getattr(init, f"{name}_{kind}")
    w = make(shape, rng())
    assert w.shape == shape and w.dtype == weft.config.floatX
    check_moments(w, VARIANCES[name](*fans), kind == "uniform")


def test_gains_slopes_and_fans() -> None:
    for make in (init.glorot_uniform, init.glorot_normal, init.lecun_uniform, init.lecun_normal, init.orthogonal):
        np.testing.assert_allclose(make(DENSE, rng(1), gain=1.5), 1.5 * make(DENSE, rng(1)), rtol=1e-14, atol=1e-15)
    for make in (init.he_uniform, init.he_normal):
        np.testing.assert_allclose(make(DENSE, rng(1), slope=0.5), make(DENSE, rng(1)) / 1.25**0.5, atol=1e-15)
        np.testing.assert_allclose(make(DENSE, rng(1), fan="out"), make(DENSE, rng(1)) * 1.5**0.5, atol=1e-15)


def test_plain_ones() -> None:
    np.testing.assert_array_equal(init.constant((2, 3), 0.5), np.full((2, 3), 0.5))
    np.testing.assert_array_equal(init.zeros(4), np.zeros(4))
    u = init.uniform((100_000,), rng(2), -1, 3)
    assert u.min() >= -1 and u.max() < 3
    check_moments(u - 1, 16 / 12, True)
    check_moments(init.normal((100_000,), rng(3), std=0.01, mean=2.0) - 2, 1e-4, False)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5), (8, 3, 2, 2), (20, 3, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = init.orthogonal(shape, rng(4))
    assert q.shape == shape
    m = q.reshape(shape[0], -1)
    small = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-14)


def test_orthogonal_is_uniform() -> None:
    """Of a uniform random rotation every element has the mean 0 and the variance 1/n; the trace has 0 and 1."""
    generator = rng(5)
    q = np.array([init.orthogonal((3, 3), generator) for _ in range(4000)])
    assert np.abs(q.mean(0)).max() < 5 * (1 / 3 / 4000) ** 0.5
    np.testing.assert_allclose((q**2).mean(0), 1 / 3, atol=5 * (0.09 / 4000) ** 0.5)
    traces = np.trace(q, axis1=1, axis2=2)
    assert abs(traces.mean()) < 5 / 4000**0.5 and abs(traces.var() - 1) < 0.15


def test_sparse() -> None:
    w = init.sparse((100, 2000), rng(6), nonzeros=15, std=0.5)
    assert ((w != 0).sum(0) == 15).all()
    check_moments(w[w != 0], 0.25, False)
    rows = (w != 0).sum(1)  # 300 on average, binomial
    assert np.abs(rows - 300).max() < 5 * (2000 * 0.15 * 0.85) ** 0.5
    assert (init.sparse((10, 4), 0) != 0).all() and init.sparse((10, 4), 0).shape == (10, 4)


MAKERS = {
    name: getattr(init, name) for name in init.__all__ if name not in ("constant", "fans", "normal", "uniform", "zeros")
} | {
    "normal": lambda s, r, **o: init.normal(s, r, 1.0, **o),
    "uniform": lambda s, r, **o: init.uniform(s, r, 0, 1, **o),
}


@pytest.mark.parametrize("name", MAKERS)
def test_seeds_and_dtypes(name: str) -> None:
    make = MAKERS[name]
    generator = rng(7)
    first, second = make((8, 6), generator), make((8, 6), generator)
    assert (first != second).any()
    np.testing.assert_array_equal(make((8, 6), 7), first)
    for dtype in ("float16", "float32"):
        w = make((8, 6), 7, dtype=dtype)
        assert w.dtype == dtype
        np.testing.assert_array_equal(w, first.astype(dtype))
    assert first.flags.c_contiguous and first.flags.writeable
    assert make((8, 0), 7).shape == (8, 0) and make((0, 8), 7).shape == (0, 8)


def test_floatx_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft.config, "floatX", "float32")
    assert init.zeros(2).dtype == init.he_normal((2, 2), 0).dtype == init.constant(2, 1).dtype == "float32"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: init.glorot_uniform((5,), 0), weft.ShapeError, r"shape \(5,\) has no inputs and outputs"),
        (lambda: init.orthogonal(5, 0), weft.ShapeError, r"orthogonal: an array of shape \(5,\)"),
        (lambda: init.sparse((2, 3, 4), 0), weft.ShapeError, "sparse makes matrices"),
        (lambda: init.zeros((2, -1)), weft.ShapeError, r"a shape is a tuple of lengths, not \(2, -1\)"),
        (lambda: init.zeros((2, 1.5)), weft.ShapeError, "a shape is a tuple of lengths"),
        (lambda: init.zeros("ab"), weft.ShapeError, "a shape is a tuple of lengths"),
        (lambda: init.he_normal((2, 2), 0, dtype="int64"), weft.DTypeError, "real floats, not int64"),
        (lambda: init.he_normal((2, 2), None), weft.ArgumentError, "rng is a numpy.random.Generator or a seed"),
        (lambda: init.he_normal((2, 2), -1), weft.ArgumentError, "rng is a numpy.random.Generator or a seed"),
        (lambda: init.he_normal((2, 2), 0, fan="both"), weft.ArgumentError, "fan is 'in' or 'out', not 'both'"),
        (lambda: init.glorot_normal((2, 2), 0, gain=-1), weft.ArgumentError, "glorot_normal: gain is -1"),
        (lambda: init.normal(2, 0, std=np.nan), weft.ArgumentError, "normal: std is nan; it has to be finite"),
        (lambda: init.uniform(2, 0, 1, 0), weft.ArgumentError, "low is 1, above high, 0"),
        (lambda: init.sparse((9, 2), 0, nonzeros=0.5), weft.ArgumentError, "nonzeros is a number of weights"),
        (lambda: init.constant(2, np.inf), weft.ArgumentError, "constant: value is inf"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
