"""kernels/weft_math_f64.h and its companions: special values, errors, the same bits from every build, and vectors."""

import json
import math
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = ["-I", str(ROOT / "kernels"), "-I", str(ROOT / "bench")]
# As compiler/build/toolchain.py has them.
BITS = ["-std=gnu11", "-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC"]
FLAGS = [*BITS, "-O2", "-ftree-vectorize"]
UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sigmoid", "softplus", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "cbrt", "erf", "erfc", "erfinv",
]  # fmt: skip
BINARY = ["pow", "atan2"]
# those of a fast and a complete form
HARD = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sinh", "cosh", "asinh", "acosh", "erfc", "sin", "cos",
    "tan", "pow", "atan2",
]  # fmt: skip
BOUND = {"sigmoid": 4, "softplus": 4, "erfinv": 4}
NAN, INF, TINY, MOST = math.nan, math.inf, 5e-324, sys.float_info.max


def source():
    lines = ['#include "math_f64.h"']
    for name in [*UNARY, *BINARY]:
        x, v = (
            ("const double *restrict a, ", "a[i]")
            if name in UNARY
            else ("const double *restrict a, const double *restrict b, ", "a[i], b[i]")
        )
        lines.append(
            f"void all_{name}({x}double *restrict y, int64_t n) {{ for (int64_t i = 0; i < n; i++) y[i] = weft_{name}_f64({v}); }}"
        )
        if name in HARD:
            lines.append(
                f"int64_t fast_{name}({x}double *restrict y, int64_t n) {{\n  int64_t hard = 0;\n  for (int64_t i = 0; i < n; i++) {{\n"
                f"    y[i] = weft_{name}_fast_f64({v});\n    hard |= weft_{name}_is_hard_f64({v});\n  }}\n  return hard;\n}}"
            )
            lines.append(
                f"void hard_{name}({x}double *restrict y, int64_t n) {{ for (int64_t i = 0; i < n; i++) y[i] = weft_{name}_is_hard_f64({v}) != 0; }}"
            )
    return "\n".join(lines)


DECL = "\n".join(
    [f"void all_{n}(void *a, void *y, int64_t n);" for n in UNARY]
    + [f"void all_{n}(void *a, void *b, void *y, int64_t n);" for n in BINARY]
    + [f"int64_t fast_{n}(void *a, {'void *b, ' * (n in BINARY)}void *y, int64_t n);" for n in HARD]
    + [f"void hard_{n}(void *a, {'void *b, ' * (n in BINARY)}void *y, int64_t n);" for n in HARD]
)


def cpu_flags():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.M)
    return set(found.group(1).split()) if found else set()


# class -> build -> (flags of the machine, flags of the compiler)
X86 = {
    "fma": {
        "avx2": ("avx2 fma", ["-mavx2", "-mfma"]),
        "scalar": ("avx2 fma", ["-mavx2", "-mfma", "-fno-tree-vectorize"]),
        "avx512": (
            "avx512f avx512dq avx512vl fma",
            ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
        ),
    },
    # zig's clang compiles for the machine it runs on, so fma has to be refused
    "plain": {
        "sse2": ("sse2", ["-mno-fma"]),
        "scalar": ("sse2", ["-fno-tree-vectorize"]),
        "avx": ("avx", ["-mavx", "-mno-fma"]),
    },
}


