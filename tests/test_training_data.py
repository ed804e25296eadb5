"""Minibatches: every example once an epoch, in an order that a seed fixes, from any position on."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable

import numpy as np
import pytest

import weft
from weft.runtime.training import data
from weft.training import Batches, Iterated, Numbers, Prefetched

X = np.arange(23)
Y = X * 10.0


def epochs(source, count: int) -> list[list[tuple]]:
    return [list(source) for _ in range(count)]


def plain(batches: list[tuple]) -> list[list[list]]:
    return [[np.asarray(a).tolist() for a in b] for b in batches]


def test_each_example_once_in_an_order_of_its_own_each_epoch() -> None:
    a, b = epochs(Batches([X, Y], 5, seed=3), 2)
    for batches in (a, b):
        assert [len(x) for x, _ in batches] == [5, 5, 5, 5, 3]
        assert sorted(np.concatenate([x for x, _ in batches])) == X.tolist()
        assert all((y == x * 10).all() for x, y in batches)
    assert plain(a) != plain(b) and plain(a) == plain(list(Batches([X, Y], 5, seed=3)))
    assert plain(a) != plain(list(Batches([X, Y], 5, seed=4)))


def test_the_last_one() -> None:
    dropped = Batches(X, 5, last="drop")
    assert len(dropped) == 4 and [len(x) for (x,) in dropped] == [5] * 4
    assert len(Batches(X, 5)) == 5 and len(Batches(X, 23)) == 1


def test_in_order_batches_are_views() -> None:
    batches = list(Batches(X, 5, shuffle=False))
    assert np.concatenate([x for (x,) in batches]).tolist() == X.tolist()
    assert all(np.shares_memory(x, X) for (x,) in batches)


def test_memory_mapped_files(tmp_path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert plain(list(Batches(mapped, 4, seed=1))) == plain(list(Batches(X, 4, seed=1)))


def test_numbers_of_minibatches_give_a_shared_variable_the_order() -> None:
    order = weft.shared(np.zeros(0, np.int64), name="order")
    source = Numbers(23, 5, order=order, seed=3)
    seen = []
    for (k,) in source:
        now = order.get_value()
        seen.append(now[k * 5 : k * 5 + 5].tolist())
        assert source.examples((k,)) == len(seen[-1])
    assert seen == [x.tolist() for (x,) in Batches(X, 5, seed=3)]
    among = np.array([4, 8, 15])
    list(Numbers(23, 2, order=order, among=among))
    assert sorted(order.get_value()) == among.tolist()
    assert [k for (k,) in Numbers(10, 4)] == [0, 1, 2]


SOURCES: dict[str, Callable[[], object]] = {
    "batches": lambda: Batches([X, Y], 5, seed=2),
    "in order": lambda: Batches(X, 5, shuffle=False),
    "numbers": lambda: Numbers(23, 5, order=weft.shared(np.zeros(0, np.int64)), seed=2),
    "iterated": lambda: Iterated(lambda epoch: ((X + 100 * epoch)[k : k + 4] for k in range(0, 23, 4))),
    "prefetched": lambda: Prefetched(Batches([X, Y], 5, seed=2), 3),
    "prefetched iterator": lambda: Prefetched(Iterated(lambda epoch: [X + epoch, Y]), 1),
}


@pytest.mark.parametrize("name", SOURCES)
def test_going_on_anywhere(name: str) -> None:
    """A source that is given the state of another goes on where that stood, in this epoch and the next."""
    make = SOURCES[name]
    whole = list(itertools.chain(*epochs(make(), 3)))
    for stop in range(len(whole) + 1):
        first = make()
        left = stop
        while left:
            for n, _ in enumerate(first, 1):
                if n == left:
                    break
            left -= n
        second = make()
        second.restore(json.loads(json.dumps(first.state())))  # type: ignore[attr-defined]
        rest: list[tuple] = []
        while len(rest) < len(whole) - stop:
            rest += list(second)  # type: ignore[call-overload]
        assert plain(rest[: len(whole) - stop]) == plain(whole[stop:]), stop


def test_an_error_of_the_thread_comes_to_the_loop() -> None:
    def make(epoch: int):
        yield X
        raise RuntimeError("the file ended")

    source = Prefetched(Iterated(make))
    with pytest.raises(RuntimeError, match="the file ended"):
        list(source)


def test_prefetching_stops_when_the_loop_is_left() -> None:
    before = threading.active_count()
    made = []

    def make(epoch: int):
        for k in range(1000):
            made.append(k)
            yield X

    for _ in Prefetched(Iterated(make), 2):
        break
    assert threading.active_count() == before and len(made) <= 5


def waiting() -> tuple[Prefetched, threading.Event, list[bool]]:
    """A source that waits before its second batch, what lets it go on, and whether it did so each time."""
    gate, passed = threading.Event(), []

    def make(epoch: int):
        for k in range(4):
            if k == 1:
                passed.append(gate.wait(20))
            yield X + k

    return Prefetched(Iterated(make)), gate, passed


def test_an_error_of_the_loop_does_not_wait_for_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LEAVE", 0.05)
    source, gate, passed = waiting()
    with pytest.raises(ZeroDivisionError):
        for _ in source:
            1 / 0  # noqa: B018
    assert source.state() == {"epoch": 0, "position": 1}
    gate.set()
    assert [x[0] for (x,) in source] == [1, 2, 3] and passed == [True, True]


def test_a_loop_does_not_begin_while_the_thread_of_another_one_uses_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LEAVE", 0.05)
    monkeypatch.setattr(data, "WAIT", 0.05)
    source, gate, _ = waiting()
    next(iter(source))
    for _ in range(2):
        with pytest.raises(weft.WeftError, match="is still at one of a loop that was left"):
            list(source)
    gate.set()
    monkeypatch.setattr(data, "WAIT", 20)
    assert [x[0] for (x,) in source] == [1, 2, 3]


def test_a_thread_whose_start_was_interrupted_leaves_the_source_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    source, late = Prefetched(Batches(X, 5, shuffle=False)), []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        late.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr(threading.Thread, "start", interrupted)
        next(iter(source))
    loop = iter(source)
    first = next(loop)
    start(late[0])
    late[0].join()
    assert [x[0] for (x,) in [first, *loop]] == [0, 5, 10, 15, 20]


def test_a_new_loop_takes_over() -> None:
    source = Prefetched(Batches(X, 5, shuffle=False))
    earlier = iter(source)
    next(earlier)
    assert [x[0] for (x,) in source] == [5, 10, 15, 20]
    with pytest.raises(weft.WeftError, match="another loop has begun"):
        next(earlier)


@pytest.mark.parametrize("make, text", [
    (lambda: Batches([X, Y[1:]], 5), "the arrays hold 23, 22 examples"),
    (lambda: Batches([], 5), "the arrays hold no examples"),
    (lambda: Batches(X, 0), "a minibatch holds 0 examples"),
    (lambda: Batches(X, 5, last="pad"), "last='pad'"),
    (lambda: Batches(X, 24, last="drop"), "minibatches of 24 of 23 examples"),
    (lambda: Prefetched(Batches(X, 5), 0), "ahead=0"),
    (lambda: Batches(X[:0], 5), "there are no examples"),
    (lambda: Numbers(0, 5), "there are no examples"),
    (lambda: Batches(X, 5.0), "size=5.0: a whole number"),
    (lambda: Batches({"x": X}, 5), "no axis of examples"),
    (lambda: Batches(X, 5, seed="one"), "seed='one': a whole number"),
    (lambda: Iterated(iter([X])), "a function of the number of the epoch"),
    (lambda: Numbers(23, 5, among=np.array([4, 8, 15])), "among= says which examples the order is of"),
    (lambda: Iterated(lambda epoch: [X]).restore(Batches(X, 5).state()), "another kind of source; here .* an iterator"),
    (lambda: Batches(X, 5).restore(Iterated(lambda epoch: [X]).state()), "minibatches with count = None; here it"),
    (lambda: Prefetched(Batches(X, 5)).restore(Batches(X, 6).state()), "minibatches with size = 6; here it is 5"),
    (lambda: Batches(X[:9], 5).restore(Batches(X, 5).state()), "minibatches with count = 23; here it is 9"),
])  # fmt: skip
def test_what_is_wrong_is_said(make, text: str) -> None:
    with pytest.raises(weft.WeftError, match=text):
        make()


M = np.random.default_rng(0).normal(size=(23, 4))


class Table:
    """What Batches sees of a table of pandas, whose [...] is by names of columns, or by labels of rows."""

    iloc = None

    def __init__(self, values: np.ndarray):
        self.values, self.shape = values, values.shape

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.values

    def __getitem__(self, key):
        raise KeyError(key)


@pytest.mark.parametrize("shuffle", [True, False])
def test_tables_are_taken_by_rows(shuffle: bool) -> None:
    for table, column, k in Batches([Table(M), Table(M[:, 0]), np.arange(len(M))], 5, shuffle=shuffle):
        assert np.array_equal(table, M[k]) and np.array_equal(column, M[k, 0])


def test_lists_are_arrays() -> None:
    for shuffle in (True, False):
        batches = list(Batches([M, list(range(len(M)))], 5, shuffle=shuffle))
        assert all(np.array_equal(x, M[k]) for x, k in batches) and len(batches) == 5


def test_sparse_examples() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    source = Batches([sparse.coo_matrix(M), Y], 5, seed=3)
    for (rows, _), (x, _) in zip(source, Batches([M, Y], 5, seed=3), strict=True):
        assert np.array_equal(rows.toarray(), x) and source.examples((rows,)) == len(x)


def test_a_generator_as_seed() -> None:
    one, two = (plain(epochs(Batches(X, 5, seed=np.random.default_rng(k)), 1)[0]) for k in (1, 1))
    assert one == two
    rng = np.random.default_rng(1)
    assert plain(epochs(Batches(X, 5, seed=rng), 1)[0]) != plain(epochs(Batches(X, 5, seed=rng), 1)[0])
    source = Batches(X, 5, seed=rng)
    later = Batches(X, 5, seed=0)
    later.restore(source.state())
    assert plain(epochs(source, 1)[0]) == plain(epochs(later, 1)[0])
