"""Optimizers: each returns the updates of one training step, for `weft.function(..., updates=...)`.

All take the same first arguments.

cost_or_grads: a scalar cost, whose gradients are taken here, or a list with one gradient a parameter, clipped ones say.
params: a list of shared variables of real floats.
learning_rate: a number, or a scalar variable; a shared one is set between calls (`rate.set_value(...)`), and the
    expression of a schedule follows a counter. Rates of single parameters: a list with one for each, or a mapping
    `{w: 0.1, b: 0.2}`, where "default" stands for parameters that it does not name.
name: what the names of states begin with, when not with that of the optimizer.

They return an ordered dict {shared variable: new value}: the parameters, and the state of the optimizer, which are
shared variables that the call makes: of zeros, in a parameter's shape, named after it (`adam.m[W]`). `state(updates,
params)` lists them. A step count is one int64 scalar an optimizer (`adam.step`). A parameter that gets another shape
later needs a new optimizer.

An update is computed and accumulated in the dtype of its parameter, in float32 where that is float16 or bfloat16:
states are float32 then, and the parameter is rounded once. Steps below half a unit in its last place are lost to such a
parameter; where that matters, keep float32 parameters and cast them in the graph. What depends on the step count alone
is computed in float64.

Formulas: θ is a parameter, g its gradient, η the learning rate, t the number of the step, from 1. Operations are
elementwise. Averages a <- β a + (1 - β) x are computed as a + (1 - β)(x - a), which leaves a constant as it is where β
and 1 - β are rounded. A NaN in a gradient makes that element of parameter and state NaN.

Errors, of all of them: ShapeError (a cost that is not a scalar, a gradient or rate of another shape), DTypeError
(parameters or gradients that are not real floats), ArgumentError (what is no shared variable, a parameter given twice,
other numbers of gradients than of parameters, numbers out of range, rates for unknown parameters), and those of
`weft.grad`.
"""

from __future__ import annotations

import math as numbers
from typing import Any

import numpy as np

from ..ir.dtypes import numpy_dtype
from . import math
from .parameters import Step, Updates, number, per_parameter, scalar
from .shared import shared
from .tensor import constant
from .variable import Variable


def sgd(cost_or_grads: Any, params: Any, learning_rate: Any, name: str | None = None) -> Updates:
    """Gradient descent: θ <- θ - η g. No state."""
    step = Step("sgd", cost_or_grads, params, learning_rate, name)
    for p in step.parameters:
        step.set(p, p.value - p.rate * p.gradient)
    return step.updates


def momentum(
    cost_or_grads: Any, params: Any, learning_rate: Any, momentum: Any = 0.9, name: str | None = None
) -> Updates:
    """Classical momentum: Sutskever, Martens, Dahl, Hinton (2013), equations 1 and 2.

        v <- μ v - η g;  θ <- θ + v

    momentum: μ, a number in [0, 1) or a scalar variable. State: v. The rate enters v: after a change of it, old
    gradients still count with the old one (torch.optim.SGD multiplies v by the present rate instead; with a constant
    rate both are the same).
    """
    step = Step("momentum", cost_or_grads, params, learning_rate, name)
    mu = scalar(momentum, "momentum: momentum", below=1)
    for p in step.parameters:
        v = p.state("v")
        new = step.keep(v, p.number(mu) * v - p.rate * p.gradient)
        step.set(p, p.value + new)
    return step.updates


def nesterov(
    cost_or_grads: Any, params: Any, learning_rate: Any, momentum: Any = 0.9, name: str | None = None
) -> Updates:
    """Nesterov's accelerated gradient: Sutskever, Martens, Dahl, Hinton (2013), equations 3 and 4.

        v <- μ v - η ∇f(θ + μ v);  θ <- θ + v

    The parameters hold the point where the gradient is taken, Θ = θ + μ v, so that cost and gradient are those of one
    point (Bengio, Boulanger-Lewandowski, Pascanu 2013, equation 7):

        v <- μ v - η g;  Θ <- Θ + μ v - η g

    momentum: μ, a number in [0, 1) or a scalar variable; where it changes between calls, Θ is taken with the μ of the
    step before. State: v. torch.optim.SGD(nesterov=True) is the same with a constant rate.
    """
    step = Step("nesterov", cost_or_grads, params, learning_rate, name)
    mu = scalar(momentum, "nesterov: momentum", below=1)
    for p in step.parameters:
        v = p.state("v")
        downhill = p.rate * p.gradient
        new = step.keep(v, p.number(mu) * v - downhill)
        step.set(p, p.value + p.number(mu) * new - downhill)
    return step.updates


def adagrad(
    cost_or_grads: Any, params: Any, learning_rate: Any = 0.01, epsilon: float = 1e-10, name: str | None = None
) -> Updates:
    """Adagrad with diagonal matrices: Duchi, Hazan, Singer (2011), figure 1 (there δ is epsilon).

        s <- s + g²;  θ <- θ - η g / (sqrt(s) + ε)

    State: s. As in torch.optim.Adagrad, ε stands outside the root; others put it inside.
    """
    step = Step("adagrad", cost_or_grads, params, learning_rate, name)
    epsilon = number(epsilon, "adagrad: epsilon")
    for p in step.parameters:
        s = p.state("s")
        new = step.keep(s, s + math.sqr(p.gradient))
        step.set(p, p.value - p.rate * p.gradient / (math.sqrt(new) + p.number(epsilon)))
    return step.updates


