"""Nanoseconds an element of each elementwise function: weft's own, libmvec's, the C library's.

    python bench/functions.py --dtype float32 --functions exp,log --json functions.json --markdown functions.md

One thread; 16,384 elements, so that all lies in the caches; contestants take turns, and the fastest of many rounds
counts. weft is compiled as its generated programs are (flags of compiler/build/toolchain.py), with vectors of 512 and
of 256 bits, and runs as they do: functions of `HARD` in compiler/codegen/scalar.py by their fast form over strips of
256 elements, and the complete one again where an argument was hard. libmvec, which allows itself 4 ulp, is called
through gcc's `simd` attribute at the same width, where this C library has it; libm one element at a time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
from accuracy import BINARY, KERNELS, UNARY

from weft.compiler.build import toolchain
from weft.compiler.codegen.scalar import HARD

TYPES = {"float32": ("f32", "float", "f"), "float64": ("f64", "double", "")}
COUNT = 16384
WIDE = ("-mprefer-vector-width=512", "-mmove-max=512", "-mstore-max=512")
# What takes the place of -march=native, and the letter that libmvec has for the vectors.
WIDTHS = {"512": (("-march=native",), "e", 64), "256": (("-march=haswell",), "d", 32)}
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
enum { N = COUNT, STRIP = 256 };
static T x[N] __attribute__((aligned(64))), x2[N] __attribute__((aligned(64))), y[N] __attribute__((aligned(64)));
typedef void loop(const T *, const T *, T *, int64_t, int64_t);
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
      rows[k].run(x, x2, y, 0, N);
      for (int again = 0; again < 5; again++) {
        double start = now();
        rows[k].run(x, x2, y, 0, N);
        double took = now() - start;
        best[k] = took < best[k] ? took : best[k];
      }
    }
  for (int k = 0; k < count; k++) printf("%s %s %.4f\\n", rows[k].name, rows[k].who, best[k] / N * 1e9);
  return 0;
}
"""
HEAD = """
static __attribute__((noinline)) void {who}_{name}_loop(const T *restrict x, const T *restrict x2, T *restrict y,
                                                        int64_t begin, int64_t end) {{
  (void)x2;"""
# As programs do it: the fast form, and the whole again where an argument was hard.
STRIPS = """
  for (int64_t v = begin; v < end; v += STRIP) {{
    const int64_t w = v + STRIP < end ? v + STRIP : end;
    {hard} any = 0;
    #pragma GCC ivdep
    for (int64_t i = v; i < w; i++) {{
      any |= weft_{name}_is_hard_{d}(x[i]{more});
      y[i] = weft_{name}_fast_{d}(x[i]{more});
    }}
    if (any)
      #pragma GCC ivdep
      for (int64_t i = v; i < w; i++) y[i] = weft_{name}_{d}(x[i]{more});
  }}
}}"""
PLAIN = """
  #pragma GCC ivdep
  for (int64_t i = begin; i < end; i++) y[i] = {function}(x[i]{more});
}}"""


def libmvec(f: str, letter: str, size: int) -> set[str]:
    """The functions of one type that libmvec has for vectors of so many bytes, as C names."""
    for path in ("/lib/x86_64-linux-gnu/libmvec.so.1", "/lib64/libmvec.so.1", "/usr/lib/libmvec.so.1"):
        if Path(path).exists():
            out = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=False).stdout
            start = f"_ZGV{letter}N{size // (4 if f else 8)}v"
            names = {w.split("@")[0] for w in out.split() if w.startswith(start)}
            return {n.split("_")[-1] for n in names}
    return set()


