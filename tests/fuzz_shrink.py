"""A failing program made small: fewer outputs, values in place of expressions, operands in place of operations, short
axes, plain numbers. What is left is printed as Python that shows the difference by itself (fuzz_text.py)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from fuzz_check import grown
from fuzz_program import NAME, Program, Value, value_of
from fuzz_text import literal, problem, shown, shows

SECONDS = 90


def failure(p: Program) -> str | None:
    """The kind of what is wrong with a program: a difference, or an error; None where nothing is."""
    found = problem(p)
    return None if found is None else type(found[0]).__name__


def shrunk(seed: int, grad: bool) -> str:
    """The text of what is left of a failing program; of all of it where what is left does not fail by itself."""
    (p,) = grown([seed], grad)
    name, how = f"seed {seed}{' (gradient)' if grad else ''}", "shrunk"
    try:
        small = shrink(p, failure)
    except Exception as e:
        small, how = p, f"not shrunk ({type(e).__name__}: {e})"
    made = shown(small)
    if small is not p and not shows(made) and shows(whole := shown(p)):
        made, how = whole, "not shrunk (what is left of it does not fail by itself)"
    return f"{name}, {how}:\n{made}"


def shrink(p: Program, failure: Callable[[Program], str | None]) -> Program:
    """The smallest program found that fails in the same way."""
    kind, end = failure(p), time.time() + SECONDS
    if kind is None:
        return p

    def better() -> Program | None:
        for q in candidates(p):
            if time.time() > end:
                return None
            if q is not None and failure(q) == kind:
                return q
        return None

    while True:
        q = better()
        if q is None:
            return p
        p = q


def candidates(p: Program) -> Iterator[Program | None]:
    ends = [*[([n], []) for n in p.outputs], *[([], [u]) for u in p.updates]]
    if len(ends) > 1:
        for outs, ups in ends:
            yield attempt(p, lambda q, outs=outs, ups=ups: _ends(q, outs, ups))
        for k in range(len(ends)):
            rest = [e for j, e in enumerate(ends) if j != k]
            outs, ups = [n for o, _ in rest for n in o], [u for _, us in rest for u in us]
            yield attempt(p, lambda q, outs=outs, ups=ups: _ends(q, outs, ups))
    made = [line.partition(" = ")[0] for line in p.lines if line.startswith("v")]
    computed = [n for n in made if n not in p.inputs and not _is_state(p, n)]
    for n in reversed(computed):
        yield attempt(p, lambda q, n=n: _as_input(q, n))
    for n in reversed(computed):
        for m in dict.fromkeys(re.findall(r"\bv\d+\b", _text(p, n))):
            yield attempt(p, lambda q, n=n, m=m: _bypass(q, n, m))
    lengths = sorted({k for n in _given(p) for k in np.shape(p.scope["w" + n[1:]]) if k > 1}, reverse=True)
    for k in lengths:
        for new in (1, 2, k // 2, k - 1):
            if 0 < new < k:
                yield attempt(p, lambda q, k=k, new=new: _shorter(q, k, new))
    for n in _given(p):
        w = p.scope["w" + n[1:]]
        if isinstance(w, np.ndarray) and w.size and len(np.unique(w)) > 1:
            yield attempt(p, lambda q, n=n: _given_as(q, n, np.ones_like(q.scope["w" + n[1:]])))


def attempt(p: Program, change: Callable[[Program], None]) -> Program | None:
    """A copy, changed; None where that is no program."""
    q = Program(p.seed, list(p.lines), list(p.inputs), list(p.outputs), list(p.updates), dict(p.values), list(p.slopes))
    q.scope, q.givens = p.scope, list(p.givens)
    try:
        change(q)
        q = q.reduced(q.outputs, q.updates)
        q.values = {}
        for line in q.lines:
            n = line.partition(" = ")[0]
            if re.fullmatch(r"v\d+", n) and n in p.values:
                v = q.scope[n]
                array = q.scope["w" + n[1:]] if n in q.inputs or _is_state(q, n) else value_of(q, v)
                q.values[n] = Value(n, v, array, False)
    except Exception:
        return None
    return q


def _ends(q: Program, outputs: list[str], updates: list[tuple[str, str]]) -> None:
    q.outputs, q.updates = outputs, updates


def _text(p: Program, n: str) -> str:
    return next(line.partition(" = ")[2] for line in p.lines if line.startswith(f"{n} = "))


def _is_state(p: Program, n: str) -> bool:
    return _text(p, n).startswith("weft.shared(")


def _given(p: Program) -> list[str]:
    """Inputs and shared variables: what has an array."""
    return [n for n in (line.partition(" = ")[0] for line in p.lines) if n.startswith("v") and "w" + n[1:] in p.scope]


def _replace(q: Program, n: str, lines: list[str]) -> None:
    k = next(k for k, line in enumerate(q.lines) if line.startswith(f"{n} = "))
    q.lines[k : k + 1] = lines


def _as_input(q: Program, n: str) -> None:
    """The value that an expression has, given as an argument."""
    v = q.values[n]
    if v.kind == "s" or n in q.inputs:
        raise ValueError(n)
    shape = tuple(1 if b else None for b in v.variable.broadcastable)
    declared = f"{n} = T.tensor({v.dtype!r}, shape={shape}, name={n!r})"
    _replace(q, n, [f"w{n[1:]} = {literal(np.asarray(v.array))}", declared])
    q.givens = [g for g in q.givens if g[0] != n]
    order = [line.partition(" = ")[0] for line in q.lines]
    q.inputs = sorted([*q.inputs, n], key=order.index)


def _bypass(q: Program, n: str, m: str) -> None:
    a, b = q.values[n], q.values[m]
    if a.kind == "s" or b.kind == "s" or a.dtype != b.dtype or a.ndim != b.ndim:
        raise ValueError(n)
    _replace(q, n, [f"{n} = {m}"])


def _given_as(q: Program, n: str, array: Any) -> None:
    for k, line in enumerate(q.lines):
        if line.startswith(f"w{n[1:]} = "):
            q.lines[k] = f"w{n[1:]} = {literal(array)}"


def _shorter(q: Program, length: int, new: int) -> None:
    """Every axis of this length cut."""
    for n in _given(q):
        w = q.scope["w" + n[1:]]
        if isinstance(w, np.ndarray) and length in w.shape:
            _given_as(q, n, np.array(w[tuple(slice(0, new) if k == length else slice(None) for k in w.shape)]))
    for k, line in enumerate(q.lines):
        if not line.startswith("w"):
            q.lines[k] = re.sub(rf"(shape=\([^)]*)\b{length}\b", rf"\g<1>{new}", line)


__all__ = ["NAME", "candidates", "failure", "shrink", "shrunk"]
