"""Tables and pictures of a run: `python bench/report.py RUN.json [--png FOLDER] [--readme]`.

--readme writes the tables into the README, between the two comments that mark their place.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"(<!-- bench: .*? -->\n).*?(<!-- end of bench -->)", re.DOTALL)
BOUNDS = ("limit", "products")
COMPILERS = ("weft", "pytensor", "jax", "torch.compile")
Row = list[str]


def unit(seconds: float) -> str:
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= 0.9995 * scale or scale == 1e-6:
            return f"{seconds / scale:.3g} {name}" if seconds / scale < 999.5 else f"{seconds / scale:,.0f} {name}"
    raise AssertionError


def fastest(one: dict[str, Any], fresh: bool = False) -> dict[str, float]:
    """Contestant -> seconds, of those that were timed."""
    results = {c: r.get("fresh", {}) if fresh else r for c, r in one["results"].items()}
    return {c: r["fastest"] for c, r in results.items() if "fastest" in r}


def best_peer(times: dict[str, float]) -> str | None:
    peers = [c for c in times if c.split(",")[0] != "weft" and c not in BOUNDS]
    return min(peers, key=times.__getitem__, default=None)


def ratio(times: dict[str, float], to: str | None) -> str:
    return f"{times['weft'] / times[to]:.2f}" if "weft" in times and to in times else ""


def markdown(head: Row, rows: list[Row]) -> str:
    return "\n".join(f"| {' | '.join(r)} |" for r in (head, [":--", *["--:"] * (len(head) - 1)], *rows)) + "\n"


def table(one: dict[str, Any]) -> str:
    """One case, all contestants."""
    timed = {c: r for c, r in one["results"].items() if "fastest" in r}
    times, fresh = fastest(one), fastest(one, fresh=True)
    peer = best_peer(times)
    bounds = [b for b in BOUNDS if b in times]
    head = ["contestant", "fastest", "median", "turns differ by", "to best peer", *(f"to {b}" for b in bounds)]
    head += ["on fresh arrays"] * bool(fresh) + ["built cold", "built cached", "once a machine"] * one["compiles"]
    rows = []
    for c, t in sorted(times.items(), key=lambda item: item[1]):
        r = timed[c]
        row = [c, unit(t), unit(r["median"]), f"{r['spread']:.2f}" if "spread" in r else ""]
        row += [f"{t / times[to]:.2f}" if to else "" for to in (peer, *bounds)]
        if fresh:
            row.append(unit(fresh[c]) if c in fresh else "")
        if one["compiles"]:
            row += [unit(r[k]) if k in r and "cold_seconds" in r else "" for k in ("cold_seconds", "seconds", "once")]
        rows.append(row)
    beaten = [c for c in times if "limit" in times and times[c] < 0.97 * times["limit"]]
    notes = [f"The C loop is beaten by {' and '.join(beaten)}: it has a fault."] if beaten else []
    beaten = [c for c in fresh if "limit" in fresh and fresh[c] < 0.97 * fresh["limit"]]
    notes += [f"The C loop on fresh arrays is beaten by {' and '.join(beaten)}: it has a fault."] if beaten else []
    notes += [f"Not timed: {c}: {r['error']}" for c, r in one["results"].items() if "error" in r]
    failed = {c: r["fresh"]["error"] for c, r in one["results"].items() if "error" in r.get("fresh", {})}
    notes += [f"Not timed on fresh arrays: {c}: {error}" for c, error in failed.items()]
    return "\n".join([f"### {one['title']}", "", markdown(head, rows), *notes, ""])


def tables(report: dict[str, Any]) -> str:
    """The whole run, a line a case."""
    cases = report["cases"].values()
    out = []
    fused = [one for one in cases if one["group"] == "fused" and "weft" in fastest(one)]
    if fused:
        rows = []
        for one in fused:
            times, fresh = fastest(one), fastest(one, fresh=True)
            peer, other = best_peer(times), best_peer(fresh)
            row = [
                one["title"],
                unit(times["weft"]),
                f"{unit(times[peer])} ({peer})" if peer else "",
                ratio(times, peer),
            ]
            row += [unit(times["limit"]) if "limit" in times else "", ratio(times, "limit")]
            row += [unit(fresh["weft"]) if "weft" in fresh else "", ratio(fresh, other), ratio(fresh, "limit")]
            rows.append(row)
        head = ["fused", "weft", "best peer", "weft / peer", "C loop", "weft / loop"]
        out.append(markdown([*head, "fresh arrays: weft", "weft / peer", "weft / loop"], rows))
    training = [one for one in cases if one["group"] == "training" and "weft" in fastest(one)]
    if training:
        rows = []
        for one in training:
            times = fastest(one)
            peer = best_peer(times)
            row = [
                one["title"],
                unit(times["weft"]),
                f"{unit(times[peer])} ({peer})" if peer else "",
                ratio(times, peer),
            ]
            rows.append([*row, unit(times["products"]) if "products" in times else "", ratio(times, "products")])
        head = ["training", "weft", "best peer", "weft / peer", "its products alone", "weft / products"]
        out.append(markdown(head, rows))
    built = [one for one in cases if one["compiles"] and any("cold_seconds" in r for r in one["results"].values())]
    if built:
        rows = []
        for one in built:
            row = [one["title"]]
            for c in COMPILERS:
                r = one["results"].get(c, {})
                row.append(f"{unit(r['cold_seconds'])}, {unit(r['seconds'])}" if "cold_seconds" in r else "-")
            rows.append(row)
        out.append(markdown(["compile, cold and cached", *COMPILERS], rows))
    small = [one for one in cases if one["group"] in ("call", "import")]
    if small:
        names = sorted(dict.fromkeys(c for one in small for c in fastest(one)), key=lambda c: c[:4] != "weft")
        rows = [[one["title"], *(unit(t[c]) if c in (t := fastest(one)) else "-" for c in names)] for one in small]
        out.append(markdown(["", *names], rows))
    if "relatives" in report:
        out.append(relatives_table(report["relatives"]))
    return "\n".join(out)


def relatives_table(relatives: dict[str, Any]) -> str:
    """weft's ratio to the best peer: of each case as it stands, and how its relatives' ratios spread about that."""
    rows, notes = [], []
    for family, found in relatives.items():
        ratios = {}
        for one in found:
            times = fastest(one)
            peer = best_peer(times)
            if "weft" in times and peer:
                ratios[one["seed"]] = times["weft"] / times[peer]
            notes += [f"{one['title']}: {c}: {r['error']}" for c, r in one["results"].items() if "error" in r]
        others = sorted(r for seed, r in ratios.items() if seed >= 0)
        own = ratios.get(-1)
        row = [family, f"{own:.2f}" if own else "", ", ".join(f"{r:.2f}" for r in others)]
        row.append(f"{others[-1] / own:.2f}" if own and others else "")
        rows.append(row)
        for one in found:
            if len(found) == 1 and "text" not in one:
                times = fastest(one)
                notes.append(f"{one['title']}: " + ", ".join(f"{c} {unit(t)}" for c, t in times.items()))
    head = ["relatives of", "the case: weft / peer", "its relatives", "worst / the case"]
    return "\n".join([markdown(head, rows), *notes, ""])


def readme(report: dict[str, Any]) -> str:
    """The block of the README, without its marks."""
    m = report["machine"]
    versions = ", ".join(f"{c} {v}" for c, v in m["versions"].items() if c not in ("weft", "torch.compile", *BOUNDS))
    versions = ", ".join(v for v in versions.split(", ") if " by " not in v)
    about = f"{m['date']}, {m['threads']} threads each; {m['cpu']}, {m['compilers'].get('cc', '')}; {versions}."
    drawn = {"ratios": "times over those of weft"}
    if report.get("curves"):
        drawn["curves"] = "times against size and threads"
    links = "\n".join(f"![{text}](bench/{name}.png)\n" for name, text in drawn.items())
    return f"{tables(report)}\n`{report['command']}`, {about}\n\n{links}"


def write_readme(report: dict[str, Any], to: Path = README) -> None:
    text = to.read_text()
    if not BLOCK.search(text):
        sys.exit(f"{to} has no place for the table: <!-- bench: ... --> and <!-- end of bench -->")
    to.write_text(BLOCK.sub(lambda m: m[1] + "\n" + readme(report) + "\n" + m[2], text))


def pictures(report: dict[str, Any], folder: Path) -> list[str]:
    """Draws what the run holds; what was drawn, or why nothing was."""
    try:
        import pictures as drawn
    except ModuleNotFoundError as e:
        return [f"no pictures: not installed ({e.name})"]
    folder.mkdir(parents=True, exist_ok=True)
    return [f"drawn: {path}" for path in drawn.draw(report, folder)]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("run", type=Path)
    p.add_argument("--png", type=Path, metavar="FOLDER")
    p.add_argument("--readme", action="store_true")
    args = p.parse_args()
    report = json.loads(args.run.read_text())
    print(tables(report))
    if args.readme:
        write_readme(report)
    if args.png:
        print("\n".join(pictures(report, args.png)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
