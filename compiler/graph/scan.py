"""`scan`: a function of Variables as the step of a loop. Arguments and meanings are Theano's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...runtime.errors import ArgumentError, DTypeError, MissingInputError, ShapeError
from ..ir import lengths
from . import math, shaping
from .arguments import integer, integers, truth
from .indexing import subtensor
from .lowering import trace_of
from .scan_op import Loop, State, inner_leaf, make_scan
from .shared import SharedVariable
from .tensor import as_tensor_variable, constant
from .told import told
from .trace import here
from .variable import Constant, Variable, ancestors, serials


class until:
    """Returned by a step beside its outputs: the loop ends after the step where the condition is true."""

    def __init__(self, condition: Any):
        self.condition = as_tensor_variable(condition)
        if self.condition.ndim:
            raise ShapeError(f"until takes a scalar; {self.condition.describe()} has {self.condition.ndim} dimensions")


class OrderedUpdates(dict):
    """Updates of shared variables: what `function(updates=)` takes. Sums of two are allowed if they agree."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, SharedVariable):
            raise ArgumentError(f"updates change shared variables; {key!r} is not one")
        super().__setitem__(key, value)

    def update(self, other: Any = ()) -> None:  # type: ignore[override]
        for key, value in other.items() if hasattr(other, "items") else other:
            if key in self and self[key] is not value:
                raise ArgumentError(f"two different updates of {key.describe()}")
            self[key] = value

    def __add__(self, other: Any) -> OrderedUpdates:
        out = OrderedUpdates()
        out.update(self)
        out.update(other)
        return out

    def __radd__(self, other: Any) -> OrderedUpdates:
        return OrderedUpdates() + other + self


class Entry(NamedTuple):
    """A sequence at one tap."""

    outer: Variable
    inner: Variable


class Output(NamedTuple):
    """What `outputs_info` says of one output: with no taps it feeds nothing back."""

    initial: Variable | None
    taps: tuple[int, ...]  # as given, the order of fn's arguments
    inner: tuple[Variable, ...]  # in the same order
    returned: int | None  # only so many last steps


@told
def scan(
    fn: Callable,
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: bool | None = None,
    strict: bool = False,
    return_list: bool = False,
) -> tuple[Any, OrderedUpdates]:
    """Runs `fn` step by step; returns (outputs, updates).

    fn(sequence elements.., earlier outputs.., non_sequences..) returns outputs, updates of shared variables, or both,
    and optionally `until(condition)`. sequences: Variables, or dicts with `input` and `taps`; fn gets one argument a
    tap. outputs_info: for each output None, its initial state, or a dict with `initial` and `taps`; with the tap -1
    alone the initial state is the value before the first step, otherwise it has a leading axis of earlier values.
    n_steps: a number or a symbolic integer; by default the shortest sequence decides; a negative one reads backwards.
    truncate_gradient: how many steps gradients go back (-1: all). Outputs are stacked along a leading axis; one output
    comes alone unless `return_list`. The updates hold the last value of every shared variable that the steps change;
    pass them to `function`. What fn uses besides its arguments is a constant of the loop; with `strict` it has to be
    among the non_sequences. mode, profile and allow_gc are accepted and not used.

    Raises ArgumentError, DTypeError, ShapeError, MissingInputError.
    """
    label = f"scan {name!r}" if name else "scan"
    truncate_gradient = integer(truncate_gradient, f"truncate_gradient of {label}")
    if truncate_gradient == 0 or truncate_gradient < -1:
        raise ArgumentError(f"{label}: truncate_gradient is a number of steps or -1, not {truncate_gradient}")
    steps, flip = _steps(n_steps, label)
    entries = _sequences(sequences, truth(go_backwards, f"go_backwards of {label}") != flip, label)
    if steps is None:
        steps = _shortest([e.outer for e in entries], label)
    given = [as_tensor_variable(v) if not isinstance(v, Variable) else v for v in _listed(non_sequences)]
    infos = [_output(o, k, label) for k, o in enumerate(_listed(outputs_info))]

    mark = next(serials)
    arguments = [*(e.inner for e in entries), *(i for o in infos for i in o.inner), *given]
    _check_arity(fn, arguments, label)
    result = fn(*arguments)
    if result is None:
        raise ArgumentError(f"{label}: the step returned None; it returns its outputs, its updates, or both")
    condition, outputs, updates = parse_result(result, label)
    if not infos:
        infos = [Output(None, (), (), None)] * len(outputs)
    if len(infos) != len(outputs):
        raise ArgumentError(
            f"{label}: the step returns {len(outputs)} outputs and outputs_info describes {len(infos)}; write None for "
            "an output that does not feed back"
        )
    return _build(
        steps,
        entries,
        infos,
        outputs,
        updates,
        condition,
        mark,
        given if strict else None,
        label,
        name,
        truncate_gradient,
        return_list,
    )


