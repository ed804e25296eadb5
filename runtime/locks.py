"""Locks: whatever functions use together has one, so that a call takes one lock however many variables it has.

Each variable begins in a group of its own. A function joins the groups of its variables into one, for good; two
functions that share a variable, or are linked by others that do, wait for each other, functions that are not never do.

Python raises an interrupt after the call of a C function or when a Python function begins, not when one returns. So
between taking a lock and the `try` whose `finally` gives it back nothing is called, nor before `release` in there; the
`__exit__` of a class in Python would begin with its lock held.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

Running = tuple[Sequence[Any], Any] | None


class Group:
    """A lock, and what it is for. `into` is the group that has taken its place."""

    __slots__ = ("__weakref__", "into", "lock", "running")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.into: Group | None = None
        self.running: Running = None  # the calls that hold the lock, by their variables: the innermost, those around it
        groups.add(self)

    def current(self) -> Group:
        group = self
        while group.into is not None:
            group = group.into
        return group

    def hold(self) -> Group:
        """The group that stands for this one, with its lock taken: `try: ... finally: group.lock.release()` is next."""
        group = self
        while True:
            while group.into is not None:  # a function has joined it with others
                group = group.into
            lock = group.lock
            try:
                lock.acquire()
            except BaseException:  # an interrupt comes while it waits, or once the lock is taken
                with contextlib.suppress(RuntimeError):
                    lock.release()
                raise
            if group.into is None:
                if group is not self:
                    self.into = group  # those in between need not stay, nor be walked again
                return group
            lock.release()


groups: weakref.WeakSet[Group] = weakref.WeakSet()
joining = threading.RLock()


def join(parts: Iterable[Group]) -> Group:
    """One group for all; calls that run on any but one of them are waited for, with nothing held that other functions
    are made with."""
    parts = list(parts)
    while True:
        found = _roots(parts)
        if len(found) > 1:
            with joining:
                found = _roots(parts)
                one = next((g for g in found if g.running), found[0])  # where a call runs now it may go on
                busy = next((g for g in found if g is not one and not _into(g, one)), None)
            if busy is not None:
                with busy.lock:
                    continue
            found = [one]
        if not found:
            return Group()
        for p in parts:
            if p is not found[0]:
                p.into = found[0]  # not by way of those of functions that are gone
        return found[0]


def _roots(parts: Iterable[Group]) -> list[Group]:
    return list(dict.fromkeys(p.current() for p in parts))


def _into(group: Group, one: Group) -> bool:
    """Puts `one` in the place of a group, unless another thread holds its lock."""
    try:
        free = group.lock.acquire(blocking=False)
    except BaseException:  # an interrupt comes once the lock is taken
        with contextlib.suppress(RuntimeError):
            group.lock.release()
        raise
    if not free:
        return False
    try:
        group.into = one
    finally:
        group.lock.release()
    return True


def free_in_child(lock: threading.RLock) -> bool:  # type: ignore[valid-type]
    """In a forked child: makes a lock that a thread of the parent held free again. Whether one did."""
    if lock.acquire(blocking=False):  # type: ignore[attr-defined]
        lock.release()  # type: ignore[attr-defined]
        return False
    lock._at_fork_reinit()  # type: ignore[attr-defined]
    return True


__all__ = ["Group", "free_in_child", "groups", "join", "joining"]
