"""What notebooks show of Variables and of compiled functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..graph.printing import pp
from ..graph.shared import SharedVariable
from ..graph.variable import Constant, Variable
from .html import Html, block, bold, code, details, lines, paragraph, pre, table, title
from .pictures import drawing

if TYPE_CHECKING:
    from ..inspect import Function, Told

FORMULA = 400  # characters
SMALL = 8  # elements of a value that is shown


def variable_html(v: Variable) -> str:
    """Type, name, line and formula; the picture folded."""
    kind = "shared variable" if isinstance(v, SharedVariable) else "constant" if isinstance(v, Constant) else "input"
    if v.owner is not None:
        kind = "expression"
    head = title(f"{v.name}, {kind}" if v.name else kind)
    rows = [("type", code(v.type)), ("declared at", code(v.owner.trace if v.owner is not None else v.trace))]
    if isinstance(v, SharedVariable):
        rows.insert(1, ("holds", code(_held(v))))
    if v.owner is not None:
        rows.insert(1, ("computed by", code(v.owner.op)))
        formula = pp(v)
        rows.append(("formula", code(formula if len(formula) <= FORMULA else formula[: FORMULA - 3] + "...")))
    parts: list[Html] = [head, _pairs(rows)]
    if v.owner is not None:
        parts.append(details("graph", Html(drawing(v))))
    return block(*parts)


def _held(v: SharedVariable) -> str:
    """The dtype and shape that its value has now, and the numbers of a small one."""
    value = v.container.array()
    return f"{v.dtype} {value.shape}" + f": {value}" * (value.size <= SMALL and value.ndim < 2)


def report_html(told: Told, picture: Html | None = None) -> str:
    parts: list[Html] = [title(told.head)]
    if told.kernels:
        parts.append(paragraph(told.calls))
        rows = [
            (bold(name), mode, f"{calls:,}", ops, lines(map(code, user)))
            for name, mode, calls, ops, user in told.kernels
        ]
        parts.append(table(("kernel", "loops", "calls", "operations", "your lines"), rows, [2]))
    parts += [paragraph(n) for n in told.notes]
    if told.refused:
        parts.append(details("what was not fused, and why", table(("operations", "why"), told.refused)))
    if told.traffic:
        parts.append(paragraph(told.traffic))
    if picture is not None:
        parts.append(details("the fused program", picture))
    if told.memory:
        parts.append(details("memory plan", pre("\n".join(line.strip() for line in told.memory))))
    if told.seconds:
        parts.append(details("compiled in " + told.seconds.split(":")[0], paragraph(told.seconds)))
    return block(*parts)


def function_html(f: Function) -> str:
    profile = f.profile
    measured = profile._repr_html_() if profile is not None and profile.calls else ""
    return block(Html(report_html(f.report().told, Html(drawing(f)))), Html(measured))


def _pairs(rows: list[tuple[str, Html]]) -> Html:
    cell = "padding:2px 12px 2px 0;vertical-align:top;text-align:left"
    named = f"{cell};opacity:0.7;white-space:nowrap"
    return Html(
        '<table style="border-collapse:collapse;margin:4px 0">'
        + "".join(f'<tr><td style="{named}">{k}</td><td style="{cell}">{v}</td></tr>' for k, v in rows)
        + "</table>"
    )


__all__ = ["function_html", "report_html", "variable_html"]
