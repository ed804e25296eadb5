"""What is before and after a matrix product runs inside it: same values, same bits, no memory of its own."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime import pool


def steps(f) -> str:
    return str(f.steps)


def data(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "complex64"])
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 5, 2), (100, 784, 65), (130, 33, 300), (0, 4, 3), (4, 0, 3)])
def test_bias_and_activation(m: int, k: int, n: int, dtype: str) -> None:
    x, w, b = (T.TensorType(dtype, [False] * n)(name) for name, n in (("x", 2), ("w", 2), ("b", 1)))
    out = T.dot(x, w) + b
    out = out * out if dtype == "complex64" else T.maximum(out, 1)
    f = weft.function([x, w, b], out)
    assert "each rectangle then" in steps(f) and "arena" not in steps(f)
    held = dtype if dtype != "bfloat16" else "float32"
    args = [(data(*s, seed=i) * 3).astype(held) for i, s in enumerate([(m, k), (k, n), (n,)])]
    if dtype == "bfloat16":
        ml_dtypes = pytest.importorskip("ml_dtypes")
        args = [a.astype(ml_dtypes.bfloat16) for a in args]
    apart = weft.function([x, w], T.dot(x, w))(*args[:2])
    c = T.TensorType(dtype, [False] * 2)("c")
    after = c + b
    after = after * after if dtype == "complex64" else T.maximum(after, 1)
    np.testing.assert_array_equal(f(*args), weft.function([c, b], after)(apart, args[2]))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    x, w, b = T.fmatrix("x"), T.fmatrix("w"), T.fvector("b")
    f = weft.function([x, w, b], T.tanh(T.dot(x, w) + b))
    args = data(257, 1030), data(1030, 139, seed=1), data(139, seed=2)
    pool.set_threads(1)
    want = f(*args)
    pool.set_threads(threads)
    try:
        assert f(*args).tobytes() == want.tobytes()
    finally:
        pool.set_threads(0)


def test_a_product_is_there_for_a_step_that_reads_it_through_strides() -> None:
    x, w, y = T.fmatrix("x"), T.fmatrix("w"), T.fmatrix("y")
    c = T.dot(x, w)
    f = weft.function([x, w, y], [T.dot(c.T, y), T.tanh(c)])
    a, b, d = data(7, 5), data(5, 4, seed=1), data(7, 3, seed=2)
    p = weft.function([x, w], c)(a, b)
    np.testing.assert_array_equal(f(a, b, d)[0], weft.function([x, w], T.dot(x.T, w))(p, d))
    np.testing.assert_array_equal(f(a, b, d)[1], weft.function([x], T.tanh(x))(p))


def test_the_product_stays_where_it_is_read_again() -> None:
    x, w = T.fmatrix("x"), T.fmatrix("w")
    c = T.dot(x, w)
    f = weft.function([x, w], [T.exp(c) + 1, T.dot(c, w), c])
    assert "each rectangle then" in steps(f)
    a, b = data(7, 5), data(5, 5, seed=1)
    got = f(a, b)
    np.testing.assert_allclose(got[0], np.exp(a @ b) + 1, rtol=1e-5)
    np.testing.assert_allclose(got[1], a @ b @ b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got[2], a @ b, rtol=1e-4, atol=1e-5)


def test_two_products_in_one_kernel() -> None:
    """The last is followed, the other one is there by then."""
    x, w, h, u = (T.fmatrix(n) for n in "xwhu")
    f = weft.function([x, w, h, u], T.tanh(T.dot(x, w) + T.dot(h, u)))
    assert steps(f).count("each rectangle then") == 1
    args = data(6, 4), data(4, 3, seed=1), data(6, 5, seed=2), data(5, 3, seed=3)
    np.testing.assert_allclose(f(*args), np.tanh(args[0] @ args[1] + args[2] @ args[3]), rtol=1e-5, atol=1e-6)


def test_a_transposed_reader_is_a_kernel_of_its_own() -> None:
    x, w = T.fmatrix("x"), T.fmatrix("w")
    c = T.dot(x, w)
    f = weft.function([x, w], c.T + c)
    assert "each rectangle then" not in steps(f)
    a, b = data(6, 4), data(4, 6, seed=1)
    np.testing.assert_allclose(f(a, b), (a @ b).T + a @ b, rtol=1e-4, atol=1e-5)


def test_an_update_of_a_product_reads_old_values() -> None:
    """W takes part in the product whose result replaces it."""
    first = data(5, 5)
    w = weft.shared(first, "w")
    x = T.fmatrix("x")
    f = weft.function([x], T.sum(w), updates=[(w, w - np.float32(0.5) * T.dot(x, w))])
    assert "each rectangle then" in steps(f)
    a = data(5, 5, seed=1)
    want = first
    for _ in range(3):
        np.testing.assert_allclose(f(a), want.sum(), rtol=1e-4)
        want = want - np.float32(0.5) * (a @ want)
    np.testing.assert_allclose(w.get_value(), want, rtol=1e-3)


def test_an_index_error_between_leaves_shared_variables() -> None:
    w = weft.shared(data(4, 4), "w")
    before = w.get_value()
    x, i = T.fmatrix("x"), T.lscalar("i")
    f = weft.function([x, i], [], updates=[(w, T.exp(T.dot(x, w)) + x[i])])
    with pytest.raises(IndexError):
        f(data(4, 4), 9)
    np.testing.assert_array_equal(w.get_value(), before)


def test_in_a_loop_and_in_a_branch() -> None:
    h, w, s = T.fmatrix("h"), T.fmatrix("w"), T.lscalar("s")
    states, _ = weft.scan(lambda p: T.tanh(T.dot(p, w) + 1), outputs_info=[h], n_steps=4)
    out = weft.ifelse.ifelse(s > 0, states[-1], T.exp(T.dot(h, w)))
    f = weft.function([h, w, s], out)
    assert steps(f).count("each rectangle then") == 2
    a, b = data(3, 3), data(3, 3, seed=1)
    want = a
    for _ in range(4):
        want = np.tanh(want @ b + 1)
    np.testing.assert_allclose(f(a, b, 1), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(f(a, b, 0), np.exp(a @ b), rtol=1e-4)


# What follows a batch of products; beside it a bias, one for each product, and a row of numbers for each row of them.
AFTER_A_BATCH = [
    ("bias", lambda c, b, each, rows: T.tanh(c + b), True),
    ("bias of each product", lambda c, b, each, rows: T.tanh(c + each), True),
    ("numbers of each row", lambda c, b, each, rows: T.maximum(c * rows, 0.5), True),
    ("all", lambda c, b, each, rows: (c + b + each) * rows, True),
    ("other shape", lambda c, b, each, rows: c.reshape((c.shape[0] * c.shape[1], c.shape[2])) + b, True),
    ("transposed", lambda c, b, each, rows: c.dimshuffle(0, 2, 1) + 1, False),
    ("last products first", lambda c, b, each, rows: c[::-1] + 1, False),
    ("shifted", lambda c, b, each, rows: c[:, 1:] + 1, False),
]


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (5, 3, 4, 2), (2, 70, 33, 90), (7, 0, 2, 3), (0, 2, 2, 3), (3, 2, 0, 4)]
)
@pytest.mark.parametrize("name, follow, paired", AFTER_A_BATCH)
def test_after_a_batch(name: str, follow, paired: bool, shape: tuple[int, ...]) -> None:
    batch, m, k, n = shape
    x, w, c = (T.ftensor3(v) for v in "xwc")
    biases = [T.fvector("b"), T.ftensor3("each"), T.ftensor3("rows")]
    wide = [biases[0], T.addbroadcast(biases[1], 1), T.addbroadcast(biases[2], 0)]
    a, b = data(batch, m, k), data(batch, k, n, seed=1)
    rest = data(n, seed=2), data(batch, 1, n, seed=3), data(1, m, n, seed=4)
    f = weft.function([x, w, *biases], follow(T.batched_dot(x, w), *wide), on_unused_input="ignore")
    assert ("each rectangle then" in steps(f)) is paired
    product = weft.function([x, w], T.batched_dot(x, w))(a, b)
    after = weft.function([c, *biases], follow(c, *wide), on_unused_input="ignore")
    np.testing.assert_array_equal(f(a, b, *rest), after(product, *rest))


def test_after_a_product_of_more_axes() -> None:
    """A tensordot is a matrix product whose rows several loops run over."""
    x, w, b = T.ftensor3("x"), T.fmatrix("w"), T.fvector("b")
    f = weft.function([x, w, b], T.exp(T.tensordot(x, w, 1) + b))
    assert "each rectangle then" in steps(f)
    args = data(4, 3, 5), data(5, 6, seed=1), data(6, seed=2)
    np.testing.assert_allclose(f(*args), np.exp(args[0] @ args[1] + args[2]), rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 150, 300, 100), (9, 40, 30, 70), (1, 60, 1030, 20)])
def test_bits_of_a_batch_do_not_depend_on_threads(shape: tuple[int, ...]) -> None:
    batch, m, k, n = shape
    x, w, b = T.ftensor3("x"), T.ftensor3("w"), T.ftensor3("b")
    f = weft.function([x, w, b], T.tanh(T.batched_dot(x, w) + T.addbroadcast(b, 1)))
    assert "each rectangle then" in steps(f)
    args = data(batch, m, k), data(batch, k, n, seed=1), data(batch, 1, n, seed=2)
    found = []
    try:
        for threads in (1, 2, 3):
            pool.set_threads(threads)
            found.append(f(*args).tobytes())
    finally:
        pool.set_threads(0)
    assert found[0] == found[1] == found[2]
    alone = weft.function([x, w, b], T.tanh(T.batched_dot(x, w) + T.addbroadcast(b, 1)))(*(a[-1:] for a in args))
    np.testing.assert_array_equal(alone, f(*args)[-1:])


# Kernels of whole rows and whole columns

SIZES = [(1, 1, 1), (3, 5, 2), (100, 784, 10), (130, 33, 300), (40, 600, 1500), (700, 9, 33), (4, 0, 3), (0, 4, 3)]


def softmax(c, b):
    return T.nnet.softmax(c + b)


def centred(c, b):
    return c + b - T.mean(c, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("follow", [softmax, centred])
@pytest.mark.parametrize("m, k, n", SIZES)
def test_whole_rows(m: int, k: int, n: int, follow, dtype: str) -> None:
    x, w, c = (T.TensorType(dtype, [False] * 2)(v) for v in "xwc")
    b = T.TensorType(dtype, [False])("b")
    f = weft.function([x, w, b], follow(T.dot(x, w), b))
    assert "each row then" in steps(f)
    args = data(m, k, dtype=dtype), data(k, n, dtype=dtype, seed=1), data(n, dtype=dtype, seed=2)
    want = weft.function([c, b], follow(c, b))(weft.function([x, w], T.dot(x, w))(*args[:2]), args[2])
    for threads in (1, 2, 3):
        with weft.limit_threads(threads):
            assert f(*args).tobytes() == want.tobytes()


HEADS = [(1, 1, 1, 1), (5, 3, 4, 2), (2, 70, 33, 90), (3, 2, 0, 4), (40, 20, 8, 20), (2, 300, 20, 900)]


@pytest.mark.parametrize("shape", HEADS)
def test_rows_of_a_batch(shape: tuple[int, ...]) -> None:
    """Attention: softmax over what the scores of each head are."""
    batch, m, k, n = shape
    q, keys, c = (T.ftensor3(v) for v in ("q", "keys", "c"))
    f = weft.function([q, keys], T.nnet.softmax(T.batched_dot(q, keys) * np.float32(0.125), axis=-1))
    assert "each row then" in steps(f)
    a, b = data(batch, m, k), data(batch, k, n, seed=1)
    product = weft.function([q, keys], T.batched_dot(q, keys))(a, b)
    want = weft.function([c], T.nnet.softmax(c * np.float32(0.125), axis=-1))(product)
    for threads in (1, 2, 3):
        with weft.limit_threads(threads):
            assert f(a, b).tobytes() == want.tobytes()


@pytest.mark.parametrize("m, k, n", [s for s in SIZES if s[0]] + [(1500, 20, 5000), (2100, 3, 300)])
def test_whole_columns(m: int, k: int, n: int) -> None:
    """A layer's gradient and, folded over the batch, that of its bias."""
    d, w, h, c = (T.fmatrix(v) for v in ("d", "w", "h", "c"))

    def after(product):
        delta = product * (h > 0)
        return [delta, T.sum(delta, axis=0)]

    f = weft.function([d, w, h], after(T.dot(d, w)))
    assert "each column then" in steps(f)
    args = data(m, k), data(k, n, seed=1), data(m, n, seed=2)
    want = weft.function([c, h], after(c))(weft.function([d, w], T.dot(d, w))(*args[:2]), args[2])
    for threads in (1, 2, 3):
        with weft.limit_threads(threads):
            for got, should in zip(f(*args), want, strict=True):
                assert got.tobytes() == should.tobytes()


