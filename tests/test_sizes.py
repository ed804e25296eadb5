"""Sizes that no memory holds: refused before a byte is touched, with the user's line or the bytes that were wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.ir import lengths
from weft.compiler.ir.node import build
from weft.ifelse import ifelse
from weft.runtime.errors import OutOfMemoryError, ShapeError, WeftError

BOTH = pytest.mark.parametrize("mode", ["compile", "interpret"])
LOW, HIGH = -(2**63), 2**63 - 1

n, m, k = T.lscalar("n"), T.lscalar("m"), T.lscalar("k")
x = T.dvector("x")
EMPTY = np.zeros(0)

# What is asked for, the arguments, their values.
TOO_LONG: dict[str, tuple[Any, list, tuple]] = {
    "arange": (T.arange(n), [n], (2**61,)),
    "arange between": (T.arange(n, m), [n, m], (-(2**60), 2**60)),
    "arange that wraps": (T.arange(n, m), [n, m], (LOW, HIGH)),
    "arange that wraps to few": (T.arange(n, m, 2), [n, m], (LOW + 3, HIGH)),
    "arange of step 0": (T.arange(n, m, k), [n, m, k], (2, 8, 0)),
    "arange of floats": (T.arange(x[0]), [x], (np.array([1e300]),)),
    "alloc": (T.alloc(np.float64(1), n), [n], (2**61,)),
    "alloc of few bytes": (T.zeros((n,), "int8"), [n], (HIGH,)),
    "negative": (T.alloc(np.float64(1), n), [n], (-1,)),
    "very negative": (T.alloc(np.float64(1), n, 3), [n], (LOW,)),
    "negative product": (T.alloc(np.float64(1), n * m), [n, m], (2**32, 2**31)),
    "product that wraps to 0": (T.alloc(np.float64(1), n * m), [n, m], (2**32, 2**32)),
    "sum that wraps": (T.alloc(np.float64(1), n + m), [n, m], (HIGH, HIGH)),
    "reshape": (x.reshape((n, n))[0, k], [x, n, k], (EMPTY, 2**32, 300)),
    "reshape, first row": (x.reshape((n, n))[k, k], [x, n, k], (EMPTY, 2**32, 3)),
    "reshape of what was never long": (
        T.cumsum(T.alloc(np.float64(1), n * m)).reshape((n, m))[k, k], [n, m, k], (2**32, 2**32, 3),
    ),
    "reshape by a negative": (x.reshape((n, m)), [x, n, m], (np.zeros(6), -2, -3)),
    "reshape of rows that wrap": (x.reshape((n, m, 2)), [x, n, m], (EMPTY, 2**32, 2**31)),
    "tile": (T.tile(x, (n,), ndim=1), [x, n], (np.zeros(4), 2**62)),
    "repeat": (T.repeat(x, n), [x, n], (np.zeros(4), 2**62)),
    "eye": (T.eye(n)[k], [n, k], (2**61, 3)),
    "concatenate": (T.concatenate([T.zeros((n,)), T.zeros((n,)), x]), [n, x], (2**62, EMPTY)),
    "three times": (T.concatenate([T.arange(n)] * 4)[k], [n, k], (2**62, 3)),
    "draw": (T.shared_randomstreams.RandomStreams(3).uniform((n,)), [n], (2**61,)),
    "sum of it": (T.sum(T.sqrt(T.arange(n))), [n], (2**61,)),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("name", TOO_LONG)
def test_a_length_no_array_has_is_refused_with_the_line(name: str, mode: str) -> None:
    asked, args, values = TOO_LONG[name]
    with pytest.raises(ShapeError, match=r"is negative|is more than any array has") as e:
        weft.function(args, asked, mode=mode)(*values)
    assert "at test_sizes.py:" in str(e.value)


# Lengths that are lengths, of arrays that are too many bytes.
TOO_MUCH: dict[str, tuple[Any, list, tuple]] = {
    "2^64": (T.alloc(np.float64(1), n, n), [n], (2**32,)),
    "2^64 bytes": (T.alloc(np.float64(1), n, m), [n, m], (2**40, 2**21)),
    "2^62 bytes": (T.zeros((n, m), "int8"), [n, m], (2**40, 2**22)),
    "empty, and no array": (T.zeros((n, m, n)), [n, m], (2**40, 0)),
    "computed": (T.cumsum(T.alloc(np.float64(1), n, m), axis=0)[k, k], [n, m, k], (2**40, 2**24, 3)),
    "sorted": (T.sort(T.alloc(np.float64(1), n, m)), [n, m], (2**40, 2**24)),
    "nonzero": (T.alloc(np.float64(1), n, m).nonzero()[0], [n, m], (2**40, 2**24)),
    "draw": (T.shared_randomstreams.RandomStreams(3).normal((n, m)), [n, m], (2**40, 2**24)),
    "product": (T.dot(T.zeros((n, m)), T.zeros((m, n))), [n, m], (2**40, 0)),
    "of a dimension": (T.zeros((x.shape[0] + n, n)), [x, n], (np.zeros(5), 2**40)),
}


@BOTH
@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_memory_does_not_hold(name: str, mode: str) -> None:
    asked, args, values = TOO_MUCH[name]
    f = weft.function(args, asked, mode=mode)
    with pytest.raises(OutOfMemoryError, match=r"no memory for.*no shared variable was changed") as e:
        f(*values)
    assert isinstance(e.value, (WeftError, MemoryError)) and "called with" in str(e.value)


@BOTH
@pytest.mark.parametrize("lengths_", [(2**61, 1), (2**32, 2**32), (-1, 1), (2**40, 2**30)])
def test_states_stay(lengths_: tuple[int, int], mode: str) -> None:
    kept, other = weft.shared(np.arange(6.0).reshape(2, 3), "kept"), weft.shared(1.0, "other")
    f = weft.function([n, m], n + m, updates=[(other, other + 1), (kept, T.alloc(np.float64(7), n, m))], mode=mode)
    with pytest.raises((ShapeError, OutOfMemoryError)):
        f(*lengths_)
    assert other.get_value() == 1 and kept.get_value().tolist() == [[0, 1, 2], [3, 4, 5]]
    f(1, 2)
    assert other.get_value() == 2 and kept.get_value().tolist() == [[7, 7]]


@BOTH
def test_histories_of_loops(mode: str) -> None:
    """The steps of a loop may be any number; what is kept of them may not."""
    until = T.scalar("until")
    values, _ = weft.scan(lambda v: (v + 1, weft.scan_module.until(v >= until)), outputs_info=[T.zeros(())], n_steps=n)
    f = weft.function([n, until], values, mode=mode)
    assert f(10, 3.0).tolist() == [1, 2, 3, 4]
    if mode == "compile":  # the interpreter keeps the steps that ran
        with pytest.raises(OutOfMemoryError):
            f(HIGH, 3.0)
        with pytest.raises(OutOfMemoryError):
            f(2**61, 3.0)
    last = weft.function([n, until], values[-1], mode=mode)
    assert last(10, 3.0) == 4
    rows, _ = weft.scan(lambda v: v * 2, outputs_info=[T.zeros((2,))], n_steps=n)
    stacked, _ = weft.scan(lambda t: T.zeros((2,)) + t, non_sequences=[n], n_steps=n)
    for kept in (rows, stacked):
        f = weft.function([n], kept, mode=mode)
        for steps in (HIGH, 2**62, 2**56):
            with pytest.raises(OutOfMemoryError):
                f(steps)
        with pytest.raises(ShapeError, match="number of steps"):
            f(-1)


@BOTH
def test_branches_and_slices_at_the_ends(mode: str) -> None:
    v = np.arange(5.0)
    ends = [(HIGH, -5, 1), (LOW, HIGH, 1), (None, None, HIGH), (None, None, LOW), (HIGH, LOW, -1), (LOW, None, 1)]
    for bounds in (slice(*e) for e in ends):
        assert weft.function([x], x[bounds], mode=mode)(v).tolist() == v[bounds].tolist(), bounds
    f = weft.function([x, n, m], x[n:m], mode=mode)
    for a in (LOW, -3, 0, 2, HIGH):
        for b in (LOW, -3, 0, 2, HIGH):
            assert f(v, a, b).tolist() == v[a:b].tolist(), (a, b)
    empty = weft.function([x, n, m], x.reshape((n, m, 0)), mode=mode)
    assert empty(v[:0], 3, 2).shape == (3, 2, 0)
    with pytest.raises(OutOfMemoryError):
        empty(v[:0], 2**40, 2**40)
    g = weft.function([n], T.arange(n, -n), mode=mode)
    assert g(-2).tolist() == [-2, -1, 0, 1] and g(HIGH).size == 0
    either = weft.function([n, k], ifelse(k > 0, T.zeros((n,)), T.zeros((2,))), mode=mode)
    assert either(2**61, 0).shape == (2,)
    with pytest.raises(ShapeError):
        either(2**61, 1)


@BOTH
def test_an_empty_array_of_a_length_that_sums_would_wrap(mode: str) -> None:
    b = T.bmatrix("b")
    f = weft.function([b], T.zeros((b.shape[1] * 4,))[b.shape[1] - 1], mode=mode)
    with pytest.raises(ShapeError, match=r"at most 2\*\*48"):
        f(np.zeros((0, 2**62), np.int8))


@BOTH
def test_sparse_columns(mode: str) -> None:
    data, indices, indptr = T.dvector(), T.ivector(), T.ivector()
    matrix = weft.sparse.CSR(data, indices, indptr, T.stack([indptr.shape[0] - 1, n]))
    g = T.dmatrix()
    f = weft.function([data, indices, indptr, n, g], weft.sparse.dot(g, matrix), mode=mode)
    args = (np.array([2.0]), np.array([1], np.int32), np.array([0, 1], np.int32))
    assert f(*args, 2, np.ones((1, 1))).tolist() == [[0, 2]]
    for columns in (2**61, -1):
        with pytest.raises(ShapeError):
            f(*args, columns, np.ones((1, 1)))


def test_what_is_known_to_be_a_length() -> None:
    """Programs whose lengths come from their arguments' are not slowed by obligations."""
    a, b = (build("dim", token=0, axis=j) for j in (0, 1))
    c = build("dim", token=1, axis=0)
    number = build("param", dtype="int64", token=2, kind="dense")
    one = lengths.const(1)
    for fine in (a, lengths.mul(a, b), lengths.add(a, c, one), lengths.scale(a, 8), lengths.floordiv(a, c)):
        assert not lengths.unbounded(fine)
    assert lengths.unbounded(number) == [(number,)]
    assert len(lengths.unbounded(lengths.mul(a, c))) == 1
    assert len(lengths.unbounded(lengths.mul(a, a))) == 1
    assert lengths.unbounded(lengths.const(2**60))


