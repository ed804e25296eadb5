"""A region made again by a pass that changes its loops: nodes in executable order, nested regions first."""

from __future__ import annotations

from ..ir.node import Check, Node, Region, binder, depends, given_length, is_bound, make, region, topological
from ..ir.origins import Origins


class Rebuilder:
    """What a pass overrides: `prepare` looks at the region; `loop` and `item` give a scan and a result of one anew;
    `other` may replace any other node. `new` maps the nodes passed to what they became; `nested` remembers the regions
    that are done."""

    def __init__(self, body: Region, origins: Origins, nested: dict[Region, Region]):
        self.body, self.origins, self.nested = body, origins, nested
        self.lines = origins.of(body).copy()
        self.new: dict[Node, Node] = {}
        self.made: set[Node] = set()  # values of `new`
        self.guards: list[Check] = []  # obligations of what the pass makes, in the words of those they stand for
        self.implied: set[tuple] = set()  # those of new nodes that the guards imply

    def prepare(self, order: list[Node]) -> None:
        raise NotImplementedError

    def loop(self, n: Node) -> Node:
        raise NotImplementedError

    def item(self, n: Node) -> Node:
        raise NotImplementedError

    def other(self, n: Node) -> Node | None:
        return None

    def run(self) -> Region:
        if not any(n.op in ("scan", "ifelse", "length") for n in self.body.nodes()):  # a length may name a loop
            return self.body
        order = self.order()
        if not any(n.op in ("scan", "ifelse") for n in order):
            return self.body
        self.prepare(order)
        for n in order:
            new = self.new[n] = self.rebuilt(n)
            self.inherit(new, n)
        outputs = [self.new[o] for o in self.body.outputs]
        checks = [c._replace(operands=tuple(self.new[o] for o in c.operands)) for c in self.body.checks]
        kept = {old for old, new in self.new.items() if old is new}
        found = topological([*outputs, *(o for c in checks for o in c.operands)])
        checks += self.guards
        checks += [c for n in found if n not in kept for c in n.checks if (c.kind, c.operands) not in self.implied]
        out = region(self.body.params, outputs, checks)
        self.origins.enter(out, self.lines)
        return out

    def order(self) -> list[Node]:
        """The region's nodes, a bound length after the operation that binds it."""
        return topological(self.body.roots(), depends)

    def rebuilt(self, n: Node) -> Node:
        if n.op == "scan":
            return self.loop(n)
        if n.op == "item" and n.inputs[0].op == "scan":
            return self.item(n)
        if is_bound(n):
            return given_length(self.new[binder(n)], n)
        found = self.other(n)
        if found is not None:
            return found
        attrs = tuple((k, self.inner(v) if isinstance(v, Region) else v) for k, v in n.attrs)
        return make(n.op, [self.new[i] for i in n.inputs], attrs)

    def inherit(self, new: Node, old: Node) -> None:
        """Gives the lines of a node to what it became, and to what was made with it."""
        stack = [new]
        while stack:
            n = stack.pop()
            if n in self.made or n.op in ("const", "dim", "param"):
                continue
            self.made.add(n)
            self.lines.inherit(n, old)
            stack += n.inputs
        self.lines.inherit(new, old)

    def inner(self, r: Region) -> Region:
        """A nested region done."""
        found = self.nested.get(r)
        if found is None:
            found = self.nested[r] = type(self)(r, self.origins, self.nested).run()
            self.nested[found] = found
        return found


__all__ = ["Rebuilder"]