def test_rectangles_then_columns() -> None:
    """The kernel of rectangles stores what two products and, in columns, a fold read."""
    x, w, u = (T.fmatrix(v) for v in "xwu")
    delta = T.tanh(T.dot(x, w))
    f = weft.function([x, w, u], [T.dot(delta, u), T.dot(x.T, delta), T.sum(T.exp(delta) * 2, axis=0) + 1])
    assert "each rectangle then" in steps(f) and "each column then" in steps(f)
    args = data(50, 20), data(20, 300, seed=1), data(300, 7, seed=2)
    t = np.tanh(args[0] @ args[1])
    for got, want in zip(f(*args), [t @ args[2], args[0].T @ t, (np.exp(t) * 2).sum(0) + 1], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "after",
    [
        lambda c, v: T.sum(c[::-1] * 2, axis=1),  # other rows
        lambda c, v: T.sum(c, axis=1) + T.sum(c, axis=0)[0],  # rows that wait for columns
        lambda c, v: T.nnet.softmax(c.T),  # columns as rows
        lambda c, v: T.sum(c[:, 1:], axis=1),  # part of a row
    ],
)
def test_rows_that_are_not_the_products(after) -> None:
    x, w, v, c = T.fmatrix("x"), T.fmatrix("w"), T.fvector("v"), T.fmatrix("c")
    f = weft.function([x, w], after(T.dot(x, w), v), on_unused_input="ignore")
    a, b = data(30, 20), data(20, 40, seed=1)
    product = weft.function([x, w], T.dot(x, w))(a, b)
    np.testing.assert_array_equal(f(a, b), weft.function([c], after(c, v), on_unused_input="ignore")(product))


