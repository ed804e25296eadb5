"""Products and loops that read an operand through a view's strides: every chain of views means what NumPy's does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T

X = np.random.default_rng(0).standard_normal((6, 8))
V = np.random.default_rng(1).standard_normal(24)
C = np.random.default_rng(2).standard_normal((4, 6, 5))
ROW = np.random.default_rng(3).standard_normal((1, 8))

# A matrix out of (x (6, 8), v (24), c (4, 6, 5), row (1, 8)), in weft and in NumPy alike.
CHAINS: dict[str, Callable[..., Any]] = {
    "transposed": lambda x, v, c, row: x.T,
    "every second": lambda x, v, c, row: x[::2, 1::3],
    "backwards": lambda x, v, c, row: x[::-1, ::-2],
    "of a stack": lambda x, v, c, row: c[:, 2],
    "of a stack, turned": lambda x, v, c, row: c[1:, :, 3].T,
    "last of a stack": lambda x, v, c, row: c[-1],
    "reshaped vector": lambda x, v, c, row: v.reshape((4, 6)),
    "reshaped vector, turned": lambda x, v, c, row: v.reshape((4, 6)).T,
    "part of a vector, reshaped": lambda x, v, c, row: v[4:].reshape((4, 5)),
    "every second of a vector, reshaped": lambda x, v, c, row: v[::2].reshape((3, 4)),
    "reshaped, sliced": lambda x, v, c, row: v.reshape((2, 3, 4))[:, 1],
    "reshaped, sliced, reshaped": lambda x, v, c, row: v.reshape((2, 3, 4))[1].reshape((2, 6)),
    "turned, reshaped": lambda x, v, c, row: x.T.reshape((4, 12)),
    "rows, reshaped": lambda x, v, c, row: x[1:5].reshape((8, 4)),
    "columns, reshaped": lambda x, v, c, row: x[:, 1:5].reshape((8, 3)),
    "stack, flattened": lambda x, v, c, row: c.reshape((24, 5)),
    "part of a stack, flattened": lambda x, v, c, row: c[1:3].reshape((12, 5))[::3],
    "leading length said": lambda x, v, c, row: x[::2].reshape((3, 8)),
    "leading length said, turned": lambda x, v, c, row: x.T[1:].reshape((7, 6)),
}
# What NumPy spells otherwise: weft's, NumPy's.
STRETCHED: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "a row stretched": (lambda x, v, c, row: T.alloc(row, 5, 8), lambda x, v, c, row: np.broadcast_to(row, (5, 8))),
    "a vector stretched": (lambda x, v, c, row: T.alloc(v, 3, 24), lambda x, v, c, row: np.broadcast_to(v, (3, 24))),
    "a vector stretched, turned": (
        lambda x, v, c, row: T.alloc(v, 3, 24).T, lambda x, v, c, row: np.broadcast_to(v, (3, 24)).T
    ),
    "a column stretched": (
        lambda x, v, c, row: T.alloc(v.dimshuffle(0, "x"), 24, 3),
        lambda x, v, c, row: np.broadcast_to(v[:, None], (24, 3)),
    ),
    "a part stretched": (
        lambda x, v, c, row: T.alloc(x[2, ::2], 5, 4), lambda x, v, c, row: np.broadcast_to(x[2, ::2], (5, 4))
    ),
    "a stretched slice": (
        lambda x, v, c, row: T.alloc(row, 5, 8)[1:4, ::3], lambda x, v, c, row: np.broadcast_to(row, (5, 8))[1:4, ::3]
    ),
}  # fmt: skip
ALL = {**{k: (f, f) for k, f in CHAINS.items()}, **STRETCHED}


def inputs() -> list[Any]:
    return [T.dmatrix("x"), T.dvector("v"), T.dtensor3("c"), T.drow("row")]


@pytest.mark.parametrize("name", ALL)
def test_an_operand_of_a_product(name: str) -> None:
    given = inputs()
    view, want = ALL[name][0](*given), ALL[name][1](X, V, C, ROW)
    rng = np.random.default_rng(5)
    left, right = rng.standard_normal((3, want.shape[0])), rng.standard_normal((want.shape[1], 2))
    p, q = T.dmatrices("p", "q")
    f = weft.function([*given, p, q], [T.dot(p, view), T.dot(view, q), T.dot(view.T, p.T)], on_unused_input="ignore")
    for got, product in zip(f(X, V, C, ROW, left, right), (left @ want, want @ right, want.T @ left.T), strict=True):
        np.testing.assert_allclose(got, product, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_rows_of_a_loop(name: str) -> None:
    given = inputs()
    view, want = ALL[name][0](*given), ALL[name][1](X, V, C, ROW)
    sums, _ = weft.scan(lambda r, s: s * 0.5 + r, sequences=view, outputs_info=T.zeros_like(view[0]))
    f = weft.function(given, [sums, T.tanh(view)], on_unused_input="ignore")
    state, states = np.zeros(want.shape[1]), []
    for r in want:
        state = state * 0.5 + r
        states.append(state)
    got, tanh = f(X, V, C, ROW)
    np.testing.assert_allclose(got, states, rtol=1e-12)
    np.testing.assert_allclose(tanh, np.tanh(want), rtol=1e-12)


@pytest.mark.parametrize("size", [(4, 6, 5), (1, 6, 5), (4, 1, 5), (0, 6, 5), (4, 6, 1)])
def test_batches_through_strides(size: tuple[int, ...]) -> None:
    c = T.dtensor3("c")
    value = np.random.default_rng(6).standard_normal(size)
    f = weft.function([c], [
        T.batched_dot(c, c.dimshuffle(0, 2, 1)), T.batched_dot(c[:, ::-1], c[::-1].dimshuffle(0, 2, 1)),
        T.batched_dot(c.dimshuffle(1, 0, 2), c.dimshuffle(1, 2, 0)),
    ])  # fmt: skip
    turned = value.transpose(0, 2, 1)
    for got, want in zip(f(value), (
        value @ turned, value[:, ::-1] @ value[::-1].transpose(0, 2, 1),
        value.transpose(1, 0, 2) @ value.transpose(1, 2, 0),
    ), strict=True):  # fmt: skip
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
