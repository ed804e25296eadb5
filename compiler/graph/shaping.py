"""Shapes and rearrangements on Variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import MOST, ArgumentError, DTypeError, ShapeError
from ..ir import lengths
from ..ir.dtypes import DTYPES, check_dtype, promote_all
from .arguments import integer, listed
from .config import config
from .tensor import as_tensor_variable, cast, constant, pad_left
from .variable import Constant, Op, Variable, apply_op, op1


class Second(Op):
    """The second of two arguments. The first only counts as used: in Theano a tensor filled with ones or zeros "like"
    another depends on it, which decides what is an unused input. Where lengths are symbolic, they make it so."""

    __props__ = ()
    hands_on = (1,)

    def lower(self, inputs):
        return [inputs[1]]

    def pullback(self, node, grads):
        return [None, grads[0]]

    def pushforward(self, node, tangents):
        return [tangents[1]]

    def connection_pattern(self, node):
        return [[False], [True]]

if TYPE_CHECKING:
    from .operators import TensorVariable


class ShapeI(Op):
    """The length of one axis: in the IR nothing but the length itself, so the tensor is not computed for it."""

    __props__ = ("axis",)
    hands_on = ()

    def __init__(self, axis: int):
        self.axis = axis

    def lower(self, inputs):
        return [lengths.normal(inputs[0].type.axes[self.axis])]

    def connection_pattern(self, node):
        return [[False]]

    def __str__(self) -> str:
        return f"shape[{self.axis}]"


def shape_i(x: Any, axis: int) -> TensorVariable:
    """The length of an axis as an int64 scalar."""
    x = as_tensor_variable(x) if not isinstance(x, Variable) else x
    known = lengths.static(x.ir_type.axes[axis])
    return constant(known, dtype="int64") if known is not None else apply_op(ShapeI(axis), [x])[0]


def shape(x: Any) -> TensorVariable:
    """The lengths of all axes as an int64 vector."""
    x = as_tensor_variable(x) if not isinstance(x, Variable) else x
    if x.ndim == 0:
        return constant([], dtype="int64")
    return stack([shape_i(x, a) for a in range(x.ndim)])


def length_argument(n: Any, what: str) -> TensorVariable:
    """An int64 scalar of a length or bound given as a number or a symbolic integer."""
    v = as_tensor_variable(n)
    if v.ndim or DTYPES[v.dtype].kind not in "iub":
        shown = f"{what} takes integer scalars, not {v.describe()} : {v.type}"
        if v.ndim:
            raise ShapeError(shown)
        raise DTypeError(f"{shown}; weft.tensor.cast(..., 'int64') makes one, and // divides lengths")
    return as_int64(v)


def as_int64(v: Any) -> TensorVariable:
    """A length, a bound or an index. One of dtype uint64 that no int64 holds stays out of range: wrapped it may be -1,
    which is the last place."""
    from .math import minimum

    if v.dtype == "uint64":
        v = minimum(v, constant(MOST, dtype="uint64"))
    return cast(v, "int64")


def length_arguments(ns: Any, what: str, ndim: int | None = None) -> list[TensorVariable]:
    """The int64 scalars of a shape argument: a number, a sequence, or a symbolic vector. `ndim` says how long a vector
    is where the graph does not; checked at the call."""
    if isinstance(ns, Variable) and ns.ndim == 1:
        if ndim is not None and lengths.static(ns.ir_type.axes[0]) is None:
            ns = with_lengths(ns, [ndim])
        return unpack_vector(ns, what)
    if not isinstance(ns, (list, tuple)):
        try:
            ns = list(ns) if not isinstance(ns, Variable) and hasattr(ns, "__iter__") else [ns]
        except TypeError:
            ns = [ns]
    return [length_argument(n, what) for n in ns]


def unpack_vector(v: Variable, what: str) -> list[TensorVariable]:
    """The elements of a symbolic vector whose length is known when the graph is built."""
    from .indexing import elements

    parts = elements(v)
    if parts is not None:
        return [as_int64(p) for p in parts]
    n = lengths.static(v.ir_type.axes[0])
    if n is None:
        raise ShapeError(
            f"{what}: the number of dimensions is not known from {v.describe()}, a vector of unknown length; "
            "pass ndim= or a list"
        )
    return [as_int64(v[k]) for k in range(n)]  # type: ignore[index]


def dimshuffle(x: Any, *order: Any) -> TensorVariable:
    """Permutes axes; "x" inserts an axis of length 1, a left-out one (of length 1) is dropped."""
    x = as_tensor_variable(x)
    if len(order) == 1 and isinstance(order[0], (list, tuple)):
        order = tuple(order[0])
    new = []
    for o in order:
        if o == "x":
            new.append("x")
            continue
        o = integer(o, "an entry of dimshuffle that is not 'x'")
        if not -x.ndim <= o < x.ndim:
            raise ShapeError(f"dimshuffle{tuple(order)} of {x.describe()}, which has {x.ndim} dimensions")
        new.append(o % x.ndim)
    if new == list(range(x.ndim)):
        return x
    return op1("dimshuffle", x, order=tuple(new))


def transpose(x: Any, axes: Any = None) -> TensorVariable:
    """The axes reversed, or in the order given."""
    x = as_tensor_variable(x)
    return dimshuffle(x, *(range(x.ndim)[::-1] if axes is None else axes))


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> TensorVariable:
    """The elements in row-major order in a new shape; one length may be -1. `ndim` is checked where given."""
    x = as_tensor_variable(x)
    new = length_arguments(newshape, "reshape", ndim)
    if ndim is not None and ndim != len(new):
        raise ShapeError(f"reshape to {len(new)} lengths with ndim={ndim}")
    holes = [k for k, n in enumerate(new) if lengths.static(n.node) == -1]
    if len(holes) > 1:
        raise ShapeError("reshape with more than one -1")
    if holes:
        new[holes[0]] = _hole(x, [n for k, n in enumerate(new) if k not in holes])
    return op1("reshape", x, *new)


def _hole(x: Variable, known: list[Variable]) -> TensorVariable:
    """The length that -1 stands for."""
    from .math import int_div, mul

    # Lengths that occur on both sides cancel, so that x.reshape((x.shape[0], -1)) keeps its closed form.
    left = list(range(x.ndim))
    rest = []
    for n in known:
        same = [a for a in left if lengths.normal(n.node) is lengths.normal(x.ir_type.axes[a])]
        if same:
            left.remove(same[0])
        else:
            rest.append(n)
    total: Any = constant(1, dtype="int64")
    for a in left:
        total = mul(total, shape_i(x, a))
    for n in rest:
        total = int_div(total, n)
    return cast(total, "int64")


def flatten(x: Any, outdim: int = 1, ndim: int | None = None) -> TensorVariable:
    """x with its trailing axes joined so that `ndim` remain."""
    x = as_tensor_variable(x)
    n = outdim if ndim is None else ndim
    if n < 1 or (n > x.ndim and x.ndim > 0):
        raise ShapeError(f"flatten of {x.describe()} with {x.ndim} dimensions to {n}")
    if x.ndim == n:
        return x
    if x.ndim == 0:
        return op1("dimshuffle", x, order=("x",))
    from .math import mul

    last: Any = shape_i(x, n - 1)
    for a in range(n, x.ndim):
        last = mul(last, shape_i(x, a))
    return op1("reshape", x, *[shape_i(x, a) for a in range(n - 1)], last)


def concatenate(tensor_list: Any, axis: int = 0) -> TensorVariable:
    """Tensors joined along an axis, in their common dtype."""
    if isinstance(tensor_list, Variable):
        raise ArgumentError("concatenate takes one list of tensors: concatenate([a, b], axis)")
    xs = [as_tensor_variable(x) for x in listed(tensor_list, "the tensors that concatenate joins")]
    axis = integer(axis, "the axis of concatenate")
    if not xs:
        raise ArgumentError("concatenate of nothing")
    if xs[0].ndim == 0:
        raise ShapeError("concatenate of scalars; weft.tensor.stack joins them")
    if not -xs[0].ndim <= axis < xs[0].ndim:
        raise ShapeError(f"axis {axis} of concatenate of tensors with {xs[0].ndim} dimensions")
    dtype = promote_all([x.dtype for x in xs])
    return op1("concatenate", *[cast(x, dtype) for x in xs], axis=axis % xs[0].ndim)


def join(axis: int, *tensors: Any) -> TensorVariable:
    """`concatenate` with the axis in front, as in Theano: `join(0, a, b)`."""
    return concatenate(tensors, axis)


def stack(*tensors: Any, axis: int = 0) -> TensorVariable:
    """Tensors of one shape joined along a new axis: `stack(list)`, `stack(list, axis)`, or `stack(a, b, ..)`."""
    parts = list(tensors)
    if tensors and isinstance(tensors[0], (list, tuple)) and (
        len(tensors) == 1 or (len(tensors) == 2 and isinstance(tensors[1], (int, np.integer)))
    ):
        parts, axis = list(tensors[0]), int(tensors[1]) if len(tensors) == 2 else axis
    xs = [as_tensor_variable(x) for x in parts]
    if not xs:
        raise ArgumentError("stack of nothing")
    ndim = xs[0].ndim
    if not -ndim - 1 <= axis <= ndim:
        raise ShapeError(f"axis {axis} of stack of tensors with {ndim} dimensions")
    axis %= ndim + 1
    order = (*range(axis), "x", *range(axis, ndim))
    if any(x.ndim != ndim for x in xs):
        raise ShapeError(f"stack of tensors with {', '.join(str(x.ndim) for x in xs)} dimensions")
    return concatenate([op1("dimshuffle", x, order=order) for x in xs], axis)


def alloc(value: Any, *shape: Any) -> TensorVariable:
    """The value stretched to a shape."""
    if len(shape) == 1 and isinstance(shape[0], (list, tuple)):
        shape = tuple(shape[0])
    new = length_arguments(shape, "alloc")
    return op1("alloc", as_tensor_variable(value), *new)


def _filled(number: int, name: str) -> Any:
    def make(shape: Any, dtype: Any = None) -> TensorVariable:
        chosen = config.floatX if dtype is None else check_dtype(dtype)
        return op1(
            "alloc", constant(number, dtype=chosen), *length_arguments(shape, name)
        )

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A tensor of {name} of this shape (numbers or integer scalars), in floatX unless a dtype is given."
    return make


zeros, ones = _filled(0, "zeros"), _filled(1, "ones")


def fill(a: Any, b: Any) -> TensorVariable:
    """b in the shape of a."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    return _alloc_like(a, cast(b, promote_all([a.dtype, b.dtype]) if b.owner is not None else b.dtype))


