"""Chains of operations whose lengths, or whose places, rest on those of the operation before, and other long programs:
every stage but the C compiler is linear in them, counted in calls of Python functions and characters of C."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.tensor as T
from weft.compiler.graph.function import declare
from weft.compiler.pipeline import Stages
from weft.compiler.simplify import simplify
from weft.compiler.simplify.loops import tidy_loops
from weft.compiler.simplify.motion import move
from weft.ifelse import ifelse

x, m = T.dvector("x"), T.dmatrix("m")
k, places = T.lscalar("k"), T.lvector("places")

# A link of a chain: what it makes of the last value, and of its number.
LINKS: dict[str, tuple[Any, Callable[[Any, int], Any]]] = {
    "pieces": (x, lambda v, i: T.concatenate([v[1:], v[:1] * 2])),
    "slices": (x, lambda v, i: T.tanh(v[k:])),
    "masks": (x, lambda v, i: v[(v > i * 0.001).nonzero()] * 1.01),
    "functions of masks": (x, lambda v, i: T.sin(v)[v > i * 0.001 - 1]),
    "sums": (x, lambda v, i: T.inc_subtensor(v[i % 3 :], T.sum(v))),
    "reshapes": (m, lambda v, i: T.exp(v.T).reshape((v.shape[0], v.shape[1]))),
    "softmax": (m, lambda v, i: T.nnet.softmax(v * 2) + m),
    "products": (m, lambda v, i: T.tanh(T.dot(v, m) + v)),
    "branches": (x, lambda v, i: ifelse(T.sum(v) > i * 1.5, v[1:] * 1.01, v + 0.1)),
    "loops": (x, lambda v, i: weft.scan(lambda a, h: a * h, sequences=[v], outputs_info=[T.ones(())])[0]),
    "sorts": (x, lambda v, i: T.sort(v)[::-1] * 1.1),
    "places": (x, lambda v, i: v[places] + x),
    "numbers": (x, lambda v, i: T.tanh((v if v.ndim == 0 else v[0]) * x[i + 1])),
}


def chain(name: str, count: int, gradient: bool) -> tuple[list[Any], Any]:
    first, link = LINKS[name]
    v = first
    for i in range(count):
        v = link(v, i)
    inputs = [first, *([k] if name == "slices" else []), *([places] if name == "places" else [])]
    return inputs, weft.grad(T.sum(v * v), first) if gradient else v


def work(name: str, count: int, gradient: bool) -> tuple[int, int]:
    """Calls of functions from the declared program to its C, and characters of C."""
    return counted(*chain(name, count, gradient))


def counted(inputs: list[Any], outputs: Any, updates: Any = None) -> tuple[int, int]:
    source = declare(inputs, outputs, updates, None, False, None, True, None, None)
    stages, profile = Stages(source), cProfile.Profile()
    units = profile.runcall(lambda: stages.generated.units)
    return pstats.Stats(profile).total_calls, sum(len(text) for _, text in units)


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", LINKS)
def test_stages_are_linear(name: str, gradient: bool) -> None:
    work(name, 10, gradient)  # what is made once
    small, large = (work(name, n, gradient) for n in (40, 160))
    assert large[0] < 6 * small[0] and large[1] < 6 * small[1]


@pytest.mark.parametrize("name", LINKS)
def test_values(name: str) -> None:
    values = {"x": np.linspace(-1, 1, 9), "m": np.sin(np.arange(16.0)).reshape(4, 4), "k": -7, "places": np.arange(9)}
    for gradient in (False, True):
        inputs, out = chain(name, 6, gradient)
        f, g = (weft.function(inputs, out, mode=mode) for mode in ("compile", "interpret"))
        arguments = [values[i.name] for i in inputs]
        np.testing.assert_allclose(f(*arguments), g(*arguments), rtol=1e-9)


def scaled(count: int) -> tuple[list[Any], list[Any]]:
    """Vectors, more than a kernel holds, each times a number that is made of the last one's."""
    a, b = T.dscalars("a", "b")
    s, out = a, []
    for i in range(count):
        s = s * b + a
        out.append(T.sin(x + i) * s)
    return [x, a, b], out


