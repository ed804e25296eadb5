"""The small language that rewrite rules are written in, parsed once, and matching.

    term    ::= number | name | "#" name | op "(" term, ... [, "*" name] [; attr, ...] ")"
    attr    ::= name "=" (name | literal)
    literal ::= number | "string" | (literal, ...) | True | False

In a pattern a name matches any node, and the same node wherever it stands again; a number matches a tensor that holds
it in every place, `#name` one that holds some number in every place; `*name` matches the inputs that are left;
`name=name` binds an attribute, attributes not named are free. An op may be a family (elementwise, reduce, ...), which
matches any of its operations. Arguments of commutative operations match in either order. In a replacement names stand
for what they matched, and a number becomes a constant with the dtype and rank of its sibling (at the top: of the node
replaced).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from ...runtime.errors import InternalError
from .dtypes import numpy_dtype
from .interp.values import cast
from .node import OPS, Constant, Node, build, make

Bindings = dict[str, Any]


class Var(NamedTuple):
    name: str
    number: bool = False  # whether it is to hold one number


class Rest(NamedTuple):
    name: str


class Number(NamedTuple):
    value: Any


class Term(NamedTuple):
    op: str
    ops: frozenset[str]  # the operations it matches: one, or a family
    args: tuple[Any, ...]
    attrs: tuple[tuple[str, Any], ...]  # values are Var or Number


_TOKEN = re.compile(
    r"\s*(?:(?P<name>[a-z_][a-z0-9_]*)|(?P<number>-?\d+(?:\.\d+)?(?:e-?\d+)?)|(?P<text>\"[^\"]*\"|True|False)|(?P<mark>[(),;=*#]))"
)


class _Parser:
    def __init__(self, text: str):
        self.text, self.tokens, at = text, [], 0
        while at < len(text.rstrip()):
            m = _TOKEN.match(text, at)
            if m is None:
                raise InternalError(f"rule {text!r}: unexpected {text[at:]!r}")
            self.tokens.append((m.lastgroup, m.group(m.lastgroup or 0)))
            at = m.end()
        self.at = 0

    def peek(self) -> str | None:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else None

    def take(self, mark: str | None = None) -> tuple[str, str]:
        kind: Any
        text: Any
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "the end")
        if mark is not None and text != mark:
            raise InternalError(f"rule {self.text!r}: {mark!r} expected, found {text!r}")
        self.at += 1
        return kind, text

    def whole(self) -> Any:
        out = self.term()
        if self.at != len(self.tokens):
            raise InternalError(f"rule {self.text!r}: {self.peek()!r} is left over")
        return out

    def term(self) -> Any:
        kind, text = self.take()
        if kind == "number":
            return Number(ast.literal_eval(text))
        if text == "*":
            return Rest(self.take()[1])
        if text == "#":
            return Var(self.take()[1], True)
        if kind != "name":
            raise InternalError(f"rule {self.text!r}: unexpected {text!r}")
        if self.peek() != "(":
            return Var(text)
        self.take("(")
        args: list[Any] = []
        attrs: list[tuple[str, Any]] = []
        while self.peek() not in (")", ";"):
            args.append(self.term())
            if self.peek() == ",":
                self.take(",")
        if self.peek() == ";":
            self.take(";")
            while self.peek() != ")":
                name = self.take()[1]
                self.take("=")
                attrs.append((name, self.value()))
                if self.peek() == ",":
                    self.take(",")
        self.take(")")
        ops = frozenset({text}) if text in OPS else frozenset(n for n, d in OPS.items() if d.family == text)
        if not ops:
            raise InternalError(f"rule {self.text!r}: {text} is neither an operation nor a family of them")
        if any(isinstance(a, Rest) for a in args[:-1]):
            raise InternalError(f"rule {self.text!r}: *name comes last")
        return Term(text, ops, tuple(args), tuple(sorted(attrs)))

    def value(self) -> Any:
        if self.peek() == "(":
            self.take("(")
            parts = []
            while self.peek() != ")":
                parts.append(self.value().value)
                if self.peek() == ",":
                    self.take(",")
            self.take(")")
            return Number(tuple(parts))
        kind, text = self.take()
        return Var(text) if kind == "name" else Number(ast.literal_eval(text))


def parse(text: str) -> Any:
    return _Parser(text).whole()


# ---- constants that hold one number ---------------------------------------------------------------------------------

_NOT = object()  # the `uniform` of a node that holds no one number
_SEEN_THROUGH = frozenset({"dimshuffle", "alloc", "rebroadcast", "cast"})
_KINDS = frozenset({"const"}) | _SEEN_THROUGH


def uniform(node: Node) -> Any:
    """The number (a Python one) that a constant tensor holds in every place, else None."""
    if node.op not in _KINDS:
        return None
    path: list[Node] = []
    n = node
    while n.uniform is None:
        if n.op not in _SEEN_THROUGH:
            n.uniform = _held(n)
            break
        path.append(n)
        n = n.inputs[0]
    v = n.uniform
    for m in reversed(path):
        if v is not _NOT and m.op == "cast":
            v = cast(np.asarray(v, numpy_dtype(m.inputs[0].dtype)), m.dtype)[()].item()
        m.uniform = v
    return None if v is _NOT else v


def _held(node: Node) -> Any:
    if node.op != "const":
        return _NOT
    a = node.attr("value").array
    if not a.size:
        return _NOT
    first = a.reshape(-1)[:1]
    if a.size > 1 and a.tobytes() != first.tobytes() * a.size:
        return _NOT
    return first[0].item()


def number(value: Any, dtype: str, ndim: int) -> Node:
    """A constant of one element and a given rank."""
    if isinstance(value, (bool, np.ndarray, np.generic)):
        return _full(cast(np.asarray(value), dtype), dtype, ndim)
    return _number(value, str(value), dtype, ndim)


@lru_cache(256)
def _number(value: Any, text: str, dtype: str, ndim: int) -> Node:
    """Rules write few numbers very often; the text tells -0.0 from 0.0."""
    return _full(value, dtype, ndim)


def _full(value: Any, dtype: str, ndim: int) -> Node:
    return make("const", (), (("value", Constant(np.full((1,) * ndim, value, numpy_dtype(dtype)), dtype)),))


# ---- matching and building ------------------------------------------------------------------------------------------


Take = Callable[[Bindings, Node, Any], Node | None]
Matcher = Callable[[Node, Take, Any], Node | None]


def matcher(pattern: Any) -> Matcher:
    """A function that hands each way in which a node matches to `take`, with the node and a context, until that makes
    something of one. Printed as Python once: most of the time that rewriting takes goes into matching.

        mul(exp(x), 2)      def match(n, take, context):
                                if n.op in ops0 and len(n.inputs) == 2:
                                    for i0, i1 in orders(n):
                                        if i0.op in ops1 and len(i0.inputs) == 1:
                                            if i1.op in kinds and uniform(i1) == 2:
                                                if (new := take({"x": i0.inputs[0]}, n, context)) is not None:
                                                    return new
    """
    return _MatcherPrinter(pattern).compiled()


class _MatcherPrinter:
    def __init__(self, pattern: Any):
        self.pattern = pattern
        self.lines = ["def match(n, take, context):"]
        self.values: dict[str, Any] = {
            "uniform": uniform, "kinds": _KINDS, "orders": _orders, "attribute": _attribute,
            "ABSENT": _ABSENT,
        }  # fmt: skip
        self.names = 0

    def compiled(self) -> Matcher:
        self.emit([(self.pattern, "n")], {}, 1)
        exec("\n".join(self.lines), self.values)
        return self.values["match"]

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def value(self, v: Any) -> str:
        name = f"value{len(self.values)}"
        self.values[name] = v
        return name

    def fresh(self) -> str:
        self.names += 1
        return f"v{self.names}"

    def emit(self, work: list[tuple[Any, str]], bound: dict[str, str], depth: int) -> None:
        """The lines that match each pattern in `work` against a variable, in order, then hand on what is bound."""
        if not work:
            found = ", ".join(f"{name!r}: {v}" for name, v in bound.items())
            self.line(depth, f"if (new := take({{{found}}}, n, context)) is not None:")
            self.line(depth + 1, "return new")
            return
        (pattern, v), *rest = work
        if isinstance(pattern, (Var, Rest)):
            if isinstance(pattern, Var) and pattern.number:
                self.line(depth, f"if {v}.op in kinds and uniform({v}) is not None:")
                depth += 1
            depth, bound = self.bind(pattern.name, v, "is" if isinstance(pattern, Var) else "==", bound, depth)
            self.emit(rest, bound, depth)
        elif isinstance(pattern, Number):
            self.line(depth, f"if {v}.op in kinds and uniform({v}) == {self.value(pattern.value)}:")
            self.emit(rest, bound, depth + 1)
        else:
            self.term(pattern, v, rest, bound, depth)

    def bind(self, name: str, v: str, same: str, bound: dict[str, str], depth: int) -> tuple[int, dict[str, str]]:
        if name not in bound:
            return depth, {**bound, name: v}
        self.line(depth, f"if {bound[name]} {same} {v}:")
        return depth + 1, bound

    def term(self, t: Term, v: str, rest: list, bound: dict[str, str], depth: int) -> None:
        same = f"== {t.op!r}" if len(t.ops) == 1 else f"in {self.value(t.ops)}"
        self.line(depth, f"if {v}.op {same}:")
        depth += 1
        for name, want in t.attrs:
            have = self.fresh()
            self.line(depth, f"{have} = attribute({v}, {name!r})")
            same = f" and {have} == {self.value(want.value)}" if isinstance(want, Number) else ""
            self.line(depth, f"if {have} is not ABSENT{same}:")
            depth += 1
            if not isinstance(want, Number):
                depth, bound = self.bind(want.name, have, "==", bound, depth)
        fixed = [a for a in t.args if not isinstance(a, Rest)]
        open_end = len(fixed) < len(t.args)
        self.line(depth, f"if len({v}.inputs) {'>=' if open_end else '=='} {len(fixed)}:")
        depth += 1
        found = [self.fresh() for _ in fixed]
        work = list(zip(fixed, found, strict=True))
        if open_end:
            more = self.fresh()
            self.line(depth, f"{more} = {v}.inputs[{len(fixed)}:]")
            work.append((t.args[-1], more))
        if len(t.args) == 2 and any(OPS[op].commutative for op in t.ops):
            orders = f"({v}.inputs, {v}.inputs[::-1])" if len(t.ops) == 1 else f"orders({v})"
            self.line(depth, f"for {', '.join(found)} in {orders}:")
            depth += 1
        elif found:
            self.line(depth, f"{', '.join(found)}, = {v}.inputs[:{len(fixed)}]")
        self.emit([*work, *rest], bound, depth)


_ABSENT = object()


def _orders(node: Node) -> tuple[tuple[Node, ...], ...]:
    """The inputs of a node of two, in the orders in which they may stand."""
    return (node.inputs, node.inputs[::-1]) if node.definition.commutative else (node.inputs,)


def _attribute(node: Node, name: str) -> Any:
    for k, v in node.attrs:
        if k == name:
            return v
    return _ABSENT


def may_match(pattern: Term, ops: Sequence[str]) -> bool:
    """Whether a node whose inputs are of these operations may match: a look at the pattern's first level."""
    args = pattern.args
    if args and isinstance(args[-1], Rest):
        args = args[:-1]
        ops = ops[: len(args)]
    if len(args) != len(ops):
        return False
    turned = len(args) == 2 and any(OPS[op].commutative for op in pattern.ops)
    return any(all(map(_may_be, args, order)) for order in ((ops, ops[::-1]) if turned else (ops,)))


