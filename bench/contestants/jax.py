"""JAX on the CPU, jitted. Arguments are JAX arrays already; states, and arrays to compute into, are donated."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from cases import Run
from cases_fused import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    black_scholes_formula,
    chain_formula,
)
from cases_training import DECAY, LOGISTIC_RATE, MOMENTUM, RATE, parameters

M = SimpleNamespace(
    tanh=jnp.tanh, exp=jnp.exp, log=jnp.log, sqrt=jnp.sqrt, sigmoid=jax.nn.sigmoid, maximum=jnp.maximum,
    erf=jax.scipy.special.erf, sum=jnp.sum, mean=jnp.mean, max=jnp.max, var=jnp.var,
)  # fmt: skip


def setup(variant: str, threads: int) -> str:
    jax.config.update("jax_platforms", "cpu")
    return jax.__version__


def warm() -> None:
    jax.jit(lambda x: x + 1)(jnp.zeros(8)).block_until_ready()


def _run(f, *arguments) -> Run:
    made, given = jax.jit(f), [jnp.asarray(a) for a in arguments]
    # A donated array that nothing reads is where the result of its shape goes.
    again = jax.jit(lambda outs, *given: f(*given), donate_argnums=0, keep_unused=True)
    outs = None

    def into():
        nonlocal outs
        outs = jax.block_until_ready(again(made(*given) if outs is None else outs, *given))
        return outs

    return Run(lambda: jax.block_until_ready(made(*given)), into=into)


def chain(data) -> Run:
    return _run(lambda x, y: chain_formula(M, x, y), *data.values())


def black_scholes(data) -> Run:
    return _run(lambda *given: black_scholes_formula(M, *given), *data.values())


def softmax(data) -> Run:
    return _run(lambda x: jax.nn.softmax(x, axis=1), data["x"])


def layernorm_gelu(data) -> Run:
    def f(x, gain, bias):
        normed = (x - x.mean(1, keepdims=True)) * jax.lax.rsqrt(x.var(1, keepdims=True) + EPSILON)
        return jax.nn.gelu(normed * gain + bias, approximate=True)

    return _run(f, *data.values())


def distances(data) -> Run:
    return _run(lambda x, y: jnp.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)), *data.values())


def _stepping(step, held, given=(), state=lambda held: held) -> Run:
    """`step(held, *given)` returns what it makes of the donated `held`, and the outputs."""
    made = jax.jit(step, donate_argnums=0)

    def call():
        nonlocal held
        held, outputs = jax.block_until_ready(made(held, *given))
        return outputs

    return Run(call, lambda: state(held))


def adam(data) -> Run:
    p = jnp.array(data["p"])

    def step(held, g):
        p, m, v, t = held
        t = t + 1
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        rate, root = LEARNING_RATE / (1 - BETA1**t), jnp.sqrt(1 - BETA2**t)
        return (p - rate * m / (jnp.sqrt(v) / root + ADAM_EPSILON), m, v, t), ()

    held = p, jnp.zeros_like(p), jnp.zeros_like(p), jnp.float32(0)
    return _stepping(step, held, [jnp.asarray(data["g"])], lambda held: held[:3])


def expression(data) -> Run:
    run, given = data["run"], [jnp.array(data["arrays"][k]) for k in data["names"]]
    if not data["state"]:
        return _run(lambda *given: tuple(run(M, *given)), *given)
    held, rest = tuple(given[: data["state"]]), given[data["state"] :]
    return _stepping(lambda held, *rest: (tuple(run(M, *held, *rest)), ()), held, rest)


def _descend(loss_of, data, rate=RATE) -> Run:
    """loss_of(p, x, t) gives the loss and the outputs."""

    def step(p, x, t):
        (_, outputs), gradients = jax.value_and_grad(loss_of, has_aux=True)(p, x, t)
        return [q - rate * g for q, g in zip(p, gradients, strict=True)], outputs

    return _stepping(step, [jnp.array(a) for a in parameters(data)], [jnp.asarray(data["x"]), jnp.asarray(data["t"])])


def logistic(data) -> Run:
    def loss_of(p, x, t):
        w, b = p
        z = x @ w + b
        xent = jax.nn.softplus(z) - z * t
        return xent.mean() + DECAY * (w * w).sum(), (z > 0, xent)

    return _descend(loss_of, data, LOGISTIC_RATE)


def mlp(data) -> Run:
    held = [jnp.array(a) for a in parameters(data)], [jnp.zeros_like(a) for a in parameters(data)]

    def loss_of(p, x, t):
        h = x
        for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
            h = jax.nn.relu(h @ w + b)
        z = jax.nn.log_softmax(h @ p[-2] + p[-1], axis=1)
        return -jnp.take_along_axis(z, t[:, None], axis=1).mean()

    def step(held, x, t):
        p, v = held
        loss, g = jax.value_and_grad(loss_of)(p, x, t)
        v = [MOMENTUM * a + b for a, b in zip(v, g, strict=True)]
        return ([q - RATE * a for q, a in zip(p, v, strict=True)], v), loss

    return _stepping(step, held, [jnp.asarray(data["x"]), jnp.asarray(data["t"])], lambda held: held[0])


def deep(data) -> Run:
    def loss_of(p, x, t):
        h = x
        for w, b in zip(p[::2], p[1::2], strict=True):
            h = jnp.tanh(h @ w + b)
        loss = jnp.square(h - t).sum(1).mean()
        return loss, loss

    return _descend(loss_of, data)


def lstm(data) -> Run:
    def loss_of(p, x, t):
        wx, wh, bias = p

        def step(held, given):
            h, c = held
            i, f, g, o = jnp.split(given + h @ wh, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros_like(t)
        (h, _), _ = jax.lax.scan(step, (start, start), x @ wx + bias)
        loss = jnp.square(h - t).sum(1).mean()
        return loss, loss

    return _descend(loss_of, data)


def recurrence(data) -> Run:
    def loss_of(x, w):
        s = x
        for _ in range(data["count"]):
            s = jnp.tanh(s * w + x)
        return jnp.square(s).sum(), s

    made = jax.jit(jax.grad(loss_of, argnums=(0, 1), has_aux=True))
    x, w = jnp.asarray(data["x"]), jnp.asarray(data["w"])

    def call():
        (gx, gw), s = jax.block_until_ready(made(x, w))
        return s, gx, gw

    return Run(call)


def overhead(data) -> Run:
    made, x, y = jax.jit(lambda x, y: x + y), jnp.asarray(data["x"]), jnp.asarray(data["y"])
    return Run(lambda: made(x, y).block_until_ready())
