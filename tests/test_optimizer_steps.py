"""Training steps with optimizers: kernels and bytes of the compiled programs, lines in reports; and mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import optimizers as opt

N = 1000
# name -> (settings, tensors of a parameter's size that a step reads and writes, beside the gradient)
COSTS: dict[str, tuple[dict[str, Any], int]] = {
    "sgd": ({"learning_rate": 0.1}, 2),
    "momentum": ({"learning_rate": 0.1}, 4),
    "nesterov": ({"learning_rate": 0.1}, 4),
    "adagrad": ({}, 4),
    "rmsprop": ({}, 4),
    "adadelta": ({}, 6),
    "adam": ({}, 6),
    "adamw": ({}, 6),
    "adamax": ({}, 6),
    "nadam": ({}, 6),
    "lion": ({"weight_decay": 0.1}, 4),
}
SCALARS = 256  # bytes for counts and what follows from them


def calls(f: Any) -> int:
    return len(f.stages.generated.calls)


def parameters(count: int, dtype: str = "float32") -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs for gradients, parameters, and values for the inputs; every parameter has a length of its own."""
    given = [T.vector(f"g{k}", dtype=dtype) for k in range(count)]
    params = [weft.shared(np.zeros(N + k, dtype), name=f"p{k}") for k in range(count)]
    return given, params, [np.ones(N + k, dtype) for k in range(count)]


@pytest.mark.parametrize("name", COSTS)
def test_one_kernel_a_parameter(name: str) -> None:
    """Besides those there are kernels for scalars: at most two, however many parameters."""
    settings, tensors = COSTS[name]
    counts = {}
    for k in (1, 4):
        given, params, values = parameters(k)
        updates = getattr(opt, name)(given, params, **settings)
        f = weft.function(given, updates=updates)
        counts[k] = calls(f) - k
        moved, least = f.traffic(*values)
        bytes_of_one = 4 * sum(v.size for v in values)
        assert least <= moved <= (tensors + 1) * bytes_of_one + SCALARS, f.report(*values)
        assert "updated in place" in f.report(*values)
    counted = any(s.ndim == 0 for s in opt.state(updates, params).values())
    assert counts[1] <= counts[4] <= 2 * counted, counts


def test_decay_averages_and_penalties_join_the_kernel() -> None:
    given, params, values = parameters(3)
    cost = sum((g * p).sum() for g, p in zip(given, params, strict=True)) + 1e-3 * (opt.l2(params) + opt.l1(params))
    updates = opt.weight_decay(opt.adam(cost, params), params, 1e-4)
    updates, _ = opt.polyak(updates, params)
    f = weft.function(given, updates=updates)
    assert calls(f) <= 3 + 3, f.report()
    size = 4 * sum(v.size for v in values)
    assert f.traffic(*values)[0] <= 9 * size + 2 * SCALARS


def test_clipping_by_the_global_norm_reads_gradients_twice() -> None:
    given, params, values = parameters(3)
    updates = opt.sgd(opt.clip_by_global_norm(given, 1.0), params, 0.1)
    f = weft.function(given, opt.global_norm(given), updates=updates)
    assert calls(f) <= 3 + 3 + 1, f.report()
    size = 4 * sum(v.size for v in values)
    assert f.traffic(*values)[0] <= 4 * size + SCALARS
    np.testing.assert_allclose(f(*values), sum(v.size for v in values) ** 0.5)


def test_adam_costs_no_more_than_one_written_out() -> None:
    (g,), (p,), (value,) = parameters(1)
    ours = weft.function([g], updates=opt.adam([g], [p]))
    p, m, v = (weft.shared(np.zeros(N, "float32")) for _ in range(3))
    t = weft.shared(np.float32(0))
    now = t + 1
    m1, v1 = np.float32(0.9) * m + np.float32(0.1) * g, np.float32(0.999) * v + np.float32(0.001) * g * g
    rate = np.float32(1e-3) / (1 - np.float32(0.9) ** now)
    p1 = p - rate * m1 / (T.sqrt(v1) / T.sqrt(1 - np.float32(0.999) ** now) + np.float32(1e-8))
    written = weft.function([g], updates=[(p, p1), (m, m1), (v, v1), (t, now)])
    assert calls(ours) <= calls(written)
    assert ours.traffic(value)[0] <= written.traffic(value)[0]


