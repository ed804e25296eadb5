"""Where minibatches come from. A source is iterated once an epoch, and remembers where in the epoch it is.

A source has
    __iter__()      the batches that are left of the present epoch (all of the next one, where none is), as tuples of
                    what the step function takes
    __len__()       batches of an epoch (0: not known)
    examples(batch) how many examples a batch holds: the weight of its metrics
    state()         where it is, as plain data: after the batch that was given last; `restore` goes on from there
"""

from __future__ import annotations

import operator
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from ..errors import ArgumentError, ShapeError, WeftError

LEAVE, WAIT = 1.0, 60.0  # seconds for the thread of a Prefetched to end: when a loop is left, when another one begins
Seed = int | np.random.Generator | None


class Source(Protocol):
    def __iter__(self) -> Iterator[tuple]: ...

    def __len__(self) -> int: ...

    def examples(self, batch: tuple) -> int: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class Shuffled:
    """The examples of an epoch in a new order each time, drawn from a seeded generator; batch `position` is next.

    size: examples of a batch. last: what becomes of a short last batch, "keep" or "drop". seed: a whole number, or a
    generator, from which one is drawn.
    """

    def __init__(self, count: int, size: int, shuffle: bool, seed: Seed, last: str):
        size = whole("size", size)
        if size < 1:
            raise ArgumentError(f"a minibatch holds {size} examples; at least one is needed")
        if count < 1:
            raise ArgumentError("there are no examples to make minibatches of")
        if last not in ("keep", "drop"):
            raise ArgumentError(f"last={last!r}: a short last minibatch can be 'keep' or 'drop'")
        if last == "drop" and count < size:
            raise ArgumentError(f"minibatches of {size} of {count} examples: the only one is short, and dropped")
        self.count, self.size, self.shuffle, self.last = count, size, shuffle, last
        self.position = 0
        self._generator = np.random.Generator(np.random.PCG64(_entropy(seed)))
        self._before = self._generator.bit_generator.state  # what the present order was drawn from
        self._order: np.ndarray | None = None

    def __len__(self) -> int:
        return self.count // self.size if self.last == "drop" else -(-self.count // self.size)

    def state(self) -> dict[str, Any]:
        return {
            "count": self.count, "size": self.size, "shuffle": self.shuffle, "last": self.last,
            "position": self.position, "generator": self._before,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        for what in ("count", "size", "shuffle", "last"):
            if state.get(what) != getattr(self, what):
                raise ArgumentError(
                    f"the run was stopped among minibatches with {what} = {state.get(what)}; here it is "
                    f"{getattr(self, what)}: go on with the same data and settings, or begin anew"
                )
        self._generator.bit_generator.state = state["generator"]
        self._before, self._order = state["generator"], None
        self.position = state["position"]

    def order(self) -> np.ndarray:
        """The numbers of the examples in the order of the present epoch."""
        if self._order is None:
            self._before = self._generator.bit_generator.state
            self._order = self._generator.permutation(self.count) if self.shuffle else np.arange(self.count)
        return self._order

    def positions(self) -> Iterator[int]:
        """The numbers of the batches that are left; the epoch is over when they are."""
        self.order()
        while self.position < len(self):
            self.position += 1
            yield self.position - 1
        self.position, self._order = 0, None
        self._before = self._generator.bit_generator.state


class Batches(Shuffled):
    """Minibatches of arrays whose first axes are the examples.

    arrays: one array or several of equal length, memory-mapped ones too: only a batch at a time is read. shuffle: in
    an order of its own each epoch, from `seed`, a whole number or a numpy.random.Generator (of which some numbers are
    drawn). last: a short last batch is kept ("keep") or left out ("drop").

    Raises ShapeError where lengths differ, ArgumentError where there is no example, for a size below 1 or an unknown
    `last`.
    """

    def __init__(self, arrays: Any, size: int, *, shuffle: bool = True, seed: Seed = 0, last: str = "keep"):
        given = tuple(arrays) if isinstance(arrays, (tuple, list)) else (arrays,)
        self.arrays = tuple(_by_rows(a) for a in given)
        lengths = [int(a.shape[0]) for a in self.arrays]
        if not lengths or len(set(lengths)) > 1:
            held = ", ".join(map(str, lengths)) or "no"
            raise ShapeError(f"the arrays hold {held} examples; as many are needed in each")
        super().__init__(lengths[0], size, shuffle, seed, last)

    def __iter__(self) -> Iterator[tuple]:
        order = self.order()
        for k in self.positions():
            take = order[k * self.size : (k + 1) * self.size]
            if not self.shuffle:  # neighbours: a slice is a view
                yield tuple(a[int(take[0]) : int(take[-1]) + 1] for a in self.arrays)
                continue
            yield tuple(a[take] for a in self.arrays)

    def examples(self, batch: tuple) -> int:
        return int(batch[0].shape[0])


class Numbers(Shuffled):
    """The numbers of minibatches: for a step that picks its examples out of a data set in shared variables.

    count: examples of the data set. order: a shared variable of int64 that is given the order of each epoch; the step
    takes `order[i * size : (i + 1) * size]` of the data for batch i. Without it the data are taken as they lie.
    """

    def __init__(
        self, count: int, size: int, *, order: Any = None, among: Any = None, seed: Seed = 0, last: str = "keep"
    ):
        """among: numbers of the examples to take, with `order`; all where None."""
        if among is not None and order is None:
            raise ArgumentError(
                "among= says which examples the order is of, and a step that is given no order takes the data as they "
                "lie: pass order=, a shared variable of int64"
            )
        self.shared = order
        self.among = None if among is None else np.asarray(among)
        super().__init__(count if self.among is None else len(self.among), size, order is not None, seed, last)

    def __iter__(self) -> Iterator[tuple]:
        if self.shared is not None:
            order = self.order()
            self.shared.set_value(order if self.among is None else self.among[order])
        for k in self.positions():
            yield (k,)

    def examples(self, batch: tuple) -> int:
        return min(self.size, self.count - int(batch[0]) * self.size)


class Iterated:
    """Batches out of an iterator of the caller's own: `make(epoch)` gives one for each epoch.

    To go on in the middle of an epoch its first batches are taken and thrown away, so `make` has to give the same ones
    for the same epoch. length: batches of an epoch, where it is known.
    """

    def __init__(self, make: Callable[[int], Iterable[Any]], length: int = 0):
        if not callable(make):
            raise ArgumentError(
                f"Iterated takes a function of the number of the epoch, which gives its minibatches; this is "
                f"{type(make).__name__}, which would be used up after one epoch"
            )
        self.make, self.length = make, length
        self.epoch = self.position = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple]:
        given = iter(self.make(self.epoch))
        for _ in range(self.position):
            next(given, None)
        for batch in given:
            self.position += 1
            yield tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        self.epoch, self.position = self.epoch + 1, 0

    def examples(self, batch: tuple) -> int:
        return int(np.shape(batch[0])[0]) if np.ndim(batch[0]) else 1

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        if not {"epoch", "position"} <= state.keys():
            raise ArgumentError(
                "the run was stopped among minibatches of another kind of source; here they are those of an iterator: "
                "go on with the same data and settings, or begin anew"
            )
        self.epoch, self.position = state["epoch"], state["position"]