def clang():
    if shutil.which("clang"):
        return ["clang"]
    try:
        import ziglang  # noqa: F401
    except ImportError:
        return None
    return [sys.executable, "-m", "ziglang", "cc"]


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("math_f64")
    made = {}

    def get(cc=("gcc",), flags=()):
        key = (*cc, *flags)
        if key not in made:
            if shutil.which(cc[0]) is None:
                pytest.skip(f"no {cc[0]}")
            path = folder / f"m{len(made)}.so"
            (folder / "m.c").write_text(source())
            done = subprocess.run(
                [*cc, *FLAGS, *flags, *INCLUDE, "-Wall", "-Wextra", "-shared", str(folder / "m.c"), "-o", str(path)],
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
            ffi = FFI()
            ffi.cdef(DECL)
            lib = ffi.dlopen(str(path))
            made[key] = Built(path, ffi, lib)
        return made[key]

    return get


class Built:
    def __init__(self, path, ffi, lib):
        self.path, self.ffi, self.lib = path, ffi, lib

    def __call__(self, name, *args):
        args = [np.ascontiguousarray(a, np.float64) for a in args]
        y = np.empty(args[0].size)
        self.last = getattr(self.lib, name)(*(self.ffi.cast("void *", a.ctypes.data) for a in (*args, y)), y.size)
        return y


def best():
    """The flags of one build that this machine runs, with fma where it has one."""
    return ["-mavx2", "-mfma"] if {"avx2", "fma"} <= cpu_flags() else []


SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (709.79, INF), (-745.2, 0), (-745.1, TINY), (MOST, INF), (-MOST, 0)],
    "exp2": [(0, 1), (INF, INF), (-INF, 0), (1024, INF), (1023, 2.0**1023), (-1074, TINY), (-1075.1, 0), (-1022, 2.0**-1022), (10, 1024)],
    "expm1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -1), (709.79, INF), (-50, -1), (TINY, TINY), (-TINY, -TINY)],
    "log": [(1, 0), (0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN), (-INF, NAN), (-TINY, NAN)],
    "log2": [(1, 0), (0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN), (TINY, -1074), (2.0**1023, 1023), (0.25, -2)],
    "log10": [(1, 0), (0, -INF), (-0.0, -INF), (INF, INF), (-1, NAN), (-INF, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-1.5, NAN), (-INF, NAN), (TINY, TINY), (-TINY, -TINY)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (30, 1), (TINY, TINY), (-TINY, -TINY)],
    "sigmoid": [(0, 0.5), (INF, 1), (-INF, 0), (50, 1), (-745.1, TINY), (-800, 0)],
    "softplus": [(INF, INF), (-INF, 0), (100, 100), (-745.1, TINY), (MOST, MOST), (-800, 0)],
    "sin": [(0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (TINY, TINY), (-TINY, -TINY)],
    "cos": [(0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (TINY, 1)],
    "tan": [(0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (TINY, TINY), (-TINY, -TINY)],
    "asin": [(0, 0), (-0.0, -0.0), (1, math.pi / 2), (-1, -math.pi / 2), (1.1, NAN), (-INF, NAN), (TINY, TINY)],
    "acos": [(1, 0), (-1, math.pi), (0, math.pi / 2), (1.1, NAN), (-1.1, NAN), (INF, NAN)],
    "atan": [(0, 0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2), (1, math.pi / 4), (TINY, TINY)],
    "sinh": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (711, INF), (-711, -INF), (TINY, TINY)],
    "cosh": [(0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (711, INF), (-711, INF)],
    "asinh": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (TINY, TINY), (-TINY, -TINY)],
    "acosh": [(1, 0), (INF, INF), (0.999, NAN), (-1, NAN), (-2, NAN), (-INF, NAN), (0, NAN)],
    "atanh": [(0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.1, NAN), (-1.1, NAN), (INF, NAN), (TINY, TINY)],
    "cbrt": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (27, 3), (-8, -2), (1e-300, 1e-100), (2.0**-1074, 2.0**-358)],
    "erf": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (7, 1), (-7, -1)],
    "erfc": [(0, 1), (-0.0, 1), (INF, 0), (-INF, 2), (28, 0), (1e300, 0), (-7, 2)],
    "erfinv": [(0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.0000000000000002, NAN), (-2, NAN), (INF, NAN)],
}  # fmt: skip
PI = math.pi
SPECIAL2 = {
    "pow": [
        (2, 0, 1), (NAN, 0, 1), (NAN, -0.0, 1), (INF, 0, 1), (0, 0, 1), (1, NAN, 1), (1, INF, 1), (1, -INF, 1), (-1, INF, 1), (-1, -INF, 1),
        (0, 3, 0), (-0.0, 3, -0.0), (-0.0, 2, 0), (0, -1, INF), (-0.0, -1, -INF), (-0.0, -2, INF), (-0.0, 0.5, 0), (-0.0, -0.5, INF),
        (0, INF, 0), (0, -INF, INF), (0.5, INF, 0), (0.5, -INF, INF), (2, INF, INF), (2, -INF, 0), (-2, INF, INF), (-0.5, INF, 0),
        (INF, 2, INF), (INF, -2, 0), (-INF, 3, -INF), (-INF, 2, INF), (-INF, -3, -0.0), (-INF, -2, 0), (-INF, 0.5, INF),
        (-2, 3, -8), (-2, 2, 4), (-2, 0.5, NAN), (-8, 1 / 3, NAN), (2, NAN, NAN), (NAN, 2, NAN), (2, 1024, INF), (-2, 1025, -INF),
        (2, -1074, TINY), (2, -1076, 0), (-2, -1075, -0.0), (-2, -1077, -0.0), (2, 10, 1024), (TINY, 1, TINY), (2, MOST, INF), (0.5, MOST, 0), (1, MOST, 1), (-1, MOST, 1),
        (-1, 2.0**53 - 1, -1), (-1, 2.0**53, 1), (-3, 1e300, INF), (-3, -1e300, 0),
    ],
    "atan2": [
        (0, 1, 0), (-0.0, 1, -0.0), (0, -1, PI), (-0.0, -1, -PI), (0, 0, 0), (-0.0, 0, -0.0), (0, -0.0, PI), (-0.0, -0.0, -PI),
        (1, 0, PI / 2), (-1, -0.0, -PI / 2), (1, INF, 0), (-1, INF, -0.0), (1, -INF, PI), (-1, -INF, -PI), (INF, 1, PI / 2), (-INF, -1, -PI / 2),
        (INF, INF, PI / 4), (-INF, INF, -PI / 4), (INF, -INF, 3 * PI / 4), (-INF, -INF, -3 * PI / 4), (1, 1, PI / 4), (TINY, TINY, PI / 4),
        (TINY, 1, TINY), (1, TINY, PI / 2), (NAN, 1, NAN), (1, NAN, NAN), (NAN, INF, NAN), (INF, NAN, NAN), (0, NAN, NAN),
    ],
}  # fmt: skip


