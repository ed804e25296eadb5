"""Calls with small results take a shorter way; what they give, refuse and keep is the same."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime import locks
from weft.runtime.program import _Frame

x, y = T.dvectors("x", "y")


@pytest.fixture
def add() -> Any:
    f = weft.function([x, y], x + y)
    f(np.ones(3), np.ones(3))
    return f


def quick_calls(f: Any) -> list[Any]:
    """What the quick way gave to the calls from here on; None: it left a call to the other way."""
    given: list[Any] = []
    quick = f._quick

    def noted(*args: Any) -> Any:
        given.append(quick(*args))
        return given[-1]

    f._quick = noted
    return given


def test_lengths_that_change(add: Any) -> None:
    given = quick_calls(add)
    held = []
    for n in (3, 3, 5, 2, 0, 7, 7, 0, 0, 8000, 8191, 8193, 3, 3, 100_000, 1):
        a = np.arange(float(n))
        held.append((n, add(a, a)))
    for n, out in held:
        assert out.shape == (n,) and (out == 2 * np.arange(float(n))).all() and out.flags.writeable
    assert [g is None for g in given].count(True) == 2, "after results of more than 64 KiB"
    addresses = {o.__array_interface__["data"][0] for n, o in held if n}
    assert len(addresses) == len([n for n, _ in held if n]), "no result is another's memory"


def test_what_is_lent_concerns_the_functions_that_write_to_it() -> None:
    data, w = weft.shared(np.ones(3), borrow=True), weft.shared(np.zeros(3))
    f = weft.function([x], (data * x).sum(), updates=[(w, w + data)])
    f(np.ones(3))
    given = quick_calls(f)
    lent = w.get_value(borrow=True)
    f(np.ones(3))
    f(np.ones(3))
    assert [g is None for g in given] == [True, False], "a borrowed data set is read, and w's buffer is another by now"
    assert (lent == 1).all() and (w.get_value() == 3).all() and (data.get_value() == 1).all()


@pytest.mark.parametrize("form", ["one", "list", "dict", "none"])
def test_forms_of_outputs(form: str) -> None:
    outs = {"one": x + y, "list": [x + y, (x * y).sum()], "dict": {"a": x + y, "b": x.sum()}, "none": None}[form]
    f = weft.function([x, y], outs, on_unused_input="ignore")
    first, second, third = (f(np.ones(n), np.ones(n)) for n in (2, 2, 3))
    assert type(first) is type(second) is type(third)
    for a, b in zip(*(list(r.values()) if form == "dict" else list(r) for r in (first, second)), strict=True):
        assert type(a) is type(b) and np.array_equal(a, b)


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize("argument", [
    [1.0, 2.0, 3.0], (1, 2, 3), np.arange(3), np.arange(6.0)[::2], np.ones(3).view(Sub), np.ones(3, ">f8"),
    np.frombuffer(b"\0" + np.ones(3).tobytes(), np.uint8)[1:].view("f8"), memoryview(np.ones(3)),
])  # fmt: skip
def test_arguments_that_are_converted(add: Any, argument: Any) -> None:
    given = quick_calls(add)
    assert (add(argument, np.ones(3)) == np.asarray(argument, np.float64) + 1).all()
    assert given == [None]


def test_what_is_refused(add: Any) -> None:
    with pytest.raises(weft.ShapeError, match=r"(?s)arguments of add: 3 and 2 differ.*called with x of shape \(3,\)"):
        add(np.ones(3), np.ones(2))
    with pytest.raises(weft.ShapeError, match="takes 1 dimension"):
        add(np.ones(3), np.ones((3, 1)))
    with pytest.raises(TypeError):
        add(np.ones(3), np.ones(3, complex))
    with pytest.raises(weft.WeftError, match="missing argument 1"):
        add(np.ones(3))
    with pytest.raises(weft.WeftError, match=r"takes 2 arguments .* but was given 3"):
        add(np.ones(3), np.ones(3), np.ones(3))
    assert (add(np.ones(3), y=np.ones(3)) == 2).all()
    assert (add(np.ones(3), np.ones(3)) == 2).all()


def test_updates() -> None:
    w = weft.shared(np.zeros(3))
    f = weft.function([x], [w, w.sum()], updates=[(w, w + x)])
    given = quick_calls(f)
    for k in range(5):
        old, total = f(np.ones(3))
        assert (old == k).all() and total == 3 * k
    with pytest.raises(weft.ShapeError):
        f(np.ones(2))
    assert (w.get_value() == 5).all()
    w.set_value(np.arange(3.0))
    assert f(np.ones(3))[1] == 3
    w.set_value(np.arange(9.0))
    assert f(np.ones(9))[0].shape == (9,), "a new length of the variable is one of the result"
    assert [g is None for g in given] == [True] + [False] * 6, "but for the first and the one that raised"


def test_linked_functions_wait_for_each_other_and_others_do_not() -> None:
    a, b, c, d = (weft.shared(np.zeros(2)) for _ in range(4))
    fa, fd = weft.function([], a * 2), weft.function([], d * 2)
    fab = weft.function([], [a + b])
    assert fa._group.current() is fab._group.current() is not fd._group.current()
    with a.container.group.current().lock:
        got: list[Any] = []
        t = threading.Thread(target=lambda: got.append(fd()))
        t.start()
        t.join(10)
        assert len(got) == 1, "it has no variable in common with them"
        waits = threading.Thread(target=lambda: got.append(fa()))
        waits.start()
        waits.join(0.1)
        assert len(got) == 1
    waits.join(10)
    assert len(got) == 2
    weft.function([], updates=[(c, b + d)])
    assert len({v.container.group.current() for v in (a, b, c, d)}) == 1
    assert (fa() == 0).all() and (fd() == 0).all()


def test_functions_are_linked_while_others_run() -> None:
    """Each variable is counted up under one lock at any time, whatever is joined meanwhile."""
    variables = [weft.shared(np.zeros(())) for _ in range(6)]
    counters = [weft.function([], updates=[(v, v + 1)]) for v in variables]
    stop = threading.Event()
    done = [0] * 6

    def count(k: int) -> None:
        while not stop.is_set():
            counters[k]()
            done[k] += 1

    threads = [threading.Thread(target=count, args=(k % 6,)) for k in range(6)]
    for t in threads:
        t.start()
    pairs = [weft.function([], variables[k] + variables[k + 1]) for k in range(5)]
    for f in pairs * 20:
        f()
    stop.set()
    for t in threads:
        t.join()
    assert [int(v.get_value()) for v in variables] == done and all(done)
    assert len({v.container.group.current() for v in variables}) == 1


def test_joining_waits_for_calls_that_run() -> None:
    """Two calls that run under locks of their own cannot come under one before one of them is done."""
    groups = [locks.Group() for _ in range(3)]
    inside, go_on = [threading.Event() for _ in groups], [threading.Event() for _ in groups]

    def call(k: int) -> None:
        with groups[k].current().lock:
            groups[k].running = ([], None)
            inside[k].set()
            assert go_on[k].wait(30)
            groups[k].running = None

    running = [threading.Thread(target=call, args=(k,)) for k in range(2)]
    for t, e in zip(running, inside, strict=False):
        t.start()
        assert e.wait(30)
    joined: list[locks.Group] = []
    joining = threading.Thread(target=lambda: joined.append(locks.join(groups)))
    joining.start()
    joining.join(0.3)
    assert not joined
    go_on[1].set()
    joining.join(30)
    assert joined == [groups[0]], "where a call runs it may go on"
    assert [g.current() for g in groups] == [groups[0]] * 3
    go_on[0].set()
    for t in running:
        t.join()
    with groups[2].current().lock:
        assert groups[0].lock._is_owned() and not groups[2].lock._is_owned()


def test_an_interrupt_while_results_are_foreseen() -> None:
    """Wherever it comes: C is never told of more bytes than the next call's arrays have."""
    f = weft.function([x], x * 2)
    step = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal step
        if frame.f_code is not _Frame.foresee.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            step -= 1
            if step == 0:
                raise KeyboardInterrupt
        return trace

    frame = f.executor._frames[0]
    for k in range(1, 200):
        for n in (100, 100, 2):
            step, before = (k, sys.gettrace()) if n == 2 else (0, sys.gettrace())
            sys.settrace(trace)
            try:
                f(np.ones(n))
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(before)
        if frame.wanted is not None:
            assert frame.c.own_bytes[0] <= frame.wanted[0][0][0] * 8
        if step > 0:
            break
    else:
        raise AssertionError("it has fewer steps")
    assert k > 10
