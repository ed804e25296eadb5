"""What simplification is for: stable losses and their gradients; and that programs keep their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rewrite_samples import PARAMS, M, N, closed, values

import weft
import weft.tensor as T
from weft.compiler.graph.function import declare
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import Region, build, constant
from weft.compiler.simplify import SETTLING, onehot, simplify
from weft.compiler.simplify.common import weight
from weft.runtime.errors import BoundsError


def program(inputs, outputs) -> Region:
    return simplify(declare(inputs, outputs, None, None, False, None, True, None, "ignore").lowered.region)


def ops(r: Region) -> set[str]:
    return {n.op for n in r.nodes()}


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


LOGITS = np.array([[1000.0, -1000.0, 0.0, 3.0], [-1000.0, -1000.0, 1000.0, 999.0], [0.1, 0.2, 0.3, 0.4]])
CLASSES = np.array([1, 2, -1])


# ---- forms that pay where nothing else reads an operand --------------------------------------------------------------


def gelu(x):
    return 0.5 * x * (1 + T.tanh(0.79788456 * (x + 0.044715 * x**3)))


def test_a_gelu_is_a_sigmoid_and_its_gradient_keeps_the_tangent():
    """Where both are read (1 - tanh^2 is in the gradient), to compute both would be twice the work."""
    x = T.dvector("x")
    assert ops(program([x], [gelu(x)])) & {"tanh", "sigmoid"} == {"sigmoid"}
    assert ops(program([x], [weft.grad(gelu(x).sum(), x)])) & {"tanh", "sigmoid"} == {"tanh"}


def test_one_plus_a_tangent_near_minus_one_is_to_full_precision():
    x = T.dvector("x")
    points = np.array([-18.0, -9.0, -1.0, 0.0, 2.0, -300.0])
    np.testing.assert_allclose(weft.function([x], 1 + T.tanh(x))(points), 2 / (1 + np.exp(-2 * points)), rtol=1e-14)
    np.testing.assert_allclose(weft.function([x], 1 - T.tanh(-x))(points), 2 / (1 + np.exp(-2 * points)), rtol=1e-14)


# ---- classes given by number ----------------------------------------------------------------------------------------


def class_loss(dtype):
    x, y = T.matrix("x", dtype=dtype), T.lvector("y")
    return x, y, T.nnet.categorical_crossentropy(T.nnet.softmax(x), y).mean()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("with_loss", [True, False])
def test_the_gradient_of_softmax_and_class_loss(dtype, with_loss):
    x, y, loss = class_loss(dtype)
    grad = weft.grad(loss, x)
    r = program([x, y], [loss, grad] if with_loss else [grad])
    assert "scatter" not in ops(r)
    assert not any(n.op == "truediv" and n.inputs[1].op == "exp" for n in r.nodes())
    logits = LOGITS.astype(dtype)
    *found, g = evaluate(r, [logits, CLASSES])
    onehot_ = np.eye(4)[CLASSES]
    np.testing.assert_allclose(g, (softmax(logits) - onehot_) / 3, rtol=1e-6, atol=1e-7)
    if with_loss:
        log_p = logits - logits.max(1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
        np.testing.assert_allclose(found[0], -log_p[np.arange(3), CLASSES].mean(), rtol=1e-6)


@pytest.mark.parametrize("bad", [4, -5])
@pytest.mark.parametrize("with_loss", [True, False])
def test_an_index_out_of_range_stays_an_error(bad, with_loss):
    x, y, loss = class_loss("float64")
    r = program([x, y], [loss, weft.grad(loss, x)] if with_loss else [weft.grad(loss, x)])
    with pytest.raises(BoundsError):
        evaluate(r, [LOGITS, np.array([0, bad, 1])])


def test_a_sum_of_a_scatter_that_alone_checks_its_index_stays():
    x, y = T.matrix("x"), T.lvector("y")
    picked = T.zeros_like(x)
    g = T.inc_subtensor(picked[T.arange(x.shape[0]), y], x[:, 0]).sum(axis=1)
    r = program([x, y], [g])
    with pytest.raises(BoundsError):
        evaluate(r, [LOGITS, np.array([0, 4, 1])])
    np.testing.assert_allclose(evaluate(r, [LOGITS, CLASSES])[0], LOGITS[:, 0])


def test_the_logarithm_of_picked_probabilities():
    x, y = T.matrix("x"), T.lvector("y")
    loss = -T.log(T.nnet.softmax(x)[T.arange(x.shape[0]), y]).sum()
    (value,) = evaluate(program([x, y], [loss]), [LOGITS, CLASSES])
    assert np.isfinite(value) and value > 2000


# ---- classes given by a distribution --------------------------------------------------------------------------------


def test_the_gradient_of_softmax_and_distribution_loss():
    x, t = T.matrix("x"), T.matrix("t")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(x), t).sum()
    r = program([x, t], [loss, weft.grad(loss, x)])
    target = np.full((3, 4), 0.25)
    value, g = evaluate(r, [LOGITS, target])
    assert np.isfinite(value)
    np.testing.assert_allclose(g, softmax(LOGITS) - target, atol=1e-12)


# ---- two classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("sigmoid", ["sigmoid", "written"])
def test_sigmoid_and_binary_loss(dtype, reduce, sigmoid):
    z, t = T.vector("z", dtype=dtype), T.vector("t", dtype=dtype)
    p = T.nnet.sigmoid(z) if sigmoid == "sigmoid" else 1 / (1 + T.exp(-z))
    loss = getattr(T.nnet.binary_crossentropy(p, t), reduce)()
    r = program([z, t], [loss, weft.grad(loss, z)])
    assert "exp" not in ops(r) and "log" not in ops(r)
    zs, ts = np.array([1000, -1000, 0.5, -3, 100], dtype), np.array([0, 1, 0.25, 1, 1], dtype)
    value, g = evaluate(r, [zs, ts])
    s = 0.5 * (1 + np.tanh(zs / 2))
    scale = 1 / 5 if reduce == "mean" else 1
    want = (ts * np.logaddexp(0, -zs) + (1 - ts) * np.logaddexp(0, zs)).sum() * scale
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(g, (s - ts) * scale, rtol=1e-5, atol=1e-7)
    assert sum(n.op in ("sigmoid", "softplus") for n in r.nodes()) == 3


@pytest.mark.parametrize("written, z, wanted", [
    (lambda z: T.log(1 / (1 + T.exp(-z))), -1000.0, -1000.0),
    (lambda z: T.log(1 - T.nnet.sigmoid(z)), 1000.0, -1000.0),
    (lambda z: T.log(1 + T.exp(z)), 1000.0, 1000.0),
    (lambda z: T.log(1 + z), 1e-20, 1e-20),
    (lambda z: T.exp(z) - 1, 1e-20, 1e-20),
    (lambda z: T.log(T.nnet.sigmoid(z)), -1000.0, -1000.0),
    (lambda z: 1 - T.nnet.sigmoid(z), 50.0, np.exp(-50.0)),
    (lambda z: T.log(T.exp(z)), 1000.0, 1000.0),
], ids=range(8))  # fmt: skip
def test_stable_forms(written, z, wanted):
    x = T.vector("x")
    (value,) = evaluate(program([x], [written(x)]), [np.array([z])])
    np.testing.assert_allclose(value, [wanted], rtol=1e-12)


@pytest.mark.parametrize("written", [
    lambda t, z, p: -t * T.log(p) - (1 - t) * T.log(1 - p),
    lambda t, z, p: -(T.log(p) * t + T.log(1 - p) * (1.0 - t)),
    lambda t, z, p: t * T.log(1 + T.exp(-z)) + (1 - t) * T.log(1 + T.exp(z)),
    lambda t, z, p: T.switch(t > 0, -T.log(p), -T.log(1 - p)),
], ids=range(4))  # fmt: skip
@pytest.mark.parametrize("reduce", [T.sum, T.mean], ids=["sum", "mean"])
@pytest.mark.parametrize("sigmoid", [T.nnet.sigmoid, lambda z: 1 / (1 + T.exp(-z))], ids=["sigmoid", "written"])
def test_gradients_of_losses_written_out(written, reduce, sigmoid):
    """Theano's logistic regression: the gradient is p - t, however far the score is from 0."""
    t, z = T.vectors("t", "z")
    loss = reduce(written(t, z, sigmoid(z)))
    scores, targets = np.array([-1e3, -800, -40, 0.5, 3, 40, 800, 1e3]), np.arange(8) % 2.0
    (g,) = evaluate(program([t, z], [weft.grad(loss, z)]), [targets, scores])
    scale = 1 / 8 if reduce is T.mean else 1
    np.testing.assert_allclose(g, (0.5 * (1 + np.tanh(scores / 2)) - targets) * scale, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("written, wanted", [
    (lambda z: T.log(1 + T.exp(z)), lambda z: 0.5 * (1 + np.tanh(z / 2))),
    (lambda z: T.log(1 - T.nnet.sigmoid(z)), lambda z: -0.5 * (1 + np.tanh(z / 2))),
    (lambda z: 1 / (1 + T.exp(-z)), lambda z: 0.25 * (1 - np.tanh(z / 2) ** 2)),
    (lambda z: T.log(1 + T.exp(1 - 2 * z)), lambda z: -1 + np.tanh(z - 0.5)),
], ids=range(4))  # fmt: skip
def test_gradients_of_stable_forms(written, wanted):
    z, at = T.vector("z"), np.array([-1e3, -20, 0, 1, 20, 1e3])
    (g,) = evaluate(program([z], [weft.grad(written(z).sum(), z)]), [at])
    np.testing.assert_allclose(g, wanted(at), rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, None, (0, 1)], ids=str)
