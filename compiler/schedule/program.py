"""The host program: kernel-level region in, ordered steps with their buffers and lifetimes out.

    block ::= step*                    in order; the checks that stand before a step are listed with it
    step  ::= kernel | routine | scan(block) | ifelse(block, block) | copy | scalar
    buffer::= input | state | output | spare | constant | arena | late | row of another buffer | part of one | piece

A buffer lives in the arena when its size is a closed form in the lengths known at the call's start; otherwise it is
"late": reserved when its length is known. A "piece" has no memory: a product and the kernels that it runs hand it to
each other piece by piece.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.node import (
    Check,
    Node,
    Region,
    Renumbered,
    build,
    depends,
    executable,
    is_early,
    length_terms,
    rebuild,
    renumber,
    topological,
)
from ..ir.types import TensorType, TupleType
from . import around
from .affine import operand
from .clusters import Decision
from .fuse import Fused, fuse
from .scratch import routine_scratch
from .steps import Block, Buffer, HostProgram, Member, Rows, Step
from .values import equal_lengths, host_leaves

STEP_FAMILIES = ("kernel", "procedural", "control")  # of operations that are steps


class Body(NamedTuple):
    """A region as it is built into the program."""

    outputs: list[Node]
    checks: list[Check]
    members: dict[Node, list[Member]]  # of each step
    lengths: dict[Node, Node]


class Builder:
    """Builds the steps of a program and of the regions in it."""

    def __init__(self, kernels, check_fused: Callable[[Region], None] | None = None, blas: str = "own"):
        self.kernels = kernels  # how kernels are lowered (codegen.host.Kernels): their nests and scratch arrays
        self.check_fused = check_fused  # looks at each fused region before steps are made of it
        self.blas = blas  # "own", or the library that products of float matrices are left to
        self.buffers: list[Buffer] = []
        self.constants: list[Node] = []
        self.value: dict[Node, Buffer] = {}  # of the block being built and those around it
        self.lengths: dict[Node, Node] = {}  # of the block being built: run-time lengths as types name them -> as bound
        self.bound: dict[Node, Node] = {}  # what has been made of `lengths`
        self.leaves: dict[Node, tuple[Node, ...]] = {}  # of the scalars that the host computes
        self.ran: set[Node] = set()  # the operations whose steps are there, of this block and those around it
        self.time = 0
        self.decisions: list[Decision] = []
        self.members: dict[Node, list[Member]] = {}  # of the steps of the block being built
        self.fused: dict[Region, Fused] = {}
        self.current: list[Step] = []  # the steps of the block being built
        self.parts: dict[Node, tuple[Node, Node]] = {}  # value -> the concatenation it is a part of, elements in front

    def body(self, r: Region, params: Sequence[Node] | None = None) -> Body:
        """A region fused, in terms of its params or of what stands for them."""
        if r not in self.fused:
            self.fused[r] = fuse(r)
            self.decisions += self.fused[r].decisions
            if self.check_fused is not None:
                self.check_fused(self.fused[r].region)
        f = self.fused[r]
        made = Renumbered(list(f.region.outputs), list(f.region.checks), {})
        if params is not None:
            made = renumber(f.region, dict(zip(f.region.params, params, strict=True)))
        became = made.nodes
        members: dict[Node, list[Member]] = {}
        for n in f.region.nodes():
            if n.family in STEP_FAMILIES:
                members.setdefault(became.get(n, n), []).extend(Member(r, m) for m in f.members.get(n, [n]))
        bound = {rebuild(a, became): rebuild(b, became) for a, b in f.lengths.items()}
        return Body(made.outputs, made.checks, members, bound)

    def buffer(self, t: TensorType, place: str, index: int = -1) -> Buffer:
        b = Buffer(len(self.buffers), self.known(t), place, index, self.time, self.time)
        self.buffers.append(b)
        for a in b.type.axes:
            self.use_scalar(a)
        return b

    def known(self, t: TensorType) -> TensorType:
        """The type with its run-time lengths as the steps bind them."""
        if not self.lengths:
            return t
        return TensorType(t.dtype, tuple(map(self.as_bound, t.axes)), t.kind)

    def as_bound(self, length: Node) -> Node:
        """A length, or what is made of lengths, as the steps bind it."""
        for n in length_terms([length], self.bound):
            if n.op == "length":
                self.bound.setdefault(n, self.lengths.get(n, n))
        return rebuild(length, self.bound)

    def temporary(self, t: TensorType) -> Buffer:
        return self.buffer(t, "arena")

    def use(self, n: Node) -> Buffer:
        """The buffer of a node in memory, used now."""
        b = self.value.get(n)
        if b is None and n.op == "reshape":
            b = self.value[n] = self.use(n.inputs[0])
        elif b is None:
            if n.op != "const":
                raise InternalError(f"{n!r} is not in memory")
            b = self.value[n] = self.buffer(n.type, "constant", len(self.constants))
            self.constants.append(n)
        b.end = max(b.end, self.time)
        return b

    def memory(self, x: Node) -> Buffer:
        """The buffer of a value; a host scalar is written to one first."""
        if x in self.value or x.op in ("const", "reshape"):
            return self.use(x)
        if x.ndim or x.family not in ("elementwise", "leaf"):
            raise InternalError(f"{x!r} is not in memory")
        target = self.temporary(x.type)
        self.current.append(Step("scalar", x, [self.use_scalar(x)], [target]))
        self.value[x] = target
        return self.use(x)

    def use_scalar(self, n: Node) -> Node:
        """A host scalar used now: the 0-d buffers that it reads stay alive."""
        for m in host_leaves(n, self.leaves):
            if m in self.value:
                self.use(m)
        return n

    def block(self, body: Body, targets: Sequence[Buffer | None]) -> Block:
        """Steps computing the outputs into the targets (None: wherever they are)."""
        outputs, checks = body.outputs, body.checks
        outside = self.value, self.lengths, self.bound, self.members, self.parts
        self.value, self.members, self.parts = dict(self.value), body.members, {}
        self.lengths, self.bound = self.lengths | body.lengths, {}
        needed = [a for o in outputs for a in self.known(o.type).axes]
        roots = [*outputs, *(o for c in checks for o in c.operands), *needed]
        sizes: dict[Node, tuple[Node, ...]] = {}  # what makes a part of a concatenation -> the lengths of the whole
        again: set[Node] = set()  # has run for a concatenation outside that has the same part, and lies there
        for n in topological(roots, lambda n: () if n in self.ran else n.inputs):
            if n.op == "concatenate":
                self.parts |= {x: (n, first) for x, first in zip(n.inputs, _firsts(n), strict=True)}
                axes = self.known(n.type).axes
                for maker in map(_maker, n.inputs):
                    sizes[maker] = (*sizes.get(maker, ()), *axes)
                    if maker in self.ran and n not in self.value:
                        again.add(maker)
        self.ran -= again
        for i in (i for maker in again for i in _items(maker)):
            self.value.pop(i, None)
        order = executable(roots, self.lengths, sizes, self.ran)
        position = {n: k for k, n in enumerate(order)}
        wanted: dict[Node, Buffer] = {}
        for o, t in zip(outputs, targets, strict=True):
            if o.op == "reshape" and all(map(is_early, self.known(o.type).axes)) and _writes_anywhere(_stored(o)):
                o = _stored(o)
            if t is not None and o not in wanted and _produced(o) and o not in self.value and _direct(o):
                wanted[o] = t
        ready: dict[int, list[Check]] = {}
        latest: dict[Node, int] = {}  # the last step that a value rests on
        for c in checks:
            for m in topological(c.operands, lambda m: () if m in latest or m.family in STEP_FAMILIES else depends(m)):
                if m not in latest:
                    rests = [position.get(m, -1)] if m.family in STEP_FAMILIES else [latest[i] for i in depends(m)]
                    latest[m] = max(rests, default=-1)
            ready.setdefault(max((latest[o] for o in c.operands), default=-1), []).append(c)
        outer, self.current = self.current, []
        steps = self.current
        pending = list(ready.get(-1, ()))
        own = {n for n in order if not self.library(n)}
        read = [*outputs, *(o for c in checks for o in c.operands)]

        marks = sorted(ready)

        def checked(a: Node, b: Node) -> bool:
            return bisect_left(marks, position[a]) < bisect_left(marks, position[b])

        here = [n for n in order if n not in self.value]
        found = around.plan(here, self.kernels, own, read, checked, equal_lengths(checks))
        products = {g.place: g for g in found}
        moved = {n for g in found for n in (g.product, *g.kernels())} - set(products)
        readers = Counter(x for n in order for x in set(n.inputs)) + Counter(outputs)
        over = {n for n in here if n.definition.writes_over and self.may_write_over(n, readers)}
        for n in reversed(order):  # its operand is made where its result is wanted
            if n in over and n in wanted and wanted[n].place != "row":
                wanted[n.inputs[0]] = wanted[n]
        ran: list[Node] = []
        for k, n in enumerate(order):
            if n in moved:
                pending += ready.get(k, ())
                continue
            if n.family in STEP_FAMILIES and not any(i in self.value for i in _items(n)):
                self.time += 1
                if n in products:
                    g = products[n]
                    step = self.product(g, wanted, readers[g.product] == 1)
                    ran += [g.product, *g.kernels()]
                else:
                    if n in over:
                        self.value[n] = self.use(n.inputs[0])
                    step = self.step(n, wanted, [self.value[n]] if n in over else None)
                    ran.append(n)
                self.ran.update(ran)
                step.checks, pending = pending, []
                for c in step.checks:
                    for o in c.operands:
                        self.use_scalar(o)
                steps.append(step)
            pending += ready.get(k, ()) if k in ready else []
        self.time += 1
        results: list[Buffer | Node] = []
        for o, t in zip(outputs, targets, strict=True):
            results.append(self.result(o, t, steps))
        for c in pending:
            for op in c.operands:
                self.use_scalar(op)
        types = [self.known(o.type) for o in outputs]
        for a in (a for t in types for a in t.axes):
            self.use_scalar(a)
        made = Block(steps, results, types, pending, {n: b for n, b in self.value.items() if n not in outside[0]})
        self.current = outer
        self.value, self.lengths, self.bound, self.members, self.parts = outside
        self.ran.difference_update(ran)
        self.ran |= again
        return made

    def result(self, o: Node, target: Buffer | None, steps: list[Step]) -> Buffer | Node:
        if o.op in ("dim", "length") or (o.ndim == 0 and o.family == "elementwise" and o not in self.value):
            if target is None:
                return self.use_scalar(o)
            self.time += 1
            steps.append(Step("scalar", o, [self.use_scalar(o)], [target]))
            target.end = self.time
            return target
        have = self.use(o)
        if target is None or have is target:
            return have
        self.time += 1
        have.end = target.end = max(target.end, self.time)
        steps.append(Step("copy", o, [have], [target]))
        return target

    def step(self, n: Node, wanted: dict[Node, Buffer], outputs: list[Buffer] | None = None) -> Step:
        """The step of a node; `outputs` where they have been made before."""
        items = _items(n)
        if n.family == "control":
            return self.control(n, items, wanted)
        inputs: list[Node | Buffer] = []
        for k, x in enumerate(n.inputs):
            by_value = n.family == "kernel" and x.ndim == 0 and x.type.dtype == "int64"
            if by_value or k in n.definition.host_inputs:
                inputs.append(self.use_scalar(x))
            elif (view := operand(n, k)) is not None:
                for s in (view.offset, *view.strides):
                    self.use_scalar(s)
                inputs.append(self.use(view.base))
            else:
                inputs.append(self.memory(x))
        outputs = self.outputs(n, items, wanted) if outputs is None else outputs
        scratch = []
        for dtype, size in self.kernels.scratch(n) if n.family == "kernel" else routine_scratch(n):
            scratch.append(self.temporary(TensorType(dtype, (size,))))
        kind = "kernel" if n.family == "kernel" else "routine"
        return Step(kind, n, inputs, outputs, scratch, library=self.library(n), members=self.members.get(n, []))

    def may_write_over(self, n: Node, readers: Counter[Node]) -> bool:
        """Whether the result of a step may lie where its first operand is: in memory of its own, that nothing else
        reads."""
        x = n.inputs[0]
        own = _maker(x).family in ("kernel", "procedural") and x not in self.value and x not in self.parts
        return own and readers[x] == 1 and x not in n.inputs[1:]

    def library(self, n: Node) -> str:
        """Whose routine computes a node; "" for ours."""
        if self.blas == "openblas" and n.op == "dot" and n.ndim == 2 and n.type.dtype in ("float32", "float64"):
            return "OpenBLAS"
        return n.definition.library

    def product(self, g: around.Around, wanted: dict[Node, Buffer], alone: bool) -> Step:
        """A product and the kernels that it runs as one step; `alone`: nothing else reads the product."""
        n = g.product
        makers: dict[int, tuple[Step, bool]] = {}
        for k, (kernel, turned) in g.makers.items():
            made = [self.piece(i.type) for i in _items(kernel)]
            for i, b in zip(_items(kernel), made, strict=True):
                self.value[i] = b
            makers[k] = (self.step(kernel, wanted, made), turned)
        followed = None
        if g.then is not None:
            followed = self.outputs(g.then, _items(g.then), wanted)
            shared = around.stored_in(self.kernels.tile(g.then), g.then, n) if alone else None
            if shared is not None:
                wanted = {**wanted, n: followed[shared]}
            elif alone:
                wanted = {**wanted, n: self.piece(n.type)}
        step = self.step(n, wanted)
        step.makers = makers
        if g.then is not None:
            step.then = self.step(g.then, wanted, followed)
            step.then.in_place = shared is not None
            self.inside(n, step.then, "what follows the product reads each rectangle of it when it is done")
        if g.whole is not None:
            step.whole, step.rows = self.step(g.whole, wanted), g.rows
            what = "row" if g.rows else "column"
            self.inside(n, step.whole, f"what follows the product reads each {what} of it when it is done")
        for k, (s, _) in makers.items():
            self.inside(n.inputs[k], s, "the product has each rectangle of its operand made when it needs it")
        for s in step.inside():
            step.members = step.members + s.members
        return step

    def piece(self, t: TensorType) -> Buffer:
        return self.buffer(t, "piece")

    def inside(self, value: Node, step: Step, why: str) -> None:
        """Records that a kernel runs inside a product, and what is not read (or written) for that."""
        for m in step.members[:1]:
            self.decisions.append(Decision(m.region, m.node, True, why, value))

    def outputs(self, n: Node, items: list[Node], wanted: dict[Node, Buffer]) -> list[Buffer]:
        types = n.type.items if isinstance(n.type, TupleType) else (n.type,)
        by_index = {i.attr("index") if i is not n else 0: i for i in items}
        out = []
        for k, t in enumerate(types):
            item = by_index.get(k)
            b = wanted.get(item) if item is not None else None
            if item in self.parts:
                b = self.part(item, wanted)
            if b is None:
                b = self.temporary(t)
            b.end = max(b.end, self.time)
            if item is not None:
                self.value[item] = b
            out.append(b)
        return out

    def part(self, item: Node, wanted: dict[Node, Buffer]) -> Buffer:
        """Where a part of a concatenation lies; memory for the whole is there from its first part on."""
        whole, first = self.parts[item]
        if whole not in self.value:
            self.value[whole] = wanted[whole] if whole in wanted else self.temporary(whole.type)
        b = self.buffer(item.type, "part")
        b.of, b.offset = self.use(whole), self.use_scalar(self.as_bound(first))
        return b

    def control(self, n: Node, items: list[Node], wanted: dict[Node, Buffer]) -> Step:
        first = self.use_scalar(n.inputs[0])
        views: dict[int, Rows] = {}
        args: list[Buffer] = []
        for k, x in enumerate(n.inputs[1:], 1):
            view = operand(n, k)
            if view is not None and view.base is not x:
                offset, stride = self.as_bound(view.offset), self.as_bound(view.strides[0])
                views[k] = Rows(offset, stride if k <= n.attr("sequences") else None)
                for s in (offset, stride, *x.type.axes):
                    self.use_scalar(s)
                x = view.base
            args.append(self.memory(x))
        outputs = self.outputs(n, items, wanted)
        members = self.members.get(n, [])
        step = Step("scan" if n.op == "scan" else "ifelse", n, [first, *args], outputs, views=views, members=members)
        before = len(self.buffers)
        if n.op == "ifelse":
            for name in ("then", "orelse"):
                bound = self.bind([x.type for x in n.inputs[1:]], list(args))
                step.params.append([b for _, b in bound])
                targets = [b if b.is_early() else None for b in outputs]
                step.blocks.append(self.block(self.body(n.attr(name), [q for q, _ in bound]), targets))
        else:
            self.scan(step, n, args)
        self.time += 1
        # Inside the loop everything that lived before it stays; outside values end with the loop at the earliest.
        for b in (x for x in (*step.inputs, *outputs) if isinstance(x, Buffer)):
            b.end = max(b.end, self.time)
        if n.op == "scan":
            for used in self.buffers[:before]:
                if used.end > outputs[0].start if outputs else False:
                    used.end = max(used.end, self.time)
        return step

    def bind(self, types: Sequence[TensorType], args: Sequence[Buffer | None]) -> list[tuple[Node, Buffer]]:
        """For each param of a region a placeholder node of the outer lengths, and its buffer (rows when None)."""
        out: list[tuple[Node, Buffer]] = []
        for t, a in zip(types, args, strict=True):
            place = build("param", *t.axes, token=("v", -2 - self.fresh()), dtype=t.dtype, kind=t.kind)
            b = a if a is not None else self.buffer(t, "row")
            out.append((place, b))
            self.value[place] = b
        return out

    _fresh = 0

    def fresh(self) -> int:
        self._fresh += 1
        return self._fresh

    def scan(self, step: Step, n: Node, args: list[Buffer]) -> None:
        taps, count = n.attr("taps"), n.attr("sequences")
        params = n.attr("step").params
        types: list[TensorType] = []
        bound: list[Buffer | None] = []
        for x, p in zip(n.inputs[1 : 1 + count], params, strict=False):
            types.append(TensorType(x.type.dtype, x.type.axes[1:], p.type.kind))
            bound.append(None)
        for k, offsets in enumerate(taps):
            x = n.inputs[1 + count + k]
            for _ in offsets:
                types.append(TensorType(x.type.dtype, _row_axes(x.type), x.type.kind))
                bound.append(None)
        for x, a in zip(n.inputs[1 + count + len(taps) :], args[count + len(taps) :], strict=True):
            types.append(x.type)
            bound.append(a)
        pairs = self.bind(types, bound)
        step.params.append([b for _, b in pairs])
        body = self.body(n.attr("step"), [q for q, _ in pairs])
        # Rings for states of which only the last values are kept: one row more than the look-back.
        for k, offsets in enumerate(taps):
            if not n.attr("keep")[k]:
                t = step.outputs[k].type
                ring = self.temporary(TensorType(t.dtype, t.axes, t.kind))
                row = lengths.product(_row_axes(t))
                ring.extra = lengths.scale(row, 1 - min(offsets))
                step.scratch.append(ring)
        targets: list[Buffer | None] = []
        for k in range(len(body.outputs) - bool(n.attr("until"))):
            t = step.outputs[k].type
            targets.append(self.buffer(TensorType(t.dtype, _row_axes(t), t.kind), "row"))
        if n.attr("until"):
            targets.append(self.temporary(body.outputs[-1].type))
        step.params.append(list(t for t in targets if t is not None))
        block = self.block(body, targets)
        self.time += 1
        for b in (*step.scratch, *step.params[0], *(t for t in targets if t is not None)):
            b.end = max(b.end, self.time)
        step.blocks.append(block)


def _row_axes(t: TensorType) -> tuple[Node, ...]:
    """The lengths of one step's value among those scan keeps; the state of a random stream has no axis of steps."""
    return t.axes if t.kind == "random" else t.axes[1:]


