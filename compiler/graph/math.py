"""Elementwise functions, reductions and products on Variables: Theano's names, promotion and arguments."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...runtime.errors import ArgumentError, DTypeError, ShapeError, WeftError
from ..ir import lengths
from ..ir.dtypes import DTYPES, HALF, check_dtype, promote, promote_all
from .config import config
from .tensor import as_tensor_variable, beside, cast, constant, is_literal, literal, literal_dtype, pad_left
from .told import already_told
from .trace import here
from .variable import Variable, apply_op, op1, primitive, tell

if TYPE_CHECKING:
    from .operators import TensorVariable

# What a float-valued function makes of integers (Theano's upgrade_to_float).
_UPGRADE = {"bool": "float32", "int8": "float32", "int16": "float32", "uint8": "float32", "uint16": "float32"}


def upgrade(dtype: str) -> str:
    return dtype if DTYPES[dtype].kind in "fc" else _UPGRADE.get(dtype, "float64")


def aligned(*xs: Any) -> list[TensorVariable]:
    """The arguments as tensors of equal rank (axes of length 1 inserted on the left)."""
    return _padded([as_tensor_variable(x) for x in xs])


def common(*xs: Any) -> list[TensorVariable]:
    """Cast to the common dtype, and aligned. In this order, since the cast of a constant is a constant."""
    if _alike(xs):
        return list(xs)
    for x, other in (xs, xs[::-1]) if len(xs) == 2 else ():
        if type(x) in (int, float) and isinstance(other, Variable) and other.ir_type.kind == "dense":
            number: Any = beside(x, other)
            if number is not None:
                pair: list[Any] = [number, other]
                return pair if other is xs[1] else pair[::-1]
    out: list[Any] = [as_tensor_variable(x) if isinstance(x, Variable) or not is_literal(x) else x for x in xs]
    dtypes = [v.ir_type.dtype if isinstance(v, Variable) else literal_dtype(v) for v in out]
    dtype = promote_all(dtypes)
    ndim = builtins.max([len(v.ir_type.axes) if isinstance(v, Variable) else 0 for v in out])
    for k, v in enumerate(out):
        if not isinstance(v, Variable):
            out[k] = literal(v, dtype, ndim)
        elif dtypes[k] != dtype:
            out[k] = cast(v, dtype)
    return _padded(out)


def _alike(xs: tuple) -> bool:
    """Whether all are dense variables of one dtype and rank, as most are."""
    dtype, ndim = None, 0
    for x in xs:
        if not isinstance(x, Variable):
            return False
        t = x.ir_type
        if dtype is None:
            dtype, ndim = t.dtype, len(t.axes)
        if t.dtype != dtype or len(t.axes) != ndim or t.kind != "dense":
            return False
    return True


def _padded(xs: list[Any]) -> list[Any]:
    ranks = [len(v.ir_type.axes) for v in xs]
    if ranks.count(ranks[0]) == len(ranks):
        return xs
    ndim = builtins.max(ranks)
    return [pad_left(v, ndim) for v in xs]


def binary(name: str, a: Any, b: Any) -> TensorVariable:
    return apply_op(primitive(name), common(a, b))[0]


def float_unary(name: str, x: Any) -> TensorVariable:
    x = as_tensor_variable(x)
    dtype = upgrade(x.dtype)
    return op1(name, x if x.dtype == dtype else cast(x, dtype))


def _make_float_unary(name: str, op: str | None = None) -> Callable:
    def f(x: Any) -> TensorVariable:
        try:
            return float_unary(op or name, x)
        except WeftError as e:
            tell(e, name, (x,), here())
            raise

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"Elementwise {name}; integers become floats first."
    return already_told(f)


def _make_binary(name: str, op: str | None = None) -> Callable:
    def f(a: Any, b: Any) -> TensorVariable:
        try:
            return binary(op or name, a, b)
        except WeftError as e:
            tell(e, name, (a, b), here())
            raise

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"Elementwise {name} of two tensors, broadcast, in their common dtype."
    return already_told(f)


exp, log, log1p, expm1, sqrt = (_make_float_unary(n) for n in ("exp", "log", "log1p", "expm1", "sqrt"))
exp2, log2, log10 = (_make_float_unary(n) for n in ("exp2", "log2", "log10"))
sin, cos, tan, sinh, cosh, tanh = (_make_float_unary(n) for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh"))
arcsin, arccos, arctan = (_make_float_unary("arc" + n[1:], n) for n in ("asin", "acos", "atan"))
arcsinh, arccosh, arctanh = (_make_float_unary("arc" + n[1:], n) for n in ("asinh", "acosh", "atanh"))
sigmoid, softplus, cbrt = (_make_float_unary(n) for n in ("sigmoid", "softplus", "cbrt"))
erf, erfc, erfinv = (_make_float_unary(n) for n in ("erf", "erfc", "erfinv"))
reciprocal_, floor_, ceil_, trunc_, round_ = (
    _make_float_unary(n) for n in ("reciprocal", "floor", "ceil", "trunc", "round")
)
maximum, minimum = _make_binary("maximum"), _make_binary("minimum")
eq, neq, lt, le, gt, ge = (_make_binary(n, o) for n, o in zip(
    ("eq", "neq", "lt", "le", "gt", "ge"), ("eq", "ne", "lt", "le", "gt", "ge"), strict=True))  # fmt: skip
and_, or_, xor = (_make_binary(name, n) for name, n in (("and_", "and"), ("or_", "or"), ("xor", "xor")))


def add(a: Any, *rest: Any) -> TensorVariable:
    """The sum of two or more tensors, elementwise."""
    out = a if rest else as_tensor_variable(a)
    for b in rest:
        out = binary("add", out, b)
    return out


def mul(a: Any, *rest: Any) -> TensorVariable:
    """The product of two or more tensors, elementwise."""
    out = a if rest else as_tensor_variable(a)
    for b in rest:
        out = binary("mul", out, b)
    return out


def sub(a: Any, b: Any) -> TensorVariable:
    """a - b, broadcast, in their common dtype."""
    return binary("sub", a, b)


def true_div(a: Any, b: Any) -> TensorVariable:
    """a / b; int / int gives floatX."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    dtype = promote(a.dtype, b.dtype)
    if DTYPES[dtype].kind not in "fc":
        dtype = config.floatX
    return op1("truediv", *aligned(cast(a, dtype), cast(b, dtype)))


