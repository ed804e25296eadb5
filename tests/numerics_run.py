"""Runs programs of numerics_programs.py and prints hashes of their results as JSON: what a child of a test does.

WEFT_CC="clang" python tests/numerics_run.py --threads 1 8 "reduce sum of rows"
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import numerics_programs
import numpy as np
from numerics_programs import Program

import weft
from weft.runtime import pool


def digest(a: np.ndarray) -> str:
    """A hash of the type, the shape and the bytes, every NaN made one NaN first."""
    a = np.array(a, order="C")  # a copy that keeps 0 dimensions
    if a.dtype.kind == "c":
        for part in (a.real, a.imag):
            part[np.isnan(part)] = np.nan
    elif a.dtype.kind not in "biu":
        a[np.isnan(a)] = np.nan
    return hashlib.sha256(f"{a.dtype.name} {a.shape} ".encode() + a.tobytes()).hexdigest()[:16]


def function_of(p: Program, **options: Any) -> Any:
    return weft.function(
        p.inputs, p.outputs, updates=p.updates, no_default_updates=True, on_unused_input="ignore", **options
    )


def results(p: Program, f: Any) -> list[list[np.ndarray]]:
    """The results of every call, the new values of shared variables among them; these start anew."""
    shared = [s for s, _ in p.updates]
    before = [s.get_value() for s in shared]
    found = []
    for arguments in p.calls:
        found.append([*f(*arguments), *(s.get_value() for s in shared)])
    for s, value in zip(shared, before, strict=True):
        s.set_value(value)
    return found


def rows_apart(p: Program, f: Any) -> list[str]:
    """Where a row alone differs from that row in its batch."""
    wrong = []
    for k, arguments in enumerate(p.calls):
        whole = f(*arguments)
        n = len(arguments[p.rows[0]])
        for r in sorted({0, n // 2, n - 1}) if n else []:
            alone = f(*[a[r : r + 1] if i in p.rows else a for i, a in enumerate(arguments)])
            for j, (one, all_) in enumerate(zip(alone, whole, strict=True)):
                if digest(one) != digest(all_[r : r + 1]):
                    wrong.append(f"call {k}, output {j}, row {r}")
    return wrong


def report(name: str, threads: Sequence[int]) -> dict[str, Any]:
    try:
        start = time.perf_counter()
        p = numerics_programs.PROGRAMS[name]()
        f = function_of(p)
        built = time.perf_counter() - start
        hashes: dict[str, Any] = {}
        for t in threads:
            pool.set_threads(t)
            hashes[str(t)] = [[digest(a) for a in call] for call in results(p, f)]
        rows = rows_apart(p, f) if p.rows else []
    except Exception:
        return {"error": traceback.format_exc(limit=-4)}
    return {
        "threads": hashes,
        "rows": rows,
        "seconds": [round(built, 3), round(time.perf_counter() - start - built, 3)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="hashes of the results of programs, as JSON lines")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("names", nargs="*", help="programs; all for none, and read from the input for -")
    options = parser.parse_args()
    names = options.names or list(numerics_programs.PROGRAMS)
    if names == ["-"]:
        names = json.load(sys.stdin)
    for name in names:
        print(json.dumps({"name": name, **report(name, options.threads)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
