"""What values are, how they are converted, and the table that the other files of this folder fill.

    value ::= array                  a dense tensor
            | scipy csr_matrix       kind csr
            | array uint64[2]        kind random: key, number of draws so far
            | tuple of values        a tuple

A meaning is a function of (node, values of its inputs, the run it happens in); elementwise ones use only the values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import DTYPES, HALF, numpy_dtype
from ..node import Node

Value = Any
Meaning = Callable[[Node, Sequence[Value], Any], Value]

MEANING: dict[str, Meaning] = {}



def meaning(*names: str) -> Callable[[Meaning], Meaning]:
    """Decorator that enters a function into the table of meanings."""

    def enter(f: Meaning) -> Meaning:
        for name in names:
            MEANING[name] = f
        return f

    return enter


def is_half(x: np.ndarray) -> bool:
    return x.dtype.name in HALF


def widen(x: np.ndarray) -> np.ndarray:
    """float16 and bfloat16 as float32 (exact); anything else as it is."""
    return x.astype(np.float32) if is_half(x) else x


def cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """float to integer truncates, saturates, NaN gives 0; integers wrap; to bool is x != 0; complex to real takes the
    real part; every cast to a float rounds once."""
    source, target = x.dtype.name, DTYPES[dtype]
    if source == dtype:
        return x
    if dtype == "bool":
        return np.asarray(widen(x) != 0)
    if x.dtype.kind == "c" and target.kind != "c":
        x = x.real
    x = widen(x)
    if x.dtype.name == dtype:
        return x
    if target.kind in "iu" and x.dtype.kind == "f":
        return _saturate(x, dtype)
    if dtype == "bfloat16":
        return _to_bfloat16(x)
    return x.astype(numpy_dtype(dtype))


def _saturate(x: np.ndarray, dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    low, high = float(info.min), float(2 ** (info.bits - (info.min < 0)))  # powers of two: exact in every float type
    t = np.trunc(x)
    out = np.asarray(np.where((t >= low) & (t < high), t, np.zeros_like(t))).astype(dtype)
    out[t >= high] = info.max
    out[t < low] = info.min
    return out


def _to_bfloat16(x: np.ndarray) -> np.ndarray:
    """One rounding. ml_dtypes goes by way of float32, which rounds twice; rounding to odd on the way repairs that."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        negative = x < 0
        size = np.where(negative, np.negative(x.view("int64")).view("uint64"), x.view("uint64")).astype("uint64")
        sticky = (size & np.uint64(0xFFFF)) != 0
        large = ((size >> np.uint64(16)) | sticky.astype("uint64")).astype(np.float64) * 65536.0
        exact = np.where(size >> np.uint64(48) != 0, large, (size & np.uint64(2**48 - 1)).astype(np.float64))
        x = np.where(negative, -exact, exact)
    if x.dtype != np.float32:
        x = _odd_float32(np.asarray(x, np.float64))
    return x.astype(numpy_dtype("bfloat16"))


def _odd_float32(x: np.ndarray) -> np.ndarray:
    """The float32 next towards zero, with its last bit set when anything was lost."""
    f = x.astype(np.float32)
    back = f.astype(np.float64)
    bits = np.atleast_1d(f).view(np.uint32).reshape(f.shape)
    bits = bits - (np.abs(back) > np.abs(x)).astype(np.uint32)
    bits = bits | (back != x).astype(np.uint32)
    return np.asarray(np.where(np.isnan(x), f, np.atleast_1d(bits).view(np.float32).reshape(f.shape)))


def narrow(x: Any, dtype: str) -> np.ndarray:
    """A result computed in float32 rounded to float16 or bfloat16; anything else unchanged."""
    x = np.asarray(x)
    return cast(x, dtype) if dtype in HALF else x
