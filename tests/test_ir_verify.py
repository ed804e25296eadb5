"""The verifier passes what is sound and finds each planted fault."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ir_samples import Sample, closed, const, items, matrix, param, samples, scalar, vector

import weft
import weft.tensor as T
from weft.compiler.ir import lengths, verify
from weft.compiler.ir.node import OPS, Check, Constant, Node, OpDef, Region, build, region
from weft.compiler.ir.types import TensorType
from weft.runtime.errors import InternalError


@pytest.mark.parametrize("sample", samples(), ids=lambda s: s.name)
def test_samples_pass(sample: Sample) -> None:
    level = "kernel" if sample.name == "kernel" else "tensor"
    verify.verify(sample.region, level)


def forged(op: str, inputs: tuple[Node, ...], attrs: tuple, type_: object, checks: tuple = ()) -> Node:
    """A node as a defective rewrite might make it: past the typing rule and the table."""
    n = Node()
    n.op, n.inputs, n.attrs, n.type, n.checks, n.uid = op, inputs, attrs, type_, checks, -1
    return n


V, W, M = vector(0), vector(1), matrix(0)
DIM = V.axes[0]
FLOAT, INT = TensorType("float64", (DIM,)), TensorType("int64", (DIM,))
PLANTED: list[tuple[str, Callable[[], Node]]] = [
    ("gives float64", lambda: forged("neg", (V,), (), INT)),
    ("gives float64", lambda: forged("neg", (V,), (), TensorType("float64", (lengths.const(2),)))),
    ("refuses", lambda: forged("add", (V, build("cast", V, dtype="int8")), (), FLOAT)),
    ("refuses", lambda: forged("add", (V,), (), FLOAT)),
    ("refuses", lambda: forged("sum", (V,), (), FLOAT)),
    ("obligations", lambda: forged("add", (V, W), (), FLOAT)),
    ("obligations", lambda: forged("neg", (V,), (), FLOAT, (Check("nonneg", (DIM,), "?"),))),
    ("no operation", lambda: forged("fma", (V, V, V), (), FLOAT)),
    ("not sorted", lambda: forged("cumsum", (V,), (("reverse", False), ("axis", 0)), FLOAT)),
    ("attribute axes", lambda: forged("sum", (V,), (("axes", [0]),), TensorType("float64"))),
    ("attribute axis is a int64", lambda: forged("cumsum", (V,), (("axis", np.int64(0)), ("reverse", False)), FLOAT)),
    ("belongs to no param", lambda: build("neg", vector(2))),
    ("belongs to no param", lambda: vector(5).axes[0]),
    ("belongs to no param", lambda: build("neg", build("param", const(3), token=("v", 1), dtype="int8", kind="dense"))),
    ("another param", lambda: build("neg", vector(0, "float32"))),
    ("does not have", lambda: build("dim", token=0, axis=1)),
    ("gives float64", lambda: forged("neg", (V,), (), TensorType("float64", (V,)))),
    ("gives float64", lambda: forged("neg", (V,), (), TensorType("float64", (vector(9).axes[0],)))),
    ("returns a tuple", lambda: build("nonzero", V)),
]


@pytest.mark.parametrize(("why", "make"), PLANTED)
def test_planted_faults_are_found(why: str, make: Callable[[], Node]) -> None:
    with pytest.raises(InternalError, match=why) as caught:
        verify.verify(region([V, W], [make()]))
    assert isinstance(caught.value.node, Node) and "(" in str(caught.value)


def test_faults_below_a_sound_node_are_found() -> None:
    bad = forged("neg", (V,), (), INT)
    with pytest.raises(InternalError, match="gives float64"):
        verify.verify(region([V], [V], [Check("eq", (DIM, build("sum", bad, axes=(0,))), "deep")]))


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (Check("equal", (DIM, DIM), "?"), "no obligation of kind"),
        (Check("le", (DIM,), "?"), "of 1 operands"),
        (Check("nonneg", (V,), "?"), "no int64 scalar"),
        (Check("true", (DIM,), "?"), "no bool scalar"),
        (Check("positive", (build("nonzero", V),), "?"), "no int64 scalar"),
    ],
)
def test_obligations_are_typed(check: Check, why: str) -> None:
    with pytest.raises(InternalError, match=why):
        verify.verify(region([V], [V], [check]))


def test_nested_regions_are_verified() -> None:
    bad = region([V], [forged("neg", (V,), (), INT)])
    call = forged("ifelse", (scalar(1, "bool"), V), (("orelse", bad), ("then", bad)), None)
    good = closed([V], build("neg", V))
    call.type = build("ifelse", scalar(1, "bool"), V, then=good, orelse=good).type
    with pytest.raises(InternalError, match="neg"):
        verify.verify(region([V, scalar(1, "bool")], items(call)))


def test_a_constant_is_what_it_says() -> None:
    c = Constant(np.zeros(2), "float64")
    c.array = np.zeros(2, "float32")
    with pytest.raises(InternalError, match="constant value is float32"):
        verify.verify(region([], [forged("const", (), (("value", c),), TensorType("float64", (lengths.const(2),)))]))


def test_kernels_stand_at_the_kernel_level() -> None:
    with pytest.raises(InternalError, match="kernel does not belong to the tensor level"):
        verify.verify(next(s.region for s in samples() if s.name == "kernel"))


def test_levels_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, "outlined", OpDef("outlined", "new", lambda inputs, attrs: inputs[0].type))
    r = region([V], [build("outlined", V)])
    with pytest.raises(InternalError, match="does not belong to the tensor level"):
        verify.verify(r)
    monkeypatch.setitem(verify.LEVELS, "next", verify.Level(frozenset({"leaf"}), frozenset({"outlined"})))
    verify.verify(r, "next")
    monkeypatch.setitem(verify.LEVELS, "next", verify.Level(frozenset({"leaf", "new"}), never=frozenset({"outlined"})))
    with pytest.raises(InternalError, match="next level"):
        verify.verify(r, "next")


def test_a_long_chain_is_verified_in_a_loop() -> None:
    x: Node = param(0, "float64", None)
    for _ in range(100_000):
        x = build("neg", x)
    verify.verify(closed([V], x))


def test_the_pipeline_verifies_what_fusion_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before steps are made of it, so that its defects are found where they are; bodies of loops have a fusion too."""
    seen: list[tuple[str, bool]] = []
    check = verify.verify

    def record(r: Region, level: str) -> None:
        seen.append((level, any(n.op == "kernel" for n in r.nodes())))
        check(r, level)

    monkeypatch.setattr(weft.config, "verify", True)
    monkeypatch.setattr(verify, "verify", record)
    x = T.vector("x")
    states, _ = weft.scan(lambda h: T.exp(h) * 0.5, outputs_info=[x], n_steps=3)
    weft.function([x], T.tanh(states[-1]))
    assert seen.count(("kernel", True)) == 2 and ("tensor", False) in seen and ("tensor", True) not in seen
