"""scan: what it computes. Each test runs in every mode of MODES."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft import clone, foldl, foldr, map, reduce, scan
from weft.compiler.ir.verify import verify
from weft.scan_module import OrderedUpdates, until
from weft.tensor.shared_randomstreams import RandomStreams

MODES = ["interpret", "compile"]


@pytest.fixture(params=MODES)
def function(request):
    def make(inputs, outputs=None, **kwargs):
        f = weft.function(inputs, outputs, mode=request.param, **kwargs)
        if request.param == "interpret":
            verify(f.executor.region)
        return f

    return make


def rnn(X, h0, W, **kwargs):
    return scan(lambda x, h, W: T.tanh(x + T.dot(h, W)), sequences=X, outputs_info=h0, non_sequences=W, **kwargs)[0]


def rnn_numpy(X, h, W):
    out = []
    for x in X:
        h = np.tanh(x + h @ W)
        out.append(h)
    return np.array(out).reshape(len(X), *h.shape)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s) for s in shapes]


# Theano's tutorial.


def test_power(function):
    k, A = T.iscalar("k"), T.dvector("A")
    result, updates = scan(lambda prior, A: prior * A, outputs_info=T.ones_like(A), non_sequences=A, n_steps=k)
    f = function([A, k], result[-1], updates=updates)
    np.testing.assert_array_equal(f(np.arange(10.0), 2), np.arange(10.0) ** 2)
    np.testing.assert_array_equal(f(np.arange(10.0), 4), np.arange(10.0) ** 4)


def test_polynomial(function):
    c, x = T.dvector("c"), T.dscalar("x")
    terms, _ = scan(lambda c, p, x: c * x**p, sequences=[c, T.arange(10000)], outputs_info=None, non_sequences=x)
    assert function([c, x], terms.sum())([1.0, 0.0, 2.0], 3) == 19


def test_accumulated_range(function):
    up_to = T.lscalar("up_to")
    seq = T.arange(up_to)
    sums, _ = scan(lambda i, s: s + i, outputs_info=T.as_tensor_variable(np.asarray(0, seq.dtype)), sequences=seq)
    np.testing.assert_array_equal(function([up_to], sums)(15), np.cumsum(np.arange(15)))


def test_set_elements(function):
    places, values, model = T.lmatrix("places"), T.dvector("values"), T.dmatrix("model")

    def set_at(place, value, model):
        zeros = T.zeros_like(model)
        return T.set_subtensor(zeros[place[0], place[1]], value)

    out, _ = scan(set_at, outputs_info=None, sequences=[places, values], non_sequences=model)
    got = function([places, values, model], out)([[1, 1], [2, 3]], np.array([42.0, 50.0]), np.zeros((5, 5)))
    want = np.zeros((2, 5, 5))
    want[0, 1, 1], want[1, 2, 3] = 42, 50
    np.testing.assert_array_equal(got, want)


def test_counter(function):
    a, k = weft.shared(1), T.lscalar("k")
    values, updates = scan(lambda: {a: a + 1}, n_steps=k)
    assert values is None and list(updates) == [a]
    b, c = a + 1, updates[a] + 1
    f = function([k], [b, c], updates=updates)
    assert [int(v) for v in f(10)] == [2, 12] and a.get_value() == 11


def test_taps_of_theanos_example(function):
    u, x0 = T.dvector("u"), T.dvector("x0")
    (x, y), _ = scan(
        lambda u4, u, x3, x1: [T.tanh(x3 + x1 * u + u4), x1 + u4],
        sequences=dict(input=u, taps=[-4, 0]),
        outputs_info=[dict(initial=x0, taps=[-3, -1]), None],
    )
    us, x0s = np.linspace(-1, 1, 9), np.array([0.1, 0.2, 0.3])
    h, ys = list(x0s), []
    for t in range(4, 9):
        h.append(np.tanh(h[-3] + h[-1] * us[t] + us[t - 4]))
        ys.append(h[-2] + us[t - 4])
    got = function([u, x0], [x, y])(us, x0s)
    np.testing.assert_allclose(got[0], h[3:])
    np.testing.assert_allclose(got[1], ys)


def test_until(function):
    limit = T.dscalar("limit")
    values, _ = scan(
        lambda v: (v * 2, until(v * 2 > limit)), outputs_info=T.constant(1.0, dtype="float64"), n_steps=1024
    )
    f = function([limit], [values, values.shape[0]])
    for number, want in ((45, [2, 4, 8, 16, 32, 64]), (-1, [2])):
        got, n = f(number)
        np.testing.assert_array_equal(got, want)
        assert n == len(want)


# Arguments.


@pytest.mark.parametrize("n", [0, 1, 3, 5])
def test_dynamic_steps(function, n):
    X, h0, W, steps = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W"), T.lscalar("n")
    f = function([X, h0, W, steps], rnn(X, h0, W, n_steps=steps))
    x, h, w = arrays((5, 3), 3, (3, 3))
    np.testing.assert_allclose(f(x, h, w, n), rnn_numpy(x[:n], h, w))


def test_no_steps_of_an_empty_sequence(function):
    X, h0, W = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W")
    f = function([X, h0, W], rnn(X, h0, W))
    assert f(np.ones((0, 3)), np.ones(3), np.ones((3, 3))).shape == (0, 3)
    g = function([X, h0, W], weft.grad(rnn(X, h0, W).sum(), [X, h0, W]))
    assert [v.shape for v in g(np.ones((0, 3)), np.ones(3), np.ones((3, 3)))] == [(0, 3), (3,), (3, 3)]


def test_backwards(function):
    X, h0, W = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W")
    x, h, w = arrays((5, 3), 3, (3, 3))
    both = function(
        [X, h0, W],
        [rnn(X, h0, W, go_backwards=True), rnn(X, h0, W, n_steps=-4), rnn(X, h0, W, n_steps=-4, go_backwards=True)],
    )
    last, negative, twice = both(x, h, w)
    np.testing.assert_allclose(last, rnn_numpy(x[::-1], h, w))
    np.testing.assert_allclose(negative, rnn_numpy(x[::-1][:4], h, w))
    np.testing.assert_allclose(twice, rnn_numpy(x[:4], h, w))


def test_backwards_with_taps(function):
    x = T.lvector("x")
    out, _ = scan(
        lambda before, here, after: T.stack([before, here, after]),
        sequences=dict(input=x, taps=[-1, 0, 1]),
        go_backwards=True,
    )
    np.testing.assert_array_equal(function([x], out)(np.arange(5)), [[2, 3, 4], [1, 2, 3], [0, 1, 2]])


def test_shortest_sequence(function):
    a, b, c = T.lvectors("a", "b", "c")
    out, _ = scan(lambda a, b, c: a + b * c, sequences=[a, b, c])
    f = function([a, b, c], out)
    assert [f(np.arange(i), np.arange(j), np.arange(k)).size for i, j, k in ((3, 4, 5), (5, 3, 4), (4, 5, 0))] == [
        3,
        3,
        0,
    ]


def test_longer_state_history_and_order_of_taps(function):
    x0 = T.lvector("x0")
    out, _ = scan(lambda one, three: one + 10 * three, outputs_info=dict(initial=x0, taps=[-1, -3]), n_steps=3)
    np.testing.assert_array_equal(function([x0], out)([1, 2, 3, 99]), [13, 33, 63])


def test_order_of_arguments(function):
    s, a, b, c = T.lvector("s"), T.lscalar("a"), T.lvector("b"), T.lscalar("c")
    seen = []

    def step(*args):
        seen.extend(v.name for v in args)
        return args[2] + 1, args[4] + args[5], args[0]

    scan(step, [dict(input=s, taps=[0, -1])], [a, dict(initial=b, taps=[-1, -2]), None], [c], n_steps=2)
    assert seen == ["s[t]", "s[t-1]", "a[t-1]", "b[t-1]", "b[t-2]", "c"]


def test_captured_values(function):
    """Outer expressions and shared variables are constants of the loop, computed once outside."""
    x, n = T.dvector("x"), T.lscalar("n")
    s = weft.shared(np.array([1.0, 2.0]), "s")
    y = T.exp(x)
    out, _ = scan(lambda t: y * t + s, sequences=T.arange(n))
    np.testing.assert_allclose(function([x, n], out)([0.0, 1.0], 2), [[1, 2], [2, np.e + 2]])
    assert y in [v for v in weft_ancestors(out) if v.owner is not None and v.owner.op == y.owner.op]


def weft_ancestors(v):
    from weft.compiler.graph.variable import ancestors

    return ancestors([v])


def test_strict(function):
    x = T.dvector("x")
    s = weft.shared(2.0, "s")
    said = r"scan 'loop': with strict=True .* non_sequences lack s : TensorType\(float64, shape=\(\)\)"
    with pytest.raises(weft.MissingInputError, match=said):
        scan(lambda t: t * s, sequences=x, strict=True, name="loop")
    out, _ = scan(lambda t, s: t * s, sequences=x, non_sequences=s, strict=True)
    np.testing.assert_array_equal(function([x], out)([1.0, 2.0]), [2, 4])


def test_lengths_given_by_constants(function):
    n, x = T.lscalar("n"), T.dvector("x")
    out, _ = scan(lambda t: T.alloc(t, n), sequences=T.arange(3))
    np.testing.assert_array_equal(function([n], out)(2), [[0, 0], [1, 1], [2, 2]])
    out, _ = scan(lambda t: x[(x > 0).nonzero()] * t, sequences=T.arange(2))
    np.testing.assert_array_equal(function([x], out)([1.0, -1.0, 2.0]), [[0, 0], [1, 2]])


def test_lengths_that_change_are_refused():
    x = T.dmatrix("x")
    with pytest.raises(weft.ShapeError, match="changes its length from step to step"):
        scan(lambda row: row[(row > 0).nonzero()], sequences=x)


def test_state_of_run_time_length(function):
    """The step's own length is declared to be the state's; the call checks it."""
    x, h0 = T.dmatrix("x"), T.dvector("h0")
    out, _ = scan(lambda row, h: row[(row > 0).nonzero()] + h, sequences=x, outputs_info=h0)
    f = function([x, h0], out)
    np.testing.assert_array_equal(f([[1.0, -1, 2], [-1, 3, 4]], [0.0, 0]), [[1, 2], [4, 6]])
    with pytest.raises(weft.ShapeError):
        f([[1.0, 1, 2], [-1, 3, 4]], [0.0, 0])


def test_state_of_length_one(function):
    x, h0 = T.dmatrix("x"), T.drow("h0")
    out, _ = scan(lambda row, h: row.dimshuffle("x", 0)[:, :1] + h, sequences=x, outputs_info=h0)
    np.testing.assert_array_equal(function([x, h0], out)([[1.0, 2], [3, 4]], [[1.0]]), [[[2]], [[5]]])
    wide, _ = scan(lambda row, h: row.dimshuffle("x", 0) + h, sequences=x, outputs_info=h0)
    f = function([x, h0], wide)
    np.testing.assert_array_equal(f([[1.0], [3]], [[1.0]]), [[[2]], [[5]]])
    with pytest.raises(weft.ShapeError):
        f([[1.0, 2], [3, 4]], [[1.0]])


def test_several_forms_of_results(function):
    s = weft.shared(0, "s")
    one, _ = scan(lambda: s + 1, n_steps=2)
    assert one.ndim == 1
    many, _ = scan(lambda: s + 1, n_steps=2, return_list=True)
    assert isinstance(many, list) and len(many) == 1
    for result in ([s + 1, s], (s + 1, s), ([s + 1, s], {s: s + 1}), ([s + 1, s], [(s, s + 1)])):
        outs, updates = scan(lambda result=result: result, n_steps=3)
        assert len(outs) == 2 and len(updates) in (0, 1)
    outs, updates = scan(lambda: ([s + 1], {s: s + 2}, until(s > 3)), n_steps=9)
    got = function([], outs, updates=updates)()
    np.testing.assert_array_equal(got, [1, 3, 5])
    assert s.get_value() == 6


def test_return_steps(function):
    x = T.dvector("x")
    infos = [dict(initial=T.constant(0.0, dtype="float64"), return_steps=n) for n in (1, 2)] + [dict(return_steps=2)]
    outs, _ = scan(lambda v, a, b: [a + v, b + v, v], sequences=x, outputs_info=infos)
    last, two, elements = function([x], outs)([1.0, 2, 3])
    assert last == 6
    np.testing.assert_array_equal(two, [3, 6])
    np.testing.assert_array_equal(elements, [2, 3])


def test_map_and_folds(function):
    x = T.dvector("x")
    zero = T.constant(0.0, dtype="float64")
    outs = [
        map(lambda v: v * v, x)[0],
        reduce(lambda v, s: s + v, x, zero)[0],
        foldl(lambda v, s: s * 2 + v, x, zero)[0],
        foldr(lambda v, s: s * 2 + v, x, zero)[0],
    ]
    squares, total, left, right = function([x], outs)([1.0, 2, 3])
    np.testing.assert_array_equal(squares, [1, 4, 9])
    assert (total, left, right) == (6, 11, 17)
    assert [float(v) for v in function([x], outs[1:])([])] == [0, 0, 0]


def test_nested(function):
    """A loop in a loop, with values of the outer one captured by the inner one."""
    A, k = T.dmatrix("A"), T.lscalar("k")

    def row(a):
        return scan(lambda p: p * a + A.sum(), outputs_info=T.ones_like(a), n_steps=k)[0][-1]

    out, _ = scan(row, sequences=A)
    (a,) = arrays((3, 2))
    want = np.ones((3, 2))
    for _ in range(4):
        want = want * a + a.sum()
    np.testing.assert_allclose(function([A, k], out)(a, 4), want)


def test_updates_of_several_kinds(function):
    """Explicit updates; an outer expression of what is updated follows it."""
    s, x = weft.shared(1.0, "s"), T.dvector("x")
    outside = s * 10
    outs, updates = scan(lambda v: ([v * s, outside], {s: s + v}), sequences=x)
    assert isinstance(updates, OrderedUpdates) and list(updates) == [s]
    f = function([x], outs, updates=updates + {})
    for start in (1, 7):
        got = f([1.0, 2, 3])
        seen = start + np.array([0, 1, 3])
        np.testing.assert_array_equal(got[0], np.array([1, 2, 3]) * seen)
        np.testing.assert_array_equal(got[1], seen * 10)


def test_random_steps(function):
    """Every step draws anew, and every call; the same with updates passed or not."""

    def made(pass_updates):
        rng = RandomStreams(7)
        outs, updates = scan(lambda: rng.normal((2,)), n_steps=3)
        f = function([], outs, updates=updates if pass_updates else None)
        return np.array([f(), f()])

    a, b = made(True), made(False)
    assert len(set(a.ravel())) == 12
    np.testing.assert_array_equal(a, b)


def test_one_draw_outside(function):
    noise = RandomStreams(3).normal((2,))
    outs, updates = scan(lambda h: h + noise, outputs_info=T.zeros((2,), "float64"), n_steps=2)
    a, b = function([], outs)()
    np.testing.assert_allclose(b, 2 * a)
    assert not updates


def test_clone_and_givens(function):
    X, h0, W, V = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W"), T.dmatrix("V")
    h = rnn(X, h0, W)
    x, s, w = arrays((4, 3), 3, (3, 3))
    want = rnn_numpy(x, s, w * 2)
    np.testing.assert_allclose(function([X, h0, V], clone(h, {W: V * 2}))(x, s, w), want)
    np.testing.assert_allclose(function([X, h0, V], h, givens={W: V * 2})(x, s, w), want)


def test_pickled(function):
    import pickle

    X, h0, W = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W")
    h = rnn(X, h0, W)
    ins, out = pickle.loads(pickle.dumps(([X, h0, W], h)))
    x, s, w = arrays((4, 3), 3, (3, 3))
    np.testing.assert_allclose(function(ins, out)(x, s, w), rnn_numpy(x, s, w))


def test_host_operation_in_a_step(function):
    @weft.compile.ops.as_op(itypes=[T.dscalar().type], otypes=[T.dscalar().type])
    def double(v):
        return np.asarray(v * 2)

    x = T.dvector("x")
    np.testing.assert_array_equal(function([x], scan(lambda v: double(v), sequences=x)[0])([1.0, 2]), [2, 4])


def test_long_step_and_many_scans(function):
    """No recursion over the graph of a step, and time linear in it."""
    x = T.dvector("x")

    def step(v, h):
        for _ in range(5000):
            h = h + v
        return h

    out, _ = scan(step, sequences=x, outputs_info=T.constant(0.0, dtype="float64"))
    assert function([x], out)([1.0])[0] == 5000


# Mistakes.


def test_dtype_of_a_state():
    x = T.dvector("x")
    with pytest.raises(weft.DTypeError) as e:
        scan(lambda v, h: h + v, sequences=x, outputs_info=T.fscalar("start"), name="sums")
    for part in ("scan 'sums'", "output 0", "start[t-1]", "float32", "float64", "test_scan.py", "cast"):
        assert part in str(e.value)


def test_rank_of_a_state():
    x = T.dvector("x")
    with pytest.raises(weft.ShapeError, match=r"1 dimensions, but the step returns .* with 0 .*no leading axis"):
        scan(lambda v, h: h.sum() + v, sequences=x, outputs_info=T.dvector("start"))
    with pytest.raises(weft.ShapeError, match=r"is a scalar; with taps .* leading axis of at least 2"):
        scan(lambda a, b: a + b, outputs_info=dict(initial=T.dscalar("s"), taps=[-2, -1]), n_steps=2)
    with pytest.raises(weft.ShapeError, match=r"holds 1 earlier values; taps .* need 2"):
        scan(lambda a, b: a + b, outputs_info=dict(initial=T.zeros((1,)), taps=[-2, -1]), n_steps=2)


COUNT = weft.shared(0.0, name="count")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda x: scan(lambda: x, outputs_info=None), "needs n_steps"),
        (
            lambda x: scan(lambda v, h: [h, h], x, outputs_info=x.sum()),
            "returns 2 outputs and outputs_info describes 1",
        ),
        (lambda x: scan(lambda v: v, T.dscalar()), "is a scalar; a sequence has a leading axis"),
        (lambda x: scan(lambda v: v, dict(taps=[0])), "without 'input'"),
        (lambda x: scan(lambda v, h: h, x, dict(initial=x, taps=[0])), "taps of outputs are negative"),
        (lambda x: scan(lambda v, h: h, x, dict(taps=[-2])), "no initial state"),
        (lambda x: scan(lambda v: v, x, n_steps=2.5), "n_steps is an integer"),
        (lambda x: scan(lambda v: v, x, truncate_gradient=0), "truncate_gradient"),
        (lambda x: scan(lambda v: v, x, go_backwards=T.lscalar("b")), "go_backwards of scan is True or False, not b"),
        (lambda x: scan(lambda v: v, x, truncate_gradient=1.5), "truncate_gradient of scan is an integer, not 1.5"),
        (lambda x: scan(lambda: x, dict(input=x, taps=[]), n_steps=2), "sequence 0 has no taps"),
        (lambda x: scan(lambda v: [(COUNT, v), (COUNT, v + 1)], x), "updates change count twice"),
        (lambda x: scan(lambda v: (v, "what"), x), "the step returned"),
        (lambda x: scan(lambda v: {x: v}, x), "updates change shared variables"),
        (lambda x: scan(lambda v: (v, until(x)), x), "until takes a scalar"),
    ],
)
def test_mistakes(make, text):
    with pytest.raises(weft.WeftError, match=text):
        make(T.dvector("x"))


def test_sequence_too_short(function):
    X, h0, W, n = T.dmatrix("X"), T.dvector("h0"), T.dmatrix("W"), T.lscalar("n")
    f = function([X, h0, W, n], rnn(X, h0, W, n_steps=n))
    x, h, w = arrays((5, 3), 3, (3, 3))
    with pytest.raises(weft.ShapeError, match="steps of scan and length of a sequence: 6 is more than 5"):
        f(x, h, w, 6)
    with pytest.raises(weft.ShapeError, match="number of steps of scan: -1 is negative"):
        f(x, h, w, -1)
    with pytest.raises(weft.ShapeError):
        f(x, np.ones(2), w, 3)


def test_two_steps_that_compute_the_same_length(function):
    """It needs nothing of either step, so it is one node, in a place of its own in each loop."""

    def count():
        c = T.constant(np.arange(1, 5))
        return T.sqr(c).sum() % 7 + T.sort(c * 2)[1]

    x, y = T.dvector("x"), T.dvector("y")
    a, _ = weft.scan(lambda s: T.exp(T.cumsum(T.alloc(s, count()))).sum(), sequences=[x])
    b, _ = weft.scan(lambda s: T.tanh(T.cumsum(T.alloc(s, count()))).sum(), sequences=[y])
    got = function([x, y], [a, b])([1.0, 0.5], [0.25])
    steps = np.arange(1, 7)
    np.testing.assert_allclose(got[0], [np.exp(s * steps).sum() for s in (1, 0.5)], 1e-12)
    np.testing.assert_allclose(got[1], [np.tanh(0.25 * steps).sum()], 1e-12)


@pytest.mark.parametrize("none", [None, [], [None]], ids=str)
def test_reductions_without_a_state_give_the_last_output(function, none):
    v = T.dvector("v")
    for loop, last in ((reduce, 6), (foldl, 6), (foldr, 2)):
        out, _ = loop(lambda e: e * 2, [v], none)
        assert function([v], out)([1, 2, 3]) == last
    two, _ = reduce(lambda e: [e * 2, e + 1], [v], None)
    assert [float(o) for o in function([v], two)([1, 2, 3])] == [6, 4]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_outputs_as_updates(function, count):
    v, a, b = T.dvector("v"), weft.shared(1.0), weft.shared(2.0)
    outs, updates = scan(lambda e: ([e * 2, e + 1, e][:count], [(a, a + e), (b, b * e)]), [v])
    function([v], outs, updates=updates)([1, 2, 3])
    assert (a.get_value(), b.get_value()) == (7, 12)
