"""A scan taken apart: what passes that change loops edit, and the scan made of the parts again."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.node import Node, Region, build, rebuild, region, topological
from ..ir.ops.control import stacks_backwards
from ..ir.origins import Lines, Origins
from .common import readers


@dataclass(eq=False)
class State:
    params: tuple[Node, ...]
    taps: tuple[int, ...]
    initial: Node
    new: Node
    keep: bool


class Parts:
    """Inner nodes are those of the old step, whose params keep their tokens until `build`; outer ones are the new ones.

    `stacked` holds inner values in the order of the results after the states.
    """

    def __init__(self, scan: Node, inputs: list[Node], step: Region, lines: Lines):
        params, taps, count = list(step.params), scan.attr("taps"), scan.attr("sequences")
        self.steps, *rest = inputs
        self.attrs, self.step, self.lines = dict(scan.attrs), step, lines
        states = len(taps)
        self.sequences = dict(zip(params, rest[:count], strict=False))
        del params[:count]
        self.states: list[State] = []
        for k, offsets in enumerate(taps):
            self.states.append(
                State(tuple(params[: len(offsets)]), offsets, rest[count + k], step.outputs[k], scan.attr("keep")[k])
            )
            del params[: len(offsets)]
        self.constants = dict(zip(params, rest[count + states :], strict=True))
        last = len(step.outputs) - bool(scan.attr("until"))
        self.stacked = list(step.outputs[states:last])
        self.condition = list(step.outputs[last:])
        self.checks = list(step.checks)
        self.backwards = stacks_backwards(scan)
        self.tokens = len(step.params)  # of params that are added
        self.axes: dict[Node, tuple[Node, ...]] = {}  # of each param: its lengths in outer terms
        for p, x in self.sequences.items():
            self.axes[p] = x.type.axes[1:]
        for s in self.states:
            for p in s.params:
                self.axes[p] = s.initial.type.axes if s.initial.type.kind == "random" else s.initial.type.axes[1:]
        for p, x in self.constants.items():
            self.axes[p] = x.type.axes

    def roots(self) -> list[Node]:
        return [*(s.new for s in self.states), *self.stacked, *self.condition]

    def readers(self) -> dict[Node, int]:
        """How often each inner value is read, by other values or as a result."""
        return readers(self.roots())

    def outside(self) -> dict[Node, Node]:
        """What inner nodes are in the outer program, where they are the same in every step."""
        found = dict(self.constants)
        for p, axes in self.axes.items():
            for a, n in enumerate(axes):
                found[build("dim", token=p.attr("token"), axis=a)] = n
        return found

    def param(self, value: Node, rows: bool) -> Node:
        """A new param, a sequence of the rows of an outer value or the value itself."""
        axes = value.type.axes[1:] if rows else value.type.axes
        token, self.tokens = self.tokens, self.tokens + 1
        own = [a if a.op == "const" else build("dim", token=token, axis=k) for k, a in enumerate(axes)]
        p = build("param", *own, token=token, dtype=value.type.dtype, kind=value.type.kind)
        (self.sequences if rows else self.constants)[p] = value
        self.axes[p] = axes
        return p

    def replace(self, new: dict[Node, Node]) -> None:
        done = dict(new)
        for s in self.states:
            s.new = rebuild(s.new, done)
        self.stacked = [rebuild(v, done) for v in self.stacked]
        self.condition = [rebuild(v, done) for v in self.condition]
        self._carry(done)

    def _carry(self, done: dict[Node, Node]) -> None:
        lines = self.lines.copy()
        for old, made in done.items():
            lines.inherit(made, old)
        self.lines = lines

    def build(self, origins: Origins) -> Node:
        """The scan without the sequences and constants that its step does not use."""
        found = topological([*self.roots(), *(o for c in self.checks for o in c.operands)])
        used = {n.attr("token") for n in found if n.op in ("param", "dim")}
        gone = self._lengths_of_gone(used)
        used |= {n.attr("token") for g in gone.values() for n in topological([g]) if n.op in ("param", "dim")}
        sequences = {p: x for p, x in self.sequences.items() if p.attr("token") in used}
        constants = {p: x for p, x in self.constants.items() if p.attr("token") in used}
        params = [*sequences, *(p for s in self.states for p in s.params), *constants]
        step = self._numbered(params, gone)
        origins.enter(step, self.lines)
        attrs = self.attrs | {
            "step": step, "sequences": len(sequences), "taps": tuple(s.taps for s in self.states),
            "keep": tuple(s.keep for s in self.states),
        }  # fmt: skip
        attrs.pop("backwards", None)
        if self.backwards and self.stacked:
            attrs["backwards"] = True
        outer = [*sequences.values(), *(s.initial for s in self.states), *constants.values()]
        return build("scan", self.steps, *outer, **attrs)

    def _lengths_of_gone(self, used: set[int]) -> dict[Node, Node]:
        """The lengths of states that are gone, which obligations still compare, by params that have them. A length that
        none has becomes a constant of the loop: a loop that runs no step must not compare it."""
        there = [*self.sequences, *(p for s in self.states for p in s.params), *self.constants]
        known: dict[Node, Node] = {}
        for p in there:
            for a, n in enumerate(self.axes[p]):
                known.setdefault(n, build("dim", token=p.attr("token"), axis=a))
        gone: dict[Node, Node] = {}
        for p, axes in list(self.axes.items()):
            if p in there or p.attr("token") not in used:
                continue
            for a, n in enumerate(axes):
                if n.op != "const" and n not in known:
                    known[n] = self.param(n, rows=False)
                gone[build("dim", token=p.attr("token"), axis=a)] = n if n.op == "const" else known[n]
        return gone

    def _numbered(self, params: list[Node], gone: dict[Node, Node]) -> Region:
        done: dict[Node, Node] = {}
        for k, p in enumerate(params):
            for a in range(p.ndim):
                done[build("dim", token=p.attr("token"), axis=a)] = build("dim", token=k, axis=a)
            if not p.ndim:
                done[p] = build("param", token=k, dtype=p.type.dtype, kind=p.attr("kind"))
        for n, g in gone.items():
            done[n] = rebuild(g, done)
        for k, p in enumerate(params):
            if p.ndim:
                axes = [rebuild(a, done) for a in p.type.axes]
                done[p] = build("param", *axes, token=k, dtype=p.type.dtype, kind=p.type.kind)
        outputs = [rebuild(o, done) for o in self.roots()]
        checks = [c._replace(operands=tuple(rebuild(o, done) for o in c.operands)) for c in self.checks]
        images = set(done[n] for n in self.step.nodes() if n in done)
        checks += [c for n in topological(outputs) if n not in images for c in n.checks]
        self._carry(done)
        return region([done[p] for p in params], outputs, checks)


__all__ = ["Parts", "State"]
