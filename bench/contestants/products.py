"""Of each training step its matrix products alone, as a bound: by NumPy (variant "numpy") or PyTorch ("torch").

Each product is timed by itself; the driver adds the faster library's times up. Operands lie as they do in the step:
transposes are views. What a step reads is there already, what it makes is dropped.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from cases import Run
from cases_training import parameters

_torch = False


def setup(variant: str, threads: int) -> str:
    global _torch
    _torch = variant == "torch"
    if not _torch:
        return np.__version__
    import torch

    torch.set_num_threads(threads)
    return torch.__version__


def _run(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Run:
    if _torch:
        import torch

        parts = [_torch_product(*(torch.from_numpy(a) for a in pair)) for pair in pairs]
    else:
        parts = [_numpy_product(*pair) for pair in pairs]

    def call() -> None:
        for part in parts:
            part()

    return Run(call, parts=parts)


def _numpy_product(a, b):
    out = np.empty(a.shape[:-1] + b.shape[1:], np.float32)
    return lambda: np.dot(a, b, out=out)


def _torch_product(a, b):
    import torch

    out = torch.empty(a.shape[:-1] + b.shape[1:])
    return lambda: torch.matmul(a, b, out=out)


def logistic(data) -> Run:
    x, w, t = data["x"], data["w"], data["t"]
    return _run([(x, w), (x.T, t)])


def mlp(data) -> Run:
    return _layers(data["x"], parameters(data)[::2])


def deep(data) -> Run:
    return _layers(data["x"], parameters(data)[::2])


def _layers(x: np.ndarray, weights: list[np.ndarray]) -> Run:
    """Forward; then from the last layer the gradient of its weights and, but for the first, that of its input."""
    states = [x, *(np.zeros((len(x), w.shape[1]), np.float32) for w in weights)]
    pairs = [(h, w) for (h, _), w in zip(pairwise(states), weights, strict=True)]
    for k in reversed(range(len(weights))):
        pairs.append((states[k].T, states[k + 1]))
        if k:
            pairs.append((states[k + 1], weights[k].T))
    return _run(pairs)


def lstm(data) -> Run:
    """All inputs at once, then a product a time step, forward and back; the gradients of both weights at once."""
    x, wx, wh = data["x"], data["wx"], data["wh"]
    steps, batch, inputs = x.shape
    h = np.zeros((batch, len(wh)), np.float32)
    moved = np.zeros((batch, wh.shape[1]), np.float32)
    flat, all_moved = x.reshape(-1, inputs), np.zeros((steps * batch, wh.shape[1]), np.float32)
    all_h = np.zeros((steps * batch, len(wh)), np.float32)
    pairs = [(flat, wx), *[(h, wh)] * steps, *[(moved, wh.T)] * (steps - 1)]
    return _run([*pairs, (flat.T, all_moved), (all_h.T, all_moved)])
