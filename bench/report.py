"""Tables and pictures of a run: `python bench/report.py RUN.json [--png FOLDER] [--readme]`.

--readme writes the tables into the README, between the two comments that mark their place.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compare import read

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"(<!-- bench: .*? -->\n).*?(<!-- end of bench -->)", re.DOTALL)
BOUNDS = ("limit", "products")
COMPILERS = ("weft", "pytensor", "jax", "torch.compile")
ROUGH = 1.3  # a median call over the fastest, from which on ratios of fastest calls are marked
BEATEN = 0.97  # of a bound's time
Row = list[str]
Result = dict[str, Any]


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


def ratio(one: dict[str, Any], to: str | None, fresh: bool = False) -> str:
    """weft's fastest call over that of another; where medians lie far above these, marked, with their ratio."""
    times = fastest(one, fresh)
    if "weft" not in times or to not in times:
        return ""
    told = f"{times['weft'] / times[to]:.2f}"
    results = [one["results"][c].get("fresh", {}) if fresh else one["results"][c] for c in ("weft", to)]
    # The loops take small pages and huge ones in turns, so their median on fresh arrays means nothing; that of the
    # products was not kept once, and then equals the fastest.
    alone = (fresh and to == "limit") or (to == "products" and "spread" not in results[1])
    if not any(rough(r) for r in results[: 1 if alone else 2]):
        return told
    if alone:
        return f"{told} \\*"
    return f"{told} \\* ({results[0]['median'] / results[1]['median']:.2f})"


def above(r: Result) -> float:
    """The median call over the fastest."""
    return r["median"] / r["fastest"] if "fastest" in r and "median" in r else 1.0


def rough(r: Result) -> bool:
    return above(r) > ROUGH


def spreads(one: dict[str, Any], peer: str | None) -> str:
    return ", ".join(f"{above(one['results'][c]):.2f}" for c in ("weft", peer) if c)


MARKED = (
    f"\\* The median call of one of the two took more than {ROUGH} times its fastest: other work on the machine, or "
    "turns that differ. The ratio of the fastest calls is rough then; in brackets stands that of the medians (not of "
    "a C loop on fresh arrays, which takes small and huge pages by turns)."
)
BOUND = {"limit": "C loop", "products": "products alone"}
WHY = {
    ("limit", False): "it is no bound there",
    ("limit", True): "pages of new memory take most of that time, and which pages a call gets is the system's choice",
    ("products", False): "what one product of a step makes is in a cache when the next one reads it, and weft's "
    "products are its own",
}


def beaten(one: dict[str, Any]) -> Iterator[tuple[str, bool, str, float]]:
    """Bound, whether on fresh arrays, who beats it, with what part of its time."""
    for fresh in (False, True):
        times = fastest(one, fresh)
        for bound in BOUNDS:
            for c in times:
                if bound in times and c not in BOUNDS and times[c] < BEATEN * times[bound]:
                    yield bound, fresh, c, times[c] / times[bound]


def beaten_notes(cases: list[dict[str, Any]], titles: bool = True) -> list[str]:
    found: dict[tuple[str, bool], list[str]] = {}
    for one in cases:
        title = f"{one['title']}: " * titles
        told: dict[tuple[str, bool], list[str]] = {}
        for bound, fresh, c, part in beaten(one):
            told.setdefault((bound, fresh), []).append(f"{c} {part:.2f}")
        for key, names in told.items():
            found.setdefault(key, []).append(title + ", ".join(names))
    notes = []
    for (bound, fresh), names in found.items():
        verb = "are" if bound == "products" else "is"
        notes.append(f"The {BOUND[bound]}{' on fresh arrays' * fresh} {verb} beaten ({'; '.join(names)}): "
                     f"{WHY[bound, fresh]}.")  # fmt: skip
    return notes


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
    notes = beaten_notes([one], titles=False)
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
        head = [*COMPARED, "C loop", "weft / loop", "fresh arrays: weft", "weft / peer", "weft / loop"]
        out.append(compared("fused", fused, head, _fused))
    training = [one for one in cases if one["group"] == "training" and "weft" in fastest(one)]
    if training:
        head = [*COMPARED, "its products alone", "weft / products"]
        out.append(compared("training", training, head, lambda one: _beside(one, "products")))
    out += [f"{MARKED}\n"] * any(r" \*" in text for text in out)
    built = [one for one in cases if one["compiles"] and any("cold_seconds" in r for r in one["results"].values())]
    if built:
        rows = []
        for one in built:
            row = [one["title"]]
            for c in COMPILERS:
                r = one["results"].get(c, {})
                row.append(f"{unit(r['cold_seconds'])}, {unit(r['seconds'])}" if "cold_seconds" in r else "-")
            rows.append(row)
        once = [[r["once"] for one in built if "once" in (r := one["results"].get(c, {}))] for c in COMPILERS]
        if any(once):
            rows.append(["once a machine, before the first", *(_range(found) for found in once)])
        out.append(markdown(["compile, cold and cached", *COMPILERS], rows))
    small = [one for one in cases if one["group"] in ("call", "import")]
    if small:
        names = sorted(dict.fromkeys(c for one in small for c in fastest(one)), key=lambda c: c[:4] != "weft")
        rows = [[one["title"], *(unit(t[c]) if c in (t := fastest(one)) else "-" for c in names)] for one in small]
        out.append(markdown(["", *names], rows))
    if "relatives" in report:
        out.append(relatives_table(report["relatives"]))
    return "\n".join(out)


