"""Derivatives of views and reductions. All views are linear: a pushforward is the view of the tangent, a pullback its
transpose."""

from __future__ import annotations

from typing import Any

from ...runtime.errors import ShapeError
from ..graph import math as m
from ..graph import shaping
from ..graph.tensor import constant
from ..graph.variable import Apply, Variable, apply_op, op1
from ..ir.ops.view import window_count
from . import fit
from .product import Others
from .table import NO_GRADIENT, Gradients, pullback, pushforward


@pushforward("dimshuffle", "reshape", "alloc", "rebroadcast", "slice", "window", "spread", "sum")
def push_linear(node: Apply, tangents: Gradients) -> Gradients:
    """Linear in the first argument; the others are lengths and bounds."""
    return [apply_op(node.op, [tangents[0], *node.inputs[1:]])[0]]


def _rest(node: Apply, used: int = 1) -> list[None]:
    """No gradient for lengths, bounds and indices."""
    return [None] * (len(node.inputs) - used)


@pullback("dimshuffle")
def pull_dimshuffle(node: Apply, grads: Gradients) -> Gradients:
    order = node.op.attr("order")
    back = tuple(order.index(a) if a in order else "x" for a in range(node.inputs[0].ndim))
    return [op1("dimshuffle", grads[0], order=back)]


@pullback("reshape")
def pull_reshape(node: Apply, grads: Gradients) -> Gradients:
    return [op1("reshape", grads[0], *fit.shape_of(node.inputs[0])), *_rest(node)]


@pullback("alloc")
def pull_alloc(node: Apply, grads: Gradients) -> Gradients:
    (x, *_), (g,) = node.inputs, grads
    new = tuple(range(g.ndim - x.ndim))
    return [m.sum(g, axis=new, dtype=g.dtype) if new else g, *_rest(node)]


@pullback("rebroadcast")
def pull_rebroadcast(node: Apply, grads: Gradients) -> Gradients:
    return [grads[0]]


@pullback("slice")
def pull_slice(node: Apply, grads: Gradients) -> Gradients:
    x, *bounds = node.inputs
    return [op1("set_slice", fit.zeros(x), grads[0], *bounds, spec=node.op.attr("spec"), mode="set"), *_rest(node)]


@pullback("set_slice")
def pull_set_slice(node: Apply, grads: Gradients) -> Gradients:
    (x, _, *bounds), (g,) = node.inputs, grads
    spec, mode = node.op.attr("spec"), node.op.attr("mode")
    outside = g if mode == "inc" else op1("set_slice", g, fit.zero(x), *bounds, spec=spec, mode="set")
    return [outside, op1("slice", g, *bounds, spec=spec), *_rest(node, 2)]


@pushforward("set_slice", "scatter")
def push_written(node: Apply, tangents: Gradients) -> Gradients:
    (x, y, *places), (t, u, *_) = node.inputs, tangents
    both = [fit.zeros(x) if t is None else t, fit.zero(y) if u is None else u]
    return [apply_op(node.op, [*both, *places])[0]]


@pullback("concatenate")
def pull_concatenate(node: Apply, grads: Gradients) -> Gradients:
    (g,), axis = grads, node.op.attr("axis")
    out: list[Variable] = []
    start: Any = constant(0, dtype="int64")
    for x in node.inputs:
        stop = m.add(start, shaping.shape_i(x, axis))
        spec = tuple(("range", True, True, 1) if a == axis else ("all",) for a in range(x.ndim))
        out.append(op1("slice", g, start, stop, spec=spec))
        start = stop
    return out


@pushforward("concatenate")
def push_concatenate(node: Apply, tangents: Gradients) -> Gradients:
    parts = [fit.zeros(x) if t is None else t for x, t in zip(node.inputs, tangents, strict=True)]
    return [apply_op(node.op, parts)[0]]


@pullback("window")
def pull_window(node: Apply, grads: Gradients) -> Gradients:
    (x,), (g,) = node.inputs, grads
    axis = node.op.attr("axis")
    spread = op1("spread", g, shaping.shape_i(x, axis), axis=axis, stride=node.op.attr("stride"))
    return [m.sum(spread, axis=-1, dtype=g.dtype)]


