"""Operations in Python of the user's: subclasses of `Op` with `perform`, and the decorator `as_op`.

Both lower to the one IR operation that enters Python, `host_call`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from types import CodeType
from typing import Any

import numpy as np

from ...runtime.callable import as_numbers
from ...runtime.errors import ArgumentError, DTypeError, ShapeError
from ..ir.dtypes import numpy_dtype
from ..ir.node import Node, build
from ..ir.ops.procedural import HostFunction
from .arguments import representable
from .shaping import with_lengths
from .tensor import as_tensor_variable
from .told import told
from .types import TensorType
from .variable import Apply, Op, variable_class, where


def run_perform(owner: Apply, args: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Calls the user's `perform` and checks what it stored against the declared types."""
    storage: list[list[Any]] = [[None] for _ in owner.outputs]
    owner.op.perform(owner, list(args), storage)  # type: ignore[attr-defined]
    outs = []
    for k, (cell, out) in enumerate(zip(storage, owner.outputs, strict=True)):
        t = out.type
        if cell[0] is None:
            raise ArgumentError(f"perform of {owner.op} left output {k} empty; set outputs[{k}][0]{_at(owner)}")
        value = np.asarray(cell[0])
        if value.dtype != numpy_dtype(t.dtype):
            raise DTypeError(
                f"perform of {owner.op} gave {value.dtype} for output {k}, which is declared {t.dtype}; "
                f"convert it there, or declare the other type{_at(owner)}"
            )
        if value.ndim != t.ndim:
            raise ShapeError(
                f"perform of {owner.op} gave shape {value.shape} for output {k}, which is declared with {t.ndim} "
                f"dimensions{_at(owner)}"
            )
        if any(want not in (None, n) for n, want in zip(value.shape, t.shape, strict=True)):
            raise ShapeError(
                f"perform of {owner.op} gave shape {value.shape} for output {k}, which is declared {t}{_at(owner)}"
            )
        outs.append(np.ascontiguousarray(value).reshape(value.shape))
    return outs


def _at(owner: Apply) -> str:
    return where(owner.op.title, owner.inputs, owner.trace)


def defined(op: Op) -> str:
    """Where the Python of an operation is defined and what its code does, without files and line numbers."""
    function = getattr(op, "fn", None) or type(op).perform  # type: ignore[attr-defined]
    parts = [getattr(function, "__module__", ""), getattr(function, "__qualname__", type(function).__qualname__)]
    codes = [c for c in [getattr(function, "__code__", None)] if c is not None]
    while codes:
        code = codes.pop()
        parts += [code.co_code.hex(), repr(code.co_names)]
        for c in code.co_consts:
            if isinstance(c, CodeType):
                codes.append(c)
            else:
                parts.append(repr(sorted(map(repr, c)) if isinstance(c, frozenset) else c))
    return "\n".join(map(str, parts))


def lower_host(owner: Apply, inputs: Sequence[Node] | None = None) -> list[Node]:
    """The `host_call` of a user's Apply and its projections."""
    nodes = [v.node for v in owner.inputs] if inputs is None else list(inputs)
    if not hasattr(owner.op, "perform"):
        raise ArgumentError(f"{owner.op} has no perform, so it cannot run")
    tag: Any = owner.tag
    callee = getattr(tag, "callee", None)
    if callee is None:
        callee = tag.callee = HostFunction(str(owner.op), partial(run_perform, _apart(owner)), defined(owner.op))
    call = build(
        "host_call",
        *nodes,
        callee=callee,
        dtypes=tuple(o.dtype for o in owner.outputs),
        ndims=tuple(o.ndim for o in owner.outputs),
        like=tuple(_like(owner)),
    )
    items = [build("item", call, index=k) for k in range(len(owner.outputs))]
    return [_as_declared(n, o.type) for n, o in zip(items, owner.outputs, strict=True)]


def _as_declared(node: Node, t: TensorType) -> Node:
    """With the lengths that the type declares: what is broadcast, and computed, relies on them."""
    return with_lengths(variable_class(node)(node), t.shape).node


def _apart(owner: Apply) -> Apply:
    """What `perform` is given for an Apply: one with outputs of its own, that have no nodes. The nodes of the others
    are made of the callee, so a callee that held them would live for good, in the table that finds them by it."""
    made = Apply.__new__(Apply)
    made.op, made.inputs, made.trace, made._tag = owner.op, owner.inputs, owner.trace, owner.tag
    made.outputs = [o.type(o.name) for o in owner.outputs]
    for k, out in enumerate(made.outputs):
        out.owner, out.index = made, k
    return made