def test_what_follows_from_the_count_stands_outside_the_loops() -> None:
    (g,), (p,), _ = parameters(1)
    for name in ("adam", "nadam"):
        text = str(weft.function([g], updates=getattr(opt, name)([g], [p])).source)
        loops = [part.partition("\n    }\n")[0] for part in text.split("for (int64_t ")[1:]]
        assert "weft_expm1" in text and not any("weft_exp" in loop for loop in loops)


def test_reports_name_the_line_of_the_call() -> None:
    given, params, _ = parameters(1)
    updates = opt.adam(given, params)  # this line
    report = weft.function(given, updates=updates).report()
    assert "updates = opt.adam(given, params)  # this line" in report


@pytest.mark.parametrize("threads", [1, 2])
def test_steps_have_the_same_bits_on_any_number_of_threads(threads: int) -> None:
    results = []
    for count in (1, threads):
        g = T.fvector("g")
        p = weft.shared(np.linspace(-1, 1, 300_000, dtype="float32"), name="p")
        f = weft.function([g], updates=opt.adam(opt.clip_by_norm([g], 1.0), [p]), threads=count)
        for _ in range(3):
            f(np.linspace(-2, 3, 300_000, dtype="float32"))
        results.append(p.get_value())
    np.testing.assert_array_equal(*results)


# Mistakes

