"""Loops cut where conditions on their variable change (index set splitting; Griebl, Feautrier, Lengauer 2000).

Padding, a gradient of a slice, a concatenation, a triangle are choices by places: `i < n ? load : 0`. As a choice for
each element they are compared as 64-bit numbers, loaded under masks, chosen. Between two places where one of them
changes there is nothing to choose:

    exact       conditions that change at places of known order: a loop for each segment, in it every condition is known
    all true    else, where all mostly hold: a loop for that, and the loop with conditions for what is left at both ends
    cases       else: the places are put in order by the call, and for what often holds together there is a loop

What does not change in the loop but with one around it (which row of a frame it is) is asked once, before.
"""

from __future__ import annotations

import operator
import random
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from ..ir import lengths
from ..ir.node import Node, build, constant, topological
from ..ir.ops.elementwise import is_function
from .expressions import depends_on
from .nests import values_of

MOST_CUTS, MOST_CASES, MOST_CONDITIONS = 3, 3, 16
MOST_COPIES = 6  # of functions, which take long to compile
MOSTLY = 0.8  # of the elements
MOST_NODES = 300  # of a loop and its copies
SHORT = 16  # elements, that are not worth it
COMPARISONS = ("lt", "le", "gt", "ge", "eq")
ZERO, ONE = lengths.const(0), lengths.const(1)


class Cut(NamedTuple):
    """A comparison, and the places where it changes: from `first` on and up to `last` it is true (None: no bound)."""

    leaf: Node
    first: Node | None
    last: Node | None


class Segment(NamedTuple):
    end: Node | None  # None: that of the loop
    statements: list[Node]


class Exact(NamedTuple):
    """`rows`: a condition that does not change in the loop, or none; for each truth of it the segments."""

    rows: list[Node]
    segments: dict[bool, list[Segment]]


class AllTrue(NamedTuple):
    """Where `rows` hold, from all of `firsts` on and up to all of `lasts`, statements without conditions."""

    rows: list[Node]
    firsts: list[Node]
    lasts: list[Node]
    statements: list[Node]


class Cases(NamedTuple):
    """What changes at `places`, in any order; statements for some truths of the conditions, each a bit."""

    conditions: list[Node]
    places: list[Node]
    cases: dict[int, list[Node]]


