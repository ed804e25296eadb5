"""A compiled function as Python calls it: arguments by position or keyword, checked and converted; outputs; locks.

What runs is an executor: `execute(arguments, storages) -> outputs`. It updates the storages at its one commit point, so
after any error every shared variable is as it was.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import pool
from .errors import ArgumentError, BoundsError, DTypeError, InternalError, OutOfMemoryError, ShapeError, WeftError
from .exchange import as_array, is_exporter
from .locks import join
from .state import Storage


@dataclass
class Argument:
    """One argument: its name and type, and how far values are converted to it."""

    name: str | None
    label: str  # how messages call it
    dtype: np.dtype
    shape: tuple[int | None, ...]
    default: Any = None
    has_default: bool = False
    allow_downcast: bool | None = None
    strict: bool = False
    python_float: bool = False  # a Python float may lose digits: the dtype is floatX
    implicit: bool = False  # calls cannot give it
    storage: Storage | None = None  # what holds it between calls: then the program takes it as a state
    key: Any = None  # another name for it in `f[key]`
    borrow: bool = False  # a value given for the state is read where it lies
    where: Any = None  # the line that declares it, as messages say it

    @property
    def declared(self) -> str:
        return f"\n  {self.label} is declared {self.where}" if self.where is not None else ""

    def convert(self, value: Any) -> np.ndarray:
        """The value as an aligned, native, C-contiguous array of the argument's type, without loss unless allowed."""
        if type(value) is np.ndarray and value.dtype == self.dtype:
            array = value
        else:
            array = self._cast(value)
        if array.ndim != len(self.shape):
            of = "" if isinstance(value, np.ndarray) else f" (shape {array.shape})"
            raise ShapeError(
                f"{self.label} takes {_dimensions(len(self.shape))}, but was given {describe_value(value)}, which has "
                f"{array.ndim}{of}; give it another shape, or declare the input with {_dimensions(array.ndim)}"
            )
        for a, (n, want) in enumerate(zip(array.shape, self.shape, strict=True)):
            if want is not None and n != want:
                hint = "it is declared broadcastable there" if want == 1 else "its type says so"
                raise ShapeError(
                    f"axis {a} of {self.label} has length {want} ({hint}), but was given shape {array.shape}"
                )
        if not (array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative):
            array = np.array(array, dtype=self.dtype, order="C")
        return array

    def arrays(self, value: Any) -> list[np.ndarray]:
        """What the executor takes for the value: one array (a sparse argument has more)."""
        return [self.convert(value)]

    def shown(self, arrays: Iterator[Any]) -> str:
        """The argument of a failed call, as messages show it: takes what `arrays` gave for it."""
        return _shown(next(arrays))

    def _cast(self, value: Any) -> np.ndarray:
        exported = is_exporter(value)
        array = as_numbers(value, self)
        if self.strict and (array.dtype != self.dtype or not exported):
            raise DTypeError(f"{self.label} is strict: it takes an array of {self.dtype}, not {describe_value(value)}")
        converted = convert(value, array, self.dtype, self.allow_downcast, self.python_float)
        if converted is None:
            raise DTypeError(
                f"{self.label} takes {self.dtype}; {describe_value(value)} would lose precision or range. "
                f"{how_to_convert(value, self.dtype)} or pass allow_input_downcast=True to weft.function"
            )
        return converted


