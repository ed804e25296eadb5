"""Simplification: rules as data, one file a subject, applied in the order of PASSES until none changes anything.

    stability    forms that neither overflow nor cancel; first, while they are as the user wrote them
    onehot       what gradients of losses are made of
    algebra      identities of arithmetic, logic, conversions, choices
    fold         exactly rounded operations on small constants
    shapes       rearrangements, stretching, slices, reductions; with the two before it in one walk: what one of them
                 changes near the arguments the others would walk through once more
    quotients    divisions by what has fewer elements as multiplications, once the rules for quotients have had them
    sole         forms that pay where an operand has no other reader, likewise
    onehot read, dense onehot    scatters into zeros as comparisons, once the others have settled
    signs        operations that take less where the signs of arguments are known
"""

from __future__ import annotations

from ..ir.node import Node, Region
from ..ir.origins import Origins
from ..ir.rewrite import Pass, Stats, apply, assume, together
from .algebra import algebra
from .fold import fold
from .onehot import checked_indices, dense_onehot, onehot, onehot_read
from .quotients import quotients
from .shapes import shapes
from .signs import nonpositive
from .sole import sole
from .stability import stability

ONCE = (quotients, sole)
LAST = (onehot_read, dense_onehot, nonpositive)
PASSES = (stability, onehot, algebra, fold, shapes, *ONCE, *LAST)
SETTLING = (stability, onehot, together("algebra, fold, shapes", algebra, fold, shapes))
ROUNDS = 12  # a pass may enable an earlier one; real programs settle in two to four


def simplify(region: Region, origins: Origins | None = None, stats: Stats | None = None) -> Region:
    """The region with the lengths its obligations make equal unified, and every pass applied until none changes it."""
    nodes: dict[str, set[Node]] = {p.name: set() for p in SETTLING}  # where no rule of a pass fires any more
    plain = settle(SETTLING, assume(region, origins, stats), origins, stats, nodes)
    quick = plain
    for p in ONCE:
        quick = apply(p, quick, origins, stats)
    if quick is not plain:
        plain = settle(SETTLING, quick, origins, stats, nodes)
    compared = plain
    for p in LAST:
        compared = apply(p, compared, origins, stats)
    if compared is plain:
        return plain
    out = settle(SETTLING, compared, origins, stats, nodes)
    # A sum of a scatter went because something else checks the same index; that has to be there still.
    return out if checked_indices(plain) <= checked_indices(out) else plain


def settle(
    passes: tuple[Pass, ...],
    region: Region,
    origins: Origins | None = None,
    stats: Stats | None = None,
    nodes: dict[str, set[Node]] | None = None,
) -> Region:
    """The passes in turn, until each leaves the region as it is."""
    settled: dict[str, Region] = {}
    nodes = {p.name: set() for p in passes} if nodes is None else nodes
    for _ in range(ROUNDS):
        for p in passes:
            if settled.get(p.name) is not region:
                region = apply(p, region, origins, stats, nodes[p.name])
                settled[p.name] = region
        if all(r is region for r in settled.values()):
            break
    return region


__all__ = ["PASSES", "settle", "simplify"]
