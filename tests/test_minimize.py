"""`weft.minimize`: minima that are known, what parameters hold however a search ends, mistakes."""

from __future__ import annotations

import builtins
import signal
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.tensor.shared_randomstreams import RandomStreams

pytest.importorskip("scipy")
METHODS = ["L-BFGS", "CG"]


def rosenbrock(dtype: str = "float64") -> tuple[Any, Any]:
    """The valley of Rosenbrock in four dimensions, whose minimum, 0, is where all are 1; and its parameter."""
    x = weft.shared(np.array([-1.2, 1, -1.2, 1], dtype), name="x")
    return (100 * T.sqr(x[1:] - T.sqr(x[:-1])) + T.sqr(1 - x[:-1])).sum(), x


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "tol", "error"), [("float64", 1e-8, 1e-7), ("float32", 1e-2, 2e-2)])
def test_rosenbrock(method: str, dtype: str, tol: float, error: float) -> None:
    cost, x = rosenbrock(dtype)
    start = weft.function([], cost)()
    found = weft.minimize(cost, [x], method, tol=tol)
    assert found.converged, found
    assert x.dtype == dtype and x.get_value().dtype == dtype
    np.testing.assert_allclose(x.get_value(), 1, rtol=error)
    assert found.cost == weft.function([], cost)() < start
    np.testing.assert_allclose(found.gradient_norm, np.abs(weft.function([], weft.grad(cost, x))()).max(), rtol=1e-5)
    assert 10 < found.iterations < found.evaluations


