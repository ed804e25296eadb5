"""The host program as text, for people: its buffers with their places and lifetimes, its steps in order.

    b4   arena 0     float64[d0.0], times 1 to 3     a value in between: in slot 0 of the arena while these steps run
    dot(b4, b1) -> b5

Checks stand before the step that rests on them, the blocks of scan and ifelse below their step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..ir import lengths
from ..ir.node import Check, Node
from .scratch import value_strides
from .steps import THREADS, Block, Buffer, HostProgram, Rows, Step


def dump(program: HostProgram, names: Mapping[Step, str]) -> str:
    """`names` are those of the kernels."""
    out = ["buffers"]
    used = _used([program.block], program.after_commit)
    used |= {b.of for b in used if b.of is not None}
    out += [f"  {_buffer(b)}" for b in program.buffers if b in used or b.place in ("input", "state")]
    out += ["at the start", *(f"  {_check(c)}" for c in program.early)] if program.early else []
    out += ["steps", *_block(program.block, names, "  ")]
    out.append("commit: " + (", ".join(f"state {k}" for k in program.updates) or "nothing is updated"))
    if program.after_commit:
        out += ["after the commit, over the old values", *(f"  {_step(s, names)}" for s in program.after_commit)]
    return "\n".join(out)


def memory_plan(program: HostProgram, state_names: Sequence[str], show: Callable[[Node], str]) -> list[str]:
    """Where everything lies, in lines; `show` says a size in bytes."""
    held: dict[int, list[Buffer]] = {}
    used = _used([program.block], program.after_commit)
    late = [b for b in program.buffers if b.place == "late" and b in used]
    for b in program.buffers:
        if b.place == "arena" and b in used:
            held.setdefault(b.index, []).append(b)
    total = lengths.const(0)
    for (size,) in program.slots:
        total = lengths.add(total, size)
    slots = f"{len(program.slots)} arena slot{'s' * (len(program.slots) != 1)}"
    out = [f"memory: {slots}, together {show(total)} bytes" if program.slots else f"memory: {slots}"]
    lives = {k: ", ".join(map(_life, held[k])) for k in sorted(held)}
    out += few([f"  slot {k}, {show(program.slots[k][0])} bytes: {text}" for k, text in lives.items()])
    out += few([f"  reserved when the length is known, {show(b.nbytes())} bytes: {_life(b)}" for b in late])
    over = set(program.in_place())
    kinds = {
        "updated in place, after the commit": [k for k in program.updates if k in over],
        "updated by swap with a spare buffer": [k for k in program.updates if k not in over],
        "read": [k for k in range(program.states) if k not in program.updates],
    }
    named = {what: [state_names[k] for k in numbers] for what, numbers in kinds.items() if numbers}
    out += [f"  {what}: {', '.join(few(names, 8))}" for what, names in named.items()]
    outputs = [b for b in program.buffers if b.place == "output" and b in used]
    out += few([f"  output {b.index}, {show(b.nbytes())} bytes" for b in outputs])
    steps = [*_steps([program.block]), *program.after_commit]
    asking = dict.fromkeys(s.node.op for s in steps if _asks(s.node))
    if asking:
        out.append(f"  workspace, the most that one of them needs: {', '.join(asking)}")
    return out



def _asks(n: Node) -> bool:
    """Whether the routine of an operation asks for workspace."""
    if n.op == "dot":
        return n.ndim == 2
    if n.op == "scatter":
        return value_strides(n) is None
    return n.op in ("batched_dot", "cumsum", "csr_dot_t")


def few(texts: list[str], limit: int = 12) -> list[str]:
    return texts if len(texts) <= limit else [*texts[:limit], f"  ... and {len(texts) - limit} more"]


def _life(b: Buffer) -> str:
    return f"b{b.number} {str(b.type).replace(lengths.show(THREADS), 'threads')} in steps {b.start} to {b.end}"


def _steps(blocks: list[Block]) -> list[Step]:
    out: list[Step] = []
    while blocks:
        b = blocks.pop()
        out += b.steps
        blocks += [inner for s in b.steps for inner in s.blocks]
    return out


def _used(blocks: list[Block], steps: list[Step]) -> set[Buffer]:
    found: set[Buffer] = set()
    todo, pending = list(blocks), list(steps)
    while todo or pending:
        if todo:
            b = todo.pop()
            found.update(r for r in b.results if isinstance(r, Buffer))
            pending += b.steps
        else:
            s = pending.pop()
            pending += s.inside()
            found.update(x for x in (*s.inputs, *s.outputs, *s.scratch) if isinstance(x, Buffer))
            found.update(x for p in s.params for x in p)
            todo += s.blocks
    return found


def _buffer(b: Buffer) -> str:
    place = f"{b.place} {b.index}" if b.index >= 0 else b.place
    life = f", times {b.start} to {b.end}" if b.place in ("arena", "late") else ""
    return f"b{b.number:<4}{place:<12}{b.type}{life}"


def _block(block: Block, names: Mapping[Step, str], pad: str) -> list[str]:
    out: list[str] = []
    # Blocks nest as deep as the user's scans and branches do; the work list keeps the order.
    work: list[tuple[str, Block | Step | str]] = [(pad, block)]
    while work:
        pad, item = work.pop()
        if isinstance(item, str):
            out.append(pad + item)
        elif isinstance(item, Step):
            out += [f"{pad}{_check(c)}" for c in item.checks]
            out.append(pad + _step(item, names))
            inner: list[tuple[str, Block | Step | str]] = []
            for k, b in enumerate(item.blocks):
                if item.kind == "ifelse":
                    inner.append((pad, "else" if k else "then"))
                inner.append((pad + "  ", b))
            work += reversed(inner)
        else:
            ends: list[Step | str] = [*item.steps, *(_check(c) for c in item.final_checks)]
            ends.append("result " + ", ".join(map(_operand, item.results)))
            work += [(pad, e) for e in reversed(ends)]
    return out


def _check(c: Check) -> str:
    return f"check {c.kind}({', '.join(map(lengths.show, c.operands))})"


def _step(s: Step, names: Mapping[Step, str]) -> str:
    name = names.get(s, s.node.op) if s.kind in ("kernel", "routine") else s.kind
    operands = [_operand(x) + _rows(s.views.get(k)) for k, x in enumerate(s.inputs)]
    text = f"{name}({', '.join(operands)})"
    text += " -> " + ", ".join(f"b{b.number}" for b in s.outputs) if s.outputs else ""
    for k, (maker, _) in s.makers.items():
        text += f", operand {k + 1} made by {_step(maker, names)}"
    if s.then is not None:
        text += f", each rectangle then {_step(s.then, names)}"
    if s.whole is not None:
        text += f", each {'row' if s.rows else 'column'} then {_step(s.whole, names)}"
    return text


def _rows(v: Rows | None) -> str:
    """Where the elements of a view begin, and how far from one row of a sequence it is to the next."""
    if v is None or (v.stride is None and lengths.static(v.offset) == 0):
        return ""
    return f"[{lengths.show(v.offset)}" + (f", by {lengths.show(v.stride)}]" if v.stride is not None else "]")


def _operand(x: Buffer | Node) -> str:
    return f"b{x.number}" if isinstance(x, Buffer) else lengths.show(x)


__all__ = ["dump", "memory_plan"]
