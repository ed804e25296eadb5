"""Derivatives of elementwise operations: one row an operation, a column an argument.

A row holds, for each argument, what its partial derivative makes of a gradient or tangent g:

    name: lambda g, argument, .., result: g * partial derivative

Rows are written in functions that commute with conjugation, so the same row gives the pullback, with conjugated
arguments, and the pushforward. Rows use the result where that is cheaper or more accurate, and never form a value that
overflows where the derivative does not.
"""

from __future__ import annotations

import math as numbers
from typing import Any

from ..graph import math as m
from ..graph.tensor import constant
from ..graph.variable import Apply, Variable
from ..ir.dtypes import COMPLEX, DISCRETE
from . import fit
from .fit import number_of, times
from .table import NO_GRADIENT, Gradients, pullback, pushforward

LN2, LN10 = numbers.log(2), numbers.log(10)


def _where(condition: Variable, g: Variable) -> Variable:
    """g or 0: unlike a product with the condition it keeps infinite and NaN gradients out of the other places."""
    return m.switch(condition, g, fit.zero(g))


def _elsewhere(condition: Variable, g: Variable) -> Variable:
    return m.switch(condition, fit.zero(g), g)


def _pow_base(g: Any, x: Any, e: Any, y: Any) -> Any:
    known = number_of(e)
    if known is not None:
        known = known.item()
        if known in (0, 1):
            return g if known else None
        if known == 2:
            return times(g * x, 2)
        return m.mul(times(g, known), m.pow(x, constant(known - 1, dtype=x.dtype)))
    # x**0 is 1 everywhere: its derivative is 0 at x = 0 too, where x**(0 - 1) is infinite.
    return g * e * m.pow(x, m.switch(m.eq(e, 0), 1, e - 1))


def _pow_exponent(g: Any, x: Any, e: Any, y: Any) -> Variable:
    flat = m.eq(x, 0)
    return g * m.switch(flat, 0, y * m.log(m.switch(flat, 1, x)))


def _abs(g: Any, x: Any, y: Any) -> Variable:
    return g * m.sgn(x)


def _length(x: Any) -> Any:
    """sqrt(x * x + 1) where the square may overflow (in float16 from 256 on): |x| sqrt(1 / x**2 + 1) beyond 1."""
    large = m.gt(m.abs_(x), 1)
    outer = m.switch(large, x, 1)
    q = m.switch(large, m.inv(outer), x)
    return m.abs_(outer) * m.sqrt(q * q + 1)


ROWS: dict[str, tuple[Any, ...]] = {
    "neg": (lambda g, x, y: -g,),
    "abs": (_abs,),
    "sqr": (lambda g, x, y: times(g * x, 2),),
    "reciprocal": (lambda g, x, y: -(g * y * y),),
    "sqrt": (lambda g, x, y: times(g, 0.5) / y,),
    "exp": (lambda g, x, y: g * y,),
    "exp2": (lambda g, x, y: times(g * y, LN2),),
    "expm1": (lambda g, x, y: g * m.exp(x),),  # y + 1 has lost the digits of a small exp(x)
    "log": (lambda g, x, y: g / x,),
    "log2": (lambda g, x, y: times(g, 1 / LN2) / x,),
    "log10": (lambda g, x, y: times(g, 1 / LN10) / x,),
    "log1p": (lambda g, x, y: g / (x + 1),),
    "sin": (lambda g, x, y: g * m.cos(x),),
    "cos": (lambda g, x, y: -(g * m.sin(x)),),
    "tan": (lambda g, x, y: g * (y * y + 1),),
    "sinh": (lambda g, x, y: g * m.cosh(x),),
    "cosh": (lambda g, x, y: g * m.sinh(x),),
    "tanh": (lambda g, x, y: g * (1 - y * y),),
    # (1 - x)(1 + x) keeps the digits that 1 - x*x loses near the ends.
    "asin": (lambda g, x, y: g / m.sqrt((1 - x) * (x + 1)),),
    "acos": (lambda g, x, y: -(g / m.sqrt((1 - x) * (x + 1))),),
    "atan": (lambda g, x, y: g / (x * x + 1),),
    "asinh": (lambda g, x, y: g / _length(x),),
    "acosh": (lambda g, x, y: g / (m.sqrt(x - 1) * m.sqrt(x + 1)),),
    "atanh": (lambda g, x, y: g / ((1 - x) * (x + 1)),),
    "cbrt": (lambda g, x, y: times(g, 1 / 3) / (y * y),),
    "sigmoid": (lambda g, x, y: g * y * (1 - y),),
    "softplus": (lambda g, x, y: g * m.sigmoid(x),),
    "erf": (lambda g, x, y: times(g, 2 / numbers.sqrt(numbers.pi)) * m.exp(-(x * x)),),
    "erfc": (lambda g, x, y: times(g, -2 / numbers.sqrt(numbers.pi)) * m.exp(-(x * x)),),
    "erfinv": (lambda g, x, y: times(g, numbers.sqrt(numbers.pi) / 2) * m.exp(y * y),),
    "add": (lambda g, a, b, y: g, lambda g, a, b, y: g),
    "sub": (lambda g, a, b, y: g, lambda g, a, b, y: -g),
    "mul": (lambda g, a, b, y: g * b, lambda g, a, b, y: g * a),
    "truediv": (lambda g, a, b, y: g / b, lambda g, a, b, y: -(g * y / b)),
    "pow": (_pow_base, _pow_exponent),
    "mod": (lambda g, a, b, y: g, lambda g, a, b, y: -(g * m.int_div(a, b))),
    "atan2": (lambda g, a, b, y: g * b / (a * a + b * b), lambda g, a, b, y: -(g * a / (a * a + b * b))),
    # Theano's convention: at a tie the first argument has the gradient, where one is NaN the second.
    "maximum": (lambda g, a, b, y: _where(m.eq(y, a), g), lambda g, a, b, y: _elsewhere(m.eq(y, a), g)),
    "minimum": (lambda g, a, b, y: _where(m.eq(y, a), g), lambda g, a, b, y: _elsewhere(m.eq(y, a), g)),
}


