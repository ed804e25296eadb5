"""Timings: the benchmark of the source tree where there is one, else a few programs beside NumPy.

example:
  weft bench
  weft bench --small
  weft bench --rounds 4 --contestants weft,numpy,jax
  weft bench compare A.json B.json

The last but one are arguments of bench/run.py: the whole benchmark, beside its
peers and beside C written by hand, comes with the source tree
(bench/README.md). The last shows
what became slower from one of its runs to another, and ends with 1 if weft did
(weft bench compare --help).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import ArgumentError
from . import compare

PASSES_ON = True  # arguments that it does not know
PARTS = {"compare": compare.main}  # with arguments and a help of their own
TURNS, SECONDS, REST = 3, 0.2, 0.2  # of each contestant; of a turn, and before it
SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "run.py"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--small", action="store_true", help="the few programs, in the source tree too (seconds)")
    parser.add_argument(
        "--json", metavar="FILE", help="write the measurements here; with --small, - is standard output"
    )


def run(options: argparse.Namespace) -> int:
    if in_the_source_tree() and not options.small:
        more = ["--json", options.json] if options.json else []
        return subprocess.run([sys.executable, str(SCRIPT), *options.rest, *more], check=False).returncode
    if options.rest:
        raise ArgumentError(f"{' '.join(options.rest)}: these are of bench/run.py, which comes with the source tree")
    found = [measured(name, make) for name, make in CASES.items()]
    if options.json:
        text = json.dumps(found) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
            return 0
        Path(options.json).write_text(text)
    print(f"{'fastest calls, float32':34}{'weft':>12}{'numpy':>12}{'weft / numpy':>15}")
    for r in found:
        ratio = r["weft"] / r["numpy"]
        print(f"{r['case']:34}{duration(r['weft']):>12}{duration(r['numpy']):>12}{ratio:>15.2f}")
    if not in_the_source_tree():
        print("The whole benchmark comes with the source tree: python bench/run.py")
    return 0


def in_the_source_tree() -> bool:
    """Whether the script is ours: beside an installed package another project may have a folder bench."""
    try:
        return SCRIPT.is_file() and '\nname = "weft"\n' in (SCRIPT.parents[1] / "pyproject.toml").read_text()
    except OSError:
        return False


def measured(name: str, make: Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]) -> dict[str, Any]:
    """The fastest call of each, in turns, so that a busy moment of the machine meets both; the answers are compared.

    Between turns nothing runs: threads of NumPy's BLAS spin on for a while, and would take a processor from weft.
    """
    own, other = make()
    if not agree(own(), other()):
        raise ArithmeticError(f"{name}: the answers differ")
    best = {"weft": float("inf"), "numpy": float("inf")}
    for _ in range(TURNS):
        for who, f in (("weft", own), ("numpy", other)):
            time.sleep(REST)
            until = time.perf_counter() + SECONDS
            while (start := time.perf_counter()) < until:
                f()
                best[who] = min(best[who], time.perf_counter() - start)
    return {"case": name, **best}


def agree(got: np.ndarray, want: np.ndarray) -> bool:
    """Whether they do in float32, beside the element and the mean one: those of a softmax are small."""
    size = np.abs(want)
    return bool((np.abs(got - want) <= 2e-5 * (size + size.mean())).all())


def duration(seconds: float) -> str:
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def _chain() -> tuple[Callable[[], Any], Callable[[], Any]]:
    from .. import tensor as T
    from ..compiler.graph.function import function

    def text(m: Any, a: Any) -> Any:
        return m.tanh(a * 2 + 1) * m.exp(-a * a) + m.sqrt(m.abs(a)) - a / (1 + a * a)

    x = T.fvector("x")
    value = np.random.default_rng(0).normal(size=10**6).astype("float32")
    f = function([x], text(_Own(), x))
    return lambda: f(value), lambda: text(np, value)


class _Own:
    """weft's operations under NumPy's names."""

    def __getattr__(self, name: str) -> Any:
        from .. import tensor as T

        return getattr(T, {"abs": "abs_"}.get(name, name))


def _product() -> tuple[Callable[[], Any], Callable[[], Any]]:
    from .. import tensor as T
    from ..compiler.graph.function import function

    a, b = (np.random.default_rng(k).normal(size=(512, 512)).astype("float32") for k in (0, 1))
    x, y = T.fmatrix("x"), T.fmatrix("y")
    f = function([x, y], T.dot(x, y))
    return lambda: f(a, b), lambda: a @ b


def _softmax() -> tuple[Callable[[], Any], Callable[[], Any]]:
    from .. import tensor as T
    from ..compiler.graph.function import function

    value = np.random.default_rng(0).normal(size=(1024, 1024)).astype("float32")
    x = T.fmatrix("x")
    f = function([x], T.nnet.softmax(x))

    def other() -> Any:
        e = np.exp(value - value.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    return lambda: f(value), other


CASES = {"chain of 14 operations, 10^6": _chain, "matrix product 512x512x512": _product, "softmax 1024x1024": _softmax}
