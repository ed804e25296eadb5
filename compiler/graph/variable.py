"""What users build: `Variable`s joined by `Apply`s of `Op`s. A Variable's identity is the object.

Every Variable carries the type of its expression's IR node, so types, lengths and mistakes are known at the line that
declares it; `lowering.py` builds the nodes of a function anew from the Variables, with its inputs as parameters.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...runtime.errors import ArgumentError, DTypeError, InternalError, WeftError
from ..ir import types as ir
from ..ir.digest import digest_operation
from ..ir.node import OPS, Node, build, make, typed
from . import types
from .trace import Trace, here, on_behalf

_PACKAGE = __name__.rpartition("compiler.graph.")[0]
serials = itertools.count()


class Tag:
    """Free attributes of a Variable (`x.tag.test_value = ...`) or an Apply."""


class Variable:
    """A symbolic value: what an operation gives, or a leaf. `type`, `name`, `owner` (the Apply that it is a result of,
    None for a leaf), `index` among its results, `tag` for whatever the user keeps, `trace`: the line that wrote it."""

    __slots__ = (
        "__weakref__", "_compared", "_node", "_subscript", "_tag", "_type", "index", "ir_type", "name", "owner",
        "serial", "trace",
    )  # fmt: skip

    owner: Apply | None
    index: int
    name: str | None
    ir_type: Any  # that of its node; Any spares every user of a dense tensor a cast
    trace: Trace
    _tag: Any
    _type: Any
    _subscript: Any
    serial: int  # Variables are numbered as they are made: scan tells by it what its step did not make itself

    def __init__(self, node: Node | ir.TensorType, owner: Apply | None = None, index: int = 0, name: str | None = None):
        """Of a node, or of the type of the one that `owner` makes, which is then built where it is asked for."""
        self.ir_type = node.type  # a type's is itself
        self._node: Any = None if node is self.ir_type else node  # a Node, or None until it is asked for
        self.owner, self.index, self.name = owner, index, name
        self.trace = here() if owner is None else owner.trace
        self.serial = next(serials)
        self._tag = self._type = self._subscript = None
        self._compared = False

    @property
    def node(self) -> Node:
        if self._node is None:
            _build_nodes(self)
        return self._node

    @property
    def type(self) -> Any:
        if self._type is None:
            self._type = types.from_ir(self.ir_type)
        return self._type

    @property
    def tag(self) -> Any:
        if self._tag is None:
            self._tag = Tag()
        return self._tag

    @property
    def dtype(self) -> str:
        return self.ir_type.dtype

    @property
    def ndim(self) -> int:
        return len(self.ir_type.axes)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return self.ir_type.broadcastable

    def describe(self) -> str:
        """The name for messages: the user's, else what made it."""
        if self.name:
            return self.name
        return f"<{self.type}>" if self.owner is None else _expression(self)

    def __repr__(self) -> str:
        if self.name is not None:
            return self.name
        return f"{self.owner.op}.{self.index}" if self.owner is not None else f"<{self.type}>"

    def _repr_html_(self) -> str:
        from ..show.displays import variable_html

        return variable_html(self)

    def _repr_svg_(self) -> str:
        from ..show.pictures import drawing

        return str(drawing(self))

    def __bool__(self) -> bool:
        if self._compared:
            raise ArgumentError(
                f"the truth of a comparison is not known while the graph is built (declared at {self.trace}); "
                "use weft.tensor.switch or weft.ifelse.ifelse, and (a < b) & (b < c) for a < b < c"
            )
        return True

    def clone(self, name: str | None = None) -> Variable:
        """A new leaf of the same type."""
        return self.type(name if name is not None else self.name)

    def get_parents(self):
        return [self.owner] if self.owner is not None else []

    def eval(self, inputs_to_values: dict | None = None) -> Any:
        """Compiles a function of the given inputs and calls it."""
        from .function import function

        given = inputs_to_values or {}
        if not isinstance(given, dict):
            raise ArgumentError(f"eval takes a dict of variables and their values, not {given!r}")
        return function(list(given), self, on_unused_input="ignore")(*given.values())

    def __reduce_ex__(self, protocol):
        from .pickling import reduce_variable

        return reduce_variable(self)

    def __setstate__(self, state):
        from .pickling import restore

        restore(self, state)

    def __copy__(self):
        return self


