"""Files of data, checked: what is wrong with one is said with its name, and with the line where it has lines."""

from __future__ import annotations

import codecs
import csv
import gzip
import math
import pickle
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import weft


class DataError(weft.WeftError, ValueError):
    """A file of data that is not what it should be."""


# IDX, the format of MNIST: two zero bytes, the type of the elements, the number of axes, their lengths as big-endian
# 32-bit integers, the elements.

BYTES = 0x08  # unsigned bytes, the one type in use


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """An IDX file of unsigned bytes with `ndim` axes, plain or gzipped (told by its first bytes)."""
    data = _unpacked(path)
    what = f"images ({ndim} axes)" if ndim > 1 else "labels (1 axis)"
    magic = bytes((0, 0, BYTES, ndim))
    if data[:4] != magic:
        raise DataError(f"{path} is no IDX file of {what}: it begins with {data[:4].hex(' ')}, not {magic.hex(' ')}")
    start = 4 + 4 * ndim
    if len(data) < start:
        raise DataError(f"{path} is cut off: {len(data)} bytes, and the header alone has {start}")
    lengths = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4"))
    want = start + int(np.prod(lengths, dtype=np.int64))
    if len(data) != want:
        state = "cut off" if len(data) < want else "too long"
        sizes = " x ".join(map(str, lengths))
        raise DataError(f"{path} is {state}: {sizes} elements make {want:,} bytes, and it has {len(data):,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(lengths)


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise DataError(f"{path} cannot be unpacked, its download may have been cut off: {e}") from e


# CIFAR-10: the binary version (a label and 3 x 32 x 32 bytes an image) and the Python version (pickled arrays).

CIFAR_SHAPE = (3, 32, 32)


def read_cifar_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    data = path.read_bytes()
    record = 1 + int(np.prod(CIFAR_SHAPE))
    if not data or len(data) % record:
        raise DataError(f"{path} has {len(data):,} bytes: not a whole number of images of {record:,}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    return rows[:, 1:], _labels_below(path, rows[:, 0], 10)


class _Arrays(pickle.Unpickler):
    """Reads arrays, and refuses everything else that a pickle could run."""

    NAMES = ("_reconstruct", "ndarray", "dtype")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # bytes, as Python 3 writes them in old protocols
            return codecs.encode
        if module.split(".")[0] == "numpy" and name in self.NAMES:
            return {"ndarray": np.ndarray, "dtype": np.dtype}.get(name) or _reconstruct()
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and arrays are expected")


def _reconstruct() -> Any:
    return np.empty(0).__reduce__()[0]


def read_cifar_python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as f:
            found = _Arrays(f, encoding="bytes").load()
        images, labels = np.asarray(found[b"data"]), np.asarray(found[b"labels"])
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
        raise DataError(f"{path} is no file of CIFAR-10's Python version: {e}") from e
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072 or labels.shape != (len(images),):
        raise DataError(
            f"{path} has data of shape {images.shape} and labels of {labels.shape}; n x 3072 and n are needed"
        )
    return images, _labels_below(path, labels, 10)


def _labels_below(path: Path, labels: np.ndarray, count: int) -> np.ndarray:
    if not len(labels):
        raise DataError(f"{path} holds no images")
    if labels.min() < 0 or labels.max() >= count:
        raise DataError(f"{path} has labels from {labels.min()} to {labels.max()}; 0 to {count - 1} are needed")
    return labels.astype(np.int64)


# Tables: CSV and NPZ. A column `label` holds classes, a column `target` numbers.


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray, bool, list[str]]:
    """Features, and the column `label` (as text) or `target` (numbers); whether it is `label`; the features' names."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            reader = csv.reader(f)
            header = [name.strip() for name in next(reader, [])]
            column, features = _columns(path, header)
            labelled = header[column] == "label"
            x = array("d")
            t: list[Any] = []
            for row in reader:
                if not row:
                    continue
                where = f"{path}, line {reader.line_num}"
                if len(row) != len(header):
                    raise DataError(f"{where}: {len(row)} values, and the first line names {len(header)} columns")
                x.extend(_numbers(where, header, features, row))
                t.append(row[column].strip() if labelled else _number(where, header[column], row[column]))
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path} is no CSV file: {e}") from e
    if not x:
        raise DataError(f"{path} has no line below its first, which names the columns")
    return np.frombuffer(x).reshape(len(t), -1), np.array(t), labelled, [header[k] for k in features]


def in_order(x: np.ndarray, names: Sequence[str], wanted: Sequence[str], path: Path, other: Path) -> np.ndarray:
    """The columns of a file, which have these names, in the order of another file. Raises DataError."""
    if list(names) == list(wanted):
        return x
    faults = [f"it has no column {_quoted(missing)}"] if (missing := set(wanted) - set(names)) else []
    faults += [f"{other} has no column {_quoted(more)}"] if (more := set(names) - set(wanted)) else []
    twice = {n for n, count in (Counter(names) | Counter(wanted)).items() if count > 1}
    if not faults and twice:
        faults = [f"several columns are called {_quoted(twice)}: the order has to be that of {other}"]
    if faults:
        raise DataError(f"{path}, line 1: {', and '.join(faults)}")
    places = {n: k for k, n in enumerate(names)}
    return x[:, [places[n] for n in wanted]]


def _quoted(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(f"`{n}`" for n in shown[:6]) + ", ..." * (len(shown) > 6)


def _columns(path: Path, header: Sequence[str]) -> tuple[int, list[int]]:
    found = [k for k, name in enumerate(header) if name in ("label", "target")]
    if len(found) != 1:
        said = f"it is {', '.join(header[:6])}{', ...' * (len(header) > 6)}" if header else "the file is empty"
        raise DataError(
            f"{path}, line 1: the names of the columns are needed, with `label` (classes) or `target` (numbers); {said}"
        )
    features = [k for k in range(len(header)) if k != found[0]]
    if not features:
        raise DataError(f"{path}, line 1: there is no column beside `{header[found[0]]}`")
    return found[0], features


def _numbers(where: str, header: Sequence[str], features: Sequence[int], row: Sequence[str]) -> list[float]:
    """The features of a row; each by itself only where something is wrong with one, to say which."""
    try:
        found = [float(row[k]) for k in features]
        if math.isfinite(sum(found)):
            return found
    except ValueError:
        pass
    return [_number(where, header[k], row[k]) for k in features]


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: column `{name}` holds {text!r}, which is no number") from None
    if not np.isfinite(value):
        raise DataError(f"{where}: column `{name}` holds {text.strip()}; finite numbers are needed")
    return value


NPZ = (
    "an array x (examples, ...) and an array `label` (classes) or `target` (numbers); x_test and label_test if you like"
)


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, bool, tuple[np.ndarray, np.ndarray] | None]:
    """Features, labels or targets, whether they are labels, and the same of the test if the file has them."""
    try:
        with np.load(path, allow_pickle=False) as f:
            arrays = {name: f[name] for name in f.files}
    except Exception as e:  # zipfile, zlib and NumPy each have errors of their own
        raise DataError(f"{path} cannot be read as NPZ: {e}") from e
    key = next((k for k in ("label", "target") if k in arrays), None)
    if "x" not in arrays or key is None:
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}; it needs {NPZ}")
    parts = []
    for end in ("", "_test"):
        if f"x{end}" not in arrays:
            continue
        x, t = arrays[f"x{end}"], arrays.get(f"{key}{end}")
        if t is None or x.ndim < 2 or t.shape != (len(x),):
            said = "missing" if t is None else f"of shape {t.shape}"
            raise DataError(f"{path}: x{end} is of shape {x.shape} and {key}{end} {said}; (n, ...) and (n,) are needed")
        if x.dtype.kind not in "buif" or (key == "target" and t.dtype.kind not in "buif"):
            raise DataError(f"{path}: x{end} is {x.dtype}, {key}{end} {t.dtype}: numbers are needed")
        if not np.isfinite(x).all() or (key == "target" and not np.isfinite(t).all()):
            raise DataError(f"{path}: x{end} or {key}{end} holds values that are not finite")
        parts.append((x, t))
    return *parts[0], key == "label", parts[1] if len(parts) > 1 else None
