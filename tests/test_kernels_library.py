"""kernels/weft_library.c against NumPy and SciPy: every routine, every dtype, empty sizes, bad indices."""

import itertools
import re
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse
from cffi import FFI
from scipy.linalg import cython_blas, cython_lapack

from weft.compiler.build.library import parts

ROOT = Path(__file__).resolve().parent
KERNELS = ROOT.parent / "kernels"
FLAGS = ["-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-std=gnu11", "-fPIC", "-pthread",
         "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-I", KERNELS]  # fmt: skip
INTS = {f"{k}{b}": np.dtype(f"{'u' * (k == 'u')}int{b}") for k in "iu" for b in (8, 16, 32, 64)}
NUMBERS = {**INTS, "f16": np.dtype("f2"), "bf16": np.dtype(ml_dtypes.bfloat16), "f32": np.dtype("f4"),
           "f64": np.dtype("f8"), "c64": np.dtype("c8"), "c128": np.dtype("c16")}  # fmt: skip
TYPES = {"b": np.dtype(bool), **NUMBERS}
HALF = ("f16", "bf16")
REAL = {"f32": 1e-5, "f64": 1e-13, "c64": 1e-5, "c128": 1e-13, "f16": 1e-3, "bf16": 1e-2}  # of the result's size
WIDE = {"i32": np.int32, "i64": np.int64}

of_numbers = pytest.mark.parametrize("d", NUMBERS)
of_all = pytest.mark.parametrize("d", TYPES)
of_indices = pytest.mark.parametrize("w", WIDE)

# name -> how it is called: p pointer, n int64, i int, f function pointer; the result after a colon
ANY = {"sort": "ppnnp", "argsort": "ppnnp", "nonzero_count": "pn:n", "nonzero": "pipp", "scatter": "ppippnnnnip"}
SUMS = {"product": "p:i", "product_workspace": "p:n", "gemv": "nnpnnpnpnfi", "dot": "npnpnp",
        "cumsum": "ppnnnifip", "cumsum_workspace": "nnn:n", "csr_dot_t_workspace": "nn:n"}  # fmt: skip
SPARSE = {"csr_dot": "nnnnpppppfip", "csr_dot_t": "nnnnpppppfipp", "csr_sample": "nnnnnpppppfip"}
LINEAR = {"cholesky": "pnp:n", "solve_triangular": "ppnniip:n", "blas_gemm": "nnnpnnpnnpippp:i"}
SINGLE = {"csr_check_i32": "nnnppp:i", "csr_check_i64": "nnnppp:i", "grow": "pn:p", "output": "pn:p",
          "fp_enter": "p", "fp_leave": "p"}  # fmt: skip
NAMES = {
    **{f"{n}_{d}": s for d in TYPES for n, s in ANY.items()},
    **{f"{n}_{d}": s for d in NUMBERS for n, s in SUMS.items()},
    **{f"{n}_{d}_{w}": s for d in NUMBERS for w in WIDE for n, s in SPARSE.items()},
    **{f"{n}_{d}": s for d in ("f32", "f64") for n, s in LINEAR.items()},
    **SINGLE,
}
CTYPE = {"p": "void *", "n": "int64_t", "i": "int", "f": "void *", "": "void"}


