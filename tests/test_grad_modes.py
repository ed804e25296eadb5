"""`grad`, `Lop` and `Rop` as functions of graphs: what is differentiated, what is refused, what it costs."""

from __future__ import annotations

import inspect
import time
import warnings

import numpy as np
import pytest
from grad_check import check, function, interpreted

import weft
import weft.tensor as T
from weft import gradient
from weft.compiler.grad.reverse import Disconnected, NullGradient
from weft.compiler.grad.table import NO_GRADIENT, PLACES, PULLBACK, PUSHFORWARD
from weft.compiler.graph.lowering import lower
from weft.compiler.graph.variable import apply_op, primitive
from weft.compiler.ir.node import OPS
from weft.compiler.ir.verify import LEVELS

# Operations that hold regions have their derivatives as methods of their Op classes.
HELD = {"scan", "ifelse"}


@pytest.mark.parametrize("table", [PULLBACK, PUSHFORWARD], ids=["reverse", "forward"])
def test_tables_are_complete(table: dict) -> None:
    tensor = LEVELS["tensor"]  # only its operations are differentiated
    ops = {name for name, op in OPS.items() if op.family in tensor.families} | tensor.ops
    assert set(table) | set(NO_GRADIENT) == ops - HELD
    assert not set(table) & set(NO_GRADIENT)
    assert set(PLACES) <= set(OPS) and all(NO_GRADIENT.values())


def value(out, **inputs):
    """The value of an expression of leaves, given by name."""
    from weft.compiler.graph.variable import ancestors

    leaves = {
        v.name: v for v in ancestors(out if isinstance(out, list) else [out]) if v.owner is None and v.name in inputs
    }
    return function([leaves[n] for n in leaves], out)(*[inputs[n] for n in leaves])


def test_two_expressions_are_two_variables() -> None:
    x = T.dvector("x")
    a1 = x * 2
    a2 = x * 2
    cost = (a1 + a2**2).sum()
    assert value(weft.grad(cost, a1), x=[1.0]) == 1
    assert value(weft.grad(cost, a2), x=[1.0]) == 4
    assert value(weft.grad(cost, x), x=[1.0]) == 10


def test_structure_of_wrt() -> None:
    x, y = T.dscalars("x", "y")
    assert isinstance(weft.grad(x * y, x), weft.Variable)
    assert [float(v) for v in value(weft.grad(x * y, [x, y]), x=2, y=3)] == [3, 2]
    assert isinstance(weft.grad(x * y, (x,)), list)
    (again, first) = weft.grad(x * y, [x, x])
    assert again is first


def test_a_variable_used_twice() -> None:
    x = T.dscalar("x")
    assert value(weft.grad(x * x * x, x), x=2) == 12
    assert value(weft.grad(x, x), x=2) == 1


def test_known_grads() -> None:
    x = T.dvector("x")
    y = x**2
    z = T.sum(y)
    np.testing.assert_array_equal(
        value(weft.grad(None, x, known_grads={y: T.constant([1.0, 10])}), x=[1.0, 2]), [2, 40]
    )
    # what is known is the whole gradient: the path from z to y adds nothing to it
    both = weft.grad(z, x, known_grads={y: T.constant([1.0, 10])})
    np.testing.assert_array_equal(value(both, x=[1.0, 2]), [2, 40])
    np.testing.assert_array_equal(value(weft.grad(z, x, known_grads={z: 3.0}), x=[1.0, 2]), [6, 12])
    np.testing.assert_array_equal(
        value(weft.grad(None, x, known_grads={y: T.constant([5.0]), z: 3.0}), x=[1.0, 2]), [10, 20]
    )
    with pytest.raises(weft.ShapeError, match=r"y\b.*0 dimensions"):
        y.name = "y"
        weft.grad(None, x, known_grads={y: 1.0})
    with pytest.raises(weft.ArgumentError, match="known_grads"):
        weft.grad(None, x)


def test_left_product_adds() -> None:
    """Lop of several outputs, one a function of another: the Jacobian of each counts."""
    x = T.dscalar("x")
    a = x * 2
    assert value(gradient.Lop([a, a**2, a], x, [1.0, 1.0, 10.0]), x=3) == 2 + 2 * 6 * 2 + 20
    assert value(gradient.Lop([a, a**2], a, [1.0, 1.0]), x=3) == 13


