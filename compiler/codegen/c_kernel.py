"""A loop nest -> GNU C: an argument struct, a body run over a range of outer rounds, and a function that launches it.

What stands inside the outer loops is printed by c_loops.py, which also says how reductions are ordered.
"""

from __future__ import annotations

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, build, topological
from ..ir.ops.elementwise import is_function
from ..lower.kernel import Nest, may_be_columns
from . import scalar
from .c_columns import TILE, begins
from .c_loops import LINE, ROLLED, Asked, by_lines, left_by
from .c_short import ShortRows, side_by_side, turned
from .c_stages import StagePrinter
from .expressions import Scope, Text, strip
from .nests import acc_node, acc_type, accumulates, hoist, moved, rounded, start_of, value_type, wide
from .tracks import compensated, join, joined, joining, parts, shifted
from .work import CHUNK, element_work, has_function, round_work, short_rows

GAP = 128  # bytes between the scratch rows of two workers

SHORT_COST = 1  # functions in a nest that is compiled in a second form for short rows
FULL = 32  # rounds of the last loop from which on tiles of it are worth it
SQUARE_ROWS, SQUARE_COLUMNS = 16, 32  # of loops that read across rows: lines of a column stay in the first cache
NEXT, AHEAD = 128, 256  # elements of a strip of a long map, and how far ahead it asks for lines
FAR = 1 << 17  # elements beyond which arrays come from memory or a far cache
MAX_STREAMS = 8
WORTH_ASKING = 40  # work for an element from which on memory rests while it is done
LONGEST_PREFETCHED = 32768  # bytes of a row: more would drive out what is being worked on

# Elements of rows up to which operands are turned over for them: a part of a block, if a tile of all stays in the L2.
TURNED, ALWAYS_TURNED, TURNED_BYTES = 256, 32, 1 << 17
MANY_ROUNDS = 16  # that use what was turned over

RECTANGLE = "int64_t i_begin, int64_t i_end, int64_t j_begin, int64_t j_end, void *at, int64_t line"


