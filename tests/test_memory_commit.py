"""One commit point: whatever fails in a call, wherever, every shared variable is as it was, and the next call is right.

Compiled with WEFT_INJECT (kernels/weft_inject.h), every check, every look at the stop flag, every request for memory
and every Python operation of a call is made to fail, one after another, until one call passes them all; so is every
allocation of a function that has not run yet. The state is compared with what it was, and the call that follows with
that of a twin that nothing has disturbed, bit for bit.
"""

from __future__ import annotations

import ast
from pathlib import Path

import memory_programs
import numpy as np
import pytest

import weft
import weft.tensor as T

INJECT = """
import sys
import numpy as np
import weft
from weft.runtime.errors import InternalError
from memory_programs import PROGRAMS, call, forget, same, shim, state

ERRORS = {"check": weft.WeftError, "stop": KeyboardInterrupt, "memory": MemoryError, "host": InternalError,
          "allocation": MemoryError}
counts = {}
s = shim()


def attempt(kind, at, many):
    error = None
    s.arm(kind, at, many)
    try:
        call(made)
    except BaseException as e:
        error = e
    failed, late = s.failed, s.late
    s.clear()
    return failed, late, error


name = sys.argv[1]
made, twin = PROGRAMS[name](), PROGRAMS[name]()
assert same(call(made), call(twin)) and same(state(made), state(twin))
for kind, many in (("check", 1), ("stop", 1), ("memory", 1), ("host", 1), ("allocation", 10**9), ("allocation", 1)):
    at = 0
    while kind != "allocation" or name != "hosted":  # where it would be Python's own that fail
        if kind == "allocation":
            forget(made)
        before = state(made)
        failed, late, error = attempt(kind, at, many)
        assert late == 0, (kind, at, "something that may fail comes after the commit")
        if error is None:
            call(twin)
            assert same(state(made), state(twin)), (kind, at)
            if not failed:
                break
        else:
            assert failed and isinstance(error, ERRORS[kind]), (kind, at, failed, error)
            assert same(state(made), before), (kind, at, "a failed call changed a shared variable")
        counts[kind] = counts.get(kind, 0) + 1
        assert same(call(made), call(twin)), (kind, at, "the outputs of the call after")
        assert same(state(made), state(twin)), (kind, at, "the updates of the call after")
        at += 1
before = state(made)
for _ in range(2):
    made.arguments[:] = made.bad
    try:
        call(made)
    except Exception as e:
        assert not isinstance(e, InternalError), e
    else:
        raise AssertionError("the bad call passed")
    assert same(state(made), before)
made.arguments[:] = twin.arguments
assert same(call(made), call(twin)) and same(state(made), state(twin))
print(counts)
"""

# The least injections of each kind, 800 in all (an allocation fails twice: alone, and with all that come after it).
LEAST = {
    "mlp": {"check": 15, "stop": 10, "memory": 13, "allocation": 14},
    "adam": {"check": 5, "stop": 4, "memory": 6, "allocation": 12},
    "swaps": {"check": 2, "stop": 4, "memory": 6, "allocation": 12},
    "grows": {"check": 1, "stop": 4, "memory": 4, "allocation": 8},
    "recurrent": {"check": 140, "stop": 90, "memory": 2, "allocation": 4},
    "branches": {"check": 1, "stop": 5, "memory": 7, "allocation": 14},
    "drawn": {"check": 4, "stop": 1, "memory": 1, "allocation": 2},
    "keeps": {"check": 3, "stop": 2, "memory": 3, "allocation": 6},
    "given": {"check": 3, "stop": 2, "memory": 3, "allocation": 6},
    "lengths": {"check": 3, "stop": 6, "memory": 8, "allocation": 16},
    "factored": {"check": 5, "stop": 4, "memory": 3, "allocation": 6},
    "placed": {"check": 6, "stop": 3, "memory": 2, "allocation": 4},
    "placed_twice": {"check": 6, "stop": 5, "memory": 4, "allocation": 8},
    "many": {"check": 12, "stop": 3, "memory": 3, "allocation": 6},
    "hosted": {"check": 3, "stop": 4, "memory": 4, "host": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if why := memory_programs.have_shim():
        pytest.skip(why)
    return tmp_path_factory.mktemp("shim")


def test_every_program_is_here() -> None:
    assert set(LEAST) == set(memory_programs.PROGRAMS)


@pytest.mark.parametrize("name", LEAST)
def test_a_failure_anywhere_changes_nothing(name: str, folder: Path) -> None:
    said = memory_programs.run(folder, INJECT, name)
    counts = ast.literal_eval(said)
    for kind, least in LEAST[name].items():
        assert counts.get(kind, 0) >= least, (name, counts)


@pytest.mark.parametrize("mode", ["compile", "interpret", "check", "check, in the program"])
def test_an_interrupt_after_the_commit_takes_back_nothing(monkeypatch, mode: str) -> None:
    """A value that was given for a state is not restored alone, beside others that the call has updated."""
    s, x = T.dvector("s"), T.dvector("x")
    w = weft.shared(np.zeros(3))
    mode, _, inner = mode.partition(", ")
    f = weft.function(
        [x, weft.In(s, value=np.zeros(3), update=s + x, name="s")], x * 2, updates=[(w, w + s)], mode=mode
    )
    f(np.ones(3))
    executor = f.executor.program if inner else f.executor
    kind = type(executor)
    really = kind.execute

    def execute(self, *args):
        out = really(self, *args)
        if self is executor:
            raise KeyboardInterrupt
        return out

    with monkeypatch.context() as m:
        m.setattr(kind, "execute", execute)
        with pytest.raises(KeyboardInterrupt):
            f(np.ones(3), np.full(3, 5.0))
    assert (f["s"].tolist(), w.get_value().tolist()) == ([6.0] * 3, [5.0] * 3)
    with pytest.raises(weft.ShapeError):
        f(np.ones(2), np.full(3, 7.0))
    assert (f["s"].tolist(), w.get_value().tolist()) == ([6.0] * 3, [5.0] * 3)


def test_obligations_stay_before_what_relies_on_them() -> None:
    """Also where the step that they stood in front of is an update that is written over the old value at the end."""
    i, m = T.lvector("i"), T.fmatrix("m")
    w, v = (weft.shared(np.ones(n, "float32")) for n in (7, 5))
    k = i.sum()
    f = weft.function([m, i], k, updates=[(w, w * 2), (v, T.cumsum(m[k]))])
    with pytest.raises(weft.BoundsError):
        f(np.ones((3, 5), "float32"), [10**9, 0])
    assert w.get_value()[0] == 1 and f(np.ones((3, 5), "float32"), [1, 0]) == 1 and w.get_value()[0] == 2


def test_obligations_read_what_they_are_about_before_it_is_overwritten() -> None:
    m, x, p = T.fmatrix("m"), T.fvector("x"), T.fvector("p")
    w, v, u = (weft.shared(np.ones(n, "float32")) for n in (7, 5, 5))
    e = T.exp(x)
    k = e.sum().astype("int64")
    f = weft.function([m, x, p], e, updates=[(w, w * 2), (v, T.sort(v * T.dot(p, p))), (u, m[k] * 0)])
    rows, full = np.ones((7, 5), "float32"), (lambda n, c: np.full(n, c, "float32"))
    with pytest.raises(weft.BoundsError, match="index 29"):
        f(rows, full(4, 2), full(5, 1))
    assert w.get_value()[0] == 1
    f(rows, full(4, 0), full(5, 100))
    assert w.get_value()[0] == 2
