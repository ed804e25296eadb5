"""Makes the compiler wrong at one place at a time, and says which of these mutants the tests find (docs/testing.md).

python tests/mutate.py --sample 40 --seed 0        # that many mutants, drawn at random from all kinds
python tests/mutate.py --kind rule                 # all of a kind; without options: all there are
python tests/mutate.py --kind rule --part 100:200  # some of them, in order
python tests/mutate.py --list
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import fuzz_grower
import fuzz_programs
import pytest
from fuzz_check import Report, grown, slopes
from mutate_kinds import Mutant, mutants
from mutate_known import KNOWN

import weft
from weft.compiler.ir.node import topological
from weft.compiler.ir.rewrite import Stats
from weft.compiler.simplify import simplify
from weft.compiler.simplify.indices import mark

# The part of the suite that is to find a mutant of each kind.
SUITE = {
    "rule": ("test_rewrite_rules.py", "test_rewrite_programs.py", "test_mutate.py"),
    "derivative": ("test_grad_elementwise.py", "test_grad_structure.py", "test_grad_linalg.py"),
    "index map": (
        "test_segments.py", "test_few.py", "test_specimens_index.py", "test_windows.py", "test_fusion.py",
        "test_strided_operands.py",
    ),
    "lifetime": ("test_runtime_program.py", "test_specimens_steps.py", "test_specimens_loops.py", "test_ifelse.py"),
    "in place": ("test_mutate.py", "test_runtime_program.py", "test_around_products.py", "test_specimens_steps.py"),
}
SEEDS = range(32)  # of the fuzz sample
PER_RULE = 4  # programs in which the rule fires, of seeds below WIDE
WIDE = 442
SECONDS = 120
TOO_LONG = "too long"  # a mutant that goes round in circles, or a machine with much else to do: not counted as found


class Sample:
    """Which programs are to find a mutant."""

    def __init__(self) -> None:
        self.by_rule: dict[str, list[tuple[int, bool]]] = {}
        self.by_op: dict[str, list[int]] = {}

    def fill(self, wanted: set[str]) -> None:
        """Looks for programs in which these rules fire or these operations are differentiated."""
        for seed in range(WIDE):
            for grad in (False, True):
                aimed = fuzz_grower.ALL[seed % len(fuzz_grower.ALL)].name in wanted
                if not (aimed or (seed < 100 and wanted)):
                    continue
                for p in grown([seed], grad):
                    lowered = p.lowered()
                    stats = Stats()
                    marked, _ = mark(lowered.region, lowered.function.origins)
                    simplify(marked, lowered.function.origins, stats)
                    for name in stats.fired:
                        self.by_rule.setdefault(name, []).append((seed, grad))
                    if p.slopes:
                        for n in topological(lowered.region.roots()):
                            self.by_op.setdefault(n.op, []).append(seed)

    def of(self, m: Mutant) -> list[tuple[int, bool]]:
        if m.kind == "rule" and m.about:
            return self.by_rule.get(m.about, [])[:PER_RULE]
        if m.kind == "derivative":
            return [(s, True) for s in dict.fromkeys(self.by_op.get(m.about, []))][:12]
        return [(s, False) for s in SEEDS] + [(s, True) for s in SEEDS[:8]]


def found_by_fuzz(m: Mutant, programs: list[tuple[int, bool]]) -> bool:
    if m.kind == "derivative":
        for seed, grad in programs:
            for p in grown([seed], grad):
                slopes(p, Report())
        return False
    for first in range(0, len(programs), 8):
        some = programs[first : first + 8]
        for grad in (False, True):
            seeds = [s for s, g in some if g == grad]
            if seeds and fuzz_programs.report_of(seeds, grad, cover=False).failures:
                return True
    return False


def found_by_suite(m: Mutant) -> bool:
    here = Path(__file__).parent
    files = [str(here / f) for f in SUITE[m.kind]]
    return pytest.main(["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-W", "ignore", *files]) != 0


def apart(what: Any, limit: int = SECONDS) -> str:
    """Runs something in a process of its own, with nothing printed: "yes", "no", or how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        signal.alarm(limit)
        weft.config.reuse = False  # what a mutant compiles is no entry for anybody, nor is it to be spared that
        os.environ["WEFT_REUSE"] = "0"
        try:
            answer = "yes" if what() else "no"
        except BaseException as e:
            answer = type(e).__name__
        with os.fdopen(writer, "wb") as out:
            pickle.dump(answer, out)
        os._exit(0)
    os.close(writer)
    data, ended = b"", False
    try:
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # whichever of the two is first
        data, ended = fuzz_programs.read_until(reader, time.monotonic() + limit + 10)
    finally:  # also when this process is interrupted: the mutant has a group of its own, and would go on
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if data:
        return pickle.loads(data)
    if not ended:
        return TOO_LONG
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return TOO_LONG if ended == signal.SIGALRM else f"signal {ended}" if ended else "ended"


