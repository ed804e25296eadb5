"""The language where it has to be NumPy's or Theano's to the letter: subscripts, literals, axes, products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.runtime.errors import ArgumentError, DTypeError, ShapeError

each_mode = pytest.mark.parametrize("mode", ["interpret", "compile"])
X = np.random.default_rng(0).normal(size=(3, 4, 5))


def run(mode: str, f: Callable, *values: Any) -> np.ndarray:
    xs = [T.TensorType(v.dtype, (False,) * v.ndim)(f"x{k}") for k, v in enumerate(map(np.asarray, values))]
    return weft.function(xs, f(*xs), mode=mode, on_unused_input="ignore")(*values)


@each_mode
@pytest.mark.parametrize("at", [
    (0, slice(None), [1, 2]), ([0, 1], slice(None), 1), (slice(None), [0, 1], 1), (slice(None), 1, [0, 1]),
    (0, None, [1, 2]), (Ellipsis, [1, 2]), (0, Ellipsis, [1, 2]), ([],), (slice(None), [], 1), (0, [1, 2], 3),
], ids=str)  # fmt: skip
def test_numbers_beside_arrays(mode: str, at: tuple) -> None:
    """A number counts among the arrays when NumPy asks whether they stand side by side."""
    want = X[at]
    found = run(mode, lambda x: x[at], X)
    assert found.shape == want.shape and (found == want).all()
    if None not in at:
        found = run(mode, lambda x, y: T.set_subtensor(x[at], y), X, want * 2)
        changed = X.copy()
        changed[at] = want * 2
        assert (found == changed).all()


@each_mode
def test_a_number_beside_a_tensor_has_its_dtype_and_rank(mode: str) -> None:
    for dtype, number, want in [
        ("float32", 1, "float32"), ("float32", 0.1, "float64"), ("int16", -3, "int16"), ("int8", 300, "int16"),
        ("int32", 0.5, "float64"), ("complex64", 2, "complex64"), ("bool", True, "bool"), ("float64", 1j, "complex128"),
    ]:  # fmt: skip
        x = T.TensorType(dtype, (False, False))("x")
        for y in (x + number, number + x):
            one = next(i for i in y.owner.inputs if i.type.broadcastable == (True, True))
            assert y.dtype == want == one.dtype and y.ndim == 2
            assert number in (1j, True) or one.owner is None
        ones = np.ones((2, 3), dtype)
        found = run(mode, lambda x, n=number: x + n, ones)
        np.testing.assert_array_equal(found, ones.astype(want) + np.dtype(want).type(number), strict=True)


@each_mode
def test_a_mask_has_the_lengths_of_what_it_selects_from(mode: str) -> None:
    m3, m4 = np.array([True, False, True]), np.array([True, False, True, True])
    for f, mask in ((lambda x, m: x[m], m3), (lambda x, m: x[:, m], m4), (lambda x, m: x[0, ..., m, 1], m4),
                    (lambda x, m: x[m], X > 0), (lambda x, m: x[None, m], m3)):  # fmt: skip
        assert (run(mode, f, X, mask) == f(X, mask)).all()
    for f, mask in ((lambda x, m: x[m], m4), (lambda x, m: x[m], m3[:1]), (lambda x, m: x[:, m], m3),
                    (lambda x, m: x[..., m], m4), (lambda x, m: T.set_subtensor(x[m], 0.0), m3[:2]),
                    (lambda x, m: x[[True]] * m.sum(), m3)):  # fmt: skip
        with pytest.raises(ShapeError, match="subscript by a mask"):
            run(mode, f, X, mask)
    row, mask = T.drow("row"), T.vector("mask", dtype="bool")
    f = weft.function([row, mask], row[mask], mode=mode)
    assert f(np.ones((1, 2)), m3[:1]).tolist() == [[1, 1]]
    with pytest.raises(ShapeError):
        f(np.ones((1, 2)), m3)
    with pytest.raises(ShapeError, match="a mask of length 2 for axis 0, which has length 1"):
        row[np.array([True, False])]
    x = T.dmatrix("x")
    slope = weft.function([x, mask], weft.grad((x[mask] ** 2).sum(), x), mode=mode)
    assert slope(np.ones((3, 1)), m3).ravel().tolist() == [2, 0, 2]


@each_mode
def test_writing_to_a_new_axis(mode: str) -> None:
    def f(x: Any, y: Any) -> Any:
        return T.inc_subtensor(x[None, 1], y)

    want = X.copy()
    want[1] += 1
    assert (run(mode, f, X, np.ones((1, 4, 5))) == want).all()
    with pytest.raises(ShapeError):
        run(mode, f, X, np.ones((2, 4, 5)))


def test_numpy_scalars_keep_their_dtype() -> None:
    x, z = T.fscalar(), T.cscalar()
    assert (x * 0.5).dtype == "float32" and (x * np.float64(0.5)).dtype == "float64"
    assert (z * 1j).dtype == "complex64" and (z * np.complex128(1j)).dtype == "complex128"
    assert T.constant(np.float64(0.5)).dtype == "float64"


def test_axes_are_integers() -> None:
    m = T.dmatrix("m")
    for axis in (1.5, "x", T.iscalar("axis"), (0, 0.5)):
        with pytest.raises(ArgumentError, match="axis of sum of m is"):
            T.sum(m, axis=axis)
    assert T.sum(m, axis=T.constant(1)).ndim == T.sum(m, axis=np.int8(-1)).ndim == 1
    for length in (2.5, T.dscalar()):
        with pytest.raises(DTypeError, match="integer scalars"):
            T.zeros((length,))


@each_mode
def test_stack_takes_its_axis_in_second_place(mode: str) -> None:
    for axis in (0, 1, -1):
        assert (run(mode, lambda x, a=axis: T.stack([x, x], a), X) == np.stack([X, X], axis)).all()
        assert (run(mode, lambda x, a=axis: T.stack((x, x), axis=a), X) == np.stack([X, X], axis)).all()


@each_mode
def test_products_of_more_axes(mode: str) -> None:
    w, y = X[0].T.copy(), X.transpose(0, 2, 1).copy()
    for f, values in ((np.dot, (X, w)), (np.dot, (X, w[:, 0])), (np.dot, (w, X)), (np.dot, (X, y)), (np.dot, (w[0], X)),
                      (np.matmul, (X, w)), (np.matmul, (X, w[:, 0])), (np.matmul, (X, y))):  # fmt: skip
        ours = T.dot if f is np.dot else lambda a, b: a @ b
        np.testing.assert_allclose(run(mode, ours, *values), f(*values), rtol=1e-12)
    with pytest.raises(ShapeError, match="@"):
        T.dmatrix() @ T.dtensor3()
    with pytest.raises(ShapeError, match="@"):
        T.dmatrix() @ 2


@each_mode
def test_parts_of_what_is_infinite(mode: str) -> None:
    z = np.array([np.inf + 1j, 1, complex(0, -np.inf)])
    assert run(mode, T.isinf, z).tolist() == [True, False, True]
    assert run(mode, T.imag, np.array([np.inf, np.nan, 1])).tolist() == [0, 0, 0]


@each_mode
def test_ties_go_to_the_first_argument(mode: str) -> None:
    """Theano's rule: g where the result equals the first argument, else to the second, which NaN is not equal to."""
    x, y = T.dscalars("x", "y")
    for f, larger in ((T.maximum, [1, 0]), (T.minimum, [0, 1])):
        g = weft.function([x, y], weft.grad(f(x, y), [x, y]), mode=mode)
        assert [g(1, 1), g(2, 1), g(np.nan, 1), g(1, np.nan)] == [[1, 0], larger, [0, 1], [0, 1]]
        tangent = weft.function([x, y], T.Rop(f(x, y), [x, y], [T.constant(2.0), T.constant(3.0)]), mode=mode)
        assert tangent(1, 1) == 2
    for at in (0.0, 1.0):
        assert weft.function([x], weft.grad(T.clip(x, 0, 1), x), mode=mode)(at) == 1


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_parts_of_a_stack_are_written_to(mode: str) -> None:
    a, b = T.dscalars("a", "b")
    s = T.stack([a, b])
    i = T.stack([T.cast(a, "int64"), T.cast(b, "int64")])
    outs = [T.set_subtensor(s[0], 5.0), T.inc_subtensor(s[:3], 1.0), T.set_subtensor(i[:1], 7)]
    found = weft.function([a, b], outs, mode=mode)(2.0, 3.0)
    assert [list(v) for v in found] == [[5, 3], [3, 4], [7, 3]]
    slopes = weft.function([a, b], weft.grad(s[0] * s[1] ** 2, [a, b]), mode=mode)(2.0, 3.0)
    assert [float(g) for g in slopes] == [9, 12]


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_what_python_operations_return(mode: str) -> None:
    """Numbers and lists become arrays of the declared dtype where it has them."""
    x = T.dscalar("x")

    def run(result: Any, declared: Any) -> Any:
        return weft.function([x], as_op([T.dscalar], [declared])(lambda v: result)(x), mode=mode)(1.0)

    for result, declared in ((2, T.lscalar), (2, T.dscalar), (np.float64(0.1), T.fscalar), (True, T.dscalar)):
        assert run(result, declared) == np.asarray(result).astype(declared.dtype)
    assert run([[0.1, 0.2]], T.fvector).tolist() == np.float32([0.1, 0.2]).tolist()
    for result, declared in ((np.float64(300.7), T.bscalar), (2.7, T.lscalar), (1 + 2j, T.dscalar), ("3", T.dscalar)):
        with pytest.raises(DTypeError):
            run(result, declared)
    with pytest.raises(ArgumentError, match="left output 0 empty"):
        run(None, T.dscalar)


