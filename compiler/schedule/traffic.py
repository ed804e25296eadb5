"""Bytes that a program moves between memory and its kernels, counted from its steps, and the least that it could.

A step reads each of its operands once and writes each of its results once; an update in place does both. What a
product and the kernels inside it hand to each other piece by piece costs nothing, nor do the workspaces of single
kernels, which are per worker or a thousandth of what they read. Every step of a loop counts; of an ifelse, both
branches. Tensors whose lengths are only known while the program runs are left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import lengths
from ..ir.node import Node
from .steps import Block, Buffer, HostProgram, Step, is_early


def moved(program: HostProgram) -> Node:
    """The bytes of a call, as a length."""
    total = lengths.const(0)
    todo: list[tuple[Block | Step, Node]] = [(program.block, lengths.const(1))]
    todo += [(s, lengths.const(1)) for s in program.after_commit]
    while todo:
        item, times = todo.pop()
        if isinstance(item, Block):
            todo += [(s, times) for s in item.steps]
            continue
        if item.kind in ("scan", "ifelse"):
            steps = item.inputs[0] if item.kind == "scan" else lengths.const(1)
            assert isinstance(steps, Node)
            if is_early(steps):
                todo += [(b, lengths.mul(times, steps)) for b in item.blocks]
            continue
        read, written = touched(item)
        total = lengths.add(total, *(lengths.mul(times, b.nbytes()) for b in _counted((*read, *written))))
    return total


def _counted(buffers: Iterable[Buffer]) -> list[Buffer]:
    return [b for b in buffers if b.place != "piece" and is_early(b.nbytes())]


def touched(step: Step) -> tuple[list[Buffer], list[Buffer]]:
    """What a step reads and what it writes; one buffer may be both."""
    steps = [step, *step.inside()]
    read = dict.fromkeys(x for s in steps for x in s.inputs if isinstance(x, Buffer))
    written = dict.fromkeys(x for s in steps for x in s.outputs)
    # A kernel that runs on pieces of a stored product takes them while they are in the cache.
    between = {x for s in steps for x in s.outputs} & set(read)
    return [b for b in read if b not in between], list(written)


def least(program: HostProgram) -> Node:
    """The bytes of the arguments and values that the program reads, once, and of its results and new values, once."""
    read: set[Buffer] = set()
    todo: list[Block | Step] = [program.block, *program.after_commit]
    while todo:
        item = todo.pop()
        if isinstance(item, Block):
            todo += item.steps
            read.update(r for r in item.results if isinstance(r, Buffer))
            continue
        todo += [*item.blocks, *item.inside()]
        read.update(x for x in item.inputs if isinstance(x, Buffer))
    ends = [b for b in read if b.place in ("input", "constant", "state")]
    # A state that is written in place has a second buffer, for its new value.
    ends = list({(b.place, b.index): b for b in ends}.values())
    results = [b for b in program.block.results if isinstance(b, Buffer)]
    return lengths.add(lengths.const(0), *(b.nbytes() for b in _counted((*ends, *results))))


__all__ = ["least", "moved", "touched"]