def rmsprop(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 0.001,
    rho: float = 0.9,
    epsilon: float = 1e-8,
    name: str | None = None,
) -> Updates:
    """RMSprop: Tieleman, Hinton (2012), lecture 6e of Neural Networks for Machine Learning.

        s <- ρ s + (1 - ρ) g²;  θ <- θ - η g / (sqrt(s) + ε)

    State: s. The lecture has no ε. As in torch.optim.RMSprop it stands outside the root; others put it inside.
    """
    step = Step("rmsprop", cost_or_grads, params, learning_rate, name)
    rho, epsilon = number(rho, "rmsprop: rho", below=1), number(epsilon, "rmsprop: epsilon")
    for p in step.parameters:
        s = p.state("s")
        new = step.keep(s, p.blend(s, math.sqr(p.gradient), 1 - rho))
        step.set(p, p.value - p.rate * p.gradient / (math.sqrt(new) + p.number(epsilon)))
    return step.updates


def adadelta(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 1.0,
    rho: float = 0.95,
    epsilon: float = 1e-6,
    name: str | None = None,
) -> Updates:
    """Adadelta: Zeiler (2012), algorithm 1.

        s <- ρ s + (1 - ρ) g²;  Δ = -sqrt(d + ε) / sqrt(s + ε) g;  d <- ρ d + (1 - ρ) Δ²;  θ <- θ + η Δ

    State: s, d. The paper has no learning rate; 1 is its algorithm.
    """
    step = Step("adadelta", cost_or_grads, params, learning_rate, name)
    rho, epsilon = number(rho, "adadelta: rho", below=1), number(epsilon, "adadelta: epsilon")
    for p in step.parameters:
        s, d = p.state("s"), p.state("d")
        new = step.keep(s, p.blend(s, math.sqr(p.gradient), 1 - rho))
        move = math.sqrt((d + p.number(epsilon)) / (new + p.number(epsilon))) * p.gradient
        step.keep(d, p.blend(d, math.sqr(move), 1 - rho))
        step.set(p, p.value - p.rate * move)
    return step.updates


def adam(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    name: str | None = None,
) -> Updates:
    """Adam: Kingma, Ba (2015), algorithm 1.

        m <- β1 m + (1 - β1) g;  v <- β2 v + (1 - β2) g²
        θ <- θ - η (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε)

    State: m, v, and the step count. ε is the paper's of algorithm 1, as in torch.optim.Adam (the reordered form at the
    end of section 2, which others take, has another). Computed as η c2/c1 m / (sqrt(v) + ε c2) with c1 = 1 - β1^t and
    c2 = sqrt(1 - β2^t), by expm1, once a step.
    """
    step = Step("adam", cost_or_grads, params, learning_rate, name)
    _adam(step, beta1, beta2, epsilon, None)
    return step.updates


def adamw(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: Any = 0.01,
    name: str | None = None,
) -> Updates:
    """Adam with decoupled weight decay: Loshchilov, Hutter (2019), algorithm 2 (AdamW).

        m <- β1 m + (1 - β1) g;  v <- β2 v + (1 - β2) g²
        θ <- θ - η ((m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε) + λ θ)

    weight_decay: λ, a number or a scalar variable, or by parameter as rates are (`{b: 0, "default": 0.01}`). η is the
    paper's schedule multiplier, with its α = 1, so decay follows the schedule, as there. With another α of the paper's,
    η stands for the product of the two, and λ for its λ / α. It is the convention of torch.optim.AdamW. State as of
    `adam`.
    """
    step = Step("adamw", cost_or_grads, params, learning_rate, name)
    decay = per_parameter(weight_decay, [p.variable for p in step.parameters], "adamw: weight_decay")
    _adam(step, beta1, beta2, epsilon, decay)
    return step.updates


def _adam(step: Step, beta1: Any, beta2: Any, epsilon: Any, decay: list[Any] | None) -> None:
    beta1, beta2, epsilon = _adam_numbers("adam" if decay is None else "adamw", beta1, beta2, epsilon)
    t = step.count()
    c1, c2 = _one_minus_power(beta1, t), math.sqrt(_one_minus_power(beta2, t))
    for k, p in enumerate(step.parameters):
        m, v = p.state("m"), p.state("v")
        m1 = step.keep(m, p.blend(m, p.gradient, 1 - beta1))
        v1 = step.keep(v, p.blend(v, math.sqr(p.gradient), 1 - beta2))
        move = p.number(p.rate64 * c2 / c1) * m1 / (math.sqrt(v1) + p.number(c2 * _float64(epsilon)))
        if decay is not None:
            move = move + p.number(p.rate64 * decay[k]) * p.value
        step.set(p, p.value - move)


