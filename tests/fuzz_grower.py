"""Makes random programs (fuzz_program.py), which fuzz_programs.py compiles and interprets.

A program is grown line by line; each new variable is interpreted at once, and a line is kept only if its values are
finite and bounded. Comparisons, roundings, orders and casts to integers mostly take exact values (small multiples of
powers of two), for a value that is rounded differently when compiled says nothing there.

The makers of lines stand in fuzz_makers*.py. Each gives the text of an expression, or None where nothing fits; with "!"
in front where the result is exact if the operands are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from fuzz_makers import PAIRS, Makers
from fuzz_makers_rules import ALL, NEEDS, RuleMakers
from fuzz_makers_structure import StructureMakers
from fuzz_program import NAME, Lowered, Program, Slope, Value, fresh_scope, value_of

import weft
from weft.compiler.ir.dtypes import DTYPES
from weft.runtime.errors import WeftError

LIMIT = 1e4
LARGE = 60_000
USUAL = ("float32", "float64", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")
RARE = ("float16", "bfloat16", "complex64", "complex128", "int16", "uint16", "uint32", "uint64")
SMOOTH = ("float64", "float64", "float64", "float32", "complex128")
DIMS = (0, 1, 2, 3, 5, 7, 9, 17)
EXACT_ROOM = {"float16": 9, "bfloat16": 6, "float32": 22, "float64": 50, "complex64": 22, "complex128": 50}


class Grower(Makers, StructureMakers, RuleMakers):
    """Grows one program from its seed."""

    def __init__(self, seed: int, smooth: bool = False):
        self.rng = random.Random(f"{seed} {smooth}")
        self.smooth = smooth  # for gradients: floats, none at a kink
        self.wide = smooth and self.rng.random() < 0.7  # of 64 bits: differences say what derivatives are
        self.program = Program(seed)
        self.program.scope = fresh_scope()
        self.lengths = [self.rng.choice(DIMS) for _ in range(3)]
        if self.rng.random() < 0.85:
            self.lengths = [d or 4 for d in self.lengths]
        if self.rng.random() < 0.15:
            self.lengths[self.rng.randrange(3)] = self.rng.choice([1100, 1100, 33, 64, 3000])
        # What a program has most of: one family gives deeper nests of it than all at once.
        makers = self.makers()
        loved = self.rng.sample(range(len(makers)), 3)
        self.weighted = [(m, w * (4 if k in loved else 1)) for k, (m, w) in enumerate(makers)]

    def grow(self) -> Program:
        for _ in range(self.rng.randint(1, 4)):
            self.input()
        if (need := NEEDS.get(ALL[self.program.seed % len(ALL)].name)) and (not self.smooth or need in SMOOTH):
            self.input(need)
        if self.rng.random() < 0.35:
            self.shared()
        wanted = self.rng.randint(3, 12)
        start = len(self.values)
        aims = self.aims()
        for _ in range(wanted * 4):
            if len(self.values) - start >= wanted:
                break
            self.step()
            if aims and self.rng.random() < 0.3:
                self.aim(aims.pop())
        for a in aims:
            self.aim(a)
        if self.smooth:
            self.derivatives()
        elif self.rng.random() < 0.2:
            self.give()
        self.choose_outputs()
        return self.program

    # Values

    @property
    def values(self) -> list[Value]:
        return list(self.program.values.values())

    def pick(self, *kinds: str, exact: bool = False, ndim: int | None = None, least: int = 0) -> Value | None:
        """A value of these kinds (b, i, u, f, c; all but sparse ones by default)."""
        exact = exact and self.rng.random() < 0.93
        found = [
            v for v in self.values
            if (v.kind in kinds if kinds else v.kind != "s") and (v.exact or not exact)
            and (ndim is None or v.ndim == ndim) and v.ndim >= least
        ]  # fmt: skip
        if not found:
            return None
        late = found[-4:]
        return self.rng.choice(late if self.rng.random() < 0.6 else found)

    def fresh(self) -> str:
        return f"v{len(self.values)}"

    def run(self, line: str) -> Any:
        exec(line, self.program.scope)
        return self.program.scope[line.partition(" = ")[0].split(",")[0].strip()]

    def numbers(self, dtype: str, shape: tuple[int, ...]) -> str:
        """The text of an array of exact values."""
        kind = DTYPES[dtype].kind
        low, high = (0, 2) if kind == "b" else (0, 9) if kind == "u" else (-8, 9)
        seed = self.rng.randrange(1000)
        text = f"np.random.default_rng({seed}).integers({low}, {high}, {shape})"
        if kind in "fc":
            text = f"{text} / 4" + (" + 0.0625" if self.smooth else "")
        if kind == "c":
            text = f"{text} + 1j * np.random.default_rng({seed + 1}).integers({low}, {high}, {shape}) / 4"
        named = "weft.compiler.ir.dtypes.numpy_dtype('bfloat16')" if dtype == "bfloat16" else repr(dtype)
        layout = ", order='F'" if len(shape) > 1 and self.rng.random() < 0.2 else ""
        return f"np.asarray({text}, {named}{layout})"

    def shape(self) -> tuple[int, ...]:
        rng = self.rng
        shape = tuple(
            rng.choice(self.lengths) if rng.random() < 0.85 else 1 for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3]))
        )
        while np.prod(shape, dtype=int) > LARGE:
            shape = shape[1:]
        return shape

    def dtype(self) -> str:
        if self.smooth:
            return self.rng.choice(("float64", "float64", "float64", "complex128") if self.wide else SMOOTH)
        return self.rng.choice(RARE if self.rng.random() < 0.2 else USUAL)

    def input(self, dtype: str = "") -> None:
        rng, name = self.rng, self.fresh()
        dtype, shape = dtype or self.dtype(), self.shape()
        stretched = tuple(1 if n == 1 and rng.random() < 0.7 else n if rng.random() < 0.1 else None for n in shape)
        given = f"w{name[1:]} = {self.numbers(dtype, shape)}"
        if len(shape) and rng.random() < 0.1:
            given = f"w{name[1:]} = {self.numbers(dtype, (2 * shape[0], *shape[1:]))}[::-2]"
        declared = f"{name} = T.tensor({dtype!r}, shape={stretched}, name={name!r})"
        array = self.run(given)
        self.program.lines += [given, declared]
        self.program.inputs.append(name)
        self.program.values[name] = Value(name, self.run(declared), array, True)

    def shared(self, text: str = "") -> Value:
        name = self.fresh()
        given = f"w{name[1:]} = {text or self.numbers(self.dtype(), self.shape())}"
        declared = f"{name} = weft.shared(w{name[1:]}, {name!r})"
        array = self.run(given)
        self.program.lines += [given, declared]
        self.program.values[name] = value = Value(name, self.run(declared), array, True)
        return value

    # Growing

    def aims(self) -> list[Callable[[], str | None]]:
        """What this seed in particular tries: seeds in turn try every rule, and every operation on every dtype."""
        rule, (op, dtype) = ALL[self.program.seed % len(ALL)], PAIRS[self.program.seed % len(PAIRS)]
        return [lambda: self.aimed(rule), lambda: self.paired(op, dtype)]

    def aim(self, make: Callable[[], str | None]) -> None:
        for _ in range(3):
            text = make()
            if text is not None and self.add(text) is not None:
                return

    def step(self) -> None:
        make = self.rng.choices([k for k, _ in self.weighted], [w for _, w in self.weighted])[0]
        text = make()
        if text is not None:
            self.add(text)

    def add(self, text: str) -> Value | None:
        """A new line, if what it gives can be used."""
        keeps = text.startswith("!")
        text = text.lstrip("!")
        name = self.fresh()
        line = f"{name} = {text}"
        used = [self.program.values[n] for n in dict.fromkeys(NAME.findall(text)) if n in self.program.values]
        try:
            variable = self.run(line)
        except (WeftError, NotImplementedError) as e:
            # The text is well-typed by the makers' rules but for what they cannot know: combinations of dtypes.
            if isinstance(e, weft.InternalError):
                raise AssertionError(f"{line}: {e}\n{self.program.text()}") from e
            return self.drop(type(e).__name__, line, e)
        value = self.judge(line, variable, keeps and all(v.exact for v in used))
        if value is not None:
            self.program.lines.append(line)
            self.program.values[name] = value
        return value

    def drop(self, kind: str, line: str, error: Exception | str = "") -> None:
        """Notes a line that is not kept."""
        self.program.dropped.append((kind, f"{line}  {error}".partition("\n")[0].strip()))

    def judge(self, line: str, variable: Any, exact: bool) -> Value | None:
        name = line.partition(" = ")[0]
        if self.smooth and not variable.dtype.startswith(("float", "complex")):
            return self.drop("no float", line)
        if self.wide and variable.dtype not in ("float64", "complex128"):
            return self.drop("not of 64 bits", line)
        try:
            array = value_of(self.program, variable)
        except WeftError as e:
            if isinstance(e, weft.InternalError):
                raise AssertionError(f"{line}: {e}\n{self.program.text()}") from e
            return self.drop(f"{type(e).__name__} of a value", line, e)
        value = Value(name, variable, array, exact)
        if value.kind == "s":
            return value if bounded(array.data) else self.drop("not finite or large", line)
        if array.size > LARGE or array.ndim > 5:
            return self.drop("many elements or axes", line)
        if not bounded(array):
            return self.drop("not finite or large", line)
        if exact and value.kind in "fc" and array.size:
            fine = array.astype(complex) * 1024
            whole = (fine.real == np.rint(fine.real)) & (fine.imag == np.rint(fine.imag))
            value.exact = bool(whole.all() and np.abs(fine).sum() < 2.0 ** EXACT_ROOM[value.dtype])
        value.exact = value.exact or value.kind in "biu"
        return value

    # The end

    def choose_outputs(self) -> None:
        p, rng = self.program, self.rng
        read = {n for line in p.lines for n in re.findall(r"\bv\d+\b", line.partition(" = ")[2])}
        states = p.states()
        made = [v.name for v in self.values if v.kind != "s" and v.name not in p.inputs and v.name not in states]
        p.outputs = [n for n in made if n not in read or rng.random() < 0.2]
        p.outputs += [s.result for s in p.slopes if s.result not in p.outputs]
        for s in states:
            new = self.new_state(p.values[s])
            if new is None:
                continue
            p.updates.append((s, new))
            if new in p.outputs and rng.random() < 0.7:  # otherwise the new value has another reader
                p.outputs.remove(new)

    def give(self) -> None:
        """An input becomes what a shared variable holds, or part of it, as batches are."""
        p, rng = self.program, self.rng
        found = [n for n in p.inputs if p.values[n].kind != "s"]
        if not found:
            return
        old = rng.choice(found)
        text = next(line.partition(" = ")[2] for line in p.lines if line.startswith(f"w{old[1:]} = "))
        part = p.values[old].ndim and rng.random() < 0.6
        s = self.shared(f"np.concatenate([{text}, {text}])" if part else text)
        if part:
            s = self.add(f"!{s.name}[{s.name}.shape[0] // 2 :]")
        if s is not None:
            p.inputs.remove(old)
            p.givens.append((old, s.name))

    def new_state(self, s: Value) -> str | None:
        """A value that may replace a shared variable's: one there is, or one made of it."""
        rng = self.rng
        fits = [
            v.name for v in self.values
            if v.name != s.name and v.kind != "s" and v.dtype == s.dtype and v.shape == s.shape
        ]  # fmt: skip
        dependent = [n for n in fits if s.name in {t for line in self.program.needed([n]) for t in NAME.findall(line)}]
        if dependent and rng.random() < 0.6:
            return rng.choice(dependent)
        resized = bool(s.ndim and s.shape[0]) and rng.random() < 0.15
        if resized:
            made = self.add(rng.choice([
                f"!T.concatenate([{s.name}, {s.name}[:1]])", f"!{s.name}[1:]", f"!{s.name}[::2]",
                f"!{s.name}[: {s.name}.shape[0] - 1]", f"!T.concatenate([{s.name}[1:], {s.name}[:3]])",
                f"!{s.name}[T.arange({s.name}.shape[0] // 2 + 1)]",
            ]))  # fmt: skip
        elif s.kind == "b":
            made = self.add(f"!T.xor({s.name}, True)")
        elif s.ndim and s.shape[0] and rng.random() < 0.3:  # some places of it, perhaps to what stands at others
            mode, at = rng.choice(["set", "inc"]), self.places(s.shape[0])
            value = rng.choice(["2", f"{s.name}[{at}] * 3", f"{s.name}[0]"])
            made = self.add(f"!T.{mode}_subtensor({s.name}[{at}], {value})")
        elif fits and rng.random() < 0.7:
            other = rng.choice(fits)
            made = self.add(
                rng.choice([f"!{s.name} - {other} * 2", f"!{s.name} * 3 + {other}", f"!{other} - {s.name}"])
            )
        else:
            made = self.add(rng.choice([
                f"!{s.name} * 2 + 1", f"!T.switch(T.gt(abs({s.name}), 1), {s.name}, 3)", f"!{s.name} + {s.name}",
                *([f"!{s.name}[::-1]"] if s.ndim else []), *([f"!T.inc_subtensor({s.name}[1:], 2)"] if s.ndim else []),
            ]))  # fmt: skip
        if made is None or made.dtype != s.dtype or (made.shape != s.shape and not resized):
            return None
        return made.name

    def derivatives(self) -> None:
        """A cost of what there is, its gradients, and derivatives along a direction."""
        p, rng = self.program, self.rng
        read = {n for line in p.lines for n in re.findall(r"\bv\d+\b", line.partition(" = ")[2])}
        ends = [
            v for v in self.values if v.name not in p.inputs and v.name not in read and v.kind in "fc" and v.array.size
        ]
        parts = []
        for v in ends[:6]:
            name = f"T.real({v.name} * T.conj({v.name}))" if v.kind == "c" else f"T.sqr({v.name})"
            parts.append(f"T.cast(T.mean({name if rng.random() < 0.7 or v.kind == 'c' else v.name}), 'float64')")
        cost = self.add(" + ".join(parts)) if parts else None
        wrt = [p.values[n] for n in p.inputs if p.values[n].kind in "fc"]
        if cost is None:
            return
        for w in wrt:
            made = self.add(f"weft.grad({cost.name}, {w.name}, disconnected_inputs='ignore')")
            if made is not None and made.shape == w.shape:
                p.slopes.append(Slope(cost.name, w.name, made.name, None))
                if w.dtype == "float64" and rng.random() < 0.25:
                    self.add(f"weft.grad(T.sum({made.name} * {made.name}), {w.name}, disconnected_inputs='ignore')")
        alike = [(v, w) for v in wrt for w in wrt if v.shape == w.shape and v.dtype == w.dtype == "float64"]
        if ends and alike and rng.random() < 0.4:
            (at, along), end = rng.choice(alike), rng.choice(ends)
            if end.dtype == "float64" and any(line.startswith(f"{at.name} = ") for line in p.needed([end.name])):
                made = self.add(f"T.Rop({end.name}, {at.name}, {along.name})")
                if made is not None and made.shape == end.shape:
                    p.slopes.append(Slope(end.name, at.name, made.name, along.name))

    def makers(self) -> list[tuple[Callable[[], str | None], int]]:
        return [*self.usual(), *self.structures(), *self.rules()]


def bounded(array: np.ndarray) -> bool:
    kind = DTYPES[array.dtype.name].kind
    if kind not in "fc" or not array.size:
        return True
    wide = array.astype(complex if kind == "c" else float)
    return bool(np.isfinite(wide).all() and np.abs(wide).max() < LIMIT)


__all__ = ["Grower", "Lowered"]
