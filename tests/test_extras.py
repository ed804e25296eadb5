"""Compositions under Theano's names, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.gradient import verify_grad
from weft.tensor import nnet, slinalg

MODES = ["interpret", "compile"]
each_mode = pytest.mark.parametrize("mode", MODES)
rng = np.random.default_rng(1)
M, V, C = rng.normal(size=(4, 5)), rng.normal(size=6), rng.normal(size=(2, 4, 5))


@each_mode
@pytest.mark.parametrize(
    ("build", "numpy", "args"),
    [
        (lambda x: T.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, axis=1), [M]),
        (lambda x: T.repeat(x, 2, axis=0), lambda x: np.repeat(x, 2, axis=0), [C]),
        (lambda x: T.repeat(x, 2), lambda x: np.repeat(x, 2), [M]),
        (lambda x: T.repeat(x, 0), lambda x: np.repeat(x, 0), [V]),
        (lambda x: T.tile(x, 3), lambda x: np.tile(x, 3), [V]),
        (lambda x: T.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), [M]),
        (lambda x: T.tile(x, 2), lambda x: np.tile(x, 2), [C]),
        (lambda x: T.diag(x), np.diag, [M]),
        (lambda x: T.diag(x, 2), lambda x: np.diag(x, 2), [M]),
        (lambda x: T.diag(x, -3), lambda x: np.diag(x, -3), [M]),
        (lambda x: T.diag(x, 7), lambda x: np.diag(x, 7), [M]),
        (lambda x: T.diag(x), np.diag, [V]),
        (lambda x: T.diag(x, -2), lambda x: np.diag(x, -2), [V]),
        (lambda x: T.diagonal(x, 1, 2, 0), lambda x: np.diagonal(x, 1, 2, 0), [C]),
        (lambda x: T.trace(x), np.trace, [M]),
        (lambda x: T.tril(x), np.tril, [M]),
        (lambda x: T.tril(x, 2), lambda x: np.tril(x, 2), [M]),
        (lambda x: T.triu(x, -1), lambda x: np.triu(x, -1), [M]),
        (lambda x: T.triu(x), np.triu, [C]),
        (lambda x: T.identity_like(x), lambda x: np.eye(4, 5), [M]),
        (lambda x: T.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), [C]),
        (lambda x: x.swapaxes(0, -1), lambda x: np.swapaxes(x, 0, -1), [C]),
        (lambda x: x.dimshuffle(0, "x", 1).squeeze(), lambda x: x, [M]),
        (lambda x: x.diagonal(1, 2, 0), lambda x: np.diagonal(x, 1, 2, 0), [C]),
        (lambda x: x.repeat(3, axis=1), lambda x: np.repeat(x, 3, axis=1), [M]),
        (lambda x: (x * 2).round() / 2, lambda x: np.round(x * 2) / 2, [M]),
        (lambda x: x.conjugate().log2().arctan(), lambda x: np.arctan(np.log2(x)), [1 + M * M]),
        *(
            (lambda x, n=n, a=a: x.norm(n, a), lambda x, n=n, a=a: np.linalg.norm(x, n, a), [V if a is None else M])
            for a in (None, 1)
            for n in (0, 1, 2, 3, 0.5, np.inf, -np.inf)
        ),
        (lambda x: x.norm(2, keepdims=True), lambda x: np.linalg.norm(x, keepdims=True), [M]),
        (lambda x: T.roll(x, 2), lambda x: np.roll(x, 2), [V]),
        (lambda x: T.roll(x, -7, axis=1), lambda x: np.roll(x, -7, axis=1), [M]),
        (lambda x: T.roll(x, 3), lambda x: np.roll(x, 3), [M]),
        (lambda x: T.roll(x, 3, axis=0), lambda x: x, [M[:0]]),
        (lambda x: T.diff(x, 2, axis=0), lambda x: np.diff(x, 2, axis=0), [M]),
        (lambda x: T.diff(x), np.diff, [V]),
        (lambda x: T.squeeze(x.dimshuffle(0, "x", 1)), lambda x: x, [M]),
        (lambda x: T.round(x * 2) / 2, lambda x: np.round(x * 2) / 2, [M]),
        (
            lambda x: T.round(x, "half_away_from_zero"),
            lambda x: np.array([1, 0, -3, 4, 0, -1e300]),
            [np.array([0.5, np.nextafter(0.5, 0), -2.5, 3.5, -0.25, -1e300])],
        ),
        (lambda x: T.cumsum(x, axis=1), lambda x: np.cumsum(x, axis=1), [M]),
        (lambda x, y: T.tensordot(x, y, 2), lambda x, y: np.tensordot(x, y, 2), [C, M]),
        (lambda x, y: T.tensordot(x, y, 0), lambda x, y: np.tensordot(x, y, 0), [M, V]),
        (
            lambda x, y: T.tensordot(x, y, [[2, 0], [1, 2]]),
            lambda x, y: np.tensordot(x, y, [[2, 0], [1, 2]]),
            [C, C.transpose(1, 2, 0)],
        ),
        (lambda x, y: T.tensordot(x, y, (-1, 1)), lambda x, y: np.tensordot(x, y, (-1, 1)), [C, M]),
        (lambda x, y: T.batched_dot(x, y), np.matmul, [C, C.transpose(0, 2, 1)]),
        (lambda x, y: T.batched_dot(x, y), lambda x, y: np.einsum("bij,bj->bi", x, y), [C, C[:, 0]]),
        (lambda x, y: T.batched_dot(x, y), lambda x, y: np.einsum("bj,bj->b", x, y), [M, M]),
        (lambda x: nnet.hard_sigmoid(x * 3), lambda x: np.clip(0.6 * x + 0.5, 0, 1), [M]),
        (lambda x: nnet.elu(x, 0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x)), [M]),
        (lambda x: nnet.relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x), [M]),
        (lambda x: nnet.softsign(x), lambda x: x / (1 + abs(x)), [M]),
        (lambda x: nnet.ultra_fast_sigmoid(x), lambda x: 1 / (1 + np.exp(-x)), [M]),
    ],
)
def test_against_numpy(mode: str, build: Callable, numpy: Callable, args: list[np.ndarray]) -> None:
    leaves = [T.TensorType("float64", (False,) * a.ndim)() for a in args]
    got = weft.function(leaves, build(*leaves), mode=mode)(*args)
    want = numpy(*args)
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@each_mode
def test_symbolic_lengths(mode: str) -> None:
    n, v = T.lscalar("n"), T.lvector("v")
    f = weft.function(
        [n],
        [T.eye(n), T.eye(n, 4, 1, dtype="int8"), T.tri(n, 3, -1), T.repeat(T.arange(3), n), T.tile(T.arange(2), n)],
        mode=mode,
    )
    for k in (0, 1, 5):
        want = [np.eye(k), np.eye(k, 4, 1), np.tri(k, 3, -1), np.repeat(np.arange(3), k), np.tile(np.arange(2), k)]
        for got, w in zip(f(k), want, strict=True):
            np.testing.assert_array_equal(got, w)
    g = weft.function(
        [v], [T.bincount(v), T.bincount(v, minlength=6), T.bincount(v, weights=v * 0.5), T.to_one_hot(v, 7)], mode=mode
    )
    for value in (np.array([3, 1, 3, 0]), np.array([], int), np.array([6])):
        a, b, c, d = g(value)
        np.testing.assert_array_equal(a, np.bincount(value))
        np.testing.assert_array_equal(b, np.bincount(value, minlength=6))
        np.testing.assert_array_equal(c, np.bincount(value, weights=value * 0.5))
        np.testing.assert_array_equal(d, np.eye(7)[value])


@pytest.mark.parametrize(
    "build",
    [
        lambda x: T.repeat(x, 3, axis=1),
        lambda x: T.tile(x, (2, 2)),
        lambda x: T.diag(x, 1),
        lambda x: T.tril(x),
        lambda x: T.roll(x, 2, 1),
        lambda x: T.tensordot(x, x, [[1], [1]]),
        lambda x: T.batched_dot(x, x),
        lambda x: nnet.elu(x),
        lambda x: nnet.softsign(x),
        lambda x: T.diff(x),
        lambda x: nnet.relu(x, 0.1),
    ],
)
def test_gradients(build: Callable) -> None:
    verify_grad(build, [M], rng=rng)


@each_mode
def test_elu_does_not_overflow(mode: str) -> None:
    x = T.vector("x")
    value, grad = weft.function([x], [nnet.elu(x), weft.grad(nnet.elu(x).sum(), x)], mode=mode)([1e4, -1e4, 0.0])
    assert value.tolist() == [1e4, -1, 0] and np.isfinite(grad).all() and grad[:2].tolist() == [1, 0]


@each_mode
def test_linear_algebra(mode: str) -> None:
    a, b, v = T.matrix("a"), T.matrix("b"), T.vector("v")
    spd = M @ M.T + np.eye(4)
    low, up = np.linalg.cholesky(spd), np.linalg.cholesky(spd).T
    right = rng.normal(size=(4, 3))
    f = weft.function([a], [slinalg.cholesky(a), slinalg.cholesky(a, lower=False)], mode=mode)
    np.testing.assert_allclose(f(np.tril(spd))[0], low)
    np.testing.assert_allclose(weft.function([a], slinalg.cholesky(a, lower=False), mode=mode)(np.triu(spd)), up)
    with pytest.raises(weft.NumericalError):
        f(-spd)
    g = weft.function(
        [a, b, v],
        [
            slinalg.solve_lower_triangular(a, b),
            slinalg.solve_upper_triangular(a, b),
            slinalg.solve_lower_triangular(a, v),
            slinalg.solve_triangular(a, b, lower=True, trans=1),
        ],
        mode=mode,
    )
    mixed = low + np.triu(up, 1)
    for got, want in zip(
        g(mixed, right, V[:4]),
        [
            np.linalg.solve(low, right),
            np.linalg.solve(np.triu(mixed), right),
            np.linalg.solve(low, V[:4]),
            np.linalg.solve(low.T, right),
        ],
        strict=True,
    ):
        np.testing.assert_allclose(got, want)


@pytest.mark.parametrize("trans", ["T", True, 2, "C"])
def test_a_transposed_system_has_several_names(trans: Any) -> None:
    a, b = np.array([[2.0, 0.0], [1.0, 4.0]]), np.array([1.0, 2.0])
    x = slinalg.solve_triangular(a, b, lower=True, trans=trans)
    np.testing.assert_allclose(weft.function([], x)(), np.linalg.solve(a.T, b))
    with pytest.raises(weft.ArgumentError, match="not 'H'"):
        slinalg.solve_triangular(a, b, trans="H")


def test_norms_keep_the_dtype() -> None:
    for n in (1, 2, 3, 0.3, np.inf):
        assert T.fvector().norm(n).dtype == "float32"


def test_refused() -> None:
    x: Any = T.matrix("x")
    for call in (
        lambda: T.repeat(x, [1, 2], axis=0),
        lambda: T.diag(T.tensor3()),
        lambda: T.tril(T.vector()),
        lambda: T.tensordot(x, x, 3),
        lambda: T.batched_dot(x, T.scalar()),
        lambda: T.batched_tensordot(x, x, 2),
        lambda: T.bincount(x),
        lambda: slinalg.cholesky(T.vector()),
        lambda: T.to_one_hot(x, 3),
    ):
        with pytest.raises(weft.ShapeError):
            call()
