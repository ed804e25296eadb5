"""What optimizers are written with: parameters, their gradients, rates and state, and the checks of all that."""

from __future__ import annotations

import math as numbers
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import ArgumentError, DisconnectedInputError, DTypeError, ShapeError
from ..ir.dtypes import COMPLEX, HALF, REAL_FLOAT, numpy_dtype
from . import math
from .shared import SharedVariable, TensorSharedVariable, shared
from .tensor import as_tensor_variable, cast, constant
from .variable import Variable

if TYPE_CHECKING:
    from .operators import TensorVariable

Updates = dict[SharedVariable, Variable]


def working_dtype(dtype: str) -> str:
    """The dtype that updates are computed and accumulated in: float32 for float16 and bfloat16, else the same."""
    return "float32" if dtype in HALF else dtype


def check_params(params: Any, what: str) -> list[TensorSharedVariable]:
    """The parameters as a list: shared variables of real floats, each once. ArgumentError or DTypeError."""
    if isinstance(params, (Variable, Mapping, str)) or not isinstance(params, Iterable):
        raise ArgumentError(f"{what}: the parameters are a list of shared variables, not {_shown(params)}")
    places: dict[TensorSharedVariable, int] = {}
    for k, p in enumerate(params):
        if not isinstance(p, TensorSharedVariable):
            raise ArgumentError(
                f"{what}: parameter {k} is {_shown(p)}; parameters are shared variables (weft.shared), which keep the "
                "values that updates give them"
            )
        if p.dtype not in REAL_FLOAT:
            raise DTypeError(
                f"{what}: parameter {k}, {p.describe()}, is {p.dtype}; parameters are of real floats, for others have "
                "no gradient to descend: make its value a float array (`.astype('float32')`), or leave it out"
            )
        if p in places:
            raise ArgumentError(f"{what}: {p.describe()} is parameter {places[p]} and again parameter {k}")
        places[p] = k
    if not places:
        raise ArgumentError(f"{what}: the list of parameters is empty")
    return list(places)


def labels(params: Sequence[Variable]) -> list[str]:
    """How the names of states call the parameters: by name, and place where a name is missing or not the only one."""
    names = [p.name for p in params]
    counts = Counter(names)
    return [n if n and counts[n] == 1 else f"{n or ''}#{k}" for k, n in enumerate(names)]


def check_gradients(
    cost_or_grads: Any, params: Sequence[TensorSharedVariable], what: str, gradients: bool = True
) -> list[TensorVariable]:
    """One gradient a parameter: those given, or the derivatives of the scalar cost. gradients: whether users of `what`
    may give them, as its message says."""
    if isinstance(cost_or_grads, Variable):
        if cost_or_grads.ndim:
            raise ShapeError(
                f"{what} takes a scalar cost or a list of gradients; {cost_or_grads.describe()} (at "
                f"{cost_or_grads.trace}) is {cost_or_grads.type}: take its sum or mean, or put gradients in a list"
            )
        from ..grad.reverse import grad

        found = grad(cost_or_grads, list(params), disconnected_inputs="ignore", return_disconnected="None")
        apart = [p for p, g in zip(params, found, strict=True) if g is None]
        if apart:
            other = ", or give weft.grad(cost, params, disconnected_inputs='ignore') in place of the cost"
            raise DisconnectedInputError(
                f"{what}: the cost {cost_or_grads.describe()} (at {cost_or_grads.trace}) does not depend on "
                f"{', '.join(f'{p.describe()} (declared {p.trace.at})' for p in apart)}; leave it out of the "
                f"parameters{other * gradients}"
            )
        return found
    if not isinstance(cost_or_grads, (list, tuple)):
        raise ArgumentError(f"{what} takes a scalar cost or a list of gradients, not {_shown(cost_or_grads)}")
    if len(cost_or_grads) != len(params):
        raise ArgumentError(f"{what}: {len(cost_or_grads)} gradients for {len(params)} parameters")
    return [
        _gradient(g, p, f"{what}: gradient {k}") for k, (g, p) in enumerate(zip(cost_or_grads, params, strict=True))
    ]


