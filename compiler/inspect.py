"""What a compiled function shows of itself: `.graph`, `.kernels`, `.steps`, `.loops`, `.source`, `.cuda`, a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..runtime.callable import CompiledFunction
from ..runtime.errors import ArgumentError, InternalError, ShapeError
from .graph.modes import MODES
from .ir import lengths, text
from .ir.interp import evaluate
from .ir.node import Node, Region, substitute, topological
from .ir.node import region as make_region

if TYPE_CHECKING:
    from .codegen.host import Generated
    from .ir.origins import Origins
    from .pipeline import Stages
    from .schedule.steps import Member, Step
    from .show.profile import Profile

ORDINARY = ("param", "const", "dim", "length", "item")


class Shown(str):
    """Text that shows itself as it is, in a session, in print and in notebooks."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from .show.html import block, pre

        return block(pre(str(self)))


@dataclass
class Told:
    """The parts of a report."""

    head: str
    calls: str = ""
    kernels: list[tuple[str, str, int, str, list[str]]] = field(default_factory=list)  # name, mode, calls, ops, lines
    notes: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # operations, why they are not fused
    traffic: str = ""
    memory: list[str] = field(default_factory=list)
    seconds: str = ""

    def lines(self) -> list[str]:
        out = [self.head, *[f"  {self.calls}"] * bool(self.calls)]
        for name, mode, calls, ops, user in self.kernels:
            times = f", {calls} calls" if calls > 1 else ""
            out.append(f"  {name} ({mode}{times}): {ops}")
            out += [f"      {t}" for t in user]
        out += [f"  {n}" for n in self.notes]
        out += [f"  not fused: {ops}: {why}" for ops, why in self.refused]
        out += [f"  {line}" for line in (self.traffic, *self.memory, self.seconds) if line]
        return out


class Report(Shown):
    """What `f.report()` returns: text, and a table in notebooks."""

    told: Told

    def __new__(cls, told: Told) -> Report:
        made = super().__new__(cls, "\n".join(told.lines()))
        made.told = told
        return made

    def _repr_html_(self) -> str:
        from .show.displays import report_html

        return report_html(self.told)


