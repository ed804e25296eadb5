"""Lengths: int64 scalar Nodes in a normal form, so that equal lengths are the same Node whenever algebra shows it.

    length ::= const | dim(token, axis) | length(op, out, axis; inputs) | any int64 scalar node
             | sum of integer multiples of products (normal form: add of mul, terms in a fixed order)
             | floordiv | mod | maximum | minimum

int64 arithmetic is exact modulo 2^64 and wraps at run time likewise, so the polynomial form is an identity.
Lengths themselves do not wrap: what a program makes of numbers is checked to be at most LIMIT (`unbounded`), with every
product on the way, and so is the number of elements where two are compared.
`dim` is a param's length; `length` is one known only once an operation has run (nonzero, scan with until).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial, reduce

import numpy as np

from .dtypes import DTYPES
from .node import Node, build, constant, topological
from .types import TensorType

LIMIT = 1 << 48  # elements of an axis: more than memory has bytes, and so few that sums of lengths never wrap
_SMALL = 1 << 12  # a constant factor that LIMIT leaves room for
_FAR = LIMIT * _SMALL  # beyond which nothing is said of a number: sums of such wrap
_TWICE = 1 << 6  # one that products of lengths leave room for, such as axes are made of

WIDEST = 64  # terms, or factors, of what rewriting multiplies out
LARGE = 256  # factors of a polynomial's terms beyond which it is an atom
Terms = dict[tuple[Node, ...], int]  # a polynomial: monomial (sorted tuple of factors) -> coefficient

_ITSELF = object()  # the `normal` of a node in normal form: a reference to the node would keep it alive


@lru_cache(4096)
def const(n: int) -> Node:
    return constant(n, "int64")


def is_one(node: Node) -> bool:
    return node is const(1)


def static(node: Node) -> int | None:
    """The value of a length known at compile time."""
    return _terms(node).get((), 0) if node.op == "const" else None


def is_below(node: Node, n: int) -> bool:
    """Whether a length is known when compiling, and less than n."""
    v = static(node)
    return v is not None and v < n


def order(node: Node) -> tuple:
    """A sort key that does not depend on what was built before, save between nodes of one digest."""
    if node.op in ("dim", "param"):
        token = node.attr("token")
        number = token if isinstance(token, int) else (1 << 60) + token[1]
        return (0, number, node.attr("axis") if node.op == "dim" else -1)
    if node.op == "index":
        return (0, 1 << 61, node.attr("index"))
    from .digest import digest

    return (1, digest(node), node.uid)


def _terms(node: Node) -> Terms:
    """A sum or product in normal form as a polynomial; any other node is an atom.

    It follows from the node's structure alone, not from who built it: whether a sum counts as normal decides what is
    known of it, and one program has one C text in every process.
    """
    if node.op == "const":
        if node.terms is None:
            v = int(node.value)
            node.terms = {(): v} if v else {}
        return node.terms
    if not _is_sum(node):
        return {(node,): 1}
    stack = [node] if node.terms is None else []
    while stack:
        n = stack[-1]
        if n.terms is not None:
            stack.pop()
            continue
        inner = [i for i in n.inputs if i.terms is None and _is_sum(i)]
        if inner:
            stack += inner
            continue
        stack.pop()
        made = (add if n.op == "add" else mul)(*n.inputs)
        if made is not n or n.terms is None:
            n.terms = {}  # an atom
    return node.terms or {(node,): 1}


def _is_sum(n: Node) -> bool:
    return n.op in ("add", "mul") and n.type.dtype == "int64" and not n.type.axes


def _from_terms(terms: Terms) -> Node:
    def monomial(factors: tuple[Node, ...], c: int) -> Node:
        if not factors:
            return const(c)
        out = factors[0]
        for f in factors[1:]:
            out = build("mul", out, f)
        return out if c == 1 else build("mul", out, const(c))

    items = [(m, c) for m, c in terms.items() if c]
    if not items:
        return const(0)
    if len(items) > 1:
        items.sort(key=lambda t: (-len(t[0]), [order(f) for f in t[0]]))
    out = monomial(*items[0])
    for m, c in items[1:]:
        out = build("add", out, monomial(m, c))
    if out.op != "const" and items != [((out,), 1)]:
        out.terms = dict(items)
    return out


def _wrap(c: int) -> int:
    return (c + (1 << 63)) % (1 << 64) - (1 << 63)


def _is_large(terms: Terms) -> bool:
    """Integer scalars of a program are lengths too: a polynomial of many of them is not multiplied out."""
    return len(terms) > LARGE // 2 or sum(map(len, terms)) > LARGE


def add(*parts: Node) -> Node:
    out: Terms = {}
    for p in parts:
        for m, c in _terms(p).items():
            out[m] = _wrap(out.get(m, 0) + c)
    return reduce(partial(build, "add"), parts) if _is_large(out) else _from_terms(out)


def mul(*parts: Node) -> Node:
    out: Terms = {(): 1}
    for p in parts:
        if _is_large(out):
            return reduce(partial(build, "mul"), parts)
        new: Terms = {}
        factor = _terms(p)
        for m1, c1 in out.items():
            for m2, c2 in factor.items():
                m = tuple(sorted(m1 + m2, key=order)) if m1 and m2 else m1 or m2
                new[m] = _wrap(new.get(m, 0) + c1 * c2)
        out = new
    return reduce(partial(build, "mul"), parts) if _is_large(out) else _from_terms(out)


def product(parts: Iterable[Node]) -> Node:
    factors = [p for p in parts if not is_one(p)]
    return factors[0] if len(factors) == 1 and not _is_sum(factors[0]) else mul(const(1), *factors)


def scale(a: Node, c: int) -> Node:
    return mul(a, const(c))


def sub(a: Node, b: Node) -> Node:
    return add(a, scale(b, -1))


def nonneg(node: Node, fuel: int = 6) -> bool:
    """Whether the length is known to be at least 0. Products of lengths, such as axes are made of, are taken not to
    wrap; those with large constants, or third powers, may be any numbers of a program's.

    Conservative: gives up below `fuel` levels of nesting.
    """
    if fuel == 0:
        return False
    if node.op == "const":
        return int(node.value) >= 0
    if node.op in ("dim", "length", "index") or (node.op == "param" and node.attr("kind") == "length"):
        return True
    if node.nonneg is None:
        node.nonneg = 0
    asked = 1 << 2 * fuel  # two bits for each fuel: whether it was asked, and the answer
    if not node.nonneg & asked:
        node.nonneg |= asked | (2 * asked if _is_nonneg(node, fuel) else 0)
    return bool(node.nonneg & 2 * asked)


def _is_nonneg(node: Node, fuel: int) -> bool:
    if node.op == "maximum":
        return any(nonneg(i, fuel - 1) for i in node.inputs)
    if node.op in ("minimum", "floordiv", "mod"):
        return all(nonneg(i, fuel - 1) for i in node.inputs)
    return (node,) not in _terms(node) and _none_negative(_terms(node), fuel) and is_moderate(node)


def _may_wrap(terms: Terms) -> bool:
    """Whether the sum may be beyond an int64, or a product in it."""

    def fits(m: tuple[Node, ...], c: int) -> bool:
        if len(m) < 2:
            return abs(c) <= (_SMALL if m else _FAR)
        return abs(c) <= (_SMALL if _of_one(m) else _TWICE) and all(m.count(f) < 3 for f in m[:-2])

    return not all(fits(m, c) for m, c in terms.items())


def is_moderate(node: Node) -> bool:
    """Whether a normal length is made of lengths, as axes and places are: taken not to wrap, as in `nonneg`."""
    terms = _terms(node)
    return not _may_wrap(terms) and all(interval(f) is not None for m in terms for f in m)


def unbounded(node: Node) -> list[tuple[Node, ...]]:
    """The products in a normal length that are not known to be at most LIMIT, each as its factors.

    Where each is, evaluating the length does not wrap, and gives at most a small multiple of LIMIT.
    """
    return [p for p, (m, c) in zip(products(node), _terms(node).items(), strict=False) if not _bounded(m, c)]


def products(node: Node) -> list[tuple[Node, ...]]:
    """A normal length as a sum of products: the factors of each, its constant among them."""
    terms = _terms(node).items()
    return [(*m, const(c)) if c != 1 or not m else m for m, c in terms] or [(const(0),)]


def _bounded(m: tuple[Node, ...], c: int) -> bool:
    if abs(c) > (_SMALL if m else LIMIT):
        return False
    return _of_one(m) if len(m) > 1 else all(interval(f) is not None for f in m)


def _of_one(m: tuple[Node, ...]) -> bool:
    """Whether these are distinct lengths of one array: then they are factors of its size."""
    places = {(f.attr("token"), f.attr("axis")) for f in m if f.op == "dim"}
    return len(places) == len(m) and len({token for token, _ in places}) == 1


NUMBERS = ("add", "mul", "maximum", "minimum", "switch", "floordiv", "mod")  # whose intervals follow from their inputs'
_ANY = (-(1 << 63), (1 << 63) - 1)


def interval(node: Node) -> tuple[int, int] | None:
    """The least and the greatest that a number made of lengths may be; None where that is beyond a small multiple of
    LIMIT. Products of several lengths are taken to be an axis' length, or a place in one."""
    if node.interval is None:
        todo = topological([node], lambda n: n.inputs if n.interval is None and n.op in NUMBERS else ())
        for n in todo:
            if n.interval is None:
                n.interval = _interval(n)
    low, high = node.interval
    return (low, high) if low >= -_FAR and high <= _FAR else None


