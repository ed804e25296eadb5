"""Optimizers against the formulas of their papers, written here in NumPy and float64; what surrounds them; mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import optimizers as opt

Formula = Callable[..., np.ndarray]
STEPS = 12

# Each formula takes the gradient function of one parameter, its first value, and settings; it returns the value after
# STEPS steps. It follows the paper line by line, its order of operations included.


def sgd(grad: Any, x: np.ndarray, rate: float) -> np.ndarray:
    for _ in range(STEPS):
        x = x - rate * grad(x)
    return x


def momentum(grad: Any, x: np.ndarray, rate: float, mu: float) -> np.ndarray:
    v = np.zeros_like(x)
    for _ in range(STEPS):
        v = mu * v - rate * grad(x)
        x = x + v
    return x


def nesterov(grad: Any, x: np.ndarray, rate: float, mu: float) -> np.ndarray:
    """With the gradient at x + mu v; what is compared is that point, after the last step."""
    v = np.zeros_like(x)
    for _ in range(STEPS):
        v = mu * v - rate * grad(x + mu * v)
        x = x + v
    return x + mu * v


def adagrad(grad: Any, x: np.ndarray, rate: float, delta: float) -> np.ndarray:
    squares = np.zeros_like(x)
    for _ in range(STEPS):
        g = grad(x)
        squares = squares + g**2
        x = x - rate * g / (delta + np.sqrt(squares))
    return x


def rmsprop(grad: Any, x: np.ndarray, rate: float, rho: float, eps: float) -> np.ndarray:
    mean_square = np.zeros_like(x)
    for _ in range(STEPS):
        g = grad(x)
        mean_square = rho * mean_square + (1 - rho) * g**2
        x = x - rate * g / (np.sqrt(mean_square) + eps)
    return x


def adadelta(grad: Any, x: np.ndarray, rate: float, rho: float, eps: float) -> np.ndarray:
    e_g, e_dx = np.zeros_like(x), np.zeros_like(x)
    for _ in range(STEPS):
        g = grad(x)
        e_g = rho * e_g + (1 - rho) * g**2
        dx = -np.sqrt(e_dx + eps) / np.sqrt(e_g + eps) * g
        e_dx = rho * e_dx + (1 - rho) * dx**2
        x = x + rate * dx
    return x


def adam(grad: Any, x: np.ndarray, rate: float, b1: float, b2: float, eps: float, decay: float = 0.0) -> np.ndarray:
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, STEPS + 1):
        g = grad(x)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        x = x - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * x)
    return x


def adamax(grad: Any, x: np.ndarray, rate: float, b1: float, b2: float) -> np.ndarray:
    m, u = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, STEPS + 1):
        g = grad(x)
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g))
        x = x - rate / (1 - b1**t) * m / u
    return x


def nadam(grad: Any, x: np.ndarray, rate: float, b1: float, b2: float, eps: float, psi: float) -> np.ndarray:
    m, n = np.zeros_like(x), np.zeros_like(x)
    mu = [b1 * (1 - 0.5 * 0.96 ** (t * psi)) for t in range(STEPS + 2)]  # mu[0] is not used
    for t in range(1, STEPS + 1):
        g = grad(x)
        m = mu[t] * m + (1 - mu[t]) * g
        n = b2 * n + (1 - b2) * g**2
        m_hat = mu[t + 1] * m / (1 - np.prod(mu[1 : t + 2])) + (1 - mu[t]) * g / (1 - np.prod(mu[1 : t + 1]))
        n_hat = n / (1 - b2**t)
        x = x - rate / (np.sqrt(n_hat) + eps) * m_hat
    return x


def lion(grad: Any, x: np.ndarray, rate: float, b1: float, b2: float, decay: float) -> np.ndarray:
    m = np.zeros_like(x)
    for _ in range(STEPS):
        g = grad(x)
        c = b1 * m + (1 - b1) * g
        x = x - rate * (np.sign(c) + decay * x)
        m = b2 * m + (1 - b2) * g
    return x


# name -> (formula, settings as the optimizer takes them, as the formula takes them in their order)
CASES: dict[str, tuple[Formula, dict[str, Any]]] = {
    "sgd": (sgd, {"learning_rate": 0.03}),
    "momentum": (momentum, {"learning_rate": 0.03, "momentum": 0.8}),
    "nesterov": (nesterov, {"learning_rate": 0.03, "momentum": 0.8}),
    "adagrad": (adagrad, {"learning_rate": 0.1, "epsilon": 1e-3}),
    "rmsprop": (rmsprop, {"learning_rate": 0.02, "rho": 0.8, "epsilon": 1e-3}),
    "adadelta": (adadelta, {"learning_rate": 0.7, "rho": 0.9, "epsilon": 1e-3}),
    "adam": (adam, {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3}),
    "adamw": (adam, {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3, "weight_decay": 0.2}),
    "adamax": (adamax, {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.99}),
    "nadam": (nadam, {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3, "schedule_decay": 3.0}),
    "lion": (lion, {"learning_rate": 0.05, "beta1": 0.7, "beta2": 0.9, "weight_decay": 0.2}),
}
DEFAULTS = {"sgd": {"learning_rate": 0.01}, "momentum": {"learning_rate": 0.01}, "nesterov": {"learning_rate": 0.01}}

RNG = np.random.default_rng(3)
TARGETS = [RNG.normal(size=(3, 4)), RNG.normal(size=4)]
SCALES = [RNG.uniform(0.5, 2, size=(3, 4)), RNG.uniform(0.5, 2, size=4)]
STARTS = [RNG.normal(size=(3, 4)), RNG.normal(size=4)]


def problem(dtype: str = "float64") -> tuple[Any, list[Any]]:
    """A smooth cost of two parameters whose gradient NumPy has as `gradient(k)`; and the parameters."""
    params = [weft.shared(s.astype(dtype), name=n) for s, n in zip(STARTS, "Wb", strict=True)]
    cost: Any = 0
    for p, target, scale in zip(params, TARGETS, SCALES, strict=True):
        d = p - target.astype(dtype)
        cost = cost + (scale.astype(dtype) * T.sqrt(1 + T.sqr(d))).sum()
    return cost, params


def gradient(k: int) -> Callable[[np.ndarray], np.ndarray]:
    def grad(x: np.ndarray) -> np.ndarray:
        d = x - TARGETS[k]
        return SCALES[k] * d / np.sqrt(1 + d**2)

    return grad


def run(updates: Any, steps: int = STEPS, **options: Any) -> Any:
    f = weft.function([], updates=updates, **options)
    for _ in range(steps):
        f()
    return f


@pytest.mark.parametrize("mode", ["compile", "interpret"])
@pytest.mark.parametrize("name", CASES)
def test_formula_in_float64(name: str, mode: str) -> None:
    formula, settings = CASES[name]
    cost, params = problem()
    run(getattr(opt, name)(cost, params, **settings), mode=mode)
    for k, p in enumerate(params):
        want = formula(gradient(k), STARTS[k], *settings.values())
        assert np.abs(want - STARTS[k]).min() > 1e-3  # the test moves every element
        np.testing.assert_allclose(p.get_value(), want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_formula_in_float32(name: str) -> None:
    """Errors are a few roundings of each step, relative to where the parameters are."""
    formula, settings = CASES[name]
    cost, params = problem("float32")
    run(getattr(opt, name)(cost, params, **settings))
    for k, p in enumerate(params):
        want = formula(gradient(k), STARTS[k], *settings.values())
        assert p.get_value().dtype == "float32"
        np.testing.assert_allclose(p.get_value(), want, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_short_floats_accumulate_in_float32(name: str, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    short = weft.shared(weft.init.constant(3, 1.0, dtype=dtype), name="W")
    updates = getattr(opt, name)([T.constant(np.array([1e-3, 0.5, -2.0], "float32"))], [short], **CASES[name][1])
    before = short.get_value().astype("float64")
    state = opt.state(updates, [short])
    f = weft.function([], updates=updates)
    for s in state.values():
        assert s.dtype in ("float32", "int64", "float64") and (s.ndim == 0 or s.dtype == "float32")
    f()
    wide = weft.shared(before.astype("float32"), name="W")
    weft.function(
        [], updates=getattr(opt, name)([T.constant(np.array([1e-3, 0.5, -2.0], "float32"))], [wide], **CASES[name][1])
    )()
    assert short.get_value().dtype == short.type.numpy_dtype
    # One step from the same value: the float32 result, rounded once.
    np.testing.assert_array_equal(short.get_value(), wide.get_value().astype(short.type.numpy_dtype))


@pytest.mark.parametrize("name", CASES)
def test_gradients_may_be_given(name: str) -> None:
    settings = CASES[name][1]
    values = []
    for given in (False, True):
        cost, params = problem()
        run(getattr(opt, name)(weft.grad(cost, params) if given else cost, params, **settings), 3)
        values.append([p.get_value() for p in params])
    for a, b in zip(*values, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", CASES)
def test_zero_gradients_stay_finite(name: str) -> None:
    """An element that no example reaches: with default settings it stays where it is."""
    p = weft.shared(np.array([1.0, 2.0], "float32"), name="W")
    settings = DEFAULTS.get(name, {}) | ({"weight_decay": 0.0} if name == "adamw" else {})
    run(getattr(opt, name)([np.array([0, 1], "float32")], [p], **settings), 3)
    value = p.get_value()
    assert value[0] == 1 and value[1] < 2 and np.isfinite(value).all()


@pytest.mark.parametrize("name", CASES)
def test_the_first_argument_and_the_result(name: str) -> None:
    cost, params = problem("float32")
    updates = getattr(opt, name)(cost, tuple(params), **CASES[name][1], name="mine")
    assert set(params) < set(updates) or name == "sgd"
    state = opt.state(updates, params)
    assert [s for s in updates if s not in params] == list(state.values())
    assert all(s.startswith("mine.") for s in state)
    for s in state.values():
        assert s.ndim == 0 or s.dtype == "float32"
    shapes = sorted(s.get_value().shape for s in state.values() if s.ndim)
    assert shapes == sorted(2 * [(4,), (3, 4)] if len(shapes) == 4 else [(4,), (3, 4)] if shapes else [])


def test_names_of_states() -> None:
    cost, params = problem()
    assert list(opt.state(opt.adam(cost, params), params)) == [
        "adam.step", "adam.m[W]", "adam.v[W]", "adam.m[b]", "adam.v[b]",
    ]  # fmt: skip
    assert list(opt.state(opt.nadam(cost, params, name="n"), params))[:2] == ["n.step", "n.mu_product"]
    again = [weft.shared(np.zeros(2), name=n) for n in ("W", "W", None)]
    total = sum(p.sum() for p in again)
    assert list(opt.state(opt.rmsprop(total, again), again)) == ["rmsprop.s[W#0]", "rmsprop.s[W#1]", "rmsprop.s[#2]"]


def test_state_restores_a_run() -> None:
    """Values of parameters and state, put into a program made anew, continue the run bit by bit."""

    def program() -> tuple[list[Any], Any, Any]:
        cost, params = problem("float32")
        updates, _ = opt.polyak(opt.nadam(cost, params), params)
        return params, opt.state(updates, params), updates

    params, state, updates = program()
    f = run(updates, 5)
    saved = [p.get_value() for p in params], {name: s.get_value() for name, s in state.items()}
    for _ in range(5):
        f()
    others, kept, again = program()
    for p, value in zip(others, saved[0], strict=True):
        p.set_value(value)
    for name, value in saved[1].items():
        kept[name].set_value(value)
    run(again, 5)
    for p, q in zip([*params, *state.values()], [*others, *kept.values()], strict=True):
        np.testing.assert_array_equal(p.get_value(), q.get_value())


def test_state_needs_names() -> None:
    cost, params = problem()
    twice = {**opt.adam(cost, params[:1]), **opt.adam(cost, params[1:])}
    with pytest.raises(weft.ArgumentError, match=r"two states of the name 'adam.step'"):
        opt.state(twice, params)
    named = {**opt.adam(cost, params[:1]), **opt.adam(cost, params[1:], name="second")}
    assert "second.step" in opt.state(named, params)
    nameless = weft.shared(0.0)
    with pytest.raises(weft.ArgumentError, match="a state without a name"):
        opt.state({**named, nameless: nameless + 1}, params)


# Rates


@pytest.mark.parametrize("make", [lambda r: r, lambda r: weft.shared(r), lambda r: weft.shared(np.float32(r))])
def test_rates_of_any_kind(make: Any) -> None:
    cost, params = problem("float32")
    run(opt.adam(cost, params, learning_rate=make(0.25)), 4)
    expected, same = problem("float32")
    run(opt.adam(expected, same, learning_rate=np.float64(0.25)), 4)
    for p, q in zip(params, same, strict=True):
        np.testing.assert_array_equal(p.get_value(), q.get_value())


def test_a_shared_rate_follows_a_schedule() -> None:
    cost, (w, b) = problem()
    rate, given = weft.shared(0.1, name="rate"), T.dscalar("given")
    f = weft.function([given], updates={**opt.sgd(cost, [w], rate), **opt.sgd(cost, [b], given / 2)})
    x, y = STARTS
    for r in (0.1, 0.05, 0.0, 0.2):
        rate.set_value(r)
        f(2 * r)
        x, y = x - r * gradient(0)(x), y - r * gradient(1)(y)
    np.testing.assert_allclose(w.get_value(), x, rtol=1e-13)
    np.testing.assert_allclose(b.get_value(), y, rtol=1e-13)


@pytest.mark.parametrize(
    "rates",
    [
        lambda w, b: {w: 0.02, b: 0.07},
        lambda w, b: {b: 0.07, "default": 0.02},
        lambda w, b: [0.02, 0.07],
        lambda w, b: {w: weft.shared(0.02), "default": 0.07},
    ],
)
def test_rates_by_parameter(rates: Any) -> None:
    cost, params = problem()
    run(opt.rmsprop(cost, params, rates(*params), rho=0.8, epsilon=1e-3))
    for k, (p, rate) in enumerate(zip(params, (0.02, 0.07), strict=True)):
        np.testing.assert_allclose(p.get_value(), rmsprop(gradient(k), STARTS[k], rate, 0.8, 1e-3), rtol=1e-12)


def test_decay_by_parameter() -> None:
    cost, params = problem()
    run(opt.adamw(cost, params, 0.05, 0.8, 0.99, 1e-3, weight_decay={params[1]: 0, "default": 0.2}))
    for k, (p, decay) in enumerate(zip(params, (0.2, 0.0), strict=True)):
        np.testing.assert_allclose(
            p.get_value(), adam(gradient(k), STARTS[k], 0.05, 0.8, 0.99, 1e-3, decay), rtol=1e-12
        )


def test_momentum_may_be_scheduled() -> None:
    cost, params = problem()
    mu = weft.shared(0.5, name="mu")
    f = weft.function([], updates=opt.momentum(cost, params, 0.03, momentum=mu))
    x, v = STARTS[0], 0
    for value in (0.5, 0.9, 0.99):
        mu.set_value(value)
        f()
        v = value * v - 0.03 * gradient(0)(x)
        x = x + v
    np.testing.assert_allclose(params[0].get_value(), x, rtol=1e-13)


# Long runs


def test_the_count_is_exact_after_many_steps() -> None:
    p = weft.shared(np.ones(3, "float32"), name="W")
    updates = opt.adam([np.ones(3, "float32")], [p])
    count = opt.state(updates, [p])["adam.step"]
    assert count.dtype == "int64"
    count.set_value(10**8)
    run(updates, 3)
    assert count.get_value() == 10**8 + 3


def test_float32_keeps_constant_gradients() -> None:
    """A constant gradient is its own average: every step of Adam is the rate, early and late."""
    g = np.array([1e-6, 0.3, 4000.0], "float32")
    p = weft.shared(np.zeros(3, "float32"), name="W")
    updates = opt.adam([g], [p], learning_rate=1.0, beta2=0.99999, epsilon=0.0)
    f = weft.function([], updates=updates)
    for _ in range(3000):
        p.set_value(np.zeros(3, "float32"))
        f()
        np.testing.assert_allclose(p.get_value(), -np.ones(3), rtol=3e-6)


# What surrounds optimizers

GRADS = [np.array([[3.0, -4.0], [0.5, 0.0]]), np.array([12.0, -0.1])]


def evaluate(outputs: Any) -> Any:
    return weft.function([], outputs)()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_clipping(dtype: str) -> None:
    grads = [T.constant(g.astype(dtype)) for g in GRADS]
    rtol = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-13}[dtype]
    norms = [np.linalg.norm(g) for g in GRADS]
    total = float(np.hypot(*norms))
    for limit in (1.0, 6.0, 100.0, weft.shared(6.0)):
        c = limit if isinstance(limit, float) else 6.0
        whole = [g * min(1, c / total) for g in GRADS]
        single = [g * min(1, c / n) for g, n in zip(GRADS, norms, strict=True)]
        for got, want in (
            (opt.clip_by_value(grads, limit), [np.clip(g, -c, c) for g in GRADS]),
            (opt.clip_by_norm(grads, limit), single),
            (opt.clip_by_global_norm(grads, limit), whole),
        ):
            for a, b in zip(evaluate(got), want, strict=True):
                assert a.dtype == dtype
                np.testing.assert_allclose(a, b, rtol=rtol)
    np.testing.assert_allclose(evaluate(opt.global_norm(grads)), total, rtol=rtol)


def test_clipping_leaves_small_gradients_as_they_are() -> None:
    grads = [T.constant(g.astype("float32")) for g in GRADS]
    for clip in (opt.clip_by_norm, opt.clip_by_global_norm, opt.clip_by_value):
        for a, g in zip(evaluate(clip(grads, 13.1)), GRADS, strict=True):
            np.testing.assert_array_equal(a, g.astype("float32"))


@pytest.mark.parametrize("clip", [opt.clip_by_norm, opt.clip_by_global_norm])
def test_clipping_of_extreme_gradients(clip: Any) -> None:
    zero, huge, tiny = np.zeros(3, "float32"), np.full(3, 1e30, "float32"), np.full(3, 1e-30, "float32")
    np.testing.assert_array_equal(evaluate(clip([T.constant(zero)], 1.0))[0], zero)
    np.testing.assert_allclose(evaluate(clip([T.constant(huge)], 1.0))[0], 3**-0.5, rtol=1e-6)
    np.testing.assert_allclose(evaluate(clip([T.constant(tiny)], 1e-32))[0], 1e-32 * 3**-0.5, rtol=1e-6)
    x = T.dvector("x")
    f = weft.function([x], clip([x], 1.0)[0])
    np.testing.assert_array_equal(f(np.array([1.0, -np.inf, 0])), [0, np.nan, 0])
    assert np.isnan(f(np.array([1.0, np.nan]))).all()


def test_penalties() -> None:
    _, params = problem("float32")
    values = [p.get_value().astype("float64") for p in params]
    got = evaluate([opt.l1(params), opt.l2(params), *weft.grad(opt.l1(params) + opt.l2(params), params)])
    np.testing.assert_allclose(got[0], sum(np.abs(v).sum() for v in values), rtol=1e-6)
    np.testing.assert_allclose(got[1], sum((v**2).sum() for v in values), rtol=1e-6)
    for g, v in zip(got[2:], values, strict=True):
        np.testing.assert_allclose(g, np.sign(v) + 2 * v, rtol=1e-6)


def test_weight_decay_is_that_of_sgdw() -> None:
    cost, (w, b) = problem()
    run(opt.weight_decay(opt.momentum(cost, [w, b], 0.03, 0.8), [w], 0.03 * 0.2))
    x, v = STARTS[0], 0
    for _ in range(STEPS):
        v = 0.8 * v - 0.03 * gradient(0)(x)
        x = x + v - 0.03 * 0.2 * x
    np.testing.assert_allclose(w.get_value(), x, rtol=1e-12)
    np.testing.assert_allclose(b.get_value(), momentum(gradient(1), STARTS[1], 0.03, 0.8), rtol=1e-12)


@pytest.mark.parametrize("decay", [None, 0.0, 0.5, 0.99])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_polyak(decay: float | None, dtype: str) -> None:
    cost, params = problem(dtype)
    updates, averages = opt.polyak(opt.sgd(cost, params, 0.1), params, decay)
    assert list(averages) == params
    assert sorted(opt.state(updates, params)) == ["polyak.average[W]", "polyak.average[b]", "polyak.step"]
    np.testing.assert_array_equal(averages[params[0]].get_value(), params[0].get_value())
    f, seen = weft.function([], updates=updates), []
    for t in range(1, STEPS + 1):
        f()
        seen.append(params[0].get_value().astype("float64"))
        weights = np.ones(t) if decay is None else decay ** np.arange(t - 1, -1, -1.0)
        want = np.tensordot(weights, seen, 1) / weights.sum()
        np.testing.assert_allclose(averages[params[0]].get_value(), want, rtol=1e-12 if dtype == "float64" else 1e-5)
    total = weft.function([], sum(p.sum() for p in params), givens=averages)()
    np.testing.assert_allclose(total, sum(a.get_value().sum() for a in averages.values()), rtol=1e-5)


def test_averages_of_short_floats_are_float32() -> None:
    p = weft.shared(np.array([1.0, 2.0], "float16"), name="W")
    updates, averages = opt.polyak(opt.sgd([np.array([1.0, 1.0], "float16")], [p], 1e-3), [p])
    run(updates, 3)
    assert averages[p].dtype == "float32"
    values = [np.float16(1)]
    for _ in range(3):
        values.append(np.float16(np.float32(values[-1]) - np.float32(1e-3)))
    np.testing.assert_allclose(averages[p].get_value()[0], np.mean(values[1:], dtype="float64"), rtol=1e-6)


def test_given_updates_are_left_alone() -> None:
    cost, params = problem()
    updates = opt.sgd(cost, params, 0.1)
    before = dict(updates)
    opt.polyak(opt.weight_decay(updates, params, 0.1), params)
    assert updates == before


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_accumulated_gradients(dtype: str) -> None:
    """Their mean by weight; float16 is added up in float32; two of one program have names."""
    p = weft.shared(np.zeros(2, dtype), name="W")
    g, n = T.vector("g", dtype=dtype), T.lscalar("n")
    collect, (mean,), clear = opt.accumulate([g], [p], weight=n)
    assert mean.dtype == dtype
    assert [s.name for s in collect] == ["accumulate.weight", "accumulate.total[W]"] and set(collect) == set(clear)
    add, take = weft.function([g, n], updates=collect), weft.function([], mean, updates=clear)
    for _ in range(2):
        for k, weight in ((1, 3), (2, 1), (4, 4)):
            add(np.array([k, -0.1], dtype), weight)
        np.testing.assert_allclose(take(), [21 / 8, -0.1], rtol=1e-12 if dtype == "float64" else 1e-3)
    plain, _, _ = opt.accumulate([g], [p], name="other")
    assert next(iter(plain)).name == "other.weight"
    with pytest.raises(weft.ShapeError, match="accumulate: weight is a scalar"):
        opt.accumulate([g], [p], weight=g)
