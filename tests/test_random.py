"""Random streams: what they draw, that calls are independent, that states advance, save and restore."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.graph.random import splitmix64, stream_key
from weft.runtime.errors import DTypeError, ShapeError
from weft.sandbox.rng_mrg import MRG_RandomStreams
from weft.tensor.shared_randomstreams import RandomStreams

MODES = ["interpret", "compile"]


@pytest.fixture(params=MODES)
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A function of no arguments, called once."""
    return lambda outputs, **options: weft.function([], outputs, mode=request.param, **options)()


def test_splitmix64_is_the_published_one() -> None:
    # The first outputs of the reference generator (Vigna, splitmix64.c) started at 1234567.
    state, got = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        got.append(splitmix64(state))
    assert got == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_keys_differ() -> None:
    seeds: list[Any] = [0, 1, -1, 2**64, 2**64 + 1, [1], [1, 2], [2, 1], [1, 2, 0]]
    keys = {stream_key(s, k) for s in seeds for k in range(50)}
    assert len(keys) == (len(seeds) - 1) * 50  # 1 and [1] are the same seed


@pytest.mark.parametrize(
    ("draw", "mean", "std", "low", "high"),
    [
        (lambda s: s.uniform((4000,)), 0.5, 12**-0.5, 0, 1),
        (lambda s: s.uniform((4000,), low=-3.0, high=5.0), 1, 8 * 12**-0.5, -3, 5),
        (lambda s: s.uniform((4000,), dtype="float16"), 0.5, 12**-0.5, 0, 0.9996),
        (lambda s: s.normal((4000,)), 0, 1, -6, 6),
        (lambda s: s.normal((4000,), avg=2, std=0.5), 2, 0.5, -1, 5),
        (lambda s: s.binomial((4000,), p=0.3), 0.3, 0.21**0.5, 0, 1),
        (lambda s: s.binomial((4000,), n=20, p=0.3), 6, 4.2**0.5, 0, 20),
        (lambda s: s.random_integers((4000,), low=3, high=8), 5.5, (35 / 12) ** 0.5, 3, 8),
        (lambda s: s.choice((4000,), a=np.array([1.0, 5.0]), p=[0.25, 0.75]), 4, 3**0.5, 1, 5),
    ],
)
def test_moments(run: Callable[..., Any], draw: Any, mean: float, std: float, low: float, high: float) -> None:
    x = run(draw(RandomStreams(3))).astype("float64")
    assert x.min() >= low and x.max() <= high
    assert abs(x.mean() - mean) < 5 * std / 4000**0.5
    assert abs(x.std() / std - 1) < 0.08


def test_dtypes(run: Callable[..., Any]) -> None:
    s = RandomStreams(0)
    assert run(s.binomial((2,))).dtype == "int64"
    assert run(s.binomial((2,), dtype="float32")).dtype == "float32"
    assert run(s.normal((2,), dtype="float32")).dtype == "float32"
    assert run(s.uniform((2,))).dtype == weft.config.floatX
    with pytest.raises(weft.ArgumentError, match="int64"):
        s.uniform((2,), dtype="int64")


@pytest.mark.parametrize("mode", MODES)
def test_size(mode: str) -> None:
    s = RandomStreams(1)
    x, v, n = T.matrix("x"), T.lvector("v"), T.lscalar("n")
    value = np.arange(6.0).reshape(2, 3)
    f = weft.function(
        [x], [s.uniform(x.shape), s.normal(avg=x), s.binomial(p=x * 0 + 0.5), s.uniform(low=x, high=x + 1)], mode=mode
    )
    assert [o.shape for o in f(value)] == [(2, 3)] * 4
    assert (np.floor(f(value)[3]) == value).all()
    assert weft.function([v], s.uniform(v, ndim=2), mode=mode)([4, 0]).shape == (4, 0)
    assert weft.function([n], s.uniform((n, 2)), mode=mode)(3).shape == (3, 2)
    assert s.uniform().ndim == 0 and s.uniform(5).ndim == 1
    with pytest.raises(weft.ShapeError, match="ndim=3"):
        s.uniform((1, 2), ndim=3)
    with pytest.raises(weft.ShapeError, match="parameter x"):
        s.uniform((3,), low=x)


@pytest.mark.parametrize("mode", MODES)
def test_a_state_a_call(mode: str) -> None:
    s = RandomStreams(5)
    a, b = s.uniform((3,)), s.uniform((3,))
    f = weft.function([], [a, a, b], mode=mode)
    first, same, other = f()
    assert (first == same).all() and (first != other).all()
    assert (f()[0] != first).all()
    still = weft.function([], a, no_default_updates=True, mode=mode)
    assert (still() == still()).all()
    assert a.rng.get_value().tolist() == [stream_key(5, 0), 2]
    assert len(s.updates()) == len(s.state_updates) == 2 and a.update == s.updates()[0]


@pytest.mark.parametrize("mode", MODES)
def test_dropout_in_a_training_step(mode: str) -> None:
    """Restored with the weights, the state gives the same steps again; default updates can be given, left out, set."""
    x, w = T.dmatrix("x"), weft.shared(np.ones((3, 2)))
    mask = RandomStreams(4).binomial((4, 3), p=0.5, dtype="float64")
    cost = T.sqr(T.dot(x * mask, w) - 1).mean()
    step = weft.function([x], cost, updates=[(w, w - 0.1 * weft.grad(cost, w))], mode=mode)
    still = weft.function([x], cost, no_default_updates=True, mode=mode)
    value = np.arange(12.0).reshape(4, 3) / 9
    step(value)
    saved = mask.rng.get_value(), w.get_value()
    first = [float(step(value)) for _ in range(3)]
    assert still(value) == still(value) and len(set(first)) == 3
    mask.rng.set_value(saved[0])
    w.set_value(saved[1])
    assert [float(step(value)) for _ in range(3)] == first
    count = weft.shared(0)
    count.default_update = count + 1
    counted = weft.function([], count * 2, mode=mode)
    assert [int(counted()) for _ in range(3)] == [0, 2, 4]
    for off in (True, [count]):
        weft.function([], count, no_default_updates=off, mode=mode)()
    assert count.get_value() == 3
    weft.function([], count, updates=[(count, count + 10)], mode=mode)()
    assert count.get_value() == 13


