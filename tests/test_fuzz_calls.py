"""The other calls of random programs (fuzz_calls.py): faults that only they show."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from fuzz_calls import at_the_ends, extreme, fails, in_turn, other_calls
from fuzz_check import Difference, Group, Report
from fuzz_grower import Grower
from fuzz_report import broken, headline, raised
from test_fuzz import verified, written  # noqa: F401  (a fixture)

from weft.runtime.errors import BoundsError, ShapeError, WeftError

CALLS = [
    "w0 = np.array([1.5, -2.0, 0.25])", "v0 = T.tensor('float64', shape=(None,), name='v0')",
    "w1 = np.array([0, 2, 1])", "v1 = T.tensor('int64', shape=(None,), name='v1')",
    "w2 = np.array([0.5, 0.25])", "v2 = weft.shared(w2, 'v2')",
    "w3 = np.array([4.0, 3.0])", "v3 = weft.shared(w3, 'v3')", "v4 = T.exp(v0[v1] * v3[0])", "v5 = v2 * 2 + 1",
]  # fmt: skip


class Faulty:
    """A compiled function with a fault."""

    def __init__(self, group, fault):
        true, (k,) = group.function, group.lowered.updates
        self.true, self.fault, self.storages, self.stages = true, fault, true.storages, true.stages
        self.updated, self.other, self.kept = true.storages[k], true.storages[1 - k], None

    def __call__(self, *args):
        if self.fault == "writes to an argument":
            args[0][...] = abs(args[0])
        if self.fault == "changes another variable":
            self.other.replace(np.abs(self.other.array()) + 1)
        if self.fault == "updates what is lent":
            value = self.updated.array()
            value[...] = value * 2 + 1
            return [np.exp(args[0][args[1]] * 4.0)]
        try:
            (out,) = self.true(*args)
        except BoundsError:
            if self.fault != "takes any place":
                raise
            return [np.zeros(3)]
        if self.fault == "no NaN":
            out = np.nan_to_num(out, nan=0.0)
        if self.fault == "one memory":
            self.kept = out if self.kept is None else self.kept
            self.kept[...] = out
            return [self.kept]
        return [out]


@pytest.mark.parametrize(
    ("fault", "text"),
    [("none", ""), ("writes to an argument", "it changes an argument"),
     ("changes another variable", "changes a shared variable that has no update"),
     ("updates what is lent", "somebody else holds"), ("one memory", "(somebody else holds|share memory)"),
     ("takes any place", "at_the_ends, compiled: nothing, interpreted: BoundsError"), ("no NaN", "not_finite: .*nan")],
)  # fmt: skip
def test_what_other_calls_find(fault, text):
    programs, report = [written(CALLS, ["v4"], [("v2", "v5")])], Report()
    for seed in range(9):  # what arguments become is drawn
        programs[0].seed = seed
        group = Group(programs)
        group.function = Faulty(group, fault)
        try:
            group.compare(report)
            other_calls(group, report)
        except Difference as e:
            assert text and re.search(text, str(e))
            return
    assert not text and report.faults


CUT = [
    "w0 = np.arange(6.0)", "v0 = T.tensor('float64', shape=(None,), name='v0')",
    "w1 = np.array([2.0, 3.0])", "v1 = weft.shared(w1, 'v1')", "v2 = T.sum(v0) * v1", "v3 = v1 + 1",
    "v4 = v0.reshape((2, 3)) * v1.dimshuffle(0, 'x')",
]  # fmt: skip


class CutFaulty(Faulty):
    """A compiled function whose calls with five elements have a fault."""

    def __call__(self, *args):
        if self.fault == "another error":
            try:
                return self.true(*args)
            except WeftError:
                raise BoundsError("of something else") from None
        outs = self.true(*args)
        if len(args[0]) == 5 and self.fault == "another result":
            return [outs[0] + 1]
        if len(args[0]) == 5 and self.fault == "another state":
            self.updated.replace(self.updated.array() + 1)
        if len(args[0]) == 5 and self.fault == "an error":
            raise BoundsError("of nothing")
        return outs


@pytest.mark.parametrize(
    ("fault", "text"),
    [("none", ""), ("another result", "v2: with axis 0 of argument v0 an element shorter: "),
     ("another state", "v1: with axis 0 of argument v0 an element shorter: "), ("another error", "interpreted: Shape"),
     ("an error", "compiled: of nothing, interpreted: nothing")],
)  # fmt: skip
def test_what_calls_with_a_cut_axis_find(fault, text):
    programs, report = [written(CUT, ["v4" if fault == "another error" else "v2"], [("v1", "v3")])], Report()
    group = Group(programs)
    true, group.function = group.function, CutFaulty.__new__(CutFaulty)
    vars(group.function).update(true=true, fault=fault, storages=true.storages, updated=true.storages[0])
    if not text:
        group.fail(report)
        assert report.outputs == 2 and report.faults == 0
        return
    with pytest.raises(Difference, match=re.escape(text)):
        group.fail(report)


@pytest.mark.parametrize("fault", ["", "a result", "a state", "an error"])
def test_what_a_second_function_in_between_finds(fault):
    group = Group([written(CALLS, ["v4"], [("v2", "v5")])])
    true, calls = group.function, []

    def function(*args):
        calls.append(args)
        outs = true(*args)
        if len(calls) == 2 and fault:
            if fault == "an error":
                raise BoundsError("of nothing")
            if fault == "a result":
                return [outs[0] + 1]
            (k,) = group.lowered.updates
            group.lowered.storages[k].replace(group.lowered.storages[k].array() + 1)
        return outs

    group.function = function
    if not fault:
        in_turn(group)
        return
    with pytest.raises(Difference, match="another function"):
        in_turn(group)


def test_results_that_the_next_call_overwrites():
    """Others may not be."""
    program = written(CALLS, ["v4"], [("v2", "v5")])
    program.seed = next(k for k in range(99) if random.Random(f"{k} v4").random() < 0.15)
    group = Group([program])
    assert group.lent == [True]
    first, second = group.function(*group.args)[0], group.function(*group.args)[0]
    assert np.may_share_memory(first, second)
    other_calls(group, Report())
    group.lent = [False]
    with pytest.raises(Difference, match="share memory"):
        other_calls(group, Report())


def test_programs_with_givens_and_with_states_of_other_lengths():
    programs = [Grower(seed).grow() for seed in range(60)]
    given = [p for p in programs if p.givens][:3]
    resized = [p for p in programs if any(p.values[a].shape != p.values[b].shape for a, b in p.updates)][:2]
    assert len(given) == 3 and resized
    Group([*given, *resized]).compare(Report())
    for p in (given[0], resized[0]):
        exec(p.text(), {"print": lambda *a, **k: None})
    for p in given:
        (old, new) = p.givens[0]
        assert old not in p.inputs and p.reduced([old]).givens == [(old, new)]
        (value,) = p.reduced([old]).lowered()([])
        np.testing.assert_array_equal(value, p.values[new].array)


@pytest.mark.parametrize(
    ("text", "found"), [("-v0 * 0.5", True), ("T.maximum(-v0, 0)", False), ("T.cumsum(-v0)", False)]
)
def test_zeros_of_another_sign(text, found):
    """Where the meaning of the operations fixes it."""
    group = Group([written([*CALLS[:2], f"v1 = {text}"], ["v1"])])
    true = group.function

    class Careless:
        storages, stages = true.storages, true.stages

        def __call__(self, *args):
            return [out + 0.0 for out in true(*args)]

    for seed in range(20):  # what arguments become is drawn
        group.programs[0].seed, group.function = seed, true
        extreme(group, Report(), at_the_ends)
        group.function = Careless()
        try:
            extreme(group, Report(), at_the_ends)
        except Difference as e:
            assert found and "zeros of other signs" in str(e)
            return
    assert not found


def test_of_several_bad_indices_any_may_be_named():
    """But none that is right."""
    group = Group([written(CALLS[:4] + ["v2 = v0[v1]"], ["v2"])])
    true, wrong = group.function, [5, 1, 7]
    true.threads = 1
    error = raised(lambda: group.programs[0].lowered()([group.args[0], np.array(wrong)]))

    class Hasty:
        storages = true.storages

        def __call__(self, *args):
            true(args[0], self.order)

    args = [group.args[0], np.array(wrong)]
    group.function = Hasty()
    for order in ([5, 1, 7], [7, 1, 5]):
        group.function.order = np.array(order)
        fails(group, group.programs[0], args, args, error, "")
    group.function.order = np.array([-4, 1, 7])
    with pytest.raises(Difference, match=r"compiled: BoundsError: index -4 .*interpreted: BoundsError: index 5 "):
        fails(group, group.programs[0], args, args, error, "")


def test_of_two_broken_obligations_of_a_result_either_may_be_named():
    """The interpreter stops at the first."""
    p = written([*CALLS[:2], "v1 = v0[:2] + T.ones(3)", "v2 = (v1.sum() * v0).reshape((2, 2))"], ["v2"])
    group = Group([written([*CALLS[:2], "v1 = v0 * 2"], ["v1"])])
    args = [np.zeros(3)]
    error = raised(lambda: p.lowered()(args))

    class Other:
        def __init__(self, text):
            self.text = text

        def __call__(self, *args):
            raise ShapeError(self.text)

    texts = [headline(e) for e in broken(p, args)]
    assert headline(error) == texts[0] and len(set(texts)) == 2
    for text in texts:
        group.function = Other(text)
        fails(group, p, args, args, error, "")
    group.function = Other("of something else")
    with pytest.raises(Difference, match="of something else"):
        fails(group, p, args, args, error, "")


def test_indices_into_what_has_no_elements_may_be_errors():
    """The interpreter looks at them, a compiled program need not; indices into anything else it has to."""
    rows = "v2 = T.alloc(v0[0], 3, v0.shape[0] - 3)[v1]"
    for more, fine in (([], True), (["v3 = v0[v1]"], False)):
        p = written([*CALLS[:4], rows, *more], ["v2", "v3"][: 1 + len(more)])
        args = [p.arguments[0], np.array([0, 7, 1])]
        error = raised(lambda p=p, args=args: p.lowered()(args))
        group = Group([written([*CALLS[:2], "v1 = v0 * 2"], ["v1"])])
        group.function = lambda *args: []
        if fine:
            fails(group, p, args, args, error, "")
        else:
            with pytest.raises(Difference, match="compiled: nothing, interpreted: BoundsError"):
                fails(group, p, args, args, error, "")
