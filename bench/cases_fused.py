"""The cases that are one kernel each where everything is fused, and the call of a tiny function.

The formulas are written once, over a module `m` of functions (tanh, exp, sum...) that each contestant gives in its own
terms; here it is NumPy in float64, which is the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from cases import Case

RISK_FREE, VOLATILITY = 0.03, 0.25  # of the options
EPSILON = 1e-5  # of the layer norm
LEARNING_RATE, BETA1, BETA2, ADAM_EPSILON = 1e-3, 0.9, 0.999, 1e-8

REFERENCE = SimpleNamespace(
    tanh=np.tanh, exp=np.exp, log=np.log, sqrt=np.sqrt, sigmoid=lambda x: 1 / (1 + np.exp(-x)), maximum=np.maximum,
    erf=lambda x: np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64),
    sum=np.sum, mean=np.mean, max=np.max, var=np.var,
)  # fmt: skip


def chain_formula(m: Any, x: Any, y: Any) -> Any:
    return m.tanh(0.7 * x + y) * m.sigmoid(x) + 0.5 * m.exp(-y * y) - x * y


def black_scholes_formula(m: Any, spot: Any, strike: Any, years: Any) -> tuple[Any, Any]:
    """Prices of a call and a put."""
    spread = VOLATILITY * m.sqrt(years)
    d1 = (m.log(spot / strike) + (RISK_FREE + 0.5 * VOLATILITY**2) * years) / spread
    d2 = d1 - spread
    p1, p2 = (0.5 + 0.5 * m.erf(d * 0.5**0.5) for d in (d1, d2))
    paid = strike * m.exp(-RISK_FREE * years)
    call = spot * p1 - paid * p2
    return call, call - spot + paid


def gelu_formula(m: Any, z: Any) -> Any:
    return 0.5 * z * (1 + m.tanh((2 / math.pi) ** 0.5 * (z + 0.044715 * z * z * z)))


def chain(tiny: bool, n: int = 10**6) -> Case:
    n = 1000 if tiny else n
    x, y = _normal(n, n)
    want = np.empty(n)
    for k in range(0, n, 1 << 20):  # in pieces: 10^8 elements need not be held six times over
        part = slice(k, k + (1 << 20))
        want[part] = chain_formula(REFERENCE, x[part].astype(np.float64), y[part].astype(np.float64))
    return Case("chain", "fused", f"chain of 12 operations, {_short(n)}", {"x": x, "y": y}, [want], 1e-5)


def black_scholes(tiny: bool) -> Case:
    n = 1000 if tiny else 2 * 10**6
    rng = np.random.default_rng(2)
    ranges = {"spot": (50, 150), "strike": (50, 150), "years": (0.1, 2)}
    data = {k: rng.uniform(low, high, n).astype(np.float32) for k, (low, high) in ranges.items()}
    want = black_scholes_formula(REFERENCE, *(a.astype(np.float64) for a in data.values()))
    return Case("black_scholes", "fused", f"Black-Scholes, {_short(n)}", data, list(want), 1e-5)


def softmax(tiny: bool) -> Case:
    rows, columns = (8, 33) if tiny else (4096, 1024)
    x = _normal(rows * columns)[0].reshape(rows, columns)
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return Case("softmax", "fused", f"softmax {rows}x{columns}", {"x": x}, [e / e.sum(axis=1, keepdims=True)], 1e-5)


def layernorm_gelu(tiny: bool) -> Case:
    rows, columns = (8, 33) if tiny else (4096, 1024)
    x, gain, bias = _normal(rows * columns, columns, columns)
    data = {"x": x.reshape(rows, columns), "gain": 1 + gain / 10, "bias": bias / 10}
    a, g, b = (v.astype(np.float64) for v in data.values())
    normed = (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + EPSILON)
    want = gelu_formula(REFERENCE, normed * g + b)
    return Case("layernorm_gelu", "fused", f"layer norm + GELU {rows}x{columns}", data, [want], 1e-5)


def distances(tiny: bool) -> Case:
    n, features = (17, 5) if tiny else (1500, 16)
    x, y = (a.reshape(n, features) for a in _normal(n * features, n * features))
    y[:5] = x[:5] + y[:5] / 1000  # neighbours: a distance by x^2 + y^2 - 2 x y has no digit of them right
    a, b = x.astype(np.float64), y.astype(np.float64)
    want = np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))
    return Case("distances", "fused", f"distances of all pairs {n}x{n}x{features}", {"x": x, "y": y}, [want], 1e-5)


def adam(tiny: bool) -> Case:
    n, steps = 1000 if tiny else 10**7, 3
    p, g = _normal(n, n)
    data = {"p": p, "g": g}
    a, b, m, v = p.astype(np.float64), g.astype(np.float64), np.zeros(n), np.zeros(n)
    for t in range(1, steps + 1):
        m = BETA1 * m + (1 - BETA1) * b
        v = BETA2 * v + (1 - BETA2) * b * b
        a -= LEARNING_RATE / (1 - BETA1**t) * m / (np.sqrt(v) / np.sqrt(1 - BETA2**t) + ADAM_EPSILON)
    zero = np.zeros(n, np.float32)
    title = f"Adam, {_short(n)} parameters"
    return Case("adam", "fused", title, data, [a, m, v], 2e-4, calls=steps, base=[p, zero, zero])


def overhead(tiny: bool) -> Case:
    x, y = _normal(8, 8)
    return Case("overhead", "call", "call overhead, x + y on 8", {"x": x, "y": y}, [x.astype(np.float64) + y], 1e-6)


CASES: dict[str, Callable[[bool], Case]] = {
    "chain_1e4": partial(chain, n=10**4),
    "chain_1e6": partial(chain, n=10**6),
    "chain_2e7": partial(chain, n=2 * 10**7),
    "black_scholes": black_scholes,
    "softmax": softmax,
    "layernorm_gelu": layernorm_gelu,
    "distances": distances,
    "adam": adam,
    "overhead": overhead,
}


def _normal(*counts: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n, np.float32) for n in counts]


def _short(n: int) -> str:
    """2x10^7, where n is a digit and zeros."""
    zeros = len(str(n)) - len(str(n).rstrip("0"))
    digit = str(n)[:1]
    return f"{n:,}" if len(str(n)) != zeros + 1 or zeros < 3 else (digit + "x") * (digit != "1") + f"10^{zeros}"
