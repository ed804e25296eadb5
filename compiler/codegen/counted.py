"""What a step reads, writes and computes, as formulas in the lengths: for profiles.

Bytes are those of compiler/schedule/traffic.py: each operand once, each result once; of an operand of which a step can
read only a few elements (rows of a table, by index), those. Floating-point operations are counted in the loops of
kernels: one for each operation of `FLOPS`, as often as the loop that it stands in runs. Integers, comparisons and
choices are none. What is made again for each rectangle of a product counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import lengths
from ..ir.dtypes import DTYPES, REAL_FLOAT
from ..ir.node import Node, substitute, topological
from ..lower.kernel import Nest
from ..schedule.steps import Buffer, Step
from ..schedule.traffic import touched

if TYPE_CHECKING:
    from .host import Kernels

# Operations on floats, as many as the C of an element has, an fma being two. Those of functions are about what their
# polynomials take in kernels/weft_math_*.h and kernels/weft_scalar.h for arguments that are not extreme.
_ONE = ("add", "sub", "mul", "neg", "sqr", "maximum", "minimum", "truediv", "reciprocal", "sqrt", "abs")
FLOPS = {
    **dict.fromkeys(_ONE, 1),
    **dict.fromkeys(("floor", "ceil", "trunc", "round"), 1),
    "mod": 4, "floordiv": 3,
    "exp": 16, "exp2": 14, "expm1": 20, "log": 18, "log2": 19, "log10": 19, "log1p": 22, "tanh": 18, "sigmoid": 18,
    "softplus": 30, "sinh": 20, "cosh": 20, "sin": 18, "cos": 18, "tan": 22, "asin": 16, "acos": 16, "atan": 18,
    "asinh": 24, "acosh": 24, "atanh": 22, "cbrt": 16, "erf": 22, "erfc": 30, "erfinv": 30, "pow": 40, "atan2": 20,
}  # fmt: skip
FOLDS = {"devsq": 4}  # of an element that is folded; others 1
# Of complex numbers, in operations on reals.
COMPLEX = {"add": 2, "sub": 2, "neg": 2, "mul": 6, "sqr": 6, "truediv": 11, "reciprocal": 6, "abs": 5, "sqrt": 8}


def flops(op: str, dtype: str) -> int:
    """The floating-point operations of one element of an operation on this dtype."""
    if dtype in REAL_FLOAT:
        return FLOPS.get(op, 0)
    return COMPLEX.get(op, 0) if DTYPES[dtype].kind == "c" else 0


def flops_of(s: Step, kernels: Kernels) -> Node:
    """The floating-point operations of a step, without those of its blocks."""
    total = [_kernel(k, kernels)[0] for k in s.inside()]
    if s.kind == "kernel":
        total.append(_kernel(s, kernels)[0])
    elif s.kind == "routine":
        total.append(_routine(s.node))
    return lengths.add(lengths.const(0), *total)


def bytes_of(s: Step, kernels: Kernels) -> Node:
    """The bytes that a step moves, without those of its blocks."""
    if s.blocks:
        return lengths.const(0)
    most: dict[Buffer, Node | None] = {}  # elements that may be read of a buffer; None: all
    for k in (s, *s.inside()):
        buffers = [x for x in k.inputs if isinstance(x, Buffer)]
        if k.kind == "kernel":
            loads = _kernel(k, kernels)[1]
            found = {b: loads.get(number, lengths.const(0)) for number, b in enumerate(buffers)}
        elif k.kind == "routine":
            pairs = [(b, x) for b, x in zip(k.inputs, k.node.inputs, strict=False) if isinstance(b, Buffer)]
            found = {b: lengths.product(x.type.axes) for b, x in pairs}
        else:
            found = {}
        for b in buffers:
            n, before = found.get(b), most.get(b, lengths.const(0))
            most[b] = None if n is None or before is None else lengths.add(before, n)
    read, written = touched(s)
    total = [b.nbytes() for b in written if b.place != "piece"]
    for b in read:
        n = most.get(b)
        if b.place != "piece":
            few = None if n is None else lengths.scale(n, DTYPES[b.dtype].itemsize)
            total.append(b.nbytes() if few is None else lengths.minimum(b.nbytes(), few))
    return lengths.add(lengths.const(0), *total)


def _routine(n: Node) -> Node:
    """Of a routine: twice the products that a sum is made of, where it is one."""
    shapes = [x.type.axes for x in n.inputs]
    dtype = n.inputs[0].type.dtype
    if n.op in ("dot", "batched_dot"):
        out = lengths.product(n.type.axes)
        times = 2 if dtype in REAL_FLOAT else 8 if DTYPES[dtype].kind == "c" else 0
        return lengths.scale(lengths.mul(out, shapes[0][-1]), times)
    if DTYPES[dtype].kind not in "fc" and n.op not in ("csr_sample",):
        return lengths.const(0)
    if n.op in ("csr_dot", "csr_dot_t"):
        return lengths.scale(lengths.mul(shapes[0][0], shapes[3][1]), 2)
    if n.op == "csr_sample":
        return lengths.scale(lengths.mul(shapes[0][0], shapes[2][1]), 2)
    if n.op == "cumsum":
        return lengths.product(shapes[0])
    if n.op == "cholesky":
        return lengths.floordiv(lengths.product((shapes[0][0],) * 3), lengths.const(3))
    if n.op == "solve_triangular":
        return lengths.mul(shapes[0][0], lengths.product(shapes[1]))
    return lengths.const(0)


def _kernel(s: Step, kernels: Kernels) -> tuple[Node, dict[int, Node]]:
    """What the loops of a kernel compute, and how many elements they load of each tensor, in the program's terms."""
    done, loads = count(kernels.nest(s.node))
    mapping = dict(zip(s.node.attr("body").params, s.node.inputs, strict=True))
    total, *loaded = (lengths.normal(n) for n in substitute([done, *loads.values()], mapping))
    return total, dict(zip(loads, loaded, strict=True))


