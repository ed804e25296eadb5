"""Reductions: fold the listed axes (sorted, each once); the others stay in order."""

from __future__ import annotations

from ....runtime.errors import DTypeError, ShapeError
from .. import lengths
from ..dtypes import COMPLEX, DTYPES, REAL_FLOAT
from ..node import Check, Typed, define
from ..types import TensorType, TupleType, Type
from .common import dense

NUMBER = frozenset(DTYPES) - {"bool"}
REAL = frozenset(DTYPES) - COMPLEX

# name -> (dtypes accepted, whether it has a value over nothing)
REDUCE: dict[str, tuple[frozenset[str], bool]] = {
    "sum": (NUMBER, True),
    "prod": (NUMBER, True),
    "devsq": (REAL_FLOAT, True),  # sum of squared deviations from the mean
    "max": (REAL, False),
    "min": (REAL, False),
    "any": (frozenset({"bool"}), True),
    "all": (frozenset({"bool"}), True),
    "argmax": (REAL, False),
    "max_and_argmax": (REAL, False),
}


def _enter(name: str, accepts: frozenset[str], total: bool) -> None:
    @define(name, "reduce", by_types=name != "max_and_argmax")
    def typing(inputs, attrs):
        (x,) = inputs
        dense(name, x)
        axes = attrs["axes"]
        if x.type.dtype not in accepts:
            raise DTypeError(f"{name} is not defined for {x.type.dtype}")
        if list(axes) != sorted(set(axes)) or any(not 0 <= a < x.type.ndim for a in axes):
            raise ShapeError(f"{name} over axes {axes} of a tensor with {x.type.ndim} dimensions")
        kept = tuple(n for a, n in enumerate(x.type.axes) if a not in axes)
        checks: tuple[Check, ...] = ()
        if not total:
            for a in axes:
                n = x.type.axes[a]
                if lengths.static(n) == 0:
                    raise ShapeError(f"{name} over axis {a}, which has no elements")
                if lengths.static(n) is None:
                    checks += (Check("positive", (n,), f"{name} over an axis with no elements"),)
        value, index = TensorType(x.type.dtype, kept), TensorType("int64", kept)
        results: dict[str, Type] = {"argmax": index, "max_and_argmax": TupleType((value, index))}
        return Typed(results.get(name, value), checks)


for _name, _row in REDUCE.items():
    _enter(_name, *_row)