def _produced(o: Node) -> bool:
    return o.family == "procedural" or o.op in ("item", "concatenate")


def _stored(o: Node) -> Node:
    """What lies in memory where o does: a tensor and what it is reshaped to are the same there."""
    while o.op == "reshape":
        o = o.inputs[0]
    return o


def _maker(o: Node) -> Node:
    """The operation of which it is the result, or one of the results."""
    return o.inputs[0] if o.op == "item" else o


def _writes_anywhere(o: Node) -> bool:
    """Whether what makes it takes any memory of its size: loops and Python go by the lengths of buffers."""
    maker = _maker(o)
    return maker.family == "kernel" or maker.op in ("dot", "batched_dot")


def _firsts(n: Node) -> list[Node]:
    """How many elements of a concatenation lie in front of the first one of each part."""
    axis = n.attr("axis")
    out, at = [], lengths.const(0)
    for x in n.inputs:
        out.append(lengths.mul(at, lengths.product(n.type.axes[axis + 1 :])))
        at = lengths.add(at, x.type.axes[axis])
    return out


def _direct(o: Node) -> bool:
    """Whether the step that makes the value can write it to a given place: its length is known before it runs."""
    maker = _maker(o)
    if not maker.definition.binds:
        return True
    if maker.op == "scan":
        return not maker.attr("until")
    return maker.op == "ifelse" and all(map(is_early, o.type.axes))


