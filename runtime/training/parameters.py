"""Parameters by name in safetensors files: those of PyTorch models into shared variables, and back."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, CheckpointError, WeftError
from ..exchange import as_array
from ..program import element_type
from ..state import all_or_none
from . import checkpoint

Names = Mapping[str, str] | Callable[[str], str] | None
Which = bool | Iterable[Any] | Callable[[str], bool]

DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip


class Loaded(NamedTuple):
    """What `load_parameters(..., strict=False)` left alone."""

    missing: list[str]  # names of parameters that the file does not have
    unexpected: list[str]  # names in the file that no parameter takes


class _Tensor(NamedTuple):
    """One tensor of a file: what is known before it is read."""

    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def load_parameters(
    source: str | os.PathLike | Mapping[str, Any],
    params: Iterable[Any] | Mapping[str, Any],
    *,
    names: Names = None,
    strict: bool = True,
    transpose: Which = False,
    convert: bool = False,
) -> Loaded:
    """Sets shared variables to the tensors of a safetensors file (or of a mapping: a `state_dict`), found by name.

    params: shared variables with names, or a mapping {name: shared variable}.
    names: what a parameter is called in the file, as a mapping or a function of its name; otherwise by its own name.
    strict: every parameter has to be in the file, and every tensor of the file has to be taken.
    transpose: parameters whose tensors are stored transposed, as the weights of torch.nn.Linear are: their names, a
        function of the name, or True for all matrices.
    convert: floats are rounded to the dtype of the parameter; without it dtypes have to be equal.

    Raises CheckpointError, which lists all that is missing, unexpected, or of another shape or dtype; nothing has been
    changed then.
    """
    variables = _by_name(params)
    places = {name: _place(names, name) for name in variables}
    turned = _chosen(transpose, variables)
    wrong: list[str] = []
    arrays: dict[str, np.ndarray] = {}
    with _opened(source) as (what, tensors):
        missing = [name for name, place in places.items() if place not in tensors]
        taken = set(places.values())
        unexpected = [name for name in tensors if name not in taken]
        for name, place in places.items():
            if place in tensors:
                fault = _misfit(name, place, tensors[place], variables[name], name in turned, convert)
                wrong += [fault] if fault else []
            elif strict:
                said = f" under the name {place!r}" if place != name else ""
                wrong.append(f"{name} is missing{said}{_nearest(place, unexpected)}")
        if strict and unexpected:
            listed = ", ".join(map(repr, unexpected[:20])) + (", ..." if len(unexpected) > 20 else "")
            wrong.append(f"no parameter takes {listed} (strict=False leaves them)")
        if wrong:
            raise CheckpointError(f"{what} does not fit; no parameter was changed:\n  " + "\n  ".join(wrong))
        for name, place in places.items():
            if place in tensors:
                arrays[name] = _made(tensors[place].read(), variables[name], name in turned)
    _set([(variables[name].container, a) for name, a in arrays.items()])
    return Loaded(missing, unexpected)


def save_parameters(
    path: str | os.PathLike,
    params: Iterable[Any] | Mapping[str, Any],
    *,
    names: Names = None,
    transpose: Which = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes shared variables to a safetensors file, which PyTorch and others read; names and transpose as in
    `load_parameters`. The file is replaced as a whole: after any failure it is what it was.

    Raises CheckpointError where it cannot be written.
    """
    variables = _by_name(params)
    turned = _chosen(transpose, variables)
    tensors: dict[str, np.ndarray] = {}
    for name, v in variables.items():
        place, value = _place(names, name), v.container.lend()
        if place in tensors:
            raise ArgumentError(f"two parameters have the name {place!r} in the file")
        if value.dtype.kind == "c":
            raise ArgumentError(f"{name} is {value.dtype}: safetensors files hold no such numbers; save real parts")
        value = value.T if name in turned else value
        tensors[place] = np.ascontiguousarray(value).reshape(value.shape)
    checkpoint.place(Path(path), tensors, dict(metadata) if metadata else None, "the file", keep=False)


def _by_name(params: Any) -> dict[str, Any]:
    if hasattr(params, "container") or not isinstance(params, Iterable):
        raise ArgumentError(f"parameters are a list of shared variables, or a mapping by name, not {params!r} alone")
    pairs = list(params.items()) if isinstance(params, Mapping) else [(getattr(p, "name", None), p) for p in params]
    found: dict[str, Any] = {}
    for name, p in pairs:
        if not hasattr(p, "container"):
            raise ArgumentError(f"parameters are shared variables, not {p!r}")
        if not isinstance(name, str):
            raise ArgumentError(f"{p!r} has no name: name it, or pass a mapping {{name: shared variable}}")
        if name in found:
            raise ArgumentError(f"two parameters are called {name!r}: pass a mapping {{name: shared variable}}")
        found[name] = p
    return found