def test_right_product() -> None:
    x, y = T.dvectors("x", "y")
    out = gradient.Rop([x * y, T.sum(x)], [x, y], [T.ones_like(x), None])
    moved = function([x, y], out)([1.0, 2], [3.0, 4])
    np.testing.assert_array_equal(moved[0], [3, 4])
    assert moved[1] == 2
    with pytest.raises(weft.DisconnectedInputError):
        gradient.Rop(x, y, y)
    with pytest.raises(weft.ShapeError, match="the direction for x"):
        gradient.Rop(x, x, 1.0)
    with pytest.raises(weft.ArgumentError):
        gradient.Rop(x, [x, y], [x])
    with pytest.raises(weft.DisconnectedInputError, match=r"mul\(.*\) .*test_grad_modes.* does not depend on x"):
        gradient.Rop(x.shape * 1.0, x, x)
    with pytest.warns(UserWarning, match="does not depend on x"):
        gradient.Rop(x.shape * 1.0, x, x, disconnected_outputs="warn")
    np.testing.assert_array_equal(
        value(gradient.Rop(x.shape * 1.0, x, x, disconnected_outputs="ignore"), x=[1.0, 2]), [0]
    )
    np.testing.assert_array_equal(value(gradient.Rop(T.floor(x), x, x), x=[1.0, 2]), [0, 0])


def test_consider_constant() -> None:
    x = T.dscalar("x")
    c = x**2
    assert value(weft.grad(c * x, x, consider_constant=[c]), x=3) == 9
    assert value(weft.grad(gradient.consider_constant(c) * x, x), x=3) == 9
    assert value(weft.grad(gradient.zero_grad(c) * x, x), x=3) == 9
    assert value(weft.grad(gradient.disconnected_grad(c) * x, x), x=3) == 9
    assert value(weft.grad(gradient.zero_grad(x), x), x=3) == 0
    with pytest.raises(weft.DisconnectedInputError):
        weft.grad(gradient.disconnected_grad(x), x)
    with pytest.raises(weft.DisconnectedInputError):
        weft.grad(c, x, consider_constant=[c])
    assert value(gradient.Rop(gradient.zero_grad(c) * x, x, 1.0), x=3) == 9


def test_grad_clip() -> None:
    x = T.fvector("x")
    g = weft.grad(T.sum(gradient.grad_clip(x, -1, 0.5) ** 2), x)
    assert g.dtype == "float32"
    np.testing.assert_array_equal(value(g, x=np.array([-3, 0.1, 3], "float32")), np.array([-1, 0.2, 0.5], "float32"))
    with pytest.raises(weft.ArgumentError, match="empty"):
        gradient.grad_clip(x, 1, -1)


UNCONNECTED = {
    "another variable": lambda x, i: T.sum(T.dvector("other")),
    "a length": lambda x, i: x.shape[0] * 1.0,
    "a length in an allocation": lambda x, i: T.sum(T.alloc(1.0, x.shape[0])),
    "an index": lambda x, i: T.sum(T.dvector("other")[T.argmax(x)]),
}


