"""Gradients and tangents in the type of what they belong to; and the small values that rules are written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.errors import ShapeError
from ..graph import math, shaping
from ..graph.tensor import cast, constant
from ..graph.variable import Constant, Variable, op1
from ..ir.dtypes import COMPLEX


def times(g: Variable, number: float) -> Variable:
    """g times a number in g's dtype (a literal's own dtype would widen float16 and float32)."""
    return math.mul(g, constant(number, dtype=g.dtype, ndim=g.ndim))


def add(*parts: Variable | None) -> Variable | None:
    """The sum of the parts that are there."""
    found = [p for p in parts if p is not None]
    return math.add(*found) if found else None


def shape_of(x: Variable) -> list[Variable]:
    return [shaping.shape_i(x, a) for a in range(x.ndim)]


def stretch(g: Variable, like: Variable) -> Variable:
    """g broadcast to the lengths of `like`, a tensor of the same rank."""
    if not any(a and not b for a, b in zip(g.broadcastable, like.broadcastable, strict=True)):
        return g
    return op1("alloc", g, *shape_of(like))


def unbroadcast(g: Variable, like: Variable) -> Variable:
    """Sums g over the axes along which `like` (of the same rank) was stretched."""
    if g.ndim != like.ndim:
        raise ShapeError(f"a gradient with {g.ndim} dimensions for {like.describe()} : {like.type}")
    axes = tuple(a for a, (x, y) in enumerate(zip(g.broadcastable, like.broadcastable, strict=True)) if y and not x)
    return math.sum(g, axis=axes, dtype=g.dtype, keepdims=True) if axes else g


def convert(g: Variable, dtype: str) -> Variable:
    """g in another dtype; what is real has the real part of a complex gradient."""
    return cast(math.real(g) if dtype not in COMPLEX else g, dtype)


def fit_gradient(g: Variable, like: Variable) -> Variable:
    """A gradient in the dtype and lengths of its variable: summed where that was stretched, and stretched itself."""
    have, want = g.ir_type, like.ir_type
    if have is want or have.kind != "dense" or want.kind != "dense":
        return g
    if have.dtype == want.dtype and (have.axes == want.axes or have.broadcastable == want.broadcastable):
        return g
    return stretch(convert(unbroadcast(g, like), like.dtype), like)


def fit_tangent(t: Variable, like: Variable) -> Variable:
    """A tangent in the dtype and the lengths of its variable."""
    if t.ir_type == like.ir_type or t.ir_type.kind != "dense" or like.ir_type.kind != "dense":
        return t
    t = stretch(convert(t, like.dtype), like)
    return shaping.addbroadcast(t, *[a for a, one in enumerate(like.broadcastable) if one])


def zero(like: Variable) -> Variable:
    """0 in the dtype and the rank of `like`, every length 1."""
    return constant(0, dtype=like.dtype, ndim=like.ndim)


def zeros(like: Variable, dtype: str | None = None) -> Variable:
    """0 in every place of `like` (in every stored place of a sparse matrix)."""
    if like.ir_type.kind == "csr":
        return csr_like(shaping.zeros_like(csr_part(like, 0), dtype), like)
    return shaping.zeros_like(like, dtype)


def csr_part(x: Variable, part: int) -> Variable:
    return op1("csr_part", x, part=part)


def csr_like(data: Variable, like: Variable) -> Variable:
    """The sparse matrix with the places of `like` and other data."""
    return op1("csr", data, csr_part(like, 1), csr_part(like, 2), shaping.shape_i(like, 1))


def declared_data(x: Variable) -> Variable | None:
    """The elements of a sparse matrix that is an input or shared: a leaf. None for anything else."""
    if x.ir_type.kind != "csr" or x.owner is None or x.owner.op.name != "csr":
        return None
    data = x.owner.inputs[0]
    return data if data.owner is None and not isinstance(data, Constant) else None


def total(parts: Sequence[Variable]) -> Variable:
    """The sum of gradients of one variable; those of a sparse matrix have its places."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].ir_type.kind == "csr":
        return csr_like(math.add(*[csr_part(p, 0) for p in parts]), parts[0])
    return math.add(*parts)


def number_of(v: Variable) -> Any:
    """The number that a constant holds in every place, None for anything else."""
    n = v.node
    while n.op in ("dimshuffle", "alloc", "rebroadcast"):
        n = n.inputs[0]
    return n.value if n.op == "const" and n.attr("value").array.size == 1 else None
