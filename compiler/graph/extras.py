"""Further functions of tensors, each a short composition of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ..ir import lengths
from ..ir.dtypes import DTYPES, HALF, promote
from . import math, shaping
from .arguments import integer, integers, listed
from .config import config
from .indexing import inc_subtensor, set_subtensor
from .tensor import as_tensor_variable, cast, constant
from .variable import Variable, op1

if TYPE_CHECKING:
    from .operators import TensorVariable


def _int(n: int) -> TensorVariable:
    return constant(n, dtype="int64")


def repeat(x: Any, repeats: Any, axis: int | None = None) -> TensorVariable:
    """Each element along the axis (of the flattened tensor when None) `repeats` times, one number for all of them."""
    x = as_tensor_variable(x)
    if axis is None:
        x, axis = shaping.flatten(x) if x.ndim else x.dimshuffle("x"), 0  # type: ignore[attr-defined]
    (a,) = math.normal_axes(x, axis, "repeat")
    if as_tensor_variable(repeats).ndim:
        raise ShapeError("repeat takes one number of repetitions, not one an element")
    n = shaping.length_argument(repeats, "repeat")
    shape = [shaping.shape_i(x, k) for k in range(x.ndim)]
    copies = op1(
        "alloc",
        op1("dimshuffle", x, order=(*range(a + 1), "x", *range(a + 1, x.ndim))),
        *shape[: a + 1],
        n,
        *shape[a + 1 :],
    )
    return op1("reshape", copies, *shape[:a], math.mul(shape[a], n), *shape[a + 1 :])


def tile(x: Any, reps: Any, ndim: int | None = None) -> TensorVariable:
    """The tensor laid out `reps` times along each axis."""
    x = as_tensor_variable(x)
    times = shaping.length_arguments(reps, "tile")
    if ndim is not None and ndim > len(times):
        times = [_int(1)] * (ndim - len(times)) + times
    if len(times) > x.ndim:
        x = shaping.shape_padleft(x, len(times) - x.ndim)
    times = [_int(1)] * (x.ndim - len(times)) + times
    shape = [shaping.shape_i(x, a) for a in range(x.ndim)]
    order = [o for a in range(x.ndim) for o in ("x", a)]
    copies = op1(
        "alloc", op1("dimshuffle", x, order=tuple(order)), *[n for pair in zip(times, shape, strict=True) for n in pair]
    )
    return op1("reshape", copies, *[math.mul(t, n) for t, n in zip(times, shape, strict=True)])


def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = None) -> TensorVariable:
    """Ones where column - row <= k, zeros elsewhere."""
    return cast(_offset(N, M, k, math.ge), config.floatX if dtype is None else dtype)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> TensorVariable:
    """Ones where column - row is k, zeros elsewhere."""
    return cast(_offset(n, m, k, math.eq), config.floatX if dtype is None else dtype)


def _offset(n: Any, m: Any, k: Any, compare: Any) -> TensorVariable:
    rows = shaping.arange(shaping.length_argument(n, "the number of rows"))
    columns = rows if m is None else shaping.arange(shaping.length_argument(m, "the number of columns"))
    down, across = op1("dimshuffle", rows, order=(0, "x")), op1("dimshuffle", columns, order=("x", 0))
    return compare(math.add(down, shaping.length_argument(k, "the diagonal")), across)


def _triangle(m: Variable, k: Any) -> TensorVariable:
    return _offset(shaping.shape_i(m, m.ndim - 2), shaping.shape_i(m, m.ndim - 1), k, math.ge)


def tril(m: Any, k: Any = 0) -> TensorVariable:
    """The lower triangle of the last two axes, up to the k-th diagonal; zeros elsewhere."""
    m = _at_least(m, 2, "tril")
    return math.switch(_triangle(m, k), m, constant(0, dtype=m.dtype))


def triu(m: Any, k: Any = 0) -> TensorVariable:
    """The upper triangle of the last two axes, from the k-th diagonal; zeros elsewhere."""
    m = _at_least(m, 2, "triu")
    return math.switch(_triangle(m, math.sub(k, 1)), constant(0, dtype=m.dtype), m)


def _at_least(x: Any, ndim: int, what: str) -> TensorVariable:
    x = as_tensor_variable(x)
    if x.ndim < ndim:
        raise ShapeError(f"{what} takes at least {ndim} dimensions; {x.describe()} has {x.ndim}")
    return x


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TensorVariable:
    """The elements whose place along axis2 is that along axis1 plus offset; they lie along a new last axis."""
    a = _at_least(a, 2, "diagonal")
    (i,), (j,) = math.normal_axes(a, axis1, "diagonal"), math.normal_axes(a, axis2, "diagonal")
    if i == j:
        raise ArgumentError("diagonal of one axis with itself")
    a = op1("dimshuffle", a, order=(i, j, *[k for k in range(a.ndim) if k not in (i, j)]))
    down, right = max(-int(offset), 0), max(int(offset), 0)
    count = math.maximum(
        math.minimum(math.sub(shaping.shape_i(a, 0), _int(down)), math.sub(shaping.shape_i(a, 1), _int(right))), _int(0)
    )
    places = shaping.arange(count)
    out = a[math.add(places, _int(down)), math.add(places, _int(right))]  # type: ignore[index]
    return op1("dimshuffle", out, order=(*range(1, out.ndim), 0))


def diag(v: Any, k: int = 0) -> TensorVariable:
    """The k-th diagonal of a matrix, or the matrix whose k-th diagonal is the vector v."""
    v = as_tensor_variable(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix; {v.describe()} has {v.ndim} dimensions")
    size = math.add(shaping.shape_i(v, 0), _int(abs(k)))
    places = shaping.arange(shaping.shape_i(v, 0))
    rows, columns = math.add(places, _int(max(-k, 0))), math.add(places, _int(max(k, 0)))
    return set_subtensor(shaping.zeros((size, size), dtype=v.dtype)[rows, columns], v)  # type: ignore[index]


def trace(x: Any) -> TensorVariable:
    """The sum of the diagonal of a matrix."""
    return math.sum(diagonal(x))


def identity_like(x: Any) -> TensorVariable:
    """The unit matrix of the shape and dtype of a matrix."""
    x = _at_least(x, 2, "identity_like")
    return eye(shaping.shape_i(x, 0), shaping.shape_i(x, 1), dtype=x.dtype)


def bincount(x: Any, weights: Any = None, minlength: Any = None) -> TensorVariable:
    """How often each of 0, 1, ... occurs in a vector of integers, or the sum of the weights there.

    The result is as long as the largest element asks for, minlength at least. A negative element is not an error:
    it counts from the end, as subscripts do.
    """
    x = shaping.as_int64(as_tensor_variable(x))
    if x.ndim != 1:
        raise ShapeError(f"bincount takes a vector; {x.describe()} has {x.ndim} dimensions")
    least = shaping.length_argument(0 if minlength is None else minlength, "bincount")
    # -1 stands in for the largest element of nothing.
    size = math.maximum(math.add(math.max(shaping.concatenate([x, shaping.stack([_int(-1)])])), _int(1)), least)
    one = _int(1) if weights is None else as_tensor_variable(weights)
    return inc_subtensor(shaping.zeros((size,), dtype=one.dtype)[x], one)  # type: ignore[index]


def to_one_hot(y: Any, nb_class: Any, dtype: Any = None) -> TensorVariable:
    """A row for each class number of a vector: 1 at that place, 0 elsewhere."""
    y = as_tensor_variable(y)
    if y.ndim != 1:
        raise ShapeError(f"to_one_hot takes a vector of class numbers; {y.describe()} has {y.ndim} dimensions")
    hot = math.eq(y.dimshuffle(0, "x"), shaping.arange(nb_class).dimshuffle("x", 0))  # type: ignore[attr-defined]
    return cast(hot, config.floatX if dtype is None else dtype)


def squeeze(x: Any, axis: Any = None) -> TensorVariable:
    """Without the axes that are known to have length 1 (all of them, or those given)."""
    x = as_tensor_variable(x)
    gone = [a for a in range(x.ndim) if x.broadcastable[a]] if axis is None else math.normal_axes(x, axis, "squeeze")
    return op1("dimshuffle", x, order=tuple(a for a in range(x.ndim) if a not in gone))


def swapaxes(x: Any, axis1: int, axis2: int) -> TensorVariable:
    """Two axes exchanged."""
    x = as_tensor_variable(x)
    (a,), (b,) = math.normal_axes(x, axis1, "swapaxes"), math.normal_axes(x, axis2, "swapaxes")
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return op1("dimshuffle", x, order=tuple(order))


def roll(x: Any, shift: Any, axis: int | None = None) -> TensorVariable:
    """Elements moved along the axis, those beyond the end to the beginning."""
    x = as_tensor_variable(x)
    if axis is None:
        return (
            shaping.reshape(roll(shaping.flatten(x), shift, 0), x.shape, ndim=x.ndim)
            if x.ndim != 1
            else roll(x, shift, 0)
        )  # type: ignore[attr-defined]
    (a,) = math.normal_axes(x, axis, "roll")
    n = shaping.shape_i(x, a)
    # An axis of length 0 has no remainder: int mod 0 is 0 here, which leaves it as it is.
    cut = math.mod(math.neg(shaping.length_argument(shift, "roll")), n)
    lead = (slice(None),) * a
    return shaping.concatenate([x[(*lead, slice(cut, None))], x[(*lead, slice(None, cut))]], axis=a)  # type: ignore[index]


def round(x: Any, mode: str = "half_to_even") -> TensorVariable:
    """The nearest integer, in x's dtype; a half goes to the even one, or with mode "half_away_from_zero" outwards."""
    x = as_tensor_variable(x)
    if mode == "half_to_even":
        return math.round_half_to_even(x)
    if mode != "half_away_from_zero":
        raise ArgumentError(f"the mode of round is 'half_to_even' or 'half_away_from_zero', not {mode!r}")
    # Only exact halves differ: adding a half and taking the floor would move the number just below one half, too.
    if DTYPES[x.dtype].kind != "f":
        return x
    whole = math.trunc(x)
    half = math.eq(math.abs_(math.sub(x, whole)), constant(0.5, dtype=x.dtype))
    return math.switch(half, math.add(whole, math.sgn(x)), math.round_half_to_even(x))


