"""Threads of Python and of the pool together: shared weights, nested calls, forks, limits, a busy neighbour."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.runtime import locks, pool
from weft.runtime.errors import WeftError

TESTS = Path(__file__).parent
KERNELS = TESTS.parent / "kernels"
STEPS = 12  # of training, by each thread


@pytest.fixture(autouse=True)
def four_threads():
    weft.set_threads(4)
    yield
    weft.set_threads(0)


def model() -> tuple[Any, Any, Any]:
    """Weights, a step of training and an evaluation: products, folds and loops that use several threads."""
    rng = np.random.default_rng(0)
    w = weft.shared(rng.normal(size=(160, 160)).astype("float32"), "w")
    v = weft.shared(np.zeros((160, 160), "float32"), "v")
    x = T.fmatrix("x")
    h = T.tanh(T.dot(x, w))
    loss = T.mean(h * h) + T.mean(T.exp(-w * w))
    step = v * np.float32(0.5) + weft.grad(loss, w)
    train = weft.function([x], loss, updates=[(v, step), (w, w - np.float32(3) * step)])
    evaluate = weft.function([x], [T.sum(h, axis=1), T.sum(w), T.sum(v)])
    return w, train, evaluate


def data() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(300, 160)).astype("float32")


def bits(values: Any) -> bytes:
    """A hash of the bits of all values: what a pipe can hold."""
    parts = (np.asarray(a).tobytes() for a in (values if isinstance(values, list) else [values]))
    return hashlib.sha256(b"".join(parts)).digest()


def together(*bodies: Callable[[], None]) -> None:
    """Runs them in threads that start at once; what one of them raises is raised here."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(bodies))

    def guarded(body: Callable[[], None]) -> None:
        try:
            gate.wait()
            body()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=guarded, args=(b,)) for b in bodies]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def share_weights(trainers: int, evaluators: int, steps: int) -> None:
    """Losses and evaluations are those of one thread that takes the steps in a row."""
    x = data()
    w, train, evaluate = model()
    losses, states = [], [bits(evaluate(x))]
    for _ in range(trainers * steps):
        losses.append(bits(train(x)))
        states.append(bits(evaluate(x)))
    assert len(set(states)) == len(states)
    last = bits(w.get_value())
    w, train, evaluate = model()
    got: list[list[bytes]] = [[] for _ in range(trainers)]
    seen: list[list[bytes]] = [[] for _ in range(evaluators)]

    def trainer(out: list[bytes]) -> Callable[[], None]:
        return lambda: out.extend(bits(train(x)) for _ in range(steps))

    def evaluator(out: list[bytes]) -> Callable[[], None]:
        return lambda: out.extend(bits(evaluate(x)) for _ in range(steps))

    together(*map(trainer, got), *map(evaluator, seen))
    assert sorted(b for out in got for b in out) == sorted(losses)
    assert bits(w.get_value()) == last
    for out in seen:
        order = [states.index(b) for b in out]  # each is a state between two steps, and they only go on
        assert order == sorted(order)


def test_eight_threads_train_and_evaluate_with_shared_weights() -> None:
    share_weights(4, 4, STEPS)


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    fixed = ["setarch", "-R"] if "LD_PRELOAD" in environment and shutil.which("setarch") else []
    preload = [f"LD_PRELOAD={environment.pop('LD_PRELOAD')}"] if "LD_PRELOAD" in environment else []
    command = [*fixed, *(["env", *preload] if preload else []), sys.executable, "-c", code]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


