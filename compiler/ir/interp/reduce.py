"""Reductions. float16 and bfloat16 accumulate in float32 and are rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .values import MEANING, meaning, narrow, widen

# Sums and products are taken in the dtype itself: NumPy would widen small integers.
FOLDS: dict[str, Callable] = {
    "sum": lambda x, axes: np.sum(x, axis=axes, dtype=x.dtype),
    "prod": lambda x, axes: np.prod(x, axis=axes, dtype=x.dtype),
    "max": lambda x, axes: np.max(x, axis=axes),
    "min": lambda x, axes: np.min(x, axis=axes),
    "any": lambda x, axes: np.any(x, axis=axes),
    "all": lambda x, axes: np.all(x, axis=axes),
}


def _enter(f: Callable):
    return lambda node, values, run: narrow(f(widen(values[0]), node.attr("axes")), node.type.dtype)


for _name, _f in FOLDS.items():
    MEANING[_name] = _enter(_f)


def devsq(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The sum of squared deviations from the mean; 0 of nothing."""
    count = math.prod(x.shape[a] for a in axes)
    mean = np.sum(x, axis=axes, dtype=x.dtype, keepdims=True) / x.dtype.type(max(count, 1))
    return np.sum((x - mean) ** 2, axis=axes, dtype=x.dtype)


MEANING["devsq"] = _enter(devsq)


def argmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The place of the first NaN, else of the first maximum, in the row-major flattening of the reduced axes."""
    kept = [a for a in range(x.ndim) if a not in axes]
    shape = [x.shape[a] for a in kept]
    flat = widen(x).transpose(kept + list(axes)).reshape(*shape, math.prod(x.shape[a] for a in axes))
    return np.asarray(np.argmax(flat, axis=-1), np.int64)


@meaning("argmax")
def _(node, values, run):
    return argmax(values[0], node.attr("axes"))


@meaning("max_and_argmax")
def _(node, values, run):
    (x,), axes = values, node.attr("axes")
    return narrow(np.max(widen(x), axis=axes), x.dtype.name), argmax(x, axes)
