"""Whether a region obeys the grammar of its level. Nodes are typed when they are built, so what is found here is a
defect of whatever made the region: InternalError, with the node printed."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...runtime.errors import InternalError, WeftError
from .dtypes import numpy_dtype
from .interp.checks import CHECKS
from .node import OPS, Check, Constant, Node, Region, Typed
from .ops.procedural import HostFunction
from .text import nested, show_node
from .types import TensorType, TupleType


class Level(NamedTuple):
    """What a stage of the pipeline may hand on."""

    families: frozenset[str]
    ops: frozenset[str] = frozenset()  # beyond those of the families
    never: frozenset[str] = frozenset()  # of the families


TENSOR = frozenset({"leaf", "elementwise", "view", "reduce", "procedural", "control", "structure"})

# One row a level; a stage that lowers adds its own.
LEVELS: dict[str, Level] = {
    "tensor": Level(TENSOR),
    "kernel": Level(TENSOR | {"kernel"}),
}

PLAIN = (bool, int, float, str, type(None))


def verify(region: Region, level: str = "tensor") -> None:
    """Raises InternalError unless the region, and every one it holds, is closed, well-typed and within the level."""
    spec = LEVELS[level]
    for r in nested(region):
        _Region(r, level, spec).verify()


def _wrong(why: str, node: Node) -> InternalError:
    error = InternalError(f"{why}: {show_node(node)}")
    error.node = node  # type: ignore[attr-defined]
    return error


class _Region:
    def __init__(self, region: Region, level: str, spec: Level):
        self.region, self.level, self.spec = region, level, spec
        self.closed: set[Node] = set()  # nodes whose ancestors are known to be this region's

    def verify(self) -> None:
        self.params()
        for n in self.region.nodes():
            self.node(n)
        for c in self.region.checks:
            self.check(c)
        for o in self.region.outputs:
            if not isinstance(o.type, TensorType):
                raise _wrong("a region returns a tuple", o)

    def params(self) -> None:
        for k, p in enumerate(self.region.params):
            if p.op != "param" or p.attr("token") != k or isinstance(p.attr("token"), bool):
                raise _wrong(f"param {k} of the region", p)

    def node(self, n: Node) -> None:
        if n.op not in OPS:
            raise _wrong(f"no operation {n.op!r} in the table", n)
        allowed = OPS[n.op].family in self.spec.families or n.op in self.spec.ops
        if not allowed or n.op in self.spec.never:
            raise _wrong(f"{n.op} does not belong to the {self.level} level", n)
        names = [k for k, _ in n.attrs]
        if names != sorted(set(names)):
            raise _wrong(f"attributes {names} are not sorted by name", n)
        for k, v in n.attrs:
            self.attr(n, k, v)
        self.retype(n)
        self.close(n)
        for t in n.type.items if isinstance(n.type, TupleType) else (n.type,):
            for length in t.axes:
                if not isinstance(length.type, TensorType) or length.type.dtype != "int64" or length.type.axes:
                    raise _wrong("a length in the type is no int64 scalar", n)
                self.close(length)

    def attr(self, n: Node, name: str, value: Any) -> None:
        if type(value) is tuple:
            for v in value:
                self.attr(n, name, v)
        elif isinstance(value, Constant):
            a = value.array
            if a.dtype != numpy_dtype(value.dtype) or a.flags.writeable:
                raise _wrong(f"the constant {name} is {a.dtype}, or can be written to", n)
        elif type(value) not in PLAIN and not isinstance(value, (Region, HostFunction)):
            raise _wrong(f"attribute {name} is a {type(value).__name__}", n)

    def retype(self, n: Node) -> None:
        try:
            typed = OPS[n.op].typing(n.inputs, dict(n.attrs))
        except (WeftError, InternalError, ValueError, LookupError, TypeError, AttributeError) as e:
            raise _wrong(f"the typing rule refuses a node ({e})", n) from None
        if not isinstance(typed, Typed):
            typed = Typed(typed)
        if typed.type != n.type:
            raise _wrong(f"the typing rule gives {typed.type}", n)
        if typed.checks != n.checks:
            raise _wrong(f"the typing rule gives obligations {typed.checks}", n)

    def close(self, root: Node) -> None:
        """Every param and dim below is one of the region's own."""
        stack = [root]
        while stack:
            n = stack.pop()
            if n in self.closed:
                continue
            self.closed.add(n)
            stack += n.inputs
            if n.op not in ("param", "dim"):
                continue
            token = n.attr("token")
            if type(token) is not int or not 0 <= token < len(self.region.params):
                raise _wrong(f"token {token!r} belongs to no param of the region", n)
            p = self.region.params[token]
            if n.op == "param" and n is not p:
                raise _wrong(f"another param than the region's {show_node(p)}", n)
            if n.op == "dim" and not 0 <= n.attr("axis") < p.type.ndim:
                raise _wrong(f"a dim of an axis that {show_node(p)} does not have", n)

    def check(self, c: Check) -> None:
        if c.kind not in CHECKS:
            raise InternalError(f"no obligation of kind {c.kind!r}")
        if not c.operands or len(c.operands) != (CHECKS[c.kind].arity or len(c.operands)):
            raise InternalError(f"obligation {c.kind} ({c.what}) of {len(c.operands)} operands")
        want = "bool" if c.kind == "true" else "int64"
        for o in c.operands[c.kind == "indices" :]:
            if not isinstance(o.type, TensorType) or o.type.dtype != want or o.type.axes:
                raise _wrong(f"obligation {c.kind} ({c.what}) of an operand that is no {want} scalar", o)


__all__ = ["LEVELS", "Level", "verify"]
