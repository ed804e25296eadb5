"""Copies of graphs with some Variables replaced by others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from .arguments import listed
from .shaping import with_lengths
from .shared import SharedVariable
from .tensor import as_tensor_variable
from .told import told
from .trace import on_behalf
from .variable import Apply, Constant, Op, Variable, ancestors, apply_op


@told
def clone(output: Any, replace: Any = None, strict: bool = True, share_inputs: bool = True) -> Any:
    """A copy of the graph of a Variable or a list of them.

    replace: a dict or pairs (old, new); a new Variable has the type of the old one, or with `strict` false one that
    the operations accept. share_inputs: whether the leaves of the copy are those of the original; if not, fresh ones
    stand for them (shared variables and constants stay). Raises ArgumentError, DTypeError, ShapeError.
    """
    one = not isinstance(output, (list, tuple))
    outputs = [output] if one else list(output)
    for o in outputs:
        if not isinstance(o, Variable):
            raise DTypeError(f"clone copies symbolic variables, not {o!r}")
    done = _replacements(replace, strict)
    copies = copied(outputs, done, everything=True, leaves=not share_inputs)
    return copies[0] if one else copies


def _replacements(replace: Any, strict: bool) -> dict[Variable, Variable]:
    if replace is None:
        return {}
    pairs = listed(replace.items() if hasattr(replace, "items") else replace, "clone's replacements")
    out: dict[Variable, Variable] = {}
    for pair in pairs:
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2):
            raise ArgumentError(f"clone takes replacements as pairs (old, new) or a dict, not {pair!r}")
        old, new = pair
        if not isinstance(old, Variable):
            raise DTypeError(f"clone replaces symbolic variables, not {old!r}")
        new = new if isinstance(new, Variable) else as_tensor_variable(new)
        if strict:
            _same_type(old, new)
            if old.ir_type.kind == "dense":  # what is made of lengths that the old one has stays
                new = with_lengths(new, old.type.shape)
        out[old] = new
    return out


def _same_type(old: Variable, new: Variable) -> None:
    what = f"clone replaces {old.describe()} : {old.type} by {new.describe()} : {new.type}"
    if new.ir_type.kind != old.ir_type.kind or new.dtype != old.dtype:
        raise DTypeError(f"{what}; their dtypes differ (strict=False allows it)")
    if new.ndim != old.ndim:
        raise ShapeError(f"{what}; their numbers of dimensions differ (strict=False allows it)")
    for a, (have, want) in enumerate(zip(new.type.shape, old.type.shape, strict=True)):
        if want is not None and have is not None and have != want:
            raise ShapeError(f"{what}; their lengths on axis {a} differ (strict=False allows it)")


def copied(
    outputs: Sequence[Variable], replace: dict[Variable, Variable], everything: bool = False, leaves: bool = False
) -> list[Variable]:
    """The outputs with every key of `replace` replaced by its value. Iterative, linear.

    What depends on no key stays the same object, unless `everything` is to be copied; `leaves` are then copied too.
    """
    done = dict(replace)
    for v in ancestors(outputs, stop=replace):
        if v in done:
            continue
        if v.owner is None:
            fixed = isinstance(v, (Constant, SharedVariable))
            done[v] = v.clone() if leaves and not fixed else v
            continue
        inputs = [done[i] for i in v.owner.inputs]
        if not everything and all(a is b for a, b in zip(inputs, v.owner.inputs, strict=True)):
            done[v] = v
            continue
        for old, new in zip(v.owner.outputs, apply_again(v.owner, inputs), strict=True):
            if old not in done:
                new.name = old.name
                done[old] = new
    return [done[o] for o in outputs]


def apply_again(owner: Apply, inputs: Sequence[Variable]) -> list[Variable]:
    """The outputs of the owner's operation applied to other inputs, on behalf of its line."""
    op = owner.op
    with on_behalf(owner.trace, "a copy of"):
        if type(op).lower is Op.lower:  # a user's operation, which types its outputs itself
            return list(op.make_node(*inputs).outputs)
        return apply_op(op, inputs)


__all__ = ["apply_again", "clone", "copied"]
