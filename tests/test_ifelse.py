"""ifelse: the branch not taken is not computed. The pass that sees to it, by structure and by value."""

from __future__ import annotations

import numpy as np
import pytest
from grad_check import check

import weft
import weft.tensor as T
from weft import scan
from weft.compiler.ir.node import Region, topological
from weft.compiler.ir.verify import verify
from weft.compiler.simplify.lazy import DEPTH, sink
from weft.ifelse import ifelse
from weft.scan_module import until

MODES = ["interpret", "compile"]


@pytest.fixture(params=MODES)
def function(request):
    def make(inputs, outputs=None, **kwargs):
        f = weft.function(inputs, outputs, mode=request.param, on_unused_input="ignore", **kwargs)
        if request.param == "interpret":
            verify(f.executor.region)
            assert sink(f.executor.region) is f.executor.region
        return f

    return make


class Recorder:
    """An operation that notes each of its runs."""

    def __init__(self):
        self.runs: list[str] = []

    def __call__(self, label, x):
        @weft.compile.ops.as_op(itypes=[x.type], otypes=[x.type], infer_shape=lambda node, shapes: shapes)
        def note(v):
            self.runs.append(label)
            return v

        return note(x)


@pytest.fixture
def record():
    return Recorder()


def test_value_and_laziness(function, record):
    c, x, y = T.dscalar("c"), T.dvector("x"), T.dvector("y")
    f = function([c, x, y], ifelse(T.lt(c, 1), record("then", x * 2), record("else", y + 1)))
    np.testing.assert_array_equal(f(0, [1.0], [5.0, 6.0]), [2])
    assert record.runs == ["then"]
    np.testing.assert_array_equal(f(1, [1.0], [5.0, 6.0]), [6, 7])
    assert record.runs == ["then", "else"]


def test_branch_not_taken_raises_nothing(function):
    i, x, n = T.lscalar("i"), T.dvector("x"), T.lscalar("n")
    f = function([i, x, n], ifelse(T.lt(i, x.shape[0]), x[i], (T.zeros((n,)) + T.ones((n + 3,)) * x.max()).sum()))
    assert f(1, [4.0, 5.0], -7) == 5
    with pytest.raises(weft.WeftError):
        f(2, [4.0, 5.0], 2)
    g = function([i, x], ifelse(T.lt(i, 0), T.constant(-1.0, dtype="float64"), T.dot(x[i:], x[: x.shape[0] - i])))
    assert g(-99, [1.0, 2]) == -1 and g(1, [3.0, 4]) == 12


def test_several_outputs(function, record):
    c, x = T.bscalar("c"), T.dvector("x")
    a, b = ifelse(c, [record("a", x), x.sum()], [x * 2, x[0] + x[1]])
    f = function([c, x], [a, b])
    for flag, (p, q) in ((1, ([1, 2], 3)), (0, ([2, 4], 3))):
        got = f(flag, [1.0, 2.0])
        np.testing.assert_array_equal(got[0], p)
        assert got[1] == q
    assert record.runs == ["a"]


def test_lengths_of_branches_differ(function):
    c, x, y = T.bscalar("c"), T.dvector("x"), T.dvector("y")
    out = ifelse(c, x[x > 0], y)
    f = function([c, x, y], [out * 2, out.shape[0]])
    for flag, want in ((1, [2, 4]), (0, [0, 0, 0])):
        got, n = f(flag, [1.0, -1, 2], np.zeros(3))
        np.testing.assert_array_equal(got, want)
        assert n == len(want)


def test_nested(function, record):
    a, b, x = T.bscalar("a"), T.bscalar("b"), T.dvector("x")
    shared_by_both = record("inner", x + 1)
    inner = ifelse(b, record("deep", shared_by_both * 2), shared_by_both)
    f = function([a, b, x], [ifelse(a, inner, x), x.sum()])
    for flags, want, ran in (((0, 1), 1, []), ((1, 0), 2, ["inner"]), ((1, 1), 4, ["inner", "deep"])):
        record.runs.clear()
        assert f(*flags, [1.0])[0][0] == want and record.runs == ran


