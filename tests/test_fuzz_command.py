"""The command that runs random programs: what stops or never ends, what is dropped, what is recorded."""

from __future__ import annotations

import os
import signal
import time

import fuzz_programs
import pytest
from fuzz_report import Report

HOWS = {"did not end in": lambda: time.sleep(60), "stopped with status 9": lambda: os.kill(os.getpid(), signal.SIGKILL)}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("alone", [True, False])
def test_groups_that_never_end_or_stop_are_taken_apart(how, alone, monkeypatch):
    def report_of(seeds, grad):
        if 5 in seeds and (alone or len(seeds) > 1):
            HOWS[how]()
        return Report(programs=len(seeds))

    monkeypatch.setattr(fuzz_programs, "report_of", report_of)
    monkeypatch.setattr(fuzz_programs, "SECONDS", 0.5)
    monkeypatch.setattr(fuzz_programs, "PER_SEED", 0.1)
    report = fuzz_programs.in_child([4, 5, 6], False)
    (text,) = report.failures
    assert text.startswith("seed 5: " if alone else "only together, seeds [4, 5, 6]: ") and how in text
    assert report.programs == 3 and len(report.failed) == 1


@pytest.mark.parametrize("how", HOWS)
def test_a_shrinking_that_never_ends_loses_no_report(how, monkeypatch):
    monkeypatch.setattr(
        fuzz_programs, "report_of", lambda *a: Report(programs=2, failures=["a"], failed=[(4, False, "a")])
    )
    monkeypatch.setattr(fuzz_programs, "shrunk", lambda *a: HOWS[how]())
    monkeypatch.setattr(fuzz_programs, "SECONDS", 0.5)
    monkeypatch.setattr(fuzz_programs, "PER_SEED", 0.1)
    report = fuzz_programs.in_child([4, 5], False)
    assert report.programs == 2 and report.failures[0] == "a" and how in report.failures[1]
