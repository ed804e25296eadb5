"""Data sets: those that come with scikit-learn by name, others from files, split into training, validation and test.

Inputs are float32, one example a row: pixels in [0, 1], columns of tables scaled to mean 0 and variance 1 over the
training part. Labels are int64 from 0 on; numbers to predict are scaled as the columns are.

The test part is the one that the data came with, or every fifth example. A sixth of the rest, drawn by the seed,
validates.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import weft
from weft.models.common import readers
from weft.models.common.model import needed
from weft.models.common.readers import DataError


@dataclass(frozen=True)
class Part:
    """Examples: inputs x, one a row, and what they should give, t."""

    x: np.ndarray
    t: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Data:
    """A data set. shape: of one example, as an image has it. classes: their names; none where t are numbers."""

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    training: Part
    validation: Part
    test: Part

    @property
    def inputs(self) -> int:
        return int(np.prod(self.shape))

    @property
    def images(self) -> bool:
        """Whether x are images, with pixels in [0, 1]."""
        return len(self.shape) > 1

    def require_classes(self, what: str) -> None:
        if not self.classes:
            raise weft.ArgumentError(f"{what} tells classes apart, and the targets of {self.name} are numbers")


@dataclass(frozen=True)
class Raw:
    """What was read: x of shape (n, *shape), bytes or numbers; t labels or numbers; examples of the test, if known."""

    name: str
    x: np.ndarray
    t: np.ndarray
    classes: tuple[str, ...]
    test: np.ndarray | None = None  # numbers of the examples


LEAST = 10  # examples
BUNDLED = ("digits", "breast_cancer", "diabetes", "iris", "wine")
FILES = """It may hold
  MNIST, Fashion-MNIST   {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz
  CIFAR-10               data_batch_1.bin ... data_batch_5.bin, test_batch.bin (or without .bin: the Python version)
  a table                train.csv (and test.csv), or a file .csv or .npz itself"""
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load(name: str, seed: int = 0) -> Data:
    """A data set: one of BUNDLED, or a folder or file of the user's. Raises ArgumentError, DataError."""
    path = Path(name).expanduser()
    if name in BUNDLED:
        raw = _bundled(name)
    elif path.is_dir():
        raw = _folder(path)
    elif path.suffix == ".csv" and path.is_file():
        raw = _csv(path, None)
    elif path.suffix == ".npz" and path.is_file():
        raw = _npz(path)
    elif path.is_file():
        raise weft.ArgumentError(f"{path} is neither a folder nor a .csv or .npz file")
    else:
        near = difflib.get_close_matches(name, BUNDLED, 1, 0.5)
        said = f"did you mean {near[0]}? " if near else ""
        raise weft.ArgumentError(
            f"there is no data set or folder {name!r}: {said}The data sets are {', '.join(BUNDLED)}; a folder is named "
            f"by its path. {FILES}"
        )
    return prepared(raw, seed)


def split(n: int, test: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of the examples for training, validation and test."""
    every = np.arange(n)
    chosen = every[every % 5 == 0] if test is None else test
    rest = np.random.default_rng([seed, 1]).permutation(np.setdiff1d(every, chosen))
    return np.sort(rest[len(rest) // 6 :]), np.sort(rest[: len(rest) // 6]), chosen


def prepared(raw: Raw, seed: int) -> Data:
    """Scaled and split. Whatever is measured for scaling is measured on the training part."""
    if len(raw.x) < LEAST:
        raise DataError(
            f"{raw.name} has {len(raw.x)} examples; at least {LEAST} are needed to train, validate and test"
        )
    parts = split(len(raw.x), raw.test, seed)
    if min(map(len, parts)) == 0:
        raise DataError(f"{raw.name} has too few examples to train, validate and test")
    x, t = raw.x.reshape(len(raw.x), -1), raw.t
    rows: Callable[[np.ndarray], np.ndarray]
    training = parts[0]
    if raw.x.ndim > 2:
        if raw.x.dtype != np.uint8 and (raw.x.min() < 0 or raw.x.max() > 1):
            raise DataError(f"{raw.name}: pixels from {raw.x.min()} to {raw.x.max()}; bytes, or 0 to 1, are needed")
        rows = partial(pixels, x)
    else:
        if not x.shape[1]:
            raise DataError(f"{raw.name}: the examples hold no numbers")
        x = scaled(x.astype("float64"), training, f"{raw.name}: x")
        rows = x.__getitem__
        if not x[training].any():
            raise DataError(f"{raw.name}: every column is the same in all training examples: there is nothing to learn")
    t = t.astype("int64") if raw.classes else scaled(t.astype("float64"), training, f"{raw.name}: target")
    if not raw.classes and not t[training].any():
        raise DataError(f"{raw.name}: the target is the same in all training examples: there is nothing to learn")
    return Data(raw.name, raw.x.shape[1:], raw.classes, *(Part(rows(p), t[p]) for p in parts))


def pixels(x: np.ndarray, part: np.ndarray) -> np.ndarray:
    """These rows in [0, 1]. A part at a time: CIFAR-10 as float32 is 700 MB, and would be there three times."""
    found = x[part].astype("float32")
    if x.dtype == np.uint8:
        found /= np.float32(255)
    return found


def scaled(values: np.ndarray, rows: np.ndarray, what: str = "x") -> np.ndarray:
    """To mean 0 and variance 1 over these rows; what is constant there, to mean 0. Raises DataError."""
    with np.errstate(all="ignore"):
        known = values[rows]
        constant = known.min(axis=0) == known.max(axis=0)  # rounded, its mean may differ from it
        mean = np.where(constant, known[0], known.mean(axis=0))
        deviation = np.where(constant, 1, known.std(axis=0))
        found = ((values - mean) / deviation).astype("float32")
    if not np.isfinite(deviation).all() or not np.isfinite(found).all():
        raise DataError(f"{what} holds numbers up to {np.abs(values).max():.3g}, too large to be scaled to variance 1")
    return found


def _bundled(name: str) -> Raw:
    found = getattr(needed("sklearn.datasets"), f"load_{name}")()
    classes = () if name == "diabetes" else tuple(str(c) for c in found.target_names)
    x = (found.images / 16).astype("float32") if name == "digits" else found.data
    return Raw(name.replace("_", " "), x, found.target, classes)


def _folder(path: Path) -> Raw:
    readers_of: tuple[tuple[str, Callable[[Path], Raw]], ...] = (
        ("*idx?-ubyte*", _mnist),
        ("data_batch_*", _cifar),
        ("train.csv", lambda p: _csv(p / "train.csv", p / "test.csv")),
    )
    for pattern, read in readers_of:
        if any(path.glob(pattern)):
            return read(path)
    inner = [p for p in sorted(path.iterdir()) if p.is_dir() and any(any(p.glob(q)) for q, _ in readers_of)]
    hint = f" Its folder {inner[0].name} holds some: give --data {inner[0]}." if inner else ""
    raise weft.ArgumentError(f"{path} holds no data that is known here.{hint} {FILES}")


def _mnist(path: Path) -> Raw:
    arrays = {}
    for part in ("train", "t10k"):
        for what, ndim in (("images", 3), ("labels", 1)):
            stem = f"{part}-{what}-idx{ndim}-ubyte"
            names = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"))  # unpackers write the last one
            found = next((path / n for n in names if (path / n).is_file()), None)
            if found is None:
                raise weft.ArgumentError(f"{path / stem} (or {stem}.gz) is missing: put it there")
            arrays[part, what] = readers.read_idx(found, ndim)
        images, labels = arrays[part, "images"], arrays[part, "labels"]
        if len(images) != len(labels):
            raise DataError(f"{path}: {len(images):,} images and {len(labels):,} labels of {part}; as many are needed")
        if not len(labels):
            raise DataError(f"{path}: there are no images of {part}")
    sizes = [arrays[part, "images"].shape[1:] for part in ("train", "t10k")]
    if sizes[0] != sizes[1]:
        raise DataError(f"{path}: images of train have the shape {sizes[0]}, those of t10k {sizes[1]}")
    x = np.concatenate([arrays["train", "images"], arrays["t10k", "images"]])
    t = np.concatenate([arrays["train", "labels"], arrays["t10k", "labels"]])
    known = FASHION if "fashion" in str(path.resolve()).lower() else tuple(map(str, range(10)))
    classes = known if t.max() < 10 else tuple(map(str, range(t.max() + 1)))
    return Raw(path.resolve().name, x, t, classes, np.arange(len(arrays["train", "labels"]), len(t)))


def _cifar(path: Path) -> Raw:
    binary = (path / "data_batch_1.bin").is_file()
    names = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    parts = []
    for name in names:
        file = path / (f"{name}.bin" if binary else name)
        if not file.is_file():
            raise weft.ArgumentError(f"{file} is missing: CIFAR-10 is {names[0]} to {names[4]} and {names[5]}")
        parts.append(readers.read_cifar_binary(file) if binary else readers.read_cifar_python(file))
    x, t = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
    first = len(x) - len(parts[-1][0])
    return Raw("CIFAR-10", x.reshape(-1, *readers.CIFAR_SHAPE), t, CIFAR, np.arange(first, len(x)))


def _csv(path: Path, beside: Path | None) -> Raw:
    x, t, labelled, names = readers.read_csv(path)
    test = None
    if beside is not None and beside.is_file():
        more, their, same, given = readers.read_csv(beside)
        if same != labelled:
            kinds = ("`label`", "`target`") if same else ("`target`", "`label`")
            raise DataError(f"{beside}, line 1: it has the column {kinds[0]}, and {path} has {kinds[1]}")
        more = readers.in_order(more, given, names, beside, path)
        x, t, test = np.concatenate([x, more]), np.concatenate([t, their]), np.arange(len(x), len(x) + len(more))
    return _table(path.stem if beside is None else path.resolve().parent.name, x, t, labelled, test)


def _npz(path: Path) -> Raw:
    x, t, labelled, more = readers.read_npz(path)
    test = None
    if more is not None:
        if more[0].shape[1:] != x.shape[1:]:
            raise DataError(f"{path}: examples of x have the shape {x.shape[1:]}, those of x_test {more[0].shape[1:]}")
        test = np.arange(len(x), len(x) + len(more[0]))
        x, t = np.concatenate([x, more[0]]), np.concatenate([t, more[1]])
    return _table(path.stem, x, t, labelled, test)


def _table(name: str, x: np.ndarray, t: np.ndarray, labelled: bool, test: Any) -> Raw:
    if not labelled:
        return Raw(name, x, t, (), test)
    classes, numbers = np.unique(t, return_inverse=True)
    if len(t) >= LEAST and not 2 <= len(classes) <= len(t) // 2:
        raise DataError(f"{name}: {len(classes)} different labels among {len(t)} examples; call numbers `target`")
    if t.dtype.kind == "U" and all(c.isdigit() for c in classes):  # text sorts 10 before 2
        order = np.argsort([int(c) for c in classes])
        classes, numbers = classes[order], np.argsort(order)[numbers]
    return Raw(name, x, numbers, tuple(map(str, classes)), test)
