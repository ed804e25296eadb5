"""Derivatives of a product along axes, right where factors are 0, to any order.

The first is, for each factor, the product of the others; the second, for each, the sum over the others i of h[i] times
the product of all but these two. Both are operations of their own: a gradient through the parts of their formulas would
be wrong where a factor is 0. The derivatives of the second are made of the second itself, so they end there.
"""

from __future__ import annotations

from typing import Any

from ..graph import math as m
from ..graph import shaping
from ..graph.variable import Apply, Op, Variable, apply_op
from ..ir.node import Node, build, constant
from .table import Gradients


class _Along(Op):
    """An operation along axes, of Nodes."""

    __props__: tuple[str, ...] = ("axes",)

    def __init__(self, axes: tuple[int, ...]):
        self.axes = axes

    def reduced(self, name: str, x: Node) -> Node:
        kept = iter(range(x.type.ndim))
        order = tuple("x" if a in self.axes else next(kept) for a in range(x.type.ndim))
        return build("dimshuffle", build(name, x, axes=self.axes), order=order)

    def factors(self, x: Node) -> tuple[Node, Node, Node, Node]:
        """Where x is 0, x with ones there, their product, and how many there are."""
        flat = build("eq", x, filled(x, 0))
        safe = build("switch", flat, filled(x, 1), x)
        return flat, safe, self.reduced("prod", safe), self.reduced("sum", build("cast", flat, dtype="int64"))


class Others(_Along):
    """For each factor the product of the others.

    With p the product of the factors that are not 0: p / x where none is 0; p in the place of a single 0, else 0.
    """

    def lower(self, inputs):
        (x,) = inputs
        flat, safe, p, count = self.factors(x)
        none, single = (build("eq", count, filled(count, v)) for v in (0, 1))
        alone = build("switch", build("and", flat, single), p, filled(x, 0))
        return [build("switch", none, build("truediv", p, safe), alone)]

    def pullback(self, node: Apply, grads: Gradients) -> Gradients:
        return [None if grads[0] is None else self._pairs(m.conj(node.inputs[0]), grads[0])]

    def pushforward(self, node: Apply, tangents: Gradients) -> Gradients:
        return [None if tangents[0] is None else self._pairs(node.inputs[0], tangents[0])]

    def _pairs(self, x: Any, h: Variable) -> Variable:
        """Symmetric in the two factors left out, so it serves both modes."""
        return apply_op(Pairs(self.axes), [x, h])[0]


class Pairs(_Along):
    """For each factor k of x the sum over the others i of h[i] times the product of all but i and k.

    With 3 or more zeros it is 0; with 2 each zero has h of the other; with 1 the zero has the sum over the others, and
    they have their term with the zero.
    """

    def lower(self, inputs):
        x, h = inputs
        flat, safe, p, count = self.factors(x)
        zero = filled(x, 0)
        at_zero = build("switch", flat, h, zero)
        elsewhere = build("switch", flat, zero, build("truediv", h, safe))
        zeros, others = self.reduced("sum", at_zero), self.reduced("sum", elsewhere)
        out = zero
        for number, value in (
            (2, build("switch", flat, build("sub", zeros, at_zero), zero)),
            (1, build("switch", flat, others, build("truediv", zeros, safe))),
            (0, build("truediv", build("sub", others, elsewhere), safe)),
        ):
            out = build("switch", build("eq", count, filled(count, number)), build("mul", p, value), out)
        return [out]

    def pullback(self, node: Apply, grads: Gradients) -> Gradients:
        if grads[0] is None:
            return [None, None]
        x, h = (m.conj(v) for v in node.inputs)
        return [self._triples(x, h, grads[0]), apply_op(self, [x, grads[0]])[0]]

    def pushforward(self, node: Apply, tangents: Gradients) -> Gradients:
        (x, h), (t, s) = node.inputs, tangents
        parts = [] if t is None else [self._triples(x, h, t)]
        parts += [] if s is None else [apply_op(self, [x, s])[0]]
        return [m.add(*parts) if len(parts) > 1 else parts[0] if parts else None]

    def _triples(self, x: Any, h: Any, u: Any) -> Variable:
        """For each factor k the sum over unlike others i, j of h[i] u[j] times the product of all but the three.

        Row k of a square holds the factors with a 1 in place of k: it takes memory of the square of the factors.
        """
        kept = tuple(a for a in range(x.ndim) if a not in self.axes)
        order = (*kept, *self.axes)
        lengths = [shaping.shape_i(x, a) for a in order]
        count: Any = m.mul(*lengths[len(kept) :]) if len(self.axes) > 1 else lengths[-1]

        def flat(v: Any) -> Any:
            return shaping.reshape(v.dimshuffle(*order), [*lengths[: len(kept)], count], ndim=len(kept) + 1)

        front = ["x"] * len(kept)
        place: Any = shaping.arange(count)
        own = m.eq(place.dimshuffle(*front, 0, "x"), place.dimshuffle(*front, "x", 0))

        def rows(v: Any, instead: int) -> Any:
            return m.switch(own, instead, v.dimshuffle(*range(len(kept)), "x", len(kept)))

        pairs = apply_op(Pairs((len(kept) + 1,)), [rows(flat(x), 1), rows(flat(h), 0)])[0]
        out: Any = m.sum(m.mul(rows(flat(u), 0), pairs), axis=-1, dtype=x.dtype)
        back = tuple(order.index(a) for a in range(x.ndim))
        made: Any = shaping.reshape(out, lengths, ndim=x.ndim)
        return made.dimshuffle(*back)


def filled(like: Node, value: int) -> Node:
    """A number with as many axes, all of length 1."""
    return build("dimshuffle", constant(value, like.type.dtype), order=("x",) * like.type.ndim)
