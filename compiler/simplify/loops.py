"""Loops: scans that run the same steps become one, and no scan keeps what nobody reads.

    before   a = scan(n, x, h; step = {h' ; u}, keep h)        h' and u: new state, value to stack
             b = scan(n, x, h; step = {h' ; v}, keep nothing)
    after    a = scan(n, x, h; step = {h' ; u, v}, keep h), b's result the last row of a's history

A gradient runs a loop again where it needs values that the loop did not keep; by this pass the two are one loop. A
history of which only the last rows are read, each at a fixed place from the end, is not kept; stacked values that are
not read are not made. Running the pass twice changes nothing.
"""

from __future__ import annotations

from ..ir import lengths
from ..ir.node import Check, Node, Region, build, depends, topological
from ..ir.node import region as region_of
from ..ir.ops.control import stacks_backwards
from ..ir.origins import Origins
from .rebuilder import Rebuilder


def tidy_loops(body: Region, origins: Origins | None = None) -> Region:
    """The region with its loops merged and trimmed, those of nested regions first. Linear."""
    return _Tidy(body, origins or Origins(), {}).run()


class _Tidy(Rebuilder):
    def prepare(self, order: list[Node]) -> None:
        self.loops: dict[tuple, Loop] = {}
        read = self.reads(order)
        for n in order:
            if n.op == "scan":
                found = self.loops.setdefault(self.key(n), Loop(n))
                found.add(n, read)

    def loop(self, n: Node) -> Node:
        return self.loops[self.key(n)].make(self)

    def item(self, n: Node) -> Node:
        return self.loops[self.key(n.inputs[0])].item(n, self)

    def other(self, n: Node) -> Node | None:
        return self.row(n) if n.op == "slice" else None

    def key(self, n: Node) -> tuple:
        """Scans with equal keys run the same steps as often."""
        step: Region = n.attr("step")
        states, until = len(n.attr("taps")), n.attr("until")
        last = step.outputs[-1] if until else None
        order = n.attr("sequences"), n.attr("taps"), stacks_backwards(n)
        return (n.inputs, step.params, order, step.outputs[:states], last)

    def reads(self, order: list[Node]) -> dict[Node, bool]:
        """The items of scans that are read; for a history whether more than its last rows is."""
        users: dict[Node, list[Node]] = {}
        for n in order:
            for d in depends(n):
                users.setdefault(d, []).append(n)
        roots = {*self.body.outputs, *(o for c in self.body.checks for o in c.operands)}
        out: dict[Node, bool] = {}
        for n in order:
            if n.op != "item" or n.inputs[0].op != "scan":
                continue
            taps, k = n.inputs[0].attr("taps"), n.attr("index")
            if k >= len(taps) or not n.inputs[0].attr("keep")[k]:
                out[n] = True
                continue
            rows, ends = -taps[k][0], [n]
            whole = False
            while ends and not whole:
                m = ends.pop()
                whole = m in roots
                for u in users.get(m, ()):
                    if m is n and after_start(u, m, rows):
                        ends.append(u)
                    else:
                        whole = whole or row_from_end(u, m, rows) is None
            out[n] = whole
        return out

    def row(self, n: Node) -> Node | None:
        """A row counted from the end of a history that is not kept any more."""
        m = n.inputs[0]
        while m.op == "slice" and m.inputs[0].op == "item":
            m = m.inputs[0]
        if m.op != "item" or m.inputs[0].op != "scan":
            return None
        loop = self.loops[self.key(m.inputs[0])]
        k = m.attr("index")
        if k >= len(loop.keep) or loop.keep[k] or not m.inputs[0].attr("keep")[k]:
            return None
        at = row_from_end(n, n.inputs[0], -loop.first.attr("taps")[k][0])
        if at is None:
            return None  # the values after the initial ones, which such rows are taken of
        bounds = [lengths.const(at), *(self.new[b] for b in n.inputs[2:])]
        return build("slice", self.new[m], *bounds, spec=n.attr("spec"))


class Loop:
    """One scan that stands for all with the same steps."""

    def __init__(self, first: Node):
        self.first = first
        self.steps: dict[Region, None] = {}  # of all that it stands for
        self.keep = [False] * len(first.attr("taps"))
        self.stacked: dict[Node, int] = {}  # inner value -> its place among the stacked ones
        self.made: Node | None = None

    def add(self, n: Node, read: dict[Node, bool]) -> None:
        self.steps.setdefault(n.attr("step"))
        states, outputs = len(self.keep), n.attr("step").outputs
        for k in range(len(n.type.items)):
            item = build("item", n, index=k)
            if item not in read:
                continue
            if k < states:
                self.keep[k] = self.keep[k] or (n.attr("keep")[k] and read[item])
            else:
                self.stacked.setdefault(outputs[k], len(self.stacked))

    def make(self, tidy: _Tidy) -> Node:
        if self.made is None:
            n = self.first
            step: Region = n.attr("step")
            last = step.outputs[-1:] if n.attr("until") else ()
            outputs = [*step.outputs[: len(self.keep)], *self.stacked, *last]
            found = {c for c in step.checks}
            body = region_of(step.params, outputs, [*step.checks, *(c for c in self.checks(outputs) if c not in found)])
            for r in self.steps:
                tidy.origins.enter(body, tidy.origins.of(r).copy())
            attrs = {**dict(n.attrs), "keep": tuple(self.keep), "step": tidy.inner(body)}
            self.made = build("scan", *(tidy.new[i] for i in n.inputs), **attrs)
        return self.made

    @staticmethod
    def checks(outputs: list[Node]) -> list[Check]:
        return [c for n in topological(outputs) for c in n.checks]

    def item(self, n: Node, tidy: _Tidy) -> Node:
        made, old, k = self.make(tidy), n.inputs[0], n.attr("index")
        if k >= len(self.keep):
            return build("item", made, index=len(self.keep) + self.stacked[old.attr("step").outputs[k]])
        new = build("item", made, index=k)
        if not self.keep[k] or old.attr("keep")[k]:
            return new
        # The history is there for another reader: the last rows are taken of it.
        rows = -old.attr("taps")[k][0]
        spec = (("point",), *[("all",)] * (new.type.ndim - 1))
        taken = [build("slice", new, lengths.const(i), spec=spec) for i in range(-rows, 0)]
        return taken[0] if rows == 1 else build("concatenate", *taken, axis=0)


def after_start(n: Node, x: Node, rows: int) -> bool:
    """Whether n is x without its first `rows` rows."""
    if n.op != "slice" or n.inputs[0] is not x or n.inputs.count(x) != 1:
        return False
    spec = n.attr("spec")
    return (
        spec[0] == ("range", True, False, 1)
        and lengths.static(n.inputs[1]) == rows
        and spec[1:] == (("all",),) * (len(spec) - 1)
    )


def row_from_end(n: Node, x: Node, rows: int) -> int | None:
    """Which of the last `rows` rows of x the slice n takes (-1 is the last); None for any other use."""
    if n.op != "slice" or n.inputs[0] is not x or n.inputs.count(x) != 1 or n.attr("spec")[0] != ("point",):
        return None
    at = lengths.static(n.inputs[1])
    return at if at is not None and -rows <= at < 0 else None


__all__ = ["tidy_loops"]
