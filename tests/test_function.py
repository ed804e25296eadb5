"""`function`, `shared` and their arguments, as Theano's tutorial uses them; and what their errors say."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import In, Out
from weft.runtime.errors import ArgumentError, DTypeError, ShapeError, UnusedInputError

each_mode = pytest.mark.parametrize("mode", ["interpret", "compile"])


@each_mode
def test_default_inputs_and_keywords(mode: str) -> None:
    x, y, w = T.dscalars("x", "y", "w")
    f = weft.function([x, In(y, value=1), In(w, value=2, name="by_name")], (x + y) * w, mode=mode)
    assert [f(33), f(33, 2), f(33, 0, 1), f(33, by_name=1), f(33, by_name=1, y=0)] == [68, 70, 33, 34, 33]
    assert weft.function([x, (y, 5)], x + y, mode=mode)(1) == 6
    for call in (lambda: f(), lambda: f(1, w=1), lambda: f(1, 2, 3, 4), lambda: f(1, x=2)):
        with pytest.raises(ArgumentError):
            call()


@each_mode
@pytest.mark.parametrize("form", [dict, OrderedDict, list, tuple, lambda u: [list(p) for p in u], iter])
def test_forms_of_updates(mode: str, form: Any) -> None:
    a, b, v = weft.shared(np.zeros(2), "a"), weft.shared(np.ones(2), "b"), T.dvector("v")
    f = weft.function([v], updates=form([(a, b + v), (b, a)]), mode=mode)
    f([1, 2])
    assert a.get_value().tolist() == [2, 3] and b.get_value().tolist() == [0, 0]


@each_mode
def test_outputs(mode: str) -> None:
    x = T.dscalar("x")
    assert weft.function([x], {"a": x, "b": x * 2}, mode=mode)(1) == {"a": 1, "b": 2}
    assert weft.function([x], (x, 3, np.ones(())), mode=mode)(2) == [2, 3, 1]
    assert weft.function([x], Out(x, borrow=True), mode=mode)(2) == 2
    assert weft.function([x], [], mode=mode, on_unused_input="ignore")(1) == []
    with pytest.raises(DTypeError, match="output 1 of the function is"):
        weft.function([x], [x, [x, x]], mode=mode)
    with pytest.raises(DTypeError, match="output 'b'"):
        weft.function([x], {"a": x, "b": None}, mode=mode)
    with pytest.raises(DTypeError, match="the output of the function is 'x'"):
        weft.function([x], "x", mode=mode)


@each_mode
def test_givens(mode: str) -> None:
    x, y, s = T.dvector("x"), T.dvector("y"), weft.shared(np.arange(3.0), "s")
    z = x * 2 + 1
    assert weft.function([], z, givens={x: s[1:]}, mode=mode)().tolist() == [3, 5]
    assert weft.function([y], z, givens=[(x, y * y)], mode=mode)([1, 2]).tolist() == [3, 9]
    assert weft.function([], z, givens={x: [1, 2]}, mode=mode)().tolist() == [3, 5]
    with pytest.raises(ArgumentError, match="givens replaces x, which is an input"):
        weft.function([x], z, givens={x: x + 1}, mode=mode)
    for chain in ([(x, y), (y, s)], [(y, s), (x, y)], [(x, y), (y, x + 1)]):
        with pytest.raises(ArgumentError, match="is computed from it"):
            weft.function([], z, givens=chain, mode=mode)


@each_mode
@pytest.mark.parametrize("shape", [(1, None), (2, None), (None, 3)], ids=str)
def test_lengths_that_were_declared_are_checked_at_the_call(mode: str, shape: tuple) -> None:
    """A given, or the new value of a shared variable, whose length the graph does not tell."""
    x, like = T.dmatrix("x"), T.TensorType("float64", shape=shape)("like")
    good, bad = [np.ones([3 * (n is None) + (n or 0) + k * (n is not None) for n in shape]) for k in (0, 1)]
    f = weft.function([x], like.sum(), givens={like: x}, mode=mode)
    assert f(good) == good.sum()
    s = weft.shared(good, "s", shape=shape)
    g = weft.function([x], updates=[(s, x * 2)], mode=mode)
    g(good)
    for call in (f, g):
        with pytest.raises(ShapeError):
            call(bad)
    assert (s.get_value() == good * 2).all()


@each_mode
def test_as_many_elements_in_another_shape_do_not_fit(mode: str) -> None:
    x, like = T.dmatrix("x"), T.TensorType("float64", shape=(2, 3))("like")
    s = weft.shared(np.zeros((2, 3)), "s", shape=(2, 3))
    good = np.arange(6.0).reshape(2, 3)
    f = weft.function([x], like.sum(axis=1), givens={like: x}, mode=mode)
    g = weft.function([x], updates=[(s, x)], mode=mode)
    h = weft.function([x, weft.In(like, value=good, update=x)], like, mode=mode)
    for call in (f, g, h):
        call(good)
        with pytest.raises(ShapeError):
            call(good.T)
    assert (s.get_value() == good).all()


@each_mode
def test_default_updates_are_those_of_what_is_used(mode: str) -> None:
    """What `givens` replaces is not: not a variable, nor what only the replaced expression was computed of."""
    counter = weft.shared(np.int64(5))
    counter.default_update = counter + 1
    plain = T.constant(100, dtype="int64")
    assert weft.function([], counter * 2, givens={counter: plain}, mode=mode)() == 200
    assert counter.get_value() == 5
    assert weft.function([], counter * 2, mode=mode)() == 10 and counter.get_value() == 6
    streams = weft.tensor.shared_randomstreams.RandomStreams(3)
    drawn = streams.uniform((3,))
    (state,) = (s for s, _ in streams.state_updates)
    before = state.get_value()
    weft.function([], drawn * 2, givens={drawn: T.zeros((3,))}, mode=mode)()
    assert (state.get_value() == before).all()
    fed = weft.shared(5.0)
    fed.default_update = fed + T.dscalar("y")
    assert weft.function([], fed * 2, givens={fed: T.constant(1.0, dtype="float64")}, mode=mode)() == 2
    other = weft.shared(1.0)  # what stands for another is used
    other.default_update = other + 1
    assert weft.function([], fed * 2, givens={fed: other}, mode=mode)() == 2 and other.get_value() == 2


@each_mode
def test_constants_are_converted_where_nothing_is_lost(mode: str) -> None:
    count, small, real = weft.shared(np.int64(7)), weft.shared(np.zeros(2, "int8")), weft.shared(np.float32(1))
    i = T.lscalar("i")
    for update in ((count, 2.9), (count, 1j), (small, np.array([1.5, 3])), (small, np.array([300, 1])), (real, 1e300)):
        with pytest.raises(DTypeError, match=r"does not fit .* without loss"):
            weft.function([], [], updates=[update], mode=mode)
    with pytest.raises(DTypeError, match=r"givens for i: float 2\.75"):
        weft.function([], i, givens={i: 2.75}, mode=mode)
    with pytest.raises(DTypeError, match=r"the update of i: float 0\.9"):
        weft.function([In(i, value=5, update=0.9)], i, mode=mode)
    weft.function([], [], updates=[(count, 2.0), (small, np.array([3.0, -4])), (real, 0.1)], mode=mode)()
    assert (count.get_value(), small.get_value().tolist(), real.get_value()) == (2, [3, -4], np.float32(0.1))
    assert weft.function([], i, givens={i: 2.75}, rebuild_strict=False, mode=mode)() == 2


def test_no_default_updates_is_a_bool_or_a_list() -> None:
    with pytest.raises(ArgumentError, match="no_default_updates"):
        weft.function([], weft.shared(0), no_default_updates="all")


@each_mode
def test_filled_like_a_scalar_uses_it(mode: str) -> None:
    """In Theano ones_like(x) depends on x, so the gradient of a linear function does not leave its input unused."""
    x, row = T.dscalar("x"), T.TensorType("float64", shape=(1, 3))("row")
    a1, a2 = x * 2, x * 2
    assert weft.function([x], weft.grad((a1 + a2**2).sum(), a1), mode=mode)(1) == 1
    assert weft.function([x], weft.grad(3 * x, x), mode=mode)(1) == 3
    assert weft.function([x], T.zeros_like(x), mode=mode)(1) == 0
    assert weft.function([row], T.fill(row, 2), mode=mode)(np.zeros((1, 3))).tolist() == [[2, 2, 2]]
    assert weft.function([x], weft.grad(T.ones_like(x) * x, x), mode=mode)(5) == 1
    with pytest.raises(UnusedInputError):
        weft.function([x, row], x, mode=mode)


@pytest.mark.parametrize("value", ["abc", None, [[1], [2, 3]], np.array([["a"]]), np.ones((2, 2), "c8"), object(),
                                   np.zeros((1, 1), "M8[s]")])  # fmt: skip
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    m = T.fmatrix("m")
    with pytest.raises(DTypeError, match="argument 0: m takes float32; "):
        weft.function([m], m, mode="interpret")(value)
    with pytest.raises(DTypeError, match="w holds float32"):
        weft.shared(np.ones((1, 1), "f4"), "w").set_value(value)


def test_what_is_no_number_is_not_shared() -> None:
    for value in ("abc", None, [[1], [2, 3]], object()):
        with pytest.raises(DTypeError):
            weft.shared(value)


def test_a_wrong_argument_is_described_once() -> None:
    m = T.fmatrix("m")
    f = weft.function([m], m, mode="interpret", name="f")
    with pytest.raises(DTypeError, match=r"m takes float32; an array of float64 with shape \(2, 2\) would lose"):
        f(np.ones((2, 2)))
    with pytest.raises(ShapeError, match=r"m takes 2 dimensions, but was given .* with shape \(2,\), which has 1;"):
        f(np.ones(2, "f4"))


@each_mode
def test_lengths_that_do_not_fit_are_named_with_the_shapes_of_the_call(mode: str) -> None:
    x, w = T.dmatrix("x"), weft.shared(np.ones((1, 3)), "w")
    with pytest.raises(ShapeError) as e:
        weft.function([x], T.tanh(x) + w, mode=mode)(np.ones((2, 3)))
    text = str(e.value)
    assert "axis 0 of the arguments of add: 2 and 1 differ" in text
    assert "addbroadcast" in text and "test_function.py" in text
    assert text.endswith("called with x of shape (2, 3), w of shape (1, 3)")
    with pytest.raises(ShapeError, match=r"inner lengths of dot: 2 and 3 differ") as e:
        weft.function([x], T.dot(x, w.T), mode=mode)(np.ones((4, 2)))
    assert "addbroadcast" not in str(e.value) and "x : TensorType(float64, shape=(None, None))" in str(e.value)


def test_threads_of_a_function_of_a_block_and_of_the_process() -> None:
    """The least of the three limits counts; the values are the same."""
    x = T.fmatrix("x")
    f = weft.function([x], T.exp(x), threads=2)
    assert f.threads == 2
    a = np.random.default_rng(0).normal(size=(300, 300)).astype("float32")
    want = f(a).tobytes()
    seen: list[int] = []
    frame = f.executor._frames[0].c

    def used() -> int:
        assert f(a).tobytes() == want
        return frame.call.threads

    weft.set_threads(4)
    try:
        assert used() == 2
        f.threads = 3
        assert used() == 3
        f.threads = None
        assert used() == 4
        with weft.limit_threads(2):
            assert used() == 2
            with weft.limit_threads(1):
                assert used() == 1
            other = threading.Thread(target=lambda: seen.append(used()))
            other.start()
            other.join()
            assert seen == [4], "the limit is that of calls from one thread"
            assert used() == 2
        assert used() == 4
        f.threads = 1
        assert used() == 1
        assert pickle.loads(pickle.dumps(weft.function([x], x, threads=1))).threads == 1
    finally:
        weft.set_threads(0)


@pytest.mark.parametrize("n", [0, -1, 1.5, "two", 2**40])
def test_no_number_of_threads(n) -> None:
    x = T.fmatrix("x")
    with pytest.raises(weft.ArgumentError, match="no number of threads"):
        weft.function([x], x, threads=n)
    with pytest.raises(weft.ArgumentError, match="no number of threads"), weft.limit_threads(n):
        pass
