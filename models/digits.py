"""Handwritten digits: a network with two hidden layers, trained by gradient descent with momentum.

    y = softmax(W3 relu(W2 relu(W1 x + b1) + b2) + b3)

on the 1797 images of 8x8 pixels that come with scikit-learn. One step of training is one call of one compiled
function: it picks a minibatch out of the data set, computes loss and gradients, and updates all parameters.

    python -m weft.models.digits [--seed N] [--epochs N]
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise

import numpy as np

import weft
import weft.tensor as T
from weft.tensor.shared_randomstreams import RandomStreams

HIDDEN = (225, 144)
BATCH = 25
RATE = 0.05  # falls to zero along a half cosine
MOMENTUM = 0.9
DECAY = 1e-4  # of the weights
NOISE = 0.15  # added to the pixels in training, so that no image is seen twice

Parameters = list  # of shared variables: W1, b1, W2, b2, W3, b3


# 1. The data set. Every fifth image is for the test alone; a sixth of the others chooses among the epochs.


def load() -> tuple[np.ndarray, np.ndarray]:
    """The images, one a row with values in [0, 1], and what digits they show."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("The data set comes with scikit-learn, which is missing here: pip install scikit-learn")
    digits = load_digits()
    return (digits.data / 16).astype("float32"), digits.target.astype("int64")


def split(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of the images for training, validation and test."""
    every = np.arange(n)
    test, rest = every[every % 5 == 0], rng.permutation(every[every % 5 != 0])
    return rest[len(rest) // 6 :], rest[: len(rest) // 6], test


# 2. The network. Its parameters are shared variables: they keep their values from call to call.


def make_parameters(sizes: list[int], rng: np.random.Generator) -> Parameters:
    """Weights as He et al. draw them for rectified units, and biases of zero, layer by layer."""
    params = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes), 1):
        w = rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out))
        params += [
            weft.shared(w.astype("float32"), name=f"W{k}"),
            weft.shared(np.zeros(n_out, "float32"), name=f"b{k}"),
        ]
    return params


def network(x: weft.Variable, params: Parameters) -> weft.Variable:
    """The probability of each digit, for images x, one a row."""
    w1, b1, w2, b2, w3, b3 = params
    h1 = T.nnet.relu(T.dot(x, w1) + b1)
    h2 = T.nnet.relu(T.dot(h1, w2) + b2)
    return T.nnet.softmax(T.dot(h2, w3) + b3)


# 3. The functions. Everything up to here was notation; weft.function compiles.


def compile_step(images: np.ndarray, labels: np.ndarray, order: T.TensorSharedVariable, params: Parameters, seed: int):
    """step(i, rate): trains on minibatch i of the images in this order; returns its loss."""
    i, rate = T.lscalar("i"), T.fscalar("rate")
    batch = order[i * BATCH : (i + 1) * BATCH]
    x, t = weft.shared(images, name="images")[batch], weft.shared(labels, name="labels")[batch]

    y = network(x + RandomStreams(seed).normal(x.shape, std=NOISE), params)
    loss = T.mean(T.nnet.categorical_crossentropy(y, t))
    cost = loss + DECAY * sum((w**2).sum() for w in params[::2])

    updates = []
    for p, g in zip(params, weft.grad(cost, params), strict=True):
        velocity = weft.shared(np.zeros_like(p.get_value()), name=f"velocity of {p.name}")
        new = MOMENTUM * velocity - rate * g
        updates += [(velocity, new), (p, p + new)]
    return weft.function([i, rate], loss, updates=updates, name="step")


def compile_error(params: Parameters):
    """error(x, t): the share of images x that are not taken for the digits t."""
    x, t = T.fmatrix("x"), T.lvector("t")
    wrong = T.neq(T.argmax(network(x, params), axis=1), t)
    return weft.function([x, t], wrong.mean(), name="error")


# 4. Training.


def train(seed: int, epochs: int) -> float:
    """Trains, prints how it goes, and returns the share of the test images that are taken for another digit."""
    weft.config.floatX = "float32"
    rng = np.random.default_rng(seed)
    images, labels = load()
    training, validation, test = split(len(images), rng)

    params = make_parameters([images.shape[1], *HIDDEN, 10], rng)
    order = weft.shared(training, name="order")
    start = time.perf_counter()
    step = compile_step(images, labels, order, params, seed)
    error = compile_error(params)
    print(step.report(0, np.float32(RATE)))
    print(f"two functions compiled in {time.perf_counter() - start:.1f} s")

    batches = -(-len(training) // BATCH)
    best, kept = np.inf, [p.get_value() for p in params]
    start = time.perf_counter()
    for epoch in range(epochs):
        order.set_value(rng.permutation(training))
        rate = np.float32(RATE * (1 + np.cos(np.pi * epoch / epochs)) / 2)
        loss = np.mean([step(i, rate) for i in range(batches)])
        wrong = error(images[validation], labels[validation])
        print(f"epoch {epoch + 1:3d}: loss {loss:.4f}, validation error {100 * wrong:.2f} %")
        if wrong <= best:
            best, kept = wrong, [p.get_value() for p in params]
    print(f"{epochs * batches} steps in {time.perf_counter() - start:.1f} s")

    for p, value in zip(params, kept, strict=True):
        p.set_value(value)
    return float(error(images[test], labels[test]))


def main() -> None:
    parser = argparse.ArgumentParser("python -m weft.models.digits", description="Trains a network on digits.")
    parser.add_argument("--seed", type=int, default=0, help="of weights, split, order and noise (default: 0)")
    parser.add_argument("--epochs", type=int, default=40, help="rounds over the training images (default: 40)")
    options = parser.parse_args()
    print(f"test error: {100 * train(options.seed, options.epochs):.2f} %")


if __name__ == "__main__":
    main()
