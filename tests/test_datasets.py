"""Data sets: files are read as they are, and what is wrong with them is said; the split, the scaling."""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.cli import main
from weft.models.common import datasets, readers
from weft.models.common.readers import DataError

RNG = np.random.default_rng(0)


def idx(a: np.ndarray) -> bytes:
    return bytes((0, 0, 8, a.ndim)) + struct.pack(f">{a.ndim}I", *a.shape) + a.astype(np.uint8).tobytes()


IMAGES = {"train": RNG.integers(0, 256, (40, 6, 5)), "t10k": RNG.integers(0, 256, (12, 6, 5))}
LABELS = {"train": RNG.integers(0, 10, 40), "t10k": RNG.integers(0, 10, 12)}


def mnist(folder: Path, packed: bool = False, dotted: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for part in IMAGES:
        for what, a in (("images", IMAGES[part]), ("labels", LABELS[part])):
            name = f"{part}-{what}{'.' if dotted else '-'}idx{a.ndim}-ubyte"
            data = idx(a)
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.mark.parametrize("how", [{}, {"packed": True}, {"dotted": True}])
def test_mnist(how: dict[str, bool], tmp_path: Path) -> None:
    d = datasets.load(str(mnist(tmp_path / "mnist", **how)), seed=3)
    assert (d.name, d.shape, d.classes) == ("mnist", (6, 5), tuple("0123456789"))
    np.testing.assert_array_equal(d.test.x, (IMAGES["t10k"].reshape(12, 30) / 255).astype("float32"))
    np.testing.assert_array_equal(d.test.t, LABELS["t10k"])
    rows = np.concatenate([d.training.x, d.validation.x])
    assert len(d.validation) == 6 and rows.dtype == np.float32 and d.test.t.dtype == np.int64
    assert sorted(map(bytes, rows)) == sorted(map(bytes, (IMAGES["train"].reshape(40, 30) / 255).astype("float32")))
    for x, t in zip(d.training.x, d.training.t, strict=True):
        k = np.flatnonzero((np.abs(IMAGES["train"].reshape(40, 30) / 255 - x) < 1e-6).all(axis=1))
        assert LABELS["train"][k[0]] == t


def test_fashion_mnist_has_names(tmp_path: Path) -> None:
    d = datasets.load(str(mnist(tmp_path / "Fashion-MNIST")))
    assert d.classes[0] == "T-shirt" and len(d.classes) == 10


WHOLE = idx(IMAGES["train"])


@pytest.mark.parametrize("data, said", [
    (b"\x00\x00\x08\x01" + WHOLE[4:], "begins with 00 00 08 01, not 00 00 08 03"),
    (b"\x00\x00\x0d\x03" + WHOLE[4:], "begins with 00 00 0d 03"),
    (b"<html>not found</html>", "is no IDX file of images"),
    (b"", "is no IDX file of images"),
    (WHOLE[:9], "is cut off: 9 bytes, and the header alone has 16"),
    (WHOLE[:-1], "is cut off: 40 x 6 x 5 elements make 1,216 bytes, and it has 1,215"),
    (WHOLE + b"\x00", "is too long"),
    (gzip.compress(WHOLE)[:-40], "cannot be unpacked, its download may have been cut off"),
    (gzip.compress(WHOLE)[:20] + bytes(8) + gzip.compress(WHOLE)[28:], "cannot be unpacked"),
    (gzip.compress(WHOLE[:-5]), "is cut off"),
    (idx(IMAGES["train"][:39]), "39 images and 40 labels of train"),
])  # fmt: skip
def test_broken_idx(data: bytes, said: str, tmp_path: Path) -> None:
    folder = mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(data)
    with pytest.raises(DataError, match=said):
        datasets.load(str(folder))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = mnist(tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(weft.ArgumentError, match=r"t10k-labels-idx1-ubyte \(or t10k-labels-idx1-ubyte.gz\) is missing"):
        datasets.load(str(folder))


PIXELS = RNG.integers(0, 256, (6, 20, 3072)).astype(np.uint8)
CLASSES = RNG.integers(0, 10, (6, 20))


def cifar(folder: Path, binary: bool) -> Path:
    folder.mkdir(exist_ok=True)
    for k in range(6):
        name = "test_batch" if k == 5 else f"data_batch_{k + 1}"
        if binary:
            data = np.concatenate([CLASSES[k][:, None].astype(np.uint8), PIXELS[k]], axis=1).tobytes()
            (folder / f"{name}.bin").write_bytes(data)
        else:
            content = {b"data": PIXELS[k], b"labels": CLASSES[k].tolist(), b"batch_label": b"one"}
            (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


@pytest.mark.parametrize("binary", [True, False])
def test_cifar(binary: bool, tmp_path: Path) -> None:
    d = datasets.load(str(cifar(tmp_path / "cifar", binary)))
    assert d.shape == (3, 32, 32) and d.classes[0] == "airplane" and len(d.training) + len(d.validation) == 100
    np.testing.assert_array_equal(d.test.t, CLASSES[5])
    np.testing.assert_allclose(d.test.x, PIXELS[5] / 255, rtol=1e-6)


def test_broken_cifar(tmp_path: Path) -> None:
    folder = cifar(tmp_path / "a", True)
    (folder / "data_batch_2.bin").write_bytes(bytes(3073 * 3 - 1))
    with pytest.raises(DataError, match=r"data_batch_2.bin has 9,218 bytes: not a whole number of images"):
        datasets.load(str(folder))
    (folder / "data_batch_2.bin").write_bytes(bytes((77,)) * 3073)
    with pytest.raises(DataError, match="labels from 77 to 77"):
        datasets.load(str(folder))
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(weft.ArgumentError, match=r"data_batch_2.bin is missing"):
        datasets.load(str(folder))


class Evil:
    def __reduce__(self) -> Any:
        return (sys.exit, (3,))


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    folder = cifar(tmp_path / "cifar", False)
    (folder / "data_batch_1").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"asks for sys\.exit, and arrays are expected"):
        datasets.load(str(folder))
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": PIXELS[0][:, :5], b"labels": [0] * 20}))
    with pytest.raises(DataError, match=r"data of shape \(20, 5\)"):
        datasets.load(str(folder))
    (folder / "data_batch_1").write_bytes(b"not a pickle")
    with pytest.raises(DataError, match="is no file of CIFAR-10's Python version"):
        datasets.load(str(folder))


def test_parts_of_mnist_that_do_not_fit(tmp_path: Path) -> None:
    folder = mnist(tmp_path)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((12, 7, 9), np.uint8)))
    with pytest.raises(DataError, match=r"images of train have the shape .*, those of t10k \(7, 9\)"):
        datasets.load(str(folder))
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 5, 4), np.uint8)))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(0, np.uint8)))
    with pytest.raises(DataError, match="there are no images of t10k"):
        datasets.load(str(folder))
    empty = tmp_path / "data_batch_1"
    empty.write_bytes(pickle.dumps({b"data": np.zeros((0, 3072), np.uint8), b"labels": []}))
    with pytest.raises(DataError, match="holds no images"):
        readers.read_cifar_python(empty)


