"""The rewrite engine: a pass is a name, a list of rules and a measure that no rule increases; one engine applies them.

    Pass(name, rules, measure)       rules are tried in order at each node; the first that fires replaces it
    Rule(name, pattern, replacement, where=None, licence=None, operands=None)
                                     pattern, replacement: the language of pattern.py; a replacement may be a function
                                     (bindings, node) -> Node or None, `where` a condition (bindings, node) -> bool;
                                     `licence` names the rows of docs/semantics.md that a change of values rests on;
                                     `operands` says of which operations the inputs have to be, where a rule is for all
                                     of a family: it is asked once for each combination, not for each node
    apply(pass, region)              the region at its fixed point, nested regions first
    assume(region)                   lengths that the obligations make equal become one

A rule sees nodes whose inputs are final. What it gives has the old node's dtype and rank; it is stretched to the old
lengths where an axis became 1. int64 scalar arithmetic is what lengths are made of: it has the normal form of
lengths.py, and no rule touches it.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...runtime.errors import InternalError, WeftError
from . import lengths
from .node import Check, Node, Place, Region, build, make, region, remake, topological
from .origins import Lines, Origins
from .pattern import Bindings, Term, builder, matcher, may_match, names, parse
from .regions import nested_nodes, regions_in
from .types import TensorType

Replacement = Callable[..., Node | None]  # of (bindings, node) or (bindings, node, context)
Condition = Callable[[Bindings, Node], bool]
Operands = Callable[[Sequence[str]], bool]  # of the names of the inputs' operations
Licence = str | tuple[str, ...] | None
GROUNDS = 4  # places of an obligation from which on no further ones are added
INDEXED = 4  # inputs of a node whose rules are looked up by them: others are rare


class Rule:
    """One rewrite. See the top of this file."""

    __slots__ = (
        "_given", "_make", "contextual", "licences", "match", "name", "operands", "pattern", "text", "where",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        pattern: str,
        replacement: str | Replacement,
        where: Condition | None = None,
        licence: Licence = None,
        operands: Operands | None = None,
    ):
        self.name, self.where, self.operands = name, where, operands
        self.licences = (licence,) if isinstance(licence, str) else licence or ()
        self.text = f"{pattern} -> {replacement if isinstance(replacement, str) else replacement.__name__}"
        self.pattern = parse(pattern)
        if not isinstance(self.pattern, Term):
            raise InternalError(f"rule {name}: the pattern {pattern!r} matches everything")
        self.replacement = parse(replacement) if isinstance(replacement, str) else replacement
        if isinstance(replacement, str) and not names(self.replacement) <= names(self.pattern):
            raise InternalError(f"rule {name}: the replacement has names that the pattern has not")
        self.contextual = callable(self.replacement) and len(inspect.signature(self.replacement).parameters) == 3
        self.match = matcher(self.pattern)

    @property
    def replacement(self) -> Any:
        """A function, or a parsed term."""
        return self._given

    @replacement.setter
    def replacement(self, given: Any) -> None:
        self._given = given
        self._make: Replacement = given if callable(given) else builder(given)

    def take(self, found: Bindings, node: Node, context: Any) -> Node | None:
        """What the rule makes of a node that matches in this way."""
        if self.where is not None and not self.where(found, node):
            return None
        new = self._make(found, node, context) if self.contextual else self._make(found, node)
        return None if new is node else new

    def fire(self, node: Node, context: Any = None) -> Node | None:
        """What the rule makes of the node, None where it does not apply."""
        return self.match(node, self.take, context)

    def may_fire(self, op: str, operands: Sequence[str]) -> bool:
        """Whether the rule may apply to a node, as far as the names of its and its inputs' operations tell."""
        if op not in self.pattern.ops or not may_match(self.pattern, operands):
            return False
        return self.operands is None or self.operands(operands)

    def __repr__(self) -> str:
        return f"<rule {self.name}: {self.text}>"


