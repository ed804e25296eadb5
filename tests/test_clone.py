"""clone: copies of graphs with parts replaced."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import clone
from weft.compiler.graph.clone import copied
from weft.compiler.graph.variable import ancestors

MODE = "interpret"


@pytest.fixture(autouse=True, params=["interpret", pytest.param("compile", marks=pytest.mark.slow)])
def _mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode that this file's functions are made for."""
    monkeypatch.setitem(globals(), "MODE", request.param)


def run(ins, out, *args):
    return weft.function(ins, out, mode=MODE, on_unused_input="ignore")(*args)


def test_copy_is_another_graph_over_the_same_leaves():
    x = T.dvector("x")
    y = T.exp(x * 2)
    y.name = "y"
    z = clone(y)
    assert z is not y and z.name == "y" and z.owner.inputs[0] is not y.owner.inputs[0]
    assert {v for v in ancestors([z]) if v.owner is None} == {v for v in ancestors([y]) if v.owner is None}
    assert z.owner.op == y.owner.op and clone(x) is x


def test_replacements():
    x, w = T.dvector("x"), T.dvector("w")
    y = x * 2
    a, b = clone([y + x, y * y], replace={y: w})
    assert [v.tolist() for v in run([x, w], [a, b], [1.0], [5.0])] == [[6], [25]]
    (c,) = clone([y + x], replace=[(x, w + 1)])
    assert run([w], c, [1.0]).tolist() == [6]
    # A replacement that holds what it replaces is not entered again.
    assert run([x], clone(y, {x: x + 1}), [1.0]).tolist() == [4]


def test_strict():
    x = T.dvector("x")
    y = T.exp(x)
    with pytest.raises(weft.DTypeError, match=r"clone replaces x .* by f .*strict=False"):
        clone(y, {x: T.fvector("f")})
    with pytest.raises(weft.ShapeError):
        clone(y, {x: T.dmatrix("m")})
    row, m = T.drow("row"), T.dmatrix("m")  # a mean over its first axis divides by 1
    mean = clone(row.mean(axis=0), {row: m})
    assert run([m], mean, np.ones((1, 2))).tolist() == [1, 1]
    with pytest.raises(weft.ShapeError):
        run([m], mean, np.ones((3, 2)))
    m = T.fmatrix("m")
    z = clone(y, {x: m}, strict=False)
    assert (z.ndim, z.dtype) == (2, "float32")
    np.testing.assert_allclose(run([m], z, np.zeros((1, 2), "float32")), 1)


def test_fresh_leaves():
    x, s = T.dvector("x"), weft.shared(np.ones(2), "s")
    z = clone(x * s, share_inputs=False)
    leaves = [v for v in ancestors([z]) if v.owner is None]
    assert s in leaves and x not in leaves and [v.name for v in leaves if v is not s] == ["x"]


def test_several_outputs_of_one_operation():
    x = T.dvector("x")
    m, k = T.max_and_argmax(x)
    a, b = clone([m, k], {x: x * 2})
    c, d = clone([m * 1, k], {m: T.constant(7.0, dtype="float64"), x: x * 2})
    assert [float(v) for v in run([x], [c, d], [1.0, 3.0])] == [7, 1]
    assert a.owner is b.owner and [float(v) for v in run([x], [a, b], [1.0, 3.0])] == [6, 1]


def test_users_operation():
    @weft.compile.ops.as_op(itypes=[T.dvector().type], otypes=[T.dvector().type])
    def double(v):
        return v * 2

    x = T.dvector("x")
    assert run([x], clone(double(x), {x: x + 1}), [1.0]).tolist() == [4]


def test_untouched_parts_are_shared():
    x, y = T.dvector("x"), T.dvector("y")
    left, right = T.exp(x), T.exp(y)
    (out,) = copied([left + right], {x: y})
    assert out.owner.inputs[1] is right and out.owner.inputs[0] is not left


def test_long_chain():
    x = v = T.dscalar("x")
    for _ in range(20000):
        v = v + 1
    assert len(ancestors([clone(v, {x: T.sqr(x)})])) > 20000