def _gradient(g: Any, p: TensorSharedVariable, which: str) -> TensorVariable:
    if g is None:
        raise ArgumentError(f"{which}, that of {p.describe()}, is None: leave the parameter out, or give zeros")
    out = real_float(g, f"{which}, that of {p.describe()},")
    shape = p.container.array().shape
    known = out.type.shape
    if len(known) != len(shape) or any(n is not None and n != m for n, m in zip(known, shape, strict=True)):
        hint = "; a cost is given without brackets" if not known else ""
        raise ShapeError(f"{which}, {out.describe()}, is {out.type}, but {p.describe()} has shape {shape}{hint}")
    return out


def real_float(x: Any, what: str) -> TensorVariable:
    v = as_tensor_variable(x)
    if v.dtype not in REAL_FLOAT:
        raise DTypeError(f"{what} is {v.dtype}; real floats are needed: weft.tensor.cast converts")
    return v


def scalar(x: Any, what: str, least: float = 0.0, below: float = numbers.inf) -> TensorVariable:
    """A setting in float64: a number from `least` to under `below`, or a symbolic scalar, shared ones among them."""
    if isinstance(x, Variable):
        v = as_tensor_variable(x)
        if v.ndim:
            raise ShapeError(f"{what} is a scalar; {v.describe()} is {v.type}")
        if v.dtype in COMPLEX or v.dtype == "bool":
            raise DTypeError(f"{what} is a real number; {v.describe()} is {v.dtype}")
        return cast(v, "float64")
    return constant(number(x, what, least, below, "a number or a scalar variable"), dtype="float64")


def number(x: Any, what: str, least: float = 0.0, below: float = numbers.inf, wanted: str = "a number") -> float:
    """A setting that is known when the graph is built."""
    if isinstance(x, Variable):
        raise ArgumentError(f"{what} is a number, not the variable {x.describe()}: it is part of the program")
    if isinstance(x, (bool, np.bool_)) or np.ndim(x) or not isinstance(x, (int, float, np.number, np.ndarray)):
        raise ArgumentError(f"{what} is {wanted}, not {_shown(x)}")
    if np.iscomplexobj(x):
        raise DTypeError(f"{what} is a real number, not {x!r}")
    value = float(x)
    if not least <= value < below:  # NaN fails as well
        span = f"at least {least:g}" + ("" if below == numbers.inf else f" and below {below:g}")
        raise ArgumentError(f"{what} is {value:g}; it has to be finite, {span}")
    return value


def per_parameter(value: Any, params: Sequence[TensorSharedVariable], what: str) -> list[TensorVariable]:
    """A setting of each parameter, in float64: one for all, a sequence of as many, or a mapping.

    The keys of a mapping are parameters, and "default" for all that it does not name.
    """
    if isinstance(value, Mapping):
        named = {*params, "default"}
        for key in value:
            if key not in named:
                known = ", ".join(p.describe() for p in params)
                raise ArgumentError(
                    f"{what} is given for {_shown(key)}, which is no parameter of this call; its keys are the shared "
                    f'variables themselves ({known}), and "default" for the others'
                )
        missing = [p.describe() for p in params if p not in value]
        if missing and "default" not in value:
            raise ArgumentError(f'{what} is not given for {", ".join(missing)}; "default" stands for the others')
        each = [value[p] if p in value else value["default"] for p in params]
    elif isinstance(value, (list, tuple)):
        if len(value) != len(params):
            raise ArgumentError(f"{what}: {len(value)} values for {len(params)} parameters")
        each = list(value)
    else:
        return [scalar(value, what)] * len(params)
    return [scalar(v, f"{what} of {p.describe()}") for v, p in zip(each, params, strict=True)]


def _shown(x: Any) -> str:
    if isinstance(x, Variable):
        return f"{x.describe()}, a variable of {x.type}" if not isinstance(x, SharedVariable) else x.describe()
    text = repr(x)
    return text if len(text) < 60 else f"{text[:57]}..."


