"""The figures of bench/README.md out of the committed JSONs: `python bench/figures.py [--write]`.

It writes the text between the two comments that mark its place; tests hold the page against it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- figures: .*? -->\n).*?(<!-- end of figures -->)", re.DOTALL)
LISTED = 10  # of the sizes in products.json: those that marks were set for come first
TITLES = {
    "mlp": "MLP 784-1024-1024-10, batch 128",
    "narrow": "20 layers 128 wide, batch 64",
    "wide": "20 layers 1024 wide, batch 128",
}


def read(name: str, folder: Path = HERE) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def about(report: dict[str, Any]) -> str:
    m = report.get("machine")
    if m is None:
        return "a run that did not record its machine"
    command = [f"`{report['command']}`"] if "command" in report else []
    at = [f"commit {m['commit']}"] if m.get("commit") else []
    return ", ".join([*command, *at, m["date"], m["cpu"], m["compilers"].get("cc", "")])


def products(report: dict[str, Any]) -> list[str]:
    """The least and the largest ratio to OpenBLAS's rate, of the listed sizes and of all."""
    rows = report["results"]
    sizes = list(dict.fromkeys(r["case"] for r in rows))
    told = []
    for words, chosen in (("the listed sizes", sizes[:LISTED]), ("all sizes", sizes)):
        ratios = [r["ratio"] for r in rows if r["case"] in chosen]
        below = sum(r < 0.97 for r in ratios)
        told.append(f"{words}: {min(ratios):.2f} to {max(ratios):.2f}, {below} of {len(ratios)} below 0.97")
        if len(sizes) <= LISTED:
            break
    return told


def memory(report: dict[str, Any]) -> list[str]:
    lines = ["| MB (2^20 bytes) that training adds | weft | of it compiling | PyTorch eager | weft / PyTorch |",
             "| :-- | --: | --: | --: | --: |"]  # fmt: skip
    for case, ways in report["bytes"].items():
        for way, found in ways.items():
            own, other = found.get("weft", {}), found.get("torch", {})
            cells = [f"{r[k] / 2**20:.1f}" if k in r else "-" for r, k in ((own, "grown"), (own, "compiled"))]
            cells.append(f"{other['grown'] / 2**20:.1f}" if "grown" in other else "-")
            cells.append(f"{own['grown'] / other['grown']:.2f}" if "grown" in own and "grown" in other else "-")
            after = f", {way}" if way != "as it comes" else ""
            lines.append(f"| {' | '.join([TITLES.get(case, case) + after, *cells])} |")
    return lines


def text(folder: Path = HERE) -> str:
    """The block of the page, without its marks."""
    out = ["Products beside OpenBLAS, as ratios of rates (above 1 weft is faster), f32 and f64, 1 and 2 threads:", ""]
    for name in ("products", "products_avx2"):
        report = read(name, folder)
        out.append(f"- `{name}.json`: {'; '.join(products(report))} ({about(report)}).")
    report = read("compile_time", folder)
    out += ["", "Seconds from the first declaration to a loaded function, with its gradient, nothing cached "
                f"(`compile_time.json`: {about(report)}):", ""]  # fmt: skip
    out += [f"- {name}: {r['total']:.1f}" for name, r in report["cases"].items()]
    report = read("memory", folder)
    out += ["", f"Resident memory over the first {report['steps']} steps, compiling included; after a tiny model: "
                f"without what either framework loads when it first trains (`memory.json`: {about(report)}):",
            ""]  # fmt: skip
    return "\n".join([*out, *memory(report)]) + "\n"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--write", action="store_true", help="put it into bench/README.md")
    args = p.parse_args()
    print(text())
    if args.write:
        page = HERE / "README.md"
        old = page.read_text()
        if not BLOCK.search(old):
            sys.exit(f"{page} has no place for the figures: <!-- figures: ... --> and <!-- end of figures -->")
        page.write_text(BLOCK.sub(lambda m: f"{m[1]}\n{text()}\n{m[2]}", old))
    return 0


if __name__ == "__main__":
    sys.exit(main())
