"""Python's cyclic garbage collector, paused while a graph is worked on.

A graph is many small objects that all stay alive: each full collection walks them and frees nothing (a chain of 100,000
operations compiled in 58 s with the collector and 40 s without, on two cores). What a stage drops is freed by reference
counts; cycles wait for the first collection afterwards.
"""

from __future__ import annotations

import functools
import gc
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_depth = 0  # calls under way, in all threads
_was_enabled = False


def paused(work: Callable[P, R]) -> Callable[P, R]:
    """The function, with the collector off while any call of such a function runs."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        _enter()
        try:
            return work(*args, **kwargs)
        finally:
            _leave()

    return run


def _enter() -> None:
    global _depth, _was_enabled
    with _lock:
        if _depth == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _depth += 1


def _leave() -> None:
    global _depth
    with _lock:
        _depth -= 1
        if _depth == 0 and _was_enabled:
            gc.enable()
