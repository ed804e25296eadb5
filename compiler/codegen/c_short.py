"""Rows so short that their lanes would be mostly empty -> GNU C: many of them side by side, as columns.

A second form of a nest of rows, which the launcher chooses by the lengths of a call. A row of n elements is one part of
one block: its lanes are as in the other form, those of all rows of a tile stand side by side, and so the bits are the
same. Vectors are made across rows; loops over lanes have a constant number of steps, columns beyond the last included.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, build, substitute, topological
from ..ir.ops.elementwise import is_function
from ..lower.kernel import Nest
from .c_columns import OVER, TILE, begins, open_columns, start_of_lane
from .c_loops import LINE, by_lines, place_type
from .c_stages import StagePrinter
from .expressions import Scope, Text, strip
from .nests import acc_node, acc_type, moved, rounded, value_type
from .tracks import Track, finish, lanes, shifted, tracks

TILED = "for (int c = 0; c < WEFT_TILE; c++)"
AT_ONCE = 4  # lanes that a chain takes in a pass over its columns
ROUNDS = 2  # how far ahead lines of rows are asked for


class Turned(NamedTuple):
    """An operand whose neighbours along the columns of a tile lie apart: it is turned over once a tile."""

    number: int  # of the array that holds it, as one of scratch rows
    load: Node
    var: Node  # the variable of its loop
    extent: Node


def turned(nest: Nest) -> dict[Node, Turned]:
    """The loads of a nest of rows that are one in all rounds but those of the last outer loop, and strided along it."""
    loop = nest.block.inputs[0]
    *others, last = (build("index", index=k) for k in loop.attr("index"))
    any_var = build("index", index=1 << 30)  # loops over one length turn the same thing over
    arrays: dict[tuple, int] = {}
    found: dict[Node, Turned] = {}
    for s in loop.inputs[1 + len(others) :] if others else ():
        var = build("index", index=s.attr("index")[0]) if s.op == "loop" else last
        for n in topological(s.inputs[1:]) if s.op == "loop" else ():
            if n.op != "load" or n.attr("buffer") < 0 or len(n.inputs) > 1:
                continue
            (place,) = n.inputs
            below = topological([place])
            free = {m for m in below if m.op == "index"}
            if free != {last, var} or any(m.op == "load" for m in below) or lengths.coefficient(place, last) == 1:
                continue
            key = (n.attr("buffer"), substitute([place], {var: any_var})[0], s.inputs[0])
            number = arrays.setdefault(key, 1 + len(nest.scratch) + len(arrays))
            found[n] = Turned(number, n, var, s.inputs[0])
    return found


def side_by_side(nest: Nest, over: dict[Node, Turned]) -> tuple[Nest, Node | None]:
    """A nest of rows as one of columns. A scratch row is one for each column of a tile: its element i at i * TILE + c,
    c the number of the column in the tile, which is returned as a loop variable. So is what is turned `over`."""
    if not nest.scratch and not over:
        return replace(nest, mode="column"), None
    nodes = topological([nest.block])
    within = build("index", index=1 + max(n.attr("index") for n in nodes if n.op == "index"))

    def place(offset: Node) -> Node:
        return lengths.add(lengths.scale(offset, TILE), within)

    (block,) = moved([nest.block], lambda buffer: buffer < 0, place)
    arrays = {n: build("load", place(t.var), buffer=-t.number, dtype=n.attr("dtype")) for n, t in over.items()}
    return replace(nest, mode="column", block=substitute([block], arrays)[0], scratch=[]), within


class ShortRows(StagePrinter):
    """What differs from columns of any length."""

    over = TILED
    within: Node | None
    few: dict[Node, int]  # the most elements that rows of a length may have
    scratch_rows: list[str]
    turned_rows: list[str]
    over_once: dict[Node, Turned]

    def stages(self) -> list[tuple[Node | None, list[Node]]]:
        return []

    def bind_column(self, scope: Scope, last: int) -> None:
        super().bind_column(scope, last)
        if self.within is not None:
            scope.bind(self.within, "c")

    def columns(self, out: Text, scope: Scope, loop: Node) -> None:
        if self.over_once:  # the columns of a tile that the last one lacks hold its last column
            for declaration in self.turned_rows:
                out(declaration)
            out("int64_t turned = -1; /* the tile of what they hold */")
        super().columns(out, scope, loop)

    def tile_of_columns(
        self, out: Text, inner: Scope, loop: Node, tile: str = "o % tiles", rest: str = "(o / tiles)"
    ) -> int:
        if self.over_once:  # all rounds of one tile, then the next
            out(f"const int64_t others = {self.others(loop)};")
            out("(void)tiles;")
            tile, rest = "o / others", "(o % others)"
        last = super().tile_of_columns(out, inner, loop, tile, rest)
        for declaration in self.scratch_rows:
            out(declaration)
        if self.over_once:
            out.open("if (turned != first)")
            out("turned = first;")
            for t in {t.number: t for t in self.over_once.values()}.values():
                out.open(TILED)
                out.open(f"for (int64_t r = 0; r < {self.closed(t.extent)}; r++)")
                one = inner.inner()
                one.bind(build("index", index=last), "(first + weft_min64(c, width - 1))")
                one.bind(t.var, "r")
                one.emit(out, list(t.load.inputs))
                at = f"{self.pointer(t.load.attr('buffer'))}[{strip(one[t.load.inputs[0]])}]"
                out(f"s{t.number}[r * WEFT_TILE + c] = {at};")
                out.close()
                out.close()
            out.close()
            self.ask_for_rows(out, inner, loop, last)
        return last

    def ask_for_rows(self, out: Text, inner: Scope, loop: Node, last: int) -> None:
        """Asks for the lines that a later round writes: each round's lie in another row, where the processor would not
        foresee them."""
        names = loop.attr("index")
        if len(names) != 2:
            return
        row, column = (build("index", index=k) for k in names)
        for s in self.column_statements(loop):
            if s.op != "store" or s.attr("buffer") < 0 or not by_lines(s.inputs[0], row, column):
                continue
            out(f"const int64_t later = i{names[0]} + (i{names[0]} + {ROUNDS} < others ? {ROUNDS} : 0);")
            one = inner.inner()
            one.bind(row, "later")
            one.bind(column, "(first + c)")
            step = max(LINE // DTYPES[s.inputs[1].type.dtype].itemsize, 1)
            out.open(f"for (int64_t c = 0; c < width; c += {step})")
            one.emit(out, [s.inputs[0]])
            out(f"__builtin_prefetch(&{self.pointer(s.attr('buffer'))}[{strip(one[s.inputs[0]])}], 1);")
            out.close()
            return

    def tile_alone(self, body: list[Node], last: int) -> bool:
        """Whether of what lies along columns a loop reads only what was turned: all columns of a tile are there."""
        column = build("index", index=last)
        turned = {-t.number for t in self.over_once.values()}
        for n in topological(body):
            if n.op == "load" and n.attr("buffer") not in turned and column in topological(n.inputs):
                return False
            if n.op in ("acc", "store"):
                return False
        return bool(turned)

    def others(self, loop: Node) -> str:
        """How many rounds the loops around the columns have."""
        count = len(loop.attr("index"))
        return " * ".join(self.closed(e) for e in loop.inputs[: count - 1])

    def folding_stage(self, out: Text, scope: Scope, loop: Node, last: int, extent: str) -> None:
        (k,) = loop.attr("index")
        body = list(loop.inputs[1:])
        accs = [s for s in body if s.op == "accumulate"]
        stores = [s for s in body if s.op == "store"]
        alone = self.tile_alone(body, last)
        over = TILED if alone else OVER
        heights = {lanes(a) if begins(a) else 0 for a in accs}
        costly = any(map(is_function, topological(body)))
        # Lanes whose first values have a loop of their own, where memory keeps up with adding nothing to them.
        apart = heights.pop() if alone and not costly and len(heights) == 1 else 0
        for a in accs:  # declared here: later stages read them
            if a.attr("fold") == "argmax":
                out(f"{acc_type(a)} acc{a.attr('acc')}[WEFT_TILE];")
            else:
                for t in tracks([a]):
                    out(f"{t.type} lane{t.name}[{t.lanes}][WEFT_TILE];")
        out.open("")
        out(f"const int count = (int){extent};")
        inner = scope.inner()
        inner.bind(build("index", index=k), f"i{k}")
        plain = apart and not any(shifted(a) or a.attr("fold") == "argmax" for a in accs)
        chained = plain and all(t.chain for t in tracks(accs))
        more = plain and self.few[loop.inputs[0]] > 2 * apart  # than two elements a lane
        if chained:
            self.chain(out, inner, last, accs, k, apart)
        elif more:
            out.open(f"if (count <= {2 * apart})")
            self.lane_by_lane(out, inner, loop, last, accs, stores, apart, over)
            out.close(" else {")
            out.depth += 1
        if more:
            self.four_lanes(out, inner, last, accs, k, apart)
        else:
            self.lane_by_lane(out, inner, loop, last, accs, stores, apart, over)
        if chained or more:
            out.close()
        for a in accs:
            n = a.attr("acc")
            if shifted(a):
                out(f"{TILED} {{ {' '.join(finish(a, f'lane{n}[0][c]', f'lane{n}d[0][c]', 'count'))} }}")
            if a.attr("fold") == "argmax":
                out(f"{TILED} acc{n}[c] = at{n}[0][c];")
            elif rounded(a, f"lane{n}[0][c]") != f"lane{n}[0][c]":
                out(f"{TILED} lane{n}[0][c] = {rounded(a, f'lane{n}[0][c]')};")
        out.close()
        for a in accs:
            n = a.attr("acc")
            scope.bind_columns(acc_node(a), f"acc{n}[c]" if a.attr("fold") == "argmax" else f"lane{n}[0][c]")

    def lane_by_lane(
        self,
        out: Text,
        inner: Scope,
        loop: Node,
        last: int,
        accs: list[Node],
        stores: list[Node],
        apart: int,
        over: str,
    ) -> None:
        """Elements in the order of memory, each into its lane; lanes that no element reaches are filled."""
        (k,) = loop.attr("index")
        out("int used = 1;")
        out(f"while (used < {max(map(lanes, accs))} && used < count) used *= 2;")
        for a in accs:
            n = a.attr("acc")
            if a.attr("fold") == "argmax":
                out(f"{value_type(a)} lane{n}[1][WEFT_TILE];")
                out(f"{place_type(a)} at{n}[1][WEFT_TILE];")
                out(f"{TILED} lane{n}[0][c] = {start_of_lane(a)}, at{n}[0][c] = 0;")
            else:
                for t in tracks([a]):
                    if not apart or shifted(a):
                        self.column_start(out, t)
                    out(f"for (int l = count; l < {self.height(a)}; l++) {TILED} lane{t.name}[l][c] = {t.start};")
        self.column_shifts(out, inner, [a for a in accs if shifted(a)], k, last)
        if apart:
            out.open(f"for (int64_t i{k} = 0; i{k} < {apart} && i{k} < count; i{k}++)")
            for t in tracks(accs):
                out(f"{t.type} *const into{t.name} = lane{t.name}[i{k}];")
            self.over_columns(out, inner, last, stores, accs, over=over, first=True)
            out.close()
        out.open(f"for (int64_t i{k} = {apart}; i{k} < count; i{k}++)")
        for a in accs:
            n = a.attr("acc")
            row = "0" if a.attr("fold") == "argmax" else f"i{k} % {lanes(a)}"
            for t in tracks([a]):
                out(f"{t.type} *const into{t.name} = lane{t.name}[{row}];")
                if a.attr("fold") != "argmax":
                    before = f"into{t.name}" if apart else f"i{k} < {t.lanes} ? start{t.name} : into{t.name}"
                    out(f"const {t.type} *const from{t.name} = {before};")
            if a.attr("fold") == "argmax":
                out(f"const {place_type(a)} row{n} = ({place_type(a)})i{k};")
        self.over_columns(out, inner, last, stores, accs, over=over)
        out.close()
        for a in accs:
            if a.attr("fold") != "argmax":
                for t in tracks([a]):
                    self.column_tree(out, t, f"lane{t.name}", self.height(a), "count")
                    if apart:  # a sum of zeros has the sign that it would have had
                        out(f"{TILED} lane{t.name}[0][c] = {t.step(f'lane{t.name}[0][c]', t.start)};")

    def chain(self, out: Text, inner: Scope, last: int, accs: list[Node], k: int, most: int) -> None:
        """Up to two elements for each of `most` lanes, ahead of an "else": joined in order, lanes need no memory, and a
        few of them cost one pass over what was added up."""
        laned = tracks(accs)

        def some(many: int, *places: str, first: bool = False) -> None:
            """The next lanes, of the elements at these places."""
            open_columns(out, last, TILED)
            for m in range(many):
                values = self.elements(out, inner, last, accs, k, [f"({p} + {m})" if m else f"({p})" for p in places])
                for held, t in zip(values, laned, strict=True):
                    so_far = f"w{t.name}_{m - 1}" if m else t.start if first else f"lane{t.name}[0][c]"
                    value = t.step(*(strip(v) for v in held)) if len(held) > 1 else strip(held[0])
                    out(f"const {t.type} v{t.name}_{m} = {value};")
                    into = f"const {t.type} w{t.name}_{m}" if m + 1 < many else f"lane{t.name}[0][c]"
                    out(f"{into} = {t.step(so_far, f'v{t.name}_{m}')};")
            out.close()

        out.open(f"if (count <= {2 * most})")
        out(f"const int64_t two = count > {most} ? count - {most} : 0, all = count - two; /* lanes */")
        out("int64_t l = 0; /* as an int it may wrap around, and memory would not be read in order */")
        out.open(f"if (!two && all >= {AT_ONCE})")
        some(AT_ONCE, "l", first=True)
        out(f"l = {AT_ONCE};")
        out.close(" else {")
        out.depth += 1
        for t in laned:
            out(f"{TILED} lane{t.name}[0][c] = {t.start};")
        out.close()
        for end, places in (("two", ("l", f"l + {most}")), ("all", ("l",))):
            for many in (AT_ONCE, 1):
                out.open(f"for (; l + {many} <= {end}; l += {many})")
                some(many, *places)
                out.close()
        out.close(" else {")
        out.depth += 1

    def four_lanes(self, out: Text, inner: Scope, last: int, accs: list[Node], k: int, most: int) -> None:
        """More than two elements for each of `most` lanes: the four lanes that the tree joins first are added up
        together, two elements of each in a pass, so that lanes take a third of the memory's work."""
        laned, half, quarter = tracks(accs), most // 2, most // 4
        order = (0, half, quarter, half + quarter)

        def into(t: Track, lane: int | str) -> str:
            return f"lane{t.name}[{quarter + lane if isinstance(lane, int) else f'{quarter} + {lane}'}][c]"

        def two(place: str, first: bool) -> None:
            open_columns(out, last, TILED)
            for j, lane in enumerate(order):
                places = [f"({place} + {n})" if n else f"({place})" for n in (lane, lane + most)]
                for (v, w), t in zip(self.elements(out, inner, last, accs, k, places), laned, strict=True):
                    out(f"{into(t, j)} = {t.step(v if first else t.step(into(t, j), v), w)};")
            out.close()

        out.open(f"for (int64_t l = 0; l < {quarter}; l++)")
        two("l", first=True)
        out(f"int64_t m = l + {2 * most};")
        out.open(f"for (; m + {most + order[-1]} < count; m += {2 * most})")
        two("m", first=False)
        out.close()
        out.open(f"for (int j = 0; m < count; m += {quarter}, j = (j + 1) % 4)")
        lane = "j % 2 * 2 + j / 2"
        open_columns(out, last, TILED)
        for (v,), t in zip(self.elements(out, inner, last, accs, k, ["m"]), laned, strict=True):
            out(f"{into(t, lane)} = {t.step(into(t, lane), v)};")
        out.close()
        out.close()
        for t in laned:
            pairs = (t.step(into(t, 0), into(t, 1)), t.step(into(t, 2), into(t, 3)))
            out(f"{TILED} lane{t.name}[l][c] = {t.step(*(f'({p})' for p in pairs))};")
        out.close()
        for t in laned:
            self.column_tree(out, t, f"lane{t.name}", str(quarter))
            out(f"{TILED} lane{t.name}[0][c] = {t.step(f'lane{t.name}[0][c]', t.start)};")

    def elements(
        self, out: Text, inner: Scope, last: int, accs: list[Node], k: int, places: list[str]
    ) -> list[list[str]]:
        """Computes what is folded at these places: for each track the values."""
        laned = tracks(accs)
        values: list[list[str]] = [[] for _ in laned]
        for place in places:
            one = inner.inner()
            one.bind(build("index", index=k), place)
            self.bind_column(one, last)
            one.emit(out, [v for a in accs for v in a.inputs])
            for held, t in zip(values, laned, strict=True):
                held.append(one[t.acc.inputs[0]])
        return values

    def height(self, a: Node) -> str:
        """Lanes that take part: others would add nothing (see `used` of c_columns.py)."""
        return f"(used < {lanes(a)} ? used : {lanes(a)})"

    def column_shifts(self, out: Text, inner: Scope, accs: list[Node], k: int, last: int) -> None:
        if not accs:
            return
        out("const int taken = count < WEFT_SHIFT ? count : WEFT_SHIFT;")
        out("int height = 1;")
        out("while (height < taken) height *= 2;")
        out("const int middle = count < WEFT_SHIFT ? 0 : count / 2 - WEFT_SHIFT / 2;")
        for a in accs:
            n, t = a.attr("acc"), value_type(a)
            out(f"const {t} share{n} = ({t})1 / taken;")
            out(f"{t} some{n}[WEFT_SHIFT][WEFT_TILE];")
            out(f"for (int l = taken; l < height; l++) {TILED} some{n}[l][c] = 0;")
        out.open("for (int l = 0; l < taken; l++)")
        out(f"const int64_t i{k} = middle + l;")
        for a in accs:
            n = a.attr("acc")
            out(f"{value_type(a)} *const into{n} = some{n}[l];")
            out(f"const {value_type(a)} *const from{n} = start{n};")
        self.add_samples(out, inner, accs, last)
        out.close()
        for a in accs:
            n = a.attr("acc")
            self.column_tree(out, tracks([a])[1], f"some{n}", "height")
            out(f"const {value_type(a)} *const shift{n} = some{n}[0];")
