"""Parameters by name: safetensors files of PyTorch and of weft into shared variables, and out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime.training import checkpoint

pytest.importorskip("safetensors")
from safetensors.numpy import load_file, save_file

PLACES = {"W1": "layers.0.weight", "b1": "layers.0.bias", "W2": "layers.2.weight", "b2": "layers.2.bias"}


def parameters(dtype: str = "float32") -> list[Any]:
    shapes = {"W1": (4, 3), "b1": (3,), "W2": (3, 2), "b2": (2,)}
    return [weft.shared(np.zeros(s, dtype), name=n) for n, s in shapes.items()]


def stored(**changes: Any) -> dict[str, np.ndarray]:
    """The tensors of a file as PyTorch's Linear layers have them."""
    rng = np.random.default_rng(0)
    shapes = {"layers.0.weight": (3, 4), "layers.0.bias": (3,), "layers.2.weight": (2, 3), "layers.2.bias": (2,)}
    return {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()} | changes


def test_a_file_is_read_by_name(tmp_path: Path) -> None:
    tensors = stored()
    save_file(tensors, tmp_path / "m.safetensors")
    for names in (PLACES, PLACES.get, lambda n: PLACES[n]):
        for transpose in (True, ["W1", "W2"], lambda n: n.startswith("W")):
            params = parameters()
            left = weft.load_parameters(tmp_path / "m.safetensors", params, names=names, transpose=transpose)
            assert left == ([], [])
            for p in params:
                want = tensors[PLACES[p.name]]
                assert np.array_equal(p.get_value(), want.T)
    params = parameters()
    named = {PLACES[p.name]: p for p in params}
    weft.load_parameters(str(tmp_path / "m.safetensors"), named, transpose=["layers.0.weight", "layers.2.weight"])
    assert np.array_equal(params[0].get_value(), tensors["layers.0.weight"].T)


def test_values_belong_to_the_variables(tmp_path: Path) -> None:
    held = {"b": np.ones(3, np.float32)}
    b = weft.shared(np.zeros(3, np.float32), name="b")
    weft.load_parameters(held, [b])
    held["b"][0] = 5
    assert b.get_value().tolist() == [1, 1, 1]
    weft.function([], updates={b: b + 1})()
    assert held["b"].tolist() == [5, 1, 1]


def test_all_that_does_not_fit_is_listed_and_nothing_changes(tmp_path: Path) -> None:
    tensors = stored()
    tensors["layers.0.wieght"] = tensors.pop("layers.0.weight")
    tensors["layers.0.bias"] = np.zeros(5, np.float32)
    tensors["layers.2.bias"] = np.zeros(2, np.int32)
    tensors["layers.4.scale"] = np.zeros((), np.float32)
    save_file(tensors, tmp_path / "m.safetensors")
    params = parameters()
    for p in params:
        p.set_value(np.full_like(p.get_value(), 7))
    with pytest.raises(weft.CheckpointError) as e:
        weft.load_parameters(tmp_path / "m.safetensors", params, names=PLACES)
    lines = str(e.value).splitlines()
    assert lines[0].endswith("m.safetensors does not fit; no parameter was changed:")
    assert lines[1:] == [
        "  W1 is missing under the name 'layers.0.weight' (near: 'layers.0.wieght')",
        "  'layers.0.bias', for b1, has shape (5,); the parameter has (3,)",
        "  'layers.2.weight', for W2, has shape (2, 3); the parameter has (3, 2); "
        "transposed it would fit (transpose=...)",
        "  'layers.2.bias', for b2, is int32; the parameter is float32",
        "  no parameter takes 'layers.0.wieght', 'layers.4.scale' (strict=False leaves them)",
    ]
    assert all((p.get_value() == 7).all() for p in params)


