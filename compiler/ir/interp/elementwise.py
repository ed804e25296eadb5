"""Elementwise operations: one NumPy function each, on arrays of one dtype; float16 and bfloat16 arrive as float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .values import MEANING, cast, meaning, narrow, widen


def _sgn(x):
    return x if x.dtype == bool else np.sign(x)


def _by_python(f: Callable[[float], float]):
    whole = np.frompyfunc(f, 1, 1)
    return lambda x: np.asarray(whole(x.astype(np.float64)), np.float64).astype(x.dtype)


def _erfinv(x: float) -> float:
    """Halley's steps on erf (on erfc where 1 - |x| is exact), until they no longer move: the iteration is cubic."""
    a = abs(x)
    if not a < 1:
        return math.copysign(math.inf, x) if a == 1 else math.nan
    half_root_pi = math.sqrt(math.pi) / 2
    # Beyond 0.5 a start below the root, sqrt(-log(1 - a)) or less, so that exp(y * y) stays in range.
    y = a * half_root_pi if a < 0.5 else 0.9 * math.sqrt(-math.log1p(-a)) - 0.2
    for _ in range(50):
        wrong = math.erf(y) - a if a < 0.5 else (1 - a) - math.erfc(y)
        step = wrong * half_root_pi * math.exp(y * y)
        step /= 1 + y * step
        y -= step
        if abs(step) <= 1e-10 * abs(y):  # the next step is beyond the last bit
            break
    return math.copysign(y, x)


def _sigmoid(x):
    one = x.dtype.type(1)
    z = np.exp(-np.abs(x))  # never overflows
    return np.where(x < 0, z, one) / (one + z)


def _softplus(x):
    return np.logaddexp(x.dtype.type(0), x)


def _floordiv(a, b):
    if a.dtype.kind == "f":
        return np.floor_divide(a, b)
    if a.dtype == bool:
        return a & b
    zero, one = a.dtype.type(0), a.dtype.type(1)
    # -1 apart: the smallest integer divided by it wraps
    negated = (b == -1) if a.dtype.kind == "i" else np.zeros(np.shape(b), bool)
    q = a // np.where((b == 0) | negated, one, b)
    return np.where(b == 0, zero, np.where(negated, np.negative(a), q))


def _mod(a, b):
    if a.dtype.kind == "f":
        return np.remainder(a, b)
    if a.dtype == bool:
        return np.zeros(np.broadcast_shapes(a.shape, b.shape), bool)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    trivial = (b == 0) | (b == -1) if a.dtype.kind == "i" else b == 0
    return np.where(trivial, zero, a % np.where(trivial, one, b))


def _pow(a, b):
    if a.dtype.kind != "i":
        return np.power(a, b)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    whole = np.power(a, np.maximum(b, zero))
    below = np.where(a == 1, one, np.where(a == -1, np.where(b & one, -one, one), zero))
    return np.where(b < 0, below, whole)


def _complex(re, im):
    out = np.empty(np.broadcast_shapes(re.shape, im.shape), np.result_type(re.dtype, np.complex64))
    out.real, out.imag = re, im
    return out


FUNCTIONS: dict[str, Callable] = {
    "neg": np.negative, "sgn": _sgn, "sqr": lambda x: x * x, "abs": np.abs, "reciprocal": lambda x: x.dtype.type(1) / x,
    "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "invert": np.invert,
    "isnan": np.isnan, "isinf": np.isinf, "real": np.real, "imag": np.imag, "conj": np.conj,
    "exp": np.exp, "log": np.log, "exp2": np.exp2, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sigmoid": _sigmoid, "softplus": _softplus,
    "erf": _by_python(math.erf), "erfc": _by_python(math.erfc), "erfinv": _by_python(_erfinv),
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": np.cbrt,
    "add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum, "sub": np.subtract,
    "truediv": np.true_divide, "floordiv": _floordiv, "mod": _mod, "pow": _pow, "atan2": np.arctan2,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "complex": _complex,
}  # fmt: skip


def _enter(f: Callable):
    return lambda node, values, run: narrow(f(*map(widen, values)), node.type.dtype)


for _name, _f in FUNCTIONS.items():
    MEANING[_name] = _enter(_f)


@meaning("cast")
def _(node, values, run):
    return cast(values[0], node.type.dtype)


@meaning("switch")
def _(node, values, run):
    return np.where(*values)
