"""What every printer of loop nests asks of them: accumulators and their types, the values of statements, hoisting."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.dtypes import HALF
from ..ir.node import Node, build, substitute, topological
from ..lower.kernel import Nest
from . import scalar
from .expressions import Scope, Text, depends_on

FEW_STEPS = 4  # values that a length is computed by, up to which it is printed as one expression


def accumulates(nest: Nest) -> list[Node]:
    """The `accumulate` statements of a nest, by the number of their accumulator."""
    found = []
    stack = [nest.block]
    while stack:
        s = stack.pop()
        if s.op == "accumulate":
            found.append(s)
        elif s.op in ("block", "loop"):
            stack.extend(s.inputs)
    return sorted(found, key=lambda a: a.attr("acc"))


def moved(roots: list[Node], which: Callable[[int], bool], place: Callable[[Node], Node]) -> list[Node]:
    """Statements whose accesses to the buffers `which` go to other offsets."""
    loads = {
        n: build("load", place(n.inputs[0]), *n.inputs[1:], buffer=n.attr("buffer"), dtype=n.attr("dtype"))
        for n in topological(roots)
        if n.op == "load" and which(n.attr("buffer"))
    }
    roots = substitute(roots, loads)
    stores = {
        n: build("store", place(n.inputs[0]), n.inputs[1], buffer=n.attr("buffer"))
        for n in topological(roots)
        if n.op == "store" and which(n.attr("buffer"))
    }
    return substitute(roots, stores)


def wide(dtype: str) -> str:
    """The dtype in which values of this one accumulate."""
    return "float32" if dtype in HALF else dtype


def value_type(a: Node) -> str:
    """The C type of what an `accumulate` folds."""
    return scalar.stored_type(wide(a.attr("dtype")))


def acc_dtype(a: Node) -> str:
    return "int64" if a.attr("fold") == "argmax" else a.attr("dtype")


def acc_type(a: Node) -> str:
    """The C type of an accumulator's result."""
    return "int64_t" if a.attr("fold") == "argmax" else value_type(a)


def start_of(a: Node) -> str:
    return "0" if a.attr("fold") == "argmax" else scalar.identity(a.attr("fold"), wide(a.attr("dtype")))


def rounded(a: Node, text: str) -> str:
    """The final value of an accumulator that holds `text`."""
    return scalar.rounded(text, a.attr("dtype")) if a.attr("fold") in ("sum", "prod", "devsq") else text


def acc_node(a: Node) -> Node:
    """The value by which later statements name an accumulator's result."""
    return build("acc", acc=a.attr("acc"), dtype=acc_dtype(a))


def values_of(statements: list[Node]) -> list[Node]:
    """The expressions in statements and in the loops among them."""
    out: list[Node] = []
    stack = list(reversed(statements))
    while stack:
        s = stack.pop()
        if s.op in ("store", "accumulate"):
            out.extend(s.inputs)
        elif s.op == "loop":
            count = len(s.attr("index"))
            out.extend(s.inputs[:count])
            stack.extend(reversed(s.inputs[count:]))
    return out


def hoist(out: Text, scope: Scope, statements: list[Node], moving: set[Node]) -> None:
    """Prints in front of a loop what does not change in it."""
    values = values_of(statements)
    depends = depends_on(values)
    inside = set(moving)
    for s in statements:
        if s.op == "loop":
            inside |= {build("index", index=k) for k in s.attr("index")}

    def ready(n: Node) -> bool:
        return not (depends[n] & inside) and all(a in scope.names for a in depends[n]) and _worth(n)

    # Numbers passed by value, a step count say, as what they are computed with. Lengths in indices stay where they are.
    numbers = [
        n for n in topological(values)
        if n.op == "cast" and n.inputs[0].op == "param" and n.type.dtype != "int64" and n not in scope.names
    ]  # fmt: skip
    unnamed = {n.inputs[0] for n in numbers} - set(scope.names)
    scope.emit(out, numbers, lambda n: True)
    for p in unnamed:
        del scope.names[p]
    # Accumulators that a stage inside still has to fill are not in scope, so nothing of them moves.
    scope.emit(out, values, ready)
    hoist_checks(out, scope, values, ready)


def hoist_checks(out: Text, scope: Scope, values: list[Node], ready: Callable[[Node], bool]) -> None:
    """Prints checks of indices that do not change in a loop in front of it: with one in it gcc makes no vectors of the
    loop. The lengths in a check stay where they are."""
    checks = [n for n in topological(values) if n.op == "checked" and n not in scope.names and ready(n)]
    leaves = {n for n in topological(checks) if n.op in ("param", "const") and n not in scope.names}
    scope.emit(out, checks)
    for n in leaves:  # not all: what is behind a name was not printed again
        scope.names.pop(n, None)


def _worth(n: Node) -> bool:
    return n.op not in ("param", "index", "acc")


def closed(extent: Node, scope: Callable[[], Scope], long: str = "({{ {} {}; }})") -> str:
    """An expression of lengths as one text; only the arguments of the kernel are in `scope`. A long one is a block of
    statements, written as `long`: it would double with each value that it reads twice."""
    own, steps = scope(), Text()
    own.emit(steps, [extent])
    if len(steps.lines) > FEW_STEPS:
        return long.format(" ".join(steps.lines), own[extent])
    names: dict[Node, str] = {}
    whole = scope()
    for n in topological([extent]) if steps.lines else ():
        for i in n.inputs:
            whole.names[i] = names[i]
        names[n] = whole.text(n)
    return names[extent] if names else own[extent]
