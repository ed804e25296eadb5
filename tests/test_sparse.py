"""Sparse matrices: products, gradients, arguments, results, shared ones, and what is refused."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest

import weft
import weft.sparse as S
import weft.tensor as T
from weft.runtime.sparse import convert

scipy_sparse = pytest.importorskip("scipy.sparse")
MODES = ["interpret", "compile"]
pytestmark = pytest.mark.parametrize("mode", MODES)


def matrix(rows: int, columns: int, seed: int = 0, dtype: str = "float64") -> Any:
    return scipy_sparse.random(rows, columns, 0.4, format="csr", random_state=seed).astype(dtype)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def test_products(mode: str) -> None:
    x, y, a, v = S.csr_matrix("x"), T.matrix("y"), T.matrix("a"), T.vector("v")
    m, d = matrix(5, 4), numbers(4, 3)
    f = weft.function([x, y, a, v], [S.dot(x, y), T.dot(a, x), S.structured_dot(x, v), x.dot(y), a @ x], mode=mode)
    got = f(m, d, numbers(2, 5), d[:, 0])
    for g, want in zip(got, [m @ d, numbers(2, 5) @ m, m @ d[:, 0], m @ d, numbers(2, 5) @ m], strict=True):
        np.testing.assert_allclose(g, want)
    assert f(scipy_sparse.csr_matrix((0, 4)), d, numbers(2, 0), d[:, 0])[0].shape == (0, 3)


def test_dtypes_are_promoted(mode: str) -> None:
    x, y = S.csr_matrix("x", dtype="float32"), T.dmatrix("y")
    out = weft.function([x, y], S.dot(x, y), mode=mode)(matrix(2, 3, dtype="float32"), numbers(3, 2))
    assert out.dtype == "float64"
    with pytest.raises(weft.DTypeError, match="data of x"):
        weft.function([x], S.sp_sum(x), mode=mode)(matrix(2, 3) / 3)


def test_elementwise_and_sums(mode: str) -> None:
    x, m = S.csr_matrix("x"), matrix(5, 4)
    outs = [x * 2, -x, x + x, x / 4, S.structured_exp(x), S.sp_zeros_like(x), x.astype("float32")]
    got = weft.function([x], outs, mode=mode)(m)
    e = m.copy()
    e.data = np.exp(e.data)
    for g, want in zip(got, [m * 2, -m, m + m, m / 4, e, m * 0, m.astype("float32")], strict=True):
        assert scipy_sparse.issparse(g) and g.dtype == want.dtype
        np.testing.assert_allclose(g.toarray(), want.toarray())
    for axis in (None, 0, 1):
        np.testing.assert_allclose(weft.function([x], x.sum(axis), mode=mode)(m), np.asarray(m.sum(axis)).squeeze())
    with pytest.raises(weft.ArgumentError, match="same places"):
        x + S.csr_matrix("y")


def test_dense_and_back(mode: str) -> None:
    x, d, m = S.csr_matrix("x"), T.matrix("d"), matrix(5, 4)
    m.data[2] = 0  # stored, and 0
    np.testing.assert_array_equal(weft.function([x], S.dense_from_sparse(x), mode=mode)(m), m.toarray())
    twice = scipy_sparse.csr_matrix((np.ones(3), np.array([1, 1, 0]), np.array([0, 2, 2, 3])), shape=(3, 2))
    np.testing.assert_array_equal(weft.function([x], x.toarray(), mode=mode)(twice), [[0, 2], [0, 0], [1, 0]])
    back = weft.function([d], S.csr_from_dense(d), mode=mode)(m.toarray())
    assert abs(back - m).sum() == 0


def test_parts(mode: str) -> None:
    x, m = S.csr_matrix("x"), matrix(5, 4)
    data, indices, indptr, shape = weft.function([x], list(S.csm_properties(x)), mode=mode)(m)
    assert (
        (data == m.data).all()
        and (indices == m.indices).all()
        and (indptr == m.indptr).all()
        and shape.tolist() == [5, 4]
    )
    d, i, p = T.dvector(), T.ivector(), T.ivector()
    made = weft.function([d, i, p], S.CSR(d, i, p, (5, 4)), mode=mode)(data, indices, indptr)
    assert abs(made - m).sum() == 0
    with pytest.raises(weft.ShapeError):
        weft.function([d, i, p], S.CSR(d, i, p, (6, 4)), mode=mode)(data, indices, indptr)
    with pytest.raises(weft.BoundsError):
        weft.function([d, i, p], S.dot(S.CSR(d, i, p, (5, 4)), np.ones((4, 1))), mode=mode)(data, indices + 4, indptr)


def test_gradients(mode: str) -> None:
    x, y = S.csr_matrix("x"), T.matrix("y")
    m, d = matrix(5, 4), numbers(4, 3)
    cost = T.sum(S.dot(x, y) ** 2) + T.sum(S.dot(x * 3, y))
    gx, gy = weft.function([x, y], weft.grad(cost, [x, y]), mode=mode)(m, d)
    outer = (2 * (m @ d) + 3) @ d.T
    pattern = (m != 0).toarray()
    np.testing.assert_allclose(gx.toarray(), outer * pattern)
    np.testing.assert_allclose(gy, m.T @ (2 * (m @ d) + 3))
    data = T.dvector("data")
    made = S.CSR(data, m.indices, m.indptr, m.shape)
    g = weft.function([data, y], weft.grad(T.sum(S.dot(made, y) ** 2), data), mode=mode)(m.data, d)
    np.testing.assert_allclose(g, (2 * (m @ d) @ d.T)[pattern])
    zero = weft.function(
        [x],
        weft.grad(T.sum(y.zeros_like()), x, disconnected_inputs="ignore"),
        mode=mode,
        on_unused_input="ignore",
        givens={y: d},
    )(m)
    assert abs(zero).sum() == 0 and zero.nnz == m.nnz


def test_gradients_through_a_loop(mode: str) -> None:
    """Its steps make the matrix again of its parts: what arrives at those is the matrix' gradient."""
    m, d, t = matrix(4, 4), numbers(4, 1), matrix(4, 4)
    t.data[:] = np.cos(t.data)
    y = T.matrix("y")
    for x in (S.csr_matrix("x"), S.shared(m, "x")):
        written = S.dot(x, S.dot(x, S.dot(x, y)))
        looped = weft.scan(lambda h, x=x: S.dot(x, h), outputs_info=S.dot(x, y), n_steps=2)[0][-1]
        ins = [] if hasattr(x, "get_value") else [x]
        outs = []
        for z in (written, looped):
            outs += [S.csm_data(weft.grad(T.sum(z**2), x)), S.csm_data(T.Lop(z, x, z)), T.Rop(z, x, S.as_sparse(t))]
        a, b, c, e, f, g = weft.function([*ins, y], outs, mode=mode)(*[m] * len(ins), d)
        for one, other in ((a, e), (b, f), (c, g)):
            np.testing.assert_allclose(one, other)
        assert abs(a).sum() > 0


