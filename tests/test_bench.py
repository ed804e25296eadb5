"""The benchmark driver: it runs, and refuses a wrong answer. Nothing here looks at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
WRONG = """
from cases import Run
def setup(variant, threads): return "1"
def chain(data): return Run(lambda: data["x"])
def mlp(data): return Run(lambda: data["b1"][0], lambda: [data[k] for k in ("w1", "b1", "w2", "b2", "w3", "b3")])
"""

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="reads the source tree")


def bench(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run(tmp_path: Path, case: str, contestants: str) -> tuple[subprocess.CompletedProcess[str], dict]:
    to = tmp_path / "out.json"
    short = ("--tiny", "--rounds", 1, "--seconds", 0.01, "--json", to)
    out = bench("run.py", "--cases", case, "--contestants", contestants, *short)
    assert to.exists(), out.stderr
    return out, json.loads(to.read_text())["cases"][case]["results"]


def test_the_driver_runs_a_case(tmp_path: Path) -> None:
    out, results = run(tmp_path, "chain", "numpy,weft,nothing.py")
    assert out.returncode == 0, out.stdout + out.stderr
    assert {c for c, r in results.items() if "fastest" in r} == {"numpy", "weft"}
    assert "error" in results["nothing.py"] and "Not timed: nothing.py" in out.stdout


@pytest.mark.parametrize("case", ["chain", "mlp"])
def test_a_wrong_answer_is_refused(tmp_path: Path, case: str) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    out, results = run(tmp_path, case, f"numpy,{wrong}")
    assert out.returncode == 1
    assert "fastest" in results["numpy"]
    assert "refused" in results[str(wrong)]["error"] and "fastest" not in results[str(wrong)]


def test_slowdowns_are_shown(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.0), ("b", 1.5)):
        report = {"cases": {"chain": {"results": {"weft": {"fastest": seconds}, "gone": {"error": "?"}}}}}
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    slower = bench("compare.py", tmp_path / "a.json", tmp_path / "b.json")
    assert slower.returncode == 1 and "slower    1.50  chain: weft" in slower.stdout
    assert bench("compare.py", tmp_path / "b.json", tmp_path / "a.json").returncode == 0
