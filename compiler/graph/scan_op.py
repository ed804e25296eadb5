"""The operation scan on Variables: a loop whose step is a graph of its own, and its derivatives, which are loops again.

    inputs   n_steps, sequences, initial states, constants
    outputs  of each state its history, initial values first (keep), or its last values (not keep); then stacked values
    step     inner inputs: an element of each sequence, of each state its values at t + tap, the constants;
             inner outputs: the new states, the values to stack, and with `until` the condition that ends the loop

The inner inputs need not be leaves: any Variable may stand for what the step is given (an outer expression that the
step uses is an inner input itself). So nothing here looks behind an inner input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..ir.digest import digest_operation
from ..ir.dtypes import DISCRETE
from ..ir.node import Node, Region, build, topological
from ..ir.regions import calls_python
from . import math, shaping
from .indexing import subtensor
from .lowering import Lowered, lower
from .tensor import constant
from .types import from_ir
from .variable import Apply, Constant, Op, Primitive, Variable, ancestors, apply_op, leaf, op1


class State(NamedTuple):
    """One state: `taps` ascend, `inner` are the step's values at them, `new` the next one, `initial` its start."""

    inner: tuple[Variable, ...]
    taps: tuple[int, ...]
    initial: Variable
    new: Variable
    keep: bool
    result: Variable | None = None

    @property
    def depth(self) -> int:
        """How many earlier values the state holds."""
        return -self.taps[0]

    @property
    def random(self) -> bool:
        return self.initial.ir_type.kind == "random"


class Loop(NamedTuple):
    """A scan by its parts: inner and outer Variables side by side."""

    steps: Variable
    sequences: list[tuple[Variable, Variable]]
    states: list[State]
    constants: list[tuple[Variable, Variable]]
    stacked: list[tuple[Variable, Variable | None]]  # inner value, outer result
    until: Variable | None

    @property
    def inner_inputs(self) -> list[Variable]:
        taps = (i for s in self.states for i in s.inner)
        return [*(i for i, _ in self.sequences), *taps, *(i for i, _ in self.constants)]

    @property
    def inner_outputs(self) -> list[Variable]:
        last = [] if self.until is None else [self.until]
        return [*(s.new for s in self.states), *(i for i, _ in self.stacked), *last]


class Scan(Op):
    """The loop as an operation; the step is lowered once."""

    def __init__(
        self,
        inner_inputs: Sequence[Variable],
        inner_outputs: Sequence[Variable],
        sequences: int,
        taps: Sequence[tuple[int, ...]],
        keep: Sequence[bool],
        until: bool,
        truncate: int = -1,
        name: str | None = None,
    ):
        self.inner_inputs, self.inner_outputs = list(inner_inputs), list(inner_outputs)
        self.sequences, self.taps, self.keep, self.until = sequences, tuple(taps), tuple(keep), until
        self.truncate, self.name = truncate, name
        self._lowered: Lowered | None = None

    @property
    def lowered(self) -> Lowered:
        """The step as a region, with the lines of its nodes."""
        if self._lowered is None:
            self._lowered = lower(self.inner_inputs, self.inner_outputs, what="step of scan", declared=True)
        return self._lowered

    @property
    def step(self) -> Region:
        return self.lowered.region

    def lower(self, inputs: Sequence[Node]) -> list[Node]:
        node = build(
            "scan", *inputs, keep=self.keep, sequences=self.sequences, step=self.step, taps=self.taps, until=self.until
        )
        return [build("item", node, index=k) for k in range(len(node.type.items))]

    def identity(self) -> bytes | None:
        if calls_python(self.step):
            return None
        held = (self.step, self.keep, self.sequences, self.taps, self.until)
        return digest_operation("scan", (("held", held),))

    def loop(self, node: Apply) -> Loop:
        """The parts of an application."""
        inner, outer, outs = iter(self.inner_inputs), iter(node.inputs), list(node.outputs)
        steps = next(outer)
        sequences = [(next(inner), next(outer)) for _ in range(self.sequences)]
        states = [
            State(tuple(next(inner) for _ in taps), taps, next(outer), new, keep, out)
            for taps, new, keep, out in zip(self.taps, self.inner_outputs, self.keep, outs, strict=False)
        ]
        constants = list(zip(inner, outer, strict=True))
        stacked = list(zip(self.inner_outputs[len(states) :], outs[len(states) :], strict=False))
        return Loop(steps, sequences, states, constants, stacked, self.inner_outputs[-1] if self.until else None)  # type: ignore[arg-type]

    def pullback_of(
        self, node: Apply, grads: Sequence[Variable | None], needed: Sequence[bool]
    ) -> list[Variable | None]:
        from .scan_grad import pullback

        return pullback(self.loop(node), self.truncate, self.name, grads, needed)

    def pullback(self, node: Apply, grads: Sequence[Variable | None]) -> list[Variable | None]:
        return self.pullback_of(node, grads, [True] * len(node.inputs))

    def pushforward(self, node: Apply, tangents: Sequence[Variable | None]) -> list[Variable | None]:
        from .scan_grad import pushforward

        return pushforward(self.loop(node), self.truncate, self.name, tangents)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """The number of steps connects nothing."""
        return [[k > 0] * len(node.outputs) for k in range(len(node.inputs))]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lowered": None}

    def __str__(self) -> str:
        return f"scan{{{self.name}}}" if self.name else "scan"


