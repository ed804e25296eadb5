"""runtime/program.py with programs written by hand: what goes in, what comes out, and what is left after an error."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from weft.compiler.build.library import compile_library, process_library
from weft.runtime import pool, program
from weft.runtime.abi import ffi
from weft.runtime.callable import Argument, CompiledFunction
from weft.runtime.errors import BoundsError, DTypeError, InternalError, ShapeError, WeftError
from weft.runtime.program import Program
from weft.runtime.state import Storage

HEAD = r"""
#include "weft_abi.h"
#include <stdlib.h>
#include <string.h>
static inline void *get(int64_t n) { void *p = 0; return posix_memalign(&p, 64, n > 0 ? n : 1) ? 0 : p; }
static inline int64_t count(const weft_array *a, int ndim) {
  int64_t n = 1;
  for (int d = 0; d < ndim; d++) n *= a->dims[d];
  return n;
}
static inline int reserve(weft_array *a, int64_t n) { /* the caller owns what was there before */
  if (a->capacity >= n && a->data) return 1;
  void *p = get(n);
  if (!p) return 0;
  a->data = p; a->capacity = n;
  return 1;
}
static inline void swap(weft_state *s) { weft_array t = s->now; s->now = s->spare; s->spare = t; }
"""
# new state = state + input, of the input's length; the output is the old state. Fails where told, after allocating all.
STEP = HEAD + r"""
int32_t weft_main(weft_call *c) {
  weft_array *x = &c->inputs[0];
  weft_state *s = c->states[0];
  int64_t n = x->dims[0], old = s->now.dims[0], fail = *(int64_t *)c->inputs[1].data;
  c->outputs[0].data = c->memory(old * 8, &c->outputs[0].capacity); c->outputs[0].dims[0] = old;
  memcpy(c->outputs[0].data, s->now.data, old * 8);
  if (!reserve(&s->spare, n * 8)) return WEFT_NO_MEMORY;
  s->spare.dims[0] = n;
  for (int64_t i = 0; i < n; i++)
    ((double *)s->spare.data)[i] = ((double *)x->data)[i] + (i < old ? ((double *)s->now.data)[i] : 0);
  if (fail == 1) { c->check = 1; c->values[0] = n; c->values[1] = old; return WEFT_CHECK; }
  if (fail == 2) { c->values[0] = 1 << 20; return WEFT_NO_MEMORY; }
  if (fail == 3) return WEFT_STOPPED;
  if (fail == 9) return 77;
  swap(s);
  return WEFT_OK;
}
"""
F8 = {"dtype": "float64", "ndim": 1}
I0 = {"dtype": "int64", "ndim": 0}
CHECKS = [
    {"kind": "bounds", "message": "index {0} of {x}", "error": "BoundsError"},
    {"kind": "eq", "message": "x has length {0}, the state {1}", "error": "ShapeError"},
]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    pool.load(process_library(cache_dir=folder))
    return folder


def manifest(inputs=(), outputs=(), states=(), **more):
    plain = {"abi": 1, "inputs": [*inputs], "constants": [], "outputs": [*outputs], "states": [*states], "segments": 0,
             "checks": [],
             "hosts": [], "library": [], **more}  # fmt: skip
    return json.loads(json.dumps(plain))


@pytest.fixture
def build(cache_dir):
    def build(text, functions=(), **parts):
        path = compile_library([("program.c", text)], cache_dir=cache_dir, warnings=True)
        return Program(path, manifest(**parts), functions)

    return build


@pytest.fixture
def step(build):
    return build(STEP, inputs=[F8, I0], outputs=[F8], states=[F8], checks=CHECKS, name="step")


def code(n=0):
    return np.array(n, np.int64)


# ---- arrays in and out ----

COPY = HEAD + r"""
int32_t weft_main(weft_call *c) {
  int64_t size = *(int64_t *)c->inputs[1].data, ndim = *(int64_t *)c->inputs[2].data;
  weft_array *x = c->inputs, *y = c->outputs;
  int64_t n = count(x, ndim) * size;
  y->data = c->memory(n, &y->capacity);
  memcpy(y->data, x->data, n);
  for (int d = 0; d < ndim; d++) y->dims[d] = x->dims[d];
  return WEFT_OK;
}
"""
INTEGERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES = ["bool", *INTEGERS, "float16", "bfloat16", "float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (0, 3), (2, 3, 4)])
@pytest.mark.parametrize("fast", [True, False])
def test_arrays_pass_unchanged(build, monkeypatch, dtype, shape, fast):
    if fast:
        assert program._HEADER > 0  # the layout was recognised
    else:
        monkeypatch.setattr(program, "_HEADER", 0)
    t = {"dtype": dtype, "ndim": len(shape)}
    f = build(COPY, inputs=[t, I0, I0], outputs=[t])
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    for _ in range(2):
        (y,) = f.execute([x, code(x.itemsize), code(x.ndim)], [])
        assert type(y) is np.ndarray and y.dtype == x.dtype and y.shape == shape
        assert y.flags.writeable and y.flags.c_contiguous and y.flags.aligned
        assert y.tobytes() == x.tobytes() and not np.shares_memory(x, y)


def test_an_equal_dtype_that_is_another_object(build):
    f = build(COPY, inputs=[F8, I0, I0], outputs=[F8])
    x = np.arange(5.0).view(np.dtype("float64", metadata={"of": "somebody"}))
    assert x.dtype is not np.dtype("float64")
    for given in (x, np.arange(5.0), x):
        assert f.execute([given, code(8), code(1)], [])[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("bad", [np.zeros(3, np.float32), np.zeros((3, 1)), np.zeros(6)[::2], np.zeros(3, ">f8")])
def test_other_arrays_are_refused(build, bad):
    f = build(COPY, inputs=[F8, I0, I0], outputs=[F8])
    with pytest.raises(InternalError, match=r"input 0 of .* is no aligned C-contiguous array of float64, 1 dimensions"):
        f.execute([bad, code(8), code(1)], [])
    with pytest.raises(InternalError, match="takes 3 arrays and was given 2"):
        f.execute([np.zeros(3), code(8)], [])
    with pytest.raises(InternalError, match=r"1 states was given 0|0 states was given 1"):
        f.execute([np.zeros(3), code(8), code(1)], [Storage(np.zeros(1))])


def test_outputs_outlive_the_program_and_are_freed(build):
    f = build(COPY, inputs=[F8, I0, I0], outputs=[F8])
    x = np.ones(1 << 20)
    kept = f.execute([x, code(8), code(1)], [])[0][3:5]
    before = resident()
    for _ in range(60):
        f.execute([x, code(8), code(1)], [])
    assert resident() - before < 100 << 20  # 480 MiB pass
    del f
    gc.collect()
    assert kept.tolist() == [1, 1]


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- shared variables ----


def test_state_commits_by_swap_and_changes_its_length(step):
    s = Storage(np.arange(3.0))
    buffers = set()
    for n in (3, 3, 3, 5, 2, 0, 4, 3, 5):
        before = s.array().copy()
        (old,) = step.execute([np.ones(n), code()], [s])
        slots = [int(ffi.cast("uintptr_t", slot.data)) for slot in (s.struct.now, s.struct.spare)]
        assert set(s._owned) == {a for a in slots if a}  # all that C allocated is owned, what it dropped is gone
        want = np.ones(n) + np.pad(before, (0, max(0, n - len(before))))[:n]
        assert old.tolist() == before.tolist() and s.array().tolist() == want.tolist()
        buffers.add(tuple(sorted(s._owned)))
    assert len(buffers) < 6
    s.replace(np.zeros(2))
    step.execute([np.ones(2), code()], [s])
    assert s.array().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("fail", "error", "text"),
    [
        (1, ShapeError, "x has length 4, the state 3"),
        (2, MemoryError, "step found no memory for its arrays: 1,048,576 bytes were asked for"),
        (3, KeyboardInterrupt, "^$"),
        (9, InternalError, "step returned the unknown code 77"),
    ],
)
def test_after_an_error_the_state_is_as_it_was(step, fail, error, text):
    s = Storage(np.arange(3.0))
    for _ in range(3):
        with pytest.raises(error, match=text):
            step.execute([np.ones(4), code(fail)], [s])
        assert s.array().tolist() == [0, 1, 2]
        assert len(s._owned) == 2  # the spare has grown, once
    assert all(f.c.call.outputs[0].data == program._NULL for f in step._frames)
    step.execute([np.ones(3), code()], [s])
    assert s.array().tolist() == [1, 2, 3]


def test_failing_calls_leak_nothing(step):
    s = Storage(np.zeros(1 << 18))
    x = np.ones(1 << 18)
    for k in range(130):
        with pytest.raises(ShapeError):
            step.execute([x, code(1)], [s])
        if k == 10:
            before = resident()
    assert resident() - before < 20 << 20  # 240 MiB of outputs were allocated


def test_an_interrupt_before_python_has_taken_the_outputs(build, monkeypatch):
    text = HEAD + r"""