def test_needed_elsewhere(function, record):
    """What the condition, the other branch or another output needs is computed outside, once."""
    c, x = T.bscalar("c"), T.dvector("x")
    p, q, r = record("condition", x.sum()), record("both", x * 2), record("output", x + 3)
    f = function([c, x], [ifelse(T.gt(p, 0), q + r + p, q), r])
    f(0, [1.0])
    assert sorted(record.runs) == ["both", "condition", "output"]


def test_two_conditionals(function, record):
    """A value that two conditionals use is outside both; a chain within one branch goes in as a whole."""
    c, x = T.bscalar("c"), T.dvector("x")
    v = record("v", x * 3)
    w = record("w2", record("w1", x) * 2)
    f = function([c, x], [ifelse(c, v + w, x), ifelse(c, x, v)])
    f(0, [1.0])
    assert record.runs == ["v"]


def test_in_a_step(function, record):
    """Lazy inside the step of a loop, in a loop in a loop too; and a loop in a branch."""
    x, n = T.dvector("x"), T.lscalar("n")

    def step(v, h):
        return ifelse(T.gt(v, 0), record("up", h + v), record("down", x[T.cast(h, "int64")]))

    out, _ = scan(step, sequences=x, outputs_info=T.constant(0.0, dtype="float64"))
    f = function([x], out)
    np.testing.assert_array_equal(f([1.0, 2.0, 3.0]), [1, 3, 6])
    assert record.runs == ["up"] * 3
    with pytest.raises(weft.BoundsError):
        f([1.0, 2.0, -1.0])
    record.runs.clear()
    rows, _ = scan(lambda k: scan(step, sequences=x, outputs_info=T.cast(k, "float64"))[0], sequences=T.arange(2))
    np.testing.assert_array_equal(function([x], rows)([1.0, 2.0]), [[1, 3], [2, 4]])
    assert record.runs == ["up"] * 4
    loop, _ = scan(lambda v, h: (record("step", h) + v, until(h > 9)), sequences=x, outputs_info=x[n])
    record.runs.clear()
    assert function([x, n], ifelse(T.lt(n, 3), loop.sum(), x[0]))([1.0, 2.0], 5) == 1
    assert record.runs == []


def test_run_time_length_bound_outside(function):
    """One branch computes the places, the other uses their number only: both see the one outside."""
    c, x = T.bscalar("c"), T.dvector("x")
    (where,) = (x > 0).nonzero()
    f = function([c, x], ifelse(c, x[where] * 2, T.zeros((where.shape[0],))))
    np.testing.assert_array_equal(f(1, [1.0, -1, 3]), [2, 6])
    np.testing.assert_array_equal(f(0, [1.0, -1, 3]), [0, 0])


def test_derivatives():
    for flag in (0, 1):
        check(
            lambda x, y, flag=flag: ifelse(T.constant(flag), T.sin(x * y), (x**2)[:2].sum() + y),
            np.array([0.3, 0.7, -0.2]) if flag else np.array(0.4).reshape(1),
            np.array([0.3, 0.1, 1.2]) if flag else np.array(0.4).reshape(1),
            order=2,
        )
    check(
        lambda x, y: [o * 2 for o in ifelse(T.gt(x.sum(), 0), [x * y, x, y.sum()], [y, T.exp(x), x[0] * 2])],
        np.array([0.3, -0.9, 0.2]),
        np.array([0.3, 0.1, 1.2]),
        order=2,
    )


def test_gradient_where_lengths_differ(function):
    c, x, y = T.bscalar("c"), T.dvector("x"), T.dvector("y")
    cost = T.sqr(ifelse(c, x[x > 0], y)).sum()
    f = function([c, x, y], weft.grad(cost, [x, y]))
    for flag, want in ((1, ([2, 0, 4], [0] * 3)), (0, ([0, 0, 0], [10, 12, 14]))):
        for g, w in zip(f(flag, [1.0, -1, 2], [5.0, 6, 7]), want, strict=True):
            np.testing.assert_array_equal(g, w)


