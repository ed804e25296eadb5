"""The command that makes the compiler wrong (mutate.py): its mutants, and tests for what once no test found."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import mutate
import mutate_kinds
import numpy as np
import pytest
from mutate_kinds import Mutant
from mutate_known import KNOWN

import weft
import weft.tensor as T
from weft.compiler.schedule import inplace


def test_there_are_mutants_of_every_kind_under_different_names():
    made = mutate_kinds.mutants()
    assert {m.kind for m in made} == set(mutate.SUITE)
    assert len({m.name for m in made}) == len(made) > 1000


def test_a_point_is_changed_and_nothing_else():
    (function,) = [f for _, f in mutate_kinds.functions(inplace) if f.name == "ordered"]
    texts = set()
    for k in range(len(list(mutate_kinds.points(function)))):
        (fresh,) = [f for _, f in mutate_kinds.functions(inplace) if f.name == "ordered"]
        node, _, change = list(mutate_kinds.points(fresh))[k]
        change(node)
        texts.add(ast.unparse(fresh))
    assert len(texts) == k + 1 and ast.unparse(function) not in texts


def test_a_mutant_is_found_and_stays_in_its_process():
    (m,) = [m for m in mutate_kinds.mutants() if m.name == "neg-sub: gives 1 more"]
    x, y = T.dvectors("x", "y")

    def wrong() -> bool:
        m.apply()
        return weft.function([x, y], -(x - y))(np.ones(2), np.ones(2))[0] != 0

    assert mutate.apart(wrong) == "yes"
    assert weft.function([x, y], -(x - y))(np.ones(2), np.ones(2))[0] == 0


def gone(pid):
    """Whether a process has ended; nobody need have asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how", ["interrupted", "at its limit", "beside a process that holds on"])
def test_a_mutant_leaves_nothing_that_runs(how, tmp_path):
    """Its group is its own: an interrupt from the keyboard does not reach it."""

    def interrupt(*args):
        raise KeyboardInterrupt

    def run():
        with subprocess.Popen(["sleep", "60"]) as below:
            (tmp_path / "pids").write_text(f"{os.getpid()} {below.pid}")
            if how == "beside a process that holds on":
                os._exit(0)
            return time.sleep(60)

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        if how == "interrupted":
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                mutate.apart(run)
        else:
            assert mutate.apart(run, 2) == (mutate.TOO_LONG if how == "at its limit" else "ended")
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)
    end = time.monotonic() + 10
    pids = (tmp_path / "pids").read_text().split()
    while time.monotonic() < end and not all(map(gone, pids)):
        time.sleep(0.05)
    assert all(map(gone, pids))


def test_known_survivors_are_mutants_that_there_are():
    """Each with a reason, and each exactly one: names are made of the code's text, so a change of it shows."""
    there = Counter((m.kind, m.name) for m in mutate_kinds.mutants())
    assert {key for key in KNOWN if there[key] != 1} == set()
    assert all(len(why) > 10 for why in KNOWN.values())


def test_names_of_mutants_hold_no_lines():
    """Equal texts are numbered in their order."""
    text = "def f(a, b):\n    if a < 1:\n        return a + 1\n    return (a + 1) - 1 if a + 1 < b else b[0]\n"
    named = mutate_kinds.names(ast.parse(text).body[0])
    assert named == mutate_kinds.names(ast.parse("\n\n" + text.replace("if a < 1:", "if a < 1:  # why")).body[0])
    assert sorted(named) == [
        "a + 1 - 1: 1 is 2", "a + 1 - 1: Sub is Add", "a + 1 < b: Lt is LtE", "a + 1: 1 is 2", "a + 1: 1 is 2 (2)",
        "a + 1: 1 is 2 (3)", "a + 1: Add is Sub", "a + 1: Add is Sub (2)", "a + 1: Add is Sub (3)", "a < 1: 1 is 2",
        "a < 1: Lt is LtE", "b[0]: 0 is 1", "if a < 1: never",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "end"), [("known", 0), ("found", 0), ("new", 1)])
