"""The printed form of a region, which rebuilds it: `parse(dump(r)) is r` while r is alive.

    text    ::= region ... region            regions that others hold come before them; the last one is the text's
    region  ::= "region @k (param, ...) {" node ... check ... "  return value, ..." "}"
    node    ::= "  %k = op(value, ...; name=attr, ...) : type"
    check   ::= "  check kind(value, ...) what"
    value   ::= %k                            numbered in each region from 0, inputs first
    attr    ::= none | true | false | integer | float | "string" | (attr, ...) | @k | host "name" | constant
    constant::= dtype(number) | dtype[length, ...](number, ...) | dtype[length, ...]"base64 of little-endian bytes"

Numbers print so that they read back to the same bits. Numbering follows from the region alone, so equal regions print
equal text. Types are there to be read; `parse` derives them anew and refuses text that says otherwise.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, InternalError
from .dtypes import DTYPES, numpy_dtype
from .lengths import show
from .node import OPS, Check, Constant, Node, Place, Region, make, region
from .ops.procedural import HostFunction
from .types import TupleType, Type

SMALL = 8  # constants of at most this many elements print element by element


# ---- printing -------------------------------------------------------------------------------------------------------


def dump(r: Region) -> str:
    """The text of a region, linear in its size."""
    order = nested(r)
    return "\n".join(_Printer({q: k for k, q in enumerate(order)}, _names(order)).region(q) for q in order) + "\n"


def show_node(node: Node) -> str:
    """One node for people: its text with the inputs numbered 0, 1, ..."""
    numbers = {n: k for k, n in enumerate(dict.fromkeys(node.inputs))}
    regions = {q: k for k, q in enumerate(q for v in dict(node.attrs).values() for q in _held(v))}
    hosts = {h: h.name for v in dict(node.attrs).values() for h in _hosts_of(v)}
    try:
        return _Printer(regions, hosts).call(node, numbers)
    except InternalError:  # an ill-formed node has to print too
        return repr(node)


def hosts(r: Region) -> dict[str, HostFunction]:
    """The Python functions of a region by the names that its text gives them; what `parse` wants back."""
    return {name: h for h, name in _names(nested(r)).items()}


def nested(r: Region) -> list[Region]:
    """The region and all that it holds, inner ones first, each once."""
    seen = {r}
    order: list[Region] = []
    stack = [(r, _inner(r), 0)]
    while stack:
        q, inner, k = stack.pop()
        if k == len(inner):
            order.append(q)
            continue
        stack.append((q, inner, k + 1))
        if inner[k] not in seen:
            seen.add(inner[k])
            stack.append((inner[k], _inner(inner[k]), 0))
    return order


def _inner(r: Region) -> list[Region]:
    return list(dict.fromkeys(q for n in r.nodes() for _, v in n.attrs for q in _held(v)))


def _held(value: Any) -> Iterable[Region]:
    if isinstance(value, Region):
        yield value
    elif isinstance(value, tuple):
        for v in value:
            yield from _held(v)


def _hosts_of(value: Any) -> Iterable[HostFunction]:
    if isinstance(value, HostFunction):
        yield value
    elif isinstance(value, tuple):
        for v in value:
            yield from _hosts_of(v)


def _names(order: list[Region]) -> dict[HostFunction, str]:
    """A name for each Python function; the second of one name is "name#2"."""
    out: dict[HostFunction, str] = {}
    taken: set[str] = set()
    for q in order:
        for n in q.nodes():
            for _, v in n.attrs:
                for h in _hosts_of(v):
                    if h in out:
                        continue
                    name, k = h.name, 1
                    while name in taken:
                        k += 1
                        name = f"{h.name}#{k}"
                    taken.add(name)
                    out[h] = name
    return out


def _places(c: Check) -> str:
    return "".join(f" @{p.region}:{p.number}" for p in c.at)


class _Printer:
    def __init__(self, regions: dict[Region, int], names: dict[HostFunction, str]):
        self.regions, self.names = regions, names
        self.lengths: dict[Node, str] = {}  # each length is shown once

    def region(self, r: Region) -> str:
        nodes = r.nodes()
        numbers = {n: k for k, n in enumerate(nodes)}
        lines = [f"region @{self.regions[r]} ({_list(r.params, numbers)}) {{"]
        lines += [f"  %{k} = {self.call(n, numbers)}" for k, n in enumerate(nodes)]
        lines += [f"  check {c.kind}({_list(c.operands, numbers)}) {json.dumps(c.what)}{_places(c)}" for c in r.checks]
        lines += [f"  return {_list(r.outputs, numbers)}".rstrip(), "}"]
        return "\n".join(lines)

    def call(self, n: Node, numbers: dict[Node, int]) -> str:
        inputs = _list(n.inputs, numbers)
        attrs = ", ".join(f"{k}={self.attr(v)}" for k, v in n.attrs)
        return f"{n.op}({inputs}{'; ' * bool(inputs and attrs)}{attrs}) : {self.type(n.type)}"

    def type(self, t: Type) -> str:
        if isinstance(t, TupleType):
            return f"({', '.join(map(self.type, t.items))})"
        for a in t.axes:
            if a not in self.lengths:
                self.lengths[a] = show(a)
        kind = "" if t.kind == "dense" else t.kind + ":"
        return f"{kind}{t.dtype}[{', '.join(self.lengths[a] for a in t.axes)}]"

    def attr(self, v: Any) -> str:
        if v is None:
            return "none"
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, int):
            return str(int(v))
        if isinstance(v, float):
            return repr(float(v))
        if isinstance(v, str):
            return json.dumps(v)
        if isinstance(v, tuple):
            return f"({', '.join(map(self.attr, v))}{',' * (len(v) == 1)})"
        if isinstance(v, Region):
            return f"@{self.regions[v]}"
        if isinstance(v, HostFunction):
            return f"host {json.dumps(self.names[v])}"
        if isinstance(v, Constant):
            return constant_text(v)
        raise InternalError(f"an attribute that has no text: {v!r}")


def _list(nodes: Iterable[Node], numbers: dict[Node, int]) -> str:
    return ", ".join(f"%{numbers[n]}" for n in nodes)


def constant_text(c: Constant) -> str:
    shape = f"[{', '.join(map(str, c.array.shape))}]" if c.array.ndim else ""
    if c.array.size <= SMALL:
        numbers = [_number(x, c.dtype) for x in c.array.ravel()]
        text = f"{c.dtype}{shape}({', '.join(numbers)})"
        if _elements(numbers, c.dtype, c.array.shape).tobytes() == c.array.tobytes():
            return text
    data = c.array.astype(c.array.dtype.newbyteorder("<")) if c.array.dtype.isnative else c.array
    return f'{c.dtype}{shape or "[]"}"{base64.b64encode(data.tobytes()).decode()}"'


def _number(x: Any, dtype: str) -> str:
    kind = DTYPES[dtype].kind
    if kind == "b":
        return "true" if x else "false"
    if kind in "iu":
        return str(int(x))
    if kind == "c":
        return f"{float(x.real)!r}:{float(x.imag)!r}"
    return repr(float(x))


def _elements(numbers: list[str], dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    kind = DTYPES[dtype].kind
    values: list[Any]
    if kind == "b":
        values = [{"true": True, "false": False}[s] for s in numbers]
    elif kind in "iu":
        values = [int(s) for s in numbers]
    elif kind == "c":
        values = [complex(*map(float, s.split(":"))) for s in numbers]
    else:
        values = [float(s) for s in numbers]
    return np.array(values, numpy_dtype(dtype)).reshape(shape)


# ---- parsing --------------------------------------------------------------------------------------------------------

_REGION = re.compile(r"region @(\d+) \(([^)]*)\) \{")
_NODE = re.compile(r"  %(\d+) = (\w+)\(((?:%\d+(?:, )?)*)(?:; ?)?")
_CHECK = re.compile(r"  check (\w+)\(([^)]*)\) (\".*\")((?: @\w+:\d+)*)")
_PLACE = re.compile(r"@(\w+):(\d+)")
_VALUE = re.compile(r"%(\d+)")
_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"\s*(?:(?P<region>@\d+)|(?P<string>{_STRING})|(?P<host>host\s+{_STRING})"
    r"|(?P<const>(?:bool|u?int\d+|b?float\d+|complex\d+)(?:\[[\d, ]*\])?(?:\([^)]*\)|\"[^\"]*\"))"
    r"|(?P<number>-?(?:inf\b|nan\b|\d[\d.]*(?:e[+-]?\d+)?))|(?P<word>\w+)|(?P<mark>[(),=;]))"
)
_CONSTANT = re.compile(r"(\w+)(\[[\d, ]*\])?(?:\(([^)]*)\)|\"([^\"]*)\")")
_WORDS = {"none": None, "true": True, "false": False}


def parse(text: str, host: Mapping[str, HostFunction] | None = None) -> Region:
    """The region that a text describes; `host` gives the Python functions that it names.

    Raises ArgumentError, naming the line, for text that does not follow the grammar or states a wrong type.
    """
    return _Parser(text, host or {}).parse()


class _Parser:
    def __init__(self, text: str, host: Mapping[str, HostFunction]):
        self.lines = text.splitlines()
        self.host = host
        self.at = 0
        self.regions: dict[int, Region] = {}

    def wrong(self, why: str) -> ArgumentError:
        line = self.lines[self.at] if self.at < len(self.lines) else "(end of text)"
        return ArgumentError(f"line {self.at + 1} of the region's text: {why}\n    {line[:200]}")

    def match(self, pattern: re.Pattern, what: str) -> re.Match:
        found = pattern.match(self.lines[self.at]) if self.at < len(self.lines) else None
        if found is None:
            raise self.wrong(f"expected {what}")
        return found

    def parse(self) -> Region:
        last: Region | None = None
        while self.at < len(self.lines):
            if self.lines[self.at].strip():
                last = self.region()
            self.at += 1
        if last is None:
            raise self.wrong("expected a region")
        return last

    def region(self) -> Region:
        head = self.match(_REGION, "`region @k (params) {`")
        printer = _Printer({r: k for k, r in self.regions.items()}, {})
        nodes: dict[int, Node] = {}
        checks: list[Check] = []
        while True:
            self.at += 1
            line = self.lines[self.at] if self.at < len(self.lines) else ""
            if line.startswith("  %"):
                number, node = self.node(nodes, printer)
                nodes[number] = node
            elif line.startswith("  check "):
                m = self.match(_CHECK, '`check kind(values) "what" @region:number`')
                at = tuple(Place(region, int(k)) for region, k in _PLACE.findall(m[4]))
                checks.append(Check(m[1], self.values(m[2], nodes), json.loads(m[3]), at))
            elif line.startswith("  return"):
                outputs = self.values(line[8:], nodes)
                break
            else:
                raise self.wrong("expected a node, a check or `return`")
        self.at += 1
        if self.at >= len(self.lines) or self.lines[self.at] != "}":
            raise self.wrong("expected `}`")
        out = region(self.values(head[2], nodes), outputs, checks)
        self.regions[int(head[1])] = out
        return out

    def values(self, text: str, nodes: dict[int, Node]) -> tuple[Node, ...]:
        try:
            return tuple(nodes[int(k)] for k in _VALUE.findall(text))
        except KeyError as e:
            raise self.wrong(f"%{e.args[0]} is not defined above") from None

    def node(self, nodes: dict[int, Node], printer: _Printer) -> tuple[int, Node]:
        line = self.lines[self.at]
        m = self.match(_NODE, "`%k = op(values; attributes) : type`")
        if m[2] not in OPS:
            raise self.wrong(f"there is no operation {m[2]}")
        attrs, end = self.attrs(line, m.end())
        node = make(m[2], self.values(m[3], nodes), attrs)
        said = line[end:].strip()
        if said and said != f": {printer.type(node.type)}":
            raise self.wrong(f"the type of this node is {printer.type(node.type)}")
        return int(m[1]), node

    def token(self, line: str, at: int) -> tuple[str, str, int]:
        m = _TOKEN.match(line, at)
        if m is None or m.lastgroup is None:
            raise self.wrong(f"cannot read an attribute at column {at + 1}")
        return m.lastgroup, m[m.lastgroup], m.end()

    def attrs(self, line: str, at: int) -> tuple[tuple[tuple[str, Any], ...], int]:
        """name=attr, ... up to the closing parenthesis."""
        out: list[tuple[str, Any]] = []
        while True:
            kind, name, at = self.token(line, at)
            if name == ")":
                return tuple(out), at
            if name == ",":
                continue
            _, equals, at = self.token(line, at)
            if kind != "word" or equals != "=":
                raise self.wrong(f"expected name=value at column {at}")
            value, at = self.value(line, at)
            out.append((name, value))

    def value(self, line: str, at: int) -> tuple[Any, int]:
        open_tuples: list[list[Any]] = []
        while True:
            kind, text, at = self.token(line, at)
            if text == "(" and kind == "mark":
                open_tuples.append([])
                continue
            if text == "," and kind == "mark" and open_tuples:
                continue
            if text == ")" and kind == "mark" and open_tuples:
                value: Any = tuple(open_tuples.pop())
            else:
                value = self.plain(kind, text)
            if not open_tuples:
                return value, at
            open_tuples[-1].append(value)

    def plain(self, kind: str, text: str) -> Any:
        if kind == "string":
            return json.loads(text)
        if kind == "number":
            return float(text) if any(c in text for c in ".en") else int(text)
        if kind == "word" and text in _WORDS:
            return _WORDS[text]
        if kind == "const":
            return self.constant(text)
        if kind == "region":
            if int(text[1:]) not in self.regions:
                raise self.wrong(f"region {text} is not defined above")
            return self.regions[int(text[1:])]
        if kind == "host":
            name = json.loads(text[4:].strip())
            if name not in self.host:
                raise self.wrong(f"the text calls the Python function {name!r}; give it as host={{{name!r}: ...}}")
            return self.host[name]
        raise self.wrong(f"{text} is not the value of an attribute")

    def constant(self, text: str) -> Constant:
        m = _CONSTANT.fullmatch(text)
        if m is None or m[1] not in DTYPES:
            raise self.wrong(f"{text[:40]} is not a constant")
        dtype = m[1]
        shape = tuple(int(n) for n in re.findall(r"\d+", m[2] or ""))
        try:
            if m[4] is None:
                return Constant(_elements([s for s in m[3].split(", ") if s], dtype, shape), dtype)
            order = numpy_dtype(dtype)
            little = order.newbyteorder("<") if order.isnative and order.kind != "V" else order
            data = np.frombuffer(base64.b64decode(m[4]), little)
            return Constant(data.astype(order).reshape(shape), dtype)
        except (ValueError, KeyError) as e:
            raise self.wrong(f"{text[:40]} is not a constant: {e}") from None


__all__ = ["constant_text", "dump", "hosts", "nested", "parse", "show_node"]