def _check_arity(fn: Any, arguments: Sequence[Variable], label: str) -> None:
    """A step that does not take what it is given fails with the names of that."""
    if not callable(fn):
        raise ArgumentError(f"{label}: the step is a function, not {fn!r}")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # of a builtin, say
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        given = ", ".join(v.describe() for v in arguments) or "nothing"
        raise ArgumentError(
            f"{label}: the step takes {signature}, and is given {len(arguments)} arguments: {given}; they are "
            "elements of the sequences, earlier outputs (outputs_info), then the non_sequences"
        ) from None


def _listed(x: Any) -> list:
    if x is None:
        return []
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _steps(n_steps: Any, label: str) -> tuple[Variable | None, bool]:
    """(number of steps, whether a negative number turned the direction)."""
    if n_steps is None:
        return None, False
    if isinstance(n_steps, (float, np.floating)):
        raise DTypeError(f"{label}: n_steps is an integer, not {n_steps!r}")
    n = shaping.length_argument(n_steps, f"n_steps of {label}")
    known = lengths.static(lengths.normal(n.node))
    if known is not None and known < 0:
        return constant(-known, dtype="int64"), True
    return n, False


def _sequences(sequences: Any, backwards: bool, label: str) -> list[Entry]:
    out = []
    for k, entry in enumerate(_listed(sequences)):
        taps: Any = [0]
        if isinstance(entry, dict):
            if entry.get("input") is None:
                raise ArgumentError(f"{label}: sequence {k} is a dict without 'input'")
            taps = entry.get("taps", [0])
            taps = integers(_listed(taps), f"a tap of {label}") if taps is not None else [0]
            if not taps:
                raise ArgumentError(f"{label}: sequence {k} has no taps; fn gets one argument a tap")
            entry = entry["input"]
        x = as_tensor_variable(entry)
        if x.ndim == 0:
            raise ShapeError(
                f"{label}: sequence {k}, {x.describe()} : {x.type}, is a scalar; a sequence has a leading axis"
            )
        low, high = min(0, *taps), max(0, *taps)
        for t in taps:
            part = x if low == high else subtensor(x, slice(t - low, (t - high) or None))
            part = subtensor(part, slice(None, None, -1)) if backwards else part
            named = None if x.name is None else f"{x.name}[t]" if t == 0 else f"{x.name}[t{t:+d}]"
            out.append(Entry(part, inner_leaf(part, named, drop=1)))
    return out


def _shortest(outer: Sequence[Variable], label: str) -> Variable:
    if not outer:
        raise ArgumentError(f"{label}: without sequences it needs n_steps, the number of steps")
    found: dict[Any, Variable] = {}
    for x in outer:
        found.setdefault(lengths.normal(x.ir_type.axes[0]), shaping.shape_i(x, 0))
    steps, *rest = found.values()
    for n in rest:
        steps = math.minimum(steps, n)
    return steps


