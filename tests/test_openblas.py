"""config.blas = "openblas": who computes a product, how operands reach it, and that no result is another's."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime import openblas, pool

rng = np.random.default_rng(11)
PLAIN, TRANSPOSED = 111, 112
REAL = {"s": ctypes.c_float, "d": ctypes.c_double}


@pytest.fixture
def chosen() -> Iterator[None]:
    before = weft.config.blas
    weft.config.blas = "openblas"
    yield
    weft.config.blas = before


@pytest.fixture
def calls(chosen: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What programs compiled now call: (cblas routine, transpositions, m, n, k, steps) and ("set", threads)."""
    pytest.importorskip("scipy_openblas32")
    found: list[tuple] = []
    kept: list[Any] = []

    def routine(name: str) -> int:
        kind = openblas.PREFIX + "cblas_"
        if name.startswith(kind):
            real = REAL[name.removeprefix(kind)[0]]
            i, p = ctypes.c_int, ctypes.c_void_p
            signature = ctypes.CFUNCTYPE(None, i, i, i, i, i, i, real, p, i, p, i, real, p, i)
        elif "set" in name:
            signature = ctypes.CFUNCTYPE(None, ctypes.c_int)
        else:
            return openblas.routine.__wrapped__(name)
        inner = signature(openblas.routine.__wrapped__(name))

        def noted(*args: Any) -> None:
            if len(args) > 1:
                assert args[0] == 101 and args[6] == 1 and args[11] == 0
                found.append((name.removeprefix(openblas.PREFIX), args[1], args[2], *args[3:6], args[8], args[10]))
            else:
                found.append(("set", *args))
            inner(*args)

        kept.append(signature(noted))
        return ctypes.cast(kept[-1], ctypes.c_void_p).value  # type: ignore[return-value]

    found_by_programs = type("Recorder", (), {"PREFIX": openblas.PREFIX, "routine": staticmethod(routine)})
    monkeypatch.setattr("weft.runtime.program.openblas", found_by_programs)
    found.append(("kept", kept))  # as long as the programs
    return found


def products(calls: list[tuple]) -> list[tuple]:
    return [c for c in calls if c[0].startswith("cblas")]


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 4, 5), (1, 70, 9), (130, 1, 3), (65, 200, 1), (200, 300, 100)])
def test_values(m: int, k: int, n: int, dtype: str, calls: list[tuple]) -> None:
    x, w = T.matrix("x", dtype), T.matrix("w", dtype)
    f = weft.function([x, w], T.dot(x, w))
    a, b = numbers(m, k, dtype=dtype), numbers(k, n, dtype=dtype)
    tight = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(f(a, b), a.astype("float64") @ b, rtol=tight, atol=tight)
    (call,) = products(calls)
    assert call == (
        f"cblas_{dtype[0].replace('f', 's' if dtype == 'float32' else 'd')}gemm",
        PLAIN,
        PLAIN,
        m,
        n,
        k,
        k,
        n,
    )


# Operands of [6, 6] as BLAS reads them: transposed or not, and the step; None where it cannot.
LAYOUTS: list[tuple[str, Callable[[Any], Any], tuple[int, int] | None]] = [
    ("rows", lambda x: x, (PLAIN, 6)),
    ("transposed", lambda x: x.T, (TRANSPOSED, 6)),
    ("part", lambda x: x[1:, 2:], (PLAIN, 6)),
    ("part, transposed", lambda x: x[1:, 2:].T, (TRANSPOSED, 6)),
    ("every other row", lambda x: x[::2], (PLAIN, 12)),
    ("one row", lambda x: x[3:4], (PLAIN, 6)),
    ("one column", lambda x: x[:, 3:4], (PLAIN, 6)),
    ("every other column", lambda x: x[:, ::2], None),
    ("last row first", lambda x: x[::-1], None),
    ("last column first", lambda x: x[:, ::-1], None),
]