def same(got, expected):
    """Equal, with zeros of one sign, or both NaN."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    return (np.isnan(got) & np.isnan(expected)) | ((got == expected) & (np.signbit(got) == np.signbit(expected)))


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
@pytest.mark.parametrize("kind", ["best", "plain"])
def test_special_values(build, name, kind):
    rows = [(x, y) for x, y in SPECIAL[name]] + [(NAN, NAN)] if name in SPECIAL else SPECIAL2[name]
    columns = [np.array(c, np.float64) for c in zip(*(r * 1 for r in rows))]
    y = build(flags=best() if kind == "best" else [])(f"all_{name}", *columns[:-1])
    wrong = [(row, got) for row, got, ok in zip(rows, y, same(y, columns[-1])) if not ok]
    assert not wrong


def ulps(got, exact):
    """The error of a double in units of the last place of the exact value, a Fraction."""
    if math.isinf(got):
        return INF
    exponent = max(math.frexp(float(exact))[1], -1021)
    return float(abs(Fraction(got) - exact) / Fraction(2) ** (exponent - 53))


def test_values_to_forty_digits(build):
    lines = [
        line.split() for line in (ROOT / "tests" / "math_f64_values.txt").read_text().splitlines() if line[0] != "#"
    ]
    assert {row[0] for row in lines} == {*UNARY, *BINARY}
    wrong = []
    for flags, slack in ((best(), 0 if best() else 2), ([], 2)):
        for name, *args, exact in lines:
            y = build(flags=flags)(f"all_{name}", *(np.array([float.fromhex(a)]) for a in args))[0]
            if (error := ulps(y, Fraction(Decimal(exact)))) > BOUND.get(name, 2) + slack:
                wrong.append((name, args, error))
    assert not wrong


@pytest.fixture(scope="session")
def harness(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accuracy_f64")

    def get(flags):
        path = folder / ("x" + "".join(flags))
        if not path.exists():
            done = subprocess.run(
                [
                    "gcc",
                    *BITS,
                    "-O2",
                    *flags,
                    *INCLUDE,
                    str(ROOT / "bench" / "accuracy_f64.c"),
                    "-o",
                    str(path),
                    "-lquadmath",
                    "-lm",
                ],
                capture_output=True,
                text=True,
            )
            if "quadmath" in done.stderr and done.returncode:
                pytest.skip("no libquadmath")
            assert done.returncode == 0, done.stderr
        return path

    return get


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_errors_of_samples(harness, name):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    for flags in [best(), []] if best() else [[]]:
        done = subprocess.run([str(harness(flags)), name, "60000", "5"], capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        assert row["function"] == name and row["count"] == 60000 and not row["special_failures"], (
            flags,
            row,
            done.stderr,
        )
        assert 0 < row["max_ulp"] <= BOUND.get(name, 2 if flags else 4), (flags, row)


def samples(rng, n=6000):
    """Numbers of every exponent, of the usual size, near 1 and near multiples of pi / 2, and what is not finite."""
    bits = rng.integers(0, 2**64, n, dtype=np.uint64).view(np.float64)
    near = 1 + rng.standard_normal(n) * 2.0 ** rng.integers(-52, 0, n)
    turns = np.round(rng.standard_normal(n) * 2.0 ** rng.integers(0, 30, n)) * (np.pi / 2)
    return np.concatenate(
        [
            bits,
            rng.standard_normal(n) * 30,
            rng.standard_normal(n),
            near,
            turns,
            [0, -0.0, INF, -INF, NAN, TINY, -TINY, MOST],
            np.repeat([0, -0.0, INF, -INF, NAN], n // 50),
        ]
    )


def outcomes(lib):
    rng = np.random.default_rng(3)
    x = samples(rng)
    z = rng.permutation(samples(rng))
    found = {}
    for name in [*UNARY, *BINARY]:
        args = (np.abs(x), z) if name == "pow" else (x, z)[: 1 + (name in BINARY)]
        kinds = ("all", "hard") if name in HARD else ("all",)
        for kind in kinds:
            y = lib(f"{kind}_{name}", *args)
            found[name, kind] = np.where(np.isnan(y), np.nan, y).view(np.uint64)
        if name in HARD:  # where it is not hard, the fast form has the bits of the complete one
            y = lib(f"fast_{name}", *args)
            assert lib.last != 0
            easy = found[name, "hard"] == 0
            assert easy.sum() > 1000 and (~easy).sum() > 100, name
            fast = np.where(np.isnan(y), np.nan, y).view(np.uint64)
            assert (fast == found[name, "all"])[easy].all(), name
    return found


@pytest.mark.parametrize("kind", list(X86))
def test_bits_do_not_depend_on_the_build(build, kind):
    flags = cpu_flags()
    libs = {n: build(flags=f) for n, (needs, f) in X86[kind].items() if set(needs.split()) <= flags}
    if not libs:
        pytest.skip("no x86-64 with these instructions")
    if (cc := clang()) is not None:
        libs |= {
            f"clang {n}": build(cc=cc, flags=[*f, "-O2"])
            for n, (needs, f) in X86[kind].items()
            if n != "scalar" and set(needs.split()) <= flags
        }
    first, *others = ((n, outcomes(lib)) for n, lib in libs.items())
    assert others
    for name, other in others:
        for key, bits in first[1].items():
            wrong = np.flatnonzero(bits != other[key])
            assert not wrong.size, (first[0], name, key, wrong[:5])


# Reads n, the arguments of one function and those of its second, and writes the results.
PIPE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  int64_t n = atoll(argv[2]);
  double *a = malloc(8 * n), *b = malloc(8 * n), *y = malloc(8 * n);
  if (argc != 3 || fread(a, 8, n, stdin) != (size_t)n || fread(b, 8, n, stdin) != (size_t)n) return 1;
%s
  return fwrite(y, 8, n, stdout) != (size_t)n;
}
"""


