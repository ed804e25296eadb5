"""Graphs of very many operations pass every stage without recursion, in time linear in their number."""

from __future__ import annotations

import os
import pickle
import time
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.codegen.host import HostPrinter, Kernels
from weft.compiler.graph.function import declare
from weft.compiler.ir import text
from weft.compiler.ir.rewrite import Stats
from weft.compiler.schedule.program import build_program
from weft.compiler.simplify import simplify
from weft.compiler.simplify.lazy import sink
from weft.compiler.simplify.loops import tidy_loops

CHAIN = [
    lambda y, x: y * 0.5, lambda y, x: y + x, lambda y, x: T.tanh(y), lambda y, x: y - 0.25, lambda y, x: T.sin(y),
    lambda y, x: y * y, lambda y, x: T.exp(-y), lambda y, x: T.maximum(y, x),
]  # fmt: skip


def chain(count: int) -> tuple[Any, Any, Any]:
    """A variable, the end of a chain of operations on it, and the gradient of the end's sum."""
    x = T.dvector("x")
    y = x
    for k in range(count):
        y = CHAIN[k % len(CHAIN)](y, x)
    return x, y, weft.grad(y.sum(), x)


def value(count: int, at: np.ndarray) -> np.ndarray:
    y = at
    for k in range(count):
        y = [y * 0.5, y + at, np.tanh(y), y - 0.25, np.sin(y), y * y, np.exp(-y), np.maximum(y, at)][k % 8]
    return y


def cpu() -> float:
    """Seconds of processor time of this process and of the C compiler it ran: a busy machine does not change them."""
    return sum(os.times()[:4])


def printed(count: int) -> tuple[int, int, float]:
    """A chain through every stage but the C compiler's: node visits of the rewrite engine, characters of C, seconds."""
    start = time.perf_counter()
    x, y, g = chain(count)
    source = declare([x], [y, g], None, None, False, None, True, None, None)
    lowered, visits, kernels = source.lowered, Stats(), Kernels()
    assert len(text.dump(lowered.region).splitlines()) >= count
    region = tidy_loops(sink(lowered.region, lowered.origins), lowered.origins)
    region = simplify(region, lowered.origins, visits)
    program = build_program(region, 1, 2, [], kernels)
    units = HostPrinter(program, kernels).generate().units
    return visits.visits, sum(len(t) for _, t in units), time.perf_counter() - start


def test_visits_and_text_grow_linearly() -> None:
    few, many = printed(500), printed(5000)
    assert 0 < many[0] <= 11 * few[0]
    assert many[1] <= 12 * few[1]


def test_pickled() -> None:
    x, _, g = chain(3000)
    x2, g2 = pickle.loads(pickle.dumps((x, g)))
    at = np.linspace(-1, 1, 5)
    np.testing.assert_array_equal(
        weft.function([x2], g2, mode="interpret")(at), weft.function([x], g, mode="interpret")(at)
    )


def test_compiled() -> None:
    x, y, g = chain(1600)
    at = np.linspace(-1, 1, 11)
    f = weft.function([x], [y, g])
    found, slope = f(at)
    np.testing.assert_allclose(found, value(1600, at), 1e-9)
    np.testing.assert_allclose(slope, weft.function([x], g, mode="interpret")(at), 1e-9, 1e-300)


@pytest.mark.slow
def test_hundred_thousand() -> None:
    start = cpu()
    count = 100_000
    x, y, g = chain(count)
    x2, y2, g2 = pickle.loads(pickle.dumps((x, y, g)))
    f = weft.function([x2], [y2, g2])
    assert len(f.graph.splitlines()) > count
    at = np.linspace(-1, 1, 11)
    np.testing.assert_allclose(f(at)[0], value(count, at), 1e-9)
    print({k: round(v, 1) for k, v in f.stages.seconds.items()})
    few = printed(10_000)[0]
    assert f.stages.visits.visits <= 11 * few
    assert cpu() - start < 300


def test_unrolled_recurrence() -> None:
    start = cpu()
    x, w = T.dvectors("x", "w")
    s = x
    for _ in range(500):
        s = T.tanh(s * w + x)
    grads = weft.grad(T.sqr(s).sum(), [x, w])
    f = weft.function([x, w], [s, *grads])
    a, b = np.linspace(-1, 1, 7), np.linspace(0.5, -0.5, 7)
    out = f(a, b)
    seconds = cpu() - start
    want = a
    for _ in range(500):
        want = np.tanh(want * b + a)
    np.testing.assert_allclose(out[0], want, 1e-12)
    for p, q in zip(out[1:], weft.function([x, w], grads, mode="interpret")(a, b), strict=True):
        np.testing.assert_allclose(p, q, 1e-9, 1e-12)
    assert seconds < 15, f.stages.seconds
