"""Derivatives of random programs against differences (fuzz_slopes.py): how wrong one may be without being found."""

from __future__ import annotations

import re

import pytest
from fuzz_check import Difference, Report, slopes
from fuzz_grower import Grower
from fuzz_program import Program, Slope
from test_fuzz import verified, written  # noqa: F401  (a fixture)


def found(p: Program) -> tuple[bool, Report]:
    """Whether a derivative of the program is said to be wrong."""
    report = Report()
    try:
        slopes(p, report)
    except Difference as e:
        assert "differences say" in str(e)
        return True, report
    return False, report


@pytest.mark.parametrize("wrong", ["* 1.1", "* 0.9", "* 0"])
def test_small_derivatives_of_large_costs(wrong):
    """The tolerance was a part of the cost."""
    lines = ["w0 = np.array([1.5, -2.0, 0.25])", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
    lines += ["v1 = 1000 + 1e-3 * T.sum(T.tanh(v0))", "v2 = weft.grad(v1, v0)", f"v3 = v2 {wrong}"]
    right, report = found(written(lines, ["v2"], slopes=[Slope("v1", "v0", "v2", None)]))
    assert not right and (report.slopes, report.resolved, report.zero, report.rough) == (1, 1, 0, 0)
    assert found(written(lines, ["v3"], slopes=[Slope("v1", "v0", "v3", None)]))[0]


def test_derivatives_of_random_programs_that_are_wrong_by_a_tenth():
    """Found wherever the differences are said to tell them, and that is nearly everywhere."""
    count = told = zero = 0
    for seed in range(30):
        p = Grower(seed, smooth=True).grow()
        for s in p.slopes:
            q = p.reduced([s.result])
            q.slopes = [s]
            right, report = found(q)
            assert not right
            if report.resolved:
                k = next(k for k, line in enumerate(q.lines) if line.startswith(f"{s.result} = "))
                q.lines[k] = re.sub(r" = (.*)", r" = (\1) * 1.1", q.lines[k])
                q.run()
                assert found(q)[0], q.text()
            count, told, zero = count + report.slopes, told + report.resolved, zero + report.zero
    assert count > 30 and told >= 0.9 * (count - zero)


def test_a_derivative_that_is_zero_says_so():
    lines = ["w0 = np.array([1.5, -2.0])", "v0 = T.tensor('float64', shape=(None,), name='v0')"]
    lines += ["v1 = T.sum(T.floor(v0 + 0.25)) + T.sum(v0 * 0)", "v2 = weft.grad(v1, v0)", "v3 = v2 + 0.01"]
    right, report = found(written(lines, ["v2"], slopes=[Slope("v1", "v0", "v2", None)]))
    assert not right and (report.resolved, report.zero, report.rough) == (0, 1, 0)
    assert found(written(lines, ["v3"], slopes=[Slope("v1", "v0", "v3", None)]))[0]