def split(body: list[Node], k: int, extent: Node | None) -> Exact | AllTrue | Cases | None:
    """How a loop of stores over variable k is cut; None where it is not, or where it would be too long."""
    short = extent is not None and lengths.is_below(extent, SHORT)
    if short or any(s.op == "loop" for s in body):
        return None
    values = values_of(body)
    nodes = topological(values)
    var = build("index", index=k)
    rows, cuts = _conditions(nodes, var)
    conditions = [*rows, *(c.leaf for c in cuts)]
    if not 0 < len(conditions) <= MOST_CONDITIONS or len(nodes) > MOST_NODES:
        return None
    depends = depends_on(values)
    guarded = any(is_guarded(n) and var in depends[n] for n in nodes)
    if not cuts and not guarded:
        return None
    functions = sum(map(is_function, nodes))
    exact = _exact(body, var, rows, extent)
    if exact is not None:
        copies = [s.statements for segments in exact.segments.values() for s in segments]
        size = sum(len(topological(values_of(c))) for c in copies)
        if functions * len(copies) <= MOST_COPIES and size <= MOST_NODES:
            return exact
    firsts = list(dict.fromkeys(c.first for c in cuts if c.first is not None))
    lasts = list(dict.fromkeys(c.last for c in cuts if c.last is not None))
    places = list(dict.fromkeys([*firsts, *lasts]))
    often = _often(conditions, places, var, extent)
    most = min(MOST_CASES, max(MOST_NODES // len(nodes), 1), *([MOST_COPIES // functions - 1] if functions else []))
    every = (1 << len(conditions)) - 1
    if most < 1 or not often:
        return None
    if often.get(every, 0) >= MOSTLY and all(c.first is None or c.last is None for c in cuts):
        known = resolved(body, dict.fromkeys(conditions, True))
        return AllTrue(rows, firsts, lasts, known) if known else None
    if not functions and not guarded:
        return None
    chosen = sorted(often, key=lambda mask: -often[mask])[:most]
    cases = {mask: resolved(body, _truths(conditions, mask)) for mask in sorted(chosen)}
    return Cases(conditions, places, {m: c for m, c in cases.items() if c}) if any(cases.values()) else None


def _exact(body: list[Node], var: Node, rows: list[Node], extent: Node | None) -> Exact | None:
    if len(rows) > 1:
        return None
    found: dict[bool, list[Segment]] = {}
    for truth in (True, False) if rows else (True,):
        known = resolved(body, dict.fromkeys(rows, truth))
        if not known:
            return None
        segments = _in_order(known, _conditions(topological(values_of(known)), var)[1], extent)
        if segments is None:
            return None
        found[truth] = segments
    return Exact(rows, found)


def _truths(conditions: list[Node], mask: int) -> dict[Node, bool]:
    return {c: bool(mask >> k & 1) for k, c in enumerate(conditions)}


# Lengths that are tried to see what holds together how often; what comes out is right for any.
TRIED, TIMES = (40, 64, 100, 1000), 24
ARITHMETIC: dict[str, Callable[..., int]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg, "maximum": max, "minimum": min,
    "floordiv": lambda a, b: a // b if b else 0, "mod": lambda a, b: a % b if b else 0, "lt": operator.lt,
    "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "and": min, "or": max,
    "switch": lambda c, a, b: a if c else b, "cast": int,
}  # fmt: skip


def _often(conditions: list[Node], places: list[Node], var: Node, extent: Node | None) -> dict[int, float]:
    """Truths of the conditions, as bits, and the share of the elements for which they hold at lengths that are tried.
    Nothing where something is no arithmetic of lengths and loop variables."""
    rng = random.Random(0)
    count: defaultdict[int, float] = defaultdict(float)
    before = topological([*places, *([extent] if extent is not None else [])])
    after = topological(conditions)
    if any(n.op not in ARITHMETIC and n.inputs for n in (*before, *after)):
        return {}
    for _ in range(TIMES):
        values: dict[Node, int] = {}

        def fill(nodes: list[Node], values: dict[Node, int] = values) -> None:
            for n in nodes:
                if n.op == "const":
                    values[n] = int(n.value)
                elif not n.inputs and n is not var:
                    values.setdefault(n, rng.choice(TRIED) if n.op != "index" else rng.randrange(TRIED[0]))
                elif n is not var:
                    values[n] = ARITHMETIC[n.op](*(values[i] for i in n.inputs))

        fill(before)
        end = TRIED[-1] if extent is None else max(values[extent], 0)
        for first, last in pairwise(sorted({0, end, *(min(max(values[p], 0), end) for p in places)})):
            values[var] = first
            fill(after)
            count[sum(bool(values[c]) << k for k, c in enumerate(conditions))] += (last - first) / end / TIMES
    return dict(count)


def is_guarded(n: Node) -> bool:
    """Whether an access has a condition, its last input."""
    return len(n.inputs) > {"load": 1, "checked": 2}.get(n.op, len(n.inputs))


def at_most(a: Node, b: Node) -> bool:
    """Whether a is known to be no greater than b."""
    return lengths.nonneg(lengths.sub(b, a))


def _conditions(nodes: list[Node], var: Node) -> tuple[list[Node], list[Cut]]:
    """Of the choices and guards among the nodes, the comparisons of places: what does not change with the variable (as
    much at once as there is), and what changes where."""
    stack = [n.inputs[0] for n in nodes if n.op == "switch"]
    stack += [n.inputs[-1] for n in nodes if is_guarded(n)]
    rows: dict[Node, None] = {}
    cuts: dict[Node, Cut] = {}
    seen: set[Node] = set()
    while stack:
        c = stack.pop()
        if c in seen:
            continue
        seen.add(c)
        if c.op in COMPARISONS:
            cut = _cut(c, var)
            if cut is not None:
                cuts[c] = cut
                continue
        if var not in topological([c]) and _of_places(c):
            if c.op != "const":
                rows[c] = None
        elif c.op in ("and", "or"):
            stack += c.inputs
    return list(rows), list(cuts.values())


def _of_places(c: Node) -> bool:
    """Whether a condition is made of lengths and loop variables alone, as long as none of them wraps around."""
    for n in topological([c], lambda n: n.inputs if n.op in ("and", "or") else ()):
        if n.op in COMPARISONS:
            if not all(_is_place(i) for i in n.inputs):
                return False
        elif n.op not in ("and", "or", "const"):
            return False
    return True


def _is_place(x: Node) -> bool:
    return x.type.dtype == "int64" and lengths.is_moderate(lengths.normal(x))


def _cut(c: Node, var: Node) -> Cut | None:
    """Where a comparison changes that is linear in the variable; None for others."""
    if not all(map(_is_place, c.inputs)):
        return None
    a, b = map(lengths.normal, c.inputs)
    if c.op in ("gt", "ge"):
        a, b = b, a
    away = lengths.sub(b, a)  # at least 0 where it holds
    factor = lengths.coefficient(away, var)
    if factor is None or factor == 0 or (c.op == "eq" and abs(factor) != 1):
        return None
    rest = lengths.sub(away, lengths.scale(var, factor))
    if c.op == "eq":
        at = lengths.scale(rest, -factor)
        return Cut(c, at, lengths.add(at, ONE))
    if c.op in ("lt", "gt"):
        rest = lengths.sub(rest, ONE)
    if factor > 0:
        first = _divided(lengths.add(lengths.scale(rest, -1), lengths.const(factor - 1)), factor)
        return Cut(c, first, None)
    return Cut(c, None, lengths.add(_divided(rest, -factor), ONE))


def _divided(a: Node, b: int) -> Node:
    return a if b == 1 else lengths.floordiv(a, lengths.const(b))


def _in_order(body: list[Node], cuts: list[Cut], extent: Node | None) -> list[Segment] | None:
    """The segments of a loop whose cuts are known to follow one another; None where they are not, or are too many."""
    places: list[Node] = []  # inside the loop, ascending
    number: dict[Node | None, int] = {}  # of the first segment after a place
    beyond: list[Node] = []
    for place in dict.fromkeys(p for c in cuts for p in (c.first, c.last) if p is not None):
        if at_most(place, ZERO):
            number[place] = 0
        elif extent is not None and at_most(extent, place):
            beyond.append(place)
        else:
            at = next((s for s, p in enumerate(places) if at_most(place, p)), len(places))
            if not all(at_most(p, place) for p in places[:at]):
                return None
            places.insert(at, place)
    if len(places) > MOST_CUTS:
        return None
    number |= {p: s for s, p in enumerate(places, 1)}
    number |= dict.fromkeys(beyond, len(places) + 1)
    found = []
    for s, end in enumerate([*places, None]):
        truth = {c.leaf: number.get(c.first, 0) <= s < number.get(c.last, len(places) + 1) for c in cuts}
        known = resolved(body, truth)
        if not known:
            return None
        found.append(Segment(end, known))
    return found


def resolved(statements: list[Node], truth: dict[Node, bool]) -> list[Node]:
    """Statements in which some conditions are known. None at all where an index would not be looked up any more: what
    a choice does not take is read all the same."""
    known = {c: constant(t, "bool") for c, t in truth.items()}
    done = dict(known)
    for n in topological(statements, lambda n: () if n in known else n.inputs):
        if n not in done:
            done[n] = _resolved(n, [done[i] for i in n.inputs])
    new = [done[s] for s in statements]
    checks = {done[n] for n in done if n.op == "checked"}
    return new if checks <= {*topological(new), constant(0, "int64")} else []


def _resolved(n: Node, inputs: list[Node]) -> Node:
    if all(a is b for a, b in zip(n.inputs, inputs, strict=True)):
        return n
    known = [bool(i.value) if i.op == "const" and i.type.dtype == "bool" else None for i in inputs]
    if n.op in ("and", "or"):
        ends = n.op == "or"  # what decides it alone
        if ends in known:
            return constant(ends, "bool")
        left = [i for i, t in zip(inputs, known, strict=True) if t is None]
        return build(n.op, *left) if len(left) > 1 else left[0] if left else constant(not ends, "bool")
    if n.op == "switch" and known[0] is not None:
        return inputs[1] if known[0] else inputs[2]
    if n.op in ("load", "checked") and known[-1] is not None:
        if not known[-1]:  # what is read there is 0
            return constant(0, n.type.dtype)
        return build(n.op, *inputs[:-1], **dict(n.attrs))
    return build(n.op, *inputs, **dict(n.attrs))