def test_constants_and_defaults(mode: str) -> None:
    m, d = matrix(5, 4), numbers(4, 3)
    y, x = T.matrix("y"), S.csr_matrix("x")
    np.testing.assert_allclose(weft.function([y], S.dot(m, y), mode=mode)(d), m @ d)
    np.testing.assert_allclose(weft.function([y, weft.In(x, value=m)], S.dot(x, y), mode=mode)(d), m @ d)
    np.testing.assert_allclose(weft.function([y], S.dot(x, y), givens={x: m}, mode=mode)(d), m @ d)
    fixed = S.SparseType("float64", shape=(None, 4))("fixed")
    np.testing.assert_allclose(weft.function([fixed, y], S.dot(fixed, y), mode=mode)(m, d), m @ d)
    with pytest.raises(weft.ShapeError, match="axis 1 of fixed"):
        weft.function([fixed, y], S.dot(fixed, y), mode=mode)(m[:, :3], d)


def test_shared(mode: str) -> None:
    m, d = matrix(5, 4), numbers(4)
    s, v = weft.shared(m, "s"), T.vector("v")
    f = weft.function([v], S.dot(s, v), updates=[(s, s * 2)], mode=mode)
    np.testing.assert_allclose(f(d), m @ d)
    np.testing.assert_allclose(f(d), 2 * (m @ d))
    assert abs(s.get_value() - 4 * m).sum() == 0
    s.set_value(matrix(2, 4, 1))
    np.testing.assert_allclose(f(d), matrix(2, 4, 1) @ d)
    g = weft.function([], weft.grad(T.sum(S.dot(s, d) ** 2), s), mode=mode)()
    assert g.shape == (2, 4)
    with pytest.raises(weft.ArgumentError, match="shared variable s"):
        weft.function([s], S.sp_sum(s), mode=mode)
    with pytest.raises(weft.DTypeError):
        s.set_value(numbers(2, 2))
    s2, out = pickle.loads(pickle.dumps((s, S.sp_sum(s))))
    assert type(s2) is type(s) and s2.name == "s"
    s2.set_value(scipy_sparse.eye(3, format="csr"))
    assert weft.function([], out, mode=mode)() == 3 and s.get_value().shape == (2, 4)


