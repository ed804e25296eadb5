"""Errors and reports name the user's lines, and read the same in both modes, wherever rewriting moves an operation."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_samples import vector

import weft
import weft.tensor as T
from weft.compiler.ir.origins import KEPT, Lines
from weft.ifelse import ifelse
from weft.runtime.errors import ShapeError
from weft.tensor.slinalg import cholesky

MODES = ["compile", "interpret"]

x, m, i, rows, c = T.dvector("x"), T.dmatrix("m"), T.lvector("i"), T.lmatrix("rows"), T.bscalar("c")
good = {x: np.arange(3.0), m: np.eye(3), i: [0, 2], rows: [[0, 1], [1, 2]], c: 1}
NINE = "index 9 is out of range for an axis of length 3"


def rows_in_a_loop() -> Any:
    return weft.scan(lambda r, x: x[r].sum() * 2, sequences=[rows], non_sequences=[x])[0]  # here: a row


def scattered_in_a_loop() -> Any:
    def step(r: Any, x: Any) -> Any:
        return T.set_subtensor(x[r], 0.0)  # here: written

    return weft.scan(step, sequences=[rows], non_sequences=[x])[0]


def loop_in_a_loop() -> Any:
    def outer(r: Any, x: Any) -> Any:
        return weft.scan(lambda j, x: T.exp(x[T.stack([j, j])]), sequences=[r], non_sequences=[x])[0]  # here: inner

    return weft.scan(outer, sequences=[rows], non_sequences=[x])[0]


def in_a_branch() -> Any:
    return ifelse(c, T.exp(x[i]).sum(), x.sum())  # here: a branch


def loop_in_a_branch() -> Any:
    return ifelse(c, rows_in_a_loop(), x[:2])


def branch_in_a_loop() -> Any:
    def step(r: Any, x: Any) -> Any:
        return ifelse(r[0] < 5, x[r].sum(), x[0])  # here: branch of a step

    return weft.scan(step, sequences=[rows], non_sequences=[x])[0]


def gradient_of_a_loop() -> Any:
    return weft.grad(rows_in_a_loop().sum(), x)


def outside() -> Any:
    return x[i] * 2  # here: outside


def factor_in_a_loop() -> Any:
    return weft.scan(lambda s, m: cholesky(m * s), sequences=[x], non_sequences=[m])[0]  # here: factor


def factor_in_a_branch() -> Any:
    return ifelse(c, cholesky(m), m)  # here: factor of a branch


def lengths_in_a_branch() -> Any:
    return ifelse(c, (x + x[i]).sum(), x.sum())  # here: lengths


BAD: dict[Callable[[], Any], tuple[dict[Any, Any], str, str]] = {
    rows_in_a_loop: ({rows: [[0, 1], [1, 9]]}, NINE, "here: a row"),
    scattered_in_a_loop: ({rows: [[0, 1], [1, 9]]}, NINE, "here: written"),
    loop_in_a_loop: ({rows: [[0, 1], [1, 9]]}, NINE, "here: inner"),
    in_a_branch: ({i: [0, 9]}, NINE, "here: a branch"),
    loop_in_a_branch: ({rows: [[0, 1], [1, 9]]}, NINE, "here: a row"),
    branch_in_a_loop: ({rows: [[0, 1], [1, 9]]}, NINE, "here: branch of a step"),
    gradient_of_a_loop: ({rows: [[0, 1], [1, 9]]}, NINE, "here: a row"),
    outside: ({i: [0, 9]}, NINE, "here: outside"),
    factor_in_a_loop: (
        {x: np.array([1.0, -1, 1])},
        "cholesky: the matrix is not positive definite, or holds NaN (its leading minor of order 1)",
        "here: factor",
    ),
    factor_in_a_branch: (
        {m: np.diag([1.0, 1, -1])},
        "cholesky: the matrix is not positive definite, or holds NaN (its leading minor of order 3)",
        "here: factor of a branch",
    ),
    lengths_in_a_branch: ({i: [0, 2]}, "axis 0 of the arguments of add: 3 and 2 differ", "here: lengths"),
}


@pytest.mark.parametrize("make", BAD, ids=lambda f: f.__name__)
def test_errors_name_the_line_in_both_modes(make: Callable[[], Any]) -> None:
    out = make()
    change, message, line = BAD[make]
    said = []
    for mode in MODES:
        f = weft.function(list(good), out, mode=mode, on_unused_input="ignore")
        gc.collect()
        with pytest.raises(weft.WeftError) as caught:
            f(*{**good, **change}.values())
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert said[0].startswith(message + "\n") and f"# {line}\n" in said[0] + "\n", said[0]
    assert said[0].count("# here") == 1, "of that operation only"


def test_a_report_shows_what_kernels_in_bodies_fuse() -> None:
    text = weft.function([x, rows, i, c], [rows_in_a_loop(), in_a_branch()]).report()
    assert ": gather, sum, mul\n      test_lines.py:" in text and "# here: a row" in text and "# here: a branch" in text
    assert "): \n" not in text


def test_a_step_and_the_function_around_it_are_told_apart() -> None:
    """The parameter of a body and that of the function are one node, and so is what is computed of them alike."""
    a, b = T.dvector("a"), T.dmatrix("b")
    out = T.exp(T.sin(a) + 1)  # here: outside
    loop, _ = weft.scan(lambda a: T.exp(T.sin(a) + 1), sequences=[b])  # here: inside
    f = weft.function([a, b], [out, loop])
    assert f.saved(np.ones(4), np.ones((5, 4))) == weft.function([a], out).saved(np.ones(4)) == 128
    members = [m for _, step in f.stages.generated.calls for m in step.members]
    lines = [{str(t) for t in f.origins.traces(f.origins.of(m.region)[m.node])} for m in members]
    assert len(lines) == 6 and all(len(found) == 1 for found in lines)
    assert sum("# here: inside" in t for found in lines for t in found) == 3


def test_many_rewrites_of_one_node() -> None:
    """What a node inherits neither nests nor grows with the number of rewrites that led to it."""
    parts = []
    for _ in range(600):
        parts += [x * x + T.sqr(x)]
        parts += [x * x - T.sqr(x)]
    f = weft.function([x], sum(parts))
    np.testing.assert_array_equal(f([1.0, 2.0]), [1200.0, 4800.0])
    assert f.report().count("parts += [") == 2
    lines = Lines()
    for k in range(1000):
        lines.add(vector(0), (k, k + 1))
    assert lines[vector(0)] == tuple(range(KEPT))


def test_lengths_taken_to_be_equal_are_said_so():
    """The lengths of a branch are compared with v's when it has run. Until then they are taken to be v's:
    what fails meanwhile because of that names the obligation that does not hold."""
    x, y, v = T.dmatrices("x", "y", "v")
    chosen = ifelse(T.sum(v) > 0, T.tanh(x), y)
    given = [np.ones((2, 5)), np.ones((2, 3)), np.ones((2, 3))]
    said = []
    for mode in MODES:
        f = weft.function([x, y, v], [weft.grad(T.mean(chosen), x), chosen - v], mode=mode)
        with pytest.raises(ShapeError) as caught:
            f(*given)
        said.append(str(caught.value))
        np.testing.assert_array_equal(f(given[0], given[1], -given[2])[1], 2 * np.ones((2, 3)))
    compiled, interpreted = said
    assert interpreted.startswith("axis 1 of the arguments of sub: 5 and 3 differ\n  in sub of\n")
    of_sub = interpreted[interpreted.index("\n  in sub of") : interpreted.index("\n  called with")]
    assert compiled.startswith("axis 1 of the arguments of mul: 3 and 5 differ\n  in mul of\n") and of_sub in compiled


def test_what_is_assumed_is_checked_before_what_rests_on_it() -> None:
    """Else the reshape, which is right, would fail: its length is then that of y."""
    x, y = T.dvectors("x", "y")
    f = weft.function([x, y], [T.sum(x.reshape((x.shape[0] // 5, 5)), axis=1), y + x])
    assert f(np.ones(5), np.ones(5))[0] == 5
    for lengths in ((5, 4), (4, 5)):
        with pytest.raises(ShapeError, match=r"axis 0 of the arguments of add: \d and \d differ"):
            f(*map(np.ones, lengths))


SCRIPT = """
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "site"))
import weft, weft.tensor as T
print(T.matrix("x").trace)
for make in (lambda: T.zeros((2, 3)) + T.zeros((2, 4)), lambda: T.signal.downsample.max_pool_2d(T.vector(), (2,))):
    try:
        make()
    except weft.WeftError as e:
        print(str(e).splitlines()[-1])
