"""Borrowing: what may share memory with what, and that nothing is written where somebody else can see it.

Without `borrow` nothing that the user holds shares memory with a state, an input or an output. With it memory is shared
where that is sound: a value that the user lends is read where it lies and never written to; a value that the user was
lent stays as it is while the user has it; an output that is borrowed is overwritten by the next call.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import In, Out
from weft.runtime.state import lending

MODES = ["compile", "interpret"]
x = T.dvector("x")


def numbers(n: int = 50) -> np.ndarray:
    return np.random.default_rng(n).normal(size=n)


def updates(w: Any) -> dict[str, Any]:
    """Updates by swap and in place, and both at once."""
    return {
        "in place": [(w, w + x * 2)],
        "by swap": [(w, w[::-1] + x)],
        "after a product": [(w, w - T.dot(x.dimshuffle("x", 0), x.dimshuffle(0, "x") * x).sum(0) * 0.01)],
    }


KINDS = list(updates(weft.shared(np.zeros(2))))


# ---- without borrow ----


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_by_default_nothing_is_shared(mode: str, kind: str) -> None:
    start, given = numbers(), numbers(50)
    w = weft.shared(start)
    f = weft.function([x], [w, w * 1, x, x + 0], updates=updates(w)[kind], mode=mode)
    held: list[np.ndarray] = [start, given, w.get_value()]
    for _ in range(4):
        held += [*f(given), w.get_value()]
        now = w.container.array()
        for k, a in enumerate(held):
            assert not np.shares_memory(a, now), k
            for b in held[:k]:
                assert not np.shares_memory(a, b), k
    w.set_value(given)
    given[:] = 0
    assert w.get_value().any()


@pytest.mark.parametrize("mode", MODES)
def test_a_state_that_becomes_an_argument(mode: str) -> None:
    w = weft.shared(numbers())
    f = weft.function([x], x, updates=[(w, x)], mode=mode)
    given = numbers(7)
    out = f(given)
    assert not np.shares_memory(w.container.array(), given) and not np.shares_memory(out, w.container.array())
    given[:], out[:] = 1, 2
    np.testing.assert_array_equal(w.get_value(), numbers(7))


@pytest.mark.parametrize("mode", MODES)
def test_default_values_are_copied(mode: str) -> None:
    value = numbers()
    y = T.dvector("y")
    f = weft.function([x, In(y, value=value)], x + y, mode=mode)
    g = weft.function([x, In(y, value=value, update=y + x, name="y")], y * 1, mode=mode)
    value[:] = 0
    np.testing.assert_array_equal(f(np.zeros(50)), numbers())
    np.testing.assert_array_equal(g(np.zeros(50)), numbers())
    given = numbers(50) * 2
    g(np.zeros(50), given)
    given[:] = 0
    np.testing.assert_array_equal(g["y"], numbers(50) * 2)


# ---- shared(borrow=True), set_value(borrow=True): the user's array in weft ----


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("setting", [False, True])
@pytest.mark.parametrize("writeable", [False, True])
def test_a_borrowed_value_is_read_where_it_lies_and_never_written(
    mode: str, kind: str, setting: bool, writeable: bool
) -> None:
    value = numbers()
    value.flags.writeable = writeable
    w = weft.shared(np.zeros(50) if setting else value, borrow=True)
    if setting:
        w.set_value(value, borrow=True)
    twin = weft.shared(numbers())
    assert np.shares_memory(w.container.array(), value) and np.shares_memory(w.get_value(borrow=True), value)
    assert w.get_value(borrow=True).flags.writeable == writeable
    read = weft.function([], w * 2, mode=mode)
    np.testing.assert_array_equal(read(), numbers() * 2)
    assert np.shares_memory(w.container.array(), value), "a call that does not update it leaves it"
    f, g = (weft.function([x], v.sum(), updates=updates(v)[kind], mode=mode) for v in (w, twin))
    for k in range(5):
        assert f(numbers()) == g(numbers())
        np.testing.assert_array_equal(w.get_value(), twin.get_value())
        np.testing.assert_array_equal(value, numbers(), err_msg=f"{k}")
    assert not np.shares_memory(w.container.array(), value)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_argument_that_is_the_state(mode: str, kind: str) -> None:
    """The call reads the old values of both."""
    value = numbers()
    w, twin = weft.shared(value, borrow=True), weft.shared(numbers())
    f, g = (weft.function([x], (v * x).sum(), updates=updates(v)[kind], mode=mode) for v in (w, twin))
    for _ in range(3):
        w.set_value(value, borrow=True)
        twin.set_value(value)
        assert f(value) == g(numbers())
        np.testing.assert_array_equal(w.get_value(), twin.get_value())
        assert f(w.get_value(borrow=True)) == g(twin.get_value())
        np.testing.assert_array_equal(w.get_value(), twin.get_value())
        np.testing.assert_array_equal(value, numbers())


@pytest.mark.parametrize(
    "value",
    [np.arange(20.0)[::2], np.arange(6.0).reshape(2, 3).T, np.arange(5.0).astype(">f8"),
     np.frombuffer(b"\0" + np.arange(5.0).tobytes(), np.uint8)[1:].view(np.float64)],
    ids=["strided", "transposed", "byte-swapped", "misaligned"],
)  # fmt: skip
def test_what_kernels_cannot_read_is_copied(value: np.ndarray) -> None:
    w = weft.shared(value, borrow=True)
    assert not np.shares_memory(w.container.array(), value)
    np.testing.assert_array_equal(weft.function([], w * 1)(), value.astype(np.float64))


def test_a_file_mapped_to_memory(tmp_path) -> None:
    np.save(tmp_path / "a.npy", numbers())
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    w = weft.shared(mapped, borrow=True)
    assert np.shares_memory(w.container.array(), mapped)
    f = weft.function([x], w.sum(), updates=[(w, w + x)])
    f(np.ones(50))
    np.testing.assert_array_equal(w.get_value(), numbers() + 1)
    np.testing.assert_array_equal(mapped, numbers())


def test_a_borrowed_value_given_to_an_argument_that_is_kept() -> None:
    s, value, other = T.dvector("s"), numbers(), numbers(51)[:50] * 3
    f = weft.function([x, In(s, value=value, update=s + x, name="s", borrow=True)], s * 1)
    kept = f.storages[0]
    assert np.shares_memory(kept.array(), value)
    f(np.ones(50))
    f(np.ones(50), other)
    np.testing.assert_array_equal(f["s"], other + 1)
    np.testing.assert_array_equal(value, numbers())
    f["s"] = value
    with pytest.raises(weft.ShapeError):
        f(np.ones(49), other)
    np.testing.assert_array_equal(f["s"], value)


def test_the_memory_of_a_borrowed_value_is_let_go() -> None:
    import weakref

    class Array(np.ndarray):
        pass

    value = numbers().view(Array)
    alive = weakref.ref(value)
    w = weft.shared(np.asarray(value), borrow=True)
    f = weft.function([x], None, updates=[(w, w + x)])
    del value
    gc.collect()
    before = len(lending)
    for _ in range(3):
        f(np.ones(50))
    gc.collect()
    assert alive() is None and len(lending) == before - 1


# ---- get_value(borrow=True): weft's buffer with the user ----


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_lent_value_stays_as_it_is(mode: str, kind: str) -> None:
    w, twin = weft.shared(numbers()), weft.shared(numbers())
    f, g = (weft.function([x], v.sum(), updates=updates(v)[kind], mode=mode) for v in (w, twin))
    rng = np.random.default_rng(0)
    held: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(60):
        if rng.random() < 0.4:
            lent = w.get_value(borrow=True)
            assert np.shares_memory(lent, w.container.array()) and lent.flags.writeable
            part = lent[5:9] if rng.random() < 0.5 else memoryview(lent)  # type: ignore[assignment]
            held.append((np.asarray(part), np.array(part)))
            del lent, part
        if held and rng.random() < 0.3:
            held.pop(int(rng.integers(len(held))))
        if rng.random() < 0.1:
            w.set_value(numbers())
            twin.set_value(numbers())
        step = numbers() * rng.random()
        assert f(step) == g(step)
        np.testing.assert_array_equal(w.get_value(), twin.get_value())
        for a, was in held:
            np.testing.assert_array_equal(a, was)


@pytest.mark.parametrize("n", [3, 9_000])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_lent_is_given_back(mode: str, kind: str, n: int) -> None:
    """Values of before, and parts of them, become the variable's again (a step undone), whichever buffer they are."""
    w, twin = weft.shared(numbers(n)), weft.shared(numbers(n))
    f, g = (weft.function([x], v.sum(), updates=updates(v)[kind], mode=mode) for v in (w, twin))
    rng = np.random.default_rng(n)
    held = [(a, a.copy()) for a in (w.get_value(borrow=True), numbers(n))]
    for _ in range(60):
        if rng.random() < 0.4:
            lent = w.get_value(borrow=True)
            held.append((lent, lent.copy()))
        if rng.random() < 0.4:
            back = held[int(rng.integers(len(held)))][0]
            begin, end = ((0, None), (0, 0), (0, 2), (1, 3), (1, None))[int(rng.choice(5, p=[0.6, 0.1, 0.1, 0.1, 0.1]))]
            w.set_value(back[begin:end], borrow=True)
            twin.set_value(back[begin:end])
        if len(held) > 2 and rng.random() < 0.3:
            held.pop(int(rng.integers(len(held))))
        step = rng.normal(size=len(twin.get_value()))
        assert f(step) == g(step)
        np.testing.assert_array_equal(w.get_value(), twin.get_value())
        for a, was in held:
            np.testing.assert_array_equal(a, was)


