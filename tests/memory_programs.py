"""Programs with state for the tests of memory, and the shim that counts and fails what their calls ask for.

Every entry of PROGRAMS makes its function anew, from the same values, each time it is called.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.runtime import pool
from weft.runtime.abi import ffi
from weft.tensor.shared_randomstreams import RandomStreams

TESTS = Path(__file__).resolve().parent
F = np.float32


class Made(NamedTuple):
    function: Any
    arguments: list
    shared: list  # shared variables
    kept: tuple = ()  # names of arguments that the function keeps
    bad: list | None = None  # arguments that fail on their own


PROGRAMS: dict[str, Callable[[], Made]] = {}


def program(f: Callable[[], Made]) -> Callable[[], Made]:
    PROGRAMS[f.__name__] = f
    return f


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(F)


def shared(seed: int, *shape: int) -> Any:
    return weft.shared(normal(seed, *shape) * F(0.2))


def sgd(cost: Any, params: list, rate: float = 0.1) -> list:
    return [(p, p - F(rate) * g) for p, g in zip(params, weft.grad(cost, params), strict=True)]


@program
def mlp() -> Made:
    """Gradients go straight into the weights, after the commit."""
    x, y = T.fmatrix("x"), T.lvector("y")
    ws = [shared(1, 30, 64), shared(2, 64, 64), shared(3, 64, 10)]
    bs = [shared(4, 64), shared(5, 64), shared(6, 10)]
    h = x
    for k, (w, b) in enumerate(zip(ws, bs, strict=True)):
        h = T.dot(h, w) + b
        h = T.tanh(h) if k < 2 else T.nnet.softmax(h)
    cost = -T.log(h[T.arange(y.shape[0]), y]).mean()
    f = weft.function([x, y], cost, updates=sgd(cost, [*ws, *bs]))
    labels = np.arange(40) % 10
    return Made(f, [normal(0, 40, 30), labels], [*ws, *bs], bad=[normal(0, 40, 30), labels + 1])


@program
def adam() -> Made:
    """Many updates of one shape, in place and by swap, and a counter."""
    x = T.fvector("x")
    p, m, v, t = shared(1, 500), shared(2, 500), weft.shared(np.abs(normal(3, 500))), weft.shared(F(0))
    g = 2 * (p - x) + T.sqr(p).sum()
    new_m, new_v = F(0.9) * m + F(0.1) * g, F(0.99) * v + F(0.01) * T.sqr(g)
    step = new_m / (1 - F(0.9) ** (t + 1)) / (T.sqrt(new_v / (1 - F(0.99) ** (t + 1))) + F(1e-6))
    f = weft.function([x], T.sqr(p - x).sum(), updates=[(p, p - F(0.01) * step), (m, new_m), (v, new_v), (t, t + 1)])
    return Made(f, [normal(0, 500)], [p, m, v, t], bad=[normal(0, 400)])


@program
def swaps() -> Made:
    """Updates that read each other's old values."""
    i = T.lscalar("i")
    a, b, c, d = shared(1, 40), shared(2, 40), shared(3, 8, 8), shared(4, 40)
    updates = [(a, b), (b, a), (c, c[::-1].T), (d, d + a[i] + b)]
    return Made(weft.function([i], [a * 2, c.sum(0)], updates=updates), [3], [a, b, c, d], bad=[40])


@program
def grows() -> Made:
    """A state that is longer after every call."""
    x = T.fvector("x")
    a, total = shared(1, 3), shared(2, 4)
    updates = [(a, T.concatenate([a, x])), (total, total + x[:4] + a.sum())]
    return Made(weft.function([x], a[::2], updates=updates), [normal(0, 90)], [a, total], bad=[normal(0, 3)])


@program
def recurrent() -> Made:
    """A scan with its gradient, a table looked up in it, dropout from a stream, momentum."""
    rows = T.lvector("rows")
    table, w = shared(1, 10, 4), shared(2, 4, 4)
    speed = [shared(3, 10, 4), shared(4, 4, 4)]
    streams = RandomStreams(3)
    keep = streams.binomial((4,), p=0.9, dtype="float32")
    states, _ = weft.scan(lambda r, s, t, m: T.tanh(T.dot(s, m) + t[r]), rows, T.zeros(4, "float32"), [table, w])
    cost = T.sqr(states[-1] * keep - F(0.5)).sum() + F(0.01) * T.sqr(states).mean()
    updates: list = []
    for p, v, g in zip((table, w), speed, weft.grad(cost, [table, w]), strict=True):
        updates += [(v, F(0.9) * v - F(0.1) * g), (p, p + F(0.9) * v - F(0.1) * g)]
    states_of = [s for s, _ in streams.updates()]
    f = weft.function([rows], cost, updates=updates)
    return Made(f, [np.arange(15) % 10], [table, w, *speed, *states_of], bad=[np.arange(12)])


