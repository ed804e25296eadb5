"""Products, sparse products and linear algebra."""

from __future__ import annotations

from bisect import bisect_right as bisect

import numpy as np

from .checks import fault
from .index import within
from .values import cast, meaning, narrow, widen


@meaning("dot")
def _(node, values, run):
    # np.matmul, for np.dot leaves out a column that is multiplied by a single 0, and with it NaN and infinity.
    return narrow(np.matmul(*map(widen, values)), node.type.dtype)


@meaning("batched_dot")
def _(node, values, run):
    return narrow(np.matmul(*map(widen, values)), node.type.dtype)


@meaning("cholesky")
def _(node, values, run):
    (x,) = values
    low = _factor(x)
    if low is None:
        orders = range(1, len(x) + 1)
        raise fault("cholesky", orders[bisect(orders, False, key=lambda k: _factor(x[:k, :k]) is None)])
    return low


def _factor(x: np.ndarray) -> np.ndarray | None:
    try:
        low = np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        return None
    return None if np.isnan(np.diagonal(low)).any() else low  # NumPy lets NaNs pass


@meaning("solve_triangular")
def _(node, values, run):
    """By substitution, reading one triangle; a zero on the diagonal divides as floats do."""
    a, b = values
    lower = node.attr("lower")
    if node.attr("trans"):
        a, lower = a.T, not lower
    x = np.zeros_like(b)
    n = a.shape[0]
    for i in range(n) if lower else reversed(range(n)):
        known = slice(0, i) if lower else slice(i + 1, n)
        x[i] = (b[i] - a[i, known] @ x[known]) / a[i, i]
    return x


def row_numbers(indptr: np.ndarray, count: int) -> np.ndarray:
    """The row of each stored element; raises BoundsError for an indptr that does not ascend from 0 to their number."""
    ends = indptr.astype(np.int64)
    if not ends.size or ends[0] != 0 or ends[-1] != count or (np.diff(ends) < 0).any():
        raise fault("indptr", -1, count)
    return np.repeat(np.arange(ends.size - 1), np.diff(ends))


@meaning("csr")
def _(node, values, run):
    from scipy.sparse import csr_matrix

    data, indices, indptr, columns = values
    row_numbers(indptr, data.shape[0])
    within(indices, int(columns), negative=False)
    return csr_matrix((data, indices, indptr), shape=(indptr.shape[0] - 1, int(columns)), copy=True)


@meaning("csr_part")
def _(node, values, run):
    (x,) = values
    return cast(np.asarray((x.data, x.indices, x.indptr)[node.attr("part")]), node.type.dtype)


@meaning("csr_dot")
def _(node, values, run):
    data, indices, indptr, b, _ = values
    out = np.zeros((indptr.shape[0] - 1 if indptr.size else 0, b.shape[1]), widen(b).dtype)
    rows = row_numbers(indptr, data.shape[0])
    columns = within(indices, b.shape[0], negative=False)
    np.add.at(out, rows, widen(data)[:, None] * widen(b)[columns])
    return narrow(out, node.type.dtype)


@meaning("csr_dot_t")
def _(node, values, run):
    data, indices, indptr, g, count = values
    out = np.zeros((int(count), g.shape[1]), widen(g).dtype)
    rows = row_numbers(indptr, data.shape[0])
    columns = within(indices, int(count), negative=False)
    np.add.at(out, columns, widen(data)[:, None] * widen(g)[rows])
    return narrow(out, node.type.dtype)


@meaning("csr_sample")
def _(node, values, run):
    indices, indptr, g, b = values
    rows = row_numbers(indptr, indices.shape[0])
    within(np.asarray(rows), g.shape[0], negative=False)
    columns = within(indices, b.shape[0], negative=False)
    products = widen(g)[rows] * widen(b)[columns]
    return narrow(np.sum(products, axis=1, dtype=products.dtype), node.type.dtype)
