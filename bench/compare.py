"""What became slower or faster: `python bench/compare.py A.json B.json`. Ends with 1 if weft is slower."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Key = tuple[str, str]  # what was timed, contestant


def times(path: Path) -> dict[Key, float]:
    """The fastest calls, on recycled and on fresh arrays; cold and cached seconds to build; the curves."""
    report = json.loads(path.read_text())
    found = dict(_timed(report))
    curves = report.get("curves", {})
    for kind, named in (("size", {"chain": curves.get("size", {})}), ("threads", curves.get("threads", {}))):
        for name, curve in named.items():
            for c, points in curve.items():
                found |= {(f"{name} by {kind}, {at:,}", c): seconds for at, seconds in points}
    return found


def _timed(report: dict[str, Any]) -> Iterator[tuple[Key, float]]:
    for name, case in report["cases"].items():
        for c, r in case["results"].items():
            if "fastest" not in r:
                continue
            yield (name, c), r["fastest"]
            if "fastest" in r.get("fresh", {}):
                yield (f"{name}, fresh", c), r["fresh"]["fastest"]
            if "cold_seconds" in r:
                yield (f"{name} built cold", c), r["cold_seconds"]
                yield (f"{name} built cached", c), r["seconds"]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("a", type=Path)
    p.add_argument("b", type=Path)
    p.add_argument("--above", type=float, default=1.1, help="ratios within this factor count as equal (%(default)s)")
    p.add_argument("--only", help="of this contestant")
    args = p.parse_args()
    a, b = ({k: t for k, t in times(path).items() if args.only in (None, k[1])} for path in (args.a, args.b))
    slower = 0
    for key in sorted(a.keys() | b.keys()):
        if key not in a or key not in b:
            print(f"{'only in ' + str(args.a if key in a else args.b):>16}  {': '.join(key)}")
            continue
        ratio = b[key] / a[key]
        word = "slower" if ratio > args.above else "faster" if ratio < 1 / args.above else "equal"
        slower += word == "slower" and key[1] == "weft"
        print(f"{word:>8} {ratio:7.2f}  {': '.join(key)}  {a[key]:.3g} s -> {b[key]:.3g} s")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
