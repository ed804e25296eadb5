"""Lengths: one Node for equal ones, whatever was built before; and right at run time."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_samples import closed, const, matrix, param, scalar, vector

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.compiler.ir import lengths
from weft.compiler.ir.digest import digest
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import Node, build


def cut(x: Node, *bounds: Node, spec: tuple) -> Node:
    return build("slice", x, *bounds, spec=(spec,))


TAIL, HEAD, EVERY = ("range", True, False, 1), ("range", False, True, 1), ("range", False, False, -1)


def test_slices_of_equal_length_have_one_length() -> None:
    x = vector(0)
    assert cut(x, const(1), spec=TAIL).axes == cut(x, const(-1), spec=HEAD).axes
    assert cut(cut(x, const(1), spec=TAIL), const(2), spec=TAIL).axes == cut(x, const(3), spec=TAIL).axes
    assert cut(x, spec=EVERY).axes == x.axes
    assert not build("add", cut(x, const(1), spec=TAIL), cut(x, const(-1), spec=HEAD)).checks


def test_reshape_there_and_back() -> None:
    x = matrix(0)
    flat = build("reshape", x, build("mul", x.axes[1], x.axes[0]))
    assert flat.axes == (lengths.mul(*x.axes),) and not flat.checks
    assert not build("reshape", flat, *x.axes).checks
    assert len(build("reshape", flat, x.axes[0]).checks) == 1


def test_concatenation_adds() -> None:
    x, y = vector(0), vector(1)
    assert build("concatenate", x, y, x, axis=0).axes == (lengths.add(lengths.scale(x.axes[0], 2), y.axes[0]),)


def test_user_arithmetic_becomes_the_length_it_equals() -> None:
    n, m = vector(0).axes[0], vector(1).axes[0]
    one = build("sub", build("mul", build("add", m, n), const(3)), build("add", n, build("neg", m)))
    other = lengths.add(lengths.scale(n, 2), lengths.scale(m, 4))
    assert lengths.normal(one) is other
    assert lengths.normal(build("sqr", n)) is lengths.mul(n, n)
    assert lengths.normal(build("cast", const(7, "int8"), dtype="int64")) is const(7)


def test_a_normal_form_survives_its_parts() -> None:
    """The inner sum's normal form is referred to by nothing else while the quotient is built."""
    n = vector(0).axes[0]
    raw = build("floordiv", build("add", const(3), n), const(2))
    gc.collect()
    assert lengths.normal(raw) is lengths.floordiv(lengths.add(n, const(3)), const(2))


def test_the_order_of_terms_does_not_follow_the_order_of_building() -> None:
    x, y = vector(0), vector(1)

    def found(v: Node) -> Node:
        return build("nonzero", build("tan", v)).type.items[0].axes[0]  # held by no other test

    first = lengths.add(found(x), found(y))
    kept = digest(first)
    del first
    gc.collect()
    later = found(y)  # now built first
    assert digest(lengths.add(found(x), later)) == digest(lengths.add(later, found(x))) == kept


def test_python_operations_of_one_name_are_told_apart() -> None:
    def define(body: Callable) -> Any:
        return as_op([T.dvector().type], [T.dvector().type])(body)

    def same(v: Any) -> Any:
        return v[v > 0]

    def other(v: Any) -> Any:
        return v[v < 0]

    same.__name__ = same.__qualname__ = other.__name__ = other.__qualname__ = "g"
    x = T.dvector("x")
    a, b, c = (define(f)(x).node.axes[0] for f in (same, other, same))
    assert digest(a) == digest(c) != digest(b)
    assert a is not c and lengths.add(a, c) is lengths.add(c, a)


def test_a_long_sum_of_lengths_is_linear_and_flat() -> None:
    n = vector(0).axes[0]
    raw = n
    for _ in range(20_000):
        raw = build("add", raw, const(1))
        lengths.normal(raw)
    assert lengths.normal(raw) is lengths.add(n, const(20_000))