def _alloc_like(x: Any, value: Any) -> Any:
    out = op1("alloc", value, *[shape_i(x, k) for k in range(x.ndim)]) if x.ndim or value.ndim else value
    known = all(lengths.static(n) is not None for n in x.ir_type.axes)
    return apply_op(Second(), [x, out])[0] if known and not isinstance(x, Constant) else out


def full_like(x: Any, number: Any, dtype: Any = None) -> TensorVariable:
    """A tensor of the shape of x, and of its dtype unless one is given, filled with a number."""
    x = as_tensor_variable(x)
    return _alloc_like(x, constant(number, dtype=x.dtype if dtype is None else dtype))


def zeros_like(model: Any, dtype: Any = None, opt: bool = False) -> TensorVariable:
    """Zeros in the shape of the model, and in its dtype unless one is given."""
    return full_like(model, 0, dtype)


def ones_like(model: Any, dtype: Any = None, opt: bool = False) -> TensorVariable:
    """Ones in the shape of the model, and in its dtype unless one is given."""
    return full_like(model, 1, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> TensorVariable:
    """start, start + step, ... below stop; int64 for integers unless `dtype` says otherwise."""
    from .math import add, ceil, eq, lt, maximum, mul, neq, sub, switch, true_div

    if stop is None:
        start, stop = 0, start
    start, stop, step = as_tensor_variable(start), as_tensor_variable(stop), as_tensor_variable(step)
    joint = promote_all([start.dtype, stop.dtype, step.dtype])
    chosen = check_dtype(dtype) if dtype is not None else ("int64" if DTYPES[joint].kind in "iub" else joint)
    if DTYPES[joint].kind in "iub":
        start, stop, step = map(as_int64, (start, stop, step))
        unit = lengths.static(step.node)
        if unit == 0:
            raise ArgumentError("arange with step 0")
        span = sub(stop, start)
        count = span if unit == 1 else ceil_div(span, step)
        none, endless = (constant(v, dtype="int64") for v in (0, lengths.LIMIT + 1))
        count = maximum(count, none)
        if not all(lengths.nonneg(lengths.normal(v.node)) for v in (start, stop)) and lengths.static(start.node) != 0:
            # A difference that wrapped has the other sign; the range is empty, or longer than any array.
            wrapped = neq(lt(start, stop), lt(none, span))
            count = switch(wrapped, switch(eq(lt(start, stop), lt(none, step)), endless, none), count)
        if unit is None:
            count = switch(eq(step, none), endless, count)
    else:
        if isinstance(step, Constant) and step.ndim == 0 and step.data == 0:
            raise ArgumentError("arange with step 0")
        count = maximum(cast(ceil(true_div(sub(stop, start), step)), "int64"), constant(0, dtype="int64"))
    base = op1("iota", count, dtype=chosen if DTYPES[joint].kind in "iub" and DTYPES[chosen].kind in "iu" else "int64")
    if lengths.static(start.node) == 0 and lengths.static(step.node) == 1:
        return cast(base, chosen)
    work = joint if DTYPES[joint].kind == "f" else "int64"
    return cast(add(cast(start, work), mul(cast(base, work), cast(step, work))), chosen)


def ceil_div(span: Variable, step: Variable) -> TensorVariable:
    """ceil(span / step) for integers of any sign."""
    from .math import int_div, neg

    return neg(int_div(neg(span), step))


def shape_padleft(t: Any, n_ones: int = 1) -> TensorVariable:
    """The tensor with `n_ones` axes of length 1 in front."""
    t = as_tensor_variable(t)
    return pad_left(t, t.ndim + integer(n_ones, "the number of axes that are added"))


def shape_padright(t: Any, n_ones: int = 1) -> TensorVariable:
    """The tensor with `n_ones` axes of length 1 behind."""
    t = as_tensor_variable(t)
    return op1("dimshuffle", t, order=(*range(t.ndim), *("x",) * n_ones))


def addbroadcast(x: Any, *axes: int) -> TensorVariable:
    """Declares axes to have length 1, so that they broadcast; checked at the call."""
    x = as_tensor_variable(x)
    for a in axes:
        if not -x.ndim <= integer(a, "an axis") < x.ndim:
            raise ShapeError(f"axis {a} of addbroadcast of {x.describe()}, which has {x.ndim} dimensions")
    todo = tuple(sorted(a % x.ndim for a in axes if not x.broadcastable[a]))
    return op1("rebroadcast", x, axes=todo) if todo else x


def with_lengths(x: Any, known: Sequence[int | None]) -> TensorVariable:
    """x, which has the lengths that are known; checked at the call where the graph does not tell."""
    told = x.ir_type.static_shape
    missing = {a: n for a, n in enumerate(known) if n is not None and told[a] != n}
    for a, n in missing.items():
        if told[a] is not None:
            raise ShapeError(f"axis {a} of {x.describe()} has length {told[a]}, not {n}")
    if set(missing.values()) <= {1}:
        return addbroadcast(x, *missing) if missing else x
    # No axis stretches: one that is known to be 1 is none of those that are missing.
    return alloc(x, *[shape_i(x, a) if n is None else constant(n, dtype="int64") for a, n in enumerate(known)])


def patternbroadcast(x: Any, broadcastable: Any) -> TensorVariable:
    """Declares the axes to have length 1 for which `broadcastable` says so; checked at the call."""
    return addbroadcast(x, *[a for a, b in enumerate(broadcastable) if b])
