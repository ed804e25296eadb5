"""Ctrl-C in compiled calls: real signals in processes of their own, and interrupts at every place of one function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.build.library import compile_library, process_library
from weft.runtime.program import Program

ROOT = Path(__file__).resolve().parents[1]

# Runs for inputs[0] ms before it commits and inputs[1] ms after: the state counts commits.
SLOW = r"""
#include "weft_abi.h"
#include <stdlib.h>
#include <time.h>
static void nap(void) { struct timespec t = {0, 1000000}; nanosleep(&t, 0); }
int32_t weft_main(weft_call *c) {
  c->outputs[0].data = malloc(8);
  *(int64_t *)c->outputs[0].data = 5;
  for (int64_t k = *(int64_t *)c->inputs[0].data; k > 0; k--) { if (*c->stop) return WEFT_STOPPED; nap(); }
  ++*(int64_t *)c->states[0]->now.data;
  for (int64_t k = *(int64_t *)c->inputs[1].data; k > 0; k--) nap();
  return WEFT_OK;
}
"""

PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
from weft.runtime import pool, signals
from weft.runtime.program import Program
from weft.runtime.state import Storage
pool.load(sys.argv[1])
I = {"dtype": "int64", "ndim": 0}
f = Program(sys.argv[2], {"abi": 1, "inputs": [I, I], "constants": [], "outputs": [I], "states": [I], "segments": 0,
                          "checks": [], "hosts": [], "library": []})
s = Storage(np.array(0))
def call(before, after=0, state=s):
    return int(f.execute([np.array(before), np.array(after)], [state])[0])
def interrupt(after=0.2, signal=signal.SIGINT):
    threading.Thread(target=lambda: (time.sleep(after), os.kill(os.getpid(), signal)), daemon=True).start()
def stopped(*args):
    start = time.monotonic()
    try:
        call(*args)
    except KeyboardInterrupt:
        return time.monotonic() - start
    raise AssertionError("not stopped")
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return process_library(cache_dir=folder), compile_library([("slow.c", SLOW)], cache_dir=folder, warnings=True)


@pytest.fixture
def run(libraries):
    def run(code):
        done = subprocess.run([sys.executable, "-c", PRELUDE + code, *map(str, libraries)], cwd=ROOT, timeout=60,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_long_call_is_stopped_and_nothing_has_changed(run):
    run("""
for _ in range(2):
    interrupt()
    assert stopped(20000) < 5
    assert int(s.array()) == 0
    assert call(1) == 5  # the flag is the stopped call's only
    s.array()[...] = 0
""")


def test_a_committed_call_stands(run):
    run("""
interrupt()
assert stopped(0, 500) >= 0.45  # it ran to its end
assert int(s.array()) == 1
assert call(1) == 5 and int(s.array()) == 2
""")


def test_a_signal_between_calls_is_pythons_alone(run):
    run("""
for _ in range(3):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        raise AssertionError
    except KeyboardInterrupt:
        pass
    assert call(20) == 5
assert int(s.array()) == 3
""")


def test_calls_of_other_threads_run_to_their_end(run):
    run("""
done = []
threads = [threading.Thread(target=lambda: done.append(call(600, 0, Storage(np.array(0))))) for _ in range(2)]
[t.start() for t in threads]
interrupt()
assert stopped(20000) < 5
[t.join() for t in threads]
assert done == [5, 5]
# and with no call in the main thread
ready = threading.Event()
t = threading.Thread(target=lambda: (done.append(call(500, 0, Storage(np.array(0)))), ready.set()))
t.start()
interrupt()
try:
    ready.wait()
    raise AssertionError
except KeyboardInterrupt:
    pass
ready.wait()
assert done == [5, 5, 5]
assert call(20) == 5
""")


def test_a_handler_of_the_users_is_left_alone(run):
    run("""
seen = []
before = signal.signal(signal.SIGINT, lambda *a: seen.append(0))
assert not signals.install()
interrupt()
assert call(600) == 5 and seen == [0]  # runs to its end, then the handler
signal.signal(signal.SIGINT, before)
time.sleep(0.1)
interrupt()
assert stopped(20000) < 5  # the default one is back, and so is ours
assert seen == [0] and int(s.array()) == 1
""")


def test_an_ignored_signal_is_ignored(run):
    run("""
signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupt()
assert call(600) == 5
""")


def test_after_asyncio_has_had_the_signal(run):
    run("""
import asyncio
async def main():
    assert call(1) == 5
asyncio.run(main())
time.sleep(0.1)
interrupt()
assert stopped(20000) < 5
""")


def test_in_a_forked_child(run):
    run("""
pid = os.fork()
if pid == 0:
    interrupt()
    took = stopped(20000)
    os._exit(0 if took < 5 else 1)
