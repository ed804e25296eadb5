"""The host program -> C: one entry point that checks lengths, lays out memory, runs the steps, and commits."""

from __future__ import annotations

import math
from collections import ChainMap
from typing import Any, NamedTuple

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.interp.checks import SHOWN
from ..ir.node import STEPS, Check, Node, bound_length
from ..ir.ops.control import stacks_backwards
from ..ir.ops.kernel import within
from ..lower.kernel import Nest, lower_kernel
from ..schedule.around import by_rows
from ..schedule.steps import THREADS, Block, Buffer, HostProgram, Step, is_loaded
from . import scalar
from .c_kernel import KernelPrinter
from .expressions import Scope, Text, strip
from .products import declare, multiply
from .profiled import Profiled
from .routines import ROUTINES, scatter_call

UNIT_LIMIT = 32_000  # characters of one translation unit; more are compiled side by side
# Lines of host code beyond which the C compiler is asked not to optimise it: thousands of addresses that live all along
# take it quadratic time, and what such a program spends its time on is in the kernels. (1,200 lines, of a training step
# of 20 layers: 0.8 of 1.8 s of gcc 12.2; without it a call takes 1 us more.)
LONG_HOST = 400


class Generated(NamedTuple):
    """The C of a program: translation units, what its checks mean, and the arrays it takes besides the arguments."""

    units: list[tuple[str, str]]
    checks: list[dict[str, Any]]
    causes: list[Check | Step]  # of each check: the obligation, or the step that found its values unfit
    constants: list[Node]
    segments: int
    hosts: list[Any]
    host_calls: list[Node]
    library: list[str]
    kernels: dict[str, Nest]
    calls: list[tuple[str, Step]]  # kernel name and step of every call, in order
    profiled: list[tuple[Step, int]]  # of a program that profiles itself: its steps and in which of them each stands


def _key(n: Node) -> tuple:
    """What a kernel's text follows from."""
    return (n.attr("body"), n.attr("layout"), n.attr("outer"), within(n))


class Kernels:
    """The kernels of a program: equal ones are lowered and printed once."""

    def __init__(self) -> None:
        self.by_key: dict[tuple, tuple[str, KernelPrinter]] = {}  # those in use
        self.nests: dict[tuple, Nest] = {}
        self.tiles: dict[tuple, Nest | None] = {}

    def get(
        self, n: Node, in_place: bool = False, tile: int | None = None, after: bool = False
    ) -> tuple[str, KernelPrinter]:
        """Name and printer of a kernel; `in_place` is the form that may write over what it reads; for `tile` and
        `after` see KernelPrinter."""
        key = _key(n)
        full = (*key, in_place, tile, after)
        if full not in self.by_key:
            name = f"k{len(self.by_key)}"
            nest = self.tile(n) if tile is not None else self.nest(n)
            assert nest is not None
            self.by_key[full] = (name, KernelPrinter(nest, name, in_place, tile, after))
        return self.by_key[full]

    def tile(self, n: Node) -> Nest | None:
        """The nest of a kernel that can run by rectangles of rows and columns; None where it is no such kernel."""
        key = _key(n)
        if key not in self.tiles:
            nest = lower_kernel(n, collapse=False) if n.attr("outer") >= 2 else None
            self.tiles[key] = nest if nest is not None and by_rows(nest) else None
        return self.tiles[key]

    def nest(self, n: Node) -> Nest:
        key = _key(n)
        if key not in self.nests:
            self.nests[key] = lower_kernel(n)
        return self.nests[key]

    def scratch(self, n: Node) -> list[tuple[str, Node]]:
        """Scratch arrays of a call in the program's terms: rows are needed once a worker, unless the kernel is flat."""
        from ..ir.node import substitute

        nest = self.nest(n)
        found = KernelPrinter(nest, "").scratch()
        if not found:
            return []
        mapping = dict(zip(n.attr("body").params, n.inputs, strict=True))
        sizes = [lengths.normal(s) for s in substitute([e for _, e in found], mapping)]
        if nest.mode not in ("flat", "column"):
            shared = nest.finals
            sizes = sizes[:shared] + [lengths.mul(s, THREADS) for s in sizes[shared:]]
        return [(d, s) for (d, _), s in zip(found, sizes, strict=True)]


