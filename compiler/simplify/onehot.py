"""Gradients of losses: products and quotients that a chain rule builds up cancel; scatters into zeros (the gradient of
picking one element a row) stay sparse until they become a comparison with the index.

    p * scatter(0, v, i)                     scatter(0, v * p[i], i)
    p * (scatter(0, a / p[i], i) - c)        scatter(0, a, i) - p * c        softmax followed by its loss
    (a/p - b/q) * p * q                      a*q - b*p                       a sigmoid followed by its loss
    scatter(0, v, (0, 1, ..), y)             where(j == y, v, 0)

Rows are numbered by a range that may be shorter than the matrix has rows (`arange(y.shape[0])`): y is -1 beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.node import Node, Region, build
from ..ir.pattern import Bindings, number, uniform
from ..ir.rewrite import Pass, weigh
from .common import QUOTIENT, ROUNDING, SIGN, STABLE, ZERO, ones, real_rule, rule, same_extent, weight

# ---- scatters into zeros --------------------------------------------------------------------------------------------


def _of_zeros(b: Bindings, node: Node) -> bool:
    return uniform(b["z"]) == 0


def _scattered_once(b: Bindings, node: Node) -> bool:
    """A scatter into zeros of what is none itself: through a chain of n of them (masks of masks) factors would travel n
    each, and be gathered at as many places."""
    return _of_zeros(b, node) and not (b["v"].op == "scatter" and uniform(b["v"].inputs[0]) == 0)


def _places(p: Node, target: Node, index: Sequence[Node]) -> Node:
    """p[index] for a p that stretches to the target, in a form that stretches to the value scattered there."""
    width = max(i.ndim for i in index)
    value = uniform(p)
    if value is not None:
        return number(value, p.dtype, width + target.ndim - len(index))
    flat = tuple(a for a in range(len(index)) if a in ones(p) and a not in ones(target))
    if len(flat) == len(index):
        return build("dimshuffle", p, order=("x",) * width + tuple(range(len(index), p.ndim)))
    if flat:
        p = build("dimshuffle", p, order=tuple(a for a in range(p.ndim) if a not in flat))
    return build("gather", p, *(i for a, i in enumerate(index) if a not in flat))


def _scattered(op: str):
    def replacement(b: Bindings, node: Node) -> Node | None:
        s = build("scatter", b["z"], b["v"], *b["i"], mode=b["m"])
        if not same_extent(s, node):
            return None
        return build("scatter", b["z"], build(op, b["v"], _places(b["p"], s, b["i"])), *b["i"], mode=b["m"])

    return replacement


def _rows(index: Node, length: Node) -> bool:
    """Whether an index takes each place of an axis once."""
    return _ascending(index) and index.axes[0] is length


def _ascending(index: Node) -> bool:
    """Whether an index takes the first places of an axis, each once; there may be too many of them."""
    return index.op == "iota" and index.dtype == "int64"


def _softmax_loss(b: Bindings, node: Node) -> Node | None:
    """p * (scatter(0, a / p[i], i) - c): what is divided and multiplied again stays as it is."""
    s = build("scatter", b["z"], b["a"], *b["i"], mode=b["m"])
    if not same_extent(s, node) or b["g"] is not _places(b["p"], s, b["i"]):
        return None
    return build("sub", s, build("mul", b["p"], b["c"]))


SCATTERS = [
    real_rule("mul-scatter", "mul(p, scatter(z, v, *i; mode=m))", _scattered("mul"), _scattered_once,
              (ZERO, ROUNDING)),
    real_rule("div-scatter", "truediv(scatter(z, v, *i; mode=m), p)", _scattered("truediv"), _scattered_once,
              (ZERO, ROUNDING)),
    rule("neg-scatter", "neg(scatter(z, v, *i; mode=m))", "scatter(z, neg(v), *i; mode=m)", _of_zeros, SIGN),
    real_rule("softmax-index-loss", "mul(p, sub(scatter(z, truediv(a, g), *i; mode=m), c))", _softmax_loss, _of_zeros,
              (STABLE, QUOTIENT)),
]  # fmt: skip


# ---- quotients that cancel ------------------------------------------------------------------------------------------


def _crossed(op: str):
    """(a/p op b/q) * p * q -> a*q op b*p, and further where p and q add up to 1."""

    def replacement(b: Bindings, node: Node) -> Node:
        p, q, first, second = b["p"], b["q"], b["a"], b["b"]
        if (p.op, q.op) == ("sigmoid", "sigmoid") and _opposite(p.inputs[0], q.inputs[0]):
            out = _mixed(first, second if op == "add" else build("neg", second), p)
            if out is not None:
                return out
        return build(op, build("mul", first, q), build("mul", second, p))

    return replacement


def _opposite(x: Node, y: Node) -> bool:
    return (x.op == "neg" and x.inputs[0] is y) or (y.op == "neg" and y.inputs[0] is x)


def _mixed(a: Node, b: Node, p: Node) -> Node | None:
    """a*(1 - p) + b*p as a + (b - a)*p where b - a is one term."""
    terms = _polynomial(b)
    for m, c in _polynomial(a).items():
        terms[m] = terms.get(m, 0) - c
    left = [(m, c) for m, c in terms.items() if c]
    if len(left) != 1:
        return None
    (factors, c) = left[0]
    if not factors and c == 1:
        return build("add", a, p)
    out = number(c, a.dtype, a.ndim)
    for f in factors:
        out = build("mul", out, f)
    return build("add", a, build("mul", out, p))


Polynomial = dict[tuple[Node, ...], Any]


def _polynomial(node: Node, fuel: int = 4) -> Polynomial:
    """Sums of products down to a small depth: factors in a fixed order -> coefficient."""
    value = uniform(node)
    if value is not None:
        return {(): value}
    if fuel and node.op == "neg":
        return {m: -c for m, c in _polynomial(node.inputs[0], fuel - 1).items()}
    if fuel and node.op in ("add", "sub", "mul"):
        left, right = (_polynomial(i, fuel - 1) for i in node.inputs)
        if node.op == "mul":
            out: Polynomial = {}
            for m, c in left.items():
                for n, d in right.items():
                    key = tuple(sorted(m + n, key=lambda f: f.uid))
                    out[key] = out.get(key, 0) + c * d
            return out
        for m, c in right.items():
            left[m] = left.get(m, 0) + (c if node.op == "add" else -c)
        return left
    return {(node,): 1}


# One denominator goes after the other, from inside out: p * (a/p - b/q) is a - p * (b/q), and q times that a*q - p*b.
_UNDONE = (STABLE, QUOTIENT)


def _others(b: Bindings, node: Node) -> bool:
    """Of p / p it would make a cancellation: p * c - p of p * (c - 1)."""
    return b["a"] is not b["p"]


PRODUCTS = [
    *(real_rule(f"quotient-loss-{op}", f"mul(p, {op}(truediv(a, p), c))", f"{op}(a, mul(p, c))", _others, _UNDONE)
      for op in ("add", "sub")),
    real_rule("quotient-loss-right", "mul(p, sub(c, truediv(a, p)))", "sub(mul(p, c), a)", _others, _UNDONE),
    *(real_rule(f"crossed-loss-{op}", f"mul(q, {op}(a, mul(p, truediv(b, q))))", _crossed(op), None, _UNDONE)
      for op in ("add", "sub")),
    real_rule("crossed-loss-right", "mul(p, sub(mul(q, truediv(a, p)), b))", _crossed("sub"), None, _UNDONE),
]  # fmt: skip

onehot = Pass("onehot", [*SCATTERS, *PRODUCTS], weigh(weight))


# ---- comparison with the index --------------------------------------------------------------------------------------

Checked = frozenset[tuple[Node, Node]]


def checked_indices(r: Region) -> Checked:
    """(index, length) of the gathers and scatters that stay: an index out of range is an error there.

    A scatter that is only summed or read back does not count, nor does reading it back.
    """
    nodes = r.nodes()
    gathers = [n for n in nodes if n.op == "gather"]
    back = {n for n in gathers if n.inputs[0].op == "scatter" and n.inputs[1:] == n.inputs[0].inputs[2:]}
    kept = {i for n in nodes if n.op != "sum" and n not in back for i in n.inputs} | set(r.outputs)
    out = set()
    for n in nodes:
        if (n.op == "gather" and n not in back) or (n.op == "scatter" and n in kept):
            index = n.inputs[1:] if n.op == "gather" else n.inputs[2:]
            out |= {(i, n.inputs[0].axes[a]) for a, i in enumerate(index)}
    return frozenset(pair for pair in out if not _rows(*pair))


def _is_checked(b: Bindings, checked: Checked) -> bool:
    """Whether every index of the scatter is in range for sure, or an error elsewhere."""
    pairs = [(i, b["z"].axes[a]) for a, i in enumerate(b["i"])]
    return all(_rows(*pair) or pair in checked for pair in pairs)


def _read_back(b: Bindings, node: Node, checked: Checked) -> Node | None:
    """What was scattered to places that are all different."""
    index = b["i"]
    if any(i.ndim != 1 for i in index) or not any(map(_ascending, index)):
        return None
    return b["v"] if _is_checked(b, checked) else None


def _summed(b: Bindings, node: Node, checked: Checked) -> Node | None:
    """The sum along the axis where each row has one value."""
    z, index, axes = b["z"], b["i"], b["a"]
    if len(index) != 2 or axes not in ((0,), (1,)) or any(i.ndim != 1 for i in index):
        return None
    rows = index[1 - axes[0]]
    if not _ascending(rows) or not _is_checked(b, checked):
        return None
    return _lengthened(b["v"], rows.axes[0], z.axes[1 - axes[0]], 0, *z.axes[2:])


def _compared(b: Bindings, node: Node) -> Node | None:
    """One value a row, at the column that the index names: a comparison of the column's number with it.

    The index is read through a range of the axis' length: that counts negative ones from the end, and checks them all.
    Rows that are too many for the matrix are found by the obligation that stands for the scatter (indices.py).
    """
    if node.ndim != 2 or len(b["i"]) != 2 or any(i.ndim != 1 for i in b["i"]) or not _ascending(b["i"][0]):
        return None
    columns, rows, value = build("iota", node.axes[1], dtype="int64"), node.axes[0], b["v"]
    wanted = _lengthened(build("gather", columns, b["i"][1]), b["i"][0].axes[0], rows, -1)
    if value.op == "alloc" and not value.inputs[0].ndim:
        value = build("dimshuffle", value.inputs[0], order=("x",))  # of rows beyond the range none is read
    else:
        value = _lengthened(value, b["i"][0].axes[0], rows, 0)
    there = build("eq", build("dimshuffle", columns, order=("x", 0)), build("dimshuffle", wanted, order=(0, "x")))
    return build("switch", there, build("dimshuffle", value, order=(0, "x")), number(0, node.dtype, 2))


def _lengthened(x: Node, have: Node, want: Node, value: int, *rest: Node) -> Node:
    """`have` elements, or rows of lengths `rest`, with the value in what `want` has more."""
    if have is want:
        return x
    full = build("alloc", number(value, x.dtype, 1 + len(rest)), want, *rest)
    spec = (("range", False, True, 1), *[("all",)] * len(rest))
    return build("set_slice", full, x, have, spec=spec, mode="set")


onehot_read = Pass("onehot read", [
    rule("sum-scatter", "sum(scatter(z, v, *i; mode=m); axes=a)", _summed, _of_zeros, SIGN),
    rule("gather-scatter", "gather(scatter(z, v, *i; mode=m), *i)", _read_back, _of_zeros, SIGN),
], weigh(weight), checked_indices)  # fmt: skip

dense_onehot = Pass("dense onehot", [
    rule("scatter-as-comparison", "scatter(z, v, *i; mode=m)", _compared, _of_zeros, SIGN),
], weigh(weight))  # fmt: skip

__all__ = ["checked_indices", "dense_onehot", "onehot", "onehot_read"]
