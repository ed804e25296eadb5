"""`In`: defaults, arguments that the function keeps between calls, implicit ones. As Theano's."""

from __future__ import annotations

import gc
import pickle
import re
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T

MODES = ["interpret", "compile"]


@pytest.fixture(params=MODES)
def adder(request):
    x, s = T.dscalars("x", "s")
    return weft.function([x, weft.In(s, value=10.0, update=s + x * x)], s * 2, mode=request.param), s


def test_state_is_updated_after_each_call(adder) -> None:
    f, s = adder
    assert f(2) == 20 and f[s] == 14
    assert f(3) == 28 and f["s"] == 23


def test_value_given_replaces_the_state_first(adder) -> None:
    f, s = adder
    assert f(1, 5.0) == 10 and f[s] == 6
    assert f(1, s=7) == 14 and f[s] == 8
    f["s"] = 1
    assert f[s] == 1 and f(0) == 2


def test_each_function_has_its_own_state() -> None:
    x, s = T.dscalars("x", "s")
    i = weft.In(s, value=1.0, update=s + x)
    f, g = (weft.function([x, i], s, mode="interpret") for _ in range(2))
    f(5)
    assert f[s] == 6 and g[s] == 1


def test_pickled_with_its_state(adder) -> None:
    f, _ = adder
    f(2)
    g = pickle.loads(pickle.dumps(f))
    assert g(1) == 28 and g["s"] == 15 and f["s"] == 14


@pytest.mark.parametrize("mode", MODES)
def test_failed_call_keeps_the_state(mode: str) -> None:
    i, v = T.iscalar("i"), T.dvector("v")
    f = weft.function([i, weft.In(v, value=[1.0, 2, 3], update=v + v[i])], [], mode=mode)
    f(0)
    with pytest.raises(weft.BoundsError):
        f(7)
    with pytest.raises(weft.BoundsError):
        f(2, [5.0, 5.0])
    np.testing.assert_array_equal(f[v], [2, 3, 4])


@pytest.mark.parametrize("mode", MODES)
def test_shared_variable_as_value_is_the_state(mode: str) -> None:
    v, w = T.dvector("v"), weft.shared(np.ones(2))
    f = weft.function([weft.In(v, value=w, update=v + 1)], v * 2, mode=mode)
    np.testing.assert_array_equal(f(), [2, 2])
    np.testing.assert_array_equal(w.get_value(), [2, 2])
    with pytest.raises(weft.ArgumentError, match="takes 0 arguments"):
        f(np.ones(2))


def test_implicit_and_default() -> None:
    x, y, z = T.dscalars("x", "y", "z")
    f = weft.function([weft.In(x, value=2.0, implicit=True), y, weft.In(z, value=3.0)], x * y + z, mode="interpret")
    assert f(5) == 13 and f(5, 1) == 11 and f(y=1, z=0) == 2
    with pytest.raises(weft.ArgumentError, match="no argument 'x'"):
        f(5, x=1)


def test_mistakes() -> None:
    x, s = T.dscalars("x", "s")
    with pytest.raises(weft.ArgumentError, match="needs a value"):
        weft.function([x, weft.In(s, update=s + x)], s)
    with pytest.raises(weft.ArgumentError, match="implicit=True"):
        weft.function([weft.In(s, implicit=True)], s)
    with pytest.raises(weft.ShapeError, match="update of s"):
        weft.function([weft.In(s, value=1.0, update=T.dvector("v"))], s)
    with pytest.raises(weft.ArgumentError, match="keeps no argument 'x'"):
        weft.function([x], x, mode="interpret")["x"]


def test_collector_is_as_it_was() -> None:
    x = T.dscalar("x")
    assert gc.isenabled()
    with pytest.raises(weft.WeftError):
        weft.function([x, x], x)
    assert gc.isenabled()
    gc.disable()
    try:
        weft.function([x], weft.grad(x * x, x), mode="interpret")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_numbers_of_numpy_are_taken_where_they_fit() -> None:
    x, i = T.fscalar("x"), T.iscalar("i")
    f = weft.function([x, i], [x * 2, i + 1])
    assert f(np.float64(0.5), np.arange(5)[3]) == [1.0, 4]
    assert np.isnan(f(np.float64("nan"), 0)[0])
    for args in ((np.float64(0.1), 1), (0.5, np.int64(2**40)), ([0.1], 1)):
        with pytest.raises(weft.DTypeError, match="would lose precision or range"):
            f(*args)
    with pytest.raises(weft.DTypeError, match=r"Convert it \(`.astype"):
        f(np.array(0.5), 1)  # an array counts by its dtype