RACE = r"""
#include <pthread.h>
#include <stdint.h>
static int64_t count;
static void *add(void *p) { for (int k = 0; k < 100000; k++) count += (int64_t)(intptr_t)p; return 0; }
int64_t race(void) {
  pthread_t t;
  pthread_create(&t, 0, add, (void *)1);
  add((void *)1);
  pthread_join(t, 0);
  return count;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("planted", [False, True], ids=["", "planted"])
def test_under_the_thread_sanitizer(planted: bool, tmp_path: Path) -> None:
    """Programs, kernels and pool are built with it, Python runs with it preloaded. A planted race is found."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")
    asked = subprocess.run([gcc, "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True)
    found = asked.stdout.strip()
    if not os.path.isabs(found):
        pytest.skip("no thread sanitizer")
    code = """
import os
os.environ.pop("LD_PRELOAD")  # the compiler runs without it
from weft.compiler.build import library, toolchain
toolchain.REQUIRED = tuple("-O1" if f == "-O3" else f for f in toolchain.REQUIRED)
toolchain.OPTIONAL = ()
toolchain.PROGRAM = ("-O1",)
import test_threads
test_threads.weft.set_threads(4)
test_threads.share_weights(4, 4, 3)
if PLANTED:
    from cffi import FFI
    ffi = FFI()
    ffi.cdef("int64_t race(void);")
    ffi.dlopen(str(library.compile_library([("race.c", test_threads.RACE)], cc=os.environ["WEFT_CC"]))).race()
print("went", test_threads.pool.counts()["loops"] > 0)
""".replace("PLANTED", str(planted))
    said = child(
        code, WEFT_CC=f"{gcc} -fsanitize=thread -g -Wno-tsan", LD_PRELOAD=found,
        TSAN_OPTIONS="report_signal_unsafe=0 exitcode=66", OPENBLAS_NUM_THREADS="1", WEFT_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    if "unexpected memory mapping" in said.stderr or (said.returncode == -signal.SIGSEGV and not said.stderr):
        pytest.skip("the thread sanitizer does not run on this kernel")
    assert "went True" in said.stdout, said.stderr[-3000:]
    if planted:
        assert said.returncode == 66 and "data race" in said.stderr and " add " in said.stderr
    else:
        assert said.returncode == 0, said.stderr[:6000]


# ---- fork ----


def forked(body: Callable[[], Any]) -> Any:
    """What body returns in a forked child, which has 60 seconds."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            with os.fdopen(write, "w") as f:
                json.dump(body(), f)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    for _ in range(6000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        threading.Event().wait(0.01)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    with os.fdopen(read) as f:
        text = f.read()
    assert os.waitstatus_to_exitcode(status) == 0
    return json.loads(text)


def test_fork_in_the_middle_of_training() -> None:
    """Parent and child go on from the same weights and end with the same bits, the child with a pool of its own."""
    x = data()
    w, train, _ = model()
    for _ in range(3):
        train(x)

    def rest() -> list[Any]:
        before = pool.counts()["loops"]
        losses = [bits(train(x)).hex() for _ in range(5)]
        return [losses, bits(w.get_value()).hex(), pool.counts()["loops"] > before]

    in_child = forked(lambda: [rest(), forked(rest)])  # and a child of the child
    in_parent = rest()
    assert in_child[0] == in_parent
    assert in_parent[2]
    assert in_child[1][0] != in_parent[0]  # five steps further


def test_fork_while_another_thread_makes_a_function() -> None:
    a, b = weft.shared(np.zeros(2)), weft.shared(np.zeros(2))
    with a.container.group.lock, b.container.group.lock:  # calls run on them: making a function of both waits
        maker = threading.Thread(target=lambda: weft.function([], a + b))
        maker.start()
        while locks.joining.acquire(blocking=False):
            locks.joining.release()
        assert forked(lambda: weft.function([], a + 2)().tolist()) == [2, 2]
    maker.join()


def test_fork_while_another_thread_is_inside_a_call() -> None:
    """The child does not wait for a thread it does not have; what that thread was at work on has to be set again."""
    x = data()
    inside, go_on = threading.Event(), threading.Event()

    @as_op([T.fmatrix().type], [T.fmatrix().type])
    def wait(a: np.ndarray) -> np.ndarray:
        inside.set()
        go_on.wait()
        return a

    _, train, _ = model()
    other = weft.shared(np.ones((160, 160), "float32"))
    m = T.fmatrix("m")
    f = weft.function([m], T.sum(T.tanh(wait(m) + other)), updates=[(other, other + 1)])
    train(x)
    t = threading.Thread(target=f, args=(np.ones((160, 160), "float32"),))
    t.start()
    assert inside.wait(60)

    def body() -> list[Any]:
        go_on.set()
        out: list[Any] = [bits(train(x)).hex()]
        for call in (lambda: f(x[:160]), other.get_value):
            with pytest.raises(WeftError, match="forked while another thread"):
                call()
        other.set_value(np.zeros((160, 160), "float32"))
        f(x[:160])
        return [*out, float(other.get_value().sum())]

    try:
        in_child = forked(body)
    finally:
        go_on.set()
        t.join()
    assert in_child == [bits(train(x)).hex(), 160.0 * 160]
    assert (other.get_value() == 2).all()


def test_forks_while_threads_train() -> None:
    """At any moment, in C or in Python: the child can always compute with variables of its own."""
    x = data()
    _, train, _ = model()
    _, mine, evaluate = model()
    want = bits(evaluate(x)).hex()
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            train(x)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        for _ in range(8):
            assert forked(lambda: bits(evaluate(x)).hex()) == want
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert mine(x) is not None


# ---- nesting ----


def test_calls_from_inside_a_python_operation() -> None:
    """An operation runs between loops, so what it calls may use the pool; results are those of calls by themselves."""
    x = data()
    _, train, evaluate = model()

    @as_op([T.fmatrix().type], [T.fvector().type])
    def inner(a: np.ndarray) -> np.ndarray:
        return evaluate(a)[0]

    m = T.fmatrix("m")
    f = weft.function([m], T.tanh(inner(T.tanh(m))))
    g = weft.function([m], T.tanh(m))
    want = np.tanh(evaluate(g(x))[0])
    before = pool.counts()["loops"]
    for _ in range(5):
        np.testing.assert_allclose(f(x), want, rtol=1e-5)
    assert pool.counts()["loops"] > before
    together(*[lambda: bits(f(x)) == bits(f(x)) or pytest.fail("other bits")] * 4, lambda: train(x))


def test_limits_a_function_and_a_block() -> None:
    """A limit of one hands nothing to workers; the values are the same."""
    x = data()
    _, _, evaluate = model()
    want = bits(evaluate(x))

    def loops() -> int:
        before = pool.counts()["loops"]
        assert bits(evaluate(x)) == want
        return pool.counts()["loops"] - before

    usual = loops()
    assert usual > 0
    with weft.limit_threads(1):
        assert loops() == 0
        seen: list[int] = []
        together(lambda: seen.append(loops()))
        assert seen == [usual], "the limit is that of one thread's calls"
    evaluate.threads = 1
    assert loops() == 0
    evaluate.threads = None
    assert loops() == usual


def test_small_loops_stay_on_the_callers_thread() -> None:
    """By the work in them: an exponential is worth more than a sum, a division more than a product."""
    x = T.fvector("x")
    cases = {"add": x + x, "tanh": T.tanh(x)}
    shared_from = {}
    for name, y in cases.items():
        f = weft.function([x], y)
        for n in (1000 * 2**k for k in range(9)):
            before = pool.counts()["loops"]
            f(np.zeros(n, "float32"))
            if pool.counts()["loops"] > before:
                shared_from[name] = n
                break
    assert 2000 < shared_from["tanh"] <= 20_000
    assert shared_from["tanh"] < shared_from["add"] <= 100_000


# ---- what the system allows ----


def pool_at(root: Path, cpus: int | None = None) -> int:
    """The thread count of a pool that finds its files below root."""
    lib = root / "pool.so"
    if not lib.exists():
        command = ["gcc", "-std=gnu11", "-fPIC", "-shared", "-pthread", f'-DWEFT_POOL_ROOT="{root}"', "-I", KERNELS]
        # Cores by the dozen, whatever this machine has: the affinity call is the library's own.
        (root / "cpus.c").write_text(
            "#define _GNU_SOURCE\n#include <sched.h>\n#include <stdlib.h>\n"
            "int sched_getaffinity(pid_t p, size_t n, cpu_set_t *s) { (void)p, (void)n; CPU_ZERO(s);\n"
            'for (int k = 0; k < atoi(getenv("CPUS")); k++) CPU_SET(k, s); return 0; }\n'
        )
        subprocess.run([*command, KERNELS / "weft_pool.c", root / "cpus.c", "-Wl,-Bsymbolic", "-o", lib], check=True)
    code = (
        "from cffi import FFI; f = FFI(); f.cdef('int weft_pool_threads(void);');"
        f"print(f.dlopen({str(lib)!r}).weft_pool_threads())"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("WEFT_THREADS", "OMP_NUM_THREADS")}
    env["CPUS"] = str(cpus or 24)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    return int(done.stdout)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_quotas_of_control_groups(tmp_path: Path) -> None:
    groups = tmp_path / "sys/fs/cgroup"
    assert pool_at(tmp_path) == 24
    assert pool_at(tmp_path, 3) == 3
    write(tmp_path / "proc/self/cgroup", "0::/job/step\n")
    write(groups / "job/step/cpu.max", "max 100000\n")
    assert pool_at(tmp_path) == 24
    write(groups / "job/cpu.max", "650000 100000\n")
    assert pool_at(tmp_path) == 7  # 6.5 processors
    assert pool_at(tmp_path, 5) == 5
    write(groups / "job/step/cpu.max", "50000 100000\n")
    assert pool_at(tmp_path) == 1
    write(groups / "job/step/cpu.max", "900000 100000\n")
    assert pool_at(tmp_path) == 7  # the least of those above counts
    write(tmp_path / "proc/self/cgroup", "0::/elsewhere/../not/there\n")
    assert pool_at(tmp_path) == 24
    write(groups / "cpu.max", "1100000 100000\n")
    assert pool_at(tmp_path) == 11
    write(tmp_path / "proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/box\n1:name=systemd:/\n")
    write(groups / "cpu/cpu.cfs_quota_us", "-1\n")
    write(groups / "cpu/cpu.cfs_period_us", "100000\n")
    assert pool_at(tmp_path) == 11
    write(groups / "cpu/box/cpu.cfs_quota_us", "250000\n")
    write(groups / "cpu/box/cpu.cfs_period_us", "100000\n")
    assert pool_at(tmp_path) == 3
    write(groups / "cpu/cpu.cfs_quota_us", "200000\n")
    assert pool_at(tmp_path) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity to set")
def test_affinity_limits_the_count() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import weft, weft.tensor as T\nfrom weft.runtime import pool\n"
        "weft.function([], T.constant(1.0))()\nprint(pool.threads())"
    )
    env = {k: "" for k in ("WEFT_THREADS", "OMP_NUM_THREADS")}
    assert child(code, **env).stdout == "1\n"


@pytest.mark.parametrize("text, count", [
    ("1", 1), (" 1 ", 1), ("1x", 2), ("+1", 2), ("1_0", 2), ("\u0663", 2), ("0", 2),
])  # fmt: skip
def test_what_the_environment_says_counts_or_is_warned_of(text: str, count: int) -> None:
    code = (
        "import weft, weft.tensor as T\nfrom weft.runtime import pool\n"
        "weft.function([], T.constant(1.0))()\nprint(pool.threads())"
    )
    done = child(code, WEFT_THREADS=text, OMP_NUM_THREADS="2,1")
    assert done.stdout == f"{count}\n" and ("and is not used" in done.stderr) == (count == 2)


# ---- a busy neighbour ----

BODIES = r"""
#include "weft_pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
static __thread int caller;
static _Atomic int begun, by_caller, by_worker;
static void count(void *p, int64_t begin, int64_t end, int worker) {
  (void)p, (void)begin, (void)end, (void)worker;
  atomic_fetch_add(caller ? &by_caller : &by_worker, 1);
}
/* The caller's chunk ends when all have begun. */
static void hold_workers(void *p, int64_t begin, int64_t end, int worker) {
  (void)p, (void)begin, (void)end, (void)worker;
  atomic_fetch_add(&begun, 1);
  if (caller) while (atomic_load(&begun) < 4) sched_yield();
}
/* How many chunks of `times` loops on four threads the caller ran, and how many the workers. */
int chunks_of_the_caller(int times, int *workers) {
  caller = 1;
  begun = 0;
  weft_parallel_for(4000, 1, 4, hold_workers, 0); /* workers are there: work enough to wake them */
  by_caller = by_worker = 0;
  for (int k = 0; k < times; k++) weft_parallel_for(4, 1, 4, count, 0);
  *workers = by_worker;
  return by_caller;
}
/* The workers sleep; a loop too small to wake them is the caller's. Returns how many were woken in `times` loops. */
int64_t woken_by(int times, int grains) {
  weft_pool_counts a, b;
  caller = 1;
  begun = 0;
  weft_parallel_for(4000, 1, 4, hold_workers, 0);
  weft_pool_count(&a);
  for (int k = 0; k < times; k++) {
    struct timespec t = {0, 5000000};
    nanosleep(&t, 0);
    weft_parallel_for(4 * grains, 4, 4, count, 0);
  }
  weft_pool_count(&b);
  return b.woken - a.woken;
}
"""


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> tuple[FFI, Any]:
    folder = tmp_path_factory.mktemp("neighbour")
    (folder / "t.c").write_text("#define _GNU_SOURCE\n#include <time.h>\n" + BODIES)
    command = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-I", KERNELS]
    subprocess.run([*command, KERNELS / "weft_pool.c", folder / "t.c", "-o", folder / "t.so"], check=True)
    ffi = FFI()
    ffi.cdef("int chunks_of_the_caller(int, int *); int64_t woken_by(int, int); void weft_pool_set_threads(int);")
    lib = ffi.dlopen(str(folder / "t.so"))
    lib.weft_pool_set_threads(4)
    return ffi, lib


def test_chunks_of_workers_that_do_not_come_are_run_by_the_caller(bodies: tuple[FFI, Any]) -> None:
    """More threads than processors and a process on each: every chunk is run once, whoever comes."""
    ffi, lib = bodies
    spin = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(os.cpu_count() or 1)]
    workers = ffi.new("int *")
    try:
        mine = lib.chunks_of_the_caller(2000, workers)
    finally:
        for p in spin:
            p.kill()
            p.wait()
    assert mine + workers[0] == 4 * 2000
    assert mine > 2000, "the caller waited for workers that had not begun"


def test_rare_small_loops_wake_few_sleepers(bodies: tuple[FFI, Any]) -> None:
    _, lib = bodies
    assert lib.woken_by(16, 3) <= 2 * 3 + 3  # loops of less work than is ever worth a wake-up
    assert lib.woken_by(4, 1000) >= 3  # and work enough to wake them


def test_a_limit_that_a_python_operation_of_the_call_sets() -> None:
    @as_op(itypes=[T.dvector], otypes=[T.dvector])
    def single(x: np.ndarray) -> np.ndarray:
        f.threads = 1
        return x

    x = T.dvector("x")
    f = weft.function([x], single(x))
    f(np.ones(3))
    assert f.threads == 1 and [frame.c.limit for frame in f.executor._frames] == [1]


def test_groups_of_functions_that_are_gone() -> None:
    """However many functions have joined a variable with theirs, its lock is found at once, and they are freed."""
    w, beside = weft.shared(np.ones(3)), weft.shared(np.ones(3))
    weft.function([], [], updates=[(w, w + beside)], mode="interpret")
    gc.collect()
    before = len(locks.groups)
    for _ in range(20):
        mine = weft.shared(0.0)
        weft.function([], [], updates=[(mine, mine + w.sum()), (w, w + 1)], mode="interpret")()
    for s in (w, beside):
        s.get_value()
        steps, group = 0, s.container.group
        while group.into is not None:
            steps, group = steps + 1, group.into
        assert steps <= 1
    del mine, group
    gc.collect()
    assert len(locks.groups) <= before + 3


def test_functions_are_made_while_another_waits_to_join_variables() -> None:
    """A thread that waits for a call to end, to join its variables, holds nothing that making functions takes."""
    a, b, y, inside = weft.shared(np.ones(3)), weft.shared(np.ones(3)), T.dvector("y"), threading.Barrier(2)
    x = T.dvector("x")

    @as_op(itypes=[T.dvector], otypes=[T.dvector])
    def joins(v: np.ndarray) -> np.ndarray:
        inside.wait()
        weft.function([], a + b, mode="interpret")
        return v

    @as_op(itypes=[T.dvector], otypes=[T.dvector])
    def does_not(v: np.ndarray) -> np.ndarray:
        inside.wait()
        time.sleep(0.3)
        weft.function([y], y * 2, mode="interpret")
        return v

    calls = [weft.function([x], joins(x) + a), weft.function([x], does_not(x) + b)]
    threads = [threading.Thread(target=f, args=(np.ones(3),), daemon=True) for f in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)
    assert a.container.group.current() is b.container.group.current()
