"""The functions whose kernels tests/golden holds as C text, and arguments to run them on."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
import weft.tensor as T


def floats(*shape: int, dtype: str = "float32") -> np.ndarray:
    n = int(np.prod(shape, dtype=int))
    return (np.arange(n) % 17 / 8 - 1).astype(dtype).reshape(shape)


def elementwise_chain() -> tuple:
    x, y = T.fvector("x"), T.fvector("y")
    return [x, y], [T.tanh(x * 2 + y) - T.sqr(x)], [floats(37), floats(37)], []


def broadcast() -> tuple:
    x, b = T.fmatrix("x"), T.fvector("b")
    return [x, b], [x * b + b.dimshuffle("x", 0)], [floats(5, 7), floats(7)], []


def transposed_copy() -> tuple:
    x = T.dtensor3("x")
    return [x], [x.dimshuffle(2, 0, 1)], [floats(3, 5, 7, dtype="float64")], []


def slice_stencil() -> tuple:
    x = T.dvector("x")
    return [x], [(x[2:] - 2 * x[1:-1] + x[:-2]) * 0.5], [floats(40, dtype="float64")], []


def row_sum() -> tuple:
    x = T.fmatrix("x")
    return [x], [T.sqr(x).sum(axis=1)], [floats(6, 1100)], []


def column_sum() -> tuple:
    x = T.fmatrix("x")
    return [x], [T.sqr(x).sum(axis=0)], [floats(1100, 6)], []


def full_sum() -> tuple:
    x = T.dmatrix("x")
    return [x], [T.exp(x).sum()], [floats(9, 130, dtype="float64")], []


def softmax() -> tuple:
    x = T.fmatrix("x")
    return [x], [T.nnet.softmax(x)], [floats(5, 33)], []


def log_softmax_loss() -> tuple:
    x, y = T.fmatrix("x"), T.lvector("y")
    loss = -T.mean(T.log(T.nnet.softmax(x))[T.arange(y.shape[0]), y])
    return [x, y], [loss, weft.grad(loss, x)], [floats(6, 10), np.arange(6) % 10], []


def argmax() -> tuple:
    x = T.fmatrix("x")
    return [x], [T.argmax(x, axis=1)], [floats(6, 40)], []


def gather() -> tuple:
    x, i = T.fmatrix("x"), T.lvector("i")
    return [x, i], [x[i] * 2], [floats(9, 5), np.array([0, 8, -1, 3])], []


def dropout_mask() -> tuple:
    from weft.compiler.graph.random import RandomStreams

    x = T.fmatrix("x")
    mask = RandomStreams(7).uniform(x.shape, dtype="float32") < 0.5
    return [x], [T.switch(mask, x * 2, 0)], [floats(4, 9)], []


def float16_add() -> tuple:
    x, y = T.vector("x", dtype="float16"), T.vector("y", dtype="float16")
    return [x, y], [x + y], [floats(21, dtype="float16"), floats(21, dtype="float16")], []


def complex_multiply() -> tuple:
    x, y = T.cvector("x"), T.cvector("y")
    return [x, y], [x * y], [floats(21, dtype="complex64") * 1j, floats(21, dtype="complex64")], []


def adam() -> tuple:
    g, t = T.fmatrix("g"), T.fscalar("t")
    w, m, v = (weft.shared(floats(4, 5), name=n) for n in "wmv")
    m2, v2 = 0.875 * m + 0.125 * g, 0.96875 * v + 0.03125 * T.sqr(g)
    step = t * m2 / (T.sqrt(v2) + 0.0009765625)
    return [g, t], [], [floats(4, 5), np.float32(0.5)], [(w, w - step), (m, m2), (v, v2)]


KERNELS: dict[str, Any] = {
    f.__name__: f
    for f in (
        elementwise_chain, broadcast, transposed_copy, slice_stencil, row_sum, column_sum, full_sum, softmax,
        log_softmax_loss, argmax, gather, dropout_mask, float16_add, complex_multiply, adam,
    )
}  # fmt: skip


def compiled(name: str, mode: str | None = None) -> tuple:
    """The function and arguments for it."""
    ins, outs, args, updates = KERNELS[name]()
    return weft.function(ins, outs, updates=updates, mode=mode, name=name), args


def kernel_text(name: str) -> str:
    """The C of the kernels: what precedes the host program in the one translation unit."""
    text = str(compiled(name)[0].source)
    start, end = text.index("typedef struct"), text.index("static int32_t run(")
    return text[start:end].rstrip() + "\n"
