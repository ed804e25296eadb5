"""The CUDA printer: its text under NVRTC, and run on the CPU in both thread orders against C and the interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  (bfloat16 for NumPy)
import numpy as np
import pytest
from cuda_emulation import HEADERS, Emulated

import weft
import weft.tensor as T
from weft.compiler.build import nvrtc
from weft.runtime.errors import CompileError
from weft.tensor import nnet
from weft.tensor.shared_randomstreams import RandomStreams

rng = np.random.default_rng(0)


class Case(NamedTuple):
    """A function, arguments for it, the mode of its kernels, and how far results may be from C's."""

    build: Callable[[], Any]
    args: Callable[[], list[list[Any]]]
    mode: str
    rtol: float = 0.0


CASES: dict[str, Case] = {}


def case(mode: str, shapes: list[Any], dtype: str = "float32", rtol: float = 0.0, scale: float = 1.0):
    """Decorator: the function of tensors of `dtype` that a rule makes; each entry of `shapes` gives one call's."""

    def enter(rule):
        def build():
            ranks = [len(s) for s in shapes[0]]
            inputs = [T.TensorType(dtype, (False,) * r)(f"x{k}") for k, r in enumerate(ranks)]
            return weft.function(inputs, rule(*inputs))

        def args():
            return [[draw(s, dtype, scale) for s in call] for call in shapes]

        CASES[rule.__name__] = Case(build, args, mode, rtol)
        return rule

    return enter


def draw(shape: tuple[int, ...], dtype: str, scale: float) -> np.ndarray:
    if dtype.startswith("int"):
        return rng.integers(-120, 120, shape).astype(dtype)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    values = rng.normal(size=shape) * scale
    if dtype.startswith("complex"):
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


@case("map", [[(7, 300), (300,)], [(0, 5), (5,)], [(1, 1), (1,)]], rtol=1e-6)
def elementwise(x, b):
    return T.exp(x) * 2 + b


@case("map", [[(5, 6, 9), (6,)], [(2, 0, 3), (0,)]], rtol=1e-6)
def broadcast(x, y):
    return [T.tanh(x) + y.dimshuffle("x", 0, "x"), x * 3]


@case("map", [[(37, 53)], [(1, 4)]])
def transposed(x):
    return x.T + 0


@case("map", [[(9,), (3,)]])
def scalars_only(x, y):
    return x[2] * y[1]


@case("row", [[(6, 1000)], [(3, 10)], [(4, 256)], [(2, 0)], [(0, 7)]], rtol=1e-5)
def row_sum(x):
    return T.sqr(x).sum(1)


@case("row", [[(4, 5, 70)], [(1, 1, 1)]], rtol=1e-5)
def rows_of_two_axes(x):
    return x.sum(2) + x.max(2).dimshuffle(0, 1)


