"""The cache of compiled programs: where it is and what it holds, or all of it removed.

example:
  weft cache info
  weft cache info --json
  weft cache clear

A program that is removed is compiled again when it is declared.
WEFT_CACHE_DIR names another folder.
"""

from __future__ import annotations

import argparse
import json

from ..compiler.build.cache import open_cache, prepared
from ..compiler.graph.config import config
from ..runtime.errors import WeftError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("info", "clear"), help="what it holds, or remove it")
    parser.add_argument("--json", action="store_true", help="as a JSON object")


def run(options: argparse.Namespace) -> int:
    path, why = prepared(config.cache_dir)
    if why:
        raise WeftError(f"the cache's folder {path} cannot be used: {why}")
    cache = open_cache(config.cache_dir)
    if options.what == "clear":
        files, size = cache.clear()
        done = {"folder": str(cache.directory), "removed": files, "bytes": size}
        print(
            json.dumps(done) if options.json else f"{files:,} files, {megabytes(size)} removed from {cache.directory}"
        )
        return 0
    kinds = cache.contents()
    total = sum(size for _, size in kinds.values())
    if options.json:
        print(json.dumps({
            "folder": str(cache.directory), "bytes": total, "limit": cache.cap,
            "kinds": {k: {"files": n, "bytes": size} for k, (n, size) in kinds.items()},
        }))  # fmt: skip
        return 0
    print(f"folder  {cache.directory}")
    print(f"size    {megabytes(total)} of at most {megabytes(cache.cap)}")
    for kind, (n, size) in sorted(kinds.items()):
        print(f"{n:6,}  {WHAT.get(kind, kind)}, {megabytes(size)}")
    return 0


WHAT = {
    ".so": "compiled libraries", ".program": "programs that are known by what was declared",
    ".json": "notes on compilers", ".limits": "measured speeds of this machine, for profiles", ".o": "objects",
    "failed": "folders of what a compiler refused or a crash left",
}  # fmt: skip


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