def _interval(node: Node) -> tuple[int, int]:
    op = node.op
    if op in ("dim", "length", "index") or (op == "param" and node.attr("kind") == "length"):
        return 0, LIMIT
    if type(node.type) is not TensorType or node.type.axes or node.type.dtype != "int64":
        return _ANY
    if op == "const":
        return int(node.value), int(node.value)
    if op not in NUMBERS:
        return _ANY
    ends = [i.interval for i in node.inputs]
    if op in ("maximum", "minimum"):
        fold = max if op == "maximum" else min
        return fold(ends[0][0], ends[1][0]), fold(ends[0][1], ends[1][1])
    if op == "switch":
        return min(ends[1][0], ends[2][0]), max(ends[1][1], ends[2][1])
    if op == "floordiv":  # by 0 it is 0
        most = max(map(abs, ends[0]))
        return (0, most) if ends[0][0] >= 0 and ends[1][0] >= 0 else (-most, most)
    if op == "mod":
        low, high = ends[1]
        return min(low, 0), max(high, 0)
    low = high = 0
    for m, c in _terms(node).items():
        if m == (node,):
            return _ANY
        a, b = (1, 1) if not m else m[0].interval if len(m) == 1 else (0, LIMIT) if _is_product(m) else _ANY
        low += min(a * c, b * c)
        high += max(a * c, b * c)
    return (low, high) if low >= _ANY[0] and high <= _ANY[1] else _ANY


