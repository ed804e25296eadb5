"""Other calls of the same programs: with arguments that lie otherwise in memory, with variables that are lent and given
back, with numbers at the ends of their range, indices that are wrong, infinities and NaN.

Programs are grown so that values are finite and bounded, and a first call has no other. What rewriting may make of an
infinity (docs/semantics.md, licences) is not asked here: the reference of calls with such numbers is the interpreter on
the program after its rewriting, so what they test is all that comes after. Errors are those of the program as it was
written.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from fuzz_criterion import Runs, first_other_sign, judge, near, signs_differ
from fuzz_program import Program
from fuzz_report import (
    Call,
    Difference,
    Place,
    Report,
    broken,
    headline,
    may_pass,
    raised,
    restored,
    same_bits,
    told,
)  # fmt: skip

import weft
from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.interp import evaluate
from weft.runtime.errors import BoundsError, WeftError

FAILING = 4  # calls of a group that have to fail


def other_calls(group: Any, report: Report) -> None:
    elsewhere(group, random.Random(group.programs[0].seed))
    in_turn(group)
    for change in (at_the_ends, not_finite):
        extreme(group, report, change)


# Memory


LAYOUTS = ("read-only", "misaligned", "swapped", "backwards", "spread")
WAYS = ("beside what is lent", "from what was given back")


def laid_out(a: Any, kind: str) -> Any:
    """The same values: read-only, misaligned, byte-swapped, backwards, or every other one of more."""
    if not isinstance(a, np.ndarray):
        return a
    made = a.copy()
    if kind == "misaligned" and a.itemsize > 1:
        room = np.zeros(a.nbytes + 1, np.uint8)[1:]
        made = np.ndarray(a.shape, a.dtype, room)
        made[...] = a
    elif kind == "swapped" and DTYPES[a.dtype.name].kind in "iuc" + "f" * (a.dtype.name != "bfloat16"):
        made = a.astype(a.dtype.newbyteorder())
    elif kind == "backwards" and a.ndim:
        made = np.flip(np.flip(a).copy())
    elif kind == "spread" and a.ndim:
        made = np.repeat(a, 2, axis=-1)[..., ::2]
    made.flags.writeable = kind != "read-only"
    return made


def elsewhere(group: Any, rng: random.Random) -> None:
    """The bits do not depend on where arguments and states lie, and nothing that somebody holds changes."""
    layouts = [(way, [rng.choice(LAYOUTS) if isinstance(a, np.ndarray) else "" for a in group.args]) for way in WAYS]
    group.call = Call("elsewhere", group.args, layouts)
    found = lying_elsewhere(group.function, group.lowered.storages, group.args, group.lent, layouts)
    if found is not None:
        k, text = found
        raise Difference(*((group.programs[0], "the call") if k is None else _named(group, k)), text)


# What these two find is written out for a program that fails (fuzz_text.py): they take what a plain program has.


def lying_elsewhere(
    f: Any, storages: Sequence[Any], args: Sequence[Any], lent: Sequence[bool], layouts: Sequence[tuple[str, list[str]]]
) -> tuple[int | None, str] | None:
    """What is wrong where arguments and shared variables lie elsewhere, and with which result (None: with the call)."""
    states = [s.array().copy() for s in storages]
    with restored(storages, states):
        outs = [np.array(o) if own else o for o, own in zip(f(*args), lent, strict=True)]
        first = [*outs, *(s.copy() for s in storages)]
        held = [*first, *(a for a in args if isinstance(a, np.ndarray))]
        before = [a.copy() for a in held]
        for way, kinds in layouts:
            moved = [laid_out(a, kind) for a, kind in zip(args, kinds, strict=True)]
            given = [a.copy() for a in moved if isinstance(a, np.ndarray)]
            for k, s in enumerate(storages):
                if way == "beside what is lent":
                    s.replace(states[k].copy())
                    held.append(s.lend())
                else:
                    back = held[len(before) - len(storages) + k]
                    s.replace(back, borrow=True)
            before += [states[k].copy() for k in range(len(held) - len(before))]
            made = f(*moved)
            found = [*made, *(s.copy() for s in storages)]
            for k, (a, b) in enumerate(zip(found, first, strict=True)):
                if not same_bits(np.asarray(a), np.asarray(b)):
                    return k, f"other bits of arguments that lie elsewhere, {way}"
            moved = [a for a in moved if isinstance(a, np.ndarray)]
            if not all(map(same_bits, [*held, *moved], [*before, *given])):
                return None, f"it writes to what somebody else holds, {way}"
            own = [a for a in (*outs, *made, *(s.array() for s in storages)) if a.size]
            own.sort(key=lambda a: a.__array_interface__["data"][0])
            if any(np.may_share_memory(a, b) for a, b in pairwise(own)):
                return None, f"results share memory, {way}"
    return None


def _named(group: Any, k: int) -> tuple[Program, str]:
    count = len(group.named)
    return group.named[k] if k < count else (group.programs[0], f"state {k - count}")


def in_turn(group: Any) -> None:
    """Another function of the same shared variables is called in between, and moves what some of them hold."""
    programs = [(p, n) for p in group.programs for n in p.states()]
    if not programs:
        return
    group.call = Call("in turn", group.args)
    storages, variables = group.lowered.storages, [p.scope[n] for p, n in programs]
    found = with_another(group.function, storages, variables, group.args)
    if found is None:
        return
    which, k, text = found
    if which == "call":
        raise Difference(group.programs[0], "the call", text)
    named = programs[k] if which == "variable" else _named(group, k + len(group.named) * (which == "state"))
    raise Difference(*named, text)


def with_another(
    f: Any, storages: Sequence[Any], variables: Sequence[Any], args: Sequence[Any]
) -> tuple[str, int, str] | None:
    """What is wrong after another function of the same shared variables: with a "variable", a "result", a "state"
    (which of them) or the "call"."""
    turned = [s[::-1] if s.ndim else s for s in variables]
    other = weft.function([], turned, updates=list(zip(variables, turned, strict=True))[::2])
    with restored(storages, [s.array().copy() for s in storages]):
        f(*args)
        held = [s.get_value() for s in variables]
        outs = other()
        for k, (out, before, s) in enumerate(zip(outs, held, variables, strict=True)):
            want = before[::-1] if before.ndim else before
            if not same_bits(np.asarray(out), want) or not same_bits(s.get_value(), before if k % 2 else want):
                return "variable", k, "another function reads it, and turns it round: not what is there after that"
        between = [s.array().copy() for s in storages]
        found = []
        for _ in "ab":  # from what the other function has left, from copies of that
            made: list[Any] = []
            error = raised(lambda made=made: made.extend(np.array(o) for o in f(*args)))
            found.append((error, [*made, *(s.array().copy() for s in storages)]))
            for s, v in zip(storages, between, strict=True):
                s.replace(v.copy())
        (one, first), (two, second) = found
        texts = [e and headline(e) for e in (one, two)]
        any_thread = isinstance(one, BoundsError) and isinstance(two, BoundsError)
        if texts[0] != texts[1] and not any_thread:
            return "call", 0, "after another function: {}, from copies: {}".format(*texts)
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            if not same_bits(a, b):
                text = "other bits of states that another function has written"
                return "result" if one is None else "state", k, text
    return None


# Numbers


def at_the_ends(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some integers at the ends of their range, some floats that are a zero of either sign or hardly more."""
    kind, made = DTYPES[a.dtype.name].kind, a.copy()
    if kind in "iu":
        low, high = np.iinfo(a.dtype).min, np.iinfo(a.dtype).max
        numbers = np.array([low, low + 1, high, high - 1, 0, 1], a.dtype)
    elif kind == "f":
        least = np.ones((), f"u{a.itemsize}").view(a.dtype)[()]  # the least there is
        numbers = np.array([-0.0, 0.0, least, -least, 1.0], a.dtype)
    else:
        return made
    some = rng.random(a.shape) < rng.choice([0.1, 0.5])
    return np.where(some, rng.choice(numbers, a.shape), made)


