"""Specimens of loops: loops in loops in branches, what they draw, raise and allocate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grad_check import check
from specimen_check import both

import weft
import weft.tensor as T
from weft import scan
from weft.compile.ops import as_op
from weft.compiler.build import toolchain
from weft.compiler.grad.extras import numeric_gradient
from weft.ifelse import ifelse
from weft.scan_module import until
from weft.tensor.shared_randomstreams import RandomStreams

ROOT = Path(__file__).resolve().parents[1]
MODES = ["compile", "interpret"]


def zero() -> Any:
    return T.constant(0, dtype="float64")


def dropped(stream: RandomStreams, X: Any, h0: Any, W: Any) -> Any:
    """In a scan a scan with two taps; its step drops values out and has a length that only it knows."""

    def inner(v: Any, a2: Any, a1: Any, W: Any) -> Any:
        keep = stream.binomial((3,), p=0.7, dtype="float64")
        at = (a1 * keep > -0.3).nonzero()[0]
        squares = T.inc_subtensor(T.zeros_like(a1)[at], a1[at] ** 2)
        return T.tanh(T.dot(squares * keep, W) + a2 * v)

    def outer(row: Any, h: Any, W: Any) -> Any:
        return scan(inner, row, dict(initial=h, taps=[-2, -1]), W)[0][-2:]

    return scan(outer, X, h0, W)[0]


def test_dropout_and_nonzero_in_a_scan_in_a_scan() -> None:
    """Gradient, pushforward and second derivative use the draws of the forward pass."""
    rng = np.random.default_rng(0)
    ins = [T.dmatrix("X"), T.dmatrix("h0"), T.dmatrix("W")]
    points = [rng.normal(size=s) for s in ((2, 3), (2, 3), (3, 3))]
    ways = [rng.normal(size=p.shape) for p in points]
    seen = []
    for mode in MODES:
        cost = T.sqr(dropped(RandomStreams(5), *ins)).sum()
        grads = weft.grad(cost, ins)
        pushed = weft.gradient.Rop(cost, ins, ways)
        along = T.add(*[(g * u).sum() for g, u in zip(grads, ways, strict=True)])
        outs = [cost, pushed, along, *grads, *weft.grad(along, ins)]
        f = weft.function(ins, outs, mode=mode, no_default_updates=True)
        found = f(*points)
        np.testing.assert_allclose(found[1], found[2], 1e-9)
        if mode == "compile":
            for k in range(3):
                for out, slope in ((0, found[3 + k]), (2, found[6 + k])):
                    value = numeric_gradient(lambda *a, f=f, out=out: f(*a)[out], points, k, 1e-6)
                    np.testing.assert_allclose(slope, value, 1e-5, 1e-6)
        draw = weft.function(ins, cost, mode=mode)
        first, second = draw(*points), draw(*points)
        assert first != second
        np.testing.assert_allclose(first, found[0], 1e-12)
        seen.append([*found, first, second])
    for a, b in zip(*seen, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


def test_draws_of_inner_loops_have_gradients() -> None:
    """Three loops deep, in a branch, and in a loop whose number of steps the draws decide."""
    X, w = T.dtensor3("X"), T.dscalar("w")
    points = [np.random.default_rng(0).normal(size=(2, 3, 2)), np.array(0.7)]
    seen = []
    for mode in MODES:
        stream = RandomStreams(2)

        def until_large(v: Any, h: Any, stream: Any = stream) -> Any:
            new = T.tanh(h * w + v * stream.normal(()))
            return new, until(T.abs_(new) > 0.6)

        def row_of(row: Any, h: Any, stream: Any = stream, step: Any = until_large) -> Any:
            drawn = ifelse(T.gt(row[0], 0), h * stream.normal(()), T.sin(h))
            return scan(step, row, drawn)[0][-1]

        def matrix_of(m: Any, h: Any, stream: Any = stream, step: Any = row_of) -> Any:
            return scan(step, m, h)[0][-1] * stream.uniform(())

        cost = T.sqr(scan(matrix_of, X, w)[0]).sum()
        slopes = weft.grad(cost, [X, w])
        outs = [cost, *slopes, weft.grad(slopes[1], w)]
        f = weft.function([X, w], outs, mode=mode, no_default_updates=True)
        seen.append(f(*points))
    for out, k, slope in ((0, 0, 1), (0, 1, 2), (2, 1, 3)):
        value = numeric_gradient(lambda *a, out=out: f(*a)[out], points, k, 1e-6)
        np.testing.assert_allclose(seen[1][slope], value, 1e-5, 1e-6)
    for a, b in zip(*seen, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


def test_a_loop_in_a_branch_in_a_loop() -> None:
    def outer(row: Any, k: Any, h: Any) -> Any:
        up = scan(lambda v, s: T.tanh(s * v + k), row, h)[0][-1]
        down = scan(lambda v, s: (s * v, until(s < 0.01)), row, h)[0][-1]
        return ifelse(T.gt(k, 0), up, ifelse(T.gt(k, -1), down, h * 2))

    X, k = np.random.default_rng(0).normal(size=(5, 4)), np.array([0.5, -0.5, -2, 0.3, -0.7])
    check(lambda X, k, h: scan(outer, [X, k], h)[0], X, k, np.array(0.8), order=2)


def test_until_from_the_first_step_on() -> None:
    x, h0, w, limit = T.dvector("x"), T.dscalar("h0"), T.dscalar("w"), T.dscalar("limit")

    def step(v: Any, h: Any, w: Any, limit: Any) -> Any:
        new = T.tanh(v * w + h)
        return new, until(T.abs_(new) > limit)

    out = scan(step, x, h0, [w, limit])[0]
    slopes = weft.grad(T.sqr(out).sum(), [x, h0, w])
    more = weft.grad(T.add(*[T.sum(g**2) for g in slopes]), [x, h0, w])
    f, g = both([x, h0, w, limit], [out, *slopes, *more])
    values = np.random.default_rng(0).normal(size=8)
    for n, stop, ran in ((8, -1.0, 1), (8, 9.0, 8), (1, -1.0, 1), (1, 9.0, 1), (0, -1.0, 0)):
        found = f(values[:n], 0.3, 1.2, stop)
        assert found[0].shape == (ran,) and not found[1][ran:].any()
        for a, b in zip(found, g(values[:n], 0.3, 1.2, stop), strict=True):
            np.testing.assert_allclose(a, b, 1e-9, 1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_a_python_operation_that_raises_in_a_loop_in_a_loop_changes_nothing(mode: str) -> None:
    @as_op([T.dscalar], [T.dscalar])
    def refuse(a: np.ndarray) -> np.ndarray:
        if a > 5:
            raise ValueError("too much")
        return np.asarray(a)

    x = T.dmatrix("x")
    w, count, noise = weft.shared(np.zeros(2)), weft.shared(0), RandomStreams(1).normal((2,))
    out = scan(lambda row: scan(lambda v, h: refuse(h + v), row, zero())[0][-1], x)[0]
    updates = [(w, w + out.sum() * noise), (count, count + 1)]
    f = weft.function([x], out.sum(), updates=updates, mode=mode)
    assert f(np.ones((2, 3))) == 6
    before = [np.array(s.get_value()) for s in (w, count, noise.rng)]
    bad = np.ones((3, 3))
    bad[2, 1] = 9
    for _ in range(2):
        with pytest.raises(ValueError, match="too much"):
            f(bad)
        for s, b in zip((w, count, noise.rng), before, strict=True):
            np.testing.assert_array_equal(s.get_value(), b)
    assert f(np.ones((2, 3))) == 6 and count.get_value() == 2


COUNTER = """
#include <errno.h>
#include <stddef.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
long allocations;
void *malloc(size_t n) { ++allocations; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { ++allocations; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { ++allocations; return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { ++allocations; return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { ++allocations; return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) {
  ++allocations;
  return (*p = __libc_memalign(a, n)) ? 0 : ENOMEM;
}
"""

COUNTED = """
import ctypes, gc
import numpy as np
import weft, weft.tensor as T
from weft.ifelse import ifelse
X, h0, W, n = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W"), T.lscalar("n")
def inner(v, h):
    at = (h > 0).nonzero()[0]
    return T.tanh(T.sort(h) * v) + T.inc_subtensor(T.zeros_like(h)[at], h[at])
def step(x, h, W):
    h = T.tanh(x + T.dot(h, W) + T.cumsum(h))
    low = T.slinalg.cholesky(T.dot(W, W.T) + T.eye(3))
    return ifelse(T.gt(h.sum(), 0), weft.scan(inner, x, h)[0][-1], T.dot(low, h))
plain = weft.scan(lambda x, h, W: T.tanh(x + T.dot(h, W)), X, h0, W, n_steps=n)[0]
rich = weft.scan(step, X, h0, W, n_steps=n)[0]
slope = weft.grad(plain.sum(), W)
python = weft.compile.ops.as_op([T.dvector], [T.dvector])(np.copy)
called = weft.scan(lambda x, h: python(h) + x, X, h0, n_steps=n)[0]
outs = [plain[-1], slope, weft.grad(slope.sum(), W), rich[-1], called[-1]]
functions = [weft.function([X, h0, W, n], o, on_unused_input="ignore") for o in outs]
count = ctypes.c_long.in_dll(ctypes.CDLL(None), "allocations")
rng = np.random.default_rng(0)
values = [rng.normal(size=s) * 0.5 for s in ((500, 3), (3,), (3, 3))]
gc.disable()
for f in functions:
    made = {}
    for steps in (500, 10, 500, 10):  # the first two calls warm up
        before = count.value
        f(*values, steps)
        made[steps] = count.value - before
    if f is functions[-1]:
        assert made[500] > made[10] + 400  # a Python operation does allocate: the counter counts
    else:
        assert made[500] <= made[10] + 4, made
"""


def test_no_allocation_between_steps(tmp_path: Path) -> None:
    """A call of 500 steps allocates as often as one of 10: loops, their gradients, loops in loops, routines."""
    (tmp_path / "count.c").write_text(COUNTER)
    library = tmp_path / "count.so"
    command = [*toolchain.find().command, "-shared", "-fPIC", "-O1", str(tmp_path / "count.c"), "-o", str(library)]
    if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("counts calls of glibc's malloc")
    done = subprocess.run([sys.executable, "-c", COUNTED], cwd=ROOT, env={**os.environ, "LD_PRELOAD": str(library)},
                          timeout=120, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