def _is_product(m: tuple[Node, ...]) -> bool:
    """Whether it may be the length of an axis, or a place in it: of factors that are at least 0."""
    return all(f.interval[0] >= 0 and f.interval[1] <= _FAR for f in m)


def at_least(a: Node, b: Node) -> bool:
    """Whether a - b is known to be at least 0, by its polynomial alone."""
    if a is b:
        return True
    terms = dict(_terms(a))
    for m, c in _terms(b).items():
        terms[m] = _wrap(terms.get(m, 0) - c)
    terms = {m: c for m, c in terms.items() if c}
    if terms == {m: c for m, c in _terms(a).items() if c} and len(terms) == 1:  # b is 0
        ((m, c),) = terms.items()
        if c == 1 and len(m) == 1:
            return nonneg(m[0])
    return not _is_large(terms) and _none_negative(terms) and is_moderate(a) and is_moderate(b)


def _none_negative(terms: Terms, fuel: int = 6) -> bool:
    if all(c >= 0 and all(nonneg(f, fuel - 1) for f in m) for m, c in terms.items()):
        return True
    below = _without_quotients(terms, fuel)
    return below is not None and all(c >= 0 and all(nonneg(f, fuel - 1) for f in m) for m, c in below.items())


def _without_quotients(terms: Terms, fuel: int) -> Terms | None:
    """Something smaller: of -c * (x // d) at least -c * x / d is left. None where nothing is subtracted so."""
    if not any(c < 0 and any(q.op == "floordiv" for q in m) for m, c in terms.items()):
        return None
    out: list[Node] = []
    changed = False
    for m, c in terms.items():
        for k, q in enumerate(m if c < 0 else ()):
            d = static(q.inputs[1]) if q.op == "floordiv" else None
            rest = (*m[:k], *m[k + 1 :])
            if d is not None and d > 0 and c % d == 0 and all(nonneg(f, fuel - 1) for f in rest):
                out.append(scale(mul(q.inputs[0], *rest), c // d))
                changed = True
                break
        else:
            out.append(_from_terms({m: c}))
    return _terms(add(*out)) if changed else None


def maximum(a: Node, b: Node) -> Node:
    if at_least(a, b):
        return a
    if at_least(b, a):
        return b
    for x, y in ((a, b), (b, a)):
        if static(y) == 0:
            merged = _inside_max(x)
            if merged is not None:
                return maximum(merged, y)
    a, b = sorted((a, b), key=order)
    return build("maximum", a, b)


def _inside_max(a: Node) -> Node | None:
    """u - c where a is max(u, 0) - c with a constant c >= 0: max(a, 0) is max(u - c, 0)."""
    terms = _terms(a)
    rest = {m: c for m, c in terms.items() if m}
    if terms.get((), 0) < 0 and len(rest) == 1:
        ((m, c),) = rest.items()
        if c == 1 and len(m) == 1 and m[0].op == "maximum":
            u, v = m[0].inputs
            if static(u) == 0:
                u, v = v, u
            if static(v) == 0:
                return add(u, const(terms[()]))
    return None


def minimum(a: Node, b: Node) -> Node:
    if at_least(a, b):
        return b
    if at_least(b, a):
        return a
    a, b = sorted((a, b), key=order)
    return build("minimum", a, b)


def floordiv(a: Node, b: Node) -> Node:
    """Floored quotient; 0 when b is 0."""
    va, vb = static(a), static(b)
    if vb == 1:
        return a
    if va is not None and vb is not None:
        return const(va // vb if vb else 0)
    if vb:
        terms = _terms(a)
        if all(c % vb == 0 for c in terms.values()):
            return _from_terms({m: c // vb for m, c in terms.items()})
    return build("floordiv", a, b)


def ceildiv(a: Node, b: int) -> Node:
    return a if b == 1 else floordiv(add(a, const(b - 1)), const(b))


_FOLD: dict[str, Callable[..., Node]] = {
    "add": add, "mul": mul, "sub": sub, "maximum": maximum, "minimum": minimum, "floordiv": floordiv,
}  # fmt: skip


_ARITHMETIC = frozenset({*_FOLD, "neg", "sqr"})


def is_arithmetic(node: Node) -> bool:
    """Whether the node is int64 scalar arithmetic that a normal form looks into."""
    t = node.type
    return type(t) is TensorType and not t.axes and t.dtype == "int64" and node.op in _ARITHMETIC


def normal(node: Node) -> Node:
    """The normal form of an int64 scalar node: user arithmetic on shapes becomes the length it equals."""
    stack = [node]
    while stack:
        n = stack[-1]
        if n.normal is None:
            missing = [i for i in n.inputs if i.normal is None] if is_arithmetic(n) else []
            if missing:
                stack += missing
                continue
            new = _normalized(n)
            n.normal = _ITSELF if new is n else new
        stack.pop()
    return _normal_of(node)


def _normal_of(n: Node) -> Node:
    return n if n.normal is _ITSELF else n.normal


def _normalized(n: Node) -> Node:
    if is_arithmetic(n):
        return _fold(n, [_normal_of(i) for i in n.inputs])
    if n.op == "cast" and n.dtype == "int64" and n.inputs[0].op == "const" and not n.type.axes:
        source = n.inputs[0]
        if DTYPES[source.type.dtype].kind in "iub":
            return const(int(np.asarray(source.value).astype(np.int64)))
    return n


def normal_step(n: Node) -> Node:
    """The normal form of int64 scalar arithmetic on inputs in normal form; itself where that would grow beyond 64 terms
    or factors (a product of sums has the product of their numbers of terms)."""
    if n.stays:
        return n
    sizes = [_terms(i) for i in n.inputs]
    if n.op == "sqr":
        sizes += sizes
    count = len(sizes[0]) * len(sizes[-1]) if n.op in ("mul", "sqr") else sum(map(len, sizes))
    degree = sum(max(map(len, t), default=0) for t in sizes)
    new = n if max(count, degree) > WIDEST else _fold(n, list(n.inputs))
    n.stays = new is n
    return new


def _fold(n: Node, args: list[Node]) -> Node:
    if n.op in _FOLD:
        return _FOLD[n.op](*args)
    return scale(args[0], -1) if n.op == "neg" else mul(args[0], args[0])


def clamp_start(start: Node, n: Node) -> Node:
    """A slice bound for a positive step: negative counts from the end, then clipped to [0, n]."""
    v = static(start)
    if v is not None and v < 0:
        return maximum(add(n, start), const(0))
    if v is not None or nonneg(start):
        return minimum(start, n)
    wrapped = build("switch", build("lt", start, const(0)), add(n, start), start)
    return minimum(maximum(wrapped, const(0)), n)


def clamp_down(start: Node, n: Node) -> Node:
    """A slice bound for a negative step: negative counts from the end, then clipped to [-1, n - 1]."""
    last = sub(n, const(1))
    v = static(start)
    if v is not None and v < 0:
        return maximum(add(n, start), const(-1))
    if v is not None or nonneg(start):
        return minimum(start, last)
    wrapped = build("switch", build("lt", start, const(0)), add(n, start), start)
    return minimum(maximum(wrapped, const(-1)), last)


def clip(n: int) -> int:
    """A bound or step of a slice that means the same: no axis is longer than LIMIT, and nothing near it wraps."""
    return max(-LIMIT - 1, min(LIMIT + 1, n))


def slice_bounds(n: Node, start: Node | None, stop: Node | None, step: int) -> tuple[Node, Node]:
    """(first index, length) of `range(n)[start:stop:step]` in closed form; Python's slice rules."""
    start, stop = (const(clip(v)) if b is not None and (v := static(b)) is not None else b for b in (start, stop))
    step = clip(step)
    zero = const(0)
    if step > 0:
        first = zero if start is None else clamp_start(start, n)
        low = const(0) if start is None else start
        a = static(low)
        if stop is None and a is not None and a >= 0:
            span = maximum(sub(n, low), zero)
        elif stop is not None and a is not None and a >= 0 and (static(stop) or 0) < 0:
            span = maximum(sub(add(n, stop), low), zero)
        elif stop is not None and a is not None and a >= 0 and nonneg(stop):
            span = maximum(sub(minimum(stop, n), low), zero)
        else:
            end = n if stop is None else clamp_start(stop, n)
            span = maximum(sub(end, first), zero)
        return first, ceildiv(span, step)
    first = sub(n, const(1)) if start is None else clamp_down(start, n)
    end = const(-1) if stop is None else clamp_down(stop, n)
    return first, ceildiv(maximum(sub(first, end), zero), -step)


_SIGNS = {"maximum": "max", "minimum": "min", "floordiv": "div", "mod": "mod"}


def show(node: Node, fuel: int = 4, width: int = 6) -> str:
    """A short text for people: d0.1 (axis 1 of param 0), n0 (its value), 3, d0.0*d0.1 + 1, ?op for what an operation
    gives, ... where it gets long."""
    if node.op == "const":
        return str(int(node.value))
    if node.op == "dim":
        token = node.attr("token")
        return f"d{token}.{node.attr('axis')}" if isinstance(token, int) else f"v{token[1]}.{node.attr('axis')}"
    if node.op == "param":
        token = node.attr("token")
        return f"n{token}" if isinstance(token, int) else f"v{token[1]}"
    if node.op == "index":
        return f"i{node.attr('index')}"
    if fuel == 0:
        return "..."
    terms = _terms(node)
    if (node,) in terms:
        if node.op in _SIGNS:
            return f"{_SIGNS[node.op]}({', '.join(show(i, fuel - 1) for i in node.inputs)})"
        return f"?{node.op}"
    parts = []
    for m, c in list(terms.items())[:width]:
        factors = [f"({show(f, fuel - 1)})" if len(_terms(f)) > 1 else show(f, fuel - 1) for f in m[:width]]
        if c != 1 or not factors:
            factors.insert(0, str(c))
        parts.append("*".join(factors))
    if len(terms) > width:
        parts.append("...")
    return " + ".join(parts).replace("+ -", "- ")


def rewrite_index(p: Node, var: Node, value: Node, gone: Node) -> Node | None:
    """The normal length p with `var` replaced by `value`; None when p is not linear in it or `gone` is left over."""
    out: dict[tuple[Node, ...], int] = {}
    for m, c in _terms(p).items():
        if var not in m:
            parts = {m: c}
        else:
            rest = list(m)
            rest.remove(var)
            if var in rest:
                return None
            parts = {}
            for m2, c2 in _terms(value).items():
                joined = tuple(sorted((*rest, *m2), key=order))
                parts[joined] = parts.get(joined, 0) + c * c2
        for k, v in parts.items():
            out[k] = out.get(k, 0) + v
    if any(c and _contains(f, (var, gone)) for m, c in out.items() for f in m):
        return None
    return _from_terms(out)


def coefficient(p: Node, var: Node) -> int | None:
    """The constant factor of `var` in the normal length p; 0 if absent, None if it is not constant."""
    total = 0
    for m, c in _terms(p).items():
        if m == (var,):
            total += c
        elif any(_contains(f, (var,)) for f in m):
            return None
    return total


def _contains(node: Node, wanted: tuple[Node, ...]) -> bool:
    return any(n in wanted for n in topological([node]))
