"""numexpr: elementwise expressions only. It has no erf."""

from __future__ import annotations

import numexpr as ne
import numpy as np
from cases import Run
from cases_fused import ADAM_EPSILON, BETA1, BETA2, LEARNING_RATE


def setup(variant: str, threads: int) -> str:
    ne.set_num_threads(threads)
    return ne.__version__


def _floats(**values: float) -> dict[str, np.float32]:
    """As variables: constants in the text would be double, and everything after them."""
    return {k: np.float32(v) for k, v in values.items()}


def chain(data) -> Run:
    text = "tanh(c*x + y) / (one + exp(-x)) + h*exp(-y*y) - x*y"
    names = {**data, **_floats(c=0.7, h=0.5, one=1)}
    out = np.empty_like(data["x"])
    return Run(lambda: ne.evaluate(text, names), into=lambda: ne.evaluate(text, names, out=out))


def distances(data) -> Run:
    """The differences, squared and summed by numexpr; the root of the sums is a second expression."""
    names = {"x": data["x"][:, None, :], "y": data["y"][None, :, :]}

    def call(out=None):
        d = ne.evaluate("sum((x - y)*(x - y), axis=2)", names, out=out)
        return ne.evaluate("sqrt(d)", {"d": d}, out=d)

    out = np.empty((len(data["x"]), len(data["y"])), np.float32)
    return Run(call, into=lambda: call(out))


def adam(data) -> Run:
    p, g = data["p"].copy(), data["g"]
    m, v = np.zeros_like(p), np.zeros_like(p)
    fixed = {"p": p, "g": g, "m": m, "v": v}
    fixed |= _floats(b1=BETA1, b2=BETA2, a1=1 - BETA1, a2=1 - BETA2, eps=ADAM_EPSILON)
    count = 0

    def call():
        nonlocal count
        count += 1
        names = fixed | _floats(rate=LEARNING_RATE / (1 - BETA1**count), root=(1 - BETA2**count) ** 0.5)
        ne.evaluate("b1*m + a1*g", names, out=m)
        ne.evaluate("b2*v + a2*g*g", names, out=v)
        ne.evaluate("p - rate*m/(sqrt(v)/root + eps)", names, out=p)

    return Run(call, lambda: [p, m, v])


def overhead(data) -> Run:
    return Run(lambda: ne.evaluate("x + y", data))
