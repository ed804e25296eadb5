"""Code motion out of loops: what no step has to wait for is computed once, before or after all steps.

    before   scan(x_t, w, u; dot(x_t, w), exp(u), ...)       products of a sequence's elements, values of constants
    after    scan(y_t, z; ...)                               y = dot(x, w), z = exp(u)

    before   scan(s' = s + dot(a_t.T, b_t)), s read last     products that a state adds up and no step reads
    after    scan(stack a_t, b_t), s + dot(a.T, b)           with the rows of all steps one below the other

    before   scan(stack dot(a_t, w))                         a product that no step reads
    after    scan(stack a_t), dot(a, w)

A product of the rows of all steps runs at the speed of the machine, those of single steps do not. And a loop whose
stacked values are read from the last to the first, as those of gradients through time are, writes them in that order.

Licences L1 (what all steps add up is one sum) and L15. A loop may run no step, and then asks nothing of lengths: what
its steps compare they go on comparing, and products outside are taken of rows reshaped to the lengths that hold then,
which asks nothing where there are no rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from ..ir import lengths
from ..ir.dtypes import HALF
from ..ir.node import Check, Node, Region, build, depends, rebuild, topological
from ..ir.origins import Origins
from ..ir.types import TensorType
from .loop_parts import Parts, State
from .rebuilder import Rebuilder
from .shapes import BACKWARDS

Outer = Callable[[], Node]


def move(body: Region, origins: Origins | None = None) -> Region:
    """The region with its loops relieved, those of nested regions first. Running it twice changes nothing."""
    return _Move(body, origins or Origins(), {}).run()


class _Move(Rebuilder):
    def prepare(self, order: list[Node]) -> None:
        self.loops: dict[Node, _Loop] = {}
        self.users: dict[Node, list[Node]] = {}
        for n in order:
            for d in depends(n):
                self.users.setdefault(d, []).append(n)
        self.roots = {*self.body.outputs, *(o for c in self.body.checks for o in c.operands)}

    def loop(self, n: Node) -> Node:
        parts = Parts(n, [self.new[i] for i in n.inputs], self.inner(n.attr("step")), self.origins.of(n.attr("step")))
        self.loops[n] = _Loop(parts, self.read_backwards(n), self)
        return self.loops[n].make(self.origins)

    def item(self, n: Node) -> Node:
        return self.loops[n.inputs[0]].result(n.attr("index"))

    def read_backwards(self, n: Node) -> bool:
        """Whether all that reads stacked values of the loop reads them from the last to the first, as it reads some
        sequence itself."""
        if n.attr("until") or not any(map(is_reversal, n.inputs[1 : 1 + n.attr("sequences")])):
            return False
        stacked = [i for i in self.users.get(n, ()) if i.op == "item" and i.attr("index") >= len(n.attr("taps"))]
        return not any(i in self.roots for i in stacked) and all(
            is_reversal(u) and u.inputs[0] is i for i in stacked for u in self.users.get(i, ())
        )


def is_reversal(n: Node) -> bool:
    return n.op == "slice" and n.attr("spec") == _reversed(n)


def reversal(x: Node) -> Node:
    return x.inputs[0] if is_reversal(x) else build("slice", x, spec=_reversed(x))


def _reversed(x: Node) -> tuple:
    return (BACKWARDS, *[("all",)] * (x.ndim - 1))


class _Loop:
    """The motions of one loop, and what its old results are then."""

    def __init__(self, parts: Parts, read_backwards: bool, around: _Move):
        self.parts, self.around = parts, around
        self.places: list[State | Node] = [*parts.states, *parts.stacked]  # of the old results
        parts.stacked = list(dict.fromkeys(parts.stacked))
        self.turned = read_backwards and not parts.backwards
        parts.backwards = parts.backwards or self.turned
        self.late: dict[int, Outer] = {}  # old results that are computed after the loop
        self.stacks: dict[Node, Node] = {}
        self.made: Node | None = None

    def make(self, origins: Origins) -> Node:
        p = self.parts
        if not p.condition:
            self.before()
            self.after()
        self.made = p.build(origins)
        self.stacks = {v: build("item", self.made, index=k) for k, v in enumerate(p.stacked, len(p.states))}
        return self.made

    def result(self, k: int) -> Node:
        assert self.made is not None
        if k in self.late:
            return self.late[k]()
        return self.kept(self.places[k])

    def kept(self, place: State | Node) -> Node:
        if isinstance(place, State):
            assert self.made is not None
            return build("item", self.made, index=self.parts.states.index(place))
        return self.in_order(self.stacks[place])

    def in_order(self, x: Node) -> Node:
        """A stacked value as the old loop stacked it."""
        return reversal(x) if self.turned else x

    # Before the loop

    def before(self) -> None:
        p, outside = self.parts, self.parts.outside()
        given = set(outside.values())
        order = topological(p.roots())
        constant, worth = set(p.constants), set()
        for n in order:
            if _may_move(n) and all(i in constant for i in n.inputs):
                constant.add(n)
                if n.definition.costly or n.family in ("procedural", "reduce") or any(i in worth for i in n.inputs):
                    worth.add(n)
        # A transposed factor is put in order once, not by each product, and what a product has to have in memory is
        # computed once.
        worth |= {x for n in order if n.op in ("dot", "batched_dot") and n not in constant for x in n.inputs
                  if x in constant and x.ndim > 1 and (_is_transpose(x) or x.family == "elementwise")}  # fmt: skip
        needed = {*p.roots(), *(i for n in order if n not in constant for i in n.inputs)}
        new: dict[Node, Node] = {}
        became = dict(outside)  # of all that moves together: one value may be made of all the others
        asks: dict[Node, bool] = {}  # whether computing it there asks for something
        for n in order:
            if n in worth and n in needed and isinstance(n.type, TensorType):
                made = rebuild(n, became)
                for m in topological([made], lambda m: () if m in given or m in asks else m.inputs):
                    if m not in asks:
                        asks[m] = bool(m.checks) or (m not in given and any(asks[i] for i in m.inputs))
                if not asks[made]:
                    new[n] = p.param(made, rows=False)
            elif n.op == "dot" and n not in constant:
                product = self.product_before(n, constant, outside)
                if product is not None:
                    new[n] = p.param(product, rows=True)
        if new:
            p.replace(new)
            done = dict(new)
            self.places = [q if isinstance(q, State) else rebuild(q, done) for q in self.places]

    def product_before(self, n: Node, constant: set[Node], outside: dict[Node, Node]) -> Node | None:
        """dot(x_t, w) of all steps, or dot(w, x_t) of vectors x_t."""
        x, w = n.inputs
        turned = w in self.parts.sequences and x in constant and w.ndim == 1
        if turned:
            x, w = w, x
        if x not in self.parts.sequences or w not in constant or w.ndim != 2 or n.type.dtype in HALF:
            return None
        if turned:
            w = self.transpose(w)
        return self.of_all_rows(x, self.rows(x), w, rebuild(w, dict(outside)))

    def rows(self, p: Node) -> Node:
        """The elements of a sequence that the steps read."""
        x, steps = self.parts.sequences[p], self.parts.steps
        if x.type.axes[0] is lengths.normal(steps):
            return x
        return build("slice", x, steps, spec=(("range", False, True, 1), *[("all",)] * (x.ndim - 1)))

    # After the loop

    def after(self) -> None:
        p, readers = self.parts, self.parts.readers()
        user = {i: n for n in topological(p.roots()) for i in n.inputs}  # of what one node reads: that
        checked = set(topological([o for c in p.checks for o in c.operands]))
        for k, s in enumerate(self.places):
            if isinstance(s, State):
                terms = _added(s, readers, user) if s.params[0] not in checked else []
                alone = [t for t in terms if readers[t] == 1 and _is_like(t, s.new)]
                pairs = {t: self.product_of(t) for t in alone}
                products = {t: pair for t, pair in pairs.items() if pair is not None and all(map(self.is_even, pair))}
                if products:
                    self.add_later(k, s, products, [t for t in terms if t not in products])
            elif s in p.sequences:
                if s in p.stacked:
                    p.stacked.remove(s)
                self.late[k] = lambda s=s: self.in_order(self.all_steps(s))  # type: ignore[misc]
            elif (
                s.op == "dot" and readers[s] == 1 and self.is_constant(s.inputs[1]) and s.type.dtype not in HALF
                and self.is_even(s.inputs[0])
            ):  # fmt: skip
                a, w = s.inputs
                if s in p.stacked:
                    p.stacked.remove(s)
                self.stack(a)
                self.late[k] = lambda a=a, w=w: self.in_order(  # type: ignore[misc]
                    self.of_all_rows(a, self.all_steps(a), w, rebuild(w, self.parts.outside()))
                )

    def is_even(self, v: Node) -> bool:
        """Whether a value of the step has the same lengths in all steps: then those of all steps are one tensor."""
        constant = self.parts.constants
        return all(
            n.op != "length" and (n.op != "param" or n in constant) for a in v.type.axes for n in topological([a])
        )

    def is_constant(self, w: Node) -> bool:
        while w.op == "dimshuffle":
            w = w.inputs[0]
        return w.ndim == 2 and w in self.parts.constants

    def product_of(self, t: Node) -> tuple[Node, Node] | None:
        """(a, b) of a term that is dot(a.T, b), or a[:, None] * b of vectors."""
        if t.op == "dot" and all(x.ndim == 2 for x in t.inputs):
            return self.transpose(t.inputs[0]), t.inputs[1]
        if _is_transpose(t) and t.inputs[0].op == "dot" and all(x.ndim == 2 for x in t.inputs[0].inputs):
            a, b = t.inputs[0].inputs
            return b, self.transpose(a)
        if t.op == "mul" and all(x.op == "dimshuffle" and x.inputs[0].ndim == 1 for x in t.inputs):
            by_order = {x.attr("order"): x.inputs[0] for x in t.inputs}
            if set(by_order) == {(0, "x"), ("x", 0)}:
                return by_order[0, "x"], by_order["x", 0]
        return None

    def transpose(self, x: Node) -> Node:
        if _is_transpose(x):
            return x.inputs[0]
        made = build("dimshuffle", x, order=(1, 0))
        self.parts.lines.inherit(made, x)
        return made

    def add_later(self, k: int, s: State, products: dict[Node, tuple[Node, Node]], rest: list[Node]) -> None:
        if rest:
            s.new = s.params[0]
            for t in rest:
                s.new = build("add", s.new, t)
        else:
            self.parts.states.remove(s)
        for pair in products.values():
            for v in pair:
                self.stack(v)
        widths = list(zip(s.params[0].type.axes, s.initial.type.axes[1:], strict=True))

        def total() -> Node:
            out = self.kept(s) if rest else s.initial
            for a, b in products.values():
                above = self.one_below_another(a, self.all_steps(a), *widths[0])
                below = self.one_below_another(b, self.all_steps(b), *widths[1])
                made = build("dot", build("dimshuffle", above, order=(1, 0)), below)
                out = build("add", out, build("dimshuffle", made, order=("x", 0, 1)))
            return out

        self.late[k] = total

    def stack(self, v: Node) -> None:
        if v not in self.parts.sequences and v not in self.parts.stacked:
            self.parts.stacked.append(v)

    def of_all_rows(self, a: Node, x: Node, w: Node, factor: Node) -> Node:
        """dot(a, w) of all steps as one product: x and `factor` are what a and w are outside."""
        made = build("dot", self.one_below_another(a, x, w.type.axes[0], factor.type.axes[0]), factor)
        return build("reshape", made, *x.type.axes[:-1], factor.type.axes[1])

    def one_below_another(self, v: Node, x: Node, want: Node, width: Node) -> Node:
        """The rows of all steps as one matrix, whose width is `want` inside. That the rows of v are as wide, the steps
        check. A product in front of the loop must not begin before that is known: the outer program checks it too,
        if any step will run."""
        have = x.type.axes[-1]
        made = build("reshape", x, lengths.product(x.type.axes[:-1]), width)
        said = self.why_equal(v.type.axes[-1], want) if have is not width else None
        if said is not None:
            if self.made is None:
                runs = lengths.minimum(lengths.normal(self.parts.steps), lengths.const(1))
                operands = (lengths.mul(runs, have), lengths.mul(runs, width))
                self.around.guards.append(said._replace(operands=operands))
            self.around.implied |= {(c.kind, c.operands) for c in made.checks if c.kind == "eq"}
        return made

    def all_steps(self, v: Node) -> Node:
        """The values of an inner node in all steps, in the order in which the loop stacks."""
        if v in self.stacks:
            return self.stacks[v]
        return reversal(self.rows(v)) if self.parts.backwards else self.rows(v)

    @cached_property
    def beside(self) -> dict[Node, list[tuple[Node, Check]]]:
        """Of a length, those that an obligation says are equal to it."""
        found: dict[Node, list[tuple[Node, Check]]] = {}
        for c in self.parts.checks:
            if c.kind == "eq":
                for one, other in (c.operands, c.operands[::-1]):
                    found.setdefault(one, []).append((other, c))
        return found

    def why_equal(self, a: Node, b: Node) -> Check | None:
        """An obligation by which two lengths are equal, if need be with the help of others."""
        first: dict[Node, Check | None] = {a: None}
        todo = [a]
        while todo and b not in first:
            at = todo.pop(0)
            for n, c in self.beside.get(at, ()):
                if n not in first:
                    first[n] = first[at] or c
                    todo.append(n)
        return first.get(b)


def _is_like(x: Node, y: Node) -> bool:
    """Whether neither of two values is stretched to the other's lengths."""
    return x.type.broadcastable == y.type.broadcastable