def test_deeply_nested_lengths_print_shortly() -> None:
    x, i = vector(0), scalar(1)
    for k in range(1_000):
        x = cut(x, build("add", i, const(k)), spec=HEAD)
    assert len(str(x.type)) < 2_000


BOUND = st.none() | st.integers(-7, 7)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 6), BOUND, BOUND, st.sampled_from([1, 2, 3, -1, -2, -3]), st.booleans(), st.booleans())
def test_slices_are_python_slices(n: int, start: int | None, stop: int | None, step: int, a: bool, b: bool) -> None:
    """Bounds as numbers and as values known only at the call; evaluate holds the length against the type."""
    x, params, args = vector(0), [scalar(1), scalar(2)], [np.int64(start or 0), np.int64(stop or 0)]
    bounds = []
    for value, dynamic, p in ((start, a, params[0]), (stop, b, params[1])):
        if value is not None:
            bounds.append(p if dynamic else const(value))
    out = cut(x, *bounds, spec=("range", start is not None, stop is not None, step))
    values = np.arange(n)
    (got,) = evaluate(closed([x, *params], out), [values.astype(float), *args])
    assert got.tolist() == values[start:stop:step].tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(BOUND, BOUND, st.sampled_from([1, 1, 2, -1])), min_size=2, max_size=4), st.integers(0, 9))
def test_slices_of_slices(specs: list, n: int) -> None:
    x: Node = vector(0)
    values = np.arange(float(n))
    out, want = x, values
    for start, stop, step in specs:
        given_ = [const(v) for v in (start, stop) if v is not None]
        out = cut(out, *given_, spec=("range", start is not None, stop is not None, step))
        want = want[start:stop:step]
    (got,) = evaluate(closed([x], out), [values])
    assert got.tolist() == want.tolist()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), st.integers(1, 4), st.integers(1, 4))
def test_windows(n: int, size: int, stride: int) -> None:
    (got,) = evaluate(
        closed([vector(0)], build("window", vector(0), axis=0, size=size, stride=stride)), [np.arange(float(n))]
    )
    assert got.tolist() == [[float(s + k) for k in range(size)] for s in range(0, n - size + 1, stride)]


EXPRESSION = st.recursive(
    st.sampled_from(["n", "m", "i"]) | st.integers(-3, 3),
    lambda e: st.tuples(st.sampled_from(["add", "sub", "mul", "maximum", "minimum", "floordiv"]), e, e),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSION, st.integers(0, 5), st.integers(0, 5), st.integers(-5, 5))
def test_the_normal_form_has_the_value(e: object, n: int, m: int, i: int) -> None:
    x, y, v = vector(0), vector(1), scalar(2)
    leaves = {"n": x.axes[0], "m": y.axes[0], "i": v}

    def raw(e: object) -> Node:
        if isinstance(e, tuple):
            return build(e[0], raw(e[1]), raw(e[2]))
        return leaves[e] if isinstance(e, str) else const(e)

    node = raw(e)
    assert lengths.normal(lengths.normal(node)) is lengths.normal(node)
    a, b = evaluate(closed([x, y, v], node, lengths.normal(node)), [np.zeros(n), np.zeros(m), np.int64(i)])
    assert a == b


def test_a_random_state_has_two_words() -> None:
    assert param(0, "uint64", 2, kind="random").type.static_shape == (2,)


def test_a_sum_counts_as_normal_whoever_built_it() -> None:
    """What is known of a node follows from its structure, not from what was built before in the process."""
    a, b = (build("dim", token=90, axis=k) for k in range(2))
    raw = build("add", build("mul", a, b), b)
    assert lengths.nonneg(raw) and lengths.show(raw) == "d90.0*d90.1 + d90.1"
    assert lengths.add(lengths.mul(b, a), b) is raw
    other = build("add", b, build("mul", b, a))  # the same sum, not in normal form: an atom, before and after
    assert not lengths.nonneg(other)
    assert lengths.normal(other) is raw and not lengths.nonneg(other)


