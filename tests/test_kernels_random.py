"""kernels/weft_random.h: published Philox vectors, the NumPy transcription bit for bit, accuracy and distribution."""

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI
from scipy import stats

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
spec = importlib.util.spec_from_file_location("philox_reference", KERNELS / "philox_reference.py")
ref = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ref)

DRAWS = {"random_u32": ("uint32_t", np.uint32), "random_u64": ("uint64_t", np.uint64), "uniform_f32": ("float", np.float32),
         "uniform_f64": ("double", np.float64), "normal_f32": ("float", np.float32), "normal_f64": ("double", np.float64)}
TEXT = '#include "weft_random.h"\n' + "".join(
    f"void t_{f}(uint64_t key, uint64_t hi, uint64_t i0, int64_t n, {t} *o) {{ for (int64_t i = 0; i < n; i++) o[i] = weft_{f}(key, hi, i0 + i); }}\n"
    for f, (t, _) in DRAWS.items()) + "".join(
    f"void t_{f}(const double *x, int64_t n, double *o) {{ for (int64_t i = 0; i < n; i++) o[i] = weft_{f}(x[i]); }}\n"
    for f in ("exact_log", "exact_cos_turn", "exact_sin_turn")) + \
    "void t_philox(uint32_t *k, uint32_t *c, uint32_t *o) { weft_philox(k, c, o); }\n"
DECL = "".join(f"void t_{f}(uint64_t key, uint64_t hi, uint64_t i0, int64_t n, void *o);" for f in DRAWS) + "".join(
    f"void t_{f}(void *x, int64_t n, void *o);" for f in ("exact_log", "exact_cos_turn", "exact_sin_turn")) + \
    "void t_philox(void *k, void *c, void *o);"


@pytest.fixture(scope="session", params=["native", "no fma", "c++"])
def lib(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    (folder / "t.cpp").write_text('extern "C" {\n' + TEXT + "}\n")
    (folder / "t.c").write_text(TEXT)
    compiler = {"native": ["gcc", "-O3", "-march=native", folder / "t.c"], "no fma": ["gcc", "-O1", folder / "t.c"],
                "c++": ["g++", "-O2", "-march=native", folder / "t.cpp"]}[request.param]
    subprocess.run([*compiler, "-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-fPIC", "-shared",
                    "-I", KERNELS, "-o", folder / "t.so"], check=True)
    ffi = FFI()
    ffi.cdef(DECL)
    return ffi, ffi.dlopen(str(folder / "t.so"))


def pointer(ffi, x):
    return ffi.cast("void *", x.ctypes.data)


def draw(lib, f, key, hi, i0, n):
    out = np.empty(n, DRAWS[f][1])
    getattr(lib[1], f"t_{f}")(key, hi, i0, n, pointer(lib[0], out))
    return out


def evaluate(lib, f, x):
    out = np.empty(x.size)
    getattr(lib[1], f"t_{f}")(pointer(lib[0], x), x.size, pointer(lib[0], out))
    return out


@pytest.mark.parametrize("key,counter,want", [  # the known answers of the Random123 distribution
    ([0, 0], [0] * 4, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 2, [0xFFFFFFFF] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0xA4093822, 0x299F31D0], [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
])
def test_philox_vectors(lib, key, counter, want):
    out = np.empty(4, np.uint32)
    k, c = np.array(key, np.uint32), np.array(counter, np.uint32)
    lib[1].t_philox(pointer(lib[0], k), pointer(lib[0], c), pointer(lib[0], out))
    assert out.tolist() == want
    assert [int(w) for w in ref.philox(key, counter)] == want


@pytest.mark.parametrize("f", DRAWS)
def test_bits_of_the_numpy_transcription(lib, f):
    for key, hi, i0, n in [(0, 0, 0, 200000), (2**64 - 1, 3, 2**32 - 500, 1000), (0x1234567890ABCDEF, 2**40 + 7, 2**63, 1000)]:
        i = np.arange(n, dtype=np.uint64) + np.uint64(i0)
        assert draw(lib, f, key, hi, i0, n).tobytes() == getattr(ref, f)(key, hi, i).tobytes()


def test_log_cos_and_sin_are_accurate(lib):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.random(100000) + 2**-53, 2.0 ** -np.arange(54), 1 - 2.0 ** -np.arange(2, 54), [1.0]])
    got, want = evaluate(lib, "exact_log", x), np.log(x.astype(np.longdouble))
    assert got.tobytes() == ref.exact_log(x).tobytes() and got[-1] == 0
    assert np.max(np.abs(got - want) / np.spacing(np.maximum(np.abs(want.astype(float)), 1e-300))) < 2.5
    u = np.concatenate([rng.random(100000), np.arange(64) / 64, 1 - 2.0 ** -np.arange(2, 54)])
    turn = 2 * np.arctan2(np.longdouble(0), np.longdouble(-1)) * u
    for f, g in (("exact_cos_turn", np.cos), ("exact_sin_turn", np.sin)):
        got = evaluate(lib, f, u)
        assert got.tobytes() == getattr(ref, f)(u).tobytes()
        assert np.abs(got - g(turn)).max() < 2.3e-16


def test_distribution(lib):
    n = 100000
    for f in ("uniform_f32", "uniform_f64"):
        x = draw(lib, f, 42, 1, 0, n)
        assert x.min() >= 0 and x.max() < 1
        assert stats.kstest(x, "uniform").pvalue > 1e-3
    for f in ("normal_f32", "normal_f64"):
        x = draw(lib, f, 42, 2, 0, n)
        assert np.isfinite(x).all() and stats.kstest(x, "norm").pvalue > 1e-3
    a, b = draw(lib, "normal_f64", 42, 3, 0, n), draw(lib, "normal_f64", 42, 4, 0, n)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.015 and abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.015
