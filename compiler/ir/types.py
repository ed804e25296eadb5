"""Types of Nodes: kind x dtype x axes.

    type  ::= tensor(dtype, axes, kind) | tuple(type, ...)
    kind  ::= "dense" | "csr" | "random"
    axis  ::= a length: an int64 scalar Node

An axis is broadcastable exactly when its length is the constant 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .node import Node


@dataclass(frozen=True, slots=True, weakref_slot=True)
class TensorType:
    dtype: str
    axes: tuple[Node, ...] = ()
    kind: str = "dense"

    @property
    def type(self) -> TensorType:
        """Itself: it stands for a node of this type where a typing rule asks for no more (`OpDef.by_types`)."""
        return self

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return tuple([a.op == "const" and bool(a.value == 1) for a in self.axes])

    @property
    def static_shape(self) -> tuple[int | None, ...]:
        return tuple(int(a.value) if a.op == "const" else None for a in self.axes)

    def __str__(self) -> str:
        from .lengths import show

        kind = "" if self.kind == "dense" else self.kind + ":"
        return f"{kind}{self.dtype}[{', '.join(show(a) for a in self.axes)}]"


@dataclass(frozen=True, slots=True)
class TupleType:
    items: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type = TensorType | TupleType
