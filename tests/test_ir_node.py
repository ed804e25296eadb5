"""Nodes and regions: interning, typing at construction, walks without recursion."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_samples import closed, const, matrix, param, samples, scalar, step, vector

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.compiler.ir import lengths, node
from weft.compiler.ir.digest import name_region
from weft.compiler.ir.node import Check, Node, build, constant, make, region, renumber, substitute, topological
from weft.compiler.ir.ops.procedural import HostFunction
from weft.runtime.errors import BoundsError, DTypeError, InternalError, ShapeError, WeftError


def test_equal_nodes_are_one() -> None:
    a, b = vector(0), vector(1)
    assert build("add", a, b) is build("add", a, b) is not build("add", b, a)
    assert build("sum", a, axes=(0,)) is make("sum", (a,), (("axes", (0,)),))


@given(st.floats(), st.floats())
def test_constants_are_one_when_their_bits_are(a: float, b: float) -> None:
    same = np.float64(a).tobytes() == np.float64(b).tobytes()
    assert (constant(a, "float64") is constant(b, "float64")) == same


def test_constants_of_unlike_dtype_are_two() -> None:
    assert constant(1, "int8") is not constant(1, "int64")
    assert constant([], "int8") is not constant([], "int64")


def test_a_constant_does_not_follow_its_array() -> None:
    array = np.zeros(3)
    c = constant(array, "float64")
    array[0] = 1
    assert c.value[0] == 0


def test_names_of_regions_tell_them_apart() -> None:
    def named(f: Any, *checks: Check) -> str:
        x, y = vector(0), vector(1)
        return name_region(region([x, y], [f(x, y)], checks))

    n, m = vector(0).axes[0], vector(1).axes[0]
    names = [
        named(lambda x, y: build("sub", x, y)),
        named(lambda x, y: build("sub", y, x)),
        named(lambda x, y: build("add", x, y)),
        named(lambda x, y: build("sub", build("tanh", x), x)),
        named(lambda x, y: build("sub", build("tanh", x), build("tanh", x))),
        named(lambda x, y: build("sum", x, axes=(0,))),
        named(lambda x, y: build("max", x, axes=(0,))),
        named(lambda x, y: x),
        named(lambda x, y: y),
        named(lambda x, y: x, Check("eq", (n, m), "one")),
        named(lambda x, y: x, Check("eq", (m, n), "one")),
        named(lambda x, y: x, Check("eq", (n, m), "another")),
        named(lambda x, y: x, Check("le", (n, m), "one")),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == named(lambda x, y: build("sub", x, y))


def interned() -> list[Any]:
    return [entry for table, _ in node._tables.values() for entry in table.values()]


def test_the_table_is_weak() -> None:
    gc.collect()
    before = len(interned())
    x = vector(0)
    for _ in range(50):
        x = build("tanh", x)
    del x
    gc.collect()
    assert len(interned()) <= before


@pytest.mark.parametrize("mode", ["compile", "interpret"])
def test_a_python_operation_goes_with_what_it_is_in(mode: str) -> None:
    """A callee is part of its node's entry in the table; what it holds must not hold the node."""

    def made() -> weakref.ref:
        def double(a: np.ndarray) -> np.ndarray:
            return a * 2

        x = T.dvector("x")
        y = as_op([T.dvector], [T.dvector])(double)(x + 1)
        f = weft.function([x], T.tanh(y), mode=mode)
        np.testing.assert_allclose(f(np.zeros(3)), np.tanh(2.0))
        return weakref.ref(double)

    refs = [made() for _ in range(40)]
    gc.collect()
    assert sum(r() is not None for r in refs) < 20, "some memory of the last ones is bounded"


def test_nodes_made_and_dropped_by_several_threads() -> None:
    """Each thread builds the same nodes again and again; none may see two at once, nor an entry of a dead one."""
    x = vector(0)
    start, wrong = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        for k in range(300):
            chain = [x]
            for _ in range(20):
                chain.append(build("tanh", chain[-1]))
            again = chain[1]
            for n in chain[2:]:
                again = build("tanh", again)
                if again is not n:
                    wrong.append(k)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    gc.collect()
    assert not wrong and not any(entry() is None for entry in interned())


def test_regions_are_one_and_drop_what_always_holds() -> None:
    a, b = vector(0), vector(1)
    c = Check("eq", (a.axes[0], b.axes[0]), "first")
    trivial = Check("eq", (a.axes[0], a.axes[0]), "nothing")
    r = region([a, b], [build("add", a, b)], [c, trivial, Check("eq", c.operands, "again")])
    assert r.checks == (c,) and r is region([a, b], [build("add", a, b)], [c])


def test_params_are_numbered() -> None:
    with pytest.raises(InternalError, match="parameter 0"):
        region([vector(1)], [])


