"""A name for a node that follows from its structure alone, whatever else was built before it and in which process.

Nodes are ordered by it where an order is needed (terms of a length), so that equal programs get equal normal forms.
"""

from __future__ import annotations

import weakref
from array import array
from functools import cache
from hashlib import blake2b
from typing import Any

from .node import Attrs, Constant, Node, Region

_of_regions: weakref.WeakKeyDictionary[Region, bytes] = weakref.WeakKeyDictionary()


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "little") + part


def _hash(*parts: bytes) -> bytes:
    return blake2b(b"".join(map(_framed, parts)), digest_size=16).digest()


@cache
def _head(op: str) -> bytes:
    """What the digest of a node without attributes begins with."""
    return _framed(op.encode()) + _framed(b";")


_INPUT = _framed(bytes(16))[:8]  # what stands before the digest of an input


def digest(node: Node) -> bytes:
    """16 bytes; linear in the part of the graph that has none yet.

    Host functions count by name and definition, which do not show what a closure or an object holds: two nodes with
    host functions may differ and have one digest.
    """
    stack = [] if node.digest is not None else [node]
    while stack:
        n = stack[-1]
        if n.digest is None:
            parts: list[bytes] = []
            for i in n.inputs:
                if i.digest is None:
                    stack.append(i)
                else:
                    parts += (_INPUT, i.digest)
            if len(parts) < 2 * len(n.inputs):
                continue
            head = b"".join(map(_framed, (*_applied(n.op, n.attrs), b";"))) if n.attrs else _head(n.op)
            n.digest = blake2b(b"".join((head, *parts)), digest_size=16).digest()
        stack.pop()
    assert node.digest is not None
    return node.digest


def digest_operation(name: str, attrs: Attrs) -> bytes:
    """16 bytes for an operation with its attributes, whatever it is applied to."""
    return _hash(*_applied(name, attrs))


def _applied(name: str, attrs: Attrs) -> list[bytes]:
    return [name.encode(), *[_hash(k.encode(), _attr(v)) for k, v in attrs]]


def digest_region(r: Region) -> bytes:
    found = _of_regions.get(r)
    if found is None:
        said = (repr((c.kind, c.what, *map(tuple, c.at))).encode() for c in r.checks)
        checks = [_hash(s, *map(digest, c.operands)) for s, c in zip(said, r.checks, strict=True)]
        found = _hash(*map(digest, r.params), b";", *map(digest, r.outputs), b";", *checks)
        _of_regions[r] = found
    return found


def name_region(r: Region) -> str:
    """A name that tells regions apart as `digest_region` does, without digests of the nodes: nobody else needs them."""
    at: dict[Node, int] = {}
    kinds: dict[tuple[str, Attrs], int] = {}  # operations with their attributes
    text: list[int] = []
    for n in r.nodes():
        text += (kinds.setdefault((n.op, n.attrs), len(kinds)), len(n.inputs))
        text += [at[i] for i in n.inputs]
        at[n] = len(at)
    text += [at[n] for n in (*r.params, *r.roots())]
    said = [len(r.params), len(r.outputs), *((c.kind, len(c.operands), c.what, *map(tuple, c.at)) for c in r.checks)]
    operations = (digest_operation(op, attrs) for op, attrs in kinds)
    return _hash(array("q", text).tobytes(), repr(said).encode(), *operations).hex()[:16]


def _attr(v: Any) -> bytes:
    if isinstance(v, tuple):
        return _hash(b"tuple", *map(_attr, v))
    if isinstance(v, Constant):
        return _hash(b"constant", repr(v.key[:2]).encode(), v.key[2])
    if isinstance(v, Region):
        return digest_region(v)
    if hasattr(v, "definition"):  # a HostFunction
        return _hash(b"host", v.name.encode(), v.definition.encode())
    return repr(v).encode()


__all__ = ["digest", "digest_operation", "digest_region", "name_region"]
