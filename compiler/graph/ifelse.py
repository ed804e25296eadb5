"""`ifelse`: a conditional that computes one branch only.

On Variables it is an operation on the values of both branches, so that gradients, clones and givens see a plain graph.
Lowered, its branches are regions that return what they are given; compiler/simplify/lazy.py then moves into a branch
whatever only that branch needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ..ir.dtypes import DISCRETE
from ..ir.node import Node, build, region
from ..ir.regions import params_for
from . import math
from .tensor import as_tensor_variable, cast, constant
from .told import told
from .variable import Apply, Constant, Op, Variable, apply_op


class IfElse(Op):
    """ifelse(condition, *values if true, *values if false): `n_outs` outputs."""

    def __init__(self, n_outs: int, name: str | None = None):
        self.n_outs, self.name = n_outs, name

    def _key(self) -> Any:
        return (type(self), self.n_outs)

    def lower(self, inputs: Sequence[Node]) -> list[Node]:
        condition, *values = inputs
        args = list(dict.fromkeys(v for v in values if v.op != "const"))
        params, inside = params_for(args)
        bodies = [
            region(params, [inside.get(v, v) for v in side]) for side in (values[: self.n_outs], values[self.n_outs :])
        ]
        node = build("ifelse", condition, *args, then=bodies[0], orelse=bodies[1])
        return [build("item", node, index=k) for k in range(self.n_outs)]

    def pullback(self, node: Apply, grads: Sequence[Variable | None]) -> list[Variable | None]:
        """A branch that is not taken has a gradient of zeros."""
        from ..grad import fit

        condition, *values = node.inputs
        chosen = [k for k, g in enumerate(grads) if g is not None]
        out: list[Variable | None] = [None] * len(node.inputs)
        g = [grads[k] for k in chosen]
        nothing = [[fit.zeros(values[k + at]) for k in chosen] for at in (0, self.n_outs)]
        found = apply_op(IfElse(2 * len(chosen), self.name), [condition, *g, *nothing[1], *nothing[0], *g])  # type: ignore[list-item]
        for j, k in enumerate(chosen):
            out[1 + k], out[1 + self.n_outs + k] = found[j], found[len(chosen) + j]
        return out

    def pushforward(self, node: Apply, tangents: Sequence[Variable | None]) -> list[Variable | None]:
        from ..grad import fit

        n = self.n_outs
        values, moved = node.inputs[1:], tangents[1:]
        chosen = [
            k
            for k in range(n)
            if node.outputs[k].dtype not in DISCRETE and (moved[k] is not None or moved[n + k] is not None)
        ]
        out: list[Variable | None] = [None] * n
        if not chosen:
            return out
        sides = [k + at for at in (0, n) for k in chosen]
        args = [fit.zeros(values[k]) if moved[k] is None else moved[k] for k in sides]
        for k, t in zip(chosen, apply_op(IfElse(len(chosen), self.name), [node.inputs[0], *args]), strict=True):  # type: ignore[list-item]
            out[k] = t
        return out

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Each output depends on its two values."""
        n = self.n_outs
        return [[False] * n] + [[k % n == o for o in range(n)] for k in range(2 * n)]

    def __str__(self) -> str:
        return f"ifelse{{{self.name}}}" if self.name else "ifelse"


@told
def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """The value of one branch, or a list of values; the other branch is not computed.

    condition: a scalar, true where it is not 0. The branches: a Variable each, or lists of as many. What a branch alone
    needs is computed only when it is taken; what is needed elsewhere too, by a gradient through it for example, is
    computed anyhow. Raises ArgumentError, DTypeError, ShapeError.
    """
    label = f"ifelse {name!r}" if name else "ifelse"
    c = as_tensor_variable(condition)
    if c.ndim:
        raise ShapeError(f"the condition of {label} is a scalar; {c.describe()} has {c.ndim} dimensions")
    if c.dtype != "bool":
        c = math.neq(c, constant(0, dtype=c.dtype))
    several = [isinstance(b, (list, tuple)) for b in (then_branch, else_branch)]
    then, orelse = (list(b) if isinstance(b, (list, tuple)) else [b] for b in (then_branch, else_branch))
    if several[0] != several[1] or len(then) != len(orelse) or not then:
        count = [f"a list of {len(b)}" if s else "one value" for b, s in zip((then, orelse), several, strict=True)]
        raise ArgumentError(
            f"the branches of {label} hold the same number of values; they are {count[0]} and {count[1]}"
        )
    pairs = [_alike(a, b, k, label) for k, (a, b) in enumerate(zip(then, orelse, strict=True))]
    parts = [_parts(a, b) for a, b in pairs]
    flat = [p for ps in parts for p in ps]
    made = iter(apply_op(IfElse(len(flat), name), [c, *(a for a, _ in flat), *(b for _, b in flat)]))
    outs = [_whole([next(made) for _ in ps]) for ps in parts]
    return outs if several[0] else outs[0]


def _parts(a: Variable, b: Variable) -> list[tuple[Variable, Variable]]:
    """Two values as the dense ones that stand for them: a program has no buffers for sparse matrices."""
    from . import sparse

    return list(zip(sparse.exploded(a), sparse.exploded(b), strict=True)) if sparse.is_sparse(a) else [(a, b)]


def _whole(parts: list[Variable]) -> Variable:
    """The value that these parts stand for."""
    if len(parts) == 1:
        return parts[0]
    from . import shaping, sparse

    data, indices, indptr, columns = parts
    return sparse.CSR(data, indices, indptr, (math.sub(shaping.shape_i(indptr, 0), 1), columns))


def _alike(a: Any, b: Any, k: int, label: str) -> tuple[Variable, Variable]:
    """The two values of an output; a number takes the dtype of the other one."""
    x, y = (v if isinstance(v, Variable) else as_tensor_variable(v) for v in (a, b))
    if x.dtype != y.dtype:
        x, y = _number(x, y), _number(y, x)
    what = (
        f"output {k} of {label} is {x.describe()} : {x.type} in one branch and {y.describe()} : {y.type} in the other"
    )
    if x.dtype != y.dtype or x.ir_type.kind != y.ir_type.kind:
        raise DTypeError(f"{what}; cast one of them, so that their dtypes are the same")
    if x.ndim != y.ndim:
        raise ShapeError(f"{what}; they have the same number of dimensions")
    return x, y


def _number(x: Variable, like: Variable) -> Variable:
    from ..ir.dtypes import promote

    fits = isinstance(x, Constant) and not x.ndim and promote(x.dtype, like.dtype) == like.dtype
    return cast(x, like.dtype) if fits else x


__all__ = ["IfElse", "ifelse"]
