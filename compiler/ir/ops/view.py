"""Views: one value from one value at another index. All are index maps, so fusion makes them free."""

from __future__ import annotations

from functools import cache

from ....runtime.errors import BoundsError, DTypeError, InternalError, ShapeError
from .. import lengths
from ..dtypes import DTYPES
from ..node import Check, Node, Typed, build, define
from ..types import TensorType
from .common import axis_of, dense, equal, fits, one_of, same_dtype, scalars, sizes


@define("dimshuffle", "view", virtual=True, covers=True, by_types=True)
def dimshuffle(inputs, attrs):
    """Permutes, drops (length 1 only) and inserts axes: `order` names an input axis per output axis, "x" a new one."""
    (x,) = inputs
    dense("dimshuffle", x)
    order = attrs["order"]
    if not x.type.axes and order.count("x") == len(order):
        return _one_element(x.type.dtype, len(order))
    kept = [o for o in order if o != "x"]
    if len(set(kept)) != len(kept) or any(not 0 <= o < x.type.ndim for o in kept):
        raise ShapeError(f"dimshuffle{order} of a tensor with {x.type.ndim} dimensions")
    for a in set(range(x.type.ndim)) - set(kept):
        if not lengths.is_one(x.type.axes[a]):
            raise ShapeError(f"dimshuffle drops axis {a}, whose length is not known to be 1")
    return TensorType(x.type.dtype, tuple(lengths.const(1) if o == "x" else x.type.axes[o] for o in order))


@cache
def _one_element(dtype: str, ndim: int) -> TensorType:
    """The type that numbers in expressions get."""
    return TensorType(dtype, (lengths.const(1),) * ndim)


@define("reshape", "view", virtual=True, covers=True)
def reshape(inputs, attrs):
    """reshape(x, length, ...): the same elements in row-major order."""
    x, *new = inputs
    dense("reshape", x)
    scalars("reshape", *new)
    axes = tuple(map(lengths.normal, new))
    checks = equal(lengths.product(x.type.axes), lengths.product(axes), "number of elements before and after reshape")
    if checks:  # compared modulo 2^64: neither number may have wrapped
        checks = fits(x.type.axes, "number of elements before reshape") + fits(axes, "number of elements") + checks
    return Typed(TensorType(x.type.dtype, axes), checks + sizes(axes, "length in reshape"))


@define("alloc", "view", virtual=True, covers=True)
def alloc(inputs, attrs):
    """alloc(value, length, ...): the value stretched to the lengths, aligned at the last axis."""
    x, *new = inputs
    dense("alloc", x)
    scalars("alloc", *new)
    if x.type.ndim > len(new):
        raise ShapeError(f"alloc of a value with {x.type.ndim} dimensions to {len(new)}")
    axes = tuple(map(lengths.normal, new))
    checks = sizes(axes, "length in alloc")
    for a, b in zip(x.type.axes, axes[len(axes) - x.type.ndim :], strict=True):
        if not lengths.is_one(a):
            checks += equal(a, b, "length of the value and of its place in alloc")
    return Typed(TensorType(x.type.dtype, axes), checks)


@define("rebroadcast", "view", virtual=True, covers=True)
def rebroadcast(inputs, attrs):
    """Declares the listed axes to have length 1 (checked)."""
    (x,) = inputs
    dense("rebroadcast", x)
    axes: list[Node] = list(x.type.axes)
    checks: tuple[Check, ...] = ()
    for a in attrs["axes"]:
        checks += equal(axes[a], lengths.const(1), f"axis {a} declared broadcastable")
        axes[a] = lengths.const(1)
    return Typed(TensorType(x.type.dtype, tuple(axes)), checks)


