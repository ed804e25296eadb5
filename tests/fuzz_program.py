"""A random program: text, line by line, with what each line is worth; how it is lowered and what it shows of itself.

A line is `name = expression`. `wK` is the argument for the input `vK`, or the first value of a shared variable; `rK` is
a source of random numbers, `uK` the updates of a loop. What is printed can be pasted and runs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.sparse
import weft.tensor as T
from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.interp import evaluate
from weft.tensor.shared_randomstreams import RandomStreams

HEAD = """\
import numpy as np, weft, weft.sparse, weft.tensor as T
from weft.ifelse import ifelse
from weft.compile.ops import as_op
from weft.scan_module import until
from weft.tensor.shared_randomstreams import RandomStreams

inf, nan = np.inf, np.nan
"""
NAME = re.compile(r"\b[vwru]\d+\b")


@dataclass
class Value:
    """A variable of a program, and what it is worth."""

    name: str
    variable: Any
    array: Any
    exact: bool  # whether any order of evaluation gives these bits

    @property
    def kind(self) -> str:
        """b, i, u, f or c; s for a sparse matrix."""
        return "s" if not isinstance(self.array, np.ndarray) else DTYPES[self.array.dtype.name].kind

    @property
    def dtype(self) -> str:
        return self.array.dtype.name

    @property
    def ndim(self) -> int:
        return len(self.array.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape


class Slope(NamedTuple):
    """A derivative in the program: d cost / d wrt along `direction` is `result` (summed over what the cost has)."""

    cost: str
    wrt: str
    result: str
    direction: str | None  # of Rop; None: `result` is a gradient


@dataclass
class Program:
    seed: int
    lines: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    updates: list[tuple[str, str]] = field(default_factory=list)  # shared variable, new value
    values: dict[str, Value] = field(default_factory=dict)
    slopes: list[Slope] = field(default_factory=list)
    scope: dict[str, Any] = field(default_factory=dict)
    givens: list[tuple[str, str]] = field(default_factory=list)  # variable, what takes its place
    dropped: list[tuple[str, str]] = field(default_factory=list)  # lines that were not kept: why in short, which

    def symbols(self) -> list[Any]:
        return [self.scope[n] for n in self.inputs]

    @property
    def arguments(self) -> list[Any]:
        return [self.scope["w" + n[1:]] for n in self.inputs]

    @property
    def lent(self) -> list[bool]:
        """Which outputs lie in memory that the function keeps, and writes to at its next call."""
        return [random.Random(f"{self.seed} {n}").random() < 0.15 for n in self.outputs]

    def variables(self) -> list[Any]:
        return [self.scope[n] for n in self.outputs]

    def pairs(self) -> list[tuple[Any, Any]]:
        return [(self.scope[a], self.scope[b]) for a, b in self.updates]

    def states(self) -> list[str]:
        """Its shared variables."""
        return [line.partition(" = ")[0] for line in self.lines if " = weft.shared(" in line]

    def replacements(self) -> list[tuple[Any, Any]]:
        return [(self.scope[a], self.scope[b]) for a, b in self.givens]

    def lowered(self, outs: Sequence[Any] | None = None, updates: Sequence[tuple[Any, Any]] | None = None) -> Lowered:
        """All of it; or these variables and updates."""
        if outs is None and updates is None:
            outs, updates = self.variables(), self.pairs()
        return Lowered(self.symbols(), outs or (), updates or (), self.replacements())

    def needed(self, wanted: Sequence[str]) -> list[str]:
        """The lines that these names need, in order."""
        names, kept = set(wanted), []
        for line in reversed(self.lines):
            name, _, rest = line.partition(" = ")
            targets = {t.strip() for t in name.split(",")}
            if targets & names:
                kept.append(line)
                names |= {*NAME.findall(rest), *("w" + t[1:] for t in targets if t in self.inputs)}
        given = {b for a, b in self.givens if a in names} - {*wanted}
        return self.needed([*wanted, *sorted(given)]) if given else kept[::-1]

    def reduced(self, outputs: Sequence[str], updates: Sequence[tuple[str, str]] = ()) -> Program:
        """The program of some of the outputs and updates."""
        lines = self.needed([*outputs, *(n for pair in updates for n in pair)])
        names = {t.strip() for line in lines for t in line.partition(" = ")[0].split(",")}
        made = Program(self.seed, lines, [n for n in self.inputs if n in names], list(outputs), list(updates))
        made.slopes = [s for s in self.slopes if s.result in outputs]
        made.givens = [g for g in self.givens if g[0] in names]
        made.run()
        return made

    def run(self) -> None:
        """Runs the lines: the scope is then complete."""
        self.scope = fresh_scope()
        for line in self.lines:
            exec(line, self.scope)

    def text(self) -> str:
        """Compiled beside interpreted, roughly: what shows a difference is written by fuzz_text.py."""
        ins = ", ".join(self.inputs)
        args = ", ".join("w" + n[1:] for n in self.inputs)
        ups, given = (", ".join(f"({a}, {b})" for a, b in pairs) for pairs in (self.updates, self.givens))
        states = "".join(f", {a}.get_value()" for a, _ in self.updates)
        return "\n".join([
            HEAD.rstrip(), "def run(mode):  # all made anew: shared variables, states of random streams",
            *(f"    {line}" for line in self.lines),
            f"    f = weft.function([{ins}], [{', '.join(self.outputs)}], updates=[{ups}], mode=mode, "
            f"{f'givens=[{given}], ' if given else ''}on_unused_input='ignore')",
            *(f"    {line}" for s in self.slopes for line in self.slope(s, ins, args)),
            f"    return [*f({args}){states}]",
            "for a, b in zip(run('compile'), run('interpret')):",
            "    print(a, b, sep='\\n')",
            "    half = np.asarray(a).dtype.name in ('float16', 'bfloat16')",
            "    error = dict(rtol=1e-2, atol=1e-3) if half else dict(rtol=1e-5, atol=1e-6)",
            "    np.testing.assert_allclose(np.asarray(a, complex), np.asarray(b, complex), **error)",
        ])  # fmt: skip

    def direction(self, s: Slope) -> np.ndarray:
        if s.direction is not None:
            return np.array(self.scope["w" + s.direction[1:]])
        return np.random.default_rng(self.seed).choice([-1.0, 1.0, 0.5], self.scope["w" + s.wrt[1:]].shape)

    def slope(self, s: Slope, ins: str, args: str) -> list[str]:
        """The comparison of a derivative with a difference, as text."""
        w = "w" + s.wrt[1:]
        if s.direction is not None:
            d, sum_ = "w" + s.direction[1:], s.result
        else:
            d = f"np.random.default_rng({self.seed}).choice([-1.0, 1.0, 0.5], {w}.shape)"
            sum_ = f"({s.result} * d).sum()"
        return [
            f"d = {d}",
            f"c = weft.function([{ins}], [{s.cost}, {sum_}], mode='interpret', on_unused_input='ignore')",
            f"at = lambda t: c(*[a + t * d if a is {w} else a for a in ({args}{',' if args else ''})])",
            f"print('derivative of {s.cost} by {s.wrt}:', at(0)[1])",
            "print('difference:', (at(1e-6)[0] - at(-1e-6)[0]) / 2e-6)",
        ]  # fmt: skip


def fresh_scope() -> dict[str, Any]:
    from weft.compile.ops import as_op
    from weft.ifelse import ifelse
    from weft.scan_module import until

    return {
        "T": T, "weft": weft, "np": np, "ifelse": ifelse, "as_op": as_op, "until": until,
        "RandomStreams": RandomStreams, "inf": np.inf, "nan": np.nan,
    }  # fmt: skip


class Lowered:
    """A program, or several, in mode "interpret": its region, and what it takes."""

    def __init__(
        self,
        ins: Sequence[Any],
        outs: Sequence[Any],
        updates: Sequence[tuple[Any, Any]] = (),
        givens: Sequence[tuple[Any, Any]] = (),
    ):
        self.function = weft.function(
            list(ins), list(outs), updates=list(updates), givens=list(givens), mode="interpret",
            on_unused_input="ignore",
        )  # fmt: skip
        self.region = self.function.executor.region
        self.storages = self.function.storages
        self.updates = self.function.executor.updates

    def arguments(self, args: Sequence[Any]) -> list[np.ndarray]:
        return [*self.function._bind(tuple(args), {})[0], *(s.array().copy() for s in self.storages)]

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        with np.errstate(all="ignore"):
            return evaluate(self.region, self.arguments(args))


def value_of(p: Program, variable: Any) -> Any:
    if weft.sparse.is_sparse(variable):
        made = p.lowered(list(weft.sparse.csm_properties(variable)))(p.arguments)
        data, indices, indptr, shape = made[:4]  # new states of what it draws stand behind
        from scipy.sparse import csr_matrix

        return csr_matrix((data, indices, indptr), shape=tuple(int(n) for n in shape))
    return p.lowered([variable])(p.arguments)[0]
