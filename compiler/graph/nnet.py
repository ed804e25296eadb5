"""Functions of neural networks: softmax, cross-entropies; operations that lower to several IR nodes.

A macro operation is one on Variables (one name, one well-conditioned gradient) and several in the IR, where fusion and
the rules of compiler/simplify see its parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...runtime.errors import DTypeError, ShapeError
from ..ir.dtypes import DISCRETE, INTEGER
from ..ir.node import Node, build
from . import math, shaping
from .tensor import as_tensor_variable, cast, pad_left
from .variable import Op, apply_op
from .windows import convolve

if TYPE_CHECKING:
    from .operators import TensorVariable


def reduced(name: str, x: Node, axis: int) -> Node:
    """A reduction over one axis that keeps it, with length 1."""
    out = build(name, x, axes=(axis,))
    order: list[Any] = list(range(x.type.ndim - 1))
    order.insert(axis, "x")
    return build("dimshuffle", out, order=tuple(order))


class StopGradient(Op):
    """The value itself; no gradient passes."""

    __props__ = ()
    hands_on = (0,)

    def lower(self, inputs):
        return [inputs[0]]

    def pullback(self, node, grads):
        return [None]

    def pushforward(self, node, tangents):
        return [None]


class Softmax(Op):
    """exp(x) / sum(exp(x)) along an axis, shifted by the maximum so that it does not overflow."""

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def lower(self, inputs):
        (x,) = inputs
        e = build("exp", build("sub", x, reduced("max", x, self.axis)))
        return [build("truediv", e, reduced("sum", e, self.axis))]

    def pullback(self, node, grads):
        y, g = node.outputs[0], grads[0]
        return [math.mul(y, math.sub(g, math.sum(math.mul(g, y), axis=self.axis, keepdims=True)))]

    def pushforward(self, node, tangents):
        y, t = node.outputs[0], tangents[0]
        return [
            None if t is None else math.mul(y, math.sub(t, math.sum(math.mul(t, y), axis=self.axis, keepdims=True)))
        ]


class LogSoftmax(Op):
    """log(softmax(x)) along an axis without overflow or underflow."""

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def lower(self, inputs):
        (x,) = inputs
        shifted = build("sub", x, reduced("max", x, self.axis))
        return [build("sub", shifted, build("log", reduced("sum", build("exp", shifted), self.axis)))]

    def pullback(self, node, grads):
        y, g = node.outputs[0], grads[0]
        return [math.sub(g, math.mul(math.exp(y), math.sum(g, axis=self.axis, keepdims=True, dtype=g.dtype)))]

    def pushforward(self, node, tangents):
        y, t = node.outputs[0], tangents[0]
        return [None if t is None else math.sub(t, math.sum(math.mul(math.exp(y), t), axis=self.axis, keepdims=True))]


def stop_gradient(x: Any) -> TensorVariable:
    """x as a constant for gradients."""
    return apply_op(StopGradient(), [as_tensor_variable(x)])[0]


def _along_axis(op: type, x: Any, axis: int | None) -> TensorVariable:
    x = as_tensor_variable(x)
    x = cast(x, math.upgrade(x.dtype))
    if x.ndim == 0:
        raise ShapeError(f"softmax of the scalar {x.describe()}")
    if axis is None:
        # Theano's softmax works on rows, and makes a matrix of one row from a vector.
        x = pad_left(x, 2) if x.ndim == 1 else x
        axis = x.ndim - 1
    axes = math.normal_axes(x, axis, "softmax")
    if len(axes) != 1:
        raise ShapeError(f"softmax of {x.describe()} along the axes {axis}; it takes one axis")
    return apply_op(op(axes[0]), [x])[0]


def softmax(x: Any, axis: int | None = None) -> TensorVariable:
    """The softmax of each row (of the given axis); a vector becomes a matrix of one row, as in Theano."""
    return _along_axis(Softmax, x, axis)


def logsoftmax(x: Any, axis: int | None = None) -> TensorVariable:
    """The logarithm of the softmax of each row, in a stable form."""
    return _along_axis(LogSoftmax, x, axis)


def hard_sigmoid(x: Any) -> TensorVariable:
    """0.2 x + 0.5 limited to [0, 1]."""
    x = as_tensor_variable(x)
    x = cast(x, math.upgrade(x.dtype))
    slope, shift, low, high = (shaping.constant(c, dtype=x.dtype) for c in (0.2, 0.5, 0, 1))
    return math.clip(math.add(math.mul(x, slope), shift), low, high)


def elu(x: Any, alpha: Any = 1) -> TensorVariable:
    """x where it is positive, alpha (exp(x) - 1) elsewhere."""
    x = as_tensor_variable(x)
    x = cast(x, math.upgrade(x.dtype))
    # The exponential sees no positive x, so that it cannot overflow, nor its gradient.
    zero = shaping.constant(0, dtype=x.dtype)
    factor = shaping.constant(alpha, dtype=x.dtype) if isinstance(alpha, (int, float)) else alpha
    return math.switch(math.gt(x, zero), x, math.mul(math.expm1(math.minimum(x, zero)), factor))


def softsign(x: Any) -> TensorVariable:
    """x / (1 + |x|)."""
    x = as_tensor_variable(x)
    x = cast(x, math.upgrade(x.dtype))
    return math.true_div(x, math.add(shaping.constant(1, dtype=x.dtype), math.abs_(x)))


def conv1d(
    input: Any,
    filters: Any,
    border_mode: Any = "valid",
    subsample: Any = 1,
    filter_flip: bool = True,
    filter_shape: Any = None,
) -> TensorVariable:
    """input[batch, channel, time] convolved with filters[out, channel, width]; see `windows.convolve`."""
    step = subsample if isinstance(subsample, (tuple, list)) else (subsample,)
    return convolve(input, filters, border_mode, step, filter_flip, filter_shape)


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
) -> TensorVariable:
    """input[batch, channel, row, column] convolved with filters[out, channel, row, column]; see `windows.convolve`.

    input_shape (image_shape) is accepted as in Theano; the lengths of the input need not be known.
    """
    return convolve(input, filters, border_mode, tuple(subsample), filter_flip, filter_shape)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> TensorVariable:
    """-sum(true * log(coding)) per row, or -log(coding[i, true[i]]) where true is a vector of class numbers."""
    p, y = as_tensor_variable(coding_dist), as_tensor_variable(true_dist)
    if p.ndim == y.ndim:
        return math.neg(math.sum(math.mul(y, math.log(p)), axis=p.ndim - 1))
    if y.ndim != p.ndim - 1:
        raise ShapeError(
            f"categorical_crossentropy of predictions with {p.ndim} and targets with {y.ndim} dimensions: targets are "
            "class numbers with one dimension less, or a distribution of the same rank"
        )
    if y.dtype not in INTEGER:
        raise DTypeError(f"the class numbers given to categorical_crossentropy are {y.dtype}; they have to be integers")
    index = [shaping.arange(shaping.shape_i(p, 0)), y] if p.ndim == 2 else None
    if index is None:
        raise ShapeError("class numbers are supported for a matrix of predictions")
    return math.neg(math.log(p)[tuple(index)])  # type: ignore[index]


def binary_crossentropy(output: Any, target: Any) -> TensorVariable:
    """-(target * log(output) + (1 - target) * log(1 - output)), elementwise."""
    o, t = as_tensor_variable(output), as_tensor_variable(target)
    if t.dtype in DISCRETE:
        t = cast(t, o.dtype)
    one = shaping.constant(1, dtype=t.dtype)
    left = math.mul(t, math.log(o))
    right = math.mul(math.sub(one, t), math.log(math.sub(shaping.constant(1, dtype=o.dtype), o)))
    return math.neg(math.add(left, right))
