"""Each example against the same mathematics in NumPy: same data, same start, same steps, in float64."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MODES = ["compile", "interpret"]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close(got: object, want: object, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", sorted(p.stem for p in EXAMPLES.glob("*.py")))
def test_every_example_is_tested(name: str) -> None:
    assert f"test_{name}" in globals()


def test_scalar_addition() -> None:
    out = subprocess.run([sys.executable, EXAMPLES / "scalar_addition.py"], check=True, capture_output=True, text=True)
    assert out.stdout.startswith("1.5 + 2.5 = 4.0\nthe graph: a + b\n")


@pytest.mark.parametrize("mode", MODES)
def test_linear_regression(mode: str) -> None:
    example = load("linear_regression")
    x, y = example.make_data()
    train, slope, intercept = example.build(mode=mode)
    s = i = 0.0
    for _ in range(300):
        error = s * x + i - y
        close(train(x, y), (error**2).mean())
        s, i = s - example.RATE * (2 * error * x).mean(), i - example.RATE * (2 * error).mean()
        close([slope.get_value(), intercept.get_value()], [s, i])
    close([s, i], [2, -1], rtol=0.1)


def logistic_steps(mode: str, steps: int, scale: float) -> None:
    """With first weights of full size some probabilities round to 0 or 1 and the formula as written gives infinities;
    the compiled function computes the stable form, as the NumPy version here does."""
    example = load("logistic_regression")
    x, y, start = example.make_data()
    start *= scale
    train, predict, w, b = example.build(start, mode)
    v, c = start.copy(), 0.0
    for _ in range(steps):
        z = x @ v + c
        p = np.exp(-np.logaddexp(0, -z))
        prediction, xent = train(x, y)
        np.testing.assert_array_equal(prediction, z > 0)
        close(xent, y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z), rtol=1e-9)
        v, c = v - example.RATE * (x.T @ (p - y) / len(y) + 0.02 * v), c - example.RATE * (p - y).mean()
    close(w.get_value(), v, rtol=1e-9)
    close(b.get_value(), c, rtol=1e-9)
    np.testing.assert_array_equal(predict(x), x @ v + c > 0)


@pytest.mark.parametrize(("mode", "scale"), [("compile", 1), ("compile", 0.03), ("interpret", 0.03)])
def test_logistic_regression(mode: str, scale: float) -> None:
    logistic_steps(mode, 200, scale)


@pytest.mark.slow
def test_logistic_regression_to_the_end() -> None:
    logistic_steps("compile", load("logistic_regression").STEPS, 1)


@pytest.mark.parametrize("mode", MODES)
def test_autoencoder(mode: str) -> None:
    example = load("autoencoder")
    x = example.make_data()
    start = example.make_weights(x.shape[1])
    train, w, b = example.build(start, mode)
    v, c = start.copy(), np.zeros(len(start))
    for _ in range(200):
        h = x @ v
        active = h > example.THRESHOLD
        hidden = active * h
        error = hidden @ v.T + c - x
        cost, share = train(x)
        close(cost, (error**2).sum(axis=1).mean(), rtol=1e-10)
        close(share, active.mean())
        g = 2 * error / len(x)
        v, c = v - example.RATE * (x.T @ (active * (g @ v)) + g.T @ hidden), c - example.RATE * g.sum(axis=0)
    close(w.get_value(), v, rtol=1e-10)
    close(b.get_value(), c, rtol=1e-10)