def convert(
    value: Any, array: np.ndarray, dtype: np.dtype, allow_downcast: bool | None, python_float: bool
) -> np.ndarray | None:
    """The array that `as_numbers` makes of a value, in this dtype; None where that would lose something. Arrays are
    converted if all values of their dtype fit, numbers and lists if they themselves do; a Python float may be rounded
    to `config.floatX` (`python_float`), and anything where `allow_downcast`."""
    if array.dtype == dtype:
        return array
    plain = isinstance(value, np.generic) or not is_exporter(value)
    if _fits(array.dtype, dtype):
        return array.astype(dtype)
    if not (allow_downcast or (plain and (array.dtype.kind != "c" or dtype.kind == "c"))):
        return None
    with np.errstate(all="ignore"):
        made = array.astype(dtype)
        if allow_downcast or (python_float and allow_downcast is None and type(value) is float):
            return made
        # Twice, for integers are compared with floats as float64: 2^53 + 1 equals what float32 makes of it.
        same = (made == array) & (made.astype(array.dtype) == array)
        return made if np.all(same | ((made != made) & (array != array))) else None


def how_to_convert(value: Any, dtype: np.dtype) -> str:
    """What a message asks for where a value does not fit."""
    if isinstance(value, np.ndarray):
        return f"Convert it (`.astype({str(dtype)!r})`)"
    return f"Round it (`numpy.asarray(..., {str(dtype)!r})`)"


def as_numbers(value: Any, who: str | Argument) -> np.ndarray:
    """The value as an array of numbers; DTypeError where it is none (`who` asks: an argument, or words for it)."""
    try:
        array = as_array(value)
    except ArgumentError as e:
        raise ArgumentError(f"{_asks(who)}; {e}") from None
    except ValueError:
        raise DTypeError(f"{_asks(who)}; {describe_value(value)} is not an array: its parts differ in length") from None
    except (TypeError, RuntimeError, BufferError) as e:  # PyTorch's own refusals are RuntimeErrors
        raise DTypeError(f"{_asks(who)}; {describe_value(value)} is not an array of numbers: {e}") from None
    if array.dtype.kind in "OSUMm" or array.dtype.names:
        raise DTypeError(f"{_asks(who)}; {describe_value(value)} is not an array of numbers")
    return array


def _asks(who: str | Argument) -> str:
    return who if isinstance(who, str) else f"{who.label} takes {who.dtype}"


def _fits(a: np.dtype, b: np.dtype) -> bool:
    try:
        return np.promote_types(a, b) == b
    except TypeError:
        return False


def _dimensions(n: int) -> str:
    return f"{n} dimension" + ("" if n == 1 else "s")


def describe_value(value: Any) -> str:
    if isinstance(value, np.generic):
        return f"the {value.dtype} {value}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    if is_exporter(value):
        with contextlib.suppress(Exception):
            array = as_array(value)
            return f"{type(value).__name__} of {array.dtype} with shape {array.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"


def _shown(value: Any) -> str:
    """An argument of a failed call: a number as it is, of an array the shape."""
    shape = np.shape(value)
    return f"of shape {shape}" if shape else f"= {np.asarray(value)[()]}"


Given = tuple[Storage, np.ndarray, bool]  # a value for a state, and whether it is borrowed


class Executor(Protocol):
    """Runs a program. One that `checks` has `quick`, and raises Unfit, before it has run, for arrays that need
    converting."""

    checks: bool = False
    committed: bool  # set when a call commits; whoever asks clears it before

    updates: Sequence[int]  # numbers of the storages that a call updates

    def set_limit(self, threads: int) -> None: ...

    def execute(self, arguments: Sequence[np.ndarray], storages: Sequence[Storage]) -> list[np.ndarray]: ...

    def quick(self, arguments: tuple, storages: Sequence[Storage]) -> Sequence[np.ndarray] | None:
        """The same of any objects, or None where the call is not of the kind that is quick; of one that `checks`."""


class Unfit(InternalError):
    """An executor was given an array of another type or layout than its manifest says."""


