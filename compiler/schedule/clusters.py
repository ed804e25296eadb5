"""What fusion makes up its mind about: kernels in the making, their readers, decisions."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, Region
from ..ir.types import TupleType
from .uses import Labels
from .values import folds

Domain = tuple[Node, ...]


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


class Siblings:
    """The kernels over each domain, and which of them fold what: where many values are folded, each over other lengths,
    to look at all kernels of a domain for each would take quadratic time."""

    def __init__(self) -> None:
        self.all: dict[Domain, list[Cluster]] = {}  # numbers go up, here and below
        self.maps: dict[Domain, list[Cluster]] = {}  # those that began without a fold
        self.by_fold: dict[tuple[Domain, tuple], list[Cluster]] = {}
        self.domains: dict[int, Domain] = {}  # by the number of a kernel, as is
        self.known: dict[int, set[tuple]] = {}  # what its values are computed from
        self.entered: dict[Domain, list[tuple[Cluster, Node]]] = {}  # since somebody asked for a fold
        self.of: dict[Node, set[tuple]] = {}

    def folds(self, n: Node) -> set[tuple]:
        found = self.of.get(n)
        if found is None:
            found = self.of[n] = folds([n])
        return found

    def start(self, c: Cluster, domain: Domain, n: Node) -> None:
        """A new kernel, whose number is the highest, for n."""
        for kernels in (self.all, self.maps) if n.family != "reduce" else (self.all,):
            kernels.setdefault(domain, []).append(c)
        self.domains[c.number], self.known[c.number] = domain, set()

    def enter(self, c: Cluster, n: Node) -> None:
        """A value of a kernel."""
        self.entered.setdefault(self.domains[c.number], []).append((c, n))

    def _settle(self, domain: Domain) -> None:
        for c, n in self.entered.pop(domain, ()):
            known = self.known[c.number]
            for fold in self.folds(n) - known:
                known.add(fold)
                bisect.insort(self.by_fold.setdefault((domain, fold), []), c, key=lambda c: c.number)

    def replace(self, c: Cluster, early: Cluster) -> None:
        """A kernel that runs earlier now: it has another number, the highest."""
        self._settle(self.domains[c.number])
        domain = self.domains[early.number] = self.domains.pop(c.number)
        known = self.known[early.number] = self.known.pop(c.number)
        for kernels in (self.all[domain], self.maps.get(domain, []), *(self.by_fold[domain, fold] for fold in known)):
            if c in kernels:
                kernels.remove(c)
                kernels.append(early)

    def share_a_fold(self, c: Cluster, n: Node) -> bool:
        self._settle(self.domains[c.number])
        return not self.folds(n).isdisjoint(self.known[c.number])

    def after(self, number: int, domain: Domain, n: Node) -> Iterator[Cluster]:
        """Kernels over a domain that may run the loops that n needs, with numbers above one, the highest first."""
        found = self.folds(n)
        if found:
            self._settle(domain)
        lists = [self.by_fold.get((domain, fold), []) for fold in found]
        if n.family != "reduce" and n.ndim:
            lists.append(self.maps.get(domain, []))
        last = number
        for c in heapq.merge(*map(reversed, lists), key=lambda c: -c.number):
            if c.number <= number:
                return
            if c.number != last:
                yield c
            last = c.number