def test_products_of_many_scalars_are_not_multiplied_out() -> None:
    """Integer scalars of a program share the normal form of lengths; it grew with every product and sum."""
    values = [3, -5, 7, 11, 2, -1, 13, 4]
    xs = [scalar(k) for k in range(len(values))]
    node, want = xs[0], values[0]
    for k in range(400):
        p, v = xs[k % 8], values[k % 8]
        node, want = (lengths.add(lengths.mul(node, p), lengths.const(k)), want * v + k) if k % 3 else (
            lengths.sub(node, lengths.mul(p, xs[k % 5])), want - v * values[k % 5])  # fmt: skip
    assert max(len(m) for m in lengths._terms(node)) <= lengths.LARGE
    found = evaluate(closed(xs, node), [np.int64(v) for v in values])[0]
    assert int(found) == (want + 2**63) % 2**64 - 2**63


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_at_least_another_shows_in_their_difference(data: st.DataObject) -> None:
    atoms = [*matrix(0).axes, *matrix(1).axes, *map(const, (-2, 0, 1, 3))]

    def draw(depth: int) -> Node:
        if not depth or data.draw(st.booleans()):
            return data.draw(st.sampled_from(atoms))
        combine = data.draw(st.sampled_from([lengths.add, lengths.mul, lengths.sub, lengths.maximum, lengths.minimum]))
        return combine(draw(depth - 1), draw(depth - 1))

    a, b = draw(3), draw(3)
    wraps = [n for n in (a, b) if not lengths.is_moderate(n)]
    if not wraps:
        assert lengths.at_least(lengths.add(a, const(3)), a)
    if not wraps and lengths.is_moderate(lengths.sub(a, b)):
        assert lengths.at_least(a, b) == lengths.nonneg(lengths.sub(a, b))
    assert lengths.at_least(a, a)
    if wraps and a is not b and b is not const(0):
        assert not lengths.at_least(a, b)


@pytest.mark.parametrize(
    ("text", "known"),
    [("n", True), ("n * m", True), ("n * m * k + 7", True), ("n * n", True), ("n * 4096", True), ("n * m * 64", True),
     ("n * 4097", False), ("n * m * 65", False), ("n * n * n", False), ("n * (2**62 - 1)", False),
     ("2**60 + n", True), ("2**62 + n", False)],
)  # fmt: skip
def test_products_that_may_wrap_have_no_sign(text: str, known: bool) -> None:
    """As axes they do not: those are of moderate size. As numbers of a program they may."""
    names = dict(zip("nmk", (matrix(t).axes[0] for t in range(3)), strict=True))
    made = const(0)
    for term in text.split(" + "):
        made = lengths.add(made, lengths.product(names.get(f) or const(eval(f)) for f in term.split(" * ")))
    assert lengths.nonneg(made) == known == (lengths.maximum(made, const(0)) is made)


def test_an_axis_of_distinct_lengths_of_one_array_has_a_sign() -> None:
    a, b = matrix(0).axes
    assert lengths.nonneg(lengths.scale(lengths.mul(a, b), 4096))
    assert not lengths.nonneg(lengths.scale(lengths.mul(a, a), 4096))


def test_quotients_of_products_of_lengths() -> None:
    """Numbers that a program makes of the lengths of several arrays wrap as others do: -2^63 // 3, and -2^63 // -1."""
    counts = (2**21, 2**21, 2**21, 6700417, 641 * 65537, 65535)
    arrays = [T.bvector(f"a{k}") for k in range(6)]
    a, b = (x.shape[0] * y.shape[0] * z.shape[0] for x, y, z in (arrays[:3], arrays[3:]))
    outputs = [a // 3, a % 7, a // b, a % b, (a // 3) // 5]
    f, g = (weft.function(arrays, outputs, mode=mode) for mode in ("compile", "interpret"))
    given_ = [np.broadcast_to(np.int8(1), n) for n in counts]
    assert [int(v) for v in f(*given_)] == [int(v) for v in g(*given_)]
