"""NumPy as one writes it."""

from __future__ import annotations

import numpy as np
from cases import MOMENTUM, PARAMETERS, RATE, Run


def setup(variant: str, threads: int) -> str:
    return np.__version__


def chain(data) -> Run:
    x, y = data["x"], data["y"]
    half, scale, one = np.float32(0.5), np.float32(0.7), np.float32(1)
    return Run(lambda: np.tanh(scale * x + y) / (one + np.exp(-x)) + half * np.exp(-y * y) - x * y)


def softmax(data) -> Run:
    x = data["x"]

    def call():
        e = np.exp(x - x.max(axis=1, keepdims=True))
        e /= e.sum(axis=1, keepdims=True)
        return e

    return Run(call)


def mlp(data) -> Run:
    x, t = data["x"], data["t"]
    p = [data[k].copy() for k in PARAMETERS]
    v = [np.zeros_like(q) for q in p]
    rows, n = np.arange(len(t)), np.float32(len(t))

    def call():
        w1, b1, w2, b2, w3, b3 = p
        h1 = np.maximum(x @ w1 + b1, 0)
        h2 = np.maximum(h1 @ w2 + b2, 0)
        z = h2 @ w3 + b3
        s = np.exp(z - z.max(axis=1, keepdims=True))
        s /= s.sum(axis=1, keepdims=True)
        loss = -np.log(s[rows, t]).mean()
        s[rows, t] -= 1
        d3 = s / n
        d2 = (d3 @ w3.T) * (h2 > 0)
        d1 = (d2 @ w2.T) * (h1 > 0)
        gradients = (x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0))
        for q, a, g in zip(p, v, gradients, strict=True):
            a *= np.float32(MOMENTUM)
            a += g
            q -= np.float32(RATE) * a
        return loss

    return Run(call, lambda: p)


def overhead(data) -> Run:
    x, y = data["x"], data["y"]
    return Run(lambda: x + y)