# Operands that are made


@pytest.mark.parametrize("m, k, n", [*SIZES, (13, 1100, 520)])
@pytest.mark.parametrize(
    "name, left, right",
    [
        ("left", lambda x, v: x * 2 + v, lambda w: w),
        ("right", lambda x, v: x, lambda w: T.maximum(w, 0)),
        ("both", lambda x, v: x - v, lambda w: w / 3),
        ("turned", lambda x, v: (x.T * 2).T, lambda w: T.switch(w > 0, w, 1).T.T),
    ],
)
def test_operands_are_made_where_they_are_read(m: int, k: int, n: int, name: str, left, right) -> None:
    x, w, v, p, q = T.fmatrix("x"), T.fmatrix("w"), T.fvector("v"), T.fmatrix("p"), T.fmatrix("q")
    f = weft.function([x, w, v], T.dot(left(x, v), right(w)), on_unused_input="ignore")
    assert "made by" in steps(f)
    args = data(m, k), data(k, n, seed=1), data(k, seed=2)
    ready = weft.function([x, w, v], [left(x, v), right(w)], on_unused_input="ignore")(*args)
    want = weft.function([p, q], T.dot(p, q))(*ready)
    for threads in (1, 2, 3):
        with weft.limit_threads(threads):
            assert f(*args).tobytes() == want.tobytes()


