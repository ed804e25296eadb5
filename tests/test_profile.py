"""`profile=True`: what a function counts and times of its own steps."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.sparse
import weft.tensor as T
from weft.compile.ops import as_op
from weft.compiler.graph.modes import MODES
from weft.compiler.show import limits
from weft.compiler.show.profile import WIDTH, Row

VECTOR = np.linspace(-1, 1, 1000)


def step(profile: bool = True) -> Any:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    w = weft.shared(np.full((30, 20), 0.1), "w")
    cost = (T.tanh(T.dot(x, w)) * y).mean()
    return weft.function([x, y], cost, updates=[(w, w - 0.1 * weft.grad(cost, w))], name="step", profile=profile)


def row(f: Any, name: str) -> Row:
    (found,) = [r for r in f.profile.rows if r.name == name]
    return found


def test_steps_add_up_to_less_than_the_calls() -> None:
    f = step()
    assert f.profile.calls == 0 and f.profile.seconds == 0 and all(r.runs == 0 for r in f.profile.rows)
    for _ in range(7):
        f(np.ones((40, 30)), np.ones((40, 20)))
    p = f.profile
    assert p.calls == 7 and p.failed == 0 and all(r.runs == 7 and r.seconds > 0 for r in p.rows)
    assert 0 < sum(r.seconds for r in p.rows) < p.seconds and 0 < p.outside < p.seconds
    assert any(r.kind == "product" for r in p.rows) and any("tanh" in r.operations for r in p.rows)
    assert all(any("test_profile.py" in line for line in r.lines) for r in p.rows)
    p.reset()
    assert p.calls == 0 and p.seconds == 0 and sum(r.runs + r.bytes + r.flops for r in p.rows) == 0
    f(np.ones((40, 30)), np.ones((40, 20)))
    assert p.calls == 1 and sum(r.flops for r in p.rows) > 2 * 2 * 40 * 30 * 20


def test_bytes_and_operations() -> None:
    x, y = T.dvectors("x", "y")
    f = weft.function([x, y], [x * 2 + y], profile=True)
    f(VECTOR, VECTOR), f(VECTOR[:10], VECTOR[:10])
    (r,) = f.profile.rows
    assert (r.runs, r.bytes, r.flops) == (2, 1010 * 3 * 8, 1010 * 2)
    assert r.gb_per_s == r.bytes / r.seconds / 1e9 and r.gflop_per_s == r.flops / r.seconds / 1e9
    a, b = T.fmatrix("a"), T.fmatrix("b")
    g = weft.function([a, b], T.dot(a, b), profile=True)
    g(np.ones((5, 7), "f"), np.ones((7, 3), "f"))
    (r,) = g.profile.rows
    assert (r.name, r.kind, r.flops, r.bytes) == ("dot", "product", 2 * 5 * 7 * 3, 4 * (5 * 7 + 7 * 3 + 5 * 3))
    i = T.lvector("i")
    h = weft.function([a, i], a[i] * 3, profile=True)
    h(np.ones((10_000, 4), "f"), np.array([2, 5, 7]))
    (r,) = h.profile.rows
    assert r.flops == 12 and r.bytes < 1000  # the rows that were read, not the table


@pytest.mark.parametrize(
    ("made", "operations"),
    [
        (lambda x: x.sum(axis=1), 12),
        (lambda x: x - x.mean(axis=1, keepdims=True), 12 + 3 + 12),
        (lambda x: x / x.sum(axis=0), 12 + 12),
        (lambda x: T.switch(x > 0, x, 0.0), 0),
        (lambda x: x.sum() * 2, 12 + 1),
        (lambda x: T.cast(x, "int32") + 1, 0),
        (lambda x: x * T.sqrt(x.sum(axis=1))[:, None], 12 + 3 + 12),
    ],
)
def test_operations_are_counted_in_the_loop_where_they_run(made: Callable, operations: int) -> None:
    x = T.dmatrix("x")
    f = weft.function([x], made(x), profile=True)
    f(np.ones((3, 4)))
    assert sum(r.flops for r in f.profile.rows) == operations


@pytest.mark.parametrize(("dtype", "each", "added"), [("float32", 2, 1), ("complex128", 8, 2), ("int64", 0, 0)])
def test_terms_of_routines_cost_what_their_dtype_takes(dtype: str, each: int, added: int) -> None:
    data, b = T.TensorType(dtype, shape=(None,))("data"), T.TensorType(dtype, shape=(None, None))("b")
    sparse = weft.sparse.CSR(data, np.array([0, 1, 2, 0]), np.array([0, 2, 4]), (2, 3))
    y = np.ones((3, 5), dtype)
    for made, operations in (
        (weft.sparse.dot(sparse, b), each * 4 * 5),
        (weft.sparse.dot(b[:2].T, sparse), each * 4 * 5),
        (T.dot(b, b.T), each * 3 * 3 * 5),
        (T.cumsum(b, axis=0), added * 3 * 5),
    ):
        f = weft.function([data, b], made, profile=True, on_unused_input="ignore")
        f(np.ones(4, dtype), y)
        assert sum(r.flops for r in f.profile.rows) == operations


def test_loops_and_branches() -> None:
    x, c, w = T.dmatrix("x"), T.iscalar("c"), T.dmatrix("w")
    h, _ = weft.scan(lambda row, h: T.tanh(row + T.dot(h, w)), sequences=x, outputs_info=T.zeros_like(x[0]))
    y = weft.ifelse.ifelse(c > 0, T.exp(h[-1]).sum(), x.sum())
    f = weft.function([x, w, c], y, profile=True)
    rows = np.ones((13, 6))
    for c_ in (1, 0, 0, 1, 1):
        f(rows, np.eye(6), c_)
    loop, branch = row(f, "scan"), row(f, "ifelse")
    found = f.profile.rows
    inside = [r for r in found if r.inside is not None and found[r.inside] is found[found.index(loop)]]
    assert branch.runs == 5 and loop.runs == 3 and found[loop.inside or 0] == branch
    assert inside and all(r.runs == 3 * 13 for r in inside)
    assert loop.with_steps > loop.seconds + sum(r.seconds for r in inside) - 1e-9
    assert branch.with_steps <= f.profile.seconds and sum(r.seconds for r in found) < f.profile.seconds
    (product,) = [r for r in inside if r.kind == "product"]
    assert product.flops >= 3 * 13 * 2 * 36 and product.bytes > 3 * 13 * 36 * 8
    assert all(r.seconds >= 0 for r in found)
    assert any("weft.scan" in line or "T.tanh" in line for line in product.lines)


def test_run_time_lengths_are_counted() -> None:
    x = T.dvector("x")
    f = weft.function([x], T.exp(x[x > 0]) * 2, profile=True)
    f(VECTOR)
    (kernel,) = [r for r in f.profile.rows if "exp" in r.operations]
    assert 500 * 17 <= kernel.flops < 600 * 17 and kernel.bytes < 500 * 8 * 5


def test_the_same_results() -> None:
    f, g = step(), step(profile=False)
    rng = np.random.default_rng(1)
    for _ in range(4):
        x, y = rng.normal(size=(40, 30)), rng.normal(size=(40, 20))
        assert f(x, y).tobytes() == g(x, y).tobytes()
    assert g.profile is None and "weft_lib_clock" not in g.source and "weft_lib_clock" in f.source


def test_programs_without_one_are_as_they_were(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weft.config, "cache_dir", str(tmp_path))
    step(profile=False)
    assert not step().stages.cached  # other keys
    again, plain = step(), step(profile=False)
    assert again.stages.cached and plain.stages.cached
    again(np.ones((40, 30)), np.ones((40, 20)))
    assert again.profile.calls == 1 and len(again.profile.rows) > 2  # the table of a program from the cache
    other = step()
    assert other.profile.calls == 0  # of one library, but of its own
    assert len(list(tmp_path.rglob("*.limits"))) == 0


def test_settings() -> None:
    x = T.dvector("x")
    assert not weft.config.profile
    weft.config.profile = True
    try:
        f = weft.function([x], x + 1)
        g = weft.function([x], x + 1, profile=False)
        i = weft.function([x], x + 1, mode="interpret")
    finally:
        weft.config.profile = False
    assert f.profile is not None and g.profile is None and i.profile is None
    f(VECTOR)
    copied = pickle.loads(pickle.dumps(f))
    assert copied.profile is not None and copied.profile.calls == 0


@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: str) -> None:
    """Where a compiled program runs, it counts, beside the interpreter too."""
    x = T.dvector("x")
    f = weft.function([x], T.exp(x).sum(), profile=True, mode=mode)
    assert f(VECTOR).shape == ()
    if mode in ("compile", "check"):
        assert f.profile.calls == 1 and "1 call" in str(f.profile) and f.profile.rows[0].runs == 1
        f.forget()
        assert f.profile.calls == 0
    else:
        assert f.profile is None
        f.forget()


@pytest.mark.parametrize("outputs", [None, []])
def test_a_program_without_steps(outputs: Any) -> None:
    f = weft.function([], outputs, profile=True)
    f()
    f()
    assert f.profile.calls == 2 and f.profile.rows == [] and "2 calls" in str(f.profile)
    f.forget()
    assert f.profile.calls == 0


def test_a_call_that_fails() -> None:
    x, i = T.dmatrix("x"), T.lvector("i")
    total, _ = weft.scan(lambda k, s: s + T.exp(x[k]).sum(), sequences=i, outputs_info=T.zeros(()))
    f = weft.function([x, i], total[-1], profile=True)
    f(np.ones((4, 5)), np.arange(4))
    before = f.profile.rows
    with pytest.raises(weft.BoundsError):
        f(np.ones((4, 5)), np.array([0, 1, 9, 2]))
    assert f.profile.failed == 1 and f.profile.calls == 1 and f.profile.rows == before
    f(np.ones((4, 5)), np.arange(3))
    assert f.profile.calls == 2 and max(r.runs for r in f.profile.rows) == 7
    assert "1 failed" in str(f.profile)


def test_a_python_operation_that_calls_the_function_again() -> None:
    calls: list[Any] = []

    @as_op(itypes=[T.dvector], otypes=[T.dvector])
    def again(v: np.ndarray) -> np.ndarray:
        return f(v[1:]) if len(v) > 1 else v * 2

    x = T.dvector("x")
    f = weft.function([x], T.sum(again(x)) + x, profile=True)
    calls.append(f(np.ones(3)))
    assert f.profile.calls == 3 and all(r.runs == 3 for r in f.profile.rows)
    assert sum(r.seconds for r in f.profile.rows) < f.profile.seconds


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads: int) -> None:
    x = T.dmatrix("x")
    f = weft.function([x], T.exp(x).sum(axis=1), profile=True, threads=threads)
    big = np.ones((600, 800))
    for _ in range(3):
        f(big)
    (r,) = f.profile.rows
    assert (r.runs, r.bytes, r.flops) == (3, 3 * 8 * (480_000 + 600), 3 * 480_000 * 17)
    assert 0 < r.seconds < f.profile.seconds and f.profile.limits.threads == min(threads, f.profile.limits.threads)
    told = f.profile.to_dict()
    assert 0 < told["steps"][0]["of_flops"] < 1.2 and told["steps"][0]["of_bandwidth"] > 0


def test_the_machine() -> None:
    x = T.dvector("x")
    f = weft.function([x], x + 1, profile=True, threads=1)
    found = f.profile.limits
    assert found is f.profile.limits  # measured once
    assert 1e9 < found.copy_memory < found.copy_l2 and found.read_memory < found.read_l2
    assert 1e9 < found.flops_float64 < found.flops_float32 < 1e13


def test_limits_are_of_several_measurements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that neighbours disturbed does not stay in the cache; nor float32 no faster than float64."""
    x = T.dvector("x")
    weft.function([x], x + 1, profile=True)(np.ones(3))
    figures = iter([(1e9, 1e11), (4e9, 1e11), (3e9, 1e11), (2e9, 2e11)])

    class Library:
        def weft_limits(self, loop: Any, threads: int, found: Any) -> int:
            n, f = next(figures)
            found[0:6] = [n, 2 * n, 9e9, 1e10, f, 1e11]
            return 0

        def weft_limits_cache(self) -> int:
            return 1 << 20

    monkeypatch.setattr(weft.config, "cache_dir", str(tmp_path))
    monkeypatch.setattr(limits.pool, "open_library", lambda path: Library())
    monkeypatch.setattr(limits, "_known", {})
    found = limits.limits(1)
    assert (found.copy_memory, found.read_memory, found.flops_float32) == (4e9, 8e9, 2e11)
    assert limits.limits(1) is found and len(list(tmp_path.rglob("*.limits"))) == 1


def test_the_table() -> None:
    f = step()
    for _ in range(3):
        f(np.ones((40, 30)), np.ones((40, 20)))
    text = str(f.profile).splitlines()
    assert max(map(len, text)) <= WIDTH
    assert text[0].startswith("profile of function step: 3 calls, ") and "GB/s from memory" in text[1]
    assert text[-1].endswith("outside the kernels")
    listed = [line.split() for line in text[3:-1] if not line.startswith(" " * 10)]
    seconds = [float(n) * {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit] for n, unit, *_ in listed]
    assert seconds == sorted(seconds, reverse=True) and len(seconds) == len(f.profile.rows)
    shares = [float(line.split()[2].rstrip("%")) for line in (*text[3:-1], text[-1]) if not line.startswith(" " * 10)]
    assert abs(sum(shares) - 100) < 1
    html = f.profile._repr_html_()
    assert "test_profile.py" in html and "T.tanh(T.dot(x, w))" in html and "outside the kernels" in html
    told = f.profile.to_dict()
    assert (
        told["calls"] == 3
        and abs(sum(s["share"] for s in told["steps"]) + told["outside"] / told["seconds"] - 1) < 1e-6
    )
