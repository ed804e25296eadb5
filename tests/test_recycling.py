"""Memory of large outputs: what the caller has dropped is used again, and nothing that it still holds."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T

x = T.fvector("x")
LARGE = 200_000


@pytest.fixture(scope="module")
def plus_one() -> Any:
    return weft.function([x], x + 1)


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def ones(n: int) -> np.ndarray:
    return np.ones(n, np.float32)


@pytest.mark.parametrize("n", [16_385, 16_500, 17_400, 17_500, LARGE])
def test_a_dropped_output_is_used_again(plus_one: Any, n: int) -> None:
    a = ones(n)
    out = plus_one(a)
    seen = {address(out)}
    for _ in range(10):
        out = plus_one(a)
        seen.add(address(out))
    assert len(seen) <= 2, "the array held while the next one is made, and that one"
    np.testing.assert_array_equal(out, 2)


def test_what_is_held_stays(plus_one: Any) -> None:
    held = [plus_one(ones(LARGE) * k) for k in range(20)]
    views = [h[5:50] for h in held[:10]]
    del held[:10]
    more = [plus_one(ones(LARGE) * -k) for k in range(30)]
    for k, v in enumerate(views):
        np.testing.assert_array_equal(v, k + 1)
    for k, h in enumerate(held, 10):
        np.testing.assert_array_equal(h, k + 1)
    assert len({address(m) for m in more} | {address(h) for h in held}) == 40


def test_a_small_output_does_not_sit_on_a_large_block(plus_one: Any) -> None:
    for _ in range(3):
        plus_one(ones(10 * LARGE))
    frame = plus_one.executor._frames[0].c
    for n in (LARGE, 30_000, 3):
        out = plus_one(ones(n))
        np.testing.assert_array_equal(out, 2)
        assert frame.call.outputs[0].capacity <= 4 * n * 4 / 3 + 128, n


def test_lengths_that_grow_and_shrink(plus_one: Any) -> None:
    rng = np.random.default_rng(0)
    held: list[np.ndarray] = []
    for _ in range(300):
        n = int(rng.integers(1, 3 * LARGE))
        held.append(plus_one(np.full(n, n, np.float32)))
        if len(held) > 5:
            old = held.pop(int(rng.integers(0, 5)))
            assert (old == np.float32(len(old)) + 1).all()


def test_a_failed_call_loses_nothing() -> None:
    i = T.lscalar("i")
    f = weft.function([x, i], [x * 2, x[i]])
    a = ones(LARGE)
    for _ in range(50):
        f(a, 3)
        with pytest.raises(IndexError):
            f(a, LARGE)
    np.testing.assert_array_equal(f(a, 1)[0], 2)


def test_from_several_threads(plus_one: Any) -> None:
    wrong: list[int] = []

    def work(k: int) -> None:
        g = weft.function([x], x + k)
        held = None
        for n in range(60):
            out = g(ones(LARGE + 1000 * (n % 5)))
            if not (out == k + 1).all() or (held is not None and not (held == k + 1).all()):
                wrong.append(k)
            held = out

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_fork(plus_one: Any) -> None:
    plus_one(ones(LARGE))
    child = os.fork()
    if child == 0:
        ok = all((plus_one(ones(LARGE)) == 2).all() for _ in range(5))
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(plus_one(ones(LARGE)), 2)


def test_what_is_kept_is_capped(plus_one: Any) -> None:
    """Dropping much keeps little of it."""
    resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")  # noqa: E731, SIM115
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc")
    many = [plus_one(ones(10**7)) for _ in range(20)]
    full = resident()
    del many
    assert resident() < full - 500 * 10**6, "800 MB were dropped, and at most 256 MB stay"