def test_lengths_are_checked(mode: str) -> None:
    x, y, r = S.csr_matrix("x"), T.matrix("y"), T.row("r")
    with pytest.raises(weft.ShapeError, match="inner lengths of a sparse product"):
        weft.function([x, y], S.dot(x, y), mode=mode)(matrix(5, 7), numbers(4, 3))
    with pytest.raises(weft.ShapeError, match="inner lengths of a sparse product"):
        weft.function([x, r], S.dot(x, r), mode=mode)(matrix(5, 7), numbers(1, 3))
    with pytest.raises(weft.ShapeError, match="inner lengths of a sparse product"):
        weft.function([x, y], S.dot(y, x), mode=mode)(matrix(5, 7), numbers(4, 3))
    with pytest.raises(weft.ShapeError, match="inner lengths of a sparse product: 4 and 7"):
        S.dot(matrix(5, 4), np.ones((7, 2)))


def broken(what: str) -> Any:
    m = matrix(5, 4)
    if what == "column":
        m.indices[0] = 4
    elif what == "negative":
        m.indices[0] = -1
    elif what == "order":
        m.indptr[1:4] = m.indptr[3:0:-1].copy()
    elif what == "start":
        m.indptr[0] = 1
    elif what == "end":
        m.indptr[-1] += 1
    return m


def test_indices_of_any_integer_dtype(mode: str) -> None:
    """The routines read int32 or int64, indices and indptr alike: others become int64."""
    m, data, y = matrix(3, 4), T.vector("data"), np.eye(4)
    for places in ("int8", "int32", "uint32", "int64"):
        for rows in ("int16", "int32", "int64"):
            indices, indptr = (T.TensorType(d, shape=(None,))(n) for d, n in ((places, "indices"), (rows, "indptr")))
            f = weft.function([data, indices, indptr], S.dot(S.CSR(data, indices, indptr, (3, 4)), y), mode=mode)
            got = f(m.data, m.indices.astype(places), m.indptr.astype(rows))
            np.testing.assert_array_equal(got, m.toarray(), err_msg=f"{places} {rows}")


@pytest.mark.parametrize("what", ["column", "negative", "order", "start", "end"])
def test_a_bad_index_is_an_error_of_the_call(mode: str, what: str) -> None:
    x = S.csr_matrix("x")
    f = weft.function([x], S.sp_sum(x), mode=mode)
    assert f(broken("nothing")) == matrix(5, 4).sum()
    with pytest.raises(weft.BoundsError):
        f(broken(what))


@pytest.mark.parametrize("what", ["column", "negative", "order", "start", "end"])
def test_parts_that_are_no_matrix_make_no_dense_one(mode: str, what: str) -> None:
    data, (indices, indptr) = T.vector(), (T.TensorType("int64", shape=(None,))() for _ in range(2))
    f = weft.function([data, indices, indptr], S.dense_from_sparse(S.CSR(data, indices, indptr, (5, 4))), mode=mode)
    m = broken("nothing")
    np.testing.assert_array_equal(f(m.data, m.indices, m.indptr), m.toarray())
    m = broken(what)
    with pytest.raises(weft.BoundsError):
        f(m.data, m.indices, m.indptr)


@pytest.mark.parametrize("what", ["column", "negative", "order", "start", "end"])
def test_parts_that_are_no_matrix_leave_no_function(mode: str, what: str) -> None:
    data, (indices, indptr) = T.vector(), (T.TensorType("int64", shape=(None,))() for _ in range(2))
    calls, kept = weft.shared(0), weft.shared(matrix(5, 4))
    made = S.CSR(data, indices, indptr, (5, 4))
    f = weft.function([data, indices, indptr], made * 2, updates=[(calls, calls + 1)], mode=mode)
    g = weft.function([data, indices, indptr], updates=[(kept, made), (calls, calls + 1)], mode=mode)
    m = broken("nothing")
    assert abs(f(m.data, m.indices, m.indptr) - 2 * m).sum() == 0
    m = broken(what)
    for h in (f, g):
        with pytest.raises(weft.BoundsError):
            h(m.data, m.indices, m.indptr)
    assert calls.get_value() == 1 and abs(kept.get_value() - matrix(5, 4)).sum() == 0


