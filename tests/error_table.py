"""The table of wrong uses that users commit: what tests/test_errors.py provokes and docs/errors.md shows.

Each entry is a function whose body is the user's program. It runs as a file of its own, program.py, with `weft`,
`T` (weft.tensor) and `np` imported; its last error is what the entry is about.
"""

from __future__ import annotations

import inspect
import linecache
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.tensor as T

FILE = "program.py"


class Wrong(NamedTuple):
    title: str
    category: str
    when: str  # "declaring", "compiling" or "calling"
    error: str  # the name of the type
    base: type[Exception]  # the builtin type that a program may catch it as
    code: str
    modes: bool  # whether the interpreter says the same
    part: str  # the module that it stands in


CATALOGUE: list[Wrong] = []
_section: list[str] = []


def section(title: str) -> None:
    _section[:] = [title]


def wrong(title: str, when: str, error: str, base: type[Exception], modes: bool = True) -> Callable:
    """Enters the body of a function into the catalogue."""

    def enter(f: Callable[[], Any]) -> Callable[[], Any]:
        lines = inspect.getsource(f).split("\n")
        start = next(k for k, line in enumerate(lines) if line.startswith("def ")) + 1
        code = textwrap.dedent("\n".join(lines[start:])).strip() + "\n"
        CATALOGUE.append(Wrong(title, _section[0], when, error, base, code, modes, f.__module__))
        return f

    return enter


def run(entry: Wrong) -> None:
    """Runs the program of an entry, as the file program.py."""
    linecache.cache[FILE] = (len(entry.code), None, entry.code.splitlines(keepends=True), FILE)
    exec(compile(entry.code, FILE, "exec"), {"weft": weft, "T": T, "np": np, "__name__": "program"})
