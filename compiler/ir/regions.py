"""Regions in regions: those that a region holds, and params of one for values of an outer one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import lengths
from .node import Node, Region, build, substitute
from .types import TupleType


def params_for(args: Sequence[Node]) -> tuple[list[Node], dict[Node, Node]]:
    """A param for each value, and what outer nodes are inside: the values, and the lengths in their types.

    Equal outer lengths are equal inside: the first axis that has a length gives it, and a length made of others is made
    of them again where they are there.
    """
    inside: dict[Node, Node] = {}
    for k, x in enumerate(args):
        for a, n in enumerate(x.type.axes):
            if n.op in ("dim", "length") and n not in inside:
                inside[n] = build("dim", token=k, axis=a)
    out: list[Node | None] = [None] * len(args)
    for k, x in enumerate(args):
        if not x.type.axes:
            out[k] = inside[x] = build("param", token=k, dtype=x.type.dtype, kind=x.type.kind)
    for k, x in enumerate(args):
        axes = []
        for a, n in enumerate(x.type.axes):
            if n.op != "const" and n not in inside:
                inside[n] = (
                    lengths.normal(substitute([n], inside)[0]) if _made_of(n, inside) else build("dim", token=k, axis=a)
                )
            axes.append(inside.get(n, n))
        if x.type.axes:
            out[k] = inside[x] = build("param", *axes, token=k, dtype=x.type.dtype, kind=x.type.kind)
    return [p for p in out if p is not None], inside


def _made_of(length: Node, inside: dict[Node, Node]) -> bool:
    """Whether a length is arithmetic on numbers and on what is there already."""
    stack = [length]
    while stack:
        n = stack.pop()
        if n in inside or n.op == "const":
            continue
        if not n.inputs or isinstance(n.type, TupleType) or n.type.axes or n.op == "length":
            return False
        stack.extend(n.inputs)
    return True


def nested(r: Region) -> list[Region]:
    """The region and all that its nodes hold, inner ones first, each once."""
    return [q for q, _ in nested_nodes(r)]


def nested_nodes(r: Region) -> list[tuple[Region, list[Node]]]:
    """`nested`, each with its nodes, inputs first."""
    held: dict[Region, list[Region]] = {}
    nodes: dict[Region, list[Node]] = {}
    order: list[tuple[Region, list[Node]]] = []
    placed: set[Region] = set()
    stack = [r]
    while stack:
        q = stack[-1]
        if q not in held:
            nodes[q] = q.nodes()
            held[q] = [i for n in nodes[q] for _, v in n.attrs for i in regions_in(v)]
        missing = [i for i in held[q] if i not in placed]
        if missing:
            stack += missing
            continue
        stack.pop()
        if q not in placed:
            placed.add(q)
            order.append((q, nodes[q]))
    return order


def calls_python(r: Region) -> bool:
    """Whether the region or one that it holds calls an operation in Python."""
    return any(n.op == "host_call" for _, nodes in nested_nodes(r) for n in nodes)


def regions_in(value: Any) -> list[Region]:
    """The regions in an attribute."""
    if isinstance(value, Region):
        return [value]
    if isinstance(value, tuple):
        return [r for v in value for r in regions_in(v)]
    return []


__all__ = ["calls_python", "nested", "nested_nodes", "params_for", "regions_in"]