def test_pictures_of_bytes() -> None:
    """A data set kept as bytes: what both products read of it is made from them, and is nowhere as floats."""
    x, w, d = T.TensorType("uint8", [False] * 2)("x"), T.fmatrix("w"), T.fmatrix("d")
    pixels = x.astype("float32") / 255
    f = weft.function([x, w, d], [T.dot(pixels, w), T.dot(pixels.T, d)])
    assert steps(f).count("made by") == 2 and "arena" not in steps(f)
    a = np.random.default_rng(0).integers(0, 256, (100, 784)).astype(np.uint8)
    b, c = data(784, 30, seed=1), data(100, 40, seed=2)
    for got, want in zip(f(a, b, c), [a.astype("f") / 255 @ b, (a.astype("f") / 255).T @ c], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [*HEADS[:-1], (7, 0, 2, 3)])
def test_operands_of_a_batch_are_made(shape: tuple[int, ...]) -> None:
    batch, m, k, n = shape
    x, w, s = T.ftensor3("x"), T.ftensor3("w"), T.fvector("s")
    f = weft.function([x, w, s], T.batched_dot(x * s, (w + 1).dimshuffle(0, 2, 1)))
    assert steps(f).count("made by") == 2
    args = data(batch, m, k), data(batch, n, k, seed=1), data(k, seed=2)
    want = weft.function([x, w], T.batched_dot(x, w.dimshuffle(0, 2, 1)))(args[0] * args[2], args[1] + 1)
    for threads in (1, 2, 3):
        with weft.limit_threads(threads):
            assert f(*args).tobytes() == want.tobytes()


