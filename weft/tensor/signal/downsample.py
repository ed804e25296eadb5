"""An older place of pooling in Theano."""

from typing import Any

from ...compiler.graph.told import told
from ...compiler.graph.variable import Variable
from .pool import pool_2d


@told
def max_pool_2d(
    input: Any, ds: Any, ignore_border: bool | None = None, st: Any = None, padding: Any = (0, 0), mode: str = "max"
) -> Variable:
    """`pool_2d` with Theano's older default: windows may reach over the border."""
    return pool_2d(input, ds, bool(ignore_border), st, padding, mode)


__all__ = ["max_pool_2d"]
