"""Operations that hold regions: scan and ifelse. Their results are tuples."""

from __future__ import annotations

from ....runtime.errors import DTypeError, ShapeError
from .. import lengths
from ..node import STEPS, Check, Node, Region, Typed, bound_length, build, define, substitute, topological
from ..types import TensorType, TupleType
from .common import dense, equal, scalars


class Binding:
    """What a region's params are bound to: the outer lengths of its `dim`s, and the obligations that come with it."""

    def __init__(self, op: str, inner: Region):
        self.op, self.inner = op, inner
        self.lengths: dict[Node, Node] = {}  # dim of a param -> outer length; a param of one known value -> that value
        self.checks: list[Check] = []
        self._params = list(inner.params)
        self._fixed: list[tuple[Node, Node]] = []  # a param's length that is no dim of its own, and the outer one

    def bind(self, dtype: str, axes: tuple[Node, ...], kind: str = "dense", value: Node | None = None) -> None:
        """The next param takes a value of this type; `value` is the value itself where it is one for all runs."""
        if not self._params:
            raise ShapeError(f"{self.op} gives a region more values than its {len(self.inner.params)} params")
        p = self._params.pop(0)
        t = p.type
        what = f"param {p.attr('token')} of a region of {self.op}"
        if t.dtype != dtype or t.kind != kind:
            raise DTypeError(f"{what} is {t.kind} {t.dtype}, its value {kind} {dtype}")
        if len(t.axes) != len(axes):
            raise ShapeError(f"{what} has {len(t.axes)} dimensions, its value {len(axes)}")
        if value is not None:
            self.lengths[p] = value
        for k, (length, outer) in enumerate(zip(t.axes, axes, strict=True)):
            own = build("dim", token=p.attr("token"), axis=k)
            self.lengths[own] = outer
            if length is not own:
                self._fixed.append((length, outer))

    def done(self) -> None:
        if self._params:
            raise ShapeError(f"a region of {self.op} has {len(self._params)} params too many")
        for length, outer in self._fixed:
            (inside,) = self.outer(length) or (None,)
            if inside is None:
                raise ShapeError(f"a param of a region of {self.op} has a length that no other length gives")
            self.checks += equal(outer, inside, f"length of a value and of the param of {self.op} that it is bound to")

    def outer(self, *inside: Node) -> list[Node] | None:
        """Inner lengths in the outer program's terms; None where they depend on inner values."""
        for n in topological(inside):
            if n.op in ("param", "dim") and n not in self.lengths:
                return None
            if n.op == "length" and self.op == "ifelse":
                return None  # the operation that binds it is in the branch, which may not be taken
        return [lengths.normal(n) for n in substitute(list(inside), self.lengths)]


@define("ifelse", "control", host_inputs=(0,), binds=True)
def ifelse(inputs, attrs):
    """ifelse(condition, x, ...; then, orelse): the outputs of one region applied to x; the other is not computed."""
    condition, *args = inputs
    then, orelse = attrs["then"], attrs["orelse"]
    if condition.type.ndim or condition.type.dtype != "bool":
        raise DTypeError(f"the condition of ifelse is {condition.type}, not a bool scalar")
    if len(then.outputs) != len(orelse.outputs):
        raise ShapeError(f"the branches of ifelse have {len(then.outputs)} and {len(orelse.outputs)} outputs")
    bindings = []
    for r in (then, orelse):
        binding = Binding("ifelse", r)
        for x in args:
            binding.bind(x.type.dtype, x.type.axes, x.type.kind, x)
        binding.done()
        bindings.append(binding)
    items = []
    for k, (a, b) in enumerate(zip(then.outputs, orelse.outputs, strict=True)):
        if a.type.dtype != b.type.dtype or a.type.ndim != b.type.ndim or a.type.kind != b.type.kind:
            raise ShapeError(f"the branches of ifelse differ: {a.type} and {b.type}")
        sides = [binding.outer(*o.type.axes) for binding, o in zip(bindings, (a, b), strict=True)]
        axes = []
        for axis in range(a.type.ndim):
            left, right = (s[axis] if s is not None else None for s in sides)
            if left is None or left is not right:
                left = bound_length("ifelse", inputs, attrs, k, axis)
            axes.append(left)
        items.append(TensorType(a.type.dtype, tuple(axes), a.type.kind))
    return Typed(TupleType(tuple(items)), tuple(dict.fromkeys(c for binding in bindings for c in binding.checks)))