def test_bits_on_another_processor(build, tmp_path):
    """aarch64 has fma: its bits are those of the fma class here."""
    cc = clang()
    if shutil.which("qemu-aarch64") is None or cc is None or "ziglang" not in cc or not best():
        pytest.skip("needs qemu-aarch64, ziglang and fma here")
    calls = [f'  if (!strcmp(argv[1], "{n}")) all_{n}(a, {"b, " * (n in BINARY)}y, n);' for n in [*UNARY, *BINARY]]
    (tmp_path / "m.c").write_text(source() + PIPE % "\n".join(calls))
    program = str(tmp_path / "m")
    flags = [f for f in FLAGS if f != "-fPIC"]
    command = [*cc, "-target", "aarch64-linux-musl", "-static", *flags, *INCLUDE, str(tmp_path / "m.c"), "-o", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(4)
    x = samples(rng, 2000)
    z = rng.permutation(x)
    here = build(flags=best())
    for name in [*UNARY, *BINARY]:
        first = np.abs(x) if name == "pow" else x
        done = subprocess.run(
            ["qemu-aarch64", program, name, str(x.size)],
            input=first.tobytes() + z.tobytes(),
            capture_output=True,
            check=True,
        )
        y = np.frombuffer(done.stdout)
        expected = here(f"all_{name}", *(first, z)[: 1 + (name in BINARY)])
        assert (same(y, expected)).all(), (name, first[~same(y, expected)][:5])


@pytest.mark.parametrize("kind", ["avx2", "avx512"])
def test_loops_are_vectors(build, kind):
    """No call and no jump but the loop's own in the packed loop, and packed arithmetic in it."""
    needs, flags = X86["fma"][kind]
    if shutil.which("objdump") is None or not set(needs.split()) <= cpu_flags():
        pytest.skip("needs objdump and the machine's vectors")
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", build(flags=flags).path], capture_output=True, text=True, check=True
    ).stdout
    bodies = dict(re.findall(r"^\w+ <(\w+)>:\n(.*?)(?=^\w+ <|\Z)", text, re.M | re.S))
    register = {"avx2": "%ymm", "avx512": "%zmm"}[kind]
    for name in [*UNARY, *BINARY]:
        body = bodies[f"{'fast' if name in HARD else 'all'}_{name}"]
        packed = len(re.findall(rf"\tvf(?:n)?m(?:add|sub)\d+pd .*{register}", body))
        assert packed >= 8, (name, packed)
        assert "\tcall" not in body, name


