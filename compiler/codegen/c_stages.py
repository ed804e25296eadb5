"""Folds of columns, and what is made of them, one after the other -> GNU C: each over all columns, by all threads.

    fold     the blocks of a column are units of a parallel loop; what they leave is joined in order afterwards
    stores   rows are units: memory is gone through in order

So few columns keep all threads busy, and columns that are longer than the cache are not gone through a tile at a time,
where every row lies in another page. The other form (c_columns.py) does all of one tile and then the next; both give
the same bits. It is for columns of few elements, for a kernel that a product runs on whole columns, and for several
stages inside outer loops, whose rounds keep the threads busy and lie together.
"""

from __future__ import annotations

import itertools
from functools import cached_property

from ..ir import lengths
from ..ir.node import Node, build, topological
from .c_columns import BLOCK, OVER, TILE, ColumnPrinter, left_by
from .c_loops import ROLLED
from .expressions import Scope, Text, depends_on
from .nests import acc_node, hoist, values_of, wide
from .tracks import join, parts, shifted
from .work import CHUNK, round_work

JOINED = 64  # tiles of columns whose joining is worth another thread
ROWS, PIECE = 64, 4096  # rows and columns of a unit of stores


class StagePrinter(ColumnPrinter):
    """Prints nests in mode "column" stage by stage."""

    name: str

    def stages(self) -> list[tuple[Node | None, list[Node]]]:
        """The loops over the rows of a column, in order, each with the stores that follow it once a column; none where
        the kernel runs tile by tile."""
        if self.nest.mode != "column":
            return []
        (outer,) = self.nest.block.inputs
        found: list[tuple[Node | None, list[Node]]] = []
        for s in self.column_statements(outer):
            if s.op == "loop":
                found.append((s, []))
            else:
                if not found:
                    found.append((None, []))
                found[-1][1].append(s)
        folds = [loop for loop, _ in found if loop is not None and _accs(loop)]
        if all((lengths.static(f.inputs[0]) or BLOCK + 1) <= BLOCK for f in folds):
            return []
        return found if len(outer.attr("index")) == 1 or _is_one_fold(found) else []

    def is_one_fold(self) -> bool:
        """Whether the stages are one fold and what follows it."""
        return _is_one_fold(self.stages())

    @cached_property
    def stage_scratch(self) -> list[tuple[str, Node]]:
        """What blocks leave, and the results of folds that later stages read."""
        out: list[tuple[str, Node]] = []
        for k, (loop, _) in enumerate(self.stages()):
            for a in _accs(loop):
                units = lengths.scale(self.column_tiles(loop), TILE)
                out += [(d, units) for d in parts(a)]
                if self.is_read_after(k, a):
                    out.append((_held(a), lengths.scale(self.column_tiles(), TILE)))
            out += [(wide(n.type.dtype), lengths.scale(self.column_tiles(), TILE)) for n in self.common[k]]
        return out

    def column_tiles(self, loop: Node | None = None) -> Node:
        """How many tiles there are in all rounds of the outer loops; how many blocks of them a fold has."""
        (outer,) = self.nest.block.inputs
        extents = outer.inputs[: len(outer.attr("index"))]
        blocks = [] if loop is None else [lengths.ceildiv(loop.inputs[0], BLOCK)]
        return lengths.product([*extents[:-1], lengths.ceildiv(extents[-1], TILE), *blocks])

    def is_read_after(self, stage: int, a: Node) -> bool:
        """Whether a later stage reads the result of a fold."""
        later = self.stages()[stage + 1 :]
        roots = [s for loop, stores in later for s in (*([] if loop is None else [loop]), *stores)]
        return acc_node(a) in topological(roots)

    def place(self, stage: int, a: Node, part: int = 0) -> int:
        """The number of the scratch array that holds a part of what blocks leave of an accumulator; part -1: its
        result."""
        return self.places[stage, a][part]

    @cached_property
    def places(self) -> dict[tuple[int, Node], list[int]]:
        """The numbers of the scratch arrays of accumulators, and of what rows of a stage have in common."""
        numbers = itertools.count(1)
        found: dict[tuple[int, Node], list[int]] = {}
        for k, (loop, _) in enumerate(self.stages()):
            for a in _accs(loop):
                found[k, a] = [next(numbers) for _ in range(len(parts(a)) + self.is_read_after(k, a))]
            for n in self.common[k]:
                found[k, n] = [next(numbers)]
        return found

    def kept(self, stage: int) -> dict[Node, int]:
        """What the rows of a stage of stores have in common, and the number of the scratch array that it is kept in."""
        return {n: self.place(stage, n) for n in self.common[stage]}

    @cached_property
    def common(self) -> list[list[Node]]:
        """What the rows of each stage of stores compute alike: costly, and of what is known of a column."""
        found: list[list[Node]] = []
        known: set[Node] = set()
        for loop, _ in self.stages():
            found.append([])
            if loop is not None and not _accs(loop):
                *others, last = self.nest.block.inputs[0].attr("index")
                body = list(loop.inputs[1:])
                fixed = {n for n, on in depends_on(values_of(body)).items() if not on}
                fixed |= known | {build("index", index=k) for k in others}
                found[-1] = self.each_column(body, loop.attr("index")[0], last, fixed.__contains__)
            known |= {acc_node(a) for a in _accs(loop)}
        return found

    def functions(self, out: Text, prologue) -> None:
        """The functions of all stages; `prologue` opens one."""
        print_as = {
            "blocks": self.blocks_of_columns, "join": self.join_columns, "keep": self.keep_of_columns,
            "map": self.map_columns,
        }  # fmt: skip
        for k, (loop, stores) in enumerate(self.stages()):
            for kind, number in self.kinds(k, loop, stores).items():
                scope = prologue(out, f"{self.name}_{kind}{number}")
                print_as[kind](out, scope, self.nest.block.inputs[0], k)
                out.close()
                out()

    def kinds(self, stage: int, loop: Node | None, stores: list[Node]) -> dict[str, str]:
        """The functions of a stage, and what is added to their names."""
        number = "" if self.is_one_fold() else str(stage)
        if loop is None:
            return {"join": number}
        if _accs(loop):
            return {"blocks": number, "join": number}
        kinds = ["keep"] * bool(self.common[stage]) + ["map"] + ["join"] * bool(stores)
        return dict.fromkeys(kinds, number)

    def bind_results(self, scope: Scope, stage: int, at: str = "o * WEFT_TILE + c") -> None:
        """The results of the folds of earlier stages; `o` is the tile."""
        for k, (loop, _) in enumerate(self.stages()[:stage]):
            for a in _accs(loop):
                if self.is_read_after(k, a):
                    scope.bind_columns(acc_node(a), f"s{self.place(k, a, -1)}[{at}]")

    def blocks_of_columns(self, out: Text, scope: Scope, outer: Node, stage: int) -> None:
        """A unit is a block of a tile of columns, neighbouring tiles first: their rows share pages. Its result goes to
        scratch."""
        fold = self.stages()[stage][0]
        assert fold is not None
        body = list(fold.inputs[1:])
        inner = self.hoist_columns(out, scope, outer, [fold])
        extent = self.closed(fold.inputs[0])
        out(f"const int64_t blocks = ({extent} + WEFT_BLOCK - 1) / WEFT_BLOCK;")
        out.open("for (int64_t u = begin; u < end; u++)")
        out("const int64_t o = u / tiles / blocks * tiles + u % tiles, b = u / tiles % blocks * WEFT_BLOCK;")
        last = self.tile_of_columns(out, inner, outer)
        self.bind_results(inner, stage)
        self.of_columns(out, inner, body, fold.attr("index")[0], last)
        self.column_block(out, inner, fold, [s for s in body if s.op == "store"], last, extent)
        for a in _accs(fold):
            for part, left in enumerate(left_by(a)):
                out(f"{OVER} s{self.place(stage, a, part)}[(o * blocks + b / WEFT_BLOCK) * WEFT_TILE + c] = {left};")
        out.close()

    def join_columns(self, out: Text, scope: Scope, outer: Node, stage: int) -> None:
        """What the blocks of each tile left is joined in order, and what follows the fold is stored."""
        fold, stores = self.stages()[stage]
        accs = _accs(fold)
        inner = self.hoist_columns(out, scope, outer, stores)
        if accs:
            assert fold is not None
            extent = self.closed(fold.inputs[0])
            out(f"const int64_t blocks = ({extent} + WEFT_BLOCK - 1) / WEFT_BLOCK;")
        out.open("for (int64_t o = begin; o < end; o++)")
        last = self.tile_of_columns(out, inner, outer)
        self.bind_results(inner, stage)
        if accs:
            self.column_accumulators(out, accs)
            out.open("for (int64_t b = 0; b < blocks; b++)")
            start = "b * WEFT_BLOCK"
            for a in accs:
                numbers = [self.place(stage, a, m) for m in range(len(parts(a)))]
                left = [f"s{k}[(o * blocks + b) * WEFT_TILE + c]" for k in numbers]
                count = f"weft_min64(WEFT_BLOCK, {extent} - {start})"
                by_place = shifted(a) or a.attr("fold") == "argmax"
                out(f"{OVER} {join(a, left, '[c]', start if by_place else 'b', count)}")
            out.close()
            self.column_results(out, inner, accs)
        for s in stores:
            self.over_columns(out, inner, last, [s])
        for a in accs:
            if self.is_read_after(stage, a):
                out(f"{OVER} s{self.place(stage, a, -1)}[o * WEFT_TILE + c] = {inner[acc_node(a)]};")
        out.close()

    def map_columns(self, out: Text, scope: Scope, outer: Node, stage: int) -> None:
        """A unit is some rows of a long piece of the columns."""
        loop = self.stages()[stage][0]
        assert loop is not None
        names, (k,), last = outer.attr("index"), loop.attr("index"), outer.attr("index")[-1]
        body = list(loop.inputs[1:])
        inner = scope.inner()
        hoist(out, inner, [loop], {build("index", index=i) for i in names})
        extent, columns = self.closed(loop.inputs[0]), self.closed(outer.inputs[len(names) - 1])
        out(f"const int64_t chunks = ({extent} + {ROWS - 1}) / {ROWS}, pieces = ({columns} + {PIECE - 1}) / {PIECE};")
        out.open("for (int64_t u = begin; u < end; u++)")
        out("const int64_t o = u / pieces / chunks;")
        out(f"const int64_t base = o * (({columns} + WEFT_TILE - 1) / WEFT_TILE) * WEFT_TILE;")
        out(f"const int64_t p = u / pieces % chunks * {ROWS}, f = weft_min64(p + {ROWS}, {extent});")
        out(f"const int64_t g = u % pieces * {PIECE}, h = weft_min64(g + {PIECE}, {columns});")
        out("(void)base;")
        self.around_columns(out, inner, outer, "o")
        self.bind_results(inner, stage, f"base + i{last}")
        for n, number in self.kept(stage).items():
            inner.bind_columns(n, f"s{number}[base + i{last}]")
        inner.bind(build("index", index=k), f"i{k}")
        out.open(f"for (int64_t i{k} = p; i{k} < f; i{k}++)")
        self.vector_loop(out, inner, last, "g", "h", body, "#pragma GCC ivdep", ROLLED)
        out.close()
        out.close()

    def keep_of_columns(self, out: Text, scope: Scope, outer: Node, stage: int) -> None:
        """What the rows of a stage have in common, for each column."""
        loop = self.stages()[stage][0]
        assert loop is not None
        inner = self.hoist_columns(out, scope, outer, [loop])
        out.open("for (int64_t o = begin; o < end; o++)")
        last = self.tile_of_columns(out, inner, outer)
        self.bind_results(inner, stage)
        places = {n: f"s{number}[o * WEFT_TILE + c]" for n, number in self.kept(stage).items()}
        self.keep_columns(out, inner, places, last)
        out.close()

    def launch_stages(self, out: Text) -> None:
        """The calls of all stages, in order."""
        (outer,) = self.nest.block.inputs
        *_, columns = outer.inputs[: len(outer.attr("index"))]
        extents = [self.closed(e) for e in outer.inputs[: len(outer.attr("index"))]]
        extents[-1] = f"(({extents[-1]} + WEFT_TILE - 1) / WEFT_TILE)"
        out(f"const int64_t rounds = {' * '.join(extents)};")
        out(f"const int64_t work = WEFT_TILE * {self.closed(round_work(self.nest))};")
        for k, (loop, stores) in enumerate(self.stages()):
            for kind, number in self.kinds(k, loop, stores).items():
                units, grain = "rounds", str(JOINED)
                if kind in ("blocks", "map"):
                    assert loop is not None
                    count, rows = f"{kind}{number}", self.closed(loop.inputs[0])
                    if kind == "blocks":
                        units = f"rounds * (({rows} + WEFT_BLOCK - 1) / WEFT_BLOCK)"
                    else:
                        pieces = f"(({self.closed(columns)} + {PIECE - 1}) / {PIECE})"
                        units = " * ".join([*extents[:-1], f"(({rows} + {ROWS - 1}) / {ROWS})", pieces])
                    out(f"const int64_t {count} = {units};")
                    units, grain = count, f"1 + {CHUNK} * {count} / (work * rounds + 1)"
                out(f"call->parallel_for({units}, {grain}, call->threads, {self.name}_{kind}{number}, a);")


def _is_one_fold(stages: list[tuple[Node | None, list[Node]]]) -> bool:
    if len(stages) != 1 or stages[0][0] is None:
        return False
    return all(s.op == "accumulate" and s.attr("fold") != "argmax" for s in stages[0][0].inputs[1:])


def _accs(loop: Node | None) -> list[Node]:
    return [] if loop is None else [s for s in loop.inputs[1:] if s.op == "accumulate"]


def _held(a: Node) -> str:
    """The dtype of an accumulator's result in scratch."""
    return "int64" if a.attr("fold") == "argmax" else parts(a)[0]