def int_div(a: Any, b: Any) -> TensorVariable:
    """Floored quotient; an integer divided by 0 gives 0."""
    a, b = common(a, b)
    if a.dtype == "bool":
        a, b = cast(a, "int8"), cast(b, "int8")
    return op1("floordiv", a, b)


def mod(a: Any, b: Any) -> TensorVariable:
    """The remainder of `int_div`, with the sign of the divisor; 0 for an integer modulo 0."""
    a, b = common(a, b)
    if a.dtype == "bool":
        a, b = cast(a, "int8"), cast(b, "int8")
    return op1("mod", a, b)


def arctan2(a: Any, b: Any) -> TensorVariable:
    """The angle of the point (b, a); integers become floats first."""
    a, b = common(a, b)
    dtype = upgrade(a.dtype)
    return op1("atan2", cast(a, dtype), cast(b, dtype))


def pow(a: Any, b: Any) -> TensorVariable:
    """a to the power b, broadcast, in their common dtype; integers wrap, negative powers of them are cut off."""
    a, b = common(a, b)
    if a.dtype == "bool":
        a, b = cast(a, "int8"), cast(b, "int8")
    return op1("pow", a, b)


def neg(x: Any) -> TensorVariable:
    """-x; not for bools."""
    return op1("neg", as_tensor_variable(x))


def abs_(x: Any) -> TensorVariable:
    """The absolute value; of a complex number its modulus, a real."""
    return op1("abs", as_tensor_variable(x))


def sgn(x: Any) -> TensorVariable:
    """-1, 0 or 1; NaN stays NaN."""
    return op1("sgn", as_tensor_variable(x))


def sqr(x: Any) -> TensorVariable:
    """x * x."""
    return op1("sqr", as_tensor_variable(x))


def _keeps_integers(name: str) -> Callable:
    def f(x: Any) -> TensorVariable:
        x = as_tensor_variable(x)
        return x if DTYPES[x.dtype].kind in "biu" else op1(name, x)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"Elementwise {name}; integers stay as they are."
    return f


