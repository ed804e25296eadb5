"""weft itself. What it returns lies in arrays that callers have dropped, where there are some."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from cases import Run
from cases_fused import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    black_scholes_formula,
    chain_formula,
    gelu_formula,
)
from cases_training import DECAY, LOGISTIC_RATE, MOMENTUM, RATE, parameters

import weft
import weft.tensor as T

M = SimpleNamespace(
    tanh=T.tanh, exp=T.exp, log=T.log, sqrt=T.sqrt, sigmoid=T.sigmoid, maximum=T.maximum, erf=T.erf,
    sum=T.sum, mean=T.mean, max=T.max, var=T.var,
)  # fmt: skip


def setup(variant: str, threads: int) -> str:
    weft.config.floatX = "float32"
    return weft.__version__


def warm() -> None:
    """The library of the process and the routines of kernels/ for products, which are compiled once a machine."""
    x, v = T.fmatrix("x"), T.fvector("v")
    weft.function([x, v], [T.dot(x, x), T.dot(x, v)])(np.eye(2, dtype="float32"), np.ones(2, "float32"))


def chain(data) -> Run:
    x, y = T.fvectors("x", "y")
    f = weft.function([x, y], chain_formula(M, x, y))
    return Run(lambda: f(data["x"], data["y"]))


def black_scholes(data) -> Run:
    given = T.fvectors("spot", "strike", "years")
    f = weft.function(given, list(black_scholes_formula(M, *given)))
    return Run(lambda: f(data["spot"], data["strike"], data["years"]))


def softmax(data) -> Run:
    x = T.fmatrix("x")
    f = weft.function([x], T.nnet.softmax(x))
    return Run(lambda: f(data["x"]))


def layernorm_gelu(data) -> Run:
    x, gain, bias = T.fmatrix("x"), T.fvector("gain"), T.fvector("bias")
    normed = (x - x.mean(axis=1, keepdims=True)) / T.sqrt(x.var(axis=1, keepdims=True) + EPSILON)
    f = weft.function([x, gain, bias], gelu_formula(M, normed * gain + bias))
    return Run(lambda: f(data["x"], data["gain"], data["bias"]))


def distances(data) -> Run:
    x, y = T.fmatrices("x", "y")
    f = weft.function([x, y], T.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)))
    return Run(lambda: f(data["x"], data["y"]))


def adam(data) -> Run:
    g = T.fvector("g")
    p, m, v = (weft.shared(a) for a in (data["p"], 0 * data["p"], 0 * data["p"]))
    count = weft.shared(np.float32(0))
    t = count + 1
    m1 = BETA1 * m + (1 - BETA1) * g
    v1 = BETA2 * v + (1 - BETA2) * g * g
    p1 = p - LEARNING_RATE / (1 - BETA1**t) * m1 / (T.sqrt(v1) / T.sqrt(1 - BETA2**t) + ADAM_EPSILON)
    f = weft.function([g], [], updates=[(p, p1), (m, m1), (v, v1), (count, t)])
    return Run(lambda: f(data["g"]), lambda: [a.get_value() for a in (p, m, v)])


def expression(data) -> Run:
    run, arrays = data["run"], [data["arrays"][k] for k in data["names"]]
    given = [T.tensor(dtype="float32", broadcastable=(False,) * a.ndim, name=k) for k, a in data["arrays"].items()]
    out = run(M, *given)
    if not data["state"]:
        f = weft.function(given, list(out), on_unused_input="ignore")
        return Run(lambda: f(*arrays))
    held = [weft.shared(a) for a in arrays[: len(out)]]
    rest = given[len(out) :]
    updates = list(zip(held, run(M, *held, *rest), strict=True))
    f = weft.function(rest, [], updates=updates, on_unused_input="ignore")
    fixed = arrays[len(out) :]
    return Run(lambda: f(*fixed), lambda: [q.get_value() for q in held])


def logistic(data) -> Run:
    x, y = T.fmatrix("x"), T.fvector("y")
    w, b = weft.shared(data["w"], name="w"), weft.shared(data["b"], name="b")
    p_1 = 1 / (1 + T.exp(-T.dot(x, w) - b))
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)
    cost = xent.mean() + DECAY * (w**2).sum()
    gw, gb = weft.grad(cost, [w, b])
    updates = [(w, w - LOGISTIC_RATE * gw), (b, b - LOGISTIC_RATE * gb)]
    f = weft.function([x, y], [p_1 > 0.5, xent], updates=updates)
    return Run(lambda: f(data["x"], data["t"]), lambda: [w.get_value(), b.get_value()])


def mlp(data) -> Run:
    f, p = mlp_function(data)
    return Run(lambda: f(data["x"], data["t"]), lambda: [q.get_value() for q in p])


def mlp_function(data):
    """The training step and its parameters."""
    x, t = T.fmatrix("x"), T.lvector("t")
    p = [weft.shared(a) for a in parameters(data)]
    v = [weft.shared(0 * a) for a in parameters(data)]
    h = x
    for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
        h = T.nnet.relu(T.dot(h, w) + b)
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(h, p[-2]) + p[-1]), t).mean()
    updates = []
    for q, a, g in zip(p, v, weft.grad(loss, p), strict=True):
        moved = MOMENTUM * a + g
        updates += [(a, moved), (q, q - RATE * moved)]
    return weft.function([x, t], loss, updates=updates), p


def _descent(given, loss, p, data) -> Run:
    updates = [(q, q - RATE * g) for q, g in zip(p, weft.grad(loss, p), strict=True)]
    f = weft.function(given, loss, updates=updates)
    return Run(lambda: f(data["x"], data["t"]), lambda: [q.get_value() for q in p])


def deep(data) -> Run:
    x, t = T.fmatrices("x", "t")
    p = [weft.shared(a) for a in parameters(data)]
    h = x
    for w, b in zip(p[::2], p[1::2], strict=True):
        h = T.tanh(T.dot(h, w) + b)
    return _descent([x, t], T.sqr(h - t).sum(axis=1).mean(), p, data)


def lstm(data) -> Run:
    x, t = T.ftensor3("x"), T.fmatrix("t")
    wx, wh, bias = p = [weft.shared(a) for a in parameters(data)]
    n = data["wh"].shape[0]

    def step(given, h, c, wh):
        gates = given + T.dot(h, wh)
        i, f, o = (T.sigmoid(gates[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
        c = f * c + i * T.tanh(gates[:, 2 * n : 3 * n])
        return o * T.tanh(c), c

    start = T.zeros((x.shape[1], n), "float32")
    (h, _), _ = weft.scan(step, sequences=[T.dot(x, wx) + bias], outputs_info=[start, start], non_sequences=[wh])
    return _descent([x, t], T.sqr(h[-1] - t).sum(axis=1).mean(), p, data)


def recurrence(data) -> Run:
    x, w = T.fvectors("x", "w")
    s = x
    for _ in range(data["count"]):
        s = T.tanh(s * w + x)
    f = weft.function([x, w], [s, *weft.grad(T.sqr(s).sum(), [x, w])])
    return Run(lambda: f(data["x"], data["w"]))


def overhead(data) -> Run:
    x, y = T.fvectors("x", "y")
    f = weft.function([x, y], x + y)
    return Run(lambda: f(data["x"], data["y"]))
