"""Fixed programs whose bits tests/test_numerics.py holds to docs/numerics.md, by name.

A program has several calls: a compiled function serves all lengths, and the order of a sum follows from the length.
What is random is seeded by the program's name, so a program is the same wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numerics_base import (
    COMPLEX,
    DTYPES,
    FLOATS,
    HALVES,
    INTEGERS,
    LENGTHS,
    PROGRAMS,
    Data,
    Program,
    program,
    tensor,
)  # fmt: skip

import weft
import weft.tensor as T
from weft.runtime.program import element_type
from weft.tensor import nnet

__all__ = ["DTYPES", "PROGRAMS", "Data", "Program"]

# ---- functions of one and of two arguments, at special values and at many others --------------------------------

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, np.inf, -np.inf, np.nan, 1e-3, -1e-30, 1e-40, 88.7, -103.9, 3e4, 1e30]
# name -> where most arguments are drawn from
UNARY: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("exp", "exp2", "expm1", "sinh", "cosh"), (-90.0, 90.0)),
    **dict.fromkeys(("log", "log2", "log10", "sqrt"), (0.0, 100.0)),
    **dict.fromkeys(("log1p",), (-1.0, 10.0)),
    **dict.fromkeys(("sin", "cos", "tan"), (-1000.0, 1000.0)),
    **dict.fromkeys(("tanh", "sigmoid", "softplus", "erf", "erfc", "arctan", "arcsinh"), (-10.0, 10.0)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv"), (-1.0, 1.0)),
    **dict.fromkeys(("arccosh",), (1.0, 50.0)),
    **dict.fromkeys(("cbrt", "inv", "sqr", "abs_", "neg", "sgn"), (-50.0, 50.0)),
    **dict.fromkeys(("floor", "ceil", "trunc", "round", "isnan", "isinf"), (-20.0, 20.0)),
}
BINARY = ("pow", "arctan2", "mod", "int_div", "true_div", "maximum", "minimum")


def _unary(name: str, low: float, high: float) -> None:
    @program(f"function {name}")
    def make(d: Data) -> Program:
        xs = [tensor(t, 2, t) for t in FLOATS]
        calls = []
        for rows, columns in ((1, 0), (3, 19), (41, 500)):
            values = [d.array(rows, columns, dtype="float64", low=low, high=high) for _ in xs]
            for v in values:
                v[0, : len(SPECIAL)] = SPECIAL[:columns]
            with np.errstate(over="ignore"):
                calls.append(tuple(v.astype(element_type(t)) for v, t in zip(values, FLOATS, strict=True)))
        return Program(xs, [getattr(T, name)(x) for x in xs], calls, rows=tuple(range(len(xs))))


def _binary(name: str) -> None:
    @program(f"function {name}")
    def make(d: Data) -> Program:
        xs = [tensor(t, 2, f"{t} {k}") for t in FLOATS for k in (0, 1)]
        special = np.array([(a, b) for a in SPECIAL for b in SPECIAL])
        low = 0.0 if name == "pow" else -9.0
        calls = []
        for rows in (1, 40):
            values: list[np.ndarray] = []
            for t in FLOATS:
                for k in (0, 1):
                    v = d.array(rows, 450, dtype="float64", low=low if not k else -9.0, high=9.0)
                    v[0, : len(special)] = special[:, k]
                    with np.errstate(over="ignore"):
                        values.append(v.astype(element_type(t)))
            calls.append(tuple(values))
        outs = [getattr(T, name)(a, b) for a, b in zip(xs[::2], xs[1::2], strict=True)]
        return Program(xs, outs, calls, rows=tuple(range(len(xs))))


for _name, (_low, _high) in UNARY.items():
    _unary(_name, _low, _high)
for _name in BINARY:
    _binary(_name)

# ---- chains: name -> (dtypes of the arguments, expression) -------------------------------------------------------


def gelu(x: Any) -> Any:
    return x * 0.5 * (T.erf(x * 0.70710678) + 1)


def black_scholes(s: Any, k: Any, t: Any) -> Any:
    s, k, t = T.abs_(s) + 1, T.abs_(k) + 1, T.abs_(t) + 0.25
    root = T.sqrt(t) * 0.25
    d = (T.log(s / k) + t * 0.0625) / root
    return s * (T.erf(d) + 1) * 0.5 - k * T.exp(-t * 0.03125) * (T.erf(d - root) + 1) * 0.5


F, D = "float32", "float64"
CHAINS: dict[str, tuple[tuple[str, ...], Callable]] = {
    "sums of products": ((F,) * 4, lambda a, b, c, d: a * b + c * d - (a * d - b * c)),
    "sums of products, wide": ((D,) * 4, lambda a, b, c, d: (a * b - c * d) / (1 + a * a + b * b)),
    "polynomial": ((F,), lambda x: ((((x * 0.3 + 0.7) * x - 1.1) * x + 0.4) * x - 2.3) * x + 5),
    "distance": ((F, F), lambda a, b: T.sqrt(T.sqr(a) + T.sqr(b)) / (T.abs_(a) + T.abs_(b) + 1)),
    "gelu": ((F,), gelu),
    "gelu, wide": ((D,), gelu),
    "gelu, half": ((HALVES[-1],), gelu),
    "swish and mish": ((F,), lambda x: x * T.sigmoid(x) - x * T.tanh(T.softplus(x))),
    "black scholes": ((F,) * 3, black_scholes),
    "black scholes, wide": ((D,) * 3, black_scholes),
    "clip and switch": ((F, F), lambda a, b: T.switch(a > b, T.clip(a, -1, 2), T.maximum(b * b, a) - 1)),
    "half sums": (("float16",) * 3, lambda a, b, c: a * b + c - a / (T.abs_(b) + 1)),
    "mixed floats": (("float16", F, D), lambda a, b, c: a * b + c * a - T.exp(b) / (1 + c * c)),
    "complex": (("complex64",) * 2, lambda a, b: a * b / (b + 9) - T.conj(a) * T.abs_(b)),
    "complex, wide": (("complex128",) * 2, lambda a, b: T.exp(a * 0.1) * T.sqrt(b) - T.log(a + 9) / (b + 9j)),
    "complex, signs": (("complex128",) * 2, lambda a, b: -a / (b + 9j) - T.conj(T.conj(a * b) / -(b + 9))),
    "complex of parts": (
        (F, F, F),
        lambda a, b, c: T.complex(a * b - c, a * b + c) + T.complex(T.sqrt(a * c - b), b * a),
    ),
    "complex of parts, wide": ((D,) * 4, lambda a, b, c, d: T.complex(a * b - c * d, a * c + b * d)),
    "integers": (("int32", "int32"), lambda a, b: (a * b + 7) // (b % 9) - (a ^ b) % (a | 1)),
    "small integers": (("int8", "uint8"), lambda a, b: T.maximum(a, b) * T.cast(a, "uint8") - (b & 15) * a // 3),
    "integer powers": (("int64", "uint64"), lambda a, b: (a ** (a % 5)) + T.cast(b ** (b % 7), "int64")),
    "logic": (("bool", "bool", F), lambda p, q, x: (p & ~q) | T.isnan(x) | ((x > 0) ^ q)),
    "integers to floats": (("int64", "uint8", F), lambda a, b, x: a / 3 + b * x - T.sqrt(T.abs_(a) % 1000)),
}


def _chain(name: str, dtypes: tuple[str, ...], f: Callable) -> None:
    @program(f"chain {name}")
    def make(d: Data) -> Program:
        xs = [tensor(t, 2, f"x{k}") for k, t in enumerate(dtypes)]
        calls = [tuple(d.array(r, c, dtype=t) for t in dtypes) for r, c in ((0, 5), (1, 1), (3, 67), (60, 1001))]
        return Program(xs, [f(*xs)], calls, rows=tuple(range(len(xs))))


for _name, (_dtypes, _f) in CHAINS.items():
    _chain(_name, _dtypes, _f)


@program("chain broadcast")
def _(d: Data) -> Program:
    x, row, column = T.fmatrix("x"), T.fvector("row"), T.dcol("column")
    out = T.tanh(x * row + row / 3) * column - T.exp(column) * row
    calls = [(d.array(r, c), d.array(c), d.array(r, 1, dtype=D)) for r, c in ((1, 9), (70, 333))]
    return Program([x, row, column], [out], calls, rows=(0, 2))


@program("chain gradient")
def _(d: Data) -> Program:
    xs = [T.fmatrix("a"), T.fmatrix("b")]
    f = T.tanh(xs[0] * xs[1]) * T.exp(-T.sqr(xs[0])) / (1 + T.sqr(xs[1])) + T.sigmoid(xs[0]) * T.log1p(T.abs_(xs[1]))
    calls = [(d.array(r, c), d.array(r, c)) for r, c in ((2, 9), (50, 401))]
    return Program(xs, weft.grad(T.sum(f), xs), calls, rows=(0, 1))


# ---- reductions ---------------------------------------------------------------------------------------------------

FOLDS: dict[str, Callable] = {
    "sum": T.sum, "prod": lambda x, a: T.prod(1 + x * 0.0009765625, a), "max": T.max, "min": T.min, "mean": T.mean,
    "var": T.var, "std": T.std, "argmax": T.argmax, "argmin": T.argmin, "any": lambda x, a: T.any(x > 900, a),
    "all": lambda x, a: T.all(x < 900, a), "norm": lambda x, a: T.sqrt(T.sum(x * x, a)),
}  # fmt: skip
AXES: dict[str, tuple[Any, Callable[[int], tuple[int, ...]]]] = {
    "rows": (1, lambda n: (19, n)),
    "columns": (0, lambda n: (n, 37)),
    "the middle": (1, lambda n: (3, n, 5)),
    "all": (None, lambda n: (n, 13)),
    "the ends": ((0, 2), lambda n: (11, 3, n)),
}
NEEDS_ONE = ("max", "min", "argmax", "argmin")


def _fold(fold: str, where: str) -> None:
    @program(f"reduce {fold} of {where}")
    def make(d: Data) -> Program:
        axis, shape = AXES[where]
        xs = [tensor(t, len(shape(1)), t) for t in (F, D)]
        lengths = LENGTHS if fold in NEEDS_ONE else (0, *LENGTHS)
        calls = [tuple(d.wide(*shape(n), dtype=t) for t in (F, D)) for n in lengths]
        outs = [FOLDS[fold](x, axis) for x in xs]
        return Program(xs, outs, calls, rows=(0, 1) if where == "rows" else ())


for _name in FOLDS:
    for _where in AXES:
        _fold(_name, _where)


def _fold_types(fold: str) -> None:
    @program(f"reduce {fold} of other dtypes")
    def make(d: Data) -> Program:
        dtypes = (*HALVES, *INTEGERS) if fold in NEEDS_ONE else (*HALVES, *INTEGERS, *COMPLEX)
        xs = [tensor(t, 2, t) for t in dtypes]
        outs = [getattr(T, fold)(x, a) for x in xs for a in (0, 1, None)]
        calls = [tuple(d.array(r, c, dtype=t) for t in dtypes) for r, c in ((1, 1), (9, 1025), (1030, 20))]
        return Program(xs, outs, calls)


for _name in ("sum", "prod", "max", "argmin"):
    _fold_types(_name)


@program("reduce several in one loop")
def _(d: Data) -> Program:
    x, y = T.fmatrix("x"), T.dmatrix("y")
    outs = [
        T.sum(x, 1) / T.max(x, 1),
        T.sum(x * y, 1),
        T.min(y, 1),
        x - T.mean(x, 1, keepdims=True),
        T.sum(x),
        T.sum(y, 0),
    ]
    return Program([x, y], outs, [(d.wide(r, c), d.wide(r, c, dtype=D)) for r, c in ((1, 3), (40, 1500))])


@program("reduce what was computed")
def _(d: Data) -> Program:
    x = T.ftensor3("x")
    outs = [T.sum(T.exp(-x * x), 1), T.max(T.tanh(x), (0, 1)), T.sum(x.dimshuffle(2, 0, 1), 0), T.sum(x[:, ::-2], 1)]
    return Program([x], outs, [(d.array(*s),) for s in ((2, 7, 3), (5, 1100, 17))])


# ---- products -----------------------------------------------------------------------------------------------------

SHAPES = ((1, 1, 1), (5, 1, 3), (17, 511, 33), (64, 64, 64), (33, 513, 70), (130, 1025, 47))  # rows, inner, columns


def _products(dtype: str) -> None:
    @program(f"dot {dtype}")
    def make(d: Data) -> Program:
        a, b = tensor(dtype, 2, "a"), tensor(dtype, 2, "b")
        calls = [(d.array(m, k, dtype=dtype), d.array(k, n, dtype=dtype)) for m, k, n in SHAPES]
        if dtype in ("float32", "float64"):
            calls.append((d.array(3, 0, dtype=dtype), d.array(0, 4, dtype=dtype)))
        return Program([a, b], [T.dot(a, b)], calls, rows=(0,))

    @program(f"dot {dtype} transposed")
    def transposed(d: Data) -> Program:
        a, b, c = (tensor(dtype, 2, n) for n in "abc")
        outs = [T.dot(a.T, b), T.dot(a.T, c.T), T.dot(b.T, a)]
        shapes = ((1, 1, 1), (40, 30, 20), (700, 60, 65))
        calls = [
            (d.array(k, m, dtype=dtype), d.array(k, n, dtype=dtype), d.array(n, k, dtype=dtype)) for k, m, n in shapes
        ]
        return Program([a, b, c], outs, calls)

    @program(f"dot {dtype} with vectors")
    def vectors(d: Data) -> Program:
        a, u, v = tensor(dtype, 2, "a"), tensor(dtype, 1, "u"), tensor(dtype, 1, "v")
        outs = [T.dot(a, v), T.dot(u, a), T.dot(v, v), T.outer(u, v)]
        calls = [
            (d.array(m, k, dtype=dtype), d.array(m, dtype=dtype), d.array(k, dtype=dtype))
            for m, k in ((1, 1), (7, 17), (300, 1025), (5, 5000))
        ]
        return Program([a, u, v], outs, calls)


for _name in (F, D, "int32", "complex64", *HALVES):
    _products(_name)


@program("dot of other dtypes")
def _(d: Data) -> Program:
    dtypes = ("int8", "uint8", "int16", "uint16", "uint32", "int64", "uint64", "complex128")
    xs = [tensor(t, 2, f"{t}{k}") for t in dtypes for k in (0, 1)]
    outs = [T.dot(a, b) for a, b in zip(xs[::2], xs[1::2], strict=True)]
    calls = [
        tuple(d.array(*s, dtype=t) for t in dtypes for s in ((m, k), (k, n))) for m, k, n in ((2, 3, 4), (30, 600, 21))
    ]
    return Program(xs, outs, calls)


@program("dot batched")
def _(d: Data) -> Program:
    a, b = T.ftensor3("a"), T.ftensor3("b")
    c = T.batched_dot(a, b)
    outs = [c, T.sum(T.batched_dot(a, b) * 0.5, 0), T.tensordot(a, b, [[0, 2], [0, 1]])]
    outs += [T.batched_dot(c.dimshuffle(0, 2, 1), a[::-1]), T.batched_dot(c, b[:, 0]), T.batched_dot(a[:, 0], a[:, 1])]
    outs += [T.tanh(T.batched_dot(a * 2, b) + T.sum(b, 1, keepdims=True))]
    shapes = ((1, 2, 3, 4), (6, 30, 520, 18))
    return Program([a, b], outs, [(d.array(n, i, k), d.array(n, k, j)) for n, i, k, j in shapes])


@program("dot of strided views")
def _(d: Data) -> Program:
    a, b = T.dmatrix("a"), T.fmatrix("b")
    outs = [
        T.dot(a[::2], a[1::2].T), T.dot(a[:, ::-1], a.T), T.dot(b[3:, ::3].T, b[3:]), T.dot(b[:, 2], b),
        T.dot(b.T[::-2], b[:, 0]), T.dot(b.dimshuffle(1, 0)[4:], b[:, :3]),
    ]  # fmt: skip
    calls = [(d.array(2 * m, k, dtype=D), d.array(m + 5, k + 6)) for m, k in ((1, 1), (40, 300))]
    return Program([a, b], outs, calls)


@program("dot with what follows")
def _(d: Data) -> Program:
    x, w, v = (T.fmatrix(n) for n in "xwv")
    b, c = T.fvector("b"), T.fvector("c")
    hidden = T.tanh(T.dot(x, w) + b)
    outs = [hidden, T.maximum(T.dot(hidden, v) + c, 0), T.dot(x * 2, w) - T.dot(x, w * 3)]
    calls = [(d.array(n, 30), d.array(30, 50), d.array(50, 9), d.array(50), d.array(9)) for n in (1, 8, 200)]
    return Program([x, w, v, b, c], outs, calls, rows=(0,))


# ---- layers, losses, gradients ----------------------------------------------------------------------------------

MATRICES = ((1, 1), (2, 17), (50, 1030))


def _layer(name: str, f: Callable, dtype: str = F, rows: bool = True) -> None:
    """The layer, and the gradient of a weighted sum of it."""

    @program(f"layer {name}" + (f" {dtype}" if dtype != F else ""))
    def make(d: Data) -> Program:
        x, w = tensor(dtype, 2, "x"), tensor(dtype, 2, "w")
        y = f(x)
        outs = [y, weft.grad(T.sum(y * w), x)]
        calls = [(d.array(*s, dtype=dtype, high=9.0), d.array(*s, dtype=dtype)) for s in MATRICES]
        return Program([x, w], outs, calls, rows=(0, 1) if rows else ())


def normalised(x: Any, axis: int) -> Any:
    centred = x - T.mean(x, axis, keepdims=True)
    return centred / T.sqrt(T.mean(T.sqr(centred), axis, keepdims=True) + 1e-3)


for _dtype in (F, D, *HALVES):
    _layer("softmax", nnet.softmax, _dtype)
    _layer("logsoftmax", nnet.logsoftmax, _dtype)
_layer("softmax of columns", lambda x: nnet.softmax(x, axis=0), rows=False)
_layer("norm of rows", lambda x: normalised(x, 1))
_layer("norm of rows", lambda x: normalised(x, 1), D)
_layer("norm of columns", lambda x: normalised(x, 0), rows=False)
_layer("logsumexp", lambda x: x - T.log(T.sum(T.exp(x), 1, keepdims=True)))
_layer("elu and gelu", lambda x: nnet.elu(x) + gelu(x))


@program("loss of classes")
def _(d: Data) -> Program:
    x, w, labels = T.fmatrix("x"), T.fmatrix("w"), T.lvector("labels")
    cost = nnet.categorical_crossentropy(nnet.softmax(T.dot(x, w)), labels).mean()
    calls = [(d.array(n, 40), d.array(40, 10), d.rng.integers(0, 10, n)) for n in (1, 300)]
    return Program([x, w, labels], [cost, *weft.grad(cost, [x, w])], calls)


@program("loss of pairs")
def _(d: Data) -> Program:
    x, v, y = T.dmatrix("x"), T.dvector("v"), T.dvector("y")
    cost = T.mean(nnet.binary_crossentropy(T.sigmoid(T.dot(x, v)), y)) + 0.01 * T.sum(T.sqr(v))
    calls = [(d.array(n, 21, dtype=D), d.array(21, dtype=D), d.array(n, dtype=D, low=0, high=1)) for n in (1, 1100)]
    return Program([x, v, y], [cost, *weft.grad(cost, [x, v])], calls)


@program("attention")
def _(d: Data) -> Program:
    q, k, v = (T.fmatrix(n) for n in "qkv")
    out = T.dot(nnet.softmax(T.dot(q, k.T) * 0.25), v)
    outs = [out, *weft.grad(T.sum(T.sqr(out)), [q, k, v])]
    calls = [(d.array(n, 16), d.array(m, 16), d.array(m, 24)) for n, m in ((1, 1), (90, 120))]
    return Program([q, k, v], outs, calls)


def _training(name: str, dtype: str, adam: bool) -> None:
    @program(f"training {name} {dtype}")
    def make(d: Data) -> Program:
        x, y = tensor(dtype, 2, "x"), tensor(dtype, 2, "y")
        w, b, v = (weft.shared(d.array(*s, dtype=dtype) / 8) for s in ((20, 31), (31,), (31, 7)))
        cost = T.mean(T.sqr(T.dot(T.tanh(T.dot(x, w) + b), v) - y))
        updates: list[tuple[Any, Any]] = []
        for p, g in zip((w, b, v), weft.grad(cost, [w, b, v]), strict=True):
            m, s = (weft.shared(np.zeros_like(p.get_value())) for _ in (0, 1))
            rate = T.constant(0.05, dtype=dtype)
            if adam:
                m1, s1 = m * 0.875 + g * 0.125, s * 0.9375 + T.sqr(g) * 0.0625
                updates += [(m, m1), (s, s1), (p, p - rate * m1 / (T.sqrt(s1) + 0.0625))]
            else:
                updates += [(m, m * 0.5 - rate * g), (p, p + m * 0.5 - rate * g)]
        calls = [(d.array(n, 20, dtype=dtype), d.array(n, 7, dtype=dtype)) for n in (64, 1, 1100)]
        return Program([x, y], [cost], calls, updates=updates)


_training("momentum", F, False)
_training("adam", F, True)
_training("adam", D, True)

# ---- loops --------------------------------------------------------------------------------------------------------


@program("scan recurrence")
def _(d: Data) -> Program:
    x, h = T.fmatrix("x"), T.fvector("h")
    out, _ = weft.scan(lambda e, s: T.tanh(s * 0.5 + e) * 0.75 + s * e, sequences=x, outputs_info=h)
    return Program(
        [x, h], [out, *weft.grad(T.sum(T.sqr(out)), [x, h])], [(d.array(n, 33), d.array(33)) for n in (1, 40)]
    )


@program("scan network")
def _(d: Data) -> Program:
    x, h, w = T.dmatrix("x"), T.dvector("h"), T.dmatrix("w")
    out, _ = weft.scan(lambda e, s, u: T.tanh(T.dot(s, u) + e), sequences=x, outputs_info=h, non_sequences=w)
    cost = T.sum(out[-1] * out[0])
    calls = [(d.array(n, 30, dtype=D), d.array(30, dtype=D), d.array(30, 30, dtype=D) / 6) for n in (2, 25)]
    return Program([x, h, w], [out, *weft.grad(cost, [x, h, w])], calls)


@program("scan until")
def _(d: Data) -> Program:
    x = T.fvector("x")
    out, _ = weft.scan(
        lambda s: (s * 1.25 + T.sin(s), weft.scan_module.until(T.sum(T.abs_(s)) > 500)), outputs_info=x, n_steps=60
    )
    return Program([x], [out], [(d.array(n),) for n in (1, 20, 1100)])


@program("scan of integers")
def _(d: Data) -> Program:
    x = T.ivector("x")
    out, _ = weft.scan(lambda e, a, b: a * 31 + b - e, sequences=x, outputs_info=[dict(initial=x[:2], taps=[-1, -2])])
    return Program([x], [out], [(d.array(n, dtype="int32"),) for n in (2, 90)])


@program("scan backwards, two states")
def _(d: Data) -> Program:
    x = T.fmatrix("x")
    zero = T.zeros_like(x[0])
    (a, b), _ = weft.scan(
        lambda e, a, b: [a + e * b, T.exp(-b) + e], sequences=x, outputs_info=[zero, zero], go_backwards=True
    )
    return Program([x], [a, b[-1], weft.grad(T.sum(a[-1]), x)], [(d.array(n, 19),) for n in (1, 30)])


@program("ifelse")
def _(d: Data) -> Program:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    out = weft.ifelse.ifelse(T.gt(T.sum(x), 0), T.dot(x, y.T), T.exp(T.dot(y, x.T) / 64))
    calls = [
        (d.array(5, 40), d.array(5, 40)),
        (d.array(5, 40, low=0), d.array(5, 40)),
        (-d.array(60, 40, low=0), d.array(60, 40)),
    ]
    return Program([x, y], [out, weft.grad(T.sum(out), x)], calls)


# ---- indexing, order, casts ---------------------------------------------------------------------------------------


def _subscript(name: str, f: Callable, dtype: str = F) -> None:
    @program(f"index {name}")
    def make(d: Data) -> Program:
        x, y, i = tensor(dtype, 2, "x"), tensor(dtype, 2, "y"), T.lvector("i")
        used = f(x, y, i)
        calls = [
            (d.array(r, c, dtype=dtype), d.array(n, c, dtype=dtype), d.index(r, n))
            for r, c, n in ((4, 5, 3), (30, 700, 40))
        ]
        return Program([x, y, i], used if isinstance(used, list) else [used], calls)


_subscript("slices", lambda x, y, i: [x[1:, ::2] * 2 - x[:-1, ::2], x[::-1, 3], x[-2:, None, 1:]])
_subscript("gathers", lambda x, y, i: [x[i] * y, x[i, 1:3], T.exp(T.take(x, i, 0)), x[:, T.cast(abs(i) % 3, "int8")]])
_subscript("masks", lambda x, y, i: [x[x > 0.5], T.sum(x[T.sum(x, 1) > 0], 0), T.nonzero(x < -1)[1]])
_subscript(
    "sets", lambda x, y, i: [T.set_subtensor(x[i], y), T.set_subtensor(x[1:3, ::2], 4), T.set_subtensor(x[0], x[1])]
)
_subscript("repeated places", lambda x, y, i: [T.inc_subtensor(x[i], y * 1.1), T.inc_subtensor(x[i, 1], y[:, 0])])
_subscript("repeated places, half", lambda x, y, i: T.inc_subtensor(x[i], y), HALVES[-1])
_subscript("gradient of a gather", lambda x, y, i: weft.grad(T.sum(T.sqr(x[i] * y)), [x, y]))
_subscript("shapes", lambda x, y, i: [
    T.concatenate([x, y * 2], 0), T.stack([x, x + 1], 1), T.tile(y, (2, 2)), T.repeat(x, 3, 1), T.roll(x, 2, 1),
    T.tril(x),
])  # fmt: skip
_subscript("sort", lambda x, y, i: [T.sort(x, 1), T.argsort(x, 1), T.sort(x, 0), T.argsort(i), T.sort(T.log(x), 1)])
_subscript("sort integers", lambda x, y, i: [T.sort(x, 1), T.argsort(x % 7, 1), T.max_and_argmax(x, 1)[1]], "uint16")
_subscript(
    "cumsum", lambda x, y, i: [T.cumsum(x, 0), T.cumsum(x, 1), T.cumsum(x), weft.grad(T.sum(T.sqr(T.cumsum(x, 1))), x)]
)
_subscript("cumsum, half", lambda x, y, i: [T.cumsum(x, 0), T.cumsum(x, 1)], "float16")


def _cast(source: str) -> None:
    @program(f"cast {source}")
    def make(d: Data) -> Program:
        x = tensor(source, 1)
        targets = [t for t in DTYPES if source not in COMPLEX or t in COMPLEX]
        outs = [T.cast(x, t) for t in targets]
        values = d.array(3000, dtype=source)
        if source in FLOATS:
            with np.errstate(over="ignore"):
                edges = [
                    *SPECIAL,
                    *(s * 2.0**k + e for k in (7, 8, 15, 16, 31, 32, 53, 63, 64) for s in (1, -1) for e in (0, 1, -1)),
                ]
                values = np.concatenate(
                    [
                        np.array(edges).astype(element_type(source)),
                        values,
                        (d.array(3000, dtype=D) ** 25).astype(values.dtype),
                    ]
                )
        return Program([x], outs, [(values,)])


for _name in DTYPES:
    _cast(_name)

# ---- random draws, windows, sparse matrices -----------------------------------------------------------------------


@program("random floats")
def _(d: Data) -> Program:
    n = T.lscalar("n")
    r = T.shared_randomstreams.RandomStreams(7)
    outs = [f((n, 33), dtype=t) for f in (r.uniform, r.normal) for t in FLOATS]
    return Program([n], outs, [(1,), (400,)])


@program("random integers")
def _(d: Data) -> Program:
    n = T.lscalar("n")
    r = T.shared_randomstreams.RandomStreams(8)
    outs = [
        r.binomial((n,), 1, 0.25),
        r.binomial((n,), 9, 0.5),
        r.random_integers((n,), -3, 1000),
        r.uniform((n,), -2, 5),
    ]
    return Program([n], [*outs, r.permutation(n=50)], [(1,), (3000,)])


@program("random updates")
def _(d: Data) -> Program:
    x = T.fmatrix("x")
    r = T.shared_randomstreams.RandomStreams(9)
    dropped = x * (r.uniform(x.shape, dtype=F) < 0.75) + r.normal(x.shape, std=0.125, dtype=F)
    return Program([x], [dropped, T.sum(dropped, 1)], [(d.array(40, 300),)])


def _convolution(name: str, f: Callable, dtype: str = F) -> None:
    @program(f"convolution {name}")
    def make(d: Data) -> Program:
        x, w = tensor(dtype, 4, "x"), tensor(dtype, 4, "w")
        out = f(x, w)
        outs = [out, *weft.grad(T.sum(T.sqr(out)), [x, w], disconnected_inputs="ignore")]
        calls = [(d.array(n, 3, 12, 15, dtype=dtype), d.array(4, 3, 3, 3, dtype=dtype)) for n in (1, 5)]
        return Program([x, w], outs[:1] if name == "alone" else outs, calls, rows=(0,) if name == "alone" else ())


_convolution("alone", nnet.conv2d)
_convolution("gradients", nnet.conv2d)
_convolution("gradients, wide", lambda x, w: nnet.conv2d(x, w, border_mode="half", subsample=(2, 1)), D)
_convolution("pooled", lambda x, w: T.signal.pool.pool_2d(T.tanh(nnet.conv2d(x, w)), (2, 2), ignore_border=True))


@program("sparse products")
def _(d: Data) -> Program:
    data, dense = T.fvector("data"), T.fmatrix("dense")
    places = d.rng.integers(0, 40, 600)
    m = weft.sparse.CSR(
        data, T.constant(places, dtype="int32"), T.constant(np.arange(0, 601, 20), dtype="int32"), (30, 40)
    )
    out = weft.sparse.structured_dot(m, dense)
    return Program(
        [data, dense],
        [out, *weft.grad(T.sum(T.sqr(out)), [data, dense])],
        [(d.array(600), d.array(40, n)) for n in (1, 70)],
    )
