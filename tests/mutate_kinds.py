"""Mutants of the compiler: a rewrite rule, a derivative, an index map, a lifetime or a decision to write in place made
wrong at one place, in the running process."""

from __future__ import annotations

import ast
import copy
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from weft.compiler.codegen import segments
from weft.compiler.grad import rules_elementwise, rules_index, rules_linalg, rules_structure  # noqa: F401  (fill PULLBACK)
from weft.compiler.grad.table import PULLBACK, PUSHFORWARD
from weft.compiler.ir.node import Node, build
from weft.compiler.ir.pattern import instantiate, number
from weft.compiler.lower import elements, few
from weft.compiler.schedule import affine, inplace, program, steps, uses
from weft.compiler.simplify import PASSES


class Mutant(NamedTuple):
    kind: str
    name: str
    apply: Callable[[], None]
    about: str = ""  # the rule or operation that it changes: programs without it need not be run


# Rules


def _wrong(rule: Any) -> None:
    """What it gives is 1 too large, or the other truth value."""
    true = rule.replacement

    def replacement(b: Any, node: Node, *context: Any) -> Node | None:
        if not callable(true):
            new = instantiate(true, b, node)
        else:
            new = true(b, node, *context) if rule.contextual else true(b, node)
        if new is None or not hasattr(new.type, "axes") or new.type.kind != "dense":
            return new
        return build("invert", new) if new.dtype == "bool" else build("add", new, number(1, new.dtype, new.ndim))

    rule.replacement = replacement


def _never(rule: Any) -> None:
    rule.where = lambda b, node: False


def _always(rule: Any) -> None:
    rule.where = None


def rules() -> Iterator[Mutant]:
    for p in PASSES:
        for r in p.rules:
            yield Mutant("rule", f"{r.name}: gives 1 more", lambda r=r: _wrong(r), r.name)
            yield Mutant("rule", f"{r.name}: never", lambda r=r: _never(r), r.name)
            if r.where is not None:
                yield Mutant("rule", f"{r.name}: without its condition", lambda r=r: _always(r), "")


# Derivatives


def _changed(table: dict[str, Any], op: str, change: Callable[[Any], Any]) -> None:
    true = table[op]

    def made(node: Any, grads: Any) -> Any:
        found = true(node, grads)
        return [g if g is None or not hasattr(g, "dtype") else change(g) for g in found]

    table[op] = made


def _scaled(op: str, k: int) -> None:
    row = list(rules_elementwise.ROWS[op])
    true = row[k]

    def scaled(*args: Any) -> Any:
        g = true(*args)
        return None if g is None else g * 2

    row[k] = scaled
    rules_elementwise.ROWS[op] = tuple(row)


def derivatives() -> Iterator[Mutant]:
    for op, row in rules_elementwise.ROWS.items():
        for k in range(len(row)):
            yield Mutant("derivative", f"{op}, argument {k}: twice", lambda op=op, k=k: _scaled(op, k), op)
    for op in PULLBACK:
        yield Mutant("derivative", f"pullback of {op}: negated", lambda op=op: _changed(PULLBACK, op, lambda g: -g), op)
    for op in PUSHFORWARD:
        yield Mutant(
            "derivative", f"pushforward of {op}: negated", lambda op=op: _changed(PUSHFORWARD, op, lambda g: -g), op
        )


# Code: one operator, number or condition changed


_COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_CALLED = {
    "lengths.add": "sub", "lengths.sub": "add", "lengths.maximum": "minimum", "lengths.minimum": "maximum",
}  # fmt: skip


def points(function: ast.AST) -> Iterator[tuple[ast.AST, str, Callable[[ast.AST], None]]]:
    """What may be changed in a function: the node, a description, the change. Whether `zip` is strict is not."""
    strict = {k.value for n in ast.walk(function) if isinstance(n, ast.Call) for k in n.keywords if k.arg == "strict"}
    for n in ast.walk(function):
        if n in strict:
            continue
        if isinstance(n, ast.Compare) and type(n.ops[0]) in _COMPARED:
            new = _COMPARED[type(n.ops[0])]
            yield n, f"{type(n.ops[0]).__name__} is {new.__name__}", lambda m, new=new: m.ops.__setitem__(0, new())  # type: ignore[attr-defined]
        elif isinstance(n, ast.BoolOp):
            other = ast.Or if isinstance(n.op, ast.And) else ast.And
            yield n, f"{type(n.op).__name__} is {other.__name__}", lambda m, other=other: setattr(m, "op", other())
        elif isinstance(n, ast.BinOp) and isinstance(n.op, (ast.Add, ast.Sub)):
            turned = ast.Sub if isinstance(n.op, ast.Add) else ast.Add
            yield n, f"{type(n.op).__name__} is {turned.__name__}", lambda m, turned=turned: setattr(m, "op", turned())
        elif isinstance(n, ast.If):
            yield n, "never", lambda m: setattr(m, "test", ast.Constant(False))
        elif isinstance(n, ast.Constant) and type(n.value) is int:
            yield n, f"{n.value} is {n.value + 1}", lambda m: setattr(m, "value", m.value + 1)  # type: ignore[attr-defined]
        elif isinstance(n, ast.Constant) and type(n.value) is bool:
            yield n, f"{n.value} is {not n.value}", lambda m: setattr(m, "value", not m.value)  # type: ignore[attr-defined]
        elif isinstance(n, ast.Call) and ast.unparse(n.func) in _CALLED:
            new_name = _CALLED[ast.unparse(n.func)]
            yield n, f"{ast.unparse(n.func)} is {new_name}", lambda m, name=new_name: setattr(m.func, "attr", name)  # type: ignore[attr-defined]


