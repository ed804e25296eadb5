"""Arithmetic of places where lengths are 0 and numbers wrap; indices that are looked up although nothing is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T

HASH = 6364136223846793005  # products with it wrap
HUGE = (1 << 62) - 1


def compare(inputs: list[Any], outputs: list[Any], *calls: list[Any]) -> None:
    """Each call gives the same compiled and interpreted, or an error of one kind."""
    f, g = (weft.function(inputs, outputs, mode=mode) for mode in ("compile", "interpret"))
    for args in calls:
        try:
            want = g(*args)
        except weft.WeftError as e:
            with pytest.raises(type(e)):
                f(*args)
            continue
        for a, b in zip(f(*args), want, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=3e-7 if a.dtype.kind == "f" else 0)


def count(n: int) -> np.ndarray:
    return np.arange(1, n + 1, dtype="float32")


@pytest.mark.parametrize("name", ["quotients", "remainders", "places of quotients", "places of remainders", "sums"])
def test_quotients_by_lengths_that_may_be_zero(name: str) -> None:
    x = T.fvector("x")
    n = x.shape[0]
    turn, past = T.arange(n) // (n // 4), T.arange(n) % (n // 2)
    y = {
        "quotients": turn, "remainders": past, "places of quotients": x[turn // 8], "places of remainders": x[past],
        "sums": T.sum(T.arange(n) % (n // 4) * x),
    }[name]  # fmt: skip
    compare([x], [y], *([count(k)] for k in (1, 2, 3, 4, 17, 70, 300)))


def test_quotients_by_another_length() -> None:
    x, y = T.fvector("x"), T.fvector("y")
    n = T.arange(x.shape[0])
    compare([x, y], [n % y.shape[0], n // y.shape[0]], *([count(40), count(k)] for k in (0, 1, 3, 18, 50)))


def test_quotients_by_a_number_of_any_sign() -> None:
    x, k = T.fvector("x"), T.lscalar("k")
    n = T.arange(x.shape[0])
    compare([x, k], [n % k, n // k], *([count(40), by] for by in (0, 1, -1, 3, -3, 17, -17, 99, -99)))


@pytest.mark.parametrize("by", [0, -1, -20, 17])
def test_quotients_by_a_constant(by: int) -> None:
    x = T.fvector("x")
    n = T.arange(x.shape[0])
    compare([x], [n % by, n // by], [count(40)], [count(0)])


def test_numbers_that_wrap() -> None:
    """They have no sign that would be known."""
    x = T.fvector("x")
    n = x.shape[0]
    mixed = T.arange(n) * HASH + 1442695040888963407
    outputs = [mixed % 100, mixed // 100, T.maximum(n * HASH, 0), T.minimum(n * HASH, n), (n * HASH) // 7, n**4 // 7]
    compare([x], outputs, [count(5)], [count(17)], [count(70_000)])


@pytest.mark.parametrize("name", ["element", "set", "from", "backwards from", "up to", "rows"])
def test_places_that_wrap(name: str) -> None:
    x, y = T.fvector("x"), T.fvector("y")
    at = x.shape[0] * HUGE  # -4 for a length of 4
    outputs = {
        "element": lambda: y[at], "set": lambda: T.set_subtensor(y[at], 7.0), "from": lambda: y[at:],
        "backwards from": lambda: y[at::-1], "up to": lambda: y[:at], "rows": lambda: T.outer(y, y)[at, 1:],
    }  # fmt: skip
    compare([x, y], [outputs[name]()], [count(4), count(8)], [count(4), count(3)], [count(3), count(8)])


def test_numbers_that_are_at_least_zero_wrap_too() -> None:
    x, i = T.dvector("x"), T.lvector("i")
    n, k = T.lscalars("n", "k")
    a, b = T.maximum(n, 0), T.maximum(k, 0)
    value, most = np.arange(100.0, 110.0), 2**63 - 1
    compare([x, n], [x[a * 2]], [value, most], [value, 3])
    compare([x, n], [T.set_subtensor(x[a * 2], 5.0)], [value, most], [value, 3])
    compare([x, n], [x[a * 4096 :]], [value, (2**64 - 2**45) // 4096], [value, 0])
    compare([x, n, k], [x[a * b :]], [value, 3, (2**64 - 1) // 3], [value, 2, 3])
    compare([i], [(T.maximum(i, 0) * 2) // 3], [np.array([2**62, 5])])
    compare([n, k], [T.maximum(a * 3, 0), T.lt(a + b, 0)], [2**62, 2**62], [3, 4])


def test_an_index_into_an_index() -> None:
    """A length that is a name in one loop is none in the loop around it."""
    x, m, r = T.fmatrix("x"), T.lmatrix("m"), T.lvector("r")
    outputs = [x[m[[2]]], T.sum(x[m[[1]] + 0], axis=-1), x[m[r]], T.sum(x[m[r + 1]], axis=-1)]
    value, index = count(12).reshape(4, 3), np.arange(12).reshape(3, 4) % 4
    compare([x, m, r], outputs, [value, index, np.array([1, 0])], [value, index, np.array([2])])


LOOKED_UP = {
    "a range": lambda x, i: T.switch(T.arange(i.shape[0]) < 5, x[i], 0.0),
    "a place": lambda x, i: T.switch(T.eq(T.arange(i.shape[0]), 4), x[i], 1.0),
    "a triangle": lambda x, i: T.tril(x[T.tile(i, (i.shape[0], 1))]),
    "a function": lambda x, i: T.tanh(T.switch(T.arange(i.shape[0]) < 5, x[i], 0.0)),
    "a running sum": lambda x, i: T.cumsum(T.switch(T.arange(i.shape[0]) < 5, x[i], 0.0)),
    "a part": lambda x, i: T.switch(T.arange(i.shape[0] + 2) < 5, T.concatenate([x[i], x[:2]]), 0.0),
    "a part of functions": lambda x, i: T.exp2(T.switch(T.arange(i.shape[0] + 2) < 5, T.concatenate([x[i], x[:2]]), 0)),
    "another one": lambda x, i: T.switch(T.arange(i.shape[0]) < 5, x[i[::-1]], x[i]),
    "an index": lambda x, i: T.switch(T.arange(i.shape[0]) < 5, x[i[i % i.shape[0]]], 0.0),
}


@pytest.mark.parametrize("name", LOOKED_UP)
def test_an_index_in_what_a_loop_does_not_choose(name: str) -> None:
    x, i = T.fvector("x"), T.lvector("i")
    bad = np.arange(40) % 20
    bad[39] = 99
    worse = bad[::-1].copy()
    good = np.arange(40) % 20
    compare([x, i], [LOOKED_UP[name](x, i)], *([count(20) / 32, k] for k in (bad, worse, good, good[:3], good[:17])))


def test_an_index_that_no_int64_holds() -> None:
    x, i = T.fvector("x"), T.TensorType("uint64", shape=(None,))("i")
    for make in (lambda: x[i], lambda: T.set_subtensor(x[i], 1.0), lambda: T.inc_subtensor(x[i], 1.0)):
        calls = ([2**64 - 1, 1], [0, 2**63], [2, 1], [2**63 - 1, 0], [5, 0], [4, 0])
        compare([x, i], [make()], *([count(5), np.array(k, "uint64")] for k in calls))
