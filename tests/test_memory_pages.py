"""Pages: large blocks are asked for on huge pages, and memory that is used again takes no faults.

Whether the system grants huge pages is its own affair: looked at are the wish that stands in /proc/self/smaps ("hg")
and the alignment that granting it takes; and the faults of calls whose memory is there already, which no setting
changes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import Out
from weft.runtime import pool
from weft.runtime.abi import ffi

x = T.fvector("x")
HUGE = 2 << 20
NONE = 16  # faults of Python's own at most; 64 MiB take 32, were all pages huge
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="no /proc")


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def taken(f: Any, *args: Any) -> int:
    f(*args)
    before = faults()
    f(*args)
    return faults() - before


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return np.ones((64 << 20) // 4, np.float32)


def flags(address: int) -> set[str]:
    """VmFlags of the mapping that an address lies in."""
    inside = False
    with open("/proc/self/smaps") as f:
        for line in f:
            head = line.split()[0]
            if "-" in head and not head.endswith(":"):
                start, end = (int(v, 16) for v in head.split("-"))
                inside = start <= address < end
            elif inside and head == "VmFlags:":
                return set(line.split()[1:])
    return set()


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def wished(at: int) -> None:
    assert at % HUGE == 0
    if os.path.exists("/sys/kernel/mm/transparent_hugepage"):
        assert "hg" in flags(at + HUGE // 2)


def test_large_updates_and_arenas_wish_for_huge_pages(large: np.ndarray) -> None:
    y = T.sort(x)
    w = weft.shared(np.zeros(1, np.float32))
    f = weft.function([x], [y, T.cumsum(y) / y.max()], updates=[(w, T.sqrt(y))])
    a, b = f(large)
    assert address(a) % HUGE == address(b) % HUGE == 0
    frame = f.executor._frames[0].c.call
    sizes = {k: frame.segments[k].capacity for k in range(2)}
    assert sizes[0] > HUGE
    wished(int(ffi.cast("uintptr_t", frame.segments[0].base)))
    wished(address(w.container.array()))


class Memory:
    """The allocator of outputs, for itself: a process has one, whose state is what went before."""

    def __init__(self, folder: Path, dear: int):
        self.c = ctypes.CDLL(str(folder / f"{dear}.so"))
        self.c.weft_memory.restype = ctypes.c_void_p
        self.c.weft_memory.argtypes = (ctypes.c_int64, ctypes.c_void_p)
        self.c.weft_recycle.argtypes = (ctypes.c_void_p,)

    def new(self, count: int, used: int = 0) -> list[str]:
        """Of `count` blocks, all of them kept, whether each is to lie on huge pages or on small ones; in front of them
        one that is used again `used` times."""
        size = ctypes.c_int64()
        for _ in range(used + 1 if used else 0):
            self.c.weft_recycle(self.c.weft_memory(16 * HUGE, ctypes.byref(size)))
        held = [self.c.weft_memory(3 * HUGE, ctypes.byref(size)) for _ in range(count)]
        assert all(held) and len(set(held)) == count and size.value == 3 * HUGE
        return ["huge" if "hg" in (f := flags(h + 2 * HUGE)) else "small" if "nh" in f else "neither" for h in held]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where huge pages are always dear, and never."""
    if not os.path.exists("/sys/kernel/mm/transparent_hugepage"):
        pytest.skip("the system has no huge pages")
    folder = tmp_path_factory.mktemp("memory")
    kernels = Path(weft.runtime.pool.__file__).parents[1] / "kernels"
    for dear in (0, 2**62):
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-shared", "-fPIC", f"-DWEFT_DEAR={dear}"]
        sources = [str(kernels / name) for name in ("weft_run.c", "weft_pool.c")]
        subprocess.run([*command, *sources, "-o", str(folder / f"{dear}.so"), "-lpthread", "-lm"], check=True)
    return folder


def test_cheap_huge_pages_are_always_wished_for(builds: Path) -> None:
    assert Memory(builds, 2**62).new(50) == 50 * ["huge"]


def test_dear_huge_pages_are_for_blocks_that_are_used_again(builds: Path) -> None:
    memory = Memory(builds, 0)
    assert memory.new(20) == 4 * ["huge"] + 16 * ["small"]
    # A trial now and then: only the page that it touches is a huge one.
    assert memory.new(30) == 30 * ["small"]
    # A function whose results are dropped gets huge pages again.
    assert memory.new(3, used=100) == 3 * ["huge"]


def test_memory_that_is_used_again_takes_no_faults(large: np.ndarray) -> None:
    fresh = weft.function([x], x * 2)
    fresh(large[:10])
    pool.library().weft_trim()
    before = faults()
    out = fresh(large)
    once = faults() - before
    assert once >= (64 << 20) // HUGE, "where it is fresh each page is one, huge or not"
    del out
    assert taken(fresh, large) < NONE
    assert taken(weft.function([x], T.sort(x)), large) < NONE, "nor does the arena"
    own, kept = weft.function([x], Out(x * 2, borrow=True)), []
    own(large)
    before = faults()
    for _ in range(4):
        kept.append(own(large))
    assert faults() - before < NONE and kept


def test_updates_take_no_faults(large: np.ndarray) -> None:
    for rule in (lambda w: w + x, lambda w: w[::-1] + x):
        w = weft.shared(large)
        f = weft.function([x], None, updates=[(w, rule(w))])
        f(large)
        assert taken(f, large) < NONE


def test_blocks_that_wait_are_given_back_where_memory_runs_out() -> None:
    code = """
import resource
import numpy as np
import weft, weft.tensor as T
x = T.dvector("x")
f = weft.function([x], x * 2)
for n in (6_000_000, 10_000_000, 14_000_000):
    f(np.ones(n))
a = np.ones(20_000_000)
f(np.ones(3))
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 100_000_000,) * 2)
assert f(a)[-1] == 2
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
