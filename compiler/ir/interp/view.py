"""Views: one value from one value at another index; and random draws, which are functions of the index."""

from __future__ import annotations

import math

import numpy as np

from ..dtypes import DTYPES, numpy_dtype
from .values import cast, meaning, narrow, widen


@meaning("dimshuffle")
def _(node, values, run):
    (x,), order = values, node.attr("order")
    kept = [o for o in order if o != "x"]
    dropped = [a for a in range(x.ndim) if a not in kept]
    moved = x.transpose(kept + dropped)
    return moved.reshape([1 if o == "x" else x.shape[o] for o in order])


@meaning("reshape")
def _(node, values, run):
    x, *shape = values
    return x.reshape([int(n) for n in shape])


@meaning("alloc")
def _(node, values, run):
    x, *shape = values
    return np.broadcast_to(x, [int(n) for n in shape])


@meaning("rebroadcast")
def _(node, values, run):
    return values[0]


def subscript(node, bounds) -> tuple[slice, ...]:
    """The Python slices of a slice spec; a point keeps its axis. Its check has been made."""
    rest = [int(b) for b in bounds]
    out = []
    for entry in node.attr("spec"):
        if entry[0] == "all":
            out.append(slice(None))
        elif entry[0] == "point":
            i = rest.pop(0)
            out.append(slice(i, i + 1 or None))
        else:
            start = rest.pop(0) if entry[1] else None
            stop = rest.pop(0) if entry[2] else None
            out.append(slice(start, stop, entry[3]))
    return tuple(out)


@meaning("slice")
def _(node, values, run):
    x, *bounds = values
    return x[subscript(node, bounds)]


@meaning("set_slice")
def _(node, values, run):
    x, y, *bounds = values
    at = subscript(node, bounds)
    out = x.copy()
    out[at] = y if node.attr("mode") == "set" else narrow(widen(out[at]) + widen(y), node.type.dtype)
    return out


@meaning("concatenate")
def _(node, values, run):
    return np.concatenate(values, axis=node.attr("axis"))


@meaning("iota")
def _(node, values, run):
    return cast(np.arange(int(values[0]), dtype=np.int64), node.type.dtype)


@meaning("window")
def _(node, values, run):
    (x,), axis, size, stride = values, node.attr("axis"), node.attr("size"), node.attr("stride")
    starts = range(0, x.shape[axis] - size + 1, stride)
    at = np.array([[s + k for k in range(size)] for s in starts], np.int64).reshape(len(starts), size)
    return np.moveaxis(np.take(x, at, axis=axis), axis + 1, -1)


@meaning("spread")
def _(node, values, run):
    (g, n), axis, stride = values, node.attr("axis"), node.attr("stride")
    windows, size = g.shape[axis], g.shape[-1]
    out = np.zeros((*g.shape[:axis], int(n), *g.shape[axis + 1 :]), numpy_dtype(node.type.dtype))
    from_, to = np.moveaxis(g, axis, 0), np.moveaxis(out, axis, 0)  # `to` is a view: writing to it fills out
    for p in range(int(n)):
        for k in range(size):
            w, rest = divmod(p - k, stride)
            if rest == 0 and 0 <= w < windows:
                to[p, ..., k] = from_[w, ..., k]
    return out


@meaning("draw")
def _(node, values, run):
    """Element i, row-major, of draw number d with key k is a function of (k, d, i) alone."""
    from ....kernels import philox_reference as philox

    state, *shape = values
    lengths = [int(n) for n in shape]
    element = getattr(philox, f"{node.attr('distribution')}_{DTYPES[node.type.dtype].c}")
    return element(state[0], state[1], np.arange(math.prod(lengths))).reshape(lengths)


@meaning("state_words")
def _(node, values, run):
    return values[0]


@meaning("advance")
def _(node, values, run):
    return values[0] + np.array([0, 1], np.uint64)
