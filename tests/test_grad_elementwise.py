"""Derivatives of elementwise operations."""

from __future__ import annotations

import numpy as np
import pytest
from grad_check import check, function

import weft
import weft.tensor as T
from weft.compiler.grad.rules_elementwise import ROWS
from weft.compiler.graph.variable import ancestors

rng = np.random.default_rng(0)
WIDE = rng.uniform(0.2, 2, (2, 3)) * rng.choice([-1, 1], (2, 3))
INSIDE = rng.uniform(-0.9, 0.9, (2, 3))
POSITIVE = rng.uniform(0.2, 2, (2, 3))
COMPLEX = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))

DOMAIN = {
    "asin": INSIDE,
    "acos": INSIDE,
    "acosh": POSITIVE + 1,
    "atanh": INSIDE,
    "erfinv": INSIDE,
    "log": POSITIVE,
    "log2": POSITIVE,
    "log10": POSITIVE,
    "log1p": POSITIVE,
    "sqrt": POSITIVE,
}
NAMES = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "abs": "abs_",
    "reciprocal": "inv",
    "truediv": "true_div",
    "atan2": "arctan2",
}
UNARY = [name for name, row in ROWS.items() if len(row) == 1]
BINARY = [name for name, row in ROWS.items() if len(row) == 2]
HOLOMORPHIC = ["neg", "sqr", "reciprocal", "sqrt", "exp", "log"]


def public(name: str):
    return getattr(T, NAMES.get(name, name))


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    check(public(name), DOMAIN.get(name, WIDE), order=2)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shape", [(2, 3), (1, 3), ()])
def test_binary_broadcast(name: str, shape: tuple[int, ...]) -> None:
    other = rng.uniform(0.3, 2, shape)
    x = POSITIVE if name == "pow" else WIDE
    check(public(name), x, other)
    check(lambda a, b: public(name)(b, a), x if name == "pow" else POSITIVE, other)


@pytest.mark.parametrize("name", ["mul", "truediv", "pow", "atan2", "mod"])
def test_binary_twice(name: str) -> None:
    check(public(name), POSITIVE, POSITIVE[:1] + 0.5, order=2)


@pytest.mark.parametrize("name", [*HOLOMORPHIC, "abs", "real", "imag", "conj"])
def test_complex_unary(name: str) -> None:
    check(public(name), COMPLEX, order=2)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow"])
def test_complex_binary(name: str) -> None:
    check(public(name), COMPLEX, COMPLEX[:, ::-1] + 2)
    check(public(name), COMPLEX[:1], WIDE)  # a real argument has the real part of its gradient
    check(public(name), POSITIVE, COMPLEX)


def test_one_argument_moves() -> None:
    """The tangent of a row is stretched where only the row moves."""
    check(lambda a: a + T.constant(WIDE), WIDE[:1])
    check(lambda a: T.sum(a - T.constant(WIDE)), WIDE[:1])
    check(lambda a: T.constant(WIDE) + a * 1j, 2.0)


def test_complex_of_parts() -> None:
    check(T.complex, WIDE, INSIDE[:1])
    check(lambda a: T.sqr(T.complex(a, 2)), WIDE)


def test_complex_single() -> None:
    z = T.cmatrix("z")
    g = weft.grad(T.sum(T.sqr(T.abs_(z))), z)
    assert g.dtype == "complex64"
    value = function([z], g)(COMPLEX.astype("complex64"))
    np.testing.assert_allclose(value, 2 * COMPLEX, rtol=1e-6)


def test_complex_power_of_a_number() -> None:
    check(lambda z: z**3, COMPLEX, order=2)
    check(lambda z: z**-2, COMPLEX)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, 2.5])
def test_power_of_a_number(exponent: float) -> None:
    check(lambda x: x**exponent, POSITIVE, order=2)


def value_at(cost: weft.Variable, wrt: weft.Variable, x: weft.Variable, point: object) -> np.ndarray:
    return function([x], weft.grad(T.sum(cost), wrt))(point)


