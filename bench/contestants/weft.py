"""weft itself."""

from __future__ import annotations

from cases import MOMENTUM, PARAMETERS, RATE, Run

import weft
import weft.tensor as T


def setup(variant: str, threads: int) -> str:
    weft.config.floatX = "float32"
    return weft.__version__


def chain(data) -> Run:
    x, y = T.fvectors("x", "y")
    f = weft.function([x, y], T.tanh(0.7 * x + y) * T.nnet.sigmoid(x) + 0.5 * T.exp(-y * y) - x * y)
    return Run(lambda: f(data["x"], data["y"]))


def softmax(data) -> Run:
    x = T.fmatrix("x")
    f = weft.function([x], T.nnet.softmax(x))
    return Run(lambda: f(data["x"]))


def mlp(data) -> Run:
    f, p = mlp_function(data)
    return Run(lambda: f(data["x"], data["t"]), lambda: [q.get_value() for q in p])


def mlp_function(data):
    """The training step and its parameters."""
    x, t = T.fmatrix("x"), T.lvector("t")
    p = [weft.shared(data[k], name=k) for k in PARAMETERS]
    v = [weft.shared(0 * data[k], name=f"v_{k}") for k in PARAMETERS]
    w1, b1, w2, b2, w3, b3 = p
    h1 = T.nnet.relu(T.dot(x, w1) + b1)
    h2 = T.nnet.relu(T.dot(h1, w2) + b2)
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(h2, w3) + b3), t).mean()
    updates = []
    for q, a, g in zip(p, v, weft.grad(loss, p), strict=True):
        moved = MOMENTUM * a + g
        updates += [(a, moved), (q, q - RATE * moved)]
    return weft.function([x, t], loss, updates=updates), p


def overhead(data) -> Run:
    x, y = T.fvectors("x", "y")
    f = weft.function([x, y], x + y)
    return Run(lambda: f(data["x"], data["y"]))
