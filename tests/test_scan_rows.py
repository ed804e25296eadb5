"""The rows of a loop's sequences are read where they lie: no step copies a slice, a reversal or a stretched value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from grad_check import check

import weft
import weft.tensor as T
from weft import scan
from weft.compiler.ir import lengths
from weft.compiler.ir.text import dump
from weft.compiler.schedule.steps import Block, Buffer, Step
from weft.ifelse import ifelse
from weft.runtime import pool
from weft.scan_module import until
from weft.tensor.shared_randomstreams import RandomStreams


def data(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=shape) * 4).astype(dtype)


def steps_of(block: Block) -> Iterable[Step]:
    for s in block.steps:
        yield s
        for b in s.blocks:
            yield from steps_of(b)


def program(f) -> list[Step]:
    f.steps  # noqa: B018  (builds the program, where it came from the cache)
    return list(steps_of(f.stages.program.block))


def loops(f) -> list[Step]:
    return [s for s in program(f) if s.kind == "scan"]


def copying(f) -> list[str]:
    """Kernels that only move values, and copies."""
    kernels = [s.node.attr("body") for s in program(f) if s.kind == "kernel"]
    moving = [
        r for r in kernels if all(n.family in ("view", "leaf") or n.dtype in ("int64", "bool") for n in r.nodes())
    ]
    return [dump(r) for r in moving] + [str(s.node) for s in program(f) if s.kind == "copy"]


def same(inputs: Sequence[Any], outputs: Any, *args: Any, want: Any = None, **kwargs: Any) -> Any:
    """The compiled function, after its values are those of the interpreter (and of NumPy, where given)."""
    f = weft.function(inputs, outputs, **kwargs)
    expected = weft.function(inputs, outputs, mode="interpret", **kwargs)(*args)
    got = f(*args)
    many = isinstance(outputs, (list, tuple))
    for a, b in zip(*((got, expected) if many else ([got], [expected])), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-12)
    if want is not None:
        np.testing.assert_allclose(got, want, rtol=1e-13)
    return f


SLICES: dict[str, Callable[[Any], Any]] = {
    "reversed": lambda x: x[::-1],
    "but the last": lambda x: x[:-1],
    "but the first": lambda x: x[1:],
    "every second of a part": lambda x: x[1:6:2],
    "every second, reversed": lambda x: x[::-2],
    "a part, reversed": lambda x: x[5:2:-1],
    "reversed twice": lambda x: x[::-1][1:][::-1],
    "more than there is": lambda x: x[-100:100],
    "nothing": lambda x: x[3:3],
}


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("name", SLICES)
def test_slices_are_not_copied(name: str, n: int) -> None:
    take = SLICES[name]
    x = T.dmatrix("x")
    value = data(n, 3)
    f = same([x], scan(lambda r: r * 2 + 1, take(x))[0], value, want=take(value) * 2 + 1)
    assert [s.kind for s in program(f)] == ["scan", "kernel"] and not copying(f)
    assert f.traffic(value)[0] == 16 * take(value).size and "not fused" not in f.report()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "bool", "complex64", "uint64"])
def test_types(dtype: str) -> None:
    x = T.TensorType(dtype, [False] * 3)("x")
    value = data(5, 2, 3, dtype=dtype) if dtype != "uint64" else np.arange(30, dtype="uint64").reshape(5, 2, 3)
    f = same([x], scan(lambda a, b, c: [a, b, c], [x[::-1], x[::-2], x[1:]], n_steps=3)[0], value)
    for got, want in zip(f(value), (value[::-1], value[::-2], value[1:]), strict=True):
        np.testing.assert_array_equal(got, want[:3])


def test_vectors_and_bounds_of_the_call() -> None:
    x, i, j = T.dvector("x"), T.lscalar("i"), T.lscalar("j")
    f = weft.function([x, i, j], scan(lambda v, h: v + 2 * h, x[i:j], outputs_info=T.zeros((), "float64"))[0][-1:])
    g = weft.function([x, i, j], scan(lambda v: v + 1, x[j:i:-1])[0])
    assert not copying(g)
    value = data(9)
    for a in range(-11, 12):
        for b in range(-11, 12):
            np.testing.assert_array_equal(g(value, a, b), value[b:a:-1] + 1)
            h = 0.0
            for v in value[a:b]:
                h = v + 2 * h
            got = f(value, a, b)
            np.testing.assert_array_equal(got, [h] if len(value[a:b]) else [])


def test_an_index_out_of_range_is_still_an_error() -> None:
    x, i = T.dtensor3("x"), T.lscalar("i")
    f = weft.function([x, i], scan(lambda r: r + 1, x[i, ::-1])[0])
    assert not copying(f) and loops(f)[0].views
    value = data(2, 3, 4)
    np.testing.assert_array_equal(f(value, -1), value[-1, ::-1] + 1)
    for wrong in (2, -3):
        with pytest.raises(IndexError, match=f"{wrong}"):
            f(value, wrong)


def test_axes_within_rows() -> None:
    x = T.dtensor3("x")
    value = data(4, 5, 6)
    contiguous = [lambda x: x[:, 1:4], lambda x: x[::-1, 2], lambda x: x[:, 2, 1:3], lambda x: x.reshape((20, 6))[::-1]]
    contiguous += [lambda x: x[1, ::2], lambda x: x[:, 1:2, ::1], lambda x: x[1:3].reshape((5, 2, 6))[::-1]]
    contiguous += [lambda x: x[::-1].reshape((4, *x.shape[1:])), lambda x: x[2, 1:3].reshape((3, 4))]
    for k, take in enumerate(contiguous):
        f = same([x], scan(lambda r: r + 1, take(x))[0], value, want=take(value) + 1)
        assert not copying(f) and [s.kind for s in program(f)] == ["scan", "kernel"], k
    apart = [lambda x: x[:, :, 1:4], lambda x: x[:, ::-1], lambda x: x[:, ::2], lambda x: x[..., 0]]
    apart += [lambda x: x.transpose(0, 2, 1), lambda x: x.transpose(1, 0, 2), lambda x: x[::-1].reshape((20, 6))]
    apart += [lambda x: x[:, 1:3].reshape((8, 6)), lambda x: x[::-1].reshape((4, 6, 5))]
    for k, take in enumerate(apart):
        f = same([x], scan(lambda r: r + 1, take(x))[0], value, want=take(value) + 1)
        assert copying(f), k
    m = T.dmatrix("m")
    part = value[0, :4, :3]
    same([m], scan(lambda r: r + 1, m[::-1].reshape((3, 4)))[0], part, want=part[::-1].reshape(3, 4) + 1)
    one = T.TensorType("float64", (False, True, False))("one")
    for take in (lambda x: x[:, ::-1], lambda x: x.transpose(0, 2, 1), lambda x: x[:, 0, :]):
        f = same([one], scan(lambda r: r + 1, take(one))[0], value[:, :1], want=take(value[:, :1]) + 1)
        assert not copying(f)


def test_the_leading_axis_may_be_any_of_those_in_memory() -> None:
    x = T.dmatrix("x")
    value = data(4, 5)
    f = same([x], scan(lambda v: v + 1, x[:, 2])[0], value, want=value[:, 2] + 1)
    g = same([x], scan(lambda v: v + 1, x.T[3, ::-1])[0], value, want=value.T[3, ::-1] + 1)
    assert not copying(f) and not copying(g)


def test_stretched_values() -> None:
    v, n = T.dvector("v"), T.lscalar("n")
    value = data(3)
    f = same([v, n], scan(lambda r, h: h * 2 + r, T.alloc(v, n, v.shape[0]), outputs_info=v)[0][-1], value, 4)
    (loop,) = loops(f)
    assert lengths.static(loop.views[1].stride) == 0 and not copying(f)[1:]  # the initial value has an axis of its own
    s = T.dscalar("s")
    g = same([s, n], scan(lambda r: r + 1, T.alloc(s * s, n))[0], 3.0, 4, want=[10.0] * 4)
    assert lengths.static(loops(g)[0].views[1].stride) == 0 and not copying(g)


def test_scalars_stretched() -> None:
    x, v, n = T.dmatrix("x"), T.dvector("v"), T.lscalar("n")
    (found,) = T.nonzero(v > 0)
    inputs, args = [x, v, n], (data(3, 3), data(5), 4)
    scalars = [x.shape[0], x.shape[0] * 2, n, n * n + 1, found.shape[0], found.shape[0] * 2 + n]
    scalars += [x.sum(), x.sum() * 2, T.cast(x.sum(), "int64"), x[0, 1], T.exp(x[0, 1]), T.dot(x[0], x[1])]
    for s in scalars:
        out = scan(lambda a, b: a + b, [T.alloc(s, n), T.alloc(s, n)[::-1]])[0]
        f = same(inputs, out, *args, on_unused_input="ignore")
        assert set(loops(f)[0].views) == {1, 2}


def test_initial_values() -> None:
    x = T.dtensor3("x")
    value = data(6, 4, 3)
    contiguous = [lambda x: x[2:4], lambda x: x[1, 1:3], lambda x: x.reshape((8, 9))[3:5]]
    for take in contiguous:
        info = dict(initial=take(x)[:2], taps=[-2, -1])
        f = same([x], scan(lambda a, b: a * 2 - b, outputs_info=info, n_steps=5)[0], value)
        assert loops(f)[0].views[1].stride is None
    apart = [lambda x: x[::-1], lambda x: x[:, 1], lambda x: x[:2, :, :2], lambda x: x.transpose(1, 2, 0)]
    for take in [*apart, lambda x: x[4, 1:, 0:1]]:
        info = dict(initial=take(x)[:2], taps=[-2, -1])
        f = same([x], scan(lambda a, b: a * 2 - b, outputs_info=info, n_steps=5)[0], value)
        assert not loops(f)[0].views and copying(f)
    h = x[3]  # one value, whose axis of earlier ones is of length 1
    f = same([x], scan(lambda r, h: r - h, x[::-1], outputs_info=h)[0][-1], value)
    assert set(loops(f)[0].views) == {1, 2} and "scan(d0.0, b0[" in str(f.steps)
    s = weft.shared(value[0], "s")
    last = scan(lambda r, h: r - h, x, outputs_info=s)[0][-1]
    f = weft.function([x], last, updates=[(s, s + last)])
    want = value[0]
    for _ in range(2):
        got = want
        for r in value:
            got = r - got
        np.testing.assert_allclose(f(value), got, rtol=1e-12)
        want = want + got
        np.testing.assert_allclose(s.get_value(), want, rtol=1e-12)


def test_what_is_computed_is_stored_in_its_own_order() -> None:
    x, w = T.dmatrix("x"), T.dmatrix("w")
    value, weights = data(6, 3), data(3, 3, seed=1)

    def step(r: Any, h: Any) -> Any:
        return T.tanh(r + h)

    for y in (T.exp(x) * 2, T.dot(x, w), T.dot(x, w) + 1, T.concatenate([x, x + 1])):
        out = scan(step, y[::-1], outputs_info=T.zeros((3,), "float64"))[0]
        f = same([x, w], [out[-1], y.sum()], value, weights, on_unused_input="ignore")
        (loop,) = loops(f)
        assert 1 in loop.views and not [c for c in copying(f) if "slice" in c]
    # All of it is not computed for a few of its rows.
    f = same([x], scan(lambda r: r + 1, T.exp(x)[2:4])[0], value, want=np.exp(value[2:4]) + 1)
    assert not loops(f)[0].views
    f = same([x], scan(lambda r: r + 1, T.exp(x)[:, ::-1][1:])[0], value, want=np.exp(value[1:, ::-1]) + 1)
    assert "slice" in str(f.kernels[0])


def test_a_product_is_there_before_the_loop_that_reads_its_rows() -> None:
    x, w = T.dmatrix("x"), T.dmatrix("w")
    y = T.dot(x, w)
    last = scan(lambda r, h: r + h, y[::-1], outputs_info=T.zeros((3,), "float64"))[0][-1]
    value, weights = data(6, 3), data(3, 3, seed=1)
    for outputs in ([last, T.tanh(y)], [T.tanh(y), last], [last, T.tanh(y + last)], [T.dot(y.T, x), T.tanh(y), last]):
        f = same([x, w], outputs, value, weights)
        assert loops(f)[0].views


def test_several_loops_and_results_read_one_value() -> None:
    x = T.dmatrix("x")
    y = T.exp(x)
    one = scan(lambda a, b: a - b, [y[1:], y[:-1]])[0]
    two = scan(lambda a, h: a + h, y[::-1], outputs_info=T.zeros((3,), "float64"))[0]
    value = data(6, 3)
    for outputs in ([one, two], [one, two, y], [two[::-1], one[1:]]):
        f = same([x], outputs, value)
        assert all(1 in s.views and s.inputs[1] is loops(f)[0].inputs[1] for s in loops(f))
    f = same([x], [y[::-1], two], value)  # what is stored reversed anyway is read from there
    (loop,) = loops(f)
    assert 1 not in loop.views and isinstance(loop.inputs[1], Buffer) and loop.inputs[1].place == "output"
    assert not [c for c in copying(f) if "-1), (" in c]


def test_nested_loops() -> None:
    x = T.dtensor3("x")

    def inner(m: Any, first: Any) -> Any:
        down = scan(lambda r, h: r - h, m[::-1], outputs_info=first)[0]
        across = scan(lambda a, b, h: a * h + b, [m[1:], down[::-1][:-1]], outputs_info=first)[0]
        return scan(lambda r: r.sum(), T.concatenate([down, across])[::-1])[0]

    out = scan(inner, x[::-1], non_sequences=x[0, 0])[0]
    for shape in ((4, 5, 3), (2, 1, 3), (1, 2, 1)):
        f = same([x], out, data(*shape))
    assert [len(s.views) for s in loops(f)].count(0) == 0 and len(loops(f)) == 4


def test_a_loop_in_a_branch_in_a_loop() -> None:
    x, c = T.dtensor3("x"), T.dscalar("c")

    def row(m: Any) -> Any:
        one = scan(lambda r, h: r - h, m[::-1], outputs_info=m[0])[0][-1]
        two = scan(lambda r, h: r * h, m[1:], outputs_info=m[0])[0][-1]
        return ifelse(T.gt(m.sum(), c), one, two)

    out = scan(row, x[::-2])[0]
    f = same([x, c], out, data(5, 4, 2), 0.0)
    assert len(loops(f)) == 3 and all(s.views for s in loops(f))


def test_the_value_lives_as_long_as_the_loop() -> None:
    """Values of the same size are made in the loop: none takes the place of what the next step reads."""
    x = T.dmatrix("x")
    y = T.exp(x)

    def step(r: Any, h: Any) -> Any:
        a = T.dot(h, h.T) + r
        return T.tanh(T.dot(T.exp(a / 100), T.sort(h)) + r)

    out = scan(step, y[::-1], outputs_info=T.zeros_like(x))[0]
    same([x], [out[-1], T.exp(out[-1]).sum()], data(4, 4) / 4)


def test_run_time_lengths() -> None:
    x, limit = T.dvector("x"), T.dscalar("limit")
    (found,) = T.nonzero(x > 0)
    some = x[found]
    f = same([x], scan(lambda v, h: v + 2 * h, some[::-1], outputs_info=T.zeros((), "float64"))[0][-1], data(20))
    assert not [c for c in copying(f) if "slice" in c]
    kept = scan(lambda v: (v * 2, until(v > limit)), x[::-1])[0]
    back = scan(lambda v, w: v + w, [kept[::-1], T.exp(kept)[::-1]])[0]
    for value in (np.arange(9.0), np.arange(9.0)[::-1].copy(), -np.arange(3.0)):
        f = same([x, limit], [kept, back], value, 4.5)
        assert all(s.views for s in loops(f)) and len(loops(f)) == 2
    m = T.dmatrix("m")
    k = T.cast(m.sum(), "int64")  # a bound that the call computes
    f = same([m], scan(lambda r: r + 1, m[k : k + 2, :k][::-1])[0], np.ones((2, 2)) / 2)
    f = same([m], scan(lambda r: r + 1, m[: k + 2 : 2][::-1])[0], np.ones((9, 1)) / 4)
    assert not copying(f)


def test_shared_variables_updated_from_what_the_loop_reads() -> None:
    start, unused = data(5, 3), {"on_unused_input": "ignore"}
    x = T.dmatrix("x")
    for update in (
        lambda s, out: s + 1,
        lambda s, out: s * 2 + x,
        lambda s, out: s - out[-1],
        lambda s, out: out[::-1],
        lambda s, out: T.tanh(s + out),
        lambda s, out: T.dot(s, T.dot(x.T, x)) * 2,
    ):
        found = []
        for mode in ("interpret", "compile"):
            s = weft.shared(start, "s")
            out = scan(lambda r, q, h: r * 2 + q - h, [s[::-1], s], outputs_info=T.zeros((3,), "float64"))[0]
            f = weft.function([x], [out, out[-1]], updates=[(s, update(s, out))], mode=mode, **unused)
            values = [f(data(5, 3, seed=i)) for i in range(3)]
            found.append([*(a for v in values for a in v), s.get_value()])
            if mode == "compile":
                assert 1 in loops(f)[0].views
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_updates_in_place_run_after_the_loop() -> None:
    s, t = weft.shared(data(4, 2), "s"), weft.shared(data(4, 2, seed=1), "t")
    out = scan(lambda a, b: a - b, [s[::-1], t[::-1]])[0]
    f = weft.function([], out, updates=[(s, s + t), (t, t * 2 + 1)])
    f.steps  # noqa: B018
    assert f.stages.program.in_place() and loops(f)[0].views
    for _ in range(3):
        a, b = s.get_value(), t.get_value()
        np.testing.assert_array_equal(f(), (a - b)[::-1])
        np.testing.assert_array_equal(s.get_value(), a + b)
        np.testing.assert_array_equal(t.get_value(), b * 2 + 1)


def test_sequences_of_random_states() -> None:
    """The backward loop reads the states of the stream from last to first."""
    x = T.dvector("x")
    rng = RandomStreams(3)
    outs, updates = scan(lambda v, h: T.tanh(v * h + rng.normal(())), x, outputs_info=T.ones((), "float64"))
    g = weft.grad(outs[-1] ** 2, x)
    found = []
    for mode in ("interpret", "compile"):
        rng.seed(5)
        f = weft.function([x], [outs[-1], g], updates=updates, mode=mode)
        found.append([np.array(a) for _ in range(2) for a in f(data(4))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def rnn(X: Any, h: Any, W: Any) -> Any:
    return scan(lambda x, h, W: T.tanh(x + T.dot(h, W)), X, outputs_info=h, non_sequences=W)[0]


def test_gradients() -> None:
    points = data(4, 3), data(3, seed=1), data(3, 3, seed=2) / 4
    check(lambda X, h, W: rnn(X[::-1], h, W), *points, order=2)
    check(lambda X, h, W: rnn(X[1:], h, W) + rnn(X[:-1], h, W)[::-1], *points, order=2)
    check(lambda X, h, W: rnn(T.exp(X)[::-2], h, W), *points)


def test_a_gradient_copies_no_sequence() -> None:
    X, h0, W, y = T.dtensor3("X"), T.dmatrix("h0"), T.dmatrix("W"), T.dtensor3("y")
    cost = ((rnn(X, h0, W) - y) ** 2).sum()
    f = weft.function([X, h0, W, y], [cost, *weft.grad(cost, [W, h0, X])])
    assert len(loops(f)) == 2 and len(loops(f)[1].views) >= 2
    n, m, k = 7, 4, 3
    args = data(n, m, k), data(m, k, seed=1), data(k, k, seed=2), data(n, m, k, seed=3)
    g = weft.function([X, h0, W, y], [cost, *weft.grad(cost, [W, h0, X])], mode="interpret")
    for a, b in zip(f(*args), g(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 4])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    X, h0, W = T.ftensor3("X"), T.fmatrix("h0"), T.fmatrix("W")
    cost = rnn(T.exp(X)[::-1], h0, W).sum()
    f = weft.function([X, h0, W], [cost, *weft.grad(cost, [W, X])])
    args = [data(*s, dtype="float32", seed=i) / 8 for i, s in enumerate([(9, 65, 70), (65, 70), (70, 70)])]
    pool.set_threads(1)
    want = f(*args)
    pool.set_threads(threads)
    try:
        for a, b in zip(f(*args), want, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    finally:
        pool.set_threads(0)


def chain(rng: np.random.Generator, y: Any, a: np.ndarray) -> tuple[Any, np.ndarray]:
    """A value, symbolic and as it is, through a few views."""
    for _ in range(rng.integers(1, 5)):
        kind = rng.choice(["slice", "slice", "slice", "transpose", "reshape", "alloc"])
        if kind == "slice":
            at: list[Any] = []
            for n in a.shape:
                start, stop = (int(v) if rng.random() < 0.5 else None for v in rng.integers(-n - 1, n + 2, 2))
                whole = slice(None) if rng.random() < 0.5 else slice(start, stop, int(rng.choice([1, 1, -1, 2, -3])))
                at.append(int(rng.integers(-n, n)) if rng.random() < 0.15 and n and a.ndim > 1 else whole)
            if a[tuple(at)].ndim:
                y, a = y[tuple(at)], a[tuple(at)]
        elif kind == "transpose":
            order = [int(k) for k in rng.permutation(a.ndim)]
            y, a = y.dimshuffle(*order), a.transpose(order)
        elif kind == "reshape" and a.ndim > 1:
            k = int(rng.integers(a.ndim - 1))
            shape = (*a.shape[:k], a.shape[k] * a.shape[k + 1], *a.shape[k + 2 :])
            y, a = y.reshape(shape, ndim=len(shape)), a.reshape(shape)
        elif kind == "alloc" and a.ndim < 4:
            n = int(rng.integers(1, 4))
            y, a = T.alloc(y, n, *(y.shape[k] for k in range(a.ndim))), np.broadcast_to(a, (n, *a.shape))
    return y, a


@pytest.mark.parametrize("seed", range(6))
def test_chains_of_views(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, value = T.dtensor3("x"), data(5, 4, 6, seed=seed)
    outs, want = [], []
    for _ in range(12):
        base, known = (x, value) if rng.random() < 0.6 else (x * 2 + 1, value * 2 + 1)
        (y, a), (z, b) = chain(rng, base, known), chain(rng, base, known)
        outs.append(scan(lambda r: r * 3, y)[0])
        want.append(a * 3)
        if len(b) > 1:  # views as initial values: the sum of the last and the first of them, and so on
            info = dict(initial=z, taps=[-len(b), -1])
            outs.append(scan(lambda first, last: first + last, outputs_info=info, n_steps=4)[0])
            history = list(b)
            for _ in range(4):
                history.append(history[-len(b)] + history[-1])
            want.append(np.array(history[len(b) :]))
    f = weft.function([x], outs)
    for k, (got, w) in enumerate(zip(f(value), want, strict=True)):
        np.testing.assert_allclose(got, w, rtol=1e-13, err_msg=str(k))
    assert {bool(s.views) for s in loops(f) if s.node.attr("sequences")} == {True, False}


def test_a_view_on_the_way_is_stored_in_an_order_of_its_own() -> None:
    x, limit = T.dtensor3("x"), T.dscalar("limit")
    value = data(4, 5, 3)
    for y in (x, T.exp(x) / 2):
        z = y.dimshuffle(1, 2, 0)  # which a routine and the result want
        column = dict(initial=z[0, :, 1][:2], taps=[-2, -1])
        outs = [y, z, T.sort(z), scan(lambda r: r + 1, z[1:3].dimshuffle(2, 0, 1)[::-1])[0]]
        outs.append(scan(lambda a, b: a + b, outputs_info=column, n_steps=3)[0])
        f = same([x], outs, value)
        assert all(s.views for s in loops(f))
        ended = scan(lambda r, q: (r - q, until(r.sum() > limit)), [z[1:3].dimshuffle(2, 0, 1)[::-1], y[:, 1:3]])[0]
        again = scan(lambda r: r * 2, T.exp(ended)[::-1])[0]
        for last in (-1e9, 0.0, 1e9):
            f = same([x, limit], [y, z, ended, ended.sum(), again, T.sort(z)], value, last)
            assert all(s.views for s in loops(f)) and len(loops(f)) == 2


def test_a_loop_that_ends_early_over_computed_values() -> None:
    x, limit = T.dmatrix("x"), T.dscalar("limit")
    y = T.exp(x)
    h = scan(lambda r, h: (r + h / 2, until(h.sum() > limit)), y[::-1], outputs_info=y[0])[0]
    out = scan(lambda a, b, h: a * b - h / 2, [h[1:], h[:-1]], outputs_info=h[-1])[0]
    for last in (-1e9, 40.0, 1e9):
        f = same([x, limit], [h, out, out.shape[0], T.tanh(h) - y[: h.shape[0]]], data(6, 3) / 4, last)
        assert all(s.views for s in loops(f)) and len(loops(f)) == 2
