"""One element of a fused region as a scalar expression over loads: the index maps of all operations, in one table.

A rule is a generator: it yields requests (node, index tuple, guard) for elements of its inputs and returns the scalar
node. The driver runs the generators on a stack of its own, so depth costs no recursion. `guard` is a bool scalar under
which the element is needed: loads happen only where it holds, so that nothing outside a buffer is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from ...runtime.errors import InternalError
from ..ir import lengths
from ..ir.dtypes import numpy_dtype
from ..ir.node import Node, build, constant, make
from ..ir.ops.view import walk_spec
from ..schedule.affine import contiguous_strides, strided
from ..schedule.outline import uniform
from ..schedule.uses import groups, is_one

Index = tuple[Node, ...]
Request = tuple[Node, Index, Node | None]
Rule = Generator[Request, Node, Node]
ZERO = lengths.const(0)
TRUE = constant(True, "bool")
# Index arithmetic in normal form, so that offsets stay polynomials in the loop variables.
INTEGER: dict[str, Callable[..., Node]] = {
    "add": lengths.add, "sub": lengths.sub, "mul": lengths.mul, "neg": lambda i: lengths.scale(i, -1),
}  # fmt: skip


def both(a: Node | None, b: Node) -> Node:
    return b if a is None else a if b is TRUE else build("and", a, b)


def less(a: Node, b: Node) -> Node:
    return build("lt", a, b)


class Elements:
    """Scalar expressions of the elements of one kernel body. `reduction` is asked for the value of a reduction."""

    def __init__(
        self, tensors: dict[Node, int], extents: dict[Node, Node], reduction: Callable[[Node, Index], Node]
    ):
        self.tensors = tensors  # param -> buffer number
        self.extents = extents  # loop variable -> its length; grows with the loops
        self.reduction = reduction
        self.memo: dict[Request, Node] = {}

    def element(self, node: Node, idx: Index, guard: Node | None = None) -> Node:
        request = (node, idx, guard)
        stack: list[tuple[Request, Rule]] = []
        answer: Node | None = self.memo.get(request)
        if answer is not None:
            return answer
        stack.append((request, self._rule(*request)))
        while stack:
            key, rule = stack[-1]
            try:
                wanted = rule.send(answer)  # type: ignore[arg-type]
            except StopIteration as stop:
                answer = self.memo[key] = stop.value
                stack.pop()
                continue
            answer = self.memo.get(wanted)
            if answer is None:
                stack.append((wanted, self._rule(*wanted)))
        assert answer is not None
        return answer

    def _rule(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        if n.family == "elementwise":
            return self._elementwise(n, idx, guard)
        rule = getattr(self, f"_{n.op}", None)
        if rule is None:
            if n.family == "reduce" or (n.op == "item" and n.inputs[0].family == "reduce"):
                return self._reduce(n, idx, guard)
            raise InternalError(f"{n.op} has no index map; it cannot be part of a kernel")
        return rule(n, idx, guard)

    def _elementwise(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        args = []
        for x in n.inputs:
            args.append(
                (yield x, tuple(ZERO if is_one(a) else i for a, i in zip(x.type.axes, idx, strict=True)), guard)
            )
        if n.type.dtype == "int64" and n.op in INTEGER:
            return INTEGER[n.op](*args)
        return make(n.op, args, n.attrs)

    def _param(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        if n not in self.tensors:
            return n
        strides = contiguous_strides(n.type.axes)
        offset = lengths.add(
            ZERO, *(lengths.mul(i, s) for i, s, a in zip(idx, strides, n.type.axes, strict=True) if not is_one(a))
        )
        return self._load(n, offset, guard)
        yield

    def _load(self, n: Node, offset: Node, guard: Node | None) -> Node:
        inputs = (offset,) if guard is None else (offset, guard)
        return build("load", *inputs, buffer=self.tensors[n], dtype=n.type.dtype)

    def _const(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        return constant(uniform(n), n.type.dtype)
        yield

    def _dimshuffle(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        x = n.inputs[0]
        place = {o: idx[k] for k, o in enumerate(n.attr("order")) if o != "x"}
        return (yield x, tuple(ZERO if is_one(x.type.axes[a]) else place[a] for a in range(x.ndim)), guard)

    def _alloc(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        x = n.inputs[0]
        own = idx[len(idx) - x.ndim :]
        return (yield x, tuple(ZERO if is_one(a) else i for a, i in zip(x.type.axes, own, strict=True)), guard)

    def _rebroadcast(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        return (yield n.inputs[0], tuple(ZERO if a in n.attr("axes") else i for a, i in enumerate(idx)), guard)

    def _slice(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        x = n.inputs[0]
        walked = walk_spec(x, n.inputs[1:], n.attr("spec"))
        return (
            yield x, tuple(lengths.add(w[0], lengths.scale(i, w[2])) for w, i in zip(walked, idx, strict=True)), guard
        )

    def _set_slice(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        x, y = n.inputs[:2]
        inside: Node | None = None
        place: list[Node] = []
        for (first, span, step, _), i, s, own in zip(
            walk_spec(x, n.inputs[2:], n.attr("spec")), idx, n.attr("spec"), y.type.axes, strict=True
        ):
            if s[0] == "all":
                place.append(ZERO if is_one(own) else i)
                continue
            if s[0] == "point":
                inside = both(inside, build("eq", i, first))
                place.append(ZERO)
                continue
            away = lengths.sub(i, first) if step > 0 else lengths.sub(first, i)
            if not lengths.nonneg(away):
                inside = both(inside, build("le", ZERO, away))
            if abs(step) != 1:
                inside = both(inside, build("eq", build("mod", away, lengths.const(abs(step))), ZERO))
                away = lengths.floordiv(away, lengths.const(abs(step)))
            inside = both(inside, less(away, span))
            place.append(ZERO if is_one(own) else away)
        old = yield x, idx, guard
        if inside is None:
            new = yield y, tuple(place), guard
            return new if n.attr("mode") == "set" else build("add", old, new)
        new = yield y, tuple(place), both(guard, inside)
        if n.attr("mode") == "set":
            return build("switch", inside, new, old)
        return build("switch", inside, build("add", old, new), old)

    def _concatenate(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        axis = n.attr("axis")
        i = idx[axis]
        start = ZERO
        parts: list[tuple[Node, Node]] = []
        for x in n.inputs:
            length = x.type.axes[axis]
            end = lengths.add(start, length)
            here = build("and", build("le", start, i), less(i, end)) if start is not ZERO else less(i, end)
            place = tuple(
                ZERO if is_one(x.type.axes[a]) else lengths.sub(k, start) if a == axis else k for a, k in enumerate(idx)
            )
            parts.append((here, (yield x, place, both(guard, here))))
            start = end
        out = parts[-1][1]
        for here, value in reversed(parts[:-1]):
            out = build("switch", here, value, out)
        return out

    def _gather(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        x, *indices = n.inputs
        width = indices[0].ndim
        place: list[Node] = []
        for k, index in enumerate(indices):
            own = tuple(ZERO if is_one(a) else i for a, i in zip(index.type.axes, idx[:width], strict=True))
            value = yield index, own, guard
            place.append(self._checked(value, x.type.axes[k], guard))
        rest = tuple(ZERO if is_one(a) else i for a, i in zip(x.type.axes[len(indices) :], idx[width:], strict=True))
        return (yield x, (*place, *rest), guard)

    def _checked(self, value: Node, length: Node, guard: Node | None) -> Node:
        if value.type.dtype == "uint64":  # what no int64 holds is out of range as the largest is
            value = build("minimum", value, constant((1 << 63) - 1, "uint64"))
        i = value if value.type.dtype == "int64" else build("cast", value, dtype="int64")
        if self.extents.get(i) is length:
            return i  # arange over the whole axis: the loop variable itself
        return build("checked", *((i, length) if guard is None else (i, length, guard)))

    def _reshape(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        x = n.inputs[0]
        view = strided(n)
        if view is not None and view.base in self.tensors:
            parts = (lengths.mul(i, s) for i, s in zip(idx, view.strides, strict=True) if i is not ZERO)
            return self._load(view.base, lengths.add(view.offset, *parts), guard)
        out: list[Node] = []
        for inputs, outputs in groups(n):
            strides = contiguous_strides(tuple(n.type.axes[a] for a in outputs))
            flat = lengths.add(ZERO, *(lengths.mul(idx[a], s) for a, s in zip(outputs, strides, strict=True)))
            inner = tuple(x.type.axes[a] for a in inputs)
            for k, (s, a) in enumerate(zip(contiguous_strides(inner), inner, strict=True)):
                i = lengths.floordiv(flat, s)
                out.append(ZERO if is_one(a) else i if not k else build("mod", i, a))
        return (yield x, tuple(out), guard)

    def _iota(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        return idx[0] if n.type.dtype == "int64" else build("cast", idx[0], dtype=n.type.dtype)
        yield

    def _window(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        axis = n.attr("axis")
        place = list(idx[:-1])
        place[axis] = lengths.add(lengths.scale(idx[axis], n.attr("stride")), idx[-1])
        return (yield n.inputs[0], tuple(place), guard)

    def _spread(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        g, axis, stride = n.inputs[0], n.attr("axis"), lengths.const(n.attr("stride"))
        away = lengths.sub(idx[axis], idx[-1])
        inside: Node | None = None if lengths.nonneg(away) else build("le", ZERO, away)
        if n.attr("stride") != 1:
            inside = both(inside, build("eq", build("mod", away, stride), ZERO))
            away = lengths.floordiv(away, stride)
        inside = both(inside, less(away, g.type.axes[axis]))
        place = tuple(away if a == axis else i for a, i in enumerate(idx))
        value = yield g, place, both(guard, inside)
        return build("switch", inside, value, constant(numpy_dtype(n.type.dtype).type(0), n.type.dtype))

    def _state_words(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        return (yield n.inputs[0], idx, guard)

    def _draw(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        state = n.inputs[0]
        key = yield state, (ZERO,), guard
        number = yield state, (lengths.const(1),), guard
        flat = lengths.add(
            ZERO, *(lengths.mul(i, s) for i, s in zip(idx, contiguous_strides(n.type.axes), strict=True))
        )
        return build("draw_at", key, number, flat, distribution=n.attr("distribution"), dtype=n.type.dtype)

    def _advance(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        old = yield n.inputs[0], idx, guard
        one, none = (constant(v, "uint64") for v in (1, 0))
        return build("add", old, build("switch", build("eq", idx[0], lengths.const(1)), one, none))

    def _reduce(self, n: Node, idx: Index, guard: Node | None) -> Rule:
        return self.reduction(n, idx)
        yield
