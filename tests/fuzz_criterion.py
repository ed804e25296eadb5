"""Whether two results of a program differ by more than rounding explains.

The interpreter is run ten more times (and once more for each doubling of the elements, see `judge`) with every float
value perturbed by the error that its operation may have (docs/numerics.md), sums from what they are exactly:
`Perturbed`. A result counts as different where it is further from the interpreter's than twice the spread of those
runs (largest minus smallest, the plain run among them) and 2 units in the last place. Where the runs differ among
themselves in something discrete (a place, a length, a comparison that the result is made of), or by a jump, nothing can
be said: "undecided".
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from weft.compiler.ir.dtypes import DTYPES
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.interp.elementwise import FUNCTIONS
from weft.compiler.ir.interp.reduce import devsq
from weft.compiler.ir.interp.values import MEANING, widen
from weft.compiler.ir.node import Node, Region, topological
from weft.compiler.ir.regions import nested_nodes, regions_in
from weft.compiler.ir.types import TensorType
from weft.runtime.errors import WeftError

SEEDS = 10
ULPS = 2.0

# Exactly rounded: half a unit, and nothing where the result is exact.
BASIC = frozenset({"add", "sub", "mul", "sqr", "truediv", "reciprocal", "sqrt", "mod", "cast"})
FOUR = frozenset({"sigmoid", "softplus", "erfinv"})
TWO = frozenset({
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "erf", "erfc", "sin", "cos", "tan", "asin", "acos",
    "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "pow", "cbrt",
})  # fmt: skip
LINEAR = frozenset({"sum", "cumsum", "dot", "batched_dot", "csr_dot", "csr_dot_t", "csr_sample", "scatter"})

SIGNLESS = LINEAR | {
    "maximum",
    "minimum",
    "max_and_argmax",
    "sort",
    "cholesky",
    "solve_triangular",
    "devsq",
    "host_call",
}

PRODUCTS = frozenset({"mul", "sqr", "truediv", "reciprocal", "pow"})

# float dtype -> (bits of the mantissa, exponent of the smallest normal number)
FORMAT = {"float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126), "float64": (52, -1022)}
GRID = 1024.0


def is_float(x: Node) -> bool:
    return isinstance(x.type, TensorType) and x.type.kind == "dense" and DTYPES[x.type.dtype].kind in "fc"


def part(dtype: str) -> str:
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def plain(x: np.ndarray) -> np.ndarray:
    """In a dtype that NumPy computes in: float64, complex128, or as it is."""
    kind = DTYPES[x.dtype.name].kind
    return x.astype(np.float64) if kind == "f" else x.astype(np.complex128) if kind == "c" else x


def unit(x: np.ndarray) -> np.ndarray:
    """The unit in the last place of each element; of a complex one that of its absolute value."""
    bits, least = FORMAT[part(x.dtype.name)]
    with np.errstate(all="ignore"):
        _, e = np.frexp(np.abs(plain(x)))
    return np.ldexp(1.0, np.maximum(e - 1, least) - bits)


def roundings(op: str, count: int) -> float:
    """How many roundings an element takes part in, by the orders that docs/numerics.md fixes."""
    if op in ("sum", "csr_sample"):
        return min(count, 24 + count // 1024)
    if op == "cumsum":
        return min(count, 128 + 8 + count // 1024)
    return min(count, 512 + count // 512)


class Perturbed:
    """`after` of the interpreter: moves every float value by the error of its operation, in a random direction.

    `decided` is what operations made of floats that is none: comparisons, places, whole numbers."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.decided: defaultdict[Node, list[bytes]] = defaultdict(list)

    def __call__(self, node: Node, inputs: Sequence[Any], value: Any) -> Any:
        if isinstance(value, tuple):
            return value
        t = node.type
        if t.kind != "dense" or not value.size:
            return value
        if DTYPES[t.dtype].kind not in "fc":
            if any(is_float(x) for x in node.inputs):
                self.decided[node].append(value.tobytes())
            return value
        with np.errstate(all="ignore"):
            error = error_of(node, inputs, value)
            return value if error is None else self.moved(accurate(node, inputs, value), error)

    def moved(self, value: np.ndarray, error: np.ndarray) -> np.ndarray:
        if DTYPES[value.dtype.name].kind == "c":
            both = [self.moved(p, error) for p in (value.real, value.imag)]
            return np.asarray(both[0] + 1j * both[1], value.dtype)
        rng, u = self.rng, unit(value)
        steps = np.floor(np.broadcast_to(error, value.shape) / u + rng.random(value.shape))
        move = np.where(np.isfinite(steps), steps * u, error)  # beside a sum that has nearly vanished
        # Errors of neighbours may all have one sign: both kinds of runs are wanted.
        sign = rng.choice([-1.0, 1.0], value.shape if rng.random() < 0.5 else ())
        moved = plain(value) + sign * move
        return np.asarray(np.where(np.isfinite(moved), moved, plain(value))).astype(value.dtype)


