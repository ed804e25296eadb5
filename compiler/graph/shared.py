"""Shared variables: symbolic leaves with a value that functions read and update."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime.callable import as_numbers, convert, describe_value, how_to_convert
from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ...runtime.state import Storage
from ..ir.dtypes import check_dtype, numpy_dtype
from .config import config
from .operators import TensorOperators
from .told import tell_methods, told
from .types import TensorType, fresh_token, param
from .variable import Variable


class SharedVariable(Variable):
    """A leaf with a value. `container` is its storage; `default_update` advances it at every call that uses it."""

    __slots__ = ("allow_downcast", "container", "default_update", "strict")

    def __init__(
        self,
        t: TensorType,
        value: np.ndarray,
        name: str | None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        borrow: bool = False,
    ):
        super().__init__(param(t, fresh_token()), name=name)
        self._type = t
        self.container = Storage(value, borrow)
        self.strict, self.allow_downcast = strict, allow_downcast
        self.default_update: Variable | None = None

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        """The current value: a copy, or with `borrow` the memory that functions read.

        What is lent so keeps its values as long as the array or a view of it lives: updates then go elsewhere. Writing
        to it changes the variable, until its next update.
        """
        return self.container.lend() if borrow else self.container.copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replaces the value; lengths may change, dtype and rank not. `borrow` is that of `shared`."""
        array = self._accept(new_value)
        self.container.replace(array if borrow else np.array(array, order="C", copy=True), borrow)

    def _accept(self, value: Any) -> np.ndarray:
        t = self.type
        want = numpy_dtype(t.dtype)
        array = as_numbers(value, f"{self.describe()} holds {want}")
        if array.dtype != want:
            fit = None if self.strict else convert(value, array, want, self.allow_downcast, want == config.floatX)
            if fit is None:
                raise DTypeError(
                    f"{self.describe()} holds {t.dtype}; {describe_value(value)} does not fit without loss. "
                    f"{how_to_convert(value, want)}, or make the variable with allow_downcast=True"
                )
            array = fit
        if array.ndim != t.ndim:
            raise ShapeError(
                f"{self.describe()} has {t.ndim} dimensions; the new value has shape {array.shape} "
                f"(now it has {self.container.array().shape}; {self.describe()} was made {self.trace.at})"
            )
        for a, (n, fixed) in enumerate(zip(array.shape, t.shape, strict=True)):
            if fixed is not None and n != fixed:
                raise ShapeError(
                    f"axis {a} of {self.describe()} has length {fixed}; the new value has shape {array.shape}"
                )
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The current value as `get_value(borrow=True)` gives it, but read-only; a copy where one is asked for."""
        other = dtype is not None and np.dtype(dtype) != self.container.dtype
        if copy is False and other:
            raise ValueError(f"{self.describe()} is {self.dtype}: as {np.dtype(dtype)} it has to be copied")
        if copy or other:
            return self.container.copy().astype(dtype or self.container.dtype, copy=False)
        value = self.container.lend()
        value.flags.writeable = False
        return value

    def __dlpack__(self, **options: Any) -> Any:
        """The current value for other libraries, as `get_value(borrow=True)`: they see it for as long as they hold it,
        and no update writes to it."""
        return self.container.lend().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.container.lend().__dlpack_device__()

    def zero(self, borrow: bool = False) -> None:
        """Fills the value with zeros."""
        self.container.replace(np.zeros_like(self.container.array()))

    def describe(self) -> str:
        return self.name or f"<shared {self.type}>"

    def clone(self, name: str | None = None):
        raise ArgumentError("a shared variable is not cloned: make another with weft.shared")


tell_methods(SharedVariable)


class TensorSharedVariable(TensorOperators, SharedVariable):
    __slots__ = ()
    __hash__ = object.__hash__


@told
def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    broadcastable: Any = None,
    shape: Any = None,
    borrow: bool = False,
    target: str | None = None,
) -> Any:
    """A shared variable holding `value`, whose dtype and rank become its type.

    No axis is broadcastable and no length fixed unless `broadcastable` or `shape` says so, since later values may have
    other lengths. Python floats become float64 arrays and ints int64, as NumPy has them.

    The value is copied. With `borrow` a C-contiguous, aligned array of the machine's byte order is read where it lies,
    until the first update of the variable; it is never written to, so it may be read-only (a file mapped to memory).
    What the caller writes to it meanwhile, functions may see.
    """
    if isinstance(value, Variable):
        raise DTypeError("shared takes a value, not a symbolic variable")
    if type(value).__module__.split(".")[0] == "scipy":
        from .sparse import shared_sparse

        return shared_sparse(value, name)
    array = as_numbers(value, "shared takes numbers")
    if not borrow:
        array = np.array(array, order="C", copy=True)
    dtype = check_dtype(array.dtype)
    if shape is None:
        shape = tuple(1 if b else None for b in broadcastable) if broadcastable is not None else (None,) * array.ndim
    t = TensorType(dtype, shape=shape)
    if array.ndim != t.ndim or any(n is not None and n != m for n, m in zip(t.shape, array.shape, strict=True)):
        raise ShapeError(f"shared: a value of shape {array.shape} does not have the declared shape {t.shape}")
    return TensorSharedVariable(t, array, name, strict, allow_downcast, borrow)
