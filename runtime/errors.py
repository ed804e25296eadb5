"""Error types. User errors say what was wrong in the user's program; `InternalError` is a defect of weft itself."""

from __future__ import annotations

from typing import Any


class WeftError(Exception):
    """Base of every error that weft raises for a user's program."""


class ShapeError(WeftError, ValueError):
    """Lengths or ranks that do not fit together."""


class DTypeError(WeftError, TypeError):
    """An element type that an operation or an argument does not accept."""


class ArgumentError(WeftError, TypeError):
    """A missing, unknown, repeated or unsuitable argument of a call."""


class UnusedInputError(WeftError, ValueError):
    """An input of a function that no output depends on."""


class MissingInputError(WeftError, ValueError):
    """A variable that the outputs need and that is neither an input nor has a value."""


class DisconnectedInputError(WeftError, ValueError):
    """A gradient with respect to a variable that the cost does not depend on."""


class NullGradientError(WeftError, ValueError):
    """A gradient through an operation that has none."""


class GradientError(WeftError, AssertionError):
    """A gradient that finite differences contradict."""


class BoundsError(WeftError, IndexError):
    """An index outside its axis."""


class NumericalError(WeftError, ArithmeticError):
    """A library operation that failed on its values (a matrix that is not positive definite, say)."""


class NanError(NumericalError):
    """A NaN, an infinity or a number too large that mode="nanguard" found."""


class OutOfMemoryError(WeftError, MemoryError):
    """Arrays that the memory of the machine does not hold."""


class CheckpointError(WeftError, OSError):
    """A checkpoint that cannot be written, is damaged, or belongs to another model."""


class CompileError(WeftError, RuntimeError):
    """The C compiler is missing or refused a program."""

    explained = True  # no line of the user's program is at fault


LENGTH_LIMIT = 1 << 48  # of an axis: what sums of lengths may rest on (compiler/ir/lengths.py)


MOST = (1 << 63) - 1  # the largest integer of dtype int64


def shown(value: int) -> str:
    """A value of a failed call as its message has it. Compiled programs hold no integer beyond `MOST`: what an
    index of dtype uint64 is there they do not know."""
    return str(value) if value < MOST else f"{MOST} or more"


def too_long(what: str, shape: tuple[int, ...]) -> ShapeError | None:
    """What is wrong with an array of this shape where an axis is longer than any; it may be empty."""
    if all(n <= LENGTH_LIMIT for n in shape):
        return None
    return ShapeError(f"{what} has shape {shape}: an axis has at most 2**48 elements")


def unfit_result(k: int, name: str, array: Any, dtype: Any, ndim: int) -> WeftError | None:
    """What is wrong with the array that a Python operation of the user's returned as its output k."""
    if array.dtype != dtype:
        return DTypeError(f"output {k} of {name} is {array.dtype}; it is declared {dtype}")
    if array.ndim != ndim:
        return ShapeError(f"output {k} of {name} has {array.ndim} dimensions; it is declared with {ndim}")
    return too_long(f"output {k} of {name}", array.shape)


class InternalError(Exception):
    """A defect of weft itself: an ill-typed node, a broken invariant. Please report it."""


class CheckError(InternalError):
    """A compiled call that differs from the interpreted one, in mode="check"."""