def test_structure_after_the_pass(function):
    """before: ifelse(c, x*y, x) of identities; after: the product is in its branch, x and y are what enters."""
    c, x, y = T.bscalar("c"), T.dvector("x"), T.dvector("y")
    f = function([c, x, y], ifelse(c, T.exp(x * y), x))
    if not hasattr(f.executor, "region"):
        return
    r = f.executor.region
    outside = {n.op for n in topological(r.outputs)}
    assert not outside & {"exp", "mul"}
    node = next(n for n in topological(r.outputs) if n.op == "ifelse")
    assert [n.op for n in topological(node.attr("then").outputs) if n.family != "leaf"] == ["mul", "exp"]
    assert node.attr("orelse").outputs == (node.attr("orelse").params[0],)
    assert not any(c.kind == "eq" for c in r.checks) and any(c.kind == "eq" for c in node.attr("then").checks)


def test_deep_nesting_and_many(function):
    """No recursion over conditionals within conditionals, and time linear in their number."""
    x = T.dscalar("x")
    out = x
    for k in range(3 * DEPTH):
        out = ifelse(T.gt(x, k), out * 2, out + 1)
    assert function([x], out)(-1.0) == -1 + 3 * DEPTH
    chain = x
    for k in range(3 * DEPTH):
        chain = ifelse(T.gt(x, k), T.exp(T.constant(float(k), dtype="float64")), chain * 1)
    assert function([x], chain)(-1.0) == -1
    f = function([x], chain)
    if hasattr(f.executor, "region"):
        assert depth(f.executor.region) == DEPTH + 1
    many = T.add(*[ifelse(T.gt(x, k), x * k, x + k) for k in range(500)])
    assert function([x], many)(-1.0) == sum(k - 1 for k in range(500))


def depth(region):
    """How many regions lie within each other."""
    deepest, stack = 0, [(region, 0)]
    while stack:
        r, d = stack.pop()
        deepest = max(deepest, d)
        stack += [(v, d + 1) for n in topological(r.outputs) for _, v in n.attrs if isinstance(v, Region)]
    return deepest


def test_mistakes():
    x, c = T.dvector("x"), T.bscalar("c")
    for make, error, text in (
        (lambda: ifelse(x, x, x), weft.ShapeError, "the condition of ifelse is a scalar; x has 1"),
        (
            lambda: ifelse(c, [x], x, name="pick"),
            weft.ArgumentError,
            "branches of ifelse 'pick' .* a list of 1 and one value",
        ),
        (lambda: ifelse(c, x, T.fvector("y")), weft.DTypeError, "output 0 of ifelse is x : .*float64.* y : .*float32"),
        (lambda: ifelse(c, x, x.sum()), weft.ShapeError, "same number of dimensions"),
    ):
        with pytest.raises(error, match=text):
            make()


def test_numbers_as_branches(function):
    c, x = T.bscalar("c"), T.fscalar("x")
    out = ifelse(c, 0, x)
    assert out.dtype == "float32" and function([c, x], out)(1, 3) == 0


def test_clone_and_givens(function):
    c, x, y = T.bscalar("c"), T.dvector("x"), T.dvector("y")
    out = ifelse(c, x[5], x.sum())
    assert function([c, y], weft.clone(out, {x: y * 2}))(0, [1.0, 2]) == 6
    assert function([c, y], out, givens={x: y * 2})(0, [1.0, 2]) == 6


def test_lengths_that_a_branch_needs_are_known_inside_kernels(function):
    """A branch takes a length as a value that is stored; that it is at least 1 has to stay known where it is read."""
    c, x = T.dscalar("c"), T.tensor("float64", shape=(None, 1), name="x")
    last = scan(lambda e, s: s + e.sum(), sequences=[x], outputs_info=[T.dot(x.T, x)])[0][-1]
    cost = T.mean(ifelse(c > 1, T.concatenate([last, x], axis=0) * 0.5, T.exp(-abs(last))))
    f = function([c, x], weft.grad(cost, x))
    a = np.array([[0.5], [-0.25], [1.0]])
    np.testing.assert_allclose(f(2, a), (2 * a + 1 + 1) * 0.5 / 4, 1e-12)
    total = np.sum(a * a) + a.sum()
    np.testing.assert_allclose(f(0, a), -np.exp(-abs(total)) * (2 * a + 1), 1e-12)
