"""Wrong expressions: arithmetic, Python on symbolic variables, products."""

from __future__ import annotations

import numpy as np
from error_table import section, wrong

import weft
import weft.tensor as T

section("Arithmetic and broadcasting")


@wrong("Vectors of different lengths", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    f = weft.function([x, y], x + y)
    f([1.0, 2.0, 3.0], [1.0, 2.0])


@wrong("A length of 1 that is not declared broadcastable", "calling", "ShapeError", ValueError)
def _():
    x, bias = T.dmatrix("x"), T.dmatrix("bias")
    f = weft.function([x, bias], T.tanh(x + bias))
    f(np.ones((4, 3)), np.ones((1, 3)))


@wrong("Lengths that are known when the expression is written", "declaring", "ShapeError", ValueError)
def _():
    a = T.as_tensor_variable(np.ones((2, 3)))
    b = T.as_tensor_variable(np.ones((2, 4)))
    a * b


@wrong("Two shared variables that do not fit", "calling", "ShapeError", ValueError)
def _():
    W = weft.shared(np.ones((784, 10)), name="W")
    V = weft.shared(np.ones((10, 784)), name="V")
    f = weft.function([], (W + V).sum())
    f()


@wrong("Different lengths in the gradient of a line", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    cost = (x * y).sum()
    g = weft.function([x, y], weft.grad(cost, x))
    g([1.0, 2.0, 3.0], [1.0, 2.0])


@wrong("Different lengths in a gradient alone", "calling", "ShapeError", ValueError)
def _():
    x, v = T.dvector("x"), T.dvector("v")
    y = T.exp(x)
    g = weft.function([x, v], weft.grad(None, x, known_grads={y: v}))
    g([1.0, 2.0, 3.0], [1.0, 2.0])


@wrong("A string in an expression", "declaring", "TypeError", TypeError)
def _():
    x = T.dvector("x")
    x + "1"


@wrong("None in an expression", "declaring", "TypeError", TypeError)
def _():
    x = T.dvector("x")
    x * None


@wrong("A ragged list in an expression", "declaring", "DTypeError", TypeError)
def _():
    x = T.dmatrix("x")
    x + [[1.0, 2.0], [3.0]]


@wrong("Bitwise operators on floats", "declaring", "DTypeError", TypeError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    x & y


@wrong("Order of complex numbers", "declaring", "DTypeError", TypeError)
def _():
    z = T.zvector("z")
    T.maximum(z, 0)


@wrong("A negative boolean", "declaring", "DTypeError", TypeError)
def _():
    mask = T.TensorType("bool", (False,))("mask")
    -mask


@wrong("A complex number cast to a real one", "declaring", "DTypeError", TypeError)
def _():
    z = T.zvector("z")
    T.cast(z, "float64")


@wrong("An unknown dtype", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    T.cast(x, "float31")


@wrong("switch on branches of different lengths", "calling", "ShapeError", ValueError)
def _():
    c, a, b = T.bvector("c"), T.dvector("a"), T.dvector("b")
    f = weft.function([c, a, b], T.switch(c, a, b))
    f([1, 0], [1.0, 2.0], [1.0, 2.0, 3.0])


section("Python on symbolic variables")


@wrong("`if` on a comparison", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dscalar("x")
    if x > 0:
        x = T.sqrt(x)


@wrong("A chain of comparisons", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dscalar("x")
    0 < x < 1


@wrong("`and` between comparisons", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    T.switch((x > 0) and (x < 1), x, 0)


@wrong("len of a variable", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    x.sum() / len(x)


@wrong("A loop over a vector", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    total = 0
    for v in x:
        total = total + v


@wrong("A loop over a number", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dscalar("x")
    a, b = x


@wrong("`in` on a variable", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    2.0 in x


@wrong("int of a variable", "declaring", "ArgumentError", TypeError)
def _():
    n = T.iscalar("n")
    int(n) + 1


@wrong("range over a variable", "declaring", "ArgumentError", TypeError)
def _():
    n = T.iscalar("n")
    for k in range(n):
        print(k)


@wrong("A function of NumPy on a variable", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    np.exp(x)


@wrong("A reduction of NumPy on a variable", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dmatrix("x")
    np.sum(x, axis=0)


@wrong("A product of NumPy with an array on the left", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    np.dot(np.eye(3), x)


@wrong("A product of NumPy with a shared variable", "declaring", "ArgumentError", TypeError)
def _():
    w = weft.shared(np.zeros(3), "w")
    np.dot(np.eye(3), w)


@wrong("A function of the math module on a variable", "declaring", "ArgumentError", TypeError)
def _():
    import math

    x = T.dscalar("x")
    math.sqrt(x)


@wrong("A variable as an index of a list", "declaring", "ArgumentError", TypeError)
def _():
    k = T.iscalar("k")
    rates = [0.1, 0.01]
    rates[k]


@wrong("A variable as the shape of a NumPy array", "declaring", "TypeError", TypeError)
def _():
    n = T.iscalar("n")
    np.zeros(n)


@wrong("Assignment to elements", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dvector("x")
    x[0] = 1.0


@wrong("A variable called like a function", "declaring", "TypeError", TypeError)
def _():
    x = T.dvector("x")
    x(3)


@wrong("A function that weft.tensor does not have", "declaring", "AttributeError", AttributeError)
def _():
    x = T.dvector("x")
    T.gammaln(x)


@wrong("A method of arrays that variables do not have", "declaring", "AttributeError", AttributeError)
def _():
    x = T.dvector("x")
    x.tolist()


@wrong("A value for .eval left out", "compiling", "MissingInputError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    (x + y).eval({x: [1.0]})


section("Products")


@wrong("dot of known lengths that differ", "declaring", "ShapeError", ValueError)
def _():
    x = T.as_tensor_variable(np.ones((5, 3)))
    W = weft.shared(np.ones((4, 2)), name="W")
    T.dot(x, T.as_tensor_variable(W.get_value()))


@wrong("dot of lengths that differ at the call", "calling", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    W = weft.shared(np.ones((784, 10)), name="W")
    f = weft.function([x], T.nnet.softmax(T.dot(x, W)))
    f(np.ones((32, 783)))


@wrong("batched_dot of a matrix", "declaring", "ShapeError", ValueError)
def _():
    x, y = T.dtensor3("x"), T.dscalar("y")
    T.batched_dot(x, y)


@wrong("batched_dot of batches of different lengths", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dtensor3("x"), T.dtensor3("y")
    f = weft.function([x, y], T.batched_dot(x, y))
    f(np.ones((2, 3, 4)), np.ones((3, 4, 5)))


@wrong("tensordot over axes that do not exist", "declaring", "ShapeError", ValueError)
def _():
    x, y = T.dmatrix("x"), T.dmatrix("y")
    T.tensordot(x, y, axes=[[2], [0]])


@wrong("tensordot over different numbers of axes", "declaring", "ShapeError", ValueError)
def _():
    x, y = T.dtensor3("x"), T.dtensor3("y")
    T.tensordot(x, y, axes=[[1, 2], [0]])


@wrong("A matrix that is not positive definite", "calling", "NumericalError", ArithmeticError)
def _():
    S = T.dmatrix("S")
    f = weft.function([S], T.slinalg.cholesky(S))
    f([[1.0, 2.0], [2.0, 1.0]])


@wrong("cholesky of a matrix that is not square", "calling", "ShapeError", ValueError)
def _():
    S = T.dmatrix("S")
    f = weft.function([S], T.slinalg.cholesky(S))
    f(np.ones((3, 2)))


@wrong("cholesky of a vector", "declaring", "ShapeError", ValueError)
def _():
    s = T.dvector("s")
    T.slinalg.cholesky(s)
