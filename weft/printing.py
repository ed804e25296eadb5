"""Graphs as text, under Theano's names, and as pictures; and an operation that prints."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from .compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from .compiler.graph.printing import Print, debugprint, min_informative_str, pp, pprint

if TYPE_CHECKING:
    from .compiler.show.drawing import Drawing


def svg(obj: Any) -> Drawing:
    """A picture of Variables as declared, or of a compiled function as it runs: each kernel a box with the operations
    that it fuses, arrows with what lies in memory between them. Notebooks show it; `.save(path)` writes SVG."""
    from .compiler.show.pictures import drawing

    return drawing(obj)


def pydotprint(fct: Any, outfile: str | PathLike | None = None, format: str | None = None, **ignored: Any) -> Drawing:
    """`svg(fct)` written to a file, under Theano's name and without Graphviz; what else that took is ignored.

    format: "svg" or "png"; None: as the file's name ends. A PNG needs the package cairosvg.
    """
    from .compiler.show.pictures import write

    return write(fct, outfile, format)


__all__ = ["Print", "debugprint", "min_informative_str", "pp", "pprint", "pydotprint", "svg"]