def _output(info: Any, k: int, label: str) -> Output:
    taps: Any = [-1]
    returned = None
    if isinstance(info, dict):
        returned = info.get("return_steps")
        given = info.get("taps")
        if info.get("initial") is None:
            if given:
                raise ArgumentError(f"{label}: output {k} has taps {given} and no initial state; give 'initial'")
            info = None
        else:
            taps = [-1] if given is None else integers(_listed(given), f"a tap of {label}")
            info = info["initial"]
    if returned is not None and (not isinstance(returned, (int, np.integer)) or returned < 1):
        raise ArgumentError(f"{label}: return_steps of output {k} is a positive number, not {returned!r}")
    returned = None if returned is None else int(returned)
    if info is None:
        return Output(None, (), (), returned)
    if not taps or any(t >= 0 for t in taps) or len(set(taps)) != len(taps):
        raise ArgumentError(
            f"{label}: output {k} has taps {taps}; taps of outputs are negative, and each is given once"
        )
    x = as_tensor_variable(info)
    depth = -min(taps)
    if taps == [-1]:
        first = shaping.shape_padleft(x)
    else:
        if x.ndim == 0:
            raise ShapeError(
                f"{label}: the initial state of output {k}, {x.describe()}, is a scalar; with taps {taps} it has a "
                f"leading axis of at least {depth} earlier values"
            )
        known = lengths.static(x.ir_type.axes[0])
        if known is not None and known < depth:
            raise ShapeError(
                f"{label}: the initial state of output {k}, {x.describe()}, holds {known} earlier values; "
                f"taps {taps} need {depth}"
            )
        first = x if known == depth else subtensor(x, slice(0, depth))
        first = shaping.with_lengths(first, [depth] + [None] * (first.ndim - 1))  # fewer are an error of the call
    base = x.name or f"output {k}"
    inner = tuple(inner_leaf(first, f"{base}[t{t}]", drop=1) for t in taps)
    return Output(first, tuple(taps), inner, returned)


def parse_result(result: Any, label: str = "scan") -> tuple[Variable | None, list[Variable], dict]:
    """(condition, outputs, updates) of what a step returned."""

    def is_output(e: Any) -> bool:
        return isinstance(e, (Variable, int, float, complex, np.ndarray, np.generic))

    def is_outputs(e: Any) -> bool:
        return is_output(e) or (isinstance(e, (list, tuple)) and all(is_output(v) for v in e))

    def is_updates(e: Any) -> bool:
        if hasattr(e, "items"):
            return True
        return isinstance(e, (list, tuple)) and all(
            isinstance(p, (list, tuple)) and len(p) == 2 and isinstance(p[0], Variable) for p in e
        )

    def variables(e: Any) -> list[Variable]:
        return [v if isinstance(v, Variable) else as_tensor_variable(v) for v in _listed(e)]

    if result is None:
        return None, [], {}
    if is_outputs(result):
        return None, variables(result), {}
    if is_updates(result):
        return None, [], _by_target(result, label)
    if isinstance(result, until):
        return result.condition, [], {}
    found: list[Any] = [None, None, None]  # outputs, updates, condition: in this order, each at most once
    at = -1
    for part in result if isinstance(result, (list, tuple)) else [result]:
        kind = 0 if is_outputs(part) else 1 if is_updates(part) else 2 if isinstance(part, until) else -1
        if kind == 0 and isinstance(part, (list, tuple)) and not part and at == 0:
            kind = 1  # an empty list of updates
        if kind <= at:
            raise ArgumentError(
                f"{label}: the step returned {result!r}; it returns outputs, updates, until(condition), or a tuple of "
                "them in this order"
            )
        found[kind], at = part, kind
    outputs, updates, condition = found
    return (
        None if condition is None else condition.condition,
        [] if outputs is None else variables(outputs),
        {} if updates is None else _by_target(updates, label),
    )


def _by_target(updates: Any, label: str) -> dict:
    out: dict = {}
    for target, new in updates.items() if hasattr(updates, "items") else updates:
        if target in out:
            named = target.describe() if isinstance(target, Variable) else repr(target)
            raise ArgumentError(f"{label}: updates change {named} twice")
        out[target] = new
    return out


