"""Expressions that rules are tested on: written in the language of rules, over params of one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.lengths import const
from weft.compiler.ir.node import Node, Region, build, constant, make, region, topological
from weft.compiler.ir.pattern import instantiate, parse
from weft.compiler.ir.rewrite import Pass, Rule, apply
from weft.runtime.errors import DTypeError

N, M = 3, 4


def _param(k: int, dtype: str, *axes: Node) -> Node:
    return build("param", *axes, token=k, dtype=dtype, kind="dense")


def _params() -> dict[str, Node]:
    """Equal lengths are one node, as `assume` leaves them."""
    n, m = (build("dim", token=0, axis=a) for a in (0, 1))
    one = const(1)
    kinds: dict[str, tuple[str, tuple[Node, ...]]] = {
        "x": ("float64", (n, m)), "y": ("float64", (n, m)), "z": ("float64", (n, m)), "w": ("float64", (n, m)),
        "v": ("float64", (n,)), "row": ("float64", (one, m)), "col": ("float64", (n, one)), "s": ("float64", ()),
        "f": ("float32", (n, m)), "h": ("float16", (n, m)), "k": ("complex128", (n, m)), "i": ("int64", (n, m)),
        "j": ("int64", (n, m)), "b": ("int8", (n, m)), "p": ("bool", (n, m)), "q": ("bool", (n, m)),
        "at": ("int64", (n,)), "t": ("int64", ()), "f3": ("float32", (n,)), "u8": ("uint8", (n, m)),
    }  # fmt: skip
    return {name: _param(k, dtype, *axes) for k, (name, (dtype, axes)) in enumerate(kinds.items())}


PARAMS = _params()
N_, M_ = PARAMS["x"].axes
LENGTHS = {"n": N_, "m": M_, "l1": const(1), "l2": const(2), "l0": const(0)}
Written = str | Callable[[], Node]


def node(text: Written, like: Node | None = None) -> Node:
    """The expression; numbers alone are of the type of `like`."""
    if not isinstance(text, str):
        return text()
    return instantiate(parse(text), {**PARAMS, **LENGTHS}, like if like is not None else PARAMS["x"])


def arguments(seed: int = 0) -> list[np.ndarray]:
    """Values in the middle of every domain: floats between 0.2 and 0.9, small integers, valid column numbers."""
    rng = np.random.default_rng(seed)
    out = []
    for name, p in PARAMS.items():
        shape = tuple(1 if a.op == "const" else (N if a is N_ else M) for a in p.axes)
        if name == "at":
            value: Any = np.array([1, -1, 3])
        elif p.dtype == "bool":
            value = rng.integers(0, 2, shape)
        elif p.dtype.startswith(("int", "uint")):
            value = rng.integers(0, 3, shape)
        else:
            value = rng.uniform(0.2, 0.9, shape)
            if p.dtype == "complex128":
                value = value + 1j * rng.uniform(0.2, 0.9, shape)
        out.append(np.asarray(value, p.dtype))
    return out


def closed(*outputs: Node) -> Region:
    """The program of all the params with these outputs and the obligations of their nodes."""
    found = [c for n in topological(outputs) for c in n.checks]
    return region(list(PARAMS.values()), outputs, found)


def values(r: Region, seed: int = 0) -> list[np.ndarray]:
    return evaluate(r, arguments(seed))


def retyped(n: Node, dtype: str) -> Node | None:
    """An expression of float64 params and constants with others of a dtype in their place; None where there is none."""
    made: dict[Node, Node] = {}
    for m in topological([n]):
        if m.op == "param" and m.type.dtype == "float64":
            made[m] = build("param", *m.type.axes, token=m.attr("token"), dtype=dtype, kind="dense")
        elif m.op == "const" and m.type.dtype == "float64":
            made[m] = constant(m.attr("value").array.astype(dtype), dtype)
        else:
            try:
                made[m] = make(m.op, [made[i] for i in m.inputs], m.attrs)
            except DTypeError:
                return None
    return made[n]


def alone(rule: Rule, of: Pass) -> Pass:
    return Pass(f"only {rule.name}", [rule], of.measure, of.context)


def rewritten(p: Pass, text: Written) -> tuple[Region, Region]:
    before = closed(node(text))
    return before, apply(p, before)