def test_power_at_zero() -> None:
    x, e = T.dvectors("x", "e")
    ex = function([x, e], weft.grad(T.sum(x**e), [x, e]))
    dx, de = ex([0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 0.0])
    np.testing.assert_array_equal(dx, [0, 1, 0, 0])
    np.testing.assert_allclose(de, [0, 0, 0, np.log(2)])
    # its own gradient is finite there
    second = function([x, e], weft.grad(T.sum(weft.grad(T.sum(x**e), x)), x))([0.0, 0.0, 0.0], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(second, [0, 0, 2])
    mixed = function([x, e], weft.grad(T.sum(weft.grad(T.sum(x**e), e)), [x, e]))([0.0], [2.0])
    assert np.isfinite(mixed).all()


def test_power_of_a_negative_base() -> None:
    check(lambda x: x**3, -POSITIVE, order=2)


@pytest.mark.parametrize(
    ("f", "point", "slope"),
    [
        (T.tanh, 800.0, 0),
        (T.tanh, -800.0, 0),
        (T.sigmoid, 800.0, 0),
        (T.sigmoid, -800.0, 0),
        (T.softplus, 800.0, 1),
        (T.softplus, -800.0, 0),
        (T.exp, -800.0, 0),
        (T.expm1, -800.0, 0),
        (T.expm1, -40.0, np.exp(-40)),
        (lambda x: T.nnet.elu(x) * 1.5, -30.0, 1.5 * np.exp(-30)),
        (T.log1p, 1e300, 1e-300),
        (T.erf, 1e200, 0),
        (T.sqrt, 1e300, 0.5e-150),
        (T.arctan, 1e200, 0),
        (T.arcsinh, 1e200, 1e-200),
        (T.arcsinh, -1e200, 1e-200),
        (T.arcsinh, 0.0, 1),
        (T.arccosh, 1e200, 1e-200),
        (T.cbrt, 1e300, 1e-200 / 3),
        (T.erfinv, 0.0, 0.5 * np.sqrt(np.pi)),
        (lambda x: x / 1e300, 1e300, 1e-300),
        (lambda x: 1e-300 / x, 1e-200, -1e100),
        (T.abs_, 0.0, 0),
        (lambda x: T.maximum(x, 0), 0.0, 1),
        (lambda x: T.maximum(x, x), 3.0, 1),
        (lambda x: T.minimum(x, 2), 2.0, 1),
        (lambda x: T.switch(x > 0, T.log(x), 0), 0.0, 0),
    ],
)
def test_at_the_edges(f, point: float, slope: float) -> None:
    x = T.dscalar("x")
    if f(x).owner.op.name == "switch":
        with np.errstate(divide="ignore", invalid="ignore"):
            assert np.isnan(value_at(f(x), x, x, point))  # 0 times the infinite slope of the branch not taken
        return
    np.testing.assert_allclose(value_at(f(x), x, x, point), slope, rtol=1e-12)


def test_complex_abs_at_zero() -> None:
    z = T.zscalar("z")
    assert value_at(T.abs_(z), z, z, 0j) == 0


def test_switch() -> None:
    check(lambda a, b: T.switch(a > 0.1, a * b, b), WIDE, INSIDE)
    check(lambda a, b: T.switch(a > 0.1, a, b), WIDE, 2.0)
    check(lambda a: T.switch(a > 0.1, a, 3.0), WIDE)


def test_cast() -> None:
    check(lambda x: T.cast(T.cast(x, "float64"), "complex128") * (1 + 2j), WIDE)
    x = T.fvector("x")
    g = weft.grad(T.sum(T.cast(x, "float64") * 2), x)
    assert g.dtype == "float32"
    np.testing.assert_array_equal(function([x], g)(np.ones(2, "float32")), [2, 2])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", UNARY + BINARY)
def test_dtype_is_kept(name: str, dtype: str) -> None:
    """No rule widens: every node of the gradient has the dtype of the expression (or is a bool)."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    xs = [T.TensorType(dtype, (False,))(n) for n in ("x", "y")][: len(ROWS[name])]
    g = weft.grad(T.sum(public(name)(*xs)), xs)
    assert {v.dtype for v in ancestors(g)} <= {dtype, "bool", "int64"}


@pytest.mark.parametrize("f", [T.floor, T.ceil, T.trunc, T.sgn, lambda x: x // 2, lambda x: T.cast(x > 0, "float64")])
def test_flat(f) -> None:
    check(f, WIDE * 2.3)


def test_softmaxes() -> None:
    from weft.tensor import nnet

    check(nnet.softmax, WIDE, order=2)
    check(lambda x: nnet.softmax(x, axis=0), WIDE)
    check(nnet.logsoftmax, WIDE, order=2)
    check(lambda x: nnet.categorical_crossentropy(nnet.softmax(x), T.constant([0, 2])), WIDE)
    check(lambda x: nnet.binary_crossentropy(T.sigmoid(x), T.constant(POSITIVE / 2)), WIDE)
