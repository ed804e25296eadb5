"""What became slower or faster: `python bench/compare.py A.json B.json`, or `weft bench compare A.json B.json`.

Ends with 1 if weft is slower, or was timed in A and failed in B. What differs by less than the turns of one of the
runs do is `unsure`. Seconds to build are measured once, so they differ by more before they count.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Key = tuple[str, str]  # what was timed, contestant
Time = tuple[float, float]  # seconds of the fastest call, the turns' spread
ONCE = 1.4  # the spread of what is measured once


def read(path: Path) -> dict[str, Any]:
    """A run of run.py; its titles name the data."""
    try:
        report = json.loads(path.read_text())
        for case in report["cases"].values():
            case["results"].items()
        return report
    except OSError as e:
        sys.exit(f"{path}: {e.strerror}")
    except (ValueError, LookupError, TypeError, AttributeError):
        sys.exit(f"{path}: not a run of bench/run.py (of this version)")


def times(report: dict[str, Any]) -> dict[Key, Time]:
    """The fastest calls, on recycled and on fresh arrays; cold and cached seconds to build; the curves."""
    found = dict(_timed(report))
    curves = report.get("curves", {})
    for kind, named in (("size", {"chain": curves.get("size", {})}), ("threads", curves.get("threads", {}))):
        for name, curve in named.items():
            for c, points in curve.items():
                found |= {(f"{name} by {kind}, {at:,}", c): (seconds, 1.0) for at, seconds in points}
    return found


def _timed(report: dict[str, Any]) -> Iterator[tuple[Key, Time]]:
    for name, case in report["cases"].items():
        for c, r in case["results"].items():
            if "fastest" not in r:
                continue
            yield (name, c), (r["fastest"], r.get("spread", 1.0))
            if "fastest" in (fresh := r.get("fresh", {})):
                yield (f"{name}, fresh", c), (fresh["fastest"], fresh.get("spread", 1.0))
            if "cold_seconds" in r:
                yield (f"{name} built cold", c), (r["cold_seconds"], ONCE)
                yield (f"{name} built cached", c), (r["seconds"], ONCE)


def failed(report: dict[str, Any]) -> dict[Key, str]:
    found = {}
    for name, case in report["cases"].items():
        for c, r in case["results"].items():
            found |= {(name, c): r["error"]} if "error" in r else {}
            found |= {(f"{name}, fresh", c): r["fresh"]["error"]} if "error" in r.get("fresh", {}) else {}
    return found


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Why times of both need not be alike. Of other data they cannot be compared at all."""
    for name in a["cases"].keys() & b["cases"].keys():
        one, other = (r["cases"][name].get("title") for r in (a, b))
        if one != other:
            sys.exit(f"{name}: {one} in A, {other} in B: these are not the same programs")
    told = [r.get("machine", {}) for r in (a, b)]
    return [
        f"{k} differ: {told[0].get(k)} and {told[1].get(k)}"
        for k in ("cpu", "cores", "threads")
        if told[0].get(k) != told[1].get(k)
    ]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("a", type=Path)
    p.add_argument("b", type=Path)
    p.add_argument("--above", type=float, default=1.1, help="ratios within this factor count as equal (%(default)s)")
    p.add_argument("--only", help="of this contestant")
    args = p.parse_args()
    reports = [read(path) for path in (args.a, args.b)]
    for line in differences(*reports):
        print(line)
    a, b = ({k: t for k, t in times(r).items() if args.only in (None, k[1])} for r in reports)
    errors, worse = failed(reports[1]), 0
    for key in sorted(a.keys() | b.keys()):
        if key in a and key in errors:
            print(f"{'failed':>8}          {': '.join(key)}  {errors[key]}")
            worse += key[1] == "weft"
            continue
        if key not in a or key not in b:
            print(f"{'only in ' + str(args.a if key in a else args.b):>16}  {': '.join(key)}")
            continue
        (before, spread), (after, other) = a[key], b[key]
        ratio, sure = after / before, max(args.above, spread, other)
        word = "slower" if ratio > args.above else "faster" if ratio < 1 / args.above else "equal"
        if word != "equal" and 1 / sure <= ratio <= sure:
            word = "unsure"
        worse += word == "slower" and key[1] == "weft"
        print(f"{word:>8} {ratio:7.2f}  {': '.join(key)}  {before:.3g} s -> {after:.3g} s")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