class _Making:
    """What a thread that makes minibatches and its loop tell each other. Not by Thread.is_alive: an interrupt may come
    while a thread starts, and after one in `join` some versions of Python take a thread for ended that is not."""

    def __init__(self) -> None:
        self.stop, self.begun, self.ended = threading.Event(), threading.Event(), threading.Event()

    @property
    def at_work(self) -> bool:
        """After `stop` was set: a thread that has not begun by then will do nothing."""
        return self.begun.is_set() and not self.ended.is_set()


class Prefetched:
    """Another source, whose batches a thread makes while the step works on earlier ones. ahead: how many at most.

    A loop that is left ends soon, also where the source waits, for a network say. The next one waits for the thread of
    the one before; WeftError where that does not end within a minute.
    """

    def __init__(self, source: Source, ahead: int = 2):
        source = as_source(source)
        if ahead < 1:
            raise ArgumentError(f"ahead={ahead}: at least one minibatch is made ahead")
        self.source, self.ahead = source, ahead
        self._state = source.state()
        self._last = _Making()

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[tuple]:
        self._free()
        made: queue.Queue[tuple[Any, Any, BaseException | None]] = queue.Queue(self.ahead)
        making = self._last = _Making()
        stop = making.stop

        def put(item: tuple[Any, Any, BaseException | None]) -> bool:
            while not stop.is_set():
                try:
                    made.put(item, timeout=0.05)
                    return True
                except queue.Full:
                    continue
            return False

        def work() -> None:
            making.begun.set()
            try:
                if stop.is_set():
                    return
                for batch in self.source:
                    if not put((batch, self.source.state(), None)):
                        return
                put((None, self.source.state(), None))
            except BaseException as e:
                put((None, None, e))
            finally:
                making.ended.set()

        self.source.restore(self._state)
        thread = threading.Thread(target=work, name="minibatches", daemon=True)
        try:
            thread.start()
            while True:
                if stop.is_set():
                    raise WeftError("another loop has begun, and takes the minibatches that are left of this one")
                batch, state, error = made.get()
                if error is not None:
                    raise error
                self._state = state
                if batch is None:
                    return
                yield batch
        finally:  # also where the loop was left in the middle: the source goes on from what was taken
            stop.set()
            # Not for longer: it may be an error, or Ctrl-C, that leaves the loop.
            if making.begun.is_set() and making.ended.wait(LEAVE):
                thread.join()

    def _free(self) -> None:
        """Sees to it that no earlier thread uses the source."""
        self._last.stop.set()
        if self._last.at_work and not self._last.ended.wait(WAIT):
            raise WeftError(
                "the thread that makes minibatches ahead is still at one of a loop that was left: its source waits for "
                "something; wait for that, or make a new source"
            )

    def examples(self, batch: tuple) -> int:
        return self.source.examples(batch)

    def state(self) -> dict[str, Any]:
        return self._state

    def restore(self, state: dict[str, Any]) -> None:
        if not self._last.at_work:  # at once, for it raises what does not fit; the next loop restores it again
            self.source.restore(state)
        self._state = state


