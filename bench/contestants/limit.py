"""The hand-tuned loops of limits/, compiled by cc for this machine. Arrays are bound ahead: loops alone are timed."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import re
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from cases import Run, aligned

HERE = Path(__file__).resolve().parents[1]
KERNELS = HERE.parent / "kernels"
SOURCES = sorted((HERE / "limits").glob("*.c"))
FLAGS = (
    "-std=gnu11", "-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=fast", "-fvisibility=hidden", "-shared", "-fPIC",
)  # fmt: skip
ENTRY = re.compile(r"^FULL (\w+ limit_\w+\([^)]*\)) \{", re.MULTILINE)

HUGE = 1 << 21  # bytes of a huge page

_library = _ffi = None


def library() -> Path:
    """Built once for these sources, this compiler and this machine's CPU."""
    compiler = os.environ.get("CC", "cc")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    cpu = Path("/proc/cpuinfo").read_text().split("\n\n")[0] if Path("/proc/cpuinfo").exists() else ""
    cpu = "".join(line for line in cpu.splitlines() if line.startswith(("model", "flags", "Features")))
    read = [*SOURCES, HERE / "limits" / "limits.h", *sorted(KERNELS.glob("*.[hc]"))]
    parts = [version, cpu, *FLAGS, *(p.read_text() for p in read)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"weft-limits-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if (made := folder / f"{key}.so").exists():
        return made
    new = folder / f"{key}.{os.getpid()}"
    sources = map(str, [*SOURCES, KERNELS / "weft_pool.c"])
    subprocess.run([compiler, *FLAGS, "-I", str(KERNELS), *sources, "-o", str(new), "-lpthread", "-lm"], check=True)
    return new.replace(made)


def setup(variant: str, threads: int) -> str:
    global _library, _ffi
    import cffi

    _ffi = cffi.FFI()
    for source in SOURCES:
        for entry in ENTRY.findall(source.read_text()):
            _ffi.cdef(entry + ";")
    _library = _ffi.dlopen(str(library()))
    return " ".join(FLAGS)


def _at(a: np.ndarray):
    return _ffi.cast("float *", a.ctypes.data)


def _pages(shape, huge: bool) -> np.ndarray:
    """New memory, on huge pages or on small ones."""
    n = max(int(np.prod(shape)), 1)
    memory = mmap.mmap(-1, 4 * n + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a system without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    floats = np.frombuffer(memory, np.float32)
    start = -floats.ctypes.data % HUGE // 4
    return floats[start : start + n].reshape(shape)


def _run(f, sizes, given, shapes) -> Run:
    """Into the same arrays, or into new ones, which are on huge pages in every second call: they take half the time,
    or longer where the system has to look for them. The fastest call is on what is better."""
    held = list(given)
    bound = (*sizes, *map(_at, held))
    outs = [aligned(s) for s in shapes]
    to = [_at(a) for a in outs]

    def into(held=held):  # which keeps what is bound
        f(*bound, *to)
        return outs

    kinds = itertools.cycle((True, False))

    def call():
        huge = next(kinds)
        new = [_pages(s, huge) for s in shapes]
        f(*bound, *map(_at, new))
        return new

    return Run(call, into=into)


def chain(data) -> Run:
    x, y = data.values()
    return _run(_library.limit_chain, [len(x)], [x, y], [x.shape])


def black_scholes(data) -> Run:
    n = len(data["spot"])
    return _run(_library.limit_black_scholes, [n], data.values(), [n, n])


def softmax(data) -> Run:
    x = data["x"]
    return _run(_library.limit_softmax, x.shape, [x], [x.shape])


def layernorm_gelu(data) -> Run:
    return _run(_library.limit_layernorm_gelu, data["x"].shape, data.values(), [data["x"].shape])


def distances(data) -> Run:
    x, y = data["x"], data["y"]
    return _run(_library.limit_distances, (len(x), len(y), x.shape[1]), [x, y], [(len(x), len(y))])


def adam(data) -> Run:
    g = data["g"]
    p, m, v = (aligned(g.shape) for _ in range(3))
    p[...], m[...], v[...] = data["p"], 0, 0
    bound = [_at(a) for a in (p, m, v, g)]
    count = 0

    def call():
        nonlocal count
        count += 1
        _library.limit_adam(len(g), count, *bound)

    return Run(call, lambda: [p, m, v])
