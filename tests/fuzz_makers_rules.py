"""Lines of random programs: what rewrite rules look for, written out from their patterns. See fuzz_grower.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from fuzz_makers import LANGUAGE
from fuzz_program import Program, Value

from weft.compiler.ir.pattern import Number, Term, Var
from weft.compiler.simplify import PASSES

WRITTEN = frozenset({
    "neg", "sgn", "sqr", "abs", "reciprocal", "sqrt", "exp", "log", "log1p", "expm1", "sigmoid", "softplus", "tanh",
    "add", "sub", "mul", "truediv", "maximum", "minimum", "floordiv", "mod", "pow", "and", "or", "xor", "eq", "ne",
    "lt", "le", "gt", "ge", "invert", "switch", "real", "imag", "conj", "complex",
})  # fmt: skip
BITS = frozenset({"and", "or", "xor", "invert", "floordiv", "mod"})
BOOLS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})

# Rules whose patterns hold more than elementwise operations: what a user writes that becomes them. {x} is a tensor of
# floats with at least two axes, {v} a vector, {n} the number of columns of {x}; {p} picks an
# element of every row.
PLACES = "[T.arange({x}.shape[0]), T.arange({x}.shape[0]) % {n}]"
SAMPLES = {
    "log-gather-softmax": "T.log((T.exp({x}) / T.sum(T.exp({x}), axis=1, keepdims=True)){p})",
    "log-sum-exp": "T.log(T.sum(T.exp({x} * 0.5), axis={a}))",
    "exp-over-sum": "T.exp({x}) / T.sum(T.exp({x}), axis={a}, keepdims=True)",
    "exp-times-over-sum": "T.exp({x}) * ({x} / T.sum(T.exp({x}), axis={a}, keepdims=True))",
    "exp-sub-log": "T.exp({x} - T.max({x}, axis={a}, keepdims=True) - T.log(abs({x}) + 1.5))",
    "div-by-few": "{x} / T.sqrt(T.sum({x} * {x}, axis={a}, keepdims=True) + 0.25)",
    "dimshuffle-alloc": "T.alloc(T.sum({x}), {x}.shape[0], {x}.shape[1]).dimshuffle(1, 0) * {x}.T",
    "alloc-alloc": "T.alloc(T.alloc({v}, 2, {v}.shape[0]), 3, 2, {v}.shape[0])",
    "alloc-leading-ones": "T.alloc({v}.dimshuffle('x', 0), 1, {v}.shape[0])",
    "alloc-nothing": "T.alloc({x}, {x}.shape[0], {x}.shape[1])",
    "reshape-reshape": "{x}.flatten().reshape(({x}.shape[1], {x}.shape[0]))",
    "reshape-dimshuffle": "{v}.dimshuffle('x', 0).reshape(({v}.shape[0], 1, 1))",
    "reshape-as-dimshuffle": "{x}.reshape(({x}.shape[0], 1, {x}.shape[1]))",
    "slice-everything": "{x}[:{x}.shape[0]]",
    "slice-slice": "{x}[1:][:, ::2]",
    "slice-alloc": "T.alloc(T.sum({x}), {x}.shape[0], 7)[1:, ::2]",
    "slice-iota": "T.arange({x}.shape[1] + 4)[:3] * 2",
    "set-slice-everything": "T.inc_subtensor({x}[0:, 1:], 2.0)",
    "set-slice-nothing": "T.set_subtensor({x}[:0], 1.0) + {x}",
    "set-slice-whole": "T.set_subtensor({x}[:], {x} * 2)",
    "inc-slice-whole": "T.inc_subtensor({x}[:, :], {x} * 2)",
    "slice-of-set-slice": "T.set_subtensor({x}[1:], {x}[1:] * 2)[1:]",
    "add-pieces": "T.grad(T.sum(T.exp({x})[:, 1:2]) + T.sum(T.tanh(T.exp({x})[:, :1])), {x})",
    "cast-iota": "T.cast(T.arange({x}.shape[1]), 'float32') * {x}",
    "gather-everything": "{x}[T.arange({x}.shape[0])]",
    "reduce-ones": "T.max({x}.dimshuffle(0, 'x', 1), axis=1)",
    "reduce-reduce": "T.max(T.max({x}, axis=1), axis=0)",
    "reduce-dimshuffle": "T.sum({x}.dimshuffle(1, 0), axis=0)",
    "reduce-alloc": "T.sum(T.alloc({v}, 4, {v}.shape[0]), axis=0)",
    "elementwise-of-alloc": "T.exp(T.alloc({v}, 3, {v}.shape[0])) * T.alloc({v}, 3, {v}.shape[0])",
    "sum-scaled": "T.sum({x} * 1.75, axis={a})",
    "sum-divided": "T.sum({x} / 0.3, axis={a})",
    "fold-of-numbers": "T.prod({x}.shape) * {x}",
    "sum-neg": "T.sum(-{x}, axis={a})",
    "max-neg": "T.max(-{x}, axis={a})",
    "rebroadcast-known": "T.addbroadcast({v}.dimshuffle('x', 0), 0) + {v}",
    "concatenate-nothing": "T.concatenate([{x}[:, :0], {x}, {x} * 2], axis=1)",
    "concatenate-one": "T.concatenate([{x}], axis=0)",
    "length-below-zero": "T.switch(T.lt({x}.shape[0], 0), 1.0, 2.0) + {x}",
    "length-from-zero": "T.switch(T.ge({x}.shape[0], 0), 1.0, 2.0) + {x}",
    "item-of-ifelse": "ifelse(True, {x} * 2, {x})",
    "csr-part": "weft.sparse.csm_data(weft.sparse.csr_from_dense({x}) * 2)",
    "mul-scatter": "{x} * T.set_subtensor(T.zeros_like({x}){p}, {x}[:, 0])",
    "div-scatter": "T.inc_subtensor(T.zeros_like({x}){p}, {x}[:, 0]) / (abs({x}) + 1)",
    "neg-scatter": "-T.inc_subtensor(T.zeros_like({x}){p}, {x}[:, 0])",
    "sum-scatter": "T.sum(T.inc_subtensor(T.zeros_like({x}){p}, {x}[:, 0]), axis=1)",
    "gather-scatter": "T.set_subtensor(T.zeros_like({x}){p}, {x}[:, 0]){p}",
    "scatter-as-comparison": "T.set_subtensor({x}{p}, {x}[:, 0]) + T.inc_subtensor({x}{p}, {x}[:, 0] * 2)",
    "mul-constants-cancel": "({x} * 0.5) * ((abs({x}) + 1) * 2.0)",
    "exp-nonpositive": "T.exp({x} - T.max({x}, axis={a}, keepdims=True)) + T.exp(-abs({x}))",
    "fold-elementwise": "{x} * T.sqr(T.constant([0.5, 2.0], dtype='float64'))[0]",
    "fold-view": "T.constant([0.5, 2.0, 4.0], dtype='float64')[::-2] * T.sum({x})",
    "fold-reduction": "T.max(T.constant([0.5, 2.0], dtype='float64')) * {x}",
    "cast-cast": "T.cast(T.cast({x}, 'float64'), {d})",
    "cast-same": "T.cast(T.cast({x}, {d}), {d})",
    "bool-as-number": "T.neq(T.cast(T.gt({x}, 0), {d}), 0)",
    "not-bool-as-number": "T.eq(T.cast(T.gt({x}, 0), {d}), 0)",
    "pow-half": "T.pow(abs({x}) + 0.5, 0.5)",
    "pow-three-halves": "T.pow(abs({x}) + 0.5, 1.5)",
    "pow-five-halves": "T.pow(abs({x}) + 0.5, 2.5)",
    "pow-minus-three-halves": "T.pow(abs({x}) + 0.5, -1.5)",
}  # fmt: skip

# Rules that others come before, but for values of these dtypes.
NEEDS = {
    **dict.fromkeys(("mul-neg-neg", "neg-mul-neg", "div-neg-neg", "neg-div-neg", "sub-neg-mul", "add-neg-mul"),
                    "complex128"),
    "reciprocal-self": "float16",
}  # fmt: skip

ALL = [rule for p in PASSES for rule in p.rules]


class RuleMakers:
    rng: random.Random
    smooth: bool
    program: Program
    values: list[Value]
    pick: Callable[..., Value | None]
    agree: Callable[[Value, Value], bool]

    def rules(self) -> list[tuple[Callable[[], str | None], int]]:
        return [(self.pattern, 6), (self.sample, 3)]

    def aimed(self, rule: Any) -> str | None:
        """What a given rule looks for."""
        return self.sample(rule.name) if rule.name in SAMPLES else self.pattern(rule)

    def sample(self, name: str | None = None) -> str | None:
        rng = self.rng
        x = self.pick("f", ndim=2, exact=True)
        v = self.pick("f", ndim=1)
        text = SAMPLES[name or rng.choice(list(SAMPLES))].replace("{p}", PLACES)
        if ("{x}" in text and (x is None or 0 in x.shape)) or ("{v}" in text and v is None):
            return None
        if self.smooth and ("gt(" in text or "ge(" in text or "lt(" in text):
            return None
        return text.format(
            x=x and x.name, v=v and v.name, n=x and x.shape[1], a=rng.choice([0, 1]),
            d=repr(rng.choice(["float64", "float32", "float64"])),
        )  # fmt: skip

    def pattern(self, rule: Any = None) -> str | None:
        """A rule's pattern over values there are."""
        rng = self.rng
        rule = rule or rng.choice(ALL)
        ops = operations(rule.pattern)
        if not ops <= WRITTEN:
            return None
        if ops & {"real", "imag", "conj", "complex"}:
            kinds: tuple[str, ...] = ("c",) if "complex" not in ops else ("f",)
        elif ops & BITS or "self" in rule.name:
            kinds = ("i", "u", "b") if ops & BITS else ("i", "u", "b", "f")
        else:
            kinds = ("f", "f", "f", "i") if not ops & {"exp", "log", "truediv", "sigmoid", "sqrt"} else ("f",)
        if NEEDS.get(rule.name) == "complex128":
            kinds = ("c",)
        if self.smooth and (not set(kinds) & {"f", "c"} or ops & BOOLS):
            return None
        first = self.pick(*kinds, exact=bool(ops & BOOLS))
        if rule.name == "reciprocal-self":
            first = next((v for v in self.values if v.dtype in ("float16", "bfloat16")), None)
        if first is None:
            return None
        names: dict[str, str] = {}
        text = self.written(rule.pattern, names, first, rule.name, top=True)
        return text

    def written(
        self, term: Any, names: dict[str, str], like: Value, rule: str, top: bool = False, place: str = ""
    ) -> str:
        rng = self.rng
        if isinstance(term, Number):
            return repr(term.value) if like.kind != "b" or place == "switch" else repr(bool(term.value))
        if isinstance(term, Var):
            if term.name not in names:
                names[term.name] = self.operand(term.name, names, like, rule)
            return names[term.name]
        if isinstance(term, Term):
            args = [
                self.written(a, names, like, rule, place="switch" if term.op == "switch" else "") for a in term.args
            ]
            if term.op == "switch" and isinstance(term.args[0], Number):
                args[0] = repr(bool(term.args[0].value))
            if term.op in ("add", "mul", "maximum", "minimum", "and", "or", "eq") and rng.random() < 0.3:
                args = args[::-1]
            return f"T.{LANGUAGE.get(term.op, term.op)}({', '.join(args)})"
        raise AssertionError(f"{term} in the pattern of {rule}")

    def operand(self, name: str, names: dict[str, str], like: Value, rule: str) -> str:
        rng = self.rng
        if (name == "c" and "switch" in rule) or (name == "x" and rule == "switch-not"):
            return f"T.gt({like.name}, {1 if like.kind != 'b' else 'False'})"
        if name in ("a", "b", "c") and (
            rule.startswith(("merge", "collect", "div-power", "bound", "scaled")) or rng.random() < 0.4
        ):
            if like.kind in "fc":
                return rng.choice(["0.5", "2.0", "1.5", "-0.75", "3.0", "1.25"])
            return rng.choice(["2", "3", "-2"]) if like.kind != "b" else "True"
        if name == "n" and "x" in names:  # the opposite of x
            return f"(-{names['x']})"
        if name == "x" and "n" in names:
            return f"(-{names['n']})"
        fits = (
            [w for w in self.values if w.dtype == like.dtype and w.kind == like.kind and self.agree(like, w)]
            if like.kind != "s"
            else []
        )
        v = rng.choice(fits or [like])
        if v.kind == "f":
            # In the middle of every domain, or as it is.
            return v.name if rng.random() < 0.4 else f"({'abs' if rng.random() < 0.8 else ''}({v.name}) * 0.25 + 0.5)"
        return v.name


def operations(term: Any) -> set[str]:
    if not isinstance(term, Term):
        return set() if not hasattr(term, "_fields") or isinstance(term, (Var, Number)) else {"*"}
    found = {term.op} | ({"?"} if term.attrs else set())
    for a in term.args:
        found |= operations(a)
    return found