@pullback(*ROWS)
def pull_row(node: Apply, grads: Gradients) -> Gradients:
    (g,), (y,) = grads, node.outputs
    args = (*node.inputs, y)
    if not COMPLEX.isdisjoint([v.ir_type.dtype for v in args]):
        args = tuple(map(m.conj, args))
    return [row(g, *args) for row in ROWS[node.op.name]]


@pushforward(*ROWS)
def push_row(node: Apply, tangents: Gradients) -> Gradients:
    args = (*node.inputs, node.outputs[0])
    rows = zip(ROWS[node.op.name], tangents, strict=True)
    return [fit.add(*[row(t, *args) for row, t in rows if t is not None])]


def _direction(x: Variable, y: Variable) -> Any:
    """x / |x|, and 0 at 0, where |x| has no derivative."""
    return m.true_div(x, m.switch(m.eq(y, 0), 1, y))


@pullback("abs")
def pull_abs(node: Apply, grads: Gradients) -> Gradients:
    (x,), (y,), (g,) = node.inputs, node.outputs, grads
    return [m.mul(g, _direction(x, y))] if x.dtype in COMPLEX else pull_row(node, grads)


@pushforward("abs")
def push_abs(node: Apply, tangents: Gradients) -> Gradients:
    (x,), (y,), (t,) = node.inputs, node.outputs, tangents
    return [m.real(m.mul(t, m.conj(_direction(x, y))))] if x.dtype in COMPLEX else push_row(node, tangents)


@pullback("switch")
def pull_switch(node: Apply, grads: Gradients) -> Gradients:
    (c, _, _), (g,) = node.inputs, grads
    return [None, _where(c, g), _elsewhere(c, g)]


@pushforward("switch")
def push_switch(node: Apply, tangents: Gradients) -> Gradients:
    c, a, b = node.inputs
    return [m.switch(c, *[fit.zero(v) if t is None else t for v, t in zip((a, b), tangents[1:], strict=True)])]


@pullback("cast")
def pull_cast(node: Apply, grads: Gradients) -> Gradients:
    (x,), (g,) = node.inputs, grads
    return [None if x.dtype in DISCRETE else fit.convert(g, x.dtype)]


@pushforward("cast")
def push_cast(node: Apply, tangents: Gradients) -> Gradients:
    (y,), (t,) = node.outputs, tangents
    return [None if y.dtype in DISCRETE else fit.convert(t, y.dtype)]


@pullback("real")
def pull_real(node: Apply, grads: Gradients) -> Gradients:
    return [m.complex(grads[0], fit.zero(grads[0]))]


@pullback("imag")
def pull_imag(node: Apply, grads: Gradients) -> Gradients:
    return [m.complex(fit.zero(grads[0]), grads[0])]


@pullback("complex")
def pull_complex(node: Apply, grads: Gradients) -> Gradients:
    return [m.real(grads[0]), m.imag(grads[0])]


@pushforward("complex")
def push_complex(node: Apply, tangents: Gradients) -> Gradients:
    return [m.complex(*[fit.zero(v) if t is None else t for v, t in zip(node.inputs, tangents, strict=True)])]


@pullback("conj")
@pushforward("conj", "real", "imag")
def apply_to_tangent(node: Apply, values: Gradients) -> Gradients:
    return [getattr(m, node.op.name)(values[0])]


NO_GRADIENT.update(
    dict.fromkeys(("sgn", "floor", "ceil", "trunc", "round", "floordiv"), "is constant between its jumps"),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf"), "its result is a bool"),
    **dict.fromkeys(("and", "or", "xor", "invert"), "is defined for integers and bool only"),
)
