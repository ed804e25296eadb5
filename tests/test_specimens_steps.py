"""Specimens of whole steps: failures and interrupts undo everything, threads change no bit, Python computes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.ir.interp import MEANING
from weft.runtime import pool
from weft.tensor.shared_randomstreams import RandomStreams

ROOT = Path(__file__).resolve().parents[1]
MODES = ["compile", "interpret"]


def recurrent() -> tuple[list, Any, list, list]:
    """A training function: each step of a scan looks up a row of a table."""
    rng = np.random.default_rng(0)
    rows = T.lvector("rows")
    table = weft.shared(rng.normal(size=(10, 4)) * 0.5, name="table")
    w = weft.shared(rng.normal(size=(4, 4)) * 0.3, name="w")
    speed = [weft.shared(np.zeros_like(p.get_value()), name=f"speed of {p.name}") for p in (table, w)]
    count = weft.shared(np.int64(0), name="count")
    streams = RandomStreams(3)
    keep = streams.binomial((4,), p=0.9, dtype="float64")
    states, _ = weft.scan(lambda r, s, t, m: T.tanh(T.dot(s, m) + t[r]), rows, T.zeros(4), [table, w])
    cost = T.sqr(states[-1] * keep - 0.5).sum() + 0.01 * T.sqr(states).mean()
    updates: list = [(count, count + 1)]
    for p, v, g in zip((table, w), speed, weft.grad(cost, [table, w]), strict=True):
        updates += [(v, 0.9 * v - 0.1 * g), (p, p + 0.9 * v - 0.1 * g)]
    return [rows], cost, updates, [table, w, *speed, count, *(s for s, _ in streams.updates())]


@pytest.mark.parametrize("mode", MODES)
def test_failure_at_step_57_changes_nothing(mode: str) -> None:
    inputs, cost, updates, shared = recurrent()
    f = weft.function(inputs, cost, updates=updates, mode=mode)
    rows = np.arange(100) % 10
    f(rows)
    before = [np.array(s.get_value()) for s in shared]
    bad = rows.copy()
    bad[57] = 10
    with pytest.raises(weft.BoundsError, match="10"):
        f(bad)
    for s, b in zip(shared, before, strict=True):
        np.testing.assert_array_equal(s.get_value(), b)
    f(rows)
    assert shared[4].get_value() == 2
    assert not np.array_equal(shared[-1].get_value(), before[-1])


def test_training_through_a_scan_agrees_with_the_interpreter() -> None:
    ends = []
    for mode in MODES:
        inputs, cost, updates, shared = recurrent()
        f = weft.function(inputs, cost, updates=updates, mode=mode)
        costs = [f(np.arange(12) * 7 % 10) for _ in range(20)]
        ends.append([*costs, *(s.get_value() for s in shared)])
    assert ends[0][19] < ends[0][0]
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


INTERRUPT = """
import os, signal, threading, time
import numpy as np
import weft, weft.tensor as T
n = T.lscalar("n")
w = weft.shared(np.linspace(-1, 1, 50_000), name="w")
count = weft.shared(0, name="count")
last = weft.scan(lambda s, v: T.tanh(s + T.sin(v)), outputs_info=[w], non_sequences=[w], n_steps=n)[0][-1]
f = weft.function([n], last.sum(), updates=[(w, last), (count, count + 1)])
f(2)
before = w.get_value()
threading.Thread(target=lambda: (time.sleep(0.3), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()
start = time.monotonic()
try:
    f(10_000_000)
except KeyboardInterrupt:
    assert time.monotonic() - start < 20
else:
    raise AssertionError("not stopped")
assert np.array_equal(w.get_value(), before) and count.get_value() == 1
f(3)
assert count.get_value() == 2 and not np.array_equal(w.get_value(), before)
"""


def test_interrupt_in_a_scan_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPT], cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def mixed() -> tuple[Any, list, list]:
    """Reductions along each axis, products, draws, scatters, a sort, a softmax, an update."""
    rng = np.random.default_rng(1)
    x, rows = T.fmatrix("x"), T.lvector("rows")
    w = weft.shared(rng.normal(size=(70, 300)).astype("float32"), name="w")
    streams = RandomStreams(11)
    keep = streams.binomial(x.shape, p=0.7, dtype="float32")
    noise = streams.normal((900, 70), dtype="float32")
    h = T.nnet.softmax(T.dot(x * keep, w.T))
    cost = T.mean(T.log(h + 0.125) * noise) + T.sqr(w).sum() * 0.0078125
    spread = T.inc_subtensor(T.zeros_like(w)[rows], x)
    outs = [cost, h.sum(0), h.max(1), x.sum(), T.exp(x).prod(1), spread, T.sort(x, 1), T.dot(x.T, h), T.argmax(x, 0),
            x[x > 0].sum(), T.cumsum(x, 1), T.grad(T.sum(T.sin(w[rows] * x)), w)]  # fmt: skip
    f = weft.function([x, rows], outs, updates=[(w, w - 0.125 * weft.grad(cost, w))])
    return f, [rng.normal(size=(900, 300)).astype("float32"), rng.integers(0, 70, 900)], [w]


def test_same_bits_for_any_number_of_threads() -> None:
    seen = []
    try:
        for threads in (1, 2, 3):
            pool.set_threads(threads)
            f, values, shared = mixed()
            seen.append([a.tobytes() for _ in range(2) for a in f(*values)] + [s.get_value().tobytes() for s in shared])
    finally:
        pool.set_threads(0)
    for k, parts in enumerate(zip(*seen, strict=True)):
        assert len(set(parts)) == 1, k


def test_no_built_in_operation_runs_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, cost, updates, shared = recurrent()
    f = weft.function(inputs, cost, updates=updates)
    g, values, _ = mixed()
    a = T.dmatrix("a")
    chol = weft.function([a], [T.slinalg.cholesky(a), weft.grad(T.slinalg.cholesky(a).sum(), a)])
    m = T.dmatrix("m")
    pick = weft.function([m], weft.ifelse.ifelse(T.gt(m.sum(), 0), m[m > 0], m.flatten()))

    def refuse(*_: Any) -> Any:
        raise AssertionError("the interpreter runs")

    for name in list(MEANING):
        monkeypatch.setitem(MEANING, name, refuse)
    x = T.dvector("x")
    interpreted = weft.function([x], T.exp(x), mode="interpret")
    with pytest.raises(AssertionError, match="interpreter"):
        interpreted([1.0])
    f(np.arange(20) % 10)
    g(*values)
    chol(np.eye(3))
    pick(np.ones((2, 2)))
    assert shared[4].get_value() == 1


def test_threads_of_the_environment() -> None:
    code = "import weft, weft.tensor as T\nx = T.dvector('x')\nweft.function([x], x + 1)([1.0])\n"
    code += "from weft.runtime import pool\nprint(pool.threads())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "WEFT_THREADS": "3"}, timeout=60,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.strip() == "3", done.stderr
