"""The cases: their data in float32, their meaning as NumPy in float64, and when an answer agrees.

A contestant is a module with `setup(variant, threads)`, which returns its version, and one function a case, of the
case's name: it takes the case's data and returns a Run. A case it lacks is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

RATE, MOMENTUM = 0.01, 0.9  # of the training step


@dataclass
class Run:
    """One case in one framework. `call` does the work once and returns when it is done."""

    call: Callable[[], Any]
    state: Callable[[], Sequence[Any]] = list  # what calls change, to be compared too


@dataclass
class Case:
    """What is timed. The answer: the last of `calls` outputs, then the state, which starts from `base`."""

    name: str
    title: str
    data: dict[str, np.ndarray]
    reference: list[np.ndarray]
    tolerance: float
    calls: int = 1
    base: list[np.ndarray] = field(default_factory=list)
    compiles: bool = False  # whether the seconds to build it are shown

    def disagreement(self, answer: Sequence[Any]) -> str:
        """What is wrong with an answer; empty where it agrees."""
        if len(answer) != len(self.reference):
            return f"{len(answer)} results in place of {len(self.reference)}"
        for k, (got, want) in enumerate(zip(answer, self.reference, strict=True)):
            a = np.asarray(got)
            if a.dtype != np.float32 or a.shape != want.shape:
                return f"result {k} is {a.dtype}{list(a.shape)}, not float32{list(want.shape)}"
            # Of a state, the change counts: training moves it by little.
            start = self.base[k - 1].astype(np.float64) if k and self.base else 0.0
            change = want - start
            off = np.abs(a - start - change) / (np.abs(change) + np.abs(change).mean())
            worst = float(off.max()) if not np.isnan(off).any() else float("nan")
            if not worst <= self.tolerance:
                return f"result {k} is off by {worst:.1e}; {self.tolerance:.0e} is allowed"
        return ""


def chain(tiny: bool) -> Case:
    n = 1000 if tiny else 10**6
    x, y = _normal(n, n)
    a, b = x.astype(np.float64), y.astype(np.float64)
    want = np.tanh(0.7 * a + b) / (1 + np.exp(-a)) + 0.5 * np.exp(-b * b) - a * b
    return Case("chain", f"elementwise chain, {n:,}", {"x": x, "y": y}, [want], 1e-5)


def softmax(tiny: bool) -> Case:
    rows, columns = (8, 33) if tiny else (4096, 1024)
    x = _normal(rows * columns)[0].reshape(rows, columns)
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return Case("softmax", f"softmax {rows}x{columns}", {"x": x}, [e / e.sum(axis=1, keepdims=True)], 1e-5)


def mlp(tiny: bool) -> Case:
    sizes, batch = ((20, 16, 12, 10), 7) if tiny else ((784, 256, 256, 10), 100)
    rng = np.random.default_rng(1)
    data = {"x": rng.random((batch, sizes[0]), np.float32), "t": rng.integers(0, sizes[-1], batch)}
    for k, (m, n) in enumerate(pairwise(sizes), 1):
        data[f"w{k}"] = (rng.standard_normal((m, n), np.float32) * np.float32((2 / m) ** 0.5)).astype(np.float32)
        data[f"b{k}"] = np.zeros(n, np.float32)
    title = f"MLP step {'-'.join(map(str, sizes))}, batch {batch}"
    base = [data[k] for k in PARAMETERS]
    return Case("mlp", title, data, _train(data, 3), 1e-2, calls=3, base=base, compiles=True)


def overhead(tiny: bool) -> Case:
    x, y = _normal(8, 8)
    return Case("overhead", "call overhead, x + y on 8", {"x": x, "y": y}, [x.astype(np.float64) + y], 1e-6)


PARAMETERS = ("w1", "b1", "w2", "b2", "w3", "b3")
CASES = {"chain": chain, "softmax": softmax, "mlp": mlp, "overhead": overhead}


def _normal(*counts: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n, np.float32) for n in counts]


def _train(data: dict[str, np.ndarray], steps: int) -> list[np.ndarray]:
    """The loss of the last step and the parameters after it: v = MOMENTUM v + gradient; p = p - RATE v."""
    x, t = data["x"].astype(np.float64), np.asarray(data["t"])
    p = [data[k].astype(np.float64) for k in PARAMETERS]
    v = [np.zeros_like(q) for q in p]
    loss = np.zeros(())
    for _ in range(steps):
        w1, b1, w2, b2, w3, b3 = p
        h1 = np.maximum(x @ w1 + b1, 0)
        h2 = np.maximum(h1 @ w2 + b2, 0)
        z = h2 @ w3 + b3
        e = np.exp(z - z.max(axis=1, keepdims=True))
        s = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(t))
        loss = -np.log(s[rows, t]).mean()
        s[rows, t] -= 1
        d3 = s / len(t)
        d2 = (d3 @ w3.T) * (h2 > 0)
        d1 = (d2 @ w2.T) * (h1 > 0)
        gradients = [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]
        v = [MOMENTUM * a + g for a, g in zip(v, gradients, strict=True)]
        p = [q - RATE * a for q, a in zip(p, v, strict=True)]
    return [np.asarray(loss), *p]
