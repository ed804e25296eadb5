"""The programs of docs/training.md run, in order, and print what the page says; its tables name every function."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

import weft

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training.md"
BLOCKS = re.compile(r"```python\n(?P<program>.*?)```\n(?:```text\n(?P<printed>.*?)```\n)?", re.DOTALL)

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="reads the source tree")


def test_the_programs_print_what_the_page_says() -> None:
    pytest.importorskip("scipy")
    names: dict[str, Any] = {}
    blocks = list(BLOCKS.finditer(PAGE.read_text()))
    assert len(blocks) >= 5
    for block in blocks:
        line = PAGE.read_text()[: block.start("program")].count("\n")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * line + block["program"], PAGE.name, "exec"), names)
        assert out.getvalue() == (block["printed"] or ""), f"the program at {PAGE.name}:{line + 1}"


def test_the_tables_name_every_function() -> None:
    text = PAGE.read_text()
    for module in (weft.optimizers, weft.init):
        for name in module.__all__:
            if name not in ("state", "fans"):
                assert re.search(rf"^\|.*`{name}[`(]", text, re.MULTILINE), name
