"""A kernel node -> its loop nest.

In: `kernel(..; body, layout, outer)`, a closed region of tensor operations. Out: a `Nest`, whose `block` is made of
loop-level nodes: outer loops over the shared domain, within them stages (loops over inner axes that fold reductions
and store), each stage reading the accumulators of those before it.

    parallel (i0, i1)            rows of a softmax
      reduce i2: acc0 max= x[..]
      reduce i2: acc1 += t = exp(x[..] - acc0); scratch[i2] = t
      vector i2: out[..] = scratch[i2] / acc1
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.node import Node, Region, build, substitute, topological
from ..ir.ops.kernel import within
from ..ir.types import TupleType
from ..schedule.affine import contiguous_strides
from ..schedule.uses import is_one
from .elements import ZERO, Elements, Index
from .few import may_be_written_out, pays, places, short_loops, written_out


@dataclass
class Nest:
    """The loop nest of one kernel. Buffers are numbered: tensors, then outputs; scratch rows count down from -1."""

    scalars: int
    tensors: list[str]  # dtypes of the tensor arguments
    outputs: list[str]  # dtypes of the outputs
    block: Node
    scratch: list[tuple[str, Node]]  # dtype and extent of each scratch row
    mode: str  # "map", "row", "column" or "flat": how the printers run it
    checks: bool  # whether it holds `checked` indices
    body: Region = field(repr=False)
    finals: int = 0  # leading scratch arrays that hold a value an outer round, folded when all rounds are done


@dataclass
class Reduction:
    number: int
    fold: str
    dtype: str
    domain: tuple[Node, ...]  # loop variables, in row-major order of the folded axes
    value: Node
    acc: Node
    final: bool  # folds over the outer loops themselves


def lower_kernel(kernel: Node, collapse: bool = True) -> Nest:
    """The nest of a kernel; without `collapse` its last outer loop stays apart, so that it can run by rectangles."""
    body, layout, outer = kernel.attr("body"), kernel.attr("layout"), kernel.attr("outer")
    for loops in dict.fromkeys([outer - short_loops(body, layout, outer) if collapse else outer, outer]):
        if may_be_written_out(body, layout, loops):
            nest = _Lowering(body, layout, loops, within(kernel), collapse, few=True).run()
            if pays(nest.block):
                return nest
    return _Lowering(body, layout, outer, within(kernel), collapse).run()


class _Lowering:
    """`few`: the folds are written out, and are no loops."""

    def __init__(self, body: Region, layout: tuple, outer: int, within: tuple, collapse: bool, few: bool = False):
        self.body, self.layout, self.outer_count, self.within, self.collapse = body, layout, outer, within, collapse
        self.few = few
        scalars = [p for p in body.params if p.ndim == 0 and p.type.dtype == "int64"]
        self.scalars = len(scalars)
        tensors = body.params[self.scalars :]
        self.extents: dict[Node, Node] = {}
        self.elements = Elements({p: k for k, p in enumerate(tensors)}, self.extents, self.reduction)
        self.tensors = [p.type.dtype for p in tensors]
        self.inner: dict[tuple[Node, int], Node] = {}
        self.reductions: dict[tuple, list[Reduction]] = {}
        self.by_acc: dict[Node, Reduction] = {}
        self.names = 0

    def variable(self, extent: Node) -> Node:
        v = build("index", index=self.names)
        self.names += 1
        self.extents[v] = extent
        return v

    def inner_variables(self, folded: Iterable[Node]) -> tuple[Node, ...]:
        """Loop variables for inner axes of these lengths: the k-th axis of a length shares the k-th variable of it."""
        counts: dict[Node, int] = {}
        out = []
        for length in folded:
            if is_one(length):
                out.append(ZERO)
                continue
            k = counts[length] = counts.get(length, 0) + 1
            key = (length, k)
            if key not in self.inner:
                self.inner[key] = self.variable(length)
            out.append(self.inner[key])
        return tuple(out)

    def outer_variables(self, folded: list[Node]) -> tuple[Node, ...]:
        """The outer loop variables in order, for a reduction over the outer loops."""
        rest = iter(self.outer)
        return tuple(ZERO if is_one(length) else next(rest) for length in folded)

    def run(self) -> Nest:
        outer_lengths = self._outer_lengths()
        outer = self.outer = [self.variable(n) for n in outer_lengths]
        stores: list[tuple[int, Node, Node]] = []  # buffer, offset, value
        for k, (out, labels) in enumerate(zip(self.body.outputs, self.layout, strict=True)):
            inner = {lab: a for lab, a in zip(labels, out.type.axes, strict=True) if lab >= self.outer_count}
            folded = [inner[lab] for lab in sorted(inner)]
            strides = contiguous_strides(self._space(k))
            for at in places(folded) if self.few else [self.inner_variables(folded)]:
                found = dict(zip(sorted(inner), at, strict=True))
                idx = tuple(ZERO if lab < 0 else outer[lab] if lab < self.outer_count else found[lab] for lab in labels)
                parts = (lengths.mul(i, s) for i, s in zip(idx, strides, strict=True) if i is not ZERO)
                stores.append((len(self.tensors) + k, lengths.add(ZERO, *parts), self.elements.element(out, idx)))
        return self._assemble(outer, stores)

    def _space(self, k: int) -> tuple[Node, ...]:
        """The lengths of the tensor in memory that an output is (a part of)."""
        axes = list(self.body.outputs[k].type.axes)
        if self.within[k] is not None:
            axis, kind, number = self.within[k]
            axes[axis] = lengths.const(number) if kind == "const" else self.body.params[number]
        return tuple(axes)

    def _outer_lengths(self) -> list[Node]:
        found: dict[int, Node] = {}
        for out, labels in zip(self.body.outputs, self.layout, strict=True):
            for lab, a in zip(labels, out.type.axes, strict=True):
                if 0 <= lab < self.outer_count:
                    found.setdefault(lab, a)
        if len(found) != self.outer_count:
            raise InternalError("a loop of a kernel that no output has")
        return [found[k] for k in range(self.outer_count)]

    def reduction(self, n: Node, idx: Index) -> Node:
        """The accumulator of a reduction's element; the reduction is scheduled once."""
        part = 0
        r = n
        if n.op == "item":
            part, r = n.attr("index"), n.inputs[0]
        x, axes = r.inputs[0], r.attr("axes")
        if self.few:
            all_of_it = (self._place(r, at, idx) for at in places([x.type.axes[a] for a in axes]))
            return written_out(r.op, [self.elements.element(x, place) for place in all_of_it])
        key = (r, idx)
        if key not in self.reductions:
            final = not idx and bool(self.outer)
            folded_axes = [x.type.axes[a] for a in axes]
            domain = self.outer_variables(folded_axes) if final else self.inner_variables(folded_axes)
            place = self._place(r, domain, idx)
            value = _Pending(self, r, place, tuple(d for d in domain if d is not ZERO), final)
            self.reductions[key] = value.make()
        return self.reductions[key][part].acc

    def _place(self, r: Node, folded: Iterable[Node], kept: Iterable[Node]) -> Index:
        """Where a reduction reads, of the places along the axes that it folds and of those that it keeps."""
        folded, kept = iter(folded), iter(kept)
        return tuple(next(folded if a in r.attr("axes") else kept) for a in range(r.inputs[0].ndim))

    # Stages

    def _assemble(self, outer: list[Node], stores: list[tuple[int, Node, Node]]) -> Nest:
        found = [r for rs in self.reductions.values() for r in rs]
        reductions, finals = [r for r in found if not r.final], [r for r in found if r.final]
        values = [r.value for r in found] + [v for _, o, v in stores] + [o for _, o, _ in stores]
        depends = _dependences(values)
        level: dict[Node, int] = {}

        def stage_of(n: Node) -> int:
            return 1 + max((level[a] for a in depends[n] if a.op == "acc"), default=0)

        pending = list(reductions)
        while pending:
            ready = [r for r in pending if all(a in level for a in depends[r.value] if a.op == "acc")]
            if not ready:
                raise InternalError("reductions that wait for each other")
            for r in ready:
                level[r.acc] = stage_of(r.value)
            pending = [r for r in pending if r not in ready]
        inner_vars = set(self.inner.values())
        stages: dict[tuple[int, tuple[Node, ...]], tuple[list[Reduction], list]] = {}
        for r in reductions:
            stages.setdefault((level[r.acc], r.domain), ([], []))[0].append(r)
        outer_stores: list[tuple[int, int, Node, Node]] = []
        epilogue: list[tuple[int, Node, Node]] = []
        last = {r.acc for r in finals}
        rounds = contiguous_strides(tuple(self.extents[v] for v in outer))
        place = lengths.add(ZERO, *(lengths.mul(v, st) for v, st in zip(outer, rounds, strict=True)))
        for k, r in enumerate(finals, 1):
            outer_stores.append((stage_of(r.value), -k, place, r.value))
        for buffer, offset, value in stores:
            if depends[value] & last:
                epilogue.append((buffer, offset, value))
                continue
            loops = {a for a in (*depends[offset], *depends[value]) if a in inner_vars}
            at = stage_of(value)
            if not loops:
                outer_stores.append((at, buffer, offset, value))
                continue
            domain = self._domain(loops, stages, at)
            stages.setdefault((at, domain), ([], []))[1].append((buffer, offset, value))
        return self._print_ready(outer, stages, outer_stores, finals, epilogue)

    def _domain(self, loops: set[Node], stages: dict, at: int) -> tuple[Node, ...]:
        for (s, domain), _ in stages.items():
            if s == at and set(domain) == loops:
                return domain
        for (_, domain), _ in stages.items():
            if set(domain) == loops:
                return domain
        return tuple(sorted(loops, key=lambda v: v.attr("index")))

    def _print_ready(
        self, outer: list[Node], stages: dict, outer_stores: list, finals: list[Reduction], epilogue: list
    ) -> Nest:
        order = sorted(stages, key=lambda k: (k[0], [v.attr("index") for v in k[1]]))
        flat: dict[tuple[Node, ...], tuple[Node, dict[Node, Node] | None]] = {}
        everything = [
            x
            for rs, ss in stages.values()
            for x in (*(r.value for r in rs), *(o for _, o, _ in ss), *(v for _, _, v in ss))
        ]
        everything += [x for _, _, o, v in outer_stores for x in (o, v)]
        mapping: dict[Node, Node] = {}
        # Loops over several axes become one loop wherever every index map allows it.
        for domain in dict.fromkeys(k[1] for k in order):
            alone = all(set(domain).isdisjoint(k[1]) for k in order if k[1] != domain)
            flat[domain] = self._collapse(list(domain), everything, mapping, alone)
        split = len(outer) if self.collapse else -1
        kept_outer = [*self._collapse_outer(outer[:split], everything, mapping), *outer[split:]]
        rewritten = dict(zip(everything, substitute(everything, mapping), strict=True))

        def final(x: Node, local: dict[Node, Node] | None) -> Node:
            out = rewritten[x]
            return substitute([out], local)[0] if local else out

        outer_count = lengths.product(self.extents[v] for v in outer)
        scratch: list[tuple[str, Node]] = [(r.dtype, outer_count) for r in finals]
        rounds: list[tuple[int, Node]] = []
        first_seen: dict[tuple[Node, Node], int] = {}
        rows: dict[tuple[Node, Node], tuple[int, Node]] = {}
        stored: dict[Node, tuple[int, Node, Node]] = {}  # values that an output already holds: first stage, loop, load
        planned: list[tuple[tuple, list[tuple[Reduction, Node]], list[tuple[int, Node, Node]]]] = []
        for key in order:
            rs, ss = stages[key]
            var, local = flat[key[1]]
            planned.append(
                (
                    key,
                    [(r, final(r.value, local)) for r in rs],
                    [(b, final(o, local), final(v, local)) for b, o, v in ss],
                )
            )
        found = [(flat[key[1]][0], [*(v for _, v in rs2), *(v for _, _, v in ss2)]) for key, rs2, ss2 in planned]
        columns = bool(kept_outer) and not finals and self._by_columns(kept_outer[-1], found)
        # Columns are worked on many at a time, and a scratch row holds the values of one outer round.
        for at, (key, rs2, ss2) in enumerate(() if columns else planned):
            var = flat[key[1]][0]
            self._share_rows(at, var, [v for _, v in rs2] + [v for _, _, v in ss2], first_seen, rows, stored)
            for b, o, v in ss2:
                if v.op != "load":
                    stored.setdefault(v, (at, var, build("load", o, buffer=b, dtype=v.type.dtype)))
        for (node, var), (at, _) in rows.items():
            scratch.append((node.type.dtype, self.extents[var]))
            rows[node, var] = (at, build("load", var, buffer=-len(scratch), dtype=node.type.dtype))
        for at, (key, rs2, ss2) in enumerate(planned):
            var = flat[key[1]][0]
            later = {n: load for n, (first, v, load) in stored.items() if v is var and first < at}
            later |= {n: load for (n, v), (first, load) in rows.items() if v is var and first < at}
            body: list[Node] = []
            for (n, v), (first, load) in rows.items():
                if v is var and first == at:
                    kept = substitute([n], later)[0] if later else n
                    body.append(build("store", var, kept, buffer=load.attr("buffer")))
            for b, o, v in ss2:
                v2 = substitute([v], later)[0] if later else v
                body.append(build("store", o, v2, buffer=b))
            for r, v in rs2:
                v2 = substitute([v], later)[0] if later else v
                body.append(build("accumulate", v2, acc=r.number, fold=r.fold, dtype=r.dtype))
            extent = self.extents[var]
            kind = "reduce" if rs2 else "vector"
            rounds.append((key[0], build("loop", extent, *body, index=(var.attr("index"),), kind=kind)))
        statements: list[tuple[int, int, Node]] = [(s, 0, n) for s, n in rounds]
        for at, b, o, v in outer_stores:
            v2 = final(v, None)
            statements.append((at - 1, 1, build("store", final(o, None), v2, buffer=b)))
        ordered = [n for _, _, n in sorted(statements, key=lambda t: (t[0], t[1]))]
        nest = self._nest(
            kept_outer, ordered, bool(rounds or finals), columns, scratch, self._epilogue(finals, outer_count, epilogue)
        )
        nest.finals = len(finals)
        return nest

    def _epilogue(self, finals: list[Reduction], count: Node, stores: list[tuple[int, Node, Node]]) -> list[Node]:
        """What follows the outer loops: folds over their rounds, and the outputs that need those."""
        out: list[Node] = []
        if finals:
            var = self.variable(count)
            folds = [
                build(
                    "accumulate", build("load", var, buffer=-k, dtype=r.dtype), acc=r.number, fold=r.fold, dtype=r.dtype
                )
                for k, r in enumerate(finals, 1)
            ]
            out.append(build("loop", count, *folds, index=(var.attr("index"),), kind="reduce"))
        return out + [build("store", o, v, buffer=b) for b, o, v in stores]

    def _nest(
        self, outer: list[Node], statements: list[Node], staged: bool, columns: bool, scratch: list,
        epilogue: list[Node],
    ) -> Nest:  # fmt: skip
        extents = [self.extents[v] for v in outer]
        names = [v.attr("index") for v in outer]
        if not outer:
            mode, block = ("flat" if staged else "map"), build("block", *statements)
        elif staged:
            mode = "column" if columns else "row"
            loop = build("loop", *extents, *statements, index=tuple(names), kind="parallel")
            block = build("block", loop, *epilogue)
        else:
            mode = "map"
            inner = build("loop", extents[-1], *statements, index=(names[-1],), kind="vector")
            if len(outer) == 1:
                block = build("block", build("loop", extents[0], *statements, index=(names[0],), kind="parallel"))
            else:
                block = build("block", build("loop", *extents[:-1], inner, index=tuple(names[:-1]), kind="parallel"))
        checks = any(n.op == "checked" for n in topological([block]))
        outputs = [o.type.dtype for o in self.body.outputs]
        return Nest(self.scalars, self.tensors, outputs, block, scratch, mode, checks, self.body)

    def _by_columns(self, last: Node, stages: list[tuple[Node, list[Node]]]) -> bool:
        """Whether most of what is read in the loops of the stages lies along the last outer loop, rather than along
        those. What one round reads as every other does is as good in either form."""
        if not stages or not may_be_columns([v for _, values in stages for v in values], last):
            return False
        across = along = 0
        for var, values in stages:
            for n in topological(values):
                if n.op == "load" and {var, last} <= set(topological(n.inputs)):
                    across += lengths.coefficient(n.inputs[0], last) == 1
                    along += lengths.coefficient(n.inputs[0], var) == 1
        return across > along

    # Collapsing

    def _collapse(
        self, domain: list[Node], everything: list[Node], mapping: dict[Node, Node], alone: bool
    ) -> tuple[Node, dict[Node, Node] | None]:
        """One loop variable for a domain: a rewriting of the index maps, or quotients and remainders of a flat one.

        An index map is rewritten for the whole kernel: only if no other domain has any of these variables (`alone`).
        """
        if not domain:
            return self._unit(), None
        groups = [domain[0]]
        tried = dict(mapping)
        for nxt in domain[1:]:
            joined = self._join(groups[-1], nxt, everything, tried) if alone else None
            groups[-1:] = [groups[-1], nxt] if joined is None else [joined]
        mapping.update(tried)
        if len(groups) == 1:
            return groups[0], None
        local: dict[Node, Node] = {}
        f = self.variable(lengths.product(self.extents[v] for v in groups))
        rest = f
        for v in reversed(groups[1:]):
            local[v] = build("mod", rest, self.extents[v])
            rest = lengths.floordiv(rest, self.extents[v])
        local[groups[0]] = rest
        return f, local

    def _unit(self) -> Node:
        return self.variable(lengths.const(1))

    def _collapse_outer(self, outer: list[Node], everything: list[Node], mapping: dict[Node, Node]) -> list[Node]:
        out: list[Node] = []
        for v in outer:
            if out:
                joined = self._join(out[-1], v, everything, mapping)
                if joined is not None:
                    out[-1] = joined
                    continue
            out.append(v)
        return out

    def _join(self, a: Node, b: Node, everything: list[Node], mapping: dict[Node, Node]) -> Node | None:
        """A variable f = a * extent(b) + b in place of both, if every index map is linear in just that."""
        nb = self.extents[b]
        f = build("index", index=self.names)
        b_is = lengths.sub(f, lengths.mul(a, nb))
        new: dict[Node, Node] = {}
        for root in index_roots(everything):
            now = mapping.get(root, root)
            seen = topological([now])
            if a not in seen and b not in seen:
                continue
            changed = lengths.rewrite_index(now, b, b_is, a)
            if changed is None:
                return None
            new[root] = changed
        self.names += 1
        self.extents[f] = lengths.mul(self.extents[a], nb)
        mapping.update(new)
        return f

    def _share_rows(self, at: int, var: Node, roots: list[Node], first: dict, rows: dict, stored: dict) -> None:
        """Finds costly values that an earlier stage over the same loop computed: they are kept in a scratch row."""
        seen: set[Node] = set()
        stack = list(roots)
        while stack:
            n = stack.pop()
            if n in seen:
                continue
            seen.add(n)
            if n in stored and stored[n][0] < at and stored[n][1] is var:
                continue
            below = topological([n]) if n.definition.costly else []
            if var in below and any(m.op == "load" for m in below):  # places are cheaper to compute than to keep
                when = first.setdefault((n, var), at)
                if when < at:
                    rows.setdefault((n, var), (when, n))
                    continue
            stack.extend(n.inputs)