class Constant(Variable):
    """A leaf whose value is part of the program."""

    __slots__ = ()

    @property
    def data(self):
        return self.node.attr("value").array

    @property
    def value(self):
        return self.data

    def describe(self) -> str:
        """A number, be it of higher rank, as it is written."""
        alone = self.data.size == 1 and all(self.broadcastable)
        return self.name or (str(self.data.reshape(())[()]) if alone else f"<constant {self.type}>")

    def __repr__(self) -> str:
        return f"{type(self).__name__}{{{self.data!r}}}"


class Op:
    """An operation on Variables. Users subclass it: `make_node`, `perform` and, for a gradient, `grad`.

    `perform(node, inputs, output_storage)` takes NumPy arrays and fills `output_storage[k][0]`.
    `grad(inputs, output_gradients)` returns a Variable for each input. `__props__` names the attributes by which two
    instances are equal.
    """

    __props__: tuple[str, ...] | None = None
    # Which inputs `lower` hands on as they are, where it asks no more of any than its type; None: it may ask for all.
    hands_on: tuple[int, ...] | None = None
    lowered: Any = None  # of an operation that holds a graph of its own: that graph, `Lowered`

    def make_node(self, *inputs: Any) -> Apply:
        raise ArgumentError(f"{type(self).__name__} defines no make_node")

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        return_list = kwargs.pop("return_list", False)
        trace = here()
        try:
            with on_behalf(trace):  # the line that applies the operation, not one inside the user's make_node
                node = self.make_node(*inputs, **kwargs)
        except WeftError as e:
            tell(e, self.title, inputs, trace)
            raise
        return list(node.outputs) if return_list or len(node.outputs) > 1 else node.outputs[0]

    def lower(self, inputs: Sequence[Node]) -> list[Node]:
        """The IR nodes of the outputs, given those of the inputs."""
        raise InternalError(f"{self} cannot be lowered")

    def identity(self) -> bytes | None:
        """A digest of what `lower` does to whatever inputs; None where that does not follow from the class of weft's
        own and its attributes: what the Python of a user's class does may change."""
        key = self._key()
        if key is None or type(self).lower is Op.lower or not type(self).__module__.startswith(_PACKAGE):
            return None
        return digest_operation(f"{type(self).__module__}.{type(self).__qualname__}", (("key", key[1:]),))

    def _key(self) -> Any:
        return None if self.__props__ is None else (type(self), *(getattr(self, p) for p in self.__props__))

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._key() is not None and self._key() == other._key())  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return id(self) if self._key() is None else hash(self._key())

    @property
    def said(self) -> str:
        """What messages call it."""
        return getattr(self, "__name__", type(self).__name__)

    @property
    def title(self) -> str:
        """The same with what tells it from others of its class."""
        return str(self)

    def __str__(self) -> str:
        props = ", ".join(f"{p}={getattr(self, p)!r}" for p in self.__props__ or ())
        return f"{type(self).__name__}{{{props}}}" if props else type(self).__name__


class Primitive(Op):
    """An operation of the IR's table with its attributes."""

    __slots__ = ("_identity", "_last", "attrs", "definition", "name")

    def __init__(self, name: str, attrs: tuple[tuple[str, Any], ...]):
        self.name, self.attrs, self.definition = name, attrs, OPS[name]
        self._identity: bytes | None = None
        self._last: tuple[weakref.ref[ir.TensorType], ...] | None = None  # two types, and that of their result

    def attr(self, name: str) -> Any:
        return dict(self.attrs)[name]

    def type_of(self, types: list[Any]) -> Any:
        """The type of the one result, where it follows from those of the arguments. Two that differ are remembered:
        the next ones are often the same."""
        if len(types) != 2 or types[0] is types[1]:
            return typed(self.definition, types, self.attrs)[0]
        a, b = types
        last = self._last
        known = last[2]() if last is not None and last[0]() is a and last[1]() is b else None
        if known is not None:
            return known
        made: Any = typed(self.definition, types, self.attrs)[0]
        self._last = weakref.ref(a), weakref.ref(b), weakref.ref(made)
        return made

    def lower(self, inputs: Sequence[Node]) -> list[Node]:
        if self.name == "csr_part" and inputs[0].op == "csr":
            return [inputs[0].inputs[self.attr("part")]]  # so that no node but csr itself is sparse
        node = make(self.name, inputs, self.attrs)
        if type(node.type) is ir.TupleType:
            return [build("item", node, index=k) for k in range(len(node.type.items))]
        return [node]

    @property
    def said(self) -> str:
        """What users call it."""
        return self.definition.said or self.name

    @property
    def title(self) -> str:
        """The same with those of its attributes that say something to users."""
        plain = [(k, v) for k, v in self.attrs if type(v) is not tuple or not any(type(e) is tuple for e in v)]
        shown = ", ".join(f"{k}={v}" for k, v in plain)
        return f"{self.said}{{{shown}}}" if shown else self.said

    def identity(self) -> bytes | None:
        if self._identity is None:
            self._identity = digest_operation(self.name, self.attrs)
        return self._identity

    def _key(self):
        return (self.name, self.attrs)

    def __reduce_ex__(self, protocol):
        from .pickling import reduce_primitive

        return reduce_primitive(self)

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.attrs)
        return f"{self.name}{{{shown}}}" if shown else self.name