class KernelPrinter(StagePrinter):
    """Prints one nest as C under a name.

    `tile`: the buffer, by number, that a product hands over by rectangles: the kernel runs on one (weft_rectangle of
    kernels/weft_fused.h). `after`: a product may run it on whole rows or columns.
    """

    def __init__(self, nest: Nest, name: str, in_place: bool = False, tile: int | None = None, after: bool = False):
        super().__init__(nest, name, in_place)
        self.tile, self.after = tile, after
        self.struct = f"{name}_args"
        self.dtypes = [*nest.tensors, *nest.outputs]

    # The interface

    def signature(self) -> str:
        n = self.nest
        if self.tile is not None:
            return f"static void {self.name}(void *arg, {RECTANGLE}, int worker)"
        parts = ["weft_call *call"]
        parts += [f"int64_t n{k}" for k in range(n.scalars)]
        parts += [f"const {scalar.stored_type(d)} *p{k}" for k, d in enumerate(n.tensors)]
        parts += [f"{scalar.stored_type(d)} *p{k}" for k, d in enumerate(n.outputs, len(n.tensors))]
        parts += [f"{scalar.stored_type(d)} *s{k}" for k, (d, _) in enumerate(self.scratch(), 1)]
        if n.checks:
            parts.append("weft_fault *fault")
        if self.after:
            parts.append("weft_product *product")
        return f"static void {self.name}({', '.join(parts)})"

    def scratch(self) -> list[tuple[str, Node]]:
        """Scratch arrays of the launcher: rows (one a worker unless the kernel is flat), then partial results."""
        out = list(self.nest.scratch)
        if self.nest.mode != "flat":
            # Rows of workers lie two cache lines apart: they are written and read all the time.
            rows = out[self.nest.finals :]
            out[self.nest.finals :] = [(d, lengths.add(n, lengths.const(GAP // DTYPES[d].itemsize))) for d, n in rows]
        else:
            for s in self.nest.block.inputs:
                if s.op == "loop":
                    blocks = _ceildiv(s.inputs[0])
                    for a in s.inputs[1:]:
                        if a.op == "accumulate":
                            out += [(d, blocks) for d in parts(a)]
        return out + self.stage_scratch

    def text(self) -> str:
        out = Text()
        n = self.nest
        if self.tile is not None:
            self.rectangle(out, self.tile)
            return str(out)
        out.open("typedef struct")
        for k in range(n.scalars):
            out(f"int64_t n{k};")
        for k, d in enumerate(self.dtypes):
            const = "const " if k < len(n.tensors) else ""
            out(f"{const}{scalar.stored_type(d)} *p{k};")
        for k, (d, _) in enumerate(self.scratch(), 1):
            out(f"{scalar.stored_type(d)} *s{k};")
        if n.mode == "flat":
            for a in accumulates(n):
                out(f"{acc_type(a)} acc{a.attr('acc')};")
        if n.checks:
            out("weft_fault *fault;")
        if not (n.scalars or self.dtypes):
            out("char unused;")
        out.close(f" {self.struct};")
        out()
        if n.mode == "flat":
            self.flat(out)
        else:
            self.functions(out, self.prologue)
            if self.after or not self.stages():
                self.body(out)
            short = self.short()
            if short is not None:
                short.body(out)
            self.launch(out, short)
        return str(out)

    def short(self) -> ShortPrinter | None:
        """The form of a nest of rows that works on many short rows side by side, if it has one: as columns."""
        block = self.nest.block
        if self.nest.mode != "row" or self.nest.finals or block.inputs[0].op != "loop" or self.tile is not None:
            return None
        loop = block.inputs[0]
        loops = [s for s in loop.inputs[len(loop.attr("index")) :] if s.op == "loop"]
        rows = short_rows(loops)
        costly = sum(map(is_function, topological(loops)))
        if not rows or not may_be_columns(loops, build("index", index=loop.attr("index")[-1])) or costly > SHORT_COST:
            return None
        if any(extent not in rows for _, extent in self.nest.scratch):
            return None
        if not all(begins(a) or a.attr("fold") == "argmax" for a in accumulates(self.nest)):
            return None  # empty lanes have an effect, and the other form has others
        short = ShortPrinter(self, rows)
        return None if any((lengths.static(extent) or 0) > few for extent, few in short.few.items()) else short

    def is_short(self, short: ShortPrinter) -> str:
        """The condition under which that form runs; tiles of a short last loop would be mostly empty."""
        loop = self.nest.block.inputs[0]
        count = len(loop.attr("index"))
        tests = []
        for extent, few in short.unturned.items():
            e, most = self.closed(extent), str(few)
            if short.few[extent] > few:  # reading a tile across is paid for by many rounds
                most = f"({short.others(loop)} >= {MANY_ROUNDS} ? {short.few[extent]} : {few})"
            tests.append(f"{e} > 0 && {e} <= {most}")
        if count > 1:
            tests.append(f"{self.closed(loop.inputs[count - 1])} >= {FULL}")
        return " && ".join(tests)

    def prologue(self, out: Text, name: str) -> Scope:
        """Opens a body function and brings the arguments into scope as restrict pointers."""
        n = self.nest
        out.open(f"static void {name}(void *arg, int64_t begin, int64_t end, int worker)")
        out(f"const {self.struct} *a = arg;")
        for k, d in enumerate(self.dtypes):
            const = "const " if k < len(n.tensors) else ""
            distinct = "" if self.in_place else "restrict "
            out(f"{const}{scalar.stored_type(d)} *{distinct}const p{k} = a->p{k};")
        for k, (d, extent) in enumerate(self.scratch(), 1):
            offset = "" if n.mode in ("flat", "column") or k <= n.finals else f" + worker * {self.closed(extent)}"
            out(f"{scalar.stored_type(d)} *restrict const s{k} = a->s{k}{offset};")
        if n.checks:
            out("weft_fault *const fault = a->fault;")
        parts = n.mode in ("flat", "column")
        used = [f"(void)p{k}" for k in range(len(self.dtypes))] if parts or n.finals else []
        used += [f"(void)s{k}" for k in range(1, len(self.scratch()) + 1)] if parts else []
        out(", ".join(["(void)a, (void)worker", *used]) + ";")
        scope = Scope(self.pointer)
        scope.loads_first = self.in_place
        scope.loads_out = True  # gcc takes branches with loads for masked loads: see ROLLED
        return scope

    # A rectangle of rows and columns

    def rectangle(self, out: Text, tile: int) -> None:
        """A weft_rectangle; `arg` is an array of weft_argument: scalars, then pointers."""
        out.open(self.signature())
        out("const weft_argument *const a = arg;")
        out("(void)a, (void)worker;")
        kinds = [f"{'const ' if k < len(self.nest.tensors) else ''}{scalar.stored_type(d)} *"
                 f"{'' if self.in_place else 'restrict '}" for k, d in enumerate(self.dtypes)]  # fmt: skip
        for k, kind in enumerate(kinds):
            if k != tile:
                out(f"{kind}const p{k} = a[{self.nest.scalars + k}].p;" if k < len(self.nest.tensors) else
                    f"{kind}const p{k} = ({kind.removesuffix('restrict ')})a[{self.nest.scalars + k}].p;")  # fmt: skip
        scope = Scope(self.pointer, parameter="a[{}].n")
        scope.loads_first, scope.loads_out = self.in_place, True
        (rows,) = self.nest.block.inputs
        columns = rows.inputs[-1]
        names, (j,) = rows.attr("index"), columns.attr("index")
        column = build("index", index=j)
        body = moved(list(columns.inputs[1:]), lambda buffer: buffer == tile, lambda _: column)
        if len(names) > 1:
            scope.emit(out, list(rows.inputs[1 : len(names)]))
        hoist(out, scope, body, {build("index", index=k) for k in (*names, j)})
        counter = f"i{names[0]}" if len(names) == 1 else "o"
        out.open(f"for (int64_t {counter} = i_begin; {counter} < i_end; {counter}++)")
        kind = kinds[tile]
        out(f"{kind}const p{tile} = ({kind.removesuffix('restrict ')})at + ({counter} - i_begin) * line - j_begin;")
        inner = scope.inner()
        self.variables(out, inner, counter, rows)
        hoist(out, inner, body, {build("index", index=j)})
        self.vector_loop(out, inner, j, "j_begin", "j_end", body, "#pragma GCC ivdep", ROLLED)
        out.close()
        out.close()

    # One function over the outer loops

    def body(self, out: Text) -> None:
        scope = self.prologue(out, f"{self.name}_body")
        block = self.nest.block
        if self.nest.mode == "column":
            self.columns(out, scope, block.inputs[0])
        elif block.inputs and block.inputs[0].op == "loop":
            self.rows(out, scope, block.inputs[0])
        else:
            out("(void)begin, (void)end;")
            self.statements(out, scope, list(block.inputs))
        out.close()
        out()

    def rows(self, out: Text, scope: Scope, loop: Node) -> None:
        """The outer loops as one: its counter's quotients and remainders are the loop variables."""
        names = loop.attr("index")
        extents, statements = loop.inputs[: len(names)], list(loop.inputs[len(names) :])
        variables = [build("index", index=k) for k in names]
        inner = scope.inner()
        scope.emit(out, list(extents[1:]))
        inner.names |= scope.names
        hoist(out, inner, statements, set(variables))
        across = self.nest.mode == "map" and across_rows(loop)
        if len(names) == 1 and self.nest.mode == "map" and not across:
            self.far_map(out, inner, names[0], extents[0], statements)
            return
        counter = f"i{names[0]}" if len(names) == 1 else "o"
        if across:
            columns = statements[0]
            extent = self.closed(columns.inputs[0])
            out.open(f"for (int64_t h = begin; h < end; h += {SQUARE_ROWS})")
            out.open(f"for (int64_t g = 0; g < {extent}; g += {SQUARE_COLUMNS})")
            out(f"const int64_t i_end = weft_min64(h + {SQUARE_ROWS}, end);")
            out(f"const int64_t j_end = weft_min64(g + {SQUARE_COLUMNS}, {extent});")
            out.open(f"for (int64_t {counter} = h; {counter} < i_end; {counter}++)")
        else:
            out.open(f"for (int64_t {counter} = begin; {counter} < end; {counter}++)")
        if len(names) == 1 and not across:
            self.prefetch(out, scope, variables[0], statements)
        self.variables(out, inner, counter, loop)
        if across:
            (j,) = columns.attr("index")
            self.vector_loop(out, inner, j, "g", "j_end", list(columns.inputs[1:]), "#pragma GCC ivdep", ROLLED)
            out.close()
            out.close()
        else:
            self.statements(out, inner, statements)
        out.close()

    def far_map(self, out: Text, scope: Scope, k: int, length: Node, statements: list[Node]) -> None:
        """A loop of stores. Where it computes much of each element and arrays lie in memory it runs in short strips,
        each asking for the lines of one that comes after: left to the processor, lines are asked for too late."""
        var = build("index", index=k)
        streams: dict[int, tuple[Node, str, str]] = {}
        for n in topological(statements):
            if n.op in ("load", "store") and n.attr("buffer") >= 0 and lengths.coefficient(n.inputs[0], var) == 1:
                is_load = n.op == "load"
                dtype = n.type.dtype if is_load else n.inputs[1].type.dtype
                streams.setdefault(n.attr("buffer"), (n.inputs[0], dtype, "" if is_load else ", 1"))
        known = lengths.static(length)
        near = (known is not None and known <= FAR) or any(s.op == "loop" for s in statements)
        plain = near or not any(n.definition.costly for n in topological(statements))
        if plain or not 0 < len(streams) <= MAX_STREAMS or element_work(statements, k) < WORTH_ASKING:
            self.vector_loop(out, scope, k, "begin", "end", statements, "#pragma GCC ivdep")
            return
        extent = self.closed(length)
        out(f"const int64_t far = {extent} > {FAR} ? {extent} : 0;")
        out.open(f"for (int64_t u = begin; u < end; u += {NEXT})")
        for item in sorted({DTYPES[d].itemsize for _, d, _ in streams.values()}):
            each = max(LINE // item, 1)
            out.open(f"for (int64_t q = u + {AHEAD}; q < weft_min64(u + {AHEAD + NEXT}, far); q += {each})")
            for buffer, (place, dtype, how) in streams.items():
                if DTYPES[dtype].itemsize == item:
                    self.ask(out, Asked(scope, buffer, place, var, how), "q")
            out.close()
        out(f"const int64_t y = weft_min64(u + {NEXT}, end);")
        self.vector_loop(out, scope, k, "u", "y", statements, "#pragma GCC ivdep")
        out.close()

    def variables(self, out: Text, scope: Scope, counter: str, loop: Node) -> None:
        """The variables of a round of loops that run as one: the counter's quotients and remainders."""
        names = loop.attr("index")
        rest = counter
        for k in range(len(names) - 1, 0, -1):
            extent = scope[loop.inputs[k]]
            out(f"const int64_t i{names[k]} = {rest} % {extent};")
            out(f"const int64_t r{names[k]} = {rest} / {extent};")
            rest = f"r{names[k]}"
        if len(names) > 1:
            out(f"const int64_t i{names[0]} = {rest};")
        for k in names:
            scope.bind(build("index", index=k), f"i{k}")

    def prefetch(self, out: Text, scope: Scope, row: Node, statements: list[Node]) -> None:
        """Asks for the next row, and for the lines that a later loop writes, while loops work on this row: memory would
        rest in all but the first and the last, and stores wait for their lines, but for those of a loop that has a
        function. A loop over lanes asks for a line each round; asked for all at once they would wait for each other."""
        loops = [s for s in statements if s.op == "loop"]
        if len(loops) < 2:
            return
        here = f"i{row.attr('index')}"
        self.ahead = {}
        first, *others = loops
        folds = [any(s.op == "accumulate" for s in loop.inputs[1:]) for loop in loops]
        along = build("index", index=first.attr("index")[0])
        extent = self.closed(first.inputs[0])
        rows: dict[int, Node] = {}
        for n in topological(first.inputs[1:]):
            if n.op != "load" or n.attr("buffer") < 0 or not by_lines(n.inputs[0], row, along):
                continue
            rows.setdefault(n.attr("buffer"), n)
        this_row, next_row = scope.inner(), scope.inner()
        this_row.bind(row, here)
        next_row.bind(row, f"next{here}")
        near = f"{extent} <= {LONGEST_PREFETCHED // 4}"
        if rows:
            out(f"const int64_t next{here} = {here} + ({here} + 1 < end && {near});")
        while_at = next((loop for loop, f in zip(loops[1:], folds[1:], strict=True) if f), None)
        for buffer, n in rows.items():
            if while_at is not None:
                self.ahead.setdefault(while_at, []).append(Asked(next_row, buffer, n.inputs[0], along))
                continue
            item = DTYPES[n.type.dtype].itemsize
            out.open(f"for (int64_t q = 0; next{here} > {here} && q < {extent}; q += {max(LINE // item, 1)})")
            self.ask(out, Asked(next_row, buffer, n.inputs[0], along), "q")
            out.close()
        for loop, before, fold in zip(others, loops, folds, strict=False):
            (k,) = loop.attr("index")
            along, body = build("index", index=k), list(loop.inputs[1:])
            waits = fold and not has_function(body, k)
            for s in body if waits and before.inputs[0] is loop.inputs[0] else ():
                buffer = s.attr("buffer") if s.op == "store" else -1
                if buffer >= 0 and buffer not in rows and by_lines(s.inputs[0], row, along):
                    rows[buffer] = s
                    self.ahead.setdefault(before, []).append(Asked(this_row, buffer, s.inputs[0], along, ", 1"))

    # Whole-tensor reductions: each stage a parallel loop over blocks, joined in order

    def flat(self, out: Text) -> None:
        part = len(self.nest.scratch) + 1
        calls: list[str] = []
        known = Scope(self.pointer)
        for stage, s in enumerate(self.nest.block.inputs):
            if s.op != "loop":
                continue
            name = f"{self.name}_stage{stage}"
            scope = self.prologue(out, name)
            for n, text in known.names.items():
                scope.bind(n, f"a->{text}")
            part = self.flat_stage(out, scope, s, name, part, calls, known)
            out.close()
            out()
        self.open_launcher(out)
        for c in calls:
            out(c)
        scope = Scope(self.pointer)
        for n, text in known.names.items():
            scope.bind(n, f"a->{text}")
        stores = [s for s in self.nest.block.inputs if s.op == "store"]
        self.statements(out, scope, stores)
        if not stores:
            out("(void)a;")
        out.close()

    def flat_stage(
        self, out: Text, scope: Scope, loop: Node, name: str, part: int, calls: list[str], known: Scope
    ) -> int:
        (k,) = loop.attr("index")
        var = build("index", index=k)
        body = list(loop.inputs[1:])
        accs = [s for s in body if s.op == "accumulate"]
        extent = self.closed(loop.inputs[0])
        inner = scope.inner()
        hoist(out, inner, body, {var})
        if not accs:
            self.vector_loop(out, inner, k, "begin", "end", body, "#pragma GCC ivdep")
            grain = 1 + CHUNK // element_work(body, k)
            calls.append(f"call->parallel_for({extent}, {grain}, call->threads, {name}, &args);")
            return part
        out.open("for (int64_t o = begin; o < end; o++)")
        out("const int64_t b = o * WEFT_BLOCK;")
        self.block_of(out, inner, body, accs, k, "b", f"weft_min64(b + WEFT_BLOCK, {extent})")
        blocks = f"(({extent} + WEFT_BLOCK - 1) / WEFT_BLOCK)"
        ends: list[str] = []
        for a in accs:
            n = a.attr("acc")
            if a.attr("fold") == "argmax":
                self.search(out, inner, a, k, "b")
                out(f"s{part}[o] = block{n}, s{part + 1}[o] = b + at{n};")
                ends.append(
                    f"{{ int64_t best = 0; for (int64_t o = 1; o < {blocks}; o++) "
                    f"if (WEFT_BETTER(a->s{part}[o], a->s{part}[best])) "
                    f"best = o; a->acc{n} = a->s{part + 1}[best]; }}"
                )
                part += 2
            else:
                for m, value in enumerate(left_by(a)):
                    out(f"s{part + m}[o] = {value};")
                ends.append(f"a->acc{n} = {extent} > 0 ? a->s{part}[0] : {start_of(a)};")
                if shifted(a):
                    ends += [f"{kind} {name} = {value};" for kind, name, value in joining(a, start_of(a))]
                    left = [f"a->s{part + m}[o]" for m in range(len(parts(a)))]
                    first, acc = "o * WEFT_BLOCK", f"a->acc{n}"
                    step = join(a, left, "", first, f"weft_min64(WEFT_BLOCK, {extent} - {first})", acc)
                    ends.append(f"for (int64_t o = 0; o < {blocks}; o++) {step}")
                elif compensated(a):
                    ends.append(f"{value_type(a)} low{n} = {start_of(a)};")
                    call = scalar.call("join", wide(a.attr("dtype")), f"&a->acc{n}", f"&low{n}", f"a->s{part}[o]")
                    ends.append(f"for (int64_t o = 1; o < {blocks}; o++) {call};")
                else:
                    fold = strip(scalar.fold_text(a.attr("fold"), a.attr("dtype"), f"a->acc{n}", f"a->s{part}[o]"))
                    ends.append(f"for (int64_t o = 1; o < {blocks}; o++) a->acc{n} = {fold};")
                done = rounded(a, joined(a, f"a->acc{n}", f"low{n}"))
                if done != f"a->acc{n}":
                    ends.append(f"a->acc{n} = {done};")
                part += len(parts(a))
            known.bind(acc_node(a), f"acc{n}")
        out.close()
        grain = 1 + CHUNK // (1024 * element_work(body, k))
        calls.append(f"call->parallel_for({blocks}, {grain}, call->threads, {name}, &args);")
        calls.extend(ends)
        return part

    # The launcher

    def arguments(self) -> str:
        n = self.nest
        names = [f"n{k}" for k in range(n.scalars)] + [f"p{k}" for k in range(len(self.dtypes))]
        names += [f"s{k}" for k in range(1, len(self.scratch()) + 1)]
        fields = [f".{x} = {x}" for x in names]
        if n.checks:
            fields.append(".fault = fault")
        return ", ".join(fields) or "0"

    def open_launcher(self, out: Text) -> None:
        out.open(self.signature())
        out(f"{self.struct} args = {{{self.arguments()}}};")
        out(f"{self.struct} *const a = &args;")

    def inside_product(self, out: Text) -> None:
        """The product runs the kernel, where that is worth it."""
        if self.after:
            out(f"product->fused.body = {self.name}_body, product->fused.body_arg = a;")
            out("if (product->run(product)) return;")

    def launch(self, out: Text, short: ShortPrinter | None = None) -> None:
        self.open_launcher(out)
        block = self.nest.block
        loop = block.inputs[0] if block.inputs and block.inputs[0].op == "loop" else None
        if loop is None:
            out(f"(void)call, {self.name}_body(a, 0, 1, 0);")
        else:
            count = len(loop.attr("index"))
            self.inside_product(out)
            if short is not None:
                out.open(f"if ({self.is_short(short)})")
                short.launch_rounds(out, list(loop.inputs[:count]))
                out("return;")
                out.close()
            if self.stages():
                self.launch_stages(out)
            else:
                self.launch_rounds(out, list(loop.inputs[:count]))
            self.statements(out, Scope(self.pointer), list(block.inputs[1:]))
        out.close()

    def launch_rounds(self, out: Text, lengths_of: list[Node]) -> None:
        extents = [self.closed(e) for e in lengths_of]
        work = self.closed(round_work(self.nest))
        if self.nest.mode == "column":
            extents[-1] = f"(({extents[-1]} + WEFT_TILE - 1) / WEFT_TILE)"
            work = f"WEFT_TILE * {work}"
        out(f"const int64_t rounds = {' * '.join(extents)};")
        out(f"const int64_t grain = 1 + {CHUNK} / ({work} + 1);")
        out(f"call->parallel_for(rounds, grain, call->threads, {self.name}_body, a);")


class ShortPrinter(ShortRows, KernelPrinter):
    """Prints a nest of rows as columns, for rows of at most `rows[length]` elements."""

    def __init__(self, of: KernelPrinter, rows: dict[Node, int]):
        self.over_once = {} if of.in_place else turned(of.nest)
        nest, self.within = side_by_side(of.nest, self.over_once)
        super().__init__(nest, f"{of.name}_short", of.in_place)
        wide = {t.extent for t in self.over_once.values()}
        held = {t.number: t for t in self.over_once.values()}
        dtypes = [t.load.attr("dtype") for t in held.values()] + [d for d, e in of.nest.scratch if e in wide]
        each = TILE * sum(DTYPES[d].itemsize for d in dtypes)  # bytes for an element of a row
        most = max(ALWAYS_TURNED, min(TURNED, TURNED_BYTES // max(each, 1)))
        self.unturned, self.few = rows, {e: max(n, most) if e in wide else n for e, n in rows.items()}
        self.struct = of.struct
        self.scratch_rows = [self.array(k, d, extent) for k, (d, extent) in enumerate(of.nest.scratch, 1)]
        self.turned_rows = [self.array(k, t.load.attr("dtype"), t.extent) for k, t in held.items()]

    def array(self, number: int, dtype: str, extent: Node) -> str:
        return f"_Alignas(64) {scalar.stored_type(dtype)} s{number}[{self.few[extent]} * WEFT_TILE];"


def across_rows(loop: Node) -> bool:
    """Whether a loop over rows around one over columns reads something whose neighbours lie in the next row, as a
    transposed matrix does: a row at a time, it would fetch a line of the cache for every element."""
    names = loop.attr("index")
    statements = loop.inputs[len(names) :]
    if [s.op for s in statements] != ["loop"]:
        return False
    row, column = build("index", index=names[-1]), build("index", index=statements[0].attr("index")[0])
    loads = [n.inputs[0] for n in topological(statements[0].inputs[1:]) if n.op == "load"]
    return any(lengths.coefficient(i, row) == 1 and lengths.coefficient(i, column) not in (0, 1) for i in loads)


def _ceildiv(extent: Node) -> Node:
    return lengths.ceildiv(extent, 1024)
