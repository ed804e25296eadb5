"""The check that every test of a derivative makes: three ways of computing one number agree.

Reverse mode against central differences in float64 (of both parts, where complex), and forward mode against reverse
mode by <u, J v> = <J' u, v>.
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


def interpreted(inputs: Sequence[Variable], outputs: Any) -> Any:
    return weft.function(list(inputs), outputs, mode="interpret", on_unused_input="ignore")


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
    rng = np.random.default_rng(1)
    ins = variables(arrays)
    made = fun(*ins)
    outs = list(made) if isinstance(made, (list, tuple)) else [made]
    shapes = [np.shape(v) for v in interpreted(ins, outs)(*arrays)]
    us = [random(rng, s, o.dtype) for s, o in zip(shapes, outs, strict=True)]
    cost = T.add(*[weighed(o, u) for o, u in zip(outs, us, strict=True)])
    grads = weft.grad(cost, ins, disconnected_inputs="ignore")
    value = interpreted(ins, cost)
    found = interpreted(ins, grads)(*arrays)
    for k, (p, g) in enumerate(zip(arrays, found, strict=True)):
        assert g.shape == p.shape and g.dtype == p.dtype
        np.testing.assert_allclose(
            g, numeric_gradient(value, arrays, k, STEP), TOLERANCE, TOLERANCE, err_msg=f"input {k}"
        )
    if forward:
        vs = [random(rng, p.shape, p.dtype.name) for p in arrays]
        pushed = weft.gradient.Rop(outs, ins, vs, disconnected_outputs="ignore")
        moved = interpreted(ins, pushed)(*arrays)
        assert [m.shape for m in moved] == shapes
        left = sum(np.sum(np.conj(u) * m).real for u, m in zip(us, moved, strict=True))
        right = sum(np.sum(np.conj(g) * v).real for g, v in zip(found, vs, strict=True))
        np.testing.assert_allclose(left, right, 1e-9, 1e-9)
    if order > 1:

        def slope(*xs: Variable) -> list[Variable]:
            again = fun(*xs)
            again = list(again) if isinstance(again, (list, tuple)) else [again]
            total = T.add(*[weighed(o, u) for o, u in zip(again, us, strict=True)])
            return weft.grad(total, list(xs), disconnected_inputs="ignore")

        check(slope, *arrays, order=order - 1, forward=forward)
