"""Compiled programs by what was declared: a hit skips every stage between the declaration and the loading.

The key is the program's structure, without names and lines, with the contents of the installed package, the options and
the compiler. An entry is one file: 8 bytes of length, a JSON text of that length, then the constants, 64-byte aligned.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...runtime.abi import CONSTANTS
from ...runtime.program import element_type
from ..ir.digest import digest_region
from ..ir.node import Region, binder, is_bound
from ..ir.ops.procedural import HostFunction
from ..ir.regions import nested_nodes
from . import toolchain
from .cache import Cache, open_cache

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ("compiler", "kernels", "runtime")
SUFFIX = ".program"
ALIGNED = 64


class Entry(NamedTuple):
    """What running a program takes beside its library."""

    library: Path
    manifest: dict[str, Any]  # as messages.template makes it: without the user's lines
    constants: list[np.ndarray]
    hosts: list[int]  # of the Python operations that the region declares, those that the program calls


@cache
def build_id() -> str:
    """A name for what this installation of weft compiles: of the contents of its files."""
    total = hashlib.blake2b(digest_size=16)
    for path in _files():
        data = path.read_bytes()
        total.update(f"{path.relative_to(ROOT)}:{len(data)}:".encode() + data)
    return total.hexdigest()


def _files() -> Iterator[Path]:
    for folder in PACKAGE:
        for base, inner, names in os.walk(ROOT / folder):
            inner.sort()
            yield from (Path(base, n) for n in sorted(names) if n.endswith((".py", ".h", ".c", ".cuh")))


def hosts_of(r: Region) -> tuple[list[HostFunction], list[int]]:
    """The Python operations of a region, nested ones included, and which of them each of its calls is of.

    Their digests do not tell two of one definition apart: which calls are of one and the same has to stand in a key.
    """
    found: dict[HostFunction, int] = {}
    # One of which only a length is read is not among the nodes itself.
    made = [binder(n) if is_bound(n) else n for _, nodes in nested_nodes(r) for n in nodes]
    calls = [n.attr("callee") for n in made if n.op == "host_call"]
    numbers = [found.setdefault(c, len(found)) for c in calls]
    return list(found), numbers


def name_of(r: Region) -> tuple[str, list[HostFunction]]:
    """A name of what a region computes, and the Python operations that it calls."""
    hosts, numbers = hosts_of(r)
    return f"{digest_region(r).hex()} {numbers}", hosts


def key_of(what: str, roles: Sequence[Any], options: Sequence[str], chain: toolchain.Toolchain) -> str:
    """The name of the program that computes `what`; `roles`: which of its params and outputs are what."""
    parts = [
        f"abi {CONSTANTS['WEFT_ABI']}", build_id(), chain.identity, *toolchain.program_flags(chain), *options,
        repr(tuple(roles)), what,
    ]  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def find(key: str, cache_dir: str | os.PathLike) -> Entry | None:
    """The entry of a key, if it and its library are there and whole."""
    store = open_cache(cache_dir)
    path = store.find(key, SUFFIX)
    if path is None:
        return None
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # another process has just made room
        return None
    start = 8 + int.from_bytes(data[:8], "little")
    told = json.loads(data[8:start])
    library = store.find(told["library"])
    if library is None:
        return None
    start += -start % ALIGNED
    constants = [_array(data, start + c["offset"], c["dtype"], tuple(c["shape"])) for c in told["constants"]]
    return Entry(library, told["manifest"], constants, told["hosts"])


def add(key: str, entry: Entry, cache_dir: str | os.PathLike) -> None:
    listed, blocks, offset = [], [], 0
    for a, c in zip(entry.constants, entry.manifest["constants"], strict=True):
        listed.append({"dtype": c["dtype"], "shape": a.shape, "offset": offset})
        blocks.append(a.tobytes() + bytes(-a.nbytes % ALIGNED))
        offset += len(blocks[-1])
    told = {
        "library": Cache.key(entry.library), "manifest": entry.manifest, "constants": listed, "hosts": entry.hosts,
    }  # fmt: skip
    text = json.dumps(told).encode()
    head = len(text).to_bytes(8, "little") + text
    data = b"".join([head, bytes(-len(head) % ALIGNED), *blocks])
    open_cache(cache_dir).fetch(key, lambda target: target.write_bytes(data), SUFFIX)


def _array(data: bytes, offset: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    of = element_type(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(data, of, count, offset).reshape(shape)


__all__ = ["Entry", "add", "build_id", "find", "hosts_of", "key_of", "name_of"]