def names(function: ast.AST) -> list[str]:
    """What each point is called: by its text, for lines move; equal ones are numbered in the order of the text."""
    parents = {child: n for n in ast.walk(function) for child in ast.iter_child_nodes(n)}
    found = []
    for n, what, _ in points(function):
        whole = n.test if isinstance(n, ast.If) else n
        while isinstance(whole, (ast.Constant, ast.UnaryOp, ast.Slice, ast.Tuple, ast.keyword)) and n is not function:
            whole = parents[whole]
        text = ast.unparse(whole.test) if isinstance(whole, (ast.If, ast.While)) else ast.unparse(whole)
        text = text.partition("\n")[0]  # of a loop its head
        at = (getattr(n, "lineno", 0), getattr(n, "col_offset", 0))
        found.append((f"{'if ' * isinstance(n, ast.If)}{text}: {what}", at))
    alike: dict[str, list[tuple[int, int]]] = {}
    for name, at in sorted(found, key=lambda f: f[1]):
        alike.setdefault(name, []).append(at)
    made, used = [], Counter[tuple[str, tuple[int, int]]]()
    for name, at in found:
        k = alike[name].index(at) + used[name, at]
        used[name, at] += 1
        made.append(f"{name} ({k + 1})" if k else name)
    return made


def functions(module: ModuleType) -> Iterator[tuple[str | None, ast.FunctionDef]]:
    """The functions of a module, and the methods of its classes with the class."""
    for n in ast.parse(inspect.getsource(module)).body:
        if isinstance(n, ast.FunctionDef):
            yield None, n
        elif isinstance(n, ast.ClassDef):
            for m in n.body:
                if isinstance(m, ast.FunctionDef) and m.name != "__init__":
                    yield n.name, m


def replace(module: ModuleType, owner: str | None, function: ast.FunctionDef, at: int) -> None:
    """Puts the function with its point number `at` changed in the place of the one there is, wherever it is named."""
    changed = copy.deepcopy(function)
    node, _, change = list(points(changed))[at]
    change(node)
    tree = ast.fix_missing_locations(ast.Module([changed], []))
    space: dict[str, Any] = {}
    flags = sys.modules["__future__"].annotations.compiler_flag if "__future__" in sys.modules else 0
    code = compile(tree, module.__file__ or "", "exec", flags=flags)
    holder = vars(module)
    before = holder.get(function.name) if owner is None else getattr(holder[owner], function.name)
    kept = holder.get(function.name)
    exec(code, holder, space)
    made = space[function.name]
    if kept is not None and owner is not None:
        holder[function.name] = kept
    if owner is not None:
        setattr(holder[owner], function.name, made)
        return
    for m in list(sys.modules.values()):
        if getattr(m, "__name__", "").startswith("weft."):
            for name, value in list(vars(m).items()):
                if value is before and before is not None:
                    setattr(m, name, made)
                if isinstance(value, dict):
                    for key, entry in list(value.items()):
                        if entry is before and before is not None:
                            value[key] = made


def code(kind: str, module: ModuleType, only: tuple[str, ...] = ()) -> Iterator[Mutant]:
    for owner, f in functions(module):
        if only and f.name not in only:
            continue
        label = f"{module.__name__.rpartition('.')[2]}.{f'{owner}.' if owner else ''}{f.name}"
        for k, name in enumerate(names(f)):
            yield Mutant(kind, f"{label}: {name}", lambda owner=owner, f=f, k=k: replace(module, owner, f, k))


def _shorter() -> None:
    """Every value of the arena lives a step less."""
    true = program.plan_memory

    def plan(buffers: Any) -> Any:
        for b in buffers:
            if b.place == "arena" and b.end > b.start:
                b.end -= 1
        return true(buffers)

    program.plan_memory = plan


def _longest_first() -> None:
    true = program.plan_memory

    def plan(buffers: Any) -> Any:
        for b in buffers:
            if b.place == "arena" and b.start:
                b.start += 1
        return true(buffers)

    program.plan_memory = plan


def _not_used_again() -> None:
    """Reading a value does not make it live longer."""
    true = program.Builder.use

    def use(self: Any, n: Node) -> Any:
        known = n in self.value
        end = self.value[n].end if known else 0
        b = true(self, n)
        if known:
            b.end = end
        return b

    program.Builder.use = use  # type: ignore[method-assign]


def mutants() -> list[Mutant]:
    lifetimes = (
        "plan_memory", "use", "use_scalar", "control", "scan", "result", "build_program", "outputs",
    )  # fmt: skip
    return [
        *rules(), *derivatives(),
        *code("index map", elements), *code("index map", uses), *code("index map", affine),
        *code("index map", segments), *code("index map", few),
        Mutant("lifetime", "every value lives a step less", _shorter),
        Mutant("lifetime", "every value begins a step later", _longest_first),
        Mutant("lifetime", "reading does not keep a value", _not_used_again),
        *code("lifetime", program, lifetimes), *code("lifetime", steps, ("is_early",)), *code("in place", inplace),
    ]  # fmt: skip


__all__ = ["Mutant", "mutants"]
