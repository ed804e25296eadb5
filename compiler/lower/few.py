"""Folds of a few elements, as many as the program says: written out, element by element, in the order of the others.

The order is a contract (docs/numerics.md): element e in lane e mod L, the lanes of at most 2 L summands or factors
joined one after the other, those of other folds by a tree. What changes nothing is left out: empty lanes, and what a
fold starts from, but for a sum, where it makes +0 of -0. A kernel all of whose folds are few has no loops for them, so
that the loop around them becomes vectors: windows of an image, pairs of coordinates, rows of two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ..ir import lengths
from ..ir.dtypes import COMPLEX, DTYPES, HALF
from ..ir.node import Node, Region, build, constant, topological
from ..ir.ops.elementwise import is_function
from ..ir.types import TensorType

FEW = 16  # elements
FUNCTIONS = 10  # at most, which are printed once for each element that is folded: 16 take a second of gcc
# Elements from one neighbour to the next, where gcc makes vectors of neighbours of others.
SHUFFLED = {"load": (1, 2, 3, 4, 8, 16), "store": (1, 2, 3, 4, 8)}
TIMES = 512  # that an operand of folds inside folds is printed
AGAIN = 4  # up to how many where loops around read them again
STEPS = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "any": "or", "all": "and"}
OF_BOOLS = {"max": "or", "min": "and"}


def lanes(dtype: str) -> int:
    """How many elements of a block are folded side by side: a vector of 64 bytes, of float32 or wider."""
    return 16 if DTYPES[dtype].kind == "f" and DTYPES[dtype].bits <= 32 else 8


def chain(fold: str, dtype: str) -> int:
    """Up to how many elements, one or two a lane, lanes are joined in order, not as a tree."""
    return 2 * lanes(dtype) if fold in ("sum", "prod") else 0


def places(axes: Sequence[Node]) -> list[tuple[Node, ...]]:
    """The places along axes of static lengths, in row-major order."""
    counts = [range(lengths.static(a) or 0) for a in axes]
    return [tuple(map(lengths.const, at)) for at in itertools.product(*counts)]


def are_few(axes: Iterable[Node]) -> bool:
    count = lengths.static(lengths.product(axes))
    return count is not None and 0 < count <= FEW


def may_be_written_out(body: Region, layout: Sequence[Sequence[int]], outer: int) -> bool:
    """Whether all that a kernel does in its outer loops is of few elements: what it folds, what it stores in loops
    inside. Where there are no outer loops it only folds."""
    times: dict[Node, int] = {}  # how often an operand is printed, folds inside folds multiplied
    for n in body.nodes():
        times[n] = max((times[i] for i in n.inputs), default=1)
        if n.family == "reduce":
            if not is_few(n):
                return False
            times[n] *= lengths.static(folded(n)) or 1
    inner = [
        [a for lab, a in zip(labels, out.type.axes, strict=True) if lab >= outer]
        for out, labels in zip(body.outputs, layout, strict=True)
    ]
    return 1 < max(times.values()) <= TIMES and (all(map(are_few, inner)) if outer else not any(inner))


def short_loops(body: Region, layout: Sequence[Sequence[int]], outer: int) -> int:
    """How many of the last outer loops are short, so that a vector wants the one before: results in groups of three."""
    extents = {
        lab: a
        for out, labels in zip(body.outputs, layout, strict=True)
        for lab, a in zip(labels, out.type.axes, strict=True)
    }
    short = 0
    while short < outer - 1 and are_few([extents[k] for k in range(outer - short - 1, outer)]):
        short += 1
    return short


def folded(r: Node) -> Node:
    """The number of elements that a reduction makes one of."""
    return lengths.product(r.inputs[0].type.axes[a] for a in r.attr("axes"))


def is_few(r: Node) -> bool:
    """Whether a reduction is of few elements, and of a kind that is written out: not a product of complex numbers,
    which to start from 1 + 0i may change (infinities, signs of zeros)."""
    kind = r.op in STEPS and not (r.op == "prod" and r.type.dtype in COMPLEX)
    return kind and are_few([folded(r)])


def pays(block: Node) -> bool:
    """Whether a nest in which folds are written out becomes vectors along its last loop: not where neighbours lie so
    far apart that each is loaded alone, or where loops around it read the same ones again and again (the form for short
    rows puts them side by side once), and not of functions that would be printed for many elements."""
    nodes = topological([block])
    if sum(map(is_function, nodes)) > FUNCTIONS:
        return False
    variables = {build("index", index=k) for n in nodes if n.op == "loop" for k in n.attr("index")}
    innermost = next((n for n in nodes if n.op == "loop"), None)
    if innermost is None:
        return True
    last = build("index", index=innermost.attr("index")[-1])
    for n in nodes:
        if n.op not in SHUFFLED:
            continue
        step = abs(lengths.coefficient(n.inputs[0], last) or 1)
        again = n.op == "load" and not variables <= set(topological(n.inputs))
        if step not in SHUFFLED[n.op] or (again and step > AGAIN):
            return False
    return True


def written_out(fold: str, values: list[Node]) -> Node:
    """The fold of these values, in row-major order of the folded axes."""
    first = values[0].type
    assert isinstance(first, TensorType)
    dtype, count = first.dtype, len(values)
    step = OF_BOOLS.get(fold, STEPS[fold]) if dtype == "bool" else STEPS[fold]
    width, half = lanes(dtype), dtype in HALF
    if half:
        values = [build("cast", v, dtype="float32") for v in values]
    if fold == "sum":  # the first lane is enough: no sum that begins with +0 is -0
        values = [build("add", constant(0, "float32" if half else dtype), values[0]), *values[1:]]
    held: list[Node | None] = [*values[:width], *[None] * (width - count)]
    for e, v in enumerate(values[width:]):
        held[e % width] = _joined(step, held[e % width], v)
    if count <= chain(fold, dtype):
        result = held[0]
        for lane in held[1:]:
            result = _joined(step, result, lane)
    else:
        while width > 1:
            width //= 2
            held = [_joined(step, held[k], held[k + width]) for k in range(width)]
        (result,) = held
    assert result is not None
    return build("cast", result, dtype=dtype) if half else result


def _joined(step: str, a: Node | None, b: Node | None) -> Node | None:
    return b if a is None else a if b is None else build(step, a, b)
