"""docs/semantics.md, section by section, as users write it; tests/test_ir_*.py hold it operation by operation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_samples import SPARSE, closed, const, items, matrix, param, scalar, step, vector

import weft
import weft.tensor as T
from weft.compiler.graph.math import round_half_to_even
from weft.compiler.ir.dtypes import DTYPES, promote
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.interp.checks import CHECKS
from weft.compiler.ir.node import build
from weft.compiler.ir.ops.procedural import HostFunction
from weft.runtime.errors import BoundsError, DTypeError, NumericalError, ShapeError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "semantics.md"
needs_page = pytest.mark.skipif(not PAGE.is_file(), reason="reads the source tree")


MODE = "interpret"


@pytest.fixture(autouse=True, params=["interpret", pytest.param("compile", marks=pytest.mark.slow)])
def _mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode that this file's functions are made for."""
    monkeypatch.setitem(globals(), "MODE", request.param)


def run(build_: Any, *values: Any) -> np.ndarray:
    """build_(variables of the values' types) for the values."""
    arrays = [np.asarray(v) for v in values]
    xs = [T.TensorType(a.dtype, (False,) * a.ndim)() for a in arrays]
    return weft.function(xs, build_(*xs), mode=MODE, on_unused_input="ignore")(*arrays)


@needs_page
def test_every_section_has_a_test() -> None:
    titles = re.findall(r"^## (.*)$", PAGE.read_text(), re.M)
    slugs = {re.sub(r"\W+", "_", t.lower()) for t in titles}
    assert len(titles) > 10 and slugs == {n[5:] for n in globals() if n.startswith("test_") and n[5:] in slugs}


def test_values() -> None:
    assert run(lambda x: T.sum(x), np.ones(3)).shape == ()
    base = np.arange(8.0)
    v = T.dvector()
    double = weft.function([v], v + v, mode=MODE)
    for x in (base[::2], base.astype(">f8"), np.broadcast_to(1.0, 4)):
        assert double(x).tolist() == (2 * x).tolist()
    x = np.ones(2)
    run(lambda v: v, x)[0] = 5
    assert x[0] == 1
    c = T.TensorType("float64", (True,))()
    with pytest.raises(ShapeError):
        weft.function([c], c, mode=MODE)(np.ones(2))


def test_borrowing() -> None:
    """In detail in tests/test_memory_borrow.py."""
    x, data = T.dvector("x"), np.arange(3.0)
    data.flags.writeable = False
    w, own = weft.shared(data, borrow=True), weft.shared(data)
    f = weft.function([x], w * x, updates=[(w, w + x), (own, own + x)], mode=MODE)
    lent = own.get_value(borrow=True)
    assert np.shares_memory(w.get_value(borrow=True), data) and not np.shares_memory(lent, data)
    for _ in range(2):
        f(np.ones(3))
    assert data.tolist() == lent.tolist() == [0, 1, 2]
    assert w.get_value().tolist() == own.get_value().tolist() == [2, 3, 4]
    g = weft.function([x], [weft.Out(x * 2, borrow=True), x * 2], mode=MODE)
    a, b = g(np.ones(3))
    g(np.zeros(3))
    assert b.tolist() == [2, 2, 2] and not np.shares_memory(a, b)


