"""An autoencoder with tied weights and thresholded hidden units: a unit that stays below the threshold is silent.

    h = x W;  hidden = (h > threshold) * h;  output = hidden W' + b
"""

import numpy as np

import weft
import weft.tensor as T

HIDDEN, THRESHOLD, RATE, STEPS = 20, 1.0, 0.01, 500


def make_data(n: int = 200, features: int = 30, parts: int = 10, seed: int = 0):
    """Each example is the sum of a few of the same `parts` random patterns."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(parts, features))
    return (rng.random((n, parts)) < 0.2) @ patterns


def make_weights(features: int, seed: int = 1):
    return np.random.default_rng(seed).normal(0, 1 / np.sqrt(features), (features, HIDDEN))


def build(start, mode=None):
    """The training function, and the parameters w and b that it updates."""
    x = T.dmatrix("x")
    w, b = weft.shared(start, name="W"), weft.shared(np.zeros(start.shape[0]), name="b")

    h = T.dot(x, w)
    hidden = (h > THRESHOLD) * h
    output = T.dot(hidden, w.T) + b
    cost = ((output - x) ** 2).sum(axis=1).mean()

    gw, gb = weft.grad(cost, [w, b])
    train = weft.function(
        [x],
        [cost, T.mean(h > THRESHOLD)],
        updates=[(w, w - RATE * gw), (b, b - RATE * gb)],
        mode=mode,
        name="train",
    )
    return train, w, b


def main() -> None:
    x = make_data()
    train, _, _ = build(make_weights(x.shape[1]))
    for step in range(STEPS):
        cost, active = train(x)
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: squared error {cost:.4f} an example, {100 * active:.1f} % of the units active")


if __name__ == "__main__":
    main()