class Pass:
    """A named list of rules, and a function from regions to comparable values that no rule increases.

    What `context` makes of a region before the pass is handed to replacements with a third parameter.
    """

    __slots__ = ("by_inputs", "context", "measure", "name", "ops", "rules")

    def __init__(
        self,
        name: str,
        rules: Iterable[Rule],
        measure: Callable[[Region], Any],
        context: Callable[[Region], Any] | None = None,
    ):
        self.name, self.rules, self.measure, self.context = name, tuple(rules), measure, context
        self.ops = frozenset(op for r in self.rules for op in r.pattern.ops)  # of the nodes that some rule is for
        self.by_inputs: dict[tuple[str, ...], tuple[Rule, ...]] = {}
        if len({r.name for r in self.rules}) != len(self.rules):
            raise InternalError(f"pass {name} has two rules of one name")

    def rules_for(self, node: Node) -> tuple[Rule, ...]:
        """The rules that may match a node, as far as its operation and those of its inputs tell."""
        inputs = node.inputs
        if len(inputs) == 1:
            key: tuple[str, ...] = (node.op, inputs[0].op)
        elif len(inputs) == 2:
            key = (node.op, inputs[0].op, inputs[1].op)
        else:
            key = (node.op, *[i.op for i in inputs])
        found = self.by_inputs.get(key)
        if found is None:
            op, *ops = key
            found = tuple(r for r in self.rules if r.may_fire(op, ops))
            if len(ops) <= INDEXED:
                self.by_inputs[key] = found
        return found

    def leaves(self, nodes: Iterable[Node], settled: set[Node], context: Any = None) -> bool:
        """Whether no rule fires on any of the nodes, inputs first, and all arithmetic has its normal form. Adds to
        `settled`, on which nothing fires, those in front of the first on which something does."""
        ops, rules_for, is_arithmetic = self.ops, self.rules_for, lengths.is_arithmetic
        for n in nodes:
            if n in settled:
                continue
            if is_arithmetic(n):
                if lengths.normal_step(n) is not n:
                    return False
            elif n.op in ops:
                for rule in rules_for(n):
                    new = rule.match(n, rule.take, context)
                    if new is not None and fitted(new, n, rule) is not n:
                        return False
                settled.add(n)
        return True

    def __repr__(self) -> str:
        return f"<pass {self.name}: {len(self.rules)} rules>"


def together(name: str, *passes: Pass) -> Pass:
    """One walk with the rules of several passes. Its measure is that of the first: the others may increase it."""
    return Pass(name, [rule for p in passes for rule in p.rules], passes[0].measure)


class Stats:
    """What a rewrite did: nodes visited, and how often each rule fired."""

    def __init__(self) -> None:
        self.visits = 0
        self.fired: Counter[str] = Counter()


def apply(
    pass_: Pass,
    r: Region,
    origins: Origins | None = None,
    stats: Stats | None = None,
    settled: set[Node] | None = None,
) -> Region:
    """The region with the pass's rules applied until none fires, in nested regions too. Linear in its size.

    `settled`: nodes on which no rule of the pass fires, as an earlier run of it found; this one adds what it finds.
    """
    done: dict[Region, Region] = {}
    changed = False
    table = origins or Origins()
    for inner, order in nested_nodes(r):
        context = pass_.context(inner) if pass_.context is not None else None
        # A context is of one region: what a node is there says nothing of it elsewhere.
        known = set() if settled is None or context is not None else settled
        if not changed and pass_.leaves(order, known, context):
            done[inner] = inner
            if stats is not None:
                stats.visits += len(order)
            continue
        done[inner] = _Engine(inner, order, done, pass_, table, stats, context=context, settled=known).region()
        changed = changed or done[inner] is not inner
    return done[r]


def with_checks(r: Region, checks: Callable[[Region], Iterable[Check]], origins: Origins) -> Region:
    """The region with the obligations that `checks` gives for it, and for each region that its nodes hold; `checks` may
    add to the lines of the region that it is given."""
    done: dict[Region, Region] = {}
    for inner, order in nested_nodes(r):
        made = _Engine(inner, order, done, None, origins).region()
        done[inner] = region(made.params, made.outputs, checks(made))
        origins.enter(done[inner], origins.of(made).copy())
    return done[r]


def _mapped(value: Any, done: Mapping[Region, Region]) -> Any:
    """An attribute with its regions replaced; the same object where none is."""
    if isinstance(value, Region):
        return done.get(value, value)
    if isinstance(value, tuple):
        new = tuple(_mapped(v, done) for v in value)
        return value if all(a is b for a, b in zip(value, new, strict=True)) else new
    return value


NEARBY = 30  # nodes
_GIVEN = frozenset({"const", "dim", "param"})


