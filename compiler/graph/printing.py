"""Graphs as text: `debugprint` (a tree), `pp` (a formula), `min_informative_str`; and the operation `Print`.

All are iterative. A tree is indented by its depth, so below LEVELS levels it goes on at the left margin, under the id
of the operation that it belongs to: the text stays linear in the size of the graph.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import ArgumentError
from .tensor import as_tensor_variable
from .told import told
from .variable import Apply, Constant, Op, Primitive, Variable, ancestors

LEVELS = 50
NEAR = 100  # operations of a formula
FORMULA = 500  # characters of a subexpression; a longer one is shown as its operation and dots


def roots(obj: Any) -> list[Variable]:
    """The Variables that an object to print stands for: itself, a list's, an Apply's outputs, a function's results."""
    if isinstance(obj, Variable):
        return [obj]
    if isinstance(obj, Apply):
        return list(obj.outputs[:1])
    if isinstance(obj, (list, tuple)):
        return [v for o in obj for v in roots(o)]
    recipe = getattr(obj, "recipe", None)
    if recipe is not None:
        outs = recipe.arguments["outputs"]
        outs = [] if outs is None else outs
        found = [
            getattr(o, "variable", o)
            for o in (outs.values() if isinstance(outs, dict) else outs if isinstance(outs, (list, tuple)) else [outs])
        ]
        return roots(found) + [v for _, v in recipe.arguments["updates"] if isinstance(v, Variable)]
    raise ArgumentError(
        f"a graph to print is a symbolic variable, a list of them, an Apply or a compiled function, not {obj!r}"
    )


def letters(n: int) -> str:
    """A, B, ..., Z, BA, BB, ...: n in base 26, as Theano numbers its lines."""
    out = ""
    while True:
        n, digit = divmod(n, 26)
        out = chr(ord("A") + digit) + out
        if n == 0:
            return out


class _Ids:
    """The id of each thing printed or referred to, in order, and what was printed."""

    def __init__(self, form: str, done: dict | None, used: dict | None):
        if form not in ("CHAR", "int", "id", ""):
            raise ArgumentError(f"ids of debugprint is 'CHAR', 'int', 'id' or '', not {form!r}")
        self.form = form
        self.printed: dict = {} if done is None else done
        self.given: dict = dict(self.printed) if used is None else used

    def of(self, thing: Any, printed: bool = True) -> str:
        """The text " [id A]" of a Variable or an Apply, made when asked for the first time."""
        found = self.given.get(thing)
        if found is None:
            n = len(self.given)
            text = {"CHAR": letters(n), "int": str(n), "id": str(id(thing)), "": ""}[self.form]
            found = self.given[thing] = f" [id {text}]" if self.form else ""
        if printed:
            self.printed[thing] = found
        return found


@told
def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = False,
    file: Any = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    done: dict | None = None,
    print_storage: bool = False,
    print_clients: bool = False,
    used_ids: dict | None = None,
) -> Any:
    """Prints a graph as a tree: an operation with its id and name, below it its inputs.

    obj: a Variable, an Apply, a compiled function (as it was declared), or a list of these. An operation met again is
    one line, with the id of its first. Loops print their step below the tree, each line marked with ">", with `->` from
    what the step is given to what the loop is. depth: levels to print (-1: all). print_type: types too. file: where to,
    or "str" for a string returned. ids: "CHAR", "int", "id" or "". stop_on_name: nothing below a named Variable. done:
    what was printed before, with its ids; continued. print_storage: the values too, of shared variables as they are
    now; what operations compute is not kept. print_clients: of an operation that several operations of the graph read,
    which they are. used_ids: ids of what was printed or only named as a client before; continued.
    """
    found = roots(obj)
    names = _Ids(ids, done, used_ids)
    printer = _Printer(names, print_type, stop_on_name, print_storage, print_clients)
    printer.count_clients(found)
    for root in found:
        printer.graph(root, depth)
    if printer.loops:
        printer.lines += ["", "Inner graphs:"]
    for n in printer.loops:  # grows by the loops inside
        printer.step(n, depth)
    text = "".join(line + "\n" for line in printer.lines)
    if file == "str":
        return text
    (sys.stdout if file is None else file).write(text)
    return file


