"""The models that can be trained: name, what it is, its paper, its data, the test error it reached.

example:
  weft models
  weft models --json | python -m json.tool
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="a JSON list, with the settings of each")


def run(options: argparse.Namespace) -> int:
    from ..models import every

    found = every()
    if options.json:
        shown = [f.name for f in fields(found[0]) if f.name != "build"]
        print(json.dumps([{name: getattr(m, name) for name in shown} for m in found], indent=2))
        return 0
    rows = [(m.name, m.title, m.paper, m.data, m.reached) for m in found]
    widths = [max(len(r[k]) for r in rows) for k in range(4)]
    for r in rows:
        print("  ".join((*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[4])).rstrip())
    return 0
