"""Builds of one program: compilers and flags whose results have the same bits, and children that run programs so."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numerics_programs
import pytest

TESTS = Path(__file__).parent
THREADS = (1, 2, 3, 8)
PLAIN = "-fno-tree-vectorize -fno-tree-slp-vectorize"
# Last, so that they win over the toolchain's own; -march= of both compilers' vocabulary.
AVX512, AVX2, SSE4 = "-march=skylake-avx512 -mprefer-vector-width=512", "-march=haswell", "-march=nehalem"


@dataclass(frozen=True)
class Build:
    compiler: str  # gcc or clang
    flags: str = ""
    needs: str = ""  # of the CPU: flags in /proc/cpuinfo

    @property
    def missing(self) -> str:
        """Why this machine cannot run it."""
        if compiler(self.compiler) is None:
            return f"no {self.compiler}"
        lacks = set(self.needs.split()) - cpu_flags()
        return f"the CPU lacks {', '.join(sorted(lacks))}" if lacks else ""

    @property
    def command(self) -> str:
        """WEFT_CC: a shell that runs the compiler with the flags after all others."""
        if not self.flags:
            return compiler(self.compiler) or ""
        # The compiler itself runs without what a child preloads.
        return shlex.join(["sh", "-c", f'exec env -u LD_PRELOAD {compiler(self.compiler)} "$@" {self.flags}', "sh"])


FMA = "avx2 fma bmi2"
# Each class by name; the first build of it is what the others are compared with.
WITH_FMA = {
    "gcc": Build("gcc", "", "fma"),
    "gcc AVX2": Build("gcc", AVX2, FMA),
    "gcc AVX-512": Build("gcc", AVX512, "avx512f avx512bw avx512dq avx512vl"),
    "gcc AVX2, 128 bits": Build("gcc", f"{AVX2} -mprefer-vector-width=128", FMA),
    "gcc, no vectoriser": Build("gcc", PLAIN, "fma"),
    "gcc -O3": Build("gcc", "-O3", "fma"),
    "gcc -O1": Build("gcc", "-O1", "fma"),
    "clang": Build("clang", "", "fma"),
    "clang AVX2": Build("clang", AVX2, FMA),
    "clang, no vectoriser": Build("clang", "-fno-vectorize -fno-slp-vectorize", "fma"),
}
WITHOUT_FMA = {
    "gcc SSE4": Build("gcc", SSE4, "sse4_2"),
    "gcc AVX2 without fma": Build("gcc", f"{AVX2} -mno-fma", FMA),
    "gcc SSE2": Build("gcc", "-march=x86-64", "sse2"),
    "gcc SSE4, no vectoriser": Build("gcc", f"{SSE4} {PLAIN}", "sse4_2"),
    "clang SSE4": Build("clang", SSE4, "sse4_2"),
    "clang AVX2 without fma": Build("clang", f"{AVX2} -mno-fma", FMA),
}
BUILDS = {**WITH_FMA, **WITHOUT_FMA}


@cache
def compiler(name: str) -> str | None:
    """The command of gcc or clang (ziglang's where there is no other)."""
    if name == "clang" and shutil.which("clang") is None:
        return f"{shlex.quote(sys.executable)} -m ziglang cc" if importlib.util.find_spec("ziglang") else None
    found = shutil.which(name)
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    return found if name == "clang" or "clang" not in said.lower() else None


@cache
def cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(w for line in lines if line.startswith("flags") for w in line.split(":")[1].split())


def sample(count: int, seed: int = 0) -> list[str]:
    """Some programs, of every kind: the first word of a name is its kind."""
    names = list(numerics_programs.PROGRAMS)
    random.Random(seed).shuffle(names)
    kinds: dict[str, list[str]] = {}
    for n in names:
        kinds.setdefault(n.split()[0], []).append(n)
    chosen: list[str] = [group[0] for group in kinds.values()]
    return sorted({*chosen, *[n for n in names if n not in chosen][: count - len(chosen)]})


def run(build: Build, names: Sequence[str], threads: Sequence[int], **environment: str) -> dict[str, Any]:
    """The reports of numerics_run.py by name, for programs compiled so."""
    if build.missing:
        pytest.skip(build.missing)
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "WEFT_CC": build.command, **environment}
    command = [sys.executable, str(TESTS / "numerics_run.py"), "-", "--threads", *map(str, threads)]
    done = subprocess.run(command, input=json.dumps(list(names)), capture_output=True, text=True, env=env, check=False)
    found = {r["name"]: r for r in map(json.loads, done.stdout.splitlines())}
    stopped = next((n for n in names if n not in found), "the end")
    assert done.returncode == 0, f"{build}: stopped in {stopped!r}\n{done.stderr[-6000:]}"
    return found


def run_all(jobs: Sequence[tuple[Build, Sequence[str], Sequence[int]]], **environment: str) -> list[dict[str, Any]]:
    """Reports of several jobs, by two children at a time."""
    with ThreadPoolExecutor(2) as workers:
        return list(workers.map(lambda job: run(*job, **environment), jobs))


def halves(build: Build, names: Sequence[str], threads: Sequence[int], **environment: str) -> dict[str, Any]:
    """The reports of one build, by two children."""
    both = run_all([(build, names[0::2], threads), (build, names[1::2], threads)], **environment)
    return {**both[0], **both[1]}


def differences(want: dict[str, Any], found: dict[str, Any], what: str = "") -> list[str]:
    """Where reports differ: from the first thread count of the wanted ones, and a row alone from its batch."""
    out = []
    for name, r in found.items():
        bad = next((x for x in (r, want[name]) if "error" in x), None)
        if bad is not None:
            out.append(f"{name}{what}: {bad['error']}")
            continue
        reference = next(iter(want[name]["threads"].values()))
        for threads, calls in r["threads"].items():
            wrong = [
                f"call {c} output {o}"
                for c, (a, b) in enumerate(zip(reference, calls, strict=True))
                for o, (x, y) in enumerate(zip(a, b, strict=True))
                if x != y
            ]
            if wrong:
                out.append(f"{name}{what}, {threads} threads: {', '.join(wrong[:8])}")
        if r["rows"]:
            out.append(f"{name}{what}, a row alone: {'; '.join(r['rows'][:4])}")
    return out
