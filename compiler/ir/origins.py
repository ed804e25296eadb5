"""The lines of the user's program that nodes came from: a table a region.

A node alone does not say where it stands: `exp(param 0)` in the step of a loop and in the function around it are one
object. So whatever makes a region of another one hands on its table, to the nodes that it makes too.

A node keeps its first lines, at most KEPT: a union costs the same however many rewrites led to the node. Lines are any
hashable objects; the IR does not look into them.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable

from .node import Node, Region

KEPT = 16


class Lines:
    """The lines of one region's nodes."""

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
    """The tables of regions; each lives as long as its region."""

    def __init__(self) -> None:
        self._tables: weakref.WeakKeyDictionary[Region, Lines] = weakref.WeakKeyDictionary()

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


__all__ = ["Lines", "Origins"]
