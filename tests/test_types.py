"""Every element type in everything that the language does with it: types, values, and what is refused.

Compiled functions are compared with the interpreter, and with NumPy where that has the operation; half types with
NumPy's float32. What each operation is for integers and floats, to the last case, is tests/test_ir_elementwise.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numerics_programs import DTYPES, Data
from specimen_check import wide

import weft
import weft.tensor as T
from weft.compiler.ir.dtypes import DTYPES as TABLE
from weft.compiler.ir.dtypes import promote
from weft.runtime.errors import DTypeError
from weft.runtime.program import element_type

INTEGERS = [t for t in DTYPES if TABLE[t].kind in "iu"]
HALVES = ("float16", "bfloat16")
QUICK = ("bool", "int8", "uint64", "bfloat16", "complex64")  # the others are as these, and slow
each_dtype = pytest.mark.parametrize(
    "dtype", [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in DTYPES]
)


class Row(NamedTuple):
    """An expression: weft's and NumPy's function, the kinds of dtype it is for, and the rule of its result's type."""

    weft: Callable[..., Any]
    numpy: Callable[..., Any] | None
    kinds: str = "biufc"
    type: str = "same"


def both(name: str, ours: str = "", **more: Any) -> Row:
    return Row(getattr(T, ours or name), getattr(np, name), **more)


X, Y, V = "x", "y", "v"
FLOAT = {"kinds": "biuf", "type": "float"}
UNARY = {
    **{n: both(n, **FLOAT) for n in (
        "exp2", "expm1", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos",
        "arctan", "arcsinh", "arccosh", "arctanh", "cbrt")},
    **{n: both(n, kinds="biufc", type="float") for n in ("exp", "log", "sqrt")},
    **{n: Row(getattr(T, n), None, **FLOAT) for n in ("sigmoid", "softplus", "erf", "erfc", "erfinv")},
    "inv": Row(T.inv, lambda x: 1 / np.where(x == 0, np.inf, 1) if x.dtype == bool else 1 / x, "fc", "float"),
    "sqr": both("square", "sqr", kinds="iufc"), "abs": both("abs", "abs_", type="real"),
    "neg": both("negative", "neg", kinds="iufc"),
    "sgn": Row(T.sgn, lambda x: x if x.dtype == bool else np.sign(x), "biuf"),
    **{n: both(n, kinds="biuf") for n in ("floor", "ceil", "trunc")}, "round": both("round", kinds="biuf"),
    "isnan": both("isnan", type="bool"), "isinf": both("isinf", type="bool"), "invert": both("invert", kinds="biu"),
    "real": both("real", type="real"), "imag": both("imag", type="real"), "conj": both("conj"),
}  # fmt: skip
BINARY = {
    "add": both("add"), "mul": both("multiply", "mul"), "sub": both("subtract", "sub", kinds="iufc"),
    "true_div": both("true_divide", "true_div", type="quotient"),
    "int_div": Row(T.int_div, None, "biuf", "int8 for bool"),
    "mod": Row(T.mod, None, "biuf", "int8 for bool"), "pow": Row(T.pow, None, "biufc", "int8 for bool"),
    "arctan2": both("arctan2", **FLOAT), "maximum": both("maximum", kinds="biuf"),
    "minimum": both("minimum", kinds="biuf"),
    **{n: both(m, n, kinds="biufc" if n in ("eq", "neq") else "biuf", type="bool") for n, m in {
        "eq": "equal", "neq": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
        "ge": "greater_equal"}.items()},
    **{n + "_" * (n != "xor"): both(f"bitwise_{n}", n + "_" * (n != "xor"), kinds="biu") for n in ("and", "or", "xor")},
}  # fmt: skip
FOLDS = {
    "sum": Row(T.sum, lambda x, a: np.sum(x, a), type="sum"),
    "prod": Row(T.prod, lambda x, a: np.prod(x, a), type="sum"),
    "mean": Row(T.mean, lambda x, a: np.mean(x, a), type="mean"),
    "var": Row(T.var, lambda x, a: np.var(x, a), type="real mean"),
    "std": Row(T.std, lambda x, a: np.std(x, a), type="real mean"), "max": both("max", kinds="biuf"),
    "min": both("min", kinds="biuf"), "argmax": both("argmax", kinds="biuf", type="int64"),
    "argmin": both("argmin", kinds="biuf", type="int64"),
    "any": both("any", type="bool"), "all": both("all", type="bool"),
    "cumsum": both("cumsum", type="sum"),
}  # fmt: skip


