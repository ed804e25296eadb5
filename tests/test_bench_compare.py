"""weft bench compare: what it finds, what it does not compare, and files that are no runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import BENCH, bench

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="reads the source tree")


def test_slowdowns_are_shown(tmp_path: Path) -> None:
    def report(name: str, fastest: float, fresh: float, cold: float, at: float) -> Path:
        timed = {"fastest": fastest, "fresh": {"fastest": fresh}, "cold_seconds": cold, "seconds": 0.1}
        results = {"weft": timed, "gone": {"error": "?"}, "jax": {"fastest": fastest**3}}
        curves = {"size": {"weft": [[100, at]]}, "threads": {"mlp": {"weft": [[2, at]]}}}
        to = tmp_path / f"{name}.json"
        to.write_text(json.dumps({"cases": {"chain": {"results": results}}, "curves": curves}))
        return to

    a = report("a", 1.0, 1.0, 1.0, 1.0)
    compare = BENCH / "compare.py"
    slower = {
        "slower    1.50  chain: weft": report("b", 1.5, 1.0, 1.0, 1.0),
        "slower    1.50  chain, fresh: weft": report("c", 1.0, 1.5, 1.0, 1.0),
        "slower    1.50  chain built cold: weft": report("d", 1.0, 1.0, 1.5, 1.0),
        "slower    1.50  chain by size, 100: weft": report("e", 1.0, 1.0, 1.0, 1.5),
        "slower    1.50  mlp by threads, 2: weft": report("e", 1.0, 1.0, 1.0, 1.5),
    }
    for line, b in slower.items():
        shown = bench(compare, a, b)
        assert shown.returncode == 1 and line in shown.stdout, shown.stdout
        assert bench(compare, b, a).returncode == 0
    only = bench(compare, a, tmp_path / "b.json", "--only", "jax")
    assert only.returncode == 0 and "chain: jax" in only.stdout and "weft" not in only.stdout


def test_noise_is_no_slowdown_and_failures_are(tmp_path: Path) -> None:
    def report(title: str = "chain", threads: int = 2, **timed: object) -> Path:
        case = {"title": title, "results": {"weft": timed}}
        to = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        to.write_text(json.dumps({"machine": {"threads": threads}, "cases": {"chain": case}}))
        return to

    a = report(fastest=1.0, spread=1.05, cold_seconds=1.0, seconds=0.01, fresh={"fastest": 1.0, "spread": 1.1})
    quiet = {"fastest": 1.0, "spread": 1.0, "cold_seconds": 1.0, "seconds": 0.01, "fresh": {"fastest": 1.0}}
    for status, line, b in (
        (0, "unsure    1.50  chain: weft", report(**{**quiet, "fastest": 1.5, "spread": 1.6})),
        (1, "slower    1.70  chain: weft", report(**{**quiet, "fastest": 1.7, "spread": 1.6})),
        (0, "unsure    1.30  chain built cold: weft", report(**{**quiet, "cold_seconds": 1.3})),
        (0, "unsure    2.00  chain, fresh: weft", report(**{**quiet, "fresh": {"fastest": 2.0, "spread": 2.5}})),
        (1, "failed          chain: weft  refused: off", report(error="refused: off")),
        (1, "failed          chain, fresh: weft  none left", report(**{**quiet, "fresh": {"error": "none left"}})),
        (1, "only in", report(**{k: v for k, v in quiet.items() if k != "fresh"})),
        (1, "only in", report()),
        (0, "threads differ: 2 and 1", report(threads=1, **quiet)),
    ):
        shown = bench("-m", "weft", "bench", "compare", a, b)
        assert shown.returncode == status and line in shown.stdout, shown.stdout + shown.stderr
    tiny = bench(BENCH / "compare.py", a, report("chain, tiny", **quiet))
    assert tiny.returncode == 1 and "not the same programs" in tiny.stderr
    for text in ("[1", "[]", "{}", '{"cases": {"chain": []}}'):
        (tmp_path / "c").write_text(text)
        assert "not a run of bench/run.py" in bench(BENCH / "compare.py", a, tmp_path / "c").stderr.splitlines()[0]
    assert bench(BENCH / "compare.py", a, "nowhere.json").stderr.strip() == "nowhere.json: No such file or directory"


def compare(tmp_path: Path, a: object, b: object, *arguments: object) -> tuple[int, str]:
    for name, report in (("a", a), ("b", b)):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    done = bench(BENCH / "compare.py", tmp_path / "a.json", tmp_path / "b.json", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def case(**fastest: float) -> dict:
    return {"title": "chain", "results": {c: {"fastest": t} for c, t in fastest.items()}}


def test_what_is_gone_is_a_failure(tmp_path: Path) -> None:
    a = {"cases": {"chain": case(weft=1.0, jax=1.0), "adam": case(weft=1.0)}}
    for b in ({"cases": {"chain": case(jax=1.0)}}, {"cases": {"chain": case(weft=1.0)}}, {"cases": {}}):
        status, told = compare(tmp_path, a, b)
        assert status == 1 and "only in " in told and "adam: weft" in told
    without_jax = {"cases": {**a["cases"], "chain": case(weft=1.0)}}
    assert compare(tmp_path, a, without_jax)[0] == 0, "a peer that is not installed here"
    assert compare(tmp_path, a, without_jax, "--only", "jax")[0] == 1
    assert compare(tmp_path, a, {"cases": {"chain": case(weft=1.0)}}, "--cases", "chain")[0] == 0
    assert compare(tmp_path, without_jax, a)[0] == 0


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    full = {"cases": {"chain": case(weft=1.0)}}
    for a, arguments in (({"cases": {}}, ()), (full, ("--only", "nobody")), (full, ("--cases", "adam"))):
        status, told = compare(tmp_path, a, a, *arguments)
        assert status == 2 and "nothing to compare" in told


def test_relatives_are_compared(tmp_path: Path) -> None:
    def report(t: float, n: int = 3) -> dict:
        return {"cases": {}, "relatives": {"chain": [{"seed": 0, **case(weft=t), "title": f"relative 0 ({n = })"}]}}

    status, told = compare(tmp_path, report(1.0), report(2.0))
    assert status == 1 and "slower    2.00  relative 0 (n = 3): weft" in told
    assert compare(tmp_path, report(1.0), report(1.0))[0] == 0
    status, told = compare(tmp_path, report(1.0), report(1.0, 4))
    assert status == 1 and "only in" in told, "another program"


def test_points_of_curves_have_a_spread(tmp_path: Path) -> None:
    def report(*point: float) -> dict:
        return {"cases": {}, "curves": {"size": {"weft": [[100, *point]]}}}

    for before, after, word in (
        ((1.0, 1.02), (1.2, 1.03), "slower"), ((1.0, 1.25), (1.2, 1.0), "unsure"), ((1.0,), (1.25,), "unsure"),
        ((1.0,), (1.35,), "slower"),
    ):  # fmt: skip
        status, told = compare(tmp_path, report(*before), report(*after))
        assert word in told and status == (word == "slower")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"cases": {"chain": null}}', "cases: chain: nothing"),
        ('{"cases": {"chain": {"results": null}}}', "cases: chain: nothing"),
        ('{"cases": {"chain": {"results": {"weft": null}}}}', "chain: weft: nothing"),
        ('{"cases": {"chain": {"results": {"weft": {"fastest": "1"}}}}}', "weft: fastest: '1'"),
        ('{"cases": {"chain": {"results": {"weft": {"fastest": 0}}}}}', "weft: fastest: 0"),
        ('{"cases": {"chain": {"results": {"weft": {"fastest": NaN}}}}}', "weft: fastest: nan"),
        ('{"cases": {"chain": {"results": {"weft": {"fastest": 1, "fresh": null}}}}}', "weft: fresh: nothing"),
        ('{"cases": {}, "curves": []}', "curves: []"),
        ('{"cases": {}, "curves": {"size": {"weft": [[1]]}}}', "curves: size: weft"),
        ('{"cases": {}, "relatives": {"chain": [{"results": {}}]}}', "relatives: chain: seed"),
        ('{"cases": {"chain": {"run": 1, "results": {}}}, "runs": []}', "runs: not all"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, text: str, place: str) -> None:
    b = tmp_path / "b.json"
    b.write_text(text)
    done = bench(BENCH / "compare.py", BENCH / "results.json", b)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"{b}: not a run of bench/run.py") and place in done.stderr


def test_the_command_has_a_help_and_a_file_of_its_own(tmp_path: Path) -> None:
    a = tmp_path / "a.json"
    a.write_text(json.dumps({"cases": {"chain": case(weft=1.0)}}))
    done = bench("-m", "weft", "bench", "compare", a, a, "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "found.json").read_text())[0]["word"] == "equal"
    assert "A.json B.json" in bench("-m", "weft", "bench", "compare", "--help").stdout
    done = bench("-m", "weft", "bench", "compare", a, a, "--json", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_only_our_own_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside an installed package another project's folder bench may lie."""
    from weft.commands import bench as command

    assert command.in_the_source_tree()
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "run.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(command, "SCRIPT", tmp_path / "bench" / "run.py")
    assert not command.in_the_source_tree()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert not command.in_the_source_tree()


def test_an_installed_weft_compares_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from weft import cli
    from weft.commands import bench as command

    monkeypatch.setattr(command, "SCRIPT", tmp_path / "none.py")
    a = tmp_path / "a.json"
    a.write_text(json.dumps({"cases": {"chain": case(weft=1.0)}}))
    assert cli.main(["bench", "compare", str(a), str(a)]) == 0
    assert "equal    1.00  chain: weft" in capsys.readouterr().out
