"""kernels/weft_pool.c: every item once, whatever the caller does with threads, nesting and fork."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI

KERNELS = Path(__file__).resolve().parent.parent / "kernels"

BODIES = r"""
#include "weft_pool.h"
#include <pthread.h>
struct job { int64_t *count; int32_t *worker; weft_pfor pfor; int64_t inner; int64_t sizes[64]; };
static void visit(void *p, int64_t begin, int64_t end, int worker) {
  struct job *j = p;
  for (int64_t i = begin; i < end; i++) { j->count[i] += 1; j->worker[i] = worker; }
  j->sizes[worker] = end - begin;
}
void t_visit(int64_t n, int64_t grain, int threads, int64_t *count, int32_t *worker, int64_t *sizes) {
  struct job j = {count, worker, weft_parallel_for, 0, {0}};
  weft_parallel_for(n, grain, threads, visit, &j);
  for (int i = 0; i < 64; i++) sizes[i] = j.sizes[i];
}
struct inner { int64_t *row; };
static void fill(void *p, int64_t begin, int64_t end, int worker) {
  for (int64_t i = begin; i < end; i++) ((int64_t *)p)[i] += 1 + 100 * worker;
}
static void outer(void *p, int64_t begin, int64_t end, int worker) {
  struct job *j = p; (void)worker;
  for (int64_t i = begin; i < end; i++) j->pfor(j->inner, 1, 0, fill, j->count + i * j->inner);
}
void t_nested(int64_t n, int64_t inner, int64_t *count) {
  struct job j = {count, 0, weft_parallel_for, inner, {0}};
  weft_parallel_for(n, 1, 0, outer, &j);
}
void t_many(int64_t times, int64_t n, int64_t *count, int32_t *worker) {
  struct job j = {count, worker, weft_parallel_for, 0, {0}};
  for (int64_t i = 0; i < times; i++) weft_parallel_for(n, 1, 1 + (int)(i % 5), visit, &j);
}
"""
DECL = """
void t_visit(int64_t n, int64_t grain, int threads, int64_t *count, int32_t *worker, int64_t *sizes);
void t_nested(int64_t n, int64_t inner, int64_t *count);
void t_many(int64_t times, int64_t n, int64_t *count, int32_t *worker);
int weft_pool_threads(void);
void weft_pool_set_threads(int n);
"""


def open_pool(path):
    ffi = FFI()
    ffi.cdef(DECL)
    return ffi, ffi.dlopen(str(path))


@pytest.fixture(scope="session")
def pool_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    (folder / "t.c").write_text(BODIES)
    subprocess.run(["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-I", KERNELS,
                    KERNELS / "weft_pool.c", folder / "t.c", "-o", folder / "pool.so"], check=True)
    return folder / "pool.so"


@pytest.fixture
def pool(pool_path):
    ffi, lib = open_pool(pool_path)
    lib.weft_pool_set_threads(4)
    return ffi, lib


def visit(pool, n, grain=1, threads=0):
    ffi, lib = pool
    count, worker, sizes = np.zeros(max(n, 1), np.int64), np.full(max(n, 1), -1, np.int32), np.zeros(64, np.int64)
    lib.t_visit(n, grain, threads, ffi.from_buffer("int64_t[]", count), ffi.from_buffer("int32_t[]", worker),
                ffi.from_buffer("int64_t[]", sizes))
    return count[:n], worker[:n], sizes


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 100, 1001])
@pytest.mark.parametrize("grain", [1, 3, 64])
def test_every_item_once_in_contiguous_chunks(pool, n, grain):
    for threads in (0, 1, 2, 3, 4, 9):
        count, worker, sizes = visit(pool, n, grain, threads)
        assert (count == 1).all()
        assert (np.diff(worker) >= 0).all()
        used = sizes[sizes > 0]
        assert len(used) <= min(4, threads or 4)
        assert len(used) <= 1 or used.min() >= grain
        assert len(used) == (min(4, threads or 4, max(n // grain, 1)) if n else 0)


def test_thread_count_changes(pool):
    for t in (1, 7, 2, 16, 3):
        pool[1].weft_pool_set_threads(t)
        assert pool[1].weft_pool_threads() == t
        assert visit(pool, 1000)[1].max() == t - 1


def test_nested_loops_run_serially(pool):
    ffi, lib = pool
    count = np.zeros((8, 50), np.int64)
    lib.t_nested(8, 50, ffi.from_buffer("int64_t[]", count))
    assert (count == 1).all()  # worker 0 of each inner loop


def test_many_loops_of_changing_width(pool):
    ffi, lib = pool
    count, worker = np.zeros(64, np.int64), np.zeros(64, np.int32)
    lib.t_many(1500, 64, ffi.from_buffer("int64_t[]", count), ffi.from_buffer("int32_t[]", worker))
    assert (count == 1500).all()


def test_eight_python_threads(pool):
    ffi, lib = pool
    counts = [np.zeros(64, np.int64) for _ in range(8)]

    def run(c):
        lib.t_many(500, 64, ffi.from_buffer("int64_t[]", c), ffi.from_buffer("int32_t[]", np.zeros(64, np.int32)))

    threads = [threading.Thread(target=run, args=(c,)) for c in counts]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all((c == 500).all() for c in counts)


def test_unloading_the_library_ends_its_workers(pool_path, tmp_path):
    pool_path = shutil.copy(pool_path, tmp_path)  # other tests hold the original open: closing it would not unload it
    before = len(os.listdir("/proc/self/task"))
    for _ in range(20):
        ffi, lib = open_pool(pool_path)
        lib.weft_pool_set_threads(6)
        assert visit((ffi, lib), 100)[1].max() == 5
        ffi.dlclose(lib)
    for _ in range(100):  # a joined thread may be listed for a moment
        if len(os.listdir("/proc/self/task")) <= before:
            return
        threading.Event().wait(0.01)
    pytest.fail("threads outlive their library")


def test_pool_is_rebuilt_after_fork(pool):
    """In fresh interpreters' children: the child's loops use all its workers, the parent's go on."""
    assert visit(pool, 100)[1].max() == 3
    pid = os.fork()
    if pid == 0:
        count, worker, _ = visit(pool, 100)
        os._exit(0 if (count == 1).all() and worker.max() == 3 else 1)
    for _ in range(500):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        threading.Event().wait(0.01)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    assert visit(pool, 100)[1].max() == 3


