"""Subscripts: basic slices, integer arrays, masks; and writing to a subscript (set_subtensor, inc_subtensor)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ...runtime.exchange import as_array, is_exporter
from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import build
from ..ir.node import constant as ir_constant
from .arguments import integer
from .shaping import addbroadcast, length_argument
from .tensor import as_tensor_variable, cast, constant, pad_left
from .variable import Constant, Op, Variable, apply_op, op1, primitive

if TYPE_CHECKING:
    from .operators import TensorVariable


class Basic(NamedTuple):
    """A subscript of points and ranges: the slice spec, its bounds, and the result's axes (None is a new axis)."""

    spec: tuple
    bounds: list[Variable]
    order: tuple


class Plan(NamedTuple):
    """A whole subscript: basic part first, then integer arrays for some axes of its result."""

    basic: Basic | None
    arrays: list[tuple[int, Variable]]
    adjacent: bool  # whether the axes of the arrays stay where they were, or come first


def nonzero(x: Any, return_matrix: bool = False) -> Any:
    """The indices of the nonzero elements, one int64 vector an axis."""
    x = as_tensor_variable(x)
    outs = apply_op(primitive("nonzero"), [x])
    if return_matrix:
        from .shaping import stack

        return stack(outs)
    return tuple(outs)


def _is_array(e: Any) -> bool:
    if isinstance(e, Variable):
        return e.ndim > 0
    if isinstance(e, (int, slice)) or e is None or e is Ellipsis:
        return False
    return isinstance(e, list) or (is_exporter(e) and as_array(e).ndim > 0)


def _bool_array(e: Any) -> bool:
    return _is_array(e) and (e.dtype == "bool" if isinstance(e, Variable) else as_array(e).dtype == bool)


class MaskOf(Op):
    """A mask as it is, which has the lengths of a tensor from an axis on: an obligation where that is not known."""

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def lower(self, inputs):
        mask, x = inputs
        axes = x.type.axes[self.axis : self.axis + mask.type.ndim]
        if len(axes) < mask.type.ndim:
            raise ShapeError(f"a mask of {mask.type.ndim} dimensions for the axes from {self.axis} on")
        if all(a is b for a, b in zip(mask.type.axes, axes, strict=True)):
            return [mask]
        for k, (n, m) in enumerate(zip(mask.type.static_shape, map(lengths.static, axes), strict=True)):
            if n is not None and m is not None and n != m:
                raise ShapeError(f"a mask of length {n} for axis {self.axis + k}, which has length {m}")
        # `and` states that lengths are equal; but an axis known to be 1 stretches to the other, which has to be 1, too.
        whole = build("alloc", ir_constant(True, "bool"), *axes)
        stretch = [
            tuple(k for k, one in enumerate(a.type.broadcastable) if one and not b.type.broadcastable[k])
            for a, b in ((mask, whole), (whole, mask))
        ]
        if stretch[0]:
            whole = build("rebroadcast", whole, axes=stretch[0])
        if stretch[1]:
            mask = build("rebroadcast", mask, axes=stretch[1])
        return [build("and", mask, whole)]

    def pullback(self, node, grads):
        return [None, None]

    def pushforward(self, node, tangents):
        return [None]

    def connection_pattern(self, node):
        return [[False], [False]]

    def __str__(self) -> str:
        return "subscript by a mask"


def parse(x: Variable, args: Any) -> Plan:
    """The plan of x[args]."""
    items = list(args) if isinstance(args, tuple) else [args]
    items = [as_tensor_variable(e) if _bool_array(e) else e for e in items]
    width = sum(e.ndim if _bool_array(e) else e is not None and e is not Ellipsis for e in items)
    expanded: list[Any] = []
    axis = 0
    for e in items:
        if _bool_array(e):
            expanded.extend(nonzero(apply_op(MaskOf(axis), [e, x])[0]))
            axis += e.ndim
        else:
            expanded.append(e)
            axis += x.ndim - width if e is Ellipsis else e is not None
    used = len([e for e in expanded if e is not None and e is not Ellipsis])
    if used > x.ndim:
        raise ShapeError(f"{used} subscripts of {x.describe()}, which has {x.ndim} dimensions")
    dots = [k for k, e in enumerate(expanded) if e is Ellipsis]
    if len(dots) > 1:
        raise ArgumentError("a subscript with more than one ...")
    fill = [slice(None)] * (x.ndim - used)
    at = dots[0] if dots else len(expanded)
    expanded = expanded[:at] + fill + expanded[at + len(dots) :]

    spec: list[tuple] = []
    bounds: list[Variable] = []
    order: list[Any] = []
    arrays: list[tuple[int, Variable]] = []
    advanced: list[int] = []  # NumPy counts a number among the arrays when it asks whether they stand side by side
    axis = 0
    for k, e in enumerate(expanded):
        if e is None:
            order.append("x")
            continue
        if isinstance(e, slice):
            spec.append(_range(e, bounds))
            order.append(axis)
        elif _is_array(e):
            # NumPy makes floats of an empty list, and takes it as a subscript all the same.
            index = as_tensor_variable(np.zeros(np.shape(e), "int64") if isinstance(e, list) and not np.size(e) else e)
            if DTYPES[index.dtype].kind not in "iu":
                raise DTypeError(f"subscript {index.describe()} is {index.dtype}; integers or bool are needed")
            advanced.append(k)
            arrays.append((len(order), index))
            spec.append(("all",))
            order.append(axis)
        elif isinstance(e, bool) or getattr(e, "dtype", None) == "bool":
            said = e.describe() if isinstance(e, Variable) else e
            raise DTypeError(
                f"the subscript {said} of {x.describe()} is one bool, no place; weft.tensor.switch chooses by a "
                "condition"
            )
        else:
            advanced.append(k)
            bounds.append(length_argument(e, "a subscript"))
            spec.append(("point",))
        axis += 1
    trivial = all(s == ("all",) for s in spec) and order == list(range(x.ndim))
    adjacent = not advanced or advanced[-1] - advanced[0] == len(advanced) - 1
    return Plan(None if trivial else Basic(tuple(spec), bounds, tuple(order)), arrays, adjacent)


