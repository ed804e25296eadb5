"""A layered layout of a directed graph without cycles: boxes in rows, arrows of straight horizontal and vertical parts.

    rows      the longest way from a source; then from the last one up each box moves down to the row above its first
              reader, where that makes arrows no longer
    order     within a row by the mean place of neighbours, several times up and down (Sugiyama, Tagawa and Toda 1981)
    places    as near to the neighbours as boxes that keep their order and their distance can be: the least sum of
              squares, by pooling adjacent violators
    arrows    of one value are one net: down from its port, along a track in the space between two rows, down to the
              readers; what passes a row goes through a point of its own in it

What it knows of a box is its size and its ports: where values leave it, each with a width that is kept free below it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP = 26.0  # between boxes of a row
NARROW = 12.0  # between points that values pass through
LABEL = 16.0  # the height of what is written at ports
TRACK = 9.0
SPACE = 20.0  # between the last track and the next row
SWEEPS = 8


@dataclass(eq=False)
class Box:
    """A node, or a point that a value passes through on its way (of no size)."""

    width: float
    height: float
    ports: list[tuple[Hashable, float]] = field(default_factory=list)  # value, the width of its label
    row: int = 0
    x: float = 0.0  # of its middle
    y: float = 0.0  # of its top
    source: bool = False
    passes: Hashable = None  # the value of a point

    @property
    def right(self) -> float:
        """How far it reaches to the right of its middle, with what is written below."""
        return max(self.width / 2, self.ports[0][1] + 8) if len(self.ports) == 1 else self.width / 2

    def port(self, value: Hashable) -> float:
        """Where a value leaves it."""
        if self.passes is not None or len(self.ports) < 2:
            return self.x
        total = sum(w + 16 for _, w in self.ports)
        at = self.x - min(total, self.width) / 2 + 8
        for v, w in self.ports:
            if v == value:
                return at
            at += w + 16
        return self.x


@dataclass
class Path:
    """The net of a value below one row: from `start` at y `top` along `track` (a y) to the `ends`."""

    value: Hashable
    start: float
    top: float
    track: float
    ends: list[tuple[float, float, bool]]  # x, y, whether an arrow ends there


def layout(
    boxes: Sequence[Box], made: dict[Hashable, list[Box]], read: Sequence[tuple[Hashable, Box]]
) -> tuple[list[Path], float, float]:
    """Places the boxes and returns the arrows, and the width and height of the whole. `made`: who makes each value;
    `read`: the readers of values, in the order in which arrows enter a box."""
    edges = [(v, a, b) for v, b in dict.fromkeys(read) for a in made[v] if a is not b]
    _rows(boxes, edges)
    rows, nets = _points(boxes, edges)
    _order(rows, nets)
    _place(rows, nets)
    low = min((b.x - b.width / 2 for row in rows for b in row), default=0.0)
    for row in rows:
        for b in row:
            b.x -= low
    paths = _arrows(rows, nets)
    width = max((b.x + b.right for b in boxes), default=0.0)
    points = [x for p in paths for x in (p.start, *(e[0] for e in p.ends))]
    height = max((b.y + b.height for b in boxes), default=0.0)
    return paths, max([width, *points]), height


def _rows(boxes: Sequence[Box], edges: list[tuple[Hashable, Box, Box]]) -> None:
    above: dict[Box, list[Box]] = defaultdict(list)
    below: dict[Box, list[Box]] = defaultdict(list)
    for _, a, b in edges:
        above[b].append(a)
        below[a].append(b)
    waiting = {b: len(above[b]) for b in boxes}
    ready = [b for b in boxes if not waiting[b]]
    for b in ready:
        b.row = max((a.row + 1 for a in above[b]), default=0)
        for c in below[b]:
            waiting[c] -= 1
            if not waiting[c]:
                ready.append(c)
    last: dict[tuple[Hashable, Box], int] = defaultdict(int)  # the last reader's row of each value
    taken: dict[Box, list[tuple[Hashable, Box]]] = defaultdict(list)
    given: dict[Box, set[Hashable]] = defaultdict(set)
    for v, a, b in edges:
        last[v, a] = max(last[v, a], b.row)
        taken[b].append((v, a))
        given[a].add(v)
    for b in reversed(ready):
        goal = min((c.row for c in below[b]), default=b.row + 1) - 1
        if goal <= b.row:
            continue
        longer = [max(0, goal - last[v, a]) for v, a in taken[b] if above[a] or len(below[a]) > 1]
        if sum(longer) <= (goal - b.row) * len(given[b]):
            b.row = goal
            for v, a in taken[b]:
                last[v, a] = max(last[v, a], goal)


Net = tuple[Hashable, Box, list[Box]]  # a value, the box or point above, what it reaches in the next row


def _points(boxes: Sequence[Box], edges: list[tuple[Hashable, Box, Box]]) -> tuple[list[list[Box]], list[list[Net]]]:
    """The rows with the points that values pass through, and the nets below each row."""
    rows: list[list[Box]] = [[] for _ in range(max((b.row for b in boxes), default=-1) + 1)]
    for b in boxes:
        rows[b.row].append(b)
    nets: list[list[Net]] = [[] for _ in rows]
    readers: dict[tuple[Hashable, Box], list[Box]] = defaultdict(list)
    for v, a, b in edges:
        readers[v, a].append(b)
    for (v, a), found in readers.items():
        at = a
        last = max(b.row for b in found)
        for r in range(a.row, last):
            ends = [b for b in found if b.row == r + 1]
            if r + 1 < last:
                point = Box(0.0, 0.0, row=r + 1, passes=v)
                rows[r + 1].append(point)
                ends.append(point)
            nets[r].append((v, at, ends))
            at = ends[-1]
    return rows, nets


def _order(rows: list[list[Box]], nets: list[list[Net]]) -> None:
    up: dict[Box, list[Box]] = defaultdict(list)
    down: dict[Box, list[Box]] = defaultdict(list)
    for level in nets:
        for _, a, ends in level:
            for b in ends:
                up[b].append(a)
                down[a].append(b)
    at = {b: float(k) for row in rows for k, b in enumerate(row)}
    for sweep in range(SWEEPS):
        neighbours = up if sweep % 2 == 0 else down
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wish = {b: sum(at[n] for n in neighbours[b]) / len(neighbours[b]) if neighbours[b] else at[b] for b in row}
            row.sort(key=wish.__getitem__)
            at.update((b, float(k)) for k, b in enumerate(row))


def _place(rows: list[list[Box]], nets: list[list[Net]]) -> None:
    for row in rows:
        x = 0.0
        for b in row:
            b.x = x + b.width / 2
            x += b.width / 2 + b.right + (GAP if b.width else NARROW)
    up: dict[Box, list[tuple[Hashable, Box]]] = defaultdict(list)
    down: dict[Box, list[tuple[Hashable, Box]]] = defaultdict(list)
    for level in nets:
        for v, a, ends in level:
            for b in ends:
                up[b].append((v, a))
                down[a].append((v, b))
    chains: dict[tuple[Hashable, int], list[Box]] = {}  # the points of a value, one below the other
    chain: dict[Box, list[Box]] = {}
    for row in rows:
        for b in row:
            if b.passes is not None:
                before = next((a for _, a in up[b] if a.passes is not None), None)
                chain[b] = chain[before] if before is not None else chains.setdefault((b.passes, id(b)), [])
                chain[b].append(b)
    for sweep in range(3 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wish = []
            for b in row:
                both = sweep > 2 * SWEEPS
                if both and b in chain:
                    wish.append(sum(c.x for c in chain[b]) / len(chain[b]))
                    continue
                near = [(a, a.port(v)) for v, a in up[b]] if sweep % 2 == 0 or both else []
                if sweep % 2 or both:
                    near += [(n, n.x - (b.port(v) - b.x)) for v, n in down[b]]
                # Points go where boxes let them, and do not draw boxes to themselves.
                places = [x for n, x in near if n.passes is None or b.passes is not None] or [x for _, x in near]
                wish.append(sum(places) / len(places) if places else b.x)
            _spread(row, wish)
    for row in rows:  # what nobody reads stands straight below what it reads
        _spread(row, [up[b][0][1].port(up[b][0][0]) if len(up[b]) == 1 and not down[b] else b.x for b in row])


def _spread(row: list[Box], wish: list[float]) -> None:
    """The places nearest to the wishes that keep the order and the distances."""
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + a.right + b.width / 2 + (GAP if a.width and b.width else NARROW))
    groups: list[list[float]] = []  # [sum of wishes less offsets, how many]
    for w, o in zip(wish, offsets, strict=True):
        groups.append([w - o, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] >= groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    at = 0
    for total, count in groups:
        for _ in range(int(count)):
            row[at].x = total / count + offsets[at]
            at += 1


def _arrows(rows: list[list[Box]], nets: list[list[Net]]) -> list[Path]:
    """The arrows, and with them the heights: as many tracks as lie beside each other take their space."""
    paths: list[Path] = []
    y = 0.0
    for r, row in enumerate(rows):
        tall = max((b.height for b in row), default=0.0)
        for b in row:
            b.y = y + tall - b.height  # boxes of a row end at one height, where their labels stand
            if b.passes is not None:
                b.y = y
        bottom = y + tall
        entries: dict[tuple[Box, Hashable, Box], float] = {}
        into: dict[Box, list[tuple[float, Hashable, Box]]] = defaultdict(list)
        for v, a, ends in nets[r]:
            for b in ends:
                into[b].append((a.port(v), v, a))
        for b, found in into.items():
            found.sort(key=lambda f: f[0])
            step = min(22.0, (b.width - 16) / len(found)) if b.passes is None else 0.0
            for k, (start, v, a) in enumerate(found):
                x = b.x + (k - (len(found) - 1) / 2) * step
                if len(found) == 1 and abs(start - b.x) < b.width / 2 - 10:
                    x = start  # straight down, where the box lies below
                entries[b, v, a] = x
        spans = []
        for v, a, ends in nets[r]:
            start = a.port(v)
            xs = [entries[b, v, a] for b in ends]
            bent = any(abs(x - start) > 0.5 for x in xs)
            spans.append((min([start, *xs]), max([start, *xs]), bent, v, a, ends))
        tracks: list[list[tuple[float, float]]] = []
        level: list[tuple[int, tuple]] = []
        for span in sorted(spans, key=lambda s: s[1] - s[0]):
            low, high, bent = span[:3]
            if not bent:
                level.append((0, span))
                continue
            k = next((k for k, t in enumerate(tracks) if all(high + 4 < a or low - 4 > b for a, b in t)), len(tracks))
            if k == len(tracks):
                tracks.append([])
            tracks[k].append((low, high))
            level.append((k, span))
        height = LABEL + 6 + TRACK * max(len(tracks) - 1, 0) + SPACE if nets[r] else 0.0
        after = bottom + height
        for k, (_, _, _, v, a, ends) in level:
            track = bottom + LABEL + 6 + TRACK * k
            top = bottom if a.passes is None else y
            below = max((b.height for b in rows[r + 1]), default=0.0)
            points = []
            for b in ends:
                arrow = b.passes is None
                points.append((entries[b, v, a], after + below - b.height if arrow else after, arrow))
            paths.append(Path(v, a.port(v), top, track, points))
        y = after
    return paths


__all__ = ["Box", "Path", "layout"]