def _is_transpose(x: Node) -> bool:
    return x.op == "dimshuffle" and x.attr("order") == (1, 0)


def _may_move(n: Node) -> bool:
    """Whether a node that depends on constants alone gives the same outside the loop, and raises nothing."""
    if n.op in ("const", "dim", "item"):
        return True
    return n.family in ("elementwise", "view", "reduce") or (n.op == "dot" and n.type.kind == "dense")


def _added(s: State, readers: dict[Node, int], user: dict[Node, Node]) -> list[Node]:
    """The terms that are added to a state which nothing else in the loop reads; none where it is no such state. `user`
    is the one node that reads a value, of those that one reads."""
    t = s.initial.type
    if s.keep or s.taps != (-1,) or t.kind != "dense" or t.ndim != 3 or t.dtype in HALF | {"bool"}:
        return []
    at, terms = s.params[0], []
    while at is not s.new:
        n = user.get(at)
        if n is None or n.op != "add" or readers.get(at) != 1 or not _is_like(n, at):
            return []
        terms += [i for i in n.inputs if i is not at]
        at = n
    if readers[s.new] != 1:
        return []
    out = []
    while terms:
        n = terms.pop()
        if n.op == "add" and readers[n] == 1 and all(_is_like(i, n) for i in n.inputs):
            terms += n.inputs
        else:
            out.append(n)
    return out


__all__ = ["move"]
