"""Checkpoints: written whole or not at all, and never taken for what they are not."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from kill_training import killed_runs
from test_training_loop import Model, X, Y

import weft
from weft.runtime.training import checkpoint
from weft.training import Batches, Checkpoints, Iterated, Prefetched

ARRAYS = {
    "W": np.arange(6.0).reshape(2, 3), "turned": np.arange(6, dtype="float32").reshape(2, 3).T, "n": np.int64(3),
    "none": np.zeros((0, 2)), "flags": np.array([True, False]), "state": np.array([1 << 63, 2], np.uint64),
    "z": np.array([[1 + 2j, -0.0j]], np.complex64), "zz": np.array(1j), "h": np.array([1.5], np.float16),
}  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    given = {k: np.asarray(v) for k, v in ARRAYS.items()} | {"b": np.ones(3, ml_dtypes.bfloat16)}
    checkpoint.write(tmp_path / "a", given, {"text": "ü", "nothing": None, "number": 0.1, "nan": float("nan")})
    arrays, said = checkpoint.read(tmp_path / "a")
    assert set(arrays) == set(given)
    for name, a in given.items():
        assert (arrays[name].dtype, arrays[name].shape) == (a.dtype, a.shape), name
        assert arrays[name].tobytes() == a.tobytes(), name
    assert (said["text"], said["nothing"], said["number"]) == ("ü", None, 0.1) and np.isnan(said["nan"])


def test_parameters_are_plain_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    m = Model()
    m.trainer(callbacks=[Checkpoints(tmp_path / "run")]).fit(1)
    assert load_file(tmp_path / "run")["w"].tobytes() == m.w.get_value().tobytes()


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for k in range(3):
        checkpoint.write(path, {"w": np.full(2, k)}, {})
    assert checkpoint.read(path)[0]["w"][0] == 2 and checkpoint.read(checkpoint.previous(path))[0]["w"][0] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["previous-run", "run"]


def test_every_way_of_cutting_a_file_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "run"
    checkpoint.write(path, {"w": np.arange(3.0)}, {})
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(weft.CheckpointError, match="no whole checkpoint"):
            checkpoint.read(path)


def test_a_changed_number_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for _ in range(2):
        checkpoint.write(path, {"w": np.arange(3.0)}, {})
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(weft.CheckpointError, match=r"is damaged.*; the one before is .*previous-run"):
        checkpoint.read(path)


def test_foreign_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "text").write_text("not a checkpoint at all")
    save_file({"w": np.ones(2)}, tmp_path / "plain")
    with pytest.raises(weft.CheckpointError, match="there is no checkpoint"):
        checkpoint.read(tmp_path / "missing")
    with pytest.raises(weft.CheckpointError, match="no whole checkpoint"):
        checkpoint.read(tmp_path / "text")
    with pytest.raises(weft.CheckpointError, match="but no checkpoint of a run"):
        checkpoint.read(tmp_path / "plain")


@pytest.mark.parametrize("other, text", [
    (lambda: Model(columns=4, name="v").trainer(), "it has no v; there is no w here"),
    (lambda: Model(noise=0).trainer(), "there is no state 3 here"),
    (lambda: Model().trainer(rates={}), "it has 1 schedules, here are 0"),
    (lambda: Model(columns=5).trainer(), r"its speed is float64 of shape \(4,\), here float64 of \(5,\)"),
])  # fmt: skip
def test_another_model(other, text: str, tmp_path: Path) -> None:
    Model().trainer(callbacks=[Checkpoints(tmp_path / "run")]).fit(1)
    trainer = other()
    before = trainer.snapshot()
    with pytest.raises(weft.CheckpointError, match=f"another model: .*{text}"):
        trainer.load(tmp_path / "run")
    for name, value in trainer.snapshot().items():
        assert value.tobytes() == before[name].tobytes()


@pytest.mark.parametrize("data, text", [
    (Batches([X, Y], 9), "minibatches with size = 8; here it is 9"),
    (Prefetched(Batches([X, Y], 9)), "minibatches with size = 8; here it is 9"),
    (Iterated(lambda epoch: [(X, Y)]), "another kind of source"),
])  # fmt: skip
def test_other_data(data, text: str, tmp_path: Path) -> None:
    Model().trainer(callbacks=[Checkpoints(tmp_path / "run")]).fit(1)
    m = Model()
    with pytest.raises(weft.ArgumentError, match=text):
        m.trainer(data=data).load(tmp_path / "run")
    assert not m.w.get_value().any()


def test_a_full_disk_leaves_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "run"
    checkpoint.write(path, {"w": np.ones(2)}, {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # a file may not grow beyond that
    try:
        with pytest.raises(weft.CheckpointError, match=r"could not be written.*the last one is .*run still"):
            checkpoint.write(path, {"w": np.ones(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read(path)[0]["w"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(weft.CheckpointError, match="could not be written"):
        checkpoint.write(tmp_path / "file" / "run", {}, {})


def test_killed_runs_end_with_the_same_bits(tmp_path: Path) -> None:
    kills, runs = killed_runs(10, 0, tmp_path)
    assert kills == 10 and runs >= 1
