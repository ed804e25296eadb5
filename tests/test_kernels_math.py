"""The elementary functions of kernels/weft_math_f32.h: accuracy, special values, equal bits, vectors.

Accuracy here is a sample; bench/accuracy.py takes all floats.
"""

import functools
import math
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI

BENCH = Path(__file__).resolve().parent.parent / "bench"
KERNELS = Path(__file__).resolve().parent.parent / "kernels"
if not BENCH.is_dir():
    pytest.skip("reads the source tree", allow_module_level=True)
sys.path.insert(0, str(BENCH))
from accuracy import BINARY, FAST, FLAGS, PROGRAM, UNARY, limit, prelude  # noqa: E402

ALL = [*UNARY, *BINARY]
LOOSE = {"sigmoid": 4.0, "softplus": 4.0, "erfinv": 4.0}  # ulp without fma; 3 for the others
X86 = platform.machine() == "x86_64"
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
GCC, ZIG = ["gcc"], [sys.executable, "-m", "ziglang", "cc"]
AVX2, AVX512 = ["-mavx2", "-mfma"], ["-march=native", "-mprefer-vector-width=512"]
BUILDS = {  # name -> (compiler, flags, class, what the CPU must have)
    "native": (GCC, ["-march=native"], "fma", "fma"),
    "scalar": (GCC, ["-march=native", "-fno-tree-vectorize"], "fma", "fma"),
    "O3": (GCC, ["-march=native", "-O3"], "fma", "fma"),
    "avx2": (GCC, AVX2, "fma", "avx2"),
    "avx512": (GCC, AVX512, "fma", "avx512f"),
    "clang": (ZIG, ["-march=native"], "fma", "fma"),
    "clang-avx2": (ZIG, ["-march=x86_64_v3"], "fma", "avx2"),
    "sse2": (GCC, [], "nofma", "sse2"),
    "sse2-scalar": (GCC, ["-fno-tree-vectorize"], "nofma", "sse2"),
    "avx2-nofma": (GCC, ["-mavx2"], "nofma", "avx2"),
    "clang-sse2": (ZIG, ["-march=x86_64"], "nofma", "sse2"),
}
FIRST = {"fma": "native", "nofma": "sse2"}


def arguments(name: str) -> str:
    return "x[i], z[i]" if name.partition("_")[0] in BINARY else "x[i]"


def loops() -> tuple[str, str]:
    names = [*ALL, *(f"{n}_fast" for n in FAST)]
    text, declared = [prelude(["f32"])], []
    for n in names:
        head = f"void t_{n}(int64_t n, const float *restrict x, const float *restrict z, float *restrict y)"
        text.append(f"{head} {{ (void)z; for (int64_t i = 0; i < n; i++) y[i] = weft_{n}_f32({arguments(n)}); }}")
        declared.append(f"void t_{n}(int64_t n, float *x, float *z, float *y);")
    for n in FAST:
        text.append(
            f"void t_{n}_hard(int64_t n, const float *restrict x, const float *restrict z, float *restrict y)"
            f"{{ (void)z; for (int64_t i = 0; i < n; i++) y[i] = (float)(weft_{n}_is_hard_f32({arguments(n)}) != 0); }}"
        )
        declared.append(f"void t_{n}_hard(int64_t n, float *x, float *z, float *y);")
    return "\n".join(text) + "\n", "\n".join(declared)


