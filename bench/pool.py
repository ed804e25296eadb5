"""The thread pool: what waking a worker costs, small work on two threads, and a neighbour that holds a core.

`python bench/pool.py [--quick] [--json FILE]`. Four tables:

- wake-up: from the call of parallel_for until a worker runs the second of two chunks, while workers spin and once they
  sleep, and the time of a whole loop with nothing to do;
- C loops: a loop of so many microseconds forced onto two threads, against one;
- functions: two threads against one, as compiled functions cut their loops. Two must not be slower: a ratio above 1.1
  is marked;
- neighbour: a training step of small loops, alone and while another process holds a core. There times are means, since
  what a neighbour costs are rare long waits.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import command, describe, write

import weft
import weft.tensor as T
from weft.compiler.build.library import compile_library
from weft.runtime import pool

MARK = 1.1  # ratio of two threads to one above which a row is marked
HARNESS = """
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
typedef void (*body_fn)(void *, int64_t, int64_t, int);
typedef void (*pfor_fn)(int64_t, int64_t, int, body_fn, void *);
static __thread int caller;
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}
/* The first chunk lasts until a worker has begun the second, for at most 5 ms. */
typedef struct { _Atomic int begun; double start, woken; } wake_t;
static void meet(void *p, int64_t begin, int64_t end, int worker) {
  wake_t *w = p;
  (void)begin, (void)end, (void)worker;
  if (!caller) {
    w->woken = now() - w->start;
    atomic_store(&w->begun, 1);
    return;
  }
  while (!atomic_load(&w->begun) && now() < w->start + 5000) {}
}
static void nothing(void *p, int64_t begin, int64_t end, int worker) { (void)p, (void)begin, (void)end, (void)worker; }
static void idle(double us) {
  struct timespec t = {0, (long)(us * 1e3)};
  double end = now() + us;
  if (us > 500) nanosleep(&t, 0);
  while (now() < end) {}
}
/* Microseconds until a worker's chunk began, and of an empty loop; before each the caller leaves the pool alone. */
void wake(void *pfor, int64_t times, double pause, double *begun, double *empty) {
  caller = 1;
  for (int64_t k = 0; k < times; k++) {
    wake_t w = {0, 0, -1};
    idle(pause);
    w.start = now();
    ((pfor_fn)pfor)(64, 1, 2, meet, &w); /* enough grains that sleepers are woken */
    begun[k] = w.woken;
    idle(pause);
    double start = now();
    ((pfor_fn)pfor)(64, 1, 2, nothing, 0);
    empty[k] = now() - start;
  }
  caller = 0;
}
typedef struct { int64_t steps; double out[64]; } burn_t;
static void burn(void *p, int64_t begin, int64_t end, int worker) {
  burn_t *b = p;
  double x = 1.0;
  for (int64_t k = begin * b->steps; k < end * b->steps; k++) x = x * 0.999999 + 1e-9;
  b->out[worker * 16] = x;
}
/* The fastest of many loops of 2 * steps chained operations, two to an item. */
double fastest(void *pfor, int64_t times, int64_t steps, int threads) {
  double best = 1e30;
  burn_t b = {steps, {0}};
  for (int64_t k = 0; k < times; k++) {
    double start = now();
    ((pfor_fn)pfor)(2, 1, threads, burn, &b);
    double took = now() - start;
    if (took < best) best = took;
  }
  return best;
}
"""
DECLARED = """
void wake(void *, int64_t, double, double *, double *);
double fastest(void *, int64_t, int64_t, int);
"""


def harness() -> tuple[Any, Any, Any]:
    import cffi

    weft.function([], T.constant(0.0))()  # loads the pool
    ffi = cffi.FFI()
    ffi.cdef(DECLARED)
    lib = ffi.dlopen(str(compile_library([("pool_bench.c", HARNESS)])))
    return ffi, lib, ffi.cast("void *", pool.parallel_for())


def wake_ups(times: int) -> list[dict[str, Any]]:
    ffi, lib, pfor = harness()
    rows = []
    for state, pause, count in (("spinning", 2.0, times * 20), ("sleeping", 3000.0, times)):
        begun, empty = np.zeros(count), np.zeros(count)
        lib.wake(pfor, count, pause, ffi.from_buffer("double[]", begun), ffi.from_buffer("double[]", empty))
        came = begun[begun >= 0]
        row: dict[str, Any] = {"workers": state, "times": count, "late": int(count - len(came))}
        for name, values in (("wake_us", came), ("empty_loop_us", empty)):
            row[name] = {"fastest": float(values.min()), "median": float(np.median(values))} if len(values) else None
        rows.append(row)
        wake, loop = row["wake_us"] or {"fastest": np.nan, "median": np.nan}, row["empty_loop_us"]
        print(
            f"workers {state:9s} begin after {wake['fastest']:6.2f} us (median {wake['median']:6.2f})   an empty loop "
            f"{loop['fastest']:6.2f} us (median {loop['median']:6.2f})   {row['late']} of {count} later than 5 ms",
            flush=True,
        )
    return rows


def c_loops(times: int) -> list[dict[str, Any]]:
    _, lib, pfor = harness()
    rows = []
    per_step = lib.fastest(pfor, 20, 20000, 1) / 40000
    for work in (0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0):
        steps = max(1, round(work / 2 / per_step))
        best = {1: np.inf, 2: np.inf}
        for _ in range(8):
            for threads in best:
                best[threads] = min(best[threads], lib.fastest(pfor, times, steps, threads))
        rows.append({"work_us": work, "us": best, "ratio": best[2] / best[1]})
        ratio = rows[-1]["ratio"]
        print(f"C loop of {work:5.1f} us: 1 thread {best[1]:7.2f}, 2 threads {best[2]:7.2f}, ratio {ratio:.2f}")
    return rows


CASES: dict[str, Callable[[Any], Any]] = {
    "x*y+x": lambda x: x * x + x,
    "tanh(x)": T.tanh,
    "exp(x)/(1+x*x)": lambda x: T.exp(x) / (1 + x * x),
    "row sums": lambda x: T.sum(x, axis=1),
    "column sums": lambda x: T.sum(x, axis=0),
    "softmax": lambda x: T.exp(x) / T.sum(T.exp(x), axis=1, keepdims=True),
    "sum": T.sum,
}
SIZES = (100, 1000, 3000, 10_000, 20_000, 30_000, 100_000, 300_000, 1_000_000)


def functions(seconds: float, sizes: tuple[int, ...], only: str) -> list[dict[str, Any]]:
    rows = []
    rng = np.random.default_rng(1)
    for name, make in CASES.items():
        if only and name not in only.split(","):
            continue
        flat = name in ("x*y+x", "tanh(x)", "exp(x)/(1+x*x)", "sum")
        x = T.fvector("x") if flat else T.fmatrix("x")
        f = weft.function([x], make(x))
        for size in sizes:
            data = rng.standard_normal(size if flat else (size // 50, 50), dtype="float32")
            best = {1: np.inf, 2: np.inf}
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                for threads in best:
                    f.threads = threads
                    best[threads] = min(best[threads], *(_time(f, data) for _ in range(20)))
            ratio = best[2] / best[1]
            rows.append({"case": name, "size": size, "us": best, "ratio": ratio})
            marked = "  <-- slower" if ratio > MARK else ""
            print(
                f"{name:15s} of {size:8d}: 1 thread {best[1]:8.2f} us, 2 threads {best[2]:8.2f}, "
                f"ratio {ratio:.2f}{marked}",
                flush=True,
            )
    return rows


def _time(f: Callable[[Any], Any], data: Any) -> float:
    start = time.perf_counter()
    f(data)
    return (time.perf_counter() - start) * 1e6


def training_step(batch: int = 128, width: int = 128, layers: int = 4) -> Callable[[], Any]:
    """Elementwise and reducing loops of tens of microseconds, products of the same size, updates: some 30 loops."""
    rng = np.random.default_rng(2)
    x = weft.shared(rng.standard_normal((batch, width), dtype="float32"))
    h, weights = x, []
    for _ in range(layers):
        w = weft.shared(rng.standard_normal((width, width), dtype="float32") / np.float32(width**0.5))
        b = weft.shared(np.zeros(width, "float32"))
        weights += [w, b]
        h = T.tanh(T.dot(h, w) + b)
        h = h - T.mean(h, axis=1, keepdims=True)
    loss = T.mean(h * h)
    grads = weft.grad(loss, weights)
    return weft.function([], loss, updates=[(p, p - np.float32(0.01) * g) for p, g in zip(weights, grads, strict=True)])


def small_steps(size: int = 30_000, loops: int = 20) -> Callable[[], Any]:
    """So many loops of some ten microseconds, one after the other."""
    x = weft.shared(np.linspace(-1, 1, size, dtype="float32"))
    k = T.arange(loops)
    out, _ = weft.scan(lambda _, h: T.tanh(h) * np.float32(1.1), sequences=[k], outputs_info=[x])
    return weft.function([], out[-1].sum())


@contextlib.contextmanager
def neighbour(cpu: int | None) -> Iterator[int]:
    """Another process that never waits: on one CPU, or wherever the system puts it."""
    code = "import os, sys\nif len(sys.argv) > 1: os.sched_setaffinity(0, [int(sys.argv[1])])\n"
    code += "print(flush=True)\nwhile 1: pass"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *([] if cpu is None else [str(cpu)])], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()


def beside(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Of `rounds` windows of each kind those count in which nobody else used the machine, if there are any."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    places = ["alone", "free", *sorted({f"cpu {cpus[0]}", f"cpu {cpus[-1]}"})]
    rows = []
    for name, step in (("training step", training_step()), ("small loops", small_steps())):
        windows: dict[str, list[Window]] = {}
        for _ in range(rounds):
            for where in places:
                cpu = int(where.split()[1]) if where.startswith("cpu") else None
                with contextlib.nullcontext(0) if where == "alone" else neighbour(cpu) as pid:
                    for threads in (1, 2):
                        step.threads = threads  # type: ignore[attr-defined]
                        for _ in range(3):
                            found = window(step, seconds, pid)
                            if found.foreign < 0.03:
                                break
                        windows.setdefault(f"{threads} {where}", []).append(found)
        row: dict[str, Any] = {"case": name}
        for key, found_in in windows.items():
            quiet = [w for w in found_in if w.foreign < 0.03]
            kept = quiet or found_in
            loops = max(1, sum(w.met["loops"] for w in kept))
            row[key] = {
                "mean_us": statistics.median(w.mean_us for w in kept),
                "longest_ms": max(w.longest_us for w in kept) / 1e3,
                "quiet": len(quiet),
                "each_loop": {k: sum(w.met[k] for w in kept) / loops for k in ("taken", "woken", "slept")},
            }
        rows.append(row)
        for key in windows:
            threads, where = key.split(" ", 1)
            r = row[key]
            each = ", ".join(f"{k} {v:.3f}" for k, v in r["each_loop"].items())
            print(
                f"{name:14s} {threads} thread{'s' * (threads != '1'):1s} {where:6s}: {r['mean_us']:8.1f} us a call, "
                f"{r['mean_us'] / row['1 alone']['mean_us']:5.2f} of 1 thread alone, "
                f"{r['mean_us'] / row['2 alone']['mean_us']:5.2f} of 2; longest {r['longest_ms']:5.1f} ms; "
                f"quiet {r['quiet']}" + f"; a loop: {each}" * (threads != "1"),
                flush=True,
            )
    return rows


class Window(NamedTuple):
    mean_us: float
    longest_us: float
    met: dict[str, int]
    foreign: float  # share of the processors that others had, -1 where the system does not tell


def window(step: Callable[[], Any], seconds: float, neighbour: int) -> Window:
    step()
    before, ours = counts(), used(os.getpid(), neighbour)
    busy = used()
    calls, longest = 0, 0.0
    first = last = time.perf_counter()
    while last < first + seconds:
        step()
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now
        calls += 1
    met = {k: v - before[k] for k, v in counts().items()}
    others = used() - busy - (used(os.getpid(), neighbour) - ours)
    return Window((last - first) / calls * 1e6, longest * 1e6, met, others / (last - first) / (os.cpu_count() or 1))


def used(*pids: int) -> float:
    """Seconds of processor time that the processes have had; of none: all processes together."""
    tick = os.sysconf("SC_CLK_TCK")
    try:
        if not pids:
            user, nice, system, _idle, _wait, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:8])
            return (user + nice + system + sum(interrupts)) / tick
        stats = [Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split() for p in pids if p]
        return sum(int(s[11]) + int(s[12]) for s in stats) / tick
    except (OSError, ValueError):
        return 0.0


def counts() -> dict[str, int]:
    return pool.counts() if hasattr(pool, "counts") else dict.fromkeys(("loops", "taken", "woken", "slept"), 0)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="shorter, and fewer rows")
    p.add_argument("--tables", default="wake,loops,functions,neighbour", help="which, separated by commas")
    p.add_argument("--only", default="", help="cases of the table of functions, separated by commas")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    weft.set_threads(2)
    quick = args.quick
    tables: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "wake": partial(wake_ups, 50 if quick else 300),
        "loops": partial(c_loops, 100 if quick else 1000),
        "functions": partial(functions, 0.05 if quick else 0.4, SIZES[::3] if quick else SIZES, args.only),
        "neighbour": partial(beside, 0.05 if quick else 0.15, 2 if quick else 5),
    }
    results = {name: tables[name]() for name in args.tables.split(",")}
    if args.json:
        write(args.json, {"machine": describe(2), "command": command(), **results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
