"""PyTorch on the CPU: variant "eager", or "compile" for torch.compile. Arguments are tensors already.

Eager code uses the library's own functions (softmax, layer_norm, cdist, nn.LSTM, fused optimizers). What is compiled is
written out and compiled whole: for a training step one function with loss, gradients and update in place.

Results go into given tensors where there is a way to say so: layer_norm has none (its result is a new tensor, what GELU
makes of it is not), and cdist has none at all.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from cases import Run
from cases_fused import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    RISK_FREE,
    VOLATILITY,
    black_scholes_formula,
    chain_formula,
)
from cases_training import DECAY, LOGISTIC_RATE, MOMENTUM, RATE, parameters
from torch.nn import functional as F

M = SimpleNamespace(
    tanh=torch.tanh, exp=torch.exp, log=torch.log, sqrt=torch.sqrt, sigmoid=torch.sigmoid, maximum=torch.maximum,
    erf=torch.erf, sum=torch.sum, mean=torch.mean, softmax=lambda x: torch.softmax(x, 1),
    max=lambda x, axis, keepdims=False: torch.amax(x, axis, keepdims),
    var=lambda x, axis, keepdims=False: torch.var(x, axis, correction=0, keepdim=keepdims),
)  # fmt: skip
_compiled = False


def setup(variant: str, threads: int) -> str:
    global _compiled
    _compiled = variant == "compile"
    torch.set_num_threads(threads)
    return torch.__version__


def warm() -> None:
    if _compiled:
        _made(lambda x: x + 1)(torch.zeros(8))


def _made(f):
    return torch.compile(f, fullgraph=True, dynamic=False) if _compiled else f


def _tensors(data) -> list[torch.Tensor]:
    return [torch.tensor(a) for a in data.values()]


def _without_gradients(f, *given, into=None) -> Run:
    """`into(outs, *given)` computes into tensors; compiled code does so by copies that it fuses."""
    made = _made(f)

    def call():
        with torch.inference_mode():
            return made(*given)

    if _compiled:

        def into(outs, *given):
            for out, value in zip(outs, _each(f(*given)), strict=True):
                out.copy_(value)

    if into is None:
        return Run(call)
    with torch.inference_mode():
        outs = [torch.empty_like(a) for a in _each(f(*given))]
    into = _made(into)

    def again():
        with torch.inference_mode():
            into(outs, *given)
        return outs

    return Run(call, into=again)


def _each(result) -> tuple:
    return result if isinstance(result, tuple) else (result,)


def chain(data) -> Run:
    x, y = _tensors(data)
    a, b = torch.empty_like(x), torch.empty_like(x)

    def into(outs, x, y):
        out = outs[0]
        torch.mul(x, 0.7, out=out).add_(y).tanh_().mul_(torch.sigmoid(x, out=a))
        out.add_(torch.square(y, out=b).neg_().exp_(), alpha=0.5).addcmul_(x, y, value=-1)

    return _without_gradients(lambda x, y: chain_formula(M, x, y), x, y, into=into)


def black_scholes(data) -> Run:
    given = _tensors(data)
    spread, d, e, paid = (torch.empty_like(given[0]) for _ in range(4))

    def normal(d):
        return d.mul_(0.5**0.5).erf_().mul_(0.5).add_(0.5)

    def into(outs, spot, strike, years):
        call, put = outs
        torch.sqrt(years, out=spread).mul_(VOLATILITY)
        torch.div(spot, strike, out=d).log_().add_(years, alpha=RISK_FREE + 0.5 * VOLATILITY**2).div_(spread)
        torch.sub(d, spread, out=e)
        torch.mul(years, -RISK_FREE, out=paid).exp_().mul_(strike)
        torch.mul(spot, normal(d), out=call).sub_(normal(e).mul_(paid))
        torch.sub(call, spot, out=put).add_(paid)

    return _without_gradients(lambda *given: black_scholes_formula(M, *given), *given, into=into)


def softmax(data) -> Run:
    return _without_gradients(
        lambda x: torch.softmax(x, 1), *_tensors(data), into=lambda outs, x: torch.softmax(x, 1, out=outs[0])
    )


def layernorm_gelu(data) -> Run:
    def own(x, gain, bias):
        return F.gelu(F.layer_norm(x, x.shape[1:], gain, bias, EPSILON), approximate="tanh")

    def into(outs, x, gain, bias):
        normed = F.layer_norm(x, x.shape[1:], gain, bias, EPSILON)
        torch.ops.aten.gelu.out(normed, approximate="tanh", out=outs[0])

    return _without_gradients(own, *_tensors(data), into=into)


def distances(data) -> Run:
    def written(x, y):
        return torch.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(-1))

    def own(x, y):  # by the product of both matrices, its default, neighbours' distances come out wrong
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")

    return _without_gradients(written if _compiled else own, *_tensors(data))


def adam(data) -> Run:
    p, g = _tensors(data)
    if not _compiled:
        p.requires_grad_()
        p.grad = g
        optimizer = torch.optim.Adam([p], LEARNING_RATE, (BETA1, BETA2), ADAM_EPSILON, fused=True)
        return Run(
            optimizer.step,
            lambda: [p.detach(), *(optimizer.state[p][k] for k in ("exp_avg", "exp_avg_sq"))],
        )
    m, v, t = torch.zeros_like(p), torch.zeros_like(p), torch.zeros(())

    @_made
    def step(p, m, v, t, g):
        t += 1
        m.mul_(BETA1).add_((1 - BETA1) * g)
        v.mul_(BETA2).add_((1 - BETA2) * g * g)
        rate, root = LEARNING_RATE / (1 - BETA1**t), torch.sqrt(1 - BETA2**t)
        p.sub_(rate * m / (torch.sqrt(v) / root + ADAM_EPSILON))

    def call():
        with torch.inference_mode():
            step(p, m, v, t, g)

    return Run(call, lambda: [p, m, v])


def expression(data) -> Run:
    run, given = data["run"], [torch.tensor(data["arrays"][k]) for k in data["names"]]
    library = {} if _compiled else data.get("library", {})
    if "softmax" in library:
        run = library["softmax"]
    if "adam" in library:
        return _fused_adam(given, **library["adam"])
    if not data["state"]:
        return _without_gradients(lambda *given: tuple(run(M, *given)), *given)
    made = _made(lambda *given: tuple(run(M, *given)))
    if _compiled:

        @_made
        def made(*given):
            for q, new in zip(given, run(M, *given), strict=False):
                q.copy_(new)

    held = given[: data["state"]]

    def call():
        with torch.inference_mode():
            moved = made(*given)
            for q, new in zip(held, moved or (), strict=False):
                q.copy_(new)

    return Run(call, lambda: held)


def _fused_adam(given, step, lr, weight_decay) -> Run:
    """What torch.optim.Adam(fused=True) calls, at one step again and again."""
    p, m, v, g = ([a] for a in given)
    steps = [torch.tensor(step)]
    constants = {"lr": lr, "beta1": 0.9, "beta2": 0.999, "weight_decay": weight_decay, "eps": 1e-8}

    def call():
        with torch.inference_mode():
            torch._fused_adam_(p, g, m, v, [], steps, amsgrad=False, maximize=False, **constants)

    return Run(call, lambda: given[:3])


def _training(loss_of, given, p, update, optimizer=None) -> Run:
    """A step: what `loss_of(p, *given)` returns first is derived; all it returns else are the outputs.

    Eager: the tape and the optimizer. Compiled: one function that derives and updates in place.
    """
    if _compiled:

        @_made
        def step(p, *given):
            gradients, outputs = torch.func.grad(loss_of, has_aux=True)(p, *given)
            with torch.no_grad():
                update(p, gradients)
            return outputs

        return Run(lambda: step(p, *given), lambda: p)
    for q in p:
        q.requires_grad_()
    optimizer = optimizer(p)

    def call():
        optimizer.zero_grad()
        loss, outputs = loss_of(p, *given)
        loss.backward()
        optimizer.step()
        return outputs

    return Run(call, lambda: [q.detach() for q in p])


def _detached(loss):
    return loss, loss.detach()


def _descend(rate):
    def update(p, gradients):
        for q, g in zip(p, gradients, strict=True):
            q.sub_(rate * g)

    return update, lambda p: torch.optim.SGD(p, rate, fused=True)


def _split(data):
    return [torch.tensor(data["x"]), torch.tensor(data["t"])], [torch.tensor(a) for a in parameters(data)]


def logistic(data) -> Run:
    given, p = _split(data)

    def loss_of(p, x, t):
        w, b = p
        z = x @ w + b
        xent = F.binary_cross_entropy_with_logits(z, t, reduction="none")
        return xent.mean() + DECAY * (w * w).sum(), (z.detach() > 0, xent.detach())

    return _training(loss_of, given, p, *_descend(LOGISTIC_RATE))


def mlp(data) -> Run:
    given, p = _split(data)
    v = [torch.zeros_like(q) for q in p]

    def loss_of(p, x, t):
        h = x
        for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
            h = torch.relu(torch.addmm(b, h, w))
        return _detached(F.cross_entropy(torch.addmm(p[-1], h, p[-2]), t))

    def update(p, gradients):
        for q, a, g in zip(p, v, gradients, strict=True):
            a.mul_(MOMENTUM).add_(g)
            q.sub_(RATE * a)

    return _training(loss_of, given, p, update, lambda p: torch.optim.SGD(p, RATE, MOMENTUM, fused=True))


def deep(data) -> Run:
    given, p = _split(data)

    def loss_of(p, x, t):
        h = x
        for w, b in zip(p[::2], p[1::2], strict=True):
            h = torch.tanh(torch.addmm(b, h, w))
        return _detached(torch.square(h - t).sum(1).mean())

    return _training(loss_of, given, p, *_descend(RATE))


def lstm(data) -> Run:
    given, p = _split(data)
    if not _compiled:
        return _library_lstm(*given, *p)

    def loss_of(p, x, t):
        wx, wh, bias = p
        h = c = torch.zeros(x.shape[1], wh.shape[0])
        for gates in torch.unbind(x @ wx + bias):
            i, f, g, o = torch.chunk(torch.addmm(gates, h, wh), 4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return _detached(torch.square(h - t).sum(1).mean())

    return _training(loss_of, given, p, *_descend(RATE))


def _library_lstm(x, t, wx, wh, bias) -> Run:
    """nn.LSTM; its second bias stays 0."""
    layer = torch.nn.LSTM(x.shape[2], t.shape[1])
    with torch.no_grad():
        for q, a in zip(layer.parameters(), (wx.T, wh.T, bias, 0 * bias), strict=True):
            q.copy_(a)
    layer.bias_hh_l0.requires_grad_(False)
    optimizer = torch.optim.SGD([q for q in layer.parameters() if q.requires_grad], RATE, fused=True)

    def call():
        optimizer.zero_grad()
        loss = torch.square(layer(x)[0][-1] - t).sum(1).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def state():
        return [layer.weight_ih_l0.detach().T, layer.weight_hh_l0.detach().T, layer.bias_ih_l0.detach()]

    return Run(call, state)


def recurrence(data) -> Run:
    x, w = torch.tensor(data["x"]), torch.tensor(data["w"])

    def last(x, w):
        s = x
        for _ in range(data["count"]):
            s = torch.tanh(s * w + x)
        return s

    if _compiled:

        def loss_of(x, w):
            s = last(x, w)
            return torch.square(s).sum(), s

        made = _made(torch.func.grad(loss_of, argnums=(0, 1), has_aux=True))

        def compiled():
            gradients, s = made(x, w)
            return s, *gradients

        return Run(compiled)

    def call():
        a, b = x.detach().requires_grad_(), w.detach().requires_grad_()
        s = last(a, b)
        torch.square(s).sum().backward()
        return s.detach(), a.grad, b.grad

    return Run(call)


def overhead(data) -> Run:
    made = _made(lambda x, y: x + y)
    x, y = _tensors(data)
    if not _compiled:
        return Run(lambda: made(x, y))
    with torch.inference_mode():
        made(x, y)

    def call():
        with torch.inference_mode():
            return made(x, y)

    return Run(call)
