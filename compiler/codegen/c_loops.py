"""Statements of a loop nest -> GNU C: loops of stores, blocks of folds, strips of functions with hard arguments.

Reductions follow the contract of docs/numerics.md: elements in row-major order of the folded axes, in blocks of
WEFT_BLOCK, a block in parts of WEFT_PART, a part in lanes (element e in lane e mod L); the lanes of a block's parts are
added, then joined by a fixed tree, the blocks ascending.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, build, topological
from ..lower.kernel import Nest
from . import scalar
from .expressions import Scope, Text, strip
from .nests import acc_node, acc_type, closed, hoist, rounded, start_of, value_type, values_of
from .segments import AllTrue, Cases, Exact, split
from .tracks import SHIFT, Track, finish, join, joined, joining, lanes, shifted, tracks
from .work import has_function

# In front of an inner loop: gcc -O3 else unrolls it before it vectorises, where its length is constant. Folds get up to
# eight times slower by that, and what is conditional gets wrong: gcc 12 makes of neighbouring conditional loads masked
# loads that all have the mask of the first vector (vectorizable_load, loop SLP of more than one vector). This is wrong
# by gcc -O3 -mavx2, and right with the pragma, or with b's element read before the branch (Scope.loads_out):
#     for (long r = 0; r < n; r++)
#         for (long c = 0; c < 12; c++) o[r * 12 + c] = a[r * 12 + c] > 0 ? b[r * 12 + c] : 0;
ROLLED = "#pragma GCC unroll 1"
LINE = 64  # bytes of a line of the cache
UNMASKED = ("checked", "draw_at", "floordiv", "mod")  # no vectors, with or without a mask
SHORT_RUN = 16  # steps below which runs between two quotients are not worth a loop of their own
WITHIN, HELD = 1 << 29, 1 << 20  # numbers of the place in a block, of the arrays that hold its values


def place_type(acc: Node) -> str:
    """The C type of an argmax's place within a block of a column: as wide as its values, so that lanes are."""
    return "int64_t" if value_type(acc) in ("double", "int64_t", "uint64_t") else "int32_t"


def lane(t: Track, element: str, width: int) -> str:
    """Where element `element + l` of a block goes, l < width: its lane is its number modulo the track's lanes."""
    return "l" if t.lanes == width else f"{element} % {t.lanes} + l"


def by_lines(place: Node, row: Node, along: Node) -> bool:
    """Whether what lies there goes along memory, and from row to row lies elsewhere."""
    return row in topological([place]) and lengths.coefficient(place, along) == 1


Part = Callable[[Scope, str, str, list[Node]], None]  # prints what is done from a place to another
Rest = Callable[[], None]


class Asked(NamedTuple):
    """A place in a buffer whose lines are prefetched along a loop."""

    scope: Scope  # with all of the place bound but `along`
    buffer: int
    place: Node
    along: Node
    how: str = ""  # ", 1": for writing


