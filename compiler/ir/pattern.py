"""The small language that rewrite rules are written in, parsed once, and matching.

    term    ::= number | name | op "(" term, ... [, "*" name] [; attr, ...] ")"
    attr    ::= name "=" (name | literal)
    literal ::= number | "string" | (literal, ...) | True | False

In a pattern a name matches any node, and the same node wherever it stands again; a number matches a tensor that holds
it in every place; `*name` matches the inputs that are left; `name=name` binds an attribute, attributes not named are
free. An op may be a family (elementwise, reduce, ...), which matches any of its operations. Arguments of commutative
operations match in either order. In a replacement names stand for what they matched, and a number becomes a constant
with the dtype and rank of its sibling (at the top: of the node replaced).
"""

from __future__ import annotations

import ast
import re
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...runtime.errors import InternalError
from .dtypes import numpy_dtype
from .interp.values import cast
from .node import OPS, Constant, Node, build, make

Bindings = dict[str, Any]


class Var(NamedTuple):
    name: str


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
    r"\s*(?:(?P<name>[a-z_][a-z0-9_]*)|(?P<number>-?\d+(?:\.\d+)?(?:e-?\d+)?)|(?P<text>\"[^\"]*\"|True|False)|(?P<mark>[(),;=*]))"
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

_uniform: weakref.WeakKeyDictionary[Node, Any] = weakref.WeakKeyDictionary()
_SEEN_THROUGH = frozenset({"dimshuffle", "alloc", "rebroadcast", "cast"})
_KINDS = frozenset({"const"}) | _SEEN_THROUGH


def uniform(node: Node) -> Any:
    """The number (a Python one) that a constant tensor holds in every place, else None."""
    if node.op not in _KINDS:
        return None
    path: list[Node] = []
    n = node
    while n not in _uniform:
        if n.op not in _SEEN_THROUGH:
            _uniform[n] = _held(n)
            break
        path.append(n)
        n = n.inputs[0]
    v = _uniform[n]
    for m in reversed(path):
        if v is not None and m.op == "cast":
            v = cast(np.asarray(v, numpy_dtype(m.inputs[0].dtype)), m.dtype)[()].item()
        _uniform[m] = v
    return v


def _held(node: Node) -> Any:
    if node.op != "const":
        return None
    a = node.attr("value").array
    if not a.size:
        return None
    first = a.reshape(-1)[:1]
    if a.size > 1 and a.tobytes() != first.tobytes() * a.size:
        return None
    return first[0].item()


def number(value: Any, dtype: str, ndim: int) -> Node:
    """A constant of one element and a given rank."""
    array = cast(np.asarray(value), dtype) if isinstance(value, (bool, np.ndarray, np.generic)) else value
    return make("const", (), (("value", Constant(np.full((1,) * ndim, array, numpy_dtype(dtype)), dtype)),))


# ---- matching and building ------------------------------------------------------------------------------------------


def match(pattern: Any, node: Node, found: Bindings) -> Iterator[Bindings]:
    """Every way in which the node matches; recursion goes as deep as the pattern."""
    if isinstance(pattern, Var):
        have = found.get(pattern.name)
        if have is None:
            yield {**found, pattern.name: node}
        elif have is node:
            yield found
        return
    if isinstance(pattern, Number):
        value = uniform(node)
        if value is not None and value == pattern.value:
            yield found
        return
    if node.op not in pattern.ops:
        return
    if pattern.attrs:
        have = _match_attrs(pattern, node, found)
        if have is None:
            return
        found = have
    yield from _match_args(pattern.args, node.inputs, found)
    if len(pattern.args) == 2 and node.definition.commutative and node.inputs[0] is not node.inputs[1]:
        yield from _match_args(pattern.args, node.inputs[::-1], found)


def _match_attrs(pattern: Term, node: Node, found: Bindings) -> Bindings | None:
    have = dict(node.attrs)
    for name, want in pattern.attrs:
        if name not in have:
            return None
        if isinstance(want, Number):
            if have[name] != want.value:
                return None
        elif want.name in found:
            if found[want.name] != have[name]:
                return None
        else:
            found = {**found, want.name: have[name]}
    return found


def _match_args(args: tuple[Any, ...], inputs: tuple[Node, ...], found: Bindings) -> Iterator[Bindings]:
    if not args:
        if not inputs:
            yield found
        return
    if isinstance(args[0], Rest):
        have = found.get(args[0].name)
        if have is None:
            yield {**found, args[0].name: inputs}
        elif have == inputs:
            yield found
        return
    if not inputs:
        return
    for b in match(args[0], inputs[0], found):
        yield from _match_args(args[1:], inputs[1:], b)


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


def names(term: Any) -> set[str]:
    """The names in a term."""
    if isinstance(term, (Var, Rest)):
        return {term.name}
    if isinstance(term, Number):
        return set()
    return set().union(*map(names, term.args), *(names(v) for _, v in term.attrs)) if term.args or term.attrs else set()


__all__ = ["Bindings", "Term", "instantiate", "match", "names", "number", "parse", "uniform"]