def test_unknown_survivors_fail_the_command(name, end, monkeypatch, capsys):
    """The reason of a known one is said."""
    made = [Mutant("derivative", n, lambda: None) for n in ("known", "found", "new")]
    monkeypatch.setattr(mutate, "mutants", lambda: made)
    monkeypatch.setattr(mutate, "KNOWN", {("derivative", "known"): "nothing tells it"})
    monkeypatch.setattr(mutate, "without", lambda *args: None)
    monkeypatch.setattr(mutate, "found_by_fuzz", lambda m, programs: m.name == "found")
    monkeypatch.setattr(weft.config, "verify", weft.config.verify)
    monkeypatch.setattr("sys.argv", ["mutate.py", "--only", name, "--no-suite"])
    assert mutate.main() == end
    said = capsys.readouterr().out
    assert ("survives: derivative: known: nothing tells it" in said) == (name == "known")
    assert ("survives: derivative: new\n" in said) == (name == "new")


@pytest.mark.parametrize(("file", "said"), [("test_layering.py", None), ("test_none.py", "no mutant: suite: yes")])
def test_what_fails_without_a_mutant_finds_none(file, said, monkeypatch):
    """A file of the suite's part that is not there ended every run with an error, which counted as found."""
    monkeypatch.setitem(mutate.SUITE, "derivative", (file,))
    found = mutate.without("derivative", mutate.Sample(), 60, True)
    assert found is None if said is None else said in found


@pytest.mark.parametrize("make", [lambda s, x: s * 2 + x, lambda s, x: s + T.dot(x, x)])
def test_what_is_written_in_place_makes_no_promise_to_the_c_compiler(make):
    """`restrict` on pointers that are equal is undefined; whether it is seen depends on the compiler."""
    s, x = weft.shared(np.ones((40, 40))), T.dmatrix("x")
    f = weft.function([x], updates=[(s, make(s, x))])
    assert f.stages.program.after_commit
    bodies = re.findall(r"(?ms)^static void k\d+(?:_body)?\(.*?^}", f.source)
    assert bodies and all("restrict" not in b for b in bodies)


@pytest.mark.parametrize("write", [T.set_subtensor, T.inc_subtensor])
def test_an_element_a_row_is_written_into_what_is_not_zero(write):
    """Only into zeros it is a comparison with the index."""
    x, v, y = T.dmatrix("x"), T.dvector("v"), T.lvector("y")
    out = write(x[T.arange(x.shape[0]), y], v)
    args = np.arange(12.0).reshape(3, 4) + 1, np.array([0.5, 0.25, 2.0]), np.array([3, 0, 1])
    found = [weft.function([x, v, y], out, mode=m)(*args) for m in ("compile", "interpret")]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("exponent", [-1, -2])
def test_integers_to_a_negative_power_stay_integers(exponent):
    """Forms with a reciprocal are for floats."""
    x = T.lvector("x")
    f = weft.function([x], T.pow(x, exponent))
    np.testing.assert_array_equal(f(np.array([-2, -1, 1, 2])), [0, (-1) ** exponent, 1, 0])


def test_a_reshape_of_equal_lengths():
    """The second index is a remainder, also where its length is the first one's."""
    x = T.dmatrix("x")
    square = T.dot(x, x.T)
    outs = [T.flatten(square.T), T.exp(square.T * 0.5).flatten() + 1.0]
    a = np.arange(6.0).reshape(3, 2) / 4
    for got, want in zip(*(weft.function([x], outs, mode=m)(a) for m in ("compile", "interpret")), strict=True):
        np.testing.assert_allclose(got, want)


