"""What is drawn of Variables (an operation a box) and of compiled functions (a step of the program a box)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

from ...runtime.errors import ArgumentError
from ..graph.printing import as_text, roots
from ..graph.shared import SharedVariable
from ..graph.variable import Apply, Constant, Primitive, Variable, ancestors
from ..ir import lengths
from ..ir.node import Node, topological
from ..schedule.steps import Block, Buffer, Step
from .drawing import Drawing, Item
from .names import Names

if TYPE_CHECKING:
    from ..inspect import Function

MOST = 60  # boxes
CHIPS = 18  # operations named in a box
LINES = 2  # of the user's program in a box


def drawing(obj: Any) -> Drawing:
    """The picture of Variables (a list, or an Apply) as declared, or of a compiled function as it runs."""
    if getattr(obj, "mode", None) == "compile" and hasattr(obj, "stages"):
        return program(obj)
    if getattr(obj, "recipe", None) is None and not isinstance(obj, (Variable, Apply, list, tuple)):
        what = "a symbolic variable, a list of them or a compiled function"
        raise ArgumentError(f"a graph to draw is {what}, not {obj!r}")
    return graph(roots(obj))


def write(obj: Any, outfile: str | PathLike | None, form: str | None) -> Drawing:
    """The picture, in a file too when one is named."""
    made = drawing(obj)
    if outfile is None:
        return made
    form = form or (File(outfile).suffix.removeprefix(".").lower() or "svg")
    if form == "svg":
        made.save(File(outfile))
    elif form == "png":
        try:
            import cairosvg
        except (ImportError, OSError) as e:
            what = "a PNG is written by the package cairosvg (pip install cairosvg); SVG needs nothing"
            raise ArgumentError(f"{what}: {e}") from e
        cairosvg.svg2png(bytestring=str(made).encode(), write_to=str(outfile), scale=2)
    else:
        raise ArgumentError(f"a picture is written as 'svg' or 'png', not {form!r}")
    return made


# Variables


def graph(outputs: Sequence[Variable], most: int = MOST) -> Drawing:
    """The graph above Variables; of a large one the operations nearest to them."""
    found: dict[Any, None] = {}  # Apply, or Variable of a leaf
    queue = deque(dict.fromkeys(outputs))
    seen = set(queue)
    while queue:
        v = queue.popleft()
        if v.owner is None:
            if not _folded(v) or v in outputs:
                found[v] = None
            continue
        if v.owner in found:
            continue
        if len(found) + len(queue) >= most and found:
            continue
        found[v.owner] = None
        for i in v.owner.inputs:
            if i not in seen:
                seen.add(i)
                queue.append(i)
    items: list[Item] = []
    made: set[Variable] = set()
    missing: dict[Variable, None] = {}
    for n in reversed(found):
        item = _leaf(n) if isinstance(n, Variable) else _apply(n)
        items.append(item)
        made.update(item.values)  # type: ignore[arg-type]
    for item in items:
        missing |= {v: None for v in item.reads if v not in made}  # type: ignore[misc]
    missing |= {v: None for v in outputs if v not in made}
    if missing:
        owners = {v.owner for v in ancestors(outputs) if v.owner is not None}
        cut = len(owners.difference(found))
        more = f"{cut:,} more operation{'s' * (cut != 1)}"
        items.insert(0, Item(f"… {more}, not drawn", "note", values={v: _kind(v) for v in missing}))
    for k, v in enumerate(outputs):
        number = f"result {k}" if len(outputs) > 1 else "result"
        items.append(Item(v.name if v.name and v.owner is not None else number, "output", reads=[v]))
    return Drawing(items)


def _folded(v: Variable) -> bool:
    """Whether a constant is written into the operation that reads it."""
    return isinstance(v, Constant) and v.ir_type.kind == "dense" and v.ndim == 0 and not v.name


def _leaf(v: Variable) -> Item:
    if isinstance(v, Constant):
        return Item(v.name or "constant", "constant", values={v: _kind(v)})
    return Item(v.describe(), "state" if isinstance(v, SharedVariable) else "input", values={v: _kind(v)})


def _apply(n: Apply) -> Item:
    name, _, told = str(n.op).partition("{")
    told = told.removesuffix("}")
    folded = [as_text(i) for i in n.inputs if _folded(i)]
    lines = [told] * bool(told) + [f"with {', '.join(folded)}"] * bool(folded)
    kind = "operation"
    if isinstance(n.op, Primitive):
        kind = "product" if name in ("dot", "batched_dot") else kind
    elif hasattr(n.op, "inner_outputs"):
        kind = "loop"
    title = next((f"{o.name} = {name}" for o in n.outputs if o.name), name)
    return Item(
        title, kind, lines=lines, values={o: _kind(o) for o in n.outputs},
        reads=[i for i in dict.fromkeys(n.inputs) if not _folded(i)],
    )  # fmt: skip


def _kind(v: Variable) -> str:
    """A type in few letters: float32 (?, 10)."""
    shape = getattr(v.type, "shape", ())
    return f"{v.dtype} ({', '.join('?' if n is None else str(n) for n in shape)})" if v.ndim else v.dtype


# Functions


def program(f: Function, most: int = MOST) -> Drawing:
    """The steps of a program in order: kernels with the operations that they fuse, arrows with the types of what lies
    in memory between them."""
    p, names = f.stages.program, {s: name for name, s in f.stages.generated.calls}
    known = _Names(f)
    steps = [*p.block.steps, *p.after_commit]
    drawn, rest = steps[:most], steps[most:]
    scalars = {n: b for n, b in p.block.value.items() if n.ndim == 0}
    items = [_step(s, names, f, known, scalars) for s in drawn]
    results = [b for b in p.block.results if isinstance(b, Buffer)]
    if rest:
        reads = dict.fromkeys(v for s in rest for v in _reads(s, scalars))
        writes = dict.fromkeys(b for s in rest for b in _writes(s))
        items.append(
            Item(f"… {len(rest):,} more steps, not drawn", "note",
                 reads=list(reads), values={b: known.type(b) for b in writes})
        )  # fmt: skip
    parts: dict[Buffer, list[Buffer]] = {}
    for item in items:
        for b in item.values:
            assert isinstance(b, Buffer)
            if b.of is not None:
                parts.setdefault(b.of, []).append(b)
    ends = []
    for k, b in enumerate(p.block.results[: p.results]):
        if isinstance(b, Buffer):
            ends.append(Item(known.output(k), "output", reads=[b]))
    for k, b in zip(p.updates, p.block.results[p.results :], strict=True):
        if isinstance(b, Buffer):
            over = ", written in place" if b.place == "state" else ""
            ends.append(Item(f"new {known.states[k]}{over}", "state", reads=[b]))
    items += ends
    for item in items:  # whoever reads a concatenation reads its parts
        item.reads = [x for b in item.reads for x in (b, *parts.get(b, ()))]  # type: ignore[call-overload]
    read = {b for item in items for b in item.reads}
    leaves = [b for b in p.buffers if b in read and b.place in ("input", "state", "constant") and b not in results]
    written = {b for item in items for b in item.values}
    first = [Item(known.leaf(b), b.place, values={b: known.type(b)}) for b in leaves if b not in written]
    named = [known.short(n) for n in range(len(known.params))]
    used = [n for n in named if any(f"{n}." in t for i in (*first, *items) for t in i.values.values())]
    caption = f"{used[0]}.0 is the length of axis 0 of {used[0]}" if used else ""
    return Drawing([*first, *items], caption)


class _Names(Names):
    """What the arguments, shared variables and outputs of a function are called."""

    def leaf(self, b: Buffer) -> str:
        found = {"input": self.inputs, "state": self.states}.get(b.place, [])
        return found[b.index] if b.index < len(found) else b.place

    def output(self, k: int) -> str:
        if isinstance(self.outputs, tuple) and k < len(self.outputs):
            return str(self.outputs[k])
        return "result" if self.outputs == "one" else f"result {k}"

    def type(self, b: Buffer) -> str:
        """float32[x.0, 10]; scalars by their dtype alone."""
        axes = ", ".join(self.said(lengths.show(a)) for a in b.type.axes)
        text = f"{b.dtype}[{axes}]" if b.type.axes else b.dtype
        return text if len(text) <= 40 else text[:39] + "…"


def _reads(s: Step, scalars: Mapping[Node, Buffer]) -> list[Buffer]:
    """What a step reads of what others make: of a loop or a branch, of the blocks in it too. `scalars` are the numbers
    in memory that the program reads by itself, for lengths and conditions."""
    numbers = topological([x for x in s.inputs if isinstance(x, Node)])
    found = {scalars[n]: None for n in numbers if n in scalars}
    own: set[Buffer] = set()
    todo: list[Step] = [s]
    while todo:
        t = todo.pop()
        for k in (t, *t.inside()):
            found |= {x: None for x in k.inputs if isinstance(x, Buffer)}
            own.update(k.outputs if t is not s or k is not s else ())
        own.update(b for p in t.params for b in p if b not in t.inputs)  # those of a branch are what it is given
        for block in t.blocks:
            todo += block.steps
            found |= {b: None for b in block.results if isinstance(b, Buffer)}
    return [b for b in found if b not in own and b.place != "piece" and (b not in s.outputs or b.place == "state")]


def _writes(s: Step) -> list[Buffer]:
    return [b for k in (s, *s.inside()) for b in k.outputs if b.place != "piece"]


def _step(s: Step, names: dict[Step, str], f: Function, known: _Names, scalars: Mapping[Node, Buffer]) -> Item:
    from ..inspect import tally

    values: dict[Hashable, str] = {b: known.type(b) for b in _writes(s)}
    lines = [str(t) for t in f.origins.traces(p for m in s.members for p in f.origins.of(m.region)[m.node][:4])]
    lines = [t.removeprefix("in the gradient of ") for t in lines]
    lines = list(dict.fromkeys(lines))
    kind, title, chips = "routine", s.node.op, []
    if s.kind == "kernel":
        kind, title = "kernel", names.get(s, "kernel")
        chips = _chips(tally(m.node.op for m in s.members))
    elif s.kind in ("scan", "ifelse"):
        kind = "loop"
        ops = [m.node.op for t in _all(s.blocks) for m in t.members if t.kind in ("kernel", "routine")]
        title = "loop (scan)" if s.kind == "scan" else "branch (ifelse)"
        chips = _chips(tally(ops))
    elif s.inside():
        kind = "product"
        title = " + ".join([s.node.op, *(names.get(k, "kernel") for k in s.inside())])
        chips = _chips(tally(m.node.op for m in s.members))
    elif s.kind == "routine":
        kind = "product" if s.node.op in ("dot", "batched_dot") else kind
        title += f" ({s.library})" if s.library else ""
    else:
        kind, title = "operation", s.kind
    return Item(title, kind, chips, lines[:LINES], values, list[Hashable](_reads(s, scalars)))


def _all(blocks: Sequence[Block]) -> list[Step]:
    out: list[Step] = []
    todo = list(blocks)
    while todo:
        block = todo.pop(0)
        out += block.steps
        todo += [b for s in block.steps for b in s.blocks]
    return out


def _chips(text: str) -> list[str]:
    chips = text.split(", ") if text else []
    return chips if len(chips) <= CHIPS else [*chips[:CHIPS], f"… {len(chips) - CHIPS} more"]


__all__ = ["drawing", "graph", "program"]
