"""Evaluation: arguments, obligations where they stand, run-time lengths, nested regions."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from ir_samples import SPARSE, X, closed, const, items, matrix, param, scalar, step, vector

from weft.compiler.ir import lengths
from weft.compiler.ir.interp import MEANING, evaluate
from weft.compiler.ir.node import Check, Node, build, region
from weft.compiler.ir.ops.procedural import HostFunction
from weft.runtime.errors import ArgumentError, BoundsError, DTypeError, InternalError, NumericalError, ShapeError


def test_arguments_are_checked() -> None:
    r = closed([vector(0, "float32"), scalar(1)], vector(0, "float32"))
    n = np.int64(0)
    with pytest.raises(ArgumentError, match="1 arguments"):
        evaluate(r, [np.zeros(2, "float32")])
    with pytest.raises(DTypeError, match="argument 0 is float64"):
        evaluate(r, [np.zeros(2), n])
    with pytest.raises(ShapeError, match="2 dimensions"):
        evaluate(r, [np.zeros((2, 2), "float32"), n])
    with pytest.raises(ShapeError, match="argument 0 has shape"):
        evaluate(closed([param(0, "int8", 1)], param(0, "int8", 1)), [np.zeros(2, "int8")])
    with pytest.raises(DTypeError, match="compressed sparse rows"):
        evaluate(closed([param(0, "float64", None, None, kind="csr")]), [X])


def test_arguments_of_any_layout() -> None:
    x = vector(0)
    r = closed([x], build("add", x, x))
    base = np.arange(12.0)
    raw = np.zeros(12 * 8 + 1, np.uint8)[1:].view("float64")
    raw[:] = base
    locked = base.copy()
    locked.flags.writeable = False
    for arg in (base[::-2], base.astype(">f8"), raw, locked):
        assert evaluate(r, [arg])[0].tolist() == (2 * arg).tolist()


def test_results_are_fresh() -> None:
    x = vector(0)
    arg = np.arange(3.0)
    a, b, c = evaluate(closed([x], x, x, const([1, 2])), [arg])
    a[0] = b[1] = c[0] = 9
    assert arg.tolist() == [0, 1, 2] and b[0] == 0 and a[1] == 1
    assert evaluate(closed([], const([1, 2])), [])[0].tolist() == [1, 2]


def test_scalars_are_zero_dimensional_arrays() -> None:
    (out,) = evaluate(closed([vector(0)], build("sum", vector(0), axes=(0,))), [np.ones(3)])
    assert isinstance(out, np.ndarray) and out.shape == ()


def test_obligations_raise_by_their_kind() -> None:
    a, b, c = scalar(0), scalar(1), scalar(2, "bool")
    good = {"eq": (3, 3), "le": (2, 3), "nonneg": (0,), "positive": (1,), "bounds": (-3, 3), "true": (True,)}
    bad = {
        "eq": (ShapeError, 3, 4), "le": (ShapeError, 4, 3), "nonneg": (ShapeError, -1), "positive": (ShapeError, 0),
        "bounds": (BoundsError, -4, 3), "true": (ArgumentError, False),
    }  # fmt: skip
    for kind, (error, *values) in bad.items():
        operands = (c,) if kind == "true" else (a, b)[: len(values)]
        check = Check(kind, operands, f"the obligation {kind}")
        r = region([a, b, c], [a], [check])

        def run(values: list, r=r, kind=kind) -> None:
            full = [np.int64(7), np.int64(7), np.bool_(True)]
            full[2 if kind == "true" else 0] = np.asarray(values[0])
            if len(values) > 1:
                full[1] = np.asarray(values[1])
            evaluate(r, full)

        run(list(good[kind]))
        with pytest.raises(error, match=f"the obligation {kind}") as caught:
            run(values)
        assert caught.value.check is check and caught.value.values == tuple(values)


def test_a_node_is_not_reached_before_its_obligation(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = vector(0), vector(1)
    ran: list[str] = []
    monkeypatch.setitem(MEANING, "add", lambda node, values, run: ran.append("add"))
    for checks in ([], build("add", a, b).checks):
        with pytest.raises(ShapeError) as caught:
            evaluate(region([a, b], [build("add", a, b)], checks), [np.ones(2), np.ones(1)])
        assert caught.value.values == (2, 1) and not ran


def test_indices_out_of_range_name_index_and_length() -> None:
    x, i = matrix(0), vector(1, "int64")
    node = build("gather", x, i)
    with pytest.raises(BoundsError, match="index -3 is out of range for an axis of length 2") as caught:
        evaluate(closed([x, i], node), [X, np.array([0, -3, 5])])
    assert caught.value.node is node
    write = build("scatter", x, build("gather", x, i), i, mode="set")
    with pytest.raises(BoundsError, match="index 2 "):
        evaluate(closed([x, i], write), [X, np.array([2])])
    huge = vector(1, "uint64")
    with pytest.raises(BoundsError, match=f"index {2**63 - 1} or more is out of range"):
        evaluate(closed([x, huge], build("gather", x, huge)), [X, np.array([2**64 - 1], "uint64")])
    point = build("slice", x, scalar(1), spec=(("point",), ("all",)))
    with pytest.raises(BoundsError, match="2 is out of range for an axis of length 2"):
        evaluate(closed([x, scalar(1)], point), [X, np.int64(2)])


def test_an_empty_index_reads_nothing() -> None:
    (out,) = evaluate(
        closed([vector(0), vector(1, "int64")], build("gather", vector(0), vector(1, "int64"))),
        [np.zeros(0), np.zeros(0, "int64")],
    )
    assert out.shape == (0,)


def test_scatter_writes_in_row_major_order() -> None:
    x, y, i = vector(0), matrix(1), matrix(2, "int64")
    index = np.array([[0, 1], [1, 0]]).T  # not C-contiguous
    new = np.array([[1.0, 2], [3, 4]])
    (set_,) = evaluate(closed([x, y, i], build("scatter", x, y, i, mode="set")), [np.zeros(3), new, index])
    assert set_.tolist() == [4, 3, 0]
    narrow = [vector(0, "float16"), matrix(1, "float16"), i]
    (inc,) = evaluate(
        closed(narrow, build("scatter", *narrow, mode="inc")),
        [np.float16([2048, 0, 0]), np.float16([[1, 1], [1, 1]]), index],
    )
    assert inc.tolist() == [2048, 2, 0]  # each addition is rounded
    b = [vector(0, "bool"), matrix(1, "bool"), i]
    (out,) = evaluate(closed(b, build("scatter", *b, mode="inc")), [np.zeros(3, bool), new > 2, index])
    assert out.tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_reductions_are_rounded_once(dtype: str) -> None:
    narrow = np.dtype(dtype if dtype == "float16" else ml_dtypes.bfloat16)
    x = np.concatenate([[4096.0], np.ones(4096)]).astype(narrow)
    v, m = vector(0, dtype), matrix(0, dtype)
    (total,) = evaluate(closed([v], build("sum", v, axes=(0,))), [x])
    assert total.dtype == narrow and float(total) == 8192
    (running,) = evaluate(closed([v], build("cumsum", v, axis=0, reverse=False)), [x])
    assert float(running[-1]) == 8192
    (product,) = evaluate(closed([v], build("dot", v, v)), [np.ones(3000, narrow)])
    assert float(product) == float(np.float32(3000).astype(narrow))
    y = np.array([[1, np.nan, 3], [2, 5, 5]], narrow)
    value, index = evaluate(closed([m], *items(build("max_and_argmax", m, axes=(1,)))), [y])
    assert np.isnan(float(value[0])) and float(value[1]) == 5 and index.tolist() == [1, 1]
    (ordered,) = evaluate(closed([m], build("sort", m)), [y])
    assert ordered.dtype == narrow and ordered[:, 0].astype(float).tolist() == [1, 2] and np.isnan(float(ordered[0, 2]))


def test_integer_reductions_and_products_wrap() -> None:
    v = vector(0, "int8")
    outs = [
        build("sum", v, axes=(0,)),
        build("prod", v, axes=(0,)),
        build("dot", v, v),
        build("item", build("max_and_argmax", v, axes=(0,)), index=0),
    ]
    got = evaluate(closed([v], *outs), [np.array([100, 100, 3], "int8")])
    assert [int(g) for g in got] == [203 - 256, 30000 % 256, 20009 % 256, 100]
    assert all(g.dtype == np.int8 for g in got)


def test_argmax_over_several_axes_counts_row_major() -> None:
    x = param(0, "float64", None, None, None)
    value = np.random.default_rng(0).standard_normal((3, 4, 5))
    value[1, 2, 3] = value[1, 3, 4] = 9
    for axes in ((0, 2), (0, 1), (1, 2), (0, 1, 2), (1,), ()):
        kept = [a for a in range(3) if a not in axes]
        flat = value.transpose(*kept, *axes).reshape(*(value.shape[a] for a in kept), -1)
        (got,) = evaluate(closed([x], build("argmax", x, axes=axes)), [value])
        assert got.tolist() == flat.argmax(-1).tolist()
    value[2, 0, 0] = value[2, 3, 3] = np.nan
    (got,) = evaluate(closed([x], build("argmax", x, axes=(0, 1, 2))), [value])
    assert got == 40


def test_linear_algebra_reports_what_it_cannot_do() -> None:
    a = matrix(0)
    with pytest.raises(NumericalError, match="minor of order 2") as caught:
        evaluate(closed([a], build("cholesky", a)), [np.array([[1.0, 2], [2, 1]])])
    assert caught.value.node.op == "cholesky"
    lower = build("cholesky", a)
    (got,) = evaluate(closed([a], lower), [np.array([[4.0, np.nan], [2, 5]])])
    assert got.tolist() == [[2, 0], [1, 2]]
    singular = build("solve_triangular", a, matrix(1), lower=True, trans=False)
    (got,) = evaluate(closed([a, matrix(1)], singular), [np.zeros((1, 1)), np.ones((1, 1))])
    assert np.isinf(got[0, 0])


def test_sparse_parts_are_checked() -> None:
    d, i, p, b = vector(0), vector(1, "int32"), vector(2, "int32"), matrix(3)
    r = closed([d, i, p, b], build("csr_dot", d, i, p, b, b.type.axes[0]))
    data, indices, indptr = SPARSE.data, SPARSE.indices, SPARSE.indptr
    with pytest.raises(BoundsError, match="index 2"):
        evaluate(r, [data, indices, indptr, np.ones((2, 2))])
    with pytest.raises(BoundsError, match="index -1"):
        evaluate(r, [data, indices - 2, indptr, np.ones((3, 2))])
    with pytest.raises(BoundsError, match="indptr"):
        evaluate(r, [data, indices, indptr[::-1], np.ones((3, 2))])


def test_an_untaken_branch_is_not_evaluated() -> None:
    c, v, i = scalar(0, "bool"), vector(1), vector(2, "int64")
    calls: list[int] = []
    callee = HostFunction("seen", lambda args: calls.append(1) or [args[0]])
    x, at = vector(0), vector(1, "int64")
    called = build("item", build("host_call", x, callee=callee, dtypes=("float64",), ndims=(1,), like=(0,)), index=0)
    risky = closed([x, at], build("gather", called, at))
    safe = closed([x, at], build("slice", x, const(0), spec=(("range", False, True, 1),)))
    chosen = items(build("ifelse", c, v, i, then=risky, orelse=safe))
    r = closed([c, v, i], *chosen)
    assert evaluate(r, [np.bool_(False), np.ones(2), np.array([7])])[0].shape == (0,) and not calls
    with pytest.raises(BoundsError):
        evaluate(r, [np.bool_(True), np.ones(2), np.array([7])])
    assert evaluate(r, [np.bool_(True), np.ones(2), np.array([1])])[0].shape == (1,) and len(calls) == 2


def test_an_operation_runs_once_for_its_lengths_and_its_values() -> None:
    calls: list[int] = []
    callee = HostFunction("twice", lambda args: calls.append(1) or [np.ones(len(calls))])
    call = build("host_call", vector(0), callee=callee, dtypes=("float64",), ndims=(1,), like=(None,))
    (n,) = call.type.items[0].axes
    a, b, c = evaluate(
        closed([vector(0)], n, build("item", call, index=0), build("iota", n, dtype="int8")), [np.ones(2)]
    )
    assert calls == [1] and a == 1 and b.shape == c.shape == (1,)


def test_host_functions_are_held_to_their_declaration() -> None:
    def run(result: object, like: int | None = None) -> None:
        callee = HostFunction("f", lambda args: [result])
        call = build("host_call", vector(0), callee=callee, dtypes=("float64",), ndims=(1,), like=(like,))
        evaluate(closed([vector(0)], *items(call)), [np.ones(2)])

    run(np.ones(3))
    with pytest.raises(DTypeError, match="output 0 of f is int64"):
        run(np.array([1]))
    with pytest.raises(ShapeError, match="2 dimensions"):
        run(np.ones((1, 1)))
    with pytest.raises(ShapeError, match="length 3 where 2 is declared"):
        run(np.ones(3), like=0)


def scan(until: bool = False, keep: bool = True) -> tuple[list[Node], list[Node]]:
    ps = [scalar(0), vector(1), param(2, "float64", 2), scalar(3, "float64")]
    node = build("scan", *ps, step=step(until=until), sequences=1, taps=((-2, -1),), keep=(keep,), until=until)
    return ps, items(node)


@pytest.mark.parametrize("until", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_scan_over_no_steps(until: bool, keep: bool) -> None:
    ps, outs = scan(until, keep)
    state, doubled = evaluate(closed(ps, *outs), [np.int64(0), np.ones(4), np.array([1.0, 2.0]), np.float64(-9)])
    assert state.tolist() == [1, 2] and doubled.shape == (0,) and doubled.dtype == np.float64


def test_until_is_looked_at_after_a_step() -> None:
    ps, outs = scan(until=True)
    state, doubled = evaluate(closed(ps, *outs), [np.int64(4), np.ones(4), np.array([1.0, 2.0]), np.float64(-9)])
    assert state.tolist() == [1, 2, 3] and doubled.tolist() == [6]


def test_scan_holds_its_obligations() -> None:
    ps, outs = scan()
    start = np.array([1.0, 2.0])
    for n, length, want in ((5, 4, "5 is more than 4"), (-1, 4, "-1 is negative")):
        with pytest.raises(ShapeError, match=want):
            evaluate(closed(ps, *outs), [np.int64(n), np.ones(length), start, np.float64(0)])


def test_a_step_that_stacks_matrices_over_no_steps_knows_their_lengths() -> None:
    n, x = scalar(0), matrix(1)
    inner = closed([matrix(0)], build("concatenate", matrix(0), matrix(0), axis=1))
    node = build("scan", n, x, step=inner, sequences=0, taps=(), keep=(), until=False)
    assert evaluate(closed([n, x], *items(node)), [np.int64(0), X])[0].shape == (0, 2, 6)
    assert evaluate(closed([n, x], *items(node)), [np.int64(2), X])[0].shape == (2, 2, 6)


def test_scan_in_scan() -> None:
    n, v = scalar(0), vector(1)
    total = closed(
        [scalar(0, "float64"), scalar(1, "float64")], build("add", scalar(0, "float64"), scalar(1, "float64"))
    )
    m, row, s = scalar(0), vector(1), param(2, "float64", 1)
    sums = build("scan", m, row, s, step=total, sequences=1, taps=((-1,),), keep=(False,), until=False)
    outer_step = closed([m, row, s], build("item", sums, index=0))
    node = build(
        "scan", n, scalar(2), v, param(3, "float64", 1), step=outer_step, sequences=0, taps=(), keep=(), until=False
    )
    r = closed([n, v, scalar(2), param(3, "float64", 1)], *items(node))
    got = evaluate(r, [np.int64(2), np.arange(4.0), np.int64(3), np.array([10.0])])[0]
    assert got.tolist() == [[13], [13]]
    with pytest.raises(ShapeError, match="5 is more than 4"):  # stands in the inner region
        evaluate(r, [np.int64(2), np.arange(4.0), np.int64(5), np.array([10.0])])


def test_values_are_reported_in_order() -> None:
    x = vector(0)
    seen: list[str] = []
    evaluate(closed([x], build("neg", build("exp", x))), [np.ones(2)], report=lambda n, v: seen.append(n.op))
    assert seen == ["dim", "param", "exp", "neg"]


def test_foreign_leaves_are_found() -> None:
    with pytest.raises(InternalError, match="not a param"):
        evaluate(region([vector(0)], [vector(0, "float32")]), [np.ones(2)])
    with pytest.raises(InternalError, match="dim"):
        evaluate(region([vector(0)], [vector(1).axes[0]]), [np.ones(2)])


def test_a_long_chain_is_evaluated_in_a_loop() -> None:
    x = v = vector(0)
    for _ in range(100_000):
        x = build("neg", x)
    assert evaluate(closed([v], x), [np.ones(1)])[0].tolist() == [1]


def test_lengths_of_lengths() -> None:
    """A mask of a masked vector: one run-time length inside another."""
    x = vector(0)
    once = build("gather", x, *items(build("nonzero", build("gt", x, const([0.0], "float64")))))
    twice = build("gather", once, *items(build("nonzero", build("lt", once, const([2.0], "float64")))))
    out = build("alloc", const(1.0, "float64"), lengths.add(once.axes[0], twice.axes[0]))
    a, b = evaluate(closed([x], twice, out), [np.array([-1.0, 1, 3, 1.5])])
    assert a.tolist() == [1, 1.5] and b.shape == (5,)
