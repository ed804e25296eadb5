"""Folds along leading axes: results that later folds of the same kernel compare against."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.tensor as T


@pytest.mark.parametrize("columns", [(3, 4), (7, 9), (64,), (65,)])
def test_a_fold_compared_with_an_earlier_one(columns: tuple[int, ...]) -> None:
    """gcc 12.2 at -O3 vectorised this to wrong sums: the maximum of squares, then what stands where it is reached."""
    rng = np.random.default_rng(0)
    x, v = (T.TensorType("float64", shape=(None,) * (len(columns) + 1))() for _ in "xv")
    out = T.max(x * x, axis=0) ** 2
    f = weft.function([x, v], weft.gradient.Rop(out, x, v))
    for rows in (1, 2, 5, 1030):
        a, t = rng.normal(size=(rows, *columns)), rng.normal(size=(rows, *columns))
        top = np.max(a * a, axis=0)
        want = 2 * top * np.sum((a * a == top) * 2 * a * t, axis=0)
        np.testing.assert_allclose(f(a, t), want, rtol=1e-12)
