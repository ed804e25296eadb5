"""Small regions that together hold every operation, with arguments and the values plain NumPy gives for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from weft.compiler.ir import lengths
from weft.compiler.ir.node import Constant, Node, Region, build, region, topological
from weft.compiler.ir.ops.elementwise import ELEMENTWISE
from weft.compiler.ir.ops.procedural import HostFunction


def param(k: int, dtype: str = "float64", *shape: int | None, kind: str = "dense") -> Node:
    """Param k; None in its shape is a length of its own."""
    axes = [build("dim", token=k, axis=a) if n is None else lengths.const(n) for a, n in enumerate(shape)]
    return build("param", *axes, token=k, dtype=dtype, kind=kind)


def vector(k: int = 0, dtype: str = "float64") -> Node:
    return param(k, dtype, None)


def matrix(k: int = 0, dtype: str = "float64") -> Node:
    return param(k, dtype, None, None)


def scalar(k: int = 0, dtype: str = "int64") -> Node:
    return param(k, dtype)


def const(value: Any, dtype: str = "int64") -> Node:
    return build("const", value=Constant(np.asarray(value, dtype), dtype))


def closed(params: list[Node], *outputs: Node) -> Region:
    """The region with the obligations of all its nodes."""
    return region(params, outputs, [c for n in topological(outputs) for c in n.checks])


def items(node: Node) -> list[Node]:
    return [build("item", node, index=k) for k in range(len(node.type.items))]


class Sample(NamedTuple):
    name: str
    region: Region
    args: list[Any]
    values: list[Any]


X = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.5]])
CUBE = np.stack([X, 2 - X, X * X])
V = np.array([0.5, -1.5, 2.0, 3.5, -0.25])
SPARSE = scipy.sparse.csr_matrix(np.array([[0, 2.0, 0], [1.0, 0, 3.0]]))


def _elementwise() -> list[Sample]:
    out = []
    for name, row in ELEMENTWISE.items():
        dtype = next(d for d in ("float64", "bool", "complex128") if d in row.accepts)
        ps = [vector(k, dtype) for k in range(row.arity)]
        arg = {"float64": V, "bool": V > 0, "complex128": V + 1j}[dtype]
        out.append(Sample(name, closed(ps, build(name, *ps)), [arg] * row.arity, []))
    return out


def views() -> list[Sample]:
    x, v, m, n = matrix(0), vector(0), matrix(1), scalar(1)
    all_, point = ("all",), ("point",)
    back = np.zeros((2, 4, 2))
    back[:, 0, 0], back[:, 1, 1], back[:, 2, 0], back[:, 3, 1] = X[:, 0], X[:, 1], X[:, 0] + 1, X[:, 1] + 1
    wide = np.stack([X[:, :2], X[:, :2] + 1], axis=1)
    set_ = X.copy()
    set_[:, 1:2] = 7
    inc = X.copy()
    inc[-1:, ::-2] += X[:1, :2]
    flat = build("reshape", x, lengths.mul(*x.type.axes))
    g = param(0, "float64", None, None, None)
    draw_state = param(0, "uint64", 2, kind="random")
    x13, y0 = param(0, "float64", 1, None), param(1, "float64", None, None)
    return [
        Sample("dimshuffle", closed([x], build("dimshuffle", x, order=(1, "x", 0))), [X], [X.T[:, None, :]]),
        Sample("dimshuffle drops", closed([x13], build("dimshuffle", x13, order=(1,))), [X[:1]], [X[0]]),
        Sample(
            "reshape", closed([x], flat, build("reshape", flat, const(3), const(2))), [X], [X.ravel(), X.reshape(3, 2)]
        ),
        Sample("alloc", closed([v, n], build("alloc", v, n, v.type.axes[0])), [V, np.int64(2)], [np.stack([V, V])]),
        Sample("rebroadcast", closed([x], build("rebroadcast", x, axes=(0,))), [X[:1]], [X[:1]]),
        Sample(
            "slice",
            closed([x, n], build("slice", x, n, n, spec=(point, ("range", True, False, -1)))),
            [X, np.int64(1)],
            [X[1:2, 1::-1]],
        ),
        Sample("slice all", closed([x], build("slice", x, const(-1), spec=(all_, point))), [X], [X[:, -1:]]),
        Sample(
            "set_slice",
            closed([x], build("set_slice", x, const([[7.0]], "float64"), const(1), spec=(all_, point), mode="set")),
            [X],
            [set_],
        ),
        Sample(
            "set_slice inc",
            closed([x, m], build("set_slice", x, m, const(-1), spec=(point, ("range", False, False, -2)), mode="inc")),
            [X, X[:1, :2]],
            [inc],
        ),
        Sample(
            "concatenate",
            closed([x, y0], build("concatenate", x, y0, x, axis=1)),
            [X, X[:, :1]],
            [np.concatenate([X, X[:, :1], X], 1)],
        ),
        Sample(
            "iota", closed([v, n], build("iota", n, dtype="int8")), [V, np.int64(300)], [np.arange(300).astype("int8")]
        ),
        Sample(
            "window",
            closed([x], build("window", x, axis=1, size=2, stride=1)),
            [X],
            [np.lib.stride_tricks.sliding_window_view(X, 2, 1)],
        ),
        Sample("window strided", closed([v], build("window", v, axis=0, size=2, stride=3)), [V], [V[[[0, 1], [3, 4]]]]),
        Sample("spread", closed([g, n], build("spread", g, n, axis=1, stride=2)), [wide, np.int64(4)], [back]),
        Sample(
            "advance",
            closed([draw_state], build("advance", draw_state)),
            [np.array([7, 9], "uint64")],
            [np.array([7, 10], "uint64")],
        ),
        Sample(
            "state_words",
            closed([draw_state], build("state_words", draw_state)),
            [np.array([7, 9], "uint64")],
            [np.array([7, 9], "uint64")],
        ),
    ]


def draws() -> list[Sample]:
    s = param(0, "uint64", 2, kind="random")
    outs = [
        build("draw", s, const(2), const(3), distribution=d, dtype=t)
        for d in ("uniform", "normal")
        for t in ("float32", "float64")
    ]
    return [Sample("draw", closed([s], *outs), [np.array([7, 9], "uint64")], [])]


def indexing() -> list[Sample]:
    x, i, j, y, v = matrix(0), vector(1, "int64"), vector(2, "uint8"), matrix(2), vector(0)
    at = np.array([1, 0, -1])
    new = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    set_ = np.array([new[1], new[2]])
    inc = np.array([X[0] + new[1], X[1] + new[0] + new[2]])
    masked = np.array([1.0, np.nan, 0.0, -2.0, 0.0])
    nz = build("nonzero", build("ne", v, const([0.0], "float64")))
    return [
        Sample("gather", closed([x, i], build("gather", x, i)), [X, at], [X[at]]),
        Sample(
            "gather 2", closed([x, i, j], build("gather", x, i, j)), [X, at, np.uint8([0, 2, 1])], [X[at, [0, 2, 1]]]
        ),
        Sample("scatter", closed([x, i, y], build("scatter", x, y, i, mode="set")), [X, at, new], [set_]),
        Sample("scatter inc", closed([x, i, y], build("scatter", x, y, i, mode="inc")), [X, at, new], [inc]),
        Sample(
            "nonzero",
            closed([v], *items(nz), build("gather", v, *items(nz))),
            [masked],
            [np.array([0, 1, 3]), masked[[0, 1, 3]]],
        ),
        Sample("nonzero 2", closed([x], *items(build("nonzero", x))), [np.eye(3)], list(np.nonzero(np.eye(3)))),
        Sample(
            "cumsum",
            closed([x], build("cumsum", x, axis=0, reverse=False), build("cumsum", x, axis=1, reverse=True)),
            [X],
            [np.cumsum(X, 0), np.cumsum(X[:, ::-1], 1)[:, ::-1]],
        ),
        Sample("sort", closed([x], build("sort", x), build("argsort", x)), [X], [np.sort(X), np.argsort(X)]),
    ]


def linear() -> list[Sample]:
    a, b, v, w = matrix(0), matrix(1), vector(0), vector(1)
    p, q = (param(k, "float64", None, None, None) for k in (0, 1))
    s = param(0, "float64", None, None, kind="csr")
    parts = [build("csr_part", s, part=k) for k in range(3)]
    back = build("csr", *parts, s.type.axes[1])
    spd = X @ X.T + np.eye(2)
    tri = np.array([[2.0, 9.0], [1.0, 4.0]])
    solves = [build("solve_triangular", a, b, lower=lo, trans=t) for lo in (True, False) for t in (False, True)]
    given = [np.tril(tri), np.tril(tri).T, np.triu(tri), np.triu(tri).T]
    dense = SPARSE.toarray()
    return [
        Sample("dot", closed([a, b], build("dot", a, b)), [X, X.T], [X @ X.T]),
        Sample("dot 1 2", closed([v, b], build("dot", v, b)), [V[:2], X], [V[:2] @ X]),
        Sample("dot 2 1", closed([a, w], build("dot", a, w)), [X, V[:3]], [X @ V[:3]]),
        Sample("dot 1 1", closed([v, w], build("dot", v, w)), [V, V], [V @ V]),
        Sample(
            "batched_dot",
            closed([p, q], build("batched_dot", p, q)),
            [CUBE, CUBE.transpose(0, 2, 1).copy()],
            [np.stack([x @ x.T for x in CUBE])],
        ),
        Sample("cholesky", closed([a], build("cholesky", a)), [spd], [np.linalg.cholesky(spd)]),
        Sample("solve_triangular", closed([a, b], *solves), [tri, X], [np.linalg.solve(t, X) for t in given]),
        Sample("csr_part", closed([s], *parts), [SPARSE], [SPARSE.data, SPARSE.indices, SPARSE.indptr]),
        Sample("csr", closed([s], build("csr_part", back, part=0)), [SPARSE], [SPARSE.data]),
        Sample("csr_dot", closed([s, b], build("csr_dot", *parts, b, s.type.axes[1])), [SPARSE, X.T], [dense @ X.T]),
        Sample("csr_dot_t", closed([s, b], build("csr_dot_t", *parts, b, s.type.axes[1])), [SPARSE, X], [dense.T @ X]),
        Sample(
            "csr_sample",
            closed([s, b, matrix(2)], build("csr_sample", *parts[1:], b, matrix(2))),
            [SPARSE, X, np.arange(9.0).reshape(3, 3)],
            [np.array([(X @ np.arange(9.0).reshape(3, 3).T)[r, c] for r, c in ((0, 1), (1, 0), (1, 2))])],
        ),
    ]


def reductions() -> list[Sample]:
    x, b = matrix(0), matrix(0, "bool")
    out = [
        Sample(
            f,
            closed([x], *(build(f, x, axes=a) for a in ((), (0,), (1,), (0, 1)))),
            [X],
            [getattr(np, f)(X, axis=a) for a in ((), (0,), (1,), (0, 1))],
        )
        for f in ("sum", "prod", "max", "min")
    ]
    out += [
        Sample(f, closed([b], build(f, b, axes=(1,))), [X > 0], [getattr(np, f)(X > 0, axis=1)]) for f in ("any", "all")
    ]
    every = ((), (0,), (1,), (0, 1))
    squares = [np.sum((X - X.mean(axis=a, keepdims=True)) ** 2, axis=a) for a in every]
    out.append(Sample("devsq", closed([x], *(build("devsq", x, axes=a) for a in every)), [X], squares))
    both = [*items(build("max_and_argmax", x, axes=(0, 1))), build("argmax", x, axes=(0,))]
    return [*out, Sample("argmax", closed([x], *both), [X], [np.max(X), np.argmax(X), np.argmax(X, 0)])]


def step(*, until: bool = False) -> Region:
    """s[t] = s[t-2] + s[t-1] * x[t], stacked doubled, until it passes the constant."""
    x, s2, s1, limit = scalar(0, "float64"), scalar(1, "float64"), scalar(2, "float64"), scalar(3, "float64")
    new = build("add", s2, build("mul", s1, x))
    return closed([x, s2, s1, limit], new, build("add", new, new), *([build("gt", new, limit)] if until else []))


def control() -> list[Sample]:
    n, xs, init, limit = scalar(0), vector(1), param(2, "float64", 2), scalar(3, "float64")
    ps = [n, xs, init, limit]

    def scan(until: bool, keep: bool) -> Node:
        return build("scan", *ps, step=step(until=until), sequences=1, taps=((-2, -1),), keep=(keep,), until=until)

    args = [np.int64(4), np.ones(6), np.array([1.0, 1.0]), np.float64(2.5)]
    fib = np.array([1.0, 1, 2, 3, 5, 8])
    c, v = scalar(0, "bool"), vector(1)
    inner = vector(0)
    then = closed([inner], build("add", inner, inner))
    orelse = closed([inner], build("slice", inner, const(1), spec=(("range", True, False, 1),)))
    chosen = items(build("ifelse", c, v, then=then, orelse=orelse))
    twice = HostFunction("twice", lambda args: [2 * args[0], args[0][args[0] > 0]])
    call = build("host_call", v, callee=twice, dtypes=("float64", "float64"), ndims=(1, 1), like=(0, None))
    return [
        Sample("scan", closed(ps, *items(scan(False, True))), args, [fib, 2 * fib[2:]]),
        Sample("scan last", closed(ps, *items(scan(False, False))), args, [fib[-2:], 2 * fib[2:]]),
        Sample("scan until", closed(ps, *items(scan(True, True))), args, [fib[:4], 2 * fib[2:4]]),
        Sample("ifelse then", closed([c, v], *chosen), [np.bool_(True), V], [2 * V]),
        Sample("ifelse else", closed([c, v], *chosen), [np.bool_(False), V], [V[1:]]),
        Sample("host_call", closed([c, v], *items(call)), [np.bool_(True), V], [2 * V, V[V > 0]]),
    ]


def _kernel() -> Region:
    """Two tensors in one pass: lengths enter a body as scalars."""
    x, n, inner = vector(0), scalar(0), build("param", scalar(0), token=1, dtype="float64", kind="dense")
    body = closed([n, inner], build("exp", inner), build("sum", inner, axes=(0,)))
    call = build("kernel", x.type.axes[0], x, body=body, layout=((0,), ()), outer=0)
    return closed([x, matrix(1)], *items(call))


def others() -> list[Sample]:
    x, c = vector(0), vector(1, "bool")
    return [
        Sample("cast", closed([x], build("cast", x, dtype="int8")), [V], [V.astype("int8")]),
        Sample(
            "switch",
            closed([x, c], build("switch", c, x, const([0.0], "float64"))),
            [V, V > 0],
            [np.where(V > 0, V, 0)],
        ),
        Sample("complex", closed([x], build("complex", x, build("neg", x))), [V], [V - 1j * V]),
        Sample("const", closed([], const([1, 2])), [], [np.array([1, 2])]),
        Sample("kernel", _kernel(), [V, X], [np.exp(V), V.sum()]),
        Sample("length", closed([x], *build("nonzero", x).type.items[0].axes), [V], [np.int64(5)]),
    ]


def samples() -> list[Sample]:
    return [*_elementwise(), *views(), *draws(), *indexing(), *linear(), *reductions(), *control(), *others()]
