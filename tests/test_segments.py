"""Loops cut where conditions on places change: what is computed, by which loops, at which lengths."""

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.codegen.segments import AllTrue, Cases, Exact, resolved, split
from weft.compiler.ir import lengths
from weft.compiler.ir.node import build, constant

I = build("index", index=0)
N, M = (build("param", token=k, dtype="int64", kind="length") for k in range(2))


def number(k):
    return lengths.const(k)


def load(place, *guard, buffer=0):
    return build("load", place, *guard, buffer=buffer, dtype="float32")


def store(value):
    return build("store", I, value, buffer=5)


def less(a, b):
    return build("lt", a, b)


ZERO = constant(0, "float32")


def test_segments_of_known_order():
    """A frame of one element: two cuts, three segments, in each of which every condition is known."""
    here = lengths.sub(I, number(1))
    inside = build("and", build("le", number(0), here), less(here, N))
    body = [store(build("switch", inside, load(here, inside), ZERO))]
    found = split(body, 0, lengths.add(N, number(2)))
    assert isinstance(found, Exact) and not found.rows
    (segments,) = found.segments.values()
    assert [s.end for s in segments] == [number(1), lengths.add(N, number(1)), None]
    assert [s.statements for s in segments] == [[store(ZERO)], [store(load(here))], [store(ZERO)]]


def test_what_is_known_throughout_is_no_cut():
    body = [store(build("switch", less(I, N), load(I, less(I, N)), ZERO))]
    (segments,) = split(body, 0, N).segments.values()
    assert [s.statements for s in segments] == [[store(load(I))]]


def test_places_of_unknown_order():
    """The adjoint of a difference: where it is inside of both, and the rest."""
    one, end = lengths.minimum(N, number(1)), lengths.maximum(lengths.sub(N, number(1)), number(0))
    low, high = less(I, end), build("le", one, I)
    values = [build("switch", c, load(I, c, buffer=b), ZERO) for b, c in enumerate((low, high))]
    found = split([store(build("add", *values))], 0, N)
    assert isinstance(found, AllTrue) and (found.firsts, found.lasts) == ([one], [end])
    assert found.statements == [store(build("add", load(I), load(I, buffer=1)))]


def test_what_often_holds_together():
    """Both conditions change somewhere, nobody knows where: the call asks, the rest is the loop as it was."""
    low, high = less(I, N), build("le", M, I)
    values = [build("switch", c, load(I, c, buffer=b), ZERO) for b, c in enumerate((low, high))]
    found = split([store(build("add", *values))], 0, None)
    assert isinstance(found, Cases) and set(found.places) == {N, M} and set(found.conditions) == {low, high}
    for mask, statements in found.cases.items():
        truth = {c: bool(mask >> b & 1) for b, c in enumerate(found.conditions)}
        wanted = [load(I, buffer=b) if truth[c] else ZERO for b, c in enumerate((low, high))]
        assert statements == [store(build("add", *wanted))]


def test_rows_are_asked_once():
    row = build("index", index=7)
    outside = build("and", build("le", number(1), row), less(row, M))
    body = [store(build("switch", build("and", outside, less(I, N)), load(I, build("and", outside, less(I, N))), ZERO))]
    found = split(body, 0, lengths.add(N, number(1)))
    assert found.rows == [outside] and set(found.segments) == {True, False}
    assert [s.statements for s in found.segments[False]] == [[store(ZERO)]]
    assert [s.statements for s in found.segments[True]] == [[store(load(I))], [store(ZERO)]]


@pytest.mark.parametrize("op", ["lt", "le", "gt", "ge", "eq"])
@pytest.mark.parametrize("factor", [-3, -1, 1, 2, 5])
def test_cuts_are_where_conditions_change(op, factor):
    """Of every linear comparison, by evaluating it at each place."""
    if op == "eq" and abs(factor) != 1:
        return
    compare = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal}[op]
    for away in range(-9, 30):
        side = lengths.add(lengths.scale(I, factor), number(away))
        for inputs in ((side, number(4)), (number(4), side)):
            condition = build(op, *inputs)
            found = split([store(build("switch", condition, load(I, condition), ZERO))], 0, number(20))
            (segments,) = found.segments.values()
            first, got = 0, []
            for s in segments:
                end = max(first, min(20, 20 if s.end is None else lengths.static(s.end)))
                got += [s.statements == [store(load(I))]] * (end - first)
                first = end
            there = np.arange(20) * factor + away
            want = compare(there, 4) if inputs[0] is side else compare(4, there)
            assert got == want.tolist(), (op, factor, away)


def test_what_is_not_cut():
    """Values, numbers that may wrap around, and quotients tell no place; many functions would be printed too often."""
    some = build("param", token=2, dtype="int64", kind="dense")
    read = build("load", I, buffer=3, dtype="int64")
    for condition in (less(read, N), less(I, some), less(lengths.floordiv(I, number(3)), N)):
        assert split([store(build("switch", condition, load(I, condition), ZERO))], 0, None) is None
    value = load(I, less(I, N))
    for _ in range(9):
        value = build("exp", value)
    assert split([store(value)], 0, None) is None


def test_conditions_that_are_known_go():
    a, b = less(I, N), less(I, M)
    x, y = load(I, build("and", a, b)), load(I)
    both, either = build("switch", build("and", a, b), x, y), build("switch", build("or", a, b), x, y)
    true, false = {a: True}, {a: False}
    assert resolved([both, either], true) == [build("switch", b, load(I, b), y), load(I, b)]
    assert resolved([both, either], false) == [y, build("switch", b, constant(0, "float32"), y)]


