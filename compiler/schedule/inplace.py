"""Which updates are written over the old values: kernels that run after the commit point.

A kernel may wait until the program has committed, and then write into the shared variable itself, when it cannot fail,
nothing else needs what it computes, and it reads the old value only where it writes the new one. Everything before the
commit has read old values by then; kernels after it are ordered so that none reads what another has overwritten.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.node import Node, topological
from .program import Block, Buffer, Step


def choose(block: Block, states: dict[int, Buffer], nest_of: Callable[[Node], object]) -> list[Step]:
    """Takes the steps that may run after the commit out of the block, in an order in which they may run there.

    Their outputs that replace shared variables become the variables' own buffers.
    """
    readers: dict[Buffer, list[Step]] = {}
    for s in _all_steps(block):
        for x in s.inputs:
            if isinstance(x, Buffer):
                readers.setdefault(x, []).append(s)
    finals = [b for b in block.results if isinstance(b, Buffer)]
    chosen: list[Step] = []
    for s in block.steps:
        if s.kind == "kernel" and _fits(s, finals, readers, states, nest_of(s.node)):
            trial = _ordered([*chosen, s])
            if trial is not None:
                chosen = trial
    for s in chosen:
        block.steps.remove(s)
        if s.checks:  # obligations stay before the commit
            block.final_checks[:0] = s.checks
            s.checks = []
        for b in s.outputs:
            if b.place == "spare":
                b.place = "state"
    return chosen


def _all_steps(block: Block) -> list[Step]:
    out: list[Step] = []
    stack = [block]
    while stack:
        b = stack.pop()
        for s in b.steps:
            out.append(s)
            if s.epilogue is not None:
                out.append(s.epilogue)
            stack.extend(s.blocks)
    return out


def _fits(s: Step, finals: list[Buffer], readers: dict[Buffer, list[Step]], states: dict[int, Buffer], nest) -> bool:
    if nest.mode != "map" or nest.checks or s.scratch or not any(b.place == "spare" for b in s.outputs):
        return False
    for b in s.outputs:
        if b.place not in ("spare", "output") or readers.get(b) or finals.count(b) != 1:
            return False
        if b.place == "spare":
            state = states.get(b.index)
            if state is not None and state.type.axes != b.type.axes:
                return False
    tensors = [x for x in s.inputs if isinstance(x, Buffer)]
    written = {b.index: len(nest.tensors) + k for k, b in enumerate(s.outputs) if b.place == "spare"}
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


def _ordered(steps: list[Step]) -> list[Step] | None:
    """An order in which every step reads shared variables before another overwrites them; None if there is none."""
    writes = [{b.index for b in s.outputs if b.place == "spare"} for s in steps]
    reads = [{x.index for x in s.inputs if isinstance(x, Buffer) and x.place == "state"} for s in steps]
    left = list(range(len(steps)))
    out: list[Step] = []
    while left:
        ready = [k for k in left if not any(j != k and writes[k] & reads[j] for j in left)]
        if not ready:
            return None
        out += [steps[k] for k in ready]
        left = [k for k in left if k not in ready]
    return out
