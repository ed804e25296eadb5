"""SVG of a graph of boxes: what `weft.printing.svg` returns and notebooks show."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path as File

from .layout import LABEL, Box, layout

MARGIN = 14.0
PAD = 10.0
TITLE, SMALL = 13.0, 11.0  # sizes of type
WIDE = 0.602  # of a letter of a monospaced type, as a part of its size
SANS = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
MONO = "ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
INK, FAINT, ARROW = "#1b1f24", "#57606a", "#768390"
CHIPS = 250.0  # the width at which operations wrap
CUT = 44  # characters of a line of the user's program

# Ground and border of each kind of box: opaque, so that their dark text reads on any page.
KINDS = {
    "input": ("#dcebfc", "#4f8ad1"),
    "state": ("#e9e1f9", "#8467c7"),
    "constant": ("#e8eaed", "#8b949e"),
    "operation": ("#f6f8fa", "#8b949e"),
    "kernel": ("#fff1d0", "#c9922b"),
    "product": ("#d8f3e1", "#3d9a66"),
    "routine": ("#dff1f3", "#3d93a0"),
    "loop": ("#fde5d6", "#d07a41"),
    "output": ("#fbdfe0", "#c95f65"),
    "note": ("#ffffff", "#8b949e"),
}
ROUND = ("input", "state", "constant", "output")


@dataclass(eq=False)
class Item:
    """A box of a drawing: a title, operations as chips, lines of small text, and the values that leave it."""

    title: str
    kind: str
    chips: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    values: dict[Hashable, str] = field(default_factory=dict)  # with what is written at the arrow
    reads: list[Hashable] = field(default_factory=list)


class Drawing:
    """A picture of a graph. Notebooks show it; `save("graph.svg")` writes it; `str` is the SVG."""

    def __init__(self, items: list[Item], caption: str = ""):
        self.items, self.caption = items, caption
        self._text: str | None = None

    def __str__(self) -> str:
        if self._text is None:
            self._text = _svg(self.items, self.caption)
        return self._text

    def __repr__(self) -> str:
        return f"<drawing of {len(self.items)} boxes>"

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | File) -> None:
        File(path).write_text(str(self) + "\n", encoding="utf-8")


def _letters(text: str, size: float) -> float:
    """The width of text: of a monospaced type, and more than most proportional ones take."""
    return sum(1.0 if ord(c) < 0x2E80 else 1.7 for c in text) * size * WIDE


def _cut(text: str, limit: int = CUT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _Chips:
    """Operations in rows."""

    def __init__(self, chips: list[str]):
        self.rows: list[list[tuple[str, float]]] = [[]]
        at = 0.0
        for c in chips:
            c = _cut(c, 36)
            w = _letters(c, SMALL) + 12
            if self.rows[-1] and at + w > CHIPS:
                self.rows.append([])
                at = 0.0
            self.rows[-1].append((c, w))
            at += w + 5
        self.width = max(sum(w + 5 for _, w in row) - 5 for row in self.rows) if chips else 0.0
        self.height = 22.0 * len(self.rows) if chips else 0.0


def _svg(items: list[Item], caption: str) -> str:
    boxes: dict[Item, Box] = {}
    chips = {i: _Chips(i.chips) for i in items}
    made: dict[Hashable, list[Box]] = {}
    read_values = {v for i in items for v in i.reads}
    for i in items:
        inside = [1.1 * _letters(_cut(i.title), TITLE), chips[i].width, *(_letters(_cut(t), SMALL) for t in i.lines)]
        ports = [(v, _letters(label, SMALL)) for v, label in i.values.items() if v in read_values]
        under = sum(w + 16 for _, w in ports)
        height = 2 * PAD + TITLE + chips[i].height + (4 if chips[i].height else 0) + 15 * len(i.lines)
        boxes[i] = Box(max(max(inside) + 2 * PAD, under if len(ports) > 1 else 0.0, 44.0), height, ports)
        for v, _ in ports:
            made.setdefault(v, []).append(boxes[i])
    read = [(v, boxes[i]) for i in items for v in i.reads if v in made]
    paths, width, height = layout(list(boxes.values()), made, read)
    words = caption.split("\n") if caption else []
    width = max([width, *(_letters(w, SMALL) for w in words)]) + 2 * MARGIN
    height += 2 * MARGIN + 16 * len(words)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" style="max-width:100%;height:auto" role="img" font-family="{SANS}">',
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">',
        f'<g fill="none" stroke="{ARROW}" stroke-width="1.3">',
    ]
    heads = []
    for p in paths:
        for x, y, arrow in p.ends:
            down = f"V{p.track:.1f}H{x:.1f}" if abs(x - p.start) > 0.5 else ""
            out.append(f'<path d="M{p.start:.1f} {p.top:.1f}{down}V{y - 5 * arrow:.1f}"/>')
            if arrow:
                heads.append(f'<path d="M{x:.1f} {y:.1f}l-4 -7h8z"/>')
    out += ["</g>", f'<g fill="{ARROW}">', *heads, "</g>"]
    for i, b in boxes.items():
        out += _box(i, b, chips[i])
    for k, w in enumerate(words):
        y = height - 2 * MARGIN - 16 * (len(words) - 1 - k)
        out.append(f'<text x="0" y="{y:.1f}" font-size="{SMALL:.0f}" fill="{ARROW}">{escape(w)}</text>')
    return "\n".join([*out, "</g>", "</svg>"])


def _box(i: Item, b: Box, chips: _Chips) -> list[str]:
    ground, border = KINDS[i.kind]
    left = b.x - b.width / 2
    radius = 13 if i.kind in ROUND else 5
    dashed = ' stroke-dasharray="4 3"' if i.kind == "note" else ""
    out = [
        f'<rect x="{left:.1f}" y="{b.y:.1f}" width="{b.width:.1f}" height="{b.height:.1f}" rx="{radius}" '
        f'fill="{ground}" stroke="{border}"{dashed}/>'
    ]
    y = b.y + PAD + TITLE - 2
    out.append(_text(b.x, y, _cut(i.title), TITLE, INK, 'text-anchor="middle" font-weight="600"'))
    y += 8
    for row in chips.rows if i.chips else []:
        x = b.x - (sum(w + 5 for _, w in row) - 5) / 2
        for c, w in row:
            out.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="17" rx="4" fill="#ffffff" '
                f'stroke="{border}" stroke-opacity="0.55"/>'
            )
            out.append(_text(x + w / 2, y + 12.5, c, SMALL, INK, f'text-anchor="middle" font-family="{MONO}"'))
            x += w + 5
        y += 22
    y += 10 if i.lines else 0
    for t in i.lines:
        out.append(_text(b.x, y, _cut(t), SMALL, FAINT, f'text-anchor="middle" font-family="{MONO}"'))
        y += 15
    for v, _ in b.ports:
        at = b.port(v) + 5
        out.append(_text(at, b.y + b.height + LABEL - 3, i.values[v], SMALL, ARROW, f'font-family="{MONO}"'))
    return out


def _text(x: float, y: float, text: str, size: float, fill: str, more: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.0f}" fill="{fill}" {more}>{escape(text)}</text>'


__all__ = ["Drawing", "Item"]
