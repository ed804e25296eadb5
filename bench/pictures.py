"""The pictures of a run, drawn by matplotlib: times over that of weft, and the curves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from report import fastest

# Colours that keep apart for eyes that see fewer (Okabe and Ito), and marks for print.
STYLES = {
    "weft": ("#D55E00", "o"),
    "limit": ("#000000", "_"),
    "products": ("#000000", "_"),
    "jax": ("#0072B2", "s"),
    "torch": ("#CC79A7", "v"),
    "torch.compile": ("#882255", "^"),
    "pytensor": ("#009E73", "D"),
    "numpy": ("#999999", "P"),
    "numexpr": ("#E69F00", "X"),
}
WORDS = {"limit": "hand-written C loop"}


def draw(report: dict[str, Any], folder: Path) -> list[Path]:
    made = []
    for name, figure in (("ratios", ratios(report)), ("curves", curves(report))):
        if figure is None:
            continue
        made.append(folder / f"{name}.png")
        figure.savefig(made[-1], dpi=110, bbox_inches="tight")
        plt.close(figure)
    return made


def ratios(report: dict[str, Any]) -> Figure | None:
    """Each contestant's fastest call over weft's, a line a case."""
    cases = [one for one in report["cases"].values() if one["group"] in ("fused", "training", "call")]
    lines: list[tuple[str, dict[str, float]]] = []
    for one in cases:
        for fresh in (False, True):
            if "weft" in (times := fastest(one, fresh)):
                lines.append(("on fresh arrays" if fresh else _raised(one["title"]), times))
    if not lines:
        return None
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.34 * len(lines)))
    seen = [c for c in STYLES if any(c in times for _, times in lines)]
    stroke = next((c for c in seen if STYLES[c][1] == "_"), None)
    for c in seen:
        colour, mark = STYLES[c]
        points = [(times[c] / times["weft"], k) for k, (_, times) in enumerate(lines) if c in times]
        # C loops and products alone are upright strokes.
        shape = {"marker": "|", "s": 170, "linewidths": 2.2} if mark == "_" else {"marker": mark, "s": 42}
        label = WORDS.get(c, c) if mark != "_" else "C loop, products alone" if c == stroke else None
        axes.scatter(*zip(*points, strict=True), color=colour, label=label, zorder=3, **shape)
    axes.axvline(1, color=STYLES["weft"][0], linewidth=0.8, zorder=1)
    for label in axes.set_yticks(range(len(lines)), [name for name, _ in lines]):
        if label.label1.get_text() == "on fresh arrays":
            label.label1.set(color="#888888", fontsize=9)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis, [t for _, times in lines for t in (times[c] / times["weft"] for c in times)])
    axes.set_xlabel("time over weft's (log scale); to the right: slower than weft")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    _bare(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def curves(report: dict[str, Any]) -> Figure | None:
    found = report.get("curves")
    if not found:
        return None
    plots = [("chain of 12 operations", found["size"], "elements"), *_by_threads(found)]
    plots = [p for p in plots if p[1]]
    if not plots:  # nobody was timed
        return None
    figure, row = plt.subplots(1, len(plots), figsize=(5.6 + 3.0 * (len(plots) - 1), 4.6), squeeze=False,
                               width_ratios=[2.2, *[1] * (len(plots) - 1)])  # fmt: skip
    for axes, (title, curve, across) in zip(row[0], plots, strict=True):
        for c in [c for c in STYLES if c in curve]:
            colour, mark = STYLES[c]
            at, seconds, *_ = zip(*curve[c], strict=True)
            line = {"linestyle": "--", "marker": ""} if mark == "_" else {"marker": mark, "markersize": 4.5}
            axes.plot(at, seconds, color=colour, label=WORDS.get(c, c), linewidth=1.3, **line)
        axes.set_xscale("log")
        axes.set_yscale("log")
        if across == "threads":
            counts = sorted({n for points in curve.values() for n, *_ in points})
            axes.xaxis.set_major_locator(FixedLocator(counts))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:.0f}"))
            if len(counts) > 1:
                axes.set_xlim(counts[0] * 0.85, counts[-1] / 0.85)
            times = [t for points in curve.values() for _, t, *_ in points]
            axes.yaxis.set_major_locator(LogLocator(subs=_steps(max(times) / min(times))))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(_seconds))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(across)
        axes.grid(color="#dddddd", linewidth=0.6)
        _bare(axes)
    row[0][0].set_ylabel("fastest call")
    row[0][0].legend(frameon=False, fontsize=9)
    figure.tight_layout()
    return figure


def _raised(title: str) -> str:
    """Powers set as such."""
    return re.sub(r"(\d+)\^(\d+)", r"$\1^\2$", title)


def _by_threads(found: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    words = {"chain": _raised("chain, 10^6"), "softmax": "softmax", "mlp": "MLP step"}
    return [(words.get(name, name), curve, "threads") for name, curve in found["threads"].items()]


def _seconds(t: float, _: Any = None) -> str:
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if t >= 0.999 * scale:
            return f"{round(t / scale, 6):g} {name}"
    return f"{round(t * 1e9, 6):g} ns"


def _steps(span: float) -> tuple[float, ...]:
    """Of a decade, so that some ticks have labels however little the times differ."""
    return (1, 2, 5) if span > 8 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)


def _plain_ticks(axis: Any, values: list[float]) -> None:
    """1, 2, 5, 10... in place of powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 1000 * min(values) else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda t, _: f"{t:g}"))
    axis.axes.set_xlim(min(values) / 1.25, max(values) * 1.25)


def _bare(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
