"""The reference is current, and every public name says what it is."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import weft

SOURCE = Path(__file__).resolve().parents[1] / "docs" / "api.py"

pytestmark = pytest.mark.skipif(not SOURCE.is_file(), reason="reads the source tree")


@pytest.fixture(scope="module")
def api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(api: ModuleType) -> None:
    assert api.PAGE.read_text() == api.page(), "python docs/api.py --write"


def test_every_module_of_the_face_is_listed(api: ModuleType) -> None:
    assert {f"weft.{m}" for m in weft._MODULES} <= set(api.MODULES)


def test_every_public_name_says_what_it_is(api: ModuleType) -> None:
    silent = [
        f"{module}.{name}"
        for module, names in api.public().items()
        for name, o in names.items()
        if callable(o) and not inspect.getdoc(o)
    ]
    assert silent == []