def _build(
    steps: Variable, entries: list[Entry], infos: list[Output], outputs: list[Variable], updates: dict,
    condition: Variable | None, mark: int, allowed: list[Variable] | None, label: str, name: str | None, truncate: int,
    return_list: bool,
) -> tuple[Any, OrderedUpdates]:  # fmt: skip
    """The loop of a step whose graph is known."""
    if condition is not None and condition.dtype != "bool":
        condition = math.neq(condition, constant(0, dtype=condition.dtype))
    states: list[State] = []
    stacked: list[Variable] = []
    places: list[tuple[bool, int]] = []  # of each output: whether it is a state, and which
    for k, (info, new) in enumerate(zip(infos, outputs, strict=True)):
        if info.initial is None:
            places.append((False, len(stacked)))
            stacked.append(new)
            continue
        _check_state(info, new, k, label)
        order = sorted(range(len(info.taps)), key=info.taps.__getitem__)
        taps = tuple(info.taps[i] for i in order)
        places.append((True, len(states)))
        states.append(State(tuple(info.inner[i] for i in order), taps, info.initial, new, True))

    inner = [e.inner for e in entries] + [i for o in infos for i in o.inner]
    roots = [*outputs, *([] if condition is None else [condition])]
    changed = _changed(updates, label)
    explicit = len(changed)
    constants = _captured(roots, inner, changed, mark)
    if allowed is not None:
        _check_strict(constants, allowed, label)
    for s, new in changed.items():
        random = s.ir_type.kind == "random"
        states.append(State((s,), (-1,), s if random else shaping.shape_padleft(s), new, False))

    pairs = [(e.inner, e.outer) for e in entries]
    loop = Loop(steps, pairs, states, [(c, c) for c in constants], [(v, None) for v in stacked], condition)
    results, rows = make_scan(loop, truncate, name)
    final = OrderedUpdates()
    count = len(states) - len(changed)
    for k, (s, r) in enumerate(zip(changed, results[count:], strict=True)):
        last = r if s.ir_type.kind == "random" else subtensor(r, 0)
        final[s] = last
        if k >= explicit and s.serial >= mark:
            s.default_update = last  # made by the step for itself: functions advance it as often as the step ran
    found = []
    for (is_state, k), info in zip(places, infos, strict=True):
        out = results[k] if is_state else rows[k]
        if info.returned == 1:
            out = subtensor(out, -1)
        elif is_state:
            out = subtensor(out, slice(states[k].depth, None))
        if (info.returned or 1) > 1:
            out = subtensor(out, slice(-info.returned, None))  # type: ignore[operator]
        found.append(out)
    if not return_list and len(found) < 2:
        return (found[0] if found else None), final
    return found, final


def _check_state(info: Output, new: Variable, k: int, label: str) -> None:
    initial = info.initial
    assert initial is not None
    what = f"{label}: the initial state of output {k} (outputs_info), {info.inner[0].name!r},"
    if new.dtype != initial.dtype:
        raise DTypeError(
            f"{what} has dtype {initial.dtype}, but the step returns {new.describe()} of dtype {new.dtype} for it (at "
            f"{trace_of(new)}). The step may have widened or narrowed it: cast the initial state "
            f"to {new.dtype}, or what the step returns to {initial.dtype}"
        )
    if new.ndim != initial.ndim - 1:
        raise ShapeError(
            f"{what} is a value of {initial.ndim - 1} dimensions, but the step returns {new.describe()} with "
            f"{new.ndim} for it; "
            + ("with the tap -1 alone the initial state has no leading axis" if info.taps == (-1,) else
               "with several taps the initial state has a leading axis of earlier values")
        )  # fmt: skip
    for a, (have, want) in enumerate(zip(new.type.shape, initial.type.shape[1:], strict=True)):
        if have is not None and want is not None and have != want:
            raise ShapeError(
                f"{what} has length {want} on axis {a}, but the step returns {new.describe()} with length {have} there"
                + ("; weft.tensor.alloc gives an initial state its full shape" if want == 1 else "")
            )


