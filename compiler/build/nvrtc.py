"""CUDA text to PTX or a cubin, by NVRTC: in this process, without a CUDA tool kit or a driver."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cffi import FFI

from ...runtime.abi import HEADERS
from ...runtime.errors import CompileError
from .library import included

# Contraction would round differently from one kernel to the next; the graph says where a fused multiply-add is.
FLAGS = ("--std=c++17", "--fmad=false")
INSTALL = "Install it with `pip install 'weft[nvrtc]'` (13.0 or later), or a CUDA tool kit"

DECLARATIONS = """
typedef struct program *nvrtcProgram;
int nvrtcVersion(int *major, int *minor);
int nvrtcCreateProgram(nvrtcProgram *, const char *text, const char *name, int n, const char **texts,
                       const char **names);
int nvrtcDestroyProgram(nvrtcProgram *);
int nvrtcCompileProgram(nvrtcProgram, int n, const char **options);
int nvrtcGetPTXSize(nvrtcProgram, size_t *);
int nvrtcGetPTX(nvrtcProgram, char *);
int nvrtcGetCUBINSize(nvrtcProgram, size_t *);
int nvrtcGetCUBIN(nvrtcProgram, char *);
int nvrtcGetProgramLogSize(nvrtcProgram, size_t *);
int nvrtcGetProgramLog(nvrtcProgram, char *);
const char *nvrtcGetErrorString(int);
"""
ffi = FFI()
ffi.cdef(DECLARATIONS)


def _folders() -> Iterator[Path]:
    """Where NVRTC may lie: the packages from PyPI first, then a tool kit."""
    for package in ("nvidia.cu13", "nvidia.cuda_nvrtc"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(place) / "lib"
    for root in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if root:
            yield Path(root) / "lib64"


@cache
def _library() -> Any:
    tried: list[str] = []
    for folder in _folders():
        for path in sorted(folder.glob("libnvrtc.so.*"), key=lambda p: len(p.name)):
            try:
                # NVRTC looks for its builtins by name alone, so they are loaded first, by path.
                for builtins in folder.glob("libnvrtc-builtins.so.*"):
                    ffi.dlopen(str(builtins), ffi.RTLD_NOW | ffi.RTLD_GLOBAL)
                return ffi.dlopen(str(path))
            except OSError as e:
                tried.append(str(e))
    raise CompileError("; ".join(("NVRTC was not found", *tried)) + f". {INSTALL}")


def version() -> tuple[int, int]:
    """Of the NVRTC that compiles; raises CompileError where there is none."""
    major, minor = ffi.new("int *"), ffi.new("int *")
    _hold(_library().nvrtcVersion(major, minor))
    return major[0], minor[0]


def compile_cuda(text: str, arch: str, name: str = "kernels.cu") -> bytes:
    """A cubin for "sm_90", PTX for "compute_90". The headers of kernels/ that the text includes are handed over in
    memory. Raises CompileError with the compiler's messages."""
    lib = _library()
    headers = sorted(included([text]))
    texts = [ffi.new("char[]", (HEADERS / h).read_bytes()) for h in headers]
    names = [ffi.new("char[]", h.encode()) for h in headers]
    options = [ffi.new("char[]", o.encode()) for o in (*FLAGS, f"--gpu-architecture={arch}")]
    handle = ffi.new("nvrtcProgram *")
    _hold(lib.nvrtcCreateProgram(handle, text.encode(), name.encode(), len(headers), texts, names))
    try:
        if lib.nvrtcCompileProgram(handle[0], len(options), options):
            log = _bytes(lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog, handle[0]).rstrip(b"\0").decode()
            raise CompileError(f"NVRTC refused {name} for {arch}:\n{log.strip()}")
        if arch.startswith("sm_"):
            return _bytes(lib.nvrtcGetCUBINSize, lib.nvrtcGetCUBIN, handle[0])
        return _bytes(lib.nvrtcGetPTXSize, lib.nvrtcGetPTX, handle[0])
    finally:
        lib.nvrtcDestroyProgram(handle)


def _bytes(size_of: Any, get: Any, program: Any) -> bytes:
    size = ffi.new("size_t *")
    _hold(size_of(program, size))
    data = ffi.new("char[]", size[0])
    _hold(get(program, data))
    return bytes(ffi.buffer(data))


def _hold(code: int) -> None:
    if code:
        raise CompileError(f"NVRTC failed: {ffi.string(_library().nvrtcGetErrorString(code)).decode()}")
