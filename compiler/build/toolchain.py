"""The C compiler: which one, its version and flags, the CPU it compiles for; sources to a shared library."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from ...runtime.abi import HEADERS
from ...runtime.errors import CompileError
from .cache import Cache

CANDIDATES = ("cc", "gcc", "clang")
# The meaning of generated code rests on these: see docs/numerics.md. A compiler that lacks one is refused.
REQUIRED = ("-std=gnu11", "-O3", "-fwrapv", "-ffp-contract=off", "-fPIC")
# These are for speed; each is used where the compiler takes it.
# The widest moves: lanes are filled by them and read again as vectors, which must not have to wait for two halves.
OPTIONAL = (
    "-march=native", "-mprefer-vector-width=512", "-mmove-max=512", "-mstore-max=512", "-fno-math-errno",
    "-fno-trapping-math",
)  # fmt: skip
# Generated programs: -O2 with the whole vectorizer. What else -O3 adds is no gain for these loops, and a loss where it
# unrolls before it vectorises (a sum of rows of two concatenated matrices took 57 us, 136 at -O3: gcc 12.2, AVX-512).
# They are right at -O3 as well, as exported C may be built: see codegen/c_loops.ROLLED.
PROGRAM = ("-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
LIBRARIES = ("-lm", "-lpthread")
COMPILER = re.compile(r"(^|-)(gcc|clang)(-[\d.]+)?$")  # names of files that are compilers themselves
NOTES = ".json"
A = TypeVar("A")
B = TypeVar("B")
FULL = os.strerror(errno.ENOSPC)
# How files of machine code begin: ELF, Mach-O, and what clang keeps for the linker's optimisation.
BINARY = frozenset(
    bytes.fromhex(b) for b in ("7f454c46", "cffaedfe", "cefaedfe", "feedfacf", "feedface", "cafebabe", "4243c0de")
)
INSTALL = (
    "Install one (Debian, Ubuntu: apt install gcc; Fedora: dnf install gcc; macOS: xcode-select --install), or name "
    "one with the environment variable WEFT_CC or weft.config.cc"
)


@dataclass(frozen=True)
class Toolchain:
    """A C compiler that has compiled something, with the flags it took."""

    command: tuple[str, ...]
    version: str
    cpu: str
    flags: tuple[str, ...]
    program: tuple[str, ...]  # those of PROGRAM

    @property
    def identity(self) -> str:
        """All that a library depends on beside its sources. A path need not be UTF-8; keys are of text that is."""
        text = "\n".join((*self.command, self.version, self.cpu, *self.flags, *LIBRARIES, c_library()))
        return text.encode(errors="backslashreplace").decode()


_found: dict[tuple[str, str], Toolchain] = {}


def find(cc: str = "", notes: Cache | None = None) -> Toolchain:
    """The compiler that `cc` (a command, perhaps with arguments) names, or the first of CANDIDATES on PATH.

    What a compiler said of itself is written to `notes`, so that later processes need not ask it again.
    """
    key = (cc.strip(), os.environ.get("PATH", ""))
    if key not in _found:
        _found[key] = _find(*key, notes)
    return _found[key]


def program_flags(toolchain: Toolchain) -> tuple[str, ...]:
    """The optimisation of generated programs, as far as the compiler knows it."""
    return toolchain.program


def _find(cc: str, path: str, notes: Cache | None) -> Toolchain:
    if cc:
        try:
            command = shlex.split(cc)
        except ValueError as e:
            raise CompileError(f"the C compiler's command {cc!r} cannot be read: {e}. {INSTALL}") from None
        if shutil.which(command[0], path=path) is None:
            raise CompileError(f"the C compiler {command[0]!r} (WEFT_CC or weft.config.cc) was not found. {INSTALL}")
        return _recall(tuple(command), path, notes)
    tried = []
    for name in CANDIDATES:
        if (found := shutil.which(name, path=path)) is None:
            tried.append(f"{name}: not on PATH")
            continue
        try:
            return _recall((found,), path, notes)
        except CompileError as e:
            tried.append(f"{found}: {e}")
    raise CompileError("no C compiler was found. Tried " + "; ".join(tried) + f". {INSTALL}")


def _recall(command: tuple[str, ...], path: str, notes: Cache | None) -> Toolchain:
    """What is noted of a compiler whose file has not changed since, or what it says now."""
    stamp = _stamp(command, path)
    if notes is not None and stamp:
        with contextlib.suppress(OSError, ValueError, KeyError):
            noted = notes.find(stamp, NOTES)
            if noted is not None:
                told = json.loads(noted.read_text())
                return Toolchain(command, told["version"], cpu_identity(), tuple(told["flags"]), tuple(told["program"]))
    chain = _probe(command)
    if notes is not None and stamp:
        text = json.dumps({"version": chain.version, "flags": chain.flags, "program": chain.program})
        with contextlib.suppress(OSError):
            notes.fetch(stamp, lambda target: target.write_text(text), NOTES)
    return chain


def _stamp(command: tuple[str, ...], path: str) -> str:
    """A name for the file of a compiler; "" where another program may stand between it and us (a script, ccache)."""
    found = shutil.which(command[0], path=path)
    if len(command) > 1 or found is None:
        return ""
    try:
        real = os.path.realpath(found)
        info = os.stat(real)
        with open(real, "rb") as f:
            if f.read(2) == b"#!" or not COMPILER.search(os.path.basename(real)):
                return ""
    except OSError:
        return ""
    parts = (command, real, info.st_size, info.st_mtime_ns, info.st_ino, REQUIRED, OPTIONAL, PROGRAM)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _probe(command: tuple[str, ...]) -> Toolchain:
    version = _run([*command, "--version"])
    if version.returncode:
        raise CompileError(f"`{shlex.join([*command, '--version'])}` failed:\n{_said(version)}")
    flags: tuple[str, ...] = REQUIRED + OPTIONAL
    if _takes(command, flags).returncode:
        refused = _takes(command, REQUIRED)
        if refused.returncode:
            raise CompileError(f"{shlex.join(command)} cannot compile weft's C:\n{_said(refused)}")
        flags = REQUIRED + tuple(f for f in OPTIONAL if _takes(command, (*REQUIRED, f)).returncode == 0)
    program: tuple[str, ...] = PROGRAM
    if _takes(command, (*REQUIRED, *PROGRAM)).returncode:  # most take all: one run of the compiler, not one a flag
        program = tuple(f for f in PROGRAM if _takes(command, (*REQUIRED, f)).returncode == 0)
    return Toolchain(command, version.stdout.strip(), cpu_identity(), flags, program)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    killed = f"  it was killed by signal {-done.returncode}" if done.returncode < 0 else ""
    return "\n".join(filter(None, [_first_lines(done.stdout), killed]))


def _takes(command: tuple[str, ...], flags: Sequence[str]) -> subprocess.CompletedProcess[str]:
    text = "#include <stdint.h>\n#include <stdlib.h>\n#include <math.h>\nint weft_probe;\n"
    # What clang calls unused may be of its driver's making (zig adds -c); a flag that it does not know is an error.
    quiet = ("-Werror", "-Wno-unused-command-line-argument")
    with tempfile.TemporaryDirectory(prefix="weft-probe-") as folder:
        path = os.path.join(folder, "probe.o")
        return _made(_run([*command, *flags, *quiet, "-c", "-x", "c", "-", "-o", path], text), path)


def _made(done: subprocess.CompletedProcess[str], path: str) -> subprocess.CompletedProcess[str]:
    """A run that says it went well, and made no file, or none of machine code, did not."""
    if not done.returncode:
        try:
            with open(path, "rb") as f:
                start = f.read(4)
            what = "" if start in BINARY else "what it wrote is no machine code"
        except FileNotFoundError:
            what = "it wrote no file"
        if what:
            done.returncode, done.stdout = 1, done.stdout + f"no error, but {what}\n"
    return done


def _run(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, "LC_ALL": "C"}, check=False,
        )  # fmt: skip
    except OSError as e:
        raise CompileError(f"`{shlex.join(command)}` could not be started: {e}") from e


@cache
def c_library() -> str:
    """The C library of this process where it has a version: what was linked with a newer one does not load."""
    name = "CS_GNU_LIBC_VERSION"
    return os.confstr(name) or "" if name in getattr(os, "confstr_names", ()) else ""


def cpu_identity() -> str:
    """What -march=native depends on: the model and its features, hashed where they are long."""
    parts = [platform.system(), platform.machine()]
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
        lines = [line for line in first.splitlines() if line.startswith(wanted)]
        parts.append(hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest())
    except OSError:
        if platform.system() == "Darwin":
            parts.append(_run(["sysctl", "-n", "machdep.cpu.brand_string"]).stdout.strip())
        parts.append(platform.processor())
    return " ".join(parts)


def processors() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(f: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """f of each, on as many threads as there are processors; on this one alone where no other can be started: the
    process ends (`atexit`), or may have no more."""
    if len(items) == 1:
        return [f(items[0])]
    results: Iterable[B]
    workers, wait = None, True
    try:
        try:
            from concurrent.futures import ThreadPoolExecutor  # even this is refused then

            workers = ThreadPoolExecutor(min(processors(), len(items)))
            results = workers.map(f, items)  # errors of f are raised below
        except RuntimeError:
            results = map(f, items)
        return list(results)
    except KeyboardInterrupt:
        wait = False  # what runs ends by itself; nothing else is begun
        raise
    finally:
        if workers is not None:
            workers.shutdown(wait, cancel_futures=not wait)


def compile_to(
    toolchain: Toolchain,
    sources: Sequence[tuple[str, str]],
    target: Path,
    failed: Path,
    *,
    flags: Sequence[str] = (),
    warnings: bool = False,
) -> None:
    """Compiles (name, text) pairs, each a translation unit, in parallel and links them into `target`.

    They are written beside `target`. What the compiler refuses is kept in the folder `failed`, so that it can be read,
    and CompileError says where it lies. `warnings` makes warnings errors.
    """
    common = [*toolchain.command, *toolchain.flags, *(WARNINGS if warnings else ()), *flags, "-I", str(HEADERS)]
    paths = []
    for name, text in sources:
        paths.append(target.parent / name)
        paths[-1].write_text(text)
    if len(paths) == 1:
        link = [*common, "-shared", str(paths[0]), "-o", str(target), *LIBRARIES]
    else:
        objects = [p.with_suffix(".o") for p in paths]
        jobs = [([*common, "-c", str(p), "-o", str(o)], p) for p, o in zip(paths, objects, strict=True)]
        for (command, path), done in zip(jobs, side_by_side(lambda job: _compile(job[0]), jobs), strict=True):
            _check(toolchain, done, command, [path], failed)
        link = [*common, "-shared", *map(str, objects), "-o", str(target), *LIBRARIES]
    _check(toolchain, _compile(link), link, paths, failed)


def compile_object(toolchain: Toolchain, source: tuple[str, str], target: Path, failed: Path) -> None:
    """Compiles a (name, text) translation unit to the object file `target`, its functions in sections of their own."""
    path = target.parent / source[0]
    path.write_text(source[1])
    command = [
        *toolchain.command,
        *toolchain.flags,
        "-ffunction-sections",
        "-I",
        str(HEADERS),
        "-c",
        str(path),
        "-o",
        str(target),
    ]
    _check(toolchain, _compile(command), command, [path], failed)


def _compile(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs the compiler; where it breaks down (GCC 12.2 at minima of bytes in wide vectors), again without vectors.

    The results have the same bits: the order of every sum stands in the text, and nothing is contracted.
    """
    done = _run(command)
    if done.returncode and "internal compiler error" in done.stdout:
        done = _run([*command, "-fno-tree-vectorize"])
    return _made(done, command[command.index("-o") + 1])


