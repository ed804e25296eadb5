"""Nanoseconds an element of each elementwise function: weft's own, libmvec's, the C library's.

    python bench/functions.py --dtype float32 --functions exp,log --json functions.json

One thread; 16,384 elements of float32 (8,192 of float64), so that all lies in the caches; the contestants take turns,
and the fastest of many rounds counts. weft is compiled as its generated programs are. libmvec is called through gcc's
`simd` attribute at the same vector width, where this C library has it; libm one element at a time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from accuracy import BINARY, CLASSES, FLAGS, KERNELS, PROGRAM, UNARY, prelude
from machine import describe

TYPES = {"float32": ("f32", "float", "f", 16384), "float64": ("f64", "double", "", 8192)}
NOT_IN_LIBM = ("sigmoid", "softplus", "erfinv")
# Where the arguments lie: one range for each function, over which it does its usual work.
RANGES = {
    "exp": (-20, 20), "exp2": (-20, 20), "expm1": (-10, 10), "log": (1e-3, 1e3), "log2": (1e-3, 1e3),
    "log10": (1e-3, 1e3), "log1p": (-0.9, 100), "tanh": (-4, 4), "sigmoid": (-10, 10), "softplus": (-10, 10),
    "erf": (-3, 3), "erfc": (-3, 6), "erfinv": (-0.999, 0.999), "sin": (-100, 100), "cos": (-100, 100),
    "tan": (-100, 100), "asin": (-1, 1), "acos": (-1, 1), "atan": (-10, 10), "sinh": (-10, 10), "cosh": (-10, 10),
    "asinh": (-10, 10), "acosh": (1, 100), "atanh": (-0.99, 0.99), "cbrt": (-100, 100), "pow": (0.01, 10),
    "atan2": (-10, 10),
}  # fmt: skip
MAIN = """
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
enum { N = COUNT };
static T x[N] __attribute__((aligned(64))), x2[N] __attribute__((aligned(64))), y[N] __attribute__((aligned(64)));
typedef void loop(const T *, const T *, T *);
LOOPS
static const struct { const char *name, *who; double low, high; loop *run; } rows[] = { ROWS };
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 20, count = (int)(sizeof rows / sizeof *rows);
  static double best[sizeof rows / sizeof *rows];
  for (int k = 0; k < count; k++) best[k] = 1e30;
  for (int round = 0; round < rounds; round++)
    for (int k = 0; k < count; k++) {
      unsigned u = 1;
      for (int i = 0; i < N; i++) {
        u = u * 1664525u + 1013904223u;
        x[i] = (T)(rows[k].low + (rows[k].high - rows[k].low) * (u >> 8) * 0x1p-24);
        u = u * 1664525u + 1013904223u;
        x2[i] = (T)(-4 + 8 * ((u >> 8) * 0x1p-24));
      }
      rows[k].run(x, x2, y);
      for (int again = 0; again < 5; again++) {
        double start = now();
        rows[k].run(x, x2, y);
        double took = now() - start;
        best[k] = took < best[k] ? took : best[k];
      }
    }
  for (int k = 0; k < count; k++) printf("%s %s %.4f\\n", rows[k].name, rows[k].who, best[k] / N * 1e9);
  return 0;
}
"""
# As programs do it: the fast form, and the whole again where an argument was hard.
STRIP = """
static __attribute__((noinline)) void weft_{name}_loop(const T *restrict x, const T *restrict x2, T *restrict y) {{
  (void)x2;
  for (int s = 0; s < N; s += 1024) {{
    {hard} any = 0;
    for (int i = s; i < s + 1024; i++) {{
      y[i] = weft_{name}_fast_{d}(x[i]{more});
      any |= weft_{name}_is_hard_{d}(x[i]{more});
    }}
    if (any) for (int i = s; i < s + 1024; i++) y[i] = weft_{name}_{d}(x[i]{more});
  }}
}}"""
LOOP = """
static __attribute__((noinline)) void {who}_{name}_loop(const T *restrict x, const T *restrict x2, T *restrict y) {{
  (void)x2;
  for (int i = 0; i < N; i++) y[i] = {function}(x[i]{more});
}}"""


def libmvec(f: str) -> list[str]:
    """The functions of one type that libmvec has for vectors of 64 bytes, as C names."""
    for path in ("/lib/x86_64-linux-gnu/libmvec.so.1", "/lib64/libmvec.so.1", "/usr/lib/libmvec.so.1"):
        if Path(path).exists():
            out = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=False).stdout
            lanes = "8" if f == "" else "16"
            found = [w.split("@")[0].split("_")[-1] for w in out.split() if w.startswith(f"_ZGVeN{lanes}v")]
            return [n for n in found if f or not n.endswith("f") or n == "erf"]
    return []


def write(dtype: str, names: list[str], folder: Path) -> tuple[Path, Path]:
    """The C text: weft's loops and the driver, and apart from them libmvec's declarations."""
    d, t, f, count = TYPES[dtype]
    vector = libmvec(f)
    header = "".join(path.read_text() for path in sorted(KERNELS.glob(f"weft_math*_{d}.h")))
    loops, rows = [], []
    for name in names:
        more = ", x2[i]" if name in BINARY else ""
        low, high = RANGES[name]
        if f"weft_{name}_fast_{d}" in header:
            hard = "int32_t" if d == "f32" else "int64_t"
            loops.append(STRIP.format(name=name, d=d, more=more, hard=hard))
        else:
            loops.append(LOOP.format(who="weft", name=name, function=f"weft_{name}_{d}", more=more))
        whos = ["weft"]
        if name not in NOT_IN_LIBM:
            whos.append("libm")
            loops.append(f'extern {t} scalar_{name}({t}{", " + t if more else ""}) __asm__("{name}{f}");')
            loops.append(LOOP.format(who="libm", name=name, function=f"scalar_{name}", more=more))
        if name + f in vector:
            whos.append("libmvec")
            arguments = f"{t}, {t}" if more else t
            loops.append(f'{t} {name}{f}({arguments}) __attribute__((simd("notinbranch")));')
            loops.append(LOOP.format(who="libmvec", name=name, function=name + f, more=more))
        rows += [f'{{"{name}", "{who}", {low}, {high}, {who}_{name}_loop}},' for who in whos]
    text = prelude([d]) + MAIN.replace("LOOPS", "\n".join(loops)).replace("ROWS", "\n".join(rows))
    source = folder / f"functions_{d}.c"
    source.write_text(f"#define T {t}\n#define COUNT {count}\n{text}")
    return source, folder / f"functions_{d}"


def table(results: dict[str, dict[str, float]]) -> str:
    lines = ["| function | weft | libmvec | libm | weft / libmvec |", "|---|---|---|---|---|"]
    for name, row in results.items():
        shown = [f"{row[w]:.2f}" if w in row else "" for w in ("weft", "libmvec", "libm")]
        ratio = f"{row['weft'] / row['libmvec']:.2f}" if "libmvec" in row else ""
        lines.append(f"| {name} | {' | '.join(shown)} | {ratio} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=tuple(TYPES), default="float32")
    parser.add_argument("--functions", type=lambda s: s.split(","), default=[*UNARY, *BINARY])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--march", default=" ".join(CLASSES["fma"]), help="the flags that choose the vectors")
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-functions-") as folder:
        source, program = write(args.dtype, args.functions, Path(folder))
        flags = [*FLAGS, *args.march.split(), *PROGRAM, "-I", str(KERNELS)]
        subprocess.run([*args.cc.split(), *flags, str(source), "-o", str(program), "-lmvec", "-lm"], check=True)
        out = subprocess.run([str(program), str(args.rounds)], capture_output=True, text=True, check=True).stdout
    results: dict[str, dict[str, float]] = {}
    for line in out.splitlines():
        name, who, ns = line.split()
        results.setdefault(name, {})[who] = float(ns)
    print(table(results))
    if args.json:
        data: dict[str, Any] = {"machine": describe(1), "dtype": args.dtype, "nanoseconds": results}
        Path(args.json).write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
