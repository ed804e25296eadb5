"""An index array out of range is an error of the call, whatever rewriting and fusion leave of the element it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.graph.function import declare
from weft.compiler.ir.node import Region
from weft.compiler.simplify import simplify
from weft.compiler.simplify.indices import mark, settle_marks
from weft.ifelse import ifelse
from weft.runtime.errors import BoundsError, ShapeError

MODES = ["compile", "interpret"]

# What is computed of a vector x, an index i into it, a second one j into x[i], and a matrix m that i indexes too.
LOST: dict[str, Any] = {
    "times zero": lambda x, i, j, m: T.sum(x[i] * 0),
    "difference": lambda x, i, j, m: x[i] - x[i],
    "quotient": lambda x, i, j, m: x[i] / x[i],
    "power": lambda x, i, j, m: x[i] ** 0,
    "compared to itself": lambda x, i, j, m: T.eq(i[i], i[i]),
    "and": lambda x, i, j, m: T.and_(x[i] > 0, False),
    "slice": lambda x, i, j, m: x[i][:1],
    "slice of a function": lambda x, i, j, m: T.exp(x[i] * 2)[::2][:1],
    "element": lambda x, i, j, m: x[i][0],
    "index of an index": lambda x, i, j, m: x[i][j],
    "some rows of sums": lambda x, i, j, m: m[i].sum(1)[:1],
    "no columns": lambda x, i, j, m: m[i][:, :0],
    "one side": lambda x, i, j, m: T.switch(x > -9, 0.0, x[i]),
    "alike sides": lambda x, i, j, m: T.switch(x[i] > 9, 1.0, 1.0),
    "part of a concatenation": lambda x, i, j, m: T.concatenate([x[i], x])[-1:],
    "windows": lambda x, i, j, m: T.max(x[i][:2]),
    "overwritten": lambda x, i, j, m: T.set_subtensor(x[i][1:], 0.0)[1:],
    "increased": lambda x, i, j, m: T.inc_subtensor(x[i], 1.0) * 0,
    "set": lambda x, i, j, m: T.set_subtensor(T.zeros((3,))[i], 1.0)[:1],
    "of zeros": lambda x, i, j, m: T.zeros((3,))[i],
    "of what is stretched": lambda x, i, j, m: T.alloc(T.exp(x[0]), 3)[i],
    "of what is stretched by another": lambda x, i, j, m: T.nnet.softmax(T.zeros_like(m) + x[0])[T.arange(3), i],
    "of what is stretched and reshaped": lambda x, i, j, m: T.alloc(x[0], 3, 2).reshape((3, -1))[i],
    "of rows that are stretched and reshaped": lambda x, i, j, m: T.alloc(m[0], 3, 3).reshape((3, -1, 1))[:, :, 0][i],
    "of what another index gave": lambda x, i, j, m: T.alloc(x[0], 3)[abs(i) % 3][i],
    "of rows that another index gave": lambda x, i, j, m: T.alloc(x, 3, 3)[abs(i) % 3][i],
    "of columns side by side": lambda x, i, j, m: T.stack([T.alloc(x[0], 3), T.alloc(x[1], 3)], axis=1)[i],
    "of what a column was set in": lambda x, i, j, m: T.set_subtensor(T.zeros((3, 3))[:, 1:2], x[0])[i],
    "of sums of stretched rows": lambda x, i, j, m: T.set_subtensor(T.zeros((3, 3))[:, 1:2], x[0]).sum(1)[i],
    "of windows of what is stretched": lambda x, i, j, m: T.repeat(T.alloc(x[0], 3), 2)[::2][i],
    "in two axes": lambda x, i, j, m: m[i, i[::-1]][1:2],
    "an index computed": lambda x, i, j, m: x[T.cast(T.cast(i, "float64"), "int64")][:1],
}


@pytest.mark.parametrize("mode", MODES)
def test_index_errors_are_kept(mode: str) -> None:
    x, m = T.dvector("x"), T.dmatrix("m")
    indices = [T.lvector(name) for name in LOST]
    j = T.lvector("j")
    outs = [make(x, i, j, m) for make, i in zip(LOST.values(), indices, strict=True)]
    count = weft.shared(0)
    f = weft.function([x, m, j, *indices], outs, updates=[(count, count + 1)], mode=mode, on_unused_input="ignore")
    fixed = [np.arange(3.0), np.ones((3, 3)), np.zeros(3, int)]
    good = np.array([0, 2, -3])
    f(*fixed, *[good] * len(indices))
    for bad in (3, -4):
        for k, name in enumerate(LOST):
            values = [good] * len(indices)
            values[k] = np.array([0, 1, bad])
            try:
                f(*fixed, *values)
            except weft.BoundsError as e:
                assert str(bad) in str(e) and (mode == "interpret" or "test_index_errors.py" in str(e)), name
            else:
                raise AssertionError(f"{name}: no error")
    assert count.get_value() == 1


@pytest.mark.parametrize("mode", MODES)
def test_only_where_it_stands(mode: str) -> None:
    """In a branch that is taken, in a loop that runs a step."""
    x, i, c, n = T.dvector("x"), T.lvector("i"), T.scalar("c", dtype="bool"), T.lscalar("n")
    loop, _ = weft.scan(lambda h, x, i: h + T.sum(x[i] * 0), outputs_info=T.zeros(()), non_sequences=[x, i], n_steps=n)
    f = weft.function([x, i, c, n], [ifelse(c, x[i][:1] * 0, x), loop], mode=mode)
    good, bad = [0, 1], [0, 3]
    f(np.ones(3), good, 1, 2)
    np.testing.assert_array_equal(f(np.ones(3), bad, 0, 0)[0], 1)
    said = "index 3" if mode == "interpret" else r"index 3 .*\n  in subscript of(.*\n)*  at test_index_errors\.py"
    for taken, steps in ((1, 0), (0, 1)):
        with pytest.raises(weft.BoundsError, match=said):
            f(np.ones(3), bad, taken, steps)


def marked(inputs: list, outputs: list) -> tuple[Region, Region]:
    """The rewritten program without the checks of indices and with them."""
    r = declare(inputs, outputs, None, None, False, None, True, None, "ignore").lowered.region
    with_marks, marks = mark(r)
    return simplify(r), settle_marks(simplify(with_marks), marks)


def test_what_checks_anyway_is_not_checked_twice() -> None:
    x, i, m = T.dvector("x"), T.lvector("i"), T.dmatrix("m")
    losses = [T.sqr(m[i]).sum(), T.nnet.categorical_crossentropy(T.nnet.softmax(m), i).mean()]
    programs = [[x[i]], [T.exp(x[i]).sum()], [m[T.arange(m.shape[0])]], *([c, weft.grad(c, m)] for c in losses)]
    for outs in programs:
        without, after = marked([x, i, m], outs)
        assert without is after
    without, after = marked([x, i, m], [x[i][:1]])
    assert len(after.checks) == len(without.checks) + 1


@pytest.mark.parametrize("mode", MODES)
def test_the_first_of_several_is_named(mode: str) -> None:
    v, i = T.dvector("v"), T.lvector("i")
    f = weft.function([v, i], T.exp(v[i]), mode=mode)
    with pytest.raises(weft.BoundsError, match="index 2 is out of range for an axis of length 2"):
        f([1.0, 2.0], [1, 2, -3, -3, 5, 0])


@pytest.mark.parametrize("mode", MODES)
def test_what_indexes_is_named_where_a_rule_replaced_more_than_it(mode: str) -> None:
    """The logarithm of picked probabilities, and its gradient, are indexed elsewhere than the program says."""
    x, y = T.dmatrix("x"), T.lvector("y")
    w = weft.shared(np.zeros((3, 4)), name="w")
    p = T.nnet.softmax(T.dot(x, w))
    picked = p[T.arange(y.size), y]
    cost = T.log(picked).sum()
    for outputs in (cost, T.grad(cost, w), [cost, T.grad(cost, w)]):
        f = weft.function([x, y], outputs, mode=mode)
        with pytest.raises(weft.BoundsError, match="index 4 is out of range") as caught:
            f(np.zeros((2, 3)), np.array([0, 4]))
        text = str(caught.value)
        assert "  y : TensorType(int64" in text and "picked = p[T.arange(y.size), y]" in text, text
        assert "softmax(T.dot" not in text, text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["element", "array", "set", "take", "length", "reshape", "range", "counts"])
def test_unsigned_integers_beyond_int64_are_out_of_range(mode: str, form: str) -> None:
    """Wrapped, 2**64 - 1 would be the last place, or a length that reshape finds."""
    x, k = T.dvector("x"), T.scalar("k", dtype="uint64")
    out = {
        "element": lambda: x[k],
        "array": lambda: x[T.stack([k, k])],
        "set": lambda: T.set_subtensor(x[k], 1.0),
        "take": lambda: T.take(x, k),
        "length": lambda: x + T.alloc(0.0, k),
        "reshape": lambda: x.reshape((k, 1)),
        "range": lambda: x + T.arange(k),
        "counts": lambda: x.sum() + T.bincount(T.stack([k, k])),
    }[form]()
    f = weft.function([x, k], out, mode=mode)
    for n in (2**64 - 1, 2**63):
        with pytest.raises((BoundsError, ShapeError), match="9223372036854775807 or more"):
            f(np.ones(3), np.array(n, "uint64"))
