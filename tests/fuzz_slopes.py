"""Derivatives of random programs against differences of the interpreter's values, in float64.

How well differences tell a derivative they say themselves: those to both sides and those of a wider step tell how far
the function is from a line there (and that there is a kink or a jump), runs with every value moved by its rounding how
far rounding moves them. What is further from the central difference than these together is wrong; a derivative of
which that is less than a part in `RESOLVED` could not be wrong by 10 % without being found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fuzz_criterion import SEEDS, Perturbed
from fuzz_kinks import Kinks
from fuzz_program import Lowered, Program, Slope
from fuzz_report import Difference, Place, Report

from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.rewrite import nested_nodes
from weft.compiler.ir.types import TensorType
from weft.runtime.errors import WeftError

STEP, WIDER = 2.0**-20, 2.0**-16  # powers of two: arguments of few digits move by just that
RESOLVED = 25
SURE = 1e-7  # what is allowed where neither the function bends nor rounding moves it


def slopes(p: Program, report: Report) -> None:
    """Gradients and directional derivatives; at a kink that has a convention, of what follows it."""
    for s in p.slopes:
        x = p.scope["w" + s.wrt[1:]]
        if x.dtype != np.float64 or not x.size or _narrow(p.lowered([p.scope[s.cost]])):
            continue
        report.slopes += 1
        want, central, error, zero = differences(p, s)
        with np.errstate(all="ignore"):
            wrong = np.isfinite(error) & ~(np.abs(central - want) <= error)
            size = np.where(want != 0, np.abs(want), np.abs(want).max(initial=0.0))
            told = bool((error * RESOLVED <= size).all())
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            text = f"derivative of {s.cost} by {s.wrt}: {want[at]}, differences say {central[at]} +- {error[at]:.2g}"
            raise Difference(p, s.result, text, Place(p.slopes.index(s), at, float(error[at])))
        report.zero += zero
        report.resolved += told and not zero
        report.rough += not told and not zero


def differences(p: Program, s: Slope) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """A derivative (a gradient along the program's direction), the central difference, how far apart they may be;
    whether the derivative is zero in every direction."""
    cost, derivative = p.lowered([p.scope[s.cost]]), p.lowered([p.scope[s.result]])
    base, d = cost.arguments(p.arguments), p.direction(s)
    place = _place(p, cost, p.inputs.index(s.wrt))
    kinks, scale = Kinks(), 2.0 ** np.ceil(np.log2(max(float(np.abs(d).max()), 1.0)))
    h, wide = STEP / scale, WIDER / scale
    runs = [None, *(Perturbed(seed) for seed in range(SEEDS))]

    def at(t: float, seed: int | None = None) -> np.ndarray:
        """The cost along the direction, with a seed every value moved by its rounding."""
        moved, run = [a + t * d if k == place else a for k, a in enumerate(base)], kinks.again()
        return _value(cost, moved, run if seed is None else _both(run, Perturbed(seed)))

    def along(result: np.ndarray) -> np.ndarray:
        return result if s.direction is not None else np.asarray(np.sum(result * d))

    with np.errstate(all="ignore"):
        value = _value(cost, base, kinks)  # notes the kinks
        result, *others = (_value(derivative, derivative.arguments(p.arguments), run) for run in runs)
        want, up, down = along(result), at(h), at(-h)
        central = (up - down) / (2 * h)
        bent = np.abs((up - value) - (value - down)) / h + np.abs((at(wide) - at(-wide)) / (2 * wide) - central)
        rounded = _spread([up, *(at(h, seed) for seed in range(SEEDS))], value.shape) / h
        shaken = _spread([want, *map(along, others)], want.shape)
        error = bent + 2 * (rounded + shaken) + SURE * np.abs(want)
    return want, central, np.asarray(error), not result.any()


def _value(lowered: Lowered, args: Sequence[Any], after: Any) -> np.ndarray:
    """NaN where it is an error: a condition jumps."""
    try:
        return np.asarray(evaluate(lowered.region, [np.asarray(a) for a in args], after=after)[0], np.float64)
    except WeftError:
        return np.full((), np.nan)


def _both(first: Any, second: Any) -> Any:
    return lambda node, inputs, value: second(node, inputs, first(node, inputs, value))


def _spread(runs: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """How far apart the runs are; infinite where one has another shape."""
    if any(r.shape != shape for r in runs):
        return np.full(shape, np.inf)
    return np.asarray(np.max(runs, axis=0) - np.min(runs, axis=0))


def _narrow(lowered: Lowered) -> bool:
    """Whether some value has steps wider than those of the differences."""
    nodes = [n for r, ns in nested_nodes(lowered.region) for n in ns if isinstance(n.type, TensorType)]
    return any(DTYPES[n.dtype].kind in "fc" and n.dtype not in ("float64", "complex128") for n in nodes)


def _place(p: Program, lowered: Lowered, k: int) -> int:
    """The number of the region's param that input k is: a sparse input before it is several."""
    return sum(len(a.arrays(v)) for a, v in zip(lowered.function.arguments[:k], p.arguments[:k], strict=True))


__all__ = ["differences", "slopes"]
