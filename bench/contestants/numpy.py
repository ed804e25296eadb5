"""NumPy as one writes it; into given arrays with `out` and in place. erf is SciPy's."""

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
    RISK_FREE,
    VOLATILITY,
    black_scholes_formula,
    chain_formula,
    gelu_formula,
)
from cases_training import deep_step, logistic_step, lstm_step, mlp_step, parameters, recurrence_step


def _erf(x, out=None):
    from scipy.special import erf

    return erf(x, out=out)


M = SimpleNamespace(
    tanh=np.tanh, exp=np.exp, log=np.log, sqrt=np.sqrt, sigmoid=lambda x: 1 / (1 + np.exp(-x)), maximum=np.maximum,
    erf=_erf, sum=np.sum, mean=np.mean, max=np.max, var=np.var,
)  # fmt: skip


def setup(variant: str, threads: int) -> str:
    return np.__version__


def chain(data) -> Run:
    x, y = data["x"], data["y"]
    a, b, c = (np.empty_like(x) for _ in range(3))

    def into():
        np.multiply(x, 0.7, out=a)
        np.tanh(np.add(a, y, out=a), out=a)
        np.exp(np.negative(x, out=b), out=b)
        np.divide(a, np.add(b, 1, out=b), out=a)
        np.multiply(np.negative(y, out=b), y, out=b)
        np.multiply(np.exp(b, out=b), 0.5, out=b)
        np.add(a, b, out=a)
        return np.subtract(a, np.multiply(x, y, out=b), out=c)

    return Run(lambda: chain_formula(M, x, y), into=into)


def black_scholes(data) -> Run:
    spot, strike, years = data.values()
    spread, d, e, paid, call, put = (np.empty_like(spot) for _ in range(6))

    def normal(d):
        np.multiply(_erf(np.multiply(d, 0.5**0.5, out=d), out=d), 0.5, out=d)
        return np.add(d, 0.5, out=d)

    def into():
        np.multiply(np.sqrt(years, out=spread), VOLATILITY, out=spread)
        np.log(np.divide(spot, strike, out=d), out=d)
        np.add(d, np.multiply(years, RISK_FREE + 0.5 * VOLATILITY**2, out=e), out=d)
        np.subtract(np.divide(d, spread, out=d), spread, out=e)
        np.multiply(np.exp(np.multiply(years, -RISK_FREE, out=paid), out=paid), strike, out=paid)
        np.subtract(np.multiply(spot, normal(d), out=call), np.multiply(paid, normal(e), out=e), out=call)
        return call, np.add(np.subtract(call, spot, out=put), paid, out=put)

    return Run(lambda: black_scholes_formula(M, **data), into=into)


def softmax(data) -> Run:
    x = data["x"]
    out = np.empty_like(x)

    def call(out=None):
        e = np.subtract(x, x.max(axis=1, keepdims=True), out=out)
        np.exp(e, out=e)
        e /= e.sum(axis=1, keepdims=True)
        return e

    return Run(call, into=lambda: call(out))


def layernorm_gelu(data) -> Run:
    x, gain, bias = data.values()
    a, b = np.empty_like(x), np.empty_like(x)

    def call():
        z = x - x.mean(axis=1, keepdims=True)
        z /= np.sqrt(np.square(z).mean(axis=1, keepdims=True) + EPSILON)
        z *= gain
        z += bias
        return gelu_formula(M, z)

    def into():
        z, u = a, b
        np.subtract(x, x.mean(axis=1, keepdims=True), out=z)
        z /= np.sqrt(np.square(z, out=u).mean(axis=1, keepdims=True) + EPSILON)
        z *= gain
        z += bias
        np.multiply(z, z, out=u)
        u *= 0.044715 * (2 / np.pi) ** 0.5
        u += (2 / np.pi) ** 0.5
        u *= z
        np.tanh(u, out=u)
        u += 1
        u *= z
        u *= 0.5
        return u

    return Run(call, into=into)


def distances(data) -> Run:
    """Some rows at a time, so that their differences stay in a cache. (By the product of both matrices it is faster,
    but neighbours' distances come out wrong.)"""
    x, y = data["x"], data["y"]
    out, rows = np.empty((len(x), len(y)), np.float32), 8
    differences = np.empty((rows, *y.shape), np.float32)

    def call(out=None):
        out = np.empty((len(x), len(y)), np.float32) if out is None else out
        for k in range(0, len(x), rows):
            part = x[k : k + rows, None, :]
            d = np.subtract(part, y[None, :, :], out=differences[: len(part)])
            np.einsum("ijk,ijk->ij", d, d, out=out[k : k + rows])
        return np.sqrt(out, out=out)

    return Run(call, into=lambda: call(out))


def adam(data) -> Run:
    p, g = data["p"].copy(), data["g"]
    m, v, a, b = (np.zeros_like(p) for _ in range(4))
    count = 0

    def call():
        nonlocal count
        count += 1
        np.multiply(m, BETA1, out=m)
        np.add(m, np.multiply(g, 1 - BETA1, out=a), out=m)
        np.multiply(v, BETA2, out=v)
        np.add(v, np.multiply(np.multiply(g, g, out=a), 1 - BETA2, out=a), out=v)
        np.divide(np.sqrt(v, out=a), (1 - BETA2**count) ** 0.5, out=a)
        np.add(a, ADAM_EPSILON, out=a)
        np.divide(np.multiply(m, LEARNING_RATE / (1 - BETA1**count), out=b), a, out=b)
        np.subtract(p, b, out=p)

    return Run(call, lambda: [p, m, v])


def expression(data) -> Run:
    run, names = data["run"], data["names"]
    held = [data["arrays"][k] for k in names]
    return Run(lambda: run(M, *held))


def logistic(data) -> Run:
    p = [a.copy() for a in parameters(data)]
    return Run(lambda: logistic_step(data["x"], data["t"], p), lambda: p)


def mlp(data) -> Run:
    p = [a.copy() for a in parameters(data)]
    v = [np.zeros_like(q) for q in p]
    return Run(lambda: mlp_step(data["x"], data["t"], p, v), lambda: p)


def deep(data) -> Run:
    p = [a.copy() for a in parameters(data)]
    return Run(lambda: deep_step(data["x"], data["t"], p), lambda: p)


def lstm(data) -> Run:
    p = [a.copy() for a in parameters(data)]
    return Run(lambda: lstm_step(data["x"], data["t"], p), lambda: p)


def recurrence(data) -> Run:
    return Run(lambda: recurrence_step(data["x"], data["w"], data["count"]))


def overhead(data) -> Run:
    x, y = data["x"], data["y"]
    return Run(lambda: x + y)
