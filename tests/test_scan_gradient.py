"""Derivatives through scan: against finite differences, forward against reverse mode, first and second order."""

from __future__ import annotations

import numpy as np
import pytest
from grad_check import check, function

import weft
import weft.tensor as T
from weft import scan
from weft.compile.ops import as_op
from weft.compiler.grad.extras import numeric_gradient
from weft.compiler.grad.reverse import NullGradient
from weft.compiler.graph.scan_op import Loop, Scan, State, make_scan
from weft.compiler.graph.variable import ancestors
from weft.ifelse import ifelse
from weft.scan_module import until
from weft.tensor.shared_randomstreams import RandomStreams


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s) for s in shapes]


def rnn(X, h0, W, **kwargs):
    return scan(lambda x, h, W: T.tanh(x + T.dot(h, W)), sequences=X, outputs_info=h0, non_sequences=W, **kwargs)[0]


@pytest.mark.parametrize("n", [1, 2, 4])
def test_recurrent_net(n):
    check(
        lambda X, h0, W: rnn(X, h0, W, n_steps=T.constant(n) + T.cast(0 * X.shape[0], "int64")),
        *arrays((4, 3), 3, (3, 3)),
        order=2,
    )


def test_last_state_only():
    check(lambda X, h0, W: rnn(X, h0, W)[-1], *arrays((4, 2), 2, (2, 2)), order=2)


def test_third_derivative():
    def slope(x, a):
        h = scan(lambda v, h: T.tanh(h * v) + a, sequences=x, outputs_info=a)[0]
        return weft.grad(weft.grad(h.sum(), a), a)

    check(slope, *arrays(3, ()), forward=False)


def test_several_states_and_taps():
    def fun(x, a, b, w):
        (p, q, r), _ = scan(
            lambda x1, x0, a3, a1, b1: [T.tanh(a3 * x0 + b1 * w), T.sin(b1 + a1 * x1), a1 * b1],
            sequences=dict(input=x, taps=[-1, 0]),
            outputs_info=[dict(initial=a, taps=[-3, -1]), b, None],
        )
        return [p, q, r]

    check(fun, *arrays(5, 3, (), ()), order=2)


def test_fewer_steps_than_taps():
    """Part of the initial values is what a hidden state ends with."""
    check(
        lambda x, a: scan(lambda v, a3, a1: a3 * v + a1, x, dict(initial=a, taps=[-3, -1]))[0].sum() + a.sum(),
        *arrays(2, 3),
        order=2,
    )


def test_longer_sequence_and_backwards():
    check(lambda X, h0, W: rnn(X, h0, W, n_steps=2, go_backwards=True), *arrays((4, 2), 2, (2, 2)), order=2)
    check(lambda X, h0, W: rnn(X, h0, W, n_steps=-3), *arrays((4, 2), 2, (2, 2)))


def test_taps_in_a_scan_in_a_scan_with_nonzero():
    """The inner step has a length that only it knows; the step back computes it again."""

    def inner(v, a2, a1, W):
        chosen = (a1 > 0).nonzero()[0]
        masked = T.inc_subtensor(T.zeros_like(a1)[chosen], a1[chosen] ** 2)
        return T.tanh(T.dot(masked, W) + a2 * v)

    def outer(row, h, W):
        states = scan(inner, sequences=row, outputs_info=dict(initial=h, taps=[-2, -1]), non_sequences=W)[0]
        return states[-2:] * T.sqr(states[(states[-1] > 0).nonzero()[0] % 2].sum())

    def fun(X, h0, W):
        return scan(outer, sequences=X, outputs_info=h0, non_sequences=W)[0]

    check(fun, *arrays((2, 3), (2, 3), (3, 3)), order=2)


def test_until():
    def fun(x, h0, w):
        def step(v, h):
            new = T.tanh(v * w + h)
            return new, until(T.abs_(new) > 0.8)

        return scan(step, x, h0)[0]

    x = np.full(8, 0.4)
    ran = function(
        [v := T.dvector()], fun(v, T.constant(0.0, dtype="float64"), T.constant(1.0, dtype="float64")).shape[0]
    )(x)
    assert 1 < ran < 8
    check(fun, x, np.array(0.0), np.array(1.0), order=2)