def halved(count: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Updates of variables that all have another length: kernels that write over them."""
    variables = [weft.shared(np.ones(2 + i)) for i in range(count)]
    return [], [], [(w, w / 2) for w in variables]


def clipped(count: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Folds over as many lengths, each of which could share a kernel with no other."""
    variables = [weft.shared(np.ones(2 + i)) for i in range(count)]
    norms = [T.sqrt(T.sqr(w).sum()) for w in variables]
    return [], [sum(norms)], [(w, w / n) for w, n in zip(variables, norms, strict=True)]


def rolled(count: int) -> tuple[list[Any], Any]:
    """Lengths that are held in bounds: parts of a vector change places again and again."""
    v = x
    for _ in range(count // 2):
        v = T.roll(v, 1) + x
        half = v.shape[0] // 2
        v = T.concatenate([v[half:] * 2, v[:half]])
    return [x], v


@pytest.mark.parametrize("program", [scaled, halved, clipped, rolled])
def test_programs_of_many_parts(program: Callable[[int], tuple]) -> None:
    counted(*program(10))
    small, large = (counted(*program(n)) for n in (60, 240))
    assert large[0] < 6 * small[0] and large[1] < 6 * small[1]


def dense(count: int) -> tuple[list[Any], Any]:
    """Each layer reads all former ones: the program has as many parts as pairs of layers."""
    m, w = T.dmatrix("m"), T.dmatrix("w")
    layers = [T.tanh(m)]
    for k in range(1, count):
        layers.append(T.tanh(T.dot(T.concatenate(layers, axis=1), w[: 3 * k])))
    return [m, w], layers[-1]


def test_a_part_of_many_concatenations() -> None:
    counted(*dense(4))
    small, large = (counted(*dense(n)) for n in (12, 24))
    assert large[0] < 6 * small[0] and large[1] < 6 * small[1]  # of 66 and 276 parts
    inputs, out = dense(7)
    values = np.sin(np.arange(6.0)).reshape(2, 3), np.cos(np.arange(63.0)).reshape(21, 3)
    f, g = (weft.function(inputs, out, mode=mode) for mode in ("compile", "interpret"))
    np.testing.assert_allclose(f(*values), g(*values), rtol=1e-9)


def test_values_of_numbers() -> None:
    inputs, out = scaled(100)
    f, g = (weft.function(inputs, out, mode=mode) for mode in ("compile", "interpret"))
    for a, b in zip(f(np.arange(5.0), 0.3, 0.9), g(np.arange(5.0), 0.3, 0.9), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def joined(count: int) -> tuple[list[Any], list[Any]]:
    """Vectors one behind the other, and what is where each was."""
    vectors = [T.dvector() for _ in range(count)]
    v = T.concatenate([T.sin(w) for w in vectors])
    return vectors, [v, *weft.grad(T.sum(v * v), vectors)]


def offsets(count: int) -> tuple[list[Any], list[Any]]:
    """Places in a vector that are sums of arguments."""
    sizes = [T.lscalar() for _ in range(count - 1)]
    return [x, *sizes], [T.sum(x[sum(sizes[:i]) :][:5]) for i in range(count)]


@pytest.mark.parametrize("program", [joined, offsets])
def test_kernels_take_long_lengths_from_the_host(program: Callable[[int], tuple]) -> None:
    """Where each added up the lengths itself, its C would be as long as the sum, and that of no other."""
    small, large = (counted(*program(n)) for n in (30, 120))
    assert large[1] < 3 * small[1]


@pytest.mark.parametrize("program", [joined, offsets])
def test_values_of_long_lengths(program: Callable[[int], tuple]) -> None:
    inputs, out = program(30)
    f, g = (weft.function(inputs, out, mode=mode) for mode in ("compile", "interpret"))
    arguments = [np.arange(2.0 + i % 3) if v.ndim else i % 4 for i, v in enumerate(inputs)]
    for a, b in zip(f(*arguments), g(*arguments), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_kernel_knows_what_a_long_length_is_at_least(count: int) -> None:
    """Of a slice of the first of the rows, that it is one row."""
    v = m
    for _ in range(count):
        v = v[v.shape[0] // 4 :]
    states = weft.scan(lambda x, h: T.sqr(T.maximum(h, x)) * 0.1, sequences=[v], outputs_info=[v[0]])[0]
    out = [weft.grad(T.sqr(states).mean(), m), states[1:], v[:1] * 2]
    f, g = (weft.function([m], out, mode=mode) for mode in ("compile", "interpret"))
    for rows in (1, 2, 7):
        given = np.random.default_rng(rows).normal(size=(rows, 3))
        for a, b in zip(f(given), g(given), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def constants(count: int) -> tuple[list[Any], list[Any]]:
    """A loop whose steps compute one chain of values, each of which they read."""

    def step(h: Any, w: Any) -> Any:
        for _ in range(count):
            w = T.exp(w * 0.01)
            h = T.tanh(h * w)
        return h

    w = T.dvector("w")
    return [x, w], [weft.scan(step, outputs_info=[x], non_sequences=[w], n_steps=5)[0][-1]]


def layers(count: int) -> tuple[list[Any], list[Any]]:
    """The gradient of a loop by many matrices: products that its states add up."""

    def step(h: Any, *matrices: Any) -> Any:
        for w in matrices:
            h = T.tanh(T.dot(h, w))
        return h

    ws = [T.dmatrix() for _ in range(count)]
    h = weft.scan(step, outputs_info=[m], non_sequences=ws, n_steps=4)[0][-1]
    return [m, *ws], weft.grad(T.sum(h), ws)


@pytest.mark.parametrize("program", [constants, layers])
def test_motion_is_linear(program: Callable[[int], tuple]) -> None:
    def calls(count: int) -> int:
        source = declare(*program(count), None, None, False, None, True, None, None)
        stages, profile = Stages(source), cProfile.Profile()
        plain = simplify(tidy_loops(stages.sunk, stages.origins), stages.origins)
        profile.runcall(lambda: move(plain, stages.origins))
        return pstats.Stats(profile).total_calls

    calls(10)
    assert calls(160) < 7 * calls(40)