class Library:
    """weft_lib_* as Python functions of arrays: lib("sort_f32", x, out, rows, n, tmp)."""

    def __init__(self, path):
        self.ffi = FFI()
        self.ffi.cdef("extern void *const table[]; void weft_parallel_for(void); void weft_pool_set_threads(int);")
        self.lib = self.ffi.dlopen(str(path))
        self.lib.weft_pool_set_threads(3)
        self.pfor = self.ffi.addressof(self.lib, "weft_parallel_for")
        self.functions = {}
        for k, (name, kinds) in enumerate(NAMES.items()):
            kinds, _, result = kinds.partition(":")
            kind = f"{CTYPE[result]} (*)({', '.join(CTYPE[c] for c in kinds)})"
            self.functions[name] = self.ffi.cast(kind, self.lib.table[k])

    def __call__(self, name, *args):
        plain = []
        for a in args:
            if isinstance(a, np.ndarray):
                assert a.size == 0 or a.flags.aligned
                a = self.ffi.cast("void *", a.__array_interface__["data"][0])
            elif a is None:
                a = self.ffi.NULL
            plain.append(a if isinstance(a, self.ffi.CData) else int(a))
        return self.functions[name](*plain)

    def pointers(self, arrays):
        return np.array([a.__array_interface__["data"][0] for a in arrays], np.uintp)

    def threads(self):
        return (None, 1), (self.ffi.cast("void *", self.pfor), 3)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The library as an object file: -O2, as its tests need no speed."""
    folder = tmp_path_factory.mktemp("library")
    subprocess.run(["gcc", "-O2", "-march=native", *FLAGS, "-c", KERNELS / "weft_library.c", "-o", folder / "l.o"],
                   check=True)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def lib(built):
    table = ", ".join(f"(void *)weft_lib_{n}" for n in NAMES)
    (built / "t.c").write_text(f'#include "weft_library.h"\nvoid *const table[] = {{{table}}};\n')
    subprocess.run(["gcc", *FLAGS, "-shared", built / "t.c", built / "l.o", KERNELS / "weft_pool.c", "-lm", "-o",
                    built / "t.so"], check=True)  # fmt: skip
    return Library(built / "t.so")


def wide(x):
    return x.astype(np.float32) if x.dtype.name in ("float16", "bfloat16") else x


def draw(d, shape, seed=0, small=False):
    """Values of every sign and size; `small` ones, whose sums stay in range."""
    rng, t = np.random.default_rng(seed), TYPES[d]
    n = int(np.prod(shape))
    if d in INTS:
        x = rng.integers(0, 5, n).astype(t) if small else np.frombuffer(rng.bytes(n * t.itemsize), t)
    elif d == "b":
        x = rng.integers(0, 2, n).astype(t)
    elif d[0] == "c":
        x = (rng.standard_normal(n) + 1j * rng.standard_normal(n)).astype(t)
    else:
        x = rng.standard_normal(n).astype(t)
    return np.array(x.reshape(shape))


def special(d, shape, seed=0):
    """As draw, with zeros of both signs, NaN, infinities."""
    x = draw(d, shape, seed)
    if d in REAL and x.size:
        rng = np.random.default_rng(seed + 1)
        pick = rng.choice(np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0]), x.shape)
        if d[0] == "c":
            pick = pick + 1j * rng.choice(np.array([0.0, -0.0, np.nan, 1.0]), x.shape)
        x = np.where(rng.integers(0, 2, x.shape) == 0, pick.astype(x.dtype), x)
    elif x.size:
        x[np.random.default_rng(seed + 1).integers(0, 3, x.shape) == 0] = 0
    return np.ascontiguousarray(x)


def close(d, got, want, size=None):
    if d not in REAL:
        return (got == want).all()
    size = np.abs(want) if size is None else size
    return (np.abs(wide(got) - want) <= REAL[d] * (size + 1e-3)).all()


class Fault:
    def __init__(self):
        self.raw = np.zeros(3, np.int64)

    @property
    def seen(self):
        """(flag, index, length); None: no fault."""
        flag = int(self.raw[:1].view(np.int32)[0])
        return (flag, *map(int, self.raw[1:])) if flag else None


SHAPES = [(0, 3), (3, 0), (1, 1), (1, 40), (7, 5), (3, 100), (2, 1)]


@of_all
def test_sort(lib, d):
    for shape in SHAPES:
        x = special(d, shape)
        order = np.argsort(wide(x), axis=-1, kind="stable")
        idx, tmp = np.full(shape, -1, np.int64), np.empty(shape[1], np.int64)
        lib(f"argsort_{d}", x, idx, *shape, tmp)
        assert (idx == order).all()
        for out in (np.empty_like(x), x.copy()):  # elsewhere, and in place
            lib(f"sort_{d}", x if out is not x else out, out, *shape, np.empty(shape[1], x.dtype))
            assert out.tobytes() == np.take_along_axis(x, order, -1).tobytes()


def running(x: np.ndarray) -> np.ndarray:
    """Sums along axis 1 in the order that docs/numerics.md fixes: blocks of 1024 in parts of 128."""
    out, carry = np.empty_like(x), None
    for b in range(0, x.shape[1], 1024):
        before = None
        for p in range(b, min(b + 1024, x.shape[1]), 128):
            part = np.cumsum(x[:, p : min(p + 128, b + 1024)], axis=1, dtype=x.dtype)
            inside = part if before is None else before + part
            out[:, p : p + part.shape[1]] = inside if carry is None else carry + inside
            before = inside[:, -1:]
        carry = before if carry is None else carry + before
    return out


@of_numbers
@pytest.mark.parametrize("reverse", (0, 1))
def test_cumsum(lib, d, reverse):
    shapes = [(2, 5, 3), (1, 70, 1), (3, 4, 130), (0, 3, 2), (2, 0, 2), (2, 3, 0), (1, 1, 1), (1, 5000, 1), (2, 1300, 70)]
    for shape in [*shapes, (8, 2100, 1), (1, 1024, 1), (1, 2048, 3)]:
        x = special(d, shape, 3) if d in REAL else draw(d, shape, 3)
        w = wide(x)[:, ::-1] if reverse else wide(x)
        with np.errstate(all="ignore"):
            want = running(w)
        want = np.ascontiguousarray((want[:, ::-1] if reverse else want).astype(x.dtype))
        out, same = np.empty_like(x), x.copy()
        work = np.empty(lib(f"cumsum_workspace_{d}", *shape) + 64, "u1")
        lib(f"cumsum_{d}", same, same, *shape, reverse, lib.pfor, 3, work)
        for threads in (1, 2, 3):
            lib(f"cumsum_{d}", x, out, *shape, reverse, lib.pfor, threads, work)
            for got in (out, same):
                np.testing.assert_array_equal(wide(got), wide(want))
                signs = np.signbit(wide(got).real) == np.signbit(wide(want).real)
                assert signs[~np.isnan(wide(want))].all()


@of_all
def test_nonzero(lib, d):
    for shape in [(0,), (5,), (100,), (3, 0), (0, 3), (4, 7), (2, 3, 5), (1, 2, 1, 3), (2,) * 16]:
        x = special(d, shape, 5)
        want = np.nonzero(wide(x))
        count = lib(f"nonzero_count_{d}", x, x.size)
        assert count == len(want[0])
        out = [np.full(count, -1, np.int64) for _ in shape]
        lib(f"nonzero_{d}", x, len(shape), np.array(shape, np.int64), lib.pointers(out))
        for a, b in zip(out, want, strict=True):
            assert (a == b).all()


def scatter(lib, d, x, y, idx, strides, add):
    out, fault = x.copy(), Fault()
    idx = [np.ascontiguousarray(i, np.int64) for i in idx]
    inner = int(np.prod(x.shape[len(idx) :]))
    dims = np.array(x.shape[: len(idx)], np.int64)
    lib(f"scatter_{d}", out, y, len(idx), lib.pointers(idx), dims, idx[0].size, inner, *strides, add, fault.raw)
    return out, fault.seen


@of_all
@pytest.mark.parametrize("add", (0, 1))
def test_scatter(lib, d, add):
    rng = np.random.default_rng(1)
    for shape, nidx, count in [((5,), 1, 9), ((5, 4), 1, 7), ((5, 4), 2, 30), ((3, 4, 6), 2, 20), ((5, 4), 1, 0),
                               ((5, 0), 1, 3), ((0, 4), 1, 0), ((2, 3, 70), 1, 9)]:  # fmt: skip
        x, inner = draw(d, shape), int(np.prod(shape[nidx:]))
        idx = [rng.integers(-n, n, count) if n else np.zeros(0, int) for n in shape[:nidx]]
        for yshape in {(count, inner), (1, inner), (count, 1), (1, 1)}:
            y = draw(d, yshape, 2)
            strides = (0 if yshape[0] == 1 else yshape[1], 0 if yshape[1] == 1 else 1)
            out, fault = scatter(lib, d, x, y, idx, strides, add)
            want = x.copy()
            for k in range(count):
                at, v = tuple(i[k] for i in idx), np.broadcast_to(y, (count, inner))[k].reshape(shape[nidx:])
                with np.errstate(all="ignore"):
                    want[at] = (wide(want[at]) + wide(v)).astype(x.dtype) if add else v
            assert fault is None
            assert out.tobytes() == want.tobytes(), (shape, yshape)


def test_scatter_bad_index(lib):
    x, y = np.zeros((4, 3), np.float32), np.ones((5,), np.float32)
    good = np.array([0, 1, -4, 3, 0])
    for bad in (4, -5, 2**40, -(2**63), 2**63 - 1):
        for place, axis in itertools.product(range(5), range(2)):
            idx = [good.copy(), np.array([0, -3, 2, 1, 1])]
            idx[axis][place] = bad - (axis if bad > 0 and bad < 9 else 0)
            out, fault = scatter(lib, "f32", x, y, idx, (1, 1), 1)
            assert fault == (1, idx[axis][place], (4, 3)[axis])
            assert (out == 0).all(), "nothing is written before all indices are checked"
    out, fault = scatter(lib, "f32", np.zeros((0, 3), np.float32), y, [np.array([0])], (0, 0), 0)
    assert fault == (1, 0, 0)


# weft_product of kernels/weft_fused.h; what is fused has tests in test_kernels_gemm.py
PRODUCT = np.dtype(
    [(name, np.int64) for name in ("batch", "m", "n", "k", "a", "b", "c", "abs", "ars", "acs", "bbs", "brs", "bcs", "pfor")]
    + [("threads", np.int32), ("work", np.int64), ("fused", np.int64, 14), ("run", np.int64)],
    align=True,
)


def product(lib, sizes, a, of_a, b, of_b, c, pfor, threads):
    p = np.zeros((), PRODUCT)
    p["batch"], (p["m"], p["n"], p["k"]) = 1, sizes
    p["a"], p["b"], p["c"] = (x.ctypes.data for x in (a, b, c))
    (p["ars"], p["acs"]), (p["brs"], p["bcs"]) = of_a, of_b
    p["pfor"], p["threads"] = int(lib.ffi.cast("intptr_t", pfor)) if pfor is not None else 0, threads
    return p


@of_numbers
def test_products(lib, d):
    sizes = [(3, 5, 7), (70, 33, 600), (2, 3, 0), (0, 2, 3)]
    for (m, n, k), (pfor, threads) in itertools.product(sizes, lib.threads()):
        a, b = draw(d, (m, k), 1, small=True), draw(d, (k, n), 2, small=True)
        with np.errstate(all="ignore"):
            want = wide(a) @ wide(b)
            size = np.abs(wide(a)) @ np.abs(wide(b))
        c = np.empty((m, n), TYPES[d])
        for other, bcs in ((b, 1), (np.ascontiguousarray(b.T), k)):
            p = product(lib, (m, n, k), a, (k, 1), other, (n if bcs == 1 else 1, bcs), c, pfor, threads)
            work = np.empty(lib(f"product_workspace_{d}", p) + 64, np.uint8)
            p["work"] = work.ctypes.data
            lib(f"product_{d}", p)
            assert close(d, c, want, size)
        y, x, one = np.empty(m, TYPES[d]), np.ascontiguousarray(b[:, 0]), np.empty(1, TYPES[d])
        lib(f"gemv_{d}", m, k, a, k, 1, b, n, y, 1, pfor, threads)
        assert close(d, y, want[:, 0], size[:, 0])
        if m:
            lib(f"dot_{d}", k, a, 1, x, 1, one)
            assert one[0] == y[0]


def sparse(d, w, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 5, rows) if columns else np.zeros(rows, int)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(WIDE[w])
    indices = rng.integers(0, max(columns, 1), indptr[-1]).astype(WIDE[w])  # unsorted, with repetitions
    return draw(d, indptr[-1], seed, small=True), indices, indptr


SPARSE_SHAPES = [(4, 5, 3), (40, 30, 1), (50, 20, 130), (0, 3, 2), (3, 0, 2), (3, 4, 0), (300, 40, 65)]


def csr_dot(lib, d, w, data, indices, indptr, columns, b, pfor=None, threads=1):
    rows, fault = len(indptr) - 1, Fault()
    out = np.full((max(rows, 0), b.shape[1]), 7, TYPES[d])
    matrix = rows, len(data), columns, b.shape[1], data, indices, indptr
    lib(f"csr_dot_{d}_{w}", *matrix, b, out, pfor, threads, fault.raw)
    return out, fault.seen


def csr_dot_t(lib, d, w, data, indices, indptr, columns, g, pfor=None, threads=1):
    rows, m, fault = len(indptr) - 1, g.shape[1], Fault()
    out = np.full((columns, m), 7, TYPES[d])
    work = np.empty(lib(f"csr_dot_t_workspace_{d}", columns, m) // 4, np.float32)
    matrix = rows, len(data), columns, m, data, indices, indptr
    lib(f"csr_dot_t_{d}_{w}", *matrix, g, out, pfor, threads, work, fault.raw)
    return out, fault.seen


def csr_sample(lib, d, w, indices, indptr, g, b, pfor=None, threads=1):
    out, fault = np.full(len(indices), 7, TYPES[d]), Fault()
    lib(f"csr_sample_{d}_{w}", len(indptr) - 1, len(indices), len(g), len(b), g.shape[1], indices, indptr, g, b, out,
        pfor, threads, fault.raw)  # fmt: skip
    return out, fault.seen


@of_numbers
@of_indices
def test_csr(lib, d, w):
    for rows, columns, m in SPARSE_SHAPES:
        data, indices, indptr = sparse(d, w, rows, columns)
        at = np.repeat(np.arange(rows), np.diff(indptr))
        b, g = draw(d, (columns, m), 1, small=True), draw(d, (rows, m), 2, small=True)
        dense = np.zeros((rows, columns), wide(data).dtype)
        size = np.zeros((rows, columns))
        np.add.at(dense, (at, indices), wide(data))
        np.add.at(size, (at, indices), np.abs(wide(data)))
        if d in ("f32", "f64") and rows and columns:
            by_scipy = scipy.sparse.csr_matrix((data, indices, indptr), shape=(rows, columns))
            assert (by_scipy @ b).shape == (rows, m)
            assert close(d, csr_dot(lib, d, w, data, indices, indptr, columns, b)[0], by_scipy @ b, size @ np.abs(b))
        first = None
        for threads in lib.threads():
            out, fault = csr_dot(lib, d, w, data, indices, indptr, columns, b, *threads)
            assert fault is None and close(d, out, dense @ wide(b), size @ np.abs(wide(b)))
            back, fault = csr_dot_t(lib, d, w, data, indices, indptr, columns, g, *threads)
            assert fault is None and close(d, back, dense.T @ wide(g), size.T @ np.abs(wide(g)))
            places, fault = csr_sample(lib, d, w, indices, indptr, g, b, *threads)
            products = wide(g)[at] * wide(b)[indices]
            assert fault is None
            assert close(d, places, products.sum(1, dtype=products.dtype), np.abs(products).sum(1))
            first = first or (out.tobytes(), back.tobytes(), places.tobytes())
            assert first == (out.tobytes(), back.tobytes(), places.tobytes()), "threads do not show"


def test_csr_is_a_chain_in_stored_order(lib):
    """Bits: halves are rounded once, terms are not reordered."""
    data = np.array([2.0**24, 1, 1, -(2.0**24)], np.float32)
    indices, indptr = np.array([0, 0, 0, 0], np.int32), np.array([0, 4], np.int32)
    one = np.ones((1, 1), np.float32)
    assert csr_dot(lib, "f32", "i32", data, indices, indptr, 1, one)[0] == 0
    assert csr_dot(lib, "f32", "i32", data[[0, 3, 1, 2]], indices, indptr, 1, one)[0] == 2
    rows = np.arange(5, dtype=np.int32)
    assert csr_dot_t(lib, "f32", "i32", data, indices, rows, 1, np.ones((4, 1), np.float32))[0] == 0
    halves = np.array([2048, 1, 1, 1], np.float16)
    assert csr_dot(lib, "f16", "i32", halves, indices, indptr, 1, one.astype("f2"))[0] == 2052
    assert csr_dot_t(lib, "f16", "i32", halves, indices, rows, 1, np.ones((4, 1), "f2"))[0] == 2052


@of_indices
def test_csr_faults(lib, w):
    data, t = np.ones(4, np.float32), WIDE[w]
    b, g = np.ones((3, 2), np.float32), np.ones((2, 2), np.float32)
    top = np.iinfo(t).max
    cases = [  # indices, indptr, fault
        ([0, 1, 3, 2], [0, 2, 4], (1, 3, 3)),
        ([0, -1, 1, 2], [0, 2, 4], (1, -1, 3)),  # no counting from the end
        ([0, 1, 2, top], [0, 2, 4], (1, top, 3)),
        ([0, 1, 2, 0], [1, 2, 4], (2, 1, 4)),
        ([0, 1, 2, 0], [0, 2, 3], (2, 3, 4)),
        ([0, 1, 2, 0], [0, 5, 4], (2, 4, 4)),
        ([0, 1, 2, 0], [0, -1, 4], (2, -1, 4)),
        ([0, 1, 2, 0], [0, 2, top], (2, top, 4)),
        ([0, 1, 2, 0], [], (2, -1, 4)),
    ]
    for indices, indptr, fault in cases:
        indices, indptr = np.array(indices, t), np.array(indptr, t)
        seen = Fault()
        assert lib(f"csr_check_{w}", len(indptr) - 1, 4, 3, indices, indptr, seen.raw) == 0 and seen.seen == fault
        for out, found in (csr_dot(lib, "f32", w, data, indices, indptr, 3, b),
                           csr_dot_t(lib, "f32", w, data, indices, indptr, 3, g),
                           csr_sample(lib, "f32", w, indices, indptr, g, b)):  # fmt: skip
            assert found == fault and (out == 7).all()
    seen = Fault()
    assert lib(f"csr_check_{w}", 2, 4, 3, np.array([0, 1, 2, 0], t), np.array([0, 2, 4], t), seen.raw) and not seen.seen
    short = csr_sample(lib, "f32", w, np.array([0, 1], t), np.array([0, 1, 2, 2], t), g[:1], b)
    assert short[1] == (1, 1, 1), "a stored row beyond the first dense argument"
    assert csr_sample(lib, "f32", w, np.array([0, 1], t), np.array([0, 2, 2, 2], t), g[:1], b)[1] is None


def routine(lib, capi, name):
    """The Fortran routine inside SciPy."""
    import ctypes

    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = capi.__pyx_capi__[name]
    return lib.ffi.cast("void *", pointer_of(capsule, name_of(capsule)))


@pytest.mark.parametrize("d", ("f32", "f64"))
@pytest.mark.parametrize("m, n, k, a, b", [
    (2**31, 1, 1, (1, 1), (1, 1)), (1, 2**31, 1, (1, 1), (1, 1)), (1, 1, 2**31, (1, 1), (1, 1)),
    (2, 2, 2, (2**31, 1), (2, 1)), (2, 2, 2, (2, 1), (1, 2**31)), (2, 2, 2, (2, 2), (2, 1)), (2, 2, 2, (1, 1), (2, 1)),
    (2, 2, 2, (-2, 1), (2, 1)), (2, 2, 2, (2, 1), (0, 1)), (0, 2, 2, (2, 1), (2, 1)), (2, 2, 0, (1, 1), (2, 1)),
])  # fmt: skip
def test_what_blas_is_not_asked(lib, d, m, n, k, a, b):
    """Sizes and strides that it cannot take: it is not called (here it could not be), and nothing is touched."""
    none = lib.ffi.NULL
    assert lib(f"blas_gemm_{d}", m, n, k, none, *a, none, *b, none, 1, none, none, none) == 0


@pytest.mark.parametrize("d", ("f32", "f64"))
def test_cholesky(lib, d):
    potrf = routine(lib, cython_lapack, {"f32": "spotrf", "f64": "dpotrf"}[d])
    for n in (0, 1, 2, 7, 100):
        x = draw(d, (n, n))
        a = x @ x.T + np.eye(n, dtype=x.dtype) * n
        got = np.tril(a) + np.triu(np.full_like(a, np.nan), 1)  # the upper triangle is not read
        assert lib(f"cholesky_{d}", got, n, potrf) == 0
        np.testing.assert_allclose(got, np.linalg.cholesky(a), rtol=100 * REAL[d], atol=REAL[d] * max(n, 1))
    for bad, info in (([[1, 0], [2, 1]], 2), ([[0]], 1), ([[-1]], 1), ([[np.nan]], 1), ([[1, 0], [np.nan, 1]], 2)):
        a = np.array(bad, TYPES[d])
        assert lib(f"cholesky_{d}", a, len(a), potrf) == info
    assert lib(f"cholesky_{d}", a, 2**31, potrf) == -1


@pytest.mark.parametrize("d", ("f32", "f64"))
@pytest.mark.parametrize("lower, trans", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_solve_triangular(lib, d, lower, trans):
    trsm = routine(lib, cython_blas, {"f32": "strsm", "f64": "dtrsm"}[d])
    for n, m in [(0, 3), (3, 0), (1, 1), (5, 3), (40, 7)]:
        whole = draw(d, (n, n)) + np.eye(n, dtype=TYPES[d]) * 8
        a = np.tril(whole) if lower else np.triu(whole)
        rest = np.triu(np.full_like(a, np.nan), 1)  # the other triangle is not read
        x = draw(d, (n, m), 1)
        b = np.ascontiguousarray((a.T if trans else a) @ x)
        a = np.ascontiguousarray(a + (rest if lower else rest.T))
        assert lib(f"solve_triangular_{d}", a, b, n, m, lower, trans, trsm) == 0
        np.testing.assert_allclose(b, x, rtol=100 * REAL[d], atol=100 * REAL[d])
    b = np.array([[1], [0]], TYPES[d])
    lib(f"solve_triangular_{d}", np.zeros((2, 2), TYPES[d]), b, 2, 1, lower, trans, trsm)
    assert not np.isfinite(b).any(), "a zero on the diagonal divides"
    assert lib(f"solve_triangular_{d}", b, b, 2**31, 1, lower, trans, trsm) == -1


def test_only_what_a_program_defines_is_exported(built):
    program = '#include "weft_library.h"\nint weft_main(void *s) { return weft_lib_grow(s, 8) != 0; }\n'
    (built / "p.c").write_text(program)
    subprocess.run(["gcc", *FLAGS, "-shared", built / "p.c", built / "l.o", "-lm", "-o", built / "p.so"], check=True)
    names = subprocess.run(["nm", "-D", "--defined-only", built / "p.so"], check=True, capture_output=True, text=True)
    assert [line.split()[-1] for line in names.stdout.splitlines()] == ["weft_main"]


def test_parts_hold_what_the_header_declares():
    """The part that a call's name asks for is the header that defines the routine; the base holds the others."""
    defined = {family: set(re.findall(r"weft_lib_(\w+?)_##D", (KERNELS / f"weft_{family}.h").read_text()))
               for family in ("products", "running", "sparse", "places")}  # fmt: skip
    want = {f"{n}_{d}": (n, d) for d in TYPES for n in (*ANY, *SUMS)}
    want |= {f"{n}_{d}_{w}": (n, d) for d in NUMBERS for w in WIDE for n in SPARSE}
    for name in NAMES:
        stem, d = want.get(name, ("", ""))
        families = [family for family, names in defined.items() if stem in names]
        assert parts([f"weft_lib_{name}(x);"]) == ["base", *(f"{family}_{d}" for family in families)], name
        assert len(families) == (name in want), name


def test_control_register(built):
    """Whatever mode the caller runs in, and back to it."""
    program = built / "fp"
    subprocess.run(["gcc", "-O1", *FLAGS, "-DPART_FP", ROOT / "kernels_library_main.c", built / "l.o", "-lm",
                    "-o", program], check=True)  # fmt: skip
    subprocess.run([program], check=True)


@pytest.mark.slow
def test_sanitized(built):
    """Memory, and every routine on arrays that end where they say: nothing outside, nothing undefined, no leak."""
    program = built / "sanitized"
    subprocess.run(["gcc", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *FLAGS,
                    ROOT / "kernels_library_main.c", KERNELS / "weft_library.c", KERNELS / "weft_pool.c", "-lm",
                    "-o", program], check=True)  # fmt: skip
    subprocess.run([program], check=True)
