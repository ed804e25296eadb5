"""Buffers of a generated program that lie in one place of the arena, though both are in use: read off its C, whatever
values happen to lie there when it runs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

PLACE = re.compile(r"\*const (b\d+) = \(void \*\)\((arena \+ [^)]*)\);")
LOOP = re.compile(r"\s*(for|while) .*\{$")
NAME = re.compile(r"\bb\d+\b")


def places(text: str) -> dict[str, str]:
    """The buffers of a program in the arena, and where they lie."""
    return dict(PLACE.findall(text))


def _loops(lines: list[str]) -> Iterator[tuple[int, int]]:
    """The first and the last line of each loop, which end at the next brace that is indented as they are."""
    for start, line in enumerate(lines):
        if LOOP.match(line):
            brace = line[: len(line) - len(line.lstrip())] + "}"
            yield start, lines.index(brace, start)


def overlaps(text: str) -> list[str]:
    """Where two buffers of one place are both between their first line and their last; for one that is there before a
    loop and used in it, the last is the loop's, for it may be read again in the next turn."""
    where, lines = places(text), text.splitlines()
    loops = list(_loops(lines))
    used: dict[str, list[int]] = defaultdict(list)
    for k, line in enumerate(lines):
        if not PLACE.search(line) and not line.lstrip().startswith("(void)"):
            for b in set(NAME.findall(line)) & where.keys():
                used[b].append(k)
    slots: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for b, at in used.items():
        ends = [end for start, end in loops if at[0] < start <= at[-1] <= end]
        slots[where[b]].append((at[0], max([at[-1], *ends]), b))
    found = []
    for place, spans in slots.items():
        spans.sort()
        for (_, last, a), (first, _, b) in pairwise(spans):
            if first <= last:
                found.append(f"{a} and {b} both lie at {place}: {lines[first].strip()} before {lines[last].strip()}")
    return found


__all__ = ["overlaps", "places"]