def _may_be(pattern: Any, op: str) -> bool:
    if isinstance(pattern, Var):
        return not pattern.number or op in _KINDS
    return op in (_KINDS if isinstance(pattern, Number) else pattern.ops)


def instantiate(term: Any, found: Mapping[str, Any], like: Node) -> Node:
    """The node a replacement stands for; numbers take their dtype and rank from `like`."""
    if isinstance(term, Var):
        return found[term.name]
    if isinstance(term, Number):
        return number(term.value, like.dtype, like.ndim)
    args: list[Node | None] = []
    for a in term.args:
        if isinstance(a, Rest):
            args += found[a.name]
        else:
            args.append(None if isinstance(a, Number) else instantiate(a, found, like))
    siblings = [a for a in (args[1:] if term.op == "switch" else args) if a is not None]
    sibling = siblings[0] if siblings else like
    dtypes = ["bool" if term.op == "switch" and k == 0 else sibling.dtype for k in range(len(args))]
    full = [
        number(term.args[k].value, dtypes[k], sibling.ndim) if a is None else a for k, a in enumerate(args)
    ]
    attrs = {name: found[v.name] if isinstance(v, Var) else v.value for name, v in term.attrs}
    return build(term.op, *full, **attrs)


def builder(term: Any) -> Callable[[Mapping[str, Any], Node], Node]:
    """`instantiate` of one term; where it is operations on names alone, printed as Python once."""

    def text(t: Any) -> str:
        if isinstance(t, Var):
            return f"found[{t.name!r}]"
        if not isinstance(t, Term) or t.attrs:
            raise TypeError
        return f"make({t.op!r}, ({', '.join(map(text, t.args))},))"

    try:
        printed: Any = eval(f"lambda found, like: {text(term)}", {"make": make})
    except TypeError:
        return partial(instantiate, term)
    return printed


def names(term: Any) -> set[str]:
    """The names in a term."""
    if isinstance(term, (Var, Rest)):
        return {term.name}
    if isinstance(term, Number):
        return set()
    return set().union(*map(names, term.args), *(names(v) for _, v in term.attrs)) if term.args or term.attrs else set()


__all__ = [
    "Bindings", "Take", "Term", "builder", "instantiate", "matcher", "may_match", "names", "number", "parse", "uniform",
]  # fmt: skip
