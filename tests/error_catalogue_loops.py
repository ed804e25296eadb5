"""Wrong loops, branches and operations in Python; what the machine lacks."""

from __future__ import annotations

import numpy as np
from error_table import section, wrong

import weft
import weft.tensor as T

section("Loops and branches")


@wrong("A sequence that is shorter than the number of steps", "calling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    out, _ = weft.scan(lambda v, s: s + v, sequences=[x], outputs_info=[np.float64(0)], n_steps=5)
    f = weft.function([x], out)
    f([1.0, 2.0, 3.0])


@wrong("A sequence that is a number", "declaring", "ShapeError", ValueError)
def _():
    x = T.dscalar("x")
    weft.scan(lambda v: v * 2, sequences=[x])


@wrong("A loop of no sequence and no number of steps", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dscalar("x")
    weft.scan(lambda s: s * 2, outputs_info=[x])


@wrong("A step that changes the rank of its state", "declaring", "ShapeError", ValueError)
def _():
    x, W = T.dvector("x"), T.dmatrix("W")

    def step(s, W):
        return s + W

    weft.scan(step, outputs_info=[x], non_sequences=[W], n_steps=3)


@wrong("A step that changes the dtype of its state", "declaring", "DTypeError", TypeError)
def _():
    x = T.fvector("x")

    def step(s):
        return s * np.float64(1.5) + np.ones(2)

    weft.scan(step, outputs_info=[x], n_steps=3)


@wrong("An initial state that is a Python number", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.scan(lambda v, s: s + v, sequences=[x], outputs_info=[0.0])


@wrong("A step that changes the length of its state", "calling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    out, _ = weft.scan(lambda s: s[1:], outputs_info=[x], n_steps=2)
    f = weft.function([x], out)
    f([1.0, 2.0, 3.0])


@wrong("A step of another number of results", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.scan(lambda v, a, b: a + v, sequences=[x], outputs_info=[0.0, 1.0])


@wrong("A step of another number of arguments", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.scan(lambda v: v * 2, sequences=[x], outputs_info=[0.0])


@wrong("A step that returns no variable", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.scan(lambda v: "done", sequences=[x])


@wrong("A step that forgets to return", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")

    def step(v):
        v * 2

    weft.scan(step, sequences=[x])


@wrong("Taps of a state without enough initial values", "calling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    out, _ = weft.scan(lambda a, b: a + b, outputs_info=[dict(initial=x, taps=[-2, -1])], n_steps=5)
    f = weft.function([x], out)
    f([1.0])


@wrong("A tap into the future", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.scan(lambda a: a, outputs_info=[dict(initial=x, taps=[1])], n_steps=5)


@wrong("A negative number of steps", "calling", "ShapeError", ValueError)
def _():
    n = T.lscalar("n")
    out, _ = weft.scan(lambda s: s + 1, outputs_info=[np.float64(0)], n_steps=n)
    f = weft.function([n], out)
    f(-1)


@wrong("An index out of range in a step", "calling", "BoundsError", IndexError)
def _():
    x, steps = T.dvector("x"), T.lvector("steps")

    def step(k, x):
        return x[k] * 2

    out, _ = weft.scan(step, sequences=[steps], non_sequences=[x])
    f = weft.function([x, steps], out)
    f([1.0, 2.0], [0, 1, 2])


@wrong("ifelse on branches of different ranks", "declaring", "ShapeError", ValueError)
def _():
    from weft.ifelse import ifelse

    c, x, m = T.bscalar("c"), T.dvector("x"), T.dmatrix("m")
    ifelse(c, x, m)


@wrong("ifelse on a vector of conditions", "declaring", "ShapeError", ValueError)
def _():
    from weft.ifelse import ifelse

    x = T.dvector("x")
    ifelse(x > 0, x, -x)


section("Operations in Python")


@wrong("An Op whose result is of another dtype", "calling", "DTypeError", TypeError)
def _():
    @weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def halve(x):
        return (x / 2).astype("float32")

    x = T.dvector("x")
    f = weft.function([x], halve(x))
    f([1.0, 2.0])


@wrong("An Op whose result is of another rank", "calling", "ShapeError", ValueError)
def _():
    @weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def total(x):
        return x.sum()

    x = T.dvector("x")
    f = weft.function([x], total(x))
    f([1.0, 2.0])


@wrong("An Op on an argument of another type", "declaring", "DTypeError", TypeError)
def _():
    @weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def halve(x):
        return x / 2

    m = T.dmatrix("m")
    halve(m)


@wrong("An Op without make_node", "declaring", "ArgumentError", TypeError)
def _():
    class Half(weft.Op):
        def perform(self, node, inputs, outputs):
            outputs[0][0] = inputs[0] / 2

    x = T.dvector("x")
    Half()(x)


@wrong("An Op without perform", "declaring", "ArgumentError", TypeError)
def _():
    class Half(weft.Op):
        def make_node(self, x):
            return weft.Apply(self, [x], [x.type()])

    x = T.dvector("x")
    f = weft.function([x], Half()(x))
    f([1.0])


section("Random streams")


@wrong("A draw of a negative size", "calling", "ShapeError", ValueError)
def _():
    from weft.tensor.shared_randomstreams import RandomStreams

    n = T.lscalar("n")
    f = weft.function([n], RandomStreams(1).normal((n, 3)))
    f(-2)


@wrong("A draw of a float size", "declaring", "DTypeError", TypeError)
def _():
    from weft.tensor.shared_randomstreams import RandomStreams

    RandomStreams(1).normal((2.5,))


section("The machine")


@wrong("A C compiler that is not there", "compiling", "CompileError", RuntimeError, modes=False)
def _():
    x = T.dvector("x")
    weft.config.cc = "no-such-compiler"
    weft.function([x], x + 1)


section("Looking for NaN")


@wrong("The logarithm of zero, with the detector of NaN", "calling", "NanError", ArithmeticError, modes=False)
def _():
    p, target = T.dvector("p"), T.dvector("target")
    loss = -(target * T.log(p)).sum()
    f = weft.function([p, target], loss, mode="nanguard")
    f([0.5, 0.0, 0.5], [1.0, 0.0, 0.0])


@wrong("A gradient at a kink, with the detector of NaN", "calling", "NanError", ArithmeticError, modes=False)
def _():
    x = T.dmatrix("x")
    norms = T.sqrt(T.sqr(x).sum(axis=1))
    g = weft.function([x], weft.grad(norms.sum(), x), mode="nanguard")
    g([[3.0, 4.0], [0.0, 0.0]])


@wrong("A NaN in a step of a loop, with the detector of NaN", "calling", "NanError", ArithmeticError, modes=False)
def _():
    x, start = T.dvector("x"), T.dscalar("start")

    def step(v, s):
        return T.sqrt(s - v)

    out, _ = weft.scan(step, sequences=[x], outputs_info=[start])
    f = weft.function([x, start], out, mode="nanguard")
    f([1.0, 1.0, 1.0], 4.0)


@wrong("A NaN that the call was given, with the detector of NaN", "calling", "NanError", ArithmeticError, modes=False)
def _():
    W = weft.shared(np.array([1.0, np.nan, 2.0]), name="W")
    x = T.dvector("x")
    f = weft.function([x], (W * x).sum(), mode="nanguard")
    f([1.0, 2.0, 3.0])
