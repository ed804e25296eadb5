"""Pooling under Theano's names."""

from typing import Any

from ...compiler.graph import operators as _operators  # noqa: F401  (gives variables their operators)
from ...compiler.graph import windows
from ...compiler.graph.told import told
from ...compiler.graph.variable import Variable


def _several(n: Any, count: int) -> Any:
    return None if n is None else (n,) * count if isinstance(n, (int, float)) else n


@told
def pool_2d(
    input: Any,
    ws: Any = None,
    ignore_border: bool | None = True,
    stride: Any = None,
    pad: Any = (0, 0),
    mode: str = "max",
    ds: Any = None,
    st: Any = None,
    padding: Any = None,
) -> Variable:
    """Pools windows ws over the last two axes, every `stride` (ws by default), with `pad` elements around.

    mode: "max", "sum", "average_inc_pad" or "average_exc_pad". ds, st and padding are older names of ws, stride, pad.
    """
    ws, stride, pad = (
        (ds if ws is None else ws),
        (st if stride is None else stride),
        (pad if padding is None else padding),
    )
    return windows.pool(input, _several(ws, 2), _several(stride, 2), _several(pad, 2), bool(ignore_border), mode)


@told
def pool_1d(
    input: Any, ws: int, ignore_border: bool = True, stride: int | None = None, pad: int = 0, mode: str = "max"
) -> Variable:
    """Pools windows of ws elements along the last axis."""
    return windows.pool(input, _several(ws, 1), _several(stride, 1), _several(pad, 1), ignore_border, mode)


@told
def max_pool(input: Any, ws: int, stride: int | None = None, pad: int = 0, ignore_border: bool = True) -> Variable:
    """The maximum of windows along the last axis."""
    return pool_1d(input, ws, ignore_border, stride, pad)


__all__ = ["max_pool", "pool_1d", "pool_2d"]
