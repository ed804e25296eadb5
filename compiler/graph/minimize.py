"""`minimize`: batch methods of SciPy on a compiled cost and gradient."""

from __future__ import annotations

import math as numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.callable import as_numbers
from ...runtime.errors import ArgumentError, DTypeError, NumericalError, ShapeError, WeftError
from ..ir.dtypes import REAL_FLOAT, numpy_dtype
from . import shaping
from .function import function
from .parameters import check_gradients, check_params, number
from .tensor import cast
from .told import told
from .types import TensorType
from .variable import Variable

METHODS = {"L-BFGS": "L-BFGS-B", "CG": "CG"}  # weft's name -> SciPy's


@dataclass(frozen=True)
class Minimum:
    """What `minimize` found: the parameters hold the point that it belongs to.

    cost: the lowest that was met. gradient_norm: the largest absolute value in the gradient there. iterations,
    evaluations: of the method; of cost and gradient. converged: the method stopped at its tolerance. message: why it
    stopped.
    """

    cost: float
    gradient_norm: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


def minimize(
    cost: Any,
    params: Any,
    method: str = "L-BFGS",
    inputs: Sequence[Any] = (),
    data: Sequence[Any] = (),
    *,
    tol: float = 1e-5,
    max_iterations: int = 1000,
    callback: Callable[[int, float], Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Minimum:
    """Minimises the scalar `cost` over the values of `params`, a list of shared variables, from those that they have.

    Cost and gradient are compiled once, as a function of one float64 vector that all parameters are parts of, and of
    `inputs`, whose values are `data`: the whole training set, say. They are computed in the dtypes of cost and
    parameters; random draws are the same in every evaluation.

    method: "L-BFGS" (Byrd, Lu, Nocedal, Zhu 1995) or "CG" (nonlinear conjugate gradients, Polak and Ribière), both of
    scipy.optimize. tol: it has converged where no element of the gradient is above tol in absolute value; L-BFGS also
    where a step lowers the cost by less than ten units in its last place (those of the coarsest dtype among cost and
    parameters). float32 gradients carry the rounding of the cost: ask them for less than float64 ones. max_iterations:
    of the method. options: further ones, as scipy.optimize.minimize takes them for the method (`{"maxcor": 20}`).

    callback(iteration, cost): called after each iteration, with the parameters at the best point so far; it stops the
    search by raising StopIteration.

    However the search ends, by an exception or Ctrl-C too, the parameters then hold the point of lowest finite cost
    that was evaluated, and so never a worse one than before; until then (or the callback) they are as they were. Raises
    ArgumentError, DTypeError, ShapeError, and NumericalError where the cost is not finite at the start; WeftError
    without SciPy.
    """
    inputs, data = list(inputs), list(data)
    checked, gradients = _checked(cost, params, method, inputs, data, tol, max_iterations)
    search = _optimize()

    packed = Packed(checked)
    evaluate = Evaluations(packed.compile(cost, gradients, inputs), data, packed)
    settings: dict[str, Any] = {"gtol": float(tol), "maxiter": int(max_iterations)}
    if method == "L-BFGS":
        coarsest = max(_unit(v.dtype) for v in (cost, *checked))
        settings |= {"ftol": 10 * coarsest, "maxfun": 20 * int(max_iterations)}
    done = 0

    def after(intermediate_result: Any) -> None:
        nonlocal done
        done += 1
        if callback is not None:
            evaluate.keep()
            callback(done, float(intermediate_result.fun))

    try:
        evaluate.start()
        evaluate.data = [_as_read(i, d) for i, d in zip(inputs, data, strict=True)]
        found = search(
            evaluate,
            evaluate.best,
            jac=True,
            method=METHODS[method],
            callback=after,
            options=settings | (options or {}),
        )
    finally:
        evaluate.keep()
    return Minimum(
        evaluate.cost, evaluate.norm, int(found.nit), evaluate.count, bool(found.success), str(found.message)
    )


class Packed:
    """Parameters as parts of one float64 vector."""

    def __init__(self, params: Sequence[Any]):
        self.params = list(params)
        values = [p.get_value(borrow=True) for p in params]
        self.shapes = [v.shape for v in values]
        ends = np.cumsum([v.size for v in values]).tolist()
        self.parts = [slice(e - v.size, e) for e, v in zip(ends, values, strict=True)]
        self.size = ends[-1]
        if not self.size:
            raise ShapeError("minimize: the parameters have no elements")
        self.start = np.concatenate([v.ravel().astype("float64") for v in values])

    def compile(self, cost: Variable, gradients: Sequence[Variable], inputs: list[Any]) -> Any:
        """The function (vector, inputs) -> (cost, gradient), both in float64."""
        vector: Any = TensorType("float64", shape=(self.size,))("parameters")
        givens = {
            p: cast(shaping.reshape(vector[part], shape), p.dtype)
            for p, part, shape in zip(self.params, self.parts, self.shapes, strict=True)
        }
        outputs = [cast(cost, "float64"), shaping.concatenate([shaping.flatten(cast(g, "float64")) for g in gradients])]
        return function([vector, *inputs], outputs, givens=givens, no_default_updates=True, name="cost and gradient")

    def write(self, vector: np.ndarray) -> None:
        for p, part, shape in zip(self.params, self.parts, self.shapes, strict=True):
            p.set_value(vector[part].reshape(shape).astype(numpy_dtype(p.dtype)))


class Evaluations:
    """Cost and gradient at a point, as SciPy calls them; the best point is remembered."""

    def __init__(self, compiled: Any, data: list[Any], packed: Packed):
        self.compiled, self.data, self.packed = compiled, data, packed
        self.count, self.cost, self.norm = 0, numbers.inf, numbers.nan
        self.best, self.kept = packed.start, packed.start

    def start(self) -> None:
        cost = self(self.best)[0]
        if not numbers.isfinite(cost):
            raise NumericalError(f"minimize: the cost is {cost} at the start; give the parameters other values first")

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = self.compiled(np.array(point, "float64"), *self.data)
        self.count += 1
        cost = float(cost)
        if numbers.isfinite(cost) and cost <= self.cost:
            self.cost, self.norm = cost, float(np.max(np.abs(gradient)))
            self.best = np.array(point, "float64")
        return cost, gradient

    def keep(self) -> None:
        """Writes the best point to the parameters, where it is not there yet."""
        if self.best is not self.kept:
            self.packed.write(self.best)
            self.kept = self.best


def _checks(cost: Any, params: Any, method: Any, inputs: list, data: list, tol: Any, max_iterations: Any) -> Any:
    """The parameters and their gradients, where all is as it should be."""
    if method not in METHODS:
        raise ArgumentError(f"minimize: method is {' or '.join(map(repr, METHODS))}, not {method!r}")
    checked = check_params(params, "minimize")
    if not isinstance(cost, Variable):
        raise ArgumentError(f"minimize: the cost is a scalar variable, not {cost!r}")
    if cost.ndim:
        raise ShapeError(f"minimize: the cost is a scalar; {cost.describe()} is {cost.type}: take its sum or mean")
    if cost.dtype not in REAL_FLOAT:
        raise DTypeError(f"minimize: the cost is a real float; {cost.describe()} is {cost.dtype}")
    if len(inputs) != len(data):
        raise ArgumentError(f"minimize: {len(inputs)} inputs, but data holds {len(data)} values for them")
    number(tol, "minimize: tol")
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, (int, np.integer)) or max_iterations < 1:
        raise ArgumentError(f"minimize: max_iterations is a number of at least 1, not {max_iterations!r}")
    return checked, check_gradients(cost, checked, "minimize", gradients=False)


_checked = told(_checks, "")  # what they say names minimize


def _as_read(i: Any, value: Any) -> Any:
    """A value that the first call took, as the function reads it: the calls to come convert nothing."""
    t = getattr(i, "variable", i).type
    if not isinstance(t, TensorType) or not isinstance(value, (list, tuple, np.ndarray)):
        return value
    return np.asarray(as_numbers(value, "data"), numpy_dtype(t.dtype), order="C")


def _unit(dtype: str) -> float:
    return {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(dtype) or float(np.finfo(dtype).eps)


def _optimize() -> Any:
    try:
        from scipy.optimize import minimize as search
    except ImportError as e:
        wanted = "weft.minimize runs methods of SciPy, which is not installed: pip install 'weft[linalg]'"
        raise WeftError(f"{wanted} ({e})") from e
    return search


__all__ = ["Minimum", "minimize"]
