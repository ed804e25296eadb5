"""Elementwise operations: every argument has the same rank, the same dtype where the table says so.

One row an operation: name -> (number of arguments, dtypes accepted, result dtype). The result dtype is "same",
"bool" or "real" (the dtype of the real part); the rest is as in `OpDef`.
"""

from __future__ import annotations

from typing import NamedTuple

from ....runtime.errors import DTypeError
from ..dtypes import COMPLEX, DISCRETE, DTYPES, FLOATING, REAL_FLOAT, real_of
from ..node import Node, Typed, define
from ..types import TensorType
from .common import dense, joined, one_of, same_dtype

ANY = frozenset(DTYPES)
NUMBER = ANY - {"bool"}
REAL = ANY - COMPLEX


class Row(NamedTuple):
    arity: int
    accepts: frozenset[str]
    result: str = "same"
    costly: bool = False
    commutative: bool = False


ELEMENTWISE: dict[str, Row] = {
    "neg": Row(1, NUMBER), "sgn": Row(1, REAL), "sqr": Row(1, NUMBER), "abs": Row(1, ANY, "real"),
    "reciprocal": Row(1, FLOATING, costly=True), "sqrt": Row(1, FLOATING, costly=True),
    "floor": Row(1, REAL_FLOAT), "ceil": Row(1, REAL_FLOAT), "trunc": Row(1, REAL_FLOAT),
    "round": Row(1, REAL_FLOAT), "invert": Row(1, DISCRETE),
    "isnan": Row(1, REAL_FLOAT, "bool"), "isinf": Row(1, REAL_FLOAT, "bool"),
    "real": Row(1, COMPLEX, "real"), "imag": Row(1, COMPLEX, "real"), "conj": Row(1, COMPLEX),
    **{n: Row(1, FLOATING, costly=True) for n in ("exp", "log")},
    **{n: Row(1, REAL_FLOAT, costly=True) for n in (
        "exp2", "log2", "log10", "log1p", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh",
        "asin", "acos", "atan", "asinh", "acosh", "atanh", "cbrt", "sigmoid", "softplus", "erf", "erfc", "erfinv")},
    **{n: Row(2, ANY, commutative=True) for n in ("add", "mul")},
    **{n: Row(2, REAL, commutative=True) for n in ("maximum", "minimum")},
    "sub": Row(2, NUMBER), "truediv": Row(2, FLOATING, costly=True),
    "floordiv": Row(2, REAL, costly=True), "mod": Row(2, REAL, costly=True), "pow": Row(2, NUMBER, costly=True),
    "atan2": Row(2, REAL_FLOAT, costly=True),
    **{n: Row(2, DISCRETE, commutative=True) for n in ("and", "or", "xor")},
    **{n: Row(2, ANY, "bool", commutative=True) for n in ("eq", "ne")},
    **{n: Row(2, REAL, "bool") for n in ("lt", "le", "gt", "ge")},
}  # fmt: skip

DIVISIONS = ("truediv", "reciprocal", "sqrt")  # costly, but one instruction


def is_function(n: Node) -> bool:
    """Whether an operation on elements is computed by many instructions."""
    return n.definition.costly and n.op not in DIVISIONS


def _enter(name: str, row: Row) -> None:
    arity = row.arity
    results = {t: {"same": t, "bool": "bool", "real": real_of(t)}[row.result] for t in row.accepts}

    @define(name, "elementwise", costly=row.costly, commutative=row.commutative, by_types=True)
    def typing(inputs, attrs):
        if len(inputs) != arity:
            raise DTypeError(f"{name} takes {arity} arguments, not {len(inputs)}")
        first, last = inputs[0].type, inputs[-1].type
        for t in (first,) if first is last else (first, last):
            if type(t) is not TensorType or t.kind != "dense":
                dense(name, t)  # says what is wrong
        dtype = first.dtype
        if dtype != last.dtype:
            same_dtype(name, (first, last))
        out = results.get(dtype)
        if out is None:
            raise DTypeError(f"{name} is not defined for {dtype}")
        if first is last or first.axes == last.axes:
            return first if out == dtype else TensorType(out, first.axes)
        axes, checks = joined(name, (first, last))
        for t in (first, last):  # types are shared where they are equal: one object is compared and kept faster
            if t.dtype == out and t.axes == axes:
                return Typed(t, checks) if checks else t
        return Typed(TensorType(out, axes), checks)


for _name, _row in ELEMENTWISE.items():
    _enter(_name, _row)


@define("cast", "elementwise", by_types=True)
def cast(inputs, attrs):
    """Conversion: float to int saturates and NaN gives 0, int to int wraps, complex to real takes the real part."""
    dense("cast", *inputs)
    one_of("cast", "dtype", attrs["dtype"], tuple(DTYPES))
    if len(inputs) != 1:
        raise DTypeError(f"cast takes 1 argument, not {len(inputs)}")
    return TensorType(attrs["dtype"], inputs[0].type.axes)


@define("switch", "elementwise", by_types=True)
def switch(inputs, attrs):
    """switch(condition, a, b): both branches are values already."""
    dense("switch", *inputs)
    if inputs[0].type.dtype != "bool":
        raise DTypeError(f"the condition of switch is {inputs[0].type.dtype}, not bool")
    if len(inputs) != 3:
        raise DTypeError(f"switch takes 3 arguments, not {len(inputs)}")
    dtype = same_dtype("switch", inputs[1:])
    axes, checks = joined("switch", inputs)
    return Typed(TensorType(dtype, axes), checks)


@define("complex", "elementwise", by_types=True)
def complex_(inputs, attrs):
    """complex(real, imaginary)."""
    dense("complex", *inputs)
    if len(inputs) != 2:
        raise DTypeError(f"complex takes 2 arguments, not {len(inputs)}")
    dtype = same_dtype("complex", inputs)
    if dtype not in ("float32", "float64"):
        raise DTypeError(f"complex is made of float32 or float64, not {dtype}")
    axes, checks = joined("complex", inputs)
    return Typed(TensorType({"float32": "complex64", "float64": "complex128"}[dtype], axes), checks)


__all__ = ["ELEMENTWISE"]
