"""Storage of shared variables: C-contiguous buffers that compiled functions read and replace in place.

A compiled call commits by swapping two pointers of the C struct (kernels/weft_abi.h), so an interrupt of Python can
never see half of the updates of a call.

Borrowing goes both ways, and no call writes to memory that somebody else can see. A buffer that was lent (`lend`) is
left alone as long as the array, or a view of it, lives; memory that was borrowed (`replace(value, borrow=True)`) for
good. Before a call that updates such a variable `protect` puts another buffer in its place: the spare one is dropped,
and the current one copied where it would be updated in place.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from .abi import MAX_NDIM, adopt, ffi
from .errors import WeftError, too_long
from .locks import Group, free_in_child, groups, joining

F = TypeVar("F", bound=Callable[..., Any])
_orders = itertools.count()
lending: set[int] = set()  # orders of the storages with buffers that others see; most programs never have one
LOST = (
    "the process was forked while another thread ran a function on this shared variable, so its value is not known in "
    "the child; set it (set_value), or fork while no function runs on it"
)


_FREE = [False]


def _locked(method: F) -> F:
    """A method of a storage that runs with its group's lock held."""

    @functools.wraps(method)
    def run(self: Storage, *args: Any, **kwargs: Any) -> Any:
        group = self.group.hold()
        try:
            return method(self, *args, **kwargs)
        finally:
            group.lock.release()

    return run  # type: ignore[return-value]


