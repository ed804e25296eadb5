"""PyTorch on the CPU: variant "eager", or "compile" for torch.compile. Arguments are tensors already."""

from __future__ import annotations

import torch
from cases import MOMENTUM, PARAMETERS, RATE, Run
from torch.nn import functional as F

_compiled = False


def setup(variant: str, threads: int) -> str:
    global _compiled
    _compiled = variant == "compile"
    torch.set_num_threads(threads)
    return torch.__version__


def _made(f):
    return torch.compile(f, fullgraph=True, dynamic=False) if _compiled else f


def _without_gradients(f, *arguments) -> Run:
    made = _made(f)

    def call():
        with torch.inference_mode():
            return made(*arguments)

    return Run(call)


def chain(data) -> Run:
    def f(x, y):
        return torch.tanh(0.7 * x + y) * torch.sigmoid(x) + 0.5 * torch.exp(-y * y) - x * y

    return _without_gradients(f, torch.tensor(data["x"]), torch.tensor(data["y"]))


def softmax(data) -> Run:
    return _without_gradients(lambda x: torch.softmax(x, 1), torch.tensor(data["x"]))


def mlp(data) -> Run:
    x, t = torch.tensor(data["x"]), torch.tensor(data["t"])
    p = [torch.tensor(data[k], requires_grad=True) for k in PARAMETERS]
    optimizer = torch.optim.SGD(p, RATE, MOMENTUM, fused=not _compiled)

    def loss_of(x, t, w1, b1, w2, b2, w3, b3):
        h1 = torch.relu(torch.addmm(b1, x, w1))
        h2 = torch.relu(torch.addmm(b2, h1, w2))
        return F.cross_entropy(torch.addmm(b3, h2, w3), t)

    made = _made(loss_of)
    update = torch.compile(optimizer.step) if _compiled else optimizer.step

    def call():
        optimizer.zero_grad()
        loss = made(x, t, *p)
        loss.backward()
        update()
        return loss.detach()

    return Run(call, lambda: [q.detach().numpy() for q in p])


def overhead(data) -> Run:
    return _without_gradients(lambda x, y: x + y, torch.tensor(data["x"]), torch.tensor(data["y"]))
