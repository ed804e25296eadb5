"""Random relatives of the cases: other sizes, an operation or a layer more or less, other association.

A family of fused programs has slots. The first text of each slot gives the case itself; a relative draws its sizes and,
in one or two slots, another text. A family of training steps draws its sizes, the number of layers among them. So what
the compiler does for a case shows on programs that nobody wrote by hand.

Of N relatives with following seeds each draws every size from another of N equal parts of its range (by the logarithm).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cases_training
import numpy as np
from cases import Case
from cases_fused import REFERENCE

Sizes = dict[str, tuple[int, int, int]]  # axis -> its length in the case, the least and the most of a relative


@dataclass(frozen=True)
class Family:
    """`arrays`: name -> axes, upper case where all elements are positive (between 0.5 and 2). The last line of `text`
    gives what is returned; of a family with `state` that replaces the first arrays. `peers`: those that were best, or
    close to that, in a case of the family. `library` gives what a framework's own function needs for the chosen texts,
    if it computes them."""

    arrays: dict[str, str]
    sizes: Sizes
    text: str
    slots: dict[str, tuple[str, ...]]
    state: int = 0
    peers: tuple[str, ...] = ("jax", "torch.compile")
    library: Callable[[dict[str, str]], dict[str, Any]] = lambda chosen: {}


@dataclass(frozen=True)
class Steps:
    """A family of training steps: `make` takes `tiny` and the sizes by their names."""

    make: Callable[..., Case]
    sizes: Sizes
    peers: tuple[str, ...]


def _softmax(chosen: dict[str, str]) -> dict[str, Any]:
    e = "z - m.max(z, axis=1, keepdims=True)"
    factor = {f"m.exp({e})": "", f"m.exp(0.7 * ({e}))": " * 0.7"}
    if chosen["e"] not in factor or chosen["sum"] != "m.sum(e, axis=1, keepdims=True)":
        return {}
    return {"softmax": program(f"z = ({chosen['z']}){factor[chosen['e']]}\nm.softmax(z)", ["x"])}


def _adam(chosen: dict[str, str]) -> dict[str, Any]:
    """The arguments of a fused Adam whose bias corrections are 1 and 0.3^2 (or both 1)."""
    own = {
        "p - 0.01 * a / (m.sqrt(b) / 0.3 + 1e-8)": math.log(1 - 0.3**2) / math.log(0.999),
        "p - 0.01 * (a / (m.sqrt(b) + 1e-8))": 1e6,
    }
    decays = {"g": 0.0, "g + 0.01 * p": 0.01}
    plain = chosen["first"] == "0.1 * h" and chosen["second"] in ("0.001 * h * h", "0.001 * (h * h)")
    if not plain or chosen["p"] not in own or chosen["h"] not in decays:
        return {}
    step = own[chosen["p"]]
    return {"adam": {"step": step, "lr": 0.01 * (1 - 0.9**step), "weight_decay": decays[chosen["h"]]}}


FAMILIES: dict[str, Family | Steps] = {
    "chain": Family(
        arrays={"x": "n", "y": "n"},
        sizes={"n": (10**6, 300_000, 4 * 10**6)},
        text="{a} * {b} {sum}",
        slots={
            "a": ("m.tanh(0.7 * x + y)", "m.tanh(0.7 * (x + y))", "m.tanh(x - y * y)", "m.tanh(0.7 * x)"),
            "b": ("m.sigmoid(x)", "m.sigmoid(x + 0.1 * y)", "(0.5 + m.sigmoid(x))", "m.sigmoid(m.sqrt(1 + x * x))"),
            "sum": (
                "+ 0.5 * m.exp(-y * y) - x * y",
                "+ (0.5 * m.exp(-y * y) - x * y)",
                "- x * y",
                "+ 0.5 * m.exp(-y * y)",
                "+ 0.5 * m.exp(-y * y) - x * y + x / (1 + y * y)",
            ),
        },
    ),
    "black_scholes": Family(
        arrays={"S": "n", "K": "n", "Y": "n"},
        sizes={"n": (2 * 10**6, 500_000, 4 * 10**6)},
        text="""
            w = 0.25 * m.sqrt(Y)
            d = ({log} + {drift}) / w
            e = d - w
            p = {p}
            q = 0.5 + 0.5 * m.erf(e * 0.70710678)
            paid = K * {discount}
            c = S * p - paid * q
            c, {put}""",
        slots={
            "log": ("m.log(S / K)", "(m.log(S) - m.log(K))", "m.log(S)"),
            "drift": ("0.06125 * Y", "(0.03 * Y + 0.03125 * Y)", "0.06125"),
            "p": ("0.5 + 0.5 * m.erf(d * 0.70710678)", "0.5 * (1 + m.erf(d * 0.70710678))", "m.sigmoid(1.6 * d)"),
            "discount": ("m.exp(-0.03 * Y)", "(1 / (1 + 0.03 * Y))", "m.exp(-(0.03 * Y + 0.001))"),
            "put": ("c - S + paid", "c + (paid - S)", "m.sqrt(1 + (c - S + paid) * (c - S + paid))"),
        },
    ),
    "softmax": Family(
        arrays={"x": "rc"},
        sizes={"r": (4096, 1000, 9000), "c": (1024, 100, 2000)},
        text="""
            z = {z}
            e = {e}
            e / {sum}""",
        slots={
            "z": ("x", "0.5 * x", "m.tanh(x)", "x * x"),
            "e": (
                "m.exp(z - m.max(z, axis=1, keepdims=True))",
                "m.exp(0.7 * (z - m.max(z, axis=1, keepdims=True)))",
                "m.exp(z)",
                "m.exp(z - m.mean(z, axis=1, keepdims=True))",
            ),
            "sum": (
                "m.sum(e, axis=1, keepdims=True)",
                "(1 + m.sum(e, axis=1, keepdims=True))",
                "m.sqrt(m.sum(e * e, axis=1, keepdims=True))",
            ),
        },
        peers=("jax", "torch.compile", "torch"),
        library=_softmax,
    ),
    "layernorm_gelu": Family(
        arrays={"x": "rc", "g": "c", "b": "c"},
        sizes={"r": (4096, 1000, 9000), "c": (1024, 100, 2000)},
        text="""
            d = x - {middle}
            z = d / {root} {scale}
            {out}""",
        slots={
            "middle": ("m.mean(x, axis=1, keepdims=True)", "m.max(x, axis=1, keepdims=True)"),
            "root": (
                "m.sqrt(m.var(x, axis=1, keepdims=True) + 1e-5)",
                "m.sqrt(m.mean(d * d, axis=1, keepdims=True) + 1e-5)",
                "(m.sqrt(m.var(x, axis=1, keepdims=True)) + 1e-3)",
            ),
            "scale": ("* g + b", "* g", "* (1 + g) + b"),
            "out": (
                "0.5 * z * (1 + m.tanh(0.7978846 * (z + 0.044715 * z * z * z)))",
                "z * m.sigmoid(1.702 * z)",
                "0.5 * z * (1 + m.erf(0.70710678 * z))",
                "0.5 * (z + z * m.tanh(z * (0.7978846 + 0.035677407 * (z * z))))",
                "m.maximum(z, 0.1 * z)",
            ),
        },
    ),
    "distances": Family(
        arrays={"x": "nf", "y": "mf"},
        sizes={"n": (1500, 500, 2500), "m": (1500, 500, 2500), "f": (16, 3, 100)},
        text="""
            d = {d}
            s = {s}
            {out}""",
        slots={
            "d": ("x[:, None, :] - y[None, :, :]", "0.5 * x[:, None, :] - y[None, :, :]"),
            "s": ("m.sum(d * d, axis=2)", "m.sum(m.maximum(d, -d), axis=2)", "m.mean(d * d, axis=2)"),
            "out": ("m.sqrt(s)", "m.exp(-0.1 * s)", "s", "1 / (1 + m.sqrt(s))"),
        },
    ),
    "adam": Family(
        arrays={"p": "n", "v": "n", "W": "n", "g": "n"},
        sizes={"n": (10**7, 3 * 10**6, 15 * 10**6)},
        text="""
            h = {h}
            a = 0.9 * v + {first}
            b = 0.999 * W + {second}
            {p}, a, b""",
        slots={
            "h": ("g", "g + 0.01 * p", "m.tanh(g)"),
            "first": ("0.1 * h", "h"),
            "second": ("0.001 * h * h", "0.001 * (h * h)", "0.001 * (h * h + 0.1)"),
            "p": (
                "p - 0.01 * a / (m.sqrt(b) / 0.3 + 1e-8)",
                "p - 0.01 * (a / (m.sqrt(b) + 1e-8))",
                "p - (0.01 * a / (m.sqrt(b) / 0.3 + 1e-8) + 1e-4 * p)",
                "p - 0.01 * a / m.sqrt(b + 1e-8)",
            ),
        },
        state=3,
        peers=("jax", "torch.compile", "torch"),
        library=_adam,
    ),
    "logistic": Steps(
        cases_training.logistic,
        {"n": (400, 50, 3000), "features": (784, 20, 3000)},
        peers=("jax", "torch.compile", "numpy"),
    ),
    "mlp": Steps(
        cases_training.mlp,
        {"inputs": (784, 50, 2000), "hidden": (256, 40, 1200), "layers": (2, 1, 3), "batch": (100, 10, 300)},
        peers=("jax", "torch.compile", "numpy"),
    ),
    "deep": Steps(
        cases_training.deep,
        {"layers": (20, 5, 30), "width": (128, 20, 400), "batch": (64, 10, 200)},
        peers=("jax", "torch.compile"),
    ),
    "lstm": Steps(  # torch.compile unrolls it, which takes it half a minute, and is slower than eager nn.LSTM
        cases_training.lstm,
        {"steps": (50, 10, 80), "batch": (32, 5, 100), "n": (128, 20, 300)},
        peers=("jax", "torch"),
    ),
}  # fmt: skip


def case(name: str, seed: int, tiny: bool = False, of: int = 1) -> Case:
    """The relative of that seed, of `of` that share the range of sizes; -1: the case itself, written the same way."""
    family = FAMILIES[name]
    rng = np.random.default_rng([abs(seed), *map(ord, name)])
    chosen = {} if isinstance(family, Steps) else {slot: texts[0] for slot, texts in family.slots.items()}
    if seed >= 0 and not isinstance(family, Steps):
        for slot in rng.choice(sorted(family.slots), size=min(1 + int(rng.integers(2)), len(chosen)), replace=False):
            chosen[slot] = str(rng.choice(family.slots[slot][1:]))
    lengths = sizes(name, seed, of)
    who = f"{name}, {f'relative {seed}' if seed >= 0 else 'itself'}"
    if tiny:
        lengths = {a: min(n, 3) if a == "layers" else 7 + k for k, (a, n) in enumerate(lengths.items())}
    if isinstance(family, Steps):
        made = family.make(False, **lengths)
        made.title, made.compiles, made.tolerance = f"{who} ({made.title})", False, 3 * made.tolerance
        return made
    arrays = {}
    for k, axes in family.arrays.items():
        shape = tuple(lengths[axis] for axis in axes)
        positive = k.isupper()
        arrays[k] = (
            rng.uniform(0.5, 2, shape).astype(np.float32) if positive else rng.standard_normal(shape, np.float32)
        )
    text = family.text.format(**chosen)
    run = program(text, list(arrays))
    reference = _reference(run, arrays, family.state)
    base = [arrays[k] for k in list(arrays)[: family.state]]
    data = {"run": run, "names": list(arrays), "arrays": arrays, "state": family.state}
    data["library"] = family.library(chosen)
    told = ", ".join(f"{axis} = {n:,}" for axis, n in lengths.items())
    changed = "; ".join(f"{s}: {t}" for s, t in chosen.items() if t != family.slots[s][0])
    title = f"{who} ({told}{'; ' * bool(changed)}{changed})"
    return Case("expression", "fused", title, data, reference, 1e-3 if family.state else 5e-5, base=base)


def sizes(name: str, seed: int, of: int = 1) -> dict[str, int]:
    """Seeds k N to k N + N - 1 draw each size from each of N parts of its range once, in an order of its own."""
    ranges = FAMILIES[name].sizes
    if seed < 0:
        return {axis: own for axis, (own, _, _) in ranges.items()}
    orders = np.random.default_rng([seed // of, of, *map(ord, name)])
    inside = np.random.default_rng([seed, of, *map(ord, name)])
    found = {}
    for axis, (_, least, most) in ranges.items():
        part = (orders.permutation(of)[seed % of] + inside.uniform()) / of
        found[axis] = min(most, int(least * ((most + 1) / least) ** part))
    return found


def program(text: str, names: list[str]) -> Any:
    """The function (m, arrays...) -> tuple of arrays."""
    *lines, last = [line.strip() for line in text.strip().splitlines()]
    body = "".join(f"    {line}\n" for line in [*lines, f"out = {last}"])
    source = f"def run(m, {', '.join(names)}):\n{body}    return out if isinstance(out, tuple) else (out,)\n"
    space: dict[str, Any] = {}
    exec(source, space)
    return space["run"]


def _reference(run: Any, arrays: dict[str, np.ndarray], state: int) -> list[np.ndarray]:
    """In pieces along the first axis where every array has that: the differences of all pairs are many."""
    given = [a.astype(np.float64) for a in arrays.values()]
    if len({a.shape for a in given}) == 1 and given[0].ndim == 1:
        pieces = [run(REFERENCE, *(a[k : k + (1 << 20)] for a in given)) for k in range(0, len(given[0]), 1 << 20)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    if arrays.keys() == {"x", "y"}:  # all pairs
        x, y = given
        pieces = [run(REFERENCE, x[k : k + 100], y) for k in range(0, len(x), 100)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    return list(run(REFERENCE, *given))
