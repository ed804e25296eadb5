"""Element types: names, classes, NumPy counterparts and Theano's promotion order. The one table of dtypes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ...runtime.errors import DTypeError


@dataclass(frozen=True, slots=True)
class DType:
    """One element type. `kind` is b, i, u, f or c; `c` its suffix in kernels/ (weft_add_<c>)."""

    name: str
    kind: str
    bits: int
    c: str

    @property
    def itemsize(self) -> int:
        return max(self.bits // 8, 1)


DTYPES: dict[str, DType] = {
    d.name: d
    for d in (
        DType("bool", "b", 8, "b"),
        *(DType(f"int{n}", "i", n, f"i{n}") for n in (8, 16, 32, 64)),
        *(DType(f"uint{n}", "u", n, f"u{n}") for n in (8, 16, 32, 64)),
        DType("float16", "f", 16, "f16"),
        DType("bfloat16", "f", 16, "bf16"),
        DType("float32", "f", 32, "f32"),
        DType("float64", "f", 64, "f64"),
        DType("complex64", "c", 64, "c64"),
        DType("complex128", "c", 128, "c128"),
    )
}

INTEGER = frozenset(n for n, d in DTYPES.items() if d.kind in "iu")
DISCRETE = INTEGER | {"bool"}
HALF = frozenset({"float16", "bfloat16"})  # computed with as float32, and rounded
REAL_FLOAT = frozenset(n for n, d in DTYPES.items() if d.kind == "f")
COMPLEX = frozenset(n for n, d in DTYPES.items() if d.kind == "c")
FLOATING = REAL_FLOAT | COMPLEX


@cache
def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of an element type; bfloat16 comes from ml_dtypes, loaded only then."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def check_dtype(name: object) -> str:
    """The canonical name of a dtype given as a string, NumPy dtype or type; raises DTypeError for others."""
    if isinstance(name, str) and name in DTYPES:
        return name
    try:
        found = np.dtype(name).name  # type: ignore[call-overload]
    except TypeError:
        found = None
    if found not in DTYPES:
        raise DTypeError(f"{name!r} is not an element type of weft; it has {', '.join(DTYPES)}")
    return found


@cache
def promote(a: str, b: str) -> str:
    """The smallest dtype that both fit in, as Theano's `scalar.upcast` (bool < ints < floats < complex).

    uint64 with a signed integer gives float64, float32 with int32 or int64 gives float64, float32 with int16 float32.
    """
    if a == b:
        return a
    if "bfloat16" in (a, b):
        other = b if a == "bfloat16" else a
        if other == "float16":
            return "float32"
        if DTYPES[other].kind in "fc":
            return other
        return "bfloat16" if DTYPES[other].bits <= 8 else promote("float16", other)
    return np.promote_types(a, b).name


def promote_all(names: list[str]) -> str:
    out = names[0]
    for n in names[1:]:
        out = out if n == out else promote(out, n)
    return out


def real_of(name: str) -> str:
    """The dtype of the real part."""
    return {"complex64": "float32", "complex128": "float64"}.get(name, name)


def smallest_int(value: int) -> str:
    """The smallest signed integer dtype that holds a Python int; uint64 above int64."""
    for bits in (8, 16, 32, 64):
        if -1 << bits - 1 <= value < 1 << bits - 1:
            return f"int{bits}"
    if 0 <= value < 1 << 64:
        return "uint64"
    raise DTypeError(f"the integer {value} does not fit in 64 bits")
