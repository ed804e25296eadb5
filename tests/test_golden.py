"""The C of some kernels, as text: a change of the printer or of what is fused shows here, to be looked at.

    pytest tests/test_golden.py --update-golden      # or WEFT_UPDATE_GOLDEN=1: writes tests/golden anew

The text must not depend on what the process built before, nor on the order of hashes. The same functions run under
the sanitizers, kernels library and thread pool included.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import golden_kernels
import pytest

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"


@pytest.mark.parametrize("name", golden_kernels.KERNELS)
def test_kernel_text(name, request):
    path = GOLDEN / f"{name}.c"
    text = golden_kernels.kernel_text(name)
    if request.config.getoption("--update-golden") or os.environ.get("WEFT_UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text(), (
        f"{path.name} differs; if it is meant to: pytest {Path(__file__).name} --update-golden"
    )


def test_no_stale_files():
    assert {p.stem for p in GOLDEN.glob("*.c")} == set(golden_kernels.KERNELS)


def run(code: str, **environment: str) -> str:
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


def test_text_is_stable():
    """Other processes, other orders of hashes, other programs built before: the same text."""
    code = """
import sys, weft, golden_kernels
from fuzz_grower import Grower
names = list(golden_kernels.KERNELS)
if sys.flags.hash_randomization:
    names.reverse()
print(*sorted((n, golden_kernels.kernel_text(n)) for n in names), sep="\\n")
for seed in range(6):
    p = Grower(seed).grow()
    f = weft.function(
        p.symbols(), p.variables(), updates=p.pairs(), givens=p.replacements(), on_unused_input="ignore"
    )
    print(f.source)
"""
    assert run(code, PYTHONHASHSEED="0") == run(code, PYTHONHASHSEED="7")


def sanitizers() -> tuple[str, str] | None:
    """The compiler command and the library to preload, where a compiler has them."""
    for command in ("gcc", "cc", "clang"):
        if shutil.which(command) is None:
            continue
        found = subprocess.run([command, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
        if os.path.isabs(found):
            return f"{command} -fsanitize=address,undefined -fno-sanitize-recover=all -g", found
    return None


@pytest.mark.slow
def test_sanitizers():
    have = sanitizers()
    if have is None:
        pytest.skip("no compiler with libasan")
    command, library = have
    code = """
import numpy as np, fuzz_programs, golden_kernels
from weft.compiler.build import toolchain
toolchain.REQUIRED = tuple("-O1" if f == "-O3" else f for f in toolchain.REQUIRED)
toolchain.OPTIONAL = ()
for name in golden_kernels.KERNELS:
    (f, args), (g, _) = golden_kernels.compiled(name), golden_kernels.compiled(name, "interpret")
    for a, b in zip(f(*args), g(*args)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=name)
print(fuzz_programs.report_of(range(4)).failures, fuzz_programs.report_of(range(4), grad=True).failures)
"""
    said = run(
        code, WEFT_CC=command, LD_PRELOAD=library, ASAN_OPTIONS="detect_leaks=0",
        UBSAN_OPTIONS="print_stacktrace=1", WEFT_THREADS="2",
    )  # fmt: skip
    assert said == "[] []\n", said
