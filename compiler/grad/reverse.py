"""Reverse mode: gradients of a scalar, and left products with a Jacobian. Variables in, Variables out."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ...runtime.errors import ArgumentError, DisconnectedInputError, DTypeError, NullGradientError, ShapeError
from ..graph import shaping
from ..graph.arguments import listed, symbolic
from ..graph.config import config
from ..graph.tensor import as_tensor_variable
from ..graph.told import told
from ..graph.trace import on_behalf
from ..graph.variable import Apply, Primitive, Variable, ancestors
from ..ir.collector import paused
from ..ir.dtypes import COMPLEX, DISCRETE
from . import fit
from .table import NO_GRADIENT, PLACES, PULLBACK


class DisconnectedType:
    """Marks the gradient of an input that the outputs do not depend on, for users' `grad` methods."""

    def __call__(self) -> Disconnected:
        return Disconnected()


class Disconnected:
    type = DisconnectedType()


class NullGradient:
    """A gradient that does not exist, and why; users' `grad` methods return it (see `extras.grad_undefined`)."""

    def __init__(self, why: str):
        self.why = why

    def __repr__(self) -> str:
        return f"NullGradient({self.why!r})"


@told
@paused
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
    if return_disconnected not in ("zero", "None", "Disconnected"):
        raise ArgumentError(f"return_disconnected is 'zero', 'None' or 'Disconnected', not {return_disconnected!r}")
    if null_gradients not in ("raise", "return"):
        raise ArgumentError(f"null_gradients is 'raise' or 'return', not {null_gradients!r}")
    known = dict(known_grads or {})
    start = {symbolic(v, "known_grads gives a gradient of"): start_gradient(v, g) for v, g in known.items()}
    constant = [symbolic(v, "consider_constant holds") for v in listed(consider_constant or (), "the entries of it")]
    if cost is None:
        if not start:
            raise ArgumentError("grad needs a cost or known_grads")
    else:
        cost = as_tensor_variable(cost)
        which = f"{cost.describe()} (at {cost.trace})"
        if cost.ndim:
            raise ShapeError(f"the cost of grad is a scalar; {which} is {cost.type}: take its sum or mean")
        if cost.dtype in DISCRETE:
            raise DTypeError(f"the cost of grad is {cost.dtype}, which has no gradient: {which}")
        if cost.dtype in COMPLEX:
            raise DTypeError(f"the cost of grad is {cost.dtype}; it has to be real: take abs, real or imag of {which}")
        start.setdefault(cost, shaping.ones_like(cost))
    grads, connected = gradients(start, targets, constant, null_gradients, given=start)
    out: list[Any] = []
    for w in targets:
        g = grads.get(w)
        if g is None:
            out.append(_absent(w, w in connected, cost, disconnected_inputs, return_disconnected))
            continue
        if isinstance(g, Variable) and add_names and g.name is None and w.name is not None and g.owner is not None:
            g.name = f"(d{cost.name or 'cost'}/d{w.name})" if cost is not None else f"(d/d{w.name})"
        out.append(g)
    return out[0] if one else out


def start_gradient(v: Variable, g: Any) -> Variable:
    """A gradient given for v, as a variable of v's type."""
    g = g if isinstance(g, Variable) else as_tensor_variable(g)
    if g.ndim != v.ndim:
        raise ShapeError(f"the gradient given for {v.describe()} : {v.type} (at {v.trace}) has {g.ndim} dimensions")
    return fit.fit_gradient(g, v)


def _absent(w: Variable, connected: bool, cost: Variable | None, policy: str, form: str) -> Any:
    """What stands for a gradient that does not exist: zeros if the path is there but flat, otherwise as asked."""
    if not connected:
        whole = f"the cost {cost.describe()}" if cost is not None else "what known_grads names"
        twice = "" if w.owner is None else ", which is a variable of its own each time that the expression is written"
        refuse(
            f"{whole} does not depend on {w.describe()} : {w.type} (declared {w.trace.at}){twice}; pass "
            "disconnected_inputs='ignore' for a gradient of zeros",
            policy,
        )
        if form == "None":
            return None
        if form == "Disconnected":
            return Disconnected()
    return fit.zeros(w, config.floatX if w.dtype in DISCRETE else None)


def refuse(text: str, policy: str) -> None:
    if policy == "raise":
        raise DisconnectedInputError(text)
    if policy == "warn":
        warnings.warn(text, stacklevel=6)


def gradients(
    start: dict[Variable, Variable],
    targets: Sequence[Variable],
    constant: Sequence[Variable] = (),
    null_gradients: str = "raise",
    given: Collection[Variable] = (),
) -> tuple[dict[Variable, Any], set[Variable]]:
    """`propagate` to Variables of any kind. Of a sparse matrix loops take the parts, and make it again in their steps:
    what arrives at the elements of one that is declared, past the matrix itself, is a gradient of it too."""
    data = {w: d for w in targets if (d := fit.declared_data(w)) is not None and w not in constant}
    data = {w: d for w, d in data.items() if d not in targets}
    grads, connected = propagate(start, [*targets, *data.values()], [*constant, *data], null_gradients, given)
    for w, d in data.items():
        if d in connected:
            connected.add(w)
        g = grads.get(d)
        if g is None:
            continue
        g = g if isinstance(g, NullGradient) else fit.csr_like(g, w)
        grads[w] = _sum([grads[w], g]) if w in grads else g
    return grads, connected


