"""How far the elementary functions lie from the truth, in units of the last place.

    python bench/accuracy.py --functions exp,log --markdown
    python bench/accuracy.py --full --json accuracy.json

float32 functions of one argument are taken at every 2^32/SAMPLES-th float, with --full at all of them; all others at
SAMPLES samples around their hard places. accuracy_f32.c and accuracy_f64.c say what is counted, and against what. Both
classes of docs/numerics.md are measured: with and without a fused multiply-add. Special values (infinities, NaNs, zeros
and their signs) have to be right exactly; the exit status is 1 where one is not, or where a bound is passed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parent / "kernels"
UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sigmoid", "softplus", "erf", "erfc", "erfinv",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "cbrt",
]  # fmt: skip
BINARY = ["pow", "atan2"]
# float32 functions with a fast form: `sin_fast` checks that form, completed where it is hard, and that the two agree.
FAST = [
    "sin", "cos", "tan", "sinh", "cosh", "log", "log2", "log10", "log1p", "exp2", "erfc", "cbrt", "pow",
]  # fmt: skip
FLAGS = ("-std=gnu11", "-O3", "-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
PROGRAM = ("-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic")
CLASSES = {
    "fma": ("-march=native", "-mprefer-vector-width=512"),
    "nofma": ("-march=native", "-mno-fma", "-mno-avx512f"),
}
LIMITS = {"sigmoid": 4.0, "softplus": 4.0, "erfinv": 4.0}  # in ulp, of the class with fma; 2 for the others


def header(dtype: str) -> str:
    return f"weft_math_{dtype}.h"


def prelude(dtypes: list[str]) -> str:
    """C text that declares the functions: weft_scalar.h, and what it does not include itself under names of its own."""
    scalar = (KERNELS / "weft_scalar.h").read_text()
    lines = ['#include "weft_scalar.h"']
    for dtype in dtypes:
        if header(dtype) not in scalar:
            lines += [f"#define weft_{name}_{dtype} weft_new_{name}_{dtype}" for name in (*UNARY, *BINARY)]
            lines.append(f'#include "{header(dtype)}"')
    return "\n".join(lines) + "\n"


def build(dtype: str, kind: str, folder: Path, cc: str) -> Path:
    """The program of bench/accuracy_<dtype>.c for a class of machines."""
    target, included = folder / f"accuracy_{dtype}_{kind}", folder / f"prelude_{dtype}.h"
    included.write_text(prelude([dtype]))
    quad = ("-lquadmath",) if dtype == "f64" else ()
    command = [
        *cc.split(), *FLAGS, *PROGRAM, *CLASSES[kind], f'-DPRELUDE="{included}"', "-I", str(KERNELS),
        str(HERE / f"accuracy_{dtype}.c"), "-o", str(target), *quad, "-lmvec", "-lm",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return target


def jobs(dtype: str, name: str, samples: int, full: bool, parts: int) -> list[list[str]]:
    """The arguments of the program for each part of the work."""
    if dtype == "float64":
        each = max(1, samples // parts)
        return [[name, str(each), str(seed + 1)] for seed in range(parts)]
    unary = name.removesuffix("_fast") not in BINARY
    total = 2**32 if unary else samples
    stride = max(1, 2**32 // samples) | 1 if unary and not full else 1
    cuts = [total * k // parts for k in range(parts + 1)]
    return [[name, str(a), str(b - 1), str(stride)] for a, b in itertools.pairwise(cuts)]


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    worst = max(parts, key=lambda p: p["max_ulp"])
    failures = sum(p["special_failures"] for p in parts)
    result = {**worst, "count": sum(p["count"] for p in parts), "special_failures": failures}
    if failures:
        result["special_at"] = next(p.get("special_at") for p in parts if p["special_failures"])
    else:
        result.pop("special_at", None)
    return result


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    short = {"float32": "f32", "float64": "f64"}[args.dtype]
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    rows = []
    with tempfile.TemporaryDirectory(prefix="weft-accuracy-") as folder, ThreadPoolExecutor(workers) as pool:
        programs = {kind: build(short, kind, Path(folder), args.cc) for kind in args.classes}
        for name in args.functions:
            for kind, program in programs.items():
                work = jobs(args.dtype, name, args.samples, args.full, workers)
                row = joined(list(pool.map(lambda job, program=program: one(program, job), work)))
                rows.append({"dtype": args.dtype, "class": kind, **row})
                print_row(rows[-1])
    return rows


def one(program: Path, arguments: list[str]) -> dict[str, Any]:
    out = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    if out.returncode:
        sys.exit(f"{program.name} {' '.join(arguments)}: {out.stderr.strip() or out.returncode}")
    return json.loads(out.stdout)


def print_row(row: dict[str, Any]) -> None:
    line = f"{row['dtype']} {row['class']:5} {row['function']:9} {row['max_ulp']:8.3f} ulp at {', '.join(places(row))}"
    if row["special_failures"]:
        line += f"  SPECIAL VALUES WRONG: {row['special_failures']}, as at {row.get('special_at')}"
    print(line, file=sys.stderr, flush=True)


def places(row: dict[str, Any]) -> list[str]:
    """The arguments of the largest error."""
    at = row["at"] if isinstance(row["at"], list) else [row["at"]]
    return at[: 2 if row["function"].removesuffix("_fast") in BINARY else 1]


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| function | ulp, with fma | at | ulp, without fma | arguments |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(r["function"] for r in rows):
        by = {r["class"]: r for r in rows if r["function"] == name}
        some = by.get("fma") or by["nofma"]
        at = ", ".join(f"`{v}`" for v in places(some))
        ulp = [f"{by[k]['max_ulp']:.2f}" if k in by else "" for k in ("fma", "nofma")]
        count = "all" if some["dtype"] == "float32" and some["count"] == 2**32 else f"{some['count']:,}"
        lines.append(f"| {name} | {ulp[0]} | {at} | {ulp[1]} | {count} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--functions",
        type=lambda s: s.split(","),
        default=[*UNARY, *BINARY],
        help="names; `fast` for all fast forms of float32",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--samples", type=int, default=10**8)
    parser.add_argument("--class", dest="classes", choices=(*CLASSES, "both"), default="both")
    parser.add_argument("--full", action="store_true", help="float32: all 2^32 arguments")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table")
    parser.add_argument("--cc", default="gcc")
    args = parser.parse_args()
    if "fast" in args.functions:
        args.functions = [f"{name}_fast" for name in FAST]
    args.classes = list(CLASSES) if args.classes == "both" else [args.classes]
    rows = measure(args)
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    if args.markdown:
        print(markdown(rows))
    bad = [r for r in rows if r["special_failures"] or (r["class"] == "fma" and r["max_ulp"] > limit(r["function"]))]
    for row in bad:
        print(f"beyond its bound: {row['function']} {row['class']}", file=sys.stderr)
    return 1 if bad else 0


def limit(name: str) -> float:
    return LIMITS.get(name, 2.0)


if __name__ == "__main__":
    sys.exit(main())
