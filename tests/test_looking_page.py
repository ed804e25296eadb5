"""The programs of docs/looking_inside.md run, in order, and print what the page says; its picture is what they draw.

`python tests/test_looking_page.py` writes both anew. Seconds differ from run to run and are not compared.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURE = DOCS / "looking_inside.md", DOCS / "fusion.svg"
BLOCKS = re.compile(r"```python\n(?P<program>.*?)```\n(?:```text\n(?P<printed>.*?)```\n)?", re.DOTALL)
FILE = "step.py"  # where the page's programs say that they stand

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="reads the source tree")


def without_seconds(text: str) -> str:
    return re.sub(r"\d+\.\d+ seconds: .*", "... seconds", text)


def run() -> tuple[list[str], str]:
    """What each program prints, and the picture."""
    programs = [block["program"] for block in BLOCKS.finditer(PAGE.read_text())]
    text = "".join(programs)
    linecache.cache[FILE] = (len(text), None, text.splitlines(keepends=True), FILE)  # type: ignore[assignment]
    names: dict[str, Any] = {}
    printed, line = [], 0
    for program in programs:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * line + program, FILE, "exec"), names)
        printed.append(without_seconds(out.getvalue()))
        line += program.count("\n")
    return printed, f"{names['drawing']}\n"


def test_the_programs_print_what_the_page_says() -> None:
    printed, picture = run()
    blocks = list(BLOCKS.finditer(PAGE.read_text()))
    assert len(blocks) >= 6
    for block, now in zip(blocks, printed, strict=True):
        assert now == (block["printed"] or ""), "the page is out of date: python tests/test_looking_page.py"
    assert picture == PICTURE.read_text(), "the picture is out of date: python tests/test_looking_page.py"


if __name__ == "__main__":
    printed, picture = run()
    texts = iter(printed)

    def anew(m: re.Match[str]) -> str:
        now = next(texts)
        return f"```python\n{m['program']}```\n" + (f"```text\n{now}```\n" if now else "")

    PAGE.write_text(BLOCKS.sub(anew, PAGE.read_text()))
    PICTURE.write_text(picture)
