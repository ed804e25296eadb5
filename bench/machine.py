"""What a table was measured on and by, and the JSON that it is written to."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def command(given: Sequence[str] | None = None) -> str:
    """The command of this process as anybody may give it in the root of the repository: without a machine's paths."""
    script, *rest = sys.argv if given is None else given
    return shlex.join(["python", _path(script), *(",".join(map(_path, word.split(","))) for word in rest)])


def _path(word: str) -> str:
    """Relative to the root; of what lies elsewhere the name."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    if os.sep not in value and not value.endswith((".py", ".json")):
        return word
    path = Path(value).resolve()
    return option + equals + (str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name)


def write(to: Path | str, report: Any) -> None:
    """As JSON, at once or not at all: who is killed meanwhile leaves the old file."""
    to = Path(to)
    handle, new = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.absolute().parent)
    try:
        with os.fdopen(handle, "w") as f:
            f.write(json.dumps(report, indent=1) + "\n")
        os.chmod(new, to.stat().st_mode & 0o777 if to.exists() else 0o644)
        os.replace(new, to.resolve())
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise


def unwritable(to: Path, folder: bool = False) -> str:
    """Why nothing can be written to this file (into this folder), or nothing: asked before hours of measuring."""
    if folder:
        try:
            to.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            return f"{to} is no folder, and cannot be made one ({e.strerror})"
        return "" if os.access(to, os.W_OK) else f"the folder {to} cannot be written to"
    if to.is_dir():
        return f"{to} is a folder"
    if not (there := to.absolute().parent).is_dir():
        return f"there is no folder {there}"
    if to.exists() and not os.access(to, os.W_OK):
        return f"{to} cannot be written to"
    return "" if os.access(there, os.W_OK) else f"the folder {there} cannot be written to"


def describe(threads: int) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": cores,
        "threads": threads,
        "load": [round(n, 1) for n in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compilers": {c: v for c in ("cc", "g++", "clang") if (v := _first_line(c, "--version"))},
        "commit": _commit(),
    }


def _commit() -> str:
    """With "-dirty" where files differ from it, but for those that runs write: a run may add to what another left."""
    git = ("git", "-C", str(ROOT))
    written = (":!bench/*.json", ":!bench/*.png", ":!bench/README.md", ":!README.md")
    changed = _first_line(*git, "status", "--porcelain", "--", ".", *written)
    return _first_line(*git, "describe", "--always") + "-dirty" * bool(changed)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    found = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    name = found.get("model name", platform.machine())
    numbers = [f"{k} {found[k]}" for k in ("cpu family", "model") if k in found]
    vectors = [f for f in ("avx2", "avx512f", "amx_tile") if f in found.get("flags", "").split()]
    return f"{name} ({', '.join(numbers + vectors)})"


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    return out.stdout.splitlines()[0] if out.returncode == 0 and out.stdout else ""
