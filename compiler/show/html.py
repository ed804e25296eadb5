"""HTML of what displays itself in a notebook: tables and folded parts, everything escaped, no scripts.

Colours of text and ground are the page's, so that it reads on light and dark ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

LINE = "1px solid rgba(128,128,128,0.35)"
CELL = f"padding:3px 10px;border-bottom:{LINE};vertical-align:top"
MONO = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:12px"


class Html(str):
    """Text that is HTML already."""


def html(value: object) -> str:
    return value if isinstance(value, Html) else escape(str(value))


def lines(texts: Iterable[object]) -> Html:
    return Html("<br>".join(html(t) for t in texts))


def code(text: object) -> Html:
    return Html(f'<span style="{MONO}">{html(text)}</span>')


def bold(text: object) -> Html:
    return Html(f"<b>{html(text)}</b>")


def pre(text: str) -> Html:
    return Html(f'<pre style="{MONO};white-space:pre;overflow-x:auto;margin:4px 0">{escape(text)}</pre>')


def paragraph(text: object) -> Html:
    return Html(f'<div style="margin:4px 0">{html(text)}</div>')


def title(text: object) -> Html:
    return Html(f'<div style="margin:4px 0;font-weight:600">{html(text)}</div>')


def details(summary: str, inside: object) -> Html:
    return Html(
        f'<details style="margin:4px 0"><summary style="cursor:pointer">{escape(summary)}</summary>'
        f'<div style="margin:4px 0 4px 14px">{html(inside)}</div></details>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]], right: Iterable[int] = ()) -> Html:
    """`right`: the columns of numbers."""
    sides = ["right;white-space:nowrap" if k in set(right) else "left" for k in range(len(head))]
    out = ['<table style="border-collapse:collapse;margin:6px 0"><thead><tr>']
    out += [f'<th style="{CELL};text-align:{side}">{html(h)}</th>' for h, side in zip(head, sides, strict=True)]
    out.append("</tr></thead><tbody>")
    for r in rows:
        cells = (f'<td style="{CELL};text-align:{side}">{html(c)}</td>' for c, side in zip(r, sides, strict=True))
        out.append(f"<tr>{''.join(cells)}</tr>")
    return Html("".join(out) + "</tbody></table>")


def block(*parts: object) -> str:
    return f"<div>{''.join(html(p) for p in parts)}</div>"


__all__ = ["Html", "block", "bold", "code", "details", "html", "lines", "paragraph", "pre", "table", "title"]
