"""The command that runs random programs: what stops or never ends, what is dropped, what is recorded."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import fuzz_coverage
import fuzz_programs
import pytest
from fuzz_check import grown
from fuzz_grower import Grower
from fuzz_report import Report

import weft

HOWS = {"did not end in": lambda: time.sleep(60), "stopped with status 9": lambda: os.kill(os.getpid(), signal.SIGKILL)}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("alone", [True, False])
def test_groups_that_never_end_or_stop_are_taken_apart(how, alone, monkeypatch):
    def report_of(seeds, grad):
        if 5 in seeds and (alone or len(seeds) > 1):
            HOWS[how]()
        return Report(programs=len(seeds))

    monkeypatch.setattr(fuzz_programs, "report_of", report_of)
    monkeypatch.setattr(fuzz_programs, "SECONDS", 3)
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
    monkeypatch.setattr(fuzz_programs, "SECONDS", 3)
    monkeypatch.setattr(fuzz_programs, "PER_SEED", 0.1)
    report = fuzz_programs.in_child([4, 5], False)
    assert report.programs == 2 and report.failures[0] == "a" and how in report.failures[1]


def test_what_is_not_grown_is_counted(monkeypatch):
    report = Report()
    assert len(grown(range(14, 16), False, report)) == 2
    assert report.dropped["DTypeError"] and report.dropped["not finite or large"]
    kinds = {kind for p in grown([14], False) for kind, line in p.dropped if " = " in line}
    assert kinds == set(report.dropped)
    monkeypatch.setattr(Grower, "choose_outputs", lambda self: None)
    assert not grown([0, 1], False, report) and report.dropped["programs without outputs"] == 2


def test_gradient_programs_with_sparse_ends_have_a_cost():
    """A sparse matrix among the ends made the whole cost ill-typed, and the program one without derivatives."""
    p = Grower(14, smooth=True).grow()
    assert any(v.kind == "s" for v in p.values.values()) and p.slopes


def run(monkeypatch, *args):
    monkeypatch.setattr(
        "sys.argv", ["fuzz_programs.py", "--any-coverage", "--group", "2", "--count", "6", *map(str, args)]
    )
    return command(monkeypatch)


def command(monkeypatch):
    for name in ("verify", "reuse"):  # the command sets them for its process
        monkeypatch.setattr(weft.config, name, getattr(weft.config, name))
    return fuzz_programs.main()


def test_a_record_is_gone_on_with(monkeypatch, tmp_path, capsys):
    """Also where the process was killed while it wrote; not where anything else was run."""
    ran = []

    def in_child(seeds, grad):
        ran.append(list(seeds))
        return Report(programs=2, outputs=5, coverage=Counter(a=1), dropped=Counter(b=2))

    monkeypatch.setattr(fuzz_programs, "in_child", in_child)
    path = tmp_path / "record"
    assert run(monkeypatch, "--record", path) == 0 and ran == [[0, 1], [2, 3], [4, 5]]
    said = capsys.readouterr().out
    assert "6 programs, 15 outputs" in said and "not kept: b 6" in said
    whole = path.read_text()
    path.write_text(whole[:-20])
    for expected in ([[4, 5]], []):
        ran.clear()
        assert run(monkeypatch, "--record", path) == 0 and ran == expected
        assert "6 programs, 15 outputs" in capsys.readouterr().out
    monkeypatch.setattr(fuzz_programs, "digest", lambda: "another")
    with pytest.raises(SystemExit, match="a run of other files"):
        run(monkeypatch, "--record", path)
    assert run(monkeypatch, "--record", path, "--any-record") == 0 and not ran


@pytest.mark.parametrize("line", ["null", "12", "[]", '"text"', '[[0], false, {}, "digest"]', '[[0], false, null]',
                                  '[[0], 1, {"programs": 1}]', '[["a"], false, {"programs": 1}]',
                                  '[[0], false, {"programs": "many"}]', '[[0], false, {"coverage": 3}]',
                                  '[[0], false, {"coverage": {"a": "b"}}]', '[[0], false, {"none": 1}]'])  # fmt: skip
def test_a_file_that_is_no_record(line, monkeypatch, tmp_path, capsys):
    path = tmp_path / "record"
    path.write_text(f"{line}\n")
    refused(monkeypatch, capsys, f"{path}:1: no record of this command", "--record", path)
    assert path.read_text() == f"{line}\n"


def test_what_cannot_be_run(monkeypatch, tmp_path, capsys):
    refused(monkeypatch, capsys, "--group", "--group", 0)
    refused(monkeypatch, capsys, "--seed", "--seed", -1)
    refused(monkeypatch, capsys, "No such file or directory", "--record", tmp_path / "none" / "record")
    refused(monkeypatch, capsys, "Is a directory", "--record", tmp_path)


def refused(monkeypatch, capsys, said, *args):
    monkeypatch.setattr(fuzz_programs, "in_child", lambda *args: pytest.fail("a group was run"))
    with pytest.raises(SystemExit) as e:
        run(monkeypatch, *args)
    assert e.value.code == 2 and said in capsys.readouterr().err


# What the command ends with


@pytest.mark.parametrize(
    ("report", "end"),
    [(Report(outputs=100, undecided=2), 0), (Report(outputs=100, undecided=3), 1), (Report(outputs=100), 0),
     (Report(outputs=100, failures=["seed 0: it differs"], failed=[(0, False, "it differs")]), 1)],
)  # fmt: skip
def test_what_fails_the_command(report, end, monkeypatch, capsys):
    """A difference; more than 2 % of outputs of which nothing could be said."""
    monkeypatch.setattr(fuzz_programs, "in_child", lambda *args: report)
    assert run(monkeypatch) == end
    said = capsys.readouterr().out
    share = f"{report.undecided * 3} undecided ({report.undecided}.00 %)"
    assert f"{len(report.failed) * 3} programs differ, {share}" in said


def test_what_was_not_reached_fails_the_command(monkeypatch, capsys):
    """And is named; what is excused is not."""
    everything = Counter(n for n in fuzz_coverage.wanted() if n not in fuzz_coverage.EXCUSED)
    assert everything["op exp"] and everything["rule neg-sub"]
    for lost, text in (((), None), (("op exp", "rule neg-sub"), "not reached: op exp, rule neg-sub\n")):
        reached = everything - Counter(lost)
        monkeypatch.setattr(fuzz_programs, "in_child", lambda *args, c=reached: Report(outputs=9, coverage=Counter(c)))
        monkeypatch.setattr("sys.argv", ["fuzz_programs.py", "--count", "2"])
        assert command(monkeypatch) == bool(lost)
        said = capsys.readouterr().out
        assert text in said if text else "not reached" not in said
        assert run(monkeypatch) == 0 and capsys.readouterr()
