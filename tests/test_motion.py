"""Code motion out of loops: by structure, and the same values as before, whatever the lengths."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import scan
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.node import Region
from weft.compiler.ir.ops.control import stacks_backwards
from weft.compiler.ir.regions import nested_nodes
from weft.compiler.ir.verify import verify
from weft.compiler.simplify import simplify
from weft.compiler.simplify.loops import tidy_loops
from weft.compiler.simplify.motion import move
from weft.ifelse import ifelse
from weft.runtime.errors import ShapeError

RNG = np.random.default_rng(7)


def array(*shape):
    return RNG.normal(size=shape)


def moved(ins, outs, *args) -> Region:
    """The region after motion, which gives what it gave before."""
    f = weft.function(ins, outs, mode="interpret", on_unused_input="ignore")
    before = simplify(tidy_loops(f.executor.region))
    after = move(before)
    verify(after)
    assert move(simplify(after)) is simplify(after)
    values = [np.asarray(a) for a in args] + [s.array() for s in f.storages]
    for want, have in zip(evaluate(before, values), evaluate(after, values), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)
    compiled = weft.function(ins, outs, on_unused_input="ignore")
    for want, have in zip(evaluate(before, values), compiled(*args), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)
    return simplify(after)


def loop_ops(r: Region) -> list[str]:
    """The operations of steps."""
    return [n.op for inner, nodes in nested_nodes(r) if inner is not r for n in nodes]


def outer_ops(r: Region) -> list[str]:
    return [n.op for n in r.nodes()]


def scans(r: Region):
    return [n for n in r.nodes() if n.op == "scan"]


X, H = T.dtensor3("x"), T.dmatrix("h")
W, U = T.dmatrix("w"), T.dmatrix("u")


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_product_of_a_sequence_runs_before_the_loop(steps):
    out, _ = scan(lambda x, h, w, u: T.tanh(T.dot(x, w) + T.dot(h, u)), X, [H], [W, U])
    r = moved([X, H, W, U], [out], array(steps, 2, 3), array(2, 4), array(3, 4), array(4, 4))
    assert loop_ops(r).count("dot") == 1 and outer_ops(r).count("dot") == 1


def test_of_vectors_too():
    x, h = T.dmatrix("x"), T.dvector("h")
    out, _ = scan(lambda x, h, w, u: T.tanh(T.dot(w, x) + T.dot(h, u)), x, [h], [W, U])
    r = moved([x, h, W, U], [out], array(5, 3), array(4), array(4, 3), array(4, 4))
    assert loop_ops(r).count("dot") == 1 and outer_ops(r).count("dot") == 1


def test_a_longer_sequence_is_cut():
    out, _ = scan(lambda x, h, w: h + T.dot(x, w), X, [H], [W], n_steps=3)
    r = moved([X, H, W], [out], array(7, 2, 3), array(2, 4), array(3, 4))
    assert "dot" not in loop_ops(r)


def test_what_depends_on_constants_alone():
    v = T.dvector("v")
    out, _ = scan(lambda x, h, w, v: T.tanh(T.dot(h, T.dot(w, w.T)) * T.exp(v)) + x, X, [H], [W, v])
    r = moved([X, H, W, v], [out], array(4, 2, 3), array(2, 3), array(3, 5), array(3))
    assert loop_ops(r).count("dot") == 1 and "exp" not in loop_ops(r) and "exp" in outer_ops(r)


def test_cheap_values_of_constants_stay():
    v = T.dvector("v")
    out, _ = scan(lambda x, h, v: T.tanh(h * (v + 1)) + x, X, [H], [v])
    r = moved([X, H, v], [out], array(4, 2, 3), array(2, 3), array(3))
    assert "add" not in outer_ops(r)


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_products_that_are_added_up(steps):
    a, b, s = T.dtensor3("a"), T.dtensor3("b"), T.dmatrix("s")
    total, _ = scan(lambda a, b, s: s + T.dot(a.T, T.tanh(b)), [a, b], [s])
    r = moved([a, b, s], [total[-1] if steps else total], array(steps, 5, 2), array(steps, 5, 3), array(2, 3))
    assert ("dot" in loop_ops(r)) == (steps == 0)  # the whole history is read


def test_beside_other_terms():
    a, b, s = T.dtensor3("a"), T.dtensor3("b"), T.dmatrix("s")

    def step(a, b, s):
        return T.dot(a, b) + (s + T.outer(a[0], b[:, 0]) + T.dot(b.T, a.T).T) + T.exp(a[:, 0]).dimshuffle(0, "x")

    total, _ = scan(step, [a, b], [s])
    r = moved([a, b, s], [total[-1]], array(4, 3, 3), array(4, 3, 3), array(3, 3))
    assert "dot" not in loop_ops(r) and "exp" in loop_ops(r)


def test_not_where_the_sum_is_read():
    a, s = T.dtensor3("a"), T.dmatrix("s")
    (total, seen), _ = scan(lambda a, s: (s + T.dot(a.T, a), s.sum()), a, [s, None])
    r = moved([a, s], [total[-1], seen], array(4, 5, 3), array(3, 3))
    assert "dot" in loop_ops(r)


def test_half_floats_keep_their_roundings():
    a, s = T.tensor3("a", dtype="float16"), T.matrix("s", dtype="float16")
    total, _ = scan(lambda a, s: s + T.dot(a.T, a), a, [s])
    f = weft.function([a, s], total[-1], mode="interpret")
    r = move(simplify(f.executor.region))
    assert "dot" in loop_ops(r)


def test_a_product_that_no_step_reads():
    (h, y), _ = scan(lambda x, h, w: (T.tanh(h + x), T.dot(T.tanh(h + x), w)), X, [H, None], [W])
    r = moved([X, H, W], [h, y], array(4, 2, 3), array(2, 3), array(3, 5))
    assert "dot" not in loop_ops(r) and outer_ops(r).count("dot") == 1


def test_gradients_of_recurrent_networks():
    """Of the loop back there are one product, and rows in the order of the loop forward."""
    out, _ = scan(lambda x, h, w, u: T.tanh(T.dot(x, w) + T.dot(h, u)), X, [H], [W, U])
    grads = weft.grad(T.sqr(out).sum(), [X, H, W, U])
    r = moved([X, H, W, U], grads, array(5, 2, 3), array(2, 4), array(3, 4), array(4, 4))
    forward, back = scans(r)
    assert not stacks_backwards(forward) and stacks_backwards(back)
    assert [n.op for n in back.attr("step").nodes()].count("dot") == 1
    assert not any(n.op == "slice" and n.inputs[0].op == "item" and n.inputs[0].inputs[0] is back for n in r.nodes())


def test_the_loop_back_reads_the_products_of_the_loop_forward():
    n = 4

    def step(x, h, w):
        gates = x + T.dot(h, w)
        return T.nnet.sigmoid(gates[:, :n]) * T.tanh(gates[:, n:])

    x = T.dtensor3("x")
    out, _ = scan(step, x, [H], [W])
    r = moved([x, H, W], weft.grad(out.sum(), [x, H, W]), array(5, 2, 2 * n), array(2, n), array(n, 2 * n))
    dots = [sum(m.op == "dot" for m in s.attr("step").nodes()) for s in scans(r)]
    assert dots == [1, 1]


def test_loops_in_loops_and_branches():
    from weft.ifelse import ifelse

    c = T.dscalar("c")

    def inner(w, h):
        return scan(lambda x, h, w: T.tanh(T.dot(x, w) + h), X, [h], [w])[0][-1]

    out, _ = scan(lambda h, w: ifelse(c > 0, inner(w, h), h * 2), outputs_info=[H], non_sequences=[W], n_steps=3)
    for value in (1.0, -1.0):
        moved([X, H, W, c], [out, *weft.grad(out.sum(), [H, W])], array(4, 2, 3), array(2, 3), array(3, 3), value)


def test_until_is_left_alone():
    from weft.scan_module import until

    out, _ = scan(lambda x, h, w: (h + T.dot(x, w), until(h.sum() > 1e9)), X, [H], [W])
    r = moved([X, H, W], [out], array(4, 2, 3), array(2, 4), array(3, 4))
    assert "dot" in loop_ops(r)


def test_an_error_in_the_loop_is_one_only_if_the_loop_runs():
    b, s = T.dtensor3("b"), T.dmatrix("s")
    total, _ = scan(lambda a, b, s: s + T.dot(a.T, b), [X, b], [s])
    loss = T.sqr(total).sum()
    f = weft.function([X, b, s], [total, *weft.grad(loss, [X, b, s])])
    f(array(0, 2, 3), array(0, 5, 7), array(3, 4))  # neither 2 and 5 nor 7 and 4 are compared
    for shapes in (((1, 2, 3), (1, 5, 4)), ((1, 2, 3), (1, 2, 7)), ((2, 2, 2), (2, 2, 4))):
        with pytest.raises(ShapeError, match=r"test_motion\.py"):
            f(*map(lambda s: array(*s), shapes), array(3, 4))


def test_a_weight_in_the_step_whose_gradient_needs_its_lengths():
    """The state that added up the gradient of w is gone; its lengths are still compared, in every step."""
    g = weft.function(
        [X, H, W, U],
        weft.grad(scan(lambda x, h, w, u: T.tanh(T.dot(x, w) + T.dot(h, u)), X, [H], [W, U])[0].sum(), [W, U]),
    )
    gw, gu = g(array(5, 2, 3), array(2, 4), array(3, 4), array(4, 4))
    assert gw.shape == (3, 4) and gu.shape == (4, 4)
    with pytest.raises(ShapeError):
        g(array(5, 2, 3), array(2, 4), array(2, 4), array(4, 4))
    gw, gu = g(array(0, 2, 3), array(2, 4), array(3, 4), array(4, 4))
    assert not gw.any() and not gu.any()


def test_messages_are_those_of_the_step():
    out, _ = scan(lambda x, h, w, u: T.tanh(T.dot(x, w) + T.dot(h, u)), X, [H], [W, U])
    f = weft.function([X, H, W, U], [out, *weft.grad(out.sum(), [W, U])])
    with pytest.raises(ShapeError, match=r"inner lengths of dot: 3 and 2 differ(.|\n)*x\[t\](.|\n)*test_motion\.py"):
        f(array(5, 2, 3), array(2, 4), array(2, 4), array(4, 4))
    with pytest.raises(ShapeError, match=r"axis 1 of the arguments of add: 4 and 5 differ(.|\n)*test_motion\.py"):
        f(array(5, 2, 3), array(2, 4), array(3, 4), array(4, 5))
    assert f(array(0, 2, 3), array(2, 4), array(2, 4), array(4, 4))[0].shape == (0, 2, 4)


def test_results_of_several_values_that_do_not_change():
    v = T.TensorType("float64", shape=(3, 3))("v")  # of no elements the maximum would be an error of the step

    def step(x, h, v):
        top, at = T.max_and_argmax(v, axis=1)
        return T.tanh(h + x) * top + at

    x = T.dmatrix("x")
    out, _ = scan(step, x, [v[0]], [v])
    r = moved([x, v], [out], array(4, 3), array(3, 3))
    assert "max_and_argmax" not in loop_ops(r) and "max_and_argmax" in outer_ops(r)


def test_transposed_factors_are_put_in_order_once():
    out, _ = scan(lambda h, w: T.tanh(T.dot(h, w.T)), outputs_info=[H], non_sequences=[W], n_steps=5)
    r = moved([H, W], [out], array(2, 3), array(3, 3))
    assert "dimshuffle" not in loop_ops(r)


def test_factors_that_are_computed_are_computed_once():
    """A product needs its operand in memory; read by nothing but elements, cheap values of constants stay."""
    out, _ = scan(lambda h, w: T.tanh(T.dot(h, w * 0.1)) + w * 2, outputs_info=[H], non_sequences=[W], n_steps=5)
    r = moved([H, W], [out], array(4, 4), array(4, 4))
    assert loop_ops(r).count("mul") == 1 and outer_ops(r).count("mul") == 1


def test_a_loop_of_nothing_but_products_is_gone():
    y, _ = scan(lambda x, w: T.dot(x, w), X, None, [W])
    r = moved([X, W], [y], array(4, 2, 3), array(3, 5))
    assert not scans(r)


def test_a_product_that_is_stretched_is_added_by_the_steps():
    a, s = T.TensorType("float64", shape=(None, 1, 5))("a"), T.dmatrix("s")
    total, _ = scan(lambda a, s: s + T.addbroadcast(T.dot(a, a.T), 0, 1), a, [s])
    r = moved([a, s], [total[-1]], array(4, 1, 5), array(3, 3))
    assert "dot" in loop_ops(r)


def test_gradients_of_a_loop_of_nothing_but_products():
    y, _ = scan(lambda x, w: T.dot(x, w), X, None, [W])
    g = T.dtensor3("g")
    r = moved([X, W, g], weft.grad((y * g).sum(), [X, W]), array(4, 2, 3), array(3, 5), array(4, 2, 5))
    assert not scans(r)


UNEVEN = {
    "rows up to a number": lambda x, w, i: scan(lambda i, a: a + T.dot(x[:i].T, x[:i]), i, [w])[0][-1],
    "some rows": lambda x, w, i: scan(lambda r, a: a + T.dot(some(w, r).T, some(w, r)), x, [w])[0][-1],
    "parts": lambda x, w, i: scan(lambda r: T.dot(T.concatenate([r[r > 0], r[r <= 0]]), w), x)[0],
    "a branch": lambda x, w, i: scan(lambda r: T.dot(ifelse(T.gt(r.sum(), 0), r, w[0]), w), x)[0],
    "gradient of a branch": lambda x, w, i: weft.grad(branching(x, w).sum(), w),
    "gradient of rows": lambda x, w, i: weft.grad(T.sqr(scan(lambda i: T.dot(x[:i], w).sum(0), i)[0]).sum(), w),
}


def some(w, r):
    return w[T.nonzero(r > 0)[0]]


def branching(x, w):
    return scan(lambda h: ifelse(T.gt(h.sum(), 0), T.tanh(T.dot(h, w)), h + 1), None, x[0], n_steps=3)[0]


@pytest.mark.parametrize("name", UNEVEN)
def test_products_of_other_lengths_in_each_step_stay_in_the_loop(name):
    x, w, i = T.dmatrix("x"), T.dmatrix("w"), T.lvector("i")
    out = UNEVEN[name](x, w, i)
    args = array(4, 5), array(5, 5), np.array([1, 3, 2])
    f, g = (weft.function([x, w, i], out, mode=mode, on_unused_input="ignore") for mode in ("compile", "interpret"))
    np.testing.assert_allclose(f(*args), g(*args), rtol=1e-9, atol=1e-12)