def _items(n: Node) -> list[Node]:
    if not isinstance(n.type, TupleType):
        return [n]
    return [build("item", n, index=k) for k in range(len(n.type.items))]


def build_program(
    source: Region,
    inputs: int,
    results: int,
    updates: list[int],
    kernels,
    check_fused: Callable[[Region], None] | None = None,
    blas: str = "own",
) -> HostProgram:
    """The host program of a function: its params are `inputs` arguments, then states; its outputs results, then
    updates."""
    from .inplace import choose

    b = Builder(kernels, check_fused, blas)
    body = b.body(source)
    b.lengths = body.lengths
    for k, p in enumerate(source.params):
        b.value[p] = b.buffer(p.type, "input" if k < inputs else "state", k if k < inputs else k - inputs)
    targets: list[Buffer | None] = []
    for k, o in enumerate(body.outputs):
        targets.append(
            b.buffer(o.type, "output", k) if k < results else b.buffer(o.type, "spare", updates[k - results])
        )
    block = b.block(body, targets)
    block.value |= b.value  # the params
    states = {k: b.value[p] for k, p in enumerate(source.params[inputs:])}
    after = choose(block, states, kernels.nest, b.piece)
    for s in after:
        for x in (x for part in (s, *s.inside()) for x in (*part.inputs, *part.scratch)):
            if isinstance(x, Buffer):
                x.end = b.time + 1
            else:
                for m in host_leaves(x, b.leaves):
                    if m in block.value:
                        block.value[m].end = b.time + 1
    slots, segments = plan_memory(b.buffers)
    return HostProgram(
        block, b.buffers, b.constants, slots, segments, inputs, len(source.params) - inputs, results, updates,
        b.decisions, list(source.params), take_early(block), after,
    )  # fmt: skip


