"""Where derivatives follow a convention: operations at a kink, continued as their derivatives say (semantics.md).

At a tie of a maximum every place that holds it has the whole derivative; differences say otherwise of elements that
move together, such as copies, and see no kink there. Neither do they of kinks that cancel, or in the middle of a sort.
What is compared with differences is therefore the function that has the derivatives by convention: at a kink of the
point where they are taken an operation is linear, anywhere else it is what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.compiler.ir.node import Node

Rule = Callable[[Sequence[np.ndarray]], np.ndarray]  # of an operation's inputs elsewhere
Noted = tuple[np.ndarray, Rule]  # where the kinks are, and what the operation is there


def extreme(node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> Noted:
    (x,), axes = inputs, node.attr("axes")
    held = x == np.expand_dims(value, axes)
    return held.sum(axis=axes) > 1, lambda new: value + np.where(held, new[0] - x, 0.0).sum(axis=axes)


def either(node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> Noted:
    a, b = inputs
    return a == b, lambda new: new[0]


def size(node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> Noted:
    return value == 0, lambda new: np.zeros_like(value)


def order(node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> Noted:
    same = np.zeros(value.shape, bool)
    same[..., 1:] = value[..., 1:] == value[..., :-1]
    same[..., :-1] |= same[..., 1:]
    at = np.argsort(inputs[0], axis=-1, kind="stable")
    return same, lambda new: np.take_along_axis(new[0], at, axis=-1)


KINDS: dict[str, Callable[[Node, Sequence[np.ndarray], np.ndarray], Noted]] = {
    "max": extreme, "min": extreme, "max_and_argmax": extreme, "maximum": either, "minimum": either, "abs": size,
    "sort": order,
}  # fmt: skip


class Kinks:
    """`after` of the interpreter: notes the kinks of a first run, and continues them in those that follow."""

    def __init__(self) -> None:
        self.noted: dict[Node, list[tuple[np.ndarray, Rule]]] = {}
        self.at: Counter[Node] | None = None  # None: a run is being noted

    def __call__(self, node: Node, inputs: Sequence[Any], value: Any) -> Any:
        if node.op not in KINDS or inputs[0].dtype != np.float64:
            return value
        best = value[0] if isinstance(value, tuple) else value
        if self.at is None:
            self.noted.setdefault(node, []).append(KINDS[node.op](node, inputs, best))
            return value
        k = self.at[node]
        self.at[node] += 1
        if k >= len(self.noted.get(node, ())) or self.noted[node][k][0].shape != best.shape:
            return value  # another number of steps, another branch: a jump
        there, rule = self.noted[node][k]
        if not there.any():
            return value
        best = np.asarray(np.where(there, rule(inputs), best))
        return (best, *value[1:]) if isinstance(value, tuple) else best

    def again(self) -> Kinks:
        """For a run from another point."""
        self.at = Counter()
        return self


__all__ = ["Kinks"]
