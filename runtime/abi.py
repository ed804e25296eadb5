"""The cffi view of kernels/weft_abi.h and the ownership of buffers that C allocates."""

from __future__ import annotations

import re
from pathlib import Path

import cffi
import numpy as np

HEADERS = Path(__file__).resolve().parent.parent / "kernels"


def _declarations() -> str:
    """The header as cffi reads it: without directives and comments, its constants filled in."""
    text = re.sub(r"/\*.*?\*/", "", (HEADERS / "weft_abi.h").read_text(), flags=re.S)
    constants = dict(re.findall(r"#define (WEFT_\w+) (\d+)", text))
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for name, value in constants.items():
        text = re.sub(rf"\b{name}\b", value, text)
    return text


ffi = cffi.FFI()
ffi.cdef(_declarations())
ffi.cdef("int32_t weft_main(weft_call *call); void free(void *);")
_libc = ffi.dlopen(None)
MAX_NDIM = len(ffi.new("weft_array *").dims)


def adopt(data, nbytes: int) -> np.ndarray:
    """A uint8 array over memory from C's allocator, freed when the last view of it is gone."""
    if nbytes == 0:
        _libc.free(data)
        return np.empty(0, np.uint8)
    owned = ffi.gc(data, _libc.free, size=nbytes)
    return np.frombuffer(ffi.buffer(owned, nbytes), dtype=np.uint8)