COMPARED = ["weft", "best peer", "weft / peer", "median / fastest of both"]


def compared(name: str, cases: list[dict[str, Any]], head: Row, more: Callable[[dict[str, Any]], Row]) -> str:
    """`more`: the cells of a case after those of weft and its best peer."""
    rows = []
    for one in cases:
        times = fastest(one)
        peer = best_peer(times)
        told = f"{unit(times[peer])} ({peer})" if peer else ""
        rows.append([one["title"], unit(times["weft"]), told, ratio(one, peer), spreads(one, peer), *more(one)])
    return "\n".join([markdown([name, *head], rows), *(f"{note}\n" for note in beaten_notes(cases))])


def _beside(one: dict[str, Any], bound: str) -> Row:
    times = fastest(one)
    return [unit(times[bound]) if bound in times else "", ratio(one, bound)]


def _fused(one: dict[str, Any]) -> Row:
    fresh = fastest(one, fresh=True)
    row = [*_beside(one, "limit"), unit(fresh["weft"]) if "weft" in fresh else ""]
    return [*row, ratio(one, best_peer(fresh), fresh=True), ratio(one, "limit", fresh=True)]


def _range(found: list[float]) -> str:
    if not found:
        return "-"
    least, most = unit(min(found)), unit(max(found))
    return least if least == most else f"{least} to {most}"


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
        peers = sorted({c for one in found for c in fastest(one)} - {"weft"})
        row = [family, ", ".join(peers), f"{own:.2f}" if own else "", ", ".join(f"{r:.2f}" for r in others)]
        row.append(f"{others[-1] / own:.2f}" if own and others else "")
        rows.append(row)
        for one in found:
            if len(found) == 1 and "text" not in one:
                times = fastest(one)
                notes.append(f"{one['title']}: " + ", ".join(f"{c} {unit(t)}" for c, t in times.items()))
    head = ["relatives of", "compared with the best of", "the case: weft / peer", "its relatives", "worst / the case"]
    return "\n".join([markdown(head, rows), *notes, ""])


def parts(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What was timed, by the words for it; each part holds the number of its run."""
    curves = [("curves", report["curves"])] if "curves" in report else []
    relatives = [("relatives", one) for found in report.get("relatives", {}).values() for one in found]
    return [*report["cases"].items(), *curves, *relatives]


def provenance(report: dict[str, Any]) -> str:
    """By which command, on what, at which commit; of files put together from several runs what each one timed."""
    if "runs" not in report:  # an earlier form of the file
        return _about(report)
    told = []
    for k, run in enumerate(report["runs"]):
        mine = [name for name, part in parts(report) if part["run"] == k]
        if all(name in mine for name in report["cases"]) and report["cases"]:
            mine = ["cases", *(name for name in mine if name not in report["cases"])]
        if mine:
            told.append(([*dict.fromkeys(mine)], _about(run)))
    return "\n".join(f"{', '.join(mine)}: {about}\n" if len(told) > 1 else about for mine, about in told)


def _about(run: dict[str, Any]) -> str:
    m = run.get("machine", {})
    unnamed = ("weft", "torch.compile", *BOUNDS)
    versions = [f"{c} {v}" for c, v in m.get("versions", {}).items() if c not in unnamed and " by " not in c]
    versions = [v for v in versions if " by " not in v and not v.split()[0].endswith(".py")]
    at = [f"commit {m['commit']}"] if m.get("commit") else []
    about = [*at, str(m.get("date", "?")), f"{m.get('threads', '?')} threads each"]
    on = [str(m.get("cpu", "?")), m.get("compilers", {}).get("cc", "")]
    return f"`{run.get('command', '?')}`, {', '.join(about)}; {', '.join(filter(None, on))}; {', '.join(versions)}."


def readme(report: dict[str, Any]) -> str:
    """The block of the README, without its marks."""
    drawn = {"ratios": "times over those of weft"}
    if report.get("curves"):
        drawn["curves"] = "times against size and threads"
    links = "\n".join(f"![{text}](bench/{name}.png)\n" for name, text in drawn.items())
    return f"{tables(report)}\n{provenance(report)}\n\n{links}"


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
    report = read(args.run)
    print(tables(report))
    print(provenance(report))
    if args.readme:
        write_readme(report)
    if args.png:
        print("\n".join(pictures(report, args.png)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