@pytest.mark.parametrize("name, view, layout", LAYOUTS)
def test_layouts(name: str, view: Callable, layout: tuple[int, int] | None, calls: list[tuple]) -> None:
    """What BLAS cannot read is computed by us; nothing is copied."""
    a = numbers(6, 6)
    m, k = view(a).shape
    x, left, right = T.fmatrix("x"), numbers(5, m), numbers(k, 5)
    f = weft.function([x], [T.dot(view(x), T.constant(right)), T.dot(T.constant(left), view(x))])
    for got, want in zip(f(a), [view(a) @ right, left @ view(a)], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert f.source.count("static void k") == 0
    if layout is None:
        assert products(calls) == []
        return
    trans, step = layout
    one = {"one row": 6, "one column": 6}.get(name, step)
    assert sorted(products(calls)) == sorted([
        ("cblas_sgemm", trans, PLAIN, m, 5, k, one, 5), ("cblas_sgemm", PLAIN, trans, 5, k, m, m, one)
    ])  # fmt: skip


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_empty(m: int, k: int, n: int, calls: list[tuple]) -> None:
    x, w = T.fmatrix("x"), T.fmatrix("w")
    got = weft.function([x, w], T.dot(x, w))(numbers(m, k), numbers(k, n))
    assert got.shape == (m, n) and not got.any() and products(calls) == []


def test_what_stays_ours(calls: list[tuple]) -> None:
    """Products of other dtypes, with vectors, and of batches."""
    i, h, v, c = T.imatrix("i"), T.TensorType("float16", (False, False))("h"), T.fvector("v"), T.ftensor3("c")
    m = T.fmatrix("m")
    f = weft.function([i, h, v, c, m], [T.dot(i, i), T.dot(h, h), T.dot(m, v), T.batched_dot(c, c)])
    assert "blas" not in f.source and "library operations" not in f.report()
    f(np.eye(3, dtype="int32"), np.eye(3, dtype="float16"), numbers(3), numbers(2, 3, 3), numbers(3, 3))
    assert products(calls) == []


def test_what_follows_runs_after_it(calls: list[tuple]) -> None:
    x, w, b = T.fmatrix("x"), T.fmatrix("w"), T.fvector("b")
    f = weft.function([x, w, b], T.tanh(T.dot(x, w) + b))
    assert "each rectangle" not in str(f.steps)
    args = numbers(20, 30), numbers(30, 10), numbers(10)
    np.testing.assert_allclose(f(*args), np.tanh(args[0] @ args[1] + args[2]), rtol=1e-4, atol=1e-5)
    assert len(products(calls)) == 1
    assert "library operations, outside the contract of equal bits: dot (OpenBLAS)" in f.report()


def test_loops_branches_and_gradients(calls: list[tuple]) -> None:
    h, w, s = T.fmatrix("h"), T.fmatrix("w"), T.lscalar("s")
    states, _ = weft.scan(lambda p: T.tanh(T.dot(p, w)), outputs_info=[h], n_steps=3)
    out = T.sum(weft.ifelse.ifelse(s > 0, states[-1], T.dot(h, w)))
    args = [h, w, s]
    f = weft.function(args, [out, *weft.grad(out, [h, w])])
    weft.config.blas = "own"
    g = weft.function(args, [out, *weft.grad(out, [h, w])])
    a, b = numbers(4, 4), numbers(4, 4)
    for choice in (0, 1):
        for got, want in zip(f(a, b, choice), g(a, b, choice), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    assert products(calls)


def test_threads_of_a_call(calls: list[tuple]) -> None:
    x = T.fmatrix("x")
    f = weft.function([x], T.dot(x, x))
    a = numbers(8, 8)
    try:
        for n in (3, 1, 2):
            pool.set_threads(n)
            f(a)
            assert [c for c in calls if c[0] == "set"][-1] == ("set", n)
        count = len(calls)
        f(a)
        assert len(calls) == count + 1  # the threads are as they were
        with weft.limit_threads(1):
            f(a)
        assert ("set", 1) in calls[count + 1 :]
    finally:
        pool.set_threads(0)


def test_an_update_reads_old_values(calls: list[tuple]) -> None:
    first = numbers(5, 5)
    w = weft.shared(first, "w")
    x = T.fmatrix("x")
    f = weft.function([x], [], updates=[(w, T.dot(x, w))])
    a = numbers(5, 5)
    f(a)
    f(a)
    np.testing.assert_allclose(w.get_value(), a @ (a @ first), rtol=1e-3, atol=1e-4)


def test_own_is_the_default() -> None:
    assert weft.config.blas == "own"
    x = T.fmatrix("x")
    f = weft.function([x], T.dot(x, x))
    assert "blas" not in f.source and "library operations" not in f.report()
    with pytest.raises(weft.ArgumentError, match="'own', 'openblas'"):
        weft.config.blas = "mkl"


def test_the_package_is_named_where_it_is_missing(chosen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy_openblas32", None)  # type: ignore[arg-type]
    x = T.fmatrix("x")
    openblas._library.cache_clear()
    openblas.routine.cache_clear()
    with pytest.raises(weft.WeftError, match=r"pip install 'weft\[openblas\]'"):
        weft.function([x], T.dot(x, x))
    weft.function([x], T.exp(x))(numbers(2, 2))  # which needs none


def test_a_routine_that_is_not_there() -> None:
    pytest.importorskip("scipy_openblas32")
    with pytest.raises(weft.WeftError, match="no routine 'scipy_cblas_xgemm'"):
        openblas.routine("scipy_cblas_xgemm")
