"""Sliding windows on Variables, and what is made of them: padding, pooling, convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import ArgumentError, ShapeError
from ..ir import lengths
from ..ir.dtypes import DTYPES, numpy_dtype, promote
from . import math, shaping
from .arguments import listed
from .indexing import set_subtensor
from .tensor import as_tensor_variable, cast, constant
from .variable import Variable, op1

if TYPE_CHECKING:
    from .operators import TensorVariable


def _axis(x: Variable, axis: int, what: str) -> int:
    return math.normal_axes(x, axis, what)[0]


def _positive(n: Any, what: str) -> int:
    known = lengths.static(as_tensor_variable(n).node) if isinstance(n, Variable) else n
    if known is None or int(known) != known or known < 1:
        raise ArgumentError(f"{what} is a number of at least 1 that is known when the graph is built, not {n!r}")
    return int(known)


def window(x: Any, size: int, stride: int = 1, axis: int = -1) -> TensorVariable:
    """The windows of `size` elements, every `stride`, that lie wholly inside the axis.

    The axis becomes the number of the window; a new last axis is the place in it.
    """
    x = as_tensor_variable(x)
    a = _axis(x, axis, "window")
    size, stride = _positive(size, "the size of a window"), _positive(stride, "the stride of a window")
    if size == stride:
        return _parted(x, {a: size}).dimshuffle(*(k for k in range(x.ndim + 1) if k != a + 1), a + 1)
    return op1("window", x, axis=a, size=size, stride=stride)


def _parted(x: Variable, sizes: dict[int, int]) -> TensorVariable:
    """Windows side by side along axes: the number of the window, and in the next axis the place in it. A view, and so
    is its adjoint but for elements beyond the last window."""
    places, parts = [], []
    for a in range(x.ndim):
        n = shaping.shape_i(x, a)
        if a not in sizes:
            places.append(slice(None))
            parts.append(n)
            continue
        size = constant(sizes[a], dtype="int64")
        count = math.int_div(n, size)
        places.append(slice(math.mul(count, size)))
        parts += [count, size]
    return x[tuple(places)].reshape(parts, ndim=len(parts))  # type: ignore[index]


def spread(g: Any, length: Any, stride: int = 1, axis: int = -1) -> TensorVariable:
    """Windows (places along the last axis) laid back onto an axis of `length` elements, where overlapping ones add up.

    The adjoint of `window`; `axis` counts the axes of the result.
    """
    g = as_tensor_variable(g)
    if g.ndim < 2:
        raise ShapeError(f"spread takes windows, a tensor of at least 2 dimensions, not {g.describe()} with {g.ndim}")
    if not -g.ndim < axis < g.ndim - 1:
        raise ShapeError(f"axis {axis} of spread, whose result has {g.ndim - 1} dimensions")
    places = op1(
        "spread",
        g,
        shaping.length_argument(length, "spread"),
        axis=axis % (g.ndim - 1),
        stride=_positive(stride, "the stride of spread"),
    )
    return math.sum(places, axis=-1, dtype=g.dtype)


def _sides(x: Variable, widths: Any) -> list[tuple[Any, Any]]:
    """The two widths of each axis, given as such, as one pair for all axes or as one number, as in numpy.pad."""

    def several(w: Any) -> bool:
        return isinstance(w, (list, tuple)) or (isinstance(w, np.ndarray) and w.ndim > 0)

    pairs = list(widths) if several(widths) else [widths, widths]
    if len(pairs) == 2 and not any(map(several, pairs)):
        pairs = [pairs] * x.ndim
    if len(pairs) != x.ndim or not all(several(p) and len(p) == 2 for p in pairs):
        raise ShapeError(
            f"pad takes a pair of widths for each of the {x.ndim} axes of {x.describe()}, one pair for all of them or "
            f"one number, not {widths!r}"
        )
    return [tuple(p) for p in pairs]


def pad(x: Any, widths: Any, value: Any = 0) -> TensorVariable:
    """x with elements of `value` around it. `widths`: (before, after) for each axis, one such pair for all of them, or
    one number for all sides; they may be symbolic. ShapeError: other numbers of them, or negative ones."""
    x = as_tensor_variable(x)
    new, place = [], []
    for a, (before, after) in enumerate(_sides(x, widths)):
        n = shaping.shape_i(x, a)
        numbers = [w for w in (before, after) if isinstance(w, (int, np.integer))]
        if any(w < 0 for w in numbers):
            raise ShapeError(f"pad of axis {a} by {before} and {after}: widths are at least 0")
        if numbers == [0, 0]:
            new.append(n)
            place.append(slice(None))
            continue
        first = shaping.length_argument(before, "pad")
        new.append(math.add(n, first, shaping.length_argument(after, "pad")))
        place.append(slice(first, math.add(first, n)))
    if all(p == slice(None) for p in place):
        return x
    frame = op1("alloc", constant(value, dtype=x.dtype), *new)
    return set_subtensor(frame[tuple(place)], x)  # type: ignore[index]


def lowest(dtype: str) -> Any:
    """The value that no maximum keeps: -inf, or the smallest integer."""
    kind = DTYPES[dtype].kind
    return -float("inf") if kind == "f" else False if kind == "b" else np.iinfo(numpy_dtype(dtype)).min


POOL_MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


def pool(
    x: Any,
    size: Sequence[int],
    stride: Sequence[int] | None = None,
    padding: Sequence[int] | None = None,
    ignore_border: bool = True,
    mode: str = "max",
) -> TensorVariable:
    """Pools windows of `size` over the last axes of x, as many as `size` has numbers.

    ignore_border: leave out windows that reach over the end. mode: "max", "sum", "average_inc_pad" (the padding counts
    as zeros) or "average_exc_pad" (it does not count). A maximum never sees the padding.
    """
    x = as_tensor_variable(x)
    sizes = [_positive(s, "the size of a pooled window") for s in listed(size, "the sizes of a pooled window")]
    strides = sizes if stride is None else [_positive(s, "the stride of pooling") for s in stride]
    pads = [0] * len(sizes) if padding is None else [int(p) for p in padding]
    k = len(sizes)
    if x.ndim < k or len(strides) != k or len(pads) != k:
        raise ShapeError(
            f"pooling over {k} of {x.ndim} axes of {x.describe()}, {len(strides)} strides and {len(pads)} paddings"
        )
    if mode not in POOL_MODES:
        raise ArgumentError(f"the mode of pooling is one of {', '.join(POOL_MODES)}, not {mode!r}")
    if any(p < 0 or p >= s for p, s in zip(pads, sizes, strict=True)):
        raise ArgumentError(
            f"padding {tuple(pads)} of windows {tuple(sizes)}: each is at least 0 and less than the window"
        )
    if not ignore_border and any(pads):
        raise ArgumentError("padding goes with ignore_border=True")
    if mode != "max" and DTYPES[x.dtype].kind in "biu" and mode != "sum":
        x = cast(x, "float64")
    lead = x.ndim - k
    widths: list[tuple[Any, Any]] = [(0, 0)] * lead
    for a, (s, t, p) in enumerate(zip(sizes, strides, pads, strict=True), lead):
        widths.append((p, p) if ignore_border else (0, _over(shaping.shape_i(x, a), s, t)))

    apart = sizes == strides
    places = tuple(range(lead + 1, lead + 2 * k, 2)) if apart else tuple(range(x.ndim, x.ndim + k))

    def windows(v: Variable, fill: Any) -> TensorVariable:
        v = pad(v, widths, fill)
        if apart:
            return _parted(v, dict(enumerate(sizes, lead)))
        for a, (s, t) in enumerate(zip(sizes, strides, strict=True), lead):
            v = window(v, s, t, axis=a)
        return v

    if mode == "max":
        return math.max(windows(x, lowest(x.dtype)), axis=places)
    total = math.sum(windows(x, 0), axis=places)
    if mode == "sum":
        return total
    partial = not ignore_border or (mode == "average_exc_pad" and any(pads))
    if not partial:
        return math.true_div(total, constant(int(np.prod(sizes)), dtype=total.dtype))
    return math.true_div(total, math.sum(windows(shaping.ones_like(x), 0), axis=places))


def _over(n: Variable, size: int, stride: int) -> TensorVariable:
    """How far the last window reaches over n elements when windows may: it starts inside, and the one before it
    does not reach the end."""
    one = constant(1, dtype="int64")
    zero = constant(0, dtype="int64")
    if stride >= size:
        last = math.int_div(math.sub(n, one), constant(stride, dtype="int64"))
    else:
        last = math.maximum(
            math.int_div(math.add(n, constant(stride - 1 - size, dtype="int64")), constant(stride, dtype="int64")), zero
        )
    reach = math.add(math.mul(last, constant(stride, dtype="int64")), constant(size, dtype="int64"))
    return math.maximum(math.sub(reach, n), zero)


def convolve(
    x: Any,
    filters: Any,
    border_mode: Any = "valid",
    subsample: Sequence[int] = (1,),
    filter_flip: bool = True,
    filter_shape: Any = None,
) -> TensorVariable:
    """x[batch, channel, *places] with filters[out, channel, *places]: one output channel a filter.

    border_mode: "valid" (filters wholly inside), "full" (at least one element inside), "half" (output as long as the
    input, for odd filters), a number or one number an axis of zeros on both sides. filter_flip: convolution; otherwise
    correlation. filter_shape: the lengths of filters, where its type does not have them: windows of a known length are
    views, those of an unknown one are gathered.

    Memory: all windows, so the product of the filters' lengths but the first times the result's places (Chellapilla
    and others 2006).
    """
    x, filters = as_tensor_variable(x), as_tensor_variable(filters)
    k = len(subsample)
    for v, what in ((x, "input"), (filters, "filters")):
        if v.ndim != k + 2:
            raise ShapeError(f"the {what} of a {k}-D convolution has {k + 2} dimensions; {v.describe()} has {v.ndim}")
    dtype = promote(x.dtype, filters.dtype)
    x, filters = cast(x, dtype), cast(filters, dtype)
    if filter_shape is not None:
        filters = _declare_lengths(filters, filter_shape)
    sizes = [shaping.shape_i(filters, a) for a in range(2, k + 2)]
    x = pad(x, [(0, 0), (0, 0), *((p, p) for p in _borders(border_mode, sizes))])
    for a, (n, stride) in enumerate(zip(sizes, subsample, strict=True), 2):
        size = lengths.static(n.node)
        x = window(x, size, stride, axis=a) if size else _gathered(x, n, _positive(stride, "subsample"), a)
    if filter_flip:
        filters = filters[(slice(None),) * 2 + (slice(None, None, -1),) * k]  # type: ignore[index]
    # One product: filters[out, channel * k] with patches[channel * k, batch * place], which are in memory meanwhile.
    order = (1, *range(k + 2, 2 * k + 2), 0, *range(2, k + 2))
    patches = x.dimshuffle(*order)  # type: ignore[attr-defined]
    ends = [shaping.shape_i(patches, a) for a in range(k + 1, 2 * k + 2)]
    inner, outer = math.mul(*(shaping.shape_i(patches, a) for a in range(k + 1))), math.mul(*ends)
    out, rest = shaping.shape_i(filters, 0), math.mul(*(shaping.shape_i(filters, a) for a in range(1, k + 2)))
    made = math.dot(shaping.reshape(filters, (out, rest)), shaping.reshape(patches, (inner, outer)))
    return shaping.reshape(made, (out, *ends)).dimshuffle(1, 0, *range(2, k + 2))


def _borders(mode: Any, sizes: Sequence[Variable]) -> list[Any]:
    one = constant(1, dtype="int64")
    if mode == "valid":
        return [0] * len(sizes)
    if mode in ("full", "half"):
        found = [math.sub(n, one) if mode == "full" else math.int_div(n, constant(2, dtype="int64")) for n in sizes]
        return [
            v if lengths.static(lengths.normal(v.node)) is None else lengths.static(lengths.normal(v.node))
            for v in found
        ]
    given = (
        [mode] * len(sizes)
        if isinstance(mode, (int, np.integer))
        else list(mode)
        if isinstance(mode, (tuple, list))
        else []
    )
    if len(given) != len(sizes) or any(not isinstance(p, (int, np.integer)) or p < 0 for p in given):
        raise ArgumentError(f"border_mode is 'valid', 'full', 'half', a number, or {len(sizes)} numbers, not {mode!r}")
    return [int(p) for p in given]


def _declare_lengths(x: Any, shape: Sequence[int | None]) -> TensorVariable:
    """x with lengths that its type does not have; the call checks them."""
    if len(shape) != x.ndim:
        raise ShapeError(f"{x.describe()} has {x.ndim} dimensions; the shape given for it has {len(shape)}")
    new = [shaping.shape_i(x, a) if n is None else constant(int(n), dtype="int64") for a, n in enumerate(shape)]
    known = all(n is None or lengths.static(x.ir_type.axes[a]) == int(n) for a, n in enumerate(shape))
    # alloc checks each length, but would stretch one that the type says is 1.
    return x if known else op1("alloc", x, *new)


def _gathered(x: Variable, size: Variable, stride: int, axis: int) -> TensorVariable:
    """`window` for a size that is known only at the call."""
    n = shaping.shape_i(x, axis)
    zero = constant(0, dtype="int64")
    step = constant(stride, dtype="int64")
    count = math.maximum(math.int_div(math.add(math.sub(n, size), step), step), zero)
    starts = math.mul(shaping.arange(count), step)
    index = math.add(starts.dimshuffle(0, "x"), shaping.arange(size).dimshuffle("x", 0))  # type: ignore[attr-defined]
    out = x[(slice(None),) * axis + (index,)]  # type: ignore[index]
    order = [a for a in range(out.ndim) if a != axis + 1]
    return out.dimshuffle(*order, axis + 1)


__all__ = ["POOL_MODES", "convolve", "pad", "pool", "spread", "window"]