class Storage:
    """One value with its C struct. The lock of its group is held while a function runs on it."""

    def __init__(self, value: np.ndarray, borrow: bool = False):
        self.group = Group()
        self.order = next(_orders)
        self.holder = _FREE  # of the last function with Python operations that used the buffers: whether it does now
        self.lost = False  # in a forked child: some thread of the parent was at work on the value
        self.struct = ffi.new("weft_state *")
        self._owned: dict[int, np.ndarray] = {}
        self._adopted: dict[int, Any] = {}  # buffers from C on the way there; what an interrupt leaves, too
        # Buffers that others see: what lent arrays rest on; None: borrowed.
        self.out: dict[int, weakref.ref | None] = {}
        self.dtype = value.dtype
        self.replace(value, borrow)

    @_locked
    def replace(self, value: np.ndarray, borrow: bool = False) -> None:
        """Makes `value` (C-contiguous, aligned) the current one. The caller no longer owns it, unless `borrow`."""
        if value.ndim > MAX_NDIM:
            raise ValueError(f"a shared variable with {value.ndim} dimensions; at most {MAX_NDIM} are supported")
        if (wrong := too_long("the value of a shared variable", value.shape)) is not None:
            raise wrong
        # An empty view may have the address of a buffer.
        fits = value.nbytes and value.flags.c_contiguous and value.flags.aligned and value.dtype.isnative
        if not (fits and (borrow or value.flags.writeable)):
            value = np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True)
            borrow = False
        if self.held:
            raise WeftError(
                "a Python operation may not set a shared variable of the function that runs it; make the new value "
                "one of the function's updates, or set it after the call"
            )
        if self.lost:  # the pointers may be half swapped; the buffers stay with the child
            self.struct.now, self.struct.spare = ffi.new("weft_state *").now, ffi.new("weft_state *").spare
            self.lost = False
        address = _address(value)
        new = ffi.new("weft_array *")
        new.data, new.capacity = ffi.cast("void *", address), value.nbytes
        new.dims[0 : value.ndim] = value.shape
        if address == self._spare():  # lent once, and now given back: the user's
            self._drop_spare()
        self._owned[address] = value
        if borrow:
            lending.add(self.order)
            self.out[address] = None
        else:
            self.out.pop(address, None)
        self.struct.now = new[0]  # at once: an interrupt finds the old value or the new one
        live = {address, self._spare()}
        self._owned = {a: v for a, v in self._owned.items() if a in live}
        self.dtype, self.ndim = value.dtype, value.ndim
        self.out = {a: w for a, w in self.out.items() if a in live}

    @_locked
    def restore(self) -> Callable[[], None]:
        """What puts the present value back, borrowed as it is."""
        value = self.array()
        borrowed = _address(value) in self.out
        return lambda: self.replace(value, borrowed)

    @_locked
    def copy(self) -> np.ndarray:
        """The current value as an array of the caller's own."""
        return self.array().copy()

    @_locked
    def lend(self) -> np.ndarray:
        """The current value, not a copy: until the array and its views are gone, no call writes to its memory.

        An empty value, and one that a call just now runs on, which has looked already at what is lent, are copied."""
        value = self.array()
        address = _address(value)
        if self.held or not value.nbytes:
            return value.copy()
        door = self.out.get(address, _nobody)
        if door is None:
            return value[...]
        buffer = door()
        if buffer is None:
            # Whatever views are made of the array, they hold this object, and it holds the memory.
            buffer = ffi.buffer(ffi.from_buffer(self._owned[address].reshape(-1).view(np.uint8)))
            self.out[address] = weakref.ref(buffer)
            lending.add(self.order)
        return np.ndarray(value.shape, value.dtype, buffer)

    def protect(self, in_place: bool) -> None:
        """Before a call that writes to the spare buffer, or `in_place` to the current one: to neither if it is lent."""
        self.out = {a: w for a, w in self.out.items() if a in self._owned and (w is None or w() is not None)}
        spare = self._spare()
        if spare in self.out:
            self._drop_spare()
            del self._owned[spare], self.out[spare]
        if in_place and not self.held and self.address() in self.out:
            self.replace(self.array().copy())
        if not self.out:
            lending.discard(self.order)

    @property
    def held(self) -> bool:
        """A function that runs a Python operation just now uses the buffers."""
        return self.holder[0]

    def address(self) -> int:
        return int(ffi.cast("uintptr_t", self.struct.now.data))

    def _spare(self) -> int:
        return int(ffi.cast("uintptr_t", self.struct.spare.data))

    def _drop_spare(self) -> None:
        self.struct.spare.data, self.struct.spare.capacity = ffi.NULL, 0

    def __reduce__(self):
        return Storage, (self.copy(),)

    def __del__(self, discard: Callable[[int], None] = lending.discard) -> None:
        discard(self.order)

    @_locked
    def array(self) -> np.ndarray:
        """The current value, not a copy."""
        if self.lost:
            raise WeftError(LOST)
        now = self.struct.now
        address = self.address()
        shape = tuple(now.dims[a] for a in range(self.ndim))
        owned = self._owned.get(address)
        if owned is None:
            owned = self._adopt(now, address)
        if owned.shape == shape and owned.dtype == self.dtype:
            return owned
        flat = owned.reshape(-1).view(np.uint8)
        count = int(np.prod(shape, dtype=np.int64))
        return flat[: count * self.dtype.itemsize].view(self.dtype).reshape(shape)

    def _adopt(self, slot, address: int) -> np.ndarray:
        """Takes over a buffer that C allocated for a new value."""
        live = {self.address(), self._spare()}
        self._owned = {a: v for a, v in self._owned.items() if a in live}
        return self._own(slot, address)

    def _own(self, slot, address: int) -> np.ndarray:
        if address not in self._adopted:
            adopt(slot.data, address, self._adopted)
        array = np.frombuffer(ffi.buffer(self._adopted[address], slot.capacity), np.uint8)
        self._owned[address] = array
        del self._adopted[address]
        return array

    def settle(self) -> None:
        """After a call: owns whatever buffers C put into the struct and frees those it dropped."""
        live = set()
        for slot in (self.struct.now, self.struct.spare):
            address = int(ffi.cast("uintptr_t", slot.data))
            if address:
                live.add(address)
                if address not in self._owned:
                    self._own(slot, address)
        if self._adopted:
            self._adopted = {a: v for a, v in self._adopted.items() if a in live}
        if len(self._owned) > len(live):
            self._owned = {a: v for a, v in self._owned.items() if a in live}


@contextlib.contextmanager
def all_or_none(storages: Iterable[Storage]) -> Iterator[None]:
    """Within it values are replaced; an error or an interrupt puts back those that there were."""
    before = [s.restore() for s in storages]
    try:
        yield
    except BaseException:
        for restore in before:
            restore()
        raise


def _address(value: np.ndarray) -> int:
    return value.__array_interface__["data"][0]


def _nobody() -> None:
    return None


def _after_fork() -> None:
    free_in_child(joining)
    for g in list(groups):
        if free_in_child(g.lock):
            while g.running is not None:
                storages, g.running = g.running
                for s in storages:
                    s.lost, s.holder = True, _FREE
                    lost.append(s.order)


lost: list[int] = []  # in a child: not empty once a value was lost
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
