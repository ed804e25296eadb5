"""Operations that hold regions: scan and ifelse. Their results are tuples."""

from __future__ import annotations

from ....runtime.errors import DTypeError, ShapeError
from .. import lengths
from ..node import Check, Node, Region, Typed, build, define, substitute, topological
from ..types import TensorType, TupleType
from .common import dense, equal, scalars


def outer_axes(inner: Region, node: Node, binding: dict[Node, tuple[Node, ...]]) -> list[Node] | None:
    """An inner value's lengths in the outer program's terms; None where they depend on inner values.

    `binding` gives each param of the region the outer lengths of the value it is bound to.
    """
    mapping = {
        length: outer
        for p, axes in binding.items()
        for length, outer in zip(p.type.axes, axes, strict=True)
        if length.op == "dim"
    }
    out = substitute(list(node.type.axes), mapping)
    if any(n.op in ("param", "dim") and n not in mapping.values() and n in _locals(inner) for n in topological(out)):
        return None
    return [lengths.normal(n) for n in out]


def _locals(inner: Region) -> set[Node]:
    return {p for p in inner.params} | {a for p in inner.params for a in p.type.axes if a.op == "dim"}


@define("ifelse", "control")
def ifelse(inputs, attrs):
    """ifelse(condition, x, ...; then, orelse): the outputs of one region applied to x; the other is not computed."""
    condition, *args = inputs
    then, orelse = attrs["then"], attrs["orelse"]
    if condition.type.ndim or condition.type.dtype != "bool":
        raise DTypeError(f"the condition of ifelse is {condition.type}, not a bool scalar")
    of_attrs = tuple(sorted(attrs.items()))
    items = []
    for k, (a, b) in enumerate(zip(then.outputs, orelse.outputs, strict=True)):
        if a.type.dtype != b.type.dtype or a.type.ndim != b.type.ndim or a.type.kind != b.type.kind:
            raise ShapeError(f"the branches of ifelse differ: {a.type} and {b.type}")
        sides = [
            outer_axes(r, o, {p: x.type.axes for p, x in zip(r.params, args, strict=True)})
            for r, o in ((then, a), (orelse, b))
        ]
        axes = []
        for axis in range(a.type.ndim):
            left, right = (s[axis] if s is not None else None for s in sides)
            if left is None or left is not right:
                left = build("length", *inputs, of="ifelse", of_attrs=of_attrs, out=k, axis=axis)
            axes.append(left)
        items.append(TensorType(a.type.dtype, tuple(axes), a.type.kind))
    return TupleType(tuple(items))


@define("scan", "control")
def scan(inputs, attrs):
    """scan(n_steps, sequence.., initial.., constant..; step, sequences, taps, keep, until): a loop.

    Step t's params are sequence[t] for each of the `sequences` first arguments, then for each state the values at
    t + tap for its `taps` (negative, ascending), then the constants. Its outputs are the new state values, then values
    to stack, then, if `until`, a bool that ends the loop after this step. A state's initial value holds its -min(taps)
    earlier values along a leading axis. Results: for each state its history, initial values first, or (keep false) its
    last -min(taps) values; then the stacked values.
    """
    step: Region = attrs["step"]
    n_steps, *rest = inputs
    scalars("scan", n_steps)
    n = lengths.normal(n_steps)
    taps = attrs["taps"]
    sequences, initials = rest[: attrs["sequences"]], rest[attrs["sequences"] : attrs["sequences"] + len(taps)]
    constants = rest[attrs["sequences"] + len(taps) :]
    dense("scan", *sequences, *initials)
    checks = [] if lengths.nonneg(n) else [Check("nonneg", (n,), "number of steps of scan")]
    params = list(step.params)
    binding: dict[Node, tuple[Node, ...]] = {}
    for s in sequences:
        if s.type.axes[0] is not n:
            checks.append(Check("le", (n, s.type.axes[0]), "steps of scan and length of a sequence"))
        binding[params.pop(0)] = s.type.axes[1:]
    for init, offsets in zip(initials, taps, strict=True):
        checks += equal(init.type.axes[0], lengths.const(-min(offsets)), "leading length of an initial state")
        for _ in offsets:
            binding[params.pop(0)] = init.type.axes[1:]
    for c in constants:
        binding[params.pop(0)] = c.type.axes
    if params:
        raise ShapeError(f"the step of scan has {len(params)} params too many")
    run = n
    if attrs["until"]:
        run = build("length", *inputs, of="scan", of_attrs=tuple(sorted(attrs.items())), out=-1, axis=0)
    items = []
    outputs = step.outputs[: len(step.outputs) - bool(attrs["until"])]
    for k, out in enumerate(outputs):
        axes = outer_axes(step, out, binding)
        if axes is None:
            raise ShapeError("a value that scan keeps changes its length from step to step")
        if k < len(taps):
            init = initials[k]
            if out.type.dtype != init.type.dtype or out.type.ndim != init.type.ndim - 1:
                raise ShapeError(f"a state of scan starts as {init.type} and becomes {out.type}")
            for a, b in zip(axes, init.type.axes[1:], strict=True):
                checks += equal(b, a, "lengths of a state of scan before and after a step")
            lead = init.type.axes[0]
            lead = lengths.add(lengths.const(-min(taps[k])), run) if attrs["keep"][k] else lead
            items.append(TensorType(out.type.dtype, (lead, *init.type.axes[1:]), out.type.kind))
        else:
            items.append(TensorType(out.type.dtype, (run, *axes), out.type.kind))
    return Typed(TupleType(tuple(items)), tuple(checks))