def unbroadcast(x: Any, *axes: int) -> TensorVariable:
    """x itself: an axis of unknown length takes one of length 1 here, so nothing has to be declared away."""
    return as_tensor_variable(x)


def diff(x: Any, n: int = 1, axis: int = -1) -> TensorVariable:
    """The n-th differences of neighbours along the axis."""
    x = as_tensor_variable(x)
    (a,) = math.normal_axes(x, axis, "diff")
    lead = (slice(None),) * a
    for _ in range(integer(n, "n of diff")):
        x = math.sub(x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))])  # type: ignore[index]
    return x


def tensordot(a: Any, b: Any, axes: Any = 2) -> TensorVariable:
    """The product summed over axes: the last `axes` of a with the first of b, or two lists of axes."""
    return _tensordot("tensordot", as_tensor_variable(a), as_tensor_variable(b), axes, 0)


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> TensorVariable:
    """The tensordot of x[i] and y[i] for each i: over the last `axes` of x and the first of y after the batch's, or
    over two lists of axes, which are numbered with the batch's (0)."""
    return _tensordot("batched_tensordot", as_tensor_variable(x), as_tensor_variable(y), axes, 1)


def _tensordot(name: str, a: Variable, b: Variable, axes: Any, batch: int) -> TensorVariable:
    """A matrix product, or, with one axis in front that both have (`batch`), a product of batches of matrices."""
    if min(a.ndim, b.ndim) < batch:
        raise ShapeError(f"{name} of tensors with {a.ndim} and {b.ndim} dimensions: the first is the batch's")
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(a.ndim, b.ndim) - batch:
            raise ShapeError(f"{name} over {axes} axes of tensors with {a.ndim} and {b.ndim} dimensions")
        left, right = list(range(a.ndim - int(axes), a.ndim)), list(range(batch, batch + int(axes)))
    else:
        if len(listed(axes, f"the axes of {name}")) != 2:
            raise ArgumentError(f"the axes of {name} are a number or two lists, not {axes!r}")
        left, right = (integers(s, f"an axis of {name}") for s in axes)
        if len(left) != len(right):
            raise ShapeError(f"{name} over {len(left)} axes of one and {len(right)} of the other tensor")
        left, right = ([math.normal_axes(v, k, name)[0] for k in s] for v, s in ((a, left), (b, right)))
        if len(set(left)) != len(left) or len(set(right)) != len(right):
            raise ArgumentError(f"{name} over axes {tuple(axes)}: an axis twice")
        if batch and 0 in (*left, *right):
            raise ArgumentError(f"{name} over axes {tuple(axes)}: axis 0 is the batch's")
    shared = list(range(batch))
    keep_a, keep_b = ([k for k in range(batch, v.ndim) if k not in s] for v, s in ((a, left), (b, right)))
    dtype = _of_product(name, a, b)
    for k, m in zip([*shared, *left], [*shared, *right], strict=True):
        _agree(name, a, k, b, m)
    inner = _product([shaping.shape_i(a, k) for k in left])
    rows = _product([shaping.shape_i(a, k) for k in keep_a])
    columns = _product([shaping.shape_i(b, k) for k in keep_b])
    ours, theirs = ([shaping.shape_i(v, k) for k in shared] for v in (a, b))
    x = op1("reshape", op1("dimshuffle", cast(a, dtype), order=(*shared, *keep_a, *left)), *ours, rows, inner)
    y = op1("reshape", op1("dimshuffle", cast(b, dtype), order=(*shared, *right, *keep_b)), *theirs, inner, columns)
    shape = [*(shaping.shape_i(a, k) for k in (*shared, *keep_a)), *(shaping.shape_i(b, k) for k in keep_b)]
    return op1("reshape", op1("batched_dot", x, y) if batch else op1("dot", x, y), *shape)


