"""Which updates are written over the old values: kernels that run after the commit point, and products with theirs.

A kernel may wait until the program has committed, and then write into the shared variable itself, when it cannot fail,
nothing else needs what it computes, and it reads the old value only where it writes the new one. So may a matrix
product that a kernel follows rectangle by rectangle: the product is then nowhere as a whole. And so may what writes at
some places of a variable, once its indices are known to be in range: the rest stays where it is. Everything before the
commit has read old values by then; steps after it are ordered so that none reads what another has overwritten.
"""

from __future__ import annotations

from collections import Counter
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
    finals = Counter(b for b in block.results if isinstance(b, Buffer))
    hosted = _hosted(block)
    chosen = _Chosen()
    for s in block.steps:
        last = _last(s)
        if last is None or any(b in hosted for b in last.outputs):
            continue
        if s.kind == "routine" and last is s:
            fits = _writes_into(s, finals, readers, states)
        else:
            fits = _fits(s, last, finals, readers, states, nest_of(last.node))
        if fits:
            chosen.enter(s)
    after = chosen.ordered()
    moved = set(after)
    later = block.final_checks
    for s in reversed(block.steps):
        if s in moved:  # its checks hang on the step that stays next: those that follow rely on them
            later[:0] = s.checks
            s.checks = []
        else:
            later = s.checks
    block.steps[:] = [s for s in block.steps if s not in moved]
    for s in after:
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
    return after


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
    s: Step, last: Step, finals: Counter[Buffer], readers: dict[Buffer, list[Step]], states: dict[int, Buffer], nest
) -> bool:
    if nest.mode != "map" or nest.checks or last.scratch or not any(b.place == "spare" for b in last.outputs):
        return False
    for b in last.outputs:
        others = [r for r in readers.get(b, ()) if r is not last or b not in s.outputs]
        if b.place not in ("spare", "output") or others or finals[b] != 1:
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
    s: Step, finals: Counter[Buffer], readers: dict[Buffer, list[Step]], states: dict[int, Buffer]
) -> bool:
    """Whether a scatter into the old value of a variable makes its new one, and needs no more memory for that."""
    (b,), (x, *others) = s.outputs, s.inputs
    if b.place != "spare" or not isinstance(x, Buffer) or x.place != "state" or x.index != b.index:
        return False
    if any(isinstance(o, Buffer) and o.place == "state" and o.index == b.index for o in others):
        return False
    if readers.get(b) or finals[b] != 1 or states[b.index].type.axes != b.type.axes:
        return False
    return value_strides(s.node) is not None


class _Chosen:
    """Steps that can run one after the other so that each reads a shared variable before another overwrites it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.reads: dict[Step, set[int]] = {}  # by numbers of states
        self.writes: dict[Step, set[int]] = {}
        self.readers: dict[int, list[Step]] = {}
        self.writers: dict[int, list[Step]] = {}

    def enter(self, s: Step) -> None:
        """Takes a step as well, unless there would be no such order."""
        parts = [s, *s.inside()]
        inputs = (x for p in parts for x in p.inputs)
        self.reads[s] = {x.index for x in inputs if isinstance(x, Buffer) and x.place == "state"}
        self.writes[s] = {b.index for p in parts for b in p.outputs if b.place == "spare"}
        if self._must_follow_itself(s):
            return
        self.steps.append(s)
        for by, states in ((self.readers, self.reads[s]), (self.writers, self.writes[s])):
            for k in states:
                by.setdefault(k, []).append(s)

    def _behind(self, s: Step) -> list[Step]:
        """The steps that overwrite what a step reads."""
        return [t for k in self.reads[s] for t in self.writers.get(k, ()) if t is not s]

    def _must_follow_itself(self, s: Step) -> bool:
        if not any(self.readers.get(k) for k in self.writes[s]):
            return False
        seen: set[Step] = set()
        stack = self._behind(s)
        while stack:
            t = stack.pop()
            if t in seen:
                continue
            seen.add(t)
            if self.reads[t] & self.writes[s]:
                return True
            stack += self._behind(t)
        return False

    def ordered(self) -> list[Step]:
        """The steps in such an order: those that nothing has to precede, those that then follow, and so on."""
        waiting = dict.fromkeys(self.steps, 0)
        for s in self.steps:
            for t in self._behind(s):
                waiting[t] += 1
        out: list[Step] = []
        ready = [s for s in self.steps if not waiting[s]]
        while ready:
            out += ready
            freed = []
            for s in ready:
                for t in self._behind(s):
                    waiting[t] -= 1
                    if not waiting[t]:
                        freed.append(t)
            ready = freed
        return out
