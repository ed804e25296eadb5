"""The models and their runs: what is computed, that runs repeat and go on with the same bits, what is written."""

from __future__ import annotations

import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weft
import weft.models
from weft.cli import main
from weft.compiler.graph.lowering import lower
from weft.compiler.graph.variable import Constant, ancestors
from weft.models.common import datasets, options, pictures, run
from weft.models.common.model import Model, Network
from weft.training import Callback

for package in ("sklearn", "safetensors", "rich", "matplotlib"):
    pytest.importorskip(package)

NAMES = [m.name for m in weft.models.every()]
# Enough to see that it learns, in a second or two.
SMALL: dict[str, list[str]] = {
    "softmax": ["--epochs", "3"],
    "relu": ["--epochs", "2", "--set", "hidden=64"],
    "maxout": ["--epochs", "2", "--set", "hidden=32", "--set", "drop=0.1"],
    "deep": ["--epochs", "2", "--set", "hidden=32"],
    "tied": ["--epochs", "3"],
    "denoising": ["--epochs", "3", "--set", "hidden=64"],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Runs go into a folder of the test; threads, which a run may set, are as before."""
    monkeypatch.chdir(tmp_path)
    yield
    weft.set_threads(0)


def train(*arguments: str) -> None:
    assert main(["train", *arguments]) == 0


def arrays(folder: str, name: str = run.PARAMETERS) -> dict[str, np.ndarray]:
    import safetensors.numpy

    return safetensors.numpy.load_file(Path(folder) / name)


def same(a: str, b: str) -> bool:
    return (Path(a) / run.PARAMETERS).read_bytes() == (Path(b) / run.PARAMETERS).read_bytes()


def records(folder: str) -> list[dict[str, Any]]:
    """The lines of a run, without the times."""
    lines = [json.loads(line) for line in (Path(folder) / run.METRICS).read_text().splitlines()]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in lines]


def test_every_model_is_listed_and_tried() -> None:
    files = Path(weft.models.__file__).parent.glob("*.py")
    assert {p.stem for p in files if "\nMODEL = Model(" in p.read_text()} == set(NAMES) == set(SMALL)
    assert list(weft.models.NAMES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_model_learns_and_keeps_its_run(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    train(name, "--seed", "1", *SMALL[name])
    out, err = capfd.readouterr()
    folder = Path("runs") / name
    lines = out.splitlines()
    k = next(k for k, line in enumerate(lines) if line.startswith("test error:"))
    error = float(lines[k].removeprefix("test error: ").removesuffix(" %"))
    assert lines[k] == f"test error: {error:.2f} %" and error < (70 if name in ("tied", "denoising") else 20)
    paths = [line.split()[0] for line in lines[k + 1 :]]  # last but for the paths
    assert sorted(paths) == sorted(str(p) for p in folder.iterdir())
    epochs = int(SMALL[name][1])
    assert err.count("validation error") == epochs and "epoch" not in out.split("test error")[1].split("runs/")[0]

    net = weft.models.find(name)
    settings = json.loads((folder / options.SETTINGS).read_text())
    assert settings["seed"] == 1 and set(settings["settings"]) == set(net.settings)
    *history, result = records(str(folder))
    assert [r["epoch"] for r in history] == list(range(1, epochs + 1)) and history[-1]["loss"] < history[0]["loss"]
    assert f"{100 * result['test error']:.2f}" == f"{error:.2f}"
    kept = arrays(str(folder))
    assert sum(v.size for n, v in kept.items() if not n.startswith(("mean", "var"))) == result["parameters"]
    pictures = {"tied": "reconstructions", "denoising": "reconstructions"}.get(name, "confusion")
    assert {p.stem for p in folder.glob("*.png")} == {"learning_curve", "filters", pictures}
    assert all(p.read_bytes().startswith(b"\x89PNG") and p.stat().st_size > 5000 for p in folder.glob("*.png"))
    assert "function step:" in (folder / run.REPORT).read_text()


def test_the_parameters_are_those_of_the_best_epoch_and_the_test_is_theirs() -> None:
    """The files give the result again, by NumPy."""
    train("softmax", "--epochs", "12", "--learning-rate", "0.5", "--schedule", "constant")
    p, data = arrays("runs/softmax"), datasets.load("digits", 0)
    *history, result = records("runs/softmax")

    def error(part: datasets.Part) -> float:
        return float((np.argmax(part.x @ p["W"] + p["b"], axis=1) != part.t).mean())

    errors = [r["validation error"] for r in history]
    assert error(data.test) == pytest.approx(result["test error"], abs=1e-6)
    assert error(data.validation) == pytest.approx(min(errors), abs=1e-6)
    assert result["best epoch"] == 12 - errors[::-1].index(min(errors)), "of equal ones the last"


def test_equal_runs_have_equal_bits(name: str = "relu") -> None:
    train(name, *SMALL[name])
    train(name, *SMALL[name], "--threads", "1")
    train(name, *SMALL[name], "--seed", "1")
    assert same(f"runs/{name}", f"runs/{name}-2") and not same(f"runs/{name}", f"runs/{name}-3")
    assert records(f"runs/{name}") == records(f"runs/{name}-2")


class Stop(Exception):
    pass


class StopAfter(Callback):
    def __init__(self, steps: int):
        self.steps = steps

    def step(self, trainer: Any) -> None:
        if trainer.steps == self.steps:
            raise Stop


@pytest.mark.parametrize("name", ["deep", "denoising"])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train(name, *SMALL[name])
    monkeypatch.setattr(run.Kept, "SECONDS", 0.0)  # a checkpoint each step
    before = run.Session.train
    monkeypatch.setattr(run.Session, "train", lambda self, callbacks=(): before(self, [*callbacks, StopAfter(60)]))
    with pytest.raises(Stop):
        main(["train", name, *SMALL[name]])
    monkeypatch.setattr(run.Session, "train", before)
    assert not (Path("runs") / f"{name}-2" / run.PARAMETERS).exists()
    train(name, "--resume")  # the last run; its settings come from the folder
    assert same(f"runs/{name}", f"runs/{name}-2")
    assert records(f"runs/{name}") == records(f"runs/{name}-2")
    train(name, "--resume", *SMALL[name])  # there is nothing left to train: the same end
    assert same(f"runs/{name}", f"runs/{name}-2")


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_the_same_bits() -> None:
    arguments = ["train", "deep", "--epochs", "1000", "--set", "hidden=32"]
    assert main([*arguments, "--out", "whole"]) == 0
    env = {**os.environ, "PYTHONPATH": str(Path(weft.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-m", "weft", *arguments, "--out", "killed"], env=env)
    deadline = time.monotonic() + 120
    while not Path("killed", run.CHECKPOINT).exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("killed", run.PARAMETERS).exists()
    train("deep", "--resume", "--out", "killed")
    assert same("whole", "killed") and records("whole") == records("killed")


def test_a_run_without_its_last_checkpoint_does_not_begin_anew_in_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.Kept, "SECONDS", 0.0)
    train("softmax", "--epochs", "2", "--out", "run")
    Path("run", run.CHECKPOINT).unlink()
    assert main(["train", "softmax", "--resume", "--out", "run"]) == 1
    err = capsys.readouterr().err
    assert "there is no checkpoint run/run.safetensors; the one before is run/previous-run.safetensors" in err
    Path("run", f"previous-{run.CHECKPOINT}").unlink()
    train("softmax", "--resume", "--out", "run")
    assert "run has no checkpoint yet: the run begins anew" in capsys.readouterr().err


def test_a_run_that_is_gone_on_with_on_a_full_disk_loses_nothing() -> None:
    """Its settings above all: without them it could not be gone on with."""
    train("softmax", "--epochs", "2", "--out", "run")
    model = weft.models.find("softmax")
    saved = options.resumed(Path("run"), model, {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))  # a file may not grow beyond that
    try:
        with pytest.raises(OSError, match="too large"):
            saved.write(Path("run"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert options.resumed(Path("run"), model, {}) == saved
    before = Path("run", run.PARAMETERS).read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        session = run.Session(model, saved)
        session.keep_in(Path("run"))
        session.compile()
        session.history = [{"epoch": 1, "steps": 1, "seconds": 1.0, run.ERROR: 0.1}]
        with pytest.raises(weft.CheckpointError, match="could not be written"):
            session.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert Path("run", run.PARAMETERS).read_bytes() == before


def test_files_may_be_read_by_whom_the_users_other_files_may_be() -> None:
    before = os.umask(0o027)
    try:
        train("softmax", "--epochs", "1")
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in Path("runs/softmax").iterdir()}
    assert set(modes.values()) == {0o640}, modes


def test_more_epochs_where_the_schedule_allows_it() -> None:
    base = ["softmax", "--schedule", "constant"]
    train(*base, "--epochs", "5", "--out", "five")
    train(*base, "--epochs", "3", "--out", "three")
    train("softmax", "--resume", "--out", "three", "--epochs", "5")
    assert same("five", "three")


def test_numbers_instead_of_classes(capfd: pytest.CaptureFixture[str]) -> None:
    train("relu", "--data", "diabetes", "--set", "hidden=16", "--epochs", "15", "--set", "decay=0.01")
    assert Path("runs/relu/predictions.png").is_file()
    assert float(capfd.readouterr().out.split("test error: ")[1].split(" %")[0]) < 80


def standard_json(text: str) -> Any:
    """JSON has no NaN and no Infinity, though Python's reader takes them."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("given", [[], ["--resume"]])
def test_a_run_whose_errors_are_not_finite_has_its_result(given: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """A rate far too high: the predictions are infinite, or near 1e30."""
    rate = ["--optimizer", "sgd", "--schedule", "constant", "--learning-rate", "2", "--batch-size", "100"]
    arguments = ["relu", "--data", "diabetes", *rate, "--epochs", "1", "--out", "run"]
    if given:
        train(*arguments)
        capfd.readouterr()
    train(*arguments, *given)
    out, err = capfd.readouterr()
    assert "test error: inf %" in out and Path("run/predictions.png").is_file() and "Warning" not in err
    *_, result = map(standard_json, Path("run", run.METRICS).read_text().splitlines())
    assert result["test error"] is None and result["validation error"] is None and result["best epoch"] == 1
    train("relu", "--resume", "--out", "run", "--json")
    assert standard_json(capfd.readouterr().out)["test error"] is None


# An error that is 0/0 in the epochs that are told.
SPOILT = """
import numpy as np
import weft, weft.tensor as T
from weft.models import Layer, Model, Network

def build(data, settings):
    x, t = T.fmatrix("x"), T.fvector("t")
    w, n = weft.shared(np.zeros(data.inputs, "float32"), name="w"), weft.shared(np.float32(0), name="n")
    y = T.dot(x, w)
    error = T.sqr(y - t).mean() + T.switch(T.and_(T.ge(n, settings.first), T.le(n, settings.last)), np.nan, 0)
    return Network(x=x, t=t, cost=T.sqr(y - t).mean(), error=error, output=y, params=[w],
                   layers=[Layer("linear", (1,), [w])], updates=[(n, n + 1)], running=[n])

MODEL = Model(name="spoilt", title="a model", paper="none", build=build, data="diabetes", epochs=3, batch_size=500,
              settings={"first": 0, "last": 0}, learning_rate=0.05, optimizer="sgd", schedule="constant")
"""


@pytest.mark.parametrize("first, last, best", [(3, 3, 2), (1, 1, 3), (2, 3, 1), (1, 3, 3)])
def test_the_best_epoch_is_that_of_the_parameters(
    first: int, last: int, best: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where errors are NaN; where all are, the parameters are the last ones."""
    Path("spoilt.py").write_text(SPOILT)
    for more in ([], ["--resume"]):
        train("spoilt.py", "--set", f"first={first}", "--set", f"last={last}", "--out", "run", *more)
        out = capfd.readouterr().out
        *history, result = records("run")
        assert arrays("run")["n"] == best == result["best epoch"]
        assert result["validation error"] == history[best - 1]["validation error"]
        assert f" % in epoch {best}\n" in out and ("error nan % in" in out) == (first == 1 and last == 3)


def test_a_picture_that_cannot_be_drawn_does_not_cost_the_result(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise np.linalg.LinAlgError("Singular matrix\nand more")

    monkeypatch.setattr(pictures, "confusion", broken)
    train("softmax", "--epochs", "1", "--json")
    out, err = capfd.readouterr()
    result = json.loads(out)
    assert "confusion.png" not in result["files"] and "learning_curve.png" in result["files"]
    assert result["test error"] < 1 and not Path("runs/softmax/confusion.png").exists()
    assert err.splitlines()[1:] == ["runs/softmax/confusion.png could not be drawn: LinAlgError: Singular matrix"]
    monkeypatch.setattr(run.Session, "outputs", broken)
    train("softmax", "--epochs", "1")
    assert "test error: " in capfd.readouterr().out


@pytest.mark.parametrize("value", [1e30, 3e38, np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("error")
def test_what_is_not_finite_is_not_drawn(value: float, tmp_path: Path) -> None:
    true = np.linspace(-2, 2, 20, dtype="float32")
    for others in (true, true * np.float32(1e30), true * np.float32(np.nan)):
        given = np.concatenate([[np.float32(value)], others[1:]])
        pictures.predictions(tmp_path / "a.png", true, given)
    for shape in ((4, 5), (4, 5, 3)):
        weights = np.random.default_rng(0).normal(size=(int(np.prod(shape)), 6)).astype("float32")
        weights[2, 3] = weights[:, 0] = value
        pictures.filters(tmp_path / "b.png", weights, shape)
        pictures.reconstructions(tmp_path / "c.png", {"original": weights.T}, shape)
    history = [{"epoch": k, "loss": value if k == 2 else 1.0, run.ERROR: value if k == 2 else 0.1} for k in (1, 2, 3)]
    result = {"best epoch": 2, run.ERROR: value, "test error": value, "model": "a", "data": "b"}
    pictures.learning_curve(tmp_path / "d.png", history, result)
    assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.mark.parametrize("data", ["breast_cancer", "iris", "wine"])
def test_tables_with_classes(data: str) -> None:
    train("softmax", "--data", data, "--epochs", "15", "--json")
    assert records("runs/softmax")[-1]["test error"] < 0.15


@pytest.mark.parametrize("shape, planes", [((6, 5, 3), 3), ((3, 6, 5), 3), ((6, 5, 1), 1), ((1, 6, 5), 1)])
def test_images_have_their_colours_in_front_or_behind(shape: tuple[int, ...], planes: int) -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, *shape), dtype=np.uint8)
    np.savez("images.npz", x=x, label=np.arange(60) % 2)
    train("denoising", "--data", "images.npz", "--epochs", "2", "--set", "hidden=4")
    assert all(Path("runs/denoising", f"{name}.png").is_file() for name in ("filters", "reconstructions"))
    image = pictures._as_image(x[0].reshape(-1), shape)
    assert image.shape == (6, 5) if planes == 1 else (6, 5, 3)
    behind = np.moveaxis(x[0], 0, 2) if shape[0] == planes else x[0]
    assert np.array_equal(image.reshape(6, 5, planes), behind)


def test_what_is_no_image_is_not_drawn() -> None:
    np.savez("volumes.npz", x=np.random.default_rng(0).random((60, 2, 4, 4, 3)), label=np.arange(60) % 2)
    train("relu", "--data", "volumes.npz", "--epochs", "2", "--set", "hidden=4")
    assert not Path("runs/relu/filters.png").exists() and Path("runs/relu/confusion.png").exists()


# What a step computes, against NumPy.


def test_a_step_against_numpy() -> None:
    """Without noise, ten steps of the ReLU network are those of NumPy in float64 up to the rounding of float32."""
    rng, decay = np.random.default_rng(0), 1e-3
    part = datasets.Part(rng.random((100, 64)).astype("float32"), rng.integers(0, 10, 100))
    data = datasets.Data("random", (8, 8), tuple("0123456789"), part, part, part)
    model = weft.models.find("relu")
    with run.FloatX("float32"):
        net = model.build(data, SimpleNamespace(seed=0, hidden=(30, 20), noise=0.0, decay=decay))
        step = weft.function([net.x, net.t], net.loss, updates=run.updates(net, "momentum", np.float32(0.05)))
    values = [p.get_value().astype("float64") for p in net.params]
    velocities = [np.zeros_like(v) for v in values]
    for _ in range(10):
        batch = rng.permutation(100)[:25]
        loss, gradients = numpy_step(part.x[batch].astype("float64"), part.t[batch], values, decay)
        np.testing.assert_allclose(step(part.x[batch], part.t[batch]), loss, rtol=1e-5)
        for n, g in enumerate(gradients):
            velocities[n] = 0.9 * velocities[n] - 0.05 * g
            values[n] = values[n] + velocities[n]
    for p, v in zip(net.params, values, strict=True):
        np.testing.assert_allclose(p.get_value(), v, rtol=1e-4, atol=1e-5)


def numpy_step(x: np.ndarray, t: np.ndarray, values: list[np.ndarray], decay: float) -> tuple[float, list[np.ndarray]]:
    """Loss and gradients of the cost (with the decay of the weights)."""
    w1, b1, w2, b2, w3, b3 = values
    h1 = np.maximum(x @ w1 + b1, 0)
    h2 = np.maximum(h1 @ w2 + b2, 0)
    z = h2 @ w3 + b3
    y = np.exp(z - z.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    d3 = (y - np.eye(10)[t]) / len(t)
    d2 = (d3 @ w3.T) * (h2 > 0)
    d1 = (d2 @ w2.T) * (h1 > 0)
    back = [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]
    gradients = [g + 2 * decay * v if v.ndim == 2 else g for g, v in zip(back, values, strict=True)]
    return -np.log(y[np.arange(len(t)), t]).mean(), gradients


def network(name: str, **changes: Any) -> tuple[datasets.Data, Network]:
    model = weft.models.find(name)
    with run.FloatX("float32"):
        data = datasets.load("digits", 0)
        return data, model.build(data, SimpleNamespace(seed=0, **{**model.settings, **changes}))


def test_maxout_without_dropout_against_numpy() -> None:
    data, net = network("maxout", hidden=(12,), pieces=4, drop=0.0, drop_input=0.0)
    w, b, v, c = (p.get_value() for p in net.params)
    x = data.test.x[:9]
    z = (x @ w + b).reshape(9, 12, 4).max(axis=2) @ v + c
    y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weft.function([net.x], net.output)(x), y, rtol=1e-4)
    step = weft.function([net.x, net.t], net.cost, updates=run.updates(net, "sgd", np.float32(50.0)))
    step(x, data.test.t[:9])
    norms = np.linalg.norm(net.params[0].get_value(), axis=0)
    assert norms.max() == pytest.approx(2.0, rel=1e-5), "the limit of norms"


def test_batch_normalization_against_numpy() -> None:
    """In training by the minibatch, whose mean and variance enter the running ones; in the test by those."""
    data, net = network("deep", hidden=(10,), drop=0.0, drop_input=0.0)
    w, gamma, beta, v, c = (p.get_value().astype("float64") for p in net.params)
    x, t = data.training.x[:40], data.training.t[:40]
    z = x @ w

    def loss(mean: np.ndarray, var: np.ndarray) -> float:
        h = np.maximum(gamma * (z - mean) / np.sqrt(var + 1e-4) + beta, 0)
        y = np.exp(h @ v + c)
        return float(-np.log((y / y.sum(axis=1, keepdims=True))[np.arange(40), t]).mean())

    step = weft.function([net.x, net.t], net.cost, updates=net.updates)
    assert step(x, t) == pytest.approx(loss(z.mean(0), z.var(0)), rel=1e-4)
    mean, var = (r.get_value() for r in net.running)
    np.testing.assert_allclose(mean, 0.1 * z.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(var, 0.9 + 0.1 * z.var(0), rtol=1e-4)
    y = weft.function([net.x], net.output)(x)
    assert -np.log(y[np.arange(40), t]).mean() == pytest.approx(loss(mean, var), rel=1e-4)


def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    from weft.models.deep import dropout
    from weft.tensor.shared_randomstreams import RandomStreams

    ones = weft.shared(np.ones((500, 400), "float32"))
    h = weft.function([], dropout(ones, 0.3, RandomStreams(3)))()
    assert set(np.unique(h)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert (h == 0).mean() == pytest.approx(0.3, abs=0.005)


def test_the_test_examples_are_not_looked_at_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With other test examples a run has the same epochs, parameters and validation errors."""
    train("relu", *SMALL["relu"])
    load = datasets.load

    def spoilt(name: str, seed: int) -> datasets.Data:
        d = load(name, seed)
        d.test.x[:] = np.random.default_rng(0).random(d.test.x.shape)
        return d

    monkeypatch.setattr(datasets, "load", spoilt)
    train("relu", *SMALL["relu"])
    assert same("runs/relu", "runs/relu-2")
    (*a, ra), (*b, rb) = records("runs/relu"), records("runs/relu-2")
    assert a == b and ra["test error"] < 0.2 < 0.5 < rb["test error"]


# Models of a user's own.

OWN = """
import weft, weft.tensor as T
from weft.models import Layer, Model, Network

def build(data, settings):
    x, t = T.fmatrix("x"), T.lvector("t")
    w = weft.shared(weft.init.zeros((data.inputs, len(data.classes))), name="W")
    y = T.nnet.softmax(T.dot(x, w))
    return Network(x=x, t=t, cost=T.nnet.categorical_crossentropy(y, t).mean() * settings.scale,
                   error=T.neq(T.argmax(y, axis=1), t).mean(), output=y, params=[w],
                   layers=[Layer("softmax", (3,), [w])])

MODEL = Model(name="mine", title="a model", paper="none", build=build, data="iris", settings={"scale": 1.0}, epochs=5)
"""


def test_a_model_of_ones_own(capfd: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(OWN.replace('name="W"', 'name="W[a]"').replace('"a model"', '"a [bold] model"'))
    train("mine.py", "--set", "scale=2")
    assert arrays("runs/mine")["W[a]"].shape == (4, 3)
    out = capfd.readouterr().out
    assert "mine: a [bold] model (none)" in out and "W[a] 4x3" in out, "brackets are no markup"


def test_the_model_of_the_page(capfd: pytest.CaptureFixture[str]) -> None:
    """docs/models.md is tried as it is printed."""
    page = Path(__file__).resolve().parents[1] / "docs" / "models.md"
    if not page.is_file():
        pytest.skip("reads the source tree")
    text = page.read_text()
    Path("brier.py").write_text(text.split("```python\n")[1].split("```")[0])
    train("brier.py", "--set", "std=0.1", "--epochs", "5")
    assert float(capfd.readouterr().out.split("test error: ")[1].split(" %")[0]) < 10
    for m in weft.models.every():
        row = next(line for line in text.splitlines() if line.startswith(f"| [{m.name}.py]"))
        assert row.split("|")[3].strip().startswith(m.reached)


@pytest.mark.parametrize("text, status, said", [
    ("MODEL = 3", 2, "has no MODEL = weft.models.Model"),
    (OWN.replace('name="mine"', 'name="my/model"'), 2, "cannot be that of a folder"),
    (OWN.replace("return Network(", "return dict("), 1, "gives dict, not a Network"),
    (OWN.replace(', name="W"', ""), 1, "need names"),
    ("import nothing_like_this", 1, 'mine.py", line 1, in <module>\n    import nothing_like_this\nModuleNotFound'),
    ("MODEL = ", 1, "mine.py failed:"),
    (OWN.replace("T.dot(x, w)", "T.dot(x, v)"), 1, "in build\n    y = T.nnet.softmax(T.dot(x, v))\n"),
])  # fmt: skip
def test_what_is_wrong_with_a_model_is_said(
    text: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(text)
    assert main(["train", "mine.py"]) == status
    err = capsys.readouterr().err
    assert said in err and "importlib" not in err and "Session" not in err and not Path("runs").exists()


def test_shapes_that_do_not_fit_are_said_with_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(OWN.replace("T.dot(x, w)", "T.dot(x, w.T)"))
    assert main(["train", "mine.py"]) == 1
    err = capsys.readouterr().err
    assert "mine.py:8: y = T.nnet.softmax(T.dot(x, w.T))" in err and "Traceback" not in err


def test_a_model_may_import_what_lies_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    Path("sub").mkdir()
    Path("sub", "lying_beside.py").write_text("CLASSES = 3")
    own = """
from __future__ import annotations
from dataclasses import dataclass, KW_ONLY
import lying_beside

@dataclass
class Options:
    _: KW_ONLY
    classes: int = lying_beside.CLASSES
"""
    Path("sub", "mine.py").write_text(own + OWN.replace("(3,)", "(Options().classes,)"))
    train("sub/mine.py", "--epochs", "1")


# Gradients.

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def computing(outputs: list[Any]) -> tuple[int, int]:
    """Operations that compute, and matrix products among them."""
    leaves = [v for v in ancestors(outputs) if v.owner is None and not isinstance(v, Constant)]
    nodes = lower(leaves, outputs).region.nodes()
    return sum(n.family not in ("leaf", "view", "structure") for n in nodes), sum(n.op == "dot" for n in nodes)


def cheap(cost: Any, found: list[Any]) -> None:
    (forward, products), (both, all_products) = computing([cost]), computing([cost, *found])
    assert both - forward <= 5 * forward
    assert all_products - products <= 2 * products, "two products back for each one"


@pytest.mark.parametrize("model", weft.models.every(), ids=lambda m: m.name)
def test_a_gradient_costs_at_most_five_times_its_model(model: Model) -> None:
    _, net = network(model.name)
    cheap(net.cost, weft.grad(net.cost, list(net.params)))


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_a_gradient_costs_at_most_five_times_its_function(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, list[Any]]] = []
    grad = weft.grad

    def noted(cost: Any, wrt: Any, **options: Any) -> Any:
        found = grad(cost, wrt, **options)
        asked.append((cost, found if isinstance(found, list) else [found]))
        return found

    monkeypatch.setattr(weft, "grad", noted)
    runpy.run_path(str(program), run_name="__main__")
    assert asked or program.stem == "scalar_addition"
    for cost, found in asked:
        cheap(cost, found)
