"""What follows a matrix product runs on its finished rectangles: same values, same bits, no memory of its own."""

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
