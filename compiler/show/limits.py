"""What the machine does at most (kernels/weft_limits.c), measured once a CPU and thread count and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from ...runtime import pool
from ...runtime.abi import HEADERS, ffi
from ...runtime.errors import OutOfMemoryError
from ..build import toolchain
from ..build.cache import open_cache
from ..build.library import compile_library
from ..graph.config import config

SOURCE = "weft_limits.c"
SUFFIX = ".limits"
# Measurements. Neighbours, two virtual processors on one core say, slow down a whole one: the fastest counts.
LEAST, MOST = 3, 8
F32, F64 = 4, 5


class Limits(NamedTuple):
    """Bytes and floating-point operations a second, on `threads` threads; bytes of the second cache of one core."""

    threads: int
    copy_memory: float
    read_memory: float
    copy_l2: float
    read_l2: float
    flops_float32: float
    flops_float64: float
    l2: int

    @property
    def memory(self) -> float:
        return max(self.copy_memory, self.read_memory)

    @property
    def cache(self) -> float:
        return max(self.copy_l2, self.read_l2)

    def flops(self, dtype: str) -> float:
        return self.flops_float64 if dtype in ("float64", "complex128") else self.flops_float32


_known: dict[tuple[str, int], Limits] = {}


def limits(threads: int) -> Limits:
    """Those of this machine on so many threads."""
    chain = toolchain.find(config.cc)
    text = (HEADERS / SOURCE).read_text()
    key = hashlib.sha256(f"{chain.identity}\0{text}\0{threads}\0{LEAST}".encode()).hexdigest()
    if (key, threads) not in _known:

        def measure(target: Path) -> None:
            path = compile_library([(SOURCE, text)], cc=config.cc, cache_dir=config.cache_dir)
            library = pool.open_library(path)
            found = ffi.new("double[6]")
            best = [0.0] * 6
            for k in range(MOST):
                if k >= LEAST and best[F32] >= 1.5 * best[F64]:
                    break  # else one of them was disturbed: a vector holds twice as many float32
                if library.weft_limits(ffi.addressof(pool.library(), "weft_parallel_for"), threads, found):
                    raise OutOfMemoryError("there is no memory to measure what the machine does at most")
                best = list(map(max, best, found))
            target.write_text(json.dumps([threads, *best, int(library.weft_limits_cache())]))

        path = open_cache(config.cache_dir).fetch(key, measure, SUFFIX)
        _known[key, threads] = Limits(*json.loads(path.read_text()))
    return _known[key, threads]


__all__ = ["Limits", "limits"]
