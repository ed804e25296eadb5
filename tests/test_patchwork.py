"""Sums of slices set into zeros, and concatenations computed where they lie: by structure and by value."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.schedule.steps import Step

RNG = np.random.default_rng(5)


def array(*shape, dtype="float64"):
    return RNG.normal(size=shape).astype(dtype)


def compared(ins, outs, *args):
    """The compiled function, whose results are the interpreter's."""
    f = weft.function(ins, outs)
    want = weft.function(ins, outs, mode="interpret")(*args)
    for have, w in zip(f(*args), want, strict=True):
        assert have.shape == w.shape and have.dtype == w.dtype
        np.testing.assert_allclose(have, w, rtol=1e-12, atol=1e-14)
    return f


def kernels(f) -> list[Step]:
    return [s for s in f.stages.program.block.steps if s.kind == "kernel"]


def ops(f) -> list[str]:
    return [n.op for n in f.stages.simplified.nodes()]


def gates(x, n, count):
    return [x[:, k * n : (k + 1) * n] for k in range(count)]


X, Y = T.dmatrix("x"), T.dmatrix("y")


def test_the_gradient_of_gates_is_one_kernel():
    i, f, o = gates(X, 5, 3)
    loss = (T.nnet.sigmoid(i) * T.tanh(f) * T.exp(o)).sum()
    g = compared([X], [weft.grad(loss, X)], array(7, 15))
    assert "set_slice" not in ops(g) and ops(g).count("concatenate") == 1
    computing = [s for s in kernels(g) if len(s.outputs) == 3]
    assert len(computing) == 1 and {b.place for b in computing[0].outputs} == {"part"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_in_any_order_along_any_axis(order, axis):
    n = 4
    cuts = [(slice(k * n, (k + 1) * n),) if axis == 0 else (slice(None), slice(k * n, (k + 1) * n)) for k in order]
    loss = sum((T.exp(X[c] * (k + 1))).sum() for k, c in enumerate(cuts))
    g = compared([X], [weft.grad(loss, X)], array(*((12, 3) if axis == 0 else (3, 12))))
    assert "set_slice" not in ops(g)
    # The axis is longer than what is used of it, or ends within it.
    for length in (13, 20, 12):
        compared([X], [weft.grad(loss, X)], array(*((length, 3) if axis == 0 else (3, length))))


def test_shorter_axes_than_slices():
    loss = T.exp(X[:, :4]).sum() + T.tanh(X[:, 4:8]).sum() + T.sqr(X[:, 8:]).sum()
    for length in (0, 1, 4, 5, 8, 9, 30):
        compared([X], [weft.grad(loss, X)], array(3, length))


def test_gaps_and_equal_slices():
    loss = T.exp(X[:, 2:4]).sum() + T.tanh(X[:, 6:8]).sum() + T.sqr(X[:, 2:4]).sum()
    g = compared([X], [weft.grad(loss, X)], array(3, 10))
    assert "set_slice" not in ops(g)


def test_overlapping_slices_are_added():
    loss = T.exp(X[:, 2:5]).sum() + T.tanh(X[:, 4:8]).sum()
    compared([X], [weft.grad(loss, X)], array(3, 10))


def test_stretched_values_are_not_pieces():
    row = T.drow("row")
    out = T.set_subtensor(T.zeros_like(X)[:2], row) + T.set_subtensor(T.zeros_like(X)[2:4], X[2:4])
    compared([X, row], [out], array(6, 3), array(1, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "complex128", "float16"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concatenations_as_results(dtype, axis):
    x, y = T.tensor3("x", dtype=dtype), T.tensor3("y", dtype=dtype)
    a, b = (RNG.integers(0, 2, size=(3, 4, 5)).astype(dtype) for _ in range(2))
    shape = [3, 4, 5]
    shape[axis] = 2
    b = RNG.integers(0, 2, size=shape).astype(dtype)
    out = T.concatenate([x, y, x], axis=axis)
    f = weft.function([x, y], [out, out + out])
    np.testing.assert_array_equal(f(a, b)[0], np.concatenate([a, b, a], axis))
    np.testing.assert_array_equal(f(a, b)[1], np.concatenate([a, b, a], axis) + np.concatenate([a, b, a], axis))


def test_parts_that_others_read_too():
    e = T.exp(X)
    joined = T.concatenate([e, T.tanh(Y), e], axis=1)
    compared([X, Y], [joined, e, T.dot(joined, joined.T), T.concatenate([e, X], axis=1)], array(4, 3), array(4, 6))


def test_products_and_loops_as_parts():
    h, _ = weft.scan(lambda x, h: T.tanh(x + h), X, [T.zeros_like(X[0])])
    out = T.concatenate([T.dot(X, X.T), T.sort(X, axis=1), h, X.sum(axis=1, keepdims=True)], axis=1)
    compared([X], [out, T.sqr(out).sum()], array(5, 6))


def test_in_the_steps_of_a_loop():
    def step(x, h):
        both = T.concatenate([x, T.exp(h)], axis=1)
        return T.tanh(T.dot(both, Y)), both

    x3 = T.dtensor3("x3")
    (h, both), _ = weft.scan(step, x3, [X, None])
    outs = [h, both, *weft.grad(h.sum() + both.sum(), [x3, X, Y])]
    compared([x3, X, Y], outs, array(4, 2, 3), array(2, 5), array(8, 5))


def test_as_the_new_value_of_a_shared_variable():
    s = weft.shared(array(4, 6))
    f = weft.function([X], s.sum(), updates={s: T.concatenate([s[:, 3:] * 2, X], axis=1)})
    before = s.get_value()
    x = array(4, 3)
    for _ in range(3):
        f(x)
        before = np.concatenate([before[:, 3:] * 2, x], axis=1)
        np.testing.assert_allclose(s.get_value(), before)


def test_scalars_put_together():
    a, b = T.dscalar("a"), T.dscalar("b")
    f = weft.function([a, b], [T.stack([a + b, a * b, T.exp(a)]), T.as_tensor_variable([[a, b], [b, a]])])
    v, m = f(2.0, 3.0)
    np.testing.assert_allclose(v, [5, 6, np.exp(2)])
    np.testing.assert_array_equal(m, [[2, 3], [3, 2]])


def test_run_time_lengths():
    k = T.nonzero(X > 0)[0]
    out = T.concatenate([k, k * 2, T.arange(3)])
    compared([X], [out], array(5, 4))


def test_an_output_that_shares_with_a_part_is_computed_beside_it():
    """Kernels of one domain: the later one runs as early as the parts have to, for both need exp(x) * y."""
    both = T.exp(X) * Y
    joined = T.concatenate([both * 2, both + 1], axis=1)
    f = compared([X, Y], [T.dot(joined, joined.T), T.tanh(both)], array(4, 3), array(4, 3))
    assert len(kernels(f)) == 1 and len(kernels(f)[0].outputs) == 3


def test_a_whole_whose_length_is_computed():
    """Where the first part is written follows from the length of the whole, which another kernel computes before."""
    n, m = T.tensor("uint8", shape=(None, None), name="n"), T.lvector("m")
    last = T.arange(T.cast(T.max(n), "int64"))
    v = T.dvector("v")
    p = T.nnet.softmax(v, axis=0)
    outs = [T.concatenate(a) for a in ([v, p, T.exp(v), last], [last * 2.0, v[m], v], [p, v[v.nonzero()]])]
    f, g = (weft.function([n, v, m], outs, mode=mode) for mode in ("compile", "interpret"))
    for k in (3, 0, 7):
        given = np.array([[k]], "uint8"), np.array([0.5, 0, 2]), np.array([2, 0])
        for have, want in zip(f(*given), g(*given), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-14)


def test_one_value_in_two_wholes():
    """It is computed by the kernel that runs first, whose loops it has to fit."""
    p = T.nnet.softmax(X[0], axis=0)
    compared([X], [T.concatenate([X[0], p]), T.concatenate([p, X[0] * 2]), T.concatenate([p, p])], array(2, 5))


def test_a_whole_along_an_axis_whose_length_another_tells():
    """The parts lie along an axis of unknown length, which the loop says to be 3."""
    v = T.tensor("float64", shape=(3, None, 17), name="v")
    rolled = T.roll(v, 0, axis=1)
    mapped = weft.map(lambda m: T.sqr(m) * 0.125 + T.sum(m), [rolled])[0]
    picked = mapped[np.array([-2, 1, -2]), np.array([0, 2, 0])]
    compared([v], [T.set_subtensor(T.zeros_like(rolled)[np.array([-1, 1, 2, -1])], picked)], array(3, 3, 17))


def test_all_and_nothing_is_set():
    """Into a row, whose length is known, from values whose lengths are not."""
    row, m, v = T.drow("row"), T.dmatrix("m"), T.dvector("v")
    into = [row[:], row[-1:], row[0], row[:, 0:], row[0:, 1:], row[1:], m[0:0], m[: m.shape[0]]]
    values = [m[:1], m[:1], v, v, v[1:], 9.0, 9.0, v]
    outs = [f(x, y) for f in (T.set_subtensor, T.inc_subtensor) for x, y in zip(into, values, strict=True)]
    outs += [T.concatenate([m[:0], m[:0]]), T.concatenate([m[:0], m, m[:0] * 2])]
    compared([row, m, v], outs, array(1, 3), array(2, 3), array(3))


@pytest.mark.parametrize("first", [True, False])
def test_the_same_part_in_a_loop_and_outside(first):
    """Zeros in front of something: each concatenation has its own."""

    def padded(x):
        return T.concatenate([T.zeros((4,)) + 0.5, x])

    v = T.dvector("v")
    out, _ = weft.scan(lambda s: T.sort(padded(s * 2))[: s.shape[0]], outputs_info=v, n_steps=2)
    twice, _ = weft.scan(lambda s: T.cumsum(padded(s[::-1]))[: s.shape[0]], outputs_info=out[-1], n_steps=2)
    outs = [padded(v), out] if first else [out, padded(out[-1])]
    compared([v], [*outs, padded(twice[-1])], array(3))
