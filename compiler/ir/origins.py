"""Where in the user's program nodes came from: a table of places a region.

A node alone does not say where it stands: `exp(param 0)` in the step of a loop and in the function around it are one
object. So whatever makes a region of another one hands on its table, to the nodes that it makes too.

A table names places, which follow from the program's structure; what the user wrote at a place is known beside it. So
whatever is made of a program fits every program of the same structure. A node keeps its first places, at most KEPT: a
union costs the same however many rewrites led to the node. Lines are any hashable objects; the IR looks into none.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from .digest import name_region
from .node import Node, Place, Region, region

KEPT = 16


class Lines:
    """The places (any hashable objects) of one region's nodes."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[Node, tuple[Hashable, ...]] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self._of

    def __getitem__(self, node: Node) -> tuple[Hashable, ...]:
        """The distinct lines of a node, in the order they were added."""
        return self._of.get(node, ())

    def add(self, node: Node, lines: tuple[Hashable, ...]) -> None:
        have = self._of.get(node)
        if not have:
            if lines:
                self._of[node] = lines
        elif have is not lines and len(have) < KEPT:
            joined = dict.fromkeys((*have, *lines))
            if len(joined) > len(have):
                self._of[node] = tuple(joined)[:KEPT]

    def inherit(self, new: Node, old: Node, source: Lines | None = None) -> None:
        """Adds the lines that `old` has (in another table) to `new`: a rewrite replaced one by the other."""
        lines = (source or self)._of.get(old)
        if lines is not None and (new is not old or source is not None):
            self.add(new, lines)

    def merge(self, other: Lines) -> None:
        for node, lines in other._of.items():
            self.add(node, lines)

    def copy(self) -> Lines:
        new = Lines()
        new._of = self._of.copy()
        return new


class Origins:
    """The tables of regions, each as long as its region lives, and what the user's program has at each place."""

    def __init__(self) -> None:
        self._tables: weakref.WeakKeyDictionary[Region, Lines] = weakref.WeakKeyDictionary()
        self._traces: dict[Place, tuple[Hashable, ...]] = {}
        self._said: dict[Place, object] = {}  # of obligations: what `str` makes texts of
        self._failing: dict[Place, object] = {}  # of operations that may fail: the same

    def of(self, r: Region) -> Lines:
        """The table of a region, to read or to copy."""
        return self._tables.get(r) or Lines()

    def enter(self, r: Region, lines: Lines) -> None:
        """Makes the table that of the region, or adds it to what is known: equal regions are one."""
        have = self._tables.get(r)
        if have is None:
            self._tables[r] = lines
        elif have is not lines:
            have.merge(lines)

    def include(self, other: Origins) -> None:
        """Enters every table of another program, the step of a scan say."""
        for r, lines in list(other._tables.items()):
            self.enter(r, lines.copy())
        for place, traces in other._traces.items():
            self.trace(place, traces)
        self._said = other._said | self._said
        self._failing = other._failing | self._failing

    def declare(
        self, r: Region, traces: Lines, said: Mapping[tuple, object], failing: Mapping[Node, object]
    ) -> Region:
        """The region as a part of the program that the user declared: its nodes, and its obligations by (kind,
        operands), get places, which stand for these lines and texts from here on. So do operations that may fail."""
        name = name_region(r)
        checks = [c._replace(at=(Place(name, k),)) for k, c in enumerate(r.checks)]
        for c in checks:
            self._said.setdefault(c.at[0], said.get((c.kind, c.operands), ""))
        placed = region(r.params, r.outputs, checks)
        lines = Lines()
        for k, n in enumerate(placed.nodes()):
            found = traces[n]
            if found:
                place = Place(name, k)
                self.trace(place, found)
                lines.add(n, (place,))
            if n in failing:
                self._failing.setdefault(place, failing[n])
        self.enter(placed, lines)
        return placed

    def trace(self, place: Place, traces: tuple[Hashable, ...]) -> None:
        have = self._traces.get(place)
        self._traces[place] = traces if not have or have is traces else tuple(dict.fromkeys((*have, *traces)))[:KEPT]

    def traces(self, places: Iterable[Any]) -> list[Hashable]:
        """The distinct lines at places, in their order."""
        return list(dict.fromkeys(t for p in places for t in self._traces.get(p, ())))

    def failing(self, places: Iterable[Place]) -> list[str]:
        """The same of operations that may fail, those of them that are at these places, and their lines."""
        return list(dict.fromkeys(str(self._failing[p]) for p in places if p in self._failing))

    def said(self, places: Iterable[Place]) -> str:
        """What the user's program says of an obligation: where it stands, on which arguments."""
        return "".join(dict.fromkeys(str(self._said.get(p, "")) for p in places))


__all__ = ["Lines", "Origins"]