def _place(names: Names, name: str) -> str:
    if names is None:
        return name
    place = names(name) if callable(names) else names.get(name, name)
    if not isinstance(place, str):
        raise ArgumentError(f"names gives {place!r} for {name}; the name of a tensor is a string")
    return place


def _chosen(which: Which, variables: Mapping[str, Any]) -> set[str]:
    """The names of the parameters that are stored transposed."""
    if isinstance(which, bool):
        return {n for n, v in variables.items() if which and v.container.ndim == 2}
    if callable(which):
        return {n for n in variables if which(n)}
    found = {n if isinstance(n, str) else getattr(n, "name", None) for n in which}
    for n in found - set(variables):
        raise ArgumentError(f"transpose names {n!r}, which is no parameter{_nearest(str(n), list(variables))}")
    return found  # type: ignore[return-value]


def _nearest(name: str, among: list[str]) -> str:
    near = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
    return f" (near: {near[0]!r})" if near else ""


@contextmanager
def _opened(source: Any) -> Iterator[tuple[str, dict[str, _Tensor]]]:
    """What messages call the source, and its tensors by name."""
    if isinstance(source, Mapping):
        arrays = {str(name): _array(name, value) for name, value in source.items()}
        yield "the mapping", {n: _Tensor(a.dtype.name, a.shape, lambda a=a: a) for n, a in arrays.items()}  # type: ignore[misc]
        return
    if not isinstance(source, (str, os.PathLike)):
        more = ": pass its state_dict()" if hasattr(source, "state_dict") else ""
        raise ArgumentError(f"parameters are loaded from a path or a mapping, not from {type(source).__name__}{more}")
    library = checkpoint.library("files of parameters")
    target = Path(source)
    try:
        with library.safe_open(target, framework="numpy") as f:
            yield str(target), {name: _Tensor(*_told(f, name)) for name in f.keys()}  # noqa: SIM118  (not a dict)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {target}") from None
    except (OSError, library.SafetensorError) as e:
        if isinstance(e, WeftError):  # of the block that reads, and says what it means
            raise
        raise CheckpointError(f"{target} is no whole safetensors file: {e}{_pickled(target)}") from e


def _pickled(target: Path) -> str:
    """What helps where the file is one of torch.save, a zip archive of pickles, which is not read."""
    try:
        with open(target, "rb") as f:
            archive = f.read(2) == b"PK"
    except OSError:
        return ""
    return "; of torch.save, it seems: safetensors.torch.save_file writes what is read here" * archive


def _told(f: Any, name: str) -> tuple[str, tuple[int, ...], Callable[[], np.ndarray]]:
    part = f.get_slice(name)
    said = part.get_dtype()
    dtype = DTYPES.get(said, said)

    def read() -> np.ndarray:
        if dtype == "bfloat16":
            element_type(dtype)  # loads what makes NumPy know it
        return f.get_tensor(name)

    return dtype, tuple(part.get_shape()), read


def _array(name: Any, value: Any) -> np.ndarray:
    try:
        return as_array(value)
    except WeftError as e:
        raise type(e)(f"{name}: {e}") from None


def _misfit(name: str, place: str, tensor: _Tensor, variable: Any, turned: bool, convert: bool) -> str | None:
    """Why a tensor cannot be the value of the parameter."""
    have = variable.container.array()
    said = name if place == name else f"{place!r}, for {name},"
    shape = tensor.shape[::-1] if turned else tensor.shape
    if shape != have.shape:
        stored = f"has shape {tensor.shape}" + (", transposed" if turned else "")
        hint = "; transposed it would fit (transpose=...)" if shape[::-1] == have.shape else ""
        return f"{said} {stored}; the parameter has {have.shape}{hint}"
    if tensor.dtype == have.dtype.name:
        return None
    floats = {"float16", "bfloat16", "float32", "float64"}
    if {tensor.dtype, have.dtype.name} <= floats:
        return None if convert else f"{said} is {tensor.dtype}; the parameter is {have.dtype} (convert=True converts)"
    return f"{said} is {tensor.dtype}; the parameter is {have.dtype}"


def _made(value: np.ndarray, variable: Any, turned: bool) -> np.ndarray:
    """The value as the variable will own it: in memory of its own."""
    dtype = variable.container.dtype
    value = value.T if turned else value
    with np.errstate(all="ignore"):
        return np.array(value, dtype=dtype, order="C", copy=True)


def _set(pairs: list[tuple[Any, np.ndarray]]) -> None:
    """Sets all storages, or none."""
    with all_or_none(storage for storage, _ in pairs):
        for storage, value in pairs:
            storage.replace(value)
