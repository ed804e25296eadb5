"""Folds along leading axes: results that later folds of the same kernel compare against."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.build import toolchain
from weft.compiler.codegen.c_stages import StagePrinter


@pytest.fixture(params=["-O2", "-O3"])
def level(request, monkeypatch):
    """As programs are built, and as somebody may build exported C. gcc 12 at -O3: see c_loops.ROLLED."""
    if request.param == "-O3":
        monkeypatch.setattr(toolchain, "program_flags", lambda chain: ("-O3",))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "rows, columns", [(None, (3, 4)), (None, (7, 9)), (None, (64,)), (None, (65,)), (2, (3, 4)), (7, (9,)), (16, (12,))]
)
def test_a_fold_compared_with_an_earlier_one(level, rows: int | None, columns: tuple[int, ...], dtype: str) -> None:
    """The maximum of squares, then what stands where it is reached: loads under a condition, of known lengths too."""
    rng = np.random.default_rng(0)
    shape = (None,) * (len(columns) + 1) if rows is None else (rows, *columns)
    x, v = (T.TensorType(dtype, shape=shape)() for _ in "xv")
    out = T.max(x * x, axis=0) ** 2
    f = weft.function([x, v], weft.gradient.Rop(out, x, v))
    for n in (1, 2, 5, 1030) if rows is None else (rows,):
        a, t = (rng.normal(size=(n, *columns)).astype(dtype) for _ in "at")
        top = np.max(a * a, axis=0)
        want = 2 * top * np.sum((a * a == top) * 2 * a * t, axis=0)
        np.testing.assert_allclose(f(a, t), want, rtol=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("rows, columns", [(16, 3), (16, 12), (2, 16), (5, 40)])
def test_a_fold_of_what_a_switch_lets_through(level, rows: int, columns: int, axis: int) -> None:
    rng = np.random.default_rng(1)
    for dtype in ("float32", "float64"):
        x, k = (T.TensorType(dtype, shape=(rows, columns))() for _ in "xk")
        f = weft.function([x, k], [T.sum(T.switch(k > 0, x * 2, 0), axis=axis), T.switch(k > 0, x, -k)])
        a, c = (rng.normal(size=(rows, columns)).astype(dtype) for _ in "xk")
        total, each = f(a, c)
        np.testing.assert_allclose(total, np.where(c > 0, 2 * a, 0).sum(axis), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(each, np.where(c > 0, a, -c))


def test_loads_that_branches_need_stand_before_them() -> None:
    """A branch with a load in it becomes a masked load, which gcc 12 gets wrong among its neighbours."""
    x, k = T.dmatrix("x"), T.dmatrix("k")
    text = str(weft.function([x, k], T.sum(T.switch(k > 0, x * 2, 0), axis=0)).source)
    switches = [line for line in text.splitlines() if "into" in line and "?" in line]
    assert switches and not any(re.search(r"\bp\d+\[", line.split("?")[1]) for line in switches), switches


STAGES: dict[str, Callable[[Any], Any]] = {
    "centred": lambda x: x - x.mean(-2, keepdims=True),
    "standard": lambda x: [(x - x.mean(-2, keepdims=True)) / (x.std(-2, keepdims=True) + 1), x.std(-2)],
    "softmax": lambda x: (lambda e: e / e.sum(-2, keepdims=True))(T.exp(x - x.max(-2, keepdims=True))),
    "log of a sum": lambda x: T.log(T.sum(T.exp(x - x.max(-2, keepdims=True)), -2)) + x.max(-2),
    "place of a maximum": lambda x: [T.argmax(x, -2), x - T.cast(T.argmax(x, -2, keepdims=True), x.dtype)],
    "far from the middle": lambda x: T.sum(T.sqr(x - x.mean(-2, keepdims=True)) > x.var(-2, keepdims=True), -2),
    "variance about a root": lambda x: [T.var(x / T.sqrt(T.sqr(x).mean(-2, keepdims=True) + 1), -2), x.sum(-2)],
    "products": lambda x: [x / T.prod(1 + x * 1e-4, -2, keepdims=True)],
}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
def test_stages_after_each_other(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns stage by stage have the bits of columns tile by tile, whoever works on them."""
    x = T.TensorType(dtype, shape=(None, None))()
    made = STAGES[name](x)
    monkeypatch.setattr(weft.config, "reuse", False)
    f = weft.function([x], made)
    assert re.search(r"_(blocks|join)\d?\(void", f.source)
    with monkeypatch.context() as m:
        m.setattr(StagePrinter, "stages", lambda self: [])
        g = weft.function([x], made)
    assert not re.search(r"_(blocks|join|map)\d?\(void", g.source)
    for shape in ((1, 1), (70, 3), (1024, 129), (1025, 20), (2100, 130), (5000, 7), (70, 9000), (0, 3), (3, 0)):
        if shape[0] == 0 and name in ("softmax", "log of a sum", "place of a maximum"):
            continue
        rng = np.random.default_rng(sum(shape))
        a = rng.integers(-9, 9, shape) if dtype == "int32" else rng.normal(size=shape) * 3
        a = T.constant(a, dtype=dtype).data
        want = g(a)
        for threads in (1, 3):
            f.threads = threads
            for p, q in zip(*([r] if isinstance(r, np.ndarray) else r for r in (f(a), want)), strict=True):
                assert p.tobytes() == q.tobytes(), (shape, threads)
