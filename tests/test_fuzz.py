"""Random programs (fuzz_programs.py), compiled against interpreted; seeds are fixed, so each run is the same."""

from __future__ import annotations

import fuzz_programs
import pytest


@pytest.fixture(autouse=True)
def verified(monkeypatch):
    import weft

    monkeypatch.setattr(weft.config, "verify", True)


@pytest.mark.parametrize("first", range(0, 24, 4))
def test_random_programs(first):
    report = fuzz_programs.check(list(range(first, first + 4)))
    assert report is None, report


@pytest.mark.parametrize("first", range(0, 16, 4))
def test_random_gradients(first):
    report = fuzz_programs.check(list(range(first, first + 4)), grad=True)
    assert report is None, report


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1100, 4))
@pytest.mark.parametrize("grad", [False, True])
def test_many(first, grad):
    report = fuzz_programs.check(list(range(first, first + 4)), grad)
    assert report is None, report


def test_programs_are_repeatable_and_can_be_pasted():
    for seed in range(3):
        p, q = fuzz_programs.Grower(seed).grow(), fuzz_programs.Grower(seed).grow()
        assert p.text() == q.text()
        exec(p.text(), {})


def test_a_difference_is_reported():
    import numpy as np

    same = np.array([1.0, np.nan])
    assert fuzz_programs.difference(same, same.copy(), False) is None
    assert "1 of 2" in fuzz_programs.difference(np.array([1.0, 2.0]), same, False)
    assert "float32" in fuzz_programs.difference(np.float32(same), same, False)
    assert "first at (1,)" in fuzz_programs.difference(np.array([1, 3]), np.array([1, 2]), False)