def test_infer_shape_that_has_no_answer() -> None:
    def none(node: Any, shapes: Any) -> Any:
        raise NotImplementedError

    x = T.dvector("x")
    same = as_op([T.dvector], [T.dvector], infer_shape=none)(np.copy)
    assert weft.function([x], same(x))([1, 2]).tolist() == [1, 2]
    with pytest.raises(ArgumentError, match="gave 0 shapes"):
        as_op([T.dvector], [T.dvector], infer_shape=lambda node, shapes: [])(np.copy)(x)
    for wrong in (lambda node, shapes: [5], lambda node, shapes: 5):
        same = as_op([T.dvector], [T.dvector], infer_shape=wrong)(np.copy)
        assert weft.function([x], same(x))([1, 2]).tolist() == [1, 2]


@each_mode
def test_python_operations_have_the_lengths_that_they_declare(mode: str) -> None:
    m = T.dmatrix("m")

    class Sums(weft.Op):
        __props__ = ()

        def make_node(self, a: Any) -> Any:
            return weft.Apply(self, [a], [T.drow()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = inputs[0].sum(0, keepdims=True)

    r = Sums()(m)
    assert r.broadcastable == (True, False)
    given = np.ones((2, 3))
    assert weft.function([m], r + m, mode=mode)(given).tolist() == [[3, 3, 3]] * 2
    three = T.TensorType("float64", shape=(3,))
    for declared, shape in ((T.drow, (2, 3)), (T.dcol, (1, 2)), (three, (2,))):
        made = as_op([T.dmatrix], [declared])(lambda a, shape=shape: np.ones(shape))(m)
        assert made.type == declared
        with pytest.raises(ShapeError, match=r"gave shape \(.*\) for output 0, which is declared (.|\n)*_language.py"):
            weft.function([m], made * 2, mode=mode)(given)