def changed(x: np.ndarray, at: Any, y: np.ndarray, add: bool = False) -> np.ndarray:
    out = x.copy()
    np.add.at(out, at, y) if add else out.__setitem__(at, y)
    return out


INDEX: dict[str, Row] = {
    "x[1]": Row(lambda x, y, v, m, i: x[1], lambda x, y, v, m, i: x[1]),
    "x[::-2, 1:]": Row(*(lambda x, y, v, m, i: x[::-2, 1:],) * 2),
    "x[i]": Row(*(lambda x, y, v, m, i: x[i],) * 2),
    "x[i, i]": Row(*(lambda x, y, v, m, i: x[i, i],) * 2),
    "x[:, i]": Row(*(lambda x, y, v, m, i: x[:, i],) * 2),
    "x[m]": Row(*(lambda x, y, v, m, i: x[m],) * 2),
    "x[x != 0]": Row(lambda x, y, v, m, i: x[T.neq(x, 0)], lambda x, y, v, m, i: x[x != 0]),
    "set a slice": Row(lambda x, y, v, m, i: T.set_subtensor(x[1:3], y[1:3]),
                       lambda x, y, v, m, i: changed(x, slice(1, 3), y[1:3])),
    "set places": Row(lambda x, y, v, m, i: T.set_subtensor(x[i], y[:3]), lambda x, y, v, m, i: changed(x, i, y[:3])),
    "set a mask": Row(lambda x, y, v, m, i: T.set_subtensor(x[m], v), lambda x, y, v, m, i: changed(x, m, v)),
    "inc a slice": Row(lambda x, y, v, m, i: T.inc_subtensor(x[1:3], y[1:3]),
                       lambda x, y, v, m, i: changed(x, slice(1, 3), y[1:3], True)),
    "inc places": Row(lambda x, y, v, m, i: T.inc_subtensor(x[i], y[:3]),
                      lambda x, y, v, m, i: changed(x, i, y[:3], True)),
    "inc a mask": Row(lambda x, y, v, m, i: T.inc_subtensor(x[m], v), lambda x, y, v, m, i: changed(x, m, v, True)),
    "switch": Row(lambda x, y, v, m, i: T.switch(x, x, y), lambda x, y, v, m, i: np.where(x != 0, x, y)),
    "concatenate": Row(lambda x, y, v, m, i: T.concatenate([x, y], 1), lambda x, y, v, m, i: np.concatenate([x, y], 1)),
    "roll": Row(lambda x, y, v, m, i: T.roll(x, 1, 0), lambda x, y, v, m, i: np.roll(x, 1, 0)),
    "tril": Row(lambda x, y, v, m, i: T.tril(x), lambda x, y, v, m, i: np.tril(x)),
    "diag": Row(lambda x, y, v, m, i: T.diag(v), lambda x, y, v, m, i: np.diag(v)),
    "repeat": Row(lambda x, y, v, m, i: T.repeat(x, 2, 1), lambda x, y, v, m, i: np.repeat(x, 2, 1)),
    "sort": Row(lambda x, y, v, m, i: T.sort(x, 1), lambda x, y, v, m, i: np.sort(x, 1)),
    "argsort": Row(lambda x, y, v, m, i: T.argsort(x, 0),
                   lambda x, y, v, m, i: np.argsort(x, 0, kind="stable"), type="int64"),
    "nonzero": Row(lambda x, y, v, m, i: T.nonzero(x)[1], lambda x, y, v, m, i: np.nonzero(x)[1], type="int64"),
    "dot": Row(lambda x, y, v, m, i: T.dot(x, y.T), lambda x, y, v, m, i: x @ y.T, "iufc"),
    "dot with a vector": Row(lambda x, y, v, m, i: T.dot(x, v), lambda x, y, v, m, i: x @ v, "iufc"),
    "dot of vectors": Row(lambda x, y, v, m, i: T.dot(v, v), lambda x, y, v, m, i: v @ v, "iufc"),
    "outer": Row(lambda x, y, v, m, i: T.outer(v, v), lambda x, y, v, m, i: np.outer(v, v)),
    "batched dot": Row(lambda x, y, v, m, i: T.batched_dot(T.stack([x, y]), T.stack([y.T, x.T])),
                       lambda x, y, v, m, i: np.stack([x, y]) @ np.stack([y.T, x.T]), "iufc"),
}  # fmt: skip


