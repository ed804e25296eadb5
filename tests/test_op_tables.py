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
from ir_samples import samples, views

import weft
import weft.compiler.grad
import weft.tensor as T
from weft.compiler.codegen import scalar
from weft.compiler.codegen.host import HostPrinter
from weft.compiler.codegen.routines import ROUTINES
from weft.compiler.codegen.targets import KERNELS, REFUSED_BY_CUDA, TARGETS, Target
from weft.compiler.grad.table import NO_GRADIENT, PLACES, PULLBACK, PUSHFORWARD
from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.interp import MEANING, evaluate
from weft.compiler.ir.node import OPS, Node, OpDef, build, constant, define, is_bound, region, topological
from weft.compiler.ir.ops.elementwise import ELEMENTWISE
from weft.compiler.ir.types import TensorType, TupleType
from weft.compiler.ir.verify import LEVELS
from weft.compiler.lower.elements import Elements
from weft.compiler.schedule.uses import operand_labels
from weft.runtime.errors import InternalError, WeftError

ROOT = Path(__file__).resolve().parents[1]
TENSOR = [n for n, op in OPS.items() if op.family in LEVELS["tensor"].families or n in LEVELS["tensor"].ops]
LOOP = [n for n, op in OPS.items() if op.family == "loop"]
NODES = list(dict.fromkeys(n for s in samples() for n in s.region.nodes()))


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


def types(n: Node) -> tuple[TensorType, ...]:
    return n.type.items if isinstance(n.type, TupleType) else (n.type,)


def test_operations_of_kernels_say_how_they_read_their_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for n in (n for n in NODES if n.family in KERNELS):
        fresh = tuple(range(9, 9 + n.inputs[0].ndim))
        found = operand_labels(n, tuple(range(types(n)[0].ndim)), fresh)
        assert [x for x, _ in found] == list(n.inputs)
        assert all(len(labels) == x.ndim for x, labels in found if labels != "scalar")
        assert all(x.ndim == 0 and x.dtype == "int64" for x, labels in found if labels == "scalar")
        # Nothing is connected through lengths, bounds and indices.
        values = [k for k, (_, labels) in enumerate(found) if labels != "scalar"]
        assert PLACES.get(n.op, len(n.inputs)) <= (n.definition.indices_from or len(values)), n.op
        seen.add(n.op)
    assert seen == {n for n in TENSOR if OPS[n].family in KERNELS}
    monkeypatch.setitem(OPS, "new", OpDef("new", "view", lambda inputs, attrs: inputs[0].type))
    x = next(n for n in NODES if n.op == "param" and n.ndim == 1)
    with pytest.raises(InternalError, match="new says nothing"):
        operand_labels(build("new", x), (0,), ())


def test_reductions_have_folds() -> None:
    for op in (n for n in TENSOR if OPS[n].family == "reduce" and n != "max_and_argmax"):  # which is two folds
        assert scalar.identity(op, "float64")
        if op not in ("argmax", "devsq"):  # whose lanes are those of other folds: codegen/tracks.py
            assert "a" in scalar.fold_text(op, "bool" if op in ("any", "all") else "float64", "a", "b")
    with pytest.raises(InternalError, match="new"):
        scalar.identity("new", "float64")
    with pytest.raises(InternalError, match="new"):
        scalar.fold_text("new", "float64", "a", "b")


def test_views_say_whether_they_are_virtual() -> None:
    for family, facts in (("view", {}), ("procedural", {"virtual": False})):
        with pytest.raises(InternalError, match="whether they are virtual"):
            define("new", family, **facts)(lambda inputs, attrs: inputs[0].type)
    assert "new" not in OPS


def test_views_that_cover_an_operand_show_all_its_elements() -> None:
    shown = set()
    for s in views():
        n = topological([s.region.outputs[0]])[-1]
        if n.definition.covers and n.inputs[0].dtype == "float64":
            assert set(np.ravel(s.args[0])) <= set(np.ravel(evaluate(s.region, s.args)[0])), s.name
            shown.add(n.op)
    assert shown == {"dimshuffle", "reshape", "alloc", "rebroadcast", "concatenate"}  # the others are made of no floats


def test_operations_commute_where_their_definition_says_so() -> None:
    """Those that are defined for bools are tried on bools too."""
    for op, row in ELEMENTWISE.items():
        if row.arity != 2:
            continue
        same = True
        for dtype in {"bool", "int64"} & row.accepts or {"float64"}:
            a, b = (build("const", value=constant(v, dtype).attr("value")) for v in ([0, 1, 1, 3], [1, 0, 1, 2]))
            one, other = (evaluate(region([], [build(op, *xs)]), [])[0] for xs in ((a, b), (b, a)))
            same = same and np.array_equal(one, other)
        assert same == OPS[op].commutative, op


def test_operands_are_what_the_definitions_say() -> None:
    for n in NODES:
        d = n.definition
        assert all(n.inputs[k].ndim == 0 for k in d.host_inputs) and all(n.inputs[k].ndim for k in d.strided_inputs)
        assert not d.indices_from or all(DTYPES[i.dtype].kind in "iu" for i in n.inputs[d.indices_from :])
    assert {n.op for n in NODES} == {*TENSOR, "kernel"}


def test_operations_that_bind_lengths_do() -> None:
    """`length` itself refuses to name others."""
    lengths_of = {m for n in NODES for t in types(n) for a in t.axes for m in topological([a]) if is_bound(m)}
    assert {m.attr("of") for m in lengths_of} == {n for n in OPS if OPS[n].binds}
    with pytest.raises(InternalError, match="gives lengths"):
        build("length", of="sort", of_attrs=(), out=0, axis=0)


def test_steps_of_the_host_have_printers() -> None:
    assert all(hasattr(HostPrinter, f"step_{n}") for n in TENSOR if OPS[n].family == "control")
    assert {n for n in OPS if OPS[n].library} <= set(ROUTINES)


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