def take_early(block: Block) -> list[Check]:
    """Takes the checks out of the block that can be made when the call starts."""
    early: list[Check] = []
    for checks in (*(s.checks for s in block.steps), block.final_checks):
        at_start = [all(map(is_early, c.operands)) for c in checks]
        early += [c for c, e in zip(checks, at_start, strict=True) if e]
        checks[:] = [c for c, e in zip(checks, at_start, strict=True) if not e]
    return early


def plan_memory(buffers: list[Buffer]) -> tuple[list[list[Node]], int]:
    """Arena slots by lifetime: buffers of equal size whose lives do not overlap share one. Returns the slots' sizes and
    the number of segments (the arena, the routines' workspace, one for each late buffer)."""
    slots: list[list[Node]] = []
    segments = 2
    free: dict[Node, list[int]] = {}
    expiring: dict[int, list[tuple[Node, int]]] = {}
    todo = sorted((b for b in buffers if b.place == "arena"), key=lambda b: (b.start, b.number))
    now = -1
    sizes: dict[tuple, tuple[Node, bool]] = {}  # many buffers are of few types
    for b in todo:
        like = (b.dtype, b.type.axes, b.extra)
        if like not in sizes:
            sizes[like] = b.nbytes(), b.is_early()
        size, early = sizes[like]
        if not early:
            b.place, b.index = "late", segments
            segments += 1
            continue
        while now < b.start:
            for s, k in expiring.pop(now, ()):
                free.setdefault(s, []).append(k)
            now += 1
        if free.get(size):
            b.index = free[size].pop()
        else:
            b.index = len(slots)
            slots.append([size])
        expiring.setdefault(max(b.end, b.start), []).append((size, b.index))
    return slots, segments
