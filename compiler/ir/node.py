"""The one concept of the compiler: `Node(op, inputs, attrs)`, immutable, interned, typed at construction.

Identity is equality: building the same node twice gives the same object, so common subexpressions are shared by
construction. Everything symbolic is an input; attributes are plain values (numbers, strings, tuples of them, closed
`Region`s). The type is a function of (op, inputs, attrs), so rebuilding a node from changed inputs retypes it.

    node    ::= op(inputs; attrs) : type
    region  ::= params, outputs, checks        closed: whatever enters is a param, numbered by its position
    check   ::= kind(operands)                 an obligation: rewriting may assume it, never drop it
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...runtime.errors import InternalError, WeftError
from .types import TensorType, TupleType, Type

Attrs = tuple[tuple[str, Any], ...]


class Place(NamedTuple):
    """An operation or obligation of the program as it was declared: this number in the region of this digest.

    It follows from the program's structure alone, so that equal programs say the same of lines that differ.
    """

    region: str
    number: int


class Check(NamedTuple):
    """An obligation on run-time values. `kind` is a row of interp/checks.py: "eq" and "le" of two lengths, "nonneg" and
    "positive" of one, "bounds" of an index (a scalar, or "indices": an array) and a length, "true" of a bool.

    `what` says of which operation it is; `at` whose it is in the program as declared (ir/origins.py), for the message.
    """

    kind: str
    operands: tuple[Node, ...]
    what: str
    at: tuple[Place, ...] = ()


class Typed(NamedTuple):
    """What a typing rule returns."""

    type: Type
    checks: tuple[Check, ...] = ()


class OpDef(NamedTuple):
    """One operation: name, family (which decides how it is scheduled), typing rule, and what passes ask of it.

    What is not said of an operation is what holds of most; where that would not be safe, `define` wants it said.
    """

    name: str
    family: str
    typing: Callable[[Sequence[Any], dict[str, Any]], Typed | Type]  # of Nodes
    costly: bool = False  # computing it twice costs more than writing it to memory and reading it back
    commutative: bool = False  # its two arguments may change places
    virtual: bool | None = None  # of views: costs nothing to evaluate again; others are worth storing
    covers: bool = False  # of views: all its elements are made of all elements of the first operand, none left out
    host_inputs: tuple[int, ...] = ()  # of steps: operands that the host passes by value: lengths, conditions
    strided_inputs: tuple[int, ...] = ()  # of steps: operands read through strides: no view is copied for them
    indices_from: int = 0  # operands from this one on index axes of the first; out of range is an error
    library: str = ""  # whose routine computes it, outside the contract of equal bits
    by_types: bool = False  # one tensor, whose type follows from the types of the arguments alone
    writes_over: bool = False  # its result may lie where its first operand did, which nothing else reads
    may_fail: bool = False  # it may find its values unfit (interp/checks.py, FAULTS)
    said: str = ""  # what users call it, where that is not its name
    binds: bool = False  # by running it may give lengths that nothing else tells: `length` nodes name it


OPS: dict[str, OpDef] = {}


def define(name: str, family: str, **facts: Any):
    """Decorator that enters a typing rule into the table of operations, with what else the definition says."""

    def enter(typing):
        if name in OPS:
            raise InternalError(f"operation {name} defined twice")
        if (family == "view") != ("virtual" in facts):
            raise InternalError(f"operation {name} ({family}): views, and no others, say whether they are virtual")
        OPS[name] = OpDef(name, family, typing, **facts)
        return typing

    return enter


class Constant:
    """The value of a `const` node: a read-only array compared by dtype, shape and bytes (so -0.0 is not 0.0)."""

    __slots__ = ("array", "dtype", "key")

    def __init__(self, array: np.ndarray, dtype: str):
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        if array.flags.writeable:
            array = array.copy()
            array.flags.writeable = False
        self.array = array
        self.dtype = dtype
        self.key = (dtype, array.shape, array.tobytes())

    def __eq__(self, other):
        return isinstance(other, Constant) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __repr__(self):
        return f"Constant({self.array!r})"


class Node:
    __slots__ = (
        "__weakref__", "attrs", "checks", "definition", "digest", "early", "inputs", "interval", "nonneg", "normal",
        "op", "stays", "terms", "type", "uid", "uniform",
    )  # fmt: skip

    op: str
    definition: OpDef  # of the operation
    inputs: tuple[Node, ...]
    attrs: Attrs
    type: Any  # Type; Any spares every user of a dense tensor a cast
    checks: tuple[Check, ...]
    uid: int
    # What follows from its structure, None while nobody has asked; kept by is_early, ir/digest.py, ir/lengths.py,
    # ir/pattern.py.
    digest: bytes | None
    early: bool | None
    interval: Any  # tuple[int, int] once asked for
    nonneg: int | None
    terms: dict[tuple[Node, ...], int] | None
    normal: Any
    stays: bool | None
    uniform: Any

    def attr(self, name: str) -> Any:
        for k, v in self.attrs:
            if k == name:
                return v
        raise InternalError(f"{self.op} has no attribute {name}")

    @property
    def value(self) -> Any:
        """The array (or the NumPy scalar of a 0-d one) of a `const` node."""
        a = self.attr("value").array
        return a[()] if a.ndim == 0 else a

    @property
    def family(self) -> str:
        return self.definition.family

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def axes(self) -> tuple[Node, ...]:
        return self.type.axes

    @property
    def ndim(self) -> int:
        return len(self.type.axes)

    def __repr__(self) -> str:
        attrs = "".join(f"; {k}={v!r}" if not isinstance(v, Region) else f"; {k}=@{v.uid}" for k, v in self.attrs)
        return f"<{self.op}#{self.uid}({', '.join(f'#{i.uid}' for i in self.inputs)}{attrs}) : {self.type}>"

    def __reduce__(self):
        raise InternalError("nodes are not pickled; write the region's text form")


class _Interned(weakref.ref):
    """An entry of the table of nodes, which goes with its node. (A WeakValueDictionary does the same by several calls
    of Python for each node that is looked up.)"""

    __slots__ = ("key",)

    key: tuple


_tables: dict[str, tuple[dict[tuple, _Interned], Callable[[_Interned], None]]] = {}  # by operation
_regions: weakref.WeakValueDictionary[tuple, Region] = weakref.WeakValueDictionary()
_lock = threading.RLock()  # taken again where a collection of garbage comes in between: nodes die in it
_uids = itertools.count()


def _new_table() -> tuple[dict[tuple, _Interned], Callable[[_Interned], None]]:
    """The table of one operation's nodes, and what takes out of it the entry of one that has gone."""
    table: dict[tuple, _Interned] = {}

    def forget(entry: _Interned, lock: Any = _lock) -> None:
        with lock:
            if table.get(entry.key) is entry:
                del table[entry.key]

    return table, forget