class Apply:
    """One application of an Op: `inputs` and `outputs` are Variables."""

    __slots__ = ("__weakref__", "_tag", "inputs", "op", "outputs", "trace")

    op: Any  # an Op; Any spares those who know its class a cast
    _tag: Any

    def __init__(self, op: Op, inputs: Iterable[Variable], outputs: Iterable[Variable]):
        self.op, self.inputs, self.outputs = op, list(inputs), list(outputs)
        self.trace = here()
        self._tag = None
        for k, out in enumerate(self.outputs):
            if out.owner is not None:
                raise ArgumentError(f"output {k} of {op} already belongs to {out.owner.op}")
            out.owner, out.index = self, k
        bind_outputs(self)

    @property
    def tag(self) -> Any:
        if self._tag is None:
            self._tag = Tag()
        return self._tag

    @property
    def nin(self) -> int:
        return len(self.inputs)

    @property
    def nout(self) -> int:
        return len(self.outputs)

    @property
    def out(self) -> Variable:
        return self.outputs[0]

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.inputs))})"

    def __reduce_ex__(self, protocol):
        from .pickling import reduce_apply

        return reduce_apply(self)


def bind_outputs(node: Apply) -> None:
    """Gives the outputs of an Apply that a user's make_node built their IR nodes."""
    from .host import lower_host

    if node.outputs and not isinstance(node.op, Primitive):
        for out, n in zip(node.outputs, lower_host(node), strict=True):
            out._node, out.ir_type, out._type = n, n.type, None


_primitives: dict[Any, Primitive] = {}  # by name, with attributes by name and those
_lock = threading.Lock()


def primitive(name: str, **attrs: Any) -> Primitive:
    given = tuple(sorted(attrs.items())) if attrs else ()
    key = (name, given) if given else name
    known = _primitives.get(key)
    if known is not None:
        return known
    with _lock:
        found = _primitives.get(key)
        if found is None:
            if name not in OPS:
                raise InternalError(f"no operation {name}")
            found = _primitives[key] = Primitive(name, given)
        return found


def apply_op(op: Op, inputs: Sequence[Variable]) -> list[Any]:
    """Applies an operation; a typing error is raised anew with names, types and the user's line."""
    owner = Apply.__new__(Apply)
    owner.op, owner.inputs, owner.trace, owner._tag = op, list(inputs), here(), None
    try:
        owner.outputs = outputs_of(owner)
    except WeftError as e:
        raise explain(e, op.title, inputs, owner.trace) from None
    return owner.outputs


def outputs_of(owner: Apply) -> list[Any]:
    """New outputs for an Apply of an operation of weft's."""
    op = owner.op
    if type(op) is Primitive and op.definition.by_types:
        t = op.type_of([v.ir_type for v in owner.inputs])
        return [_classes.get(t.kind, Variable)(t, owner)]
    made = op.lower([v.node if op.hands_on is None else v.ir_type for v in owner.inputs])
    return [_classes.get(n.type.kind, Variable)(n, owner, k) for k, n in enumerate(made)]


def _build_nodes(v: Variable) -> None:
    """The nodes of a Variable and of those that it is computed from. Iterative."""
    stack = [v]
    while stack:
        owner = stack[-1].owner
        if stack[-1]._node is not None or owner is None:
            stack.pop()
            continue
        inputs, op = owner.inputs, owner.op
        missing = [i for i in (inputs if op.hands_on is None else [inputs[k] for k in op.hands_on]) if i._node is None]
        if missing:
            stack += missing
            continue
        for o, n in zip(owner.outputs, op.lower([i._node or i.ir_type for i in inputs]), strict=True):
            o._node, o.ir_type = n, n.type


