"""An auto-encoder with tied weights: the input through a narrow layer and back, by one matrix and its transpose.

    h = sigmoid(x W + b),    r = sigmoid(h W' + c)

There are fewer units h than inputs, so r can only be like x if h says in few numbers what matters in x. Training makes
the cross-entropy between pixels and reconstruction small, summed over the pixels; where inputs are no pixels, r is
linear and the cost is the squared distance. The error is the squared distance as a share of the variance: 100 % for
what knows only the mean.

Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, "Greedy layer-wise training of deep networks", NIPS 19, 2007.

    weft train tied
    weft train tied --set hidden=8

Reached on digits with --seed 0 to 4: test errors of 7.03, 7.04, 7.08, 6.99 and 6.71 %
of the variance. 32 principal components, the best linear code for squared distances, leave 3.66 %.
"""

from __future__ import annotations

from math import inf
from types import SimpleNamespace

import numpy as np

import weft
import weft.tensor as T
from weft.models.common.datasets import Data
from weft.models.common.model import Layer, Model, Network


def distance(r: T.TensorVariable, x: T.TensorVariable, pixels: bool) -> T.TensorVariable:
    """What training makes small: cross-entropy or squared distance, summed over an example, averaged over examples."""
    one = T.nnet.binary_crossentropy(r, x) if pixels else T.sqr(r - x)
    return one.sum(axis=1).mean()


def share(r: T.TensorVariable, x: T.TensorVariable, data: Data) -> T.TensorVariable:
    """The squared distance as a share of the variance, which is that of the training examples."""
    variance = data.training.x.var(axis=0, dtype="float64").sum()
    return T.sqr(r - x).sum(axis=1).mean() / np.float32(variance)


def build(data: Data, settings: SimpleNamespace) -> Network:
    inputs, units = data.inputs, settings.hidden
    x = T.fmatrix("x")
    w = weft.shared(weft.init.glorot_uniform((inputs, units), np.random.default_rng(settings.seed)), name="W")
    b, c = (weft.shared(weft.init.zeros(n), name=name) for n, name in ((units, "b"), (inputs, "c")))

    h = T.nnet.sigmoid(T.dot(x, w) + b)
    back = T.dot(h, w.T) + c
    r = T.nnet.sigmoid(back) if data.images else back
    return Network(
        x=x,
        t=None,
        cost=distance(r, x, data.images),
        error=share(r, x, data),
        output=r,
        params=[w, b, c],
        layers=[Layer("sigmoid", (units,), [w, b]), Layer("transposed", data.shape, [c])],
    )


MODEL = Model(
    name="tied",
    title="auto-encoder, tied weights",
    paper="Bengio et al. 2007",
    build=build,
    settings={"hidden": 32},
    ranges={"hidden": (1, inf)},
    optimizer="adam",
    learning_rate=0.03,
    epochs=200,
    reached="6.97 %",
)
