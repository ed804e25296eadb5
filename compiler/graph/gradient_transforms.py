"""What stands around an optimizer: penalties of a cost, limits of gradients, weight decay, averages of parameters.

Penalties and limits come before it, on costs and on gradients; decay and averages after it, on the updates:

    grads = clip_by_global_norm(weft.grad(cost + 1e-4 * l2(weights), params), 1.0)
    updates, averages = polyak(weight_decay(sgd(grads, params, rate), params, 1e-5), params)

Gradients are lists of real floats; shapes and dtypes stay. Errors: ArgumentError (no list, an empty one, a limit that
is not positive), DTypeError (what is no real float), ShapeError (a limit that is no scalar).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import ArgumentError
from . import math
from .parameters import (
    Parameter,
    Updates,
    check_gradients,
    check_params,
    count,
    labels,
    number,
    per_parameter,
    prefix,
    real_float,
    scalar,
    working_dtype,
)
from .shaping import zeros_like
from .shared import SharedVariable, shared
from .tensor import cast, constant
from .variable import Variable

if TYPE_CHECKING:
    from .operators import TensorVariable


def l1(params: Any) -> TensorVariable:
    """The sum of |θ| over all elements of all parameters (any variables), a scalar: `cost + 1e-5 * l1([w])`.

    Its gradient is sign(θ), 0 at 0.
    """
    return _total([math.sum(math.abs_(p)) for p in _reals(params, "l1", "parameter")])


def l2(params: Any) -> TensorVariable:
    """The sum of θ² over all elements of all parameters (any variables), a scalar: `cost + 1e-4 * l2([w])`.

    Its gradient is 2 θ: the decay λ of papers whose penalty is λ/2 sum(θ²) is twice the factor here.
    """
    return _total([math.sum(math.sqr(p)) for p in _reals(params, "l2", "parameter")])


def clip_by_value(grads: Any, limit: Any) -> list[TensorVariable]:
    """Every element limited to [-limit, limit], a positive number or a scalar variable. NaN stays NaN."""
    out = []
    for g in _reals(grads, "clip_by_value", "gradient"):
        top = cast(_limit(limit, "clip_by_value"), g.dtype)
        out.append(math.clip(g, -top, top))
    return out


def clip_by_norm(grads: Any, limit: Any) -> list[TensorVariable]:
    """Each gradient by itself scaled down to the norm `limit`, where its norm (`global_norm`) is above that.

    g limit / max(|g|, limit): exactly g where the norm is at most the limit, zeros included. Pascanu, Mikolov, Bengio
    (2013), algorithm 1. A gradient with an infinity has an infinite norm: its finite elements become 0, the infinite
    ones NaN; one with NaN is NaN throughout. `limit`: a positive number or a scalar variable.
    """
    top = _limit(limit, "clip_by_norm")
    return [_scaled(g, _norm([g]), top) for g in _reals(grads, "clip_by_norm", "gradient")]


def clip_by_global_norm(grads: Any, limit: Any) -> list[TensorVariable]:
    """All gradients scaled by one factor, such that the norm of all together is at most `limit`; as `clip_by_norm`.

    A value that is not finite in one gradient then shows in all of them.
    """
    top = _limit(limit, "clip_by_global_norm")
    checked = _reals(grads, "clip_by_global_norm", "gradient")
    norm = _norm(checked)
    return [_scaled(g, norm, top) for g in checked]


def global_norm(grads: Any) -> TensorVariable:
    """The Euclidean norm of all gradients together, a float64 scalar.

    Squares are taken and added in float64: of float32 gradients no norm overflows or vanishes, of float64 ones those
    above 1e154 are infinite. Beside a clipping it costs nothing: both are computed once.
    """
    return _norm(_reals(grads, "global_norm", "gradient"))


def weight_decay(updates: Any, params: Any, rate: Any) -> Updates:
    """Decoupled weight decay on top of any optimizer: the updates with θ_new - rate θ_old in place of θ_new.

    Loshchilov, Hutter (2019), algorithm 1 (SGDW), where rate is the product of schedule multiplier and decay, η λ.
    rate: a number or a scalar variable, or by parameter as learning rates are. Only `params` decay: leave biases out.
    `adamw` and `lion` have an argument for it. Raises ArgumentError for a parameter that the updates do not change.
    """
    changed, checked = _changed(updates, params, "weight_decay")
    rates = per_parameter(rate, checked, "weight_decay: rate")
    for v, label, r in zip(checked, labels(checked), rates, strict=True):
        p = Parameter(v, label, None, r, "weight_decay")
        changed[v] = cast(cast(changed[v], p.dtype) - p.rate * p.value, v.dtype)
    return changed


def polyak(
    updates: Any, params: Any, decay: float | None = None, name: str | None = None
) -> tuple[Updates, dict[SharedVariable, SharedVariable]]:
    """Averages of the parameters over the steps: the updates with theirs added, and {parameter: average}.

    The running mean (Polyak, Juditsky 1992), or with `decay`, a number in [0, 1), the exponential average with the bias
    correction of Kingma, Ba (2015, section 7.2):

        a <- a + w_t (θ_t - a),  w_t = 1/t  or  (1 - decay) / (1 - decay^t)

    θ_t are the new values, so the averages after a call include it. Averages are shared variables of the parameter's
    shape (`polyak.average[W]`; float32 for float16 and bfloat16) that begin as copies of the parameters. A function of
    the averages in place of the parameters: `weft.function(inputs, outputs, givens=averages)` (those of float16 ask for
    a cast). The count `polyak.step` set to 0 starts averages anew. Raises ArgumentError for a parameter that the
    updates do not change.
    """
    changed, checked = _changed(updates, params, "polyak")
    first = prefix(name, "polyak")
    if decay is not None:
        decay = number(decay, "polyak: decay", below=1)
    t = count(changed, first)
    weight: Any = 1.0
    if decay is None:
        weight = constant(1.0, dtype="float64") / t
    elif decay:
        weight = constant(decay - 1, dtype="float64") / math.expm1(t * constant(np.log(decay), dtype="float64"))
    averages: dict[SharedVariable, SharedVariable] = {}
    for v, label in zip(checked, labels(checked), strict=True):
        p = Parameter(v, label, None, None, first)
        a = p.state("average")
        a.set_value(v.get_value().astype(a.type.numpy_dtype))
        new = cast(cast(changed[v], v.dtype), p.dtype)
        changed[a] = p.blend(a, new, weight)
        averages[v] = a
    return changed, averages


def accumulate(
    cost_or_grads: Any, params: Any, weight: Any = 1, name: str | None = None
) -> tuple[Updates, list[TensorVariable], Updates]:
    """Gradients of several minibatches for one update: `(collect, gradients, clear)`.

        collect, grads, clear = accumulate(cost, params, weight=x.shape[0])
        step = weft.function([x, t], cost, updates=collect)
        apply = weft.function([], [], updates=adam(grads, params, rate) | clear)

    `collect` adds the gradients, each minibatch's times its `weight` (a scalar: the number of its examples, where
    the cost is their mean); `gradients` are what was added over the sum of the weights; `clear` begins anew. The sums
    are shared variables of the parameters' shapes (`accumulate.total[W]`; float32 for float16 and bfloat16).
    weft.training.Trainer takes both functions: `Trainer(step, data, apply=apply, every=4)`.
    """
    checked = check_params(params, "accumulate")
    first = prefix(name, "accumulate")
    each = scalar(weight, "accumulate: weight")
    weights = shared(np.float64(0), f"{first}.weight")
    collect: Updates = {weights: weights + each}
    clear: Updates = {weights: constant(0, dtype="float64")}
    means: list[TensorVariable] = []
    gradients = check_gradients(cost_or_grads, checked, "accumulate")
    for v, g, label in zip(checked, gradients, labels(checked), strict=True):
        p = Parameter(v, label, g, None, first)
        total = p.state("total")
        collect[total] = total + p.number(each) * p.gradient
        clear[total] = zeros_like(total)
        means.append(cast(total / p.number(weights), v.dtype))
    return collect, means, clear


def _changed(updates: Any, params: Any, what: str) -> tuple[Updates, list[Any]]:
    checked = check_params(params, what)
    changed: Updates = dict(updates)
    for p in checked:
        if p not in changed:
            raise ArgumentError(f"{what}: the updates do not change {p.describe()}; it comes after the optimizer")
    return changed, checked


def _reals(given: Any, what: str, which: str) -> list[TensorVariable]:
    if isinstance(given, (Variable, str, np.ndarray)) or not isinstance(given, Iterable):
        raise ArgumentError(f"{what} takes a list of {which}s; put the one {which} in brackets")
    out = [real_float(g, f"{what}: {which} {k}") for k, g in enumerate(given)]
    if not out:
        raise ArgumentError(f"{what}: the list of {which}s is empty")
    return out


def _limit(limit: Any, what: str) -> TensorVariable:
    if not isinstance(limit, Variable) and number(limit, f"{what}: limit") == 0:
        raise ArgumentError(f"{what}: limit is 0; it has to be positive")
    return scalar(limit, f"{what}: limit")


def _total(parts: list[TensorVariable]) -> TensorVariable:
    return math.add(*parts) if len(parts) > 1 else parts[0]


def _norm(grads: list[TensorVariable]) -> TensorVariable:
    return math.sqrt(_total([math.sum(math.sqr(cast(g, "float64"))) for g in grads]))


def _scaled(g: TensorVariable, norm: TensorVariable, limit: TensorVariable) -> TensorVariable:
    dtype = working_dtype(g.dtype)
    return cast(cast(g, dtype) * cast(limit / math.maximum(norm, limit), dtype), g.dtype)


__all__ = [
    "accumulate", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "global_norm", "l1", "l2", "polyak",
    "weight_decay",
]  # fmt: skip