class _Engine:
    """One pass over one region."""

    def __init__(
        self,
        r: Region,
        order: list[Node],
        done: Mapping[Region, Region],
        pass_: Pass | None,
        origins: Origins,
        stats: Stats | None = None,
        known: Mapping[Node, Node] | None = None,
        context: Any = None,
        settled: set[Node] | None = None,
    ):
        self.context, self.order = context, order
        self.source, self.done, self.pass_, self.origins = r, done, pass_, origins
        self.settled: set[Node] = set() if settled is None else settled
        self.lines: Lines = origins.of(r).copy()
        self.stats = stats if stats is not None else Stats()
        self.memo: dict[Node, Node] = {}  # node -> its final form
        self.forward: dict[Node, Node] = dict(known or {})  # node -> what stands for it but is not final yet
        self.strict = known is not None  # an ill-typed node is an error; else the old one stays
        self.changed = any(a is not b for a, b in done.items())
        self.fuel = 0

    def run(self) -> None:
        order = self.order
        # A rule set that goes round in circles must not hang; real ones fire a few times a node.
        self.fuel = 100 * len(order) + 1000
        memo, forward, settled = self.memo, self.forward, self.settled
        rules_for = self.pass_.rules_for if self.pass_ is not None else None
        for n in order:
            if n not in memo and n not in forward and not (self.changed and n.attrs):
                for i in n.inputs:
                    if memo[i] is not i:
                        break
                else:  # nothing below it changed: most nodes stay as they are, and are to be passed fast
                    if n in settled or (not (rules_for and rules_for(n)) and not lengths.is_arithmetic(n)):
                        memo[n] = n
                        self.stats.visits += 1
                        continue
            if n not in forward:
                new = self.visit(n) if n not in memo else n
                if new is n:
                    memo.setdefault(n, n)
                    continue
                if new in memo:
                    memo[n] = memo[new]
                    continue
                forward[n] = new
            self.final(n)

    def region(self) -> Region:
        self.run()
        r = self.source
        return self.made([c._replace(operands=tuple(self.memo[o] for o in c.operands)) for c in r.checks])

    def made(self, checks: list[Check]) -> Region:
        """The region of the final nodes, with their lines."""
        r = self.source
        new = region([self.memo[p] for p in r.params], [self.memo[o] for o in r.outputs], checks)
        if new is not r:
            self.origins.enter(new, self.lines)
        return new

    def final(self, root: Node) -> Node:
        memo, forward = self.memo, self.forward
        stack = [root]
        while stack:
            n = stack[-1]
            if n in memo:
                stack.pop()
                continue
            new = forward.get(n)
            if new is None:
                missing = [i for i in n.inputs if i not in memo]
                if missing:
                    stack += missing
                    continue
                new = self.visit(n)
                if new is n:
                    memo[n] = n
                    stack.pop()
                    continue
                forward[n] = new
            if new in memo:
                memo[n] = memo[new]
                stack.pop()
            else:
                self.burn(new)
                stack.append(new)
        return memo[root]

    def burn(self, what: Any) -> None:
        self.fuel -= 1
        if self.fuel < 0:
            raise InternalError(f"rewriting does not come to an end; the last step was {what!r}")

    def visit(self, n: Node) -> Node:
        """What stands for a node whose inputs are final: rebuilt from them, then what the first rule to fire gives."""
        self.stats.visits += 1
        m = self.rebuilt(n)
        if m is not n:
            self.inherit(m, n)
            if m in self.memo or not self.is_final(m.inputs):
                return m
        if self.pass_ is None or m in self.settled:
            return m
        context = self.context
        for rule in () if lengths.is_arithmetic(m) else self.pass_.rules_for(m):
            new = rule.match(m, rule.take, context)
            if new is not None:
                self.burn(rule)
                new = fitted(new, m, rule)
                if new is m:
                    continue
                self.stats.fired[rule.name] += 1
                self.inherit(new, m)
                return new
        self.settled.add(m)
        self.memo[m] = m
        return m

    def is_final(self, nodes: tuple[Node, ...]) -> bool:
        memo = self.memo
        return all([memo.get(i) is i for i in nodes])

    def rebuilt(self, n: Node) -> Node:
        memo = self.memo
        inputs = n.inputs
        for i in inputs:
            if memo[i] is not i:
                inputs = tuple([memo[i] for i in inputs])
                break
        m = n
        if inputs is not n.inputs or (self.changed and n.attrs and regions_in(tuple(v for _, v in n.attrs))):
            try:
                m = self.remade(n, inputs) if self.changed or n.op == "length" else make(n.op, inputs, n.attrs)
            except WeftError:
                # New lengths can contradict each other where the program always fails; its obligations say so at the
                # user's line, so the node stays as it was.
                if self.strict:
                    raise
                return n
        return lengths.normal_step(m) if lengths.is_arithmetic(m) else still_broadcastable(m, n)

    def remade(self, n: Node, inputs: tuple[Node, ...]) -> Node:
        """The node on other inputs, its regions rewritten; a `length` has the regions of the node that binds it."""
        of_attrs = n.attr("of_attrs") if n.op == "length" else n.attrs
        new = _mapped(of_attrs, self.done)
        if new is not of_attrs and not _as_safe(n.attr("of") if n.op == "length" else n.op, inputs, of_attrs, new):
            new = of_attrs
        if n.op == "length":
            new = tuple((k, new if k == "of_attrs" else v) for k, v in n.attrs)
        return remake(n, inputs, new)

    def on_final_inputs(self, n: Node) -> Node:
        return self.remade(n, tuple(map(self.final, n.inputs)))

    def inherit(self, new: Node, old: Node) -> None:
        """Gives the lines of `old` to `new` and to what was made with it."""
        memo, lines = self.memo, self.lines
        if new not in memo:
            self.inherit_index(new, old)
        lines.inherit(new, old)
        made = [i for i in new.inputs if i not in memo and i.op not in _GIVEN]
        if not made:
            return
        seen = {new, *made}
        for n in made:
            self.inherit_index(n, old)
            lines.inherit(n, old)
            for i in n.inputs:
                if i not in memo and i.op not in _GIVEN and i not in seen:
                    seen.add(i)
                    made.append(i)

    def inherit_index(self, new: Node, old: Node) -> None:
        """Gives a gather or scatter the lines of the nearest one below `old` that has one of its indices, before those
        of `old`: an error names what indexes out of range, not the logarithm of it that a rule replaced."""
        first = new.definition.indices_from
        if not first or old.definition.indices_from:
            return
        wanted, near = set(new.inputs[first:]), [old]
        for n in near:
            if n.definition.indices_from and not wanted.isdisjoint(n.inputs[n.definition.indices_from :]):
                self.lines.inherit(new, n)
                return
            near += [i for i in n.inputs if i not in near][: NEARBY - len(near)]


