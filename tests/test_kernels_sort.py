"""kernels/weft_sort.h against NumPy's stable sort."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
INTS = {f"{k}{b}": f"{'u' * (k == 'u')}int{b}_t" for k in "iu" for b in (8, 16, 32, 64)}
C = {"b": "uint8_t", **INTS, "f16": "uint16_t", "bf16": "uint16_t", "f32": "float", "f64": "double", "c64": "weft_c64", "c128": "weft_c128"}
NUMPY = {"b": np.dtype(bool), **{d: np.dtype(t[:-2]) for d, t in INTS.items()}, "f16": np.dtype("f2"), "bf16": np.dtype("u2"),
         "f32": np.dtype("f4"), "f64": np.dtype("f8"), "c64": np.dtype("c8"), "c128": np.dtype("c16")}


class Sorter:
    def __init__(self, path):
        self.ffi = FFI()
        self.ffi.cdef("".join(f"void t_sort_{d}(void *r, int64_t n, void *t); void t_argsort_{d}(void *r, void *i, int64_t n, void *t);" for d in C))
        self.lib = self.ffi.dlopen(str(path))

    def at(self, x):
        return self.ffi.cast("void *", x.ctypes.data)

    def sort(self, d, x):
        x, tmp = x.copy(), np.empty_like(x)
        getattr(self.lib, f"t_sort_{d}")(self.at(x), x.size, self.at(tmp))
        return x

    def argsort(self, d, x):
        idx, tmp = np.empty(x.size, np.int64), np.empty(x.size, np.int64)
        getattr(self.lib, f"t_argsort_{d}")(self.at(x), self.at(idx), x.size, self.at(tmp))
        return idx


@pytest.fixture(scope="session")
def sorter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sort")
    (folder / "t.c").write_text('#include "weft_sort.h"\n' + "".join(
        f"void t_sort_{d}({t} *r, int64_t n, {t} *t) {{ weft_sort_{d}(r, n, t); }}\n"
        f"void t_argsort_{d}(const {t} *r, int64_t *i, int64_t n, int64_t *t) {{ weft_argsort_{d}(r, i, n, t); }}\n" for d, t in C.items()))
    subprocess.run(["gcc", "-O2", "-fwrapv", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I", KERNELS,
                    folder / "t.c", "-o", folder / "t.so"], check=True)
    return Sorter(folder / "t.so")


def rows(d):
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 1000, 4097):
        if d == "bf16":
            yield rng.integers(0, 65536, n).astype(np.uint16)
        elif NUMPY[d].kind in "biu":
            yield rng.integers(0, 2 if d == "b" else 100, n).astype(NUMPY[d])
            if d != "b":
                yield np.frombuffer(rng.bytes(n * NUMPY[d].itemsize), NUMPY[d])
        else:
            pool = np.array([0.0, -0.0, 1, -1, np.nan, np.inf, -np.inf, 2.5, 3, 1e-7], NUMPY[d])
            x = rng.choice(pool, n)
            if d[0] == "c":
                y = np.empty(n, NUMPY[d])
                y.real, y.imag = x.real, rng.choice(pool, n).real
                x = y
            yield x
            yield rng.standard_normal(n).astype(NUMPY[d])
            yield np.arange(n).astype(NUMPY[d])
            yield np.arange(n)[::-1].astype(NUMPY[d])


@pytest.mark.parametrize("d", C)
def test_against_numpy(sorter, d):
    for x in rows(d):
        x = np.ascontiguousarray(x)
        key = (x.astype(np.uint32) << 16).view(np.float32) if d == "bf16" else x
        order = np.argsort(key, kind="stable")
        assert (sorter.argsort(d, x) == order).all(), x.size
        assert sorter.sort(d, x).tobytes() == x[order].tobytes(), "stable, so zeros and NaN keep their bits"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32), max_size=80))
def test_any_floats(sorter, values):
    x = np.array(values, np.float32)
    assert (sorter.argsort("f32", x) == np.argsort(x, kind="stable")).all()
