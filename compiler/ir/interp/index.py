"""Indexing by integer arrays, and what is known only by looking at values: nonzero, sort, running sums."""

from __future__ import annotations

import math

import numpy as np

from .checks import fault
from .values import meaning, narrow, widen


def within(index: np.ndarray, length: int, negative: bool = True) -> np.ndarray:
    """The index as int64 in [0, length); raises BoundsError for the first element outside."""
    signed = index.dtype.kind == "i"
    bad = index >= length
    if signed:
        bad |= index < (-length if negative else 0)
    if bad.any():
        raise fault("index", int(index[bad].flat[0] if index.ndim else index), length)
    index = index.astype(np.int64)
    return np.where(index < 0, index + length, index) if signed else index


def rows(x: np.ndarray, indices) -> tuple[np.ndarray, tuple[int, ...]]:
    """The places that the indices select, as row numbers of x with its indexed axes joined, row-major; their shape."""
    shape = np.broadcast_shapes(*(i.shape for i in indices))
    flat = np.zeros(shape, np.int64)
    for a, i in enumerate(indices):
        flat = flat * x.shape[a] + within(i, x.shape[a])
    return flat.reshape(-1), shape


def joined(x: np.ndarray, count: int) -> np.ndarray:
    """x with its first `count` axes made one, and the others one."""
    return x.reshape(math.prod(x.shape[:count]), math.prod(x.shape[count:]))


@meaning("gather")
def _(node, values, run):
    x, *indices = values
    at, shape = rows(x, indices)
    return joined(x, len(indices))[at].reshape(shape + x.shape[len(indices) :])


@meaning("scatter")
def _(node, values, run):
    x, y, *indices = values
    at, shape = rows(x, indices)
    out = np.array(x, order="C")
    flat = joined(out, len(indices))  # a view
    new = joined(np.broadcast_to(y, shape + x.shape[len(indices) :]), len(shape))
    if node.attr("mode") == "set":
        places, last = np.unique(at[::-1], return_index=True)
        flat[places] = new[::-1][last]
    else:
        for k, p in enumerate(at.tolist()):
            flat[p] = narrow(widen(flat[p]) + widen(new[k]), node.type.dtype)
    return out


@meaning("nonzero")
def _(node, values, run):
    return tuple(np.asarray(i, np.int64) for i in np.nonzero(widen(values[0])))


@meaning("cumsum")
def _(node, values, run):
    (x,), axis = values, node.attr("axis")
    wide = widen(x)
    if node.attr("reverse"):
        wide = np.flip(wide, axis)
    sums = np.cumsum(wide, axis=axis, dtype=wide.dtype)
    return narrow(np.flip(sums, axis) if node.attr("reverse") else sums, node.type.dtype)


def order(x: np.ndarray) -> np.ndarray:
    """The stable permutation that sorts the last axis; NumPy's has NaN last."""
    return np.asarray(np.argsort(widen(x), axis=-1, kind="stable"), np.int64)


@meaning("sort")
def _(node, values, run):
    (x,) = values
    return np.take_along_axis(x, order(x), axis=-1)


@meaning("argsort")
def _(node, values, run):
    return order(values[0])
