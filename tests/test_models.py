"""The models: what their text promises. How well they learn is measured by running them."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.models
from weft.compiler.graph.lowering import lower
from weft.compiler.graph.variable import Constant, ancestors
from weft.models import digits


@pytest.fixture
def floatx() -> object:
    """The demo sets config.floatX; other tests get theirs back."""
    before = weft.config.floatX
    yield
    weft.config.floatX = before


def test_the_test_images_are_used_for_nothing_else() -> None:
    for seed in range(3):
        training, validation, test = digits.split(1797, np.random.default_rng(seed))
        assert (test == np.arange(0, 1797, 5)).all()
        assert sorted([*training, *validation, *test]) == list(range(1797))


def test_two_epochs(floatx: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "argv", ["digits", "--seed", "1", "--epochs", "2"])
    digits.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("function step: ") and "after rewriting" in lines[0]
    moved = r"memory traffic: [\d,]+ bytes a call, [\d.]+ times its arguments and results; fusion saves [\d,]+"
    assert any(re.search(moved, t) for t in lines)
    assert [t.split(":")[0] for t in lines if t.startswith("epoch")] == ["epoch   1", "epoch   2"]
    last = re.fullmatch(r"test error: (\d+\.\d\d) %", lines[-1])
    assert last is not None and float(last[1]) < 20


def test_a_step_against_numpy(floatx: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise, ten steps are those of NumPy in float64 up to the rounding of float32."""
    weft.config.floatX = "float32"
    monkeypatch.setattr(digits, "NOISE", 0.0)
    rng = np.random.default_rng(0)
    images, labels = rng.random((100, 64)).astype("float32"), rng.integers(0, 10, 100)
    params = digits.make_parameters([64, *digits.HIDDEN, 10], rng)
    values = [p.get_value().astype("float64") for p in params]
    velocities = [np.zeros_like(v) for v in values]
    order = rng.permutation(100)
    step = digits.compile_step(images, labels, weft.shared(order), params, 0)
    for k in range(10):
        i = k % -(-100 // digits.BATCH)
        batch = order[i * digits.BATCH : (i + 1) * digits.BATCH]
        loss, gradients = numpy_step(images[batch].astype("float64"), labels[batch], values)
        np.testing.assert_allclose(step(i, np.float32(0.05)), loss, rtol=1e-5)
        for n, g in enumerate(gradients):
            velocities[n] = digits.MOMENTUM * velocities[n] - 0.05 * g
            values[n] = values[n] + velocities[n]
    for p, v in zip(params, values, strict=True):
        np.testing.assert_allclose(p.get_value(), v, rtol=1e-4, atol=1e-5)


def numpy_step(x: np.ndarray, t: np.ndarray, values: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
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
    decay = 2 * digits.DECAY
    gradients = [x.T @ d1 + decay * w1, d1.sum(0), h1.T @ d2 + decay * w2, d2.sum(0), h2.T @ d3 + decay * w3, d3.sum(0)]
    return -np.log(y[np.arange(len(t)), t]).mean(), gradients


def test_scikit_learn_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match="pip install scikit-learn"):
        digits.load()


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LIBRARY = {"estimators", "network"}  # what weft.estimators gives: no programs
PROGRAMS = [
    *(f"weft.models.{m.name}" for m in pkgutil.iter_modules(weft.models.__path__) if m.name not in LIBRARY),
    *sorted(str(p) for p in EXAMPLES.glob("*.py")),
]


def computing(outputs: list[Any]) -> tuple[int, int]:
    """Operations that compute, and matrix products among them."""
    leaves = [v for v in ancestors(outputs) if v.owner is None and not isinstance(v, Constant)]
    nodes = lower(leaves, outputs).region.nodes()
    return sum(n.family not in ("leaf", "view", "structure") for n in nodes), sum(n.op == "dot" for n in nodes)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: Path(p).stem if p.endswith(".py") else p)
def test_a_gradient_costs_at_most_five_times_its_function(
    program: str, floatx: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, list[Any]]] = []
    grad = weft.grad

    def noted(cost: Any, wrt: Any, **options: Any) -> Any:
        found = grad(cost, wrt, **options)
        asked.append((cost, found if isinstance(found, list) else [found]))
        return found

    monkeypatch.setattr(weft, "grad", noted)
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        pytest.importorskip("sklearn")
        monkeypatch.setattr(sys, "argv", [program, "--epochs", "1"])
        importlib.import_module(program).main()
    assert asked or "scalar_addition" in program
    for cost, found in asked:
        (forward, products), (both, all_products) = computing([cost]), computing([cost, *found])
        assert both - forward <= 5 * forward
        assert all_products - products <= 2 * products, "two products back for each one"
