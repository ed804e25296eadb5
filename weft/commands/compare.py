"""What became slower or faster from one run of the benchmark to another: `weft bench compare A.json B.json`.

Ends with 1 if weft is slower in B, or if weft, or who is named by --only, failed there or is not there where A has it;
with 2 if there is nothing to compare. What differs by less than the turns of one of the runs do is `unsure`. Seconds to
build are measured once, so they differ by more before they count; so do points of curves in files that hold no spread.
"""

# bench/compare.py runs this file by its path, so it imports nothing of weft.

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Key = tuple[str, str]  # what was timed, contestant
Time = tuple[float, float]  # seconds of the fastest call, the turns' spread
ONCE = 1.4  # the spread of what is measured once
POINT = 1.3  # of a curve's point, where the file does not say
TIMES = ("fastest", "median", "spread", "seconds", "cold_seconds", "once")


class NotARun(Exception):
    """What is wrong, with its place in the file."""


def read(path: Path) -> dict[str, Any]:
    """A run of bench/run.py; else a message and the end."""
    try:
        report = json.loads(path.read_text())
    except OSError as e:
        sys.exit(f"{path}: {e.strerror}")
    except ValueError as e:
        sys.exit(f"{path}: not a run of bench/run.py: no JSON ({e})")
    try:
        checked(report)
    except NotARun as e:
        sys.exit(f"{path}: not a run of bench/run.py (of this version): {e}")
    return report


def checked(report: Any) -> None:
    """All that the readers of a run rely on."""
    for name, case in _named("cases", _a(dict, "the file", report).get("cases")):
        _case(f"cases: {name}", case)
    for family, found in _named("relatives", report.get("relatives", {})):
        for one in _a(list, f"relatives: {family}", found):
            _case(f"relatives: {family}", one)
            _a(int, f"relatives: {family}: seed", one.get("seed"))
    curves = _a(dict, "curves", report.get("curves", {}))
    _a(int, "curves: run", curves.get("run", 0))
    for where, curve in _curves(curves):
        for contestant, points in _named(where, curve):
            for point in _a(list, f"{where}: {contestant}", points):
                if len(_a(list, f"{where}: {contestant}", point)) not in (2, 3):
                    raise NotARun(f"{where}: {contestant}: {point!r} is no point")
                for value in point:
                    _positive(f"{where}: {contestant}", value)
    for run in _a(list, "runs", report.get("runs", [])):
        _a(dict, "runs", _a(dict, "runs", run).get("machine"))
        _a(str, "runs: command", run.get("command"))
    _a(dict, "machine", report.get("machine", {}))
    of = [curves, *(case for _, case in _all(report))]
    if any(not 0 <= part["run"] < len(report.get("runs", [])) for part in of if "run" in part):
        raise NotARun("runs: not all that are referred to are there")


def _case(where: str, case: Any) -> None:
    _a(dict, where, case)
    for name, kind in (("title", str), ("group", str), ("compiles", bool), ("run", int)):
        if name in case:
            _a(kind, f"{where}: {name}", case[name])
    for contestant, result in _named(where, case.get("results")):
        for place, of in ((f"{where}: {contestant}", result), (f"{where}: {contestant}: fresh", _fresh(result))):
            for name in TIMES:
                if name in _a(dict, place, of):
                    _positive(f"{place}: {name}", of[name])
            _a(str, f"{place}: error", of.get("error", ""))


def _fresh(result: Any) -> Any:
    return result.get("fresh", {}) if isinstance(result, dict) else {}