floor, ceil, trunc, round_half_to_even = (_keeps_integers(n) for n in ("floor", "ceil", "trunc", "round"))


def inv(x: Any) -> TensorVariable:
    """1 / x; integers become floats first."""
    return float_unary("reciprocal", x)


def invert(x: Any) -> TensorVariable:
    """Each bit turned over; of a bool the other truth value."""
    return op1("invert", as_tensor_variable(x))


def isnan(x: Any) -> TensorVariable:
    """Where x is NaN: a bool for each element."""
    x = as_tensor_variable(x)
    return op1("isnan", x) if DTYPES[x.dtype].kind == "f" else ne_self(x)


def isinf(x: Any) -> TensorVariable:
    """Where x is infinite, of either sign: a bool for each element."""
    x = as_tensor_variable(x)
    if DTYPES[x.dtype].kind == "c":
        return or_(op1("isinf", real(x)), op1("isinf", imag(x)))
    return op1("isinf", x) if DTYPES[x.dtype].kind == "f" else ne_self(x)


def ne_self(x: Variable) -> TensorVariable:
    return op1("ne", x, x)


def real(x: Any) -> TensorVariable:
    """The real part; of a real tensor the tensor itself."""
    x = as_tensor_variable(x)
    return op1("real", x) if DTYPES[x.dtype].kind == "c" else x


def imag(x: Any) -> TensorVariable:
    """The imaginary part; of a real tensor zeros."""
    from .shaping import zeros_like

    x = as_tensor_variable(x)
    return op1("imag", x) if DTYPES[x.dtype].kind == "c" else zeros_like(x)


def conj(x: Any) -> TensorVariable:
    """The complex conjugate; of a real tensor the tensor itself."""
    x = as_tensor_variable(x)
    return op1("conj", x) if DTYPES[x.dtype].kind == "c" else x


def complex(real: Any, imag: Any) -> TensorVariable:
    """The complex tensor with these parts (float32 gives complex64, all else complex128)."""
    a, b = common(real, imag)
    dtype = "float32" if a.dtype == "float32" else "float64"
    return op1("complex", cast(a, dtype), cast(b, dtype))


def switch(condition: Any, a: Any, b: Any) -> TensorVariable:
    """Elementwise a where the condition is nonzero, else b; both are computed."""
    c, a, b = as_tensor_variable(condition), as_tensor_variable(a), as_tensor_variable(b)
    dtype = promote(a.dtype, b.dtype)
    c = cast(c, "bool") if DTYPES[c.dtype].kind != "c" else neq(c, 0)
    return op1("switch", *aligned(c, cast(a, dtype), cast(b, dtype)))


def where(condition: Any, a: Any, b: Any) -> TensorVariable:
    """`switch` under NumPy's name: a where the condition is nonzero, else b."""
    return switch(condition, a, b)


def clip(x: Any, min: Any, max: Any) -> TensorVariable:
    """x limited to [min, max]; NaN stays NaN."""
    return minimum(maximum(x, min), max)


def relu(x: Any, alpha: Any = 0) -> TensorVariable:
    """max(x, 0); with alpha, alpha * x where x is negative."""
    x = as_tensor_variable(x)
    if isinstance(alpha, int) and alpha == 0:
        return maximum(x, constant(0, dtype=x.dtype))
    return switch(gt(x, constant(0, dtype=x.dtype)), x, mul(x, alpha))


def _axis_number(axis: Any) -> int | None:
    """An integer or an integer constant as a number, None for anything else."""
    if isinstance(axis, Variable):
        return lengths.static(axis.node) if not axis.ndim and DTYPES[axis.dtype].kind in "iu" else None
    try:
        return operator.index(axis)
    except TypeError:
        return None


def normal_axes(x: Variable, axis: Any, what: str) -> tuple[int, ...]:
    """Sorted axis numbers of an `axis` argument (None is all of them)."""
    if axis is None:
        return tuple(range(x.ndim))
    given = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    out = []
    for a in map(_axis_number, given):
        if a is None:
            raise ArgumentError(
                f"the axis of {what} of {x.describe()} is {axis!r}; axes are integers, known when the graph is built"
            )
        if not -x.ndim <= a < x.ndim:
            raise ShapeError(f"axis {a} of {what} of {x.describe()}, which has {x.ndim} dimensions")
        out.append(a % x.ndim)
    if len(set(out)) != len(out):
        raise ArgumentError(f"{what} over axes {tuple(given)}: an axis twice")
    return tuple(sorted(out))