@pytest.mark.parametrize("env,want", [({"WEFT_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3), ({"OMP_NUM_THREADS": "2,4"}, 2), ({}, None)])
def test_count_from_the_environment(pool_path, env, want):
    code = ("import sys; from cffi import FFI; f = FFI(); f.cdef('int weft_pool_threads(void);');"
            "print(f.dlopen(sys.argv[1]).weft_pool_threads())")
    clean = {k: v for k, v in os.environ.items() if k not in ("WEFT_THREADS", "OMP_NUM_THREADS")}
    n = int(subprocess.run([sys.executable, "-c", code, pool_path], env={**clean, **env}, capture_output=True, check=True).stdout)
    assert n == want if want else 1 <= n <= len(os.sched_getaffinity(0))


def test_under_the_thread_sanitizer(tmp_path):
    """The pool's own memory traffic has no race (where the sanitizer is installed)."""
    (tmp_path / "m.c").write_text(BODIES + r"""
static void *user(void *p) { int32_t w[64]; t_many(300, 64, p, w); return 0; }
int main(void) {
  static int64_t counts[4][64]; pthread_t t[4];
  weft_pool_set_threads(4);
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, user, counts[i]);
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
  for (int i = 0; i < 256; i++) if (counts[0][i] != 300) return 3;
  return 0;
}
""")
    built = subprocess.run(["gcc", "-O1", "-g", "-fsanitize=thread", "-pthread", "-I", KERNELS, KERNELS / "weft_pool.c",
                            tmp_path / "m.c", "-o", tmp_path / "m"], capture_output=True)
    if built.returncode:
        pytest.skip("no thread sanitizer")
    done = subprocess.run([tmp_path / "m"], capture_output=True, text=True)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitizer does not run on this kernel")
    assert done.returncode == 0, done.stderr[:3000]
