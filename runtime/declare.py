"""Writes declarations.py: the headers that C and Python share, as cffi takes them without its parser of C, which takes
longer to import than the rest of the runtime. `python runtime/declare.py` writes it anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent
HEADERS = HERE.parent / "kernels"
TARGET = HERE / "declarations.py"
MORE = """
    int32_t weft_main(weft_call *call);
    int weft_pool_threads(void);
    void weft_pool_set_threads(int n);
    void weft_parallel_for(int64_t n, int64_t grain, int max_threads, weft_body_fn body, void *arg);
    typedef struct { int64_t loops, taken, woken, slept; } weft_pool_counts;
    void weft_pool_count(weft_pool_counts *out);
    int32_t weft_limits(weft_parallel_for_fn parallel_for, int32_t threads, double *found);
    int64_t weft_limits_cache(void);
    void free(void *);
"""


def declarations() -> str:
    """The text of declarations.py."""
    constants: dict[str, int] = {}  # what the headers #define
    ffi = cffi.FFI()
    for name in ("weft_abi.h", "weft_run.h"):
        ffi.cdef(_plain((HEADERS / name).read_text(), constants))
    ffi.cdef(MORE)
    ffi.set_source("declarations", None)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "declarations.py"
        ffi.emit_python_code(str(made))
        lines = made.read_text().splitlines()
    body = "\n".join(line for line in lines if not line.startswith("#"))
    listed = "".join(f"    {n!r}: {v},\n" for n, v in constants.items())
    body = body.replace("import _cffi_backend", "import _cffi_backend  # type: ignore[import-untyped]")
    return f'"""Made by declare.py of kernels/weft_abi.h and weft_run.h."""\n\n{body}\n\nCONSTANTS = {{\n{listed}}}\n'


def _plain(text: str, constants: dict[str, int]) -> str:
    """A header as cffi reads it: without directives and comments, its constants filled in."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    constants.update((n, int(v)) for n, v in re.findall(r"#define (WEFT_\w+) (-?\d+)", text))
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for n, value in constants.items():
        text = re.sub(rf"\b{n}\b", str(value), text)
    return text


if __name__ == "__main__":
    TARGET.write_text(declarations())
    print(f"wrote {TARGET}", file=sys.stderr)
