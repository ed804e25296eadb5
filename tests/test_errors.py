"""Each wrong use of the catalogue raises what it says, with a text that helps: docs/errors.md holds them all.

WEFT_UPDATE_DOCS=1 python -m pytest tests/test_errors.py writes the page.
"""

from __future__ import annotations

import os
import traceback
import warnings
from pathlib import Path

import error_catalogue_expressions
import error_catalogue_functions
import error_catalogue_loops
import error_catalogue_shapes
import pytest
from error_table import CATALOGUE, FILE, Wrong, run

import weft
from weft.runtime import errors
from weft.runtime.errors import InternalError, WeftError

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/errors.md"
PARTS = (error_catalogue_expressions, error_catalogue_shapes, error_catalogue_functions, error_catalogue_loops)
CALLED = [e for e in CATALOGUE if e.when == "calling"]
# Wrong without a line to blame, or said of an argument list as a whole.
UNPLACED = ("ArgumentError", "CompileError", "OutOfMemoryError")


def provoked(entry: Wrong, mode: str = "compile") -> BaseException:
    """What the program raises; the settings that it may change are as they were."""
    saved = {n: getattr(weft.config, n) for n in ("cc", "floatX", "mode")}
    weft.config.mode = mode
    try:
        with warnings.catch_warnings(), pytest.raises(BaseException) as caught:
            warnings.simplefilter("ignore")
            run(entry)
    finally:
        for name, value in saved.items():
            setattr(weft.config, name, value)
    return caught.value


def stage(e: BaseException) -> str:
    """When it was raised, by what was under way."""
    frames = [(f.filename.replace(os.sep, "/"), f.name) for f in traceback.extract_tb(e.__traceback__)]
    under_way = {(file.rpartition("/")[2], name) for file, name in frames}
    if under_way & {("callable.py", "__call__"), ("shared.py", "set_value")}:
        return "calling"
    return "compiling" if ("function.py", "function") in under_way else "declaring"


def test_there_are_enough_and_none_twice() -> None:
    assert len(CATALOGUE) >= 100 and len(PARTS) == 4
    for what in ({e.title for e in CATALOGUE}, {e.code for e in CATALOGUE}):
        assert len(what) == len(CATALOGUE)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.title)
def test_a_wrong_use_says_what_it_is(entry: Wrong) -> None:
    e = provoked(entry)
    text = str(e)
    assert type(e).__name__ == entry.error and isinstance(e, entry.base), f"{type(e).__name__}: {text}"
    assert not isinstance(e, (InternalError, KeyError, AssertionError))
    assert isinstance(e, WeftError) or entry.error in ("TypeError", "AttributeError")
    assert stage(e) == entry.when or entry.error == "TypeError"  # an unknown argument: before anything is under way
    shown = traceback.extract_tb(e.__traceback__)
    assert e.__cause__ is None and (e.__context__ is None or e.__suppress_context__), "a second traceback"
    if isinstance(e, WeftError):
        assert (shown[-1].line or "").startswith("raise "), f"the traceback ends with {shown[-1].line}"
        assert text[0] != "\n" and "in method of" not in text and "InternalError" not in text
        assert f"{FILE}:" in text or entry.error in UNPLACED, text
        assert text.replace("\n  in the gradient of", "").count("\n  in ") <= 1 and str(ROOT) not in text
    else:
        assert entry.error == "AttributeError" or shown[-1].filename == FILE or "unexpected keyword" in text


@pytest.mark.parametrize("entry", [e for e in CALLED if e.modes], ids=lambda e: e.title)
def test_the_interpreter_says_the_same(entry: Wrong) -> None:
    assert str(provoked(entry, "interpret")) == str(provoked(entry))


@pytest.mark.parametrize(
    "entry", [e for e in CALLED if e.error in ("ShapeError", "BoundsError")], ids=lambda e: e.title
)
def test_a_failed_call_names_its_shapes_or_the_line_that_declares_them(entry: Wrong) -> None:
    text = str(provoked(entry))
    assert "\n  called with " in text or " is declared at program.py:" in text or " was made at program.py" in text


def page() -> str:
    """docs/errors.md."""
    out = [INTRODUCTION.strip(), "", "| type | is also a | what it means |", "|---|---|---|"]
    kinds = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, (WeftError, InternalError))]
    for c in kinds:
        also = next((b.__name__ for b in c.__mro__[1:] if b.__module__ == "builtins"), "")
        out.append(f"| `{c.__name__}` | `{also}` | {(c.__doc__ or '').strip()} |")
    category = ""
    parts = [p.__name__.rpartition(".")[2] for p in PARTS]
    for entry in sorted(CATALOGUE, key=lambda e: parts.index(e.part.rpartition(".")[2])):
        if entry.category != category:
            category = entry.category
            out += ["", f"## {category}"]
        e = provoked(entry)
        out += ["", f"### {entry.title}", "", "```python", entry.code.rstrip(), "```", ""]
        if isinstance(e, WeftError):
            article = "an" if entry.base.__name__[0] in "AEIO" else "a"
            out += [f"`{entry.error}` ({article} `{entry.base.__name__}`), when {entry.when}:", ""]
            out += ["```text", str(e), "```"]
        else:
            out.append(f"Python's own `{entry.error}`, on that line.")
    return "\n".join(out) + "\n"


INTRODUCTION = """
# Errors

A mistake in a program raises a `WeftError`, which is also the builtin type that Theano raised there; a defect of weft
itself is an `InternalError`. A message says what is wrong, in which operation of which arguments, on which line, and
where it helps what to do. Of a function that `grad` made, the line is that of the expression whose gradient it is. What
fails at a call leaves every shared variable as it was.

The catalogue below is made by `tests/test_errors.py`: each program is run, as a file `program.py` after
`import numpy as np, weft, weft.tensor as T`, and raises what stands below it. How to look for what raises nothing, NaN
say: [debugging.md](debugging.md).
"""


def test_the_page_holds_every_text() -> None:
    text = page()
    if os.environ.get("WEFT_UPDATE_DOCS"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "run WEFT_UPDATE_DOCS=1 python -m pytest tests/test_errors.py"
