"""The pass over loops: by structure, and the same values as before, bit by bit."""

from __future__ import annotations

import numpy as np

import weft
import weft.tensor as T
from weft import scan
from weft.compiler.ir.interp import evaluate
from weft.compiler.ir.origins import Origins
from weft.compiler.ir.verify import verify
from weft.compiler.simplify.lazy import is_bound
from weft.compiler.simplify.loops import _Tidy, tidy_loops
from weft.ifelse import ifelse
from weft.scan_module import until
from weft.tensor.shared_randomstreams import RandomStreams


def loops(region):
    return [n for n in _Tidy(region, Origins(), {}).order() if n.op == "scan"]


def tidied(ins, outs, *args):
    """The tidied region; its outputs are those of the region it came from."""
    f = weft.function(ins, outs, mode="interpret", on_unused_input="ignore")
    before = f.executor.region
    after = tidy_loops(before)
    verify(after)
    assert tidy_loops(after) is after
    values = [np.asarray(a) for a in args] + [s.array() for s in f.storages]
    for a, b in zip(evaluate(before, values), evaluate(after, values), strict=True):
        np.testing.assert_array_equal(a, b)
    return before, after


def rnn(x, h0, w):
    return scan(lambda v, h: T.tanh(v * w + h), x, h0)[0]


X, H, W = np.array([0.3, -0.5, 0.9]), 0.4, 1.3


def test_last_row_only():
    x, h0, w = T.dvector("x"), T.dscalar("h0"), T.dscalar("w")
    before, after = tidied([x, h0, w], [rnn(x, h0, w)[-1]], X, H, W)
    assert loops(before)[0].attr("keep") == (True,) and loops(after)[0].attr("keep") == (False,)
    for whole in (rnn(x, h0, w), rnn(x, h0, w)[-2], rnn(x, h0, w)[0], rnn(x, h0, w)[-1] + rnn(x, h0, w).sum()):
        assert all(n.attr("keep") == (True,) for n in loops(tidied([x, h0, w], [whole], X, H, W)[1]))


def test_several_taps():
    x0, n = T.dvector("x0"), T.lscalar("n")
    h = scan(lambda a, b: a + b, outputs_info=dict(initial=x0, taps=[-2, -1]), n_steps=n)[0]
    _, after = tidied([x0, n], [h[-1] * h[-2]], [1.0, 2.0], 5)
    assert loops(after)[0].attr("keep") == (False,)


def test_no_steps_is_still_an_error():
    x, h0, w = T.dvector("x"), T.dscalar("h0"), T.dscalar("w")
    f = weft.function([x, h0, w], rnn(x, h0, w)[-1], mode="interpret")
    after = tidy_loops(f.executor.region)
    for r in (f.executor.region, after):
        try:
            evaluate(r, [np.zeros(0), np.asarray(H), np.asarray(W)])
        except weft.BoundsError:
            continue
        raise AssertionError("no error")


def test_stacked_values_not_read():
    x = T.dvector("x")
    (_, b, _), _ = scan(lambda v: [v * 2, v * 3, v * 4], x)
    _, after = tidied([x], [b], X)
    assert len(loops(after)[0].attr("step").outputs) == 1


def test_run_again_for_a_gradient():
    """Draws inside the step, second derivatives, updates: what a gradient runs again is one loop with the first run."""
    x, h0, w = T.dvector("x"), T.dscalar("h0"), T.dscalar("w")
    rng = RandomStreams(5)
    h, _ = scan(lambda v, h: T.tanh(v * rng.normal(()) * w + h), x, h0)
    before, after = tidied([x, h0, w], [h.sum(), weft.grad(h.sum(), w)], X, H, W)
    assert (len(loops(before)), len(loops(after))) == (3, 2)
    slope = weft.grad(T.sqr(rnn(x, h0, w)).sum(), w)
    before, after = tidied([x, h0, w], [slope, weft.grad(slope, [w, x])[0]], X, H, W)
    assert len(loops(after)) < len(loops(before))
    s = weft.shared(0.5)
    _, updates = scan(lambda v: {s: T.sin(s * v)}, x)
    before, after = tidied([x], [updates[s], weft.grad(updates[s], x)], X)
    assert (len(loops(before)), len(loops(after))) == (3, 2)


def test_until():
    x, h0 = T.dvector("x"), T.dscalar("h0")

    def step(v, h):
        return T.tanh(v + h), until(h + v > 1)

    s = weft.shared(0.1)
    h = scan(step, x, h0)[0]
    _, updates = scan(lambda v: ({s: s + v}, until(s > 0.3)), x)
    cost = h.sum() + updates[s] ** 2
    before, after = tidied([x, h0], [cost, h.shape[0], *weft.grad(cost, [x, h0])], X, H)
    assert len(loops(after)) < len(loops(before))
    assert any(is_bound(n) for n in _Tidy(after, Origins(), {}).order())


def test_unlike_loops_stay_apart():
    x, y = T.dvector("x"), T.dvector("y")
    h0 = T.constant(0.0, dtype="float64")
    outs = [scan(lambda v, h: h + v, a, h0, go_backwards=b)[0] for a, b in ((x, False), (y, False), (x, True))]
    outs.append(scan(lambda v, h: h - v, x, h0)[0])
    outs.append(scan(lambda v, h: h + v, x, h0)[0] * 2)
    _, after = tidied([x, y], outs, X, X + 1)
    assert len(loops(after)) == 4


def test_nested():
    A, c = T.dmatrix("A"), T.bscalar("c")

    def row(a, s):
        h = rnn(a, s, s)
        return ifelse(c, rnn(a, s * 2, s)[-1], h[-1]) + weft.grad(h[-1], s)

    out = scan(row, A, T.constant(0.5, dtype="float64"))[0]
    _, after = tidied([A, c], [out[-1]], np.array([X, X * 2]), np.int8(1))
    assert loops(after)[0].attr("keep") == (False,)
