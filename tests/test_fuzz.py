"""Random programs (fuzz_programs.py), compiled against interpreted; seeds are fixed, so each run is the same."""

from __future__ import annotations

import fuzz_programs
import pytest


@pytest.fixture(autouse=True)
def verified(monkeypatch):
    import weft

    monkeypatch.setattr(weft.config, "verify", True)


@pytest.mark.parametrize("first", range(0, 24, 4))
def test_random_programs(first):
    report = fuzz_programs.check(list(range(first, first + 4)))
    assert report is None, report


@pytest.mark.parametrize("first", range(0, 16, 4))
def test_random_gradients(first):
    report = fuzz_programs.check(list(range(first, first + 4)), grad=True)
    assert report is None, report


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1100, 4))
@pytest.mark.parametrize("grad", [False, True])
def test_many(first, grad):
    report = fuzz_programs.check(list(range(first, first + 4)), grad)
    assert report is None, report


def test_programs_are_repeatable_and_can_be_pasted():
    for seed in range(3):
        p, q = fuzz_programs.Grower(seed).grow(), fuzz_programs.Grower(seed).grow()
        assert p.text() == q.text()
        exec(p.text(), {})


def test_a_difference_is_reported():
    import numpy as np

    same = np.array([1.0, np.nan])
    assert fuzz_programs.difference(same, same.copy(), False) is None
    assert "1 of 2" in fuzz_programs.difference(np.array([1.0, 2.0]), same, False)
    assert "float32" in fuzz_programs.difference(np.float32(same), same, False)
    assert "first at (1,)" in fuzz_programs.difference(np.array([1, 3]), np.array([1, 2]), False)


# What random programs found.


def compare(ins, outs, *args):
    import numpy as np

    import weft

    got, want = (weft.function(ins, outs, mode=m, on_unused_input="ignore")(*args) for m in ("compile", "interpret"))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("n", [0, 3])
def test_division_by_a_length_that_may_be_zero(n):
    """C stops the process at a division by zero, also on the host; x // 0 and x % 0 are 0."""
    import numpy as np

    import weft.tensor as T

    x, y = T.fvector("x"), T.fvector("y")
    m, k = x.shape[0], y.shape[0]
    outs = [k // m, k % m, T.arange(5) // m, T.arange(5) % m, T.alloc(1.0, k // m), y[: k % m]]
    compare([x, y], outs, np.ones(n, "f"), np.ones(7, "f"))


def test_reductions_over_some_and_over_all_loops_of_a_kernel():
    """Joined loops of one reduction were not in scope in the other."""
    import numpy as np

    import weft.tensor as T

    x, y = T.dmatrix("x"), T.tensor("float64", (False, True, True), "y")
    square = x.reshape((3, 3))
    outs = [T.max(square) * 0.5 + T.sum(T.maximum(y, square))]
    compare([x, y], outs, np.arange(9.0).reshape(3, 3), np.arange(2.0).reshape(2, 1, 1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_maximum_and_its_place_of_a_view(dtype):
    """Rules for any reduction asked for the dtype of a tuple."""
    import numpy as np

    import weft.tensor as T

    x = T.tensor(dtype, (False, False), "x")
    outs = [*T.max_and_argmax(x.T, axis=1), *T.max_and_argmax(T.alloc(x, 2, x.shape[0], x.shape[1]), axis=0)]
    compare([x], outs, np.arange(6).reshape(2, 3)[:, ::-1].astype(dtype))


def test_an_update_in_place_beside_a_function_with_hard_arguments_in_rows():
    """The first of two runs over a strip read the column, which only the loop inside it has."""
    import numpy as np

    import weft
    import weft.tensor as T

    x = T.tensor("float64", shape=(None, None, 1), name="x")
    start = np.arange(24.0).reshape(2, 4, 3) - 5
    found = []
    for mode in ("compile", "interpret"):
        s = weft.shared(start)
        f = weft.function([x], T.arctan2(s, abs(x) + 0.25), updates=[(s, s * 2)], mode=mode)
        found.append([f(np.full((2, 4, 1), 0.5)), s.get_value()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b)


def test_an_empty_result_whose_lengths_only_running_tells():
    """Its size is known when the call starts, its lengths are not: they were read before they were there."""
    import numpy as np

    import weft
    import weft.tensor as T
    from weft.ifelse import ifelse

    v = T.lvector("v")
    n = T.max(v) + 2
    outs = [(T.zeros((n, 2)) + 1.0)[:1:-1, 0:3:-1], ifelse(T.sum(v) > 2, T.zeros((n, 0)), T.zeros((n + 1, 0)))]
    found = []
    for mode in ("compile", "interpret"):
        s = weft.shared(np.zeros((3, 0)))
        f = weft.function([v], outs, updates=[(s, T.zeros((n, 0)))], mode=mode)
        found.append([r.shape for k in (2, 3) for r in (*f(np.arange(k)), s.get_value())])
    assert found[0] == found[1]


def test_a_branch_with_a_length_from_a_place_of_a_maximum():
    """The operation that gives the length has a tuple as its value."""
    import numpy as np

    import weft.tensor as T
    from weft.ifelse import ifelse

    x = T.dvector("x")
    part = x[: T.max_and_argmax(x)[1]]
    compare([x], [ifelse(T.sum(x) > 0, part * 0.5, T.exp(part))], np.array([0.5, 1, 4, 2]))