def test_sums_of_exponentials_do_not_overflow(axis):
    x = T.matrix("x")
    total = T.exp(x).sum(axis)
    outs = [T.log(total), T.exp(x) / T.exp(x).sum(axis, keepdims=True), weft.grad(T.log(total).sum(), x)]
    top = LOGITS.max(axis, keepdims=True)
    e = np.exp(LOGITS - top)
    part = e / e.sum(axis, keepdims=True)
    r = program([x], outs)
    wanted = [np.log(e.sum(axis)) + top.reshape(e.sum(axis).shape), part, part]
    for found, want in zip(evaluate(r, [LOGITS]), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-15)
    assert [n.op for n in r.nodes()].count("exp") == 1
    infinite = np.array([[-np.inf, -np.inf], [np.inf, 0]])
    assert evaluate(program([x], [T.log(T.exp(x).sum(1))]), [infinite])[0].tolist() == [-np.inf, np.inf]
    compiled = weft.function([x], outs)
    for found, want in zip(compiled(LOGITS), evaluate(r, [LOGITS]), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-15)
    assert compiled(np.zeros((0, 0)))[1].shape == (0, 0)


# ---- any program ----------------------------------------------------------------------------------------------------

UNARY = ("neg", "exp", "log", "sqrt", "sqr", "abs", "sigmoid", "softplus", "log1p", "expm1", "reciprocal", "tanh")
BINARY = ("add", "sub", "mul", "truediv", "maximum", "minimum")
CONSTANTS = (0.0, 1.0, -1.0, 2.0, 0.5, 3.0)


