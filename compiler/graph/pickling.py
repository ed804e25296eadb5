"""Pickling and deep copies of graphs, without recursion over them.

Each Variable and each Apply is pickled as an object of its own, so that what is one object stays one. Left to itself a
pickler would descend from an output to the inputs, one Python frame a node. So the first Variable of a dump comes with
the list of everything it depends on, inputs first: when the pickler reaches an element of that list, the element's
inputs lie in its memo already. Those elements are marked, in a session, to come without a list of their own.

A session lives as long as the pickler's memo, which holds the end mark of each list. Marks of another dump cost some
nesting at most, never correctness: an element without its list is complete, its inputs are pickled on the way.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from ..ir.node import constant as ir_constant
from .shared import SharedVariable
from .sparse import SparseSharedVariable
from .trace import Trace
from .types import TensorType, fresh_token, param
from .variable import (
    Apply,
    Constant,
    Op,
    Primitive,
    Variable,
    bind_outputs,
    constant_class,
    outputs_of,
    primitive,
    variable_class,
)

_local = threading.local()


class Session:
    """What one pickler was told of so far: `known` is everything listed, `waiting` what it has not come to yet."""

    __slots__ = ("__weakref__", "known", "waiting")

    def __init__(self) -> None:
        self.known: set[Variable] = set()
        self.waiting: set[Variable] = set()


class End:
    """Stands at the end of a list of Variables: all before it are in the pickler's memo. It keeps the session."""

    __slots__ = ("listed", "session")

    def __init__(self, session: Session, listed: list[Variable]):
        self.session, self.listed = session, listed

    def __reduce_ex__(self, protocol):
        self.session.waiting.difference_update(self.listed)
        return _nothing, ()


def _nothing() -> None:
    return None


def reduce_variable(v: Variable) -> tuple:
    """What `Variable.__reduce_ex__` returns."""
    ref = getattr(_local, "session", None)
    session: Session | None = ref() if ref is not None else None
    if session is not None and v in session.waiting:
        session.waiting.discard(v)
        return _alone(v)
    if session is None or v in session.known:
        # A Variable that a pickler asks for twice is asked for by two picklers.
        session = Session()
        _local.session = weakref.ref(session)
    before = _listed(v, session.known)
    session.known.add(v)
    if not before:
        return _alone(v)
    session.known.update(before)
    session.waiting.update(before)
    function, args, state = _alone(v)
    return _after, (before, End(session, before), function, *args), state


def _after(before: list, end: None, function: Any, *args: Any) -> Variable:
    return function(*args)


def _listed(v: Variable, known: set[Variable]) -> list[Variable]:
    """What v depends on, inputs first, as far as it is not known; and the other outputs of each Apply on the way."""
    seen: set[Variable] = {v}
    order: list[Variable] = []
    stack: list[tuple[Variable, int]] = [(v, 0)]
    while stack:
        w, k = stack.pop()
        inputs = w.owner.inputs if w.owner is not None else ()
        while k < len(inputs) and (inputs[k] in seen or inputs[k] in known):
            k += 1
        if k < len(inputs):
            stack.append((w, k + 1))
            seen.add(inputs[k])
            stack.append((inputs[k], 0))
            continue
        if w is not v:
            order.append(w)
        if w.owner is not None and len(w.owner.outputs) > 1:
            for o in w.owner.outputs:
                if o not in seen and o not in known:
                    seen.add(o)
                    order.append(o)
    return order


def _alone(v: Variable) -> tuple:
    """v by its Apply, or by what a leaf is made of; and its state."""
    tag = vars(v._tag) if v._tag is not None else None
    state: tuple = (v.name, tuple(v.trace), v._compared, v._subscript, tag or None)
    if isinstance(v, SharedVariable):
        made: tuple = (_shared, (type(v), v.type, v.container, v.strict, v.allow_downcast))
        state += (v.default_update,)
    elif isinstance(v, SparseSharedVariable):
        made = (_sparse_shared, (v.owner,))
    elif v.owner is not None:
        made = (_output, (v.owner, v.index))
    elif isinstance(v, Constant):
        value = v.node.attr("value")
        made = (_constant, (value.array, value.dtype))
    else:
        made = (_leaf, (v.type,))
    return (*made, state)


def restore(v: Variable, state: tuple) -> None:
    """`Variable.__setstate__`."""
    v.name, trace, v._compared, v._subscript, tag, *rest = state
    v.trace = Trace(*trace)
    if tag is not None:
        vars(v.tag).update(tag)
    if rest and isinstance(v, SharedVariable):
        (v.default_update,) = rest


def _leaf(t: TensorType) -> Variable:
    node = param(t, fresh_token())
    v = variable_class(node)(node)
    v._type = t
    return v


def _constant(array: np.ndarray, dtype: str) -> Variable:
    node = ir_constant(array, dtype)
    return constant_class(node)(node)


def _shared(
    cls: type[SharedVariable], t: TensorType, container: Any, strict: bool, allow_downcast: bool | None
) -> SharedVariable:
    v = cls.__new__(cls)
    Variable.__init__(v, param(t, fresh_token()))
    v._type, v.container, v.strict, v.allow_downcast, v.default_update = t, container, strict, allow_downcast, None
    return v


def _sparse_shared(owner: Apply) -> Variable:
    from .sparse import as_shared

    return as_shared(owner.outputs[0], None)


def _output(owner: Apply, index: int) -> Variable:
    return owner.outputs[index]


def reduce_apply(owner: Apply) -> tuple:
    """What `Apply.__reduce_ex__` returns: the op and the inputs; for a user's Op also the types of the outputs."""
    written = [o.type for o in owner.outputs] if _is_users(owner.op) else None
    tag = {k: v for k, v in vars(owner._tag).items() if k != "callee"} if owner._tag is not None else None
    return _apply, (owner.op, owner.inputs, written, tuple(owner.trace), tag or None)


def _is_users(op: Op) -> bool:
    return type(op).lower is Op.lower


def _apply(op: Op, inputs: list, written: list | None, trace: tuple, tag: dict | None) -> Apply:
    owner = Apply.__new__(Apply)
    owner.op, owner.inputs, owner.trace, owner._tag = op, inputs, Trace(*trace), None
    if tag is not None:
        vars(owner.tag).update(tag)
    if written is not None:
        owner.outputs = [t() for t in written]
        for k, out in enumerate(owner.outputs):
            out.owner, out.index = owner, k
        bind_outputs(owner)
    else:
        owner.outputs = outputs_of(owner)
    return owner


def reduce_primitive(op: Primitive) -> tuple:
    return _primitive, (op.name, op.attrs)


def _primitive(name: str, attrs: tuple) -> Primitive:
    return primitive(name, **dict(attrs))


class Recipe:
    """The arguments that a compiled function was made of: it is pickled as them, and compiled again when loaded."""

    def __init__(self, arguments: dict[str, Any]):
        self.arguments = arguments

    def reduce(self, threads: int | None) -> tuple:
        return _compile, ({**self.arguments, "threads": threads},)


def _compile(arguments: dict[str, Any]) -> Any:
    from .function import function

    return function(**arguments)


__all__ = ["Recipe", "reduce_apply", "reduce_primitive", "reduce_variable", "restore"]
