"""The tables and texts that bench/ writes of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import BENCH, ROOT, bench

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="reads the source tree")


def tables(report: dict, what: str = "tables") -> str:
    done = bench("-c", "import json, sys, report; print(getattr(report, sys.argv[1])(json.loads(sys.argv[2])))", what,
                 json.dumps(report))  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def case(group: str = "fused", **results: dict) -> dict:
    return {"title": "chain", "group": group, "compiles": group == "training", "results": results}


def test_bounds_that_are_beaten_are_named() -> None:
    def timed(fastest: float, fresh: float) -> dict:
        return {"fastest": fastest, "median": fastest, "fresh": {"fastest": fresh, "median": fresh}}

    one = case(limit=timed(1.0, 2.0), jax=timed(1.1, 1.5), weft=timed(0.98, 2.0))
    for shown in (tables(one, "table"), tables({"cases": {"chain": one}})):
        assert "The C loop on fresh arrays is beaten (" in shown and "jax 0.75)" in shown and "weft" in shown
        assert "The C loop is beaten" not in shown
    step = case("training", products={"fastest": 1.0, "median": 1.0}, weft={"fastest": 0.9, "median": 0.9})
    for shown in (tables(step, "table"), tables({"cases": {"step": step}})):
        assert "The products alone are beaten (" in shown and "weft 0.90)" in shown


def test_ratios_of_times_that_differ_are_marked() -> None:
    steady, rough = {"fastest": 2.0, "median": 2.2}, {"fastest": 1.0, "median": 2.0}
    shown = tables({"cases": {"chain": case(weft=rough, jax=steady, limit=steady)}})
    assert "| 0.50 \\* (0.91) | 2.00, 1.10 |" in shown and "\n\\* The median call of one of the two" in shown
    shown = tables({"cases": {"chain": case(weft=steady, jax={"fastest": 4.0, "median": 4.4}, limit=steady)}})
    assert "| 0.50 | 1.10, 1.10 |" in shown and "*" not in shown
    fresh = {"fresh": {"fastest": 1.0, "median": 5.0}}
    shown = tables({"cases": {"chain": case(weft=steady | fresh, jax=steady, limit=steady | fresh)}})
    assert "| 1.00 \\* |" in shown, "of a loop on fresh arrays no median"


def test_what_is_built_once_a_machine_is_shown() -> None:
    times = {"fastest": 1.0, "median": 1.0, "cold_seconds": 2.0, "seconds": 0.5}
    steps = {"a": case("training", weft=times | {"once": 3.0}), "b": case("training", weft=times | {"once": 4.0})}
    assert "| once a machine, before the first | 3 s to 4 s | - |" in tables({"cases": steps})


def test_relatives_say_which_peers_they_are_compared_with() -> None:
    one = case(weft={"fastest": 1.0}, torch={"fastest": 2.0}, jax={"fastest": 4.0})
    shown = tables({"cases": {}, "relatives": {"adam": [{"seed": -1, **one}, {"seed": 0, **one}]}})
    assert "| adam | jax, torch | 0.50 | 0.50 | 1.00 |" in shown


def test_every_part_says_by_which_run() -> None:
    runs = [{"command": f"python bench/run.py --seed {k}", "machine": {"commit": f"c{k}"}} for k in range(2)]
    one = case(weft={"fastest": 1.0})
    first, second = {**one, "run": 0}, {**one, "run": 1}
    report = {"runs": runs, "cases": {"chain": first, "adam": second}, "relatives": {"chain": [{"seed": -1, **second}]}}
    told = tables(report, "provenance")
    assert "chain: `python bench/run.py --seed 0`, commit c0" in told
    assert "adam, relatives: `python bench/run.py --seed 1`, commit c1" in told
    report["cases"]["adam"] = first
    told = tables(report, "provenance")
    assert "cases: `python bench/run.py --seed 0`" in told and "\nrelatives: `python bench/run.py --seed 1`" in told
    told = tables({**report, "relatives": {}}, "readme")
    assert "\n`python bench/run.py --seed 0`, commit c0" in told and "--seed 1" not in told


def test_the_readme_has_the_table_of_the_committed_run(tmp_path: Path) -> None:
    done = bench("-c", "import sys, json, report; print(report.readme(json.load(open('results.json'))))")
    assert done.returncode == 0, done.stderr
    out_of_date = "the README is out of date: python bench/report.py bench/results.json --readme"
    assert done.stdout.strip() in (ROOT / "README.md").read_text(), out_of_date


def test_the_page_has_the_figures_of_the_committed_runs() -> None:
    done = bench("-c", "import figures; print(figures.text())")
    assert done.returncode == 0, done.stderr
    out_of_date = "bench/README.md is out of date: python bench/figures.py --write"
    assert f"-->\n\n{done.stdout.strip()}\n\n<!--" in (BENCH / "README.md").read_text(), out_of_date


def test_files_that_are_no_runs_are_named(tmp_path: Path) -> None:
    given = tmp_path / "a.json"
    for text in ("[1", "[]", '{"cases": null}', '{"cases": {"chain": {"results": {"weft": {"fastest": "1"}}}}}'):
        given.write_text(text)
        done = bench(BENCH / "report.py", given)
        assert done.returncode == 1 and done.stderr.startswith(f"{given}: not a run of bench/run.py"), done.stderr
    assert "cases: chain: weft: fastest: '1' in place of a number above 0" in done.stderr


def test_earlier_runs_can_be_read(tmp_path: Path) -> None:
    for name in ("results.json", "results_intel.json"):
        done = bench(BENCH / "report.py", BENCH / name)
        assert done.returncode == 0 and "| relatives of |" in done.stdout, done.stderr
