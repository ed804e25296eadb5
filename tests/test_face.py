"""The face of the package: what `import weft` loads, and that its tables of public names hold."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import weft
from weft.compiler.graph.config import _FLAGS

FACE = Path(weft.__file__)
THIRD_PARTY = {"numpy"}  # all that `import weft` may load beside the standard library and itself


def typed_names() -> set[str]:
    """The names that the TYPE_CHECKING block imports."""
    for node in ast.parse(FACE.read_text()).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return {a.asname for n in node.body if isinstance(n, ast.ImportFrom) for a in n.names if a.asname}
    return set()


def test_import_is_light() -> None:
    code = "import sys; before = set(sys.modules); import weft; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=FACE.parents[1])
    loaded = out.stdout.split()
    assert [m for m in loaded if m.startswith("weft.")] == []
    assert {m.split(".")[0] for m in loaded} - sys.stdlib_module_names - THIRD_PARTY == {"weft"}


def test_what_messages_tell_to_write_is_there() -> None:
    code = "import weft; weft.compile.nanguardmode.NanGuardMode(inf_is_error=False)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FACE.parents[1])


@pytest.mark.parametrize("name", weft.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(weft, name) is not None
    assert name in dir(weft)


def test_type_checkers_see_the_same_names() -> None:
    assert typed_names() == {*weft._MODULES, *weft._NAMES}


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'weft' has no attribute 'fuction'"):
        weft.fuction  # noqa: B018  # the look-up is the test
    assert not hasattr(weft, "_no_such_name")


def test_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("made = object()\n")
    monkeypatch.setattr(weft, "__path__", [*weft.__path__, str(tmp_path)])
    monkeypatch.setitem(weft._NAMES, "made", ".planted")
    try:
        first = weft.__getattr__("made")
        assert first is importlib.import_module("weft.planted").made
        assert vars(weft)["made"] is first
    finally:
        for name in ("made", "planted"):
            vars(weft).pop(name, None)
        sys.modules.pop("weft.planted", None)


def test_the_page_of_settings_has_them_all() -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    for name, (variable, default, allowed) in _FLAGS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` | `{variable}` |")]
        said = {False: "off", True: "on"}.get(default, f"`{default}`") if allowed else ""
        assert said in row.split("|")[3]