def keep_axes(out: Variable, ndim: int, axes: tuple[int, ...]) -> TensorVariable:
    """The reduced axes back as axes of length 1."""
    kept = iter(range(out.ndim))
    return op1("dimshuffle", out, order=tuple("x" if a in axes else next(kept) for a in range(ndim)))


def _reduce(name: str, x: Any, axis: Any, keepdims: bool) -> TensorVariable:
    axes = normal_axes(x, axis, name)
    out = op1(name, x, axes=axes) if axes or name not in ("sum", "prod", "max", "min", "any", "all") else x
    return keep_axes(out, x.ndim, axes) if keepdims else out


_SUM_DTYPE = {
    "bool": "int64",
    "int8": "int64",
    "int16": "int64",
    "int32": "int64",
    "uint8": "uint64",
    "uint16": "uint64",
    "uint32": "uint64",
}


def sum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None) -> TensorVariable:
    """The sum over the axes; small integers add up as int64 (uint64 if unsigned) unless `dtype` says otherwise."""
    x = as_tensor_variable(x)
    return _accumulate("sum", x, axis, dtype, keepdims, acc_dtype)


def prod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None) -> TensorVariable:
    """The product over the axes; dtypes as in `sum`."""
    x = as_tensor_variable(x)
    return _accumulate("prod", x, axis, dtype, keepdims, acc_dtype)


def _accumulate(name: str, x: Variable, axis: Any, dtype: Any, keepdims: bool, acc_dtype: Any) -> TensorVariable:
    out = check_dtype(dtype) if dtype is not None else _SUM_DTYPE.get(x.dtype, x.dtype)
    acc = check_dtype(acc_dtype) if acc_dtype is not None else out
    return cast(_reduce(name, cast(x, acc), axis, keepdims), out)


def mean(
    x: Any, axis: Any = None, dtype: Any = None, op: bool = False, keepdims: bool = False, acc_dtype: Any = None
) -> TensorVariable:
    """The sum divided by the number of elements; integers give float64."""
    x = as_tensor_variable(x)
    if dtype is not None:
        chosen = check_dtype(dtype)
    else:
        chosen = "float64" if DTYPES[x.dtype].kind in "biu" else x.dtype
    axes = normal_axes(x, axis, "mean")
    work = "float32" if chosen in HALF else chosen  # a half type has neither the sum, perhaps, nor the count
    total = _accumulate("sum", x, axis, work, keepdims, acc_dtype)
    from .shaping import shape_i

    count: Any = constant(1, dtype="int64")
    for a in axes:
        count = mul(count, shape_i(x, a))
    return cast(true_div(total, cast(count, work)), chosen)


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> TensorVariable:
    """The mean squared distance from the mean, of one pass over x; real for a complex x."""
    x = as_tensor_variable(x)
    axes = normal_axes(x, axis, "var")
    kind = DTYPES[x.dtype].kind
    if kind == "c":
        total: TensorVariable = add(*(_devsq(part(x), axes, keepdims) for part in (real, imag)))
        dtype = total.dtype
    else:
        dtype = "float64" if kind in "biu" else x.dtype
        # The sum over a half type would overflow where its mean does not.
        total = _devsq(cast(x, "float32" if dtype in HALF else dtype), axes, keepdims)
    from .shaping import shape_i

    count: Any = constant(1, dtype="int64")
    for a in axes:
        count = mul(count, shape_i(x, a))
    if ddof:
        count = add(count, constant(-ddof, dtype="int64"))
    return cast(true_div(total, cast(count, total.dtype)), dtype)


def _devsq(x: Variable, axes: tuple[int, ...], keepdims: bool) -> TensorVariable:
    """The sum of squared deviations from the mean."""
    out = op1("devsq", x, axes=axes)
    return keep_axes(out, x.ndim, axes) if keepdims else out


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> TensorVariable:
    """The standard deviation, the square root of `var`; `ddof` is subtracted from the number of elements."""
    return sqrt(var(x, axis, ddof, keepdims))