@pytest.mark.parametrize("mode", MODES)
def test_saved_and_restored(mode: str) -> None:
    s = RandomStreams(5)
    a = s.normal((4,))
    f = weft.function([], a, mode=mode)
    f()
    saved = a.rng.get_value()
    second = f()
    a.rng.set_value(saved)
    assert (f() == second).all()
    s[a] = saved
    assert (s[a.rng] == saved).all() and (f() == second).all()
    s.seed(9)
    ninth = f()
    fresh = weft.function([], RandomStreams(9).normal((4,)), mode=mode)
    assert (fresh() == ninth).all()
    s.seed()
    assert s[a].tolist() == [stream_key(5, 0), 0]
    with pytest.raises(KeyError):
        s[T.vector()]
    with pytest.raises(AttributeError, match="random stream"):
        _ = T.vector("x").rng


@pytest.mark.parametrize("mode", MODES)
def test_pickled_with_its_state(mode: str) -> None:
    s = MRG_RandomStreams(2)
    a = s.uniform((3,))
    weft.function([], a, mode=mode)()
    s2, a2 = pickle.loads(pickle.dumps((s, a)))
    assert a2.rng is s2.state_updates[0][0] and a2.rng is not a.rng
    assert (weft.function([], a2, mode=mode)() == weft.function([], a, mode=mode)()).all()


def test_multinomial(run: Callable[..., Any]) -> None:
    s = RandomStreams(4)
    p = np.array([[0.1, 0.9, 0.0], [0.0, 0.0, 1.0]])
    one = run(s.multinomial(pvals=np.repeat(p, 500, axis=0)))
    assert one.dtype == "int64" and (one.sum(axis=1) == 1).all()
    assert abs(one[:500].mean(axis=0) - p[0]).max() < 0.07 and (one[500:, 2] == 1).all()
    many = run(s.multinomial(n=40, pvals=p, dtype="float32"))
    assert many.dtype == "float32" and (many.sum(axis=1) == 40).all() and many[0, 2] == 0
    assert run(s.multinomial(size=(5, 2), pvals=[0.5, 0.5])).shape == (5, 2, 2)


def test_permutations(run: Callable[..., Any]) -> None:
    s = RandomStreams(4)
    rows = run(s.permutation((3,), n=20))
    assert (np.sort(rows, axis=1) == np.arange(20)).all() and (rows[0] != rows[1]).any()
    assert len(set(run(s.choice((5,), a=9, replace=False)).tolist())) == 5


@pytest.mark.parametrize(("low", "high"), [(-(2**62), 2**62), (-(2**63), 2**63 - 1), (0, 2**63 - 1), (2**53, 2**54)])
def test_integers_of_wide_ranges(run: Callable[..., Any], low: int, high: int) -> None:
    a, b = weft.shared(np.int64(low)), weft.shared(np.int64(high))
    for got in run([RandomStreams(4).random_integers((1000,), *ends) for ends in ((low, high), (a, b))]):
        spread = got.astype("float64").std() / (float(high) - float(low))
        assert low <= got.min() and got.max() <= high and abs(spread - 12**-0.5) < 0.02


def test_refused() -> None:
    s = RandomStreams(4)
    with pytest.raises(weft.ArgumentError, match="from 1 to 1000"):
        s.binomial((2,), n=T.lscalar())
    with pytest.raises(weft.ArgumentError, match="from 1 to 1000"):
        s.binomial((2,), n=10**6)
    with pytest.raises(weft.ArgumentError, match="empty"):
        s.random_integers((2,), low=3, high=2)
    for empty in (0, -5):
        with pytest.raises(weft.ArgumentError, match="empty"):
            s.choice((2,), a=empty)
    with pytest.raises(weft.ShapeError, match="3 and 5"):
        s.choice((5,), a=3, replace=False)


def test_without_replacement_there_are_as_many_as_asked_for(run: Callable[..., Any]) -> None:
    for count in (-1, 6):
        with pytest.raises(weft.ShapeError, match=f"and {count} differ"):
            run(RandomStreams(4).choice((weft.shared(count),), a=5, replace=False))
    assert run(RandomStreams(4).choice((weft.shared(0),), a=5, replace=False)).shape == (0,)
    assert sorted(run(RandomStreams(4).choice((weft.shared(5),), a=5, replace=False))) == [0, 1, 2, 3, 4]


def test_choice_has_a_probability_for_each_element(run: Callable[..., Any]) -> None:
    streams, p, n = RandomStreams(1), T.dvector("p"), T.lscalar("n")
    for a, given in ((2, [0.1] * 10), (5, [0.5, 0.5]), (np.arange(5.0), [0.5, 0.5]), (2, [[0.5, 0.5]])):
        with pytest.raises(ShapeError):
            streams.choice((10,), a=a, p=given)
    drawn = streams.choice((100,), a=n, p=p)
    some = {n: T.constant(3, dtype="int64")}
    assert set(run(drawn, givens={**some, p: [0.5, 0.0, 0.5]}).tolist()) == {0, 2}
    with pytest.raises(ShapeError):
        run(drawn, givens={**some, p: [0.5, 0.5]})
    with pytest.raises(DTypeError):
        streams.choice((10,), a=2.5)
