"""A compiled program: a shared library and its manifest, as the executor of a CompiledFunction.

The manifest is plain data: {"abi": 1, "inputs": [{"dtype", "ndim"}], "constants": [...], "outputs": [...],
"states": [...], "updates": [state], "in_place": [state], "segments": int, "checks": [{"kind", "message", "error"}],
"hosts": [{"name", "inputs": [...], "outputs": [...]}], "library": [routine]}, and optionally "name". An output may have
"borrow": the function keeps its memory. Updated states are swapped, or written over `in_place` after the commit. A
"profile" is the number of steps that a program times, where it does (weft_call.profile of kernels/weft_abi.h). A
check's message holds {0} to {3} where values of the failed call go; its error is the name of a class in errors.py.
Constants are arrays that every call takes. What the hosts call are the Python functions given beside it: a list of
arrays in, a list of arrays out. A function given as `told` says what a failed check says in place of its message.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import errors, lapack, openblas, pool, signals
from .abi import CONSTANTS, MAX_NDIM, adopt_array, array_over, ffi, keep
from .callable import Unfit
from .errors import InternalError, WeftError
from .state import LOST, Storage, lending, lost

OK, CHECK, NO_MEMORY, STOPPED, HOST_RAISED = range(5)
_STALE, _HANDLER, _ARGUMENT, _OTHER = (CONSTANTS[f"WEFT_RUN_{n}"] for n in ("STALE", "HANDLER", "ARGUMENT", "OTHER"))
_NULL = ffi.NULL
_TOO_MANY = (1 << 63) - 1  # bytes: a size that an int64 does not hold


def element_type(name: str) -> np.dtype:
    """The NumPy dtype of an element type by name; bfloat16 comes from ml_dtypes, loaded only then."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as e:
        raise WeftError(f"bfloat16 arrays are those of ml_dtypes: pip install 'weft[types]' ({e})") from e
    return np.dtype(ml_dtypes.bfloat16)


def _header_bytes() -> int:
    """Bytes of an object header where NumPy arrays lie in memory as weft_run.h says; 0 where C must not look."""
    if sys.implementation.name != "cpython":
        return 0
    header = object.__basicsize__
    if np.ndarray.__basicsize__ < header + ffi.sizeof("weft_ndarray"):
        return 0
    for a in (np.zeros((3, 5), np.float32), np.zeros((2, 3, 4), np.int64).T, np.zeros(())):
        seen = ffi.cast("weft_ndarray *", id(a) + header)
        data, descr = (int(ffi.cast("uintptr_t", p)) for p in (seen.data, seen.descr))
        flags = a.flags.c_contiguous | a.flags.aligned << 8
        if (data, descr) != (a.__array_interface__["data"][0], id(a.dtype)):
            return 0
        if (seen.nd, seen.flags & 0x101) != (a.ndim, flags):
            return 0
        if tuple(ffi.unpack(seen.dimensions, a.ndim) if a.ndim else ()) != a.shape:
            return 0
    t = (np.zeros(1), 2)
    items = ffi.cast("uintptr_t *", id(t) + _FIRST)
    types = ffi.cast("uintptr_t *", id(t[0]) + header - ffi.sizeof("uintptr_t"))
    return header if (items[0], items[1], types[0]) == (*map(id, t), id(np.ndarray)) else 0


_FIRST = tuple.__basicsize__  # where the elements of a tuple begin
_HEADER = _header_bytes()
_SMALL = 65536  # bytes of a result that NumPy makes as fast as anything could
_empty = np.empty
# What may be in a Python operation: only then can a call meet storages that another one uses. Threads add to it side by
# side, so it is looked through in a copy.
_in_host: set[_Frame | _Use] = set()


class _Use:
    """Of storages by what is no compiled program; `holds` as a frame has it."""

    def __init__(self) -> None:
        self.holds = [True]


@contextlib.contextmanager
def held(name: str, storages: Sequence[Storage]) -> Iterator[None]:
    """While Python operations of an interpreted function run: as in a compiled one, they set none of its storages."""
    _check_free(name, storages)
    use = _Use()
    _in_host.add(use)
    for s in storages:
        s.holder = use.holds
    try:
        yield
    finally:
        use.holds[0] = False
        _in_host.discard(use)


def _check_free(name: str, storages: Sequence[Storage]) -> None:
    for s in storages:
        if s.lost:
            raise WeftError(f"{name}: {LOST}")
        if s.held:
            raise WeftError(
                f"{name} uses a shared variable of the function whose Python operation calls it; a call inside another "
                "one needs shared variables of its own"
            )