def make(op: str, inputs: Sequence[Node] = (), attrs: Attrs = ()) -> Node:
    """The node `op(inputs; attrs)`; `attrs` sorted by name. Raises the typing rule's error when it is ill-typed."""
    held = _tables.get(op)
    if held is None:
        if op not in OPS:
            raise InternalError(f"no operation {op}")
        held = _tables.setdefault(op, _new_table())
    table, forget = held
    inputs = tuple(inputs)
    key = (inputs, attrs) if attrs else inputs  # that of most is what the node holds anyway
    entry = table.get(key)
    if entry is not None:
        found = entry()
        if found is not None:
            return found
    definition = OPS[op]
    node = Node()
    node.type, node.checks = typed(definition, inputs, attrs)
    node.op, node.inputs, node.attrs = op, inputs, attrs
    node.definition = definition
    node.digest = node.early = node.terms = node.interval = node.nonneg = node.normal = node.uniform = None
    node.stays = None
    made = _Interned(node, forget)
    made.key = key
    with _lock:
        entry = table.get(key)
        found = entry() if entry is not None else None
        if found is not None:  # by another thread meanwhile
            return found
        node.uid = next(_uids)
        table[key] = made
    return node


def typed(definition: OpDef, inputs: Sequence[Any], attrs: Attrs) -> tuple[Type, tuple[Check, ...]]:
    """The type of an operation's result, and its obligations; of one `by_types` the inputs may be types."""
    try:
        found = definition.typing(inputs, dict(attrs) if attrs else {})
    except (ValueError, LookupError, TypeError, AttributeError) as e:
        if isinstance(e, WeftError):
            raise
        # Not a user's mistake: a wrong number of inputs, an attribute missing or of a wrong kind.
        what = f"ill-formed {definition.name} of {len(inputs)} inputs with attributes {dict(attrs)!r}"
        raise InternalError(f"{what}: {e}") from e
    return found if isinstance(found, Typed) else (found, ())


def build(op: str, *inputs: Node, **attrs: Any) -> Node:
    """`make` with attributes as keywords."""
    return make(op, inputs, tuple(sorted(attrs.items())))


