"""Rates as functions of the epoch: `schedule(t)` is the rate after t epochs, t = 3.5 in the middle of the fourth.

In epochs, not in steps, a schedule says the same for any size of minibatches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError

Schedule = Callable[[float], float]


def constant(rate: float) -> Schedule:
    """rate"""
    return lambda t: rate


def step(rate: float, every: float | Sequence[float], factor: float = 0.1) -> Schedule:
    """rate * factor^k, k the number of drops so far: one `every` so many epochs, or one at each of the epochs given."""
    if np.ndim(every):
        drops = sorted(np.asarray(every).tolist())
        return lambda t: rate * factor ** sum(t >= d for d in drops)
    every = float(every)  # type: ignore[arg-type]
    _positive("every", every)
    return lambda t: rate * factor ** math.floor(t / every)


def exponential(rate: float, factor: float) -> Schedule:
    """rate * factor^t"""
    return lambda t: rate * factor**t


def cosine(rate: float, epochs: float, end: float = 0.0) -> Schedule:
    """end + (rate - end) (1 + cos(pi t / epochs)) / 2, then `end`: Loshchilov and Hutter, 2017, equation 5."""
    _positive("epochs", epochs)
    return lambda t: end + (rate - end) * (1 + math.cos(math.pi * min(t / epochs, 1))) / 2


def one_cycle(
    peak: float, epochs: float, start: float | None = None, end: float | None = None, rise: float = 0.3
) -> Schedule:
    """From `start` (peak / 25) to `peak` in the first `rise` of the epochs, then to `end` (start / 10,000), both along
    half a cosine (Smith and Topin, "Super-convergence", 2018)."""
    _positive("epochs", epochs)
    low = peak / 25 if start is None else start
    last = low / 1e4 if end is None else end
    top = rise * epochs

    def rate(t: float) -> float:
        if t < top:
            return cosine(low, top, peak)(t)
        return cosine(peak, epochs - top, last)(t - top) if epochs > top else last

    return rate


class warm_up:
    """From `start` to what the schedule has after `epochs`, in a straight line; from there on the schedule."""

    def __init__(self, schedule: Schedule | float, epochs: float, start: float = 0.0):
        _positive("epochs", epochs)
        self.then, self.epochs, self.start = as_schedule(schedule), epochs, start

    def __call__(self, t: float) -> float:
        if t >= self.epochs:
            return self.then(t)
        return self.start + (self.then(self.epochs) - self.start) * t / self.epochs

    def __getattr__(self, name: str) -> Any:
        """`metric`, `observe`, `state` and `restore`, where the schedule has them."""
        if name == "then":  # of an object that is being copied
            raise AttributeError(name)
        return getattr(self.then, name)


class Plateau:
    """A rate that falls where a metric does not: after `patience` epochs without a value better than the best by
    `threshold` (relative), it is multiplied by `factor`, down to `least`.

    `metric`: the name of what is watched in the record of an epoch; smaller is better unless `mode` is "max".
    """

    def __init__(
        self, rate: float, metric: str = "loss", *, factor: float = 0.5, patience: int = 3, threshold: float = 1e-4,
        least: float = 0.0, mode: str = "min",
    ):  # fmt: skip
        if mode not in ("min", "max"):
            raise ArgumentError(f"mode={mode!r}: a metric is better when smaller, 'min', or when larger, 'max'")
        self.metric, self.factor, self.patience, self.threshold = metric, factor, patience, threshold
        self.least, self.mode = least, mode
        self.rate, self.best, self.waited = rate, math.inf if mode == "min" else -math.inf, 0

    def __call__(self, t: float) -> float:
        return self.rate

    def observe(self, value: float) -> None:
        """Takes the metric of an epoch."""
        margin = self.threshold * abs(self.best) if math.isfinite(self.best) else 0.0
        better = value < self.best - margin if self.mode == "min" else value > self.best + margin
        if better:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.rate, self.waited = max(self.rate * self.factor, self.least), 0

    def state(self) -> dict[str, Any]:
        return {"rate": self.rate, "best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        self.rate, self.best, self.waited = state["rate"], state["best"], state["waited"]


def as_schedule(given: Schedule | float) -> Schedule:
    return given if callable(given) else constant(float(given))


def _positive(what: str, value: float) -> None:
    if not value > 0:
        raise ArgumentError(f"{what}={value}: a number of epochs above zero is needed")
