"""Constants, constructors of symbolic tensors, and the conversion of Python and NumPy values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.callable import as_numbers
from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ..ir.dtypes import DTYPES, check_dtype, numpy_dtype, promote, promote_all, smallest_int
from ..ir.node import Node
from ..ir.node import constant as ir_constant
from .config import config
from .types import TensorType
from .variable import Constant, Primitive, Variable, apply_op, constant_class, op1, primitive

if TYPE_CHECKING:
    from .operators import TensorVariable


def is_literal(x: Any) -> bool:
    """Whether x is a number of Python's own. NumPy's float64 and complex128 inherit from them and keep their dtype."""
    return isinstance(x, (int, float, complex)) and not isinstance(x, np.generic)


def literal_dtype(value: Any) -> str:
    """The dtype of a Python scalar: the smallest integer that holds an int; floatX for a float when that is float32,
    otherwise the smaller of float32 and float64 that holds it exactly."""
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, int):
        return smallest_int(value)
    if isinstance(value, float):
        return "float32" if config.floatX == "float32" or _fits_float32(value) else "float64"
    if isinstance(value, complex):
        return "complex64" if complex(np.complex64(value)) == value else "complex128"
    raise DTypeError(f"{value!r} is not a number")


@lru_cache(256)
def _fits_float32(value: float) -> bool:
    with np.errstate(over="ignore"):
        return value != value or float(np.float32(value)) == value


@lru_cache(256)
def _number(kind: str, x: Any, text: str, dtype: str, ndim: int) -> Node:
    """The node of a Python number (the text tells -0.0 from 0.0): rules of derivatives write few of them very often."""
    return ir_constant(np.asarray(x, numpy_dtype(dtype)).reshape((1,) * ndim), dtype)


@lru_cache(256)
def _cast_number(number: Node, dtype: str) -> Node:
    with np.errstate(over="ignore"):
        return ir_constant(number.attr("value").array.astype(numpy_dtype(dtype)), dtype)


def _literal(x: Any, dtype: str, ndim: int = 0) -> Node:
    return _number(type(x).__name__, x, str(x), dtype, ndim)


def literal(x: Any, dtype: str, ndim: int) -> TensorVariable:
    """A Python number in a dtype that its own promotes to, and of a rank: a cast and padded constant, in one step."""
    if isinstance(x, complex):
        return pad_left(cast(constant(x), dtype), ndim)
    own = literal_dtype(x)
    node = _literal(x, own, ndim)
    return constant_class(node)(node if own == dtype else _cast_number(node, dtype))


def beside(x: int | float, tensor: Variable) -> TensorVariable | None:
    """A Python number in the dtype and rank of the tensor that it stands beside; None where that dtype is not their
    common one."""
    t = tensor.ir_type
    node = _number_beside(type(x).__name__, x, str(x), t.dtype, len(t.axes), config.floatX)
    return constant_class(node)(node) if node is not None else None


@lru_cache(256)
def _number_beside(kind: str, x: Any, text: str, dtype: str, ndim: int, floatX: str) -> Node | None:
    return literal(x, dtype, ndim).node if promote(literal_dtype(x), dtype) == dtype else None


_MADE_OF = "an expression is made of numbers and symbolic variables"


def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> TensorVariable:
    """A constant tensor; a Python number gets the dtype of `literal_dtype` unless one is given."""
    if is_literal(x) and not isinstance(x, complex):
        node = _literal(x, literal_dtype(x) if dtype is None else check_dtype(dtype), ndim or 0)
        return constant_class(node)(node, name=name)
    if isinstance(x, Variable):
        raise DTypeError(f"constant takes values, not the symbolic variable {x!r}")
    if dtype is not None:
        chosen = check_dtype(dtype)
        array = (
            as_numbers(x, _MADE_OF).astype(numpy_dtype(chosen))
            if not is_literal(x) or isinstance(x, complex)
            else np.asarray(x, numpy_dtype(chosen))
        )
    elif is_literal(x):
        chosen = literal_dtype(x)
        array = np.asarray(x, numpy_dtype(chosen))
    else:
        array = as_numbers(x, _MADE_OF)
        if (
            isinstance(x, (list, tuple))
            and array.dtype.kind in "if"
            and not any(isinstance(e, np.generic) for e in np.ravel(np.asarray(x, object)))
        ):
            flat = [e for e in array.ravel().tolist()]
            chosen = promote_all([literal_dtype(e) for e in flat]) if flat else config.floatX
            array = array.astype(numpy_dtype(chosen))
        chosen = check_dtype(array.dtype)
        array = array.astype(numpy_dtype(chosen), copy=False)
    if ndim is not None and array.ndim != ndim:
        if array.ndim > ndim:
            raise ArgumentError(f"a constant with {array.ndim} dimensions cannot have {ndim}")
        array = array.reshape((1,) * (ndim - array.ndim) + array.shape)
    node = ir_constant(array, chosen)
    return constant_class(node)(node, name=name)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> TensorVariable:
    """The symbolic variable of x: itself, a constant, or the stack of a list that holds symbolic variables.

    Raises DTypeError for what is not numeric.
    """
    if isinstance(x, Variable):
        if x.ir_type.kind != "dense":
            raise DTypeError(f"{x.describe()} is {x.type}, not a dense tensor")
        return x if ndim is None else pad_left(x, ndim)  # type: ignore[return-value]
    made = getattr(x, "_as_variable", None)
    if made is not None:
        return as_tensor_variable(made(), name, ndim)
    if isinstance(x, (list, tuple)) and _holds_variables(x):
        from .shaping import stack

        return pad_left(stack([as_tensor_variable(e) for e in x]), ndim)
    return constant(x, name, ndim)


def _holds_variables(x: Sequence[Any]) -> bool:
    stack = list(x)
    while stack:
        e = stack.pop()
        if isinstance(e, Variable):
            return True
        if isinstance(e, (list, tuple)):
            stack.extend(e)
    return False


def pad_left(x: Any, ndim: int | None) -> TensorVariable:
    """x with axes of length 1 inserted on the left up to `ndim`."""
    if ndim is None or x.ndim == ndim:
        return x
    if x.ndim > ndim:
        raise ShapeError(f"{x.describe()} has {x.ndim} dimensions where at most {ndim} fit")
    return apply_op(_padding(x.ndim, ndim), [x])[0]


@lru_cache(64)
def _padding(have: int, want: int) -> Primitive:
    return primitive("dimshuffle", order=("x",) * (want - have) + tuple(range(have)))


def cast(x: Any, dtype: Any) -> TensorVariable:
    """x converted to `dtype` ("floatX" stands for config.floatX); x itself when it has that dtype already."""
    x = as_tensor_variable(x)
    dtype = config.floatX if dtype == "floatX" else check_dtype(dtype)
    if x.dtype == dtype:
        return x
    if DTYPES[x.dtype].kind == "c" and DTYPES[dtype].kind != "c":
        raise DTypeError(f"cast of complex {x.describe()} to {dtype}; take weft.tensor.real, imag or abs_")
    if isinstance(x, Constant) and x.ndim == 0 and (DTYPES[x.dtype].kind in "biu" or DTYPES[dtype].kind in "fc"):
        node = _cast_number(x.node, dtype)
        return constant_class(node)(node, name=x.name)
    return op1("cast", x, dtype=dtype)


def _constructor(ndim: int, pattern: tuple[bool, ...], what: str) -> Callable:
    def make(name: str | None = None, dtype: Any = None) -> Any:
        return TensorType(config.floatX if dtype is None else dtype, pattern)(name)

    make.__doc__ = f"A symbolic {what} of `dtype` (config.floatX by default)."
    return make


def _plural(single: Callable, what: str) -> Callable:
    def make(*names: Any, **kwargs: Any) -> Any:
        wanted: Any = names[0] if len(names) == 1 else names  # as in Theano, a string names one variable a letter
        if isinstance(wanted, int):
            if wanted < 1:
                raise ArgumentError(f"{what}({wanted}) names no variables; the number is at least 1")
            wanted = [None] * wanted
        made = [single(n, **kwargs) for n in wanted]
        return made[0] if len(made) == 1 else made

    make.__doc__ = (
        f"Several of them in a list: {what}('a', 'b'), {what}('ab') or {what}(2). One alone comes without a list."
    )
    return make


_SHAPES: dict[str, tuple[bool, ...]] = {
    "scalar": (), "vector": (False,), "matrix": (False, False), "row": (True, False), "col": (False, True),
    "tensor3": (False,) * 3, "tensor4": (False,) * 4, "tensor5": (False,) * 5,
}  # fmt: skip
_PREFIXES = {
    "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64", "c": "complex64",
    "z": "complex128",
}  # fmt: skip
_PLURALS = {"matrix": "matrices"}


CONSTRUCTORS: dict[str, Any] = {}
for _name, _pattern in _SHAPES.items():
    _many = _PLURALS.get(_name, _name + "s")
    CONSTRUCTORS[_name] = _constructor(len(_pattern), _pattern, _name)
    CONSTRUCTORS[_many] = _plural(CONSTRUCTORS[_name], _many)
    for _p, _dtype in _PREFIXES.items():
        CONSTRUCTORS[_p + _name] = TensorType(_dtype, _pattern)  # the type itself: as_op and others take it too
        CONSTRUCTORS[_p + _many] = _plural(CONSTRUCTORS[_p + _name], _p + _many)
scalar, vector, matrix, row, col = (CONSTRUCTORS[n] for n in ("scalar", "vector", "matrix", "row", "col"))
tensor3, tensor4 = CONSTRUCTORS["tensor3"], CONSTRUCTORS["tensor4"]


def tensor(dtype: Any, broadcastable: Any = None, name: str | None = None, *, shape: Any = None) -> Any:
    """A symbolic tensor of any type: `TensorType(dtype, broadcastable)(name)`."""
    return TensorType(dtype, broadcastable, shape=shape)(name)


__all__ = [
    "CONSTRUCTORS", "as_tensor_variable", "beside", "cast", "constant", "is_literal", "literal", "literal_dtype",
    "pad_left", "tensor",
]  # fmt: skip
