"""Random programs compiled, many as one function, against the interpreter; what differs, narrowed to a program."""

from __future__ import annotations

import contextlib
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from fuzz_calls import fails, other_calls
from fuzz_criterion import EQUAL, SEEDS, Runs, Verdict, judge, near
from fuzz_grower import Grower
from fuzz_memory import overlaps
from fuzz_program import Lowered, Program
from fuzz_report import Call, Difference, Place, Report, broken, headline, raised, restored, same_bits, told
from fuzz_slopes import slopes

import weft
from weft.compiler.codegen import c_kernel, c_stages
from weft.compiler.ir.interp import evaluate
from weft.runtime import pool

THREADS = (1, 3)


@contextlib.contextmanager
def fine_grains() -> Iterator[None]:
    """What is compiled meanwhile divides its loops among threads however small they are: those of programs that an
    interpreter can run are not worth a second thread, so that all numbers of threads would do the same."""
    before = c_kernel.CHUNK, c_stages.CHUNK
    c_kernel.CHUNK = c_stages.CHUNK = 0
    try:
        yield
    finally:
        c_kernel.CHUNK, c_stages.CHUNK = before


@contextlib.contextmanager
def threads_of_process(n: int) -> Iterator[None]:
    """No call uses more threads than the process has, which are else as many as the machine's cores."""
    before = pool.threads()
    pool.set_threads(n)
    try:
        yield
    finally:
        pool.set_threads(before)


