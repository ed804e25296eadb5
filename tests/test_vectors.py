"""The loops of generated kernels are vectors: the compiler turns one scalar without a word, right but slow."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
import weft.tensor as T
from weft.compiler.build import toolchain
from weft.compiler.build.library import compile_program
from weft.compiler.graph.config import config
from weft.tensor.shared_randomstreams import RandomStreams

CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the instructions of x86-64"),
    pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump is not installed"),
    pytest.mark.skipif("avx2" not in CPU, reason="the processor has no AVX2"),
]  # fmt: skip

FLOAT = r"v(add|sub|mul|div|max|min|sqrt|fn?m(add|sub)\d+)p[sd] .*%[yz]mm"
INTEGER = r"vp(add|sub|mul|max|min|and|or|xor)\w* .*%[yz]mm"
x, y, b = T.fmatrix("x"), T.fmatrix("y"), T.fvector("b")
v, w = T.fvector("v"), T.fvector("w")
d = T.dvector("d")
h = T.TensorType("float16", [False])("h")
i, j = T.lmatrix("i"), T.ivector("j")
STREAMS = RandomStreams(1)
# What is computed, by which instructions at least how often: a few less than its loops need.
CASES: dict[str, tuple[list[Any], Callable[[], Any], str, int]] = {
    "chain": ([v, w], lambda: T.tanh(v + w) * T.nnet.sigmoid(v) + T.exp(-w * w), FLOAT, 30),
    "chain float64": ([d], lambda: T.tanh(d) * T.exp(d) + T.log(d), FLOAT, 40),
    "sine": ([v], lambda: T.sin(v) + T.cos(v * 2), FLOAT, 20),
    "power": ([d], lambda: d**1.7, FLOAT, 30),
    "logarithms": ([v], lambda: T.log(v) + T.log1p(v), FLOAT, 20),
    "error function": ([v], lambda: T.erf(v) * T.erfc(v), FLOAT, 25),
    "half": ([h], lambda: h * h + 1, FLOAT, 2),
    "integers": ([j], lambda: j * j + 3, INTEGER, 2),
    "rows": ([x], lambda: T.sum(T.sqr(x), axis=1), FLOAT, 2),
    "columns": ([x], lambda: T.sum(x * 2 + 1, axis=0), FLOAT, 3),
    "middle": ([T.ftensor3("t")], lambda: None, FLOAT, 1),
    "everything": ([x], lambda: T.sum(T.exp(x)), FLOAT, 10),
    "greatest of rows": ([x], lambda: T.max(x, axis=1), FLOAT, 1),
    "places of rows": ([x], lambda: T.argmax(x, axis=1), FLOAT + "|v(p?blend|cmp)", 1),
    "places of columns": ([x], lambda: T.argmax(x, axis=0), "vp(add|sub|and).*%[yz]mm", 2),
    "sums of integers": ([i], lambda: T.sum(i, axis=0), INTEGER, 1),
    "softmax": ([x], lambda: T.nnet.softmax(x), FLOAT, 12),
    "after a product": ([x, y, b], lambda: T.tanh(T.dot(x, y) + b), FLOAT, 12),
    "sine after a product": ([x, y], lambda: T.sin(T.dot(x, y)), FLOAT, 10),
    "comparison as a number": ([v, w], lambda: T.cast(v < w, "float32") * 3, r"vcmp\w*ps .*%[yz]mm", 1),
    "share of equal": ([j], lambda: T.eq(j, 3).mean(), r"vpcmp\w* .*%[yz]mm", 1),
    "uniform draws": ([], lambda: STREAMS.uniform((1000,), dtype="float32"), r"vpmuludq .*%[yz]mm", 20),
    "normal draws": ([], lambda: STREAMS.normal((1000,)), FLOAT, 40),
    "coins": ([], lambda: STREAMS.binomial((1000,), p=0.3, dtype="float32"), r"vpmuludq .*%[yz]mm", 20),
}
CASES["middle"] = (CASES["middle"][0], lambda: T.sum(CASES["middle"][0][0], axis=1), FLOAT, 1)


def instructions(f: Any) -> dict[str, list[str]]:
    """The instructions of each kernel function in the library of a compiled function."""
    library = compile_program(f.stages.generated.units, cc=config.cc, cache_dir=config.cache_dir)
    command = ["objdump", "-d", "--no-show-raw-insn", library]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, list[str]] = {}
    for part in re.split(r"\n(?=[0-9a-f]+ <)", listing.stdout):
        name = re.match(r"[0-9a-f]+ <(k\d+\w*?)(?:\.\w+)*>:", part)
        if name:
            found.setdefault(name.group(1), []).extend(line.split("\t")[-1] for line in part.splitlines()[1:])
    return found


def packed(f: Any, pattern: str) -> int:
    return sum(bool(re.match(pattern, line)) for lines in instructions(f).values() for line in lines)


@pytest.mark.parametrize("name", CASES)
def test_loops_are_vectors(name: str) -> None:
    inputs, make, pattern, least = CASES[name]
    f = weft.function(inputs, make())
    assert packed(f, pattern) >= least, instructions(f)


@pytest.mark.parametrize("name", ["chain", "chain float64", "softmax", "logarithms", "error function", "everything"])
def test_kernels_call_no_function_of_the_c_library(name: str) -> None:
    inputs, make, *_ = CASES[name]
    f = weft.function(inputs, make())
    for kernel, lines in instructions(f).items():
        calls = [line for line in lines if line.startswith("call")]
        assert not [c for c in calls if "@plt" in c and "mem" not in c], (kernel, calls)


@pytest.mark.skipif("avx512f" not in CPU, reason="the processor has no AVX-512: ends of rows are no vectors")
def test_a_fold_that_stores_has_one_form() -> None:
    """Not one for each vector whose stores may overlap its loads, element by element, with the lanes in memory."""
    lines = instructions(weft.function([x], T.nnet.softmax(x)))["k0_body"]
    assert not [line for line in lines if re.match(r"vfn?madd\d+ss", line)]


@pytest.mark.skipif("avx512f" not in CPU, reason="the processor has no AVX-512: ends of rows are no vectors")
def test_what_is_left_of_a_row_of_functions_is_a_vector() -> None:
    lines = instructions(weft.function([x], T.tanh(x - T.mean(x, axis=1, keepdims=True))))["k0_body"]
    assert not [line for line in lines if re.match(r"vfn?madd\d+ss", line)]
    assert not [s for s in weft.function([x], x - T.mean(x, axis=1, keepdims=True)).source.split() if "full" in s]


def test_no_argument_of_the_end_of_a_row_is_hard() -> None:
    """Where masked elements are 0, of which a logarithm is hard: each row would be computed twice."""
    source = weft.function([x], T.sum(T.log(x), axis=1)).source
    hard = [line for line in source.splitlines() if "weft_log_is_hard_f32" in line and "l < rest" in line]
    assert hard and all("((l < rest) ? weft_log_is_hard_f32(" in line for line in hard)


def test_a_scalar_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this file looks for is not there when the vectoriser is off."""
    monkeypatch.setattr(toolchain, "program_flags", lambda chain: (*toolchain.PROGRAM, "-fno-tree-vectorize"))
    inputs, make, pattern, least = CASES["chain"]
    assert packed(weft.function(inputs, make()), pattern) < least
