"""Fusion: which operations share a kernel. Tensor level in, kernel level out.

The region is walked from its outputs to its inputs. Every operation is placed in the kernel of its earliest consumer
when their loops agree, else it starts a kernel of its own; a value that several kernels need is stored by the one that
computes it. Kernels are numbered as they are made, so a higher number runs earlier, and an operation may join kernel
k only if every reader of it has a number at most k: the order stays acyclic without a search.

Each decision is recorded (`Decision`) with its reason and the bytes it saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..ir.node import (
    STEPS,
    Node,
    Region,
    binder,
    bound_length,
    build,
    executable,
    given_length,
    is_bound,
    is_early,
    length_terms,
    make,
    rebuild,
    region,
)
from ..ir.types import TensorType, TupleType
from .affine import operand, takes_most, takes_quotients, view_of
from .clusters import Cluster, Decision, Siblings, Use
from .outline import outline
from .uses import ONE, OPAQUE, Labels, is_one, operand_labels
from .values import (
    NEARBY,
    cost_of,
    costly_sources,
    equal_lengths,
    host_leaves,
    in_memory,
    is_aligned,
    is_cheap,
    is_stored,
    may_inline,
    nearby,
    nominal_bytes,
    steps_of,
)

MAX_COST = 25.0  # functions a kernel, some 30 instructions each; C compilers are superlinear in a loop body's length
MAX_STORES = 128
MAX_PLACES = 16  # at which a kernel computes a value again for each element
MAX_AGAIN = 48  # operations that are done again so
MAX_SIBLINGS = 16  # stores of a kernel that unrelated values of the same domain join

EARLIER = 2  # kernels of a domain that may run earlier than was planned, to share what another computes
ALIGNED = frozenset((0,))  # the places of what is read at loop variables: one
SAME_USES = 8  # how far back equal uses of a value are looked for


class Fused(NamedTuple):
    region: Region
    decisions: list[Decision]
    members: dict[Node, list[Node]]  # kernel or rebuilt routine -> the tensor-level operations in it
    lengths: dict[Node, Node]  # run-time lengths as types of control operations name them -> as they are bound


    def traffic(self) -> int:
        """Bytes that steps read and write where every length that is not known is NOMINAL: to compare fusions by."""
        total = 0
        for n in self.region.nodes():
            if n.family in ("kernel", "procedural", "control"):
                types = n.type.items if isinstance(n.type, TupleType) else (n.type,)
                total += sum(map(nominal_bytes, (*types, *(x.type for x in n.inputs))))
        return total


SMALL = 3000  # nodes of a region that is fused in more than one order


def fuse(source: Region) -> Fused:
    """The region with its pointwise, view and reduction operations grouped into `kernel` nodes.

    Kernels that do not need each other run in the order of the outputs, or those of large results first: numbers that
    are read off a tensor then come last, and what they and the tensor share runs in the tensor's loops.
    """
    made = _Fuser(source).run()
    ranks = [o.ndim if isinstance(o.type, TensorType) else 0 for o in source.outputs]
    order = sorted(range(len(ranks)), key=lambda k: -ranks[k])
    if order == sorted(order) or len(source.nodes()) > SMALL:
        return made
    other = _Fuser(source, [source.outputs[k] for k in order]).run()
    return other if other.traffic() < made.traffic() else made


class _Fuser:
    def __init__(self, source: Region, outputs: Sequence[Node] = ()):
        self.source, self.outputs = source, outputs or source.outputs
        self.steps: list[Cluster | Node] = []
        self.uses: dict[Node, list[Use]] = {}
        self.reads: dict[int, list[Node]] = {}  # by the number of a kernel or step
        self.placed: set[Node] = set()
        self.leaves: dict[Node, tuple[Node, ...]] = {}  # of 0-d values that the host computes
        self.home: dict[Node, Cluster] = {}
        self.siblings = Siblings()
        self.decisions: list[Decision] = []
        self.finals: set[Node] = set()  # reductions over the outer loops of their kernel
        self.bases: dict[Node, dict[int, Node]] = {}  # what the operands that a step reads in place are views of
        self.places: dict[tuple[Node, Labels], set[int]] = {}  # of what views read: a number for each of their places
        self.numbers: dict[tuple[Node, int, int], int] = {}
        self.taken: set[Node] = set()  # what is written into something larger, all of it
        self.merged: dict[int, int] = {}  # kernels that became the end of another one
        self.assembled: dict[Node, list[Node]] = {}  # concatenations -> their parts, computed where they lie
        self.part_of: dict[Node, Node] = {}
        self.equal = equal_lengths(source.checks)

    def run(self) -> Fused:
        order = executable([*self.outputs, *(o for c in self.source.checks for o in c.operands)])
        self.order = order
        for out in self.source.outputs:
            self._read_whole(out, -1)
        for c in self.source.checks:
            for o in c.operands:
                self._read_scalar(o, -1)
        for n in reversed(order):
            self._place(n)
        return self._emit()

    # Readers

    def _read_whole(self, n: Node, kernel: int) -> None:
        """A reader that needs the tensor in memory."""
        self._record(n, Use(kernel, None))
        for a in n.type.axes if not isinstance(n.type, TupleType) else ():
            self._read_scalar(a, kernel)

    def _read_scalar(self, n: Node, kernel: int) -> None:
        """A reader that needs the value of a 0-d node on the host: lengths, bounds, conditions."""
        for m in () if is_early(n) else host_leaves(n, self.leaves):
            if is_bound(m):
                self._record(binder(m), Use(kernel, None))
            elif m.op != "length":
                self._record(m, Use(kernel, None))

    def _is_by_value(self, n: Node) -> bool:
        """Whether the host computes a number that kernels may take from it."""
        return n.op == "cast" and n.type.dtype == "int64" and n in self.leaves

    def _record(self, n: Node, use: Use) -> None:
        # Equal uses come close together: operands of one reader, and readers in one kernel. Looking at all would take
        # quadratic time where thousands read one value, and a use recorded twice does no harm.
        known = self.uses.setdefault(n, [])
        if use not in known[-SAME_USES:]:
            known.append(use)
            self.reads.setdefault(use.kernel, []).append(n)

    def _read_operands(self, n: Node, labels: Labels, kernel: int, fresh: Labels = ()) -> None:
        same = Use(kernel, labels)
        places = self.places.get((n, labels), ALIGNED)
        for k, (x, own) in enumerate(operand_labels(n, labels, fresh)):
            if own == "scalar":
                self._read_scalar(x, kernel)
                continue
            self._record(x, same if own is labels else Use(kernel, own))  # type: ignore[arg-type]
            one_by_one = n.family == "elementwise" or n.op == "dimshuffle"
            if n.op == "concatenate" or (n.op == "set_slice" and k == 1) or (one_by_one and n in self.taken):
                self.taken.add(x)
            moves = n.family == "view" and n.op not in ("dimshuffle", "alloc", "rebroadcast")
            if moves or places is not ALIGNED:
                known = self.places.setdefault((x, own), set())  # type: ignore[arg-type]
                if len(known) <= MAX_PLACES:
                    known.update([self._place_number(n, k, p) for p in places] if moves else places)

    def _place_number(self, n: Node, k: int, place: int) -> int:
        """A number for where a view reads its operand k for an element of its own at a place."""
        return self.numbers.setdefault((n, k, place), len(self.numbers) + 1)

    def _is_crowded(self, n: Node, readers: list[Use]) -> bool:
        """Whether readers would compute a value again and again, each at places of its own; views of views, each read
        twice, double their number with each."""
        patterns = {u.labels for u in readers}
        places = sum(len(self.places.get((n, p), ALIGNED)) for p in patterns if p is not None)
        if places < 2 or isinstance(n.type, TupleType) or in_memory(n):
            return False
        if n.ndim and places > MAX_PLACES:
            return True
        return (places - 1) * steps_of(n, MAX_AGAIN) >= MAX_AGAIN

    def _is_long(self, n: Node, readers: list[Use]) -> bool:
        """Whether several kernels would compute a number by a long chain each; of n such numbers, one made of the last,
        they would compute the square of n."""
        return len({u.kernel for u in readers}) > 1 and steps_of(n, MAX_AGAIN) >= MAX_AGAIN

    # Placement, readers before what they read

    def _place(self, n: Node) -> None:
        self.placed.add(n)
        uses = self.uses.get(n)
        if uses is not None and self.merged:
            uses = self.uses[n] = [u._replace(kernel=self._now(u.kernel)) for u in uses]
        if n.op == "length" and uses is not None:
            self._read_scalar(n, max(u.kernel for u in uses))
        if uses is None or n.op in ("const", "dim", "length"):
            return
        if n.op == "param":
            for a in n.type.axes:
                self._read_scalar(a, max(u.kernel for u in uses))
            return
        if n.family in ("procedural", "control"):
            self._place_step(n)
        elif n.op == "item":
            for u in uses:
                self._record(n.inputs[0], u)
        else:
            self._place_pointwise(n, uses)

    def _now(self, kernel: int) -> int:
        while kernel in self.merged:
            kernel = self.merged[kernel]
        return kernel

    def _place_step(self, n: Node) -> None:
        """An operation with a routine of its own: a step between kernels."""
        number = len(self.steps)
        self.steps.append(n)
        for t in n.type.items if isinstance(n.type, TupleType) else (n.type,):
            for a in t.axes:
                if not any(is_bound(m) and binder(m) is n for m in length_terms([a])):
                    self._read_scalar(a, number)
        for k, x in enumerate(n.inputs):
            if k in n.definition.host_inputs:
                self._read_scalar(x, number)
                continue
            view = operand(n, k)
            if view is not None and (n.family != "control" or self._reads_rows(x, view.base)):
                for s in (view.offset, *view.strides, *x.type.axes):
                    self._read_scalar(s, number)
                self.bases.setdefault(n, {})[k] = view.base
                x = view.base
            self._read_whole(x, number)

    def _reads_rows(self, x: Node, base: Node) -> bool:
        """Whether a loop reads x, a view, in the memory of its base: not where that would be stored for it alone, and
        be more than x, or x is stored anyway."""
        stored = [any(u.labels is None for u in self.uses.get(m, ())) for m in (x, base)]
        return stored[1] or is_stored(base) or (not stored[0] and takes_most(x, base))

    def _place_pointwise(self, n: Node, uses: list[Use]) -> None:
        whole = [u for u in uses if u.labels is None]
        readers = [u for u in uses if u.labels is not None] if whole else uses
        if self._is_by_value(n) and not whole:  # the host passes it: what it is computed of is there before the kernel
            for u in readers:
                self._read_scalar(n, u.kernel)
            return
        if n.op == "reshape" and self._is_its_operand(n, whole, readers):
            self._place_operand(n, uses)
            return
        if not whole and is_early(n) and not n.ndim:
            return  # a length of arguments, which each kernel computes: types are made of it, so it is not stored
        crowded = self._is_crowded(n, readers)
        number = is_cheap(n) and not n.ndim and not self._is_long(n, readers)
        virtual = not crowded and (n.definition.virtual or number)
        if not whole and (virtual or self._recomputed(n, readers)):
            for u in readers:
                assert u.labels is not None
                self._read_operands(n, u.labels, u.kernel)
            return
        apart = n.op == "concatenate" and (whole or len({u.kernel for u in readers}) > 1)
        if not apart and self._join_reader(n, readers, whole, crowded):
            return
        if n.op == "concatenate" and len(n.inputs) > 1:
            self._assemble(n)
        else:
            self._start(n, uses)

    def _is_its_operand(self, n: Node, whole: list[Use], readers: list[Use]) -> bool:
        """Whether what is reshaped has to be in memory, where the reshaped tensor is the same: a step made it, or it
        would be computed at quotients of indices."""
        x = n.inputs[0]
        if any(u.kernel >= 0 and getattr(self.steps[u.kernel], "family", "") == "control" for u in whole):
            return False  # loops and branches go by the lengths of their buffers
        if whole and not readers and (x.family == "procedural" or (x.op == "item" and x.inputs[0].family != "reduce")):
            return True
        all_of_it = whole or n in self.taken or any(is_aligned(u.labels, n) for u in readers)  # type: ignore[arg-type]
        return bool(all_of_it) and takes_quotients(n)

    def _place_operand(self, n: Node, uses: list[Use]) -> None:
        """Stores what is reshaped, by its own loops."""
        for kernel in dict.fromkeys(u.kernel for u in uses):
            self._read_whole(n.inputs[0], kernel)
            for a in (*n.inputs[1:], *n.type.axes):
                self._read_scalar(a, kernel)
        if not is_stored(n.inputs[0]):
            self._note(n, False, "its operand is stored instead: indices would be quotients")

    def _assemble(self, n: Node) -> None:
        """A concatenation in memory: each part is computed where it lies there, with whatever shares its domain."""
        number = len(self.steps)
        self.steps.append(n)
        for a in n.type.axes:
            self._read_scalar(a, number)
        parts = self.assembled[n] = []
        for x in n.inputs:
            # A value of its own, whoever else reads x or is made of it. Rewriting leaves no such views.
            part = build("rebroadcast", x, axes=())
            apart: list[Node] = []
            while part in self.part_of:
                x = build("dimshuffle", x, order=tuple(range(x.ndim)))
                apart.append(x)
                part = build("rebroadcast", x, axes=())
            self.part_of[part] = n
            parts.append(part)
            self._read_whole(part, number)
            for made in (part, *reversed(apart)):
                self._place(made)
                self.uses[made] = []  # passed on: a link is placed again for each further part, for that one alone

    def _recomputed(self, n: Node, readers: list[Use]) -> bool:
        """Cheap, from one tensor in memory, read by several kernels: computing it again costs less than storing it."""
        if len(readers) < 2 or not is_cheap(n) or len({u.kernel for u in readers}) < 2:
            return False
        big = [x for x in n.inputs if any(not is_one(a) for a in x.type.axes)]
        return len(big) == 1 and in_memory(big[0])

    def _join_reader(self, n: Node, readers: list[Use], whole: list[Use], crowded: bool) -> bool:
        """Puts n into the kernel of its earliest reader if the loops agree."""
        if not readers:
            return False
        number = max([u.kernel for u in readers])
        cluster = self.steps[number] if number >= 0 else None
        if crowded and (n.ndim or not isinstance(cluster, Cluster) or cluster.lengths):
            return self._refuse(n, "it would be computed again at too many places")
        if not isinstance(cluster, Cluster):
            return False
        if n.family == "reduce" and self._becomes_final(cluster, n):
            self._place_pointwise(n, self.uses[n])
            return True
        inside = [u for u in readers if u.kernel == number]
        stored = bool(whole) or len(inside) < len(readers)
        if whole and any(u.kernel >= number for u in whole):
            return self._refuse(n, "another step needs it in memory before its reader runs")
        patterns = dict.fromkeys([u.labels for u in inside])  # in order: the hash of None differs from run to run
        aligned = [p for p in patterns if p is not None and is_aligned(p, n)]
        if cluster.cost + cost_of(n) > MAX_COST:
            return self._refuse(n, f"the kernel is full (transcendental operations and folds that cost {MAX_COST:g})")
        if not aligned:
            if stored or n.family == "reduce" or len(inside) > 1 or not may_inline(n):
                return self._refuse(n, "read at computed places, and too costly to compute again at each")
            cluster.inlined.add(n)
            labels = next(iter(patterns))
        else:
            labels = aligned[0]
            if len(patterns) > 1:
                others = [p for p in patterns if p != labels]
                if len(aligned) > 1 or not all(self._may_recompute(p, n) for p in others):
                    return self._refuse(n, "read with several index maps")
            problem = self._misfit(cluster, n, labels, stored)
            if problem:
                return self._refuse(n, problem)
        assert labels is not None
        self._enter(cluster, n, labels, stored)
        for p in patterns:
            if p is not None and p != labels:
                self._read_operands(n, p, number, (OPAQUE,) * n.inputs[0].ndim)
        return True

    def _becomes_final(self, cluster: Cluster, n: Node) -> bool:
        """Whether a full reduction and the scalars computed of it (a mean loss, say) end a later kernel over the same
        rows instead: one that shares costly values with what is reduced. Merges the two if so."""
        if cluster.lengths or cluster.finals or n in self.finals or n.op == "max_and_argmax":
            return False
        x = n.inputs[0]
        rows = [a for a in x.type.axes if not is_one(a)]
        if not rows or len(n.attr("axes")) != x.ndim:
            return False
        reached = costly_sources([x])
        for other in self.steps[: cluster.number]:
            if not isinstance(other, Cluster) or other.number in self.merged or len(other.lengths) <= len(rows):
                continue
            loops = frozenset(range(len(rows)))
            if [other.lengths[k] for k in loops] != rows or other.outer not in (None, loops):
                continue
            if any(self._now(u.kernel) >= other.number for m in cluster.stores for u in self.uses[m]):
                continue
            if any(u.kernel >= other.number and u.kernel != cluster.number for u in self.uses[n]):
                continue
            if not (reached & costly_sources(other.stores)) or not other.covers(loops):
                continue
            if other.cost + cluster.cost + cost_of(n) > MAX_COST or len(other.stores + cluster.stores) >= MAX_STORES:
                continue
            self.merged[cluster.number] = other.number
            for m in cluster.labels:
                self.home[m] = other
            other.cost += cluster.cost
            other.labels |= cluster.labels
            other.stores += cluster.stores
            other.finals |= set(cluster.labels)
            other.outer = loops
            cluster.stores, cluster.labels = [], {}
            self.uses[n] = [u._replace(kernel=self._now(u.kernel)) for u in self.uses[n]]
            self.finals.add(n)
            return True
        return False

    def _may_recompute(self, pattern: Labels | None, n: Node) -> bool:
        """Whether n may be computed again at the computed places of a reader that covers fewer loops."""
        if pattern is None or n.family == "reduce":
            return False
        return OPAQUE in pattern

    def _misfit(self, cluster: Cluster, n: Node, labels: Labels, stored: bool) -> str | None:
        """Why n, read with these labels, does not fit the kernel's loops; None if it does."""
        if n in self.finals or (cluster.outer is None and not stored and n.family != "reduce"):
            return None
        have = frozenset(lab for lab in labels if lab is not None and lab >= 0)
        if stored and len(cluster.stores) >= MAX_STORES:
            return f"the kernel stores {MAX_STORES} tensors already"
        if stored and not cluster.fills(n, labels, self.equal):
            return "the kernel's loop covers another part of it"
        if n.family == "reduce":
            if cluster.outer is not None:
                return None if have == cluster.outer else "a reduction over other loops than the kernel's"
            for m, own in cluster.labels.items():
                loops = frozenset(lab for lab in own if lab is not None and lab >= 0)
                if not have <= loops and (m in cluster.stores or not is_cheap(m)):
                    return "the kernel computes values that lie outside the reduction's loops"
            return None
        if stored and len(have) != len([x for x in labels if x != ONE]):
            return "stored along a loop twice"
        if cluster.outer is not None and not cluster.outer <= have:
            if stored or not is_cheap(n):
                return "it would be computed again for every round of a shared loop"
        elif stored and cluster.outer is None and have != frozenset(range(len(cluster.lengths))):
            return "stored over fewer loops than the kernel has"
        return None

    def _start(self, n: Node, uses: list[Use]) -> None:
        """A kernel of its own, or a kernel with the same domain that runs early enough (siblings)."""
        latest = max(u.kernel for u in uses)
        axes = n.type.axes if not isinstance(n.type, TupleType) else n.type.items[0].axes
        domain = tuple(self.equal.get(a, a) for a in axes)
        for c in self.siblings.after(latest, domain, n):
            if c.cost + cost_of(n) <= MAX_COST and self._same_loops(c, n):
                self._enter(c, n, c.labels[c.stores[0]], True)
                return
        for c in self.siblings.all.get(domain, ())[-EARLIER:]:
            if self._may_run_earlier(c, n):
                early = self._run_earlier(c)
                self._enter(early, n, early.labels[early.stores[0]], True)
                return
        c = Cluster(len(self.steps))
        self.steps.append(c)
        labels = tuple(ONE if is_one(a) else c.fresh(a) for a in domain)
        self.siblings.start(c, domain, n)
        self._enter(c, n, labels, True)

    def _may_run_earlier(self, c: Cluster, n: Node) -> bool:
        """Whether a kernel may run as early as one of n has to, and both compute the same of what is not placed yet."""
        if c.outer is not None or c.cost + cost_of(n) > MAX_COST or not self._same_loops(c, n):
            return False
        reads = self.reads.get(c.number, ())
        if len(reads) > NEARBY or any(m in self.placed and m.family != "leaf" for m in reads):
            return False
        below = nearby(n.inputs, NEARBY, lambda m: m.family in ("elementwise", "view", "reduce"), lambda m: True)
        return any(m in below and m.family != "view" and m.ndim for m in reads)

    def _run_earlier(self, c: Cluster) -> Cluster:
        early = replace(c, number=len(self.steps))
        self.steps.append(early)
        self.merged[c.number] = early.number
        self.reads[early.number] = self.reads.pop(c.number, [])
        for m in (*c.labels, *c.inlined):
            self.home[m] = early
        self.siblings.replace(c, early)
        return early

    def _same_loops(self, c: Cluster, n: Node) -> bool:
        """Whether a kernel over the domain of n runs just the loops that n needs, those of its folded axes included."""
        if not c.stores or len(c.stores) >= MAX_SIBLINGS or c.finals:
            return False
        loops = frozenset(lab for lab in c.labels[c.stores[0]] if lab != ONE)
        if c.outer is None:
            return n.family != "reduce" and n.ndim > 0 and len(loops) == len(c.lengths)
        return c.outer == loops and self.siblings.share_a_fold(c, n)

    def _enter(self, c: Cluster, n: Node, labels: Labels, stored: bool) -> None:
        c.cost += cost_of(n)
        self.home[n] = c
        fresh: Labels = ()
        if n.family == "reduce":
            if n in self.finals:
                c.finals.add(n)
                rest = iter(sorted(c.outer or ()))
                fresh = tuple(ONE if is_one(a) else next(rest) for a in n.inputs[0].type.axes)
            else:
                c.outer = frozenset(lab for lab in labels if lab is not None and lab >= 0)
                fresh = self._inner_labels(c, n)
        if n not in c.inlined:
            c.labels[n] = labels
            self.siblings.enter(c, n)
        if stored:
            c.stores.append(n)
            self.places.pop((n, labels), None)  # it is computed once, wherever it is read
        elif n not in self.part_of:
            self._note(n, True, "computed where it is read")
        for a in n.type.axes if not isinstance(n.type, TupleType) else n.type.items[0].axes:
            self._read_scalar(a, c.number)
        if n in self.part_of:
            for a in self.part_of[n].type.axes:
                self._read_scalar(a, c.number)
        self._read_operands(n, labels, c.number, fresh)

    def _inner_labels(self, c: Cluster, n: Node) -> Labels:
        """Loops for the folded axes: the kernel's inner loops of the same lengths, so that stages share them."""
        taken: list[int] = []
        x = n.inputs[0]
        out: list[int | None] = []
        assert c.outer is not None
        for a in range(x.ndim):
            if a not in n.attr("axes"):
                continue
            length = x.type.axes[a]
            if is_one(length):
                out.append(ONE)
                continue
            for k, have in enumerate(c.lengths):
                if k not in c.outer and k not in taken and have is length:
                    break
            else:
                k = c.fresh(length)
            taken.append(k)
            out.append(k)
        return tuple(out)

    def _refuse(self, n: Node, reason: str) -> bool:
        self._note(n, False, reason)
        return False

    def _note(self, n: Node, fused: bool, reason: str) -> None:
        self.decisions.append(Decision(self.source, n, fused, reason))

    # The kernel-level region

    def _emit(self) -> Fused:
        new: dict[Node, Node] = {}
        inside: dict[int, list[Node]] = {}
        for n, c in self.home.items():
            if n not in self.part_of:
                inside.setdefault(c.number, []).append(n)
        members: dict[Node, list[Node]] = {}
        terms: dict[Node, int] = {}
        by_value = set(filter(self._is_by_value, self.leaves))
        for step in reversed(self.steps):
            if isinstance(step, Cluster) and step.number in self.merged:
                continue
            if isinstance(step, Node) and step in self.assembled:
                new[step] = make(step.op, [new[p] for p in self.assembled[step]], step.attrs)
                continue
            if isinstance(step, Node):
                made = self._rebuilt(step, new)
                if made is not step:
                    members[made] = [step]
                continue
            stored = list(reversed(step.stores))
            made = outline(step, stored, self.home, by_value, new, self.part_of, self.equal, terms)
            members[made] = inside.get(step.number, [])[::-1]
            k = 0
            for s in stored:
                if isinstance(s.type, TupleType):
                    for part in range(len(s.type.items)):
                        new[build("item", s, index=part)] = build("item", made, index=k)
                        k += 1
                else:
                    new[s] = build("item", made, index=k)
                    k += 1
        outputs = [rebuild(o, new) for o in self.source.outputs]
        for n in self.order:
            if n.op == "length":
                rebuild(n, new)
        renamed = {n: m for n, m in new.items() if n.op == "length" and n is not m}
        checks = [c._replace(operands=tuple(rebuild(o, new) for o in c.operands)) for c in self.source.checks]
        return Fused(region(self.source.params, outputs, checks), self.decisions, members, renamed)

    def _rebuilt(self, step: Node, new: dict[Node, Node]) -> Node:
        """The step in terms of what is stored. It relies on how its operands lie in the memory of their bases: of the
        views between them another reader may have stored one in an order of its own."""
        bases = self.bases.get(step)
        if bases:
            inputs = [view_of(x, bases.get(k, x), new) for k, x in enumerate(step.inputs)]
            made = new[step] = make(step.op, inputs, step.attrs)
        if bases and step.op == "scan":
            ran = bound_length(step.op, step.inputs, step.attrs, STEPS)
            new[ran] = given_length(made, ran)
        return rebuild(step, new)