def without(kind: str, sample: Sample, seconds: int, suite: bool) -> str | None:
    """What is wrong where no mutant is: a test that fails anyway, or that is not there, would find every one."""
    none = Mutant(kind, "no mutant", lambda: None)
    found = {"fuzz": apart(lambda: found_by_fuzz(none, sample.of(none)), seconds)}
    if suite:
        found["suite"] = apart(lambda: found_by_suite(none), seconds)
    wrong = [f"{kind}, no mutant: {by}: {answer}" for by, answer in found.items() if answer not in ("no", TOO_LONG)]
    return "\n".join(wrong) or None


def main() -> int:
    parser = argparse.ArgumentParser(description="mutants of the compiler, and what finds them")
    parser.add_argument("--sample", type=int, default=0, help="how many, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default="", help="rule, derivative, index map, lifetime or in place")
    parser.add_argument("--only", default="", help="mutants whose name holds this")
    parser.add_argument("--part", default="", help="those from A up to B, in order: A:B, A: or :B")
    parser.add_argument("--no-suite", action="store_true", help="the fuzz sample only")
    parser.add_argument("--either", action="store_true", help="the suite only where the fuzz sample finds nothing")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each of the two; more beside other work")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = [m for m in mutants() if options.kind in ("", m.kind) and options.only in m.name]
    if options.part:
        first, last = (int(n) if n else None for n in options.part.split(":"))
        chosen = chosen[first:last]
    if options.sample and options.sample < len(chosen):
        # As many of each kind: there are far more places in code than rules.
        kinds = sorted({m.kind for m in chosen})
        rng, drawn = random.Random(options.seed), []
        for k, kind in enumerate(kinds):
            of_kind = [m for m in chosen if m.kind == kind]
            count = options.sample // len(kinds) + (k < options.sample % len(kinds))
            drawn += rng.sample(of_kind, min(count, len(of_kind)))
        chosen = drawn
    if options.list:
        print("\n".join(f"{m.kind}: {m.name}" for m in chosen))
        return 0
    weft.config.verify = True
    sample = Sample()
    sample.fill({m.about for m in chosen if m.about})
    for kind in dict.fromkeys(m.kind for m in chosen):
        if (wrong := without(kind, sample, options.seconds, not options.no_suite)) is not None:
            print(wrong)
            return 1
    start, count, left = time.time(), Counter(), []
    for m in chosen:

        def by_fuzz(m: Mutant = m) -> bool:
            m.apply()
            return found_by_fuzz(m, sample.of(m))

        def by_suite(m: Mutant = m) -> bool:
            m.apply()
            return found_by_suite(m)

        fuzz = apart(by_fuzz, options.seconds)
        enough = options.either and fuzz not in ("no", TOO_LONG)
        suite = "not run" if options.no_suite or enough else apart(by_suite, options.seconds)
        caught = [
            name for name, answer in (("fuzz", fuzz), ("suite", suite)) if answer not in ("no", "not run", TOO_LONG)
        ]
        for name in caught or ["nothing"]:
            count[m.kind, name] += 1
        count[m.kind, "all"] += 1
        count[m.kind, "either"] += bool(caught)
        reason = KNOWN.get((m.kind, m.name), "")
        if not caught:
            left.append((m, reason))
        known = f": known, {'but found: ' * bool(caught)}{reason}" if reason else ""
        print(f"{m.kind}: {m.name}: {' and '.join(caught) or 'survives'} ({fuzz}, {suite}){known}", flush=True)
    print(f"\n{len(chosen)} mutants, {time.time() - start:.0f} s")
    print("| kind | mutants | found by the fuzz sample | by the suite's part | by either |\n|---|---|---|---|---|")
    for kind in dict.fromkeys(m.kind for m in chosen):
        counts = " | ".join(str(count[kind, what]) for what in ("all", "fuzz", "suite", "either"))
        print(f"| {kind} | {counts} |")
    for m, reason in left:
        print(f"survives: {m.kind}: {m.name}{': ' + reason if reason else ''}")
    return any(not reason for _, reason in left)


if __name__ == "__main__":
    sys.exit(main())
