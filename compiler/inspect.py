"""What a compiled function shows of itself: `.graph`, `.kernels`, `.loops`, `.source`, `.report()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..runtime.callable import CompiledFunction
from ..runtime.errors import ArgumentError
from .graph.trace import Trace
from .ir import lengths, text
from .ir.node import Node, topological
from .ir.types import TensorType

if TYPE_CHECKING:
    from .pipeline import Stages

ORDINARY = ("param", "const", "dim", "length", "item")


class Shown(str):
    """Text that shows itself as it is, in a session and in print."""

    def __repr__(self) -> str:
        return str(self)


class Function(CompiledFunction):
    """A function with the stages that it was compiled through."""

    def __init__(self, *args: Any, stages: Stages, origins: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.stages, self.origins = stages, origins

    @property
    def graph(self) -> Shown:
        """The graph after rewriting, one line a node; as declared in mode "interpret"."""
        return Shown(text.dump(self.stages.simplified or self.stages.source))

    @property
    def kernels(self) -> list[Shown]:
        """What each kernel fuses: its body's text form, under the name it has in the source."""
        found = {}
        for name, node in self._generated().calls:
            found.setdefault(name, Shown(f"kernel {name}\n{text.dump(node.attr('body'))}"))
        return list(found.values())

    @property
    def loops(self) -> list[Shown]:
        """The loop nest of each kernel."""
        return [Shown(f"{name}, {nest.mode}\n{show_nest(nest.block)}") for name, nest in self._generated().kernels.items()]

    @property
    def source(self) -> Shown:
        """The C text, all translation units."""
        return Shown("\n".join(f"/* {name} */\n{text}" for name, text in self._generated().units))

    def _generated(self) -> Any:
        if self.stages.generated is None:
            raise ArgumentError(f"{self} runs in mode 'interpret': it has no kernels and no source")
        return self.stages.generated

    def report(self) -> Shown:
        """What the compiler did: nodes, kernels and what each fuses, refusals, bytes saved, memory, seconds."""
        s = self.stages
        out = [f"{self}: {count(s.source)} operations declared"]
        if s.simplified is None or s.program is None:
            return Shown(out[0] + ", interpreted")
        generated = self._generated()
        out[0] += f", {count(s.simplified)} after rewriting, {len(generated.calls)} kernel calls of {len(generated.kernels)} kernels"
        for name, node in generated.calls:
            members = s.program.members.get(node, [])
            out.append(f"  {name} ({generated.kernels[name].mode}): {', '.join(self._shown(m) for m in members)}")
            lines = dict.fromkeys(t for m in members for t in self.origins.lines(m, 4) if isinstance(t, Trace))
            out += [f"      {t}" for t in list(lines)[:4]]
        routines = [n.op for n in steps_of(s.program.block) if n.family in ("procedural", "control")]
        if routines:
            out.append(f"  routines: {', '.join(routines)}")
        library = [n for n in routines if n in ("cholesky", "solve_triangular")]
        if library:
            out.append(f"  library operations, outside the contract of equal bits: {', '.join(library)}")
        hosts = [h.name for h in generated.hosts]
        if hosts:
            out.append(f"  Python operations, called back from C: {', '.join(hosts)}")
        refused = [d for d in s.program.decisions if not d.fused]
        for d in refused:
            out.append(f"  not fused: {d.node.op}: {d.reason}")
        out.append(f"  memory traffic saved by fusion: {self.saved()} bytes a call")
        out.append(f"  memory: {len(s.program.slots)} arena slots")
        out.append("  seconds: " + ", ".join(f"{k} {v:.3f}" for k, v in s.seconds.items()))
        return Shown("\n".join(out))

    def saved(self) -> str:
        """Bytes neither written nor read because a value was computed where it is used, in closed form."""
        assert self.stages.program is not None
        total = lengths.const(0)
        for d in self.stages.program.decisions:
            if d.fused and all(n.op != "param" for n in topological([d.elements])):
                total = lengths.add(total, lengths.scale(d.elements, 2 * d.itemsize))
        return lengths.show(total)

    def _shown(self, n: Node) -> str:
        return n.op if isinstance(n.type, TensorType) else f"{n.op}"


def count(region: Any) -> int:
    """Operations of a region: nodes other than leaves and projections."""
    return sum(n.op not in ORDINARY for n in region.nodes())


def steps_of(block: Any) -> list[Node]:
    """The nodes of all steps, those of inner blocks included."""
    out: list[Node] = []
    stack = [block]
    while stack:
        b = stack.pop()
        for s in b.steps:
            if s.kind not in ("copy", "scalar"):
                out.append(s.node)
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
        else:
            out.append(f"{pad}acc{s.attr('acc')} {s.attr('fold')}= {expression(s.inputs[0])}")
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
