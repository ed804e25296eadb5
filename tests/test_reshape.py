"""Reshapes cost nothing: what is reshaped is stored by its own loops, and no index is a quotient."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compile.ops import as_op
from weft.ifelse import ifelse
from weft.runtime.errors import ShapeError
from weft.tensor.shared_randomstreams import RandomStreams

x, y = T.dmatrix("x"), T.dmatrix("y")
t = T.dtensor4("t")
v = T.dvector("v")
A, B = np.arange(6.0).reshape(2, 3) - 2, np.arange(12.0).reshape(3, 4) / 7
C = np.sin(np.arange(2 * 3 * 4 * 5.0)).reshape(2, 3, 4, 5)
rows = x.shape[0] * x.shape[1]
channels_last = t.dimshuffle(0, 2, 3, 1)
flat = channels_last.reshape((-1, t.shape[1]))

# Inputs, results, values, how many kernels there are at most.
CASES: dict[str, tuple[list[Any], list[Any], list[Any], int]] = {
    "computed": ([x], [T.exp(x).reshape((rows,))], [A], 1),
    "computed of two": ([x, v], [(x * v + 1).reshape((rows,))], [A, A[0]], 1),
    "transposed": ([x], [x.T.reshape((rows,))], [A], 1),
    "transposed, then computed": ([x], [T.exp(x.T.reshape((rows,))) * 2], [A], 2),
    "both": ([x], [T.exp(x), T.exp(x).reshape((rows,))], [A], 1),
    "twice": ([x], [T.exp(x).reshape((rows,)), T.exp(x).reshape((1, rows))], [A], 1),
    "a product": ([x, y], [T.dot(x, y).reshape((4, -1))], [A, B], 0),
    "a product of it": ([t, y], [T.dot(flat, y)], [C, B], 1),
    "rows of it": ([t], [T.nnet.softmax(flat)], [C], 2),
    "windows": ([t], [T.nnet.conv2d(t, t[:, :, :2, :3], filter_shape=(None, None, 2, 3))], [C], 4),
    "a part": ([x], [T.exp(x[1:].reshape((-1,)))], [A], 1),
    "split": ([v], [T.exp(v.reshape((2, 3))).sum(axis=0)], [A.ravel()], 1),
    "split and joined": ([t], [(t.reshape((2, 3, 2, 2, 5)).dimshuffle(0, 3, 1, 2, 4) * 2).reshape((2, -1))], [C], 1),
    "leading axes": ([t], [T.tanh(channels_last.reshape((t.shape[0], t.shape[2], -1)))], [C], 2),
    "sorted": ([x], [T.sort((x * 2).reshape((rows,)))], [-A], 1),
    "sums of it": ([x], [T.exp(x.T).reshape((-1,)).sum()], [A], 2),
    "a gradient": ([t], [weft.grad(T.sqr(T.nnet.softmax(flat)).sum(), t)], [C], 4),
    "a row of it": ([x], [T.exp(x.T).reshape((rows,))[2:4]], [A], 1),
    "nothing": ([x], [T.exp(x.T).reshape((rows,))], [A[:, :0]], 1),
}


def has_quotients(f: Any) -> list[str]:
    """Lines that divide indices element by element: those inside the innermost loops."""
    kernels = [part for part in re.split(r"\n(?=static void)", f.source) if part.startswith("static void k")]
    inner = [line for part in kernels for line in re.findall(r"^ {12,}.*$", part, re.M) if "int64_t i" not in line]
    return [line for line in inner if re.search(r"\w\)* [/%] \(*a->n", line) and "int64_t r" not in line]


@pytest.mark.parametrize("name", CASES)
def test_values_and_kernels(name: str) -> None:
    inputs, outputs, values, most = CASES[name]
    f = weft.function(inputs, outputs)
    wanted = weft.function(inputs, outputs, mode="interpret")(*values)
    for threads in (1, 2):
        f.threads = threads
        for have, want in zip(f(*values), wanted, strict=True):
            assert have.shape == want.shape
            np.testing.assert_allclose(have, want, rtol=1e-13, atol=1e-13)
    assert len(f.kernels) <= most, f.report()
    if name != "a row of it":
        assert not has_quotients(f), has_quotients(f)


def test_results_are_apart() -> None:
    """Two results that lie in memory alike are two arrays; a result is none of a state's."""
    w = weft.shared(A.copy(), "w")
    e = T.exp(x)
    f = weft.function([x], [e, e.reshape((rows,)), w.reshape((6,))], updates=[(w, (w.T * 2).reshape((2, 3)))])
    old = A.copy()
    for _ in range(3):
        a, b, c = f(A)
        assert not np.shares_memory(a, b) and not np.shares_memory(c, w.get_value(borrow=True))
        np.testing.assert_array_equal(c, old.ravel())
        old = (old.T * 2).reshape(2, 3)
        np.testing.assert_array_equal(w.get_value(), old)
        a[:] = 0
        assert b.any()


