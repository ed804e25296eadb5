"""What became slower or faster: `python bench/compare.py A.json B.json`. Ends with 1 if weft is slower."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def times(path: Path) -> dict[tuple[str, str], float]:
    cases = json.loads(path.read_text())["cases"]
    found = {(k, c): r["fastest"] for k, case in cases.items() for c, r in case["results"].items() if "fastest" in r}
    return found | {
        (f"{k} built cold", c): r["cold_seconds"]
        for k, case in cases.items() for c, r in case["results"].items() if "fastest" in r and "cold_seconds" in r
    }  # fmt: skip


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("a", type=Path)
    p.add_argument("b", type=Path)
    p.add_argument("--above", type=float, default=1.1, help="ratios within this factor count as equal (%(default)s)")
    args = p.parse_args()
    a, b = times(args.a), times(args.b)
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
