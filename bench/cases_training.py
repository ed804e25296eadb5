"""The training steps. Each is written by hand in NumPy, for any float type: in float64 it is the reference, in float32
the contestant NumPy. Parameters (and velocities) are updated in place; what is returned are the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from cases import Case

RATE, MOMENTUM = 0.01, 0.9  # of the MLP; of the others the rate alone
LOGISTIC_RATE, DECAY = 0.1, 0.01

Arrays = Sequence[np.ndarray]


def parameters(data: dict[str, Any]) -> list[np.ndarray]:
    """The parameters among the data: all but x and t, in order."""
    return [a for k, a in data.items() if k not in ("x", "t")]


def logistic_step(x: np.ndarray, t: np.ndarray, p: Arrays) -> Any:
    """The step of examples/logistic_regression.py: predictions, and the cross-entropy of each example."""
    w, b = p
    z = x @ w + b
    e = np.exp(-np.abs(z))
    xent = np.maximum(z, 0) - z * t + np.log1p(e)
    chance = np.where(z >= 0, 1, e) / (1 + e)
    d = (chance - t) / len(t)
    gw = x.T @ d + 2 * DECAY * w
    w -= LOGISTIC_RATE * gw
    b -= LOGISTIC_RATE * d.sum()
    return z > 0, xent


def mlp_step(x: np.ndarray, t: np.ndarray, p: Arrays, v: Arrays) -> Any:
    """Hidden layers of rectified units, cross-entropy, momentum: v = MOMENTUM v + gradient, p = p - RATE v."""
    states = [x]
    for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
        states.append(np.maximum(states[-1] @ w + b, 0))
    z = states[-1] @ p[-2] + p[-1]
    s = np.exp(z - z.max(axis=1, keepdims=True))
    s /= s.sum(axis=1, keepdims=True)
    rows = np.arange(len(t))
    loss = -np.log(s[rows, t]).mean()
    s[rows, t] -= 1
    d = s / x.dtype.type(len(t))
    gradients = []
    for k in reversed(range(len(states))):
        gradients[:0] = states[k].T @ d, d.sum(0)
        if k:
            d = (d @ p[2 * k].T) * (states[k] > 0)
    for q, a, g in zip(p, v, gradients, strict=True):
        a *= MOMENTUM
        a += g
        q -= RATE * a
    return loss


def deep_step(x: np.ndarray, t: np.ndarray, p: Arrays) -> Any:
    """Layers h <- tanh(h w + b); the squared error of the last, summed over units."""
    states = [x]
    for w, b in zip(p[::2], p[1::2], strict=True):
        states.append(np.tanh(states[-1] @ w + b))
    off = states[-1] - t
    loss = (off * off).sum(1).mean()
    d = 2 * off / x.dtype.type(len(x))
    for k in reversed(range(len(states) - 1)):
        w, b = p[2 * k : 2 * k + 2]
        d = d * (1 - states[k + 1] * states[k + 1])
        gw, gb = states[k].T @ d, d.sum(0)
        if k:
            d = d @ w.T
        w -= RATE * gw
        b -= RATE * gb
    return loss


def lstm_step(x: np.ndarray, t: np.ndarray, p: Arrays) -> Any:
    """An LSTM over x (time, batch, inputs), gates in the order input, forget, cell, output; the squared error of its
    last state, summed over units; gradients through time."""
    wx, wh, bias = p
    steps, batch, _ = x.shape
    n = wh.shape[0]
    gates = x @ wx + bias
    h, c = np.zeros((steps + 1, batch, n), x.dtype), np.zeros((steps + 1, batch, n), x.dtype)
    bent = np.empty((steps, batch, n), x.dtype)
    squash = np.split(gates, 4, axis=2)
    for k in range(steps):
        gates[k] += h[k] @ wh
        i, f, g, o = (a[k] for a in squash)
        for a in (i, f, o):
            a[...] = 1 / (1 + np.exp(-a))
        np.tanh(g, out=g)
        c[k + 1] = f * c[k] + i * g
        bent[k] = np.tanh(c[k + 1])
        h[k + 1] = o * bent[k]
    off = h[steps] - t
    loss = (off * off).sum(1).mean()
    dh, dc = 2 * off / x.dtype.type(batch), np.zeros((batch, n), x.dtype)
    moved = np.empty_like(gates)
    for k in reversed(range(steps)):
        i, f, g, o = (a[k] for a in squash)
        dc = dc + dh * o * (1 - bent[k] * bent[k])
        parts = (dc * g * i * (1 - i), dc * c[k] * f * (1 - f), dc * i * (1 - g * g), dh * bent[k] * o * (1 - o))
        np.concatenate(parts, axis=1, out=moved[k])
        dc = dc * f
        dh = moved[k] @ wh.T
    flat = moved.reshape(steps * batch, 4 * n)
    gradients = (x.reshape(steps * batch, -1).T @ flat, h[:-1].reshape(steps * batch, n).T @ flat, flat.sum(0))
    for q, g in zip(p, gradients, strict=True):
        q -= RATE * g
    return loss


def recurrence_step(x: np.ndarray, w: np.ndarray, count: int) -> Any:
    """s <- tanh(s w + x), `count` times; the last s and the gradients of its sum of squares to x and w."""
    states = [x]
    for _ in range(count):
        states.append(np.tanh(states[-1] * w + x))
    d, gx, gw = 2 * states[-1], np.zeros_like(x), np.zeros_like(w)
    for s, after in zip(states[-2::-1], states[:0:-1], strict=True):
        d = d * (1 - after * after)
        gx += d
        gw += d * s
        d = d * w
    return states[-1], gx + d, gw


def logistic(tiny: bool, n: int = 400, features: int = 784) -> Case:
    n, features = (9, 7) if tiny else (n, features)
    rng = np.random.default_rng(3)
    data = {
        "x": _normal(rng, n, features),
        "t": rng.integers(0, 2, n).astype(np.float32),
        "w": _normal(rng, features) / np.float32(features**0.5),
        "b": np.zeros((), np.float32),
    }
    title = f"logistic regression step {n}x{features}"
    return _case("logistic", title, data, logistic_step, 5e-5)


def mlp(tiny: bool, hidden: int, batch: int, inputs: int = 784, layers: int = 2) -> Case:
    """`layers` hidden ones."""
    sizes, batch = ((20, 16, 12, 10), 7) if tiny else ((inputs, *[hidden] * layers, 10), batch)
    rng = np.random.default_rng(1)
    data = {"x": rng.random((batch, sizes[0]), np.float32), "t": rng.integers(0, sizes[-1], batch)}
    for k, (m, n) in enumerate(pairwise(sizes), 1):
        data[f"w{k}"] = _normal(rng, m, n) * np.float32((2 / m) ** 0.5)
        data[f"b{k}"] = np.zeros(n, np.float32)
    title = f"MLP step {'-'.join(map(str, sizes))}, batch {batch}"

    def step(x: np.ndarray, t: np.ndarray, p: Arrays) -> Any:
        return mlp_step(x, t, p, velocities)

    velocities = [np.zeros(a.shape) for a in parameters(data)]
    made = _case("mlp", title, data, step, 1e-2)
    made.on_average = True  # some units' inputs round to the other side of 0: one example more or less in their columns
    return made


def deep(tiny: bool, layers: int = 20, width: int = 128, batch: int = 64) -> Case:
    layers, width, batch = (3, 6, 5) if tiny else (layers, width, batch)
    rng = np.random.default_rng(4)
    data = {"x": _normal(rng, batch, width), "t": _normal(rng, batch, width) / 2}
    for k in range(layers):
        data[f"w{k}"] = _normal(rng, width, width) / np.float32(width**0.5)
        data[f"b{k}"] = np.zeros(width, np.float32)
    return _case("deep", f"step of {layers} layers {width} wide, batch {batch}", data, deep_step, 4e-4)


def lstm(tiny: bool, steps: int = 50, batch: int = 32, n: int = 128) -> Case:
    steps, batch, n = (4, 3, 5) if tiny else (steps, batch, n)
    rng = np.random.default_rng(5)
    data = {"x": _normal(rng, steps, batch, n), "t": _normal(rng, batch, n) / 2}
    data |= {k: _normal(rng, n, 4 * n) / np.float32(n**0.5) for k in ("wx", "wh")}
    data["bias"] = np.zeros(4 * n, np.float32)
    return _case("lstm", f"LSTM step {steps}x{batch}x{n}", data, lstm_step, 1e-3)


def recurrence(tiny: bool) -> Case:
    n, count = (11, 7) if tiny else (1000, 500)
    rng = np.random.default_rng(6)
    data = {"x": _normal(rng, n), "w": rng.uniform(-0.9, 0.9, n).astype(np.float32), "count": count}
    want = recurrence_step(data["x"].astype(np.float64), data["w"].astype(np.float64), count)
    title = f"recurrence of {count} steps, unrolled, with gradient"
    return Case("recurrence", "compile", title, data, list(want), 1e-4, compiles=True)


CASES: dict[str, Callable[[bool], Case]] = {
    "logistic": logistic,
    "mlp_256": partial(mlp, hidden=256, batch=100),
    "mlp_1024": partial(mlp, hidden=1024, batch=128),
    "deep": deep,
    "lstm": lstm,
    "recurrence": recurrence,
}


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _case(family: str, title: str, data: dict[str, Any], step: Callable[..., Any], tolerance: float) -> Case:
    """The outputs of the third step and the parameters after it."""
    base, steps = parameters(data), 3
    p = [a.astype(np.float64) for a in base]
    x, t = data["x"].astype(np.float64), data["t"]
    t = t.astype(np.float64) if t.dtype == np.float32 else t
    out: Any = ()
    for _ in range(steps):
        out = step(x, t, p)
    results = [np.asarray(a) for a in (out if isinstance(out, tuple) else (out,))]
    return Case(family, "training", title, data, results + p, tolerance, calls=steps, base=base, compiles=True)
