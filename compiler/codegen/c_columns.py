"""Folds of columns -> GNU C: as many columns at once as lie side by side in memory, each with lanes of its own.

All of a tile of columns, then the next. c_stages.py prints another form: all of a stage, then the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir.dtypes import DTYPES
from ..ir.node import Node, build
from . import scalar
from .c_loops import ROLLED, LoopPrinter, place_type
from .expressions import Scope, Text, depends_on, strip
from .nests import acc_node, acc_type, hoist, hoist_checks, rounded, start_of, value_type, values_of
from .tracks import Track, finish, join, joined, joining, lanes, shifted, tracks

OVER = "for (int64_t c = 0; c < width; c++)"
TILE, BLOCK = 128, 1024  # WEFT_TILE, WEFT_BLOCK of kernels/weft_kernel.h


def used(a: Node) -> str:
    """How many lanes take part in a block; all of them where one that holds its first value is not without effect."""
    if a.attr("fold") == "prod" and DTYPES[a.attr("dtype")].kind == "c":  # inf * (1 + 0i) is NaN
        return str(lanes(a))
    return f"used{lanes(a)}"


def begins(a: Node) -> bool:
    """Whether the lanes of a block's first part are those of the block: joined with what lanes start from they would be
    the same. That of a product of complex numbers is not without effect, and an argmax has no lanes."""
    return used(a)[0] == "u" and a.attr("fold") != "argmax"


class ColumnPrinter(LoopPrinter):
    """Prints nests in mode "column"."""

    over = OVER  # the loop over lanes of the columns of a tile

    def bind_column(self, scope: Scope, last: int) -> None:
        scope.bind(build("index", index=last), f"i{last}")

    def columns(self, out: Text, scope: Scope, loop: Node) -> None:
        inner = self.hoist_columns(out, scope, loop, self.column_statements(loop))
        out.open("for (int64_t o = begin; o < end; o++)")
        last = self.tile_of_columns(out, inner, loop)
        for s in self.column_statements(loop):
            if s.op == "store":
                self.over_columns(out, inner, last, [s])
            else:
                self.column_stage(out, inner, s, last)
        out.close()

    def column_statements(self, loop: Node) -> list[Node]:
        return list(loop.inputs[len(loop.attr("index")) :])

    def hoist_columns(self, out: Text, scope: Scope, loop: Node, statements: list[Node]) -> Scope:
        """What does not change from tile to tile, and how many tiles there are."""
        inner = scope.inner()
        hoist(out, inner, statements, {build("index", index=k) for k in loop.attr("index")})
        count = len(loop.attr("index"))
        out(f"const int64_t tiles = ({self.closed(loop.inputs[count - 1])} + WEFT_TILE - 1) / WEFT_TILE;")
        return inner

    def tile_of_columns(
        self, out: Text, inner: Scope, loop: Node, tile: str = "o % tiles", rest: str = "(o / tiles)"
    ) -> int:
        """Binds the outer variables of round `o`, but the last, whose number it gives: the tile's columns are `width`
        from `first` on. `tile`: its number; `rest`: that of the round of the loops around."""
        names = loop.attr("index")
        extents = loop.inputs[: len(names)]
        out(f"const int64_t first = {tile} * WEFT_TILE;")
        out(f"const int64_t width = weft_min64(WEFT_TILE, {self.closed(extents[-1])} - first);")
        self.around_columns(out, inner, loop, rest)
        return names[-1]

    def around_columns(self, out: Text, inner: Scope, loop: Node, rest: str) -> None:
        """Binds the variables of the loops around the columns, in their round `rest`."""
        names = loop.attr("index")
        extents = loop.inputs[: len(names)]
        for k in range(len(names) - 2, 0, -1):
            out(f"const int64_t i{names[k]} = {rest} % {self.closed(extents[k])};")
            out(f"const int64_t r{names[k]} = {rest} / {self.closed(extents[k])};")
            rest = f"r{names[k]}"
        if len(names) > 1:
            out(f"const int64_t i{names[0]} = {rest};")
        for k in names[:-1]:
            inner.bind(build("index", index=k), f"i{k}")

    def over_columns(
        self, out: Text, scope: Scope, last: int, stores: list[Node], fold: Sequence[Node] = (), *,
        over: str = OVER, first: bool = False,
    ) -> None:  # fmt: skip
        """A loop over the tile's columns around stores (and folds into lane k of each column; the `first` value of a
        lane is what it starts from)."""
        if self.nest.checks:  # results of folds, and what is kept of them, are one for each column
            scope = scope.inner()
            values = [v for s in (*stores, *fold) for v in s.inputs]
            depends, column = depends_on(values), build("index", index=last)
            hoist_checks(out, scope, values, lambda n: all(d.op == "index" and d is not column for d in depends[n]))
        open_columns(out, last, over)
        inner = scope.inner()
        self.bind_column(inner, last)
        inner.emit(out, [v for s in (*stores, *fold) for v in s.inputs])
        for s in stores:
            out(inner.store(s))
        for s in fold:
            n = s.attr("acc")
            if s.attr("fold") == "argmax":
                out(f"const {value_type(s)} v{n} = {strip(inner[s.inputs[0]])};")
                # As a sum: of a choice between the old and the new place gcc makes a branch around a store.
                out(f"at{n}[0][c] += -({place_type(s)})WEFT_BETTER(v{n}, into{n}[c]) & (row{n} - at{n}[0][c]);")
                out(f"into{n}[c] = {strip(scalar.fold_text('max', s.attr('dtype'), f'into{n}[c]', f'v{n}'))};")
                continue
            if shifted(s):
                out(f"const {value_type(s)} d{n} = {inner[s.inputs[0]]} - shift{n}[c];")
            for t in tracks([s]):
                value = t.value or inner[s.inputs[0]]
                out(f"into{t.name}[c] = {strip(value) if first else t.step(f'from{t.name}[c]', value)};")
        out.close()

    def column_stage(self, out: Text, scope: Scope, loop: Node, last: int) -> None:
        (k,) = loop.attr("index")
        body = list(loop.inputs[1:])
        accs = [s for s in body if s.op == "accumulate"]
        stores = [s for s in body if s.op == "store"]
        scope.emit(out, [loop.inputs[0]])
        extent = scope[loop.inputs[0]]
        if not accs:
            self.of_columns(out, scope, stores, k, last)
            inner = scope.inner()
            inner.bind(build("index", index=k), f"i{k}")
            out.open(f"for (int64_t i{k} = 0; i{k} < {extent}; i{k}++)")
            self.over_columns(out, inner, last, stores)
            out.close()
            return
        self.of_columns(out, scope, body, k, last)
        self.folding_stage(out, scope, loop, last, extent)

    def folding_stage(self, out: Text, scope: Scope, loop: Node, last: int, extent: str) -> None:
        """A loop over rows with folds in it: its results are in scope afterwards."""
        accs = [s for s in loop.inputs[1:] if s.op == "accumulate"]
        stores = [s for s in loop.inputs[1:] if s.op == "store"]
        self.column_accumulators(out, accs)
        out.open(f"for (int64_t b = 0; b < {extent}; b += WEFT_BLOCK)")
        self.column_block(out, scope, loop, stores, last, extent)
        for a in accs:
            out(f"{OVER} {join(a, left_by(a), '[c]', 'b', 'e - b')}")
        out.close()
        self.column_results(out, scope, accs)

    def each_column(self, body: list[Node], k: int, last: int, known: Callable[[Node], bool]) -> list[Node]:
        """What loop k over rows computes that is costly, and the same in all rows of a column, of what is `known`."""
        values = values_of(body)
        depends = depends_on(values)
        row, column = (build("index", index=i) for i in (k, last))
        costly: dict[Node, bool] = {}
        for n in depends:  # inputs first
            costly[n] = not known(n) and (n.definition.costly or any(costly.get(i, False) for i in n.inputs))

        def moves(n: Node) -> bool:
            return costly.get(n, False) and row not in depends[n] and DTYPES[n.type.dtype].kind == "f"

        found: dict[Node, None] = {}
        stack, seen = list(reversed(values)), set(values)
        while stack:
            n = stack.pop()
            if moves(n) and all(d is column or known(d) for d in depends[n]):
                found.setdefault(n)
                continue
            fresh = [i for i in n.inputs if i in depends and i not in seen]
            seen.update(fresh)
            stack.extend(reversed(fresh))
        return list(found)

    def of_columns(self, out: Text, scope: Scope, body: list[Node], k: int, last: int) -> None:
        """Prints in front of a loop over rows what is costly and the same in all rows of a column: an array each."""
        found = self.each_column(body, k, last, lambda n: n in scope.names)
        if not found:
            return
        first = scope.counter[0]
        scope.counter[0] += len(found)
        names = {n: f"t{number}" for number, n in enumerate(found, first)}
        for n, name in names.items():
            out(f"{scalar.register_type(n.type.dtype)} {name}[WEFT_TILE];")
        self.keep_columns(out, scope, {n: f"{name}[c]" for n, name in names.items()}, last)
        for n, name in names.items():
            scope.bind_columns(n, f"{name}[c]")

    def keep_columns(self, out: Text, scope: Scope, into: dict[Node, str], last: int) -> None:
        """A loop that writes values of each column to places."""
        open_columns(out, last)
        one = scope.inner()
        self.bind_column(one, last)
        one.emit(out, list(into))
        for n, place in into.items():
            out(f"{place} = {strip(one[n])};")
        out.close()

    def column_accumulators(self, out: Text, accs: list[Node]) -> None:
        for a in accs:
            n, start = a.attr("acc"), start_of(a)
            out(f"{acc_type(a)} acc{n}[WEFT_TILE];")
            out(f"{OVER} acc{n}[c] = {start};")
            for kind, name, first in joining(a, start):
                out(f"{kind} {name}[WEFT_TILE];")
                out(f"{OVER} {name}[c] = {first};")

    def column_results(self, out: Text, scope: Scope, accs: list[Node]) -> None:
        for a in accs:
            n = a.attr("acc")
            done = rounded(a, joined(a, f"acc{n}[c]", f"low{n}[c]"))
            if done != f"acc{n}[c]":
                out(f"{OVER} acc{n}[c] = {done};")
            scope.bind_columns(acc_node(a), f"acc{n}[c]")

    def column_block(self, out: Text, scope: Scope, loop: Node, stores: list[Node], last: int, extent: str) -> None:
        """The block from `b` on of a tile of columns: its result for each column is `all[0]` (argmax: `lane[0]`)."""
        (k,) = loop.attr("index")
        accs = [s for s in loop.inputs[1:] if s.op == "accumulate"]
        inner = scope.inner()
        inner.bind(build("index", index=k), f"i{k}")
        out(f"const int64_t e = weft_min64(b + WEFT_BLOCK, {extent});")
        for width in sorted({lanes(a) for a in accs if a.attr("fold") != "argmax" and used(a)[0] == "u"}):
            out(f"int used{width} = 1; /* lanes that a block of few rows reaches: the others would add nothing */")
            out(f"while (used{width} < {width} && used{width} < e - b) used{width} *= 2;")
        for a in accs:
            n = a.attr("acc")
            if a.attr("fold") == "argmax":  # the first of the largest, in whatever order: no lanes
                out(f"{value_type(a)} lane{n}[1][WEFT_TILE];")
                out(f"{place_type(a)} at{n}[1][WEFT_TILE];")
                out(f"{OVER} lane{n}[0][c] = {start_of_lane(a)}, at{n}[0][c] = 0;")
                continue
            for t in tracks([a]):
                out(f"{t.type} lane{t.name}[{t.lanes}][WEFT_TILE], all{t.name}[{t.lanes}][WEFT_TILE];")
                self.column_start(out, t)
                if not begins(a):
                    out(f"for (int l = 0; l < {used(a)}; l++) {OVER} all{t.name}[l][c] = {t.start};")
        self.column_shifts(out, inner, [a for a in accs if shifted(a)], k, last)
        out.open("for (int64_t p = b; p < e; p += WEFT_PART)")
        out("const int64_t f = weft_min64(p + WEFT_PART, e);")
        laned = tracks([a for a in accs if a.attr("fold") != "argmax"])
        for t in laned:
            into = f"lane{t.name}"
            if begins(t.acc):
                into = f"part{t.name}"
                out(f"{t.type} (*const {into})[WEFT_TILE] = p == b ? all{t.name} : lane{t.name};")
            # A lane's first element is folded into what lanes start from: only those without one are filled.
            out(f"for (int64_t l = f - p; l < {used(t.acc)}; l++) {OVER} {into}[l][c] = {t.start};")
        out.open(f"for (int64_t i{k} = p; i{k} < f; i{k}++)")
        for a in accs:
            n = a.attr("acc")
            row = "0" if a.attr("fold") == "argmax" else f"(i{k} - p) % {lanes(a)}"
            for t in tracks([a]):
                out(f"{t.type} *const into{t.name} = {'part' if begins(a) else 'lane'}{t.name}[{row}];")
                if a.attr("fold") != "argmax":
                    first_round = f"i{k} - p < {t.lanes}"
                    out(f"const {t.type} *const from{t.name} = {first_round} ? start{t.name} : into{t.name};")
            if a.attr("fold") == "argmax":
                out(f"const {place_type(a)} row{n} = ({place_type(a)})(i{k} - b);")
        self.over_columns(out, inner, last, stores, accs)
        out.close()
        for t in laned:
            step = t.step(f"all{t.name}[l][c]", f"lane{t.name}[l][c]")
            further = "if (p > b) " if begins(t.acc) else ""
            out(f"{further}for (int l = 0; l < {used(t.acc)}; l++) {OVER} all{t.name}[l][c] = {step};")
        out.close()
        for t in laned:
            self.column_tree(out, t, f"all{t.name}", used(t.acc), "e - b")
        for a in filter(shifted, accs):
            n = a.attr("acc")
            out(f"{OVER} {{ {' '.join(finish(a, f'all{n}[0][c]', f'all{n}d[0][c]', 'e - b'))} }}")

    def column_start(self, out: Text, t: Track) -> None:
        out(f"{t.type} start{t.name}[WEFT_TILE];")
        out(f"{self.over} start{t.name}[c] = {t.start};")

    def column_tree(self, out: Text, t: Track, have: str, width: str, count: str = "") -> None:
        """The lanes of each column joined, each with the one half the width further; two such steps in one. Those that
        hold an element or two each, of `count`, in order."""

        def lane(places: str) -> str:
            return f"{have}[{places}][c]"

        if count and t.chain:
            out.open(f"if ({count} <= {t.chain})")
            each = f"for (int l = 1; l < {t.lanes} && l < (int)({count}); l++) {self.over}"
            out(f"{each} {lane('0')} = {t.step(lane('0'), lane('l'))};")
            out.close(" else {")
            out.depth += 1
        else:
            out.open("")
        out(f"int h = {width};")
        pairs = (t.step(lane("l"), lane("l + h / 2")), t.step(lane("l + h / 4"), lane("l + 3 * h / 4")))
        four = t.step(*(f"({p})" for p in pairs))
        out(f"for (; h >= 4; h /= 4) for (int l = 0; l < h / 4; l++) {self.over} {lane('l')} = {four};")
        out(f"if (h == 2) {self.over} {lane('0')} = {t.step(lane('0'), lane('1'))};")
        out.close()

    def column_shifts(self, out: Text, inner: Scope, accs: list[Node], k: int, last: int) -> None:
        """`shift` of each column: as LoopPrinter.shifts."""
        if not accs:
            return
        out("const int64_t count = e - b;")
        out("const int many = count >= WEFT_PART, taken = many ? 4 * WEFT_SHIFT : (int)weft_min64(count, WEFT_SHIFT);")
        out("int height = many ? 2 * WEFT_SHIFT : 1;")
        out("while (height < taken && !many) height *= 2;")
        for a in accs:
            n, t = a.attr("acc"), value_type(a)
            out(f"const {t} share{n} = ({t})1 / taken;")
            out(f"{t} some{n}[2 * WEFT_SHIFT][WEFT_TILE];")
            out(f"for (int l = taken; l < height; l++) {OVER} some{n}[l][c] = 0;")
        out.open("for (int r = 0; r < taken; r++)")
        out("const int q = r / WEFT_SHIFT, l = r % WEFT_SHIFT;")
        out("const int64_t middle = many ? q * (count / 4) + count / 8 : count / 2;")
        out(f"const int64_t i{k} = b + l + (count >= WEFT_SHIFT ? middle - WEFT_SHIFT / 2 : 0);")
        for a in accs:
            n = a.attr("acc")
            out(f"{value_type(a)} *const into{n} = some{n}[q / 2 * WEFT_SHIFT + l];")
            out(f"const {value_type(a)} *const from{n} = q % 2 ? into{n} : start{n};")
        self.add_samples(out, inner, accs, last)
        out.close()
        for a in accs:
            n = a.attr("acc")
            self.column_tree(out, tracks([a])[1], f"some{n}", "height")
            out(f"const {value_type(a)} *const shift{n} = some{n}[0];")

    def add_samples(self, out: Text, inner: Scope, accs: list[Node], last: int) -> None:
        open_columns(out, last)
        one = inner.inner()
        self.bind_column(one, last)
        one.emit(out, [v for a in accs for v in a.inputs])
        for a in accs:
            n = a.attr("acc")
            out(f"into{n}[c] = from{n}[c] + {one[a.inputs[0]]} * share{n};")
        out.close()


def open_columns(out: Text, last: int, over: str = OVER) -> None:
    """Opens a vector loop over the columns of a tile; `last`: the number of their loop variable."""
    out("#pragma GCC ivdep")
    out(ROLLED)
    out.open(over)
    out(f"const int64_t i{last} = first + c;")


def start_of_lane(a: Node) -> str:
    return tracks([a])[0].start


def left_by(a: Node) -> list[str]:
    """What a block leaves of an accumulator of each column, as `parts` lists it."""
    n = a.attr("acc")
    if a.attr("fold") == "argmax":
        return [f"lane{n}[0][c]", f"at{n}[0][c]"]
    return [f"all{n}[0][c]", *([f"shift{n}[c]", f"all{n}d[0][c]"] if shifted(a) else [])]