@st.composite
def graphs(draw):
    pool = [PARAMS[n] for n in ("x", "y", "row", "col")] + [constant([[c]], "float64") for c in CONSTANTS]
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(st.integers(0, 9))
        if kind < 3:
            pool.append(build(draw(st.sampled_from(UNARY)), draw(st.sampled_from(pool))))
        elif kind < 8:
            pool.append(build(draw(st.sampled_from(BINARY)), draw(st.sampled_from(pool)), draw(st.sampled_from(pool))))
        elif kind == 8:
            axis = draw(st.integers(0, 1))
            kept = build(draw(st.sampled_from(("sum", "max"))), draw(st.sampled_from(pool)), axes=(axis,))
            pool.append(build("dimshuffle", kept, order=("x", 0) if axis == 0 else (0, "x")))
        else:
            pool.append(build("alloc", draw(st.sampled_from(pool)), *PARAMS["x"].axes) if draw(st.booleans()) else
                        build("switch", build("lt", draw(st.sampled_from(pool)), draw(st.sampled_from(pool))),
                              draw(st.sampled_from(pool)), draw(st.sampled_from(pool))))  # fmt: skip
    return closed(*pool[-2:])


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(0, 5))
def test_random_programs_keep_their_values(r, seed):
    new = simplify(r)
    assert simplify(new) is new
    compared = [x for n in r.nodes() if n.op == "lt" for x in n.inputs]
    # 0/0 may be 1 (L5), and a choice made by comparing it another one.
    assume(all(np.isfinite(v).all() for v in values(closed(*compared), seed)) if compared else True)
    exact = values(r, seed)
    for have, want in zip(values(new, seed), exact, strict=True):
        assert have.shape == want.shape and have.dtype == want.dtype
        # Where the program overflows or is undefined, licences allow a number; finite values stay.
        usual = np.isfinite(want) & (np.abs(want) < 1e12)
        # Differences of nearly equal terms keep their absolute error only.
        np.testing.assert_allclose(have[usual], want[usual], rtol=1e-5, atol=1e-5)


# ---- planted faults -------------------------------------------------------------------------------------------------


def test_a_wrong_rule_is_seen(monkeypatch):
    """The comparisons above see a rule that is wrong in sign."""
    from weft.compiler.ir.rewrite import Pass, Rule, apply, weigh

    wrong = Pass("wrong", [Rule("w", "neg(sub(x, y))", "sub(x, y)")], weigh(weight))
    r = closed(build("neg", build("sub", PARAMS["x"], PARAMS["y"])))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(values(apply(wrong, r))[0], values(r)[0])


def test_without_the_rules_for_losses_the_gradient_is_not_a_number():
    from weft.compiler.simplify import settle

    x, y, loss = class_loss("float32")
    lowered = declare([x, y], [weft.grad(loss, x)], None, None, False, None, True, None, "ignore").lowered.region
    r = settle(tuple(p for p in SETTLING if p is not onehot), lowered)
    (g,) = evaluate(r, [LOGITS.astype("float32"), CLASSES])
    assert g.shape == (N, M) and not np.isfinite(g).all()