def test_until_of_an_updated_state():
    """Nothing but a hidden state: the loop runs again with its history kept."""

    def fun(x):
        s = weft.shared(1.0)
        _, updates = scan(lambda: ({s: s * x}, until(s * x > 10)), n_steps=20)
        return updates[s]

    check(fun, np.array(1.7), order=2)


def test_gradient_of_an_update():
    def fun(x, w):
        s = weft.shared(np.array([1.0, 2.0]))
        out, updates = scan(lambda v: (v * s.sum(), {s: T.tanh(s * v + w)}), sequences=x)
        return [out, updates[s]]

    check(fun, *arrays(4, 2), order=2)


def test_initial_value_of_a_shared_state():
    s, x = weft.shared(np.array(0.7)), T.dvector("x")
    _, updates = scan(lambda v: {s: s * v}, sequences=x)
    assert function([x], weft.grad(updates[s], s))(np.array([2.0, 3.0])) == 6


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_random_steps(mode):
    """Gradients use the very draws of the forward pass, of first and second order."""
    rng = RandomStreams(1)
    x, w = T.dvector("x"), T.dscalar("w")
    h = scan(lambda v, h: T.tanh(v * rng.uniform(()) + h * w * rng.normal(())), sequences=x, outputs_info=w)[0]
    points = [np.array([0.3, -0.2, 0.9, 0.5]), np.array(0.6)]
    cost = T.sqr(h).sum()
    for _ in range(2):
        value, *slopes = (
            weft.function([x, w], out, mode=mode, no_default_updates=True)
            for out in (cost, *weft.grad(cost, [x, w]))
        )
        for k, slope in enumerate(slopes):
            np.testing.assert_allclose(slope(*points), numeric_gradient(value, points, k, 1e-5), 1e-6, 1e-6)
        v = np.array([1.0, -2, 0.5, 1])
        (moved,) = [
            weft.function([x, w], weft.gradient.Rop(cost, x, v), mode=mode, no_default_updates=True)(*points)
        ]
        np.testing.assert_allclose(moved, slopes[0](*points) @ v, 1e-9)
        cost = T.sqr(weft.grad(cost, x)).sum() + weft.grad(cost, w)


def test_integer_states_have_no_gradient():
    def fun(x):
        (_, out), _ = scan(
            lambda v, k: [k + 1, v**2 * k], sequences=x, outputs_info=[T.constant(0, dtype="int64"), None]
        )
        return out

    check(fun, *arrays(4), order=2)


def test_identity_states_and_shared_outputs():
    """A step that hands on its arguments, and one Variable as a state and as a stacked value."""

    def fun(x, a, b):
        def step(v, a, b):
            both = a * v
            return b, both, both, v

        (p, q, r, s), _ = scan(step, sequences=x, outputs_info=[a, b, None, None])
        return [p, q * r, s]

    check(fun, *arrays(4, (), ()), order=2)


