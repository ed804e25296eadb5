"""What every specimen is held to: the compiled function, the interpreter and NumPy agree, gradients too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import weft
from weft import Variable
from weft.compiler.grad.extras import numeric_gradient


def both(inputs: Sequence[Variable], outputs: Any, **kwargs: Any) -> tuple[Any, Any]:
    return tuple(weft.function(list(inputs), outputs, mode=mode, **kwargs) for mode in ("compile", "interpret"))  # type: ignore[return-value]


def agree(
    inputs: Sequence[Variable], outputs: Any, values: Sequence[Any], expected: Any = None, tolerance: float = 1e-10
) -> Any:
    """Results of the compiled function, equal to the interpreter's and to what is expected."""
    compiled, interpreted = both(inputs, outputs)
    found, meant = compiled(*values), interpreted(*values)
    several = isinstance(outputs, (list, tuple))
    for k, (a, b) in enumerate(zip(*((found, meant) if several else ([found], [meant])), strict=True)):
        assert a.dtype == b.dtype and a.shape == b.shape, f"output {k}"
        np.testing.assert_allclose(wide(a), wide(b), tolerance, tolerance, err_msg=f"output {k}, interpreter")
        if expected is not None:
            want = np.asarray(expected[k] if several else expected)
            np.testing.assert_allclose(wide(a), wide(want), tolerance, tolerance, err_msg=f"output {k}, NumPy")
    return found


def wide(a: np.ndarray) -> np.ndarray:
    """float16 and bfloat16 as float64, which NumPy compares."""
    return a.astype(np.float64) if a.dtype.itemsize == 2 and a.dtype.kind not in "iub" else a


def gradient(
    cost: Variable, wrt: Sequence[Variable], values: Sequence[Any], step: float = 1e-6, tolerance: float = 1e-6
) -> list:
    """Compiled gradients, equal to the interpreter's and to finite differences of the compiled cost."""
    grads = weft.grad(cost, list(wrt))
    compiled, interpreted = both(wrt, grads, on_unused_input="ignore")
    value: Callable = weft.function(list(wrt), cost)
    points = [np.asarray(v) for v in values]
    found = compiled(*points)
    for k, (a, b) in enumerate(zip(found, interpreted(*points), strict=True)):
        assert a.dtype == b.dtype == points[k].dtype and a.shape == b.shape == points[k].shape
        np.testing.assert_allclose(a, b, 1e-10, 1e-10, err_msg=f"input {k}, interpreter")
        np.testing.assert_allclose(
            a, numeric_gradient(value, points, k, step), tolerance, tolerance, err_msg=f"input {k}"
        )
    return found
