"""Where in the user's program a variable was written."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import threading
from typing import NamedTuple

import numpy as np

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_FACE = os.path.dirname(os.path.abspath(sys.modules[__name__.partition(".")[0]].__file__ or ""))
# NumPy's functions call operators of variables; the line is that which calls NumPy.
_NUMPY = os.path.dirname(os.path.abspath(np.__file__))
# An installed face holds all folders; models are programs, but for what trains them.
_FOLDERS = (*(os.path.join(_ROOT, d) for d in ("compiler", "runtime", os.path.join("models", "common"))), _NUMPY)
_OURS = tuple(d + os.sep for d in _FOLDERS)
_OURS_BUT_MODELS = _FACE + os.sep
_MODELS = os.path.join(_ROOT, "models") + os.sep


class Trace(NamedTuple):
    """A line of the user's program; `via` says how a node came from it when not directly ("the gradient of")."""

    file: str
    line: int
    via: str = ""

    def __str__(self) -> str:
        source = linecache.getline(self.file, self.line).strip()
        where = f"{_cell(self.file) or os.path.basename(self.file)}:{self.line}"
        where = f"in {self.via} {where}" if self.via else where
        return f"{where}: {source}" if source else where

    @property
    def at(self) -> str:
        """As the last line of a message: "at program.py:12: ..." or "in the gradient of program.py:12: ..."."""
        return str(self) if self.via else f"at {self}"


def _cell(file: str) -> str | None:
    """The cell of a notebook or of IPython that a file stands for, as IPython numbers it: "In[3]"."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    called = getattr(getattr(shell, "compile", None), "format_code_name", None)
    found = called(file) if called is not None else None
    if found is None and os.path.basename(os.path.dirname(file)).startswith("ipykernel_"):
        return "cell"  # its file's name is a number
    return found and found[1]


class Declaration(NamedTuple):
    """A line as `Trace.at`, whose text is made when somebody reads it."""

    trace: Trace

    def __str__(self) -> str:
        return self.trace.at


_state = threading.local()


def here() -> Trace:
    """The innermost frame outside weft, or the line that a rule works on behalf of (see `on_behalf`)."""
    override = getattr(_state, "override", None)
    if override is not None:
        return override
    frame = sys._getframe(2)  # the first is weft's: it made a Variable or an Apply
    while _is_ours(file := frame.f_code.co_filename):
        if frame.f_back is None:
            break
        frame = frame.f_back
    return _trace(file, frame.f_lineno)


_trace = functools.lru_cache(1024)(Trace)  # a line in a loop is met again and again


@functools.lru_cache(4096)
def _is_ours(file: str) -> bool:
    """Whether a file is weft's, by whatever path Python found it: there may be ".." in it."""
    if file.startswith("<"):  # text, such as that of `python -c`
        return False
    try:
        path = os.path.abspath(file)
    except OSError:  # a relative path where there is no working directory any more
        path = file
    return path.startswith(_OURS) or (path.startswith(_OURS_BUT_MODELS) and not path.startswith(_MODELS))


class on_behalf:
    """A context: Variables made inside belong to `trace`'s line, `via` telling how ("the gradient of")."""

    __slots__ = ("previous", "trace")

    def __init__(self, trace: Trace, via: str = ""):
        self.trace = trace if trace.via else _trace(trace.file, trace.line, via)

    def __enter__(self) -> None:
        self.previous = getattr(_state, "override", None)
        _state.override = self.trace

    def __exit__(self, *_: object) -> None:
        _state.override = self.previous
