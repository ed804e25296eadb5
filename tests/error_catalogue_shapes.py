"""Wrong shapes and subscripts, layers that do not fit."""

from __future__ import annotations

import numpy as np
from error_table import section, wrong

import weft
import weft.tensor as T

section("Shapes")


@wrong("reshape to another number of elements", "calling", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    f = weft.function([x], x.reshape((5, 5)))
    f(np.ones((4, 6)))


@wrong("reshape that does not divide", "calling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x.reshape((-1, 4)))
    f(np.ones(10))


@wrong("reshape with two unknown lengths", "declaring", "ShapeError", ValueError)
def _():
    x = T.dtensor3("x")
    x.reshape((-1, -1))


@wrong("reshape to a length that is no integer", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    x.reshape((x.shape[0] / 2, 2))


@wrong("dimshuffle that leaves out a long axis", "declaring", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    x.dimshuffle(0)


@wrong("dimshuffle of an axis that does not exist", "declaring", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    x.dimshuffle(1, 0)


@wrong("transpose with the wrong number of axes", "declaring", "ShapeError", ValueError)
def _():
    x = T.dtensor3("x")
    x.transpose(1, 0)


@wrong("A broadcastable axis that is longer", "calling", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    y = T.addbroadcast(x, 0)
    f = weft.function([x], y)
    f(np.ones((2, 3)))


@wrong("concatenate of different ranks", "declaring", "ShapeError", ValueError)
def _():
    x, y = T.dmatrix("x"), T.dvector("y")
    T.concatenate([x, y], axis=1)


@wrong("concatenate of different lengths", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dmatrix("x"), T.dmatrix("y")
    f = weft.function([x, y], T.concatenate([x, y], axis=1))
    f(np.ones((2, 3)), np.ones((4, 3)))


@wrong("concatenate of arguments instead of a list", "declaring", "ArgumentError", TypeError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    T.concatenate(x, y)


@wrong("concatenate of nothing", "declaring", "ArgumentError", TypeError)
def _():
    T.concatenate([])


@wrong("concatenate along an axis that does not exist", "declaring", "ShapeError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    T.concatenate([x, y], axis=1)


@wrong("stack of different lengths", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    f = weft.function([x, y], T.stack([x, y]))
    f([1.0, 2.0], [3.0])


@wrong("stack of different ranks", "declaring", "ShapeError", ValueError)
def _():
    x, m = T.dvector("x"), T.dmatrix("m")
    T.stack([x, m])


@wrong("A sum over an axis that does not exist", "declaring", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    x.sum(axis=2)


@wrong("A sum over one axis twice", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dmatrix("x")
    x.sum(axis=(1, -1))


@wrong("The maximum of nothing", "calling", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    f = weft.function([x], x.max())
    f(np.zeros(0))


@wrong("arange with a step of zero", "declaring", "ArgumentError", TypeError)
def _():
    T.arange(0.0, 1.0, 0.0)


@wrong("arange with a symbolic step of zero", "calling", "ShapeError", ValueError)
def _():
    n, step = T.lscalar("n"), T.lscalar("step")
    f = weft.function([n, step], T.arange(0, n, step))
    f(10, 0)


@wrong("zeros of a negative length", "calling", "ShapeError", ValueError)
def _():
    n = T.lscalar("n")
    f = weft.function([n], T.zeros((n, 2)))
    f(-1)


section("Indexing")


@wrong("An index outside its axis", "calling", "BoundsError", IndexError)
def _():
    x, k = T.dvector("x"), T.lscalar("k")
    f = weft.function([x, k], x[k])
    f([1.0, 2.0, 3.0], 3)


@wrong("An index array with one outside", "calling", "BoundsError", IndexError)
def _():
    words, table = T.lvector("words"), weft.shared(np.ones((1000, 8)), name="table")
    f = weft.function([words], table[words].sum())
    f([4, 1000, 7])


@wrong("A constant index outside", "calling", "BoundsError", IndexError)
def _():
    x = T.dmatrix("x")
    f = weft.function([x], x[5])
    f(np.ones((2, 3)))


@wrong("An index outside a known length", "declaring", "BoundsError", IndexError)
def _():
    x = T.as_tensor_variable(np.ones(3))
    x[3]


@wrong("An index out of range in the gradient", "calling", "BoundsError", IndexError)
def _():
    x, i = T.dvector("x"), T.lvector("i")
    cost = T.sqr(x[i]).sum()
    g = weft.function([x, i], weft.grad(cost, x))
    g([1.0, 2.0, 3.0], [0, 3])


@wrong("A float as an index", "declaring", "DTypeError", TypeError)
def _():
    x, k = T.dvector("x"), T.dscalar("k")
    x[k]


@wrong("A Python float as an index", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    x[1.0]


@wrong("A string as an index", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    x["a"]


@wrong("Too many indices", "declaring", "ShapeError", ValueError)
def _():
    x = T.dmatrix("x")
    x[0, 1, 2]


@wrong("An index of a number", "declaring", "ShapeError", ValueError)
def _():
    loss = T.dvector("x").sum()
    loss[0]


@wrong("A slice with a symbolic step", "declaring", "ArgumentError", TypeError)
def _():
    x, k = T.dvector("x"), T.lscalar("k")
    x[::k]


@wrong("A slice with a float bound", "declaring", "DTypeError", TypeError)
def _():
    x = T.dvector("x")
    x[: x.shape[0] / 2]


@wrong("A mask of another length", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    f = weft.function([x, y], x[y > 0])
    f([1.0, 2.0, 3.0], [1.0, 2.0])


@wrong("set_subtensor with a value that does not fit", "calling", "ShapeError", ValueError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    f = weft.function([x, y], T.set_subtensor(x[:2], y))
    f([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


@wrong("set_subtensor of something that is not indexed", "declaring", "ArgumentError", TypeError)
def _():
    x, y = T.dvector("x"), T.dvector("y")
    T.set_subtensor(x, y)


@wrong("set_subtensor of a value of higher rank", "declaring", "ShapeError", ValueError)
def _():
    x, m = T.dvector("x"), T.dmatrix("m")
    T.set_subtensor(x[:2], m)


@wrong("set_subtensor of floats in integers", "declaring", "DTypeError", TypeError)
def _():
    x, y = T.lvector("x"), T.dvector("y")
    T.set_subtensor(x[:2], y)


section("Neural networks")


@wrong("softmax of a number", "declaring", "ShapeError", ValueError)
def _():
    x = T.dscalar("x")
    T.nnet.softmax(x)


@wrong("A class that does not exist", "calling", "BoundsError", IndexError)
def _():
    x, target = T.dmatrix("x"), T.lvector("target")
    p = T.nnet.softmax(x)
    f = weft.function([x, target], T.nnet.categorical_crossentropy(p, target).mean())
    f(np.zeros((2, 10)), [3, 10])


@wrong("Targets for another number of rows", "calling", "BoundsError", IndexError)
def _():
    x, target = T.dmatrix("x"), T.lvector("target")
    p = T.nnet.softmax(x)
    loss = -T.log(p)[T.arange(target.shape[0]), target].mean()
    f = weft.function([x, target], loss)
    f(np.zeros((2, 10)), [3, 1, 4])


@wrong("Float targets", "declaring", "DTypeError", TypeError)
def _():
    x, target = T.dmatrix("x"), T.dvector("target")
    T.nnet.categorical_crossentropy(T.nnet.softmax(x), target)


@wrong("Filters for another number of channels", "calling", "ShapeError", ValueError)
def _():
    images = T.tensor4("images")
    filters = weft.shared(np.ones((8, 3, 5, 5)), name="filters")
    f = weft.function([images], T.nnet.conv2d(images, filters))
    f(np.ones((2, 1, 28, 28)))


@wrong("conv2d of a matrix", "declaring", "ShapeError", ValueError)
def _():
    image = T.dmatrix("image")
    filters = weft.shared(np.ones((8, 1, 5, 5)), name="filters")
    T.nnet.conv2d(image, filters)


@wrong("conv2d with an unknown border mode", "declaring", "ArgumentError", TypeError)
def _():
    images, filters = T.tensor4("images"), T.tensor4("filters")
    T.nnet.conv2d(images, filters, border_mode="same")


@wrong("Pooling of a vector", "declaring", "ShapeError", ValueError)
def _():
    from weft.tensor.signal.pool import pool_2d

    x = T.dvector("x")
    pool_2d(x, (2, 2), ignore_border=True)


section("Arguments of the wrong kind")


@wrong("A name that is no string", "declaring", "ArgumentError", TypeError)
def _():
    T.dvector(3)


@wrong("A rank in place of a pattern", "declaring", "ArgumentError", TypeError)
def _():
    T.TensorType("float64", 2)("x")


@wrong("An axis by name", "declaring", "ArgumentError", TypeError)
def _():
    x = T.dmatrix("x")
    x.sum(axis="rows")


@wrong("A list that is none", "declaring", "ArgumentError", TypeError)
def _():
    T.concatenate(None)


@wrong("addbroadcast of an axis that does not exist", "declaring", "ShapeError", ValueError)
def _():
    x = T.dvector("x")
    T.addbroadcast(x, 1)


@wrong("A sparse matrix where a dense one is needed", "declaring", "DTypeError", TypeError)
def _():
    import weft.sparse

    A = weft.sparse.csr_matrix("A")
    T.exp(A)