def walk_spec(x: Node, bounds: tuple[Node, ...], spec) -> list[tuple[Node, Node, int, tuple[Check, ...]]]:
    """Per axis of x: (first index, length, step, checks) of a slice spec.

    spec ::= one of ("all",), ("point",), ("range", has start, has stop, step) per axis; the bounds in that order.
    """
    rest = list(bounds)
    out: list[tuple[Node, Node, int, tuple[Check, ...]]] = []
    if len(spec) != x.type.ndim:
        raise ShapeError(f"a subscript for {len(spec)} axes of a tensor with {x.type.ndim} dimensions")
    for n, entry in zip(x.type.axes, spec, strict=True):
        if entry[0] == "all":
            out.append((lengths.const(0), n, 1, ()))
        elif entry[0] == "point":
            i = lengths.normal(rest.pop(0))
            v = lengths.static(i)
            if v is not None:
                first = i if v >= 0 else lengths.add(n, i)
            else:
                below = build("lt", i, lengths.const(0))
                first = i if lengths.nonneg(i) else build("switch", below, lengths.add(n, i), i)
            size = lengths.static(n)
            if v is not None and size is not None and not -size <= v < size:
                raise BoundsError(f"index {v} is out of range for an axis of length {size}")
            known = v is not None and size is not None
            out.append((first, lengths.const(1), 1, () if known else (Check("bounds", (i, n), "index"),)))
        elif entry[0] != "range":
            raise InternalError(f"{entry[0]!r} in the subscript {spec}")
        else:
            start = lengths.normal(rest.pop(0)) if entry[1] else None
            stop = lengths.normal(rest.pop(0)) if entry[2] else None
            if entry[3] == 0:
                raise ShapeError("a slice with step 0")
            first, span = lengths.slice_bounds(n, start, stop, entry[3])
            out.append((first, span, lengths.clip(entry[3]), ()))
    if rest:
        raise InternalError(f"{len(rest)} bounds too many for the subscript {spec}")
    return out


@define("slice", "view", virtual=True, said="subscript")
def slice_(inputs, attrs):
    """slice(x, bound, ...; spec): Python's basic slicing per axis; a point keeps its axis, with length 1."""
    x, *bounds = inputs
    dense("slice", x)
    scalars("slice", *bounds)
    walked = walk_spec(x, tuple(bounds), attrs["spec"])
    return Typed(TensorType(x.type.dtype, tuple(w[1] for w in walked)), sum((w[3] for w in walked), ()))


@define("set_slice", "view", virtual=False, said="set_subtensor")
def set_slice(inputs, attrs):
    """set_slice(x, y, bound, ...; spec, mode): x with the slice replaced by y (mode "set") or increased by it ("inc").

    y has x's rank; its axes are the slice's, or have length 1.
    """
    x, y, *bounds = inputs
    dense("set_slice", x, y)
    scalars("set_slice", *bounds)
    one_of("set_slice", "mode", attrs["mode"], ("set", "inc"))
    if x.type.dtype != y.type.dtype:
        raise DTypeError(f"set_slice of {y.type.dtype} into {x.type.dtype}")
    if x.type.ndim != y.type.ndim:
        raise ShapeError(f"set_slice of {y.type.ndim} dimensions into {x.type.ndim}")
    walked = walk_spec(x, tuple(bounds), attrs["spec"])
    checks = sum((w[3] for w in walked), ())
    for k, (w, a) in enumerate(zip(walked, y.type.axes, strict=True)):
        if not lengths.is_one(a):
            checks += equal(a, w[1], f"axis {k} of the slice and of the value set there")
    return Typed(TensorType(x.type.dtype, x.type.axes), checks)


@define("concatenate", "view", virtual=False, covers=True)
def concatenate(inputs, attrs):
    """Tensors of equal dtype and rank joined along `axis`; the other axes agree."""
    dense("concatenate", *inputs)
    axis, first = attrs["axis"], inputs[0]
    axis_of("concatenate", first, axis)
    checks: tuple[Check, ...] = ()
    axes = list(first.type.axes)
    for x in inputs[1:]:
        if x.type.ndim != first.type.ndim:
            raise ShapeError(f"concatenate of tensors with {first.type.ndim} and {x.type.ndim} dimensions")
        same_dtype("concatenate", (first, x))
        for k in range(first.type.ndim):
            if k != axis:
                checks += equal(axes[k], x.type.axes[k], f"axis {k} of the arguments of concatenate")
                if lengths.static(x.type.axes[k]) is not None:
                    axes[k] = x.type.axes[k]
    axes[axis] = lengths.add(*(x.type.axes[axis] for x in inputs))
    return Typed(TensorType(first.type.dtype, tuple(axes)), checks)


