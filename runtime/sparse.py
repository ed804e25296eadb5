"""Sparse arguments and results: a SciPy matrix on the outside, four arrays inside (data, indices, indptr, columns).

indices and indptr are int32. The structure is checked here, at every call, so that no kernel sees a bad index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .callable import Argument
from .errors import ArgumentError, BoundsError, DTypeError, ShapeError

_LIMIT = np.iinfo(np.int32).max


def convert(value: Any, label: str, dtype: np.dtype, shape: Sequence[int | None], **options: Any) -> list[np.ndarray]:
    """The four arrays of a sparse matrix (anything with `tocsr`, or with the attributes of a csr matrix).

    Raises DTypeError, ShapeError or BoundsError. options: those of `Argument`.
    """
    if hasattr(value, "tocsr"):
        value = value.tocsr()
    try:
        data, indices, indptr = (np.asarray(getattr(value, n)) for n in ("data", "indices", "indptr"))
        rows, columns = (int(n) for n in value.shape)
    except (AttributeError, TypeError, ValueError):
        raise DTypeError(f"{label} takes a sparse matrix (scipy.sparse), not {type(value).__name__}") from None
    for axis, (n, want) in enumerate(zip((rows, columns), shape, strict=True)):
        if want is not None and n != want:
            raise ShapeError(f"axis {axis} of {label} has length {want}, but was given shape {(rows, columns)}")
    if indptr.shape != (rows + 1,) or data.ndim != 1 or indices.ndim != 1 or rows < 0 or columns < 0:
        raise ShapeError(
            f"{label}: {rows} rows take an indptr of {rows + 1} elements, and vectors of data and indices; "
            f"given {indptr.shape}, {data.shape}, {indices.shape}"
        )
    if indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu":
        raise DTypeError(
            f"{label}: indices and indptr hold {indices.dtype} and {indptr.dtype}; they have to be integers"
        )
    count, room = int(indptr[-1]), min(len(data), len(indices))
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any() or count > room:
        raise BoundsError(f"{label}: indptr does not ascend from 0 to at most the number of stored elements, {room}")
    if max(count, rows, columns) > _LIMIT:
        raise ShapeError(
            f"{label}: {max(count, rows, columns)} rows, columns or stored elements; at most {_LIMIT} are supported"
        )
    data, indices = data[:count], indices[:count]
    if count and (indices.min() < 0 or indices.max() >= columns):
        bad = int(indices.min()) if indices.min() < 0 else int(indices.max())
        raise BoundsError(f"{label}: column {bad} in a sparse matrix of {columns} columns")
    stored = Argument(None, f"data of {label}", dtype, (None,), **options).convert(data)
    whole = (np.ascontiguousarray(v, dtype=np.int32) for v in (indices, indptr))
    return [stored, *whole, np.asarray(columns, np.int64)]


def matrix_class() -> Any:
    """SciPy's. Raises ArgumentError where it is not installed."""
    try:
        from scipy.sparse import csr_matrix
    except ImportError:
        raise ArgumentError(
            "a sparse result comes as a matrix of scipy, which is not installed: pip install 'weft[linalg]'"
        ) from None
    return csr_matrix


def assemble(parts: Sequence[np.ndarray]) -> Any:
    """The SciPy matrix of the four arrays."""
    data, indices, indptr, columns = parts
    return matrix_class()((data, indices, indptr), shape=(len(indptr) - 1, int(columns)), copy=False)


def group(results: Sequence[np.ndarray], kinds: Sequence[str]) -> list[Any]:
    """The results of a function as the user sees them: four arrays for each that is sparse."""
    rest = list(reversed(results))
    return [assemble([rest.pop() for _ in range(4)]) if k == "csr" else rest.pop() for k in kinds]


@dataclass
class SparseArgument(Argument):
    """A sparse argument. Where the type fixes the number of columns, three arrays go in."""

    def arrays(self, value: Any) -> list[np.ndarray]:
        options = {"allow_downcast": self.allow_downcast, "strict": self.strict}
        made = convert(value, self.label, self.dtype, self.shape, **options)
        return made if self.shape[1] is None else made[:3]

    def shown(self, arrays: Iterator[Any]) -> str:
        _, _, indptr = next(arrays), next(arrays), next(arrays)
        columns = self.shape[1] if self.shape[1] is not None else int(next(arrays))
        return f"of shape {(len(indptr) - 1, columns)}"


__all__ = ["SparseArgument", "assemble", "convert", "group", "matrix_class"]
