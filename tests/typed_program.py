"""A program as users write it, for type checkers: `make check` runs mypy on it against the installed package."""

import numpy as np

import weft
import weft.tensor as T

x = T.dmatrix("x")
w = weft.shared(np.zeros((3, 2)), name="w")
b = weft.shared(np.zeros(2), name="b")
y = T.tanh(T.dot(x, w) + b)
cost = ((y - 1) ** 2).mean() + 0.01 * (w**2).sum()
gw, gb = weft.grad(cost, [w, b])
train = weft.function([x], cost, updates=[(w, w - 0.1 * gw), (b, b - 0.1 * gb)])
z = x[0, 1:] * 2 + T.arange(3)[::2].sum()
u = T.nnet.softmax(y)
s = T.sqr(y).dimshuffle(1, 0).T.reshape((2, -1))
m = T.max(y, axis=0) / T.sum(y)
o, up = weft.scan(lambda a, c: a * c, sequences=x, outputs_info=T.ones_like(x[0]))
q = -T.switch(x > 0, x, 0.0) % 2
weft.gradient.grad(cost, w)
i, j = T.ivectors("i", "j")
r = T.concatenate([x, x], axis=1).shape[0] + 1
e = weft.ifelse.ifelse(T.gt(cost, 1), x, x * 2) + 1
p = T.set_subtensor(x[0], 1.0) * 2
