"""The one library of a process that every program shares: the thread pool, the stop flag, the entry of calls.

It is built from the files in SOURCES by whoever has a compiler; the runtime is given its path.
"""

from __future__ import annotations

import contextlib
import operator
import os
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from . import abi
from .abi import CONSTANTS, HEADERS, ffi
from .errors import ArgumentError, InternalError, WeftError

SOURCES = ("weft_pool.c", "weft_run.c")

_library: Any = None
_threads = 0  # what set_threads asked for before there was a library to tell
_lock = threading.Lock()
_limit = threading.local()  # .threads: of calls from a thread, for a library that is loaded later


def load(path: str | os.PathLike) -> None:
    """Makes the library at `path` the process's. The first one stays: later calls change nothing."""
    global _library
    with _lock:
        if _library is not None:
            return
        opened = open_library(path, stay=True)
        if opened.weft_run_abi() != CONSTANTS["WEFT_ABI"]:
            raise WeftError(f"{path} was built for another version of weft's C interface; build it again")
        opened.weft_pool_set_threads(_threads)
        opened.weft_run_limit(getattr(_limit, "threads", 0))
        abi.recycle = opened.weft_recycle
        _library = opened
    from . import signals

    signals.install()
    named = os.environ.get("WEFT_THREADS", "")
    if named and not (re.fullmatch(r"\s*[0-9]+\s*", named, re.ASCII) and int(named)):
        warnings.warn(f"WEFT_THREADS={named} is no number of threads, and is not used", stacklevel=2)


def open_library(path: str | os.PathLike, stay: bool = False) -> Any:
    """dlopen with an error that says what to do. A library that shall `stay` is never unmapped, not even at exit."""
    flags = ffi.RTLD_NOW | (getattr(os, "RTLD_NODELETE", 0) if stay else 0)
    try:
        return ffi.dlopen(os.fspath(path), flags)
    except OSError as e:
        hint = ""
        if "failed to map" in str(e) or "not permitted" in str(e):
            hint = " (if its folder is mounted noexec, name another one with WEFT_CACHE_DIR)"
        raise WeftError(f"the compiled library {path} cannot be loaded: {e}{hint}") from e


def library() -> Any:
    """The loaded library, as cffi gives it."""
    if _library is None:
        raise InternalError(f"runtime.pool.load(path) comes before the first program; sources: {', '.join(sources())}")
    return _library


def loaded() -> bool:
    return _library is not None


def sources() -> list[str]:
    """Paths of the C files to build the library from."""
    return [str(HEADERS / name) for name in SOURCES]


def parallel_for() -> int:
    """The address of the pool's parallel_for (kernels/weft_pool.h), for programs that are not called from Python."""
    found = ffi.addressof(library(), "weft_parallel_for")
    return int(ffi.cast("uintptr_t", found))


def threads() -> int:
    """How many threads loops use: set, or WEFT_THREADS, or OMP_NUM_THREADS, or what affinity and cgroup allow."""
    return library().weft_pool_threads()


def counts() -> dict[str, int]:
    """What loops on several threads have met so far: weft_pool_counts of kernels/weft_pool.h."""
    out = ffi.new("weft_pool_counts *")
    library().weft_pool_count(out)
    return {name: getattr(out, name) for name in ("loops", "taken", "woken", "slept")}


def thread_count(n: int | None, what: str) -> int:
    """A number of threads as C takes it, 0 for None. Raises ArgumentError."""
    if n is None:
        return 0
    try:
        count = operator.index(n)
    except TypeError:
        raise ArgumentError(f"threads of {what}: {n!r} is no number of threads") from None
    if not 1 <= count < 2**31:
        raise ArgumentError(f"threads of {what}: {count} is no number of threads; None is for no limit")
    return count


@contextlib.contextmanager
def limit_threads(n: int) -> Iterator[None]:
    """Within it, calls from this thread use at most n threads: `with weft.limit_threads(1): f(x)`."""
    before = getattr(_limit, "threads", 0)
    _set_limit(thread_count(n, "weft.limit_threads"))
    try:
        yield
    finally:
        _set_limit(before)


def _set_limit(count: int) -> None:
    _limit.threads = count
    if _library is not None:
        _library.weft_run_limit(count)


def set_threads(n: int) -> None:
    """From the next loop on; n <= 0 returns to the environment's count. Raises ArgumentError."""
    global _threads
    try:
        count = operator.index(n)
    except TypeError:
        raise ArgumentError(f"weft.set_threads: {n!r} is no number of threads") from None
    with _lock:
        _threads = max(-1, min(count, 2**31 - 1))
        if _library is not None:
            _library.weft_pool_set_threads(_threads)


__all__ = [
    "SOURCES", "counts", "library", "limit_threads", "load", "loaded", "open_library", "parallel_for", "set_threads",
    "sources", "thread_count", "threads",
]  # fmt: skip