class _Frame:
    """The C structs of one call at a time, reused: argument slots, workspace, what Python reads back."""

    def __init__(self, program: Program):
        library = pool.library()
        m = program.manifest
        inputs = len(m["inputs"])
        counts = (inputs + len(program.constants), len(m["outputs"]), len(m["states"]), int(m["segments"]))
        made = library.weft_frame_new(*counts)
        if made == _NULL:
            raise MemoryError("no memory for the frame of a compiled function")
        self.c = c = ffi.gc(made, library.weft_frame_free)
        self.run, self.quick = library.weft_run, library.weft_quick
        self.wanted: list[tuple[tuple[int, ...], np.dtype]] | None = None  # results of the last call, if all were small
        self.foreseen = bool(_HEADER) and not program.hosts and not any(o.get("borrow") for o in m["outputs"])
        self.storages: Sequence[Storage] | None = None
        self.updates = program.updates
        self.written: frozenset[int] = frozenset()  # orders of the storages that a call writes to
        self.hosts = program.hosts
        self.holds = [False]  # what its storages look at: one store ends it for all, whatever interrupts come
        self.objects = c.objects
        c.main, c.header, c.limit = program.entry, _HEADER, program.limit
        c.given, c.first, c.array = inputs, _FIRST, id(np.ndarray)
        for k, dtype in enumerate(program.input_dtypes):
            c.descrs[k], c.ndims[k] = id(dtype), m["inputs"][k]["ndim"]
        for k, a in enumerate(program.constants, inputs):  # bound once: they have no object to look at
            _fill(c.call.inputs[k], a)
        slots = [c.call.outputs[k] for k in range(counts[1])]
        self.outputs = [
            (s, s.dims, o["ndim"], d, _Own(c, k) if o.get("borrow") else None)
            for k, (s, o, d) in enumerate(zip(slots, m["outputs"], program.output_dtypes, strict=True))
        ]
        self._keep = ffi.new("void *[]", [ffi.cast("void *", a) for a in program.routines])
        c.call.library = self._keep
        if program.profiled:
            c.call.profile = self._spent = ffi.new("weft_spent[]", 2 + 2 * program.steps)
            program.spent.append(self._spent)
        if program.hosts:
            self._handle = ffi.new_handle(self)
            c.call.user, c.call.host = self._handle, _host_entry()

    def foresee(self, results: Sequence[np.ndarray]) -> None:
        """The next call may have results of these shapes."""
        self.wanted = None
        if self.foreseen and all(r.nbytes <= _SMALL for r in results):
            for k, r in enumerate(results):
                self.c.own_bytes[k] = r.nbytes
            # Last: C writes as many bytes as it was told, also where an interrupt came before.
            self.wanted = [(r.shape, d) for r, (_, _, _, d, _) in zip(results, self.outputs, strict=True)]

    def leave(self, storages: Sequence[Storage]) -> None:
        """Gives up memory of outputs that a shared variable has borrowed."""
        for *_, own in self.outputs:
            if own is not None and any(s.out and own.holds(s.address()) for s in storages):
                own.leave()

    def attach(self, storages: Sequence[Storage]) -> None:
        if len(storages) != self.c.states:
            raise InternalError(f"a program of {self.c.states} states was given {len(storages)}")
        for k, s in enumerate(storages):
            self.c.call.states[k] = s.struct
        self.storages, self.written = storages, frozenset(storages[k].order for k in self.updates)


def _fill(slot: Any, a: np.ndarray) -> None:
    slot.data = ffi.cast("void *", a.__array_interface__["data"][0])
    slot.dims[0 : a.ndim] = a.shape