class CompiledFunction:
    """What `weft.function` returns and `weft.load` gives back.

    Outputs come as declared: none, one array, a list, or a dict. Calls from several threads are safe: one call of a
    function runs at a time, and functions that share variables wait for each other (locks.py).
    """

    def __init__(
        self,
        arguments: Sequence[Argument],
        storages: Sequence[Storage],
        executor: Executor,
        outputs: Any,
        name: str | None = None,
        kinds: Sequence[str] | None = None,
        names: Sequence[str | None] = (),
    ):
        self.names = names  # of the shared variables behind the storages, for messages
        if kinds is not None:
            from .sparse import matrix_class

            matrix_class()  # before the first call, which could not give its result
        self.kinds = kinds  # for each output "dense" or "csr"; None when all are dense
        self.arguments = list(arguments)
        self.storages = list(storages)
        self.executor = executor
        self.outputs = outputs  # None, "one", "list" or a tuple of keys
        self.name = name
        self.recipe: Any = None  # what it is compiled of: an object with `reduce`
        self._threads: int | None = None
        self._group = join(s.group for s in storages)
        plain = all(
            type(a) is Argument and a.storage is None and not a.implicit and all(n is None for n in a.shape)
            for a in self.arguments
        )
        # How many arguments a call has that may go to the executor as it is.
        self._count = len(self.arguments) if plain and getattr(executor, "checks", False) else -1
        self._quick: Any = getattr(executor, "quick", None)
        self._positions = {a.name: k for k, a in enumerate(self.arguments) if a.name is not None}
        named = Counter(a.name for a in self.arguments if a.name is not None and not a.implicit)
        self._alike = {name: n for name, n in named.items() if n > 1}
        self._explicit = [k for k, a in enumerate(self.arguments) if not a.implicit]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != self._count:
            results = None
        elif self.storages:
            results = self._run(args, run=self._quickly)
        else:  # `_run` written out: this is where calls of tiny functions spend their time
            group = self._group.hold()
            try:
                results = self._quick(args, self.storages)
            except (ShapeError, BoundsError, OutOfMemoryError) as e:
                e.args = (f"{e}{self._lengths(args)}",)
                raise
            finally:
                group.lock.release()
        if results is None and len(args) == self._count and all(type(a) is np.ndarray for a in args) and not kwargs:
            with contextlib.suppress(Unfit):
                results = self._run(args)
        if results is None:
            values, given = self._bind(args, kwargs)
            results = self._run(values, given)
        if self.kinds is not None:
            from .sparse import group as assembled

            results = assembled(results, self.kinds)
        if self.outputs is None:
            return []
        if self.outputs == "one":
            return results[0]
        if self.outputs == "list":
            return list(results)
        return dict(zip(self.outputs, results, strict=True))

    @property
    def state(self) -> list[tuple[str | None, Storage]]:
        """The shared variables that a call updates, each with its name."""
        names = [*self.names, *[None] * len(self.storages)]
        return [(names[k], self.storages[k]) for k in self.executor.updates]

    @property
    def threads(self) -> int | None:
        """The most threads that calls use; None: as many as the process has (WEFT_THREADS, `weft.set_threads`)."""
        return self._threads

    @threads.setter
    def threads(self, n: int | None) -> None:
        checked = pool.thread_count(n, str(self))
        group = self._group.hold()
        try:
            self.executor.set_limit(checked)
            self._threads = n
        finally:
            group.lock.release()

    def __getitem__(self, key: Any) -> np.ndarray:
        """The current value of an argument that the function keeps between calls, by its name or Variable: a copy."""
        return self._kept(key)[1].copy()

    def __setitem__(self, key: Any, value: Any) -> None:
        argument, storage = self._kept(key)
        storage.replace(np.array(argument.convert(value), order="C"))

    def _kept(self, key: Any) -> tuple[Argument, Storage]:
        for a in self.arguments:
            if a.storage is not None and (a.key is key or (isinstance(key, str) and a.name == key)):
                return a, a.storage
        kept = ", ".join(a.label for a in self.arguments if a.storage is not None) or "none"
        raise ArgumentError(f"{self} keeps no argument {key!r} between calls; it keeps: {kept}")

    def _quickly(self, values: Sequence[Any], given: Sequence[Given]) -> Sequence[np.ndarray] | None:
        return self._quick(values, self.storages)

    def _run(self, values: Sequence[np.ndarray], given: Sequence[Given] = (), run: Any = None) -> Any:
        """Executes under the locks. `given` are values for states: after an error they are as they were."""
        group = self._group = self._group.hold()
        around = group.running
        try:
            group.running = (self.storages, around)
            return (run or self._execute)(values, given)
        except (ShapeError, BoundsError, OutOfMemoryError) as e:
            e.args = (f"{e}{self._lengths(values)}",)
            raise
        finally:
            group.running = around
            group.lock.release()

    def _execute(self, values: Sequence[np.ndarray], given: Sequence[Given]) -> list[np.ndarray]:
        if not given:
            return self.executor.execute(values, self.storages)
        before = [s.restore() for s, _, _ in given]
        self.executor.committed = False
        try:
            for s, value, borrow in given:
                s.replace(value, borrow)
            return self.executor.execute(values, self.storages)
        except BaseException:
            if not self.executor.committed:  # an interrupt may come after the commit: then all is updated
                for restore in before:
                    restore()
            raise

    def _lengths(self, values: Sequence[np.ndarray]) -> str:
        """The shapes of a call that failed, by name, for its message."""
        arrays = iter(values)
        named = [f"{a.label} {a.shown(arrays)}" for a in self.arguments if a.storage is None]
        named += [f"{name} {_shown(s.array())}" for name, s in zip(self.names, self.storages, strict=False) if name]
        return "\n  called with " + ", ".join(named) if named else ""

    def _bind(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list[np.ndarray], list[Given]]:
        """The arrays that the executor takes, and the values given for states."""
        count = len(self._explicit)
        if len(args) > count:
            names = ", ".join(self.arguments[k].label for k in self._explicit)
            takes = f"{count} argument{'s' * (count != 1)}" + f" ({names})" * bool(names)
            raise ArgumentError(f"{self} takes {takes} but was given {len(args)}")
        values: dict[int, Any] = dict(zip(self._explicit, args, strict=False))
        for key, v in kwargs.items():
            if key in self._alike:
                raise ArgumentError(f"{self} has {self._alike[key]} arguments named {key!r}: give them by position")
            k = self._positions.get(key)
            if k is None or self.arguments[k].implicit:
                known = ", ".join(n for n, k in self._positions.items() if not self.arguments[k].implicit) or "none"
                raise ArgumentError(f"{self} has no argument {key!r}; its named arguments: {known}")
            if k in values:
                raise ArgumentError(f"{self} was given argument {key!r} twice")
            values[k] = v
        out: list[np.ndarray] = []
        given: list[Given] = []
        for k, a in enumerate(self.arguments):
            if k not in values:
                if a.storage is not None:
                    continue
                if not a.has_default:
                    raise ArgumentError(
                        f"{self} is missing argument {k}, {a.label} ({a.dtype}, {_dimensions(len(a.shape))})"
                        f"{a.declared}"
                    )
                values[k] = a.default
            try:
                if a.storage is None:
                    out.extend(a.arrays(values[k]))
                else:
                    value = a.convert(values[k])
                    given.append((a.storage, value if a.borrow else np.array(value, order="C"), a.borrow))
            except WeftError as e:
                e.args = (f"{self}, argument {k}: {e}{a.declared}",)
                raise
        return out, given

    def __reduce__(self):
        if self.recipe is None:
            raise ArgumentError(
                f"{self} was not compiled here, so there is nothing to pickle; copy the artifact it was loaded from"
            )
        return self.recipe.reduce(self.threads)

    def __str__(self) -> str:
        return f"function {self.name}" if self.name else "the function"

    def __repr__(self) -> str:
        labels = ", ".join(a.label for a in self.arguments) or "no arguments"
        return f"<weft function{' ' + self.name if self.name else ''} of {labels}>"