TABLE = "a,label,b\n" + "".join(f"{k},{'xy'[k % 2]},{k * k}\n" for k in range(30))


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    d = datasets.load(str(path))
    assert (d.name, d.shape, d.classes) == ("t", (2,), ("x", "y"))
    np.testing.assert_array_equal(d.test.t, [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(d.training.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(d.training.x.std(axis=0), 1, atol=1e-6)
    k = np.arange(30.0)
    back = np.stack([k, k * k], axis=1)
    slope = (back[5] - back[0]) / (d.test.x[1] - d.test.x[0])
    np.testing.assert_allclose(d.test.x * slope + (back[0] - slope * d.test.x[0]), back[::5], rtol=1e-4, atol=1e-3)


def test_csv_with_numbers_and_a_test_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,target\n" + "".join(f"{k},{2 * k}\n" for k in range(30)))
    (tmp_path / "test.csv").write_text("a,target\n7,14\n")
    d = datasets.load(str(tmp_path))
    assert d.classes == () and len(d.test) == 1 and len(d.training) == 25 and d.training.t.dtype == np.float32
    np.testing.assert_allclose(d.training.t, d.training.x[:, 0], atol=1e-6)


def test_columns_of_the_test_are_known_by_their_names(tmp_path: Path) -> None:
    rows = [(k, 7 * k % 30, "xy"[k % 2]) for k in range(30)]
    (tmp_path / "train.csv").write_text("a,b,label\n" + "".join(f"{a},{b},{t}\n" for a, b, t in rows))
    (tmp_path / "test.csv").write_text("a,b,label\n" + "".join(f"{a},{b},{t}\n" for a, b, t in rows[:7]))
    want = datasets.load(str(tmp_path))
    (tmp_path / "test.csv").write_text("label, b,a\n" + "".join(f"{t},{b},{a}\n" for a, b, t in rows[:7]))
    d = datasets.load(str(tmp_path))
    np.testing.assert_array_equal(d.test.x, want.test.x)
    np.testing.assert_array_equal(d.test.t, want.test.t)
    np.testing.assert_array_equal(d.training.x, want.training.x)


@pytest.mark.parametrize("train, test, said", [
    ("a,b,label", "a,c,label", "test.csv, line 1: it has no column `b`, and .*train.csv has no column `c`"),
    ("a,b,label", "a,label", "test.csv, line 1: it has no column `b`$"),
    ("a,label", "a,d,c,label", "test.csv, line 1: .*train.csv has no column `c`, `d`$"),
    ("a,a,b,label", "b,a,a,label", "several columns are called `a`: the order has to be that of .*train.csv"),
    ("a,a,b,label", "a,b,label", "several columns are called `a`"),
    ("a,b,label", "a,b,target", "test.csv, line 1: it has the column `target`, and .*train.csv has `label`"),
])  # fmt: skip
def test_other_columns_in_the_test(train: str, test: str, said: str, tmp_path: Path) -> None:
    for name, header in (("train", train), ("test", test)):
        row = ",".join("1" * (header.count(",") + 1))
        (tmp_path / f"{name}.csv").write_text(f"{header}\n" + f"{row}\n" * 12)
    with pytest.raises(DataError, match=said):
        datasets.load(str(tmp_path))


def test_columns_of_one_name_stay_where_they_are(tmp_path: Path) -> None:
    text = "a,a,label\n" + "".join(f"{k},{k * k},{'xy'[k % 2]}\n" for k in range(30))
    (tmp_path / "train.csv").write_text(text)
    (tmp_path / "test.csv").write_text(text)
    d = datasets.load(str(tmp_path))
    assert len(d.test) == 30 and len(np.unique(d.test.x, axis=0)) == 30


def test_csv_is_read_in_double_precision(tmp_path: Path) -> None:
    """Seconds of this century differ by less than float32 has there; 1e39 is none at all."""
    path = tmp_path / "t.csv"
    path.write_text("time,big,target\n" + "".join(f"{1.7e9 + k},{k}e38,{k}\n" for k in range(30)))
    d = datasets.load(str(path))
    np.testing.assert_allclose(d.training.x, np.stack([d.training.t, d.training.t], axis=1), atol=1e-6)


@pytest.mark.parametrize("text, said", [
    ("", "line 1: .* the file is empty"),
    ("a,b\n1,2\n", "line 1: the names of the columns are needed, with `label` .*; it is a, b"),
    ("label,target\n1,2\n", "line 1"),
    ("label\nx\n", "line 1: there is no column beside `label`"),
    ("a,label\n", "has no line below its first"),
    ("a,label\n1,x\n2,y\n3\n", "line 4: 1 values, and the first line names 2 columns"),
    ("a,label\n1,x\n2,y,z\n", "line 3: 3 values"),
    ("a,label\n1,x\n\nred,y\n", "line 4: column `a` holds 'red', which is no number"),
    ("a,label\n1,x\nnan,y\n", "line 3: column `a` holds nan; finite numbers are needed"),
    ("a,b,label\n1e308,1e308,x\n1,-inf,y\n", "line 3: column `b` holds -inf"),
    ("a,target\n1,x\n", "line 2: column `target` holds 'x'"),
    ("a,label\n1,x\n2,y\n", "has 2 examples; at least 10"),
    ("a,label\n" + "".join(f"{k},{k}\n" for k in range(20)), "20 different labels among 20 examples; call numbers"),
    ("a,label\n" + "1,x\n" * 20, "1 different labels"),
])  # fmt: skip
def test_broken_csv(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        datasets.load(str(path))


def test_csv_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00a,\x80")
    with pytest.raises(DataError, match="is no CSV file"):
        datasets.load(str(path))


def test_labels_that_are_numbers_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,label\n" + "".join(f"{k},{k % 11}\n" for k in range(44)))
    d = datasets.load(str(path))
    assert d.classes == tuple(map(str, range(11)))
    np.testing.assert_array_equal(d.test.t, np.arange(0, 44, 5) % 11)


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    x, t = RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8), np.arange(30) % 3
    np.savez(path, x=x, label=t, x_test=x[:5], label_test=t[:5])
    d = datasets.load(str(path))
    assert d.shape == (4, 4) and d.classes == ("0", "1", "2") and len(d.test) == 5 and len(d.training) == 25
    np.testing.assert_allclose(d.test.x, x[:5].reshape(5, 16) / 255, rtol=1e-6)


@pytest.mark.parametrize("arrays, said", [
    ({"y": np.arange(3)}, "holds y; it needs an array x"),
    ({"x": np.zeros((20, 2))}, "it needs an array x"),
    ({"x": np.zeros((20, 2)), "label": np.zeros(19)}, r"x is of shape \(20, 2\) and label of shape \(19,\)"),
    ({"x": np.zeros(20), "label": np.zeros(20)}, r"\(n, ...\) and \(n,\) are needed"),
    ({"x": np.full((20, 2), "a"), "label": np.zeros(20)}, "numbers are needed"),
    ({"x": np.full((20, 2), np.nan), "target": np.zeros(20)}, "not finite"),
    ({"x": np.full((20, 2, 2), 7.0), "label": np.arange(20) % 2}, "pixels from 7.0 to 7.0"),
    ({"x": np.zeros((20, 0)), "label": np.arange(20) % 2}, "the examples hold no numbers"),
    ({"x": np.full((20, 2), 0.1), "label": np.arange(20) % 2}, "every column is the same in all training examples"),
    ({"x": np.arange(20.0)[:, None], "target": np.ones(20)}, "the target is the same in all training examples"),
    ({"x": np.arange(20.0)[:, None] * 1e300, "target": np.arange(20)}, "x holds numbers up to 1.9e.301, too large"),
    ({"x": np.zeros((20, 2)), "target": np.zeros(20), "x_test": np.zeros((3, 2))}, "target_test missing"),
    ({"x": np.zeros((20, 2)), "target": np.zeros(20), "x_test": np.zeros((3, 4)), "target_test": np.zeros(3)},
     r"x have the shape \(2,\), those of x_test \(4,\)"),
])  # fmt: skip
def test_broken_npz(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=said):
        datasets.load(str(path))


def test_npz_runs_no_pickle_and_says_what_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, x=np.array([Evil()], dtype=object), label=np.zeros(1))
    with pytest.raises(DataError, match="cannot be read as NPZ"):
        datasets.load(str(path))
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(DataError, match="cannot be read as NPZ"):
        datasets.load(str(path))


def test_the_split() -> None:
    for seed in range(3):
        training, validation, test = datasets.split(1797, None, seed)
        assert (test == np.arange(0, 1797, 5)).all()
        assert sorted([*training, *validation, *test]) == list(range(1797))
        assert len(validation) == 1437 // 6
    assert (datasets.split(100, None, 0)[1] != datasets.split(100, None, 1)[1]).any()


def test_scaling_looks_at_the_training_part_alone() -> None:
    x, t = RNG.normal(size=(50, 3)), np.arange(50) % 2
    spoilt = x.copy()
    _, validation, test = datasets.split(50, None, 0)
    spoilt[validation] = 1e6
    spoilt[test] = -1e6
    a, b = (datasets.prepared(datasets.Raw("x", v, t, ("a", "b")), 0) for v in (x, spoilt))
    np.testing.assert_array_equal(a.training.x, b.training.x)
    constant = datasets.scaled(np.full((5, 1), 3.0), np.arange(5))
    assert (constant == 0).all()
    assert (datasets.scaled(np.full((50, 1), 0.1), np.arange(49)) == 0).all(), "its rounded mean is not 0.1"


@pytest.mark.parametrize("name", datasets.BUNDLED)
def test_bundled(name: str) -> None:
    pytest.importorskip("sklearn")
    d = datasets.load(name)
    assert bool(d.classes) == (name != "diabetes") and d.images == (name == "digits")
    assert np.isfinite(d.training.x).all() and len(d.training) > len(d.test) > 20


@pytest.mark.parametrize("name, status, said", [
    ("digts", 2, "did you mean digits?"),
    ("/nowhere/at/all", 2, "there is no data set or folder"),
    (".", 2, "holds no data that is known here"),
    ("notes.txt", 2, "neither a folder nor a .csv or .npz file"),
    ("above", 2, "Its folder mnist holds some: give --data"),
    ("t.csv", 1, "line 2: column `a` holds 'red'"),
])  # fmt: skip
def test_the_command_line_says_what_is_wrong(
    name: str, status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for package in ("rich", "safetensors", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").touch()
    Path("t.csv").write_text("a,label\nred,1\n")
    Path("above").mkdir()
    mnist(Path("above", "mnist"))
    assert main(["train", "softmax", "--data", name]) == status
    err = capsys.readouterr().err
    assert err.startswith("weft: ") and said in err and "Traceback" not in err
    assert not Path("runs").exists()
