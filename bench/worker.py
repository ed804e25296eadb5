"""One contestant in one process, for one case: `worker.py MODULE VARIANT THREADS CASE [tiny]`.

It speaks lines of JSON. First it sends what it prepared, {"version", "seconds"} or {"error"}; then, for each line
{"seconds": s} that it gets, it times calls for about s seconds and sends {"samples": seconds a call}.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import sys
import time
from types import ModuleType
from typing import Any

from cases import CASES, Case, Run

BATCH = 2e-4  # seconds; calls that are shorter are timed several at once


def load(name: str) -> ModuleType:
    """The contestant: a module of contestants/, or a file of the caller's."""
    if not name.endswith(".py"):
        return importlib.import_module(f"contestants.{name}")
    spec = importlib.util.spec_from_file_location("given_contestant", name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare(module: ModuleType, variant: str, threads: int, case: Case) -> tuple[Run | None, dict[str, Any]]:
    version = module.setup(variant, threads)
    build = getattr(module, case.name, None)
    if build is None:
        return None, {"error": "not written for it", "version": version}
    start = time.perf_counter()
    run: Run = build(case.data)
    out = run.call()
    seconds = time.perf_counter() - start
    for _ in range(case.calls - 1):
        out = run.call()
    wrong = case.disagreement([out, *run.state()])
    if wrong:
        return None, {"error": f"refused: {wrong}", "version": version}
    return run, {"version": version, "seconds": seconds}


def measure(run: Run, seconds: float) -> list[float]:
    call, clock = run.call, time.perf_counter
    start = clock()
    call()
    repeat = max(1, int(BATCH / max(clock() - start, 1e-7)))
    gc.collect()
    gc.disable()
    samples = []
    end = clock() + seconds
    while clock() < end or len(samples) < 3:
        start = clock()
        for _ in range(repeat):
            call()
        samples.append((clock() - start) / repeat)
    gc.enable()
    return samples


def main() -> None:
    # Frameworks may print: their standard output becomes the standard error, the answers keep the pipe.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    name, variant, threads, case, *rest = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    try:
        run, told = prepare(load(name), variant, int(threads), CASES[case](bool(rest)))
    except ModuleNotFoundError as e:
        run, told = None, {"error": f"not installed ({e.name})"}
    except Exception as e:
        run, told = None, {"error": f"{type(e).__name__}: {str(e).strip()[:300]}"}
    send(told)
    if run is None:
        return
    for line in sys.stdin:
        send({"samples": measure(run, json.loads(line)["seconds"])})


if __name__ == "__main__":
    main()
