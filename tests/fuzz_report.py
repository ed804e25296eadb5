"""What comparing random programs comes to: counts, differences, errors that are alike, bits that are."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from fuzz_criterion import plain
from fuzz_program import Program

from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.interp.checks import hold
from weft.compiler.ir.interp.index import within
from weft.compiler.ir.node import Node, Region, region
from weft.runtime.errors import WeftError


@dataclass
class Report:
    """What a group of programs came to."""

    programs: int = 0
    outputs: int = 0
    slopes: int = 0
    resolved: int = 0  # derivatives that could not be wrong by 10 % without being found
    zero: int = 0  # derivatives that are zero everywhere
    rough: int = 0  # derivatives at a kink or a jump, or of values that rounding moves further than the differences do
    undecided: int = 0
    faults: int = 0  # calls that had to fail, and did
    failures: list[str] = field(default_factory=list)  # text of each
    failed: list[tuple[int, bool, str]] = field(default_factory=list)  # seed, whether of gradients, what
    coverage: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)  # lines that were not kept, programs that gave nothing

    def add(self, other: Report) -> None:
        self.programs += other.programs
        self.outputs += other.outputs
        self.slopes += other.slopes
        self.undecided += other.undecided
        self.resolved += other.resolved
        self.zero += other.zero
        self.rough += other.rough
        self.faults += other.faults
        self.failures += other.failures
        self.failed += other.failed
        self.coverage += other.coverage
        self.dropped += other.dropped


class Place(NamedTuple):
    """The element that differs."""

    result: int  # outputs, then all shared variables in their order
    at: tuple[int, ...] | None  # None: the dtype or the shape differ
    allowed: float | None = None  # how far it may be; None: not at all
    sign: bool = False  # it is a zero of another sign


class Call(NamedTuple):
    """What is done with a group's function: fuzz_text.py writes it out where it is what fails."""

    scene: str = "build"
    args: Sequence[Any] = ()
    more: Any = None


class Difference(Exception):
    """A result that differs: of which program, which output or update, how."""

    def __init__(self, program: Program, name: str, text: str, place: Place | None = None):
        super().__init__(f"seed {program.seed}, {name}: {text}")
        self.program, self.name, self.text, self.place = program, name, text, place


@contextlib.contextmanager
def restored(storages: Sequence[Any], values: Sequence[np.ndarray]) -> Iterator[None]:
    """Shared variables hold these values, and those of before at the end."""
    before = [s.array().copy() for s in storages]
    for s, v in zip(storages, values, strict=True):
        s.replace(v.copy())
    try:
        yield
    finally:
        for s, v in zip(storages, before, strict=True):
            s.replace(v)


def raised(run: Callable[[], Any]) -> WeftError | None:
    """The error of a call."""
    try:
        run()
    except WeftError as e:
        return e
    return None


def headline(error: WeftError) -> str:
    return str(error).partition("\n")[0]


def told(wanted: WeftError, found: WeftError) -> bool:
    """Whether a compiled program's error is the interpreter's, or of lengths that it takes to be equal because the
    obligation that does not hold says so: then it names that one, too."""
    where = str(wanted).partition("\n")[2].partition("\n  called with")[0]
    same = headline(wanted) == headline(found) or (where != "" and where in str(found))
    return same and type(wanted) is type(found)


def broken(p: Program, args: Sequence[Any] | None = None) -> Iterator[WeftError]:
    """The errors of a program's results, each alone, and those of their obligations, each alone and for each index: of
    several that do not hold any may be reported."""
    given = p.arguments if args is None else args
    one = [p.lowered([v]) for v in p.variables()] + [p.lowered([], [u]) for u in p.pairs()]
    yield from (e for alone in one if (e := raised(lambda alone=alone: alone(given))))
    for alone in one:
        yield from _each(alone.region, alone.arguments(given))


def may_pass(p: Program, args: Sequence[Any]) -> bool:
    """Whether all that is wrong with a call are indices out of range for tensors without elements: semantics.md leaves
    open whether they are errors."""
    may, must = [], []
    one = [p.lowered([v]) for v in p.variables()] + [p.lowered([], [u]) for u in p.pairs()]
    for alone in one:
        r, given = alone.region, alone.arguments(args)
        for c in dict.fromkeys([*r.checks, *(c for n in r.nodes() for c in n.checks)]):
            must += _wrong(r, c.operands, given, lambda *values, c=c: [partial(hold, c, values)])
        for n in r.nodes():
            if first := n.definition.indices_from:
                may += _wrong(r, n.inputs, given, partial(_places_in_nothing, first))
                must += _wrong(r, n.inputs, given, partial(_places_in_something, first))
    errors = [e for alone in one if (e := raised(lambda alone=alone: alone(args)))]
    return bool(may) and not must and all(any(told(m, e) for m in may) for e in errors)


def _each(r: Region, args: Sequence[Any]) -> Iterator[WeftError]:
    """The errors of a region's obligations, of those outside its loops and branches."""
    for c in dict.fromkeys([*r.checks, *(c for n in r.nodes() for c in n.checks)]):
        yield from _errors(r, c.operands, args, lambda *values, c=c: [partial(hold, c, values)])
    for n in r.nodes():
        if first := n.definition.indices_from:
            yield from _errors(r, n.inputs, args, partial(_places, first))


def _places(first: int, x: np.ndarray, *others: np.ndarray) -> list[Callable[[], Any]]:
    indices = enumerate(others[first - 1 :])
    return [partial(within, v, x.shape[axis]) for axis, index in indices for v in np.unique(index)[:, None]]


def _places_in_nothing(first: int, x: np.ndarray, *others: np.ndarray) -> list[Callable[[], Any]]:
    return [] if x.size else _places(first, x, *others)


def _places_in_something(first: int, x: np.ndarray, *others: np.ndarray) -> list[Callable[[], Any]]:
    return _places(first, x, *others) if x.size else []


Look = Callable[..., list[Callable[[], Any]]]


def _errors(r: Region, operands: Sequence[Node], args: Sequence[Any], look: Look) -> Iterator[WeftError]:
    values: list[Any] = []
    if e := raised(lambda: values.extend(evaluate(region(r.params, operands), args))):
        yield e
    else:
        yield from (e for run in look(*values) if (e := raised(run)))


def _wrong(r: Region, operands: Sequence[Node], args: Sequence[Any], look: Look) -> list[WeftError]:
    """What `look` finds wrong with the operands; nothing where they cannot be computed."""
    values: list[Any] = []
    if raised(lambda: values.extend(evaluate(region(r.params, operands), args))):
        return []
    return [e for run in look(*values) if (e := raised(run))]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bytes, all NaNs being one."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.tobytes() == b.tobytes():
        return True
    if a.dtype.kind in "biu":
        return False
    a, b = plain(a), plain(b)
    return bool(((a == b) & (np.signbit(a.real) == np.signbit(b.real)) | (np.isnan(a) & np.isnan(b))).all())


__all__ = [
    "Call", "Difference", "Place", "Report", "broken", "headline", "may_pass", "raised", "restored", "same_bits",
    "told",
]  # fmt: skip
