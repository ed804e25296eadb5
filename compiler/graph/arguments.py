"""What arguments have to be, where Python would fail far from the user's line."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError


def integer(x: Any, what: str) -> int:
    try:
        return operator.index(x)
    except TypeError:
        raise ArgumentError(f"{what} is an integer, not {x!r}") from None


def truth(x: Any, what: str) -> bool:
    if not isinstance(x, (bool, int, np.bool_)):
        raise ArgumentError(f"{what} is True or False, not {x!r}")
    return bool(x)


def listed(x: Any, what: str) -> list[Any]:
    if isinstance(x, (str, bytes)) or not isinstance(x, Iterable):
        raise ArgumentError(f"{what} are a list, not {x!r}")
    return list(x)


def integers(x: Any, what: str) -> list[int]:
    """Of a number, or a list of numbers."""
    return [integer(e, what) for e in x] if isinstance(x, (list, tuple)) else [integer(x, what)]


def symbolic(x: Any, what: str) -> Any:
    from .variable import Variable

    if not isinstance(x, Variable):
        raise DTypeError(f"{what} {x!r}, which is not a symbolic variable")
    return x


def representable(data: np.ndarray, dtype: np.dtype) -> bool:
    """Whether the dtype has these numbers; of floats, whether they round to numbers."""
    if data.dtype.kind == "c" and dtype.kind != "c":
        return False
    with np.errstate(all="ignore"):
        made = data.astype(dtype)
        if dtype.kind in "iub":
            return bool(np.all((made == data) & (made.astype(data.dtype) == data)))
        return bool(np.all(np.isfinite(made) | ~np.isfinite(data)))


__all__ = ["integer", "integers", "listed", "representable", "symbolic", "truth"]