def _curves(curves: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "curves: size", curves.get("size", {})
    for family, curve in _named("curves: threads", curves.get("threads", {})):
        yield f"curves: threads: {family}", curve


def _named(where: str, found: Any) -> list[tuple[str, Any]]:
    return list(_a(dict, where, found).items())


def _a(kind: type, where: str, found: Any) -> Any:
    if not isinstance(found, kind):
        words = {dict: "an object", list: "a list", str: "a text", int: "a whole number", bool: "true or false"}
        raise NotARun(f"{where}: {_short(found)} in place of {words[kind]}")
    return found


def _positive(where: str, found: Any) -> None:
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if not number or not math.isfinite(found) or found <= 0:
        raise NotARun(f"{where}: {_short(found)} in place of a number above 0")


def _short(found: Any) -> str:
    return "nothing" if found is None else text if len(text := repr(found)) < 60 else f"{text[:57]}..."


def _all(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cases by their names; relatives by their titles, which name the program: a seed alone does not."""
    yield from report["cases"].items()
    for family, found in report.get("relatives", {}).items():
        for one in found:
            yield one.get("title", f"{family}, relative {one['seed']}"), one


def times(report: dict[str, Any]) -> dict[Key, Time]:
    """The fastest calls, on recycled and on fresh arrays; cold and cached seconds to build; relatives; the curves."""
    found: dict[Key, Time] = {}
    for name, case in _all(report):
        for c, r in case["results"].items():
            if "fastest" not in r:
                continue
            found[name, c] = r["fastest"], r.get("spread", 1.0)
            if "fastest" in (fresh := r.get("fresh", {})):
                found[f"{name}, fresh", c] = fresh["fastest"], fresh.get("spread", 1.0)
            if "cold_seconds" in r:
                found[f"{name} built cold", c] = r["cold_seconds"], ONCE
                found[f"{name} built cached", c] = r["seconds"], ONCE
    curves = report.get("curves", {})
    for kind, named in (("size", {"chain": curves.get("size", {})}), ("threads", curves.get("threads", {}))):
        for name, curve in named.items():
            for c, points in curve.items():
                for at, seconds, *spread in points:
                    found[f"{name} by {kind}, {at:,}", c] = seconds, spread[0] if spread else POINT
    return found


def failed(report: dict[str, Any]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for name, case in _all(report):
        for c, r in case["results"].items():
            found |= {(name, c): r["error"]} if "error" in r else {}
            found |= {(f"{name}, fresh", c): r["fresh"]["error"]} if "error" in r.get("fresh", {}) else {}
    return found


def machine_of(report: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """That a case, a relative or the curves were timed on; files before there were `runs` hold one."""
    return report["runs"][part["run"]]["machine"] if "run" in part else report.get("machine", {})


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Why times of both need not be alike. Of other data they cannot be compared at all."""
    told: dict[str, None] = {}
    for name in sorted(a["cases"].keys() & b["cases"].keys()):
        cases = [r["cases"][name] for r in (a, b)]
        one, other = (case.get("title") for case in cases)
        if one != other:
            sys.exit(f"{name}: {one} in A, {other} in B: these are not the same programs")
        before, after = (machine_of(r, case) for r, case in zip((a, b), cases, strict=True))
        for k in ("cpu", "cores", "threads"):
            if before.get(k) != after.get(k):
                told[f"{k} differ: {before.get(k)} and {after.get(k)}"] = None
    return list(told)


def main(arguments: list[str] | None = None) -> int:
    p = argparse.ArgumentParser("weft bench compare", description=__doc__)
    p.add_argument("a", type=Path, metavar="A.json")
    p.add_argument("b", type=Path, metavar="B.json")
    p.add_argument("--above", type=float, default=1.1, help="ratios within this factor count as equal (%(default)s)")
    p.add_argument("--only", metavar="CONTESTANT", help="compare this one, in place of all")
    p.add_argument("--cases", type=lambda s: s.split(","), help="compare these cases alone, as chain_1e6,softmax")
    p.add_argument("--json", type=Path, metavar="FILE", help="write what was found here")
    args = p.parse_args(arguments)
    if not args.above >= 1:
        p.error("--above: at least 1")
    reports = [read(path) for path in (args.a, args.b)]
    if args.cases:
        for report in reports:
            report |= {"cases": {k: c for k, c in report["cases"].items() if k in args.cases}}
            report |= {"relatives": {}, "curves": {}}
    for line in differences(*reports):
        print(line)
    a, b = ({k: t for k, t in times(r).items() if args.only in (None, k[1])} for r in reports)
    if not a:
        wanted = f" of {args.only}" * bool(args.only) + f" of {', '.join(args.cases or ())}" * bool(args.cases)
        print(f"nothing to compare: {args.a} holds no times{wanted}", file=sys.stderr)
        return 2
    found = [_compared(key, a, b, failed(reports[1]), args.above) for key in sorted(a.keys() | b.keys())]
    for one in found:
        who = ": ".join(one["what"])
        if "ratio" in one:
            print(f"{one['word']:>8} {one['ratio']:7.2f}  {who}  {one['before']:.3g} s -> {one['after']:.3g} s")
        elif one["word"] == "failed":
            print(f"{'failed':>8}          {who}  {one['error']}")
        else:
            print(f"{one['word'] + ' ' + str(args.a if one['word'] == 'only in' else args.b):>16}  {who}")
    if args.json:
        try:
            args.json.write_text(json.dumps(found, indent=1) + "\n")
        except OSError as e:
            sys.exit(f"{args.json}: {e.strerror}")
    # Peers that became slower are weft's gain; who is asked for has to be there all the same.
    bad = {args.only: ("failed", "only in"), "weft": ("slower", "failed", "only in")}
    return int(any(one["word"] in bad.get(one["what"][1], ()) for one in found))


def _compared(key: Key, a: dict[Key, Time], b: dict[Key, Time], errors: dict[Key, str], above: float) -> dict[str, Any]:
    if key not in a:
        return {"what": key, "word": "new in"}
    if key not in b:
        told = {"word": "failed", "error": errors[key]} if key in errors else {"word": "only in"}
        return {"what": key, **told}
    (before, spread), (after, other) = a[key], b[key]
    ratio, sure = after / before, max(above, spread, other)
    word = "slower" if ratio > above else "faster" if ratio < 1 / above else "equal"
    if word != "equal" and 1 / sure <= ratio <= sure:
        word = "unsure"
    return {"what": key, "word": word, "ratio": ratio, "before": before, "after": after}


if __name__ == "__main__":
    sys.exit(main())
