"""What shares a kernel: the number of kernels of small programs, and that their values are those of the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T


def log_softmax_loss(x: Any, y: Any) -> list[Any]:
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x), T.arange(x.shape[0]) % x.shape[1]).mean()
    return [cost, weft.grad(cost, x)]


def layer_norm(x: Any, y: Any) -> list[Any]:
    centered = x - x.mean(1, keepdims=True)
    return [centered / T.sqrt(T.sqr(centered).mean(1, keepdims=True) + 1e-5) * y[0] + y[1]]


# name -> (outputs of two matrices of one shape, kernels)
CASES: dict[str, tuple[Callable[[Any, Any], list[Any]], int]] = {
    "elementwise chain": (lambda x, y: [T.tanh(x * y + 1) - T.exp(-x)], 1),
    "broadcast along rows and columns": (lambda x, y: [x * y[0] + y[:, 0].dimshuffle(0, "x")], 1),
    "transposed and sliced operands": (lambda x, y: [x.T[:, ::-1] + T.exp(y).T[::-1]], 1),
    "producer into a reduction": (lambda x, y: [T.sum(x * y, 1)], 1),
    "reduction into a consumer": (lambda x, y: [x - T.max(x, 1, keepdims=True)], 1),
    "softmax": (lambda x, y: [T.nnet.softmax(x)], 1),
    "log-softmax with its mean loss and gradient": (log_softmax_loss, 1),
    "layer norm": (layer_norm, 1),
    "siblings: maps of one domain": (lambda x, y: [x + 1, T.exp(y), x * y], 1),
    "siblings: folds of one tensor": (lambda x, y: [T.sum(x, 1), T.max(x, 1), T.argmax(x, 1)], 1),
    "siblings: folds along the first axis": (lambda x, y: [T.sum(x, 0), T.max(x, 0)], 1),
    "siblings: folds of everything": (lambda x, y: [T.sum(x), T.max(x), T.sum(T.sqr(x))], 1),
    "folds along different axes": (lambda x, y: [T.sum(x, 0), T.sum(x, 1)], 2),
    "maximum with its place, one inside a fusion": (lambda x, y: [T.max(x, 1) * 2, T.argmax(x, 1)], 1),
}


@pytest.mark.parametrize("case", CASES)
def test_kernels(case: str) -> None:
    program, count = CASES[case]
    x, y = T.dmatrices("x", "y")
    outputs = program(x, y)
    f, g = (weft.function([x, y], outputs, mode=mode, on_unused_input="ignore") for mode in ("compile", "interpret"))
    rng = np.random.default_rng(0)
    for shape in ((6, 4), (2, 1), (33, 70)):
        a, b = rng.normal(size=shape), rng.normal(size=shape)
        for p, q in zip(f(a, b), g(a, b), strict=True):
            np.testing.assert_allclose(p, q, 1e-11, 1e-13)
    assert len(f.stages.generated.calls) == count, f.report()


def test_updates_share_a_kernel() -> None:
    """Adam: the moments and the parameter in one pass; its step size once, not for each element."""
    p, m, v = (weft.shared(np.ones((7, 3)), n) for n in "pmv")
    t, g = weft.shared(1.0, "t"), T.dmatrix("g")
    m1, v1 = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * T.sqr(g)
    rate = 0.001 * T.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    f = weft.function([g], [], updates=[(p, p - rate * m1 / (T.sqrt(v1) + 1e-8)), (m, m1), (v, v1), (t, t + 1)])
    names = [name for name, _ in f.stages.generated.calls]
    assert len(names) == 2, f.report()
    text = str(f.source)
    loops = [part.partition("\n    }\n")[0] for part in text.split("for (int64_t ")[1:]]
    assert "weft_pow" in text and not any("weft_pow" in loop for loop in loops)


def test_decisions_are_recorded() -> None:
    x = T.dmatrix("x")
    f = weft.function([x], T.exp(x) + T.sum(T.exp(x), 0) + T.sum(x, 1)[0])
    found = {(d.node.op, d.fused) for d in f.stages.program.decisions}
    assert ("exp", True) in found and any(not fused for _, fused in found), found
    assert all(d.reason for d in f.stages.program.decisions)
    assert "not fused: " in f.report()
    assert f.saved(np.ones((3, 4))) >= 2 * 8 * 12, "exp is neither stored nor loaded"


@pytest.mark.parametrize("mode", ["compile", "interpret"])
def test_a_length_that_the_host_passes_is_there_before_the_kernel(mode: str) -> None:
    """The sum that the length is read from is not computed by the kernel that takes the length by value."""
    x, s = T.dvector("x"), T.dscalar("s")
    k = T.cast(T.sqr(x).sum(), "int64")
    for out, want in ((T.alloc(s, k).sum(), 6.0), (T.exp(x) * k + T.alloc(s, k + 1)[0], np.e * 3 + 2)):
        f = weft.function([x, s], out, mode=mode)
        np.testing.assert_allclose(f(np.ones(3), 2.0), want, 1e-14)


def test_a_full_reduction_that_a_kernel_in_between_reads() -> None:
    """It may end the kernel over its rows only if nobody needs it before that kernel has run."""
    x, v = T.dmatrix("x"), T.dvector("v")
    e = T.exp(x)
    rows = T.sum(e, axis=1)
    total = T.sum(T.log(rows))
    outputs = [total + 1, T.exp(v * total), e / rows.dimshuffle(0, "x")]
    args = np.random.default_rng(0).normal(size=(17, 5)), np.full(5, 1e-3)
    want = weft.function([x, v], outputs, mode="interpret")(*args)
    for got, should in zip(weft.function([x, v], outputs)(*args), want, strict=True):
        np.testing.assert_allclose(got, should)


def picked_loss() -> tuple[list[Any], Any]:
    """The loss as tutorials write it: nothing says that there are as many labels as rows."""
    x, y = T.dmatrix("x"), T.lvector("y")
    loss = -T.mean(T.log(T.nnet.softmax(x))[T.arange(y.shape[0]), y])  # here: loss
    return [x, y], [loss, weft.grad(loss, x)]


def test_a_full_reduction_that_finds_its_kernel_full() -> None:
    x = T.dmatrix("x")
    cost = T.mean(T.sqr(T.log2(T.sqrt(T.var(x, axis=1) + 0.25) + 0.5)))
    outputs = [cost, T.grad(T.sum(T.sqr(T.grad(cost, x))), x)]
    f, g = (weft.function([x], outputs, mode=mode) for mode in ("compile", "interpret"))
    a = np.random.default_rng(0).normal(size=(5, 1100))
    for p, q in zip(f(a), g(a), strict=True):
        np.testing.assert_allclose(p, q, 1e-9)


def test_a_loss_of_picked_elements_makes_no_scatter() -> None:
    inputs, outputs = picked_loss()
    f = weft.function(inputs, outputs)
    assert "scatter" not in f.report() and len(f.kernels) <= 3, f.report()


@pytest.mark.parametrize("labels", [[1, 0, 3, 2], [1, 2], [-1, -4, 0], [2]])
def test_a_loss_of_fewer_labels_than_rows(labels: list[int]) -> None:
    inputs, outputs = picked_loss()
    arguments = np.random.default_rng(0).normal(size=(4, 4)), np.array(labels)
    got, want = (weft.function(inputs, outputs, mode=mode)(*arguments) for mode in ("compile", "interpret"))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    assert not got[1][len(labels) :].any() and got[1][: len(labels)].all()


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 0], [0, 4], [-5]])
@pytest.mark.parametrize("wanted", [slice(None), slice(1, 2)])
def test_a_loss_of_labels_that_are_wrong(labels: list[int], wanted: slice) -> None:
    inputs, outputs = picked_loss()
    for mode in ("compile", "interpret"):
        f = weft.function(inputs, outputs[wanted], mode=mode)
        with pytest.raises(weft.BoundsError, match="here: loss"):
            f(np.zeros((4, 4)), labels)


@pytest.mark.parametrize("power", [1, 3])
def test_what_is_stored_and_read_at_its_first_places(power: int) -> None:
    """A loop over the first places does not store the whole, nor a loop over more places."""
    x, k = T.dmatrix("x"), T.lscalar("k")
    whole = T.exp(x) / T.exp(x).sum(1, keepdims=True) ** power
    outputs = [whole, whole[T.arange(k)] * 2, T.grad(T.sum(T.sqr(whole[T.arange(k), 0])), x)]
    f, g = (weft.function([x, k], outputs, mode=mode) for mode in ("compile", "interpret"))
    a = np.random.default_rng(0).normal(size=(2000, 3))
    for count in (0, 7, 2000):
        for p, q in zip(f(a, count), g(a, count), strict=True):
            np.testing.assert_allclose(p, q, 1e-11, 1e-13)
    with pytest.raises(IndexError, match="2000"):
        f(a, 2001)


def test_bytes_moved_and_the_least_possible() -> None:
    x, y = T.dmatrices("x", "y")
    a, b = np.ones((30, 40)), np.ones((40, 20))
    f = weft.function([x], T.nnet.softmax(x))
    assert f.traffic(a) == (2 * a.nbytes, 2 * a.nbytes)
    assert "19,200 bytes a call, 1.00 times its arguments and results; fusion saves" in f.report(a)
    g = weft.function([x, y], T.dot(T.exp(T.dot(x, y)), y.T))
    between = 8 * 30 * 20
    least = 2 * a.nbytes + b.nbytes
    assert g.traffic(a, b) == (least + b.nbytes + 2 * between, least), "y is read twice, the exponentials lie between"
    w = weft.shared(a)
    h = weft.function([x], updates=[(w, w - x)])
    assert h.traffic(a) == (3 * a.nbytes, 3 * a.nbytes)
    states, _ = weft.scan(lambda s: s * 2, outputs_info=[x], n_steps=5)
    moved, least = weft.function([x], states[-1]).traffic(a)
    assert least == 2 * a.nbytes and moved >= 10 * a.nbytes


def test_bytes_of_parts_of_a_data_set() -> None:
    """What is read of it counts, by a slice that depends on an argument, by numbers of rows, by a product."""
    data, order = weft.shared(np.ones((1000, 8)), "data"), weft.shared(np.arange(1000), "order")
    k = T.lscalar("k")
    rows = slice(k * 10, k * 10 + 10)
    f = weft.function([k], T.exp(data[rows]))
    assert f.traffic(3) == (2 * 640, 2 * 640)
    assert f.traffic(100) == (0, 0), "beyond the last row there is none"
    g = weft.function([k], T.exp(data[order[rows]]))
    assert g.traffic(3)[0] - f.traffic(3)[0] == 80
    w = weft.shared(np.ones((8, 2)))
    h = weft.function([k], T.dot(data[rows], w))
    assert h.traffic(3) == (640 + 128 + 160, 640 + 128 + 160)
    x = T.dvector("x")
    masked = weft.function([x], T.exp(x[x.nonzero()]))
    assert masked.report(np.ones(9)).count("tensors whose lengths only a call tells") == 1
    assert "only a call tells" not in g.report(3) + h.report(3)


@pytest.mark.parametrize("mode", ["compile", "interpret"])
def test_an_update_that_the_host_passes_is_there_before_the_kernel(mode: str) -> None:
    """A count that is updated too is not left until after the commit, where it could be written in place."""
    t, x = weft.shared(np.int64(2), "t"), weft.shared(np.ones(3), "x")
    f = weft.function([], T.arange(t + 1), updates=[(t, t + 1), (x, x * T.cast(t + 1, "float64"))], mode=mode)
    for k in (3, 4):
        np.testing.assert_array_equal(f(), np.arange(k))
    np.testing.assert_array_equal(x.get_value(), [12.0, 12.0, 12.0])


def test_what_follows_from_a_count_is_computed_once() -> None:
    """A number that a kernel takes by value is as invariant as one that it loads."""
    t, x = weft.shared(np.int64(2), "t"), weft.shared(np.ones(3), "x")
    f = weft.function([], [], updates=[(t, t + 1), (x, x * T.exp(T.cast(t + 1, "float64")))])
    loops = [part.partition("\n    }\n")[0] for part in str(f.source).split("for (int64_t ")[1:]]
    assert "weft_exp" in str(f.source) and not any("weft_exp" in loop for loop in loops)
