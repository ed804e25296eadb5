"""After the first calls with given shapes a call allocates nothing between weft_run's entry and return: no malloc,
calloc, realloc, posix_memalign, aligned_alloc or mmap, on any thread, small and large outputs included. An output of
run-time length may take one block, where none that was dropped fits it. OpenBLAS (LAPACK, and products that it is asked
for) is run by one thread: its parallel forms allocate their queues anew in every call.

"The first calls" are two, since the caller holds one result while the next is made.
"""

from __future__ import annotations

import ast
from pathlib import Path

import memory_programs
import pytest

COUNT = """
import sys
import numpy as np
import weft
import weft.tensor as T
from memory_programs import PROGRAMS, F, Made, normal, shim

blas = sys.argv[1]
weft.config.blas = blas
x, y, v, b = T.fmatrix("x"), T.fmatrix("y"), T.fvector("v"), T.ftensor3("b")
d, h = T.dmatrix("d"), T.matrix("h", dtype="float16")
z = T.matrix("z", dtype="complex64")
X, Y, V, B = normal(0, 300, 200), normal(1, 200, 300), normal(2, 300), normal(3, 7, 40, 30)
image, kernel = T.ftensor4("image"), T.ftensor4("kernel")
CASES = {
    "elementwise, small": ([x], T.tanh(x) * 2, [X[:3, :4].copy()]),
    "elementwise, large": ([x], [T.tanh(x) * 2, x.sum(), x.sum(0)], [X]),
    "sums and rows": ([x], [x.sum(1), x.argmax(0), x.var(1), T.nnet.softmax(x), x.max()], [X]),
    "products": ([x, y, v], [T.dot(x, y), T.dot(y.T, x.T), T.dot(v, x), T.dot(y, v), T.dot(v, v)], [X, Y, V]),
    "kernels in products": (
        [x, y, v],
        [T.nnet.softmax(T.dot(x, y) + v), T.tanh(T.dot(T.exp(x), y)), T.dot(x, y * 2).max(0)], [X, Y, V],
    ),
    "batches": ([b], [T.batched_dot(b, b.dimshuffle(0, 2, 1)), T.tanh(T.batched_dot(b, T.exp(b.dimshuffle(0, 2, 1))))],
                [B]),
    "float64 and complex products": ([d, z], [T.dot(d, d.T), T.dot(z, z.T)], [X.astype("f8"), X.astype("c8")]),
    "float16": ([h], [T.dot(h, h.T), T.nnet.softmax(h), h.sum(0), T.cumsum(h, 1)], [X.astype("f2")]),
    "sorts": ([x], [T.sort(x, 0), T.sort(x, 1), T.argsort(x, 1)], [X]),
    "running sums": ([x], [T.cumsum(x, 0), T.cumsum(x, 1), T.cumsum(x.flatten())], [X]),
    "convolution": ([image, kernel], weft.grad(T.tanh(T.nnet.conv2d(image, kernel)).sum(), [image, kernel]),
                    [normal(0, 4, 3, 20, 20), normal(1, 6, 3, 5, 5)]),
    "integers": ([x], [T.cast(x, "int8").sum(1), T.dot(T.cast(x, "int32"), T.cast(x.T, "int32"))], [X]),
    "slices": ([x], [x[::-1, 3:], T.concatenate([x, x * 2], 1), x.T.copy()], [X]),
    "gathers": ([x], [x[T.argsort(x[:, 0])], T.inc_subtensor(x[[1, 2, 1]], F(1))], [X]),
    "LAPACK": ([d], [T.slinalg.cholesky(T.dot(d, d.T) + 500 * T.eye(300)),
                     T.slinalg.solve_upper_triangular(T.dot(d, d.T) + 500 * T.eye(300), d)], [X.astype("f8")]),
}
found = {}
s = shim()


def count(f, *calls, rounds=3):
    out = [None] * len(calls)
    for _ in range(3):
        for k, arguments in enumerate(calls):
            out[k] = f(*arguments)
    s.clear()
    for _ in range(rounds):
        for k, arguments in enumerate(calls):
            out[k] = f(*arguments)
    assert s.calls == rounds * len(calls)
    return s.count("allocation") / rounds


for name, case in CASES.items():
    if blas != "own" and "product" not in name:
        continue
    inputs, outputs, arguments = case
    f = weft.function(inputs, outputs)
    found[name] = count(f, arguments)
    smaller = [a[..., : a.shape[-1] // 2].copy() if a is X else a for a in arguments]
    if all(a.ndim == 2 for a in arguments) and len(arguments) == 1 and name != "LAPACK":
        found[name + ", two shapes in turn"] = count(f, arguments, smaller)
for name, make in PROGRAMS.items():
    if blas == "own" and name not in ("hosted", "grows"):  # one calls Python, one has other lengths in every call
        made = make()
        found[name] = count(made.function, made.arguments)
print(found)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if why := memory_programs.have_shim():
        pytest.skip(why)
    return tmp_path_factory.mktemp("shim")


@pytest.mark.parametrize(("blas", "threads"), [("own", "1"), ("own", "2"), ("openblas", "1")])
def test_a_repeated_call_allocates_nothing(folder: Path, threads: str, blas: str) -> None:
    if blas == "openblas":
        pytest.importorskip("scipy_openblas32")
    said = memory_programs.run(folder, COUNT, blas, WEFT_THREADS=threads, OPENBLAS_NUM_THREADS="1")
    found = ast.literal_eval(said)
    assert len(found) > (25 if blas == "own" else 2)
    allowed = {"lengths": 2}  # outputs of run-time length
    assert {k: n for k, n in found.items() if n > allowed.get(k, 0)} == {}