def explain(e: WeftError, op: str, inputs: Sequence[Variable], trace: Trace) -> WeftError:
    """The error, to whose text the arguments' names and types and the user's line are added, once."""
    if not getattr(e, "explained", False):
        e.args = (f"{e}{where(op, inputs, trace)}",)
        e.explained = True  # type: ignore[attr-defined]
    return e


def tell(e: WeftError, op: str, args: Iterable[Any], trace: Trace) -> None:
    """Adds to an error, in place, what `explain` adds; of the arguments those that are symbolic, or lists of such."""
    if not getattr(e, "explained", False):
        symbolic = [v for a in args for v in (a if isinstance(a, (list, tuple)) else [a]) if isinstance(v, Variable)]
        explain(e, op, symbolic, trace)


def where(op: str, inputs: Sequence[Variable], trace: Trace) -> str:
    """The lines that a message about an operation ends with: what it is, of which arguments, where."""
    args = "".join(f"\n    {v.describe()} : {v.type}" for v in inputs[:SHOWN])
    args += f"\n    and {len(inputs) - SHOWN} more" * (len(inputs) > SHOWN)
    return (f"\n  in {op}{' of' * bool(args)}{args}" if op else "") + f"\n  {trace.at}"


def _expression(v: Variable, limit: int = 60) -> str:
    """An unnamed variable as what it is computed by, as deep as there is room: "add(x, mul(y, 2))"."""

    def show(v: Variable, depth: int) -> str:
        while not v.name and v.owner is not None and _same_number(v.owner):
            v = v.owner.inputs[0]
        owner = v.owner
        if v.name or owner is None:
            return v.describe()
        name = owner.op.said
        parts = [show(i, depth - 1) if depth else "..." for i in owner.inputs[:3]]
        parts = ["..."] if not depth else [*parts, "..."] if len(owner.inputs) > 3 else parts
        return f"{name}({', '.join(parts)})"

    for depth in (3, 2, 1, 0):
        text = show(v, depth)
        if len(text) <= limit:
            break
    return text


def _same_number(owner: Apply) -> bool:
    """Whether an operation changes only how its argument is held: its dtype, or axes of length 1 in front."""
    name = getattr(owner.op, "name", "")
    if name == "dimshuffle":
        order = owner.op.attr("order")
        front = order.count("x")
        return order == ("x",) * front + tuple(range(len(order) - front))
    return name == "cast"


SHOWN = 6  # arguments that a message lists


_classes: dict[str, type[Variable]] = {}
_constants: dict[str, type[Variable]] = {}


def register_class(kind: str, cls: type[Variable], is_constant: bool = False) -> None:
    """The Variable class of an IR kind: operators.py and sparse.py enter theirs (methods and operators live there)."""
    (_constants if is_constant else _classes)[kind] = cls


def variable_class(node: Node) -> Any:
    return _classes.get(node.type.kind, Variable)


def constant_class(node: Node) -> Any:
    return _constants.get(node.type.kind, Constant)


def leaf(t: types.TensorType, name: str | None = None) -> Variable:
    node = types.param(t, types.fresh_token())
    out = variable_class(node)(node, name=name)
    out._type = t
    return out


def op1(name: str, *inputs: Variable, **attrs: Any) -> Any:
    """One primitive with one output."""
    return apply_op(primitive(name, **attrs), inputs)[0]


def ancestors(
    outputs: Iterable[Variable], stop: Iterable[Variable] = (), replace: dict[Variable, Variable] | None = None
) -> list[Variable]:
    """Every Variable that the outputs depend on, inputs first; does not look behind `stop`. Iterative, linear.

    The place of a Variable that `replace` maps is taken by what it is mapped to.
    """
    halt = set(stop)
    seen: set[Variable] = set()
    order: list[Variable] = []
    wanted = [replace.get(o, o) for o in outputs] if replace else list(outputs)
    for o in wanted:
        if not isinstance(o, Variable):
            raise DTypeError(f"{o!r} is not a symbolic variable")
    stack: list[tuple[Variable | None, Iterator[Variable]]] = [(None, iter(wanted))]
    while stack:
        v, rest = stack[-1]
        for i in rest:
            if i not in seen:
                seen.add(i)
                owner = i.owner
                if owner is None or i in halt:
                    order.append(i)
                    continue
                inputs = owner.inputs
                stack.append((i, iter([replace.get(k, k) for k in inputs] if replace else inputs)))
                break
        else:
            stack.pop()
            if v is not None:
                order.append(v)
    return order