class Function(CompiledFunction):
    """A function with the stages that it was compiled through."""

    def __init__(self, *args: Any, stages: Stages, mode: str, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.stages, self.mode = stages, mode

    @property
    def origins(self) -> Origins:
        """Where in the user's program its operations stand."""
        return self.stages.origins

    @property
    def graph(self) -> Shown:
        """The graph after rewriting, one line a node; as declared in mode "interpret"."""
        return Shown(text.dump(self.stages.source if self.mode == "interpret" else self.stages.simplified))

    @property
    def kernels(self) -> list[Shown]:
        """What each kernel fuses: its body's text form, under the name it has in the source."""
        found: dict[str, Shown] = {}
        for name, step in self._generated().calls:
            found.setdefault(name, Shown(f"kernel {name}\n{text.dump(step.node.attr('body'))}"))
        return list(found.values())

    @property
    def loops(self) -> list[Shown]:
        """The loop nest of each kernel."""
        nests = self._generated().kernels
        return [Shown(f"{name}, {nest.mode}\n{show_nest(nest.block)}") for name, nest in nests.items()]

    @property
    def steps(self) -> Shown:
        """The host program: buffers with places and lifetimes, the steps in order, what happens at the commit."""
        generated = self._generated()
        from .schedule.text import dump

        return Shown(dump(self.stages.program, {step: name for name, step in generated.calls}))

    @property
    def source(self) -> Shown:
        """The C text, all translation units."""
        return Shown("\n".join(f"/* {name} */\n{text}" for name, text in self._generated().units))

    @property
    def cuda(self) -> Shown:
        """The kernels as CUDA text, one translation unit."""
        from .codegen.cuda_kernel import HEADER, cuda_source

        kernels = self._generated().kernels
        return Shown("\n".join((HEADER, *(cuda_source(nest, name).source for name, nest in kernels.items()))))

    @property
    def profile(self) -> Profile | None:
        """The time that calls spent in each step, of a function that was compiled with `profile=True`; else None."""
        if not self.stages.profiled or not MODES[self.mode].compiled:
            return None
        from .show.profile import Profile

        return Profile(self)

    def forget(self) -> None:
        """Empties the profile, between two calls."""
        if not MODES[self.mode].compiled:
            return
        group = self._group.hold()
        try:
            self.executor.forget()  # type: ignore[attr-defined]
        finally:
            group.lock.release()

    def _generated(self) -> Generated:
        if not MODES[self.mode].compiled:
            raise ArgumentError(f"{self} runs in mode {self.mode!r}: it has no kernels and no source")
        return self.stages.generated

    def report(self, /, *args: Any, **kwargs: Any) -> Report:
        """What the compiler did: nodes, kernels and what each fuses, refusals, bytes saved, memory, seconds.

        Bytes are a formula in the lengths, x.0 that of axis 0 of x (d0.0 where argument 0 has no short name of its
        own); with the arguments of a call they are those of that call. Memory: the slots of the arena, each for buffers
        whose lives do not overlap; how each shared variable is updated; the outputs.
        """
        s = self.stages
        head = f"{self}: {plural(count(s.source), 'operation')} declared"
        if not MODES[self.mode].compiled:
            return Report(Told(head + ", interpreted"))
        generated = self._generated()
        head += f", {count(s.simplified)} after rewriting"
        calls = f"{plural(len(generated.calls), 'call')} of {plural(len(generated.kernels), 'kernel')}"
        blocks = [b for t in s.program.block.steps for b in t.blocks]
        again = {id(t) for b in blocks for t in steps_of(b)}
        inside = sum(id(t) in again for _, t in generated.calls)
        told = Told(head, calls + f", {inside} in loops and branches" * bool(inside))
        by_name: dict[str, list[list[Member]]] = {}
        for name, step in generated.calls:
            by_name.setdefault(name, []).append(step.members)
        for name, members in by_name.items():
            places = [p for ms in members for m in ms for p in self.origins.of(m.region)[m.node][:4]]
            traces = self.origins.traces(places)
            ops = tally(m.node.op for m in members[0])
            told.kernels.append((name, generated.kernels[name].mode, len(members), ops, _few(traces)))
        steps = steps_of(s.program.block)
        routines = [t.node.op for t in steps if t.node.family in ("procedural", "control")]
        if routines:
            told.notes.append(f"routines: {tally(routines)}")
        library = [f"{t.node.op} ({t.library})" for t in steps if t.library]
        if library:
            told.notes.append(f"library operations, outside the contract of equal bits: {tally(library)}")
        hosts = [h.name for h in generated.hosts]
        if hosts:
            told.notes.append(f"Python operations, called back from C: {', '.join(hosts)}")
        refused: dict[str, list[str]] = {}
        for d in s.program.decisions:
            if not d.fused:
                refused.setdefault(d.reason, []).append(d.node.op)
        told.refused += [(tally(ops), reason) for reason, ops in refused.items()]
        from .schedule.text import memory_plan
        from .show.names import Names

        names = Names(self)
        told.traffic = f"memory traffic: {names.said(self._traffic_text(args, kwargs))}"
        for line in memory_plan(s.program, names.states, self._sizes(args, kwargs)):
            sizes = line.strip().startswith(("memory", "slot", "reserved", "output"))  # the others are names alone
            told.memory.append(names.said(line) if sizes else line)
        seconds = self._seconds()
        stages = ", ".join(f"{name} {t:.3f}" for name, t in seconds.items()) + ", from the cache" * s.cached
        told.seconds = f"{sum(seconds.values()):.3f} seconds: {stages}"
        return Report(told)

    def _repr_html_(self) -> str:
        from .show.displays import function_html

        return function_html(self)

    def _repr_svg_(self) -> str:
        from .show.pictures import drawing

        return str(drawing(self))

    def summary(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The figures of the report as plain data, for a call with these arguments: operations "declared" and
        "rewritten", "kernels" and "calls" of them, bytes "moved" (those that kernels read and write) and "saved" by
        fusion, "seconds" of compiling and whether the program was "cached"."""
        self._generated()  # says so where there is none
        s = self.stages
        seconds = sum(self._seconds().values())
        return {
            "declared": count(s.source), "rewritten": count(s.simplified), "kernels": len(s.generated.kernels),
            "calls": len(s.generated.calls), "moved": self.traffic(*args, **kwargs)[0],
            "saved": self.saved(*args, **kwargs), "seconds": seconds, "cached": s.cached,
        }  # fmt: skip

    def _seconds(self) -> dict[str, float]:
        """Of the stages that ran to compile it: not of those that ran again for somebody to look at them."""
        s = self.stages
        return {k: t for k, t in s.seconds.items() if not s.cached or k in ("look", "load")}

    def saved(self, /, *args: Any, **kwargs: Any) -> int:
        """Bytes that a call with these arguments neither writes nor reads because values are computed where they are
        used: each is not written once and not read once. Bodies of loops and branches are not counted."""
        return self._evaluated([self._saved_length()], args, kwargs)[0]

    def traffic(self, /, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Bytes that the kernels of a call with these arguments read and write, each operand and each result once; and
        the least possible: what is read of the arguments and shared variables, the outputs and the new values. Tensors
        whose lengths only running tells (`nonzero`) are in neither."""
        return self._traffic(args, kwargs)[:2]

    def _traffic(self, args: tuple, kwargs: dict[str, Any]) -> tuple[int, int, int]:
        from .codegen.counted import traffic
        from .codegen.host import Kernels

        params = {p for p in self._simplified().params if not p.type.axes}

        def known(size: Node) -> bool:
            """Whether arguments' lengths and the values of integer arguments tell it."""
            return all(
                n in params or n.op in ("const", "dim") or (n.inputs and n.family == "elementwise")
                for n in topological([size])
            )

        t = traffic(self.stages.program, Kernels(), known)
        moved, least = self._evaluated([t.moved, t.least], args, kwargs)
        return moved, least, t.left_out

    def _evaluated(self, formulas: list[Node], args: tuple, kwargs: dict[str, Any]) -> list[int]:
        """What formulas in the lengths are in a call with these arguments."""
        given = self._bind(args, kwargs)[0]
        values = [*given, *(s.array() for s in self.storages)]
        try:
            return [int(v) for v in evaluate(make_region(self._simplified().params, formulas, []), values)]
        except ShapeError:  # lengths that the program knows to be equal; a call says where in the user's program
            raise ShapeError(f"{self} cannot be called with these shapes{self._lengths(given)}") from None

    def _saved_length(self) -> Node:
        total = lengths.const(0)
        for d in self.stages.program.decisions:
            if d.fused and d.region is self.stages.simplified:
                total = lengths.add(total, lengths.scale(d.nbytes(), 2))
        return total

    def _traffic_text(self, args: tuple, kwargs: dict[str, Any]) -> str:
        if args or kwargs or not self.arguments:
            m, b, out = self._traffic(args, kwargs)
            saves = self.saved(*args, **kwargs)
            text = f"{m:,} bytes a call, {m / max(b, 1):.2f} times its arguments and results; fusion saves {saves:,}"
            text += " outside loops and branches" * self._has_blocks()
        else:
            from .codegen.counted import traffic
            from .codegen.host import Kernels
            from .ir.node import is_early

            t = traffic(self.stages.program, Kernels(), is_early)
            most, best, saved = (lengths.show(n) for n in (t.moved, t.least, self._saved_length()))
            text, out = f"{most} bytes a call; its arguments and results are {best}; fusion saves {saved}", t.left_out
            text += " outside loops and branches" * self._has_blocks()
        return text + f"; without {out} tensors whose lengths only a call tells" * bool(out)

    def _has_blocks(self) -> bool:
        return any(n.family == "control" for n in self.stages.simplified.nodes())

    def _sizes(self, args: tuple, kwargs: dict[str, Any]) -> Callable[[Node], str]:
        """How sizes are said: as formulas; with the arguments of a call in bytes, where known when it starts."""
        from .ir.node import is_early
        from .schedule.steps import THREADS

        if (not args and not kwargs) and self.arguments:
            return formula
        values = [*self._bind(args, kwargs)[0], *(s.array() for s in self.storages)]
        params = self._simplified().params

        def show(size: Node) -> str:
            if not is_early(size):
                return formula(size)
            alone, one = (substitute([size], {THREADS: lengths.const(n)})[0] for n in (0, 1))
            base, more = (int(v) for v in evaluate(make_region(params, [alone, one], []), values))
            more -= base
            return f"{base:,}" if not more else f"{base:,} + {more:,}*threads" if base else f"{more:,}*threads"

        return show

    def _simplified(self) -> Region:
        if not MODES[self.mode].compiled:
            raise ArgumentError(f"{self} runs in mode {self.mode!r}: nothing was fused")
        return self.stages.simplified


def formula(size: Node) -> str:
    """A size in the lengths of arguments, and the number of threads that a call may use."""
    from .schedule.steps import THREADS

    return lengths.show(size).replace(lengths.show(THREADS), "threads")


def plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def tally(names: Iterable[str]) -> str:
    """Names with how often each stands there, in the order of their first: "add, 3 mul, sum"."""
    found = Counter(names)
    return ", ".join(n if k == 1 else f"{k} {n}" for n, k in found.items())


def _few(traces: Iterable[Any], limit: int = 6) -> list[str]:
    """Each line once, cut to a few."""
    texts = [str(t) for t in dict.fromkeys(traces)]
    return texts if len(texts) <= limit else [*texts[:limit], f"... and {len(texts) - limit} more"]


def count(region: Any) -> int:
    """Operations of a region: nodes other than leaves and projections."""
    return sum(n.op not in ORDINARY for n in region.nodes())


def steps_of(block: Any) -> list[Step]:
    """All steps that compute something, those of inner blocks included."""
    out: list[Step] = []
    stack = [block]
    while stack:
        b = stack.pop()
        for s in b.steps:
            if s.kind not in ("copy", "scalar"):
                out.append(s)
            stack.extend(s.blocks)
    return out


def show_nest(block: Node) -> str:
    """A loop nest as indented text."""
    out: list[str] = []
    stack: list[tuple[Node, int]] = [(s, 0) for s in reversed(block.inputs)]
    while stack:
        s, depth = stack.pop()
        pad = "  " * depth
        if s.op == "loop":
            names = s.attr("index")
            extents = ", ".join(f"i{k} < {expression(e)}" for k, e in zip(names, s.inputs[: len(names)], strict=True))
            out.append(f"{pad}{s.attr('kind')} {extents}")
            stack.extend((t, depth + 1) for t in reversed(s.inputs[len(names) :]))
        elif s.op == "store":
            out.append(f"{pad}{buffer(s.attr('buffer'))}[{expression(s.inputs[0])}] = {expression(s.inputs[1])}")
        elif s.op == "accumulate":
            out.append(f"{pad}acc{s.attr('acc')} {s.attr('fold')}= {expression(s.inputs[0])}")
        else:
            raise InternalError(f"{s.op} is not a statement")
    return "\n".join(out)


def buffer(number: int) -> str:
    return f"p{number}" if number >= 0 else f"s{-number}"


def expression(n: Node, limit: int = 160) -> str:
    """A scalar expression as text, cut where it grows long."""
    done: dict[Node, str] = {}
    for m in topological([n]):
        args = [done[i] for i in m.inputs]
        if m.op == "const":
            done[m] = repr(m.value.item())
        elif m.op in ("param", "index", "dim"):
            done[m] = lengths.show(m)
        elif m.op == "acc":
            done[m] = f"acc{m.attr('acc')}"
        elif m.op == "load":
            done[m] = f"{buffer(m.attr('buffer'))}[{args[0]}]" + (f" if {args[1]}" if len(args) > 1 else "")
        else:
            done[m] = f"{m.op}({', '.join(args)})"
        if len(done[m]) > limit:
            done[m] = done[m][: limit - 3] + "..."
    return done[n]