@pytest.mark.parametrize("n", [3, 20_000])
def test_a_value_that_is_given_again_and_again(n: int) -> None:
    f = weft.function([In(x, value=np.ones(n), update=x[::-1] + 1, borrow=True)], x.sum())
    start = np.zeros(n)
    for _ in range(4):
        assert f(start) == 0 and not start.any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_python_operation_was_lent_stays_as_it_is(kind: str) -> None:
    w, kept = weft.shared(numbers()), []

    @weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def look(a: np.ndarray) -> np.ndarray:
        kept.append((w.get_value(borrow=True), w.get_value()))
        return a

    f = weft.function([x], look(x), updates=updates(w)[kind])
    for _ in range(4):
        f(numbers())
        for a, was in kept:
            np.testing.assert_array_equal(a, was)


def test_what_nobody_holds_any_more_is_written_again() -> None:
    w = weft.shared(numbers())
    f = weft.function([x], None, updates=[(w, w + x)])
    f(np.ones(50))
    before = {a for a in w.container._owned}
    w.get_value(borrow=True)[0] = 7.0
    f(np.ones(50))
    assert set(w.container._owned) == before and w.get_value()[0] == 8.0
    assert not w.container.out
    lent = w.get_value(borrow=True)
    f(np.ones(50))
    assert not np.shares_memory(lent, w.container.array()) and lent[0] == 8.0


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3)])
def test_of_all_types_and_shapes(dtype: str, shape: tuple[int, ...]) -> None:
    value = np.ones(shape).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    for w in (weft.shared(value), weft.shared(value, borrow=True)):
        f = weft.function([], None, updates=[(w, w * w)])
        lent = w.get_value(borrow=True)
        assert lent.dtype == value.dtype and lent.shape == shape
        assert np.shares_memory(lent, w.container.array()) or not value.size
        f()
        f()
        np.testing.assert_array_equal(lent.astype(np.complex128), np.ones(shape))
        np.testing.assert_array_equal(w.get_value().astype(np.complex128), np.ones(shape))


