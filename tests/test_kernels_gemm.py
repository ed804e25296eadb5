"""kernels/weft_gemm.h: every bit of a product against a scalar fma loop, over shapes, strides, threads and vector widths."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
FLAGS = ["-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-std=gnu11", "-fPIC", "-shared", "-pthread"]
INTS = {f"{k}{b}": f"{'u' * (k == 'u')}int{b}_t" for k in "iu" for b in (8, 16, 32, 64)}
C = {"f32": "float", "f64": "double", **INTS, "c64": "weft_c64", "c128": "weft_c128", "f16": "uint16_t", "bf16": "uint16_t"}
NUMPY = {"f32": np.float32, "f64": np.float64, **{d: np.dtype(t[:-2]) for d, t in INTS.items()}, "c64": np.complex64,
         "c128": np.complex128, "f16": np.float16, "bf16": np.uint16}
LANES = {"f32": 16}

EXPORT = """
void x_gemm_{d}(int64_t m, int64_t n, int64_t k, {t} *a, int64_t ars, int64_t acs, {t} *b, int64_t brs, int64_t bcs,
                {t} *c, int64_t crs, int64_t ccs, int threads, void *work) {{
  weft_gemm_{d}(m, n, k, a, ars, acs, b, brs, bcs, c, crs, ccs, threads > 0 ? weft_parallel_for : 0, threads, work, 0);
}}
int64_t x_workspace_{d}(int64_t m, int64_t n, int64_t k, int threads) {{ return weft_gemm_workspace_{d}(m, n, k, threads, 1, 0); }}
void x_dot_{d}(int64_t n, {t} *x, int64_t incx, {t} *y, int64_t incy, {t} *out) {{
  {store};
}}
void x_gemv_{d}(int64_t m, int64_t k, {t} *a, int64_t ars, int64_t acs, {t} *x, int64_t incx, {t} *y, int64_t incy, int threads) {{
  weft_gemv_{d}(m, k, a, ars, acs, x, incx, y, incy, threads > 0 ? weft_parallel_for : 0, threads);
}}
/* What follows: counts each element's visits and doubles it; of whole rows or columns, that all elements were seen. */
typedef struct {{ {t} *out; int64_t m, n; uint8_t *visits, *rounds; int threads, bad; int64_t whole; }} x_state_{d};
static void x_visit_{d}(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, void *at, int64_t line, int worker) {{
  x_state_{d} *s = arg;
  if (i0 >= i1 || j0 >= j1 || worker < 0 || worker >= s->threads) __atomic_store_n(&s->bad, 1, __ATOMIC_RELAXED);
  if (!s->whole && (i1 - i0) * (j1 - j0) * (int64_t)sizeof({t}) > 65536) __atomic_store_n(&s->bad, 2, __ATOMIC_RELAXED);
  for (int64_t i = i0; i < i1; i++)
    for (int64_t j = j0; j < j1; j++) {{
      {t} *p = ({t} *)at + (i - i0) * line + j - j0;
      s->visits[i * s->n + j]++;
      *p = {twice};
      s->out[i * s->n + j] = *p;
    }}
}}
static void x_body_{d}(void *arg, int64_t begin, int64_t end, int worker) {{
  x_state_{d} *s = arg;
  int columns = s->whole == WEFT_WHOLE_COLUMNS;
  if (begin >= end || worker < 0 || worker >= s->threads) __atomic_store_n(&s->bad, 3, __ATOMIC_RELAXED);
  for (int64_t r = begin; r < end; r++) {{
    s->rounds[r]++;
    int64_t i0 = columns ? 0 : r, i1 = columns ? s->m : r + 1, j0 = columns ? r * 128 : 0;
    int64_t j1 = columns && j0 + 128 < s->n ? j0 + 128 : s->n;
    for (int64_t i = i0; i < i1; i++)
      for (int64_t j = j0; j < j1; j++)
        if (s->visits[i * s->n + j] != 1) __atomic_store_n(&s->bad, 4, __ATOMIC_RELAXED);
  }}
}}
/* An operand that is made: of a matrix of `rows` rows in memory, which it takes as it is. */
typedef struct {{ const {t} *x; int64_t rows, columns; int bad; }} x_source_{d};
static void x_make_{d}(void *arg, int64_t i0, int64_t i1, int64_t j0, int64_t j1, void *at, int64_t line, int worker) {{
  x_source_{d} *s = arg;
  (void)worker;
  if (i0 < 0 || i0 >= i1 || i1 > s->rows || j0 < 0 || j0 >= j1 || j1 > s->columns || line < j1 - j0)
    __atomic_store_n(&s->bad, 5, __ATOMIC_RELAXED);
  else
    for (int64_t i = i0; i < i1; i++)
      for (int64_t j = j0; j < j1; j++) (({t} *)at)[(i - i0) * line + j - j0] = s->x[i * s->columns + j];
}}
/* turned: of operands that are made, 1 as they lie in memory, 2 transposed; 0: they are read. */
int x_fused_{d}(int64_t batch, int64_t m, int64_t n, int64_t k, {t} *a, int64_t as, int64_t ars, int64_t acs, {t} *b,
                int64_t bs, int64_t brs, int64_t bcs, {t} *c, {t} *out, int threads, void *work, uint8_t *visits,
                uint8_t *rounds, int64_t whole, int a_made, int b_made, int *ran) {{
  x_state_{d} s = {{out, batch * m, n, visits, rounds, threads < 1 ? 1 : threads, 0, whole}};
  x_source_{d} x = {{a, batch * (a_made == 2 ? k : m), a_made == 2 ? m : k, 0}};
  x_source_{d} y = {{b, batch * (b_made == 2 ? n : k), b_made == 2 ? k : n, 0}};
  weft_pfor pfor = threads > 0 ? weft_parallel_for : 0;
  weft_fused f = {{.then = x_visit_{d}, .then_arg = &s, .body = x_body_{d}, .body_arg = &s, .whole = whole}};
  if (a_made) f.make_a = x_make_{d}, f.a_arg = &x, f.a_turned = a_made == 2, a = 0;
  if (b_made) f.make_b = x_make_{d}, f.b_arg = &y, f.b_turned = b_made == 2, b = 0;
  if (batch == 1) *ran = weft_gemm_{d}(m, n, k, a, ars, acs, b, brs, bcs, c, n, 1, pfor, threads, work, &f);
  else *ran = weft_gemm_batch_{d}(batch, m, n, k, a, as, ars, acs, b, bs, brs, bcs, c, m * n, n, 1, pfor, threads, work, &f);
  return s.bad ? s.bad : x.bad ? x.bad : y.bad;
}}
int64_t x_fused_workspace_{d}(int64_t batch, int64_t m, int64_t n, int64_t k, int threads, int in_memory, int64_t whole,
                              int made) {{
  weft_fused f = {{.whole = whole, .make_a = made & 1 ? x_make_{d} : 0, .make_b = made & 2 ? x_make_{d} : 0}};
  if (batch == 1) return weft_gemm_workspace_{d}(m, n, k, threads, in_memory, &f);
  return weft_gemm_batch_workspace_{d}(batch, m, n, k, threads, in_memory, &f);
}}
"""
# The definition, one element at a time. Built apart from the header, so that it cannot share a mistake.
REFERENCE = """
void r_gemm_{d}(int64_t m, int64_t n, int64_t k, {t} *a, int64_t ars, int64_t acs, {t} *b, int64_t brs, int64_t bcs, {t} *c) {{
  for (int64_t i = 0; i < m; i++) for (int64_t j = 0; j < n; j++) {{
    {t} sum = 0, acc = 0;
    for (int64_t p = 0; p < k; p++) {{
      {t} x = a[i * ars + p * acs], y = b[p * brs + j * bcs];
      acc = p % 512 == 0 ? x * y : FMA{d}(x, y, acc);
      if (p % 512 == 511 || p == k - 1) sum = p < 512 ? acc : sum + acc;
    }}
    c[i * n + j] = sum;
  }}
}}
void r_dot_{d}(int64_t n, {t} *x, int64_t incx, {t} *y, int64_t incy, {t} *out) {{
  {t} sum = 0;
  for (int64_t i = 0; i < n; i += 1024) {{
    {t} lane[{L}] = {{0}};
    for (int64_t p = i; p < n && p < i + 1024; p++) lane[p % {L}] = FMA{d}(x[p * incx], y[p * incy], lane[p % {L}]);
    for (int h = {L} / 2; h; h /= 2) for (int l = 0; l < h; l++) lane[l] += lane[l + h];
    sum = i ? sum + lane[0] : lane[0];
  }}
  *out = sum;
}}
"""
DECL = """
void x_gemm_{d}(int64_t m, int64_t n, int64_t k, void *a, int64_t ars, int64_t acs, void *b, int64_t brs, int64_t bcs,
                void *c, int64_t crs, int64_t ccs, int threads, void *work);