def test_initial_values_without_a_gradient():
    """The way leads through earlier steps only."""
    start = dict(initial=T.constant([0.3, 0.8], dtype="float64"), taps=[-2, -1])
    check(lambda x: scan(lambda v, a, b: T.sin(a) * v + b * 0.1, x, start)[0], *arrays(5), order=2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_last_values_of_a_deep_state(n):
    """A state of which only the last values are kept, and fewer steps than those."""

    def fun(x, a):
        inner = tuple(T.dscalar() for _ in range(3))
        v = T.dscalar()
        state = State(inner, (-3, -2, -1), a, T.sin(inner[0] * v) + inner[2] * inner[1], False)
        loop = Loop(T.constant(n, dtype="int64"), [(v, x)], [state], [], [], None)
        ((last,), _) = make_scan(loop)
        return last

    check(fun, *arrays(5, 3), order=2)


def test_map():
    check(lambda X, w: weft.map(lambda x: T.dot(x, w).sum() * T.exp(x), X)[0], *arrays((3, 2), 2), order=2)


def test_ifelse_in_a_step():
    check(
        lambda x, h0: scan(lambda v, h: ifelse(T.gt(v, 0), h * v, T.sin(h) + v), x, h0)[0],
        np.array([0.5, -0.3, 0.8, -1.2]),
        np.array(0.4),
        order=2,
    )


def test_complex_state():
    check(lambda x, z: scan(lambda v, z: z * v + T.conj(z) * 0.5, x, z)[0], *arrays(3), np.array(0.3 + 0.7j))


def test_truncated():
    x, h0 = T.dvector("x"), T.dscalar("h0")
    w = T.dscalar("w")

    def loop(truncate):
        h = scan(lambda v, h: h * w + v, x, h0, truncate_gradient=truncate)[0]
        return weft.grad(h[-1], [x, w, h0])

    for k in (1, 2, 3):
        gx, gw, gh = function([x, h0, w], loop(k))(np.array([1.0, 2, 3, 4]), 5.0, 2.0)
        h = [5.0]
        for v in (1, 2, 3, 4):
            h.append(h[-1] * 2 + v)
        np.testing.assert_array_equal(gx, [0] * (4 - k) + [2.0 ** (k - 1 - i) for i in range(k)])
        assert gw == sum(2.0 ** (3 - t) * h[t] for t in range(4 - k, 4)) and gh == 0
    whole = function([x, h0, w], loop(9))(np.array([1.0, 2, 3, 4]), 5.0, 2.0)
    for a, b in zip(whole, function([x, h0, w], loop(-1))(np.array([1.0, 2, 3, 4]), 5.0, 2.0), strict=True):
        np.testing.assert_array_equal(a, b)


def scans(*outs):
    return list({v.owner for v in ancestors(outs) if v.owner is not None and isinstance(v.owner.op, Scan)})


def test_weight_gradients_keep_no_history():
    X, h0, W, V = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W"), T.dmatrix("V")
    h = scan(lambda x, h: T.tanh(T.dot(x, V) + T.dot(h, W)), X, h0)[0]
    forward = h.owner
    while not isinstance(forward.op, Scan):
        forward = forward.inputs[0].owner
    (back,) = [s for s in scans(*weft.grad(h.sum(), [W, h0])) if s is not forward]
    assert not any(back.op.keep)
    # V is not asked for, so nothing is summed for it; X is read, its gradient is not made.
    assert len(back.op.taps) == 2 and len(back.outputs) == 2
    # h[t] comes from the history: the step back has the product with W' only, and none forward.
    made = set(ancestors(back.op.inner_outputs, stop=back.op.inner_inputs)) - set(back.op.inner_inputs)
    assert "tanh" not in [getattr(v.owner.op, "name", None) for v in made if v.owner is not None]


def test_disconnected():
    x, n, y = T.dvector("x"), T.lscalar("n"), T.dscalar("y")
    h = scan(lambda v, h: h + v, x, T.constant(0.0, dtype="float64"), n_steps=n)[0]
    with pytest.raises(weft.DisconnectedInputError):
        weft.grad(h.sum(), y)
    assert isinstance(weft.grad(h.sum(), y, disconnected_inputs="ignore"), weft.Variable)


def test_no_gradient_inside():
    x = T.dvector("x")

    @weft.compile.ops.as_op(itypes=[T.dscalar().type], otypes=[T.dscalar().type])
    def opaque(v):
        return v

    h = scan(lambda v: opaque(v), x)[0]
    with pytest.raises(weft.NullGradientError, match="opaque"):
        weft.grad(h.sum(), x)


def test_gradients_that_do_not_exist():
    """null_gradients="return" says which of them there are, in a loop too."""

    @as_op([T.dvector], [T.dvector])
    def twice(v):
        return v * 2

    x, y, h = T.dmatrix("x"), T.dmatrix("y"), T.dvector("h")
    rows = scan(lambda a, b: T.sqr(a) + twice(b), sequences=[x, y])[0]
    gx, gy = T.grad(rows.sum(), [x, y], null_gradients="return")
    assert isinstance(gy, NullGradient)
    a, b = arrays((3, 2), (3, 2))
    np.testing.assert_allclose(function([x, y], gx)(a, b), 2 * a)
    assert isinstance(T.grad(rows.sum(), y, null_gradients="return"), NullGradient)
    with pytest.raises(weft.NullGradientError, match="no gradient"):
        T.grad(rows.sum(), y)
    states = scan(lambda a, s: twice(s) + a, x, h)[0]  # an element of x has none either: later states are made of it
    for g in T.grad(states.sum(), [x, h], null_gradients="return"):
        assert isinstance(g, NullGradient)


def test_jacobian_and_hessian():
    x, y = T.dvector("x"), T.dvector("y")
    a, b = np.array([0.3, -0.7, 1.1]), np.array([0.5, 0.2, -0.4])
    jx, jy = weft.gradient.jacobian(T.sin(x) * y.sum(), [x, y])
    got = function([x, y], [jx, jy])(a, b)
    np.testing.assert_allclose(got[0], np.diag(np.cos(a) * b.sum()))
    np.testing.assert_allclose(got[1], np.sin(a)[:, None] * np.ones(3))
    np.testing.assert_allclose(function([x], T.jacobian(T.sqr(x).sum(), x))(a), 2 * a)
    h = T.hessian((x**3).sum() * y[0] + x[0] * x[1], x)
    want = np.diag(6 * a * b[0])
    want[0, 1] = want[1, 0] = 1
    np.testing.assert_allclose(function([x, y], h)(a, b), want)
    with pytest.raises(weft.ShapeError, match="more than 1 dimension"):
        T.jacobian(T.outer(x, y), x)


def test_jacobian_computes_the_forward_part_once():
    """What was there before the loop is captured, not computed again in every step."""
    x = T.dvector("x")
    e = T.exp(x)
    (loop,) = scans(T.jacobian(e * e.sum(), x))
    made = set(ancestors(loop.op.inner_outputs, stop=loop.op.inner_inputs)) - set(loop.op.inner_inputs)
    assert "exp" not in [getattr(v.owner.op, "name", None) for v in made if v.owner is not None]


def test_jacobian_of_a_scan():
    check(lambda x, w: T.jacobian(scan(lambda v, h: T.tanh(v * w + h), x, w)[0], x), *arrays(3, ()), order=1)


def test_jacobians_in_steps_that_do_not_know_a_length():
    """The step is given a history, or a concatenation, and not that its first rows are there."""

    def last(x, h, w):
        return scan(lambda v, h: T.tanh(v + T.dot(h, w)), x, h)[0][-1]

    check(lambda x, h, w: T.jacobian(last(x, h, w), h), *arrays((3, 2), 2, (2, 2)), order=1)
    check(lambda x, h, w: T.hessian(last(x, h, w).sum(), h), *arrays((3, 2), 2, (2, 2)), order=1)
    check(lambda x, y: T.jacobian(T.sqr(T.concatenate([x[None], y])).sum(0), x), *arrays(2, (3, 2)), order=1)


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_steps_that_draw_other_numbers_of_values(mode):
    """The gradient draws them again: linear in x, the cost is the gradient times x."""
    x, streams = T.dmatrix("x"), RandomStreams(3)
    y, changes = weft.scan(lambda r: (streams.uniform((T.nonzero(r > 0)[0].shape[0],)) * r[r > 0]).sum(), x)
    f = weft.function([x], [y.sum(), weft.grad(y.sum(), x)], updates=changes, mode=mode)
    at = np.random.default_rng(0).normal(size=(4, 5))
    for _ in range(2):
        cost, g = f(at)
        np.testing.assert_allclose((g * at).sum(), cost, rtol=1e-12)
        assert ((g != 0) == (at > 0)).all()
