"""kernels/weft_scalar.h against NumPy, over special, random and (for the 16-bit types) all values."""

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
FLAGS = ["-O2", "-march=native", "-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]

INTS = {f"{k}{b}": f"{'u' * (k == 'u')}int{b}_t" for k in "iu" for b in (8, 16, 32, 64)}
HELD = {"b": "uint8_t", **INTS, "f16": "float", "bf16": "float", "f32": "float", "f64": "double",
        "c64": "weft_c64", "c128": "weft_c128"}
STORED = {**HELD, "f16": "uint16_t", "bf16": "uint16_t"}
NUMPY = {"b": np.bool_, **{d: np.dtype(d[0] + str(int(d[1:]) // 8)) for d in INTS}, "f16": np.float16,
         "f32": np.float32, "f64": np.float64, "c64": np.complex64, "c128": np.complex128, "bf16": np.uint16}
REAL = {"c64": "f32", "c128": "f64"}
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]
OPS = {  # op -> (arity, dtype classes)
    "neg": (1, "iufc"), "abs": (1, "biufc"), "sgn": (1, "biufc"), "sqr": (1, "biufc"), "reciprocal": (1, "iufc"),
    "add": (2, "biufc"), "sub": (2, "iufc"), "mul": (2, "biufc"), "truediv": (2, "fc"), "floordiv": (2, "iuf"),
    "mod": (2, "iuf"), "pow": (2, "iuf"), "maximum": (2, "biuf"), "minimum": (2, "biuf"),
    "eq": (2, "biufc"), "ne": (2, "biufc"), **{c: (2, "biuf") for c in COMPARE[2:]},
    "and": (2, "biu"), "or": (2, "biu"), "xor": (2, "biu"), "invert": (1, "biu"),
    **{m: (1, "f") for m in ["exp2", "log2", "log10", "log1p", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "cbrt", "sigmoid", "softplus", "erf", "erfc", "erfinv"]},
    "exp": (1, "fc"), "log": (1, "fc"), "sqrt": (1, "fc"), "atan2": (2, "f"),
    "floor": (1, "biuf"), "ceil": (1, "biuf"), "trunc": (1, "biuf"), "rint": (1, "biuf"),
    "isnan": (1, "biufc"), "isinf": (1, "biufc"), "conj": (1, "c"), "real": (1, "c"), "imag": (1, "c"), "angle": (1, "c"),
}


def kind(d):
    return "b" if d == "b" else "f" if "f" in d else d[0]


def result(op, d):
    if op in COMPARE + ["isnan", "isinf"]:
        return "b"
    return REAL[d] if d in REAL and op in ("abs", "real", "imag", "angle") else d


def load(d, e):
    return f"weft_load_{d}(&{e})" if d in ("f16", "bf16") else e


def store(d, target, e):
    return f"weft_store_{d}(&{target}, {e})" if d in ("f16", "bf16") else f"{target} = {e}"


def loops():
    """One array loop for every function: the C text and its declarations for cffi."""
    text, decl = ['#include "weft_scalar.h"'], []
    for op, (arity, classes) in OPS.items():
        for d in HELD:
            if kind(d) not in classes:
                continue
            r = result(op, d)
            args = ", ".join([load(d, "a[i]"), load(d, "b[i]")][:arity])
            text.append(f"void t_{op}_{d}(int64_t n, const {STORED[d]} *a, const {STORED[d]} *b, {STORED[r]} *o)"
                        f"{{ (void)b; for (int64_t i = 0; i < n; i++) {store(r, 'o[i]', f'weft_{op}_{d}({args})')}; }}")
            decl.append(f"void t_{op}_{d}(int64_t n, void *a, void *b, void *o);")
    for d in HELD:
        for r in HELD:
            e = f"weft_cast_{d}_{r}({load(d, 'a[i]')})"
            text.append(f"void t_cast_{d}_{r}(int64_t n, const {STORED[d]} *a, {STORED[r]} *o)"
                        f"{{ for (int64_t i = 0; i < n; i++) {store(r, 'o[i]', e)}; }}")
            decl.append(f"void t_cast_{d}_{r}(int64_t n, void *a, void *o);")
    text.append("void t_round_f16(int64_t n, const float *a, float *o) { for (int64_t i = 0; i < n; i++) o[i] = weft_round_f16(a[i]); }")
    text.append("void t_fma_f32(int64_t n, float *a, float *b, float *c, float *o) { for (int64_t i = 0; i < n; i++) o[i] = weft_fma_f32(a[i], b[i], c[i]); }")
    decl += ["void t_round_f16(int64_t n, void *a, void *o);", "void t_fma_f32(int64_t n, void *a, void *b, void *c, void *o);"]
    return "\n".join(text) + "\n", "\n".join(decl)


class Library:
    def __init__(self, path, declarations):
        self.ffi = FFI()
        self.ffi.cdef(declarations)
        self.lib = self.ffi.dlopen(str(path))

    def pointer(self, array):
        return self.ffi.cast("void *", array.ctypes.data)

    def call(self, name, inputs, out_dtype):
        arrays = [np.ascontiguousarray(x) for x in inputs]
        out = np.empty(arrays[0].shape, out_dtype)
        slots = list(arrays)
        if name[2:6] not in ("cast", "roun", "fma_") and len(slots) == 1:
            slots.append(slots[0])
        getattr(self.lib, name)(out.size, *map(self.pointer, slots), self.pointer(out))
        return out


@pytest.fixture(scope="session")
def lib(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scalar")
    text, decl = loops()
    (folder / "t.c").write_text(text)
    subprocess.run(["gcc", *FLAGS, "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I", KERNELS,
                    folder / "t.c", "-o", folder / "t.so", "-lm"], check=True)
    return Library(folder / "t.so", decl)


def bf16_to_f32(u):
    return (u.astype(np.uint32) << 16).view(np.float32)


def f64_to_bf16(x):
    """Round float64 to bfloat16 once, by exact arithmetic: an independent reference."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        a = np.abs(x)
        e = np.clip(np.frexp(a)[1], -125, 128)
        step = np.ldexp(1.0, e - 8)
        r = np.rint(a / step) * step
        r = np.where(np.isfinite(a), np.where(r > 3.39e38, np.inf, r), a)
        f = np.copysign(r, x).astype(np.float32)
    return (f.view(np.uint32) >> 16).astype(np.uint16)


def values(d, rng, n=400):
    dt = NUMPY[d]
    if d == "b":
        return np.array([0, 1] * 8, np.bool_)
    if d in INTS:
        info = np.iinfo(dt)
        special = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7]
        if info.min < 0:
            special += [-1, -2, -3, -7]
        return np.concatenate([np.array(special, dt), rng.integers(info.min, info.max, n, dtype=dt, endpoint=True),
                               rng.integers(0, 20, n).astype(dt)])
    if d == "f16":
        return np.arange(65536, dtype=np.uint16).view(np.float16)
    if d == "bf16":
        return np.arange(65536, dtype=np.uint16)
    if d in REAL:
        parts = values(REAL[d], rng, n)
        special = parts[:20]
        grid = (special[:, None] + np.zeros(20, special.dtype)).ravel(), np.tile(special, 20)
        z = np.empty(400 + n, dt)
        z.real[:400], z.imag[:400] = grid
        z.real[400:], z.imag[400:] = rng.standard_normal(n) * 3, rng.standard_normal(n) * 3
        return z
    info = np.finfo(dt)
    special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, info.tiny, -info.tiny, info.smallest_subnormal, info.max,
               info.min, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-3, 100.0, 88.0, -88.0, -745.0, 710.0, 1e10, -104.0]
    return np.concatenate([np.array(special), rng.standard_normal(n), rng.standard_normal(n) * 30,
                           np.exp(rng.uniform(-80, 80, n))]).astype(dt)


def pairs(d, rng):
    v = values(d, rng)
    few = v[:40] if d not in ("f16", "bf16") else v[np.linspace(0, 65535, 64).astype(int)]
    if d == "f16":
        few = np.concatenate([few, np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 3, -3, 0.5], np.float16)])
    a, b = np.repeat(few, len(few)), np.tile(few, len(few))
    p, q = rng.choice(v, 3000), rng.choice(v, 3000)
    return np.concatenate([a, p]), np.concatenate([b, q])


def ulps(got, want):
    """Largest distance in units of the last place; NaN equals NaN, infinities must agree."""
    got, want = np.asarray(got), np.asarray(want)
    info = np.finfo(got.dtype)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(all="ignore"):
        g, w = got.astype(np.longdouble), want.astype(np.longdouble)
        unit = np.maximum(np.abs(np.spacing(np.where(np.isfinite(want), want, 1).astype(got.dtype))), info.smallest_subnormal)
        d = np.abs(g - w) / unit.astype(np.longdouble)
    return float(np.max(np.where(same, 0, np.where(np.isnan(d), np.inf, d)), initial=0))


def int_div(a, b):
    q = np.zeros_like(a)
    ok = b != 0
    if a.dtype.kind == "i":
        ok &= b != -1
        q = np.where(b == -1, np.negative(a), q)
    q[ok] = a[ok] // b[ok]
    return q


def int_mod(a, b):
    r = np.zeros_like(a)
    ok = b != 0
    r[ok] = np.where(b[ok] == -1 if a.dtype.kind == "i" else False, 0, a[ok] - int_div(a[ok], b[ok]) * b[ok])
    return r


def int_pow(a, b):
    bits = a.dtype.itemsize * 8
    out = []
    for x, y in zip(a.tolist(), b.tolist()):
        if y < 0:
            v = 1 if x == 1 else (-1 if y & 1 else 1) if x == -1 else 0
        else:
            v = pow(x, y, 1 << bits)
        out.append(v & ((1 << bits) - 1))
    return np.array(out, f"u{bits // 8}").view(a.dtype)


def sigmoid(x):
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, 1) / (1 + z)


from scipy import special as _special  # noqa: E402

REFERENCE = {
    "neg": np.negative, "abs": np.abs, "sgn": np.sign, "sqr": lambda x: x * x, "add": np.add, "sub": np.subtract,
    "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power,
    "maximum": np.maximum, "minimum": np.minimum, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "invert": np.invert, "exp": np.exp, "exp2": np.exp2, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "expm1": np.expm1, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "sinh": np.sinh,
    "cosh": np.cosh, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "sigmoid": sigmoid,
    "softplus": lambda x: np.logaddexp(0, x), "erf": _special.erf, "erfc": np.vectorize(math.erfc, otypes=[float]), "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "rint": np.rint, "isnan": np.isnan, "isinf": np.isinf, "conj": np.conj, "real": np.real, "imag": np.imag,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": lambda x: np.cbrt(x.astype(np.longdouble)).astype(x.dtype), "erfinv": _special.erfinv,
    "angle": np.angle, "reciprocal": lambda x: 1 / x,
}
EXACT = set(["neg", "abs", "sgn", "sqr", "reciprocal", "add", "sub", "mul", "truediv", "floordiv", "mod", "maximum", "minimum", "and", "or", "xor", "invert", "sqrt", "floor", "ceil", "trunc", "rint", "isnan", "isinf", "conj", "real", "imag"]) | set(COMPARE)


def check_bits(got, want, *context):
    """Equal bits, all NaNs counting as one."""
    same = got == want
    if got.dtype.kind == "f":
        same = np.where(np.isnan(want), np.isnan(got), same & (np.signbit(got) == np.signbit(want)))
    bad = np.flatnonzero(~same)
    assert bad.size == 0, [(c[bad[:5]] for c in context), got[bad[:5]], want[bad[:5]]]


def operands(op, d, rng):
    if OPS[op][0] == 1:
        return [values(d, rng)]
    return list(pairs(d, rng))


@pytest.mark.parametrize("d", ["b", *INTS])
def test_integers_and_bool(lib, d):
    rng = np.random.default_rng(1)
    for op, (arity, classes) in OPS.items():
        if kind(d) not in classes:
            continue
        args = operands(op, d, rng)
        own = {"floordiv": int_div, "mod": int_mod, "pow": int_pow, "rint": lambda x: x, "floor": lambda x: x, "ceil": lambda x: x,
               "trunc": lambda x: x, "reciprocal": lambda x: int_div(np.ones_like(x), x) * (np.abs(x) <= 1)}
        if d == "b":
            own.update(sgn=lambda x: x, sqr=lambda x: x)
        if d == "i64" or d == "u64":
            own["reciprocal"] = lambda x: np.array([v if v in (1, -1) else 0 for v in x.tolist()], x.dtype)
        with np.errstate(all="ignore"):
            want = own.get(op, REFERENCE.get(op))(*args)
            if op == "reciprocal":
                want = np.array([v if v in (1, -1) else 0 for v in args[0].tolist()], args[0].dtype)
        got = lib.call(f"t_{op}_{d}", args, NUMPY[result(op, d)])
        bad = np.flatnonzero(got != want)
        assert bad.size == 0, (op, d, [a[bad[:5]] for a in args], got[bad[:5]], want[bad[:5]])


@pytest.mark.parametrize("d", ["f32", "f64"])
def test_floats(lib, d):
    rng = np.random.default_rng(2)
    for op, (arity, classes) in OPS.items():
        if "f" not in classes:
            continue
        args = operands(op, d, rng)
        with np.errstate(all="ignore"):
            want = REFERENCE[op](*args)
        got = lib.call(f"t_{op}_{d}", args, NUMPY[result(op, d)])
        if op in EXACT:
            if op in ("maximum", "minimum"):  # which zero wins is not NumPy's to say
                got, want = got + 0, want + 0
            try:
                check_bits(got, want, *args)
            except AssertionError as e:
                raise AssertionError(op, d) from e
        else:
            wide = want
            if d == "f32":
                with np.errstate(all="ignore"):
                    wide = REFERENCE[op](*[a.astype(np.float64) for a in args]).astype(np.float32)
            assert ulps(got, wide) <= (4 if op in ("softplus", "sigmoid", "erf", "erfc", "tan", "cbrt") else 2.5), (op, d, ulps(got, wide))


@pytest.mark.parametrize("d", ["f16", "bf16"])
def test_half_floats(lib, d):
    """Every operation is float32's, rounded once: checked on all 65,536 values (pairs: a sample)."""
    rng = np.random.default_rng(3)
    widen = (lambda x: x.astype(np.float32)) if d == "f16" else bf16_to_f32
    narrow = (lambda x: x.astype(np.float16)) if d == "f16" else (lambda x: bf16_to_f32(f64_to_bf16(x)))
    for op, (arity, classes) in OPS.items():
        if "f" not in classes:
            continue
        args = operands(op, d, rng)
        wide = [widen(a) for a in args]
        f32 = lib.call(f"t_{op}_f32", wide, NUMPY[result(op, "f32")])
        with np.errstate(all="ignore"):
            want = f32 if f32.dtype == bool else narrow(f32)
        got = lib.call(f"t_{op}_{d}", args, NUMPY[result(op, d)])
        if d == "bf16" and got.dtype != bool:
            got = bf16_to_f32(got)
        check_bits(got, want, *args)


@pytest.mark.parametrize("d", ["c64", "c128"])
def test_complex(lib, d):
    rng = np.random.default_rng(4)
    for op, (arity, classes) in OPS.items():
        if "c" not in classes:
            continue
        args = operands(op, d, rng)
        if arity == 2 or op in ("sqr", "reciprocal"):
            args = [a[np.isfinite(a.real) & np.isfinite(a.imag)] for a in args]
            m = min(map(len, args))
            args = [a[:m] for a in args]
        got = lib.call(f"t_{op}_{d}", args, NUMPY[result(op, d)])
        with np.errstate(all="ignore"):
            want = REFERENCE[op](*args)
            if op == "mul":  # NumPy's vector form fuses; weft's is these four products and two sums
                (a, b), want = args, want.copy()
                want.real, want.imag = a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real
        if op in ("eq", "ne", "isnan", "isinf", "neg", "conj", "real", "imag", "add", "sub", "mul"):
            assert np.array_equal(got, want, equal_nan=got.dtype != bool), op
            continue
        keep = np.isfinite(want.real) & np.isfinite(want.imag)
        if op in ("truediv", "reciprocal", "sqr"):
            keep &= np.all([(np.abs(a) < 1e15) & (np.abs(a) > 1e-15) for a in args], axis=0)
        if op == "sgn":
            keep &= (np.abs(args[0]) > 1e-30) & np.isfinite(np.abs(args[0])) | ~np.isfinite(args[0])  # NumPy's size overflows
        eps = np.finfo(NUMPY[d]).eps
        err = np.abs(got[keep] - want[keep]) / np.maximum(np.abs(want[keep]), np.finfo(NUMPY[d]).tiny)
        # NumPy rounds complex64 through float32, weft through float64
        assert err.max() < 8 * eps, (op, d, err.max(), args[0][keep][err.argmax()], got[keep][err.argmax()], want[keep][err.argmax()])
        if op in ("abs", "sqrt"):  # infinities where NumPy has them
            special = np.isinf(want.real)
            assert np.array_equal(np.isinf(got.real), special), op


def cast_reference(x, d, r):
    if d == "bf16":
        x, d = bf16_to_f32(x), "f32"
    with np.errstate(all="ignore"):
        if r == "b":
            return x != 0
        if d in REAL and r not in REAL:
            x = x.real
        if x.dtype.kind == "f" and r in INTS:
            info = np.iinfo(NUMPY[r])
            out = []
            for v in x.tolist():
                out.append(0 if v != v else info.max if v >= info.max else info.min if v <= info.min else int(v))
            return np.array(out, NUMPY[r])
        if r == "bf16":
            if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
                def exact(v):  # keep 20 bits and a sticky one: fewer than a double holds, more than bfloat16
                    s = max(abs(v).bit_length() - 20, 0)
                    kept = (abs(v) >> s) << s
                    return float((kept | (1 << s >> 1 if abs(v) != kept else 0)) * (1 if v >= 0 else -1))
                x = np.array([exact(v) for v in x.tolist()])
            return f64_to_bf16(x.astype(np.float64))
        if r == "f16" and x.dtype.kind in "iu":
            x = x.astype(np.float64)
        return x.astype(NUMPY[r])


@pytest.mark.parametrize("d", list(HELD))
def test_casts(lib, d):
    rng = np.random.default_rng(5)
    x = values(d, rng)
    if d in ("i32", "i64", "u32", "u64"):
        bits = np.iinfo(NUMPY[d]).bits - 1
        middle = [((2 * m + 1) << s) + e for m in (128, 129, 200, 255) for s in range(0, bits - 9) for e in (-1, 0, 1)]
        x = np.concatenate([x, np.array(middle, NUMPY[d])])
    if d == "f64":
        middle = np.arange(65535, dtype=np.uint16).view(np.float16).astype(np.float64)
        middle = (middle[:-1] + middle[1:]) / 2
        x = np.concatenate([x, *(np.nextafter(middle, s) for s in (-np.inf, np.inf)), middle])
        b = bf16_to_f32(np.arange(0x7f7f, dtype=np.uint16)).astype(np.float64)
        b = (b[:-1] + b[1:]) / 2
        x = np.concatenate([x, b, np.nextafter(b, 0), -np.nextafter(b, np.inf)])
    for r in HELD:
        want = cast_reference(x, d, r)
        got = lib.call(f"t_cast_{d}_{r}", [x], NUMPY[r])
        if r == "bf16":
            got, want = bf16_to_f32(got), bf16_to_f32(want)
        try:
            if got.dtype.kind == "c":
                check_bits(got.real.copy(), want.real.copy(), x)
                check_bits(got.imag.copy(), want.imag.copy(), x)
            else:
                check_bits(got, want, x)
        except AssertionError as e:
            raise AssertionError(d, r, e) from None


def test_round_f16_over_random_bits(lib):
    x = np.random.default_rng(6).integers(0, 1 << 32, 1 << 20, dtype=np.uint32).view(np.float32)
    ties = np.arange(0, 1 << 16, dtype=np.uint32)[:, None] << 16 | np.array([0, 0xfff, 0x1000, 0x1001, 0x3000, 0xf000], np.uint32)
    x = np.concatenate([x, ties.ravel().view(np.float32)])
    with np.errstate(all="ignore"):
        want = x.astype(np.float16).astype(np.float32)
    check_bits(lib.call("t_round_f16", [x], np.float32), want, x)


def test_sigmoid_and_softplus_are_stable(lib):
    x = np.array([-1000, -103, -90, -30, 0, 30, 90, 1000, np.inf, -np.inf], np.float32)
    s, p = lib.call("t_sigmoid_f32", [x], np.float32), lib.call("t_softplus_f32", [x], np.float32)
    wide = x.astype(np.float64)
    assert ulps(s, _special.expit(wide).astype(np.float32)) <= 2
    assert ulps(p, np.logaddexp(0, wide).astype(np.float32)) <= 2


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_floor_division_is_pythons(lib, a, b):
    q = int(lib.call("t_floordiv_i64", [np.array([a]), np.array([b])], np.int64)[0])
    r = int(lib.call("t_mod_i64", [np.array([a]), np.array([b])], np.int64)[0])
    if b == 0:
        assert (q, r) == (0, 0)
    else:
        assert (q - a // b) % 2**64 == 0 and r == a % b


MAIN = r"""
#include <stdio.h>
int main(void) {
  static const double F[] = {0.0, -0.0, 1, -1, 0.5, 3, -7.5, 127.5, 1e10, -1e10, 1e19, -1e19, 1e38, 1e300, -1e300, 5e-324, 1e-40};
  static const uint64_t I[] = {0, 1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu,
                               0x7fffffffffffffffull, 0x8000000000000000ull, 0xffffffffffffffffull};
  enum { N = 17, M = 20 };
  double f[M]; for (int i = 0; i < N; i++) f[i] = F[i];
  f[17] = WEFT_INF_f64; f[18] = -WEFT_INF_f64; f[19] = WEFT_NAN_f64;
  unsigned sum = 0;
  for (int i = 0; i < M; i++) for (int j = 0; j < M; j++) {
    uint64_t ui = I[i % N], uj = I[j % N];
@CALLS@
  }
  printf("%u\n", sum);
  return 0;
}
"""


def test_no_undefined_behaviour(tmp_path):
    """Every function over extreme arguments, under UBSan and ASan, without -fwrapv; also as C++."""
    calls = []

    def make(d, which):
        u, f = f"u{which}", f"f[{which}]"
        if d == "b":
            return f"(uint8_t)({u} & 1)"
        if d in INTS:
            return f"({HELD[d]}){u}"
        if d in REAL:
            t = HELD[REAL[d]]
            return f"weft_complex_{d}(({t}){f}, ({t})f[(i * 7 + j) % M])"
        return f"weft_round_{d}((float){f})" if d in ("f16", "bf16") else f"({HELD[d]}){f}"

    def use(r, e):
        if r in REAL:
            return f"    {{ {HELD[r]} z = {e}; sum += z.re != 0 || z.im != 0; }}"
        return f"    sum += ({e}) != 0;"

    for op, (arity, classes) in OPS.items():
        for d in HELD:
            if kind(d) in classes:
                calls.append(use(result(op, d), f"weft_{op}_{d}({', '.join(make(d, w) for w in 'ij'[:arity])})"))
    calls += [use(r, f"weft_cast_{d}_{r}({make(d, 'i')})") for d in HELD for r in HELD]
    calls += [f"    {{ uint16_t h; weft_store_{d}(&h, (float)f[i]); sum += weft_load_{d}(&h) != 0; }}" for d in ("f16", "bf16")]
    text = '#include "weft_scalar.h"\n' + MAIN.replace("@CALLS@", "\n".join(calls))
    outputs = []
    for compiler, std, name in (("gcc", "gnu11", "m.c"), ("g++", "gnu++17", "m.cpp")):
        (tmp_path / name).write_text(text)
        sanitize = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"] if compiler == "gcc" else []
        subprocess.run([compiler, "-O0", f"-std={std}", "-ffp-contract=off", *sanitize, "-I", KERNELS,
                        tmp_path / name, "-o", tmp_path / "m", "-lm"], check=True)
        done = subprocess.run([tmp_path / "m"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:2000]
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
