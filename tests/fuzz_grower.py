"""Makes random programs, which fuzz_programs.py compiles and interprets.

A program is text: lines that make symbolic variables, so that a failing one prints as it can be pasted. It is grown
line by line; each new variable is interpreted at once, and a line is kept only if it gives values that are bounded and
whose comparison says something: comparisons, roundings, orders and casts to integers take exact values only (small
multiples of powers of two), for sums and functions may be rounded differently when compiled.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import weft
import weft.tensor as T

FLOATS = ("float32", "float64")
INTS = ("int8", "uint8", "int32", "int64")
LIMIT = 1e4
LARGE = 60_000


@dataclass
class Value:
    """A variable of a program, and what it is worth."""

    name: str
    variable: Any
    array: np.ndarray
    exact: bool  # whether any order of evaluation gives these bits
    single: bool  # whether float32 took part

    @property
    def kind(self) -> str:
        return self.array.dtype.kind

    @property
    def ndim(self) -> int:
        return self.array.ndim


@dataclass
class Program:
    seed: int
    lines: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    arguments: list[np.ndarray] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    def symbols(self) -> list[Any]:
        return [self.values[n].variable for n in self.inputs]

    def text(self, outputs: list[str] | None = None) -> str:
        """The lines that the outputs need, and the comparison."""
        wanted = outputs or self.outputs
        needed, kept = set(wanted), []
        for line in reversed(self.lines):
            name, _, rest = line.partition(" = ")
            if name in needed:
                kept.append(line)
                needed |= {*re.findall(r"\b[vw]\d+\b", rest), *(["w" + name[1:]] if name in self.inputs else [])}
        ins = [n for n in self.inputs if n in needed]
        return "\n".join([
            "import numpy as np, weft, weft.tensor as T", *reversed(kept),
            f"ins, outs, args = [{', '.join(ins)}], [{', '.join(wanted)}], [{', '.join('w' + n[1:] for n in ins)}]",
            "run = lambda mode: weft.function(ins, outs, mode=mode, on_unused_input='ignore')(*args)",
            "for a, b in zip(run('compile'), run('interpret')):",
            "    np.testing.assert_allclose(a, b)",
        ])  # fmt: skip


class Grower:
    """Grows one program from its seed."""

    def __init__(self, seed: int, smooth: bool = False):
        self.rng = random.Random(seed)
        self.smooth = smooth  # for gradients: float64 throughout
        self.program = Program(seed)
        self.scope: dict[str, Any] = {"T": T, "weft": weft, "np": np}
        self.dims = [self.rng.choice([0, 1, 2, 3, 5, 7, 9, 17]) for _ in range(3)]
        if self.rng.random() < 0.8:
            self.dims = [d or 4 for d in self.dims]
        if self.rng.random() < 0.15:
            self.dims[self.rng.randrange(3)] = 1100

    def grow(self) -> Program:
        for _ in range(self.rng.randint(1, 4)):
            self.input()
        wanted = self.rng.randint(4, 14)
        for _ in range(wanted * 4):
            if len(self.values) - len(self.program.inputs) >= wanted:
                break
            self.step()
        made = [v.name for v in self.values if v.name not in self.program.inputs]
        read = {n for line in self.program.lines for n in re.findall(r"\bv\d+\b", line.partition(" = ")[2])}
        self.program.outputs = [n for n in made if n not in read or self.rng.random() < 0.2]
        return self.program

    @property
    def values(self) -> list[Value]:
        return list(self.program.values.values())

    def pick(self, *kinds: str, exact: bool = False, ndim: int | None = None, least: int = 0) -> Value | None:
        found = [
            v for v in self.values
            if (not kinds or v.kind in kinds) and (v.exact or not exact) and (ndim is None or v.ndim == ndim)
            and v.ndim >= least
        ]  # fmt: skip
        if not found:
            return None
        late = found[-4:]
        return self.rng.choice(late if self.rng.random() < 0.6 else found)

    def name(self) -> str:
        return f"v{len(self.values)}"

    def run(self, line: str) -> Any:
        exec(line, self.scope)
        return self.scope[line.partition(" = ")[0]]

    def input(self) -> None:
        rng, name = self.rng, self.name()
        shape = tuple(
            rng.choice(self.dims) if rng.random() < 0.85 else 1 for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3]))
        )
        while np.prod(shape, dtype=int) > LARGE:
            shape = shape[1:]
        dtype = "float64" if self.smooth else rng.choice([*FLOATS, *FLOATS, *INTS, "bool"])
        stretched = tuple(n == 1 and rng.random() < 0.7 for n in shape)
        low, high = (0, 2) if dtype == "bool" else (0, 9) if dtype == "uint8" else (-8, 9)
        values = f"np.random.default_rng({rng.randrange(1000)}).integers({low}, {high}, {shape})"
        if dtype in FLOATS:
            values = f"({values} / 4)"
            if self.smooth:
                values = f"({values} + 0.0625)"
        line = f"w{name[1:]} = np.asarray({values}, {dtype!r})"
        declared = f"{name} = T.tensor({dtype!r}, {stretched}, {name!r})"
        array = self.run(line)
        if rng.random() < 0.3 and array.ndim > 1:
            line = f"w{name[1:]} = np.asarray({values}, {dtype!r}, order='F')"
            array = self.run(line)
        self.program.lines += [line, declared]
        self.program.inputs.append(name)
        self.program.arguments.append(array)
        self.program.values[name] = Value(name, self.run(declared), array, True, dtype == "float32")

    # Operations: each gives the text of an expression, or None where nothing fits; with "!" in front where the
    # result is exact if the operands are.

    def step(self) -> None:
        kinds = [
            (self.unary, 4), (self.binary, 8), (self.compare, 2), (self.switch, 2), (self.cast, 2), (self.reduce, 5),
            (self.shuffle, 3), (self.reshape, 3), (self.slice, 5), (self.concatenate, 2), (self.gather, 2),
            (self.write, 4), (self.softmax, 2), (self.dot, 3), (self.batched, 2), (self.cumsum, 1), (self.sort, 1),
            (self.arg, 1), (self.alloc, 1), (self.arange, 1), (self.ints, 2),
        ]  # fmt: skip
        make = self.rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        text = make()
        if text is None:
            return
        keeps = text.startswith("!")
        line = f"{self.name()} = {text.lstrip('!')}"
        used = [self.program.values[n] for n in dict.fromkeys(re.findall(r"\bv\d+\b", text))]
        try:
            variable = self.run(line)
        except weft.WeftError as e:
            raise AssertionError(f"{line}: {e}\n{self.program.text([v.name for v in used])}") from e
        name = line.partition(" = ")[0]
        if variable.dtype.startswith(("float16", "complex")) or (
            self.smooth and not variable.dtype.startswith("float")
        ):
            return
        f = weft.function(self.program.symbols(), [variable], mode="interpret", on_unused_input="ignore")
        with np.errstate(all="ignore"):
            array = f(*self.program.arguments)[0]
        if array.size > LARGE or array.ndim > 4:
            return
        if array.dtype.kind == "f" and array.size and not (np.isfinite(array).all() and np.abs(array).max() < LIMIT):
            return
        exact = keeps and all(v.exact for v in used)
        if exact and array.dtype.kind == "f":
            fine = array.astype(float) * 1024
            exact = bool((fine == np.round(fine)).all() and np.abs(fine).sum() < 2**23)
        exact = exact or array.dtype.kind in "biu"
        single = array.dtype == np.float32 or any(v.single for v in used)
        self.program.lines.append(line)
        self.program.values[name] = Value(name, variable, array, exact, single)

    def unary(self) -> str | None:
        v = self.pick("f")
        if v is None:
            return None
        if v.exact and not self.smooth and self.rng.random() < 0.25:
            return f"!T.{self.rng.choice(['floor', 'ceil', 'sgn'])}({v.name})"
        name = self.rng.choice(
            [
                "exp",
                "tanh",
                "sigmoid",
                "sin",
                "cos",
                "sqr",
                "neg",
                "abs_",
                "softplus",
                "erf",
                "log1p",
                "sqrt",
                "log",
                "arctan",
            ]
        )
        if name in ("sqr", "neg", "abs_"):
            return f"!T.{name}({v.name})"
        if name in ("log1p", "sqrt", "log"):
            return f"T.{name}(abs({v.name}) + 0.5)"
        return f"T.{name}(T.clip({v.name}, -4, 4))" if name == "exp" else f"T.{name}({v.name})"

    def partner(self, v: Value, *kinds: str, exact: bool = False) -> str:
        """An operand that broadcasts with v: a variable, or a number."""
        rng = self.rng
        if rng.random() < 0.15:
            return rng.choice(["0.5", "2.0", "-1.5", "0.25"]) if v.kind == "f" else rng.choice(["2", "-3", "5"])
        fits = [
            w
            for w in self.values
            if w.name != v.name and w.kind in kinds and (w.exact or not exact) and self.agree(v, w)
        ]
        close = [w for w in fits if w.ndim == v.ndim]
        if close and rng.random() < 0.7:
            fits = close
        if fits:
            return rng.choice(fits).name
        return "3" if v.kind != "f" else "1.5"

    @staticmethod
    def agree(v: Value, w: Value) -> bool:
        n = min(v.ndim, w.ndim)
        for k in range(1, n + 1):
            a, b = v.array.shape[-k], w.array.shape[-k]
            p, q = v.variable.broadcastable[-k], w.variable.broadcastable[-k]
            if not (p or q or a == b):
                return False
        return True

    def binary(self) -> str | None:
        v = self.pick("f", "f", "i", "u")
        if v is None:
            return None
        name = self.rng.choice(["add", "sub", "mul", "maximum", "minimum", "true_div"])
        if name == "true_div":
            return (
                f"{v.name} / ({self.partner(v, 'f')} * 0 + 1.25)"
                if v.kind == "f" and self.rng.random() < 0.3
                else f"{v.name} / (abs({self.partner(v, 'f', 'i')}) + 1.5)"
            )
        other = self.partner(v, "f", "i", "u", "b") if name in ("add", "mul") else self.partner(v, "f", "i", "u")
        if name in ("maximum", "minimum"):
            return f"!T.{name}({v.name}, {other})"
        sign = {"add": "+", "sub": "-", "mul": "*"}[name]
        return f"!{v.name} {sign} {other}" if self.rng.random() < 0.8 else f"!{other} {sign} {v.name}"

    def ints(self) -> str | None:
        v = self.pick("i", "u")
        if v is None or self.smooth:
            return None
        if v.ndim and self.rng.random() < 0.4:
            n = f"{v.name}.shape[{self.rng.randrange(v.ndim)}]"
            w = self.pick("i", "u", least=1)
            other = f"{w.name}.shape[0]" if w is not None else "7"
            return self.rng.choice([f"{v.name} // {n}", f"{v.name} % {n}", f"{n} // ({other} - 1)", f"{n} % {other}"])
        op = self.rng.choice(["//", "%", "*", "-"])
        return f"{v.name} {op} {self.partner(v, 'i', 'u')}"

    def compare(self) -> str | None:
        v = self.pick(exact=True)
        if v is None or self.smooth:
            return None
        kinds = ("b",) if v.kind == "b" else ("f", "i", "u")
        if v.kind == "b":
            return f"T.{self.rng.choice(['and_', 'or_', 'xor'])}({v.name}, {self.partner(v, 'b')} > 0)"
        name = self.rng.choice(["lt", "le", "gt", "ge", "eq", "neq"])
        return f"T.{name}({v.name}, {self.partner(v, *kinds, exact=True)})"

    def switch(self) -> str | None:
        v = self.pick("f", "i", "u")
        c = None if self.smooth else self.pick("b")
        if v is None:
            return None
        if c is None or not self.agree(c, v):
            u = self.pick("f", exact=True)
            return f"!T.switch({u.name} > 0.3, {u.name}, {self.partner(u, 'f')})" if u is not None else None
        other = self.partner(v, v.kind)
        w = self.program.values.get(other)
        if w is not None and not self.agree(c, w):
            other = "2"
        return f"!T.switch({c.name}, {v.name}, {other})"

    def cast(self) -> str | None:
        v = self.pick(exact=True)
        if v is None or self.smooth:
            return None
        to = self.rng.choice([*FLOATS, *INTS, "bool"])
        return f"!T.cast({v.name}, {to!r})"

    def axes(self, v: Value) -> Any:
        if self.rng.random() < 0.25 or v.ndim == 0:
            return None
        some = sorted(self.rng.sample(range(v.ndim), self.rng.randint(1, v.ndim)))
        return some[0] if len(some) == 1 else tuple(some)

    def reduce(self) -> str | None:
        rng = self.rng
        v = self.pick(least=1) if rng.random() < 0.9 else self.pick()
        if v is None:
            return None
        name = rng.choice(["sum", "sum", "mean", "var", "max", "min", "prod", "any", "all"])
        axis = self.axes(v)
        keep = rng.random() < 0.4
        if name in ("any", "all"):
            return f"T.{name}({v.name} > 0, axis={axis})" if v.exact and not self.smooth else None
        reduced = v.array.shape if axis is None else np.array(v.array.shape)[list(np.atleast_1d(axis))]
        if name in ("max", "min") and (v.kind == "b" or 0 in reduced):
            return None
        if name == "prod" and ((v.kind == "f" and np.prod(reduced) > 20) or self.smooth):
            return None
        if name in ("mean", "var") and 0 in reduced:
            return None
        mark = "" if name in ("mean", "var", "prod") else "!"
        return f"{mark}T.{name}({v.name}, axis={axis}, keepdims={keep})"

    def shuffle(self) -> str | None:
        v = self.pick()
        if v is None:
            return None
        order: list[Any] = list(range(v.ndim))
        self.rng.shuffle(order)
        order = [o for o in order if not (v.variable.broadcastable[o] and self.rng.random() < 0.5)]
        if len(order) < 3 and self.rng.random() < 0.5:
            order.insert(self.rng.randint(0, len(order)), "x")
        return f"!{v.name}.dimshuffle({', '.join(map(repr, order))})" if order or v.ndim else None

    def reshape(self) -> str | None:
        v = self.pick(least=1)
        if v is None or v.array.size == 0:
            return None
        rng, shape = self.rng, v.array.shape
        if rng.random() < 0.3:
            return f"!{v.name}.flatten()"
        if v.ndim > 1 and rng.random() < 0.5:
            k = rng.randrange(v.ndim - 1)
            parts = [f"{v.name}.shape[{a}]" for a in range(v.ndim)]
            parts[k : k + 2] = [rng.choice(["-1", f"{parts[k]} * {parts[k + 1]}"])]
            return f"!{v.name}.reshape(({', '.join(parts)},))"
        n = v.array.size
        divisors = [d for d in range(1, min(n, 200) + 1) if n % d == 0]
        d = rng.choice(divisors)
        new = rng.choice([(d, n // d), (n // d, d), (d, -1), shape[::-1], (1, n), (n,)])
        return f"!{v.name}.reshape({tuple(int(x) for x in new)})"

    def index(self, v: Value) -> str:
        rng, parts = self.rng, []
        for n in v.array.shape:
            if rng.random() < 0.3:
                parts.append(":")
            elif rng.random() < 0.1:
                other = rng.choice([w for w in self.values if w.ndim])
                length = f"{other.name}.shape[{rng.randrange(other.ndim)}]"
                parts.append(rng.choice([f":{length}", f"{length} - 2:", f":{length} // 2:-1"]))
            elif n and rng.random() < 0.25:
                parts.append(str(rng.randrange(-n, n)))
            else:
                ends = [rng.choice(["", str(rng.randint(-n - 1, n + 2))]) for _ in range(2)]
                step = rng.choice(["", "1", "2", "3", "-1", "-1", "-2", "-3"])
                parts.append(f"{ends[0]}:{ends[1]}:{step}")
        return ", ".join(parts)

    def slice(self) -> str | None:
        v = self.pick(least=1)
        return v and f"!{v.name}[{self.index(v)}]"

    def concatenate(self) -> str | None:
        v = self.pick(least=1)
        if v is None:
            return None
        axis = self.rng.randrange(v.ndim)

        def rest(w: Value) -> tuple:
            return w.array.shape[:axis] + w.array.shape[axis + 1 :]

        fits = [w for w in self.values if w.ndim == v.ndim and rest(w) == rest(v)]
        parts = [v, *(self.rng.choice(fits) for _ in range(self.rng.randint(1, 2)))]
        self.rng.shuffle(parts)
        return f"!T.concatenate([{', '.join(p.name for p in parts)}], axis={axis})"

    def places(self, n: int) -> str:
        """In-range indices as the text of an index variable or constant."""
        count = self.rng.choice([1, 2, 5, 8])
        return f"np.array({[self.rng.randrange(-n, n) for _ in range(count)]})"

    def gather(self) -> str | None:
        v = self.pick(least=1)
        if v is None or 0 in v.array.shape:
            return None
        axis = self.rng.randrange(v.ndim)
        n = v.array.shape[axis]
        index = self.pick("i", "u", least=0) if self.rng.random() < 0.5 and not self.smooth else None
        if index is not None and (index.ndim > 2 or index.array.dtype == np.uint64):  # uint64 % n is float64
            index = None
        text = f"{index.name} % {n}" if index is not None else self.places(n)
        return f"!{v.name}[{':, ' * axis}{text}]"

    def write(self) -> str | None:
        rng = self.rng
        v = self.pick(least=1)
        if v is None or v.kind == "b":
            return None
        mode = rng.choice(["set", "inc"])
        if rng.random() < 0.35 and v.array.shape[0]:
            place = self.places(v.array.shape[0])
        else:
            place = self.index(v)
        target = f"{v.name}[{place}]"
        part = self.run(f"part = {target}")
        fits = [
            w for w in self.values
            if w.ndim <= part.ndim and self.fits_target(w, v, target)
        ]  # fmt: skip
        y = rng.choice(fits).name if fits and rng.random() < 0.8 else rng.choice(["2", "3"])
        if y in self.program.values:
            y = y if self.program.values[y].array.dtype == v.array.dtype else (
                f"T.cast({y}, {str(v.array.dtype)!r})" if self.program.values[y].exact else "2"
            )  # fmt: skip
        return f"!T.{mode}_subtensor({target}, {y})"

    def fits_target(self, w: Value, v: Value, target: str) -> bool:
        shape = eval(target, {"np": np, **{u.name: u.array for u in self.values}}).shape
        if w.ndim > len(shape):
            return False
        return all(w.array.shape[-k] == shape[-k] or w.variable.broadcastable[-k] for k in range(1, w.ndim + 1))

    def softmax(self) -> str | None:
        v = self.pick("f", least=1)
        if v is None or 0 in v.array.shape:
            return None
        name = self.rng.choice(["softmax", "softmax", "logsoftmax"])
        return f"T.nnet.{name}({v.name}, axis={self.rng.randrange(v.ndim)})"

    def dot(self) -> str | None:
        a = self.pick("f", "i", least=1)
        if a is None or a.ndim > 2:
            return None
        fits = [w for w in self.values if w.kind in "fi" and w.ndim in (1, 2) and w.array.shape[0] == a.array.shape[-1]]
        if fits and self.rng.random() < 0.7:
            return f"!T.dot({a.name}, {self.rng.choice(fits).name})"
        return f"!T.dot({a.name}, {a.name}.T)"

    def batched(self) -> str | None:
        """A product of batches: of a value with another, or with itself, its axes in some order."""
        a = self.pick("f", "i", least=2)
        if a is None or a.ndim > 3:
            return None
        n, k = a.array.shape[0], a.array.shape[-1]
        fits = [w for w in self.values if w.kind in "fi" and w.ndim in (2, 3) and w.array.shape[:2] == (n, k)]
        if fits and self.rng.random() < 0.7:
            return f"!T.batched_dot({a.name}, {self.rng.choice(fits).name})"
        if a.ndim == 2:
            return f"!T.batched_dot({a.name}, {a.name})"
        pair = [a.name, f"{a.name}.dimshuffle(0, 2, 1)"]
        self.rng.shuffle(pair)
        return f"!T.batched_dot({', '.join(pair)})"

    def cumsum(self) -> str | None:
        v = self.pick(least=1)
        return v and f"!T.cumsum({v.name}, axis={self.rng.randrange(v.ndim)})"

    def sort(self) -> str | None:
        v = self.pick("f", "i", "u", exact=True, least=1)
        name = "sort" if self.smooth else self.rng.choice(["sort", "argsort"])
        return v and f"!T.{name}({v.name}, axis={self.rng.randrange(v.ndim)})"

    def arg(self) -> str | None:
        v = self.pick("f", "i", "u", exact=True, least=1)
        if v is None or 0 in v.array.shape or self.smooth:
            return None
        axis = self.rng.choice([None, *range(v.ndim)])
        return f"T.{self.rng.choice(['argmax', 'argmin'])}({v.name}, axis={axis})"

    def alloc(self) -> str | None:
        v = self.pick()
        if v is None or v.ndim > 2:
            return None
        shape = [f"{v.name}.shape[{a}]" for a in range(v.ndim)]
        return f"!T.alloc({v.name}, {', '.join([str(self.rng.choice([1, 2, 3])), *shape])})"

    def arange(self) -> str | None:
        v = self.pick(least=1)
        if v is None or self.smooth:
            return None
        return self.rng.choice([f"!T.arange({v.name}.shape[0])", f"!T.arange(1, {v.name}.shape[{v.ndim - 1}] + 3, 2)"])