ELSEWHERE = {
    "backwards": lambda w, x: w[::-1] * 2 + x,
    "turned": lambda w, x: w.T + x,
    "a step on": lambda w, x: T.concatenate([w[1:], w[:1]]) - x,
    "through an index": lambda w, x: w[T.argsort(w[:, 0])] + x,
    "its first row": lambda w, x: w * w[0] + x,
    "its sum": lambda w, x: w - w.sum(0) * x,
    "backwards, of what is added up": lambda w, x: w[::-1] + T.dot(x, x),
    "another's": None,
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_updates_that_read_the_old_value_elsewhere(name):
    """What an element is computed of must not have been overwritten by another."""
    start = np.random.default_rng(0).standard_normal((24, 24))
    w, v, x = weft.shared(start, name="w"), weft.shared(start * 2, name="v"), T.dmatrix("x")
    updates = [(w, v[::-1] + x), (v, w * x)] if name == "another's" else [(w, ELSEWHERE[name](w, x))]
    ends = []
    for mode in (None, "interpret"):
        w.set_value(start)
        v.set_value(start * 2)
        f = weft.function([x], [], updates=updates, mode=mode)
        for _ in range(2):
            f(start / 3)
        ends.append([w.get_value(), v.get_value()])
    for got, want in zip(*ends, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_a_number_that_was_converted_is_no_bool():
    """`bool-as-number: without its condition`: whether a converted number is 0 is no longer the number itself."""
    i, b = T.ivector("i"), T.TensorType("bool", [False])("b")
    f = weft.function([i, b], [op(T.cast(v, "float64"), 0) for op in (T.neq, T.eq) for v in (i, b)])
    values = [np.array([0, 1, 2, -3], np.int32), np.array([True, False])]
    for got, want in zip(f(*values), [values[0] != 0, values[1], values[0] == 0, ~values[1]], strict=True):
        assert got.dtype == bool
        np.testing.assert_array_equal(got, want)


def in_each_row(x):
    """A matrix to which a number is added in each row, and where."""
    places = T.arange(x.shape[0]), T.cast(x % 2, "int64")
    return T.inc_subtensor(T.outer(x, np.array([1.0, 2.0]))[places], 1.5), places


CONDITIONS = {
    "or-not": ("int32", lambda x: T.or_(x, T.invert(x)), np.array([0, 5, -3])),
    **{
        f"not-{op}": ("float64", lambda x, op=op: T.invert(getattr(T, op)(x, 0.5)), np.array([np.nan, 0.5, 1, -1]))
        for op in ("lt", "le", "gt", "ge")
    },
    **{
        f"{op}-self": ("float32", lambda x, op=op: getattr(T, op)(x, x), np.array([np.nan, 1.0])) for op in ("le", "ge")
    },
    "mod-one": ("float64", lambda x: T.mod(x, 1.0), np.array([0.25, -0.25, 3.5])),
    "fold-of-numbers": ("bool", lambda x: [f(T.stack([x[0], x[1]])) for f in (T.any, T.all)], np.array([True, False])),
    "length-below-zero": ("float64", lambda x: [T.lt(x[k], 0) for k in range(2)], np.array([-1.0, 1.0])),
    "length-from-zero": ("int64", lambda x: [T.ge(x[k], 0) for k in range(2)], np.array([-1, 1])),
    "cast-iota": ("int64", lambda x: T.cast(T.arange(x[0], dtype="int8"), "int64") + x[1], np.array([300, 1])),
    "reduce-alloc": ("float64", lambda x: T.prod(T.alloc(x, 3, 2), axis=0), np.array([2.0, 0.5])),
    "sum-scatter": ("float64", lambda x: [in_each_row(x)[0], T.sum(in_each_row(x)[0], axis=1)], np.arange(4.0)),
    "gather-scatter": ("float64", lambda x: [in_each_row(x)[0], in_each_row(x)[0][in_each_row(x)[1]]], np.arange(4.0)),
    "set-slice-whole": ("float64", lambda x: T.set_subtensor(T.zeros((3, 2))[:, :], x), np.array([1.0, 2.0])),
    "inc-slice-whole": ("float64", lambda x: T.inc_subtensor(T.ones((3, 2))[:, :], x), np.array([1.0, 2.0])),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_of_rules(name):
    """Each is a case in which the rule must not be used: with NaN, on another dtype, of what is not zero."""
    dtype, make, value = CONDITIONS[name]
    x = T.TensorType(dtype, shape=(None,))("x")
    outputs = made if isinstance(made := make(x), list) else [made]
    with np.errstate(all="ignore"):
        want = weft.function([x], outputs, mode="interpret")(value.astype(dtype))
    for w, g in zip(want, weft.function([x], outputs)(value.astype(dtype)), strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_array_equal(g, w)
