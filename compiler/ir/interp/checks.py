"""What fails at run time, and how each failure reads, in both modes: obligations by what they demand; operations that
find their values unfit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ....runtime.errors import ArgumentError, BoundsError, NumericalError, ShapeError, shown
from ..lengths import LIMIT
from ..node import Check

SHOWN = 4  # values that a compiled call has room for


class Kind(NamedTuple):
    arity: int  # 0: of any number
    holds: Callable[..., bool]
    error: type[Exception]
    message: str  # says {what} it is about and, with {}, the values


CHECKS: dict[str, Kind] = {
    "eq": Kind(2, lambda a, b: a == b, ShapeError, "{what}: {} and {} differ"),
    "le": Kind(2, lambda a, b: a <= b, ShapeError, "{what}: {} is more than {}"),
    "nonneg": Kind(1, lambda a: a >= 0, ShapeError, "{what}: {} is negative"),
    "positive": Kind(1, lambda a: a > 0, ShapeError, "{what}: {} is not positive"),
    "size": Kind(0, lambda *n: abs(math.prod(n)) <= LIMIT, ShapeError, "{what}: {} is more than any array has"),
    "bounds": Kind(2, lambda i, n: -n <= i < n, BoundsError, "{what} {} is out of range for an axis of length {}"),
    "indices": Kind(2, lambda i, n: -n <= i < n, BoundsError, "{what} {} is out of range for an axis of length {}"),
    "true": Kind(1, lambda c: c, ArgumentError, "{what}: does not hold"),
}


def message(check: Check) -> str:
    """What it is about and what is wrong, with {0}, {1}, ... for the values."""
    kind, n = CHECKS[check.kind], len(check.operands)
    values = [f"{{{k}}}" for k in range(kind.arity or min(n, SHOWN))]
    if not kind.arity:
        values = [" * ".join(values + ["..."] * (n > SHOWN))]
    return kind.message.format(*values, what=check.what)


class Fault(NamedTuple):
    error: type[Exception]
    message: str


FAULTS: dict[str, Fault] = {
    "index": Fault(BoundsError, "index {0} is out of range for an axis of length {1}"),
    "indptr": Fault(BoundsError, "indptr does not ascend from 0 to the number of stored elements, {1}"),
    "cholesky": Fault(
        NumericalError, "cholesky: the matrix is not positive definite, or holds NaN (its leading minor of order {0})"
    ),
    "host_shape": Fault(ShapeError, "a Python operation returned an axis of length {0} where {1} is declared"),
}


def fault(kind: str, *values: int) -> Exception:
    """The error of a node, with its kind as `.fault`; the run that it happens in adds `.node` and `.region`."""
    error = FAULTS[kind].error(FAULTS[kind].message.format(*map(shown, values)))
    error.fault = kind  # type: ignore[attr-defined]
    return error


def hold(check: Check, values: Sequence[Any]) -> None:
    """Raises the error of the check's kind, with the check as `.check` and its operands' values as `.values`."""
    kind = CHECKS[check.kind]
    if check.kind == "indices":  # "bounds" of each element of an array: the first that is out of range, if one is
        index, n = values
        wrong = index[(index < -int(n)) | (index >= int(n))]
        if not wrong.size:
            return
        values = (wrong.flat[0], n)
    plain = tuple(bool(v) if check.kind == "true" else int(v) for v in values)
    if not kind.holds(*plain):
        error = kind.error(message(check).format(*map(shown, plain)))
        error.check, error.values = check, plain  # type: ignore[attr-defined]
        raise error
