"""The driver of the benchmark: equal turns, what it writes and when, how it ends. Nothing here looks at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from benchmarks import BENCH, bench, run

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="reads the source tree")

SHORT = ("--tiny", "--rounds", 1, "--seconds", 0.01)
# A contestant that tells in its version what its process was given.
TELLS = """
import json, os
from contestants import numpy
names = ("WEFT_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
def setup(variant, threads):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return json.dumps({"threads": threads, "cores": cores, **{k: os.environ.get(k) for k in names}})
overhead = numpy.overhead
"""
# One that looks into the driver's file, and may interrupt the driver, before its last case.
LOOKS = """
import json, os, signal, sys
from contestants import numpy
def setup(variant, threads):
    return "1"
def looked(build):
    def look(data):
        run = numpy.expression if "arrays" in data else build
        to, last = os.environ["BENCH_FILE"], os.environ["BENCH_LAST"]
        if sys.argv[4].startswith(last):
            with open(to) as f, open(to + ".seen", "w") as seen:
                seen.write(f.read())
            if os.environ.get("BENCH_STOP"):
                os.kill(os.getppid(), signal.SIGINT)
        return run(data)
    return look
chain, overhead, expression = map(looked, (numpy.chain, numpy.overhead, numpy.expression))
"""


def test_every_contestant_gets_the_same_threads_and_cores(tmp_path: Path) -> None:
    tells = tmp_path / "tells.py"
    tells.write_text(TELLS)
    for threads in (1, 2):
        _, report = run(tmp_path, "--cases", "overhead", "--contestants", tells, "--threads", threads)
        told = json.loads(report["cases"]["overhead"]["results"][str(tells)]["version"])
        there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        assert told.pop("threads") == threads and told.pop("cores") == min(threads, there)
        assert len(told) == 5 and set(told.values()) == {str(threads)}


@pytest.mark.parametrize(
    ("last", "given", "saved"),
    [
        ("overhead", ("--cases", "chain_1e4,overhead"), lambda r: list(r["cases"]) == ["chain_1e4"]),
        ("chain:10000", ("--cases", "", "--curves"), lambda r: len(*r["curves"]["size"].values()) == 2),
        ("relative:chain:1", ("--cases", "", "--relatives", 2, "--families", "chain"),
         lambda r: [one["seed"] for one in r["relatives"]["chain"]] == [-1, 0]),
    ],
)  # fmt: skip
def test_what_was_timed_is_saved_at_once(tmp_path: Path, last: str, given: tuple, saved: object) -> None:
    """An interrupt later on takes nothing of it."""
    looks, to = tmp_path / "looks.py", tmp_path / "out.json"
    looks.write_text(LOOKS)
    told = {"BENCH_FILE": str(to), "BENCH_LAST": last, "BENCH_STOP": "1"}
    done = bench("-c", INTERRUPTED, BENCH / "run.py", *SHORT, *given, "--contestants", looks, "--json", to, **told)
    assert saved(json.loads((tmp_path / "out.json.seen").read_text()))
    assert done.returncode == 130 and f"interrupted; {to} holds what was timed before" in done.stderr, done.stderr
    assert saved(json.loads(to.read_text()))


# A shell's background job ignores SIGINT, and so do its children.
INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_an_interrupt_promises_no_file_that_is_not_there(tmp_path: Path) -> None:
    looks, to = tmp_path / "looks.py", tmp_path / "out.json"
    looks.write_text(LOOKS)
    (tmp_path / "there").write_text("")
    told = {"BENCH_FILE": str(tmp_path / "there"), "BENCH_LAST": "overhead", "BENCH_STOP": "1"}
    given = ("--cases", "overhead", "--contestants", looks)
    for more in ((), ("--json", to)):
        done = bench("-c", INTERRUPTED, BENCH / "run.py", *SHORT, *given, *more, **told)
        assert done.returncode == 130 and done.stderr == "interrupted\n" and not to.exists()


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    to = tmp_path / "a.json"
    done = bench("-c", REPLACED, to)
    assert done.returncode == 0, done.stderr
    assert json.loads(to.read_text()) == {"new": 1} and os.listdir(tmp_path) == ["a.json"]


REPLACED = """
import sys, pathlib, machine
to = pathlib.Path(sys.argv[1])
machine.write(to, {"old": 1})
with open(to) as held:
    machine.write(to, {"new": 1})
    assert "old" in held.read(), "written in place"
try:
    machine.write(to, {"half": object()})
    raise SystemExit("?")
except TypeError:
    pass
"""


def test_weft_has_to_be_timed_where_it_is_asked_for(tmp_path: Path) -> None:
    broken = {"CC": "/bin/false", "WEFT_CC": "/bin/false", "WEFT_CACHE_DIR": str(tmp_path / "cache")}
    given = ("--cases", "chain_1e4,overhead", "--contestants")
    done = bench(BENCH / "run.py", *SHORT, *given, "weft,numpy", **broken)
    assert done.returncode == 1 and "failed: chain of 12 operations, 10^3: weft: " in done.stderr, done.stderr
    assert bench(BENCH / "run.py", *SHORT, *given, "numpy", **broken).returncode == 0
    curves = bench(BENCH / "run.py", *SHORT, "--cases", "", "--curves", "--contestants", "weft", **broken)
    assert curves.returncode == 1 and "failed: chain" in curves.stderr


def test_all_get_more_turns_while_times_differ() -> None:
    done = bench("-c", TURNS)
    assert done.returncode == 0, done.stderr


TURNS = """
import argparse, collections, run
args = argparse.Namespace(tiny=True, rounds=2, seconds=0.01)
counts, time_once = collections.Counter(), run.Worker.time
def time(self, seconds, fresh=False):
    counts[self.process.args[2], fresh] += 1
    return time_once(self, seconds, fresh)
run.Worker.time = time
for answers, turns in (([True] * 9, 5), ([False], 2), ([True, False], 3)):
    left = iter(answers)
    run.unsteady = lambda turns: next(left)
    counts.clear()
    run.run_case("overhead", ["weft", "numpy"], 2, args, more=3)
    assert counts == {("weft", False): turns, ("numpy", False): turns}, (counts, turns)
"""


def test_whose_times_have_to_be_steady() -> None:
    done = bench("-c", UNSTEADY)
    assert done.returncode == 0, done.stderr


UNSTEADY = """
import run
steady, rough = [[1.0, 1.1], [1.1, 1.2]], [[1.0, 2.0], [2.0, 2.0]]
slower = [[3.0, 9.0], [9.0, 9.0]]
assert not run.unsteady({"weft": steady, "jax": steady, "limit": steady})
for who in ("weft", "jax", "limit"):
    assert run.unsteady({"weft": steady, "jax": steady, "limit": steady, who: rough})
assert not run.unsteady({"weft": steady, "jax": steady, "numpy": slower}), "not the best peer"
assert not run.unsteady({}) and not run.unsteady({"products by numpy": [[]]})
"""


def test_files_can_be_put_together_and_say_of_what(tmp_path: Path) -> None:
    only = ("--contestants", "numpy", "--families", "chain")
    run(tmp_path, "--cases", "overhead,chain_1e4", "--relatives", 1, *only)
    _, report = run(tmp_path, "--cases", "overhead", "--add", *only)
    assert [r["command"].split(" --contestants")[0] for r in report["runs"]] == [
        "python bench/run.py --cases overhead,chain_1e4 --relatives 1", "python bench/run.py --cases overhead --add",
    ]  # fmt: skip
    assert {name: one["run"] for name, one in report["cases"].items()} == {"overhead": 1, "chain_1e4": 0}
    assert [one["run"] for one in report["relatives"]["chain"]] == [0, 0]
    assert report["runs"][1]["machine"]["versions"].keys() == {"numpy"}
    _, report = run(tmp_path, "--cases", "chain_1e4", "--relatives", 1, "--add", *only)
    assert len(report["runs"]) == 2, "nothing is left of the first"
    assert {name: one["run"] for name, one in report["cases"].items()} == {"overhead": 0, "chain_1e4": 1}
    old = {"machine": {"commit": "c"}, "command": "old", "cases": {"adam": {**report["cases"]["overhead"]}}}
    del old["cases"]["adam"]["run"]
    (tmp_path / "out.json").write_text(json.dumps(old))
    _, report = run(tmp_path, "--cases", "overhead", "--add", *only)
    assert report["runs"][0] == {"machine": {"commit": "c"}, "command": "old"} and report["cases"]["adam"]["run"] == 0
    assert report["cases"]["overhead"]["run"] == 1


def test_the_command_holds_no_paths_of_a_machine(tmp_path: Path) -> None:
    told = bench("-c", "import machine, sys; print(machine.command(sys.argv[1:]))", BENCH / "run.py", "--json",
                 tmp_path / "a.json", f"--png={BENCH}", "--contestants", f"weft,{tmp_path}/x.py", "--cases", "",
                 "--relatives", 4).stdout  # fmt: skip
    assert told == "python bench/run.py --json a.json --png=bench --contestants weft,x.py --cases '' --relatives 4\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--cases", "chain:0"), "chain:0: at least 1 element"),
        (("--seconds", "nan"), "--seconds: a number above 0"),
        (("--seconds", "-1"), "--seconds: a number above 0"),
        (("--relatives", "-1"), "--relatives: at least 0"),
        (("--add",), "--add: to which file?"),
        (("--json", "FOLDER"), "FOLDER is a folder"),
        (("--png", "FILE"), "FILE is no folder"),
        (("--png", "FILE/below"), "FILE/below is no folder"),
    ],
)
def test_wrong_use_is_said_before_the_first_case(tmp_path: Path, arguments: tuple, says: str) -> None:
    (tmp_path / "file").write_text("")

    def named(text: str) -> str:
        return text.replace("FOLDER", str(tmp_path)).replace("FILE", str(tmp_path / "file"))

    done = bench(BENCH / "run.py", *map(named, arguments))
    assert done.returncode == 2 and not done.stdout and named(says) in done.stderr.splitlines()[-1], done.stderr


def test_more_threads_than_cores_are_remarked_on() -> None:
    done = bench(BENCH / "run.py", *SHORT, "--cases", "overhead", "--contestants", "numpy", "--threads", 1000)
    assert done.returncode == 0 and "--threads 1000: only " in done.stderr


def test_relatives_cover_the_range_of_each_size() -> None:
    done = bench("-c", COVERED)
    assert done.returncode == 0, done.stderr


COVERED = """
import math, relatives
for name, family in relatives.FAMILIES.items():
    for first in (0, 4):
        drawn = [relatives.sizes(name, seed, 4) for seed in range(first, first + 4)]
        assert drawn == [relatives.sizes(name, seed, 4) for seed in range(first, first + 4)]
        for axis, (own, least, most) in family.sizes.items():
            assert least <= min(s[axis] for s in drawn) and max(s[axis] for s in drawn) <= most
            if most - least > 50:  # a quarter of the range each
                parts = sorted(math.log(s[axis] / least) / math.log((most + 1) / least) for s in drawn)
                assert all((k - 0.1) / 4 <= at <= (k + 1) / 4 for k, at in enumerate(parts)), (name, axis, parts)
    assert relatives.sizes(name, -1, 4) == {axis: own for axis, (own, _, _) in family.sizes.items()}
assert max(relatives.sizes("distances", seed, 4)["f"] for seed in range(4)) > 40
"""