@program
def branches() -> Made:
    """Lazy branches of other lengths, and an update out of each."""
    x, n = T.fvector("x"), T.lscalar("n")
    w, count = shared(1, 20), weft.shared(np.int64(0))
    out = weft.ifelse.ifelse(n > 2, T.sort(x)[:n], T.cumsum(x * w))
    step = weft.ifelse.ifelse(T.eq(n % 2, 0), w + x[n], w * F(0.5))
    f = weft.function([x, n], [out, out.sum()], updates=[(w, step), (count, count + n)])
    return Made(f, [normal(0, 20), 4], [w, count], bad=[normal(0, 20), 20])


@program
def drawn() -> Made:
    """Streams that advance by their default updates, and a weight that they move."""
    x = T.fmatrix("x")
    streams = RandomStreams(7)
    noise, mask = streams.normal((5, 6), dtype="float32"), streams.uniform((5, 6), dtype="float32") < F(0.5)
    w = shared(1, 5, 6)
    f = weft.function([x], (x + noise) * mask, updates=[(w, w + noise * F(0.1))])
    return Made(f, [normal(0, 5, 6)], [w, *(s for s, _ in streams.updates())], bad=[normal(0, 4, 6)])


@program
def keeps() -> Made:
    """An argument that the function keeps between calls."""
    x, s = T.fvector("x"), T.fvector("s")
    w = shared(1, 16)
    kept = weft.In(s, value=np.zeros(16, F), update=s + x * w, name="s")
    f = weft.function([x, kept], s * 2, updates=[(w, w + s[2])])
    return Made(f, [normal(0, 16)], [w], kept=("s",), bad=[normal(0, 15)])


@program
def given() -> Made:
    """Its value given in the call: an error takes that back too."""
    made = keeps()
    return made._replace(arguments=[normal(0, 16), normal(5, 16)], bad=[normal(0, 15), normal(5, 16)])


@program
def lengths() -> Made:
    """Lengths that only running tells."""
    x = T.fvector("x")
    w, seen = shared(1, 64), weft.shared(np.int64(0))
    chosen = x[x > 0]
    f = weft.function([x], [chosen, T.nonzero(x > w)[0]], updates=[(w, w + chosen.sum() * x), (seen, chosen.shape[0])])
    return Made(f, [normal(0, 64)], [w, seen], bad=[normal(0, 63)])


@program
def factored() -> Made:
    """A factorisation that may fail, after which a large update is written in place."""
    a, b = T.fmatrix("a"), T.fmatrix("b")
    w = shared(1, 12, 12)
    l = T.slinalg.cholesky(a)
    y = T.slinalg.solve_lower_triangular(l, b)
    good = normal(0, 12, 12)
    good = good @ good.T + np.eye(12, dtype=F)
    f = weft.function([a, b], y.sum(), updates=[(w, w - F(0.1) * T.dot(y, y.T))])
    return Made(f, [good, normal(1, 12, 5)], [w], bad=[-good, normal(1, 12, 5)])


@program
def placed() -> Made:
    """Rows written and increased by index arrays that are checked."""
    i, v = T.lvector("i"), T.fmatrix("v")
    table, count = shared(1, 20, 3), weft.shared(np.zeros(20, np.int64))
    updates = [(table, T.inc_subtensor(table[i], v)), (count, T.set_subtensor(count[i], count[i] + 1))]
    f = weft.function([i, v], table[i].sum(1), updates=updates)
    return Made(f, [np.arange(9) * 2, normal(0, 9, 3)], [table, count], bad=[np.arange(9) * 3, normal(0, 9, 3)])