def accurate(node: Node, inputs: Sequence[Any], value: np.ndarray) -> np.ndarray:
    """The value, rounded once where NumPy may add up one after the other, with errors that no order of ours has."""
    if node.op not in ("sum", "cumsum", "devsq"):
        return value
    x = inputs[0].astype(np.clongdouble if DTYPES[inputs[0].dtype.name].kind == "c" else np.longdouble)
    if node.op == "cumsum":
        axis = node.attr("axis")
        back = (slice(None),) * axis + (slice(None, None, -1 if node.attr("reverse") else 1),)
        return np.asarray(np.cumsum(x[back], axis=axis)[back], value.dtype)
    made = np.sum(x, axis=node.attr("axes")) if node.op == "sum" else devsq(x, node.attr("axes"))
    return np.asarray(made).astype(value.dtype)


def error_of(node: Node, inputs: Sequence[Any], value: np.ndarray) -> np.ndarray | None:
    """The largest error that the operation may have made of these inputs; None where it is exact."""
    op, dtype = node.op, node.type.dtype
    eps = 2.0 ** -(FORMAT[part(dtype)][0] + 1)
    complex_ = DTYPES[dtype].kind == "c"
    if op in TWO or op in FOUR:
        return np.where(value == 0, 0.0, unit(value)) * (4.0 if op in FOUR or complex_ else 2.0)
    if op in BASIC or (op == "set_slice" and node.attr("mode") == "inc"):
        return np.where(inexact(node, inputs, value), unit(value) * (2.0 if complex_ else 0.5), 0.0)
    if op == "abs" and inputs[0].dtype.kind == "c":
        return unit(value) * 2.0
    if op in LINEAR:
        if op == "scatter" and node.attr("mode") == "set":
            return None
        size, count = magnitude(node, inputs), terms(node, inputs)
        if exact_sum(node, inputs, size):
            return None
        error = np.maximum(size * eps * roundings(op, count), 0.5 * unit(value))
        return np.where(value != inputs[0], error, 0.0) if op == "scatter" else error
    if op == "prod":
        count = terms(node, inputs)
        whole = np.all(plain(inputs[0]) == np.rint(plain(inputs[0]).real)) and np.all(np.abs(plain(value)) < 2.0**10)
        return None if whole else unit(value) * 0.5 * max(count - 1, 0) * (4.0 if complex_ else 1.0)
    if op == "devsq":
        # The interpreter takes the mean first: its error counts squared, once an element.
        count, x = terms(node, inputs), np.abs(plain(inputs[0]))
        mean = np.mean(x, axis=node.attr("axes")) if count else 0.0
        return (
            np.abs(plain(value)) * eps * roundings("sum", count) + count * (mean * eps * roundings("sum", count)) ** 2
        )
    if op in ("cholesky", "solve_triangular") and not all(np.isfinite(x).all() for x in inputs):
        return None
    if op == "cholesky":
        return np.full(value.shape, np.linalg.cond(inputs[0]) * len(value) * eps * np.abs(value).max(initial=0.0))
    if op == "solve_triangular":
        bad = np.linalg.cond(np.tril(inputs[0]) if node.attr("lower") else np.triu(inputs[0])) if len(value) else 0.0
        return np.full(value.shape, bad * len(value) * eps * np.abs(value).max(initial=0.0))
    return None


