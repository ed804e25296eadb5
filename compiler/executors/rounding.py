"""What rounding errors may do to a region's outputs: runs of the interpreter in which every result is moved by one.

Programs differ in how much of an error they keep: a difference of nearly equal numbers keeps all of it, and a
comparison may turn. So no number of units in the last place tells a defect from rounding, and these runs do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.errors import WeftError
from ..ir.interp import MEANING, evaluate
from ..ir.interp.values import widen
from ..ir.node import Node, Region

RUNS = 4
UNITS = 4  # of an operation's error, in units of the last place
# Elementwise operations without rounding.
EXACT = frozenset({
    "neg", "abs", "maximum", "minimum", "floor", "ceil", "trunc", "round", "sgn", "switch", "conj", "real", "imag",
    "complex",
})  # fmt: skip
# Of which whole and short arguments may have results that are whole without rounding.
ALGEBRAIC = frozenset({
    "add", "sub", "mul", "truediv", "floordiv", "mod", "sqr", "sqrt", "cbrt", "reciprocal", "cast", "pow", "exp2",
    "log2", "log10",
})  # fmt: skip
SUMS = frozenset({"sum", "cumsum", "devsq", "dot", "batched_dot", "csr_dot", "csr_dot_t", "csr_sample", "scatter"})
SOLVERS = frozenset({"cholesky", "solve_triangular"})
_LEAST = {"float16": -24, "bfloat16": -133, "float32": -149, "complex64": -149}
_BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "complex64": 23}


def unit(dtype: Any) -> float:
    """The distance of 1 to the next number."""
    return float(2.0 ** -_BITS.get(np.dtype(dtype).name, 52))


def least(dtype: Any) -> float:
    """The distance of 0 to the next number."""
    return 2.0 ** _LEAST.get(np.dtype(dtype).name, -1074)


def is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and (x.dtype.kind in "fc" or x.dtype.name == "bfloat16")


class Rounded:
    """`after` of the interpreter: moves every float result by an error of the size that its operation has."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def __call__(self, node: Node, inputs: Sequence[Any], value: Any) -> Any:
        if not is_float(value) or not value.size or not _rounds(node):
            return value
        wide = widen(value)
        with np.errstate(all="ignore"):
            size = np.abs(wide) * UNITS + _sum(node, inputs, value)
            turn = 1 + 1j if value.dtype.kind == "c" else 1
            size = size * unit(value.dtype) + UNITS * least(value.dtype)
            moved = wide + size * self.rng.uniform(-1, 1, value.shape) * turn
            keep = ~np.isfinite(moved) | _exact(node, inputs, wide)
        return np.asarray(np.where(keep, wide, moved)).astype(value.dtype)


def _rounds(node: Node) -> bool:
    return node.op in SUMS or node.op in SOLVERS or node.op == "prod" or (
        node.family == "elementwise" and node.op not in EXACT
    )  # fmt: skip


def _exact(node: Node, inputs: Sequence[Any], wide: np.ndarray) -> Any:
    """Where a whole number is one without rounding, for that is what programs compare numbers with: the arguments say
    it, since 1 + 1e-17 and tanh(20) are 1 by rounding."""
    whole = (wide == np.rint(wide.real)) & (np.abs(wide) < 1 / unit(node.type.dtype))
    floats = [widen(i) for i in inputs if is_float(i)]
    if node.family != "elementwise":
        return whole & all(_short(x).all() for x in floats)
    for x in floats:
        whole = whole & (_short(x) if node.op in ALGEBRAIC else np.isin(x, (-1, 0, 1)))
    return whole


def _short(x: np.ndarray) -> np.ndarray:
    """Multiples of 2^-10 of moderate size: few sums and products of them round."""
    fine = x * 2.0**10
    return np.asarray((fine == np.rint(fine.real)) & (np.abs(fine) < 2.0**23))


def _sum(node: Node, inputs: Sequence[Any], value: np.ndarray) -> Any:
    """The error of a sum in units: that of its terms' sizes, which cancel in the result and not in it."""
    if node.op in SOLVERS:
        n = len(inputs[0])
        return UNITS * n * (np.linalg.cond(inputs[0]) if n else 0.0)
    if node.op not in SUMS:
        return 0.0
    first = inputs[0]
    if node.op in ("dot", "batched_dot"):
        terms = first.shape[-1]
    else:
        terms = first.size // max(value.size, 1) if node.family == "reduce" else first.size
    sizes = [np.abs(widen(i)) if is_float(i) else i for i in inputs]
    whole = sizes[0].max(initial=0.0) * max(terms, 1)
    if node.op in ("sum", "cumsum", "dot", "batched_dot"):
        whole = np.abs(widen(np.asarray(MEANING[node.op](node, [i.astype(first.dtype) for i in sizes], None))))
    return UNITS * math.sqrt(terms) * whole


def spread(region: Region, args: Sequence[Any]) -> list[list[Any] | None]:
    """The outputs of the runs; None for one that a moved value stopped."""
    found: list[list[Any] | None] = []
    for seed in range(RUNS):
        try:
            found.append(evaluate(region, args, after=Rounded(seed)))
        except WeftError:
            found.append(None)
    return found


__all__ = ["RUNS", "is_float", "spread", "unit"]