def test_two_functions_at_once_one_reads_what_the_other_updates() -> None:
    """The array that one thread was lent keeps its values while the other updates the variable in place."""
    w = weft.shared(np.zeros(200_000))
    step = weft.function([], None, updates=[(w, w + 1)])
    spread = weft.function([x], [x.max() - x.min(), T.exp(x - x.max()).sum()])
    stop = threading.Event()
    wrong: list[Any] = []

    def update() -> None:
        while not stop.is_set():
            step()

    worker = threading.Thread(target=update)
    worker.start()
    try:
        for _ in range(300):
            a, b = spread(w.get_value(borrow=True))
            if a != 0 or b != 200_000:
                wrong.append((a, b))
    finally:
        stop.set()
        worker.join()
    assert not wrong


def test_a_failed_call_leaves_what_is_lent() -> None:
    i = T.lscalar("i")
    w = weft.shared(numbers())
    f = weft.function([i], w[i], updates=[(w, w + 1)])
    lent = w.get_value(borrow=True)
    for _ in range(2):
        with pytest.raises(IndexError):
            f(50)
        np.testing.assert_array_equal(w.get_value(), numbers())
    f(0)
    np.testing.assert_array_equal(lent, numbers())
    np.testing.assert_array_equal(w.get_value(), numbers() + 1)


