"""Initialisers, NumPy arrays for the first values of parameters: `weft.shared(glorot_uniform((784, 100), rng), "W")`.

shape: lengths. rng: a `numpy.random.Generator`, which advances, or a seed of one (the same seed draws the same values
again: give the layers of a network one Generator). dtype: of real floats, weft.config.floatX by default. Values are
drawn in float64 and rounded, so that the dtype does not change the draw.

Fans, where a formula has them, are those of `fans`: a matrix is (inputs, outputs), as in x W; more axes are those of a
convolution, (outputs, inputs, *window), where each output sees inputs times window elements.

Errors: ShapeError (a negative length, an array of fewer than two axes where fans are needed), DTypeError (a dtype that
is no real float), ArgumentError (a scale that is negative or not finite, an rng that is neither).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ..ir.dtypes import REAL_FLOAT, check_dtype, numpy_dtype
from .config import config
from .parameters import number


def constant(shape: Any, value: float, dtype: Any = None) -> np.ndarray:
    """Every element `value`."""
    return np.full(_lengths(shape), _finite(value, "constant: value"), _dtype(dtype))


def zeros(shape: Any, dtype: Any = None) -> np.ndarray:
    """Zeros: for biases."""
    return np.zeros(_lengths(shape), _dtype(dtype))


def uniform(shape: Any, rng: Any, low: float, high: float, dtype: Any = None) -> np.ndarray:
    """Uniform on [low, high); rounding to the dtype may give high itself."""
    low, high = _finite(low, "uniform: low"), _finite(high, "uniform: high")
    if low > high:
        raise ArgumentError(f"uniform: low is {low:g}, above high, {high:g}")
    return _generator(rng).uniform(low, high, _lengths(shape)).astype(_dtype(dtype))


def normal(shape: Any, rng: Any, std: float, mean: float = 0.0, dtype: Any = None) -> np.ndarray:
    """Normal with this standard deviation and mean."""
    std, mean = number(std, "normal: std"), _finite(mean, "normal: mean")
    return _generator(rng).normal(mean, std, _lengths(shape)).astype(_dtype(dtype))


def glorot_uniform(shape: Any, rng: Any, gain: float = 1.0, dtype: Any = None) -> np.ndarray:
    """Uniform on ±gain sqrt(6 / (fan_in + fan_out)): Glorot, Bengio (2010), equation 16."""
    return _uniform(shape, rng, _glorot(shape, gain, "glorot_uniform"), dtype)


def glorot_normal(shape: Any, rng: Any, gain: float = 1.0, dtype: Any = None) -> np.ndarray:
    """Normal of the standard deviation gain sqrt(2 / (fan_in + fan_out)): Glorot, Bengio (2010), equation 12."""
    return normal(shape, rng, _glorot(shape, gain, "glorot_normal"), dtype=dtype)


def he_uniform(shape: Any, rng: Any, slope: float = 0.0, fan: str = "in", dtype: Any = None) -> np.ndarray:
    """Uniform, of the standard deviation of `he_normal`: on ±sqrt(6 / ((1 + slope²) fan))."""
    return _uniform(shape, rng, _he(shape, slope, fan, "he_uniform"), dtype)


def he_normal(shape: Any, rng: Any, slope: float = 0.0, fan: str = "in", dtype: Any = None) -> np.ndarray:
    """Normal of the standard deviation sqrt(2 / ((1 + slope²) fan)), for rectified units: He, Zhang, Ren, Sun (2015).

    Equation 10 (slope 0) and 15 (units with a slope for negative values) with fan "in", which keeps the variance of
    what passes forward; 14 with fan "out", which keeps that of gradients.
    """
    return normal(shape, rng, _he(shape, slope, fan, "he_normal"), dtype=dtype)


def lecun_uniform(shape: Any, rng: Any, gain: float = 1.0, dtype: Any = None) -> np.ndarray:
    """Uniform, of the standard deviation of `lecun_normal`: on ±gain sqrt(3 / fan_in)."""
    return _uniform(shape, rng, _lecun(shape, gain, "lecun_uniform"), dtype)


def lecun_normal(shape: Any, rng: Any, gain: float = 1.0, dtype: Any = None) -> np.ndarray:
    """Normal of the standard deviation gain / sqrt(fan_in): LeCun, Bottou, Orr, Müller (1998), equation 16."""
    return normal(shape, rng, _lecun(shape, gain, "lecun_normal"), dtype=dtype)


def orthogonal(shape: Any, rng: Any, gain: float = 1.0, dtype: Any = None) -> np.ndarray:
    """gain times a random orthogonal matrix, uniform among all: Saxe, McClelland, Ganguli (2014).

    A matrix that is not square has orthonormal rows or columns, whichever are fewer. An array of more axes is such a
    matrix of shape[0] rows: one for each output of a convolution.
    """
    lengths = _lengths(shape, least=2, what="orthogonal")
    gain = number(gain, "orthogonal: gain")
    rows, columns = lengths[0], math.prod(lengths[1:])
    q, r = np.linalg.qr(_generator(rng).normal(size=(max(rows, columns), min(rows, columns))))
    # The signs make the factor unique, and so the draw uniform (Mezzadri 2007).
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.ascontiguousarray(gain * (q if rows >= columns else q.T)).reshape(lengths).astype(_dtype(dtype))


def sparse(shape: Any, rng: Any, nonzeros: int = 15, std: float = 1.0, dtype: Any = None) -> np.ndarray:
    """Zeros but for `nonzeros` normal weights into each output: Martens (2010), section 5.

    shape is (inputs, outputs); an output of fewer inputs has weights from all of them.
    """
    lengths = _lengths(shape, least=2, what="sparse")
    if len(lengths) > 2:
        raise ShapeError(f"sparse makes matrices, not arrays of shape {lengths}")
    if isinstance(nonzeros, bool) or not isinstance(nonzeros, (int, np.integer)) or nonzeros < 0:
        raise ArgumentError(f"sparse: nonzeros is a number of weights, not {nonzeros!r}")
    rng, std = _generator(rng), number(std, "sparse: std")
    out = np.zeros(lengths)
    inputs, outputs = lengths
    count = min(int(nonzeros), inputs)
    for j in range(outputs):
        out[rng.choice(inputs, count, replace=False), j] = rng.normal(0, std, count)
    return out.astype(_dtype(dtype))


def fans(shape: Any) -> tuple[int, int]:
    """How many inputs an output sees, and outputs an input: by (inputs, outputs) or (outputs, inputs, *window)."""
    lengths = _lengths(shape, least=2, what="fans")
    if len(lengths) == 2:
        return lengths[0], lengths[1]
    window = math.prod(lengths[2:])
    return lengths[1] * window, lengths[0] * window


def _glorot(shape: Any, gain: float, what: str) -> float:
    fan_in, fan_out = fans(shape)
    return number(gain, f"{what}: gain") * math.sqrt(2 / max(fan_in + fan_out, 1))


def _he(shape: Any, slope: float, fan: str, what: str) -> float:
    if fan not in ("in", "out"):
        raise ArgumentError(f"{what}: fan is 'in' or 'out', not {fan!r}")
    n = fans(shape)[fan == "out"]
    return math.sqrt(2 / ((1 + _finite(slope, f"{what}: slope") ** 2) * max(n, 1)))


def _lecun(shape: Any, gain: float, what: str) -> float:
    return number(gain, f"{what}: gain") / math.sqrt(max(fans(shape)[0], 1))


def _uniform(shape: Any, rng: Any, std: float, dtype: Any) -> np.ndarray:
    limit = math.sqrt(3) * std
    return uniform(shape, rng, -limit, limit, dtype)


def _finite(value: Any, what: str) -> float:
    return number(value, what, least=-np.finfo("float64").max)


def _lengths(shape: Any, least: int = 0, what: str = "") -> tuple[int, ...]:
    given = (shape,) if isinstance(shape, (int, np.integer)) else shape
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ShapeError(f"a shape is a tuple of lengths, not {shape!r}")
    given = tuple(given)
    if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0 for n in given):
        raise ShapeError(f"a shape is a tuple of lengths, not {shape!r}")
    lengths = tuple(int(n) for n in given)
    if len(lengths) < least:
        raise ShapeError(
            f"{what}: an array of shape {lengths} has no inputs and outputs: (inputs, outputs) or (outputs, inputs, "
            "*window); biases begin as zeros"
        )
    return lengths


def _dtype(dtype: Any) -> np.dtype:
    name = check_dtype(config.floatX if dtype in (None, "floatX") else dtype)
    if name not in REAL_FLOAT:
        raise DTypeError(f"initial values are real floats, not {name}")
    return numpy_dtype(name)


def _generator(rng: Any) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(rng)
    raise ArgumentError(f"rng is a numpy.random.Generator or a seed, a number of at least 0, not {rng!r}")


__all__ = [
    "constant", "fans", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "normal", "orthogonal", "sparse", "uniform", "zeros",
]  # fmt: skip
