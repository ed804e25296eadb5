"""Matrix products of kernels/ beside OpenBLAS (the package scipy-openblas32), on the same operands, in one process.

One line a size: weft's rate, its ratio to OpenBLAS's, and its fraction of the fma peak measured in the same run. A turn
is a loop of calls in C, of which the fastest counts; turns alternate, with 150 ms after one that may have left threads
spinning.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI
from machine import command, describe, write

PAUSE = 0.15


@dataclass(frozen=True)
class Case:
    m: int
    k: int
    n: int
    transposed: str = ""  # "A", "B" or "AB": stored the other way round
    mark: float = 1.0  # the ratio to OpenBLAS that is asked for

    @property
    def name(self) -> str:
        return f"{self.m}x{self.k}x{self.n}" + "".join(f" {x}'" for x in self.transposed)


CASES = [
    Case(512, 512, 512, mark=0.95), Case(1024, 1024, 1024, mark=0.95),
    Case(100, 784, 256), Case(784, 100, 256, "A"), Case(100, 256, 784, "B"), Case(64, 128, 128), Case(32, 512, 128),
    Case(128, 784, 1024), Case(1, 784, 256), Case(4096, 64, 64),
    Case(64, 64, 64), Case(256, 256, 256), Case(100, 256, 10), Case(256, 100, 10, "A"), Case(100, 10, 256, "B"),
    Case(784, 6000, 10, "A"), Case(10, 100000, 10), Case(512, 512, 512, "A"), Case(512, 512, 512, "B"),
    Case(384, 384, 384, "AB"), Case(2000, 2000, 2000),
]  # fmt: skip
LISTED = 10  # the first of them are those that marks were set for

SOURCE = """
#include <time.h>
#include "weft_products.h"
#include "weft_pool.h"
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
/* The fastest of the calls made in `seconds`: each timed alone, or in batches that take about 20 us. */
#define FASTEST(CALL)                                                                                             \\
  CALL;                                                                                                           \\
  double start = now();                                                                                           \\
  CALL;                                                                                                           \\
  int batch = 1 + (int)(2e-5 / (now() - start));                                                                  \\
  for (double least = 1e9;;) {                                                                                    \\
    double t = now();                                                                                             \\
    for (int i = 0; i < batch; i++) { CALL; }                                                                     \\
    double end = now(), each = (end - t) / batch;                                                                 \\
    least = each < least ? each : least;                                                                          \\
    if (end - start > seconds) return least;                                                                      \\
  }
