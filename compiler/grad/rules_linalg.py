"""Derivatives of products, sparse products, Cholesky factors and triangular systems."""

from __future__ import annotations

from typing import Any

from ...runtime.errors import NullGradientError
from ..graph import math as m
from ..graph import shaping
from ..graph.variable import Apply, Variable, apply_op, op1
from . import fit
from .table import Gradients, pullback, pushforward

_t = shaping.transpose


@pullback("dot")
def pull_dot(node: Apply, grads: Gradients) -> Gradients:
    (a, b), (g,) = map(m.conj, node.inputs), grads
    match node.inputs[0].ndim, node.inputs[1].ndim:
        case 1, 1:
            return [m.mul(g, b), m.mul(g, a)]
        case 1, 2:
            return [m.dot(b, g), m.outer(a, g)]
        case 2, 1:
            return [m.outer(g, b), m.dot(g, a)]
    return [m.dot(g, _t(b)), m.dot(_t(a), g)]


@pushforward("dot")
def push_dot(node: Apply, tangents: Gradients) -> Gradients:
    (a, b), (s, t) = node.inputs, tangents
    return [fit.add(None if s is None else m.dot(s, b), None if t is None else m.dot(a, t))]


def _batched(a: Variable, b: Variable) -> Variable:
    return op1("batched_dot", a, b)


@pullback("batched_dot")
def pull_batched_dot(node: Apply, grads: Gradients) -> Gradients:
    (a, b), (g,) = (shaping.dimshuffle(m.conj(x), 0, 2, 1) for x in node.inputs), grads
    return [_batched(g, b), _batched(a, g)]


def triangle(a: Variable, lower: bool = True, k: int = 0) -> Variable:
    """a with 0 above (below) its diagonal number k."""
    i = shaping.dimshuffle(shaping.arange(shaping.shape_i(a, 0)), 0, "x")
    j = shaping.dimshuffle(shaping.arange(shaping.shape_i(a, 1)), "x", 0)
    at = m.add(i, k)
    return m.switch(m.ge(at, j) if lower else m.le(at, j), a, 0)


def _half(a: Variable) -> Variable:
    """The lower triangle with half the diagonal (Murray's Φ)."""
    return fit.times(m.add(triangle(a), triangle(a, k=-1)), 0.5)


def _solve(a: Any, b: Any, lower: bool, trans: bool) -> Variable:
    return op1("solve_triangular", a, b, lower=lower, trans=trans)


# I. Murray, "Differentiation of the Cholesky decomposition" (2016), equations 8 and 10. Only the lower triangle of the
# argument is read, so only it has a gradient; an element off the diagonal stands for two of the symmetric matrix.
@pullback("cholesky")
def pull_cholesky(node: Apply, grads: Gradients) -> Gradients:
    (L,), (g,) = node.outputs, grads
    p = _half(m.dot(_t(L), g))
    s = _solve(L, _t(_solve(L, p, True, True)), True, True)
    return [_half(m.add(s, _t(s)))]


@pushforward("cholesky")
def push_cholesky(node: Apply, tangents: Gradients) -> Gradients:
    (L,), (t,) = node.outputs, tangents
    full = m.add(triangle(t), _t(triangle(t, k=-1)))
    w = _solve(L, _t(_solve(L, full, True, False)), True, False)
    return [m.dot(L, _half(w))]


@pullback("solve_triangular")
def pull_solve(node: Apply, grads: Gradients) -> Gradients:
    (a, _), (x,), (g,) = node.inputs, node.outputs, grads
    lower, trans = node.op.attr("lower"), node.op.attr("trans")
    h = _solve(a, g, lower, not trans)
    da = m.neg(m.dot(x, _t(h)) if trans else m.dot(h, _t(x)))
    return [triangle(da, lower), h]


@pushforward("solve_triangular")
def push_solve(node: Apply, tangents: Gradients) -> Gradients:
    (a, _), (x,), (s, t) = node.inputs, node.outputs, tangents
    lower, trans = node.op.attr("lower"), node.op.attr("trans")
    if s is not None:
        s = triangle(s, lower)
        s = m.neg(m.dot(_t(s) if trans else s, x))
    return [_solve(a, fit.add(s, t), lower, trans)]


# Sparse products. A is the matrix of (data, indices, indptr); the three operations are each other's transposes:
#     csr_dot     A b                 csr_dot_t   A' g               csr_sample   (g b') at the places of A
@pullback("csr_dot")
def pull_csr_dot(node: Apply, grads: Gradients) -> Gradients:
    (data, indices, indptr, b, columns), (g,) = node.inputs, grads
    ddata = op1("csr_sample", indices, indptr, g, m.conj(b))
    db = op1("csr_dot_t", m.conj(data), indices, indptr, g, columns)
    return [ddata, None, None, db, None]


@pullback("csr_dot_t")
def pull_csr_dot_t(node: Apply, grads: Gradients) -> Gradients:
    (data, indices, indptr, g, columns), (h,) = node.inputs, grads
    ddata = op1("csr_sample", indices, indptr, m.conj(g), h)
    return [ddata, None, None, op1("csr_dot", m.conj(data), indices, indptr, h, columns), None]


@pullback("csr_sample")
def pull_csr_sample(node: Apply, grads: Gradients) -> Gradients:
    (indices, indptr, g, b), (w,) = node.inputs, grads
    columns = shaping.shape_i(b, 0)
    dg = op1("csr_dot", w, indices, indptr, m.conj(b), columns)
    db = op1("csr_dot_t", w, indices, indptr, m.conj(g), columns)
    return [None, None, dg, db]


@pushforward("batched_dot", "csr_dot", "csr_dot_t", "csr_sample")
def push_bilinear(node: Apply, tangents: Gradients) -> Gradients:
    """Linear in each of two arguments: the sum of the operation with one of them replaced by its tangent."""
    terms = []
    for k, t in enumerate(tangents):
        if t is not None:
            args = list(node.inputs)
            args[k] = t
            terms.append(apply_op(node.op, args)[0])
    return [fit.add(*terms)]


@pullback("csr")
def pull_csr(node: Apply, grads: Gradients) -> Gradients:
    (g,) = grads
    if g.ir_type.kind != "csr":
        raise NullGradientError(
            f"the gradient of a sparse matrix (made at {node.trace}) with respect to its data needs a sparse output "
            f"gradient with the same places, not {g.type}"
        )
    return [fit.csr_part(g, 0), None, None, None]


@pushforward("csr")
def push_csr(node: Apply, tangents: Gradients) -> Gradients:
    return [apply_op(node.op, [tangents[0], *node.inputs[1:]])[0]]


@pullback("csr_part")
def pull_csr_part(node: Apply, grads: Gradients) -> Gradients:
    return [fit.csr_like(grads[0], node.inputs[0])]


@pushforward("csr_part")
def push_csr_part(node: Apply, tangents: Gradients) -> Gradients:
    return [fit.csr_part(tangents[0], node.op.attr("part"))]