def _range(e: slice, bounds: list[Variable]) -> tuple:
    step = e.step
    if isinstance(step, Variable):
        known = lengths.static(step.node)
        if known is None:
            raise ArgumentError("a slice with a symbolic step; steps have to be numbers")
        step = known
    step = 1 if step is None else int(step)
    if step == 0:
        raise ArgumentError("a slice with step 0, which never comes to its end")
    if e.start is None and e.stop is None and step == 1:
        return ("all",)
    for b in (e.start, e.stop):
        if b is not None:
            bounds.append(length_argument(b, "a slice"))
    return ("range", e.start is not None, e.stop is not None, step)


def _front(plan: Plan, ndim: int) -> tuple[list[int], list[int]]:
    """The permutation that brings the indexed axes to the front, and its inverse on the result of the gather."""
    axes = [a for a, _ in plan.arrays]
    rest = [a for a in range(ndim) if a not in axes]
    width = max(i.ndim for _, i in plan.arrays)
    # NumPy: index axes stand where the indexed ones stood if those are adjacent, otherwise in front.
    place = len([a for a in rest if a < axes[0]]) if plan.adjacent else 0
    back = [width + k for k in range(place)] + list(range(width)) + [width + k for k in range(place, len(rest))]
    return axes + rest, back


def elements(v: Variable) -> list[Variable] | None:
    """The scalars that a vector was stacked of, if it was."""
    if v.owner is None or v.ndim != 1 or getattr(v.owner.op, "name", "") != "concatenate":
        return None
    out = []
    for part in v.owner.inputs:
        made = part.owner
        if made is None or getattr(made.op, "name", "") != "dimshuffle" or made.inputs[0].ndim:
            return None
        out.append(made.inputs[0])
    return out


class ElementOfStack(Op):
    """What was stacked, under a name of its own: in the IR that itself."""

    __props__ = ()
    hands_on = (0,)

    def lower(self, inputs):
        return list(inputs)

    def pullback(self, node, grads):
        return [None]

    def pushforward(self, node, tangents):
        return [None]

    def connection_pattern(self, node):
        return [[False]]

    def __str__(self) -> str:
        return "subscript"


def element_of_stack(v: Variable, args: Any) -> Variable | None:
    """v[args] where v is a stack of lengths (a shape, say) and args a number or a slice of numbers: the lengths
    themselves, so that what is declared with them has them."""
    if v.dtype != "int64" or not isinstance(args, (int, np.integer, slice)) or isinstance(args, bool):
        return None
    parts = elements(v)
    if parts is None:
        return None
    if isinstance(args, slice):
        if any(isinstance(e, Variable) for e in (args.start, args.stop, args.step)) or not parts[args]:
            return None
        from .shaping import stack

        return stack(parts[args])
    if not -len(parts) <= args < len(parts):
        return None
    part = parts[args]
    if isinstance(part, Constant):
        return constant(part.data, dtype=part.dtype)
    return apply_op(ElementOfStack(), [part])[0]


def subtensor(x: Any, args: Any) -> TensorVariable:
    """x[args]."""
    plan = parse(x, args)
    out = x
    if plan.basic is not None:
        if any(s != ("all",) for s in plan.basic.spec):
            out = op1("slice", out, *plan.basic.bounds, spec=plan.basic.spec)
        out = out.dimshuffle(*plan.basic.order)
    if not plan.arrays:
        return out
    front, back = _front(plan, out.ndim)
    width = max(i.ndim for _, i in plan.arrays)
    indices = [pad_left(i, width) for _, i in plan.arrays]
    return op1("gather", out.dimshuffle(*front), *indices).dimshuffle(*back)


