"""Reverse mode: gradients of a scalar, and left products with a Jacobian. Variables in, Variables out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.errors import ArgumentError, DisconnectedInputError, DTypeError, NullGradientError, ShapeError
from ..graph import math, shaping
from ..graph.sparse import sp_zeros_like
from ..graph.tensor import as_tensor_variable, cast
from ..graph.trace import on_behalf
from ..graph.variable import Apply, Primitive, Variable, ancestors
from ..ir.dtypes import DISCRETE
from .table import NO_GRADIENT, PULLBACK


class DisconnectedType:
    """Marks the gradient of an output that nothing depends on, for users' `grad` methods."""


class Disconnected:
    type = DisconnectedType()


def grad(
    cost: Variable | None,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Any = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """The gradient of the scalar `cost` with respect to `wrt`, a Variable or a list; the same structure back.

    consider_constant: Variables that nothing is propagated through. known_grads: gradients of inner Variables given
    (with cost None, all the starting ones). disconnected_inputs: "raise", "warn" or "ignore". return_disconnected:
    "zero", "None" or "Disconnected". Raises ArgumentError, ShapeError, DisconnectedInputError, NullGradientError.
    """
    one = not isinstance(wrt, (list, tuple))
    targets = [wrt] if one else list(wrt)
    for w in targets:
        if not isinstance(w, Variable):
            raise DTypeError(f"grad with respect to {w!r}, which is not a symbolic variable")
    if disconnected_inputs not in ("raise", "warn", "ignore"):
        raise ArgumentError(f"disconnected_inputs is 'raise', 'warn' or 'ignore', not {disconnected_inputs!r}")
    start: dict[Variable, Variable] = dict(known_grads.items()) if known_grads else {}
    if cost is None:
        if not start:
            raise ArgumentError("grad needs a cost or known_grads")
    else:
        cost = as_tensor_variable(cost)
        if cost.ndim:
            raise ShapeError(f"the cost of grad is a scalar; {cost.describe()} is {cost.type} (at {cost.trace}): take its sum or mean")
        if cost.dtype in DISCRETE:
            raise DTypeError(f"the cost of grad is {cost.dtype}, which has no gradient; it is {cost.describe()} at {cost.trace}")
        start.setdefault(cost, shaping.ones_like(cost))
    grads, connected = propagate(start, targets, consider_constant or (), null_gradients)
    out: list[Any] = []
    for w in targets:
        g = grads.get(w)
        if g is None:
            out.append(_absent(w, w in connected, cost, disconnected_inputs, return_disconnected))
            continue
        if add_names and g.name is None and w.name is not None and g.owner is not None:
            g.name = f"(d{cost.name or 'cost'}/d{w.name})" if cost is not None else f"(d/d{w.name})"
        out.append(g)
    return out[0] if one else out


def _absent(w: Variable, connected: bool, cost: Variable | None, policy: str, form: str) -> Any:
    """What stands for a gradient that does not exist: zeros if the path is there but flat, otherwise as asked."""
    if not connected:
        text = (
            f"the cost {cost.describe() if cost is not None else ''} does not depend on {w.describe()} : {w.type} (declared at "
            f"{w.trace}); pass disconnected_inputs='ignore' for a gradient of zeros"
        )
        if policy == "raise":
            raise DisconnectedInputError(text)
        if policy == "warn":
            import warnings

            warnings.warn(text, stacklevel=4)
        if form == "None":
            return None
        if form.lower() == "disconnected":
            return Disconnected()
    if w.node.type.kind == "csr":
        return sp_zeros_like(w)
    return shaping.zeros_like(w, dtype=None if w.dtype not in DISCRETE else _float_for(w))


def _float_for(w: Variable) -> str:
    from ..graph.config import config

    return config.floatX


def propagate(
    start: dict[Variable, Variable],
    targets: Sequence[Variable],
    constant: Sequence[Variable] = (),
    null_gradients: str = "raise",
) -> tuple[dict[Variable, Variable], set[Variable]]:
    """Gradients of everything between the start Variables and the targets, and what the start depends on."""
    halt = set(constant)
    order = ancestors(list(start), stop=list(halt))
    needed = _needed(order, set(targets), halt)
    total: dict[Variable, list[Variable]] = {v: [g] for v, g in start.items()}
    grads: dict[Variable, Variable] = {}
    waiting: dict[Apply, int] = {}
    for v in order:
        if v.owner is not None:
            waiting[v.owner] = waiting.get(v.owner, 0) + 1
    for v in reversed(order):
        if v in total:
            grads[v] = _sum(total.pop(v))
        owner = v.owner
        if owner is None:
            continue
        # An Apply is passed through once its first output in the order is reached: all consumers lie behind by then.
        waiting[owner] -= 1
        if waiting[owner] or not any(o in needed and o not in halt for o in owner.outputs):
            continue
        outs = [None if o in halt else grads.get(o) for o in owner.outputs]
        if all(g is None for g in outs):
            continue
        for i, g in zip(owner.inputs, _pull(owner, outs, null_gradients), strict=True):
            if g is None or i not in needed or i.dtype in DISCRETE:
                continue
            total.setdefault(i, []).append(_fit(g, i))
    for v in list(total):
        grads[v] = _sum(total.pop(v))
    return grads, set(order)


def _needed(order: Sequence[Variable], targets: set[Variable], halt: set[Variable]) -> set[Variable]:
    """The Variables through which some target is reached."""
    out: set[Variable] = set()
    for v in order:
        if v in targets or (v.owner is not None and v not in halt and any(i in out for i in v.owner.inputs)):
            out.add(v)
    return out


def _sum(parts: list[Variable]) -> Variable:
    out = parts[0]
    for p in parts[1:]:
        out = math.add(out, p) if out.node.type.kind == "dense" else out + p  # type: ignore[operator]
    return out


def _fit(g: Variable, like: Variable) -> Variable:
    """A gradient in the dtype of its variable, and with the axes it was broadcast along summed."""
    if g.node.type.kind != "dense":
        return g
    return cast(unbroadcast(g, like), like.dtype) if like.node.type.kind == "dense" else g


def unbroadcast(g: Variable, like: Variable) -> Variable:
    """Sums g over the axes along which `like` (of the same rank) was stretched."""
    if g.ndim != like.ndim:
        raise ShapeError(f"a gradient with {g.ndim} dimensions for {like.describe()} : {like.type}")
    axes = tuple(a for a, (x, y) in enumerate(zip(g.broadcastable, like.broadcastable, strict=True)) if y and not x)
    return math.sum(g, axis=axes, dtype=g.dtype, keepdims=True) if axes else g


def _pull(owner: Apply, outs: list[Variable | None], null_gradients: str) -> Sequence[Variable | None]:
    op = owner.op
    with on_behalf(owner.trace, "the gradient of"):
        if isinstance(op, Primitive):
            if op.name in NO_GRADIENT:
                return [None] * len(owner.inputs)
            rule = PULLBACK.get(op.name)
            if rule is not None:
                return rule(owner, outs)
        elif hasattr(op, "pullback"):
            return op.pullback(owner, outs)
        elif hasattr(op, "grad"):
            return _user_grad(owner, outs)
    if null_gradients == "return":
        return [None] * len(owner.inputs)
    raise NullGradientError(
        f"{op} (at {owner.trace}) has no gradient; give it a grad method, or put its result in consider_constant"
    )


def _user_grad(owner: Apply, outs: list[Variable | None]) -> list[Variable | None]:
    """Calls `grad(inputs, output_gradients)` of a user's Op; absent gradients come as zeros."""
    filled = [shaping.zeros_like(o) if g is None else g for o, g in zip(owner.outputs, outs, strict=True)]
    found = owner.op.grad(owner.inputs, filled)  # type: ignore[attr-defined]
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(found) != len(owner.inputs):
        raise ArgumentError(f"grad of {owner.op} returned {len(found)} gradients for {len(owner.inputs)} inputs")
    return [g if isinstance(g, Variable) else None for g in found]
