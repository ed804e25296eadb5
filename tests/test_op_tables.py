"""The operations are a closed set, and every table has a row for each: typing, meaning, derivatives, C, CUDA.

docs/operations.md is printed from the tables: WEFT_UPDATE_DOCS=1 python -m pytest tests/test_op_tables.py writes it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import weft
import weft.compiler.grad
import weft.tensor as T
from weft.compiler.codegen import scalar
from weft.compiler.codegen.routines import ROUTINES
from weft.compiler.codegen.targets import KERNELS, REFUSED_BY_CUDA, TARGETS, Target
from weft.compiler.grad.table import NO_GRADIENT, PULLBACK, PUSHFORWARD
from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.interp import MEANING
from weft.compiler.ir.node import OPS, Node, build, constant
from weft.compiler.ir.verify import LEVELS
from weft.compiler.lower.elements import Elements
from weft.runtime.errors import InternalError, WeftError

ROOT = Path(__file__).resolve().parents[1]
TENSOR = [n for n, op in OPS.items() if op.family in LEVELS["tensor"].families or n in LEVELS["tensor"].ops]
LOOP = [n for n, op in OPS.items() if op.family == "loop"]


def test_every_operation_has_a_level() -> None:
    assert set(OPS) == {*TENSOR, *LOOP, "kernel"}


def test_every_operation_has_a_meaning() -> None:
    assert {*TENSOR, "kernel"} <= set(MEANING) | {"param", "const", "dim", "length", "item"}
    assert not set(MEANING) - set(OPS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_operation_has_a_row_for_the_target(target: str) -> None:
    rows = {n: TARGETS[target](n) for n in TENSOR}
    assert [n for n, row in rows.items() if row is None] == []
    assert {row.status for row in rows.values() if row} <= {"own", "library", "refused", "free"}
    assert all(row.how for row in rows.values() if row and row.status != "free")
    assert all(TARGETS[target](n) is None for n in LOOP)  # what kernels are made of has no row of its own


def test_refusals_and_routines_name_operations() -> None:
    assert set(REFUSED_BY_CUDA) <= set(OPS) and set(ROUTINES) <= set(OPS)
    assert not any(OPS[n].family in KERNELS for n in (*REFUSED_BY_CUDA, *ROUTINES))


def test_operations_of_kernels_have_index_maps() -> None:
    views = [n for n in TENSOR if OPS[n].family == "view"]
    assert [n for n in views if not hasattr(Elements, f"_{n}")] == []


def values(op: str, dtype: str) -> list[list[Node]]:
    """Arguments of the scalar operation that start with one of this dtype."""
    x = build("load", constant(0, "int64"), buffer=0, dtype=dtype)
    condition = build("load", constant(0, "int64"), buffer=1, dtype="bool")
    return [[condition, x, x]] if op == "switch" else [[x], [x, x]]


@pytest.mark.parametrize("header", ["weft_kernel.h", "weft_kernel.cuh"])
def test_elementwise_operations_are_functions_of_the_headers(header: str) -> None:
    """Each operation of each dtype that it takes prints as something that C and CUDA define."""
    device = ["-x", "c++", "-DWEFT_CUDA"] if header.endswith("cuh") else ["-x", "c"]
    text = subprocess.run(
        ["gcc", "-E", *device, "-I", ROOT / "kernels", "-"], input=f'#include "{header}"\n', capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    defined = set(re.findall(r"\b(weft_\w+)\(", text))
    missing, printed = [], set()
    for op in (n for n in TENSOR if OPS[n].family == "elementwise"):
        for dtype in DTYPES:
            for args in values(op, dtype):
                for attrs in [{"dtype": d} for d in DTYPES] if op == "cast" else [{}]:
                    try:
                        n = build(op, *args, **attrs)
                    except (WeftError, InternalError):  # not for this dtype, or another number of arguments
                        continue
                    names = re.findall(r"\b(weft_\w+)\(", scalar.operation(n, ["a", "b", "c"][: len(args)]))
                    printed.add(op)
                    missing += [(op, dtype, name) for name in names if name not in defined]
    assert missing == []
    assert printed == {n for n in TENSOR if OPS[n].family == "elementwise"}


def test_bools_divide_and_complex_numbers_have_powers() -> None:
    """The functions that the test above found missing."""
    a, b = (T.TensorType("bool", (False,))(n) for n in "ab")
    p, q = np.array([True, True, False, False]), np.array([True, False, True, False])
    quotient, rest = weft.function([a, b], [a // b, a % b])(p, q)
    assert quotient.tolist() == [1, 0, 0, 0] and not rest.any()
    rng = np.random.default_rng(0)
    for dtype, rtol in (("complex64", 1e-5), ("complex128", 1e-12)):
        x, y = (T.TensorType(dtype, (False,))(n) for n in "xy")
        u = (rng.normal(size=400) + 1j * rng.normal(size=400)).astype(dtype)
        v = (2 * rng.normal(size=400) + 1j * rng.normal(size=400)).astype(dtype)
        v[:200] = np.arange(-100, 100) // 10
        u[::40], v[39::40] = 0, 0
        got = weft.function([x, y], x**y)(u, v)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(got, u**v, rtol=rtol)


def shown(t: Target | None) -> str:
    assert t is not None
    return "" if t.status == "free" else t.how if t.status == "own" else f"{t.status}: {t.how}"


def derivative(op: str) -> str:
    if op in ("scan", "ifelse"):
        return "both modes, by its regions"
    if op in NO_GRADIENT:
        return f"none: {NO_GRADIENT[op]}"
    modes = [m for m, table in (("reverse", PULLBACK), ("forward", PUSHFORWARD)) if op in table]
    return "both modes" if len(modes) == 2 else modes[0]


def page() -> str:
    lines = [
        "# Operations",
        "",
        "The set is closed: what users write becomes a graph of these. Each has a typing rule, a meaning (the",
        "interpreter, `compiler/ir/interp`), derivatives or the reason why there are none, and a row for each target:",
        "a *kernel* is a loop nest that the operation shares with others (fusion), a *routine* one of `kernels/`;",
        "*library* stands outside the contract of equal bits. Leaves and structures cost nothing by themselves.",
        "",
        "This page is printed from the tables by `WEFT_UPDATE_DOCS=1 python -m pytest tests/test_op_tables.py`.",
    ]
    families = list(dict.fromkeys(OPS[n].family for n in TENSOR))
    for family in sorted(families):
        lines += ["", f"## {family}", "", "| operation | derivative | C | CUDA |", "| --- | --- | --- | --- |"]
        for n in sorted(n for n in TENSOR if OPS[n].family == family):
            lines.append(f"| `{n}` | {derivative(n)} | {shown(TARGETS['C'](n))} | {shown(TARGETS['CUDA'](n))} |")
    inside = ", ".join(f"`{n}`" for n in sorted(LOOP))
    lines += ["", "## Inside kernels", "", f"Loop nests are made of {inside}."]
    return "\n".join(lines) + "\n"


def test_the_page_is_current() -> None:
    path = ROOT / "docs" / "operations.md"
    if os.environ.get("WEFT_UPDATE_DOCS"):
        path.write_text(page())
    assert path.read_text() == page(), "WEFT_UPDATE_DOCS=1 python -m pytest tests/test_op_tables.py writes it anew"
