"""Loops that read across rows run in squares: every shape, every function, threads, updates in place."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


SHAPES = [(1, 1), (1, 40), (40, 1), (16, 32), (17, 33), (15, 31), (100, 70), (0, 3), (3, 0)]
MAPS = [
    lambda x, y: x.T * 2,
    lambda x, y: x.T + y,
    lambda x, y: T.exp(x.T) + T.log(abs(y)),  # strips, and what is hard in them
    lambda x, y: T.switch(x.T > 0, x.T, T.sin(y * 1e6)),
]


@pytest.mark.parametrize("build", MAPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_transposed_matrix(shape: tuple[int, int], build) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    f = weft.function([x, y], build(x, y), on_unused_input="ignore")
    assert "i_end = weft_min64" in str(f.source)
    args = data(*shape), data(*shape[::-1], seed=1)
    want = weft.function([x, y], build(x, y), mode="interpret", on_unused_input="ignore")(*args)
    got = f(*args)
    np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-14)
    for threads in (1, 2, 3):
        with weft.limit_threads(threads):
            assert f(*args).tobytes() == got.tobytes()


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_axes_in_another_order(order: tuple[int, ...]) -> None:
    x = T.dtensor3("x")
    a = data(5, 37, 18)
    np.testing.assert_array_equal(weft.function([x], x.dimshuffle(*order) + 1)(a), a.transpose(order) + 1)


def test_a_matrix_and_its_transpose_in_place() -> None:
    """The old values are read across rows: not after the commit."""
    w = weft.shared(data(20, 20), "w")
    f = weft.function([], [], updates=[(w, w + w.T * 2)])
    want = data(20, 20)
    for _ in range(3):
        f()
        want = want + want.T * 2
        np.testing.assert_array_equal(w.get_value(), want)