"""


@pytest.mark.parametrize("installed", [False, True])
def test_lines_are_the_users_however_weft_is_found(installed: bool, tmp_path: Path) -> None:
    """By a path with ".." in it, and in the folders of an installed package."""
    root = Path(weft.__file__).parent.parent
    (tmp_path / "deep").mkdir()
    where = tmp_path / "site"
    if installed:
        shutil.copytree(root / "weft", where / "weft")
        for part in ("compiler", "runtime", "kernels"):
            shutil.copytree(root / part if (root / part).is_dir() else root / "weft" / part, where / "weft" / part)
    else:
        where.mkdir()
        for part in ("weft", "compiler", "runtime", "kernels"):
            (where / part).symlink_to(root / part)
    script = tmp_path / "deep" / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": ""}
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=False)
    lines = run.stdout.splitlines()
    assert len(lines) == 3 and all("script.py:" in line for line in lines), run.stdout + run.stderr


def test_lines_where_there_is_no_working_directory(tmp_path: Path) -> None:
    code = f"import os, weft.tensor as T; os.rmdir({str(tmp_path)!r}); print(T.matrix('x').trace)"
    env = {**os.environ, "PYTHONPATH": str(Path(weft.__file__).parent.parent)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert run.stdout == "<string>:1\n", run.stderr


def test_errors_of_the_users_own_class_stay_of_it() -> None:
    class Mine(ShapeError):
        def __init__(self, code: int, text: str):
            super().__init__(f"{code}: {text}")

    class Bad(weft.Op):
        __props__ = ()

        def make_node(self, v: Any) -> Any:
            raise Mine(7, "text")

    for made in (lambda: Bad()(T.dvector("v")), lambda: weft.scan(lambda v: Bad()(v), T.dmatrix("m"))):
        with pytest.raises(Mine, match=r"7: text(.|\n)*test_lines.py:\d+"):
            made()