def write(dtype: str, width: str, names: list[str], folder: Path) -> Path:
    """The C text: loops over the functions, and what times them."""
    d, t, f = TYPES[dtype]
    vector = libmvec(f, *WIDTHS[width][1:])
    loops, rows = [], []
    for name in names:
        more = ", x2[i]" if name in BINARY else ""
        low, high = RANGES[name]
        values = {"name": name, "d": d, "more": more, "hard": "int32_t" if d == "f32" else "int64_t"}
        body = STRIPS if d in HARD.get(name, ()) else PLAIN
        loops.append((HEAD + body).format(who="weft", function=f"weft_{name}_{d}", **values))
        whos = ["weft"]
        if name not in NOT_IN_LIBM:
            whos.append("libm")
            loops.append(f'extern {t} scalar_{name}({t}{", " + t if more else ""}) __asm__("{name}{f}");')
            loops.append((HEAD + PLAIN).format(who="libm", function=f"scalar_{name}", **values))
        if name + f in vector:
            whos.append("libmvec")
            arguments = f"{t}, {t}" if more else t
            loops.append(f'{t} {name}{f}({arguments}) __attribute__((simd("notinbranch")));')
            loops.append((HEAD + PLAIN).format(who="libmvec", function=name + f, **values))
        rows += [f'{{"{name}", "{who}", {low}, {high}, {who}_{name}_loop}},' for who in whos]
    text = MAIN.replace("LOOPS", "\n".join(loops)).replace("ROWS", "\n".join(rows))
    source = folder / f"functions_{d}_{width}.c"
    source.write_text(f'#include "weft_scalar.h"\n#define T {t}\n#define COUNT {COUNT}\n{text}')
    return source


def measure(dtype: str, width: str, names: list[str], rounds: int, cc: str) -> dict[str, dict[str, float]]:
    """function -> who -> nanoseconds an element."""
    tools = toolchain.find(cc)
    march = WIDTHS[width][0]
    rest = [f for f in tools.flags if f not in ("-march=native", *(WIDE if width != "512" else ()))]
    with tempfile.TemporaryDirectory(prefix="weft-functions-") as folder:
        source = write(dtype, width, names, Path(folder))
        flags = [*rest, *march, *toolchain.program_flags(tools), "-I", str(KERNELS)]
        program = source.with_suffix("")
        subprocess.run([*tools.command, *flags, str(source), "-o", str(program), "-lmvec", "-lm"], check=True)
        out = subprocess.run([str(program), str(rounds)], capture_output=True, text=True, check=True).stdout
    results: dict[str, dict[str, float]] = {}
    for line in out.splitlines():
        name, who, ns = line.split()
        results.setdefault(name, {})[who] = float(ns)
    return results


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Of width -> function -> who -> nanoseconds."""
    widths = list(results)
    heads = [f"{h} at {w}" for w in widths for h in ("weft", "libmvec", "ratio")]
    lines = [f"| function | {' | '.join(heads)} | libm |", "|---" * (len(heads) + 2) + "|"]
    for name in results[widths[0]]:
        cells = []
        for w in widths:
            row = results[w][name]
            cells += [f"{row[k]:.2f}" if k in row else "" for k in ("weft", "libmvec")]
            cells.append(f"{row['weft'] / row['libmvec']:.2f}" if "libmvec" in row else "")
        scalar = [results[w][name]["libm"] for w in widths if "libm" in results[w][name]]
        lines.append(f"| {name} | {' | '.join(cells)} | {f'{min(scalar):.2f}' if scalar else ''} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=(*TYPES, "both"), default="both")
    parser.add_argument("--width", choices=(*WIDTHS, "both"), default="both", help="bits of a vector")
    parser.add_argument("--functions", type=lambda s: s.split(","), default=[*UNARY, *BINARY])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--cc", default="", help="as weft.config.cc")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--markdown", metavar="FILE")
    args = parser.parse_args()
    data: dict[str, Any] = {"machine": machine.describe(1), "command": machine.command()}
    data |= {"elements": COUNT, "nanoseconds": {}}
    texts = []
    for dtype in TYPES if args.dtype == "both" else [args.dtype]:
        results = {
            width: measure(dtype, width, args.functions, args.rounds, args.cc)
            for width in (WIDTHS if args.width == "both" else [args.width])
        }
        data["nanoseconds"][dtype] = results
        texts.append(f"{dtype}, nanoseconds an element\n\n{table(results)}")
        print(texts[-1], flush=True)
    if args.json:
        machine.write(args.json, data)
    if args.markdown:
        Path(args.markdown).write_text("\n\n".join(texts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