class LoopPrinter:
    """Prints the loops inside a kernel. `in_place`: what it writes may be what it reads, at the same place."""

    def __init__(self, nest: Nest, name: str, in_place: bool):
        self.nest, self.name, self.in_place = nest, name, in_place
        self.ahead: dict[Node, list[Asked]] = {}  # what a loop over lanes prefetches as it goes
        self.asking: list[Asked] = []  # that of the loop being printed

    def pointer(self, buffer: int) -> str:
        return f"p{buffer}" if buffer >= 0 else f"s{-buffer}"

    def closed(self, extent: Node) -> str:
        """A length in terms of the arguments, outside any loop."""
        return closed(extent, lambda: Scope(self.pointer))

    def statements(self, out: Text, scope: Scope, statements: list[Node]) -> None:
        for k, s in enumerate(statements):
            if s.op == "store":
                if k == 0 or statements[k - 1].op != "store":  # neighbours are printed together: they share values
                    run = list(itertools.takewhile(lambda t: t.op == "store", statements[k:]))
                    scope.emit(out, [v for t in run for v in t.inputs])
                out(scope.store(s))
            elif s.op == "loop":
                self.stage(out, scope, s)
            else:
                raise InternalError(f"{s.op} is not a statement that stands alone")

    def vector_loop(
        self, out: Text, scope: Scope, k: int, begin: str, end: str, body: list[Node], *pragmas: str
    ) -> None:
        """A loop of stores, cut where conditions on its variable change."""
        parts = split(body, k, self.extents.get(k))
        if parts is None:
            return self.whole_loop(out, scope, k, begin, end, body, *pragmas)
        moving = {build("index", index=k), *scope.of_columns}

        def part(scope: Scope, first: str, last: str, statements: list[Node]) -> None:
            inner = scope.inner()
            out.open(f"if ({first} < {last})")
            hoist(out, inner, statements, moving)
            self.whole_loop(out, inner, k, first, last, statements, *pragmas)
            out.close()

        def rest() -> None:
            self.whole_loop(out, scope.inner(), k, f"from{k}", f"to{k}", body, *pragmas)

        out.open("")
        if isinstance(parts, Exact):
            self.by_segments(out, scope.inner(), parts, k, begin, end, part)
        elif isinstance(parts, AllTrue):
            self.where_all_hold(out, scope.inner(), parts, k, begin, end, part, rest)
        else:
            self.by_cases(out, scope.inner(), parts, k, begin, end, part, rest)
        out.close()

    def by_segments(self, out: Text, scope: Scope, parts: Exact, k: int, begin: str, end: str, part: Part) -> None:
        scope.emit(out, parts.rows)
        for truth, segments in parts.segments.items():
            if parts.rows:
                out.open(f"if ({strip(scope[parts.rows[0]])})" if truth else "else")
            first = begin
            for s, (place, statements) in enumerate(segments):
                last, inner = end, scope.inner()
                if place is not None:
                    inner.emit(out, [place])
                    last = f"end{k}_{s}"
                    out(f"const int64_t {last} = weft_max64({first}, weft_min64({strip(inner[place])}, {end}));")
                part(inner, first, last, statements)
                first = last
            if parts.rows:
                out.close()

    def where_all_hold(
        self, out: Text, scope: Scope, parts: AllTrue, k: int, begin: str, end: str, part: Part, rest: Rest
    ) -> None:
        """`rest` prints the loop from{k} to to{k}: over what is left at both ends."""
        scope.emit(out, [*parts.rows, *parts.firsts, *parts.lasts])
        rows = " & ".join(scope[c] for c in parts.rows)
        first, last = begin, end
        for place in parts.firsts:
            first = f"weft_max64({first}, {strip(scope[place])})"
        for place in parts.lasts:
            last = f"weft_min64({last}, {strip(scope[place])})"
        out(f"const int64_t first{k} = weft_min64({f'{rows} ? {first} : {end}' if rows else first}, {end});")
        out(f"const int64_t last{k} = weft_max64(first{k}, {last});")
        part(scope, f"first{k}", f"last{k}", parts.statements)
        out.open("for (int side = 0; side < 2; side++)")
        out(f"const int64_t from{k} = side ? last{k} : {begin}, to{k} = side ? {end} : first{k};")
        rest()
        out.close()

    def by_cases(
        self, out: Text, scope: Scope, parts: Cases, k: int, begin: str, end: str, part: Part, rest: Rest
    ) -> None:
        """`rest` prints the loop from{k} to to{k}: a segment of no case."""
        scope.emit(out, parts.places)
        places = ", ".join([begin, *(strip(scope[p]) for p in parts.places), end])
        count = len(parts.places) + 1
        out(f"int64_t cut{k}[] = {{{places}}};")
        out(f"weft_in_order(cut{k}, {count + 1});")
        out.open(f"for (int s = 0; s < {count}; s++)")
        out(f"const int64_t from{k} = cut{k}[s], to{k} = cut{k}[s + 1];")
        out(f"if (from{k} == to{k}) continue;")
        inner = scope.inner()
        inner.bind(build("index", index=k), f"from{k}")
        inner.emit(out, parts.conditions)
        bits = " | ".join(f"{inner[c]} << {b}" for b, c in enumerate(parts.conditions))
        out(f"const int holds = {bits};")
        for mask, statements in parts.cases.items():
            out.open(f"if (holds == {mask})")
            part(scope, f"from{k}", f"to{k}", statements)
            out("continue;")
            out.close()
        rest()
        out.close()

    @cached_property
    def extents(self) -> dict[int, Node]:
        """The lengths of the nest's loops, by the number of their variable."""
        loops = [n for n in topological([self.nest.block]) if n.op == "loop"]
        return {k: extent for n in loops for k, extent in zip(n.attr("index"), n.inputs, strict=False)}

    def whole_loop(
        self, out: Text, scope: Scope, k: int, begin: str, end: str, body: list[Node], *pragmas: str
    ) -> None:
        """A loop of stores. Where a function has hard arguments it runs in strips: each by the fast form, and again by
        the complete one if an argument was hard. Where places go by quotients of its variable it runs from one to the
        next, and between them places lie side by side."""
        scope = scope.inner()
        quotients = quotients_of(body, k)
        if quotients:
            scope.emit(out, [quotients[0].inputs[1]])
        scope.bind(build("index", index=k), f"i{k}")
        values = values_of([s for s in body if s.op != "loop"])  # a loop inside has strips of its own
        width = 0 if quotients or ROLLED not in pragmas else rest_width(body, k, self.extents.get(k))

        def loop(first: str, last: str, inside: Callable[[Scope], None], fast: bool) -> None:
            one = scope.inner()
            one.fast = fast
            if quotients:
                steps = scope[quotients[0].inputs[1]]
                out.open(f"for (int64_t at{k} = {first}; at{k} < {last};)")
                out(f"const int64_t turn{k} = weft_floordiv_i64(at{k}, {steps});")
                out(f"const int64_t past{k} = weft_mod_i64(at{k}, {steps});")
                # Of a length that is 0, or a number below, each element is a turn of its own.
                out(f"const int64_t run{k} = {steps} > 0 ? weft_min64({steps} - past{k}, {last} - at{k}) : 1;")
            if width:
                self.in_vectors(out, one, k, first, last, width, inside, pragmas)
                return
            for p in pragmas:
                out(p)
            if quotients:
                out.open(f"for (int64_t z{k} = 0; z{k} < run{k}; z{k}++)")
                out(f"const int64_t i{k} = at{k} + z{k};")
                for n in quotients:
                    one.bind(n, f"turn{k}" if n.op == "floordiv" else f"(past{k} + z{k})")
            else:
                out.open(f"for (int64_t i{k} = {first}; i{k} < {last}; i{k}++)")
            inside(one)
            out.close()
            if quotients:
                out(f"at{k} += run{k};")
                out.close()

        def all_of_it(one: Scope) -> None:
            self.statements(out, one, body)

        flags = scope.hard_flags(values)
        if not flags:
            return loop(begin, end, all_of_it, False)
        out.open(f"for (int64_t v = {begin}; v < {end}; v += WEFT_STRIP)")
        out(f"const int64_t w = weft_min64(v + WEFT_STRIP, {end});")
        self.declare(out, flags)
        if self.in_place:  # a store may be over what a second run needs: first only the flags
            loop("v", "w", lambda one: one.emit(out, values), True)
            out.open(f"if (!({' | '.join(flags)}))")
            loop("v", "w", all_of_it, True)
            out.close(" else {")
            out.depth += 1
        else:
            loop("v", "w", all_of_it, True)
            out.open(f"if ({' | '.join(flags)})")
        loop("v", "w", all_of_it, False)
        out.close()
        out.close()

    def in_vectors(
        self, out: Text, scope: Scope, k: int, first: str, last: str, width: int, inside: Callable[[Scope], None],
        pragmas: tuple[str, ...],
    ) -> None:  # fmt: skip
        """Full vectors of `width` elements, then what is left as one more under a mask, where masks are cheap: gcc goes
        element by element there, and the last 7 of a row of 119 floats take as long as the 7 vectors before them."""
        length = last if first == "0" else f"({last} - {first})"
        out(f"const int64_t full{k} = WEFT_MASKED ? {length} & -{width} : {length}, left{k} = {length} - full{k};")
        for p in pragmas:
            out(p)
        out.open(f"for (int64_t z{k} = 0; z{k} < full{k}; z{k}++)")
        out(f"const int64_t i{k} = {f'{first} + ' if first != '0' else ''}z{k};")
        inside(scope.inner())
        out.close()
        out.open(f"if (left{k})")
        out(f"int64_t at{k} = {last} - left{k};")
        out(f"WEFT_HIDDEN(at{k});")
        for p in pragmas:
            out(p)
        out.open(f"for (int l = 0; l < {width}; l++)")
        out(f"const int64_t i{k} = at{k} + l;")
        rest = scope.inner()
        rest.guard = f"l < left{k}"
        inside(rest)
        out.close()
        out.close()

    def declare(self, out: Text, flags: list[str]) -> None:
        for f in flags:
            out(f"int{8 * int(f[-1])}_t {f} = 0;")

    def stage(self, out: Text, scope: Scope, loop: Node) -> None:
        """An inner loop: stores, and accumulators in lanes."""
        (k,) = loop.attr("index")
        var = build("index", index=k)
        body = list(loop.inputs[1:])
        scope.emit(out, [loop.inputs[0]])
        extent = scope[loop.inputs[0]]
        inner = scope.inner()
        hoist(out, inner, body, {var})
        accs = [s for s in body if s.op == "accumulate"]
        self.asking = self.ahead.get(loop, [])
        if not accs:
            self.vector_loop(out, inner, k, "0", extent, body, "#pragma GCC ivdep", ROLLED)
            return
        for a in accs:
            out(f"{acc_type(a)} acc{a.attr('acc')} = {start_of(a)};")
            for kind, name, first in joining(a, start_of(a)):
                out(f"{kind} {name} = {first};")
        out.open(f"for (int64_t b = 0; b < {extent}; b += WEFT_BLOCK)")
        self.block_of(out, inner, body, accs, k, "b", f"weft_min64(b + WEFT_BLOCK, {extent})")
        for a in accs:
            n = a.attr("acc")
            if a.attr("fold") == "argmax":
                out.open(f"if (b == 0 || WEFT_BETTER(block{n}, best{n}))")
                self.search(out, inner, a, k, "b")
                out(f"best{n} = block{n}, acc{n} = b + at{n};")
                out.close()
            else:
                out(join(a, left_by(a), "", "b", "e - b"))
        out.close()
        for a in accs:
            n = a.attr("acc")
            done = rounded(a, joined(a, f"acc{n}", f"low{n}"))
            if done != f"acc{n}":
                out(f"acc{n} = {done};")
            scope.bind(acc_node(a), f"acc{n}")

    def ask(self, out: Text, asked: Asked, at: str) -> None:
        """Prefetches the line at a place along the loop."""
        one = asked.scope.inner()
        one.bind(asked.along, at)
        one.emit(out, [asked.place])
        out(f"__builtin_prefetch(&{self.pointer(asked.buffer)}[{strip(one[asked.place])}]{asked.how});")

    def block_of(
        self, out: Text, inner: Scope, body: list[Node], accs: list[Node], k: int, start: str, stop: str
    ) -> None:
        """One block: its parts, each of full rounds of lanes and the rest, the sum of their lanes, and over that the
        tree (the chain, of lanes that hold an element or two), whose result is `block`.

        What follows the rounds is written to arrays of its own, never over what it is computed of: else gcc makes of a
        maximum stores under a mask, and whoever reads those at once waits for them.
        """
        out(f"const int64_t e = {stop};")
        if quotients_of(body, k):
            inner = inner.inner()
            body = accs = self.hold(out, inner, body, accs, k, start)
        laned = tracks(accs)
        for t in laned:
            out(f"{t.type} lane{t.name}[{t.lanes}], end{t.name}[{t.lanes}], all{t.name}[{t.lanes}];")
        inner = inner.inner()
        self.shifts(out, inner, [a for a in accs if shifted(a)], k, start)
        flags = inner.hard_flags(values_of(body)) if not self.in_place else []
        self.declare(out, flags)
        for fast in (True, False) if flags else (False,):
            if flags:
                out.open("" if fast else f"if ({' | '.join(flags)})")
            self.fill(out, laned, "all")
            out.open(f"for (int64_t p = {start}; p < e; p += WEFT_PART)")
            out("const int64_t f = weft_min64(p + WEFT_PART, e);")
            self.fill(out, laned, "lane")
            inner.fast = fast
            self.rounds(out, inner, body, accs, k)
            for t in laned:
                step = t.step(f"all{t.name}[l]", f"end{t.name}[l]")
                out(f"for (int l = 0; l < {t.lanes}; l++) all{t.name}[l] = {step};")
            out.close()
            if flags:
                out.close()
        for t in laned:
            if not t.chain:
                last = self.tree(out, t, f"all{t.name}", t.lanes)
                out(f"const {t.type} block{t.name} = {last};")
                continue
            out(f"{t.type} block{t.name} = all{t.name}[0];")
            out.open(f"if (e - {start} > {t.chain})")
            out(f"block{t.name} = {self.tree(out, t, f'all{t.name}', t.lanes)};")
            out.close(" else {")
            out.depth += 1
            step = t.step(f"block{t.name}", f"all{t.name}[l]")
            out(f"for (int l = 1; l < {t.lanes} && l < (int)(e - {start}); l++) block{t.name} = {step};")
            out.close()
        for a in filter(shifted, accs):
            n = a.attr("acc")
            for line in finish(a, f"block{n}", f"block{n}d", f"e - {start}"):
                out(line)

    def hold(self, out: Text, inner: Scope, body: list[Node], accs: list[Node], k: int, start: str) -> list[Node]:
        """Writes what a block folds to arrays, and what else the loop stores where that goes; the folds in terms of the
        arrays, where places lie side by side."""
        within = build("index", index=WITHIN)
        inner.bind(within, f"(i{k} - {start})")
        held: dict[Node, Node] = {}
        fill = [s for s in body if s.op == "store"]
        for a in accs:
            (value,) = a.inputs
            if value not in held:
                number, dtype = -(HELD + len(held)), value.type.dtype
                held[value] = build("load", within, buffer=number, dtype=dtype)
                fill.append(build("store", within, value, buffer=number))
                out(f"{scalar.stored_type(dtype)} {self.pointer(number)}[WEFT_BLOCK];")
        self.vector_loop(out, inner, k, start, "e", fill, "#pragma GCC ivdep", ROLLED)
        return [build("accumulate", held[a.inputs[0]], **dict(a.attrs)) for a in accs]

    def tree(self, out: Text, t: Track, have: str, width: int) -> str:
        """The lanes of an array joined, each with the one half the width further."""
        first, h = have, width // 2
        while h > 1:  # each step in numbers: as a loop over h none becomes a vector
            step = t.step(f"{have}[l]", f"{have}[l + {h}]")
            have = f"{first}_{h}"
            out(f"{t.type} {have}[{h}];")
            out(f"for (int l = 0; l < {h}; l++) {have}[l] = {step};")
            h //= 2
        return t.step(f"{have}[0]", f"{have}[1]")

    def shifts(self, out: Text, inner: Scope, accs: list[Node], k: int, start: str) -> None:
        """`shift`: the mean of WEFT_SHIFT neighbours in the middle of each quarter of a block; of fewer than WEFT_PART
        elements, of those in its middle; of fewer than WEFT_SHIFT, of all."""
        if not accs:
            return
        each = "for (int l = 0; l < WEFT_SHIFT; l++)"

        def samples(first: str, into: str, share: str, guard: str = "") -> None:
            out("#pragma GCC ivdep")
            out(ROLLED)
            out.open(each)
            out(f"const int64_t i{k} = {first} + l;")
            one = inner.inner()
            one.guard = guard
            one.bind(build("index", index=k), f"i{k}")
            one.emit(out, [v for a in accs for v in a.inputs])
            for a in accs:
                value = f"{one[a.inputs[0]]} * (({value_type(a)})1 / {share})"
                out(f"{into.format(a.attr('acc'))} {f'{guard} ? {value} : 0' if guard else value};")
            out.close()

        for a in accs:
            out(f"{value_type(a)} some{a.attr('acc')}[WEFT_SHIFT];")
        out(f"const int64_t count = e - {start};")
        out.open("if (count >= WEFT_PART)")
        for a in accs:
            n = a.attr("acc")
            out(f"{value_type(a)} pair{n}[2 * WEFT_SHIFT];")
            out(f"for (int l = 0; l < 2 * WEFT_SHIFT; l++) pair{n}[l] = 0;")
        out.open("for (int q = 0; q < 4; q++)")
        out(f"const int64_t at = {start} + q * (count / 4) + count / 8 - WEFT_SHIFT / 2;")
        samples("at", "pair{0}[q / 2 * WEFT_SHIFT + l] +=", f"{4 * SHIFT}")
        out.close()
        for a in accs:
            n = a.attr("acc")
            out(f"{each} some{n}[l] = pair{n}[l] + pair{n}[l + WEFT_SHIFT];")
        out.close(" else if (count >= WEFT_SHIFT) {")
        out.depth += 1
        samples(f"{start} + count / 2 - WEFT_SHIFT / 2", "some{0}[l] =", f"{SHIFT}")
        out.close(" else {")
        out.depth += 1
        samples(start, "some{0}[l] =", "(int)count", "l < count")
        out.close()
        for t in tracks(accs)[1::2]:
            out(f"const {t.type} shift{t.name} = {self.tree(out, t, f'some{t.name}', SHIFT)};")

    def fill(self, out: Text, laned: list[Track], name: str) -> None:
        for t in laned:
            out(f"for (int l = 0; l < {t.lanes}; l++) {name}{t.name}[l] = {t.start};")

    def rounds(self, out: Text, inner: Scope, body: list[Node], accs: list[Node], k: int) -> None:
        """The elements of a part, p to f, into their lanes: the full rounds, then the rest of them."""
        width, laned = min(map(lanes, accs)), tracks(accs)
        copies = [f"for (int l = 0; l < {t.lanes}; l++) end{t.name}[l] = lane{t.name}[l];" for t in laned]
        out("int64_t j = p;")
        out.open(f"for (; j + {width} <= f; j += {width})")
        for asked in self.asking:
            self.ask(out, asked, "j")
        self.round(out, inner, body, k, width, "")
        out.close()
        out.open("if (j < f)")
        for t, copy in zip(laned, copies, strict=True):
            if t.lanes > width:
                out(copy)
        out("const int rest = (int)(f - j);")
        out("WEFT_HIDDEN(j);")
        self.round(out, inner, body, k, width, "l < rest")  # a vector with a mask, not single elements
        out.close(" else {")
        out.depth += 1
        for copy in copies:
            out(copy)
        out.close()

    def round(self, out: Text, inner: Scope, body: list[Node], k: int, width: int, guard: str) -> None:
        """`width` elements from j on; those beyond the part's end are kept out by the guard."""
        # What it writes are lanes and, of each element, its own place. Without this gcc asks for every vector whether
        # what is stored overlaps what is loaded, and keeps the lanes in memory.
        out("#pragma GCC ivdep")
        out(ROLLED)
        out.open(f"for (int l = 0; l < {width}; l++)")
        out(f"const int64_t i{k} = j + l;")
        one = inner.inner()
        one.guard = guard
        one.bind(build("index", index=k), f"i{k}")
        one.emit(out, [v for s in body for v in s.inputs])
        for s in body:
            if s.op == "store":
                out(one.store(s))
                continue
            if shifted(s):
                out(f"const {value_type(s)} d{s.attr('acc')} = {one[s.inputs[0]]} - shift{s.attr('acc')};")
            for t in tracks([s]):
                value, place = t.value or one[s.inputs[0]], f"[{lane(t, '(j - p)', width)}]"
                if guard:  # what a lane started from changes nothing: lanes are never -0
                    value = f"({guard} ? {value} : {t.start})"
                out(f"{'end' if guard else 'lane'}{t.name}{place} = {t.step(f'lane{t.name}{place}', value)};")
        out.close()

    def search(self, out: Text, inner: Scope, a: Node, k: int, start: str) -> None:
        """`at`: where the first of the largest values of a block stands in it."""
        n = a.attr("acc")
        one = inner.inner()
        one.bind(build("index", index=k), f"i{k}")
        out(f"int32_t at{n} = WEFT_BLOCK;")
        out.open(f"for (int64_t i{k} = {start}; i{k} < e; i{k}++)")
        one.emit(out, list(a.inputs))
        out(f"const {value_type(a)} v = {strip(one[a.inputs[0]])};")
        out(f"const int same = v == block{n} || (v != v && block{n} != block{n});")
        out(f"const int32_t here = same ? i{k} - {start} : WEFT_BLOCK;")
        out(f"at{n} = here < at{n} ? here : at{n};")
        out.close()


