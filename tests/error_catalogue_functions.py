"""Wrong gradients, functions, calls, values of shared variables."""

from __future__ import annotations

import numpy as np
from error_table import section, wrong

import weft
import weft.tensor as T

section("Gradients")


@wrong("The gradient of a vector", "declaring", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    weft.grad(x**2, x)


@wrong("The gradient of an integer", "declaring", "DTypeError", TypeError)
def _():
    x = T.lvector("x")
    weft.grad((x**2).sum(), x)


@wrong("The gradient with respect to something else", "declaring", "DisconnectedInputError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    weft.grad((x**2).sum(), y)


@wrong("The gradient with respect to another expression", "declaring", "DisconnectedInputError", ValueError)
def _():
    x = T.dvector("x")
    cost = (2 * x).sum()
    weft.grad(cost, 2 * x)


@wrong("The gradient with respect to an array", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.grad((x**2).sum(), np.ones(3))


@wrong("The gradient with respect to a name", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.grad((x**2).sum(), "x")


@wrong("The gradient of a Python number", "declaring", "DisconnectedInputError", ValueError)
def _():
    x = T.dvector("x")
    weft.grad(1.0, x)


@wrong("The gradient through a Python operation without one", "declaring", "NullGradientError", ValueError)
def _():
    @weft.compile.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def sort_it(x):
        return np.sort(x)

    x = T.dvector("x")
    weft.grad(sort_it(x).sum(), x)


@wrong("known_grads of another rank", "declaring", "ShapeError", ValueError)
def _():
    x, g = T.dvector("x"), T.dmatrix("g")
    y = x**2
    weft.grad(None, x, known_grads={y: g})


@wrong("The Jacobian of a number", "declaring", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    T.jacobian(x, x)


section("Compiling a function")


@wrong("An input left out", "compiling", "MissingInputError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    z = x + 2 * y
    weft.function([x], z)


@wrong("An input that is not used", "compiling", "UnusedInputError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    weft.function([x, y], x + 1)


@wrong("An input given twice", "compiling", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.function([x, x], x + 1)


@wrong("A shared variable as an input", "compiling", "ArgumentError", TypeError)
def _():
    W = weft.shared(np.ones(3), name="W")
    weft.function([W], W * 2)


@wrong("A name as an input", "compiling", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.function(["x"], x * 2)


@wrong("One input without brackets", "compiling", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.function(x, x * 2)


@wrong("An output that is not symbolic", "compiling", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.function([x], [x, print])


@wrong("Lists in the list of outputs", "compiling", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.function([x], [x, [x + 1, x + 2]])


@wrong("An update of a variable that is not shared", "compiling", "ArgumentError", TypeError)
def _():
    x, w = T.dvector("x"), T.dvector("w")
    weft.function([x], x.sum(), updates=[(w, w - x)])


@wrong("An update of another dtype", "compiling", "DTypeError", TypeError)
def _():
    w = weft.shared(np.ones(3, "float32"), name="w")
    x = T.dvector("x")
    weft.function([x], w.sum(), updates=[(w, w - 0.1 * x)])


@wrong("An update of another rank", "compiling", "ShapeError", ValueError)
def _():
    w = weft.shared(np.ones(3), name="w")
    x = T.dmatrix("x")
    weft.function([x], w.sum(), updates=[(w, w - x)])


@wrong("Two updates of one variable", "compiling", "ArgumentError", TypeError)
def _():
    w = weft.shared(1.0, name="w")
    weft.function([], w, updates=[(w, w + 1), (w, w * 2)])


@wrong("Updates that are not pairs", "compiling", "ArgumentError", TypeError)
def _():
    w = weft.shared(1.0, name="w")
    weft.function([], w, updates=[w, w + 1])


@wrong("givens of another type", "compiling", "DTypeError", TypeError)
def _():
    x = T.lvector("x")
    data = weft.shared(np.ones(3), name="data")
    weft.function([], x.sum(), givens={x: data})


@wrong("givens of another rank", "compiling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    data = weft.shared(np.ones((3, 2)), name="data")
    weft.function([], x.sum(), givens={x: data})


@wrong("givens by name", "compiling", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.function([], x.sum(), givens={"x": np.ones(3)})


@wrong("An unknown mode", "compiling", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    weft.function([x], x * 2, mode="FAST")


@wrong("An argument that function does not have", "compiling", "TypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.function([x], x * 2, update=[])


@wrong("A setting that does not exist", "declaring", "ArgumentError", TypeError)
def _():
    weft.config.floatx = "float32"


@wrong("A setting with an unknown value", "declaring", "ArgumentError", TypeError)
def _():
    weft.config.floatX = "float"


section("Calling a function")


@wrong("Too few arguments", "calling", "ArgumentError", TypeError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    f = weft.function([x, y], x + y)
    f([1.0, 2.0])


@wrong("Too many arguments", "calling", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x + 1)
    f([1.0, 2.0], [3.0, 4.0])


@wrong("A keyword that is no input", "calling", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x + 1)
    f(z=[1.0, 2.0])


@wrong("An argument by position and by name", "calling", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x + 1)
    f([1.0], x=[1.0])


@wrong("float64 for a float32 input", "calling", "DTypeError", TypeError)
def _():
    x = T.fmatrix("x")
    f = weft.function([x], x.sum(), name="loss")
    f(np.random.rand(3, 2))


@wrong("Floats for an integer input", "calling", "DTypeError", TypeError)
def _():
    i = T.lvector("i")
    f = weft.function([i], i + 1)
    f([0.5, 1.5])


@wrong("A matrix for a vector", "calling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x.sum())
    f([[1.0, 2.0], [3.0, 4.0]])


@wrong("A number for a matrix", "calling", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    f = weft.function([x], x.sum())
    f(3.0)


@wrong("More than one row for a row", "calling", "ShapeError", ValueError)
def _():
    b = T.drow("b")
    f = weft.function([b], b.sum())
    f(np.ones((2, 3)))


@wrong("A string as an argument", "calling", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x.sum())
    f("abc")


@wrong("None as an argument", "calling", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x.sum())
    f(None)


@wrong("A ragged list as an argument", "calling", "DTypeError", TypeError)
def _():
    x = T.dmatrix("x")
    f = weft.function([x], x.sum())
    f([[1.0, 2.0], [3.0]])


@wrong("A variable as an argument", "calling", "DTypeError", TypeError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    f = weft.function([x], x.sum())
    f(y)


@wrong("More than the memory holds", "calling", "OutOfMemoryError", MemoryError, modes=False)
def _():
    n = T.lscalar("n")
    f = weft.function([n], T.ones((n, n)))
    f(2**30)


section("Optimizers and initialisers")


@wrong("A parameter that the cost does not depend on", "declaring", "DisconnectedInputError", ValueError)
def _():
    w, b = weft.shared(np.zeros(3), "w"), weft.shared(np.zeros(3), "b")
    cost = T.sqr(w).sum()
    weft.optimizers.adam(cost, [w, b])


@wrong("An optimizer of a cost for each example", "declaring", "ShapeError", ValueError)
def _():
    w = weft.shared(np.zeros(3), "w")
    weft.optimizers.adam(T.sqr(w), [w])


@wrong("A parameter without brackets", "declaring", "ArgumentError", TypeError)
def _():
    w = weft.shared(np.zeros(3), "w")
    weft.optimizers.sgd(T.sqr(w).sum(), w, learning_rate=0.1)


@wrong("A parameter of integers", "declaring", "DTypeError", TypeError)
def _():
    w = weft.shared(np.arange(3), "w")
    weft.optimizers.sgd(T.sqr(w * 0.5).sum(), [w], learning_rate=0.1)


@wrong("A gradient of another shape", "declaring", "ShapeError", ValueError)
def _():
    w = weft.shared(np.zeros(3), "w")
    cost = T.sqr(w).sum()
    weft.optimizers.momentum([cost], [w], learning_rate=0.1)


@wrong("A rate below zero", "declaring", "ArgumentError", TypeError)
def _():
    w = weft.shared(np.zeros(3), "w")
    weft.optimizers.adam(T.sqr(w).sum(), [w], learning_rate=-0.1)


@wrong("Rates by name", "declaring", "ArgumentError", TypeError)
def _():
    w, b = weft.shared(np.zeros(3), "w"), weft.shared(np.zeros(3), "b")
    cost = T.sqr(w + b).sum()
    weft.optimizers.adam(cost, [w, b], learning_rate={"w": 0.1, "b": 0.01})


@wrong("A method that minimize does not have", "declaring", "ArgumentError", TypeError)
def _():
    w = weft.shared(np.zeros(3), "w")
    weft.minimize(T.sqr(w).sum(), [w], "Nelder-Mead")


@wrong("A vector for an initialiser with fans", "declaring", "ShapeError", ValueError)
def _():
    weft.shared(weft.init.glorot_uniform((100,), 0), "b")


section("Shared variables")


@wrong("set_value of another rank", "calling", "ShapeError", ValueError)
def _():
    W = weft.shared(np.ones((3, 2)), name="W")
    W.set_value(np.ones(6))


@wrong("set_value of another dtype", "calling", "DTypeError", TypeError)
def _():
    W = weft.shared(np.ones(3, "float32"), name="W")
    W.set_value(np.ones(3))


@wrong("A shared string", "declaring", "DTypeError", TypeError)
def _():
    weft.shared("weights", name="W")


@wrong("A shared variable of a symbolic one", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    weft.shared(x * 2)