@pytest.mark.parametrize("method", METHODS)
def test_least_squares_of_several_parameters(method: str) -> None:
    """A convex problem with inputs, and parameters of every rank: the minimum is that of NumPy's least squares."""
    rng = np.random.default_rng(0)
    data, target = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    x, y = T.dmatrices("x", "y")
    w, b, s = (weft.shared(np.zeros(n), name=k) for n, k in (((3, 2), "w"), ((2,), "b"), ((), "s")))
    cost = T.sqr(T.dot(x, w) + b + s - y).mean()
    found = weft.minimize(cost, [w, b, s], method, [x, y], [data, target], tol=1e-7)
    assert found.converged, found
    with_ones = np.column_stack([data, np.ones(50)])
    best = np.linalg.lstsq(with_ones, target, rcond=None)[0]
    np.testing.assert_allclose(found.cost, np.square(with_ones @ best - target).mean(), rtol=1e-12)
    np.testing.assert_allclose(w.get_value(), best[:3], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(b.get_value() + s.get_value(), best[3], rtol=1e-5, atol=1e-7)


def test_draws_are_the_same_in_every_evaluation() -> None:
    streams = RandomStreams(4)
    x = weft.shared(np.zeros(5), name="x")
    noise = streams.normal((5,))
    found = weft.minimize(T.sqr(x - noise).sum(), [x], tol=1e-9)
    assert found.converged
    np.testing.assert_allclose(x.get_value(), weft.function([], noise)(), rtol=1e-7)


def test_iterations_are_limited() -> None:
    cost, x = rosenbrock()
    start = weft.function([], cost)()
    found = weft.minimize(cost, [x], max_iterations=3)
    assert found.iterations == 3 and not found.converged
    assert found.cost == weft.function([], cost)() < start


def test_options_go_to_scipy() -> None:
    cost, x = rosenbrock()
    assert weft.minimize(cost, [x], options={"maxfun": 5}).evaluations <= 7


@pytest.mark.parametrize("method", METHODS)
def test_the_callback_sees_the_best_point(method: str) -> None:
    cost, x = rosenbrock()
    f, seen = weft.function([], cost), []

    def look(iteration: int, value: float) -> None:
        seen.append((iteration, value, float(f())))
        if iteration == 5:
            raise StopIteration

    found = weft.minimize(cost, [x], method, callback=look)
    assert [k for k, _, _ in seen] == [1, 2, 3, 4, 5] == list(range(1, found.iterations + 1))
    assert all(now <= value for _, value, now in seen)
    assert [now for _, _, now in seen] == sorted((now for _, _, now in seen), reverse=True)
    assert not found.converged and found.cost == f() == seen[-1][2]


@pytest.mark.parametrize("kind", ["error", "interrupt"])
def test_an_exception_leaves_the_best_point(kind: str) -> None:
    cost, x = rosenbrock()
    f = weft.function([], cost)
    reached = []

    def fail(iteration: int, value: float) -> None:
        reached.append(value)
        if iteration == 4:
            if kind == "interrupt":
                signal.raise_signal(signal.SIGINT)
            raise OSError("the disk is full")

    with pytest.raises(KeyboardInterrupt if kind == "interrupt" else OSError):
        weft.minimize(cost, [x], callback=fail)
    assert len(reached) == 4 and f() <= min(reached)


class Failing:
    """An argument that cannot be read for the n-th time."""

    def __init__(self, n: int):
        self.left = n

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.left -= 1
        if not self.left:
            raise OSError("the disk is gone")
        return np.array(1.0)


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_in_the_search_leaves_the_best_point(method: str) -> None:
    """The later it comes, the better the point, in the middle of a line search that has gone too far as well."""
    costs = []
    for n in range(1, 40):
        cost, x = rosenbrock()
        scale = T.dscalar("scale")
        with pytest.raises(OSError):
            weft.minimize(cost * scale, [x], method, [scale], [Failing(n)])
        costs.append(float(weft.function([], cost)()))
        if n == 1:
            np.testing.assert_array_equal(x.get_value(), [-1.2, 1, -1.2, 1])
    assert costs == sorted(costs, reverse=True) and len(set(costs)) > 15
    assert len(set(costs)) < len(costs) - 2  # some evaluations were worse


def test_an_error_of_the_program_leaves_old_values() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    w = weft.shared(np.ones(3), name="w")
    cost = T.sqr(w * x - y).sum()
    with pytest.raises(weft.ShapeError):
        weft.minimize(cost, [w], inputs=[x, y], data=[np.ones(3), np.ones(4)])
    np.testing.assert_array_equal(w.get_value(), 1)


@pytest.mark.parametrize("method", METHODS)
def test_points_without_a_finite_cost_are_passed_over(method: str) -> None:
    """The first step from 30 goes below 0, where x^1.5 is NaN."""
    x = weft.shared(np.array([30.0]), name="x")
    cost = (x**1.5 / 100 + T.sqr(T.log(x))).sum()
    values: list[float] = []
    found = weft.minimize(cost, [x], method, callback=lambda k, c: values.append(c))
    assert np.isfinite(x.get_value()).all() and np.isfinite(found.cost)
    assert found.cost == weft.function([], cost)() < 13


def test_no_finite_start() -> None:
    x = weft.shared(np.array([-1.0]), name="x")
    with pytest.raises(weft.NumericalError, match="the cost is nan at the start"):
        weft.minimize(T.log(x).sum(), [x])
    assert x.get_value() == -1


def test_other_shared_variables_stay_as_they_are() -> None:
    x, c = weft.shared(np.ones(2), name="x"), weft.shared(np.array([2.0, 3.0]), name="c")
    weft.minimize(T.sqr(x - c).sum(), [x])
    np.testing.assert_array_equal(c.get_value(), [2, 3])
    np.testing.assert_allclose(x.get_value(), [2, 3], rtol=1e-5)


X, Y = T.dvector("x"), T.dvector("y")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (lambda w: (T.sqr(w), [w]), {}, weft.ShapeError, "the cost is a scalar; .* take its sum or mean"),
        (lambda w: (1.0, [w]), {}, weft.ArgumentError, "the cost is a scalar variable, not 1.0"),
        (lambda w: (T.argmax(w), [w]), {}, weft.DTypeError, "the cost is a real float; .* is int64"),
        (lambda w: (w.sum(), w), {}, weft.ArgumentError, "the parameters are a list of shared variables, not w"),
        (lambda w: (w.sum(), [w, w]), {}, weft.ArgumentError, "w is parameter 0 and again parameter 1"),
        (lambda w: (w.sum(), [X]), {}, weft.ArgumentError, "parameter 0 is x, .* parameters are shared variables"),
        (lambda w: (w.sum(), [w], "BFGS"), {}, weft.ArgumentError, "method is 'L-BFGS' or 'CG', not 'BFGS'"),
        (lambda w: ((w * X).sum(), [w], "CG", [X]), {}, weft.ArgumentError, "1 inputs, but data holds 0"),
        (lambda w: (w.sum(), [w]), {"tol": -1}, weft.ArgumentError, "tol is -1; .* at least 0"),
        (lambda w: (w.sum(), [w]), {"max_iterations": 0}, weft.ArgumentError, "max_iterations is a number of at least"),
        (lambda w: (T.sqr(X).sum(), [w], "CG", [X], [1]), {}, weft.DisconnectedInputError, "does not depend on w"),
        (lambda w: (T.sum(empty := weft.shared(np.zeros(0))), [empty]), {}, weft.ShapeError, "have no elements"),
    ],
)
def test_mistakes(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    w = weft.shared(np.ones(3), name="w")
    with pytest.raises(error, match=message):
        weft.minimize(*arguments(w), **options)
    np.testing.assert_array_equal(w.get_value(), 1)


def test_scipy_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(f"No module named {name!r}")
        return whole(name, *rest)

    cost, x = rosenbrock()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(weft.WeftError, match=r"pip install 'weft\[linalg\]'"):
        weft.minimize(cost, [x])


def test_values_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and arrays of another dtype: by the first evaluation, not by each."""
    from weft.runtime import callable as calls

    asked = []
    as_array = calls.as_array
    monkeypatch.setattr(calls, "as_array", lambda v: asked.append(type(v)) or as_array(v))
    w, x, y = weft.shared(np.zeros(3), "w"), T.dmatrix("x"), T.dvector("y")
    points = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    found = weft.minimize(T.sqr(T.dot(x, w) - y).sum(), [w], "CG", [x, y], [points, points[:, 0].tolist()])
    assert found.evaluations > 5 and asked.count(list) <= 2
    np.testing.assert_allclose(w.get_value(), [1, 0, 0], atol=1e-5)


def test_a_parameter_that_the_cost_does_not_depend_on() -> None:
    w, b = weft.shared(np.ones(3), "w"), weft.shared(np.ones(3), "b")
    with pytest.raises(weft.DisconnectedInputError, match=r"minimize: the cost .* not depend on b .*leave it out") as e:
        weft.minimize(T.sqr(w).sum(), [w, b])
    assert "at test_minimize.py" in str(e.value).splitlines()[-1]