class _ShapeOf(tuple):
    """Marks an input's shape while `infer_shape` runs, so that an output that copies it can be told."""


def _like(owner: Apply) -> list[int | None]:
    """For each output the input whose shape `infer_shape` says it has, where it says so plainly."""
    infer = getattr(owner.op, "infer_shape", None)
    if infer is None:
        return [None] * len(owner.outputs)
    shapes = [_ShapeOf((k, a) for a in range(v.ndim)) for k, v in enumerate(owner.inputs)]
    try:
        found = [tuple(s) for s in infer(owner, shapes)]
    except (TypeError, ValueError, AttributeError, LookupError, NotImplementedError):
        return [None] * len(owner.outputs)  # it computes with the lengths, or has none; they are known when it has run
    if len(found) != len(owner.outputs):
        count = len(owner.outputs)
        raise ArgumentError(f"infer_shape of {owner.op} gave {len(found)} shapes; it has {count} outputs{_at(owner)}")
    out: list[int | None] = []
    for o, s in zip(owner.outputs, found, strict=True):
        match = [k for k, known in enumerate(shapes) if s == tuple(known) and known]
        out.append(match[0] if match and owner.inputs[match[0]].ndim == o.ndim else None)
    return out


class FromFunctionOp(Op):
    """What `as_op` makes: a function of NumPy arrays with declared types. It has no gradient, as Theano's."""

    def __init__(
        self, fn: Callable, itypes: Sequence[TensorType], otypes: Sequence[TensorType], infer_shape: Callable | None
    ):
        self.fn, self.itypes, self.otypes = fn, tuple(itypes), tuple(otypes)
        if infer_shape is not None:
            self.infer_shape = infer_shape
        self.__name__ = getattr(fn, "__name__", "as_op")
        self.__module__ = getattr(fn, "__module__", "")  # where pickle looks for its name

    def make_node(self, *inputs: Any) -> Apply:
        if len(inputs) != len(self.itypes):
            raise ArgumentError(f"{self} takes {len(self.itypes)} arguments, not {len(inputs)}")
        given = [as_tensor_variable(x) for x in inputs]
        for k, (x, t) in enumerate(zip(given, self.itypes, strict=True)):
            if x.dtype != t.dtype or x.ndim != t.ndim:
                raise DTypeError(f"argument {k} of {self} is {x.describe()} : {x.type}; it is declared {t}")
        return Apply(self, given, [t() for t in self.otypes])

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By the name that the decorator has left it under; else as any object, which needs a function with a name."""
        name = getattr(self.fn, "__qualname__", "")
        try:
            named = attrgetter(name)(sys.modules.get(self.__module__)) is self
        except AttributeError:
            named = False
        return name if named else super().__reduce_ex__(protocol)

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        result = self.fn(*inputs)
        results = result if isinstance(result, (list, tuple)) else [result]
        if len(results) != len(outputs):
            raise ArgumentError(f"{self} returned {len(results)} values; {len(outputs)} are declared")
        for cell, value, t in zip(outputs, results, self.otypes, strict=True):
            cell[0] = value if value is None or isinstance(value, np.ndarray) else self._converted(value, t)

    def _converted(self, value: Any, t: TensorType) -> np.ndarray:
        """A number or a list in the declared dtype, where that has it; otherwise as it is, for the error to name."""
        array, want = as_numbers(value, f"{self} is declared to give {t}"), numpy_dtype(t.dtype)
        return array.astype(want) if array.dtype != want and representable(array, want) else array

    def __str__(self) -> str:
        return f"as_op({self.__name__})"


@told
def as_op(itypes: Any, otypes: Any, infer_shape: Callable | None = None) -> Callable[[Callable], FromFunctionOp]:
    """Decorator: a Python function of NumPy arrays as an operation, with the types of its arguments and results."""
    ins = list(itypes) if isinstance(itypes, (list, tuple)) else [itypes]
    outs = list(otypes) if isinstance(otypes, (list, tuple)) else [otypes]
    for t in ins + outs:
        if not isinstance(t, TensorType):
            raise ArgumentError(f"as_op takes types such as weft.tensor.dvector, not {t!r}")

    def wrap(fn: Callable) -> FromFunctionOp:
        return FromFunctionOp(fn, ins, outs, infer_shape)

    return wrap


__all__ = ["FromFunctionOp", "as_op", "lower_host", "run_perform"]