@define("scan", "control", host_inputs=(0,), binds=True)
def scan(inputs, attrs):
    """scan(n_steps, sequence.., initial.., constant..; step, sequences, taps, keep, until): a loop.

    Step t's params are sequence[t] for each of the `sequences` first arguments, then for each state the values at
    t + tap for its `taps` (negative, ascending), then the constants. Its outputs are the new state values, then values
    to stack, then, if `until`, a bool that ends the loop after this step. A state's initial value holds its -min(taps)
    earlier values along a leading axis. Results: for each state its history, initial values first, or (keep false) its
    last -min(taps) values; then the stacked values. The state of a random stream has the tap -1 and no leading axis;
    its result is the last one. A sequence of two words may be a sequence of states. With the attribute `backwards` (not
    beside `until`) stacked values lie in the order from the last step to the first.
    """
    step: Region = attrs["step"]
    n_steps, *rest = inputs
    scalars("scan", n_steps)
    n = lengths.normal(n_steps)
    taps = attrs["taps"]
    sequences, initials = rest[: attrs["sequences"]], rest[attrs["sequences"] : attrs["sequences"] + len(taps)]
    constants = rest[attrs["sequences"] + len(taps) :]
    dense("scan", *sequences, *(i for i in initials if i.type.kind != "random"))
    checks = [] if lengths.nonneg(n) else [Check("nonneg", (n,), "number of steps of scan")]
    binding = Binding("scan", step)
    for s, p in zip(sequences, step.params, strict=False):
        if not s.type.axes:
            raise ShapeError("a sequence of scan is a scalar")
        if not _at_most(n, s.type.axes[0]):
            checks.append(Check("le", (n, s.type.axes[0]), "steps of scan and length of a sequence"))
        words = s.type.dtype == "uint64" and [lengths.static(a) for a in s.type.axes[1:]] == [2]
        binding.bind(s.type.dtype, s.type.axes[1:], p.type.kind if words else "dense")  # words may be random states
    for init, offsets, keep in zip(initials, taps, attrs["keep"], strict=True):
        if init.type.kind == "random":
            if offsets != (-1,) or keep:
                raise ShapeError("the state of a random stream in scan has the tap -1, and only the last one is kept")
            binding.bind(init.type.dtype, init.type.axes, "random")
            continue
        if not offsets or list(offsets) != sorted(set(offsets)) or offsets[-1] >= 0:
            raise ShapeError(f"taps {offsets} of scan: negative and ascending ones are needed")
        if not init.type.axes:
            raise ShapeError("an initial state of scan is a scalar; it has a leading axis of earlier values")
        checks += equal(init.type.axes[0], lengths.const(-min(offsets)), "leading length of an initial state")
        for _ in offsets:
            binding.bind(init.type.dtype, init.type.axes[1:])
    for c in constants:
        binding.bind(c.type.dtype, c.type.axes, c.type.kind, c)
    binding.done()
    checks += binding.checks
    if len(step.outputs) < len(taps) + bool(attrs["until"]):
        raise ShapeError(f"the step of scan has {len(step.outputs)} outputs for {len(taps)} states")
    run = n
    if attrs["until"]:
        if "backwards" in attrs:
            raise ShapeError("a loop that a condition ends stacks its values forwards")
        stop = step.outputs[-1].type
        if stop.dtype != "bool" or stop.axes or stop.kind != "dense":
            raise DTypeError(f"the condition that ends scan is {stop}, not a bool scalar")
        run = bound_length("scan", inputs, attrs, STEPS)
    items = []
    outputs = step.outputs[: len(step.outputs) - bool(attrs["until"])]
    for k, out in enumerate(outputs):
        if k < len(taps) and initials[k].type.kind == "random":
            if out.type != initials[k].type:
                raise DTypeError(f"the state of a random stream becomes {out.type} in scan")
            items.append(out.type)
            continue
        dense("scan", out)
        axes = binding.outer(*out.type.axes)
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


def stacks_backwards(n: Node) -> bool:
    """Whether the first stacked value of a scan is that of its last step."""
    return any(k == "backwards" for k, _ in n.attrs)


def _at_most(n: Node, length: Node) -> bool:
    """Whether n is known to be at most the length; a minimum is at most what it is taken of."""
    stack = [n]
    while stack:
        m = stack.pop()
        if m is length or lengths.at_least(length, m):
            return True
        if m.op == "minimum":
            stack += m.inputs
    return False
