"""Variables -> one closed Region of Nodes. Each Variable is visited once; its line goes to the region's table, each
obligation of its node into the region's checks."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from ...runtime.errors import MissingInputError, WeftError
from ..ir.digest import digest
from ..ir.node import Check, Node, Region, build, region
from ..ir.origins import Lines, Origins
from .trace import Trace
from .types import param
from .variable import Constant, Op, Primitive, Variable, ancestors, explain, where


class Lowered(NamedTuple):
    region: Region
    origins: Origins


class Declared:
    """The Variables of a function. They are lowered when something asks for what they become: a program that the cache
    knows runs without, unless it fails.

    `order` is what the outputs depend on, inputs first, if the caller knows.
    """

    def __init__(
        self,
        params: Sequence[Variable],
        outputs: Sequence[Variable],
        replace: dict[Variable, Variable],
        order: Sequence[Variable] | None = None,
    ):
        self.params, self.outputs, self.replace = params, outputs, replace
        self.order = ancestors(outputs, params, replace) if order is None else order
        self.digest = self._digest()

    @cached_property
    def lowered(self) -> Lowered:
        return lower(self.params, self.outputs, self.replace, order=self.order)

    def _digest(self) -> bytes | None:
        """A name of what the Variables are lowered to; None where only their region tells: where it calls Python, or a
        leaf is no parameter, which lowering refuses."""
        replace = self.replace
        at = {p: k for k, p in enumerate(self.params)}
        kinds: dict[bytes, int] = {}  # operations and constants by their digests
        met: dict[int, int] = {}  # operations of the order, by identity: which of the kinds each is
        text = [len(at)]
        for v in self.order:
            if v in at:
                continue
            owner = v.owner
            which = met.get(id(owner.op)) if owner is not None else None
            if which is None:
                kind = owner.op.identity() if owner is not None else _digest_of_leaf(v)
                if kind is None:
                    return None
                which = kinds.setdefault(kind, len(kinds))
                if owner is not None:
                    met[id(owner.op)] = which
            if owner is None:
                text += (which, v.index, 0)
            else:
                inputs = owner.inputs
                text += (which, v.index, len(inputs))
                text += [at[replace.get(i, i)] for i in inputs] if replace else [at[i] for i in inputs]
            at[v] = len(at)
        text += [at[replace.get(o, o)] for o in self.outputs]
        types = [(p.type.kind, p.type.dtype, p.type.shape) for p in self.params]
        h = hashlib.blake2b(repr(types).encode(), digest_size=16)
        for part in (array("q", text).tobytes(), *kinds):
            h.update(len(part).to_bytes(8, "little") + part)
        return h.digest()


def _digest_of_leaf(v: Variable) -> bytes | None:
    return digest(v.node) if isinstance(v, Constant) and v.node.op == "const" else None


def lower(
    params: Sequence[Variable],
    outputs: Sequence[Variable],
    replace: dict[Variable, Variable] | None = None,
    what: str = "function",
    order: Sequence[Variable] | None = None,
    declared: bool = False,
) -> Lowered:
    """The region computing `outputs` from `params` (Variables taken as given, leaves or not).

    `replace` maps Variables to others that stand for them (givens). Raises MissingInputError for any other leaf.
    `order` is what the outputs depend on, inputs first, if the caller knows. With `declared` the nodes are as
    broadcastable as their Variables.
    """
    replace = replace or {}
    nodes: dict[Variable, Node] = {}
    origins, lines = Origins(), Lines()
    checks: dict[Check, None] = {}
    said: dict[tuple, _Said] = {}  # of an obligation: the first Variable that it came from
    failing: dict[Node, _Located] = {}  # of an operation that may find its values unfit: the same
    for k, p in enumerate(params):
        nodes[p] = param(p.type, k)
        lines.add(nodes[p], (p.trace,))

    def visit(v: Variable) -> None:
        if v in nodes:
            return
        if v.owner is None:
            if not isinstance(v, Constant):
                raise MissingInputError(_missing(v, outputs, what))
            nodes[v] = v.node
            return
        owner = v.owner
        inputs = [nodes[replace.get(i, i)] for i in owner.inputs] if replace else [nodes[i] for i in owner.inputs]
        made = _lower_op(owner, inputs)
        if declared:
            made = [_as_declared(n, o) for o, n in zip(owner.outputs, made, strict=True)]
        if owner.op.lowered is not None:
            origins.include(owner.op.lowered.origins)
        for o, n in zip(owner.outputs, made, strict=True):
            if o in nodes:
                continue
            nodes[o] = n
            lines.add(n, (owner.trace,))
        for n in made:
            _collect(n, v, checks, said, failing, lines)

    for v in ancestors(outputs, params, replace) if order is None else order:
        visit(v)
    outs = [nodes[replace.get(o, o)] for o in outputs]
    whole = region([nodes[p] for p in params], outs, checks)
    return Lowered(origins.declare(whole, lines, said, failing), origins)


class _Located(NamedTuple):
    """What a message says of an operation that failed."""

    variable: Variable

    def __str__(self) -> str:
        return located(self.variable)


class _Said(NamedTuple):
    """What a message says of an obligation; the text is made when one fails."""

    variable: Variable
    check: Check

    def __str__(self) -> str:
        return located(self.variable) + _advice(self.check, self.variable)


def _collect(
    n: Node, v: Variable, checks: dict[Check, None], said: dict[tuple, _Said], failing: dict[Node, _Located],
    lines: Lines,
) -> None:  # fmt: skip
    """The checks of the nodes that one Variable stands for (ops may lower to a few), and those that may fail."""
    stack = [n]
    while stack:
        m = stack.pop()
        if m.definition.may_fail:
            failing.setdefault(m, _Located(v))
        for c in m.checks:
            if c not in checks:
                checks[c] = None
                said.setdefault((c.kind, c.operands), _Said(v, c))
        for i in m.inputs:
            if i not in lines and i.op not in ("param", "const", "dim"):
                lines.add(i, (v.trace,))
                stack.append(i)


def located(v: Variable) -> str:
    """The lines that a message about a Variable's operation ends with."""
    owner = v.owner
    if owner is None:
        return ""
    return where(owner.op.title, owner.inputs, owner.trace)


