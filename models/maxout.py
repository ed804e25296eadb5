"""A maxout network: a unit is the largest of k linear functions, so that it learns its own activation.

    h_j = max over i = 1..k of (x W_ij + b_ij)

Any convex function can be approached that way: with k = 2 the rectifier and the absolute value are among them. The
paper trains with dropout, which maxout was made for: where a unit is linear around each example, the network without
dropout comes near the average over all its thinned copies.

I. Goodfellow, D. Warde-Farley, M. Mirza, A. Courville, Y. Bengio, "Maxout networks", ICML 2013. The norm of the weights
into each linear function is limited as there.

    weft train maxout
    weft train maxout --set pieces=5 --set hidden=100

Reached on digits with --seed 0 to 4: test errors of 1.67, 0.83, 1.11, 1.39 and 2.50 %.
"""

from __future__ import annotations

from math import inf
from types import SimpleNamespace

import numpy as np

import weft
import weft.tensor as T
from weft.models.common.datasets import Data
from weft.models.common.model import Layer, Model, Network
from weft.models.deep import dropout
from weft.tensor.shared_randomstreams import RandomStreams


def maxout(x: T.TensorVariable, w: T.TensorVariable, b: T.TensorVariable, pieces: int) -> T.TensorVariable:
    """x: (n, inputs); w: (inputs, units * pieces). The largest of the pieces of each unit."""
    z = T.dot(x, w) + b
    return z.reshape((z.shape[0], z.shape[1] // pieces, pieces)).max(axis=2)


def build(data: Data, settings: SimpleNamespace) -> Network:
    data.require_classes("the maxout network")
    rng, streams = np.random.default_rng(settings.seed), RandomStreams(settings.seed)
    k, classes = settings.pieces, len(data.classes)
    x, t = T.fmatrix("x"), T.lvector("t")

    params, layers = [], []
    noisy, clean = dropout(x, settings.drop_input, streams), x
    inputs = data.inputs
    for n, units in enumerate(settings.hidden, 1):
        w = weft.shared(weft.init.lecun_normal((inputs, units * k), rng), name=f"W{n}")
        b = weft.shared(weft.init.zeros(units * k), name=f"b{n}")
        noisy = dropout(maxout(noisy, w, b, k), settings.drop, streams)
        clean = maxout(clean, w, b, k)
        params += [w, b]
        layers.append(Layer(f"maxout, {k} pieces", (units,), [w, b]))
        inputs = units
    w = weft.shared(weft.init.lecun_normal((inputs, classes), rng), name="W")
    b = weft.shared(weft.init.zeros(classes), name="b")

    output = T.nnet.softmax(T.dot(clean, w) + b)
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(noisy, w) + b), t).mean()
    return Network(
        x=x,
        t=t,
        cost=loss,
        error=T.neq(T.argmax(output, axis=1), t).mean(),
        output=output,
        params=[*params, w, b],
        layers=[*layers, Layer("softmax", (classes,), [w, b])],
        max_norm=settings.max_norm,
    )


MODEL = Model(
    name="maxout",
    title="maxout network with dropout",
    paper="Goodfellow et al. 2013",
    build=build,
    settings={"hidden": (128, 128), "pieces": 3, "drop": 0.3, "drop_input": 0.1, "max_norm": 2.0},
    ranges={
        "hidden": (1, inf),
        "pieces": (1, inf),
        "drop": (0, 0.99),
        "drop_input": (0, 0.99),
        "max_norm": (1e-3, inf),
    },
    reached="1.50 %",
)