def test_substitute_retypes() -> None:
    a, b = vector(0), vector(1)
    (new,) = substitute([build("add", build("neg", a), build("neg", a))], {a: b})
    assert new is build("add", build("neg", b), build("neg", b)) and new.axes == b.axes
    with pytest.raises(DTypeError):
        substitute([build("add", a, build("neg", a))], {build("neg", a): vector(0, "int8")})


def test_renumber_moves_lengths_too() -> None:
    inner = closed([matrix(0)], build("reshape", matrix(0), lengths.mul(*matrix(0).axes)))
    outs, checks, became = renumber(inner, {matrix(0): build("tanh", matrix(1))})
    assert outs[0].axes == (lengths.mul(*matrix(1).axes),) and not checks
    assert became[inner.outputs[0]] is outs[0]


def chain(count: int) -> Node:
    x = vector(0)
    for _ in range(count):
        x = build("neg", x)
    return x


def test_a_long_chain_is_walked_in_a_loop() -> None:
    order = topological([chain(100_000)])
    assert len(order) == 100_002 and order[0].op == "dim" and all(n.op == "neg" for n in order[2:])


def test_inputs_come_first() -> None:
    for s in samples():
        done: set[Node] = set()
        for n in s.region.nodes():
            assert done.issuperset(n.inputs)
            done.add(n)


X, V, S = matrix(0), vector(0), scalar(1)
CALLEE = HostFunction("f", None)
ALL, POINT = ("all",), ("point",)
WRONG: list[tuple[type, str, tuple, dict]] = [
    (DTypeError, "add", (V, vector(0, "int8")), {}),
    (DTypeError, "add", (V,), {}),
    (ShapeError, "add", (V, X), {}),
    (ShapeError, "add", (param(0, "int8", 2), param(1, "int8", 3)), {}),
    (DTypeError, "sub", (vector(0, "bool"),) * 2, {}),
    (DTypeError, "exp", (vector(0, "int64"),), {}),
    (DTypeError, "lt", (vector(0, "complex64"),) * 2, {}),
    (InternalError, "cast", (V,), {"dtype": "float80"}),
    (DTypeError, "cast", (V, V), {"dtype": "int8"}),
    (DTypeError, "switch", (V, V, V), {}),
    (DTypeError, "switch", (vector(0, "bool"), V), {}),
    (DTypeError, "complex", (vector(0, "float16"),) * 2, {}),
    (DTypeError, "sum", (vector(0, "bool"),), {"axes": (0,)}),
    (ShapeError, "sum", (X,), {"axes": (1, 0)}),
    (ShapeError, "sum", (X,), {"axes": (2,)}),
    (ShapeError, "max", (param(0, "int8", 0),), {"axes": (0,)}),
    (InternalError, "sum", (X,), {}),
    (InternalError, "sum", (X, X), {"axes": (0,)}),
    (ShapeError, "dimshuffle", (X,), {"order": (0,)}),
    (ShapeError, "dimshuffle", (X,), {"order": (0, 0, 1)}),
    (ShapeError, "reshape", (param(0, "int8", 6), const(4)), {}),
    (ShapeError, "reshape", (X, V), {}),
    (ShapeError, "alloc", (X, S), {}),
    (ShapeError, "rebroadcast", (param(0, "int8", 2),), {"axes": (0,)}),
    (ShapeError, "slice", (X,), {"spec": (ALL,)}),
    (ShapeError, "slice", (V,), {"spec": (("range", False, False, 0),)}),
    (InternalError, "slice", (V, S), {"spec": (ALL,)}),
    (InternalError, "slice", (V,), {"spec": (POINT,)}),
    (BoundsError, "slice", (param(0, "int8", 2), const(2)), {"spec": (POINT,)}),
    (DTypeError, "set_slice", (V, vector(1, "int8")), {"spec": (ALL,), "mode": "set"}),
    (ShapeError, "set_slice", (V, X), {"spec": (ALL,), "mode": "set"}),
    (InternalError, "set_slice", (V, V), {"spec": (ALL,), "mode": "add"}),
    (ShapeError, "concatenate", (V, X), {"axis": 0}),
    (ShapeError, "concatenate", (V, V), {"axis": 1}),
    (InternalError, "iota", (S,), {"dtype": "int"}),
    (ShapeError, "window", (V,), {"axis": 0, "size": 0, "stride": 1}),
    (ShapeError, "window", (V,), {"axis": 1, "size": 2, "stride": 1}),
    (ShapeError, "spread", (X, V), {"axis": 0, "stride": 1}),
    (ShapeError, "spread", (X, S), {"axis": 1, "stride": 1}),
    (DTypeError, "draw", (param(0, "uint64", 2),), {"distribution": "normal", "dtype": "float32"}),
    (DTypeError, "draw", (param(0, "uint64", 2, kind="random"),), {"distribution": "normal", "dtype": "float16"}),
    (DTypeError, "gather", (V, V), {}),
    (ShapeError, "gather", (V, S, S), {}),
    (ShapeError, "scatter", (V, X, vector(1, "int64")), {"mode": "set"}),
    (ShapeError, "nonzero", (S,), {}),
    (ShapeError, "cumsum", (V,), {"axis": 1, "reverse": False}),
    (DTypeError, "cumsum", (vector(0, "bool"),), {"axis": 0, "reverse": False}),
    (ShapeError, "sort", (S,), {}),
    (DTypeError, "dot", (vector(0, "bool"),) * 2, {}),
    (ShapeError, "dot", (S, S), {}),
    (DTypeError, "cholesky", (matrix(0, "int8"),), {}),
    (ShapeError, "cholesky", (V,), {}),
    (DTypeError, "csr_part", (X,), {"part": 0}),
    (InternalError, "csr_part", (param(0, "float32", None, None, kind="csr"),), {"part": 3}),
    (ShapeError, "csr", (X, V, V, S), {}),
    (DTypeError, "add", (param(0, "float32", None, None, kind="csr"),) * 2, {}),
    (InternalError, "item", (V,), {"index": 0}),
    (InternalError, "item", (build("nonzero", V),), {"index": 1}),
    (InternalError, "param", (const(2),), {"token": 0, "dtype": "int8", "kind": "list"}),
    (InternalError, "param", (const(3),), {"token": 0, "dtype": "uint64", "kind": "random"}),
    (ShapeError, "param", (V,), {"token": 0, "dtype": "int8", "kind": "dense"}),
    (InternalError, "length", (), {"of": "nothing", "of_attrs": (), "out": 0, "axis": 0}),
    (InternalError, "host_call", (V,), {"callee": CALLEE, "dtypes": ("int8",), "ndims": (2,), "like": (0,)}),
]  # fmt: skip