int64_t x_workspace_{d}(int64_t m, int64_t n, int64_t k, int threads);
void x_dot_{d}(int64_t n, void *x, int64_t incx, void *y, int64_t incy, void *out);
void x_gemv_{d}(int64_t m, int64_t k, void *a, int64_t ars, int64_t acs, void *x, int64_t incx, void *y, int64_t incy, int threads);
int x_fused_{d}(int64_t batch, int64_t m, int64_t n, int64_t k, void *a, int64_t as, int64_t ars, int64_t acs, void *b,
                int64_t bs, int64_t brs, int64_t bcs, void *c, void *out, int threads, void *work, void *visits, void *rounds,
                int64_t whole, int a_made, int b_made, int *ran);
int64_t x_fused_workspace_{d}(int64_t batch, int64_t m, int64_t n, int64_t k, int threads, int in_memory, int64_t whole,
                              int made);
void r_gemm_{d}(int64_t m, int64_t n, int64_t k, void *a, int64_t ars, int64_t acs, void *b, int64_t brs, int64_t bcs, void *c);
void r_dot_{d}(int64_t n, void *x, int64_t incx, void *y, int64_t incy, void *out);
void weft_pool_set_threads(int n);
"""


def cpu_flags():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return set(re.search(r"^flags\s*:(.*)$", text, re.M).group(1).split()) if "flags" in text else set()


# -mprefer-vector-width as in compiler/build/toolchain.py: tuned for 256 bits, gcc splits the 64-byte lane loop through memory.
TARGETS = {
    "native": ["-march=native", "-mprefer-vector-width=512"],
    "avx2": ["-mavx2", "-mfma"],
    "avx": ["-mavx"],
    "plain": [],
    "scalar": ["-march=native", "-DWEFT_SCALAR_BUILD"],
    "clang": ["-march=native", "-mprefer-vector-width=512"],
}
WIDE = [t for t in TARGETS if t != "avx"]


def compiler(target):
    if target != "clang":
        return ["gcc"]
    if shutil.which("clang"):
        return ["clang"]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-Wno-unused-command-line-argument"]
    pytest.skip("no clang")


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    made = {}

    def get(target, dtypes):
        if not {"avx2": {"avx2", "fma"}, "avx": {"avx"}}.get(target, set()) <= cpu_flags():
            pytest.skip(f"no {target}")
        if (target, dtypes) in made:
            return made[target, dtypes]
        folder = tmp_path_factory.mktemp(target)
        exports = []
        for d in dtypes:
            call = f"weft_dot_{d}(n, x, incx, y, incy)"
            half = d in ("f16", "bf16")
            store = f"weft_store_{d}(out, {call})" if half else f"*out = {call}"
            twice = "*p ^ 0x8000" if half else f"weft_add_{d}(*p, *p)"  # of a half, the sign
            exports.append(EXPORT.format(d=d, t=C[d], store=store, twice=twice))
        (folder / "x.c").write_text('#include "weft_gemm.h"\n' + "".join(exports))
        floats = [d for d in dtypes if d in ("f32", "f64")]
        fused = "#if defined(__FMA__) || defined(__FP_FAST_FMAF)\n#define FMAf32 __builtin_fmaf\n#define FMAf64 __builtin_fma\n" \
                "#else\n#define FMAf32(a, b, c) ((a) * (b) + (c))\n#define FMAf64 FMAf32\n#endif\n"
        (folder / "r.c").write_text("#include <stdint.h>\n" + fused + "".join(
            REFERENCE.format(d=d, t=C[d], L=LANES.get(d, 8)) for d in floats))
        flags = [*FLAGS, *TARGETS[target], "-I", KERNELS]
        subprocess.run([*compiler(target), "-O2", *flags, "-c", folder / "r.c", "-o", folder / "r.o"], check=True)
        subprocess.run([*compiler(target), "-O3", *flags, "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-psabi", folder / "x.c",
                        folder / "r.o", KERNELS / "weft_pool.c", "-o", folder / "x.so"], check=True)
        ffi = FFI()
        for d in dtypes:
            ffi.cdef(DECL.format(d=d), override=True)
        made[target, dtypes] = Product(ffi, ffi.dlopen(str(folder / "x.so")), folder / "x.so")
        return made[target, dtypes]

    return get


class Product:
    def __init__(self, ffi, lib, path):
        self.ffi, self.lib, self.path = ffi, lib, path
        lib.weft_pool_set_threads(3)

    def at(self, x):
        return self.ffi.cast("void *", x.__array_interface__["data"][0])

    def strides(self, x):
        return [s // x.itemsize for s in x.strides]

    def gemm(self, d, a, b, c=None, threads=0):
        (m, k), n = a.shape, b.shape[1]
        c = np.full((m, n), 77, a.dtype) if c is None else c
        size = getattr(self.lib, f"x_workspace_{d}")(m, n, k, threads)
        guard = np.full(size + 64, 0xA5, np.uint8)
        getattr(self.lib, f"x_gemm_{d}")(m, n, k, self.at(a), *self.strides(a), self.at(b), *self.strides(b),
                                         self.at(c), *self.strides(c), threads, self.at(guard))
        assert (guard[size:] == 0xA5).all(), "wrote past the workspace"
        return c

    def fused(self, d, a, b, threads, in_memory=True, whole=0, made=(False, False)):
        """The product of a[i] and b[i], doubled by what follows; whether whole rows or columns were followed. Operands
        that are made are passed as they lie in memory, maybe transposed."""
        batch, m, k = a.shape
        n = b.shape[2]
        c = np.full((batch * m, n), 77, a.dtype) if in_memory else None
        out, visits = np.full((batch * m, n), 77, a.dtype), np.zeros((batch * m, n), np.uint8)
        rounds = np.zeros(-(-n // 128) if whole == 2 else batch * m, np.uint8)
        size = getattr(self.lib, f"x_fused_workspace_{d}")(batch, m, n, k, threads, in_memory, whole, made[0] + 2 * made[1])
        guard, ran = np.full(size + 64, 0xA5, np.uint8), self.ffi.new("int *")
        kinds = [0 if not flag else 1 if x.flags.c_contiguous else 2 for x, flag in zip((a, b), made, strict=True)]
        bad = getattr(self.lib, f"x_fused_{d}")(
            batch, m, n, k, self.at(a), *self.strides(a), self.at(b), *self.strides(b), self.at(c) if in_memory else self.ffi.NULL,
            self.at(out), threads, self.at(guard), self.at(visits), self.at(rounds), whole, *kinds, ran)
        assert (guard[size:] == 0xA5).all(), "wrote past the workspace"
        assert bad == 0, "a bad rectangle (1), too large (2), bad rounds (3), too early (4), made out of bounds (5)"
        assert (visits == 1).all()
        assert (rounds == (1 if whole and ran[0] else 0)).all()
        if in_memory:
            assert c.tobytes() == out.tobytes()
        return out, bool(ran[0])

    def reference(self, d, a, b):
        c = np.empty((a.shape[0], b.shape[1]), a.dtype)
        getattr(self.lib, f"r_gemm_{d}")(a.shape[0], b.shape[1], a.shape[1], self.at(a), *self.strides(a), self.at(b),
                                         *self.strides(b), self.at(c))
        return c

    def dot(self, d, x, y, prefix="x"):
        out = np.empty(1, x.dtype)
        getattr(self.lib, f"{prefix}_dot_{d}")(x.size, self.at(x), *self.strides(x), self.at(y), *self.strides(y), self.at(out))
        return out

    def gemv(self, d, a, x, y=None, threads=0):
        y = np.full(a.shape[0], 77, a.dtype) if y is None else y
        getattr(self.lib, f"x_gemv_{d}")(*a.shape, self.at(a), *self.strides(a), self.at(x), *self.strides(x), self.at(y),
                                         *self.strides(y), threads)
        return y


def layouts(x):
    """The same matrix under other strides."""
    m, n = x.shape
    wide = np.full((m, 2 * n + 3), np.nan if x.dtype.kind in "fc" else 0, x.dtype)
    wide[:, 1:2 * n + 1:2] = x
    flipped = np.ascontiguousarray(x[::-1, ::-1])
    return [x, np.asfortranarray(x), wide[:, 1:2 * n + 1:2], flipped[::-1, ::-1]]


SHAPES = [(1, 1, 1), (1, 1, 700), (2, 3, 5), (3, 33, 17), (5, 16, 513), (7, 8, 512), (11, 31, 40), (12, 32, 64), (13, 48, 511),
          (24, 64, 1025), (25, 65, 3), (37, 100, 1600), (64, 10, 600), (10, 130, 90), (130, 70, 100), (300, 40, 30), (6, 4200, 9),
          (1, 300, 1030), (2, 261, 40), (4, 150, 20), (40, 3, 70), (9, 9, 5000), (26, 512, 90), (70, 520, 600), (100, 24, 512),
          (31, 47, 33), (60, 850, 40)]  # the last rows: wide tiles, few columns, k cut for threads, packed operands, bands
FLOATS = ("f32", "f64")
OTHERS = tuple(d for d in C if d not in FLOATS)


@pytest.mark.parametrize("d", FLOATS)
@pytest.mark.parametrize("target", TARGETS)
def test_gemm_has_the_bits_of_the_scalar_chain(build, target, d):
    p, rng = build(target, FLOATS), np.random.default_rng(0)
    for m, n, k in SHAPES:
        a = rng.standard_normal((m, k)).astype(NUMPY[d])
        b = rng.standard_normal((k, n)).astype(NUMPY[d])
        want = p.reference(d, a, b)
        for ai, x in enumerate(layouts(a)):
            for bi, y in enumerate(layouts(b)):
                if (ai and bi and ai != bi) or (target != "native" and ai != bi):
                    continue
                for threads in (0, 1, 2, 3):
                    assert p.gemm(d, x, y, threads=threads).tobytes() == want.tobytes(), (m, n, k, ai, bi, threads)
        for c in layouts(np.zeros((m, n), NUMPY[d])):
            assert (p.gemm(d, a, b, c, 2) == want).all()
        row = rng.integers(m)
        assert p.gemm(d, a[row:row + 1], b).tobytes() == want[row:row + 1].tobytes(), "a row alone"


FUSED = [(1, 1, 1, 1), (1, 100, 70, 30), (1, 64, 900, 600), (1, 700, 33, 1100), (1, 5, 6, 4000), (1, 2000, 17, 3), (1, 40, 50, 0),
         (2, 300, 100, 40), (5, 7, 9, 30), (40, 3, 5, 600), (3, 20, 20, 0), (3, 6, 5, 3000), (1, 1, 40, 3), (1, 30, 1, 20), (1, 9, 700, 1)]


def orders(x):
    """x in both orders that a matrix may lie in memory."""
    return x, np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)


def doubled(p, d, a, b):
    want = np.concatenate([p.gemm(d, x, y) for x, y in zip(a, b, strict=True)])
    return want ^ 0x8000 if d == "f16" else want + want


@pytest.mark.parametrize("d", ("f32", "f64", "i32", "u8", "f16", "c64"))
def test_what_follows_sees_each_element_once_and_final(build, d):
    """The product in memory, or only in what its rectangles are shown in."""
    dtypes = FLOATS if d in FLOATS else OTHERS
    p, rng = build("native", dtypes), np.random.default_rng(3)
    for batch, m, n, k in FUSED:
        a, b = (draw(rng, d, s) for s in ((batch, m, k), (batch, k, n)))
        want = doubled(p, d, a, b)
        for threads in (0, 1, 2, 3):
            for x in orders(a):
                for y in orders(b):
                    for there in (True, False):
                        assert p.fused(d, x, y, threads, there)[0].tobytes() == want.tobytes(), (batch, m, n, k, threads, there)


@pytest.mark.parametrize("d", ("f32", "f64", "i32", "f16"))
@pytest.mark.parametrize("whole", (1, 2))
def test_whole_rows_and_columns(build, d, whole):
    """They are final, seen, and complete when their turn comes, and each has one."""
    p, rng = build("native", FLOATS if d in FLOATS else OTHERS), np.random.default_rng(5)
    count = 0
    for batch, m, n, k in [*FUSED, (1, 33, 5000, 60), (1, 400, 520, 600), (1, 5000, 20, 30)]:
        if batch > 1 and whole == 2:
            continue
        a, b = (draw(rng, d, s) for s in ((batch, m, k), (batch, k, n)))
        want = doubled(p, d, a, b)
        for threads in (0, 1, 2, 3):
            for x in orders(a):
                for y in orders(b):
                    got, ran = p.fused(d, x, y, threads, whole=whole)
                    assert got.tobytes() == want.tobytes(), (batch, m, n, k, threads)
                    count += ran
                    assert ran or threads > 1 or k == 0 or d == "f16" or whole == 2 or max(m, n) > 300, (m, n, k)
    assert d == "f16" or count > 20


@pytest.mark.parametrize("d", FLOATS)
@pytest.mark.parametrize("target", ("native", "avx2", "plain", "scalar"))
def test_operands_that_are_made(build, target, d):
    p, rng = build(target, FLOATS), np.random.default_rng(6)
    shapes = FUSED if target == "native" else FUSED[:6]
    for batch, m, n, k in [*shapes, (1, 97, 130, 1100), (1, 13, 5, 520), (1, 2, 1000, 70), (1, 60, 60, 1100), (2, 64, 65, 100)]:
        a, b = (draw(rng, d, s) for s in ((batch, m, k), (batch, k, n)))
        want = doubled(p, d, a, b)
        for threads in (0, 2, 3):
            for x in orders(a):
                for y in orders(b):
                    for made in ((True, False), (False, True), (True, True)):
                        for there in (True, False):
                            got, _ = p.fused(d, x, y, threads, there, made=made)
                            assert got.tobytes() == want.tobytes(), (batch, m, n, k, threads, made)


def draw(rng, d, shape):
    if d in INTS:
        info = np.iinfo(NUMPY[d])
        return rng.integers(info.min, info.max, shape, dtype=NUMPY[d], endpoint=True)
    x = rng.standard_normal(shape)
    if d in ("f16", "bf16"):
        return x.astype(np.float16).view(np.uint16) if d == "f16" else (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return (x + rng.standard_normal(shape) * 1j if d.startswith("c") else x).astype(NUMPY[d])


@pytest.mark.parametrize("target", ("native", "avx2", "plain", "scalar", "clang"))
def test_halves_are_float32_rounded_once(build, target):
    dtypes = ("f32", "f16", "bf16")
    p, rng = build(target, dtypes), np.random.default_rng(4)
    for m, n, k in [(3, 5, 7), (37, 40, 1100), (100, 10, 300)]:
        for d in ("f16", "bf16"):
            a, b = draw(rng, d, (m, k)), draw(rng, d, (k, n))
            wide = [x.view(np.float16).astype(np.float32) if d == "f16" else (x.astype(np.uint32) << 16).view(np.float32) for x in (a, b)]
            held = p.reference("f32", *wide)
            if d == "f16":
                want = held.astype(np.float16).view(np.uint16)
            else:
                bits = held.view(np.uint32)
                want = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
            for threads in (0, 2):
                for x in layouts(a):
                    assert p.gemm(d, x, b, threads=threads).tobytes() == want.tobytes()
                assert (p.gemm(d, a, np.asfortranarray(b), np.zeros((m, 2 * n), np.uint16)[:, ::2], threads) == want).all()


@pytest.mark.parametrize("d", FLOATS)
def test_gemm_edges(build, d):
    p, t = build("native", FLOATS), NUMPY[d]
    assert (p.gemm(d, np.zeros((3, 0), t), np.zeros((0, 4), t)) == 0).all()
    assert p.gemm(d, np.zeros((0, 5), t), np.zeros((5, 4), t)).shape == (0, 4)
    minus = p.gemm(d, np.array([[-1, -1]], t), np.array([[0], [0]], t))
    assert minus[0, 0] == 0 and np.signbit(minus[0, 0]), "-0 of a sum of -0"
    a = np.ones((14, 20), t)
    a[3, 4], a[13, 19] = np.nan, np.inf
    c = p.gemm(d, a, np.ones((20, 35), t))
    assert np.isnan(c[3]).all() and np.isinf(c[13]).all() and (np.delete(c, [3, 13], 0) == 20).all()
    once = np.broadcast_to(np.arange(30, dtype=t), (40, 30))
    assert (p.gemm(d, once, np.ones((30, 33), t), threads=2) == 435).all()


@pytest.mark.parametrize("d", FLOATS)
@pytest.mark.parametrize("target", WIDE)
def test_dot_and_gemv(build, target, d):
    p, rng = build(target, FLOATS), np.random.default_rng(1)
    shapes = [(1, 1), (1, 3000), (3, 0), (4, 7), (5, 16), (9, 1024), (17, 1025), (33, 2100), (130, 100), (70, 31)]
    shapes += [(900, 3), (3, 9000), (20, 2100), (300, 2050), (257, 70), (600, 1090), (515, 17), (64, 64), (2, 4), (40, 1)]
    for m, k in shapes:
        a, x = rng.standard_normal((m, k)).astype(NUMPY[d]), rng.standard_normal(k).astype(NUMPY[d])
        if (m, k) == (2, 4):
            a, x = abs(a) * np.finfo(NUMPY[d]).tiny, -abs(x) * np.finfo(NUMPY[d]).tiny  # lanes of -0, and others of 0
        want = np.concatenate([p.dot(d, row, x, "r") for row in a])
        got = np.concatenate([p.dot(d, row, x) for row in a])
        assert got.tobytes() == want.tobytes()
        xs = np.repeat(x, 3)[::3]
        xr = np.ascontiguousarray(x[::-1])[::-1]
        for y in layouts(a):
            for v in (x, xs, xr):
                assert p.dot(d, y[-1], v).tobytes() == want[-1:].tobytes()
                for threads in (0, 2, 3):
                    assert p.gemv(d, y, v, threads=threads).tobytes() == want.tobytes(), (m, k, threads)
        out = np.zeros(2 * m, NUMPY[d])[::2]
        assert (p.gemv(d, a, x, out, 2) == want).all()


def widen(d, x):
    return (x.astype(np.uint32) << 16).view(np.float32) if d == "bf16" else x.astype(np.float32) if d == "f16" else x


@pytest.mark.parametrize("d", OTHERS)
def test_plain_products(build, d):
    p, rng = build("native", OTHERS), np.random.default_rng(2)
    for m, n, k in [(1, 1, 1), (3, 17, 5), (20, 40, 600), (33, 8, 1100), (2, 3, 0)]:
        if d in INTS:
            info = np.iinfo(NUMPY[d])
            a, b = (rng.integers(info.min, info.max, s, dtype=NUMPY[d], endpoint=True) for s in ((m, k), (k, n)))
        elif d == "bf16":
            a, b = ((rng.standard_normal(s).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for s in ((m, k), (k, n)))
        else:
            a, b = (rng.standard_normal(s).astype(NUMPY[d]) for s in ((m, k), (k, n)))
            if d.startswith("c"):
                a, b = a + a[::-1] * 1j, b - b[::-1] * 1j
        want = widen(d, a) @ widen(d, b)
        got = p.gemm(d, a, b)
        for y in (np.asfortranarray(b), b):
            for threads in (1, 2):
                assert p.gemm(d, np.asfortranarray(a), y, threads=threads).tobytes() == got.tobytes()
        vector = p.gemv(d, a, np.ascontiguousarray(b[:, 0]), threads=2)
        dots = np.concatenate([p.dot(d, row, b[:, 0]) for row in a])
        assert vector.tobytes() == dots.tobytes()
        if d in INTS:
            assert (got == want).all() and (dots == want[:, 0]).all()
        else:
            tol = {"f16": 2e-3, "bf16": 1e-2, "c64": 1e-5, "c128": 1e-13}[d]
            scale = np.sqrt(max(k, 1))
            assert np.abs(widen(d, got) - want).max(initial=0) < tol * scale * 4
            assert np.abs(widen(d, dots) - want[:, 0]).max(initial=0) < tol * scale * 4


def test_the_lane_loop_is_one_vector_instruction(build):
    """It silently becomes scalar (right bits, 25 times slower) when a flag stops the vectoriser."""
    if "fma" not in cpu_flags():
        pytest.skip("no hardware fma")
    p = build("native", FLOATS)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", p.path], capture_output=True, text=True, check=True).stdout
    tiles = re.findall(r"<weft_tile_(\d+)x(\d+)_f(\d\d)h?[^>]*>:\n(.*?)\n\n", text, re.S)
    assert {name for _, _, name, _ in tiles} == {"32", "64"}
    for rows, vectors, name, body in tiles:
        assert len(re.findall(r"vfmadd\d+p[sd]", body)) >= int(rows) * int(vectors), (rows, vectors, name)
        assert not re.findall(r"vfmadd\d+s[sd]", body), (rows, vectors, name)


@pytest.mark.slow
@pytest.mark.parametrize("flags", (["-march=native"], ["-mavx2", "-mfma"], ["-DWEFT_SCALAR_BUILD"]), ids=" ".join)
def test_sanitizers(tmp_path, flags):
    if "-mavx2" in flags and not {"avx2", "fma"} <= cpu_flags():
        pytest.skip("no avx2")
    main = Path(__file__).parent / "kernels_gemm_main.c"
    options = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *FLAGS, *flags, "-Wno-psabi"]
    options.remove("-shared")
    program = tmp_path / "main"
    subprocess.run(["gcc", *options, "-I", KERNELS, main, KERNELS / "weft_pool.c", "-lm", "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
