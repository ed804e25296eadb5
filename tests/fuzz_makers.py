"""Lines of random programs: elementwise operations, reductions, views, indexing. See fuzz_grower.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from fuzz_program import Program, Value

from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.ops.elementwise import ELEMENTWISE

# Functions of a float, and what is given to them: {} is a value of any size.
FUNCTIONS = {
    "exp": "T.clip({}, -4, 4)", "exp2": "T.clip({}, -4, 4)", "expm1": "T.clip({}, -4, 4)",
    "log": "abs({}) + 0.5", "log2": "abs({}) + 0.5", "log10": "abs({}) + 0.5", "log1p": "abs({}) - 0.5",
    "sqrt": "abs({}) + 0.25", "inv": "abs({}) + 0.5", "cbrt": "abs({}) + 0.5",
    "sin": "{}", "cos": "{}", "tan": "T.clip({}, -1, 1)", "tanh": "{}", "sinh": "T.clip({}, -3, 3)",
    "cosh": "T.clip({}, -3, 3)", "arcsin": "T.clip({}, -0.75, 0.75)", "arccos": "T.clip({}, -0.75, 0.75)",
    "arctan": "{}", "arcsinh": "{}", "arccosh": "abs({}) + 1.25", "arctanh": "T.clip({}, -0.75, 0.75)",
    "sigmoid": "{}", "softplus": "{}", "erf": "{}", "erfc": "T.clip({}, -3, 3)", "erfinv": "T.clip({}, -0.75, 0.75)",
}  # fmt: skip
COMPLEX = {
    "exp": "{} * 0.25", "log": "{} + (20+3j)", "sqrt": "{} + (9+2j)", "inv": "{} + (9+2j)", "real": "{}", "imag": "{}",
    "conj": "{}", "abs_": "{}", "sqr": "{}", "neg": "{}",
}  # fmt: skip

COMPLEXES = ("complex64", "complex128")

# Operations as the language names them, where that differs.
LANGUAGE = {
    "abs": "abs_", "ne": "neq", "and": "and_", "or": "or_", "truediv": "true_div", "floordiv": "int_div",
    "reciprocal": "inv", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
    "acosh": "arccosh", "atanh": "arctanh",
}  # fmt: skip
PAIRS = [(op, d) for op, row in ELEMENTWISE.items() for d in sorted(row.accepts)] + [
    ("cast", d) for d in DTYPES
]  # fmt: skip


class Makers:
    """The usual ones; the other files' classes are mixed with it."""

    rng: random.Random
    smooth: bool
    program: Program
    values: list[Value]
    pick: Callable[..., Value | None]
    numbers: Callable[..., str]
    run: Callable[[str], Any]
    lengths: list[int]

    def usual(self) -> list[tuple[Callable[[], str | None], int]]:
        return [
            (self.unary, 4), (self.binary, 8), (self.compare, 2), (self.switch, 2), (self.cast, 2), (self.reduce, 5),
            (self.shuffle, 3), (self.reshape, 3), (self.slice, 5), (self.concatenate, 2), (self.gather, 2),
            (self.write, 4), (self.softmax, 2), (self.dot, 3), (self.batched, 2), (self.cumsum, 1), (self.sort, 1),
            (self.arg, 1), (self.alloc, 1), (self.arange, 1), (self.ints, 2), (self.complexes, 1), (self.windows, 1),
            (self.shaped, 2), (self.layer, 2),
        ]  # fmt: skip

    # Elementwise

    def unary(self) -> str | None:
        rng = self.rng
        v = self.pick("f", "f", "f", "c") if rng.random() < 0.9 else self.pick("i", "u", "b")
        if v is None:
            return None
        if v.kind == "c":
            name = rng.choice(list(COMPLEX))
            mark = "!" if name in ("real", "imag", "conj", "sqr", "neg") else ""
            return f"{mark}T.{name}({COMPLEX[name].format(v.name)})"
        if v.kind == "b":
            return rng.choice([f"T.invert({v.name})", f"abs({v.name})", f"T.sqrt({v.name})"])
        if v.kind in "iu":
            return "!" + rng.choice([f"T.invert({v.name})", f"abs({v.name})", f"-{v.name}", f"T.sgn({v.name})",
                                     f"T.sqr({v.name})", f"T.tanh({v.name} * 0.5)"])  # fmt: skip
        if not self.smooth and rng.random() < 0.2:
            u = self.pick("f", exact=True)
            if u is not None:
                name = rng.choice(["floor", "ceil", "sgn", "trunc", "round", "isnan", "isinf"])
                return f"!T.{name}({u.name})"
        if rng.random() < 0.2:
            return f"!T.{rng.choice(['sqr', 'neg', 'abs_'])}({v.name})"
        name = rng.choice(list(FUNCTIONS))
        return f"T.{name}({FUNCTIONS[name].format(v.name)})"

    def paired(self, op: str, dtype: str) -> str | None:
        """An elementwise operation on values of a given dtype, made of what there is."""
        rng, kind = self.rng, DTYPES[dtype].kind
        have = [v for v in self.values if v.kind != "s" and v.exact and (v.kind != "c" or kind == "c")]
        if not have or (self.smooth and kind not in "fc"):
            return None
        v = rng.choice(have)
        same = [w for w in have if w.name != v.name and self.agree(v, w)]
        a, b = (f"T.cast({w.name}, {dtype!r})" for w in (v, rng.choice(same or [v])))

        def to(text: str) -> str:  # a number beside it makes a narrow one wider
            return text if dtype in ("float32", "float64", "int64", *COMPLEXES) else f"T.cast({text}, {dtype!r})"

        name = LANGUAGE.get(op, op)
        if op == "cast":
            return f"!T.cast({a}, {rng.choice(list(DTYPES))!r})"
        if op in ("switch", "complex"):
            return f"!T.complex({a}, {b})" if op == "complex" else f"!T.switch(T.gt({b}, 1), {a}, {b})"
        if ELEMENTWISE[op].arity == 1:
            if kind == "c":
                return f"T.{name}({COMPLEX.get(name, '{}').format(a)})"
            exact = "" if name in FUNCTIONS else "!"
            return f"{exact}T.{name}({to(FUNCTIONS[name].format(a)) if kind == 'f' and name in FUNCTIONS else a})"
        if op == "pow":
            both = ("abs({}) + 1", "{} * 0 + 2") if kind in "fc" else ("{} % 5", "{} % 4")
            return f"{'' if kind in 'fc' else '!'}T.pow({to(both[0].format(a))}, {to(both[1].format(b))})"
        if op in ("truediv", "floordiv", "mod") and kind in "fc":
            return f"T.{name}({a}, {to(f'abs({b}) + 1.5')})"
        return f"!T.{name}({a}, {b})"

    def complexes(self) -> str | None:
        v = self.pick("f")
        if v is None or v.dtype not in ("float32", "float64"):
            return None
        made = f"!T.complex({v.name}, {self.partner(v, 'f')})"
        return made if not self.smooth or self.rng.random() < 0.5 else f"T.real(T.exp({made[1:]} * 0.125))"

    def partner(self, v: Value, *kinds: str, exact: bool = False) -> str:
        """An operand that broadcasts with v: a variable, or a number."""
        rng = self.rng
        if rng.random() < 0.15:
            return rng.choice(["0.5", "2.0", "-1.5", "0.25"]) if v.kind in "fc" else rng.choice(["2", "-3", "5"])
        fits = [
            w for w in self.values
            if w.name != v.name and w.kind in kinds and (w.exact or not exact) and self.agree(v, w)
        ]  # fmt: skip
        close = [w for w in fits if w.ndim == v.ndim]
        alike = [w for w in fits if w.dtype == v.dtype]
        if alike and v.dtype in ("float16", "bfloat16", "uint64", "int8") and rng.random() < 0.7:
            fits = alike
        elif close and rng.random() < 0.7:
            fits = close
        if fits:
            return rng.choice(fits).name
        return "3" if v.kind not in "fc" else "1.5"

    @staticmethod
    def agree(v: Value, w: Value) -> bool:
        for k in range(1, min(v.ndim, w.ndim) + 1):
            p, q = v.variable.broadcastable[-k], w.variable.broadcastable[-k]
            if not (p or q or v.shape[-k] == w.shape[-k]):
                return False
        return True

    def binary(self) -> str | None:
        rng = self.rng
        v = self.pick("f", "i", "u", "c", "b") if rng.random() < 0.5 else self.pick("f")
        if v is None:
            return None
        name = rng.choice(
            ["add", "sub", "mul", "maximum", "minimum", "true_div", "pow", "arctan2", "mod", "add", "mul"]
        )
        if v.kind == "b" and name not in ("add", "mul", "maximum", "minimum"):
            name = "add"
        other = self.partner(v, "f", "i", "u", "b") if name in ("add", "mul") else self.partner(v, "f", "i", "u")
        if name == "true_div":
            return (
                f"{v.name} / ({self.partner(v, 'f')} * 0 + 1.25)" if v.kind == "f" and rng.random() < 0.3
                else f"{v.name} / (abs({self.partner(v, 'f', 'i', 'c')}) + 1.5)"
            )  # fmt: skip
        if name == "pow":
            if v.kind in "iu":
                return f"!T.pow({v.name}, {rng.choice(['2', '3', '0', '1', '-1', '-2', f'abs({v.name}) % 4'])})"
            if v.kind == "c":
                return f"T.pow({v.name} + 9, {rng.choice(['2.0', '3.0', '-1.0', '0.5'])})"
            exponent = rng.choice(["2", "3", "0.5", "-1.5", "-1.0", "4.0", "-2.0", f"T.clip({other}, -2, 2)"])
            return f"T.pow(abs({v.name}) + 0.5, {exponent})"
        if v.kind == "c" and name in ("maximum", "minimum", "arctan2", "mod"):
            return f"!{v.name} * {self.partner(v, 'c', 'f')}"
        if name == "arctan2":
            return f"T.arctan2({v.name}, abs({other}) + 0.25)"
        if name == "mod":
            u = self.pick("f", "i", "u", exact=True)
            if u is None or self.smooth:
                return None
            by = self.partner(u, u.kind, exact=True)
            op = rng.choice(["mod", "int_div"])
            return f"!T.{op}({u.name}, abs({by}) + 1.5)" if u.kind == "f" else f"!T.{op}({u.name}, {by})"
        if name in ("maximum", "minimum"):
            return f"!T.{name}({v.name}, {other})"
        sign = {"add": "+", "sub": "-", "mul": "*"}[name]
        return f"!{v.name} {sign} {other}" if rng.random() < 0.8 else f"!{other} {sign} {v.name}"

    def layer(self) -> str | None:
        """A product and what follows it, as layers have it; a product of a cheap value."""
        v = self.pick("f", ndim=2)
        if v is None or v.dtype not in ("float32", "float64"):
            return None
        rng, n = self.rng, v.shape[1]
        m = rng.choice([1, 3, 5, 16, 17, 33])
        w = f"np.asarray(np.random.default_rng({rng.randrange(99)}).integers(-4, 5, ({n}, {m})) / 8, {v.dtype!r})"
        left = rng.choice(
            [v.name, f"({v.name} * 2 + 0.5)", f"T.maximum({v.name}, 0)", f"({v.name} - T.mean({v.name}, axis=0))"]
        )
        product = f"T.dot({left}, {w})"
        if rng.random() < 0.25:
            product = f"T.dot(({v.name} + 1).T, T.tanh({v.name}))"
        return rng.choice([
            f"T.tanh({product} + 0.5)", f"T.nnet.softmax({product})", f"T.sum(T.sqr({product}), axis=0)",
            f"T.maximum({product} + 0.25, 0)", f"{product} * T.sigmoid({product})", f"T.max({product}, axis=1)",
            f"{product} - T.mean({product}, axis=1, keepdims=True)",
            f"T.nnet.softmax(T.tanh({product} * 0.25))", f"T.sum(T.tanh({product}), axis=0)",
        ])  # fmt: skip

    def ints(self) -> str | None:
        rng = self.rng
        v = self.pick("i", "u")
        if v is None or self.smooth:
            return None
        if v.ndim and rng.random() < 0.4:
            n = f"{v.name}.shape[{rng.randrange(v.ndim)}]"
            w = self.pick("i", "u", least=1)
            other = f"{w.name}.shape[0]" if w is not None else "7"
            return rng.choice([f"{v.name} // {n}", f"{v.name} % {n}", f"{n} // ({other} - 1)", f"{n} % {other}"])
        if rng.random() < 0.35:
            w = self.partner(v, v.kind)
            return f"T.{rng.choice(['and_', 'or_', 'xor'])}({v.name}, T.cast({w}, {v.dtype!r}))"
        return f"{v.name} {rng.choice(['//', '%', '*', '-'])} {self.partner(v, 'i', 'u')}"

    def compare(self) -> str | None:
        v = self.pick("b", "i", "u", "f", exact=True)
        if v is None or self.smooth:
            return None
        if v.kind == "b":
            return f"T.{self.rng.choice(['and_', 'or_', 'xor'])}({v.name}, {self.partner(v, 'b')} > 0)"
        name = self.rng.choice(["lt", "le", "gt", "ge", "eq", "neq"])
        return f"T.{name}({v.name}, {self.partner(v, 'f', 'i', 'u', exact=True)})"

    def switch(self) -> str | None:
        v = self.pick("f", "i", "u", "c")
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
        if v is None:
            return None
        to = self.rng.choice(["float32", "float64"] if self.smooth else list(DTYPES))
        if v.kind == "c":
            return f"!T.cast({v.name}, {self.rng.choice(['complex64', 'complex128'])!r})"
        if self.smooth and v.kind != "f":
            return None
        return f"!T.cast({v.name}, {to!r})"

    # Reductions

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
        name = rng.choice(["sum", "sum", "mean", "var", "std", "max", "min", "prod", "any", "all"])
        axis, keep = self.axes(v), rng.random() < 0.4
        reduced = v.shape if axis is None else tuple(np.array(v.shape)[list(np.atleast_1d(axis))])
        if name in ("any", "all"):
            return f"T.{name}({v.name} > 0, axis={axis})" if v.exact and v.kind in "fiu" and not self.smooth else None
        if name in ("max", "min") and (v.kind in "bc" or 0 in reduced):
            return None
        if name == "prod" and (v.kind in "fc" and np.prod(reduced) > 20):
            return None
        if name in ("mean", "var", "std") and (0 in reduced or v.kind == "b"):
            return None
        if name == "std":
            return f"T.sqrt(T.var({v.name}, axis={axis}, keepdims={keep}) + 0.25)"
        mark = "" if name in ("mean", "var", "prod") else "!"
        return f"{mark}T.{name}({v.name}, axis={axis}, keepdims={keep})"

    def softmax(self) -> str | None:
        v = self.pick("f", least=1)
        if v is None or 0 in v.shape:
            return None
        name, axis = self.rng.choice(["softmax", "softmax", "logsoftmax"]), self.rng.randrange(v.ndim)
        if self.rng.random() < 0.3:
            about = f"{v.name}, axis={axis}, keepdims=True"
            return f"({v.name} - T.mean({about})) / T.sqrt(T.var({about}) + 0.5)"
        return f"T.nnet.{name}({v.name}, axis={axis})"

    def cumsum(self) -> str | None:
        v = self.pick("i", "u", "f", "c", "b", least=1)
        if v is None:
            return None
        axis = self.rng.randrange(v.ndim)
        back = f"[{':, ' * axis}::-1]" if self.rng.random() < 0.3 else ""
        return f"!T.cumsum({v.name}{back}, axis={axis}){back}"

    def sort(self) -> str | None:
        v = self.pick("f", "i", "u", exact=True, least=1)
        name = "sort" if self.smooth else self.rng.choice(["sort", "argsort"])
        return v and f"!T.{name}({v.name}, axis={self.rng.randrange(v.ndim)})"

    def arg(self) -> str | None:
        v = self.pick("f", "i", "u", exact=True, least=1)
        if v is None or 0 in v.shape or self.smooth:
            return None
        if self.rng.random() < 0.4:
            return f"!T.max_and_argmax({v.name}, axis={self.axes(v)})[{self.rng.randrange(2)}]"
        return f"T.{self.rng.choice(['argmax', 'argmin'])}({v.name}, axis={self.axes(v)})"

    # Views

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
        rng, shape = self.rng, v.shape
        if rng.random() < 0.3:
            return f"!{v.name}.flatten()"
        if v.ndim > 1 and rng.random() < 0.5:
            k = rng.randrange(v.ndim - 1)
            parts = [f"{v.name}.shape[{a}]" for a in range(v.ndim)]
            parts[k : k + 2] = [rng.choice(["-1", f"{parts[k]} * {parts[k + 1]}"])]
            return f"!{v.name}.reshape(({', '.join(parts)},))"
        n = v.array.size
        d = rng.choice([d for d in range(1, min(n, 200) + 1) if n % d == 0])
        new = rng.choice([(d, n // d), (n // d, d), (d, -1), shape[::-1], (1, n), (n,)])
        return f"!{v.name}.reshape({tuple(int(x) for x in new)})"

    def index(self, v: Value) -> str:
        rng, parts = self.rng, []
        for n in v.shape:
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
            return w.shape[:axis] + w.shape[axis + 1 :]

        fits = [w for w in self.values if w.kind != "s" and w.ndim == v.ndim and rest(w) == rest(v)]
        parts = [v, *(self.rng.choice(fits) for _ in range(self.rng.randint(1, 2)))]
        self.rng.shuffle(parts)
        return f"!T.concatenate([{', '.join(p.name for p in parts)}], axis={axis})"

    def windows(self) -> str | None:
        rng = self.rng
        v = self.pick("f", "i", "u", least=1)
        if v is None or v.ndim > 3:
            return None
        axis, size, stride = rng.randrange(v.ndim), rng.choice([1, 2, 3, 4]), rng.choice([1, 1, 2, 3])
        if rng.random() < 0.3:
            widths = [(rng.randrange(3), rng.randrange(3)) for _ in range(v.ndim)]
            return f"!T.pad({v.name}, {widths}, {rng.choice(['0', '2'])})"
        view = f"T.window({v.name}, {size}, {stride}, axis={axis})"
        if rng.random() < 0.3:
            return f"!T.sum(T.spread({view} * 2, {v.name}.shape[{axis}], {stride}, axis={axis}), axis=-1)"
        return "!" + rng.choice([view, f"T.sum({view}, axis=-1)", f"T.max({view}, axis=-1)" if v.kind == "f" else view])

    def shaped(self) -> str | None:
        """What the language makes of views and index maps."""
        rng = self.rng
        v = self.pick("f", "i", "u", least=1)
        if v is None:
            return None
        one = [a for a in range(v.ndim) if v.shape[a] == 1 and not v.variable.broadcastable[a]]
        if one and rng.random() < 0.5:
            return f"!T.addbroadcast({v.name}, {rng.choice(one)})"
        axis = rng.randrange(v.ndim)
        choices = [
            f"T.roll({v.name}, {rng.randint(-3, 3)}, axis={axis})",
            f"T.repeat({v.name}, {rng.randint(1, 3)}, axis={axis})",
            f"T.stack([{v.name}, {v.name} * 2])", f"T.shape_padleft({v.name})", f"T.zeros_like({v.name}) + 2",
            f"T.tile({v.name}, {tuple(rng.choice([1, 2]) for _ in range(v.ndim))})",
        ]  # fmt: skip
        if v.ndim == 2:
            choices += [
                f"T.tril({v.name}, {rng.randint(-2, 2)})", f"T.triu({v.name})",
                f"T.diagonal({v.name}, {rng.randint(-1, 1)})",
                f"T.swapaxes({v.name}, 0, 1)", f"{v.name}.T",
                f"T.eye({v.name}.shape[0], {v.name}.shape[1]) * {v.name}",
            ]  # fmt: skip
        if v.ndim == 1:
            choices += [f"T.diag({v.name})", f"T.outer({v.name}, {v.name})"]
        if v.kind in "iu" and v.ndim == 1 and not self.smooth:
            choices.append(f"T.bincount(abs({v.name}) % 7)")
        return "!" + rng.choice(choices)

    def alloc(self) -> str | None:
        v = self.pick()
        if v is None or v.ndim > 2:
            return None
        shape = [f"{v.name}.shape[{a}]" for a in range(v.ndim)]
        return f"!T.alloc({v.name}, {', '.join([str(self.rng.choice([1, 2, 3])), *shape])})"

    def arange(self) -> str | None:
        rng = self.rng
        v = self.pick(least=1)
        if v is None or self.smooth:
            return None
        dtype = rng.choice(["", ", dtype='float32'", ", dtype='int8'", ", dtype='int32'"])
        return rng.choice([
            f"!T.arange({v.name}.shape[0]{dtype})", f"!T.arange(1, {v.name}.shape[{v.ndim - 1}] + 3, 2)",
        ])  # fmt: skip

    # Indexing

    def places(self, n: int) -> str:
        """In-range indices as the text of a constant."""
        count = self.rng.choice([1, 2, 5, 8])
        return f"np.array({[self.rng.randrange(-n, n) for _ in range(count)]})"

    def gather(self) -> str | None:
        rng = self.rng
        v = self.pick(least=1)
        if v is None or 0 in v.shape:
            return None
        axis = rng.randrange(v.ndim)
        n = v.shape[axis]
        if rng.random() < 0.1:  # its first places
            count = f"T.maximum({v.name}.shape[{axis}] - {rng.randrange(3)}, 0)"
            return f"!{v.name}[{':, ' * axis}T.arange({count})]"
        if v.ndim > 1 and rng.random() < 0.3:
            count = rng.choice([1, 3, 6])
            both = ", ".join(f"np.array({[rng.randrange(-m, m) for _ in range(count)]})" for m in v.shape[:2])
            return f"!{v.name}[{both}]"
        if v.ndim > 1 and rng.random() < 0.3:
            at = f"np.random.default_rng({rng.randrange(99)}).integers(0, {v.shape[1]}, {v.shape[0]})"
            return f"!{v.name}[T.arange({v.name}.shape[0]), {at}]"
        index = self.pick("i", "u", least=0) if rng.random() < 0.5 and not self.smooth else None
        if index is not None and (index.ndim > 2 or index.dtype == "uint64"):  # uint64 % n is float64
            index = None
        text = f"{index.name} % {n}" if index is not None else self.places(n)
        return f"!{v.name}[{':, ' * axis}{text}]"

    def write(self) -> str | None:
        rng = self.rng
        v = self.pick("i", "u", "f", "c", least=1)
        if v is None:
            return None
        mode = rng.choice(["set", "inc"])
        place = self.places(v.shape[0]) if rng.random() < 0.35 and v.shape[0] else self.index(v)
        base = v.name if rng.random() < 0.7 else f"T.zeros_like({v.name})"
        target = f"{base}[{place}]"
        names = {"np": np, **{u.name: u.array for u in self.values}}
        shape = eval(target.replace("T.zeros_like", ""), names).shape
        fits = [
            w for w in self.values if w.kind != "s" and w.ndim <= len(shape)
            and all(w.shape[-k] == shape[-k] or w.variable.broadcastable[-k] for k in range(1, w.ndim + 1))
        ]  # fmt: skip
        y = rng.choice(fits) if fits and rng.random() < 0.8 else None
        text = "2" if y is None else y.name
        if y is not None and y.dtype != v.dtype:
            text = f"T.cast({y.name}, {v.dtype!r})" if y.exact and y.kind != "c" else "2"
        return f"!T.{mode}_subtensor({target}, {text})"

    # Products

    def dot(self) -> str | None:
        rng = self.rng
        a = self.pick("f", "i", "u", "c", least=1) if rng.random() < 0.5 else self.pick("f", least=1)
        if a is None or a.ndim > 2:
            return None
        fits = [w for w in self.values if w.kind in "fiuc" and w.ndim in (1, 2) and w.shape[0] == a.shape[-1]]
        if fits and rng.random() < 0.7:
            return f"!T.dot({a.name}, {rng.choice(fits).name})"
        return (
            f"!T.dot({a.name}, {a.name}.T)"
            if rng.random() < 0.7 or a.ndim < 2
            else f"!T.dot({a.name}[::2], {a.name}.T)"
        )

    def batched(self) -> str | None:
        """A product of batches: of a value with another, or with itself, its axes in some order."""
        a = self.pick("f", "i", "u", "c", least=2)
        if a is None or a.ndim > 3:
            return None
        n, k = a.shape[0], a.shape[-1]
        fits = [w for w in self.values if w.kind in "fiuc" and w.ndim in (2, 3) and w.shape[:2] == (n, k)]
        if fits and self.rng.random() < 0.7:
            return f"!T.batched_dot({a.name}, {self.rng.choice(fits).name})"
        if a.ndim == 2:
            return f"!T.batched_dot({a.name}, {a.name})"
        pair = [a.name, f"{a.name}.dimshuffle(0, 2, 1)"]
        self.rng.shuffle(pair)
        return f"!T.batched_dot({', '.join(pair)})"
