"""A loop nest -> CUDA: one `__global__` function, or several launched one after another, and their launch geometry.

    map      one thread an element of the outer loops, their counter's quotients and remainders the loop variables
    row      one block an outer round: stages stride over its threads, a fold over the block ends each reduction
    column   one block 32 columns: a lane owns a column, warps stride along it, a fold over warps ends each reduction
    flat     a launch a stage: blocks stride over the tensor and leave partial results, which every block of a later
             launch that needs them folds again, in the same order

Expressions are printed by the same printer as C's (expressions.py); scalars are arguments by value. An element of a row
or column is visited by the same thread in every stage, so scratch rows need no barrier, and a reduction's order follows
from its length alone. It is a class of its own (docs/numerics.md): not C's order, but the same in every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.interp import evaluate
from ..ir.node import Node, build, region
from ..lower.kernel import Nest
from . import scalar
from .expressions import Scope, Text, depends_on, strip
from .nests import acc_node, acc_type, closed, hoist, rounded, start_of, value_type, values_of, wide
from .tracks import parts

HEADER = '#include "weft_kernel.cuh"\n'

# As in kernels/weft_kernel.cuh.
ROW, COLUMNS, DEPTH = 256, 32, 16
THREADS = 256  # of a block in modes map and flat
PER_BLOCK = 2048  # elements of a whole-tensor reduction for which another block is worth its partial result
MAX_PARTIALS = 1024  # partial results of one
MAX_BLOCKS = 1 << 20
MAX_SCRATCH_BLOCKS = 1024  # each has scratch rows of its own


@dataclass(frozen=True)
class Launch:
    """One `__global__` function and its geometry, int64 expressions of the kernel's scalar arguments."""

    name: str
    blocks: Node  # 0: there is nothing to launch
    threads: Node


@dataclass(frozen=True)
class CudaKernel:
    """A kernel as CUDA text. Every launch takes the same arguments, in this order: the scalars by value, pointers to
    tensors, to outputs and to scratch arrays, and a `weft_fault *` if the nest checks indices."""

    nest: Nest
    source: str  # without HEADER
    launches: tuple[Launch, ...]
    scratch: tuple[tuple[str, Node], ...]  # dtype and elements of each array

    def geometry(self, scalars: Sequence[int]) -> list[tuple[str, int, int]]:
        """Name, blocks and threads of each launch for these scalar arguments."""
        values = self._evaluate(scalars, [n for x in self.launches for n in (x.blocks, x.threads)])
        return [(x.name, values[2 * k], values[2 * k + 1]) for k, x in enumerate(self.launches)]

    def scratch_elements(self, scalars: Sequence[int]) -> list[int]:
        return self._evaluate(scalars, [n for _, n in self.scratch])

    def _evaluate(self, scalars: Sequence[int], nodes: list[Node]) -> list[int]:
        body = region(self.nest.body.params[: self.nest.scalars], nodes)
        return [int(v) for v in evaluate(body, [np.int64(s) for s in scalars])]


def cuda_source(nest: Nest, name: str) -> CudaKernel:
    return _CudaPrinter(nest, name).run()