@functools.cache
def library(build: str, folder: Path):
    compiler, flags, _, needs = BUILDS[build]
    if needs != "fma" and not X86:
        pytest.skip("flags of x86-64")
    if X86 and needs not in CPU:
        pytest.skip(f"this CPU has no {needs}")
    if compiler == ZIG and subprocess.run([*ZIG, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("no ziglang")
    text, declared = loops()
    source, target = folder / f"{build}.c", folder / f"{build}.so"
    source.write_text(text)
    program = PROGRAM if compiler == GCC else ()
    common = [*FLAGS, *program, *flags, "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I", str(KERNELS)]
    subprocess.run([*compiler, *common, str(source), "-o", str(target), "-lm"], check=True)
    ffi = FFI()
    ffi.cdef(declared)
    return ffi, ffi.dlopen(str(target)), target


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("math")


def call(folder, build, name, x, z=None):
    ffi, lib, _ = library(build, folder)
    x = np.ascontiguousarray(x, np.float32)
    z = x if z is None else np.ascontiguousarray(z, np.float32)
    y = np.empty_like(x)
    getattr(lib, f"t_{name}")(x.size, *(ffi.cast("float *", a.ctypes.data) for a in (x, z, y)))
    return y


def floats(step: int, start: int = 0) -> np.ndarray:
    return np.arange(start, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


# The last three lie next to multiples of pi/2.
SPECIAL = np.array([0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 1, 0x80000001, 0x007FFFFF, 0x00800000,
                    0x80800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0xBF800000, 0x3F7FFFFF, 0x3F800001, 0xBF7FFFFF, 0xBF800001,
                    0x3F000000, 0xBF000000, 0x40000000, 0x40400000, 0xC0400000, 0x4B7FFFFF, 0xCB7FFFFF, 0x4B800001, 0x42B17218,
                    0x42B17217, 0xC2CFF1B5, 0xC2CFF1B4, 0x43000000, 0xC3150000, 0x33800000, 0x33000000, 0x437CE5F1, 0x458BE628, 0x450BE628],
                   np.uint32).view(np.float32)  # fmt: skip


def arguments_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    if name not in BINARY:
        return np.concatenate([SPECIAL, floats(80021), rng.uniform(-4, 4, 20000).astype(np.float32)]), np.zeros(1)
    a, b = np.meshgrid(SPECIAL, SPECIAL)
    x, z = rng.permutation(floats(160001)), rng.permutation(floats(160001, 7))
    base = np.exp(rng.uniform(-3, 3, 50000)) if name == "pow" else rng.standard_normal(50000)
    return (np.concatenate([a.ravel(), x, base.astype(np.float32)]),
            np.concatenate([b.ravel(), z, rng.uniform(-40, 40, 50000).astype(np.float32)]))  # fmt: skip


def each(f):
    return lambda x: np.array([f(v) for v in x.tolist()])


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


REFERENCE = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": softplus, "erf": each(math.erf), "erfc": each(math.erfc),
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": np.cbrt, "pow": np.float_power,
    "atan2": np.arctan2,
}  # fmt: skip


def ulps(got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Errors in units of the last place of a float of the size of `wanted`; infinite where kind or sign is wrong."""
    with np.errstate(all="ignore"):
        g, w = np.abs(got.astype(np.float64)), np.abs(wanted)
        exponent = np.clip(np.frexp(np.minimum(np.where(np.isnan(w), 1.0, w), 3e38))[1] - 1, -126, 127)
        error = np.abs(np.minimum(g, 2.0**128) - np.minimum(w, 2.0**128)) / np.ldexp(1.0, exponent - 23)
    wrong = np.isnan(got) != np.isnan(wanted)
    wrong |= ~np.isnan(wanted) & (np.signbit(got) != np.signbit(wanted))
    wrong |= ((wanted == 0) & (got != 0)) | (np.isinf(wanted) & ~np.isinf(got))
    return np.where(wrong, np.inf, np.where(np.isnan(wanted), 0.0, error))


def assert_close(name, got, wanted, bound, x, z):
    error = ulps(got, wanted)
    at = int(np.argmax(error))
    here = [float(a[at]) for a in ((x, z) if name in BINARY else (x,))]
    assert error[at] <= bound, f"{name} of {here} is {got[at]!r}, not {wanted[at]!r}: {error[at]} ulp"


@pytest.mark.parametrize("kind", list(FIRST))
@pytest.mark.parametrize("name", [n for n in ALL if n != "erfinv"])
def test_accuracy_and_special_values(folder, name, kind):
    x, z = arguments_of(name)
    with np.errstate(all="ignore"):
        wanted = REFERENCE[name](*((x.astype(np.float64), z.astype(np.float64)) if name in BINARY else (x.astype(np.float64),)))
    bound = limit(name) if kind == "fma" else LOOSE.get(name, 3.0)
    assert_close(name, call(folder, FIRST[kind], name, x, z), wanted, bound, x, z)


@pytest.mark.parametrize("kind", list(FIRST))
def test_erfinv_is_inverse_within_4_ulp(folder, kind):
    x = np.concatenate([floats(40009), np.linspace(-1, 1, 20001, dtype=np.float32)])
    x = x[np.abs(x) < 1]
    y = call(folder, FIRST[kind], "erfinv", x)
    assert np.array_equal(np.signbit(y), np.signbit(x)) and np.all(np.abs(y[x != 0]) > 0) and np.all(y[x == 0] == 0)
    for v, r in zip(np.abs(x).astype(np.float64).tolist(), np.abs(y).tolist(), strict=True):
        step = 4 * float(np.spacing(np.float32(r)))
        if v < 0.5:
            assert math.erf(r - step) <= v <= math.erf(r + step), (v, r)
        else:
            assert math.erfc(r + step) <= 1 - v <= math.erfc(r - step), (v, r)
    edge = call(folder, FIRST[kind], "erfinv", np.array([1, -1, 1.0000001, -2, np.inf, -np.inf, np.nan]))
    assert edge[0] == np.inf and edge[1] == -np.inf and np.all(np.isnan(edge[2:]))


def test_exact_values(folder):
    def value(name, *x):
        return float(call(folder, "native", name, *([v] for v in x))[0])

    exact = [("exp", 0, 1), ("exp2", -149, 2.0**-149), ("exp2", 127, 2.0**127), ("log", 1, 0), ("log2", 2.0**-149, -149),
             ("log2", 8, 3), ("cos", 0, 1), ("cosh", 0, 1), ("erfc", 0, 1), ("sigmoid", 0, 0.5), ("acos", 1, 0), ("cbrt", 27, 3),
             ("cbrt", -8, -2), ("pow", 2, -149, 2.0**-149), ("pow", 3, 5, 243), ("pow", -2, 3, -8)]  # fmt: skip
    for name, *x, wanted in exact:
        assert value(name, *x) == wanted, name


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("kind", list(FIRST))
def test_fast_and_complete_agree_where_nothing_is_hard(folder, name, kind):
    x, z = arguments_of(name)
    hard = call(folder, FIRST[kind], f"{name}_hard", x, z) != 0
    fast, complete = (call(folder, FIRST[kind], f"{name}{end}", x, z) for end in ("_fast", ""))
    assert 0 < hard.sum() < x.size
    same = (fast.view(np.uint32) == complete.view(np.uint32)) | (np.isnan(fast) & np.isnan(complete))
    assert np.all(same | hard), x[~(same | hard)][:5]
    usual = (x > 1e-3) & (x < {"erfc": 9, "sinh": 87, "cosh": 87}.get(name, 100))
    if name in BINARY:
        usual &= np.abs(z) < 15  # so that the result is a usual one
    assert usual.any() and not hard[usual].any()


@pytest.mark.parametrize("kind", list(FIRST))
def test_negative_bases_of_whole_powers_are_not_hard(folder, kind):
    x, z = np.array([-2, -3, -0.5, -2, -2, -0.0], np.float32), np.array([3, -2, 4, 0.5, np.nan, 3], np.float32)
    assert call(folder, FIRST[kind], "pow_hard", x, z).tolist() == [0, 0, 0, 1, 1, 1]
    got = call(folder, FIRST[kind], "pow_fast", x, z)[:3]
    assert np.array_equal(got, call(folder, FIRST[kind], "pow", x, z)[:3]) and np.signbit(got).tolist() == [1, 0, 0]


@pytest.mark.parametrize("build", [b for b in BUILDS if b not in FIRST.values()])
def test_same_bits_for_every_width_and_compiler(folder, build):
    first = FIRST[BUILDS[build][2]]
    library(build, folder)
    for name in [*ALL, *(f"{n}_fast" for n in FAST)]:
        x, z = arguments_of(name.partition("_")[0])
        a, b = call(folder, first, name, x, z), call(folder, build, name, x, z)
        same = (a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))
        if name.endswith("_fast"):  # of hard arguments no program uses it
            same |= call(folder, first, f"{name.removesuffix('_fast')}_hard", x, z) != 0
        assert np.all(same), f"{name}: {(~same).sum()} differ, as at {x[~same][0]!r}"


def code(target: Path) -> dict[str, list[str]]:
    """The instructions of each function of a library."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(target)], capture_output=True, text=True, check=True)
    found, current = {}, []
    for line in out.stdout.splitlines():
        if head := re.match(r"[0-9a-f]+ <(\w+)>:", line):
            current = found.setdefault(head[1], [])
        elif "\t" in line:
            current.append(line.split("\t", 1)[1])
    return found


def is_vector(lines: list[str], register: str) -> bool:
    arithmetic = [i for i in lines if re.match(r"v(fn?m(add|sub)\w*|mul)p[sd]\b", i)]
    return any(register in i for i in arithmetic) and not any(re.match(r"call", i) for i in lines)


@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
@pytest.mark.parametrize("build, register", [("avx2", "%ymm"), ("avx512", "%zmm")])
def test_loops_are_vectors_without_calls(folder, build, register):
    functions = code(library(build, folder)[2])
    for name in ALL:
        slow_path = name in ("sin", "cos", "tan")
        loop = functions[f"t_{name}_fast" if slow_path else f"t_{name}"]
        assert is_vector(loop, register), name


@pytest.mark.skipif(shutil.which("objdump") is None or not X86, reason="no objdump")
def test_scalar_loops_are_told_from_vectors(folder):
    functions = code(library("scalar", folder)[2])
    assert not any(is_vector(functions[f"t_{name}"], "%ymm") for name in ALL)


def test_errors_are_seen():
    wanted = np.array([1.0, 0.0, np.inf, np.nan, 1.0])
    good = wanted.astype(np.float32)
    assert np.all(ulps(good, wanted) == 0)
    for at, value in enumerate([1.0 + 2.0**-21, -0.0, 3e38, 1.0, np.nan]):
        bad = good.copy()
        bad[at] = value
        assert ulps(bad, wanted)[at] > 2