def test_compiles_as_cxx(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    (tmp_path / "m.cpp").write_text(
        '#include "math_f64.h"\ndouble f(double x) { return weft_pow_f64(weft_sin_f64(x), weft_erfc_f64(x)); }\n'
    )
    done = subprocess.run(
        ["g++", "-Wall", "-Wextra", "-Werror", *INCLUDE, "-c", str(tmp_path / "m.cpp"), "-o", str(tmp_path / "m.o")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


BEYOND_ONE = """
#include <math.h>
#include "math_f64.h"
/* sin and cos of every double so near an odd multiple of pi/2 that the nearest double is 1; how many are beyond it */
int64_t beyond(int64_t multiple) {
  double middle = (double)multiple * 0x1.921fb54442d18p+0, step = nextafter(middle, INFINITY) - middle;
  int64_t count = 0, reach = (int64_t)(1.1e-8 / step);
  for (int64_t i = -reach; i <= reach; i++) {
    double x = middle + (double)i * step;
    count += (fabs(weft_sin_f64(x)) > 1.0) + (fabs(weft_cos_f64(x)) > 1.0);
  }
  return count;
}
"""


def test_no_sine_passes_one(tmp_path):
    """As an angle, asin(sin(x)) is to be one: of some 2^27 doubles next to pi/2 the sines were beyond 1 for 64."""
    (tmp_path / "one.c").write_text(BEYOND_ONE)
    flags = [*BITS, "-O3", "-march=native", "-shared", *INCLUDE]
    subprocess.run(["gcc", *flags, tmp_path / "one.c", "-lm", "-o", tmp_path / "one.so"], check=True)
    ffi = FFI()
    ffi.cdef("int64_t beyond(int64_t multiple);")
    lib = ffi.dlopen(str(tmp_path / "one.so"))
    assert [lib.beyond(m) for m in (1, 2, 3, -5, 1001, 1000002)] == [0] * 6
