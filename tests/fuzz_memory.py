"""Buffers of a generated program that lie in one place of the arena, though both are in use: read off its C, whatever
values happen to lie there when it runs."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise

PLACE = re.compile(r"\*const (b\d+) = \(void \*\)\((arena \+ [^)]*)\);")
NAME = re.compile(r"\bb\d+\b")


def places(text: str) -> dict[str, str]:
    """The buffers of a program in the arena, and where they lie."""
    return dict(PLACE.findall(text))


def overlaps(text: str) -> list[str]:
    """Where two buffers of one place are both between their first line and their last. A loop's lines count once, so
    what is read in its next turn only is not seen."""
    where, lines = places(text), text.splitlines()
    used: dict[str, list[int]] = defaultdict(list)
    for k, line in enumerate(lines):
        if not PLACE.search(line) and not line.lstrip().startswith("(void)"):
            for b in set(NAME.findall(line)) & where.keys():
                used[b].append(k)
    slots: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for b, at in used.items():
        slots[where[b]].append((at[0], at[-1], b))
    found = []
    for place, spans in slots.items():
        spans.sort()
        for (_, last, a), (first, _, b) in pairwise(spans):
            if first <= last:
                found.append(f"{a} and {b} both lie at {place}: {lines[first].strip()} before {lines[last].strip()}")
    return found


__all__ = ["overlaps", "places"]
