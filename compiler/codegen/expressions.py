"""Scalar expressions as statements: every value printed once, in the outermost scope where it is known."""

from __future__ import annotations

from collections.abc import Callable

from ...runtime.errors import InternalError
from ..ir.node import Node, topological
from ..ir.types import TupleType
from . import scalar

MAX_INLINE = 72  # characters of an expression that is used once and printed where it is used


class Text:
    """Lines of C with indentation."""

    def __init__(self, depth: int = 0):
        self.lines: list[str] = []
        self.depth = depth

    def __call__(self, line: str = "") -> None:
        self.lines.append("    " * self.depth + line if line else "")

    def open(self, line: str) -> None:
        self(f"{line} {{".lstrip())
        self.depth += 1

    def close(self, tail: str = "") -> None:
        self.depth -= 1
        self("}" + tail)

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


class Scope:
    """Names of scalar nodes while a kernel is printed; a scope inside a loop extends the one around it.

    `parameter` is how a kernel names its scalar arguments: all that differs between the expressions of C and CUDA.
    """

    def __init__(
        self,
        pointer: Callable[[int], str],
        outer: Scope | None = None,
        counter: list[int] | None = None,
        parameter: str = "a->n{}",
    ):
        self.pointer = pointer
        self.parameter: str = outer.parameter if outer else parameter
        self.names: dict[Node, str] = dict(outer.names) if outer else {}
        # What each column has a value of: elements of arrays, which change with the loop over columns.
        self.of_columns: set[Node] = set(outer.of_columns) if outer else set()
        self.counter: list[int] = counter if counter is not None else outer.counter if outer else [0]
        self.fault: str = outer.fault if outer else "fault"
        # Every load before any store, for buffers that overlap.
        self.loads_first: bool = outer.loads_first if outer else False
        # Loads that branches of a switch need before the switch: see c_loops.ROLLED.
        self.loads_out: bool = outer.loads_out if outer else False
        # Whether functions are printed in their fast form, hard arguments noted in flags (scalar.HARD).
        self.fast: bool = outer.fast if outer else False
        # The condition under which memory may be read, where a loop runs further than its elements go.
        self.guard: str = outer.guard if outer else ""

    def inner(self) -> Scope:
        return Scope(self.pointer, self)

    def bind(self, node: Node, name: str) -> None:
        self.names[node] = name

    def bind_columns(self, node: Node, element: str) -> None:
        """Binds a value that each column has of its own to an element of an array."""
        self.bind(node, element)
        self.of_columns.add(node)

    def emit(self, out: Text, values: list[Node], ready: Callable[[Node], bool] | None = None) -> None:
        """Prints what the values need and the scope does not have; only `ready` nodes when given (hoisting)."""
        uses: dict[Node, int] = {}
        todo = self._missing(values)
        for n in todo:
            for i in n.inputs:
                uses[i] = uses.get(i, 0) + 1
        for v in values:
            uses[v] = uses.get(v, 0) + 1
        out_of_branches = self._in_branches(todo) if self.loads_out else set()
        for n in todo:
            if ready is not None and not ready(n):
                continue
            if any(i not in self.names for i in n.inputs):
                continue
            if self.fast and ready is None and scalar.may_be_hard(n):
                args = [strip(self.names[i]) for i in n.inputs]
                condition = self._guarded(args[2:] if n.op == "checked" else [])
                text, is_hard = scalar.fast_operation(n, args[:2])
                if condition:
                    is_hard = f"({condition} ? {is_hard} : 0)"
                    text = f"({condition} ? {text} : 0)" if n.op == "checked" else text
                out(f"{scalar.hard_flag(n)} |= {is_hard};")
            else:
                text = self.text(n)
            simple = n.op in ("const", "index", "param") or (
                uses.get(n, 0) <= 1 and ready is None and len(text) < MAX_INLINE and n.op not in ("checked", "load")
            )
            if n.op == "load" and uses.get(n, 0) <= 1 and ready is None and not self.loads_first:
                simple = n not in out_of_branches
            if simple:
                self.names[n] = text
                continue
            name = f"t{self.counter[0]}"
            self.counter[0] += 1
            out(f"const {scalar.register_type(n.type.dtype)} {name} = {strip(text)};")
            self.names[n] = name

    def _missing(self, values: list[Node]) -> list[Node]:
        """What is not printed yet, inputs first, not looking behind names."""
        seen: set[Node] = set()
        order: list[Node] = []
        for v in values:
            stack = [(v, False)]
            while stack:
                n, done = stack.pop()
                if done:
                    order.append(n)
                    continue
                if n in seen or n in self.names:
                    continue
                seen.add(n)
                stack.append((n, True))
                stack.extend((i, False) for i in reversed(self.needs(n)))
        return order

    def hard_flags(self, values: list[Node]) -> list[str]:
        """The flags of those functions, not printed yet, whose fast form is wrong for some arguments."""
        return sorted({scalar.hard_flag(n) for n in self._missing(values) if scalar.may_be_hard(n)})

    def _in_branches(self, todo: list[Node]) -> set[Node]:
        """What branches of switches in `todo` (inputs first) need."""
        found: set[Node] = set()
        for n in reversed(todo):
            if n in found:
                found.update(n.inputs)
            elif n.op == "switch":
                found.update(n.inputs[1:])
        return found

    def needs(self, n: Node) -> tuple[Node, ...]:
        """What has to be printed before a node."""
        return n.inputs

    def text(self, n: Node) -> str:
        if n.op == "const":
            return scalar.literal(n.value, n.type.dtype)
        if n.op == "param":
            return self.parameter.format(n.attr("token"))
        if n.op in ("index", "acc"):
            raise InternalError(f"{n!r} is not in scope")
        args = [self.names[i] for i in n.inputs]
        if n.op == "load":
            got = scalar.load(self.pointer(n.attr("buffer")), strip(args[0]), n.type.dtype)
            condition = self._guarded(args[1:])
            return f"({condition} ? {got} : {scalar.literal(0, n.type.dtype)})" if condition else got
        if n.op == "checked":
            got = f"weft_checked({strip(args[0])}, {strip(args[1])}, {self.fault})"
            condition = self._guarded(args[2:])
            return f"({condition} ? {got} : 0)" if condition else got
        if n.op == "draw_at":
            return f"weft_{n.attr('distribution')}_{scalar.suffix(n.type.dtype)}({', '.join(args)})"
        return scalar.operation(n, args)

    def _guarded(self, own: list[str]) -> str:
        """The condition of what reads memory: its own, if it has one, and the scope's."""
        return " && ".join([*([f"({self.guard})"] if self.guard else []), *own])

    def store(self, s: Node) -> str:
        """A store statement whose inputs are in scope."""
        offset, value = s.inputs
        text = scalar.store(self.pointer(s.attr("buffer")), strip(self[offset]), strip(self[value]), value.type.dtype)
        return f"if ({self.guard}) {text}" if self.guard else text

    def __getitem__(self, n: Node) -> str:
        return self.names[n]


def strip(text: str) -> str:
    """Without the outer parentheses, where they enclose the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for k, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and k < len(text) - 1:
            return text
    return text[1:-1]


def depends_on(values: list[Node]) -> dict[Node, frozenset[Node]]:
    """For each node the loop variables and accumulators in it."""
    out: dict[Node, frozenset[Node]] = {}
    for n in topological(values):
        if isinstance(n.type, TupleType):
            continue
        own: frozenset[Node] = frozenset([n]) if n.op in ("index", "acc") else frozenset()
        for i in n.inputs:
            if not out[i] <= own:
                own = own | out[i]
        out[n] = own
    return out