def _as_safe(op: str, inputs: tuple[Node, ...], old: Any, new: Any) -> bool:
    """Whether rewritten regions ask nothing of their surroundings that the old ones did not ask.

    What a step may assume because it checks it is not known to hold where no step runs.
    """
    try:
        asked = {(c.kind, c.operands) for c in make(op, inputs, new).checks}
    except WeftError:
        return False
    return not asked or asked <= {(c.kind, c.operands) for c in make(op, inputs, old).checks}


def fitted(new: Node, old: Node, rule: Any = None) -> Node:
    """The node with the old one's lengths where an axis has become 1; it must have its dtype, kind and rank."""
    a, b = new.type, old.type
    if a is b:
        return new
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        if a != b:
            raise InternalError(f"{rule!r} makes {a} of {b}")
        return new
    if a.dtype != b.dtype or a.kind != b.kind or a.ndim != b.ndim:
        raise InternalError(f"{rule!r} makes {new!r} of {old!r}")
    if a.axes == b.axes:
        return new
    axes = list(a.axes)
    for k, (have, want) in enumerate(zip(a.broadcastable, b.broadcastable, strict=True)):
        if want and not have:
            raise InternalError(f"{rule!r} makes {new!r}, which does not have the axes of length 1 of {old!r}")
        if have and not want:
            axes[k] = b.axes[k]
    return build("alloc", new, *axes) if tuple(axes) != a.axes else new


def still_broadcastable(new: Node, old: Node) -> Node:
    """A node that was made anew of other inputs, with the axes of length 1 that the old one has: a rule keeps those of
    its result, and may lose another length, of which what is made of it had a 1 (`alloc(x, 2)[1:]` is `x[1:]`)."""
    a, b = new.type, old.type
    if a is b or not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return new
    if a.kind != "dense" or a.axes == b.axes:
        return new
    lost = tuple(k for k, (have, want) in enumerate(zip(a.broadcastable, b.broadcastable, strict=True)) if want > have)
    return build("rebroadcast", new, axes=lost) if lost else new


# ---- obligations as assumptions -------------------------------------------------------------------------------------


def assume(r: Region, origins: Origins | None = None, stats: Stats | None = None) -> Region:
    """The region with lengths that its "eq" obligations make equal replaced by one of them; the obligations stay."""
    done: dict[Region, Region] = {}
    table = origins or Origins()
    for inner, order in nested_nodes(r):
        try:
            done[inner] = _assumed(inner, order, done, table, stats)
        except WeftError:
            # The obligations contradict each other: every run that gets there fails, and is to fail by them.
            done[inner] = inner
            if any(done[q] is not q for q in done):
                done[inner] = _Engine(inner, order, done, None, table, stats).region()
    return done[r]


