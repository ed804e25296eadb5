"""Statements of a loop nest -> GNU C: loops of stores, blocks of folds, strips of functions with hard arguments.

Reductions follow the contract of docs/numerics.md: elements in row-major order of the folded axes, in blocks of
WEFT_BLOCK, a block in parts of WEFT_PART, a part in lanes (element e in lane e mod L); the lanes of a block's parts are
added, then joined by a fixed tree, the blocks ascending.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from ...runtime.errors import InternalError
from ..ir.dtypes import DTYPES
from ..ir.node import Node, build
from ..lower.kernel import Nest
from . import scalar
from .expressions import Scope, Text, strip
from .nests import acc_node, acc_type, hoist, rounded, start_of, value_type, values_of, whole, wide

# In front of an inner loop: gcc -O3 else unrolls it before it vectorises, where its length is constant. Folds get up to
# eight times slower by that, and what is conditional gets wrong: gcc 12 makes of neighbouring conditional loads masked
# loads that all have the mask of the first vector (vectorizable_load, loop SLP of more than one vector). This is wrong
# by gcc -O3 -mavx2, and right with the pragma, or with b's element read before the branch (Scope.loads_out):
#     for (long r = 0; r < n; r++)
#         for (long c = 0; c < 12; c++) o[r * 12 + c] = a[r * 12 + c] > 0 ? b[r * 12 + c] : 0;
ROLLED = "#pragma GCC unroll 1"

def lanes(acc: Node) -> int:
    """Lanes of a reduction, by its dtype alone whatever else shares the loop: a 64-byte vector."""
    return 16 if acc.attr("dtype") in ("float32", "float16", "bfloat16") else 8


def fold_of(a: Node) -> str:
    """The fold of a block's lanes: an argmax is that of max, whose place is searched for afterwards."""
    return "max" if a.attr("fold") == "argmax" else a.attr("fold")


def compensated(a: Node) -> bool:
    """Whether blocks are joined with what rounding took of each addition kept: sums of floats."""
    return a.attr("fold") == "sum" and DTYPES[a.attr("dtype")].kind in "fc"


def joined(a: Node, acc: str, low: str) -> str:
    """The value of an accumulator when all blocks are in."""
    return scalar.call("joined", wide(a.attr("dtype")), acc, low) if compensated(a) else acc


def place_type(acc: Node) -> str:
    """The C type of an argmax's place within a block of a column: as wide as its values, so that lanes are."""
    return "int64_t" if value_type(acc) in ("double", "int64_t", "uint64_t") else "int32_t"


def lane(acc: Node, element: str, width: int) -> str:
    """Where element `element + l` of a block goes, l < width: its lane is its number modulo the accumulator's lanes."""
    own = lanes(acc)
    return "l" if own == width else f"{element} % {own} + l"


