"""The programs of docs/tutorial.md and docs/training.md run, in order, and print what the pages say; tables name every
function. `python tests/test_training_page.py` writes anew what they print."""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from pathlib import Path
from typing import Any

import pytest

import weft

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("tutorial.md", "training.md")
BLOCKS = re.compile(r"```python\n(?P<program>.*?)```\n(?:```text\n(?P<printed>.*?)```\n)?", re.DOTALL)

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="reads the source tree")


def printed(page: str) -> list[str]:
    """What each of its programs prints."""
    text = (DOCS / page).read_text()
    linecache.cache[page] = (len(text), None, text.splitlines(keepends=True), page)  # messages quote the lines
    names: dict[str, Any] = {}
    found = []
    for block in BLOCKS.finditer(text):
        line = text[: block.start("program")].count("\n")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * line + block["program"], page, "exec"), names)
        found.append(out.getvalue())
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_print_what_the_page_says(page: str) -> None:
    pytest.importorskip("scipy")
    text = (DOCS / page).read_text()
    blocks = list(BLOCKS.finditer(text))
    assert len(blocks) >= 5
    for block, now in zip(blocks, printed(page), strict=True):
        line = text[: block.start("program")].count("\n")
        assert now == (block["printed"] or ""), f"the program at {page}:{line + 1}"


def test_the_tables_name_every_function() -> None:
    text = (DOCS / "training.md").read_text()
    for module in (weft.optimizers, weft.init):
        for name in module.__all__:
            if name not in ("state", "fans"):
                assert re.search(rf"^\|.*`{name}[`(]", text, re.MULTILINE), name


if __name__ == "__main__":
    for page in PAGES:
        texts = iter(printed(page))

        def anew(m: re.Match[str], texts: Any = texts) -> str:
            now = next(texts)
            return f"```python\n{m['program']}```\n" + (f"```text\n{now}```\n" if now else "")

        (DOCS / page).write_text(BLOCKS.sub(anew, (DOCS / page).read_text()))
