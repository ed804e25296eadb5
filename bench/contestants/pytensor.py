"""PyTensor in its default mode."""

from __future__ import annotations

import pytensor
import pytensor.tensor as pt
from cases import MOMENTUM, PARAMETERS, RATE, Run


def setup(variant: str, threads: int) -> str:
    pytensor.config.floatX = "float32"
    return pytensor.__version__


def chain(data) -> Run:
    x, y = pt.fvectors("x", "y")
    f = pytensor.function([x, y], pt.tanh(0.7 * x + y) * pt.sigmoid(x) + 0.5 * pt.exp(-y * y) - x * y)
    return Run(lambda: f(data["x"], data["y"]))


def softmax(data) -> Run:
    x = pt.fmatrix("x")
    f = pytensor.function([x], pt.special.softmax(x, axis=1))
    return Run(lambda: f(data["x"]))


def mlp(data) -> Run:
    x, t = pt.fmatrix("x"), pt.lvector("t")
    p = [pytensor.shared(data[k], name=k) for k in PARAMETERS]
    v = [pytensor.shared(0 * data[k], name=f"v_{k}") for k in PARAMETERS]
    w1, b1, w2, b2, w3, b3 = p
    h1 = pt.maximum(pt.dot(x, w1) + b1, 0)
    h2 = pt.maximum(pt.dot(h1, w2) + b2, 0)
    z = pt.special.log_softmax(pt.dot(h2, w3) + b3, axis=1)
    loss = -z[pt.arange(t.shape[0]), t].mean(dtype="float32")
    updates = []
    for q, a, g in zip(p, v, pytensor.grad(loss, p), strict=True):
        moved = MOMENTUM * a + g
        updates += [(a, moved), (q, q - RATE * moved)]
    f = pytensor.function([x, t], loss, updates=updates)
    return Run(lambda: f(data["x"], data["t"]), lambda: [q.get_value() for q in p])


def overhead(data) -> Run:
    x, y = pt.fvectors("x", "y")
    f = pytensor.function([x, y], x + y)
    return Run(lambda: f(data["x"], data["y"]))
