"""The classes of dense variables: Python's operators and the methods of tensors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import ArgumentError, WeftError
from ...runtime.exchange import is_exporter
from ..ir import lengths
from ..ir.dtypes import REAL_FLOAT
from . import extras, indexing, math, shaping
from .tensor import cast, constant
from .told import already_told, tell_methods
from .trace import here
from .variable import Constant, Variable, op1, register_class, tell


def _compare(name: str):
    def f(self, other):
        out = math.binary(name, self, other)
        out._compared = True
        return out

    return f


# What NumPy calls of an array on the left of an operator -> the method of the variable on the right.
_REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__",
    "true_divide": "__rtruediv__", "floor_divide": "__rfloordiv__", "remainder": "__rmod__", "power": "__rpow__",
    "bitwise_and": "__rand__", "bitwise_or": "__ror__", "bitwise_xor": "__rxor__", "matmul": "__rmatmul__",
    "less": "__gt__", "less_equal": "__ge__", "greater": "__lt__", "greater_equal": "__le__",
}  # fmt: skip

# Functions of NumPy that look at a variable without computing; and those that read the value of a shared one.
_ASKED = {"ndim", "shape", "size", "iscomplexobj", "isrealobj"}
_READING = {
    "allclose", "array2string", "array_equal", "array_equiv", "array_repr", "array_str", "copy", "isclose",
    "may_share_memory", "save", "savetxt", "savez", "savez_compressed", "shares_memory",
}  # fmt: skip

# For type checkers the operators belong to variables; at run time they are mixed into the classes below.
_Mixed: Any = Variable if TYPE_CHECKING else object


class TensorOperators(_Mixed):
    """Operators and methods shared by variables, constants and shared variables."""

    __slots__ = ()
    __array_priority__ = 1000  # NumPy arrays on the left leave the operator to us

    __lt__, __le__, __gt__, __ge__ = (_compare(n) for n in ("lt", "le", "gt", "ge"))
    __hash__ = object.__hash__

    def __neg__(self):
        return math.neg(self)

    def __pos__(self):
        return self

    def __abs__(self):
        return math.abs_(self)

    def __invert__(self):
        return math.invert(self)

    def __getitem__(self, args):
        out = indexing.element_of_stack(self, args)
        if out is None:
            out = indexing.subtensor(self, args)
        if out is self:
            out = op1("dimshuffle", self, order=tuple(range(self.ndim)))
        out._subscript = (self, args)
        return out

    def __iter__(self):
        if not self.ndim:
            raise ArgumentError(f"cannot iterate over {self.describe()}: it is a scalar, which has no elements")
        n = lengths.static(self.ir_type.axes[0])
        if n is None:
            raise ArgumentError(
                f"cannot iterate over {self.describe()}: its length is not known; weft.scan loops over it"
            )
        return (self[k] for k in range(n))

    def __len__(self):
        raise ArgumentError(f"len({self.describe()}) is not known while the graph is built; use .shape[0]")

    def __contains__(self, element):
        raise ArgumentError(
            f"whether {self.describe()} holds a value is not known while the graph is built; write any(eq(x, value))"
        )

    def __setitem__(self, args, value):
        raise ArgumentError(
            f"{self.describe()} is an expression and does not change; y = weft.tensor.set_subtensor(x[...], value) "
            "makes another one"
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """Operators with an array on the left; other functions of NumPy compute with arrays alone."""
        if method == "__call__" and not kwargs and len(inputs) == 2 and isinstance(inputs[1], TensorOperators):
            swapped = _REFLECTED.get(ufunc.__name__)
            if swapped is not None and not isinstance(inputs[0], Variable):
                return getattr(inputs[1], swapped)(inputs[0])
        if ufunc.__name__ in ("equal", "not_equal"):  # as `==` of any two objects that know nothing of each other
            return ufunc.__name__ == "not_equal"
        raise self._not_an_array(ufunc.__name__)

    def __array_function__(self, func, types, args, kwargs):
        """Functions of NumPy compute with arrays: given a variable, they would make arrays of objects, or nonsense.

        What asks for rank, shape and the like may, and what reads an array, of variables that have a value.
        """
        name = func.__name__
        if name in _ASKED or (name in _READING and hasattr(self, "__array__")):
            return func._implementation(*args, **kwargs)
        raise self._not_an_array(name)

    def _not_an_array(self, function: str) -> ArgumentError:
        value = f"; numpy.asarray({self.name or 'v'}) is its present value" if hasattr(self, "__array__") else ""
        return ArgumentError(
            f"numpy.{function} computes with arrays, and {self.describe()} is symbolic; weft.tensor has the functions "
            f"for expressions{value}"
        )

    def __index__(self):
        raise ArgumentError(
            f"{self.describe()} is symbolic and has no value yet; Python cannot use it as an index or a count "
            "(weft.scan loops over symbolic numbers of steps, weft.tensor.arange counts)"
        )

    def __float__(self):
        if hasattr(self, "get_value"):
            raise ArgumentError(f"{self.describe()} is symbolic; its present value is .get_value()")
        raise ArgumentError(f"{self.describe()} is symbolic and has no value yet; call .eval() or compile a function")

    __int__ = __float__

    @property
    def T(self):
        return shaping.transpose(self)

    @property
    def shape(self):
        return shaping.shape(self)

    @property
    def size(self):
        out: Any = 1
        for a in range(self.ndim):
            out = math.mul(out, shaping.shape_i(self, a))
        return out if self.ndim else shaping.constant(1, dtype="int64")

    @property
    def real(self):
        return math.real(self)

    @property
    def imag(self):
        return math.imag(self)

    def dimshuffle(self, *order):
        return shaping.dimshuffle(self, *order)

    def transpose(self, *axes):
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (list, tuple)) else axes
        return shaping.transpose(self, order or None)

    def swapaxes(self, axis1, axis2):
        return extras.swapaxes(self, axis1, axis2)

    def squeeze(self, axis=None):
        return extras.squeeze(self, axis)

    def diagonal(self, offset=0, axis1=0, axis2=1):
        return extras.diagonal(self, offset, axis1, axis2)

    def repeat(self, repeats, axis=None):
        return extras.repeat(self, repeats, axis)

    def reshape(self, shape, *rest, ndim=None):
        return shaping.reshape(self, (shape, *rest) if rest else shape, ndim)

    def flatten(self, ndim=1):
        return shaping.flatten(self, ndim=ndim)

    def ravel(self):
        return shaping.flatten(self)

    def astype(self, dtype):
        return cast(self, dtype)

    def copy(self, name=None):
        out = op1("dimshuffle", self, order=tuple(range(self.ndim)))
        out.name = name
        return out

    def dot(self, other):
        return math.dot(self, other)

    def sum(self, axis=None, dtype=None, keepdims=False, acc_dtype=None):
        return math.sum(self, axis, dtype, keepdims, acc_dtype)

    def prod(self, axis=None, dtype=None, keepdims=False, acc_dtype=None):
        return math.prod(self, axis, dtype, keepdims, acc_dtype)

    def mean(self, axis=None, dtype=None, keepdims=False, acc_dtype=None):
        return math.mean(self, axis, dtype, keepdims=keepdims, acc_dtype=acc_dtype)

    def var(self, axis=None, ddof=0, keepdims=False):
        return math.var(self, axis, ddof, keepdims)

    def std(self, axis=None, ddof=0, keepdims=False):
        return math.std(self, axis, ddof, keepdims)

    def max(self, axis=None, keepdims=False):
        return math.max(self, axis, keepdims)

    def min(self, axis=None, keepdims=False):
        return math.min(self, axis, keepdims)

    def argmax(self, axis=None, keepdims=False):
        return math.argmax(self, axis, keepdims)

    def argmin(self, axis=None, keepdims=False):
        return math.argmin(self, axis, keepdims)

    def any(self, axis=None, keepdims=False):
        return math.any(self, axis, keepdims)

    def all(self, axis=None, keepdims=False):
        return math.all(self, axis, keepdims)

    def cumsum(self, axis=None):
        return math.cumsum(self, axis)

    def sort(self, axis=-1):
        return math.sort(self, axis)

    def argsort(self, axis=-1):
        return math.argsort(self, axis)

    def nonzero(self, return_matrix=False):
        return indexing.nonzero(self, return_matrix)

    def take(self, indices, axis=None):
        return indexing.take(self, indices, axis)

    def clip(self, a_min, a_max):
        return math.clip(self, a_min, a_max)

    def round(self, mode="half_to_even"):
        return extras.round(self, mode)

    def conj(self):
        return math.conj(self)

    conjugate = conj

    def norm(self, L, axis=None, keepdims=False):
        """The L-norm: of all elements, or along axes. L: a number, an infinity, or 0 for the count of nonzero ones."""
        if L == 0:
            return math.sum(math.neq(self, 0), axis, keepdims=keepdims)
        x = math.abs_(self)
        if np.isinf(L):
            return (math.max if L > 0 else math.min)(x, axis, keepdims)
        if L == 1:
            return math.sum(x, axis, keepdims=keepdims)
        # A float of x's dtype as the exponent: x keeps it.
        power, root = (constant(n, dtype=x.dtype) if x.dtype in REAL_FLOAT else n for n in (L, 1 / L))
        return math.pow(math.sum(math.pow(x, power), axis, keepdims=keepdims), root)

    def fill(self, value):
        return shaping.fill(self, value)

    def zeros_like(self, dtype=None):
        return shaping.zeros_like(self, dtype)

    def ones_like(self, dtype=None):
        return shaping.ones_like(self, dtype)

    @property
    def rng(self):
        """The state that a random variable was drawn with."""
        return _of_tag(self, "rng")

    @property
    def update(self):
        """(state, next state) of a random variable."""
        return _of_tag(self, "update")


def _of_tag(v: Any, name: str) -> Any:
    found = getattr(v._tag, name, None)
    if found is None:
        raise AttributeError(f"{v.describe()} has no attribute {name!r}: it was not drawn by a random stream")
    return found


def _install_binary() -> None:
    table = {
        **{name: partial(math.binary, name) for name in ("add", "sub", "mul")},
        "truediv": math.true_div, "floordiv": math.int_div, "mod": math.mod, "pow": math.pow,
        "and": math.and_, "or": math.or_, "xor": math.xor, "matmul": math.matmul,
    }  # fmt: skip
    for name, f in table.items():
        setattr(TensorOperators, f"__{name}__", _forward(f, name))
        setattr(TensorOperators, f"__r{name}__", _backward(f, name))


def _acceptable(x: Any) -> bool:
    return (
        isinstance(x, (Variable, int, float, complex, bool, np.ndarray, np.generic, list, tuple))
        or hasattr(x, "_as_variable")
        or is_exporter(x)
    )


def _forward(f, name):
    def method(self, other):
        try:
            return f(self, other) if _acceptable(other) else NotImplemented
        except WeftError as e:
            tell(e, name, (self, other), here())
            raise

    return already_told(method)


def _backward(f, name):
    def method(self, other):
        try:
            return f(other, self) if _acceptable(other) else NotImplemented
        except WeftError as e:
            tell(e, name, (other, self), here())
            raise

    return already_told(method)


_install_binary()
for _name in (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "floor", "ceil", "trunc", "sin", "cos", "tan",
    "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh",
):  # fmt: skip
    setattr(TensorOperators, _name, (lambda f: lambda self: f(self))(getattr(math, _name)))
tell_methods(TensorOperators)


class TensorVariable(TensorOperators, Variable):
    """A dense symbolic tensor."""

    __slots__ = ()
    __hash__ = object.__hash__


class TensorConstant(TensorOperators, Constant):
    """A dense tensor whose value is part of the program."""

    __slots__ = ()
    __hash__ = object.__hash__


register_class("dense", TensorVariable)
register_class("dense", TensorConstant, is_constant=True)
