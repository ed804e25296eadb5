"""The arguments of run.py, and what is wrong with them, said before the first case and not after the last."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from pathlib import Path

from cases import NAMES
from machine import unwritable
from relatives import FAMILIES

# name -> module of contestants/, variant
CONTESTANTS = {
    "weft": ("weft", ""),
    "numpy": ("numpy", ""),
    "numexpr": ("numexpr", ""),
    "pytensor": ("pytensor", ""),
    "jax": ("jax", ""),
    "torch": ("pytorch", "eager"),
    "torch.compile": ("pytorch", "compile"),
    "limit": ("limit", ""),
    "products by numpy": ("products", "numpy"),
    "products by torch": ("products", "torch"),
}


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse(description: str | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--cases", default=",".join((*NAMES, "import")), help="of %(default)s; may be empty")
    p.add_argument("--contestants", default=",".join(CONTESTANTS), help="of %(default)s; or a file of your own, x.py")
    p.add_argument("--threads", type=int, default=2, help="for each contestant (%(default)s)")
    p.add_argument("--rounds", type=int, default=12, help="turns that each contestant gets (%(default)s)")
    p.add_argument("--more", type=int, help="turns that all get beyond these while they differ (as many as --rounds)")
    p.add_argument("--seconds", type=float, default=0.2, help="of one turn (%(default)s)")
    p.add_argument("--tiny", action="store_true", help="small data: whether all runs, not how fast")
    p.add_argument("--curves", action="store_true", help="also time against size and against threads")
    p.add_argument("--relatives", type=int, default=0, metavar="N", help="also N random relatives of each case")
    p.add_argument("--families", type=lambda s: s.split(","), help="whose relatives; by default all")
    p.add_argument("--seed", type=int, default=0, help="of the first relative (%(default)s)")
    p.add_argument("--json", type=Path, help="write the measurements here, as they come")
    p.add_argument("--add", action="store_true", help="keep what that file holds and this run does not time")
    p.add_argument("--png", type=Path, help="draw the pictures in this folder")
    args = p.parse_args()
    args.contestants, args.cases = args.contestants.split(","), [c for c in args.cases.split(",") if c]
    if "products" in args.contestants:
        args.contestants.remove("products")
        args.contestants += [c for c in CONTESTANTS if c.startswith("products")]
    args.more = args.rounds if args.more is None else args.more
    if wrong := _wrong(args):
        p.error(wrong)
    if args.threads > cores():
        print(f"--threads {args.threads}: only {cores()} cores are there; threads will wait for each other",
              file=sys.stderr)  # fmt: skip
    return args


def _wrong(args: argparse.Namespace) -> str:
    families = "|".join(FAMILIES)
    given = rf"chain:(\d+(?:e\d)?)|relative:(?:{families}):-?\d+(?::[1-9]\d*)?"
    for name in args.cases:
        found = re.fullmatch(given, name)
        if name not in (*NAMES, "import") and not found:
            return f"--cases: there is no {name!r}, but {', '.join((*NAMES, 'import'))}"
        if found and found[1] and float(found[1]) < 1:
            return f"--cases: {name}: at least 1 element"
    for name in args.contestants:
        if name not in CONTESTANTS and not name.endswith(".py"):
            return f"--contestants: there is no {name!r}, but {', '.join(CONTESTANTS)}, and files x.py"
    for name in args.families or ():
        if name not in FAMILIES:
            return f"--families: there is no {name!r}, but {', '.join(FAMILIES)}"
    for name, least in (("rounds", 1), ("threads", 1), ("more", 0), ("relatives", 0), ("seed", 0)):
        if getattr(args, name) < least:
            return f"--{name}: at least {least}"
    if not (math.isfinite(args.seconds) and args.seconds > 0):
        return "--seconds: a number above 0"
    if args.add and not args.json:
        return "--add: to which file? (--json)"
    if args.json and (why := unwritable(args.json)):
        return f"--json: {why}"
    if args.png and (why := unwritable(args.png, folder=True)):
        return f"--png: {why}"
    return ""
