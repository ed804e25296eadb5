"""The check that every test of a derivative makes: ways of computing one number agree.

Reverse mode against central differences in float64 (of both parts, where complex), forward mode against reverse mode
by <u, J v> = <J' u, v>, both by the interpreter; and the compiled derivatives of all orders, as one function, against
the interpreter's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import weft
import weft.tensor as T
from weft import Variable
from weft.compiler.grad.extras import numeric_gradient

STEP = 1e-5
TOLERANCE = 2e-6
ROUNDING = 1e-9  # between the compiled functions and the interpreter, of the largest element


def interpreted(inputs: Sequence[Variable], outputs: Any, **kwargs: Any) -> Any:
    return weft.function(list(inputs), outputs, mode="interpret", on_unused_input="ignore", **kwargs)


def function(inputs: Sequence[Variable], outputs: Any, **kwargs: Any) -> Any:
    """The compiled function, each of whose results is held against the interpreter's."""
    compiled = weft.function(list(inputs), outputs, on_unused_input="ignore", **kwargs)
    meant = interpreted(inputs, outputs, **kwargs)

    def call(*args: Any) -> Any:
        found, wanted = compiled(*args), meant(*args)
        several = isinstance(found, list)
        same(found if several else [found], wanted if several else [wanted])
        return found

    return call


def same(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    for k, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.dtype == b.dtype and a.shape == b.shape, f"compiled, output {k}"
        if a.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, b, f"compiled, output {k}")
            continue
        largest = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        epsilon = ROUNDING if a.dtype.itemsize >= 8 and a.dtype.char != "F" else 1e-5
        np.testing.assert_allclose(a, b, epsilon, float(epsilon * largest), err_msg=f"compiled, output {k}")


def variables(points: Sequence[np.ndarray]) -> list[Variable]:
    return [T.TensorType(p.dtype, [n == 1 for n in p.shape])(f"x{k}") for k, p in enumerate(points)]


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    value = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
    if np.dtype(dtype).kind == "c":
        value = value + 1j * rng.uniform(0.5, 1.5, shape)
    return np.asarray(value).astype(dtype)


def weighed(out: Variable, w: Any) -> Variable:
    """The real inner product of an output and a constant."""
    return T.real(T.sum(T.mul(T.conj(T.constant(w)), out)))


def check(fun: Callable[..., Any], *points: Any, order: int = 1, forward: bool = True) -> None:
    """`fun` of Variables gives a Variable or several; order 2 checks its gradient as well."""
    arrays = [np.asarray(p) for p in points]
    ins = variables(arrays)
    outputs: list[Variable] = []
    wanted: list[np.ndarray] = []
    for _ in range(order):
        fun, made, found = _check(fun, ins, arrays, forward)
        outputs += made
        wanted += found
    same(weft.function(ins, outputs, on_unused_input="ignore")(*arrays), wanted)


def _check(
    fun: Callable[..., Any], ins: list[Variable], arrays: list[np.ndarray], forward: bool
) -> tuple[Callable[..., Any], list[Variable], list[np.ndarray]]:
    """One order of `check`: the gradient as such a function, what was computed, and its values."""
    rng = np.random.default_rng(1)
    outs = _listed(fun(*ins))
    shapes = [np.shape(v) for v in interpreted(ins, outs)(*arrays)]
    us = [random(rng, s, o.dtype) for s, o in zip(shapes, outs, strict=True)]

    def slope(*xs: Variable) -> list[Variable]:
        total = T.add(*[weighed(o, u) for o, u in zip(_listed(fun(*xs)), us, strict=True)])
        return weft.grad(total, list(xs), disconnected_inputs="ignore")

    cost = T.add(*[weighed(o, u) for o, u in zip(outs, us, strict=True)])
    grads = weft.grad(cost, ins, disconnected_inputs="ignore")
    value = interpreted(ins, cost)
    found = interpreted(ins, grads)(*arrays)
    for k, (p, g) in enumerate(zip(arrays, found, strict=True)):
        assert g.shape == p.shape and g.dtype == p.dtype
        np.testing.assert_allclose(
            g, numeric_gradient(value, arrays, k, STEP), TOLERANCE, TOLERANCE, err_msg=f"input {k}"
        )
    if not forward:
        return slope, [cost, *grads], [value(*arrays), *found]
    vs = [random(rng, p.shape, p.dtype.name) for p in arrays]
    pushed = _listed(weft.gradient.Rop(outs, ins, vs, disconnected_outputs="ignore"))
    moved = interpreted(ins, pushed)(*arrays)
    assert [m.shape for m in moved] == shapes
    left = sum(np.sum(np.conj(u) * m).real for u, m in zip(us, moved, strict=True))
    right = sum(np.sum(np.conj(g) * v).real for g, v in zip(found, vs, strict=True))
    np.testing.assert_allclose(left, right, 1e-9, 1e-9)
    return slope, [cost, *grads, *pushed], [value(*arrays), *found, *moved]


def _listed(made: Any) -> list[Variable]:
    return list(made) if isinstance(made, (list, tuple)) else [made]