class Group:
    """Programs as one function: what it gives, what it should."""

    def __init__(self, programs: Sequence[Program]):
        self.programs = programs
        self.ins = [v for p in programs for v in p.symbols()]
        self.args = [a for p in programs for a in p.arguments]
        self.named = [(p, n) for p in programs for n in p.outputs]
        self.changed = [(p, a) for p in programs for a, _ in p.updates]
        outs = [v for p in programs for v in p.variables()]
        pairs = [pair for p in programs for pair in p.pairs()]
        givens = [given for p in programs for given in p.replacements()]
        self.lowered = Lowered(self.ins, outs, pairs, givens)
        self.lent = [lent for p in programs for lent in p.lent]
        outs = [weft.Out(v, borrow=True) if lent else v for v, lent in zip(outs, self.lent, strict=True)]
        with fine_grains():
            self.function = weft.function(self.ins, outs, updates=pairs, givens=givens, on_unused_input="ignore")
        self.overlaps = overlaps("\n".join(text for _, text in self.function.stages.generated.units))
        self.alone: dict[int, Runs] = {}
        self.call = Call()  # what is being done with it

    def compare(self, report: Report, calls: int = 2) -> None:
        """Calls the function, and raises Difference."""
        f, storages = self.function, self.lowered.storages
        assert len(f.storages) == len(storages)
        if self.overlaps:
            self.call = Call("arena")
            raise Difference(self.programs[0], "the arena", self.overlaps[0])
        states = [s.array().copy() for s in storages]
        kept: tuple[list[Any], list[Any]] | None = None
        given = [np.array(a) for a in self.args if isinstance(a, np.ndarray)]
        loops = pool.counts()["loops"]
        with restored(storages, states), threads_of_process(max(THREADS)):
            for threads in THREADS:
                for s, v in zip(storages, states, strict=True):
                    s.replace(v.copy())
                f.threads, self.call = threads, Call("called", self.args, threads)
                outs = [np.array(o) for o in f(*self.args)]
                new = [s.array().copy() for s in storages]
                self.call = Call("untouched", self.args)
                self.untouched(given, states, new)
                self.call = Call("threads", self.args)
                if kept is None:
                    kept, self.call = (outs, new), Call("called", self.args, threads)
                    self.judge(self.args, outs, new, states, report)
                elif not all(map(same_bits, [*outs, *new], [*kept[0], *kept[1]])):
                    k = [same_bits(a, b) for a, b in zip([*outs, *new], [*kept[0], *kept[1]], strict=True)].index(False)
                    p, n = self.named[k] if k < len(outs) else (self.programs[0], f"state {k - len(outs)}")
                    raise Difference(p, n, f"other bits with {threads} threads than with {THREADS[0]}")
            if storages and calls > 1:
                self.again(states, report)
        report.coverage["fusion loop on several threads"] += pool.counts()["loops"] - loops

    def untouched(self, given: list[np.ndarray], states: list[np.ndarray], new: list[np.ndarray]) -> None:
        """Arguments are as they were, and shared variables that nothing updates."""
        if not all(map(same_bits, given, (a for a in self.args if isinstance(a, np.ndarray)))):
            raise Difference(self.programs[0], "the call", "it changes an argument")
        for k in set(range(len(states))) - set(self.lowered.updates):
            if not same_bits(new[k], states[k]):
                raise Difference(self.programs[0], f"state {k}", "it changes a shared variable that has no update")

    def again(self, first: list[np.ndarray], report: Report) -> None:
        """The second call, which begins at what the first has left. A program that fails there interpreted has to fail
        compiled; the others are then called with it at its first states."""
        f, storages = self.function, self.lowered.storages
        states = [s.array().copy() for s in storages]
        outs: list[np.ndarray] = []
        self.call = Call("again", self.args)
        found = raised(lambda: outs.extend(np.array(o) for o in f(*self.args)))
        if found is not None:
            alone = [(p, p.lowered()) for p in self.programs]
            failing = [(p, one, e) for p, one in alone if (e := raised(lambda p=p, one=one: one(p.arguments)))]
            if not any(told(e, found) for p, _, e in failing for e in (e, *broken(p))):
                wanted = [f"seed {p.seed}: {headline(e)}" for p, _, e in failing]
                text = f"compiled: {type(found).__name__}: {headline(found)}, interpreted: {wanted or 'nothing'}"
                raise Difference(failing[0][0] if failing else self.programs[0], "the second call", text)
            if not all(map(same_bits, [s.array() for s in storages], states)):
                raise Difference(failing[0][0], "the second call", "it fails, and changes a shared variable")
            report.faults += 1
            back = {id(s) for _, one, _ in failing for s in one.storages}
            for s, v in zip(storages, first, strict=True):
                if id(s) in back:
                    s.replace(v.copy())
            states = [s.array().copy() for s in storages]
            self.call = Call("after an error", self.args)
            outs = [np.array(o) for o in f(*self.args)]
        self.judge(self.args, outs, [s.array().copy() for s in storages], states, report)

    def fail(self, report: Report, tries: int = 12, calls: int = 4) -> None:
        """Calls it with an axis of an argument cut: both modes give the same, or fail alike and change nothing."""
        rng = random.Random(self.programs[0].seed)
        places = [(p, k, axis) for p in self.programs for k, a in enumerate(p.arguments)
                  if isinstance(a, np.ndarray) for axis, n in enumerate(a.shape) if n > 1]  # fmt: skip
        harmless = 0
        for p, k, axis in rng.sample(places, min(tries, len(places))):
            own = [np.delete(a, -1, axis) if j == k else a for j, a in enumerate(p.arguments)]
            wanted = raised(lambda own=own, p=p: p.lowered()(own))
            harmless += wanted is None
            if wanted is None and harmless > 1:
                continue
            calls -= 1
            if calls < 0:
                return
            args = [a for q in self.programs for a in (own if q is p else q.arguments)]
            how = f"with axis {axis} of argument {p.inputs[k]} an element shorter"
            if wanted is not None:
                fails(self, p, args, own, wanted, how)
                report.faults += 1
                continue
            storages, self.call = self.lowered.storages, Call("called", args, max(THREADS))
            states = [s.array().copy() for s in storages]
            with restored(storages, states):
                outs: list[np.ndarray] = []
                found = raised(lambda args=args, outs=outs: outs.extend(np.array(o) for o in self.function(*args)))
                if found is not None:
                    raise Difference(p, "the call", f"{how}, compiled: {headline(found)}, interpreted: nothing")
                new = [s.array().copy() for s in storages]
                try:
                    self.judge(args, outs, new, states, report)
                except Difference as e:
                    raise Difference(e.program, e.name, f"{how}: {e.text}", e.place) from e

    def judge(
        self, args: Sequence[Any], outs: list[Any], new: list[Any], states: list[np.ndarray], report: Report
    ) -> None:
        """What a call gave, and the states it left."""
        self.alone = {}
        with restored(self.lowered.storages, states):
            with np.errstate(all="ignore"):
                want = evaluate(self.lowered.region, self.lowered.arguments(args))
            updated = [new[k] for k in self.lowered.updates]
            count = len(self.named)
            # Random states that move on by themselves come after the programs' own updates: exact.
            names = [*self.named, *self.changed]
            names += [(self.programs[0], "random state")] * (len(want) - len(names))
            for k, (got, expected) in enumerate(zip([*outs, *updated], want, strict=True)):
                p, n = names[k]
                if got.shape == expected.shape and got.dtype == expected.dtype and near(got, expected).all():
                    report.outputs += 1
                    continue
                verdict = self.second_look(p, n, k >= count, got, expected, self.own(p, args))
                report.outputs += 1
                report.undecided += verdict.state == "undecided"
                if verdict.state == "differs":
                    result = k if k < count else count + self.lowered.updates[k - count]
                    raise Difference(p, n, verdict.text, Place(result, verdict.at, verdict.allowed))

    def own(self, p: Program, args: Sequence[Any]) -> Sequence[Any]:
        """A program's part of the arguments."""
        before = sum(len(q.inputs) for q in self.programs[: self.programs.index(p)])
        return args[before : before + len(p.inputs)]

    def second_look(
        self, p: Program, name: str, update: bool, got: Any, want: Any, args: Sequence[Any] | None = None
    ) -> Verdict:
        """Against the perturbed runs of the program alone."""
        if id(p) not in self.alone:
            lowered = p.lowered()
            self.alone[id(p)] = Runs(lowered.region, lowered.arguments(p.arguments if args is None else args))
        others = self.alone[id(p)]
        at = [*p.outputs, *(a for a, _ in p.updates)]
        if update and name not in [a for a, _ in p.updates]:
            return Verdict("differs", f"{got}, not {want}")
        k = len(p.outputs) + [a for a, _ in p.updates].index(name) if update else at.index(name)
        verdict = judge(got, want, lambda: (None if r is None else r[k] for r in others))
        if verdict.state != "differs" or got.dtype != want.dtype or got.ndim != want.ndim:
            return verdict  # of another type is wrong whatever comparisons say
        return Verdict("undecided") if others.wavering(k) else verdict


