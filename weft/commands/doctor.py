"""What weft finds on this machine, and for what is missing the command that brings it.

example:
  weft doctor
  weft doctor --json

The exit status is 1 where something is missing that functions cannot be
compiled without.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import __version__

FEATURES = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16",
    "asimd", "sve", "sve2", "v",
)  # fmt: skip
# package -> (what it is for, what pip installs it by, whether weft runs without)
PACKAGES = {
    "numpy": ("arrays", "numpy", False),
    "cffi": ("calls into compiled programs", "cffi", False),
    "networkx": ("orders of graphs", "networkx", False),
    "scipy": ("weft.minimize, linear algebra", "weft[linalg]", True),
    "ml_dtypes": ("bfloat16 arrays", "weft[types]", True),
    "scikit-learn": ("data sets of weft train", "weft[demo]", True),
    "safetensors": ("checkpoints, weft train", "weft[demo]", True),
    "rich": ("tables and bars of weft train", "weft[demo]", True),
    "matplotlib": ("pictures of weft train", "weft[demo]", True),
}


@dataclass(frozen=True)
class Finding:
    """A line: ok is None for what is only told; `fix` is a command, or what to do."""

    group: str
    name: str
    value: str
    ok: bool | None = None
    needed: bool = False
    fix: str = ""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="a JSON list of what was found")


def run(options: argparse.Namespace) -> int:
    found = list(examine())
    missing = [f for f in found if f.needed and f.ok is False]
    if options.json:
        print(json.dumps([asdict(f) for f in found], indent=2))
    else:
        show(found)
    return 1 if missing else 0


def show(found: list[Finding]) -> None:
    group, width = "", max(len(f.name) for f in found)
    for f in found:
        if f.group != group:
            group = f.group
            print(group)
        mark = {True: "ok", False: "MISSING" if f.needed else "-", None: ""}[f.ok]
        print(f"  {f.name:{width}}  {mark:7}  {f.value}".rstrip())
        if f.fix:
            print(f"  {'':{width}}           {f.fix}")
    missing = [f.name for f in found if f.needed and f.ok is False]
    print(f"not ready: {', '.join(missing)}" if missing else "ready: functions compile and run here")


def examine() -> Iterator[Finding]:
    """All findings. A check that fails itself is a finding, not an error."""
    for group, check in CHECKS:
        try:
            yield from check()
        except Exception as e:
            yield Finding(group, "check", f"could not be made: {type(e).__name__}: {first_line(e)}", False)


def python() -> Iterator[Finding]:
    fits = sys.version_info >= (3, 11)
    yield Finding(
        "Python", "python", f"{platform.python_version()}, {sys.executable}", fits, True,
        "" if fits else "install Python 3.11 or later",
    )  # fmt: skip
    yield Finding("Python", "weft", f"{__version__}, {Path(__file__).resolve().parents[1]}", True)
    for name, (what, bringer, optional) in PACKAGES.items():
        try:
            yield Finding("Python", name, importlib.metadata.version(name), True, not optional)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("Python", name, f"not installed: {what}", False, not optional, pip(bringer))


def pip(what: str) -> str:
    """The command that installs it for the Python that runs here, which a `pip` on PATH need not belong to."""
    program = shutil.which("pip")
    own = program is not None and os.path.dirname(program) == os.path.dirname(sys.executable)
    name, bracket, extra = what.partition("[")
    if name == "weft" and not list(importlib.metadata.distributions(name="weft")):  # of a source tree on PYTHONPATH
        what = f"{Path(__file__).resolve().parents[2]}{bracket}{extra}"
    return f"{'pip' if own else shlex.join([sys.executable, '-m', 'pip'])} install {shlex.quote(what)}"


def compilers() -> Iterator[Finding]:
    from ..compiler.build import toolchain
    from ..compiler.graph.config import config

    group = "C compiler"
    for name in toolchain.CANDIDATES:
        path = shutil.which(name)
        said = f"{path}: {version_of([path])}" if path else "not on PATH"
        fix = package("clang") if name == "clang" and path is None else ""
        yield Finding(group, name, said, path is not None, False, fix)
    if config.cc:
        yield Finding(group, "named", f"{config.cc} (WEFT_CC or weft.config.cc)")
    try:
        chain = toolchain.find(config.cc)
    except Exception as e:
        found = next((c for c in toolchain.CANDIDATES if shutil.which(c)), None)
        fix = f"unset WEFT_CC   ({found} is there)" if config.cc and found else install_command()
        yield Finding(group, "chosen", first_line(e), False, True, fix)
        return
    yield Finding(group, "chosen", shlex.join(chain.command), True, True)
    yield Finding(group, "flags", " ".join(chain.flags))


def install_command() -> str:
    """For this system; toolchain.INSTALL lists them all."""
    if sys.platform == "darwin":
        return "xcode-select --install"
    found = package("gcc", apk="gcc musl-dev") or "install gcc or clang"
    return f"{found}   (or name a compiler: WEFT_CC=/path/to/compiler)"


def package(name: str, **others: str) -> str:
    """The command that installs a package of the system ("" where none is known); `others`: names by the manager."""
    managers = {
        "apt": "apt install", "dnf": "dnf install", "apk": "apk add", "pacman": "pacman -S", "zypper": "zypper install",
        "brew": "brew install",
    }  # fmt: skip
    found = next((m for m in managers if shutil.which(m)), None)
    return f"{managers[found]} {others.get(found, name)}" if found else ""


def machine() -> Iterator[Finding]:
    from ..compiler.build import toolchain

    model, features = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = dict(
            (k.strip(), v.strip()) for k, _, v in (line.partition(":") for line in info.read_text().splitlines()) if v
        )
        model = lines.get("model name", model)
        flags = lines.get("flags", lines.get("Features", "")).split()
        features = " ".join(f for f in FEATURES if f in flags)
    yield Finding("Machine", "system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Finding("Machine", "processor", model)
    yield Finding("Machine", "features", features or "not known here")
    yield Finding("Machine", "processors", f"{toolchain.processors()} that this process may use, of {os.cpu_count()}")
    named = [f"{v}={os.environ[v]}" for v in ("WEFT_THREADS", "OMP_NUM_THREADS") if v in os.environ]
    yield Finding("Machine", "threads", ", ".join(named) or "as many as processors (WEFT_THREADS changes it)")


def products() -> Iterator[Finding]:
    from ..compiler.graph.config import config

    yield Finding("BLAS", "products", f"{config.blas} (WEFT_BLAS: own or openblas)")
    try:
        version = importlib.metadata.version("scipy-openblas32")
        yield Finding("BLAS", "openblas", version, True, config.blas == "openblas")
    except importlib.metadata.PackageNotFoundError:
        wanted = config.blas == "openblas"
        yield Finding("BLAS", "openblas", "not installed", False, wanted, pip("weft[openblas]"))


def cache() -> Iterator[Finding]:
    from ..compiler.build.cache import Cache, prepared
    from ..compiler.graph.config import config

    path, why = prepared(config.cache_dir)
    said = str(path)
    if path.is_dir():
        size = sum(size for _, size in Cache(path).contents().values())
        said += f": {size / 1e6:,.1f} MB, {shutil.disk_usage(path).free / 1e9:,.1f} GB free"
    fix = "name a folder that you alone may write to: export WEFT_CACHE_DIR=/path/to/folder" if why else ""
    yield Finding("Cache", "folder", f"{said}; it cannot be used: {why}" if why else said, not why, False, fix)


def trial() -> Iterator[Finding]:
    """A function from its declaration to its result."""
    import warnings

    try:
        import numpy as np

        from .. import tensor as T
        from ..compiler.graph.function import function
        from ..runtime.pool import threads

        start = time.perf_counter()
        x = T.dmatrix("x")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the cache: it has a line of its own
            f = function([x], T.dot(x, x.T).sum() + T.tanh(x).sum(), mode="compile")
        value = np.arange(6.0).reshape(2, 3)
        right = np.allclose(f(value), (value @ value.T).sum() + np.tanh(value).sum())
        took = time.perf_counter() - start
    except Exception as e:
        yield Finding("Trial", "function", f"does not compile: {first_line(e)}", False, True)
        return
    said = f"compiles and runs, {took:.2f} s, {threads()} threads" if right else "gives a wrong result"
    yield Finding("Trial", "function", said, right, True)


def gpu() -> Iterator[Finding]:
    from ..compiler.build import nvrtc

    yield Finding("GPU", "device", *device())
    path = shutil.which("nvcc")
    said = f"{path}: {version_of([path], -1)}" if path else "not on PATH"
    fix = "" if path else package("nvidia-cuda-toolkit", pacman="cuda", dnf="cuda-toolkit")
    yield Finding("GPU", "nvcc", said, path is not None, False, fix)
    try:
        major, minor = nvrtc.version()
        yield Finding("GPU", "nvrtc", f"{major}.{minor}", True)
    except Exception:
        yield Finding("GPU", "nvrtc", "not found", False, False, pip("weft[nvrtc]"))
    try:
        yield Finding("GPU", "pycuda", importlib.metadata.version("pycuda"), True)
    except importlib.metadata.PackageNotFoundError:
        yield Finding("GPU", "pycuda", "not installed", False, False, pip("weft[cuda]"))


def device() -> tuple[str, bool]:
    """What the driver says, if there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver (libcuda.so.1)", False
    if code := driver.cuInit(0):
        return f"the NVIDIA driver does not start (cuInit: {code})", False
    count, name, handle = ctypes.c_int(), ctypes.create_string_buffer(100), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for k in range(count.value):
        if driver.cuDeviceGet(ctypes.byref(handle), k) == 0 and driver.cuDeviceGetName(name, 100, handle) == 0:
            names.append(name.value.decode(errors="replace"))
    return ", ".join(names) or "the NVIDIA driver knows no device", bool(names)


def version_of(command: list[str | None], line: int = 0) -> str:
    """A line of what `--version` prints."""
    try:
        done = subprocess.run(
            [*(c for c in command if c), "--version"], capture_output=True, text=True, errors="replace", timeout=20,
            check=False,
        )  # fmt: skip
        lines = (done.stdout or done.stderr).strip().splitlines()
        return lines[line] if lines else f"says nothing (exit {done.returncode})"
    except (OSError, subprocess.SubprocessError) as e:
        return f"does not run: {e}"


def first_line(e: BaseException) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0]


CHECKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ("Python", python), ("C compiler", compilers), ("Machine", machine), ("BLAS", products), ("Cache", cache),
    ("GPU", gpu), ("Trial", trial),
)  # fmt: skip