@program
def placed_twice() -> Made:
    """The same, one after the other: into memory of their own, that becomes the variables'."""
    i, v = T.lvector("i"), T.fmatrix("v")
    table, count = shared(1, 20, 3), weft.shared(np.zeros(20, np.int64))
    rows = T.inc_subtensor(T.set_subtensor(table[i], v)[i], v)
    both = T.inc_subtensor(T.inc_subtensor(count[i], 1)[i], count[i])
    f = weft.function([i, v], table[i].sum(1), updates=[(table, rows), (count, both)])
    return Made(f, [np.arange(9) * 2, normal(0, 9, 3)], [table, count], bad=[np.arange(9) * 3, normal(0, 9, 3)])


@program
def many() -> Made:
    """Twelve updates, of all of which the last kernel may fail."""
    i = T.lscalar("i")
    ws = [shared(k, 10 + k) for k in range(12)]
    updates = [(w, T.tanh(w) + ws[(k + 1) % 12][i]) for k, w in enumerate(ws)]
    return Made(weft.function([i], ws[0].sum(), updates=updates), [9], ws, bad=[10])


@program
def hosted() -> Made:
    """A Python operation between two updates; it raises when its argument begins with a negative number."""

    def double(a: np.ndarray) -> np.ndarray:
        if a[0] < 0:
            raise ZeroDivisionError("the operation raised")
        return a * 2

    op = as_op([T.fvector], [T.fvector])(double)
    x = T.fvector("x")
    a, b = shared(1, 6), shared(2, 6)
    given = np.abs(normal(0, 6))
    f = weft.function([x], op(x + a), updates=[(a, a * F(0.5) + op(x)), (b, b + a)])
    return Made(f, [given], [a, b], bad=[-given])


# ---- the shim ----

KINDS = {"check": 0, "stop": 1, "memory": 2, "host": 3, "allocation": 7}


class Shim(ctypes.Structure):
    _fields_ = [
        ("seen", ctypes.c_long * 8), ("late", ctypes.c_long), ("bytes", ctypes.c_long), ("failed", ctypes.c_long),
        ("kind", ctypes.c_long), ("at", ctypes.c_long), ("many", ctypes.c_long), ("calls", ctypes.c_long),
    ]  # fmt: skip

    def arm(self, kind: str, at: int, many: int = 1) -> None:
        self.clear()
        self.kind, self.at, self.many = KINDS[kind], at, many

    def clear(self) -> None:
        ctypes.memset(ctypes.byref(self), 0, ctypes.sizeof(self))
        self.kind = -1

    def count(self, kind: str) -> int:
        return self.seen[KINDS[kind]]


def shim() -> Shim:
    """The counters, in a process that `run` started."""
    return Shim.in_dll(ctypes.CDLL(os.environ["WEFT_SHIM"]), "shim")


def have_shim() -> str:
    """Why there is no shim here; "" where there is one."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return "the shim stands in front of glibc's allocator"
    return "" if compiler() else "no gcc or clang"


def compiler() -> str:
    return next((c for c in ("gcc", "clang", "cc") if shutil.which(c)), "")


def run(folder: Path, code: str, *arguments: str, **environment: str) -> str:
    """Runs `code` in a process of its own behind the shim, with its own cache of programs compiled for it."""
    path = folder / "shim.so"
    if not path.exists():
        made = [compiler(), "-O2", "-shared", "-fPIC", "-I", str(TESTS.parent / "kernels"), "-o", str(path)]
        subprocess.run([*made, str(TESTS / "memory_shim.c")], check=True)
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env={
            **os.environ, "PYTHONPATH": paths, "WEFT_CC": f"{compiler()} -DWEFT_INJECT", "LD_PRELOAD": str(path),
            "WEFT_SHIM": str(path), "WEFT_THREADS": "2", **environment,
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


# ---- bits ----


def state(made: Made) -> list[np.ndarray]:
    return [np.array(s.get_value()) for s in made.shared] + [made.function[k] for k in made.kept]


def call(made: Made) -> list[np.ndarray]:
    out = made.function(*made.arguments)
    return [np.asarray(o) for o in (out if isinstance(out, list) else [out])]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Equal shapes and bits."""
    return [(x.dtype, x.shape, x.tobytes()) for x in a] == [(x.dtype, x.shape, x.tobytes()) for x in b]


def forget(made: Made) -> None:
    """As if the function had never been called: no workspace, no spare buffers."""
    program = made.function.executor
    program._frames[:] = [type(program._frames[0])(program)]
    pool.library().weft_trim()
    for s in made.function.storages:
        value = s.array().copy()
        s.struct.spare.data, s.struct.spare.capacity = ffi.NULL, 0
        s.replace(value)