class _Printer:
    """The lines of a debugprint so far, and the loops in them."""

    def __init__(self, names: _Ids, types: bool, stop: bool, storage: bool, clients: bool):
        self.names, self.types, self.stop, self.storage = names, types, stop, storage
        self.lines: list[str] = []
        self.loops: list[Apply] = []
        self.given: dict[Variable, Variable] = {}  # what the step being printed is given -> what the loop is
        self.mark = ""
        self.clients: dict[Apply, dict[Apply, None]] | None = {} if clients else None

    def count_clients(self, found: Sequence[Variable]) -> None:
        """Notes which operations of this graph read the results of which."""
        if self.clients is None:
            return
        for n in {v.owner: None for v in ancestors(found) if v.owner is not None}:
            for i in n.inputs:
                if i.owner is not None:
                    self.clients.setdefault(i.owner, {})[n] = None

    def readers(self, n: Apply) -> str:
        found = list((self.clients or {}).get(n, ()))
        if len(found) < 2:
            return ""
        return f" clients: {', '.join(f'{c.op}{self.names.of(c, printed=False)}' for c in found)}"

    def value(self, v: Variable) -> str:
        held = v.get_value(borrow=True) if hasattr(v, "get_value") else None
        if not self.storage or held is None:
            return ""
        return f" = {_number(held) if isinstance(held, np.ndarray) else held}"

    def graph(self, root: Variable, depth: int) -> None:
        later: deque[tuple[Variable, int]] = deque()
        self.tree(root, depth, later, follow=True)
        while later:
            v, left = later.popleft()
            what = v.owner.op if v.owner is not None else v
            self.lines.append(f"{self.mark}{what}{self.names.of(v.owner)}, continued")
            self.tree(v, left, later, follow=False)

    def step(self, n: Apply, depth: int) -> None:
        """The graph of one step of a loop."""
        loop = n.op.loop(n)
        self.given = dict([*loop.sequences, *((i, s.initial) for s in loop.states for i in s.inner), *loop.constants])
        self.lines += ["", f"{n.op}{self.names.of(n)}"]
        self.mark = " >"
        self.count_clients(loop.inner_outputs)
        for v in loop.inner_outputs:
            self.graph(v, depth)
        self.given, self.mark = {}, ""

    def tree(self, root: Variable, depth: int, later: deque, follow: bool) -> None:
        """One tree; what lies too deep goes into `later`. Without `follow` the line of the root stands already."""
        names, lines = self.names, self.lines
        stack: list[tuple[Variable, str, str, int, int]] = [(root, self.mark, self.mark, depth, 0)]
        while stack:
            v, prefix, below, left, level = stack.pop()
            if left == 0:
                continue
            kind = f" <{v.type}>" if self.types else ""
            outer = self.given.get(v)
            if v.owner is None or outer is not None:
                arrow = f" ->{names.of(outer.owner or outer)}" if outer not in (None, v) and names.form else ""
                lines.append(f"{prefix}{_leaf(v)}{names.of(v)}{kind}{arrow}{self.value(v)}")
                continue
            fresh = v.owner not in names.printed or (v is root and not follow)
            if v is not root or follow:
                number = f".{v.index}" if len(v.owner.outputs) > 1 else ""
                line = f"{prefix}{v.owner.op}{number}{names.of(v.owner)}{kind} '{v.name or ''}'"
                lines.append(line + (self.readers(v.owner) if fresh else ""))
            if not fresh or (self.stop and v.name is not None):
                continue
            if level == LEVELS:
                lines[-1] += " ..."
                later.append((v, left))
                continue
            if hasattr(v.owner.op, "inner_outputs"):
                self.loops.append(v.owner)
            last = len(v.owner.inputs) - 1
            entries = [
                (i, below + " |", below + ("  " if k == last else " |"), left - 1, level + 1)
                for k, i in enumerate(v.owner.inputs)
            ]
            stack.extend(reversed(entries))


def _leaf(v: Variable) -> str:
    if isinstance(v, Constant) and not v.name:
        return f"{type(v).__name__}{{{_number(v.data)}}}"
    return v.name or f"<{v.type}>"


def as_text(v: Variable) -> str:
    """The number of a constant, the name of any other leaf."""
    if isinstance(v, Constant) and not v.name:
        return _number(v.data.reshape(()) if all(v.broadcastable) else v.data)
    return v.describe()


def _number(data: np.ndarray) -> str:
    if data.ndim == 0:
        return str(data[()])
    return np.array2string(data, threshold=6, edgeitems=2, max_line_width=10**6).replace("\n", "")


_INFIX = {
    "add": ("+", 4), "sub": ("-", 4), "mul": ("*", 5), "truediv": ("/", 5), "floordiv": ("//", 5), "mod": ("%", 5),
    "pow": ("**", 7), "lt": ("<", 2), "le": ("<=", 2), "gt": (">", 2), "ge": (">=", 2),
    "eq": ("==", 2), "ne": ("!=", 2),
    "and": ("&", 3), "or": ("|", 3), "xor": ("^", 3),
}  # fmt: skip
_ATOM = 9


@told
def pp(x: Any) -> str:
    """The formula of a Variable. Broadcasts and conversions of type are left out. Of a long one the operations nearest
    to the result are shown, and dots for the rest."""
    x = as_tensor_variable(x) if not isinstance(x, Variable) else x
    near = {x}
    queue = deque([x])
    far: dict[Variable, None] = {}
    while queue:
        v = queue.popleft()
        for i in v.owner.inputs if v.owner is not None else ():
            if i in near:
                continue
            if len(near) >= NEAR and i.owner is not None:
                far[i] = None
            else:
                near.add(i)
                queue.append(i)
    text: dict[Variable, tuple[str, int]] = {v: ("...", _ATOM) for v in far}
    for v in ancestors([x], stop=far):
        if v not in far:
            text[v] = _formula(v, text)
    return text[x][0]


