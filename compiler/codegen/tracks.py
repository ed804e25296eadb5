"""What the lanes of an `accumulate` hold: one track of the fold itself, or two for a sum of squared deviations.

devsq (docs/numerics.md)    shift = mean of some elements of the block
                            d     = x - shift
                            lane<n>d += d; lane<n> += d * d
                            joined by weft_devsq_* of kernels/weft_kernel.h
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.dtypes import DTYPES
from ..ir.node import Node
from ..lower import few
from . import scalar
from .expressions import strip
from .nests import value_type, wide

SHIFT = 16  # WEFT_SHIFT of kernels/weft_kernel.h


@dataclass(frozen=True)
class Track:
    """Lanes named after `name`: what they add (`value` where None), and how they are joined."""

    acc: Node
    name: str
    fold: str
    value: str | None = None

    @property
    def type(self) -> str:
        return value_type(self.acc)

    @property
    def lanes(self) -> int:
        """By the dtype alone, whatever else shares the loop: a 64-byte vector."""
        return lanes(self.acc)

    @property
    def start(self) -> str:
        """What a lane starts from."""
        return scalar.identity(self.fold, wide(self.acc.attr("dtype")))

    @property
    def chain(self) -> int:
        """Up to how many elements lanes, of one or two elements each, are joined in order, not as a tree."""
        return few.chain(self.fold, self.acc.attr("dtype"))

    def step(self, a: str, b: str) -> str:
        return strip(scalar.fold_text(self.fold, self.acc.attr("dtype"), a, b))


def lanes(acc: Node) -> int:
    return few.lanes(acc.attr("dtype"))


def tracks(accs: list[Node]) -> list[Track]:
    """An argmax is laned as a max, whose place is searched for afterwards."""
    out = []
    for a in accs:
        n, fold = a.attr("acc"), a.attr("fold")
        if fold == "devsq":
            out += [Track(a, f"{n}d", "sum", f"d{n}"), Track(a, f"{n}", "sum", f"d{n} * d{n}")]
        else:
            out.append(Track(a, f"{n}", "max" if fold == "argmax" else fold))
    return out


def shifted(a: Node) -> bool:
    """Whether its blocks are read about a shift."""
    return a.attr("fold") == "devsq"


def compensated(a: Node) -> bool:
    """Whether blocks are joined with what rounding took of each addition kept: sums of floats."""
    return a.attr("fold") in ("sum", "devsq") and DTYPES[a.attr("dtype")].kind in "fc"


def joined(a: Node, acc: str, low: str) -> str:
    """The value of an accumulator when all blocks are in."""
    return scalar.call("joined", wide(a.attr("dtype")), acc, low) if compensated(a) else acc


def parts(a: Node) -> list[str]:
    """The dtypes of what a block leaves of an accumulator: a value; its place; mean and step of a devsq."""
    own = wide(a.attr("dtype"))
    return {"argmax": [own, "int64"], "devsq": [own] * 3}.get(a.attr("fold"), [own])


def finish(a: Node, total: str, about: str, count: str) -> list[str]:
    """Statements that make of a block's two sums about its shift the deviations from its own mean, and `step`."""
    count = f"({value_type(a)})({count})"
    return [
        f"{total} = {scalar.call('devsq_block', wide(a.attr('dtype')), about, total, count)};",
        f"{about} /= {count};",
    ]


def join(a: Node, block: list[str], column: str, start: str, count: str, acc: str = "") -> str:
    """The statement that adds what the block from `start` on left (of a column) to an accumulator."""
    n, dtype = a.attr("acc"), wide(a.attr("dtype"))
    value, acc = block[0], acc or f"acc{n}{column}"
    if a.attr("fold") == "argmax":
        best = f"best{n}{column}"
        return f"if ({start} == 0 || WEFT_BETTER({value}, {best})) {best} = {value}, {acc} = {start} + {block[1]};"
    if a.attr("fold") == "devsq":
        state = [acc, f"low{n}{column}", f"mean{n}{column}", f"rest{n}{column}"]
        t = value_type(a)
        call = scalar.call("devsq_join", dtype, *(f"&{s}" for s in state), *block, f"({t})({start})", f"({t})({count})")
        return f"if ({start} == 0) {acc} = {value}, {state[2]} = {block[1]}, {state[3]} = {block[2]}; else {call};"
    if compensated(a):
        call = scalar.call("join", dtype, f"&{acc}", f"&low{n}{column}", value)
        return f"if ({start} == 0) {acc} = {value}; else {call};"
    return f"{acc} = {start} == 0 ? {value} : {strip(scalar.fold_text(a.attr('fold'), a.attr('dtype'), acc, value))};"


def joining(a: Node, start: str) -> list[tuple[str, str, str]]:
    """Type, name and first value of what joining needs beside the accumulator."""
    n, t = a.attr("acc"), value_type(a)
    found = []
    if a.attr("fold") == "argmax":
        found.append((t, f"best{n}", scalar.identity("argmax", wide(a.attr("dtype")))))
    if compensated(a):
        found.append((t, f"low{n}", start))
    if a.attr("fold") == "devsq":
        found += [(t, f"mean{n}", start), (t, f"rest{n}", start)]
    return found