#define BENCH(D, T)                                                                                               \\
  WEFT_LIB_OF_##D(WEFT_LIB_PRODUCTS)                                                                              \\
  typedef void (*blas_##D)(int, int, int, int, int, int, T, const T *, int, const T *, int, T, T *, int);         \\
  double time_weft_##D(int64_t m, int64_t k, int64_t n, void *a, int64_t ars, int64_t acs, void *b, int64_t brs,  \\
                       int64_t bcs, void *c, int threads, void *work, double seconds) {                           \\
    weft_product p = {.batch = 1, .m = m, .n = n, .k = k, .a = a, .ars = ars, .acs = acs, .b = b, .brs = brs,     \\
                      .bcs = bcs, .c = c, .threads = threads, .work = work};                                      \\
    p.parallel_for = threads > 1 ? weft_parallel_for : 0;                                                         \\
    FASTEST(weft_lib_product_##D(&p))                                                                             \\
  }                                                                                                               \\
  double time_blas_##D(void *gemm, int m, int k, int n, void *a, int ta, void *b, int tb, void *c, double seconds) {\\
    FASTEST(((blas_##D)gemm)(101, ta ? 112 : 111, tb ? 112 : 111, m, n, k, 1, a, ta ? m : k, b, tb ? k : n, 0, c, n))\\
  }                                                                                                               \\
  int64_t space_##D(int64_t m, int64_t k, int64_t n, int threads) {                                               \\
    const weft_product p = {.batch = 1, .m = m, .n = n, .k = k, .c = (void *)1, .threads = threads};              \\
    return weft_lib_product_workspace_##D(&p);                                                                    \\
  }                                                                                                               \\
  typedef T probe_##D __attribute__((vector_size(WEFT_VECTOR_BYTES)));                                            \\
  static void probe_body_##D(void *arg, int64_t begin, int64_t end, int worker) {                                 \\
    (void)begin, (void)end;                                                                                       \\
    probe_##D x[12], f = (probe_##D){0} + (T)0.999, g = (probe_##D){0} + (T)1e-3;                                 \\
    for (int j = 0; j < 12; j++) x[j] = (probe_##D){0} + (T)j;                                                    \\
    for (int i = 0; i < 20000; i++)                                                                               \\
      _Pragma("GCC unroll 12") for (int j = 0; j < 12; j++)                                                       \\
        for (int l = 0; l < (int)(WEFT_VECTOR_BYTES / sizeof(T)); l++) x[j][l] = weft_fma_##D(x[j][l], f[l], g[l]);\\
    for (int j = 1; j < 12; j++) x[0] += x[j];                                                                    \\
    ((probe_##D *)arg)[worker] = x[0];                                                                            \\
  }                                                                                                               \\
  /* GFLOP/s of independent fma chains on all threads */                                                          \\
  static double probe_once_##D(int threads, double seconds) {                                                     \\
    static probe_##D out[1024];                                                                                   \\
    FASTEST(weft_parallel_for(threads, 1, threads, probe_body_##D, out))                                          \\
  }                                                                                                               \\
  double peak_##D(int threads, double seconds) {                                                                  \\
    return threads * 20000.0 * 12 * 2 * (WEFT_VECTOR_BYTES / sizeof(T)) / probe_once_##D(threads, seconds) * 1e-9;\\
  }
BENCH(f32, float)
BENCH(f64, double)
"""
DECLARATIONS = """
double time_weft_{d}(int64_t m, int64_t k, int64_t n, void *a, int64_t ars, int64_t acs, void *b, int64_t brs,
                     int64_t bcs, void *c, int threads, void *work, double seconds);
double time_blas_{d}(void *gemm, int m, int k, int n, void *a, int ta, void *b, int tb, void *c, double seconds);
int64_t space_{d}(int64_t m, int64_t k, int64_t n, int threads);
double peak_{d}(int threads, double seconds);
"""
TYPES = {"f32": np.float32, "f64": np.float64}


class Contest:
    """The two libraries, opened."""

    def __init__(self, flags: list[str]):
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        build = importlib.import_module("weft.compiler.build.library")
        pool = Path(importlib.import_module("weft.runtime.abi").HEADERS) / "weft_pool.c"
        path = build.compile_library([("products.c", SOURCE), ("weft_pool.c", pool.read_text())], flags=flags)
        self.ffi = FFI()
        for d in TYPES:
            self.ffi.cdef(DECLARATIONS.format(d=d))
        self.ffi.cdef("void weft_pool_set_threads(int); void scipy_openblas_set_num_threads(int);")
        self.ffi.cdef("void scipy_cblas_sgemm(void); void scipy_cblas_dgemm(void);")
        self.ffi.cdef("char *scipy_openblas_get_corename(void);")
        self.weft: Any = self.ffi.dlopen(str(path))
        found = importlib.import_module("scipy_openblas32").get_lib_dir()
        library = next(str(p) for p in Path(found).iterdir() if "openblas" in p.name and ".so" in p.name)
        self.blas: Any = self.ffi.dlopen(library)
        self.gemm = {d: self.ffi.addressof(self.blas, f"scipy_cblas_{'sd'[d == 'f64']}gemm") for d in TYPES}

    def set_threads(self, threads: int) -> None:
        self.weft.weft_pool_set_threads(threads)
        self.blas.scipy_openblas_set_num_threads(threads)

    def peak(self, d: str, threads: int, seconds: float) -> float:
        return getattr(self.weft, f"peak_{d}")(threads, seconds)

    def run(self, case: Case, d: str, threads: int, rounds: int, seconds: float) -> dict[str, Any]:
        rng = np.random.default_rng(0)

        def operand(rows: int, columns: int, transposed: bool) -> np.ndarray:
            x = aligned((columns, rows) if transposed else (rows, columns), TYPES[d])
            x[...] = rng.standard_normal(x.shape)
            return x.T if transposed else x

        a, b = operand(case.m, case.k, "A" in case.transposed), operand(case.k, case.n, "B" in case.transposed)
        c, other = (aligned((case.m, case.n), TYPES[d]) for _ in range(2))
        work = aligned((getattr(self.weft, f"space_{d}")(case.m, case.k, case.n, threads) + 64,), np.uint8)
        strides = [[s // x.itemsize for s in x.strides] for x in (a, b)]
        at = {id(x): self.ffi.cast("void *", x.ctypes.data) for x in (a, b, c, other, work)}
        weft, blas = [], []
        for _ in range(rounds):
            weft.append(getattr(self.weft, f"time_weft_{d}")(
                case.m, case.k, case.n, at[id(a)], *strides[0], at[id(b)], *strides[1], at[id(c)], threads,
                at[id(work)], seconds,
            ))  # fmt: skip
            time.sleep(PAUSE if threads > 1 else 0.01)
            blas.append(getattr(self.weft, f"time_blas_{d}")(
                self.gemm[d], case.m, case.k, case.n, at[id(a)], "A" in case.transposed, at[id(b)],
                "B" in case.transposed, at[id(other)], seconds,
            ))  # fmt: skip
            time.sleep(PAUSE if threads > 1 else 0.01)
        rough = np.abs(a) @ np.abs(b) * (np.finfo(TYPES[d]).eps * case.k)
        if not (np.abs(c - other) <= rough).all():
            raise SystemExit(f"{case.name} {d}: the results differ")
        return {"weft": min(weft), "openblas": min(blas), "gflops": 2e-9 * case.m * case.k * case.n / min(weft)}


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 4096, np.uint8)
    start = -raw.ctypes.data % 4096
    return raw[start : start + size].view(dtype).reshape(shape)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--quick", action="store_true", help="one short turn each: whether all runs, not how fast")
    p.add_argument("--listed", action="store_true", help="only the sizes that marks were set for")
    p.add_argument("--only", default="", help="sizes whose name holds this, as 100x784")
    p.add_argument("--sizes", default="", help="other sizes, as 96x512x32,64x64x10:A for a transposed A")
    p.add_argument("--dtypes", default="f32,f64")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--seconds", type=float, default=0.03, help="of one turn (%(default)s)")
    p.add_argument("--haswell", action="store_true", help="both for a CPU with AVX2 and no more; the mark is then 0.9")
    p.add_argument("--json", type=Path, help="write the measurements here")
    args = p.parse_args()
    if args.haswell:
        os.environ["OPENBLAS_CORETYPE"] = "Haswell"
    if args.quick:
        args.rounds, args.seconds = 1, 0.002
    contest = Contest(["-march=haswell"] if args.haswell else [])
    if args.sizes:
        given = (s.partition(":") for s in args.sizes.split(","))
        CASES[:] = [Case(*map(int, size.split("x")), transposed=way) for size, _, way in given]
    cases = [c for c in (CASES[:LISTED] if args.listed else CASES) if args.only in c.name]
    core = contest.ffi.string(contest.blas.scipy_openblas_get_corename()).decode()
    report: dict[str, Any] = {"machine": describe(0), "openblas": core, "command": command(), "results": []}
    for d in args.dtypes.split(","):
        for threads in map(int, args.threads.split(",")):
            contest.set_threads(threads)
            peak = max(contest.peak(d, threads, args.seconds) for _ in range(8))
            title = f"{d}, {threads} thread{'s' * (threads > 1)}, OpenBLAS for {core}, fma peak {peak:.0f} GFLOP/s"
            print(
                f"\n### {title}\n\n| m x k x n | us | OpenBLAS | ratio | of peak |\n|---|--:|--:|--:|--:|", flush=True
            )
            for case in cases:
                r = contest.run(case, d, threads, args.rounds, args.seconds)
                ratio, part = r["openblas"] / r["weft"], r["gflops"] / peak
                short = "" if ratio >= min(case.mark, 0.9 if args.haswell else 1) else " *"
                print(
                    f"| {case.name} | {r['weft'] * 1e6:.2f} | {r['openblas'] * 1e6:.2f} | {ratio:.2f}{short} "
                    f"| {part:.2f} |",
                    flush=True,
                )
                key = {"case": case.name, "dtype": d, "threads": threads}
                report["results"].append({**key, **r, "ratio": ratio, "of_peak": part})
    if args.json:
        write(args.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