def as_source(given: Any, size: int = 128, shuffle: bool = False) -> Source:
    """A source as it is; arrays as batches of them, in the order in which they lie or shuffled."""
    if hasattr(given, "examples"):
        return given
    several = isinstance(given, (tuple, list)) and any(hasattr(a, "shape") for a in given)
    if several or hasattr(given, "shape"):
        return Batches(given, size, shuffle=shuffle)
    raise ArgumentError(
        f"minibatches cannot be taken from {type(given).__name__}: give arrays, or Batches, Numbers or Iterated of "
        "weft.training"
    )


def whole(what: str, value: Any) -> int:
    """A whole number, of NumPy's too."""
    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentError(f"{what}={value!r}: a whole number is needed") from None


def _entropy(seed: Seed) -> Any:
    """What a generator of one's own begins with."""
    if isinstance(seed, np.random.Generator):
        return [int(k) for k in seed.integers(2**32, size=4)]
    return None if seed is None else whole("seed", seed)


def _by_rows(a: Any) -> Any:
    """As something that gives rows for their numbers: arrays as they are, lists and columns of tables as arrays."""
    if hasattr(a, "tocsr"):
        return a.tocsr()
    # A table's own index would pick columns, or rows by their labels.
    if not hasattr(a, "shape") or hasattr(a, "iloc"):
        a = np.asarray(a)
    if not a.shape:
        raise ArgumentError(
            f"minibatches cannot be taken from {np.asarray(a).item()!r:.80}: it has no axis of examples"
        )
    return a
