"""numexpr: elementwise expressions only."""

from __future__ import annotations

import numexpr as ne
import numpy as np
from cases import Run


def setup(variant: str, threads: int) -> str:
    ne.set_num_threads(threads)
    return ne.__version__


def chain(data) -> Run:
    text = "tanh(c*x + y) / (one + exp(-x)) + h*exp(-y*y) - x*y"
    names = {**data, "c": np.float32(0.7), "h": np.float32(0.5), "one": np.float32(1)}
    return Run(lambda: ne.evaluate(text, names))


def overhead(data) -> Run:
    return Run(lambda: ne.evaluate("x + y", data))