class _Own:
    """The memory of an output that the function keeps: every call is given it again, or leaves a larger block."""

    def __init__(self, frame: Any, number: int):
        self.frame, self.number, self.block = frame, number, _NULL

    def array(self, data: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if data != self.block:
            self.frame.own[self.number] = _NULL  # until the block is ours: an interrupt may come between
            self.block = keep(data)
            self.frame.own_bytes[self.number] = self.frame.call.outputs[self.number].capacity
            self.frame.own[self.number] = data
        return array_over(self.block, shape, dtype)

    def holds(self, address: int) -> bool:
        return 0 <= address - int(ffi.cast("uintptr_t", self.block)) < self.frame.own_bytes[self.number]

    def leave(self) -> None:
        """The block belongs to the arrays on it; the next call makes another one."""
        self.frame.own[self.number], self.block = _NULL, _NULL


def _routine(name: str) -> int:
    """The address of a routine of a library."""
    return (openblas if name.startswith(openblas.PREFIX) else lapack).routine(name)


class Program:
    """Runs a compiled library. Safe from several threads as long as each holds the locks of the storages it passes."""

    checks = True

    def __init__(
        self,
        path: str | os.PathLike,
        manifest: dict[str, Any],
        hosts: Sequence[Callable] = (),
        constants: Sequence[np.ndarray] = (),
        told: Callable[[int], str] | None = None,
    ):
        if manifest["abi"] != CONSTANTS["WEFT_ABI"]:
            raise WeftError(
                f"{path} speaks version {manifest['abi']} of weft's C interface, this weft version "
                f"{CONSTANTS['WEFT_ABI']}: compile or export it again"
            )
        pool.library()
        self.manifest = manifest
        self.name = manifest.get("name") or "the compiled function"
        self.library = pool.open_library(path)
        self.entry = ffi.addressof(self.library, "weft_main")
        self.input_dtypes = _types(manifest["inputs"])
        self.output_dtypes = _types(manifest["outputs"])
        self.state_dtypes = _types(manifest["states"])
        self.routines = [_routine(name) for name in manifest["library"]]
        if len(hosts) != len(manifest["hosts"]):
            listed = len(manifest["hosts"])
            raise InternalError(f"the manifest lists {listed} Python operations; {len(hosts)} were given")
        self.hosts = [
            (f, h["name"], _types(h["inputs"]), [i["ndim"] for i in h["inputs"]], _types(h["outputs"]),
             [o["ndim"] for o in h["outputs"]])
            for f, h in zip(hosts, manifest["hosts"], strict=True)
        ]  # fmt: skip
        self.constants = list(constants)
        if len(constants) != len(manifest["constants"]):
            raise InternalError(f"{len(manifest['constants'])} constants are declared; {len(constants)} were given")
        self.inputs = len(manifest["inputs"])
        self.limit = 0
        states = range(len(self.state_dtypes))
        in_place = set(manifest.get("in_place", states))
        self.updates = list(manifest.get("updates", states))
        self.writes = [(k, k in in_place) for k in self.updates]
        self.profiled, self.steps = "profile" in manifest, int(manifest.get("profile", 0))  # there may be no step
        self.spent: list[Any] = []  # what each frame has counted
        self._told = told
        self._checks = [(c["message"], _error_class(c["error"])) for c in manifest["checks"]]
        self._frames = [_Frame(self)]
        signals.install()

    def execute(self, arguments: Sequence[np.ndarray], storages: Sequence[Storage]) -> list[np.ndarray]:
        """One call. Arguments are aligned C-contiguous arrays of the declared types; storages are locked by the caller.

        After an error every storage holds what it held.
        """
        frames = self._frames
        try:
            frame = frames.pop()
        except IndexError:  # the function is called again from inside one of its own Python operations
            frame = _Frame(self)
        try:
            if storages is not frame.storages:
                frame.attach(storages)
            if lending:
                frame.leave(storages)
                for k, in_place in self.writes:
                    if storages[k].out:
                        storages[k].protect(in_place)
            if _in_host or lost or self.hosts:
                self._hold(frame, storages)
            objects, k = frame.objects, 0
            if _HEADER:
                for a in arguments:
                    objects[k] = id(a)
                    k += 1
            else:
                k = self._bind(frame, arguments)
            if k != self.inputs:
                raise InternalError(f"{self.name} takes {self.inputs} arrays and was given {k}")
            run, c = frame.run, frame.c
            try:
                code = run(c)
                while code < 0:
                    self._prepare(frame, code, arguments)
                    code = run(c)
                if c.moved:
                    for s in storages:
                        s.settle()
            except BaseException:  # Python's SIGINT handler; committed or not, the call's buffers are ours
                for s in storages:
                    s.settle()
                raise
            if code:
                raise self._error(code, frame)
            results = []
            for slot, dims, ndim, dtype, own in frame.outputs:
                data = slot.data
                slot.data = _NULL
                shape = () if ndim == 0 else (dims[0],) if ndim == 1 else tuple(dims[0:ndim])
                results.append(adopt_array(data, shape, dtype) if own is None else own.array(data, shape, dtype))
            frame.foresee(results)
            return results
        finally:
            frame.holds[0] = False
            frame.c.limit = self.limit  # set in a Python operation of the call, it may be
            frames.append(frame)
            if self.hosts:
                _in_host.discard(frame)
                _raised.error = None

    def quick(self, arguments: tuple, storages: Sequence[Storage]) -> Sequence[np.ndarray] | None:
        """`execute` for what most calls are: arrays as declared, small results of the shapes of the last call; None
        where that is not so, and nothing has run. The arguments may be any objects, as many as there are inputs."""
        try:
            frame = self._frames.pop()
        except IndexError:
            return None
        try:
            wanted = frame.wanted
            if wanted is None or _in_host or lost or storages is not frame.storages:
                return None
            if lending and not lending.isdisjoint(frame.written):
                return None
            results = tuple([_empty(shape, dtype) for shape, dtype in wanted])
            if storages:
                try:
                    code = frame.quick(frame.c, id(arguments), id(results))
                    if frame.c.moved:
                        for s in storages:
                            s.settle()
                except BaseException:
                    for s in storages:
                        s.settle()
                    raise
            else:
                code = frame.quick(frame.c, id(arguments), id(results))
            if code == 0:
                return results
            if code == _OTHER:
                return self._others(frame, results)
            if code < 0:
                return None
            raise self._error(code, frame)
        finally:
            self._frames.append(frame)

    def _others(self, frame: _Frame, given: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Results that have other shapes than those foreseen: in the arrays given, or in memory of their own."""
        results = []
        for (slot, dims, ndim, dtype, _), a in zip(frame.outputs, given, strict=True):
            data, shape = slot.data, tuple(dims[0:ndim]) if ndim else ()
            slot.data = _NULL
            if data != _NULL:
                results.append(adopt_array(data, shape, dtype))
            else:
                results.append(a if shape == a.shape else a.reshape(-1)[: math.prod(shape)].reshape(shape).copy())
        frame.foresee(results)
        return results

    @property
    def committed(self) -> bool:
        """Whether the last call has, since this was set to False; its frame is the one given back last."""
        return bool(self._frames and self._frames[-1].c.committed)  # none: an interrupt came before the call began

    @committed.setter
    def committed(self, value: bool) -> None:
        for frame in self._frames:
            frame.c.committed = value

    def set_limit(self, threads: int) -> None:
        """The most threads that later calls use; 0: as many as the pool has."""
        self.limit = threads
        for frame in self._frames:
            frame.c.limit = threads

    def counted(self) -> list[tuple[int, int, int, int]]:
        """Runs, nanoseconds, bytes and floating-point operations: of the calls that ended well, of those that failed,
        of each step of the former. Empty where the program does not profile itself."""
        rows = [0, 1, *range(2 + self.steps, 2 + 2 * self.steps)] if self.profiled else []
        found = [[(r.runs, r.ns, r.bytes, r.flops) for r in (spent[k] for k in rows)] for spent in list(self.spent)]
        return [tuple(map(sum, zip(*same, strict=True))) for same in zip(*found, strict=True)]  # type: ignore[misc]

    def forget(self) -> None:
        """Begins to count anew; the caller sees to it that no call runs."""
        for spent in self.spent:
            ffi.memmove(spent, bytes(ffi.sizeof(spent)), ffi.sizeof(spent))

    def _hold(self, frame: _Frame, storages: Sequence[Storage]) -> None:
        _check_free(self.name, storages)
        for f in [f for f in _in_host.copy() if not f.holds[0]]:  # an interrupt came before they were taken out
            _in_host.discard(f)
        if self.hosts:
            frame.holds[0] = True
            _in_host.add(frame)
            for s in storages:
                s.holder = frame.holds

    def _prepare(self, frame: _Frame, code: int, arguments: Sequence[np.ndarray]) -> None:
        """What weft_run asked for before it ran. By now Python has raised a signal that it had noted."""
        if code == _HANDLER:
            signals.install()
        elif code == _ARGUMENT:
            self._bind(frame, arguments)

    def _bind(self, frame: _Frame, arguments: Sequence[np.ndarray]) -> int:
        """Fills the inputs by what NumPy says of the arrays. C's look takes the dtype object for the dtype."""
        for k, (a, dtype) in enumerate(zip(arguments, self.input_dtypes, strict=True)):
            ndim = self.manifest["inputs"][k]["ndim"]
            if a.dtype != dtype or a.ndim != ndim or not (a.flags.c_contiguous and a.flags.aligned):
                want = f"aligned C-contiguous array of {dtype}, {ndim} dimensions"
                raise Unfit(f"input {k} of {self.name} is no {want}")
            if (wrong := errors.too_long(f"input {k} of {self.name}", a.shape)) is not None:
                raise wrong
            _fill(frame.c.call.inputs[k], a)
            frame.objects[k] = 0
        return len(arguments)

    def _error(self, code: int, frame: _Frame) -> BaseException:
        call = frame.c.call
        values = list(call.values)
        if code == CHECK:
            if not 0 <= call.check < len(self._checks):
                return InternalError(f"{self.name} failed check {call.check}, which its manifest does not list")
            message, kind = self._checks[call.check]
            if self._told is not None:
                message = self._told(call.check)
            for k, v in enumerate(values):
                message = message.replace(f"{{{k}}}", errors.shown(v))
            return kind(message)
        if code == NO_MEMORY:
            asked = f": {values[0]:,} bytes were asked for" if values[0] > 0 else ""
            if values[0] == _TOO_MANY:
                asked = ": more than 2**63 bytes were asked for"
            return errors.OutOfMemoryError(
                f"{self.name} found no memory for its arrays{asked}; no shared variable was changed"
            )
        if code == STOPPED:
            return KeyboardInterrupt()
        if code == HOST_RAISED and (error := getattr(_raised, "error", None)) is not None:
            return error
        return InternalError(f"{self.name} returned the unknown code {code}")


def _types(entries: Sequence[dict[str, Any]]) -> list[np.dtype]:
    for e in entries:
        if not 0 <= e["ndim"] <= MAX_NDIM:
            raise WeftError(f"an array of {e['ndim']} dimensions; at most {MAX_NDIM} are supported")
    return [element_type(e["dtype"]) for e in entries]


def _error_class(name: str) -> type[Exception]:
    found = getattr(errors, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        raise InternalError(f"a manifest names the error {name!r}, which runtime/errors.py does not have")
    return found


# ---- Python operations ----

_entry: Any = None  # stays alive with the module


def _host_entry() -> Any:
    """The one C callback of the process; made when the first program with Python operations is loaded."""
    global _entry
    if _entry is None:
        declared = "int32_t(void *, int32_t, const weft_array *, weft_array *)"
        _entry = ffi.callback(declared, _call_host, error=1, onerror=_note)
    return _entry


_raised = threading.local()  # .error: what left the Python operation of this thread's call


def _note(kind: type, error: BaseException, traceback: Any) -> None:
    """Whatever leaves _call_host, a KeyboardInterrupt at its first instruction too: raised again after the call."""
    _raised.error = error.with_traceback(traceback)


def _call_host(user, number, ins, outs) -> int:
    frame = ffi.from_handle(user)
    function, name, in_types, in_ndims, out_types, out_ndims = frame.hosts[number]
    # Copies: the buffers are C's again when the operation returns, and the user may keep what it was given.
    given = [_copy_in(ins[k], t, n) for k, (t, n) in enumerate(zip(in_types, in_ndims, strict=True))]
    results = function(given)
    if len(results) != len(out_types):
        raise errors.ArgumentError(f"{name} returned {len(results)} arrays; {len(out_types)} are declared")
    arrays = []
    for k, (value, dtype, ndim) in enumerate(zip(results, out_types, out_ndims, strict=True)):
        a = np.asarray(value)
        if (wrong := errors.unfit_result(k, name, a, dtype, ndim)) is not None:
            raise wrong
        arrays.append(a if a.flags.c_contiguous else a.copy(order="C"))
    for k, a in enumerate(arrays):
        memory = pool.library().weft_alloc(a.nbytes)
        if memory == _NULL:
            _drop(outs, k)
            raise MemoryError(f"no memory for output {k} of {name}: {a.nbytes:,} bytes")
        ffi.memmove(memory, ffi.cast("void *", a.__array_interface__["data"][0]), a.nbytes)
        outs[k].data, outs[k].capacity = memory, a.nbytes
        outs[k].dims[0 : a.ndim] = a.shape
    return 0


def _copy_in(slot, dtype: np.dtype, ndim: int) -> np.ndarray:
    out = np.empty(tuple(slot.dims[0:ndim]), dtype)
    if out.nbytes:
        ffi.memmove(ffi.cast("void *", out.__array_interface__["data"][0]), slot.data, out.nbytes)
    return out


def _drop(outs, count: int) -> None:
    for k in range(count):
        adopt_array(outs[k].data, (0,), np.dtype(np.uint8))
        outs[k].data = _NULL