def test_what_is_not_strict_says_what_was_left() -> None:
    tensors = stored()
    del tensors["layers.2.weight"]
    tensors["more"] = np.zeros(2)
    params = parameters()
    left = weft.load_parameters(tensors, params, names=PLACES, transpose=True, strict=False)
    assert left.missing == ["W2"] and left.unexpected == ["more"]
    assert params[0].get_value().any() and not params[2].get_value().any()
    with pytest.raises(weft.CheckpointError, match=r"has shape \(9,\)"):
        weft.load_parameters(stored(**{"layers.0.bias": np.zeros(9)}), params, names=PLACES, strict=False)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes_are_converted_when_asked(tmp_path: Path, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    values = np.array([1.1, -2.5, 3e4])
    save_file({"b": values.astype(dtype)}, tmp_path / "m.safetensors")
    b = weft.shared(np.zeros(3, np.float32), name="b")
    with pytest.raises(weft.CheckpointError, match=f"b is {dtype}; the parameter is float32 .convert=True"):
        weft.load_parameters(tmp_path / "m.safetensors", [b])
    assert not b.get_value().any()
    weft.load_parameters(tmp_path / "m.safetensors", [b], convert=True)
    assert b.get_value().dtype == np.float32
    assert np.array_equal(b.get_value(), values.astype(dtype).astype(np.float32))


def test_bfloat16_is_read_where_nobody_has_loaded_ml_dtypes(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")

    save_file({"b": np.ones(3).astype("bfloat16")}, tmp_path / "m.safetensors")
    program = (
        "import sys, numpy as np, weft, weft.tensor\n"
        "b = weft.shared(np.zeros(3, np.float32), name='b')\n"
        "assert 'ml_dtypes' not in sys.modules\n"
        f"weft.load_parameters({str(tmp_path / 'm.safetensors')!r}, [b], convert=True)\n"
        "assert b.get_value().tolist() == [1, 1, 1]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(weft.__file__).parents[1])


def test_files_that_are_none(tmp_path: Path) -> None:
    b = weft.shared(np.zeros(3, np.float32), name="b")
    with pytest.raises(weft.CheckpointError, match="there is no file"):
        weft.load_parameters(tmp_path / "none", [b])
    whole = tmp_path / "m.safetensors"
    save_file({"b": np.ones(3, np.float32)}, whole)
    cut = tmp_path / "cut"
    cut.write_bytes(whole.read_bytes()[:-3])
    for path in (cut, tmp_path):
        with pytest.raises(weft.CheckpointError, match="no whole safetensors file"):
            weft.load_parameters(path, [b])
    assert not b.get_value().any()


def test_sources_that_are_none(tmp_path: Path) -> None:
    class Model:
        def state_dict(self) -> dict:
            return {}

    w = weft.shared(np.zeros(3), "w")
    with pytest.raises(weft.ArgumentError, match=r"not from Model: pass its state_dict\(\)"):
        weft.load_parameters(Model(), [w])  # type: ignore[arg-type]
    with pytest.raises(weft.ArgumentError, match=r"a list of shared variables, .* not w alone"):
        weft.load_parameters({}, w)  # type: ignore[arg-type]
    pytest.importorskip("safetensors")
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as f:
        f.writestr("archive/data.pkl", b"...")
    with pytest.raises(weft.CheckpointError, match=r"of torch.save, it seems"):
        weft.load_parameters(path, [w])


def test_parameters_that_are_none() -> None:
    with pytest.raises(weft.ArgumentError, match="has no name"):
        weft.load_parameters({}, [weft.shared(1.0)])
    with pytest.raises(weft.ArgumentError, match="two parameters are called 'w'"):
        weft.load_parameters({}, [weft.shared(1.0, name="w"), weft.shared(1.0, name="w")])
    with pytest.raises(weft.ArgumentError, match="are shared variables"):
        weft.load_parameters({}, [np.ones(3)])
    with pytest.raises(weft.ArgumentError, match=r"transpose names 'W3', which is no parameter \(near: 'W"):
        weft.load_parameters({}, parameters(), transpose=["W3"])


def test_saved_parameters_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    params = parameters()
    for p in params:
        p.set_value(rng.normal(size=p.get_value().shape).astype(np.float32))
    path = tmp_path / "folder" / "m.safetensors"
    weft.save_parameters(path, params, names=PLACES, transpose=True)
    assert sorted(load_file(path)) == sorted(PLACES.values())
    assert load_file(path)["layers.0.weight"].shape == (3, 4)
    others = parameters()
    weft.load_parameters(path, others, names=PLACES, transpose=True)
    for p, q in zip(params, others, strict=True):
        assert np.array_equal(p.get_value(), q.get_value())
    scalars = [weft.shared(np.float64(2.5), name="s"), weft.shared(np.arange(3), name="n"),
               weft.shared(np.array([True]), name="t")]  # fmt: skip
    weft.save_parameters(path, scalars, metadata={"format": "pt"})
    again = [weft.shared(np.zeros_like(s.get_value()), name=s.name) for s in scalars]
    weft.load_parameters(path, again)
    assert [a.get_value().tolist() for a in again] == [2.5, [0, 1, 2], [True]]
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    w = weft.shared(np.ones(3), name="w")
    weft.save_parameters(path, [w])
    before = path.read_bytes()
    w.set_value(np.zeros(3))

    def fail(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(weft.CheckpointError, match="no room; the last one is"):
        weft.save_parameters(path, [w])
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(weft.ArgumentError, match="complex64"):
        weft.save_parameters(path, [weft.shared(np.zeros(2, np.complex64), name="z")])


@pytest.mark.parametrize("keep", [False, True], ids=["parameters", "checkpoints"])
def test_writers_of_one_file_do_not_meet(keep: bool, tmp_path: Path) -> None:
    """Each file is one that somebody wrote, whole, and no save is refused; the one before it too."""
    path = tmp_path / "m.safetensors"
    values = [np.full(50_000 * (k + 1), float(k)) for k in range(2)]
    checkpoint.place(path, {"w": values[0]}, None, "the file", keep)
    faults: list[str] = []
    seen: set[str] = set()
    ended = threading.Event()

    def write(value: np.ndarray) -> None:
        for _ in range(30):
            try:
                checkpoint.place(path, {"w": value}, None, "the file", keep)
            except weft.WeftError as e:
                faults.append(str(e))

    def read() -> None:
        while not ended.is_set():
            seen.update(p.name for p in tmp_path.iterdir())
            for p in [path, checkpoint.previous(path)] if keep else [path]:
                if p.exists():
                    w = load_file(p)["w"]
                    if not np.array_equal(w, values[int(w[0])]):
                        faults.append(f"{p} holds what nobody wrote")

    with ThreadPoolExecutor(3) as pool:
        reader = pool.submit(read)
        for writer in [pool.submit(write, value) for value in values]:
            writer.result()
        ended.set()
        reader.result()
    assert faults == []
    assert all("m.safetensors" in name for name in seen), "by its name it is known whose leftovers a file is"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", *["previous-m.safetensors"] * keep]


SAVES = """
import os, signal, sys
import numpy as np, weft

def stop(*_):
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("here", flush=True)
    sys.stdin.readline()
    rename(*_)

rename, os.replace = os.replace, stop
weft.save_parameters(sys.argv[1], [weft.shared(np.full(3, 5.0), name="w")])
"""


def test_what_killed_processes_left_goes_with_the_next_save(tmp_path: Path) -> None:
    """And what a living one is writing stays."""
    path, w = tmp_path / "m[1].safetensors", weft.shared(np.ones(3), name="w")

    def saving(how: str) -> subprocess.Popen:
        command = [sys.executable, "-c", SAVES, str(path), how]
        root = Path(weft.__file__).parents[1]
        return subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    for _ in range(2):
        assert saving("killed").wait() == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1, "the second one found what the first one left"
    (left,) = (p.name for p in tmp_path.iterdir())
    others = {left.replace("m[1]", "m1"), left.replace("m[1]", "n"), left[1:], f"{left}.txt", ".m[1].safetensors.new"}
    again = left.replace(left.split(".")[-3], str(os.getpid()))  # of a process with this one's number, in a container
    for name in (*others, again):
        (tmp_path / name).mkdir()
    with saving("slow") as slow:
        assert slow.stdout is not None and slow.stdout.readline() == "here\n"
        weft.save_parameters(path, [w])
        assert load_file(path)["w"].tolist() == [1, 1, 1]
        assert len(list(tmp_path.iterdir())) == 2 + len(others)
        slow.communicate("\n")
    assert slow.returncode == 0 and load_file(path)["w"].tolist() == [5, 5, 5]
    assert {p.name for p in tmp_path.iterdir()} == {path.name, *others}


def test_an_interrupted_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        weft.save_parameters(tmp_path / "m.safetensors", [weft.shared(np.ones(3), name="w")])
    assert not list(tmp_path.iterdir())


def test_a_torch_model_computes_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as torch_load
    from safetensors.torch import save_file as torch_save

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    path = tmp_path / "m.safetensors"
    torch_save(model.state_dict(), path)

    def place(name: str) -> str:
        return f"{2 * (int(name[1:]) - 1)}.{'weight' if name[0] == 'W' else 'bias'}"

    x = T.fmatrix("x")
    data = torch.randn(10, 4)
    for source in (path, model.state_dict()):
        params = w1, b1, w2, b2 = parameters()
        weft.load_parameters(source, params, names=place, transpose=True)
        f = weft.function([x], T.dot(T.nnet.relu(T.dot(x, w1) + b1), w2) + b2)
        assert np.allclose(f(data), model(data).detach().numpy(), atol=1e-6)
    weft.save_parameters(path, params, names=place, transpose=True)
    model.load_state_dict(torch_load(path))
    assert np.allclose(f(data), model(data).detach().numpy(), atol=1e-6)

    torch_save({n: t.bfloat16() for n, t in model.state_dict().items()}, path)
    weft.load_parameters(path, params, names=place, transpose=True, convert=True)
    assert torch.equal(torch.from_dlpack(w1).T, model[0].weight.bfloat16().float())
    weft.load_parameters(model.bfloat16().state_dict(), params, names=place, transpose=True, convert=True)
    assert torch.equal(torch.from_dlpack(w1).T, model[0].weight.float())
