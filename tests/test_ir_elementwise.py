"""Elementwise operations over edge values, each dtype they accept, against Python's own arithmetic or NumPy's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from ir_samples import closed, vector
from scipy import special

from weft.compiler.ir.dtypes import DTYPES, INTEGER, numpy_dtype
from weft.compiler.ir.interp import MEANING, evaluate
from weft.compiler.ir.node import build
from weft.compiler.ir.ops.elementwise import ELEMENTWISE

FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, 3.5, -2.5, 7.0, -3.0, 1e-3, 88.0, -90.0, 1e10, np.inf, -np.inf, np.nan]


def run(op: str, *args: np.ndarray, **attrs: object) -> np.ndarray:
    ps = [vector(k, a.dtype.name) for k, a in enumerate(args)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return evaluate(closed(ps, build(op, *ps, **attrs)), args)[0]


def pairs(values: list) -> tuple[list, list]:
    return [a for a in values for _ in values], [b for _ in values for b in values]


def wrap(value: int, dtype: str) -> int:
    bits = DTYPES[dtype].bits
    value %= 1 << bits
    return value - (1 << bits) if dtype[0] == "i" and value >> (bits - 1) else value


def power(a: int, b: int) -> int:
    if b >= 0:
        return pow(a, b, 1 << 64)
    return a ** (-b % 2 + 2) if a in (1, -1) else 0


ON_INTS = {
    "neg": lambda a: -a, "sgn": lambda a: (a > 0) - (a < 0), "sqr": lambda a: a * a, "abs": abs, "invert": lambda a: ~a,
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "maximum": max, "minimum": min,
    "floordiv": lambda a, b: a // b if b else 0, "mod": lambda a, b: a % b if b else 0, "pow": power,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip


@pytest.mark.parametrize("dtype", sorted(INTEGER))
def test_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    values = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7, *(-v for v in (1, 2, 3) if info.min)]
    for op, row in ELEMENTWISE.items():
        if dtype not in row.accepts:
            continue
        lists = [values] if row.arity == 1 else pairs(values)
        got = run(op, *(np.array(v, dtype) for v in lists))
        want = [ON_INTS[op](*v) for v in zip(*lists, strict=True)]
        assert got.tolist() == [w if row.result == "bool" else wrap(w, dtype) for w in want], op


def test_bool() -> None:
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    want = {
        "add": a | b, "mul": a & b, "maximum": a | b, "minimum": a & b, "and": a & b, "or": a | b, "xor": a ^ b,
        "abs": a, "sgn": a, "invert": ~a, "eq": a == b, "ne": a != b, "lt": ~a & b, "le": ~a | b, "gt": a & ~b,
        "ge": a | ~b, "floordiv": a & b, "mod": a & False,
    }  # fmt: skip
    assert set(want) == {op for op, row in ELEMENTWISE.items() if "bool" in row.accepts}
    for op, w in want.items():
        assert (run(op, *(a, b)[: ELEMENTWISE[op].arity]) == w).all(), op


ON_FLOATS = {
    "neg": np.negative, "sgn": np.sign, "sqr": np.square, "abs": np.abs, "reciprocal": np.reciprocal, "sqrt": np.sqrt,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.round, "isnan": np.isnan, "isinf": np.isinf,
    "exp": np.exp, "log": np.log, "exp2": np.exp2, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sigmoid": special.expit, "erf": special.erf,
    "softplus": lambda x: np.where(x > 40, x, np.log1p(np.exp(np.minimum(x, 40)))), "erfc": special.erfc,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": np.cbrt,
    "erfinv": lambda x: np.copysign(special.erfinv(x), x),
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "truediv": np.divide, "floordiv": np.floor_divide, "mod": np.mod, "pow": np.power, "atan2": np.arctan2,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_floats(dtype: str) -> None:
    """Narrow ones: the float32 result rounded once."""
    half = DTYPES[dtype].bits == 16
    compute = "float32" if half else dtype
    with np.errstate(all="ignore"):
        values = np.array(FLOATS, numpy_dtype(dtype)).astype(compute)
    for op, row in ELEMENTWISE.items():
        if dtype not in row.accepts:
            continue
        a = [values] if row.arity == 1 else list(map(np.array, pairs(list(values))))
        got = run(op, *(x.astype(numpy_dtype(dtype)) for x in a))
        with np.errstate(all="ignore"):
            want = np.asarray(ON_FLOATS[op](*a))
            if row.result == "bool":
                assert got.dtype == bool and (got == want).all(), op
                continue
            rounded = want.astype(numpy_dtype(dtype)).astype(compute)
        assert got.dtype == numpy_dtype(dtype), op
        eps = {"float16": 1e-3, "bfloat16": 8e-3}.get(dtype, 4 * np.finfo(compute).eps)
        np.testing.assert_allclose(got.astype(compute), rounded, rtol=eps, atol=np.finfo(compute).tiny, err_msg=op)
        zero = (rounded == 0) & (op != "sgn")
        assert (np.signbit(got.astype(compute)) == np.signbit(rounded))[zero].all(), op


def test_sigmoid_and_softplus_keep_their_tails() -> None:
    x = np.array([-700.0, -40.0, 40.0, 800.0])
    np.testing.assert_allclose(run("sigmoid", x), [math.exp(-700), math.exp(-40), 1, 1], rtol=1e-14)
    np.testing.assert_allclose(run("softplus", x), [math.exp(-700), math.exp(-40), 40, 800], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex(dtype: str) -> None:
    z = np.array([1 + 2j, -0.5 + 1j, 3 - 4j, 1e-3j], dtype)
    w = z[::-1].copy()
    for op, row in ELEMENTWISE.items():
        if dtype not in row.accepts:
            continue
        f = {"real": np.real, "imag": np.imag, "conj": np.conj}.get(op) or ON_FLOATS[op]
        got = run(op, *(z, w)[: row.arity])
        want = f(*(z, w)[: row.arity])
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-5 if dtype == "complex64" else 1e-13, err_msg=op)


def test_complex_of_parts_keeps_infinities_and_zeros() -> None:
    out = run("complex", np.float32([np.inf, 0.0]), np.float32([1.0, -0.0]))
    assert out.dtype == np.complex64 and out[0] == complex(np.inf, 1) and np.signbit(out[1].imag)


def bits_of(value: float, dtype: str) -> float:
    """The nearest value of the dtype by exact arithmetic."""
    digits, least = {"float16": (11, -24), "bfloat16": (8, -133)}[dtype]
    if value == 0 or not math.isfinite(value):
        return value
    unit = 2.0 ** max(math.frexp(value)[1] - digits, least)
    rounded = round(value / unit) * unit  # half to even; both divisions by powers of two
    largest = {"float16": 65504.0, "bfloat16": float.fromhex("0x1.fep127")}[dtype]
    return math.copysign(rounded if abs(rounded) <= largest else math.inf, value)


CASES = {
    **{f: [*FLOATS, 1.5, -1.5, 127.9, 128.0, 255.9, 256.0, -128.9, -129.0, 3e9, -3e9, 1e19, 2e19, -1e19, 65504.0,
           65520.0]
       for f in ("float16", "bfloat16", "float32", "float64")},
    **{i: [np.iinfo(i).min, np.iinfo(i).max, 0, 1, 5, 100] for i in INTEGER},
    "bool": [False, True], "complex64": [1.5 - 2j, 0j, 2j], "complex128": [1.5 - 2j, 0j, 2j],
}  # fmt: skip


@pytest.mark.parametrize("target", list(DTYPES))
def test_casts(target: str) -> None:
    for source, values in CASES.items():
        with np.errstate(all="ignore"):
            x = np.array(values).astype(numpy_dtype(source))
        got = run("cast", x, dtype=target)
        assert got.dtype == numpy_dtype(target)
        for v, g in zip(x.tolist(), got.tolist(), strict=True):
            v = float(v) if source == "bfloat16" else v
            if target == "bool":
                want: object = v != 0
            elif target in INTEGER:
                v = v.real
                if isinstance(v, float):
                    low, high = np.iinfo(target).min, np.iinfo(target).max
                    want = 0 if math.isnan(v) else low if v < low else high if v > high else int(v)
                else:
                    want = wrap(int(v), target)
            elif DTYPES[target].kind == "c":
                want = complex(numpy_dtype(target).type(v))
            elif target in ("float16", "bfloat16"):
                want = bits_of(float(v.real), target)
            else:
                want = float(numpy_dtype(target).type(v.real))
            g = float(g) if target == "bfloat16" else g
            assert g == want or (g != g and want != want), (source, target, v)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (2**40 + 2**32 + 1, 2**40 + 2**33),
        (2**40 + 2**32, 2**40),
        (2**40 + 3 * 2**32 - 1, 2**40 + 2**33),
        (-(2**62) - 2**54 - 1, -(2**62) - 2**55),
    ],
)
def test_a_cast_to_bfloat16_rounds_once(value: int, want: int) -> None:
    assert float(run("cast", np.array([value]), dtype="bfloat16")[0]) == want
    assert float(run("cast", np.array([float(value)]), dtype="bfloat16")[0]) == bits_of(float(value), "bfloat16")


def test_switch_takes_each_element_from_one_side() -> None:
    c = np.array([True, False])
    for dtype in ("float64", "bfloat16", "int8"):
        a, b = (np.array(v, numpy_dtype(dtype)) for v in ([1, 2], [3, 4]))
        ps = [vector(0, "bool"), vector(1, dtype), vector(2, dtype)]
        (out,) = evaluate(closed(ps, build("switch", *ps)), [c, a, b])
        assert out.dtype == a.dtype and out.astype("float64").tolist() == [1, 4]


def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANING, "mod", lambda node, values, run: np.fmod(*values))
    with pytest.raises(AssertionError):
        test_integers("int8")
    monkeypatch.setitem(MEANING, "cast", lambda node, values, run: values[0].astype(numpy_dtype(node.type.dtype)))
    with pytest.raises((AssertionError, RuntimeWarning)):
        test_casts("int8")