W, B = weft.shared(np.zeros((3, 2)), name="W"), weft.shared(np.zeros(2), name="b")
X = T.dvector("x")
COST = T.sqr(W).sum() + T.sqr(B).sum()
WHOLE = weft.shared(np.arange(3), name="whole")
COMPLEX = weft.shared(np.zeros(3, "complex128"), name="z")
GRADS = [T.ones((3, 2)), T.ones(2)]


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize(
    ("first", "params", "error", "message"),
    [
        (W, [W], weft.ShapeError, "takes a scalar cost or a list of gradients; W .* take its sum or mean, or put"),
        (3.0, [W], weft.ArgumentError, "takes a scalar cost or a list of gradients, not 3.0"),
        (T.argmax(W) + 0, [W], weft.DTypeError, "is int64, which has no gradient"),
        (COST, W, weft.ArgumentError, "the parameters are a list of shared variables, not W"),
        (COST, [], weft.ArgumentError, "the list of parameters is empty"),
        (COST, [W, X], weft.ArgumentError, "parameter 1 is x, .* parameters are shared variables"),
        (COST, [W, np.zeros(2)], weft.ArgumentError, r"parameter 1 is array\(\[0., 0.\]\)"),
        (COST, [W, B, W], weft.ArgumentError, "W is parameter 0 and again parameter 2"),
        (COST, [WHOLE], weft.DTypeError, "parameter 0, whole, is int64; parameters are of real floats"),
        (COST, [COMPLEX], weft.DTypeError, "parameter 0, z, is complex128"),
        (COST, [weft.shared(1.0, name="far")], weft.DisconnectedInputError, "does not depend on far"),
        (GRADS, [W], weft.ArgumentError, "2 gradients for 1 parameters"),
        ([COST], [W], weft.ShapeError, "gradient 0, .* W has shape .*; a cost is given without brackets"),
        (GRADS, [B, W], weft.ShapeError, r"gradient 0, .* b has shape \(2,\)"),
        ([np.zeros((3, 1)), np.zeros(2)], [W, B], weft.ShapeError, r"gradient 0, .* W has shape \(3, 2\)"),
        ([None, np.zeros(2)], [W, B], weft.ArgumentError, "gradient 0, that of W, is None"),
        ([np.zeros((3, 2), int), np.zeros(2)], [W, B], weft.DTypeError, "gradient 0, that of W, is int64"),
    ],
)
def test_mistakes_in_costs_and_parameters(name: str, first: Any, params: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        getattr(opt, name)(first, params, **COSTS[name][0])
    assert str(raised.value).startswith((name, "the cost"))


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (-0.1, weft.ArgumentError, "learning_rate is -0.1; it has to be finite, at least 0"),
        (float("nan"), weft.ArgumentError, "learning_rate is nan"),
        (float("inf"), weft.ArgumentError, "learning_rate is inf"),
        (True, weft.ArgumentError, "learning_rate is a number or a scalar variable, not True"),
        ("fast", weft.ArgumentError, "learning_rate is a number or a scalar variable, not 'fast'"),
        (None, weft.ArgumentError, "learning_rate is a number or a scalar variable, not None"),
        (1j, weft.ArgumentError, "learning_rate is a number"),
        (np.ones(2), weft.ArgumentError, "learning_rate is a number or a scalar variable"),
        (X, weft.ShapeError, "learning_rate is a scalar; x is"),
        (COMPLEX[0], weft.DTypeError, "learning_rate is a real number"),
        ([0.1], weft.ArgumentError, "1 values for 2 parameters"),
        ({W: 0.1}, weft.ArgumentError, 'not given for b; "default" stands for the others'),
        ({W: 0.1, B: -1}, weft.ArgumentError, "learning_rate of b is -1"),
        ({W: 0.1, X: 0.1, B: 0.1}, weft.ArgumentError, r"given for x, .* no parameter of this call; .* \(W, b\)"),
        ({"W": 0.1, "default": 1}, weft.ArgumentError, "given for 'W', which is no parameter of this call"),
    ],
)
def test_mistakes_in_rates(rate: Any, error: Any, message: str) -> None:
    for make in (opt.sgd, opt.adam):
        with pytest.raises(error, match=message):
            make(COST, [W, B], rate)
    with pytest.raises(error, match=message.replace("learning_rate", "weight_decay")):
        opt.adamw(COST, [W, B], weight_decay=rate)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: opt.adam(COST, [W], beta1=1.0), weft.ArgumentError, "adam: beta1 is 1; .* at least 0 and below 1"),
        (lambda: opt.adamw(COST, [W], beta2=-0.1), weft.ArgumentError, "adamw: beta2 is -0.1"),
        (lambda: opt.nadam(COST, [W], epsilon=-1), weft.ArgumentError, "nadam: epsilon is -1"),
        (lambda: opt.adam(COST, [W], beta1=T.dscalar("b")), weft.ArgumentError, "beta1 is a number, not the variable"),
        (lambda: opt.momentum(COST, [W], 0.1, momentum=1), weft.ArgumentError, "momentum: momentum is 1"),
        (lambda: opt.rmsprop(COST, [W], rho="a"), weft.ArgumentError, "rmsprop: rho is a number"),
        (lambda: opt.adam(COST, [W], name=3), weft.ArgumentError, "adam: name is a string"),
        (lambda: opt.clip_by_norm(W, 1.0), weft.ArgumentError, "takes a list of gradients; put the one gradient in"),
        (lambda: opt.clip_by_norm([], 1.0), weft.ArgumentError, "clip_by_norm: the list of gradients is empty"),
        (lambda: opt.clip_by_value([W], 0), weft.ArgumentError, "clip_by_value: limit is 0; it has to be positive"),
        (lambda: opt.clip_by_global_norm([W], -1), weft.ArgumentError, "clip_by_global_norm: limit is -1"),
        (lambda: opt.clip_by_global_norm([WHOLE], 1), weft.DTypeError, "gradient 0 is int64"),
        (lambda: opt.l2(W), weft.ArgumentError, "l2 takes a list of parameters; put the one parameter in brackets"),
        (lambda: opt.weight_decay({}, [W], 0.1), weft.ArgumentError, "updates do not change W; it comes after"),
        (lambda: opt.weight_decay(opt.sgd(COST, [W], 1), [W], -1), weft.ArgumentError, "weight_decay: rate is -1"),
        (lambda: opt.polyak({}, [W]), weft.ArgumentError, "polyak: the updates do not change W"),
        (lambda: opt.polyak(opt.sgd(COST, [W], 1), [W], 1.0), weft.ArgumentError, "polyak: decay is 1"),
    ],
)
def test_other_mistakes(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_gradients_of_other_lengths_are_found_in_the_call() -> None:
    g = T.dvector("g")
    f = weft.function([g], updates=opt.adam([g], [B]))
    with pytest.raises(weft.ShapeError):
        f(np.zeros(3))
    with pytest.raises(weft.ShapeError):  # no axis stretches that merely has the length 1
        f(np.zeros(1))
