"""Forward mode: right products with a Jacobian; and left products, by reverse mode."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ...runtime.errors import ArgumentError, NullGradientError, ShapeError
from ..graph.arguments import symbolic
from ..graph.config import config
from ..graph.tensor import as_tensor_variable
from ..graph.trace import on_behalf
from ..graph.variable import Apply, Primitive, Variable, ancestors
from ..ir.dtypes import DISCRETE
from . import fit
from .reverse import _absent, connected_to, gradients, refuse, start_gradient
from .table import NO_GRADIENT, PUSHFORWARD


def Rop(f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str = "raise") -> Any:
    """The Jacobian of f with respect to wrt, times eval_points: forward mode. f, wrt, eval_points: Variables or lists.

    A direction may be None (zero). disconnected_outputs: "raise", "warn" or "ignore" for outputs that depend on no wrt.
    """
    if disconnected_outputs not in ("raise", "warn", "ignore"):
        raise ArgumentError(f"disconnected_outputs is 'raise', 'warn' or 'ignore', not {disconnected_outputs!r}")
    one = not isinstance(f, (list, tuple))
    outs = [f] if one else list(f)
    ins = [symbolic(w, "Rop with respect to") for w in (wrt if isinstance(wrt, (list, tuple)) else [wrt])]
    points = list(eval_points) if isinstance(eval_points, (list, tuple)) else [eval_points]
    if len(ins) != len(points):
        raise ArgumentError(f"Rop with respect to {len(ins)} variables and {len(points)} directions")
    tangents: dict[Variable, Variable] = {}
    for v, p in zip(ins, points, strict=True):
        if p is None:
            continue
        p = p if isinstance(p, Variable) else as_tensor_variable(p)
        if p.ndim != v.ndim:
            raise ShapeError(f"the direction for {v.describe()} has {p.ndim} dimensions, not {v.ndim}")
        tangents[v] = fit.fit_tangent(p, v)
        data = fit.declared_data(v)
        if data is not None and data not in ins and tangents[v].ir_type.kind == "csr":  # which loops take in its place
            tangents[data] = fit.csr_part(tangents[v], 0)
    push(outs, tangents)
    found = []
    for o in outs:
        t = tangents.get(o)
        if t is None:
            if connected_to([o], ancestors([o])).isdisjoint(ins):
                names = ", ".join(v.describe() for v in ins)
                refuse(
                    f"{o.describe()} : {o.type} (at {o.trace}) does not depend on {names}; pass "
                    "disconnected_outputs='ignore' for a derivative of zeros",
                    disconnected_outputs,
                )
            t = fit.zeros(o, config.floatX if o.dtype in DISCRETE else None)
        found.append(t)
    return found[0] if one else found


def push(outs: list[Variable], tangents: dict[Variable, Variable], stop: Collection[Variable] = ()) -> None:
    """Fills in the tangents of everything the outputs depend on, from those given. Does not look behind `stop`."""
    done: set[Apply] = set()
    halt = set(stop) | set(tangents)
    for v in ancestors(outs, stop=halt):
        owner = v.owner
        if owner is None or v in halt or owner in done:
            continue
        done.add(owner)
        if all(o.dtype in DISCRETE for o in owner.outputs):
            continue
        given = [tangents.get(i) for i in owner.inputs]
        if all(t is None for t in given):
            continue
        for o, t in zip(owner.outputs, _push(owner, given), strict=True):
            if t is not None and o.dtype not in DISCRETE and o not in halt:
                tangents[o] = fit.fit_tangent(t, o)


def _push(owner: Apply, given: list[Variable | None]) -> Any:
    op = owner.op
    with on_behalf(owner.trace, "the forward derivative of"):
        if isinstance(op, Primitive):
            if op.name in NO_GRADIENT:
                return [None] * len(owner.outputs)
            if op.name in PUSHFORWARD:
                return PUSHFORWARD[op.name](owner, given)
        elif hasattr(op, "pushforward"):
            return op.pushforward(owner, given)
        elif hasattr(op, "R_op"):
            return op.R_op(owner.inputs, given)
    names = ", ".join(i.describe() for i in owner.inputs)
    raise NullGradientError(f"{op} of {names} (at {owner.trace}) has no forward derivative; give it an R_op method")


def Lop(f: Any, wrt: Any, eval_points: Any, consider_constant: Any = None, disconnected_inputs: str = "raise") -> Any:
    """eval_points times the Jacobian of f with respect to wrt: reverse mode with given output gradients."""
    if disconnected_inputs not in ("raise", "warn", "ignore"):
        raise ArgumentError(f"disconnected_inputs is 'raise', 'warn' or 'ignore', not {disconnected_inputs!r}")
    outs = [symbolic(o, "Lop of") for o in (f if isinstance(f, (list, tuple)) else [f])]
    points = list(eval_points) if isinstance(eval_points, (list, tuple)) else [eval_points]
    if len(outs) != len(points):
        raise ArgumentError(f"Lop of {len(outs)} outputs and {len(points)} output gradients")
    one = not isinstance(wrt, (list, tuple))
    targets = [symbolic(w, "Lop with respect to") for w in ([wrt] if one else wrt)]
    start: dict[Variable, Variable] = {}
    for o, p in zip(outs, points, strict=True):
        g = start_gradient(o, p)
        start[o] = fit.total([start[o], g]) if o in start else g
    grads, connected = gradients(start, targets, consider_constant or ())
    found = [
        grads[w] if w in grads else _absent(w, w in connected, outs[0], disconnected_inputs, "zero") for w in targets
    ]
    return found[0] if one else found


__all__ = ["Lop", "Rop", "push"]
