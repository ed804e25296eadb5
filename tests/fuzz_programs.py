"""Random programs, compiled against interpreted; fuzz_grower.py makes them.

    python tests/fuzz_programs.py 0 300          # seeds; --grad for gradients
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from typing import Any

import numpy as np
from fuzz_grower import Grower, Program

import weft
import weft.tensor as T


def difference(got: np.ndarray, want: np.ndarray, single: bool) -> str | None:
    """How two results differ, if they do."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{got.dtype}{got.shape}, not {want.dtype}{want.shape}"
    if want.dtype.kind != "f":
        if not (got == want).all():
            at = tuple(int(k) for k in np.argwhere(np.asarray(got != want))[0])
            return f"{np.sum(got != want)} of {want.size} elements, first at {at}: {got[at]}, not {want[at]}"
        return None
    rtol = 2e-4 if single else 1e-9
    scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
    far = ~np.isclose(got, want, rtol=rtol, atol=rtol * scale, equal_nan=True)
    if far.any():
        at = tuple(int(k) for k in np.argwhere(far)[0])
        return f"{far.sum()} of {want.size} elements, first at {at}: {got[at]!r}, not {want[at]!r}"
    return None


def outputs_of(p: Program, grad: bool) -> list[tuple[str, Any, bool]]:
    out = [(n, p.values[n].variable, p.values[n].single) for n in p.outputs]
    if not grad:
        return out
    floats = [p.values[n] for n in p.outputs if p.values[n].kind == "f"]
    if not floats:
        return []
    cost: Any = 0.0
    for v in floats:
        cost = (
            cost + (v.variable * 0.5).sum() if v.exact else cost + T.mean(T.sqr(v.variable)) if v.array.size else cost
        )
    cost = T.cast(cost, "float64") if isinstance(cost, weft.Variable) else None
    wrt = [p.values[n] for n in p.inputs if p.values[n].kind == "f"]
    if cost is None or not wrt:
        return []
    made = weft.grad(cost, [w.variable for w in wrt], disconnected_inputs="ignore")
    single = any(v.single for v in p.values.values())
    return [("cost", cost, single), *((f"d{w.name}", g, single) for w, g in zip(wrt, made, strict=True))]


def failures(programs: list[Program], grad: bool = False) -> list[str]:
    """What differs when these programs are compiled as one function."""
    named = [(p, *o) for p in programs for o in outputs_of(p, grad)]
    if not named:
        return []
    ins = [v for p in programs for v in p.symbols()]
    args = [a for p in programs for a in p.arguments]
    outs = [v for _, _, v, _ in named]
    with np.errstate(all="ignore"):
        want = weft.function(ins, outs, mode="interpret", on_unused_input="ignore")(*args)
    f = weft.function(ins, outs, on_unused_input="ignore")
    found = []
    for call in ("first", "second"):
        for (p, name, _, single), a, b in zip(named, f(*args), want, strict=True):
            problem = difference(a, b, single)
            if problem:
                found.append(f"seed {p.seed}, {name}, {call} call: {problem}")
        if found:
            break
    return found


def check(seeds: list[int], grad: bool = False) -> str | None:
    """The report of what goes wrong with these seeds, each failing program's text with it."""
    programs = [Grower(s, smooth=grad).grow() for s in seeds]
    try:
        found = failures(programs, grad)
        if not found:
            return None
    except Exception:
        found = [traceback.format_exc(limit=-3)]
    if len(programs) > 1:
        alone = [r for s in seeds for r in [check([s], grad)] if r]
        return "\n\n".join(alone) or "\n".join(["only together:", *found, *(p.text() for p in programs)])
    p = programs[0]
    bad = [n for n in p.outputs if any(f" {n}," in line for line in found)]
    return "\n".join([f"seed {p.seed}{' (gradient)' if grad else ''}", *found, p.text(bad or None)])


def main() -> int:
    parser = argparse.ArgumentParser(description="random programs, compiled against interpreted")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--grad", action="store_true")
    parser.add_argument("--group", type=int, default=4, help="programs a function")
    options = parser.parse_args()
    weft.config.verify = True
    start, bad = time.time(), 0
    for first in range(options.first, options.last, options.group):
        seeds = list(range(first, min(first + options.group, options.last)))
        child = os.fork()  # what stops the process stops this group only
        if child == 0:
            report = check(seeds, options.grad)
            if report:
                print(report, end="\n\n", flush=True)
            os._exit(report is not None)
        status = os.waitpid(child, 0)[1]
        bad += status != 0
        if os.WIFSIGNALED(status):
            print(f"seeds {seeds}: stopped by signal {os.WTERMSIG(status)}", flush=True)
        print(
            f"seeds below {min(first + options.group, options.last)} done, {time.time() - start:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    print(f"seeds {options.first} to {options.last}: {bad} groups failed, {time.time() - start:.0f} s")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