@pytest.mark.parametrize("cost", UNCONNECTED.values(), ids=UNCONNECTED)
def test_disconnected(cost) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    made = cost(x, i)
    line = inspect.currentframe().f_lineno - 2
    with pytest.raises(weft.DisconnectedInputError, match=rf"depend on x : .*test_grad_modes\.py:{line}"):
        weft.grad(made, x)
    with pytest.warns(UserWarning, match="depend on x"):
        g = weft.grad(made, x, disconnected_inputs="warn")
    np.testing.assert_array_equal(value(g, x=[1.0, 2]), [0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value(weft.grad(made, x, disconnected_inputs="ignore"), x=[1.0]) == 0
    for policy in ("warn", "ignore"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert weft.grad(made, x, disconnected_inputs=policy, return_disconnected="None") is None
            left = weft.grad(made, [x], disconnected_inputs=policy, return_disconnected="Disconnected")
            assert isinstance(left[0], Disconnected) and isinstance(left[0].type, gradient.DisconnectedType)


def test_lengths_and_indices_are_not_connected() -> None:
    y, n = T.dvector("y"), T.lscalar("n")
    for cost in (T.sum(T.alloc(1.0, n)), T.sum(y[:n]), y[n], T.sum(y.reshape((n, 2))), T.sum(T.arange(n) * 1.0)):
        with pytest.raises(weft.DisconnectedInputError, match="depend on n"):
            weft.grad(cost, n)


def test_wrong_words() -> None:
    x = T.dscalar("x")
    for kw in ({"disconnected_inputs": "error"}, {"return_disconnected": "zeros"}, {"null_gradients": "zero"}):
        with pytest.raises(weft.ArgumentError, match="not '"):
            weft.grad(x, x, **kw)
    with pytest.raises(weft.ArgumentError, match="not 'Raise'"):
        T.Lop(x, x, x, disconnected_inputs="Raise")
    for wrong in (
        lambda: weft.grad(x, 3.0), lambda: T.Lop(x, 3, x), lambda: T.Lop(3, x, x), lambda: gradient.hessian(x, 3)
    ):
        with pytest.raises(weft.DTypeError, match="not a symbolic variable"):
            wrong()
    for axes in ((0, 1), ()):
        with pytest.raises(weft.ShapeError, match="takes one axis"):
            T.nnet.softmax(T.dmatrix(), axis=axes)


def test_integer_paths() -> None:
    x, n = T.dvector("x"), T.lscalar("n")
    flat = weft.grad(T.cast(T.cast(T.sum(x) * 10, "int64"), "float64"), x)  # connected and flat: zeros, no error
    np.testing.assert_array_equal(value(flat, x=[1.0, 2]), [0, 0])
    g = weft.grad(T.sum(x) * n, n)
    assert g.dtype == weft.config.floatX and value(g, n=3) == 0
    kept = weft.grad(T.sum(x * T.cast(x, "int64")), x)
    np.testing.assert_array_equal(value(kept, x=[1.5, 2]), [1, 2])
    check(lambda v: v * T.cast(v, "int32") + T.cast(v > 0, "float64"), np.array([1.5, -2.5]))


def test_costs_that_are_refused() -> None:
    x, n, z = T.dvector("x"), T.lscalar("n"), T.zscalar("z")
    loss = x * 2
    loss.name = "loss"
    line = inspect.currentframe().f_lineno - 2
    with pytest.raises(weft.ShapeError, match=rf"loss \(at test_grad_modes\.py:{line}"):
        weft.grad(loss, x)
    with pytest.raises(weft.DTypeError, match="int64, which has no gradient"):
        weft.grad(n * 2, n)
    with pytest.raises(weft.DTypeError, match="has to be real"):
        weft.grad(z, z)


def test_outputs_used_in_different_places() -> None:
    def f(x):
        top, at = T.max_and_argmax(x, 1)
        return [top**2, T.sum(x[at]) * 3, top]

    check(f, np.random.default_rng(0).normal(size=(3, 3)))
    x = T.dvector("x")
    top, at = apply_op(primitive("max_and_argmax", axes=(0,)), [x])
    np.testing.assert_array_equal(value(weft.grad(T.cast(at, "float64") * top, x), x=[1.0, 5, 2]), [0, 1, 0])
    assert value(weft.grad(T.cast(at, "float64") * top, top), x=[1.0, 5, 2]) == 1


class SinCos(weft.Op):
    """Two outputs with gradients of their own."""

    __props__ = ()

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return weft.Apply(self, [x], [x.type(), x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0], output_storage[1][0] = np.sin(inputs[0]), np.cos(inputs[0])

    def infer_shape(self, node, shapes):
        return [shapes[0], shapes[0]]

    def grad(self, inputs, output_gradients):
        s, c = self(inputs[0])
        return [output_gradients[0] * c - output_gradients[1] * s]

    def R_op(self, inputs, eval_points):
        s, c = self(inputs[0])
        return [eval_points[0] * c, -eval_points[0] * s]


def test_an_operation_of_the_users() -> None:
    at = np.array([0.3, 2.0])

    def f(x):
        s, c = SinCos()(x)
        return [s * T.exp(c), T.sum(c)]  # the outputs meet consumers of unlike depth

    check(f, at, order=2)
    x = T.dvector("x")
    s, c = SinCos()(x)
    held = function([x], weft.grad(T.sum(c + s * 2), [s, x], consider_constant=[s]))(at)
    np.testing.assert_allclose(held, [[2, 2], -np.sin(at)])
    held = function([x], weft.grad(T.sum(s + c), x, consider_constant=[s]))(at)
    np.testing.assert_allclose(held, -np.sin(at))
    moved = function([x], gradient.Rop([s, c], [s, x], [T.ones_like(x) * 5, T.ones_like(x)]))(at)
    np.testing.assert_allclose(moved, [[5, 5], -np.sin(at)])
    check(lambda x: SinCos()(x * 2)[1], at)  # the other output has no gradient


class Refuses(SinCos):
    def grad(self, inputs, output_gradients):
        return [gradient.grad_undefined(self, 0, inputs[0], "it jumps")]


class Plain(SinCos):
    grad = R_op = None

    def __getattribute__(self, name):
        if name in ("grad", "R_op"):
            raise AttributeError(name)
        return super().__getattribute__(name)


def test_gradients_that_do_not_exist() -> None:
    x = T.dvector("speed")
    for op, text in (
        (Refuses(), "with respect to its input 0, speed.*is not defined: it jumps"),
        (Plain(), "Plain of speed.*no gradient"),
    ):
        s, _ = op(x)
        line = inspect.currentframe().f_lineno - 1
        with pytest.raises(weft.NullGradientError, match=text) as caught:
            weft.grad(T.sum(s), x)
        if isinstance(op, Plain):
            assert f"test_grad_modes.py:{line}" in str(caught.value)
        assert isinstance(weft.grad(T.sum(s + x), x, null_gradients="return"), NullGradient)
        assert isinstance(weft.grad(T.sum(s + x), s), weft.Variable)  # the path to s has a gradient
        np.testing.assert_array_equal(value(weft.grad(T.sum(s + x), x, consider_constant=[s]), speed=[1.0]), [1])
    with pytest.raises(weft.NullGradientError, match="no forward derivative"):
        gradient.Rop(Plain()(x)[0], x, x)
    assert "is not implemented" in gradient.grad_not_implemented(Plain(), 0, x).why


class Wrong(SinCos):
    returned = None

    def grad(self, inputs, output_gradients):
        return self.returned(inputs[0])


def test_gradients_of_the_users_are_checked() -> None:
    x = T.dvector("x")
    op = Wrong()
    op.returned = lambda x: [x, x]
    with pytest.raises(weft.ArgumentError, match="2 gradients for 1 inputs"):
        weft.grad(T.sum(op(x)[0]), x)
    op.returned = lambda x: [T.sum(x)]
    with pytest.raises(weft.ShapeError, match="0 dimensions for x"):
        weft.grad(T.sum(op(x)[0]), x)
    op.returned = lambda x: [gradient.DisconnectedType()()]
    np.testing.assert_array_equal(value(weft.grad(T.sum(op(x)[0]), x), x=[1.0]), [0])


def test_names() -> None:
    x, y = T.dscalars("x", "y")
    cost = x * y
    cost.name = "E"
    assert weft.grad(cost * 1, x).name == "(dcost/dx)"
    assert [g.name for g in weft.grad(T.exp(cost), [x, y])] == ["(dcost/dx)", "(dcost/dy)"]
    loss = T.exp(cost)
    loss.name = "loss"
    assert weft.grad(loss, x).name == "(dloss/dx)"
    assert weft.grad(loss, x, add_names=False).name is None


def test_lines_of_a_gradient() -> None:
    x = T.dvector("x")
    y = T.tanh(x)
    line = inspect.currentframe().f_lineno - 1
    g = weft.grad(T.sum(y), x)
    assert str(g.trace).startswith(f"in the gradient of test_grad_modes.py:{line}")


def chain(x, n: int):
    for _ in range(n):
        x = T.tanh(x)
    return x


@pytest.mark.parametrize(
    "step",
    [T.tanh, T.exp, T.sqrt, T.log1p, T.sigmoid, T.softplus, T.sin, lambda x: x**2, lambda x: x**3, lambda x: x * 2 + 1,
     lambda x: 1 / x, lambda x: x * x, lambda x: T.maximum(x, 0), abs],
)  # fmt: skip
def test_a_gradient_costs_at_most_five_times_its_function(step) -> None:
    """Counted in nodes that compute, after lowering."""

    def computing(outputs):
        return [n for n in lower([x], outputs).region.nodes() if n.family not in ("leaf", "view", "structure")]

    x = y = T.dvector("x")
    for _ in range(200):
        y = step(y)
    cost = T.sum(y)
    forward, both = len(computing([cost])), len(computing([cost, weft.grad(cost, x)]))
    assert both - forward <= 5 * forward
    pushed = computing([y, gradient.Rop(y, x, T.ones_like(x))])
    assert len(pushed) - forward <= 5 * forward


@pytest.mark.slow
def test_a_long_chain() -> None:
    """100,000 operations: no recursion, and time linear in their number."""
    x = T.dscalar("x")
    took = {}
    for n in (10_000, 100_000):
        y = chain(x, n)
        began = time.process_time()
        g = weft.grad(y, x)
        took[n] = time.process_time() - began
        t = gradient.Rop(y, x, 1.0)
        if n == 10_000:
            assert interpreted([x], [g, t])(0.0) == [1, 1]
    assert took[100_000] < 30 * took[10_000]


def test_a_wide_sum() -> None:
    """A variable with many consumers: their gradients are added once."""
    x = T.dscalar("x")
    cost = x
    for _ in range(2000):
        cost = cost + T.sin(x)
    np.testing.assert_allclose(value(weft.grad(cost, x), x=0.0), 2001)


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_verify_grad(mode: str) -> None:
    rng = np.random.default_rng(0)
    gradient.verify_grad(
        lambda x, y: T.dot(T.tanh(x), y), [rng.normal(size=(2, 3)), rng.normal(size=3)], rng=rng, mode=mode
    )
    gradient.verify_grad(lambda x: T.exp(x), [rng.normal(size=4).astype("float32")], mode=mode)
    gradient.verify_grad(lambda x: T.exp(x), [rng.normal(size=4).astype("float16")], mode=mode)
    gradient.verify_grad(lambda z: T.abs_(z) * z, [rng.normal(size=2) + 1j], mode=mode, rng=np.random.RandomState(3))
    with pytest.raises(gradient.GradientError, match=r"input 0 is wrong in 2 of 2 places.*finite differences"):
        gradient.verify_grad(lambda x: gradient.zero_grad(x) * x, [np.array([1.0, 2])], mode=mode)
    with pytest.raises(gradient.GradientError), np.errstate(all="ignore"):
        gradient.verify_grad(T.sqrt, [np.array([-1.0])], mode=mode)  # NaN
    with pytest.raises(weft.DTypeError, match="input 0 is int64"):
        gradient.verify_grad(lambda n: n * 2.0, [np.array([1])], mode=mode)


def test_against_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    from jax import numpy as jnp

    at = np.random.default_rng(0).normal(size=(3, 4))
    x = T.dmatrix("x")
    pairs = [
        (T.sum(T.sort(x) * T.cumsum(x, 1)), lambda v: jnp.sum(jnp.sort(v) * jnp.cumsum(v, 1))),
        (T.sum(T.prod(x, 1) ** 2), lambda v: jnp.sum(jnp.prod(v, 1) ** 2)),
        (T.sum(T.sigmoid(x) / T.softplus(x)), lambda v: jnp.sum(jax.nn.sigmoid(v) / jax.nn.softplus(v))),
        (T.sum(T.log(T.var(x, 0))), lambda v: jnp.sum(jnp.log(jnp.var(v, 0)))),
    ]
    for mine, theirs in pairs:
        np.testing.assert_allclose(function([x], weft.grad(mine, x))(at), jax.grad(theirs)(at), rtol=1e-9)