def test_matrices_that_were_looked_at_are_not_looked_at_again(mode: str) -> None:
    x, d, m = S.csr_matrix("x"), T.matrix("d"), matrix(5, 4)
    s = weft.shared(m)
    f = weft.function([x, d], [x * 2, s + s, S.csr_from_dense(d), S.as_sparse_variable(m) * 3], mode=mode)
    for got, times in zip(f(m, m.toarray()), (2, 2, 1, 3), strict=True):
        assert abs(got - times * m).sum() == 0
    assert mode == "interpret" or "csr_dot" not in f.source


def test_arguments(mode: str) -> None:
    x = S.csr_matrix("x")
    f = weft.function([x], S.dense_from_sparse(x), mode=mode)
    m = matrix(5, 4)
    np.testing.assert_array_equal(f(m.tocsc()), m.toarray())
    loose = scipy_sparse.csr_matrix(
        (np.append(m.data, 9.0), np.append(m.indices, 99), m.indptr), shape=m.shape, copy=True
    )
    loose.data, loose.indices = (
        np.append(m.data, 9.0),
        np.append(m.indices, 99),
    )  # beyond indptr: not part of the matrix
    np.testing.assert_array_equal(f(loose), m.toarray())
    wide = convert(m, "m", np.dtype("float64"), (None, None))
    assert [a.dtype.name for a in wide] == ["float64", "int32", "int32", "int64"]
    with pytest.raises(weft.DTypeError, match="sparse matrix"):
        f(m.toarray())
    y = x * 2  # what is computed may be given in place of computing it
    np.testing.assert_allclose(weft.function([y], y.sum(), mode=mode)(m), m.sum())
    with pytest.raises(weft.ArgumentError, match="has a value already"):
        weft.function([S.as_sparse_variable(m), x], x.sum(), mode=mode)
    with pytest.raises(weft.UnusedInputError):
        weft.function([x, S.csr_matrix("unused")], x.sum(), mode=mode)


def test_errors_show_what_a_call_was_given(mode: str) -> None:
    """A sparse argument is several arrays, which are counted where its type fixes the number of columns, too."""
    x, free, v = T.dvector("x"), S.csr_matrix("m", dtype="float64"), T.dvector("v")
    fixed = S.SparseType("float64", shape=(None, 4))("fixed")
    f = weft.function([x, free, fixed, v], S.sp_sum(free) + S.sp_sum(fixed) + T.sum(x + v), mode=mode)
    given = r"called with x of shape \(5,\), m of shape \(3, 7\), fixed of shape \(2, 4\), v of shape \(6,\)"
    with pytest.raises(weft.ShapeError, match=given):
        f(np.zeros(5), matrix(3, 7), matrix(2, 4), np.zeros(6))


def test_results_that_scipy_has_no_dtype_for(mode: str) -> None:
    a = S.csr_matrix("a", dtype="float64")
    with pytest.raises(weft.DTypeError, match="have no float16"):
        weft.function([a], a.astype("float16"), mode=mode)


def test_a_value_is_set_whole_or_not_at_all(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, x = matrix(5, 4), matrix(6, 4, 1), T.dmatrix("x")
    m = weft.shared(first, "m")
    f = weft.function([x], S.dot(m, x), mode=mode)
    for k in range(4):
        parts = m.shared_parts
        sets = type(parts[k]).set_value

        def fails(self: Any, value: Any, borrow: bool = False, at: Any = parts[k], sets: Any = sets) -> None:
            if self is at:
                raise MemoryError("no room")
            sets(self, value, borrow)

        with monkeypatch.context() as patched:
            patched.setattr(type(parts[k]), "set_value", fails)
            with pytest.raises(MemoryError):
                m.set_value(second)
        assert (m.get_value() != first).nnz == 0
        np.testing.assert_allclose(f(numbers(4, 2)), first @ numbers(4, 2))
    m.set_value(second)
    np.testing.assert_allclose(f(numbers(4, 2)), second @ numbers(4, 2))


def test_sparse_results_need_scipy_before_the_first_call(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = T.dmatrix("x")
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(weft.ArgumentError, match="a sparse result comes as a matrix of scipy, which is not installed"):
        weft.function([x], S.csr_from_dense(x), mode=mode)
