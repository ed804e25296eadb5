"""Logistic regression on made-up data: the classic first program, 400 examples of 784 features, 10,000 steps.

With the first weights drawn here some probabilities round to 0 or 1, where the loss as written below is infinite. The
compiler finds log(p) and log(1 - p) of a sigmoid and computes their stable forms.
"""

import numpy as np

import weft
import weft.tensor as T

N, FEATURES, STEPS, RATE = 400, 784, 10_000, 0.1


def make_data(seed: int = 0):
    """Examples, their labels (0 or 1) and first weights, all random."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, FEATURES)), rng.integers(0, 2, N).astype("float64"), rng.normal(size=FEATURES)


def build(start, mode=None):
    """The functions train and predict, and the parameters w and b that they share."""
    x, y = T.dmatrix("x"), T.dvector("y")
    w, b = weft.shared(start, name="w"), weft.shared(0.0, name="b")

    p_1 = 1 / (1 + T.exp(-T.dot(x, w) - b))  # probability that the label is 1
    prediction = p_1 > 0.5
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)  # cross-entropy loss
    cost = xent.mean() + 0.01 * (w**2).sum()  # the cost to minimize
    gw, gb = weft.grad(cost, [w, b])

    train = weft.function(
        inputs=[x, y],
        outputs=[prediction, xent],
        updates=((w, w - RATE * gw), (b, b - RATE * gb)),
        mode=mode,
        name="train",
    )
    predict = weft.function(inputs=[x], outputs=prediction, mode=mode, name="predict")
    return train, predict, w, b


def main() -> None:
    x, y, start = make_data()
    train, predict, w, b = build(start)
    for _ in range(STEPS):
        _, xent = train(x, y)
    norm = np.sqrt((w.get_value() ** 2).sum())
    print(f"mean cross-entropy {xent.mean():.6f}, |w| = {norm:.6f}, b = {b.get_value():.6f}")
    print(f"{(predict(x) == y).sum()} of {N} labels predicted as given")


if __name__ == "__main__":
    main()
