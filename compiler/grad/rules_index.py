"""Derivatives of indexing by arrays, running sums and sorting. They are linear in the values for given indices."""

from __future__ import annotations

from typing import Any

from ..graph import math as m
from ..graph import shaping
from ..graph.variable import Apply, Variable, apply_op, op1
from . import fit
from .table import NO_GRADIENT, Gradients, pullback, pushforward


@pushforward("gather", "cumsum")
def push_linear(node: Apply, tangents: Gradients) -> Gradients:
    return [apply_op(node.op, [tangents[0], *node.inputs[1:]])[0]]


@pullback("gather")
def pull_gather(node: Apply, grads: Gradients) -> Gradients:
    x, *index = node.inputs
    return [op1("scatter", fit.zeros(x), grads[0], *index, mode="inc"), *[None] * len(index)]


@pullback("scatter")
def pull_scatter(node: Apply, grads: Gradients) -> Gradients:
    (x, _, *index), (g,) = node.inputs, grads
    at = op1("gather", g, *index)
    if node.op.attr("mode") == "inc":
        return [g, at, *[None] * len(index)]
    outside = op1("scatter", g, fit.zero(at), *index, mode="set")
    if not _distinct(index):
        at = m.switch(_last(x, index, at.ndim), at, 0)
    return [outside, at, *[None] * len(index)]


def _distinct(index: list[Variable]) -> bool:
    """Whether no two places are the same for sure: a mask's indices."""
    owners = {i.owner for i in index}
    made = owners.pop()
    if owners or made is None:
        return False
    return getattr(made.op, "name", "") == "nonzero" and len({*index}) == len(index) == len(made.outputs)


def _last(x: Variable, index: list[Variable], ndim: int) -> Variable:
    """Where a value stays, since the last of equal indices wins: numbers the writes, and reads back whose it is."""
    width = index[0].ndim
    lengths = fit.shape_of(m.add(*index))
    count: Any = 1
    for n in lengths:
        count = m.mul(count, n)
    number = op1("reshape", shaping.arange(count), *lengths)
    places = shaping.zeros([shaping.shape_i(x, a) for a in range(len(index))], dtype="int64")
    who = op1("gather", op1("scatter", places, number, *index, mode="set"), *index)
    return shaping.shape_padright(m.eq(who, number), ndim - width)


@pullback("cumsum")
def pull_cumsum(node: Apply, grads: Gradients) -> Gradients:
    return [op1("cumsum", grads[0], axis=node.op.attr("axis"), reverse=not node.op.attr("reverse"))]


def _order(x: Variable) -> list[Variable]:
    """The indices with x[indices] = sort(x): each axis' own, and along the last the permutation."""
    last = x.ndim - 1
    places = [["x" if k != a else 0 for k in range(x.ndim)] for a in range(last)]
    own = [shaping.dimshuffle(shaping.arange(shaping.shape_i(x, a)), *places[a]) for a in range(last)]
    return [*own, m.argsort(x)]


@pullback("sort")
def pull_sort(node: Apply, grads: Gradients) -> Gradients:
    (x,) = node.inputs
    return [op1("scatter", fit.zeros(x), grads[0], *_order(x), mode="inc")]


@pushforward("sort")
def push_sort(node: Apply, tangents: Gradients) -> Gradients:
    return [op1("gather", tangents[0], *_order(node.inputs[0]))]


NO_GRADIENT.update(argsort="its result is a permutation", nonzero="its results are indices")
