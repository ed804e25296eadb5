"""The cffi view of the headers that C and Python share, and the ownership of buffers that C allocates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import declarations

CONSTANTS: dict[str, int] = declarations.CONSTANTS  # what the headers #define
ffi: Any = declarations.ffi
HEADERS = Path(__file__).resolve().parent.parent / "kernels"
_libc = ffi.dlopen(None)
MAX_NDIM = len(ffi.new("weft_array *").dims)


def adopt(data, address: int, blocks: dict[int, Any]) -> None:
    """Puts memory from C's allocator into `blocks`, as what frees it when it is gone. Python sees one call of a C
    function: an interrupt that came between making the owner and storing it would free memory in use."""
    blocks.update(zip((address,), map(ffi.gc, (data,), (_libc.free,)), strict=True))


_free, _gc, _buffer, _ndarray = _libc.free, ffi.gc, ffi.buffer, np.ndarray  # looked up once: adopt_array is hot


def adopt_array(data, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array over memory from C's allocator, which serves again when the last view of it is gone."""
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    if nbytes == 0:
        recycle(data)
        return np.empty(shape, dtype)
    return _ndarray(shape, dtype, _buffer(_gc(data, recycle), nbytes))


def keep(data):
    """Memory from C's allocator as an object that owns it."""
    return _gc(data, recycle)


def array_over(block, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array over a block that `keep` made, which lives as long."""
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    return _ndarray(shape, dtype, _buffer(block, nbytes)) if nbytes else np.empty(shape, dtype)


recycle = _free  # how arrays are given back: weft_recycle, once the process has its library
