"""Types of Variables, as users see them: dtype, rank and which lengths are known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError
from ..ir import lengths
from ..ir import types as ir
from ..ir.dtypes import check_dtype, numpy_dtype
from ..ir.node import Node, build
from .arguments import integer, listed

_tokens = itertools.count()


class TensorType:
    """`TensorType(dtype, broadcastable)` or `TensorType(dtype, shape=(...))` with None for an unknown length.

    Calling it makes a variable of the type: `TensorType("float32", (False, True))("b")`.
    """

    kind = "dense"
    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: Any, broadcastable: Any = None, name: str | None = None, *, shape: Any = None):
        self.dtype = check_dtype(dtype)
        if (broadcastable is None) == (shape is None):
            raise ArgumentError("TensorType takes broadcastable or shape, one of the two")
        if shape is not None:
            known = listed(shape, "the lengths of a type")
            self.shape = tuple(None if n is None else integer(n, "a length in a type") for n in known)
        else:
            # A tuple of ints in this place is a static shape, as in Theano's successors.
            self.shape = tuple(
                (1 if b else None) if b is None or isinstance(b, (bool, np.bool_)) else integer(b, "a length in a type")
                for b in listed(broadcastable, "the entries of broadcastable")
            )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return tuple(n == 1 for n in self.shape)

    @property
    def numpy_dtype(self) -> np.dtype:
        return numpy_dtype(self.dtype)

    def __eq__(self, other):
        return type(self) is type(other) and self.dtype == other.dtype and self.shape == other.shape

    def __hash__(self):
        return hash((type(self).__name__, self.dtype, self.shape))

    def __repr__(self):
        return f"{type(self).__name__}({self.dtype}, shape={self.shape})"

    def __call__(self, name: str | None = None):
        return self.make_variable(name)

    def make_variable(self, name: str | None = None):
        from .variable import leaf

        if name is not None and not isinstance(name, str):
            raise ArgumentError(f"the name of a variable is a string, not {name!r}")
        return leaf(self, name)

    def clone(self, dtype: Any = None, broadcastable: Any = None):
        return TensorType(
            dtype or self.dtype, shape=self.shape if broadcastable is None else None, broadcastable=broadcastable
        )

    def __reduce__(self):
        return _restore, (type(self), self.dtype, self.shape)


def _restore(cls: type, dtype: str, shape: tuple) -> TensorType:
    return cls(dtype, shape=shape)


class SparseType(TensorType):
    """A sparse matrix in compressed sparse rows."""

    kind = "csr"
    __slots__ = ()

    def make_variable(self, name: str | None = None):
        from .sparse import declared

        return declared(self, name)

    def clone(self, dtype: Any = None, broadcastable: Any = None):
        return SparseType(dtype or self.dtype, shape=self.shape)


class RandomStateType(TensorType):
    """The state of a random stream: key and number of draws so far (two uint64)."""

    kind = "random"
    __slots__ = ()

    def __init__(self, dtype: str = "uint64", broadcastable: Any = None, name: str | None = None, *, shape: Any = (2,)):
        super().__init__(dtype, shape=shape)


_KINDS = {c.kind: c for c in (TensorType, SparseType, RandomStateType)}


def from_ir(t: ir.TensorType) -> TensorType:
    return _KINDS[t.kind](t.dtype, shape=t.static_shape)


def param(t: TensorType, token: Any) -> Node:
    """The IR parameter for a variable of this type; unknown lengths become `dim`s of the token."""
    axes = [build("dim", token=token, axis=a) if n is None else lengths.const(n) for a, n in enumerate(t.shape)]
    return build("param", *axes, token=token, dtype=t.dtype, kind=t.kind)


def fresh_token() -> tuple[str, int]:
    return ("v", next(_tokens))
