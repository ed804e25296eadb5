"""What `f.report()` says of memory: the slots with sizes, how states are updated, outputs, in formulas and in bytes."""

from __future__ import annotations

import re

import memory_programs
import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime import pool


def plan(text: str) -> list[str]:
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("  memory: "))
    return [lines[start], *(line for line in lines[start + 1 :] if line.startswith("    "))]


def size(text: str) -> int:
    """A size like "1,200 + 64*threads"."""
    return eval(text.replace(",", ""), {"threads": pool.threads()})


def capacity(f) -> int:
    return f.executor._frames[0].c.call.segments[0].capacity


def test_of_a_step() -> None:
    x = T.fmatrix("x")
    w, b, n = weft.shared(np.ones((30, 20), np.float32), "w"), weft.shared(np.ones(20, np.float32), "b"), weft.shared(0)
    y = T.tanh(T.dot(x, w) + b)
    f = weft.function([x], [y, T.sort(y, 0)], updates=[(w, w - T.dot(x.T, y)), (b, b[::-1] + y.sum(0)), (n, n + 1)])
    said = plan(f.report())
    assert any("updated in place, after the commit: w" in line for line in said), said
    assert any("updated by swap with a spare buffer: b" in line for line in said)
    assert sum(line.strip().startswith("output ") for line in said) == 2
    assert any("output 0, 4*x.0*b.0 bytes" in line or "4*x.0*w.1 bytes" in line for line in said), said
    assert any("dot" in line for line in said if "workspace" in line)
    filled = plan(f.report(np.ones((70, 30), np.float32)))
    assert any("output 0, 5,600 bytes" in line for line in filled)


@pytest.mark.parametrize("name", sorted(memory_programs.PROGRAMS))
def test_bytes_are_those_of_the_arena(name: str) -> None:
    """The slots' bytes, each rounded up to 64, are what a first call reserves."""
    made = memory_programs.PROGRAMS[name]()
    f = made.function
    said = plan(f.report(*made.arguments))
    number = re.search(r"memory: (\d+) arena slots?", said[0]).group(1)
    program = f.stages.program
    assert int(number) == len(program.slots)
    slots = {int(k): size(n) for line in said[1:] for k, n in re.findall(r"slot (\d+), (.*?) bytes:", line)}
    if int(number) <= 12:
        together = re.findall(r"together (.*?) bytes", said[0])
        assert len(slots) == int(number) and sum(slots.values()) == sum(map(size, together))
        f(*made.arguments)
        assert capacity(f) == sum(-(-n // 64) * 64 for n in slots.values())
    formulas = plan(f.report())
    assert len(formulas) == len(said)
    for k in range(program.states):
        kind = "in place" if k in program.in_place() else "by swap" if k in program.updates else "read"
        named = f.names[k] or f"state {k}"
        assert any(kind in line and named in line for line in said) or program.states > 8


def test_lengths_have_the_names_of_arguments() -> None:
    """Where they are short and their own; numbers elsewhere, in the order of inputs and shared variables."""
    x, long = T.dmatrix("x"), T.dvector("a long name of an input")
    n5, first = weft.shared(np.ones(3), "n5"), weft.shared(np.ones(3), "again")
    again = weft.shared(np.ones(3), "again")
    n = T.lscalar("n")
    outs = [T.sort(x, 1), T.sort(long), T.sort(n5), T.sort(first), T.sort(again), T.sort(T.zeros((n,)))]
    said = plan(weft.function([x, long, n], outs, updates=[(n5, n5[::-1] * 2)]).report())
    for k, size in enumerate(("8*x.0*x.1", "8*d1.0", "8*n5.0", "8*d4.0", "8*d5.0", "8*n")):
        assert any(f"output {k}, {size} bytes" in line for line in said), said
    assert any(line.endswith("n5") for line in said if "updated" in line)


def test_workspace_is_that_of_the_routines_that_ask_for_it() -> None:
    x, v, i, b = T.fmatrix("x"), T.fvector("v"), T.lvector("i"), T.ftensor3("b")
    outs = {
        "dot": T.dot(x, x.T), "": T.dot(x, v), " ": T.dot(v, v), "  ": T.inc_subtensor(v[i], 1),
        "scatter": T.inc_subtensor(b[i], v), "cumsum": T.cumsum(v),
    }  # fmt: skip
    for name, out in outs.items():
        f = weft.function([x, v, i, b], out, on_unused_input="ignore")
        said = [line for line in plan(f.report()) if "workspace" in line]
        assert bool(said) == bool(name.strip()) == ("segments[1]" in str(f.source))
        assert not said or said[0].endswith(name)


def test_scratch_of_each_worker() -> None:
    """It follows the threads that calls may use."""
    x = T.fmatrix("x")
    f = weft.function([x], T.nnet.softmax(T.exp(x)))
    assert "*threads" in plan(f.report())[0]
    said = plan(f.report(np.ones((300, 200), np.float32)))[0]
    assert re.fullmatch(r"  memory: 2 arena slots, together [0-9,]+\*threads bytes", said)
    try:
        for n in (1, 2, 3):
            pool.set_threads(n)
            f.executor._frames[:] = []
            f(np.ones((300, 200), np.float32))
            assert capacity(f) == 2 * -(-size(said.split()[5]) // 2 // 64) * 64
    finally:
        pool.set_threads(0)