def cut(x):
    """Slices of slices from places that are lengths: theirs are long expressions."""
    for _ in range(4):
        x = x[x.shape[1] // 8 :, x.shape[0] // 9 :]
    return x


@case("map", [[(30, 40)], [(0, 7)], [(1, 1)]], rtol=1e-6)
def long_extents(x):
    return T.exp(cut(x))


@case("row", [[(30, 40)], [(0, 7)], [(1, 1)]], rtol=1e-5)
def rows_of_long_extents(x):
    return T.exp(cut(x)).sum(1)


@case("column", [[(300, 70)], [(3, 32)], [(0, 5)], [(5, 0)], [(1, 1)]], rtol=1e-5)
def column_sum(x):
    return x.sum(0)


@case("column", [[(30, 40)], [(0, 7)], [(1, 1)]], rtol=1e-5)
def columns_of_long_extents(x):
    return T.exp(cut(x)).sum(0)


@case("column", [[(5, 40, 33)], [(2, 7, 1)]], rtol=1e-5)
def columns_of_tiles(x):
    return [x.mean(1), x.max(1)]


@case("column", [[(40, 33)], [(3, 1)]], rtol=1e-5)
def standard_columns(x):
    c = x - x.mean(0)
    return c / T.sqrt(T.sqr(c).mean(0))


@case("row", [[(6, 1000)], [(3, 10)], [(4, 256)], [(5, 1)]], rtol=1e-5)
def row_variance(x):
    return [T.var(x + 100, 1), (x - x.mean(1, keepdims=True)) / T.std(x, 1, keepdims=True)]


@case("column", [[(300, 70)], [(3, 32)], [(1, 1)]], rtol=1e-5)
def column_variance(x):
    return [T.var(x + 100, 0), x.mean(0)]


@case("flat", [[(300, 70)], [(3, 4)], [(1, 1)]], rtol=1e-5)
def full_variance(x):
    return [T.var(x + 100), x / T.std(x)]


@case("column", [[(33, 20)]], rtol=1e-5)
def softmax_of_columns(x):
    e = T.exp(x - x.max(0))
    return e / e.sum(0)


@case("flat", [[(300, 70)], [(3, 4)], [(1, 1)]], rtol=1e-5)
def full_sum(x):
    return T.sqr(x).sum()


@case("flat", [[(9000,)], [(3,)]], rtol=1e-5)
def flat_softmax(x):
    e = T.exp(x - x.max())
    return [e / e.sum(), x.sum()]


@case("flat", [[(9000,)], [(1,)]])
def flat_argmax(x):
    return T.argmax(T.round(x))


@case("row", [[(6, 1000)], [(3, 10)], [(1, 1)]], rtol=1e-5)
def softmax(x):
    return nnet.softmax(x)


@case("row", [[(6, 1000)], [(3, 10)]], rtol=1e-5)
def log_softmax(x):
    return nnet.logsoftmax(x)


@case("row", [[(6, 500)], [(3, 40)]], rtol=1e-5)
def layer_norm(x):
    m = x.mean(1, keepdims=True)
    v = T.sqr(x - m).mean(1, keepdims=True)
    return (x - m) / T.sqrt(v + 1e-5)


@case("row", [[(6, 1000)], [(3, 10)]])
def argmax(x):
    return [T.argmax(T.round(x), axis=1), x.max(1)]


@case("row", [[(6, 1000)], [(3, 10)]], rtol=2e-2, scale=0.1, dtype="float16")
def half(x):
    return [(x * x).sum(1), x.max(1)]


@case("map", [[(6, 100), (100,)]], dtype="float16", rtol=1e-3)
def half_elementwise(x, y):
    return T.exp(x) * y


@case("column", [[(40, 9)]], dtype="bfloat16", rtol=2e-2)
def brain_columns(x):
    return (x * 2).max(0)


@case("row", [[(4, 70), (4, 70)], [(1, 3), (1, 3)]], dtype="complex64", rtol=1e-4)
def complex_rows(x, y):
    return (x * y + T.exp(x)).sum(1)


@case("flat", [[(5000,)]], dtype="complex128", rtol=1e-12)
def complex_full(x):
    return [x.sum(), (x * x).sum()]


@case("row", [[(6, 100)], [(2, 0)]], dtype="bool")
def bools(x):
    return [T.any(x, axis=1), T.all(x, axis=1)]


@case("map", [[(40, 50), (40, 50)]], dtype="int8")
def floor_division(x, y):
    return [x // y, x % y]


@case("row", [[(6, 300)]], dtype="int8")
def integers(x):
    return [x.max(1), x.sum(1), T.argmax(x, axis=1)]


@case("row", [[(6, 300)]], dtype="float64", rtol=1e-12)
def float64(x):
    return [x.prod(1), T.log(T.exp(x).sum(1))]


def taking():
    x, i = T.matrix("x", dtype="float32"), T.lvector("i")
    return weft.function([x, i], x[i] * 2)


CASES["gather"] = Case(taking, lambda: [[draw((9, 5), "float32", 1), np.array([3, -1, 0, 8, -9])]], "map")


def nan_rows() -> Case:
    """NaN wins over everything, and the first one has the place."""
    value = rng.normal(size=(4, 700)).astype("float32")
    value[1, 300], value[1, 650], value[2, :] = np.nan, np.nan, np.nan
    value[3, 5:] = -np.inf

    def build():
        x = T.fmatrix("x")
        return weft.function([x], [T.argmax(x, axis=1), x.max(1), x.min(1)])

    return Case(build, lambda: [[value]], "row")


CASES["nan_rows"] = nan_rows()
cases = pytest.mark.parametrize("name", CASES)


def close(got: np.ndarray, want: np.ndarray, rtol: float) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    if got.dtype.kind in "biu" or rtol == 0:
        np.testing.assert_array_equal(got, want)
        return
    wide = "complex128" if got.dtype.kind == "c" else "float64"
    a, b = got.astype(wide), want.astype(wide)
    finite = np.abs(b[np.isfinite(b)])
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * finite.max(initial=0))


def check(f: Any, run: Emulated, args: list[Any], rtol: float, descending: bool, states: Any = ()) -> list[np.ndarray]:
    """Every kernel of a call against the interpreter; the outputs of all of them."""
    found: list[np.ndarray] = []
    for name, node in run.calls:
        scalars, tensors = run.arguments(node, [*args, *states])
        want = run.meaning(node, scalars, tensors)
        got = run.run(name, scalars, tensors, [w.shape for w in want], descending)
        for g, w in zip(got, want, strict=True):
            close(g, w, rtol)
        found += got
    return found


@cases
def test_cuda_text_on_the_cpu(name: str, tmp_path: Path) -> None:
    c = CASES[name]
    f = c.build()
    assert {n.mode for n in f.stages.generated.kernels.values()} == {c.mode}
    run = Emulated(f, tmp_path)
    for args in c.args():
        one = [check(f, run, args, c.rtol, descending) for descending in (False, True)]
        for a, b in zip(*one, strict=True):
            assert a.tobytes() == b.tobytes(), "the order of threads shows in the result"
        compiled = f(*args)
        compiled = compiled if isinstance(compiled, list) else [compiled]
        for want in compiled:  # which of the kernels' outputs it is, is not asked for
            fits = [g for g in one[0] if g.shape == want.shape and g.dtype == want.dtype]
            close(min(fits, key=lambda g: distance(g, want)), want, c.rtol)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    wide = "complex128" if a.dtype.kind == "c" else "float64"
    with np.errstate(invalid="ignore"):
        difference = np.abs(a.astype(wide) - b.astype(wide))
    return float(difference[np.isfinite(difference)].sum())


@cases
def test_nvrtc_takes_it(name: str) -> None:
    need_nvrtc()
    text = str(CASES[name].build().cuda)
    ptx = nvrtc.compile_cuda(text, "compute_80").decode()
    assert ".visible .entry k0" in ptx
    assert "fma.rn.f32" not in ptx or "exp" in text or "tanh" in text  # nothing is contracted
    for arch in ("sm_80", "sm_90"):
        assert nvrtc.compile_cuda(text, arch).startswith(b"\x7fELF")


def need_nvrtc() -> None:
    try:
        nvrtc.version()
    except CompileError as e:
        pytest.skip(str(e))


def test_nvrtc_reports_what_it_refuses() -> None:
    need_nvrtc()
    with pytest.raises(CompileError, match=r"NVRTC refused broken\.cu for sm_90:\nbroken\.cu\(1\): error"):
        nvrtc.compile_cuda("__global__ void f( {}", "sm_90", "broken.cu")


def test_a_bad_index_is_a_fault(tmp_path: Path) -> None:
    f = taking()
    run = Emulated(f, tmp_path)
    ((name, node),) = run.calls
    x = draw((9, 5), "float32", 1)
    scalars, tensors = run.arguments(node, [x, np.arange(4)])
    for bad in (9, -10):
        for descending in (False, True):
            run.run(name, scalars, [x, np.array([0, bad, 2, 3])], [(4, 5)], descending)
            assert (run.fault.flag, run.fault.index, run.fault.length) == (1, bad, 9)
    run.run(name, scalars, tensors, [(4, 5)], False)
    assert run.fault.flag == 0


def test_draws_have_the_bits_of_c(tmp_path: Path) -> None:
    streams = RandomStreams(3)
    x = T.fmatrix("x")
    mask = streams.binomial(x.shape, p=0.7, dtype="float32")
    f = weft.function([x], [x * mask, streams.normal(x.shape, dtype="float64")], no_default_updates=True)
    run = Emulated(f, tmp_path)
    value = draw((30, 41), "float32", 1)
    states = [s.array() for s in f.storages]
    want = f(value)
    assert 0.5 < (want[0] != 0).mean() < 0.9
    for descending in (False, True):
        for name, node in run.calls:
            scalars, tensors = run.arguments(node, [value, *states])
            shapes = [o.shape for o in run.meaning(node, scalars, tensors)]
            for got in run.run(name, scalars, tensors, shapes, descending):
                assert any(got.tobytes() == w.tobytes() for w in want)


def changed(folder: Path, old: str, new: str, which: int) -> Path:
    """A copy of kernels/ in which one occurrence of a text in weft_kernel.cuh is replaced."""
    headers = folder / "kernels"
    shutil.copytree(HEADERS, headers, ignore=shutil.ignore_patterns("__pycache__"))
    path = headers / "weft_kernel.cuh"
    parts = path.read_text().split(old)
    assert len(parts) == 5
    path.write_text("".join(p + (new if k == which else old) for k, p in enumerate(parts[:-1])) + parts[-1])
    return headers


@pytest.mark.parametrize("which", range(4), ids=["block-1", "block-2", "column-1", "column-2"])
def test_every_barrier_is_needed(which: int, tmp_path: Path) -> None:
    c = CASES["softmax" if which < 2 else "standard_columns"]
    f = c.build()
    run = Emulated(f, tmp_path, changed(tmp_path, "__syncthreads();", "__syncwarp();", which))
    with pytest.raises(AssertionError):
        for descending in (False, True):
            check(f, run, c.args()[0], c.rtol, descending)


def test_geometry_follows_from_the_scalars() -> None:
    kernel = Emulated.kernels_of(CASES["softmax"].build())["k0"]
    assert kernel.geometry([5, 1000]) == [("k0", 5, 256)]
    assert kernel.geometry([5, 33]) == [("k0", 5, 64)]
    assert kernel.geometry([0, 33])[0][1] == 0
    assert kernel.geometry([10**6, 10])[0][1] * 10 == kernel.scratch_elements([10**6, 10])[0]
    kernel = Emulated.kernels_of(CASES["full_sum"].build())["k0"]
    assert [g[1:] for g in kernel.geometry([1000, 100])] == [(49, 256), (1, 256)]
    assert kernel.geometry([10**5, 10**4])[0][1] == 1024
    assert kernel.geometry([0, 7])[0][1] == 1


def test_an_interpreted_function_has_no_cuda() -> None:
    x = T.fmatrix("x")
    with pytest.raises(weft.ArgumentError, match="no kernels"):
        _ = weft.function([x], x + 1, mode="interpret").cuda


SANITIZED = "fault or [elementwise or [row_sum or [softmax] or standard_columns or flat_softmax or [argmax] or [half]"


@pytest.mark.slow
def test_under_address_sanitizer() -> None:
    """Kernels of every mode once more, with g++'s AddressSanitizer in them."""
    if "WEFT_TEST_EMULATION_FLAGS" in os.environ:
        pytest.skip("this is that run")
    asked = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    library = asked.stdout.strip()
    if not Path(library).is_file():
        pytest.skip("g++ has no libasan.so")
    environment = {
        **os.environ, "WEFT_TEST_EMULATION_FLAGS": "-fsanitize=address", "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", __file__, "-k", SANITIZED],
        cwd=HEADERS.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
