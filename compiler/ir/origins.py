"""The side table from Nodes to the user's lines they came from.

A Node maps to a set of lines, kept as a shared tree of unions: joining two sets is one tuple, so that a graph's
origins stay linear in its size. Leaves are any hashable trace objects; the IR does not look into them.
"""

from __future__ import annotations

from typing import Any

from .node import Node


class Origins:
    def __init__(self) -> None:
        self._trees: dict[Node, tuple] = {}

    def add(self, node: Node, trace: Any) -> None:
        """Adds one line to a node's set."""
        self._join(node, ("line", trace))

    def inherit(self, new: Node, old: Node) -> None:
        """Adds every line of `old` to `new` (a rewrite replaced one by the other)."""
        tree = self._trees.get(old)
        if tree is not None and new is not old:
            self._join(new, tree)

    def absorb(self, other: Origins) -> None:
        """Adds what another table knows: that of a step which was lowered on its own."""
        for node, tree in other._trees.items():
            if node.op not in ("param", "const", "dim"):
                self._join(node, tree)

    def _join(self, node: Node, tree: tuple) -> None:
        have = self._trees.get(node)
        if have is None:
            self._trees[node] = tree
        elif have is not tree and have != tree[:2]:
            self._trees[node] = ("union", have, tree)

    def lines(self, node: Node, limit: int = 64) -> list[Any]:
        """The distinct lines of a node, in the order they were added, at most `limit`."""
        out: dict[Any, None] = {}
        seen: set[int] = set()
        stack = [self._trees[node]] if node in self._trees else []
        while stack and len(out) < limit:
            tree = stack.pop()
            if id(tree) in seen:
                continue
            seen.add(id(tree))
            if tree[0] == "line":
                out.setdefault(tree[1])
            else:
                stack.extend((tree[2], tree[1]))
        return list(out)

    def __contains__(self, node: Node) -> bool:
        return node in self._trees