def test_no_axis_is_longer_than_lengths_may_be() -> None:
    """Of empty arrays too: what is computed of their lengths would wrap."""
    from weft.compile.ops import as_op

    endless = np.empty((0, 1 << 62), np.int8)
    v, x = weft.shared(np.empty((0, 3), np.int8)), T.bmatrix("x")
    for do in (lambda: v.set_value(endless), lambda: weft.shared(endless, borrow=True)):
        with pytest.raises(ShapeError, match=r"an axis has at most 2\*\*48 elements"):
            do()
    assert v.get_value().shape == (0, 3)
    made = as_op(itypes=[T.bmatrix], otypes=[T.bmatrix])(lambda _: endless)(x)
    for y in (x, made):
        f = weft.function([x], T.concatenate([y] * 4, axis=1).shape[1])
        with pytest.raises(ShapeError, match=r"an axis has at most 2\*\*48 elements"):
            f(np.empty((0, 3), np.int8) if y is made else endless)


@BOTH
def test_a_length_in_memory_is_kept_until_the_result_that_has_it_is_made(mode: str) -> None:
    """One that a branch reads first, and the shape of a result at the end; meanwhile there are other scalars."""
    cube, c, v = T.dtensor3("cube"), T.dscalar("c"), T.dvector("v")
    y = T.pow(abs(cube) + 0.5, -1.0)
    rows = y.reshape((-1, cube.shape[2]))
    either = ifelse(c > 4.0, cube * 0.5, T.tanh(y.var(axis=(0, 1, 2), keepdims=True)))
    z = v + either.sum()
    for _ in range(8):
        z = T.sort(z / T.dot(z, z)) + 1
    f = weft.function([cube, c, v], [rows, either, z], mode=mode)
    a = np.arange(24.0).reshape(2, 3, 4)
    for number in (1.0, 5.0):
        got = f(a, number, np.arange(5.0))[0]
        np.testing.assert_allclose(got, (1 / (a + 0.5)).reshape(6, 4))