_STRETCH = (
    "a length of 1 stretches only where the axis is declared broadcastable: by row, col, broadcastable=, keepdims=, or "
    "weft.tensor.addbroadcast"
)
# What to know where an obligation of an operation, or of elementwise ones, is broken.
_ADVICE = {
    ("elementwise", "eq"): _STRETCH,
    ("reshape", "eq"): "reshape keeps the number of elements; -1 stands for one length, which has to come out whole",
    ("dot", "eq"): "the last axis of the first and the first axis of the second have one length; x.T is x transposed",
    ("concatenate", "eq"): "tensors that are joined have equal lengths along every other axis",
    ("slice", "bounds"): "an axis of length n has the indices -n to n - 1",
    ("set_slice", "bounds"): "an axis of length n has the indices -n to n - 1",
    ("set_slice", "eq"): _STRETCH,
    ("iota", "size"): "a range needs a step other than 0, and an end",
    ("scan", "le"): "a loop has at most as many steps as its sequences have elements",
    ("scan", "eq"): "a state has one shape in all steps",
}


def _advice(c: Check, v: Variable) -> str:
    op = v.owner.op if v.owner is not None else None
    kind = str(op)
    if isinstance(op, Primitive):
        kind = "elementwise" if op.definition.family == "elementwise" else op.name
    found = _ADVICE.get((kind, c.kind))
    return f"\n  ({found})" if found else ""


def _lower_op(owner, inputs: list[Node]) -> list[Node]:
    try:
        if type(owner.op).lower is not Op.lower:
            return owner.op.lower(inputs)
        from .host import lower_host

        return lower_host(owner, inputs)
    except WeftError as e:
        raise explain(e, owner.op.title, owner.inputs, owner.trace) from None


def _as_declared(n: Node, v: Variable) -> Node:
    """The node of a Variable, as broadcastable as that is. The Variable was typed by what its params are made of, which
    may tell that a length is 1 where the params do not: of `concatenate([a[None], b])[:1]`, say."""
    axes = tuple(a for a, one in enumerate(v.ir_type.broadcastable) if one and not n.type.broadcastable[a])
    return build("rebroadcast", n, axes=axes) if axes and n.type.kind == "dense" else n


def _missing(leaf: Variable, outputs: Sequence[Variable], what: str) -> str:
    users = [v for v in ancestors(outputs) if v.owner is not None and leaf in v.owner.inputs]
    used = f"; it is used at {users[0].trace}" if users else ""
    return (
        f"{leaf.describe()} : {leaf.type} is needed to compute the outputs of this {what}, but it is not among "
        f"its inputs and is not a shared variable{used}. Declared at {leaf.trace}. Add it to the inputs or to givens."
    )


def trace_of(v: Variable) -> Trace:
    return v.owner.trace if v.owner is not None else v.trace