def rows(dtype: str) -> dict[str, tuple[Row, Callable, Callable | None]]:
    """All rows as functions of the five arguments."""
    out: dict[str, tuple[Row, Callable, Callable | None]] = {}
    for n, r in UNARY.items():
        out[n] = (r, lambda x, *_, r=r: r.weft(x), r.numpy and (lambda x, *_, r=r: r.numpy(x)))
    for n, r in BINARY.items():
        out[n] = (r, lambda x, y, *_, r=r: r.weft(x, y), r.numpy and (lambda x, y, *_, r=r: r.numpy(x, y)))
    for n, r in FOLDS.items():
        for a in (0, 1, None):
            out[f"{n} {a}"] = (
                r, lambda x, *_, r=r, a=a: r.weft(x, a), r.numpy and (lambda x, *_, r=r, a=a: r.numpy(x, a))
            )  # fmt: skip
    out.update({n: (r, r.weft, r.numpy) for n, r in INDEX.items()})
    return out


def result_type(rule: str, dtype: str) -> str:
    """What docs/semantics.md says."""
    kind, bits = TABLE[dtype].kind, TABLE[dtype].bits
    if rule == "float" and kind in "biu":
        return "float64" if bits >= 32 else "float32"
    if rule == "quotient" and kind in "biu":
        return weft.config.floatX
    if rule == "int8 for bool" and kind == "b":
        return "int8"
    if rule == "sum" and kind in "biu" and bits < 64:
        return "uint64" if kind == "u" else "int64"
    if rule in ("mean", "real mean") and kind in "biu":
        return "float64"
    if rule in ("real", "real mean") and kind == "c":
        return {"complex64": "float32", "complex128": "float64"}[dtype]
    return rule if rule in TABLE else dtype


def arguments(dtype: str) -> tuple[list[Any], list[np.ndarray]]:
    d = Data(dtype)
    x, y = (T.TensorType(dtype, (False, False))(n) for n in "xy")
    ins = [x, y, T.TensorType(dtype, (False,))("v"), T.TensorType("bool", (False,))("m"), T.lvector("i")]
    small = dict(low=-2.5, high=2.5)
    values = [
        d.array(5, 6, dtype=dtype, **small),
        d.array(5, 6, dtype=dtype, **small),
        d.array(6, dtype=dtype, **small),
    ]
    return ins, [*values, np.array([True, False, True, True, False]), np.array([0, -1, 0])]


def near(got: np.ndarray, want: np.ndarray, dtype: str, what: str) -> None:
    eps = {
        "float16": 2**-10,
        "bfloat16": 2**-7,
        "float32": 1e-6,
        "complex64": 1e-6,
        "float64": 1e-14,
        "complex128": 1e-14,
    }
    if TABLE[dtype].kind in "biu":
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    got, want = wide(got), wide(np.asarray(want))
    scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
    np.testing.assert_allclose(got, want, rtol=16 * eps[dtype], atol=16 * eps[dtype] * scale, err_msg=what)


@each_dtype
def test_operations(dtype: str) -> None:
    ins, values = arguments(dtype)
    kind = TABLE[dtype].kind
    mine = {n: r for n, r in rows(dtype).items() if kind in r[0].kinds}
    outs = [f(*ins) for _, f, _ in mine.values()]
    for (n, (row, _, _)), out in zip(mine.items(), outs, strict=True):
        assert out.dtype == result_type(row.type, dtype), n
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, about domains and casts
        meant = weft.function(ins, outs, mode="interpret")(*values)
        found = weft.function(ins, outs)(*values)
        spread = [v.astype(np.float32) if v.dtype.name in HALVES else v for v in values]
        for (n, (row, _, reference)), a, b in zip(mine.items(), found, meant, strict=True):
            assert a.dtype == b.dtype == element_type(result_type(row.type, dtype)) and a.shape == b.shape, n
            near(a, b, a.dtype.name, f"{n}, interpreter")
            if reference is None:
                continue
            want = np.asarray(reference(*spread))
            if row.type == "sum" and kind in "biu":
                want = want.astype(result_type("sum", dtype))
            assert a.shape == want.shape, n
            if a.dtype.name in HALVES:
                near(a, want.astype(a.dtype), a.dtype.name, f"{n}, NumPy")
            elif row.type not in ("float", "quotient") or kind in "fc":  # NumPy's float for an integer may be another
                near(a, want, a.dtype.name, f"{n}, NumPy")
            else:
                wider = np.asarray(reference(*[v.astype(np.float64) for v in values]))
                near(a, wider.astype(a.dtype), a.dtype.name, f"{n}, NumPy")