def constant(value: Any, dtype: str) -> Node:
    from .dtypes import numpy_dtype

    return make("const", (), (("value", Constant(np.asarray(value, dtype=numpy_dtype(dtype)), dtype)),))


class Region:
    """A closed subgraph: `params[k]` is the `param` node with token k; outputs and checks depend on params only."""

    __slots__ = ("__weakref__", "_nodes", "checks", "outputs", "params", "uid")

    def __init__(self, params: tuple[Node, ...], outputs: tuple[Node, ...], checks: tuple[Check, ...]):
        self.params, self.outputs, self.checks = params, outputs, checks
        self.uid = -1
        self._nodes: tuple[Node, ...] = ()

    def roots(self) -> list[Node]:
        """What the region must compute: outputs, operands of checks; not the lengths in the outputs' types."""
        out = list(self.outputs)
        for c in self.checks:
            out.extend(c.operands)
        return out

    def nodes(self) -> list[Node]:
        if not self._nodes:
            self._nodes = tuple(topological(self.roots() + list(self.params)))
        return list(self._nodes)

    def __repr__(self):
        return f"<region {len(self.params)} params, {len(self.outputs)} outputs, {len(self.nodes())} nodes>"


def region(params: Iterable[Node], outputs: Iterable[Node], checks: Iterable[Check] = ()) -> Region:
    """The interned region; checks are deduplicated and trivially true ones dropped."""
    kept: dict[tuple, Check] = {}
    for c in checks:
        if c.kind == "eq" and c.operands[0] is c.operands[1]:
            continue
        kept.setdefault((c.kind, c.operands), c)
    params, outputs = tuple(params), tuple(outputs)
    for k, p in enumerate(params):
        if p.op != "param" or p.attr("token") != k:
            raise InternalError(f"parameter {k} of a region is {p!r}")
    key = (params, outputs, tuple(kept.values()))
    with _lock:
        found = _regions.get(key)
        if found is None:
            found = Region(*key)
            found.uid = next(_uids)
            _regions[key] = found
        return found


# Run-time lengths. STEPS in place of an output's number stands for the number of steps that a loop ran.
STEPS = -1


def bound_length(op: str, inputs: Sequence[Node], attrs: Attrs | dict[str, Any], out: int, axis: int = 0) -> Node:
    """The `length` that names an operation (which need not exist yet: its own typing rule asks), an output, an axis."""
    return build("length", *inputs, of=op, of_attrs=tuple(sorted(dict(attrs).items())), out=out, axis=axis)


def is_bound(n: Node) -> bool:
    """Whether a node is a length that an operation gives by running (the length of a part of a matrix is not)."""
    return n.op == "length" and OPS[n.attr("of")].binds


def binder(length: Node) -> Node:
    """The operation that gives a bound length by running."""
    return make(length.attr("of"), length.inputs, length.attr("of_attrs"))


def depends(n: Node) -> tuple[Node, ...]:
    """What a node is computed from: a bound length from the operation that gives it."""
    return (binder(n),) if is_bound(n) else n.inputs


def given_length(maker: Node, length: Node) -> Node:
    """What a bound length is once `maker` has taken the place of the operation that gave it."""
    out, axis = length.attr("out"), length.attr("axis")
    if out == STEPS:
        return bound_length(maker.op, maker.inputs, maker.attrs, out, axis)
    return maker.type.items[out].axes[axis]


THREADS_TOKEN = ("v", -1)  # the token of the number of threads that a call may use
_SIZES = frozenset(("add", "mul", "sub", "maximum", "minimum", "floordiv", "mod"))


def is_early(length: Node) -> bool:
    """Whether a length, or a size, is known when a call starts: made of lengths of arguments, the number of threads and
    numbers alone."""
    if length.early is None:
        for n in topological([length], lambda n: n.inputs if n.early is None and n.op in _SIZES else ()):
            if n.early is None:
                known = n.op in ("dim", "const") or (n.op == "param" and n.attr("token") == THREADS_TOKEN)
                n.early = all(i.early for i in n.inputs) if n.op in _SIZES else known
    return bool(length.early)


def length_terms(roots: Iterable[Node], known: Container[Node] = ()) -> list[Node]:
    """What lengths are computed of, inputs first, as far as they are not early. What an operation that gives a length
    is computed of, a whole program perhaps, is left out, and so is what is below a `known` one."""
    return topological(roots, lambda n: () if n.op == "length" or n in known or is_early(n) else n.inputs)


