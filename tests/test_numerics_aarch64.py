"""Programs as C, built for another machine and run by its emulator: the bits of this machine's (docs/numerics.md).

AArch64 has a fused multiply-add, so its class is that of x86-64 with fma.
"""

from __future__ import annotations

import importlib.util
import platform
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numerics_builds as builds
import numerics_programs
import numerics_run
import numpy as np
import pytest
from numerics_programs import Program

import weft
from weft.compiler.build import toolchain
from weft.compiler.build.library import parts, static_object
from weft.runtime.abi import HEADERS
from weft.runtime.program import element_type

MAIN = Path(__file__).with_name("numerics_main.c")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
TARGET = f"{shlex.quote(sys.executable)} -m ziglang cc -target aarch64-linux-musl"
# The program called first has no function of the C library in it.
SAMPLE = ["reduce several in one loop", *(n for n in builds.sample(60, seed=2) if not n.startswith("training"))]
# What C libraries compute each in its own way; floor, fmod and the like are exact.
INEXACT = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh cbrt erf erfc "
)
INEXACT += "pow atan2 hypot sincos"

pytestmark = [
    pytest.mark.skipif(EMULATOR is None, reason="no qemu-aarch64"),
    pytest.mark.skipif(not importlib.util.find_spec("ziglang"), reason="no ziglang to compile for aarch64"),
    pytest.mark.skipif(
        platform.machine() in ("x86_64", "AMD64") and "fma" not in builds.cpu_flags(), reason="the CPU has no fma"
    ),
]


def packed(a: np.ndarray) -> bytes:
    a = np.ascontiguousarray(a).reshape(a.shape)
    return struct.pack(f"<{a.ndim + 2}q", a.ndim, *a.shape, a.nbytes) + a.tobytes()


def written(p: Program, f: Any) -> bytes:
    """The calls as numerics_main.c reads them."""
    manifest = f.executor.manifest
    inputs, outputs, states = [*manifest["inputs"], *manifest["constants"]], manifest["outputs"], f.storages
    numbers = [len(p.calls), len(inputs), len(states), len(outputs), manifest["segments"]]
    numbers += [n for o in outputs for n in (o["ndim"], element_type(o["dtype"]).itemsize)]
    arrays = [s.array() for s in states]
    for arguments in p.calls:
        typed = [np.asarray(a, element_type(i["dtype"])) for a, i in zip(arguments, inputs, strict=False)]
        arrays += [*typed, *f.executor.constants]
    return struct.pack(f"<{len(numbers)}q", *numbers) + b"".join(map(packed, arrays))


def read(p: Program, f: Any, data: bytes) -> list[list[np.ndarray]]:
    found, at = [], 0
    for _ in p.calls:
        results = []
        for o in f.executor.manifest["outputs"]:
            dtype = element_type(o["dtype"])
            shape = struct.unpack_from(f"<{o['ndim']}q", data, at)
            at += 8 * o["ndim"]
            count = int(np.prod(shape, dtype=np.int64))
            results.append(np.frombuffer(data, dtype, count, at).reshape(shape))
            at += count * dtype.itemsize
        found.append(results)
    assert at == len(data)
    return found


def from_the_c_library(objects: list[Path]) -> set[str]:
    """The inexact functions that objects call."""
    said = subprocess.run(["nm", "-u", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    names = {w for line in said.splitlines() for w in line.split() if w not in ("U", "w")}
    return names & {n + s for n in INEXACT.split() for s in ("", "f")}


def emulated(name: str, folder: Path) -> None:
    p = numerics_programs.PROGRAMS[name]()
    f = numerics_run.function_of(p)
    generated = f.stages.generated
    if generated.library or generated.hosts:
        pytest.skip("calls LAPACK or Python")
    chain = toolchain.find(TARGET)
    assert "-ffp-contract=off" in chain.flags and "-march=native" not in chain.flags
    objects = []
    for unit, text in generated.units:
        path, made = folder / unit, folder / f"{unit}.o"
        path.write_text(text)
        command = [*chain.command, *chain.flags, *toolchain.program_flags(chain), "-I", str(HEADERS), "-c"]
        subprocess.run([*command, str(path), "-o", str(made)], check=True, stderr=subprocess.PIPE)
        objects.append(made)
    if shutil.which("nm") is None or (called := from_the_c_library(objects)):
        pytest.skip(f"calls {', '.join(sorted(called))} of the C library")
    library = [
        static_object(part, cc=TARGET, cache_dir=weft.config.cache_dir) for part in parts(t for _, t in generated.units)
    ]
    linked = []
    for k, made in enumerate(library):  # the linker goes by the ending
        linked.append(folder / f"part{k}.o")
        shutil.copyfile(made, linked[-1])
    program = folder / "program"
    command = [*chain.command, *chain.flags, "-static", "-I", str(HEADERS), str(MAIN), str(HEADERS / "weft_pool.c")]
    subprocess.run(
        [*command, *map(str, objects), *map(str, linked), "-o", str(program), "-lm"], check=True, stderr=subprocess.PIPE
    )
    (folder / "calls").write_bytes(written(p, f))
    run = [EMULATOR, str(program), str(folder / "calls"), str(folder / "results")]
    done = subprocess.run(run, env={"WEFT_THREADS": "2"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    want, found = numerics_run.results(p, f), read(p, f, (folder / "results").read_bytes())
    for c, (ours, theirs) in enumerate(zip(want, found, strict=True)):
        for o, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert numerics_run.digest(a) == numerics_run.digest(b), f"call {c} output {o}"


def test_one(tmp_path: Path) -> None:
    emulated(SAMPLE[0], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE[1:])
def test_emulated(name: str, tmp_path: Path) -> None:
    emulated(name, tmp_path)


def test_a_difference_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another order of sums in what is emulated: WEFT_BLOCK of half its length."""
    whole = numerics_run.function_of

    def planted(p: Program) -> Any:
        f = whole(p)
        f.stages.generated = f.stages.generated._replace(
            units=[(n, t.replace("WEFT_BLOCK", "(WEFT_BLOCK / 2)")) for n, t in f.stages.generated.units]
        )
        return f

    monkeypatch.setattr(numerics_run, "function_of", planted)
    with pytest.raises(AssertionError, match="call"):
        emulated(SAMPLE[0], tmp_path)
