"""Derivatives of products, sparse products, Cholesky factors and triangular systems."""

from __future__ import annotations

import numpy as np
import pytest
from grad_check import check, function

import weft
import weft.tensor as T
from weft.compiler.grad.table import PULLBACK
from weft.compiler.graph.types import SparseType
from weft.compiler.graph.variable import op1

rng = np.random.default_rng(0)


def normal(*shape: int, dtype: str = "float64") -> np.ndarray:
    value = rng.normal(size=shape)
    return value + 1j * rng.normal(size=shape) if dtype == "complex128" else value


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((1, 3), (3, 1)), ((2, 0), (0, 3))]
)
def test_dot(a: tuple, b: tuple, dtype: str) -> None:
    check(T.dot, normal(*a, dtype=dtype), normal(*b, dtype=dtype), order=2)
    check(T.dot, normal(*a), normal(*b, dtype=dtype))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("a", "b"), [((2, 3, 4), (2, 4, 2)), ((1, 2, 1), (1, 1, 3)), ((2, 3, 0), (2, 0, 2))])
def test_batched_dot(a: tuple, b: tuple, dtype: str) -> None:
    check(T.batched_dot, normal(*a, dtype=dtype), normal(*b, dtype=dtype), order=2)
    check(T.batched_dot, normal(*a), normal(*b, dtype=dtype))


def positive(x):
    """A symmetric positive definite matrix; from its lower triangle alone, so that every element moves the result."""
    return T.dot(x, x.T) + T.constant(np.eye(3))


def test_cholesky() -> None:
    a = normal(3, 3)
    check(lambda x: op1("cholesky", positive(x)), a, order=2)
    # only the lower triangle is read
    check(lambda x: op1("cholesky", x), a @ a.T + np.eye(3), order=2)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("trans", [True, False])
def test_solve_triangular(lower: bool, trans: bool) -> None:
    a = normal(3, 3) + 3 * np.eye(3)
    check(lambda a, b: op1("solve_triangular", a, b, lower=lower, trans=trans), a, normal(3, 2), order=2)


# [[a, 0, b, 0], [0, 0, 0, 0], [0, c, 0, d]]
INDICES, INDPTR = np.array([0, 2, 1, 3], "int32"), np.array([0, 2, 2, 4], "int32")
PLACES = [T.constant(INDICES), T.constant(INDPTR)]
COLUMNS = T.constant(4, dtype="int64")


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_csr_products(dtype: str) -> None:
    data, b, g = normal(4, dtype=dtype), normal(4, 2, dtype=dtype), normal(3, 2, dtype=dtype)
    check(lambda data, b: op1("csr_dot", data, *PLACES, b, COLUMNS), data, b, order=2)
    check(lambda data, g: op1("csr_dot_t", data, *PLACES, g, COLUMNS), data, g, order=2)
    check(lambda g, b: op1("csr_sample", *PLACES, g, b), g, b, order=2)


def sparse_product(s, b):
    return op1("csr_dot", *(op1("csr_part", s, part=k) for k in range(3)), b, COLUMNS)


def test_csr_matrix_of_its_parts() -> None:
    pytest.importorskip("scipy")
    # twice, so that two sparse gradients are added
    check(lambda data, b: sparse_product(op1("csr", data, *PLACES, COLUMNS), b), normal(4), normal(4, 2), order=2)

    def twice(data, b):
        s = op1("csr", data, *PLACES, COLUMNS)
        return sparse_product(s, b) + op1("csr_part", s, part=0)[0]

    check(twice, normal(4), normal(4, 2), order=2)


def test_csr_leaf() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    from weft.compiler.graph.lowering import lower
    from weft.compiler.ir.interp import evaluate

    s, b = SparseType("float64", shape=(None, None))("s"), T.dmatrix("b")
    g = weft.grad(T.sum(sparse_product(s, b) ** 2), s)
    assert g.type == s.type
    value = sparse.csr_matrix((normal(4), INDICES, INDPTR), shape=(3, 4))
    dense = normal(4, 2)
    found = evaluate(lower([s, b], [g]).region, [value, dense])[0]
    np.testing.assert_array_equal(found.indices, INDICES)
    expected = 2 * (value @ dense) @ dense.T
    np.testing.assert_allclose(found.data, expected[[0, 0, 2, 2], INDICES])
    unused = weft.grad(T.sum(b), s, disconnected_inputs="ignore")
    assert unused.type == s.type
    assert not evaluate(lower([s, b], [unused]).region, [value, dense])[0].data.any()


def test_csr_refuses_a_dense_gradient() -> None:
    s = op1("csr", T.dvector("data"), *PLACES, COLUMNS)
    with pytest.raises(weft.NullGradientError, match="sparse output gradient"):
        PULLBACK["csr"](s.owner, [T.dmatrix("g")])
    with pytest.raises(weft.NullGradientError, match=r"test_grad_linalg\.py"):
        PULLBACK["csr"](s.owner, [T.dmatrix("g")])


def test_normal_log_likelihood() -> None:
    """Several rules at once: the log density of a Gaussian in its covariance and its observations."""

    def density(x, y):
        L = op1("cholesky", positive(x))
        z = op1("solve_triangular", L, y, lower=True, trans=False)
        i = T.arange(3)
        return -T.sum(z**2) / 2 - T.sum(T.log(L[i, i]))

    check(density, normal(3, 3), normal(3, 2), order=2)
    x, y = T.dmatrices("x", "y")
    value = function([x, y], density(x, y))
    a, b = normal(3, 3), normal(3, 1)
    cov = a @ a.T + np.eye(3)
    expected = -(b.T @ np.linalg.solve(cov, b))[0, 0] / 2 - np.log(np.linalg.det(cov)) / 2
    np.testing.assert_allclose(value(a, b), expected)
