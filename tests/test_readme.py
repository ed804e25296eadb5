"""The README's example, run as pasted, prints what the README says; `python tests/test_readme.py` writes that anew.

Seconds differ from run to run and are not compared.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCKS = re.compile(r"```python\n(?P<program>.*?)```\n.*?```text\n(?P<printed>.*?)```\n", re.DOTALL)


def printed(program: str, folder: Path) -> str:
    (folder / "example.py").write_text(program)
    return subprocess.run(
        [sys.executable, folder / "example.py"], check=True, capture_output=True, text=True, env=environment()
    ).stdout


def environment() -> dict[str, str]:
    """A source tree that is not installed works too. Programs are compiled, as where nobody ran them before."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "WEFT_REUSE": "0"}


def without_seconds(text: str) -> str:
    return re.sub(r"^ +\d+\.\d+ seconds: .*\n", "", text, flags=re.MULTILINE)


def blocks() -> re.Match[str]:
    found = BLOCKS.search(README.read_text())
    assert found is not None
    return found


def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    found = blocks()
    assert len([s for s in found["program"].splitlines() if s]) <= 15
    now = without_seconds(printed(found["program"], tmp_path))
    assert now == without_seconds(found["printed"]), "the README is out of date: python tests/test_readme.py"


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README.read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "architecture.md"], ids=lambda p: p.name)
def test_links_and_paths_exist(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:weft|compiler|runtime|kernels|models|examples|tests|bench|docs)/[\w./]*)`", prose):
        assert (ROOT / path).exists(), path


def test_the_life_of_an_expression_is_up_to_date() -> None:
    script = ROOT / "docs" / "life_of_an_expression.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr


def main() -> None:
    found = blocks()
    with tempfile.TemporaryDirectory() as folder:
        new = printed(found["program"], Path(folder))
    text = README.read_text()
    README.write_text(text[: found.start("printed")] + new + text[found.end("printed") :])


if __name__ == "__main__":
    main()