def _product(parts: Sequence[Variable]) -> TensorVariable:
    return math.mul(_int(1), *parts) if parts else _int(1)


def _of_product(name: str, a: Variable, b: Variable) -> str:
    """The dtype of a product."""
    dtype = promote(a.dtype, b.dtype)
    if dtype == "bool":
        raise DTypeError(f"{name} of two bool tensors; cast one of them")
    return dtype


def _agree(name: str, a: Variable, k: int, b: Variable, m: int) -> None:
    """An error where axis k of a and axis m of b are known to differ."""
    have, want = lengths.static(a.ir_type.axes[k]), lengths.static(b.ir_type.axes[m])
    if have is not None and want is not None and have != want:
        raise ShapeError(f"{name}: axis {k} of {a.describe()} has length {have}, axis {m} of {b.describe()} {want}")


def batched_dot(a: Any, b: Any) -> TensorVariable:
    """The product of a[i] and b[i] for each i: matrices or vectors as in `dot`, or one of them a scalar.

    The batches are of one length: of 1, too, none stretches to the other's, unless it is one of scalars.
    """
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if not a.ndim or not b.ndim:
        raise ShapeError(f"batched_dot of tensors with {a.ndim} and {b.ndim} dimensions: the first is the batch's")
    if a.ndim == 1 or b.ndim == 1:
        wide = max(a.ndim, b.ndim)
        x, y = (shaping.shape_padright(v, wide - v.ndim) if v.ndim < wide else v for v in (a, b))
        return math.mul(x, y)
    inner = max(1, b.ndim - 2)
    if a.ndim > 3 or b.ndim > 3:
        return batched_tensordot(a, b, [[a.ndim - 1], [inner]])
    dtype = _of_product("batched_dot", a, b)
    _agree("batched_dot", a, 0, b, 0)
    _agree("batched_dot", a, a.ndim - 1, b, inner)
    if a.ndim == 3 and b.ndim == 3:
        return op1("batched_dot", cast(a, dtype), cast(b, dtype))
    # A product with a vector has nothing to tile, and as a sum it shares kernels. The halves sum their exact products.
    wide = "float32" if dtype in HALF else dtype
    x, y = cast(a, wide), cast(b, wide)
    for k, m in ((0, 0), (a.ndim - 1, inner)):  # an axis of length 1 would stretch
        if x.broadcastable[k] and not y.broadcastable[m]:
            y = shaping.addbroadcast(y, m)
        elif y.broadcastable[m] and not x.broadcastable[k]:
            x = shaping.addbroadcast(x, k)
    if a.ndim == 3:
        y = op1("dimshuffle", y, order=(0, "x", 1))
    elif b.ndim == 3:
        x = op1("dimshuffle", x, order=(0, 1, "x"))
    return cast(math.sum(math.mul(x, y), axis=2 if a.ndim == 3 else 1, dtype=wide), dtype)


__all__ = [
    "batched_dot", "batched_tensordot", "bincount", "diag", "diagonal", "diff", "eye", "identity_like", "repeat",
    "roll", "round", "squeeze", "swapaxes", "tensordot", "tile", "to_one_hot", "trace", "tri", "tril", "triu",
    "unbroadcast",
]  # fmt: skip