def _write(x: Variable, args: Any, y: Any, mode: str) -> TensorVariable:
    """x with x[args] set to y or increased by y."""
    y = as_tensor_variable(y)
    if (DTYPES[y.dtype].kind == "c" and DTYPES[x.dtype].kind != "c") or (
        DTYPES[y.dtype].kind == "f" and DTYPES[x.dtype].kind not in "fc"
    ):
        raise DTypeError(
            f"{y.describe()} of {y.dtype} cannot be written into {x.describe()} of {x.dtype}; cast it first"
        )
    y = cast(y, x.dtype)
    plan = parse(x, args)
    base: Any = x
    if plan.basic is not None and plan.arrays:
        base = subtensor(x, _basic_args(plan))
    if plan.arrays:
        base = base if plan.basic is not None else x
        front, back = _front(plan, base.ndim)
        width = max(i.ndim for _, i in plan.arrays)
        indices = [pad_left(i, width) for _, i in plan.arrays]
        rank = width + base.ndim - len(indices)
        y = pad_left(y, rank)
        y = y.dimshuffle(*[back.index(k) for k in range(rank)])
        moved = op1("scatter", base.dimshuffle(*front), y, *indices, mode=mode)
        new = moved.dimshuffle(*[front.index(k) for k in range(base.ndim)])
        if plan.basic is None:
            return new
        return _write_basic(x, plan.basic, new, "set")
    if plan.basic is None:
        from .math import add
        from .shaping import alloc, fill, shape_i

        y = pad_left(y, x.ndim)
        if mode == "set":
            return fill(x, y)
        return add(x, alloc(y, *[shape_i(x, a) for a in range(x.ndim)]) if y.ndim else y)
    return _write_basic(x, plan.basic, y, mode)


def _write_basic(x: Variable, basic: Basic, y: Variable, mode: str) -> TensorVariable:
    """Writes y, shaped as the subscript's result, into the slice."""
    y = pad_left(y, len(basic.order))
    inserted = [k for k, o in enumerate(basic.order) if o == "x"]
    kept = [k for k in range(y.ndim) if k not in inserted]
    by_axis = {basic.order[k]: k for k in kept}
    y = addbroadcast(y, *inserted)  # a length of 1 there is checked, at the call if it is not known before
    y = y.dimshuffle(*[by_axis.get(a, "x") for a in range(x.ndim)])
    return op1("set_slice", x, y, *basic.bounds, spec=basic.spec, mode=mode)


def _basic_args(plan: Plan) -> tuple:
    """The basic part of a plan as a subscript again."""
    assert plan.basic is not None
    if any(o == "x" for o in plan.basic.order):
        raise ArgumentError("writing to a subscript that mixes None and integer arrays")
    bounds = list(plan.basic.bounds)
    out: list[Any] = []
    for s in plan.basic.spec:
        if s[0] == "all":
            out.append(slice(None))
        elif s[0] == "point":
            out.append(bounds.pop(0))
        else:
            out.append(slice(bounds.pop(0) if s[1] else None, bounds.pop(0) if s[2] else None, s[3]))
    return tuple(out)


def _target(x: Any) -> tuple[Variable, Any]:
    """(base, subscript) of a subscripted variable; `operators.__getitem__` records both on its result."""
    found = getattr(x, "_subscript", None)
    if found is None:
        raise ArgumentError(f"{x!r} is not the result of subscripting a tensor: write set_subtensor(x[...], y)")
    return found


def set_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> TensorVariable:
    """`set_subtensor(x[idx], y)`: x with x[idx] replaced by y."""
    base, args = _target(x)
    return _write(base, args, y, "set")


def inc_subtensor(
    x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False, set_instead_of_inc: bool = False
) -> TensorVariable:
    """`inc_subtensor(x[idx], y)`: x with y added to x[idx]; repeated indices add up."""
    base, args = _target(x)
    return _write(base, args, y, "set" if set_instead_of_inc else "inc")


def take(a: Any, indices: Any, axis: int | None = None) -> TensorVariable:
    """Elements along an axis by integer indices (of the flattened tensor when axis is None)."""
    a = as_tensor_variable(a)
    if axis is None:
        a, axis = a.flatten(), 0
    from .math import normal_axes

    (axis,) = normal_axes(a, integer(axis, "the axis of take"), "take")
    return subtensor(
        a, (slice(None),) * axis + (indices if isinstance(indices, (list, Variable, int)) else np.asarray(indices),)
    )


__all__ = ["inc_subtensor", "nonzero", "set_subtensor", "subtensor", "take"]
