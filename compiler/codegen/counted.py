"""What steps and programs read, write and compute, as formulas in the lengths: for profiles and reports.

A step reads each of its operands once and writes each of its results once; an update in place does both. Of an operand
of which a step can read only a few elements (rows of a table, by index), those count. What a product and the kernels
inside it hand to each other piece by piece costs nothing, nor do the workspaces of single kernels, which are per worker
or a thousandth of what they read.

Floating-point operations are counted in the loops of kernels: one for each operation of `FLOPS`, as often as the loop
that it stands in runs. Integers, comparisons and choices are none. What is made again for each rectangle of a product
counts once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..ir import lengths
from ..ir.dtypes import DTYPES, REAL_FLOAT
from ..ir.node import Node, substitute, topological
from ..lower.kernel import Nest
from ..schedule.steps import Block, Buffer, HostProgram, Step

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
    return lengths.add(lengths.const(0), *(n for moves in _moves(s, kernels) for _, n in moves))


def _moves(s: Step, kernels: Kernels) -> tuple[list[tuple[Buffer, Node]], list[tuple[Buffer, Node]]]:
    """What a step reads and what it writes, in bytes; one buffer may be both."""
    most: dict[Buffer, Node | None] = {}  # elements that may be read of a buffer; None: all
    steps = [s, *s.inside()]
    for k in steps:
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
    written = dict.fromkeys(x for k in steps for x in k.outputs)
    writes = [(b, b.nbytes()) for b in written if b.place != "piece"]
    # A kernel that runs on pieces of a stored product takes them while they are in the cache.
    between = set(written) & set(most)
    reads = []
    for b, n in most.items():
        if b.place != "piece" and b not in between:
            few = None if n is None else lengths.scale(n, DTYPES[b.dtype].itemsize)
            reads.append((b, b.nbytes() if few is None else lengths.minimum(b.nbytes(), few)))
    return reads, writes


class Traffic(NamedTuple):
    """Bytes of a call: those that its steps move, the least possible, and how many buffers are counted in neither."""

    moved: Node
    least: Node
    left_out: int


def traffic(program: HostProgram, kernels: Kernels, known: Callable[[Node], bool]) -> Traffic:
    """Of all steps of a program: every step of a loop, both branches of an ifelse. The least is what is read of its
    arguments and values, once, and its results and new values, once. Sizes that are not `known` are left out."""
    total = lengths.const(0)
    read: dict[tuple[str, int], Node] = {}  # of arguments and values; a state written in place has a second buffer
    unknown: set[Buffer] = set()

    def size(b: Buffer, n: Node) -> Node:
        if known(n):
            return n
        unknown.add(b)
        return lengths.const(0)

    def end(b: Buffer, n: Node) -> None:
        if b.place in ("input", "constant", "state"):
            key = (b.place, b.index)
            read[key] = lengths.maximum(read[key], size(b, n)) if key in read else size(b, n)

    todo: list[tuple[Block | Step, Node]] = [(program.block, lengths.const(1))]
    todo += [(s, lengths.const(1)) for s in program.after_commit]
    while todo:
        item, times = todo.pop()
        if isinstance(item, Block):
            todo += [(s, times) for s in item.steps]
            for r in item.results:
                if isinstance(r, Buffer):
                    end(r, r.nbytes())
        elif item.kind in ("scan", "ifelse"):
            steps = item.inputs[0] if item.kind == "scan" else lengths.const(1)
            assert isinstance(steps, Node)
            for x in item.inputs:
                if isinstance(x, Buffer):
                    end(x, x.nbytes())
            if known(steps):
                todo += [(b, lengths.mul(times, steps)) for b in item.blocks]
            else:
                unknown.update(b for block in item.blocks for s in block.steps for b in s.outputs)
        else:
            reads, writes = _moves(item, kernels)
            total = lengths.add(total, *(lengths.mul(times, size(b, n)) for b, n in (*reads, *writes)))
            for b, n in reads:
                end(b, n)
    results = [size(b, b.nbytes()) for b in program.block.results if isinstance(b, Buffer)]
    return Traffic(total, lengths.add(lengths.const(0), *read.values(), *results), len(unknown))


def _routine(n: Node) -> Node:
    """Of a routine: a product and a sum for each term, where it adds products."""
    shapes = [x.type.axes for x in n.inputs]
    if n.op == "cholesky":
        return lengths.floordiv(lengths.product((shapes[0][0],) * 3), lengths.const(3))
    if n.op == "solve_triangular":
        return lengths.mul(shapes[0][0], lengths.product(shapes[1]))
    if n.op == "cumsum":
        return lengths.scale(lengths.product(shapes[0]), flops("add", n.type.dtype))
    if n.op in ("dot", "batched_dot"):
        terms = lengths.mul(lengths.product(n.type.axes), shapes[0][-1])
    elif n.op in ("csr_dot", "csr_dot_t"):
        terms = lengths.mul(shapes[0][0], shapes[3][1])
    elif n.op == "csr_sample":
        terms = lengths.mul(shapes[0][0], shapes[2][1])
    else:
        return lengths.const(0)
    return lengths.scale(terms, flops("mul", n.type.dtype) + flops("add", n.type.dtype))


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


__all__ = ["FLOPS", "Traffic", "bytes_of", "count", "flops", "flops_of", "traffic"]