@each_dtype
def test_refusals(dtype: str) -> None:
    """What has no meaning is an error where it is written, which names the type and the line."""
    ins, _ = arguments(dtype)
    refused = {n: f for n, (r, f, _) in rows(dtype).items() if TABLE[dtype].kind not in r.kinds and n != "inv"}
    for n, f in refused.items():
        with pytest.raises(DTypeError, match=dtype if "dot" not in n else "bool") as e:
            f(*ins)
        assert "not defined for" in str(e.value) or "cast one of them" in str(e.value), n
    if dtype.startswith("complex"):
        with pytest.raises(DTypeError, match="real, imag or abs"):
            T.cast(ins[0], "float64")
    with pytest.raises(DTypeError, match="subscript"):
        ins[0][T.TensorType("float32", (False,))("f")]
    if TABLE[dtype].kind in "biu":
        with pytest.raises(DTypeError, match="cannot be written"):
            T.set_subtensor(ins[0][0], T.fvector("f"))


def cast_by_numpy(x: np.ndarray, target: str) -> np.ndarray:
    """The meaning of a cast in docs/semantics.md, by exact numbers."""
    exact = [complex(e).real if x.dtype.kind == "c" else e for e in x.tolist()]
    if TABLE[target].kind in "iu":
        info = np.iinfo(target)
        if x.dtype.kind in "biu":
            return np.array([int(e) % 2**info.bits for e in exact], np.uint64).astype(f"uint{info.bits}").view(target)
        whole = [0 if e != e else info.max if e >= info.max else info.min if e <= info.min else int(e) for e in exact]
        return np.array(whole, target)
    if target == "bool":
        return np.array([e != 0 for e in x.tolist()])
    if TABLE[target].kind == "c":
        return x.astype(target)
    if target == "bfloat16":
        return nearest_bfloat16(exact)
    return np.array([float(e) for e in exact]).astype(target) if target != "float64" else np.array(exact, "float64")


def nearest_bfloat16(exact: list) -> np.ndarray:
    out = []
    for e in exact:
        if not np.isfinite(float(e)) or e == 0:
            out.append(float(e))
            continue
        unit = 2.0 ** max(int(abs(e)).bit_length() - 8 if abs(e) >= 1 else np.frexp(float(e))[1] - 8, -133)
        whole = (
            round(e / unit)
            if isinstance(e, float)
            else (2 * int(e) + int(unit)) // (2 * int(unit))
            if unit >= 1
            else int(e / unit)
        )
        if not isinstance(e, float) and unit >= 1 and (2 * int(e) + int(unit)) % (2 * int(unit)) == 0:
            whole -= whole % 2  # a tie: to even
        out.append(whole * unit)
    return np.array(out).astype(np.float32).astype(element_type("bfloat16"))


@each_dtype
def test_casts(dtype: str) -> None:
    x = T.TensorType(dtype, (False,))("x")
    targets = [t for t in DTYPES if TABLE[dtype].kind != "c" or TABLE[t].kind == "c"]
    value = Data(dtype).array(200, dtype=dtype, low=-400.0, high=400.0)
    if TABLE[dtype].kind in "fc":
        with np.errstate(all="ignore"):
            ends = [s * 2.0**k + e for k in (7, 8, 15, 16, 31, 32, 63, 64) for s in (1, -1) for e in (-1, 0, 1)]
            edges = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 65504, 1e19, -1e19, 0.5, -0.5, 255.9, *ends])
            value = np.concatenate([edges.astype(value.dtype), value])
    f = weft.function([x], [T.cast(x, t) for t in targets])
    g = weft.function([x], [T.cast(x, t) for t in targets], mode="interpret")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t, a, b in zip(targets, f(value), g(value), strict=True):
            want = cast_by_numpy(value, t)
            assert a.dtype == b.dtype == want.dtype == element_type(t), t
            np.testing.assert_array_equal(wide(a), wide(b), err_msg=f"to {t}, interpreter")
            np.testing.assert_array_equal(wide(a), wide(want), err_msg=f"to {t}, NumPy")