_LEAVES = ("const", "dim")
_NORMAL = Pass("normal forms of lengths", (), lambda r: 0)


def _assumed(
    r: Region, order: list[Node], done: Mapping[Region, Region], origins: Origins, stats: Stats | None
) -> Region:
    pairs = [c.operands for c in r.checks if c.kind == "eq" and all(o.op in (*_LEAVES, "length") for o in c.operands)]
    known = _representatives(pairs) if pairs else {}
    if not known and all(a is b for a, b in done.items()) and _NORMAL.leaves(order, set()):
        if stats is not None:
            stats.visits += len(order)
        return r
    engine = _Engine(r, order, done, None, origins, stats, known)
    engine.run()
    memo = engine.memo
    checks = []
    for c in _with_grounds(r, order, known):
        if c.operands in pairs and c.kind == "eq":
            # What an assumption rests on keeps its meaning; what a `length` is taken of is rewritten.
            operands = [o if o.op in _LEAVES else engine.on_final_inputs(o) for o in c.operands]
        else:
            operands = [memo[o] for o in c.operands]
        checks.append(c._replace(operands=tuple(operands)))
    # What others now rest on is checked before them, if it can be: one that holds is not to fail for an assumption.
    checks.sort(key=lambda c: c.kind != "eq" or any(o.op not in _LEAVES for o in c.operands))
    return engine.made(checks)


def _with_grounds(r: Region, order: list[Node], known: Mapping[Node, Node]) -> Iterable[Check]:
    """The obligations; those about to be made of other lengths than they had, because an obligation on a length that
    only running tells is assumed to hold, stand at its places as well: it may be the one that does not hold, and is
    checked later."""
    late = list(dict.fromkeys(stands for n, stands in known.items() if n.op == "length"))
    if not late:
        return r.checks
    bit = {stands: 1 << k for k, stands in enumerate(late)}
    rests: dict[Node, int] = {}  # of a node, the bits of what stands for late lengths below it
    for n in order:
        below = bit[known[n]] if n in known and n.op == "length" else 0
        for i in n.inputs:
            below |= rests[i]
        rests[n] = below
    grounds: dict[Node, list[Place]] = {}
    for c in r.checks:
        for stands in {known.get(o, o) for o in c.operands} if c.kind == "eq" else ():
            grounds.setdefault(stands, []).extend(c.at)
    out = []
    for c in r.checks:
        below = 0
        for o in c.operands:
            below |= rests[o]
        for o in c.operands:
            below &= ~bit.get(known.get(o, o), 0)
        at = list(c.at)
        while below and len(at) < GROUNDS:
            k = below.bit_length() - 1
            at += grounds[late[k]]
            below ^= 1 << k
        out.append(c._replace(at=tuple(dict.fromkeys(at))) if len(at) > len(c.at) else c)
    return out


def _representatives(pairs: list[tuple[Node, ...]]) -> dict[Node, Node]:
    """Length -> the length that stands for it: a constant, else the first of the params, else the first computed."""
    parent: dict[Node, Node] = {}
    # A `length` may be computed from another one, never from a later one in this order.
    at = {n: k for k, n in enumerate(topological([o for pair in pairs for o in pair])) if n.op == "length"}

    def find(n: Node) -> Node:
        path = []
        while parent.get(n, n) is not n:
            path.append(n)
            n = parent[n]
        for m in path:
            parent[m] = n
        return n

    def rank(n: Node) -> tuple:
        if n.op == "const":
            return (0,)
        return (1, lengths.order(n)) if n.op == "dim" else (2, at[n])

    for pair in pairs:
        a, b = sorted(map(find, pair), key=rank)
        if a is b or (a.op == b.op == "const"):
            continue
        parent[a], parent[b] = a, a
    return {n: find(n) for n in parent if find(n) is not n}


# ---- measures -------------------------------------------------------------------------------------------------------


def weigh(weight: Callable[[Node], int]) -> Callable[[Region], int]:
    """A measure: the sum of a weight over the nodes, those of nested regions included."""

    def measure(r: Region) -> int:
        return sum(weight(n) for _, nodes in nested_nodes(r) for n in nodes)

    measure.__name__ = getattr(weight, "__name__", "weight")
    return measure


__all__ = ["Pass", "Rule", "Stats", "apply", "assume", "fitted", "together", "weigh", "with_checks"]