def test_a_rule_that_grows_is_seen_by_the_measure():
    from weft.compiler.ir.rewrite import Pass, Rule, apply, weigh

    grows = Pass("grows", [Rule("g", "exp(x)", "neg(neg(log(x)))")], weigh(weight))
    r = closed(build("exp", PARAMS["x"]))
    assert grows.measure(apply(grows, r)) > grows.measure(r)


X, C, S, L, Z = T.dvector("x"), T.dscalar("c"), T.fvector("s"), T.lvector("l"), T.zvector("z")
GRID, TALL = T.dmatrix("grid"), T.dmatrix("tall")
HALVES = TALL[TALL.shape[0] // 2 :]
PICKED = T.arange(L.shape[0]), L
NONE, FOUR = np.zeros(0), np.arange(1.0, 5.0)
HUGE = np.full(4, 1e308), np.full(4, 3e38, "float32")
KEPT = {
    "sum of none by their number": (lambda: (X / X.shape[0]).sum(), {X: [NONE, FOUR, HUGE[0]]}),
    "sum of none by their sum": (lambda: (X / X.sum()).sum(), {X: [NONE, FOUR]}),
    "sum of none times their mean": (lambda: (X * X.mean()).sum(), {X: [NONE, FOUR]}),
    "sum of none times infinity": (lambda: (X * C).sum(), {X: [NONE, FOUR], C: [np.inf, 3.0]}),
    "sum of none by zero": (lambda: (X / C).sum(), {X: [NONE, FOUR], C: [0.0, 3.0]}),
    "sum of no numbers": (lambda: T.alloc(C, X.shape[0]).sum(), {X: [NONE, FOUR], C: [np.nan, 3.0]}),
    "sums of rows of none": (
        lambda: (X.dimshuffle("x", 0) / C).sum(axis=1) + (X.dimshuffle("x", 0) * C).sum(axis=1),
        {X: [NONE, FOUR], C: [np.inf, 3.0]},
    ),
    "sum of what is made smaller": (lambda: (X * 0.25).sum() + (X / 4).sum(), {X: [HUGE[0]]}),
    "float32 sum of what is made smaller": (lambda: (S * np.float32(0.25)).sum(), {S: [HUGE[1]]}),
    "sum of complex numbers": (lambda: (Z * 2).sum(), {Z: [np.full(4, 3e307 + 0j)]}),
    "large constants of one factor": (lambda: X * 1e308 + X * 1e308, {X: [np.array([0.1, 0.0])]}),
    "constants whose product is tiny": (lambda: X * 1e-160 * 1e-160, {X: [np.array([1e300])]}),
    "float32 constants whose product is tiny": (
        lambda: S * np.float32(1e-20) * np.float32(1e-22), {S: [np.array([1e30], "float32")]},
    ),
    "integers by way of floats": (
        lambda: T.stack([T.cast(L * 1.0, "int64"), T.cast(L + 0.0, "int64"), T.cast(T.cast(L, "float64"), "int64")]),
        {L: [np.array([2**53 + 1, 2**60 + 2**36 + 1])]},
    ),
    "float32 by way of float64": (
        lambda: T.cast(T.cast(L, "float64"), "float32"), {L: [np.array([2**60 + 2**36 + 1, 2**53 + 1])]},
    ),
    "zero of the other sign": (lambda: 1.0 / T.switch(X > 0, np.float64(1), np.float64(-0.0)), {X: [FOUR - 2]}),
    "sums of rows picked in more of them": (
        lambda: T.inc_subtensor(T.zeros((*GRID.shape, 2))[PICKED], S).sum(axis=1) * GRID[PICKED].sum(),
        {GRID: [np.arange(30.0).reshape(6, 5)], L: [np.array([4, 0, 0, -1])], S: [np.array([2, 3], "float32")]},
    ),
    "an axis of length 1 by a length that a rule loses": (
        lambda: GRID * T.alloc(HALVES, 2, GRID.shape[1])[1::2],
        {GRID: [np.arange(6.0).reshape(3, 2)], TALL: [np.arange(6.0).reshape(3, 2), np.ones((4, 2))]},
    ),
    "exponential of a difference": (
        lambda: T.exp((X - X.max(keepdims=True)) - T.log(C)), {X: [np.array([0.0, -800.0])], C: [1e-300]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_values_that_rewriting_has_to_keep(name):
    out, given = KEPT[name][0](), KEPT[name][1]
    f, g = (weft.function(list(given), out, mode=mode) for mode in ("compile", "interpret"))
    for k in range(max(map(len, given.values()))):
        args = [v[min(k, len(v) - 1)] for v in given.values()]
        got, want = f(*args), g(*args)
        exact = want.dtype.kind == "i"
        np.testing.assert_allclose(got, want, rtol=0 if exact else 5e-7 if want.dtype == "float32" else 1e-14)