def check(programs: Sequence[Program], report: Report, look: Callable[[Any], Counter[str]] | None = None) -> None:
    """Compares programs as one function; what fails is compiled again alone, and reported."""
    made: list[Program] = []
    try:
        group = Group(programs)
        trial = Report()
        group.compare(trial)
        group.fail(trial)
        other_calls(group, trial)
        for p in programs:
            slopes(p, trial)
        report.add(trial)
        report.programs += len(programs)
        if look is not None:
            report.coverage += look(group.function)
        return
    except Exception as e:
        problem = e
        made = list(programs)
    if len(made) == 1:
        p = made[0]
        text = str(problem) if isinstance(problem, Difference) else "".join(traceback.format_exception(problem)[-4:])
        report.programs += 1
        report.failed.append((p.seed, bool(p.slopes), text))
        report.failures.append(f"seed {p.seed}: {text}")
        return
    # The program that a difference names first; else halves.
    before = len(report.failed)
    half = len(made) // 2
    for some in (made[:half], made[half:]):
        check(some, report, look)
    if len(report.failed) == before:
        report.failed.append((made[0].seed, False, f"only together, seeds {[p.seed for p in made]}: {problem}"))
        report.failures.append(report.failed[-1][2])


def grown(seeds: Sequence[int], grad: bool, report: Report | None = None) -> list[Program]:
    """Their programs; the report counts what is left out."""
    made = [Grower(s, smooth=grad).grow() for s in seeds]
    useful = [p for p in made if p.outputs or p.updates]
    if report is not None:
        report.dropped += Counter(kind for p in made for kind, _ in p.dropped)
        report.dropped += Counter({"programs without outputs": len(made) - len(useful)})
    return useful


__all__ = ["EQUAL", "SEEDS", "Difference", "Group", "Report", "broken", "check", "grown", "same_bits", "slopes"]
