"""One contestant in one process, for one case: `worker.py MODULE VARIANT THREADS CASE [tiny]`.

It speaks lines of JSON. First it sends what it prepared, {"version", "seconds"} or {"error"}; then, for each line
{"seconds": s, "fresh": bool} that it gets, it times calls for about s seconds and sends {"samples": seconds a call}.
Fresh: the results are kept, so that each call needs new memory.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import sys
import time
from types import ModuleType
from typing import Any

from cases import Case, Run, case, flat

BATCH = 2e-4  # seconds; calls that are shorter are timed several at once
NOT_WRITTEN = "not written for it"
KEPT = 1 << 30  # bytes of results kept where memory is to be fresh; two thirds, which may be recycled, untimed


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
    build = getattr(module, case.family, None)
    if build is None:
        return None, {"error": NOT_WRITTEN, "version": version}
    told: dict[str, Any] = {"version": version}
    if case.compiles:
        start = time.perf_counter()
        getattr(module, "warm", lambda: None)()
        told["once"] = time.perf_counter() - start
    start = time.perf_counter()
    run: Run = build(case.data)
    out = run.call()
    told["seconds"] = time.perf_counter() - start
    for _ in range(case.calls - 1):
        out = run.call()
    if not run.parts:  # those of parts compute nothing that could be compared
        wrong = case.disagreement([*flat(out), *run.state()])
        if run.into is not None and not wrong:
            run.into()
            wrong = case.disagreement(flat(run.into()))
        if wrong:
            return None, {**told, "error": f"refused: {wrong}"}
    return run, told


def measure(run: Run, seconds: float) -> list[float]:
    call, clock = run.into or run.call, time.perf_counter
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


def measure_fresh(run: Run, result_bytes: int, seconds: float) -> list[float]:
    """The results of all calls are kept to the end of the turn; what earlier ones left free goes back to the system."""
    call, clock = run.call, time.perf_counter
    count = max(6, min(KEPT // max(result_bytes, 1), 600))
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim:
        trim(0)
    gc.disable()
    samples, kept = [], []
    end = clock() + 10 * seconds
    for k in range(count):
        start = clock()
        kept.append(call())
        if 3 * k >= 2 * count:
            samples.append(clock() - start)
            if clock() > end:
                break
    gc.enable()
    return samples


def measure_parts(run: Run, seconds: float) -> list[float]:
    """The fastest time of each part, in a row again and again."""
    clock = time.perf_counter
    best = [float("inf")] * len(run.parts)
    end = clock() + seconds
    rounds = 0
    while clock() < end or rounds < 3:
        rounds += 1
        for k, part in enumerate(run.parts):
            start = clock()
            part()
            best[k] = min(best[k], clock() - start)
    return best


def main() -> None:
    # Frameworks may print: their standard output becomes the standard error, the answers keep the pipe.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    name, variant, threads, which, *rest = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    result_bytes = 0
    try:
        made = case(which, bool(rest))
        result_bytes = made.bytes
        run, told = prepare(load(name), variant, int(threads), made)
        del made
    except ModuleNotFoundError as e:
        run, told = None, {"error": f"not installed ({e.name})"}
    except Exception as e:
        run, told = None, {"error": f"{type(e).__name__}: {str(e).strip()[:300]}"}
    send(told)
    if run is None:
        return
    for line in sys.stdin:
        asked = json.loads(line)
        if run.parts:
            send({"parts": measure_parts(run, asked["seconds"])})
        elif asked.get("fresh"):
            send({"samples": measure_fresh(run, result_bytes, asked["seconds"])})
        else:
            send({"samples": measure(run, asked["seconds"])})


if __name__ == "__main__":
    main()