def rest_width(body: list[Node], k: int, extent: Node | None) -> int:
    """The elements of a vector, where what an inner loop of stores leaves of a row is worth one under a mask: elements
    take a function, and lie side by side in types that vectors have masks for. Else 0."""
    if extent is None or any(s.op != "store" for s in body) or not has_function(body, k):
        return 0
    var = build("index", index=k)
    sizes = set()
    for n in topological([*body]):
        if n.op in UNMASKED:
            return 0
        if n.op in ("load", "store"):
            dtype = DTYPES[(n.inputs[1] if n.op == "store" else n).type.dtype]
            sizes.add(0 if dtype.kind == "c" else dtype.itemsize)
            if lengths.coefficient(n.inputs[0], var) not in ((1,) if n.op == "store" else (0, 1)):
                return 0
    if not sizes <= {4, 8}:
        return 0
    width = LINE // max(sizes)
    known = lengths.static(extent)
    return 0 if known is not None and known % width == 0 else width


def quotients_of(body: list[Node], k: int) -> list[Node]:
    """Quotients and remainders of a loop's variable by one length, that places of a loop of stores or folds are made
    of; none where it is a small number."""
    if any(s.op == "loop" for s in body):
        return []
    var = build("index", index=k)
    found = [n for n in topological(values_of(body)) if n.op in ("mod", "floordiv") and n.inputs[0] is var]
    steps = list({n.inputs[1] for n in found})
    if len(steps) != 1 or lengths.is_below(steps[0], SHORT_RUN):
        return []
    return [] if any(n.op in ("index", "load", "acc") for n in topological(steps)) else found


def left_by(a: Node) -> list[str]:
    """What a block leaves of an accumulator, as `parts` lists it."""
    n = a.attr("acc")
    return [f"block{n}", *([f"shift{n}", f"block{n}d"] if shifted(a) else [])]