@pytest.mark.parametrize(
    ("dtype", "fits", "not_"),
    [
        ("float32", [2**24, 2**53, 2**62, -(2**62)], [2**24 + 1, 2**53 + 1, 2**62 + 1, 2**63 - 1]),
        ("float64", [2**53, 2**62, 2**53 + 1], [1j]),  # as arrays of int64 are taken for float64
        ("uint64", [0, 2**63 - 1, 3.0], [-1, -1.0, 2.0**64, 0.5]),
        ("int64", [-(2**63), 2.0**53], [2.0**63, float("inf"), float("nan")]),
    ],
)
def test_numbers_that_are_not_exact(dtype: str, fits: list, not_: list) -> None:
    v = T.TensorType(dtype, shape=())("v")
    f = weft.function([v], v, mode="interpret")
    for n in fits:
        assert f(n) == np.array(n).astype(dtype)
    for n in not_:
        with pytest.raises(weft.DTypeError, match="would lose precision or range"):
            f(n)


def test_set_value_converts_as_a_call_does(monkeypatch) -> None:
    monkeypatch.setattr(weft.config, "floatX", "float32")
    w, n = weft.shared(np.zeros(3, "float32")), weft.shared(np.float32(0))
    w.set_value([1.0, np.nan, 2.0])
    np.testing.assert_array_equal(w.get_value(), [1, np.nan, 2])
    for value in (0.05, np.float64(0.5), True, float("nan"), np.float16(0.25)):
        n.set_value(value)
        np.testing.assert_array_equal(n.get_value(), np.float32(value))
    for value in ([1e300, 0, 0], np.ones(3), [0.1, 0, 0]):
        with pytest.raises(weft.DTypeError, match="without loss"):
            w.set_value(value)
    with pytest.raises(weft.DTypeError, match=r"the float64 0\.1 does not fit"):
        n.set_value(np.float64(0.1))
    weft.config.floatX = "float64"
    with pytest.raises(weft.DTypeError, match=r"float 0\.05 does not fit"):
        n.set_value(0.05)


def test_arguments_of_one_name() -> None:
    x, y = T.dscalar("x"), T.dscalar("x")
    f = weft.function([x, y], x - y)
    assert f(3, 1) == 2
    with pytest.raises(weft.ArgumentError, match="2 arguments named 'x': give them by position"):
        f(3, x=1)


@pytest.mark.parametrize("name", ["self", "args", "kwargs"])
def test_any_name_is_a_keyword(name: str) -> None:
    x = T.dvector(name)
    f = weft.function([x], x * 2)
    assert f(**{name: np.ones(2)}).tolist() == [2, 2]
    assert "bytes" in str(f.report(**{name: np.ones(2)}))


@pytest.mark.parametrize("wrong, text", [
    (lambda x: weft.set_threads(None), "set_threads: None is no number of threads"),
    (lambda x: weft.set_threads(2.9), "set_threads: 2.9 is no number of threads"),
    (lambda x: weft.clone(x * 2, replace=5), "clone's replacements are a list, not 5"),
    (lambda x: weft.save_parameters("q.bin", 3), "parameters are a list of shared variables"),
    (lambda x: T.vectors(0), "at least 1"),
    (lambda x: weft.function([x], x, profile="no"), "profile is True or False, not 'no'"),
    (lambda x: setattr(weft.config, "verify", 1.0), "is one of False, True, not 1.0"),
    (lambda x: setattr(weft.config, "profile", np.array([1, 2])), "is one of False, True, not array"),
])  # fmt: skip
def test_wrong_arguments_are_refused_where_they_are_given(wrong: Any, text: str) -> None:
    with pytest.raises(weft.ArgumentError, match=re.escape(text)):
        wrong(T.dvector("x"))


@pytest.mark.parametrize("wrong", [
    lambda: weft.In(3), lambda: weft.compile.as_op(3, 4), lambda: weft.printing.debugprint(3), lambda: weft.pp("a"),
])  # fmt: skip
def test_wrong_arguments_have_the_line(wrong: Any) -> None:
    with pytest.raises(weft.WeftError, match=r"at test_inputs.py:\d+"):
        wrong()


def test_settings_have_the_types_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft.config, "floatX", np.dtype("float32"))
    assert type(weft.config.floatX) is str and T.vector().dtype == "float32"
    monkeypatch.setattr(weft.config, "verify", np.bool_(False))
    assert weft.config.verify is False
