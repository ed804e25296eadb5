"""Checks shared by typing rules. They raise user errors: the graph layer adds names and lines."""

from __future__ import annotations

from ....runtime.errors import DTypeError, InternalError, ShapeError
from .. import lengths
from ..node import Check, Node
from ..types import TensorType


def dense(op: str, *nodes: Node) -> None:
    for n in nodes:
        t = n.type
        if type(t) is not TensorType or t.kind != "dense":
            raise DTypeError(f"{op} takes dense tensors, not what is {getattr(t, 'kind', 'a tuple')}")


def same_dtype(op: str, nodes: tuple[Node, ...]) -> str:
    dtype = nodes[0].type.dtype
    for n in nodes:
        if n.type.dtype != dtype:
            raise DTypeError(f"{op} of unlike dtypes {', '.join(sorted({n.type.dtype for n in nodes}))}")
    return dtype


def integers(op: str, *nodes: Node) -> None:
    from ..dtypes import INTEGER

    for n in nodes:
        if n.type.dtype not in INTEGER:
            raise DTypeError(f"{op} takes integer indices, not {n.type.dtype}")


def scalars(op: str, *nodes: Node) -> None:
    for n in nodes:
        if n.type.ndim or n.type.dtype != "int64":
            raise ShapeError(f"{op} takes int64 scalars as lengths and indices, not {n.type}")


def axis_of(op: str, node: Node, axis: int) -> None:
    if not 0 <= axis < node.type.ndim:
        raise ShapeError(f"{op} along axis {axis} of a tensor with {node.type.ndim} dimensions")


def one_of(op: str, what: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise InternalError(f"{what} {value!r} of {op}; it is one of {allowed}")


def rank(op: str, node: Node, ndim: int) -> None:
    if node.type.ndim != ndim:
        raise ShapeError(f"{op} takes a tensor of {ndim} dimensions, not {node.type.ndim}")


def equal(a: Node, b: Node, what: str) -> tuple[Check, ...]:
    """The obligation that two lengths are equal; an error now where both are known and differ."""
    if a is b:
        return ()
    if a.op == b.op == "const":
        raise ShapeError(f"{what}: {lengths.static(a)} and {lengths.static(b)} differ")
    return (Check("eq", (a, b), what),)


def sizes(axes: tuple[Node, ...], what: str) -> tuple[Check, ...]:
    """The obligations that lengths made of numbers are lengths: not negative, and not so large that they wrap."""
    checks: list[Check] = []
    for a in axes:
        if not lengths.nonneg(a):
            checks.append(Check("nonneg", (a,), what))
        checks += (Check("size", factors, what) for factors in lengths.unbounded(a))
    return tuple(checks)


def fits(axes: tuple[Node, ...], what: str) -> tuple[Check, ...]:
    """The obligation that the number of elements does not wrap."""
    return tuple(Check("size", factors, what) for factors in lengths.unbounded(lengths.product(axes)))


def joined(op: str, nodes: tuple[Node, ...]) -> tuple[tuple[Node, ...], tuple[Check, ...]]:
    """The common axes of tensors of equal rank; an axis of static length 1 stretches, no other does."""
    axes = list(nodes[0].type.axes)
    more = [n.type.axes for n in nodes[1:]]
    for shape in more:
        if len(shape) != len(axes):
            ranks = {n.type.ndim for n in nodes}
            raise ShapeError(f"{op} of tensors with {', '.join(map(str, sorted(ranks)))} dimensions")
    one = lengths.const(1)
    checks: tuple[Check, ...] = ()
    for k, best in enumerate(axes):
        for shape in more:
            length = shape[k]
            if length is best or length is one:
                continue
            if best is not one:
                checks += equal(best, length, f"axis {k} of the arguments of {op}")
            if best is one or length.op == "const":
                axes[k] = best = length
    return tuple(axes), checks
