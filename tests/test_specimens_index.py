"""Specimens of data-dependent lengths, Python operations, several outputs, tables of rows and library operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from specimen_check import agree, both, gradient

import weft
import weft.tensor as T
from weft.compile.ops import as_op

rng = np.random.default_rng(0)
MODES = ["compile", "interpret"]


# A length known only at run time


def test_nonzero_gather_sum() -> None:
    x = T.dvector("x")
    cost = T.sum(T.sqr(x[(x > 0).nonzero()[0]]) * 3)
    for value in (rng.normal(size=9), np.zeros(5), np.zeros(0), -np.ones(3), np.ones(4)):
        agree([x], [cost, (x > 0).nonzero()[0], x[x > 0]], [value],
              [3 * (value[value > 0] ** 2).sum(), np.nonzero(value > 0)[0], value[value > 0]])  # fmt: skip
    gradient(cost, [x], [rng.normal(size=9)])


def test_nonzero_of_a_matrix() -> None:
    x = T.dmatrix("x")
    i, j = (x > 0).nonzero()
    value = rng.normal(size=(4, 5))
    agree([x], [i, j, x[i, j], T.exp(x[i, j]).sum()], [value],
          [*np.nonzero(value > 0), value[value > 0], np.exp(value[value > 0]).sum()])  # fmt: skip
    gradient(T.exp(x[i, j]).sum(), [x], [value])


def test_two_lengths_of_one_mask_are_one() -> None:
    x, y = T.dvectors("x", "y")
    mask = x > 0
    value, other = rng.normal(size=7), rng.normal(size=7)
    agree([x, y], x[mask] + y[mask], [value, other], value[value > 0] + other[value > 0])
    gradient(T.sum(x[mask] * T.tanh(y[mask])), [x, y], [value, other])


@pytest.mark.parametrize("mode", MODES)
def test_lengths_of_two_masks_must_agree(mode: str) -> None:
    x, y = T.dvectors("x", "y")
    f = weft.function([x, y], T.exp(x[x > 0] + y[y > 0]), mode=mode)
    a, b = np.array([1.0, -1, 2]), np.array([-1.0, 3, 4])
    np.testing.assert_allclose(f(a, b), np.exp([4.0, 6.0]), 1e-12)
    with pytest.raises(weft.ShapeError, match=r"2.*3|3.*2"):
        f(a, np.abs(b))
    np.testing.assert_allclose(f(a, b), np.exp([4.0, 6.0]), 1e-12)


def test_run_time_length_used_as_a_number() -> None:
    x = T.dvector("x")
    picked = x[x > 0]
    value = rng.normal(size=8)
    n = int((value > 0).sum())
    found, count = value[value > 0], picked.shape[0]
    outs = [count, picked.mean(), T.arange(count) * picked, T.zeros((count, 2)), picked[::-1]]
    agree([x], outs, [value], [n, found.mean(), np.arange(n) * found, np.zeros((n, 2)), found[::-1]])


# A Python operation of the user's


def doubled(calls: list) -> Any:
    @as_op([T.dvector], [T.dvector])
    def double(a: np.ndarray) -> np.ndarray:
        calls.append(a.copy())
        return a * 2

    return double


class Cube(weft.Op):
    """x ** 3, with a gradient."""

    def make_node(self, x: Any) -> Any:
        x = T.as_tensor_variable(x)
        return weft.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: list, outputs: list) -> None:
        outputs[0][0] = inputs[0] ** 3

    def grad(self, inputs: list, output_gradients: list) -> list:
        return [output_gradients[0] * 3 * T.sqr(inputs[0])]


def test_python_operation_between_kernels() -> None:
    x = T.dvector("x")
    calls: list = []
    value = rng.normal(size=6)
    y = T.tanh(doubled(calls)(T.exp(x) + 1) * 0.1) - x
    agree([x], y, [value], np.tanh((np.exp(value) + 1) * 0.2) - value)
    assert len(calls) == 2
    np.testing.assert_allclose(calls[0], np.exp(value) + 1, 1e-12)
    with pytest.raises(weft.NullGradientError):
        weft.grad(y.sum(), x)
    f = weft.function([x], y)
    assert len(f.kernels) == 2 and "host_call" in f.report()


def test_python_operation_with_gradient() -> None:
    x = T.dvector("x")
    value = rng.normal(size=5)
    agree([x], T.sin(Cube()(T.exp(x))), [value], np.sin(np.exp(value) ** 3))
    gradient(T.sum(T.sin(Cube()(x * 0.5))), [x], [value])


def test_python_operation_in_a_scan() -> None:
    x = T.dvector("x")
    n = T.lscalar("n")
    value = rng.normal(size=4)
    calls: list = []
    double = doubled(calls)
    out, _ = weft.scan(lambda s: double(T.tanh(s)) * 0.7, outputs_info=[x], n_steps=n)
    want, rows = value, []
    for _ in range(5):
        want = np.tanh(want) * 1.4
        rows.append(want)
    agree([x, n], out, [value, 5], np.array(rows))
    assert len(calls) == 10
    cubes, _ = weft.scan(lambda s: Cube()(T.sin(s)) + s, outputs_info=[x], n_steps=3)
    gradient(cubes[-1].sum(), [x], [value])


def test_python_operation_that_raises_changes_nothing() -> None:
    x = T.dvector("x")
    w = weft.shared(np.ones(3), name="w")

    @as_op([T.dvector], [T.dvector])
    def refuse(a: np.ndarray) -> np.ndarray:
        if a[0] < 0:
            raise ValueError("negative")
        return a

    for f in both([x], refuse(T.exp(x) - 2).sum(), updates=[(w, w + refuse(x))]):
        w.set_value(np.ones(3))
        f(np.ones(3))
        np.testing.assert_array_equal(w.get_value(), [2, 2, 2])
        with pytest.raises(ValueError, match="negative"):
            f(-np.ones(3))
        np.testing.assert_array_equal(w.get_value(), [2, 2, 2])


# Two outputs


def test_max_and_argmax() -> None:
    x = T.dmatrix("x")
    value = rng.normal(size=(5, 7))
    big, where = T.max_and_argmax(x, axis=1)
    agree([x], [T.exp(x - big.dimshuffle(0, "x")), where, big * 2], [value],
          [np.exp(value - value.max(1, keepdims=True)), value.argmax(1), value.max(1) * 2])  # fmt: skip
    agree([x], [T.tanh(big) + where, where], [value], [np.tanh(value.max(1)) + value.argmax(1), value.argmax(1)])
    gradient(T.sum(T.sqr(big) * (where + 1)), [x], [value])
    holes = value.copy()
    holes[1, 3] = holes[4, 0] = np.nan
    agree([x], [big, where], [holes], [holes.max(1), holes.argmax(1)])


# Rows of a table


def test_embedding_rows() -> None:
    table, rows = T.dmatrix("table"), T.lmatrix("rows")
    value, picked = rng.normal(size=(6, 3)), np.array([[0, 2, 2], [-1, 2, 0]])
    agree([table, rows], table[rows], [value, picked], value[picked])
    cost = T.sum(T.tanh(table[rows]) ** 2)
    grad = weft.grad(cost, table)
    want = np.zeros_like(value)
    np.add.at(want, picked, 2 * np.tanh(value[picked]) * (1 - np.tanh(value[picked]) ** 2))
    agree([table, rows], grad, [value, picked], want)


def test_repeated_rows_add_in_order() -> None:
    rows, y = T.lvector("rows"), T.fmatrix("y")
    picked, value = rng.integers(0, 3, 500), rng.normal(size=(500, 40)).astype(np.float32)
    f, g = both([rows, y], T.inc_subtensor(T.zeros((3, 40), "float32")[rows], y))
    want = np.zeros((3, 40), np.float32)
    for r, line in zip(picked, value, strict=True):
        want[r] += line
    for _ in range(3):
        assert f(picked, value).tobytes() == want.tobytes()
    assert g(picked, value).tobytes() == want.tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_row_out_of_range_changes_nothing(mode: str) -> None:
    start = rng.normal(size=(4, 3))
    table, count = weft.shared(start, name="table"), weft.shared(0, name="count")
    rows = T.lvector("rows")
    cost = T.sqr(table[rows]).sum()
    updates = [(count, count + 1), (table, table - 0.1 * weft.grad(cost, table))]
    f = weft.function([rows], cost, updates=updates, mode=mode)
    for bad in (4, -5, 2**40):
        with pytest.raises(weft.BoundsError, match=str(bad)):
            f([0, bad, 1])
        np.testing.assert_array_equal(table.get_value(), start)
        assert count.get_value() == 0
    f([0, 3, -4])
    assert count.get_value() == 1


# Library operations


def test_cholesky() -> None:
    slinalg = T.slinalg
    a = T.dmatrix("a")
    m = rng.normal(size=(5, 5))
    value = m @ m.T + 5 * np.eye(5)
    low = slinalg.cholesky(a)
    agree([a], [low, T.log(T.diag(low)).sum() * 2], [value], [np.linalg.cholesky(value), np.linalg.slogdet(value)[1]])
    s = (a + a.T) / 2
    gradient(T.sum(T.sin(slinalg.cholesky(s))), [a], [value])
    agree([a], slinalg.cholesky(a), [np.zeros((0, 0))], np.zeros((0, 0)))


@pytest.mark.parametrize("mode", MODES)
def test_cholesky_of_what_is_not_positive_definite(mode: str) -> None:
    a = T.dmatrix("a")
    w = weft.shared(np.zeros((2, 2)), name="w")
    f = weft.function([a], [], updates=[(w, T.slinalg.cholesky(a))], mode=mode)
    for bad in (np.array([[1.0, 2], [2, 1]]), np.full((2, 2), np.nan)):
        with pytest.raises(weft.NumericalError, match="positive"):
            f(bad)
        np.testing.assert_array_equal(w.get_value(), 0)
    with pytest.raises(weft.ShapeError):
        f(np.ones((2, 3)))
    f(np.eye(2))
    np.testing.assert_array_equal(w.get_value(), np.eye(2))


def test_report_names_library_operations() -> None:
    a = T.dmatrix("a")
    named = "library operations" + ", outside"  # in no line of source that the report quotes
    assert named in weft.function([a], T.slinalg.cholesky(a)).report()
    assert named not in weft.function([a], T.exp(a)).report()


def test_lengths_that_two_stretched_scatters_share() -> None:
    """The name of a length was printed inside the braces of the first copy and used after them."""
    x, w = T.ftensor4("x"), T.ftensor4("w")
    cost = T.sum(T.sqr(T.nnet.conv2d(x, w)))
    a, b = rng.normal(size=(2, 3, 6, 5)).astype("f"), rng.normal(size=(4, 3, 3, 3)).astype("f")
    agree([x, w], weft.grad(cost, [x, w]), [a, b], tolerance=1e-3)
