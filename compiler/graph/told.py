"""What the user's program says of an error: the function it called, the arguments, the line.

A function of the face marked `told` completes the errors of whatever it calls, unless they name a line already.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ...runtime.errors import WeftError
from .trace import here
from .variable import tell

F = TypeVar("F", bound=Callable)


def told(f: F, name: str | None = None) -> F:
    """The function, with errors that say which function it was (nothing of an empty name), of what, on which line."""
    name = f.__name__ if name is None else name

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except WeftError as e:
            tell(e, name, (*args, *kwargs.values()) if name else (), here())
            raise

    return already_told(run)  # type: ignore[return-value]


def already_told(f: F) -> F:
    """Marks a function that completes its errors itself: those that graphs are mostly made of save a call."""
    f.told = True  # type: ignore[attr-defined]
    return f


def tell_methods(cls: type) -> None:
    """Marks the methods of a class: those that it has itself."""
    for name, f in list(vars(cls).items()):
        public = name[0] != "_" and name != "eval"  # which calls a function: errors of calls name their lines
        if inspect.isfunction(f) and not hasattr(f, "told") and (public or name in _OPERATORS):
            setattr(cls, name, told(f, _OPERATORS.get(name)))


# Methods that Python calls -> what messages call them; nothing where they say it themselves.
_OPERATORS = {
    "__getitem__": "subscript",
    **{f"__{n}__": "" for n in ("contains", "setitem", "iter", "len", "index", "int", "float")},
    **{f"__array_{n}__": "" for n in ("function", "ufunc")},
}  # fmt: skip


def tell_names(face: dict[str, Any], module: str, line_only: bool = False) -> None:
    """Marks the functions of a module of the face, under the names that they have there.

    line_only: what they say names them already; the line is added alone.
    """
    marked: dict[Any, Any] = {}
    for name, f in list(face.items()):
        if not name.startswith("_") and inspect.isfunction(f) and not hasattr(f, "told"):
            if f not in marked:
                marked[f] = told(f, "" if line_only else None)
                marked[f].__module__, marked[f].__qualname__ = module, name  # where pickle finds it
            face[name] = marked[f]


__all__ = ["already_told", "tell_methods", "tell_names", "told"]