int32_t weft_main(weft_call *c) {
  c->outputs[0].data = get(8);
  c->outputs[1].data = c->memory(8 << 20, &c->outputs[1].capacity); c->outputs[1].dims[0] = 1 << 20;
  memset(c->outputs[1].data, 1, 8 << 20);
  return WEFT_OK;
}"""
    f = build(text, outputs=[I0, F8])

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(program, "adopt_array", interrupt)
        for k in range(20):
            with pytest.raises(KeyboardInterrupt):
                f.execute([], [])
            if k == 3:
                before = resident()
    assert resident() - before < 20 << 20  # 128 MiB passed
    assert f.execute([], [])[1].shape == (1 << 20,)


def test_a_program_with_other_storages(step):
    a, b = [Storage(np.zeros(2))], [Storage(np.ones(2))]
    for storages in (a, b, b, a):
        step.execute([np.ones(2), code()], storages)
    assert (a[0].array().tolist(), b[0].array().tolist()) == ([2, 2], [3, 3])


def test_check_messages_keep_other_braces(build):
    fails = HEAD + "int32_t weft_main(weft_call *c) { c->check = %d; c->values[0] = -7; return WEFT_CHECK; }"
    f = build(fails % 0, checks=CHECKS)
    with pytest.raises(BoundsError, match=r"^index -7 of \{x\}$"):
        f.execute([], [])
    f = build(fails % 5, checks=CHECKS)
    with pytest.raises(InternalError, match="failed check 5, which its manifest does not list"):
        f.execute([], [])


def test_a_wrong_manifest_is_refused(build):
    empty = HEAD + "int32_t weft_main(weft_call *c) { (void)c; return 0; }"
    assert build(empty).execute([], []) == []
    with pytest.raises(WeftError, match="version 2 of weft's C interface"):
        build(empty, abi=2)
    with pytest.raises(InternalError, match="names the error 'NoSuchError'"):
        build(empty, checks=[{"kind": "eq", "message": "", "error": "NoSuchError"}])
    with pytest.raises(WeftError, match="17 dimensions; at most 16"):
        build(empty, inputs=[{"dtype": "int8", "ndim": 17}])
    with pytest.raises(InternalError, match="lists 0 Python operations; 1 were given"):
        build(empty, [len])


def test_a_library_that_cannot_be_loaded(cache_dir, tmp_path):
    bad = tmp_path / "bad.so"
    bad.write_bytes(b"not a library")
    with pytest.raises(WeftError, match=r"bad\.so cannot be loaded"):
        Program(bad, manifest())


# ---- workspace, threads, libraries ----


def test_segments_stay_between_calls_and_go_with_the_program(build):
    text = HEAD + r"""