def adamax(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    name: str | None = None,
) -> Updates:
    """Adamax: Kingma, Ba (2015), algorithm 2.

        m <- β1 m + (1 - β1) g;  u <- max(β2 u, |g|);  θ <- θ - η / (1 - β1^t) m / u

    State: m, u, and the step count. The paper has no ε; where u is 0, all gradients were, and θ stays as it is
    (torch.optim.Adamax adds an ε to |g|).
    """
    step = Step("adamax", cost_or_grads, params, learning_rate, name)
    beta1, beta2, _ = _adam_numbers("adamax", beta1, beta2, 0)
    c1 = _one_minus_power(beta1, step.count())
    for p in step.parameters:
        m, u = p.state("m"), p.state("u")
        m1 = step.keep(m, p.blend(m, p.gradient, 1 - beta1))
        u1 = step.keep(u, math.maximum(p.number(beta2) * u, math.abs_(p.gradient)))
        tiny = float(np.finfo(numpy_dtype(p.dtype)).tiny)  # in place of 0, where m is 0 as well
        step.set(p, p.value - p.number(p.rate64 / c1) * m1 / math.maximum(u1, p.number(tiny)))
    return step.updates


def nadam(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    schedule_decay: float = 0.004,
    name: str | None = None,
) -> Updates:
    """Adam with Nesterov's momentum: Dozat (2016), algorithm 2 (Nadam).

        μ_t = β1 (1 - 0.96^(t ψ) / 2)
        m <- μ_t m + (1 - μ_t) g;  v <- β2 v + (1 - β2) g²
        θ <- θ - η (μ_{t+1} m / (1 - μ_1 ... μ_{t+1}) + (1 - μ_t) g / (1 - μ_1 ... μ_t)) / (sqrt(v / (1 - β2^t)) + ε)

    schedule_decay: ψ, 1/250 in the paper; β2 is its ν. State: m, v, the step count and the product of the μ_i. v is
    corrected as in Adam. The paper's listing has ν v in place of v there: a learning rate divided by sqrt(ν), and
    another ε. torch.optim.NAdam averages m with β1 in place of μ_t.
    """
    step = Step("nadam", cost_or_grads, params, learning_rate, name)
    beta1, beta2, epsilon = _adam_numbers("nadam", beta1, beta2, epsilon)
    slope = number(schedule_decay, "nadam: schedule_decay") * numbers.log(0.96)
    t = step.count()

    def mu(t: Any) -> Any:
        return _float64(beta1) * (_float64(1) - _float64(0.5) * math.exp(t * _float64(slope)))

    now, later = mu(t), mu(t + _float64(1))
    before = shared(np.float64(1), f"{step.prefix}.mu_product")
    product = step.keep(before, before * now)
    c2 = math.sqrt(_one_minus_power(beta2, t))
    of_m = c2 * later / (_float64(1) - product * later)
    of_g = c2 * (_float64(1) - now) / (_float64(1) - product)
    for p in step.parameters:
        m, v = p.state("m"), p.state("v")
        m1 = step.keep(m, p.blend(m, p.gradient, _float64(1) - now))
        v1 = step.keep(v, p.blend(v, math.sqr(p.gradient), 1 - beta2))
        ahead = p.number(p.rate64 * of_m) * m1 + p.number(p.rate64 * of_g) * p.gradient
        step.set(p, p.value - ahead / (math.sqrt(v1) + p.number(c2 * _float64(epsilon))))
    return step.updates


def lion(
    cost_or_grads: Any,
    params: Any,
    learning_rate: Any = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: Any = 0.0,
    name: str | None = None,
) -> Updates:
    """Lion: Chen and others (2023), algorithm 2.

        c = β1 m + (1 - β1) g;  θ <- θ - η (sign(c) + λ θ);  m <- β2 m + (1 - β2) g

    weight_decay: λ, as of `adamw`. State: m. sign(0) is 0.
    """
    step = Step("lion", cost_or_grads, params, learning_rate, name)
    beta1, beta2, _ = _adam_numbers("lion", beta1, beta2, 0)
    decay = per_parameter(weight_decay, [p.variable for p in step.parameters], "lion: weight_decay")
    for p, d in zip(step.parameters, decay, strict=True):
        m = p.state("m")
        move = p.rate * math.sgn(p.blend(m, p.gradient, 1 - beta1))
        step.keep(m, p.blend(m, p.gradient, 1 - beta2))
        step.set(p, p.value - (move + p.number(p.rate64 * d) * p.value))
    return step.updates


def _adam_numbers(what: str, beta1: Any, beta2: Any, epsilon: Any) -> tuple[float, float, float]:
    b1, b2 = number(beta1, f"{what}: beta1", below=1), number(beta2, f"{what}: beta2", below=1)
    return b1, b2, number(epsilon, f"{what}: epsilon")


def _float64(x: float) -> Any:
    return constant(x, dtype="float64")


def _one_minus_power(beta: float, t: Variable) -> Any:
    """1 - beta^t in float64 without cancellation, for beta close to 1."""
    return -math.expm1(t * _float64(numbers.log(beta))) if beta else _float64(1)


__all__ = [
    "adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "momentum", "nadam", "nesterov", "rmsprop", "sgd",
]  # fmt: skip
