"""Reductions along every axis: GB/s beside a triad that moves the same bytes, and beside NumPy and PyTorch.

`python bench/reductions.py [--quick] [--threads N] [--json FILE]`. A rate counts what a reduction must move: its input
once and its output once. The triad, a[i] = b[i] + 3 * c[i], is cut to the same number of bytes and runs on the same
threads in the same turn; it is what the memory (or the cache, where the bytes fit) gives to plain C. Contestants take
turns, 150 ms apart; the fastest of all turns counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import command, describe, write

import weft
import weft.tensor as T
from weft.compiler.build.library import compile_library
from weft.runtime import pool

PAUSE = 0.15
TRIAD = """
#include <stdint.h>
typedef void (*body_fn)(void *, int64_t, int64_t, int);
typedef void (*pfor_fn)(int64_t, int64_t, int, body_fn, void *);
typedef struct { float *a; const float *b, *c; } args_t;
static void body(void *p, int64_t begin, int64_t end, int worker) {
  args_t *t = p;
  (void)worker;
  float *restrict a = t->a;
  for (int64_t i = begin; i < end; i++) a[i] = t->b[i] + 3.0f * t->c[i];
}
void triad(float *a, const float *b, const float *c, int64_t n, int threads, void *pfor) {
  args_t t = {a, b, c};
  ((pfor_fn)pfor)(n, 16384, threads, body, &t);
}
"""

Maker = Callable[[Any, Any], Any]
# name -> (weft's expression, NumPy's, PyTorch's) of the variable or array and the axis
FOLDS: dict[str, tuple[Maker, Maker, Maker]] = {
    "sum": (lambda x, a: T.sum(x, axis=a), lambda x, a: x.sum(axis=a), lambda x, a: x.sum(**_dim(a))),
    "max": (lambda x, a: T.max(x, axis=a), lambda x, a: x.max(axis=a), lambda x, a: x.amax(**_dim(a))),
    "argmax": (lambda x, a: T.argmax(x, axis=a), lambda x, a: x.argmax(axis=a), lambda x, a: x.argmax(**_dim(a))),
    "any": (lambda x, a: T.any(x, axis=a), lambda x, a: x.any(axis=a), lambda x, a: x.any(**_dim(a))),
    "mean": (lambda x, a: T.mean(x, axis=a), lambda x, a: x.mean(axis=a), lambda x, a: x.mean(**_dim(a))),
    "var": (
        lambda x, a: T.var(x, axis=a),
        lambda x, a: x.var(axis=a),
        lambda x, a: x.var(correction=0, **_dim(a)),
    ),
    "logsumexp": (
        lambda x, a: T.log(T.sum(T.exp(x), axis=a)),
        lambda x, a: np.log(np.exp(x).sum(axis=a)),
        lambda x, a: x.logsumexp(dim=a if a is not None else tuple(range(x.ndim))),
    ),
    "cumsum": (
        lambda x, a: T.cumsum(x, axis=a),
        lambda x, a: x.cumsum(axis=a),
        lambda x, a: x.cumsum(dim=a) if a is not None else x.flatten().cumsum(dim=0),
    ),
}
# fold, dtype, shape, axis
CASES: list[tuple[str, str, tuple[int, ...], int | None]] = [
    *(
        ("sum", dtype, shape, axis)
        for dtype in ("float32", "float64")
        for shape, axis in (
            ((10**7,), None),
            ((4096, 2048), 1),
            ((4096, 2048), 0),
            ((256, 128, 256), 1),
            ((256, 256, 128), 0),
            ((10**6, 8), 1),
            ((10**6, 8), 0),
            ((8, 10**6), 0),
            ((8, 10**6), 1),
            ((256, 1024), 1),
            ((256, 1024), 0),
        )
    ),
    ("sum", "int64", (4096, 1024), 0),
    ("sum", "int32", (4096, 2048), 1),
    ("sum", "float16", (4096, 2048), 1),
    *(
        (fold, "float32", (4096, 2048), axis)
        for fold in ("max", "argmax", "mean", "var", "logsumexp")
        for axis in (None, 0, 1)
    ),
    ("any", "bool", (4096, 8192), 1),
    ("any", "bool", (4096, 8192), 0),
    ("cumsum", "float32", (4096, 2048), 1),
    ("cumsum", "float32", (4096, 2048), 0),
    ("cumsum", "float32", (10**7,), None),
]


def _dim(axis: int | None) -> dict[str, int]:
    return {} if axis is None else {"dim": axis}


def fastest(calls: dict[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, float]:
    """The shortest call of each contestant, all taking turns."""
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(PAUSE)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def data_of(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(1)
    if dtype == "bool":
        return np.zeros(shape, bool)
    if dtype.startswith("int"):
        return rng.integers(-1000, 1000, shape).astype(dtype)
    return rng.standard_normal(shape, dtype="float32").astype(dtype)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--seconds", type=float, default=0.05)
    p.add_argument("--only", default="", help="folds, separated by commas")
    p.add_argument("--quick", action="store_true", help="a smaller sample of the table")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    try:
        import torch

        torch.set_num_threads(args.threads)
    except ModuleNotFoundError:
        torch = None
    ffi, lib, pfor = _triad(args.threads)
    rows = []
    cases = [c for c in CASES if not args.only or c[0] in args.only.split(",")]
    for fold, dtype, shape, axis in cases[:: 4 if args.quick else 1]:
        weft_form, numpy_form, torch_form = FOLDS[fold]
        data = data_of(dtype, shape)
        x = T.TensorType(dtype, [False] * len(shape))("x")
        f = weft.function([x], weft_form(x, axis))
        got = f(data)
        wanted = numpy_form(data.astype("float64") if data.dtype.kind == "f" else data, axis)
        size = np.abs(np.asarray(data, "float64")).sum(axis=axis).max()  # what rounding errors of sums go with
        off = np.abs(np.asarray(got, "float64") - wanted).max()
        if not off <= size * (1e-3 if dtype == "float16" else 1e-6):
            print(f"refused: {fold} {dtype} {shape} axis {axis} is off by {off:.2e}")
            return 1
        moved = data.nbytes + np.asarray(got).nbytes
        a, b, c = (np.ones(moved // 12, "float32") for _ in range(3))
        pointers = [ffi.from_buffer("float[]", v) for v in (a, b, c)]
        calls: dict[str, Callable[[], Any]] = {
            "triad": partial(lib.triad, *pointers, moved // 12, args.threads, pfor),
            "weft": partial(f, data),
            "numpy": partial(numpy_form, data, axis),
        }
        if torch is not None:
            calls["torch"] = partial(torch_form, torch.from_numpy(data), axis)
        best = fastest(calls, args.rounds, args.seconds)
        row = {
            "fold": fold, "dtype": dtype, "shape": list(shape), "axis": axis, "bytes": moved,
            "GB/s": {k: moved / v / 1e9 for k, v in best.items()},
            "of_triad": best["triad"] / best["weft"],
        }  # fmt: skip
        rows.append(row)
        rates = "  ".join(f"{k} {v:6.1f}" for k, v in row["GB/s"].items())
        where = f"{fold:9s} {dtype:8s} {'x'.join(map(str, shape)):14s} axis {axis!s:4s}"
        print(f"{where} {rates}  of triad {row['of_triad']:.2f}", flush=True)
    if args.json:
        write(args.json, {"machine": describe(args.threads), "command": command(), "rows": rows})
    return 0


def _triad(threads: int) -> tuple[Any, Any, Any]:
    import cffi

    weft.function([], T.constant(0.0))()  # loads the pool
    ffi = cffi.FFI()
    ffi.cdef("void triad(float *, const float *, const float *, int64_t, int, void *);")
    lib = ffi.dlopen(str(compile_library([("triad.c", TRIAD)])))
    return ffi, lib, ffi.cast("void *", pool.parallel_for())


if __name__ == "__main__":
    sys.exit(main())
