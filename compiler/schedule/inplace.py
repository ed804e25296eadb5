"""Which updates are written over the old values: kernels that run after the commit point, and products with theirs.

A kernel may wait until the program has committed, and then write into the shared variable itself, when it cannot fail,
nothing else needs what it computes, and it reads the old value only where it writes the new one. So may a matrix
product that a kernel follows rectangle by rectangle: the product is then nowhere as a whole. And so may what writes at
some places of a variable, once its indices are known to be in range: the rest stays where it is. Everything before the
commit has read old values by then; steps after it are ordered so that none reads what another has overwritten.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.node import Node, topological
from ..ir.types import TensorType
from .scratch import value_strides
from .steps import Block, Buffer, Step


def choose(
    block: Block,
    states: dict[int, Buffer],
    nest_of: Callable[[Node], object],
    piece: Callable[[TensorType], Buffer],
) -> list[Step]:
    """Takes the steps that may run after the commit out of the block, in an order in which they may run there.

    Their outputs that replace shared variables become the variables' own buffers; `piece` makes the buffer of a product
    that has no memory.
    """
    readers: dict[Buffer, list[Step]] = {}
    for s in _all_steps(block):
        for x in s.inputs:
            if isinstance(x, Buffer):
                readers.setdefault(x, []).append(s)
    finals = [b for b in block.results if isinstance(b, Buffer)]
    hosted = _hosted(block)
    chosen: list[Step] = []
    for s in block.steps:
        last = _last(s)
        if last is None or any(b in hosted for b in last.outputs):
            continue
        if s.kind == "routine" and last is s:
            fits = _writes_into(s, finals, readers, states)
        else:
            fits = _fits(s, last, finals, readers, states, nest_of(last.node))
        if fits:
            trial = _ordered([*chosen, s])
            if trial is not None:
                chosen = trial
    for s in chosen:
        at = block.steps.index(s)
        block.steps.remove(s)
        if s.checks:  # they hang on the step that came next: those that follow rely on them, and read what they read
            later = block.steps[at].checks if at < len(block.steps) else block.final_checks
            later[:0] = s.checks
            s.checks = []
        last = _last(s)
        assert last is not None
        if last is not s:
            (product,) = s.outputs
            s.outputs = [piece(product.type)]
            last.inputs = [s.outputs[0] if x is product else x for x in last.inputs]
        last.in_place = True
        for b in last.outputs:
            if b.place == "spare":
                b.place = "state"
    return chosen


def _last(s: Step) -> Step | None:
    """What writes what a step leaves: a kernel or a scatter itself, or the kernel on a product's rectangles."""
    if s.kind == "kernel" or (s.kind == "routine" and s.node.definition.writes_over):
        return s
    return s.then if s.whole is None else None


def _hosted(block: Block) -> set[Buffer]:
    """What the host reads itself, before any step that runs after the commit: lengths, arguments by value, checks."""
    nodes: list[Node] = []
    value: dict[Node, list[Buffer]] = {}
    for b in _all_blocks(block):
        for n, buffer in b.value.items():
            value.setdefault(n, []).append(buffer)
        nodes += [x for x in b.results if isinstance(x, Node)]
        nodes += [o for c in b.final_checks for o in c.operands]
    for s in _all_steps(block):
        nodes += [x for x in s.inputs if isinstance(x, Node)]
        nodes += [o for c in s.checks for o in c.operands]
        nodes += [x for rows in s.views.values() for x in rows if x is not None]
        nodes += [a for x in (*s.inputs, *s.outputs) if isinstance(x, Buffer) for a in x.type.axes]
    return {b for n in topological(nodes) for b in value.get(n, ())}


def _all_blocks(block: Block) -> list[Block]:
    return [block, *(b for s in _all_steps(block) for b in s.blocks)]


def _all_steps(block: Block) -> list[Step]:
    out: list[Step] = []
    stack = [block]
    while stack:
        b = stack.pop()
        for s in b.steps:
            out.append(s)
            out += s.inside()
            stack.extend(s.blocks)
    return out


def _fits(
    s: Step, last: Step, finals: list[Buffer], readers: dict[Buffer, list[Step]], states: dict[int, Buffer], nest
) -> bool:
    if nest.mode != "map" or nest.checks or last.scratch or not any(b.place == "spare" for b in last.outputs):
        return False
    for b in last.outputs:
        others = [r for r in readers.get(b, ()) if r is not last or b not in s.outputs]
        if b.place not in ("spare", "output") or others or finals.count(b) != 1:
            return False
        if b.place == "spare":
            state = states.get(b.index)
            if state is not None and state.type.axes != b.type.axes:
                return False
    replaced = {b.index for b in last.outputs if b.place == "spare"}
    if last is not s:
        (product,) = s.outputs
        if product.place != "piece" and product not in last.outputs:
            return False
        operands = [x for step in (s, *(m for m, _ in s.makers.values())) for x in step.inputs]
        if any(isinstance(x, Buffer) and x.place == "state" and x.index in replaced for x in operands):
            return False
    tensors = [x for x in last.inputs if isinstance(x, Buffer)]
    written = {b.index: len(nest.tensors) + k for k, b in enumerate(last.outputs) if b.place == "spare"}
    places: dict[int, set[Node]] = {}
    nodes = topological([nest.block])
    for n in nodes:
        if n.op == "store":
            places.setdefault(n.attr("buffer"), set()).add(n.inputs[0])
    for n in nodes:
        if n.op != "load":
            continue
        x = tensors[n.attr("buffer")]
        if (
            x.place == "state"
            and x.index in written
            and (len(n.inputs) > 1 or {n.inputs[0]} != places[written[x.index]])
        ):
            return False
    return True


def _writes_into(
    s: Step, finals: list[Buffer], readers: dict[Buffer, list[Step]], states: dict[int, Buffer]
) -> bool:
    """Whether a scatter into the old value of a variable makes its new one, and needs no more memory for that."""
    (b,), (x, *others) = s.outputs, s.inputs
    if b.place != "spare" or not isinstance(x, Buffer) or x.place != "state" or x.index != b.index:
        return False
    if any(isinstance(o, Buffer) and o.place == "state" and o.index == b.index for o in others):
        return False
    if readers.get(b) or finals.count(b) != 1 or states[b.index].type.axes != b.type.axes:
        return False
    return value_strides(s.node) is not None


def _ordered(steps: list[Step]) -> list[Step] | None:
    """An order in which every step reads shared variables before another overwrites them; None if there is none."""
    readers: dict[int, set[int]] = {}  # state -> the steps that read it
    writes: list[set[int]] = []
    for k, s in enumerate(steps):
        parts = [s, *s.inside()]
        writes.append({b.index for p in parts for b in p.outputs if b.place == "spare"})
        for x in (x for p in parts for x in p.inputs):
            if isinstance(x, Buffer) and x.place == "state":
                readers.setdefault(x.index, set()).add(k)
    before = [{j for i in w for j in readers.get(i, ())} - {k} for k, w in enumerate(writes)]
    left = list(range(len(steps)))
    done: set[int] = set()
    out: list[Step] = []
    while left:
        ready = [k for k in left if before[k] <= done]
        if not ready:
            return None
        out += [steps[k] for k in ready]
        done.update(ready)
        left = [k for k in left if k not in done]
    return out