@pytest.mark.parametrize(("error", "op", "inputs", "attrs"), WRONG, ids=lambda v: v if isinstance(v, str) else "")
def test_ill_typed_nodes_cannot_be_built(error: type, op: str, inputs: tuple, attrs: dict) -> None:
    with pytest.raises(error) as caught:
        build(op, *inputs, **attrs)
    assert isinstance(caught.value, (WeftError, InternalError))


def test_regions_fit_what_their_params_are_bound_to() -> None:
    n, xs, init, limit = scalar(0), vector(1), param(2, "float64", 2), scalar(3, "float64")
    good = {"step": step(), "sequences": 1, "taps": ((-2, -1),), "keep": (True,), "until": False}

    def scan(*args: Node, **attrs: object) -> Node:
        return build("scan", *args, **{**good, **attrs})

    assert scan(n, xs, init, limit)
    with pytest.raises(DTypeError, match="param 0"):
        scan(n, vector(1, "float32"), init, limit)
    with pytest.raises(ShapeError, match="dimensions"):
        scan(n, matrix(1), init, limit)
    with pytest.raises(ShapeError, match="too many"):
        scan(n, xs, init)
    with pytest.raises(ShapeError, match="more values"):
        scan(n, xs, init, limit, limit)
    with pytest.raises(ShapeError, match="taps"):
        scan(n, xs, init, limit, taps=((-1, -2),))
    with pytest.raises(DTypeError, match="bool"):
        scan(n, xs, init, limit, until=True)
    c, v = scalar(0, "bool"), vector(1)
    same, other = closed([vector(0)], vector(0)), closed([vector(0)], build("cast", vector(0), dtype="int8"))
    with pytest.raises(ShapeError, match="differ"):
        build("ifelse", c, v, then=same, orelse=other)
    with pytest.raises(ShapeError, match="outputs"):
        build("ifelse", c, v, then=same, orelse=closed([vector(0)]))
    with pytest.raises(DTypeError, match="param 0"):
        build("ifelse", c, vector(1, "int8"), then=same, orelse=same)


def test_a_fixed_length_inside_a_region_is_an_obligation() -> None:
    c, v = scalar(0, "bool"), vector(1)
    fixed = closed([param(0, "float64", 3)], param(0, "float64", 3))
    (check,) = build("ifelse", c, v, then=fixed, orelse=fixed).checks
    assert check.kind == "eq" and set(check.operands) == {v.axes[0], lengths.const(3)}
    with pytest.raises(ShapeError):
        build("ifelse", c, param(1, "float64", 2), then=fixed, orelse=fixed)


def test_inner_lengths_are_not_taken_for_outer_ones() -> None:
    """Token 0 means another param inside than outside."""
    a, b = vector(0), vector(1)
    inner = closed([vector(0)], build("add", vector(0), vector(0)))
    chosen = build("ifelse", scalar(2, "bool"), b, then=inner, orelse=inner)
    assert chosen.type.items[0].axes == b.axes != a.axes