def remake(node: Node, inputs: Sequence[Node], attrs: Attrs) -> Node:
    """The node on other inputs, with other attributes. The length of an `ifelse` whose branches agree now is theirs."""
    new = make(node.op, inputs, attrs)
    return given_length(binder(new), new) if new.op == "length" and new.attr("of") == "ifelse" else new


def executable(
    roots: Iterable[Node],
    known_as: dict[Node, Node] | None = None,
    after: Mapping[Node, Sequence[Node]] | None = None,
    done: Container[Node] = (),
) -> list[Node]:
    """As `topological`, and whatever binds a run-time length runs before the length is read: by an operation that
    has it as an input, or by one whose result has it as an axis. `known_as` maps lengths to those bound for them;
    `after` says what else has to come before a node; what is `done` needs nothing."""
    atoms: dict[tuple[Node, ...], list[Node]] = {}
    named: dict[Node, tuple[Node, ...]] = {}

    def lengths_in(axes: tuple[Node, ...]) -> list[Node]:
        found = atoms.get(axes)
        if found is None:
            terms = dict.fromkeys(m for a in axes for m in named_in(a))
            found = atoms[axes] = [known_as.get(m, m) for m in terms] if known_as else list(terms)
        return found

    def named_in(axis: Node) -> tuple[Node, ...]:
        """The lengths that an operation gives of which a scalar is computed; those of its parts are remembered."""
        for m in length_terms([axis], named):
            if m not in named:
                inner = () if is_early(m) else m.inputs
                named[m] = (m,) if m.op == "length" else tuple(dict.fromkeys(x for i in inner for x in named[i]))
        return named[axis]

    def before(n: Node) -> Sequence[Node]:
        if n in done:
            return ()
        if n.op == "length" and is_bound(n):
            return depends(n)
        types = n.type.items if type(n.type) is TupleType else (n.type,)
        within = [m for t in types for m in lengths_in(t.axes)]
        if after and n in after:
            within += [*after[n], *lengths_in(tuple(after[n]))]
        return (*n.inputs, *(m for m in within if n not in depends(m))) if within else n.inputs

    return topological(roots, before)


def topological(roots: Iterable[Node], before: Callable[[Node], Sequence[Node]] | None = None) -> list[Node]:
    """Every node the roots depend on, inputs first; iterative, linear."""
    seen: set[Node] = set()
    order: list[Node] = []
    stack: list[tuple[Node, Iterator[Node]]] = []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack.append((root, iter(root.inputs if before is None else before(root))))
        while stack:
            node, rest = stack[-1]
            for i in rest:
                if i not in seen:
                    seen.add(i)
                    stack.append((i, iter(i.inputs if before is None else before(i))))
                    break
            else:
                stack.pop()
                order.append(node)
    return order


def rebuild(root: Node, done: dict[Node, Node]) -> Node:
    """The root in terms of what `done` maps nodes to; nodes above those are made anew (and so retyped) and added."""
    stack = [root]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        missing = [i for i in node.inputs if i not in done]
        if missing:
            stack.extend(missing)
            continue
        new = tuple(done[i] for i in node.inputs)
        done[node] = node if new == node.inputs else remake(node, new, node.attrs)
        stack.pop()
    return done[root]


def substitute(roots: Sequence[Node], mapping: dict[Node, Node]) -> list[Node]:
    """The roots with every key of `mapping` replaced by its value, rebuilt (and so retyped) upwards."""
    done = dict(mapping)
    return [rebuild(r, done) for r in roots]


class Renumbered(NamedTuple):
    outputs: list[Node]
    checks: list[Check]
    nodes: dict[Node, Node]  # of the region -> what they became


def renumber(inner: Region, mapping: dict[Node, Node]) -> Renumbered:
    """A region's outputs and checks with its params replaced (its `dim`s follow the new params' lengths)."""
    done = dict(mapping)
    for p, new in mapping.items():
        for a in range(p.ndim):
            done[build("dim", token=p.attr("token"), axis=a)] = new.type.axes[a]
    outs = [rebuild(o, done) for o in inner.outputs]
    checks = [c._replace(operands=tuple(rebuild(o, done) for o in c.operands)) for c in inner.checks]
    return Renumbered(outs, checks, done)


__all__ = [
    "OPS", "STEPS", "THREADS_TOKEN",
    "Attrs", "Check", "Constant", "Node", "OpDef", "Place", "Region", "Renumbered", "TensorType", "TupleType", "Typed",
    "binder", "bound_length", "build", "constant", "define", "depends", "executable", "given_length", "is_bound",
    "is_early", "length_terms", "make", "rebuild", "region", "remake", "renumber", "substitute", "topological", "typed",
]  # fmt: skip
