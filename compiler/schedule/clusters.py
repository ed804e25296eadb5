"""What fusion makes up its mind about: kernels in the making, their readers, decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, Region
from ..ir.types import TupleType
from .uses import Labels


class Use(NamedTuple):
    """One reader of a value: the number of its kernel, and the labels it reads with (None: the whole tensor)."""

    kernel: int
    labels: Labels | None


class Decision(NamedTuple):
    """A fusion made or refused: the operation and the region it stands in, and why."""

    region: Region
    node: Node
    fused: bool
    reason: str
    value: Node | None = None  # what is not stored for it, or would not have been; None: the operation's result

    def nbytes(self) -> Node:
        t = (self.value or self.node).type
        t = t.items[0] if isinstance(t, TupleType) else t
        return lengths.scale(lengths.product(t.axes), DTYPES[t.dtype].itemsize)


@dataclass(eq=False)
class Cluster:
    """A kernel in the making."""

    number: int
    lengths: list[Node] = field(default_factory=list)  # of each loop
    labels: dict[Node, Labels] = field(default_factory=dict)
    outer: frozenset[int] | None = None  # loops shared by all stages; None while nothing is reduced
    stores: list[Node] = field(default_factory=list)
    inlined: set[Node] = field(default_factory=set)  # members without loops of their own: read at a computed place
    cost: float = 0.0
    finals: set[Node] = field(default_factory=set)  # members computed after the loops: folds over the outer ones

    def fresh(self, length: Node) -> int:
        self.lengths.append(length)
        return len(self.lengths) - 1

    def covers(self, loops: frozenset[int]) -> bool:
        """Whether every value of the kernel lies in these loops, so that they may become its outer ones."""
        return all(
            loops <= {lab for lab in own if lab is not None} or (m.ndim == 0 and m not in self.stores)
            for m, own in self.labels.items()
            if m not in self.finals
        )

    def fills(self, n: Node, labels: Labels, equal: dict[Node, Node]) -> bool:
        """Whether the loops of the labels are as long as n, with the lengths that are known to be `equal`: a gather by
        an iota reads the first places of an axis only, or past its end."""
        axes = n.type.items[0].axes if isinstance(n.type, TupleType) else n.type.axes
        pairs = [(self.lengths[k], a) for k, a in zip(labels, axes, strict=True) if k is not None and k >= 0]
        return all(equal.get(p, p) is equal.get(a, a) for p, a in pairs)


__all__ = ["Cluster", "Decision", "Use"]