class _Frame:
    """A loop while it is counted: how often its statements run, and the values that they need."""

    def __init__(self, loop: Node, outer: _Frame | None):
        names = loop.attr("index") if loop.op == "loop" else ()
        self.outer, self.indices = outer, frozenset(names)
        self.statements = list(loop.inputs[len(names) :])
        self.times: Node = lengths.mul(outer.times if outer else lengths.const(1), *loop.inputs[: len(names)])
        self.around: frozenset[int] = (outer.around if outer else frozenset()) | self.indices
        self.values: list[Node] = []


def count(nest: Nest) -> tuple[Node, dict[int, Node]]:
    """The floating-point operations of a nest, and the elements that it loads of each tensor."""
    frames = [_Frame(nest.block, None)]
    total: list[Node] = []
    known: dict[int, frozenset[int]] = {}  # of each accumulator: the loops that it is a value of
    for f in frames:
        for s in f.statements:
            if s.op == "loop":
                frames.append(_Frame(s, f))
                continue
            f.values += s.inputs
            if s.op == "accumulate":
                known[s.attr("acc")] = f.outer.around if f.outer is not None else frozenset()
                kind = s.inputs[0].type.dtype
                if DTYPES[kind].kind in "fc":
                    total.append(
                        lengths.scale(f.times, FOLDS.get(s.attr("fold"), 1) * (1 + (DTYPES[kind].kind == "c")))
                    )
    loads: dict[int, list[Node]] = {}
    for f in reversed(frames):  # inner ones first: what does not change in a loop is computed in the one around it
        moves: dict[Node, frozenset[int]] = {}
        for n in topological(f.values):
            own = frozenset((n.attr("index"),)) if n.op == "index" else frozenset()
            own = known.get(n.attr("acc"), own) if n.op == "acc" else own
            moves[n] = own.union(*(moves[i] for i in n.inputs))
            if f.outer is not None and not moves[n] & f.indices:
                if n.op not in ("const", "param", "index"):
                    f.outer.values.append(n)
                continue
            if n.op == "load" and n.attr("buffer") >= 0:
                loads.setdefault(n.attr("buffer"), []).append(f.times)
            # Of a comparison the dtype is that of what is compared; FLOPS has none of them.
            cost = flops(n.op, n.inputs[-1].type.dtype) if n.inputs and n.op in FLOPS else 0
            if cost:
                total.append(lengths.scale(f.times, cost))
    return lengths.add(lengths.const(0), *total), {b: lengths.add(lengths.const(0), *t) for b, t in loads.items()}


__all__ = ["FLOPS", "bytes_of", "count", "flops", "flops_of"]
