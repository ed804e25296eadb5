"""PyTensor in its default mode, without checks of its arguments (`trust_input`)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytensor
import pytensor.tensor as pt
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

M = SimpleNamespace(
    tanh=pt.tanh, exp=pt.exp, log=pt.log, sqrt=pt.sqrt, sigmoid=pt.sigmoid, maximum=pt.maximum, erf=pt.erf,
    sum=pt.sum, mean=pt.mean, max=pt.max, var=pt.var,
)  # fmt: skip


def setup(variant: str, threads: int) -> str:
    pytensor.config.floatX = "float32"
    return pytensor.__version__


def warm() -> None:
    x = pt.fscalar("x")
    pytensor.function([x], x + 1)(np.float32(1))


def _function(given, outputs, updates=()):
    f = pytensor.function(given, outputs, updates=list(updates))
    f.trust_input = True
    return f


def _run(given, outputs, *values) -> Run:
    f = _function(given, outputs)
    return Run(lambda: f(*values))


def chain(data) -> Run:
    given = pt.fvectors("x", "y")
    return _run(given, chain_formula(M, *given), *data.values())


def black_scholes(data) -> Run:
    given = pt.fvectors("spot", "strike", "years")
    return _run(given, list(black_scholes_formula(M, *given)), *data.values())


def softmax(data) -> Run:
    x = pt.fmatrix("x")
    return _run([x], pt.special.softmax(x, axis=1), data["x"])


def layernorm_gelu(data) -> Run:
    x, gain, bias = pt.fmatrix("x"), pt.fvector("gain"), pt.fvector("bias")
    normed = (x - x.mean(axis=1, keepdims=True)) / pt.sqrt(x.var(axis=1, keepdims=True) + EPSILON)
    return _run([x, gain, bias], gelu_formula(M, normed * gain + bias), *data.values())


def distances(data) -> Run:
    x, y = pt.fmatrices("x", "y")
    return _run([x, y], pt.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)), *data.values())


def adam(data) -> Run:
    g = pt.fvector("g")
    p, m, v = (pytensor.shared(a) for a in (data["p"], 0 * data["p"], 0 * data["p"]))
    count = pytensor.shared(np.float32(0))
    t = count + np.float32(1)
    m1 = BETA1 * m + (1 - BETA1) * g
    v1 = BETA2 * v + (1 - BETA2) * g * g
    rate, root = LEARNING_RATE / (1 - np.float32(BETA1) ** t), pt.sqrt(1 - np.float32(BETA2) ** t)
    p1 = p - rate * m1 / (pt.sqrt(v1) / root + ADAM_EPSILON)
    f = _function([g], [], [(p, p1), (m, m1), (v, v1), (count, t)])
    return Run(lambda: f(data["g"]) and None, lambda: [a.get_value(borrow=True) for a in (p, m, v)])


def _step(given, outputs, updates, p, data) -> Run:
    f = _function(given, outputs, updates)
    return Run(lambda: f(data["x"], data["t"]), lambda: [q.get_value(borrow=True) for q in p])


def _descend(given, loss, p, data) -> Run:
    updates = [(q, q - RATE * g) for q, g in zip(p, pytensor.grad(loss, p), strict=True)]
    return _step(given, loss, updates, p, data)


def logistic(data) -> Run:
    x, y = pt.fmatrix("x"), pt.fvector("y")
    w, b = p = [pytensor.shared(a) for a in parameters(data)]
    p_1 = pt.sigmoid(pt.dot(x, w) + b)
    xent = -y * pt.log(p_1) - (1 - y) * pt.log(1 - p_1)
    cost = xent.mean(dtype="float32") + DECAY * (w**2).sum()
    updates = [(q, q - LOGISTIC_RATE * g) for q, g in zip(p, pytensor.grad(cost, p), strict=True)]
    return _step([x, y], [p_1 > 0.5, xent], updates, p, data)


def mlp(data) -> Run:
    x, t = pt.fmatrix("x"), pt.lvector("t")
    p = [pytensor.shared(a) for a in parameters(data)]
    v = [pytensor.shared(0 * a) for a in parameters(data)]
    h = x
    for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
        h = pt.maximum(pt.dot(h, w) + b, 0)
    z = pt.special.log_softmax(pt.dot(h, p[-2]) + p[-1], axis=1)
    loss = -z[pt.arange(t.shape[0]), t].mean(dtype="float32")
    updates = []
    for q, a, g in zip(p, v, pytensor.grad(loss, p), strict=True):
        moved = MOMENTUM * a + g
        updates += [(a, moved), (q, q - RATE * moved)]
    return _step([x, t], loss, updates, p, data)


def deep(data) -> Run:
    x, t = pt.fmatrices("x", "t")
    p = [pytensor.shared(a) for a in parameters(data)]
    h = x
    for w, b in zip(p[::2], p[1::2], strict=True):
        h = pt.tanh(pt.dot(h, w) + b)
    return _descend([x, t], pt.sqr(h - t).sum(axis=1).mean(dtype="float32"), p, data)


def lstm(data) -> Run:
    x, t = pt.ftensor3("x"), pt.fmatrix("t")
    wx, wh, bias = p = [pytensor.shared(a) for a in parameters(data)]
    n = data["wh"].shape[0]

    def step(given, h, c, wh):
        gates = given + pt.dot(h, wh)
        i, f, o = (pt.sigmoid(gates[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
        c = f * c + i * pt.tanh(gates[:, 2 * n : 3 * n])
        return o * pt.tanh(c), c

    start = pt.zeros((x.shape[1], n), "float32")
    (h, _) = pytensor.scan(
        step, sequences=[pt.dot(x, wx) + bias], outputs_info=[start, start], non_sequences=[wh], return_updates=False
    )
    return _descend([x, t], pt.sqr(h[-1] - t).sum(axis=1).mean(dtype="float32"), p, data)


def recurrence(data) -> Run:
    x, w = pt.fvectors("x", "w")
    s = x
    for _ in range(data["count"]):
        s = pt.tanh(s * w + x)
    return _run([x, w], [s, *pytensor.grad(pt.sqr(s).sum(), [x, w])], data["x"], data["w"])


def overhead(data) -> Run:
    given = pt.fvectors("x", "y")
    return _run(given, given[0] + given[1], *data.values())