def _formula(v: Variable, text: dict[Variable, tuple[str, int]]) -> tuple[str, int]:
    """The text of v and how strongly it binds."""
    if v.owner is None:
        if isinstance(v, Constant) and not v.name:
            shown = as_text(v)
            return shown, 6 if shown.startswith("-") else _ATOM
        return v.name or f"<{v.type}>", _ATOM
    op, inputs = v.owner.op, v.owner.inputs
    name = op.name if isinstance(op, Primitive) else str(op)
    parts = [text[i] for i in inputs]
    if sum(len(p[0]) for p in parts) > FORMULA:
        return f"{name}(...)", _ATOM
    if name in _INFIX and len(parts) == 2:
        sign, rank = _INFIX[name]
        # a - (b - c) keeps its parentheses, (a - b) - c needs none; a power binds from the right; a < b < c is two.
        low, high = (rank + 1, rank - 1) if name == "pow" else (rank + (rank == 2), rank + 1)
        made = inputs[1].owner
        inner = made.op.name if made is not None and isinstance(made.op, Primitive) else ""
        if (name, inner) in (("add", "add"), ("add", "sub"), ("mul", "mul")):
            high = rank
        return f"{_bound(parts[0], low)} {sign} {_bound(parts[1], high)}", rank
    if name == "neg":
        return "-" + _bound(parts[0], 6), 6
    if name in ("dimshuffle", "cast") and isinstance(op, Primitive):
        if name == "dimshuffle" and [o for o in op.attr("order") if o != "x"] != sorted(
            o for o in op.attr("order") if o != "x"
        ):
            return f"{_bound(parts[0], _ATOM)}.transpose{op.attr('order')}" if inputs[
                0
            ].ndim > 2 else f"{_bound(parts[0], _ATOM)}.T", _ATOM
        return parts[0]
    if name == "slice" and isinstance(op, Primitive):
        return f"{_bound(parts[0], _ATOM)}[{_slice(op.attr('spec'), [p[0] for p in parts[1:]])}]", _ATOM
    extra = (
        [f"axis={op.attr('axes')}"]
        if isinstance(op, Primitive) and "axes" in dict(op.attrs) and len(op.attr("axes")) < inputs[0].ndim
        else []
    )
    number = f".{v.index}" if len(v.owner.outputs) > 1 else ""
    return f"{name}({', '.join([p[0] for p in parts] + extra)}){number}", _ATOM


def _bound(part: tuple[str, int], rank: int) -> str:
    return part[0] if part[1] >= rank else f"({part[0]})"


def _slice(spec: Sequence[tuple], bounds: list[str]) -> str:
    out = []
    for s in spec:
        if s[0] == "all":
            out.append(":")
        elif s[0] == "point":
            out.append(bounds.pop(0))
        else:
            start, stop = (bounds.pop(0) if given else "" for given in s[1:3])
            out.append(f"{start}:{stop}" + (f":{s[3]}" if s[3] != 1 else ""))
    return ", ".join(out)


pprint = pp


def min_informative_str(obj: Any, indent_level: int = 0) -> str:
    """A tree of letters, cut at named Variables: what was met before is `<letter>`."""
    tags: dict[Variable, str] = {}
    lines: list[str] = []
    stack = [(v, indent_level) for v in reversed(roots(obj))]
    while stack:
        v, level = stack.pop()
        if v in tags:
            lines.append(f"{' ' * level}<{tags[v]}>")
            continue
        tags[v] = letters(len(tags))
        named = v.name is not None or v.owner is None
        lines.append(f"{' ' * level}{tags[v]}. {v.name or (_leaf(v) if v.owner is None else v.owner.op)}")
        if not named and v.owner is not None:
            if level == indent_level + LEVELS:
                lines[-1] += " ..."
            else:
                stack.extend((i, level + 1) for i in reversed(v.owner.inputs))
    return "\n".join(lines)


def _print(op: Print, value: np.ndarray) -> None:
    for attr in op.attrs:
        shown = getattr(value, attr)
        print(op.message, attr, "=", shown() if callable(shown) else shown)


class Print(Op):
    """`Print("message")(x)` is x, and prints its value whenever it is computed. It runs in Python (a host_call).

    attrs: the attributes of the array to show. global_fn: called as global_fn(op, value) in place of printing.
    """

    __props__ = ("message", "attrs", "global_fn")

    def __init__(self, message: str = "", attrs: Sequence[str] = ("__str__",), global_fn: Callable = _print):
        self.message, self.attrs, self.global_fn = message, tuple(attrs), global_fn

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        self.global_fn(self, inputs[0])
        outputs[0][0] = inputs[0]

    def infer_shape(self, node: Apply, shapes: list) -> list:
        return shapes

    def grad(self, inputs: list, output_gradients: list) -> list:
        return output_gradients

    def R_op(self, inputs: list, eval_points: list) -> list:
        return eval_points

    def __str__(self) -> str:
        return f"Print{{{self.message!r}}}"


__all__ = ["Print", "debugprint", "min_informative_str", "pp", "pprint"]