int32_t weft_main(weft_call *c) {
  int64_t want = *(int64_t *)c->inputs[0].data;
  weft_segment *s = &c->segments[1];
  if (s->capacity < want) { free(s->base); s->base = get(want); s->capacity = want; memset(s->base, 1, want); }
  c->outputs[0].data = get(8);
  *(int64_t *)c->outputs[0].data = s->capacity;
  return WEFT_OK;
}"""
    size = 64 << 20
    before = resident()
    f = build(text, inputs=[I0], outputs=[I0], segments=2)
    assert [int(f.execute([code(n)], [])[0]) for n in (10, size, 5)] == [10, size, size]
    assert resident() - before > size // 2
    del f
    gc.collect()
    assert resident() - before < size // 2


def test_loops_run_on_the_pool(build):
    text = HEAD + r"""
static void body(void *p, int64_t begin, int64_t end, int worker) { ((int64_t *)p)[worker] = end > begin; }
int32_t weft_main(weft_call *c) {
  c->outputs[0].data = calloc(65, 8); c->outputs[0].dims[0] = 65;
  int64_t *out = c->outputs[0].data;
  c->parallel_for(1000, 1, c->threads, body, out);
  out[64] = c->threads;
  return WEFT_OK;
}"""
    f = build(text, outputs=[{"dtype": "int64", "ndim": 1}])
    try:
        for n in (1, 3, 5):
            pool.set_threads(n)
            (out,) = f.execute([], [])
            assert (pool.threads(), out[64], out[:64].sum()) == (n, n, n)
    finally:
        pool.set_threads(0)
    assert pool.threads() >= 1 and pool.parallel_for() != 0


LAPACK = HEAD + r"""
int32_t weft_main(weft_call *c) {
  void (*potrf)(char *, int *, double *, int *, int *) = (void (*)(char *, int *, double *, int *, int *))c->library[0];
  void (*trsm)(char *, char *, char *, char *, int *, int *, double *, double *, int *, double *, int *) =
      (void (*)(char *, char *, char *, char *, int *, int *, double *, double *, int *, double *, int *))c->library[1];
  int n = (int)c->inputs[0].dims[0], info = 0, one = 1;
  double unit = 1, *l = c->outputs[0].data = get(8 * n * n), *y = c->outputs[1].data = get(8 * n);
  for (int k = 0; k < 2; k++) c->outputs[0].dims[k] = c->outputs[1].dims[0] = n;
  memcpy(l, c->inputs[0].data, 8 * n * n);
  for (int k = 0; k < n; k++) y[k] = 1;
  potrf("U", &n, l, &n, &info);
  trsm("L", "U", "T", "N", &n, &one, &unit, l, &n, y, &n);
  if (info) { c->check = 0; c->values[0] = info; return WEFT_CHECK; }
  return WEFT_OK;
}"""


def test_library_routines(build):
    f2 = {"dtype": "float64", "ndim": 2}
    cholesky = [{"kind": "cholesky", "message": "the minor of order {0} is not positive", "error": "NumericalError"}]
    f = build(LAPACK, inputs=[f2], outputs=[f2, F8], checks=cholesky, library=["dpotrf", "dtrsm"])
    a = np.array([[4.0, 2], [2, 10]])
    l, y = f.execute([a], [])
    np.testing.assert_allclose(np.tril(l), np.linalg.cholesky(a))
    np.testing.assert_allclose(np.linalg.cholesky(a) @ y, [1, 1])
    with pytest.raises(ArithmeticError, match="the minor of order 2 is not positive"):
        f.execute([np.array([[1.0, 2], [2, 1]])], [])
    with pytest.raises(WeftError, match="no routine 'dnosuch'"):
        build(LAPACK, library=["dnosuch"])


def test_scipy_is_named_where_it_is_missing():
    code = "import sys; sys.modules['scipy.linalg'] = None; from weft.runtime import lapack; lapack.routine('dpotrf')"
    done = python(code)
    assert done.returncode == 1 and "pip install 'weft[linalg]'" in done.stderr


def python(code, *args, **env):
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=60,
                          cwd=Path(__file__).resolve().parents[1], env={**os.environ, **env})  # fmt: skip


# ---- Python operations ----

HOST = HEAD + r"""
/* state <- state + host(input), host's second result is the output */
int32_t weft_main(weft_call *c) {
  weft_state *s = c->states[0];
  weft_array outs[2];
  memset(outs, 0, sizeof outs);
  c->outputs[0].data = get(8);
  if (c->host(c->user, 0, c->inputs, outs)) { free(outs[0].data); free(outs[1].data); return WEFT_HOST_RAISED; }
  free(c->outputs[0].data);
  c->outputs[0] = outs[1];
  if (!reserve(&s->spare, 8)) return WEFT_NO_MEMORY;
  s->spare.dims[0] = 1;
  ((double *)s->spare.data)[0] = ((double *)s->now.data)[0] + ((double *)outs[0].data)[0];
  free(outs[0].data);
  swap(s);
  return WEFT_OK;
}"""
HOSTS = [{"name": "double", "inputs": [F8], "outputs": [F8, {"dtype": "bfloat16", "ndim": 0}]}]


@pytest.fixture
def hosted(build):
    def make(function):
        outputs = [{"dtype": "bfloat16", "ndim": 0}]
        return build(HOST, [function], inputs=[F8], outputs=outputs, states=[F8], hosts=HOSTS)

    return make


def small(x):
    return np.array(x, ml_dtypes.bfloat16)


def test_python_operation(hosted):
    seen = []

    def double(given):
        seen.extend(given)
        return [2 * given[0][::-1], small(given[0].sum())]

    f, s = hosted(double), Storage(np.zeros(1))
    for k in range(3):
        (out,) = f.execute([np.array([1.0, k])], [s])
        assert out.dtype == ml_dtypes.bfloat16 and out.shape == () and float(out) == 1 + k
    assert s.array().tolist() == [6.0]  # 2 * (0 + 1 + 2)
    assert [x.tolist() for x in seen] == [[1, 0], [1, 1], [1, 2]]  # copies: they are the user's


class Planted(Exception):
    pass


def test_python_operation_that_raises(hosted):
    def double(given):
        raise Planted("in the user's line")

    f, s = hosted(double), Storage(np.ones(1))
    for _ in range(2):
        with pytest.raises(Planted, match="in the user's line") as caught:
            f.execute([np.ones(1)], [s])
        assert "double" in [e.name for e in traceback.extract_tb(caught.value.__traceback__)]
        assert s.array().tolist() == [1.0] and not s.held
    for stop in (KeyboardInterrupt, SystemExit):
        f = hosted(lambda given, stop=stop: (_ for _ in ()).throw(stop()))
        with pytest.raises(stop):
            f.execute([np.ones(1)], [s])


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        ([np.ones(1)], TypeError, "double returned 1 arrays; 2 are declared"),
        ([np.ones(1, np.float32), small(1)], DTypeError, "output 0 of double is float32; it is declared float64"),
        ([np.ones((1, 1)), small(1)], ShapeError, "output 0 of double has 2 dimensions; it is declared with 1"),
    ],
)
def test_python_operation_with_other_results(hosted, result, error, text):
    with pytest.raises(error, match=text):
        hosted(lambda given: result).execute([np.ones(1)], [Storage(np.ones(1))])


def test_a_function_inside_its_own_python_operation(hosted, step):
    s, other = Storage(np.zeros(1)), Storage(np.zeros(1))
    depth = []

    def double(given):
        depth.append(0)
        if len(depth) == 1:
            f.execute([np.ones(1)], [other])
            step.execute([np.ones(1), code()], [other])
            with pytest.raises(WeftError, match="uses a shared variable of the function whose"):
                f.execute([np.ones(1)], [s])
            with pytest.raises(WeftError, match="uses a shared variable"):
                step.execute([np.ones(1), code()], [s])
            with pytest.raises(WeftError, match="may not set a shared variable"):
                s.replace(np.ones(1))
        return [given[0] * 5, small(0)]

    f = hosted(double)
    f.execute([np.ones(1)], [s])
    assert (s.array().tolist(), other.array().tolist(), len(depth)) == ([5.0], [6.0], 2)
    s.replace(np.ones(1))
    assert not program._in_host and not s.held and not other.held


# ---- threads and processes ----


def scalar(name, dtype=np.float64, ndim=1):
    return Argument(name, name, np.dtype(dtype), (None,) * ndim)


ADD2 = HEAD + r"""
/* both states grow by one, after a look at the other: a call between would see them differ */
int32_t weft_main(weft_call *c) {
  for (int k = 0; k < 2; k++) {
    weft_state *s = c->states[k];
    int64_t n = s->now.dims[0];
    if (!reserve(&s->spare, n * 8)) return WEFT_NO_MEMORY;
    s->spare.dims[0] = n;
    for (int64_t i = 0; i < n; i++) ((double *)s->spare.data)[i] = ((double *)s->now.data)[i] + 1;
  }
  c->outputs[0].data = get(8);
  *(double *)c->outputs[0].data = ((double *)c->states[0]->now.data)[0] - ((double *)c->states[1]->now.data)[0];
  swap(c->states[0]); swap(c->states[1]);
  return WEFT_OK;
}"""


def test_eight_threads_call_two_programs_that_share_storages(build):
    parts = dict(outputs=[{"dtype": "float64", "ndim": 0}], states=[F8, F8])
    a, b = Storage(np.zeros(257)), Storage(np.zeros(257))
    f = CompiledFunction([], [a, b], build(ADD2, **parts), "one")
    g = CompiledFunction([], [b, a], build(ADD2 + "/* another */", **parts), "one")
    wrong = []

    def run(function):
        for _ in range(400):
            if function() != 0:
                wrong.append(function)

    threads = [threading.Thread(target=run, args=((f, g)[k % 2],)) for k in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong
    assert (a.array() == 3200).all() and (b.array() == 3200).all()


def test_after_fork(build, step):
    s = Storage(np.zeros(2))
    step.execute([np.ones(2), code()], [s])
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            step.execute([np.ones(2), code()], [s])
            status = 0 if s.array().tolist() == [2, 2] and pool.threads() else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert s.array().tolist() == [1, 1]


def test_no_reference_is_kept_to_arguments(step):
    x, s = np.ones(3), Storage(np.zeros(3))
    count = sys.getrefcount(x)
    step.execute([x, code()], [s])
    assert sys.getrefcount(x) == count
    x.resize(7)  # nor a buffer of them exported


# ---- as CompiledFunction calls it ----


def test_arrays_that_do_not_fit_are_converted(build):
    arguments = [scalar("x"), scalar("size", np.int64, 0), scalar("ndim", np.int64, 0)]
    f = CompiledFunction(arguments, [], build(COPY, inputs=[F8, I0, I0], outputs=[F8]), "one")
    x = np.arange(6.0)
    for given in (x, x[::2], x.astype(np.float32), x.astype(">f8"), [0, 1.5], x[::-1]):
        want = np.asarray(given, np.float64).tolist()
        for out in (f(given, code(8), code(1)), f(given, 8, 1), f(given, ndim=1, size=8)):
            assert out.tolist() == want
    x.flags.writeable = False
    assert f(x, code(8), code(1)).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ShapeError, match="argument 0: x takes 1 dimension, but was given"):
        f(np.zeros((2, 2)), code(8), code(1))
    with pytest.raises(DTypeError, match="argument 0: x takes float64"):
        f(np.zeros(2, np.complex128), code(8), code(1))


def test_static_lengths_are_checked(build):
    arguments = [Argument("x", "x", np.dtype("f8"), (1,)), scalar("size", np.int64, 0), scalar("ndim", np.int64, 0)]
    f = CompiledFunction(arguments, [], build(COPY, inputs=[F8, I0, I0], outputs=[F8]), "one")
    assert f(np.ones(1), code(8), code(1)).tolist() == [1]
    with pytest.raises(ShapeError, match="axis 0 of x has length 1"):
        f(np.ones(2), code(8), code(1))


def test_locks_are_free_after_any_call(step):
    s = Storage(np.zeros(3))
    f = CompiledFunction([scalar("x"), scalar("n", np.int64, 0)], [s], step, "one")
    for k in (0, 1, 2, 3, 0):
        try:
            f(np.ones(3), code(k))
        except BaseException as e:
            assert k, e
    free = []
    t = threading.Thread(target=lambda: free.append(f._group.lock.acquire(timeout=5)))
    t.start()
    t.join()
    assert free == [True] and f._group is s.group.current() and f._group.running is None


def test_the_declarations_are_those_of_the_headers():
    from weft.runtime.declare import TARGET, declarations

    assert TARGET.read_text() == declarations(), "python runtime/declare.py"