class HostScope(Scope):
    """Scalars of the host: lengths of arguments, and 0-d values read from memory."""

    def __init__(self, printer: HostPrinter, block: Block, outer: HostScope | None = None):
        super().__init__(lambda b: f"b{b}", outer)
        self.printer = printer
        self.value: ChainMap[Node, Buffer] = ChainMap(block.value, *(outer.value.maps if outer else ()))
        self.sizes: dict[Node, str] = dict(outer.sizes) if outer else {}
        if outer is None:
            self.bind(THREADS, "threads")

    def within(self, block: Block) -> HostScope:
        return HostScope(self.printer, block, self)

    def needs(self, n: Node) -> tuple[Node, ...]:
        return () if n.op == "length" or is_loaded(n, self.value) else n.inputs

    def emit(self, out: Text, values: list[Node], ready=None) -> None:
        for n in self._missing(values):
            text = self.text(n)
            if n.op == "const":
                self.names[n] = text
                continue
            name = f"x{self.counter[0]}"
            self.counter[0] += 1
            out(f"const {scalar.register_type(n.type.dtype)} {name} = {strip(text)};")
            self.names[n] = name

    def text(self, n: Node) -> str:
        if is_loaded(n, self.value):
            b = self.value[n]
            return scalar.load(f"(({scalar.stored_type(b.dtype)} *)b{b.number})", "0", b.dtype)
        if n.op == "dim":
            return self.printer.dim(n)
        if n.op == "length":
            raise InternalError(f"{n!r} is not bound yet")
        return super().text(n)

    def get(self, out: Text, n: Node) -> str:
        self.emit(out, [n])
        return self.names[n]

    def size(self, out: Text, n: Node) -> str:
        """A size in memory: INT64_MAX where it is more, which no allocation gets. `get` would give it modulo 2^64."""
        if n.op == "const":
            return self.get(out, n)
        if n not in self.sizes:
            text = ""
            for factors in lengths.products(n):
                product = saturating("mul", [self.get(out, f) for f in factors])
                text = saturating("add", [text, product]) if text else product
            name = f"z{self.counter[0]}"
            self.counter[0] += 1
            out(f"const int64_t {name} = {text};")
            self.sizes[n] = name
        return self.sizes[n]


def saturating(op: str, values: list[str]) -> str:
    out = strip(values[0])
    for v in values[1:]:
        out = f"weft_size_{op}({out}, {strip(v)})"
    return out