def propagate(
    start: dict[Variable, Variable],
    targets: Sequence[Variable],
    constant: Sequence[Variable] = (),
    null_gradients: str = "raise",
    given: Collection[Variable] = (),
) -> tuple[dict[Variable, Any], set[Variable]]:
    """Gradients of everything between the start Variables and the targets, and what the start depends on.

    `given` are the start Variables whose gradient is known as a whole: what flows back to them adds nothing.
    """
    halt = set(constant)
    order = ancestors(list(start), stop=list(halt))
    needed = _needed(order, set(targets), halt)
    parts: dict[Variable, list[Any]] = {v: [g] for v, g in start.items()}
    grads: dict[Variable, Any] = {}
    waiting: dict[Apply, int] = {}
    for v in order:
        if v.owner is not None and v not in halt:
            waiting[v.owner] = waiting.get(v.owner, 0) + 1
    for v in reversed(order):
        if v in parts:
            found = parts.pop(v)
            grads[v] = found[0] if len(found) == 1 else _sum(found)
        owner = v.owner
        if owner is None or v in halt:
            continue
        # An Apply is passed through once its first output in the order is reached: all consumers lie behind by then.
        # One in `halt` does not count, since it may stand before the inputs.
        waiting[owner] -= 1
        if waiting[owner] or needed.isdisjoint(owner.outputs):
            continue
        outs = [None if o in halt else grads.get(o) for o in owner.outputs]
        if outs.count(None) == len(outs):
            continue
        for i, g in zip(owner.inputs, _pull(owner, outs, needed), strict=True):
            if g is None or i not in needed or i in given or i.ir_type.dtype in DISCRETE:
                continue
            if isinstance(g, NullGradient):
                if null_gradients == "raise":
                    raise NullGradientError(g.why)
                parts.setdefault(i, []).append(g)
            else:
                parts.setdefault(i, []).append(fit.fit_gradient(g, i))
    return grads, connected_to(start, order, halt)


def _needed(order: Sequence[Variable], targets: set[Variable], halt: set[Variable]) -> set[Variable]:
    """The Variables through which some target is reached."""
    out: set[Variable] = set()
    for v in order:
        if v in targets or (v.owner is not None and v not in halt and not out.isdisjoint(v.owner.inputs)):
            out.add(v)
    return out


def connected_to(
    start: Iterable[Variable], order: Sequence[Variable], halt: Collection[Variable] = ()
) -> set[Variable]:
    """What the start Variables depend on by more than a length, an index or a connection the operation denies."""
    out = set(start)
    for v in reversed(order):
        if v in out and v.owner is not None and v not in halt:
            out.update(_connections(v))
    return out


def _connections(v: Variable) -> Iterable[Variable]:
    owner = v.owner
    assert owner is not None
    if isinstance(owner.op, Primitive):
        return owner.inputs[: PLACES.get(owner.op.name, len(owner.inputs))]
    pattern = getattr(owner.op, "connection_pattern", None)
    if pattern is None:
        return owner.inputs
    return [i for i, row in zip(owner.inputs, pattern(owner), strict=True) if row[v.index]]


def _sum(parts: list[Any]) -> Any:
    for p in parts:
        if isinstance(p, NullGradient):
            return p
    return fit.total(parts)


def _pull(owner: Apply, outs: list[Any], needed: Collection[Variable]) -> Sequence[Any]:
    for g in outs:
        if isinstance(g, NullGradient):
            return [g] * len(owner.inputs)
    op = owner.op
    with on_behalf(owner.trace, "the gradient of"):
        if isinstance(op, Primitive):
            if op.name in NO_GRADIENT:
                return [None] * len(owner.inputs)
            rule = PULLBACK.get(op.name)
            if rule is not None:
                return rule(owner, outs)
        elif hasattr(op, "pullback_of"):  # told for which inputs a gradient is asked
            return op.pullback_of(owner, outs, [i in needed for i in owner.inputs])
        elif hasattr(op, "pullback"):
            return op.pullback(owner, outs)
        elif hasattr(op, "grad") or hasattr(op, "L_op"):
            return _user_grad(owner, outs)
    why = (
        f"{op} of {', '.join(i.describe() for i in owner.inputs)} (at {owner.trace}) has no gradient; give it a grad "
        "method, or put its result in consider_constant"
    )
    return [NullGradient(why)] * len(owner.inputs)


def _user_grad(owner: Apply, outs: list[Variable | None]) -> list[Any]:
    """Calls `grad(inputs, output_gradients)` of a user's Op; absent gradients come as zeros."""
    op: Any = owner.op
    filled = [fit.zeros(o) if g is None else g for o, g in zip(owner.outputs, outs, strict=True)]
    found = op.L_op(owner.inputs, owner.outputs, filled) if hasattr(op, "L_op") else op.grad(owner.inputs, filled)
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(found) != len(owner.inputs):
        counts = f"{len(found)} gradients for {len(owner.inputs)} inputs"
        raise ArgumentError(f"grad of {op} (at {owner.trace}) returned {counts}")
    return [_user_gradient(g, i, owner) for g, i in zip(found, owner.inputs, strict=True)]


def _user_gradient(g: Any, i: Variable, owner: Apply) -> Any:
    if g is None or isinstance(g, (Disconnected, NullGradient)):
        return g if isinstance(g, NullGradient) else None
    g = g if isinstance(g, Variable) else as_tensor_variable(g)
    if g.ndim != i.ndim:
        raise ShapeError(
            f"grad of {owner.op} (at {owner.trace}) returned a gradient with {g.ndim} dimensions for {i.describe()} : "
            f"{i.type}"
        )
    return g
