"""Derivatives of scan. Both are scans again, so derivatives of any order follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir import lengths
from ..ir.dtypes import DISCRETE
from . import math, shaping
from .indexing import subtensor
from .scan_op import (
    Loop,
    State,
    draws,
    earlier,
    inner_leaf,
    is_plain,
    make_scan,
    reachable,
    reverse,
    steps_run,
)  # fmt: skip
from .tensor import constant
from .variable import Variable, ancestors, op1

Given = Sequence[Variable | None]


def pullback(
    loop: Loop, truncate: int, name: str | None, grads: Given, needed: Sequence[bool]
) -> list[Variable | None]:
    """Backpropagation through time: a loop from the last step to the first.

    Its states are pending[i] of each state, i = 1..depth: what later steps contributed to the adjoint of h[t + 1 - i].
    In the step of time t the adjoint of h[t] is its own gradient plus pending[1]; the step's pullback contributes to
    h[t + tap]; then pending[i] becomes pending[i + 1] plus the contribution to h[t - i]. What is pending at the end
    belongs to the initial values. Gradients of constants add up in states of which only the last value is kept.
    """
    from ..grad import fit
    from ..grad.reverse import NullGradient, propagate

    wanted = _wanted(loop, needed)
    reach = reachable(loop, wanted)
    state_grads, stack_grads = list(grads[: len(loop.states)]), list(grads[len(loop.states) :])
    active = _active(loop, reach, state_grads, stack_grads)
    if not active and all(g is None or v not in reach for (v, _), g in zip(loop.stacked, stack_grads, strict=True)):
        return [None] * len(needed)

    # The gradients that arrive at each step, and the pending ones.
    sequences: list[tuple[Variable, Variable]] = []
    start: dict[Variable, Variable] = {}
    pending: dict[int, list[Variable]] = {}
    initial: dict[int, list[Variable]] = {}
    for k in active:
        s, g = loop.states[k], state_grads[k]
        pending[k] = [inner_leaf(s.initial, f"pending {i + 1}", drop=1) for i in range(s.depth)]
        if s.keep or g is None:
            initial[k] = [fit.zeros(subtensor(s.initial, slice(0, 1)))] * s.depth
        else:
            initial[k] = [subtensor(g, slice(i, i + 1)) for i in reversed(range(s.depth))]
        adjoint = pending[k][0]
        if s.keep and g is not None:
            adjoint = math.add(adjoint, _arrives(sequences, reverse(earlier(g, s.depth, 0))))
        _contribute(start, s.new, adjoint)
    for (v, _), g in zip(loop.stacked, stack_grads, strict=True):
        if g is not None and v in reach:
            _contribute(start, v, _arrives(sequences, reverse(g)))

    targets = [i for i in loop.inner_inputs if i in reach]
    made, _ = propagate(start, targets, loop.inner_inputs, "return")
    found = {v: g for v, g in made.items() if not isinstance(g, NullGradient)}
    nulls: dict[Variable, Any] = {v: made[v] for v in targets if v in made and v not in found}
    for s in loop.states:  # what a state lacks in one step is missing everywhere in those before
        null = next((nulls[v] for v in s.inner if v in nulls), None)
        if null is not None:
            return [None, *(null if any(v in reach for v in inner) else None for inner in _inner(loop))]

    states: list[State] = []
    for k in active:
        s = loop.states[k]
        at = dict(zip(s.taps, s.inner, strict=True))
        for i in range(s.depth):
            parts = [pending[k][i + 1]] if i + 1 < s.depth else []
            if at.get(-i - 1) in found:
                parts.append(found[at[-i - 1]])
            new = fit.total(parts) if parts else fit.zeros(pending[k][i])
            states.append(State((pending[k][i],), (-1,), initial[k][i], new, False))
    sums = [(k, i, o) for k, (i, o) in enumerate(loop.constants) if i in found]
    for _, v, o in sums:
        total = inner_leaf(o, "gradient so far")
        nothing = shaping.shape_padleft(fit.zeros(o))
        states.append(State((total,), (-1,), nothing, math.add(total, found[v]), False))
    along = [(k, i, o) for k, (i, o) in enumerate(loop.sequences) if i in found]
    stacked: list[tuple[Variable, Variable | None]] = [(found[v], None) for _, v, _ in along]

    outputs = [*(s.new for s in states), *(v for v, _ in stacked)]
    if not outputs:
        return [None, *(nulls.get(inner[0]) for inner in _inner(loop))]
    saved, given, constants = _saved(loop, name, [*outputs, *(i for _, i, _ in along)])
    steps = steps_run(saved)
    assert steps is not None
    count = steps if truncate < 0 else math.minimum(steps, constant(truncate, dtype="int64"))
    back = Loop(count, [*sequences, *given], states, constants, stacked, None)
    last, rows_of = make_scan(back, -1, f"gradient of {name or 'scan'}", [i for _, i, _ in along])

    out: list[Variable | None] = [None] * len(needed)
    for (k, _, o), rows in zip(along, rows_of, strict=True):
        out[1 + k] = _placed(reverse(rows), o, steps, count)
    base = 1 + len(loop.sequences)
    results = iter(last)
    for k in active:
        s, g = loop.states[k], state_grads[k]
        whole = shaping.concatenate([next(results) for _ in range(s.depth)][::-1])
        if truncate >= 0:
            whole = math.switch(math.eq(count, steps), whole, fit.zero(whole))
        if s.keep and g is not None:
            whole = math.add(whole, subtensor(g, slice(0, s.depth)))
        out[base + k] = whole
    base += len(loop.states)
    for k, _, _ in sums:
        out[base + k] = subtensor(next(results), 0)
    for k, inner in enumerate(_inner(loop), 1):
        out[k] = nulls.get(inner[0], out[k])
    return [g if need else None for g, need in zip(out, needed, strict=True)]


def _inner(loop: Loop) -> list[tuple[Variable, ...]]:
    """The inner inputs of each outer input but the number of steps."""
    return [*((i,) for i, _ in loop.sequences), *(s.inner for s in loop.states), *((i,) for i, _ in loop.constants)]


def _wanted(loop: Loop, needed: Sequence[bool]) -> list[Variable]:
    """The inner inputs of the needed outer inputs that have a gradient."""
    found: list[Variable] = []
    for inner, flag in zip(_inner(loop), needed[1:], strict=True):
        if flag and inner[0].dtype not in DISCRETE:
            found.extend(inner)
    return found


def _active(loop: Loop, reach: set[Variable], state_grads: Given, stack_grads: Given) -> list[int]:
    """The states that have an adjoint: a gradient arrives at them, at once or by later steps, and leads somewhere."""
    owner_of = {i: k for k, s in enumerate(loop.states) for i in s.inner}
    halt = set(loop.inner_inputs)
    leads = [s.initial.dtype not in DISCRETE and any(i in reach for i in s.inner) for s in loop.states]
    active: dict[int, None] = {}
    seen: set[Variable] = set()

    def enter(k: int) -> None:
        if leads[k] and k not in active:
            active[k] = None
            stack.append(loop.states[k].new)

    stack: list[Variable] = [v for (v, _), g in zip(loop.stacked, stack_grads, strict=True) if g is not None]
    for k, g in enumerate(state_grads):
        if g is not None:
            enter(k)
    while stack:
        v = stack.pop()
        if v in seen or v not in reach:
            continue
        seen.add(v)
        if v in owner_of:
            enter(owner_of[v])
        if v not in halt and v.owner is not None:
            stack.extend(v.owner.inputs)
    return sorted(active)


def _arrives(sequences: list[tuple[Variable, Variable]], g: Variable) -> Variable:
    inner = inner_leaf(g, "gradient", drop=1)
    sequences.append((inner, g))
    return inner


def _contribute(start: dict[Variable, Variable], v: Variable, g: Variable) -> None:
    from ..grad import fit

    g = fit.fit_gradient(g, v)
    start[v] = math.add(start[v], g) if v in start else g


def _placed(rows: Variable, sequence: Variable, steps: Variable, count: Variable) -> Variable:
    """The gradient of a sequence: zeros for the elements that the truncated loop and the loop itself did not read."""
    length = shaping.shape_i(sequence, 0)
    parts = [rows]
    for n, at in ((math.sub(steps, count), 0), (math.sub(length, steps), None)):
        if lengths.static(lengths.normal(n.node)) == 0:
            continue
        zeros = shaping.zeros([n, *[shaping.shape_i(rows, a) for a in range(1, rows.ndim)]], dtype=rows.dtype)
        parts.insert(len(parts) if at is None else at, zeros)
    return shaping.concatenate(parts) if len(parts) > 1 else rows


def _saved(
    loop: Loop, name: str | None, outputs: Sequence[Variable]
) -> tuple[Loop, list[tuple[Variable, Variable]], list[tuple[Variable, Variable]]]:
    """What `outputs`, new inner Variables over the step's own, read of the forward loop: (the loop whose results
    hold it, sequences, constants). The loop runs again where its results do not hold what is read."""
    inputs = set(loop.inner_inputs)
    random = any(s.random for s in loop.states)
    drawn = [v for v in draws(loop) if v not in inputs and _is_even(v)] if random else []
    kept = [s.new for s in loop.states if s.keep and is_plain(s.new, inputs)]
    kept += [v for v, _ in loop.stacked if is_plain(v, inputs)]
    heavy = _heavy(loop, outputs, [*inputs, *kept, *drawn])
    used = set(ancestors(outputs, stop=[*inputs, *kept, *drawn, *heavy]))
    lost = any(not s.keep and not s.random and any(i in used for i in s.inner) for s in loop.states)
    more = [*heavy, *(v for v in drawn if v in used and v not in kept)]
    # What draws inside, a loop or a branch, or other numbers of values in each step, draws again: from the state that
    # this step began with.
    begun = {op1("state_words", s.inner[0]): s.inner[0] for s in loop.states if s.random and s.inner[0] in used}
    more += begun
    if lost or more or steps_run(loop) is None:
        loop = _again(loop, name, more)
        kept += [s.new for s in loop.states if s.keep and is_plain(s.new, inputs)]
    given, constants = _reads(loop, used, backwards=True)
    given += [(begun[v], reverse(out)) for v, out in loop.stacked if v in begun and out is not None]
    return loop, given, constants


def _heavy(loop: Loop, outputs: Sequence[Variable], halt: Sequence[Variable]) -> list[Variable]:
    """Of the step's own values that `outputs` read, those that the forward loop had better keep: to compute a product,
    a fold or a loop again costs more than to read what it gave. What is kept is the last value of as many elements
    through which alone it is read: of `given + dot(h, w)` the sum, so that `given` is not read again."""
    own = set(ancestors(loop.inner_outputs, stop=loop.inner_inputs)) - {*loop.inner_inputs, *halt}
    heavy = [v for v in own if _is_heavy(v)]
    if not heavy:
        return []
    between = ancestors(outputs, stop=[*halt, *heavy])
    readers: dict[Variable, list[Variable]] = {}
    for v in between:
        if v.owner is not None:
            for i in dict.fromkeys(v.owner.inputs):
                readers.setdefault(i, []).append(v)
    found: dict[Variable, None] = {}
    for v in between:
        if not _is_heavy(v) or v not in own:
            continue
        while len(above := readers.get(v, [])) == 1 and above[0] in own and _stands_for(above[0], v):
            v = above[0]
        found[v] = None
    return list(found)


def _is_heavy(v: Variable) -> bool:
    """Whether a value takes more than a pass over its elements to compute, and can be kept: its lengths are the same in
    every step, and none is made of others (cut off from them, it could no longer be seen to be 1, say)."""
    n = v.node.inputs[0] if v.node.op == "item" else v.node
    if n.family not in ("procedural", "control", "reduce") or v.ir_type.kind != "dense":
        return False
    return _is_even(v)


def _is_even(v: Variable) -> bool:
    return all(a.op in ("const", "dim") for a in v.ir_type.axes)


def _stands_for(new: Variable, v: Variable) -> bool:
    """Whether a value has as many elements as one that it is computed from."""
    same = new.dtype == v.dtype and new.broadcastable == v.broadcastable
    return same and new.node.family == "elementwise"


def _reads(
    loop: Loop, used: set[Variable], backwards: bool = False
) -> tuple[list[tuple[Variable, Variable]], list[tuple[Variable, Variable]]]:
    """The inner Variables in `used` as sequences over what the loop was given and gave, and as constants."""
    inputs = set(loop.inner_inputs)
    given: dict[Variable, Variable] = {}
    run = steps_run(loop) if backwards else None

    def read(inner: Variable, values: Variable) -> None:
        if inner in used:
            given[inner] = reverse(values) if backwards else values

    for inner, outer in loop.sequences:
        read(inner, outer if run is None or _has_length(outer, run) else subtensor(outer, slice(None, run)))
    for s in loop.states:
        assert s.result is not None
        if not s.keep:
            continue
        for tap, inner in zip(s.taps, s.inner, strict=True):
            read(inner, earlier(s.result, s.depth, tap))
        if is_plain(s.new, inputs):
            read(s.new, earlier(s.result, s.depth, 0))
    for v, out in loop.stacked:
        if is_plain(v, inputs) and out is not None:
            read(v, out)
    return list(given.items()), [(i, o) for i, o in loop.constants if i in used]


def _has_length(x: Variable, n: Variable) -> bool:
    return lengths.normal(n.node) is x.node.type.axes[0]


def _again(loop: Loop, name: str | None, more: Sequence[Variable]) -> Loop:
    """The same loop with every history kept and more values stacked."""
    states = [s._replace(keep=not s.random) for s in loop.states]
    stacked = [*loop.stacked, *((v, None) for v in more)]
    changed = loop._replace(states=states, stacked=stacked)
    results, rows = make_scan(changed, -1, name, prune=False)
    return changed._replace(
        states=[s._replace(result=r) for s, r in zip(states, results, strict=True)],
        stacked=[(v, r) for (v, _), r in zip(stacked, rows, strict=True)],
    )


def pushforward(loop: Loop, truncate: int, name: str | None, tangents: Given) -> list[Variable | None]:
    """The loop of the tangents. The values themselves come from the saved histories; states of which no history is kept
    run along."""
    from ..grad import fit
    from ..grad.forward import push

    outer = [*(o for _, o in loop.sequences), *(s.initial for s in loop.states), *(o for _, o in loop.constants)]
    given = [
        None if t is None or o.dtype in DISCRETE else fit.fit_tangent(t, o)
        for t, o in zip(tangents[1:], outer, strict=True)
    ]
    ns, nt = len(loop.sequences), len(loop.states)
    moving = {i for (i, _), t in zip(loop.sequences, given[:ns], strict=True) if t is not None}
    moving |= {i for s, t in zip(loop.states, given[ns : ns + nt], strict=True) if t is not None for i in s.inner}
    moving |= {i for (i, _), t in zip(loop.constants, given[ns + nt :], strict=True) if t is not None}
    reach = reachable(loop, moving)
    out: list[Variable | None] = [None] * (nt + len(loop.stacked))
    active = [
        k for k, s in enumerate(loop.states) if s.initial.dtype not in DISCRETE and any(i in reach for i in s.inner)
    ]
    rows = [k for k, (v, _) in enumerate(loop.stacked) if v in reach and v.dtype not in DISCRETE]
    if not active and not rows:
        return out

    inner = {i: inner_leaf(i, "tangent") for i in loop.inner_inputs if i in reach}
    found: dict[Variable, Variable] = dict(inner)
    push(loop.inner_outputs, found, stop=loop.inner_inputs)
    states: list[State] = []
    for k in active:
        s, t = loop.states[k], given[ns + k]
        taps = tuple(inner[i] for i in s.inner)
        new = found.get(s.new)
        new = fit.zeros(taps[-1]) if new is None else new
        states.append(State(taps, s.taps, fit.zeros(s.initial) if t is None else t, new, s.keep))
    stacked: list[tuple[Variable, Variable | None]]
    stacked = [(found[loop.stacked[k][0]], None) for k in rows if loop.stacked[k][0] in found]
    rows = [k for k in rows if loop.stacked[k][0] in found]
    outputs = [*(s.new for s in states), *(v for v, _ in stacked)]

    steps = steps_run(loop)
    until = loop.until if steps is None else None
    beside, read, constants = _beside(loop, [*outputs, *([] if until is None else [until])])
    sequences = [(inner[i], t) for (i, _), t in zip(loop.sequences, given[:ns], strict=True) if t is not None]
    constants += [(inner[i], t) for (i, _), t in zip(loop.constants, given[ns + nt :], strict=True) if t is not None]
    moved = Loop(
        loop.steps if steps is None else steps, [*sequences, *read], [*states, *beside], constants, stacked, until
    )
    likes = [None] * len(stacked)
    results, tops = make_scan(moved, truncate, f"forward derivative of {name or 'scan'}", likes)
    for k, r in zip(active, results, strict=False):
        out[k] = r
    for k, r in zip(rows, tops, strict=True):
        out[nt + k] = r
    return out


def _beside(
    loop: Loop, outputs: Sequence[Variable]
) -> tuple[list[State], list[tuple[Variable, Variable]], list[tuple[Variable, Variable]]]:
    """States that run along since no history of them is kept, and the sequences and constants read."""
    along: list[State] = []
    while True:
        roots = [*outputs, *(s.new for s in along)]
        inputs = set(loop.inner_inputs)
        kept = [s.new for s in loop.states if s.keep and is_plain(s.new, inputs)]
        kept += [v for v, _ in loop.stacked if is_plain(v, inputs)]
        used = set(ancestors(roots, stop=[*inputs, *kept]))
        more = [s for s in loop.states if not s.keep and s not in along and any(i in used for i in s.inner)]
        if not more:
            break
        along += more
    return along, *_reads(loop, used)