def may_be_columns(loops: list[Node], last: Node) -> bool:
    """Whether rounds of these loops, or of loops of these values, may run side by side, `last` the variable that goes
    through them: a check of an index is made once for all of them."""
    nodes = topological(loops)
    return all(n.op != "draw_at" for n in nodes) and last not in topological([n for n in nodes if n.op == "checked"])


class _Pending:
    """Makes the accumulators of a reduction node (two for max_and_argmax)."""

    def __init__(self, lowering: _Lowering, r: Node, place: Index, domain: tuple[Node, ...], final: bool):
        self.lowering, self.r, self.place, self.domain, self.final = lowering, r, place, domain, final

    def make(self) -> list[Reduction]:
        low, r = self.lowering, self.r
        value = low.elements.element(r.inputs[0], self.place)
        folds = [("max", 0), ("argmax", 1)] if r.op == "max_and_argmax" else [(r.op, 0)]
        out = []
        for fold, part in folds:
            t = r.type.items[part] if isinstance(r.type, TupleType) else r.type
            number = len(low.by_acc)
            acc = build("acc", acc=number, dtype=t.dtype)
            made = Reduction(number, fold, value.type.dtype, self.domain, value, acc, self.final)
            low.by_acc[acc] = made
            out.append(made)
        return out


def _dependences(values: list[Node]) -> dict[Node, frozenset[Node]]:
    """For each node the loop variables and accumulators it depends on."""
    out: dict[Node, frozenset[Node]] = {}
    empty: frozenset[Node] = frozenset()
    for n in topological(values):
        own = frozenset([n]) if n.op in ("index", "acc") else empty
        for i in n.inputs:
            if not out[i] <= own:
                own = own | out[i]
        out[n] = own
    return out


def index_roots(everything: list[Node]) -> list[Node]:
    """Maximal index polynomials: int64 nodes that feed something other than index arithmetic."""
    roots: dict[Node, None] = {}
    arithmetic = ("add", "mul", "sub")
    for n in everything:
        if not isinstance(n.type, TupleType) and n.type.dtype == "int64":
            roots.setdefault(n)
    for n in topological(everything):
        inside = n.op in arithmetic and n.type.dtype == "int64"
        for i in n.inputs:
            if not inside and not isinstance(i.type, TupleType) and i.type.dtype == "int64":
                roots.setdefault(i)
    return list(roots)
