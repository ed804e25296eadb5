"""docs/looking_inside.md as a notebook, run by a kernel: its programs, what they display, an error. Skipped without
nbclient and ipykernel."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from test_looking_page import BLOCKS, PAGE

import weft

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="reads the source tree")

SHOWN = {
    "p": ["expression", "T.nnet.softmax(T.dot(x, W) + b)", "<svg"],
    "W": ["W, shared variable", "float32 (20, 10)"],
    "step": ["function step", "the fused program", "<svg", "outside the kernels"],
    "step.report(xs, ys)": ["k1", "memory plan", "bytes a call"],
    "step.profile": ["profile of function step", "GFLOP/s"],
    "step.graph": ["region @0"],
}
MOVING = re.compile(r"(\d+\.\d+|\.\.\.) seconds.*|\b(step\.py|In\[1\]):")  # seconds, and the file of the lines
WRONG = "a = T.dmatrix('a')\ng = weft.function([a], T.dot(a, a.T) + a, name='g')\ng(np.ones((2, 3)))"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = nbformat.v4.new_notebook()
    programs = [block["program"].rstrip() for block in BLOCKS.finditer(PAGE.read_text())]
    made.cells = [nbformat.v4.new_code_cell(code) for code in (*programs, *SHOWN, "weft.printing.svg(cost)", WRONG)]
    folder = tmp_path_factory.mktemp("notebook")
    source = str(Path(weft.__file__).parents[1])
    path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH")) if p)
    with pytest.MonkeyPatch.context() as patch:  # nothing of the user's: no kernels, settings and profiles
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder))
        patch.setenv("PYTHONPATH", path)
        client = nbclient.NotebookClient(
            made, timeout=300, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return made


def outputs(notebook: Any, source: str) -> list[Any]:
    (cell,) = [c for c in notebook.cells if c.source == source]
    return cell.outputs


def test_its_programs_print_what_the_page_says(notebook: Any) -> None:
    blocks = list(BLOCKS.finditer(PAGE.read_text()))
    for block, cell in zip(blocks, notebook.cells, strict=False):
        assert all(o.output_type == "stream" and o.name == "stdout" for o in cell.outputs), cell.outputs
        said = "".join(o.text for o in cell.outputs)
        wanted, printed = (MOVING.sub("", text) for text in (block["printed"] or "", said))
        assert printed.split() == wanted.split()


@pytest.mark.parametrize("source", SHOWN)
def test_what_is_displayed(notebook: Any, source: str) -> None:
    (found,) = outputs(notebook, source)
    assert found.output_type == "execute_result", found
    assert all(part in found.data["text/html"] for part in SHOWN[source])
    assert "text/plain" in found.data
    if source in ("p", "step"):
        assert found.data["image/svg+xml"].startswith("<svg")
        assert "In[1]:" in found.data["text/html"] and "ipykernel" not in found.data["text/html"]


def test_a_picture(notebook: Any) -> None:
    (found,) = outputs(notebook, "weft.printing.svg(cost)")
    assert found.data["image/svg+xml"].startswith("<svg")


def test_an_error_names_the_cell(notebook: Any) -> None:
    (found,) = outputs(notebook, WRONG)
    assert found.output_type == "error" and found.ename == "ShapeError"
    number = len(notebook.cells)
    assert f"at In[{number}]:2: g = weft.function([a], T.dot(a, a.T) + a, name='g')" in found.evalue
