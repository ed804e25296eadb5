"""The two tables of derivatives: reverse mode (pullbacks) and forward mode (pushforwards), one row an operation.

    PULLBACK[op](node, grads) -> a Variable or None for each input
        node: the Apply; grads: for each output its gradient, or None where nothing depends on it.
        None for an input means: does not depend on it differentiably (zero).
    PUSHFORWARD[op](node, tangents) -> a Variable or None for each output
        tangents: for each input its tangent, or None where it is zero.

Keys are names of IR operations; operations that hold graphs (scan, ifelse) have theirs as methods of their Op class:
`pullback(node, grads)` and `pushforward(node, tangents)`; or `pullback_of(node, grads, needed)`, with a bool for each
input that says whether its gradient is asked for. `NO_GRADIENT` lists, with the reason, the operations whose
derivative is zero or does not exist. Complex convention: the gradient of a real cost C with respect to a complex z is
dC/d(Re z) + i dC/d(Im z), so a holomorphic f pulls g back to conj(f'(z)) g.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..graph.variable import Apply

Gradients = Sequence[Any]  # of Variable or None; Any spares rules a check of what their row guarantees
PULLBACK: dict[str, Callable[[Apply, Gradients], Gradients]] = {}
PUSHFORWARD: dict[str, Callable[[Apply, Gradients], Gradients]] = {}
NO_GRADIENT: dict[str, str] = {}

# How many arguments of an operation are values; those behind are lengths, bounds and indices, through which nothing is
# connected (`disconnected_inputs` of grad).
PLACES: dict[str, int] = {
    **dict.fromkeys(("iota", "draw"), 0),
    **dict.fromkeys(("reshape", "alloc", "slice", "gather", "spread"), 1),
    **dict.fromkeys(("set_slice", "scatter"), 2),
}


def pullback(*names: str):
    """Decorator that enters a rule for reverse mode."""

    def enter(rule):
        for n in names:
            PULLBACK[n] = rule
        return rule

    return enter


def pushforward(*names: str):
    """Decorator that enters a rule for forward mode."""

    def enter(rule):
        for n in names:
            PUSHFORWARD[n] = rule
        return rule

    return enter
