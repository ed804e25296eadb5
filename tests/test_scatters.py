"""What is written at computed places: into the operand where nothing else reads that, into the variable itself after
the commit point, and never into what somebody still sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.runtime.errors import DTypeError, ShapeError

x, v, i, k = T.dmatrix("x"), T.dmatrix("v"), T.lvector("i"), T.imatrix("k")
GIVEN = {
    x: np.random.default_rng(0).normal(size=(6, 6)), v: np.random.default_rng(1).normal(size=(4, 6)),
    i: np.array([1, 3, 3, -1]), k: np.array([[1, 2], [3, 3]], "int32"),
}  # fmt: skip


def beside_its_operand(y: Any) -> list[Any]:
    return [y, T.inc_subtensor(y[i], v)]


# name -> (program of x, i, v, k; how many copies of a tensor it takes)
PLACES: dict[str, tuple[Callable[[], Any], int]] = {
    "into zeros": (lambda: T.inc_subtensor(T.zeros_like(x)[i], v), 0),
    "into an argument": (lambda: T.inc_subtensor(x[i], v), 1),
    "into what a kernel makes": (lambda: T.inc_subtensor((x * 2)[i], v), 0),
    "twice": (lambda: T.inc_subtensor(T.set_subtensor((x * 2)[i], v)[i], v), 0),
    "into what is a result too": (lambda: beside_its_operand(T.exp(x)), 1),
    "into what is read afterwards": (lambda: (lambda y: T.inc_subtensor(y[i], v) + y)(T.dot(x, x)), 1),
    "into a product": (lambda: T.set_subtensor(T.dot(x, x)[i], v) * 2, 0),
    "into what its value is made of": (lambda: (lambda y: T.inc_subtensor(y[i], y[i] * 2))(T.exp(x)), 1),
    "all of it into itself": (lambda: (lambda y: T.inc_subtensor(y[T.arange(6) % 3], y))(T.exp(x)), 1),
    "into what is sorted": (lambda: T.inc_subtensor(T.sort(x)[i], v), 0),
    "into what is put together": (lambda: T.inc_subtensor(T.concatenate([x * 2, x])[i], v), 1),
    "a part of what is put together": (lambda: T.concatenate([T.inc_subtensor((x * 2)[i], v), x]), 0),
    "into a reshape": (lambda: T.inc_subtensor((x * 2).reshape((36,))[i], v[:, 0]), 1),
    "in a loop": (lambda: weft.scan(lambda h: T.inc_subtensor((h * 2)[i], v), outputs_info=[x], n_steps=3)[0], 2),
    "in a branch": (lambda: weft.ifelse.ifelse(T.sum(v) > 0, T.inc_subtensor((x * 2)[i], v), x + 1), 0),
    "two indices of int32": (lambda: T.inc_subtensor((x * 2)[k, k[::-1]], 1.5), 0),
}


def both(inputs: list[Any], make: Callable[[str], Any]) -> tuple[Any, list[list[np.ndarray]]]:
    compiled, interpreted = make("compile"), make("interpret")
    arguments = [GIVEN[p] for p in inputs]
    results = [[f(*arguments) for _ in range(3)] for f in (compiled, interpreted)]
    return compiled, [[a for r in rs for a in (r if isinstance(r, list) else [r])] for rs in results]


@pytest.mark.parametrize("name", PLACES)
def test_results(name: str) -> None:
    program, copies = PLACES[name]
    out, inputs = program(), [x, i, v, k]
    f, (got, want) = both(inputs, lambda mode: weft.function(inputs, out, mode=mode, on_unused_input="ignore"))
    for p, q in zip(got, want, strict=True):
        np.testing.assert_allclose(p, q, 1e-12)
    assert f.source.count("memcpy(") == copies


def test_bags_of_rows() -> None:
    """Folds over gathered rows run by columns; what they give is read where other indices are checked."""
    table, bags = T.dmatrix("table"), T.lmatrix("bags")
    total = T.sum(table[bags], axis=1)
    picked = T.tanh(total)[bags[0] % bags.shape[0]]
    outputs = [T.exp(total) * table[bags[:, 0]], picked, total / T.sqrt(T.sum(T.sqr(total)))]
    f, g = (weft.function([table, bags], outputs, mode=mode) for mode in ("compile", "interpret"))
    rng = np.random.default_rng(0)
    for shape in ((3, 2), (40, 17), (200, 1)):
        given = rng.normal(size=(50, 70)) / 9, rng.integers(-50, 50, shape)
        for p, q in zip(f(*given), g(*given), strict=True):
            np.testing.assert_allclose(p, q, 1e-11)
    with pytest.raises(IndexError, match="50"):
        f(given[0], given[1] + 50)


def test_what_follows_a_fold_beside_checks_of_indices() -> None:
    n = x.shape[0]
    total = T.sum(T.inc_subtensor(T.zeros_like(x)[T.arange(n), T.arange(n) % 1], x[:, 0]), axis=1)
    for shape in ((1, 1), (40, 3), (300, 20), (5, 2000)):
        a = np.random.default_rng(0).normal(size=shape) / 9
        np.testing.assert_allclose(weft.function([x], T.exp(total) - 1)(a), np.expm1(a[:, 0]), 1e-12)


def learned(s: Any, u: Any) -> tuple[list[Any], list[Any]]:
    rows = s[i]
    cost = T.sqr(rows).sum()
    return [cost], [(s, T.inc_subtensor(rows, -0.1 * T.grad(cost, rows)))]


def result_too(s: Any, u: Any) -> tuple[list[Any], list[Any]]:
    new = T.inc_subtensor(s[i], v)
    return [new], [(s, new)]


# name -> (outputs and updates of two variables; states written in place)
UPDATES: dict[str, tuple[Callable[[Any, Any], tuple[list[Any], list[Any]]], list[int]]] = {
    "added": (lambda s, u: ([s.sum()], [(s, T.inc_subtensor(s[i], v))]), [0]),
    "a number": (lambda s, u: ([], [(s, T.set_subtensor(s[i], 1.5))]), [0]),
    "a row each": (lambda s, u: ([], [(s, T.inc_subtensor(s[i], v[0]))]), [0]),
    "a number a row": (lambda s, u: ([], [(s, T.inc_subtensor(s[i], v[:, 0].dimshuffle(0, "x")))]), [0]),
    "gradients of the rows": (learned, [0]),
    "each of the other": (
        lambda s, u: ([], [(s, T.set_subtensor(s[i], u[i])), (u, T.set_subtensor(u[i], s[i]))]), [0, 1],
    ),
    "of one that is written over": (lambda s, u: ([s[1]], [(s, T.set_subtensor(s[i], u[i])), (u, s * 2)]), [0]),
    "rows of itself": (lambda s, u: ([], [(s, T.set_subtensor(s[i], s[i[::-1]]))]), [0]),
    "all of itself": (lambda s, u: ([], [(s, T.set_subtensor(s[T.arange(6) % 3 * 2], s))]), []),
    "all of the other": (lambda s, u: ([], [(s, T.inc_subtensor(s[i % 3], u[:4])), (u, u + s)]), [1]),
    "a result as well": (result_too, []),
    "twice": (lambda s, u: ([], [(s, T.inc_subtensor(T.inc_subtensor(s[i], v)[i], v))]), []),
    "two indices": (lambda s, u: ([], [(s, T.inc_subtensor(s[k, k], 2.0))]), [0]),
    "values that are stretched": (lambda s, u: ([], [(s, T.inc_subtensor(s[k], v[:2, None, :]))]), []),
}  # fmt: skip


@pytest.mark.parametrize("name", UPDATES)
def test_updates(name: str) -> None:
    program, in_place = UPDATES[name]
    inputs = [i, v, k]
    kept: list[list[Any]] = []

    def make(mode: str) -> Any:
        pair = [weft.shared(GIVEN[x].copy()), weft.shared(GIVEN[x] * 2)]
        kept.append(pair)
        out, updates = program(*pair)
        return weft.function(inputs, out, updates=updates, mode=mode, on_unused_input="ignore")

    f, (got, want) = both(inputs, make)
    got, want = ([*r, *(s.get_value() for s in pair)] for r, pair in zip((got, want), kept, strict=True))
    for p, q in zip(got, want, strict=True):
        np.testing.assert_allclose(p, q, 1e-12)
    assert set(in_place) <= set(f.stages.program.in_place()) and (in_place or not f.stages.program.in_place())


def test_an_index_out_of_range_changes_nothing() -> None:
    s, count = weft.shared(GIVEN[x].copy()), weft.shared(0)
    f = weft.function([i, v], [], updates=[(s, T.inc_subtensor(s[i], v)), (count, count + 1)])
    assert f.stages.program.in_place()
    for bad in ([0, 1, 2, 6], [-7, 0, 0, 0]):
        with pytest.raises(IndexError, match="out of range"):
            f(np.array(bad), GIVEN[v])
        np.testing.assert_array_equal(s.get_value(), GIVEN[x])
        assert count.get_value() == 0


def test_what_is_lent_stays_as_it_is() -> None:
    s = weft.shared(GIVEN[x].copy())
    f = weft.function([i, v], [], updates=[(s, T.inc_subtensor(s[i], v))])
    lent = s.get_value(borrow=True)
    f(GIVEN[i], GIVEN[v])
    np.testing.assert_array_equal(lent, GIVEN[x])
    want = GIVEN[x].copy()
    np.add.at(want, GIVEN[i], GIVEN[v])
    np.testing.assert_array_equal(s.get_value(), want)


def test_rows_of_nothing_are_looked_up_too() -> None:
    """An index is checked although the rows that it selects have no elements, as NumPy does."""
    for mode in ("compile", "interpret"):
        f = weft.function([x, i], T.exp(x[i]), mode=mode)
        assert f(np.zeros((5, 0)), np.array([4, -5])).shape == (2, 0)
        with pytest.raises(IndexError, match="out of range"):
            f(np.zeros((5, 0)), np.array([5]))


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_what_is_written_has_the_shape_of_its_place(mode: str) -> None:
    """Of a whole tensor as of a part of it: the value stretches, the place does not."""
    row, vector, scalar = T.drow("row"), T.dvector("vector"), T.dscalar("scalar")
    for write in (T.set_subtensor, T.inc_subtensor):
        with pytest.raises(ShapeError):
            write(vector[:], x)
        with pytest.raises(ShapeError):
            write(scalar[...], vector)
        f = weft.function([row, x], write(row[:], x), mode=mode)
        assert f(np.ones((1, 3)), np.ones((1, 3))).shape == (1, 3)
        with pytest.raises(ShapeError):
            f(np.ones((1, 3)), np.ones((2, 3)))
        g = weft.function([x, vector], write(x[:], vector), mode=mode)
        assert g(np.zeros((2, 3)), np.arange(3.0)).tolist() == [[0, 1, 2], [0, 1, 2]]
    with pytest.raises(ShapeError):
        T.fill(scalar, vector)
    assert weft.function([scalar], T.inc_subtensor(scalar[()], 2.0), mode=mode)(1) == 3


@pytest.mark.parametrize("mode", ["interpret", "compile"])
def test_lengths_that_were_stacked_are_written_to_as_others(mode: str) -> None:
    first = T.lscalar("first")
    pair = T.stack([i[3], first])
    assert weft.function([i, first], T.set_subtensor(pair[0], 9), mode=mode)(np.arange(5), 7).tolist() == [9, 7]
    assert weft.function([x], T.inc_subtensor(x.shape[1], 9), mode=mode)(np.ones((2, 3))).tolist() == [2, 12]
    known = T.stack([T.constant(2, dtype="int64"), first])
    assert weft.function([first], T.set_subtensor(known[0], 5), mode=mode)(3).tolist() == [5, 3]
    T.stack([first, first])[0].name = "another"
    assert first.name == "first"


def test_a_bool_is_no_place() -> None:
    vector, flag = T.dvector("vector"), T.bscalar("flag") > 0
    for e in (flag, True, np.bool_(True), np.array(False)):
        with pytest.raises(DTypeError, match="one bool, no place"):
            vector[e]
