"""A line through points: least squares by gradient descent, slope and intercept as shared variables."""

import numpy as np

import weft
import weft.tensor as T

STEPS, RATE = 500, 0.1


def make_data(n: int = 100, seed: int = 0):
    """Points about the line y = 2 x - 1."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return x, 2 * x - 1 + 0.1 * rng.normal(size=n)


def build(mode=None):
    """The training function, with the slope and intercept that it updates."""
    x, y = T.dvector("x"), T.dvector("y")
    slope, intercept = weft.shared(0.0, name="slope"), weft.shared(0.0, name="intercept")

    cost = ((slope * x + intercept - y) ** 2).mean()
    g_slope, g_intercept = weft.grad(cost, [slope, intercept])

    train = weft.function(
        [x, y],
        cost,
        updates=[(slope, slope - RATE * g_slope), (intercept, intercept - RATE * g_intercept)],
        mode=mode,
        name="train",
    )
    return train, slope, intercept


def main() -> None:
    x, y = make_data()
    train, slope, intercept = build()
    for _ in range(STEPS):
        cost = train(x, y)
    print(f"y = {slope.get_value():.4f} x + {intercept.get_value():.4f}, mean squared error {cost:.6f}")


if __name__ == "__main__":
    main()