@define("iota", "view", virtual=True, covers=True, said="arange")
def iota(inputs, attrs):
    """iota(length; dtype): 0, 1, 2, ..."""
    (n,) = inputs
    scalars("iota", n)
    one_of("iota", "dtype", attrs["dtype"], tuple(DTYPES))
    n = lengths.normal(n)
    return Typed(TensorType(attrs["dtype"], (n,)), sizes((n,), "length of a range"))


def window_count(n: Node, size: int, stride: int) -> Node:
    """How many windows of `size` every `stride` lie wholly inside n elements."""
    if stride == 1:
        return lengths.maximum(lengths.sub(n, lengths.const(size - 1)), lengths.const(0))
    span = lengths.sub(n, lengths.const(size - stride))
    return lengths.maximum(lengths.floordiv(span, lengths.const(stride)), lengths.const(0))


@define("window", "view", virtual=True)
def window(inputs, attrs):
    """window(x; axis, size, stride): sliding windows; axis becomes the window number, a last axis the place in it."""
    (x,) = inputs
    dense("window", x)
    axis_of("window", x, attrs["axis"])
    if attrs["size"] < 1 or attrs["stride"] < 1:
        raise ShapeError(f"windows of size {attrs['size']} every {attrs['stride']} elements; both have to be positive")
    axes = list(x.type.axes)
    axes[attrs["axis"]] = window_count(axes[attrs["axis"]], attrs["size"], attrs["stride"])
    return TensorType(x.type.dtype, (*axes, lengths.const(attrs["size"])))


@define("spread", "view", virtual=True)
def spread(inputs, attrs):
    """spread(g, n; axis, stride): out[.., p, .., k] is g[.., (p - k) / stride, .., k] where that is a window, else 0.

    Summed over its last axis it is the adjoint of `window`.
    """
    g, n = inputs
    dense("spread", g)
    scalars("spread", n)
    if not 0 <= attrs["axis"] < g.type.ndim - 1:
        raise ShapeError(f"spread along axis {attrs['axis']} of a tensor with {g.type.ndim} dimensions, windows last")
    axes = list(g.type.axes)
    axes[attrs["axis"]] = n = lengths.normal(n)
    return Typed(TensorType(g.type.dtype, tuple(axes)), sizes((n,), "length of spread"))


@define("draw", "view", costly=True, virtual=False, covers=True)
def draw(inputs, attrs):
    """draw(state, length, ...; distribution, dtype): independent draws, a pure function of state and index.

    distribution is "uniform" on [0, 1) or "normal" with mean 0 and variance 1 (Philox4x32-10; docs/semantics.md).
    """
    state, *new = inputs
    if state.type.kind != "random":
        raise DTypeError(f"draw takes a random state, not {state.type}")
    scalars("draw", *new)
    one_of("draw", "distribution", attrs["distribution"], ("uniform", "normal"))
    if attrs["dtype"] not in ("float32", "float64"):
        raise DTypeError(f"draw gives float32 or float64, not {attrs['dtype']}")
    axes = tuple(map(lengths.normal, new))
    return Typed(TensorType(attrs["dtype"], axes), sizes(axes, "length of a draw"))


@define("advance", "view", virtual=False, covers=True)
def advance(inputs, attrs):
    """The random state after one draw."""
    (state,) = inputs
    if state.type.kind != "random":
        raise DTypeError(f"advance takes a random state, not {state.type}")
    return state.type


@define("state_words", "view", virtual=True, covers=True)
def state_words(inputs, attrs):
    """The two words of a random state, which a loop can stack; a sequence of them gives a step its states."""
    (state,) = inputs
    if state.type.kind != "random":
        raise DTypeError(f"state_words takes a random state, not {state.type}")
    return TensorType(state.type.dtype, state.type.axes)


__all__ = ["walk_spec", "window_count"]