# ---- Out(borrow=True) ----


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def test_a_borrowed_output_is_overwritten_by_the_next_call() -> None:
    f = weft.function([x], [Out(x + 1, borrow=True), x + 1])
    (a, b), (c, d) = f(numbers()), f(numbers(50) * 2)
    assert address(a) == address(c) and address(b) != address(d)
    np.testing.assert_array_equal(a, numbers() * 2 + 1)
    np.testing.assert_array_equal(b, numbers() + 1)
    assert not np.shares_memory(c, d)


def test_memory_of_a_borrowed_output_lives_with_its_arrays() -> None:
    f = weft.function([x], Out(x + 1, borrow=True))
    small, large = f(np.ones(10)), f(np.ones(100_000))
    assert address(small) != address(large) and (small == 2).all(), "more than there was room for"
    part = f(np.zeros(5))
    assert address(part) == address(large) and part.shape == (5,)
    del f
    gc.collect()
    trash = [np.full(100_000, 5.0) for _ in range(5)]
    assert (large[5:] == 2).all() and (large[:5] == 1).all() and (small == 2).all() and trash


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (4, 5)])
def test_borrowed_outputs_of_all_shapes(shape: tuple[int, ...]) -> None:
    y = T.TensorType("float32", (False,) * len(shape))("y")
    f = weft.function([y], Out(y * 2, borrow=True))
    for _ in range(3):
        out = f(np.ones(shape, np.float32))
        assert out.shape == shape and out.dtype == np.float32 and (out == 2).all()


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[10:], lambda a: a[:20]])
def test_a_borrowed_output_as_argument_and_as_state(view) -> None:
    """Memory that the call reads is not written to, whether it came as an argument or as a shared variable."""
    w = weft.shared(np.zeros(1))
    f = weft.function([x], Out(x[::-1] * 2 - x + w.sum(), borrow=True))
    g = weft.function([x], x[::-1] * 2 - x)
    start = np.floor(10 * numbers())  # integers: sums are exact in any order
    out, want = start, start
    for _ in range(4):
        out, want = f(out), g(want)
        np.testing.assert_array_equal(out, want)
        out, want = view(out), view(want)
    w.set_value(np.ascontiguousarray(out), borrow=True)
    want = g(start) + want.sum()
    np.testing.assert_array_equal(f(start), want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[10:], lambda a: a[:20]])
def test_a_borrowed_output_becomes_a_state(kind: str, view) -> None:
    """The variable that has borrowed it is updated by the call that would write there."""
    w, twin = weft.shared(numbers()), weft.shared(numbers())
    f = weft.function([x], Out(x + w, borrow=True), updates=updates(w)[kind])
    g = weft.function([x], x + twin, updates=updates(twin)[kind])
    for _ in range(4):
        step = numbers(len(twin.get_value()))
        out, want = f(step), g(step)
        np.testing.assert_array_equal(out, want)
        if len(want) == 50:
            w.set_value(view(out), borrow=True)
            twin.set_value(view(want))
            step = numbers(len(view(want)))
            np.testing.assert_array_equal(f(step), g(step))
            np.testing.assert_array_equal(out, want)
        np.testing.assert_array_equal(w.get_value(), twin.get_value())


def test_a_failed_call_keeps_the_memory() -> None:
    i = T.lscalar("i")
    f = weft.function([x, i], Out(x * x[i], borrow=True))
    a = f(np.ones(1000), 3)
    for _ in range(20):
        with pytest.raises(IndexError):
            f(np.ones(1000), 1000)
    b = f(np.full(1000, 2.0), 0)
    assert address(a) == address(b) and (b == 4).all()


def test_from_a_dict_and_beside_sparse_outputs() -> None:
    f = weft.function([x], {"a": Out(x * 2, borrow=True), "b": Out(x * 3)})
    one, two = f(np.ones(3)), f(np.ones(3))
    assert address(one["a"]) == address(two["a"]) and address(one["b"]) != address(two["b"])
    pytest.importorskip("scipy.sparse")
    import scipy.sparse

    import weft.sparse as S

    m = S.csr_matrix("m")
    g = weft.function([m, x], [Out(m * 2, borrow=True), Out(x * 2, borrow=True)])
    given = scipy.sparse.random(4, 5, 0.5, format="csr", random_state=0)
    (p, q), (r, s) = g(given, np.ones(3)), g(given * 2, np.zeros(3))
    assert (p != given * 2).nnz == 0 and (r != given * 4).nnz == 0 and address(q) == address(s)