def not_finite(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An infinity or NaN or two."""
    made = a.copy()
    if DTYPES[a.dtype.name].kind == "f" and a.size:
        for _ in range(rng.integers(1, 3)):
            made[np.unravel_index(rng.integers(a.size), a.shape)] = rng.choice([np.inf, -np.inf, np.nan])
    return made


def extreme(group: Any, report: Report, change: Callable[..., np.ndarray]) -> None:
    """A call in which every program that can has arguments like these; calls of some of those that fail with them."""
    f, storages = group.function, group.lowered.storages
    states = [s.array().copy() for s in storages]
    region, args, failing = f.stages.simplified, [], []
    for p in group.programs:
        numbers = np.random.default_rng(p.seed)  # the same in a group and alone
        changed = [change(a, numbers) if isinstance(a, np.ndarray) else a for a in p.arguments]
        if change is not_finite and any("complex" in line for line in p.lines):
            changed = p.arguments  # NumPy's products of complex infinities are not the plain formula
        error = raised(lambda p=p, changed=changed: p.lowered()(changed))
        if error is not None:
            failing.append((p, changed, len(args), error))
        args += p.arguments if error is not None else changed
    names = [*group.named, *group.changed]

    def named(k: int) -> tuple[Program, str]:
        return names[k] if k < len(names) else (group.programs[0], "random state")

    group.call = Call("rewritten", args)
    with restored(storages, states), np.errstate(all="ignore"):
        given = group.lowered.arguments(args)
        want = evaluate(region, given)
        outs = [np.array(o) for o in f(*args)]
        found = [*outs, *(storages[k].array().copy() for k in group.lowered.updates)]
        runs = Runs(region, given)
        for k, (a, b) in enumerate(zip(found, want, strict=True)):
            report.outputs += 1
            if a.shape == b.shape and a.dtype == b.dtype and near(a, b).all():
                if signs_differ(a, b, region.outputs[k]):
                    text, at = f"{change.__name__}: zeros of other signs: {a}, not {b}", first_other_sign(a, b)
                    raise Difference(*named(k), text, Place(k, at, None, True))
                continue
            verdict = judge(a, b, lambda k=k: (None if r is None else r[k] for r in runs), rewritten=True)
            if verdict.state == "differs" and runs.decided and a.dtype == b.dtype and runs.wavering(k):
                verdict = verdict._replace(state="undecided")
            report.undecided += verdict.state == "undecided"
            if verdict.state == "differs":
                place = Place(k, verdict.at, verdict.allowed)
                raise Difference(*named(k), f"{change.__name__}: {verdict.text}", place)
    for p, changed, at, error in failing[:FAILING]:
        args = [*group.args[:at], *changed, *group.args[at + len(changed) :]]
        if change is not_finite:  # x - x is 0 where x is NaN, and then a factorisation may be possible
            with restored(storages, states):
                if raised(lambda args=args: evaluate(region, group.lowered.arguments(args))) is None:
                    continue
        fails(group, p, args, changed, error, change.__name__)
        report.faults += 1


def fails(group: Any, p: Program, args: Sequence[Any], own: Sequence[Any], wanted: WeftError, how: str) -> None:
    """A call that has to fail as the interpreter does, or with another error that the program has, and to change
    nothing. Of several bad indices several threads name the one that any of them meets first."""
    states = [s.array().copy() for s in group.lowered.storages]
    with restored(group.lowered.storages, states):
        for threads in (1, 3):
            group.function.threads, group.call = threads, Call("fails", args, (p, own, threads))
            found = raised(lambda: group.function(*args))
            new = [s.array() for s in group.lowered.storages]
            alike = isinstance(found, BoundsError) and threads > 1 and isinstance(wanted, BoundsError)
            if found is None and may_pass(p, own):
                continue
            if found is None or not (told(wanted, found) or alike or any(told(e, found) for e in broken(p, own))):
                text = "nothing" if found is None else f"{type(found).__name__}: {headline(found)}"
                raise Difference(
                    p, "the call", f"{how}, compiled: {text}, interpreted: {type(wanted).__name__}: {headline(wanted)}"
                )
            if not all(map(same_bits, new, states)):
                raise Difference(p, "the call", f"{how}: it fails, and changes a shared variable")


__all__ = [
    "at_the_ends", "elsewhere", "extreme", "fails", "in_turn", "laid_out", "lying_elsewhere", "not_finite",
    "other_calls", "with_another",
]  # fmt: skip