def _check(
    toolchain: Toolchain, done: subprocess.CompletedProcess[str], command: list[str], paths: list[Path], failed: Path
) -> None:
    if done.returncode == 0:
        return
    if FULL in done.stdout:
        raise OSError(errno.ENOSPC, FULL, str(paths[0].parent))
    failed.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = [failed / p.name for p in paths]
    for p, k in zip(paths, kept, strict=True):
        shutil.copyfile(p, k)
    text = shlex.join(command)
    output = done.stdout
    for p, k in zip(paths, kept, strict=True):
        text, output = text.replace(str(p), str(k)), output.replace(str(p), str(k))
    version = next(iter(toolchain.version.splitlines()), toolchain.command[0])
    how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else "refused a generated program"
    raise CompileError(
        f"the C compiler ({version}) {how}:\n{_first_lines(output)}\n"
        f"command: {text}\nsource: {', '.join(map(str, kept))}"
    )


def _first_lines(output: str, count: int = 12) -> str:
    """The first lines from the first error on; what comes before it are notes and warnings."""
    lines = output.splitlines()
    start = next((k for k, line in enumerate(lines) if "error" in line.lower()), 0)
    shown = lines[start : start + count]
    if len(lines) > start + count:
        shown.append(f"... {len(lines) - start - count} more lines")
    return "\n".join("  " + line for line in shown)