class _CudaPrinter:
    def __init__(self, nest: Nest, name: str):
        self.nest, self.name = nest, name
        self.dtypes = [*nest.tensors, *nest.outputs]
        self.mode = nest.mode
        self.out = Text()
        self.launches: list[Launch] = []
        self.scratch: list[tuple[str, Node]] = list(nest.scratch)

    def run(self) -> CudaKernel:
        loop = self._outer_loop()
        if self.mode == "flat":
            self._flat()
        elif self.mode == "map":
            self._map(loop)
        elif loop is None:
            raise InternalError(f"a nest in mode {self.mode} without outer loops")
        else:
            self._rounds(loop)
        return CudaKernel(self.nest, str(self.out), tuple(self.launches), tuple(self.scratch))

    def _outer_loop(self) -> Node | None:
        statements = self.nest.block.inputs
        return statements[0] if self.mode != "flat" and statements and statements[0].op == "loop" else None

    # The frame of a __global__ function

    def _scope(self) -> Scope:
        return Scope(lambda b: f"p{b}" if b >= 0 else f"s{-b}", parameter="n{}")

    def _closed(self, extent: Node) -> str:
        return closed(extent, self._scope, "[=] {{ {} return {}; }}()")

    def _open(self, blocks: Node, threads: Node, bound: int) -> Scope:
        """Opens the next function; `bound` is the largest value of `threads`."""
        name = f"{self.name}_{len(self.launches)}" if self.mode == "flat" else self.name
        self.launches.append(Launch(name, blocks, threads))
        n = self.nest
        arguments = [f"int64_t n{k}" for k in range(n.scalars)]
        for k, d in enumerate(self.dtypes):
            const = "const " if k < len(n.tensors) else ""
            arguments.append(f"{const}{scalar.stored_type(d)} *__restrict__ p{k}")
        arguments += [f"{scalar.stored_type(d)} *__restrict__ s{k}" for k, (d, _) in enumerate(self._all_scratch(), 1)]
        if n.checks:
            arguments.append("weft_fault *fault")
        self.out.open(f'extern "C" __global__ void __launch_bounds__({bound}) {name}({", ".join(arguments)})')
        return self._scope()

    def _all_scratch(self) -> list[tuple[str, Node]]:
        """Scratch rows, then the partial results of whole-tensor reductions."""
        return [*self.nest.scratch, *(p for ps in self._partials().values() for p in ps)]

    # map: one thread an element

    def _map(self, loop: Node | None) -> None:
        names: list[int] = []
        extents: list[Node] = []
        statements = list(self.nest.block.inputs)
        while len(statements) == 1 and statements[0].op == "loop":
            loop = statements[0]
            count = len(loop.attr("index"))
            names += loop.attr("index")
            extents += loop.inputs[:count]
            statements = list(loop.inputs[count:])
        rounds = lengths.product(extents)
        scope = self._open(_blocks(rounds, THREADS, MAX_BLOCKS), lengths.const(THREADS), THREADS)
        out = self.out
        if not names:
            out.open("if (blockIdx.x == 0 && threadIdx.x == 0)")
            self._stores(scope, statements)
            out.close()
        else:
            inner = scope.inner()
            hoist(out, inner, statements, {build("index", index=k) for k in names})
            counter = f"i{names[0]}" if len(names) == 1 else "o"
            self._grid_stride(counter, self._closed(rounds))
            self._indices(inner, names, extents)
            self._stores(inner, statements)
            out.close()
        out.close()

    def _grid_stride(self, counter: str, extent: str) -> None:
        first = "(int64_t)blockIdx.x * blockDim.x + threadIdx.x"
        step = "(int64_t)gridDim.x * blockDim.x"
        self.out.open(f"for (int64_t {counter} = {first}; {counter} < {strip(extent)}; {counter} += {step})")

    def _indices(self, scope: Scope, names: list[int], extents: list[Node]) -> None:
        """Loop variables from their common counter `o`."""
        rest = "o"
        for k, extent in reversed(list(zip(names, extents, strict=True))[1:]):
            self.out(f"const int64_t i{k} = {rest} % {self._closed(extent)};")
            self.out(f"const int64_t r{k} = {rest} / {self._closed(extent)};")
            rest = f"r{k}"
        if len(names) > 1:
            self.out(f"const int64_t i{names[0]} = {rest};")
        for k in names:
            scope.bind(build("index", index=k), f"i{k}")

    def _stores(self, scope: Scope, stores: list[Node]) -> None:
        scope.emit(self.out, [v for s in stores for v in s.inputs])
        for s in stores:
            self.out(scope.store(s))

    # row and column: a block an outer round

    def _rounds(self, loop: Node) -> None:
        names = list(loop.attr("index"))
        extents, statements = list(loop.inputs[: len(names)]), list(loop.inputs[len(names) :])
        depth = lengths.const(1)
        for s in statements:
            if s.op == "loop":
                depth = lengths.maximum(depth, s.inputs[0])
        column = self.mode == "column"
        if column:
            warps, bound = lengths.minimum(depth, lengths.const(DEPTH)), 32 * DEPTH
        else:
            warps, bound = lengths.minimum(lengths.ceildiv(depth, 32), lengths.const(ROW // 32)), ROW
        tiles = [*extents[:-1], lengths.ceildiv(extents[-1], COLUMNS)] if column else extents
        rounds = lengths.product(tiles)
        blocks = lengths.minimum(rounds, lengths.const(MAX_SCRATCH_BLOCKS if self.scratch else MAX_BLOCKS))
        scope = self._open(blocks, lengths.scale(warps, 32), bound)
        self.scratch = [(d, lengths.mul(blocks, e)) for d, e in self.nest.scratch]
        out = self.out
        if any(a.op == "accumulate" for s in statements if s.op == "loop" for a in s.inputs[1:]):
            self._part()
        for k, (_, extent) in enumerate(self.nest.scratch, 1):
            out(f"s{k} += blockIdx.x * {self._closed(extent)};")
        inner = scope.inner()
        hoist(out, inner, statements, {build("index", index=k) for k in names})
        counter = f"i{names[0]}" if len(names) == 1 and not column else "o"
        end = strip(self._closed(rounds))
        out.open(f"for (int64_t {counter} = blockIdx.x; {counter} < {end}; {counter} += gridDim.x)")
        if column:
            self._columns(inner, names, extents, tiles)
            first, step, once = "inside ? threadIdx.x / 32 : {0}", "blockDim.x / 32", "inside && threadIdx.x < 32"
        else:
            self._indices(inner, names, extents)
            first, step, once = "threadIdx.x", "blockDim.x", "threadIdx.x == 0"
        stores: list[Node] = []
        for s in statements:
            if s.op == "store":
                stores.append(s)
                continue
            self._once(inner, stores, once)
            stores = []
            self._stage(inner, s, first, step)
        self._once(inner, stores, once)
        out.close()
        out.close()

    def _part(self) -> None:
        size = "WEFT_PART_COLUMN" if self.mode == "column" else "WEFT_PART_ROW"
        self.out(f"__shared__ __attribute__((aligned(16))) unsigned char part[{size}];")

    def _columns(self, scope: Scope, names: list[int], extents: list[Node], tiles: list[Node]) -> None:
        """Loop variables of a tile of columns; lanes beyond the last column do nothing, but arrive at every barrier."""
        out, last = self.out, names[-1]
        if len(names) > 1:
            out(f"const int64_t tile = o % {self._closed(tiles[-1])};")
            rest = f"o / {self._closed(tiles[-1])}"
            for k, extent in reversed(list(zip(names[:-1], extents[:-1], strict=True))):
                if k == names[0]:
                    out(f"const int64_t i{k} = {rest};")
                else:
                    out(f"const int64_t r{k} = {rest}, i{k} = r{k} % {self._closed(extent)};")
                    rest = f"r{k} / {self._closed(extent)}"
        columns = self._closed(extents[-1])
        out(f"const int64_t column = {'tile' if len(names) > 1 else 'o'} * WEFT_COLUMNS + threadIdx.x % 32;")
        out(f"const bool inside = column < {columns};")
        out(f"const int64_t i{last} = inside ? column : {columns} - 1;")
        for k in names:
            scope.bind(build("index", index=k), f"i{k}")

    def _once(self, scope: Scope, stores: list[Node], condition: str) -> None:
        """Stores of the outer loop: one thread's work."""
        if stores:
            self.out.open(f"if ({condition})")
            self._stores(scope.inner(), stores)
            self.out.close()

    def _stage(self, scope: Scope, loop: Node, first: str, step: str) -> None:
        """An inner loop over the block's threads: stores, and accumulators, which all threads know afterwards."""
        (k,) = loop.attr("index")
        body = list(loop.inputs[1:])
        out = self.out
        scope.emit(out, [loop.inputs[0]])
        extent = scope[loop.inputs[0]]
        inner = scope.inner()
        hoist(out, inner, body, {build("index", index=k)})
        accs = [s for s in body if s.op == "accumulate"]
        self._declare(accs)
        out.open(f"for (int64_t i{k} = {first.format(extent)}; i{k} < {strip(extent)}; i{k} += {step})")
        self._visit(inner.inner(), body, k)
        out.close()
        for a in accs:
            self._fold(a, "weft_fold_column" if self.mode == "column" else "weft_fold_block", f"own{a.attr('acc')}")
            scope.bind(acc_node(a), f"acc{a.attr('acc')}")

    def _declare(self, accs: list[Node]) -> None:
        """A thread's own accumulators."""
        for a in accs:
            n = a.attr("acc")
            if a.attr("fold") == "argmax":
                self.out(f"{_folded_type(a)} own{n} = {{{scalar.identity('argmax', wide(a.attr('dtype')))}, -1}};")
            elif a.attr("fold") == "devsq":
                self.out(f"{_folded_type(a)} own{n} = {{0, 0, 0}};")
            else:
                self.out(f"{value_type(a)} own{n} = {start_of(a)};")

    def _visit(self, scope: Scope, body: list[Node], k: int) -> None:
        """One element of a stage."""
        scope.bind(build("index", index=k), f"i{k}")
        scope.emit(self.out, [v for s in body for v in s.inputs])
        for s in body:
            if s.op == "store":
                self.out(scope.store(s))
                continue
            value, n = strip(scope[s.inputs[0]]), s.attr("acc")
            if s.attr("fold") == "argmax":
                self.out(f"own{n} = weft_better(own{n}, {_folded_type(s)}{{{value}, i{k}}});")
            elif s.attr("fold") == "devsq":
                self.out(f"const {value_type(s)} x{n} = {value};")
                self.out(f"own{n} = weft_devsq_both(own{n}, {_folded_type(s)}{{1, x{n}, x{n} - x{n}}});")
            else:
                self.out(f"own{n} = {strip(scalar.fold_text(s.attr('fold'), s.attr('dtype'), f'own{n}', value))};")

    def _fold(self, a: Node, how: str, own: str) -> None:
        """Joins the threads' accumulators: acc<n> is the result, in every thread."""
        n, t = a.attr("acc"), _folded_type(a)
        if a.attr("fold") == "argmax":
            self.out(f"const int64_t acc{n} = weft_max64({how}({own}, part, weft_better<{value_type(a)}>).index, 0);")
            return
        if a.attr("fold") == "devsq":
            text = f"{how}({own}, part, weft_devsq_both<{value_type(a)}>).sum"
            self.out(f"const {acc_type(a)} acc{n} = {rounded(a, text)};")
            return
        both = strip(scalar.fold_text(a.attr("fold"), a.attr("dtype"), "a", "b"))
        text = f"{how}({own}, part, []({t} a, {t} b) -> {t} {{ return {both}; }})"
        self.out(f"const {acc_type(a)} acc{n} = {rounded(a, text)};")

    # flat: a launch a stage

    def _partials(self) -> dict[Node, list[tuple[str, Node]]]:
        """For each `accumulate` of a flat nest its arrays of partial results: values, and for argmax places."""
        found: dict[Node, list[tuple[str, Node]]] = {}
        if self.mode == "flat":
            for s in self.nest.block.inputs:
                for a in s.inputs[1:] if s.op == "loop" else ():
                    if a.op == "accumulate":
                        count = _partial_count(s.inputs[0])
                        found[a] = [(d, count) for d in parts(a)]
        return found

    def _flat(self) -> None:
        self.scratch = self._all_scratch()
        place = itertools.count(len(self.nest.scratch) + 1)
        arrays = {a: [next(place) for _ in ps] for a, ps in self._partials().items()}
        stores: list[Node] = []
        loops = [s for s in self.nest.block.inputs if s.op == "loop"]
        done: list[tuple[Node, Node]] = []  # accumulators so far, with their loops
        for s in self.nest.block.inputs:
            if s.op == "store":
                stores.append(s)
                continue
            accs = [a for a in s.inputs[1:] if a.op == "accumulate"]
            if accs:
                blocks = _partial_count(s.inputs[0])
            else:
                blocks = _blocks(s.inputs[0], THREADS, MAX_BLOCKS)
            with_stores = stores if s is loops[-1] and not accs else []
            if with_stores:
                blocks, stores = lengths.maximum(blocks, lengths.const(1)), []
            self._flat_launch(s, accs, blocks, with_stores, done, arrays)
            done += [(a, s) for a in accs]
        if stores:
            self._flat_launch(None, [], lengths.const(1), stores, done, arrays)

    def _flat_launch(
        self,
        loop: Node | None,
        accs: list[Node],
        blocks: Node,
        stores: list[Node],
        done: list[tuple[Node, Node]],
        arrays: dict[Node, list[int]],
    ) -> None:
        scope = self._open(blocks, lengths.const(THREADS), THREADS)
        out = self.out
        body = list(loop.inputs[1:]) if loop is not None else []
        values = values_of([*body, *stores])
        read = set().union(*depends_on(values).values()) if values else set()
        needed = [(a, s) for a, s in done if acc_node(a) in read]
        if accs or needed:
            self._part()
        for a, s in needed:
            self._join(a, s, arrays[a])
            scope.bind(acc_node(a), f"acc{a.attr('acc')}")
        if loop is not None:
            (k,) = loop.attr("index")
            inner = scope.inner()
            hoist(out, inner, body, {build("index", index=k)})
            self._declare(accs)
            self._grid_stride(f"i{k}", self._closed(loop.inputs[0]))
            self._visit(inner.inner(), body, k)
            out.close()
        for a in accs:
            self._leave(a, arrays[a])
        self._once(scope, stores, "blockIdx.x == 0 && threadIdx.x == 0")
        out.close()

    def _leave(self, a: Node, places: list[int]) -> None:
        """Folds a block's part of a reduction and stores it, not yet rounded."""
        n, t = a.attr("acc"), _folded_type(a)
        if a.attr("fold") == "argmax":
            self.out(f"own{n} = weft_fold_block(own{n}, part, weft_better<{value_type(a)}>);")
            stores = f"s{places[0]}[blockIdx.x] = own{n}.value, s{places[1]}[blockIdx.x] = own{n}.index;"
        elif a.attr("fold") == "devsq":
            self.out(f"own{n} = weft_fold_block(own{n}, part, weft_devsq_both<{value_type(a)}>);")
            fields = zip(places, ("count", "mean", "sum"), strict=True)
            stores = ", ".join(f"s{p}[blockIdx.x] = own{n}.{field}" for p, field in fields) + ";"
        else:
            both = strip(scalar.fold_text(a.attr("fold"), a.attr("dtype"), "a", "b"))
            self.out(f"own{n} = weft_fold_block(own{n}, part, []({t} a, {t} b) -> {t} {{ return {both}; }});")
            stores = f"s{places[0]}[blockIdx.x] = own{n};"
        self.out(f"if (threadIdx.x == 0) {stores}")

    def _join(self, a: Node, loop: Node, places: list[int]) -> None:
        """The result of an earlier launch's reduction, from its partial results."""
        n = a.attr("acc")
        self._declare([a])
        count = strip(self._closed(_partial_count(loop.inputs[0])))
        self.out.open(f"for (int64_t o = threadIdx.x; o < {count}; o += blockDim.x)")
        if a.attr("fold") == "argmax":
            part = f"{_folded_type(a)}{{s{places[0]}[o], s{places[1]}[o]}}"
            self.out(f"own{n} = weft_better(own{n}, {part});")
        elif a.attr("fold") == "devsq":
            part = ", ".join(f"s{p}[o]" for p in places)
            self.out(f"own{n} = weft_devsq_both(own{n}, {_folded_type(a)}{{{part}}});")
        else:
            step = scalar.fold_text(a.attr("fold"), a.attr("dtype"), f"own{n}", f"s{places[0]}[o]")
            self.out(f"own{n} = {strip(step)};")
        self.out.close()
        self._fold(a, "weft_fold_block", f"own{n}")


def _folded_type(a: Node) -> str:
    """The type in which threads fold: an argmax carries the value with its place, a devsq count and mean."""
    return {"argmax": f"weft_best<{value_type(a)}>", "devsq": f"weft_devsq<{value_type(a)}>"}.get(
        a.attr("fold"), value_type(a)
    )


def _blocks(rounds: Node, each: int, limit: int) -> Node:
    return lengths.minimum(lengths.ceildiv(rounds, each), lengths.const(limit))


def _partial_count(extent: Node) -> Node:
    """Blocks of a whole-tensor reduction: by its length alone, so that its order does not depend on the device."""
    return lengths.maximum(_blocks(extent, PER_BLOCK, MAX_PARTIALS), lengths.const(1))