def test_two_dtypes_meet() -> None:
    """Every pair in an addition, a comparison and a product has the promoted type, compiled too."""
    vectors = {t: T.TensorType(t, (False,))(t) for t in DTYPES}
    values = {t: (np.arange(4) % 2).astype(element_type(t)) for t in DTYPES}
    pairs = [(a, b) for a in DTYPES for b in DTYPES]
    for a, b in pairs:
        assert (vectors[a] + vectors[b]).dtype == promote(a, b) and T.eq(vectors[a], vectors[b]).dtype == "bool"
        assert (
            T.stack([vectors[a], vectors[b]]).dtype
            == T.switch(vectors[a], vectors[a], vectors[b]).dtype
            == promote(a, b)
        )
        if "bool" not in (a, b):
            assert T.dot(vectors[a], vectors[b]).dtype == promote(a, b)
    some = pairs[::7]
    outs = [vectors[a] + vectors[b] for a, b in some]
    ins = list(vectors.values())
    for got, (a, b) in zip(weft.function(ins, outs, on_unused_input="ignore")(*values.values()), some, strict=True):
        want = [0, 1, 0, 1] if a == b == "bool" else [0, 2, 0, 2]
        assert got.dtype == element_type(promote(a, b)) and wide(got).tolist() == want


def test_sizes_of_complex_numbers() -> None:
    """Rules for real numbers do not see a complex one below its size."""
    z = T.zmatrix("z")
    value = Data("sizes").array(4, 5, dtype="complex128")
    outs = [T.sqr(abs(z)), abs(z * z), abs(T.exp(z)), abs(abs(z)), abs(-z), T.sqrt(T.sqr(abs(z)))]
    want = [abs(value) ** 2, abs(value**2), abs(np.exp(value)), abs(value), abs(value), abs(value)]
    for found, expected in zip(weft.function([z], outs)(value), want, strict=True):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_complex_spread_is_real() -> None:
    z = T.zmatrix("z")
    value = Data("z").array(4, 5, dtype="complex128")
    f = weft.function([z], [T.var(z, 0), T.std(z), T.var(z, 1, ddof=1)])
    for got, want in zip(f(value), [value.var(0), value.std(), value.var(1, ddof=1)], strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_means_of_more_elements_than_a_half_counts(mode: str) -> None:
    h = T.TensorType("float16", (False,))("h")
    mean, slope = weft.function([h], [h.mean(), weft.grad(h.mean(), h)[0]], mode=mode)(np.full(100_000, 0.1, "float16"))
    assert mean == np.float16(0.1) and mean.dtype == "float16"
    assert slope == np.float16(1e-5)


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_integers_made_of_floats_have_no_negative_zero(source: str) -> None:
    """In vectors and beside them: a compiler that takes (double)(int)x for trunc(x) makes one."""
    x = T.TensorType(source, (False,))("x")
    whole = [T.cast(x, d) for d in ("int8", "int32", "int64", "uint8", "uint64")]
    floats = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
    outs = [T.cast(i, d) for i in whole for d in floats]
    outs += [T.cast(T.switch(x > 1, 3, i), source) for i in whole] + [x * i for i in whole]
    f, g = (weft.function([x], outs, mode=mode) for mode in ("compile", "interpret"))
    values = np.array([-0.25, -0.0, -1.5, 0.25, -0.75, 3.7, -300.0, np.nan, 0.0] * 5, source)
    for given in (values, values[:1], values[1:2], values[:7]):
        for out, want in zip(f(given), g(given), strict=True):
            out, want = (np.asarray(v, "complex128") for v in (out, want))
            np.testing.assert_array_equal(out, want)
            np.testing.assert_array_equal(np.signbit(out.real), np.signbit(want.real))
