"""Running a region: an order of its nodes and obligations, made once a region, and a loop over it.

An obligation is checked as soon as its operands are known, and before the node that rests on it. The lengths in a
node's type are computed before the node, so that its value can be held against them.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ....runtime.errors import ArgumentError, DTypeError, InternalError, OutOfMemoryError, ShapeError, WeftError
from ..dtypes import DTYPES, numpy_dtype
from ..lengths import LIMIT
from ..node import Check, Node, Region, binder, is_bound
from ..types import TensorType, TupleType
from .checks import hold
from .values import MEANING, Value

Report = Callable[[Node, Value], None]
After = Callable[[Node, Sequence[Value], Value], Value]
Watch = Callable[["Run", Node, Sequence[Value], Value], None]

ADDRESSES = 1 << 57  # bytes: more than a machine can tell apart


class Hooks(NamedTuple):
    """What is called after every node, those of nested regions included (see `evaluate`)."""

    report: Report | None = None
    after: After | None = None
    watch: Watch | None = None


def evaluate(
    region: Region,
    args: Sequence[Any],
    *,
    report: Report | None = None,
    after: After | None = None,
    watch: Watch | None = None,
) -> list[Any]:
    """The region's outputs for the arguments, as fresh arrays.

    Raises the error of the first obligation that does not hold: ShapeError, BoundsError, ... `report(node, value)` is
    called after every node, those of nested regions included; `after(node, inputs, value)` gives what takes the place
    of a node's value, an array of its dtype and lengths (to see what rounding errors do, say); `watch(run, node,
    inputs, value)` sees in which run of which region it is, and may raise.
    """
    given = _bind(region, args)
    with np.errstate(all="ignore"):
        values = Run(region, given, Hooks(report, after, watch)).outputs()
        try:
            return [_fresh(v) for v in values]
        except MemoryError as e:
            raise OutOfMemoryError(f"no memory for the results: {e}; no shared variable was changed") from e


def _fresh(value: Value) -> Any:
    return np.array(value, order="C") if isinstance(value, np.ndarray) else value.copy()


def _bind(region: Region, args: Sequence[Any]) -> list[Value]:
    """The arguments as values of the params' types: native byte order, any layout. Lengths are checked later."""
    if len(args) != len(region.params):
        raise ArgumentError(f"{len(args)} arguments for a region with {len(region.params)} params")
    out: list[Value] = []
    for k, (arg, param) in enumerate(zip(args, region.params, strict=True)):
        t = param.type
        if t.kind == "csr":
            if getattr(arg, "format", None) != "csr":
                raise DTypeError(f"argument {k} is {type(arg).__name__}, not a matrix in compressed sparse rows")
        else:
            arg = np.asarray(arg)
            if not arg.dtype.isnative:
                arg = arg.astype(arg.dtype.newbyteorder("="))
        if arg.dtype != numpy_dtype(t.dtype):
            raise DTypeError(f"argument {k} is {arg.dtype}, not {t.dtype}")
        if len(arg.shape) != t.ndim:
            raise ShapeError(f"argument {k} has {len(arg.shape)} dimensions, not {t.ndim}")
        if any(n > LIMIT for n in arg.shape):
            raise ShapeError(f"argument {k} has shape {arg.shape}: an axis has at most 2**48 elements")
        out.append(arg)
    return out


class Step(NamedTuple):
    """One node to evaluate or one obligation to check, and the values that are not needed after it."""

    node: Node | None
    check: Check | None
    drop: tuple[Node, ...]


def _lengths(node: Node) -> Iterator[Node]:
    """The lengths that the value of a node is held against, or that evaluating it needs."""
    if is_bound(node):
        target = binder(node)
        if target.op == "scan":  # of values stacked over no steps
            for t in target.type.items:
                yield from t.axes[1:]
        return
    for t in node.type.items if isinstance(node.type, TupleType) else (node.type,):
        yield from t.axes


def _guards(node: Node) -> tuple[Check, ...]:
    return binder(node).checks if is_bound(node) else node.checks


def _needs(node: Node) -> tuple[Node, ...]:
    operands = (o for c in _guards(node) for o in c.operands)
    return (*node.inputs, *_lengths(node), *operands)


_plans: weakref.WeakKeyDictionary[Region, tuple[Step, ...]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def plan(region: Region) -> tuple[Step, ...]:
    with _lock:
        found = _plans.get(region)
    if found is None:
        found = _plan(region)
        with _lock:
            _plans[region] = found
    return found


def _plan(region: Region) -> tuple[Step, ...]:
    order: list[Node | Check] = []
    seen: set[Node] = set()
    held: set[tuple] = set()

    def oblige(check: Check) -> None:
        if (check.kind, check.operands) not in held:
            held.add((check.kind, check.operands))
            order.append(check)

    def visit(root: Node) -> None:
        if root in seen:
            return
        seen.add(root)
        stack = [(root, _needs(root), 0)]
        while stack:
            node, needs, k = stack.pop()
            while k < len(needs) and needs[k] in seen:
                k += 1
            if k < len(needs):
                stack.append((node, needs, k + 1))
                seen.add(needs[k])
                stack.append((needs[k], _needs(needs[k]), 0))
            else:
                for c in _guards(node):
                    oblige(c)
                order.append(node)

    for p in region.params:
        visit(p)
    for c in region.checks:
        for o in c.operands:
            visit(o)
        oblige(c)
    for o in region.outputs:
        visit(o)

    last: dict[Node, int] = {}
    for k, entry in enumerate(order):
        for n in (entry, *_needs(entry)) if isinstance(entry, Node) else entry.operands:
            last[n] = k
    for n in region.outputs:
        last.pop(n, None)
    drops: dict[int, list[Node]] = {}
    for n, k in last.items():
        drops.setdefault(k, []).append(n)
    return tuple(
        Step(e, None, tuple(drops.get(k, ()))) if isinstance(e, Node) else Step(None, e, tuple(drops.get(k, ())))
        for k, e in enumerate(order)
    )


class Within(NamedTuple):
    """Where a run of a nested region stands."""

    run: Run
    node: Node
    step: int | None


class Run:
    """One evaluation of one region. The meanings of leaves and of operations with regions ask it for what they need."""

    def __init__(self, region: Region, args: Sequence[Value], hooks: Hooks, within: Within | None = None):
        self.region, self.args, self.hooks, self.within = region, args, hooks, within
        self.values: dict[Node, Value] = {}
        self.bound: dict[Node, Value] = {}  # what operations that bind lengths gave: each runs only once
        self.steps: dict[Node, int] = {}  # steps that each scan ran

    def outputs(self) -> list[Value]:
        for node, check, drop in plan(self.region):
            if node is not None:
                self._evaluate(node)
            elif check is not None:
                hold(check, [self.values[o] for o in check.operands])
            for n in drop:
                del self.values[n]
        return [self.values[o] for o in self.region.outputs]

    def _evaluate(self, node: Node) -> None:
        inputs = [self.values[i] for i in node.inputs]
        try:
            binds = node.definition.binds
            if not binds or (node.op == "scan" and not node.attr("until")):
                self._room(node)
            value = self.bind(node, inputs) if binds else MEANING[node.op](node, inputs, self)
        except MemoryError as e:
            if isinstance(e, WeftError):
                raise
            raise self._lacks(node, str(e)) from e
        except WeftError as e:
            if not hasattr(e, "node"):
                e.node, e.region = node, self.region  # type: ignore[attr-defined]
            raise
        if isinstance(node.type, TensorType):
            value = self._conform(node, node.type, value)
        else:
            value = tuple(self._conform(node, t, v) for t, v in zip(node.type.items, value, strict=True))
        report, after, watch = self.hooks
        if after is not None:
            value = after(node, inputs, value)
        self.values[node] = value
        if report is not None:
            report(node, value)
        if watch is not None:
            watch(self, node, inputs, value)

    def _room(self, node: Node) -> None:
        """No machine has ADDRESSES bytes; NumPy counts an empty axis as one of length 1. A loop is not to run first."""
        for t in node.type.items if isinstance(node.type, TupleType) else (node.type,):
            if len(t.axes) and t.kind != "csr":
                shape = tuple(map(self.length, t.axes))
                if abs(math.prod(n or 1 for n in shape)) * DTYPES[t.dtype].itemsize >= ADDRESSES:
                    raise self._lacks(node, f"an array of {t.dtype} with shape {shape}")

    def _lacks(self, node: Node, what: str) -> OutOfMemoryError:
        error = OutOfMemoryError(f"no memory for the value of {node.op}: {what}; no shared variable was changed")
        error.node = node  # type: ignore[attr-defined]
        return error

    def _conform(self, node: Node, t: TensorType, value: Value) -> Value:
        if t.kind != "csr":
            value = np.asarray(value)
        lengths = tuple(map(self.length, t.axes))
        if value.dtype != numpy_dtype(t.dtype) or value.shape != lengths:
            if node.op == "param":
                raise ShapeError(f"argument {node.attr('token')} has shape {value.shape}, not {lengths}")
            is_ = f"{value.dtype}{value.shape}"
            raise InternalError(f"the value of {node!r} is {is_}, its type says {t.dtype}{lengths}")
        return value

    def bind(self, node: Node, inputs: Sequence[Value]) -> Value:
        """The result of an operation that binds lengths."""
        if node not in self.bound:
            self.bound[node] = MEANING[node.op](node, inputs, self)
        return self.bound[node]

    def nested(self, region: Region, args: Sequence[Value], node: Node, step: int | None = None) -> list[Value]:
        """The outputs of a region of a node, in a step of it if it is a loop."""
        return Run(region, args, self.hooks, Within(self, node, step)).outputs()

    def length(self, node: Node) -> int:
        return int(self.values[node])

    def argument(self, param: Node) -> Value:
        token = param.attr("token")
        if token not in range(len(self.args)) or self.region.params[token] is not param:
            raise InternalError(f"{param!r} is not a param of this region")
        return self.args[token]

    def dim(self, token: Any, axis: int) -> int:
        if token not in range(len(self.args)):
            raise InternalError(f"dim of {token!r}, which is not a param of this region")
        return self.args[token].shape[axis]
