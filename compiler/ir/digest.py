"""A name for a node that follows from its structure alone, whatever else was built before it and in which process.

Nodes are ordered by it where an order is needed (terms of a length), so that equal programs get equal normal forms.
"""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

from .node import Constant, Node, Region

_of_regions: weakref.WeakKeyDictionary[Region, bytes] = weakref.WeakKeyDictionary()


def _hash(*parts: bytes) -> bytes:
    h = hashlib.blake2b(digest_size=16)
    for p in parts:
        h.update(len(p).to_bytes(8, "little"))
        h.update(p)
    return h.digest()


def digest(node: Node) -> bytes:
    """16 bytes; linear in the part of the graph that has none yet.

    Host functions count by name and definition, which do not show what a closure or an object holds: two nodes with
    host functions may differ and have one digest.
    """
    stack = [] if node.digest is not None else [node]
    while stack:
        n = stack[-1]
        if n.digest is None:
            missing = [i for i in n.inputs if i.digest is None]
            if missing:
                stack += missing
                continue
            attrs = [_hash(k.encode(), _attr(v)) for k, v in n.attrs] if n.attrs else ()
            n.digest = _hash(n.op.encode(), *attrs, b";", *[i.digest or b"" for i in n.inputs])
        stack.pop()
    assert node.digest is not None
    return node.digest


def digest_region(r: Region) -> bytes:
    found = _of_regions.get(r)
    if found is None:
        said = (repr((c.kind, c.what, *map(tuple, c.at))).encode() for c in r.checks)
        checks = [_hash(s, *map(digest, c.operands)) for s, c in zip(said, r.checks, strict=True)]
        found = _hash(*map(digest, r.params), b";", *map(digest, r.outputs), b";", *checks)
        _of_regions[r] = found
    return found


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


__all__ = ["digest", "digest_region"]