def max(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The largest element; NaN where there is one."""
    return _reduce("max", as_tensor_variable(x), axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The smallest element; NaN where there is one."""
    return _reduce("min", as_tensor_variable(x), axis, keepdims)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The index of the first largest element (of the flattened tensor when axis is None), int64."""
    return _reduce("argmax", as_tensor_variable(x), axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """The index of the first smallest element (of the flattened tensor when axis is None), int64."""
    x = as_tensor_variable(x)
    return argmax(invert(x) if DTYPES[x.dtype].kind in "biu" else neg(x), axis, keepdims)


def max_and_argmax(a: Any, axis: Any = None, keepdims: bool = False) -> list[TensorVariable]:
    """[max, argmax] of one pass."""
    x = as_tensor_variable(a)
    axes = normal_axes(x, axis, "max_and_argmax")
    outs = apply_op(primitive("max_and_argmax", axes=axes), [x])
    return [keep_axes(o, x.ndim, axes) for o in outs] if keepdims else outs


def _boolean(x: Any) -> TensorVariable:
    x = as_tensor_variable(x)
    return x if x.dtype == "bool" else neq(x, constant(0, dtype=x.dtype))


def any(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """Whether any element is nonzero: bool."""
    return _reduce("any", _boolean(x), axis, keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> TensorVariable:
    """Whether all elements are nonzero: bool."""
    return _reduce("all", _boolean(x), axis, keepdims)


def dot(a: Any, b: Any) -> TensorVariable:
    """The product summed over the last axis of a and the last but one of b (its only one); a scalar multiplies."""
    from . import sparse

    if sparse.is_sparse(a) or sparse.is_sparse(b):
        return sparse.structured_dot(a, b)
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    if a.ndim > 2 or b.ndim > 2:
        from .extras import tensordot

        return tensordot(a, b, [[a.ndim - 1], [builtins.max(0, b.ndim - 2)]])
    dtype = promote(a.dtype, b.dtype)
    if dtype == "bool":
        raise DTypeError("dot of two bool tensors; cast one of them")
    return op1("dot", cast(a, dtype), cast(b, dtype))


def matmul(a: Any, b: Any) -> TensorVariable:
    """a @ b: as `dot` for a b of at most two axes; the product of the matrices a[i] and b[i] for three axes each."""
    a, b = (v if isinstance(v, Variable) else as_tensor_variable(v) for v in (a, b))
    if a.ndim == 3 and b.ndim == 3:
        from .extras import batched_dot

        return batched_dot(a, b)
    if not a.ndim or not b.ndim or b.ndim > 2:
        raise ShapeError(
            f"{a.describe()} @ {b.describe()} of {a.ndim} and {b.ndim} dimensions; weft.tensor.dot, tensordot and "
            "batched_dot say which axes are meant"
        )
    return dot(a, b)


def outer(a: Any, b: Any) -> TensorVariable:
    """The outer product of two vectors (others are flattened)."""
    from .shaping import flatten

    a, b = flatten(a), flatten(b)
    return mul(a.dimshuffle(0, "x"), b.dimshuffle("x", 0))


def cumsum(x: Any, axis: int | None = None) -> TensorVariable:
    """Running sums along the axis (of the flattened tensor when None); dtypes as in `sum`."""
    x = as_tensor_variable(x)
    if axis is None:
        x, axis = x.flatten(), 0
    (a,) = normal_axes(x, axis, "cumsum")
    return op1("cumsum", cast(x, _SUM_DTYPE.get(x.dtype, x.dtype)), axis=a, reverse=False)


def _along_last(name: str, x: Any, axis: int | None) -> TensorVariable:
    x = as_tensor_variable(x)
    if axis is None:
        x, axis = x.flatten(), -1
    (a,) = normal_axes(x, axis, name)
    if a == x.ndim - 1:
        return op1(name, x)
    order = [k for k in range(x.ndim) if k != a] + [a]
    back = [order.index(k) for k in range(x.ndim)]
    return op1(name, x.dimshuffle(*order)).dimshuffle(*back)


def sort(x: Any, axis: int | None = -1) -> TensorVariable:
    """Ascending along the axis, NaN last."""
    return _along_last("sort", x, axis)


def argsort(x: Any, axis: int | None = -1) -> TensorVariable:
    """The stable permutation that sorts, int64."""
    return _along_last("argsort", x, axis)
