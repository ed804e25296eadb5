"""From C text to a shared library in the cache, compiled once for a text, a compiler and a CPU."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...runtime.abi import CONSTANTS, HEADERS
from ...runtime.errors import CompileError
from ...runtime.pool import SOURCES
from . import toolchain
from .cache import REFUSED, TRIES, open_cache

# Routine of kernels/weft_library.h -> the header of kernels/ that defines it, for each dtype.
FAMILIES = {
    **dict.fromkeys(("product", "product_workspace", "gemv", "dot"), "products"),
    **dict.fromkeys(("cumsum", "cumsum_workspace"), "running"),
    **dict.fromkeys(("csr_dot", "csr_dot_t", "csr_dot_t_workspace", "csr_sample"), "sparse"),
    **dict.fromkeys(("sort", "argsort", "nonzero_count", "nonzero", "scatter"), "places"),
}
_NAMES = "|".join(sorted(FAMILIES, key=len, reverse=True))  # product_workspace before product
ROUTINE = re.compile(rf"\bweft_lib_({_NAMES})_([a-z]+[0-9]*)(?:_i32|_i64)?\(")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def compile_library(
    sources: Sequence[tuple[str, str]],
    *,
    cc: str = "",
    cache_dir: str | os.PathLike = "",
    flags: Sequence[str] = (),
    objects: Sequence[Path] = (),
    warnings: bool = False,
) -> Path:
    """The shared library of `sources`, (file name, C text) pairs that may include the headers of kernels/.

    Each source is a translation unit. `flags` come after the toolchain's own; `objects` (of static_object) are linked
    in; `warnings` makes warnings errors (for tests). Raises CompileError.
    """
    chain = toolchain.find(cc)
    store = open_cache(cache_dir)
    linked = [str(o) for o in objects]
    key = key_of(chain, sources, (*flags, *(o.name for o in objects), *(toolchain.WARNINGS if warnings else ())))

    def make(target: Path) -> None:
        failed = store.directory / f"{REFUSED}{key[:16]}"
        toolchain.compile_to(chain, sources, target, failed, flags=(*flags, *linked), warnings=warnings)

    return store.fetch(key, make)


def compile_program(units: Sequence[tuple[str, str]], *, cc: str = "", cache_dir: str | os.PathLike = "") -> Path:
    """The library of a generated program: its units, with the parts of kernels/weft_library.h that they call linked in.

    A part is compiled once a machine; those that are missing, in parallel.
    """
    wanted = parts(text for _, text in units)
    flags = toolchain.program_flags(toolchain.find(cc))
    tries = TRIES
    while True:
        tries -= 1
        objects = toolchain.side_by_side(lambda part: static_object(part, cc=cc, cache_dir=cache_dir), wanted)
        try:
            return compile_library(units, cc=cc, cache_dir=cache_dir, flags=flags, objects=objects)
        except CompileError:
            if not tries or all(o.exists() for o in objects):
                raise  # else the cache was emptied before they were linked


def parts(texts: Iterable[str]) -> list[str]:
    """The parts of the library that C texts call: "base", or a family and a dtype, "products_f32"."""
    called = {match.groups() for text in texts for match in ROUTINE.finditer(text)}
    return ["base", *sorted({f"{FAMILIES[name]}_{dtype}" for name, dtype in called})]


def static_object(part: str, *, cc: str = "", cache_dir: str | os.PathLike = "") -> Path:
    """The object file of a part of the library, compiled once a machine and linked into the programs that call it."""
    chain = toolchain.find(cc)
    store = open_cache(cache_dir)
    if part == "base":
        source = ("weft_library.c", "#define WEFT_LIB_BASE\n" + (HEADERS / "weft_library.c").read_text())
    else:
        family, dtype = part.split("_")
        source = (f"weft_{part}.c", f'#include "weft_{family}.h"\nWEFT_LIB_OF_{dtype}(WEFT_LIB_{family.upper()})\n')

    def make(target: Path) -> None:
        toolchain.compile_object(chain, source, target, store.directory / f"{REFUSED}{part}")

    return store.fetch(key_of(chain, [source], ("object",)), make)


def process_library(*, cc: str = "", cache_dir: str | os.PathLike = "") -> Path:
    """The library that runtime.pool.load takes: the thread pool and the entry of calls."""
    return compile_library([(n, (HEADERS / n).read_text()) for n in SOURCES], cc=cc, cache_dir=cache_dir)


def key_of(chain: toolchain.Toolchain, sources: Sequence[tuple[str, str]], flags: Sequence[str] = ()) -> str:
    """SHA-256 of all that the library depends on."""
    total = hashlib.sha256()
    parts = [f"abi {CONSTANTS['WEFT_ABI']}", chain.identity, *flags]
    for name, text in sources:
        parts += [name, text]
    for name in sorted(included(text for _, text in sources)):
        parts += [name, (HEADERS / name).read_text()]
    for part in parts:
        data = part.encode()
        total.update(f"{len(data)}:".encode() + data)
    return total.hexdigest()


def included(texts) -> set[str]:
    """The files of kernels/ that C texts include, directly or through each other."""
    found: set[str] = set()
    todo = [name for text in texts for name in INCLUDE.findall(text)]
    while todo:
        name = todo.pop()
        if name not in found and (HEADERS / name).is_file():
            found.add(name)
            todo += INCLUDE.findall((HEADERS / name).read_text())
    return found