def test_promotion() -> None:
    table = {
        ("int8", "uint8"): "int16", ("uint64", "int8"): "float64", ("uint32", "int32"): "int64",
        ("int8", "float16"): "float16", ("int16", "float16"): "float32", ("int16", "float32"): "float32",
        ("int32", "float32"): "float64", ("complex64", "float64"): "complex128", ("bool", "int8"): "int8",
        ("bfloat16", "float16"): "float32", ("bfloat16", "int8"): "bfloat16", ("bfloat16", "int16"): "float32",
        ("bfloat16", "float32"): "float32", ("bfloat16", "complex64"): "complex64",
    }  # fmt: skip
    for (a, b), want in table.items():
        assert promote(a, b) == promote(b, a) == want
    rank = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
    for a in DTYPES:
        for b in DTYPES:
            assert rank[DTYPES[promote(a, b)].kind] >= max(rank[DTYPES[a].kind], rank[DTYPES[b].kind])
    literals = [
        (True, "bool"), (0, "int8"), (127, "int8"), (128, "int16"), (-129, "int16"), (2**31, "int64"),
        (2**63, "uint64"),
        (0.5, "float32"), (0.1, "float64"), (1e300, "float64"), (float("nan"), "float32"), (1j, "complex64"),
        (np.float64(0.5), "float64"), (np.float32(0.1), "float32"), (np.complex128(1j), "complex128"),
        (np.int64(1), "int64"), (np.bool_(True), "bool"), (np.array(0.5), "float64"),
    ]  # fmt: skip
    for value, want in literals:
        assert T.constant(value).dtype == want, value
    f, i, b = T.fvector(), T.ivector(), T.TensorType("bool", (False,))()
    assert (f * 0.5).dtype == "float32" and (f * 0.1).dtype == "float64" and (f * 3).dtype == "float32"
    assert (i / i).dtype == (b / b).dtype == weft.config.floatX and (i // i).dtype == (i % i).dtype == "int32"
    assert (b // b).dtype == "int8" and (i + 1).dtype == "int32" and (i < 1).dtype == "bool"
    before = weft.config.floatX
    try:
        weft.config.floatX = "float32"
        assert (f * 0.1).dtype == "float32" and (i / i).dtype == "float32" and T.constant(0.1).dtype == "float32"
    finally:
        weft.config.floatX = before
    assert T.exp(T.bvector()).dtype == T.exp(b).dtype == "float32" and T.exp(i).dtype == "float64"
    assert T.floor(i).dtype == "int32" and abs(T.zvector()).dtype == "float64"
    assert run(round_half_to_even, np.array([0.5, 1.5, -2.5])).tolist() == [0, 2, -2]


def test_broadcasting() -> None:
    add = lambda x, y: x + y  # noqa: E731
    assert run(add, np.ones((2, 3)), np.ones(3)).shape == (2, 3)
    with pytest.raises(ShapeError, match=r"2 and 1|1 and 2"):
        run(add, np.ones((2, 3)), np.ones((1, 3)))
    assert run(lambda x, y: x + T.addbroadcast(y, 0), np.ones((2, 3)), np.ones((1, 3))).shape == (2, 3)
    with pytest.raises(ShapeError):
        run(lambda x: T.addbroadcast(x, 0), np.ones((2, 3)))
    r, m = T.row(), T.matrix()
    assert weft.function([r, m], r + m, mode=MODE)(np.ones((1, 3)), np.ones((2, 3))).shape == (2, 3)


def test_arithmetic() -> None:
    low = np.int8([-128, 7, -7, 7, 1, -1, 2])
    by = np.int8([-1, 0, 2, -2, -3, -3, -3])
    assert run(lambda a, b: a // b, low, by).tolist() == [-128, 0, -4, -4, -1, 0, -1]
    assert run(lambda a, b: a % b, low, by).tolist() == [0, 0, 1, -1, -2, -1, -1]
    assert run(lambda a, b: a**b, np.int8([2, 1, -1, -1]), np.int8([-1, -5, -5, -4])).tolist() == [0, 1, -1, 1]
    assert run(lambda a: -a, np.int8([-128])).tolist() == [-128] and run(abs, np.int8([-128])).tolist() == [-128]
    assert run(lambda a: a + a, np.uint8([200])).tolist() == [144]
    t, f = np.array([True, True, False]), np.array([True, False, False])
    assert run(lambda a, b: a + b, t, f).tolist() == [True, True, False]
    assert run(lambda a, b: a * b, t, f).tolist() == [True, False, False]
    with pytest.raises(DTypeError):
        run(lambda a, b: a - b, t, f)
    half = run(lambda x: (x + 1) - 1, np.float16([2**-11]))
    assert half.dtype == np.float16 and half[0] == 0
    nan = np.array([np.nan, 1.0, np.nan, 3.0])
    assert np.isnan(run(T.max, nan)) and run(T.argmax, nan) == 0 and run(lambda x: T.argmax(x[1:2]), nan) == 0
    assert np.isnan(run(lambda x: T.maximum(x, 2.0), nan)[0]) and np.isnan(run(lambda x: T.minimum(2.0, x), nan)[2])
    assert np.isnan(run(T.sort, nan)[2:]).all()
    with pytest.raises(DTypeError):
        run(lambda z: z < z, np.array([1j]))


def test_casts() -> None:
    x = np.array([np.nan, 1e10, -1e10, -0.5, 300.0, np.inf])
    assert run(lambda x: T.cast(x, "uint8"), x).tolist() == [0, 255, 0, 0, 255, 255]
    assert run(lambda x: T.cast(x, "int8"), x).tolist() == [0, 127, -128, 0, 127, 127]
    assert run(lambda x: T.cast(x, "int8"), np.array([300])).tolist() == [44]
    assert run(lambda x: T.cast(x, "bool"), x).tolist() == [True] * 6
    with pytest.raises(DTypeError, match="real"):
        run(lambda z: T.cast(z, "float64"), np.array([1j]))


def test_reductions() -> None:
    kept = ("int64", "uint64", "float32", "complex64")
    signed, unsigned = ("bool", "int8", "int16", "int32"), ("uint8", "uint16", "uint32")
    sums = [*((d, d) for d in kept), *((d, "int64") for d in signed), *((d, "uint64") for d in unsigned)]
    for dtype, want in sums:
        x = np.ones(3, dtype)
        assert run(T.sum, x).dtype == run(T.prod, x).dtype == run(T.cumsum, x).dtype == np.dtype(want)
        if want != "complex64":
            assert run(T.mean, x).dtype == np.dtype("float64" if want[-2:] == "64" and want[0] in "iu" else want)
    assert run(T.argmax, np.ones(2, "float32")).dtype == np.int64
    none = np.zeros((0, 2))
    assert run(lambda x: T.sum(x, axis=0), none).tolist() == [0, 0] and run(T.prod, none) == 1
    assert not run(T.any, none) and run(T.all, none) and np.isnan(run(T.mean, none))
    for f in (T.max, T.min, T.argmax):
        with pytest.raises(ShapeError, match="no elements"):
            run(f, none)
        with pytest.raises(ShapeError, match="no elements"):
            run(lambda x, f=f: f(x, axis=1), np.zeros((0, 0)))
        assert run(lambda x, f=f: f(x, axis=1), none).shape == (0,)
    assert run(T.argmax, np.array([[1.0, 2], [9, 3]])) == 2
    assert run(T.dot, np.zeros((2, 0)), np.zeros((0, 3))).tolist() == [[0] * 3] * 2


def test_indexing() -> None:
    x = np.arange(12.0).reshape(3, 4)
    assert run(lambda x, i: x[i, ::-2], x, 1).tolist() == x[1, ::-2].tolist()
    assert run(lambda x, i: x[i:], x, -2).tolist() == run(lambda x: x[-2:], x).tolist() == x[-2:].tolist()
    assert run(lambda x: x[5:], x).shape == (0, 4)
    for i in (3, -4):
        with pytest.raises(BoundsError, match=f"{i} is out of range for an axis of length 3"):
            run(lambda x, i: x[i], x, i)
        with pytest.raises(BoundsError, match=f"{i} is out of range"):
            run(lambda x, i: x[i], x, np.array([0, i]))
    at = np.array([2, 0])
    assert run(lambda x, i: x[:, i], x, at).tolist() == x[:, at].tolist()
    assert run(lambda x, i: x[i, i], x, at).tolist() == x[at, at].tolist()
    assert run(lambda x: x[x > 5], x).tolist() == x[x > 5].tolist()
    twice = np.array([1, 1, 0])
    assert run(lambda v, i, y: T.set_subtensor(v[i], y), np.zeros(2), twice, np.arange(3.0)).tolist() == [2, 1]
    assert run(lambda v, i, y: T.inc_subtensor(v[i], y), np.zeros(2), twice, np.arange(3.0)).tolist() == [2, 1]
    assert run(lambda v, y: T.inc_subtensor(v[::2], y), np.ones(3), np.ones(2)).tolist() == [2, 1, 2]


def test_sparse_matrices() -> None:
    s, b = param(0, "float64", None, None, kind="csr"), matrix(1)
    r = closed([s, b], build("csr_dot", *(build("csr_part", s, part=k) for k in range(3)), b, s.type.axes[1]))
    double = SPARSE.copy()
    double.indices[1:] = 0  # the second row holds column 0 twice
    assert evaluate(r, [double, np.eye(3)])[0].tolist() == [[0, 2, 0], [4, 0, 0]]
    double.indices[0] = 9
    with pytest.raises(BoundsError):
        evaluate(r, [double, np.eye(3)])


@needs_page
def test_run_time_lengths_and_obligations() -> None:
    assert run(lambda x: T.sum(x[x > 1] * x[x > 1]), np.array([1.0, 2, 3])) == 13
    with pytest.raises(ShapeError, match="2 and 1"):
        run(lambda x: x[x > 1] + x[x > 2], np.array([1.0, 2, 3]))
    rows = re.findall(r"^\| (`.*?) \|.*?\| (\w+) \|$", PAGE.read_text(), re.M)
    said = {k: error for kinds, error in rows for k in re.findall(r"`(\w+)`", kinds)}
    assert said == {k: v.error.__name__ for k, v in CHECKS.items()}


def test_ifelse() -> None:
    c, v = scalar(0, "bool"), vector(1)
    risky = closed([vector(0)], build("slice", vector(0), const(7), spec=(("point",),)))
    safe = closed([vector(0)], vector(0))
    r = closed([c, v], *items(build("ifelse", c, v, then=risky, orelse=safe)))
    assert evaluate(r, [np.bool_(False), np.ones(3)])[0].shape == (3,)
    with pytest.raises(BoundsError):
        evaluate(r, [np.bool_(True), np.ones(3)])
    assert evaluate(r, [np.bool_(True), np.ones(8)])[0].shape == (1,)


def test_scan() -> None:
    ps = [scalar(0), vector(1), param(2, "float64", 2), scalar(3, "float64")]
    node = build("scan", *ps, step=step(until=True), sequences=1, taps=((-2, -1),), keep=(True,), until=True)
    r = closed(ps, *items(node))
    start = np.array([1.0, 1.0])
    for n, limit, want in ((0, 0.0, 0), (4, -9.0, 1), (4, 2.5, 2), (4, 99.0, 4)):
        state, stacked = evaluate(r, [np.int64(n), np.ones(4), start, np.float64(limit)])
        assert len(state) == 2 + want and len(stacked) == want
    for n in (-1, 5):
        with pytest.raises(ShapeError):
            evaluate(r, [np.int64(n), np.ones(4), start, np.float64(0)])


def test_linear_algebra() -> None:
    a = matrix(0)
    with pytest.raises(NumericalError):
        evaluate(closed([a], build("cholesky", a)), [-np.eye(2)])


def test_random_draws() -> None:
    s = param(0, "uint64", 2, kind="random")
    outs = [
        build("draw", s, const(3), distribution=d, dtype=t)
        for d in ("uniform", "normal")
        for t in ("float32", "float64")
    ]
    u32, u64, n32, n64 = evaluate(closed([s], *outs), [np.array([2**40 + 5, 3], "uint64")])
    again = evaluate(closed([s], *outs), [np.array([2**40 + 5, 3], "uint64")])
    assert all((a == b).all() for a, b in zip((u32, u64, n32, n64), again, strict=True))
    for i in range(3):
        w = philox((5, 2**8), (i, 0, 3, 0))
        assert u32[i] == np.float32((w[0] >> 8) * 2.0**-24) and u64[i] == ((w[0] << 32 | w[1]) >> 11) * 2.0**-53
        a, b = (((w[k] << 32 | w[k + 1]) >> 11) + (k == 0) for k in (0, 2))
        np.testing.assert_allclose(
            n64[i], np.sqrt(-2 * np.log(a * 2.0**-53)) * np.cos(2 * np.pi * b * 2.0**-53), rtol=1e-12
        )
    assert (n32 == n64.astype("float32")).all()
    (later,) = evaluate(closed([s], build("advance", s)), [np.array([5, 3], "uint64")])
    assert later.tolist() == [5, 4]


def philox(key: tuple[int, int], counter: tuple[int, int, int, int]) -> list[int]:
    """Philox4x32-10 in Python integers."""
    k, c, mask = list(key), list(counter), 0xFFFFFFFF
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [q >> 32 ^ c[1] ^ k[0], q & mask, p >> 32 ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def test_python_operations() -> None:
    def spoil(args: list[np.ndarray]) -> list[np.ndarray]:
        args[0][:] = 7
        return [args[0]]

    v = vector(0)
    call = build("host_call", v, callee=HostFunction("spoil", spoil), dtypes=("float64",), ndims=(1,), like=(0,))
    x = np.ones(2)
    out, same = evaluate(closed([v], *items(call), v), [x])
    assert out.tolist() == [7, 7] and same.tolist() == x.tolist() == [1, 1]


def test_gradients() -> None:
    page = PAGE.read_text() if PAGE.is_file() else "dC/dx + i dC/dy"
    assert "dC/dx + i dC/dy" in page  # tests of the gradients themselves stand beside compiler/grad


@needs_page
def test_licences_of_rewriting() -> None:
    page = PAGE.read_text()
    numbers = [int(n) for n in re.findall(r"^\| L(\d+) ", page, re.M)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 10