@pytest.mark.parametrize(
    "build",
    [
        lambda x, w: T.dot(T.exp(x), w),  # to be computed once
        lambda x, w: [T.dot(x * 2, w), x * 2],  # needed in memory
        lambda x, w: T.dot((x * 2)[1:], w),  # part of it
    ],
)
def test_operands_that_stay_in_memory(build) -> None:
    x, w = T.fmatrix("x"), T.fmatrix("w")
    assert "made by" not in steps(weft.function([x, w], build(x, w)))


# Updates in place


def test_a_gradient_goes_straight_into_the_weights() -> None:
    """Also where k is cut, which needs the sums of the blocks before the update."""
    x, d = T.fmatrix("x"), T.fmatrix("d")
    for batch in (1, 20, 512, 513, 1300):
        first = data(70, 40)
        w = weft.shared(first, "w")
        f = weft.function([x, d], T.sum(w), updates=[(w, w - np.float32(0.1) * T.dot(x.T, d))])
        assert "after the commit" in steps(f)
        a, b = data(batch, 70, seed=1), data(batch, 40, seed=2)
        product = weft.function([x, d], T.dot(x.T, d))(a, b)
        np.testing.assert_allclose(f(a, b), first.sum(), rtol=1e-4)
        f(a, b)
        v = weft.shared(first, "v")
        apart = weft.function([x], [], updates=[(v, v - np.float32(0.1) * x)])
        apart(product), apart(product)
        assert w.get_value().tobytes() == v.get_value().tobytes(), batch


def test_momentum_in_place() -> None:
    x, d = T.fmatrix("x"), T.fmatrix("d")
    w, v = weft.shared(data(30, 20), "w"), weft.shared(data(30, 20, seed=1), "v")
    step = np.float32(0.9) * v - np.float32(0.1) * T.dot(x.T, d)
    f = weft.function([x, d], [], updates=[(v, step), (w, w + step)])
    assert "after the commit" in steps(f)
    a, b = data(50, 30, seed=2), data(50, 20, seed=3)
    want = np.float32(0.9) * v.get_value() - np.float32(0.1) * (a.T @ b)
    new = w.get_value() + want
    f(a, b)
    np.testing.assert_allclose(v.get_value(), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(w.get_value(), new, rtol=1e-4, atol=1e-5)


def test_two_layers_in_place_read_each_others_old_weights() -> None:
    x = T.fmatrix("x")
    u, v = weft.shared(data(6, 6), "u"), weft.shared(data(6, 6, seed=1), "v")
    f = weft.function([x], [], updates=[(u, u + T.dot(x, v)), (v, v + T.dot(x, u))])
    a, first, second = data(6, 6, seed=2), u.get_value(), v.get_value()
    f(a)
    np.testing.assert_allclose(u.get_value(), first + a @ second, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(v.get_value(), second + a @ first, rtol=1e-4, atol=1e-5)


def test_what_fails_before_the_commit_leaves_all() -> None:
    w = weft.shared(data(4, 3), "w")
    before = w.get_value()
    x, d, i = T.fmatrix("x"), T.fmatrix("d"), T.lscalar("i")
    f = weft.function([x, d, i], x[i], updates=[(w, w - T.dot(x.T, d))])
    assert "after the commit" in steps(f)
    with pytest.raises(IndexError):
        f(data(5, 4), data(5, 3), 9)
    np.testing.assert_array_equal(w.get_value(), before)
    f(data(5, 4), data(5, 3, seed=1), 2)
    np.testing.assert_allclose(w.get_value(), before - data(5, 4).T @ data(5, 3, seed=1), rtol=1e-4, atol=1e-5)
