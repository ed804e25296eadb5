"""Laziness: what only one branch of an ifelse needs moves into that branch.

    before   v = slice(x, i); t = ifelse(c, v, x; then = {p -> p.0}, orelse = {p -> p.1})
    after    t = ifelse(c, x, i; then = {p -> slice(p.0, p.1)}, orelse = {p -> p.0})

Each node has a place: the region itself, or one branch of one ifelse (whose own place may be a branch). A node's place
is the innermost one that holds all its uses. An obligation goes with the nodes that carry it: once all of them are in a
branch it is checked there only, so a branch that is not taken raises nothing. Running the pass twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..ir.node import (
    Check,
    Node,
    Region,
    binder,
    build,
    depends,
    given_length,
    is_bound,
    make,
    region,
    renumber,
    topological,
)
from ..ir.origins import Lines, Origins
from ..ir.regions import params_for

# Branches within branches beyond this depth are not opened: every interpreter of regions descends into them.
DEPTH = 40


class Place:
    """The region itself (no parent), or a branch of an ifelse."""

    __slots__ = ("arguments", "depth", "inside", "lines", "made", "parent", "said")

    def __init__(self, depth: int, parent: Place | None = None):
        self.parent, self.depth = parent, depth
        self.arguments: dict[Node, None] = {}  # outer nodes used here, or further in
        self.inside: dict[Node, Node] = {}  # what they are here
        self.made: dict[Node, Node] = {}  # nodes of this place, rebuilt
        self.lines = Lines()
        self.said: dict[tuple, Check] = {}  # what the region says of an obligation that a rebuilt node carries


def common(a: Place | None, b: Place) -> Place:
    """The innermost place that holds both."""
    if a is None:
        return b
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        assert a.parent is not None
        a = a.parent
    return a


def sink(body: Region, origins: Origins | None = None) -> Region:
    """The region with every node in its place, nested regions included. Linear."""
    return _Sink(body, origins or Origins(), {}, 0).run()


class _Sink:
    def __init__(self, body: Region, origins: Origins, nested: dict[tuple[Region, int], Region], depth: int):
        self.body, self.origins, self.nested = body, origins, nested
        self.lines = origins.of(body)
        self.root = Place(depth)
        self.root.lines = self.lines.copy()
        self.place: dict[Node, Place] = {}
        self.branches: dict[Node, tuple[Place, Place]] = {}
        self.attrs: dict[Node, tuple] = {}  # of nodes with regions, these sunk
        self.params: dict[Node, list[Node]] = {}  # of the branches of an ifelse
        self.checks = {(c.kind, c.operands): c for c in body.checks}
        self.carried: dict[tuple, Place | None] = {}  # obligation -> the innermost place that holds its carriers

    def run(self) -> Region:
        if not any(n.op in ("scan", "ifelse", "length") for n in self.body.nodes()):  # a length may name a loop
            return self.body
        order = self.order()
        controls = [n for n in order if n.op in ("scan", "ifelse")]
        for n in controls:
            self.attrs[n] = tuple((k, self.inner(v) if isinstance(v, Region) else v) for k, v in n.attrs)
        if not any(n.op == "ifelse" for n in controls) and all(self.attrs[n] == n.attrs for n in controls):
            return self.body
        self.find_places(order)
        self.find_arguments(order)
        for n in order:
            if n in self.place:
                self.rebuild(n)
        made = region(self.body.params, [self.at(self.root, o) for o in self.body.outputs], self.root_checks())
        self.origins.enter(made, self.root.lines)
        return made

    def inner(self, r: Region) -> Region:
        depth = self.root.depth + 1
        found = self.nested.get((r, depth))
        if found is None:
            found = _Sink(r, self.origins, self.nested, depth).run()
            self.nested[r, depth] = self.nested[found, depth] = found
        return found

    # What a node depends on.

    def obligations(self, n: Node) -> Iterator[Check]:
        return (c for c in n.checks if (c.kind, c.operands) in self.checks)

    def order(self) -> list[Node]:
        """The nodes, each after what it depends on and after the operands of its obligations."""
        return topological(self.body.roots(), self.before)

    def before(self, n: Node) -> list[Node]:
        return [*depends(n), *(o for c in self.obligations(n) for o in c.operands)]

    # Where nodes are.

    def find_places(self, order: list[Node]) -> None:
        self.holding: dict[Node, list[tuple]] = {}
        loose = dict(((c.kind, c.operands), c) for c in self.body.checks)
        for n in order:
            for c in self.obligations(n):
                loose.pop((c.kind, c.operands), None)
                self.carried[c.kind, c.operands] = None
        for key in self.carried:
            for o in key[1]:
                self.holding.setdefault(o, []).append(key)
        for n in (*self.body.outputs, *(o for c in loose.values() for o in c.operands)):
            self.use(n, self.root)
        parts = []
        for n in reversed(order):
            if any(self.carried[key] is self.root for key in self.holding.get(n, ())):
                self.use(n, self.root)
            here = self.place.get(n)
            if here is None:
                continue
            for c in self.obligations(n):
                self.carried[c.kind, c.operands] = common(self.carried[c.kind, c.operands], here)
            if n.op in ("param", "dim"):
                self.place[n] = self.root
            elif n.op == "ifelse":
                self.open(n, here)
            else:
                for d in depends(n):
                    self.use(d, here)
                if is_bound(n) or n.op == "item":
                    parts.append(n)
        for n in parts:  # what an operation gives is where the operation is: no tuple enters a branch
            self.place[n] = self.place[depends(n)[0]]

    def use(self, n: Node, at: Place) -> None:
        self.place[n] = common(self.place.get(n), at)

    def open(self, n: Node, here: Place) -> None:
        """The places of the two branches of an ifelse, which use its arguments."""
        then, orelse = self.branches[n] = (Place(here.depth + 1, here), Place(here.depth + 1, here))
        self.use(n.inputs[0], here)
        for side, args in ((then, self.reads(n, "then")), (orelse, self.reads(n, "orelse"))):
            for k in args:
                self.use(n.inputs[1 + k], side if side.depth <= DEPTH else here)

    def reads(self, n: Node, side: str) -> list[int]:
        """The arguments of an ifelse that a branch reads: their values, or lengths that no value it reads has."""
        r: Region = dict(self.attrs[n])[side]
        values: dict[Node, None] = {}
        dims: set[Node] = set()
        seen: set[Node] = set()
        stack = r.roots()
        while stack:
            m = stack.pop()
            if m in seen:
                continue
            seen.add(m)
            if m.op == "param":
                values[m] = None
            elif m.op == "dim":
                dims.add(m)
            else:
                stack.extend(m.inputs)
        given = {a for p in values for a in p.type.axes}
        return sorted({m.attr("token") for m in (*values, *(d for d in dims if d not in given))})

    # What crosses into a branch.

    def find_arguments(self, order: list[Node]) -> None:
        for n in order:
            here = self.place.get(n)
            if here is None:
                continue
            if n.op == "ifelse":
                self.cross(n.inputs[0], here)
                for branch, side in zip(self.branches[n], ("then", "orelse"), strict=True):
                    for k in self.reads(n, side):
                        self.cross(n.inputs[1 + k], branch)
            elif not is_bound(n) and n.op != "param":
                for d in depends(n):
                    self.cross(d, here)
        for n, (then, orelse) in self.branches.items():
            old = {a: None for a in n.inputs[1:] if a in then.arguments or a in orelse.arguments}
            args = list({**old, **then.arguments, **orelse.arguments})
            known = {a for x in args for a in x.type.axes}
            args = [a for a in args if a.type.axes or a.type.dtype != "int64" or a not in known]
            params, inside = params_for(args)
            for branch in (then, orelse):
                branch.arguments, branch.inside = dict.fromkeys(args), inside
            self.params[n] = params

    def cross(self, n: Node, at: Place) -> None:
        """n is used at this place: it is an argument of each branch between its own place and this one."""
        if n.op == "const":
            return
        if n.op == "dim":
            n = self.body.params[n.attr("token")]
        home = self.place.get(n, self.root)
        while at is not home and n not in at.arguments:
            at.arguments[n] = None
            assert at.parent is not None
            at = at.parent

    # Rebuilding.

    def at(self, place: Place, n: Node) -> Node:
        """What an outer node is at this place."""
        if n.op == "const":
            return n
        if n in place.made:
            return place.made[n]
        if place is self.root:
            assert n.op in ("param", "dim")
            return n
        return place.inside[n]

    def rebuild(self, n: Node) -> None:
        here = self.place[n]
        if n.op in ("param", "dim", "const"):
            return
        if is_bound(n):
            new = given_length(self.at(here, binder(n)), n)
        elif n.op == "ifelse":
            new = self.conditional(n, here)
        else:
            new = make(n.op, [self.at(here, i) for i in n.inputs], self.attrs.get(n, n.attrs))
        here.made[n] = new
        here.lines.inherit(new, n, self.lines)
        if len(n.checks) == len(new.checks):
            for a, b in zip(n.checks, new.checks, strict=True):
                if (a.kind, a.operands) in self.checks:
                    here.said.setdefault((b.kind, b.operands), self.checks[a.kind, a.operands])

    def conditional(self, n: Node, here: Place) -> Node:
        attrs, params = self.attrs[n], self.params[n]
        then, orelse = self.branches[n]
        bodies = {}
        for branch, side in ((then, "then"), (orelse, "orelse")):
            old: Region = dict(attrs)[side]
            given = {old.params[k]: self.at(branch, n.inputs[1 + k]) for k in self.reads(n, side)}
            outs, checks, became = renumber(old, given)
            checks += said(obligations_of(outs, checks), branch)
            bodies[side] = body = region(params, outs, checks)
            lines = self.origins.of(old)
            for a, b in became.items():
                branch.lines.inherit(b, a, lines)
            self.origins.enter(body, branch.lines)
        return build("ifelse", self.at(here, n.inputs[0]), *(self.at(here, a) for a in then.arguments), **bodies)

    def root_checks(self) -> list[Check]:
        """The obligations that stay, and those that rebuilt nodes carry besides."""
        out: list[Check] = []
        for c in self.body.checks:
            key = (c.kind, c.operands)
            if key not in self.carried or self.carried[key] is self.root:
                out.append(c._replace(operands=tuple(self.at(self.root, o) for o in c.operands)))
        for old, new in self.root.made.items():
            if new is not old:
                out += said(new.checks, self.root)
        return out


def said(checks: Iterable[Check], place: Place) -> list[Check]:
    known = [(c, place.said.get((c.kind, c.operands), c)) for c in checks]
    return [c._replace(what=s.what, at=s.at) for c, s in known]


def obligations_of(outs: list[Node], checks: list[Check]) -> list[Check]:
    """The obligations of everything that the outputs, and the obligations themselves, depend on."""
    found: dict[Check, None] = {}
    seen: set[Node] = set()
    stack = [*outs, *(o for c in checks for o in c.operands)]
    while stack:
        n = stack.pop()
        if n in seen:
            continue
        seen.add(n)
        stack.extend(depends(n))
        for c in n.checks:
            if c not in found:
                found[c] = None
                stack.extend(c.operands)
    return list(found)


__all__ = ["DEPTH", "sink"]
