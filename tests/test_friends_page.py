"""The programs of docs/friends.md run, each section by itself, and print what it says; its tables are complete."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import io
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "friends.md"
SECTION = re.compile(r"^## (?P<title>.+)$", re.MULTILINE)
BLOCK = re.compile(r"```python\n(?P<program>.*?)```\n```text\n(?P<printed>.*?)```\n", re.DOTALL)

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="reads the source tree")


def programs() -> dict[str, tuple[str, str]]:
    text = PAGE.read_text() if PAGE.is_file() else ""
    parts = SECTION.split(text)[1:]
    found = {title: BLOCK.search(body) for title, body in zip(parts[::2], parts[1::2], strict=True)}
    return {title: (m["program"], m["printed"]) for title, m in found.items() if m}


@pytest.mark.parametrize("title", programs())
def test_a_program_prints_what_the_page_says(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, printed = programs()[title]
    for node in ast.walk(ast.parse(program)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if importlib.util.find_spec(name.split(".")[0]) is None:
                pytest.skip(f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    scope: dict[str, Any] = {}
    with contextlib.redirect_stdout(out):
        exec(compile(program, f"{PAGE.name}: {title}", "exec"), scope)
    assert out.getvalue() == printed


def test_the_page_has_its_programs() -> None:
    assert len(programs()) == len(SECTION.findall(PAGE.read_text())) == 6


def test_the_table_names_every_parameter() -> None:
    pytest.importorskip("sklearn", minversion="1.6")
    from weft.estimators import Classifier

    text = PAGE.read_text()
    for name, p in inspect.signature(Classifier).parameters.items():
        default = p.default if not isinstance(p.default, str) else f'"{p.default}"'
        written = [f"`{name}={default}`", f"`{name}={default!r}`", "`tol=1e-4`" if name == "tol" else "", f"`{name}`"]
        assert any(w and re.search(rf"^\|.*{re.escape(w)}", text, re.MULTILINE) for w in written), name
