"""The other calls of random programs (fuzz_calls.py): faults that only they show."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fuzz_calls import other_calls
from fuzz_check import Difference, Group, Report
from test_fuzz import verified, written  # noqa: F401  (a fixture)

from weft.runtime.errors import BoundsError

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
