"""Small programs of many kinds beside JAX: `python bench/workloads.py [NAME ...]`.

The benchmark (run.py) times few programs well; this times many roughly, in one process, weft and JAX in turns, to find
those that nobody has looked at. Each is written once, for both. Times are the fastest calls; an answer that differs
is said and not timed. Needs JAX (`pip install jax`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

WORKLOADS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}  # name -> (program of m and arrays, arrays)
THREADS = 2


def workload(*given: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enters a program. `given`: for each argument a shape (normal float32), or (low, high, shape) for integers."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        WORKLOADS[f.__name__] = f, given
        return f

    return enter


def draw(rng: np.random.Generator, of: Any) -> np.ndarray:
    if of and isinstance(of[-1], tuple):
        low, high, shape = of
        return rng.integers(low, high, shape, np.int32)
    return rng.standard_normal(of, np.float32)


def of_weft() -> SimpleNamespace:
    import weft
    import weft.tensor as T

    weft.config.floatX = "float32"

    def loop(step: Any, first: Any, rows: Any = None, steps: int | None = None) -> Any:
        """The last state of a loop over rows, or of a number of steps."""
        rows = [] if rows is None else [rows]
        return weft.scan(lambda *a: step(*a[::-1]), sequences=rows, outputs_info=[first], n_steps=steps)[0][-1]

    return SimpleNamespace(
        exp=T.exp, log=T.log, tanh=T.tanh, sin=T.sin, cos=T.cos, sqrt=T.sqrt, sigmoid=T.sigmoid, erf=T.erf,
        maximum=T.maximum, where=T.switch, clip=T.clip, arctan2=T.arctan2, floor=T.floor, abs=abs, dot=T.dot,
        batched=T.batched_dot, sort=lambda x: T.sort(x, axis=-1), argmax=T.argmax, argmin=T.argmin, cumsum=T.cumsum,
        int=lambda x: T.cast(x, "int64"), zeros=lambda *s: T.zeros(s, "float32"), loop=loop,
        add_at=lambda x, i, v: T.inc_subtensor(x[i], v), inside=lambda x, v: T.inc_subtensor(x[1:-1, 1:-1], v),
        turn=lambda x, *a: x.dimshuffle(*a), grad=lambda f, k, *a: T.grad(f(*a), [a[j] for j in k]),
        conv=lambda x, w: T.nnet.conv2d(x, w, filter_flip=False), join=T.concatenate, softmax=T.nnet.softmax,
        arange=T.arange,
    )  # fmt: skip


def of_jax() -> SimpleNamespace:
    import jax
    import jax.numpy as jnp

    def loop(step: Any, first: Any, rows: Any = None, steps: int | None = None) -> Any:
        if rows is None:
            return jax.lax.fori_loop(0, steps, lambda k, s: step(s), first)
        return jax.lax.scan(lambda s, row: (step(s, row), None), first, rows)[0]

    return SimpleNamespace(
        exp=jnp.exp, log=jnp.log, tanh=jnp.tanh, sin=jnp.sin, cos=jnp.cos, sqrt=jnp.sqrt, sigmoid=jax.nn.sigmoid,
        erf=jax.scipy.special.erf, maximum=jnp.maximum, where=jnp.where, clip=jnp.clip, arctan2=jnp.arctan2,
        floor=jnp.floor, abs=jnp.abs, dot=jnp.dot, batched=jnp.matmul, sort=lambda x: jnp.sort(x, axis=-1),
        argmax=jnp.argmax, argmin=jnp.argmin, cumsum=jnp.cumsum, int=lambda x: x.astype(jnp.int32),
        zeros=lambda *s: jnp.zeros(s, jnp.float32), loop=loop, add_at=lambda x, i, v: x.at[i].add(v),
        inside=lambda x, v: x.at[1:-1, 1:-1].add(v), turn=lambda x, *a: jnp.transpose(x, a),
        grad=lambda f, k, *a: jax.grad(f, k)(*a), conv=lambda x, w: jax.lax.conv(x, w, (1, 1), "VALID"),
        join=jnp.concatenate, softmax=jax.nn.softmax, arange=jnp.arange,
    )  # fmt: skip


# ---- elementwise ----------------------------------------------------------------------------------------------------


@workload((1_000_000,))
def polynomial(m, x):
    return x**5 + 3 * x**3 - 2 * x**2 + x - 1


@workload((1_000_000,), (1_000_000,))
def powers(m, x, y):
    return (m.abs(x) + 0.1) ** y


@workload((1_000_000,), (1_000_000,))
def angles(m, x, y):
    return m.sin(x) * m.cos(y) + m.arctan2(x, y)


@workload((1_000_000,), (1_000_000,))
def choices(m, x, y):
    return m.where(x > y, m.clip(x, -1, 1), m.abs(y))


@workload((1_000_000,))
def gelu(m, x):
    return 0.5 * x * (1 + m.erf(x * 0.70710678))


@workload((0, 1000, (1_000_000,)))
def integers(m, x):
    return (x * 3 + 7) % 11 - x // 5


@workload((1_000_000,))
def moving_average(m, x):
    return sum(x[k : x.shape[0] - 8 + k] for k in range(8)) / 8


@workload((2000, 1500), (1500, 2000))
def transposed(m, x, y):
    return x.T + y


@workload((1000, 1000))
def reversed_sum(m, x):
    return x[::-1, ::-1] + x


@workload((1000, 1000))
def sobel(m, x):
    right = x[:-2, 2:] + 2 * x[1:-1, 2:] + x[2:, 2:] - x[:-2, :-2] - 2 * x[1:-1, :-2] - x[2:, :-2]
    down = x[2:, :-2] + 2 * x[2:, 1:-1] + x[2:, 2:] - x[:-2, :-2] - 2 * x[:-2, 1:-1] - x[:-2, 2:]
    return m.sqrt(right * right + down * down)


# ---- folds ----------------------------------------------------------------------------------------------------------


def softmax(m, x, axis):
    e = m.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@workload((1000, 1000))
def softmax_of_columns(m, x):
    return softmax(m, x, 0)


@workload((10_000, 300))
def softmax_of_long_columns(m, x):
    return softmax(m, x, 0)


@workload((100_000, 20))
def softmax_of_narrow_columns(m, x):
    return softmax(m, x, 0)


@workload((32, 100, 64))
def softmax_in_the_middle(m, x):
    return softmax(m, x, 1)


@workload((10_000, 300))
def standard_columns(m, x):
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)


@workload((100_000, 20))
def centred_columns(m, x):
    return x - x.mean(axis=0)


@workload((5000, 64))
def normed_rows(m, x):
    return x / m.sqrt((x * x).sum(axis=1, keepdims=True))


@workload((64, 50_000))
def log_of_sums(m, x):
    top = x.max(axis=1, keepdims=True)
    return m.log(m.exp(x - top).sum(axis=1, keepdims=True)) + top


@workload((100, 100, 100))
def sums_in_the_middle(m, x):
    return x.sum(axis=1)


@workload((2000, 500), (2000,))
def weighted_sum(m, x, w):
    return m.exp(x * w[:, None]).sum(axis=0)


@workload((2000, 500))
def places_of_maxima(m, x):
    return m.argmax(x, axis=1)


@workload((1000, 1000))
def running_sums(m, x):
    return m.cumsum(x, axis=1)


@workload((1000, 1000))
def sorted_rows(m, x):
    return m.sort(x)


@workload((16, 8, 28, 28))
def max_pooling(m, x):
    return x.reshape((16, 8, 14, 2, 14, 2)).max(axis=(3, 5))


@workload((1500,), (1500,))
def all_pairs(m, x, y):
    return m.exp(-((x[:, None] - y[None, :]) ** 2)).sum(axis=1)


@workload((2000, 16), (500, 16))
def nearest(m, x, y):
    return m.argmin(((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2), axis=1)


@workload((800, 3), (800,))
def gravity(m, p, mass):
    d = p[None, :, :] - p[:, None, :]
    r = (d * d).sum(axis=2) + 0.01
    return (d * (m.abs(mass)[None, :] / (r * m.sqrt(r)))[:, :, None]).sum(axis=1)


# ---- computed places ------------------------------------------------------------------------------------------------


@workload((20_000, 64), (0, 20_000, (4096,)))
def embedding(m, table, i):
    return m.tanh(table[i])


@workload((20_000, 64), (0, 20_000, (4096,)))
def gradient_of_embedding(m, table, i):
    return m.grad(lambda table: (m.tanh(table[i]) ** 2).sum(), (0,), table)


@workload((20_000, 64), (0, 20_000, (512, 20)))
def bags(m, table, i):
    return table[i].sum(axis=1)


@workload((100_000,), (0, 100_000, (1_000_000,)))
def gathered_function(m, x, i):
    return m.tanh(x[i])


@workload((0, 100, (100_000,)))
def histogram(m, i):
    return m.add_at(m.zeros(100), i, 1)


@workload((400, 300), (500, 500), (500, 500))
def bilinear(m, x, i, k):
    i, k = m.sigmoid(i) * 398, m.sigmoid(k) * 298
    a, b = m.int(m.floor(i)), m.int(m.floor(k))
    u, v = i - m.floor(i), k - m.floor(k)
    top = x[a, b] * (1 - u) + x[a + 1, b] * u
    return top * (1 - v) + (x[a, b + 1] * (1 - u) + x[a + 1, b + 1] * u) * v


# ---- products, layers and their gradients ---------------------------------------------------------------------------


@workload((8, 256, 64), (8, 256, 64), (8, 256, 64))
def attention(m, q, k, v):
    return m.batched(softmax(m, m.batched(q, m.turn(k, 0, 2, 1)) * 0.125, 2), v)


@workload((8, 128, 64), (8, 128, 64), (8, 128, 64))
def gradient_of_attention(m, q, k, v):
    return m.grad(lambda q, k, v: (attention(m, q, k, v) ** 2).sum(), (0, 1, 2), q, k, v)


@workload((2000, 8, 8), (2000, 8, 8))
def small_products(m, a, b):
    return m.batched(a, b)


@workload((128, 256), (256, 1024), (256, 1024))
def gated(m, x, w, u):
    a = m.dot(x, w * 0.05)
    return a * m.sigmoid(a) * m.dot(x, u * 0.05)


@workload((256, 512), (512,), (512,))
def gradient_of_batch_norm(m, x, g, b):
    def cost(x, g, b):
        y = (x - x.mean(axis=0)) / m.sqrt(x.var(axis=0) + 1e-5) * g + b
        return (m.maximum(y, 0) ** 2).sum()

    return m.grad(cost, (0, 1, 2), x, g, b)


@workload((32, 16, 14, 14), (16,), (16,))
def gradient_of_image_norm(m, x, g, b):
    def cost(x, g, b):
        y = (x - x.mean(axis=(0, 2, 3), keepdims=True)) / m.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
        return (m.maximum(y * g.reshape((1, 16, 1, 1)) + b.reshape((1, 16, 1, 1)), 0) ** 2).sum()

    return m.grad(cost, (0, 1, 2), x, g, b)


@workload((512, 768), (768,), (768,), (512, 768))
def gradient_of_layer_norm(m, x, g, b, d):
    def cost(x, g, b):
        y = (x - x.mean(axis=1, keepdims=True)) / m.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        return (d * (y * g + b)).sum()

    return m.grad(cost, (0, 1, 2), x, g, b)


@workload((128, 784), (784, 256))
def gradient_of_autoencoder(m, x, w):
    def cost(w):
        return ((m.sigmoid(m.dot(m.sigmoid(m.dot(x, w * 0.03)), w.T * 0.03)) - x) ** 2).mean()

    return m.grad(cost, (0,), w)


@workload((16, 8, 32, 32), (16, 8, 3, 3))
def convolution(m, x, w):
    return m.maximum(m.conv(x, w), 0)


@workload((1, 784), (784, 256), (256, 10))
def one_image(m, x, w, u):
    return softmax(m, m.dot(m.tanh(m.dot(x, w * 0.03)), u), 1)


@workload((500, 50), (50,), (50,))
def hessian_times_vector(m, x, w, v):
    def slope(w):
        (g,) = m.grad(lambda w: m.log(1 + m.exp(-m.dot(x, w))).mean(), (0,), w)
        return (g * v).sum()

    return m.grad(slope, (0,), w)


# ---- loops ----------------------------------------------------------------------------------------------------------


@workload((512, 512))
def heat(m, u):
    def step(u):
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        return m.inside(u, 0.1 * (around - 4 * u[1:-1, 1:-1]))

    return m.loop(step, u, steps=20)


@workload((50, 32, 64), (64, 384), (128, 384))
def gradient_of_gru(m, x, w, u):
    def cost(w, u):
        def step(h, row):
            a, b = m.dot(row, w * 0.05), m.dot(h, u * 0.05)
            r, z = m.sigmoid(a[:, :128] + b[:, :128]), m.sigmoid(a[:, 128:256] + b[:, 128:256])
            return (1 - z) * m.tanh(a[:, 256:] + r * b[:, 256:]) + z * h

        return (m.loop(step, m.zeros(32, 128), x) ** 2).sum()

    return m.grad(cost, (0, 1), w, u)


@workload((300, 32), (32, 32))
def viterbi(m, b, a):
    return m.loop(lambda s, row: (s[:, None] + a).max(axis=0) + row, m.zeros(32), b)


@workload((1000, 1000), (1000,))
def matrix_times_vector(m, a, b):
    return m.loop(lambda v: m.tanh(m.dot(a * 0.03, v)), b, steps=20)


# ---- what reads neighbours, halves and windows, and its gradients ---------------------------------------------------


@workload((1000, 1000))
def gradient_of_differences(m, x):
    return m.grad(lambda x: ((x[:, 1:] - x[:, :-1]) ** 2).sum() + ((x[1:] - x[:-1]) ** 2).sum(), [0], x)


@workload((1000, 64))
def gradient_of_moving_average(m, x):
    return m.grad(lambda x: (sum(x[k : k + 990] for k in range(10)) ** 2).sum(), [0], x)


@workload((16, 8, 28, 28))
def gradient_of_max_pooling(m, x):
    return m.grad(lambda x: (x.reshape((16, 8, 14, 2, 14, 2)).max(axis=(3, 5)) ** 2).sum(), [0], x)


@workload((300, 300, 3))
def gradient_of_grey(m, x):
    return m.grad(lambda x: ((0.3 * x[:, :, 0] + 0.6 * x[:, :, 1] + 0.1 * x[:, :, 2]) ** 2).sum(), [0], x)


def turned(m, x, c, s):
    a, b = x[:, :, :32], x[:, :, 32:]
    return m.join([a * c - b * s, b * c + a * s], axis=2)


@workload((64, 128, 64), (128, 32), (128, 32))
def rotary(m, x, c, s):
    return turned(m, x, c, s)


@workload((64, 128, 64), (128, 32), (128, 32))
def gradient_of_rotary(m, x, c, s):
    return m.grad(lambda x, c, s: (turned(m, x, c, s) ** 2).sum(), [0], x, c, s)


def attended(m, q, k, v):
    n = m.arange(64)
    scores = m.where(n[:, None] >= n[None, :], m.batched(q, m.turn(k, 0, 2, 1)) * 0.25, -1e9)
    return m.batched(m.softmax(scores), v)


@workload((32, 64, 16), (32, 64, 16), (32, 64, 16))
def causal_attention(m, q, k, v):
    return attended(m, q, k, v)


@workload((32, 64, 16), (32, 64, 16), (32, 64, 16))
def gradient_of_causal_attention(m, q, k, v):
    return m.grad(lambda q, k, v: (attended(m, q, k, v) ** 2).sum(), [0, 1, 2], q, k, v)


@workload((100_000, 3), (100_000, 3))
def gradient_of_cross_products(m, a, b):
    def size(a, b):
        pairs = ((1, 2), (2, 0), (0, 1))
        return sum(((a[:, i] * b[:, j] - a[:, j] * b[:, i]) ** 2).sum() for i, j in pairs)

    return m.grad(size, [0, 1], a, b)


def fastest(call: Callable[[], Any], seconds: float) -> float:
    call()
    start = time.perf_counter()
    call()
    batch = max(1, int(0.005 / max(time.perf_counter() - start, 1e-7)))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(batch):
            call()
        best = min(best, (time.perf_counter() - start) / batch)
    return best


def functions(name: str, weft_m: Any, jax_m: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import jax
    import jax.numpy as jnp

    import weft
    import weft.tensor as T

    program, given = WORKLOADS[name]
    rng = np.random.default_rng(0)
    arrays = [draw(rng, of) for of in given]
    inputs = [T.TensorType(str(a.dtype), (None,) * a.ndim)() for a in arrays]
    f = weft.function(inputs, program(weft_m, *inputs))
    g, there = jax.jit(lambda *a: program(jax_m, *a)), [jnp.asarray(a) for a in arrays]
    return lambda: f(*arrays), lambda: jax.block_until_ready(g(*there))


def disagreement(got: Any, want: Any) -> float:
    got, want = ([np.asarray(a) for a in (r if isinstance(r, list | tuple) else [r])] for r in (got, want))
    return max(float(np.max(np.abs(p - q)) / max(np.max(np.abs(q)), 1e-9)) for p, q in zip(got, want, strict=True))


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    p.add_argument("names", nargs="*", help="of " + ", ".join(WORKLOADS))
    p.add_argument("--seconds", type=float, default=0.25, help="of a turn, of which each gets two (%(default)s)")
    args = p.parse_args()
    os.environ.setdefault("WEFT_THREADS", str(THREADS))
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={THREADS}")
    weft_m, jax_m, wrong = of_weft(), of_jax(), 0
    for name in args.names or WORKLOADS:
        own, peer = functions(name, weft_m, jax_m)
        if not (error := disagreement(own(), peer())) < 1e-3:
            print(f"{name:28} differs by {error:.1g} of the largest", flush=True)
            wrong += 1
            continue
        times = [min(fastest(call, args.seconds) for _ in range(2)) for call in (own, peer)]
        own_time, peer_time = (t * 1e6 for t in times)
        print(f"{name:28} {own_time:9.1f} us, JAX {peer_time:9.1f} us: {own_time / peer_time:5.2f}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