def _changed(updates: dict, label: str) -> dict[SharedVariable, Variable]:
    from .function import _fit

    out: dict[SharedVariable, Variable] = {}
    for s, new in updates.items():
        if not isinstance(s, SharedVariable):
            raise ArgumentError(f"{label}: updates change shared variables; {s!r} is not one (at {here()})")
        out[s] = _fit(new, s, f"{label}: the update of {s.describe()}")
    return out


def _captured(
    roots: list[Variable], inner: list[Variable], changed: dict[SharedVariable, Variable], mark: int
) -> list[Variable]:
    """The outer Variables that the step uses: what was there before it was called. Adds to `changed` the shared
    variables that advance by default updates when they are used.

    An outer expression of a shared variable that the step updates is computed anew in every step, as in Theano; any
    other is one value, computed outside.
    """
    halt = set(inner)
    while True:
        wanted = [*roots, *changed.values()]
        anew = _depending(wanted, halt, set(changed))
        found: dict[Variable, None] = {}
        more: dict[SharedVariable, Variable] = {}
        seen: set[Variable] = set()
        stack = wanted[::-1]
        while stack:
            v = stack.pop()
            if v in seen or v in halt or isinstance(v, Constant) or v in changed:
                continue
            seen.add(v)
            if isinstance(v, SharedVariable):
                if v.default_update is not None:
                    more[v] = v.default_update
                else:
                    found[v] = None
            elif v.owner is None or (v.serial < mark and v not in anew and v.ir_type.kind == "dense"):
                found[v] = None
            else:
                stack.extend(reversed(v.owner.inputs))
        if not more:
            return list(found)
        changed.update(more)


def _depending(roots: list[Variable], halt: set[Variable], on: set[SharedVariable]) -> set[Variable]:
    out: set[Variable] = set(on)  # type: ignore[arg-type]
    if on:
        for v in ancestors(roots, stop=halt):
            if v.owner is not None and v not in halt and any(i in out for i in v.owner.inputs):
                out.add(v)
    return out


def _check_strict(constants: list[Variable], allowed: list[Variable], label: str) -> None:
    missing = [c for c in constants if c not in allowed]
    if missing:
        names = ", ".join(f"{c.describe()} : {c.type}" for c in missing)
        raise MissingInputError(
            f"{label}: with strict=True everything that the step uses is passed to it; non_sequences lack {names}"
        )


@told
def map(
    fn: Callable, sequences: Any, non_sequences: Any = None, truncate_gradient: int = -1, go_backwards: bool = False,
    mode: Any = None, name: str | None = None,
) -> tuple[Any, OrderedUpdates]:  # fmt: skip
    """fn applied to each element."""
    return scan(
        fn,
        sequences,
        [],
        non_sequences,
        truncate_gradient=truncate_gradient,
        go_backwards=go_backwards,
        mode=mode,
        name=name,
    )


@told
def reduce(
    fn: Callable, sequences: Any, outputs_info: Any, non_sequences: Any = None, go_backwards: bool = False,
    mode: Any = None, name: str | None = None,
) -> tuple[Any, OrderedUpdates]:  # fmt: skip
    """The last output of fn applied along the sequences; of no elements the initial state, where there is one."""
    infos: list[Any] = []
    for info in _listed(outputs_info):
        infos.append({**info, "return_steps": 1} if isinstance(info, dict) else {"initial": info, "return_steps": 1})
    if infos:
        return scan(fn, sequences, infos, non_sequences, go_backwards=go_backwards, mode=mode, name=name)
    rows, updates = scan(
        fn, sequences, None, non_sequences, go_backwards=go_backwards, mode=mode, name=name, return_list=True
    )
    last = [subtensor(out, -1) for out in rows]
    return (last if len(last) > 1 else last[0] if last else None), updates


@told
def foldl(
    fn: Callable,
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> Any:
    """`reduce` from the first element."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


@told
def foldr(
    fn: Callable,
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> Any:
    """`reduce` from the last element."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)


__all__ = ["OrderedUpdates", "foldl", "foldr", "map", "parse_result", "reduce", "scan", "until"]