def make_scan(
    loop: Loop, truncate: int = -1, name: str | None = None, likes: Sequence[Variable | None] = (), prune: bool = True
) -> tuple[list[Variable], list[Variable]]:
    """Applies the loop: (results of the states, stacked values). Sequences and constants that the step does not use are
    left out when `prune`. `likes` names, for stacked values, an inner input of the same lengths."""
    if prune:
        used = set(ancestors(loop.inner_outputs, stop=loop.inner_inputs))
        loop = loop._replace(
            sequences=[p for p in loop.sequences if p[0] in used],
            constants=[p for p in loop.constants if p[0] in used],
        )
    outer = [*(o for _, o in loop.sequences), *(s.initial for s in loop.states), *(o for _, o in loop.constants)]
    outs = apply_op(_declared(loop, truncate, name, likes), [loop.steps, *outer])
    return outs[: len(loop.states)], outs[len(loop.states) :]


def _declared(loop: Loop, truncate: int, name: str | None, likes: Sequence[Variable | None]) -> Scan:
    """The operation, where lengths that only the step itself knows are declared to be those of an inner input."""

    def make(outputs: list[Variable]) -> Scan:
        taps, keep = [s.taps for s in loop.states], [s.keep for s in loop.states]
        return Scan(loop.inner_inputs, outputs, len(loop.sequences), taps, keep, loop.until is not None, truncate, name)

    outputs = loop.inner_outputs
    models = [*(s.inner[-1] for s in loop.states), *likes]
    op = make(outputs)
    fixed = len(loop.inner_inputs) - len(loop.constants)
    changed = False
    for k, (model, out) in enumerate(zip(models, op.step.outputs, strict=False)):
        if model is not None and any(_varies(a, fixed) for a in out.type.axes):
            outputs[k] = op1("alloc", outputs[k], *[shaping.shape_i(model, a) for a in range(model.ndim)])
            changed = True
    return make(outputs) if changed else op


def _varies(length: Node, fixed: int) -> bool:
    """Whether a length in the step depends on a value that changes from step to step (a param before the constants)."""
    return any(n.op == "param" and n.attr("token") < fixed for n in topological([length]))


def inner_leaf(like: Variable, name: str | None = None, drop: int = 0) -> Variable:
    """A fresh inner input with the type of `like` without its first `drop` axes."""
    t = from_ir(like.ir_type)
    if drop:
        t = type(t)(t.dtype, shape=t.shape[drop:])
    return leaf(t, name)


def reachable(loop: Loop, start: Iterable[Variable]) -> set[Variable]:
    """The inner Variables that depend differentiably on the inner inputs in `start`, through earlier steps too. Taps of
    states that do are among them."""
    found = set(start)
    halt = set(loop.inner_inputs)
    order = [v for v in ancestors(loop.inner_outputs, stop=halt) if v not in halt]
    waiting = list(loop.states)
    while True:
        for v in order:
            if v.owner is not None and v.dtype not in DISCRETE and any(i in found for i in v.owner.inputs):
                found.add(v)
        more = [s for s in waiting if s.new in found and s.new.dtype not in DISCRETE]
        if not more:
            return found
        waiting = [s for s in waiting if s not in more]
        for s in more:
            found.update(s.inner)


def steps_run(loop: Loop) -> Variable | None:
    """How many steps the loop ran; None where `until` ends it and no result tells."""
    if loop.until is None:
        return loop.steps
    for s in loop.states:
        if s.keep and s.result is not None:
            return math.sub(shaping.shape_i(s.result, 0), constant(s.depth, dtype="int64"))
    for _, out in loop.stacked:
        if out is not None:
            return shaping.shape_i(out, 0)
    return None


def earlier(history: Variable, depth: int, tap: int) -> Variable:
    """Of a state's history, the values that the steps read at this tap (0: the values they made)."""
    return subtensor(history, slice(depth + tap, tap or None))


def reverse(x: Variable) -> Variable:
    return subtensor(x, slice(None, None, -1))


def draws(loop: Loop) -> list[Variable]:
    """The inner Variables that are drawn from a random state."""
    found = ancestors(loop.inner_outputs, stop=loop.inner_inputs)
    return [v for v in found if v.owner is not None and isinstance(v.owner.op, Primitive) and v.owner.op.name == "draw"]


def is_plain(v: Variable, inputs: set[Variable]) -> bool:
    """Whether an inner output is computed by the step, so that its saved value can stand for it."""
    return v not in inputs and not isinstance(v, Constant)
