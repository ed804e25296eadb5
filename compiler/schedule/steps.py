"""What a host program is made of: buffers, steps, blocks of steps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir import lengths
from ..ir.dtypes import DTYPES
from ..ir.node import THREADS_TOKEN, Check, Node, Region, build, is_early
from ..ir.types import TensorType
from .clusters import Decision

THREADS = build("param", token=THREADS_TOKEN, dtype="int64", kind="length")  # how many threads a call may use


@dataclass(eq=False)
class Buffer:
    """A contiguous tensor in memory."""

    number: int
    type: TensorType
    place: str
    index: int = -1  # of the input, state, output or constant; of the arena slot; of the late segment
    start: int = 0
    end: int = 0
    extra: Node | None = None  # rows that are allocated beyond what the type says (a ring of states)
    of: Buffer | None = None  # of a part: what it lies in, and the number of elements in front of it
    offset: Node | None = None

    @property
    def dtype(self) -> str:
        return self.type.dtype

    def elements(self) -> Node:
        return lengths.product(self.type.axes)

    def nbytes(self) -> Node:
        return lengths.scale(self.extra if self.extra is not None else self.elements(), DTYPES[self.dtype].itemsize)

    def is_early(self) -> bool:
        """Whether its size and its lengths are known when the call starts: nothing has a size, whatever its lengths."""
        return all(map(is_early, (self.nbytes(), *self.type.axes)))


class Member(NamedTuple):
    """An operation as rewriting left it, and the region that it stands in."""

    region: Region
    node: Node


class Rows(NamedTuple):
    """Where the rows of a view lie in the memory of its base, in elements."""

    offset: Node
    stride: Node | None  # None: they are contiguous


@dataclass(eq=False)
class Step:
    kind: str  # "kernel", "routine", "scan", "ifelse", "copy", "scalar"
    node: Node
    inputs: list[Node | Buffer] = field(default_factory=list)
    outputs: list[Buffer] = field(default_factory=list)
    scratch: list[Buffer] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    params: list[list[Buffer]] = field(default_factory=list)  # of the regions in `blocks`
    checks: list[Check] = field(default_factory=list)  # evaluated before the step
    library: str = ""  # whose routine computes it, outside the contract of equal bits
    then: Step | None = None  # the kernel that a product runs on each finished rectangle (schedule/around.py)
    whole: Step | None = None  # the kernel that it runs on whole rows or columns
    rows: bool = False  # whether those are rows
    makers: dict[int, tuple[Step, bool]] = field(default_factory=dict)  # what computes its operands; transposed?
    views: dict[int, Rows] = field(default_factory=dict)  # sequences and initial values read in what they are views of
    in_place: bool = False  # a kernel whose outputs may lie where its inputs do
    members: list[Member] = field(default_factory=list)  # the operations that it runs

    def inside(self) -> list[Step]:
        """The kernels that a product runs."""
        return [*(m for m, _ in self.makers.values()), *(s for s in (self.then, self.whole) if s is not None)]


@dataclass(eq=False)
class Block:
    steps: list[Step]
    results: list[Buffer | Node]
    types: list[TensorType]  # of the results: a reshape lies in memory as what it reshapes
    final_checks: list[Check]
    value: dict[Node, Buffer]  # where its own nodes are: two blocks may compute the same node


@dataclass
class HostProgram:
    block: Block
    buffers: list[Buffer]
    constants: list[Node]
    slots: list[list[Node]]  # arena slots: the sizes of the buffers that share each
    segments: int
    inputs: int
    states: int
    results: int
    updates: list[int]
    decisions: list[Decision]
    params: list[Node]
    early: list[Check]  # on lengths of arguments alone: checked before memory is laid out by them
    after_commit: list[Step]  # kernels that write over shared variables, once nothing can fail any more

    def in_place(self) -> list[int]:
        """The states that are written over."""
        steps = [p for s in self.after_commit for p in (s, *s.inside())]
        return sorted({b.index for p in steps for b in p.outputs if b.place == "state"})


def is_loaded(n: Node, value: Collection[Node]) -> bool:
    """Whether the host reads a scalar from memory, of which `value` says what is there; it computes lengths and
    arithmetic itself."""
    return n in value and (n.op in ("param", "item") or n.family == "procedural")
