"""What users put on top of the two modes: values that gradients stop at, gradients that are refused, and the check of a
gradient against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..graph import math, shaping
from ..graph.arguments import symbolic
from ..graph.function import function
from ..graph.nnet import stop_gradient
from ..graph.scan import scan
from ..graph.tensor import as_tensor_variable, constant
from ..graph.types import TensorType
from ..graph.variable import Apply, Op, Variable, apply_op
from ..ir.dtypes import COMPLEX, DISCRETE, real_of
from .reverse import NullGradient, grad


class _Identity(Op):
    """The value itself; a subclass says what becomes of its gradient."""

    __props__: tuple[str, ...] = ()
    hands_on = (0,)

    def lower(self, inputs):
        return [inputs[0]]


class DisconnectedGrad(_Identity):
    def pullback(self, node: Apply, grads: Sequence[Any]) -> list[Any]:
        return [None]

    pushforward = pullback

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


class GradClip(_Identity):
    __props__ = ("lower_bound", "upper_bound")

    def __init__(self, lower_bound: float, upper_bound: float):
        if not lower_bound <= upper_bound:
            raise ArgumentError(f"grad_clip to [{lower_bound}, {upper_bound}], which is empty")
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def pullback(self, node: Apply, grads: Sequence[Any]) -> list[Any]:
        (g,) = grads
        return [math.clip(g, *(constant(b, dtype=g.dtype) for b in (self.lower_bound, self.upper_bound)))]

    def pushforward(self, node: Apply, tangents: Sequence[Any]) -> list[Any]:
        return [tangents[0]]


def zero_grad(x: Any) -> Variable:
    """x, with a gradient of zeros."""
    return stop_gradient(x)


def consider_constant(x: Any) -> Variable:
    """x as a constant for gradients (Theano's older name of `zero_grad`)."""
    return stop_gradient(x)


def disconnected_grad(x: Any) -> Variable:
    """x, from which the gradient of x is disconnected: what else does not reach x is an error or as `grad` is told."""
    return apply_op(DisconnectedGrad(), [as_tensor_variable(x)])[0]


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """x, whose gradient is limited to [lower_bound, upper_bound]."""
    return apply_op(GradClip(lower_bound, upper_bound), [as_tensor_variable(x)])[0]


def grad_not_implemented(op: Op, x_pos: int, x: Variable, comment: str = "") -> NullGradient:
    """For users' `grad` methods: the gradient for input x_pos exists but is not written."""
    return NullGradient(_refusal(op, x_pos, x, "is not implemented", comment))


def grad_undefined(op: Op, x_pos: int, x: Variable, comment: str = "") -> NullGradient:
    """For users' `grad` methods: there is no gradient for input x_pos."""
    return NullGradient(_refusal(op, x_pos, x, "is not defined", comment))


def _refusal(op: Op, x_pos: int, x: Variable, what: str, comment: str) -> str:
    text = f"the gradient of {op} with respect to its input {x_pos}, {x.describe()} : {x.type} (at {x.trace}), {what}"
    return f"{text}: {comment}" if comment else text


def jacobian(
    expression: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivative of each element of a vector (or of a scalar) with respect to `wrt`, a Variable or a list: for each
    of them the gradients of the elements, stacked along a leading axis. A loop over the elements."""
    y = as_tensor_variable(expression)
    if y.ndim > 1:
        raise ShapeError(
            f"jacobian of {y.describe()} : {y.type} (at {y.trace}), which has more than 1 dimension; flatten it"
        )
    one = not isinstance(wrt, (list, tuple))
    targets = [wrt] if one else list(wrt)

    def row(i: Variable) -> list[Variable]:
        return grad(y[i], targets, consider_constant, disconnected_inputs)  # type: ignore[index]

    if y.ndim == 0:
        found = grad(y, targets, consider_constant, disconnected_inputs)
    else:
        found, _ = scan(row, sequences=shaping.arange(shaping.shape_i(y, 0)), name="jacobian", return_list=True)
    return found[0] if one else found


def hessian(
    cost: Variable, wrt: Any, consider_constant: Sequence[Variable] | None = None, disconnected_inputs: str = "raise"
) -> Any:
    """The second derivatives of a scalar with respect to a vector, or to each vector of a list."""
    one = not isinstance(wrt, (list, tuple))
    found = []
    for w in [wrt] if one else wrt:
        if symbolic(w, "hessian with respect to").ndim != 1:
            raise ShapeError(f"hessian with respect to {w.describe()} : {w.type}; a vector is needed")
        slope = grad(cost, w, consider_constant, disconnected_inputs)
        found.append(jacobian(slope, w, consider_constant, "ignore"))
    return found[0] if one else found


# Central differences: the step balances rounding, about epsilon / step, against truncation, about step**2.
_STEP = {"float16": 1e-1, "bfloat16": 2e-1, "float32": 3e-3, "float64": 1e-5}
_TOLERANCE = {"float16": 5e-2, "bfloat16": 2e-1, "float32": 1e-2, "float64": 1e-4}


def verify_grad(
    fun: Callable[..., Variable],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: Any = None,
    eps: float | None = None,
    out_type: Any = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: Any = None,
    cast_to_output_type: bool = False,
) -> None:
    """Checks the gradient of `fun` (Variables in, one Variable out) at the arrays `pt` against central differences.

    Each of the n_tests weighs the output's elements by random numbers of `rng` and differentiates the sum. An element
    fails where both its absolute and its relative error exceed their tolerances. Steps and tolerances follow from the
    least precise dtype unless given. Complex points are checked along both parts. Raises GradientError, DTypeError.
    """
    points = [np.array(p) for p in pt]
    inputs = [TensorType(p.dtype, [n == 1 for n in p.shape])(f"input {k}") for k, p in enumerate(points)]
    for v in inputs:
        if v.dtype in DISCRETE:
            raise DTypeError(f"verify_grad differentiates at floating-point arrays; {v.name} is {v.dtype}")
    out = as_tensor_variable(fun(*inputs))
    if out.dtype in DISCRETE:
        raise DTypeError(f"verify_grad of {out.describe()} : {out.type}, which has no gradient (at {out.trace})")
    coarse = min((real_of(v.dtype) for v in (*inputs, out)), key=lambda d: -_STEP[d])
    step = _STEP[coarse] if eps is None else eps
    bounds = [_TOLERANCE[coarse] if t is None else t for t in (abs_tol, rel_tol)]

    weights = out.type("weights")
    total = math.sum(math.mul(math.conj(weights), out))
    cost = math.real(total)
    evaluate = function([*inputs, weights], cost, mode=mode, on_unused_input="ignore")
    slopes = function(
        [*inputs, weights], grad(cost, inputs, disconnected_inputs="ignore"), mode=mode, on_unused_input="ignore"
    )
    shape = np.shape(function(inputs, out, mode=mode, on_unused_input="ignore")(*points))
    rng = np.random.default_rng(0) if rng is None else rng
    for _ in range(n_tests):
        w = rng.uniform(0.5, 1.5, size=shape)
        if out.dtype in COMPLEX:
            w = w + 1j * rng.uniform(0.5, 1.5, size=shape)
        w = np.asarray(w).astype(out.type.numpy_dtype)
        found = slopes(*points, w)
        for k, p in enumerate(points):
            expected = numeric_gradient(lambda *x, w=w: evaluate(*x, w), points, k, step)
            _compare(fun, k, p, np.asarray(found[k]), expected, bounds)


def numeric_gradient(f: Callable[..., Any], points: Sequence[np.ndarray], k: int, step: float) -> np.ndarray:
    """The gradient of the real scalar f with respect to points[k] by central differences; dC/dRe + i dC/dIm."""
    out = np.zeros(points[k].shape, "complex128" if points[k].dtype.kind == "c" else "float64")
    for at in np.ndindex(*out.shape):
        for direction in (1, 1j) if points[k].dtype.kind == "c" else (1,):
            ends = []
            for sign in (1, -1):
                moved = [np.array(p) for p in points]
                moved[k][at] += sign * step * direction
                # The step really taken: in float16 it is not the one asked for.
                ends.append((abs(complex(moved[k][at]) - complex(points[k][at])), float(f(*moved))))
            (right, above), (left, below) = ends
            out[at] += direction * (above - below) / (right + left)
    return out


def _compare(fun: Any, k: int, p: np.ndarray, found: np.ndarray, expected: np.ndarray, bounds: list[float]) -> None:
    if found.shape != p.shape:
        raise GradientError(f"the gradient of {fun} with respect to input {k} has shape {found.shape}, not {p.shape}")
    absolute = np.abs(found - expected)
    relative = absolute / np.maximum(np.abs(found) + np.abs(expected), 1e-300)
    # Written so that a NaN fails.
    wrong = ~((absolute <= bounds[0]) | (relative <= bounds[1]))
    if wrong.any():
        at = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(absolute, nan=np.inf), -1)), p.shape)
        raise GradientError(
            f"the gradient of {fun} with respect to input {k} is wrong in {int(wrong.sum())} of {p.size} places; at "
            f"{tuple(map(int, at))} it is {found[at]}, and {expected[at]} by finite differences (absolute error "
            f"{absolute[at]:.3g} above {bounds[0]:.3g}, relative error {relative[at]:.3g} above {bounds[1]:.3g})"
        )


__all__ = [
    "consider_constant", "disconnected_grad", "grad_clip", "grad_not_implemented", "grad_undefined", "hessian",
    "jacobian",
    "numeric_gradient", "verify_grad", "zero_grad",
]  # fmt: skip
