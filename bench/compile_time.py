"""Seconds from the first declaration to a loaded function, stage by stage, for graphs of very many operations.

Each in a process of its own with an empty cache; what is compiled once a machine (kernels/) is built before the clock
starts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import command, describe, write

STAGES = ("declare", "lower", "sink", "loops", "simplify", "fuse", "print", "build", "load")


def chain(count: int) -> tuple[list[Any], list[Any]]:
    """An elementwise chain on a vector, and the gradient of the sum of its end."""
    import weft
    import weft.tensor as T

    steps: list[Callable[[Any, Any], Any]] = [
        lambda y, x: y * 0.5, lambda y, x: y + x, lambda y, x: T.tanh(y), lambda y, x: y - 0.25,
        lambda y, x: T.sin(y), lambda y, x: y * y, lambda y, x: T.exp(-y), lambda y, x: T.maximum(y, x),
    ]  # fmt: skip
    x = y = T.dvector("x")
    for k in range(count):
        y = steps[k % len(steps)](y, x)
    return [x], [y, weft.grad(y.sum(), x)]


def recurrence(count: int) -> tuple[list[Any], list[Any]]:
    """s <- tanh(s w + x), unrolled by a Python loop, and the gradients of the last state's sum of squares."""
    import weft
    import weft.tensor as T

    x, w = T.dvectors("x", "w")
    s = x
    for _ in range(count):
        s = T.tanh(s * w + x)
    return [x, w], [s, *weft.grad(T.sqr(s).sum(), [x, w])]


CASES: dict[str, tuple[Callable[[int], tuple[list[Any], list[Any]]], int]] = {
    "recurrence of 500 steps, unrolled": (recurrence, 500),
    "chain of 1,000": (chain, 1_000),
    "chain of 10,000": (chain, 10_000),
    "chain of 100,000": (chain, 100_000),
}


def measure(name: str) -> dict[str, Any]:
    """Runs in the worker process."""
    import weft
    import weft.tensor as T

    x = T.dscalar("x")
    weft.function([x], x)(1.0)  # the library, the process's pool
    build, count = CASES[name]
    start = time.perf_counter()
    inputs, outputs = build(count)
    declared = time.perf_counter() - start
    f = weft.function(inputs, outputs)
    total = time.perf_counter() - start
    seconds = {"declare": declared, **f.stages.seconds}
    visits = f.stages.visits.visits
    return {"total": total, "seconds": seconds, "visits": visits, "kernels": len(f.kernels)}


def table(results: dict[str, dict[str, Any]]) -> str:
    head = ["graph, with its gradient", "total", *STAGES, "node visits", "kernels"]
    out = ["### declared to compiled, seconds", "", f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    for name, r in results.items():
        row = [name, f"{r['total']:.2f}", *(f"{r['seconds'].get(s, 0):.2f}" for s in STAGES)]
        row += [f"{r['visits']:,}", str(r["kernels"])]
        out.append(f"| {' | '.join(row)} |")
    return "\n".join(out) + "\n"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), metavar="CASE")
    p.add_argument("--json", type=Path, help="write the measurements here")
    p.add_argument("--worker", choices=list(CASES), help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        print(json.dumps(measure(args.worker)))
        return 0
    results: dict[str, dict[str, Any]] = {}
    for name in args.cases:
        with tempfile.TemporaryDirectory(prefix="weft-bench-") as cache:
            worker = [sys.executable, __file__, "--worker", name]
            environment = {**os.environ, "WEFT_CACHE_DIR": cache}
            done = subprocess.run(worker, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        results[name] = json.loads(done.stdout.splitlines()[-1])
    print(table(results))
    if args.json:
        machine = {k: v for k, v in describe(0).items() if k != "threads"}
        write(args.json, {"machine": machine, "command": command(), "cases": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
