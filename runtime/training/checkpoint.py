"""A run in one file: arrays by name and a description, as safetensors, written so that no crash leaves half of one.

The description is JSON in the file's metadata, under "weft.run". The file is written beside the old one, in a folder of
its writer's own, brought to the disk, and renamed over it; the one before is kept as `previous-<name>`. Nothing is
pickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, CheckpointError

KEY = "weft.run"
FORMAT = 1
COMPLEX = {"complex64": "float32", "complex128": "float64"}


def library(what: str = "checkpoints") -> Any:
    """The package safetensors."""
    try:
        import safetensors.numpy
    except ImportError:
        raise ArgumentError(
            f"{what} are safetensors files; the package is missing here: pip install 'weft[demo]'"
        ) from None
    return safetensors


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], document: dict[str, Any]) -> None:
    """Replaces the file at `path` by one that holds the arrays and the description (plain data).

    After any failure the file is what it was. Raises CheckpointError where the system does not take it (a full disk, a
    folder that cannot be written to).
    """
    complexes = {name: str(a.dtype) for name, a in arrays.items() if a.dtype.kind == "c"}
    described = {"format": FORMAT, "digest": digest(arrays), "complex": complexes, **document}
    tensors = {name: _plain(a) for name, a in arrays.items()}
    place(Path(path), tensors, {KEY: json.dumps(described, default=plain)}, "the checkpoint", keep=True)


def place(target: Path, tensors: Mapping[str, np.ndarray], said: dict[str, str] | None, what: str, keep: bool) -> None:
    """Puts a safetensors file where `target` says, as a whole or not at all; `keep`: the one before has a name still.

    tensors: contiguous arrays. what: how messages call the file.
    """
    numpy_files = library()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _folder_beside(target) as folder:
            new = folder / "new"
            with open(new, "xb") as f:  # may be read by whom the user's other files may be: the library is stricter
                mode = os.fstat(f.fileno()).st_mode
            numpy_files.numpy.save_file(dict(tensors), new, said)
            os.chmod(new, mode & 0o777)
            _to_disk(new)
            if keep and target.exists():
                _keep(target, previous(target), folder / "previous")
            os.replace(new, target)
            _to_disk(target.parent)
    except (OSError, numpy_files.SafetensorError) as e:
        kept = f"; the last one is {target} still" if target.exists() else ""
        raise CheckpointError(f"{what} {target} could not be written: {e}{kept}") from e


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the description of a checkpoint.

    Raises CheckpointError where the file is missing, cut off, damaged, or no checkpoint of a run.
    """
    numpy_files = library()
    target = Path(path)
    try:
        with numpy_files.safe_open(target, framework="numpy") as f:
            said = (f.metadata() or {}).get(KEY)
            arrays = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118  (not a dict)
        described = None if said is None else json.loads(said)
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {target}{_other(target)}") from None
    except (OSError, ValueError, numpy_files.SafetensorError) as e:
        raise CheckpointError(f"{target} is no whole checkpoint: {e}{_other(target)}") from e
    if described is None:
        raise CheckpointError(f"{target} is a safetensors file, but no checkpoint of a run")
    if described.get("format") != FORMAT:
        raise CheckpointError(
            f"{target} has format {described.get('format')}; this weft reads {FORMAT}: use the weft that wrote it"
        )
    for name, dtype in described["complex"].items():
        arrays[name] = arrays[name].view(dtype)[..., 0]
    if digest(arrays) != described["digest"]:
        raise CheckpointError(f"{target} is damaged: its arrays are not those that were written{_other(target)}")
    return arrays, described


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(f"previous-{path.name}")


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        a = arrays[name]
        found.update(json.dumps([name, str(a.dtype), list(a.shape)]).encode())
        found.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    return found.hexdigest()


def plain(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON has them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data")


def finite(value: Any) -> Any:
    """Plain data as JSON has it, which knows no numbers that are not finite: None stands for them, however deep."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _other(target: Path) -> str:
    before = previous(target)
    return f"; the one before is {before}: give it the name {target.name} to go on from it" if before.exists() else ""


def _plain(a: np.ndarray) -> np.ndarray:
    """Contiguous, as the library takes for granted; complex numbers, which not all of its versions know, with an axis
    of real and imaginary part."""
    a = np.ascontiguousarray(a).reshape(np.shape(a))
    part = COMPLEX.get(str(a.dtype))
    return a if part is None else a[..., None].view(part)


_writing: set[str] = set()  # the names of folders that threads of this process write in


@contextlib.contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A folder for one writer of the file, on the same file system; the library has a file for the meantime there too.

    What killed writers of the file left is removed before: it may be what fills the disk.
    """
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            found = re.fullmatch(rf"\.{re.escape(target.name)}\.([0-9]+)\.[0-9a-f]{{8}}\.new", path.name)
            if found and path.name not in _writing and not _lives(int(found[1])):
                shutil.rmtree(path, ignore_errors=True)
    folder = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
    _writing.add(folder.name)
    try:
        folder.mkdir(0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _writing.discard(folder.name)


def _lives(pid: int) -> bool:
    """Whether another process has the number. In containers each process may be number 1: this one is not the other."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no process's
        return True
    return True


def _keep(path: Path, name: Path, between: Path) -> None:
    """Gives the file a second name, or a copy where the system has no second names; at once, for readers of that name.

    between: a name of the writer's own. It stays where both are one file already: renaming does nothing then.
    """
    try:
        os.link(path, between)
    except OSError:
        shutil.copyfile(path, between)
        _to_disk(between)
    os.replace(between, name)


def _to_disk(path: Path) -> None:
    """A file's bytes, or a folder's names."""
    f = os.open(path, os.O_RDONLY)
    try:
        os.fsync(f)
    finally:
        os.close(f)