def inexact(node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> np.ndarray:
    """Where an exactly rounded operation has rounded: a wider type gives another number."""
    if node.op == "set_slice":
        return (value != inputs[0]) & ~on_grid(value.real)
    wide: Any = np.longdouble
    if DTYPES[node.type.dtype].kind == "c":
        return ~(on_grid(value.real) & on_grid(value.imag))
    if node.op == "cast":
        return np.asarray(inputs[0].astype(wide) != value.astype(wide))
    return np.asarray(FUNCTIONS[node.op](*(widen(x).astype(wide) for x in inputs)) != widen(value).astype(wide))


def on_grid(x: np.ndarray) -> np.ndarray:
    """Multiples of 2^-10 of moderate size: sums and products of few of them are exact in any order."""
    fine = plain(np.asarray(x)) * GRID
    return np.asarray((fine == np.rint(fine)) & (np.abs(fine) < 2.0**23))


def magnitude(node: Node, inputs: Sequence[Any]) -> np.ndarray:
    """The sum of the absolute values of what a linear operation adds up."""
    count = 2 if node.op in ("dot", "batched_dot", "scatter") else 4
    floats = [
        np.abs(x) if k < count and DTYPES[x.dtype.name].kind in "fc" else x for k, x in enumerate(inputs)
    ]  # fmt: skip
    real = [x.astype(np.float64) if DTYPES[x.dtype.name].kind == "f" else x for x in floats]
    return np.abs(np.asarray(MEANING[node.op](_Wide(node), real, None), np.float64))


class _Wide:
    """A node whose values are taken in float64."""

    def __init__(self, node: Node):
        self.op, self.attr, self.type = node.op, node.attr, _Float64()


class _Float64:
    dtype = "float64"


def exact_sum(node: Node, inputs: Sequence[Any], size: np.ndarray) -> bool:
    floats = [x for x in inputs if DTYPES[x.dtype.name].kind in "fc"]
    if not all(on_grid(x.real).all() and on_grid(x.imag).all() for x in floats):
        return False
    product = node.op in ("dot", "batched_dot", "csr_dot", "csr_dot_t", "csr_sample")
    room = {"float64": 50, "complex128": 50}.get(node.type.dtype, 23)
    return bool((size * (GRID * GRID if product else GRID) < 2.0**room).all())


def terms(node: Node, inputs: Sequence[Any]) -> int:
    """How many values one result is made of, at most."""
    op, x = node.op, inputs[0]
    if node.family == "reduce":
        return math.prod(x.shape[a] for a in node.attr("axes"))
    if op == "cumsum":
        return x.shape[node.attr("axis")]
    if op in ("dot", "batched_dot"):
        return x.shape[-1]
    if op == "csr_sample":
        return inputs[2].shape[1]
    if op == "scatter":
        return 1 + int(inputs[2].size)
    return int(x.size) + 1


class Verdict(NamedTuple):
    state: str  # "equal", "undecided" or "differs"
    text: str = ""
    at: tuple[int, ...] | None = None  # an element that differs
    allowed: float | None = None  # how far it may be from what is wanted, where it is a float


EQUAL = Verdict("equal")


class Runs(Sequence[list[Any] | None]):
    """The outputs of the perturbed runs; None for one that raises, because a value that it checks has changed. Each is
    run when it is asked for."""

    def __init__(self, region: Region, args: Sequence[Any]):
        self.region, self.args = region, args
        self.found: list[list[Any] | None] = []
        self.decided: list[dict[Node, list[bytes]]] = []

    def __len__(self) -> int:
        return SEEDS + 64

    def __getitem__(self, k: Any) -> Any:
        if k >= len(self):
            raise IndexError(k)
        for seed in range(len(self.found), k + 1):
            run = Perturbed(seed)
            try:
                self.found.append(evaluate(self.region, self.args, after=run))
            except WeftError:
                self.found.append(None)
            self.decided.append(run.decided)
        return self.found[k]

    def wavering(self, output: int) -> list[Node]:
        """The operations that this output is made of, in nested regions too, that have not decided the same in all
        runs: a result that follows from them jumps, maybe to where none of the runs has been."""
        first, *more = self.decided
        return [n for n in made_of(self.region.outputs[output]) if any(d.get(n) != first.get(n) for d in more)]


def made_of(output: Node) -> list[Node]:
    """The operations that an output is made of, in nested regions too."""
    outer = topological([output])
    inner = [n for m in outer for _, a in m.attrs for r in regions_in(a) for _, ns in nested_nodes(r) for n in ns]
    return list(dict.fromkeys(outer + inner))


def _has_no_sign(n: Node) -> bool:
    if n.family == "reduce" or n.op in SIGNLESS:
        return True
    return n.op in PRODUCTS and is_float(n) and DTYPES[n.type.dtype].kind == "c"


def signs_differ(got: np.ndarray, want: np.ndarray, output: Node) -> bool:
    """Whether equal results have zeros of other signs, and their operations fix those: not the order of a reduction,
    of a product or of elements that are equal, nor NumPy's products of complex numbers. Those it computes by fma where
    the processor can, and what vanishes in them keeps its sign only then."""
    if DTYPES[want.dtype.name].kind != "f" or any(_has_no_sign(n) for n in made_of(output)):
        return False
    return bool(other_signs(got, want).any())


def other_signs(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    a, b = plain(got), plain(want)
    return np.asarray((a == 0) & (np.signbit(a) != np.signbit(b)))


def first_other_sign(got: np.ndarray, want: np.ndarray) -> tuple[int, ...]:
    return tuple(int(k) for k in np.argwhere(other_signs(got, want))[0])


def near(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Where results agree without asking how they came about."""
    if DTYPES[want.dtype.name].kind not in "fc":
        return np.asarray(got == want)
    a, b = plain(got), plain(want)
    with np.errstate(all="ignore"):
        return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= ULPS * unit(want)))


def judge(
    got: np.ndarray, want: np.ndarray, spread: Callable[[], Iterable[np.ndarray | None]], rewritten: bool = False
) -> Verdict:
    """How a result compares; `spread` gives the same result of the perturbed runs, asked for only where it matters, and
    only until they explain it: more of them explain that too. `rewritten`: what is wanted is of the program after its
    rewriting, so that no infinity or NaN is to become finite.

    An element stays where it is in all of ten runs once in a thousand times. So that an array has no more false alarms
    than a number has, there is a run more for each doubling of its elements."""
    if got.dtype != want.dtype or got.ndim != want.ndim:
        return Verdict("differs", f"{got.dtype}{got.shape}, not {want.dtype}{want.shape}")
    close = near(got, want) if got.shape == want.shape else None
    if close is not None and close.all():
        return EQUAL
    others: list[np.ndarray | None] = []
    verdict = EQUAL
    for r in islice(spread(), SEEDS + int(got.size).bit_length()):
        others.append(r)
        if close is not None:
            verdict = _explained(got, want, close, others, rewritten)
        elif r is not None and r.shape == want.shape:
            verdict = Verdict("differs", f"shape {got.shape}, not {want.shape}")
        else:
            return Verdict("undecided")
        if verdict.state != "differs":
            break
    return verdict


def _explained(
    got: np.ndarray, want: np.ndarray, close: np.ndarray, others: Sequence[np.ndarray | None], rewritten: bool
) -> Verdict:
    """A result of the right shape beside those of some perturbed runs."""
    if any(r is None or r.shape != want.shape for r in others):
        return Verdict("undecided")
    if DTYPES[want.dtype.name].kind not in "fc":
        moved = np.zeros(want.shape, bool)
        for r in others:
            assert r is not None
            moved |= r != want
        wrong = ~close & ~moved
        return _differs(got, want, wrong) if wrong.any() else Verdict("undecided")
    kind = DTYPES[want.dtype.name].kind
    width, settled = np.zeros(want.shape), np.ones(want.shape, bool)
    for p in ("real", "imag") if kind == "c" else ("real",):
        stack = np.stack([getattr(plain(np.asarray(x)), p) for x in (want, *others)])
        with np.errstate(all="ignore"):
            width = np.maximum(width, stack.max(axis=0) - stack.min(axis=0))
        settled &= ((stack == stack[0]) | np.isnan(stack) & np.isnan(stack[0])).all(axis=0)
    a, b = plain(got), plain(want)
    with np.errstate(all="ignore"):
        # Rewriting may make an infinity or NaN finite (semantics.md); another one it may not.
        sure = ~np.isnan(width) | (settled & (rewritten | ~np.isfinite(a)))
        wrong = ~close & ~(np.abs(a - b) <= 2 * width + ULPS * unit(want)) & sure
        if wrong.any():
            return _differs(got, want, wrong, width)
        finite = np.abs(b[np.isfinite(b)])
        jump = 2.0**-3 if FORMAT[part(want.dtype.name)][0] < 23 else 2.0**-8
        jumped = ~close & ~(width <= jump * max(finite.max(initial=0.0), 1.0))
    return Verdict("undecided") if jumped.any() else EQUAL


def _differs(got: np.ndarray, want: np.ndarray, wrong: np.ndarray, width: np.ndarray | None = None) -> Verdict:
    at = tuple(int(k) for k in np.argwhere(wrong)[0])
    more = f" (spread {width[at]:.3g})" if width is not None else ""
    text = f"{wrong.sum()} of {want.size} elements, first at {at}: {got[at]!r}, not {want[at]!r}{more}"
    allowed = None if width is None else float(2 * width[at] + ULPS * unit(want)[at])
    return Verdict("differs", text, at, allowed)


__all__ = [
    "EQUAL", "Perturbed", "Runs", "Verdict", "error_of", "first_other_sign", "judge", "near", "plain", "signs_differ",
    "unit",
]  # fmt: skip