@pullback("spread")
def pull_spread(node: Apply, grads: Gradients) -> Gradients:
    """g[.., w * stride + k, .., k]: of the windows of each place k, the k-th element."""
    (x, _), (g,) = node.inputs, grads
    axis, stride = node.op.attr("axis"), node.op.attr("stride")
    size = x.type.shape[-1]
    if size is None:
        raise ShapeError("the gradient of spread needs the length of its last axis when the graph is built")
    if window_count(g.ir_type.axes[axis], size, stride) is not x.ir_type.axes[axis]:
        # `spread` drops what lies beyond its length, and gives zeros where no window lies.
        n: Any = shaping.shape_i(x, axis)
        need: Any = m.add(m.mul(n, stride), size - stride)
        need = m.maximum(need, 0) if size < stride else need
        more = [need if a == axis else shaping.shape_i(g, a) for a in range(g.ndim)]
        whole: Any = shaping.concatenate([g, shaping.zeros(more, dtype=g.dtype)], axis)
        g = whole[(slice(None),) * axis + (slice(0, need),)]
    all_windows = op1("window", g, axis=axis, size=size, stride=stride)
    k: Any = shaping.arange(size)
    same = m.eq(k.dimshuffle(0, "x"), k.dimshuffle("x", 0))
    return [m.sum(m.switch(same, all_windows, 0), axis=-1, dtype=g.dtype), None]


def _kept(v: Variable, node: Apply) -> Variable:
    """A result of a reduction with the reduced axes back, with length 1."""
    return m.keep_axes(v, node.inputs[0].ndim, node.op.attr("axes"))


@pullback("sum")
def pull_sum(node: Apply, grads: Gradients) -> Gradients:
    return [_kept(grads[0], node)]  # `reverse` stretches it along the reduced axes


def _deviations(node: Apply) -> Variable:
    """x - mean(x), twice."""
    x, axes = node.inputs[0], node.op.attr("axes")
    return m.mul(m.sub(x, m.mean(x, axes, keepdims=True)), 2)


@pullback("devsq")
def pull_devsq(node: Apply, grads: Gradients) -> Gradients:
    """Deviations add up to 0, so that of the mean has no part."""
    return [m.mul(_kept(grads[0], node), _deviations(node))]


@pushforward("devsq")
def push_devsq(node: Apply, tangents: Gradients) -> Gradients:
    return [op1("sum", m.mul(tangents[0], _deviations(node)), axes=node.op.attr("axes"))]


@pullback("max", "min", "max_and_argmax")
def pull_extreme(node: Apply, grads: Gradients) -> Gradients:
    """Every place that holds the extreme value has the whole gradient."""
    x, g = node.inputs[0], grads[0]
    if g is None:
        return [None]
    g = _kept(g, node)
    return [m.switch(m.eq(x, _kept(node.outputs[0], node)), g, fit.zero(g))]


@pushforward("max", "min", "max_and_argmax")
def push_extreme(node: Apply, tangents: Gradients) -> Gradients:
    x, t = node.inputs[0], tangents[0]
    at = m.switch(m.eq(x, _kept(node.outputs[0], node)), t, fit.zero(x))
    return [op1("sum", at, axes=node.op.attr("axes")), None][: len(node.outputs)]


def others(node: Apply) -> Variable:
    return apply_op(Others(node.op.attr("axes")), [node.inputs[0]])[0]


@pullback("prod")
def pull_prod(node: Apply, grads: Gradients) -> Gradients:
    return [m.mul(_kept(grads[0], node), m.conj(others(node)))]


@pushforward("prod")
def push_prod(node: Apply, tangents: Gradients) -> Gradients:
    return [op1("sum", m.mul(tangents[0], others(node)), axes=node.op.attr("axes"))]


NO_GRADIENT.update(
    argmax="its result is an index",
    iota="has no argument but a length",
    draw="is a random draw, whatever its arguments",
    advance="its result is a random state",
    state_words="its result is a random state",
    **dict.fromkeys(("any", "all"), "its result is a bool"),
    **dict.fromkeys(("param", "const"), "is a leaf"),
    **dict.fromkeys(("dim", "length"), "is a length"),
    item="projects a tuple: in the graph of variables an operation has several outputs",
    host_call="stands for an Op of the user's, which brings its own `grad` and `R_op`",
)