@pytest.mark.parametrize("rule", [
    lambda w: (w.T + 1).reshape(w.shape), lambda w: (w * 2).reshape((-1,)).reshape(w.shape),
    lambda w: (w[::-1] * 2).reshape((3, 2)), lambda w: T.exp(w).reshape((1, 6)),
    lambda w: T.dot(w.T, w).reshape((1, 9)),
])  # fmt: skip
def test_updates(rule: Any) -> None:
    """In place or not, as the interpreter does it."""
    states = []
    for mode in ("compile", "interpret"):
        w = weft.shared(A.copy())
        f = weft.function([], w.sum(), updates=[(w, rule(w))], mode=mode)
        results = [f()]
        states.append((w.get_value(), results))
    np.testing.assert_allclose(states[0][0], states[1][0], rtol=1e-14)
    assert states[0][1] == states[1][1]


def test_in_branches_and_loops() -> None:
    k = T.lscalar("k")
    picked = ifelse(k > 0, T.exp(x.T).reshape((rows,)), (x * 2).reshape((rows,)))
    turned = lambda r, s: (T.outer(r, s) + 1).T.reshape((9,))[:3] * s  # noqa: E731
    steps, _ = weft.scan(turned, sequences=x, outputs_info=T.ones(3))
    every, _ = weft.scan(lambda r: T.outer(r, r).T.reshape((9,)), sequences=x)
    masked = x[x.nonzero()]
    late = T.outer(masked, masked).T.reshape((-1,))
    product = T.exp(x).reshape((T.prod(x.shape),))  # whose length a kernel computes
    turned_x = T.exp(x).T.reshape((rows,))
    passed = ifelse(k > 0, turned_x, turned_x * 2)
    matrix = T.exp(x).reshape((3, 2))
    summed, _ = weft.scan(lambda e, m: T.dot(m, m.T).sum() * e, sequences=turned_x, non_sequences=matrix)
    called = as_op([T.dmatrix], [T.dmatrix])(np.negative)
    outs = [picked, steps, every, late, product, every.reshape((-1,)), passed, summed, called(x).reshape((rows,))]
    results = {m: weft.function([x, k], outs, mode=m) for m in ("compile", "interpret")}
    for n in (0, 1):
        for have, want in zip(results["compile"](A, n), results["interpret"](A, n), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-14)


def test_a_branch_of_unknown_lengths_takes_what_is_reshaped_for_a_result() -> None:
    a, c = (T.tensor("float64", shape=(1, None, 1), name=name) for name in "ac")
    both = a * v
    outputs = [both.flatten(), ifelse(T.sum(both) > 0, both, c), ifelse(T.sum(both) < 0, both, c).reshape((-1, 1))]
    values = C[:1, :, 0, :1], C[0, 0, 0], C[:1, 0, :, :1]
    f, g = (weft.function([a, v, c], outputs, mode=mode) for mode in ("compile", "interpret"))
    for got, wanted in zip(f(*values), g(*values), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_product_of_a_view_whose_middle_is_stored_for_a_loop() -> None:
    chosen = ifelse(T.sum(x) > 1, x * 0.5, T.tanh(y))
    w = T.tanh(T.dot(chosen.T, chosen)) * 0.25
    steps = weft.scan(
        lambda row, h, w: T.tanh(T.dot(w, row) + T.dot(h, w.T)),
        sequences=[chosen], outputs_info=[T.zeros_like(w[0])], non_sequences=[w], go_backwards=True,
    )[0]  # fmt: skip
    first = weft.grad(T.mean(steps), x)
    second = weft.grad(T.sum(first * first), x)
    f, g = (weft.function([x, y], second, mode=mode) for mode in ("compile", "interpret"))
    for value in (A, -A):
        np.testing.assert_allclose(f(value, B.T), g(value, B.T), rtol=1e-12, atol=1e-15)


def test_a_length_that_is_a_number_as_well() -> None:
    """The mean of what is reshaped divides by a quotient of lengths, of which types are made: no kernel stores it."""
    total = weft.foldl(lambda row, a: (a - row) * 0.5, x, x[0] * 0.5)[0]
    split = total.reshape((3, -1))
    product = T.dot(split.T, T.tanh(split))
    centred = product - T.mean(product, axis=1, keepdims=True)
    outputs = [split, ifelse(T.sum(x) > 0, centred * 0.5, x), total.shape[0] // 3]
    f, g = (weft.function([x], outputs, mode=mode) for mode in ("compile", "interpret"))
    for value in (np.sin(np.arange(24.0)).reshape(2, 12) + 1, np.zeros((2, 12))):
        for got, wanted in zip(f(value), g(value), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_a_vector_of_lengths_is_as_long_as_was_said(mode: str) -> None:
    n = T.lvector("n")
    for ndim, good, wrong in ((1, [6], [6, 5]), (2, [2, 3], [6])):
        f = weft.function([v, n], v.reshape(n, ndim=ndim), mode=mode)
        g = weft.function([n], RandomStreams(1).uniform(n, ndim=ndim), mode=mode)
        assert f(np.arange(6.0), good).shape == g(good).shape == tuple(good)
        for call in (lambda n, f=f: f(np.arange(6.0), n), g):
            with pytest.raises(ShapeError):
                call(wrong)