class Parameter:
    """A parameter with its gradient and rate, as the formula of an update has them: all in the working dtype."""

    def __init__(
        self, variable: TensorSharedVariable, label: str, gradient: Variable | None, rate: Variable | None, prefix: str
    ):
        self.variable, self.label, self.prefix = variable, label, prefix
        self.dtype = working_dtype(variable.dtype)
        self.value = cast(variable, self.dtype)
        if gradient is not None:
            self.gradient = cast(gradient, self.dtype)
        if rate is not None:
            self.rate64 = rate
            self.rate = self.number(rate)

    def number(self, x: Any) -> TensorVariable:
        """A number or a scalar variable in the working dtype."""
        return cast(x, self.dtype) if isinstance(x, Variable) else constant(x, dtype=self.dtype)

    def state(self, what: str) -> TensorSharedVariable:
        """A new shared variable of the parameter's shape, zeros."""
        zeros = np.zeros(self.variable.container.array().shape, numpy_dtype(self.dtype))
        return shared(zeros, f"{self.prefix}.{what}[{self.label}]", shape=self.variable.type.shape)

    def blend(self, old: Any, new: Any, weight: Any) -> TensorVariable:
        """(1 - weight) old + weight new. In this form constant values stay as they are, in float32 too."""
        return new if isinstance(weight, float) and weight == 1 else old + self.number(weight) * (new - old)


class Step:
    """The parameters of one optimizer, and its updates as they come about."""

    def __init__(self, what: str, cost_or_grads: Any, params: Any, learning_rate: Any, name: str | None):
        checked = check_params(params, what)
        self.prefix = prefix(name, what)
        self.updates: Updates = {}
        gradients = check_gradients(cost_or_grads, checked, what)
        rates = per_parameter(learning_rate, checked, f"{what}: learning_rate")
        parts = zip(checked, labels(checked), gradients, rates, strict=True)
        self.parameters = [Parameter(p, label, g, rate, self.prefix) for p, label, g, rate in parts]

    def count(self) -> TensorVariable:
        """The number of this step, from 1, in float64."""
        return count(self.updates, self.prefix)

    def keep(self, state: SharedVariable, new: Variable) -> Variable:
        """Updates a state."""
        self.updates[state] = new
        return new

    def set(self, p: Parameter, new: Variable) -> None:
        """Updates a parameter: rounded to its dtype, once."""
        self.updates[p.variable] = cast(new, p.variable.dtype)


def count(updates: Updates, name: str) -> TensorVariable:
    """Adds a step count to the updates; its new value in float64. int64, for a float32 stops at 2^24."""
    before = shared(np.int64(0), f"{name}.step")
    updates[before] = now = math.add(before, constant(1, dtype="int64"))
    return cast(now, "float64")


def prefix(name: Any, what: str) -> str:
    """What the names of states begin with."""
    if name is not None and not (isinstance(name, str) and name):
        raise ArgumentError(f"{what}: name is a string that the names of states begin with, not {name!r}")
    return name or what


def state(updates: Any, params: Any) -> dict[str, SharedVariable]:
    """The shared variables that `updates` change beside the parameters, by name: what a checkpoint keeps with them.

    updates: what an optimizer returned, with whatever was added since. ArgumentError for a state without a name and
    for two of one name: give optimizers of one program names (`adam(..., name="critic")`).
    """
    checked = set(check_params(params, "state"))
    found: dict[str, SharedVariable] = {}
    for s in dict(updates):
        if s in checked:
            continue
        if not isinstance(s, SharedVariable):
            raise ArgumentError(f"state: updates change shared variables, not {_shown(s)}")
        if s.name is None or s.name in found:
            which = "without a name" if s.name is None else f"of the name {s.name!r}"
            more = "a state" if s.name is None else "two states"
            raise ArgumentError(f"state: updates hold {more} {which}; optimizers and weft.shared take name=")
        found[s.name] = s
    return found


__all__ = [
    "Parameter", "Step", "Updates", "check_gradients", "check_params", "count", "labels", "number", "per_parameter",
    "prefix", "real_float", "scalar", "state", "working_dtype",
]  # fmt: skip