class HostPrinter:
    def __init__(self, program: HostProgram, kernels: Kernels, profile: bool = False):
        self.p, self.kernels = program, kernels
        self.profiled = Profiled(profile, kernels)
        self.checks: list[dict[str, Any]] = []
        self.causes: list[Check | Step] = []
        self.hosts: list[Any] = []
        self.host_calls: list[Node] = []
        self.library: list[str] = []
        self.calls: list[tuple[str, Step]] = []
        self.declared: set[int] = set()
        self.names = 0

    def generate(self) -> Generated:
        out = Text()
        start = len(out.lines)
        out.open("static int32_t run(weft_call *call)")
        out("const int64_t threads = call->threads > 0 ? call->threads : 1;")
        out("weft_fault fault = {0, 0, 0};")
        out("(void)threads, (void)fault;")
        scope = HostScope(self, self.p.block)
        for c in self.p.early:
            self.check(out, scope, c)
        self.places(out, scope)
        self.block(out, scope, self.p.block)
        self.commit(out, scope)
        out("return WEFT_OK;")
        out.close()
        if len(out.lines) - start > LONG_HOST:
            out.lines[start] = "WEFT_PLAIN " + out.lines[start]
        out()
        out.open('__attribute__((visibility("default"))) int32_t weft_main(weft_call *call)')
        out("uint32_t mode;")
        self.profiled.enter(out)
        out("weft_lib_fp_enter(&mode);")
        out("const int32_t code = run(call);")
        out("weft_lib_fp_leave(&mode);")
        self.profiled.leave(out)
        out("return code;")
        out.close()
        return Generated(
            self.units(str(out)), self.checks, self.causes, self.p.constants, self.p.segments,
            self.hosts, self.host_calls, self.library,
            {name: printer.nest for name, printer in self.kernels.by_key.values()}, self.calls,
            self.profiled.steps,
        )  # fmt: skip

    def units(self, host: str) -> list[tuple[str, str]]:
        head = '#include "weft_kernel.h"\n#include "weft_library.h"\n\n'
        printed = [(name, p.text(), p.signature()) for name, p in self.kernels.by_key.values()]
        if sum(len(t) for _, t, _ in printed) + len(host) <= UNIT_LIMIT:
            return [("program.c", head + "\n".join(t for _, t, _ in printed) + "\n" + host)]
        hidden = '__attribute__((visibility("hidden"))) '
        declarations = "".join(f"{hidden}{s.removeprefix('static ')};\n" for _, _, s in printed)
        units = [("program.c", head + declarations + "\n" + host)]
        chunk: list[str] = []
        size = 0
        for _, text, signature in printed:
            if chunk and size + len(text) > UNIT_LIMIT:
                units.append((f"kernels{len(units)}.c", head + "\n".join(chunk)))
                chunk, size = [], 0
            chunk.append(text.replace(signature, hidden + signature.removeprefix("static ")))
            size += len(text)
        if chunk:
            units.append((f"kernels{len(units)}.c", head + "\n".join(chunk)))
        return units

    # Memory

    def dim(self, n: Node) -> str:
        token, axis = n.attr("token"), n.attr("axis")
        return f"{self.argument(token)}.dims[{axis}]"

    def argument(self, token: int) -> str:
        return f"call->inputs[{token}]" if token < self.p.inputs else f"call->states[{token - self.p.inputs}]->now"

    def places(self, out: Text, scope: HostScope) -> None:
        """Reserves the arena and binds the buffers whose place is known at the start."""
        # Slots of one size lie side by side: few lengths to evaluate, however many slots there are.
        groups: dict[Node, list[int]] = {}
        for k, (size,) in enumerate(self.p.slots):
            groups.setdefault(size, []).append(k)
        offset = "0"
        address: dict[int, str] = {}
        for g, (size, slots) in enumerate(groups.items()):
            out(f"const int64_t s{g} = weft_size_up({scope.size(out, size)});")
            out(f"const int64_t o{g} = {offset};")
            offset = saturating("add", [f"o{g}", saturating("mul", [f"s{g}", str(len(slots))][: 1 + (len(slots) > 1)])])
            for j, k in enumerate(slots):
                address[k] = f"arena + o{g} + {j} * s{g}" if j else f"arena + o{g}"
        if groups:
            out(f"const int64_t o{len(groups)} = {offset};")
            out(f"char *const arena = weft_lib_grow(&call->segments[0], o{len(groups)});")
            self.need(out, "arena", f"o{len(groups)}")
        for b in self.p.buffers:
            if b.place == "arena":
                self.declare(out, b, f"(void *)({address[b.index]})")
            elif b.place == "input":
                self.declare(out, b, f"call->inputs[{b.index}].data")
            elif b.place == "state":
                self.declare(out, b, f"call->states[{b.index}]->now.data")
            elif b.place == "constant":
                self.declare(out, b, f"call->inputs[{self.p.inputs + b.index}].data")
            elif b.place in ("output", "spare") and b.is_early():
                self.reserve_slot(out, scope, b)

    def slot(self, b: Buffer) -> str:
        return f"call->outputs[{b.index}]" if b.place == "output" else f"call->states[{b.index}]->spare"

    def reserve_slot(self, out: Text, scope: HostScope, b: Buffer) -> None:
        """Memory for an output or a new state value, and its lengths."""
        slot, axes = self.slot(b), b.type.axes
        for a, n in enumerate(axes):
            out(f"{slot}.dims[{a}] = {scope.get(out, n)};")
        known = [k for k in map(lengths.static, axes) if k is not None]
        longest = len(axes) - len(known) - (0 not in known)  # axes of any length of an empty array
        item = DTYPES[b.dtype].itemsize
        if longest > 0 and item * math.prod(k or 1 for k in known) * lengths.LIMIT**longest >= 1 << 63:
            # NumPy has no such array, be it empty, and is not to say so after the commit.
            size = f"z{self.names}_"
            self.names += 1
            out(f"const int64_t {size} = weft_size_of({item}, {len(axes)}, {slot}.dims);")
        else:
            size = scope.size(out, b.nbytes())
        memory = "call->memory" if b.place == "output" else "NULL"
        self.declare(out, b, f"weft_lib_output(&{slot}, {size}, {memory})")
        self.need(out, f"b{b.number}", size)

    def need(self, out: Text, address: str, size: str) -> None:
        out(f"if (!{address}) return weft_no_memory(call, {size});")

    def declare(self, out: Text, b: Buffer, text: str) -> None:
        const = "const " if b.place in ("input", "constant") else ""
        out(f"{const}{scalar.stored_type(b.dtype)} *const b{b.number} = {text};")
        out(f"(void)b{b.number};")
        self.declared.add(b.number)

    def reserve(self, out: Text, scope: HostScope, b: Buffer, size: str | None = None) -> None:
        """A late buffer, or a late output, once its length is known."""
        if b.number in self.declared:
            return
        if b.place in ("output", "spare"):
            self.reserve_slot(out, scope, b)
            return
        if b.place == "part":
            assert b.of is not None and b.offset is not None
            self.reserve(out, scope, b.of)
            self.declare(out, b, f"b{b.of.number} + {scope.get(out, b.offset)}")
            return
        if b.place != "late":
            raise InternalError(f"buffer {b.number} ({b.place}) has no place")
        text = size if size is not None else scope.size(out, b.nbytes())
        self.declare(out, b, f"weft_lib_grow(&call->segments[{b.index}], {text})")
        self.need(out, f"b{b.number}", text)

    def reserve_all(self, out: Text, scope: HostScope, buffers: list[Buffer]) -> None:
        for b in buffers:
            self.reserve(out, scope, b)

    def pointer(self, name: str) -> str:
        """A routine of a library that the runtime provides by address."""
        if name not in self.library:
            self.library.append(name)
        return f"call->library[{self.library.index(name)}]"

    def workspace(self, out: Text, size: str) -> str:
        """Scratch memory of a routine, in the segment that routines share; the expression of its address."""
        name = f"w{self.names}"
        self.names += 1
        out(f"void *const {name} = weft_lib_grow(&call->segments[1], {size});")
        self.need(out, name, size)
        return name

    # Steps

    def block(self, out: Text, scope: HostScope, block: Block) -> None:
        for s in block.steps:
            for c in s.checks:
                self.check(out, scope, c)
            with self.profiled.step(out, scope, s):
                getattr(self, "step_" + s.kind)(out, scope, s)
        for c in block.final_checks:
            self.check(out, scope, c)

    def check(self, out: Text, scope: HostScope, c: Check) -> None:
        args = [scope.get(out, o) for o in c.operands]
        if c.kind == "size":
            self.fail(out, f"weft_too_long({saturating('mul', args)})", self.entry(c.kind, c), args[:SHOWN])
            return
        bad = {
            "eq": "{0} != {1}", "le": "{0} > {1}", "nonneg": "{0} < 0", "positive": "{0} <= 0", "true": "!{0}",
            "bounds": "{0} < -{1} || {0} >= {1}",
        }[c.kind].format(*args)  # fmt: skip
        self.fail(out, bad, self.entry(c.kind, c), args)

    def entry(self, kind: str, cause: Check | Step) -> int:
        self.checks.append({"kind": kind})
        self.causes.append(cause)
        return len(self.checks) - 1

    def fail(self, out: Text, condition: str, number: int, values: list[str]) -> None:
        sets = "".join(f" call->values[{k}] = {v};" for k, v in enumerate(values))
        out(f"if (WEFT_FAILS(CHECK, {condition})) {{ call->check = {number};{sets} return WEFT_CHECK; }}")

    def fault(self, out: Text, s: Step) -> None:
        """After a step that may find a bad index: stop before anything visible happens."""
        number = self.entry("index", s)
        self.fail(out, "fault.flag", number, ["fault.index", "fault.length"])

    def stop(self, out: Text) -> None:
        out("if (WEFT_FAILS(STOP, *call->stop)) return WEFT_STOPPED;")

    def step_kernel(self, out: Text, scope: HostScope, s: Step, after_commit: bool = False, product: str = "") -> None:
        """`product`: the weft_product that runs the kernel on whole rows or columns."""
        name, printer = self.kernels.get(s.node, s.in_place, after=bool(product))
        self.calls.append((name, s))
        if not after_commit and not product:
            self.stop(out)
        for b in (*s.outputs, *s.scratch):
            self.reserve(out, scope, b)
        args = ["call"]
        for x in s.inputs:
            args.append(f"b{x.number}" if isinstance(x, Buffer) else scope.get(out, x))
        args += [f"b{b.number}" for b in (*s.outputs, *s.scratch)]
        if printer.nest.checks:
            args.append("&fault")
        if product:
            args.append(f"&{product}")
        out(f"{name}({', '.join(args)});")
        if printer.nest.checks:
            self.fault(out, s)

    def step_routine(self, out: Text, scope: HostScope, s: Step) -> None:
        self.stop(out)
        ROUTINES[s.node.op](self, out, scope, s)

    def step_copy(self, out: Text, scope: HostScope, s: Step) -> None:
        (have,), (target,) = s.inputs, s.outputs
        assert isinstance(have, Buffer)
        self.reserve(out, scope, target)
        out(f"memcpy(b{target.number}, b{have.number}, {scope.size(out, target.nbytes())});")

    def step_scalar(self, out: Text, scope: HostScope, s: Step) -> None:
        (target,) = s.outputs
        self.reserve(out, scope, target)
        text = scope.get(out, s.inputs[0])  # type: ignore[arg-type]
        out(scalar.store(f"b{target.number}", "0", text, target.dtype))

    def step_ifelse(self, out: Text, scope: HostScope, s: Step) -> None:
        condition, *_ = s.inputs
        late = [b for b in s.outputs if not b.is_early()]
        symbols: dict[Node, str] = {}
        for b in s.outputs:
            if b not in late:
                self.reserve(out, scope, b)
            for a in b.type.axes:
                if a.op == "length" and a not in scope.names and a not in symbols:
                    symbols[a] = f"m{self.names}"
                    self.names += 1
                    out(f"int64_t {symbols[a]} = 0;")
        for b in late:
            out(f"{scalar.stored_type(b.dtype)} *b{b.number} = NULL;")
            self.declared.add(b.number)
        for k, block in enumerate(s.blocks):
            out.open(f"if ({scope.get(out, condition)})" if k == 0 else "else")  # type: ignore[arg-type]
            inner = scope.within(block)
            declared = set(self.declared)
            self.block(out, inner, block)
            for b, got, kind in zip(s.outputs, block.results, block.types, strict=True):
                if b not in late:
                    continue
                assert isinstance(got, Buffer)
                for mine, its in zip(b.type.axes, kind.axes, strict=True):
                    if mine in symbols:
                        out(f"{symbols[mine]} = {inner.get(out, its)};")
                size = inner.size(out, got.nbytes())
                out(f"b{b.number} = weft_lib_grow(&call->segments[{b.index}], {size});")
                self.need(out, f"b{b.number}", size)
                out(f"memcpy(b{b.number}, b{got.number}, {size});")
            self.declared = declared
            out.close()
        for node, name in symbols.items():
            scope.bind(node, name)

    def step_scan(self, out: Text, scope: HostScope, s: Step) -> None:
        """The loop: rows of sequences, histories and stacked results are pointers that move with the step."""
        n = s.node
        taps, keep, count, until = n.attr("taps"), n.attr("keep"), n.attr("sequences"), n.attr("until")
        steps = scope.get(out, s.inputs[0])  # type: ignore[arg-type]
        t = f"t{s.outputs[0].number}_" if s.outputs else f"t_{self.names}"
        self.names += 1
        arguments = s.inputs[1:]
        rows = {b.number: scope.get(out, lengths.product(b.type.axes)) for b in (*s.params[0], *s.params[1])}
        first = {k: scope.get(out, v.offset) for k, v in s.views.items()}
        strides = {k: scope.get(out, v.stride) for k, v in s.views.items() if v.stride is not None}

        def start(k: int) -> str:
            """Where an argument begins."""
            b, offset = arguments[k], first.get(k + 1, "0")
            assert isinstance(b, Buffer)
            return f"b{b.number}" if offset == "0" else f"b{b.number} + {offset}"

        for k, b in enumerate(s.outputs):
            lead = -min(taps[k]) if k < len(taps) else 0
            row = rows[s.params[1][k].number]
            bytes_ = None
            if (k >= len(taps) or keep[k]) and b.number not in self.declared and b.place == "late":
                bytes_ = f"z{self.names}_"
                self.names += 1
                length = saturating("add", [steps, str(lead)][: 1 + (lead > 0)])
                of_row = scope.size(out, s.params[1][k].nbytes())
                out(f"const int64_t {bytes_} = {saturating('mul', [length, of_row])};")
            self.reserve(out, scope, b, bytes_)
        for b in s.scratch:
            self.reserve(out, scope, b)
        rings = iter(s.scratch)
        base: list[str] = []
        for k in range(len(taps)):
            home = s.outputs[k] if keep[k] else next(rings)
            base.append(f"b{home.number}")
            row = rows[s.params[1][k].number]
            size = f"{-min(taps[k])} * {row} * {DTYPES[home.dtype].itemsize}"
            out(f"memcpy(b{home.number}, {start(count + k)}, {size});")
        out(f"int64_t {t} = 0;")
        if until:
            self.reserve(out, scope, s.params[1][-1])
        out.open(f"for (; {t} < {steps}; {t}++)")
        self.stop(out)
        declared = set(self.declared)
        params = iter(s.params[0])
        for k in range(count):
            b = next(params)
            self.row(out, b, f"{start(k)} + {t} * {strides.get(k + 1, rows[b.number])}", const=True)
        for k, offsets in enumerate(taps):
            lead = -min(offsets)
            for tap in offsets:
                b = next(params)
                at = f"({t} + {lead + tap})" if keep[k] else f"(({t} + {lead + tap}) % {lead + 1})"
                self.row(out, b, f"{base[k]} + {at} * {rows[b.number]}", const=True)
        for k, b in enumerate(s.params[1][: len(s.outputs)]):
            if k < len(taps):
                lead = -min(taps[k])
                at = f"({t} + {lead})" if keep[k] else f"(({t} + {lead}) % {lead + 1})"
                self.row(out, b, f"{base[k]} + {at} * {rows[b.number]}")
            else:
                at = f"({strip(steps)} - 1 - {t})" if stacks_backwards(n) else t
                self.row(out, b, f"b{s.outputs[k].number} + {at} * {rows[b.number]}")
        self.block(out, scope.within(s.blocks[0]), s.blocks[0])
        if until:
            out(f"if (b{s.params[1][-1].number}[0]) {{ {t}++; break; }}")
        self.declared = declared
        out.close()
        for k, b in enumerate(s.outputs[: len(taps)]):
            if not keep[k]:
                lead, row = -min(taps[k]), rows[s.params[1][k].number]
                for j in range(lead):
                    out(
                        f"memcpy(b{b.number} + {j} * {row}, "
                        f"{base[k]} + (({t} + {j}) % {lead + 1}) * {row}, {row} * {DTYPES[b.dtype].itemsize});"
                    )
        if until:
            scope.bind(bound_length(n.op, n.inputs, n.attrs, STEPS), t)

    def row(self, out: Text, b: Buffer, text: str, const: bool = False) -> None:
        mark = "const " if const else ""
        out(f"{mark}{scalar.stored_type(b.dtype)} *const b{b.number} = {text};")
        out(f"(void)b{b.number};")
        self.declared.add(b.number)

    def commit(self, out: Text, scope: HostScope) -> None:
        """The one commit point: pointers are swapped, nothing after it fails or allocates."""
        products: dict[int, str] = {}
        scatters: dict[int, str] = {}
        for k, s in enumerate(self.p.after_commit):  # what their calls need is made while the call may still fail
            if s.kind == "kernel":
                for b in s.outputs:
                    self.reserve(out, scope, b)
                scope.emit(out, [x for x in s.inputs if isinstance(x, Node)])
            elif s.node.definition.writes_over:
                scatters[k] = scatter_call(self, out, scope, s, checked=True)
            else:
                products[k] = declare(self, out, scope, s)
        self.stop(out)
        out("WEFT_PASSES(COMMIT);")
        for k, u in enumerate(self.p.updates):
            new = self.p.block.results[self.p.results + k]
            assert isinstance(new, Buffer)
            if new.place == "state":
                continue  # written in place, below
            out(
                f"{{ weft_state *const s = call->states[{u}]; "
                f"const weft_array old = s->now; s->now = s->spare; s->spare = old; }}"
            )
        for k, s in enumerate(self.p.after_commit):
            with self.profiled.step(out, scope, s):
                if k in scatters:
                    out(scatters[k])
                    continue
                if k not in products:
                    self.step_kernel(out, scope, s, after_commit=True)
                    continue
                out(f"{products[k]}.work = call->segments[1].base;")  # it has grown since
                multiply(self, out, scope, s, products[k])