def turned(x, y):
    a, b = x[:, :3], x[:, 3:6]
    a, b, c, s = a[:, : b.shape[1]], b, y[:, : b.shape[1]], y[:, : b.shape[1]] * 0.5
    return T.concatenate([a * c - b * s, b * c + a * s], axis=1)


def shifted(x, count):
    n = T.maximum(x.shape[1] - count + 1, 0)
    return sum(x[:, k : k + n] for k in range(count))


def scaled(z):
    return z / (1 + T.sum(z, axis=0) ** 2)


PROGRAMS = {
    "pad": lambda x, y: T.pad(x, ((1, 2), (3, 0))),
    "slice gradient": lambda x, y: weft.grad(T.sum(T.exp(x[1:-1, 2:])), x),
    "difference gradient": lambda x, y: weft.grad(T.sum(T.sqr(x[:, 1:] - x[:, :-1])) + T.sum(T.sqr(x[1:] - x[:-1])), x),
    "written": lambda x, y: T.set_subtensor(x[1:3, 1:-1], 2.0),
    "backwards": lambda x, y: T.inc_subtensor(x[::-1, -2:0:-1], 1.5) * 2,
    "every other": lambda x, y: T.set_subtensor(x[:, 1::2], 7.0),
    "side by side": lambda x, y: T.tanh(T.concatenate([x, y, x[:, :1]], axis=1)),
    "below": lambda x, y: T.concatenate([x, y], axis=0) - 1,
    "triangles": lambda x, y: T.tril(x, 1) + T.triu(y, -1) * 3,
    "identity": lambda x, y: x + T.eye(x.shape[0], x.shape[1], 1),
    "rolled": lambda x, y: T.roll(x, 2, axis=1) + T.roll(y, -1, axis=0),
    "windows of a frame": lambda x, y: T.sum(T.window(T.pad(x, ((1, 1), (2, 1))), 3, 2, axis=1), axis=-1),
    "halves turned": lambda x, y: weft.grad(T.sum(T.sqr(turned(x, y))), x),
    "halves turned, stored": lambda x, y: turned(x, y) * 2,
    "many shifts": lambda x, y: weft.grad(T.sum(T.sqr(shifted(x, 6))), x),
    "columns written": lambda x, y: T.set_subtensor(T.set_subtensor(T.exp(x)[:, 0], 1.0)[:, -1], 7.0),
    "half": lambda x, y: T.pad(T.cast(x, "float16"), ((0, 1), (1, 1))),
    "columns of a frame": lambda x, y: scaled(T.pad(x, ((0, 0), (1, 2)))),
    "logarithms": lambda x, y: T.log(T.pad(abs(x) + 1, ((1, 1), (1, 1)), 2.0)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_at_all_lengths(name):
    """Compiled as interpreted, for lengths at which segments are empty, touch, or are all of it."""
    x, y = T.fmatrix("x"), T.fmatrix("y")
    f = weft.function([x, y], PROGRAMS[name](x, y), on_unused_input="ignore")
    g = weft.function([x, y], PROGRAMS[name](x, y), mode="interpret", on_unused_input="ignore")
    rng = np.random.default_rng(0)
    for rows in (0, 1, 2, 3, 4, 37):
        for columns in (1, 2, 3, 4, 5, 40):
            a, b = (rng.standard_normal((rows, columns)).astype("float32") for _ in "ab")
            np.testing.assert_allclose(f(a, b), g(a, b), 1e-5, 1e-6, err_msg=str((rows, columns)))


def test_no_choice_is_left_inside():
    """What was compared for each element: where all holds there is nothing but loads, arithmetic and stores."""
    x = T.fmatrix("x")
    for output in (PROGRAMS["pad"](x, x), PROGRAMS["difference gradient"](x, x), T.concatenate([x, x * 2], axis=1)):
        source = weft.function([x], output).source
        body = source[source.index("_body(") : source.index("static int32_t run")]
        loops = [part[: part.index("}")] for part in body.split("#pragma GCC unroll 1\n")[1:]]
        assert any("p0[" in loop and "?" not in loop for loop in loops), body


def test_numbers_that_are_left_alone():
    """Where what is set is a number, so may be both operands: as wide as the dtype says, and of either sign."""
    x, y = T.lvector("x"), T.ivector("y")
    big = T.set_subtensor(x[3:], np.int64(100000)) * T.set_subtensor(x[7:], np.int64(-100001))
    minus = T.maximum(-T.set_subtensor(y[3:], np.int32(-5)), y)
    chosen = T.switch(T.lt(x, 20), np.int64(2**31 - 1), np.int64(5)) + T.switch(T.gt(x, 9), np.int64(2**31 - 2), 7)
    a = np.arange(40)
    b = np.int32(a % 9)
    left, right = (np.where(a < k, a, v) for k, v in ((3, 100000), (7, -100001)))
    got = weft.function([x, y], [big, minus, chosen])(a, b)
    np.testing.assert_array_equal(got[0], left * right)
    np.testing.assert_array_equal(got[1], np.maximum(-np.where(a < 3, b, -5), b))
    np.testing.assert_array_equal(got[2], np.where(a < 20, 2**31 - 1, 5) + np.where(a > 9, 2**31 - 2, 7))
