"""JAX on the CPU, jitted. Arguments are JAX arrays already."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from cases import MOMENTUM, PARAMETERS, RATE, Run


def setup(variant: str, threads: int) -> str:
    jax.config.update("jax_platforms", "cpu")
    return jax.__version__


def _run(f, *arguments) -> Run:
    made, given = jax.jit(f), [jnp.asarray(a) for a in arguments]
    return Run(lambda: made(*given).block_until_ready())


def chain(data) -> Run:
    def f(x, y):
        return jnp.tanh(0.7 * x + y) * jax.nn.sigmoid(x) + 0.5 * jnp.exp(-y * y) - x * y

    return _run(f, data["x"], data["y"])


def softmax(data) -> Run:
    return _run(lambda x: jax.nn.softmax(x, axis=1), data["x"])


def mlp(data) -> Run:
    x, t = jnp.asarray(data["x"]), jnp.asarray(data["t"])
    held = [jnp.array(data[k]) for k in PARAMETERS], [jnp.zeros_like(data[k]) for k in PARAMETERS]

    def loss_of(p, x, t):
        w1, b1, w2, b2, w3, b3 = p
        h1 = jax.nn.relu(x @ w1 + b1)
        h2 = jax.nn.relu(h1 @ w2 + b2)
        z = jax.nn.log_softmax(h2 @ w3 + b3, axis=1)
        return -jnp.take_along_axis(z, t[:, None], axis=1).mean()

    def step(p, v, x, t):
        loss, g = jax.value_and_grad(loss_of)(p, x, t)
        v = [MOMENTUM * a + b for a, b in zip(v, g, strict=True)]
        return loss, ([q - RATE * a for q, a in zip(p, v, strict=True)], v)

    made = jax.jit(step, donate_argnums=(0, 1))

    def call():
        nonlocal held
        loss, held = made(*held, x, t)
        return jax.block_until_ready((loss, held))[0]

    return Run(call, lambda: held[0])


def overhead(data) -> Run:
    return _run(lambda x, y: x + y, data["x"], data["y"])
