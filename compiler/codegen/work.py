"""What a round of a loop costs, in hundredths of a nanosecond, for the grain of parallel loops.

An estimate, from what operations and bytes cost in loops that vectorise (one core with AVX-512, data in its second
cache); other cores are at most a few times slower. It decides how many threads share a loop and never what comes out.
"""

from __future__ import annotations

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import Node, build, topological
from ..ir.ops.elementwise import DIVISIONS, is_function
from ..lower.kernel import Nest
from .expressions import depends_on
from .nests import acc_dtype

# A chunk lasts at least two microseconds. Two threads gain from about one microsecond of work on: a worker that spins
# begins after 0.2 us, and the caller sees as late that he is done (bench/pool.py).
CHUNK = 200_000
START = 500  # of a loop inside a round: its head and tail, the joining of lanes
FAR = 30  # an element read or written away from its neighbours
DIVISION, FUNCTION, SLOW = 6, 20, 150  # SLOW: not vectorised, or long
SHORT = {"argmax": 48, "devsq": 16, "max": 16, "min": 16}
LONG = ("draw_at", "floordiv", "mod", "pow")


def round_work(nest: Nest) -> Node:
    """Of one round of the outer loops; of one column where columns are folded side by side."""
    loop = nest.block.inputs[0]
    names = loop.attr("index")
    return _of(list(loop.inputs[len(names) :]), names[-1], nest.mode == "column", outer=True)


def short_rows(loops: list[Node]) -> dict[Node, int]:
    """The lengths that inner loops fold, and up to which each is better folded side by side with other rounds, as
    columns are, than by lanes of its own: measured on one core with AVX-512, data in its second cache."""
    functions = any(map(is_function, topological(loops)))
    found: dict[Node, int] = {}
    for s in loops:
        folds = {a.attr("fold") for a in s.inputs[1:] if a.op == "accumulate"}
        if folds:
            few = max([SHORT.get(f, 8) for f in folds] + [24] * functions)
            found[s.inputs[0]] = max(few, found.get(s.inputs[0], 0))
    return found


def element_work(body: list[Node], index: int) -> int:
    """Of one element of a loop without loops inside."""
    found = lengths.static(_of(body, index, False))
    assert found is not None
    return found


def has_function(body: list[Node], index: int) -> bool:
    """Whether each element of such a loop takes a function, which costs more than what it reads and writes."""
    var = build("index", index=index)
    depends = depends_on([v for s in body for v in s.inputs])
    return any(is_function(n) and var in found for n, found in depends.items())


def _of(statements: list[Node], index: int, columns: bool, outer: bool = False) -> Node:
    """Of statements once. `index`: the loop whose steps go along memory; in a loop inside, what does not change with
    it is computed in front of it and not counted."""
    var = build("index", index=index)
    total = lengths.const(0)
    values: list[Node] = []
    own = 0
    for s in statements:
        if s.op == "loop":
            (inner,) = s.attr("index")
            body = _of(list(s.inputs[1:]), index if columns else inner, columns, columns)
            total = lengths.add(total, lengths.const(0 if columns else START), lengths.mul(s.inputs[0], body))
            continue
        values += s.inputs
        if s.op == "store":
            own += _moved(s.inputs[0], s.inputs[1].type.dtype, var, 2)
        else:
            own += {"argmax": 10, "devsq": 6}.get(s.attr("fold"), 2)
            own += DTYPES[acc_dtype(s)].itemsize // 4
    for n, depends in depends_on(values).items():
        if outer or var in depends:
            own += _cost(n, var)
    return lengths.add(total, lengths.const(own))


def _moved(offset: Node, dtype: str, var: Node, times: int) -> int:
    step = lengths.coefficient(offset, var)
    return times * DTYPES[dtype].itemsize if step == 1 else 1 if step == 0 else FAR


def _cost(n: Node, var: Node) -> int:
    if n.op in ("index", "acc", "param", "const", "length"):
        return 0
    dtype = n.type.dtype
    if n.op == "load":
        return 1 + _moved(n.inputs[0], dtype, var, 1)
    size = max(DTYPES[dtype].itemsize // 4, 1)
    if not n.definition.costly:
        return size
    if n.op in LONG or DTYPES[dtype].kind != "f":
        return SLOW
    return DIVISION * size if n.op in DIVISIONS else FUNCTION * size * size
