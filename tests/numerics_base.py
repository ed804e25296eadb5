"""What numerics_programs.py is made of: programs by name, and the arguments of their calls."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import weft
import weft.tensor as T
from weft.runtime.program import element_type

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
HALVES = ("float16", *(["bfloat16"] if importlib.util.find_spec("ml_dtypes") else []))
FLOATS = (*HALVES, "float32", "float64")
COMPLEX = ("complex64", "complex128")
DTYPES = ("bool", *INTEGERS, *FLOATS, *COMPLEX)
LENGTHS = (1, 7, 16, 17, 1023, 1024, 1025, 5000)  # around a lane, a block, several blocks


@dataclass
class Program:
    """inputs and outputs of a function, and the arguments of each call.

    rows: the arguments whose first axis maps to that of every output, so that a row alone has the bits it has in its
    batch. updates: of shared variables, whose values are results too.
    """

    inputs: list[Any]
    outputs: list[Any]
    calls: list[tuple]
    rows: tuple[int, ...] = ()
    updates: list[tuple[Any, Any]] = field(default_factory=list)


PROGRAMS: dict[str, Callable[[], Program]] = {}


class Data:
    """Arguments of one program, drawn in order."""

    def __init__(self, name: str):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def array(self, *shape: int, dtype: str = "float32", low: float = -3.0, high: float = 3.0) -> np.ndarray:
        kind = np.dtype(dtype).kind if dtype != "bfloat16" else "f"
        if kind == "b":
            return self.rng.integers(0, 2, shape).astype(bool)
        if kind in "iu":
            info = np.iinfo(dtype)
            return self.rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        real = self.rng.uniform(low, high, shape)
        if kind == "c":
            return (real + 1j * self.rng.uniform(low, high, shape)).astype(dtype)
        return real.astype(element_type(dtype))

    def wide(self, *shape: int, dtype: str = "float32") -> np.ndarray:
        """Floats of seven decades: sums of them show the order they were added in."""
        return (self.rng.normal(size=shape) * 10.0 ** self.rng.integers(-3, 4, shape)).astype(element_type(dtype))

    def index(self, n: int, *shape: int) -> np.ndarray:
        return self.rng.integers(-n, n, shape)


def _made(make: Callable[[Data], Program], name: str) -> Program:
    before, weft.config.floatX = weft.config.floatX, "float32"  # so that a number leaves a float32 argument as it is
    try:
        return make(Data(name))
    finally:
        weft.config.floatX = before


def program(name: str) -> Callable:
    """Enters a function of Data that makes a Program."""

    def enter(make: Callable[[Data], Program]) -> Callable[[Data], Program]:
        if name in PROGRAMS:
            raise ValueError(f"two programs are called {name}")
        PROGRAMS[name] = lambda: _made(make, name)
        return make

    return enter


def tensor(dtype: str, ndim: int, name: str = "x") -> Any:
    return T.TensorType(dtype, (False,) * ndim)(name)
