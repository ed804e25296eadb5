"""Processes that compile are killed at random moments, and the cache that they leave is used.

    python tests/kill_cache.py --kills 1000 --seed 0

In each round entries go missing or are damaged, a process that compiles is killed (alone, or with the compiler that it
runs), then another process takes the same programs from what is there: its results have to be right, every entry has
to be what its name says, and nothing may be left over but the folders that were being filled.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

import weft
import weft.tensor as T
from weft.compiler.build.cache import DIGITS

NUMBERS = [1.5, 2.5, 3.5]  # a program for each


def compile_and_call() -> None:
    for n in NUMBERS:
        x = T.dvector("x")
        f = weft.function([x], [(x * n).sum(), x + n])
        total, moved = f(np.arange(4.0))
        assert total == 6 * n and (moved == np.arange(4.0) + n).all()


def child(body: Callable[[], None]) -> int:
    """A forked process that runs body, the head of a group of its own."""
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        body()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def entries(folder: Path) -> list[Path]:
    return sorted(p for d in folder.iterdir() if len(d.name) == 2 for p in d.iterdir())


def damage(path: Path, rng: random.Random) -> None:
    kind = rng.choice(["gone", "empty", "short", "other", "foreign"])
    data = path.read_bytes()
    path.unlink()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "short":
        path.write_bytes(data[: rng.randrange(1, len(data))])
    elif kind == "other":
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    elif kind == "foreign":
        path.write_bytes(b"\x7fELF" + rng.randbytes(1000))


def key(path: Path) -> str:
    return path.stem[:-DIGITS] + path.suffix


def wrong(folder: Path) -> list[str]:
    """Entries that are not what their names say."""
    out = []
    for p in entries(folder):
        if p.stem[-DIGITS:] != hashlib.sha256(p.read_bytes()).hexdigest()[:DIGITS]:
            out.append(p.name)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, help="the cache; a new one by default")
    args = parser.parse_args()
    folder = args.dir or Path(tempfile.mkdtemp(prefix="weft-kills-"))
    rng = random.Random(args.seed)
    weft.config.cache_dir = str(folder)
    x = T.dvector("x")
    weft.function([x], x - 1)  # what is compiled once a machine
    others = {key(p) for p in entries(folder)}  # these processes do not look at them again
    start = time.perf_counter()
    os.waitpid(child(compile_and_call), 0)
    longest = time.perf_counter() - start
    killed = survived = damaged = 0
    while killed < args.kills:
        for p in entries(folder):
            if rng.random() < 0.5 and key(p) not in others:
                damage(p, rng)
                damaged += 1
        pid = child(compile_and_call)
        time.sleep(rng.random() * longest)
        with contextlib.suppress(ProcessLookupError):
            (os.kill if rng.random() < 0.5 else os.killpg)(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
        survived += not os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
            print(f"after {killed} killed: a process failed (seed {args.seed})")
            return 1
        _, status = os.waitpid(child(compile_and_call), 0)
        if status or (bad := wrong(folder)):
            print(f"after {killed} killed: {'a later process failed' if status else f'damaged: {bad}'}")
            return 1
    right = len(entries(folder)) - len(others)
    print(f"{killed} killed, {survived} were faster; {damaged} entries were damaged; {right} are there, and right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