class LoopPrinter:
    """Prints the loops inside a kernel. `in_place`: what it writes may be what it reads, at the same place."""

    def __init__(self, nest: Nest, name: str, in_place: bool):
        self.nest, self.name, self.in_place = nest, name, in_place

    def pointer(self, buffer: int) -> str:
        return f"p{buffer}" if buffer >= 0 else f"s{-buffer}"

    def closed(self, extent: Node) -> str:
        """A length in terms of the arguments, outside any loop."""
        scope = Scope(self.pointer)
        quiet = Text()
        scope.emit(quiet, [extent])
        if quiet.lines:  # an expression too long to stand inline is printed again, whole
            return whole(extent, Scope(self.pointer))
        return scope[extent]

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
        """A loop of stores. Where a function has hard arguments it runs in strips: each by the fast form, and again by
        the complete one if an argument was hard."""
        scope = scope.inner()
        scope.bind(build("index", index=k), f"i{k}")
        values = values_of(body)

        def loop(first: str, last: str, inside: Callable[[Scope], None], fast: bool) -> None:
            for p in pragmas:
                out(p)
            out.open(f"for (int64_t i{k} = {first}; i{k} < {last}; i{k}++)")
            one = scope.inner()
            one.fast = fast
            inside(one)
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
        if not accs:
            self.vector_loop(out, inner, k, "0", extent, body, "#pragma GCC ivdep", ROLLED)
            return
        for a in accs:
            out(f"{acc_type(a)} acc{a.attr('acc')} = {start_of(a)};")
            if a.attr("fold") == "argmax":
                out(f"{value_type(a)} best{a.attr('acc')} = {scalar.identity('argmax', wide(a.attr('dtype')))};")
            if compensated(a):
                out(f"{acc_type(a)} low{a.attr('acc')} = {start_of(a)};")
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
                out(join(a, f"block{n}", "", "b"))
        out.close()
        for a in accs:
            n = a.attr("acc")
            done = rounded(a, joined(a, f"acc{n}", f"low{n}"))
            if done != f"acc{n}":
                out(f"acc{n} = {done};")
            scope.bind(acc_node(a), f"acc{n}")

    def block_of(
        self, out: Text, inner: Scope, body: list[Node], accs: list[Node], k: int, start: str, stop: str
    ) -> None:
        """One block: its parts, each of full rounds of lanes and the rest, the sum of their lanes, and the tree over
        that, whose result is `block`.

        What follows the rounds is written to arrays of its own, never over what it is computed of: else gcc makes of a
        maximum stores under a mask, and whoever reads those at once waits for them.
        """
        out(f"const int64_t e = {stop};")
        for a in accs:
            n = a.attr("acc")
            out(f"{value_type(a)} lane{n}[{lanes(a)}], end{n}[{lanes(a)}], all{n}[{lanes(a)}];")
        inner = inner.inner()
        flags = inner.hard_flags(values_of(body)) if not self.in_place else []
        self.declare(out, flags)
        for fast in (True, False) if flags else (False,):
            if flags:
                out.open("" if fast else f"if ({' | '.join(flags)})")
            self.fill(out, accs, "all")
            out.open(f"for (int64_t p = {start}; p < e; p += WEFT_PART)")
            out("const int64_t f = weft_min64(p + WEFT_PART, e);")
            self.fill(out, accs, "lane")
            inner.fast = fast
            self.rounds(out, inner, body, accs, k)
            for a in accs:
                n = a.attr("acc")
                step = scalar.fold_text(fold_of(a), a.attr("dtype"), f"all{n}[l]", f"end{n}[l]")
                out(f"for (int l = 0; l < {lanes(a)}; l++) all{n}[l] = {strip(step)};")
            out.close()
            if flags:
                out.close()
        for a in accs:
            n = a.attr("acc")
            have, h = f"all{n}", lanes(a) // 2
            while h > 1:  # each step in numbers: as a loop over h none becomes a vector
                step = scalar.fold_text(fold_of(a), a.attr("dtype"), f"{have}[l]", f"{have}[l + {h}]")
                have = f"all{n}_{h}"
                out(f"{value_type(a)} {have}[{h}];")
                out(f"for (int l = 0; l < {h}; l++) {have}[l] = {strip(step)};")
                h //= 2
            last = scalar.fold_text(fold_of(a), a.attr("dtype"), f"{have}[0]", f"{have}[1]")
            out(f"const {value_type(a)} block{n} = {strip(last)};")

    def start(self, a: Node) -> str:
        """What a lane starts from."""
        return scalar.identity(a.attr("fold"), wide(a.attr("dtype")))

    def fill(self, out: Text, accs: list[Node], name: str) -> None:
        for a in accs:
            out(f"for (int l = 0; l < {lanes(a)}; l++) {name}{a.attr('acc')}[l] = {self.start(a)};")

    def rounds(self, out: Text, inner: Scope, body: list[Node], accs: list[Node], k: int) -> None:
        """The elements of a part, p to f, into their lanes: the full rounds, then the rest of them."""
        width = min(map(lanes, accs))
        copies = [f"for (int l = 0; l < {lanes(a)}; l++) end{a.attr('acc')}[l] = lane{a.attr('acc')}[l];" for a in accs]
        out("int64_t j = p;")
        out.open(f"for (; j + {width} <= f; j += {width})")
        self.round(out, inner, body, k, width, "")
        out.close()
        out.open("if (j < f)")
        for a, copy in zip(accs, copies, strict=True):
            if lanes(a) > width:
                out(copy)
        out("const int rest = (int)(f - j);")
        self.round(out, inner, body, k, width, "l < rest")  # a vector with a mask, not single elements
        out.close(" else {")
        out.depth += 1
        for copy in copies:
            out(copy)
        out.close()

    def round(self, out: Text, inner: Scope, body: list[Node], k: int, width: int, guard: str) -> None:
        """`width` elements from j on; those beyond the part's end are kept out by the guard."""
        if guard and not self.in_place and not any(s.op == "store" for s in body):
            out("#pragma GCC ivdep")  # it writes to arrays of its own
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
            n, value = s.attr("acc"), one[s.inputs[0]]
            place = f"[{lane(s, '(j - p)', width)}]"
            if guard:  # what a lane started from changes nothing: lanes are never -0
                value = f"({guard} ? {value} : {self.start(s)})"
            step = scalar.fold_text(fold_of(s), s.attr("dtype"), f"lane{n}{place}", value)
            out(f"{'end' if guard else 'lane'}{n}{place} = {strip(step)};")
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


def join(a: Node, block: str, column: str, start: str) -> str:
    """The statement that adds the result of the block from `start` on to an accumulator (of a column)."""
    n = a.attr("acc")
    if a.attr("fold") == "argmax":
        return (
            f"if ({start} == 0 || WEFT_BETTER({block}, best{n}{column})) "
            f"best{n}{column} = {block}, acc{n}{column} = {start} + at{n}[0]{column};"
        )
    acc = f"acc{n}{column}"
    if compensated(a):
        call = scalar.call("join", wide(a.attr("dtype")), f"&{acc}", f"&low{n}{column}", block)
        return f"if ({start} == 0) {acc} = {block}; else {call};"
    return f"{acc} = {start} == 0 ? {block} : {strip(scalar.fold_text(a.attr('fold'), a.attr('dtype'), acc, block))};"