assert os.waitpid(pid, 0)[1] == 0
# forked from a thread, the child's main thread is that one
out = []
def fork():
    pid = os.fork()
    if pid == 0:
        interrupt()
        took = stopped(20000)
        os._exit(0 if took < 5 else 1)
    out.append(os.waitpid(pid, 0)[1])
t = threading.Thread(target=fork)
t.start()
t.join()
assert out == [0]
""")


def test_many_signals_between_short_calls(run):
    """Whenever the signals come, each one raises once, and every call either ran whole or not at all."""
    out = run("""
caught = count = 0
end = time.monotonic() + 1.5
def send():
    while time.monotonic() < end:
        time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)
started = False
while True:
    try:
        if not started:
            started = True
            threading.Thread(target=send, daemon=True).start()
        while time.monotonic() < end + 0.1:
            call(0); call(0); call(0)
            count += 3
        break
    except KeyboardInterrupt:
        caught += 1
print(caught, count, int(s.array()))
""")
    caught, count, commits = map(int, out.split())
    assert caught > 50 and count <= commits <= count + 3 * caught + 3


def test_no_lock_stays_held_whenever_a_signal_comes(run):
    run("""
import random
from weft.runtime.callable import Argument, CompiledFunction
arguments = [Argument(n, n, np.dtype("i8"), ()) for n in "xy"]
none = np.array(0)
alone = Program(sys.argv[2], {**f.manifest, "states": []})
alone.execute = alone.quick = lambda *_: [none]  # of a function without variables what stands around it
g, h = CompiledFunction(arguments, [s], f, "one"), CompiledFunction(arguments, [], alone, "one")
class Interrupt(BaseException):
    pass
def handler(*_):
    raise Interrupt
signal.signal(signal.SIGALRM, handler)
for name, call, group in (
    ("a function", lambda: g(none, none), lambda: g._group.current()),
    ("one without variables", lambda: h(none, none), lambda: h._group),
    ("copy", lambda: s.copy(), lambda: s.group.current()),
    ("replace", lambda: s.replace(np.array(1)), lambda: s.group.current()),
):
    for _ in range(500):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 1e-4))
            while True:
                call()
        except Interrupt:
            pass
        assert not group().lock._is_owned() and group().running is None, name
""")


def test_an_interrupt_while_a_new_buffer_is_taken_over():
    """Wherever in Python it comes: memory that the variable uses is not freed."""
    code = """
import sys
import numpy as np
import weft
w = weft.shared(np.zeros(1000))
f = weft.function([], updates=[(w, w[::-1] + 1)])  # not in place
f()
left = 0
def trace(frame, event, _):
    global left
    if not frame.f_code.co_filename.endswith(("runtime/state.py", "runtime/abi.py")):
        return None
    frame.f_trace_opcodes = True
    if event == "opcode":
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
    return trace
interrupted = 0
for k in range(1, 3000):
    w.set_value(np.full(1000 + 100 * k, 3.0))  # the call needs a larger buffer
    left = k
    try:
        sys.settrace(trace)
        f()
    except KeyboardInterrupt:
        interrupted += 1
    finally:
        sys.settrace(None)
    value = w.get_value()
    assert (value == 4).all() or (value == 3).all(), (k, value)
    f()
    assert (w.get_value() == value + 1).all()
    if left > 0:
        break
assert interrupted > 50
"""
    env = {**os.environ, "MALLOC_PERTURB_": "85"}  # freed memory is overwritten
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_variable_stays_in_use_whenever_a_signal_comes():
    code = """
import random, signal
import numpy as np
import weft, weft.compile, weft.tensor as T
@weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
def same(x):
    return x
many = [weft.shared(np.zeros(2)) for _ in range(40)]
f = weft.function([], same(sum(many)))
f()
class Interrupt(BaseException):
    pass
def handler(*_):
    raise Interrupt
signal.signal(signal.SIGALRM, handler)
for _ in range(400):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 4e-4))
        while True:
            f()
    except Interrupt:
        pass
    assert not any(v.container.held for v in many)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_values_given_in_a_call_that_is_interrupted():
    """Wherever in `execute` it comes: the state is what it was, or what the call makes of the value."""
    x = T.dvector("x")
    f = weft.function([weft.In(x, value=np.zeros(3), update=x[::-1] * 2)], x.sum())
    left = 0

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code is not Program.execute.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before, k = sys.gettrace(), 0
    while left <= 0:
        f["x"] = np.zeros(3)
        k += 1
        left = k
        sys.settrace(trace)
        try:
            f(np.ones(3))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert f["x"].tolist() in ([0, 0, 0], [2, 2, 2])
    assert k > 50
